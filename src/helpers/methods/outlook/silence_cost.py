"""What silence costs: value of a period of members who stayed active minus that of members who fell silent.

A member who is silent (no counted action) may still buy: where only interactions break silence, orders do not. What
is at stake is therefore not the whole value of a period but the difference between the two outcomes, and it can be
nothing. It is measured on closed windows within thirds of the value predicted before each window, because members
who fall silent are also those of whom less was expected. What is left is an association: those who fall silent
might have bought less anyhow, so the difference is at most what keeping somebody active can save.

The interval is clustered by member (a member active in four windows is not four members): linearised variance of
a difference of two ratios (Cochran 1977, 6.3) with Student's t.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import ibis
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from helpers.checks import check_confidence, check_scalar
from helpers.sentences import interval, number, quantity, say
from helpers.stats.estimate import Estimate, unknown
from helpers.stats.forecast.member_value import MemberValue
from helpers.study.frames import COUNTS, Count, with_days

THIRDS = 3
FEWEST_MEMBERS = 20
"""Members that must have stayed active, and as many that must have fallen silent, in a third."""


@dataclass(frozen=True)
class SilenceCost:
    """Cost of silence by third of predicted value.

    Attributes
    ----------
    table : pandas.DataFrame
        One row per third, 1 = least predicted value: third, n (rows of member and window), members, silent (rows),
        active_value, silent_value (mean value of a window), value (their difference), low, high.
    windows, horizon_days : int
        Closed windows looked at, and their length.
    unit : str
        Unit of the value.
    confidence : float
        Level of the intervals.
    """

    table: pd.DataFrame = field(repr=False)
    windows: int
    horizon_days: int
    unit: str
    confidence: float

    def of(self, third: int) -> Estimate:
        """Return the cost of silence in a third, 1 to 3; unknown with too few members."""
        rows = self.table[self.table["third"] == third] if len(self.table) else self.table
        if rows.empty or rows[["value", "low", "high"]].isna().any(axis=None):
            return unknown(0, self.unit, self.confidence)
        value, low, high, n = (rows[name].iloc[0] for name in ("value", "low", "high", "n"))
        method = "difference of means, clustered by member"
        return Estimate(float(value), float(low), float(high), int(n), self.unit, method, self.confidence)

    @property
    def sentence(self) -> str:
        """What silence costs in the third of highest predicted value."""
        found = self.of(THIRDS)
        if not found.known:
            return say("What silence costs: too little data.")
        row = self.table.set_index("third").loc[THIRDS]
        text = (
            "In the third of active members of whom most was expected, those who stayed active brought {active} in "
            "{days} days and those who fell silent {silent}: a difference of {value} ({between}; {n} times a member "
            "was active, {w} windows)."
        )
        said = say(
            text,
            active=quantity(float(row["active_value"]), self.unit),
            silent=quantity(float(row["silent_value"]), self.unit),
            days=self.horizon_days,
            value=quantity(found.value, self.unit),
            between=interval(found.low, found.high, self.unit),
            n=number(found.n),
            w=self.windows,
        )
        more = (
            "Silence costs no sales that can be seen here."
            if found.low <= 0
            else "At most this much can be saved: who falls silent might have bought less anyhow."
        )
        return said + " " + say(more)


def silence_cost(
    found: MemberValue,
    activity: ibis.Table | pd.DataFrame,
    *,
    active_days: int = 30,
    count: Count = "interaction",
) -> SilenceCost:
    """Return what silence costs, from the judged windows of predicted value.

    Parameters
    ----------
    found : MemberValue
        Its `windows` hold predicted and realised value of each member present when a window began.
    activity : table
        As made by :func:`helpers.study.activity.activity`.
    active_days : int
        Look-back in which a counted action makes a member active.
    count : {"interaction", "order", "all"}
        Which actions break silence.
    """
    check_scalar(active_days, "active_days", type_=int, ge=1)
    check_scalar(count, "count", in_=COUNTS)
    if not len(found.windows):
        return SilenceCost(pd.DataFrame(), 0, found.horizon_days, found.unit, found.confidence)
    rows = with_days(activity, "day")
    rows = rows.filter(rows.kind.isin(COUNTS[count]), rows.member_id.notnull())
    days = rows.select("member_id", "day").distinct().to_pandas()
    days["day"] = pd.to_datetime(days["day"])
    parts = []
    for split, window in found.windows.groupby("split"):
        ahead = (days["day"] - pd.Timestamp(str(split))).dt.days
        awake = days.loc[(ahead <= 0) & (ahead > -active_days), "member_id"].unique()
        acted = days.loc[(ahead > 0) & (ahead <= found.horizon_days), "member_id"].unique()
        here = window[window["member_id"].isin(awake)]
        third = thirds(here["predicted"].to_numpy(float))
        parts.append(here.assign(third=third, silent=~here["member_id"].isin(acted)))
    table = compare_outcomes(pd.concat(parts, ignore_index=True), found.confidence)
    return SilenceCost(table, len(parts), found.horizon_days, found.unit, found.confidence)


def thirds(values: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the third of each value, 1 to 3; equal values in order of their place."""
    place = np.empty(len(values), dtype=np.int64)
    place[np.argsort(values, kind="stable")] = np.arange(len(values))
    return place * THIRDS // max(len(values), 1) + 1


def compare_outcomes(rows: pd.DataFrame, confidence: float) -> pd.DataFrame:
    """Return the table of :class:`SilenceCost` from rows of member_id, third, silent and realised."""
    check_confidence(confidence)
    found = []
    for third in range(1, THIRDS + 1):
        here = rows[rows["third"] == third]
        silent, value = here["silent"].to_numpy(bool), here["realised"].to_numpy(float)
        row = {"third": third, "n": len(here), "members": here["member_id"].nunique(), "silent": silent.sum()}
        row |= dict.fromkeys(("active_value", "silent_value", "value", "low", "high"), np.nan)
        enough = (here.loc[flag, "member_id"].nunique() >= FEWEST_MEMBERS for flag in (silent, ~silent))
        if all(enough):
            stayed, fell = value[~silent].mean(), value[silent].mean()
            # Each row's share in the error of the difference, summed within members.
            part = np.where(
                silent, -(value - fell) / silent.sum(), (value - stayed) / max((~silent).sum(), 1)
            )
            sums = pd.Series(part).groupby(here["member_id"].to_numpy()).sum().to_numpy()
            k = len(sums)
            error = np.sqrt(k / (k - 1) * np.sum(sums**2))
            freedom = min(here.loc[flag, "member_id"].nunique() for flag in (silent, ~silent)) - 1
            half = stats.t.ppf(0.5 + confidence / 2, freedom) * error
            row |= {"active_value": stayed, "silent_value": fell, "value": stayed - fell}
            row |= {"low": stayed - fell - half, "high": stayed - fell + half}
        found.append(row)
    return pd.DataFrame(found)
