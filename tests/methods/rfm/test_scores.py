"""Scores: equal values get equal scores, against the textbook definition in NumPy and on real data."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path

import ibis
import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from helpers.errors import BadParameters
from helpers.methods.rfm.scores import SCORE_COLUMNS, Scores, score, scored
from helpers.study import Study
from helpers.study.values import member_values
from tests.planted_chains import asked

AS_OF = dt.date(2026, 3, 31)
SCORE_NAMES = list(SCORE_COLUMNS.values())
QUICK = settings(
    max_examples=12, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)


def members(recency: object, frequency: object, monetary: object) -> pd.DataFrame:
    """Return member values with ids m0, m1, …."""
    frame = pd.DataFrame({"recency_days": recency, "frequency": frequency, "monetary": monetary})
    frame["recency_days"] = frame["recency_days"].astype("Int64")
    return frame.assign(member_id=[f"m{i}" for i in range(len(frame))])


def score_values(values: object, bins: int) -> Scores:
    """Return the scores of ready-made values."""
    table = scored(values, bins)
    frame = table.to_pandas()
    used = {c: frame.loc[frame[c].notna(), s].nunique() for c, s in SCORE_COLUMNS.items()}
    return Scores(asked(), table, used, len(frame), bins, 90)


def fetch(found: Scores) -> pd.DataFrame:
    """Return scores by member."""
    return found.table.to_pandas().set_index("member_id").sort_index()


def textbook(values: NDArray[np.float64], bins: int) -> NDArray[np.int64]:
    """Return bins between the inverse-distribution quantiles of NumPy, for exact fractions of n."""
    ordered, n = np.sort(values), len(values)
    cuts = [ordered[-(-k * n // bins) - 1] for k in range(1, bins)]
    check = np.quantile(values, [0.25, 0.5, 0.75], method="inverted_cdf")
    assert check.tolist() == [ordered[-(-k * n // 4) - 1] for k in (1, 2, 3)]
    return 1 + np.searchsorted(np.array(cuts), values, side="left")


@st.composite
def member_frames(draw: st.DrawFn) -> pd.DataFrame:
    """Draw members with many ties, missing recency and values of very different size."""
    n = draw(st.integers(1, 60))
    few = st.lists(st.integers(0, 4), min_size=n, max_size=n)
    recency = draw(st.lists(st.one_of(st.none(), st.integers(0, 400)), min_size=n, max_size=n))
    amounts = st.one_of(st.just(0.0), st.floats(-1e9, 1e9), st.integers(0, 3).map(float))
    return members(recency, draw(few), draw(st.lists(amounts, min_size=n, max_size=n)))


@QUICK
@given(member_frames(), st.sampled_from([2, 3, 5, 10]))
def test_definition_ties_and_order(frame: pd.DataFrame, bins: int) -> None:
    found_scores = score_values(frame, bins)
    found = fetch(found_scores).loc[frame["member_id"]]
    for column, name in (("frequency", "f_score"), ("monetary", "m_score")):
        values = frame[column].to_numpy(float)
        assert found[name].tolist() == textbook(values, bins).tolist()
        assert (found.groupby(column)[name].nunique() == 1).all()
        assert found.sort_values(column)[name].is_monotonic_increasing
    known = frame["recency_days"].notna().to_numpy()
    if known.any():
        expected = bins + 1 - textbook(frame.loc[known, "recency_days"].to_numpy(float), bins)
        assert found.loc[known, "r_score"].tolist() == expected.tolist()
    assert (found.loc[~known, "r_score"] == 1).all()
    assert found_scores.n == len(frame)


@settings(QUICK, max_examples=5)
@given(member_frames(), st.randoms(use_true_random=False))
def test_order_of_members_does_not_matter(frame: pd.DataFrame, random: object) -> None:
    order = list(range(len(frame)))
    random.shuffle(order)  # type: ignore[attr-defined]
    one, other = (fetch(score_values(rows, 5))[SCORE_NAMES] for rows in (frame, frame.iloc[order]))
    pd.testing.assert_frame_equal(one, other)


def test_frame_and_table_give_equal_scores() -> None:
    rng = np.random.default_rng(4)
    frame = members(rng.integers(0, 90, 300), rng.poisson(1, 300), rng.gamma(1, 50, 300))
    table = ibis.duckdb.connect().create_table("members", frame)
    from_frame, from_table = score_values(frame, 5), score_values(table, 5)
    pd.testing.assert_frame_equal(fetch(from_frame), fetch(from_table))
    assert from_frame.used == from_table.used


def test_all_equal_is_one_score_and_is_reported() -> None:
    found_scores = score_values(members([7] * 40, [3] * 40, [9.5] * 40), 5)
    found = fetch(found_scores)
    assert {name: set(found[name]) for name in SCORE_NAMES} == {
        "r_score": {5},
        "f_score": {1},
        "m_score": {1},
    }
    assert "used are recency 1 of 5, frequency 1 of 5, value 1 of 5" in found_scores.sentence


def test_large_group_of_zeros_is_the_worst_score_and_the_best_score_stays_reachable() -> None:
    frequency = [0] * 60 + list(range(1, 41))
    found_scores = score_values(members(range(100), frequency, frequency), 5)
    found = fetch(found_scores).groupby("frequency")["f_score"].first()
    assert found[0] == 1
    assert found.loc[1:20].unique().tolist() == [4]
    assert found.loc[21:].unique().tolist() == [5]
    assert "used are frequency 3 of 5, value 3 of 5." in found_scores.sentence


def test_cuts_are_half_open_and_count_everybody() -> None:
    found_scores = score_values(members(range(10), range(10), [float(i) for i in range(10)]), 5)
    assert fetch(found_scores)["f_score"].tolist() == [1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
    assert fetch(found_scores)["r_score"].tolist() == [5, 5, 4, 4, 3, 3, 2, 2, 1, 1]
    assert found_scores.sentence.endswith("on recency, frequency and value.")


def test_empty_and_single_member() -> None:
    empty = score_values(members([1], [1], [1.0]).head(0), 5)
    assert empty.n == 0
    assert empty.table.to_pandas().empty
    assert "too little data" in empty.sentence
    assert set(fetch(score_values(members([None], [0], [0.0]), 5))[SCORE_NAMES].iloc[0]) == {1}


def test_the_present_members_of_a_study_are_scored(study_of: Callable[..., Study]) -> None:
    days = [AS_OF - dt.timedelta(days=n) for n in range(4)]
    log = pd.DataFrame({"member_id": list("abbc"), "day": days, "kind": "interaction", "value": 1.0})
    people = pd.DataFrame({"member_id": list("abcd"), "joined_day": dt.date(2026, 1, 1), "left_day": None})
    people.loc[2, "left_day"] = AS_OF
    study = study_of({"activity": log, "population": people}, AS_OF)
    asked_for = score(study, 3, bins=3)
    found = fetch(asked_for)
    assert asked_for.n == 3 and asked_for.used == {"recency_days": 2, "frequency": 3, "monetary": 3}
    assert found["frequency"].to_dict() == {"a": 1, "b": 2, "d": 0}
    assert found[SCORE_NAMES].to_numpy().tolist() == [[3, 2, 2], [2, 3, 3], [1, 1, 1]]
    with pytest.raises(ValueError, match="bins == 1, must be >= 2"):
        score(study, 3, bins=1)
    with pytest.raises(BadParameters, match=r"61 days after the last counted action .* after 61 days"):
        score(study.at(AS_OF + dt.timedelta(days=61)), 61)


@pytest.fixture(scope="module")
def cdnow(reference_data: Path) -> pd.DataFrame:
    """R, F and M of the 23,570 buyers of CDNOW at the end of 1997, over the year."""
    names = ["customer_id", "date", "n_cds", "dollar_value"]
    path = reference_data / "rfm" / "CDNOW_master.txt"
    raw = pd.read_csv(path, sep=r"\s+", header=0, names=names, dtype={"customer_id": str, "date": str})
    days = pd.to_datetime(raw["date"]).dt.tz_localize("Asia/Shanghai")
    orders = pd.DataFrame(
        {
            "order_id": [f"o{i}" for i in range(len(raw))],
            "member_id": raw["customer_id"],
            "paid_at": days,
            "gross": raw["dollar_value"],
            "currency": "USD",
            "kind": "goods",
        }
    )
    study = Study.of({"orders": orders}, "1997-12-31")
    return member_values(study, 365, population=study.population).to_pandas()


def test_real_data_has_no_split_ties_and_the_textbook_scores(cdnow: pd.DataFrame) -> None:
    found_scores = score_values(cdnow, 5)
    assert found_scores.n == 23_570
    found = fetch(found_scores)
    for column, name in (("frequency", "f_score"), ("monetary", "m_score")):
        assert found[name].tolist() == textbook(found[column].to_numpy(float), 5).tolist()
    assert "used are frequency" in found_scores.sentence
