"""What silence costs: value of a period of members who stayed active minus that of members who fell silent.

A member who is silent (no counted action) may still buy: where only interactions break silence, orders do not. What
is at stake is therefore not the whole value of a period but the difference between the two outcomes, and it can be
nothing. It is measured on closed windows within thirds of the value predicted before each window, because members
who fall silent are also those of whom less was expected. What is left is an association: those who fall silent
might have bought less anyhow, so the difference is at most what keeping somebody active can save.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import ibis
import pandas as pd

from helpers.data.source import of_sample, pulled
from helpers.methods.outlook import plots
from helpers.methods.outlook.member_value import MemberValue
from helpers.playbook.finding import Finding, finding
from helpers.playbook.result import Part, Result
from helpers.sentences import quantity, say, with_interval
from helpers.stats.estimate import Estimate, estimate_of, unknown
from helpers.stats.forecast.value_judging import THIRDS, compare_outcomes, thirds
from helpers.study import Study


@dataclass(frozen=True, repr=False)
class SilenceCost(Result):
    """Cost of silence by third of predicted value.

    Attributes
    ----------
    table : pandas.DataFrame
        One row per third, 1 = least predicted value: third, n (rows of member and window), silent (rows),
        active_value, silent_value (mean value of a window), value (their difference), low, high. Empty without a
        judged window.
    windows, horizon_days : int
        Closed windows looked at, and their length.
    """

    table: pd.DataFrame = field(repr=False)
    windows: int
    horizon_days: int

    def of(self, third: int) -> Estimate:
        """Return the cost of silence in a third, 1 to 3; unknown with too few members."""
        if self.table.empty:
            return unknown(0, self.study.unit, self.study.confidence)
        row = self.table[self.table["third"] == third].iloc[0]
        how = ("difference of means, clustered by member", self.study.confidence)
        return estimate_of(row, int(row["n"]), *how, value="value", unit=self.study.unit)

    @property
    def smallest(self) -> int | None:
        """Times that a member fell silent, in the known third with the fewest."""
        known = self.table.dropna(subset=["value"]) if len(self.table) else self.table
        return int(known["silent"].min()) if len(known) else None

    @property
    def sentence(self) -> str:
        """What silence costs in the third of highest predicted value."""
        found = self.of(THIRDS)
        if not found.known:
            return say("What silence costs: too little data.")
        text = (
            "In the best third of members, silence for {days} days goes with {value} less a member. At most this "
            "much can be saved: who falls silent might have bought less anyhow."
        )
        if found.low <= 0:
            text = (
                "Silence costs no sales that can be seen here: in the best third of members it goes with {value} "
                "less a member in {days} days."
            )
        return say(text, value=with_interval(found), days=self.horizon_days)

    def parts(self) -> Iterator[Part]:
        """Yield what silence costs, and the values behind it."""
        yield self.sentence
        known = self.table.dropna(subset=["value"]) if len(self.table) else self.table
        text = "{drawn} {w} windows of {h} days; members active in the {a} days before."
        note = say(
            text, drawn=self.study.drawn, w=self.windows, h=self.horizon_days, a=self.study.silence_days
        )
        yield plots.silence_cost(known, self.study.unit, note)

    def findings(self) -> Iterator[Finding]:
        """State what silence costs in the third of highest predicted value."""
        found = self.of(THIRDS)
        value = quantity(found.value, self.study.unit)
        yield finding(
            found, id="outlook.silence_cost",
            metric=say("value lost to {h} days of silence, a member of the best third", h=self.horizon_days),
            scope=self.study.scope, sentence=self.sentence,
            assumption=say("members who fell silent and who did not differ by nothing but predicted value"),
            direction="down is good", systems=("S026", "S028"),
            headline=say("silence goes with {value} less from each of the best members", value=value),
            n_of="times a member was active", picture="silence_cost",
        )  # fmt: skip


def silence_cost(study: Study, values: MemberValue) -> SilenceCost:
    """Return what silence costs, from the judged windows of predicted value.

    Parameters
    ----------
    study : Study
        Its counted actions break silence.
    values : MemberValue
        Its `windows` hold predicted and realised value of each member present when a window began.
    """
    table, judged = pd.DataFrame(), values.windows
    if len(judged):
        days = of_sample(study.member_days, values.share, study.seed)
        parts = [
            _outcomes(split, window, days, study.silence_days, values.horizon_days)
            for split, window in judged.groupby("split")
        ]
        table = compare_outcomes(pd.concat(parts, ignore_index=True), study.confidence)
    windows = judged["split"].nunique() if len(judged) else 0
    return SilenceCost(study, table, windows, values.horizon_days)


def _outcomes(
    split: Any, window: pd.DataFrame, days: ibis.Table, active_days: int, horizon_days: int
) -> pd.DataFrame:
    """Return the members of a window who were active when it began, with third and silent."""
    ahead = days.day.delta(ibis.date(split), unit="day")
    found = days.group_by("member_id").agg(
        awake=ahead.between(1 - active_days, 0).any(), acted=ahead.between(1, horizon_days).any()
    )
    acted = pulled(found.filter("awake").drop("awake")).set_index("member_id")["acted"]
    here = window[window["member_id"].isin(acted.index)]
    third = thirds(here["predicted"].to_numpy(float))
    return here.assign(third=third, silent=~here["member_id"].map(acted).astype(bool))
