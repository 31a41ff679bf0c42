"""One report as one HTML file: complete in itself, read without the network and without a script.

The first screen says what was found and what to do, with one picture and the leading numbers; further decisions,
findings, story and appendix follow, most of it folded. A run that did not succeed begins with what went wrong and
what to do about it. Nothing on the page depends on when or where it was made: the same inputs and the same earlier
report give the same bytes. So a page shows its run key and no version number. The version is the name of the folder
it lies in (``v3``), which the address bar shows; the index lists every version, and the appendix says so.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import re
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from helpers.errors import BadParameters
from helpers.playbook.action import Action
from helpers.playbook.finding import Finding
from helpers.playbook.glossary import define
from helpers.playbook.since import Since, since
from helpers.playbook.thresholds import entries
from helpers.report import params
from helpers.report.page import story, wording
from helpers.report.page.markup import Outline, escape, plain
from helpers.report.page.sparkline import trail
from helpers.report.page.strip import strip
from helpers.report.page.verdict import verdict
from helpers.report.publish.earlier import Earlier, day_of
from helpers.report.publish.manifest import Manifest
from helpers.sentences import amount_of, closed_up, lang, say, word

if TYPE_CHECKING:
    from nbformat import NotebookNode  # a tenth of a second, which a look at what is unchanged need not wait

TEMPLATES = Path(__file__).parent / "template"
OWN_IDS = frozenset({"main", "banner", "first", "decisions", "findings", "appendix"})
OWN_IDS |= {"parameters", "tables-read", "origin", "repeat", "failed-cell", "data-changed"}
IN_FULL, TILES, ROWS = 3, 4, 7
"""Decisions in full (the first stands at the top), leading numbers (one more where weeks are drawn),
and findings that are not folded."""
MESSAGES = {"bad_data", "bad_parameters", "missing_secret", "error", "missing_table"}
MESSAGES |= {"too_few_members", "nothing_counts"}
"""Kinds of failure whose message was written for a reader: it stands alone, without its cell."""
BANNERS = {
    "failed": "This run failed",
    "timed_out": "This run timed out",
    "kernel_died": "This run ended because its process died",
    "not_run": "Not run",
}
CONFIDENCE = {
    "experiment": "Experiment: a randomised comparison measured this effect.",
    "quasi-experiment": "Quasi-experiment: a comparison without randomisation, corrected for known bias.",
    "correlation": "Correlation: seen together in the data; the cause is not proven.",
    "rule": "Rule: rests on experience or a stated prior, not on a measured effect. Try it small first.",
}
DIRECTION = {"up is good": "up", "down is good": "down", "neither": "neither up nor down"}


class Row(NamedTuple):
    """A finding as the page shows it: drawn to scale, and against an earlier report."""

    one: Finding
    drawing: Markup
    change: str


def report_html(
    notebook: NotebookNode,
    manifest: Manifest,
    findings: Sequence[Finding],
    actions: Sequence[Action],
    earlier: Earlier | None = None,
) -> str:
    """Return a report as one self-contained HTML page.

    Parameters
    ----------
    notebook : nbformat.NotebookNode
        The executed notebook, partial when the run failed.
    manifest : Manifest
        What was run and how it ended; its bookkeeping is not shown.
    findings, actions : sequence of Finding, sequence of Action
        What the notebook recorded, findings in the order of importance. Actions are shown best first.
    earlier : Earlier, optional
        What the series found on an earlier day.

    Returns
    -------
    str
        HTML that stands alone and reads without eyes or mouse.
    """
    outline = Outline(ids=set(OWN_IDS))
    outline.ids |= {f"finding-{one.id}" for one in findings} | {f"action-{one.id}" for one in actions}
    known = params.defaults(notebook.cells)
    wanted = next((one.picture for one in findings if one.picture), "")
    told = story.story(notebook, manifest, outline, wanted)
    parts: dict[str, Any] = {
        **_head(notebook, manifest),
        **_decided(notebook, findings, actions),
        **_found(findings, earlier),
        "check": lambda action: _check(action, manifest),
        **told._asdict(),
        "headings": [heading for heading in outline.headings if heading.level == 2],
        "parameters": _parameters(manifest, known),
        "command": command(manifest, known),
    }
    return closed_up(
        environment().get_template("page.html.j2").render(manifest=manifest, css=style(), **parts)
    )


@cache
def environment() -> Environment:
    """Return the template engine with the words and number formats every page uses."""
    engine = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    names = ("gap", "quantity", "interval", "level", "state_mark", "titled")
    engine.globals.update({name: getattr(wording, name) for name in names})
    engine.globals.update(
        say=say,
        word=word,
        lang=lang,
        amount_of=amount_of,
        define=define,
        strip=strip,
        trail=trail,
        confidence_words=CONFIDENCE,
        direction_words=DIRECTION,
    )
    return engine


@cache
def style(*more: str) -> Markup:
    """Return the style sheet of every page, and more by name, without comments and indentation."""
    sheets = [(TEMPLATES / name).read_text("utf-8") for name in ("style.css", *more)]
    return Markup(re.sub(r"/\*.*?\*/|\n\s*", " ", "".join(sheets), flags=re.DOTALL))


# --- title, decisions, findings ------------------------------------------------------------------------------------


def _head(notebook: NotebookNode, manifest: Manifest) -> dict[str, Any]:
    """Return what the title block shows, and the banner of a run that did not succeed."""
    title = story.inline(manifest.title or manifest.series)
    return {
        "to_index": "../" * (manifest.series.count("/") + 2),
        "title": title,
        "title_text": plain(title),
        "question": story.inline(manifest.question),
        "facts": _facts(manifest),
        "status": wording.state_mark(manifest.status),
        "complete": manifest.status == "succeeded",
        "banner": _banner(notebook, manifest),
        "changed": wording.joined(manifest.data.changed),
    }


def _facts(manifest: Manifest) -> list[str]:
    """Return what the report is about: days, segment, and the tables it read."""
    counts = [table.rows for table in manifest.data.tables.values()]
    amount = say("1 table") if len(counts) == 1 else say("{number} tables", number=len(counts))
    if counts and None not in counts:
        amount = say("{tables}, {rows}", tables=amount, rows=wording.rows(sum(filter(None, counts))))
    facts = [_period(manifest.parameters), str(manifest.parameters.get("segment") or "")]
    read = amount if counts else say("no table was read")
    facts.append(say("{place} ({amount})", place=manifest.data.url, amount=read))
    return [fact for fact in facts if fact]


def _period(parameters: Mapping[str, Any]) -> str:
    """Return first and last day of the window or history, or the last day alone when neither is stated."""
    last, days = day_of(parameters.get("as_of")), parameters.get("window_days")
    first = day_of(parameters.get("history_from"))
    if last and isinstance(days, int):
        first = last + dt.timedelta(days=1 - days)
    zone = parameters.get("report_tz")
    if first and last:
        said = "{first} to {last} ({days:,} days, {zone})" if zone else "{first} to {last} ({days:,} days)"
        return say(said, first=first, last=last, days=(last - first).days + 1, zone=zone)
    as_of = parameters.get("as_of")
    if not as_of:
        return ""
    return say("as of {as_of} ({zone})" if zone else "as of {as_of}", as_of=as_of, zone=zone)


def _banner(notebook: NotebookNode, manifest: Manifest) -> dict[str, Any] | None:
    """Say how the run ended. A message meant for a person stands alone; an unexpected error shows its cell."""
    failure = manifest.failure
    if failure is None:
        return None
    unexpected = failure.kind == "exception"
    failing = None if failure.kind in MESSAGES else story.failing_cell(notebook, manifest)
    return {
        "heading": say(BANNERS[manifest.status]),
        "kind": say(wording.FAILURES[failure.kind]),
        "message": "" if unexpected and failing else failure.message,
        "lead": say("Raised in this cell:") if unexpected else say("It ended in this cell:"),
        "failing": failing,
        "kept": _kept(notebook, manifest),
    }


def _kept(notebook: NotebookNode, manifest: Manifest) -> str:
    cells = enumerate(notebook.cells, 1)
    code = {number for number, cell in cells if cell.cell_type == "code" and cell.source.strip()}
    idle = sum(run.status == "not_run" and run.number in code for run in manifest.cells)
    if not idle:
        return say("What ran is kept below.")
    return say(
        "What ran before is kept below. {number} of {all} code cells did not run.", number=idle, all=len(code)
    )


def _decided(
    notebook: NotebookNode, findings: Sequence[Finding], actions: Sequence[Action]
) -> dict[str, Any]:
    """Return the verdict, the decisions in order, and the contact list of each that has one.

    In full stand the first, and the next whose value is known; the others have a line each.
    """
    ranked = sorted(actions, key=lambda action: action.rank)
    full = [action for action in ranked[1:] if action.expected_value is not None][: IN_FULL - 1]
    lists = story.contact_lists(notebook)
    contacts = {action.id: _opportunities().get(action.id, "").rpartition(".")[2] for action in actions}
    return {
        "verdict": verdict(findings, ranked[0] if ranked else None),
        "actions": ranked,
        "full": full,
        "contacts": {action: name for action, name in contacts.items() if name in lists},
    }


@cache
def _opportunities() -> Mapping[str, str]:
    """Return the opportunity of each rule that has one, such as ``rfm.recall`` of ``rfm.recall_silent``.

    An action is for the contact list that has the name of its opportunity.
    """
    return {rule["id"]: rule["opportunity"] for rule in entries("rules") if rule.get("opportunity")}


def _check(action: Action, manifest: Manifest) -> Markup:
    last, days = day_of(manifest.parameters.get("as_of")), action.check_after_days
    metric = escape(action.check_metric)
    if last is None:
        return Markup(say("Judged after {days} days by {metric}.", metric=metric, days=days))
    date = f"<time>{say('{day}', day=last + dt.timedelta(days=days))}</time>"
    return Markup(say("Judged on {date} by {metric}.", metric=metric, date=date))


def _found(findings: Sequence[Finding], earlier: Earlier | None) -> dict[str, Any]:
    """Return the findings as rows, the leading numbers, and what they have in common, which is said once."""
    changes = since(findings, earlier.findings) if earlier else {}
    rows = []
    for one in sorted(findings, key=lambda one: one.value is None):  # what is not known says least
        change = changes.get(one.id)
        tone = wording.state_mark(one.verdict).tone
        drawing = strip(one.value, one.low, one.high, tone=tone, was=change.before.value if change else None)
        rows.append(Row(one, drawing, _changed(change, earlier)))
    levels = {finding.confidence for finding in findings}
    scopes = Counter(finding.scope for finding in findings)
    return {
        "rows": rows,
        "tiles": [row for row in rows if row.one.value is not None][
            : TILES + any(one.trail for one in findings)
        ],
        "most_rows": ROWS,
        "compared_with": earlier.day if earlier else None,
        "finding_names": {finding.id: finding.metric for finding in findings},
        "common_level": levels.pop() if len(levels) == 1 else None,
        "scope": next((scope for scope, times in scopes.most_common(1) if times > 1 or len(scopes) == 1), ""),
    }


def _changed(change: Since | None, earlier: Earlier | None) -> str:
    """Say how far a number moved since the earlier report, with the interval of that, and whether that is chance."""
    if change is None or earlier is None:
        return say("not in the report of {day}", day=earlier.day) if earlier else ""
    one, unit = change.difference, change.before.unit
    said = (
        "{change} ({interval}) since {day}: moved"
        if change.clear
        else "{change} ({interval}) since {day}: no clear change"
    )
    moved = wording.amount(one.value, unit), wording.amounts(one.low, one.high, unit)
    return say(said, change=moved[0], interval=moved[1], day=earlier.day)


# --- appendix ------------------------------------------------------------------------------------------------------


def _parameters(manifest: Manifest, known: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Return name, value and meaning of each parameter; the meaning is that of the notebook's model."""
    meanings: dict[str, str] = {}
    with contextlib.suppress(BadParameters):  # a notebook without a model
        meanings = {one.name: word(one.meaning) for one in params.describe(manifest.notebook)}
    rows = []
    for name, value in sorted(manifest.parameters.items()):
        meaning = meanings.get(name, "")
        if name in known and known[name] != value:
            meaning += " " + say("(default {default})", default=_plain_value(known[name]) or '""')
        rows.append((name, _plain_value(value) or '""', meaning))
    return rows


def _plain_value(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)


def command(manifest: Manifest, known: Mapping[str, Any]) -> str:
    """Return the command line that repeats the run; parameters that have their default need not be said."""
    parts = [f"playbook run notebooks/{shlex.quote(manifest.notebook)}.ipynb"]
    parts += [f"--data {shlex.quote(manifest.data.url)}"] if manifest.data.url else []
    parts += [f"--label {shlex.quote(manifest.label)}"] if manifest.label else []
    parts += [
        f"-p {shlex.quote(f'{name}={_plain_value(value)}')}"
        for name, value in sorted(manifest.parameters.items())
        if name != "data" and not (name in known and known[name] == value)
    ]
    return " \\\n  ".join(parts)
