"""How long it takes to find that nothing has to be done: 50 unchanged reports, and a plan of 100 wrong jobs.

Prints wall and CPU time of the whole process ``playbook run --plan``, imports included, median of several runs, the
number of kernels started, the number of mistakes listed, and how many times as fast a second look is as the making.
Each kernel that starts writes a line from its first cell, and those are counted. Targets: unchanged reports within
2 s, wrong jobs within 1 s, no kernel, every mistake listed. The exit code is 1 when one is missed.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from helpers.simulate import write

REPORTS, JOBS, REPEATS = 50, 100, 5
SKIPPED_WITHIN, REJECTED_WITHIN = 2.0, 1.0  # seconds of wall time
KERNELS = "PLAYBOOK_BENCHMARK_KERNELS"
CELLS = (
    'data: str = "tables"  # tables\nseed: int = 1  # seed',
    f"import os\nwith open(os.environ[{KERNELS!r}], 'a') as file:\n    file.write(f'{{os.getpid()}}\\n')",
    "from helpers.methods import rfm\nfrom helpers.report import params\n"
    'parameters = params.read("01_rfm", globals())',
)


class Timed(NamedTuple):
    """A finished process: seconds of wall and of CPU, exit code, what it said."""

    wall: float
    cpu: float
    code: int
    said: str


def kernels_file(project: Path) -> Path:
    """Return the file to which each kernel writes its process id."""
    return project / "kernels"


def kernels(project: Path) -> int:
    """Return how many kernels have started so far."""
    file = kernels_file(project)
    return len(file.read_text().splitlines()) if file.exists() else 0


def timed(project: Path, plan: Path) -> Timed:
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    command = [sys.executable, "-m", "helpers.cli", "run", "--plan", str(plan)]
    environment = os.environ | {"PLAYBOOK_CACHE": str(project / "cache"), KERNELS: str(kernels_file(project))}
    done = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, check=False)
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Timed(wall, cpu, done.returncode, done.stdout + done.stderr)


def build(project: Path) -> None:
    (project / "notebooks").mkdir()
    write(project / "tables", 500, 120, 1)
    cells = [{"cell_type": "code", "source": text, "metadata": {}, "outputs": []} for text in CELLS]
    for number, cell in enumerate(cells):
        cell |= {"id": str(number), "execution_count": None}
    cells[0]["metadata"] = {"tags": ["parameters"]}
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    notebook = {"cells": cells, "metadata": kernel, "nbformat": 4, "nbformat_minor": 5}
    (project / "notebooks" / "01_rfm.ipynb").write_text(json.dumps(notebook))
    seeds = list(range(REPORTS))
    (project / "good.yml").write_text(
        f"data: tables\njobs:\n  - {{notebook: rfm, matrix: {{seed: {seeds}}}}}\n"
    )
    jobs = "".join(
        f"  - {{notebook: rfm, label: n{n}, parameters: {{bins: {n + 11}}}}}\n" for n in range(JOBS)
    )
    (project / "bad.yml").write_text(f"data: tables\njobs:\n{jobs}")


def median(runs: list[Timed]) -> str:
    wall, cpu = (statistics.median(getattr(run, name) for run in runs) for name in ("wall", "cpu"))
    return f"{wall:.2f} s wall, {cpu:.2f} s CPU (median of {len(runs)})"


def report(project: Path) -> bool:
    """Measure and print; return whether every target is met."""
    made = timed(project, project / "good.yml")
    if made.code:
        sys.exit(made.said)
    started = kernels(project)
    print(f"{REPORTS} reports made:        {made.wall:.1f} s wall, {made.cpu:.1f} s CPU, {started} kernels")
    time.sleep(3)  # until the tables are old enough to be trusted
    timed(project, project / "good.yml")
    again = [timed(project, project / "good.yml") for _ in range(REPEATS)]
    more = kernels(project) - started
    print(f"{REPORTS} reports unchanged:   {median(again)}, {more} kernels started")
    faster = made.wall / statistics.median(run.wall for run in again)
    counts = next(line for line in again[-1].said.splitlines() if line.endswith(" failed"))
    print(f"  said: {counts}; {faster:.0f} times as fast as making them")
    bad = [timed(project, project / "bad.yml") for _ in range(REPEATS)]
    listed = bad[-1].said.count("bad.yml:")
    print(f"{JOBS} wrong jobs rejected: {median(bad)}, {listed} mistakes listed, exit code {bad[-1].code}")
    return targets(
        {
            f"{REPORTS} unchanged reports within {SKIPPED_WITHIN:g} s": _wall(again) <= SKIPPED_WITHIN,
            "every report made by one kernel, and none by a second look": (started, more) == (REPORTS, 0),
            f"{JOBS} wrong jobs within {REJECTED_WITHIN:g} s": _wall(bad) <= REJECTED_WITHIN,
            "every wrong job told, exit code 2": (listed, bad[-1].code) == (JOBS, 2),
        }
    )


def _wall(runs: list[Timed]) -> float:
    return statistics.median(run.wall for run in runs)


def targets(met: dict[str, bool]) -> bool:
    """Print each target and whether it is met; return whether all are."""
    for name, good in met.items():
        print(f"target {'met' if good else 'missed'}: {name}")
    return all(met.values())


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        build(Path(folder))
        good = report(Path(folder))
    sys.exit(0 if good else 1)
