"""The weekly frame: spend by line, outcome, organic drivers, calendar and fixed cost, week by week.

A week begins on Monday, and only whole weeks count whose report is complete. Where some line reported, a line without
a row spent nothing; a week without any row is missing, and so is a day without its value of a metric. Of orders a day
without any is a day of none. A line that hardly varies is fixed cost, one that runs in few weeks is an event of the
calendar: neither has a curve.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from typing import Any

import ibis
import numpy as np
import pandas as pd

from helpers.data.dialect import VALUE_DECIMALS, number, rounded
from helpers.data.fingerprint import check_currency
from helpers.data.source import local_date
from helpers.errors import BadData, BadParameters
from helpers.sentences import say
from helpers.study import Study
from helpers.study.activity import currencies
from helpers.study.frames import require_columns

# A line whose weekly spend varies by less than this (standard deviation / mean) has no curve to learn.
STEADY = 0.10
# A line that spends in fewer weeks, or in a smaller share of them, is a run of events.
FEW_WEEKS, FEW_SHARE = 6, 0.08
QUARTER = 13
# Days at the end in which a report may still be coming in.
LATEST = pd.Timedelta(days=14)
# Kinds of the calendar that are no cause of demand, or that nobody knows the days of.
NO_EVENT = ("experiment", "platform_rule", "competitor")
# People stock up in the weeks ahead of a holiday, when advertisers spend more too: not told apart, spend takes the
# credit.
AHEAD = pd.Timedelta(days=14)


@dataclass(frozen=True, eq=False)
class Weekly:
    """Spend and outcome by week, without a gap; every frame has one row a week.

    Attributes
    ----------
    outcome : pandas.Series
        Outcome of each week; the index is the Monday on which the week begins.
    spend : pandas.DataFrame
        Money of each paid line that gets a curve, one column a line.
    organic, controls, calendar : pandas.DataFrame
        Drivers that cost nothing here (posts, live hours, mentions); indexes of demand; the share of days of the week
        that an entry of the calendar, or a lump of spend, covers. Maybe no columns.
    fixed : pandas.Series
        Money a week of each cost without a curve: content, tools, lines that hardly vary.
    lines : pandas.DataFrame
        One row per paid line, index the line: platform, impressions, kind ("curve", "fixed", "event", "idle"), spend,
        price_jump (largest change of the cost per impression from one quarter to the next, as a ratio; NaN without
        impressions in two quarters).
    currency, unit : str
        Currency of money, and unit of the outcome: the same currency where that is money.
    """

    outcome: pd.Series
    spend: pd.DataFrame
    currency: str = "CNY"
    unit: str = "CNY"
    organic: pd.DataFrame = field(default_factory=pd.DataFrame)
    controls: pd.DataFrame = field(default_factory=pd.DataFrame)
    calendar: pd.DataFrame = field(default_factory=pd.DataFrame)
    fixed: pd.Series = field(default_factory=lambda: pd.Series(dtype=float))
    lines: pd.DataFrame = field(default_factory=pd.DataFrame)


def weekly(study: Study, outcome: str = "margin", by: str = "campaign_id") -> Weekly:
    """Return the weekly frame of a study.

    Parameters
    ----------
    study : Study
        With ``ad_daily``; ``costs``, ``orders``, ``metric_daily``, ``content`` and ``annotations`` as far as they are
        there.
    outcome : str
        ``"margin"``, ``"revenue"`` or ``"orders"`` of the table of orders, else a metric of ``metric_daily``.
    by : {"campaign_id", "platform"}
        What a line is.

    Raises
    ------
    MissingTable, BadData, BadParameters
        When a table is missing, money is in two currencies, a week is missing, or there is no such outcome.
    """
    check_currency({name: currencies(study.dataset, name) for name in study.dataset.tables}, study.currency)
    ads, (daily, unit) = _ads(study, by), _outcome(study, outcome)
    last = min(pd.Timestamp(study.as_of), ads["last"].max(), daily.index.max())
    first = max(ads["first"].min(), daily.index.min())
    weeks = pd.date_range(first, last - pd.Timedelta(days=6), freq="W-MON")
    if weeks.empty:
        text = "ad_daily and the outcome have no whole week in common until {day}."
        raise BadData(say(text, day=study.as_of))
    spend = ads.pivot_table(index="week", columns="line", values="cost", aggfunc="sum")
    spend = spend.reindex(weeks).rename_axis(columns=None)
    if (missing := spend.isna().all(axis=1)).any():
        text = "ad_daily has no row at all in {n} of {weeks} weeks, such as that of {first}."
        raise BadData(say(text, n=missing.sum(), weeks=len(weeks), first=weeks[missing][0].date()))
    spend = spend.fillna(0.0)
    lines = ads.groupby("line").agg(platform=("platform", "first"), impressions=("shown", "sum"))
    lines = lines.assign(kind=spend.agg(kind_of), spend=spend.sum(), price_jump=_price_jump(ads, weeks[0]))
    curve, fixed, event = (list(lines.index[lines["kind"] == kind]) for kind in ("curve", "fixed", "event"))
    lumps = (spend[event] > 0).astype(float)
    return Weekly(
        outcome=_by_week(daily.to_frame("outcome"), weeks)["outcome"], spend=spend[curve], currency=study.currency,
        unit=unit, organic=_organic(study, weeks), controls=_controls(study, weeks),
        calendar=pd.concat([_calendar(study, weeks), lumps], axis=1),
        fixed=pd.concat([spend[fixed].mean(), _ledger(study, weeks)]), lines=lines,
    )  # fmt: skip


def kind_of(spend: pd.Series) -> str:
    """Return whether a line's weekly spend has a curve, is fixed cost, a run of events, or nothing at all."""
    active = int((spend > 0).sum())
    if not active:
        return "idle"
    if active == len(spend) and spend.std() < STEADY * spend.mean():
        return "fixed"
    return "event" if active < max(FEW_WEEKS, FEW_SHARE * len(spend)) else "curve"


def _by_week(daily: pd.DataFrame, weeks: pd.DatetimeIndex, how: str = "sum") -> pd.DataFrame:
    """Return sums or means of each week by its Monday; missing where there is nothing."""
    grouped = daily.resample("W-MON", closed="left", label="left")
    found = grouped.sum(min_count=1) if how == "sum" else grouped.mean()
    return found.reindex(weeks).rename_axis(columns=None)


def _ads(study: Study, by: str) -> pd.DataFrame:
    """Return cost and impressions by week, line and platform, until the first day whose report is not complete.

    Beside them: those of days with both (``priced``, ``priced_for``), and the first and last day of each row.
    """
    table, until = study.dataset.ad_daily, pd.Timestamp(study.as_of)
    if by not in ("campaign_id", "platform"):
        raise BadParameters(say("by == {by!r}, must be campaign_id or platform.", by=by))
    require_columns(table, [by, "cost"], "ad_daily")
    table = table.mutate(date=table.date.cast("date"), line=table[by].cast("string"))
    table = table.filter(table.date <= ibis.date(study.as_of))
    if "is_complete" in table.columns:
        # Only the last days are still coming in: a day long past that was never completed stays as it is.
        late = table.filter(
            ~table.is_complete.fill_null(True), table.date > ibis.date((until - LATEST).date())
        )
        first = late.date.min().execute()
        table = table if pd.isna(first) else table.filter(table.date < ibis.date(pd.Timestamp(first).date()))
    shown = table.impressions.sum() if "impressions" in table.columns else ibis.null("float64")
    daily = table.group_by("date", "line", "platform").agg(cost=table.cost.sum(), shown=shown)
    both, cost, shown, date = (daily.shown > 0) & (daily.cost > 0), daily.cost, daily.shown, daily.date
    money = {"cost": cost.sum(), "priced": cost.sum(where=both)}
    sums = {name: rounded(total, VALUE_DECIMALS) for name, total in money.items()}
    sums |= {
        "shown": shown.sum(),
        "priced_for": shown.sum(where=both),
        "first": date.min(),
        "last": date.max(),
    }
    by_week = daily.group_by("line", "platform", week=date.truncate("W")).agg(**sums)
    found = by_week.order_by("week", "line", "platform").to_pandas()
    if found.empty:
        raise BadData(say("ad_daily: there is no complete day until {day}.", day=study.as_of))
    return found.assign(**{name: pd.to_datetime(found[name]) for name in ("week", "first", "last")})


def _outcome(study: Study, outcome: str) -> tuple[pd.Series, str]:
    """Return the outcome by day, and its unit."""
    if outcome in ("margin", "revenue", "orders"):
        return _orders(study, outcome), "orders" if outcome == "orders" else study.currency
    table = study.dataset.metric_daily
    names = {name: table[name].cast("string") for name in ("metric", "scope_type", "scope_id")}
    rows = table.mutate(date=table.date.cast("date"), **names)
    rows = rows.filter(rows.metric == outcome, rows.date <= ibis.date(study.as_of))
    scopes = [*map(tuple, rows.select("scope_type", "scope_id").distinct().to_pandas().to_numpy())]
    scope = scopes[0] if len(scopes) == 1 else ("brand", "all")
    if scope not in scopes:
        known = ", ".join(sorted(table.select("metric").distinct().to_pandas()["metric"].astype(str)))
        text = "outcome == {outcome!r}, must be margin, revenue, orders, or a metric of one scope; there is {known}."
        raise BadParameters(say(text, outcome=outcome, known=known))
    mine = rows.filter(rows.scope_type == scope[0], rows.scope_id == scope[1]).order_by("date").to_pandas()
    daily = pd.Series(mine["value"].to_numpy(float), pd.to_datetime(mine["date"]))
    if "is_complete" in mine:
        daily = daily[: np.flatnonzero(mine["is_complete"].fillna(True).astype(bool))[-1] + 1]
    days = pd.DatetimeIndex(daily.index)
    if len(gaps := pd.date_range(days.min(), days.max()).difference(days)):
        text = "metric_daily: {n} of {days} days of {metric} are missing, such as {day}."
        raise BadData(say(text, n=len(gaps), days=len(gaps) + len(daily), metric=outcome, day=gaps[0].date()))
    unit = mine["unit"].iloc[0] if "unit" in mine else None
    return daily, unit if isinstance(unit, str) else outcome


def _orders(study: Study, outcome: str) -> pd.Series:
    """Return orders, or their money, by day from the first to the last order; a day without any has none."""
    table, value = study.dataset.orders, ibis.literal(1.0)
    if outcome == "margin":
        require_columns(table, ["margin"], "orders")
        value = table.margin
    elif outcome == "revenue":
        taken = [table[name].fill_null(0.0) for name in ("discount", "refund") if name in table.columns]
        value = table.gross - sum(taken, ibis.literal(0.0))
    rows = table.select(day=local_date(table.paid_at, study.report_tz), value=value.cast("float64"))
    rows = rows.filter(rows.day <= ibis.date(study.as_of))
    value = rounded(rows.value.sum(), VALUE_DECIMALS)
    found = rows.group_by("day").agg(value=value, unknown=rows.value.isnull().sum()).to_pandas()
    if found.empty or found["unknown"].any():
        text = "orders: there is none until {day}." if found.empty else "orders: {n} have no margin."
        raise BadData(say(text, day=study.as_of, n=found["unknown"].sum()))
    return found.set_index(pd.to_datetime(found["day"]))["value"].sort_index().asfreq("D", fill_value=0.0)


def _price_jump(ads: pd.DataFrame, first: pd.Timestamp) -> pd.Series:
    """Return by line the largest change of cost per impression from one quarter to the next, as a ratio above 1."""
    seen = ads[(ads["priced"] > 0) & (ads["week"] >= first)]
    quarter = ((seen["week"] - first).dt.days // (7 * QUARTER)).rename("quarter")
    sums = seen.groupby([seen["line"], quarter])[["priced", "priced_for"]].sum().astype(float)
    price = pd.Series(np.log(sums["priced"] / sums["priced_for"]), sums.index)
    return pd.Series(np.exp(price.groupby("line").diff().abs().groupby("line").max()))


def _ledger(study: Study, weeks: pd.DatetimeIndex) -> pd.Series:
    """Return money a week by kind of cost, advertising apart, which the ad reports tell by line."""
    rows, days = study.ledger, (pd.Timestamp(study.as_of) - weeks[0]).days + 1
    rows = rows[(rows["date"] >= weeks[0]) & (rows["kind"] != "ads")]
    return rows.groupby("kind")["amount"].sum().rename_axis(None) / days * 7


def _organic(study: Study, weeks: pd.DatetimeIndex) -> pd.DataFrame:
    """Return posts of one's own, live hours and posts of creators, by week."""
    if "content" not in study.dataset:
        return pd.DataFrame(index=weeks)
    table = study.dataset.content
    has = table.columns.__contains__
    made = table.creator_id.notnull() if has("creator_id") else ibis.literal(False)
    ads = table.is_ad.fill_null(False) if has("is_ad") else ibis.literal(False)
    live = number(table.format.cast("string") == "live") if has("format") else ibis.literal(0.0)
    hours = live * table.length_s.fill_null(0.0) / 3_600 if has("length_s") else ibis.literal(0.0)
    rows = table.mutate(day=local_date(table.published_at, study.report_tz), made=made, hours=hours).filter(
        ~ads
    )
    sums = {
        "posts": (~rows.made).sum(),
        "live_hours": rounded(rows.hours.sum(), 9),
        "creator_posts": rows.made.sum(),
    }
    daily = rows.group_by("day").agg(**sums).order_by("day").to_pandas()
    return _by_week(daily.set_index(pd.to_datetime(daily["day"])).drop(columns="day"), weeks).fillna(0.0)


def _controls(study: Study, weeks: pd.DatetimeIndex) -> pd.DataFrame:
    """Return the indexes of demand of ``metric_daily`` (scope type index) that are known in every week, as means."""
    if "metric_daily" not in study.dataset:
        return pd.DataFrame(index=weeks)
    table = study.dataset.metric_daily
    rows = table.filter(table.scope_type.cast("string") == "index").to_pandas()
    if rows.empty:
        return pd.DataFrame(index=weeks)
    rows = rows.assign(date=pd.to_datetime(rows["date"]))
    daily = rows.pivot_table(index="date", columns="metric", values="value")
    return _by_week(daily, weeks, "mean").dropna(axis=1)


def _calendar(study: Study, weeks: pd.DatetimeIndex) -> pd.DataFrame:
    """Return the share of each week's days that entries of the calendar cover, one column a kind and grade."""
    frame = pd.DataFrame(index=weeks)
    if "annotations" not in study.dataset:
        return frame
    days = pd.date_range(weeks[0], periods=7 * len(weeks))
    entries = study.dataset.annotations.to_pandas()
    for entry in entries[~entries["kind"].isin(NO_EVENT)].to_dict("records"):
        for name, start, end in _spans(entry):
            inside = (days >= start) & (days <= end)
            frame[name] = np.minimum(frame.get(name, 0.0) + inside.reshape(-1, 7).mean(axis=1), 1.0)
    return frame.loc[:, frame.gt(0).any()]


def _spans(entry: dict[Hashable, Any]) -> Iterator[tuple[str, pd.Timestamp, pd.Timestamp]]:
    """Yield name, first and last day of an entry, of the time ahead of a holiday (<), of a promotion's end (>)."""
    kind, grade = entry["kind"], entry.get("grade")
    name = f"{kind} {grade}" if isinstance(grade, str) else str(kind)
    start, end = pd.Timestamp(entry["start"]), pd.Timestamp(entry["end"])
    yield name, start, end
    if kind == "holiday":
        yield f"<{name}", start - AHEAD, start - pd.Timedelta(days=1)
    if kind == "promo":
        yield f"{name}>", end, end
