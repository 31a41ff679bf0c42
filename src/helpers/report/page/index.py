"""The first page a reviewer opens: every series, its latest report, and what needs attention."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from datetime import date
from functools import cache
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import NamedTuple

from markupsafe import Markup

from helpers import locale
from helpers.playbook.finding import Finding
from helpers.report import project
from helpers.report.page.plain import plain_index, reason
from helpers.report.page.report import TEMPLATES, environment, style
from helpers.report.page.sparkline import sparkline
from helpers.report.page.verdict import verdict
from helpers.report.page.wording import FAILURES, Mark, state_mark
from helpers.report.publish import catalog as catalogue
from helpers.report.publish import store
from helpers.report.publish.catalog import DIFFS, Catalog, CatalogSeries, CatalogVersion
from helpers.report.publish.manifest import dump_json
from helpers.report.redact import mask
from helpers.sentences import closed_up, say

MOST_HEADLINES = {10: 3, 20: 2, 60: 1}  # series on the page: headlines that each may show
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
    verdict : str
        The shown version in one sentence; empty when nothing was found.
    headlines : list of tuple of Finding and str
        Headlines of the shown version, each with its course over versions.
    changed : CatalogVersion or None
        The version that a page compares with the one shown.
    """

    series: CatalogSeries
    newest: CatalogVersion
    shown: CatalogVersion
    marks: list[Mark]
    verdict: str
    headlines: list[tuple[Finding, Markup]]
    changed: CatalogVersion | None

    @property
    def earlier(self) -> list[CatalogVersion]:
        """All versions but the one shown and the newest, newest first."""
        return [version for version in self.series.versions if version not in (self.shown, self.newest)]


def rebuild(reports: Path) -> Catalog:
    """Write ``catalog.json`` and ``index.html`` from the published versions, and return the catalogue.

    Safe beside other processes: each file is replaced in one step, and the folder is looked at again after
    writing, so that whoever writes last has seen everything that was published before its write.
    """
    reports.mkdir(parents=True, exist_ok=True)
    while True:
        seen = store.published(reports)
        found = catalogue.build(reports, catalogue.unchanged(reports))
        store.replace_file(reports / "catalog.json", dump_json(found.model_dump(mode="json")).encode())
        store.replace_file(reports / "index.html", _page(found).encode())
        if store.published(reports) == seen:
            return found


def _page(found: Catalog) -> str:
    """Return the index, in the language of all series or else in English.

    Where it cannot be built, it is a plain list of the versions, with the reason.
    """
    languages = {project.language_of(series.series) for series in found.series}
    try:
        with locale.spoken(languages.pop() if len(languages) == 1 else "en"):
            return index_html(found)
    except Exception as error:  # what was published must stay in reach
        versions = {each.path: each.status for series in found.series for each in series.versions}
        return plain_index(versions, found.unreadable, mask(reason(error)))


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
    versions = [version for series in catalog.series for version in series.versions]
    behind = {series.series: why for series in catalog.series if (why := _behind(series, versions))}
    most = next((most for limit, most in MOST_HEADLINES.items() if len(catalog.series) <= limit), 0)
    rows = [_row(series, series.series in behind, most) for series in catalog.series]
    return (
        environment()
        .get_template("index.html.j2")
        .render(
            css=style("index.css"),
            script=script,
            script_hash=script_hash,
            diffs=DIFFS,
            versions=len(versions),
            newest=max((version.finished_at for version in versions), default="")[:16],
            attention=_attention(catalog, versions, behind),
            rows=rows,
            states=list(dict.fromkeys(mark.word for row in rows for mark in row.marks)),
        )
    )


@cache
def _script() -> tuple[Markup, str]:
    """Return the filter and its hash, so that the page's policy lets this script run and no other."""
    text = (TEMPLATES / "index.js").read_text("utf-8")
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return Markup(text), f"sha256-{digest}"


# --- what needs attention ------------------------------------------------------------------------------------------


def _attention(catalog: Catalog, versions: list[CatalogVersion], behind: Mapping[str, str]) -> list[Concern]:
    """Return what failed, what ran once and does not any more, what cannot be read, and what is behind."""
    newest = [(series, series.versions[0].status) for series in catalog.series]
    failed = [_failure(series) for series, status in newest if status in FAILED]
    failed += [_failure(series) for series, status in newest if status == "not_run" and _good(series)]
    unreadable = Mark(say("unreadable"), "✕", "bad")
    damaged = [
        Concern(path, "", unreadable, say("The manifest of this version cannot be read."))
        for path in catalog.unreadable
    ]
    late = [
        Concern(f"{series.series} v{good.version}", good.path, _behind_mark(), behind[series.series])
        for series in catalog.series
        if series.series in behind and (good := _good(series))
    ]
    return [*failed, *damaged, *_old_data(versions), *late]


def _failure(series: CatalogSeries) -> Concern:
    """Return the concern about a run that failed, or about a report that could not be made any more."""
    newest, good = series.versions[0], _good(series)
    mark, why = state_mark(newest.status), _why(newest)
    note = say("No version has succeeded yet.")
    if good:
        note = say("Version {number} is the last that succeeded.", number=good.version)
    if newest.status == "not_run":  # it ran before, and now a table is gone
        mark = mark._replace(tone="warn")
    name, kept = f"{series.series} v{newest.version}", good.path if good else ""
    return Concern(name, newest.path, mark, why, note, kept)


def _why(version: CatalogVersion) -> str:
    """Say why a version did not succeed: what kind of end that is, and its message unless one says the other."""
    failure = version.failure
    assert failure is not None, "it did not succeed"
    headline = failure.headline[:LONGEST_MESSAGE]
    if failure.message.strip() and failure.kind in SAID_BY_MESSAGE:
        return headline if headline.endswith("。") else headline[:1].upper() + headline[1:].rstrip(".") + "."
    kind = say(FAILURES[failure.kind])
    return closed_up(f"{kind} {headline}") if failure.message.strip() else kind


def _old_data(versions: list[CatalogVersion]) -> list[Concern]:
    """Say that the data of all reports end long before the newest run, which no series beside another shows."""
    as_of = _newest_day(versions)
    run = max((version.finished_at for version in versions), default="")[:10]
    if not as_of or (days := _days(as_of, run)) <= OLD_DAYS:
        return []
    why = "The newest day of any report is {as_of}, {days:,} days before the newest run, {run}."
    said = say(why, as_of=as_of, days=days, run=run)
    return [Concern(say("Data end {as_of}", as_of=as_of), "", Mark(say("old data"), "◷", "warn"), said)]


def _behind_mark() -> Mark:
    return Mark(say("behind"), "◷", "warn")


def _behind(series: CatalogSeries, all_versions: list[CatalogVersion]) -> str:
    """Return why a series is behind, or nothing.

    It is when its last good version covers a day that lies further behind the newest day of any report than one
    and a half of the steps in which the series itself moves, and than a week. The rule looks at the catalogue
    alone, so that the same versions give the same page; how old the newest of them is, the reader's clock says.
    """
    good, newest = _good(series), _newest_day(all_versions)
    if not good or not good.as_of or not newest:
        return ""
    steps = [_days(a, b) for a, b in pairwise(sorted({one.as_of for one in series.versions if one.as_of}))]
    patience = max(PATIENCE_DAYS, 1.5 * median(steps) if steps else 0)
    days = _days(good.as_of, newest)
    why = "As of {as_of}, {days} days before the newest day of any report, {newest}."
    return say(why, as_of=good.as_of, newest=newest, days=days) if days > patience else ""


def _newest_day(versions: list[CatalogVersion]) -> str:
    return max((version.as_of for version in versions if version.as_of), default="")


def _days(first: str, last: str) -> int:
    try:
        return (date.fromisoformat(last[:10]) - date.fromisoformat(first[:10])).days
    except ValueError:
        return 0


def _good(series: CatalogSeries) -> CatalogVersion | None:
    return next((version for version in series.versions if version.version == series.latest), None)


# --- all series ----------------------------------------------------------------------------------------------------


def _row(series: CatalogSeries, behind: bool, most: int) -> Row:
    newest = series.versions[0]
    shown = _good(series) or newest
    marks = [state_mark(newest.status)] + ([_behind_mark()] if behind else [])
    headlines = [(headline, _course(series, headline)) for headline in shown.headlines[:most]]
    earlier = (version for version in series.versions if version.version < shown.version)
    pages = (one for one in earlier if f"v{one.version}-v{shown.version}.html" in series.diffs)
    said = verdict(shown.headlines, shown.decision) if shown.headlines else ""
    return Row(series, newest, shown, marks, said, headlines, next(pages, None))


def _course(series: CatalogSeries, headline: Finding) -> Markup:
    """Draw a headline over the versions that succeeded, oldest first."""
    points = [
        (version.version, same)
        for version in reversed(series.versions)
        if version.status == "succeeded"
        for same in version.headlines
        if same.id in (headline.id, *headline.aliases) and same.unit == headline.unit
        if same.definition in ("", headline.definition)
    ]
    return sparkline(points)
