"""Purchases of one block: orders that happen anyway, what treatment changes, and orders that touches cause.

Everything is proportional to the tier's order rate, so that ratios of value between tiers are exact.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from helpers.simulate.behaviour import Behaviour
from helpers.simulate.calendar import DAY
from helpers.simulate.experiments import Assignment, true_effects
from helpers.simulate.members import Members, fit_presence

PRECEDING_DAYS = 1.0


class Points(NamedTuple):
    """Things that happened: row of the member in the block, time in seconds, and a code."""

    member: np.ndarray
    seconds: np.ndarray
    code: np.ndarray

    def where(self, keep: np.ndarray) -> Points:
        """Return the points for which `keep` is true, or at these places."""
        return Points(*(column[keep] for column in self))

    def counts(self, codes: int) -> np.ndarray:
        """Return the number of points by code."""
        return np.bincount(self.code, minlength=codes).astype(float)

    def within(self, first: int, last: int) -> np.ndarray:
        """Return which points lie on the days from `first` to `last`."""
        return (self.seconds >= first * DAY) & (self.seconds < (last + 1) * DAY)


def join_points(parts: list[Points]) -> Points:
    """Return all points of `parts`, ordered by member and time."""
    joined = Points(*map(np.concatenate, zip(*parts, strict=True)))
    return joined.where(np.lexsort((joined.code, joined.seconds, joined.member)))


@dataclass
class Purchases:
    """Orders and touches of one block, and the sums from which their truth follows.

    Attributes
    ----------
    orders : Points
        Code is the number of the channel whose touch caused the order, else -1.
    touches : Points
        Code is the number of the channel.
    channels : numpy.ndarray
        Shape (4, channels): touches, orders they were expected to cause, orders they caused, and touches
        that merely came before an order that would have happened anyway.
    effects : list of dict
        Per experiment: see `experiments.true_effects`.
    """

    orders: Points
    touches: Points
    channels: np.ndarray
    effects: list[dict[str, float]]


def draw_purchases(
    rng: np.random.Generator,
    members: Members,
    behaviour: Behaviour,
    assignments: list[Assignment],
    held: np.ndarray,
) -> Purchases:
    """Draw touches and orders of one block; `held` says, by channel and member, who sees nothing of it."""
    p = members.window.parameters
    rates = np.r_[np.asarray(p.orders_per_month), 0.0][behaviour.tiers] * members.ordinary
    taste = rng.gamma(p.order_rate_shape, 1.0 / p.order_rate_shape, len(members))
    own, reach = rates * taste, rates / p.orders_per_month[1] * (0.5 + 0.5 * taste)
    reach = p.intent * reach + (1 - p.intent) * members.ordinary
    anyway = scatter(rng, members, own)
    for assignment in assignments:
        anyway = _treat(rng, members, assignment, own, anyway)
    touches, caused, sums = _draw_touches(rng, members, reach, held)
    preceding = join_points([_draw_preceding(rng, members, anyway), *_draw_following(rng, members, touches)])
    preceding = preceding.where(~held[preceding.code, preceding.member])
    sums[3] = preceding.counts(len(p.channels))
    sums[0] += sums[3]
    return Purchases(
        orders=join_points([anyway, caused]),
        touches=join_points([touches, preceding]),
        channels=sums,
        effects=[true_effects(members, part, own, reach) for part in assignments],
    )


def scatter(rng: np.random.Generator, members: Members, rates: np.ndarray) -> Points:
    """Draw a Poisson process with monthly `rates` of shape (months, members), following the calendar."""
    window = members.window
    counts = rng.poisson((rates * window.month_intensity[:, None]).T)
    cell = np.repeat(np.arange(counts.size), counts.ravel())
    member, month = cell // counts.shape[1], cell % counts.shape[1]
    seconds, keep = fit_presence(members, member, window.draw_times(rng, month))
    return Points(member, seconds, np.full(len(member), -1)).where(keep)


def _treat(
    rng: np.random.Generator, members: Members, assignment: Assignment, own: np.ndarray, orders: Points
) -> Points:
    """Multiply the intensity of treated and exposed units in the outcome window: add or thin out orders."""
    plan = assignment.plan
    ratio = plan.experiment.intensity_ratio
    acts = assignment.acts_on(len(members))
    if ratio > 1.0:
        more = scatter(rng, members, own * acts * (ratio - 1.0))
        return join_points([orders, more.where(more.within(plan.first, plan.last))])
    hit = acts[orders.member] & orders.within(plan.first, plan.last)
    return orders.where(~hit | (rng.random(len(hit)) < ratio))


def _draw_touches(
    rng: np.random.Generator, members: Members, reach: np.ndarray, held: np.ndarray
) -> tuple[Points, Points, np.ndarray]:
    """Draw touches and the orders they cause, a short while later within the same calendar month."""
    window, p = members.window, members.window.parameters
    shares = np.array([channel.touches_per_month for channel in p.channels])
    probability = np.array([channel.order_probability for channel in p.channels])
    touches = scatter(rng, members, reach * shares.sum())
    edges = np.cumsum(shares)[:-1] / shares.sum()
    touches = touches._replace(code=np.searchsorted(edges, rng.random(len(touches.code)), side="right"))
    touches = touches.where(~held[touches.code, touches.member])
    causes = rng.random(len(touches.code)) < probability[touches.code]
    caused = touches.where(causes)
    room = window.ends[window.month_of_day[caused.seconds // DAY]] * DAY - caused.seconds
    scale = p.touch_delay_days * DAY
    delay = -scale * np.log1p(rng.random(len(room)) * np.expm1(-room / scale))
    caused = caused._replace(seconds=caused.seconds + np.minimum(delay.astype(np.int64), room - 1))
    caused = caused.where(caused.seconds <= members.left[caused.member])
    total = touches.counts(len(shares))
    return touches, caused, np.array([total, total * probability, caused.counts(len(shares)), 0.0 * total])


def _draw_following(rng: np.random.Generator, members: Members, touches: Points) -> list[Points]:
    """Draw touches that come soon after those of other channels and cause nothing, such as a search for the shop."""
    window, parts = members.window, []
    last = np.minimum(members.left, window.days * DAY - 1)
    for code, channel in enumerate(window.parameters.channels):
        if channel.follows:
            first = touches.where((touches.code != code) & (rng.random(len(touches.code)) < channel.follows))
            gap = rng.exponential(PRECEDING_DAYS * DAY, len(first.code)).astype(np.int64)
            after = Points(first.member, first.seconds + gap, np.full(len(gap), code))
            parts.append(after.where(after.seconds <= last[after.member]))
    return parts


def _draw_preceding(rng: np.random.Generator, members: Members, orders: Points) -> Points:
    """Draw touches that come before orders but cause nothing, such as a search for the shop's name."""
    parts = []
    floor = np.maximum(members.joined, 0)[orders.member]
    for code, channel in enumerate(members.window.parameters.channels):
        here = rng.random(len(orders.member)) < channel.orders_preceded
        gap = rng.exponential(PRECEDING_DAYS * DAY, len(here)).astype(np.int64)
        room = orders.seconds - floor
        gap = np.where(gap <= room, gap, (rng.random(len(here)) * room).astype(np.int64))
        parts.append(Points(orders.member, orders.seconds - gap, np.full(len(here), code)).where(here))
    return join_points(parts)
