"""Who is alive, at scale: compress orders to cells and fit BG/NBD, next to lifetimes 0.11.3 on its rows.

Every task runs in a process of its own on the same Parquet file of simulated orders, so that wall time and
peak memory are its own; both leave out starting Python and importing. Prints one line per task, then ratios.

    python benchmarks/rfm_alive.py [--members 1000000] [--peer-members 50000] [--days 730]
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

TRUTH = {"r": 0.8, "alpha": 6.0, "a": 0.6, "b": 2.5}
START, WEEK = "2024-01-01", 7.0


def simulate_orders(path: Path, members: int, days: int, seed: int) -> int:
    """Write orders of members who join evenly over all days; return the number of orders."""
    import numpy as np
    import pandas as pd

    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    from helpers.stats.btyd.bg_nbd import Parameters
    from tests.stats.buyers import simulate

    joined = np.random.default_rng(seed).integers(0, days, members)
    member, time_after = simulate(Parameters(**TRUTH), (days - joined) / WEEK, seed)
    who = np.concatenate([np.arange(members), member])
    when = np.concatenate([joined + 0.5, joined[member] + 0.5 + time_after * WEEK])
    at = pd.Timestamp(START) + pd.to_timedelta((when * 86_400).astype("int64"), unit="s")
    frame = pd.DataFrame({"member_id": who.astype(str), "paid_at": at.astype("datetime64[us]"), "gross": 1.0})
    frame.assign(order_id=frame.index.astype(str)).to_parquet(path, index=False)
    return len(frame)


def task_ours(path: Path, days: int) -> dict[str, object]:
    """Compress in the engine and fit."""
    import ibis

    from helpers.stats.btyd.alive import BetaGeometricNBD
    from helpers.stats.btyd.cells import cells
    from helpers.study import Study

    before, started, cpu = peak_memory(), time.perf_counter(), time.process_time()
    study = Study.of({"orders": ibis.read_parquet(path)}, last_day(days), report_tz="UTC")
    found = cells(study.purchases, study.as_of)
    compressed = time.perf_counter()
    model = BetaGeometricNBD().fit(found)
    done = time.perf_counter()
    return {
        "cells": len(found.table),
        "compress_s": compressed - started,
        "fit_s": done - compressed,
        "wall_s": done - started,
        "cpu_s": time.process_time() - cpu,
        "peak_mb": peak_memory(),
        "before_mb": before,
        "parameters": [round(v, 4) for v in model.params_],
    }


def task_lifetimes(path: Path, days: int) -> dict[str, object]:
    """Make the summary frame and fit, as its manual says."""
    import pandas as pd
    from lifetimes import BetaGeoFitter
    from lifetimes.utils import summary_data_from_transaction_data

    before, started, cpu = peak_memory(), time.perf_counter(), time.process_time()
    orders = pd.read_parquet(path, columns=["member_id", "paid_at"])
    end = pd.Timestamp(last_day(days))
    rows = summary_data_from_transaction_data(
        orders, "member_id", "paid_at", observation_period_end=end, freq="D", freq_multiplier=WEEK
    )
    compressed = time.perf_counter()
    model = BetaGeoFitter().fit(rows["frequency"], rows["recency"], rows["T"])
    done = time.perf_counter()
    return {
        "cells": len(rows),
        "compress_s": compressed - started,
        "fit_s": done - compressed,
        "wall_s": done - started,
        "cpu_s": time.process_time() - cpu,
        "peak_mb": peak_memory(),
        "before_mb": before,
        "parameters": [round(float(v), 4) for v in model.params_],
    }


def last_day(days: int) -> str:
    """Return the last simulated day."""
    import pandas as pd

    return str((pd.Timestamp(START) + pd.Timedelta(days=days - 1)).date())


def peak_memory() -> float:
    """Return the largest resident size of this process so far, in MB.

    Linux hands ru_maxrss down to a child across exec, so its own high-water mark is read where there is one.
    """
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def run(task: str, path: Path, days: int) -> dict[str, float]:
    """Run a task in a fresh process and print its line."""
    command = [sys.executable, __file__, "--task", task, "--file", str(path), "--days", str(days)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found = json.loads(done.stdout.splitlines()[-1])
    print(
        f"{path.stem:>6} {task:>9}: wall {found['wall_s']:6.2f} s (compress {found['compress_s']:.2f}, "
        f"fit {found['fit_s']:.2f}), processor {found['cpu_s']:.2f} s, peak {found['peak_mb']:.0f} MB "
        f"(imports {found['before_mb']:.0f}), {found['cells']:,} rows fitted, {found['parameters']}",
        flush=True,
    )
    return found


def main() -> None:
    """Simulate, run, print ratios."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--members", type=int, default=1_000_000)
    parser.add_argument("--peer-members", type=int, default=50_000)
    parser.add_argument("--days", type=int, default=730)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--task", choices=["ours", "lifetimes"], help=argparse.SUPPRESS)
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.task:
        warnings.simplefilter("ignore")
        tasks = {"ours": task_ours, "lifetimes": task_lifetimes}
        print(json.dumps(tasks[chosen.task](chosen.file, chosen.days)))
        return
    with tempfile.TemporaryDirectory() as folder:
        large, small = Path(folder) / "large.parquet", Path(folder) / "small.parquet"
        for path, members in ((large, chosen.members), (small, chosen.peer_members)):
            orders = simulate_orders(path, members, chosen.days, chosen.seed)
            print(
                f"{path.stem}: {members:,} members, {orders:,} orders, truth {list(TRUTH.values())}",
                flush=True,
            )
        big, ours = run("ours", large, chosen.days), run("ours", small, chosen.days)
        peer = run("lifetimes", small, chosen.days)
    print(
        f"{chosen.peer_members:,} members, ours / lifetimes: wall {ours['wall_s'] / peer['wall_s']:.2f}, fit "
        f"{ours['fit_s'] / peer['fit_s']:.2f}, peak memory {ours['peak_mb'] / peer['peak_mb']:.2f}"
    )
    print(
        f"{chosen.members:,} members ours / {chosen.peer_members:,} members lifetimes: wall "
        f"{big['wall_s'] / peer['wall_s']:.2f} for {chosen.members / chosen.peer_members:.0f} times the members"
    )


if __name__ == "__main__":
    main()
