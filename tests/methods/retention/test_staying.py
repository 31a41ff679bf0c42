"""How long members stay in words; exit hazard by hand, against library intervals and against planted hazards."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.stats.rates import test_poisson_2indep as poisson_2indep

from helpers import simulate
from helpers.figures import Chart
from helpers.methods.retention.staying import PARTS, Staying, exit_cells, exit_hazard, hazard_of, staying
from helpers.simulate.parameters import Parameters
from helpers.stats.survival.cells import cells
from helpers.stats.survival.compare import logrank
from helpers.stats.survival.curves import survival
from helpers.study import Study
from helpers.tables import Table


def asked(confidence: float = 0.95, k_min: int = 10) -> Study:
    """A study without tables, for its level and what it may show."""
    empty = pd.DataFrame(columns=["member_id", "day", "kind"])
    return Study.of({"activity": empty}, "2026-01-01", confidence=confidence, k_min=k_min)


def stay(rows: pd.DataFrame, by: str | None = None, k_min: int = 10, confidence: float = 0.95) -> Staying:
    """How long members stay, from durations."""
    found = cells(rows, by or ())
    everybody = survival(found, None, confidence)
    segments = survival(found, by, confidence)
    return Staying(asked(confidence, k_min), everybody, segments, logrank(found, by) if by else None)


def test_one_table_by_segment_keeps_small_ones_back() -> None:
    rng = np.random.default_rng(4)
    source = np.repeat(["a", "b", "c", "few"], [200, 90, 60, 4])
    rows = pd.DataFrame({"source": source, "tenure_days": rng.geometric(np.where(source == "a", 0.02, 0.1))})
    found = stay(rows.assign(exited=True), "source")
    table = found.table.set_index("segment")
    assert table["n"].isna().to_dict() == {"a": False, "b": False, "c": True, "few": True}
    assert table.loc[["c", "few"], ["events", "median_days", "mean_days", "mean_low"]].isna().all(axis=None)
    horizon = table["horizon"].iloc[0]
    for name in ("a", "b"):
        part = rows[rows["source"] == name]["tenure_days"]
        assert table.loc[name, "mean_days"] == pytest.approx(part.clip(upper=horizon).mean())
        assert table.loc[name, "median_days"].startswith(f"{part.median():.0f} (")
    assert found.shown == ["a", "b"]
    assert stay(rows.assign(exited=True), "source", k_min=1).table["n"].tolist() == [200, 90, 60, 4]


@pytest.mark.parametrize(
    ("rows", "text"),
    [
        ({"tenure_days": [90] * 29 + [3], "exited": [False] * 29 + [True]}, "days: longer than the 90 seen."),
        ({"tenure_days": [1, 2, *[9] * 18], "exited": [True] * 2 + [False] * 18}, "fewer than 10 left while"),
        ({"tenure_days": [*range(20)], "exited": True}, "Median stay in days: 9 (5 to 14)."),
        (
            {"tenure_days": [3, 3, *[20] * 30], "exited": True, "entry_day": [0, 0, *[10] * 30]},
            "too little data",  # all who were watched early left before others came under observation
        ),
        (
            {"tenure_days": [210] * 6 + [230] * 4, "exited": [True] * 6 + [False] * 4, "entry_day": 200},
            "Median stay in days: too little data.",  # nobody was seen before day 200
        ),
    ],
)  # fmt: skip
def test_what_is_known_is_said(rows: dict[str, object], text: str) -> None:
    found = stay(pd.DataFrame(rows))
    assert text in found.sentence and found.sentence.startswith(f"Of {found.everybody.n} members, ")
    told = next(found.findings(3))
    assert found.sentence in told.sentence
    assert (told.verdict == "too little data") == (not found.everybody.still_here(3).known)


def test_the_level_of_the_words_is_that_of_the_reader() -> None:
    rng = np.random.default_rng(3)
    plan = rng.choice(["a", "b"], 300)
    time, watched = rng.exponential(np.where(plan == "a", 48, 60)), rng.uniform(0, 120, 300)
    rows = pd.DataFrame({"plan": plan, "tenure_days": np.minimum(time, watched).astype(int)})
    rows["exited"] = time <= watched
    p = stay(rows, "plan").test.p_value
    assert 0.001 < p < 0.999
    said = [stay(rows, "plan", confidence=level).sentence for level in (1 - p * 1.01, 1 - p * 0.99)]
    assert "Do the 2 segments differ in how long members stay: yes" in said[0] and "not clearly" in said[1]
    few = stay(rows[rows["exited"]].head(1), "plan").sentence
    assert "Whether the 1 segments differ in how long members stay: too little data" in few


def test_a_segment_that_nobody_leaves_is_drawn_and_the_headline_is_of_all() -> None:
    rows = pd.DataFrame(
        {"source": ["stay"] * 150 + ["go"] * 50, "tenure_days": [200] * 150 + [*range(25)] * 2}
    )
    found = stay(rows.assign(exited=rows["source"] == "go"), "source")
    chart = found.figure()
    assert isinstance(chart, Chart) and set(chart.data["segment"]) == {"stay", "go"}
    flat = chart.data[chart.data["segment"] == "stay"]
    assert (flat["survival"] == 1).all() and (flat["low"] < 1).all()
    day = int(chart.data["day"].max())
    assert (
        chart.title
        == f"After {day} days {100 * found.everybody.still_here(day).value:.1f} % of all are still here"
    )
    assert found.table.set_index("segment").loc["stay", "median_days"] == "longer than the 200 seen"


def test_without_an_exit_on_record_nothing_is_said_of_staying() -> None:
    found = stay(pd.DataFrame({"tenure_days": [120] * 80, "exited": False}))
    (told,) = found.findings(90)
    assert told.value is None and "not recorded" in told.sentence and "100.0 %" not in told.sentence
    assert not isinstance(found.figure(), Chart) and not list(found.tables())


def test_late_members_are_told_of() -> None:
    """A study of members of whom some joined long before its log."""
    joined = pd.Timestamp("2026-01-01") + pd.to_timedelta([*range(0, 60, 2), *[-200] * 12], unit="D")
    people = pd.DataFrame({"member_id": [f"m{k}" for k in range(42)], "joined_day": joined, "source": "x"})
    people["left_day"] = (joined + pd.Timedelta(days=30)).where(np.arange(42) % 3 == 0, pd.NaT)
    study = Study.of({"population": people}, "2026-04-30", history_from="2026-01-01")
    found = staying(study, "source")
    assert found.everybody.n == 38  # four had left before the log began
    told = next(found.findings(90))
    assert told.n == 30 and "n = 30) of the members watched on some day until then" in told.sentence
    assert told.scope == study.scope and len(exit_hazard(study).counts) == 5


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
    found = hazard_of(
        asked(), stays([(0, 3, True), (0, 9, False), (8, 9, True), (2, 2, False)]), (0, 3, 8, 20)
    )
    table = found.counts
    assert table["part"].tolist() == ["days 0–2", "days 3–7", "days 8–19", "days 20 and later"]
    assert table["members"].tolist() == [3, 2, 2, 0]
    assert table["exits"].tolist() == [0, 1, 1, 0]
    assert table["member_days"].tolist() == [3 + 3 + 1, 1 + 5, 2 + 2, 0]
    assert table["hazard"].iloc[1] == pytest.approx(1000 / 6)
    assert np.isnan(table["hazard"].iloc[3]) and np.isnan(table["high"].iloc[3])
    assert table["low"].iloc[0] == 0 and table["high"].iloc[0] == pytest.approx(1000 * 3.6889 / 7, rel=1e-4)
    # Four members are too few to say more.
    assert found.highest is None and "too little data" in found.sentence
    assert hazard_of(asked(), stays([(0, 3, True)]), (3,)).counts["part"].tolist() == ["days 3 and later"]


def test_one_day_parts_are_the_steps_of_nelson_aalen() -> None:
    sample = planted(np.random.default_rng(4), 500, np.full(100, 0.03), late=True)
    found = hazard_of(asked(), sample, range(40)).counts
    counts = survival(sample).counts
    steps = counts.events[0] / counts.at_risk[0]
    assert np.allclose(found["hazard"].iloc[:39] / 1000, steps[:39])
    assert found["part"].iloc[0] == "days 0–0"


def test_the_test_is_the_exact_conditional_one() -> None:
    found = hazard_of(
        asked(), stays([(0, 0, True)] * 12 + [(0, 9, False)] * 30 + [(0, 9, True)] * 14), (0, 1)
    )
    row = found.counts.to_dict("records")
    theirs = poisson_2indep(
        row[0]["exits"], row[0]["member_days"], row[1]["exits"], row[1]["member_days"],
        method="exact-cond", alternative="larger",
    )  # fmt: skip
    assert found.p_value == pytest.approx(theirs.pvalue)


def test_planted_hazards_are_covered_although_members_enter_late() -> None:
    hazards = np.repeat([0.03, 0.008, 0.004], [10, 40, 150])
    rng, inside, named = np.random.default_rng(11), [], 0
    for _ in range(80):
        found = hazard_of(asked(), planted(rng, 400, hazards, late=True), (0, 10, 50))
        table = found.counts
        inside.append((table["low"] <= [30, 8, 4]) & (table["high"] >= [30, 8, 4]))
        named += found.highest == "days 0–9"
        assert found.highest in (None, "days 0–9")
    assert np.mean(inside) > 0.93  # exact intervals cover at least their level
    assert named > 55
    assert found.sentence.startswith("Members leave fastest on days 0–9 with")


def test_equal_hazards_are_seldom_told_apart() -> None:
    rng = np.random.default_rng(5)
    flat = np.full(160, 0.01)
    found = [hazard_of(asked(), planted(rng, 300, flat, late=False), (0, 7, 30, 60)) for _ in range(200)]
    wrong = sum(one.highest is not None for one in found)
    assert wrong <= stats.binom.ppf(0.999, 200, 0.05)
    assert all("no clear difference" in one.sentence for one in found if one.highest is None)


def test_little_data_is_said_and_small_parts_are_kept_back() -> None:
    for rows in ([], [(0, 0, False)], [(0, 40, False)] * 30):
        found = hazard_of(asked(), stays(rows), PARTS)
        assert "too little data" in found.sentence and found.highest is None
    found = hazard_of(asked(), stays([(0, 3, True)] * 25 + [(0, 8, True)] * 15 + [(0, 40, False)] * 4), PARTS)
    shown = next(part for part in found.told() if isinstance(part, Table)).frame
    assert shown["members"].isna().tolist() == [False, True, True, False, False]
    assert shown["exits"].isna().tolist() == shown["members"].isna().tolist()


def test_hazards_planted_in_a_simulated_community_are_found() -> None:
    plan = Parameters(
        exit_log_hazard={}, exit_daily_hazard=(0.012, 0.006, 0.002), exit_tenure_breaks=(0, 30, 90)
    )
    tables = simulate.community(4_000, 240, seed=8, tables=["members"], parameters=plan).tables
    study = Study.of(tables, "2026-02-25", history_from="2025-07-01")
    # The day of joining is not a whole day, so the first part begins on the day after.
    table = hazard_of(replace(study, confidence=0.99), exit_cells(study), (1, 30, 90)).counts
    assert table["exits"].min() > 50
    assert ((table["low"] <= [12, 6, 2]) & (table["high"] >= [12, 6, 2])).all()
