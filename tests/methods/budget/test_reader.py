"""What a reader gets: sentences, findings and decisions on known curves, on red, and on the sample's truth."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from helpers.errors import BadParameters
from helpers.methods import budget
from helpers.methods.budget.baseline import baseline
from helpers.methods.budget.curves import Curves
from helpers.methods.budget.decisions import Planned
from helpers.methods.budget.engine import Fit, fit
from helpers.methods.budget.gate import check, gate
from helpers.methods.budget.house import shocks
from helpers.methods.budget.parameters import BudgetParameters
from helpers.methods.budget.results import Fitted, Weeks
from helpers.methods.budget.terms import WEEKS_OF_MONTH
from helpers.methods.budget.trust import Trust
from helpers.methods.budget.weekly import Weekly
from helpers.study import Study
from helpers.tables import Table

MONDAYS = pd.date_range("2025-01-06", periods=60, freq="W-MON")
DAYS = pd.DataFrame(
    {"date": MONDAYS.date, "platform": "douyin", "campaign_id": "a", "creative_id": "a", "cost": 1.0}
)
FINE = check("rhat", "", 1.0, 1.05, "ok", "The chains agree.")
BAD = check("memory", "", 0.5, 0.9, "refuse", "What is left has a memory.")


def study(**more: object) -> Study:
    return Study.of({"ad_daily": DAYS.assign(currency="CNY"), **more}, "2026-03-01", about_members=False)


def known(grade: str, draws: int = 400) -> Fitted:
    """Two lines of 1 - exp curves without carry-over: `up` has its half at a spend of 1,000, `full` at 10."""
    spend = pd.DataFrame({"up": [40.0, 160.0] * 30, "full": [120.0, 80.0, 100.0] * 20}, MONDAYS)

    def curves(half: float, top: float) -> Curves:
        one = {"family": 1, "decay": 0.0, "peak": 0.0, "shape": 1.0, "half": half / 100, "coefficient": top}
        return Curves(100.0, **{name: np.full(draws, value) for name, value in one.items()})

    each = {"up": curves(1_000.0, 8_000.0), "full": curves(10.0, 300.0)}
    outcome = sum(each[line].weekly(spend[line].to_numpy()).mean(axis=1) for line in each) + 500.0
    lines = pd.DataFrame(
        {
            "platform": ["douyin", "wechat"],
            "kind": "curve",
            "price_jump": 1.0,
            "impressions": 1_000.0,
            "spend": 6_000.0,
        },
        ["up", "full"],
    )
    frame = Weekly(pd.Series(outcome, MONDAYS), spend, fixed=pd.Series({"tools": 200.0}), lines=lines)
    flat = pd.Series(1.0, ["up", "full", "noise"])
    found = Fit(frame, each, baseline(frame), np.ones(draws), flat, 1_000 * flat)
    here = study()
    checks = {"green": (FINE,), "red": (FINE, BAD)}[grade]
    return Fitted(
        here, Weeks(here, frame, gate(frame), "margin"), found, Trust(grade, checks), pd.DataFrame()
    )


def plan(fitted: Fitted, goal: float = 0.0, **asked: object) -> Planned:
    lines = budget.lines(fitted.study, fitted, turnover=1.0, margin=1.0)
    plain = {"amount": 300.0, "room": 2.0, "reserve_share": 0.1, "payable": 0.0}
    return budget.planned(fitted.study, lines, budget.Wanted(**plain | asked), goal)  # type: ignore[arg-type]


def test_the_next_money_goes_where_more_pays_and_nothing_where_the_line_is_full() -> None:
    done = plan(known("green"))
    assert list(done.lines.verdict.items()) == [("up", "pays"), ("full", "past")]
    today = 200 * WEEKS_OF_MONTH
    kept = 0.1 * (today + 300)
    assert done.more.terms.reserve == pytest.approx(kept)
    assert done.placed.to_dict() == {"up": pytest.approx(300 - kept)}
    # 8,000 (1 - 2 ^ -(s / 1,000)) a week, at 100 and at 100 plus what is placed of a month.
    week = 100 + (300 - kept) / WEEKS_OF_MONTH
    gain = WEEKS_OF_MONTH * 8_000 * (2**-0.1 - 2 ** (-week / 1_000)) - (300 - kept)
    assert done.gain(done.more).value == pytest.approx(gain, rel=1e-6)
    assert f"CNY {300 - kept:,.0f}" in done.sentence and "Of the next CNY 300" in done.sentence
    moved = done.moved.lines["change"]
    assert moved["full"] < 0 < moved["up"] and done.gain(done.moved).value > 0
    actions = [each.rule for each in done.proposals()]
    assert actions == ["budget.place", "budget.move", "budget.past"]
    assert {part.name for part in done.parts() if isinstance(part, Table)} == {"plan_lines", "scenarios"}


def test_findings_carry_the_systems_of_the_budget_and_say_what_stops_paying() -> None:
    fitted = known("green")
    done = plan(fitted)
    results = (
        done,
        fitted,
        budget.tested(fitted.study, fitted),
        budget.house(fitted.study, done.lines, ["douyin"]),
    )
    found = {one.id: one for each in results for one in each.found()}
    systems = {system for one in found.values() for system in one.provenance.systems}
    assert systems == {"S067", "S068", "S072", "S073", "S074", "S075", "S076", "S081", "S082", "S083"}
    assert found["budget.stops_paying"].headline == "more no longer pays on full"
    # 300 ln 2 / 10 * 2 ^ -(s / 10) = 1 at a weekly spend of 43.8; points lie 1.2 apart.
    assert found["budget.stops_paying"].value / WEEKS_OF_MONTH == pytest.approx(
        10 * np.log2(30 * np.log(2)), abs=1.3
    )
    up = 8_000 * (2 - 2**-0.04 - 2**-0.16) / 2
    full = 300 * (3 - 2**-8.0 - 2**-10.0 - 2**-12.0) / 3
    assert found["budget.return"].value == pytest.approx((up + full) / 200, rel=1e-6)
    each = [40 / 160, 160 / 240, 40 / 140, 160 / 280, 40 / 120, 160 / 260]
    assert found["budget.core_share"].value == pytest.approx(np.mean(each))
    assert found["budget.ads_share"].verdict == "too little data"


def test_red_allocates_nothing_tells_no_number_and_says_why() -> None:
    fitted = known("red")
    done = plan(fitted)
    assert done.more is None and "What is left has a memory." in done.sentence
    (action,) = done.proposals()
    assert action.rule == "budget.refuse" and "memory" in action.fields["why"]
    found = [one for each in (done, fitted) for one in each.found()]
    assert {one.id for one in found if one.value is not None} == {"budget.trust"}
    assert all(one.sentence and "{" not in one.sentence for one in found)
    said = [part for each in (done, done.lines, fitted) for part in each.told() if isinstance(part, str)]
    assert any("memory" in part for part in said) and not any("nan" in part for part in said)


def test_amounts_are_those_that_can_be_paid_and_the_rounded_plan_is_judged() -> None:
    done = plan(known("green"), payable=50.0)
    amounts = done.more.lines[["today", "proposed"]].to_numpy() / 50
    assert done.more.terms.reserve == pytest.approx(150) and np.abs(amounts - amounts.round()).max() < 1e-9
    assert done.more.lines.loc["up", ["today", "proposed"]].tolist() == [450, 600]
    assert done.more.outcome == pytest.approx(
        sum(
            WEEKS_OF_MONTH * top * (1 - 2 ** -(spend / WEEKS_OF_MONTH / half))
            for top, half, spend in ((8_000, 1_000, 600), (300, 10, 450))
        )
    )


def test_a_line_of_packages_is_bought_whole() -> None:
    plain, whole = (plan(known("green"), packages=of).more.lines for of in ({}, {"up": 150.0}))
    assert plain.at["up", "proposed"] == pytest.approx(434.82 + 300 - 116.96, abs=0.1)
    # Three packages today, 434.8 to the nearest; one more fits into what the reserve leaves, a second does not.
    assert whole.loc["up", ["today", "proposed"]].tolist() == [450, 600]
    with pytest.raises(BadParameters, match="name star, but the lines with a curve are up, full"):
        plan(known("green"), packages={"star": 5.0})


def test_a_line_that_does_not_earn_its_upkeep_is_switched_off_when_money_moves() -> None:
    cheap, dear = (plan(known("green"), upkeep={"full": cost}).moved for cost in (10.0, 2_000.0))
    assert cheap.lines.at["full", "fixed"] == 10 and cheap.lines.at["full", "proposed"] > 0
    assert dear.lines.loc["full", ["proposed", "fixed"]].tolist() == [0, 0]
    assert dear.spend <= dear.spend_today == pytest.approx(2 * 100 * WEEKS_OF_MONTH + 2_000)


def test_a_goal_is_priced_or_said_to_be_out_of_reach() -> None:
    # Up to three times today's 435 a month is allowed on `up`, and `full` brings 1,300 at most.
    done = plan(known("green"), goal=4_000.0)
    row = done.table.set_index("plan").loc["least_cost"]
    assert row["outcome"] == pytest.approx(4_000, rel=0.002) and row["allowed"]
    assert "CNY 4,000 a month from paid lines cost CNY" in done.goal_sentence
    far = plan(known("green"), goal=99_999.0)
    assert "out of reach" in far.goal_sentence and "least_cost" not in set(far.table["plan"])


def test_points_beyond_what_was_spent_are_not_told() -> None:
    rows = plan(known("green")).lines.numbers({"pays": "break_even", "back": "payback"}).set_index("line")
    assert rows.at["up", "pays"] == "beyond (beyond to beyond)"
    assert (
        rows.at["full", "pays"].startswith("CNY 188 (")
        and rows.at["up", "back"] == "1 weeks (1 weeks to 1 weeks)"
    )


def test_a_reserve_above_the_next_money_takes_all_of_it() -> None:
    done = plan(known("green"), reserve_share=0.5)
    assert done.placed.empty and done.more.terms.reserve == pytest.approx(300)
    assert "more than the next money" in done.reserve_sentence
    assert next(done.proposals()).rule == "budget.keep"


def test_past_shocks_are_what_months_took_above_the_usual() -> None:
    month = [day.date() for day in pd.date_range("2025-01-31", periods=12, freq="ME")]
    amount = [100.0] * 11 + [420.0]
    rows = {"cost_id": [str(n) for n in range(12)], "date": month, "kind": "content", "amount": amount}
    costs = pd.DataFrame(rows | {"currency": "CNY"})
    assert shocks(study(costs=costs)) == (0.0,) * 11 + (320.0,)


def test_an_outcome_without_a_price_is_asked_for() -> None:
    fitted = known("green")
    object.__setattr__(fitted.weeks.weekly, "unit", "orders")
    with pytest.raises(BadParameters, match="turnover one of orders"):
        budget.lines(fitted.study, fitted)


def test_the_sample_holds_the_planted_truth(sample: Path) -> None:
    here = Study.open(BudgetParameters(data=str(sample)))
    weeks = budget.weeks(here)
    found = fit(weeks.weekly, seed=here.seed)
    fitted = Fitted(here, weeks, found, Trust("amber", (FINE,)), pd.DataFrame())
    lines = budget.lines(here, fitted, margin=0.3)
    truth = pd.DataFrame(json.loads((sample / "truth.json").read_text("utf-8"))["advertising"])
    truth = truth.set_index("campaign_id")
    assert lines.turnover == pytest.approx(450, rel=0.02)
    seen = {line: lines.of(line, "return") for line in truth.index}
    assert all(seen[line].low <= truth.at[line, "return_per_cost"] <= seen[line].high for line in truth.index)
    overall = (truth["return_per_cost"] * truth["spend"]).sum() / truth["spend"].sum()
    assert lines.overall.low <= overall <= lines.overall.high
