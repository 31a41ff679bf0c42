"""Evidence: lift tests, go-dark periods, attribution credit and beliefs as rows, and what each row changed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from helpers.methods.budget.curves import LAGS, Array, Curves
from helpers.methods.budget.weekly import Weekly
from helpers.study import Study


class Evidence(NamedTuple):
    """One statement about a line.

    Attributes
    ----------
    evidence_id, line : str
        Which statement, and about which line.
    estimand : {"lift", "roi", "contribution", "go_dark"}
        Outcome gained by `extra` money in the window; outcome per money of the window; outcome of the window's spend;
        outcome lost when the line was dark in the window. All count the window and its carry-out.
    first, last : int
        First and last week of the window, numbered from the first week of the frame.
    value, se : float
        Statement and its standard error, in outcome (or outcome per money), discount included.
    kind : {"experiment", "go_dark", "attribution", "belief"}
        What it rests on.
    stated : float
        Value before the discount.
    """

    evidence_id: str
    line: str
    estimand: str
    first: int
    last: int
    value: float
    se: float
    kind: str
    stated: float

    def of(self, curves: Curves, spend: Array) -> Array:
        """Return what each curve says of what is stated, carry-out included."""
        window = slice(self.first, self.last + 1)
        ahead = np.append(spend, np.zeros(LAGS))
        other = ahead.copy()
        other[window] = 0.0
        return (curves.weekly(ahead) - curves.weekly(other)).sum(axis=0)


def read_evidence(study: Study, weekly: Weekly) -> tuple[tuple[Evidence, ...], pd.DataFrame]:
    """Return the rows of ``evidence`` that speak of a line with a curve, and the others with the reason in words."""
    raise NotImplementedError


def ledger(weekly: Weekly, evidence: Sequence[Evidence], seed: int = 0) -> pd.DataFrame:
    """Return one row per statement: evidence_id, line, estimand, kind, value, se, without, with_, moved (in words?)."""
    raise NotImplementedError
