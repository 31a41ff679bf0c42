"""How long it takes to find that nothing has to be done: 50 unchanged reports, and a plan of 100 wrong jobs.

Prints wall and CPU time of the whole process ``playbook run --plan``, imports included, median of several runs, the
number of kernels started, the number of mistakes listed, and how many times as fast a second look is as the making.
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

from helpers.data.simulate import write

REPORTS, JOBS, REPEATS = 50, 100, 5
CELLS = (
    'data: str = "tables"  # tables\nseed: int = 1  # seed',
    "from helpers.methods import rfm\nfrom helpers.report import params\n"
    'parameters = params.read("01_rfm", globals())',
)


class Timed(NamedTuple):
    """A finished process: seconds of wall and of CPU, exit code, what it said."""

    wall: float
    cpu: float
    code: int
    said: str


def timed(project: Path, plan: Path) -> Timed:
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    command = [sys.executable, "-m", "helpers.cli", "run", "--plan", str(plan)]
    environment = os.environ | {"PLAYBOOK_CACHE": str(project / "cache")}
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


def report(project: Path) -> None:
    made = timed(project, project / "good.yml")
    if made.code:
        sys.exit(made.said)
    print(f"{REPORTS} reports made:        {made.wall:.1f} s wall, {made.cpu:.1f} s CPU")
    time.sleep(3)  # until the tables are old enough to be trusted
    timed(project, project / "good.yml")
    again = [timed(project, project / "good.yml") for _ in range(REPEATS)]
    kernels = max(run.said.count(": start\n") for run in again)
    print(f"{REPORTS} reports unchanged:   {median(again)}, {kernels} kernels started")
    faster = made.wall / statistics.median(run.wall for run in again)
    counts = next(line for line in again[-1].said.splitlines() if line.endswith(" failed"))
    print(f"  said: {counts}; {faster:.0f} times as fast as making them")
    bad = [timed(project, project / "bad.yml") for _ in range(REPEATS)]
    listed = bad[-1].said.count("bad.yml:")
    print(f"{JOBS} wrong jobs rejected: {median(bad)}, {listed} mistakes listed, exit code {bad[-1].code}")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        build(Path(folder))
        report(Path(folder))
