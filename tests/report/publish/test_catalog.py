"""The catalogue: derived, deterministic, complete about failures."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from helpers.report.page import index
from helpers.report.publish import catalog, store
from helpers.report.publish.manifest import read_manifest

FINDING = {
    "id": "rfm.top20_share",
    "metric": "Share of the top 20 %",
    "scope": "all members",
    "value": 0.6,
    "low": 0.5,
    "high": 0.7,
    "confidence": 0.95,
    "n": 1000,
    "unit": "share",
    "direction": "neither",
    "verdict": "stated",
    "sentence": "The top 20 % bring 60 %.",
    "provenance": {"method": "bootstrap", "assumption": "members are independent"},
}


def test_series_versions_and_latest(tmp_path: Path, put_version: Callable[..., Path]) -> None:
    put_version(tmp_path, "rfm/all", 1, [FINDING])
    put_version(tmp_path, "rfm/all", 2, [{**FINDING, "id": f"f{n}"} for n in range(7)], status="failed")
    put_version(tmp_path, "retention/douyin", 10)
    found = index.rebuild(tmp_path)
    assert [series.series for series in found.series] == ["retention/douyin", "rfm/all"]
    rfm = found.series[1]
    assert [version.version for version in rfm.versions] == [2, 1]
    assert rfm.latest == 1
    assert rfm.versions[0].status == "failed" and rfm.versions[0].failure is not None
    assert len(rfm.versions[0].headlines) == catalog.HEADLINES
    assert rfm.versions[1].headlines[0].sentence == FINDING["sentence"]
    assert rfm.versions[1].path == "rfm/all/v1"
    assert "retention/douyin" in (tmp_path / "index.html").read_text()


def test_rebuilding_changes_no_byte(tmp_path: Path, put_version: Callable[..., Path]) -> None:
    for version in (1, 2, 3):
        put_version(tmp_path, "rfm/all", version, [FINDING], minute=version)
    index.rebuild(tmp_path)
    first = (tmp_path / "catalog.json").read_bytes()
    index.rebuild(tmp_path)
    assert (tmp_path / "catalog.json").read_bytes() == first
    assert catalog.Catalog.model_validate_json(first) == catalog.build(tmp_path)


def test_a_damaged_version_is_named_and_hides_no_other(
    tmp_path: Path, put_version: Callable[..., Path]
) -> None:
    put_version(tmp_path, "rfm/all", 1)
    (put_version(tmp_path, "rfm/all", 2) / "manifest.json").write_text("{")
    found = catalog.build(tmp_path)
    assert found.unreadable == ["rfm/all/v2"]
    assert [version.version for version in found.series[0].versions] == [1]
    assert store.latest(tmp_path, "rfm/all") == 1


def test_a_version_published_meanwhile_is_not_missed(
    tmp_path: Path, put_version: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    put_version(tmp_path, "rfm/all", 1)
    calls = []

    def slow_page(found: catalog.Catalog) -> str:
        calls.append(len(found.series[0].versions))
        if len(calls) == 1:
            put_version(tmp_path, "rfm/all", 2)  # another process publishes while this one renders
        return ""

    monkeypatch.setattr(index, "index_html", slow_page)
    found = index.rebuild(tmp_path)
    assert calls == [1, 2]
    assert [version.version for version in found.series[0].versions] == [2, 1]


def test_an_empty_reports_folder_has_an_empty_catalogue(tmp_path: Path) -> None:
    assert catalog.build(tmp_path / "nothing").series == []
    assert index.rebuild(tmp_path / "new").series == []


def test_only_new_versions_are_read_again(
    tmp_path: Path, put_version: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in (1, 2, 3):
        put_version(tmp_path, "rfm/all", number, [FINDING])
    index.rebuild(tmp_path)
    put_version(tmp_path, "rfm/all", 4, [FINDING])
    read: list[str] = []
    whole = catalog.read_manifest
    monkeypatch.setattr(catalog, "read_manifest", lambda folder: read.append(folder.name) or whole(folder))
    found = index.rebuild(tmp_path)
    assert read == ["v4"]
    assert found == catalog.build(tmp_path)


def test_a_number_given_again_is_read_again(tmp_path: Path, put_version: Callable[..., Path]) -> None:
    put_version(tmp_path, "rfm/all", 1)
    put_version(tmp_path, "rfm/all", 2, [FINDING])
    put_version(tmp_path, "rfm/all", 3)
    index.rebuild(tmp_path)
    shutil.rmtree(tmp_path / "rfm/all/v2")
    manifest = put_version(tmp_path, "rfm/all", 2) / "manifest.json"
    later = (tmp_path / "catalog.json").stat().st_mtime_ns + 1_000_000_000
    os.utime(manifest, ns=(later, later))
    assert index.rebuild(tmp_path) == catalog.build(tmp_path)


def test_a_damaged_catalogue_is_built_anew(tmp_path: Path, put_version: Callable[..., Path]) -> None:
    put_version(tmp_path, "rfm/all", 1, [FINDING])
    (tmp_path / "catalog.json").write_text("{")
    assert catalog.unchanged(tmp_path) == {}
    assert len(index.rebuild(tmp_path).series) == 1


def test_pages_that_compare_versions_are_listed(tmp_path: Path, put_version: Callable[..., Path]) -> None:
    put_version(tmp_path, "rfm/all", 1)
    diffs = tmp_path / "rfm/all" / catalog.DIFFS
    diffs.mkdir()
    for name in ("v1-v2.html", "rfm.weibo-v1-v2.html", ".v1-v2.html-part"):
        (diffs / name).touch()
    assert catalog.build(tmp_path).series[0].diffs == ["v1-v2.html"]


def test_manifests_of_older_versions_count_cells_as_today(
    tmp_path: Path, put_version: Callable[..., Path]
) -> None:
    folder = put_version(tmp_path, "rfm/all", 1, status="failed")
    path = folder / "manifest.json"
    today = json.loads(path.read_bytes())
    cells = [{"index": 0, "id": "title", "status": "completed"}, {"index": 1, "id": "x", "status": "failed"}]
    failure = today["failure"] | {"cell": 1}
    path.write_text(json.dumps(today | {"schema_version": 1, "cells": cells, "failure": failure}))
    read = read_manifest(folder)
    assert [cell.number for cell in read.cells] == [1, 2] and read.schema_version == 2
    assert read.failure is not None and read.failure.cell == 2
