"""From the sample community to published reports, through the command an operator types."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from tests import golden, latin
from tests.report.structure import problems, warnings

COMMAND = [str(Path(sys.executable).with_name("playbook"))]


def playbook(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


# A plan with almost nothing left at its default.
OTHERWISE = """
parameters: {{data: {data}}}
jobs:
  - notebook: rfm
    label: douyin
    parameters:
      segment: platform_home == "douyin"
      tier_scheme: pyramid
      period: quarter
      value_weights: {{goods: 1, tip: 1, share: 2}}
      window_days: 60
      holdout_days: 45
      bins: 4
  - notebook: retention
    label: douyin
    parameters:
      segment: platform_home == "douyin"
      count: interaction
      retention_days: [3, 14]
      cohort: week
      split_by: age_band
      period: month
      allowed_false_churn: 0.2
      landmark_day: 14
      tier_actions: 5
      value_weights: {{goods: 1, tip: 1, share: 2}}
      value_days: 180
      discount_rate: 0.2
      cohort_age_days: 60
      confidence: 0.9
  - notebook: outlook
    label: douyin
    parameters:
      segment: platform_home == "douyin"
      count: interaction
      horizon_days: 45
      value_weights: {{goods: 1, tip: 1, share: 2}}
      list_holdout_share: 0.2
      confidence: 0.9
  - notebook: attribution
    label: douyin
    parameters:
      segment: platform_home == "douyin"
      conversion: repeat order
      lookback_days: 14
      period_days: 180
      channels: {{B站: bilibili, 微博: ""}}
      margin: 0.5
      confidence: 0.9
  - notebook: budget
    label: douyin
    parameters:
      line: platform
      turnover: 300
      margin: 0.5
      target: 3
      amount: 2000
      room: 0.3
      reserve_share: 0.1
      core: [douyin]
      confidence: 0.9
  - notebook: ab_test
    label: douyin
    parameters:
      experiment: exp_first_order_coupon
      proof_runs: 200
  - notebook: weekly_review
    label: douyin
    parameters:
      segment: platform_home == "douyin"
      address: https://reports.example
      confidence: 0.9
"""


@pytest.fixture(scope="module")
def published(root, tmp_path_factory) -> Path:
    """Reports of the sample, as the command makes them by default."""
    reports = tmp_path_factory.mktemp("reports")
    done = playbook("run", "--reports", str(reports), cwd=root, TZ="UTC", PYTHONHASHSEED="1")
    assert done.returncode == 0, done.stderr + done.stdout
    return reports


@pytest.fixture(scope="module")
def chinese(root, tmp_path_factory) -> Path:
    """The same reports in Chinese."""
    reports = tmp_path_factory.mktemp("chinese")
    done = playbook("run", "-p", "language=zh", "--reports", str(reports), cwd=root)
    assert done.returncode == 0, done.stderr + done.stdout
    return reports


METHODS = ["rfm", "retention", "outlook", "attribution", "budget", "ab_test", "weekly_review"]


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> Path:
    """A year of 900 members."""
    return golden.simulate(tmp_path_factory.mktemp("small") / "data", 900, seed=8)


@pytest.fixture(scope="module")
def otherwise(root, small, tmp_path_factory) -> Path:
    """Reports of a small community by a plan, run twice from different places, zones and hash seeds."""
    reports, plan = tmp_path_factory.mktemp("reports"), tmp_path_factory.mktemp("plan") / "otherwise.yml"
    plan.write_text(OTHERWISE.format(data=small), "utf-8")
    for place, zone, seed in ((root, "UTC", "1"), (root / "notebooks", "America/Lima", "2")):
        arguments = ("run", "--plan", str(plan), "--force", "--reports", str(reports))
        done = playbook(*arguments, cwd=place, TZ=zone, PYTHONHASHSEED=seed)
        assert done.returncode == 0, done.stderr + done.stdout
    return reports


@pytest.mark.parametrize("method", METHODS)
def test_the_same_inputs_give_the_same_bytes(otherwise, method):
    one, two = otherwise / f"{method}/douyin/v1", otherwise / f"{method}/douyin/v2"
    files = sorted(path.relative_to(one) for path in one.rglob("*") if path.is_file())
    assert len(files) > 20
    different = [str(file) for file in files if (one / file).read_bytes() != (two / file).read_bytes()]
    assert different == ["manifest.json"]


@pytest.mark.parametrize(
    ("method", "notebook"),
    [
        *[("rfm", "01_rfm"), ("retention", "02_retention"), ("outlook", "14_outlook")],
        *[("ab_test", "03_ab_test"), ("attribution", "04_attribution"), ("budget", "05_budget")],
    ],
)
def test_the_numbers_are_the_stored_ones(published, method, notebook):
    golden.check("sample", notebook, golden.published(published / f"{method}/all/v1"))


def test_report_and_index_are_complete_accessible_and_offline(published):
    for page in (
        "rfm/all/v1/report.html",
        "retention/all/v1/report.html",
        "outlook/all/v1/report.html",
        "ab_test/all/v1/report.html",
        "attribution/all/v1/report.html",
        "budget/all/v1/report.html",
        "weekly_review/all/v1/report.html",
        "index.html",
    ):
        text = (published / page).read_text("utf-8")
        assert problems(text) == []
        assert len(text) < 500_000
    report = (published / "rfm/all/v1/report.html").read_text("utf-8")
    assert warnings(report) == []
    assert report.count('<figure class="chart">') == 7
    assert "核心型" in report
    assert "Traceback" not in report


@pytest.mark.parametrize("method", METHODS)
def test_no_english_is_left_on_a_chinese_page_but_names_units_and_code(chinese, method, root):
    page = (chinese / f"{method}/all.zh/v1/report.html").read_text("utf-8")
    names = latin.names_of(root / "data" / "sample", chinese / f"{method}/all.zh/v1/manifest.json")
    assert latin.untranslated(page, names) == {}
    assert problems(page) == [] and '<html lang="zh-Hans">' in page


def test_the_index_of_chinese_reports_is_chinese_and_links_them(chinese, root):
    page = (chinese / "index.html").read_text("utf-8")
    names = latin.names_of(root / "data" / "sample", chinese / "ab_test/all.zh/v1/manifest.json")
    assert latin.untranslated(page, names) == {} and problems(page) == []
    assert all(f"{method}/all.zh/v1/report.html" in page for method in METHODS)


def test_english_on_a_chinese_page_is_found():
    page = (
        "<p>中位数 the median<details><summary>更多</summary><p>R-hat 1.00，n，bili_pickup，Shapley</p></details>"
        '<img alt="Bars by tier">'
    )
    found = latin.untranslated(page + "<code>SELECT one</code><pre>and two</pre>", frozenset())
    assert list(found) == ["the median", "Bars by tier"]


@pytest.mark.parametrize("method", METHODS)
def test_in_chinese_only_words_differ(published, chinese, method):
    english, other = published / f"{method}/all/v1", chinese / f"{method}/all.zh/v1"
    for name in ("findings.json", "actions.json"):
        old, new = (
            json.loads((folder / name).read_text("utf-8").replace("/all.zh", "/all"))
            for folder in (english, other)
        )
        assert [row["id"] for row in old] == [row["id"] for row in new]
        assert golden.differences(golden.numbers(old), golden.numbers(new)) == []
    files = [path.relative_to(english) for path in english.rglob("*.parquet")]
    assert len(files) > 5 and {path.relative_to(other) for path in other.rglob("*.parquet")} == set(files)
    for file in files:
        old, new = pd.read_parquet(english / file), pd.read_parquet(other / file)
        assert list(old.columns) == list(new.columns), file
        pd.testing.assert_frame_equal(_numbers(old), _numbers(new), rtol=golden.TOLERANCE, obj=str(file))


def _numbers(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table with a mark for every text that is there."""
    texts = table.select_dtypes(["object", "string", "category"]).columns
    return table.assign(**{name: table[name].notna() for name in texts})


def test_no_machine_path_and_no_member_id_is_published(published, root):
    ids = _ids(root)
    for path in filter(Path.is_file, published.rglob("*")):
        text = (
            str(pd.read_parquet(path).to_dict("list"))
            if path.suffix == ".parquet"
            else path.read_text("utf-8")
        )
        assert str(root) not in text, path
        assert not ids & set(re.findall(r"(?<!\d)\d{18,19}(?!\d)", text)), path
        assert '"name": "stderr"' not in text, f"a warning of a program in {path}"


def _ids(root: Path) -> set[str]:
    """Return what names one member, or one thing that a member did."""
    places = (("members", "member_id"), ("orders", "order_id"), ("events", "event_id"))
    read = [
        pd.read_parquet(root / f"data/sample/{table}.parquet", columns=[name])[name] for table, name in places
    ]
    return set(pd.concat(read).astype(str))


@pytest.mark.parametrize(
    ("method", "count"),
    [("rfm", 8), ("retention", 9), ("outlook", 7), ("ab_test", 7), ("attribution", 9), ("budget", 13)],
)
def test_every_finding_has_an_interval_and_every_action_rests_on_findings(published, method, count):
    folder = published / f"{method}/all/v1"
    findings = {f["id"]: f for f in json.loads((folder / "findings.json").read_text("utf-8"))}
    actions = json.loads((folder / "actions.json").read_text("utf-8"))
    assert len(findings) == count
    assert all(
        f["n"] > 0 and f["low"] <= f["value"] <= f["high"]
        for f in findings.values()
        if f["value"] is not None
    )
    assert actions
    assert all(set(action["finding_ids"]) <= set(findings) for action in actions)


def test_the_review_ends_with_a_summary_and_at_most_three_decisions(published):
    folder = published / "weekly_review/all/v1"
    findings = {f["id"]: f for f in json.loads((folder / "findings.json").read_text("utf-8"))}
    actions = json.loads((folder / "actions.json").read_text("utf-8"))
    assert 1 <= len(actions) <= 3
    assert all(set(action["finding_ids"]) <= set(findings) for action in actions)
    assert {"retention.day_n", "budget.return"} <= set(findings), "as other reports published them"
    known = [f for f in findings.values() if f["value"] is not None]
    assert all(f["low"] <= f["value"] <= f["high"] for f in known)
    summary = (folder / "summary.txt").read_text("utf-8")
    assert len(summary) <= 501 and actions[0]["title"][:20] in summary and "index.html" in summary
    assert not re.search(r"p_[0-9a-f]{16}", summary)


def test_another_segment_scheme_period_and_value_mix_run_too(otherwise, small, root):
    report = (otherwise / "rfm/douyin/v2/report.html").read_text("utf-8")
    assert "核心KOC" in report
    assert problems(report) == []
    typed = ["run", "01_rfm", "--reports", str(otherwise), "--label", "douyin"]
    for setting in (
        f"data={small}",
        'segment=platform_home == "douyin"',
        "tier_scheme=pyramid",
        "period=quarter",
        "value_weights={goods: 1, tip: 1, share: 2}",
        "window_days=60",
        "holdout_days=45",
        "bins=4",
    ):
        typed += ["-p", setting]
    done = playbook(*typed, cwd=root)
    assert done.returncode == 0, done.stderr + done.stdout
    assert "rfm/douyin: skipped, unchanged since v2" in done.stderr, "typed or in a plan, it is the same run"


@pytest.mark.parametrize(
    ("method", "finding", "metric"),
    [("retention", "newcomer_value", "in 180 days"), ("outlook", "silent_next", "45 days")],
)
def test_another_segment_horizon_and_level_run_too(published, otherwise, method, finding, metric):
    folder = otherwise / f"{method}/douyin/v1"
    assert problems((folder / "report.html").read_text("utf-8")) == []
    part, whole = (
        {f["id"]: f for f in json.loads((path / "findings.json").read_text("utf-8"))}
        for path in (folder, published / f"{method}/all/v1")
    )
    name = f"{method}.{finding}"
    assert {f["confidence"] for f in part.values()} == {0.9}
    assert metric in part[name]["metric"] and part[name]["metric"] != whole[name]["metric"]
    assert 0 < part[name]["n"] < whole[name]["n"]
    assert all(f["low"] <= f["value"] <= f["high"] for f in part.values() if f["value"] is not None)


def test_a_misspelt_parameter_is_refused_before_any_kernel_starts(root, tmp_path):
    done = playbook("run", "01_rfm", "-p", "segmnt=x", "--reports", str(tmp_path), cwd=root)
    assert done.returncode == 2
    assert 'Did you mean "segment"?' in done.stderr
    assert list(tmp_path.iterdir()) == []
