"""Parameters of the retention notebook."""

from __future__ import annotations

import datetime
from typing import Annotated, ClassVar, Literal

from pydantic import Field, field_validator

from helpers.report.params.common import CommonParameters, parameter

Weight = Annotated[float, Field(ge=0)]
Day = Annotated[int, Field(ge=0, le=3660)]


class RetentionParameters(CommonParameters):
    """How long members stay, what goes with leaving, who is about to leave, and what a member is worth over time."""

    tables: ClassVar[tuple[str, ...]] = ("members", "events", "orders", "touchpoints")

    history_from: str = parameter(
        "",
        "First day on which leaving and activity were recorded, such as 2025-07-01; empty: the first event",
    )
    count: Literal["interaction", "order", "all", "auto"] = parameter(
        "auto", "What counts as activity; auto takes interactions where there are any, else orders"
    )
    retention_days: list[Day] = parameter(
        [1, 7, 30],
        "Days after joining on which retention is measured",
        unit="days",
        min_length=1,
        max_length=6,
    )
    cohort: Literal["week", "month"] = parameter("month", "Period of joining that makes a cohort")
    split_by: str = parameter(
        "source", "Column of members whose values get a survival curve each; empty: none"
    )
    period: Literal["day", "week", "month"] = parameter("week", "Period of the lifecycle accounts")
    allowed_false_churn: float = parameter(
        0.1, "Largest share of members called churned who come back all the same", unit="share", gt=0, lt=1
    )
    horizon_days: int = parameter(
        30, "Days ahead for which silence and value of each member are predicted", unit="days", ge=7, le=180
    )
    landmark_day: int = parameter(
        30, "Day of tenure on which tiers are compared without immortal time", unit="days", ge=1, le=365
    )
    tier_actions: int = parameter(
        10, "Actions that make the upper tier of that comparison", unit="actions", ge=1, le=10000
    )
    value_weights: dict[str, Weight] = parameter(
        {},
        "Weight of each kind of order or event in the value, such as {goods: 1, share: 0.5}; empty: order money",
    )
    value_days: int = parameter(
        365, "Days over which the value of a newcomer is added up", unit="days", ge=30, le=3650
    )
    discount_rate: float = parameter(
        0.1, "Share by which value loses worth in a year of waiting", unit="share", ge=0, lt=1
    )
    cohort_age_days: int = parameter(
        90, "Age at which the value of cohorts is compared", unit="days", ge=7, le=1095
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
        400, "Resamples behind each bootstrap interval", unit="draws", ge=100, le=20000
    )

    @field_validator("history_from")
    @classmethod
    def _day_or_nothing(cls, value: str) -> str:
        if value:
            try:
                datetime.date.fromisoformat(value)
            except ValueError:
                raise ValueError("must be an ISO date such as 2025-07-01, or empty") from None
        return value

    @field_validator("retention_days")
    @classmethod
    def _different_days(cls, value: list[int]) -> list[int]:
        if len(set(value)) != len(value):
            raise ValueError("must not name a day twice")
        return sorted(value)
