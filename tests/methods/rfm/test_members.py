"""Blockers of members against a hand count and brute force."""

from __future__ import annotations

import ibis
import numpy as np
import pandas as pd
import pytest

from helpers.methods.rfm.members import blockers, silent_share
from helpers.methods.rfm.tiers import TierScheme
from tests.planted_chains import asked

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


def test_the_share_of_silent_members_names_its_days():
    members = ibis.memtable(pd.DataFrame({"frequency": [0, 0, 3, 1]}))
    told = silent_share(STUDY, members, 90)
    assert told.estimate.value == 0.5
    assert told.sentence.endswith("did nothing that counts in the 90 days up to the day.")


def test_blockers_by_hand() -> None:
    rows = [
        ("a", 1, 10, 0.0), ("b", 1, 20, 50.0), ("c", 7, 100, 900.0), ("d", 0, None, 0.0),
        ("e", 3, 20, 150.0), ("f", 6, 40, 150.0), ("g", 6, 10, 60.0), ("h", 9, 3, 500.0),
    ]  # fmt: skip
    members = pd.DataFrame(rows, columns=["member_id", "frequency", "recency_days", "monetary"])
    scheme = TierScheme.load(LADDER)
    found = blockers(STUDY, scheme, scheme.assign(members))
    table = found.table.set_index(["from_tier", "column"])
    low = table.loc["low"]
    # a and b lack one order; c was last here 10 days too long ago; d lacks orders and was never here.
    assert low.loc["frequency", ["members", "blocked", "only", "median_gap"]].tolist() == [4, 3, 2, 1]
    assert low.loc["recency_days", ["members", "blocked", "only", "median_gap"]].tolist() == [4, 2, 1, 10]
    assert low.loc["recency_days", "direction"] == "less"
    assert low.loc["monetary", "blocked"] == 0 and np.isnan(low.loc["monetary", "median_gap"])
    middle = table.loc["middle"]
    # e lacks two orders, f was last here 10 days too long ago, g lacks 40 of value.
    assert middle["blocked"].to_dict() == {"frequency": 1, "monetary": 1, "recency_days": 1}
    assert middle["median_gap"].to_dict() == {"frequency": 2, "monetary": 40, "recency_days": 10}
    assert table.loc[("middle", "monetary"), "direction"] == "more"
    assert "low: too little data (n = 4)" in found.sentence


def test_a_scheme_of_one_column_is_said_to_be_one() -> None:
    frequency = np.r_[np.zeros(30, int), np.full(30, 4), np.full(30, 41), np.full(5, 60)]
    members = pd.DataFrame({"member_id": [f"m{n}" for n in range(95)], "frequency": frequency})
    scheme = TierScheme.load("monthly_interactions")
    found = blockers(STUDY, scheme, scheme.assign(members))
    assert found.table["blocked"].tolist() == found.table["members"].tolist() == [30, 30, 30]
    assert found.sentence == (
        "The tiers look at frequency alone. 30 members in silent need a median of 1 more to rise. 30 members in "
        "potential need a median of 7 more to rise. 30 members in active need a median of 10 more to rise."
    )
    few = members[members.frequency != 4]
    assert "potential: too little data (n = 0)" in blockers(STUDY, scheme, scheme.assign(few)).sentence
    ladder = TierScheme.load(LADDER)
    both = members.assign(recency_days=100, monetary=0.0)
    assert "alone" not in blockers(STUDY, ladder, ladder.assign(both)).sentence


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
    table = blockers(STUDY, rules, assigned).table.set_index(["from_tier", "column"])
    for rank, tier in enumerate(rules.labels[:-1]):
        above = [rule for tier in rules.tiers[rank + 1 :] for rule in tier.when]
        names = sorted({name for box in above for name in box})
        short: dict[str, list[tuple[bool, float]]] = {name: [] for name in names}
        here = assigned[assigned["tier"] == tier]
        for row in here.to_dict("records"):
            best = min((_changes(row, box, rules) for box in above), key=len)
            for name, gap in best.items():
                short[name].append((len(best) == 1, gap))
        for name in names:
            found, gaps = table.loc[(tier, name)], np.abs([gap for _only, gap in short[name]])
            assert found["members"] == len(here) and found["blocked"] == len(short[name])
            assert found["only"] == sum(only for only, _gap in short[name])
            if np.isfinite(gaps).any():
                assert found["median_gap"] == pytest.approx(np.nanmedian(gaps))
            assert found["share"] == pytest.approx(len(short[name]) / len(here), nan_ok=True)


def _changes(row: dict, box: dict, rules: TierScheme) -> dict[str, float]:
    """Return the columns in which a member is outside a rule, with the change needed (NaN: not known)."""
    changes = {}
    for name, side in box.items():
        value = row[name]
        if pd.isna(value):
            if not side.missing:
                changes[name] = np.nan
        elif value < side.low:
            changes[name] = side.low - value
        elif value >= side.high:
            changes[name] = (side.high - 1 if rules.domains[name].integer else side.high) - value
    return changes
