"""Scores: equal values get equal scores, against the textbook definition in NumPy and on real data."""

from __future__ import annotations

from pathlib import Path

import ibis
import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from helpers.data import source
from helpers.errors import BadData, BadParameters
from helpers.methods.rfm.scores import SCORE_COLUMNS, Scores, score, tie_split
from helpers.study.activity import activity, population
from helpers.study.values import member_values

SCORE_NAMES = list(SCORE_COLUMNS.values())
QUICK = settings(
    max_examples=12, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)


def members(recency: object, frequency: object, monetary: object) -> pd.DataFrame:
    """Return member values with ids m0, m1, …."""
    frame = pd.DataFrame({"recency_days": recency, "frequency": frequency, "monetary": monetary})
    frame["recency_days"] = frame["recency_days"].astype("Int64")
    return frame.assign(member_id=[f"m{i}" for i in range(len(frame))])


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
    scored = score(frame, bins=bins)
    found = fetch(scored).loc[frame["member_id"]]
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
    assert (scored.tie_split_share()["split_members"] == 0).all()
    assert scored.n == len(frame)


@settings(QUICK, max_examples=5)
@given(member_frames(), st.randoms(use_true_random=False))
def test_order_of_members_does_not_matter(frame: pd.DataFrame, random: object) -> None:
    order = list(range(len(frame)))
    random.shuffle(order)  # type: ignore[attr-defined]
    columns = [*SCORE_NAMES, "rfm_code"]
    pd.testing.assert_frame_equal(fetch(score(frame))[columns], fetch(score(frame.iloc[order]))[columns])


def test_frame_and_table_give_equal_scores() -> None:
    rng = np.random.default_rng(4)
    frame = members(rng.integers(0, 90, 300), rng.poisson(1, 300), rng.gamma(1, 50, 300))
    table = ibis.duckdb.connect().create_table("members", frame)
    pd.testing.assert_frame_equal(fetch(score(frame)), fetch(score(table)))
    pd.testing.assert_frame_equal(score(frame).cuts, score(table).cuts)


def test_all_equal_is_one_score_and_is_reported() -> None:
    scored = score(members([7] * 40, [3] * 40, [9.5] * 40))
    found = fetch(scored)
    assert {name: set(found[name]) for name in SCORE_NAMES} == {
        "r_score": {5},
        "f_score": {1},
        "m_score": {1},
    }
    assert set(found["rfm_code"]) == {"511"}
    assert scored.collapsed["attained"].tolist() == [1, 1, 1]
    assert scored.collapsed["empty_scores"].tolist() == ["1, 2, 3, 4", "2, 3, 4, 5", "2, 3, 4, 5"]
    assert scored.collapsed["largest_tie_share"].tolist() == [1.0, 1.0, 1.0]
    assert "frequency uses 1 of 5 scores (largest group of equals: 100 % of members)" in scored.sentence


def test_large_group_of_zeros_is_the_worst_score_and_the_best_score_stays_reachable() -> None:
    frequency = [0] * 60 + list(range(1, 41))
    scored = score(members(range(100), frequency, frequency))
    found = fetch(scored).groupby("frequency")["f_score"].first()
    assert found[0] == 1
    assert found.loc[1:20].unique().tolist() == [4]
    assert found.loc[21:].unique().tolist() == [5]
    row = scored.collapsed.set_index("column").loc["frequency"]
    assert (row["attained"], row["empty_scores"], row["largest_tie_share"]) == (3, "2, 3", 0.6)


def test_cuts_are_half_open_and_count_everybody() -> None:
    scored = score(members(range(10), range(10), [float(i) for i in range(10)]))
    cuts = scored.cuts[scored.cuts["column"] == "frequency"]
    assert cuts["low"].tolist() == [0, 2, 4, 6, 8]
    assert cuts["high"].tolist()[:-1] == [2, 4, 6, 8]
    assert cuts["members"].tolist() == [2] * 5
    recency = scored.cuts[scored.cuts["column"] == "recency_days"]
    assert recency["score"].tolist() == [5, 4, 3, 2, 1]
    assert "Every score is used" in scored.sentence


def test_absolute_cuts() -> None:
    frame = members([0, 6, 7, 30, None], [0, 1, 10, 11, 51], [0.0, 99.99, 100.0, 500.0, 1e6])
    cuts = {"recency_days": [7, 30], "frequency": [11, 51], "monetary": [100, 1000]}
    scored = score(frame, bins=3, cuts=cuts)
    found = fetch(scored)
    assert found["r_score"].tolist() == [3, 3, 2, 1, 1]
    assert found["f_score"].tolist() == [1, 1, 1, 2, 3]
    assert found["m_score"].tolist() == [1, 1, 2, 2, 3]
    assert set(scored.cuts["source"]) == {"absolute"}
    frequency = scored.cuts[scored.cuts["column"] == "frequency"]
    assert frequency["low"].tolist() == [0, 11, 51]


def test_absolute_cuts_for_one_column_only_and_empty_middle() -> None:
    frame = members([1, 2, 3, 4], [0, 0, 60, 60], [1.0, 2.0, 3.0, 4.0])
    scored = score(frame, bins=4, cuts={"frequency": [1, 11, 51]})
    assert fetch(scored)["f_score"].tolist() == [1, 1, 4, 4]
    assert fetch(scored)["m_score"].tolist() == [1, 2, 3, 4]
    assert scored.collapsed.set_index("column").loc["frequency", "empty_scores"] == "2, 3"


def test_more_than_nine_bins_are_separated_in_the_code() -> None:
    found = fetch(score(members(range(10), range(10), [float(i) for i in range(10)]), bins=10))
    assert found["rfm_code"].tolist()[:2] == ["10-1-1", "9-2-2"]


def test_empty_and_single_member() -> None:
    empty = score(members([1], [1], [1.0]).head(0))
    assert empty.n == 0
    assert empty.table.to_pandas().empty
    assert "too little data" in empty.sentence
    assert fetch(score(members([None], [0], [0.0])))["rfm_code"].tolist() == ["111"]


def test_tie_split_finds_the_fault_of_ntile() -> None:
    table = ibis.memtable(members(range(100), [0] * 70 + [1] * 30, [0.0] * 100))
    by_row = ibis.ntile(5).over(order_by=[table.frequency, table.member_id])
    found = tie_split(table.mutate(f_score=by_row), "frequency", "f_score")
    assert found.loc[0, "split_members"] == 100
    assert found.loc[0, "share"] == 1.0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"cuts": {"recency_day": [1, 2, 3, 4]}}, "cuts names 'recency_day'.*Did you mean \"recency_days\""),
        ({"cuts": {"frequency": [1, 2]}}, "must be 4 increasing numbers for 5 bins"),
        ({"cuts": {"frequency": [1, 2, 2, 3]}}, "must be 4 increasing numbers"),
        ({"cuts": {"frequency": [1, 2, 3, float("inf")]}}, "must be 4 increasing numbers"),
    ],
)
def test_bad_cuts(arguments: dict[str, dict[str, list[float]]], message: str) -> None:
    with pytest.raises(BadParameters, match=message):
        score(members([1], [1], [1.0]), **arguments)


def test_bad_values() -> None:
    frame = members([1, 2], [1, 2], [1.0, None])
    with pytest.raises(BadData, match="column monetary is missing or not a finite number for 1 members"):
        score(frame)
    with pytest.raises(BadData, match="column monetary is missing or not a finite number for 1 members"):
        score(frame.assign(monetary=[1.0, np.inf]))
    with pytest.raises(BadData, match="column frequency missing; there is"):
        score(frame.drop(columns="frequency"))
    with pytest.raises(ValueError, match="bins == 1, must be >= 2"):
        score(frame, bins=1)


@pytest.fixture(scope="module")
def cdnow(reference_data: Path) -> ibis.Table:
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
    dataset = source.open({"orders": orders})
    actions = activity(dataset, as_of="1997-12-31")
    everyone = population(dataset, as_of="1997-12-31")
    return member_values(
        actions, as_of="1997-12-31", window_days=365, count="order", population=everyone, active_days=False
    )


def test_real_data_has_no_split_ties_and_the_textbook_scores(cdnow: ibis.Table) -> None:
    scored = score(cdnow)
    assert scored.n == 23_570
    assert (scored.tie_split_share()["share"] == 0).all()
    found = fetch(scored)
    for column, name in (("frequency", "f_score"), ("monetary", "m_score")):
        assert found[name].tolist() == textbook(found[column].to_numpy(float), 5).tolist()
    assert scored.collapsed.set_index("column").loc["frequency", "attained"] < 5
