"""The four measures against counts by hand, lifelines, and the orders that must hold."""

from __future__ import annotations

import dataclasses
import datetime as dt

import numpy as np
import pandas as pd
import pytest
from lifelines import KaplanMeierFitter

from helpers.errors import BadData, BadParameters
from helpers.methods.retention.day_n import retention
from helpers.methods.retention.losses import losses
from helpers.methods.retention.reconcile import MEASURES, _check_orders, reconcile, side_by_side

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


def test_active_on_and_after_by_hand(community: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    log, people = community
    found = reconcile(log, people, as_of=AS_OF, days=(1, 7, 30), history_from=FIRST)
    for day in (1, 7, 30):
        due = [
            (m, j + dt.timedelta(days=day))
            for m, j in zip(people["member_id"], people["joined_day"], strict=True)
            if j >= FIRST and j + dt.timedelta(days=day) <= AS_OF
        ]
        on = [((log["member_id"] == m) & (log["day"] == one)).any() for m, one in due]
        after = [((log["member_id"] == m) & (log["day"] >= one)).any() for m, one in due]
        for name, hits in (("active on the day, newcomers", on), ("active on the day or later", after)):
            assert found.measure(name, day).value == pytest.approx(np.mean(hits))
            assert found.measure(name, day).n == len(due)


def test_active_on_is_the_number_of_the_retention_table(community: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    log, people = community
    found = reconcile(log, people, as_of=AS_OF, days=(1, 7, 30), history_from=FIRST)
    table = retention(log, people, as_of=AS_OF, days=(1, 7, 30), history_from=FIRST)
    for day in (1, 7, 30):
        assert found.measure("active on the day", day)[:4] == pytest.approx(table.total(f"D{day}")[:4])
    assert found.measure("active on the day", 30).n > found.measure("active on the day, newcomers", 30).n
    assert "as in the retention table" in found.sentence


def test_survival_by_lifelines(community: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    log, people = community
    found = reconcile(log, people, as_of=AS_OF, days=(7, 30), history_from=FIRST, silence_days=14)
    here = people[people["joined_day"] >= FIRST]
    ends = [left or AS_OF for left in here["left_day"]]
    stay = [(end - joined).days for end, joined in zip(ends, here["joined_day"], strict=True)]
    fitted = KaplanMeierFitter().fit(stay, here["left_day"].notna())
    times, silent = [], []
    for member, joined, end in zip(here["member_id"], here["joined_day"], ends, strict=True):
        marks = sorted({joined, *log.loc[log["member_id"] == member, "day"]})
        begun = [b for b in marks if not any(b < m <= b + dt.timedelta(days=14) for m in marks)]
        begun = [b for b in begun if b + dt.timedelta(days=14) <= end]
        silent.append(bool(begun))
        watched = min(end, AS_OF - dt.timedelta(days=13))
        times.append((begun[0] - joined).days + 1 if begun else max((watched - joined).days, 0))
    awake = KaplanMeierFitter().fit(times, silent)
    for day in (7, 30):
        for name, curve in (("not yet left", fitted), ("not yet silent", awake)):
            expected = curve.survival_function_at_times(day).iloc[0]
            assert found.measure(name, day).value == pytest.approx(expected, abs=1e-9)


def test_the_sentence_names_all_five_with_interval_and_n(
    community: tuple[pd.DataFrame, pd.DataFrame],
) -> None:
    log, people = community
    found = reconcile(log, people, as_of=AS_OF, history_from=FIRST)
    assert found.table["measure"].tolist() == list(MEASURES) * 3
    assert found.table["why"].ne("").all()
    assert "On day 30" in found.sentence
    assert "five questions" in found.sentence
    for name in MEASURES:
        one = found.measure(name, 30)
        text = f"{100 * one.value:.1f} % ({100 * one.low:.1f} % to {100 * one.high:.1f} %, n = {one.n:,})"
        assert text in found.sentence
        row = found.readable().set_index("still_there").loc[name]
        assert row["day 30"] == text and row["why"]
    assert list(found.readable().columns) == ["still_there", "day 1", "day 7", "day 30", "why"]
    _table, on, after, _awake, here = (found.wide[name] for name in MEASURES)
    assert (on <= after).all() and (on < here).all()


def test_tables_that_contradict_each_other_are_an_error(community: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    log, people = community
    from helpers.study.days import stays

    asked = {"as_of": AS_OF, "days": (7,), "cohort": None, "history_from": FIRST}
    young = people[people["joined_day"] >= FIRST]
    on = retention(log, young, **asked)  # type: ignore[arg-type]
    after = retention(log, young, definition="on_or_after", **asked)  # type: ignore[arg-type]
    _check_orders(on, after, stays(young), AS_OF)
    wrong = dataclasses.replace(after, totals=after.totals.assign(retained=0))
    with pytest.raises(RuntimeError, match="cannot all be right"):
        _check_orders(on, wrong, stays(young), AS_OF)


def test_curves_may_come_as_frames(community: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    log, people = community
    asked = {"as_of": AS_OF, "days": (7, 30), "cohort": None}
    on = retention(log, people, **asked)  # type: ignore[arg-type]
    after = retention(log, people, definition="on_or_after", **asked)  # type: ignore[arg-type]
    curve = pd.DataFrame({"day": [7], "survival": [0.5], "low": [0.4], "high": [0.6], "n": [100]})
    found = side_by_side(on, on, after, curve, curve, silence_days=30)
    assert found.measure("not yet left", 7).value == 0.5
    assert not found.measure("not yet left", 30).known
    with pytest.raises(BadData, match="column n missing"):
        side_by_side(on, on, after, curve.drop(columns="n"), curve, silence_days=30)


def test_losses_by_hand(community: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    log, people = community
    found = losses(log, people, as_of=AS_OF, days=20, silence_days=25, history_from=FIRST)
    ends = []
    for member, joined in zip(people["member_id"], people["joined_day"], strict=True):
        if FIRST <= joined <= AS_OF - dt.timedelta(days=45):
            offsets = [(day - joined).days for day in log.loc[log["member_id"] == member, "day"]]
            ends.append(max([o for o in offsets if 0 <= o <= 45], default=0))
    assert found.members == len(ends)
    assert found.table["lost"].tolist() == [ends.count(day) for day in range(21)]
    assert found.table["there"].tolist() == [sum(end >= day for end in ends) for day in range(21)]
    day, share = found.largest()
    assert (day, share.value) == (0, ends.count(0) / len(ends))
    assert "The largest loss is on day 0" in found.sentence
    assert ("After that it is day" in found.sentence) == found.stands_out()


def test_a_later_day_is_named_only_when_it_stands_out() -> None:
    def ends(extra: int, seed: int) -> bool:
        rng = np.random.default_rng(seed)
        offsets = np.concatenate([np.zeros(200), rng.integers(1, 31, 600), np.full(extra, 14)]).astype(int)
        ids = [f"m{i}" for i in range(len(offsets))]
        people = pd.DataFrame({"member_id": ids, "joined_day": FIRST, "left_day": None})
        days = [FIRST + dt.timedelta(days=int(o)) for o in offsets]
        log = pd.DataFrame({"member_id": ids, "day": days, "kind": "interaction"})
        found = losses(log, people, as_of=AS_OF, days=30, silence_days=30, history_from=FIRST)
        assert ("After that it is day 14" in found.sentence) or not extra
        assert found.stands_out() == ("After that" in found.sentence)
        return found.stands_out()

    assert sum(ends(0, seed) for seed in range(8)) <= 2
    assert ends(40, 1)


@pytest.mark.parametrize("rows", [0, 1])
def test_too_little_data_is_said_and_never_raised(rows: int) -> None:
    people = pd.DataFrame({"member_id": ["a"], "joined_day": [FIRST], "left_day": [None]}).iloc[:rows]
    log = pd.DataFrame({"member_id": ["a"], "day": [FIRST], "kind": ["interaction"]}).iloc[:rows]
    found = reconcile(log, people, as_of=FIRST)
    assert "Too little data" in found.sentence
    assert found.table["share"].isna().all()
    assert "Too little data" in losses(log, people, as_of=FIRST).sentence


def test_wrong_questions_are_refused(community: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    log, people = community
    for wrong in ({"days": ()}, {"days": (0,)}, {"silence_days": 0}, {"confidence": 2}, {"count": "x"}):
        with pytest.raises(BadParameters):
            reconcile(log, people, as_of=AS_OF, **wrong)  # type: ignore[arg-type]
    for wrong in ({"days": -1}, {"silence_days": 0}, {"confidence": 2}):
        with pytest.raises(BadParameters):
            losses(log, people, as_of=AS_OF, **wrong)  # type: ignore[arg-type]
