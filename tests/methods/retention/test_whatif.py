"""What-if paths against simulated members, by hand, and the coverage of their intervals."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from helpers.errors import BadParameters
from helpers.methods.retention.states import (
    LEFT,
    STATES,
    DailyStates,
    daily_states,
    transition_matrix,
)
from helpers.methods.retention.whatif import expected_path, matrix_of, raised, reachable, what_if
from helpers.sentences import percent
from helpers.stats.move_variance import MemberSums

FIRST = dt.date(2026, 1, 1)
RATES = np.zeros((7, 8))
for state, back, onward in (
    ("new", 0.30, 0.0), ("current", 0.60, 0.0), ("reactivated", 0.35, 0.0), ("resurrected", 0.25, 0.0),
    ("at_risk_wau", 0.12, 0.14), ("at_risk_mau", 0.03, 0.035), ("dormant", 0.006, 0.0),
):  # fmt: skip
    row = STATES.index(state)
    home = {"at_risk_mau": "reactivated", "dormant": "resurrected"}.get(state, "current")
    RATES[row, STATES.index(home)] = back
    RATES[row, 7] = 0.002
    if onward:
        RATES[row, STATES.index("at_risk_mau" if state == "at_risk_wau" else "dormant")] = onward
    rest = state if state in ("at_risk_wau", "at_risk_mau", "dormant") else "at_risk_wau"
    RATES[row, STATES.index(rest)] += 1 - RATES[row].sum()
START = np.array([10.0, 200, 15, 5, 150, 300, 800])
INFLOW = 10
GAMMA_LAST = dt.date(2026, 6, 30)


def gamma_log(rng: np.random.Generator, members: int, days: int = 360) -> pd.DataFrame:
    """Every member is active on each day with a probability of their own."""
    rate = np.minimum(rng.gamma(0.6, 0.05, members), 0.6)
    who, day = np.nonzero(rng.random((members, days)) < rate[:, None])
    at = pd.Timestamp(GAMMA_LAST) - pd.to_timedelta(days - 1 - day, unit="D")
    return pd.DataFrame({"member_id": who.astype(str), "day": at, "kind": "interaction"})


def simulate(rng: np.random.Generator, days: int, start: NDArray[np.float64]) -> NDArray[np.int64]:
    """Move every member by the chain; return moves by day of arrival, from and to."""
    cube, here = np.zeros((days, 7, 8), dtype=int), start.astype(int)
    for day in range(days):
        cube[day] = np.array([rng.multinomial(n, p) for n, p in zip(here, RATES, strict=True)])
        here = cube[day].sum(axis=0)[:7]
        here[0] += INFLOW
    return cube


def followed(
    rng: np.random.Generator, days: int, start: NDArray[np.float64]
) -> tuple[NDArray[np.int64], MemberSums]:
    """Move member by member; return moves by day of arrival, and what each member did, summed over members."""
    here = np.repeat(np.arange(7), start.astype(int))
    counts = np.zeros((len(here) + INFLOW * days, 7 * 8))
    who, cube = np.arange(len(here)), np.zeros((days, 7, 8), dtype=int)
    edges = RATES.cumsum(axis=1)
    for day in range(days):
        there = (rng.random(len(who))[:, None] > edges[here]).sum(axis=1).clip(max=7)
        np.add.at(cube[day], (here, there), 1)
        counts[who, here * 8 + there] += 1
        kept, first = there < 7, int(start.sum()) + INFLOW * day
        who = np.concatenate([who[kept], np.arange(first, first + INFLOW)])
        here = np.concatenate([there[kept], np.zeros(INFLOW, dtype=int)])
    in_state = counts.reshape(-1, 7, 8).sum(axis=2) > 0
    return cube, MemberSums(in_state.sum(axis=0).astype(float), counts.T @ counts)


def states_of(moved: tuple[NDArray[np.int64], MemberSums], start: NDArray[np.float64]) -> DailyStates:
    cube, sums = moved
    after = cube.sum(axis=1)[:, :7] + np.eye(7, dtype=int)[0] * INFLOW
    sizes = np.vstack([start.astype(int), after])
    days = [FIRST + dt.timedelta(days=k) for k in range(len(sizes))]
    counts = pd.DataFrame(sizes, columns=list(STATES)).assign(day=days)
    day, origin, target = np.nonzero(cube)
    moves = pd.DataFrame(
        {
            "day": [days[k + 1] for k in day],
            "from_state": [STATES[k] for k in origin],
            "to_state": [(*STATES, LEFT)[k] for k in target],
            "n": cube[day, origin, target],
        }
    )
    matrix = transition_matrix(cube.astype(float), sums)
    return DailyStates(counts, moves, matrix, sums, days[0], days[-1], False, 0.95)


def test_the_expected_path_is_the_mean_of_simulated_communities() -> None:
    rng = np.random.default_rng(1)
    runs = np.array([simulate(rng, 60, START).sum(axis=1)[:, :4].sum(axis=1) + INFLOW for _run in range(300)])
    path = expected_path(START, RATES, INFLOW, 60)[1:, :4].sum(axis=1)
    error = runs.std(axis=0, ddof=1) / np.sqrt(len(runs))
    assert (np.abs(runs.mean(axis=0) - path) < 4.5 * error).all()


def test_one_day_by_hand() -> None:
    path = expected_path(START, RATES, 3, 1)
    resurrected = 0.006 * 800
    assert path[1, STATES.index("resurrected")] == pytest.approx(resurrected)
    assert path[1, 0] == 3
    assert path[1].sum() == pytest.approx(START.sum() * 0.998 + 3)


def test_raising_a_rate_shrinks_the_others_in_proportion() -> None:
    changed = raised(RATES, "dormant", "resurrected", 0.01)
    assert changed[6, 3] == pytest.approx(0.016)
    assert changed[6].sum() == pytest.approx(1)
    assert changed[6, 7] / changed[6, 6] == pytest.approx(RATES[6, 7] / RATES[6, 6])
    np.testing.assert_array_equal(changed[:6], RATES[:6])


def test_the_extra_is_the_difference_of_two_known_paths() -> None:
    states = states_of(followed(np.random.default_rng(2), 84, START), START)
    found = what_if(states, points=0.01, horizon=90, draws=100)
    rates = matrix_of(states.cube().sum(axis=0))
    last = states.counts[list(STATES)].iloc[-1].to_numpy(float)
    base, more = (
        expected_path(last, p, INFLOW, 90)[:, :4].sum(axis=1)
        for p in (rates, raised(rates, "dormant", "resurrected", 0.01))
    )
    assert found.extra.value == pytest.approx(more[-1] - base[-1])
    average = found.intervals[found.intervals["quantity"] == "extra on an average day"]
    assert average["value"].to_numpy() == pytest.approx((more - base)[1:].mean())
    assert found.new_per_day == INFLOW
    assert found.path["extra"].iloc[0] == 0
    assert (found.path["extra"].iloc[1:] > 0).all()
    assert found.extra.low < found.extra.value < found.extra.high
    rate = states.rate("dormant", "resurrected").value
    assert (
        f"If resurrection rose from {percent(rate)} to {percent(rate + 0.01)} of dormant members a day"
        in found.sentence
    )
    assert (
        "10 new members arrive every day" in found.sentence and "only an experiment tells" in found.sentence
    )


def test_both_intervals_are_there_and_equal_seeds_give_equal_bounds() -> None:
    states = states_of(followed(np.random.default_rng(3), 56, START), START)
    one, two = (what_if(states, draws=60, seed=4) for _ in range(2))
    pd.testing.assert_frame_equal(one.intervals, two.intervals, check_exact=True)
    rows = one.intervals[one.intervals["quantity"] == "extra on the last day"].set_index("method")
    assert set(rows.index) == {"weeks of days", "members and days"}
    assert one.method == (rows["high"] - rows["low"]).idxmax()
    short = states_of(followed(np.random.default_rng(3), 20, START), START)
    assert what_if(short, draws=60).method == "members and days"


def coverage(sims: int, days: int, draws: int) -> dict[str, float]:
    """How often each interval holds the extra of the true rates from the same starting point."""
    hits: dict[str, list[bool]] = {"weeks of days": [], "members and days": [], "used": []}
    rng = np.random.default_rng(12)
    for _sim in range(sims):
        states = states_of(followed(rng, days, START), START)
        found = what_if(states, draws=draws, horizon=90, seed=1)
        last = states.counts[list(STATES)].iloc[-1].to_numpy(float)
        base, more = (
            expected_path(last, p, INFLOW, 90)[-1, :4].sum()
            for p in (RATES, raised(RATES, "dormant", "resurrected", 0.01))
        )
        rows = found.intervals[found.intervals["quantity"] == "extra on the last day"].set_index("method")
        for method, row in rows.iterrows():
            hits[method].append(row["low"] <= more - base <= row["high"])
        hits["used"].append(found.extra.low <= more - base <= found.extra.high)
    return {method: float(np.mean(found)) for method, found in hits.items()}


@pytest.mark.slow
def test_intervals_cover_the_extra_of_the_true_rates() -> None:
    found = coverage(sims=300, days=84, draws=120)
    assert 0.92 <= found["members and days"] <= 0.98
    assert 0.92 <= found["weeks of days"] <= 0.98
    assert 0.93 <= found["used"] <= 0.99


@pytest.mark.slow
def test_intervals_cover_the_extra_of_members_who_differ() -> None:
    """Members with gamma rates: the truth is the same sum with the rates of very many of them."""
    rng = np.random.default_rng(14)
    rates = matrix_of(daily_states(gamma_log(rng, 40_000), as_of=GAMMA_LAST, days=90).cube().sum(axis=0))
    hits = []
    for _community in range(100):
        states = daily_states(gamma_log(rng, 300), as_of=GAMMA_LAST, days=90)
        start = states.counts[list(STATES)].iloc[-1].to_numpy(float)
        base, more = (
            expected_path(start, p, 0.0, 90)[-1, :4].sum()
            for p in (rates, raised(rates, "dormant", "resurrected", 0.01))
        )
        extra = what_if(states, new_per_day=0.0, draws=200).extra
        hits.append(extra.low <= more - base <= extra.high)
    # Three standard errors of 100 communities below .95.
    assert np.mean(hits) >= 0.885


def test_few_members_are_too_little_data() -> None:
    few, many = (
        what_if(daily_states(gamma_log(np.random.default_rng(2), n), as_of=GAMMA_LAST, days=90), draws=60)
        for n in (25, 200)
    )
    assert not few.extra.known and few.path["extra"].isna().all()
    assert f"Too little data: {few.members} members were seen to be dormant" in few.sentence
    assert many.extra.known and many.members >= 30


def test_moves_that_cannot_happen_are_refused() -> None:
    states = states_of(followed(np.random.default_rng(3), 20, START), START)
    assert reachable("dormant") == ("resurrected", "dormant")
    for wrong in (
        {"from_state": "dormant", "to_state": "current"},
        {"from_state": "asleep"},
        {"points": 1},
        {"points": 0.0},
        {"horizon": 0},
        {"new_per_day": -1},
        {"draws": 3},
        {"confidence": 95},
    ):
        with pytest.raises(BadParameters):
            what_if(states, **wrong)  # type: ignore[arg-type]


def test_nobody_dormant_is_too_little_data() -> None:
    log = pd.DataFrame({"member_id": ["a"], "day": [FIRST], "kind": ["interaction"]})
    for rows in (log, log.iloc[:0]):
        found = what_if(daily_states(rows, as_of=FIRST, days=14), draws=30)
        assert not found.extra.known
        assert "Too little data" in found.sentence
