"""Episodes with the exposure of the period before: by hand, against lifelines on rows, and on planted truth."""

from __future__ import annotations

import dataclasses

import ibis
import numpy as np
import pandas as pd
import pytest
from lifelines import CoxTimeVaryingFitter

from helpers import simulate
from helpers.data.source import Dataset
from helpers.errors import BadData
from helpers.methods.retention.exposure import (
    JOINED_BEFORE,
    JUST_JOINED,
    effects,
    episodes,
    exposure,
)
from helpers.stats.cox.model import CoxModel
from helpers.stats.survival.cells import cells
from helpers.study import Study

PLANTED = {
    "early_reply": "early_reply",
    "source=抖音": "source=抖音",
    "source=邀请": "source=邀请",
    "activity_before=0": "previous_tier=silent",
    "activity_before=11–50": "previous_tier=active",
    "activity_before=51+": "previous_tier=core",
    "pushes_before": "pushes_previous_month",
}
REFERENCE = {"activity_before": "1–10", "source": "微信"}


def noon(day: str) -> pd.Timestamp:
    """Return noon in Shanghai."""
    return pd.Timestamp(f"{day} 04:00", tz="UTC")


def frames(
    members: list[tuple[str, str, str | None]], events: list[tuple[str, str, str]]
) -> dict[str, pd.DataFrame]:
    table = pd.DataFrame(members, columns=["member_id", "joined_at", "left_at"])
    table["joined_at"] = table["joined_at"].map(noon)
    table["left_at"] = pd.to_datetime(
        table["left_at"].map(lambda day: noon(day) if day else pd.NaT), utc=True
    )
    rows = pd.DataFrame(events, columns=["member_id", "ts", "event"])
    rows["ts"] = rows["ts"].map(noon)
    rows.insert(0, "event_id", [f"e{number}" for number in range(len(rows))])
    return {"members": table, "events": rows}


@pytest.fixture(scope="module")
def by_hand() -> pd.DataFrame:
    members = [
        ("old", "2026-01-10", "2026-03-05"),
        ("new", "2026-02-20", None),
        ("first", "2026-02-01", None),
    ]
    events = [
        ("old", "2026-02-01", "view"),
        *[("old", "2026-02-10", "push_sent")] * 3,
        ("old", "2026-03-02", "push_sent"),
        ("old", "2026-02-11", "push_open"),
        ("new", "2026-02-21", "push_sent"),
        *[("new", "2026-03-20", "like")] * 12,
        ("first", "2026-02-03", "comment"),
    ]
    study = Study.of(frames(members, events), "2026-04-15", history_from="2026-02-01")
    found = episodes(study).to_pandas()
    return found.sort_values(["member_id", "entry_day"]).set_index("member_id")


def test_episodes_run_from_the_first_to_the_last_day_of_tenure_in_each_month(by_hand: pd.DataFrame) -> None:
    assert by_hand.loc["new", ["entry_day", "tenure_days"]].to_numpy().tolist() == [[0, 8], [9, 39], [40, 54]]
    assert by_hand.loc["new", "exited"].tolist() == [False, False, False]
    # February is the first month on record: of those who were members before, it is only looked back at.
    assert by_hand.loc[["old"], ["entry_day", "tenure_days", "exited"]].to_numpy().tolist() == [
        [50, 54, True]
    ]


def test_exposure_is_that_of_the_month_before_and_never_of_the_same(by_hand: pd.DataFrame) -> None:
    assert by_hand.loc["old", "pushes_before"] == 3
    assert by_hand.loc["new", "pushes_before"].tolist() == [0, 1, 0]
    assert by_hand.loc["new", "activity_before"].tolist() == [JUST_JOINED, JOINED_BEFORE, "11–50"]
    # Who joined on the first day of a month was there for all of it.
    assert by_hand.loc["first", "activity_before"].tolist() == [JUST_JOINED, "1–10", "0"]


@pytest.fixture(scope="module")
def community() -> simulate.Community:
    return simulate.community(4000, 365, 5, tables=("members", "events", "touchpoints"))


@pytest.fixture(scope="module")
def study(community: simulate.Community) -> Study:
    return Study.of(community.tables, community.truth["about"]["end"])


@pytest.fixture(scope="module")
def found(study: Study) -> ibis.Table:
    return episodes(study, ["early_reply", "source"])


def test_cells_agree_with_lifelines_on_start_and_stop_rows(found: ibis.Table) -> None:
    rows = found.to_pandas()
    rows = rows[rows["member_id"].isin(sorted(rows["member_id"].unique())[:300])]
    rows["silent"] = (rows["activity_before"] == "0").astype(float)
    rows["early_reply"] = rows["early_reply"].astype(float)
    rows["start"], rows["stop"] = rows["entry_day"] - 1.0, rows["tenure_days"].astype(float)
    covariates = ["early_reply", "silent", "pushes_before", "ads_before"]
    frame = rows[["member_id", "start", "stop", "exited", *covariates]]
    oracle = CoxTimeVaryingFitter().fit(
        frame, "exited", "start", "stop", id_col="member_id", fit_options={"precision": 1e-13}
    )
    model = CoxModel(covariates).fit(cells(rows, covariates))
    np.testing.assert_allclose(model.params_, oracle.params_, atol=1e-8)
    np.testing.assert_allclose(model.standard_errors_, oracle.standard_errors_, atol=1e-8)


def test_pushes_drive_members_away_as_planted_and_ads_do_not(
    study: Study, found: ibis.Table, community
) -> None:
    truth = np.exp(community.truth["exit"]["log_hazard"]["pushes_previous_month"])
    result = effects(study, found, ["early_reply", "source"])
    pushes, ads = result.doses
    assert pushes.per_unit.low < truth < pushes.per_unit.high and pushes.per_unit.low > 1
    assert pushes.fatigue_from in (1, 3, 6)
    assert pushes.sentence.startswith("With each push more in a month, members leave 1.")
    assert "held constant in 4 levels only (0, 1–10, 11–50, 51+ actions)" in result.sentences[-1]
    assert "this is no experiment" in result.sentences[-1]
    told = next(result.findings())
    assert told.verdict == "worse" and told.value == pytest.approx(pushes.per_unit.value - 1)
    assert "held constant in 4 levels only" in told.provenance.assumption
    assert "Fatigue point: from" in pushes.sentence
    assert pushes.table["reference"].unique().tolist() == ["0"] and pushes.table["dose"].tolist() == [
        "1–2",
        "3–5",
        "6+",
    ]
    assert ads.per_unit.low < 1 < ads.per_unit.high and ads.fatigue_from is None
    assert "no dose is clearly worse" in ads.sentence
    assert len(ads.table) == len(pushes.table) == 3


def test_doses_of_few_episodes_are_not_shown(study: Study, found: ibis.Table) -> None:
    whole = effects(study, found).doses[0].table
    least = int(whole["n"].min())
    hidden = effects(dataclasses.replace(study, k_min=least + 1), found).doses[0]
    rare = (whole["n"] == least).to_numpy()
    numbers = ["hazard_ratio", "low", "high", "p", "p_holm", "n", "events"]
    assert hidden.table.loc[rare, numbers].isna().all(axis=None)
    pd.testing.assert_frame_equal(hidden.table[~rare], whole[~rare], check_dtype=False)


def test_a_stricter_level_asks_more_of_a_fatigue_point(study: Study, found: ibis.Table) -> None:
    usual = effects(study, found).doses[0]
    p = usual.table.set_index("first").loc[usual.fatigue_from, "p_holm"]
    strict = effects(dataclasses.replace(study, confidence=1 - p / 2), found).doses[0].fatigue_from
    assert strict is None or strict > usual.fatigue_from


def test_planted_effects_lie_in_their_intervals(found: ibis.Table, community) -> None:
    by = ["early_reply", "source", "activity_before", "pushes_before"]
    rows = CoxModel(by, reference=REFERENCE).fit(cells(found, by)).summary.set_index("covariate")
    truth = community.truth["exit"]["log_hazard"]
    missed = [
        name
        for name, planted in PLANTED.items()
        if not rows.loc[name, "low"] <= np.exp(truth[planted]) <= rows.loc[name, "high"]
    ]
    # One of seven 95 % intervals may miss its truth; two or more do so with a chance of 4 %.
    assert len(missed) <= 1, missed


def test_what_is_not_on_record_is_said() -> None:
    quiet = frames([("a", "2026-01-10", "2026-03-05")], [("a", "2026-02-01", "like")])
    found = exposure(Study.of(quiet, "2026-04-15"))
    assert found.sentences == ["There is no push on record.", "There is no ad shown on record."]
    assert found.doses == () and next(found.findings()).verdict == "too little data"


def test_few_exits_are_too_little_data() -> None:
    members = [("a", "2026-01-10", "2026-03-05"), ("b", "2026-01-10", None)]
    events = [
        ("a", "2026-02-01", "push_sent"),
        ("b", "2026-02-02", "push_sent"),
        ("b", "2026-03-02", "push_sent"),
    ]
    tables = frames(members, events)
    for as_of in ("2026-04-15", "2026-02-03", "2025-01-01"):
        found = exposure(Study.of(tables, as_of))
        assert all("too little data" in dose.sentence for dose in found.doses)


def test_wrong_names_are_said_and_without_events_nothing_is_on_record(study: Study) -> None:
    with pytest.raises(BadData, match="column sourc missing"):
        episodes(study, ["sourc"])
    members, given = Dataset({"members": study.dataset.members}), {"activity": study.activity}
    found = exposure(dataclasses.replace(study, dataset=members, given=given))
    assert found.sentences == ["There is no push on record.", "There is no ad shown on record."]


def test_a_sample_of_members_has_effects_within_their_intervals(study: Study, monkeypatch) -> None:
    whole = exposure(study)
    monkeypatch.setattr("helpers.methods.retention.covariates.MOST_MEMBERS", 2_000)
    some = exposure(study)
    full, part = whole.doses[0].per_unit, some.doses[0].per_unit
    assert part.low < full.value < part.high
    assert 0.4 < part.n / full.n < 0.6 and some.sentences[-1].startswith("About 2,000 of ")


@pytest.mark.slow
def test_intervals_cover_the_planted_effects_in_many_communities() -> None:
    """95 % intervals of seven planted log hazard ratios in 120 communities of 1,500 members."""
    worlds, hits = 120, dict.fromkeys(PLANTED, 0)
    by = ["early_reply", "source", "activity_before", "pushes_before"]
    for seed in range(worlds):
        made = simulate.community(1500, 365, 1000 + seed, tables=("members", "events"))
        found = episodes(Study.of(made.tables, made.truth["about"]["end"]), by[:2])
        rows = CoxModel(by, reference=REFERENCE).fit(cells(found, by)).summary.set_index("covariate")
        for name, planted in PLANTED.items():
            truth = np.exp(made.truth["exit"]["log_hazard"][planted])
            hits[name] += rows.loc[name, "low"] <= truth <= rows.loc[name, "high"]
    shares = {name: count / worlds for name, count in hits.items()}
    # Three standard errors: 3 * sqrt(.95 * .05 / 120) = .060 for one effect, .023 for all together.
    assert all(share > 0.89 for share in shares.values()), shares
    assert 0.927 < np.mean(list(shares.values())) < 0.973, shares
