"""Daily aggregates, summed over blocks, as a platform's dashboard would show them."""

from __future__ import annotations

import numpy as np

from helpers.simulate.advertising import INCOMPLETE_DAYS, Advertising
from helpers.simulate.calendar import DAY, Window
from helpers.simulate.columns import NEVER, Columns, days, exported, words
from helpers.simulate.events import CODE, EVENTS, Events
from helpers.simulate.members import Members
from helpers.simulate.parameters import INTERACTION_EVENTS, PLATFORMS

UNITS = {
    **{"net_revenue": "CNY", "orders": "orders", "conversions": "conversions"},
    **{"interactions": "events", "views": "events"},
}
NOT_ACTIVE = ("push_sent", "leave")


class Totals:
    """Running sums over blocks; every account counts, staff and bots too, as on a dashboard."""

    def __init__(self, window: Window) -> None:
        self.window = window
        self.events = np.zeros((window.days, len(PLATFORMS), len(EVENTS)), dtype=np.int64)
        self.new = np.zeros((window.days, len(PLATFORMS)), dtype=np.int64)
        self.before = 0
        self.left, self.active, self.orders = (np.zeros(window.days, dtype=np.int64) for _ in range(3))
        self.revenue = np.zeros(window.days)

    def add(
        self, members: Members, events: Events, order_seconds: np.ndarray, net_revenue: np.ndarray
    ) -> None:
        """Add one block."""
        days, shape = self.window.days, self.events.shape
        day = events.seconds // DAY
        cell = (day * shape[1] + events.platform) * shape[2] + events.code
        self.events += np.bincount(cell, minlength=self.events.size).reshape(shape)
        acts = ~np.isin(np.arange(len(EVENTS)), [CODE[name] for name in NOT_ACTIVE])[events.code]
        seen = np.zeros((len(members), days), dtype=bool)
        seen[events.member[acts], day[acts]] = True
        self.active += seen.sum(axis=0)
        joined = members.joined >= 0
        cell = members.join_day[joined] * shape[1] + members.platform[joined]
        self.new += np.bincount(cell, minlength=self.new.size).reshape(self.new.shape)
        self.before += int((~joined).sum())
        self.left += np.bincount(members.left[members.left != NEVER] // DAY, minlength=days)
        self.orders += np.bincount(order_seconds // DAY, minlength=days)
        self.revenue += np.bincount(order_seconds // DAY, net_revenue, days)


def metric_columns(totals: Totals, ads: Advertising) -> Columns:
    """Return ``metric_daily``: brand metrics first, then metrics by platform."""
    window, new = totals.window, totals.new.sum(axis=1)
    interactions = totals.events[:, :, [CODE[name] for name in INTERACTION_EVENTS]].sum(axis=2)
    brand = [
        ("active_members", totals.active),
        ("members", totals.before + np.cumsum(new - totals.left)),
        ("new_members", new),
        ("left_members", totals.left),
        ("orders", totals.orders),
        ("net_revenue", np.round(totals.revenue, 2)),
        ("conversions", ads.organic + ads.incremental.sum(axis=0)),
    ]
    by_platform = {
        "interactions": interactions,
        "views": totals.events[:, :, CODE["view"]],
        "new_members": totals.new,
    }
    series = [(0, *each) for each in brand]
    for name, table in by_platform.items():
        series += [(scope, name, values) for scope, values in enumerate(table.T, start=1)]
    scopes, metrics, values = zip(*series, strict=True)
    names = list(dict.fromkeys(metrics))
    scope = np.repeat(scopes, window.days)
    metric = np.repeat([names.index(name) for name in metrics], window.days)
    day = np.tile(np.arange(window.days), len(series))
    units = [UNITS.get(name, "members") for name in names]
    labels = list(dict.fromkeys(units))
    return {
        "date": days(day, window),
        "scope_type": words((scope > 0).astype(np.int8), ("brand", "platform")),
        "scope_id": words(scope, ("all", *PLATFORMS)),
        "metric": words(metric, names),
        "value": np.concatenate(values).astype(float),
        "unit": words(np.array([labels.index(unit) for unit in units])[metric], labels),
        "is_complete": day < window.days - INCOMPLETE_DAYS,
        **exported("dashboard", (day + 1) * DAY + 8 * 3_600, window),
    }
