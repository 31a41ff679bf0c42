"""Tier history against a history written out member by member, and against the values of single days."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import ibis
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from helpers.methods.rfm.history import (
    JOINED,
    LEFT,
    TierHistory,
    counted_moves,
    days_of_periods,
    member_states,
    tier_history,
)
from helpers.methods.rfm.scores import scored
from helpers.methods.rfm.tiers import TierScheme
from helpers.study import Study
from helpers.study.values import member_values
from tests.planted_chains import flows_of, sizes_of

ZONE = "Asia/Shanghai"
FIRST, AS_OF = dt.date(2026, 1, 1), dt.date(2026, 5, 17)
SCHEME = TierScheme.load("monthly_interactions")
BOUNDS = {
    "month": [("2026-01-01", "2026-01-31"), ("2026-02-01", "2026-02-28"), ("2026-03-01", "2026-03-31"),
              ("2026-04-01", "2026-04-30")],
    "quarter": [("2026-01-01", "2026-03-31")],
    "week": [(f"{day}", f"{day + dt.timedelta(days=6)}")
             for day in (dt.date(2026, 1, 5) + dt.timedelta(weeks=k) for k in range(19))],
}  # fmt: skip


@pytest.fixture(scope="module")
def study() -> Study:
    """A study of 120 members; some join, some leave, some never do anything."""
    rng = np.random.default_rng(11)
    rows = []
    for number in range(110):
        rate = rng.choice([0.02, 0.2, 0.9, 2.5])
        for offset in range((AS_OF - FIRST).days + 1):
            day = FIRST + dt.timedelta(days=offset)
            month_rate = rate * rng.choice([0.0, 1.0], p=[0.3, 0.7]) if day.day == 1 else rate
            for _repeat in range(rng.poisson(month_rate)):
                kind = str(rng.choice(["interaction", "order"], p=[0.9, 0.1]))
                rows.append((f"m{number:03d}", day, kind, float(rng.integers(0, 5))))
    rows.append(("m000", FIRST, "interaction", 1.0))
    log = pd.DataFrame(rows, columns=["member_id", "day", "kind", "value"])
    joined = [FIRST - dt.timedelta(days=int(d)) for d in rng.integers(0, 400, 120)]
    for number in range(60, 90):
        joined[number] = FIRST + dt.timedelta(days=int(rng.integers(0, 130)))
    left: list[dt.date | None] = [None] * 120
    for number in range(40, 80):
        left[number] = max(joined[number], FIRST) + dt.timedelta(days=int(rng.integers(0, 120)))
    joined[7], left[8] = dt.date(2026, 2, 1), dt.date(2026, 2, 28)
    members = pd.DataFrame(
        {"member_id": [f"m{n:03d}" for n in range(120)], "joined_day": joined, "left_day": left}
    )
    return Study.of({"activity": log, "population": members}, AS_OF, report_tz=ZONE)


@pytest.fixture(scope="module")
def monthly(study: Study) -> TierHistory:
    """The months of the study."""
    return tier_history(study, SCHEME)


def _days(bounds: tuple[str, str]) -> tuple[dt.date, dt.date]:
    return dt.date.fromisoformat(bounds[0]), dt.date.fromisoformat(bounds[1])


def _by_hand(study: Study, period: str) -> list[dict[str, str]]:
    """Return, per period, the state of every member, counting one member at a time."""
    states = []
    log, members = study.given["activity"], study.given["population"]
    counts = log[log["kind"] == "interaction"].groupby(["member_id", "day"]).size()
    for start, end in map(_days, BOUNDS[period]):
        now = {}
        for member in members.itertuples():
            if member.joined_day > end or (pd.notna(member.left_day) and member.left_day <= end):
                continue
            if member.joined_day >= start:
                now[member.member_id] = JOINED
                continue
            own = counts.get(member.member_id, pd.Series(dtype=int))
            n = sum(int(c) for day, c in own.items() if start <= day <= end)
            now[member.member_id] = (
                "silent" if n == 0 else "potential" if n < 11 else "active" if n < 51 else "core"
            )
        states.append(now)
    return states


def _as_counts(frame: pd.DataFrame, keys: list[str], n: str = "n") -> dict[tuple, int]:
    found = frame.groupby(keys)[n].sum()
    return {key: int(count) for key, count in found.items() if count}


@pytest.mark.parametrize("period", ["month", "week", "quarter"])
def test_counts_equal_a_member_by_member_history(study: Study, period: str) -> None:
    history = tier_history(study, SCHEME, period=period, window_days=7 if period == "week" else 0)
    states = _by_hand(study, period)
    assert [
        (str(r.start), str(r.end)) for r in history.calendar[history.calendar["used"]].itertuples()
    ] == BOUNDS[period]
    sizes, flows = {}, {}
    for p, name in enumerate(history.periods):
        for member, tier in states[p].items():
            if tier != JOINED:
                sizes[name, tier] = sizes.get((name, tier), 0) + 1
            if p + 1 < len(states):
                key = (history.periods[p + 1], tier, states[p + 1].get(member, LEFT))
                flows[key] = flows.get(key, 0) + 1
    assert _as_counts(sizes_of(history), ["period", "tier"], "members") == sizes
    assert _as_counts(flows_of(history), ["period", "from_state", "to_state"]) == flows
    assert history.newcomers == sum(state == JOINED for state in states[-1].values())
    ever = {member for now in states for member, state in now.items() if state != JOINED}
    assert history.outside == 120 - len(ever)


def test_first_passages_equal_a_member_by_member_history(study: Study, monthly: TierHistory) -> None:
    states, expected = _by_hand(study, "month"), {}
    for member in study.given["population"]["member_id"]:
        tiers = [(p, now[member]) for p, now in enumerate(states) if now.get(member, JOINED) != JOINED]
        if tiers and tiers[0][1] != "core":
            tops = [p for p, tier in tiers if tier == "core"]
            key = (tiers[0][1], (tops[0] if tops else len(states) - 1) - tiers[0][0], bool(tops))
            expected[key] = expected.get(key, 0) + 1
    assert _as_counts(monthly.passages, ["from_tier", "periods", "reached"], "members") == expected


def test_nothing_is_dropped_between_periods(monthly: TierHistory) -> None:
    sizes = sizes_of(monthly).set_index(["period", "tier"])["members"]
    for before, after in zip(monthly.periods, monthly.periods[1:], strict=False):
        flows = flows_of(monthly)[flows_of(monthly)["period"] == after]
        for tier in monthly.labels:
            assert flows.loc[flows["from_state"] == tier, "n"].sum() == sizes[before, tier]
            assert flows.loc[flows["to_state"] == tier, "n"].sum() == sizes[after, tier]
    left = flows_of(monthly).query("from_state != @JOINED and to_state == @LEFT")["n"].sum()
    inside = flows_of(monthly)[flows_of(monthly)["from_state"] != JOINED]["n"].sum()
    assert left > 0 and monthly.moves[:, :-1, :-1].sum() + left == inside


@pytest.mark.parametrize("name", ["monthly_interactions", "pyramid", "engagement", "three_tier"])
def test_tiers_of_a_period_equal_the_tiers_of_its_last_day(study: Study, name: str) -> None:
    members = study.given["population"]
    scheme = TierScheme.load(name).model_copy(update={"window_days": None})
    history = tier_history(study, scheme)
    for bounds, period in zip(BOUNDS["month"], history.periods, strict=True):
        start, end = _days(bounds)
        there = members[(members["joined_day"] < start) & ~(members["left_day"] <= end)]
        values = member_values(study.at(end), (end - start).days + 1, population=there)
        if name == "three_tier":
            values = scored(values, scheme.bins)
        tiers = scheme.assign(values).group_by("tier").aggregate(n=ibis._.count()).to_pandas()
        expected = dict(zip(tiers["tier"], tiers["n"], strict=True))
        sizes = sizes_of(history)[sizes_of(history)["period"] == period]
        assert {r.tier: r.members for r in sizes.itertuples() if r.members} == expected


def test_a_scheme_with_a_window_longer_than_the_period_keeps_it(study: Study) -> None:
    long = SCHEME.model_copy(update={"window_days": 45})
    own, asked = tier_history(study, long), tier_history(study, SCHEME, window_days=45)
    np.testing.assert_array_equal(own.counts, asked.counts)
    assert own.periods == asked.periods == ["2026-02", "2026-03", "2026-04"]


def test_trailing_window_equals_the_values_of_the_last_day(study: Study) -> None:
    members = study.given["population"]
    rules = [
        {"id": "low", "when": {}},
        {"id": "high", "when": {"frequency": [20, None], "recency_days": [0, 6]}},
    ]
    scheme = TierScheme.load({"name": "recent", "match": "first", "tiers": rules})
    history = tier_history(replace(study, count="all"), scheme, window_days=45)
    assert history.periods == ["2026-02", "2026-03", "2026-04"]
    assert "begins before the first day" in history.sentence
    there = members[
        (members["joined_day"] < dt.date(2026, 4, 1)) & ~(members["left_day"] <= dt.date(2026, 4, 30))
    ]
    values = member_values(replace(study, count="all").at(dt.date(2026, 4, 30)), 45, population=there)
    high = int(scheme.assign(values).filter(ibis._.tier == "high").count().execute())
    assert 0 < high == sizes_of(history).query("period == '2026-04' and tier == 'high'")["members"].item()


def test_the_last_period_counts_only_when_it_is_over(study: Study) -> None:
    almost = tier_history(study.at(dt.date(2026, 4, 29)), SCHEME)
    assert (
        almost.periods[-1] == "2026-03" and "2026-04 is not used (ends after 2026-04-29)" in almost.sentence
    )
    over = tier_history(study.at(dt.date(2026, 4, 30)), SCHEME)
    assert over.periods[-1] == "2026-04"
    later = tier_history(study.at(dt.date(2026, 7, 31)), SCHEME)
    assert later.periods[-1] == "2026-05" and "2026-06 is not used (no activity of anyone" in later.sentence


def test_the_first_day_is_stated_or_that_of_the_first_row(study: Study) -> None:
    late = study.given["activity"].query("day > @FIRST")
    later = Study.of({**study.given, "activity": late}, AS_OF)
    assert tier_history(later, SCHEME).periods[0] == "2026-02"
    assert tier_history(replace(later, history_from=FIRST), SCHEME).periods[0] == "2026-01"


def test_periods_follow_the_calendar_of_the_report() -> None:
    instants = ["2026-01-01 00:00", "2026-01-31 15:59", "2026-01-31 16:00", "2026-03-31 15:00"]
    stamps = pd.to_datetime(["2025-12-31 16:00", *instants[1:]]).tz_localize("UTC")
    events = pd.DataFrame(
        {"event_id": list("abcd"), "member_id": "m1", "ts": stamps, "event": "like", "platform": "douyin"}
    )
    members = pd.DataFrame(
        {"member_id": ["m1"], "joined_at": pd.to_datetime(["2025-06-01"]).tz_localize("UTC")}
    )
    study = Study.of({"events": events, "members": members}, "2026-03-31")
    history = tier_history(study, SCHEME)
    assert history.periods == ["2026-01", "2026-02", "2026-03"]
    assert np.argwhere(history.moves).tolist() == [[0, 1, 1], [1, 1, 1]]
    utc = tier_history(replace(study, report_tz="UTC", history_from=FIRST), SCHEME)
    assert sizes_of(utc).query("period == '2026-02' and members > 0")["tier"].tolist() == ["silent"]


def test_members_known_only_from_orders_are_present_from_their_first_activity_on() -> None:
    days = ["2026-01-01", "2026-01-10", "2026-02-03", "2026-04-30"]
    paid = pd.to_datetime(days).tz_localize("UTC")
    orders = pd.DataFrame(
        {"order_id": list("abcd"), "member_id": ["x", "y", "y", "z"], "paid_at": paid, "gross": 9.0}
    )
    study = Study.of({"orders": orders.assign(currency="CNY")}, "2026-04-30", report_tz="UTC")
    history = tier_history(study, SCHEME)
    assert sizes_of(history).groupby("period")["members"].sum().tolist() == [0, 2, 2, 2]
    assert (
        history.newcomers == history.outside == 1 and "fewer than 10 members were in no" in history.sentence
    )
    entered = flows_of(history).query("from_state == @JOINED")
    assert _as_counts(entered, ["period", "to_state"]) == {("2026-02", t): 1 for t in ("potential", "silent")}


@pytest.mark.parametrize("rows", [0, 1, 14])
def test_short_data_say_that_there_is_too_little(rows: int) -> None:
    days = [dt.date(2026, 3, 2) + dt.timedelta(days=n) for n in range(rows)]
    log = {
        "member_id": pa.array(["a"] * rows, pa.string()),
        "day": pa.array(days, pa.date32()),
        "kind": pa.array(["interaction"] * rows, pa.string()),
        "value": pa.array([1.0] * rows, pa.float64()),
    }
    people = pd.DataFrame({"member_id": ["a"], "joined_day": [dt.date(2026, 1, 1)], "left_day": [None]})
    history = tier_history(
        Study.of({"activity": ibis.memtable(pa.table(log)), "population": people}, "2026-03-20"), SCHEME
    )
    assert history.periods == [] and history.sentence.startswith("Too little data")
    assert not history.moves.size and not history.counts.size and history.outside == 1


def test_bad_arguments_are_named(study: Study) -> None:
    with pytest.raises(ValueError, match="period == 'year', must be one of"):
        tier_history(study, SCHEME, period="year")
    clash = [{"id": LEFT, "when": {"frequency": [0, 1]}}, {"id": "b", "when": {"frequency": [1, None]}}]
    scheme = TierScheme.load({"name": "clash", "tiers": clash})
    with pytest.raises(ValueError, match="reserved"):
        tier_history(study, scheme)


@pytest.mark.parametrize("dialect", ["postgres", "trino"])
@pytest.mark.parametrize("name", ["pyramid", "three_tier", "engagement"])
def test_other_engines_understand_the_expressions(name: str, dialect: str) -> None:
    log = ibis.table({"member_id": "string", "day": "date", "kind": "string", "value": "float64"}, name="log")
    people = ibis.table({"member_id": "string", "joined_day": "date", "left_day": "date"}, name="people")
    used = pd.DataFrame({"start": [FIRST], "end": [dt.date(2026, 1, 31)], "window_start": [FIRST]})
    states = member_states(log, people, TierScheme.load(name), used, days_of_periods(used, FIRST), "all")
    assert "LEAD" in str(ibis.to_sql(counted_moves(states), dialect=dialect)).upper()
