"""Value of cohorts at equal age: does a newcomer of today bring more than one of before, and is it the goal's 50 %?

Cohorts of different age cannot be compared by what they have brought so far: the older had more time. Here each
joiner is followed for the same number of days, and only joiners whose days are all over enter; those who left stay in
the denominator with what they brought. The joiners of the later half of the mature cohorts are set against those of
the earlier half. The interval of the ratio is on the log scale: ``var(log R) = var(m1) / m1^2 + var(m0) / m0^2``
(delta method; the halves are different members and independent). Seasons are not taken out: halves that lie in
different seasons differ for that reason too.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field

import ibis
import numpy as np
import pandas as pd
from scipy import stats

from helpers.checks import check_confidence, check_scalar
from helpers.methods.frames import as_day, with_days
from helpers.methods.intervals import Estimate, unknown
from helpers.playbook.sentences import number, percent, quantity, say

GOAL = 1.5
FEWEST_MEMBERS = 30
FEWEST_WITH_VALUE = 10
VALUE_DECIMALS = 6
METHOD = "delta method, log scale"


@dataclass(frozen=True)
class CohortValue:
    """Value of each mature cohort in its first days, and the growth from the earlier half to the later.

    Attributes
    ----------
    table : pandas.DataFrame
        One row per month of joining: cohort ("2026-03"), n (joiners), mature (those followed to the full age), value
        (mean per mature joiner), low, high, half ("earlier", "later" or empty). Cohorts without a mature joiner keep
        their row with an empty value.
    growth : Estimate
        Value of the later half over that of the earlier, as a ratio.
    age_days : int
        Days for which each joiner is followed; the day of joining is the first.
    goal : float
        Ratio that the goal asks for.
    unit : str
        Unit of the value.
    """

    table: pd.DataFrame = field(repr=False)
    growth: Estimate
    age_days: int
    goal: float
    unit: str

    @property
    def verdict(self) -> str:
        """``"reached"``, ``"missed"`` or ``"open"``: where the whole interval lies against the goal."""
        if not self.growth.known:
            return "open"
        if self.growth.low >= self.goal:
            return "reached"
        return "missed" if self.growth.high < self.goal else "open"

    @property
    def sentence(self) -> str:
        """Growth at equal age, and whether the goal is reached."""
        if not self.growth.known:
            text = "Value of newcomers at {age} days, later against earlier cohorts: too little data ({n} joiners)."
            return say(text, age=number(self.age_days), n=number(self.growth.n))
        halves = self.table.dropna(subset=["value"])
        mean = {
            half: float(np.average(rows["value"], weights=rows["mature"]))
            for half, rows in halves.groupby("half")
        }
        judged = {
            "reached": say("the goal is reached"),
            "missed": say("the goal is not reached"),
            "open": say("whether the goal is reached is open"),
        }
        return say(
            "Newcomers of the later cohorts brought {later} each in their first {age} days, those of the earlier "
            "{earlier}: {change} ({low} to {high}) from {n} joiners. Against a goal of {goal}, {judged}.",
            later=quantity(mean["later"], self.unit),
            earlier=quantity(mean["earlier"], self.unit),
            age=number(self.age_days),
            change=_signed(self.growth.value),
            low=_signed(self.growth.low),
            high=_signed(self.growth.high),
            n=number(self.growth.n),
            goal=_signed(self.goal),
            judged=judged[self.verdict],
        )


def _signed(ratio: float) -> str:
    return ("+" if ratio >= 1 else "−") + percent(abs(ratio - 1), 0)


def cohort_value(
    activity: ibis.Table | pd.DataFrame,
    population: ibis.Table | pd.DataFrame,
    *,
    as_of: dt.date | str,
    age_days: int = 90,
    observed_from: dt.date | str | None = None,
    goal: float = GOAL,
    unit: str = "points",
    confidence: float = 0.95,
) -> CohortValue:
    """Compare cohorts of joiners by the value of their first days.

    Parameters
    ----------
    activity : ibis.Table or pandas.DataFrame
        member_id, day, value.
    population : ibis.Table or pandas.DataFrame
        member_id, joined_day.
    as_of : date or str
        Last day that counts.
    age_days : int
        Days for which each joiner is followed.
    observed_from : date or str, optional
        First recorded day; who joined before is left out. By default the first day of activity.
    goal : float
        Ratio of later to earlier value that the goal asks for, such as 1.5 for +50 %.
    unit, confidence
        Unit of the value and level of the intervals.
    """
    check_confidence(confidence)
    check_scalar(age_days, "age_days", type_=int, ge=1)
    check_scalar(goal, "goal", type_=(int, float), gt=0)
    end, rows = as_day(as_of), with_days(activity, "day")
    first = rows.day.min().execute() if observed_from is None else as_day(observed_from, "observed_from")
    begin = end if pd.isna(first) else pd.Timestamp(first).date()
    joiners = _joiners(rows, with_days(population, "joined_day"), begin, end, age_days)
    table = _cohorts(joiners, confidence)
    growth = _growth(joiners, table, confidence)
    return CohortValue(table, growth, age_days, float(goal), unit)


def _joiners(
    rows: ibis.Table, people: ibis.Table, begin: dt.date, end: dt.date, age_days: int
) -> pd.DataFrame:
    """Return joiners and their value grouped by day of joining: joined_day, mature, n, with_value, total, squares."""
    people = people.filter(people.joined_day >= ibis.date(begin), people.joined_day <= ibis.date(end))
    joined = rows.select("member_id", "day", "value").join(
        people.select("member_id", "joined_day"), "member_id"
    )
    age = joined.day.delta(joined.joined_day, unit="day")
    early = joined.filter((age >= 0) & (age < age_days))
    brought = early.group_by("member_id").agg(value=early.value.sum().cast("float64").round(VALUE_DECIMALS))
    whole = people.select("member_id", "joined_day").left_join(brought, "member_id").drop("member_id_right")
    whole = whole.mutate(value=whole.value.fill_null(0.0))
    found = whole.group_by("joined_day").agg(
        n=whole.count(),
        with_value=(whole.value != 0).cast("int64").sum(),
        total=whole.value.sum(),
        squares=(whole.value * whole.value).sum(),
    )
    frame = found.to_pandas().sort_values("joined_day", ignore_index=True)
    frame["joined_day"] = pd.to_datetime(frame["joined_day"])
    frame[["total", "squares"]] = frame[["total", "squares"]].astype(float).round(VALUE_DECIMALS)
    last = pd.Timestamp(end - dt.timedelta(days=age_days - 1))
    return frame.assign(mature=frame["joined_day"] <= last, cohort=frame["joined_day"].dt.strftime("%Y-%m"))


def _moments(rows: pd.DataFrame) -> tuple[int, int, float, float]:
    """Return mature joiners, those with value, and mean and its standard error."""
    mature = rows[rows["mature"]]
    n = int(mature["n"].sum())
    if n < 2:
        return n, int(mature["with_value"].sum()), np.nan, np.nan
    mean = float(mature["total"].sum()) / n
    variance = max(float(mature["squares"].sum()) - n * mean**2, 0.0) / (n - 1)
    return n, int(mature["with_value"].sum()), mean, float(np.sqrt(variance / n))


def _cohorts(joiners: pd.DataFrame, confidence: float) -> pd.DataFrame:
    z, rows = float(stats.norm.ppf(0.5 + confidence / 2)), []
    for cohort, part in joiners.groupby("cohort"):
        n, with_value, mean, error = _moments(part)
        known = n >= FEWEST_MEMBERS and with_value >= FEWEST_WITH_VALUE and mean > 0
        spread = np.exp(z * error / mean) if known else np.nan
        shown = mean if n >= 1 else np.nan
        rows.append((cohort, int(part["n"].sum()), n, shown, mean / spread, mean * spread))
    table = pd.DataFrame(rows, columns=["cohort", "n", "mature", "value", "low", "high"])
    whole = table["mature"].cumsum() - table["mature"] / 2
    later = whole > table["mature"].sum() / 2
    table["half"] = np.where(table["mature"] == 0, "", np.where(later, "later", "earlier"))
    return table


def _growth(joiners: pd.DataFrame, table: pd.DataFrame, confidence: float) -> Estimate:
    half = joiners["cohort"].map(table.set_index("cohort")["half"]) if len(table) else joiners["cohort"]
    parts = [_moments(joiners[half == name]) for name in ("earlier", "later")]
    n = sum(part[0] for part in parts)
    enough = all(m >= FEWEST_MEMBERS and v >= FEWEST_WITH_VALUE and mean > 0 for m, v, mean, _ in parts)
    if not enough:
        return unknown(n, "ratio", confidence)
    (_, _, before, error0), (_, _, after, error1) = parts
    half_width = stats.norm.ppf(0.5 + confidence / 2) * np.hypot(error0 / before, error1 / after)
    ratio = after / before
    low, high = float(ratio * np.exp(-half_width)), float(ratio * np.exp(half_width))
    return Estimate(ratio, low, high, n, "ratio", METHOD, confidence)
