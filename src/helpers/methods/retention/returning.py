"""Silence is not churn: how many of the silent come back, and how long a silence has to be to mean something.

Definitions
-----------
After its last active day a member is silent. A declaration at threshold d is made on the d-th full day of silence
of a spell (see :mod:`helpers.study.days`): the member has neither been active nor left for d days. The
return curve F_d(h) is the probability to be active again within h more days. Observation ends at `as_of`
(censoring); leaving competes with coming back: see :mod:`helpers.stats.incidence` for the estimate, its interval and
what is enough. A member who returns and falls silent again is declared again:
the unit is the declaration, since each is a decision that may be wrong.

The false-churn share at threshold d is F_d(:data:`HORIZON`): of all declarations "churned after d silent days", the
share that the member's return proved wrong within the horizon. A threshold may be called churn when the upper bound
of that share stays within what is allowed: with few declarations the estimate alone would qualify by luck. Where
none qualifies there is no silence that means churn, and members are better counted as active or dormant, two states
with a way back (:mod:`helpers.methods.retention.presence`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import ibis
import numpy as np
import pandas as pd

from helpers.data.dialect import stored
from helpers.figures import INK, SEQUENTIAL, Chart, NoChart, new_figure
from helpers.methods.retention.plots import SHARES, name_ends, share_axis
from helpers.playbook.finding import Finding, finding
from helpers.playbook.result import Result
from helpers.sentences import part_of, percent, say, with_interval
from helpers.stats.estimate import Estimate, estimate_of, proportion, unknown
from helpers.stats.incidence import incidence_shares
from helpers.study import Study
from helpers.tables import Table

THRESHOLDS = (7, 14, 30, 60, 90)
"""Days of silence that are tried, beside those after which a member counts as silent."""
HORIZON = 90
"""Further days within which a return counts."""


@dataclass(frozen=True, repr=False)
class Returns(Result):
    """How many silent members come back, and which silence may be called churn.

    Attributes
    ----------
    shares : pandas.DataFrame
        threshold (days of silence), declarations, members, returned (within the horizon), share, low, high.
    curves : pandas.DataFrame
        threshold, day (of further silence), share: the whole curves.
    spells : pandas.DataFrame
        time (days of silence), end ("returned", "left" or "open"), n: the cells behind everything.
    allowed : float
        Largest share of members called churned who come back all the same.
    """

    shares: pd.DataFrame
    curves: pd.DataFrame
    spells: pd.DataFrame
    allowed: float

    def share(self, threshold: int | None = None) -> Estimate:
        """Return the share that comes back within the horizon after a silence; n counts silences.

        By default after as many days as make a member silent; unknown of too few members.
        """
        days = self.study.silence_days if threshold is None else threshold
        row = self.shares[self.shares["threshold"] == days].iloc[0]
        if row["members"] < self.study.k_min:
            return unknown(0, "share", self.study.confidence)
        return estimate_of(
            row, row["declarations"], "Aalen-Johansen, clustered by member", self.study.confidence
        )

    def told_of(self, days: int) -> str:
        """Say how many come back after so many days of silence."""
        share = self.share(days)
        return with_interval(share) if share.known else say("too little data")

    def silent_now(self, days: int) -> tuple[int, Estimate]:
        """Return how many present members, of those ever active, have been silent for so long, and their share."""
        still = self.spells[self.spells["end"] == "open"]
        silent = int(still.loc[still["time"] >= days, "n"].sum())
        return silent, proportion(silent, int(still["n"].sum()), self.study.confidence)

    @property
    def table(self) -> pd.DataFrame:
        """In words: days_silent, silent_now (of the present members), came_back (of all who were silent so long).

        Silent members are not counted out when they, or the others, are fewer than `k_min`.
        """
        rows = []
        for days in self.shares["threshold"]:
            silent, part = self.silent_now(days)
            now = part_of(silent, part.n, self.study.k_min)
            if now == f"{silent:,}" and part.known:
                share, low, high = (percent(number) for number in part[:3])
                now = say("{n}: {share} ({low} to {high})", n=now, share=share, low=low, high=high)
            rows.append({"days_silent": days, "silent_now": now, "came_back": self.told_of(days)})
        return pd.DataFrame(rows)

    @property
    def churned_after(self) -> int | None:
        """The shortest silence that may be called churn; None when none may."""
        rows = self.shares
        chosen = rows.loc[rows["low"].notna() & (rows["high"] <= self.allowed), "threshold"]
        return int(chosen.iloc[0]) if len(chosen) else None

    @property
    def sentence(self) -> str:
        """How many come back, and which silence may be called churn, or that none should be."""
        days = self.study.silence_days
        text = "Back within {h} days, of members silent for {d} days: {share}. {verdict}"
        return say(text, h=HORIZON, d=days, share=self.told_of(days), verdict=self.verdict)

    @property
    def verdict(self) -> str:
        """Which silence may be called churn, or that members should be called dormant instead."""
        days, known = self.churned_after, self.shares.dropna(subset=["low"])["threshold"]
        text = (
            "After {d} silent days at most {allowed} of members called churned come back within {h} days: {share}. "
            "No shorter silence that was tried qualifies."
        )
        if not len(known):
            return say("After which silence members may be called churned: too little data.")
        if days is None:
            days = known.max()
            text = (
                "No silence that was tried is sure to mean churn. Back within {h} days, of members silent for {d} "
                "days: {share}; at most {allowed} was allowed. Count members as active or dormant and let them "
                "return, instead of calling them churned."
            )
        return say(
            text, d=int(days), allowed=percent(self.allowed, 0), h=HORIZON, share=self.told_of(int(days))
        )

    def figure(self) -> Chart | NoChart:
        """Draw the share of silent members who come back, by how long they had been silent."""
        known = [days for days in self.shares["threshold"] if self.share(days).known]
        shown = self.shares[self.shares["threshold"].isin(known)]
        if not known:
            return NoChart(say("Who comes back after silence"), self.sentence, "return_curves")
        figure, ax = new_figure(7.2, 4.0)
        ends = []
        for threshold, shade in zip(known, np.linspace(0.35, 1.0, len(known)), strict=True):
            rows = self.curves[(self.curves["threshold"] == threshold) & (self.curves["day"] <= HORIZON)]
            ax.step(rows["day"], rows["share"], where="post", color=SEQUENTIAL(shade), linewidth=2)
            ends.append(
                (float(rows["share"].iloc[-1]), float(HORIZON), say("{d} days silent", d=threshold), INK)
            )
        name_ends(ax, ends)
        share_axis(ax, 1.2 * max(end[0] for end in ends) + 0.05, say("Share who came back"))
        ax.set(xlim=(0, HORIZON), xlabel=say("Days after the silence was counted"))
        text, last = "After {d} silent days {share} still come back within {h} days", self.share(known[-1])
        title = say(text, d=known[-1], share=percent(last.value, 0), h=HORIZON)
        text = "{drawn} Leaving competes with coming back; intervals are clustered by member."
        columns = ["threshold", "declarations", "members", "returned", "share", "low", "high"]
        names = {"threshold": "days_silent", "declarations": "silences", "share": "came_back"}
        data, note = shown[columns].rename(columns=names), say(text, drawn=self.study.drawn)
        kind = say("Rising curves of return")
        return self.drawn("return_curves", kind, title, data, figure, note=note, units=SHARES)

    def tables(self) -> Iterator[Table]:
        """Yield who is silent now."""
        caption = say("Present members silent now; share back within {h} days (n: silences)", h=HORIZON)
        yield Table("churned", self.table, caption)

    def findings(self) -> Iterator[Finding]:
        """Yield how many members come back who were silent for as many days as make a member silent."""
        share, days = self.share(), self.study.silence_days
        text = "{share} of those silent for {d} days come back within {h} more"
        yield finding(
            share,
            id="retention.false_churn",
            metric=say("back within {h} days after {days} silent ones", days=days, h=HORIZON),
            scope=self.study.scope,
            sentence=self.sentence,
            assumption=say("members who fall silent now come back like those before"),
            systems=("S026", "S027"),
            headline=say(text, share=percent(share.value, 0), d=days, h=HORIZON),
            n_of="silences",
            definition="silent",
            picture="return_curves",
        )


def returns(study: Study, *, allowed: float = 0.1) -> Returns:
    """Return the probability to come back after so many days of silence.

    Parameters
    ----------
    study : Study
        Activity and population.
    allowed : float
        Largest share of members called churned who come back all the same.
    """
    rows, cells = silences(study)
    tried = sorted({*THRESHOLDS, study.silence_days})
    shares, curves = incidence_shares(rows, cells, tried, HORIZON, study.confidence)
    return Returns(study, shares, curves, cells, allowed)


def silences(study: Study) -> tuple[ibis.Table, pd.DataFrame]:
    """Return every silence: member_id, time (days until its end) and end; and their number n by time and end."""
    table = study.spells
    back = table.after.notnull()
    rows = stored(
        table.select(
            "member_id",
            time=ibis.cases((back, table.after), else_=table["last"] - table["at"]),
            end=ibis.cases((back, "returned"), (table.left, "left"), else_="open"),
        )
    )
    cells = rows.group_by("time", "end").agg(n=rows.count()).to_pandas()
    cells = cells.astype({"time": "int64", "end": "object", "n": "int64"})
    return rows, cells.sort_values(["time", "end"], ignore_index=True)
