"""Parameters of the budget notebook."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from helpers.study import parameters as common

Price = Annotated[float, Field(gt=0)]


class BudgetParameters(common.CommonParameters):
    """What each paid line brings, where more stops paying, and where the next money goes."""

    tables: ClassVar[tuple[str, ...]] = (
        *("ad_daily", "costs", "metric_daily", "orders", "content", "annotations", "evidence"),
    )
    reads_reports: ClassVar[tuple[str, ...]] = ("ab_test",)
    about_members: ClassVar[bool] = False

    outcome: str = common.parameter(
        "conversions", "What spend is to bring: margin, revenue or orders of the orders, or a daily metric"
    )
    line: Literal["campaign_id", "platform"] = common.parameter(
        "campaign_id", "What a paid line is: campaign_id or platform"
    )
    turnover: float = common.parameter(
        0.0, "Turnover that one of the outcome stands for; 0 where it is money or what ad reports say", ge=0
    )
    margin: float = common.margin()
    target: float = common.parameter(4.0, "Turnover asked for each unit of money spent", gt=0)
    amount: float = common.parameter(10_000.0, "Money a month that is to be placed next", ge=0)
    room: float = common.parameter(
        0.5, "Share of its spend by which a line may rise or fall in the next plan", ge=0, le=3
    )
    reserve_share: float = common.parameter(0.05, "Share of the month's money that is kept back", ge=0, lt=1)
    payable: float = common.parameter(10.0, "Smallest amount a month that can be booked; 0: any", ge=0)
    packages: dict[str, Price] = common.parameter(
        {}, "Lines that are bought whole, with the price of one, such as {creator_posts: 5000}"
    )
    upkeep: dict[str, Price] = common.parameter(
        {}, "Lines that cost this a month beside their spend while they run, such as {dy_live: 3000}"
    )
    goal: float = common.parameter(
        0.0, "Outcome of a month from paid lines that is to be reached at least cost; 0 for today's", ge=0
    )
    core: list[str] = common.parameter(
        ["douyin", "xiaohongshu"], "Platforms that are to have 55 to 60 % of advertising; empty for none"
    )
