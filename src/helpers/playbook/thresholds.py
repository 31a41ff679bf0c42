"""The threshold register: each value with its origin and the guard that must hold before it may fire."""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field

from helpers.checks import did_you_mean

Comparison = Literal["above", "below", "inside", "cannot tell"]


class Threshold(BaseModel):
    """A value that a rule compares with, and why it may be trusted.

    `origin` is ``seed`` (stated in a source plan without evidence), ``formula``, ``published`` or ``self``
    (our working convention). A ``seed`` threshold without local evidence supports only actions of the
    confidence class ``rule``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    key: str = Field(pattern=r"^[a-z0-9_]+\.[a-z0-9_]+$")
    value: Any
    unit: str
    origin: Literal["seed", "formula", "published", "self"]
    quote: str = ""
    guard: str = Field(min_length=1)
    systems: tuple[str, ...] = ()

    @property
    def bounds(self) -> tuple[float, float]:
        """Lower and upper bound; both the same for a single number."""
        if isinstance(self.value, list):
            low, high = self.value
            return float(low), float(high)
        return float(self.value), float(self.value)

    def compare(self, low: float | None, high: float | None) -> Comparison:
        """Say where an interval lies. Only an interval wholly on one side decides; that is the guard."""
        if low is None or high is None:
            return "cannot tell"
        floor, ceiling = self.bounds
        if low > ceiling:
            return "above"
        if high < floor:
            return "below"
        if floor < ceiling and floor <= low and high <= ceiling:
            return "inside"
        return "cannot tell"


def entries(kind: str) -> list[dict[str, Any]]:
    """Return the entries of the files ``kind.yml`` of all methods; each method keeps its own in its folder."""
    methods = sorted(resources.files("helpers.methods").iterdir(), key=lambda folder: folder.name)
    files = [file for folder in methods if (file := folder / f"{kind}.yml").is_file()]
    return [row for file in files for row in yaml.safe_load(file.read_text("utf-8"))]


@cache
def register() -> dict[str, Threshold]:
    """Return the thresholds of all methods by key."""
    rows = [Threshold(**row) for row in entries("thresholds")]
    register = {row.key: row for row in rows}
    if len(register) != len(rows):
        raise ValueError("A threshold is named twice.")
    return register


def threshold(key: str) -> Threshold:
    """Return one threshold, or raise ``KeyError`` with the nearest key."""
    try:
        return register()[key]
    except KeyError:
        raise KeyError(f'No threshold "{key}".{did_you_mean(key, register())}') from None
