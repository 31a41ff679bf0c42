"""What a reader gets: the planted truth of the sample, the decision with money, and hard cases."""

from __future__ import annotations

import datetime as dt
import importlib
import json
from dataclasses import replace
from functools import cache

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from helpers.data import source
from helpers.errors import BadParameters
from helpers.figures import Chart
from helpers.methods import ab_test
from helpers.methods.ab_test.plan import Plan, plan_of, read_plan
from helpers.methods.ab_test.results import Design
from helpers.methods.ab_test.segments import shrunk
from helpers.methods.ab_test.verdict import Decision
from helpers.study import Study
from tests.conftest import ROOT
from tests.methods.ab_test.real_data import frozen, study_of

SAMPLE = ROOT / "data" / "sample"
TRUTH = json.loads((SAMPLE / "truth.json").read_text("utf-8"))


@cache
def sample(as_of: str = "2026-06-30") -> Study:
    day = dt.date.fromisoformat(as_of)
    return Study(dataset=source.open(str(SAMPLE)), as_of=day, data=str(SAMPLE), about_members=False)


def decided(study: Study, plan: Plan) -> Decision:
    planned = Design(study, plan, False)
    trust = ab_test.check(study, planned)
    return ab_test.verdict(study, ab_test.read(study, planned, trust), trust)


@cache
def of_sample(name: str) -> Decision:
    return decided(sample(), read_plan(sample(), name))


@pytest.mark.parametrize(
    ("name", "call"),
    [("exp_first_order_coupon", "SHIP"), ("exp_cover_style", "STOP"), ("exp_push_daily", "STOP")],
)
def test_planted_effects_lie_in_their_intervals(name: str, call: str) -> None:
    found = of_sample(name)
    truth = next(each for each in TRUTH["experiments"] if each["exp_id"] == name)
    effect = found.chosen.now.difference
    assert effect.low <= truth["orders_effect"] <= effect.high
    conversion = next(one for one in found.reading.outcomes if one.metric.name == "members who order").now
    assert conversion.difference.low <= truth["conversion_effect"] <= conversion.difference.high
    assert found.sentence.startswith(call)
    (proposed,) = found.proposals()
    assert proposed.rule == f"ab_test.{call.lower()}"
    assert all("nan" not in each.sentence for each in found.found())


def test_the_invitation_is_found_at_its_looks_and_the_ramp_does_not_fake_it() -> None:
    found = of_sample("exp_live_invite")
    control, treatment = TRUTH["invitation"]["came"]["all"]
    one = found.chosen
    assert one.now.difference.low <= treatment - control <= one.now.difference.high
    assert len(one.by_look) == 6 and one.crossed == 2
    stops = one.by_look["stop_high"].dropna()
    assert (stops.diff().dropna() < 0).all()
    np.testing.assert_array_equal(one.by_look["value"] > one.by_look["stop_high"], one.by_look["low"] > 0)
    cells = one.cells.moments.merge(2).merge(1)
    assert cells.mean[1, 0] - cells.mean[0, 0] > one.now.difference.value + 0.005, "pooled over the ramp"


def test_who_it_differs_for_is_told_only_where_it_differs() -> None:
    invite, coupon = of_sample("exp_live_invite"), of_sample("exp_first_order_coupon")
    found = ab_test.segments(sample(), invite.reading)
    (told,) = found.found()
    home = TRUTH["invitation"]["came"]["at_home"]
    assert "douyin" in told.metric and told.low <= home[1] - home[0] <= told.high
    nothing = ab_test.segments(sample(), coupon.reading)
    assert list(nothing.found()) == [] and "does not clearly differ" in nothing.sentence


def test_levels_shrink_towards_their_mean_as_far_as_they_are_uncertain() -> None:
    alike = shrunk(pd.DataFrame({"value": [1.0, 1.2], "error": [1.0, 1.0]}))
    assert alike["shrunk"].tolist() == pytest.approx([1.1, 1.1]) and alike["p"].iloc[0] > 0.8
    # Q = (10 - 0)^2 / 2 = 50 on one degree; between = (50 - 1) / (2 - 1) = 49; 49 / 50 of a departure is kept.
    apart = shrunk(pd.DataFrame({"value": [0.0, 10.0], "error": [1.0, 1.0]}))
    assert apart["shrunk"].tolist() == pytest.approx([0.1, 9.9])
    assert apart["shrunk_error"].tolist() == pytest.approx([np.sqrt(0.98 + 0.02**2 * 25)] * 2)


def test_segments_without_interaction_are_seldom_called_different() -> None:
    rng = np.random.default_rng(3)
    errors = np.array([0.5, 1.0, 2.0])
    called = [
        shrunk(pd.DataFrame({"value": rng.normal(0.3, errors), "error": errors}))["p"].iloc[0] < 0.05
        for _ in range(500)
    ]
    assert np.mean(called) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 500)


def test_money_is_difference_times_value_times_units() -> None:
    found = of_sample("exp_first_order_coupon")
    plan, size = found.plan, found.chosen.final
    assert plan.unit_value is not None and plan.units_a_month is not None
    assert found.worth.value == pytest.approx(size.value * plan.unit_value * plan.units_a_month)
    assert "not even its low end" in found.money
    push = of_sample("exp_push_daily")
    assert "at worst it loses" in push.money and push.worth.low < 0 < push.worth.high


def test_the_evidence_is_a_row_of_the_contract() -> None:
    rows = of_sample("exp_first_order_coupon").evidence
    table = source.open({"evidence": rows})["evidence"].execute()
    assert table["estimand"].tolist() == ["lift"] and table["kind"].tolist() == ["experiment"]
    assert table["se"].iloc[0] == pytest.approx(of_sample("exp_first_order_coupon").chosen.now.error)


def test_a_test_of_a_line_says_what_the_line_brought_in_all_when_it_has_ended() -> None:
    """The difference of a unit times the units of the variant, in words of the contract, after the last look."""
    found = of_sample("exp_first_order_coupon")
    plan = found.plan.model_copy(update={"lines": ("search", "xhs_note")})
    rows = replace(found, plan=plan).evidence
    units = found.chosen.now.n[1]
    assert rows["line"].tolist() == [plan.experiment, "search", "xhs_note"]
    assert rows["evidence_id"].is_unique and rows["unit"].tolist() == ["orders"] * 3
    assert rows["value"].iloc[1:].tolist() == [units * found.chosen.final.value] * 2
    assert rows["se"].iloc[1:].tolist() == [units * found.chosen.now.error] * 2
    goes_on = of_sample("exp_live_invite")
    assert len(replace(goes_on, plan=goes_on.plan.model_copy(update={"lines": ("search",)})).evidence) == 1
    source.open({"evidence": rows})  # holds to the contract


@pytest.mark.parametrize(
    "fields", [{"primary": {"name": "x", "kind": "proportion", "source": "orders"}}, {"design": "clustered"}]
)
def test_only_what_adds_up_tells_what_a_line_brought(fields: dict[str, object]) -> None:
    plan = of_sample("exp_first_order_coupon").plan.model_dump(mode="json") | {"lines": ["search"]}
    assert plan_of(plan).lines == ("search",)
    with pytest.raises(BadParameters, match="lines: only the mean of single units in one variant"):
        plan_of(plan | fields)


def test_the_method_does_not_cry_wolf_on_the_rows_of_the_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    found = of_sample("exp_live_invite")
    proven = ab_test.proof(sample(), found.reading, 1_000)
    assert proven.proof is not None
    assert proven.proof.false_alarms.low <= proven.promised < 0.05
    assert proven.proof.naive.low > 0.08
    assert isinstance(proven.figure(), Chart)
    assert proven.anew is not None and 0 < proven.anew < 1 and not proven.sample
    monkeypatch.setattr(importlib.import_module("helpers.methods.ab_test.proof"), "MOST_UNITS", 300)
    some = ab_test.proof(sample(), found.reading, 500)
    assert (
        200 < some.sample < 400 and some.anew is None and f"a random {some.sample} of these" in some.sentence
    )
    words = f"random {some.sample} of the members"
    assert words in some.figure().note and words in next(some.tables()).caption
    assert some.proof is not None and some.proof.false_alarms.low <= some.promised
    rows = [len(next(each.tables()).frame) for each in (proven, some)]
    assert rows[0] == rows[1] + 1  # without the power, which is that of so many units


def test_what_it_takes_is_told_beside_the_rule_of_thumb() -> None:
    planned = Design(sample(), read_plan(sample(), "exp_live_invite"), False)
    size = ab_test.sample(sample(), planned, of_sample("exp_live_invite").trust)
    assert size.needed > 10 * size.now
    assert size.finds(size.needed) == pytest.approx(0.1, abs=1e-3)
    said = " ".join(part for part in size.told() if isinstance(part, str))
    assert "rule of thumb of 1,000 members an arm finds a gain of 2" in said
    (told,) = size.found()
    assert told.low < told.value < told.high and "S057" in told.provenance.systems


def test_traffic_is_counted_in_the_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    study = sample()
    days = study.member_days.select("member_id", "day").distinct().execute()
    past = pd.to_datetime(days["day"]).between(
        *pd.to_datetime([study.as_of - dt.timedelta(days=55), study.as_of])
    )
    first = pd.to_datetime(days[past].groupby("member_id")["day"].min())
    module = importlib.import_module("helpers.methods.ab_test.sample")
    monkeypatch.setattr("helpers.data.guard.MOST_PULLED", module.PAST_DAYS)
    found = module._traffic(study)
    assert found.iloc[-1] == len(first) > 1_000 and found.index.tolist() == list(range(1, 57))
    assert found[7] == (first <= pd.Timestamp(study.as_of) - pd.Timedelta(days=49)).sum()


def test_every_system_of_the_notebook_is_carried() -> None:
    found, size = of_sample("exp_live_invite"), Design(sample(), of_sample("exp_live_invite").plan, False)
    results = [
        *(found, found.trust, ab_test.guardrails(sample(), found.reading)),
        *(ab_test.segments(sample(), found.reading), ab_test.sample(sample(), size, found.trust)),
    ]
    carried = {system for result in results for one in result.found() for system in one.provenance.systems}
    assert {"S012", "S026", "S030", "S055", "S056", "S057", "S058", "S060", "S110", "S152"} <= carried


def units(n: int, rates: dict[str, float], seed: int = 1) -> dict[str, pd.DataFrame]:
    """Units assigned on one day, and whether each did something, at these rates by arm."""
    rng, rows = np.random.default_rng(seed), []
    for arm, rate in rates.items():
        rows += [(f"{arm[:9]}{k}", arm, float(rng.random() < rate)) for k in range(n)]
    frame = pd.DataFrame(rows, columns=["unit_id", "arm", "value"])
    assigned = frame[["unit_id", "arm"]].assign(assigned_at=pd.Timestamp("2026-01-02", tz="UTC"))
    return {"assignments": assigned, "unit_outcomes": frame[["unit_id", "value"]].assign(metric="did")}


DID = {"name": "did", "kind": "proportion", "source": "unit_outcomes:did"}


def made(n: int, rates: dict[str, float], **fields: object) -> Decision:
    plan = frozen("2026-01-02", "2026-01-31", arms=list(rates), **({"primary": DID} | fields))
    return decided(study_of(plan, **units(n, rates)), plan)


def test_of_three_arms_the_best_is_shipped_and_its_name_may_hold_anything() -> None:
    name = "<b>组</b> & " + "x" * 290
    found = made(2_000, {"a": 0.2, "b": 0.26, name: 0.35})
    assert found.plan.arms[found.chosen.arm] == name and found.rule == "ship"
    assert found.chosen.confidence == pytest.approx(0.975), "each of two variants at half of alpha"
    page = found._repr_html_()
    assert "&lt;b&gt;组" in page and "<b>" not in page


def test_down_is_good_where_the_plan_says_so() -> None:
    found = made(
        2_000, {"a": 0.3, "b": 0.2}, primary={**DID, "direction": "down"}, unit_value=-1.0, units_a_month=100
    )
    assert found.rule == "ship" and found.worth.value > 0
    (effect, worth) = found.found()
    assert effect.value is not None and effect.value < 0 and effect.verdict == "better" == worth.verdict
    assert found.chosen.gain.low > 0


def test_a_harmful_variant_is_stopped_and_precise_nothing_too() -> None:
    assert made(2_000, {"a": 0.3, "b": 0.2}).rule == "harm"
    assert made(20_000, {"a": 0.3, "b": 0.3}, smallest_effect=0.2).rule == "not worthwhile"


def test_hybrid_wins_only_at_the_end_and_harm_stops_before() -> None:
    looks = ["2026-01-20", "2026-01-31"]
    about = {"looks": looks, "spending": "obrien-fleming", "hybrid": True, "outcome_days": 10}
    for rates, rule in (({"a": 0.2, "b": 0.3}, "running"), ({"a": 0.3, "b": 0.2}, "harm")):
        plan = frozen("2026-01-02", "2026-01-31", arms=list(rates), primary=DID, **about)
        study = study_of(plan, "2026-01-20", **units(2_000, rates))
        assert decided(study, plan).rule == rule


def test_clusters_are_read_sized_and_proven_as_clusters() -> None:
    rng, rates = np.random.default_rng(8), {"a": 0.3, "b": 0.3}
    tables = units(600, rates)
    rows = tables["assignments"].assign(
        cluster=lambda r: r["arm"] + (r.groupby("arm").cumcount() // 50).astype(str)
    )
    of_cluster = rows["cluster"].map({name: rng.uniform(0.1, 0.5) for name in rows["cluster"].unique()})
    did = tables["unit_outcomes"].assign(value=(rng.random(len(rows)) < of_cluster).astype(float))
    plan = frozen("2026-01-02", "2026-01-31", arms=["a", "b"], primary=DID, design="clustered")
    study = study_of(plan, assignments=rows, unit_outcomes=did)
    found = decided(study, plan)
    rate = did["value"].groupby(rows["cluster"]).mean()
    known = stats.ttest_ind(
        rate[rate.index.str.startswith("b")], rate[rate.index.str.startswith("a")], equal_var=False
    )
    assert found.chosen.now.difference.value / found.chosen.now.error == pytest.approx(known.statistic)
    size, proven = (
        ab_test.sample(study, Design(study, plan, False), found.trust),
        ab_test.proof(study, found.reading, 400),
    )
    alone = did["value"].groupby(rows["arm"]).var().sum() / 600
    assert size.base is not None and size.base.inflation == pytest.approx(
        found.chosen.now.error**2 / alone, rel=1e-3
    )
    assert size.base.inflation > 1.5
    assert proven.anew is not None and proven.anew == pytest.approx(known.pvalue, abs=0.05)
    assert proven.proof is not None and proven.proof.false_alarms.value < 0.1


@pytest.mark.parametrize(("control", "variant"), [(-10.0, -5.0), (0.0, 1.0)])
def test_against_a_control_of_nothing_or_less_the_difference_is_told(control: float, variant: float) -> None:
    rng = np.random.default_rng(2)
    rows = units(500, {"a": 0.5, "b": 0.5})["assignments"]
    values = np.where(rows["arm"] == "a", control, variant) + rng.normal(0, 3, len(rows))
    told = rows[["unit_id"]].assign(metric="profit", value=values)
    plan = frozen("2026-01-02", "2026-01-31", arms=["a", "b"], primary={"name": "profit", "source": PROFIT})
    found = decided(study_of(plan, assignments=rows, unit_outcomes=told), plan)
    (effect,) = found.found()
    assert found.rule == "ship" and effect.unit == "index" and "%" not in effect.sentence
    assert effect.value == pytest.approx(variant - control, abs=0.6)


PROFIT = "unit_outcomes:profit"


def test_of_few_members_nothing_is_told() -> None:
    found = made(8, {"a": 0.5, "b": 0.5})
    assert [*found.told()] == ["About fewer than 10 members, so it is not shown."]
    assert [*found.proposals()] == [] and all(one.value is None for one in found.trust.found())


def test_bounds_span_what_is_missing() -> None:
    tables = units(400, {"a": 0.3, "b": 0.4})
    rows = tables["unit_outcomes"]
    tables["unit_outcomes"] = rows.assign(value=rows["value"].where(np.arange(len(rows)) % 10 != 0))
    plans = [
        frozen("2026-01-02", "2026-01-31", arms=["a", "b"], primary=DID, missing=way)
        for way in ("drop", "bounds")
    ]
    dropped, spanned = (decided(study_of(plan, **tables), plan).chosen.now.difference for plan in plans)
    assert spanned.value == dropped.value
    assert spanned.low < dropped.low - 0.04 and spanned.high > dropped.high + 0.04


def test_two_things_at_once_are_told() -> None:
    for factors, said in (([], "does not say"), (["x"], "in one thing: x."), (["x", "y"], "several things")):
        plan = plan_of({**of_sample("exp_cover_style").plan.model_dump(), "factors": factors})
        assert any(said in part for part in Design(sample(), plan, False).told() if isinstance(part, str))
