"""The order of runs: behind what they wait for, told or not; what cannot be is told with its line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from helpers.located_yaml import InvalidFile
from helpers.report import params
from helpers.report import project as places
from helpers.report.plan import plan_file
from helpers.report.plan.plan_file import PlanFile

Read = Callable[[str], PlanFile]


@pytest.fixture
def read(project: Path, build_notebook: Callable[..., Path], tmp_path: Path) -> Read:
    """Read a plan from its text, in a project with five notebooks."""
    for name in ("01_rfm", "02_retention", "03_ab_test", "04_attribution", "05_budget"):
        build_notebook("1", name=name)

    def read(text: str) -> PlanFile:
        path = tmp_path / "plan.yml"
        path.write_text(text)
        return plan_file.read(path, notebooks=project / "notebooks")

    return read


def test_runs_come_behind_what_they_read_and_what_they_name(read: Read) -> None:
    found = read(
        "jobs: [{notebook: budget, label: x}, {notebook: rfm, after: [02_retention, ab_test/two]}, attribution,\n"
        "{notebook: ab_test, label: '{n}', matrix: {n: [one, two]}}, retention]"
    )
    tests = ("ab_test/one", "ab_test/two")
    assert {plan.series: plan.after for plan in found.plans} == {
        "ab_test/one": (),
        "ab_test/two": (),
        "retention/all": (),
        "rfm/all": ("ab_test/two", "retention/all"),
        "attribution/all": tests,
        "budget/x": tests,
    }
    made = [plan.series for plan in found.plans]
    assert made == [*tests, "retention/all", "budget/x", "rfm/all", "attribution/all"]


def test_a_command_line_orders_its_notebooks_in_the_same_way(read: Read, project: Path) -> None:
    read("jobs: [rfm]")
    names = ["budget", "attribution", "rfm", "ab_test"]
    plans = plan_file.of_notebooks(names, notebooks=project / "notebooks")
    made = [plan.series for plan in plans]
    assert made == ["rfm/all", "ab_test/all", "budget/all", "attribution/all"]
    assert plans[-1].after == ("ab_test/all",)


@pytest.mark.parametrize(
    ("plan", "mistake"),
    [
        (
            "jobs:\n  - notebook: rfm\n    after: retentoin\n  - retention\n",
            '3:12: after names "retentoin", of which the plan makes no report. Did you mean "retention"?',
        ),
        (
            "jobs:\n  - notebook: rfm\n    after: [retention]\n  - notebook: retention\n    after: rfm\n",
            "3:13: runs wait for each other in a circle: ",
        ),
        ("jobs:\n  - {notebook: rfm, after: rfm}\n", "2:28: runs wait for each other in a circle: "),
        (  # one half of the circle is that attribution reads A/B tests
            "jobs:\n  - attribution\n  - notebook: ab_test\n    after: attribution\n",
            "4:12: runs wait for each other in a circle: ",
        ),
    ],
)
def test_what_cannot_be_is_told_with_its_line(read: Read, plan: str, mistake: str) -> None:
    with pytest.raises(InvalidFile) as caught:
        read(plan)
    (found,) = caught.value.mistakes
    assert f"{found.where.line}:{found.where.column}: {found.text}".startswith(mistake)


def test_no_notebooks_of_the_project_read_each_other_in_a_circle(root: Path) -> None:
    """Each can be made after all that it reads, and reads methods that exist; of its own it reads earlier days."""
    models = {
        places.method_name(path): params.model_for(path) for path in places.notebooks(root / "notebooks")
    }
    reads = {name: {*model.reads_reports} - {name} for name, model in models.items()}
    done: set[str] = set()
    while ready := {name for name in reads.keys() - done if reads[name] & reads.keys() <= done}:
        done |= ready
    assert done == set(reads)
