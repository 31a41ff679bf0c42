"""Who is about to fall silent, who may come back: the winner of the contest, applied to today.

The model that won on closed windows is fitted on all of them and predicts the next `horizon_days` days of those
present on ``as_of``, in a large community of a sample that stands for all: the chance of silence for active members,
the chance of a counted action for dormant ones. Both are judged forward, and both are recalibrated today as they were
when they were judged: by all predictions whose windows had closed. The probability of leaving is not offered, because
nothing has judged it.

The interval of how many will fall silent, or come back, is that of :mod:`helpers.stats.forecast.next_period`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from helpers.methods.outlook import plots
from helpers.methods.outlook.contest import (
    ALIKE,
    Trust,
    contest_sentence,
    days_needed,
    present_sentence,
    rows_of,
    whole,
)
from helpers.playbook.finding import Finding, finding
from helpers.playbook.result import Part, Result
from helpers.playbook.thresholds import threshold
from helpers.sentences import number, say
from helpers.stats.estimate import Estimate
from helpers.stats.forecast.judging import Contest, contest, lift_by_tier
from helpers.stats.forecast.landmarks import ACTIVE, DORMANT, Landmarks
from helpers.stats.forecast.next_period import chances, expected_number, levels, share_of
from helpers.study import Study, enough

FloatArray = NDArray[np.float64]

VALUE_DAYS = 90


@dataclass(frozen=True, repr=False)
class Risk(Result):
    """Probabilities of the next period for members present.

    Attributes
    ----------
    members : pandas.DataFrame
        One row per present member, or per member of a sample: member_id, state ("active" or "dormant"),
        days_since_last, value (of a period), probability (of silence for the active, of return for the dormant);
        ordered by member_id.
        The value of an active member is that of the last 90 days, of a dormant one that of its tenure (90 days or
        more), scaled to the length of the period.
    expected_silent, expected_returns : Estimate
        Expected number of active members who fall silent, and of dormant members who come back; n is how many are
        at risk. Unknown when there is too little data.
    contest, return_contest : Contest
        The contests that chose the models of silence and of return.
    trust : Trust
        How the forecast of silence did before.
    by_tier : pandas.DataFrame
        Active members by their actions in the last 30 days: tier, n, and the share expected to fall silent with low
        and high. Empty when there is too little data.
    rows : Landmarks
        The person-period rows behind them.
    chance_of : mapping of str to callable
        By state, what gives the rows of further members of today (:meth:`.Landmarks.today`) their probability.
    """

    members: pd.DataFrame = field(repr=False)
    expected_silent: Estimate
    expected_returns: Estimate
    contest: Contest
    return_contest: Contest
    trust: Trust
    by_tier: pd.DataFrame = field(repr=False)
    rows: Landmarks = field(repr=False)
    chance_of: Mapping[str, Callable[[pd.DataFrame], FloatArray]] = field(default_factory=dict, repr=False)

    @property
    def smallest(self) -> int:
        """Active members."""
        return self.expected_silent.n

    @property
    def _words(self) -> dict[str, Any]:
        rows = self.rows
        return {"h": rows.horizon_days, "day": rows.as_of, "a": rows.active_days, "w": self.contest.windows}

    @property
    def sentence(self) -> str:
        """How many active members will fall silent."""
        found = self.expected_silent
        if not found.known:
            text = (
                "Who falls silent in the {h} days after {day}: too little data. Of {n} active members no chance is "
                "told before one window could be judged, which takes about {d} days of log."
            )
            if self.contest.windows and not self.rows.whole:
                text = (
                    "Who falls silent in the {h} days after {day}: too little data. The sample holds fewer than {k} "
                    "of {n} active members."
                )
            days = days_needed(self.rows.horizon_days)
            return say(text, n=number(found.n), d=days, k=enough.SAMPLED, **self._words)
        text = (
            "Of {n} members active in the {a} days up to {day}, about {value} ({low} to {high}) will do nothing in "
            "the next {h} days: {share}."
        )
        return say(text, **self._words, **whole(found))

    @property
    def return_sentence(self) -> str:
        """How many silent members are expected back."""
        found = self.expected_returns
        if not found.known:
            text = "Who comes back: too little data ({n} silent members)."
            if self.return_contest.windows and not self.rows.whole:
                text = (
                    "Who comes back: too little data. The sample holds fewer than {k} of {n} silent members."
                )
            return say(text, n=number(found.n), k=enough.SAMPLED)
        text = "Silence is not leaving: of {n} silent members, {value} ({low} to {high}) will be back in {h} days."
        return say(text, **self._words, **whole(found))

    def parts(self) -> Iterator[Part]:
        """Yield how many fall silent and who, and how many come back."""
        yield self.sentence
        text = "{drawn} Chances for the {h} days after; n: active members."
        if not self.rows.whole:
            text = (
                "{drawn} Chances for the {h} days after; n: active members. Without a bar: fewer than {k} in the "
                "sample."
            )
        note = say(text, drawn=self.study.drawn, k=enough.SAMPLED, **self._words)
        yield plots.silent_by_tier(self.by_tier, note)
        if not self.rows.whole:
            yield present_sentence(self.rows)
        if self.expected_returns.n >= self.study.k_min:
            yield self.return_sentence
            yield contest_sentence(self.return_contest)

    def findings(self) -> Iterator[Finding]:
        """State the shares of active members expected to fall silent, and of silent ones expected back."""
        scope = say("{scope}, the {h} days after", scope=self.study.scope, **self._words)
        yield finding(
            share_of(self.expected_silent), id="outlook.silent_next", aliases=("retention.silent_next",),
            metric=say("active members expected to fall silent in {h} days", **self._words), scope=scope,
            sentence=self.sentence, assumption=say(ALIKE), direction="down is good", systems=("S023", "S028"),
            headline=say(
                "{share} of active members are expected to fall silent in {h} days",
                **self._words, **whole(self.expected_silent),
            ),
            definition="silent", picture="silent_by_tier",
        )  # fmt: skip
        yield finding(
            share_of(self.expected_returns), id="outlook.returns_next",
            metric=say("silent members expected back in {h} days", **self._words), scope=scope,
            sentence=self.return_sentence, assumption=say(ALIKE), direction="up is good",
            systems=("S027", "S028"),
            headline=say("{share} of the silent to come back unasked", **whole(self.expected_returns) ),
            definition="silent",
        )  # fmt: skip


def risk(study: Study, *, horizon_days: int = 30) -> Risk:
    """Return the probabilities of the next period by the models that won on closed windows.

    Parameters
    ----------
    study : Study
        The members and what they did.
    horizon_days : int
        Length of the next period; active is who acted within the days that make a member silent.
    """
    rows = rows_of(study, horizon_days, active_days=study.silence_days, count=study.count)
    level: dict[str, Any] = {"confidence": study.confidence, "seed": study.seed}
    held, returns = contest(rows, **level), contest(rows, DORMANT, **level)
    now = rows.now.sort_values("member_id", ignore_index=True)
    awake = (now["state"] == ACTIVE).to_numpy()
    states = {ACTIVE: (held, awake), DORMANT: (returns, ~awake)}
    chance_of = {state: chances(rows, one, state, study.seed) for state, (one, _) in states.items()}
    p, sizes = np.full(len(now), np.nan), rows.sizes.assign(tier=tiers(rows.sizes["actions_30"]))
    for state, (_, here) in states.items():
        p[here] = chance_of[state](now[here])
    by_tier = sizes.groupby(["state", "tier"], observed=False)["members"].sum()
    size = {state: int(by_tier.get(state, pd.Series(0)).sum()) for state in states}
    members = now[["member_id", "state", "days_since_last"]].assign(
        value=_value(now, awake, rows.horizon_days), probability=p
    )
    ahead = levels(held, study.seed)
    then = rows.table[["landmark", "member_id"]].assign(tier=tiers(rows.table["actions_30"]))
    return Risk(
        study=study, members=members,
        expected_silent=expected_number(p[awake], ahead, **level, members=size[ACTIVE]),
        expected_returns=expected_number(p[~awake], levels(returns, study.seed), **level, members=size[DORMANT]),
        contest=held,
        return_contest=returns, trust=Trust(study, held, lift_by_tier(held, then, study.seed), rows),
        by_tier=_by_tier(
            tiers(now["actions_30"])[awake], p[awake], by_tier.get(ACTIVE, pd.Series(dtype=int)),
            lambda p, n: expected_number(p, ahead, **level, members=n),
        ),
        rows=rows, chance_of=chance_of,
    )  # fmt: skip


def _by_tier(
    tier: pd.Series, p: FloatArray, members: pd.Series, expected: Callable[[FloatArray, int], Estimate]
) -> pd.DataFrame:
    """Return the share expected to fall silent by tier (see :class:`Risk`), of which so many members are."""
    found = []
    for name in tier.cat.categories:
        share = share_of(expected(p[(tier == name).to_numpy()], int(members.get(name, 0))))
        if share.known:
            found.append((name, *(share.n, share.value, share.low, share.high)))
    return pd.DataFrame(found, columns=["tier", "n", "share", "low", "high"])


def tiers(actions_30: pd.Series) -> pd.Series:
    """Return the tier of each number of actions in 30 days, an ordered category such as "1–10 actions".

    They are cut at the bounds of the threshold ``tiers.monthly_interactions``. Taken from the rows that the forecasts
    themselves are made from, they look at nothing after the landmark.
    """
    bounds = list(threshold("tiers.monthly_interactions").value.values())
    labels = [_label(low, high) for low, high in bounds]
    edges = [-np.inf, *(low - 0.5 for low, _ in bounds[1:]), np.inf]
    return pd.cut(actions_30.astype(float), edges, labels=labels)


def _label(low: int, high: int | None) -> str:
    if high is None:
        return say("{low} and more actions", low=low)
    return say("no action") if high == 0 else say("{low}–{high} actions", low=low, high=high)


def _value(now: pd.DataFrame, awake: NDArray[np.bool_], horizon: int) -> FloatArray:
    """Return the past value of a period of each member (see :class:`Risk`)."""
    tenure = np.maximum(now["tenure_days"].to_numpy(float), VALUE_DAYS)
    rate = np.where(awake, now["value_90"] / VALUE_DAYS, now["value_all"] / tenure)
    return np.round(rate * horizon, 6)
