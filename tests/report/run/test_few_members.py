"""A report says nothing about fewer than k_min members, and no byte of it holds the id of one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from helpers.errors import BadParameters
from helpers.report.run.kernels.client import ForkServer
from helpers.report.run.one_run import execute
from helpers.report.run.result import RunResult
from tests.report.plans import plan

Run = Callable[..., RunResult]
NOTEBOOKS = ("01_rfm", "02_retention", "14_outlook")
AS_OF = "2026-06-30"


def community(folder: Path, members: int, twice: int = 0) -> Path:
    """Write members in regions of four, with an action a day and an order a week; some orders stand there twice."""
    ids = [f"raw-member-{number}" for number in range(members)]
    days = pd.date_range("2026-01-05", AS_OF, tz="UTC")
    who, when = np.repeat(ids, len(days)), np.tile(days, members)
    names = [f"raw-event-{number}" for number in range(len(who))]
    events = pd.DataFrame({"event_id": names, "member_id": who, "ts": when, "event": "like"})
    bought = events.iloc[::7]
    numbers = [f"raw-order-{max(number, twice)}" for number in range(len(bought))]
    orders = pd.DataFrame({"order_id": numbers, "member_id": bought["member_id"], "paid_at": bought["ts"]})
    regions = [f"region-{number // 4}" for number in range(members)]
    people = {"member_id": ids, "joined_at": days[0], "platform_home": "douyin", "region": regions}
    tables = {"members": pd.DataFrame(people), "events": events}
    tables["orders"] = orders.assign(gross=10.0, discount=0.0, refund=0.0, currency="CNY")
    folder.mkdir(parents=True)
    for name, frame in tables.items():
        frame.to_parquet(folder / f"{name}.parquet", index=False)
    return folder


def bytes_of(folder: Path) -> bytes:
    """Return every byte below a folder, names too, and what Parquet holds."""
    found = []
    for path in folder.rglob("*"):
        found.append(str(path.relative_to(folder)).encode())
        if path.suffix == ".parquet":
            found.append(repr(pq.read_table(path).to_pydict()).encode())
        elif path.is_file():
            found.append(path.read_bytes())
    return b"\n".join(found)


@pytest.fixture
def made(root: Path, tmp_path: Path, fork_server: ForkServer) -> Run:
    """Run a notebook of the project on a community, and look for ids in all that it leaves."""

    def run(notebook: str, data: Path, **parameters: object) -> RunResult:
        reports = tmp_path / "reports"
        parameters = {"as_of": AS_OF, **parameters}
        done = execute(
            plan(root / f"notebooks/{notebook}.ipynb", data=str(data), parameters=parameters),
            reports,
            server=fork_server,
        )
        assert b"raw-" not in bytes_of(reports)
        return done

    return run


@pytest.mark.parametrize("notebook", NOTEBOOKS)
@pytest.mark.parametrize(
    ("members", "segment"),
    [(9, ""), (40, 'region in ["region-1", "region-2"]')],
)
def test_of_too_few_nothing_is_said(
    made: Run, tmp_path: Path, notebook: str, members: int, segment: str
) -> None:
    done = made(notebook, community(tmp_path / "tables", members), segment=segment)
    assert done.manifest.failure is not None
    assert (done.status, done.manifest.failure.kind) == ("not_run", "too_few_members")
    assert done.manifest.failure.message.startswith("There are fewer than 10 members (")
    there = {path.name for path in done.folder.rglob("*")}
    assert there == {"report.html", "notebook.ipynb", "findings.json", "actions.json", "manifest.json"}
    assert (done.folder / "findings.json").read_text() == "[]\n"
    assert f"{members} members" not in (done.folder / "report.html").read_text()


def test_what_is_wrong_with_the_tables_is_published_without_their_rows(made: Run, tmp_path: Path) -> None:
    done = made("01_rfm", community(tmp_path / "tables", 12, twice=3))
    assert done.manifest.failure is not None and done.manifest.failure.kind == "bad_data"
    assert "duplicate key in 3 rows, which `playbook check` shows" in done.manifest.failure.message


@pytest.mark.parametrize(
    "parameters", [{"split_by": "inviter_id"}, {"extra_drivers": ["age_band", "member_id"]}]
)
def test_no_group_is_one_person(root: Path, parameters: dict[str, object]) -> None:
    with pytest.raises(BadParameters, match="points at one person"):
        plan(root / "notebooks/02_retention.ipynb", data=str(root / "data/sample"), parameters=parameters)
