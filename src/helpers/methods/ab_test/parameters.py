"""Parameters of the A/B test notebook."""

from __future__ import annotations

from typing import ClassVar, Literal

from helpers.study import parameters as common


class AbTestParameters(common.CommonParameters):
    """Which experiment is planned or read, and how it is planned."""

    tables: ClassVar[tuple[str, ...]] = (
        *("assignments", "unit_outcomes", "arm_daily", "ad_daily", "content_daily"),
        *("events", "orders", "members", "content"),
    )
    about_members: ClassVar[bool] = False

    mode: Literal["plan", "read"] = common.parameter(
        "read", "plan: freeze the design below into experiments/NAME.yml; read: read the frozen design"
    )
    experiment: str = common.parameter(
        "exp_live_invite", "Name of the experiment, as in assignments", pattern=r"^[\w][\w.-]{0,119}$"
    )
