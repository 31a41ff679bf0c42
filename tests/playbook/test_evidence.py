"""What tests say of lines: the table, and the newest reports of A/B tests, no test twice."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from helpers.playbook.earlier import REPORTS
from helpers.playbook.evidence import known_evidence, told_reports
from helpers.study import Study

DAYS = {"start": dt.date(2026, 3, 2), "end": dt.date(2026, 3, 29), "as_of": dt.date(2026, 4, 1)}
STATED: dict[str, Any] = DAYS | {"estimand": "lift", "kind": "experiment", "unit": "orders", "se": 5.0}


def row(name: str, line: str, value: float, **more: Any) -> dict[str, Any]:
    return STATED | {"evidence_id": name, "line": line, "value": value, **more}


@pytest.fixture
def put(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Publish a report of a test named ``t`` with rows of evidence."""
    monkeypatch.setenv(REPORTS, str(tmp_path))

    def put(series: str, version: int, *rows: dict[str, Any], **parameters: str) -> None:
        folder = tmp_path / series / f"v{version}"
        (folder / "tables").mkdir(parents=True)
        frame = pd.DataFrame([row("t:v:2026-04-01", "t", 0.1), *rows])
        frame.to_parquet(folder / "tables" / "evidence.parquet")
        asked = {"as_of": "2026-04-01", "data": "data/ours", "segment": "", "experiment": "t"} | parameters
        files = {"tables/evidence.parquet": {"sha256": frame.to_json()}}
        manifest = {"status": "succeeded", "failure": None, "parameters": asked, "files": files}
        (folder / "manifest.json").write_text(json.dumps(manifest, default=str))

    return put


def study(*own: dict[str, Any]) -> Study:
    tables = {"evidence": pd.DataFrame(own)} if own else {}
    return Study.of(tables, "2026-04-05", data="../data/ours", reads_reports=("ab_test",))


def test_the_newest_report_of_a_test_stands_beside_the_table(put: Callable[..., None]) -> None:
    put("ab_test/t", 1, row("t:v:a", "a", 40.0))
    put("ab_test/t", 2, row("t:v:a", "a", 50.0), row("t:v:b", "b", 50.0))
    put("attribution/t", 1, row("x", "a", 9.0))
    found = known_evidence(study(row("1", "c", 7.0)))
    assert found[["line", "value", "report"]].to_numpy().tolist() == [
        ["c", 7.0, ""], ["a", 50.0, "ab_test/t v2"], ["b", 50.0, "ab_test/t v2"],
    ]  # fmt: skip
    assert "ab_test/t v2" in told_reports(found["report"]) and told_reports([""]) == ""
    assert known_evidence(study())["line"].tolist() == ["a", "b"]


def test_no_test_counts_twice(put: Callable[..., None]) -> None:
    """By id, as the same statement on the same days, or read under two labels; what an operator wrote stands."""
    put("ab_test/one", 1, row("t:v:a", "a", 40.0), row("t:v:b", "b", 60.0))
    put("ab_test/two", 1, row("t:v:a", "a", 40.0), row("t:v:c", "c", 80.0))
    found = known_evidence(study(row("t:v:b", "b", 61.0), row("mine", "c", 82.0), row("old", "c", 82.0)))
    assert found["value"].tolist() == [82.0, 82.0, 61.0, 40.0]
    assert found["line"].tolist() == ["c", "c", "b", "a"]


@pytest.mark.parametrize(
    "other", [{"data": "data/theirs"}, {"segment": "platform_home == 'x'"}, {"as_of": "2026-04-06"}]
)
def test_tests_of_others_do_not_count(put: Callable[..., None], other: dict[str, str]) -> None:
    put("ab_test/t", 1, row("t:v:a", "a", 40.0), **other)
    assert known_evidence(study()).empty
