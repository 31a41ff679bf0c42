"""The four measures against counts by hand, lifelines, and the orders that must hold."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
import pytest
from lifelines import KaplanMeierFitter

from helpers.methods.retention.day_n import day_n
from helpers.methods.retention.reconcile import MEASURES, Reconciliation, reconcile
from helpers.study import Study

FIRST, AS_OF = dt.date(2026, 1, 1), dt.date(2026, 4, 30)


@pytest.fixture(scope="module")
def community() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Members who are active with a falling rate, some of whom leave."""
    rng = np.random.default_rng(2)
    rows, people = [], []
    for number in range(200):
        joined = FIRST + dt.timedelta(days=int(rng.integers(-20, 110)))
        stay = int(rng.geometric(0.01))
        left = joined + dt.timedelta(days=stay) if stay < 90 else None
        left = left if left and left <= AS_OF else None
        rate = rng.choice([0.02, 0.3])
        for day in pd.date_range(max(joined, FIRST), left or AS_OF).date:
            if rng.random() < rate:
                rows.append((f"m{number}", day, "interaction"))
        people.append((f"m{number}", joined, left))
    log = pd.DataFrame(rows, columns=["member_id", "day", "kind"])
    return log, pd.DataFrame(people, columns=["member_id", "joined_day", "left_day"])


def reconciled(log: pd.DataFrame, people: pd.DataFrame, days=(1, 7, 30), as_of=AS_OF) -> Reconciliation:
    return reconcile(study_of(log, people, as_of), days)


def study_of(log: pd.DataFrame, people: pd.DataFrame, as_of: dt.date = AS_OF) -> Study:
    return Study.of({"activity": log, "population": people}, as_of, history_from=FIRST)


def test_active_on_and_after_by_hand(community: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    log, people = community
    found = reconciled(log, people).estimates
    for day in (1, 7, 30):
        due = [
            (m, j + dt.timedelta(days=day))
            for m, j in zip(people["member_id"], people["joined_day"], strict=True)
            if j >= FIRST and j + dt.timedelta(days=day) <= AS_OF
        ]
        on = [((log["member_id"] == m) & (log["day"] == one)).any() for m, one in due]
        after = [((log["member_id"] == m) & (log["day"] >= one)).any() for m, one in due]
        for name, hits in (("active on the day, newcomers", on), ("active on the day or later", after)):
            assert found[name, day].value == pytest.approx(np.mean(hits))
            assert found[name, day].n == len(due)


def test_active_on_is_the_number_of_the_retention_table(community: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    log, people = community
    found = reconciled(log, people).estimates
    table = day_n(study_of(log, people))
    for day in (1, 7, 30):
        assert found["active on the day", day][:4] == pytest.approx(table.total(day)[:4])
    assert found["active on the day", 30].n > found["active on the day, newcomers", 30].n


def test_survival_by_lifelines(community: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    log, people = community
    found = reconciled(log, people, (7, 30)).estimates
    here = people[people["joined_day"] >= FIRST]
    ends = [left or AS_OF for left in here["left_day"]]
    stay = [(end - joined).days for end, joined in zip(ends, here["joined_day"], strict=True)]
    fitted = KaplanMeierFitter().fit(stay, here["left_day"].notna())
    times, silent = [], []
    for member, joined, end in zip(here["member_id"], here["joined_day"], ends, strict=True):
        marks = sorted({joined, *log.loc[log["member_id"] == member, "day"]})
        begun = [b for b in marks if not any(b < m <= b + dt.timedelta(days=30) for m in marks)]
        begun = [b for b in begun if b + dt.timedelta(days=30) <= end]
        silent.append(bool(begun))
        watched = min(end, AS_OF - dt.timedelta(days=29))
        times.append((begun[0] - joined).days + 1 if begun else max((watched - joined).days, 0))
    awake = KaplanMeierFitter().fit(times, silent)
    for day in (7, 30):
        for name, curve in (("not yet left", fitted), ("not yet silent", awake)):
            expected = curve.survival_function_at_times(day).iloc[0]
            assert found[name, day].value == pytest.approx(expected, abs=1e-9)


def test_the_table_says_all_five_in_words_and_their_orders_hold(
    community: tuple[pd.DataFrame, pd.DataFrame],
) -> None:
    log, people = community
    found = reconciled(log, people)
    table = found.table.set_index("still_there")
    assert table.index.tolist() == list(MEASURES) and table["why"].str.len().gt(20).all()
    assert table.columns.tolist() == ["day 1", "day 7", "day 30", "why"]
    for (name, day), one in found.estimates.items():
        text = f"{100 * one.value:.1f} % ({100 * one.low:.1f} % to {100 * one.high:.1f} %, n = {one.n:,})"
        assert table.loc[name, f"day {day}"] == text
    on, after, here = MEASURES[1], MEASURES[2], MEASURES[4]
    for day in (1, 7, 30):
        assert found.estimates[on, day].value <= found.estimates[after, day].value
        assert found.estimates[on, day].value < found.estimates[here, day].value


@pytest.mark.parametrize("rows", [0, 1])
def test_too_little_data_is_said_and_never_raised(rows: int) -> None:
    people = pd.DataFrame({"member_id": ["a"], "joined_day": [FIRST], "left_day": [None]}).iloc[:rows]
    log = pd.DataFrame({"member_id": ["a"], "day": [FIRST], "kind": ["interaction"]}).iloc[:rows]
    found = reconciled(log, people, as_of=FIRST)
    assert not any(one.known for one in found.estimates.values())
    assert found.table["day 1"].str.contains("too little data").all()
