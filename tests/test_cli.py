"""The command line: exit codes, messages, and nothing heavy at the start."""

from __future__ import annotations

import datetime as dt
import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pandas as pd
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from helpers import cli, errors, sentences
from helpers.data.privacy import pseudonym
from helpers.playbook.verify import last_week
from helpers.report.plan.desk import Plan
from helpers.report.publish.manifest import Failure
from helpers.report.run.result import RunResult
from tests.playbook import test_verify as planted

HEAVY = (
    "pandas",
    "numpy",
    "pydantic",
    "rich",
    "yaml",
    "papermill",
    "ibis",
    "duckdb",
    "matplotlib",
    "nbformat",
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with a notebook, a folder of tables and a plan of two runs."""
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "tables").mkdir()
    table = "order_id,member_id,paid_at,gross,currency\no1,m1,2026-01-02T03:04:05Z,10,CNY\n"
    (tmp_path / "tables" / "orders.csv").write_text(table)
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    source = 'data: str = "tables"  # tables\nseed: int = 1  # seed'
    cells = [new_code_cell(source, metadata={"tags": ["parameters"]}), new_code_cell("assert seed < 5")]
    nb = new_notebook(cells=cells, metadata={"kernelspec": kernel})
    nbformat.write(nb, tmp_path / "notebooks/01_rfm.ipynb")
    (tmp_path / "two.yml").write_text(
        "timeout: 500\njobs:\n  - {notebook: rfm, label: 'n{seed}', matrix: {seed: [1, 2]}}\n"
    )
    monkeypatch.chdir(tmp_path)
    return tmp_path


def call(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """Call main as the console script does and return the exit code."""
    monkeypatch.setattr(sys, "argv", ["playbook", *arguments])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    return int(stop.value.code or 0)


@pytest.fixture(autouse=True)
def english(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A terminal in English; what a command chose is over with it."""
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    yield
    sentences.use_language("en")


def latin(text: str) -> set[str]:
    """Return the words of English in a text: runs of two and more words in small letters."""
    return set(re.findall(r"\b[a-z]{2,} [a-z]{2,}\b", text))


def fake_runs(monkeypatch: pytest.MonkeyPatch, *ends: tuple[str, str | None]) -> list[dict[str, Any]]:
    """Let a batch end as told, without kernels; return what it was asked to do."""
    asked: list[dict[str, Any]] = []

    def execute_all(plans: list[Plan], **options: Any) -> list[RunResult]:
        asked.append(options | {"series": [plan.series for plan in plans]})
        return [
            RunResult(
                plan.series,
                status,  # type: ignore[arg-type]
                1,
                f"{plan.series} {status}",
                Failure(kind=kind, cell=None, error="E", message="m") if kind else None,
            )
            for plan, (status, kind) in zip(plans, ends, strict=True)
        ]

    monkeypatch.setattr("helpers.report.run.batch.execute_all", execute_all)
    return asked


def test_the_start_imports_nothing_heavy() -> None:
    code = f"import sys, helpers.cli\nprint([name for name in {HEAVY!r} if name in sys.modules])"
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
        == "[]\n"
    )


def test_help_names_every_command(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert call(monkeypatch, "--help") == 0
    said = capsys.readouterr().out
    assert all(
        f"  {name} " in said
        for name in (
            "run",
            "check",
            "reveal",
            "params",
            "list",
            "show",
            "diff",
            "prune",
            "actions",
            "simulate",
        )
    )


@pytest.mark.parametrize(
    ("ends", "code", "counts"),
    [
        ([("succeeded", None), ("not_run", "missing_table")], 0, (1, 0, 1, 0)),
        ([("skipped", None), ("skipped", None)], 0, (0, 2, 0, 0)),
        ([("failed", "exception"), ("succeeded", None)], 1, (1, 0, 0, 1)),
        ([("kernel_died", "kernel_died"), ("timed_out", "timed_out")], 1, (0, 0, 0, 2)),
        ([("failed", "bad_data"), ("skipped", None)], 2, (0, 1, 0, 1)),
        ([("failed", "missing_secret"), ("failed", "bad_parameters")], 2, (0, 0, 0, 2)),
        ([("failed", "bad_data"), ("failed", "exception")], 1, (0, 0, 0, 2)),
        ([("not_published", "error"), ("succeeded", None)], 1, (1, 0, 0, 1)),
    ],
)
def test_exit_codes(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    ends: list[tuple[str, str | None]],
    code: int,
    counts: tuple[int, ...],
) -> None:
    asked = fake_runs(monkeypatch, *ends)
    assert call(monkeypatch, "run", "--plan", "two.yml", "--workers", "3", "--force") == code
    assert asked[0]["series"] == ["rfm/n1", "rfm/n2"]
    assert (asked[0]["workers"], asked[0]["force"], asked[0]["reports"]) == (3, True, folder / "reports")
    out = capsys.readouterr().out.splitlines()
    assert out[-1] == "{} succeeded, {} skipped, {} not run, {} failed".format(*counts)
    failed = [
        f"rfm/n{n} {status}" for n, (status, kind) in enumerate(ends, 1) if kind and status != "not_run"
    ]
    assert out[:-1] == failed, "those that failed are named"


def test_ctrl_c_and_a_request_to_end_have_codes_of_their_own(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def ends_with(number: signal.Signals) -> int:
        def execute_all(*_: Any, **__: Any) -> None:
            signal.raise_signal(number)
            time.sleep(60)

        monkeypatch.setattr("helpers.report.run.batch.execute_all", execute_all)
        return call(monkeypatch, "run", "--plan", "two.yml")

    before = signal.getsignal(signal.SIGTERM)
    assert ends_with(signal.SIGINT) == 130
    assert ends_with(signal.SIGTERM) == 143
    assert ends_with(signal.SIGALRM) == 1, "the time of all runs is over"
    assert "the time for all runs is over; what was published stands" in capsys.readouterr().err
    assert signal.getsignal(signal.SIGTERM) is before


def test_the_time_of_a_plan_ends_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("helpers.report.run.batch.execute_all", lambda *_, **__: time.sleep(60))
    (folder / "two.yml").write_text("timeout: 0.05\njobs: [rfm]")
    assert call(monkeypatch, "run", "--plan", "two.yml") == 1


def test_real_runs_end_with_their_codes_and_are_skipped_when_nothing_changed(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PLAYBOOK_KERNELS", "ordinary")  # what is imported by a kernel here is little
    (folder / "deep" / "er").mkdir(parents=True)
    monkeypatch.chdir(folder / "deep" / "er")
    assert call(monkeypatch, "run", "01_rfm", "-p", "seed=7", "--label", "high") == 1
    out = capsys.readouterr().out.splitlines()
    assert out[0].startswith("rfm/high v1: failed in ")
    assert out[0].endswith("(exception, cell 3): AssertionError")
    manifest = json.loads((folder / "reports/rfm/high/v1/manifest.json").read_text())
    assert manifest["parameters"]["seed"] == 7
    assert call(monkeypatch, "run", "--plan", "../../two.yml", "-p", "bins=4") == 0
    assert call(monkeypatch, "run", "--plan", "../../two.yml", "-p", "bins=4") == 0
    index = f"Open {folder / 'reports' / 'index.html'}"
    said = capsys.readouterr()
    assert said.out.splitlines() == [
        *("2 succeeded, 0 skipped, 0 not run, 0 failed", index),
        *("0 succeeded, 2 skipped, 0 not run, 0 failed", index),
    ]
    assert "there is no project" not in said.err
    assert call(monkeypatch, "run", "--plan", "../../two.yml", "--dry-run") == 0
    said = capsys.readouterr().out
    assert "parameters changed: bins" in said and "2 planned, 2 would run, 0 unchanged" in said
    check_what_is_published(monkeypatch, capsys)


def check_what_is_published(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """List and show the three series of the test above."""
    assert call(monkeypatch, "list") == 0
    said = capsys.readouterr().out
    assert "rfm/high" in said and "failed" in said and "AssertionError" in said
    assert call(monkeypatch, "list", "--json") == 0
    listed = json.loads(capsys.readouterr().out)
    assert [one["series"] for one in listed["series"]] == ["rfm/high", "rfm/n1", "rfm/n2"]
    assert call(monkeypatch, "show", "rfm/high") == 0
    said = capsys.readouterr().out
    assert "rfm/high v1: failed" in said and "exception, cell 3: AssertionError" in said
    assert "report.html" in said and "as_of" in said
    assert call(monkeypatch, "show", "rfm/n1@v1", "--json") == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["manifest"]["status"] == "succeeded" and shown["findings"] == shown["actions"] == []
    assert call(monkeypatch, "show", "rfm/hihg") == 2
    assert 'no series "rfm/hihg"' in (said := capsys.readouterr().err) and 'Did you mean "rfm/high"?' in said
    assert call(monkeypatch, "show", "rfm/high@v2") == 2
    assert "rfm/high has no version v2. There are: v1" in capsys.readouterr().err
    assert call(monkeypatch, "diff", "rfm/n1@v1", "rfm/n2@v1") == 0
    assert "seed" in capsys.readouterr().out


def test_prune_says_what_it_frees(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in (1, 2, 3):
        version = folder / f"reports/rfm/all/v{number}"
        version.mkdir(parents=True)
        (version / "manifest.json").write_text('{"status": "succeeded"}')
    assert call(monkeypatch, "prune", "--keep", "1", "--dry-run") == 0
    assert "2 versions would be removed, 46 bytes would be freed" in capsys.readouterr().out
    assert call(monkeypatch, "prune", "--keep", "1") == 0
    assert capsys.readouterr().out.splitlines() == [
        "rfm/all/v1: 23 bytes",
        "rfm/all/v2: 23 bytes",
        "2 versions removed, 46 bytes freed",
    ]
    assert call(monkeypatch, "prune", "--keep", "0") == 2


def test_a_bad_plan_is_rejected_without_anything_heavy(folder: Path) -> None:
    jobs = "".join(
        f"  - {{notebook: rfm, label: n{n}, parameters: {{bins: {n + 11}}}}}\n" for n in range(100)
    )
    (folder / "bad.yml").write_text(f"jobs:\n{jobs}")
    code = f"""import sys
from helpers import cli, errors, sentences
sys.argv = ["playbook", "run", "--plan", "bad.yml"]
try:
    cli.main()
except SystemExit as stop:
    heavy = set({HEAVY!r}) - {{"pydantic", "yaml"}}
    print(stop.code, sorted(name for name in heavy if name in sys.modules))"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "2 []\n"
    assert done.stderr.count("bad.yml:") == 100 and "100 mistakes, nothing was started" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (
            ["-p", "segmnt=x", "-p", "seed=-1"],
            ['unknown parameter "segmnt". Did you mean "segment"?', "seed == '-1'"],
        ),
        (["-p", "seed"], ["-p takes NAME=VALUE, got 'seed'"]),
        (["-p", "segment=gros > 5"], ["segment names the column 'gros'. Did you mean \"gross\"? Columns: "]),
        (["--dry-run", "-p", "segment=gros > 5"], ["segment names the column 'gros'"]),
        (["--dry-run", "-p", "segment=member_id == 'm1'"], ["member_id points at one person"]),
        (["-p", "=3"], ["-p takes NAME=VALUE"]),
        (["--data", "nowhere"], ["nowhere does not exist"]),
        (["03_rfm"], ['no notebook "03_rfm"', "Did you mean"]),
        (["rfm", "01_rfm"], ["series rfm/all would be made 2 times: name a notebook once"]),
        (["--data", "postgres://u:${NO_SUCH_PASSWORD}@h/db"], ["names NO_SUCH_PASSWORD"]),
        (["--plan", "none.yml"], ["plan none.yml cannot be read"]),
        (["--plan", "two.yml", "rfm"], ["--plan names notebooks and labels itself"]),
        (["--plan", "two.yml", "-p", "segmnt=x"], ["command line", 'Did you mean "segment"?']),
        (["--plan", "two.yml", "--workers", "0"], ["--workers"]),
        (["--plan", "two.yml", "--workers", "100000"], ["--workers"]),
        (["--notebooks", "deep"], ["there is no notebook in deep"]),
        (["--timeout", "0"], ["--timeout"]),
        (["--job-timeout", "0"], ["--job-timeout"]),
        (["--sedd", "1"], ["--sedd"]),
    ],
)
def test_bad_usage_ends_with_2_before_any_kernel(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    parts: list[str],
) -> None:
    asked = fake_runs(monkeypatch)
    assert call(monkeypatch, "run", *arguments) == 2
    said = capsys.readouterr().err
    assert all(part in said for part in parts), said
    assert "Traceback" not in said and asked == []


def test_whose_notebooks_are_run_is_said(
    tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fake_runs(monkeypatch, ("succeeded", None))
    monkeypatch.chdir(tmp_path)
    assert (
        call(monkeypatch, "run", "rfm", "--reports", str(tmp_path), "--data", str(root / "data/sample")) == 0
    )
    line = f"there is no project in {tmp_path}: the notebooks are those of {root}"
    assert capsys.readouterr().err.splitlines() == [line]


@pytest.mark.parametrize(("kind", "code"), [("error", 1), ("bad_data", 2), ("bad_parameters", 2)])
def test_a_refusal_of_the_system_is_not_the_fault_of_the_input(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], kind: str, code: int
) -> None:
    class Refused(errors.PlaybookError):
        pass

    def refuse(*_: Any, **__: Any) -> None:
        raise Refused("v1 cannot be removed: Permission denied")

    monkeypatch.setattr(Refused, "kind", kind)
    monkeypatch.setattr("helpers.report.housekeeping.prune", refuse)
    assert call(monkeypatch, "prune", "--keep", "1") == code
    assert capsys.readouterr().err == "v1 cannot be removed: Permission denied\n"


def test_the_problems_of_all_notebooks_are_listed(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fake_runs(monkeypatch)
    assert call(monkeypatch, "run", "rfm", "rmf", "01_rfm", "-p", "seed=x") == 2
    said = capsys.readouterr().err
    assert "seed == 'x', must be a whole number" in said and 'no notebook "rmf"' in said


def test_params_prints_the_model(
    monkeypatch: pytest.MonkeyPatch, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, "params", "01_rfm") == 0
    said = capsys.readouterr().out
    assert "Parameters of 01_rfm" in said and "whole number" in said and "week | month | quarter" in said


def test_check_lists_violations_and_ends_with_2(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = "order_id,member_id,gross\no1,m1,10\no1,m2,20\n"
    (folder / "tables" / "orders.csv").write_text(bad)
    assert call(monkeypatch, "check", "tables") == 2
    said = capsys.readouterr().err
    assert "orders.paid_at: missing column" in said and "duplicate key" in said and "Traceback" not in said


def test_check_speaks_the_language_of_the_terminal(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LC_ALL", "zh_CN.UTF-8")
    assert call(monkeypatch, "check", "tables") == 0
    good = capsys.readouterr().out
    assert "tables：符合数据约定，没有问题" in good and "各表的数据健康" in good and not latin(good)
    bad = "order_id,member_id,paid_at,gross\no1,m1,2026-01-02T03:04:05Z,x\no1,m2,,20\n"
    (folder / "tables" / "orders.csv").write_text(bad)
    assert call(monkeypatch, "check", "tables") == 2
    told = capsys.readouterr().err
    assert "orders.gross：数字读不懂（1行），如order_id='o1', gross='x'。能读的写法：" in told
    assert "orders.order_id：主键重复（1行），如order_id='o1', rows=2。每行应是一笔订单；" in told
    assert "orders.paid_at：必填值为空（1行）" in told and not latin(told)


def test_a_plan_is_told_in_its_language_and_in_that_of_the_terminal(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    job = "jobs:\n  - notebook: rfm\n    parameters: {seed: '5', segment: \"gros > 5\", k_min: -1}\n"
    (folder / "bad.yml").write_text(f"{job}  - rfmm\n")
    assert call(monkeypatch, "run", "--plan", "bad.yml") == 2
    assert "bad.yml cannot be used, 3 mistakes, nothing was started:" in capsys.readouterr().err
    (folder / "bad.yml").write_text(f"parameters: {{language: zh, sedd: 1}}\n{job}  - rfmm\n")
    assert call(monkeypatch, "run", "--plan", "bad.yml") == 2
    told = capsys.readouterr().err
    for part in (
        "bad.yml不能用，有4处错误，没有启动任何运行：",
        "bad.yml:1:34: 没有参数“sedd”。是不是“seed”？",
        "bad.yml:4:24: seed == '5'是文字，应为数字：去掉引号",
        "k_min == -1，应>= 1（整数、>= 1、<= 1000；默认10）",
        "里没有笔记本“rfmm”。是不是“rfm”？",
    ):
        assert part in told
    assert not latin(told)
    monkeypatch.setenv("LC_ALL", "zh_CN.UTF-8")
    assert call(monkeypatch, "run", "rfm", "--data", "nowhere") == 2
    assert "nowhere不存在。写明一个文件夹" in capsys.readouterr().err


def test_the_lines_of_a_run_speak_its_language(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fake_runs(monkeypatch, ("succeeded", None))
    assert call(monkeypatch, "run", "rfm", "-p", "language=zh") == 0
    assert "成功1项，跳过0项，未运行0项，失败0项" in capsys.readouterr().out
    sentences.use_language("en")
    monkeypatch.setenv("LANG", "zh_CN.UTF-8")
    monkeypatch.setenv("LC_ALL", "")
    assert call(monkeypatch, "run", "rfm", "--dry-run") == 0
    told = capsys.readouterr().out
    assert "计划1项，将运行1项，未变0项；没有启动任何运行" in told and "第一版" in told and not latin(told)
    assert call(monkeypatch, "run", "rfm", "--dry-run", "-p", "language=en") == 0
    assert "1 planned, 1 would run, 0 unchanged; nothing was started" in capsys.readouterr().out


def test_check_prints_health_and_the_contract(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, "check", "tables") == 0
    said = capsys.readouterr().out
    assert "no violation of the data contract" in said and "2026-01-02" in said
    assert call(monkeypatch, "check", "--describe") == 0
    assert "## orders" in capsys.readouterr().out


def test_pseudonyms_of_a_list_become_ids_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PLAYBOOK_SALT", "made here")
    listed = f"\ufeffmember_id,tier\n{pseudonym('m1')},'=core\n"
    (folder / "list.csv").write_text(listed, encoding="utf-8")
    (folder / "ids.csv").write_text("seen by all")
    assert call(monkeypatch, "reveal", "list.csv", "--data", "tables") == 0
    assert capsys.readouterr().out == "member_id,tier\nm1,'=core\n"
    assert call(monkeypatch, "reveal", "list.csv", "--data", "tables", "--out", "ids.csv") == 0
    assert (folder / "ids.csv").read_text("utf-8-sig") == "member_id,tier\nm1,'=core\n"
    assert (folder / "ids.csv").stat().st_mode & 0o777 == 0o600
    assert call(monkeypatch, "reveal", "list.csv", "--data", "tables", "--out", "ids.parquet") == 0
    assert pd.read_parquet(folder / "ids.parquet").to_dict("records") == [
        {"member_id": "m1", "tier": "=core"}
    ]
    rows = "".join(f"o{i},m{i},2026-01-02T03:04:05Z,10,CNY\n" for i in range(40))
    (folder / "tables/orders.csv").write_text(f"order_id,member_id,paid_at,gross,currency\n{rows}")
    monkeypatch.setattr("helpers.data.guard.MOST_PULLED", 20)
    assert call(monkeypatch, "reveal", "list.csv", "--data", "tables") == 0
    monkeypatch.setenv("PLAYBOOK_SALT", "made elsewhere")
    assert call(monkeypatch, "reveal", "list.csv", "--data", "tables") == 2
    assert "1 of 1 pseudonyms match no id" in capsys.readouterr().err
    assert call(monkeypatch, "reveal", "tables", "--data", "tables") == 2
    assert "cannot be read" in capsys.readouterr().err


def test_a_connection_string_is_never_echoed(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = "jobs: [{notebook: rfm, data: 'Server=y;Uid=me;Pwd={geheim42}'}]\n"
    (folder / "secret.yml").write_text(plan)
    for where in ("host=db password=geheim42 dbname=x", "host=db password = 'geheim42'", "me:geheim42@db/x"):
        for command in (["check", where], ["run", "--data", where], ["reveal", "list.csv", "--data", where]):
            assert call(monkeypatch, *command) == 2
    assert call(monkeypatch, "run", "--plan", "secret.yml") == 2
    assert call(monkeypatch, "run", "-p", "data={'password': 'geheim42'}") == 2
    said = capsys.readouterr()
    assert "geheim42" not in said.out + said.err and said.err.count("postgres://user:${PGPASSWORD}") >= 7


def test_simulate_writes_tables_with_progress(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = []

    def write(*arguments: object, progress: Callable[[int, int], None], scenario: str) -> None:
        asked.append((*arguments, scenario))
        progress(60, 60)

    monkeypatch.setattr("helpers.simulate.write", write)
    assert call(monkeypatch, "simulate", "made", "--members", "60", "--days", "20", "--seed", "3") == 0
    said = capsys.readouterr()
    assert "60 members, 20 days, seed 3" in said.out and "60 of 60 members" in said.err
    assert call(monkeypatch, "simulate", "made", "--scenario", "shop") == 0
    assert asked == [(Path("made"), 60, 20, 3, "plain"), (Path("made"), 3000, 365, 1, "shop")]


def test_actions_are_listed_accepted_rejected_and_closed(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    today = dt.date.today()
    values = np.random.default_rng(1).normal(500, 20, 60)
    monkeypatch.setattr(planted, "MONDAY", last_week(today) - 59 * planted.WEEK)
    planted.publish(folder / "reports", today, values)
    assert call(monkeypatch, "actions", "list") == 0
    assert "retention.remind@" in capsys.readouterr().out
    assert (
        call(monkeypatch, "actions", "accept", "retention.remind", "--who", "lead", "--metric", "actives")
        == 2
    )
    assert "has no weeks on record" in capsys.readouterr().err
    accept = ("actions", "accept", "retention.remind", "--who", "lead", "--metric", "active_members")
    assert call(monkeypatch, *accept) == 0
    assert "accepted, check on" in capsys.readouterr().out
    (*_, line) = (folder / "reports/actions.jsonl").read_text().splitlines()
    assert [value for _, value in json.loads(line)["baseline"]] == list(values[-9:-1])
    assert call(monkeypatch, *accept) == 2 and "must be proposed" in capsys.readouterr().err
    assert call(monkeypatch, "actions", "close", "retention.remind", "--who", "lead", "--why", "done") == 0
    assert (
        call(monkeypatch, "actions", "reject", "retention.remind", "--who", "lead", "--why", "13912345678")
        == 2
    )
    assert "no number, address or key" in capsys.readouterr().err
