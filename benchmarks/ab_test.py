"""Moments of 20 M experiment units x 6 metrics from Parquet: ours against hand-written SQL, as ratios.

The data are synthetic: one row a unit, two arms, 28 days, looks every week. Each contender runs in a fresh process,
in turn; medians are compared. Both look for units in several arms, which is most of the work, and return equal
moments by arm and day: compared are the whole, and the moments alone. Printed besides is a second set of metrics,
from moments that were kept. tea-tasting on the same table is a contender where it is installed.

Run: ``python benchmarks/ab_test.py`` (``--units 2000000`` for a quick look, 100000000 for a large one). Targets: at
most 1.3 times the SQL, at most 1.0 times tea-tasting, at most 1,500 MB.
"""

from __future__ import annotations

import statistics
import sys
import time
from argparse import Namespace
from functools import partial
from typing import Any

import _contenders

CONTENDERS = {"ours": "Ibis on DuckDB", "sql": "hand-written SQL", "tea": "tea-tasting on DuckDB"}
TARGETS = {"sql": {"compute_s": 1.3}, "tea": {"compute_s": 1.0}}
MOST_MB = 1_500

GENERATE = """
copy (select 'x' as exp_id, 'u' || lpad(i::varchar, 9, '0') as unit_id,
             case when hash(i) % 2 = 0 then 'control' else 'variant' end as arm,
             timestamptz '2026-01-01 00:00:00+00' + to_seconds((random() * 21 * 86400)::bigint) as assigned_at,
             round(-ln(1 - random()) * 80, 2) as spend, round(-ln(1 - random()) * 80, 2) as spend_before,
             floor(-ln(1 - random()))::int as orders, floor(-ln(1 - random()) * 3)::int as clicks,
             10 + floor(random() * 30)::int as views, round(random() * 60, 1) as minutes,
             floor(-ln(1 - random()) * 2)::int as likes
      from range({units}) t(i)) to '{folder}/assignments.parquet' (format parquet);
"""

METRICS = [
    {"name": "spend", "source": "assignments:spend", "covariates": ["assignments:spend_before"]},
    {"name": "orders", "source": "assignments:orders"},
    {"name": "bought", "source": "assignments:orders", "kind": "proportion"},
    {"name": "ctr", "source": "assignments:clicks", "kind": "ratio", "denominator": "assignments:views"},
    {"name": "minutes", "source": "assignments:minutes"},
    {"name": "likes", "source": "assignments:likes"},
]

SEVERAL = """
create temp table several as
select unit_id from '{folder}/assignments.parquet' where exp_id = 'x' group by unit_id having min(arm) <> max(arm)
"""
SQL = """
select arm, make_timestamp(epoch_us(assigned_at) + 28800000000)::date + 7 as ready, count(*) as n,
       avg(spend), var_pop(spend), avg(spend_before), var_pop(spend_before), covar_pop(spend, spend_before),
       avg(orders), var_pop(orders), avg((orders > 0)::int), var_pop((orders > 0)::int),
       avg(clicks), var_pop(clicks), avg(views), var_pop(views), covar_pop(clicks, views),
       avg(minutes), var_pop(minutes), avg(likes), var_pop(likes)
from '{folder}/assignments.parquet' where exp_id = 'x' and ready <= date '2026-01-28'
group by arm, ready
"""


def run_ours(options: Namespace) -> Any:
    """Return a function that does the work through the package."""
    import ibis.backends.duckdb  # noqa: F401 -- else loaded at the first query

    from helpers.data import source
    from helpers.methods.ab_test.plan import plan_of
    from helpers.methods.ab_test.readings import moments_of
    from helpers.methods.ab_test.units import in_several_arms
    from helpers.study import Study

    fields = {"experiment": "x", "arms": ["control", "variant"], "start": "2026-01-01", "end": "2026-01-28"}
    fields |= {"allocation": [{"start": "2026-01-01", "shares": [0.5, 0.5]}], "smallest_effect": 0.01}
    plan = plan_of(fields | {"outcome_days": 7, "primary": METRICS[0], "secondary": METRICS[1:]})

    def work() -> dict[str, Any]:
        study = Study.of(source.open(str(options.folder), check=False), "2026-01-28")
        _contenders.limited(study.dataset.assignments.get_backend(), options)
        in_several_arms(study, plan)
        checked = time.perf_counter()
        found = {each.name: moments_of(study, plan, each).moments.merge(2).merge(1) for each in plan.metrics}
        read = time.perf_counter()
        for each in plan.metrics:
            moments_of(study, plan, each.model_copy(update={"covariates": (), "direction": "down"}))
        again = time.perf_counter() - read
        cells = {name: [*each.n, *each.mean[:, 0], *each.cross[:, 0, 0]] for name, each in found.items()}
        return {"moments_s": read - checked, "again_ms": 1_000 * again, "cells": cells}

    return work


def run_sql(options: Namespace) -> Any:
    """Return a function that does the work with two statements of SQL, merged as ours are."""
    import duckdb
    import numpy as np

    columns = {"spend": 3, "orders": 8, "bought": 10, "ctr": 12, "minutes": 17, "likes": 19}

    def work() -> dict[str, Any]:
        connection = _contenders.limited(duckdb.connect(), options)
        connection.execute(SEVERAL.format(folder=options.folder))
        checked = time.perf_counter()
        several = connection.execute("select count(*) from several").fetchall()[0][0]
        assert not several, "the synthetic units stand in one arm each"
        rows = connection.execute(SQL.format(folder=options.folder)).fetchall()
        read = time.perf_counter()
        cells = {}
        for name, place in columns.items():
            parts = []
            for arm in ("control", "variant"):
                n, mean, var = np.array(
                    [[r[2], r[place], r[place + 1]] for r in rows if r[0] == arm], float
                ).T
                whole = n @ mean / n.sum()
                parts.append((n.sum(), whole, n @ (var + (mean - whole) ** 2)))
            cells[name] = [float(value) for values in zip(*parts, strict=True) for value in values]
        return {"moments_s": read - checked, "again_ms": 0.0, "cells": cells}

    return work


def run_tea(options: Namespace) -> Any:
    """Return a function that analyses the same metrics with tea-tasting."""
    import ibis
    import tea_tasting as tt

    experiment = tt.Experiment(
        spend=tt.Mean("spend", "spend_before"),
        orders=tt.Mean("orders"),
        bought=tt.Mean("bought"),
        ctr=tt.RatioOfMeans("clicks", "views"),
        minutes=tt.Mean("minutes"),
        likes=tt.Mean("likes"),
        variant="arm",
    )

    def work() -> dict[str, Any]:
        begun = time.perf_counter()
        connection = _contenders.limited(ibis.duckdb.connect(), options)
        table = connection.read_parquet(options.folder / "assignments.parquet")
        experiment.analyze(table.mutate(bought=(table.orders > 0).cast("int")), control="control")
        return {"moments_s": time.perf_counter() - begun, "again_ms": 0.0, "cells": {}}

    return work


def generate(options: Namespace) -> None:
    """Make the Parquet file."""
    if not (options.folder / "assignments.parquet").exists():
        _contenders.generate(GENERATE.format(units=options.units, folder=options.folder))


def show(options: Namespace, found: _contenders.Runs) -> None:
    """Print medians, ratios and claims."""
    import numpy as np

    result = {name: [run["result"] for run in runs] for name, runs in found.items()}
    alone = {name: statistics.median(run["moments_s"] for run in runs) for name, runs in result.items()}
    median = _contenders.show(found, CONTENDERS, {n: {"moments s": f"{s:.2f}"} for n, s in alone.items()})
    ours, sql = (result[name][0]["cells"] for name in ("ours", "sql"))
    unlike = sum(not np.allclose(ours[name], sql[name], rtol=1e-9) for name in sql)
    _contenders.claim("metrics whose moments differ from the SQL's", unlike, 0, ".0f")
    _contenders.compare(options, median, CONTENDERS, {"sql": TARGETS["sql"]})
    for name in TARGETS.keys() & found:
        what = f"ours / {CONTENDERS[name]}, moments alone, wall"
        _contenders.claim(what, alone["ours"] / alone[name], TARGETS[name]["compute_s"])
    again = statistics.median(each["again_ms"] for each in result["ours"])
    _contenders.note(f"A second set of metrics from kept moments takes {again:.1f} ms.")


def main() -> int:
    """Read the arguments, measure and print."""
    parser = _contenders.parser(__doc__, CONTENDERS)
    parser.add_argument("--units", type=int, default=20_000_000, help="rows of the table")
    parser.set_defaults(most_mb=MOST_MB)
    options = parser.parse_args()
    there = [name for name in CONTENDERS if name != "tea" or _contenders.here("tea-tasting", "tea_tasting")]
    runs = {name: partial(globals()[f"run_{name}"], options) for name in there}
    found = _contenders.compete(options, runs, lambda: generate(options))
    _contenders.note(f"{options.units:,} units x {len(METRICS)} metrics")
    show(options, found)
    return _contenders.concluded()


if __name__ == "__main__":
    sys.exit(main())
