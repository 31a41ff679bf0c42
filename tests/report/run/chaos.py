"""Kills processes of a batch at random moments, and looks at what is left."""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import psutil

from helpers.report.publish import store
from helpers.report.publish.catalog import Catalog
from helpers.report.publish.manifest import Manifest, read_manifest

VICTIMS = {"kernel": 11, "server": 3, "driver": 2, "writer": 1, "flusher": 1, "publisher": 1, "two": 1}
"""Who is killed, out of twenty.

The last but one are the driver too, at a certain moment: a writer when the kernel of a run has ended, a flusher when
all is written, a publisher when a version appears.
"""
FEW = {"kernel": 2, "server": 1, "driver": 1, "flusher": 1, "publisher": 1}
"""A few of them."""
PUBLISHING = {"flusher": 1, "publisher": 1}
"""Of two, one while a version is flushed and renamed, one just after it has appeared."""
MOMENTS = {
    "writer": ("notebook.ipynb", 0.12),
    "flusher": ("manifest.json", 0.02),
    "publisher": ("manifest.json", 0.0),
}
"""The file whose appearance in staging a kill waits for, and the seconds within which it then comes."""
PATIENCE = 60.0  # seconds; only a defect makes anybody wait that long
DRIVER = Path(__file__).with_name("chaos_driver.py")
CELLS = (
    """import os, pathlib, time
folder = pathlib.Path(os.environ["PLAYBOOK_RUN_FOLDER"])
with open("../started", "a") as log:
    log.write(f"{seed} {os.getpid()}\\n")""",
    """(folder / "tables").mkdir()
for number in range(40):  # the more files, the longer a version would be seen to grow
    (folder / "tables" / f"part_{number}.csv").write_text("tier,members\\ncore,1\\n" * 400)
time.sleep(0.15)""",
    """(folder / "findings.json").write_text("[]")
time.sleep(0.15)""",
)
"""They import nothing: it is about processes, and a fork server that has little to import starts at once."""


def flaws(reports: Path) -> list[str]:
    """Return what is wrong with a reports folder; may be called at any moment."""
    found = [flaw for folder in reports.glob("[!.]*/*/v*") for flaw in _of_version(reports, folder)]
    found += [flaw for pointer in reports.glob("[!.]*/*/latest.json") for flaw in _of_pointer(pointer)]
    if (reports / "catalog.json").exists():
        Catalog.model_validate_json((reports / "catalog.json").read_bytes())
    if (reports / "index.html").exists() and "</main>" not in (reports / "index.html").read_text():
        found.append("index.html is cut short")
    if [path for path in store.published(reports) if store.STAGING in path]:
        found.append("a staging folder is taken for a version")
    return found


def _of_version(reports: Path, folder: Path) -> Iterator[str]:
    name = folder.relative_to(reports).as_posix()
    try:
        manifest = read_manifest(folder)
    except (OSError, ValueError) as error:
        yield f"{name}: {error}"
        return
    if manifest.status not in ("succeeded", "kernel_died"):
        yield f"{name} {manifest.status}: {manifest.failure}"
    if f"{manifest.series}/v{manifest.version}" != name:
        yield f"{name} says that it is {manifest.series} v{manifest.version}"
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    if there != {*manifest.files, "manifest.json"}:
        yield f"{name}: files are {sorted(there)}"
    for file in there & set(manifest.files):
        if hashlib.sha256((folder / file).read_bytes()).hexdigest() != manifest.files[file].sha256:
            yield f"{name}/{file} is not what it was"


def _of_pointer(pointer: Path) -> Iterator[str]:
    named = json.loads(pointer.read_bytes())
    if read_manifest(pointer.parent / named["path"]).status != "succeeded":
        yield f"{pointer} names {named['path']}, which did not succeed"


class Batch:
    """A batch in a process of its own, its helpers, and what it says."""

    def __init__(self, project: Path, *options: str, name: str = "said") -> None:
        self.project, self.reports = project, project / "reports"
        self.said = project / name
        command = [sys.executable, str(DRIVER), "run", "--plan", str(project / "plan.yml")]
        command += ["--notebooks", str(project / "notebooks"), "--workers", "2", *options]
        environment = {**os.environ, "PLAYBOOK_KERNELS": "fork", "PLAYBOOK_TEST_LIGHT": "ipykernel_launcher"}
        with self.said.open("w") as out:
            self.driver = subprocess.Popen(
                [*command, "--reports", str(self.reports)], stdout=out, stderr=out, env=environment
            )
        self.seen: set[psutil.Process] = set()

    def ended(self) -> bool:
        return self.driver.poll() is not None

    def processes(self) -> dict[str, list[int]]:
        """Return who is there now."""
        with suppress(psutil.NoSuchProcess):
            below = psutil.Process(self.driver.pid).children(recursive=True)
            self.seen |= set(below)
            kernels = {int(line.split()[1]) for line in started(self.project)} & {one.pid for one in below}
            servers = [child.pid for child in below if child.ppid() == self.driver.pid]
            return {
                "driver": [self.driver.pid],
                "server": sorted(set(servers) - kernels),
                "kernel": sorted(kernels),
            }
        return {"driver": [], "server": [], "kernel": []}

    def _staging(self, holding: str) -> set[str]:
        """Return the staging folders of the driver that hold a file."""
        there = self.reports.glob(f"{store.STAGING}*-{self.driver.pid}-*")
        return {path.name for path in there if (path / holding).exists()}

    def targets(self, victim: str, draw: random.Random) -> list[int]:
        """Wait for a victim and return the ids of the processes to kill; none when the batch ends before."""
        until = time.monotonic() + PATIENCE
        if victim in MOMENTS:
            return self._writing(victim, draw, until)
        while not self.ended() and time.monotonic() < until:
            there = self.processes()
            if victim == "two" and there["kernel"]:
                return draw.sample([pid for pids in there.values() for pid in pids], 2)
            if there.get(victim):
                return [draw.choice(there[victim])]
            time.sleep(0.005)
        return []

    def _writing(self, victim: str, draw: random.Random, until: float) -> list[int]:
        """Wait until a run comes to a certain point, and a little longer."""
        file, seconds = MOMENTS[victim]
        already = self._staging(file)
        while not self.ended() and time.monotonic() < until:
            if self._staging(file) - already:
                before = self._versions()
                while victim == "publisher" and self._versions() == before and not self.ended():
                    pass
                time.sleep(draw.uniform(0, seconds))
                return [self.driver.pid]
            time.sleep(0.0005)
        return []

    def _versions(self) -> set[str]:
        return {str(path) for path in self.reports.glob("[!.]*/*/v*")}

    def left_behind(self) -> list[str]:
        """Return the processes that outlive the driver."""
        gone = time.monotonic() + PATIENCE / 3
        while (alive := [each for each in self.seen if _runs(each)]) and time.monotonic() < gone:
            time.sleep(0.02)
        return [str(process) for process in alive]


def _runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def started(project: Path) -> list[str]:
    """Return a line for each kernel that has started: seed and process id."""
    path = project / "started"
    return path.read_text().splitlines() if path.exists() else []


def write_plan(project: Path, seeds: Mapping[str, int]) -> None:
    """Write a plan of one run for each series and seed."""
    lines = (
        f"  - {{notebook: rfm, label: {series.partition('/')[2]}, parameters: {{seed: {seed}}}}}\n"
        for series, seed in seeds.items()
    )
    (project / "plan.yml").write_text("data: tables\njobs:\n" + "".join(lines))


class Chaos:
    """Batch after batch, each disturbed by kills until none are left.

    Parameters
    ----------
    project : Path
        Folder with ``notebooks/01_rfm.ipynb`` made of `CELLS`.
    series : int
        Number of series in the plan.
    kills, seed : int
        Number of kills, and the seed by which they are drawn.
    victims : mapping
        Who is killed, and how often in each round.
    """

    def __init__(
        self, project: Path, series: int, kills: int, seed: int, victims: Mapping[str, int] = VICTIMS
    ) -> None:
        self.project, self.series, self.draw = project, series, random.Random(seed)
        all_victims = [name for name, count in victims.items() for _ in range(count)]
        self.waiting = (all_victims * -(-kills // len(all_victims)))[:kills]
        self.draw.shuffle(self.waiting)
        self.killed: Counter[str] = Counter()
        self.ends: Counter[str] = Counter()
        self.flaws: list[str] = []
        self.kept: dict[str, str] = {}
        self.round = 0

    def run(self) -> None:
        """Kill, and look after each kill and each batch; in the end let one batch finish."""
        while self.waiting and not self.flaws:
            self._batch()
        self._batch()

    def seeds(self) -> dict[str, int]:
        return {f"rfm/s{number}": 1000 * self.round + number for number in range(self.series)}

    def versions(self) -> dict[tuple[str, int | None], list[Manifest]]:
        """Return the versions of each series and seed."""
        found: dict[tuple[str, int | None], list[Manifest]] = {}
        for path in store.published(self.project / "reports"):
            manifest = read_manifest(self.project / "reports" / path)
            found.setdefault((manifest.series, manifest.seed), []).append(manifest)
        return found

    def _done(self) -> set[int]:
        good = {
            key for key, runs in self.versions().items() if any(run.status == "succeeded" for run in runs)
        }
        return {seed for series, seed in self.seeds().items() if (series, seed) in good}

    def _batch(self) -> None:
        done, before = self._done(), len(started(self.project))
        if len(done) == self.series:
            self.round, done = self.round + 1, set()
        write_plan(self.project, self.seeds())
        batch = Batch(self.project)
        while self.waiting and not batch.ended():
            self._kill(batch)
        until = time.monotonic() + 3 * PATIENCE
        while not batch.ended() and time.monotonic() < until:
            batch.processes()
            time.sleep(0.05)
        code = batch.driver.wait(1)
        self.ends[f"exit code {code}"] += 1
        self.flaws += [f"still there: {process}" for process in batch.left_behind()]
        self._look()
        again = [line for line in started(self.project)[before:] if int(line.split()[0]) in done]
        self.flaws += [f"run again: {line}" for line in again]
        said = batch.said.read_text()
        if code not in (0, 1, -signal.SIGKILL) or "Traceback" in said:
            self.flaws.append(f"exit code {code}: {said}")

    def _kill(self, batch: Batch) -> None:
        time.sleep(self.draw.uniform(0, 0.5))
        batch.processes()
        if not (pids := batch.targets(self.waiting[0], self.draw)):
            return
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.killed[self.waiting.pop(0)] += 1
        if batch.driver.pid in pids:
            batch.driver.wait()
        self._look()

    def _look(self) -> None:
        """Note what is wrong now; a version that was there stays as it was."""
        reports = self.project / "reports"
        self.flaws += flaws(reports)
        for path, digest in self.kept.items():
            manifest = reports / path / "manifest.json"
            if not manifest.exists() or hashlib.sha256(manifest.read_bytes()).hexdigest() != digest:
                self.flaws.append(f"{path} is lost or changed")
        for path in store.published(reports):
            content = (reports / path / "manifest.json").read_bytes()
            self.kept.setdefault(path, hashlib.sha256(content).hexdigest())
