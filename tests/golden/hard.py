"""A made-up community that is hard on every method: thin groups, ties, leavers all at once, late entry."""

from __future__ import annotations

import numpy as np
import pandas as pd

END = pd.Timestamp("2026-06-30", tz="Asia/Shanghai")
DAYS = 240
"""Length of the log."""
OLD, REGULAR, ONE_DAY, THIN = 40, 150, 60, 3
"""Members who joined before the log, at any time, all at one instant, and from a source of their own."""


def community() -> dict[str, pd.DataFrame]:
    """Return members, events and orders by name.

    One group leaves within one hour a month after it joined together, and every member who came by advertising
    leaves while nobody who came by invitation does (a regression on the source has no finite solution). Regular
    members act on whole weeks only and pay one of two prices, so that recency, frequency and value tie.
    """
    rng = np.random.default_rng(20)
    begin = END - pd.Timedelta(days=DAYS - 1)
    size = OLD + REGULAR + ONE_DAY + THIN
    joined = np.concatenate(
        [rng.integers(-300, 0, OLD), rng.integers(0, DAYS - 20, REGULAR), [60] * ONE_DAY, [5, 5, 90]]
    )
    source = np.array(["search"] * OLD + ["ad", "invite", "search"] * (REGULAR // 3) + ["ad"] * ONE_DAY)
    source = np.concatenate([source, ["booth"] * THIN])
    stay = np.where(source == "ad", rng.integers(10, 80, size), DAYS + 400)
    stay[OLD + REGULAR : OLD + REGULAR + ONE_DAY] = 30
    last = np.minimum(joined + stay, DAYS)

    who, day = [], []
    for member in range(size):
        acts = np.arange(max(joined[member], 0), last[member], 7 if member % 2 else 14)
        who += [member] * len(acts)
        day += acts.tolist()
    buys = [(m, d) for m, d in zip(who, day, strict=True) if m % 5 == 0 and d % 3 == 0]
    buyers = np.array([m for m, _ in buys])
    gone = pd.Series(last < DAYS)
    members = {
        "member_id": _ids("m", np.arange(size)),
        "joined_at": _instants(begin, joined, 1),
        "left_at": _instants(begin, last, 5).where(gone),
        "source": pd.Series(source, dtype="string"),
    }
    events = {
        "event_id": _ids("e", np.arange(len(who))),
        "member_id": _ids("m", np.array(who)),
        "ts": _instants(begin, np.array(day), 4),
        "event": pd.Series(["like"] * len(who), dtype="string"),
    }
    orders = {
        "order_id": _ids("o", np.arange(len(buys))),
        "member_id": _ids("m", buyers),
        "paid_at": _instants(begin, np.array([d for _, d in buys]), 4),
        "gross": np.where(buyers % 2, 50.0, 20.0),
        "discount": 0.0,
        "refund": 0.0,
        "currency": pd.Series(["CNY"] * len(buys), dtype="string"),
    }
    return {
        name: pd.DataFrame(columns)
        for name, columns in (("members", members), ("events", events), ("orders", orders))
    }


def _ids(letter: str, numbers: np.ndarray) -> pd.Series:
    return pd.Series([f"{letter}{number}" for number in numbers], dtype="string")


def _instants(begin: pd.Timestamp, days: np.ndarray, hour: int) -> pd.Series:
    offsets = pd.to_timedelta(days * 24 + hour, unit="h")
    return pd.Series(begin + offsets).dt.tz_convert("UTC").astype("datetime64[us, UTC]")
