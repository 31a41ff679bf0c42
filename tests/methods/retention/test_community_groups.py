"""Groups through the door of the report: from tables to sentences, findings and the actions they may fire."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from helpers.data import source
from helpers.methods.retention import findings
from helpers.methods.retention.community_groups import CommunityGroups, community_groups
from helpers.playbook.propose import propose
from helpers.study.activity import activity

AS_OF = "2026-06-30"
END = pd.Timestamp("2026-06-30T12:00", tz="UTC")


def look(lives: list[int], *, founded: int = 500, named: bool = True, members: int = 12) -> CommunityGroups:
    """Groups whose members act every five days for so many days of life, then no more."""
    rng = np.random.default_rng(7)
    people, acts = [], []
    for group, life in enumerate(lives):
        for number in range(members):
            name = f"m{group}x{number}"
            people.append((name, END - pd.Timedelta(days=founded), f"g{group}"))
            for day in range(int(rng.integers(0, 5)), min(life, founded) + 1, 5):
                acts.append((f"e{len(acts)}", name, END - pd.Timedelta(days=founded - day), "post"))
    table = pd.DataFrame(people, columns=["member_id", "joined_at", "group_id"])
    events = pd.DataFrame(acts, columns=["event_id", "member_id", "ts", "event"])
    table = table.assign(left_at=pd.Series(pd.NaT, index=table.index).dt.tz_localize("UTC"))
    dataset = source.open({"members": table if named else table.drop(columns="group_id"), "events": events})
    return community_groups(dataset, activity(dataset, as_of=AS_OF), as_of=AS_OF)


def fired(found: CommunityGroups) -> set[str]:
    both = [findings.group_life(found, "all"), findings.silent_groups(found, "all")]
    return {action.id for action in propose(both, prefix="retention.", currency="CNY").actions}


def test_short_lives_are_found_and_acted_on() -> None:
    rng = np.random.default_rng(1)
    found = look([int(life) for life in rng.exponential(70, 30)])
    life, silent = findings.group_life(found, "all"), findings.silent_groups(found, "all")
    # Silence shows after 28 days, which are part of the life: at least 183 days are 155 days of talk or more.
    truth = np.exp(-155 / 70)
    assert life.low <= truth <= life.high and life.n == 30 and life.verdict == "stated"
    assert silent.value > 0.8 and "folded" in silent.sentence
    assert fired(found) == {"retention.fold_or_revive_groups", "retention.renew_groups"}


def test_long_lives_fire_nothing() -> None:
    found = look([600] * 15)
    life = findings.group_life(found, "all")
    assert (life.value, life.n) == (1, 15) and life.low > 0.7
    assert "live at least 183 days" in life.sentence and "Too little data for a typical life" in life.sentence
    assert findings.silent_groups(found, "all").value == 0
    assert fired(found) == set()


@pytest.mark.parametrize("named", [False, True])
def test_no_group_or_few_is_said(named: bool) -> None:
    found = look([400, 20, 600], named=named)
    for one in (findings.group_life(found, "all"), findings.silent_groups(found, "all")):
        assert one.verdict == "too little data" and one.value is None
    assert found.found is named and len(found.sentences) == (2 if named else 1)
    said = "Too few groups for a share" if named else "nothing is said of groups"
    assert said in found.sentences[-1]
    assert fired(found) == set()
