"""Parameters of the outlook notebook."""

from __future__ import annotations

from typing import ClassVar

from helpers.study.parameters import (
    CommonParameters,
    Count,
    DayOrNothing,
    Weight,
    bootstrap_draws,
    count,
    history_from,
    k_min,
    list_holdout_share,
    margin,
    parameter,
    value_weights,
)


class OutlookParameters(CommonParameters):
    """Who is about to fall silent, who will order, what members will bring, and whom to contact."""

    tables: ClassVar[tuple[str, ...]] = ("members", "events", "messages", "orders", "refunds", "touchpoints")
    needs_joining: ClassVar[bool] = True

    history_from: DayOrNothing = history_from()
    count: Count = count()
    horizon_days: int = parameter(
        30, "Days ahead for which silence and value of each member are predicted", unit="days", ge=7, le=180
    )
    value_weights: dict[str, Weight] = value_weights()
    margin: float = margin()
    list_holdout_share: float = list_holdout_share()
    k_min: int = k_min()
    bootstrap_draws: int = bootstrap_draws(400)
