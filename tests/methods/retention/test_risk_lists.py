"""Nurture and win-back lists: who is on them, hold-outs, consent, privacy, what they say."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
import pytest

from helpers.errors import BadData
from helpers.methods.intervals import Estimate, unknown
from helpers.methods.retention.backtest import Backtest
from helpers.methods.retention.risk import Risk
from helpers.methods.retention.risk_lists import RiskLists, check_day, opportunities, risk_lists

AS_OF = dt.date(2026, 6, 30)


def risk_of(members: int = 1600, probability: float | None = None) -> Risk:
    """A community of which the first half is active; risk and value are drawn independently."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "member_id": [f"m{i:04d}" for i in range(members)],
            "state": np.where(np.arange(members) < members // 2, "active", "dormant"),
            "days_since_last": 3.0,
            "value": np.where(rng.random(members) < 0.7, rng.gamma(2, 20, members), 0.0).round(2),
            "probability": rng.random(members).round(4) if probability is None else probability,
        }
    )
    empty = pd.DataFrame()
    contest = Backtest(empty, empty, empty, empty, empty, None, None, 0, 30, 0.95)
    silent = Estimate(50.0, 40.0, 60.0, members // 2, "members", "", 0.95)
    return Risk(frame, silent, unknown(members // 2, "members", 0.95), contest, empty, {}, AS_OF, 30)


@pytest.fixture(scope="module")
def found() -> Risk:
    return risk_of()


@pytest.fixture(scope="module")
def lists(found: Risk) -> RiskLists:
    return risk_lists(found, salt="s")


def test_nurture_takes_high_risk_and_high_value_among_the_active(found: Risk, lists: RiskLists) -> None:
    frame = found.members
    active = frame[frame["state"] == "active"]
    paying = active[active["value"] > 0]
    risky = active["probability"].quantile(0.7)
    worthy = paying["value"].quantile(0.7)
    chosen = paying[(paying["probability"] >= risky) & (paying["value"] >= worthy)]
    assert lists.nurture.size == len(chosen) > 10
    expected = (chosen["probability"] * chosen["value"]).sort_values(ascending=False).round(6)
    assert lists.nurture.frame["expected_value"].tolist() == pytest.approx(expected.tolist())


def test_win_back_takes_the_dormant_with_value(found: Risk, lists: RiskLists) -> None:
    dormant = found.members[(found.members["state"] == "dormant") & (found.members["value"] > 0)]
    assert lists.win_back.size == len(dormant)
    total = float((dormant["probability"] * dormant["value"]).sum())
    assert lists.win_back.total_value.value == pytest.approx(total, rel=1e-6)


def test_lists_hold_out_hide_ids_and_say_when_to_check(found: Risk, lists: RiskLists) -> None:
    for each in lists.lists:
        assert each.held_out > 0
        assert each.frame["member_id"].str.startswith("p_").all()
        assert each.check_on == AS_OF + dt.timedelta(days=30) == check_day(lists)
    assert set(lists.nurture.frame["member_id"]).isdisjoint(lists.win_back.frame["member_id"])


def test_caution_names_uplift_and_the_notebook(lists: RiskLists) -> None:
    assert "Risk is not uplift" in lists.sentence
    assert "notebook 03" in lists.sentence


def test_consent_limit_and_values_are_kept(found: Risk) -> None:
    consent = found.members[["member_id"]].assign(consent=[i % 2 == 0 for i in range(1600)])
    agreed = risk_lists(found, consent=consent)
    assert agreed.win_back.without_consent > 0
    assert risk_lists(found, most=15).win_back.size == 15
    values = found.members[["member_id"]].assign(value=1.0)
    assert risk_lists(found, values=values).value_limit == 1.0
    with pytest.raises(BadData, match="two rows"):
        risk_lists(found, values=pd.concat([values, values]))
    with pytest.raises(BadData, match="column value missing"):
        risk_lists(found, values=values[["member_id"]])


def test_small_lists_are_withheld_and_offer_no_opportunity(lists: RiskLists) -> None:
    small = risk_lists(risk_of(20))
    assert small.nurture.withheld
    assert small.nurture.frame.empty
    assert [o.key for o in opportunities(lists, days=30)] == ["retention.nurture", "retention.win_back"]
    assert "retention.nurture" not in [o.key for o in opportunities(small, days=30)]
    assert opportunities(lists, days=30)[0].size == lists.nurture.contacted


def test_no_probability_is_too_little_data() -> None:
    nothing = risk_lists(risk_of(probability=float("nan")))
    assert "too little data" in nothing.sentence
    assert not opportunities(nothing, days=30)
