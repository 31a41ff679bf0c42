"""Random logs that are counted by hand."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

import numpy as np
import pandas as pd


def random_log(
    seed: int,
    first: dt.date,
    as_of: dt.date,
    *,
    members: int = 25,
    rates: Sequence[float] = (0.0, 0.02, 0.1, 0.6),
    joined: tuple[int, int] = (0, 1),
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return activity and population: some join before the log, some leave, some never do anything.

    Rows repeat, reach past the last day, and a few are of kinds that do not count; members join on days of the
    range `joined` after the first.
    """
    rng = np.random.default_rng(seed)
    days = pd.date_range(first, as_of + dt.timedelta(days=2)).date
    rows, people = [("m0", first, "order")], []
    for number in range(members):
        active = days[rng.random(len(days)) < rng.choice(rates)]
        kinds = rng.choice(["interaction", "order", "weighted"], len(active), p=[0.8, 0.1, 0.1])
        rows += [
            (f"m{number}", day, kind) for day, kind in zip(active, kinds, strict=True) for _twice in "12"
        ]
        day = first + dt.timedelta(days=int(rng.integers(*joined)))
        left = days[int(rng.integers(0, len(days)))] if rng.random() < 0.3 else None
        people.append((f"m{number}", day, None if left and left < day else left))
    log = pd.DataFrame(rows, columns=["member_id", "day", "kind"])
    return log, pd.DataFrame(people, columns=["member_id", "joined_day", "left_day"])


def interactions(log: pd.DataFrame) -> pd.DataFrame:
    """Return the rows that count, one per member and day."""
    return log[log["kind"] == "interaction"].drop_duplicates(ignore_index=True)
