"""Lifetime value of a newcomer: the integral of survival times value, with discount.

Estimator (Lin, Feuer, Etzioni and Wax 1997, Biometrics 53:419-434, with days as intervals)::

    LTV(H) = sum over days d < H of  S(d) * m(d) * (1 + r) ** (-d / 365)

``S(d)`` is the probability to be a member still when day ``d`` begins (product limit over exits), ``m(d)`` the mean
value of a member at risk on that day, ``r`` the yearly discount rate. Both use everybody who was at risk on the day,
so newcomers of last week count for the first week and censoring does not bias the sum.

Until at least `AT_RISK` newcomers (members followed from joining on) are at risk the value is *observed*. On
later days most of those at risk joined before recording began, and are known only from that day of tenure on (late
entry): that part is *borrowed* from them, and right only if newcomers turn out like them. Days on which fewer than
`AT_RISK` members of any kind were at risk are extrapolated: exits and value per
member and day are held at their mean over the last `TAIL_DAYS` observed days. In most communities the hazard goes on
falling with tenure, so the extrapolated part leans low. The three parts are always shown apart.

Intervals are joint: buckets of members are resampled, survival and value of a bucket together. A percentile interval
of a skewed sum stands too low, so it is bias-corrected and accelerated (BCa), with the acceleration from the
jackknife over buckets. No resample knows the rare large value that a few buyers have not shown yet: with some
4 buyers among 200 members a 95 % interval covered .82, so below `WITH_VALUE` members with value there is none.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import pandas as pd

from helpers.playbook.finding import Finding, finding
from helpers.sentences import number, percent, quantity, say
from helpers.stats.estimate import Estimate, estimate_of
from helpers.stats.forecast.value_days import FloatArray, ValueDays, value_days
from helpers.stats.resample import bca_interval, unit_weights
from helpers.study import Study, enough

TAIL_DAYS = 90
PARTS = ("observed", "borrowed", "extrapolated", "total")
METHOD = "joint bucket bootstrap, BCa"


class Curve(NamedTuple):
    """Survival and discounted value by day; leading axes are resamples.

    Attributes
    ----------
    survival, daily : ndarray, shape (..., days)
        Probability to be there when the day begins, and mean value of a member there on that day.
    present : ndarray, shape (..., days)
        Discounted value of each day: survival times daily value times discount.
    """

    survival: FloatArray
    daily: FloatArray
    present: FloatArray


@dataclass(frozen=True)
class LifetimeValue:
    """What a newcomer brings in its first days.

    Attributes
    ----------
    study : Study
        Whose newcomers they are.
    table : pandas.DataFrame
        One row per part: part ("observed" in newcomers, "borrowed" from members who joined before recording began,
        "extrapolated", "total"), days, value, low, high, n (members under observation on any of the days added up),
        with_value (of them, members who brought any).
    curve : pandas.DataFrame
        One row per day: day, survival, daily_value, cumulative_value, part; empty when there is too little data.
    horizon_days : int
        Days that are added up.
    """

    study: Study = field(repr=False)
    table: pd.DataFrame = field(repr=False)
    curve: pd.DataFrame = field(repr=False)
    horizon_days: int

    def estimate(self, part: str = "total") -> Estimate:
        """Return one number of the table."""
        row = self.table[self.table["part"] == part].iloc[0]
        return estimate_of(
            row, int(row["n"]), METHOD, self.study.confidence, value="value", unit=self.study.unit
        )

    @property
    def sentence(self) -> str:
        """What a newcomer is worth, and how much of it was seen in newcomers, borrowed and extrapolated."""
        rows, total = self.table.set_index("part"), self.estimate()
        if not total.known:
            text = (
                "What a newcomer brings: too little data ({n} members, {k} of them with value; it takes {m} and {b}, "
                "and {d} observed days)."
            )
            least = {"m": enough.FOLLOWED, "b": enough.WITH_VALUE, "d": enough.DAYS_OBSERVED}
            return say(text, n=number(total.n), k=number(int(rows["with_value"].iloc[0])), **least)
        days = rows["days"].astype(int)
        seen = number(days["observed"] + days["borrowed"])
        texts = {
            "observed": "A newcomer brings {total} ({low} to {high}) in the first {horizon} days, from {n} members "
            "followed. {share} of it was observed in newcomers: on each of the first {days} days at least {k} were "
            "followed.",
            "borrowed": "{share} (until day {seen}) is borrowed from members who joined before recording began.",
            "extrapolated": "{share} (after day {seen}) is extrapolated.",
        }
        values = {name: quantity(getattr(total, name), self.study.unit) for name in ("low", "high")}
        values |= {"total": quantity(total.value, self.study.unit), "horizon": number(self.horizon_days)}
        values |= {
            "n": number(total.n),
            "days": number(days["observed"]),
            "k": str(enough.AT_RISK),
            "seen": seen,
        }
        shares = rows["value"] / total.value if total.value else rows["value"]
        said = [part for part in texts if part == "observed" or days[part]]
        return " ".join(say(texts[part], **values, share=percent(float(shares[part]))) for part in said)

    def finding(self) -> Finding:
        """State what a newcomer is worth."""
        assumption = say("survival and value at a tenure stay as they were")
        if (self.curve["part"] == "extrapolated").any():
            assumption = say(
                "survival and value at a tenure stay as they were; the extrapolated part leans low"
            )
        return finding(
            self.estimate(),
            id="retention.newcomer_value",
            metric=say("value of a newcomer in {days} days", days=self.horizon_days),
            scope=self.study.scope,
            sentence=self.sentence,
            assumption=assumption,
            direction="up is good",
            systems=("S018",),
        )


def lifetime_value(study: Study, *, days: int = 365, discount_rate: float = 0.1) -> LifetimeValue:
    """Add up survival times value of the first days of a newcomer.

    Parameters
    ----------
    study : Study
        The members and what they brought.
    days : int
        Days to add up; beyond the observed ones they are extrapolated.
    discount_rate : float
        Yearly discount rate.
    """
    cells = value_days(study.activity, study.population, as_of=study.as_of, began=study.began, days=days)
    return of_cells(cells, study, discount_rate)


def of_cells(cells: ValueDays, study: Study, discount_rate: float) -> LifetimeValue:
    """Return the lifetime value over all days of the cells; level, draws, seed and unit are those of the study."""
    horizon = cells.at_risk.shape[1]
    n, with_value = int(cells.entered.sum()), int(cells.first_valued.sum())
    seen = _days_with_enough(cells.at_risk.sum(axis=0))
    observed = min(_days_with_enough(cells.newcomers), seen)
    parts = {
        "observed": slice(0, observed),
        "borrowed": slice(observed, seen),
        "extrapolated": slice(seen, horizon),
        "total": slice(0, horizon),
    }
    values, curve = dict.fromkeys(PARTS, (np.nan, np.nan, np.nan)), pd.DataFrame({"part": []})
    few = n < enough.FOLLOWED or with_value < enough.WITH_VALUE or seen < min(enough.DAYS_OBSERVED, horizon)
    if not few:
        buckets = len(cells.at_risk)
        weights = unit_weights(buckets, study.draws, np.random.default_rng(study.seed))
        point, drawn, left_out = (
            _curve(cells, each, seen, discount_rate)
            for each in (np.ones(buckets), weights, np.ones((buckets, buckets)) - np.eye(buckets))
        )
        for part, span in parts.items():
            value, draws, jackknife = (
                each.present[..., span].sum(axis=-1) for each in (point, drawn, left_out)
            )
            values[part] = (float(value), *bca_interval(float(value), draws, jackknife, study.confidence))
        curve = pd.DataFrame(
            {"day": np.arange(horizon), "survival": point.survival, "daily_value": point.daily}
        )
        curve["cumulative_value"] = np.cumsum(point.present)
        curve["part"] = np.repeat(PARTS[:3], [observed, seen - observed, horizon - seen])
    rows = [(part, span.stop - span.start, *values[part], n, with_value) for part, span in parts.items()]
    table = pd.DataFrame(rows, columns=["part", "days", "value", "low", "high", "n", "with_value"])
    return LifetimeValue(study, table, curve, horizon)


def _days_with_enough(at_risk: FloatArray) -> int:
    """Return the number of days from the first on which at least `AT_RISK` members were at risk."""
    few = np.flatnonzero(at_risk < enough.AT_RISK)
    return int(few[0]) if few.size else int(at_risk.size)


def _curve(cells: ValueDays, weights: FloatArray, observed: int, rate: float) -> Curve:
    """Return survival, daily and discounted value of each resample; days beyond the observed are extrapolated."""
    horizon = cells.at_risk.shape[1]
    n, left, worth = ((weights @ part)[..., :observed] for part in (cells.at_risk, cells.exits, cells.value))
    n = np.maximum(n, 1.0)  # a resample may empty a day that holds few members
    tail = slice(max(observed - TAIL_DAYS, observed // 2), observed)
    exposure = n[..., tail].sum(axis=-1, keepdims=True)
    beyond = np.ones(horizon - observed)
    hazard, daily = (
        np.concatenate([part / n, part[..., tail].sum(axis=-1, keepdims=True) / exposure * beyond], axis=-1)
        for part in (left, worth)
    )
    stays = np.cumprod(1.0 - np.minimum(hazard, 1.0), axis=-1)
    survival = np.concatenate([np.ones((*stays.shape[:-1], 1)), stays[..., :-1]], axis=-1)
    return Curve(survival, daily, survival * daily * (1.0 + rate) ** (-np.arange(horizon) / 365.0))
