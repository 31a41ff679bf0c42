"""The review on a small shop whose weeks are known: a hand count, planted changes, late data, promises, gaps."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from helpers.methods import weekly_review as review
from helpers.playbook.earlier import EarlierReports
from helpers.playbook.finding import Finding, finding
from helpers.playbook.glossary import define
from helpers.report.record import SUMMARY
from helpers.stats.estimate import Estimate
from helpers.stats.goals import period
from helpers.study import Study
from helpers.study.unusual_weeks import aligned_week
from helpers.study.weekly import METRICS

MONDAY = pd.Timestamp("2025-01-06")
WEEKS = 76
AS_OF = "2026-06-23"  # Tuesday: the last whole week is that of 2026-06-15
LAST = pd.Timestamp("2026-06-15")


def shop(counts: np.ndarray, first: pd.Timestamp = MONDAY) -> pd.DataFrame:
    """Orders at CNY 100, `counts` in each week, spread over its days and 60 members."""
    days = [
        first + pd.Timedelta(days=7 * week + n % 7) for week, k in enumerate(counts) for n in range(int(k))
    ]
    number = np.arange(len(days))
    paid = pd.DatetimeIndex(days).tz_localize("Asia/Shanghai").tz_convert("UTC") + pd.Timedelta(hours=12)
    member = [f"m{n:02d}" for n in np.random.default_rng(9).integers(0, 60, len(days))]
    return pd.DataFrame(
        {
            "order_id": number.astype(str),
            "member_id": member,
            "paid_at": paid,
            "gross": 100.0,
            "currency": "CNY",
        }
    )


def counts(last: int = 60, seed: int = 1) -> np.ndarray:
    made = np.random.default_rng(seed).poisson(60, WEEKS)
    made[-1] = last
    return made


@pytest.fixture
def study(study_of: Callable[..., Study]) -> Callable[..., Study]:
    def make(orders: pd.DataFrame, **tables: Any) -> Study:
        return study_of({"orders": orders, **tables}, AS_OF, about_members=False, method="weekly_review",
                        reads_reports=("rfm", "retention", "budget", "weekly_review"))  # fmt: skip

    return make


def none(tmp_path: Path) -> EarlierReports:
    return EarlierReports(tmp_path / "nothing", pd.Timestamp(AS_OF).date(), None, "weekly_review")


def put(
    folder: Path,
    series: str,
    day: str,
    found: list[Finding],
    tables: dict[str, pd.DataFrame],
    **manifest: Any,
) -> EarlierReports:
    """Publish a version beside those that are there."""
    version = len(list((folder / series).glob("v*"))) + 1
    home = folder / series / f"v{version}"
    (home / "tables").mkdir(parents=True)
    (home / "findings.json").write_text(json.dumps([one.model_dump(mode="json") for one in found]))
    for name, frame in tables.items():
        frame.to_parquet(home / "tables" / f"{name}.parquet")
    files = {"findings.json": {"sha256": (home / "findings.json").read_text()}}
    said = {"status": "succeeded", "failure": None, "parameters": {"as_of": day}, "files": files} | manifest
    (home / "manifest.json").write_text(json.dumps(said))
    return EarlierReports(folder, pd.Timestamp(AS_OF).date(), None, "weekly_review")


def rate(value: float, half: float, definition: str = "day_n") -> Finding:
    size = Estimate(value, value - half, value + half, 500, "share", "Wilson score", 0.95)
    return finding(size, id="retention.day_n", metric="Active on day 7", scope="all members", sentence="So it is.",
                   assumption="none", direction="up is good", definition=definition)  # fmt: skip


def test_weeks_are_counted_from_monday_in_the_zone_of_the_report(study: Callable[..., Study]) -> None:
    weekly = review.weekly_metrics(study(shop(counts())))
    orders = weekly.series("orders")["numerator"]
    assert weekly.week == LAST == orders.index[-1]
    assert orders.tolist() == counts()[-len(orders) :].tolist()
    money = weekly.series("net_revenue")["numerator"]
    assert (money == 100 * orders).all() and weekly.series("order_value")[
        "denominator"
    ].tolist() == orders.tolist()
    assert not {"ad_cost", "reach", "exits"} & {metric.id for metric in weekly.known}
    assert "Spend on advertising" in " ".join(part for part in weekly.told() if isinstance(part, str))


def test_what_moved_is_named_and_what_is_noise_is_called_noise(
    study: Callable[..., Study], tmp_path: Path
) -> None:
    quiet = review.moved(review.weekly_metrics(study(shop(counts(62)))), none(tmp_path))
    assert not quiet.movers and quiet.sentence.startswith("Nothing moved")
    fell = review.moved(review.weekly_metrics(study(shop(counts(25)))), none(tmp_path))
    assert {one.id for one in fell.movers} >= {"orders", "net_revenue"}
    assert {one.verdict for one in fell.movers} == {"worse"}
    assert [one.rule for one in fell.proposals()] == ["weekly_review.find_out"]
    noisy = counts(44)
    noisy[:-1] = np.random.default_rng(3).poisson(np.random.default_rng(4).gamma(10, 6, WEEKS - 1))
    loud = review.moved(review.weekly_metrics(study(shop(noisy))), none(tmp_path))
    assert not loud.movers and "orders" in {one.id for one in loud.noise}
    assert any("noise" in part for part in loud.told() if isinstance(part, str))


def test_no_change_goes_without_interval_or_too_little_data(
    study: Callable[..., Study], tmp_path: Path
) -> None:
    for weeks in (1, 6, WEEKS):
        orders = shop(counts()[-weeks:], LAST - pd.Timedelta(weeks=weeks - 1))
        moves = review.moved(review.weekly_metrics(study(orders)), none(tmp_path))
        for one in moves.moves:
            assert one.change.delta.known or one.verdict == "too little data"
            assert one.change.delta.known or "too little data" in moves.told_of(one)
        known = [one.change.delta.known for one in moves.moves if one.id in ("orders", "weekly_active")]
        assert all(known) if weeks == WEEKS else not any(known)
        assert all(one.value is not None or one.verdict == "too little data" for one in moves.stated())


def test_parts_of_a_change_add_up_to_it(study: Callable[..., Study], tmp_path: Path) -> None:
    members = pd.DataFrame(
        {"member_id": [f"m{n:02d}" for n in range(60)], "joined_at": pd.Timestamp("2024-01-01", tz="UTC")}
    )
    members["platform_home"] = ["douyin", "wechat", "weibo"] * 20
    moves = review.moved(review.weekly_metrics(study(shop(4 * counts(160)), members=members)), none(tmp_path))
    (change,) = [one.change for one in moves.moves if one.id == "orders"]
    parts = moves.parts_of[moves.parts_of["number"] == "Orders of a week"]
    assert len(parts) >= 3 and abs(parts["total"].sum() - (change.current - change.expected)) < 1e-9


def test_the_spring_festival_is_compared_with_the_festival_and_not_with_the_date(
    study_of: Callable[..., Study], tmp_path: Path
) -> None:
    assert aligned_week(pd.Timestamp("2026-02-16")) == pd.Timestamp("2025-01-27")
    assert aligned_week(pd.Timestamp("2026-02-23")) == pd.Timestamp("2025-02-03")
    assert aligned_week(pd.Timestamp("2026-06-15")) == pd.Timestamp("2025-06-16")
    made = np.random.default_rng(5).poisson(60, 80)
    first = pd.Timestamp("2024-08-12")
    for day in ("2025-01-27", "2026-02-16"):
        made[(pd.Timestamp(day) - first).days // 7] = 20
    held = study_of({"orders": shop(made, first)}, "2026-02-22", about_members=False)
    (one,) = [m for m in review.moved(review.weekly_metrics(held), none(tmp_path)).moves if m.id == "orders"]
    assert one.verdict == "no clear change" and "2025-01-27" in one.why
    short = study_of(
        {"orders": shop(made[40:], first + pd.Timedelta(weeks=40))}, "2026-02-22", about_members=False
    )
    told = review.moved(review.weekly_metrics(short), none(tmp_path))
    (one,) = [m for m in told.moves if m.id == "orders"]
    assert one.verdict == "provisional" and not one.moved and not told.noise
    assert told.sentence.endswith("its changes are provisional.")


def targets(target: float, month: str = "2026-07") -> pd.DataFrame:
    return pd.DataFrame({"metric": ["orders"], "scope": "all", "period": month, "target": target, "owner": "lead",
                         "direction": "up"})  # fmt: skip


def test_a_goal_has_a_pace_a_forecast_and_a_chance(study: Callable[..., Study], tmp_path: Path) -> None:
    assert period("2026-Q3") == (pd.Timestamp("2026-07-01"), pd.Timestamp("2026-09-30"))
    assert period("2026-W25") == (LAST, LAST + pd.Timedelta(days=6)) and period("soon") is None
    assert period("2026-H2") == (pd.Timestamp("2026-07-01"), pd.Timestamp("2026-12-31"))
    chances = []
    for target in (150, 250, 400):
        weekly = review.weekly_metrics(study(shop(counts()), targets=targets(target)))
        (row,) = review.goals(weekly, none(tmp_path)).table.to_dict("records")
        assert (
            row["forecast"] == pytest.approx(row["pace"] * 31 / 7)
            and row["low"] < row["forecast"] < row["high"]
        )
        chances.append(row["p_hit"])
    assert chances[0] > 0.9 and chances[2] < 0.1 and chances == sorted(chances, reverse=True)
    missed = review.goals(weekly, none(tmp_path))
    assert [one.rule for one in missed.proposals()] == ["weekly_review.replan"]
    weekly = review.weekly_metrics(
        study(shop(counts()[-6:], LAST - pd.Timedelta(weeks=5)), targets=targets(250))
    )
    thin = review.goals(weekly, none(tmp_path))
    assert np.isnan(thin.table["p_hit"].iloc[0]) and "Too little data" in thin.told_of(
        thin.table.iloc[0].to_dict()
    )


def test_chances_that_did_not_come_true_are_called_too_high(
    study: Callable[..., Study], tmp_path: Path
) -> None:
    weekly = review.weekly_metrics(study(shop(counts())))
    months = ["2026-01", "2026-02", "2026-03", "2026-04"]
    promised = pd.concat([targets(100 if month == "2026-01" else 900, month) for month in months])
    promised = promised.assign(goal="Orders", metric="orders", p_hit=0.8, unit="orders")
    reports = put(tmp_path, "weekly_review/all", "2025-12-31", [], {"goals": promised})
    record = review.track_record(weekly, reports)
    assert record.kept.n == 4 and record.kept.came == 0.25 and record.verdict == "too high"
    assert "too high" in record.sentence and record.brier == pytest.approx((0.04 + 3 * 0.64) / 4)
    assert [one.rule for one in record.proposals()] == ["weekly_review.lower_chances"]
    kept = review.track_record(weekly, put(tmp_path / "b", "weekly_review/all", "2025-12-31", [],
                                           {"goals": promised.assign(target=100)}))  # fmt: skip
    assert kept.verdict == "" and kept.kept.came == 1.0


def test_late_data_that_flip_a_verdict_are_named(study: Callable[..., Study], tmp_path: Path) -> None:
    before = counts(60)
    before[-2] = 25  # of the week before, half came in late
    early = review.weekly_metrics(study(shop(before))).until(LAST - pd.Timedelta(weeks=1))
    told = review.moved(early, none(tmp_path))
    assert "orders" in {one.id for one in told.movers}
    tables = {"moved": told.table, "weekly_metrics": early.table}
    reports = put(tmp_path, "weekly_review/all", "2026-06-16", [], tables)
    after = before.copy()
    after[-2] = 61
    now = review.restated(review.moved(review.weekly_metrics(study(shop(after))), reports), reports)
    assert {one.title for one in now.rows if one.flipped} >= {"Orders of a week"}
    assert "flipped" in now.sentence and "2026-06-08" in now.sentence
    same = review.restated(review.moved(review.weekly_metrics(study(shop(before))), reports), reports)
    assert not same.rows and "nothing" in same.sentence
    renamed = {"moved": told.table, "weekly_metrics": early.table.assign(definition_id="old_orders")}
    reports = put(tmp_path / "b", "weekly_review/all", "2026-06-16", [], renamed)
    other = review.restated(review.moved(review.weekly_metrics(study(shop(after))), reports), reports)
    assert not other.rows and "Orders of a week" in other.redefined


def test_findings_of_other_reports_are_compared_only_when_they_mean_the_same(
    study: Callable[..., Study], tmp_path: Path
) -> None:
    weekly = review.weekly_metrics(study(shop(counts())))
    put(tmp_path, "retention/all", "2026-06-16", [rate(0.30, 0.02)], {})
    reports = put(tmp_path, "retention/all", "2026-06-23", [rate(0.40, 0.02)], {})
    moves = review.moved(weekly, reports)
    assert [one.verdict for one in moves.moves if "#" in one.id] == ["better"]
    stale = next(review.moved(weekly.until(LAST - pd.Timedelta(weeks=9)), none(tmp_path)).stated())
    put(tmp_path, "weekly_review/all", "2026-06-16", [stale], {})
    leading = review.headline(moves, EarlierReports(tmp_path, reports.as_of, None, "weekly_review"))
    (carried,) = leading.carried
    now = {one.id: one.value for one in leading.found()}
    assert now[stale.id] != stale.value, "its own earlier number is no number of today"
    assert carried.definition == "day_n" and carried.value == 0.40
    reports = put(tmp_path, "retention/all", "2026-06-23", [rate(0.40, 0.02, "silent")], {})
    other = review.moved(weekly, reports)
    assert not [one for one in other.moves if "#" in one.id] and "another" in other.not_compared[0]


def test_a_missing_or_failed_report_and_an_empty_folder_leave_a_line_and_no_error(
    study: Callable[..., Study], tmp_path: Path
) -> None:
    here = study(shop(counts(62)))
    reports = put(tmp_path, "rfm/all", "2026-06-23", [], {}, status="failed", failure={"message": "no luck"})
    health = review.report_health(here, reports)
    assert "failed: rfm/all" in health.sentence and "retention" in health.sentence
    assert (
        review.topic(here, reports, "money").sentence
        == "Money spent and earned: not run, there is no report of it."
    )
    moves = review.moved(review.weekly_metrics(here), reports)
    actions, goals = review.earlier_actions(moves, reports), review.goals(moves.weekly, reports)
    asked = (review.headline(moves, reports), goals, review.track_record(moves.weekly, reports), moves)
    decided = review.decisions(here, reports, actions, asked)
    assert decided.approve == () and decided.sentence == "Nothing to decide this week."
    assert goals.sentence == "Goals: not run: table targets missing."
    text = review.summary(asked[0], decided, "https://reports.example")
    assert len(text) <= SUMMARY and "Nothing to decide" in text and text.count("(") >= 3
    assert text.endswith("https://reports.example/index.html")


def asked_of(study: Study, folder: Path) -> tuple[Any, Any]:
    """Return what became of actions, and what is asked in a week that fell, with the register of a folder."""
    reports = put(folder, "rfm/all", "2026-06-23", [], {})
    moves = review.moved(review.weekly_metrics(study), reports)
    actions = review.earlier_actions(moves, reports)
    return actions, review.decisions(study, reports, actions, (review.headline(moves, reports), moves))


@pytest.mark.parametrize("decision", ["accepted", "rejected"])
def test_what_the_review_proposed_itself_is_not_asked_again_until_its_day(
    study: Callable[..., Study], tmp_path: Path, decision: str
) -> None:
    for check_on, asked in (("2026-06-30", []), ("2026-06-22", ["weekly_review.find_out"])):
        line = {"id": "weekly_review/all/weekly_review.find_out@2026-06-16", "at": "2026-06-17T09:00:00+08:00",
                "who": "lead"}  # fmt: skip
        shot = {"event": "proposed", "title": "Find out", "created": "2026-06-16", "check_on": check_on}
        lines = [json.dumps(line | shot), json.dumps(line | {"event": decision})]
        (tmp_path / "actions.jsonl").write_text("\n".join(lines))
        _, decided = asked_of(study(shop(counts(25))), tmp_path)
        assert [one.id for one in decided.approve] == asked


def test_a_damaged_register_leaves_a_line_and_the_rest_of_the_page(
    study: Callable[..., Study], tmp_path: Path
) -> None:
    (tmp_path / "actions.jsonl").write_text('{"event": "acc')
    actions, decided = asked_of(study(shop(counts(25))), tmp_path)
    assert "actions.jsonl, line 1" in next(part for part in actions.told() if isinstance(part, str))
    assert [one.id for one in decided.approve] == ["weekly_review.find_out"]


def test_no_number_is_computed_in_two_places() -> None:
    """The weekly numbers have terms of their own, and no finding of another method speaks of one."""
    golden = Path(__file__).parents[2] / "golden" / "values"
    published = {name for path in golden.glob("sample-*.json") if "13_" not in path.name
                 for name in json.loads(path.read_text("utf-8"))["findings"]}  # fmt: skip
    own = [metric.id for metric in METRICS]
    assert len(set(own)) == len(own) and all(define(name) for name in own)
    assert not {name.rpartition(".")[2] for name in published} & set(own)
