"""Parameters of the A/B test notebook."""

from __future__ import annotations

import datetime as dt
from typing import Any, ClassVar, Literal
from zoneinfo import ZoneInfo

from pydantic import Field

from helpers.data.design import FOLDER
from helpers.study import parameters as common

Share = common.Annotated[float, Field(gt=0, lt=1)]
NAME = r"^\w[\w.-]{0,119}$"


class AbTestParameters(common.CommonParameters):
    """Which experiment is planned or read; in mode plan also how it is planned."""

    tables: ClassVar[tuple[str, ...]] = (
        *("assignments", "unit_outcomes", "arm_daily", "ad_daily", "content_daily"),
        *("events", "orders", "refunds", "members", "content"),
    )
    about_members: ClassVar[bool] = False

    k_min: int = common.k_min()
    mode: Literal["plan", "read"] = common.parameter("read", "read: read the test; plan: write down its plan")
    experiment: str = common.parameter("exp_live_invite", "Name, as in assignments", pattern=NAME)
    unit: str = common.parameter("member", "Of a plan: what is assigned to an arm", min_length=1)
    arms: list[str] = common.parameter(["control", "treatment"], "Of a plan: control first", min_length=2)
    factors: list[str] = common.parameter([], "Of a plan: what the arms differ in; one thing")
    primary: str = common.parameter("orders", "Of a plan: what decides: orders, orders.value, events:post")
    kind: Literal["mean", "proportion"] = common.parameter("mean", "Of a plan: how many, or share with any")
    guardrails: dict[str, Share] = common.parameter({}, "Of a plan: accepted losses, {events:like: 0.1}")
    start: common.DayOrNothing = common.parameter("", "Of a plan: first day of assignment")
    end: common.DayOrNothing = common.parameter("", "Of a plan: last day of outcomes")
    looks: int = common.parameter(4, "Of a plan: how often it is read, evenly to the end", ge=1, le=60)
    outcome_days: int = common.parameter(14, "Of a plan: to a complete outcome", unit="days", ge=0, le=400)
    smallest_effect: float = common.parameter(0.1, "Of a plan: gain worth having", unit="share", gt=0)
    lines: list[str] = common.parameter([], "Of a plan: channels or paid lines that only the variant meets")
    unit_value: float = common.parameter(0.0, "Of a plan: money one of primary is worth; 0: unknown")
    units_a_month: float = common.parameter(0.0, "Of a plan: units that would get it; 0: unknown", ge=0)
    proof_runs: int = common.parameter(2000, "Re-draws behind the proof", unit="draws", ge=100, le=20000)

    @property
    def files(self) -> tuple[str, ...]:
        """The design of the experiment, beside the tables."""
        return (f"{FOLDER}/{self.experiment}.yml",)

    def fields(self) -> dict[str, Any]:
        """Return the fields of a design; it is written down at the end of the last day that counts."""
        metric = {"name": self.primary, "kind": self.kind, "source": self.primary}
        rails = [metric | {"name": name, "source": name, "margin": m} for name, m in self.guardrails.items()]
        same = ("experiment", "unit", "arms", "factors", "looks", "outcome_days", "smallest_effect", "lines")
        written = dt.datetime.combine(self.as_of, dt.time(23, 59), ZoneInfo(self.report_tz))
        shares = [1 / len(self.arms)] * len(self.arms)
        return {name: getattr(self, name) for name in same} | {
            "primary": metric, "guardrails": rails, "allocation": [{"start": self.start, "shares": shares}],
            "start": self.start, "end": self.end, "alpha": round(1 - self.confidence, 6), "registered_at": written,
            "unit_value": self.unit_value or None, "units_a_month": self.units_a_month or None,
        }  # fmt: skip
