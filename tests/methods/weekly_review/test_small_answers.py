"""Drivers of a goal, its plausibility, cases, checked items, unit costs, outside figures, competitors."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from helpers.methods.weekly_review import drivers, outside
from helpers.methods.weekly_review.metrics import WeeklyMetrics
from helpers.playbook import workflow
from helpers.study import Study
from tests.playbook.test_verify import quiet

AS_OF = "2026-06-28"  # a Sunday
MONDAYS = pd.date_range("2025-04-07", "2026-06-22", freq="W-MON")
N = len(MONDAYS)


def study(**tables: pd.DataFrame) -> Study:
    return Study.of(
        tables
        or {
            "members": pd.DataFrame({"member_id": ["a"], "joined_at": [pd.Timestamp("2026-01-01", tz="UTC")]})
        },
        AS_OF,
        about_members=False,
    )


def weekly(
    numbers: dict[str, np.ndarray], of: Study | None = None, unusual: int | None = None
) -> WeeklyMetrics:
    """Weekly metrics with these numerators; the denominator of money per order is orders."""
    frames = [
        pd.DataFrame({
            "metric": name, "scope": "all", "week": MONDAYS, "numerator": values, "members": 500.0, "complete": True,
            "denominator": numbers["orders"] if name == "order_value" else 1.0,
        })
        for name, values in numbers.items()
    ]  # fmt: skip
    words = pd.Series("", MONDAYS)
    if unusual is not None:
        words.iloc[unusual] = "a holiday"
    return WeeklyMetrics(of or study(), pd.concat(frames), words)


@pytest.fixture(scope="module")
def numbers() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    active, orders = quiet(rng, N, spread=0.02), quiet(rng, N, spread=0.02) / 3
    orders[-4:] *= 0.8
    return {"weekly_active": active, "orders": orders, "net_revenue": orders * rng.normal(450, 9, N)}


def test_the_parts_of_a_product_sum_exactly_and_name_the_factor_that_fell(numbers) -> None:
    found = drivers.driver_tree(weekly(numbers), "net_revenue", goal=200_000)
    assert found is not None
    table = found.table.set_index("factor")
    before, now = (
        np.exp(np.log(numbers["net_revenue"][part]).mean()) for part in (slice(-12, -4), slice(-4, None))
    )
    assert table["part"].sum() == pytest.approx(now - before, rel=1e-12)
    assert table["before"].prod() == pytest.approx(before) and table["now"].prod() == pytest.approx(now)
    assert "mostly orders per active member, by" in found.sentence and "A week lacks CNY" in found.sentence
    assert table.loc["Orders per active member", "high"] < 0 < table.loc["Active members", "high"]
    rate = table.loc["Orders per active member"]
    assert rate["needed"] * now / rate["now"] == pytest.approx(200_000)
    reached = (numbers["orders"] / numbers["weekly_active"] >= rate["needed"]).mean()
    assert rate["reached"] == pytest.approx(reached)


def test_an_unusual_week_is_no_week_of_a_product(numbers) -> None:
    changed = numbers | {"orders": numbers["orders"].copy()}
    changed["orders"][-6] *= 5
    found = [drivers.driver_tree(weekly(each, unusual=N - 6), "orders") for each in (numbers, changed)]
    assert found[0] is not None and found[1] is not None
    pd.testing.assert_frame_equal(found[0].table, found[1].table)


def test_what_is_no_product_or_not_observed_has_no_drivers(numbers) -> None:
    assert drivers.driver_tree(weekly(numbers), "weekly_active") is None
    assert drivers.driver_tree(weekly({"orders": numbers["orders"]}), "orders") is None
    few = {name: np.where(np.arange(N) < N - 3, np.nan, values) for name, values in numbers.items()}
    found = drivers.driver_tree(weekly(few), "orders")
    assert found is not None and "too little data" in found.sentence


def test_a_goal_is_held_against_what_the_past_did() -> None:
    values = np.tile([100.0, 100, 100, 100, 130, 130, 130, 130], N // 8 + 1)[:N]
    made = weekly({"weekly_active": values})
    pace = values[-8:].mean()
    for factor, low, high in ((1.05, 0.2, 0.7), (1.5, 0.0, 0.0)):
        found = drivers.plausibility(made, "weekly_active", pace * factor, 4)
        share = found.table.set_index("what")["share"]
        assert low <= share["share of past spans"] <= high
        assert share["low"] <= share["share of past spans"] <= share["high"]
    assert "too little data" in drivers.plausibility(made, "weekly_active", pace, 26).sentence


def cases(rng: np.random.Generator, n: int = 400) -> pd.DataFrame:
    """Cases of the last 30 days that take 40 hours in the mean, exponential; those not done yet are open."""
    end = pd.Timestamp("2026-06-29", tz="Asia/Shanghai").tz_convert("UTC")
    opened = end - pd.to_timedelta(rng.uniform(0, 30 * 24, n), unit="h")
    closed = opened + pd.to_timedelta(rng.exponential(40, n), unit="h")
    due = opened + pd.Timedelta(hours=72)
    return pd.DataFrame({
        "case_id": [f"c{i}" for i in range(n)], "kind": rng.choice(["service", "moderation"], n), "opened_at": opened,
        "closed_at": pd.Series(closed).where(closed < end), "due_at": due,
    })  # fmt: skip


def test_open_cases_count_with_the_time_they_have_waited() -> None:
    """Half of an exponential time of 40 hours is over after 27.7 hours, and 69.9 % after 48."""
    found = workflow.case_delays(study(cases=cases(np.random.default_rng(2), 3000)))
    row = found.table.set_index("kind").loc["all"]
    assert row["low"] <= 28.7 <= row["high"] + 1 and row["open"] > 100
    assert row["in_time_low"] < 1 - np.exp(-48 / 40) < row["in_time_high"]
    assert set(found.table["kind"]) == {"all", "service", "moderation"}
    assert "were done in time" in found.sentence
    (stated,) = found.findings()
    assert stated.value == pytest.approx(row["in_time"])


def test_work_that_is_late_is_late() -> None:
    frame = cases(np.random.default_rng(3), 50).drop(columns="closed_at")
    alone = workflow.case_delays(study(cases=frame.drop(columns="due_at"))).sentence
    assert "50 are open" in alone and "in time" not in alone
    found = workflow.case_delays(study(cases=frame)).sentence
    assert "Less than half of 50 cases" in found and "50 are open" in found and "0.0 %" in found


def reviews(n: int, bad: int, source: str = "random") -> pd.DataFrame:
    verdicts = ["violation"] * bad + ["ok"] * (n - bad)
    return pd.DataFrame({
        "item_id": [f"{source}{i}" for i in range(n)], "ts": pd.Timestamp("2026-06-01", tz="UTC"), "source": source,
        "human_verdict": verdicts,
    })  # fmt: skip


@pytest.mark.parametrize(
    ("n", "bad", "said"),
    [
        (998, 0, "that is below 0.3 %"), (997, 0, "998 items without one would prove it"),
        (2000, 20, "above 0.3 %: tighten"), (1000, 3, "cannot be said"),
    ],
)  # fmt: skip
def test_violations_are_told_of_items_drawn_at_random_by_their_exact_interval(
    n: int, bad: int, said: str
) -> None:
    found = workflow.violation_rate(study(reviews=pd.concat([reviews(n, bad), reviews(500, 400, "filter")])))
    assert said in found.sentence and f"Of {n:,} items" in found.sentence
    (stated,) = found.findings()
    assert stated.value == pytest.approx(bad / n) and stated.n == n


def test_what_was_pointed_out_says_nothing_of_the_rest() -> None:
    assert (
        "none of 500 checked items"
        in workflow.violation_rate(study(reviews=reviews(500, 400, "filter"))).sentence
    )


def costs() -> pd.DataFrame:
    days = pd.date_range("2025-10-01", "2026-06-28", freq="7D")
    months = pd.date_range("2025-10-01", "2026-06-01", freq="MS")
    paid = pd.DataFrame(
        {"date": days, "amount": 700.0 + np.arange(len(days)), "kind": "content", "fte": np.nan}
    )
    people = pd.DataFrame({"date": months, "amount": 0.0, "kind": "people", "fte": 2.0})
    rows = pd.concat([paid, people], ignore_index=True)
    return rows.assign(cost_id=[f"k{i}" for i in range(len(rows))], currency="CNY", date=rows["date"].dt.date)


def members(n: int) -> pd.DataFrame:
    joined = pd.Timestamp("2025-01-01", tz="UTC")
    return pd.DataFrame({"member_id": [f"m{i}" for i in range(n)], "joined_at": joined})


def test_a_unit_costs_what_the_ledger_holds_for_a_month_of_it() -> None:
    ledger = costs()
    found = outside.unit_costs(
        weekly({"weekly_active": np.full(N, 250.0)}, study(costs=ledger, members=members(5000)))
    )
    month = pd.to_datetime(ledger["date"]).dt.to_period("M")
    spent = ledger.groupby(month)["amount"].sum().loc["2025-12":"2026-05"]  # June is not over
    (stated,) = found.findings()
    assert (stated.id, stated.n) == ("weekly_review.cost_per_active_member", 6)
    assert stated.value == pytest.approx(spent.mean() / 250) and stated.low < stated.value < stated.high
    assert (
        "2.0 people stood for 5,000 members: 2,500 members a person, 4.00 people for 10,000" in found.sentence
    )


def test_own_numbers_are_placed_among_outside_percentiles_with_their_source(numbers) -> None:
    own = numbers["orders"][-13:].mean()
    figures = pd.DataFrame({
        "metric": "orders", "scope": "shops", "period": "2026-Q2", "percentile": [0.2, 0.5, 0.8],
        "value": [0.5 * own, own, 1.5 * own], "source": "a trade journal",
    })  # fmt: skip
    found = outside.benchmarks(weekly(numbers, study(benchmarks=figures)))
    row = found.table.iloc[0]
    assert row["place"] == pytest.approx(0.5) and row["low"] < 0.5 < row["high"]
    assert "(a trade journal)" in found.sentence and "ranks nobody" in found.sentence
    single = figures.iloc[1:2].drop(columns="percentile")
    found = outside.benchmarks(weekly(numbers, study(benchmarks=single)))
    assert "against" in found.sentence and np.isnan(found.table.iloc[0]["place"])


def test_a_competitor_that_grows_faster_is_named_with_its_gap() -> None:
    rng, days = np.random.default_rng(4), pd.date_range("2026-01-05", "2026-06-28")
    rows = []
    for kind, name, rate in (
        ("account", "us", 0.01),
        ("competitor", "Fast", 0.04),
        ("competitor", "Same", 0.01),
    ):
        values = 1000 * np.exp(rate * np.arange(len(days)) / 7 + rng.normal(0, 0.01, len(days)))
        rows.append(
            pd.DataFrame(
                {"date": days.date, "scope_type": kind, "scope_id": name, "metric": "fans", "value": values}
            )
        )
    found = outside.competitors(study(metric_daily=pd.concat(rows)))
    table = found.table.set_index("who")
    assert table.loc["fans of Fast", "low"] < np.expm1(0.03) < table.loc["fans of Fast", "high"]
    assert "fans of Fast by" in found.sentence and "Same" not in found.sentence


@pytest.mark.parametrize(
    ("answer", "table"),
    [
        (lambda: workflow.case_delays(study()), "cases"), (lambda: workflow.violation_rate(study()), "reviews"),
        (lambda: outside.unit_costs(weekly({"orders": np.ones(N)})), "costs"),
        (lambda: outside.benchmarks(weekly({"orders": np.ones(N)})), "benchmarks"),
        (lambda: outside.competitors(study()), "metric_daily"),
    ],
)  # fmt: skip
def test_without_its_table_it_says_so(answer, table: str) -> None:
    found = answer()
    assert found.sentence == f"Not run: table {table} missing."
    assert not list(found.tables()) and not list(found.findings())
