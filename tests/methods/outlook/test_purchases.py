"""Who orders next: planted communities, calibration per tenth, no look ahead, too little data."""

from __future__ import annotations

import dataclasses
import datetime as dt
from dataclasses import replace

import ibis
import numpy as np
import pandas as pd
import pytest
from scipy import special

from helpers.data import source
from helpers.figures import Chart
from helpers.methods.outlook.contest import contest_sentence
from helpers.methods.outlook.purchases import Purchases, purchases
from helpers.playbook.propose import propose
from helpers.sentences import percent
from helpers.simulate import START, Parameters, community
from helpers.stats.forecast.calibration import auc, by_group, decile_error, tenths
from helpers.stats.forecast.models import BASE_RATE, LOGIT
from helpers.study import Study
from helpers.tables import Table

END = START + dt.timedelta(days=364)
AS_OF = END - dt.timedelta(days=30)
TABLES = ("members", "events", "orders", "touchpoints")


def forward(seed: int, members: int, parameters: Parameters | None = None) -> tuple[Purchases, pd.DataFrame]:
    """Predict the last 30 days of a simulated year from the days before, and see who really ordered in them."""
    dataset = source.open(community(members, 365, seed, tables=TABLES, parameters=parameters).tables)
    whole, study = (Study.of(dataset, day) for day in (END, AS_OF))
    found = purchases(study)
    late = whole.activity.filter(whole.activity.day > ibis.date(AS_OF), whole.activity.kind == "order")
    buyers = late.select("member_id").distinct().to_pandas()["member_id"]
    return found, found.members.assign(came=found.members["member_id"].isin(buyers).astype(int))


@pytest.fixture(scope="module")
def one() -> tuple[Purchases, pd.DataFrame]:
    return forward(11, 1200)


def test_everybody_present_has_a_chance_and_the_chances_add_up(one: tuple[Purchases, pd.DataFrame]) -> None:
    found, members = one
    assert members["member_id"].is_unique and members["probability"].between(0, 1).all()
    assert found.expected.n == len(members)
    assert found.expected.value == pytest.approx(members["probability"].sum(), abs=1e-6)
    assert found.expected.low <= members["came"].sum() <= found.expected.high
    share = next(found.findings())
    assert share.value == pytest.approx(members["probability"].mean())
    assert 0 < share.low < share.value < share.high < 1
    assert members.groupby("tenth")["probability"].max().is_monotonic_increasing


def test_the_forecast_knows_who_buys(one: tuple[Purchases, pd.DataFrame]) -> None:
    found, members = one
    assert auc(members["came"], members["probability"], members["member_id"]).low > 0.6
    scores = found.contest.table.set_index("model")
    assert found.contest.winner == LOGIT
    assert scores.loc[LOGIT, "brier"] < scores.loc[BASE_RATE, "brier"]
    top = members[members["tenth"] == 10]
    assert top["came"].mean() > 2 * members["came"].mean()


def test_who_never_ordered_is_less_likely_to(one: tuple[Purchases, pd.DataFrame]) -> None:
    found, members = one
    before = members.groupby("ordered")["probability"].mean()
    assert before[False] < before[True]
    fresh = members.loc[~members["ordered"], "probability"]
    first = found.first_orders
    assert (first.value, first.n) == (pytest.approx(fresh.sum(), abs=1e-6), len(fresh))
    assert first.low <= members.loc[~members["ordered"], "came"].sum() <= first.high
    said = [part for part in found.told() if isinstance(part, str)]
    assert any(
        f"Of the {len(fresh)} without an order on record, about {first.value:.0f} (" in part for part in said
    )


def test_words_name_number_interval_and_denominator(one: tuple[Purchases, pd.DataFrame]) -> None:
    found, members = one
    assert f"Of {len(members):,} members present on {AS_OF}" in found.sentence and " to " in found.sentence
    assert "To predict who orders" in contest_sentence(found.contest)
    chart = next(part for part in found.told() if isinstance(part, Chart))
    ends = [percent(found.judged["came"].iloc[place], 0) for place in (-1, 0)]
    assert chart.title == f"Of the tenth most likely to order {ends[0]} did, of the least likely {ends[1]}"


def test_tenths_show_what_came_of_earlier_chances_and_keep_back_small_ones(
    one: tuple[Purchases, pd.DataFrame],
) -> None:
    found, members = one
    table = found.by_tenth
    assert table["tenth"].tolist() == sorted(table["tenth"], reverse=True)
    assert table["members"].sum() == len(members)
    assert table["expected"].sum() == pytest.approx(found.expected.value)
    table = found.judged
    assert table["times"].sum() == len(found.contest.predictions)
    came = found.contest.predictions["ordered"]
    assert (table["came"] * table["times"]).sum() == pytest.approx(came.sum())
    first = found.contest.predictions.groupby("landmark").head(1)["landmark"]
    assert table["times"].min() > len(first) * 20  # cut within each window: no window fills a tenth alone


def test_a_small_tenth_is_kept_back(one: tuple[Purchases, pd.DataFrame]) -> None:
    found, _ = one
    few = found.members[found.members["tenth"] > 1]
    lowest = found.members[found.members["tenth"] == 1].head(4)
    *_, table = replace(found, members=pd.concat([few, lowest])).told()
    assert isinstance(table, Table)
    assert table.frame.set_index("tenth").loc[1].isna().all() and "Kept back" in table.note
    assert table.frame.isna().any(axis=1).sum() == 2  # with another one, or it could be solved for


def test_what_comes_later_changes_no_chance() -> None:
    """Orders and events after `as_of` are in one log and not in the other."""
    dataset = source.open(community(400, 365, 3, tables=TABLES).tables)
    known, later = Study.of(dataset, AS_OF), Study.of(dataset, END).at(AS_OF)
    pd.testing.assert_frame_equal(purchases(known).members, purchases(later).members)


@pytest.mark.parametrize("rates", [(0.004, 0.016), (0.012, 0.005), (0.008, 0.008)])
def test_following_the_level_is_not_telling_members_apart(rates: tuple[float, float]) -> None:
    """All members order alike, more and more, or less and less: no verdict, and no action on benefits."""
    rng, days = np.random.default_rng(4), pd.date_range("2025-01-01", periods=420).date
    who, when = np.nonzero(rng.random((800, 420)) < np.geomspace(*rates, 420))
    names = np.array([f"m{number}" for number in range(800)])
    log = {"member_id": names[who], "day": days[when], "kind": "order", "action": "order", "value": 10.0}
    people = pd.DataFrame({"member_id": names, "joined_day": days[0], "left_day": None})
    found = purchases(Study.of({"activity": pd.DataFrame(log), "population": people}, days[-1]))
    _, finding = found.findings()
    assert finding.verdict == "no clear change" and finding.low <= 0
    assert "does not clearly tell who orders from who does not" in finding.sentence
    proposal = propose(Study.of({}, END, count="all"), [finding], prefix="outlook.benefit")
    assert not proposal.actions
    assert "is not clearly better" in dict(proposal.silent)["outlook.benefit_by_chance"]


def test_a_forecast_that_tells_members_apart_starts_a_test_of_benefits(
    one: tuple[Purchases, pd.DataFrame],
) -> None:
    _, finding = one[0].findings()
    assert finding.verdict == "better" and finding.n == one[0].contest.windows
    assert f"errs {percent(finding.value)} less" in finding.sentence
    proposal = propose(Study.of({}, END, count="all"), [finding], prefix="outlook.benefit")
    assert [action.id for action in proposal.actions] == ["outlook.benefit_by_chance"]


def test_before_a_window_is_judged_nothing_is_foretold() -> None:
    """By recency alone who never ordered would pass for a buyer of the day of joining."""
    dataset = source.open(community(400, 365, 5, tables=TABLES).tables)
    found = purchases(Study.of(dataset, START + dt.timedelta(days=75)))
    assert found.contest.windows == 0 and found.contest.winner is None
    assert found.expected.n > 100 and not found.expected.known
    assert "about 120 days of log" in found.sentence and found.judged.empty


def test_nobody_who_ordered_or_is_present_is_too_little_data() -> None:
    day = END - dt.timedelta(days=200)
    rows = pd.DataFrame(
        {"member_id": ["a", "b"], "day": day, "kind": "interaction", "action": "like", "value": 0.0}
    )
    people = pd.DataFrame({"member_id": ["a", "b"], "joined_day": day, "left_day": None})
    nobody = purchases(Study.of({"activity": rows, "population": people}, END))
    assert not nobody.expected.known and next(nobody.findings()).value is None
    assert "no order is on record" in nobody.sentence and nobody.sentence == nobody.gain_sentence
    bought = nobody.members.assign(ordered=True)
    assert "takes about 120 days of log" in dataclasses.replace(nobody, members=bought).sentence
    assert nobody.members["tenth"].isna().all() and nobody.by_tenth.empty
    assert "Forecasts of who orders: too little data" in contest_sentence(nobody.contest)
    alone = purchases(Study.of({"activity": rows, "population": people.iloc[:0]}, END))
    assert not alone.expected.known and alone.members.empty


COMMUNITIES: tuple[tuple[int, Parameters], ...] = (
    (3000, Parameters()),
    (2500, Parameters(existing_share=0.1, existing_tenure_days=200)),
    (2500, Parameters(existing_share=0.7, first_tier=(0.15, 0.35, 0.35, 0.15))),
    (3000, Parameters(exit_daily_hazard=(0.015, 0.008, 0.004, 0.002), pushes_per_month=(2.0, 9.0))),
    (3000, Parameters(potential_decay=0.6, core_pareto=1.5)),
    (3500, Parameters(potential_decay=0.9, active_shape=0.6)),
    (4000, Parameters(first_tier=(0.50, 0.35, 0.12, 0.03), events_per_session=1.5)),
    (3000, Parameters(return_log_odds={"early_reply": 1.2, "source=抖音": -0.8, "source=邀请": 0.9})),
)
"""They differ in size, in how tiers move, in how much is bought, and in who comes, goes and returns."""


@pytest.fixture(scope="module")
def many() -> list[tuple[Purchases, pd.DataFrame]]:
    """Eight communities, none of which took part in any choice of constants."""
    return [forward(900 + at, n, each) for at, (n, each) in enumerate(COMMUNITIES)]


@pytest.mark.slow
def test_judged_chances_are_calibrated_per_tenth(many: list[tuple[Purchases, pd.DataFrame]]) -> None:
    """Pooled over the communities, no tenth is off by more than 3 points; log odds 30 % too large would be."""
    parts = [found.contest.predictions.assign(at=at) for at, (found, _) in enumerate(many)]
    rows = pd.concat(parts, ignore_index=True)
    member = rows["at"].astype(str) + rows["member_id"]
    came, p = rows["ordered"], rows[LOGIT]
    table = by_group(tenths(p), came, p, member)
    print(table.round(4).to_string())
    assert table["difference"].abs().max() <= 0.03
    assert decile_error(came, p) <= 0.02
    overconfident = special.expit(1.3 * special.logit(p))
    assert by_group(tenths(p), came, overconfident, member)["difference"].abs().max() > 0.03


@pytest.mark.slow
def test_chances_of_today_and_their_number_hold(many: list[tuple[Purchases, pd.DataFrame]]) -> None:
    """Today is one window in each community: intervals of all ten tenths at once must reach into the 3 points."""
    today = pd.concat([part.assign(at=at) for at, (_, part) in enumerate(many)], ignore_index=True)
    p, member = today["probability"], today["at"].astype(str) + today["member_id"]
    table = by_group(tenths(p), today["came"], p, member, 1 - 0.05 / 10)
    print(table.round(4).to_string())
    assert (table["low"] <= table["predicted"] + 0.03).all()
    assert (table["high"] >= table["predicted"] - 0.03).all()
    numbers = today.groupby("at")["came"].sum()
    inside = [f.expected.low <= numbers[at] <= f.expected.high for at, (f, _) in enumerate(many)]
    ratios = [numbers[at] / f.expected.value for at, (f, _) in enumerate(many)]
    print(np.round(ratios, 2), inside)
    assert sum(inside) >= len(many) - 1
