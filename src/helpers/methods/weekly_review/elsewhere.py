"""What other reports say: by topic, which are missing or failed, and what late data made of what was said before."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import pandas as pd

from helpers.methods.weekly_review.answer import Answer, framed
from helpers.methods.weekly_review.metrics import ALL, WeeklyMetrics, ranged
from helpers.methods.weekly_review.moves import Moves, judged, weekly_move
from helpers.playbook.earlier import EarlierReport, EarlierReports
from helpers.playbook.result import Part, Result
from helpers.playbook.since import incomparable, pair
from helpers.sentences import quantity, say
from helpers.study import Study
from helpers.tables import Table

TOPICS = {
    "money": ("Money spent and earned", ("budget", "attribution", "creators", "spillover")),
    "experiments": ("Experiments and tests", ("ab_test",)),
    "community": ("Members and community", ("rfm", "retention", "outlook", "community", "voice")),
    "content": ("Posts, funnels and alerts", ("content", "funnel", "alerts")),
}
"""Topic to its title and the methods whose reports it tells, the most important first."""
OF_EACH = 3
"""Findings of a report that a topic shows; the others are behind its link."""
STALE = 8
"""Days after which a report is not of this week."""


def topic(study: Study, reports: EarlierReports, name: str) -> Answer:
    """Return what the newest reports say of a topic: money, experiments, community or content.

    Told is the first sentence of the first; the table has the first known findings of each report.
    """
    title, methods = TOPICS[name]
    asked = [one for one in reports.latest() if one.method in methods]
    asked.sort(key=lambda one: (methods.index(one.method), one.label != ALL, one.label))
    known = [(one, [each for each in one.findings if each.value is not None]) for one in asked]
    found = [(report, one) for report, each in known for one in each[:OF_EACH]]
    if not found:
        return Answer(study, say("{topic}: not run, there is no report of it.", topic=say(title)))
    rows = [
        (one.metric, ranged(one), one.verdict, one.n, report.series, str(report.as_of))
        for report, one in found
    ]
    table = pd.DataFrame(rows, columns=["number", "value", "verdict", "n", "report", "as_of"])
    table["verdict"] = table["verdict"].replace("stated", "measured").map(say)
    caption = say("{topic}: what the newest reports found first", topic=say(title))
    text = say("{topic}: {sentence}", topic=say(title), sentence=found[0][1].sentence)
    return Answer(study, text, framed(table, f"topic_{name}", caption))


def report_health(study: Study, reports: EarlierReports) -> Answer:
    """Return which reports there are, how old they are, and which failed or were never made."""
    rows, own = [], reports.own
    for one in (each for each in reports.latest() if each.method != own):
        state = "old" if (reports.as_of - one.as_of).days >= STALE else "of this week"
        rows.append((one.series, str(one.as_of), "", state))
    failed = [one for one in reports.troubles() if one.series.partition("/")[0] != own]
    rows += [(one.series, str(one.as_of), one.reason or one.status, "failed") for one in failed]
    there = {own, *(row[0].partition("/")[0] for row in rows)}
    rows += [(name, "", "", "missing") for name in study.reads_reports if name not in there]
    table = pd.DataFrame(rows, columns=["report", "as_of", "reason", "state"])
    names = {
        state: ", ".join(table.loc[table["state"] == state, "report"])
        for state in ("failed", "old", "missing")
    }
    words = {state: text or say("none") for state, text in names.items()}
    text = "{n} reports of this week; failed: {failed}; older: {old}; missing: {missing}."
    caption = say("Reports that the review may read, and the state of each")
    table["state"] = table["state"].map(say)
    count = len(rows) - int(table["state"].isin([say(state) for state in words]).sum())
    return Answer(study, say(text, n=count, **words), framed(table, "reports_read", caption))


class Restatement(NamedTuple):
    """A number that later data changed: where, of when, what was said, what it is now, and both verdicts."""

    where: str
    title: str
    when: str
    unit: str
    said: float
    now: float
    verdict_said: str
    verdict_now: str

    @property
    def flipped(self) -> bool:
        """Whether the verdict is another."""
        return self.verdict_said != self.verdict_now


@dataclass(frozen=True, repr=False)
class Restated(Result):
    """What was said last week and says something else now.

    Attributes
    ----------
    rows : tuple of Restatement
        Flipped verdicts first.
    redefined : tuple of str
        Numbers whose definition changed, which are not compared.
    looked : int
        Earlier reviews and versions that were looked at.
    """

    rows: tuple[Restatement, ...]
    redefined: tuple[str, ...]
    looked: int

    @property
    def sentence(self) -> str:
        """Which verdicts flipped, else how many numbers changed."""
        if not self.looked:
            return say("Said last week, says now: there is no earlier review to hold this one against.")
        if not self.rows:
            return say("Said last week, says now: nothing that was said before was changed by later data.")
        flipped = [one for one in self.rows if one.flipped]
        if not flipped:
            return say(
                "Said last week, says now: later data changed {n} numbers, and no verdict.", n=len(self.rows)
            )
        one = flipped[0]
        words = {"title": one.title, "when": one.when, "n": len(flipped)}
        words |= {"was": say(one.verdict_said), "is": say(one.verdict_now)}
        words |= {"said": quantity(one.said, one.unit), "now": quantity(one.now, one.unit)}
        text = "Late data flipped {n} verdicts: {title} of {when} was {said} ({was}) and is {now} ({is})."
        return say(text, **words)

    def parts(self) -> Iterator[Part]:
        """Yield what changed, what was redefined, and the table."""
        yield self.sentence
        if self.redefined:
            yield say(
                "Measured by another definition since, so not compared: {names}.",
                names=", ".join(self.redefined),
            )
        if self.rows:
            frame = pd.DataFrame(
                [(*one, one.flipped) for one in self.rows], columns=[*Restatement._fields, "flipped"]
            )
            yield Table("restated", frame, say("What was said before, and what it is by the data of today"))


def restated(moves: Moves, reports: EarlierReports) -> Restated:
    """Return what the newest earlier review said of its week and today's data say otherwise, and restated reports.

    Parameters
    ----------
    moves : Moves
        The week, for its series.
    reports : EarlierReports
        With earlier reviews and versions of other reports.
    """
    weekly, rows, redefined = moves.weekly, list[Restatement](), list[str]()
    before = reports.newest(reports.own) if reports.own else None
    if before is not None:
        found, redefined = _own(weekly, before)
        rows += found
    pairs = [each for name in reports.series for each in reports.restated(name)]
    for old, new in pairs:
        for one, two in pair(old.findings, new.findings).values():
            if one is None or two is None or incomparable(one, two) or one == two:
                continue
            if one.value is not None and two.value is not None and one.value != two.value:
                rows.append(Restatement(new.series, two.metric, str(new.as_of), two.unit, one.value, two.value,
                                        one.verdict, two.verdict))  # fmt: skip
    rows.sort(key=lambda one: (not one.flipped, one.where, one.title))
    return Restated(weekly.study, tuple(rows), tuple(redefined), len(pairs) + (before is not None))


def _own(weekly: WeeklyMetrics, before: EarlierReport) -> tuple[list[Restatement], list[str]]:
    """Return what became of the weekly numbers and verdicts of an earlier review, judged again by today's data."""
    said, values = before.table("moved"), before.table("weekly_metrics")
    if said is None or values is None or values.empty:
        return [], []
    week = pd.Timestamp(values["window_start"].max())
    definitions = values.drop_duplicates("metric").set_index("metric")["definition_id"]
    then = weekly.until(week)
    own = {metric.id: metric for metric in then.known}
    again = judged([one for metric in own.values() if (one := weekly_move(then, metric)) is not None],
                   1 - weekly.study.confidence)  # fmt: skip
    rows, redefined = [], []
    for old in said[~said["id"].str.contains("#")].to_dict("records"):
        one = next((each for each in again if each.id == old["id"]), None)
        if old["id"] in definitions and (old["id"] not in own or definitions[old["id"]] != old["id"]):
            redefined.append(str(old["number"]))
        if (
            one is None
            or old["number"] in redefined
            or pd.isna(old["current"])
            or pd.isna(one.change.current)
        ):
            continue
        same = abs(one.change.current - old["current"]) <= 1e-9 * max(abs(old["current"]), 1.0)
        if not same:
            when = say("the week of {week}", week=week.date())
            rows.append(Restatement(before.series, one.title, when, one.change.delta.unit, old["current"],
                                    one.change.current, old["verdict"], one.verdict))  # fmt: skip
    return rows, redefined
