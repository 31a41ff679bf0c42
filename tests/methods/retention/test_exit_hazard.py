"""Exit hazard by part of tenure: by hand, against published and library intervals, and against planted hazards."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.stats.rates import test_poisson_2indep as poisson_2indep

from helpers import simulate
from helpers.data import source
from helpers.errors import BadParameters
from helpers.methods.retention.exit_hazard import exit_hazard
from helpers.simulate.parameters import Parameters
from helpers.stats.survival.cells import cells
from helpers.stats.survival.curves import survival
from helpers.study.durations import exit_durations, member_stays


def stays(rows: list[tuple[int, int, bool]]) -> pd.DataFrame:
    """Cells from (entry day, tenure days, left)."""
    return cells(pd.DataFrame(rows, columns=["entry_day", "tenure_days", "exited"]))


def planted(rng: np.random.Generator, n: int, hazards: np.ndarray, *, late: bool) -> pd.DataFrame:
    """Cells of members who leave each day with the hazard of that day of tenure, some of them watched late."""
    draws = rng.random((n, hazards.size)) < hazards
    leave = np.where(draws.any(axis=1), draws.argmax(axis=1), hazards.size)
    entry = rng.integers(0, 60, n) if late else np.zeros(n, int)
    end = entry + rng.integers(0, hazards.size - 60, n)
    seen = leave >= entry
    rows = {
        "entry_day": entry,
        "tenure_day": np.minimum(leave, end),
        "n": 1,
        "events": (leave <= end).astype(int),
    }
    return pd.DataFrame(rows)[seen]  # cells of one member each


def test_member_days_by_hand() -> None:
    # a: days 0-3, left; b: days 0-9, still here; c: watched from day 8 on, left on day 9; d: from day 2 to day 2.
    found = exit_hazard(
        stays([(0, 3, True), (0, 9, False), (8, 9, True), (2, 2, False)]), parts=(0, 3, 8, 20)
    )
    table = found.table
    assert table["part"].tolist() == ["days 0–2", "days 3–7", "days 8–19", "days 20 and later"]
    assert table["members"].tolist() == [3, 2, 2, 0]
    assert table["exits"].tolist() == [0, 1, 1, 0]
    assert table["member_days"].tolist() == [3 + 3 + 1, 1 + 5, 2 + 2, 0]
    assert table["hazard"].iloc[1] == pytest.approx(1000 / 6)
    assert np.isnan(table["hazard"].iloc[3]) and np.isnan(table["high"].iloc[3])
    assert table["low"].iloc[0] == 0 and table["high"].iloc[0] == pytest.approx(1000 * 3.6889 / 7, rel=1e-4)
    # Four members are too few to say more.
    assert found.highest is None and "too little data (2 exits in 17 member-days)" in found.sentence
    assert exit_hazard(stays([(0, 3, True)]), parts=(3,)).table["part"].tolist() == ["days 3 and later"]


def test_one_day_parts_are_the_steps_of_nelson_aalen() -> None:
    sample = planted(np.random.default_rng(4), 500, np.full(100, 0.03), late=True)
    found = exit_hazard(sample, parts=range(40)).table
    curve = survival(sample).table.set_index("day")["cumulative_hazard"]
    steps = curve.diff().fillna(curve)
    assert np.allclose(found["hazard"].iloc[:39] / 1000, steps.iloc[:39])
    assert found["part"].iloc[0] == "day 0"


def test_the_test_is_the_exact_conditional_one() -> None:
    found = exit_hazard(stays([(0, 0, True)] * 12 + [(0, 9, False)] * 30 + [(0, 9, True)] * 14), parts=(0, 1))
    row = found.table.to_dict("records")
    theirs = poisson_2indep(
        row[0]["exits"], row[0]["member_days"], row[1]["exits"], row[1]["member_days"],
        method="exact-cond", alternative="larger",
    )  # fmt: skip
    assert found.p_value == pytest.approx(theirs.pvalue)


def test_planted_hazards_are_covered_although_members_enter_late() -> None:
    hazards = np.repeat([0.03, 0.008, 0.004], [10, 40, 150])
    rng, inside, named = np.random.default_rng(11), [], 0
    for _ in range(80):
        found = exit_hazard(planted(rng, 400, hazards, late=True), parts=(0, 10, 50))
        table = found.table
        inside.append((table["low"] <= [30, 8, 4]) & (table["high"] >= [30, 8, 4]))
        named += found.highest == "days 0–9"
        assert found.highest in (None, "days 0–9")
    assert np.mean(inside) > 0.93  # exact intervals cover at least their level
    assert named > 55
    assert found.sentence.startswith("Members leave fastest on days 0–9 with")


def test_equal_hazards_are_seldom_told_apart() -> None:
    rng = np.random.default_rng(5)
    flat = np.full(160, 0.01)
    found = [exit_hazard(planted(rng, 300, flat, late=False), parts=(0, 7, 30, 60)) for _ in range(200)]
    wrong = sum(one.highest is not None for one in found)
    assert wrong <= stats.binom.ppf(0.999, 200, 0.05)
    assert all("is not clear" in one.sentence for one in found if one.highest is None)


def test_little_data_is_said_and_small_parts_are_kept_back() -> None:
    for rows in ([], [(0, 0, False)], [(0, 40, False)] * 30):
        found = exit_hazard(stays(rows))
        assert "too little data" in found.sentence and found.highest is None
    found = exit_hazard(stays([(0, 3, True)] * 25 + [(0, 8, True)] * 15 + [(0, 40, False)] * 4))
    shown = found.readable(10)
    assert shown["members"].isna().tolist() == [False, True, True, False, False]
    assert shown["exits"].isna().tolist() == shown["members"].isna().tolist()


@pytest.mark.parametrize("parts", [(), (0, 0), (7, 3), (-1, 4)])
def test_parts_must_rise(parts: tuple[int, ...]) -> None:
    with pytest.raises(BadParameters, match="parts"):
        exit_hazard(stays([(0, 3, True)]), parts=parts)


def test_hazards_planted_in_a_simulated_community_are_found() -> None:
    plan = Parameters(
        exit_log_hazard={}, exit_daily_hazard=(0.012, 0.006, 0.002), exit_tenure_breaks=(0, 30, 90)
    )
    tables = simulate.community(4_000, 240, seed=8, tables=["members"], parameters=plan).tables
    dataset = source.open({"members": tables["members"]})
    stays = exit_durations(
        member_stays(dataset, as_of="2026-02-25"), as_of="2026-02-25", observed_from="2025-07-01"
    )
    # The day of joining is not a whole day, so the first part begins on the day after.
    table = exit_hazard(cells(stays), parts=(1, 30, 90), confidence=0.99).table
    assert table["exits"].min() > 50
    assert ((table["low"] <= [12, 6, 2]) & (table["high"] >= [12, 6, 2])).all()
