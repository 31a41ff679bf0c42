"""What a reader gets: decisions, paths, and sentences that say what was found and what is not known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from helpers.figures import NoChart
from helpers.methods import attribution
from helpers.methods.attribution.decisions import MONTHS, STEPS, trial
from helpers.methods.attribution.disagreement import decide
from helpers.methods.attribution.journeys import Histories
from helpers.methods.attribution.paths import _rate_ratio, common_paths
from helpers.playbook.propose import propose
from helpers.study import Study
from tests.methods.attribution.planted import planted, studied


def test_only_a_lift_test_decides_about_money() -> None:
    rows = [
        # channel, tested, roas_low, roas_high, last, high, stake
        ("pays", True, 4.0, 9.0, 50, 100, 10.0),
        ("does not", True, -1.0, 3.0, 50, 100, 10.0),
        ("flattered", True, 1.0, 9.0, 500, 100, 10.0),
        ("open", True, 1.0, 9.0, 50, 100, 10.0),
        ("untested", False, 5.0, 9.0, 50, 100, 90.0),
        ("small", False, 0.1, 0.2, 50, 100, 10.0),
        ("free", True, np.nan, np.nan, 50, 100, 10.0),
    ]
    table = pd.DataFrame(
        rows, columns=["channel", "tested", "roas_low", "roas_high", "last", "high", "stake"]
    )
    got = dict(zip(table["channel"], decide(table, 1 / 0.3), strict=True))
    assert got == {
        "pays": "grow", "does not": "shrink", "flattered": "last_click", "open": "hold", "untested": "test_next",
        "small": "wait", "free": "hold",
    }  # fmt: skip


@pytest.mark.parametrize(("added", "total"), [(300.0, 500.0), (42.0, 1054.0), (9.0, 1054.0)])
def test_a_trial_is_the_smallest_that_shows_what_it_adds(added: float, total: float) -> None:
    """By draws of the orders of both halves, until the last day of the trial and a month before."""
    step, months = trial(added, total, 0.95)
    if added == 9.0:
        assert months > MONTHS
        return
    rng = np.random.default_rng(3)

    def shown(time: float, more: float) -> float:
        given, others = rng.poisson([time * (total + more * added) / 2, time * total / 2], (20_000, 2)).T
        return float((given - others > 1.96 * np.sqrt(given + others)).mean())

    assert shown(months, step) > 0.78
    assert months == 1 or shown(months - 1, step) < 0.8
    assert step == STEPS[0] or shown(MONTHS, STEPS[STEPS.index(step) - 1]) < 0.8


def test_what_more_money_brings_is_between_nothing_and_the_average(study: Study) -> None:
    found = results(study)["returns"]
    row = {"spend": 100.0, "value": 10.0, "added": 50.0, "low": 40.0, "high": 60.0, "touched": 9, "days": 60}
    more, cost = found._worth(row | {"decision": "grow", "step": 1.0, "months": 2})
    # Half the audience: 50 of spend; margin of 0.3 of 500, 400 and 600.
    assert (*more[:3], cost) == pytest.approx((25.0, -50.0, 40.0, 50.0))
    less, cost = found._worth(row | {"decision": "shrink", "step": 0.2, "months": 1})
    assert (*less[:3], cost) == pytest.approx((-5.0, -8.0, 10.0, 0.0))


def histories() -> Histories:
    """Twelve members: a, a, b → order of 5; three: b, a → order of 7, then a → no order."""
    last = np.array([False, False, True, False, True, True])
    converted = np.array([True, True, True, True, True, False])
    return Histories(
        members=np.array([12, 3]), history=np.array([0, 0, 0, 1, 1, 1]), code=np.array([0, 0, 1, 1, 0, 0]),
        last=last, converted=converted, days=np.where(converted, 1.0, np.nan),
        value=np.array([5.0] * 3 + [7.0] * 2 + [0.0]), channels=("抖音", "B站"),
    )  # fmt: skip


def test_paths_tell_repeats_once_and_count_members() -> None:
    got = common_paths(histories()).to_dict("records")
    assert got == [
        {"path": "抖音 → B站", "members": 12, "conversions": 12, "value": 60.0},
        {"path": "B站 → 抖音", "members": 3, "conversions": 3, "value": 21.0},
    ]


def test_rates_are_compared_among_journeys_of_as_many_touches() -> None:
    """Of two touches, one channel: 10 of 100, several: 10 of 50; of three 30 of 100, 15 of 50; of four only one."""
    journeys, converted = [100, 50, 100, 50, 70, 0], [10, 10, 30, 15, 35, 0]
    ratio = _rate_ratio(np.array([*journeys, *converted], float), size=6)
    assert ratio == pytest.approx((150 * 0.2 + 150 * 0.3) / (150 * 0.1 + 150 * 0.3))


@pytest.fixture(scope="module")
def study() -> Study:
    return studied(planted(1_500, 120, 11, confounded=True), k_min=10, draws=100)


def results(study: Study) -> dict[str, object]:
    seen = attribution.seen(study)
    credited, added = attribution.credited(study, seen), attribution.added(study, seen)
    return {
        "seen": seen, "credited": credited, "added": added,
        "compared": attribution.compared(study, credited, added),
        "returns": attribution.returns(study, credited, added, margin=0.3), "paths": attribution.paths(study, seen),
    }  # fmt: skip


def test_the_sentences_say_what_is_known_and_each_channel_has_one_decision(study: Study) -> None:
    found = results(study)
    added, compared, returns = found["added"], found["compared"], found["returns"]
    assert added.tested == ["search", "抖音"] and "would have come without the channels" in added.sentence
    name, excess = compared.excess
    assert name == "search" and excess.low > 0 and compared.sentence.startswith("Last click gives search ")
    findings = [one for each in found.values() for one in each.found()]
    decided = list(returns.proposals())
    actions = propose(study, findings, decided=decided, prefix="attribution.").actions
    assert len(returns.table) == 6 and len(actions) == len({action.id for action in actions}) == 4
    untested = [each for each in decided if each.rule in ("attribution.wait", "attribution.test_next")]
    assert len(untested) == 2 and all(each.worth is None for each in untested)
    assert str(untested[-1].fields["name"]).count(",") == 2  # three channels wait, in one decision
    verdicts = {one.id: one.verdict for one in findings}
    assert verdicts["attribution.baseline"] == verdicts["attribution.roas"] == "provisional"
    assert "4 of 6 channels are untested" in next(one.sentence for one in findings if "baseline" in one.id)
    for each in found.values():
        assert len(list(each.told())) > 1
    spend = returns.table["spend"].sum()
    assert spend == pytest.approx(study.dataset.touchpoints.cost.sum().execute())


def test_without_lift_tests_nothing_is_ranked_by_what_it_added(study: Study) -> None:
    tables = {name: table for name, table in study.dataset.tables.items() if name != "evidence"}
    bare = replace(study, dataset=replace(study.dataset, tables=tables))
    seen = attribution.seen(bare)
    credited, added = attribution.credited(bare, seen), attribution.added(bare, seen)
    assert "No lift test says" in added.sentence and added.corrected is added.model
    returns = attribution.returns(bare, credited, added)
    assert set(returns.table["decision"]) == {"test_next", "wait"}
    assert attribution.compared(bare, credited, added).excess[0] not in added.tested


def test_little_data_show_rules_alone_and_decide_nothing() -> None:
    few = studied(planted(150, 60, 2, confounded=True), k_min=1)
    found = results(few)
    assert found["added"].corrected is None and "it takes 200 orders" in found["seen"].too_little
    assert set(found["credited"].credit.table["model"]) == set(attribution.results.RULES)
    assert not list(found["returns"].proposals())
    known = {one.id for each in found.values() for one in each.found() if one.value is not None}
    assert "attribution.baseline" not in known and "attribution.roas" not in known
    assert not isinstance(found["compared"].figure(), NoChart)


def test_who_is_not_matched_bounds_the_credit(study: Study) -> None:
    """The ids of every third touch belong to nobody: the table of bounds stands beside the credit."""
    touches = study.dataset.touchpoints.to_pandas()
    touches.loc[::3, "member_id"] = [f"device-{n}" for n in range(len(touches[::3]))]
    part = Study.of(study.dataset.replace(touchpoints=touches), study.as_of, draws=20)
    found = attribution.credited(part, attribution.seen(part))
    table = next(each for each in found.told() if getattr(each, "name", "") == "bounds").frame
    assert (table["low"] <= table["conversions"]).all() and (table["conversions"] < table["high"]).all()
    whole = attribution.credited(study, attribution.seen(study))
    assert "bounds" not in {getattr(each, "name", "") for each in whole.told()}
