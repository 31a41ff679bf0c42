"""Communities whose channels add what is known: with and without touches that an order to come brings about."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pandas as pd

from helpers.methods.attribution.journeys import Journeys, journeys
from helpers.simulate import Community, Parameters, community
from helpers.study import Study

TABLES = ("members", "orders", "touchpoints", "assignments", "evidence")
SEARCH = 5


def parameters(confounded: bool, **more: Any) -> Parameters:
    """Return parameters in which touches cause twice as many orders as usual, and search next to none.

    Confounded, touches go to those who order anyway, and some come because an order is near, search above all. If
    not, everybody is touched alike, and a third of all touches are followed by a search.
    """
    plain = Parameters()
    channels = [replace(each, order_probability=2 * each.order_probability) for each in plain.channels]
    if not confounded:
        channels = [replace(each, orders_preceded=0.0) for each in channels]
        channels[SEARCH] = replace(channels[SEARCH], follows=0.3)
    return replace(plain, **{"channels": tuple(channels), "intent": float(confounded)} | more)


def planted(members: int, days: int, seed: int, confounded: bool, **more: Any) -> Community:
    """Return a community of the tables that attribution reads."""
    return community(members, days, seed, tables=TABLES, parameters=parameters(confounded, **more))


def studied(made: Community, **settings: Any) -> Study:
    """Return the study of a community."""
    return Study.of(made.tables, made.truth["about"]["end"], **{"seed": 1, "draws": 200} | settings)


def found(made: Community, **settings: Any) -> Journeys:
    """Return the journeys of a community."""
    return journeys(studied(made, **settings))


def caused(made: Community) -> pd.Series:
    """Return the orders that each channel caused in expectation."""
    rows = made.truth["channels"]
    return pd.Series({row["channel"]: row["expected_incremental_orders"] for row in rows})
