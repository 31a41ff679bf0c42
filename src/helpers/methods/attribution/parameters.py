"""Parameters of the attribution notebook."""

from __future__ import annotations

from typing import ClassVar, Literal

from helpers.study import parameters as common


class AttributionParameters(common.CommonParameters):
    """Which channel deserves the credit for an order, what it added, and what that says about money."""

    tables: ClassVar[tuple[str, ...]] = (
        *("members", "events", "messages", "orders", "refunds", "touchpoints"),
        *("ad_daily", "costs", "evidence"),
    )
    reads_reports: ClassVar[tuple[str, ...]] = ("ab_test",)

    conversion: Literal["order", "first order", "repeat order"] = common.parameter(
        "order", "What has credit: order, first order, repeat order"
    )
    lookback_days: int = common.parameter(
        30, "Days before an order in which a touch can have credit", unit="days", ge=1, le=365
    )
    period_days: int = common.parameter(
        0, "Orders of so many days until as_of count; 0 for all on record", unit="days", ge=0, le=3650
    )
    channels: dict[str, str] = common.parameter(
        {}, "Other names of channels, such as {douyin: 抖音}; an empty name drops the channel"
    )
    margin: float = common.margin()
    k_min: int = common.k_min()
    bootstrap_draws: int = common.bootstrap_draws(200)
