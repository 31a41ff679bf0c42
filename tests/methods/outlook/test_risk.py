"""Risk of today: planted communities, intervals that hold, calibration per decile, too little data."""

from __future__ import annotations

import dataclasses
import datetime as dt

import ibis
import numpy as np
import pandas as pd
import pytest
from scipy import special

from helpers.data import source
from helpers.figures import Chart
from helpers.methods.outlook.contest import contest_sentence, sample_sentence
from helpers.methods.outlook.risk import Risk, risk, tiers
from helpers.simulate import START, Parameters, community
from helpers.stats.forecast.calibration import by_group, decile_error, tenths
from helpers.stats.forecast.judging import Contest
from helpers.stats.forecast.models import LOGIT, RECENCY
from helpers.study import Study
from helpers.tables import Table

TIERS = ["no action", "1–10 actions", "11–50 actions", "51 and more actions"]


def forward(seed: int, members: int, parameters: Parameters | None = None) -> tuple[Risk, pd.DataFrame]:
    """Predict the last 30 days of a simulated year from the days before, and see who really acted in them."""
    wanted = ("members", "events", "touchpoints")
    dataset = source.open(community(members, 365, seed, tables=wanted, parameters=parameters).tables)
    end = START + dt.timedelta(days=364)
    whole, study = Study.of(dataset, end), Study.of(dataset, end - dt.timedelta(days=30))
    found = risk(study)
    late = whole.counted.filter(whole.counted.day > ibis.date(study.as_of))
    acted = late.select("member_id").distinct().to_pandas()["member_id"]
    return found, found.members.assign(silent=(~found.members["member_id"].isin(acted)).astype(int))


@pytest.fixture(scope="module")
def one() -> tuple[Risk, pd.DataFrame]:
    return forward(11, 1200)


def test_everybody_present_has_a_probability(one: tuple[Risk, pd.DataFrame]) -> None:
    found, members = one
    assert members["probability"].between(0, 1).all()
    assert set(members["state"]) == {"active", "dormant"}
    active = members[members["state"] == "active"]
    assert found.expected_silent.value == pytest.approx(active["probability"].sum(), abs=1e-6)


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
    assert "silent members" in found.return_sentence
    assert f"To predict who falls silent, {found.contest.winner} is used" in contest_sentence(found.contest)
    assert "To predict who comes back" in contest_sentence(found.return_contest)
    fewer = dataclasses.replace(found.rows, sampled=150)
    assert "Counted on a random sample of 150 of" in sample_sentence(fewer)
    for share in found.findings():
        assert 0 < share.low < share.value < share.high < 1 and share.headline


def test_what_is_shown_comes_in_order_and_tells_nothing_of_too_few(one: tuple[Risk, pd.DataFrame]) -> None:
    found, _ = one
    first, chart, *_ = found.told()
    assert first == found.sentence and isinstance(chart, Chart) and chart.data["n"].sum() == found.smallest
    names = [part.name for part in found.trust.told() if isinstance(part, Table | Chart)]
    assert names == ["calibration", "forecasts", "tier_lift"]
    hidden = dataclasses.replace(found, study=dataclasses.replace(found.study, k_min=found.smallest + 1))
    assert len(list(hidden.told())) == 1 and all(finding.value is None for finding in hidden.found())


def test_why_a_model_is_used_is_said(one: tuple[Risk, pd.DataFrame]) -> None:
    held = one[0].contest
    gaps = pd.DataFrame(
        [(RECENCY, 0.001, -0.002, 0.004, False)],
        columns=["model", "brier_difference", "low", "high", "clearly_worse"],
    )
    best = dataclasses.replace(held, winner=LOGIT, differences=gaps)
    text = f"its Brier score is 0.0010 (−0.0020 to 0.0040) below that of {RECENCY}"
    assert f"none is clearly better, and {text}" in contest_sentence(best)
    clear = dataclasses.replace(best, differences=gaps.assign(clearly_worse=True))
    assert "is clearly the lowest, 0.0010" in contest_sentence(clear)
    days = held.predictions["landmark"].unique()[:3]
    few = dataclasses.replace(held, predictions=held.predictions[held.predictions["landmark"].isin(days)])
    assert "Provisional: of the 6 windows of 30 days" in contest_sentence(few)


def test_the_gain_is_told_with_its_windows(one: tuple[Risk, pd.DataFrame]) -> None:
    (finding,) = one[0].trust.findings()
    assert finding.verdict == "stated" and f"over {one[0].contest.windows} windows" in finding.sentence
    assert f"errs {100 * finding.value:.1f} % less ({100 * finding.low:.1f} % to " in finding.sentence
    assert "chosen on them" in finding.provenance.assumption


def test_tiers_are_actions_before_the_landmark(one: tuple[Risk, pd.DataFrame]) -> None:
    rows = one[0].rows
    tier = tiers(rows.table["actions_30"])
    bounds = np.searchsorted([1, 11, 51], rows.table["actions_30"], side="right")
    assert tier.tolist() == [TIERS[bound] for bound in bounds]
    lift = one[0].trust.tier_lift
    assert lift["tier"].isin(TIERS).all() and lift["n"].sum() == len(one[0].contest.predictions)
    assert (lift["members"] <= lift["n"]).all()


def test_too_little_data_is_no_error() -> None:
    rows = pd.DataFrame(
        {"member_id": ["a", "b"], "day": START, "kind": "interaction", "action": "like", "value": 0.0}
    )
    people = pd.DataFrame({"member_id": ["a", "b"], "joined_day": START, "left_day": None})
    tables = {"activity": rows, "population": people}
    found = risk(Study.of(tables, START + dt.timedelta(days=90)))
    told = (found.sentence, found.return_sentence, found.trust.sentence)
    assert all("too little data" in sentence for sentence in told)
    assert found.trust.tier_lift.empty and found.by_tier.empty
    findings = [*found.findings(), *found.trust.findings()]
    assert {finding.verdict for finding in findings} == {"too little data"}


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
    return [forward(600 + at, n, each) for at, (n, each) in enumerate(COMMUNITIES)]


def judged(contests: list[Contest]) -> pd.DataFrame:
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
    came, p = rows["came"], rows["probability"]
    table = by_group(tenths(p), came, p, rows["member"])
    print([held.winner for held in contests], table.round(4).to_string(), sep="\n")
    assert table["difference"].abs().max() <= 0.03
    assert decile_error(came, p) <= 0.02
    overconfident = special.expit(1.3 * special.logit(p))
    assert by_group(tenths(p), came, overconfident, rows["member"])["difference"].abs().max() > 0.03


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
    p, member = today["probability"], today["at"].astype(str) + today["member_id"]
    table = by_group(tenths(p), came, p, member, 1 - 0.05 / 10)
    print(table.round(4).to_string())
    assert (table["low"] <= table["predicted"] + 0.03).all()
    assert (table["high"] >= table["predicted"] - 0.03).all()
    numbers = came.groupby(today["at"]).sum()
    expected = [found.expected_silent if state == "active" else found.expected_returns for found, _ in many]
    inside = [each.low <= number <= each.high for each, number in zip(expected, numbers, strict=True)]
    print(inside)
    assert sum(inside) >= 9
