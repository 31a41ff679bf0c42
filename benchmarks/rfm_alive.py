"""Who is alive, at scale: compress orders to cells and fit BG/NBD, next to lifetimes 0.11.3 on its rows.

Each contender runs in a fresh process on Parquet files of simulated orders, of which the cells are the same members'
purchases: ours on a large and on a small community, lifetimes on the small one.

Run: ``python benchmarks/rfm_alive.py`` (``--members 200000`` for a quick look). Targets: the small community in half
the time that lifetimes needs for it, and the large one, of twenty times the members, in five times that.
"""

from __future__ import annotations

import sys
import time
import warnings
from argparse import Namespace
from functools import partial
from pathlib import Path
from typing import Any

import _contenders

TRUTH = {"r": 0.8, "alpha": 6.0, "a": 0.6, "b": 2.5}
START, WEEK, DAYS, SEED = "2024-01-01", 7.0, 730, 7
CONTENDERS = {"ours": "ours, large", "small": "ours, small", "lifetimes": "lifetimes, small"}
TARGETS = {"lifetimes": {"compute_s": 5.0}}


def simulate_orders(path: Path, members: int) -> None:
    """Write orders of members who join evenly over all days."""
    import numpy as np
    import pandas as pd

    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    from helpers.stats.btyd.bg_nbd import Parameters
    from tests.stats.buyers import simulate

    joined = np.random.default_rng(SEED).integers(0, DAYS, members)
    member, time_after = simulate(Parameters(**TRUTH), (DAYS - joined) / WEEK, SEED)
    who = np.concatenate([np.arange(members), member])
    when = np.concatenate([joined + 0.5, joined[member] + 0.5 + time_after * WEEK])
    at = pd.Timestamp(START) + pd.to_timedelta((when * 86_400).astype("int64"), unit="s")
    frame = pd.DataFrame({"member_id": who.astype(str), "paid_at": at.astype("datetime64[us]"), "gross": 1.0})
    frame.assign(order_id=frame.index.astype(str)).to_parquet(path, index=False)


def run_ours(path: Path) -> Any:
    """Return a function that compresses in the engine and fits."""
    import ibis
    import ibis.backends.duckdb

    from helpers.stats.btyd.alive import BetaGeometricNBD
    from helpers.stats.btyd.cells import cells
    from helpers.study import Study

    def work() -> dict[str, Any]:
        begun = time.perf_counter()
        study = Study.of({"orders": ibis.read_parquet(path)}, last_day(), report_tz="UTC")
        found = cells(study.purchases, study.as_of)
        compressed = time.perf_counter() - begun
        return {"s": compressed, "rows": len(found.table), "fit": BetaGeometricNBD().fit(found).params_}

    return lambda: plain(work())


def run_lifetimes(path: Path) -> Any:
    """Return a function that makes the summary frame and fits, as its manual says."""
    import pandas as pd
    from lifetimes import BetaGeoFitter
    from lifetimes.utils import summary_data_from_transaction_data

    warnings.simplefilter("ignore")

    def work() -> dict[str, Any]:
        begun = time.perf_counter()
        orders = pd.read_parquet(path, columns=["member_id", "paid_at"])
        end = pd.Timestamp(last_day())
        rows = summary_data_from_transaction_data(
            orders, "member_id", "paid_at", observation_period_end=end, freq="D", freq_multiplier=WEEK
        )
        compressed = time.perf_counter() - begun
        fit = BetaGeoFitter().fit(rows["frequency"], rows["recency"], rows["T"]).params_
        return {"s": compressed, "rows": len(rows), "fit": fit}

    return lambda: plain(work())


def plain(found: dict[str, Any]) -> dict[str, str]:
    """Return what is told of a fit, as texts."""
    fitted = ", ".join(f"{float(value):.4f}" for value in found["fit"])
    return {"compress s": f"{found['s']:.2f}", "rows fitted": f"{found['rows']:,}", "parameters": fitted}


def last_day() -> str:
    """Return the last simulated day."""
    import pandas as pd

    return str((pd.Timestamp(START) + pd.Timedelta(days=DAYS - 1)).date())


def generate(options: Namespace) -> None:
    """Make both Parquet files."""
    for members in (options.members, options.peer_members):
        if not (path := options.folder / f"{members}.parquet").exists():
            simulate_orders(path, members)


def main() -> int:
    """Read the arguments, measure and print."""
    parser = _contenders.parser(__doc__, CONTENDERS, rounds=3)
    parser.add_argument("--members", type=int, default=1_000_000, help="members of the large community")
    parser.add_argument("--peer-members", type=int, default=50_000, help="members of the small one")
    options = parser.parse_args()
    there = [name for name in CONTENDERS if name != "lifetimes" or _contenders.here("lifetimes", "lifetimes")]

    def prepare(name: str) -> Any:
        members = options.members if name == "ours" else options.peer_members
        run = run_lifetimes if name == "lifetimes" else run_ours
        return run(options.folder / f"{members}.parquet")

    runs = {name: partial(prepare, name) for name in there}
    found = _contenders.compete(options, runs, lambda: generate(options))
    shown = f"{options.members:,} members are large, {options.peer_members:,} small"
    _contenders.note(f"{shown}; planted are {', '.join(map(str, TRUTH.values()))}")
    median = _contenders.show(found, CONTENDERS, {name: runs[0]["result"] for name, runs in found.items()})
    _contenders.compare(options, median, CONTENDERS, TARGETS)
    if {"small", "lifetimes"} <= median.keys():
        same = median["small"]["cpu_s"] / median["lifetimes"]["cpu_s"]
        _contenders.claim("ours, small / lifetimes, small, CPU", same, 0.5, ".3f")
    _contenders.note(
        "Before, the large community was asked for in the time that lifetimes takes for the small one."
    )
    return _contenders.concluded()


if __name__ == "__main__":
    sys.exit(main())
