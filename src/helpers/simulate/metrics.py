"""Daily aggregates, summed over blocks, as a platform's dashboard would show them."""

from __future__ import annotations

import numpy as np

from helpers.simulate.advertising import INCOMPLETE_DAYS, Advertising
from helpers.simulate.calendar import DAY, Window
from helpers.simulate.columns import NEVER, Columns, Constant, Days, Instants, Words
from helpers.simulate.events import CODE, EVENTS, Events
from helpers.simulate.members import Members
from helpers.simulate.parameters import INTERACTION_EVENTS, PLATFORMS

BRAND = ("active_members", "members", "new_members", "left_members", "orders", "net_revenue", "conversions")
"""Metrics of the whole brand. ``conversions`` belongs to the advertising world of ``ad_daily``."""

BY_PLATFORM = ("interactions", "views", "new_members")
UNITS = {"net_revenue": "CNY", "orders": "orders", "conversions": "conversions", "interactions": "events"}
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
    window = totals.window
    new = totals.new.sum(axis=1)
    brand = {
        "active_members": totals.active,
        "members": totals.before + np.cumsum(new - totals.left),
        "new_members": new,
        "left_members": totals.left,
        "orders": totals.orders,
        "net_revenue": np.round(totals.revenue, 2),
        "conversions": ads.conversions,
    }
    interactions = totals.events[:, :, [EVENTS.index(name) for name in INTERACTION_EVENTS]].sum(axis=2)
    platform = {
        "interactions": interactions,
        "views": totals.events[:, :, CODE["view"]],
        "new_members": totals.new,
    }
    values = [brand[name] for name in BRAND] + [platform[name].T.ravel() for name in BY_PLATFORM]
    scope = np.repeat(
        np.r_[np.zeros(len(BRAND), int), np.tile(np.arange(1, len(PLATFORMS) + 1), 3)], window.days
    )
    names = tuple(dict.fromkeys(BRAND + BY_PLATFORM))
    rows = [names.index(name) for name in BRAND]
    rows += [names.index(name) for name in BY_PLATFORM for _ in PLATFORMS]
    metric = np.repeat(rows, window.days)
    day = np.tile(np.arange(window.days), len(scope) // window.days)
    units = [UNITS.get(name, "members") if name != "views" else "events" for name in names]
    labels = list(dict.fromkeys(units))
    return {
        "date": Days(day, window.start),
        "scope_type": Words((scope > 0).astype(np.int8), ("brand", "platform")),
        "scope_id": Words(scope, ("all", *PLATFORMS)),
        "metric": Words(metric, names),
        "value": np.concatenate(values).astype(float),
        "unit": Words(np.array([labels.index(unit) for unit in units])[metric], labels),
        "is_complete": day < window.days - INCOMPLETE_DAYS,
        "source": Constant("dashboard"),
        "ingested_at": Instants((day + 1) * DAY + 8 * 3_600, window.epoch),
    }
