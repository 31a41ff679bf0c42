"""Share of effort: the convention of costs and incentives, and the words about the rule."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
import pytest

from helpers.errors import BadData
from helpers.methods.rfm.effort import effort_share
from helpers.playbook.thresholds import threshold

FEW = {"draws": 200}


def members(n: int = 100) -> pd.DataFrame:
    """A fifth of the members is core and has nearly all the value."""
    core = np.arange(n) < n // 5
    value = np.where(core, 100.0 + np.arange(n), 1.0)
    return pd.DataFrame(
        {
            "member_id": [f"m{i}" for i in range(n)],
            "tier": np.where(core, "core", "potential"),
            "monetary": value,
        }
    )


def costs(*rows) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["project", "kind", "amount", "date"])
    return frame.assign(date=pd.to_datetime(frame.date).dt.date, currency="CNY")


DAY, LATER = "2026-03-05", "2026-05-01"


def test_costs_reach_tiers_by_project():
    ledger = costs(
        ("core", "people", 300.0, DAY),
        ("tier:potential", "content", 700.0, DAY),
        ("spring", "ads", 50.0, DAY),
        (None, "tools", 25.0, DAY),
        ("core", "people", 9999.0, LATER),
    )
    found = effort_share(members(), costs=ledger, end=dt.date(2026, 3, 31), **FEW)
    assert found.effort_share.value == pytest.approx(0.3)
    assert (found.attributed, found.unattributed, found.unit) == (1000.0, 75.0, "CNY")
    assert found.sources == ("costs",)
    assert found.verdict == "below"
    assert found.gap.value == pytest.approx(found.effort_share.value - found.value_share.value)
    assert found.gap.low <= found.gap.value <= found.gap.high < 0
    assert "The rule of thumb says 70 % of the effort; nothing shows it is right here." in found.sentence
    assert "asks for" not in found.sentence and "ranked before" not in found.sentence


def test_incentives_reach_members_and_are_not_counted_twice():
    ledger = costs(("core", "incentive", 500.0, DAY), ("core", "people", 60.0, DAY))
    grants = pd.DataFrame(
        {
            "member_id": ["m0", "m0", "m99", "gone", "m1"],
            # 16:30 UTC of the 31st is the 1st of April in Shanghai
            "ts": pd.to_datetime([f"{DAY}T04:00Z"] * 4 + ["2026-03-31T16:30Z"]),
            "cost": [10.0, 20.0, 10.0, 5.0, 1000.0],
        }
    )
    found = effort_share(members(), costs=ledger, incentives=grants, end=dt.date(2026, 3, 31), **FEW)
    assert found.attributed == pytest.approx(100.0)
    assert found.unattributed == pytest.approx(5.0)
    assert found.effort_share.value == pytest.approx(0.9)
    assert found.sources == ("costs", "incentives")


def test_members_ranked_in_the_window_and_valued_later():
    data = members().assign(later=1.0)
    ledger = costs(("core", "people", 300.0, DAY), ("potential", "content", 700.0, DAY))
    period = "the 90 days up to 2026-03-31"
    found = effort_share(data, costs=ledger, value="later", rank="monetary", period=period, **FEW)
    assert found.sentence.startswith("The top 20 % of members, ranked before, bring 20.0 %")
    assert "Value and effort were measured over the 90 days up to 2026-03-31." in found.sentence
    assert found.value_share.value == pytest.approx(0.2)
    assert found.effort_share.value == pytest.approx(0.3)


@pytest.mark.parametrize("ledger", [None, costs(("spring", "ads", 50.0, DAY)), costs()])
def test_without_attributable_effort_the_data_do_not_tell(ledger):
    found = effort_share(members(), costs=ledger, **FEW)
    assert not found.effort_share.known and not found.gap.known
    assert found.verdict == "cannot tell"
    assert found.sentence.startswith("The data do not tell how effort is shared")
    assert found.table["value"].notna().tolist() == [True, False, False]


def test_the_rule_is_the_registered_one():
    found = effort_share(members(), **FEW)
    assert found.rule == threshold("pareto.effort_top20")
    assert found.table["rule"].dropna().tolist() == [0.7]


def test_currencies_are_not_added_up():
    ledger = costs(("core", "people", 300.0, DAY), ("core", "people", 1.0, DAY)).assign(
        currency=["CNY", "USD"]
    )
    with pytest.raises(BadData, match="CNY, USD"):
        effort_share(members(), costs=ledger, **FEW)
