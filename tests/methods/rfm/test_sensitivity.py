"""Sensitivity to value weights, against a recomputation from scratch and against planted dependence."""

from __future__ import annotations

import datetime as dt
import sys
from typing import Any

import numpy as np
import pandas as pd
import pytest
from statsmodels.stats.proportion import proportion_confint

from helpers.errors import BadParameters
from helpers.methods.rfm.sensitivity import Sensitivity, sensitivity
from helpers.methods.rfm.tiers import TierScheme, presets
from helpers.study import Study

THREE = {**presets()["three_tier"], "name": "three_tier", "window_days": 60}
module = sys.modules["helpers.methods.rfm.sensitivity"]
AS_OF = dt.date(2026, 3, 31)
WEIGHTS = {"goods": 1.0, "share": 20.0, "comment": 5.0, "like": 0.0}


def log(seed: int = 0, rows: int = 3000, members: int = 200) -> pd.DataFrame:
    """Return activity whose value is already weighted."""
    rng = np.random.default_rng(seed)
    action = rng.choice(list(WEIGHTS), rows)
    amount = np.where(action == "goods", rng.gamma(2, 30, rows).round(2), 1.0)
    return pd.DataFrame(
        {
            "member_id": (members * rng.random(rows) ** 2).astype(int).astype(str),
            "day": [AS_OF - dt.timedelta(days=int(d)) for d in rng.integers(0, 100, rows)],
            "kind": np.where(action == "goods", "order", "interaction"),
            "action": action,
            "value": amount * pd.Series(action).map(WEIGHTS).to_numpy(),
        }
    )


def found_of(frame: pd.DataFrame, scheme: object, window_days: int = 60, **settings: Any) -> Sensitivity:
    """Return the sensitivity of a scheme's tiers, of a population of everyone in the log unless one is given."""
    people = settings.pop("people", frame["member_id"].unique())
    population = pd.DataFrame({"member_id": people, "joined_day": dt.date(2025, 1, 1), "left_day": None})
    settings.setdefault("value_weights", WEIGHTS)
    study = Study.of({"activity": frame, "population": population}, AS_OF, **settings)
    return sensitivity(study, TierScheme.load(scheme), window_days)  # type: ignore[arg-type]


def quintile(values: pd.Series) -> pd.Series:
    """Return scores 1 to 5 from the lowest rank among equals."""
    return 1 + np.floor(5 * (values.rank(method="min") - 1) / values.count())


def recompute(frame: pd.DataFrame, weights: dict[str, float]) -> pd.DataFrame:
    """Return scores and tiers of the core, active and potential scheme in plain pandas."""
    inside = frame[frame["day"] > AS_OF - dt.timedelta(days=60)]
    counted, seen = inside[inside["kind"] == "interaction"], frame[frame["kind"] == "interaction"]
    table = pd.DataFrame(index=sorted(frame["member_id"].unique()))
    recency = pd.Series((AS_OF - seen.groupby("member_id")["day"].max()).map(lambda d: d.days))
    table["r"] = (6 - quintile(recency.astype(float))).reindex(table.index).fillna(1)
    table["f"] = quintile(counted.groupby("member_id").size().reindex(table.index).fillna(0))
    factor = inside["action"].map({a: w / WEIGHTS[a] if WEIGHTS[a] else 0.0 for a, w in weights.items()})
    value = (inside["value"] * factor).groupby(inside["member_id"]).sum()
    table["m"] = quintile(value.reindex(table.index).fillna(0).round(6))
    core = table[["r", "f", "m"]].ge(4).all(axis=1)
    table["tier"] = np.select([core, table[["r", "f"]].ge(3).all(axis=1)], [2, 1], 0)
    return table


def test_against_a_recomputation_from_scratch() -> None:
    """The weight and direction that move most members, found by scoring everybody anew for each."""
    frame = log()
    found = found_of(frame, THREE)
    base, total, changed = recompute(frame, WEIGHTS), sum(WEIGHTS.values()), {}
    for weight in ("goods", "share", "comment"):
        for change in (-0.25, 0.25):
            moved = {**WEIGHTS, weight: WEIGHTS[weight] * (1 + change)}
            moved = {name: value * total / sum(moved.values()) for name, value in moved.items()}
            changed[weight, change] = (recompute(frame, moved)["tier"] != base["tier"]).sum()
    most = max(changed.values())
    low, high = proportion_confint(most, len(base), method="wilson")
    assert most > 0 and found.changed[:4] == pytest.approx((most / len(base), low, high, len(base)))
    assert found.weight == max(changed, key=changed.get)[0]
    assert f"of {found.changed.n:,} members change tier, most with that of {found.weight};" in found.sentence


def test_planted_dependence(monkeypatch: pytest.MonkeyPatch) -> None:
    """Members who only buy and members who only share are exactly level: any move reorders all of them."""
    rows = [(f"b{i}", "goods", 100.0 + i) for i in range(50)] + [
        (f"s{i}", "share", 100.5 + i) for i in range(50)
    ]
    frame = pd.DataFrame(rows, columns=["member_id", "action", "value"]).assign(day=AS_OF, kind="interaction")
    middle = {
        "tiers": [
            {"id": "below", "when": {"value_quantile": [0, 0.5]}},
            {"id": "above", "when": {"value_quantile": [0.5, 1]}},
        ]
    }
    monkeypatch.setattr(module, "CHANGE", 0.9)
    found = found_of(frame, middle, 30, value_weights={"goods": 1.0, "share": 1.0})
    assert found.changed.value == 0.5


def test_absolute_bounds_see_the_rescaled_value() -> None:
    frame = pd.DataFrame(
        {
            "member_id": ["a", "b"],
            "action": ["goods", "share"],
            "value": [100.0, 100.0],
            "day": [AS_OF, AS_OF],
            "kind": "interaction",
        }
    )
    rich = {
        "tiers": [
            {"id": "low", "when": {"monetary": [None, 105]}},
            {"id": "rich", "when": {"monetary": [105, None]}},
        ]
    }
    found = found_of(frame, rich, 30, value_weights={"goods": 1.0, "share": 1.0})
    # goods down: a 85.7, b 114.3; goods up: a 111.1, b 88.9; share is the mirror image.
    assert found.changed.value == 0.5


def test_single_weight_only_rescales() -> None:
    found = found_of(log().query("action == 'share'"), THREE, value_weights={"share": 20})
    assert found.changed.value == 0
    assert found.sentence.startswith("When one value weight moves by 25 %, at most 0.0 % (")


def test_scheme_that_does_not_look_at_value() -> None:
    found = found_of(log(), "monthly_interactions", 30)
    assert (
        found.sentence
        == "The tiers look at frequency and not at value: no weight of the value mix moves anybody."
    )


def test_population_is_the_denominator() -> None:
    found = found_of(log(), "pyramid", 30, people=[str(i) for i in range(1000)])
    assert found.changed.n == 1000


def test_nobody() -> None:
    found = found_of(log().head(0), THREE, 30)
    assert found.changed.n == 0 and not found.changed.known
    assert found.sentence.startswith("Too little data")


def test_weights_that_are_all_nothing() -> None:
    with pytest.raises(BadParameters, match="must hold a weight above 0"):
        found_of(log(), THREE, value_weights={"share": 0})
