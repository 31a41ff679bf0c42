"""Answers to first posts: by hand, with a planted effect on leaving, and never where the tables cannot tell."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from helpers.methods.retention.covariates import candidates
from helpers.methods.retention.drivers import drivers
from helpers.study import Study

START = pd.Timestamp("2026-01-01 04:00", tz="UTC")  # noon in Shanghai
AS_OF = "2026-06-30"

Tables = dict[str, pd.DataFrame]


def hours(values: object) -> pd.Series:
    return pd.Series(START + pd.to_timedelta(np.asarray(values, float), unit="h"))


def by_hand() -> Tables:
    """Members a to j who join on day 1; the staff member s, the bot x and the helper h answer, or do not."""
    names = [*"abcdefgij", "s", "x", "h"]
    members = pd.DataFrame({"member_id": names, "joined_at": hours([24] * 9 + [0] * 3)})
    members["left_at"] = pd.Series(pd.NaT, index=members.index).dt.tz_localize("UTC")
    members["is_bot"], members["is_staff"] = members["member_id"] == "x", members["member_id"] == "s"
    posts = [
        ("pa", "a", 30, None), ("pb", "b", 1, None), ("pc", "c", 30, None), ("pd", "d", 30, None),
        ("pe", "e", 30, None), ("pf", "f", 30, None), ("pf2", "f", 40, None), ("pg", "g", 24 + 6 * 24, None),
        ("pi", "i", 24 + 8 * 24, None), ("rj", "h", 60, "pj"), ("pj", "j", 30, None),
    ]  # fmt: skip
    content = pd.DataFrame(posts, columns=["content_id", "creator_id", "at", "parent_id"])
    content["published_at"] = hours(content.pop("at"))
    acts = [
        ("h", "pa", 30 + 48, "like"),  # the last moment
        ("h", "pc", 30 + 49, "comment"),  # too late
        ("d", "pd", 31, "comment"),  # oneself
        ("x", "pd", 31, "like"),  # a bot
        ("h", "pb", 2, "like"),  # a post from before joining
        ("h", "pd", 31, "view"),  # no answer
        ("s", "pe", 32, "comment"),  # staff
        ("h", "pf2", 41, "like"),  # the second post
        ("h", "pg", 24 + 6 * 24 + 13, "like"),  # within 48 hours, but on day 7
        ("h", "pi", 24 + 8 * 24 + 1, "like"),  # a first post after the landmark
    ]
    events = pd.DataFrame(acts, columns=["member_id", "content_id", "at", "event"])
    events["ts"] = hours(events.pop("at"))
    events.insert(0, "event_id", [f"e{number}" for number in range(len(events))])
    return {"members": members, "events": events, "content": content}


def look(tables: Tables, *columns: str):
    study = Study.of(tables, AS_OF, history_from="2026-01-01", k_min=1)
    return candidates(study, columns, landmark_day=7)


def test_who_was_answered_by_hand() -> None:
    rows = look(by_hand()).table.to_pandas().set_index("member_id")["early_reply"]
    assert set(rows.index[rows]) == {"a", "e", "j"}
    assert not rows[["b", "c", "d", "f", "g", "i", "h"]].any()


@pytest.mark.parametrize("absent", ["content", "creator_id", "content_id"])
def test_never_where_the_tables_cannot_tell(absent: str) -> None:
    tables = by_hand()
    tables["events"].loc[len(tables["events"])] = ["more", "a", "pa", "checkin", hours([26])[0]]
    if absent == "content":
        del tables["content"]
    else:
        table = "content" if absent == "creator_id" else "events"
        tables[table] = tables[table].drop(columns=absent)
    found = look(tables)
    assert "early_reply" not in found.names and "early_reply" not in found.note


def test_without_answers_it_is_left_out_and_a_column_of_members_is_not_made_again() -> None:
    tables = by_hand()
    tables["events"] = tables["events"].assign(content_id="other")
    tables["content"]["parent_id"] = None
    assert "early_reply" in look(tables).note
    given = by_hand()
    given["members"]["early_reply"] = given["members"]["member_id"].isin(["c", "d"])
    rows = look(given, "early_reply").table.to_pandas().set_index("member_id")["early_reply"]
    assert set(rows.index[rows]) == {"c", "d"}


def planted(n: int, ratio: float, seed: int) -> Tables:
    """Newcomers who all post on day 0, of whom half are answered and leave `ratio` times as fast."""
    rng = np.random.default_rng(seed)
    joined, answered = rng.integers(0, 90, n), rng.random(n) < 0.5
    stay = rng.exponential(1 / (0.012 * np.where(answered, ratio, 1.0)))
    members = pd.DataFrame({"member_id": [f"m{k:05}" for k in range(n)], "joined_at": hours(24 * joined)})
    left = 24 * (joined + stay)
    members["left_at"] = hours(np.minimum(left, 24 * 400)).where(left < 24 * 180, pd.NaT)
    content = pd.DataFrame({"content_id": [f"p{k:05}" for k in range(n)], "creator_id": members["member_id"]})
    content["published_at"] = hours(24 * joined + 1)
    fans = members["member_id"].to_numpy()[(np.arange(n) + 1) % n]
    likes = pd.DataFrame(
        {"member_id": fans, "content_id": content["content_id"], "ts": hours(24 * joined + 3)}
    )
    posts = pd.DataFrame({"member_id": members["member_id"], "ts": content["published_at"]})
    posts["content_id"] = content["content_id"]
    events = pd.concat([likes[answered].assign(event="like"), posts.assign(event="post")], ignore_index=True)
    events.insert(0, "event_id", [f"e{k}" for k in range(len(events))])
    return {"members": members, "events": events, "content": content}


def test_a_planted_effect_is_found_and_said() -> None:
    study = Study.of(planted(1_500, 0.55, 3), AS_OF, history_from="2026-01-01")
    found = drivers(study, [], landmark_day=7)
    row = found.named.iloc[0]
    assert row["covariate"] == "early_reply" and row["low"] <= 0.55 <= row["high"]
    assert found.sentences[1].startswith("Members with “early reply” leave")
