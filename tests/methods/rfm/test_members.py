"""Blockers of members against a hand count and brute force."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest

from helpers.data.source import as_table
from helpers.methods.rfm.members import Blockers, CurrentTiers, blockers, boundary_crossings
from helpers.methods.rfm.tiers import TierScheme
from helpers.stats.estimate import proportion
from tests.planted_chains import asked, history_of

LADDER = {
    "name": "ladder",
    "match": "first",
    "tiers": [
        {"id": "low", "when": {}},
        {"id": "middle", "when": {"frequency": [2, None], "recency_days": [0, 91]}},
        {"id": "high", "when": {"frequency": [5, None], "recency_days": [0, 31], "monetary": [100, None]}},
    ],
}


STUDY = asked()


def in_tiers(scheme: TierScheme, members: object, silent: int = 0) -> CurrentTiers:
    """Members that were placed already."""
    history = dataclasses.replace(history_of(np.zeros((0, 0), dtype=np.int64)), scheme=scheme)
    table = as_table(members)
    n = int(table.count().execute())
    sizes = table.tier.value_counts(name="members").to_pandas()
    sizes = (
        sizes.set_index("tier")["members"]
        .reindex(scheme.labels, fill_value=0)
        .rename_axis("tier")
        .reset_index()
    )
    sizes["share"] = sizes["members"] / max(n, 1)
    return CurrentTiers(STUDY, history, table, sizes, proportion(silent, n), 30)


def blocked(scheme: TierScheme, members: object) -> Blockers:
    return blockers(STUDY, in_tiers(scheme, members))


def test_the_share_of_silent_members_names_its_days_and_is_kept_back_of_few():
    scheme = TierScheme.load("monthly_interactions")
    placed = pd.DataFrame({"tier": ["silent"] * 30 + ["core"] * 30})
    found = in_tiers(scheme, placed, silent=30)
    (one,) = found.found()
    assert (one.value, one.headline, one.picture) == (0.5, "half of the members are silent", "tier_pyramid")
    assert found.sentence.startswith("50.0 % (") and "did nothing that counts in 30 days" in found.sentence
    (few,) = in_tiers(scheme, placed, silent=3).found()
    assert few.value is None and list(in_tiers(scheme, placed, silent=3).told()) == [
        "About fewer than 10 members, so it is not shown."
    ]


def test_the_picture_of_tiers_counts_who_crosses_and_draws_chinese_names():
    states = np.repeat([[0, 1, 2, 3], [1, 1, 1, 3]], 40, axis=1)
    found = in_tiers(
        TierScheme.load("monthly_interactions"), pd.DataFrame({"tier": ["silent"] * 52 + ["core"] * 48})
    )
    chart = dataclasses.replace(found, history=history_of(states)).figure()
    assert chart.title == "None of the members are silent, 48.0 % stand in the top tier"
    assert "core 核心型" in chart.svg() and "▲ 40 up · ▼ 0 down a month" in chart.svg()
    assert chart.data["tier"].tolist() == ["core", "active", "potential", "silent"]
    assert chart.data["up"].tolist() == ["0", "0", "40", ""] and chart.data["down"].tolist()[1] == "40"
    lonely = in_tiers(
        TierScheme.load("monthly_interactions"), pd.DataFrame({"tier": ["silent"] * 52 + ["core"] * 4})
    )
    hidden = lonely.figure()
    assert "fewer than 10 stand in the top tier" in hidden.title and hidden.data["members"].isna().sum() == 2


MOVES = np.array([[50, 25, 13], [27, 20, 12], [11, 0, 19]])


@pytest.mark.parametrize(
    ("change", "up", "down"),
    [
        ({}, ["38", "25"], ["38", "11"]),
        ({(0, 2): 3}, ["–", "–"], ["38", "11"]),  # 28 would give the 3 away beside the 25 that is shown
        ({(0, 1): 3, (0, 2): 12}, ["–", "–"], ["38", "11"]),  # 12 protects the 3
    ],
)
def test_each_move_is_counted_at_every_boundary_it_crosses(change, up, down):
    moves = MOVES.copy()
    for cell, n in change.items():
        moves[cell] = n
    crossed = boundary_crossings(moves, k_min=10, pairs=1)
    assert [list(side) for side in zip(*crossed, strict=True)] == [up, down]
    assert boundary_crossings(MOVES, k_min=10, pairs=2)[0] == ("19", "19")


def test_blockers_by_hand() -> None:
    rows = [
        ("a", 1, 10, 0.0), ("b", 1, 20, 50.0), ("c", 7, 100, 900.0), ("d", 0, None, 0.0),
        ("e", 3, 20, 150.0), ("f", 6, 40, 150.0), ("g", 6, 10, 60.0), ("h", 9, 3, 500.0),
    ]  # fmt: skip
    members = pd.DataFrame(rows, columns=["member_id", "frequency", "recency_days", "monetary"])
    scheme = TierScheme.load(LADDER)
    found = blocked(scheme, scheme.assign(members))
    table = found.table.set_index(["from_tier", "column"])
    low = table.loc["low"]
    # a and b lack one order; c was last here 10 days too long ago; d lacks orders and was never here.
    assert low.loc["frequency", ["members", "blocked", "median_gap"]].tolist() == [4, 3, 1]
    assert low.loc["recency_days", ["members", "blocked", "median_gap"]].tolist() == [4, 2, 10]
    assert low.loc["recency_days", "direction"] == "less"
    assert low.loc["monetary", "blocked"] == 0 and np.isnan(low.loc["monetary", "median_gap"])
    middle = table.loc["middle"]
    # e lacks two orders, f was last here 10 days too long ago, g lacks 40 of value.
    assert middle["blocked"].to_dict() == {"frequency": 1, "monetary": 1, "recency_days": 1}
    assert middle["median_gap"].to_dict() == {"frequency": 2, "monetary": 40, "recency_days": 10}
    assert table.loc[("middle", "monetary"), "direction"] == "more"
    assert found.sentence == "What keeps members below the next tier: too little data."


def test_a_scheme_of_one_column_is_said_to_be_one() -> None:
    frequency = np.r_[np.zeros(30, int), np.full(30, 4), np.full(30, 41), np.full(5, 60)]
    members = pd.DataFrame({"member_id": [f"m{n}" for n in range(95)], "frequency": frequency})
    scheme = TierScheme.load("monthly_interactions")
    found = blocked(scheme, scheme.assign(members))
    assert found.table["blocked"].tolist() == found.table["members"].tolist() == [30, 30, 30]
    assert found.sentence == (
        "The tiers look at frequency alone. To rise, half of the members need at most: silent 1 more. "
        "potential 7 more. active 10 more."
    )
    few = members[members.frequency != 4]
    assert blocked(scheme, scheme.assign(few)).sentence.endswith("at most: silent 1 more. active 10 more.")
    ladder = TierScheme.load(LADDER)
    both = members.assign(recency_days=100, monetary=0.0)
    assert "alone" not in blocked(ladder, ladder.assign(both)).sentence


@pytest.mark.parametrize("scheme", ["three_tier", "engagement", "pyramid", "monthly_interactions", "ladder"])
def test_blockers_equal_brute_force(scheme: str) -> None:
    """Every member is compared with every rule above, one at a time."""
    rules = TierScheme.load(LADDER if scheme == "ladder" else scheme)
    rng = np.random.default_rng(17)
    members = pd.DataFrame(
        {
            "member_id": [f"m{n}" for n in range(300)],
            "frequency": rng.integers(0, 80, 300),
            "active_days": rng.integers(0, 31, 300),
            "recency_days": pd.array(rng.integers(0, 120, 300), dtype="Int64"),
            "monetary": rng.integers(0, 300, 300).astype(float),
            "value_quantile": rng.integers(0, 100, 300) / 100,
            **{name: rng.integers(1, 6, 300) for name in ("r_score", "f_score", "m_score")},
        }
    )
    members.loc[:40, "recency_days"] = pd.NA
    assigned = rules.assign(members).to_pandas()
    table = blocked(rules, assigned).table.set_index(["from_tier", "column"])
    for rank, tier in enumerate(rules.labels[:-1]):
        above = [rule for tier in rules.tiers[rank + 1 :] for rule in tier.when]
        names = sorted({name for box in above for name in box})
        short: dict[str, list[float]] = {name: [] for name in names}
        here = assigned[assigned["tier"] == tier]
        for row in here.to_dict("records"):
            best = min((_changes(row, box, rules) for box in above), key=len)
            for name, gap in best.items():
                short[name].append(gap)
        for name in names:
            found, gaps = table.loc[(tier, name)], np.abs(short[name])
            assert found["members"] == len(here) and found["blocked"] == len(short[name])
            if np.isfinite(gaps).any():
                assert found["median_gap"] == pytest.approx(np.nanmedian(gaps))
            assert found["share"] == pytest.approx(len(short[name]) / len(here), nan_ok=True)


def _changes(row: dict, box: dict, rules: TierScheme) -> dict[str, float]:
    """Return the columns in which a member is outside a rule, with the change needed (NaN: not known)."""
    changes = {}
    for name, side in box.items():
        value = row[name]
        if pd.isna(value):
            changes[name] = np.nan
        elif value < side.low:
            changes[name] = side.low - value
        elif value >= side.high:
            changes[name] = (side.high - 1 if rules.domains[name].integer else side.high) - value
    return changes
