"""What late data made of what was said before."""

from __future__ import annotations

from itertools import chain

import numpy as np
import pandas as pd

from helpers.methods.weekly_review.metrics import WeeklyMetrics
from helpers.methods.weekly_review.moves import Moves, judged, weekly_move
from helpers.playbook.earlier import EarlierReport, EarlierReports
from helpers.playbook.restated import Restated, Restatement, restated_findings
from helpers.sentences import say


def restated(moves: Moves, reports: EarlierReports) -> Restated:
    """Return what the newest earlier review said of its week and today's data say otherwise, and restated reports.

    Parameters
    ----------
    moves : Moves
        The week, for its series.
    reports : EarlierReports
        With earlier reviews and versions of other reports.
    """
    weekly, redefined = moves.weekly, list[str]()
    versions = restated_findings(reports)
    if reports.own and (before := reports.newest(reports.own)) is not None:
        found, redefined = _own(weekly, before)
        versions.append(found)
    rows = tuple(sorted(chain(*versions), key=lambda one: (not one.flipped, one.where, one.title)))
    return Restated(weekly.study, rows, tuple(redefined), len(versions))


def _own(weekly: WeeklyMetrics, before: EarlierReport) -> tuple[list[Restatement], list[str]]:
    """Return what became of the weekly numbers and verdicts of an earlier review, judged again by today's data."""
    said, values = before.table("moved"), before.table("weekly_metrics")
    if said is None or values is None or values.empty:
        return [], []
    week = pd.Timestamp(values["window_start"].max())
    definitions = values.drop_duplicates("metric").set_index("metric")["definition_id"]
    then = weekly.until(week)
    own = {metric.id: metric for metric in then.known}
    again = judged([one for metric in own.values() if (one := weekly_move(then, metric)) is not None],
                   1 - weekly.study.confidence)  # fmt: skip
    rows, redefined = [], []
    for old in said[~said["id"].str.contains("#")].to_dict("records"):
        one = next((each for each in again if each.id == old["id"]), None)
        if old["id"] in definitions and (old["id"] not in own or definitions[old["id"]] != old["id"]):
            redefined.append(str(old["number"]))
        if one is None or old["number"] in redefined or not np.isfinite(old["current"]):
            continue
        if abs(one.change.current - old["current"]) > 1e-9 * max(abs(old["current"]), 1.0):
            when = say("the week of {week}", week=week.date())
            rows.append(Restatement(before.series, one.title, when, one.change.delta.unit, old["current"],
                                    one.change.current, old["verdict"], one.verdict))  # fmt: skip
    return rows, redefined
