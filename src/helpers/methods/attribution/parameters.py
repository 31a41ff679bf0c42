"""Parameters of the attribution notebook."""

from __future__ import annotations

from typing import ClassVar

from helpers.study import parameters as common


class AttributionParameters(common.CommonParameters):
    """Which channel deserves the credit for an order, what it added, and what that says about money."""

    tables: ClassVar[tuple[str, ...]] = (
        *("members", "events", "messages", "orders", "refunds", "touchpoints"),
        *("ad_daily", "costs", "evidence"),
    )

    lookback_days: int = common.parameter(
        30, "Days before an order in which a touch can have credit", unit="days", ge=1, le=365
    )
    margin: float = common.margin()
    k_min: int = common.k_min()
    bootstrap_draws: int = common.bootstrap_draws(200)
