"""Arms that are told as sums by day, without units: clicks and views of an arm, or advertising by creative.

A share is one of trials: `n` of ``arm_daily`` (or its denominator), or the denominator of ``ad_daily``. A mean of
``arm_daily`` needs the sum of squares. What is left, ratios and means of ``ad_daily``, has the days as its
observations: nothing else tells how much it varies.
"""

from __future__ import annotations

from typing import Any

import ibis
import pandas as pd

from helpers.data.source import pulled
from helpers.errors import BadData, BadParameters
from helpers.methods.ab_test.plan import Metric, Plan, period_of
from helpers.methods.ab_test.units import place_of
from helpers.sentences import say
from helpers.study import Study
from helpers.study.days import EPOCH
from helpers.study.frames import require_columns


def arm_groups(study: Study, plan: Plan, metric: Metric) -> tuple[pd.DataFrame, ibis.Table]:
    """Return sums of arms as groups of moments (see ``readings``), one row an arm and day, and the query.

    Raises
    ------
    MissingTable, BadData, BadParameters
        When a table, a column or the metric is not there, or a share is above 1.
    """
    query = arm_days(study, plan, metric)
    days = pulled(query).sort_values(["arm_index", "date"], ignore_index=True)
    days = days.reindex(columns=["arm_index", "date", "total", "n", "squares", "below"])
    if days.empty:
        text = "{source} has no day of an arm of the plan ({arms}) between {start} and {end}."
        arms = ", ".join(arm[:40] for arm in plan.arms)
        raise BadData(say(text, source=metric.source, arms=arms, start=plan.start, end=plan.end))
    total, n = days["total"], days["n"]
    made: dict[str, Any] = {"n0 0": 1.0, "mean0 0": total, "cov0 0 0": 0.0}
    if metric.kind == "proportion":
        n = days["below"] if metric.denominator else n
        if (over := (total > n) | (total < 0)).any():
            text = "{source}: a share is above 1 on {count:,} days, first of {total:g} in {n:g}."
            shown = {"count": over.sum(), "total": total[over].iloc[0], "n": n[over].iloc[0]}
            raise BadData(say(text, source=metric.source, **shown))
        made = {"n0 0": n, "mean0 0": total / n, "cov0 0 0": total / n * (1 - total / n)}
    elif metric.kind == "mean" and metric.table == "arm_daily":
        made = {"n0 0": n, "mean0 0": total / n, "cov0 0 0": days["squares"] / n - (total / n) ** 2}
    elif metric.kind == "ratio":
        made |= {"mean0 1": days["below"], "cov0 1 0": 0.0, "cov0 1 1": 0.0}
    groups = days[["arm_index"]].assign(ready=(days["date"] - pd.Timestamp(EPOCH)).dt.days, **made)
    known = groups.notna().all(axis=1)
    counted = {"n0 0": groups["n0 0"].where(known, 0.0), "units": groups["n0 0"].where(known, 1.0)}
    return groups.assign(period_index=period_of(plan, groups["ready"]), **counted), query


def arm_days(study: Study, plan: Plan, metric: Metric) -> ibis.Table:
    """Return arm_index, date, total, n, squares and below (the denominator) of the days that are complete."""
    rows, what = study.dataset[metric.table], metric.source.partition(":")[2]
    below = (metric.denominator or "").rpartition(":")[2]
    if metric.table == "arm_daily":
        rows, arm = rows.filter(rows.exp_id == plan.experiment, rows.metric == what), "arm"
        squares = "sum_squares" if metric.kind == "mean" else ""
        names = {"total": "sum", "n": "n", "squares": squares, "below": below}
    else:
        arm, names = "creative_id", {"total": what, "below": below}
        if metric.kind == "proportion" and not below:
            raise BadParameters(
                say("{source}: a share needs its denominator, as ad_daily:impressions", source=metric.source)
            )
    require_columns(rows, filter(None, names.values()), metric.table)
    if "is_complete" in rows.columns:
        rows = rows.filter(rows.is_complete.fill_null(True))
    rows = rows.mutate(arm_index=place_of(rows[arm], plan))
    first, last = ibis.date(plan.start), ibis.date(min(plan.end, study.as_of))
    rows = rows.filter(rows.arm_index.notnull(), rows.date.between(first, last))
    sums = {new: rows[old].cast("float64").sum() for new, old in names.items() if old}
    return rows.group_by("arm_index", "date").agg(**sums)
