"""Behaviour by calendar month: the tier chain, leaving, interaction counts and pushes.

The month is drawn in an order that keeps truth exact: whether a member leaves in a month depends on what
happened up to the month before, never on the tier of the month itself. So among members who stay, the tier
moves exactly by the planted matrix.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from helpers.simulate.calendar import DAY
from helpers.simulate.columns import NEVER
from helpers.simulate.members import Members, choose
from helpers.simulate.parameters import SOURCES, TIER_CEILING, TIER_FLOOR, TIERS, Parameters

SURVIVAL_DAYS = (7, 30, 90, 180)
TINY = 1e-12


@dataclass
class Behaviour:
    """Monthly behaviour of one block; arrays have the shape (months, members).

    Attributes
    ----------
    tiers : numpy.ndarray
        Planted tier, -1 before the month of joining. The chain runs on after a member has left, unseen.
    interactions, pushes : numpy.ndarray
        Counts of interactions and of pushes in the month, before what falls outside the stay is cut off.
    exit_probability : numpy.ndarray
        Probability to leave in the month for a member present at its beginning.
    exit_ratio : numpy.ndarray
        Hazard ratio of leaving in the month against the baseline.
    pairs : dict of str to numpy.ndarray
        Per pair of consecutive whole months ``expected``, the sum of the members' own transition probabilities,
        and ``observed``, the number of transitions, (pairs, 4, 4) each, of ordinary members who joined on or
        before the first day of the first month and did not leave before the end of the second; ``at_risk``, the
        number of members present throughout the first month, and ``expected_exits``, the sum of their
        probabilities to leave in the second, by tier of the first month, (pairs, 4) each.
    """

    tiers: np.ndarray
    interactions: np.ndarray
    pushes: np.ndarray
    exit_probability: np.ndarray
    exit_ratio: np.ndarray
    pairs: dict[str, np.ndarray] = field(default_factory=dict)


def stationary(matrix: np.ndarray) -> np.ndarray:
    """Return the long-run distribution of a transition matrix with one recurrent class."""
    size = len(matrix)
    system = np.vstack([matrix.T - np.eye(size), np.ones(size)])
    return np.linalg.lstsq(system, np.r_[np.zeros(size), 1.0], rcond=None)[0]


def static_effects(members: Members, effects: dict[str, float]) -> np.ndarray:
    """Return the part of a linear predictor that rests on ``early_reply`` and ``source``."""
    by_source = np.array([effects.get(f"source={source}", 0.0) for source in SOURCES])
    return by_source[members.source] + effects.get("early_reply", 0.0) * members.early_reply


def stay_silent(members: Members, p: Parameters) -> np.ndarray:
    """Return each member's own probability to stay silent: the return odds times its odds ratio."""
    base = 1.0 - p.transitions[0][0]
    odds = base / max(1.0 - base, TINY) * np.exp(static_effects(members, p.return_log_odds))
    return 1.0 / (1.0 + odds)


def cumulative_hazard(tenure_days: np.ndarray, p: Parameters) -> np.ndarray:
    """Return the baseline cumulative hazard of leaving at a tenure in days (piecewise linear)."""
    return np.interp(tenure_days, *_hazard_knots(p))


def _hazard_knots(p: Parameters) -> tuple[np.ndarray, np.ndarray]:
    """Return tenures between which the hazard is constant, the last beyond every life, and the hazard up to them."""
    knots = np.array([*p.exit_tenure_breaks, 2.0**20])
    return knots, np.r_[0.0, np.cumsum(np.diff(knots) * p.exit_daily_hazard)]


def draw_behaviour(rng: np.random.Generator, members: Members) -> Behaviour:
    """Draw the chain, exits (written to ``members.left``), interaction counts and pushes of one block."""
    window, p = members.window, members.window.parameters
    shape = (len(window.months), len(members))
    behaviour = Behaviour(
        tiers=np.full(shape, -1, dtype=np.int8),
        interactions=np.zeros(shape, dtype=np.int64),
        pushes=np.zeros(shape, dtype=np.int64),
        exit_probability=np.zeros(shape),
        exit_ratio=np.ones(shape),
    )
    matrix = np.asarray(p.transitions)
    silent, exit_predictor = stay_silent(members, p), static_effects(members, p.exit_log_hazard)
    for index, month in enumerate(window.months):
        entered = members.join_day <= month.last
        previous = behaviour.tiers[index - 1] if index else np.full(len(members), -1, dtype=np.int8)
        _draw_exits(rng, members, behaviour, index, exit_predictor)
        first = p.first_tier if index else stationary(matrix)
        newcomers = choose(rng, first, len(members))
        onward = _next_tier(rng.random(len(members)), previous, silent, matrix)
        tier = np.where(previous >= 0, onward, newcomers).astype(np.int8)
        behaviour.tiers[index] = np.where(entered, tier, -1)
        behaviour.pushes[index] = _draw_pushes(rng, members, index) * entered
    behaviour.interactions = _draw_interactions(rng, members, behaviour.tiers)
    behaviour.pairs = _count_pairs(members, behaviour, silent, matrix)
    return behaviour


def _draw_exits(
    rng: np.random.Generator, members: Members, behaviour: Behaviour, index: int, predictor: np.ndarray
) -> None:
    """Draw who leaves in a month: an exponential clock against the member's cumulative hazard."""
    p, month = members.window.parameters, members.window.months[index]
    predictor = predictor + p.exit_log_hazard.get(f"month={month.label}", 0.0)
    if index:
        by_tier = [p.exit_log_hazard.get(f"previous_tier={tier}", 0.0) for tier in (*TIERS, "")]
        predictor = predictor + np.array(by_tier)[behaviour.tiers[index - 1]]
        by_push = p.exit_log_hazard.get("pushes_previous_month", 0.0)
        predictor = predictor + by_push * behaviour.pushes[index - 1]
    ratio = np.exp(predictor)
    begin = np.maximum(month.first * DAY, members.joined)
    end = np.maximum((month.last + 1) * DAY, begin)
    start_hazard = cumulative_hazard((begin - members.joined) / DAY, p)
    added = ratio * (cumulative_hazard((end - members.joined) / DAY, p) - start_hazard)
    clock = rng.exponential(size=len(members))
    behaviour.exit_ratio[index] = ratio
    behaviour.exit_probability[index] = -np.expm1(-added) * members.ordinary
    leaves = (clock < added) & (members.left == NEVER) & members.ordinary
    tenure = np.interp(start_hazard[leaves] + clock[leaves] / ratio[leaves], *_hazard_knots(p)[::-1])
    moment = members.joined[leaves] + np.floor(tenure * DAY).astype(np.int64) + 1
    members.left[leaves] = np.minimum(moment, end[leaves] - 1)


def _next_tier(
    uniform: np.ndarray, previous: np.ndarray, silent: np.ndarray, matrix: np.ndarray
) -> np.ndarray:
    """Draw next tiers; silent members stay silent with their own probability, else follow the base row."""
    base = matrix[0, 0]
    own = np.where(previous == 0, silent, base)
    moved = base + (uniform - own) * (1.0 - base) / np.maximum(1.0 - own, TINY)
    uniform = np.where(previous == 0, np.where(uniform < own, 0.0, moved), uniform)
    edges = np.cumsum(matrix, axis=1)[:, :-1]
    return (uniform[:, None] >= edges[previous]).sum(axis=1)


def _draw_pushes(rng: np.random.Generator, members: Members, index: int) -> np.ndarray:
    """Draw pushes of a month: each member is put at random into a low or a high frequency that month."""
    low, high = members.window.parameters.pushes_per_month
    month = members.window.months[index]
    rate = np.where(rng.random(len(members)) < 0.5, low, high)
    days = month.last + 1 - np.clip(members.join_day, month.first, month.last + 1)
    return rng.poisson(rate * days / (month.last - month.first + 1) * month.share)


def tier_quantiles(p: Parameters) -> list[np.ndarray]:
    """Return, per tier, the cumulative distribution of monthly interactions from the tier's floor upward."""
    counts = [np.arange(low, high + 1) for low, high in zip(TIER_FLOOR, TIER_CEILING, strict=True)]
    weights = [
        np.ones(1),
        p.potential_decay ** counts[1],
        counts[2] ** -p.active_shape,
        counts[3] ** -(1.0 + p.core_pareto),
    ]
    return [np.cumsum(weight) / weight.sum() for weight in weights]


def _draw_interactions(rng: np.random.Generator, members: Members, tiers: np.ndarray) -> np.ndarray:
    """Draw monthly interaction counts inside each tier's range; thinned in a month observed only in part."""
    p = members.window.parameters
    uniform = rng.random(tiers.shape)
    counts = np.zeros(tiers.shape, dtype=np.int64)
    for tier, edges in enumerate(tier_quantiles(p)):
        if tier:
            here = tiers == tier
            counts[here] = TIER_FLOOR[tier] + np.searchsorted(edges[:-1], uniform[here], side="right")
    for role, (low, high) in ((members.bot, p.bot_interactions), (members.staff, p.staff_interactions)):
        extra = (low + uniform * (high - low + 1)).astype(np.int64)
        counts = np.where(role & (tiers >= 0), extra, counts)
    for index, month in enumerate(members.window.months):
        if not month.whole:
            counts[index] = rng.binomial(counts[index], month.share)
    return counts


def _count_pairs(
    members: Members, behaviour: Behaviour, silent: np.ndarray, matrix: np.ndarray
) -> dict[str, np.ndarray]:
    """Sum each member's own transition and exit probabilities over those at risk, pair by pair."""
    window, count = members.window, len(members.window.whole_pairs)
    pairs = {"observed": np.zeros((count, 4, 4), int), "expected": np.zeros((count, 4, 4))}
    pairs |= {"at_risk": np.zeros((count, 4), int), "expected_exits": np.zeros((count, 4))}
    away = matrix[0, 1:] / max(1.0 - matrix[0, 0], TINY)
    for pair, index in enumerate(window.whole_pairs):
        here = members.ordinary & (members.join_day <= window.firsts[index])
        here &= members.left >= window.ends[index] * DAY
        stays = here & (members.left >= window.ends[index + 1] * DAY)
        tier, following = behaviour.tiers[index], behaviour.tiers[index + 1]
        exits = behaviour.exit_probability[index + 1][here]
        pairs["at_risk"][pair] = np.bincount(tier[here], minlength=4)
        pairs["expected_exits"][pair] = np.bincount(tier[here], exits, minlength=4)
        np.add.at(pairs["observed"][pair], (tier[stays], following[stays]), 1)
        pairs["expected"][pair] = np.bincount(tier[stays], minlength=4)[:, None] * matrix
        own = silent[stays & (tier == 0)]
        pairs["expected"][pair, 0] = np.r_[own.sum(), (1.0 - own).sum() * away]
    return pairs


def expected_survival(members: Members, behaviour: Behaviour) -> np.ndarray:
    """Sum expected survival of members who joined inside the window, at each of `SURVIVAL_DAYS`.

    Returns
    -------
    numpy.ndarray
        Shape (len(SURVIVAL_DAYS), 2): ordinary members whose first days lie inside the window, and the sum
        of their probabilities to stay that long, given their covariates and tier paths.
    """
    window, p, rows = members.window, members.window.parameters, []
    new = np.flatnonzero(members.ordinary & (members.joined >= 0))
    joined = members.joined[new] / DAY
    starts, ends = np.maximum(window.firsts[:, None] - joined, 0.0), window.ends[:, None] - joined
    for day in SURVIVAL_DAYS:
        seen = joined + day <= window.days
        upper = np.clip(ends[:, seen], 0.0, day)
        lower = np.minimum(starts[:, seen], upper)
        hazard = cumulative_hazard(upper, p) - cumulative_hazard(lower, p)
        total = (behaviour.exit_ratio[:, new[seen]] * hazard).sum(axis=0)
        rows.append((seen.sum(), np.exp(-total).sum()))
    return np.array(rows, dtype=float)
