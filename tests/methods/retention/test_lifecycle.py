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
from helpers.errors import BadParameters
from helpers.methods.retention.lifecycle import (
    COUNTS,
    check_identities,
    lifecycle,
    mean_ratio,
    quick_ratio,
)
from helpers.study.activity import activity, population

FIRST, AS_OF = dt.date(2026, 1, 7), dt.date(2026, 4, 15)
FREQUENCIES = {"day": "D", "week": "W-SUN", "month": "M"}

# Shrinking an example runs the engine hundreds of times.
PHASES = (Phase.explicit, Phase.reuse, Phase.generate)


def random_log(seed: int, members: int = 30) -> tuple[pd.DataFrame, pd.DataFrame]:
    rng = np.random.default_rng(seed)
    days = pd.date_range(FIRST, AS_OF + dt.timedelta(days=2)).date
    rows, people = [], []
    for number in range(members):
        rate = rng.choice([0.0, 0.01, 0.05, 0.6])
        active = [day for day in days if rng.random() < rate]
        rows += [(f"m{number}", day, "interaction") for day in active for _twice in range(2)]
        joined = FIRST + dt.timedelta(days=int(rng.integers(-60, 60)))
        left = days[int(rng.integers(0, len(days)))] if rng.random() < 0.4 else None
        people.append((f"m{number}", joined, left))
    log = pd.DataFrame([("m0", FIRST, "order"), *rows], columns=["member_id", "day", "kind"])
    return log, pd.DataFrame(people, columns=["member_id", "joined_day", "left_day"])


def by_hand(log: pd.DataFrame, people: pd.DataFrame, period: str) -> list[dict[str, int]]:
    """Count with sets of members, one period after the other."""
    left = dict(zip(people["member_id"], people["left_day"], strict=True))
    joined = dict(zip(people["member_id"], people["joined_day"], strict=True))
    found, seen, before = [], set(), set()
    counted = log[(log["kind"] == "interaction") & (log["day"] <= AS_OF)].drop_duplicates()
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
                "known_before": sum(joined[m] < FIRST for m in here - seen),
            }
        )
        seen, before = seen | here, here
    return found


@settings(max_examples=4, deadline=None, phases=PHASES, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 10_000), period=st.sampled_from(["day", "week", "month"]))
def test_every_count_equals_sets_of_members(seed: int, period: str) -> None:
    log, people = random_log(seed)
    table = lifecycle(log, people, as_of=AS_OF, period=period, history_from=FIRST).table
    assert table[COUNTS].astype(int).to_dict("records") == by_hand(log, people, period)


def test_identities_hold_and_a_broken_one_is_an_error() -> None:
    log, people = random_log(4)
    table = lifecycle(log, people, as_of=AS_OF).table
    assert (table["active"] == table["new"] + table["returning"] + table["resurrected"]).all()
    assert (table["active"].iloc[:-1].to_numpy() == (table["returning"] + table["dormant"]).iloc[1:]).all()
    for name, rule in (("new", "active = new"), ("dormant", "active before = returning")):
        broken = table.copy()
        broken.loc[3, name] += 1
        with pytest.raises(RuntimeError, match=rule):
            check_identities(broken)


def test_incomplete_and_early_periods_are_marked() -> None:
    log, _people = random_log(4)
    table = lifecycle(log, as_of=AS_OF, period="month", history_from=FIRST).table
    assert table["complete"].tolist() == [False, True, True, False]
    assert table["provisional"].tolist() == [True, True, False, False]
    assert table["note"].tolist() == [
        "begins before the log, 2026-01-07",
        "less than 30 days after the log begins: new is too high",
        "",
        "ends after 2026-04-15",
    ]
    assert table["known_before"].isna().all()
    assert (
        table.loc[~table["complete"], ["net", "growth", "quick_ratio", "low", "high"]].isna().all(axis=None)
    )


def test_a_log_that_begins_late_takes_old_members_for_new() -> None:
    """Cutting the log makes members new again; the provisional periods hold nearly all of them."""
    rng = np.random.default_rng(3)
    days = pd.date_range("2026-01-01", AS_OF).date
    rows = [(str(m), day, "interaction") for m in range(200) for day in days if rng.random() < 0.1]
    log = pd.DataFrame(rows, columns=["member_id", "day", "kind"])
    cut = log[log["day"] >= dt.date(2026, 2, 1)]
    table = lifecycle(cut, as_of=AS_OF, warm_up_days=30).table
    whole = lifecycle(log, as_of=AS_OF).table
    assert whole.loc[whole["start"] >= dt.date(2026, 2, 2), "new"].sum() < 10
    assert table.loc[table["provisional"], "new"].sum() > 180
    assert table.loc[~table["provisional"], "new"].sum() < 12


def test_ratio_growth_and_sentence() -> None:
    log, people = random_log(9, members=120)
    found = lifecycle(log, people, as_of=AS_OF, warm_up_days=14)
    row = found.last
    assert row is not None
    assert row["net"] == row["new"] + row["resurrected"] - row["dormant"]
    assert row["growth"] == pytest.approx(row["net"] / (row["returning"] + row["dormant"]))
    assert row["low"] < row["quick_ratio"] < row["high"]
    for piece in (
        f"In {row['period']}",
        f"{row['active']:,} members were active",
        f"That week alone won {100 * row['quick_ratio']:.0f} for every 100 lost ({100 * row['low']:.0f} to ",
    ):
        assert piece in found.sentence


def test_the_last_complete_period_is_told_and_not_the_running_one() -> None:
    log, people = random_log(9)
    found = lifecycle(log, people, as_of=AS_OF)
    assert found.last is not None
    assert found.last["end"] <= AS_OF
    assert found.table.iloc[-1]["end"] > AS_OF


def test_falling_dormant_is_found_as_planted(sample: Path) -> None:
    """Members who were not silent in a month fall silent in the next by the planted chain of tiers."""
    truth = json.loads((sample / "truth.json").read_text(encoding="utf-8"))
    dataset = source.open(str(sample))
    as_of = truth["about"]["end"]
    log, people = activity(dataset, as_of=as_of), population(dataset, as_of=as_of)
    table = lifecycle(log, people, as_of=as_of, period="month", history_from=truth["about"]["start"]).table
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
    found = lifecycle(log, as_of=FIRST, period=period)
    assert "Too little data" in found.sentence
    assert len(found.table) == rows
    assert found.table["quick_ratio"].isna().all()


def test_nobody_active_is_counted_as_nobody() -> None:
    log = pd.DataFrame({"member_id": ["a"], "day": [FIRST], "kind": ["order"]})
    table = lifecycle(log, as_of=AS_OF).table
    assert (table["active"] == 0).all()
    assert table["growth"].isna().all()


def test_wrong_questions_are_refused() -> None:
    log, people = random_log(1, members=2)
    for wrong in (
        {"period": "year"},
        {"warm_up_days": -1},
        {"confidence": 1},
        {"count": "x"},
        {"as_of": "soon"},
    ):
        with pytest.raises(BadParameters):
            lifecycle(log, people, **({"as_of": AS_OF} | wrong))  # type: ignore[arg-type]


def test_the_order_of_rows_does_not_matter() -> None:
    log, people = random_log(5)
    one = lifecycle(log, people, as_of=AS_OF).table
    two = lifecycle(log.sample(frac=1, random_state=2), people.iloc[::-1], as_of=AS_OF).table
    pd.testing.assert_frame_equal(one, two, check_exact=True)


@pytest.mark.parametrize(
    ("gain", "lost", "before"), [(8, 0.1, 60), (40, 0.3, 200), (300, 0.2, 1000), (5, 0.05, 100)]
)
def test_the_quick_ratio_covers(gain: float, lost: float, before: int) -> None:
    rng = np.random.default_rng(17)
    gains, losses = rng.poisson(gain, 20_000), rng.binomial(before, lost, 20_000)
    _ratio, low, high = quick_ratio(gains, losses, np.full(20_000, before))
    known = np.isfinite(low)
    truth = gain / (before * lost)
    covered = ((low <= truth) & (truth <= high))[known].mean()
    assert 0.93 <= covered <= 0.975


def test_weeks_that_move_together_raise_no_alarm() -> None:
    rng, alarms, single = np.random.default_rng(5), 0, 0
    for _ in range(400):
        rate = np.exp(rng.normal(0, 0.25, 9))  # what moves everybody in a week
        gains, lost = rng.poisson(200 * rate[1:]), rng.binomial(1000, np.clip(0.2 * rate[:-1], 0, 1))
        found = mean_ratio(gains, lost)
        alarms += not found.low <= 1 <= found.high
        _, low, high = quick_ratio(gains[-1:], lost[-1:], [1000])
        single += not low[0] <= 1 <= high[0]
    assert alarms / 400 < 0.08
    assert single / 400 > 0.3  # the interval of one week alone cries wolf
    shrinking = mean_ratio(rng.poisson(150, 8), rng.binomial(1000, 0.2, 8))
    assert shrinking.high < 1 and shrinking.n == 8


def test_the_direction_comes_from_the_last_periods() -> None:
    log, people = random_log(9, members=120)
    found = lifecycle(log, people, as_of=AS_OF, warm_up_days=14)
    rows = found.table[found.table["complete"] & ~found.table["provisional"]].tail(8)
    logs = np.log((rows["new"] + rows["resurrected"] + 0.5) / (rows["dormant"] + 0.5))
    low, high = stats.t.interval(0.95, len(logs) - 1, logs.mean(), stats.sem(logs))
    assert found.recent[:3] == pytest.approx(np.exp([logs.mean(), low, high]))
    assert f"Over the last {len(logs)} complete weeks" in found.sentence
    few = dataclasses.replace(found, table=found.table[found.table["complete"]].tail(3))
    assert not few.recent.known and "It takes 4 complete weeks" in few.sentence


def test_the_edges_of_the_quick_ratio() -> None:
    ratio, low, high = quick_ratio([0, 5, 5, 0], [4, 0, 0, 0], [10, 10, 0, 0])
    assert (ratio[0], low[0]) == (0.0, 0.0)
    assert 0 < high[0] < np.inf
    assert np.isnan(ratio[1:]).all() and np.isnan(low[1:]).all() and np.isnan(high[1:]).all()
