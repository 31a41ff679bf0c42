"""A tiny community with a log of any length, some of its optional columns and tables, and any number of members."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from helpers.data.design import digest

END = pd.Timestamp("2026-06-30", tz="Asia/Shanghai")
OPTIONAL = {
    "members": ("left_at", "source", "platform_home", "inviter_id", "age_band", "is_bot"),
    "events": ("platform", "content_id"),
    "orders": ("discount", "kind", "currency"),
}
"""Optional columns that the notebooks look at."""
TABLES = (
    "members",
    "events",
    "messages",
    "orders",
    "refunds",
    "touchpoints",
    "content",
    "referrals",
    "costs",
)


def community(
    days: int, people: int = 130, *, seed: int = 1, without: Collection[str] = ()
) -> dict[str, pd.DataFrame]:
    """Return tables of a community whose log covers the last `days` days.

    Parameters
    ----------
    days : int
        Length of the log, up to the end of `END`; with 0 nothing was ever logged.
    people : int
        Members, of whom a tenth joined before the log began.
    seed : int
        Equal seeds give equal communities.
    without : collection of str
        Tables, or columns as ``table.column``, that are left out.
    """
    rng = np.random.default_rng(seed)
    begin = END - pd.Timedelta(days=max(days, 1) - 1)
    ids = pd.Series([f"m{k}" for k in range(people)], dtype="string")
    joined = np.sort(rng.integers(0, max(days, 1), people))
    joined[: people // 10] -= 200
    stay = np.where(rng.random(people) < 0.3, rng.integers(1, 90, people), 10_000)
    last = np.minimum(joined + stay, max(days, 1) - 1)
    pace = rng.choice([0.0, 0.02, 0.1, 0.4], people, p=[0.1, 0.4, 0.3, 0.2])
    who, day = np.nonzero(rng.random((people, days)) < pace[:, None])
    on = (day >= joined[who]) & (day <= last[who])
    who, day = who[on], day[on]
    first = np.flatnonzero((joined >= 0) & (days > 0))
    who, day = np.append(who, first), np.append(day, joined[first])
    buys = np.flatnonzero((who % 3 == 0) & (rng.random(len(who)) < 0.3))
    seen = rng.integers(0, max(people, 1), (days > 0) * people)
    frames = {
        "members": {
            "member_id": ids,
            "joined_at": _at(begin, joined, 1),
            "left_at": _at(begin, joined + stay, 20).where(pd.Series(joined + stay < days)),
            "source": _of(rng, ["ad", "search", None], people),
            "platform_home": _of(rng, ["douyin", "weibo"], people),
            "inviter_id": ids.where(pd.Series(rng.random(people) < 0.3)),
            "age_band": _of(rng, ["18-24", "25-34", None], people),
            "is_bot": pd.Series(rng.random(people) < 0.02, dtype="boolean"),
        },
        "events": {
            "event_id": _ids("e", len(who) + len(seen)),
            "member_id": ids[np.append(who, seen)].reset_index(drop=True),
            "ts": _at(begin, np.append(day, rng.integers(0, max(days, 1), len(seen))), 4),
            "event": pd.concat(
                [_of(rng, ["like", "comment", "Post"], len(who)), _of(rng, ["view", "push_sent"], len(seen))],
                ignore_index=True,
            ),
            "platform": _of(rng, ["douyin", "weibo"], len(who) + len(seen)),
            "content_id": _of(rng, [*(f"c{k}" for k in range(9)), None], len(who) + len(seen)),
        },
        "messages": {
            "message_id": _ids("t", len(who)),
            "member_id": ids[who].reset_index(drop=True),
            "ts": _at(begin, day, 5),
        },
        "orders": {
            "order_id": _ids("o", len(buys)),
            "member_id": ids[who[buys]].reset_index(drop=True),
            "paid_at": _at(begin, day[buys], 6),
            "gross": pd.Series(rng.integers(0, 60, len(buys)).astype(float)),
            "discount": pd.Series(np.zeros(len(buys))),
            "currency": _of(rng, ["CNY"], len(buys)),
            "kind": _of(rng, ["goods", "tip", None], len(buys)),
        },
        "refunds": {
            "refund_id": _ids("r", len(buys) // 5),
            "order_id": _ids("o", len(buys) // 5),
            "refunded_at": _at(begin, np.full(len(buys) // 5, max(days, 1) - 1), 7),
            "amount": pd.Series(np.full(len(buys) // 5, 1.0)),
        },
        "touchpoints": {
            "touch_id": _ids("p", len(seen)),
            "member_id": ids[seen].reset_index(drop=True),
            "ts": _at(begin, rng.integers(0, max(days, 1), len(seen)), 3),
            "channel": _of(rng, ["feed"], len(seen)),
        },
        "content": {
            "content_id": _ids("c", 9),
            "platform": _of(rng, ["douyin"], 9),
            "published_at": _at(begin, rng.integers(0, max(days, 1), 9), 2),
            "creator_id": pd.Series([f"m{k}" for k in range(9)], dtype="string"),
        },
        "referrals": {
            "invite_id": _ids("i", people // 5),
            "inviter_id": ids[: people // 5],
            "invitee_id": ids[people - people // 5 :].reset_index(drop=True),
            "sent_at": _at(begin, np.zeros(people // 5, dtype=int), 2),
        },
        "assignments": {
            "exp_id": _of(rng, ["exp_live_invite"], people),
            "unit_id": ids,
            "unit_type": _of(rng, ["member"], people),
            "arm": _of(rng, ["control", "treatment"], people),
            "assigned_at": _at(begin, np.clip(joined, 0, max(days, 1) - 1), 1),
        },
        "costs": {
            "cost_id": _ids("k", 2),
            "date": pd.Series([END.date()] * 2),
            "kind": _of(rng, ["content"], 2),
            "amount": pd.Series([10.0, 20.0]),
            "currency": _of(rng, ["CNY"], 2),
        },
    }
    return {
        name: pd.DataFrame(
            {column: rows for column, rows in columns.items() if f"{name}.{column}" not in without}
        )
        for name, columns in frames.items()
        if name not in without
    }


def write_design(folder: Path, tables: dict[str, pd.DataFrame]) -> None:
    """Write the design of the experiment of a community, beside its tables; a segment is a column that is there."""
    start = END.date() - pd.Timedelta(days=500)
    fields = {
        "experiment": "exp_live_invite",
        "arms": ["control", "treatment"],
        "factors": ["a note of welcome"],
        "allocation": [{"start": start, "shares": [0.5, 0.5]}],
        "outcome_days": 7,
        "primary": {"name": "likes", "source": "events:like"},
        "guardrails": [{"name": "buyers", "kind": "proportion", "source": "orders", "margin": 0.2}],
        "segments": ["platform_home"] if "platform_home" in tables.get("members", ()) else [],
        "looks": [END.date() - pd.Timedelta(days=20), END.date(), END.date() + pd.Timedelta(days=10)],
        "start": start,
        "end": END.date() + pd.Timedelta(days=10),
        "smallest_effect": 0.1,
        "unit_value": 2.0,
        "units_a_month": 50.0,
        "registered_at": f"{start} 00:00:00+08:00",
    }
    (folder / "experiments").mkdir()
    text = yaml.safe_dump(fields | {"sha256": digest(fields)})
    (folder / "experiments" / "exp_live_invite.yml").write_text(text, "utf-8")


def _ids(letter: str, n: int) -> pd.Series:
    return pd.Series([f"{letter}{k}" for k in range(n)], dtype="string")


def _of(rng: np.random.Generator, values: list, n: int) -> pd.Series:
    return pd.Series([values[k] for k in rng.integers(0, len(values), n)], dtype="string")


def _at(begin: pd.Timestamp, days: np.ndarray, hour: int) -> pd.Series:
    offsets = pd.to_timedelta(np.asarray(days, dtype="int64") * 24 + hour, unit="h")
    return pd.Series(begin + offsets).dt.tz_convert("UTC").astype("datetime64[us, UTC]")
