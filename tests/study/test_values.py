"""R, F and M: window edges, oracles in plain pandas, planted tiers of a simulated community."""

from __future__ import annotations

import datetime as dt

import ibis
import numpy as np
import pandas as pd
import pytest

from helpers.errors import BadData
from helpers.methods.rfm.scores import SCORE_COLUMNS, bin_score
from helpers.methods.rfm.tiers import TierScheme, presets, value_quantile
from helpers.simulate import community
from helpers.study import Study
from helpers.study.frames import as_day, materialise
from helpers.study.values import member_values
from tests.hidden_months import member_months

AS_OF = dt.date(2026, 3, 31)
COLUMNS = ["recency_days", "frequency", "active_days", "monetary"]


def log(rows: list[tuple[str, str, str, float]]) -> pd.DataFrame:
    """Return an activity frame from (member, day, kind, value)."""
    frame = pd.DataFrame(rows, columns=["member_id", "day", "kind", "value"])
    return frame.assign(day=pd.to_datetime(frame["day"]).dt.date)


def random_log(seed: int, rows: int = 400) -> pd.DataFrame:
    """Return random activity of 30 members around the window."""
    rng = np.random.default_rng(seed)
    days = [AS_OF + dt.timedelta(days=int(d)) for d in rng.integers(-60, 5, rows)]
    return pd.DataFrame(
        {
            "member_id": rng.integers(0, 30, rows).astype(str),
            "day": days,
            "kind": rng.choice(["interaction", "order", "weighted"], rows, p=[0.6, 0.3, 0.1]),
            "value": rng.integers(0, 1000, rows) / 100,
        }
    )


def oracle(frame: pd.DataFrame, kinds: list[str], window_days: int) -> pd.DataFrame:
    """Return the values by a loop over members."""
    rows = {}
    for member, part in frame[frame["day"] <= AS_OF].groupby("member_id"):
        counted = part[part["kind"].isin(kinds)]
        window = part["day"] > AS_OF - dt.timedelta(days=window_days)
        inside = counted[counted["day"] > AS_OF - dt.timedelta(days=window_days)]
        last = (AS_OF - counted["day"].max()).days if len(counted) else None
        rows[member] = (last, len(inside), inside["day"].nunique(), part.loc[window, "value"].sum())
    return pd.DataFrame.from_dict(rows, orient="index", columns=COLUMNS).sort_index()


def fetch(log: object, window_days: int, count: str = "interaction", **options: object) -> pd.DataFrame:
    """Return values by member."""
    study = Study.of({"activity": log}, AS_OF, count=count)
    return member_values(study, window_days, **options).to_pandas().set_index("member_id").sort_index()  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("count", "kinds"),
    [("interaction", ["interaction"]), ("order", ["order"]), ("all", ["interaction", "order"])],
)
def test_against_a_loop(count: str, kinds: list[str]) -> None:
    frame = random_log(len(kinds))
    found = fetch(frame, 30, count)
    expected = oracle(frame, kinds, 30)
    assert found.index.tolist() == expected.index.tolist()
    np.testing.assert_allclose(found[COLUMNS].astype(float), expected.astype(float), atol=1e-9)


def test_window_is_half_open_and_recency_sees_all_history() -> None:
    frame = log(
        [
            ("first day", "2026-03-02", "interaction", 1.0),
            ("day before", "2026-03-01", "interaction", 1.0),
            ("today", "2026-03-31", "interaction", 1.0),
            ("tomorrow", "2026-04-01", "interaction", 1.0),
            ("buyer", "2026-03-31", "order", 1.0),
        ]
    )
    found = fetch(frame, 30)
    assert found["frequency"].to_dict() == {"buyer": 0, "day before": 0, "first day": 1, "today": 1}
    recency = found["recency_days"]
    assert recency.drop("buyer").to_dict() == {"day before": 30, "first day": 29, "today": 0}
    assert np.isnan(recency["buyer"])
    assert found["monetary"].to_dict() == {"buyer": 1.0, "day before": 0.0, "first day": 1.0, "today": 1.0}


def test_population_keeps_the_silent_and_drops_strangers() -> None:
    frame = log([("a", "2026-03-30", "interaction", 1.5), ("stranger", "2026-03-30", "interaction", 1.0)])
    members = pd.DataFrame({"member_id": ["a", "b"]})
    found = fetch(frame, 7, population=members)
    assert found.index.tolist() == ["a", "b"]
    assert found.loc["a", COLUMNS].tolist() == [1, 1, 1, 1.5]
    assert found.loc["b", COLUMNS[1:]].tolist() == [0, 0, 0]
    assert np.isnan(found.loc["b", "recency_days"])


def test_order_of_summation_does_not_split_equals() -> None:
    amounts = [0.1, 0.2, 0.3]
    rows = [("a", "2026-03-30", "order", v) for v in amounts]
    rows += [("b", "2026-03-30", "order", v) for v in amounts[::-1]]
    assert sum(amounts) != sum(amounts[::-1])
    found = fetch(log(rows), 7)
    assert found["monetary"].nunique() == 1


def test_frame_and_table_agree() -> None:
    frame = random_log(3)
    from_frame = fetch(frame, 30)
    connection = ibis.duckdb.connect()
    from_table = fetch(connection.create_table("log", frame), 30)
    pd.testing.assert_frame_equal(from_frame, from_table)


def test_planted_tiers_of_a_simulated_community() -> None:
    study = Study.of(community(400, 62, 11, tables=["members", "events", "orders"]).tables, "2025-08-20")
    planted = member_months(400, 62, 11)
    planted = planted[(planted["month"] == "2025-07") & planted["present"]].set_index("member_id")["tier"]
    july = member_values(study.at(dt.date(2025, 7, 31)), 31, population=study.population)
    found = july.to_pandas().set_index("member_id")
    bounds = pd.cut(found["frequency"], [0, 1, 11, 51, np.inf], right=False)
    tiers = bounds.cat.rename_categories(["silent", "potential", "active", "core"])
    assert tiers[planted.index].astype(str).to_dict() == planted.to_dict()
    assert planted.nunique() == 4


def test_empty_activity() -> None:
    study = Study.of({"orders": community(20, 30, 1, tables=["orders"]).tables["orders"].head(0)}, AS_OF)
    assert member_values(study, 30).to_pandas().empty
    members = pd.DataFrame({"member_id": ["a"]})
    assert fetch(log([]), 30, population=members)["frequency"].tolist() == [0]


def test_heavy_tables_are_computed_once() -> None:
    heavy = ibis.memtable(random_log(1)).group_by("member_id").agg(n=ibis._.count())
    stored = materialise(heavy)
    assert isinstance(stored.op(), ibis.expr.operations.DatabaseTable)
    light = stored.mutate(double=stored.n * 2)
    assert materialise(light) is light


@pytest.mark.parametrize("dialect", ["postgres", "mysql", "bigquery", "trino", "snowflake"])
def test_nothing_is_particular_to_one_engine(dialect: str) -> None:
    types = {"member_id": "string", "day": "date", "kind": "string", "value": "float64"}
    members = ibis.table({"member_id": "string"}, name="population")
    study = Study.of({"activity": ibis.table(types, name="activity")}, AS_OF)
    values = member_values(study, 30, population=members)
    scores = {score: bin_score(values[column], 5) for column, score in SCORE_COLUMNS.items()}
    scored = values.mutate(**scores, value_quantile=value_quantile(values.monetary))
    for name in presets():
        tiered = scored.mutate(tier=TierScheme.load(name).expression(scored))
        assert "CASE" in ibis.to_sql(tiered, dialect=dialect)
    assert "OVER (" in ibis.to_sql(scored, dialect=dialect)


def test_missing_column() -> None:
    with pytest.raises(BadData, match="activity: column kind, value missing"):
        fetch(random_log(1)[["member_id", "day"]], 30)
    with pytest.raises(ValueError, match="window_days == 0, must be >= 1"):
        fetch(random_log(1), 0)


def test_a_day_may_be_a_timestamp() -> None:
    frame = random_log(1)
    stamps = frame.assign(day=pd.to_datetime(frame["day"]))
    expected = fetch(frame, 30)
    pd.testing.assert_frame_equal(fetch(stamps, 30), expected)


def test_as_day() -> None:
    assert as_day(dt.datetime(2026, 3, 31, 12)) == as_day("2026-03-31") == AS_OF
