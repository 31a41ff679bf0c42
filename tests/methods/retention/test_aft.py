"""Accelerated failure time models: cells against rows by lifelines, planted truth, the choice by AIC, odd data."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from lifelines import WeibullAFTFitter

from helpers.methods.retention import aft
from helpers.methods.retention.aft import FITTERS, time_ratios
from helpers.methods.retention.aft_scores import clustered_covariance, row_scores


def lives(n: int, seed: int, shape: str, ratio: float = 2.0, late: bool = False) -> pd.DataFrame:
    """Return members of whom those with the flag stay `ratio` times as long."""
    rng = np.random.default_rng(seed)
    flag = rng.integers(0, 2, n).astype(float)
    base = rng.weibull(0.8, n) if shape == "Weibull" else np.exp(rng.normal(0, 1.3, n))
    stay = 40 * base * ratio**flag
    seen = rng.integers(30, 300, n)
    entry = rng.integers(0, 20, n) * late
    frame = pd.DataFrame({"flag": flag, "entry_day": entry, "events": (stay <= seen).astype(int)})
    frame["tenure_day"] = np.minimum(np.floor(stay), seen).astype(int)
    return frame[frame["tenure_day"] >= frame["entry_day"]]


def cells(rows: pd.DataFrame) -> pd.DataFrame:
    return (
        rows.groupby(["flag", "entry_day", "tenure_day"])["events"].agg(n="size", events="sum").reset_index()
    )


@pytest.mark.parametrize("late", [False, True])
def test_cells_agree_with_lifelines_on_rows(late: bool) -> None:
    rows = lives(600, 1, "Weibull", late=late)
    frame = pd.DataFrame({"flag": rows["flag"], "left": rows["events"], "entry": rows["entry_day"]})
    frame["duration"] = rows["tenure_day"] + 0.5
    oracle = WeibullAFTFitter().fit(frame, "duration", "left", entry_col="entry")
    found = time_ratios(cells(rows), ["flag"])
    fitted = found.models.set_index("model").loc["Weibull"]
    assert fitted["log_likelihood"] == pytest.approx(oracle.log_likelihood_, rel=1e-7)
    assert fitted["aic"] == pytest.approx(oracle.AIC_, rel=1e-7)
    assert found.model == "Weibull"
    expected = oracle.summary.loc[("lambda_", "flag")]
    row = found.table.iloc[0]
    assert row["time_ratio"] == pytest.approx(expected["exp(coef)"], rel=1e-4)
    assert row["low"] == pytest.approx(expected["exp(coef) lower 95%"], rel=1e-3)


@pytest.mark.parametrize("shape", ["Weibull", "log-normal"])
def test_the_planted_shape_wins_and_its_ratio_is_covered(shape: str) -> None:
    found = time_ratios(cells(lives(4000, 2, shape)), ["flag"])
    assert found.model == shape
    row = found.table.iloc[0]
    assert row["low"] < 2 < row["high"] and row["high"] / row["low"] < 1.4
    assert found.sentences[0].startswith("Members with flag stay ")
    assert "association, not cause" in found.sentences[0]
    assert shape in found.sentence and "half a day" in found.sentence


def test_what_others_determine_is_left_out_and_said() -> None:
    frame = cells(lives(500, 3, "Weibull")).assign(again=lambda t: t["flag"])
    found = time_ratios(frame, ["flag", "again"])
    assert "Left out: again" in found.message
    assert found.table["time_ratio"].isna().tolist() == [False, True]


@pytest.mark.parametrize("shape", ["Weibull", "log-normal", "log-logistic"])
def test_errors_with_every_member_a_cluster_are_the_robust_errors_of_lifelines(shape: str) -> None:
    rows = lives(300, 1, "Weibull", late=True).reset_index(drop=True)
    frame = pd.DataFrame(
        {"x0": rows["flag"], "left": rows["events"], "entry": rows["entry_day"].astype(float)}
    )
    frame["duration"] = rows["tenure_day"] + 0.5
    fitter, name = FITTERS[shape]
    robust, plain = (
        fitter().fit(frame, "duration", "left", entry_col="entry", robust=r) for r in (True, False)
    )
    scores = row_scores(
        frame,
        np.column_stack([frame["x0"], np.ones(len(frame))]),
        plain.params_.loc[[(name, "x0"), (name, "Intercept")]].to_numpy(),
        plain.params_.drop(name, level=0).iloc[0],
        shape,
    )
    order = [(name, "x0"), (name, "Intercept"), plain.params_.drop(name, level=0).index[0]]
    bread = plain.variance_matrix_.loc[order, order].to_numpy()
    size = len(frame)
    found = clustered_covariance(scores, np.ones(size), pd.Series(range(size)), bread) * (size - 1) / size
    np.testing.assert_allclose(np.sqrt(np.diag(found)), robust.standard_errors_.loc[order], rtol=1e-6)


def test_members_who_are_the_same_five_times_are_not_five_times_the_evidence() -> None:
    once = lives(400, 6, "Weibull").reset_index(drop=True).assign(n=1, group=lambda t: t.index)
    five = once.assign(n=5, events=5 * once["events"])
    one, same = (time_ratios(frame, ["flag"], cluster="group").table.iloc[0] for frame in (once, five))
    for number in ("time_ratio", "low", "high", "p"):
        assert same[number] == pytest.approx(one[number], rel=1e-4)
    plain = time_ratios(five, ["flag"]).table.iloc[0]
    assert np.log(same["high"] / same["low"]) > 1.8 * np.log(plain["high"] / plain["low"])


def test_few_clusters_are_too_little_data() -> None:
    frame = lives(300, 6, "Weibull").assign(group=lambda t: np.arange(len(t)) % 29)
    found = time_ratios(frame, ["flag"], cluster="group")
    assert found.model == "" and "Only 29 clusters" in found.sentence and found.table["low"].isna().all()


def groups(world: int, count: int = 50, size: int = 10) -> pd.DataFrame:
    """Return members of groups that differ in how fast members leave; the flag of the group has no effect."""
    rng = np.random.default_rng([7, world])
    flag, frailty = rng.integers(0, 2, count).astype(float), np.exp(rng.normal(0, 0.5, count))
    group = np.repeat(np.arange(count), size)
    stay = rng.geometric(np.minimum(0.012 * frailty[group], 0.9)) - 1
    frame = pd.DataFrame({"flag": flag[group], "tenure_day": np.minimum(stay, 120), "group": group})
    return frame.assign(events=(stay < 120).astype(int))


@pytest.mark.slow
def test_clustered_ratios_hold_their_level(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the one model that is right; three times as many fits would say the same."""
    monkeypatch.setattr(aft, "FITTERS", {"Weibull": FITTERS["Weibull"]})
    rows = [time_ratios(groups(world), ["flag"], cluster="group").table.iloc[0] for world in range(400)]
    assert 0.03 <= np.mean([row["p"] < 0.05 for row in rows]) <= 0.07
    assert all((row["p"] < 0.05) == (not row["low"] <= 1 <= row["high"]) for row in rows)


@pytest.mark.parametrize("n", [0, 4])
def test_few_exits_are_too_little_data(n: int) -> None:
    found = time_ratios(cells(lives(200, 4, "Weibull")).head(n), ["flag"])
    assert found.model == "" and "too little data" in found.sentence
    assert found.table["time_ratio"].isna().all()
