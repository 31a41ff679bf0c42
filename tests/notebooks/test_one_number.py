"""One word, one number: what two notebooks call by the same name is the same number."""

from __future__ import annotations

from pathlib import Path

import pytest

from helpers.methods import outlook, retention, rfm
from helpers.study import Study
from tests.golden import hard


@pytest.fixture(params=["sample", "hard"])
def study(request: pytest.FixtureRequest, sample: Path) -> Study:
    tables = hard.community()
    if request.param == "sample":
        from helpers.data import source

        return Study(dataset=source.open(str(sample)), as_of=hard.END.date(), count="interaction")
    return Study.of(tables, hard.END.date())


def test_silent_active_and_dormant_members(study: Study) -> None:
    here = retention.presence(study)
    scheme = rfm.TierScheme.load("monthly_interactions")
    silent = rfm.current_tiers(study, rfm.tier_history(study, scheme, period="month"), 30).silent
    assert silent.n == here.present
    assert silent.value * here.present == pytest.approx(here.members("silent"))
    still, share = retention.returns(study).silent_now(30)
    assert still == here.members("dormant") and share.n == here.present - here.members("never active")
    assert here.members("silent") == still + here.members("never active")
    assert here.members("active in 30 days") == here.present - here.members("silent")


def test_the_forecast_is_made_for_the_active_and_the_silent(study: Study) -> None:
    here, ahead = retention.presence(study), outlook.risk(study, horizon_days=30)
    assert ahead.expected_silent.n == here.members("active in 30 days")
    assert ahead.expected_returns.n == here.members("silent")
