"""Daily states against a walk through every member's every day, and rates against a known chain."""

from __future__ import annotations

import datetime as dt
from collections import Counter

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from helpers.methods.retention.states import (
    LABELS,
    LEFT,
    STATES,
    DailyStates,
    daily_states,
    reachable,
    transition_matrix,
    what_if,
)
from helpers.sentences import percent
from helpers.stats.chains import expected_path, matrix_of, raised
from helpers.stats.estimate import effective_size, jeffreys, wilson
from helpers.stats.move_variance import MemberSums, covariances
from helpers.study import Study
from tests.methods.retention.logs import interactions, random_log

FIRST, AS_OF = dt.date(2026, 1, 1), dt.date(2026, 5, 31)

# Shrinking an example runs the engine hundreds of times.
PHASES = (Phase.explicit, Phase.reuse, Phase.generate)

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


def planted(seed: int, members: int = 20) -> tuple[pd.DataFrame, pd.DataFrame]:
    log, people = random_log(seed, FIRST, AS_OF, members=members, rates=(0.0, 0.015, 0.05, 0.6))
    return interactions(log), people


def study(log: pd.DataFrame, people: pd.DataFrame | None = None, as_of: dt.date = AS_OF, **settings) -> Study:
    frames = {"activity": log} if people is None else {"activity": log, "population": people}
    return Study.of(frames, as_of, **settings)


def gamma_log(rng: np.random.Generator, members: int, last: dt.date, days: int = 360) -> pd.DataFrame:
    """Every member is active on each day with a probability of their own."""
    rate = np.minimum(rng.gamma(0.6, 0.05, members), 0.6)
    who, day = np.nonzero(rng.random((members, days)) < rate[:, None])
    at = pd.Timestamp(last) - pd.to_timedelta(days - 1 - day, unit="D")
    return pd.DataFrame({"member_id": who.astype(str), "day": at, "kind": "interaction"})


def simulate(rng: np.random.Generator, days: int, start: np.ndarray) -> np.ndarray:
    """Move every member by the chain; return moves by day of arrival, from and to."""
    cube, here = np.zeros((days, 7, 8), dtype=int), start.astype(int)
    for day in range(days):
        cube[day] = np.array([rng.multinomial(n, p) for n, p in zip(here, RATES, strict=True)])
        here = cube[day].sum(axis=0)[:7]
        here[0] += INFLOW
    return cube


def followed(rng: np.random.Generator, days: int, start: np.ndarray) -> tuple[np.ndarray, MemberSums]:
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


def states_of(moved: tuple[np.ndarray, MemberSums], seed: int = 0) -> DailyStates:
    cube, sums = moved[0].astype(float), moved[1]
    after = cube.sum(axis=1)[:, :7] + np.eye(7)[0] * INFLOW
    sizes = np.vstack([START, after]).astype(int)
    counts = pd.DataFrame(sizes, columns=list(STATES)).assign(
        day=pd.date_range(FIRST, periods=len(sizes)).date
    )
    asked = study(pd.DataFrame(columns=["member_id", "day", "kind"]), seed=seed)
    return DailyStates(asked, counts, cube, transition_matrix(cube, sums), sums)


def state_by_hand(active: set[dt.date], day: dt.date) -> str | None:
    """Say the published definitions as they are written."""
    before = [one for one in active if one < day]

    def within(low: int, high: int) -> bool:
        return any(day - dt.timedelta(days=k) in active for k in range(low, high + 1))

    if day in active:
        if not before:
            return "new"
        return "current" if within(1, 7) else "reactivated" if within(1, 30) else "resurrected"
    if not before:
        return None
    return "at_risk_wau" if within(0, 6) else "at_risk_mau" if within(0, 29) else "dormant"


def by_hand(log: pd.DataFrame, people: pd.DataFrame, first: dt.date) -> tuple[Counter, Counter, Counter]:
    sizes, moves, trailing = Counter(), Counter(), Counter()
    days = pd.date_range(first, AS_OF).date
    for person in people.itertuples():
        left = person.left_day
        active = {
            day for day in log.loc[log["member_id"] == person.member_id, "day"] if not left or day <= left
        }
        for day in days:
            here = state_by_hand(active, day) if not left or day <= left else None
            if here is None:
                continue
            sizes[(day, here)] += 1
            for name, length in (("dau", 1), ("wau", 7), ("mau", 30)):
                trailing[(day, name)] += any(day - dt.timedelta(days=k) in active for k in range(length))
            tomorrow = day + dt.timedelta(days=1)
            if tomorrow <= AS_OF:
                there = LEFT if left and tomorrow > left else state_by_hand(active, tomorrow)
                moves[(tomorrow, here, there)] += 1
    return sizes, moves, trailing


@settings(max_examples=5, deadline=None, phases=PHASES, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 10_000))
def test_every_day_of_every_member(seed: int) -> None:
    log, people = planted(seed)
    found = daily_states(study(log, people))
    sizes, moves, trailing = by_hand(log, people, found.counts["day"].iloc[0])
    for row in found.counts.to_dict("records"):
        assert {s: row[s] for s in STATES} == {s: sizes[(row["day"], s)] for s in STATES}
        assert {k: row[k] for k in ("dau", "wau", "mau")} == {
            k: trailing[(row["day"], k)] for k in ("dau", "wau", "mau")
        }
    arrivals, targets = found.counts["day"].iloc[1:].tolist(), (*STATES, LEFT)
    seen = {
        (arrivals[day], STATES[one], targets[other]): n
        for (day, one, other), n in np.ndenumerate(found.cube)
        if n
    }
    assert seen == dict(moves)


def test_members_of_a_day_are_those_of_the_day_before_and_the_new_without_those_who_left() -> None:
    found = daily_states(study(*planted(3, members=60)))
    everyone = found.counts[list(STATES)].sum(axis=1).to_numpy()
    left = found.cube[:, :, -1].sum(axis=1)
    assert (everyone[1:] == everyone[:-1] - left + found.counts["new"].to_numpy()[1:]).all()
    assert left.sum() > 0


def test_the_rates_of_a_known_chain_are_found_and_covered() -> None:
    """Each member is active with a probability that only the state of the day before decides."""
    rng = np.random.default_rng(5)
    planted = {"new": 0.3, "current": 0.6, "reactivated": 0.3, "resurrected": 0.2,
               "at_risk_wau": 0.15, "at_risk_mau": 0.04, "dormant": 0.01}  # fmt: skip
    rows, days = [], pd.date_range(FIRST, AS_OF).date
    gap, state = np.zeros(2500, dtype=int), np.full(2500, "new", dtype=object)
    rows.append(pd.DataFrame({"member_id": np.arange(2500), "day": days[0]}))
    for day in days[1:]:
        active = rng.random(2500) < np.array([planted[s] for s in state])
        gap += 1
        back = np.where(gap <= 7, "current", np.where(gap <= 30, "reactivated", "resurrected"))
        quiet = np.where(gap < 7, "at_risk_wau", np.where(gap < 30, "at_risk_mau", "dormant"))
        state, gap = np.where(active, back, quiet), np.where(active, 0, gap)
        rows.append(pd.DataFrame({"member_id": np.flatnonzero(active), "day": day}))
    log = pd.concat(rows, ignore_index=True).astype({"member_id": str}).assign(kind="interaction")
    found = daily_states(study(log, confidence=0.999))
    for origin, target in (
        ("current", "current"), ("reactivated", "current"), ("resurrected", "current"),
        ("at_risk_wau", "current"), ("at_risk_mau", "reactivated"), ("dormant", "resurrected"),
    ):  # fmt: skip
        rate = found.rate(origin, target)
        assert rate.low < planted[origin] < rate.high
    assert not found.rate("new", "current").known
    assert not found.provisional
    assert "come back on a day: " in found.sentence


def summed(active: np.ndarray, state: int, to: int, rest: int) -> tuple[np.ndarray, MemberSums]:
    """Return the moves out of one state by day, and over members, of a table of members by days."""
    counts = np.zeros((len(active), 7 * 8))
    counts[:, state * 8 + to], counts[:, state * 8 + rest] = active.sum(axis=1), (~active).sum(axis=1)
    cube, members = np.zeros((active.shape[1], 7, 8)), np.zeros(7)
    cube[:, state, to], cube[:, state, rest] = active.sum(axis=0), (~active).sum(axis=0)
    members[state] = len(active)
    return cube, MemberSums(members, counts.T @ counts)


def two_way_by_hand(active: np.ndarray) -> float:
    """Write out the variance of the share of a table with whole rows and columns (Cameron, Gelbach, Miller 2011)."""
    off = active - active.mean()
    rows, columns = active.shape
    by_member = (off.sum(axis=1) ** 2).sum() * rows / (rows - 1)
    by_day = (off.sum(axis=0) ** 2).sum() * columns / (columns - 1)
    return max(by_member + by_day - (off**2).sum(), by_member, by_day) / active.size**2


@pytest.mark.parametrize("differ", ["members", "days", "both", "none"])
def test_the_variance_of_a_rate_is_that_of_two_way_clusters(differ: str) -> None:
    rng = np.random.default_rng(11)
    rate = np.full((60, 50), 0.3)
    if differ in ("members", "both"):
        rate = rate + rng.uniform(-0.25, 0.25, (60, 1))
    if differ in ("days", "both"):
        rate = rate + rng.uniform(-0.25, 0.25, (1, 50))
    active = rng.random((60, 50)) < rate
    cube, sums = summed(active, 1, 1, 4)
    expected = two_way_by_hand(active)
    assert covariances(cube, sums).variance[1 * 8 + 1] == pytest.approx(expected, rel=1e-9)
    row = transition_matrix(cube, sums).set_index(["from_state", "to_state"]).loc[("current", "current")]
    size = effective_size(active.mean(), expected, 49)
    assert (row["low"], row["high"]) == pytest.approx([float(b) for b in wilson(active.mean() * size, size)])
    plain = active.mean() * (1 - active.mean()) / active.size
    assert (expected > 1.5 * plain) == (differ != "none")
    assert np.linalg.eigvalsh(covariances(cube, sums).both).min() > -1e-12


def test_the_sums_over_members_are_those_of_every_member_by_hand() -> None:
    log, people = planted(4, members=40)
    found = daily_states(study(log, people))
    each = []
    for person in people.itertuples():
        one = people[people["member_id"] == person.member_id]
        _sizes, moves, _trailing = by_hand(
            log[log["member_id"] == person.member_id], one, found.counts["day"].iloc[0]
        )
        counts = np.zeros((7, 8))
        for (_day, origin, target), n in moves.items():
            if target is not None:
                counts[STATES.index(origin), (*STATES, LEFT).index(target)] += n
        each.append(counts.ravel())
    each = np.array(each)
    np.testing.assert_array_equal(found.sums.products, each.T @ each)
    np.testing.assert_array_equal(found.sums.members, (each.reshape(-1, 7, 8).sum(axis=2) > 0).sum(axis=0))
    assert found.sums.members[STATES.index("dormant")] > 5


def test_fewer_than_thirty_members_have_no_rates() -> None:
    rng = np.random.default_rng(12)
    for members, known in ((29, False), (30, True)):
        cube, sums = summed(rng.random((members, 90)) < 0.3, 6, 3, 6)
        row = (
            transition_matrix(cube, sums)
            .set_index(["from_state", "to_state"])
            .loc[("dormant", "resurrected")]
        )
        assert np.isfinite([row["low"], row["high"]]).all() == known


def test_a_move_that_never_happens_is_bounded_by_members() -> None:
    cube, sums = summed(np.zeros((100, 50), dtype=bool), 6, 3, 6)
    row = transition_matrix(cube, sums).set_index(["from_state", "to_state"]).loc[("dormant", "resurrected")]
    assert (row["low"], row["high"]) == pytest.approx([float(b) for b in jeffreys(0, 100)])


@pytest.mark.slow
def test_day_clustered_intervals_cover_rates_that_vary_by_day() -> None:
    rng, hits = np.random.default_rng(8), []
    for _sim in range(1000):
        rate = rng.beta(0.05 * 200, 0.95 * 200, 56)
        matrix = transition_matrix(*summed(rng.random((400, 56)) < rate, 6, 3, 6))
        row = matrix.set_index(["from_state", "to_state"]).loc[("dormant", "resurrected")]
        hits.append(row["low"] <= 0.05 <= row["high"])
    assert 0.93 <= np.mean(hits) <= 0.97


@pytest.mark.slow
def test_intervals_cover_the_rates_of_members_who_differ() -> None:
    """Members with gamma rates; the truth is the rate of very many of them."""

    def rates_of(members: int) -> DailyStates:
        return daily_states(study(gamma_log(rng, members, AS_OF)))

    rng = np.random.default_rng(13)
    moves = (("current", "current"), ("dormant", "resurrected"))
    truth = {move: rates_of(60_000).rate(*move).value for move in moves}
    found = [states.rate(*move) for states in (rates_of(300) for _community in range(200)) for move in moves]
    for position, move in enumerate(moves):
        hits = [one.low <= truth[move] <= one.high for one in found[position :: len(moves)]]
        # Three standard errors of 200 communities about .93 and .97.
        assert 0.875 <= np.mean(hits) <= 0.997


@pytest.mark.parametrize("rows", [0, 1])
def test_too_little_data_is_said_and_never_raised(rows: int) -> None:
    log = pd.DataFrame({"member_id": ["a"] * rows, "day": [AS_OF] * rows, "kind": ["interaction"] * rows})
    found = daily_states(study(log))
    assert found.provisional
    assert not found.rate("dormant", "resurrected").known
    assert found.counts["dau"].iloc[-1] == rows
    assert ("Too little data" in found.sentence) == (rows == 0)


def test_the_matrix_to_read_has_the_rates_and_keeps_rare_moves_back() -> None:
    rng = np.random.default_rng(3)
    who, at = np.nonzero(rng.random((400, 150)) < 0.15)
    day = [dt.date(2026, 1, 1) + dt.timedelta(days=int(d)) for d in at]
    log = pd.DataFrame({"member_id": who.astype(str), "day": day, "kind": "interaction"})
    named = {LABELS.get(state, state): state for state in (*STATES, LEFT)}

    def told(k_min: int) -> tuple[DailyStates, pd.DataFrame]:
        found = daily_states(study(log, as_of=dt.date(2026, 5, 30), k_min=k_min))
        assert "at risk, week" in found.table.columns
        return found, found.table.set_index("from_state").rename(index=named, columns=named)

    found, table = told(1)
    assert "new" not in table.columns
    assert table.loc["current", "at_risk_wau"] == found.rate("current", "at_risk_wau").value
    seen = table[table["member_days"] > 0]
    np.testing.assert_allclose(seen.drop(columns="member_days").fillna(0).sum(axis=1), 1)
    assert set(table.index) == set(STATES) and len(seen) >= 6
    for state in seen.index:
        assert set(table.columns[table.loc[state].notna()]) == {"member_days", LEFT, *reachable(state)}
    _found, kept = told(10)
    rare = found.matrix[found.matrix["n"].between(1, 9)]
    assert len(rare)
    for row in rare.itertuples():
        assert np.isnan(kept.loc[row.from_state, row.to_state])
        assert kept.loc[row.from_state].isna().sum() >= table.loc[row.from_state].isna().sum() + 2


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
    changed = raised(RATES, 6, 3, 0.01)
    assert changed[6, 3] == pytest.approx(0.016)
    assert changed[6].sum() == pytest.approx(1)
    assert changed[6, 7] / changed[6, 6] == pytest.approx(RATES[6, 7] / RATES[6, 6])
    np.testing.assert_array_equal(changed[:6], RATES[:6])


def test_the_extra_is_the_difference_of_two_known_paths() -> None:
    states = states_of(followed(np.random.default_rng(2), 84, START))
    found = what_if(states)
    rates = matrix_of(states.cube.sum(axis=0))
    last = states.counts[list(STATES)].iloc[-1].to_numpy(float)
    base, more = (
        expected_path(last, p, INFLOW, 90)[:, :4].sum(axis=1) for p in (rates, raised(rates, 6, 3, 0.01))
    )
    assert found.extra.value == pytest.approx(more[-1] - base[-1])
    assert found.expected == pytest.approx(base[-1])
    assert found.extra.low < found.extra.value < found.extra.high
    rate = states.rate("dormant", "resurrected").value
    assert (
        f"If resurrection rose from {percent(rate)} to {percent(rate + 0.01)} of dormant members a day"
        in found.sentence
    )
    assert (
        "10 new members arrive every day" in found.sentence and "only an experiment tells" in found.sentence
    )


def test_equal_seeds_give_equal_bounds() -> None:
    moved = followed(np.random.default_rng(3), 56, START)
    one, two, other = (what_if(states_of(moved, seed)).extra for seed in (4, 4, 5))
    assert one == two and one != other


@pytest.mark.slow
def test_intervals_cover_the_extra_of_the_true_rates() -> None:
    hits, rng = [], np.random.default_rng(12)
    for _sim in range(300):
        states = states_of(followed(rng, 84, START), 1)
        last = states.counts[list(STATES)].iloc[-1].to_numpy(float)
        base, more = (
            expected_path(last, p, INFLOW, 90)[-1, :4].sum() for p in (RATES, raised(RATES, 6, 3, 0.01))
        )
        extra = what_if(states).extra
        hits.append(extra.low <= more - base <= extra.high)
    assert 0.92 <= np.mean(hits) <= 0.98


@pytest.mark.slow
def test_intervals_cover_the_extra_of_members_who_differ() -> None:
    """Members with gamma rates: the truth is the same sum with the rates of very many of them."""
    rng = np.random.default_rng(14)
    rates = matrix_of(daily_states(study(gamma_log(rng, 40_000, AS_OF))).cube.sum(axis=0))
    hits = []
    for _community in range(100):
        states = daily_states(study(gamma_log(rng, 300, AS_OF)))
        start = states.counts[list(STATES)].iloc[-1].to_numpy(float)
        base, more = (
            expected_path(start, p, states.counts["new"].iloc[1:].mean(), 90)[-1, :4].sum()
            for p in (rates, raised(rates, 6, 3, 0.01))
        )
        extra = what_if(states).extra
        hits.append(extra.low <= more - base <= extra.high)
    # Three standard errors of 100 communities below .95.
    assert np.mean(hits) >= 0.885


def test_few_members_are_too_little_data() -> None:
    few, many = (
        what_if(daily_states(study(gamma_log(np.random.default_rng(2), n, AS_OF)))) for n in (25, 200)
    )
    assert not few.extra.known
    assert "Too little data: 19 members were seen to be dormant" in few.sentence
    assert many.extra.known


def test_from_dormancy_members_stay_or_resurrect() -> None:
    assert reachable("dormant") == ("resurrected", "dormant")


def test_nobody_dormant_is_too_little_data() -> None:
    log = pd.DataFrame({"member_id": ["a"], "day": [FIRST], "kind": ["interaction"]})
    for rows in (log, log.iloc[:0]):
        found = what_if(daily_states(study(rows, as_of=FIRST)))
        assert not found.extra.known
        assert "Too little data" in found.sentence
