"""Lifecycle accounting against sets of members, its identities, and the coverage of the quick ratio."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from scipy import stats

from helpers.data import source
from helpers.figures import Chart
from helpers.methods.retention.lifecycle import (
    COUNTS,
    lifecycle,
    mean_ratio,
)
from helpers.study import Study
from tests.methods.retention.logs import interactions, random_log

FIRST, AS_OF = dt.date(2026, 1, 7), dt.date(2026, 4, 15)
FREQUENCIES = {"day": "D", "week": "W-SUN", "month": "M"}

# Shrinking an example runs the engine hundreds of times.
PHASES = (Phase.explicit, Phase.reuse, Phase.generate)


def planted(seed: int, members: int = 30) -> tuple[pd.DataFrame, pd.DataFrame]:
    return random_log(seed, FIRST, AS_OF, members=members, rates=(0.0, 0.01, 0.05, 0.6), joined=(-60, 60))


def study(log: pd.DataFrame, people: pd.DataFrame | None = None, **settings: object) -> Study:
    frames = {"activity": log} if people is None else {"activity": log, "population": people}
    return Study.of(frames, **({"as_of": AS_OF} | settings))  # type: ignore[arg-type]


def by_hand(log: pd.DataFrame, people: pd.DataFrame, period: str) -> list[dict[str, int]]:
    """Count with sets of members, one period after the other."""
    left = dict(zip(people["member_id"], people["left_day"], strict=True))
    found, seen, before = [], set(), set()
    counted = interactions(log[log["day"] <= AS_OF])
    counted = [
        (member, day)
        for member, day in zip(counted["member_id"], counted["day"], strict=True)
        if left[member] is None or day <= left[member]
    ]
    for one in pd.period_range(FIRST, AS_OF, freq=FREQUENCIES[period]):
        start, end = one.start_time.date(), one.end_time.date()
        here = {member for member, day in counted if start <= day <= end}
        dormant = before - here
        found.append(
            {
                "active": len(here),
                "new": len(here - seen),
                "returning": len(here & before),
                "resurrected": len((here & seen) - before),
                "dormant": len(dormant),
                "left": sum(left[m] is not None and left[m] <= min(end, AS_OF) for m in dormant),
            }
        )
        seen, before = seen | here, here
    return found


@settings(max_examples=4, deadline=None, phases=PHASES, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 10_000), period=st.sampled_from(["day", "week", "month"]))
def test_every_count_equals_sets_of_members(seed: int, period: str) -> None:
    log, people = planted(seed)
    table = lifecycle(study(log, people, history_from=FIRST), period=period).table
    assert table[COUNTS].astype(int).to_dict("records") == by_hand(log, people, period)


def test_identities_hold() -> None:
    table = lifecycle(study(*planted(4))).table
    assert (table["active"] == table["new"] + table["returning"] + table["resurrected"]).all()
    assert (table["active"].iloc[:-1].to_numpy() == (table["returning"] + table["dormant"]).iloc[1:]).all()


def test_incomplete_and_early_periods_are_marked() -> None:
    table = lifecycle(study(planted(4)[0], history_from=FIRST), period="month").table
    assert table["complete"].tolist() == [False, True, True, False]
    assert table["provisional"].tolist() == [True, True, False, False]


def test_a_log_that_begins_late_takes_old_members_for_new() -> None:
    """Cutting the log makes members new again; the provisional periods hold nearly all of them."""
    rng = np.random.default_rng(3)
    days = pd.date_range("2026-01-01", AS_OF).date
    rows = [(str(m), day, "interaction") for m in range(200) for day in days if rng.random() < 0.1]
    log = pd.DataFrame(rows, columns=["member_id", "day", "kind"])
    cut = log[log["day"] >= dt.date(2026, 2, 1)]
    table, whole = (lifecycle(study(rows)).table for rows in (cut, log))
    assert whole.loc[whole["start"] >= dt.date(2026, 2, 2), "new"].sum() < 10
    assert table.loc[table["provisional"], "new"].sum() > 180
    assert table.loc[~table["provisional"], "new"].sum() < 12


def test_the_last_complete_period_is_told_and_not_the_running_one() -> None:
    found = lifecycle(study(*planted(9, members=120)))
    row = found.settled.iloc[-1]
    assert row["end"] <= AS_OF < found.table.iloc[-1]["end"]
    for piece in (f"In {row['period']}", f"{row['active']:,} members were active"):
        assert piece in found.sentence


def test_few_are_not_counted_out_and_leaving_is_not_told_of_where_it_is_not_recorded() -> None:
    log, people = planted(9, members=120)
    whole, kept = (lifecycle(study(log, people, k_min=k)) for k in (1, 10))
    row = whole.settled.iloc[-1]
    assert 0 < row["resurrected"] < 10 <= row["active"]
    assert f"{row['resurrected']} resurrected" in whole.sentence
    assert "fewer than 10 resurrected" in kept.sentence
    chart = kept.figure()
    assert isinstance(chart, Chart) and not chart.data["new"].isin(range(1, 10)).any()
    assert "ISO 8601" in chart.note
    nobody = lifecycle(study(log, people.assign(left_day=None)))
    assert "because they left" in kept.sentence and "because they left" not in nobody.sentence
    assert "(whether they left is not recorded)" in nobody.sentence


def test_falling_dormant_is_found_as_planted(sample: Path) -> None:
    """Members who were not silent in a month fall silent in the next by the planted chain of tiers."""
    truth = json.loads((sample / "truth.json").read_text(encoding="utf-8"))
    about = truth["about"]
    asked = Study.of(source.open(str(sample)), about["end"], history_from=about["start"])
    table = lifecycle(asked, period="month").table
    pairs = [np.array(pair["expected"])[1:] for pair in truth["tiers"]["pairs"]]
    planted = sum(rows[:, 0].sum() for rows in pairs) / sum(rows.sum() for rows in pairs)
    later = table.iloc[1:]
    before = later["returning"] + later["dormant"]
    found = (later["dormant"] - later["left"]).sum() / (before - later["left"]).sum()
    assert found == pytest.approx(planted, abs=0.02)


@pytest.mark.parametrize("rows", [0, 1])
@pytest.mark.parametrize("period", ["day", "week", "month"])
def test_too_little_data_is_said_and_never_raised(rows: int, period: str) -> None:
    log = pd.DataFrame({"member_id": ["a"] * rows, "day": [FIRST] * rows, "kind": ["interaction"] * rows})
    found = lifecycle(study(log, as_of=FIRST), period=period)
    assert "Too little data" in found.sentence
    assert len(found.table) == rows


def test_nobody_active_is_counted_as_nobody() -> None:
    log = pd.DataFrame({"member_id": ["a"], "day": [FIRST], "kind": ["order"]})
    table = lifecycle(study(log)).table
    assert (table["active"] == 0).all()


def test_the_order_of_rows_does_not_matter() -> None:
    log, people = planted(5)
    one = lifecycle(study(log, people)).table
    two = lifecycle(study(log.sample(frac=1, random_state=2), people.iloc[::-1])).table
    pd.testing.assert_frame_equal(one, two, check_exact=True)


def test_weeks_that_move_together_raise_no_alarm() -> None:
    rng, alarms = np.random.default_rng(5), 0
    for _ in range(400):
        rate = np.exp(rng.normal(0, 0.25, 9))  # what moves everybody in a week
        gains, lost = rng.poisson(200 * rate[1:]), rng.binomial(1000, np.clip(0.2 * rate[:-1], 0, 1))
        found = mean_ratio(gains, lost)
        alarms += not found.low <= 1 <= found.high
    assert alarms / 400 < 0.08
    shrinking = mean_ratio(rng.poisson(150, 8), rng.binomial(1000, 0.2, 8))
    assert shrinking.high < 1 and shrinking.n == 8


def test_the_direction_comes_from_the_last_periods() -> None:
    found = lifecycle(study(*planted(9, members=120)))
    rows = found.settled.tail(8)
    logs = np.log((rows["new"] + rows["resurrected"] + 0.5) / (rows["dormant"] + 0.5))
    low, high = stats.t.interval(0.95, len(logs) - 1, logs.mean(), stats.sem(logs))
    assert found.recent[:3] == pytest.approx(np.exp([logs.mean(), low, high]))
    assert f"Over the last {len(logs)} complete weeks" in found.sentence
    few = dataclasses.replace(found, table=found.table[found.table["complete"]].tail(3))
    assert not few.recent.known and "It takes 4 complete weeks" in few.sentence
