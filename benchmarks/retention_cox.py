"""A Cox model of 1 M members with four discrete covariates: from grouped cells against lifelines on rows, as ratios.

Each contender runs in a fresh process and reads the same Parquet file: ours groups it in the engine to cells
(48 patterns x days x left or not) and fits those; lifelines fits one row per member, with ``batch_mode=True`` and
with its default, which takes a minute or more at 1 M rows (``--skip-default`` leaves it out). All must return equal
coefficients. The claim is about compute after imports: its wall clock, and the peak of memory above what the
imports took.

Run: ``python benchmarks/retention_cox.py`` (``--members 100000`` for a quick look). Targets: at most 0.5 times
lifelines with ``batch_mode=True`` in time, at most 0.35 in memory.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

CONTENDERS = {
    "ours": "grouped cells",
    "batch": "lifelines, batch_mode=True",
    "default": "lifelines, default",
}
TARGETS = {"compute_s": 0.5, "compute_mb": 0.35}
COVARIATES = ["source", "early_reply", "frequent_push", "region"]
DAYS = 730
# Enough digits that lifelines goes on until the estimate stands still.
TIGHT = {"precision": 1e-12, "r_precision": 1e-16}

GENERATE = """
copy (
    with drawn as (
        select i, floor(random() * 3)::int as source, (random() < 0.4)::int as early_reply,
               (random() < 0.5)::int as frequent_push, floor(random() * 4)::int as region,
               -ln(1 - random()) as clock, (random() * {days})::int as seen
        from range({members}) t(i)
    ), lived as (
        select *, (clock / (0.004 * exp(0.2 * source - 0.45 * early_reply + 0.25 * frequent_push)))::int as stay
        from drawn
    )
    select 'm' || lpad(i::varchar, 9, '0') as member_id, source, early_reply, frequent_push, region,
           least(stay, seen)::int as tenure_day, stay <= seen as exited
    from lived
) to '{file}' (format parquet);
"""


def run_ours(file: Path) -> Any:
    """Return a function that groups in the engine and fits the cells."""
    import ibis
    import ibis.backends.duckdb

    from helpers.methods.retention.leaving.cox import CoxModel

    def work() -> dict[str, Any]:
        table = ibis.duckdb.connect().read_parquet(file)
        keys = [*COVARIATES, "tenure_day"]
        grouped = table.group_by(keys).agg(n=table.count(), events=table.exited.cast("int64").sum())
        cells = grouped.to_pandas().sort_values(keys, ignore_index=True)
        model = CoxModel(COVARIATES).fit(cells)
        found = {name: (model.params_[name], model.standard_errors_[name]) for name in COVARIATES}
        return {"cells": len(cells), "found": found}

    return work


def run_lifelines(file: Path, batch_mode: bool | None) -> Any:
    """Return a function that fits one row per member."""
    import pandas as pd
    from lifelines import CoxPHFitter

    def work() -> dict[str, Any]:
        frame = pd.read_parquet(file, columns=[*COVARIATES, "tenure_day", "exited"]).astype(float)
        model = CoxPHFitter().fit(frame, "tenure_day", "exited", batch_mode=batch_mode, fit_options=TIGHT)
        found = {name: (model.params_[name], model.standard_errors_[name]) for name in COVARIATES}
        return {"cells": len(frame), "found": found}

    return work


def child(contender: str, file: Path) -> None:
    """Run one contender in this process and print its figures as JSON."""
    start = time.perf_counter()
    work = run_ours(file) if contender == "ours" else run_lifelines(file, contender == "batch" or None)
    imported, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF)
    result = work()
    done, after = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF)
    figures = {
        "import_s": imported - start,
        "compute_s": done - imported,
        "cpu_s": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        "compute_mb": (after.ru_maxrss - before.ru_maxrss) / 1024,
        "process_mb": after.ru_maxrss / 1024,
    }
    print(json.dumps({**figures, **result}))


def generate(members: int) -> Path:
    """Return the Parquet file, made once per size."""
    file = Path(tempfile.gettempdir()) / f"benchmark-retention-cox-{members}.parquet"
    if not file.exists():
        import duckdb

        connection = duckdb.connect()
        connection.execute("select setseed(0.5)")
        connection.execute(GENERATE.format(members=members, days=DAYS, file=file))
    return file


def measure(file: Path, rounds: int, names: list[str]) -> dict[str, list[dict[str, Any]]]:
    """Run all contenders in turn, `rounds` times each; the slow default once."""
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    for number in range(rounds):
        for name, runs in found.items():
            if name == "default" and number:
                continue
            command = [sys.executable, __file__, "--child", name, "--file", str(file)]
            answer = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            runs.append(json.loads(answer.stdout.splitlines()[-1]))
    return found


def show(found: dict[str, list[dict[str, Any]]]) -> bool:
    """Print medians and ratios; return whether the results agree and the targets hold."""
    keys = ("import_s", "compute_s", "cpu_s", "compute_mb", "process_mb")
    median = {
        name: {key: statistics.median(run[key] for run in runs) for key in keys}
        for name, runs in found.items()
    }
    print(
        f"{'median of runs':28}{'rows fitted':>12}{'compute s':>11}{'CPU s':>8}{'peak MB':>9}{'process MB':>12}"
    )
    for name, m in median.items():
        print(
            f"{CONTENDERS[name]:28}{found[name][0]['cells']:12,}{m['compute_s']:11.2f}{m['cpu_s']:8.2f}"
            f"{m['compute_mb']:9.0f}{m['process_mb']:12.0f}   each: "
            + ", ".join(f"{run['compute_s']:.2f} s" for run in found[name])
        )
    good = True
    for name in [name for name in found if name != "ours"]:
        pairs = [
            (ours, theirs)
            for covariate in COVARIATES
            for ours, theirs in zip(
                found["ours"][0]["found"][covariate], found[name][0]["found"][covariate], strict=True
            )
        ]
        gap = max(abs(ours - theirs) for ours, theirs in pairs)
        equal = gap < 1e-8
        ratio = {key: median["ours"][key] / median[name][key] for key in keys}
        held = equal and all(ratio[key] <= limit for key, limit in TARGETS.items())
        good &= held
        wall, memory = (f"{ratio[key]:.3f} (target <= {limit})" for key, limit in TARGETS.items())
        print(
            f"ours / {CONTENDERS[name]}: wall {wall}, peak memory {memory}; CPU {ratio['cpu_s']:.3f}; "
            f"coefficients and errors equal to {gap:.1e}: {equal}"
        )
    return good


def main() -> int:
    """Read the arguments, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--members", type=int, default=1_000_000)
    parser.add_argument(
        "--rounds", type=int, default=3, help="runs of each contender; the default of lifelines once"
    )
    parser.add_argument("--skip-default", action="store_true", help="leave out the slow default of lifelines")
    parser.add_argument("--child", choices=list(CONTENDERS), help=argparse.SUPPRESS)
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(options.child, options.file)
        return 0
    names = [name for name in CONTENDERS if not (name == "default" and options.skip_default)]
    print(f"{options.members:,} members, {DAYS} days, 48 patterns of 4 covariates")
    return 0 if show(measure(generate(options.members), options.rounds, names)) else 1


if __name__ == "__main__":
    sys.exit(main())
