"""Contact lists of earlier reports that come back: whether more members acted than in the hold-out, once it is time.

The day of comparison was fixed when the list was made and stands in it, so nobody chooses it by what it shows.
"""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import NamedTuple

import ibis
import pandas as pd

from helpers.data.dialect import number
from helpers.data.guard import MOST_IDS, room_for
from helpers.data.privacy import MEMBER, pseudonymise, read_list
from helpers.data.source import pulled
from helpers.errors import BadData
from helpers.playbook.contact.trial import HOLDOUT, ListEvaluation, evaluate_list
from helpers.playbook.earlier import EarlierReport, EarlierReports, earlier_reports
from helpers.playbook.finding import Finding, finding
from helpers.playbook.result import Part, Result
from helpers.sentences import say
from helpers.study import Study, enough
from helpers.study.values import member_values
from helpers.tables import Table

COLUMNS = ["report", "list", "check_on", "contacted", "held_out", "contact", "holdout"]
COLUMNS += ["difference", "low", "high", "verdict"]


class Returned(NamedTuple):
    """A list whose day of comparison has come.

    Attributes
    ----------
    report : EarlierReport
        That made it.
    check_on : date
        The day.
    acted : ListEvaluation
        Share of its members who acted since it was made. Money is not compared: a few who spend much decide over it,
        and a hold-out of some dozens holds one of them or none.
    """

    report: EarlierReport
    check_on: dt.date
    acted: ListEvaluation


@dataclass(frozen=True, repr=False)
class ReturnedLists(Result):
    """What contacting the lists of earlier reports changed.

    Attributes
    ----------
    rows : tuple of Returned
        The newest list of each name that is due.
    """

    rows: tuple[Returned, ...] = ()

    @property
    def sentence(self) -> str:
        """What became of the lists, all in one line when there is none."""
        if not self.rows:
            return say("No contact list of an earlier report has come to its day of comparison.")
        return " ".join(each.acted.sentence for each in self.rows)

    @property
    def table(self) -> pd.DataFrame:
        """One row a list: report, list, check_on, contacted, held_out; share who acted in each arm, and their
        difference with low, high and verdict."""
        rows = [
            (
                *(f"{each.report.series} v{each.report.version}", each.acted.name, each.check_on),
                *(each.acted.contacted, each.acted.held_out, each.acted.contact, each.acted.holdout),
                *(*each.acted.difference[:3], each.acted.verdict),
            )
            for each in self.rows
        ]
        return pd.DataFrame(rows, columns=COLUMNS)

    def parts(self) -> Iterator[Part]:
        """Yield what became of the lists, and the numbers."""
        yield self.sentence
        if self.rows:
            yield say(
                "Everyone on a list counts, reached or not, so a list that nobody worked through shows no difference."
            )
            caption = say("Share who acted after the list was made, against its hold-out")
            units = dict.fromkeys(("contact", "holdout", "difference", "low", "high"), "share")
            yield Table("returned_lists", self.table, caption, units, members="held_out")

    def findings(self) -> Iterator[Finding]:
        """Yield the difference in the share who acted, of each list."""
        for each in self.rows:
            words = {"name": each.acted.name, "report": each.report.series}
            yield finding(
                each.acted.difference,
                id=f"{self.study.method or 'contact'}.list_{each.report.method}_{each.acted.name}",
                metric=say("Members of list {name} who acted, contact less hold-out", **words),
                scope=say("list {name} of {report}, until {day}", day=each.check_on, **words),
                sentence=each.acted.sentence,
                assumption=say("nothing but the list told the arms apart"),
                direction="up is good",
                change=True,
                definition="list_effect",
            )


def returned_lists(study: Study, reports: EarlierReports | None = None) -> ReturnedLists:
    """Return what contacting the lists of earlier reports changed.

    Parameters
    ----------
    study : Study
        Whose tables tell who acted.
    reports : EarlierReports, optional
        By default those that the study may read.

    Returns
    -------
    ReturnedLists
        Of each list the newest that is due, of a method's series ``all`` where there is one. A list of other members
        than those of the study, with too few held out, under another salt, or without a day does not come back.
    """
    reports = reports or earlier_reports(study)
    rows: dict[tuple[str, str], Returned] = {}
    if (told := study.of_members) is None:
        return ReturnedLists(study)
    study, ids = told, cache(lambda: _ids(told))
    whole = {one.method for one in reports.latest() if one.label == "all"}
    for series in reports.series:
        for report in reports.versions(series):
            if report.label == "all" or report.method not in whole:
                rows |= {(series, each.acted.name): each for each in _due(study, report, ids)}
    return ReturnedLists(study, tuple(rows.values()))


def _ids(study: Study) -> pd.Series:
    """Return the id of everybody who ever acted, by pseudonym: no engine knows these, so a row each leaves it."""
    with room_for(MOST_IDS):
        found = pulled(study.activity.select(MEMBER).distinct())[MEMBER]
    return found.set_axis(pseudonymise(found))


def _due(study: Study, report: EarlierReport, ids: Callable[[], pd.Series]) -> Iterator[Returned]:
    """Yield the lists of a report whose day has come."""
    if study.segment and report.parameters.get("segment") != study.segment:
        return
    for path in sorted((report.folder / "lists").glob("*.parquet")):
        listed = read_list(path)
        day = listed["check_on"].iloc[0] if "check_on" in listed and len(listed) else dt.date.max
        least = max(enough.HELD_OUT, study.k_min)
        if day <= study.as_of and (listed["arm"] == HOLDOUT).sum() >= least:
            with contextlib.suppress(BadData):  # made under another salt
                known = ids().reindex(listed[MEMBER]).dropna()
                yield _compared(study, listed, known, path.stem, report, day)


def _compared(
    study: Study, listed: pd.DataFrame, known: pd.Series, name: str, report: EarlierReport, day: dt.date
) -> Returned:
    """Compare the arms of a list by who of its `known` ids acted from the day after it was made until a day."""
    then = replace(study, as_of=day, given={"activity": study.activity})
    seen = member_values(then, (day - report.as_of).days)
    seen = seen.semi_join(ibis.memtable({MEMBER: known.to_list()}, schema={MEMBER: "string"}), MEMBER)
    outcomes = seen.mutate(acted=number(seen.frequency > 0))
    return Returned(report, day, evaluate_list(listed, outcomes, outcome="acted", kind="share", name=name))
