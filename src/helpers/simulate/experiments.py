"""Experiments: who is assigned to what, and what treatment does to orders in expectation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from helpers.simulate.calendar import DAY, HOUR_WEIGHTS, MONTH_DAYS, Window
from helpers.simulate.columns import NEVER, Columns, constant, digits, exported, instants, next_morning, words
from helpers.simulate.members import Members
from helpers.simulate.parameters import Experiment

ARMS = ("control", "treatment")
# Members are eligible from this tenure on, so that each has a pre-period to adjust for.
TENURE_DAYS = 31


@dataclass(frozen=True)
class Plan:
    """One experiment on the calendar of a community.

    Attributes
    ----------
    experiment : Experiment
        What is tested.
    first, last : int
        Day numbers of the outcome window, both included; it begins on the day after assignment.
    own, caused : numpy.ndarray
        Shape (months, days of the window + 1): expected orders from the window's beginning up to the end of
        each day, by month of origin, for a member with order rate 1 (`own`) and for a member with relative
        reach 1 (`caused` by touches).
    """

    experiment: Experiment
    first: int
    last: int
    own: np.ndarray
    caused: np.ndarray

    @property
    def day(self) -> int:
        """Day number of assignment."""
        return self.first - 1


def make_plan(window: Window, experiment: Experiment) -> Plan:
    """Place an experiment on the calendar; its outcome window is at most a fifth of the observed days."""
    p = window.parameters
    day = int(window.days * experiment.start_share)
    first, last = day + 1, min(day + min(experiment.outcome_days, max(window.days // 5, 1)), window.days - 1)
    edges = np.arange(first, last + 2, dtype=float)
    hours = (window.intensity[:, None] * (HOUR_WEIGHTS / HOUR_WEIGHTS.sum())).ravel() / MONTH_DAYS
    middle = (np.arange(len(hours)) + 0.5) / 24.0
    month = np.repeat(window.month_of_day, 24)
    own = np.zeros((len(window.months), len(edges)))
    caused = np.zeros_like(own)
    yield_ = sum(channel.touches_per_month * channel.order_probability for channel in p.channels)
    for index in np.unique(window.month_of_day[first : last + 1]):
        time, weight = middle[month == index], hours[month == index]
        counted = (window.month_of_day == index)[first : last + 1]
        own[index, 1:] = np.cumsum(window.intensity[first : last + 1] * counted) / MONTH_DAYS
        room = window.months[index].last + 1 - time
        after = np.minimum(np.clip(edges[:, None] - time, 0.0, None), room)
        landed = (np.expm1(-after / p.touch_delay_days) / np.expm1(-room / p.touch_delay_days)) @ weight
        caused[index] = yield_ * (landed - landed[0])
    return Plan(experiment, first, last, own, caused)


@dataclass
class Assignment:
    """One experiment in one block: rows of its units, their arms and times in seconds since the epoch."""

    plan: Plan
    unit: np.ndarray
    treated: np.ndarray
    exposed: np.ndarray
    assigned: np.ndarray
    exposed_at: np.ndarray

    def acts_on(self, count: int) -> np.ndarray:
        """Return whether treatment acts on each of `count` members of the block."""
        acts = np.zeros(count, dtype=bool)
        acts[self.unit[self.treated & self.exposed]] = True
        return acts


def draw_assignments(rng: np.random.Generator, plans: tuple[Plan, ...], members: Members) -> list[Assignment]:
    """Assign eligible members (ordinary, present, at least `TENURE_DAYS` of tenure) to equal arms at random."""
    p, assignments = members.window.parameters, []
    for plan in plans:
        eligible = members.ordinary & (members.join_day <= plan.day - TENURE_DAYS)
        eligible &= members.left >= (plan.day + 1) * DAY
        uniform = rng.random((3, len(members)))
        moment = plan.day * DAY + rng.integers(8 * 3_600, 18 * 3_600, len(members))
        delay = rng.integers(60, 5 * 3_600, len(members))
        unit = np.flatnonzero(eligible & (uniform[0] < p.experiment_share))
        exposed = uniform[2, unit] < p.exposed_share
        treated = uniform[1, unit] < 0.5
        exposed_at = np.where(exposed, moment[unit] + delay[unit], NEVER)
        assignments.append(Assignment(plan, unit, treated, exposed, moment[unit], exposed_at))
    return assignments


def true_effects(
    members: Members, assignment: Assignment, own: np.ndarray, reach: np.ndarray
) -> dict[str, float]:
    """Sum expected outcomes of all units under control and under treatment.

    Parameters
    ----------
    own, reach : numpy.ndarray
        Shape (months, members): orders per month that happen anyway, and relative reach of touches, both
        for a month of 30.4375 days of ordinary intensity.

    Returns
    -------
    dict
        ``units``, ``exposed``, and sums over units of the probability of at least one order
        (``conversion_*``) and of expected orders (``orders_*``) in the outcome window, under ``control`` and
        under ``treatment``, given tiers, exposure and leaving. For a Poisson number of orders with
        expectation ``x`` the probability of at least one is ``1 - exp(-x)``.
    """
    plan, unit = assignment.plan, assignment.unit
    edges = np.arange(plan.first, plan.last + 2, dtype=float)
    end = np.minimum(members.left[unit] / DAY, edges[-1])
    anyway, caused = np.zeros(len(unit)), np.zeros(len(unit))
    for index in np.flatnonzero(plan.own[:, -1]):
        anyway += own[index, unit] * np.interp(end, edges, plan.own[index])
        caused += reach[index, unit] * np.interp(end, edges, plan.caused[index])
    ratio = np.where(assignment.exposed, plan.experiment.intensity_ratio, 1.0)
    arms = dict(zip(ARMS, (anyway + caused, anyway * ratio + caused), strict=True))
    sums = {f"conversion_{arm}": float(-np.expm1(-orders).sum()) for arm, orders in arms.items()}
    sums |= {f"orders_{arm}": float(orders.sum()) for arm, orders in arms.items()}
    return sums | {"units": float(len(unit)), "exposed": float(assignment.exposed.sum())}


def assignment_columns(assignments: list[Assignment], members: Members) -> Columns:
    """Return the ``assignments`` table of one block."""
    window = members.window
    units = np.concatenate([part.unit for part in assignments])
    codes = np.repeat(np.arange(len(assignments)), [len(part.unit) for part in assignments])
    assigned = np.concatenate([part.assigned for part in assignments])
    return {
        "exp_id": words(codes, [part.plan.experiment.exp_id for part in assignments]),
        "unit_id": digits(members.number[units]),
        "unit_type": constant("member", len(units)),
        "arm": words(np.concatenate([part.treated for part in assignments]).astype(np.int8), ARMS),
        "assigned_at": instants(assigned, window),
        "exposed_at": instants(np.concatenate([part.exposed_at for part in assignments]), window),
        **exported("experiment_service", next_morning(assigned), window),
    }
