"""Processes of a batch are killed at random: nothing published is harmed, lost or made again."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from helpers.report.publish import store
from helpers.report.publish.manifest import read_manifest
from helpers.report.run import kernels
from tests.report.run.chaos import CELLS, FEW, PUBLISHING, VICTIMS, Batch, Chaos, flaws, started, write_plan


@pytest.mark.parametrize(
    ("series", "kills", "seed", "victims"),
    [
        pytest.param(6, 6, 1, FEW, id="6 kills"),
        pytest.param(12, 20, 3, PUBLISHING, marks=pytest.mark.slow, id="20 kills while publishing"),
        pytest.param(12, 20, 1, VICTIMS, marks=pytest.mark.slow, id="20 kills"),
        pytest.param(12, 200, 2, VICTIMS, marks=pytest.mark.slow, id="200 kills"),
    ],
)
def test_kills_at_random_moments(
    project: Path,
    build_notebook: Callable[..., Path],
    series: int,
    kills: int,
    seed: int,
    victims: dict[str, int],
) -> None:
    if kernels.mode() != "fork":
        pytest.skip("kernels are not forked on this system")
    build_notebook(*CELLS)
    chaos = Chaos(project, series, kills, seed, victims)
    chaos.run()
    print(f"killed {dict(chaos.killed)}, batches ended with {dict(chaos.ends)}")
    assert chaos.flaws == []
    assert sum(chaos.killed.values()) == kills
    reports = project / "reports"
    good = {
        key: [run.run_key for run in runs if run.status == "succeeded"]
        for key, runs in chaos.versions().items()
    }
    wanted = set(chaos.seeds().items())
    assert wanted <= {key for key, runs in good.items() if runs}, "the last batch did the rest"
    assert {len(runs) for runs in good.values()} <= {0, 1}, "nothing that had succeeded was done again"
    newest = {name: store.latest(reports, name) for name in chaos.seeds()}
    for name, number in newest.items():
        assert json.loads((reports / name / "latest.json").read_bytes())["version"] == number
    listed = json.loads((reports / "catalog.json").read_bytes())["series"]
    assert sum(len(one["versions"]) for one in listed) == len(store.published(reports))
    hidden = [path.name for path in reports.rglob(".*")]
    assert hidden == [], "what the killed have left behind is removed"


@pytest.mark.slow
def test_two_batches_at_once_lose_nothing(project: Path, build_notebook: Callable[..., Path]) -> None:
    if kernels.mode() != "fork":
        pytest.skip("kernels are not forked on this system")
    build_notebook(*CELLS)
    seeds = {f"rfm/s{number}": number for number in range(2)}
    write_plan(project, seeds)
    batches = [Batch(project, "--force", name=f"said-{number}") for number in range(2)]
    for batch in batches:
        assert batch.driver.wait() == 0, batch.said.read_text()
    reports = project / "reports"
    assert flaws(reports) == []
    assert store.published(reports) == [f"{series}/v{number}" for series in seeds for number in (1, 2)]
    assert [json.loads((reports / series / "latest.json").read_bytes())["version"] for series in seeds] == [
        2,
        2,
    ]
    listed = json.loads((reports / "catalog.json").read_bytes())["series"]
    assert [version["path"] for one in listed for version in one["versions"]] == [
        f"{series}/v{number}" for series in seeds for number in (2, 1)
    ]
    page = (reports / "index.html").read_text()
    assert all(f"{series}/v2/report.html" in page for series in seeds)
    assert len(started(project)) == 4


def test_the_flaws_are_seen(tmp_path: Path, put_version: Callable[..., Path]) -> None:
    folder = put_version(tmp_path, "rfm/all", 1, status="kernel_died")
    assert flaws(tmp_path) == ["rfm/all/v1: files are ['findings.json', 'manifest.json']"]
    manifest = read_manifest(folder)
    entry = {"findings.json": {"bytes": 2, "sha256": "0" * 64}}
    whole = manifest.model_validate(manifest.model_dump() | {"files": entry})
    (folder / "manifest.json").write_text(whole.to_json())
    assert flaws(tmp_path) == ["rfm/all/v1/findings.json is not what it was"]
    (tmp_path / "rfm/all/latest.json").write_text('{"path": "v1", "version": 1}')
    assert "did not succeed" in flaws(tmp_path)[1]
    (folder / "manifest.json").write_text(whole.to_json()[:-50])
    (tmp_path / "rfm/all/latest.json").unlink()
    assert len(flaws(tmp_path)) == 1 and flaws(tmp_path)[0].startswith("rfm/all/v1: ")
