"""What newcomers are expected to bring: survival times value, day by day, each with the member's own covariates.

The truth that an estimate of lifetime value should find: for member ``i`` with tenure day ``d`` the expected net
value is ``S_i(d) * orders_i(d) * net value of an order``, where ``S_i`` follows from the planted hazards and the
member's tier path, and ``orders_i`` are the planted intensities of that calendar day. The path of tiers is drawn,
not averaged over, as the chain runs on after leaving and does not depend on it.
"""

from __future__ import annotations

import numpy as np

from helpers.simulate.behaviour import SURVIVAL_DAYS, Behaviour, cumulative_hazard
from helpers.simulate.calendar import DAY, MONTH_DAYS, Window
from helpers.simulate.orders import expected_net
from helpers.simulate.world import Block


def expected_value(block: Block) -> np.ndarray:
    """Sum the expected net value of the first days of members who joined inside the window.

    Returns
    -------
    numpy.ndarray
        Shape (len(SURVIVAL_DAYS), 2): ordinary members whose first ``t`` days lie inside the window, and the sum
        of the net value (CNY) that they are expected to bring in these days.
    """
    window, members = block.window, block.members
    new = np.flatnonzero(members.ordinary & (members.joined >= 0))
    joined = members.joined[new] / DAY
    # A day of presence begins at the moment of joining on the first day and at midnight on the others.
    begin = np.maximum(np.arange(window.days)[None, :], joined[:, None])
    present = np.clip(np.arange(1, window.days + 1)[None, :] - begin, 0.0, 1.0)
    alive = _survival(window, block.behaviour, new, joined, begin + present / 2)
    worth = _orders_a_day(block, new) * alive * (present > 0) * expected_net(window.parameters)["all"]
    running = np.cumsum(worth, axis=1)
    rows = []
    for day in SURVIVAL_DAYS:
        last = members.join_day[new] + day - 1
        seen = last < window.days
        rows.append((seen.sum(), running[np.flatnonzero(seen), last[seen]].sum()))
    return np.array(rows, dtype=float)


def _orders_a_day(block: Block, new: np.ndarray) -> np.ndarray:
    """Return expected orders of a present member on each day, shape (new members, days).

    Taste and reach have mean 1, so their expectations drop out.
    """
    window, members = block.window, block.members
    p, months = window.parameters, window.month_of_day
    rates = np.r_[np.asarray(p.orders_per_month), 0.0][block.behaviour.tiers[:, new]].T[:, months]
    ratio = np.ones((len(new), window.days))
    for assignment in block.assignments:
        acts = assignment.acts_on(len(members))[new]
        plan = assignment.plan
        ratio[acts, plan.first : plan.last + 1] *= plan.experiment.intensity_ratio
    touched = sum(c.touches_per_month * c.order_probability for c in p.channels) / p.orders_per_month[1]
    since = np.maximum(window.firsts[months][None, :], members.join_day[new][:, None])
    landed = _landed(window)[since, np.arange(window.days)[None, :]]
    return rates * (ratio * window.intensity + touched * landed) / MONTH_DAYS


def _landed(window: Window) -> np.ndarray:
    """Return the intensity at which orders land that touches cause, shape (first day of touches, day).

    A touch is taken at noon of its day; its order follows after an exponential delay, cut at the end of the month.
    """
    scale, days = window.parameters.touch_delay_days, np.arange(window.days)
    ends = window.ends[window.month_of_day]
    noon = days + 0.5
    after = np.clip(np.arange(window.days + 1)[None, :] - noon[:, None], 0.0, (ends - noon)[:, None])
    landed = np.expm1(-after / scale) / np.expm1(-(ends - noon) / scale)[:, None]
    by_touch_day = np.diff(landed, axis=1) * window.intensity[:, None]
    return np.cumsum(by_touch_day[::-1], axis=0)[::-1] * (window.month_of_day[:, None] == window.month_of_day)


def _survival(
    window: Window, behaviour: Behaviour, new: np.ndarray, joined: np.ndarray, moment: np.ndarray
) -> np.ndarray:
    """Return each member's probability to be there still at a moment of each day, shape (new members, days)."""
    p, months = window.parameters, window.month_of_day
    edges = np.arange(window.days + 1)[None, :] - joined[:, None]
    passed = cumulative_hazard(np.maximum(edges, 0.0), p)
    ratio = behaviour.exit_ratio[:, new].T[:, months]
    before = np.cumsum(ratio * np.diff(passed, axis=1), axis=1) - ratio * np.diff(passed, axis=1)
    today = ratio * (cumulative_hazard(np.maximum(moment - joined[:, None], 0.0), p) - passed[:, :-1])
    return np.exp(-(before + np.maximum(today, 0.0)))
