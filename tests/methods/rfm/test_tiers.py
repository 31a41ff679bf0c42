"""Tier schemes: presets, checks at load against brute force on points, one tier for every member."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import ibis
import numpy as np
import pandas as pd
import pytest
import yaml

from helpers.errors import BadData, BadParameters
from helpers.methods.rfm.scores import scored
from helpers.methods.rfm.tiers import TierScheme, presets, tier_scheme
from helpers.study import Study
from helpers.study.values import member_values

MONTHLY = ("silent", "potential", "active", "core")


def random_members(seed: int = 0, n: int = 500) -> pd.DataFrame:
    """Return members with all columns a preset may look at."""
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "member_id": [f"m{i}" for i in range(n)],
            "recency_days": pd.array(
                np.where(rng.random(n) < 0.1, None, rng.integers(0, 90, n)), dtype="Int64"
            ),
            "frequency": rng.choice([0, 0, 1, 2, 3, 4, 10, 11, 50, 51, 400], n),
            "active_days": rng.integers(0, 31, n),
            "monetary": rng.choice([0.0, 0.0, 5.0, 20.5, 99.9], n),
            "r_score": rng.integers(1, 6, n),
            "f_score": rng.integers(1, 6, n),
            "m_score": rng.integers(1, 6, n),
        }
    )


def tiers_of(scheme: TierScheme, frame: pd.DataFrame) -> pd.Series:
    """Return the assigned tier of every member in the order of the frame."""
    return scheme.assign(frame).to_pandas().set_index("member_id")["tier"][frame["member_id"]]


def quantile_of(frame: pd.DataFrame) -> pd.Series:
    """Return the share of members with strictly lower value."""
    return (frame["monetary"].rank(method="min") - 1) / len(frame)


def expected_tiers(name: str, f: pd.DataFrame) -> np.ndarray:
    """Return the tiers of a preset, written out by hand."""
    count, days, top = f["frequency"], f["active_days"], quantile_of(f) >= 0.9
    if name == "three_tier":
        core = (f["r_score"] >= 4) & (f["f_score"] >= 4) & (f["m_score"] >= 4)
        active = (f["r_score"] >= 3) & (f["f_score"] >= 3)
        return np.select([core, active], ["core", "active"], "potential")
    if name == "monthly_interactions":
        return np.select([count == 0, count <= 10, count <= 50], ["silent", "potential", "active"], "core")
    if name == "rhythm":
        return np.select([count == 0, count == 1, count <= 3], ["silent", "potential", "active"], "core")
    if name == "pyramid":
        conditions = [count == 0, count <= 10, count <= 50, ~top]
        return np.select(conditions, ["potential", "participant", "active", "core"], "koc")
    return np.select([days <= 3, days <= 11, ~top], ["basic", "active", "core"], "koc")


@pytest.mark.parametrize("name", ["three_tier", "monthly_interactions", "rhythm", "pyramid", "engagement"])
def test_presets_against_rules_written_by_hand(name: str) -> None:
    frame = random_members()
    frame.loc[::25, "monetary"] = 1000.0
    found = tiers_of(TierScheme.load(name), frame)
    assert found.tolist() == expected_tiers(name, frame).tolist()
    assert found.nunique() == len(TierScheme.load(name).labels)


def test_presets_are_listed_with_labels_from_low_to_high() -> None:
    assert list(presets()) == ["three_tier", "monthly_interactions", "rhythm", "pyramid", "engagement"]
    labels = {name: TierScheme.load(name).labels for name in presets()}
    assert labels == {
        "three_tier": ("potential", "active", "core"),
        "monthly_interactions": MONTHLY,
        "rhythm": MONTHLY,
        "pyramid": ("potential", "participant", "active", "core", "koc"),
        "engagement": ("basic", "active", "core", "koc"),
    }
    scheme = TierScheme.load("monthly_interactions")
    assert scheme.names[-1] == "core 核心型"
    assert scheme.uses == ("frequency",)


def test_rules_in_words() -> None:
    table = TierScheme.load("monthly_interactions").rules_table()
    assert table["rule"].tolist() == [
        "frequency in [0, 1)",
        "frequency in [1, 11)",
        "frequency in [11, 51)",
        "frequency >= 51",
    ]


def two_tiers(low: object, high: object, **more: object) -> dict[str, object]:
    """Return a definition of two tiers."""
    return {"tiers": [{"id": "low", "when": low}, {"id": "high", "when": high}], **more}


@pytest.mark.parametrize(
    ("definition", "message"),
    [
        (
            two_tiers({"frequency": [0, 10]}, {"frequency": [11, None]}),
            "rules leave a gap where frequency = 10$",
        ),
        (
            two_tiers({"frequency": [0, 12]}, {"frequency": [11, None]}),
            r"rules of .low. and .high. overlap where frequency = 11$",
        ),
        (
            two_tiers({"recency_days": [30, None]}, {"recency_days": [0, 30]}),
            "gap where recency_days missing",
        ),
        (two_tiers({"f_score": [1, 3]}, {"f_score": [3, 5]}), "gap where f_score = 5"),
        (two_tiers({"frequency": [0, 10.5]}, {"frequency": [10.5, None]}), "needs whole-number bounds"),
        (two_tiers({"frequncy": [0, 10]}, {}), "column 'frequncy'.*Did you mean \"frequency\""),
        (two_tiers({"frequency": [10, 10]}, {}), "holds nothing"),
        (
            two_tiers({"frequency": ["1", 10]}, {}),
            r"tiers.0.when.0.frequency: \['1', 10\] must be .low, high., numbers or null",
        ),
        (two_tiers({"frequency": 10}, {}), "10 must be .low, high., numbers or null for no bound"),
        (two_tiers(["x"], {}), r"tiers.0.when.0: Input should be a valid dictionary"),
        (two_tiers({}, {"frequency": [0, None]}, match="first"), "no member can ever be 'low'"),
        (two_tiers({}, {}, match="last"), "match: Input should be 'exact' or 'first'"),
        (two_tiers({}, {}, tier=[]), 'tier: unknown key.*Did you mean "tiers"'),
        ({"tiers": [{"id": "one", "when": {}}]}, "tiers: Tuple should have at least 2 items"),
        ({"tiers": [{"id": "one", "when": {}}, {"id": "one", "when": {}}]}, "one, one are not unique"),
        ({"tiers": [{"id": "one", "when": {}}, {"id": "two"}]}, r"tiers.1.when: Field required"),
    ],
)
def test_bad_definitions(definition: dict[str, object], message: str) -> None:
    with pytest.raises(BadParameters, match=message):
        TierScheme.load(definition)


COLUMNS = ("recency_days", "frequency", "active_days")


def random_rule(rng: np.random.Generator) -> dict[str, Any]:
    """Return a rule over some of three columns, with missing values and open ends."""
    rule: dict[str, Any] = {}
    for column in COLUMNS:
        if rng.random() < 0.7:
            low, high = (int(bound) for bound in np.sort(rng.choice(7, 2, replace=False)))
            bounds = [None if rng.random() < 0.2 else low, None if rng.random() < 0.2 else high]
            rule[column] = bounds
    return rule


def fits(rule: dict[str, Any], point: dict[str, int | None]) -> bool:
    """Return whether a point lies in a rule, written without the package."""
    for column, (low, high) in rule.items():
        value = point[column]
        if value is None or (low is not None and value < low) or (high is not None and value >= high):
            return False
    return True


POINTS = [
    dict(zip(COLUMNS, values, strict=True)) for values in product([None, *range(7)], range(7), range(7))
]


@pytest.mark.parametrize("seed", range(24))
def test_checks_and_tiers_agree_with_brute_force_on_every_point(seed: int) -> None:
    """A ladder with a lowest tier for everyone, one without, and rules that must not overlap."""
    rng = np.random.default_rng(seed)
    tiers = [{"id": f"t{i}", "when": [random_rule(rng) for _ in range(rng.integers(1, 3))]} for i in range(3)]
    if seed % 3:
        tiers = [{"id": "rest", "when": {}}, *tiers]
    match = "exact" if seed % 3 == 2 else "first"
    rules = [tier["when"] if isinstance(tier["when"], list) else [tier["when"]] for tier in tiers]
    owners = [[i for i, tier in enumerate(rules) if any(fits(r, point) for r in tier)] for point in POINTS]
    sound = all(owners) and {max(o) for o in owners} == set(range(len(tiers)))
    if match == "exact":
        sound &= all(len(o) == 1 for o in owners)
    definition = {"name": "random", "match": match, "tiers": tiers}
    if not sound:
        with pytest.raises(BadParameters, match=r"leave a gap|overlap|no member can ever be"):
            TierScheme.load(definition)
        return
    frame = pd.DataFrame(POINTS, dtype="Int64").assign(member_id=[f"m{i}" for i in range(len(POINTS))])
    assert tiers_of(TierScheme.load(definition), frame).tolist() == [tiers[max(o)]["id"] for o in owners]


def every(days: int, kind: str) -> Study:
    """Thirty members who act every so many days, for a year."""
    when = pd.date_range("2025-07-01", "2026-06-30", freq=f"{days}D")
    rows = [(f"m{i}", day + pd.Timedelta(days=i % days), kind, 1.0) for i in range(30) for day in when]
    log = pd.DataFrame(rows, columns=["member_id", "day", "kind", "value"])
    people = pd.DataFrame({"member_id": log["member_id"].unique()})
    people = people.assign(joined_day=pd.Timestamp("2025-07-01"), left_day=pd.NaT)
    count = "order" if kind == "order" else "interaction"
    return Study.of({"activity": log, "population": people}, "2026-06-30", count=count)


@pytest.mark.parametrize(
    ("days", "kind", "name", "window"),
    [
        (5, "interaction", "monthly_interactions", 30),
        (40, "interaction", "rhythm", 120),
        (5, "order", "rhythm", 30),
        (30, "order", "rhythm", 90),
    ],
)
def test_without_a_choice_tiers_follow_what_counts_and_its_rhythm(
    days: int, kind: str, name: str, window: int
) -> None:
    scheme = tier_scheme(every(days, kind))
    assert (scheme.name, scheme.window_days) == (name, window)
    assert scheme.why.startswith(f"Tiers count {kind}s in {window} days, ")
    assert tier_scheme(every(30, "order"), "pyramid") == TierScheme.load("pyramid")


def test_unknown_preset_and_file(tmp_path: Path) -> None:
    with pytest.raises(BadParameters, match='Did you mean "pyramid"'):
        TierScheme.load("pyramide")
    with pytest.raises(BadParameters, match="does not exist"):
        TierScheme.load(tmp_path / "none.yml")


def test_own_scheme_from_a_file(tmp_path: Path) -> None:
    definition = {
        "title": "Win-back",
        "match": "first",
        "tiers": [
            {"id": "gone", "name": "流失", "when": {}},
            {"id": "warm", "when": [{"recency_days": [0, 30]}, {"active_days": [15, None]}]},
            {
                "id": "vip",
                "when": {"monetary": [99.9, None], "recency_days": [0, 60]},
            },
        ],
    }
    path = tmp_path / "winback.yml"
    path.write_text(yaml.safe_dump(definition, allow_unicode=True), encoding="utf-8")
    scheme = TierScheme.load(path)
    assert (scheme.name, scheme.names[0]) == ("winback", "gone 流失")
    frame = random_members(1)
    recency = frame["recency_days"].astype(float)
    vip = (frame["monetary"] >= 99.9) & (recency < 60)
    warm = (recency < 30) | (frame["active_days"] >= 15)
    expected = np.select([vip, warm], ["vip", "warm"], "gone")
    assert tiers_of(scheme, frame).tolist() == expected.tolist()
    assert set(expected) == set(scheme.labels)


def test_equal_values_have_equal_quantiles_and_tiers() -> None:
    frame = random_members(2)
    found = TierScheme.load("pyramid").assign(frame).to_pandas().set_index("member_id")
    quantile = found.loc[frame["member_id"], "value_quantile"].to_numpy()
    np.testing.assert_allclose(quantile, quantile_of(frame).to_numpy(), rtol=1e-12)
    nothing = frame.assign(monetary=0.0, frequency=400)
    assert set(tiers_of(TierScheme.load("pyramid"), nothing)) == {"core"}


def test_values_that_cannot_be_are_an_error_not_a_missing_tier() -> None:
    frame = random_members(n=20)
    scheme = TierScheme.load("monthly_interactions")
    with pytest.raises(BadData, match=r"frequency of 2 members is not >= 0"):
        scheme.assign(frame.assign(frequency=[-1, -1, *range(18)]))
    with pytest.raises(BadData, match="frequency of 1 members is not >= 0"):
        scheme.assign(frame.assign(frequency=[None, *range(19)]))
    with pytest.raises(BadData, match=r"f_score of 1 members is not in \[1, 6\)"):
        TierScheme.load("three_tier").assign(frame.assign(f_score=[10, *[1] * 19]))
    with pytest.raises(BadData, match="monthly_interactions: column frequency missing; there is member_id"):
        scheme.assign(frame[["member_id"]])


def test_one_case_expression_in_the_engine() -> None:
    connection = ibis.duckdb.connect()
    table = connection.create_table("members", random_members())
    scheme = TierScheme.load("monthly_interactions")
    sql = ibis.to_sql(scheme.assign(table))
    assert sql.count("CASE") == 1
    assert sql.count("THEN") == 4


def test_every_buyer_of_real_data_is_in_exactly_one_tier(reference_data: Path) -> None:
    raw = pd.read_csv(reference_data / "rfm" / "CDNOW_master.txt", sep=r"\s+", header=0, dtype=str)
    raw.columns = ["member_id", "date", "n_cds", "gross"]
    orders = raw.assign(
        order_id=[f"o{i}" for i in range(len(raw))],
        paid_at=pd.to_datetime(raw["date"]).dt.tz_localize("Asia/Shanghai"),
        gross=raw["gross"].astype(float),
        currency="USD",
    ).drop(columns=["date", "n_cds"])
    members = scored(member_values(Study.of({"orders": orders}, "1998-06-30"), 365), 5)
    for name in presets():
        scheme = TierScheme.load(name)
        frame = scheme.assign(members).to_pandas()
        assert len(frame) == 23_570
        assert frame["tier"].tolist() == expected_tiers(name, frame).tolist()
