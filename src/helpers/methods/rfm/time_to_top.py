"""How long it takes to reach the top tier, and how likely it is.

The mean time is given for a member who stays; the chances within so many periods count those who leave before as not
arriving. Where no path to the top was seen the time is infinite, and only its lower bound is known; where a row on
the way was never seen, nothing is. Beside the model stands what was observed: the Kaplan-Meier share of members who
reached the top within so many periods of being first seen; members not followed long enough are censored. When the
two differ, the chain's assumption (only the present tier matters, and it matters the same in all periods) fails.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from helpers.methods.rfm.history import TierHistory
from helpers.playbook.result import Result
from helpers.sentences import say, with_bounds
from helpers.stats.chains import Array, dirichlet_rows, expected_steps, reach, reached_within
from helpers.stats.estimate import Estimate, drawn_estimate, unknown
from helpers.stats.survival.limits import product_limit, survival_limits
from helpers.study import Study

DRAWS = 4_000
TOLD = 6


@dataclass(frozen=True, repr=False)
class TimeToTop(Result):
    """How long it takes to reach the top tier and how likely it is.

    Attributes
    ----------
    history : TierHistory
        The tiers and periods.
    time : Estimate
        Periods it takes a member of the tier next to the top who stays, on average; infinite where no path was seen.
    chance : Estimate
        Share of such members who reach the top within `TOLD` periods by the chain; who leaves does not arrive.
    observed : Estimate
        The same by Kaplan-Meier among the members who were first seen in that tier; not known beyond what was
        followed.
    """

    history: TierHistory
    time: Estimate
    chance: Estimate
    observed: Estimate

    @property
    def sentence(self) -> str:
        """Chance within six periods of the tier next to the top, and the mean time as an extrapolation."""
        tier, top = self.history.labels[-2:]
        values = {"tier": tier, "top": top, "period": self.history.period, "periods": TOLD}
        if np.isnan(self.time.value):
            return say("Too little data on how members reach {top}.", **values)
        text = "Within {periods} {period}s a member in {tier} reaches {top} with a chance of {chance}."
        if self.observed.known and not 0 < self.observed.n < self.study.k_min:
            text += "\nOf {n:,} who were first seen there, {observed} did."
        more, seen = (
            "If moves stay as they are, whoever stays takes {time} {period}s on average.",
            len(self.history.periods),
        )
        if seen < self.time.value < np.inf:
            more = "If moves stay as they are, whoever stays takes longer on average than the {seen} {period}s seen."
        elif not np.isfinite(self.time.value):
            more = "No path from {tier} to {top} has been seen."
        parts = {name: with_bounds(getattr(self, name)) for name in ("time", "chance", "observed")}
        return say(f"{text}\n{more}", **values, **parts, n=self.observed.n, seen=seen)


def time_to_top(study: Study, history: TierHistory) -> TimeToTop:
    """Return expected time to, and chance of reaching, the top tier, from the tier next to it."""
    counts = history.moves.sum(axis=0)[: len(history.labels) - 1]
    observed = _kaplan_meier(history.passages, history.labels[-2], study.confidence)
    return TimeToTop(study, history, _time(counts[:, :-1], study), _chance(counts, study), observed)


def _estimate(value: float, drawn: Array, n: float, unit: str, study: Study) -> Estimate:
    """Return a value with the quantiles of what was drawn, so that it lies between them."""
    return drawn_estimate(value, drawn, int(n), unit, "Dirichlet rows", study.confidence)


def _time(counts: Array, study: Study) -> Estimate:
    n = counts.sum(axis=1)
    known, seen = reach(counts)
    if not known[-1]:
        return unknown(int(n[-1]), "", study.confidence)
    rows = dirichlet_rows(counts, 1 / len(counts[0]), DRAWS, np.random.default_rng(study.seed))
    finite = known & seen
    value = np.inf
    if finite[-1]:
        value = expected_steps(counts[np.ix_(finite, np.r_[finite, True])] / n[finite, None])[-1]
    return _estimate(float(value), expected_steps(rows)[:, -1], n[-1], "", study)


def _chance(counts: Array, study: Study) -> Estimate:
    n, tiers = counts.sum(axis=1), len(counts) + 1
    if not (reach(counts[:, :-1])[0] & (n > 0))[-1]:
        return unknown(int(n[-1]), "share", study.confidence)
    # A column nobody ever entered stays empty: who never leaves is not drawn to leave.
    prior = np.r_[np.full(tiers, 1 / tiers), 1 / tiers if counts[:, -1].any() else 0.0]
    with np.errstate(invalid="ignore"):
        value = float(reached_within(np.nan_to_num(counts / n[:, None]), TOLD)[-1])
    rows = dirichlet_rows(counts, prior, DRAWS, np.random.default_rng(study.seed))
    found = _estimate(value, reached_within(rows, TOLD)[:, -1], n[-1], "share", study)
    return found._replace(low=0.0) if value == 0 else found


def _kaplan_meier(passages: pd.DataFrame, tier: str, confidence: float) -> Estimate:
    """Return the observed share that reached the top within `TOLD` periods, among members first seen in a tier."""
    cells = passages[passages["from_tier"] == tier]
    weight, period = cells["members"].to_numpy(float), cells["periods"].to_numpy(int)
    reached, steps = weight * cells["reached"].to_numpy(bool), np.arange(1, TOLD + 1)
    at_risk = (weight[:, None] * (period[:, None] >= steps)).sum(axis=0)
    arrived = (reached[:, None] * (period[:, None] == steps)).sum(axis=0)
    survival, (low, high) = product_limit(at_risk, arrived), survival_limits(at_risk, arrived, confidence)
    n = int(weight.sum())
    # Nobody is followed so long, unless all have arrived.
    if at_risk[-1] == 0 and (survival[-1] > 0 or not n):
        return unknown(n, "share", confidence)
    ends = (1 - high[-1], 1 - low[-1])
    return Estimate(1 - survival[-1], *ends, n, "share", "Kaplan-Meier", confidence)
