"""Who is about to fall silent, who may come back: the winner of the backtest, applied to today.

The model that won on closed windows is fitted on all of them and predicts the next `horizon_days` days of everybody
who is present on `as_of`: the chance of silence for active members, the chance of a counted action for dormant ones.
Both are judged forward, and both are recalibrated today as they were when they were judged: by all predictions whose
windows had closed. The probability of leaving is not offered, because nothing has judged it.

The interval of how many will fall silent, or come back, is that of :mod:`helpers.stats.forecast.next_period`.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from helpers.checks import check_confidence
from helpers.sentences import number, percent, say
from helpers.stats.estimate import Estimate
from helpers.stats.forecast.backtest import Backtest, backtest
from helpers.stats.forecast.calibration import groups
from helpers.stats.forecast.landmarks import ACTIVE, DORMANT, Landmarks
from helpers.stats.forecast.next_period import (
    expected_number,
    levels,
    probabilities,
    provisional,
    share_of,
)
from helpers.stats.forecast.predictors import BASE_RATE

FloatArray = NDArray[np.float64]

VALUE_DAYS = 90


@dataclass(frozen=True)
class Risk:
    """Probabilities of the next period for everybody present.

    Attributes
    ----------
    members : pandas.DataFrame
        One row per present member: member_id, state ("active" or "dormant"), probability (of silence for the active,
        of return for the dormant), decile of risk among the active (10 = highest), days_since_last, value (of a
        period), tier (when given); ordered by member_id.
        The value of an active member is that of the last 90 days, of a dormant one that of its tenure (90 days or
        more), scaled to the length of the period.
    expected_silent, expected_returns : Estimate
        Expected number of active members who fall silent, and of dormant members who come back; n is how many are
        at risk. Unknown when there is too little data.
    contest, return_contest : Backtest
        The backtests that chose the models of silence and of return.
    as_of : datetime.date
        Last day that is known.
    horizon_days, active_days : int
        Length of the next period, and of the look-back that makes a member active.
    """

    members: pd.DataFrame = field(repr=False)
    expected_silent: Estimate
    expected_returns: Estimate
    contest: Backtest
    return_contest: Backtest
    as_of: dt.date
    horizon_days: int
    active_days: int

    @property
    def known(self) -> bool:
        """Whether there was data enough for probabilities."""
        return self.expected_silent.known

    @property
    def silent_share(self) -> Estimate:
        """Share of active members expected to fall silent."""
        return share_of(self.expected_silent)

    @property
    def deciles(self) -> pd.DataFrame:
        """Predicted and observed silence by tenth, pooled over the judged windows (see :class:`.Backtest`)."""
        return self.contest.deciles

    @property
    def return_check(self) -> dict[str, float]:
        """How good the probabilities of return were over all judged windows; NaN when unknown.

        n (times a dormant member was judged), windows, auc, brier, brier_base (of the bare share), decile_error,
        decile_error_if_perfect, and worst_decile (the largest gap of a tenth), each with the model in use.
        """
        held = self.return_contest
        names = ("n", "auc", "brier", "decile_error", "decile_error_if_perfect")
        if held.winner is None or held.table.empty:
            return dict.fromkeys((*names, "brier_base", "worst_decile"), float("nan")) | {"windows": 0.0}
        table = held.table.set_index("model")[list(names)].astype(float)
        found = {name: float(table[name][held.winner]) for name in names}
        base = float(table["brier"].get(BASE_RATE, np.nan))
        worst = float(held.deciles["difference"].abs().max())
        return {**found, "brier_base": base, "worst_decile": worst, "windows": float(held.windows)}

    @property
    def sentence(self) -> str:
        """How many active members will fall silent, and who predicts it."""
        n, h = self.expected_silent.n, self.horizon_days
        if not self.known:
            text = "Who falls silent in the {h} days after {day}: too little data ({n} active, {w} judged windows)."
            return say(text, h=h, day=self.as_of, n=number(n), w=self.contest.windows)
        found = self.expected_silent
        text = (
            "Of {n} members active in the {a} days up to {day}, about {value} ({low} to {high}) are expected to do "
            "nothing in the next {h} days ({share}), by {winner}."
        )
        values = {name: number(round(getattr(found, name))) for name in ("value", "low", "high")}
        text = say(
            text,
            n=number(n),
            day=self.as_of,
            a=self.active_days,
            h=h,
            share=percent(found.value / n),
            winner=self.contest.winner,
            **values,
        )
        return text + provisional(self.contest)

    @property
    def return_sentence(self) -> str:
        """How many dormant members are expected back, and how good such predictions were."""
        found = self.expected_returns
        if not found.known:
            return say("Who comes back: too little data ({n} dormant members).", n=number(found.n))
        text = (
            "Of {n} dormant members, about {value} ({low} to {high}) are expected back in the next {h} days."
        )
        values = {name: number(round(getattr(found, name))) for name in ("value", "low", "high")}
        expected = say(text, n=number(found.n), h=self.horizon_days, **values)
        return f"{expected}{provisional(self.return_contest)} {self.return_contest.sentence}"

    @property
    def by_tier(self) -> pd.DataFrame:
        """One row per tier: tier, n (active), mean_probability, expected_silent; empty without tiers."""
        active = self.members[self.members["state"] == ACTIVE]
        if "tier" not in active or not len(active):
            return pd.DataFrame(columns=["tier", "n", "mean_probability", "expected_silent"])
        found = (
            active.groupby("tier", observed=True)["probability"].agg(["size", "mean", "sum"]).reset_index()
        )
        return found.set_axis(["tier", "n", "mean_probability", "expected_silent"], axis=1)

    @property
    def calibration_sentence(self) -> str:
        """How far predicted and observed shares lay apart, tenth by tenth."""
        if self.deciles.empty or self.contest.winner is None:
            return say("Calibration: too little data.")
        worst = self.deciles.loc[self.deciles["difference"].abs().idxmax()]
        text = (
            "In the backtest the tenth of rows furthest off was predicted {p} silent and was {o} ({low} to {high}, "
            "n = {n})."
        )
        shares = {k: percent(float(worst[v])) for k, v in (("p", "predicted"), ("o", "observed"))}
        shares |= {k: percent(float(worst[k])) for k in ("low", "high")}
        return say(text, n=number(int(worst["n"])), **shares)


def risk(
    rows: Landmarks,
    contest: Backtest | None = None,
    *,
    tiers: pd.DataFrame | None = None,
    confidence: float = 0.95,
    seed: int = 0,
) -> Risk:
    """Return the probabilities of the next period by the model that won on closed windows.

    Parameters
    ----------
    rows : Landmarks
        Person-period rows; dormant members get a probability of return when they were asked for there.
    contest : Backtest, optional
        The backtest of the same rows; made here with its defaults when not given.
    tiers : pandas.DataFrame, optional
        member_id and tier on `as_of`.
    confidence, seed
        Level of the intervals, and seed of backtest, boosting and simulation.
    """
    check_confidence(confidence)
    contest = backtest(rows, confidence=confidence, seed=seed) if contest is None else contest
    now = rows.now.sort_values("member_id", ignore_index=True)
    awake = (now["state"] == ACTIVE).to_numpy()
    returns = backtest(rows, state=DORMANT, confidence=confidence, seed=seed)
    p = np.full(len(now), np.nan)
    p[awake] = probabilities(rows, contest, now[awake], ACTIVE, seed)
    p[~awake] = probabilities(rows, returns, now[~awake], DORMANT, seed)
    members = now[["member_id", "state", "days_since_last"]].assign(
        value=_value(now, awake, rows.horizon_days), probability=p
    )
    members["decile"] = _deciles_of(p, awake)
    if tiers is not None:
        members = members.merge(tiers[["member_id", "tier"]], "left", "member_id")
    return Risk(
        members=members,
        expected_silent=expected_number(p[awake], levels(contest, seed), confidence, seed),
        expected_returns=expected_number(p[~awake], levels(returns, seed), confidence, seed),
        contest=contest,
        return_contest=returns,
        as_of=rows.as_of,
        horizon_days=rows.horizon_days,
        active_days=rows.active_days,
    )


def _value(now: pd.DataFrame, awake: NDArray[np.bool_], horizon: int) -> FloatArray:
    """Return the past value of a period of each member (see :class:`Risk`)."""
    tenure = np.maximum(now["tenure_days"].to_numpy(float), VALUE_DAYS)
    rate = np.where(awake, now["value_90"] / VALUE_DAYS, now["value_all"] / tenure)
    return np.round(rate * horizon, 6)


def _deciles_of(p: FloatArray, awake: NDArray[np.bool_]) -> pd.Series:
    found = pd.array([pd.NA] * p.size, dtype="Int64")
    known = awake & np.isfinite(p)
    if known.any():
        found[known] = groups(p[known]) + 1
    return pd.Series(found)
