"""A simulated community before any table is made: what is drawn as a whole, and its members block by block.

- Many of the members joined before the first day (the share `existing_share`), so the event log does not reach
  back to their beginning; the others joined while it ran. Some left (`left_at`); nobody comes back after leaving.
- Each member moves between the tiers silent, potential, active and core by calendar month, by a planted Markov
  chain: 0, 1-10, 11-50 or at least 51 interactions in the month. Counting interactions finds the planted tier
  again for everyone who was a member throughout the month.
- Returning from silence and leaving depend on where a member came from (`source`), on whether the first
  contribution was answered (`early_reply`), and leaving also on the tier of the month before, on the number of
  pushes of the month before and on tenure.
- `value` of an event is the amount paid for `pay` and empty for all others.
- Orders follow tier and taste (Gamma heterogeneity), amounts of goods are Gamma-Gamma. Some orders are caused by
  touchpoints; others are merely preceded by one, search above all, which last-touch rules get wrong. Lift tests of
  two channels stand in `evidence`, each off by as much as its error allows.
- Three experiments (a coupon that works, a cover style that does nothing, a daily push that harms a little), with
  some units never exposed. A fourth, an invitation to the live show, takes in members week by week, fewer of them
  invited at first; it works, above all on the platform of the show. The design of each lies in `experiments`.
- Advertising has carry-over and saturation, and its platforms claim too much.
- A double-11 promotion, a Spring Festival dip, an incident, a daily and a weekly rhythm, heavy tails, staff and
  bots (flagged, and very active), events that reach the warehouse days late. `metric_daily` counts every account,
  as a dashboard would.
- `ad_daily`, `costs` and the metric `conversions` describe the brand's advertising; their conversions are not the
  orders of `orders`, which belong to members.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from helpers.simulate.advertising import Advertising, draw_advertising
from helpers.simulate.behaviour import draw_behaviour
from helpers.simulate.calendar import Window
from helpers.simulate.experiments import Assignment, Plan, draw_assignments, make_plan
from helpers.simulate.lift_tests import HeldOut, draw_held_out
from helpers.simulate.members import draw_inviters, draw_members
from helpers.simulate.posts import Posts, draw_posts
from helpers.simulate.purchases import Purchases, draw_purchases
from helpers.simulate.waves import Waves, draw_waves

# Members per block of the generator. Part of the recipe: another size is another community.
BLOCK = 1_000

STREAMS = (
    *("members", "behaviour", "assignments", "purchases", "orders", "events", "delivery"),
    *("inviters", "referrals", "touchpoints", "member content", "posts", "content", "content_daily"),
    *("advertising", "ad_daily", "waves", "held out", "unseen", "evidence"),
)


@dataclass(frozen=True)
class World:
    """A community before its members are drawn.

    Attributes
    ----------
    members, seed : int
        Size and seed of the community.
    window : Window
        Its calendar and parameters.
    """

    members: int
    window: Window
    seed: int

    @cached_property
    def plans(self) -> tuple[Plan, ...]:
        """Experiments placed on the calendar."""
        return tuple(make_plan(self.window, experiment) for experiment in self.window.parameters.experiments)

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


class Block:
    """One block of members with all they do, as it is drawn before it is written into tables."""

    def __init__(self, world: World, number: int) -> None:
        self.world, self.window, self.number = world, world.window, number
        first = number * BLOCK
        count = min(BLOCK, world.members - first)
        self.members = draw_members(self.stream("members"), world.window, first, count, world.seed)
        self.behaviour = draw_behaviour(self.stream("behaviour"), self.members)
        draw_inviters(self.stream("inviters"), self.members)

    @cached_property
    def assignments(self) -> list[Assignment]:
        """Who takes part in which experiment, and how."""
        return draw_assignments(self.stream("assignments"), self.world.plans, self.members)

    @cached_property
    def waves(self) -> Waves:
        """Who is invited to the live show, and who comes."""
        return draw_waves(self.stream("waves"), self.members)

    @cached_property
    def purchases(self) -> Purchases:
        """Orders and touches."""
        held = self.held_out.held
        return draw_purchases(self.stream("purchases"), self.members, self.behaviour, self.assignments, held)

    @cached_property
    def held_out(self) -> HeldOut:
        """Who sees nothing of which channel."""
        return draw_held_out(self.stream("held out"), self.members)

    def stream(self, name: str) -> np.random.Generator:
        """Return the block's own random stream of one purpose."""
        return self.world.stream(name, self.number)
