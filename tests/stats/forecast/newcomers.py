"""Newcomers with a planted hazard of leaving and a planted value, for tests of value over time."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd

START = dt.date(2026, 1, 1)
AS_OF = dt.date(2026, 3, 31)


def day(number: int) -> dt.date:
    return START + dt.timedelta(days=number)


def make(rng: np.random.Generator, n: int, *, days: int = 90, hazard: float = 0.02, value: float = 5.0):
    """Members who join over time, leave at a constant hazard and bring a gamma value on a third of their days."""
    joined = rng.integers(-20, days, n)
    stay = rng.geometric(hazard, n) - 1
    left = joined + stay
    people = pd.DataFrame(
        {
            "member_id": [f"m{i:05d}" for i in range(n)],
            "joined_day": [day(int(j)) for j in joined],
            "left_day": [day(int(x)) if x < days else None for x in left],
        }
    )
    people = people.astype(
        {"member_id": "object", "joined_day": "datetime64[us]", "left_day": "datetime64[us]"}
    )
    grid = np.arange(days)[None, :]
    there = (grid >= joined[:, None]) & (grid <= left[:, None]) & (rng.random((n, days)) < 1 / 3)
    who, when = np.nonzero(there)
    found = pd.DataFrame(
        {
            "member_id": people["member_id"].to_numpy()[who],
            "day": pd.Timestamp(START) + pd.to_timedelta(when, unit="D"),
            "value": 3 * rng.gamma(2, value / 2, len(who)),
        }
    )
    return people, found.astype({"member_id": "object", "day": "datetime64[us]", "value": "float64"})
