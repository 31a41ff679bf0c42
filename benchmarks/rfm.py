"""R, F, M, active days, scores and tiers of 10 M events: ours against hand-written SQL and against pandas, as ratios.

Each contender runs in a fresh process, in turn, several times; medians are compared. All read the same
Parquet files and must return equal members per score code and tier. The claim is about compute after
imports: its wall clock, and the peak of memory above what the imports took. Time of imports, CPU time and
memory of the whole process are printed beside it.

Run: ``python benchmarks/rfm.py`` (``--events 1000000`` for a quick look; ``--only ours sql`` and ``--memory`` for a
large one). Targets: at most 1.3 times the SQL, at most 0.5 times pandas.
"""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Iterable
from functools import partial
from typing import Any

import _contenders

AS_OF, WINDOW_DAYS, BINS = "2026-06-30", 90, 5
WEIGHTS = {"goods": 1.0, "membership": 1.0, "tip": 1.0, "share": 2.0, "comment": 0.5}
CONTENDERS = {"ours": "Ibis on DuckDB", "sql": "hand-written SQL", "pandas": "pandas groupby + qcut"}
TARGETS = {name: {"compute_s": most, "compute_mb": most} for name, most in (("sql", 1.3), ("pandas", 0.5))}

GENERATE = """
copy (select 'e' || i as event_id,
             'm' || lpad(((power(random(), 2.5) * {members})::bigint)::varchar, 9, '0') as member_id,
             timestamptz '2025-07-01 00:00:00+00' + to_seconds((random() * 366 * 86400)::bigint) as ts,
             ['view', 'view', 'view', 'like', 'like', 'comment', 'share', 'save']
                 [1 + floor(random() * 8)::int] as event,
             ['douyin', 'wechat', 'weibo'][1 + floor(random() * 3)::int] as platform
      from range({events}) t(i)) to '{folder}/events.parquet' (format parquet);
copy (select 'o' || i as order_id,
             'm' || lpad(((power(random(), 2.5) * {members})::bigint)::varchar, 9, '0') as member_id,
             timestamptz '2025-07-01 00:00:00+00' + to_seconds((random() * 366 * 86400)::bigint) as paid_at,
             round(-ln(1 - random()) * 80, 2) as gross, 'CNY' as currency,
             ['goods', 'membership', 'tip'][1 + floor(random() * 3)::int] as kind
      from range({events} // 50) t(i)) to '{folder}/orders.parquet' (format parquet);
"""

SQL = """
create temp table member as
with activity as (
    select member_id, make_timestamp(epoch_us(ts) + 28800000000)::date as day, true as counted,
           case event when 'share' then 2.0::double when 'comment' then 0.5::double
                else 0.0::double end as value
    from '{folder}/events.parquet'
    where event in ('like', 'comment', 'share', 'save')
    union all
    select member_id, make_timestamp(epoch_us(paid_at) + 28800000000)::date, false, gross
    from '{folder}/orders.parquet'
)
select member_id, date '{as_of}' - max(day) filter (counted) as recency_days,
       count(*) filter (counted and day > date '{as_of}' - {window}) as frequency,
       count(distinct day) filter (counted and day > date '{as_of}' - {window}) as active_days,
       coalesce(round(sum(value) filter (day > date '{as_of}' - {window}), 6), 0.0) as monetary
from activity where day <= date '{as_of}' group by member_id;

create temp table scored as
with cut as (
    select quantile_disc(recency_days, [.2, .4, .6, .8]) as r,
           quantile_disc(frequency, [.2, .4, .6, .8]) as f,
           quantile_disc(monetary, [.2, .4, .6, .8]) as m
    from member
)
select member.*,
       case when recency_days is null then 1 when recency_days <= r[1] then 5 when recency_days <= r[2] then 4
            when recency_days <= r[3] then 3 when recency_days <= r[4] then 2 else 1 end as r_score,
       case when frequency <= f[1] then 1 when frequency <= f[2] then 2 when frequency <= f[3] then 3
            when frequency <= f[4] then 4 else 5 end as f_score,
       case when monetary <= m[1] then 1 when monetary <= m[2] then 2 when monetary <= m[3] then 3
            when monetary <= m[4] then 4 else 5 end as m_score
from member, cut;

select r_score, f_score, m_score,
       case when r_score >= 4 and f_score >= 4 and m_score >= 4 then 'core'
            when r_score >= 3 and f_score >= 3 then 'active' else 'potential' end as tier,
       count(*) as members
from scored group by all;
"""


def run_ours(options: Namespace) -> Any:
    """Return a function that does the work through the package."""
    import ibis.backends.duckdb  # noqa: F401 -- else loaded at the first query

    from helpers.data import source
    from helpers.methods.rfm.scores import scored
    from helpers.methods.rfm.tiers import TierScheme
    from helpers.study import Study
    from helpers.study.values import member_values

    def work() -> list[tuple[Any, ...]]:
        dataset = source.open(str(options.folder), check=False)
        _contenders.limited(dataset.events.get_backend(), options)
        actions = Study.of(dataset, AS_OF, value_weights=WEIGHTS).log.activity()
        study = Study.of({"activity": actions}, AS_OF)
        members = scored(member_values(study, WINDOW_DAYS), BINS)
        tiered = TierScheme.load("three_tier").assign(members)
        keys = ["r_score", "f_score", "m_score", "tier"]
        counts = tiered.group_by(keys).agg(members=tiered.count()).to_pandas()
        return plain(counts.itertuples(index=False, name=None))

    return work


def run_sql(options: Namespace) -> Any:
    """Return a function that does the work with one script of SQL."""
    import duckdb

    script = SQL.format(folder=options.folder, as_of=AS_OF, window=WINDOW_DAYS)

    def work() -> list[tuple[Any, ...]]:
        return plain(_contenders.limited(duckdb.connect(), options).execute(script).fetchall())

    return work


def run_pandas(options: Namespace) -> Any:
    """Return a function that does the work in pandas, reading only the columns it needs."""
    import numpy as np
    import pandas as pd

    def quintile(values: pd.Series) -> pd.Series:
        """Return quintiles as qcut makes them (quantiles, then a search), numbers kept under ties."""
        known = values.dropna()
        cuts = np.quantile(known, [0.2, 0.4, 0.6, 0.8], method="inverted_cdf")
        return pd.Series(np.searchsorted(cuts, known) + 1, index=known.index).reindex(values.index)

    def actions() -> pd.DataFrame:
        counted = ["like", "comment", "share", "save"]
        columns = ["member_id", "ts", "event"]
        only = [("event", "in", counted)]
        events = pd.read_parquet(options.folder / "events.parquet", columns=columns, filters=only)
        events["value"] = events["event"].map(WEIGHTS).fillna(0.0)
        orders = pd.read_parquet(options.folder / "orders.parquet", columns=["member_id", "paid_at", "gross"])
        orders = orders.rename(columns={"paid_at": "ts", "gross": "value"})
        rows = pd.concat([events.drop(columns="event").assign(counted=True), orders.assign(counted=False)])
        rows["day"] = (rows.pop("ts").dt.tz_convert(None) + pd.Timedelta(hours=8)).dt.floor("D")
        return rows[rows["day"] <= AS_OF]

    def work() -> list[tuple[Any, ...]]:
        rows = actions()
        inside = rows[rows["day"] > pd.Timestamp(AS_OF) - pd.Timedelta(days=WINDOW_DAYS)]
        counted = inside[inside["counted"]]
        table = pd.DataFrame({"last": rows[rows["counted"]].groupby("member_id")["day"].max()})
        table = table.reindex(rows["member_id"].unique())
        table["frequency"] = counted.groupby("member_id").size()
        table["active_days"] = counted.drop_duplicates(["member_id", "day"]).groupby("member_id").size()
        table["monetary"] = inside.groupby("member_id")["value"].sum().round(6)
        table = table.fillna({"frequency": 0, "monetary": 0.0, "active_days": 0})
        recency = (pd.Timestamp(AS_OF) - table["last"]).dt.days
        table["r"] = (BINS + 1 - quintile(recency)).fillna(1)
        table["f"], table["m"] = quintile(table["frequency"]), quintile(table["monetary"])
        core = table[["r", "f", "m"]].ge(4).all(axis=1)
        active = table[["r", "f"]].ge(3).all(axis=1)
        table["tier"] = np.select([core, active], ["core", "active"], "potential")
        counts = table.groupby(["r", "f", "m", "tier"]).size().reset_index()
        return plain(counts.itertuples(index=False, name=None))

    return work


def plain(rows: Iterable[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Return members by scores and tier in order, as Python's own numbers."""
    return sorted((int(r), int(f), int(m), str(tier), int(n)) for r, f, m, tier, n in rows)


def generate(options: Namespace) -> None:
    """Make the two Parquet files."""
    if not (options.folder / "orders.parquet").exists():
        script = GENERATE.format(events=options.events, members=options.events // 10, folder=options.folder)
        _contenders.generate(script)


def main() -> int:
    """Read the arguments, measure and print."""
    parser = _contenders.parser(__doc__, CONTENDERS)
    parser.add_argument("--events", type=int, default=10_000_000, help="events; members are a tenth")
    options = parser.parse_args()
    runs = {name: partial(globals()[f"run_{name}"], options) for name in CONTENDERS}
    found = _contenders.compete(options, runs, lambda: generate(options))
    cells = found["ours"][0]["result"]
    shown = f"{options.events:,} events, {options.events // 50:,} orders"
    _contenders.note(f"{shown}: {sum(row[-1] for row in cells):,} members in {len(cells)} cells")
    median = _contenders.show(found, CONTENDERS)
    _contenders.equal(found, CONTENDERS, "members by scores and tier")
    _contenders.compare(options, median, CONTENDERS, TARGETS)
    return _contenders.concluded()


if __name__ == "__main__":
    sys.exit(main())
