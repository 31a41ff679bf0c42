"""Published experiments through canonical tables: their figures, and the gates that their faults fire."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import statsmodels.api as sm
from scipy import stats

from helpers.methods.ab_test.effects import contrast, effect
from helpers.methods.ab_test.gates import Gate, gates
from helpers.methods.ab_test.moments import Moments
from helpers.methods.ab_test.plan import Plan
from helpers.methods.ab_test.randomise import Mechanism, randomisation_p
from helpers.methods.ab_test.readings import bounds_of, moments_of, units
from helpers.study import Study
from tests.methods.ab_test.real_data import catlab, hillstrom, soc412, udacity


def last(study: Study, plan: Plan, place: int = 0, **changes: object) -> Moments:
    """Moments of all looks and, but for blocks, all strata of a metric of the plan."""
    metric = plan.metrics[place].model_copy(update=changes)
    return moments_of(study, plan, metric).moments.merge(1)


def failed(study: Study, plan: Plan) -> dict[str, Gate]:
    return {gate.code: gate for gate in gates(study, plan) if not gate.passed}


def test_catlab(reference_data: Path) -> None:
    study, plan = catlab(reference_data)
    assert failed(study, plan).keys() <= {"skew"}
    moments = last(study, plan)
    found = effect(contrast(moments.merge(1).at((slice(None), None)), "mean"), "mean", 0.95, "comments")
    assert found.n == (650, 650)
    assert found.log_lift == pytest.approx((0.18790, 0.0824), abs=5e-5)
    assert 2 * stats.norm.sf(found.log_lift[0] / found.log_lift[1]) == pytest.approx(0.0225, abs=1e-4)
    assert found.difference.value == pytest.approx(0.417, abs=5e-4)
    rows = units(study, plan, plan.primary)
    drawn = Mechanism(rows["arm"].to_numpy() == 1, rows["stratum"].to_numpy())
    assert randomisation_p(rows["outcome"], drawn, seed=1) == pytest.approx(0.0225, abs=0.01)
    delivered = last(study, plan, covariates=("assignments:exposed_at",))
    reached = delivered.merge(1).n * delivered.merge(1).mean[:, 1]
    assert reached.tolist() == pytest.approx([0, 587])


def test_the_published_negative_binomial_is_the_same_point(reference_data: Path) -> None:
    study, plan = catlab(reference_data)
    rows = units(study, plan, plan.primary)
    model = sm.NegativeBinomial(rows["outcome"], sm.add_constant(rows["arm"])).fit(disp=False)
    assert model.params["arm"] == pytest.approx(0.18790, abs=5e-6)
    assert (model.bse["arm"], model.pvalues["arm"]) == pytest.approx((0.05747, 0.001077), abs=1e-5)


def test_catlab_as_it_came_is_refused(reference_data: Path) -> None:
    study, plan = catlab(reference_data, all_units=True)
    found = failed(study, plan)
    assert found["blocks"].value == 4 and found["blocks"].severity == "refuse"
    for block in ("block0001", "block0077", "block0085", "block0097"):
        assert block in found["blocks"].sentence
    assert "split" not in found


def test_soc412(reference_data: Path) -> None:
    study, plan = soc412(reference_data)
    found = contrast(last(study, plan), "mean", blocked=True)
    assert (float(found.difference), float(found.error)) == pytest.approx((0.41519, 0.18006), abs=5e-6)
    assert 2 * stats.norm.sf(float(found.difference / found.error)) == pytest.approx(0.0211, abs=5e-5)
    assert moments_of(study, plan, plan.primary).missing.sum(0).tolist() == [29, 308]
    low, high = (
        contrast(each.moments.merge(1), "mean", blocked=True) for each in bounds_of(study, plan, plan.primary)
    )
    assert float(low.difference) < float(found.difference) < float(high.difference)
    refused, strict = soc412(reference_data, missing="refuse")
    assert failed(refused, strict)["missing"].value == pytest.approx(29 / 308)


def test_hillstrom(reference_data: Path) -> None:
    study, plan = hillstrom(reference_data)
    found = failed(study, plan)
    assert not found
    split = next(gate for gate in gates(study, plan) if gate.code == "split")
    assert split.value == pytest.approx(0.904, abs=5e-4)
    visit = [float(contrast(last(study, plan), "proportion", arm=arm).difference) for arm in (1, 2)]
    assert visit == pytest.approx([0.07659, 0.04523], abs=5e-6)
    spend = last(study, plan, 1)
    plain = [contrast(spend.plain, "mean", arm=arm) for arm in (1, 2)]
    assert [float(each.difference) for each in plain] == pytest.approx([0.7698, 0.4244], abs=5e-5)
    assert [float(each.p) for each in plain] == pytest.approx([1.2e-7, 0.0011], rel=0.05)
    errors = [float(contrast(spend, "mean", arm=arm).error) for arm in (1, 2)]
    assert errors == pytest.approx([float(each.error) for each in plain], rel=0.005)
    conversion = last(study, plan, 2).merge(1).mean[:, 0]
    assert conversion == pytest.approx([0.0057, 0.0125, 0.0088], abs=5e-5)


def test_udacity(reference_data: Path) -> None:
    study, plan = udacity(reference_data)
    assert not failed(study, plan)
    for place, value, low, high in ((0, -0.0206, -0.0291, -0.0120), (1, -0.0049, -0.0116, 0.0019)):
        found = effect(
            contrast(last(study, plan, place), "proportion"), "proportion", 0.95, "share"
        ).difference
        assert (found.value, found.low, found.high) == pytest.approx((value, low, high), abs=6e-5)
    split = next(gate for gate in gates(study, plan) if gate.code == "split")
    assert split.value == pytest.approx(stats.chisquare([345543, 344660]).pvalue)
    assert "control 345,543, treatment 344,660" in split.sentence
    assert np.isfinite(split.value)
