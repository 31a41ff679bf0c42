"""Tables of touches and orders, written as short as they are read."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from helpers.data.source import Dataset
from helpers.methods.attribution.grouped_paths import expanded
from helpers.methods.attribution.histories import Histories
from helpers.methods.attribution.journeys import Definition, Journeys, journeys
from helpers.study import Study

AS_OF = "2026-06-30"
ORIGIN = pd.Timestamp("2026-06-01 04:00")


def at(days: float) -> pd.Timestamp:
    """Return the instant so many days after the origin."""
    return ORIGIN + pd.to_timedelta(round(days * 86_400), unit="s")


def touchpoints(*rows: tuple[str, float, str], **more: Any) -> pd.DataFrame:
    """Return touches of (member, day, channel), their ids in the order of the rows."""
    return _rows("touch_id", "ts", "channel", rows).astype({"channel": "string"}).assign(**more)


def orders(*rows: tuple[str, float, float], **more: Any) -> pd.DataFrame:
    """Return orders of (member, day, price)."""
    return _rows("order_id", "paid_at", "gross", rows).astype({"gross": float}).assign(**more)


def _rows(key: str, time: str, last: str, rows: tuple[Any, ...]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["member_id", time, last])
    frame[time] = [at(day) for day in frame[time]]
    frame[time] = pd.to_datetime(frame[time])
    frame[key] = [f"{key[0]}{n:05d}" for n in range(len(frame))]
    return frame.astype({"member_id": "string", key: "string"})


def study(*, checked: bool = False, draws: int = 100, currency: str = "CNY", **tables: pd.DataFrame) -> Study:
    """Return a study of tables; the contract is not checked unless that is what is tested."""
    if checked:
        return Study.of(tables, AS_OF, draws=draws)
    return Study(dataset=Dataset({}).replace(**tables), as_of=AS_OF, draws=draws, currency=currency)  # type: ignore[arg-type]


def told(touches: pd.DataFrame, bought: pd.DataFrame, **how: Any) -> Journeys:
    """Return the journeys of touches and orders."""
    return journeys(study(touchpoints=touches, orders=bought), Definition(**how))


def grouped(*rows: tuple[str, int, int, float], **settings: Any) -> Journeys:
    """Return the journeys of (path, conversions, nulls, value) in canonical tables."""
    frame = pd.DataFrame(rows, columns=["path", "conversions", "nulls", "value"])
    return journeys(study(**expanded(frame), **settings))


def written(*rows: tuple[str, int, int, float], days: dict[str, list[float]] | None = None) -> Histories:
    """Return the histories of (path, conversions, nulls, value), one journey a member, without any table.

    `days` of a path are those from its touches to the conversion; 0 where they are not given.
    """
    h: dict[str, list[Any]] = {
        name: [] for name in ("members", "history", "code", "last", "converted", "days", "value")
    }
    steps = [[name.strip() for name in path.split(">")] for path, *_ in rows]
    channels = sorted({name for path in steps for name in path})
    for path, (text, conversions, nulls, value) in zip(steps, rows, strict=True):
        for won, members in ((True, conversions), (False, nulls)):
            if members:
                size = len(path)
                h["history"] += [len(h["members"])] * size
                h["members"].append(members)
                h["code"] += [channels.index(name) for name in path]
                h["last"] += [False] * (size - 1) + [True]
                h["converted"] += [won] * size
                h["days"] += (days or {}).get(text, [0.0] * size) if won else [np.nan] * size
                h["value"] += [value / conversions if won else 0.0] * size
    return Histories(**{name: np.array(each) for name, each in h.items()}, channels=tuple(channels))


def listed(found: Journeys) -> list[tuple[tuple[str, ...], bool, float]]:
    """Return each journey of each member as (channels, converted, value), sorted."""
    h = found.histories
    rows: list[tuple[tuple[str, ...], bool, float]] = []
    for number in range(h.journey.max() + 1 if len(h.code) else 0):
        mine = h.journey == number
        path = tuple(h.channels[code] for code in h.code[mine])
        members = h.members[h.history[mine][0]]
        rows += [(path, bool(h.converted[mine][0]), float(h.value[mine][0]))] * int(members)
    return sorted(rows)
