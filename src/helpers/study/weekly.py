"""The weekly series of a study by ISO week: what no method publishes, of everybody and by platform.

A week is whole when its seven days lie within what the log covers. A week in which nothing happened counts zero where
the log covers it; a week without an advertising or content report was not observed and is missing. Platforms with a
week of fewer than `k_min` people are left out, and as many more that what is left over is not about too few either.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple, Self

import ibis
import numpy as np
import pandas as pd

from helpers.data.dialect import VALUE_DECIMALS, rounded
from helpers.study.days import day_number, number_of
from helpers.study.study import Study
from helpers.study.unusual_weeks import unusual_weeks

ALL = "all"
LEARNING = 8
"""Weeks of log after which somebody who is first seen can be called new."""
MONDAY = 3
"""Days from 1970-01-01, a Thursday, back to a Monday."""
WANTED = ["numerator", "denominator", "members"]
COLUMNS = ["metric", "scope", "week", *WANTED, "complete"]


class Metric(NamedTuple):
    """A number that is counted every week; its `id` is a term of the glossary, which says what it means."""

    id: str
    title: str
    section: str
    unit: str
    direction: Literal["up is good", "down is good", "neither"]
    owner: str
    kind: Literal["flow", "level", "rate"]
    """A flow adds up over weeks, a level is that of the last week, a rate is numerator over denominator."""


METRICS = (
    Metric("weekly_active", "Active members", "community", "members", "up is good", "community lead", "level"),
    Metric("new_contributors", "New contributors", "community", "members", "up is good", "community lead", "flow"),
    Metric("new_members", "New members", "community", "members", "up is good", "growth", "flow"),
    Metric("exits", "Members who left", "community", "members", "down is good", "community lead", "flow"),
    Metric("orders", "Orders of a week", "money", "orders", "up is good", "commerce", "flow"),
    Metric("net_revenue", "Net revenue", "money", "currency", "up is good", "commerce", "flow"),
    Metric("order_value", "Money per order", "money", "currency", "up is good", "commerce", "rate"),
    Metric("ad_cost", "Spend on advertising", "money", "currency", "neither", "growth", "flow"),
    Metric("click_rate", "Clicks per impression", "content", "share", "up is good", "growth", "rate"),
    Metric("cost_per_conversion", "Cost per conversion", "money", "currency", "down is good", "growth", "rate"),
    Metric("reach", "Reach of posts", "content", "people reached", "up is good", "content", "flow"),
    Metric("engagement", "Engagement by reach", "content", "share", "up is good", "content", "rate"),
)  # fmt: skip
BY_ID = {metric.id: metric for metric in METRICS}


@dataclass(frozen=True, repr=False)
class WeeklySeries:
    """The series, week by week.

    Attributes
    ----------
    study : Study
        Whose.
    frame : pandas.DataFrame
        One row a metric, scope and week: metric, scope, week (Monday), numerator, denominator (1 for counts), members
        (people it is about; missing where it is not about people), complete. What was not observed is missing.
    unusual : pandas.Series
        What the calendar says of each week that is unlike others, by Monday; empty texts for ordinary weeks.
    last : Timestamp, optional
        Monday of the last week that is looked at; the last whole one.
    """

    study: Study = field(repr=False)
    frame: pd.DataFrame = field(repr=False)
    unusual: pd.Series = field(repr=False)
    last: pd.Timestamp | None = None

    def until(self, week: pd.Timestamp) -> Self:
        """Return what the data of today say up to an earlier week."""
        return replace(self, frame=self.frame[self.frame["week"] <= week], last=week)

    @property
    def week(self) -> pd.Timestamp:
        """Monday of the last whole week."""
        if self.last is not None:
            return self.last
        end = pd.Timestamp(self.study.as_of) + pd.Timedelta(days=1)
        return end - pd.Timedelta(days=end.weekday() + 7)

    def unit(self, metric: Metric) -> str:
        """Return the unit of a metric; money is in the currency of the study."""
        return self.study.currency if metric.unit == "currency" else metric.unit

    @property
    def known(self) -> tuple[Metric, ...]:
        """The metrics that there is anything of."""
        there = set(self.frame["metric"])
        return tuple(metric for metric in METRICS if metric.id in there)

    def series(self, metric: str, scope: str = ALL) -> pd.DataFrame:
        """Return numerator and denominator by Monday up to the last whole week; NaN where it was not observed."""
        rows = self.frame[(self.frame["metric"] == metric) & (self.frame["scope"] == scope)]
        rows = rows[rows["complete"]].set_index("week")[["numerator", "denominator"]]
        if rows.empty:
            return rows
        return rows.reindex(pd.date_range(rows.index.min(), self.week, freq="W-MON"))

    def few(self, metric: str) -> pd.Series:
        """Return by Monday whether a number of everybody is about too few people to be shown."""
        rows = self.frame[(self.frame["metric"] == metric) & (self.frame["scope"] == ALL)]
        return rows.set_index("week")["members"].between(1, self.study.k_min - 1)

    def ordinary(self, weeks: pd.Index) -> pd.Series:
        """Return of each week whether it is like others."""
        return self.unusual.reindex(weeks).fillna("") == ""

    @classmethod
    def of(cls, study: Study) -> Self:
        """Return the weekly series of whatever there is of events, messages, orders, members, ad and post reports."""
        parts = [part for make in (_people, _advertising, _posts) for part in make(study)]
        frame = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=COLUMNS)
        frame = frame[COLUMNS].astype({"week": "datetime64[ns]", "complete": bool})
        found = cls(study, frame, pd.Series(dtype=str))
        whole = _private(frame[frame["week"] <= found.week], study.k_min)
        order = {name: place for place, name in enumerate(BY_ID)}
        whole = whole.sort_values(
            ["metric", "scope", "week"],
            key=lambda c: c.map(order) if c.name == "metric" else c,
            ignore_index=True,
        )
        weeks = pd.date_range(whole["week"].min() if len(whole) else found.week, found.week, freq="W-MON")
        return replace(found, frame=whole, unusual=unusual_weeks(study, weeks))


def _week(day: ibis.Value) -> ibis.Value:
    """Return the number of the ISO week of a day."""
    return (day_number(day) + MONDAY) // 7


def _monday(week: pd.Series) -> pd.Series:
    return pd.to_datetime(week.astype("int64") * 7 - MONDAY, unit="D")


def _people(study: Study) -> Iterator[pd.DataFrame]:
    """Yield what members did, by week and home platform."""
    if (told := study.of_members) is None:
        return
    study, began, people = told, told.began, told.population
    if began is None or int(people.count().execute()) < study.k_min:
        return
    first = (number_of(began) + MONDAY + 6) // 7
    last = (number_of(study.as_of) + 1 + MONDAY) // 7 - 1
    span = (first, last)
    home = people.platform_home.cast("string").fill_null("not stated") if "platform_home" in people.columns else (
        ibis.literal(ALL))  # fmt: skip
    whose = people.select("member_id", home=home)
    days = study.member_days
    active = days.select("member_id", week=_week(days.day)).distinct()
    yield _counted(active, whose, "weekly_active", span)
    fresh = active.group_by("member_id").agg(week=active.week.min())
    yield _counted(fresh, whose, "new_contributors", (first + LEARNING, last))
    if study.joining_known:
        yield _counted(people.select("member_id", week=_week(people.joined_day)), whose, "new_members", span)
    if study.leaving_recorded:
        gone = people.filter(people.left_day.notnull())
        yield _counted(gone.select("member_id", week=_week(gone.left_day)), whose, "exits", span)
    if "orders" in study.dataset:
        yield from _orders(study, whose, span)


def _counted(rows: ibis.Table, whose: ibis.Table, metric: str, span: tuple[int, int]) -> pd.DataFrame:
    """Return how many members there are by week and home platform; zero where the log covers a week."""
    joined = rows.inner_join(whose, "member_id")
    found = joined.group_by("week", "home").agg(numerator=joined.count()).to_pandas()
    return _filled(found.assign(denominator=1.0, members=found["numerator"]), metric, span)


def _orders(study: Study, whose: ibis.Table, span: tuple[int, int]) -> Iterator[pd.DataFrame]:
    rows = study.activity.filter(study.activity.kind.isin(["order", "refund"]))
    rows = rows.select("member_id", "value", week=_week(rows.day), placed=rows.kind == "order").inner_join(
        whose, "member_id")  # fmt: skip
    money = rounded(rows.value.sum(), VALUE_DECIMALS)
    sums = {"orders": rows.placed.sum(), "money": money, "members": rows.member_id.nunique()}
    found = rows.group_by("week", "home").agg(**sums).to_pandas()
    counted = found.assign(denominator=1.0)
    yield _filled(counted.assign(numerator=found["orders"]), "orders", span)
    yield _filled(counted.assign(numerator=found["money"]), "net_revenue", span)
    yield _filled(
        found.assign(numerator=found["money"], denominator=found["orders"]), "order_value", span, 0.0
    )


def _filled(
    found: pd.DataFrame, metric: str, span: tuple[int, int], denominator: float = 1.0
) -> pd.DataFrame:
    """Return sums of every week and platform, and of all platforms; what did not happen is zero."""
    first, last = span
    found = found[found["week"].between(first, last)]
    homes = sorted(set(found["home"]) - {ALL})
    index = pd.MultiIndex.from_product([range(first, last + 1), homes or [ALL]], names=["week", "home"])
    cells = found.set_index(["week", "home"])[list(WANTED)].astype(float).reindex(index)
    cells = cells.fillna({"numerator": 0.0, "denominator": denominator, "members": 0.0})
    if homes:
        sums = cells.groupby("week").sum()
        sums["denominator"] = sums["denominator"] if denominator == 0 else 1.0
        cells = pd.concat([cells, pd.concat({ALL: sums}, names=["home"]).swaplevel()])
    rows = cells.reset_index().rename(columns={"home": "scope"})
    return rows.assign(metric=metric, week=_monday(rows["week"]), complete=True)


def _advertising(study: Study) -> Iterator[pd.DataFrame]:
    """Yield money, clicks and conversions of the ad reports; a week counts when all its reports are complete."""
    if "ad_daily" not in study.dataset:
        return
    table = study.dataset.ad_daily
    asked = ("cost", "impressions", "clicks", "conversions")
    found = _reported(study, table, [name for name in asked if name in table.columns], "platform")
    for metric, top, bottom in (
        ("ad_cost", "cost", None), ("click_rate", "clicks", "impressions"),
        ("cost_per_conversion", "cost", "conversions"),
    ):  # fmt: skip
        if {top, bottom or top} <= set(found):
            yield found.assign(
                metric=metric, numerator=found[top], denominator=found[bottom] if bottom else 1.0
            )


def _posts(study: Study) -> Iterator[pd.DataFrame]:
    """Yield reach of posts, and what readers did with them."""
    if "content_daily" not in study.dataset or "reach" not in study.dataset.content_daily.columns:
        return
    table = study.dataset.content_daily
    did = [name for name in ("likes", "comments", "shares", "saves") if name in table.columns]
    found = _reported(study, table, ["reach", *did])
    yield found.assign(metric="reach", numerator=found["reach"], denominator=1.0)
    if did:
        yield found.assign(metric="engagement", numerator=found[did].sum(axis=1), denominator=found["reach"])


def _reported(study: Study, table: ibis.Table, names: list[str], by: str = "") -> pd.DataFrame:
    """Return sums of a daily report by week and platform, and of all; incomplete where a day is, or is missing."""
    day = table.date.cast("date")
    whole = table.is_complete.fill_null(True) if "is_complete" in table.columns else ibis.literal(True)
    scope = table[by].cast("string") if by and by in table.columns else ibis.literal(ALL)
    rows = table.mutate(day=day, whole=whole, scope=scope).filter(day <= ibis.date(study.as_of))
    sums = {name: rounded(rows[name].sum(), VALUE_DECIMALS) for name in names}
    keys = {"week": _week(rows.day), "scope": rows.scope}
    asked = rows.group_by(**keys).agg(**sums, days=rows.day.nunique(), whole=rows.whole.all())
    found = asked.order_by("week", "scope").to_pandas()
    totals = found.groupby("week", as_index=False).agg(
        dict.fromkeys(names, "sum") | {"days": "max", "whole": "all"}
    )
    found = found if (found["scope"] == ALL).all() else pd.concat([found, totals.assign(scope=ALL)])
    complete = found["whole"].astype(bool) & (found["days"] == 7)
    return found.assign(week=_monday(found["week"]), complete=complete, members=np.nan)


def _private(frame: pd.DataFrame, k_min: int) -> pd.DataFrame:
    """Leave out platforms that are ever about fewer than `k_min` people, and weeks of everybody that are."""
    few = frame["members"].between(1, k_min - 1)
    kept = []
    for _, rows in frame.assign(few=few).groupby("metric", sort=False):
        scopes = rows[rows["scope"] != ALL].groupby("scope")
        shown = scopes["members"].min()[~scopes["few"].any()].sort_values()
        hidden = (
            rows[(rows["scope"] != ALL) & ~rows["scope"].isin(shown.index)].groupby("week")["members"].sum()
        )
        while len(shown) and len(hidden) and hidden.between(1, k_min - 1).any():
            hidden = hidden.add(
                rows[rows["scope"] == shown.index[0]].set_index("week")["members"], fill_value=0
            )
            shown = shown.iloc[1:]
        kept.append(rows[rows["scope"].isin([ALL, *shown.index])])
    return pd.concat(kept) if kept else frame
