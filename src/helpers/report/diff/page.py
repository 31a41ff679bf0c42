"""The comparison as one HTML file: read without the network and without a script, like the reports it compares."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from markupsafe import Markup

from helpers.report.diff.causes import CHANGED, QUESTION
from helpers.report.diff.compare import Comparison
from helpers.report.diff.findings import FindingChange
from helpers.report.diff.tables import table_diffs
from helpers.report.page import wording
from helpers.report.page.markup import Outline, tidy
from helpers.report.page.report import environment, style
from helpers.report.page.strip import strip
from helpers.report.publish import store
from helpers.report.publish.catalog import DIFFS
from helpers.sentences import say
from helpers.tables import heading

MOST_BYTES = 380_000  # of pictures: with the rest a page stays below the limit of 500 kB


class Picture(NamedTuple):
    """A picture that differs: for each side a link and the drawing where it fits."""

    name: str
    sides: list[tuple[str, str, Markup]]


def write(comparison: Comparison) -> Path:
    """Write the page of a comparison in one step, over the one that was there, and return its path.

    Raises
    ------
    CannotPublish
        When the reports folder cannot be written.
    """
    before, after = comparison.before, comparison.after
    other = before.series.replace("/", ".") + "-" if comparison.two_series else ""
    place = after.folder.parent / DIFFS / f"{other}v{before.number}-v{after.number}.html"
    html = diff_html(comparison, place)
    try:
        place.parent.mkdir(exist_ok=True)
        store.replace_file(place, html.encode())
    except OSError as error:
        raise store.CannotPublish(f"{place} cannot be written: {error.strerror}") from error
    return place


def diff_html(comparison: Comparison, place: Path) -> str:
    """Return the comparison as one self-contained HTML page.

    Parameters
    ----------
    comparison : Comparison
        What differs.
    place : Path
        Where the page will lie; its links to the two reports are relative to that.

    Returns
    -------
    str
        HTML that stands alone and reads without eyes or mouse; the same for the same two versions.
    """
    before, after, causes = comparison.before, comparison.after, comparison.causes
    home = after.folder.parents[after.series.count("/") + 1]
    tables, same_tables = table_diffs(before.folder, after.folder, comparison.names)
    pictures, same_pictures = _pictures(comparison, place)
    judged = [change.difference for change in comparison.findings if change.difference]
    parts: dict[str, Any] = {
        "index": _link(place, home / "index.html"),
        "links": [_link(place, side.folder / "report.html") for side in (before, after)],
        "findings": [change for change in comparison.findings if change.outcome != "unchanged"],
        "tiles": [one for one in comparison.findings if one.difference and one.outcome != "unchanged"][:4],
        "drawn": _drawn,
        "first_decision": _first_decision(comparison),
        "basis": _basis,
        "still": "; ".join(change.sentence for change in comparison.of("unchanged")),
        "judged": len(judged),
        "level_of_all": max((one.confidence for one in judged), default=0.0),
        "confounded": _confounded(comparison),
        "same_inputs": wording.joined([say(name) for name in CHANGED if name not in causes.classes]),
        "pictures": pictures,
        "same_pictures": ", ".join(map(heading, same_pictures)),
        "tables": tables,
        "same_tables": ", ".join(map(heading, same_tables)),
        "command": f"playbook diff {shlex.quote(before.name)} {shlex.quote(after.name)}",
    }
    template = environment().get_template("diff.html.j2")
    return template.render(comparison=comparison, causes=causes, css=style(), **parts)


def _link(place: Path, target: Path) -> str:
    return quote(Path(os.path.relpath(target, place.parent)).as_posix())


def _drawn(change: FindingChange) -> Markup:
    """Draw a difference that is judged against chance with its interval."""
    one = change.difference
    return strip(one.value, one.low, one.high) if one and change.p is not None else Markup()


def _first_decision(comparison: Comparison) -> str:
    """Say what to do first, and whether that is another than before."""
    ranked = [
        sorted(side.actions, key=lambda one: one.rank) for side in (comparison.before, comparison.after)
    ]
    old, new = (side[0].title if side else say("none") for side in ranked)
    return say("{new}, as before", new=new) if old == new else say("{new}; before: {old}", new=new, old=old)


def _basis(change: FindingChange) -> list[tuple[str, str]]:
    """Return what the fold under a finding holds: the test, and scope and sentence of both sides."""
    rows = []
    if change.p is not None and change.difference:
        one = change.difference
        said = "p = {p}, {adjusted} after Holm; {errors:.1f} standard errors, limits symmetric on the {scale} scale"
        values = {"p": _p(one.p), "adjusted": _p(change.p), "errors": abs(one.errors), "scale": one.scale}
        rows.append((say("Chance of a difference this large"), say(said, **values)))
    if change.before:
        rows += [(say("Scope before"), change.before.scope), (say("Said before"), change.before.sentence)]
    if change.after:
        rows += [(say("Scope after"), change.after.scope), (say("Says after"), change.after.sentence)]
    return rows


def _p(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"{p:.3f}" if p < 0.1 else f"{p:.2f}"


def _confounded(comparison: Comparison) -> str:
    """Return the causes beside the data from which a signal may come as well, and not from the members."""
    causes = comparison.causes
    own = {change.name for change in causes.of("parameters")} - QUESTION
    others = [name for name in causes.classes if name != "data" and (name != "parameters" or own)]
    found = causes.resampled and comparison.of("signal")
    return wording.joined([say(name) for name in others]) if found else ""


def _pictures(comparison: Comparison, place: Path) -> tuple[list[Picture], list[str]]:
    """Return the pictures that differ, with as many drawings as the page can carry, and the names of the others."""
    folders = [side.folder / "figures" for side in (comparison.before, comparison.after)]
    outline, size = Outline(), 0
    found, same = [], []
    for name in sorted({path.stem for folder in folders for path in folder.glob("*.svg")}):
        files = [folder / f"{name}.svg" for folder in folders]
        drawings = [file.read_text("utf-8") if file.exists() else "" for file in files]
        if drawings[0] == drawings[1]:
            same.append(name)
            continue
        shown = size + sum(map(len, drawings)) <= MOST_BYTES
        size += sum(map(len, drawings)) if shown else 0
        sides = [
            (version, _link(place, file), Markup(tidy(drawing, outline) if shown else ""))
            for version, file, drawing in zip(comparison.names, files, drawings, strict=True)
            if drawing
        ]
        found.append(Picture(heading(name).capitalize(), sides))
    return found, same
