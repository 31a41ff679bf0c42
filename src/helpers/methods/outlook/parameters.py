"""Parameters of the outlook notebook."""

from __future__ import annotations

from typing import ClassVar

from helpers.study import parameters as common


class OutlookParameters(common.CommonParameters):
    """Who is about to fall silent, who will order, what members will bring, and whom to contact."""

    tables: ClassVar[tuple[str, ...]] = ("members", "events", "messages", "orders", "refunds", "touchpoints")
    needs_joining: ClassVar[bool] = True

    history_from: common.DayOrNothing = common.history_from()
    count: common.Count = common.count()
    horizon_days: int = common.parameter(
        0, "Days ahead that are forecast; 0 is as many as make a member silent", unit="days", ge=0, le=365
    )
    value_weights: dict[str, common.Weight] = common.value_weights()
    margin: float = common.margin()
    list_holdout_share: float = common.list_holdout_share()
    k_min: int = common.k_min()
    bootstrap_draws: int = common.bootstrap_draws(400)
