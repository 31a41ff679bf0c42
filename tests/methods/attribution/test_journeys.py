"""Journeys against a walk over each member's life, and what tables leave undefined."""

from __future__ import annotations

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.errors import BadData, BadParameters, MissingTable
from helpers.methods.attribution.gates import gates
from helpers.methods.attribution.journeys import Definition, journeys
from helpers.methods.attribution.results import Seen
from helpers.methods.attribution.uncertainty import credit
from tests.methods.attribution.tables import at, listed, orders, study, told, touchpoints, written

LIVES = st.lists(
    st.lists(st.tuples(st.integers(0, 60), st.sampled_from(["抖音", "小红书", "微信", ""])), max_size=9),
    min_size=1, max_size=12,
)  # fmt: skip


def walked(lives: list[list[tuple[int, str]]], lookback: int, carry: bool, kind: str) -> list:
    """Return journeys by following each member from day to day; an event without a channel is an order of its day."""
    found = []
    for life in lives:
        touches, before, last = [], 0, None

        def close(path, won, value, before) -> None:
            if path and {"order": True, "first order": before == 0, "repeat order": before > 0}[kind]:
                found.append((tuple(name for _, name in path), won, value))

        for day, name in sorted(life, key=lambda each: (each[0], not each[1])):  # stable: ids follow the rows
            if name:
                touches.append((day, name))
                last = (day, name)
                continue
            near = [each for each in touches if day - each[0] <= lookback]
            far, path = touches[: len(touches) - len(near)], []
            for each in far:
                if path and each[0] - path[-1][0] > lookback:
                    close(path, False, 0.0, before)
                    path = []
                path.append(each)
            close(path, False, 0.0, before)
            if not touches and before and carry and last and day - last[0] <= lookback:
                near = [last]
            close(near, True, 100.0 + day, before)
            touches, before = [], before + 1
        path = []
        for each in touches:
            if path and each[0] - path[-1][0] > lookback:
                close(path, False, 0.0, before)
                path = []
            path.append(each)
        close(path, False, 0.0, before)
    return sorted(found)


@settings(max_examples=6, deadline=None)
@given(
    LIVES,
    st.sampled_from([1, 7, 30]),
    st.booleans(),
    st.sampled_from(["order", "first order", "repeat order"]),
)
def test_journeys_are_those_of_a_walk(lives, lookback, carry, kind):
    events = [(f"m{n}", day - 31, name) for n, life in enumerate(lives) for day, name in life]
    bought = orders(*((m, day, 131.0 + day) for m, day, name in events if not name))
    second = "carry" if carry else "unattributed"
    found = told(
        touchpoints(*(each for each in events if each[2])), bought,
        lookback_days=lookback, second=second, conversion=kind,
    )  # fmt: skip
    expected = walked(lives, lookback, carry, kind)
    assert listed(found) == expected
    assert found.attributed == sum(won for _, won, _ in expected)
    # The engine's own counts of order 1 are those of the same journeys.
    ends = found.cells[found.cells["last"]]
    assert ends["n"].sum() == len(expected)
    assert found.cells["n"].sum() == sum(len(path) for path, _, _ in expected)
    assert found.cells["value"].sum() == pytest.approx(sum(value for _, _, value in expected))


@settings(max_examples=2, deadline=None)
@given(LIVES)
def test_what_comes_after_the_order_has_no_credit(lives):
    """Touches that are moved behind a member's last order change no journey that converts."""
    events = [(f"m{n}", day - 31, name) for n, life in enumerate(lives) for day, name in life]
    bought = orders(*((m, day, 50.0) for m, day, name in events if not name))
    touches = [each for each in events if each[2]]
    late = [(f"m{n}", 30 + k / 10, "微博") for n in range(len(lives)) for k in range(3)]
    before, after = (
        [each for each in listed(told(touchpoints(*rows), bought)) if each[1]]
        for rows in (touches, touches + late)
    )
    assert before == after


def test_paths_of_many_members_are_those_of_a_sample_and_stand_for_all_that_converted(monkeypatch):
    lives = [(f"m{n}", n % 7 + k, name) for n in range(600) for k, name in enumerate("ABA"[: 1 + n % 3])]
    touches, bought = touchpoints(*lives), orders(*((f"m{n}", n % 7 + 2.5, 9.0) for n in range(0, 600, 2)))
    whole = told(touches, bought)
    assert whole.share == 1 and not whole.sampled and whole.weight.tolist() == [1, 1]
    monkeypatch.setattr("helpers.methods.attribution.journeys.CONVERSIONS_TO_DRAW", 100)
    monkeypatch.setattr("helpers.methods.attribution.journeys.MOST_MEMBERS", 200)
    some = told(touches, bought)
    drawn = int(some.histories.members.sum())
    assert 150 < drawn < 250 and f"sample of {drawn} members" in some.sampled
    assert set(listed(some)) <= set(listed(whole)) and some.attributed == whole.attributed == 300
    mine, theirs = (credit(each, ("last", "linear")).table for each in (some, whole))
    counts = [each.groupby("node")["n"].max().to_dict() for each in (mine, theirs)]
    assert counts == [{"A": 300, "B": 200}] * 2  # of everybody, and so is their value
    assert some.touched["value"].to_dict() == {"A": 2_700.0, "B": 1_800.0}
    for column, total in (("conversions", 300), ("value", 2_700)):
        assert mine.groupby("model")[column].sum().to_numpy() == pytest.approx([total, total])
    wider = (mine["high"] - mine["low"]).sum() / (theirs["high"] - theirs["low"]).sum()
    assert 1.3 < wider < 2.3  # the root of 3


def test_models_need_enough_conversions_of_the_members_that_are_drawn(monkeypatch):
    """The sample grows where few convert, five times at most; what it then holds decides, not what all have."""
    where = "helpers.methods.attribution.journeys"
    monkeypatch.setattr(f"{where}.MOST_MEMBERS", 20)
    touches = touchpoints(*((f"m{n}", 1, "AB"[n % 2]) for n in range(400)))
    found, wanted = [], (10, 30, 400)
    for least in wanted:
        monkeypatch.setattr(f"{where}.CONVERSIONS_TO_DRAW", least)
        found.append(gates(told(touches, orders(*((f"m{n}", 2, 9.0) for n in range(200))))))
    assert [each.share for each in found] == [0.05, 0.15, 0.25]
    assert [each.drawn for each in found] == [(10, 20), (30, 60), (50, 100)]
    monkeypatch.setattr(f"{where}.MOST_TOUCHES", 40)
    assert told(touches, orders(("m1", 2, 9.0))).share == 0.1, (
        "nor more touches than fit, however few members"
    )
    many = found[0]._replace(conversions=3_000, touches=60_000)
    assert not many.enough and many._replace(share=0.1).enough
    assert "members drawn have about 150 and 3,000" in Seen(None, None, many).too_little


def test_a_second_order_carries_the_touch_or_is_unattributed():
    click, twice = touchpoints(("m", 0, "抖音")), orders(("m", 1, 10), ("m", 1 + 10 / 1440, 20))
    carried, not_carried = told(click, twice), told(click, twice, second="unattributed")
    assert listed(carried) == [(("抖音",), True, 10.0), (("抖音",), True, 20.0)]
    assert (gates(carried).carried, gates(carried).unattributed) == (1, 0)
    assert listed(not_carried) == [(("抖音",), True, 10.0)]
    assert (gates(not_carried).carried, gates(not_carried).unattributed) == (0, 1)


def test_an_order_outside_the_window_has_none_and_a_touch_before_it_counts_by_the_lookback():
    touches = touchpoints(("old", 8, "抖音"), ("new", 18, "微信"), ("other", 18, "微博"))
    bought = orders(("old", 9, 10), ("new", 25, 20))
    found = told(touches, bought, window_days=10, lookback_days=14)  # 21 June and later
    assert listed(found) == [(("微信",), True, 20.0)]
    assert found.conversions == 1


def test_the_last_day_ends_in_the_time_zone_of_the_report():
    shanghai = pd.Timestamp("2026-06-30 15:59:59"), pd.Timestamp("2026-06-30 16:00:00")
    touches = touchpoints(("a", 0, "抖音"), ("b", 0, "抖音")).assign(ts=at(28))
    bought = orders(("a", 0, 10), ("b", 0, 10)).assign(paid_at=shanghai)
    assert told(touches, bought).conversions == 1


def test_ties_stand_in_the_order_of_their_ids_whatever_the_rows():
    touches = touchpoints(("m", 0, "抖音"), ("m", 0, "小红书"), ("m", 1, "微信"))
    bought = orders(("m", 1, 10))
    for rows in (touches, touches[::-1]):
        found = told(rows, bought)
        assert listed(found) == [(("抖音", "小红书", "微信"), True, 10.0)]
        assert gates(found).tied == 2


def test_the_published_path_of_transforms():
    path = written((" > ".join("DABBCDCC"), 1, 0, 1.0))

    def left(how: str) -> str:
        found = path.collapsed(how)
        assert found.last.tolist() == [False] * (len(found.code) - 1) + [True]
        return "".join(found.channels[code] for code in found.code)

    assert (left("no"), left("repeats"), left("distinct")) == ("DABBCDCC", "DABCDC", "DABC")
    touches = touchpoints(*(("m", day, name) for day, name in enumerate("DABBCDCC")))
    found = told(touches, orders(("m", 9, 10)), channels={"B": "", "D": "C"}, collapse="repeats")
    assert listed(found) == [(("C", "A", "C"), True, 10.0)]


def test_value_is_net_of_what_was_given_back_by_the_last_day():
    bought = orders(("m", 1, 100), ("m", 2, -30)).assign(discount=[5.0, None], refund=[10.0, None])
    refunds = pd.DataFrame(
        {"order_id": ["o00000", "o00000"], "refunded_at": [at(3), at(99)], "amount": [20.0, 1.0]}
    )
    tables = {"touchpoints": touchpoints(("m", 0, "抖音")), "orders": bought, "refunds": refunds}
    assert listed(journeys(study(**tables))) == [(("抖音",), True, 65.0)]


def test_a_follow_is_a_conversion_and_staff_and_bots_are_left_out():
    events = pd.DataFrame(
        {
            "event_id": ["1", "2", "3"],
            "member_id": ["a", "b", "c"],
            "ts": at(1),
            "event": ["Follow", "follow", "view"],
        }
    )
    members = pd.DataFrame(
        {"member_id": ["a", "b", "c"], "joined_at": at(-9), "is_staff": [False, True, None]}
    )
    tables = {
        "touchpoints": touchpoints(*((m, 0, "抖音") for m in "abc")),
        "events": events,
        "members": members,
    }
    found = journeys(study(**tables), Definition(conversion="follow"))
    assert listed(found) == [(("抖音",), False, 0.0), (("抖音",), True, 0.0)]
    with pytest.raises(BadParameters, match="conversion == 'buy'"):
        journeys(study(**tables), Definition(conversion="buy"))


def test_channels_without_a_name_are_one_and_counted():
    found = told(
        touchpoints(("a", 0, " "), ("b", 0, "(not set)"), ("c", 0, "未知"), ("d", 0, "抖音")), orders()
    )
    assert found.channels == ("unknown", "抖音")
    assert (gates(found).untagged, gates(found).touches, gates(found).open) == (3, 4, 4)


def test_the_contract_refuses_null_channels_repeated_touches_and_dates_of_1970():
    good = touchpoints(("a", 0, "抖音"), ("b", 0, "微信"), ("c", 1, "B站"))
    bought = orders(("a", 1, 10.0))
    for bad, words in (
        (good.assign(channel=[None, None, "B站"]), "channel.*2 rows|channel: null"),
        (good.assign(touch_id="t"), "touch_id"),
        (good.assign(ts=pd.Timestamp("1970-01-01")), "ts"),
    ):
        with pytest.raises(BadData, match=words):
            study(checked=True, touchpoints=bad, orders=bought)


def test_what_is_missing_or_no_choice_is_said():
    with pytest.raises(MissingTable, match="touchpoints"):
        journeys(study(orders=orders(("a", 0, 1.0))))
    with pytest.raises(BadParameters, match="second == 'both'"):
        Definition(second="both")
    with pytest.raises(BadParameters, match="lookback_days"):
        Definition(lookback_days=0)
    with pytest.raises(BadParameters, match=r"channels names 'serach'.*search"):
        told(touchpoints(("a", 0, "search")), orders(), channels={"serach": "x"})
    mixed = orders(("a", 1, 10), ("a", 2, 10)).assign(currency=["CNY", "SEK"])
    with pytest.raises(BadParameters, match="SEK"):
        told(touchpoints(("a", 0, "抖音")), mixed)
