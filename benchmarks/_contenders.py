"""What benchmarks of several contenders share: a fresh process each, in turn, several times; medians are compared.

The claims are about compute after imports: its wall clock and CPU time, and the peak of memory above what the
imports took. Time of imports and memory of the whole process are printed beside them. A script calls itself with
``--child NAME`` for one run of one contender, which prints its figures as one line of JSON.
"""

from __future__ import annotations

import argparse
import json
import math
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

Runs = dict[str, list[dict[str, Any]]]
"""Figures of every run, by contender."""
Medians = dict[str, dict[str, float]]
"""Medians of the figures, by contender."""
FIGURES = ("import_s", "compute_s", "cpu_s", "compute_mb", "process_mb")


def parser(about: str | None, contenders: Iterable[str], rounds: int = 3) -> argparse.ArgumentParser:
    """Return a parser of ``--rounds`` and of the hidden ``--child``."""
    found = argparse.ArgumentParser(description=(about or "").split("\n")[0])
    found.add_argument("--rounds", type=int, default=rounds, help="runs of each contender")
    found.add_argument("--child", choices=list(contenders), help=argparse.SUPPRESS)
    return found


def generate(script: str) -> None:
    """Run a script of DuckDB that writes files, its random numbers always the same."""
    import duckdb

    connection = duckdb.connect()
    connection.execute("select setseed(0.5)")
    connection.execute(script)


def timed(prepare: Callable[[], Callable[[], Any]]) -> tuple[dict[str, float], Any]:
    """Return what this process took for the imports (`prepare`) and for the work it returns, and the result."""
    begun = time.perf_counter()
    work = prepare()
    imported, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF)
    result = work()
    done, after = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF)
    figures = {
        "import_s": imported - begun,
        "compute_s": done - imported,
        "cpu_s": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        "compute_mb": (after.ru_maxrss - before.ru_maxrss) / 1024,
        "process_mb": after.ru_maxrss / 1024,
    }
    return figures, result


def measure(
    script: str, contenders: Iterable[str], rounds: int, arguments: Iterable[str], once: Collection[str] = ()
) -> Runs:
    """Run the contenders in turn, `rounds` times each, those in `once` a single time."""
    found: Runs = {name: [] for name in contenders}
    for number in range(rounds):
        for name, runs in found.items():
            if number and name in once:
                continue
            command = [sys.executable, script, "--child", name, *arguments]
            answer = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            # On a busy machine DuckDB may have written a progress bar before.
            line = answer.stdout.splitlines()[-1]
            runs.append(json.loads(line[line.index("{") :]))
    return found


def show(found: Runs, titles: Mapping[str, str], sizes: Mapping[str, int] | None = None) -> Medians:
    """Print medians and every wall time, `sizes` as rows fitted; return the medians."""
    median = {
        name: {key: statistics.median(run[key] for run in runs) for key in FIGURES}
        for name, runs in found.items()
    }
    width = max(map(len, titles.values())) + 2
    rows = "" if sizes is None else f"{'rows fitted':>12}"
    print(
        f"{'median of runs':{width}}{rows}{'compute s':>10}{'CPU s':>8}{'peak MB':>9} | "
        f"{'imports s':>9}{'process MB':>11}"
    )
    for name, m in median.items():
        rows = "" if sizes is None else f"{sizes[name]:12,}"
        each = ", ".join(f"{run['compute_s']:.2f} s" for run in found[name])
        print(
            f"{titles[name]:{width}}{rows}{m['compute_s']:10.2f}{m['cpu_s']:8.2f}{m['compute_mb']:9.0f} | "
            f"{m['import_s']:9.2f}{m['process_mb']:11.0f}   each: {each}"
        )
    return median


def compare(median: Medians, name: str, title: str, targets: Mapping[str, float], digits: int = 3) -> bool:
    """Print ours in units of another contender; return whether the targets hold, which are by figure."""
    # A small run may take no memory beyond the imports'.
    ratio = {key: median["ours"][key] / (median[name][key] or math.nan) for key in FIGURES}
    wall, memory = (
        f"{ratio[key]:.{digits}f}" + (f" (target <= {targets[key]})" if key in targets else "")
        for key in ("compute_s", "compute_mb")
    )
    print(
        f"ours / {title}: wall {wall}, peak memory {memory}; CPU {ratio['cpu_s']:.{digits}f}, memory of the "
        f"process {ratio['process_mb']:.{digits}f}"
    )
    return all(ratio[key] <= target for key, target in targets.items())
