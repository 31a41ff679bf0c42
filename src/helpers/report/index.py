"""The first page a reviewer opens: every series, its latest report, and what needs attention."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from typing import NamedTuple

from markupsafe import Markup

from helpers.report.catalog import Catalog, CatalogSeries, CatalogVersion
from helpers.report.page import TEMPLATES, environment, style
from helpers.report.wording import WORDS, Mark, status_mark, word

MOST_HEADLINES = 3
LONGEST_MESSAGE = 240
FAILED = frozenset({"failed", "timed_out", "kernel_died"})


class Concern(NamedTuple):
    """Something at the top of the index.

    Attributes
    ----------
    name, path : str
        Series and version, and its folder; an empty path where there is no report to open.
    mark : Mark
        State as word and symbol.
    why, note : str
        What happened, and what is still good.
    kept : str
        Folder of the last version that succeeded, or empty.
    """

    name: str
    path: str
    mark: Mark
    why: str
    note: str = ""
    kept: str = ""


class Row(NamedTuple):
    """A series as the list shows it.

    Attributes
    ----------
    series : CatalogSeries
        The series.
    newest, shown : CatalogVersion
        Its newest version, and the one whose findings are shown: the last that succeeded.
    earlier : list of CatalogVersion
        All but the newest.
    about : str
        Version, day and time of the newest version.
    """

    series: CatalogSeries
    newest: CatalogVersion
    shown: CatalogVersion
    earlier: list[CatalogVersion]
    about: str


def index_html(catalog: Catalog) -> str:
    """Return the index of a reports folder as one self-contained HTML page.

    Parameters
    ----------
    catalog : Catalog
        All series with their versions. Links are relative to the reports folder.

    Returns
    -------
    str
        HTML that passes :func:`helpers.report.structure.problems`. A small script adds a filter; without it
        everything is shown.
    """
    script, script_hash = _script()
    versions = sum(len(series.versions) for series in catalog.series)
    return (
        environment()
        .get_template("index.html.j2")
        .render(
            css=style(),
            script=script,
            script_hash=script_hash,
            lead=_lead(len(catalog.series), versions),
            attention=_attention(catalog),
            rows=[_row(series) for series in catalog.series],
            most=MOST_HEADLINES,
            filter_count=WORDS["filter_count"],
        )
    )


@cache
def _script() -> tuple[Markup, str]:
    """Return the filter and its hash, so that the page's policy lets this script run and no other."""
    text = "\n".join(line.strip() for line in (TEMPLATES / "index.js").read_text("utf-8").splitlines())
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return Markup(text), f"sha256-{digest}"


def _lead(series: int, versions: int) -> str:
    if not series:
        return word("index_empty")
    return word(
        "index_lead",
        series=word("one_series") if series == 1 else word("many_series", number=series),
        versions=word("one_version") if versions == 1 else word("many_versions", number=versions),
    )


def _attention(catalog: Catalog) -> list[Concern]:
    """Return what failed, then what cannot be read, then what is behind the newest day of any report."""
    newest_day = max((v.as_of for s in catalog.series for v in s.versions if v.as_of), default="")
    failed = [_failure(series) for series in catalog.series if series.versions[0].status in FAILED]
    damaged = Mark(word("unreadable"), "✕", "bad")
    lost = [Concern(path, "", damaged, word("unreadable_why")) for path in catalog.unreadable]
    behind = []
    for series in catalog.series:
        good = _good(series)
        if good and good.as_of and good.as_of < newest_day:
            why = word("behind_why", as_of=good.as_of, newest=newest_day)
            name = f"{series.series} v{good.version}"
            behind.append(Concern(name, good.path, Mark(word("behind"), "◷", "warn"), why))
    return failed + lost + behind


def _failure(series: CatalogSeries) -> Concern:
    newest, good = series.versions[0], _good(series)
    why = word(f"kind_{newest.failure.kind}") if newest.failure else word(f"banner_{newest.status}")
    if newest.failure and newest.failure.message:
        first = newest.failure.message.strip().splitlines()[0]
        why += f" {newest.failure.error}: {first[:LONGEST_MESSAGE]}"
    note = word("kept", number=good.version) if good else word("never_good")
    mark = status_mark(newest.status)
    return Concern(
        f"{series.series} v{newest.version}", newest.path, mark, why, note, good.path if good else ""
    )


def _good(series: CatalogSeries) -> CatalogVersion | None:
    return next((version for version in series.versions if version.version == series.latest), None)


def _row(series: CatalogSeries) -> Row:
    newest, *earlier = series.versions
    parts = [word("about_version", number=newest.version)]
    parts += [word("about_as_of", as_of=newest.as_of)] if newest.as_of else []
    parts += [word("about_run", time=newest.finished_at[:16].replace("T", " "))]
    return Row(series, newest, _good(series) or newest, earlier, " · ".join(parts))
