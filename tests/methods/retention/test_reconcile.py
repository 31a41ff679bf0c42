"""The four measures against counts by hand, lifelines, and the orders that must hold."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
import pytest
from lifelines import KaplanMeierFitter

from helpers.methods.retention.day_n import day_n
from helpers.methods.retention.reconcile import MEASURES, Reconciliation, reconcile
from helpers.sentences import with_interval
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
    people = people.assign(
        joined_at=people["joined_day"].map(lambda day: pd.Timestamp(day) + pd.Timedelta("3h"))
    )
    found = reconciled(log.assign(ts=pd.to_datetime(log["day"]) + pd.Timedelta("5h")), people)
    table = found.table.set_index("still_there")
    assert table.index.tolist() == list(MEASURES) and table["why"].str.len().gt(20).all()
    assert table.columns.tolist() == ["day 1", "day 7", "day 30", "day 60", "day 90", "why"]
    assert (table.loc[MEASURES[2]].drop("why") == "not observed").all()  # all joined at the same time of day
    for (name, day), one in found.estimates.items():
        if name == MEASURES[2]:
            continue
        assert table.loc[name, f"day {day}"] == with_interval(one)
    on, after, here = MEASURES[1], MEASURES[3], MEASURES[5]
    for day in (1, 7, 30):
        assert found.estimates[on, day].value <= found.estimates[after, day].value
        assert found.estimates[on, day].value < found.estimates[here, day].value


@pytest.mark.parametrize("rows", [0, 1])
def test_too_little_data_is_said_and_never_raised(rows: int) -> None:
    people = pd.DataFrame({"member_id": ["a"], "joined_day": [FIRST], "left_day": [None]}).iloc[:rows]
    log = pd.DataFrame({"member_id": ["a"], "day": [FIRST], "kind": ["interaction"]}).iloc[:rows]
    found = reconciled(log, people, as_of=FIRST)
    assert not any(one.known for one in found.estimates.values())
    assert found.table["day 1"].str.contains("too little data|fewer than 10|not observed").all()


def test_the_24_hour_clock_starts_when_somebody_joined() -> None:
    """Who joins at 22:00 and acts at 02:00 is active on calendar day 1, and within the first 24 hours."""
    joined = pd.Timestamp("2026-02-01 22:00") - pd.Timedelta("8h")
    minutes = pd.to_timedelta(np.arange(40) % 7, unit="min")
    people = pd.DataFrame({"member_id": [f"m{k}" for k in range(40)], "joined_at": joined + minutes})
    people = people.assign(joined_day=dt.date(2026, 2, 1), left_day=None)
    acts = [(f"m{k}", joined + pd.Timedelta(hours=4 if k < 30 else 30)) for k in range(40)]
    log = pd.DataFrame(acts, columns=["member_id", "ts"])
    log = log.assign(kind="interaction", day=(log["ts"] + pd.Timedelta("8h")).dt.date)
    found = reconciled(log, people, (0, 1)).estimates
    assert [found["active on the day", day].value for day in (0, 1)] == [0.0, 0.75]
    assert [found["active in the Nth 24 hours", day].value for day in (0, 1)] == [0.75, 0.25]


def test_half_are_silent_by_the_day_that_was_planted() -> None:
    """Two thirds act on the day of joining only, the others every tenth day."""
    people = pd.DataFrame({"member_id": [f"m{k}" for k in range(90)], "joined_day": FIRST, "left_day": None})
    days = [
        (f"m{k}", FIRST + dt.timedelta(days=d))
        for k in range(90)
        for d in (range(0, 119, 10) if k < 30 else [0])
    ]
    log = pd.DataFrame(days, columns=["member_id", "day"]).assign(kind="interaction")
    found = reconciled(log, people)
    assert found.silent_after == 1
    assert found.sentence == "Half of the newcomers begin their first 30 days of silence by day 1 of tenure."
    assert found.table.set_index("still_there").loc[MEASURES[5], "why"].startswith("leaving is not recorded")
