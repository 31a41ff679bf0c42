"""Who orders next: the chance of an order in the coming days, for everybody present.

The rows are those of :mod:`helpers.stats.forecast.landmarks` that count orders: what breaks silence is an order, and
other actions, like pushes and views, are signals. An order is any row of orders, tips and memberships too. Members
without an order on record are among them. The contest is held forward in time as for silence, and only the form of
the model that earlier windows have corrected is used: before there is a window to judge it on, nothing is foretold.

A chance is not an effect: who will order anyway needs no benefit, and whether a benefit changes what somebody does
is for an experiment to tell.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field

import ibis
import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from helpers.checks import check_confidence
from helpers.data import privacy
from helpers.sentences import interval, number, percent, say
from helpers.stats.estimate import Estimate
from helpers.stats.forecast.backtest import Backtest, backtest
from helpers.stats.forecast.calibration import by_group, groups
from helpers.stats.forecast.landmarks import landmarks
from helpers.stats.forecast.next_period import (
    expected_number,
    levels,
    probabilities,
    provisional,
    share_of,
)
from helpers.stats.forecast.outcomes import ORDERED, PRESENT
from helpers.stats.forecast.period_features import columns_of


@dataclass(frozen=True)
class Purchases:
    """Chances of an order in the next period.

    Attributes
    ----------
    members : pandas.DataFrame
        One row per present member: member_id, ordered (whether there is an order on record), probability, tenth
        (10 = most likely); ordered by member_id. Probability and tenth are missing when there is too little data.
    expected : Estimate
        Expected number of members who order; n is how many are present.
    first_orders : Estimate
        Expected number of those who order among the members without an order on record; n is how many these are.
    contest : Backtest
        The backtest of the chances.
    as_of : datetime.date
        Last day that is known.
    horizon_days : int
        Length of the next period.
    sample_sentence : str
        On how many members the models rest, when not on all.
    """

    members: pd.DataFrame = field(repr=False)
    expected: Estimate
    first_orders: Estimate
    contest: Backtest
    as_of: dt.date
    horizon_days: int
    sample_sentence: str = ""

    @property
    def share(self) -> Estimate:
        """Share of the members present who are expected to order."""
        return share_of(self.expected)

    @property
    def sentence(self) -> str:
        """How many members are expected to order, how many of them without an order yet, and who predicts it."""
        n, h = self.expected.n, self.horizon_days
        if not self.expected.known:
            text = "Who orders in the {h} days after {day}: too little data ({n} members present, {w} judged "
            text += "windows)."
            return say(text, h=h, day=self.as_of, n=number(n), w=self.contest.windows)
        text = (
            "Of {n} members present on {day}, about {value} ({low} to {high}) are expected to order in the next {h} "
            "days ({share}), by {winner}."
        )
        share, winner = percent(self.share.value), self.contest.winner
        found = say(
            text, n=number(n), day=self.as_of, h=h, share=share, winner=winner, **_whole(self.expected)
        )
        if self.first_orders.known:
            text = "Of the {n} among them without an order on record, about {value} ({low} to {high}) are."
            found += " " + say(text, n=number(self.first_orders.n), **_whole(self.first_orders))
        return f"{found}{provisional(self.contest)} {self.sample_sentence}".rstrip()

    @property
    def judged(self) -> pd.DataFrame:
        """What came of the chances of closed windows, by tenth of the members of each window.

        Columns: tenth (10 = most likely), times (a member was judged), judged (members), predicted, ordered, low,
        high (shares; the interval is clustered by member). Tenths are cut within windows, so that a window of a high
        level is not taken for members of a high chance.
        """
        frame, model = self.contest.predictions, self.contest.winner
        if model is None or not len(frame):
            return pd.DataFrame(columns=["tenth", "times", "judged", "predicted", "ordered", "low", "high"])
        tenth = frame.groupby("landmark")[model].transform(groups) + 1
        found = self._rates(tenth)
        found.insert(2, "judged", frame.groupby(tenth)["member_id"].nunique().to_numpy())
        return found

    def _rates(self, group: ArrayLike) -> pd.DataFrame:
        """Return tenth (the group), times, predicted, ordered, low, high of groups of the judged rows."""
        columns = (
            self.contest.predictions[name] for name in (ORDERED, str(self.contest.winner), "member_id")
        )
        found = by_group(group, *columns, confidence=self.contest.confidence).drop(columns="difference")
        return found.rename(columns={"group": "tenth", "n": "times", "observed": "ordered"})

    @property
    def lift_sentence(self) -> str:
        """How much more often the tenth most likely to order did so, within closed windows."""
        table = self.judged
        if self.contest.too_few or table.empty:
            return say("The tenth most likely to order: too little data.")
        text = "In closed windows {top} of the tenth most likely to order did, and {base} of all; n: times judged."
        return say(
            text, top=_share(table.iloc[-1]), base=_share(self._rates(np.ones(table["times"].sum())).iloc[0])
        )

    def by_tenth(self, k_min: int = 10) -> pd.DataFrame:
        """Return members by chance of an order, now and in the judged windows, those most likely first.

        Parameters
        ----------
        k_min : int
            Tenths of fewer members, now or among those judged, are kept back.

        Returns
        -------
        pandas.DataFrame
            tenth, members, expected (members who order), chance (mean, now); times, judged, predicted, ordered, low,
            high, as in :attr:`judged`.
        """
        known = self.members.dropna(subset=["probability"]).astype({"tenth": "int64"})
        now = known.groupby("tenth")["probability"].agg(members="size", expected="sum", chance="mean")
        then = self.judged.astype({"tenth": "int64"})
        found = now.reset_index().merge(then, "left", "tenth")
        found = found.sort_values("tenth", ascending=False, ignore_index=True)
        past = ["times", "predicted", "ordered", "low", "high"]
        found = privacy.suppress(found, "members", k_min, ["expected", "chance"])
        found = privacy.suppress(found, "judged", k_min, past)
        hidden = found["members"].isna() | found["judged"].isna()
        every = ["members", "expected", "chance", "judged", *past]
        found[every] = found[every].mask(hidden)
        return found


def _share(row: pd.Series) -> str:
    """Return ``'40.7 % (38.0 % to 43.5 %, n = 1,273)'`` of a row of rates."""
    between = interval(float(row["low"]), float(row["high"]), "share")
    return say(
        "{share} ({between}, n = {n:,})", share=percent(row["ordered"]), between=between, n=int(row["times"])
    )


def _whole(found: Estimate) -> dict[str, str]:
    """Return value, low and high as whole numbers in words."""
    return {name: number(round(getattr(found, name))) for name in ("value", "low", "high")}


def purchases(
    rows: ibis.Table | pd.DataFrame,
    population: ibis.Table | pd.DataFrame,
    *,
    as_of: dt.date | str,
    horizon_days: int = 30,
    signals: Mapping[str, ibis.Table | pd.DataFrame] | None = None,
    covariates: ibis.Table | pd.DataFrame | None = None,
    max_members: int = 50_000,
    confidence: float = 0.95,
    draws: int = 500,
    seed: int = 0,
) -> Purchases:
    """Return the chance of an order in the next period for everybody present.

    Parameters
    ----------
    rows, population, signals, covariates, max_members
        As in :func:`helpers.stats.forecast.landmarks.landmarks`; orders are rows of the kind "order". Rows of both
        kinds are signals too, named interactions and orders.
    as_of : date or str
        Last day that is known.
    horizon_days : int
        Length of the next period, and the look-back within which an order is of late.
    confidence, draws, seed
        Level of the intervals, size of the bootstrap of the contest, and seed of all draws.

    Raises
    ------
    BadData
        When a column is missing.
    """
    check_confidence(confidence)
    acts = columns_of(rows, ("member_id", "day", "kind", "action", "value"), "activity")
    own = {
        name: acts.filter(acts.kind == kind).select("member_id", "day")
        for name, kind in (("interactions", "interaction"), ("orders", "order"))
    }
    known = landmarks(
        acts, population, as_of=as_of, horizon_days=horizon_days, active_days=horizon_days, count="order",
        dormant=True, signals=own | dict(signals or {}), covariates=covariates, max_members=max_members, seed=seed,
    )  # fmt: skip
    contest = backtest(known, state=PRESENT, confidence=confidence, draws=draws, seed=seed)
    now = known.now.sort_values("member_id", ignore_index=True)
    p = probabilities(known, contest, now, PRESENT, seed)
    members = now[["member_id"]].assign(ordered=now["active_days_all"] > 0, probability=p)
    judged = bool(members["probability"].notna().all()) and len(members) > 0
    members["tenth"] = pd.array(groups(p) + 1 if judged else [pd.NA] * len(members), dtype="Int64")
    ahead = levels(contest, seed)
    return Purchases(
        members=members,
        expected=expected_number(p, ahead, confidence, seed),
        first_orders=expected_number(p[~members["ordered"].to_numpy(bool)], ahead, confidence, seed),
        contest=contest,
        as_of=known.as_of,
        horizon_days=horizon_days,
        sample_sentence=known.sample_sentence,
    )
