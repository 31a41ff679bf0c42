"""Person-period rows: by hand, no future leak, sampling, odd input."""

from __future__ import annotations

import datetime as dt
import sys
from unittest import mock

import ibis
import numpy as np
import pandas as pd
import pytest

from helpers.errors import BadData
from helpers.stats.forecast.landmarks import FEATURES, Landmarks, landmarks

START = dt.date(2026, 1, 1)
AS_OF = START + dt.timedelta(days=119)


def day(number: int) -> dt.date:
    return START + dt.timedelta(days=number)


def actions(rows: list[tuple[str, int]], kind: str = "interaction", action: str = "like") -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["member_id", "number"])
    days = [day(n) for n in frame["number"]]
    return pd.DataFrame(
        {"member_id": frame["member_id"], "day": days, "kind": kind, "action": action, "value": 2.0}
    )


def people(*rows: tuple[str, int, int | None]) -> pd.DataFrame:
    found = [(m, day(j), None if left is None else day(left)) for m, j, left in rows]
    return pd.DataFrame(found, columns=["member_id", "joined_day", "left_day"])


def random_rows(members: int = 60, days: int = 120, seed: int = 0) -> tuple[pd.DataFrame, pd.DataFrame]:
    rng = np.random.default_rng(seed)
    rows = [
        (f"m{i:03d}", int(n))
        for i in range(members)
        for n in np.flatnonzero(rng.random(days) < rng.beta(1, 9))
    ]
    left = [int(n) if n < days else None for n in rng.integers(0, 4 * days, members)]
    return actions(rows), people(*((f"m{i:03d}", 0, left[i]) for i in range(members)))


def made(rows: pd.DataFrame, population: pd.DataFrame, *, most: int = 10_000, **more: object) -> Landmarks:
    """Landmarks a horizon apart, not months."""
    bounds = {name: more.pop(name) for name in [*more] if name.isupper()}
    settings = {"as_of": AS_OF} | more
    with mock.patch.multiple(sys.modules[landmarks.__module__], MONTHLY=(), MOST_MEMBERS=most, **bounds):
        return landmarks(rows, population, **settings)  # type: ignore[arg-type]


def test_landmarks_tile_backwards_with_whole_windows_and_look_backs() -> None:
    rows, population = random_rows()
    found = made(rows, population)
    assert [d.date() for d in found.table["landmark"].unique()] == [day(29), day(59), day(89)]
    assert found.now["landmark"].unique().tolist() == [pd.Timestamp(AS_OF)]


@pytest.mark.parametrize(
    ("as_of", "marks"),
    [
        (dt.date(2026, 4, 30), [dt.date(2026, 1, 31), dt.date(2026, 2, 28), dt.date(2026, 3, 31)]),
        (dt.date(2026, 4, 15), [dt.date(2026, 2, 15), dt.date(2026, 3, 15)]),
        (dt.date(2026, 3, 1), []),
    ],
)
def test_monthly_landmarks_keep_their_place_in_the_month(as_of: dt.date, marks: list[dt.date]) -> None:
    rows, population = random_rows()
    found = landmarks(rows, population, as_of=as_of)
    assert [d.date() for d in found.table["landmark"].unique()] == marks
    assert all(d + dt.timedelta(days=30) <= as_of for d in marks)


def test_features_and_outcomes_by_hand() -> None:
    rows = pd.concat(
        [
            actions([("a", 0), ("a", 10), ("a", 10), ("a", 80), ("a", 89), ("b", 85), ("c", 88), ("d", 20)]),
            actions([("a", 88)], "order", "goods"),
            actions([("a", 90)], action="comment"),
        ]
    )
    population = people(("a", 0, None), ("b", 80, None), ("c", 40, 100), ("d", 0, None))
    table = made(rows, population).table
    table = table[table["landmark"] == pd.Timestamp(day(89))].set_index("member_id")
    a = table.loc["a"]
    assert a[["days_since_last", "tenure_days", "active_days_all", "actions_all"]].tolist() == [0, 89, 4, 5]
    assert a[["active_days_30", "actions_90", "actions_before_30"]].tolist() == [2, 5, 0]
    assert a["usual_gap"] == pytest.approx(89 / 3, abs=1e-6)
    assert a["value_90"] == pytest.approx(
        12.0
    )  # five likes and the order; what follows the landmark is unseen
    assert a["orders_share_90"] == pytest.approx(1 / 6, abs=1e-6)
    assert table["state"].to_dict() == {"a": "active", "b": "active", "c": "active", "d": "dormant"}
    assert table["silent"].to_dict() == {"a": 0, "b": 1, "c": 1, "d": 1}


def test_nothing_after_a_landmark_changes_its_features() -> None:
    rows, population = random_rows()
    signals = {"pushes": rows[["member_id", "day"]].sample(200, random_state=1)}
    cut = day(89)
    altered = pd.concat([rows[rows["day"] <= cut], actions([(f"m{i:03d}", 90 + i % 30) for i in range(60)])])
    more = pd.concat([signals["pushes"], pd.DataFrame({"member_id": ["m001"] * 50, "day": [day(95)] * 50})])
    gone = population.assign(
        left_day=[x if x is not None and x <= cut else day(118) for x in population["left_day"]]
    )
    first = made(rows, population, signals=signals)
    second = made(altered, gone, signals={"pushes": more})
    columns = ["landmark", "member_id", "state", *first.features]
    pd.testing.assert_frame_equal(first.table[columns], second.table[columns])
    assert (first.table["silent"] != second.table["silent"]).any()


def test_truncating_the_log_gives_the_rows_of_that_day() -> None:
    rows, population = random_rows(seed=2)
    then = made(rows, population, as_of=day(89)).now
    later = made(rows, population).table
    later = later[later["landmark"] == pd.Timestamp(day(89))].reset_index(drop=True)
    pd.testing.assert_frame_equal(then[[*FEATURES]], later[[*FEATURES]])


def test_outcome_equals_a_plain_loop() -> None:
    rows, population = random_rows(seed=3)
    found = made(rows, population).table
    acted = set(zip(rows["member_id"], rows["day"], strict=True))
    for row in found.itertuples():
        window = [row.landmark.date() + dt.timedelta(days=k) for k in range(1, 31)]
        assert row.silent == (not any((row.member_id, d) in acted for d in window))


def test_rows_are_bounded_by_members_and_by_rows() -> None:
    rows, population = random_rows()
    whole, few = made(rows, population), made(rows, population, MOST_ROWS=60)
    assert 30 < len(few.table) < 90 < len(whole.table)
    assert few.members == whole.members and few.whole


def test_a_sample_of_those_present_stands_for_all_and_the_others_can_be_asked_for() -> None:
    """The sizes are those of everybody, whoever has a row; a row that is asked for is that of everybody, too."""
    rows, population = random_rows()
    fixed = population[["member_id"]].assign(source=["x", "y"] * 30)
    whole = made(rows, population, categories=fixed)
    part = made(rows, population, categories=fixed, MOST_PRESENT=20)
    assert whole.whole and not part.whole and 8 <= len(part.now) <= 32
    counted = whole.now.assign(ever=whole.now["active_days_all"] > 0)
    counted = counted.groupby(["state", "ever", "actions_30"]).size().rename("members").reset_index()
    for found in (whole, part):
        sizes = found.sizes.sort_values(["state", "ever", "actions_30"], ignore_index=True)
        pd.testing.assert_frame_equal(sizes, counted, check_dtype=False)
    missing = whole.now[~whole.now["member_id"].isin(part.now["member_id"])].reset_index(drop=True)
    asked = part.today(ibis.memtable(missing[["member_id"]]))
    columns = ["member_id", "landmark", "state", "value_all", *(set(part.features) & set(whole.features))]
    pd.testing.assert_frame_equal(asked[columns], missing[columns])


def test_a_sample_follows_members_and_leaves_today_whole() -> None:
    rows, population = random_rows()
    whole, part = made(rows, population), made(rows, population, most=20, seed=4)
    assert part.sampled == part.table["member_id"].nunique() and 10 <= part.sampled <= 30
    assert part.members == whole.members == whole.sampled
    pd.testing.assert_frame_equal(part.now[[*FEATURES]], whole.now[[*FEATURES]])
    kept = whole.table[whole.table["member_id"].isin(part.table["member_id"])].reset_index(drop=True)
    pd.testing.assert_frame_equal(kept, part.table)


def test_row_order_does_not_matter() -> None:
    rows, population = random_rows()
    mixed = made(rows.sample(frac=1, random_state=0), population.sample(frac=1, random_state=1))
    pd.testing.assert_frame_equal(mixed.table, made(rows, population).table)


def test_categories_become_flags() -> None:
    rows, population = random_rows()
    fixed = population[["member_id"]].assign(source=["x", "y"] * 30)
    found = made(rows, population, categories=fixed)
    assert found.features[-2:] == ("source=x", "source=y")
    assert found.table["source=x"].isin([0, 1]).all()


def test_missing_columns_are_named() -> None:
    rows, population = random_rows()
    with pytest.raises(BadData, match="activity: column kind missing"):
        made(rows.drop(columns="kind"), population)


@pytest.mark.parametrize("keep", [0, 1])
def test_small_data_is_no_error(keep: int) -> None:
    rows, population = random_rows()
    found = made(rows.iloc[:keep], population)
    assert (found.table["state"] == "dormant").all()


def test_a_leave_before_a_join_is_never_present() -> None:
    rows, _ = random_rows()
    found = made(rows, people(("m000", 50, 10), ("m001", 0, None)))
    assert set(found.table["member_id"]) <= {"m001"}
