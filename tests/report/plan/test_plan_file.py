"""Plan files: every mistake with its line, before anything starts; runs as the file says."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from helpers.errors import BadParameters
from helpers.located_yaml import InvalidFile
from helpers.report.plan import plan_file
from helpers.report.plan.plan_file import PlanFile

Read = Callable[..., PlanFile]


@pytest.fixture
def read(project: Path, build_notebook: Callable[..., Path], tmp_path: Path) -> Read:
    """Read a plan from its text, in a project with one notebook."""
    build_notebook("1")

    def read(text: str, **options: Any) -> PlanFile:
        path = tmp_path / "plan.yml"
        path.write_text(text)
        return plan_file.read(path, notebooks=project / "notebooks", **options)

    return read


def mistakes(read: Read, text: str, **options: Any) -> list[str]:
    """Return the mistakes of a plan as ``line:column: text``."""
    with pytest.raises(InvalidFile) as caught:
        read(text, **options)
    return [f"{m.where.line}:{m.where.column}: {m.text}" for m in caught.value.mistakes]


BAD = """data: taables
parameters:
  as_of: 2026-06-31
  segmnt: x
  report_tz: Asia/Shangai
  bins: 4
  bins: 5
worker: 2
timeout: -3
jobs:
  - notebook: rmf
  - notebook: rfm
    label: "{platfrm}"
    data: postgres://u:${NO_SUCH_PASSWORD}@h/db
    parameters:
      window_days: "30"
      segment: platform = "{platform}"
    matrix:
      platform: [douyin, no]
      colour: [red]
      seed: [-1, 010]
  - notebook: rfm
    matrix: {}
  - notebook: rfm
    label: b
    matrix: {bins: []}
  - label: 2026
  - rfm
  - rfm
"""


def test_every_mistake_of_a_plan_is_listed_with_its_place(read: Read) -> None:
    wanted = [
        '1:7: taables does not exist. Name a folder with orders.parquet, events.csv or the like. Did you mean "tab',
        "3:10: as_of cannot be read: day is out of range for month",
        '4:11: unknown parameter "segmnt". Did you mean "segment"?',
        "5:14: report_tz == 'Asia/Shangai', must be a time zone such as Asia/Shanghai. Did you mean \"Asia",
        '7:3: "bins" is there twice, first in line 6',
        '8:1: unknown key "worker" in the plan. Did you mean "workers"?',
        "9:10: timeout == -3, must be a number of seconds > 0",
        '11:15: no notebook "rmf" in ',
        '13:12: label names {platfrm}, which is neither a parameter nor in the matrix. Did you mean "platform"?',
        "14:11: data == 'postgres://u:${NO_SUCH_PASSWORD}@h/db' names NO_SUCH_PASSWORD: the environment variable",
        "16:20: window_days == '30' is a text, must be a number: write it without quotes",
        "17:16: segment == 'platform = \"douyin\"', invalid syntax. Equality is ==.",
        '19:26: platform is no, which YAML takes for a truth value: write true or false, or "no" in quotes',
        '20:7: "colour" is no parameter of 01_rfm, and no text of the job holds {colour}.',
        "21:14: seed == -1, must be >= 0",
        '21:18: seed is 010, which YAML takes for another number: write it plainly, or "010" in quotes',
        "23:13: matrix is empty, which makes no run",
        "26:20: matrix bins is an empty list, which makes no run",
        "27:5: the job names no notebook",
        "27:12: label == 2026, must be a text: put it in quotes",
        "29:5: series rfm/all would be made 3 times (line 22, 28, 29): give each a label of its own",
    ]
    said = mistakes(read, BAD)
    assert len(said) == len(wanted)
    for line, start in zip(said, wanted, strict=True):
        assert line.startswith(start)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "1:1: the plan is empty"),
        ("- rfm", "1:1: the plan must be a mapping"),
        ("data: tables", "1:1: the plan has no jobs"),
        ("jobs: rfm", "1:7: jobs must be a list"),
        ("jobs: []", "1:7: jobs is an empty list"),
        ("jobs:\n\t- rfm", "2:1: is no YAML: while scanning for the next token"),
        ("jobs: [rfm", "2:1: is no YAML: while parsing a flow sequence"),
        ("jobs: [rfm]\n---\njobs: [rfm]", "2:1: is no YAML"),
        ("jobs:\n  - notebook:", "2:14: notebook has no value"),
        ("jobs: [rfm]\nparameters:\n  segment: gros > 5", "3:12: segment names the column 'gros'. Did you mean"),
        ("jobs: [rfm]\nparameters:\n  segment: order_id == 'o1'", "3:12: segment == \"order_id == 'o1'\", order_id"),
        ("jobs:\n  - notebook: []", "2:15: notebook is an empty list"),
        ("jobs:\n  - notbook: rfm", '2:5: unknown key "notbook" in a job. Did you mean "notebook"?'),
        ("workers: two\njobs: [rfm]", "1:10: workers == 'two', must be a whole number from 1 to 64"),
        ("workers: 100000\njobs: [rfm]", "1:10: workers == 100000, must be a whole number from 1 to 64"),
        ("workers: true\njobs: [rfm]", "1:10: workers == True"),
        ("job_timeout: 0\njobs: [rfm]", "1:14: job_timeout == 0, must be a number of seconds > 0"),
        ("data: notebooks\njobs: [rfm]", "1:7: "),
        ("data: 3\njobs: [rfm]", "1:7: data == 3, must be a text"),
        ("parameters: {bins: yes}\njobs: [rfm]", "1:20: bins is yes, which YAML takes for a truth value"),
        ("parameters: {bins: true}\njobs: [rfm]", "1:20: bins == True, must be a number, not a truth value"),
        ("parameters: {bins: 1:30}\njobs: [rfm]", "1:20: bins is 1:30, which YAML takes for another number"),
        ("parameters: {bins: }\njobs: [rfm]", "1:20: bins has no value"),
        ("parameters: {segment: 2026-01-01}\njobs: [rfm]", "1:23: segment == datetime.date(2026, 1, 1), must be"),
        ("parameters: {as_of: 2026-06-30 12:00:00}\njobs: [rfm]", "1:21: as_of is 2026-06-30 12:00:00: write a day"),
        ("parameters: {value_weights: '{goods: 1}'}\njobs: [rfm]", "1:29: value_weights == '{goods: 1}' is a text"),
        ("parameters: {seed: !!python/name:os.system x}\njobs: [rfm]", "1:20: seed cannot be read"),
        ("parameters: &a\n  value_weights: *a\njobs: [rfm]", "1:13: value_weights"),
        ("parameters: {data: tables}\ndata: tables\njobs: [rfm]", "2:7: data is there twice, first in line 1"),
        ("jobs:\n  - notebook: rfm\n    label: '-'", "3:12: label == '-', must hold a letter or a digit"),
        ("jobs:\n  - notebook: rfm\n    label: '{value_weights}'", "3:12: {value_weights} == {}, cannot be put into"),
        ("jobs:\n  - notebook: rfm\n    label: same\n    matrix: {seed: [1, 2]}", "2:5: series rfm/same would be"),
    ],
)  # fmt: skip
def test_one_mistake(read: Read, text: str, says: str) -> None:
    said = mistakes(read, text)
    assert any(line.startswith(says) for line in said), said


def test_a_hundred_bad_jobs_are_told_of_one_by_one(read: Read) -> None:
    jobs = "".join(
        f"  - {{notebook: rfm, label: n{n}, parameters: {{bins: {n + 11}}}}}\n" for n in range(100)
    )
    said = mistakes(read, f"jobs:\n{jobs}")
    assert len(said) == 100 and said[99].startswith("101:52: bins == 110, must be <= 10")


def test_a_shared_mistake_is_told_once(read: Read) -> None:
    text = "parameters: {bins: 99}\njobs:\n  - notebook: rfm\n    matrix: {seed: [1, 2, 3]}"
    assert len(mistakes(read, text)) == 1


def test_a_file_that_cannot_be_read(read: Read, tmp_path: Path) -> None:
    (tmp_path / "weekly.yml").write_text("")
    with pytest.raises(BadParameters, match=r'weekli\.yml cannot be read.*Did you mean "weekly\.yml"\?'):
        plan_file.read(tmp_path / "weekli.yml")
    (tmp_path / "latin.yml").write_bytes("label: Zürich".encode("latin-1"))
    with pytest.raises(BadParameters, match="is no UTF-8 text: byte 8"):
        plan_file.read(tmp_path / "latin.yml")


GOOD = """data: tables
parameters:
  as_of: 2026-06-30
  currency: EUR
workers: 2
timeout: 3600
job_timeout: 900
jobs:
  - rfm
  - notebook: rfm
    label: "{platform} {window_days}"
    job_timeout: 60
    parameters:
      segment: platform_home == "{platform}"
      window_days: "{days}"
      currency: USD
    matrix:
      platform: [douyin, wechat]
      days: [28, 90]
  - notebook: rfm
    matrix:
      - {seed: 1, confidence: 0.8}
      - {seed: 2}
"""


def test_a_plan_makes_the_runs_it_says(read: Read) -> None:
    plan = read(GOOD)
    assert (plan.workers, plan.timeout) == (2, 3600)
    assert [made.series for made in plan.plans] == [
        "rfm/all",
        *("rfm/douyin-28", "rfm/douyin-90", "rfm/wechat-28", "rfm/wechat-90"),
        *("rfm/1-0.8", "rfm/2"),
    ]
    assert [made.timeout for made in plan.plans] == [900, 60, 60, 60, 60, 900, 900]
    assert plan.plans[0].given == {"data": "tables", "as_of": "2026-06-30", "currency": "EUR"}
    shared = {"data": "tables", "as_of": "2026-06-30", "currency": "USD"}
    assert plan.plans[3].given == shared | {"segment": 'platform_home == "wechat"', "window_days": 28}
    assert plan.plans[5].given["confidence"] == 0.8 and "confidence" not in plan.plans[6].given
    assert len({made.run_key for made in plan.plans}) == 7


def test_one_job_is_in_chinese_and_its_label_does_not_say_so(read: Read) -> None:
    job = "  - notebook: rfm\n    label: all\n"
    made = read(f"jobs:\n{job}{job}    parameters: {{language: zh}}")
    assert [(run.series, run.values["language"]) for run in made.plans] == [
        ("rfm/all", "en"),
        ("rfm/all.zh", "zh"),
    ]
    made = read(
        f"jobs:\n  - notebook: rfm\n    label: b\n    after: rfm/all\n{job}    parameters: {{language: zh}}"
    )
    assert [(run.series, run.after) for run in made.plans] == [("rfm/all.zh", ()), ("rfm/b", ("rfm/all.zh",))]
    said = mistakes(read, "jobs:\n  - notebook: rfm\n    label: all.zh")
    assert len(said) == 1 and said[0].endswith("must not end in .zh, which says the language of a series")


def test_a_day_may_be_in_quotes(read: Read) -> None:
    quoted = GOOD.replace("2026-06-30", '"2026-06-30"')
    assert [made.run_key for made in read(quoted).plans] == [made.run_key for made in read(GOOD).plans]


def test_the_command_line_stands_for_what_is_shared(read: Read, project: Path) -> None:
    plan = read(
        GOOD, parameters={"currency": "CHF", "bins": "4"}, data=str(project / "tables"), job_timeout=5
    )
    first, second = plan.plans[:2]
    assert first.given == {"data": "tables", "as_of": "2026-06-30", "currency": "CHF", "bins": 4}
    assert second.values["currency"] == "USD", "what a job names itself stays"
    assert (first.timeout, second.timeout) == (5, 60)


def test_mistakes_on_the_command_line_are_told_with_those_of_the_file(read: Read) -> None:
    said = mistakes(read, "jobs: [rfm, rmf]", parameters={"bins": "99", "sed": "1"}, data="nowhere")
    assert said[0].startswith("0:0: bins == '99', must be <= 10")
    assert any(line.startswith("0:0: nowhere does not exist") for line in said)
    assert any('unknown parameter "sed". Did you mean "seed"?' in line for line in said)
    assert said[-1].startswith('1:13: no notebook "rmf"')
    with pytest.raises(InvalidFile, match="command line: bins == '99'"):
        read("jobs: [rfm]", parameters={"bins": "99"})


def test_a_parameter_that_every_job_names_itself_has_no_effect(read: Read) -> None:
    text = "jobs:\n  - {notebook: rfm, parameters: {seed: 1}}"
    assert mistakes(read, text, parameters={"seed": "2"}) == [
        '0:0: "seed" has no effect: every job of the plan names its own'
    ]


def test_data_of_a_plan_are_relative_to_the_project(
    read: Read, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere" / "tables").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert read("data: tables\njobs: [rfm]").plans[0].tables["orders"].rows == 3


def test_broken_tables_are_told_for_the_job_that_reads_them(read: Read, project: Path) -> None:
    (project / "tables" / "orders.csv").write_text("order_id\n1\n")
    said = mistakes(read, "jobs: [rfm]")
    assert len(said) == 1 and "holds a table more than once: orders" in said[0]


def test_the_weekly_plan_of_the_project_is_right(root: Path) -> None:
    plan = plan_file.read(root / "plans" / "weekly.yml", parameters={"as_of": "2026-06-29"})
    assert len({made.series for made in plan.plans}) == len(plan.plans) >= 4
    assert all(made.values["as_of"] == "2026-06-29" for made in plan.plans)
    assert plan.plans[-1].series == "weekly_review/all" and len(plan.plans[-1].after) == len(plan.plans) - 1


def test_an_empty_matrix_is_told_of_once(read: Read) -> None:
    said = mistakes(read, "jobs:\n  - notebook: rfm\n    label: '{a}'\n    matrix: {a: []}")
    assert len(said) == 1 and said[0].startswith("4:17: matrix a is an empty list, which makes no run"), said


def nested(levels: int) -> str:
    return f"parameters: {{value_weights: {'{a: ' * levels}1{'}' * levels}}}\njobs: [rfm]"


BOMB = "parameters:\n  a: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"  b{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 10)
)
TOWER = "parameters:\n  a: &a0 [x]\n" + "".join(f"  b{n}: &a{n} [*a{n - 1}]\n" for n in range(1, 30))
SIX = "".join(f"      seed{n}: [{', '.join(map(str, range(20)))}]\n" for n in range(6))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (f"{BOMB}jobs: [rfm]", " makes more than 100,000 values, aliases written out"),
        (f"{TOWER}jobs: [rfm]", " is nested deeper than 20 levels"),
        (nested(2_000), " is nested deeper than 20 levels"),
        (nested(100_000), " is nested deeper than 20 levels"),
        (f"parameters: {{segment: {'a' * 100_000}}}\njobs: [rfm]", "1:23: holds more than 10,000 characters"),
        (f"jobs: [{', '.join(['rfm'] * 100_001)}]", " makes more than 100,000 values"),
        (f"jobs: [{', '.join(['rfm'] * 10_001)}]", " the jobs make more than 10,000 runs"),
        (f"jobs:\n  - notebook: rfm\n    matrix:\n{SIX}", "4:7: the matrix makes 64,000,000 runs, must be <= 10"),
        (f"workers: {'9' * 4000}\njobs: [rfm]", "1:10: workers == 9999"),
        (f"parameters: {{seed: {'9' * 9000}}}\njobs: [rfm]", "1:20: seed cannot be read: Exceeds the limit"),
        ("jobs: &j\n  - notebook: &n [rfm, *n]\n  - *j", "2:15: notebook[1] holds itself"),
    ],
)  # fmt: skip
def test_a_plan_that_is_small_to_write_and_large_to_read(read: Read, text: str, says: str) -> None:
    said = mistakes(read, text)
    assert any(says in line for line in said), [line[:200] for line in said]
    assert max(map(len, said)) < 1_100


def test_what_is_no_file_is_no_plan(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.yml")  # would be waited for without end
    for place in (tmp_path / "pipe.yml", Path("/dev/zero"), tmp_path):
        with pytest.raises(BadParameters, match="is no file"):
            plan_file.read(place)
