"""Curves from cells against lifelines on rows, and what is known when there is little to know."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from lifelines import KaplanMeierFitter
from lifelines.exceptions import StatError
from lifelines.utils import restricted_mean_survival_time

from helpers.stats.survival.cells import cells
from helpers.stats.survival.curves import survival

EXACT = 1e-10

members = st.lists(
    st.tuples(st.integers(0, 25), st.booleans(), st.floats(0, 1), st.sampled_from("ab")),
    min_size=2,
    max_size=60,
)


def rows_of(drawn: list[tuple[int, bool, float, str]], late: bool) -> pd.DataFrame:
    """Durations from drawn tuples; the float says where between joining and the end a member enters."""
    frame = pd.DataFrame(drawn, columns=["tenure_days", "exited", "share", "plan"])
    if late:
        frame["entry_day"] = (frame["tenure_days"] * frame["share"]).astype(int)
    return frame.drop(columns="share")


def inclusive(rows: pd.DataFrame) -> pd.Series:
    """Entry for lifelines, where who enters at t is at risk after t only; here from day t on."""
    return rows["entry_day"].where(rows["entry_day"] == 0, rows["entry_day"] - 0.5)


@settings(max_examples=20, deadline=None)
@given(members, st.booleans())
def test_grouped_equals_rows(drawn: list[tuple[int, bool, float, str]], late: bool) -> None:
    rows = rows_of(drawn, late)
    curves = survival(cells(rows, "plan"), "plan")
    table, counts = curves.table, curves.counts
    for plan, part in rows.groupby("plan"):
        if len(part) < 2:
            continue
        entry = inclusive(part) if late else None
        ours = table[table["segment"] == plan].set_index("day")
        # Unlike lifelines we say nothing after a day that nobody has seen.
        assert late or ours["survival"].notna().all()
        ours = ours.dropna(subset=["survival"])
        if ours.empty:
            continue
        try:
            theirs = KaplanMeierFitter().fit(part["tenure_days"], part["exited"], entry=entry)
        except StatError:  # nobody at risk for a while: lifelines refuses more than we do
            continue
        np.testing.assert_allclose(
            ours["survival"], np.atleast_1d(theirs.predict(ours.index)), rtol=0, atol=EXACT
        )
        at_risk = theirs.event_table["at_risk"]
        shared = ours.index.intersection(at_risk.index[at_risk > 0])
        counted = counts.at_risk[counts.labels.index(plan), shared.to_numpy(int)]
        np.testing.assert_allclose(counted, at_risk.loc[shared])


@settings(max_examples=15, deadline=None)
@given(members, st.booleans())
def test_lifelines_fits_on_cells_as_on_rows(drawn: list[tuple[int, bool, float, str]], late: bool) -> None:
    rows = rows_of(drawn, late)
    entry = inclusive(rows) if late else None
    try:
        theirs = KaplanMeierFitter().fit(rows["tenure_days"], rows["exited"], entry=entry)
    except StatError:  # nobody at risk for a while
        assume(False)
    ours = survival(cells(rows)).to_lifelines().survival_function_.iloc[:, 0]
    np.testing.assert_allclose(ours, theirs.predict(ours.index), rtol=0, atol=EXACT)


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    """A community of 900 in three plans with a planted order of stays."""
    rng = np.random.default_rng(6)
    plan = rng.choice(["long", "middle", "short"], 900)
    scale = pd.Series(plan).map({"short": 30, "middle": 60, "long": 200}).to_numpy()
    time, watched = rng.exponential(scale), rng.uniform(20, 150, 900)
    return pd.DataFrame(
        {"tenure_days": np.minimum(time, watched).astype(int), "exited": time <= watched, "plan": plan}
    )


def test_medians_equal_lifelines(rows: pd.DataFrame) -> None:
    medians = survival(cells(rows, "plan"), "plan").summary.set_index("segment")["median"]
    for plan, part in rows.groupby("plan"):
        theirs = KaplanMeierFitter().fit(part["tenure_days"], part["exited"])
        assert medians[plan] == theirs.median_survival_time_


def test_restricted_mean_equals_the_area_under_the_curve_of_lifelines(rows: pd.DataFrame) -> None:
    found = survival(cells(rows)).restricted_mean(90).iloc[0]
    theirs = KaplanMeierFitter().fit(rows["tenure_days"], rows["exited"])
    assert found["mean"] == pytest.approx(restricted_mean_survival_time(theirs, t=90), abs=1e-9)
    rng = np.random.default_rng(0)
    draws = [
        survival(cells(rows.iloc[rng.integers(0, len(rows), len(rows))])).restricted_mean(90)["mean"].iloc[0]
        for _ in range(40)
    ]
    assert (found["high"] - found["low"]) / (2 * 1.96) == pytest.approx(np.std(draws), rel=0.4)


def test_restricted_mean_without_censoring_is_a_mean() -> None:
    tenure = np.random.default_rng(1).geometric(0.05, 300) - 1
    found = survival(cells(pd.DataFrame({"tenure_days": tenure, "exited": True})))
    stayed = np.minimum(tenure, 30)
    row = found.restricted_mean(30).iloc[0]
    assert row["mean"] == pytest.approx(stayed.mean())
    assert row["high"] - row["low"] == pytest.approx(2 * 1.959964 * stayed.std() / np.sqrt(300))
    beyond = found.restricted_mean(5_000).iloc[0]
    assert beyond["mean"] == pytest.approx(tenure.mean())


def test_summary(rows: pd.DataFrame) -> None:
    curves = survival(cells(rows, "plan"), "plan")
    assert curves.n == 900 and curves.events == rows["exited"].sum()
    row = curves.summary.set_index("segment").loc["short"]
    assert row["low"] <= row["median"] <= row["high"]


def test_values_at_days(rows: pd.DataFrame) -> None:
    curves = survival(cells(rows))
    found = curves.at([0, 30, 10_000])
    table = curves.table.set_index("day")
    assert found["survival"].tolist()[:2] == table.loc[[0, 30], "survival"].tolist()
    assert np.isnan(found["survival"].iloc[2]) and found["at_risk"].iloc[2] == 0
    assert (found["low"] <= found["survival"])[:2].all() and (found["high"] >= found["survival"])[:2].all()


def test_watched_are_those_whose_watch_overlaps_the_days_until_then() -> None:
    rng = np.random.default_rng(11)
    entry = rng.integers(0, 60, 300) * (rng.random(300) < 0.6)
    frame = pd.DataFrame({"entry_day": entry, "tenure_days": entry + rng.integers(0, 40, 300)})
    frame["exited"] = rng.random(300) < 0.5
    curves = survival(cells(frame))
    for day in (0, 5, 30, 59, 500):
        row = curves.at(day).iloc[0]
        assert row["watched"] == (frame["entry_day"] <= day).sum()
        assert row["n"] == 300
        assert row["at_risk"] == ((frame["entry_day"] <= day) & (frame["tenure_days"] >= day)).sum()
    assert curves.at(5)["watched"].iloc[0] < 300


def test_once_everybody_left_survival_stays_zero() -> None:
    found = survival(cells(pd.DataFrame({"tenure_days": [1, 2, 3], "exited": True}))).at([3, 50])
    assert found["survival"].tolist() == [0, 0] and found["low"].tolist() == [0, 0]
    assert found["high"].iloc[1] == found["high"].iloc[0] > 0


def small(n: int, exited: bool) -> pd.DataFrame:
    """Cells of n members of one plan who all end on day 5."""
    frame = pd.DataFrame({"tenure_days": [5] * n, "exited": [exited] * n, "plan": ["a"] * n})
    return cells(frame.astype({"tenure_days": "int64", "exited": "bool", "plan": "object"}), "plan")


@pytest.mark.parametrize("by", [None, "plan"])
def test_nobody(by: str | None) -> None:
    curves = survival(small(0, True), by)
    assert curves.table.empty and curves.n == 0
    assert curves.restricted_mean().empty if by else np.isnan(curves.restricted_mean()["mean"]).all()
    assert curves.at(3)["survival"].isna().all()


@pytest.mark.parametrize("exited", [True, False])
def test_one_member_is_no_curve(exited: bool) -> None:
    curves = survival(small(1, exited), "plan")
    assert curves.table["survival"].isna().all() and curves.summary["median"].isna().all()


def test_all_who_were_watched_early_left_before_others_entered() -> None:
    rows = pd.DataFrame({"tenure_days": [3, 3, *[20] * 30], "exited": True, "entry_day": [0, 0, *[10] * 30]})
    curves = survival(cells(rows))
    assert curves.table["survival"].isna().all() and curves.summary["median"].isna().all()
    assert np.isnan(curves.restricted_mean(5)["mean"]).all()


def test_all_censored() -> None:
    curves = survival(small(30, False), "plan")
    assert (curves.table["survival"] == 1).all() and (curves.table["high"] == 1).all()
    assert curves.table["low"].iloc[-1] == pytest.approx(0.8865, abs=1e-4)  # Wilson's limit of 30 of 30
    assert np.isnan(curves.summary["median"].iloc[0])


def test_a_median_that_is_not_reached_is_not_missing() -> None:
    frame = pd.DataFrame({"tenure_days": [1, 2, *[9] * 18], "exited": [True, True] + [False] * 18})
    curves = survival(cells(frame))
    assert curves.summary["median"].iloc[0] == np.inf
