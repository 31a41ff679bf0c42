"""Parameters of the RFM notebook."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, field_validator

from helpers.report.params.common import CommonParameters, parameter

Weight = Annotated[float, Field(ge=0)]


class RfmParameters(CommonParameters):
    """Who the members are, how they move between tiers, who is worth what."""

    tables: ClassVar[tuple[str, ...] | None] = ("members", "events", "orders", "referrals", "costs")

    window_days: int = parameter(
        90, "Frequency and money are counted over the window_days up to as_of", unit="days", ge=1, le=3660
    )
    period: Literal["week", "month", "quarter"] = parameter("month", "Period between which tiers migrate")
    tier_scheme: str = parameter(
        "monthly_interactions", "Preset tier scheme, or path of a YAML file with one", min_length=1
    )
    tier_window_days: int = parameter(
        0,
        "Days that decide a tier at the end of each period; 0 is the period itself",
        unit="days",
        ge=0,
        le=3660,
    )
    bins: int = parameter(5, "Number of R, F and M scores", unit="scores", ge=2, le=10)
    count: Literal["interaction", "order", "all", "auto"] = parameter(
        "auto", "What counts as activity; auto takes interactions where there are any, else orders"
    )
    value_weights: dict[str, Weight] = parameter(
        {},
        "Weight of each kind of order or event in the value, such as {goods: 1, share: 0.5}; empty: order money",
    )
    holdout_days: int = parameter(
        60, "Days kept back before as_of to judge who foresaw the value best", unit="days", ge=7, le=1830
    )
    margin: float = parameter(
        0.3,
        "Share of sales left after the cost of what was sold; turns sales into value",
        unit="share",
        gt=0,
        le=1,
    )
    list_holdout_share: float = parameter(
        0.1, "Share of each contact list left alone, to measure the action by", unit="share", ge=0, le=0.5
    )
    k_min: int = parameter(10, "Cells with fewer members are not shown", unit="members", ge=1, le=1000)
    bootstrap_draws: int = parameter(
        500, "Resamples behind each bootstrap interval", unit="draws", ge=100, le=20000
    )

    @field_validator("tier_scheme")
    @classmethod
    def _preset_or_file(cls, value: str) -> str:
        if not value.endswith((".yml", ".yaml")) and not value.replace("_", "").isalnum():
            raise ValueError("must be the name of a preset or the path of a .yml file")
        return value
