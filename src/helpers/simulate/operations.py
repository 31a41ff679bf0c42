"""What operators write down by hand: the event calendar, goals and the ledger."""

from __future__ import annotations

from datetime import timedelta

import numpy as np

from helpers.simulate.advertising import Advertising
from helpers.simulate.calendar import DAY, Window
from helpers.simulate.columns import Columns, constant, days, digits, exported, words
from helpers.simulate.experiments import Plan
from helpers.simulate.parameters import SOURCES, TIERS

KINDS = ("content", "ads", "tools", "people", "incentive")
# Share of people and incentive cost spent on each tier, from silent to core.
EFFORT_SHARES = (0.08, 0.17, 0.30, 0.45)

MONTHLY_PER_THOUSAND = {"content": 9_000.0, "tools": 1_500.0, "people": 8_000.0, "incentive": 2_400.0}


def _entries(window: Window, plans: tuple[Plan, ...]) -> list[tuple[int, int, str, str | None, str, str]]:
    """Return calendar entries: first day, last day, kind, grade, scope, note."""
    promotion = ("promo", "S", "all", "双11大促 (double-11 promotion); the peak is its last day")
    incident = ("incident", "A", "all", "负面舆情 (a complaint spread across platforms)")
    campaign = ("promo", "B", "all", f"{SOURCES[-1]} 带新 (a creator's campaign brings newcomers)")
    held, outcome = [plan for plan in plans if plan.last >= plan.first], "outcome window"
    rule, new = int(window.days * 0.35), (int(window.days * 0.6), int(window.days * 0.63))
    entries = [
        *((*span, *promotion) for span in window.promotions),
        *((*span, "holiday", "S", "all", "春节 (Spring Festival) week") for span in window.holidays),
        *((*span, *incident) for span in [window.incident] if span[1] >= span[0]),
        *((*span, *campaign) for span in window.creators),
        *((plan.day, plan.last, "experiment", "", plan.experiment.exp_id, outcome) for plan in held),
        (rule, rule, "platform_rule", "B", "douyin", "推荐规则调整 (announced; no effect)"),
        (*new, "competitor", "B", "all", "竞品上新 (no effect)"),
    ]
    return sorted(entries)


def annotation_columns(window: Window, plans: tuple[Plan, ...]) -> Columns:
    """Return the ``annotations`` table."""
    first, last, kinds, grades, scopes, notes = zip(*_entries(window, plans), strict=True)
    return {
        "annotation_id": [f"note_{number:03d}" for number in range(1, len(notes) + 1)],
        "start": days(np.array(first), window),
        "end": days(np.array(last), window),
        "kind": list(kinds),
        "grade": [grade or None for grade in grades],
        "scope": list(scopes),
        "note": list(notes),
        **exported("operations_calendar", _at_the_end(window, len(notes)), window),
    }


def _at_the_end(window: Window, rows: int) -> np.ndarray:
    return np.full(rows, window.days * DAY + 2 * 3_600)


def target_columns(window: Window, members: int) -> Columns:
    """Return the ``targets`` table: goals of the quarter after the window."""
    after, goal = window.end + timedelta(days=1), window.parameters.value_per_conversion * members * 2 / 3
    period = f"{after.year}-Q{(after.month - 1) // 3 + 1}"
    goals = [
        ("active_members", "all", period, 0.20 * members, 0.17 * members, "community_lead", "up"),
        ("core_share", "all", period, 0.08, 0.06, "community_lead", "up"),
        ("left_members", "all", period, 0.05 * members, 0.06 * members, "retention_lead", "down"),
        ("net_revenue", "all", period, goal, goal * 6 / 7, "commerce_lead", "up"),
        ("return_per_cost", "ads", period, 4.0, 3.0, "growth_lead", "up"),
    ]
    names = ("metric", "scope", "period", "target", "baseline", "owner", "direction")
    columns = dict(zip(names, map(list, zip(*goals, strict=True)), strict=True))
    return columns | exported("plan", _at_the_end(window, len(goals)), window)


def cost_columns(window: Window, ads: Advertising) -> Columns:
    """Return the ``costs`` ledger: one entry per month and purpose, booked on the month's last day.

    People and incentives are split by the tier they were spent on (``project`` is ``tier:<tier>``); ads are
    what was really spent.
    """
    rows: list[tuple[int, str, bool, float, str, int]] = []
    daily = ads.spend.sum(axis=0)
    for month in window.months:
        spent = float(daily[month.first : month.last + 1].sum())
        rows.append((month.last, "ads", False, spent, "campaigns", 2))
        for kind, amount in MONTHLY_PER_THOUSAND.items():
            total = amount * ads.size * month.share
            if kind in ("people", "incentive"):
                for tier, share in zip(TIERS, EFFORT_SHARES, strict=True):
                    rows.append((month.last, kind, kind == "people", total * share, f"tier:{tier}", 1))
            else:
                rows.append((month.last, kind, kind == "tools", total, "community", 1))
    day, kinds, fixed, amounts, projects, levels = map(np.array, zip(*rows, strict=True))
    return {
        "cost_id": digits(880_000_000_000_000_000 + np.arange(len(rows))),
        "date": days(day, window),
        "kind": words(np.array([KINDS.index(kind) for kind in kinds]), KINDS),
        "fixed": fixed,
        "amount": np.round(amounts, 2),
        "currency": constant("CNY", len(rows)),
        "project": projects,
        "approver_level": levels,
        **exported("ledger", (day + 1) * DAY + 8 * 3_600, window),
    }
