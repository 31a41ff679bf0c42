"""Whole reports on communities of growing size: CPU seconds, peak memory, slowest cells, what leaves the engine.

Each notebook runs cell by cell on each community in a process of its own, in turn with a yardstick: one fixed query
of the bare engine, beside whose CPU seconds those of the reports are to be read. CPU seconds are those of the whole
process, imports and threads included; memory is its peak. Rows and bytes (in Arrow's form) are those of every result
that the engine hands over, whether an expression or a join asks for it; tables it keeps to itself do not count.

Run: ``python benchmarks/growth.py`` (``--members 3000 12000`` for a quick look; ``--notebooks 14_outlook`` for one;
``--data FOLDER`` for simulated communities that lie somewhere, such as one of a million members).
Targets, largest community against smallest: at most 3.5 times the CPU seconds, at most twice the memory. Target of
every report, on whatever it is made: at most 50 MB leave the engine, and the process takes less than 8 GB.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import _contenders

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
    print("\n" + json.dumps({"cpu_s": time.process_time(), "gb": _contenders.peak_memory() / 1024, **found}))


def measured(task: str, data: Path = ROOT) -> dict[str, Any]:
    """Do one task in a process of its own and return its figures."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["PLAYBOOK_RUN_FOLDER"] = folder
        return _contenders.alone([__file__, "--child", task, str(data)])


def simulated(folder: Path, members: int) -> Path:
    """Return the folder of a simulated year."""
    command = [sys.executable, "-m", "helpers.cli", "simulate", str(folder / str(members))]
    command += ["--members", str(members), "--days", "365", "--seed", "1"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return folder / str(members)


def sizes(folder: Path) -> str:
    """Return how large a community is, in words."""
    import pyarrow.parquet as pq

    rows = {name: pq.read_metadata(folder / f"{name}.parquet").num_rows for name in ("members", "events")}
    return f"{rows['members']:,} members, {rows['events'] / 1e6:.1f} M events"


def largest(cells: list[dict[str, float]], figure: str, form: str) -> str:
    """Return the largest figures by cell in words."""
    first = sorted(cells, key=lambda cell: -cell[figure])[:SHOWN]
    return ", ".join(f"{cell['cell']}: {format(cell[figure], form)}" for cell in first)


def report(notebook: str, communities: list[Path]) -> None:
    """Print the figures on each community, and the claims."""
    found = [
        (sizes(folder), measured("yardstick")["cpu_s"], measured(notebook, folder)) for folder in communities
    ]
    _contenders.table(
        {
            "report": notebook,
            "community": size,
            "CPU s": f"{each['cpu_s']:.1f}",
            "yardstick s": f"{bare:.2f}",
            "peak GB": f"{each['gb']:.2f}",
            "queries": f"{each['queries']:,}",
            "rows out": f"{each['rows']:,}",
            "MB out": f"{each['mb']:.1f}",
            "CPU s by cell": largest(each["cells"], "cpu_s", ".1f"),
            "MB by cell": largest(each["cells"], "mb", ".1f"),
        }
        for size, bare, each in found
    )
    figures = [each for _, _, each in found]
    _contenders.claim(
        f"{notebook}, most that leaves the engine", max(e["mb"] for e in figures), LEAVES_MB, unit=" MB"
    )
    _contenders.claim(f"{notebook}, peak memory", max(each["gb"] for each in figures), PEAK_GB, unit=" GB")
    if len(found) > 1:
        for name, title, most in (("cpu_s", "CPU", CPU), ("gb", "peak memory", MEMORY)):
            what = f"{notebook}, largest / smallest community, {title}"
            _contenders.claim(what, figures[-1][name] / figures[0][name], most)


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
    with tempfile.TemporaryDirectory(prefix="playbook-benchmark-") as folder:
        communities = options.data or [simulated(Path(folder), members) for members in options.members]
        for name in options.notebooks:
            report(name, communities)
    return _contenders.concluded()


if __name__ == "__main__":
    sys.exit(main())
