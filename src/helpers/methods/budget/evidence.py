"""Evidence: lift tests, go-dark periods, attribution credit and beliefs as rows of the likelihood.

Each statement is linear in the coefficient of its line once the curve is given, so it adds to the precision of that
coefficient under each curve; whatever curve disagrees loses mass. What is stated always counts the window and the
weeks of carry-out after it: a line with carry-over .6 that is dark for four weeks loses a third of what it loses
later. A lift says what the window's spend brought against none of it (its average, not its margin).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from helpers.methods.budget.curves import LAGS, Array, Curves
from helpers.methods.budget.weekly import Weekly
from helpers.playbook.evidence import known_evidence
from helpers.sentences import say
from helpers.study import Study

# Part of what attribution credits that is believed; the other part is its error, at least.
ATTRIBUTION_KEEPS = 0.5
# Weeks before a line went dark whose mean spend it would have gone on with.
WEEKS_BEFORE = 4


class Evidence(NamedTuple):
    """One statement about a line.

    Attributes
    ----------
    evidence_id, line : str
        Which statement, and about which line.
    estimand : {"lift", "contribution", "roi", "go_dark"}
        Outcome of the window's spend (the first two), the same per money, outcome lost because the line was dark.
    first, last : int
        First and last week of the window, numbered from the first week of the frame.
    carry_out : int
        Weeks after the window in which the effect still counts.
    value, se : float
        Statement and its standard error as they enter, in outcome (or outcome per money).
    kind : {"experiment", "go_dark", "attribution", "belief"}
        What it rests on.
    stated : float
        Value before what attribution credits was cut.
    report : str
        Earlier report of an A/B test that states it; empty for the table.
    """

    evidence_id: str
    line: str
    estimand: str
    first: int
    last: int
    carry_out: int
    value: float
    se: float
    kind: str
    stated: float
    report: str = ""

    def of(self, curves: Curves, spend: Array) -> Array:
        """Return what each curve says of what is stated."""
        ahead, window = np.append(spend, np.zeros(LAGS)), slice(self.first, self.last + 1)
        other = ahead.copy()
        dark = self.estimand == "go_dark"
        other[window] = spend[max(0, self.first - WEEKS_BEFORE) : self.first].mean() if dark else 0.0
        counted = slice(self.first, self.last + 1 + self.carry_out)
        gain = (curves.weekly(ahead) - curves.weekly(other))[counted].sum(axis=0)
        per = spend[window].sum() if self.estimand == "roi" else 1.0
        return np.asarray((-gain if dark else gain) / per)


def read_evidence(study: Study, weekly: Weekly) -> tuple[tuple[Evidence, ...], pd.DataFrame]:
    """Return the statements about lines with a curve, and the others with the reason why they do not count.

    They are those of the table ``evidence`` and of earlier reports of A/B tests.

    Returns
    -------
    tuple
        Statements; a table with evidence_id, line, reason (in words).
    """
    columns = ["evidence_id", "line", "reason"]
    used, left = [], []
    for row in known_evidence(study).to_dict("records"):
        if reason := _unusable(row, weekly):
            left.append((row["evidence_id"], row["line"], reason))
        else:
            used.append(_statement(row, weekly))
    return tuple(used), pd.DataFrame(left, columns=columns)


def _weeks(row: dict[Any, Any], weekly: Weekly) -> tuple[int, int]:
    """Return the first and last week of a statement's window, to the nearest; all of them without days."""
    start, end = row.get("start"), row.get("end")
    if pd.isna(start) or pd.isna(end):
        return 0, len(weekly.outcome) - 1
    first, last = weekly.outcome.index[0], pd.Timestamp(end) + pd.Timedelta(days=1)
    return round((pd.Timestamp(start) - first).days / 7), round((last - first).days / 7) - 1


def _unusable(row: dict[Any, Any], weekly: Weekly) -> str:
    """Say why a statement cannot enter; empty when it can."""
    line, per_money = str(row["line"]), row["estimand"] == "roi"
    if line not in weekly.spend:
        return say("{line} is not among the paid lines judged here.", line=line)
    first, last = _weeks(row, weekly)
    if not 0 <= first <= last < len(weekly.outcome):
        return say("Its days are not whole weeks among those looked at.")
    if not per_money and row["unit"] != weekly.unit:
        return say("It is stated in {unit}, not in {wanted}.", unit=row["unit"], wanted=weekly.unit)
    if not row["se"] > 0:
        return say("It has no standard error.")
    spent = weekly.spend[line].iloc[first : last + 1].sum() > 0
    if spent == (row["estimand"] == "go_dark"):
        text = "The line was not dark in that window." if spent else "The line spent nothing in that window."
        return say(text)
    if row["estimand"] == "go_dark" and not first:
        return say("There is no week before it went dark.")
    return ""


def _statement(row: dict[Any, Any], weekly: Weekly) -> Evidence:
    days, stated, se = row.get("carry_out_days"), float(row["value"]), float(row["se"])
    carry_out = LAGS if pd.isna(days) else int(np.ceil(days / 7))
    value = stated
    if row["kind"] == "attribution":
        value, se = ATTRIBUTION_KEEPS * stated, max(se, (1 - ATTRIBUTION_KEEPS) * abs(stated))
    where = (str(row["evidence_id"]), str(row["line"]), str(row["estimand"]), *_weeks(row, weekly))
    return Evidence(*where, carry_out, value, se, str(row["kind"]), stated, row["report"])
