"""Who is about to fall silent, who may come back: the winner of the contest, applied to today.

The model that won on closed windows is fitted on all of them and predicts the next `horizon_days` days of everybody
present on ``as_of``: the chance of silence for active members, the chance of a counted action for dormant ones.
Both are judged forward, and both are recalibrated today as they were when they were judged: by all predictions whose
windows had closed. The probability of leaving is not offered, because nothing has judged it.

The interval of how many will fall silent, or come back, is that of :mod:`helpers.stats.forecast.next_period`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from helpers.methods.outlook.contest import (
    ALIKE,
    contest_sentence,
    provisional,
    rows_of,
    sample_sentence,
    saved,
    score,
    triple,
    whole,
)
from helpers.playbook.finding import Finding, finding
from helpers.playbook.thresholds import threshold
from helpers.sentences import number, percent, say
from helpers.stats.estimate import Estimate
from helpers.stats.forecast.judging import Contest, brier_gain, contest, lift_by_tier
from helpers.stats.forecast.landmarks import ACTIVE, DORMANT, Landmarks
from helpers.stats.forecast.next_period import expected_number, levels, probabilities, share_of
from helpers.study import Study

FloatArray = NDArray[np.float64]

VALUE_DAYS = 90


@dataclass(frozen=True)
class Risk:
    """Probabilities of the next period for everybody present.

    Attributes
    ----------
    study : Study
        Whose members they are.
    members : pandas.DataFrame
        One row per present member: member_id, state ("active" or "dormant"), days_since_last, value (of a period),
        probability (of silence for the active, of return for the dormant); ordered by member_id.
        The value of an active member is that of the last 90 days, of a dormant one that of its tenure (90 days or
        more), scaled to the length of the period.
    expected_silent, expected_returns : Estimate
        Expected number of active members who fall silent, and of dormant members who come back; n is how many are
        at risk. Unknown when there is too little data.
    contest, return_contest : Contest
        The contests that chose the models of silence and of return.
    tier_lift : pandas.DataFrame
        Lift at 10 % inside each tier of actions in the 30 days before a window; see
        :func:`helpers.stats.forecast.judging.lift_by_tier`.
    rows : Landmarks
        The person-period rows behind them.
    """

    study: Study = field(repr=False)
    members: pd.DataFrame = field(repr=False)
    expected_silent: Estimate
    expected_returns: Estimate
    contest: Contest
    return_contest: Contest
    tier_lift: pd.DataFrame = field(repr=False)
    rows: Landmarks = field(repr=False)

    @property
    def history_sentence(self) -> str:
        """How many closed windows there are, and how many active members fell silent in them."""
        rows, active = self.rows, self.rows.table[self.rows.table["state"] == ACTIVE]
        values = {"h": rows.horizon_days, "day": rows.as_of}
        if active.empty:
            return say("No closed window of {h} days with active members: too little data.", **values)
        n, silent = len(active), int(active["silent"].sum())
        text = (
            "{w} closed windows of {h} days up to {day}: of {n} times a member was active in the {a} days before, "
            "{s} ({share}) were followed by {h} days of silence."
        )
        values |= {"w": rows.table["landmark"].nunique(), "a": rows.active_days}
        text = say(text, **values, n=number(n), s=number(silent), share=percent(silent / n))
        return f"{text} {sample_sentence(rows)}".rstrip()

    @property
    def sentence(self) -> str:
        """How many active members will fall silent, and who predicts it."""
        found, rows = self.expected_silent, self.rows
        values = {"h": rows.horizon_days, "day": rows.as_of, "a": rows.active_days, "w": self.contest.windows}
        if not found.known:
            text = "Who falls silent in the {h} days after {day}: too little data ({n} active, {w} judged windows)."
            return say(text, n=number(found.n), **values)
        text = (
            "Of {n} members active in the {a} days up to {day}, about {value} ({low} to {high}) are expected to do "
            "nothing in the next {h} days ({share}), by {winner}."
        )
        share = percent(found.value / found.n)
        text = say(text, share=share, winner=self.contest.winner, **values, **whole(found))
        return text + provisional(self.contest)

    @property
    def return_sentence(self) -> str:
        """How many dormant members are expected back, and how good such predictions were."""
        found = self.expected_returns
        if not found.known:
            return say("Who comes back: too little data ({n} dormant members).", n=number(found.n))
        text = "Of {n} dormant members, {value} ({low} to {high}) are expected back in the next {h} days."
        expected = say(text, h=self.rows.horizon_days, **whole(found))
        return f"{expected}{provisional(self.return_contest)} {contest_sentence(self.return_contest)}"

    @property
    def contest_sentence(self) -> str:
        """Which model of silence is used, and how good it was."""
        return contest_sentence(self.contest)

    @property
    def lift_sentence(self) -> str:
        """How concentrated silence is among the tenth of members to whom it is most likely."""
        if not self.contest.windows:
            return say("Lift at 10 %: too little data.")
        row = score(self.contest.table, self.contest.winner)
        text = "The tenth at highest risk fell silent {lift} times as often as all active members (n = {n} judged)."
        return say(text, lift=triple(row, "lift", 2), n=number(row["n"]))

    def finding(self) -> Finding:
        """State the share of active members expected to fall silent."""
        return finding(
            share_of(self.expected_silent),
            id="outlook.silent_next",
            aliases=("retention.silent_next",),
            metric=say("active members expected to fall silent in {h} days", h=self.rows.horizon_days),
            scope=say("{scope}, the {h} days after", scope=self.study.scope, h=self.rows.horizon_days),
            sentence=self.sentence,
            assumption=say(ALIKE),
            direction="down is good",
            systems=("S023", "S028"),
        )

    def return_finding(self) -> Finding:
        """State the share of dormant members expected back."""
        return finding(
            share_of(self.expected_returns),
            id="outlook.returns_next",
            metric=say("dormant members expected back in {h} days", h=self.rows.horizon_days),
            scope=say("{scope}, the {h} days after", scope=self.study.scope, h=self.rows.horizon_days),
            sentence=self.return_sentence,
            assumption=say(ALIKE),
            direction="up is good",
            systems=("S027", "S028"),
        )

    def gain_finding(self) -> Finding:
        """State how much better the forecast in use is than the bare share of silent members (Brier score)."""
        gain = brier_gain(self.contest)
        text = "{contest} What a forecast saves against the bare share: too little data."
        if gain.known:
            text = (
                "Forecasting who falls silent errs {share} less ({between}) than taking the bare share of the silent "
                "for everybody, over {n} windows that the forecast ({model}) had not seen; the interval is by the "
                "spread between them."
            )
        metric = "how much less the forecast of silence errs than the bare share (Brier score; n: windows)"
        assumption = "closed windows stand for the next; the forecast was chosen on them, which flatters it"
        return finding(
            gain,
            id="outlook.forecast_gain",
            aliases=("retention.forecast_gain",),
            metric=say(metric),
            scope=self.study.scope,
            sentence=say(text, **saved(gain), model=self.contest.winner, contest=self.contest_sentence),
            assumption=say(assumption),
            direction="up is good",
            systems=("S023",),
        )


def risk(study: Study, *, horizon_days: int = 30) -> Risk:
    """Return the probabilities of the next period by the models that won on closed windows.

    Parameters
    ----------
    study : Study
        The members and what they did.
    horizon_days : int
        Length of the next period.
    """
    rows = rows_of(study, horizon_days, count=study.count)
    level: dict[str, Any] = {"confidence": study.confidence, "seed": study.seed}
    held, returns = contest(rows, **level), contest(rows, DORMANT, **level)
    now = rows.now.sort_values("member_id", ignore_index=True)
    awake = (now["state"] == ACTIVE).to_numpy()
    p = np.full(len(now), np.nan)
    p[awake] = probabilities(rows, held, now[awake], ACTIVE, study.seed)
    p[~awake] = probabilities(rows, returns, now[~awake], DORMANT, study.seed)
    members = now[["member_id", "state", "days_since_last"]].assign(
        value=_value(now, awake, rows.horizon_days), probability=p
    )
    return Risk(
        study=study,
        members=members,
        expected_silent=expected_number(p[awake], levels(held, study.seed), **level),
        expected_returns=expected_number(p[~awake], levels(returns, study.seed), **level),
        contest=held,
        return_contest=returns,
        tier_lift=lift_by_tier(held, tiers_at_landmarks(rows), study.seed),
        rows=rows,
    )


def tiers_at_landmarks(rows: Landmarks) -> pd.DataFrame:
    """Return landmark, member_id and tier (an ordered category, such as "1–10 actions") on closed landmarks.

    Tiers are those known on each landmark: actions in the 30 days before it, cut at the bounds of the threshold
    ``tiers.monthly_interactions``. Taken from the rows that the forecasts themselves were made from, they look at
    nothing after the landmark.
    """
    bounds = list(threshold("tiers.monthly_interactions").value.values())
    labels = [_label(low, high) for low, high in bounds]
    edges = [-np.inf, *(low - 0.5 for low, _ in bounds[1:]), np.inf]
    tier = pd.cut(rows.table["actions_30"].astype(float), edges, labels=labels)
    return rows.table[["landmark", "member_id"]].assign(tier=tier)


def _label(low: int, high: int | None) -> str:
    if high is None:
        return say("{low} and more actions", low=low)
    return say("no action") if high == 0 else say("{low}–{high} actions", low=low, high=high)


def _value(now: pd.DataFrame, awake: NDArray[np.bool_], horizon: int) -> FloatArray:
    """Return the past value of a period of each member (see :class:`Risk`)."""
    tenure = np.maximum(now["tenure_days"].to_numpy(float), VALUE_DAYS)
    rate = np.where(awake, now["value_90"] / VALUE_DAYS, now["value_all"] / tenure)
    return np.round(rate * horizon, 6)
