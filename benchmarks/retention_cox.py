"""A Cox model of 1 M members with four discrete covariates: from grouped cells against lifelines on rows, as ratios.

Each contender runs in a fresh process and reads the same Parquet file: ours groups it in the engine to cells
(48 patterns x days x left or not) and fits those; lifelines fits one row per member, with ``batch_mode=True`` and
with its default, which takes a minute or more at 1 M rows (``--only ours batch`` leaves it out). All must return
equal coefficients. The claim is about compute after imports: its wall clock, and the peak of memory above what the
imports took.

Run: ``python benchmarks/retention_cox.py`` (``--members 100000`` for a quick look). Targets: at most 0.5 times
lifelines with ``batch_mode=True`` in time, at most 0.35 in memory.
"""

from __future__ import annotations

import sys
from argparse import Namespace
from pathlib import Path
from typing import Any

import _contenders

CONTENDERS = {
    "ours": "grouped cells",
    "batch": "lifelines, batch_mode=True",
    "default": "lifelines, default",
}
TARGETS = {"compute_s": 0.5, "compute_mb": 0.35}
COVARIATES = ["source", "early_reply", "frequent_push", "region"]
DAYS = 730
EQUAL = 1e-8
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

    from helpers.stats.cox.model import CoxModel

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


def file_of(options: Namespace) -> Path:
    """Return the Parquet file."""
    return options.folder / "stays.parquet"


def generate(options: Namespace) -> None:
    """Make the Parquet file."""
    if not file_of(options).exists():
        _contenders.generate(GENERATE.format(members=options.members, days=DAYS, file=file_of(options)))


def widest(ours: dict[str, list[float]], theirs: dict[str, list[float]]) -> float:
    """Return the widest gap between coefficients or standard errors."""
    return max(abs(a - b) for name in COVARIATES for a, b in zip(ours[name], theirs[name], strict=True))


def main() -> int:
    """Read the arguments, measure and print."""
    parser = _contenders.parser(__doc__, CONTENDERS)
    parser.add_argument("--members", type=int, default=1_000_000, help="members in the file")
    options = parser.parse_args()
    runs = {
        "ours": lambda: run_ours(file_of(options)),
        "batch": lambda: run_lifelines(file_of(options), batch_mode=True),
        "default": lambda: run_lifelines(file_of(options), batch_mode=None),
    }
    # The default of lifelines takes a minute or more: once is enough.
    found = _contenders.compete(options, runs, lambda: generate(options), once=["default"])
    _contenders.note(f"{options.members:,} members, {DAYS} days, 48 patterns of 4 covariates")
    result = {name: each[0]["result"] for name, each in found.items()}
    fitted = {name: {"rows fitted": f"{each['cells']:,}"} for name, each in result.items()}
    median = _contenders.show(found, CONTENDERS, fitted)
    _contenders.compare(options, median, CONTENDERS, dict.fromkeys(("batch", "default"), TARGETS))
    for name in [name for name in result if name != "ours"]:
        gap = widest(result["ours"]["found"], result[name]["found"])
        _contenders.claim(f"widest gap of coefficients and errors to {CONTENDERS[name]}", gap, EQUAL, ".1e")
    return _contenders.concluded()


if __name__ == "__main__":
    sys.exit(main())
