"""An experiment that takes in members week by week: an invitation to the live show.

A fifth of its members are invited in the first two weeks and half of them later, when the show is at a better hour
and more members come anyway: who compares the arms without heed of the weeks takes the hour for an effect.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from helpers.simulate.calendar import DAY, Window
from helpers.simulate.columns import NEVER, Columns, constant, digits, exported, instants, words
from helpers.simulate.experiments import TENURE_DAYS, Assignment, Plan
from helpers.simulate.members import Members
from helpers.simulate.parameters import PLATFORMS

METRICS = ("came", "minutes", "stayed")
SHARES = (0.2, 0.5)
"""Share of members invited in the first `RAMP_WEEKS`, and later."""
RAMP_WEEKS = 2


@dataclass(frozen=True)
class Waves:
    """The members of one block who take part, and what is expected of them.

    Attributes
    ----------
    unit, assigned : numpy.ndarray
        Row of the member in the block, and when it was assigned in seconds since the window's beginning.
    treated : numpy.ndarray
        Whether it was invited.
    chance : numpy.ndarray
        Shape (2, units): probability to come to the show within the days of outcome, without and with an invitation.
    at_home : numpy.ndarray
        Whether its home is the platform of the show.
    """

    members: Members
    rng: np.random.Generator
    unit: np.ndarray
    assigned: np.ndarray
    treated: np.ndarray
    chance: np.ndarray
    at_home: np.ndarray

    @cached_property
    def expected(self) -> np.ndarray:
        """Units and expected visitors without and with an invitation: of the platform of the show, and of others."""
        parts = np.vstack([np.ones(len(self.unit)), self.chance])
        return np.array([parts[:, self.at_home].sum(axis=1), parts[:, ~self.at_home].sum(axis=1)])

    @property
    def assignment(self) -> Assignment:
        """Who was assigned to what; an invitation reaches everybody at once."""
        test, nothing = self.members.window.parameters.invitation, np.zeros((0, 0))
        plan = Plan(test, *days_of(self.members.window), nothing, nothing)
        reached = np.where(self.treated, self.assigned, NEVER)
        return Assignment(plan, self.unit, self.treated, self.treated, self.assigned, reached)

    @cached_property
    def outcomes(self) -> Columns:
        """Rows of ``unit_outcomes``: whether a member came, for how long, and whether it was still a member."""
        window, count = self.members.window, len(self.unit)
        uniform = self.rng.random((2, count))
        watched = (self.rng.gamma(2.0, 60.0, (2, count)) * self.chance[0]).round(1)
        due = self.assigned + self.assignment.plan.experiment.outcome_days * DAY
        came = uniform < np.vstack([self.chance[0], np.where(self.treated, self.chance[1], self.chance[0])])
        stayed = self.members.left[self.unit] >= due
        now = np.concatenate([came[1], came[1] * watched[1], stayed]).astype(float)
        before = np.concatenate([came[0], came[0] * watched[0], np.full(count, np.nan)]).astype(float)
        known = np.tile(due < window.days * DAY, len(METRICS))
        due = np.tile(due, len(METRICS))[known]
        return {
            "exp_id": constant(window.parameters.invitation.exp_id, len(due)),
            "unit_id": digits(np.tile(self.members.number[self.unit], len(METRICS))[known]),
            "metric": words(np.repeat(np.arange(len(METRICS)), count)[known], METRICS),
            "value": now[known],
            "pre_value": before[known],
            "measured_at": instants(due, window),
            **exported("experiment_service", due, window),
        }


def days_of(window: Window) -> tuple[int, int]:
    """Return the day numbers on which the first members are taken in, and on which the last outcome is complete."""
    p = window.parameters.invitation
    first = int(window.days * p.start_share)
    return first, first + 7 * p.weeks - 1 + p.outcome_days


def draw_waves(rng: np.random.Generator, members: Members) -> Waves:
    """Assign eligible members, each in a week and to an arm drawn at random, as long as they are there."""
    window, p = members.window, members.window.parameters.invitation
    start, count = days_of(window)[0], len(members)
    uniform, taste = rng.random((2, count)), rng.gamma(3.0, 1 / 3, count)
    week = rng.integers(0, p.weeks, count)
    assigned = (start + 7 * week + rng.integers(0, 7, count)) * DAY + rng.integers(8, 18, count) * 3_600
    takes_part = members.ordinary & (members.join_day <= start - TENURE_DAYS) & (members.left > assigned)
    unit = np.flatnonzero(takes_part & (assigned < window.days * DAY))
    early, at_home = week[unit] < RAMP_WEEKS, members.platform[unit] == PLATFORMS.index(p.home)
    base = taste[unit] * np.where(early, *p.chances)
    chance = np.minimum([base, base * np.where(at_home, *p.ratios)], 0.95)
    treated = uniform[0, unit] < np.where(early, *SHARES)
    return Waves(members, rng, unit, assigned[unit], treated, chance, at_home)
