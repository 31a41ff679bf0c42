"""Calendar days in the report's time zone, written so that every engine computes the same day."""

from __future__ import annotations

import datetime as dt
import zoneinfo
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import ibis
import ibis.expr.types as ir

from helpers.checks import did_you_mean
from helpers.errors import BadParameters
from helpers.sentences import say

# Instants for which offsets are known; earlier and later ones take the nearest offset.
FIRST, LAST = dt.datetime(1992, 1, 1), dt.datetime(2041, 1, 1)
DAY = 24 * 60 * 60


def zone(name: str, argument: str = "report_tz") -> zoneinfo.ZoneInfo:
    """Return a time zone by its IANA name.

    Raises
    ------
    BadParameters
        When there is no zone of that name.
    """
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError, TypeError):
        hint = did_you_mean(str(name), zoneinfo.available_timezones())
        text = "{argument} == {name!r}, must be an IANA time zone such as 'Asia/Shanghai'.{hint}"
        raise BadParameters(say(text, argument=argument, name=name, hint=hint)) from None


@lru_cache(maxsize=32)
def offsets(name: str) -> tuple[tuple[dt.datetime, int], ...]:
    """Return (UTC instant, offset in seconds from then on) pairs of a zone, in order.

    The first instant is `FIRST`. Asia/Shanghai has one pair, a zone with summer time two a year.
    """
    place = zone(name)

    def offset(second: int) -> int:
        shift = dt.datetime.fromtimestamp(second, place).utcoffset()
        return int(shift.total_seconds()) if shift is not None else 0

    # In whole seconds, which cost a seventh of sums of datetimes: every process that knows days comes by here.
    first, last = (int(instant.replace(tzinfo=dt.UTC).timestamp()) for instant in (FIRST, LAST))
    found = [(FIRST, offset(first))]
    for following in range(first + DAY, last + DAY, DAY):
        if (now := offset(following)) != found[-1][1]:
            low, high = following - DAY, following
            while high - low > 1:
                middle = (low + high) // 2
                low, high = (middle, high) if offset(middle) == found[-1][1] else (low, middle)
            found.append((dt.datetime.fromtimestamp(high, dt.UTC).replace(tzinfo=None), now))
    return tuple(found)


def local_time(column: Any, report_tz: str = "Asia/Shanghai") -> Any:
    """Return the wall-clock time (timestamp without zone) of UTC instants in `report_tz`.

    Parameters
    ----------
    column : ibis timestamp column
        Instants: ``timestamp('UTC')``, or without a zone and meaning UTC.
    report_tz : str
        IANA name of a time zone.

    Notes
    -----
    Engines disagree on the name, the arguments and the speed of their zone functions; adding the
    zone's offset is the same in all of them. Zones with summer time become a binary tree of
    comparisons with the instants at which the offset changes.
    """
    if not column.type().is_timestamp():
        raise BadParameters(
            say("{column} is {kind}, must be a timestamp.", column=column.get_name(), kind=column.type())
        )
    instant = column.cast("timestamp") if column.type().timezone is not None else column
    return _shift(instant, offsets(report_tz))


def _shift(instant: Any, changes: Sequence[tuple[dt.datetime, int]]) -> Any:
    if len(changes) == 1:
        return instant + ibis.interval(seconds=changes[0][1])
    middle = len(changes) // 2
    before = instant < ibis.timestamp(changes[middle][0].isoformat())
    return ibis.ifelse(before, _shift(instant, changes[:middle]), _shift(instant, changes[middle:]))


def from_local(column: Any, local_tz: str) -> Any:
    """Return the instants (``timestamp('UTC')``) of wall-clock times without a zone.

    Of an hour that comes twice it is the second, and an hour that the clock jumped over is read as before the jump.
    """
    changes = [(at + dt.timedelta(seconds=shift), -shift) for at, shift in offsets(local_tz)]
    return _shift(column.cast("timestamp"), changes).cast("timestamp('UTC')")


def local_date(column: Any, report_tz: str = "Asia/Shanghai") -> ir.DateColumn:
    """Return the calendar day of UTC instants in `report_tz`; see `local_time`."""
    return local_time(column, report_tz).date()


def until(column: Any, day: dt.date, report_tz: str = "Asia/Shanghai") -> ir.BooleanValue:
    """Return whether UTC instants lie on a day in `report_tz` or before it.

    A zone of one offset compares instants, which is cheaper than making days of them; where clocks go back across
    midnight, instants of a day lie on both sides of its beginning.
    """
    if len(offsets(report_tz)) > 1:
        return local_date(column, report_tz) <= ibis.date(day)
    over = dt.datetime.combine(day, dt.time()) + dt.timedelta(days=1, seconds=-offsets(report_tz)[0][1])
    return column.cast("timestamp") < ibis.timestamp(over.isoformat())
