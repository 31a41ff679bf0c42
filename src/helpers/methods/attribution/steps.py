"""Steps of journeys: each touch with what stands beside it in its member's life, as one query of the engine.

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
from functools import reduce
from zoneinfo import ZoneInfo

import ibis

from helpers.checks import did_you_mean
from helpers.data.rules import EARLIEST
from helpers.errors import BadParameters
from helpers.sentences import say
from helpers.study import Study
from helpers.study.people import excluded

ORDERS = ("order", "first order", "repeat order")
SECOND, COLLAPSE = ("carry", "unattributed"), ("no", "repeats", "distinct")
UNKNOWN = "unknown"
# Names of a channel that say that it is not known.
UNTAGGED = ("", "unknown", "(not set)", "(none)", "untagged", "未知", "未标记")
COLUMNS = ("member_id", "ts", "kind", "id", "channel", "value")
LEVELS = ("platform", "channel", "account_id", "creator_id", "content_id")
TOUCH, CONVERSION = 0, 1


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
                raise BadParameters(
                    say(
                        "{name} == {value!r}, must be one of {choices}.",
                        name=name,
                        value=getattr(self, name),
                        choices=choices,
                    )
                )
        if self.lookback_days < 1 or self.window_days < 0:
            raise BadParameters(say("lookback_days must be at least 1 and window_days at least 0."))


def span(study: Study, window_days: int) -> tuple[dt.datetime, dt.datetime]:
    """Return the first instant that counts and the first after ``as_of``, in UTC."""

    def instant(day: dt.date) -> dt.datetime:
        local = dt.datetime.combine(day, dt.time(), ZoneInfo(study.report_tz))
        return local.astimezone(dt.UTC).replace(tzinfo=None)

    end = study.as_of + dt.timedelta(days=1)
    return instant(end - dt.timedelta(days=window_days) if window_days else EARLIEST.date()), instant(end)


def touches_of(study: Study, names: Mapping[str, str], first: dt.datetime, end: dt.datetime) -> ibis.Table:
    """Return the touches that may count, under the names that channels are to have; those of an empty name do not."""
    rows = _counted(study, study.dataset["touchpoints"])
    name = rows.channel.cast("string")
    changed = [(name == old, new) for old, new in names.items() if old != new]
    name = ibis.cases(*changed, else_=name) if changed else name
    rows = rows.filter(rows.ts >= first, rows.ts < end, name != "")
    kind, value = ibis.literal(TOUCH, "int8"), ibis.null("float64")
    more = [column for column in (*LEVELS, "cost") if column in rows.columns and column != "channel"]
    return rows.select("member_id", "ts", *more, kind=kind, id=rows.touch_id, channel=name, value=value)


def names_of(study: Study, wanted: Mapping[str, str]) -> dict[str, str]:
    """Return the name that each channel of the touches is to have."""
    there = study.dataset["touchpoints"].select("channel").distinct().to_pandas()["channel"].dropna()
    plain = {old: old.strip() for old in there}
    plain = {old: UNKNOWN if name.lower() in UNTAGGED else name for old, name in plain.items()}
    for old in sorted(set(wanted) - set(plain.values())):
        hint = did_you_mean(old, plain.values())
        raise BadParameters(
            say("channels names {old!r}, which is no channel of the touchpoints.{hint}", old=old, hint=hint)
        )
    return {old: wanted.get(name, name) for old, name in plain.items()}


def conversions_of(study: Study, conversion: str, end: dt.datetime) -> ibis.Table:
    """Return all conversions until the end; prior (time of the member's one before) and earlier (how many)."""
    if conversion in ORDERS:
        rows = _counted(study, study.dataset["orders"])
        less = [rows[name].fill_null(0.0) for name in ("discount", "refund") if name in rows.columns]
        value = reduce(lambda a, b: a - b, less, rows.gross).cast("float64")
        rows = rows.filter(rows.gross >= 0)
        rows = rows.select("member_id", ts=rows.paid_at, id=rows.order_id, value=value)
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
            raise BadParameters(
                say(
                    "conversion == {conversion!r}, must be an order or an event that occurs.",
                    conversion=conversion,
                )
            )
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
    beside = ibis.window(**order)
    ahead, so_far = (ibis.window(**order, rows=ends) for ends in ((0, None), (None, 0)))
    return rows.mutate(
        paid=ibis.ifelse(rows.kind == CONVERSION, rows.ts, ibis.null("timestamp")).min().over(ahead),
        earlier=rows.kind.sum().over(so_far),
        **{f"prior_{name}": rows[name].lag().over(beside) for name in ("kind", "ts", "channel")},
        **{f"next_{name}": rows[name].lead().over(beside) for name in ("kind", "ts", "value")},
    )


def ends_of(conversions: ibis.Table, how: Definition, begin: dt.datetime) -> ibis.Table:
    """Return the conversions that count."""
    return conversions.filter(_wanted(conversions.earlier, how), conversions.ts >= ibis.literal(begin))


def steps_of(
    touches: ibis.Table, conversions: ibis.Table, how: Definition, begin: dt.datetime, end: dt.datetime
) -> ibis.Table:
    """Return the steps of journeys from matched touches and all conversions."""
    rows = ibis.union(touches.select(*COLUMNS), conversions.select(*COLUMNS))
    steps = _touched(_beside(rows), how, begin, end)
    if how.second == "unattributed":
        return steps
    carried = _carried(ends_of(conversions, how, begin), touches, how.lookback_days)
    return ibis.union(steps, carried.select(*steps.columns))


def _touched(rows: ibis.Table, how: Definition, begin: dt.datetime, end: dt.datetime) -> ibis.Table:
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
    pairs = again.inner_join(seen, "member_id")
    pairs = pairs.filter((pairs["at"] <= pairs.ts) & (pairs["at"] >= pairs.ts - lookback))
    latest = ibis.window(group_by="id", order_by=[ibis.desc("at"), ibis.desc("touch_id")])
    # A touch since the conversion before makes a journey of its own.
    found = pairs.mutate(rank=ibis.row_number().over(latest))
    found = found.filter((found["rank"] == 0) & (found["at"] <= found.prior))
    yes, no = ibis.literal(True), ibis.literal(False)
    return found.mutate(
        kind=ibis.literal(CONVERSION, "int8"), before=ibis.null("string"), last=yes, converted=yes, carried=yes,
        tied=no, open=no, paid=found.ts, days=_days(found["at"], found.ts),
    )  # fmt: skip
