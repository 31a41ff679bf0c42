"""What operators write down by hand: the event calendar, goals and the ledger."""

from __future__ import annotations

from datetime import timedelta

import numpy as np

from helpers.simulate.advertising import Advertising
from helpers.simulate.calendar import DAY, Window
from helpers.simulate.columns import Columns, Constant, Days, Digits, Instants, Words
from helpers.simulate.experiments import Plan
from helpers.simulate.parameters import TIERS

KINDS = ("content", "ads", "tools", "people", "incentive")
EFFORT_SHARES = (0.08, 0.17, 0.30, 0.45)
"""Share of people and incentive cost spent on each tier, from silent to core."""

MONTHLY_PER_THOUSAND = {"content": 9_000.0, "tools": 1_500.0, "people": 8_000.0, "incentive": 2_400.0}

Entry = tuple[int, int, str, str, str, str]


def _entries(window: Window, plans: tuple[Plan, ...]) -> list[Entry]:
    """Return calendar entries: first day, last day, kind, grade, scope, note."""
    entries: list[Entry] = []
    for first, last in window.promotions:
        entries.append(
            (first, last, "promo", "S", "all", "双11大促 (double-11 promotion); the peak is its last day")
        )
    for first, last in window.holidays:
        entries.append((first, last, "holiday", "S", "all", "春节 (Spring Festival) week"))
    first, last = window.incident
    if last >= first:
        entries.append(
            (first, last, "incident", "A", "all", "负面舆情 (a complaint spread across platforms)")
        )
    for plan in plans:
        if plan.last >= plan.first:
            entries.append((plan.day, plan.last, "experiment", "", plan.experiment.exp_id, "outcome window"))
    rule = int(window.days * 0.35)
    entries.append((rule, rule, "platform_rule", "B", "douyin", "推荐规则调整 (announced; no effect)"))
    entries.append(
        (int(window.days * 0.6), int(window.days * 0.63), "competitor", "B", "all", "竞品上新 (no effect)")
    )
    return sorted(entries)


def annotation_columns(window: Window, plans: tuple[Plan, ...]) -> Columns:
    """Return the ``annotations`` table."""
    entries = _entries(window, plans)
    first, last, kinds, grades, scopes, notes = zip(*entries, strict=True)
    return {
        "annotation_id": [f"note_{number + 1:03d}" for number in range(len(entries))],
        "start": Days(np.array(first), window.start),
        "end": Days(np.array(last), window.start),
        "kind": list(kinds),
        "grade": [grade or None for grade in grades],
        "scope": list(scopes),
        "note": list(notes),
        "source": Constant("operations_calendar"),
        "ingested_at": Instants(np.full(len(entries), window.days * DAY + 2 * 3_600), window.epoch),
    }


def target_columns(window: Window, members: int) -> Columns:
    """Return the ``targets`` table: goals of the quarter after the window."""
    after = window.end + timedelta(days=1)
    period = f"{after.year}-Q{(after.month - 1) // 3 + 1}"
    goals = [
        ("active_members", "all", 0.20 * members, 0.17 * members, "community_lead", "up"),
        ("core_share", "all", 0.08, 0.06, "community_lead", "up"),
        ("left_members", "all", 0.05 * members, 0.06 * members, "retention_lead", "down"),
        ("net_revenue", "all", 70.0 * members, 60.0 * members, "commerce_lead", "up"),
        ("return_per_cost", "ads", 4.0, 3.0, "growth_lead", "up"),
    ]
    metric, scope, target, baseline, owner, direction = zip(*goals, strict=True)
    return {
        "metric": list(metric),
        "scope": list(scope),
        "period": Words(np.zeros(len(goals), int), [period]),
        "target": np.array(target),
        "baseline": np.array(baseline),
        "owner": list(owner),
        "direction": list(direction),
        "source": Constant("plan"),
        "ingested_at": Instants(np.full(len(goals), window.days * DAY + 2 * 3_600), window.epoch),
    }


def cost_columns(window: Window, ads: Advertising) -> Columns:
    """Return the ``costs`` ledger: one entry per month and purpose, booked on the month's last day.

    People and incentives are split by the tier they were spent on (``project`` is ``tier:<tier>``); ads are
    what was really spent.
    """
    rows: list[tuple[int, str, bool, float, str, int]] = []
    daily = ads.spend.sum(axis=0)
    for month in window.months:
        rows.append(
            (month.last, "ads", False, float(daily[month.first : month.last + 1].sum()), "campaigns", 2)
        )
        for kind, amount in MONTHLY_PER_THOUSAND.items():
            total = amount * ads.size * month.share
            if kind in ("people", "incentive"):
                for tier, share in zip(TIERS, EFFORT_SHARES, strict=True):
                    rows.append((month.last, kind, kind == "people", total * share, f"tier:{tier}", 1))
            else:
                rows.append((month.last, kind, kind == "tools", total, "community", 1))
    day, kinds, fixed, amounts, projects, levels = zip(*rows, strict=True)
    return {
        "cost_id": Digits(880_000_000_000_000_000 + np.arange(len(rows))),
        "date": Days(np.array(day), window.start),
        "kind": Words(np.array([KINDS.index(kind) for kind in kinds]), KINDS),
        "fixed": np.array(fixed),
        "amount": np.round(np.array(amounts), 2),
        "currency": Constant("CNY"),
        "project": list(projects),
        "approver_level": np.array(levels),
        "source": Constant("ledger"),
        "ingested_at": Instants((np.array(day) + 1) * DAY + 8 * 3_600, window.epoch),
    }
