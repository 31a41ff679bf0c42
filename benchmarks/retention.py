"""Kaplan–Meier curves of 24 segments from Parquet: ours against lifelines on rows and a bare query, as ratios.

Each contender runs in a fresh process, in turn, several times; medians are compared. All read the same Parquet file
and must find the same survival on days 30, 180 and 365. Two files, two claims:

- durations (plan, tenure_days, exited): what survival analysis begins with;
- members (member_id, joined_at, left_at, plan): the whole way from instants, days in the report's time zone.

Contenders:

- ours: cells counted in the engine, curves with intervals, medians and cumulative hazards for 24 segments;
- lifelines: the needed columns read with pandas, the same days, 24 fits of rows;
- bare: one hand-written DuckDB query that groups to (plan, day, n, exits) and fetches the rows; from members it
  shifts both times to days first. It fits nothing and checks nothing. The file has no columns for staff or bots, so
  neither side filters them; both leave out who joined after the last day.

The claim is about compute after imports: its wall clock, and the peak of memory above what the imports took.
Run: ``python benchmarks/retention.py`` (``--members 1000000`` for a quick look; ``--start members`` for the other
claim; ``--only ours bare`` where the rows do not fit in memory, as with ``--members 100000000``). Targets: at most
1.3 times the bare query in time; at most a third of lifelines in time and a tenth in memory. A tenth in time, which
was asked for once, is less than the bare query itself takes.
"""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Iterable
from functools import partial
from typing import Any

import _contenders

AS_OF, SEGMENTS, DAYS, CHECKED = "2026-06-30", 24, 730, (30, 180, 365)
CONTENDERS = {"ours": "Ibis on DuckDB", "lifelines": "lifelines on rows", "bare": "bare grouped query"}
TARGETS = {"lifelines": {"compute_s": 1 / 3, "compute_mb": 0.1}, "bare": {"compute_s": 1.3}}

# Weibull times (shape 0.8) of a scale that differs by plan, joined uniformly over two years: about 56 % have left.
GENERATE = """
copy (with drawn as (
          select i, (i % {segments})::int as plan,
                 timestamp '2024-06-30 16:00:00' + to_seconds((random() * {days} * 86400)::bigint) as joined_at,
                 (140 + 10 * (i % {segments})) * pow(-ln(1 - random()), 1 / 0.8) as stayed
          from range({members}) t(i)),
      timed as (select *, joined_at + to_seconds((stayed * 86400)::bigint) as leaves_at from drawn)
      select 'm' || lpad(i::varchar, 9, '0') as member_id, joined_at,
             case when leaves_at < timestamp '2026-06-30 16:00:00' then leaves_at end as left_at,
             'plan ' || lpad(plan::varchar, 2, '0') as plan
      from timed) to '{folder}/members.parquet' (format parquet);
"""

DURATIONS = """
copy (with days as (
          select plan, (joined_at + interval 8 hour)::date as joined_day,
                 (left_at + interval 8 hour)::date as left_day
          from '{folder}/members.parquet')
      select plan, coalesce(left_day, date '{as_of}') - joined_day as tenure_days, left_day is not null as exited
      from days where joined_day <= date '{as_of}') to '{folder}/durations.parquet' (format parquet);
"""

BARE_DURATIONS = """
select plan, tenure_days, count(*) as n, count(*) filter (exited) as events
from '{folder}/durations.parquet' group by all
"""

BARE = """
with days as (
    select plan, (joined_at + interval 8 hour)::date as joined_day, (left_at + interval 8 hour)::date as left_day
    from '{folder}/members.parquet')
select plan, coalesce(left_day, date '{as_of}') - joined_day as tenure_day, count(*) as n, count(left_day) as events
from days where joined_day <= date '{as_of}' group by all
"""


def run_ours(options: Namespace) -> Any:
    """Return a function that does the work through the package."""
    import ibis

    ibis.duckdb  # noqa: B018 -- imports the backend, which the first query would do otherwise

    from helpers.data import source
    from helpers.stats.survival.cells import cells
    from helpers.stats.survival.curves import survival
    from helpers.stats.survival.durations import exit_durations
    from helpers.study.people import population

    def work() -> list[tuple[Any, ...]]:
        if options.start == "durations":
            stays = ibis.read_parquet(options.folder / "durations.parquet")
            _contenders.limited(stays.get_backend(), options)
        else:
            dataset = source.open(str(options.folder), tables=["members"], check=False)
            _contenders.limited(dataset.members.get_backend(), options)
            stays = exit_durations(population(dataset, as_of=AS_OF), as_of=AS_OF)
        curves = survival(cells(stays, "plan"), "plan")
        found = curves.at(list(CHECKED))
        return plain(found[["segment", "day", "survival"]].itertuples(index=False, name=None))

    return work


def run_lifelines(options: Namespace) -> Any:
    """Return a function that fits rows, reading only the columns it needs."""
    import pandas as pd
    import pyarrow.parquet  # noqa: F401 -- else loaded at the first read
    from lifelines import KaplanMeierFitter

    def work() -> list[tuple[Any, ...]]:
        if options.start == "durations":
            rows = pd.read_parquet(options.folder / "durations.parquet")
            tenure, exited = rows["tenure_days"], rows["exited"]
        else:
            rows = pd.read_parquet(
                options.folder / "members.parquet", columns=["joined_at", "left_at", "plan"]
            )
            shift, end = pd.Timedelta(hours=8), pd.Timestamp(AS_OF)
            joined = (rows["joined_at"] + shift).dt.floor("D")
            left = (rows["left_at"] + shift).dt.floor("D")
            tenure, exited = (left.fillna(end) - joined).dt.days, left.notna()
        found = []
        for plan, index in rows.groupby("plan").indices.items():
            fitted = KaplanMeierFitter().fit(tenure.to_numpy()[index], exited.to_numpy()[index])
            found += [(plan, day, fitted.predict(day)) for day in CHECKED]
        return plain(found)

    return work


def run_bare(options: Namespace) -> Any:
    """Return a function that counts with one query and multiplies step by step, which takes no time beside it."""
    import duckdb

    query = BARE_DURATIONS if options.start == "durations" else BARE
    query = query.format(folder=options.folder, as_of=AS_OF)

    def work() -> list[tuple[Any, ...]]:
        return plain(product_limit(_contenders.limited(duckdb.connect(), options).execute(query).fetchall()))

    return work


def product_limit(rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Return survival on the checked days from the rows of the bare query, step by step."""
    found = []
    for plan in sorted({row[0] for row in rows}):
        mine = sorted(row[1:] for row in rows if row[0] == plan)
        at_risk, survived = sum(row[1] for row in mine), {-1: 1.0}
        for day, n, events in mine:
            survived[day] = survived[max(survived)] * (1 - events / at_risk)
            at_risk -= n
        found += [(plan, day, survived[max(d for d in survived if d <= day)]) for day in CHECKED]
    return found


def plain(rows: Iterable[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Return survival by plan and day in order, to 9 digits."""
    return sorted((str(plan), int(day), round(float(value), 9)) for plan, day, value in rows)


def generate(options: Namespace) -> None:
    """Make the Parquet files."""
    if not (options.folder / "durations.parquet").exists():
        sizes = {"members": options.members, "segments": SEGMENTS, "days": DAYS}
        _contenders.generate(GENERATE.format(**sizes, folder=options.folder))
        _contenders.generate(DURATIONS.format(folder=options.folder, as_of=AS_OF))


def main() -> int:
    """Read the arguments, measure and print."""
    parser = _contenders.parser(__doc__, CONTENDERS)
    parser.add_argument("--members", type=int, default=10_000_000, help="members in the file")
    parser.add_argument("--start", choices=["durations", "members"], default="durations", help="which file")
    options = parser.parse_args()
    runs = {name: partial(globals()[f"run_{name}"], options) for name in CONTENDERS}
    found = _contenders.compete(options, runs, lambda: generate(options))
    _contenders.note(f"from {options.start}: {options.members:,} members, {SEGMENTS} segments")
    median = _contenders.show(found, CONTENDERS)
    _contenders.equal(found, CONTENDERS, "survival to 9 digits")
    _contenders.compare(options, median, CONTENDERS, TARGETS)
    if {"bare", "lifelines"} <= median.keys():
        bare = median["bare"]["cpu_s"] / median["lifelines"]["cpu_s"]
        _contenders.note(
            f"Of lifelines' CPU time the bare query takes {bare:.2f}; before, a tenth was asked of ours."
        )
    return _contenders.concluded()


if __name__ == "__main__":
    sys.exit(main())
