"""Retention tables and losses against counts written out member by member, and what tables keep back."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from helpers.errors import BadData
from helpers.methods.retention.day_n import DayN, day_n, pooled
from helpers.methods.retention.losses import losses
from helpers.simulate import community
from helpers.study import Study
from tests.methods.retention.logs import interactions, random_log

FIRST, AS_OF = dt.date(2026, 1, 1), dt.date(2026, 2, 28)
# Shrinking an example runs the engine hundreds of times.
PHASES = (Phase.explicit, Phase.reuse, Phase.generate)
DAYS = (1, 7, 30)


def planted(seed: int, members: int = 15) -> tuple[pd.DataFrame, pd.DataFrame]:
    log, people = random_log(seed, FIRST, AS_OF, members=members, joined=(-20, 58))
    people["group"] = [("a", "b", None)[k % 3] for k in range(len(people))]
    return log, people


def study(log: pd.DataFrame, people: pd.DataFrame, as_of: dt.date = AS_OF, **settings: object) -> Study:
    settings = {"history_from": FIRST, "k_min": 1} | settings
    return Study.of({"activity": log, "population": people}, as_of, **settings)


def ask(log: pd.DataFrame, people: pd.DataFrame, definition: str = "on", **options: object) -> DayN:
    return day_n(study(log, people), definition=definition, **options)  # type: ignore[arg-type]


def by_hand(
    log: pd.DataFrame, people: pd.DataFrame, definition: str, key: str
) -> dict[tuple[str, int], tuple[int, int]]:
    """Return (eligible, retained) by cohort month or group and day, one member at a time."""
    found: dict[tuple[str, int], tuple[int, int]] = {}
    log = interactions(log)
    log = log[log["day"] <= AS_OF]
    for person in people[people["joined_day"] <= AS_OF].itertuples():
        mine = log.loc[log["member_id"] == person.member_id, "day"]
        if person.left_day is not None:
            mine = mine[mine <= person.left_day]
        offsets = [(day - person.joined_day).days for day in mine]
        group = person.joined_day.strftime("%Y-%m") if key == "cohort" else person.group or "not stated"
        for n in DAYS:
            if not FIRST <= person.joined_day + dt.timedelta(days=n) <= AS_OF:
                continue
            hit = any(o == n or (o > n and definition == "on_or_after") for o in offsets)
            eligible, retained = found.get((group, n), (0, 0))
            found[(group, n)] = (eligible + 1, retained + hit)
    return found


@settings(max_examples=6, deadline=None, phases=PHASES, suppress_health_check=list(HealthCheck))
@given(
    seed=st.integers(0, 10_000),
    definition=st.sampled_from(["on", "on_or_after"]),
    by=st.sampled_from([None, "group"]),
)
def test_every_cell_equals_a_count_by_hand(seed: int, definition: str, by: str | None) -> None:
    log, people = planted(seed)
    result, key = ask(log, people, definition, by=by), by or "cohort"
    cells = result.cells[result.cells["eligible"] > 0]
    counts = zip(cells[result.key], cells["day"], cells["eligible"], cells["retained"], strict=True)
    found = {(name, day): (eligible, retained) for name, day, eligible, retained in counts}
    assert found == by_hand(log, people, definition, key)


def test_the_order_of_rows_does_not_matter() -> None:
    log, people = planted(3)
    one, two = ask(log, people), ask(log.sample(frac=1, random_state=1), people.iloc[::-1])
    pd.testing.assert_frame_equal(one.cells, two.cells, check_exact=True)
    assert one.sentence == two.sentence


def test_an_immature_cell_is_blank_and_a_partly_mature_cohort_counts_its_mature_members() -> None:
    joined = [dt.date(2026, 1, 10), dt.date(2026, 1, 30), dt.date(2026, 2, 20)]
    people = pd.DataFrame({"member_id": list("abc"), "joined_day": joined, "left_day": [None] * 3})
    log = pd.DataFrame({"member_id": ["a"], "day": [dt.date(2026, 2, 9)], "kind": ["interaction"]})
    cells = day_n(study(log, people), days=(30,)).cells
    january, february = cells.iloc[0], cells.iloc[1]
    assert (january["starts"], january["eligible"], january["immature"], january["share"]) == (2, 1, 1, 1.0)
    assert february["eligible"] == 0
    assert np.isnan([february["share"], february["low"], february["high"]]).all()
    assert february["text"] == "day 30 is not over by 2026-02-28"


def test_members_who_left_stay_eligible_and_what_they_do_later_does_not_count() -> None:
    gone = [FIRST + dt.timedelta(days=3), None]
    people = pd.DataFrame({"member_id": ["a", "b"], "joined_day": [FIRST, FIRST], "left_day": gone})
    week = FIRST + dt.timedelta(days=7)
    log = pd.DataFrame({"member_id": ["a", "b"], "day": [week, week], "kind": "interaction"})
    found = day_n(study(log, people), days=(7,)).total(7)
    assert (found.value, found.n) == (0.5, 2)


def test_days_before_the_log_are_not_taken_for_silence() -> None:
    joined = FIRST - dt.timedelta(days=10)
    people = pd.DataFrame({"member_id": ["a"], "joined_day": [joined], "left_day": [None]})
    log = pd.DataFrame({"member_id": ["a"], "day": [FIRST], "kind": "interaction"})
    result = day_n(study(log, people, history_from=None), days=(7, 10))
    assert result.cells["eligible"].tolist() == [0, 1]
    assert result.cells["text"].iloc[0] == "begins before the log, 2026-01-01"


def test_a_sentence_and_a_finding_state_share_interval_and_number() -> None:
    found = ask(*planted(8, members=60), days=(7,))
    share, told = found.total(7), next(found.findings())
    assert f"n = {share.n:,}" in found.sentence and "on day 7" in found.sentence
    assert (told.value, told.low, told.high, told.n) == pytest.approx(share[:4])


@pytest.mark.parametrize("people", ["nobody", "one"])
def test_too_little_data_is_said_and_never_raised(people: str) -> None:
    frame = pd.DataFrame({"member_id": ["a"], "joined_day": [FIRST], "left_day": [None]})
    frame = frame if people == "one" else frame.iloc[:0]
    log = pd.DataFrame(columns=["member_id", "day", "kind"])
    asked = study(log, frame, FIRST, history_from=None)
    result = day_n(asked)
    assert not result.total().known
    assert "oo little data" in result.sentence
    assert result.cells["share"].isna().all()
    assert day_n(asked, cohort=None).total().n == 0
    assert "Too little data" in losses(asked).sentence


def test_a_column_that_is_missing_is_refused_and_the_default_split_is_let_go() -> None:
    asked = study(*planted(1, members=3))
    with pytest.raises(BadData, match=r"column nothing missing; there is member_id, .*group"):
        day_n(asked, by="nothing")
    (told,) = day_n(asked, by="auto").told()
    assert told == "There is no split: members have no column source."
    log, people = planted(1, members=40)
    split = day_n(study(log, people.rename(columns={"group": "source"})), by="auto")
    assert split.table.columns[0] == "source"


def test_a_simulated_community_from_its_tables() -> None:
    """Day 30 of the joiners inside the window, counted by pandas from the raw tables."""
    made = community(members=300, days=120, seed=4, tables=["members", "events"])
    as_of = dt.date(2025, 7, 1) + dt.timedelta(days=119)
    asked = Study.of(made.tables, as_of, history_from="2025-07-01")
    result = day_n(asked, days=(30,), by="source")
    acts, who = asked.activity.to_pandas(), asked.population.to_pandas()
    acts, who["joined_day"] = acts[acts["kind"] == "interaction"], pd.to_datetime(who["joined_day"])
    pairs = set(zip(acts["member_id"], pd.to_datetime(acts["day"]), strict=True))
    due = who["joined_day"] + pd.Timedelta(days=30)
    inside = (due >= "2025-07-01") & (due <= pd.Timestamp(as_of))
    kept = [(member, day) in pairs for member, day in zip(who["member_id"], due, strict=True)]
    expected = pd.Series(kept)[inside.to_numpy()]
    assert (result.total().n, result.total().value) == (len(expected), pytest.approx(expected.mean()))
    assert result.cells["eligible"].sum() == len(expected)


def wide(table: dict[str, list[int]]) -> pd.DataFrame:
    """Return counts of a table of groups by days."""
    counts = pd.DataFrame(table).T
    return counts.add_prefix("eligible_").rename_axis("cohort").reset_index()


@pytest.mark.parametrize(
    ("table", "k_min", "names"),
    [
        # A row is added to the one before on all days, when it is small on one.
        ({"a": [116, 116, 40], "b": [120, 119, 4], "c": [40, 39, 38]}, 10, ["a to b", "c"]),
        ({"a": [116, 116, 40], "b": [120, 119, 4], "c": [40, 39, 38]}, 4, ["a", "b", "c"]),
        ({"a": [4], "b": [3], "c": [40], "d": [0]}, 10, ["a to c", "d"]),
        # What all of them together have too few of does not add them up.
        ({"a": [60, 0], "b": [70, 6]}, 10, ["a", "b"]),
    ],
)
def test_a_small_row_is_added_to_the_one_before(table, k_min, names) -> None:
    assert pooled(wide(table), "cohort", k_min)["cohort"].tolist() == names


@pytest.mark.parametrize("seed", range(5))
def test_no_row_is_small_and_nobody_is_lost(seed: int) -> None:
    rng = np.random.default_rng(seed)
    before = wide({f"c{i:02}": rng.integers(0, 30, 2).tolist() for i in range(12)})
    after = pooled(before, "cohort", 10)
    counts = after[["eligible_0", "eligible_1"]]
    assert not counts.isin(range(1, 10)).any(axis=None)
    assert counts.sum().tolist() == before[["eligible_0", "eligible_1"]].sum().tolist()


def joined_on(sizes: dict[dt.date, int], **settings: object) -> Study:
    days = [day for day, size in sizes.items() for _ in range(size)]
    ids = [f"m{i}" for i in range(len(days))]
    people = pd.DataFrame({"member_id": ids, "joined_day": days, "left_day": None})
    people["platform"] = np.where(np.arange(len(ids)) % 3 == 0, "x", "y")
    log = people.rename(columns={"joined_day": "day"})[["member_id", "day"]].assign(kind="interaction")
    return study(log, people, dt.date(2026, 4, 30), **settings)


def test_a_small_cohort_hides_no_other_and_leaves_no_gap() -> None:
    sizes = {dt.date(2026, 1, 5): 80, dt.date(2026, 2, 5): 6, dt.date(2026, 3, 5): 95}
    found = day_n(joined_on({**sizes, dt.date(2026, 4, 27): 6}, k_min=10), days=(1, 30))
    table = found.table.set_index("cohort")
    assert table.index.tolist() == ["2026-01 to 2026-02", "2026-03 to 2026-04"]
    assert "n = 86" in table.loc["2026-01 to 2026-02", "D1"] and "n = 101" in table["D1"].iloc[1]
    # April's day 30 is not over.
    assert "n = 95" in table["D30"].iloc[1]
    assert found.trend["share"].notna().all()
    assert "Not counted on day 30: fewer than 10 who joined so recently" in found.sentence


def test_of_few_no_share_is_told_in_table_sentence_and_finding() -> None:
    found = day_n(joined_on({dt.date(2026, 1, 5): 7, dt.date(2026, 4, 25): 90}, k_min=10), days=(1, 30))
    assert found.table["D30"].tolist() == ["fewer than 10"]
    assert "too little data (fewer than 10 members) on day 30" in found.sentence
    assert "n = 7" not in found.sentence
    (told,) = found.found()
    assert (told.value, told.n) == (None, 0)


def test_segments_without_cohorts_and_neither() -> None:
    for k_min, names in ((10, ["y", "x"]), (40, ["y and x"])):
        asked = joined_on({dt.date(2026, 1, 5): 90}, k_min=k_min)
        table = day_n(asked, days=(1, 30), cohort=None, by="platform").table
        assert table.columns.tolist() == ["platform", "D1", "D30"]
        assert table["platform"].tolist() == names
        assert "n = 90)" in day_n(asked, days=(1, 30), cohort=None).table["D1"].iloc[0]
    for name in ("day", "place", "eligible", "starts"):  # a column of one's own may be called anything
        people = asked.population.rename({name: "platform"})
        renamed = Study.of({"activity": asked.activity, "population": people}, AS_OF, history_from=FIRST)
        assert day_n(renamed, days=(1, 30), by=name).table.columns.tolist() == [name, "D1", "D30"]
    asked = joined_on({dt.date(2026, 1, 5): 90}, k_min=100)
    assert day_n(asked, cohort=None).table["D1"].iloc[0] == "fewer than 100"


def test_losses_by_hand() -> None:
    as_of = dt.date(2026, 4, 30)
    log, people = random_log(2, FIRST, as_of, members=200, rates=(0.02, 0.3), joined=(-20, 110))
    found = losses(study(log, people, as_of))
    log, ends = interactions(log), []
    for person in people.itertuples():
        if FIRST <= person.joined_day <= as_of - dt.timedelta(days=60):
            mine = [day for day in log.loc[log["member_id"] == person.member_id, "day"]]
            mine = [day for day in mine if person.left_day is None or day <= person.left_day]
            offsets = [(day - person.joined_day).days for day in mine]
            ends.append(max([o for o in offsets if 0 <= o <= 60], default=0))
    assert found.members == len(ends)
    assert found.table["lost"].tolist() == [ends.count(day) for day in range(31)]
    day, share = found.largest
    assert (day, share.value) == (0, ends.count(0) / len(ends))
    few = losses(study(log, people, as_of, k_min=max(ends.count(day) for day in range(31)) + 1))
    assert few.largest[0] is None and "were last active on any one of the first 30 days" in few.sentence
    assert "loses most is day 0" in found.sentence
