"""Credit of order 1 from 5 M touches: ours against hand-written SQL and do-attribution; bootstrap; growth to 20 M.

Ours and the SQL read the same Parquet files, cut journeys at orders, look back 30 days, carry touches to second
orders, count transitions, and must return equal credit. do-attribution, where it is installed, gets the
unique journeys with their numbers, ready made. The bootstrap resamples the members of all unique histories 200 times
and gives credit by every rule, order 1 and Shapley values. Each contender runs in a fresh process; medians count.

The engine may use 3.5 GB, whoever asks it. The package itself allows less, so that memory does not grow with the
community, and sorts on disk what does not fit: what that costs is printed beside it.

Run: ``python benchmarks/attribution.py`` (``--journeys 200000`` for a quick look, 20000000 with ``--only ours sql``
for a large one; a journey has about five touches). Targets: at most 1.3 times the SQL and a third of do-attribution
(wall clock), 40 CPU seconds for the bootstrap of 380,000 histories, 4.4 times the CPU seconds for four times the
touches, in at most 4 GB.
"""

from __future__ import annotations

import sys
from argparse import Namespace
from functools import partial
from pathlib import Path
from typing import Any

import _contenders

AS_OF, LARGE, HISTORIES, DRAWS = "2026-07-30", 4, 380_000, 200
CONTENDERS = {
    "ours": "order 1, Ibis on DuckDB",
    "sql": "order 1, hand-written SQL",
    "house": "ours, memory as the package allows",
    "large": "ours, four times the touches",
    "bootstrap": "200 resamples of members",
    "peer": "do-attribution, ready paths",
}
MEMORY, MOST_MB, MOST_GROWTH, MOST_BOOTSTRAP = "3.5GB", 4_096, 4.4, 40
TARGETS = {"sql": {"compute_s": 1.3}, "peer": {"compute_s": 1 / 3}}

GENERATE = """
create temp table journey as
select i, 'm' || lpad((floor(random() * {journeys} * 0.8))::bigint::varchar, 9, '0') as member_id,
       timestamptz '2025-10-01 00:00:00+00' + to_seconds((random() * 240 * 86400)::bigint) as begun,
       1 + floor(-ln(1 - random()) * 4.7)::int as touches, random() < 0.128 as converted
from range({journeys}) t(i);
copy (select 't' || row_number() over () as touch_id, member_id,
             begun + to_seconds((k * 86400 * random() * 1.5)::bigint) as ts,
             ['抖音', '小红书', '微信', '微博', 'B站', 'search', 'direct', '快手', '知乎', '豆瓣', '线下', '短信',
              '邮件', '达人', '联盟'][1 + floor(15 * power(random(), 1.7))::int] as channel
      from journey, range(touches) r(k)) to '{folder}/touchpoints.parquet' (format parquet);
copy (select 'o' || i as order_id, member_id, begun + to_seconds((touches * 1.5 * 86400)::bigint + 60) as paid_at,
             round(-ln(1 - random()) * 80, 2) as gross, 'CNY' as currency
      from journey where converted) to '{folder}/orders.parquet' (format parquet);
"""

SQL = """
with bought as (
    select member_id, make_timestamp(epoch_us(paid_at)) as ts, order_id as id, gross as value,
           lag(make_timestamp(epoch_us(paid_at))) over (partition by member_id order by paid_at, order_id) as prior
    from '{folder}/orders.parquet' where gross >= 0 and paid_at < timestamptz '2026-07-30 16:00:00+00'
), touch as (
    select member_id, make_timestamp(epoch_us(ts)) as ts, touch_id as id, channel
    from '{folder}/touchpoints.parquet' where ts < timestamptz '2026-07-30 16:00:00+00'
), life as (
    select member_id, ts, 0::tinyint as kind, id, channel, null::double as value from touch
    union all select member_id, ts, 1::tinyint, id, null, value from bought
), beside as (
    select *, min(case when kind = 1 then ts end) over (o rows between current row and unbounded following) as paid,
           lag(kind) over o as prior_kind, lag(ts) over o as prior_ts, lag(channel) over o as prior_channel,
           lead(kind) over o as next_kind, lead(ts) over o as next_ts, lead(value) over o as next_value
    from life window o as (partition by member_id order by ts, kind, id)
), reached as (
    select *, coalesce(ts >= paid - interval 30 day, false) as converted from beside where kind = 0
), step as (
    select channel, converted, next_value as value,
           case when prior_kind = 0 and case when converted then prior_ts >= paid - interval 30 day
                                             else ts <= prior_ts + interval 30 day end
                then prior_channel end as before,
           not (coalesce(next_kind = 0, false) and (converted or (next_ts <= ts + interval 30 day and
                coalesce(next_ts < paid - interval 30 day, true)))) as last
    from reached
), near as (
    select b.*, t.channel, t.ts as seen,
           row_number() over (partition by b.id order by t.ts desc, t.id desc) as place
    from bought b join touch t using (member_id)
    where b.prior >= b.ts - interval 30 day and t.ts between b.ts - interval 30 day and b.ts
), carried as (
    select channel, true as converted, value, null as before, true as last
    from near where place = 1 and seen <= prior
)
select before, channel, last, converted, count(*) as n,
       sum(case when last and converted then value else 0 end) as value
from (select * from step union all by name select * from carried) group by all
"""

Rows = list[tuple[str, float, float]]


def study(folder: Path) -> Any:
    """Return the study of the files."""
    from helpers.data import source
    from helpers.study import Study

    return Study(dataset=source.open(str(folder), check=False), as_of=AS_OF, draws=DRAWS)


def rows(channels: tuple[str, ...], credit: Any) -> Rows:
    """Return the credit by channel, without what depends on the order of a sum."""
    return [(name, *credit[:, n].round(4).tolist()) for n, name in enumerate(channels)]


def run_ours(options: Namespace, times: int = 1) -> Any:
    """Return a function that does the work through the package, on so many times the journeys."""
    import ibis.backends.duckdb  # noqa: F401 -- else loaded at the first query

    from helpers.methods.attribution.journeys import journeys
    from helpers.methods.attribution.markov import first_order

    def work() -> Rows:
        asked = study(part(options, times))
        _contenders.limited(asked.dataset.touchpoints.get_backend(), options)
        found = journeys(asked)
        return rows(found.channels, first_order(found.cells, found.channels)[1])

    return work


run_large = partial(run_ours, times=LARGE)


def run_house(options: Namespace) -> Any:
    """Return the same with the memory that the package allows."""
    return run_ours(Namespace(**vars(options) | {"memory": None}))


def run_sql(options: Namespace) -> Any:
    """Return a function that counts with one query; both read the effects off the counts in the same way."""
    import duckdb

    from helpers.methods.attribution.markov import first_order

    def work() -> Rows:
        connection = _contenders.limited(duckdb.connect(), options)
        cells = connection.execute(SQL.format(folder=part(options))).df()
        channels = tuple(sorted(cells["channel"].unique()))
        return rows(channels, first_order(cells, channels)[1])

    return work


def all_histories(options: Namespace) -> Any:
    """Return the histories of all members; a report takes those of a sample, and is faster than what is claimed."""
    from helpers.data import guard
    from helpers.methods.attribution import journeys

    guard.MOST_PULLED = journeys.MOST_MEMBERS = options.journeys
    journeys.MOST_TOUCHES = 100 * options.journeys
    asked = study(part(options))
    _contenders.limited(asked.dataset.touchpoints.get_backend(), options)
    return journeys.journeys(asked).histories


def run_bootstrap(options: Namespace) -> Any:
    """Return a function that resamples members; their histories are there already."""
    from helpers.methods.attribution.heuristics import rules
    from helpers.methods.attribution.markov import markov
    from helpers.methods.attribution.shapley import shapley
    from helpers.methods.attribution.uncertainty import resampled

    histories = all_histories(options)

    def work() -> Rows:
        models = {**rules(histories), "markov": markov(histories), "shapley": shapley(histories)}
        drawn = resampled(histories, models, DRAWS, 0)["markov"].std(axis=0)
        return [("histories", len(histories.members), 0.0), *rows(histories.channels, drawn)]

    return work


def run_peer(options: Namespace) -> Any:
    """Return a function that fits do-attribution to journeys that are joined and counted already."""
    from do_attribution import MarkovAttribution  # type: ignore[import-not-found]

    h = all_histories(options)
    names, ends = list(h.channels), h.last.nonzero()[0]
    begins = [0, *(ends[:-1] + 1)]
    paths = [" > ".join(names[code] for code in h.code[a : b + 1]) for a, b in zip(begins, ends, strict=True)]
    won, weights = h.converted[h.last].astype(int).tolist(), h.members[h.history[h.last]].tolist()

    def work() -> Rows:
        MarkovAttribution(order=1, removal_strategy="redirect_to_null").fit(paths, won, weights)
        return []

    return work


def part(options: Namespace, times: int = 1) -> Path:
    """Return the folder of the two Parquet files with so many times the journeys."""
    return options.folder / str(options.journeys * times)


def generate(options: Namespace) -> None:
    """Make the Parquet files that are asked for."""
    for times in (1, LARGE) if not options.only or "large" in options.only else (1,):
        folder = part(options, times)
        folder.mkdir(exist_ok=True)
        if not (folder / "orders.parquet").exists():
            _contenders.generate(GENERATE.format(journeys=options.journeys * times, folder=folder))


def show(options: Namespace, found: _contenders.Runs) -> None:
    """Print medians, ratios and claims."""
    median = _contenders.show(found, CONTENDERS)
    _contenders.equal(found, ("sql", "ours", "house"), "credit by channel")
    _contenders.compare(options, median, CONTENDERS, TARGETS)
    if "house" in median:
        disk = median["house"]["cpu_s"] / median["ours"]["cpu_s"]
        _contenders.note(
            f"With the memory that the package allows it takes {disk:.2f} times the CPU seconds."
        )
    if "large" in median:
        growth = median["large"]["cpu_s"] / median["ours"]["cpu_s"]
        _contenders.claim(f"{LARGE} times the touches, CPU", growth, MOST_GROWTH)
        peak = median["large"]["process_mb"]
        _contenders.claim(f"{LARGE} times the touches, memory of the process", peak, MOST_MB, ",.0f", " MB")
    if "bootstrap" in median:
        histories = found["bootstrap"][0]["result"][0][1]
        bar = MOST_BOOTSTRAP * max(1.0, histories / HISTORIES)
        what = f"{DRAWS} resamples of {histories:,} histories, CPU"
        _contenders.claim(what, median["bootstrap"]["cpu_s"], bar, ".1f", " s")


def main() -> int:
    """Read the arguments, measure and print."""
    parser = _contenders.parser(__doc__, CONTENDERS)
    parser.set_defaults(memory=MEMORY)
    parser.add_argument(
        "--journeys", type=int, default=1_000_000, help="they have five times as many touches"
    )
    options = parser.parse_args()
    there = [n for n in CONTENDERS if n != "peer" or _contenders.here("do-attribution", "do_attribution")]
    runs = {name: partial(globals()[f"run_{name}"], options) for name in there}
    once = ("house", "large", "bootstrap", "peer")
    found = _contenders.compete(options, runs, lambda: generate(options), once)
    _contenders.note(f"{options.journeys:,} journeys")
    show(options, found)
    return _contenders.concluded()


if __name__ == "__main__":
    sys.exit(main())
