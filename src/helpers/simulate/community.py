"""One generator for both ways out: blocks of members, each from its own random streams."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from helpers.simulate.advertising import Advertising, ad_daily_columns, draw_advertising
from helpers.simulate.behaviour import Behaviour, draw_behaviour
from helpers.simulate.calendar import Window
from helpers.simulate.columns import Columns
from helpers.simulate.content import (
    Posts,
    content_columns,
    content_daily_columns,
    draw_posts,
    member_content_columns,
    member_post_numbers,
)
from helpers.simulate.events import CODE, Events, draw_events, event_columns, mix_tables
from helpers.simulate.experiments import Plan, assignment_columns, draw_assignments, make_plan
from helpers.simulate.members import Members, draw_inviters, draw_members, member_columns
from helpers.simulate.metrics import Totals, metric_columns
from helpers.simulate.operations import annotation_columns, cost_columns, target_columns
from helpers.simulate.orders import order_columns
from helpers.simulate.purchases import Purchases, draw_purchases
from helpers.simulate.touchpoints import referral_columns, touch_columns
from helpers.simulate.truth import Account

BLOCK = 1_000
"""Members per block of the generator. Part of the recipe: another size is another community."""

MEMBER_TABLES = ("members", "events", "orders", "touchpoints", "assignments", "referrals", "content")
"""Tables that grow with members and are made block by block; ``content`` begins with the operator's posts."""

COMMUNITY_TABLES = ("content_daily", "ad_daily", "metric_daily", "annotations", "targets", "costs")
TABLES = MEMBER_TABLES + COMMUNITY_TABLES

NEEDS_EVENTS = frozenset({"events", "content", "metric_daily"})
STREAMS = (
    *("members", "behaviour", "assignments", "purchases", "orders", "events", "delivery"),
    *("inviters", "referrals", "touchpoints", "member content", "posts", "content", "content_daily"),
    *("advertising", "ad_daily"),
)


@dataclass
class Generator:
    """Makes the tables of one community; `account` and `totals` fill up as blocks are made.

    Attributes
    ----------
    members, seed : int
        Size and seed of the community.
    window : Window
        Its calendar and parameters.
    tables : collection of str
        Tables to make. What is left out never changes the others.
    """

    members: int
    window: Window
    seed: int
    tables: Collection[str]

    def __post_init__(self) -> None:
        self.account, self.totals = Account(self.window), Totals(self.window)
        self.draws_events = bool(NEEDS_EVENTS & set(self.tables))

    @property
    def blocks(self) -> int:
        """Number of blocks."""
        return -(-self.members // BLOCK)

    @cached_property
    def plans(self) -> tuple[Plan, ...]:
        """Experiments placed on the calendar."""
        return tuple(make_plan(self.window, experiment) for experiment in self.window.parameters.experiments)

    @cached_property
    def mixes(self) -> np.ndarray:
        """Event codes to draw from."""
        return mix_tables(self.window)

    @cached_property
    def posts(self) -> Posts:
        """The operator's posts."""
        return draw_posts(self.stream("posts"), self.window)

    @cached_property
    def advertising(self) -> Advertising:
        """Spend and response of all campaigns."""
        return draw_advertising(self.stream("advertising"), self.window, self.members)

    def stream(self, name: str, block: int = 0) -> np.random.Generator:
        """Return the random stream of one purpose and block; no stream depends on another."""
        key = (STREAMS.index(name), block)
        return np.random.Generator(np.random.SFC64(np.random.SeedSequence(self.seed, spawn_key=key)))

    def block(self, number: int) -> dict[str, Columns]:
        """Generate one block of members and return its part of each table."""
        window, first = self.window, number * BLOCK
        count = min(BLOCK, self.members - first)
        members = draw_members(self.stream("members", number), window, first, count, self.seed)
        behaviour = draw_behaviour(self.stream("behaviour", number), window, members)
        draw_inviters(self.stream("inviters", number), members)
        assignments = draw_assignments(self.stream("assignments", number), self.plans, window, members)
        stream = self.stream("purchases", number)
        purchases = draw_purchases(stream, window, members, behaviour, assignments)
        self.account.add(members, behaviour, purchases, assignments)
        made = {
            "orders": order_columns(self.stream("orders", number), window, members, purchases.orders, number)
        }
        if "members" in self.tables:
            made["members"] = member_columns(members, window)
        if "assignments" in self.tables:
            made["assignments"] = assignment_columns(assignments, members, window)
        if "touchpoints" in self.tables:
            stream = self.stream("touchpoints", number)
            made["touchpoints"] = touch_columns(stream, window, members, purchases.touches, number)
        if "referrals" in self.tables:
            made["referrals"] = referral_columns(self.stream("referrals", number), window, members, number)
        if self.draws_events:
            self._add_events(number, made, members, behaviour, purchases)
        return {name: made[name] for name in self.tables if name in made}

    def _add_events(
        self,
        number: int,
        made: dict[str, Columns],
        members: Members,
        behaviour: Behaviour,
        purchases: Purchases,
    ) -> None:
        """Draw events and add the tables that rest on them."""
        window, orders = self.window, made["orders"]
        paid, stream = orders["gross"] - orders["discount"], self.stream("events", number)
        events = draw_events(
            stream, window, members, behaviour, purchases.orders, np.round(paid, 2), self.mixes
        )
        if "metric_daily" in self.tables:
            self.totals.add(members, events, purchases.orders.seconds, paid - orders["refund"])
        if "events" in self.tables:
            stream = self.stream("delivery", number)
            made["events"] = event_columns(stream, window, members, events, self.posts, number)
        if "content" in self.tables:
            made["content"] = self._member_content(number, members, events)

    def _member_content(self, number: int, members: Members, events: Events) -> Columns:
        posts = events.code == CODE["post"]
        return member_content_columns(
            self.stream("member content", number),
            self.window,
            member_post_numbers(number, int(posts.sum())),
            members.number[events.member[posts]],
            events.seconds[posts],
            events.platform[posts],
        )

    def opening(self) -> dict[str, Columns]:
        """Return rows that come before those of any block."""
        if "content" not in self.tables:
            return {}
        return {"content": content_columns(self.stream("content"), self.window, self.posts)}

    def closing(self) -> dict[str, Columns]:
        """Return the tables of the community as a whole, after the last block."""
        window, members, ads = self.window, self.members, self.advertising
        makers = {
            "content_daily": lambda: content_daily_columns(
                self.stream("content_daily"), window, self.posts, members
            ),
            "ad_daily": lambda: ad_daily_columns(self.stream("ad_daily"), window, ads),
            "metric_daily": lambda: metric_columns(self.totals, ads),
            "annotations": lambda: annotation_columns(window, self.plans),
            "targets": lambda: target_columns(window, members),
            "costs": lambda: cost_columns(window, ads),
        }
        return {name: maker() for name, maker in makers.items() if name in self.tables}
