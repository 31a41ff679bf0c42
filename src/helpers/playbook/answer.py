"""One record for all small answers: a text, a table, and numbers that it stands behind."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from helpers.playbook.finding import Finding, finding
from helpers.playbook.result import Result
from helpers.sentences import interval, quantity, say
from helpers.stats.estimate import Estimate
from helpers.study import Study
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
        Findings by their id, with what else they say.
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
            yield finding(one, id=name, **said)


def missing(study: Study, table: str) -> Answer | None:
    """Return the answer that a table is missing; None where it is there."""
    return (
        None if table in study.dataset else Answer(study, say("Not run: table {name} missing.", name=table))
    )


def framed(frame: pd.DataFrame, name: str, caption: str, **units: str) -> pd.DataFrame:
    """Return a table with what a reader needs beside it."""
    frame.attrs = {"name": name, "caption": caption, "units": units}
    return frame


def ranged(one: Any) -> str:
    """Return ``'673 members (513 to 833)'`` for any record with value, low, high and unit."""
    repeats = one.unit == "share" or one.unit.isupper()
    bounds = interval(one.low, one.high, one.unit if repeats else "")
    return say("{value} ({bounds})", value=quantity(one.value, one.unit), bounds=bounds)
