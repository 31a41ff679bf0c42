"""Parameters of the notebook of the weekly review."""

from __future__ import annotations

from typing import ClassVar

from helpers.study import parameters as common


class WeeklyReviewParameters(common.CommonParameters):
    """Whether the plan holds, what changed and is real, what to approve, and what became of what was approved."""

    tables: ClassVar[tuple[str, ...]] = (
        *("members", "events", "messages", "orders", "refunds", "ad_daily", "content_daily", "metric_daily"),
        *("targets", "annotations", "costs", "incidents", "actions", "cases", "reviews", "benchmarks"),
    )
    reads_reports: ClassVar[tuple[str, ...]] = (
        *("rfm", "retention", "ab_test", "attribution", "budget", "funnel", "alerts", "content", "community"),
        *("creators", "voice", "spillover", "outlook", "weekly_review"),
    )
    # A review comes out whatever is missing, so it asks for no log of members.
    about_members: ClassVar[bool] = False

    address: str = common.parameter(
        "", "Address under which the folder of reports is read, for the link of the summary; empty: its path"
    )
    k_min: int = common.k_min()
