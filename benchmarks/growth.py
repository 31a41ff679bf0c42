"""Whole reports on communities of growing size: CPU seconds, peak memory, slowest cells, rows out of the engine.

Each notebook runs cell by cell on each community in a process of its own, in turn with a yardstick: one fixed query
of the bare engine, beside whose CPU seconds those of the reports are to be read. CPU seconds are those of the whole
process, imports and threads included; memory is its peak. Rows are those of every result that the engine hands over,
whether an expression or a join asks for it; tables it keeps to itself do not count.

Run: ``python benchmarks/growth.py`` (``--members 3000 12000`` for a quick look; ``--notebooks 14_outlook`` for one).
Targets, largest community against smallest: at most 3.5 times the CPU seconds, at most twice the memory.
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
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
CPU, MEMORY = 3.5, 2.0
SHOWN = 4
"""Slowest cells and largest results that are printed."""
YARDSTICK = """
select count(*), sum(n) from (
    select (i * 7919) % 1000003 as member, count(*) as n, sum(i % 97) as value
    from range(20000000) t(i) group by member having value > 100)
"""


@contextlib.contextmanager
def counted(rows: list[int]) -> Iterator[None]:
    """Add to `rows` how many each query hands over."""
    from ibis.backends.duckdb import Backend

    asked = {name: getattr(Backend, name) for name in ("execute", "to_pyarrow")}

    def counting(name: str) -> Any:
        def ask(self: Backend, *arguments: Any, **options: Any) -> Any:
            result = asked[name](self, *arguments, **options)
            rows.append(len(result) if hasattr(result, "__len__") else 1)
            return result

        return ask

    for name in asked:
        setattr(Backend, name, counting(name))
    yield
    for name, original in asked.items():
        setattr(Backend, name, original)


def run(notebook: str, data: Path) -> dict[str, Any]:
    """Run a notebook in this process and return what its cells and its queries took."""
    import nbformat

    rows: list[int] = []
    cells, queries = {}, {}
    namespace: dict[str, Any] = {"__name__": "__main__"}
    os.chdir(ROOT)
    with counted(rows), contextlib.redirect_stdout(io.StringIO()):
        every = nbformat.read(ROOT / "notebooks" / f"{notebook}.ipynb", as_version=4).cells
        for number, cell in enumerate(every):
            if cell.cell_type != "code":
                continue
            begun, before = time.process_time(), len(rows)
            exec(compile(cell.source, f"{notebook}, cell {number}", "exec"), namespace)
            if "parameters" in cell.metadata.get("tags", []):
                namespace["data"] = str(data)
            cells[str(number)] = time.process_time() - begun
            queries[str(number)] = sum(rows[before:])
    return {"cells": cells, "rows": sum(rows), "queries": len(rows), "rows_by_cell": queries}


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


def largest(figures: dict[str, float], form: str) -> str:
    """Return the largest figures by cell in words."""
    first = sorted(figures.items(), key=lambda item: -item[1])[:SHOWN]
    return ", ".join(f"{cell}: {format(value, form)}" for cell, value in first)


def report(notebook: str, sizes: list[int]) -> bool:
    """Print a line for each size and the ratios; return whether the targets hold."""
    found = []
    print(f"{notebook:14}{'members':>9}{'CPU s':>8}{'yardstick':>10}{'peak GB':>9}{'queries':>9}{'rows':>11}")
    for members in sizes:
        bare = measured("yardstick")["cpu_s"]
        figures = measured(notebook, community(members))
        found.append(figures)
        print(
            f"{'':14}{members:9,}{figures['cpu_s']:8.1f}{bare:10.2f}{figures['gb']:9.2f}{figures['queries']:9,}"
            f"{figures['rows']:11,}   CPU s by cell {largest(figures['cells'], '.1f')}; "
            f"rows by cell {largest(figures['rows_by_cell'], ',')}",
            flush=True,
        )
    cpu, memory = (found[-1][name] / found[0][name] for name in ("cpu_s", "gb"))
    print(f"{'':14}largest / smallest: CPU {cpu:.2f} (target {CPU}), memory {memory:.2f} (target {MEMORY})")
    return bool(cpu <= CPU and memory <= MEMORY)


def main() -> int:
    """Read the arguments, measure and print."""
    notebooks = ["01_rfm", "02_retention", "14_outlook"]
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--members", type=int, nargs="+", default=[3_000, 12_000, 48_000], help="sizes")
    parser.add_argument("--notebooks", nargs="+", default=notebooks, help="which reports")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(options.child[0], Path(options.child[1]))
        return 0
    there = [name for name in options.notebooks if (ROOT / "notebooks" / f"{name}.ipynb").exists()]
    return 0 if all([report(name, options.members) for name in there]) else 1


if __name__ == "__main__":
    sys.exit(main())
