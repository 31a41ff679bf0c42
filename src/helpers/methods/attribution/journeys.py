"""Journeys: the touches that lead to a conversion, cut after it, counted in the engine.

What a journey is
-----------------
- Touches and conversions of a member stand in order of time; at one instant touches come before conversions, and
  among each other in the order of their ids.
- A touch belongs to the next conversion of its member if that comes within the lookback. No conversion after that one
  ever sees it: a journey is cut after each conversion.
- Touches that lead to no conversion are journeys without one; such a journey ends where nothing follows for longer
  than the lookback, or where one that converts begins.
- A conversion without a touch since the one before is carried by the last touch, if the lookback reaches it, as a
  journey of that touch alone; or, where that is asked for, stays unattributed like any conversion without a touch.
- First and repeat orders are told apart by all orders on record; touches after the first order lead to repeat ones.
- Ids that are neither a member's nor a buyer's are unmatched: nobody knows what they bought, so they are no journey
  without a conversion. Where there is no table of members, all ids count as matched.
- Staff and bots, and what came after ``as_of``, are left out. The value of an order is gross less discount, less all
  refunds; a negative order is a refund and no conversion.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property, reduce
from zoneinfo import ZoneInfo

import ibis
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from helpers.checks import did_you_mean
from helpers.data.fingerprint import check_currency
from helpers.data.rules import EARLIEST
from helpers.errors import BadParameters
from helpers.study import Study
from helpers.study.activity import currencies
from helpers.study.people import excluded

ORDERS = ("order", "first order", "repeat order")
SECOND, COLLAPSE = ("carry", "unattributed"), ("no", "repeats", "distinct")
UNKNOWN = "unknown"
UNTAGGED = ("", "unknown", "(not set)", "(none)", "untagged", "未知", "未标记")
"""Names of a channel that say that it is not known."""
COLUMNS = ("member_id", "ts", "kind", "id", "channel", "value")
LEVELS = ("platform", "channel", "account_id", "creator_id", "content_id")
TOUCH, CONVERSION = 0, 1
DECIMALS = 9


@dataclass(frozen=True, kw_only=True)
class Definition:
    """What a journey is.

    Attributes
    ----------
    lookback_days : int
        A touch has credit for a conversion at most this many days later.
    window_days : int
        Conversions of so many days until ``as_of`` count, and touches before them by the lookback alone; 0 for all.
    conversion : str
        ``order``, ``first order``, ``repeat order``, or the name of an event such as ``follow``.
    second : {"carry", "unattributed"}
        What stands for a conversion without a touch since the one before: the last touch, or nothing.
    channels : mapping of str to str
        Other names of channels; an empty one drops the channel's touches.
    collapse : {"no", "repeats", "distinct"}
        Touches of a journey that stay: all, the last of each run of one channel, the first of each channel.
    """

    lookback_days: int = 30
    window_days: int = 0
    conversion: str = "order"
    second: str = "carry"
    channels: Mapping[str, str] = field(default_factory=dict)
    collapse: str = "no"

    def __post_init__(self) -> None:
        """Refuse what is no choice."""
        for name, allowed in (("second", SECOND), ("collapse", COLLAPSE)):
            if getattr(self, name) not in allowed:
                choices = ", ".join(allowed)
                raise BadParameters(f"{name} == {getattr(self, name)!r}, must be one of {choices}.")
        if self.lookback_days < 1 or self.window_days < 0:
            raise BadParameters("lookback_days must be at least 1 and window_days at least 0.")


@dataclass(frozen=True, eq=False)
class Histories:
    """Unique histories of members as flat arrays: one row per touch, journey after journey, member after member.

    Attributes
    ----------
    members : ndarray, shape (histories,)
        Members with this history: the same channels in the same journeys, with the same times and values where they
        convert.
    history, code : ndarray, shape (touches,)
        Number of the history and of the channel.
    last, converted : ndarray of bool, shape (touches,)
        Whether a touch is the last of its journey, and whether that converts.
    days : ndarray, shape (touches,)
        Days from touch to conversion; NaN in a journey that does not convert.
    value : ndarray, shape (touches,)
        Value of the conversion, on each touch of its journey; 0 without one.
    channels : tuple of str
        Names by code.
    """

    members: NDArray[np.int64]
    history: NDArray[np.int64]
    code: NDArray[np.int64]
    last: NDArray[np.bool_]
    converted: NDArray[np.bool_]
    days: NDArray[np.float64]
    value: NDArray[np.float64]
    channels: tuple[str, ...]

    @cached_property
    def journey(self) -> NDArray[np.int64]:
        """Number of the journey of each touch."""
        return np.cumsum(self.last) - self.last

    @cached_property
    def length(self) -> NDArray[np.int64]:
        """Touches of the journey that a touch is in."""
        return np.bincount(self.journey)[self.journey]

    @cached_property
    def place(self) -> NDArray[np.int64]:
        """Place of a touch in its journey, from 1."""
        touches = np.bincount(self.journey)
        return np.arange(1, len(self.code) + 1) - (np.cumsum(touches) - touches)[self.journey]

    @cached_property
    def fresh(self) -> NDArray[np.bool_]:
        """Whether a touch is the first of its channel in its journey."""
        first = np.zeros(len(self.code), bool)
        first[np.unique(self.journey * len(self.channels) + self.code, return_index=True)[1]] = True
        return first

    def collapsed(self, how: str) -> Histories:
        """Return the histories without the touches that a way to collapse them leaves out."""
        if how == "no" or not len(self.code):
            return self
        alike = np.r_[(self.code[1:] == self.code[:-1]) & ~self.last[:-1], False]
        kept = self.fresh if how == "distinct" else ~alike
        journey = self.journey[kept]
        rows = {name: getattr(self, name)[kept] for name in ("history", "code", "converted", "days", "value")}
        return Histories(
            members=self.members,
            channels=self.channels,
            last=np.diff(journey, append=-1) != 0,
            **rows,
        )


@dataclass(frozen=True, eq=False)
class Journeys:
    """Journeys of all members, counted in the engine.

    Attributes
    ----------
    study, definition
        What was asked.
    steps : ibis.Table
        One row per touch of a journey: member_id, ts, kind, id (of both, by which steps are in order), touch_id,
        channel, before (channel of the touch before; missing at the start), last, converted, carried (stands for a
        conversion once more), tied, open, paid (time of the conversion), days (until then), value (of the conversion,
        on the last touch).
    touches : ibis.Table
        One row per touch in reach, of unmatched ids too: member_id, ts, id, channel, matched, in_window (not only in
        the lookback of it), and platform, account_id, creator_id, content_id, cost, as far as they are there.
    ends : ibis.Table
        One row per conversion: member_id, ts, id, value.
    """

    study: Study
    definition: Definition
    steps: ibis.Table = field(repr=False)
    touches: ibis.Table = field(repr=False)
    ends: ibis.Table = field(repr=False)

    @cached_property
    def cells(self) -> pd.DataFrame:
        """Steps by kind, all that order 1 and the accounts need; of all touches, whatever `collapse` says.

        before, channel, last, converted, carried (bool); n (steps), value (of conversions), tied (touches at one
        instant with another of the member), open (touches whose lookback ends after ``as_of``, not converted yet).
        """
        keys = ["before", "channel", "last", "converted", "carried"]
        found = self.steps.group_by(keys).agg(
            n=self.steps.count(),
            value=self.steps.value.sum(),
            **{name: self.steps.count(where=self.steps[name]) for name in ("tied", "open")},
        )
        # Engines sum in no fixed order: the last bits must not reach a published number.
        frame = found.to_pandas().round({"value": DECIMALS})
        return frame.sort_values(keys, ignore_index=True, na_position="first")

    @cached_property
    def channels(self) -> tuple[str, ...]:
        """Names of the channels in the journeys, sorted."""
        return tuple(sorted(self.cells["channel"].unique()))

    @cached_property
    def conversions(self) -> int:
        """Conversions, with and without a journey."""
        return int(self.ends.count().execute())

    @property
    def attributed(self) -> int:
        """Conversions with a journey."""
        return int(self.cells.loc[self.cells["last"] & self.cells["converted"], "n"].sum())

    @cached_property
    def histories(self) -> Histories:
        """Unique histories of members."""
        rows = self.steps
        numbers = [(rows.channel == name, n) for n, name in enumerate(self.channels)]
        step = ibis.struct({
            "code": ibis.cases((rows.channel.isnull(), -1), *numbers),
            "last": rows["last"],
            "converted": rows.converted,
            # The time of a lone touch changes nothing, and members who differ in it alone are alike.
            "days": ibis.cases((rows.before.isnull() & rows["last"] & rows.converted, 0.0), else_=rows.days),
            "value": rows.value,
        })  # fmt: skip
        rows = rows.select("member_id", "ts", "kind", "id", step=step)
        members = rows.group_by("member_id").agg(steps=rows.step.collect(order_by=["ts", "kind", "id"]))
        unique = members.group_by("steps").agg(members=members.count(), first=members.member_id.min())
        found = unique.order_by("first").drop("first").to_pyarrow()
        return _flat(found, self.channels).collapsed(self.definition.collapse)


def _flat(table: pa.Table, channels: tuple[str, ...]) -> Histories:
    """Return rows of lists as flat arrays, without an object per touch."""
    lists = table["steps"].combine_chunks()
    sizes, steps = lists.value_lengths().to_numpy(zero_copy_only=False), lists.flatten()
    flat = {name: pc.struct_field(steps, name).to_numpy(zero_copy_only=False) for name in steps.type.names}
    last = flat["last"].astype(bool)
    return Histories(
        members=table["members"].to_numpy().astype(np.int64),
        history=np.repeat(np.arange(len(sizes)), sizes.astype(np.int64)),
        code=flat["code"].astype(np.int64),
        last=last,
        converted=flat["converted"].astype(bool),
        days=flat["days"].astype(float),
        value=flat["value"][last][np.cumsum(last) - last],
        channels=channels,
    )


def journeys(study: Study, definition: Definition | None = None) -> Journeys:
    """Return the journeys of the table ``touchpoints`` to the conversions of ``orders`` or ``events``.

    Parameters
    ----------
    study : Study
        With touchpoints, and orders or events.
    definition : Definition, optional
        What a journey is; by default to any order, with a lookback of 30 days.

    Raises
    ------
    MissingTable, BadData, BadParameters
        When a table or a column is missing, or the definition names what is not there.
    """
    how = definition or Definition()
    begin, end = _span(study, how.window_days)
    if how.conversion in ORDERS:
        check_currency({"orders": currencies(study.dataset, "orders")}, study.currency)
    ends = _conversions(study, how.conversion, end)
    touches = _touches(study, how, begin - dt.timedelta(days=how.lookback_days), end)
    known = touches
    if "members" in study.dataset:
        ids = ibis.union(study.dataset.members.select("member_id"), ends.select("member_id")).distinct()
        known = touches.semi_join(ids, "member_id")
        touches = touches.left_join(ids.select(matched_id="member_id"), touches.member_id == ids.member_id)
    steps = _steps(_beside(ibis.union(known.select(*COLUMNS), ends.select(*COLUMNS))), how, begin, end)
    ends = ends.filter(_wanted(ends.earlier, how), ends.ts >= ibis.literal(begin))
    if how.second == "carry":
        steps = ibis.union(steps, _carried(ends, known, how.lookback_days).select(*steps.columns))
    matched = touches.matched_id.notnull() if "members" in study.dataset else ibis.literal(True)
    touches = touches.mutate(matched=matched, in_window=touches.ts >= ibis.literal(begin))
    return Journeys(study, how, steps, touches, ends.select("member_id", "ts", "id", "value"))


def _span(study: Study, window_days: int) -> tuple[dt.datetime, dt.datetime]:
    """Return the first instant that counts and the first after ``as_of``, in UTC."""

    def instant(day: dt.date) -> dt.datetime:
        local = dt.datetime.combine(day, dt.time(), ZoneInfo(study.report_tz))
        return local.astimezone(dt.UTC).replace(tzinfo=None)

    end = study.as_of + dt.timedelta(days=1)
    return instant(end - dt.timedelta(days=window_days) if window_days else EARLIEST.date()), instant(end)


def _touches(study: Study, how: Definition, first: dt.datetime, end: dt.datetime) -> ibis.Table:
    """Return the touches that may count, under the names that channels are to have."""
    rows = _counted(study, study.dataset["touchpoints"])
    names = _names(rows.select("channel").distinct().to_pandas()["channel"].dropna(), how.channels)
    name = rows.channel.cast("string")
    changed = [(name == old, new) for old, new in names.items() if old != new]
    name = ibis.cases(*changed, else_=name) if changed else name
    rows = rows.filter(rows.ts >= first, rows.ts < end, name != "")
    kind, value = ibis.literal(TOUCH, "int8"), ibis.null("float64")
    more = [column for column in (*LEVELS, "cost") if column in rows.columns and column != "channel"]
    return rows.select("member_id", "ts", *more, kind=kind, id=rows.touch_id, channel=name, value=value)


def _names(there: pd.Series, wanted: Mapping[str, str]) -> dict[str, str]:
    """Return the name that each channel is to have."""
    plain = {old: old.strip() for old in there}
    plain = {old: UNKNOWN if name.lower() in UNTAGGED else name for old, name in plain.items()}
    for old in sorted(set(wanted) - set(plain.values())):
        hint = did_you_mean(old, plain.values())
        raise BadParameters(f"channels names {old!r}, which is no channel of the touchpoints.{hint}")
    return {old: wanted.get(name, name) for old, name in plain.items()}


def _conversions(study: Study, conversion: str, end: dt.datetime) -> ibis.Table:
    """Return all conversions until the end; prior (time of the member's one before) and earlier (how many)."""
    if conversion in ORDERS:
        rows = _counted(study, study.dataset["orders"])
        less = [rows[name].fill_null(0.0) for name in ("discount", "refund") if name in rows.columns]
        value = reduce(lambda a, b: a - b, less, rows.gross).cast("float64")
        rows = rows.filter(rows.gross >= 0).select(
            "member_id", ts=rows.paid_at, id=rows.order_id, value=value
        )
        if "refunds" in study.dataset:
            refunds = study.dataset["refunds"]
            back = refunds.filter(refunds.refunded_at < end).group_by(id=refunds.order_id)
            rows = rows.left_join(back.agg(back=refunds.amount.sum()), "id")
            rows = rows.mutate(value=rows.value - rows.back.fill_null(0.0))
    else:
        rows = _counted(study, study.dataset["events"])
        rows = rows.filter(rows.event.cast("string").lower() == conversion.lower())
        rows = rows.select("member_id", "ts", id=rows.event_id, value=ibis.literal(0.0))
        if not rows.limit(1).count().execute():
            raise BadParameters(f"conversion == {conversion!r}, must be an order or an event that occurs.")
    rows = rows.filter(rows.ts < end)
    beside = ibis.window(group_by="member_id", order_by=["ts", "id"])
    kind, channel = ibis.literal(CONVERSION, "int8"), ibis.null("string")
    earlier = ibis.row_number().over(beside)
    return rows.mutate(kind=kind, channel=channel, prior=rows.ts.lag().over(beside), earlier=earlier)


def _counted(study: Study, rows: ibis.Table) -> ibis.Table:
    """Return the rows that are of neither staff nor bots."""
    members = study.dataset.tables.get("members")
    if members is None or not {"is_staff", "is_bot"} & set(members.columns):
        return rows
    return rows.anti_join(members.filter(excluded(members)), "member_id")


def _wanted(earlier: ibis.Value, how: Definition) -> ibis.Value:
    """Return whether a journey with so many orders before it is of the wanted kind."""
    if how.conversion not in ORDERS[1:]:
        return ibis.literal(True)
    return earlier == 0 if how.conversion == "first order" else earlier > 0


def _beside(rows: ibis.Table) -> ibis.Table:
    """Add to each row what stands before and after it in its member's life, in one pass over the sorted rows."""
    order = {"group_by": "member_id", "order_by": ["ts", "kind", "id"]}
    beside, ahead, so_far = (
        ibis.window(**order, **more) for more in ({}, {"rows": (0, None)}, {"rows": (None, 0)})
    )
    return rows.mutate(
        paid=ibis.ifelse(rows.kind == CONVERSION, rows.ts, ibis.null("timestamp")).min().over(ahead),
        earlier=rows.kind.cast("int64").sum().over(so_far),
        **{f"prior_{name}": rows[name].lag().over(beside) for name in ("kind", "ts", "channel")},
        **{f"next_{name}": rows[name].lead().over(beside) for name in ("kind", "ts", "value")},
    )


def _steps(rows: ibis.Table, how: Definition, begin: dt.datetime, end: dt.datetime) -> ibis.Table:
    """Return the touches of journeys, each knowing whether its journey begins, ends and converts with it."""
    lookback = ibis.interval(days=how.lookback_days)
    rows = rows.filter(rows.kind == TOUCH).mutate(
        reach=rows.paid - lookback,
        after_touch=(rows.prior_kind == TOUCH).fill_null(False),
        before_touch=(rows.next_kind == TOUCH).fill_null(False),
    )
    converted = (rows.ts >= rows.reach).fill_null(False)
    # The touch before is of the same journey when it stands on the same side of the lookback, and not too far off.
    close = (rows.ts <= rows.prior_ts + lookback) & (rows.prior_ts >= ibis.literal(begin))
    follows = rows.after_touch & ibis.ifelse(converted, rows.prior_ts >= rows.reach, close)
    close = (rows.next_ts <= rows.ts + lookback) & (rows.next_ts < rows.reach).fill_null(True)
    last = ~(rows.before_touch & (converted | close))
    tied = (rows.after_touch & (rows.prior_ts == rows.ts)) | (rows.before_touch & (rows.next_ts == rows.ts))
    kept = ibis.ifelse(converted, rows.paid, rows.ts) >= ibis.literal(begin)
    return rows.select(
        "member_id", "ts", "kind", "id", "channel", touch_id=rows.id,
        before=ibis.ifelse(follows, rows.prior_channel, ibis.null("string")),
        last=last, converted=converted, carried=ibis.literal(False), tied=tied,
        open=~converted & (rows.ts >= ibis.literal(end) - lookback),
        paid=ibis.ifelse(converted, rows.paid, ibis.null("timestamp")),
        days=ibis.ifelse(converted, _days(rows.ts, rows.paid), ibis.null("float64")),
        value=ibis.ifelse(last & converted, rows.next_value, 0.0),
        kept=kept & _wanted(rows.earlier, how),
    ).filter("kept").drop("kept")  # fmt: skip


def _days(ts: ibis.Value, paid: ibis.Value) -> ibis.Value:
    return (paid.epoch_seconds() - ts.epoch_seconds()) / 86_400


def _carried(ends: ibis.Table, touches: ibis.Table, lookback_days: int) -> ibis.Table:
    """Return the touches that stand for a conversion once more, as steps at the time of that conversion."""
    lookback = ibis.interval(days=lookback_days)
    again = ends.filter(ends.prior >= ends.ts - lookback).drop("channel", "kind")
    seen = touches.select("member_id", "channel", at=touches.ts, touch_id=touches.id)
    pairs = again.inner_join(seen, "member_id").filter(
        lambda p: (p["at"] <= p.ts) & (p["at"] >= p.ts - lookback)
    )
    latest = ibis.window(group_by="id", order_by=[ibis.desc("at"), ibis.desc("touch_id")])
    # A touch since the conversion before makes a journey of its own.
    found = pairs.mutate(rank=ibis.row_number().over(latest)).filter(
        lambda p: (p["rank"] == 0) & (p["at"] <= p.prior)
    )
    yes, no = ibis.literal(True), ibis.literal(False)
    return found.mutate(
        kind=ibis.literal(CONVERSION, "int8"), before=ibis.null("string"), last=yes, converted=yes, carried=yes,
        tied=no, open=no, paid=found.ts, days=_days(found["at"], found.ts),
    )  # fmt: skip
