"""Whether chances that earlier reviews stated can be trusted: what they promised, and what came of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from helpers.playbook.earlier import EarlierReports
from helpers.playbook.finding import Finding, finding
from helpers.playbook.propose import Proposed
from helpers.playbook.result import Result
from helpers.playbook.verify import REVIEW
from helpers.sentences import number, say
from helpers.stats.estimate import proportion
from helpers.stats.goals import Goal, came_to, period
from helpers.stats.weeks import Kept, promises
from helpers.study.weekly import ALL, BY_ID, WeeklySeries
from helpers.tables import Table


@dataclass(frozen=True, repr=False)
class TrackRecord(Result):
    """What earlier reviews promised, and what came of it.

    Attributes
    ----------
    table : pandas.DataFrame
        One row a promise whose period is over: goal, scope, period, said_on, p_hit, target, came_to, hit.
    kept : Kept
        Of the first promise for each goal, as later ones of the same goal are no news.
    brier : float
        Mean squared error of all promises.
    """

    table: pd.DataFrame = field(repr=False)
    kept: Kept
    brier: float

    @property
    def verdict(self) -> str:
        """Whether the promises were too high, too low or as they came; empty with too few."""
        if not self.kept.n or self.kept.p > 1 - self.study.confidence:
            return ""
        return "too high" if self.kept.promised > self.kept.came else "too low"

    @property
    def sentence(self) -> str:
        """How the promises came true."""
        if not self.kept.n:
            text = "Not known yet: no goal for which an earlier review stated a chance has come to its end."
            return say(text)
        hits = round(self.kept.came * self.kept.n)
        words = {"n": self.kept.n, "promised": number(self.kept.promised * self.kept.n, 1), "hits": hits,
                 "brier": number(self.brier, 3)}  # fmt: skip
        texts = {
            "too high": "Own forecasts are too high: of {n} goals {promised} were promised and {hits} were met "
            "(Brier score {brier}). Take the chances on this page for smaller than they say.",
            "too low": "Own forecasts are too low: of {n} goals {promised} were promised and {hits} were met "
            "(Brier score {brier}).",
            "": "Own track record: of {n} goals {promised} were promised and {hits} were met "
            "(Brier score {brier}; .25 is tossing a coin). Nothing speaks against the chances on this page.",
        }  # fmt: skip
        return say(texts[self.verdict], **words)

    def findings(self) -> Iterator[Finding]:
        """State how many of the goals that are over were met."""
        if self.kept.n:
            met = proportion(round(self.kept.came * self.kept.n), self.kept.n, self.study.confidence)
            yield finding(
                met, id=f"{REVIEW}.goals_met", metric=say("goals met, of those with a stated chance"),
                scope=say("goals that are over"), sentence=self.sentence, direction="up is good", n_of="checks",
                assumption=say("one goal says nothing of another"), systems=("S193", "S194"),
            )  # fmt: skip

    def tables(self) -> Iterator[Table]:
        """Yield all promises."""
        if len(self.table):
            caption = say("Every chance that earlier reviews stated for goals that are over, and what came")
            yield Table("track_record", self.table, caption, {"p_hit": "share"})

    def proposals(self) -> Iterator[Proposed]:
        """Propose to plan with smaller chances when they were too high."""
        if self.verdict == "too high":
            told = {"told": self.sentence}
            yield Proposed(f"{REVIEW}.lower_chances", (f"{REVIEW}.goals_met",), fields=told)


def track_record(weekly: WeeklySeries, reports: EarlierReports) -> TrackRecord:
    """Return how the chances that earlier reviews stated came true.

    Parameters
    ----------
    weekly : WeeklySeries
        The series, which say what came.
    reports : EarlierReports
        With the earlier reviews among them.
    """
    rows = []
    own = [name for name in reports.series if name.partition("/")[0] == reports.own]
    for report in (version for name in own for version in reports.versions(name)):
        table = report.table("goals")
        for row in () if table is None else table.to_dict("records"):
            span, metric = period(str(row["period"])), BY_ID.get(row["metric"])
            if span is None or metric is None or not np.isfinite(row["p_hit"]):
                continue
            goal = Goal(metric.kind, *span, row["target"], row["direction"] != "down")
            came = came_to(weekly.series(metric.id, row.get("scope", ALL)), goal)
            if np.isfinite(came):
                rows.append((row["goal"], row["scope"], row["period"], str(report.as_of), row["p_hit"], goal.target,
                             came, bool(came >= goal.target if goal.up else came <= goal.target)))  # fmt: skip
    columns = ["goal", "scope", "period", "said_on", "p_hit", "target", "came_to", "hit"]
    table = pd.DataFrame(rows, columns=columns).sort_values("said_on", kind="stable", ignore_index=True)
    first, every = (promises(each["p_hit"].tolist(), each["hit"].tolist())
                    for each in (table.drop_duplicates(["goal", "scope", "period"]), table))  # fmt: skip
    return TrackRecord(weekly.study, table, first, every.brier)
