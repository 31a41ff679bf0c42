"""Time to the top and blockers against closed forms, simulated members, lifelines and brute force."""

from __future__ import annotations

import lifelines
import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from helpers.methods.rfm.promotion import blockers, time_to_top
from helpers.methods.rfm.tiers import TierScheme

AWAY, FRESH = -1, 4


def _first_passage(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return expected periods to the top by adding up the chances of not being there yet."""
    inner, left, total = matrix[:3, :3], np.ones(3), np.zeros(3)
    for _step in range(60_000):
        total, left = total + left, inner @ left
    return total


def test_times_and_chances_equal_the_chain_in_a_large_sample(history_of, matrices, run_chains) -> None:
    matrix = matrices["lively"]
    history = history_of(run_chains(np.random.default_rng(1), matrix, 40_000, 4, 1)[0])
    result = time_to_top(history, horizons=(1, 3, 12))
    flows = history.flows.groupby(["from_state", "to_state"])["n"].sum().unstack()
    labels = list(history.labels)
    empirical = flows.loc[labels, labels].div(flows.loc[labels, labels].sum(axis=1), axis=0).to_numpy()
    np.testing.assert_allclose(result.times["expected_periods"], _first_passage(empirical), rtol=1e-6)
    np.testing.assert_allclose(result.times["expected_periods"], _first_passage(matrix), rtol=0.05)
    absorbing = empirical.copy()
    absorbing[3] = [0, 0, 0, 1]
    for horizon in (1, 3, 12):
        chance = result.chances[result.chances["periods"] == horizon]
        np.testing.assert_allclose(chance["share"], np.linalg.matrix_power(absorbing, horizon)[:3, 3])
    assert (result.times["low"] < result.times["expected_periods"]).all()
    assert (result.times["high"] > result.times["expected_periods"]).all()


def test_a_ladder_takes_the_sum_of_its_steps(history_of) -> None:
    """Each month half of a tier steps up: two months a step, so six, four and two."""
    start_of = np.repeat([0, 1, 2], 200)
    up = np.tile([0, 1], 300)
    result = time_to_top(history_of(np.array([start_of, start_of + up])))
    assert result.times["expected_periods"].tolist() == pytest.approx([6, 4, 2])
    near = result.chances[result.chances["from_tier"] == "active"].set_index("periods")["share"]
    assert near.tolist() == pytest.approx([1 - 0.5**3, 1 - 0.5**6, 1 - 0.5**12])
    start = "The chance of a member in active to reach core within 6 months, leavers counted, is 98.4 % ("
    assert result.sentence.startswith(start) and "n = 200 moves" in result.sentence
    assert "If moves stay as they are, one who stays takes 2 months on average (" in result.sentence
    assert "Kaplan-Meier" not in result.sentence  # one pair of months is followed for one month only
    month = time_to_top(history_of(np.array([start_of, start_of + up])), horizons=(1,)).sentence
    assert "within 1 months" in month
    assert "observed by Kaplan-Meier: 50.0 % (43.1 % to 56.9 %; n = 200 members)" in month


def test_members_who_leave_do_not_arrive(history_of) -> None:
    """From active a third each leaves, stays, steps up: two months for those who stay, half arrive."""
    before = np.full(300, 2)
    after = np.repeat([AWAY, 2, 3], 100)
    result = time_to_top(history_of(np.array([before, after])), horizons=(1, 40))
    active = result.chances[result.chances["from_tier"] == "active"].set_index("periods")
    assert result.times["expected_periods"].iloc[2] == pytest.approx(2)
    assert active.loc[1, "share"] == pytest.approx(1 / 3) and active.loc[40, "share"] == pytest.approx(1 / 2)
    assert active.loc[1, "observed"] == pytest.approx(1 / 3) and np.isnan(active.loc[40, "observed"])


@pytest.mark.parametrize(
    ("name", "members", "pairs"), [("lively", 300, 4), ("lively", 2_000, 2), ("sticky", 2_000, 3)]
)
def test_intervals_cover_the_chain(name, members, pairs, matrices, run_chains, history_of) -> None:
    """100 chains, three tiers that depend on one another: two standard errors are 4 points."""
    matrix = matrices[name]
    expected, absorbing = _first_passage(matrix), matrix.copy()
    absorbing[3] = [0, 0, 0, 1]
    chance = np.linalg.matrix_power(absorbing, 6)[:3, 3]
    times, chances = [], []
    chains = run_chains(np.random.default_rng(members), matrix, members, pairs + 1, 100)
    for seed, states in enumerate(chains):
        result = time_to_top(history_of(states), horizons=(6,), draws=500, seed=seed)
        times.append((result.times["low"] <= expected) & (expected <= result.times["high"]))
        chances.append((result.chances["low"] <= chance) & (chance <= result.chances["high"]))
    assert 0.9 <= np.mean(times) <= 0.995
    assert 0.9 <= np.mean(chances) <= 0.995


def test_observed_shares_equal_kaplan_meier(history_of, matrices, run_chains) -> None:
    rng = np.random.default_rng(3)
    states = run_chains(rng, matrices["lively"], 400, 9, 1)[0]
    for member in range(150):
        joins = int(rng.integers(0, 8))
        states[:joins, member], states[joins, member] = AWAY, FRESH
    history = history_of(states)
    chances = time_to_top(history, horizons=(1, 2, 4, 6)).chances
    for tier, rows in history.passages.groupby("from_tier"):
        fitter = lifelines.KaplanMeierFitter()
        seen = rows[rows["periods"] > 0]
        fitter.fit(seen["periods"], seen["reached"], weights=seen["members"])
        observed = chances[chances["from_tier"] == tier].set_index("periods")
        for horizon in (1, 2, 4, 6):
            assert observed.loc[horizon, "observed"] == pytest.approx(1 - fitter.predict(horizon), abs=1e-12)
        assert (observed["observed_low"] <= observed["observed"]).all()
        assert (observed["observed_high"] >= observed["observed"]).all()
        assert set(observed["observed_n"]) == {int(rows["members"].sum())}


def test_no_path_is_infinite_and_unseen_rows_are_unknown(history_of) -> None:
    """Silent and potential only exchange members; active was never seen."""
    states = np.array([[0] * 40 + [1] * 40 + [3] * 5, [0] * 30 + [1] * 10 + [0] * 20 + [1] * 20 + [3] * 5])
    result = time_to_top(history_of(states))
    times = result.times.set_index("from_tier")
    assert np.isinf(times.loc["silent", "expected_periods"]) and np.isinf(times.loc["silent", "high"])
    assert 1 < times.loc["silent", "low"] < np.inf and not times.loc["silent", "path_seen"]
    assert times.loc["active", ["expected_periods", "low", "high"]].isna().all()
    chances = result.chances.set_index(["from_tier", "periods"])
    assert chances.loc[("silent", 3), "share"] == 0 and chances.loc[("silent", 3), "low"] == 0
    assert 0 < chances.loc[("silent", 3), "high"] < 0.5
    assert chances.loc[("active", 12), ["share", "low", "high"]].isna().all()
    assert result.sentence == "Too little data on how members reach core."
    # One member moves on to active, about which nothing is known: so nothing is known from there down either.
    states[1, 0] = 2
    assert time_to_top(history_of(states)).times["expected_periods"].isna().all()


@pytest.mark.parametrize("periods", [0, 1])
def test_short_histories_say_that_there_is_too_little(periods, history_of) -> None:
    result = time_to_top(history_of(np.zeros((periods, 5), dtype=np.int64)))
    assert result.times["expected_periods"].isna().all() and result.chances["share"].isna().all()
    assert result.sentence.startswith("Too little data")
    with pytest.raises(ValueError, match="horizons == 0, must be >= 1"):
        time_to_top(history_of(np.zeros((2, 5), dtype=np.int64)), horizons=(0,))


LADDER = {
    "name": "ladder",
    "match": "first",
    "tiers": [
        {"id": "low", "when": {}},
        {"id": "middle", "when": {"frequency": [2, None], "recency_days": [0, 91]}},
        {"id": "high", "when": {"frequency": [5, None], "recency_days": [0, 31], "monetary": [100, None]}},
    ],
}


def test_blockers_by_hand() -> None:
    rows = [
        ("a", 1, 10, 0.0), ("b", 1, 20, 50.0), ("c", 7, 100, 900.0), ("d", 0, None, 0.0),
        ("e", 3, 20, 150.0), ("f", 6, 40, 150.0), ("g", 6, 10, 60.0), ("h", 9, 3, 500.0),
    ]  # fmt: skip
    members = pd.DataFrame(rows, columns=["member_id", "frequency", "recency_days", "monetary"])
    scheme = TierScheme.load(LADDER)
    found = blockers(scheme.assign(members), scheme)
    table = found.table.set_index(["from_tier", "column"])
    low = table.loc["low"]
    # a and b lack one order; c was last here 10 days too long ago; d lacks orders and was never here.
    assert low.loc["frequency", ["members", "blocked", "only", "median_gap"]].tolist() == [4, 3, 2, 1]
    assert low.loc["recency_days", ["members", "blocked", "only", "median_gap"]].tolist() == [4, 2, 1, 10]
    assert low.loc["recency_days", "direction"] == "less" and low.loc["recency_days", "without_value"] == 1
    assert low.loc["monetary", "blocked"] == 0 and np.isnan(low.loc["monetary", "median_gap"])
    middle = table.loc["middle"]
    # e lacks two orders, f was last here 10 days too long ago, g lacks 40 of value.
    assert middle["blocked"].to_dict() == {"frequency": 1, "monetary": 1, "recency_days": 1}
    assert middle["median_gap"].to_dict() == {"frequency": 2, "monetary": 40, "recency_days": 10}
    assert middle["letter"].to_dict() == {"frequency": "F", "monetary": "M", "recency_days": "R"}
    assert table.loc[("middle", "monetary"), "direction"] == "more"
    assert "low: too little data (n = 4)" in found.sentence


def test_a_scheme_of_one_column_is_said_to_be_one() -> None:
    frequency = np.r_[np.zeros(30, int), np.full(30, 4), np.full(30, 41), np.full(5, 60)]
    members = pd.DataFrame({"member_id": [f"m{n}" for n in range(95)], "frequency": frequency})
    scheme = TierScheme.load("monthly_interactions")
    found = blockers(scheme.assign(members), scheme)
    assert found.table["blocked"].tolist() == found.table["members"].tolist() == [30, 30, 30]
    assert found.sentence == (
        "The tiers look at frequency alone: members in silent need a median of 1 more to rise; members in potential "
        "need a median of 7 more to rise; members in active need a median of 10 more to rise."
    )
    few = members[members.frequency != 4]
    assert "potential: too little data (n = 0)" in blockers(scheme.assign(few), scheme).sentence
    ladder = TierScheme.load(LADDER)
    both = members.assign(recency_days=100, monetary=0.0)
    assert "alone" not in blockers(ladder.assign(both), ladder).sentence


@pytest.mark.parametrize("scheme", ["three_tier", "engagement", "pyramid", "monthly_interactions", "ladder"])
def test_blockers_equal_brute_force(scheme: str) -> None:
    """Every member is compared with every rule above, one at a time."""
    rules = TierScheme.load(LADDER if scheme == "ladder" else scheme)
    rng = np.random.default_rng(17)
    members = pd.DataFrame(
        {
            "member_id": [f"m{n}" for n in range(300)],
            "frequency": rng.integers(0, 80, 300),
            "active_days": rng.integers(0, 31, 300),
            "recency_days": pd.array(rng.integers(0, 120, 300), dtype="Int64"),
            "monetary": rng.integers(0, 300, 300).astype(float),
            "value_quantile": rng.integers(0, 100, 300) / 100,
            **{name: rng.integers(1, 6, 300) for name in ("r_score", "f_score", "m_score")},
        }
    )
    members.loc[:40, "recency_days"] = pd.NA
    assigned = rules.assign(members).to_pandas()
    table = blockers(assigned, rules).table.set_index(["from_tier", "column"])
    for rank, tier in enumerate(rules.labels[:-1]):
        above = [rule for tier in rules.tiers[rank + 1 :] for rule in tier.when]
        names = sorted({name for box in above for name in box})
        short: dict[str, list[tuple[bool, float]]] = {name: [] for name in names}
        here = assigned[assigned["tier"] == tier]
        for row in here.to_dict("records"):
            best = min((_changes(row, box, rules) for box in above), key=len)
            for name, gap in best.items():
                short[name].append((len(best) == 1, gap))
        for name in names:
            found, gaps = table.loc[(tier, name)], np.abs([gap for _only, gap in short[name]])
            assert found["members"] == len(here) and found["blocked"] == len(short[name])
            assert found["only"] == sum(only for only, _gap in short[name])
            if np.isfinite(gaps).any():
                assert found["median_gap"] == pytest.approx(np.nanmedian(gaps))
            assert found["share"] == pytest.approx(len(short[name]) / len(here), nan_ok=True)


def _changes(row: dict, box: dict, rules: TierScheme) -> dict[str, float]:
    """Return the columns in which a member is outside a rule, with the change needed (NaN: not known)."""
    changes = {}
    for name, side in box.items():
        value = row[name]
        if pd.isna(value):
            if not side.missing:
                changes[name] = np.nan
        elif value < side.low:
            changes[name] = side.low - value
        elif value >= side.high:
            changes[name] = (side.high - 1 if rules.domains[name].integer else side.high) - value
    return changes
