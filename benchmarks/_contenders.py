"""What benchmarks share: contenders in fresh processes, in turn, several times; medians, claims, and their record.

The claims are about compute after imports: its wall clock and CPU time, and the peak of memory above what the
imports took. Time of imports and memory of the whole process stand beside them. A script calls itself with
``--child NAME`` for one run of one contender, which prints its figures as one line of JSON.

Everything is printed through `note`, `table` and `claim`. Where the environment names a file (`RECORD`), each adds
its line of JSON to it, of which ``run.py`` makes the page.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

RECORD = "PLAYBOOK_BENCHMARK_RECORD"
Runs = dict[str, list[dict[str, Any]]]
"""Figures of every run, by contender."""
Medians = dict[str, dict[str, float]]
"""Medians of the figures, by contender."""
FIGURES = {"compute_s": "wall s", "cpu_s": "CPU s", "compute_mb": "peak MB", "import_s": "imports s"}
FIGURES |= {"process_mb": "process MB"}
RATIOS = {
    "compute_s": "wall",
    "cpu_s": "CPU",
    "compute_mb": "peak memory",
    "process_mb": "memory of the process",
}
_missed: list[str] = []


def _recorded(**line: Any) -> None:
    if path := os.environ.get(RECORD):
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(json.dumps(line, ensure_ascii=False) + "\n")


def note(text: str) -> None:
    """Print a sentence."""
    print(text, flush=True)
    _recorded(note=text)


def table(rows: Iterable[Mapping[str, Any]]) -> None:
    """Print rows of texts with the same names, the first of them to the left."""
    shown = [{name: str(value) for name, value in row.items()} for row in rows]
    head = {name: name for name in shown[0]}
    width = {name: max(len(row[name]) for row in (head, *shown)) for name in head}
    first = next(iter(head))
    for row in (head, *shown):
        cells = (row[n].ljust(width[n]) if n == first else row[n].rjust(width[n]) for n in head)
        print("  ".join(cells), flush=True)
    _recorded(table=shown)


def claim(what: str, figure: float, most: float, form: str = ".2f", unit: str = "") -> bool:
    """Print a figure beside the most that it may be; return whether it holds."""
    held = bool(figure <= most)
    _missed.extend([] if held else [what])
    measured, bar = (f"{value:{form}}{unit}" for value in (figure, most))
    print(f"{'held' if held else 'NOT HELD'}: {what}: {measured}, at most {bar}", flush=True)
    _recorded(claim=what, measured=measured, bar=bar, held=held)
    return held


def concluded() -> int:
    """Return the exit code: 1 when a claim does not hold."""
    return int(bool(_missed))


def here(title: str, module: str) -> bool:
    """Return whether a peer is installed; where it is not, this is said."""
    found = importlib.util.find_spec(module) is not None
    if not found:
        note(f"{title} is not here, so it was not compared.")
    return found


def parser(about: str | None, contenders: Iterable[str] = (), rounds: int = 3) -> argparse.ArgumentParser:
    """Return a parser of the options that all scripts of contenders have, and of the hidden ``--child``."""
    found = argparse.ArgumentParser(description=(about or "").split("\n")[0])
    found.add_argument("--rounds", type=int, default=rounds, help="runs of each contender")
    found.add_argument("--only", nargs="+", choices=list(contenders), help="contenders; by default all")
    found.add_argument(
        "--memory", help="limit of the engine, whoever asks it, such as 6GB; by default its own"
    )
    found.add_argument("--most-mb", type=float, help="memory that our process may have, else no claim")
    found.add_argument("--folder", type=Path, help="where the data are made and stay; by default nowhere")
    found.add_argument("--child", help=argparse.SUPPRESS)
    return found


def limited(connection: Any, options: argparse.Namespace) -> Any:
    """Give a connection of DuckDB, bare or of Ibis, the memory that was asked for, and a place for what is more."""
    ask = getattr(connection, "raw_sql", connection.execute)
    if options.memory:
        ask(f"set memory_limit = '{options.memory}'")
        ask(f"set temp_directory = '{options.folder / 'spill'}'")
    return connection


def generate(script: str) -> None:
    """Run a script of DuckDB that writes files, its random numbers always the same."""
    import duckdb

    connection = duckdb.connect()
    connection.execute("set memory_limit = '4GB'")
    connection.execute("select setseed(0.5)")
    connection.execute(script)


def megabytes(folder: Path, pattern: str = "*.parquet") -> float:
    """Return the size of the files of a folder."""
    return sum(file.stat().st_size for file in folder.rglob(pattern)) / 2**20


def peak_memory() -> float:
    """Return the largest resident size of this process so far, in MB.

    Linux hands ru_maxrss down to a child across exec, so its own high-water mark is read.
    """
    status = Path("/proc/self/status").read_text("utf-8")
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def timed(prepare: Callable[[], Callable[[], Any]]) -> tuple[dict[str, float], Any]:
    """Return what this process took for the imports (`prepare`) and for the work it returns, and the result."""
    begun = time.perf_counter()
    work = prepare()
    imported, before, cpu = time.perf_counter(), peak_memory(), time.process_time()
    result = work()
    figures = {
        "compute_s": time.perf_counter() - imported,
        "cpu_s": time.process_time() - cpu,
        "compute_mb": peak_memory() - before,
        "import_s": imported - begun,
        "process_mb": peak_memory(),
    }
    return figures, result


def compete(
    options: argparse.Namespace,
    contenders: Mapping[str, Callable[[], Callable[[], Any]]],
    make: Callable[[], None],
    once: Collection[str] = (),
) -> Runs:
    """Run the contenders in turn, those in `once` a single time; in a child process run one, print it and end.

    Parameters
    ----------
    options : Namespace
        Of `parser`; ``folder`` is filled before anything is called.
    contenders : mapping of str to callable
        Of each what imports and returns the work.
    make : callable
        Makes the data in ``options.folder`` that are not there yet. It has a process of its own too, whose memory
        is nobody's.
    """
    if options.child == "make":
        make()
        sys.exit(0)
    if options.child:
        figures, result = timed(contenders[options.child])
        print("\n" + json.dumps(figures | {"result": result}))
        sys.exit(0)
    with tempfile.TemporaryDirectory(prefix="playbook-benchmark-") as own:
        folder = options.folder or Path(own)
        folder.mkdir(parents=True, exist_ok=True)
        arguments = [*sys.argv, "--folder", str(folder)]
        subprocess.run([sys.executable, *arguments, "--child", "make"], check=True)
        note(
            f"{megabytes(folder, '*'):,.0f} MB of files; memory of the engine: {options.memory or 'as it has it'}"
        )
        found: Runs = {name: [] for name in contenders if not options.only or name in options.only}
        for number in range(options.rounds):
            for name in (name for name in found if not number or name not in once):
                found[name].append(alone([*arguments, "--child", name]))
    return found


def alone(arguments: Iterable[str]) -> dict[str, Any]:
    """Run a script in a fresh process and return its last line, which is JSON."""
    answer = subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, Any] = json.loads(answer.stdout.splitlines()[-1])
    return found


def show(
    found: Runs, titles: Mapping[str, str], more: Mapping[str, Mapping[str, str]] | None = None
) -> Medians:
    """Print medians and every wall time, beside more by contender; return the medians."""
    median = {
        name: {key: statistics.median(run[key] for run in runs) for key in FIGURES}
        for name, runs in found.items()
    }
    rows = []
    for name, each in median.items():
        figures = {title: f"{each[key]:,.{2 * key.endswith('_s')}f}" for key, title in FIGURES.items()}
        runs = ", ".join(f"{run['compute_s']:.2f}" for run in found[name])
        rows.append({"median": titles[name], **(more or {}).get(name, {}), **figures, "each wall s": runs})
    table(rows)
    return median


def compare(
    options: argparse.Namespace,
    median: Medians,
    titles: Mapping[str, str],
    targets: Mapping[str, Mapping[str, float]],
) -> None:
    """Print ours in units of each other contender that has targets by figure, and claim these."""
    ours = median["ours"]
    there = {name: most for name, most in targets.items() if name in median}
    ratio = {name: {key: ours[key] / max(median[name][key], 1e-9) for key in RATIOS} for name in there}
    table(
        {"ratio": f"ours / {titles[name]}", **{title: f"{each[key]:.3f}" for key, title in RATIOS.items()}}
        for name, each in ratio.items()
    )
    for name, most in there.items():
        # Other work on the machine lengthens the wall clock of either: what holds must hold of the CPU too.
        for key, bar in ({"cpu_s": most["compute_s"]} | most if "compute_s" in most else most).items():
            claim(f"ours / {titles[name]}, {RATIOS[key]}", ratio[name][key], bar, ".3f")
    if options.most_mb:
        claim("memory of our process", ours["process_mb"], options.most_mb, ",.0f", " MB")


def equal(found: Runs, names: Iterable[str], what: str) -> None:
    """Claim that all runs of some contenders have one result."""
    runs = [run["result"] for name in names for run in found.get(name, ())]
    claim(f"{what}: runs that differ from the first", sum(each != runs[0] for each in runs), 0, ".0f")
