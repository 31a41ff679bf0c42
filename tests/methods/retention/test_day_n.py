"""Retention tables against a count written out member by member, and against planted shares."""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from helpers.data.source import Dataset, as_table
from helpers.errors import BadData, BadParameters
from helpers.methods.retention.day_n import Retention, retention
from helpers.simulate import community
from helpers.study.activity import activity as activity_of
from helpers.study.activity import population as population_of
from helpers.study.days import with_columns

ZONE = ZoneInfo("Asia/Shanghai")
FIRST, AS_OF = dt.date(2026, 1, 1), dt.date(2026, 2, 28)

# Shrinking an example runs the engine hundreds of times.
PHASES = (Phase.explicit, Phase.reuse, Phase.generate)


def instant(day: dt.date, seconds: int) -> pd.Timestamp:
    moment = dt.datetime.combine(day, dt.time(), ZONE) + dt.timedelta(seconds=seconds)
    return pd.Timestamp(moment).tz_convert("UTC").tz_localize(None)


def random_log(seed: int, members: int = 15) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return activity and population: some join before the log, some leave, some never do anything."""
    rng = np.random.default_rng(seed)
    rows, people = [], []
    for number in range(members):
        joined = FIRST + dt.timedelta(days=int(rng.integers(-20, 58)))
        left = joined + dt.timedelta(days=int(rng.integers(0, 50))) if rng.random() < 0.4 else None
        joined_at = instant(joined, int(rng.integers(0, 86_400)))
        people.append((f"m{number}", joined, left if left and left <= AS_OF else None, joined_at, number % 3))
        for day in pd.date_range(FIRST, AS_OF + dt.timedelta(days=3)).date:
            for _repeat in range(rng.poisson(rng.choice([0.0, 0.1, 0.8]))):
                kind = str(rng.choice(["interaction", "order", "weighted"], p=[0.8, 0.1, 0.1]))
                rows.append((f"m{number}", instant(day, int(rng.integers(0, 86_400))), day, kind))
    log = pd.DataFrame(rows, columns=["member_id", "ts", "day", "kind"])
    columns = ["member_id", "joined_day", "left_day", "joined_at", "group"]
    frame = pd.DataFrame(people, columns=columns)
    frame["group"] = frame["group"].map({0: "a", 1: "b", 2: None})
    return log, frame


def windows_of(definition: str) -> list[tuple[int, int | None]]:
    return {
        "on": [(1, 1), (7, 7), (30, 30)],
        "on_or_after": [(1, None), (7, None), (30, None)],
        "rolling": [(1, 1), (1, 7), (1, 30)],
        "bracket": [(1, 3), (4, 7), (8, 14)],
    }[definition]


def by_hand(
    log: pd.DataFrame, people: pd.DataFrame, definition: str, start: str, recurring: bool, clock: str
) -> dict[tuple[str, str, int], tuple[int, int]]:
    """Return (eligible, retained) by cohort month, group and window, one member at a time."""
    found: dict[tuple[str, str, int], tuple[int, int]] = {}
    log = log[log["kind"] == "interaction"]
    log = log[log["day"] <= AS_OF]
    begin, end = instant(FIRST, 0), instant(AS_OF + dt.timedelta(days=1), 0)
    for person in people.itertuples():
        mine = log[log["member_id"] == person.member_id]
        if person.left_day is not None:
            mine = mine[mine["day"] <= person.left_day]
        actions = sorted(mine["ts"])
        days = sorted(set(mine["day"]))
        if recurring:
            zeros = [(day, min(mine.loc[mine["day"] == day, "ts"])) for day in days]
        elif start == "joined":
            zeros = [(person.joined_day, person.joined_at)] if person.joined_day <= AS_OF else []
        else:
            zeros = [(days[0], actions[0])] if days and person.joined_day >= FIRST else []
        for zero, moment in zeros:
            for k, (first, last) in enumerate(windows_of(definition)):
                needed = first if last is None else last
                if clock == "calendar":
                    seen = zero + dt.timedelta(days=first) >= FIRST
                    ripe = zero + dt.timedelta(days=needed) <= AS_OF
                    offsets = [(day - zero).days for day in days]
                else:
                    seen = moment + pd.Timedelta(days=first) >= begin
                    ripe = moment + pd.Timedelta(days=needed + 1) <= end
                    offsets = [int((ts - moment).total_seconds() // 86_400) for ts in actions]
                if not (seen and ripe):
                    continue
                hit = any(first <= o and (last is None or o <= last) and o >= 0 for o in offsets)
                key = (zero.strftime("%Y-%m"), person.group or "not stated", k)
                n, x = found.get(key, (0, 0))
                found[key] = (n + 1, x + hit)
    return found


def as_counts(result: Retention) -> dict[tuple[str, str, int], tuple[int, int]]:
    labels = [window.label for window in result.windows]
    return {
        (row.cohort.strftime("%Y-%m"), row.group, labels.index(row.window)): (row.eligible, row.retained)
        for row in result.cells.itertuples()
        if row.eligible
    }


def ask(log: pd.DataFrame, people: pd.DataFrame, definition: str = "on", **options: object) -> Retention:
    brackets = [(1, 3), (4, 7), (8, 14)] if definition == "bracket" else None
    options = {"segments": "group", "history_from": FIRST, "as_of": AS_OF} | options
    return retention(log, people, definition=definition, brackets=brackets, **options)  # type: ignore[arg-type]


@settings(max_examples=6, deadline=None, phases=PHASES, suppress_health_check=list(HealthCheck))
@given(
    seed=st.integers(0, 10_000),
    definition=st.sampled_from(["on", "on_or_after", "rolling", "bracket"]),
    start=st.sampled_from(["joined", "first_activity"]),
    recurring=st.booleans(),
    clock=st.sampled_from(["calendar", "hours"]),
)
def test_every_cell_equals_a_count_by_hand(
    seed: int, definition: str, start: str, recurring: bool, clock: str
) -> None:
    log, people = random_log(seed)
    result = ask(log, people, definition, start=start, recurring=recurring, clock=clock)
    assert as_counts(result) == by_hand(log, people, definition, start, recurring, clock)


def test_the_order_of_rows_does_not_matter() -> None:
    log, people = random_log(3)
    one = ask(log, people, recurring=True)
    two = ask(log.sample(frac=1, random_state=1), people.sample(frac=1, random_state=2), recurring=True)
    pd.testing.assert_frame_equal(one.cells, two.cells, check_exact=True)
    assert one.sentence == two.sentence


def test_an_immature_cell_is_blank_and_a_partly_mature_cohort_counts_its_mature_members() -> None:
    joined = [dt.date(2026, 1, 10), dt.date(2026, 1, 30), dt.date(2026, 2, 20)]
    people = pd.DataFrame({"member_id": list("abc"), "joined_day": joined, "left_day": [None] * 3})
    log = pd.DataFrame({"member_id": ["a"], "day": [dt.date(2026, 2, 9)], "kind": ["interaction"]})
    cells = retention(log, people, as_of=AS_OF, days=(30,), history_from=FIRST).cells
    january, february = cells.iloc[0], cells.iloc[1]
    assert (january["starts"], january["eligible"], january["immature"], january["share"]) == (2, 1, 1, 1.0)
    assert february["eligible"] == 0
    assert np.isnan([february["share"], february["low"], february["high"]]).all()
    assert february["reason"] == "day 30 is not over by 2026-02-28"


def test_members_who_left_stay_eligible_and_what_they_do_later_does_not_count() -> None:
    people = pd.DataFrame(
        {
            "member_id": ["a", "b"],
            "joined_day": [FIRST, FIRST],
            "left_day": [FIRST + dt.timedelta(days=3), None],
        }
    )
    week = FIRST + dt.timedelta(days=7)
    log = pd.DataFrame({"member_id": ["a", "b"], "day": [week, week], "kind": "interaction"})
    found = retention(log, people, as_of=AS_OF, days=(7,), history_from=FIRST).total("D7")
    assert (found.value, found.n) == (0.5, 2)


def test_days_before_the_log_are_not_taken_for_silence() -> None:
    people = pd.DataFrame(
        {"member_id": ["a"], "joined_day": [FIRST - dt.timedelta(days=10)], "left_day": [None]}
    )
    log = pd.DataFrame({"member_id": ["a"], "day": [FIRST], "kind": "interaction"})
    result = retention(log, people, as_of=AS_OF, days=(7, 10))
    assert result.cells["eligible"].tolist() == [0, 1]
    assert result.cells["reason"].iloc[0] == "begins before the log, 2026-01-01"


def test_a_day_of_24_hours_is_not_a_calendar_day() -> None:
    late = instant(FIRST, 23 * 3600)
    people = pd.DataFrame(
        {"member_id": ["a"], "joined_day": [FIRST], "left_day": [None], "joined_at": [late]}
    )
    next_morning = instant(FIRST + dt.timedelta(days=1), 8 * 3600)
    log = pd.DataFrame(
        {
            "member_id": ["a"],
            "ts": [next_morning],
            "day": [FIRST + dt.timedelta(days=1)],
            "kind": "interaction",
        }
    )
    shares = {
        clock: retention(log, people, as_of=AS_OF, days=(1,), clock=clock, history_from=FIRST).total().value
        for clock in ("calendar", "hours")
    }
    assert shares == {"calendar": 1.0, "hours": 0.0}


def test_equal_follow_up_makes_cohorts_comparable() -> None:
    log, people = random_log(5)
    open_ended = ask(log, people, "on_or_after", days=(7,))
    equal = ask(log, people, "on_or_after", days=(7,), follow_up=21)
    assert not open_ended.comparable
    assert "do not compare cohorts" in open_ended.sentence
    assert equal.comparable
    assert "do not compare" not in equal.sentence
    assert equal.total().n < open_ended.total().n


def test_a_sentence_states_share_interval_and_number() -> None:
    log, people = random_log(8, members=60)
    found = ask(log, people, days=(7,))
    share = found.total("D7")
    assert f"n = {share.n:,}" in found.sentence
    assert "on day 7" in found.sentence


def test_trend_is_one_line_per_cohort() -> None:
    log, people = random_log(8, members=60)
    trend = ask(log, people, segments=(), cohort="week").trend("D7")
    assert trend["cohort"].is_monotonic_increasing
    assert trend["cohort"].is_unique
    assert {"eligible", "share", "low", "high"} <= set(trend.columns)
    with pytest.raises(BadParameters, match='Did you mean "D7"'):
        ask(log, people).trend("D77")


@pytest.mark.parametrize("recurring", [False, True])
@pytest.mark.parametrize("people", ["nobody", "one"])
def test_too_little_data_is_said_and_never_raised(recurring: bool, people: str) -> None:
    frame = pd.DataFrame({"member_id": ["a"], "joined_day": [FIRST], "left_day": [None]})
    frame = frame if people == "one" else frame.iloc[:0]
    log = pd.DataFrame(columns=["member_id", "ts", "day", "kind"])
    result = retention(log, frame, as_of=FIRST, recurring=recurring)
    assert not result.total().known
    assert "oo little data" in result.sentence
    assert result.cells["share"].isna().all()
    assert retention(log, frame, as_of=FIRST, cohort=None).total().n == 0


def test_wrong_questions_are_refused() -> None:
    log, people = random_log(1, members=3)
    for wrong, message in [
        ({"definition": "onn"}, "definition == 'onn'"),
        ({"days": ()}, "must not be empty"),
        ({"days": (1.5,)}, "must be a int"),
        ({"days": (-1,)}, "must be >= 0"),
        ({"brackets": [(1, 2)]}, "go together"),
        ({"definition": "bracket", "brackets": [(3, 1)]}, "must be >= 3"),
        ({"follow_up": 9}, "only for"),
        ({"clock": "sun"}, "clock == 'sun'"),
        ({"start": "born"}, "start == 'born'"),
        ({"cohort": "year"}, "cohort == 'year'"),
        ({"confidence": 95}, "must be < 1"),
        ({"count": "visits"}, "count == 'visits'"),
    ]:
        with pytest.raises(BadParameters, match=message):
            retention(log, people, as_of=AS_OF, **wrong)  # type: ignore[arg-type]
    with pytest.raises(BadParameters, match="population == None"):
        retention(log, as_of=AS_OF)
    with pytest.raises(BadData, match="column nothing missing"):
        retention(log, people, as_of=AS_OF, segments="nothing")
    with pytest.raises(BadData, match="column ts missing"):
        retention(log.drop(columns="ts"), people, as_of=AS_OF, clock="hours")


def test_a_simulated_community_from_its_tables() -> None:
    """Day 30 of the joiners inside the window, counted by pandas from the raw tables."""
    made = community(members=300, days=120, seed=4, tables=["members", "events"])
    as_of = dt.date(2025, 7, 1) + dt.timedelta(days=119)
    dataset = Dataset({name: as_table(made.tables[name]) for name in ("members", "events")})
    people = with_columns(population_of(dataset, as_of=as_of), dataset.members, "joined_at", "source")
    log = activity_of(dataset, as_of=as_of)
    result = retention(log, people, as_of=as_of, days=(30,), segments="source", history_from="2025-07-01")
    acts, who = log.to_pandas(), people.to_pandas()
    acts, who["joined_day"] = acts[acts["kind"] == "interaction"], pd.to_datetime(who["joined_day"])
    pairs = set(zip(acts["member_id"], pd.to_datetime(acts["day"]), strict=True))
    due = who["joined_day"] + pd.Timedelta(days=30)
    inside = (due >= "2025-07-01") & (due <= pd.Timestamp(as_of))
    kept = [(member, day) in pairs for member, day in zip(who["member_id"], due, strict=True)]
    expected = pd.Series(kept)[inside.to_numpy()]
    assert (result.total().n, result.total().value) == (len(expected), pytest.approx(expected.mean()))
    by_source = result.totals[result.totals["scope"] == "segment"]
    assert by_source["eligible"].sum() == len(expected)
