"""One generator for both ways out: the tables of a community, block by block."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa

from helpers.simulate.advertising import ad_daily_columns
from helpers.simulate.columns import Columns, to_arrow
from helpers.simulate.content import content_columns, content_daily_columns, member_content_columns
from helpers.simulate.events import draw_events, event_columns
from helpers.simulate.experiments import assignment_columns
from helpers.simulate.lift_tests import evidence_columns
from helpers.simulate.members import member_columns
from helpers.simulate.metrics import Totals, metric_columns
from helpers.simulate.operations import annotation_columns, cost_columns, target_columns
from helpers.simulate.orders import order_columns
from helpers.simulate.touchpoints import referral_columns, touch_columns
from helpers.simulate.truth import Account
from helpers.simulate.world import BLOCK, Block, World

# The first ones grow with members and are made block by block; ``content`` begins with the operator's posts.
TABLES = (
    *("members", "events", "orders", "touchpoints", "assignments", "unit_outcomes", "referrals", "content"),
    *("content_daily", "ad_daily", "metric_daily", "annotations", "targets", "costs", "evidence"),
)

NEED_EVENTS = {"events", "content", "metric_daily"}

# Rows of some tables.
Part = dict[str, pa.Table]


class Generator:
    """Makes the tables of one community; `account` and `totals` fill up as blocks are made.

    Parameters
    ----------
    world : World
        The community.
    tables : collection of str
        Tables to make. What is left out never changes the others.
    """

    def __init__(self, world: World, tables: Collection[str]) -> None:
        self.world = world
        self.tables = [name for name in TABLES if name in tables]
        self.account, self.totals = Account(), Totals(world.window)

    def parts(self) -> Iterator[tuple[int, Part]]:
        """Yield rows with the number of members done by them; the next block is made while one is being used.

        What belongs to the community as a whole comes before the first block and after the last one, with 0.
        """
        world, ads, window = self.world, self.world.advertising, self.world.window
        yield 0, self._made(content=lambda: content_columns(world))
        blocks = -(-world.members // BLOCK)
        with ThreadPoolExecutor(1) as ahead:
            following = ahead.submit(self._block, 0)
            for number in range(blocks):
                made = following.result()
                if number + 1 < blocks:
                    following = ahead.submit(self._block, number + 1)
                yield min((number + 1) * BLOCK, world.members), made
        closing = self._made(
            content_daily=lambda: content_daily_columns(world),
            ad_daily=lambda: ad_daily_columns(world.stream("ad_daily"), window, ads),
            metric_daily=lambda: metric_columns(self.totals, ads),
            annotations=lambda: annotation_columns(window, world.plans),
            targets=lambda: target_columns(window, world.members),
            costs=lambda: cost_columns(window, ads),
            evidence=lambda: evidence_columns(
                world.stream("evidence"), window, self.account.channels(window.parameters)
            ),
        )
        yield 0, closing

    def _made(self, **makers: Callable[[], Columns]) -> Part:
        """Make those of some tables that are wanted."""
        return {name: to_arrow(makers[name]()) for name in self.tables if name in makers}

    def _block(self, number: int) -> Part:
        """Generate one block of members and return its part of each table."""
        block = Block(self.world, number)
        self.account.add(block)
        orders = order_columns(block)
        made = self._made(
            members=lambda: member_columns(block.members),
            orders=lambda: orders,
            touchpoints=lambda: touch_columns(block),
            assignments=lambda: assignment_columns(
                [*block.assignments, block.waves.assignment, *block.held_out.assignments], block.members
            ),
            unit_outcomes=lambda: block.waves.outcomes,
            referrals=lambda: referral_columns(block),
        )
        if NEED_EVENTS & set(self.tables):
            paid = orders["gross"] - orders["discount"]
            events = draw_events(block, paid.round(2))
            self.totals.add(block.members, events, block.purchases.orders.seconds, paid - orders["refund"])
            made |= self._made(
                events=lambda: event_columns(block, events),
                content=lambda: member_content_columns(block, events),
            )
        return made
