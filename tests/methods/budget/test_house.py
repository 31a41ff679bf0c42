"""What a new fan costs, counted by hand; its trend; months that took more than usual."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
import pytest

from helpers.methods import budget
from helpers.methods.budget.house import unit_cost
from helpers.study import Study

MONTHS = pd.period_range("2025-01", periods=8, freq="M")


def study(first: dt.date = dt.date(2025, 1, 1)) -> Study:
    """Two new members a day at a cost of 600 a month, 1,200 in the second half; content once at 900."""
    days = pd.date_range(first, MONTHS[-1].end_time.date())
    metric = {"scope_type": "brand", "scope_id": "all", "metric": "new_members", "value": 2.0}
    rows = [
        (month.end_time.date(), "tools", 500.0 if n < 4 else 1_100.0, True) for n, month in enumerate(MONTHS)
    ]
    rows += [
        (month.end_time.date(), "content", 900.0 if n == 2 else 100.0, False)
        for n, month in enumerate(MONTHS)
    ]
    costs = pd.DataFrame(rows, columns=["date", "kind", "amount", "fixed"])
    costs = costs.assign(cost_id=[str(n) for n in range(len(rows))], currency="CNY", approver_level=3)
    frames = {"metric_daily": pd.DataFrame({"date": days.date, **metric}), "costs": costs}
    return Study.of(frames, "2025-08-31", about_members=False)


def test_a_new_fan_costs_what_was_counted_by_hand() -> None:
    found = budget.spent(study())
    months = np.array([600, 600, 1_400, 600, *[1_200] * 4]) / (2 * MONTHS.days_in_month.to_numpy())
    metric, cost, change = found.fan
    assert metric == "new_members" and cost.n == 8
    assert cost.value == pytest.approx(np.exp(np.log(months).mean()))
    assert cost.low < cost.value < cost.high
    assert change.value == pytest.approx(np.exp(np.log(months[4:] / months[:4]).mean()) - 1)
    assert "A new fan (new members) costs CNY" in found.sentence
    (finding,) = found.found()
    assert finding.value == cost.value and finding.provenance.systems == ("S070", "S071", "S078")


def test_months_that_took_more_than_usual_are_listed_with_who_approved() -> None:
    over = budget.spent(study()).over
    assert over[["month", "kind", "amount", "above", "approval_level"]].to_numpy().tolist() == [
        ["2025-03", "content", 900.0, 800.0, 3],
        *([month, "tools", 1_100.0, 300.0, 3] for month in ("2025-05", "2025-06", "2025-07", "2025-08")),
    ]


def test_a_ledger_of_days_kinds_and_amounts_is_enough() -> None:
    rows = {"cost_id": list("abc"), "kind": "content", "amount": [100.0, 100.0, -20.0], "currency": "CNY"}
    costs = pd.DataFrame(rows).assign(date=[dt.date(2025, month, 3) for month in (1, 2, 3)])
    bare = budget.spent(Study.of({"costs": costs}, "2025-03-31", about_members=False))
    assert bare.over.empty and bare.table.empty and "cannot be told" in bare.sentence
    assert any("No kind of cost was more than 25 %" in str(part) for part in bare.told())


def test_months_that_are_not_on_record_in_full_do_not_count() -> None:
    assert budget.spent(study(dt.date(2025, 2, 2))).fan[1].n == 6
    few = budget.spent(study(dt.date(2025, 4, 1)))
    assert not few.fan[1].known and "cannot be told" in few.sentence


def test_the_interval_holds_the_cost_of_a_typical_month_as_often_as_it_says() -> None:
    rng, held = np.random.default_rng(0), 0
    for _ in range(1_000):
        cost, change = unit_cost(pd.Series(np.exp(rng.normal(2.0, 0.3, 12))), "CNY", 0.9)
        held += (cost.low <= np.exp(2.0) <= cost.high) + 1j * (change.low <= 0 <= change.high)
    # Binomial error of 1,000 at .9 is .0095.
    assert abs(held.real / 1_000 - 0.9) < 0.03 and abs(held.imag / 1_000 - 0.9) < 0.03
