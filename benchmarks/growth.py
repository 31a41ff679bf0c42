"""Whole reports on communities of growing size: CPU seconds, peak memory, slowest cells, what leaves the engine.

Each notebook runs cell by cell on each community in a process of its own, in turn with a yardstick: one fixed query
of the bare engine, beside whose CPU seconds those of the reports are to be read. CPU seconds are those of the whole
process, imports and threads included; memory is its peak. Rows and bytes (in Arrow's form) are those of every result
that the engine hands over, whether an expression or a join asks for it; tables it keeps to itself do not count.

Run: ``python benchmarks/growth.py`` (``--members 3000 12000`` for a quick look; ``--notebooks 14_outlook`` for one;
``--data FOLDER`` for simulated communities that lie somewhere, such as one of a million members). The
figures of each report are also printed as one line of JSON.
Targets, largest community against smallest: at most 3.5 times the CPU seconds, at most twice the memory. Target of
every report, on whatever it is made: at most 50 MB leave the engine, and the process takes less than 8 GB.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
CPU, MEMORY = 3.5, 2.0
LEAVES_MB, PEAK_GB = 50, 8
SHOWN = 4
"""Slowest cells and largest results that are printed."""
YARDSTICK = """
select count(*), sum(n) from (
    select (i * 7919) % 1000003 as member, count(*) as n, sum(i % 97) as value
    from range(20000000) t(i) group by member having value > 100)
"""


def run(notebook: str, data: Path) -> dict[str, Any]:
    """Run a notebook in this process and return what its cells and its queries took."""
    import nbformat

    from helpers.data.guard import PULLED

    cells, about = [], json.loads((data / "truth.json").read_text("utf-8"))["about"]
    namespace: dict[str, Any] = {"__name__": "__main__"}
    os.chdir(ROOT)
    with contextlib.redirect_stdout(io.StringIO()):
        every = nbformat.read(ROOT / "notebooks" / f"{notebook}.ipynb", as_version=4).cells
        for number, cell in enumerate(every):
            if cell.cell_type != "code":
                continue
            begun, before = time.process_time(), replace(PULLED)
            exec(compile(cell.source, f"{notebook}, cell {number}", "exec"), namespace)
            if "parameters" in cell.metadata.get("tags", []):
                namespace |= {"data": str(data), "as_of": about["end"]}
            taken = {"cell": number, "cpu_s": time.process_time() - begun}
            rows, size = PULLED.rows - before.rows, PULLED.bytes - before.bytes
            cells.append(taken | {"rows": rows, "mb": size / 1e6})
    return {"queries": PULLED.queries, "rows": PULLED.rows, "mb": PULLED.bytes / 1e6, "cells": cells}


def yardstick() -> dict[str, Any]:
    """Run the fixed query in this process."""
    import duckdb

    duckdb.sql(YARDSTICK).fetchall()
    return {}


def child(task: str, data: Path) -> None:
    """Do one task in this process and print its figures as JSON."""
    found = run(task, data) if task != "yardstick" else yardstick()
    used = resource.getrusage(resource.RUSAGE_SELF)
    print(json.dumps({"cpu_s": used.ru_utime + used.ru_stime, "gb": used.ru_maxrss / 2**20, **found}))


def measured(task: str, data: Path = ROOT) -> dict[str, Any]:
    """Do one task in a process of its own and return its figures."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "PLAYBOOK_RUN_FOLDER": folder}
        command = [sys.executable, __file__, "--child", task, str(data)]
        answer = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment)
    found: dict[str, Any] = json.loads(answer.stdout.splitlines()[-1])
    return found


def community(members: int) -> Path:
    """Return the folder of a simulated year, made once per size."""
    folder = Path(tempfile.gettempdir()) / f"benchmark-growth-{members}"
    if not folder.exists():
        command = [sys.executable, "-m", "helpers.cli", "simulate", str(folder), "--members", str(members)]
        subprocess.run([*command, "--days", "365", "--seed", "1"], check=True, stdout=subprocess.DEVNULL)
    return folder


def largest(cells: list[dict[str, float]], figure: str, form: str) -> str:
    """Return the largest figures by cell in words."""
    first = sorted(cells, key=lambda cell: -cell[figure])[:SHOWN]
    return ", ".join(f"{cell['cell']}: {format(cell[figure], form)}" for cell in first)


def report(notebook: str, communities: list[Path]) -> bool:
    """Print a line for each community, its figures and the ratios; return whether the targets hold."""
    found = []
    width = max(len(folder.name) for folder in communities) + 2
    print(
        f"{notebook:18}{'':{width}}{'CPU s':>8}{'yardstick':>10}{'peak GB':>9}{'queries':>9}{'rows':>11}{'MB':>8}"
    )
    for folder in communities:
        bare = measured("yardstick")["cpu_s"]
        figures = measured(notebook, folder)
        found.append(figures)
        cells = figures["cells"]
        print(
            f"{'':18}{folder.name:{width}}{figures['cpu_s']:8.1f}{bare:10.2f}{figures['gb']:9.2f}"
            f"{figures['queries']:9,}{figures['rows']:11,}{figures['mb']:8.1f}   "
            f"CPU s by cell {largest(cells, 'cpu_s', '.1f')}; MB by cell {largest(cells, 'mb', '.1f')}"
        )
        print(
            json.dumps({"notebook": notebook, "community": folder.name, "yardstick_s": bare, **figures}),
            flush=True,
        )
    held = all(each["mb"] <= LEAVES_MB and each["gb"] < PEAK_GB for each in found)
    if len(found) > 1:
        cpu, memory = (found[-1][name] / found[0][name] for name in ("cpu_s", "gb"))
        print(
            f"{'':18}largest / smallest: CPU {cpu:.2f} (target {CPU}), memory {memory:.2f} (target {MEMORY})"
        )
        held &= bool(cpu <= CPU and memory <= MEMORY)
    return held


def main() -> int:
    """Read the arguments, measure and print."""
    notebooks = sorted(path.stem for path in (ROOT / "notebooks").glob("[0-9]*.ipynb"))
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--members", type=int, nargs="+", default=[3_000, 12_000, 48_000], help="sizes")
    parser.add_argument(
        "--data", type=Path, nargs="+", help="folders of communities instead, the smallest first"
    )
    parser.add_argument("--notebooks", nargs="+", default=notebooks, choices=notebooks, help="which reports")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(options.child[0], Path(options.child[1]))
        return 0
    communities = options.data or [community(members) for members in options.members]
    return 0 if all([report(name, communities) for name in options.notebooks]) else 1


if __name__ == "__main__":
    sys.exit(main())
