"""How long it takes to find that nothing has to be done: 50 unchanged reports, and a plan of 100 wrong jobs.

Wall and CPU time are of the whole process ``playbook run --plan``, imports included, median of several runs. Each
kernel that starts writes a line from its first cell, and those are counted. Targets: unchanged reports within 2 s,
wrong jobs within 1 s, no kernel, every mistake listed.
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

import _contenders

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


def report(project: Path) -> None:
    """Measure and print."""
    made = timed(project, project / "good.yml")
    if made.code:
        sys.exit(made.said)
    started = kernels(project)
    time.sleep(3)  # until the tables are old enough to be trusted
    timed(project, project / "good.yml")
    again = [timed(project, project / "good.yml") for _ in range(REPEATS)]
    more = kernels(project) - started
    bad = [timed(project, project / "bad.yml") for _ in range(REPEATS)]
    looks = {f"{REPORTS} reports made": [made], f"{REPORTS} unchanged": again, f"{JOBS} wrong jobs": bad}
    _contenders.table(
        {
            "plan": name,
            "runs": len(runs),
            "wall s": f"{_median(runs, 'wall'):.2f}",
            "CPU s": f"{_median(runs, 'cpu'):.2f}",
        }
        for name, runs in looks.items()
    )
    _contenders.note(
        f"A second look is {made.wall / _median(again, 'wall'):.0f} times as fast as the making."
    )
    _contenders.claim(f"{REPORTS} unchanged reports, wall", _median(again, "wall"), SKIPPED_WITHIN, unit=" s")
    _contenders.claim(f"{JOBS} wrong jobs, wall", _median(bad, "wall"), REJECTED_WITHIN, unit=" s")
    wrong = abs(started - REPORTS) + more
    _contenders.claim("kernels other than one a report made, and none a second look", wrong, 0, ".0f")
    untold = JOBS - bad[-1].said.count("bad.yml:") + abs(bad[-1].code - 2)
    _contenders.claim("wrong jobs untold, and another exit code than 2", untold, 0, ".0f")


def _median(runs: list[Timed], figure: str) -> float:
    return statistics.median(getattr(run, figure) for run in runs)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        build(Path(folder))
        report(Path(folder))
    sys.exit(_contenders.concluded())
