"""Parameters of the RFM notebook."""

from __future__ import annotations

from typing import ClassVar, Literal

from helpers.study import parameters as common


class RfmParameters(common.CommonParameters):
    """Who the members are, how they move between tiers, who is worth what."""

    tables: ClassVar[tuple[str, ...] | None] = (
        "members",
        "events",
        "messages",
        "orders",
        "refunds",
        "referrals",
        "costs",
    )

    window_days: int = common.parameter(
        90, "Frequency and money are counted over the window_days up to as_of", unit="days", ge=1, le=3660
    )
    period: Literal["week", "month", "quarter"] = common.parameter("month", "Period between moves")
    tier_scheme: str = common.parameter(
        "auto",
        "Preset tier scheme, path of a YAML file with one, or auto: what suits what counts",
        min_length=1,
    )
    tier_window_days: int = common.parameter(
        0,
        "Days that decide a tier at the end of each period; 0 is the scheme's own or the period, the longer",
        unit="days",
        ge=0,
        le=3660,
    )
    bins: int = common.parameter(5, "Number of R, F and M scores", unit="scores", ge=2, le=10)
    count: common.Count = common.count()
    value_weights: dict[str, common.Weight] = common.value_weights()
    holdout_days: int = common.parameter(
        60, "Days kept back before as_of to judge who foresaw the value best", unit="days", ge=7, le=1830
    )
    margin: float = common.margin()
    list_holdout_share: float = common.list_holdout_share()
    k_min: int = common.k_min()
    bootstrap_draws: int = common.bootstrap_draws(500)
