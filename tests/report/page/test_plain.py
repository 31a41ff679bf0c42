"""A template that fails costs the page and nothing else: the run is published, and says that and why."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest
from nbformat import NotebookNode

from helpers.playbook.finding import Finding, Provenance
from helpers.report.page import index
from helpers.report.page import report as page
from helpers.report.publish import catalog
from helpers.report.publish.manifest import CellRun, Failure, dump_json, read_manifest
from helpers.report.run import engine, one_run
from helpers.report.run.result import RunResult
from tests.report.sample_pages import text_of
from tests.report.structure import problems

BuildNotebook = Callable[..., Path]
Run = Callable[..., RunResult]
FOUND = Finding(
    id="x", metric="X", scope="all", direction="neither", verdict="stated", sentence="X is one & more.", value=1.0,
    low=0.5, high=1.5, confidence=0.95, n=9, unit="share",
    provenance=Provenance(method="count", assumption="none"),
)  # fmt: skip


@pytest.fixture
def template(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of the templates that the pages are made with, to be broken."""
    folder = tmp_path / "template"
    shutil.copytree(page.TEMPLATES, folder)
    monkeypatch.setattr(page, "TEMPLATES", folder)
    caches = page.environment, page.style
    for cache in caches:
        cache.cache_clear()
    yield folder
    for cache in caches:
        cache.cache_clear()


def spoil(path: Path, text: str = "{{ nobody_knows_this }}") -> None:
    path.write_text(text + "\n" + path.read_text("utf-8"), "utf-8")


def page_of(result: RunResult) -> str:
    """Return what the page says; it must be sound whatever happened to it."""
    html = (result.folder / "report.html").read_text("utf-8")
    assert problems(html) == []
    return text_of(html)


def ending(
    monkeypatch: pytest.MonkeyPatch, status: str, failure: Failure | None = None, findings: str = "[]"
) -> None:
    """Let every run end in this way, without a kernel, and leave findings and a table."""

    def execute(nb: NotebookNode, *, environment: dict[str, str], **_: object) -> engine.Outcome:
        folder = Path(environment["PLAYBOOK_RUN_FOLDER"])
        (folder / "findings.json").write_text(findings)
        (folder / "tables").mkdir()
        pd.DataFrame({"a": [1]}).to_parquet(folder / "tables/kept.parquet")
        cells = [CellRun(number=i, id=cell.id, status="completed") for i, cell in enumerate(nb.cells, 1)]
        return engine.Outcome(status, failure, cells, [None] * len(cells), None)  # type: ignore[arg-type]

    monkeypatch.setattr(engine, "execute", execute)


def test_a_broken_template_loses_the_page_alone(
    project: Path, build_notebook: BuildNotebook, template: Path, monkeypatch: pytest.MonkeyPatch, run: Run
) -> None:
    ending(monkeypatch, "succeeded", findings=dump_json([FOUND.model_dump(mode="json")]))
    path = build_notebook("1 + 1")
    good = run(path)
    spoil(template / "findings.html.j2")
    bad = run(path)
    assert (good.status, bad.status, bad.version) == ("succeeded", "failed", 2)
    reason = "UndefinedError: 'nobody_knows_this' is undefined (findings.html.j2, line 1)"
    assert bad.line.endswith(f"(no page): The page of this report could not be built: {reason}.")
    written = read_manifest(bad.folder)
    assert written.failure is not None and (written.failure.kind, written.failure.cell) == ("no_page", None)
    assert {cell.status for cell in written.cells} == {"completed"}
    said = page_of(bad)
    assert "Tiny notebook: the page could not be built" in said and reason in said
    assert "rfm/all: failed" in said and "X is one & more." in said and str(project) not in said
    # All else is what the good run has, and the last good report stays the one that readers are led to.
    for name in ("findings.json", "actions.json", "notebook.ipynb", "tables/kept.parquet"):
        assert (bad.folder / name).read_bytes() == (good.folder / name).read_bytes()
        assert name in said
    assert set(written.files) == set(read_manifest(good.folder).files)
    assert json.loads((bad.folder.parent / "latest.json").read_text())["version"] == 1
    index.rebuild(project / "reports")
    listed = text_of((project / "reports" / "index.html").read_text("utf-8"))
    assert f"The page of this report could not be built: {reason}." in listed


def test_the_same_inputs_give_the_same_plain_page(
    build_notebook: BuildNotebook, template: Path, monkeypatch: pytest.MonkeyPatch, run: Run
) -> None:
    ending(monkeypatch, "succeeded")
    spoil(template / "page.html.j2", "{% endfor %}")
    path = build_notebook("1 + 1")
    one, two = run(path), run(path)
    assert "TemplateSyntaxError" in page_of(one) and "(page.html.j2, line 1)" in page_of(one)
    assert (one.folder / "report.html").read_bytes() == (two.folder / "report.html").read_bytes()
    (template / "page.html.j2").unlink()
    assert "TemplateNotFound: 'page.html.j2'" in page_of(run(path))


def test_a_run_that_failed_keeps_its_reason_beside_that_of_its_page(
    build_notebook: BuildNotebook, template: Path, monkeypatch: pytest.MonkeyPatch, run: Run
) -> None:
    spoil(template / "page.html.j2")
    ending(monkeypatch, "timed_out", Failure(kind="timed_out", cell=2, error="E", message="It took 9 s."))
    late = run(build_notebook("1 + 1"))
    assert late.status == "timed_out" and late.manifest.failure is not None
    assert (late.manifest.failure.kind, late.manifest.failure.headline) == ("timed_out", "It took 9 s.")
    said = page_of(late)
    assert "It took 9 s." in said and "The page of this report could not be built" in said


def test_a_report_without_its_table_that_has_no_page_either_has_failed(
    build_notebook: BuildNotebook, template: Path, monkeypatch: pytest.MonkeyPatch, run: Run
) -> None:
    spoil(template / "page.html.j2")
    missing = Failure(kind="missing_table", cell=2, error="MissingTable", message="table events missing")
    ending(monkeypatch, "not_run", missing)
    result = run(build_notebook("1 + 1"))
    assert result.status == "failed" and result.manifest.failure is not None
    assert result.manifest.failure.kind == "no_page" and "table events missing" in page_of(result)


def test_the_reason_tells_no_secret(
    project: Path, build_notebook: BuildNotebook, template: Path, monkeypatch: pytest.MonkeyPatch, run: Run
) -> None:
    monkeypatch.setenv("API_TOKEN", "tok-5up3r-5ecret")
    ending(monkeypatch, "succeeded")
    spoil(template / "page.html.j2", "{{ {}['tok-5up3r-5ecret'] }}")
    assert "has no attribute '***'" in page_of(run(build_notebook("1 + 1")))
    index.rebuild(project / "reports")
    written = [path for path in (project / "reports").rglob("*") if path.is_file()]
    assert len(written) > 5
    assert not [path for path in written if b"tok-5up3r-5ecret" in path.read_bytes()]


def test_findings_that_cannot_be_read_lose_the_page_alone(
    project: Path, build_notebook: BuildNotebook, monkeypatch: pytest.MonkeyPatch, run: Run
) -> None:
    ending(monkeypatch, "succeeded", findings="{")
    result = run(build_notebook("1 + 1"))
    assert result.status == "failed" and "JSONDecodeError" in page_of(result)
    assert catalog.build(project / "reports").unreadable == ["rfm/all/v1"]


def test_an_index_that_cannot_be_built_leads_to_every_version(
    project: Path, put_version: Callable[..., Path], template: Path
) -> None:
    reports = project / "reports"
    put_version(reports, "rfm/all", 1)
    put_version(reports, "rfm/all", 2, status="failed")
    (put_version(reports, "rfm/all", 3) / "manifest.json").write_text("{")
    spoil(template / "index.html.j2")
    made = index.rebuild(reports)
    html = (reports / "index.html").read_text("utf-8")
    assert problems(html) == [] and len(made.series[0].versions) == 2
    said = text_of(html)
    assert (
        "could not be built: UndefinedError: 'nobody_knows_this' is undefined (index.html.j2, line 1)" in said
    )
    assert (
        "rfm/all/v1: complete" in said and "rfm/all/v2: failed" in said and "rfm/all/v3: unreadable" in said
    )
    assert 'href="rfm/all/v1/report.html"' in html


@pytest.mark.parametrize("part", ["redact_folder", "report_html"])
def test_writing_a_run_up_has_an_end(
    build_notebook: BuildNotebook, monkeypatch: pytest.MonkeyPatch, run: Run, part: str
) -> None:
    def without_end(*_: object) -> None:
        while True:
            pass

    ending(monkeypatch, "succeeded")
    monkeypatch.setattr(one_run, part, without_end)
    monkeypatch.setattr(one_run, "LONGEST", 0.1)
    monkeypatch.setattr(one_run, "LEAST", 0.1 if part == "redact_folder" else 0.5)
    result = run(build_notebook("1 + 1"))
    kept = "tables/kept.parquet" in result.manifest.files
    if part == "redact_folder":
        assert (result.status, kept) == ("timed_out", False), "nobody knows what it holds"
        assert "could not be looked through for secrets in its time" in page_of(result)
    else:
        assert (result.status, kept) == ("failed", True)
        assert "could not be built: OutOfTime: the time of the run was over" in page_of(result)
    assert set(result.manifest.files) >= {"report.html", "notebook.ipynb", "findings.json", "actions.json"}
