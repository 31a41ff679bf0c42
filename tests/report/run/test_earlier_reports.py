"""Runs that read earlier reports: they start behind these, and are made again when these say something else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from helpers.report.plan import plan_file
from helpers.report.plan.skip import decide
from helpers.report.publish.manifest import read_manifest
from helpers.report.run import batch
from helpers.report.run.progress import Event
from helpers.report.run.result import RunResult

pytestmark = pytest.mark.usefixtures("forked")
TEST = """from helpers.report import params, record
import pandas as pd, pathlib, time
parameters = params.read("03_ab_test", globals())
time.sleep(0.5)
text = pathlib.Path("../says.txt").read_text()
assert text != "broken", "no luck"
record.table("evidence", pd.DataFrame({"says": [text]}), "What the test says")"""
READER = """from helpers.playbook.earlier import EarlierReports, earlier_reports
from helpers.report import params, record
from helpers.study import Study
import pandas as pd
parameters = params.read("04_attribution", globals())
study = Study.of({}, parameters.as_of, reads_reports=parameters.reads_reports)
reports = earlier_reports(study)
rows = [(one.series, one.table("evidence")["says"][0]) for one in reports.latest()]
rows += [(one.series, one.status) for one in reports.troubles()]
record.table("seen", pd.DataFrame(rows, columns=["series", "says"]), "What earlier reports say")"""


@pytest.fixture
def make(
    project: Path, build_notebook: Callable[..., Path]
) -> Callable[..., tuple[list[RunResult], list[Event]]]:
    """Run attribution and one A/B test that says so; return results and events."""
    build_notebook(TEST, name="03_ab_test")
    build_notebook(READER, name="04_attribution")

    def make(says: str) -> tuple[list[RunResult], list[Event]]:
        (project / "says.txt").write_text(says)
        plans = plan_file.of_notebooks(["attribution", "ab_test"], notebooks=project / "notebooks")
        events: list[Event] = []
        return batch.execute_all(plans, reports=project / "reports", progress=events.append), events

    return make


def seen(result: RunResult) -> list[tuple[str, str]]:
    assert result.folder is not None
    frame = pd.read_parquet(result.folder / "tables" / "seen.parquet")
    return list(zip(frame["series"], frame["says"], strict=True))


def test_a_run_reads_what_was_made_before_it_and_is_made_again_when_that_changed(
    make: Callable[..., tuple[list[RunResult], list[Event]]], project: Path
) -> None:
    (test, reader), events = make("one")
    assert [event.text for event in events if event.kind == "done"] == [test.line, reader.line]
    assert [(event.kind, event.run) for event in events if event.kind != "cell"][:2] == [
        ("start", 0),
        ("done", 0),
    ]
    assert seen(reader) == [("ab_test/all", "one")]
    manifest = read_manifest(project / "reports/attribution/all/v1")
    assert list(manifest.earlier_reports) == ["ab_test/all"] and manifest.data.changed == []

    again, events = make("one")
    assert [result.status for result in again] == ["skipped", "skipped"]

    (test, reader), _ = make("two")  # the text is no input of its run key: make it again by hand
    assert (test.status, reader.status) == ("skipped", "skipped")
    plans = plan_file.of_notebooks(["attribution", "ab_test"], notebooks=project / "notebooks")
    (test,) = batch.execute_all(plans[:1], reports=project / "reports", force=True)
    assert decide(plans[1], project / "reports").reason == "earlier reports changed: ab_test/all"
    (test, reader), _ = make("two")
    assert (test.status, reader.status, seen(reader)) == ("skipped", "succeeded", [("ab_test/all", "two")])

    batch.execute_all(plans[:1], reports=project / "reports", force=True)  # says the same in a new version
    (test, reader), _ = make("two")
    assert (test.version, test.status, reader.status) == (3, "skipped", "skipped")


def test_what_failed_is_waited_for_and_the_reader_runs_with_what_there_is(
    make: Callable[..., tuple[list[RunResult], list[Event]]],
) -> None:
    (test, reader), _ = make("broken")
    assert (test.status, reader.status, seen(reader)) == ("failed", "succeeded", [("ab_test/all", "failed")])
    (test, reader), _ = make("mended")
    assert (test.status, reader.status, seen(reader)) == (
        "succeeded",
        "succeeded",
        [("ab_test/all", "mended")],
    )
    (test, reader), _ = make("mended")
    assert (test.status, reader.status) == ("skipped", "skipped")
