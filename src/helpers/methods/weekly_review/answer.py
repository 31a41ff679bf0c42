"""One record for all small answers of the review: a text, a table, and numbers that it stands behind."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from helpers.playbook.finding import Finding, finding
from helpers.playbook.result import Result
from helpers.sentences import say
from helpers.stats.estimate import Estimate, normal_estimate, unknown
from helpers.study import Study, enough
from helpers.tables import Table


@dataclass(frozen=True, repr=False)
class Answer(Result):
    """A small answer, or what is missing for it.

    Attributes
    ----------
    text : str
        What was found; "Not run: table X missing." without that.
    table : pandas.DataFrame
        The numbers behind it; its `attrs` hold name, caption and units.
    stated : mapping of str to (Estimate, mapping)
        Findings by the last part of their id, with what else they say.
    """

    text: str
    table: pd.DataFrame = field(default_factory=pd.DataFrame, repr=False)
    stated: Mapping[str, tuple[Estimate, Mapping[str, Any]]] = field(default_factory=dict, repr=False)

    @property
    def sentence(self) -> str:
        """What was found."""
        return self.text

    def tables(self) -> Iterator[Table]:
        """Yield the numbers behind it."""
        if len(self.table):
            yield Table(frame=self.table, **{str(name): each for name, each in self.table.attrs.items()})

    def findings(self) -> Iterator[Finding]:
        """State the numbers."""
        for name, (one, more) in self.stated.items():
            said: dict[str, Any] = {"scope": self.study.scope, "sentence": self.text, **more}
            yield finding(one, id=f"weekly_review.{name}", **said)


def missing(study: Study, table: str) -> Answer | None:
    """Return the answer that a table is missing; None where it is there."""
    return (
        None if table in study.dataset else Answer(study, say("Not run: table {name} missing.", name=table))
    )


def framed(frame: pd.DataFrame, name: str, caption: str, **units: str) -> pd.DataFrame:
    """Return a table with what a reader needs beside it."""
    frame.attrs = {"name": name, "caption": caption, "units": units}
    return frame


def over_periods(values: pd.Series, unit: str, confidence: float) -> Estimate:
    """Return the mean over periods with Student's t; unknown with fewer than four, or where they do not vary."""
    known, how = values.dropna(), "Student's t over periods"
    n, error = len(known), float(known.std()) / max(len(known), 1) ** 0.5
    if n < enough.PERIODS or not error > 0:
        return unknown(n, unit, confidence)
    return normal_estimate(float(known.mean()), error, n, unit, how, confidence, degrees=n - 1)
