"""Every engine gives the same answer to every kind of expression that the methods write: the one stated here.

Over tables of the engine with real types, since frames in memory take another way in. Integers are equal, floats to
1e-9.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import math
from typing import Any
from zoneinfo import ZoneInfo

import ibis
import pandas as pd
import pytest

from helpers.data import dialect
from helpers.data.clock import from_local, local_date, local_time
from helpers.data.source import as_table, of_sample, pulled
from helpers.errors import TooManyRows
from helpers.study.days import day_number
from helpers.study.frames import materialise

pytestmark = pytest.mark.engines

NAN, INF = math.nan, math.inf
MIXED = ["a", "B", "b", "A", "中文", "啊", "Ä", "10", "9", "m2", "m10", "_", "é", "z", "Z", ""]
"""Text in which languages order otherwise than bytes do."""


def column(found: ibis.Value, *by: str) -> list[Any]:
    """Return a column as plain values, in the order of the column `at` of its table."""
    table = found.as_table() if isinstance(found, ibis.Scalar) else found
    frame = pulled(table) if isinstance(table, ibis.Table) else table.execute()
    values = frame.iloc[:, -1] if isinstance(frame, pd.DataFrame) else frame
    return [None if cell is None or cell is pd.NaT or cell is pd.NA else cell for cell in values.tolist()]


def answers(table: ibis.Table, expression: Any) -> list[Any]:
    """Return an expression over each row, in the order of the rows, straight from the engine."""
    rows = table.select("at", found=expression).order_by("at").to_pyarrow()
    return rows["found"].to_pylist()


def close(found: list[Any], expected: list[Any]) -> bool:
    """Compare floats to 1e-9 and everything else exactly."""
    pairs = zip(found, expected, strict=True)
    return all(_same(a, b) for a, b in pairs)


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, float) and isinstance(b, float | int) and not isinstance(b, bool):
        return math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-9) or (math.isnan(a) and math.isnan(b))
    return type(a) is type(b) and a == b


@pytest.fixture(scope="module")
def numbers(engine) -> ibis.Table:
    """Floats of every kind."""
    cells = [2.5, -2.5, 0.5, -0.5, 1.5, -1.5, 0.0, 1.005, -1.005, 0.285, 1e15 + 0.5, NAN, INF, -INF, None]
    return engine.table({"at": "BIGINT", "x": "DOUBLE PRECISION"}, list(enumerate(cells)))


@pytest.fixture(scope="module")
def groups(engine) -> ibis.Table:
    """Three groups: one with numbers, one whose values are all missing, and one with a NaN."""
    rows = [
        (0, "some", 4, 4.0, True),
        (1, "some", -7, 1.0, False),
        (2, "some", None, None, None),
        (3, "some", 2, 2.5, True),
        (4, "none", None, None, None),
        (5, "none", None, None, None),
        (6, "nan", 1, NAN, False),
        (7, "nan", 3, 3.0, False),
    ]
    kinds = {"at": "BIGINT", "g": "VARCHAR", "n": "BIGINT", "x": "DOUBLE PRECISION", "yes": "BOOLEAN"}
    return engine.table(kinds, rows)


def by_group(table: ibis.Table, expression: Any) -> dict[str, Any]:
    """Return an aggregate by group."""
    rows = table.group_by("g").agg(found=expression).to_pyarrow().to_pylist()
    return {row["g"]: row["found"] for row in rows}


@pytest.mark.parametrize(
    "zone", ["Asia/Shanghai", "America/New_York", "Europe/Berlin", "Australia/Lord_Howe"]
)
def test_days_begin_and_end_where_the_zone_says(engine, zone):
    written = [
        "2025-03-09 06:59:59.999999",
        "2025-03-09 07:00:00",
        "2025-03-30 00:59:59.999999",
        "2025-03-30 01:00:00",
        "2025-10-26 00:59:59.999999",
        "2025-11-02 05:30:00",
        "2025-11-02 06:30:00",
        "2025-06-30 15:59:59.999999",
        "2025-06-30 16:00:00",
        "1999-12-31 23:59:59.999999",
        "2025-12-31 15:59:59.999999",
    ]
    instants = [dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC) for text in written]
    kinds = {"at": "BIGINT", "ts": "TIMESTAMP WITH TIME ZONE"}
    table = engine.table(kinds, [(n, f"{text}+00") for n, text in enumerate(written)])
    walls = [instant.astimezone(ZoneInfo(zone)).replace(tzinfo=None) for instant in instants]
    assert answers(table, local_time(table.ts, zone)) == walls
    assert answers(table, local_date(table.ts, zone)) == [wall.date() for wall in walls]
    epoch = dt.date(1970, 1, 1)
    assert answers(table, day_number(local_date(table.ts, zone))) == [
        (wall.date() - epoch).days for wall in walls
    ]


@pytest.mark.parametrize("zone", ["Asia/Shanghai", "America/New_York"])
def test_local_times_become_the_instants_they_mean(engine, zone):
    walls = [dt.datetime(2025, 3, 9, 1, 59, 59, 999999), dt.datetime(2025, 3, 9, 3), dt.datetime(2025, 7, 1)]
    walls += [
        dt.datetime(2025, 11, 2, 0, 59, 59),
        dt.datetime(2025, 11, 2, 2),
        dt.datetime(2025, 12, 31, 23, 59),
    ]
    table = engine.table({"at": "BIGINT", "ts": "TIMESTAMP"}, list(enumerate(walls)))
    expected = [wall.replace(tzinfo=ZoneInfo(zone)).astimezone(dt.UTC) for wall in walls]
    found = answers(table, from_local(table.ts, zone))
    assert [each.astimezone(dt.UTC) for each in found] == expected


def test_differences_of_days_are_whole(engine):
    days = [dt.date(2024, 2, 28), dt.date(2024, 3, 1), dt.date(1969, 12, 31), dt.date(2026, 6, 30), None]
    table = engine.table({"at": "BIGINT", "day": "DATE"}, list(enumerate(days)))
    since = [None if day is None else (day - dt.date(2024, 3, 1)).days for day in days]
    assert answers(table, table.day.delta(ibis.date("2024-03-01"), unit="day").cast("int64")) == since
    assert answers(table, (table.day - ibis.interval(days=3)).cast("date"))[:2] == [
        dt.date(2024, 2, 25),
        dt.date(2024, 2, 27),
    ]
    assert answers(table, table.day.truncate("M").cast("date"))[2] == dt.date(1969, 12, 1)
    mondays = [dt.date(2024, 2, 26), dt.date(2024, 2, 26), dt.date(1969, 12, 29)]
    assert answers(table, table.day.truncate("W").cast("date"))[:3] == mondays


def test_division_and_remainder_of_negatives(engine):
    pairs = [(7, 2), (-7, 2), (7, -2), (-7, -2), (1, 3), (0, 5), (-1, 3)]
    rows = [(n, a, b) for n, (a, b) in enumerate(pairs)]
    table = engine.table({"at": "BIGINT", "a": "BIGINT", "b": "BIGINT"}, rows)
    assert answers(table, table.a // table.b) == [a // b for a, b in pairs]
    assert close(answers(table, table.a / table.b), [a / b for a, b in pairs])
    # The remainder has the sign of what is divided, in every engine: no expression may rest on Python's.
    assert answers(table, table.a % table.b) == [int(math.fmod(a, b)) for a, b in pairs]


def test_halves_are_rounded_away_from_zero(numbers):
    whole = [3.0, -3.0, 1.0, -1.0, 2.0, -2.0, 0.0, 1.0, -1.0, 0.0, 1e15 + 1, NAN, INF, -INF, None]
    assert close(answers(numbers, dialect.rounded(numbers.x)), whole)
    cents = answers(numbers, dialect.rounded(numbers.x, 2))
    assert close(cents[:10], [2.5, -2.5, 0.5, -0.5, 1.5, -1.5, 0.0, 1.0, -1.0, 0.28])


def test_money_and_constants_are_rounded_as_floats(engine):
    table = engine.table(
        {"at": "BIGINT", "m": "NUMERIC(12, 3)"}, [(0, "1.005"), (1, "-2.675"), (2, "99.995")]
    )
    assert close(answers(table, dialect.rounded(table.m, 2)), [1.0, -2.68, 100.0])
    heads = ibis.cases((table["at"] == 0, 5_824_970.8284714121), else_=0.5)
    assert close(answers(table, dialect.rounded(heads, 6)), [5_824_970.828471, 0.5, 0.5])
    halves = materialise(table.group_by("at").agg(half=ibis.cases((table["at"] == 0, 0.5), else_=2.25).sum()))
    assert halves.select("half").execute()["half"].dtype == "float64", "what is stored of constants, too"


def test_buckets_are_those_of_md5(engine):
    ids = [*MIXED, "m1", "6106380506272564798", None]
    table = engine.table({"at": "BIGINT", "id": "VARCHAR"}, list(enumerate(ids)))
    hashed = [None if text is None else hashlib.md5(text.encode()).hexdigest() for text in ids]
    expected = [None if text is None else int(text[:4], 16) % 250 for text in hashed]
    assert answers(table, dialect.bucket(table.id, 250)) == expected


def test_a_sample_of_members_is_the_same_members(engine):
    ids = [f"m{n}" for n in range(60)]
    table = engine.table({"member_id": "VARCHAR"}, [(each,) for each in ids])
    limit = f"{round(0.3 * 16**8):08x}"
    drawn = {each for each in ids if hashlib.md5(f"5 {each}".encode()).hexdigest() < limit}
    assert 5 < len(drawn) < 40
    assert set(of_sample(table, 0.3, 5).member_id.execute()) == drawn


@pytest.mark.parametrize("ask", ["execute", "to_pyarrow"])
def test_more_than_may_leave_is_refused(engine, ask, monkeypatch):
    monkeypatch.setattr("helpers.data.guard.MOST_PULLED", 2)
    table = engine.table({"n": "BIGINT"}, [(each,) for each in range(4)])
    assert len(getattr(table.filter(table.n < 2), ask)()) == 2
    with pytest.raises(TooManyRows, match="has 4 rows as its answer, and at most 2 leave"):
        getattr(table, ask)()


def test_sums_and_means_of_conditions(groups):
    assert by_group(groups, groups.yes.sum()) == {"some": 2, "none": None, "nan": 0}
    assert by_group(groups, groups.yes.mean()) == pytest.approx({"some": 2 / 3, "none": None, "nan": 0.0})
    assert by_group(groups, dialect.ones(groups.yes).sum()) == {"some": 2, "none": None, "nan": 0}
    assert answers(groups, dialect.ones(groups.n > 1)) == [1, 0, None, 1, None, None, 0, 1]
    assert by_group(groups, groups.count(where=groups.yes)) == {"some": 2, "none": 0, "nan": 0}
    assert by_group(groups, (groups.yes.any())) == {"some": True, "none": None, "nan": False}


def test_least_and_greatest_pass_over_what_is_missing(groups):
    assert answers(groups, ibis.greatest(groups.n, 0))[:3] == [4, 0, 0]
    assert answers(groups, ibis.least(groups.n, 3))[:3] == [3, -7, 3]
    assert answers(groups, ibis.least(groups.n)) == [4, -7, None, 2, None, None, 1, 3]


def test_medians_and_quantiles_lie_between_two_values(groups):
    some = groups.filter(groups.g == "some")
    assert close([some.x.median().execute(), some.n.median().execute()], [2.5, 2.0])
    found = some.agg(**{f"q{n}": some.x.quantile(n / 100) for n in (5, 25, 90)}).execute().iloc[0]
    assert close(found.tolist(), [1.15, 1.75, 3.7])
    assert groups.filter(groups.g == "none").x.median().to_pyarrow().as_py() is None


def test_nan_is_a_value_and_null_is_none(groups):
    assert answers(groups, groups.x.isnull()) == [False, False, True, False, True, True, False, False]
    assert answers(groups, groups.x.isnan())[6:] == [True, False]
    assert by_group(groups, groups.x.count()) == {"some": 3, "none": 0, "nan": 2}
    assert math.isnan(by_group(groups, groups.x.sum())["nan"])
    assert math.isnan(by_group(groups, groups.x.max())["nan"]), "NaN is greater than every number"
    assert answers(groups, groups.x > 1e300)[6] is True
    assert by_group(groups, groups.x.nullif(NAN).sum())["nan"] == 3.0


def test_what_is_missing_comes_last_in_either_direction(groups):
    order = groups.order_by(groups.n, groups["at"])["at"].execute().tolist()
    assert order == [1, 6, 3, 7, 0, 2, 4, 5]
    downwards = groups.order_by(groups.n.desc(), groups["at"])["at"].execute().tolist()
    assert downwards == [0, 7, 3, 6, 1, 2, 4, 5]
    rank = ibis.rank().over(ibis.window(order_by=groups.n))
    assert answers(groups, rank) == [4, 0, 5, 2, 5, 5, 1, 3]
    before = groups.n.lag().over(ibis.window(group_by="g", order_by=[groups.n, groups["at"]]))
    assert answers(groups, before) == [2, None, 4, -7, None, None, None, 1]


def test_windows_count_rows_and_not_equal_values(groups):
    so_far = ibis.window(group_by="g", order_by="at", rows=(None, 0))
    assert answers(groups, groups.count().over(so_far)) == [1, 2, 3, 4, 1, 2, 1, 2]
    assert answers(groups, groups.n.sum().over(so_far)) == [4, -3, -3, -1, None, None, 1, 4]


def test_empty_tables_and_columns_of_nothing(engine, groups):
    table = engine.table({"g": "VARCHAR", "n": "BIGINT", "x": "DOUBLE PRECISION"})
    found = table.agg(rows=table.count(), n=table.n.sum(), x=table.x.mean(), most=table.n.max()).to_pyarrow()
    assert found.to_pylist() == [{"rows": 0, "n": None, "x": None, "most": None}]
    assert table.group_by("g").agg(rows=table.count()).execute().empty
    none = groups.filter(groups.g == "none")
    assert none.agg(n=none.n.sum(), x=none.x.std(), d=none.x.nunique()).to_pyarrow().to_pylist() == [
        {"n": None, "x": None, "d": 0}
    ]
    kept = materialise(groups.group_by("g").agg(n=groups.n.sum()))
    assert kept.filter(kept.n.isnull()).g.execute().tolist() == ["none"]


def test_text_is_ordered_by_its_bytes(engine):
    table = engine.table({"at": "BIGINT", "t": "VARCHAR"}, list(enumerate(MIXED)))
    expected = sorted(MIXED, key=lambda text: text.encode())
    assert table.order_by("t").t.execute().tolist() == expected
    assert table.order_by(ibis.desc("t")).t.execute().tolist() == expected[::-1]
    assert answers(table, ibis.rank().over(ibis.window(order_by="t"))) == [expected.index(t) for t in MIXED]
    found = table.agg(low=table.t.min(), high=table.t.max()).execute().iloc[0].tolist()
    assert found == [expected[0], expected[-1]]
    assert table.agg(all=table.t.collect(order_by="t")).to_pyarrow().to_pylist()[0]["all"] == expected
    assert answers(table, table.t.lower())[:4] == ["a", "b", "b", "a"]
    members = materialise(table.group_by("t").agg(first=table.t.min()))
    assert members.inner_join(table, "t").count().execute() == len(MIXED)


def test_joins_pass_over_missing_keys(engine):
    left = engine.table({"at": "BIGINT", "k": "VARCHAR"}, [(0, "a"), (1, None), (2, "b"), (3, "中")])
    right = engine.table({"k": "VARCHAR", "v": "BIGINT"}, [("a", 1), (None, 2), ("中", 3)])
    joined = left.left_join(right, "k")
    assert joined.order_by("at").v.to_pyarrow().to_pylist() == [1, None, None, 3]
    assert left.semi_join(right, "k").count().execute() == 2
    assert left.anti_join(right, "k").count().execute() == 2


def test_moments_agree_with_their_formulas(groups):
    some = [4.0, 1.0, 2.5]
    mean = sum(some) / 3
    spread = sum((value - mean) ** 2 for value in some)
    assert by_group(groups, groups.x.var())["some"] == pytest.approx(spread / 2, rel=1e-9)
    assert by_group(groups, groups.x.std(how="pop"))["some"] == pytest.approx((spread / 3) ** 0.5, rel=1e-9)
    assert by_group(groups, groups.x.argmin(groups["at"]))["some"] == 4.0
    assert by_group(groups, groups.g.nunique()) == {"some": 1, "none": 1, "nan": 1}


def test_frames_go_in_as_they_are(engine, groups):
    frame = pd.DataFrame({
        "at": [0, 1, 2, 3],
        "n": pd.array([5, None, 40, -1], "Int64"),
        "x": [1.5, NAN, -2.0, 0.0],
        "t": ["a\tb", "\\N", None, "中\n文"],
        "nothing": [None] * 4,
        "day": pd.to_datetime(["2025-01-01", None, "2025-06-30", "1999-12-31"]),
        "yes": pd.array([True, None, False, True], "boolean"),
    })  # fmt: skip
    table = as_table(frame)
    joined = groups.select("at", "g").inner_join(table, "at")
    found = joined.order_by("at").to_pyarrow().to_pydict()
    assert found["n"] == [5, None, 40, -1]
    assert found["x"] == [1.5, None, -2.0, 0.0]
    assert found["t"] == ["a\tb", "\\N", None, "中\n文"]
    assert found["nothing"] == [None] * 4
    assert [day and day.date() for day in found["day"]] == [
        dt.date(2025, 1, 1),
        None,
        dt.date(2025, 6, 30),
        dt.date(1999, 12, 31),
    ]
    assert found["yes"] == [True, None, False, True]
    empty = as_table(frame.iloc[:0].astype({"nothing": "string"}))
    assert groups.inner_join(empty, "at").count().execute() == 0
    assert groups.filter(groups["at"] == 0).cross_join(table.select(other="n")).other.sum().execute() == 44
