"""Moments from the engine equal those counted by hand, at any scale, however they are told."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from helpers.errors import BadData, BadParameters, MissingTable
from helpers.methods.ab_test import clusters, effects, readings
from helpers.methods.ab_test import units as of_units
from helpers.methods.ab_test.moments import Moments
from helpers.methods.ab_test.plan import Plan
from helpers.methods.ab_test.randomise import Mechanism, cluster_runs
from helpers.methods.ab_test.readings import Cells, bounds_of, by_segment, moments_of, units
from helpers.study import Study
from tests.methods.ab_test.of_rows import of_rows
from tests.methods.ab_test.real_data import frozen, study_of


def at(*days: str) -> pd.DatetimeIndex:
    return pd.to_datetime(list(days), utc=True)


def hand() -> dict[str, pd.DataFrame]:
    """Six members: two of the control, three of the variant, one in both arms."""
    units = pd.DataFrame({"unit_id": ["a", "b", "c", "d", "e", "f", "f"], "arm": list("ccvvvcv")})
    # Noon in Shanghai; d is assigned on the second day, e on the eighth.
    days = ["2026-01-01", "2026-01-01", "2026-01-01", "2026-01-02", "2026-01-08", "2026-01-01", "2026-01-01"]
    units["assigned_at"] = at(*(f"{day}T04:00" for day in days))
    units["age"] = [30.0, 20, 40, np.nan, 50, 1, 1]
    units["block"] = ["x", "x", "x", "y", "y", "x", "x"]
    orders = pd.DataFrame(
        [
            ("1", "a", "2026-01-01T03:59", 5.0),  # before the assignment, on its day: in neither window
            ("2", "a", "2026-01-01T04:00", 10.0),  # at the assignment
            ("3", "a", "2026-01-03T15:59", 20.0),  # last second of the second day after it
            ("4", "a", "2026-01-03T16:00", 40.0),  # a day too late
            ("5", "c", "2025-12-31T15:59", 7.0),  # the day before
            ("6", "c", "2025-12-29T15:59", 7.0),  # three days before
            ("7", "d", "2026-01-02T05:00", 3.0),
            ("8", "f", "2026-01-01T05:00", 99.0),
            ("9", "nobody", "2026-01-01T05:00", 99.0),
        ],
        columns=["order_id", "member_id", "paid_at", "gross"],
    )
    orders = orders.assign(paid_at=at(*orders["paid_at"]), currency="CNY", discount=[1.0] + [0.0] * 8)
    events = pd.DataFrame(
        {"event_id": list("123"), "member_id": ["b", "b", "d"], "event": ["Like", "view", "like"]}
    )
    events["ts"] = at("2026-01-02", "2026-01-02", "2026-01-03")
    refunds = pd.DataFrame({"order_id": ["3"], "refunded_at": at("2026-01-02T00:00"), "amount": [4.0]})
    return {
        "assignments": units,
        "orders": orders,
        "events": events,
        "refunds": refunds.assign(currency="CNY"),
    }


def planned(source: str = "orders", **fields: Any) -> Plan:
    about = {"looks": ["2026-01-03", "2026-01-09", "2026-01-14"], "spending": "obrien-fleming"}
    about |= {"outcome_days": 2, "arms": ["c", "v"], "missing": "drop"}
    names = ("kind", "denominator", "covariates", "cap")
    metric = {"name": source, "source": source} | {k: fields.pop(k) for k in names if k in fields}
    return frozen("2026-01-01", "2026-01-14", **(about | {"primary": metric} | fields))


def read(plan: Plan, **tables: pd.DataFrame) -> Moments:
    study = study_of(plan, "2026-01-12", **(hand() | tables))
    return moments_of(study, plan, plan.primary).moments


def test_each_unit_enters_at_the_look_by_which_its_outcome_is_complete() -> None:
    found = read(planned())
    assert found.names == ("outcome",)
    # The look of the 14th has not come; e is complete on the 10th, after the look of the 9th.
    assert found.n[:, :, 0].tolist() == [[2, 0], [1, 1]]
    assert found.mean[:, :, 0, 0].tolist() == [[1, 0], [0, 1]]
    assert found.cross[0, 0, 0].tolist() == [[2]]


@pytest.mark.parametrize(
    ("source", "fields", "control", "variant"),
    [
        ("orders", {}, [2, 0], [0, 1]),
        ("orders", {"kind": "proportion"}, [1, 0], [0, 1]),
        ("orders.value", {}, [26, 0], [0, 3]),
        ("events:LIKE", {}, [0, 1], [0, 1]),
        ("assignments:age", {}, [30, 20], [40, np.nan]),
    ],
)
def test_sources(source: str, fields: dict[str, Any], control: list[float], variant: list[float]) -> None:
    plan = planned(source, missing="zero", **fields)
    rows = units(study_of(plan, "2026-01-12", **hand()), plan, plan.primary)
    assert rows.groupby("arm")["outcome"].apply(list).tolist() == [control, np.nan_to_num(variant).tolist()]


def test_ratio_and_covariates() -> None:
    plan = planned(
        "events:like",
        kind="ratio",
        denominator="events:view",
        covariates=["before", "orders", "assignments:age"],
    )
    study = study_of(plan, "2026-01-12", **hand())
    rows = units(study, plan, plan.primary)
    names = ["outcome", "denominator", "before", "denominator before", "orders", "assignments:age"]
    assert [name for name in rows.columns if name in names] == names
    assert rows["orders"].tolist() == [0, 0, 1, 0]
    assert rows["assignments:age"].tolist() == [30, 20, 40, 30]  # d takes the mean of the others
    found = moments_of(study, plan, plan.primary).moments.merge(2).merge(1)
    assert found.mean[0, :2].tolist() == [0.5, 0.5]


def test_a_unit_in_two_arms_leaves_both_and_strata_are_periods_and_blocks() -> None:
    schedule = [{"start": "2026-01-01", "shares": [0.9, 0.1]}, {"start": "2026-01-02", "shares": [0.5, 0.5]}]
    plan = planned(allocation=schedule, design="blocked")
    study = study_of(plan, "2026-01-12", **hand())
    cells = moments_of(study, plan, plan.primary)
    assert cells.strata.to_numpy().tolist() == [[0, "x"], [1, "y"]]
    assert cells.moments.n.sum(axis=1).tolist() == [[2, 0], [1, 1]]
    assert of_units.in_several_arms(study, plan)[0].execute()["unit_id"].tolist() == ["f"]


def test_outcomes_of_units_missing_ones_and_their_bounds() -> None:
    told = pd.DataFrame({"unit_id": ["a", "b", "c", "d"], "metric": "q", "value": [1.0, None, 3, 5]})
    told["pre_value"] = [1.0, 2, 3, None]
    told["measured_at"] = at("2026-01-02T00:00", "2026-01-02T00:00", "2026-01-05T00:00", "2026-01-20T00:00")
    dropped = planned("unit_outcomes:q", covariates=["before"])
    cells = moments_of(
        study_of(dropped, "2026-01-12", **hand(), unit_outcomes=told), dropped, dropped.primary
    )
    # c is measured on the 5th and d after the last look.
    assert cells.moments.n[:, :, 0].tolist() == [[1, 0], [0, 1]]
    assert cells.missing.tolist() == [[1, 2], [0, 1]]
    zero = planned("unit_outcomes:q", missing="zero")
    study = study_of(zero, "2026-01-12", **hand(), unit_outcomes=told)
    assert moments_of(study, zero, zero.primary).moments.mean[0, 0, 0, 0] == 0.5
    worst, best = (each.moments.merge(1).mean[:, 0, 0] for each in bounds_of(study, dropped, dropped.primary))
    assert (worst.tolist(), best.tolist()) == ([2, 3], [1, 3])


DATES = pd.to_datetime(["2026-01-01", "2026-01-01", "2026-01-05", "2026-01-05"]).date


def test_sums_of_arms() -> None:
    days = pd.DataFrame({"arm": list("cv") * 2, "metric": "likes", "n": [2, 3, 4, 5], "sum": [4.0, 9, 8, 20]})
    days = days.assign(date=DATES, sum_squares=[10.0, 29, 20, 90])
    plan = planned("arm_daily:likes")
    found = moments_of(study_of(plan, "2026-01-12", arm_daily=days), plan, plan.primary).moments
    assert found.n[:, :, 0].tolist() == [[2, 4], [3, 5]]
    whole = found.merge(1)
    assert whole.mean[:, 0, 0] == pytest.approx([2, 29 / 8])
    assert whole.cross[:, 0, 0, 0] == pytest.approx([30 - 144 / 6, 119 - 29**2 / 8])


def test_advertising_by_creative() -> None:
    ads = pd.DataFrame(
        {"creative_id": list("cv") * 2, "clicks": [1, 2, 3, 4], "impressions": 10, "cost": 1.0}
    )
    ads = ads.assign(platform="p", campaign_id="k", currency="CNY", date=DATES)
    other = ads.assign(creative_id=["y", "z"] * 2)
    shared = {"denominator": "ad_daily:impressions"}
    rate, ratio = (planned("ad_daily:clicks", kind=kind, **shared) for kind in ("proportion", "ratio"))
    study = study_of(rate, "2026-01-12", ad_daily=pd.concat([ads, other]))
    found = moments_of(study, rate, rate.primary).moments.merge(1)
    assert found.n[:, 0].tolist() == [20, 20] and found.mean[:, 0, 0] == pytest.approx([0.2, 0.3])
    assert found.cross[:, 0, 0, 0] == pytest.approx([20 * 0.2 * 0.8, 20 * 0.3 * 0.7])
    found = moments_of(study, ratio, ratio.primary).moments.merge(1)
    assert found.n[:, 0].tolist() == [2, 2] and found.mean[:, 0].tolist() == [[2, 10], [3, 10]]
    views = planned("ad_daily:cost", kind="proportion", denominator="ad_daily:views")
    with pytest.raises(BadData, match="column views missing"):
        moments_of(study, views, views.primary)
    costs = planned("ad_daily:impressions", kind="proportion", denominator="ad_daily:cost")
    with pytest.raises(BadData, match="a share is above 1 on 4 days"):
        moments_of(study, costs, costs.primary)


def large(n: int = 4_000) -> dict[str, pd.DataFrame]:
    rng = np.random.default_rng(1)
    frame = pd.DataFrame({"unit_id": [f"u{i}" for i in range(n)], "arm": rng.choice(["c", "v"], n)})
    frame["assigned_at"] = at("2026-01-01T00:00")[0] + pd.to_timedelta(
        rng.integers(0, 6 * 86_400, n), unit="s"
    )
    frame["x"], frame["y"] = rng.normal(size=(2, n)).round(3)
    frame["cluster"] = rng.integers(0, 40, n).astype(str)
    frame["arm"] = np.where(frame["cluster"].astype(int) % 2, "c", frame["arm"])
    frame["country"] = rng.choice(["cn", "jp"], n)
    return {"assignments": frame}


def test_moments_keep_their_digits_at_a_thousand_million() -> None:
    tables = large()
    plan = planned("assignments:y", kind="ratio", denominator="assignments:x", covariates=["assignments:x"])
    low = read(plan, **tables).merge(1)
    shifted = tables["assignments"].assign(x=lambda f: f["x"] + 1e9, y=lambda f: f["y"] + 1e9)
    high = read(plan, assignments=shifted).merge(1)
    assert np.allclose(high.cross, low.cross, rtol=1e-6, atol=1e-3)
    rows = units(study_of(plan, "2026-01-12", **tables), plan, plan.primary)
    for arm in (0, 1):
        own = of_rows(rows.loc[rows["arm"] == arm, list(low.names)], low.names)
        assert np.allclose(own.cross, low.cross[arm, 0], rtol=1e-10) and own.n == low.n[arm, 0]


def test_clusters_have_totals_and_lose_the_burn_in() -> None:
    tables = large()
    plan = planned("assignments:y", design="switchback", burn_in_hours=24)
    study = study_of(plan, "2026-01-12", **tables)
    totals = moments_of(study, plan, plan.primary).clusters
    assert totals is not None
    frame = tables["assignments"]
    begun = frame.groupby("cluster")["assigned_at"].transform("min")
    kept = frame[frame["assigned_at"] >= begun + pd.Timedelta(hours=24)]
    assert totals["n"].sum() == len(kept)
    by_hand = kept.groupby("cluster")["y"].sum()
    assert np.allclose(totals.groupby("cluster")["outcome"].sum().sort_index(), by_hand.sort_index())
    assert totals["look"].isin([0, 1]).all() and set(totals["stratum"]) == {0}


def test_the_cap_is_a_quantile_and_segments_add_up() -> None:
    tables, plan = large(), planned("assignments:y", cap=0.9)
    study = study_of(plan, "2026-01-12", **tables)
    cells = moments_of(study, plan, plan.primary)
    rows = units(study, plan, plan.primary)
    assert cells.cap == pytest.approx(tables["assignments"]["y"].quantile(0.9))
    assert rows["outcome"].max() == cells.cap
    parts = by_segment(study, plan, plan.primary, "country")
    assert list(parts) == ["cn", "jp"]
    assert np.allclose(sum(part.moments.n for part in parts.values()), cells.moments.n)
    with pytest.raises(BadParameters, match='Did you mean "country"'):
        by_segment(study, plan, plan.primary, "contry")


def test_what_is_kept_needs_no_table(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = planned("assignments:y", covariates=["assignments:x"])
    study = study_of(plan, "2026-01-12", **large())
    full = moments_of(study, plan, plan.primary).moments
    monkeypatch.setattr("helpers.methods.ab_test.readings.pulled", None)
    again = plan.primary.model_copy(update={"name": "y alone", "direction": "down", "covariates": ()})
    alone = moments_of(study, plan, again).moments
    assert alone.names == ("outcome",) and np.array_equal(alone.cross, full.take(("outcome",)).cross)
    assert "VAR_POP" in moments_of(study, plan, again).sql


def test_ids_of_several_types_are_named() -> None:
    frame = hand()["assignments"].assign(unit_id=["a", 2, "c", 4, "e", "f", "f"])
    with pytest.raises(BadData, match=r"assignments\.unit_id: wrong type in 2 rows"):
        study_of(planned(), "2026-01-12", assignments=frame)


def test_before_the_first_look_there_is_nothing() -> None:
    plan = planned()
    cells = moments_of(study_of(plan, "2026-01-02", **hand()), plan, plan.primary)
    assert cells.looks == () and cells.moments.n.shape == (2, 0, 1)


@pytest.mark.parametrize(
    ("plan", "error", "said"),
    [
        (planned("assignments:wage"), BadData, "column wage missing"),
        (planned("unit_outcomes:q"), MissingTable, "unit_outcomes missing"),
        (planned("orders", design="clustered"), BadData, "column cluster missing"),
    ],
)
def test_what_is_not_there_is_named(plan: Plan, error: type[Exception], said: str) -> None:
    study: Study = study_of(plan, "2026-01-12", **hand())
    with pytest.raises(error, match=said):
        moments_of(study, plan, plan.primary)


def test_very_many_blocks_are_pooled_and_errors_are_at_most_too_large(monkeypatch) -> None:
    rng, many = np.random.default_rng(12), 6_000
    block = np.repeat(np.arange(many), 4)
    arm = np.argsort(rng.random((many, 4)), axis=1).ravel() % 2
    told = rng.normal(0, 1, many)[block] + rng.normal(0, 1, len(block)) + 0.1 * arm
    rows = {"unit_id": [f"u{n}" for n in range(len(block))], "block": [f"b{n}" for n in block]}
    units = pd.DataFrame(rows).assign(
        arm=np.array(["c", "v"])[arm], assigned_at=at("2026-01-01")[0], age=told
    )
    plan, found = planned("assignments:age", design="blocked"), []
    for most in (100_000, 3_000, 600):
        monkeypatch.setattr(readings, "MOST_TOTALS", most)
        cells = moments_of(study_of(plan, "2026-01-14", assignments=units), plan, plan.primary)
        found.append((len(cells.strata), cells.contrasts(plan, "mean", ("outcome",)).at(-1)))
    assert [groups for groups, _ in found] == [many, pytest.approx(1_000, rel=0.01), 200]
    assert [each.difference for _, each in found] == pytest.approx([found[0][1].difference] * 3)
    exact, pooled, most_pooled = (each.error for _, each in found)
    assert exact < pooled < most_pooled < 1.5 * exact, "a whole of two variances instead of one"


def redrawn(cells: Cells, looks: int) -> float:
    """Return how far differences lie apart when what was assigned as one is assigned anew."""
    treated, outcome, _, units = clusters.gathered(cells.clusters, looks)
    runs = cluster_runs(outcome, units, Mechanism(treated, np.zeros(len(treated), int)), 400, 5)
    return float(np.concatenate([run.difference[:, -1] for run in runs]).std())


@pytest.mark.parametrize("treated", [0.5, 0.1])
def test_very_many_clusters_are_told_by_random_groups_whose_errors_are_as_large(treated, monkeypatch) -> None:
    """The error of the groups is that of the clusters, within the noise of its degrees of freedom.

    And what assigning groups anew tells is what assigning clusters tells, also where one arm is small.
    """
    rng, many = np.random.default_rng(11), 8_000
    cluster = np.repeat(np.arange(many), rng.integers(1, 6, many))
    arm = (rng.permutation(many)[cluster] < treated * many).astype(int)
    told = rng.normal(0, 1, many)[cluster] + rng.normal(0, 1, len(cluster)) + 0.1 * arm
    days = pd.Timestamp("2026-01-01T04:00Z") + pd.to_timedelta(rng.integers(0, 10, len(cluster)), "D")
    rows = {"unit_id": [f"u{n}" for n in range(len(cluster))], "cluster": [f"g{n}" for n in cluster]}
    units = pd.DataFrame(rows).assign(arm=np.array(["c", "v"])[arm], assigned_at=days, age=told)
    plan = planned("assignments:age", design="clustered")
    exact, grouped = study_of(plan, "2026-01-14", assignments=units), study_of(plan, assignments=units)
    known = moments_of(exact, plan, plan.primary)
    assert known.clusters["cluster"].nunique() == many == sum(of_units.clusters(exact, plan)[0])
    assert len(known.clusters) < 2.5 * many, "by look and not by day"
    monkeypatch.setattr(readings, "MOST_TOTALS", 3_000)
    found = moments_of(grouped, plan, plan.primary)
    assert sum(readings.groups_of(grouped, plan)) == 1_000 > 0.98 * found.clusters["cluster"].nunique()
    assert len(found.clusters) <= 3_000
    told, true = (each.contrasts(plan, "mean", ("outcome",)).at(-1) for each in (found, known))
    assert told.difference == pytest.approx(true.difference) and told.n == pytest.approx(true.n)
    assert told.error == pytest.approx(true.error, rel=4 / np.sqrt(2 * treated * 1_000))
    anew = [redrawn(each, len(each.looks)) for each in (found, known)]
    assert anew[0] == pytest.approx(anew[1], rel=4 / np.sqrt(2 * treated * 1_000))
    alone = effects.contrast(found.moments.merge(1).take(("outcome",)), "mean").error
    assert true.error > 1.3 * alone, "clusters matter here"
