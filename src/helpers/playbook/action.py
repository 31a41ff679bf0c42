"""An action: what to do about findings, for whom, and what it is expected to be worth."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Call = Literal["do", "test", "leave"]
ConfidenceClass = Literal["experiment", "quasi-experiment", "correlation", "rule"]
CALLS: tuple[Call, ...] = ("do", "test", "leave")
CONFIDENCE_ORDER: tuple[ConfidenceClass, ...] = ("experiment", "quasi-experiment", "correlation", "rule")


class Action(BaseModel):
    """A proposed action with its expected value and the check that will judge it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(pattern=r"^[a-z0-9_.-]+$")
    title: str = Field(min_length=1)
    why: str = Field(min_length=1)
    finding_ids: tuple[str, ...] = Field(min_length=1)
    owner_role: str = Field(min_length=1)
    expected_value: float | None = Field(
        description="None when the data cannot say; then the action is unranked"
    )
    low: float | None
    high: float | None
    unit: str = Field(default="CNY", min_length=1)
    cost: float = Field(ge=0)
    confidence_class: ConfidenceClass
    call: Call = "test"
    assumption: str = Field(default="", description="What the expected value rests on, as sentences")
    check_metric: str = Field(min_length=1)
    check_after_days: int = Field(gt=0)

    @property
    def rank(self) -> tuple[float, int, int, str]:
        """What actions are sorted by, best first; one without a price counts as worth nothing, not as the worst.

        Values that agree in two digits are equal, because nobody knows them better: then what an experiment showed
        comes before what a quasi-experiment, a correlation or a rule lets expect.
        """
        places = CONFIDENCE_ORDER.index(self.confidence_class), CALLS.index(self.call)
        return -float(f"{self.expected_value or 0.0:.2g}"), *places, self.id

    @model_validator(mode="after")
    def _interval_brackets_value(self) -> Action:
        numbers = (self.expected_value, self.low, self.high)
        if all(number is None for number in numbers):
            return self
        if any(number is None for number in numbers):
            raise ValueError(f"action {self.id}: expected_value, low and high come together; got {numbers}")
        if not self.low <= self.expected_value <= self.high:  # type: ignore[operator]
            raise ValueError(
                f"action {self.id}: {self.expected_value} lies outside [{self.low}, {self.high}]"
            )
        return self


def within(actions: Iterable[Action], capacity: int) -> tuple[list[Action], list[Action]]:
    """Return the actions that a team with room for so many takes on, best first, and the others in their order.

    What is to be left alone takes no room and is never among the first.
    """
    ranked = sorted(actions, key=lambda action: action.rank)
    taken = [action for action in ranked if action.call != "leave"][:capacity]
    return taken, [action for action in ranked if action not in taken]
