"""Parameters of the retention notebook."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, field_validator

from helpers.data.segment_syntax import refuse_personal
from helpers.errors import BadParameters
from helpers.sentences import say
from helpers.study import parameters as common

Day = Annotated[int, Field(ge=0, le=3660)]


class RetentionParameters(common.CommonParameters):
    """How long members stay, what goes with leaving, and what a newcomer is worth over time."""

    tables: ClassVar[tuple[str, ...]] = (
        "members",
        "events",
        "messages",
        "orders",
        "refunds",
        "touchpoints",
        "content",
    )
    needs_joining: ClassVar[bool] = True

    history_from: common.DayOrNothing = common.history_from()
    count: common.Count = common.count()
    retention_days: list[Day] = common.parameter(
        [1, 7, 30],
        "Days after joining on which retention is measured",
        unit="days",
        min_length=1,
        max_length=6,
    )
    cohort: Literal["week", "month"] = common.parameter("month", "Period of joining that makes a cohort")
    split_by: str = common.parameter(
        "auto", "Column of members to compare by; auto: source where it is there; empty: none"
    )
    extra_drivers: list[str] = common.parameter(
        [], "More columns of members that may go with leaving, beside those that are known at joining"
    )
    period: Literal["day", "week", "month"] = common.parameter("week", "Period of the lifecycle accounts")
    allowed_false_churn: float = common.parameter(
        0.1, "Largest share of members called churned who come back all the same", unit="share", gt=0, lt=1
    )
    landmark_day: int = common.parameter(
        30, "Day of tenure on which tiers are compared without immortal time", unit="days", ge=1, le=365
    )
    tier_actions: int = common.parameter(
        10, "Actions that make the upper tier of that comparison", unit="actions", ge=1, le=10000
    )
    value_weights: dict[str, common.Weight] = common.value_weights()
    value_days: int = common.parameter(
        365, "Days over which the value of a newcomer is added up", unit="days", ge=30, le=3650
    )
    discount_rate: float = common.parameter(
        0.1, "Share by which value loses worth in a year of waiting", unit="share", ge=0, lt=1
    )
    cohort_age_days: int = common.parameter(
        90, "Age at which the value of cohorts is compared", unit="days", ge=7, le=1095
    )
    k_min: int = common.k_min()
    bootstrap_draws: int = common.bootstrap_draws(400)

    @field_validator("split_by", "extra_drivers")
    @classmethod
    def _of_groups(cls, value: Any) -> Any:
        try:
            refuse_personal([value] if isinstance(value, str) else value)
        except BadParameters as error:
            raise ValueError(str(error)) from None
        return value

    @field_validator("retention_days")
    @classmethod
    def _different_days(cls, value: list[int]) -> list[int]:
        if len(set(value)) != len(value):
            raise ValueError(say("must not name a day twice"))
        return sorted(value)
