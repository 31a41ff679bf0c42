"""Risk of today: planted communities, intervals that hold, calibration per decile, too little data."""

from __future__ import annotations

import datetime as dt

import ibis
import numpy as np
import pandas as pd
import pytest
from scipy import special, stats

from helpers.data import source
from helpers.methods.outlook.risk import (
    Risk,
    risk,
)
from helpers.simulate import START, Parameters, community
from helpers.stats.forecast.backtest import Backtest, backtest
from helpers.stats.forecast.calibration import decile_error, deciles
from helpers.stats.forecast.landmarks import landmarks, standard_covariates, standard_signals
from helpers.stats.forecast.next_period import expected_number
from helpers.stats.forecast.predictors import (
    BASE_RATE,
    BLEND,
    BLEND_RECALIBRATED,
    LOGIT,
    RECALIBRATED,
    RECENCY,
    RFM_RANK,
)
from helpers.study.activity import activity, population

QUICK = (BASE_RATE, RECENCY, RFM_RANK, LOGIT, RECALIBRATED)
FULL = (*QUICK, BLEND, BLEND_RECALIBRATED)


def forward(
    seed: int, members: int, models: tuple[str, ...], parameters: Parameters | None = None
) -> tuple[Risk, pd.DataFrame]:
    """Predict the last 30 days of a simulated year from the days before, and see who really acted in them."""
    wanted = ("members", "events", "touchpoints")
    tables = community(members, 365, seed, tables=wanted, parameters=parameters).tables
    dataset = source.open(tables)
    end = START + dt.timedelta(days=364)
    as_of = end - dt.timedelta(days=30)
    rows = activity(dataset, as_of=end)
    known = landmarks(
        rows,
        population(dataset, as_of=as_of),
        as_of=as_of,
        dormant=True,
        signals=standard_signals(dataset),
        covariates=standard_covariates(dataset),
    )
    found = risk(known, backtest(known, models=models, draws=50))
    late = rows.filter(rows.day > ibis.date(as_of), rows.kind == "interaction")
    acted = late.select("member_id").distinct().to_pandas()["member_id"]
    return found, found.members.assign(silent=(~found.members["member_id"].isin(acted)).astype(int))


@pytest.fixture(scope="module")
def one() -> tuple[Risk, pd.DataFrame]:
    return forward(11, 1200, QUICK)


def test_everybody_present_has_a_probability(one: tuple[Risk, pd.DataFrame]) -> None:
    found, members = one
    assert members["probability"].between(0, 1).all()
    assert set(members["state"]) == {"active", "dormant"}
    active = members[members["state"] == "active"]
    assert found.expected_silent.value == pytest.approx(active["probability"].sum(), abs=1e-6)
    assert active["decile"].between(1, 10).all()  # a group may be empty where predictions are equal
    assert active.groupby("decile")["probability"].max().is_monotonic_increasing
    assert members.loc[members["state"] == "dormant", "decile"].isna().all()


def test_interval_holds_the_actual_number(one: tuple[Risk, pd.DataFrame]) -> None:
    found, members = one
    active = members["state"] == "active"
    assert found.expected_silent.low <= members.loc[active, "silent"].sum() <= found.expected_silent.high
    assert (
        found.expected_returns.low
        <= (1 - members.loc[~active, "silent"]).sum()
        <= found.expected_returns.high
    )


def test_sentences_state_number_interval_and_denominator(one: tuple[Risk, pd.DataFrame]) -> None:
    found, _ = one
    assert f"{found.expected_silent.n:,} members" in found.sentence
    assert " to " in found.sentence
    assert "dormant" in found.return_sentence
    assert "n = " in found.calibration_sentence
    share = found.silent_share
    assert 0 < share.low < share.value < share.high < 1


def test_tiers_add_up(one: tuple[Risk, pd.DataFrame]) -> None:
    found, members = one
    from dataclasses import replace

    tiered = replace(
        found, members=found.members.assign(tier=np.where(members["value"] > 0, "core", "potential"))
    )
    assert tiered.by_tier["expected_silent"].sum() == pytest.approx(found.expected_silent.value)
    assert found.by_tier.empty


def test_expected_number_without_window_errors_is_poisson_binomial() -> None:
    p = np.random.default_rng(0).beta(2, 5, 500)
    found = expected_number(p, np.zeros(4000), 0.95, 0)
    half = stats.norm.ppf(0.975) * np.sqrt(np.sum(p * (1 - p)))
    assert (found.high - found.low) / 2 == pytest.approx(half, rel=0.06)


def test_expected_number_covers_when_windows_have_a_level() -> None:
    rng, hits = np.random.default_rng(1), 0
    p = rng.beta(2, 5, 800)
    found = expected_number(p, rng.normal(0, 0.3, 4000), 0.95, 0)
    for _ in range(500):
        shifted = special.expit(special.logit(p) + rng.normal(0, 0.3))
        hits += found.low <= (rng.random(800) < shifted).sum() <= found.high
    assert 0.92 <= hits / 500 <= 0.98


def test_too_little_data_is_no_error() -> None:
    rows = pd.DataFrame(
        {"member_id": ["a", "b"], "day": START, "kind": "interaction", "action": "like", "value": 0.0}
    )
    people = pd.DataFrame({"member_id": ["a", "b"], "joined_day": START, "left_day": None})
    found = risk(landmarks(rows, people, as_of=START + dt.timedelta(days=90), dormant=True))
    assert not found.known
    assert "too little data" in found.sentence
    assert "too little data" in found.return_sentence
    assert "too little data" in found.calibration_sentence
    assert not found.silent_share.known


LOOSE = (
    (0.70, 0.24, 0.05, 0.01),
    (0.42, 0.40, 0.15, 0.03),
    (0.18, 0.32, 0.40, 0.10),
    (0.06, 0.12, 0.30, 0.52),
)
STICKY = (
    (0.88, 0.10, 0.015, 0.005),
    (0.22, 0.65, 0.11, 0.02),
    (0.05, 0.18, 0.67, 0.10),
    (0.01, 0.04, 0.20, 0.75),
)
COMMUNITIES: tuple[tuple[int, Parameters], ...] = (
    (3000, Parameters()),
    (2000, Parameters(transitions=LOOSE)),
    (3500, Parameters(transitions=STICKY)),
    (2500, Parameters(potential_decay=0.6, core_pareto=1.5)),
    (2500, Parameters(potential_decay=0.9, active_shape=0.6)),
    (3500, Parameters(existing_share=0.1, existing_tenure_days=200)),
    (2000, Parameters(existing_share=0.7, first_tier=(0.15, 0.35, 0.35, 0.15))),
    (3000, Parameters(exit_daily_hazard=(0.015, 0.008, 0.004, 0.002), pushes_per_month=(2.0, 9.0))),
    (3000, Parameters(return_log_odds={"early_reply": 1.2, "source=抖音": -0.8, "source=邀请": 0.9})),
    (4000, Parameters(transitions=LOOSE, first_tier=(0.50, 0.35, 0.12, 0.03), events_per_session=1.5)),
)
"""They differ in size, in how tiers move, in how much is done, and in who comes, goes and returns."""


@pytest.fixture(scope="module")
def many() -> list[tuple[Risk, pd.DataFrame]]:
    """Ten communities, none of which took part in any choice of constants."""
    return [forward(600 + at, n, FULL, each) for at, (n, each) in enumerate(COMMUNITIES)]


def judged(contests: list[Backtest]) -> pd.DataFrame:
    """Pool what was predicted before closed windows: member (of its community), probability, came (0 or 1)."""
    parts = [
        pd.DataFrame(
            {
                "member": f"{at}-" + held.predictions["member_id"].astype(str),
                "probability": held.predictions[str(held.winner)],
                "came": held.predictions[held.outcome],
            }
        )
        for at, held in enumerate(contests)
    ]
    return pd.concat(parts, ignore_index=True)


@pytest.mark.slow
@pytest.mark.parametrize("outcome", ["silent", "returned"])
def test_judged_probabilities_are_calibrated_per_decile(
    many: list[tuple[Risk, pd.DataFrame]], outcome: str
) -> None:
    """Pooled over ten different communities, no tenth of risk or of return is off by more than 3 points.

    Some 50,000 predictions made before their windows, each by the model that won in its community: chance moves
    a tenth by 0.7 points, so the bar is on the gap itself. Log odds too large by 30 % would not pass.
    """
    contests = [found.contest if outcome == "silent" else found.return_contest for found, _ in many]
    rows = judged(contests)
    table = deciles(rows["came"], rows["probability"], rows["member"])
    print([held.winner for held in contests], table.round(4).to_string(), sep="\n")
    assert table["difference"].abs().max() <= 0.03
    assert decile_error(rows["came"], rows["probability"]) <= 0.02
    overconfident = special.expit(1.3 * special.logit(rows["probability"]))
    assert deciles(rows["came"], overconfident)["difference"].abs().max() > 0.03


@pytest.mark.slow
@pytest.mark.parametrize("state", ["active", "dormant"])
def test_probabilities_of_today_are_calibrated_per_decile(
    many: list[tuple[Risk, pd.DataFrame]], state: str
) -> None:
    """Today is one window in each community: its interval (95 % for all ten tenths) must reach into the 3 points.

    The expected number of each community must hold what came, but for at most one of the ten.
    """
    parts = [part[part["state"] == state].assign(at=at) for at, (_, part) in enumerate(many)]
    today = pd.concat(parts, ignore_index=True).dropna(subset=["probability"])
    came = today["silent"] if state == "active" else 1 - today["silent"]
    table = deciles(came, today["probability"], confidence=1 - 0.05 / 10)
    print(table.round(4).to_string())
    assert (table["low"] <= table["predicted"] + 0.03).all()
    assert (table["high"] >= table["predicted"] - 0.03).all()
    numbers = came.groupby(today["at"]).sum()
    expected = [found.expected_silent if state == "active" else found.expected_returns for found, _ in many]
    inside = [each.low <= number <= each.high for each, number in zip(expected, numbers, strict=True)]
    print(inside)
    assert sum(inside) >= 9
