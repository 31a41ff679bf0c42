"""The comparison as one HTML file: read without the network and without a script, like the reports it compares.

What changed in the recorded tables: rows that came, went or differ.
"""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import numpy as np
import pandas as pd
from markupsafe import Markup

from helpers.report.diff.causes import CHANGED, QUESTION
from helpers.report.diff.compare import Comparison
from helpers.report.diff.findings import FindingChange
from helpers.report.page import wording
from helpers.report.page.markup import Outline, tidy
from helpers.report.page.report import environment, style
from helpers.report.page.strip import strip
from helpers.report.publish import store
from helpers.report.publish.catalog import DIFFS
from helpers.sentences import say
from helpers.tables import heading

MOST_KEYS = 4
RELATIVE = 1e-9  # numbers that agree to this are the same number


class TableDiff(NamedTuple):
    """One recorded table that differs, each part in words."""

    name: str
    rows: str
    changed: str


def table_diffs(before: Path, after: Path, versions: tuple[str, str]) -> tuple[list[TableDiff], list[str]]:
    """Compare the tables of two version folders.

    Parameters
    ----------
    before, after : Path
        Folders of the versions.
    versions : tuple of str
        What they are called.

    Returns
    -------
    tuple
        The tables that differ or are on one side only, and the names of those that are the same.
    """
    old, new = ({path.stem: path for path in (side / "tables").glob("*.parquet")} for side in (before, after))
    changed, same = [], []
    for name in sorted({**old, **new}):
        if name in old and name in new:
            equal = old[name].read_bytes() == new[name].read_bytes()
            same += [name] if equal else []
            changed += [] if equal else [table_diff(old[name], new[name])]
        else:
            only, version = (new[name], versions[1]) if name in new else (old[name], versions[0])
            count = f"{len(pd.read_parquet(only)):,}"
            changed.append(TableDiff(heading(name), count, say("only in {version}", version=version)))
    return changed, same


def table_diff(old: Path, new: Path) -> TableDiff:
    """Compare two files of one table, rows matched by the shortest run of first columns that tells them apart."""
    name = heading(old.stem)
    try:
        before, after = (pd.read_parquet(path) for path in (old, new))
    except (OSError, ValueError):
        return TableDiff(name, "", say("its numbers cannot be read"))
    counts = [f"{len(frame):,}" for frame in (before, after)]
    rows = counts[0] if counts[0] == counts[1] else " → ".join(counts)
    for count in range(1, min(MOST_KEYS, len(after.columns) - 1) + 1):
        keys = list(after.columns[:count])
        if keys != list(before.columns[:count]):
            break
        if not any(frame.duplicated(keys).any() for frame in (before, after)):
            return TableDiff(name, rows, _counted(before.set_index(keys), after.set_index(keys)))
    return TableDiff(name, rows, say("its rows have no names of their own by which they could be matched"))


def _counted(before: pd.DataFrame, after: pd.DataFrame) -> str:
    both = after.index.intersection(before.index, sort=False)
    shared = [column for column in after if column in before]
    differs = np.zeros(len(both), bool)
    old, new = before.loc[both], after.loc[both]
    for column in shared:
        differs |= _differs(old[column], new[column])
    counted = (
        ("{number:,} changed", int(differs.sum())),
        ("{number:,} new", len(after) - len(both)),
        ("{number:,} gone", len(before) - len(both)),
    )
    return ", ".join(say(said, number=count) for said, count in counted if count) or say(
        "other columns or order"
    )


def _differs(old: pd.Series, new: pd.Series) -> np.ndarray:
    """Tell where two columns differ, numbers by more than rounding; unknown equals unknown."""
    numeric = pd.api.types.is_numeric_dtype
    if all(numeric(side) and not pd.api.types.is_bool_dtype(side) for side in (old, new)):
        before, after = (side.to_numpy(dtype=float, na_value=np.nan) for side in (old, new))
        return ~np.isclose(before, after, rtol=RELATIVE, atol=0.0, equal_nan=True)
    return np.asarray(old.astype(str).to_numpy() != new.astype(str).to_numpy())


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
