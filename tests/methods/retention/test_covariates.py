"""Candidates: levels, pooled levels, bins, missing values, what is left out, and the landmark."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
import pytest

from helpers.data import source
from helpers.errors import BadData, BadParameters
from helpers.methods.retention.covariates import candidates
from helpers.study import Study

NOW = dt.datetime(2026, 5, 1)
AS_OF = "2026-04-15"
COLUMNS = ["source", "city", "verified", "friends", "note", "planet"]


def noon(days: np.ndarray | list[int]) -> pd.Series:
    """Return noon in Shanghai of days counted from 2026-01-01."""
    return pd.Series(pd.Timestamp("2026-01-01 04:00", tz="UTC") + pd.to_timedelta(days, unit="D"))


def community(n: int = 400, seed: int = 0) -> dict[str, pd.DataFrame]:
    rng = np.random.default_rng(seed)
    joined, stay = rng.integers(-30, 60, n), rng.integers(0, 120, n)
    members = pd.DataFrame({"member_id": [f"m{number:04}" for number in range(n)], "joined_at": noon(joined)})
    left = np.maximum(joined + stay, 0)
    members["left_at"] = noon(left).where(left <= 104, pd.NaT)
    members["source"] = rng.choice(["a", "b", "c", None], n, p=[0.5, 0.3, 0.1, 0.1])
    members["city"] = rng.choice([f"city {k:02}" for k in range(20)], n, p=np.arange(20, 0, -1) / 210)
    members["verified"] = rng.random(n) < 0.5
    members["friends"] = np.where(rng.random(n) < 0.1, np.nan, rng.poisson(8, n))
    members["note"] = [f"note {number}" for number in range(n)]
    members["planet"] = "earth"
    rows = [
        ("m0000", 0, "view"),
        *(
            (f"m{number:04}", joined[number] + number % 9, "comment")
            for number in range(100)
            if joined[number] >= 0
        ),
        *(
            (f"m{number:04}", joined[number] + 1, "checkin")
            for number in range(0, 200, 2)
            if joined[number] >= 0
        ),
    ]
    events = pd.DataFrame(rows, columns=["member_id", "day", "event"])
    events["ts"] = noon(events.pop("day").to_numpy()) + pd.Timedelta(hours=1)
    events.insert(0, "event_id", [f"e{number}" for number in range(len(events))])
    return {"members": members, "events": events}


@pytest.fixture(scope="module")
def tables() -> dict[str, pd.DataFrame]:
    return community()


def look(tables: dict[str, pd.DataFrame], columns=None, landmark_day: int = 0, as_of=AS_OF, **settings):
    """Candidates of tables whose log begins with the year, unless it is said when."""
    study = Study.of(tables, as_of, **{"history_from": "2026-01-01"} | settings)
    return candidates(study, columns, landmark_day=landmark_day)


@pytest.fixture(scope="module")
def found(tables: dict[str, pd.DataFrame]):
    return look(tables, COLUMNS)


def test_every_usable_column_is_a_candidate_and_others_are_named(found) -> None:
    assert found.names == ("source", "city", "verified", "friends")
    assert found.note.endswith(": note, planet.")


def test_by_default_only_what_is_known_at_joining_is_looked_at(tables) -> None:
    """A badge that only those who stay can get is left alone unless it is named."""
    frame = tables["members"]
    stayed = frame["left_at"].isna() | (frame["left_at"] - frame["joined_at"] > pd.Timedelta(days=60))
    invited = np.where(frame.index % 3 == 0, "m0001", None)
    frame = frame.assign(badge=stayed, consent=frame["left_at"].isna(), inviter_id=invited)
    found = look({**tables, "members": frame})
    assert found.names == ("source", "invited")
    rows = found.table.to_pandas().set_index("member_id")
    expected = frame.set_index("member_id")["inviter_id"].notna()
    assert (rows["invited"] == expected[rows.index]).all()
    named = look({**tables, "members": frame}, ["source", "badge", "source"])
    assert named.names == ("source", "badge")
    assert named.note.startswith("Misleading where it was filled in only after joining: badge.")


def test_an_invitation_that_is_the_source_is_not_looked_at_twice(tables) -> None:
    frame = tables["members"]
    frame = frame.assign(inviter_id=np.where(frame["source"] == "b", "m0001", None))
    found = look({**tables, "members": frame})
    assert found.names == ("source",)
    assert found.note.endswith("it says what source says: invited.")


@pytest.mark.parametrize("k_min", [1, 10, 40])
def test_no_level_has_fewer_than_k_members(tables, k_min: int, monkeypatch) -> None:
    n = len(tables["members"])
    made = {
        "plan": np.where(np.arange(n) < 3, "gold", np.where(np.arange(n) < 7, "silver", "none")),
        "rare": np.arange(n) < 8,
        "common": np.arange(n) >= 8,
        "gap": pd.Series(np.where(np.arange(n) < 6, None, np.where(np.arange(n) % 2, "x", "y"))),
        "gifts": np.where(np.arange(n) < 5, 7.0, np.where(np.arange(n) < 60, 3.0, 0.0)),
    }
    frame = tables["members"].assign(**made)
    monkeypatch.setattr("helpers.methods.retention.covariates.LEAST_SHARE", 0.0)
    monkeypatch.setattr("helpers.methods.retention.covariates.KEPT_LEVELS", 25)
    found = look({**tables, "members": frame}, ["source", "city", *made], k_min=k_min)
    rows = found.table.to_pandas()
    sizes = {name: rows[name].value_counts() for name in found.names}
    assert all(size.min() >= k_min and len(size) >= 2 for size in sizes.values()), sizes
    assert ("rare" in found.names, "common" in found.names, "plan" in found.names) == (3 * (k_min == 1,))
    assert all(size.sum() == len(rows) for size in sizes.values())


def test_rare_levels_are_pooled_and_missing_is_a_level(found, tables) -> None:
    rows = found.table.to_pandas()
    assert set(rows["source"]) == {"a", "b", "c", "not stated"}
    assert rows["city"].nunique() == 8 and "other" in set(rows["city"])
    truth = tables["members"].set_index("member_id")["city"]
    kept = rows[rows["city"] != "other"]
    assert (kept["city"] == truth[kept["member_id"]].to_numpy()).all()


def test_numbers_become_quantile_bins_of_about_equal_size(found, tables) -> None:
    rows = found.table.to_pandas()
    truth = tables["members"].set_index("member_id").loc[rows["member_id"], "friends"].to_numpy()
    assert (rows["friends"] == "not stated").to_numpy().tolist() == np.isnan(truth).tolist()
    shares = rows.loc[~np.isnan(truth), "friends"].value_counts(normalize=True)
    assert len(shares) == 4 and shares.between(0.1, 0.4).all()
    by_bin = (
        pd.Series(truth).groupby(rows["friends"]).agg(["min", "max"]).drop("not stated").sort_values("min")
    )
    assert (by_bin["min"].to_numpy()[1:] > by_bin["max"].to_numpy()[:-1]).all()


def test_a_number_that_is_mostly_its_smallest_value_is_cut_in_two(tables) -> None:
    members = tables["members"].assign(gifts=lambda t: np.where(t.index < 20, t.index + 1.0, 0.0))
    found = look({**tables, "members": members}, ["gifts"])
    assert set(found.table.to_pandas()["gifts"]) == {"below 1", "1 or more"}
    alike = look(
        {**tables, "members": members.assign(gifts=np.where(members.index < 20, 2.0, np.nan))}, ["gifts"]
    )
    assert alike.names == () and alike.note.endswith(": gifts.")


def test_days_are_those_of_the_members_table_from_the_day_the_record_begins(found, tables) -> None:
    rows = found.table.to_pandas().set_index("member_id")
    members = tables["members"].set_index("member_id").loc[rows.index]
    joined = (members["joined_at"] - noon([0])[0]).dt.days
    left = (members["left_at"] - noon([0])[0]).dt.days
    assert (rows["entry_day"] == (-joined).clip(lower=0)).all()
    assert (rows["tenure_days"] == left.fillna(104) - joined).all()
    assert (rows["exited"] == left.notna()).all()
    cells = found.cells()
    assert cells["n"].sum() == len(rows) and cells["events"].sum() == rows["exited"].sum()


def test_members_who_left_before_the_record_begins_are_said(tables) -> None:
    later = look(tables, history_from="2026-02-01")
    gone = int((tables["members"]["left_at"] < pd.Timestamp("2026-01-31 16:00", tz="UTC")).sum())
    assert later.note.startswith(f"{400 - gone} of 400 members") and "(2026-02-01)" in later.note
    assert later.table.count().execute() == len(tables["members"]) - gone


def test_the_landmark_looks_only_at_those_still_there_and_only_at_what_came_before(tables) -> None:
    found = look(tables, ["source"], 7, k_min=1)
    assert found.names == ("source", "first_contribution", "early_checkin")
    rows = found.table.to_pandas().set_index("member_id")
    assert (rows["entry_day"] == 7).all() and (rows["tenure_days"] >= 7).all()
    numbers = rows.index.str[1:].astype(int)
    after = np.where(numbers < 100, numbers % 9, 99)
    expected = np.select([after == 0, after <= 2, after <= 6], ["day 0", "days 1–2", "days 3–6"], "none")
    assert (rows["first_contribution"] == expected).all()
    assert (rows["early_checkin"] == ((numbers < 200) & (numbers % 2 == 0))).all()
    assert found.note.startswith(f"{len(rows)} of {len(tables['members'])} members")


def test_what_happens_after_the_landmark_changes_nothing(tables) -> None:
    events = tables["events"]
    joined = tables["members"].set_index("member_id")["joined_at"].reindex(events["member_id"]).to_numpy()
    age = (events["ts"].dt.tz_localize(None) - pd.to_datetime(joined).tz_localize(None)).dt.days
    cut = {**tables, "events": events[~(age >= 7)]}
    one, other = (look(data, landmark_day=7).cells() for data in (tables, cut))
    assert len(cut["events"]) < len(events)
    pd.testing.assert_frame_equal(one, other)


def test_wrong_names_are_said(tables) -> None:
    with pytest.raises(BadParameters, match=r"'sourc', must be one of .*'source'"):
        look(tables, ["sourc"])


def test_without_events_there_are_no_first_days_and_no_landmark(tables) -> None:
    found = look({"members": tables["members"]}, landmark_day=7)
    assert found.landmark_day == 0 and found.names == ("source",)


def test_of_many_members_a_sample_is_looked_at_and_said(tables, monkeypatch) -> None:
    monkeypatch.setattr("helpers.methods.retention.covariates.MOST_MEMBERS", 200)
    some, again = look(tables, ["source"]), look(tables, ["source"])
    members = some.table.count().execute()
    assert 150 < members < 250 and some.note.endswith("stand for all of them in this model.")
    assert some.note.startswith("All 400 members can be compared. About 200 of 400 members, drawn by a hash")
    pd.testing.assert_frame_equal(some.cells(), again.cells())


def test_a_member_who_left_before_joining_is_refused_and_not_named(tables) -> None:
    members = tables["members"].copy()
    members.loc[3, "left_at"] = members.loc[3, "joined_at"] - pd.Timedelta(days=2)
    with pytest.raises(BadData, match=r"1 member without") as caught:
        look(source.open({**tables, "members": members}, now=NOW, check=False))
    assert "m0003" not in str(caught.value)


def test_nobody_is_too_little_and_no_error(tables) -> None:
    found = look(tables, as_of="2020-01-01", history_from="2019-01-01")
    assert found.names == () and found.cells().empty
