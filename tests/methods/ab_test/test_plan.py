"""The design of an experiment is frozen before there are outcomes, and every mistake in it is named."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from helpers.errors import BadData, BadParameters, MissingTable
from helpers.methods.ab_test.plan import Plan, plan_of, read_plan, write_plan
from helpers.study import Study

FIELDS: dict[str, Any] = {
    "experiment": "cover",
    "arms": ["control", "variant"],
    "allocation": [{"start": "2026-01-01", "shares": [0.5, 0.5]}],
    "primary": {"name": "orders", "source": "orders"},
    "start": "2026-01-01",
    "end": "2026-01-28",
    "smallest_effect": 0.05,
    "registered_at": "2025-12-20T08:00:00+08:00",
}


def designed(**fields: Any) -> Plan:
    return plan_of(FIELDS | fields)


@pytest.fixture
def study(tmp_path: Path) -> Study:
    frame = pd.DataFrame({"exp_id": ["cover"], "unit_id": ["1"], "arm": ["control"]})
    frame["assigned_at"] = pd.to_datetime(["2026-01-02T03:00Z"])
    return Study.of({"assignments": frame}, "2026-01-31", data=str(tmp_path))


def test_a_design_comes_back_as_it_was_written(study: Study) -> None:
    plan = designed(segments=["source"], looks="weekly")
    path = write_plan(study, plan)
    first = path.read_bytes()
    assert write_plan(study, plan) == path and path.read_bytes() == first
    assert read_plan(study, "cover") == plan.model_copy(update={"sha256": plan.digest})


def test_a_changed_design_is_refused(study: Study) -> None:
    path = write_plan(study, designed())
    path.write_text(path.read_text().replace("alpha: 0.05", "alpha: 0.1"))
    with pytest.raises(BadData, match=r"experiments/cover\.yml was changed"):
        read_plan(study, "cover")


def test_another_design_is_not_written_over_one_that_has_units(study: Study) -> None:
    write_plan(study, designed())
    with pytest.raises(BadParameters, match="first unit came on 2026-01-02"):
        write_plan(study, designed(alpha=0.1))
    empty = study.dataset.replace(assignments=study.dataset.assignments.limit(0))
    fresh = Study.of(empty, "2026-01-31", data=study.data)
    write_plan(fresh, designed(alpha=0.1))
    assert read_plan(study, "cover").alpha == 0.1
    with pytest.raises(BadParameters, match="registered_at is missing"):
        write_plan(study, designed(registered_at=None))


def test_a_design_that_is_not_there(study: Study) -> None:
    with pytest.raises(MissingTable, match=r"experiments/cover\.yml is missing"):
        read_plan(study, "cover")
    write_plan(study, designed())
    with pytest.raises(BadParameters, match='Did you mean "cover"'):
        read_plan(study, "covers")
    with pytest.raises(BadParameters, match="name a folder, data="):
        read_plan(Study.of({}, "2026-01-31"), "cover")
    (Path(study.data) / "experiments" / "odd.yml").write_text("- 1")
    with pytest.raises(BadParameters, match="should be a valid dictionary"):
        read_plan(study, "odd")


def test_looks_are_days_of_which_the_last_is_the_end() -> None:
    days = [look.day for look in designed(looks="weekly").looks]
    assert days == [7, 14, 21, 28]
    assert [look.day for look in designed(looks=3).looks] == [10, 19, 28]
    assert len(designed(looks="daily").looks) == 28
    assert [look.day for look in designed(end="2026-01-10").looks] == [7, 10]


MISTAKES = [
    ({"arms": ["control"]}, "arms: Tuple should have at least 2 items"),
    ({"arms": ["a", "a"]}, "arms: a name stands twice"),
    ({"primery": 1}, 'primery: there is no such field. Did you mean "primary"?'),
    ({"design": "block"}, 'Did you mean "blocked"?'),
    ({"allocation": [{"start": "2026-01-01", "shares": [50, 50]}]}, r"allocation\[0\].shares\[0\]"),
    ({"allocation": [{"start": "2026-01-01", "shares": [0.5, 0.4]}]}, "shares must sum to 1"),
    ({"allocation": [{"start": "2026-01-02", "shares": [0.5, 0.5]}]}, "must begin on start"),
    ({"primary": {"name": "x", "source": "event:like"}}, 'Did you mean "events"?'),
    ({"primary": {"name": "x", "source": "events"}}, "a table and what of it"),
    ({"primary": {"name": "x", "source": "orders", "kind": "ratio"}}, "needs a denominator"),
    ({"primary": {"name": "x", "source": "ad_daily:clicks", "cap": 0.9}}, "no covariates and no cap"),
    ({"primary": {"name": "x", "source": "orders", "margins": 1}}, 'Did you mean "margin"?'),
    ({"secondary": [FIELDS["primary"]]}, "a name of a metric stands twice"),
    ({"looks": ["2026-01-07"]}, "the last one must be the end"),
    ({"spending": "fixed", "looks": "weekly"}, "with a fixed level there is one look"),
    ({"outcome_days": 28}, "no outcome is complete before the end"),
    ({"end": "2025-12-31"}, "end lies before start"),
    ({"registered_at": "2025-12-20T08:00:00"}, "should have timezone info"),
    ({"experiment": "../cover"}, "experiment: String should match"),
]


@pytest.mark.parametrize(("fields", "said"), MISTAKES)
def test_each_mistake_is_named(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(BadParameters, match=said):
        designed(**fields)


def test_all_mistakes_at_once() -> None:
    with pytest.raises(BadParameters) as caught:
        designed(alpha=0.7, power=2, arms=["control"])
    assert str(caught.value).count("\n- ") == 3


def test_the_digest_covers_everything_and_no_order_of_fields(study: Study) -> None:
    plan = designed()
    assert plan.digest != designed(version=2).digest
    path = write_plan(study, plan)
    fields = yaml.safe_load(path.read_text())
    path.write_text(yaml.safe_dump(dict(reversed(fields.items()))))
    assert read_plan(study, "cover").looks[-1] == dt.date(2026, 1, 28)
