"""The hidden states behind a simulated community, which nobody but a test may look at."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd

from helpers.simulate import START, Parameters
from helpers.simulate.calendar import DAY, Window
from helpers.simulate.parameters import TIERS
from helpers.simulate.world import BLOCK, Block, World


def member_months(
    members: int, days: int, seed: int, start: dt.date = START, parameters: Parameters | None = None
) -> pd.DataFrame:
    """Return the hidden state of each ordinary member in each calendar month of being a member.

    Returns
    -------
    pandas.DataFrame
        ``member_id``, ``month`` (``YYYY-MM``), ``tier`` (planted), ``present`` (throughout the month, which
        is wholly observed: there the tier by counted interactions equals the planted one),
        ``exit_probability`` (to leave in this month, for one who is present when it, or membership, begins)
        and ``pushes`` (planned for the month).
    """
    world = World(members, Window(start, days, parameters or Parameters()), seed)
    months = world.window.months
    labels, whole = np.array([month.label for month in months]), np.array([month.whole for month in months])
    begins, ends = world.window.firsts[:, None] * DAY, world.window.ends[:, None] * DAY
    frames = []
    for number in range(-(-members // BLOCK)):
        block = Block(world, number)
        people, behaviour = block.members, block.behaviour
        here = (behaviour.tiers >= 0) & (people.left >= begins) & people.ordinary
        present = whole[:, None] & (people.join_day * DAY <= begins) & (people.left >= ends)
        month, row = np.nonzero(here)
        frames.append(
            pd.DataFrame(
                {
                    "member_id": people.number[row].astype(str),
                    "month": labels[month],
                    "tier": np.array(TIERS)[behaviour.tiers[month, row]],
                    "present": present[month, row],
                    "exit_probability": behaviour.exit_probability[month, row],
                    "pushes": behaviour.pushes[month, row],
                }
            )
        )
    return pd.concat(frames, ignore_index=True)
