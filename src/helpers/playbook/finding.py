"""A finding: one number a report stands behind, with interval, sample size and origin."""

from __future__ import annotations

import datetime as dt
import math
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from helpers.playbook.glossary import define

if TYPE_CHECKING:
    from helpers.stats.estimate import Estimate

Verdict = Literal["better", "worse", "no clear change", "too little data", "provisional", "stated"]
Direction = Literal["up is good", "down is good", "neither"]


class Provenance(BaseModel):
    """Which method a finding came from and what it rests on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: str = Field(
        min_length=1, description="Method and interval, such as 'Jeffreys interval of counts'"
    )
    assumption: str = Field(min_length=1, description="What must hold for the number to mean what it says")
    systems: tuple[str, ...] = Field(
        default=(), description="Ids of the analytical systems it carries, 'S006'"
    )


class Point(BaseModel):
    """One week of a number, for a small line: what it was, and what the calendar says of it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    week: dt.date
    value: float | None
    note: str = ""


class Finding(BaseModel):
    """One number, its uncertainty and a sentence.

    A finding whose verdict is ``too little data`` has no value; every other finding has a value inside its
    interval. ``stated`` marks a level (not a change) that has nothing to be compared with.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(
        pattern=r"^[a-z0-9_.-]+$", description="Stable across versions, such as 'rfm.top20_share'"
    )
    metric: str = Field(min_length=1)
    scope: str = Field(min_length=1, description="Population, filter and period the number speaks of")
    value: float | None
    low: float | None
    high: float | None
    confidence: float = Field(gt=0, lt=1)
    n: int = Field(ge=0)
    unit: str = Field(min_length=1)
    direction: Direction
    verdict: Verdict
    sentence: str = Field(min_length=1)
    provenance: Provenance
    headline: str = Field(default="", description="Clause of the verdict: 'half of the members are silent'")
    n_of: str = Field(default="members", description="What n counts")
    definition: str = Field(default="", description="Term of the glossary that says what is measured")
    picture: str = Field(default="", description="Name of the picture that carries it")
    aliases: tuple[str, ...] = Field(default=(), description="Ids it had in earlier versions")
    trail: tuple[Point, ...] = Field(default=(), description="The number by week, the oldest first")

    @model_validator(mode="after")
    def _number_matches_verdict(self) -> Finding:
        numbers = (self.value, self.low, self.high)
        if self.verdict == "too little data":
            if any(number is not None for number in numbers):
                raise ValueError(f"finding {self.id}: 'too little data' carries no value; got {numbers}")
            return self
        if any(number is None or not math.isfinite(number) for number in numbers):
            raise ValueError(f"finding {self.id}: value, low and high must be finite; got {numbers}")
        slack = 1e-9 * max(1.0, abs(self.value or 0.0))
        if not self.low - slack <= self.value <= self.high + slack:  # type: ignore[operator]
            raise ValueError(f"finding {self.id}: value {self.value} lies outside [{self.low}, {self.high}]")
        return self


def finding(
    estimate: Estimate,
    *,
    id: str,
    metric: str,
    scope: str,
    sentence: str,
    assumption: str,
    direction: Direction = "neither",
    change: bool = False,
    systems: tuple[str, ...] = (),
    headline: str = "",
    n_of: str = "members",
    definition: str = "",
    picture: str = "",
    aliases: tuple[str, ...] = (),
) -> Finding:
    """Make a finding from an estimate.

    An estimate without value or interval becomes ``too little data``. A level is ``stated``. A change is judged
    by its interval alone: it is ``better`` or ``worse`` when the interval excludes zero, else ``no clear change``.

    Parameters
    ----------
    estimate : Estimate
        The number with its interval.
    id, metric, scope, sentence : str
        As in :class:`Finding`.
    assumption : str
        What must hold for the number to mean what it says.
    direction : str
        Whether up is good.
    change : bool
        Whether the number is a change, to be judged against zero.
    systems : tuple of str
        Ids of the analytical systems it carries.
    headline, n_of, definition, picture, aliases :
        As in :class:`Finding`; a number that is not known makes no headline.

    Raises
    ------
    ValueError
        When the glossary does not hold the definition.
    """
    if definition:
        define(definition)
    verdict: Verdict = "stated"
    if not estimate.known:
        verdict = "too little data"
    elif change:
        verdict = judge(estimate.low, estimate.high, direction)
    value, low, high = estimate[:3] if estimate.known else (None, None, None)
    return Finding(
        id=id,
        metric=metric,
        scope=scope,
        value=value,
        low=low,
        high=high,
        confidence=estimate.confidence,
        n=int(estimate.n),
        unit=estimate.unit,
        direction=direction,
        verdict=verdict,
        sentence=sentence,
        provenance=Provenance(method=estimate.method, assumption=assumption, systems=systems),
        headline=headline if estimate.known else "",
        n_of=n_of,
        definition=definition,
        picture=picture,
        aliases=aliases,
    )


def judge(low: float, high: float, direction: Direction) -> Verdict:
    """Return the verdict on a change by its interval alone."""
    if direction == "neither" or low <= 0 <= high:
        return "no clear change"
    return "better" if (low > 0) == (direction == "up is good") else "worse"
