"""What tests say of channels and paid lines: the table ``evidence``, and what reports of A/B tests add to it."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from helpers.playbook.earlier import EarlierReport, earlier_reports
from helpers.sentences import say
from helpers.study import Study

SAME_TEST = ["line", "estimand", "kind", "start", "end"]
COLUMNS = ["evidence_id", *SAME_TEST, "carry_out_days", "value", "se", "unit", "as_of"]


def known_evidence(study: Study) -> pd.DataFrame:
    """Return the table ``evidence``, and below it what the newest reports of A/B tests say of the lines they tested.

    Returns
    -------
    pandas.DataFrame
        Columns of the contract, and ``report``: series and version of those below, else empty. A test that the table
        holds already, by its id or as a statement on the same line and days, is not taken again. A report counts
        when it is on the same data and of the same members.
    """
    own = pd.DataFrame(columns=COLUMNS)
    if "evidence" in study.dataset:
        own = study.dataset.evidence.order_by("evidence_id").to_pandas().reindex(columns=COLUMNS)
    own = own.assign(report="")
    tests = [each for each in earlier_reports(study).latest() if each.method == "ab_test"]
    found = [rows for each in tests if _fits(each, study) and len(rows := _of_lines(each))]
    if not found:
        return own
    both = pd.concat([own, *found], ignore_index=True) if len(own) else pd.concat(found, ignore_index=True)
    for name in ("start", "end", "as_of"):
        both[name] = pd.to_datetime(both[name])
    again = both.duplicated("evidence_id") | both.duplicated(SAME_TEST)
    return both[~again | (both.index < len(own))].reset_index(drop=True)


def _fits(report: EarlierReport, study: Study) -> bool:
    """Whether a test was read on the data of a study, whatever folder it works in, and of the same members."""
    asked = report.parameters
    return study.data.endswith(str(asked.get("data"))) and asked.get("segment", "") == study.segment


def _of_lines(report: EarlierReport) -> pd.DataFrame:
    """Return what a test says of lines; its first row is the effect on a unit, whose line is the test itself."""
    rows = report.table("evidence")
    if rows is None:
        return pd.DataFrame()
    rows = rows[rows["line"] != report.parameters.get("experiment")].reindex(columns=COLUMNS)
    return rows.assign(report=f"{report.series} v{report.version}")


def told_reports(reports: Iterable[str]) -> str:
    """Say which earlier reports statements are from; empty when they are from none."""
    names = sorted({name for name in reports if name})
    return say("From earlier reports of A/B tests: {names}.", names=say(", ").join(names)) if names else ""
