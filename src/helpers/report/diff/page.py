"""The comparison as one HTML file: read without the network and without a script, like the reports it compares."""

from __future__ import annotations

import math
import os
import shlex
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from markupsafe import Markup

from helpers.playbook.finding import Finding
from helpers.report.compact import compact
from helpers.report.diff import causes as why
from helpers.report.diff.address import Version
from helpers.report.diff.compare import Comparison
from helpers.report.diff.findings import FindingChange
from helpers.report.diff.overview import overview
from helpers.report.diff.pictures import Pictures
from helpers.report.diff.tables import TableDiffs
from helpers.report.diff.words import amount, amounts, mark, word
from helpers.report.page import wording
from helpers.report.page.markup import Outline, tidy
from helpers.report.page.report import environment, style
from helpers.report.page.wording import Mark

OWN_IDS = frozenset({"main", "banner", "findings", "changed", "actions", "figures", "tables", "judged"})
GRIDS = ("parameters-table", "data-table", "code-table", "environment-table", "actions-table", "tables-table")
MOST_BYTES = 380_000  # of pictures: with the rest a page stays below the limit of 500 kB
SHORT_COMMIT = 12
Grid = tuple[Any, ...]


class Side(NamedTuple):
    """One version in the title block."""

    name: str
    link: str
    mark: Mark
    about: list[str]


class FindingView(NamedTuple):
    """One finding in the list: its difference with the interval, both numbers with theirs, and the fold."""

    change: FindingChange
    mark: Mark
    difference: str
    between: str
    sentence: str
    numbers: str
    basis: list[tuple[str, str]]


def diff_html(comparison: Comparison, pictures: Pictures, tables: TableDiffs, place: Path) -> str:
    """Return the comparison as one self-contained HTML page.

    Parameters
    ----------
    comparison, pictures, tables : Comparison, Pictures, TableDiffs
        What differs.
    place : Path
        Where the page will lie; its links to the two reports are relative to that.

    Returns
    -------
    str
        HTML that stands alone and reads without eyes or mouse; the same for the same two versions.
    """
    moved = [change for change in comparison.findings if change.outcome != "unchanged"]
    findings = [_finding(change, comparison) for change in moved]
    outline = Outline(ids={*OWN_IDS, *GRIDS, *(f"finding-{view.change.id}" for view in findings)})
    chart = overview(comparison)
    drawn, heavy = _drawn(pictures, outline)
    parts: dict[str, Any] = {
        **_head(comparison, place),
        "findings": findings,
        "still": "; ".join(change.sentence for change in comparison.of("unchanged")),
        "findings_lead": _findings_lead(comparison),
        "confounded": _confounded(comparison),
        "overview": Markup(tidy(chart._repr_html_(), outline)) if chart else "",
        "unchanged": _unchanged(comparison),
        "changes": _changes(comparison.causes),
        "remarks": _remarks(comparison),
        "actions": _actions(comparison),
        "figures": drawn,
        "figure_notes": _figure_notes(pictures, heavy, comparison.names),
        "tables": _tables(tables),
        "tables_same": ", ".join(map(_plain, tables.same)),
        "judged": _judged(comparison),
        "command": f"playbook diff {shlex.quote(comparison.before.name)} {shlex.quote(comparison.after.name)}",
    }
    return compact(environment().get_template("diff.html.j2").render(word=word, css=style(), **parts))


def _head(comparison: Comparison, place: Path) -> dict[str, Any]:
    """Return what the title block shows, and the banner for a side that did not succeed."""
    before, after = comparison.names
    return {
        "comparison": comparison,
        "causes": comparison.causes,
        "title": _title(comparison),
        "lead": _capital(comparison.summary),
        "series": comparison.after.series,
        "crumb": word("comparison", before=before, after=after),
        "index": _link(place, _home(comparison.after) / "index.html"),
        "before": _side(comparison.before, before, place),
        "after": _side(comparison.after, after, place),
        "unfinished": [_unfinished(side) for side in comparison.unfinished],
    }


def _title(comparison: Comparison) -> str:
    before, after = comparison.names
    title = word("title", after=after, before=before)
    return title if comparison.two_series else f"{comparison.after.series}: {title}"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _home(side: Version) -> Path:
    return side.folder.parents[side.series.count("/") + 1]


def _link(place: Path, target: Path) -> str:
    return quote(Path(os.path.relpath(target, place.parent)).as_posix())


def _side(side: Version, name: str, place: Path) -> Side:
    run, as_of = side.manifest.bookkeeping, side.manifest.parameters.get("as_of")
    time = run.finished_at[:16].replace("T", " ") if run else ""
    about = [word("about_as_of", as_of=as_of)] if as_of else []
    about += [word("about_run", time=time)] if time else []
    return Side(
        name, _link(place, side.folder / "report.html"), wording.status_mark(side.manifest.status), about
    )


def _unfinished(side: Version) -> str:
    text = word("not_succeeded", name=side.name, status=wording.STATUS_WORD[side.manifest.status])
    return f"{text} {side.manifest.failure.headline}" if side.manifest.failure else text


# --- findings ------------------------------------------------------------------------------------------------------


def _finding(change: FindingChange, comparison: Comparison) -> FindingView:
    cause = wording.joined([word(f"cause_{name}") for name in comparison.causes.classes])
    one, unit = change.difference, change.shown.unit
    return FindingView(
        change,
        mark(change.outcome, cause, change.tone),
        amount(one.value, unit) if one else "",
        amounts(one.low, one.high, unit) if one and change.p is not None else "",
        _capital(change.sentence).rstrip(".") + ".",
        word("numbers", before=_number(change.before), after=_number(change.after)),
        _basis(change),
    )


def _number(found: Finding | None) -> str:
    if found is None or found.value is None:
        return word("no_value")
    value, between = (
        wording.quantity(found.value, found.unit),
        wording.interval(found.low, found.high, found.unit),
    )
    return f"{value} ({between})"


def _basis(change: FindingChange) -> list[tuple[str, str]]:
    rows = []
    if change.p is not None and change.difference:
        one = change.difference
        values = word("p_value", p=_p(one.p), adjusted=_p(change.p))
        rows.append((word("p_text"), f"{values}; {word('errors', errors=f'{abs(one.errors):.1f}')}"))
        rows.append((word("limits_on"), word(f"on_{one.scale}")))
    if change.tipping is not None:
        shown = word("tipping", correlation=f"{math.ceil(100 * change.tipping) / 100:.2f}")
        rows.append((word("tipping_text"), shown if change.tipping < 1 else word("tipping_never")))
    for side, scope, said in (
        (change.before, "scope_before", "said_before"),
        (change.after, "scope_after", "said_after"),
    ):
        if side:
            rows += [(word(scope), side.scope), (word(said), side.sentence)]
    return rows


def _p(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"{p:.3f}" if p < 0.1 else f"{p:.2f}"


def _findings_lead(comparison: Comparison) -> str:
    if not comparison.findings:
        return word("findings_lead_none")
    judged = [change.difference for change in comparison.findings if change.difference]
    if not judged:
        return word("findings_lead_plain")
    if comparison.causes.resampled:
        level = wording.level(max(one.confidence for one in judged))
        text = word("findings_lead_diff", confidence=level, number=len(judged))
        return f"{text} {word('lead_unclear')}" if comparison.of("unclear") else text
    names = [word(f"cause_{name}") for name in comparison.causes.classes]
    return word("findings_lead_caused", cause=f"the {wording.joined(names)}") if names else ""


def _confounded(comparison: Comparison) -> str:
    """Warn that a signal may come from a change of code, parameters or environment and not from the members."""
    others = [word(f"cause_{name}") for name in comparison.causes.classes if name != "data"]
    own = {change.name for change in comparison.causes.parameters} - why.QUESTION
    others = [name for name in others if name != word("cause_parameters") or own]
    if not (comparison.causes.resampled and others and comparison.of("signal")):
        return ""
    return word("confounded", causes=wording.joined(others))


def _judged(comparison: Comparison) -> list[str]:
    """Say how differences were judged, in as many paragraphs as this comparison needs."""
    causes, keys = comparison.causes, []
    tested = [
        change.difference for change in comparison.findings if change.p is not None and change.difference
    ]
    if tested:
        keys = ["judged_disjoint" if causes.disjoint else "judged_interval"]
        keys += ["judged_small"] if comparison.of("small") else []
        keys += [] if causes.tables else ["judged_selection"]
        keys += ["judged_several", "judged_scale"]
    elif causes.only_seed:
        keys = ["judged_seed"]
    elif not causes.resampled:
        reseeded = any(change.name == "seed" for change in causes.parameters)
        keys = ["judged_exact", *(["judged_seed_too"] if reseeded else [])]
    level = 1 - max((one.confidence for one in tested), default=0.0)
    return [word(key, number=len(tested), level=f"{100 * level:.2g} %") for key in (*keys, "judged_never")]


# --- causes --------------------------------------------------------------------------------------------------------


def _unchanged(comparison: Comparison) -> str:
    same = [
        name
        for name in ("data", "parameters", "code", "environment")
        if name not in comparison.causes.classes
    ]
    return wording.joined([word(f"cause_{name}") for name in same])


def _changes(causes: why.Causes) -> list[Grid]:
    sides = [word("before"), word("after")]
    three = [word("item"), *sides]
    tables = [word("table_name"), word("rows_before"), word("rows_after"), word("gained")]
    tables += [word("content_before"), word("content_after")]
    caption = word("tables_changed_caption", same=causes.tables_same)
    grids: list[tuple[list[Any], Grid]] = [
        (causes.tables, ("data-table", caption, tables, [_table_row(t) for t in causes.tables], "n2 n3 n4")),
        (
            causes.parameters,
            ("parameters-table", word("parameters_caption"), three, _rows(causes.parameters), "m1"),
        ),
        (causes.code, ("code-table", word("code_caption"), three, _rows(causes.code), "m1 m2 m3")),
        (
            causes.environment,
            ("environment-table", word("environment_caption"), three, _rows(causes.environment), "m1"),
        ),
    ]
    return [grid for changes, grid in grids if changes]


def _rows(changes: list[why.Change]) -> list[tuple[str, str, str]]:
    return [(change.name, _state(change.before), _state(change.after)) for change in changes]


def _state(text: str | None) -> str:
    return word("not_there") if text is None else text or word("empty")


def _table_row(change: why.TableChange) -> tuple[str, ...]:
    rows = [
        word("not_there") if side is None else "–" if side.rows is None else f"{side.rows:,}"
        for side in (change.before, change.after)
    ]
    content = [side.sha256[: why.SHORT_HASH] if side else "–" for side in (change.before, change.after)]
    gained = "–" if change.gained is None else amount(change.gained, "")
    return (change.name, *rows, gained, *content)


def _remarks(comparison: Comparison) -> list[str]:
    remarks = []
    if address := comparison.causes.address:
        remarks.append(word("address_changed", before=address.before, after=address.after))
    commits = [
        side.manifest.bookkeeping and side.manifest.bookkeeping.git_commit
        for side in (comparison.before, comparison.after)
    ]
    if "code" in comparison.causes.classes and commits[0] and commits[1] and commits[0] != commits[1]:
        span = " ".join(str(commit)[:SHORT_COMMIT] for commit in commits)
        remarks.append(word("commits", command=f"git diff {span}"))
    return remarks


# --- decisions, pictures, tables -----------------------------------------------------------------------------------


def _actions(comparison: Comparison) -> Grid | None:
    if not comparison.actions:
        return None
    heads = ["action", "state", "rank_before", "rank_after", "expected_before", "expected_after"]
    rows = []
    for change in comparison.actions:
        ranks = ["–" if rank is None else str(rank) for rank in (change.rank_before, change.rank_after)]
        worth = [_worth(action) for action in (change.before, change.after)]
        rows.append((change.title, word(change.state), *ranks, *worth))
    caption = word("actions_caption", same=comparison.actions_same)
    return "actions-table", caption, [word(head) for head in heads], rows, "n3 n4"


def _worth(action: Any) -> str:
    if action is None:
        return "–"
    if action.expected_value is None:
        return word("unknown_value")
    between = wording.interval(action.low, action.high, action.unit)
    return f"{wording.quantity(action.expected_value, action.unit)} ({between})"


def _drawn(pictures: Pictures, outline: Outline) -> tuple[list[tuple[str, Markup]], list[str]]:
    """Return the drawings that the page can carry, and the names of those it cannot."""
    drawn, heavy, size = [], [], 0
    for picture in pictures.redrawn:
        text = tidy(picture.chart._repr_html_(), outline)
        if size + len(text.encode()) > MOST_BYTES:
            heavy.append(picture.name)
            continue
        size += len(text.encode())
        drawn.append((_plain(picture.name).capitalize(), Markup(text)))
    return drawn, heavy


def _figure_notes(pictures: Pictures, heavy: list[str], versions: tuple[str, str]) -> list[str]:
    notes = [word("figures_same", names=", ".join(map(_plain, pictures.same)))] if pictures.same else []
    for names, version in zip((pictures.only_before, pictures.only_after), versions, strict=True):
        notes += [word("figures_only", version=version, names=", ".join(map(_plain, names)))] if names else []
    skipped = [*pictures.skipped, *((name, word("too_heavy")) for name in heavy)]
    return notes + [
        word("figures_skipped", name=_plain(name).capitalize(), why=reason) for name, reason in skipped
    ]


def _tables(tables: TableDiffs) -> Grid | None:
    if not tables.changed:
        return None
    heads = [word(key) for key in ("table_name", "rows", "rows_changed", "columns", "largest")]
    rows = [(_plain(diff.name), *(text or "–" for text in diff[1:])) for diff in tables.changed]
    return "tables-table", word("tables_caption_diff"), heads, rows, "n2"


def _plain(name: str) -> str:
    return name.replace("_", " ")
