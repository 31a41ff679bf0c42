"""The grouped Cox model against rows, against lifelines, against a loop over members, and on odd data."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lifelines import CoxPHFitter, CoxTimeVaryingFitter
from lifelines.fitters.coxph_fitter import SemiParametricPHFitter
from lifelines.utils import concordance_index

from helpers.errors import BadData
from helpers.stats.cox.design import make_design
from helpers.stats.cox.folds import concordance
from helpers.stats.cox.model import CoxModel, arrays
from helpers.stats.cox.risk_sets import RiskSets
from helpers.stats.survival.cells import completed

KEYS = ["a", "b", "entry_day", "tenure_day"]
TIGHT = {"precision": 1e-13, "r_precision": 1e-16}


def members(seed: int, n: int = 300, longest: int = 14, late: bool = False) -> pd.DataFrame:
    """Return one row per member, with many ties."""
    rng = np.random.default_rng(seed)
    a, b = rng.integers(0, 2, n).astype(float), rng.integers(0, 3, n).astype(float)
    stay = np.floor(rng.exponential(7 * np.exp(-0.5 * a + 0.3 * b)))
    seen = rng.integers(0, longest, n)
    entry = rng.integers(0, 5, n) if late else np.zeros(n, int)
    frame = pd.DataFrame({"a": a, "b": b, "half": rng.choice(["x", "y"], n), "entry_day": entry})
    frame["tenure_day"] = np.minimum(stay, seen).astype(int)
    frame["events"] = (stay <= seen).astype(int)
    return frame[frame["tenure_day"] >= frame["entry_day"]].reset_index(drop=True)


def grouped(rows: pd.DataFrame, *more: str) -> pd.DataFrame:
    groups = rows.groupby([*KEYS, *more])["events"]
    return groups.agg(n="size", events="sum").reset_index()


def same(left: CoxModel, right: CoxModel, tolerance: float = 1e-10) -> None:
    for name in ("params_", "standard_errors_"):
        np.testing.assert_allclose(getattr(left, name), getattr(right, name), rtol=0, atol=tolerance)
    assert left.log_likelihood_ == pytest.approx(right.log_likelihood_, rel=1e-12, abs=tolerance)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), n=st.integers(40, 400), late=st.booleans())
def test_cells_give_what_rows_give(seed: int, n: int, late: bool) -> None:
    rows = members(seed, n, late=late)
    by_rows, by_cells = (CoxModel(["a", "b"]).fit(frame) for frame in (rows, grouped(rows)))
    if by_rows.summary["penalised"].any():
        assert by_rows.message_ == by_cells.message_
    same(by_cells, by_rows)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_lifelines_finds_no_better_place_on_rows(seed: int) -> None:
    """A further Newton step by lifelines, on rows, moves the estimate from cells by less than 1e-10."""
    rows = members(seed)
    model = CoxModel(["a", "b"]).fit(grouped(rows))
    rows = rows.sort_values("tenure_day")
    hessian, gradient, value = SemiParametricPHFitter()._get_efron_values_single(
        rows[["a", "b"]], rows["tenure_day"], rows["events"], pd.Series(1.0, index=rows.index), None,
        model.params_.to_numpy(),
    )  # fmt: skip
    assert np.abs(np.linalg.solve(hessian, gradient)).max() < 1e-10
    errors = np.sqrt(np.diag(np.linalg.inv(-hessian)))
    np.testing.assert_allclose(model.standard_errors_, errors, rtol=0, atol=1e-10)
    assert model.log_likelihood_ == pytest.approx(value, rel=1e-12)


def test_lifelines_takes_a_weighted_row_for_one_exit_which_is_not_the_same() -> None:
    rows = members(3)
    cells = rows.groupby(["a", "b", "tenure_day", "events"]).size().rename("w").reset_index()
    weighted = CoxPHFitter().fit(cells, "tenure_day", "events", weights_col="w", batch_mode=True)
    ours = CoxModel(["a", "b"]).fit(grouped(rows))
    assert np.abs(weighted.params_ - ours.params_).max() > 1e-3


def test_late_entry_agrees_with_start_and_stop_rows() -> None:
    rows = members(5, 400, late=True)
    model = CoxModel(["a", "b"]).fit(grouped(rows))
    rows = rows.assign(start=rows["entry_day"] - 1.0, stop=rows["tenure_day"].astype(float), id=rows.index)
    frame = rows[["id", "start", "stop", "events", "a", "b"]]
    oracle = CoxTimeVaryingFitter().fit(frame, "events", "start", "stop", id_col="id", fit_options=TIGHT)
    np.testing.assert_allclose(model.params_, oracle.params_, atol=1e-9)
    np.testing.assert_allclose(model.standard_errors_, oracle.standard_errors_, atol=1e-9)
    assert model.log_likelihood_ == pytest.approx(oracle.log_likelihood_, rel=1e-12)


def test_concordance_and_likelihoods_agree_with_lifelines() -> None:
    rows = members(8)
    model = CoxModel(["a", "b"]).fit(grouped(rows))
    oracle = CoxPHFitter().fit(
        rows[["a", "b", "tenure_day", "events"]], "tenure_day", "events", fit_options=TIGHT
    )
    assert model.log_likelihood_ == pytest.approx(oracle.log_likelihood_, rel=1e-10)
    table = completed(grouped(rows), ["a", "b"])
    design = make_design(table, ["a", "b"], {})
    risk_sets = RiskSets(design.matrix, arrays(table, design.pattern))
    found, _ = concordance(risk_sets, model.params_.to_numpy())
    risk = (rows[["a", "b"]] @ model.params_).round(10)
    assert found == pytest.approx(concordance_index(rows["tenure_day"], -risk, rows["events"]), abs=1e-12)


def test_levels_have_a_reference_and_missing_is_a_level() -> None:
    rows = members(4).assign(source=lambda r: np.where(r["a"] == 1, "search", "wechat"))
    rows.loc[:9, "source"] = None
    model = CoxModel(["source"], reference={"source": "search"}).fit(rows)
    assert model.summary["covariate"].tolist() == ["source=not stated", "source=wechat"]
    assert model.summary["reference"].unique().tolist() == ["search"]
    assert model.summary["n"].tolist() == [10, int((rows["source"] == "wechat").sum())]


@pytest.mark.parametrize("exits", [0, 1])
def test_separation_is_a_message(exits: int) -> None:
    """Everybody with the flag left on the first day, or nobody with it ever did."""
    rows = members(2).assign(flag=0.0)
    rows.loc[:19, "flag"] = 1.0
    rows.loc[:19, ["events", "tenure_day"]] = [exits, 0 if exits else 13]
    if exits:
        rows.loc[20:, "tenure_day"] += 1
    model = CoxModel(["flag", "a"]).fit(rows)
    assert model.converged_
    assert model.summary["penalised"].tolist() == [True, False]
    assert "no bound to the effect of flag" in model.message_
    assert np.isfinite(model.summary[["low", "high"]].to_numpy()).all()
    assert (model.params_["flag"] > 1) == bool(exits)
    # What is not held has the value it has where the flag is out of the likelihood.
    if not exits:
        alone = CoxModel(["a"]).fit(rows[rows["flag"] == 0])
        assert model.params_["a"] == pytest.approx(alone.params_["a"], abs=0.1)


def test_a_covariate_that_others_determine_or_that_never_varies_is_left_out() -> None:
    rows = members(6).assign(double=lambda r: 2 * r["a"], constant=3.0)
    model = CoxModel(["a", "double", "constant", "b"]).fit(rows)
    alone = CoxModel(["a", "b"]).fit(rows)
    assert np.isnan(model.params_[["double", "constant"]]).all()
    np.testing.assert_allclose(model.params_[["a", "b"]], alone.params_, atol=1e-10)
    assert "determine it: double" in model.message_ and "do not differ in it: constant" in model.message_
    assert model.summary.loc[[1, 2], ["hazard_ratio", "low", "p"]].isna().all(axis=None)


@pytest.mark.parametrize("size", [0, 1, 5])
def test_no_exits_and_no_members_is_too_little_data(size: int) -> None:
    rows = members(1).head(size).assign(events=0)
    model = CoxModel(["a", "b"]).fit(rows)
    assert model.message_ == "No exit is on record."
    assert model.summary["log_hazard_ratio"].isna().all()


def test_numbers_far_from_zero_lose_no_digits() -> None:
    rows = members(10)
    near, far = (CoxModel(["b"]).fit(rows.assign(b=rows["b"] + shift)) for shift in (0, 1e6))
    assert far.params_["b"] == pytest.approx(near.params_["b"], abs=1e-8)


def test_a_missing_column_is_refused() -> None:
    with pytest.raises(BadData, match=r"column aa missing"):
        CoxModel(["aa"]).fit(members(1))
