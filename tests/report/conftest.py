"""Small notebooks, tables and manifests for the tests of runs and reports."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import nbformat
import pandas as pd
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from helpers.report.publish.manifest import Bookkeeping, Code, Data, Failure, Manifest
from helpers.report.run import batch, kernels
from helpers.report.run.kernels.client import ForkServer
from helpers.report.run.kernels.environment import kernel_environment
from helpers.report.run.one_run import execute
from helpers.report.run.result import RunResult
from tests.report.plans import plan

BuildNotebook = Callable[..., Path]
BuildManifest = Callable[..., Manifest]
PARAMETERS = 'data: str = "tables"  # where the tables are\nseed: int = 3  # seed of every draw'


@pytest.fixture(scope="session")
def fork_server() -> Iterator[ForkServer]:
    """A fork server with all libraries, started once."""
    if kernels.mode() != "fork":
        pytest.skip("kernels are not forked on this system")
    with closing(ForkServer(kernel_environment("", ""))) as server:
        yield server


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project: a folder with ``notebooks`` and a folder of tables."""
    root = tmp_path / "project"
    (root / "notebooks").mkdir(parents=True)
    (root / "tables").mkdir()
    orders = pd.DataFrame(
        {
            "order_id": ["o1", "o2", "o3"],
            "member_id": ["m1", "m1", "m2"],
            "paid_at": pd.to_datetime(["2026-01-01", "2026-01-02", "2026-01-03"], utc=True),
            "gross": [10.0, 20.0, 30.0],
        }
    )
    orders.to_parquet(root / "tables" / "orders.parquet")
    return root


@pytest.fixture
def build_notebook(project: Path) -> BuildNotebook:
    """Make a notebook of the project from the sources of its code cells."""

    def build(*sources: str, name: str = "01_rfm", parameters: str = PARAMETERS) -> Path:
        cell = new_code_cell(parameters, metadata={"tags": ["parameters"]}, id="parameters")
        code = [new_code_cell(source, id=f"code-{number}") for number, source in enumerate(sources)]
        title = new_markdown_cell("# Tiny notebook\n\nDoes it\nrun?\n\nMore prose.", id="title")
        kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
        path = project / "notebooks" / f"{name}.ipynb"
        nbformat.write(new_notebook(cells=[title, cell, *code], metadata={"kernelspec": kernel}), path)
        return path

    return build


@pytest.fixture
def run(project: Path, fork_server: ForkServer) -> Callable[..., RunResult]:
    """Run one notebook of the project and publish its report."""

    def run(path: Path, reports: Path | None = None, **options: Any) -> RunResult:
        return execute(plan(path, **options), reports or project / "reports", server=fork_server)

    return run


@pytest.fixture
def forked(fork_server: ForkServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let batches have their kernels from the server of all tests."""

    class Lent:
        def __init__(self, environment: object) -> None:
            self.fork = fork_server.fork

        def close(self) -> None:
            """It goes on."""

    monkeypatch.setattr(batch, "ForkServer", Lent)
    monkeypatch.setenv(kernels.VARIABLE, "fork")


@pytest.fixture
def build_manifest() -> BuildManifest:
    """Make a manifest without running anything."""

    def build(
        series: str = "rfm/all", version: int = 1, status: str = "succeeded", minute: int = 0
    ) -> Manifest:
        failure = None
        if status != "succeeded":
            failure = Failure(kind="exception", cell=2, error="ValueError", message="no luck")
        return Manifest(
            series=series,
            label=series.partition("/")[2],
            notebook="01_rfm",
            title="Tiny notebook",
            question="Does it run?",
            status=status,
            failure=failure,
            parameters={"as_of": "2026-06-30"},
            seed=3,
            data=Data(url="tables", tables={}),
            code=Code(notebook_sha256="0" * 64, modules={"helpers": "1" * 64}, lock_sha256=None),
            python="3.11",
            packages={},
            run_key="2" * 64,
            cells=[],
            files={},
            bookkeeping=Bookkeeping(
                version=version,
                started_at=f"2026-07-01T00:{minute:02d}:00.000+00:00",
                finished_at=f"2026-07-01T00:{minute:02d}:30.000+00:00",
                seconds=30.0,
                cell_seconds=[],
                peak_memory_bytes=None,
                git_commit=None,
                git_dirty=None,
                platform="test",
            ),
        )

    return build


@pytest.fixture
def put_version(build_manifest: BuildManifest) -> Callable[..., Path]:
    """Write a version folder directly, as if it had been published."""

    def put(
        reports: Path, series: str, version: int, findings: list[dict] | None = None, **options: object
    ) -> Path:
        folder = reports / series / f"v{version}"
        folder.mkdir(parents=True)
        (folder / "manifest.json").write_text(build_manifest(series, version, **options).to_json())
        (folder / "findings.json").write_text(json.dumps(findings or []))
        return folder

    return put
