"""Each gate fires on a planted fault and says how to mend it; sound experiments pass."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from helpers.methods.ab_test.effects import contrast
from helpers.methods.ab_test.gates import Gate, gates
from helpers.methods.ab_test.plan import Plan
from helpers.methods.ab_test.readings import moments_of
from helpers.methods.ab_test.split import log_evidence, p_of, since_when, split
from tests.methods.ab_test.real_data import frozen, study_of

DAYS = 28
START = pd.Timestamp("2026-01-01T04:00", tz="UTC")


def world(n: int = 4_000, seed: int = 1, days: int = DAYS) -> pd.DataFrame:
    """Sound units of two equal arms, with outcomes and what was before."""
    rng = np.random.default_rng(seed)
    units = pd.DataFrame(
        {"unit_id": [f"u{i}" for i in range(n)], "arm": rng.choice(["control", "treatment"], n)}
    )
    units["assigned_at"] = START + pd.to_timedelta(rng.integers(0, days, n), unit="D")
    units["x"] = rng.normal(size=n)
    units["y"] = units["x"] + rng.normal(size=n)
    units["views"] = rng.poisson(5, n) + 1.0
    units["bought"] = (rng.random(n) < 0.1).astype(float)
    units["country"] = rng.choice(["cn", "jp"], n)
    units["cluster"] = [f"g{i}" for i in np.where(units["arm"] == "control", 0, 20) + rng.integers(0, 20, n)]
    return units


def planned(source: str = "assignments:y", **fields: Any) -> Plan:
    names = ("kind", "denominator", "covariates", "cap")
    metric = {"name": "outcome", "source": source} | {k: fields.pop(k) for k in names if k in fields}
    return frozen("2026-01-01", "2026-01-28", **({"primary": metric} | fields))


def failed(plan: Plan, **tables: pd.DataFrame) -> dict[str, Gate]:
    return {gate.code: gate for gate in gates(study_of(plan, None, **tables), plan) if not gate.passed}


def test_a_sound_experiment_passes_and_every_gate_speaks() -> None:
    plan = planned(covariates=["assignments:x"], segments=["country"], looks="weekly", spending="pocock")
    found = gates(study_of(plan, None, assignments=world()), plan)
    assert all(gate.passed for gate in found), [gate for gate in found if not gate.passed]
    assert len(found) >= 12 and all(gate.sentence and not gate.remedy for gate in found)


def several(units: pd.DataFrame, share: float) -> pd.DataFrame:
    twice = units.head(round(share * len(units)))
    other = np.where(twice["arm"] == "control", "treatment", "control")
    return pd.concat([units, twice.assign(arm=other)])


def outcomes(units: pd.DataFrame, lost: Any) -> pd.DataFrame:
    told = units[["unit_id"]].assign(
        metric="q", value=units["y"].mask(np.full(len(units), False) | lost), pre_value=units["x"]
    )
    return told.assign(measured_at=units["assigned_at"] + pd.Timedelta(hours=1))


def wrong_assignment(units: pd.DataFrame) -> dict[str, pd.DataFrame]:
    late = units["assigned_at"] >= START + pd.Timedelta(days=20)
    units = units.assign(
        arm=units["arm"].where(units.index > 50, "old"),
        unit_type=["member", "group"] * (len(units) // 2),
        probability=np.where(late, 0.6, 0.5),
        assigned_at=units["assigned_at"] - pd.Timedelta(days=2),
    )
    return {"assignments": several(units, 0.03)}


def uneven(units: pd.DataFrame) -> dict[str, pd.DataFrame]:
    return {
        "assignments": units[(units["country"] == "cn") | (units["arm"] == "control") | (units.index % 3 > 0)]
    }


def odd_ids(units: pd.DataFrame) -> dict[str, pd.DataFrame]:
    named = units.assign(unit_id=units["unit_id"].where(units.index % 4 > 0, units.index.astype(str)))
    return {"assignments": named, "unit_outcomes": outcomes(units, False)}


def lopsided(units: pd.DataFrame) -> dict[str, pd.DataFrame]:
    treated = units["arm"] == "treatment"
    told = outcomes(units.assign(x=units["x"] + 0.3 * treated), ~treated & (units.index % 10 == 0))
    return {"assignments": units, "unit_outcomes": told}


def changed(**columns: Callable[[pd.DataFrame], Any]) -> Callable[[pd.DataFrame], dict[str, pd.DataFrame]]:
    return lambda units: {"assignments": units.assign(**columns)}


RATIO = {"kind": "ratio", "denominator": "assignments:views"}
ASSIGNED = {
    "arms": "refuse",
    "kinds": "refuse",
    "several_arms": "warn",
    "dates": "refuse",
    "schedule": "refuse",
}
FAULTS: list[tuple[dict[str, str], Plan, Callable[[pd.DataFrame], dict[str, pd.DataFrame]]]] = [
    (
        ASSIGNED | {"registered": "refuse"},
        planned(registered_at="2026-01-02T00:00:00+00:00"),
        wrong_assignment,
    ),
    ({"split": "refuse", "split_segment": "refuse"}, planned(segments=["country"]), uneven),
    ({"ids": "refuse", "missing": "refuse"}, planned("unit_outcomes:q"), odd_ids),
    (
        {"missing_by_arm": "refuse", "before": "refuse", "covariate": "refuse"},
        planned("unit_outcomes:q", missing="drop", covariates=["before", "unit_outcomes:q"]),
        lopsided,
    ),
    (
        {"constant": "refuse"},
        planned(),
        changed(y=lambda u: u["arm"].map({"control": 0.0, "treatment": 1.0})),
    ),
    ({"units": "refuse"}, planned(), lambda u: {"assignments": u.groupby("arm").head(1)}),
    ({"units": "refuse", "split": "refuse"}, planned(), lambda u: {"assignments": u[u["arm"] == "control"]}),
    (
        {"events": "refuse"},
        planned("assignments:bought", kind="proportion"),
        changed(bought=lambda u: (u.index < 9).astype(float)),
    ),
    (
        {"several_arms": "refuse", "skew": "warn"},
        planned(),
        lambda u: {"assignments": several(u.assign(y=np.where(u.index % 400, 0.0, 100.0) + u["y"]), 0.1)},
    ),
    ({"denominator": "refuse"}, planned(**RATIO), changed(views=lambda u: u["views"] - 3)),
    ({"denominator": "warn"}, planned(**RATIO), changed(views=lambda u: np.where(u.index % 100, 0.0, 1.0))),
    (
        {"clusters": "refuse"},
        planned(design="clustered").model_copy(update={"sha256": ""}),
        changed(cluster=lambda u: u["arm"] + (u.index % 2).astype(str)),
    ),
    (
        {"clusters": "warn"},
        planned(design="clustered"),
        changed(cluster=lambda u: u["arm"] + (u.index % 3).astype(str)),
    ),
    (
        {"torn_clusters": "refuse"},
        planned(design="clustered"),
        changed(cluster=lambda u: "g" + (u.index % 30).astype(str)),
    ),
]


@pytest.mark.parametrize(("fired", "plan", "faulty"), FAULTS, ids=["-".join(fault[0]) for fault in FAULTS])
def test_each_fault_fires_its_gates(fired: dict[str, str], plan: Plan, faulty: Callable[..., Any]) -> None:
    found = failed(plan, **faulty(world(2_000)))
    assert fired.items() <= {code: gate.severity for code, gate in found.items()}.items()
    assert all(gate.sentence and gate.remedy for gate in found.values())
    assert ("registered" in found) == ("registered" in fired or not plan.sha256)


def test_an_experiment_without_units_is_refused() -> None:
    plan = planned(design="blocked").model_copy(update={"experiment": "other"})
    found = failed(plan, assignments=world(50).assign(probability=0.5, block="b"))
    assert found.keys() == {"no_split", "units"}


def test_thirty_units_in_both_arms_leave_both() -> None:
    units = world(2_000)
    units["arm"] = ["control", "treatment"] * 1_000
    plan = planned()
    study = study_of(plan, None, assignments=several(units, 30 / 2_000))
    assert moments_of(study, plan, plan.primary).moments.n.sum() == 1_970
    found = {gate.code: gate for gate in gates(study, plan)}["several_arms"]
    assert (
        not found.passed
        and found.severity == "warn"
        and "30 units stand in more than one arm (1.5 %)" in found.sentence
    )


def test_a_ramp_with_a_moving_base_rate_is_split_as_planned() -> None:
    sizes = [("2026-01-01", "control", 9_000), ("2026-01-01", "treatment", 1_000)]
    sizes += [("2026-01-15", "control", 5_000), ("2026-01-15", "treatment", 5_000)]
    parts = [
        pd.DataFrame({"arm": [arm] * n, "assigned_at": pd.Timestamp(day, tz="UTC")}) for day, arm, n in sizes
    ]
    for part, rate in zip(parts, (0.02, 0.02, 0.05, 0.05), strict=True):
        part["bought"] = (np.arange(len(part)) < rate * len(part)).astype(float)
    units = pd.concat(parts, ignore_index=True)
    units["unit_id"] = "u" + units.index.astype(str)
    schedule = [{"start": "2026-01-01", "shares": [0.9, 0.1]}, {"start": "2026-01-15", "shares": [0.5, 0.5]}]
    plan = planned("assignments:bought", kind="proportion", allocation=schedule)
    study = study_of(plan, None, assignments=units)
    assert split(study, plan).p == pytest.approx(1) and not failed(plan, assignments=units)
    cells = moments_of(study, plan, plan.primary).moments.merge(1)
    assert cells.mean[:, :, 0] == pytest.approx(np.array([[0.02, 0.05]] * 2), abs=1e-10)
    assert float(contrast(cells, "proportion").difference) == pytest.approx(0, abs=1e-12)
    pooled = cells.merge(1).mean[:, 0]
    assert pooled[1] / pooled[0] - 1 == pytest.approx(0.465, abs=1e-3)


def test_six_huge_clusters_are_refused_by_what_they_are_worth() -> None:
    per, cluster = 5_000, np.repeat(np.arange(6), 5_000)
    # Clusters with variance 1 within an arm, and units around them so that the ICC is .589.
    level = np.tile([-1.0, 0.0, 1.0], 2)
    noise = np.random.default_rng(3).normal(size=6 * per) * np.sqrt((1 - 0.589) / 0.589)
    units = pd.DataFrame(
        {"unit_id": [f"u{i}" for i in range(6 * per)], "cluster": [f"g{i}" for i in cluster]}
    )
    units = units.assign(arm=np.where(cluster < 3, "control", "treatment"), y=level[cluster] + noise)
    units["assigned_at"] = START
    gate = failed(planned(design="clustered"), assignments=units)["clusters"]
    assert gate.severity == "refuse" and gate.value == pytest.approx(6 / 0.589, rel=0.02)
    assert "design effect 2,9" in gate.sentence and "more and smaller clusters" in gate.remedy


def test_slots_of_a_switchback_are_their_own_clusters() -> None:
    units = world(28)
    units = units.assign(arm=["control", "treatment"] * 14, unit_type="slot").drop(columns="cluster")
    plan = planned(design="switchback", unit="slot")
    assert not failed(plan, assignments=units)
    few = failed(plan, assignments=units.head(5))
    assert few["clusters"].severity == "refuse" and "5 clusters" in few["clusters"].sentence


def test_a_long_name_of_an_arm_is_cut_and_kept_as_text() -> None:
    arm = "<b>" + "x" * 297
    units = world().replace({"arm": {"treatment": arm}})
    plan = planned(arms=["control", arm])
    found = {gate.code: gate for gate in gates(study_of(plan, None, assignments=units), plan)}
    assert found["split"].passed and len(found["split"].sentence) < 300
    assert "<b>xx" in found["split"].sentence and "more characters" in found["split"].sentence


def test_the_split_is_exact_when_small_and_against_the_schedule() -> None:
    half, thirds = np.full((1, 2), 0.5), np.array([[0.5, 0.3, 0.2]])
    assert p_of(np.array([[1.0, 7.0]]), half) == pytest.approx(18 / 256)
    # Brute force over the splits of three units.
    assert p_of(np.array([[0.0, 0.0, 3.0]]), thirds) == pytest.approx(0.2**3)
    assert p_of(np.array([[3.0, 9.0, 0.0]]), thirds) < 0.01
    assert p_of(np.array([[9_000.0, 1_000], [5_000, 5_000]]), np.array([[0.9, 0.1], [0.5, 0.5]])) == 1
    assert p_of(np.array([[10.0, 1.0]]), np.array([[1.0, 0.0]])) == 0
    assert p_of(np.zeros((0, 2)), np.zeros((0, 2))) == 1


def test_the_week_of_a_fault_is_named() -> None:
    units = world(12_000)
    late = (units["assigned_at"] >= START + pd.Timedelta(days=14)) & (units["arm"] == "control")
    plan = planned(looks="weekly", spending="pocock")
    found = split(study_of(plan, None, assignments=units[~late | (units.index % 4 > 0)]), plan)
    assert found.alarm and found.since == dt.date(2026, 1, 15)
    gate = failed(plan, assignments=units[~late | (units.index % 4 > 0)])["split"]
    assert "wrong since: 2026-01-15" in gate.sentence
    weeks = found.weeks.pivot(index="week", columns="arm", values="n")
    assert (weeks.loc[dt.date(2026, 1, 8)] > 1_400).all()


@pytest.mark.slow
def test_false_alarms_and_the_start_of_a_fault() -> None:
    rng, days = np.random.default_rng(20260101), 60
    drawn = rng.binomial(500, 0.5, size=(10_000, days)).astype(float)
    counts, week = np.stack([drawn, 500 - drawn], -1), np.arange(days) // 7
    found = log_evidence(counts, np.full((days, 2), 0.5), week, 9)
    alarms = (found.max(axis=1) >= np.log(1_000)).mean()
    print(f"false alarms of 10,000 experiments of 60 daily looks: {alarms:.4%}")
    assert alarms <= 0.001 + 3 * np.sqrt(0.001 * 0.999 / 10_000)
    days, runs = 84, 1_000
    week, shares = np.arange(days) // 7, np.full((days, 2), 0.5)
    drawn = rng.binomial(500, np.where(week < 7, 0.5, 0.53), size=(runs, days)).astype(float)
    counts = np.stack([drawn, 500 - drawn], -1)
    raised = log_evidence(counts, shares, week, 12).max(axis=1) >= np.log(1_000)
    near = np.array([abs(since_when(each, shares, week) - 7) <= 1 for each in counts])
    print(f"53/47 from week 8, 3,500 a week: raised {raised.mean():.1%}, within one week {near.mean():.1%}")
    assert near.mean() >= 0.95 and raised.mean() >= 0.95


@pytest.mark.slow
def test_sound_experiments_are_rarely_refused() -> None:
    plan = planned(covariates=["assignments:x"], segments=["country"], looks="weekly", spending="pocock")
    refused = 0
    for seed in range(200):
        found = gates(study_of(plan, None, assignments=world(2_000, seed)), plan)
        refused += any(not gate.passed and gate.severity == "refuse" for gate in found)
    print(f"of 200 sound experiments {refused} were refused")
    assert refused <= 10


def test_blocks_of_arms_that_the_plan_does_not_have_are_told_by_the_gate_of_arms() -> None:
    units = world(100).assign(arm="other", block=[f"b{n // 4}" for n in range(100)])
    found = failed(planned(design="blocked"), assignments=units)
    assert "arms" in found and "blocks" not in found
