"""What is known of channels by experiment: members held out of a channel at random, and statements of lift tests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from helpers.simulate.calendar import DAY, Window
from helpers.simulate.columns import Columns, constant, days, digits, exported, words
from helpers.simulate.experiments import Assignment, Plan
from helpers.simulate.members import Members
from helpers.simulate.parameters import CHANNELS, Experiment, Parameters

TEST_DAYS, ARRIVING_DAYS = 28, 14


@dataclass(frozen=True)
class HeldOut:
    """Members of a block who see nothing of a channel.

    Attributes
    ----------
    held : numpy.ndarray of bool
        Shape (channels, members).
    assignments : list of Assignment
        One for each channel with a hold-out, named ``holdout_<number of the channel>``; all ordinary members are its
        units, and those who see the channel are treated.
    """

    held: np.ndarray
    assignments: list[Assignment]


def draw_held_out(rng: np.random.Generator, members: Members) -> HeldOut:
    """Draw who is held out of which channel for the whole window."""
    window = members.window
    held = np.zeros((len(window.parameters.channels), len(members)), dtype=bool)
    unit, assignments = np.flatnonzero(members.ordinary), []
    begun = np.maximum(members.joined[unit], 0)
    for code, channel in enumerate(window.parameters.channels):
        if channel.held_out:
            held[code] = rng.random(len(members)) < channel.held_out
            plan = Plan(
                Experiment(f"holdout_{code}", 0.0, window.days, 1.0), 0, window.days - 1, *np.zeros((2, 1))
            )
            shown = ~held[code, unit]
            assignments.append(Assignment(plan, unit, shown, shown, begun, begun))
    return HeldOut(held, assignments)


def evidence_columns(rng: np.random.Generator, window: Window, channels: list[dict[str, Any]]) -> Columns:
    """Return the ``evidence`` table: for each tested channel orders a touch, with the error of the test."""
    p: Parameters = window.parameters
    tested = [code for code, channel in enumerate(p.channels) if channel.lift_error]
    error = np.array([p.channels[code].lift_error for code in tested])
    true = np.array([channels[code]["incremental_per_touch"] or 0.0 for code in tested])
    first = int(0.5 * window.days) + np.zeros(len(tested), int)
    last = np.minimum(first + TEST_DAYS, window.days - 1)
    stated = np.minimum(last + ARRIVING_DAYS, window.days - 1)
    return {
        "evidence_id": digits(990_000_000_000_000_000 + np.arange(len(tested))),
        "estimand": constant("lift", len(tested)),
        "line": words(np.arange(len(tested)), [CHANNELS[code] for code in tested]),
        "start": days(first, window),
        "end": days(last, window),
        "carry_out_days": stated - last,
        "value": np.round(true + error * rng.standard_normal(len(tested)), 5),
        "se": error,
        "unit": constant("orders a touch", len(tested)),
        "kind": constant("experiment", len(tested)),
        "as_of": days(stated, window),
        **exported("lift tests", stated * DAY + DAY, window),
    }
