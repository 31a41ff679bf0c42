"""The first page a reviewer opens: every series, its latest report, and what needs attention."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from datetime import date
from functools import cache
from itertools import pairwise
from statistics import median
from typing import NamedTuple

from markupsafe import Markup

from helpers.report.catalog import DIFFS, Catalog, CatalogSeries, CatalogVersion, Headline
from helpers.report.compact import compact
from helpers.report.page.report import TEMPLATES, environment, style
from helpers.report.page.sparkline import Point, sparkline
from helpers.report.page.wording import WORDS, Mark, status_mark, word

MOST_HEADLINES = {20: 3, 60: 2, 200: 1}  # series on the page: headlines that each may show
MOST_DATED = 10  # earlier versions listed with their day; older ones by number alone
LONGEST_MESSAGE = 240
OLD_DAYS = 31  # a monthly report made in time is younger
PATIENCE_DAYS = 7  # a series may be this far behind, or one and a half of its own steps
FAILED = frozenset({"failed", "timed_out", "kernel_died"})
SAID_BY_MESSAGE = frozenset({"timed_out", "kernel_died", "out_of_memory", "system_exit", "no_page"})


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


class Line(NamedTuple):
    """A headline finding with its course over versions."""

    headline: Headline
    course: Markup


class Row(NamedTuple):
    """A series as the list shows it.

    Attributes
    ----------
    series : CatalogSeries
        The series.
    newest, shown : CatalogVersion
        Its newest version, and the one whose findings are shown: the last that succeeded.
    marks : list of Mark
        Status of the newest version, and whether the series is behind.
    lines : list of Line
        Headlines of the shown version.
    about : str
        Version, day and time of the shown version.
    changed : tuple of str or None
        What the page of the last change is called, and where it lies.
    """

    series: CatalogSeries
    newest: CatalogVersion
    shown: CatalogVersion
    marks: list[Mark]
    lines: list[Line]
    about: str
    changed: tuple[str, str] | None

    @property
    def earlier(self) -> list[CatalogVersion]:
        """All versions but the one shown and the newest, newest first."""
        return [version for version in self.series.versions if version not in (self.shown, self.newest)]


def index_html(catalog: Catalog) -> str:
    """Return the index of a reports folder as one self-contained HTML page.

    Parameters
    ----------
    catalog : Catalog
        All series with their versions. Links are relative to the reports folder.

    Returns
    -------
    str
        HTML that stands alone and reads without eyes or mouse. A small script adds a filter; without it
        everything is shown.
    """
    script, script_hash = _script()
    newest = max(
        (version.finished_at for series in catalog.series for version in series.versions), default=""
    )
    behind = {series.series: why for series in catalog.series if (why := _behind(series, catalog))}
    rows = [_row(series, series.series in behind, _most(catalog)) for series in catalog.series]
    page = (
        environment()
        .get_template("index.html.j2")
        .render(
            css=style("index"),
            script=script,
            script_hash=script_hash,
            lead=_lead(catalog),
            newest=newest[:16],
            attention=_attention(catalog, behind),
            rows=rows,
            dated=MOST_DATED,
            states=list(dict.fromkeys(mark.word for row in rows for mark in row.marks)),
            filter_count=WORDS["filter_count"],
            days_ago=WORDS["days_ago"],
        )
    )
    return compact(page)


def _most(catalog: Catalog) -> int:
    """Return how many headlines a series shows: fewer where many series share the page."""
    number = len(catalog.series)
    return next((most for limit, most in MOST_HEADLINES.items() if number <= limit), 0)


@cache
def _script() -> tuple[Markup, str]:
    """Return the filter and its hash, so that the page's policy lets this script run and no other."""
    text = "\n".join(line.strip() for line in (TEMPLATES / "index.js").read_text("utf-8").splitlines())
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return Markup(text), f"sha256-{digest}"


def _lead(catalog: Catalog) -> str:
    series, versions = len(catalog.series), sum(len(series.versions) for series in catalog.series)
    if not series:
        return word("index_empty")
    return word(
        "index_lead",
        series=word("one_series") if series == 1 else word("many_series", number=series),
        versions=word("one_version") if versions == 1 else word("many_versions", number=versions),
    )


def _attention(catalog: Catalog, behind: Mapping[str, str]) -> list[Concern]:
    """Return what failed, what ran once and does not any more, what cannot be read, and what is behind."""
    failed = [_failure(series) for series in catalog.series if series.versions[0].status in FAILED]
    failed += [
        _lost(series) for series in catalog.series if series.versions[0].status == "not_run" and _good(series)
    ]
    damaged = Mark(word("unreadable"), "✕", "bad")
    lost = [Concern(path, "", damaged, word("unreadable_why")) for path in catalog.unreadable]
    late = []
    for series in catalog.series:
        good = _good(series)
        if good and series.series in behind:
            late.append(
                Concern(f"{series.series} v{good.version}", good.path, _behind_mark(), behind[series.series])
            )
    return failed + lost + _old_data(catalog) + late


def _behind_mark() -> Mark:
    return Mark(word("behind"), "◷", "warn")


def _old_data(catalog: Catalog) -> list[Concern]:
    """Say that the data of all reports end long before the newest run, which no series beside another shows."""
    versions = [version for series in catalog.series for version in series.versions]
    as_of = max((version.as_of for version in versions if version.as_of), default="")
    run = max((version.finished_at for version in versions), default="")[:10]
    if not as_of or (days := _days(as_of, run)) <= OLD_DAYS:
        return []
    mark = Mark(word("old_data"), "◷", "warn")
    why = word("old_data_why", as_of=as_of, days=days, run=run)
    return [Concern(word("old_data_name", as_of=as_of), "", mark, why)]


def _behind(series: CatalogSeries, catalog: Catalog) -> str:
    """Return why a series is behind, or nothing.

    It is when its last good version covers a day that lies further behind the newest day of any report than one
    and a half of the steps in which the series itself moves, and than a week. The rule looks at the catalogue
    alone, so that the same versions give the same page; how old the newest of them is, the reader's clock says.
    """
    good = _good(series)
    newest = max((v.as_of for s in catalog.series for v in s.versions if v.as_of), default="")
    if not good or not good.as_of or not newest:
        return ""
    days = sorted({version.as_of for version in series.versions if version.as_of})
    steps = [_days(a, b) for a, b in pairwise(days)]
    patience = max(PATIENCE_DAYS, 1.5 * median(steps) if steps else 0)
    if _days(good.as_of, newest) <= patience:
        return ""
    return word("behind_why", as_of=good.as_of, newest=newest, days=_days(good.as_of, newest))


def _days(first: str, last: str) -> int:
    try:
        return (date.fromisoformat(last[:10]) - date.fromisoformat(first[:10])).days
    except ValueError:
        return 0


def _failure(series: CatalogSeries) -> Concern:
    newest, good = series.versions[0], _good(series)
    note = word("kept", number=good.version) if good else word("never_good")
    name, kept = f"{series.series} v{newest.version}", good.path if good else ""
    return Concern(name, newest.path, status_mark(newest.status), _why(newest), note, kept)


def _why(version: CatalogVersion) -> str:
    """Say why a version did not succeed: what kind of end that is, and its message unless one says the other."""
    failure = version.failure
    if failure is None:
        return word(f"banner_{version.status}")
    headline = failure.headline[:LONGEST_MESSAGE]
    if failure.message.strip() and failure.kind in SAID_BY_MESSAGE:
        return headline[:1].upper() + headline[1:].rstrip(".") + "."
    kind = word(f"kind_{failure.kind}")
    return f"{kind} {headline}" if failure.message.strip() else kind


def _lost(series: CatalogSeries) -> Concern:
    """Return the concern about a report that could not be made any more, as when a table is gone."""
    newest, good = series.versions[0], _good(series)
    assert good is not None, "it ran before"
    mark = status_mark(newest.status)._replace(tone="warn")
    why = newest.failure.headline[:LONGEST_MESSAGE] if newest.failure else word("banner_not_run")
    note = word("no_longer", number=good.version)
    return Concern(f"{series.series} v{newest.version}", newest.path, mark, why, note, good.path)


def _good(series: CatalogSeries) -> CatalogVersion | None:
    return next((version for version in series.versions if version.version == series.latest), None)


def _row(series: CatalogSeries, behind: bool, most: int) -> Row:
    newest = series.versions[0]
    shown = _good(series) or newest
    marks = [status_mark(newest.status)] + ([_behind_mark()] if behind else [])
    parts = [word("about_version", number=shown.version)]
    parts += [word("about_as_of", as_of=shown.as_of)] if shown.as_of else []
    parts += [word("about_run", time=shown.finished_at[:16].replace("T", " "))]
    lines = [Line(headline, _course(series, headline)) for headline in shown.headlines[:most]]
    return Row(series, newest, shown, marks, lines, " · ".join(parts), _changed(series, shown))


def _course(series: CatalogSeries, headline: Headline) -> Markup:
    """Draw a headline over the versions that succeeded, oldest first."""
    points = [
        Point(version.version, same.value, same.low, same.high)
        for version in reversed(series.versions)
        if version.status == "succeeded"
        for same in version.headlines
        if same.id == headline.id and same.unit == headline.unit
    ]
    return sparkline(points, headline.metric, headline.unit)


def _changed(series: CatalogSeries, shown: CatalogVersion) -> tuple[str, str] | None:
    """Return the page that compares the shown version with an earlier one, where there is such a page."""
    for older in series.versions:
        name = f"v{older.version}-v{shown.version}.html"
        if older.version < shown.version and name in series.diffs:
            return word("what_changed", number=older.version), f"{series.series}/{DIFFS}/{name}"
    return None
