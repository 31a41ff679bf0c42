"""Arms that are told as sums by day, without units: clicks and views of an arm, or advertising by creative.

A share is one of trials: `n` of ``arm_daily`` (or its denominator), or the denominator of ``ad_daily``. A mean of
``arm_daily`` needs the sum of squares. What is left, ratios and means of ``ad_daily``, has the days as its
observations: nothing else tells how much it varies.
"""

from __future__ import annotations

import ibis
import numpy as np
import pandas as pd

from helpers.data.source import pulled
from helpers.errors import BadData, BadParameters
from helpers.methods.ab_test.plan import Metric, Plan
from helpers.sentences import say
from helpers.study import Study
from helpers.study.days import day_number, number_of
from helpers.study.frames import require_columns


def arm_groups(study: Study, plan: Plan, metric: Metric) -> tuple[pd.DataFrame, str]:
    """Return sums of arms as groups of moments (see ``readings``), one row an arm and day, and the query.

    Raises
    ------
    MissingTable, BadData, BadParameters
        When a table, a column or the metric is not there, or a share is above 1.
    """
    query = arm_days(study, plan, metric)
    days = pulled(query).sort_values(["arm_index", "ready"], ignore_index=True)
    days = days.reindex(columns=["arm_index", "ready", "total", "n", "squares", "below"])
    if days.empty:
        text = "{source} has no day of an arm of the plan ({arms}) between {start} and {end}."
        arms = ", ".join(arm[:40] for arm in plan.arms)
        raise BadData(say(text, source=metric.source, arms=arms, start=plan.start, end=plan.end))
    total, n, below = (days[name].to_numpy(float) for name in ("total", "n", "below"))
    ones = np.ones(len(days))
    if metric.kind == "proportion":
        trials = below if metric.denominator else n
        if (over := days[(total > trials) | (total < 0)]).size:
            text = "{source}: a share is above 1 on {count:,} days, first where {total:g} of {trials:g} were counted."
            trial = trials[over.index[0]]
            raise BadData(
                say(text, source=metric.source, count=len(over), total=over["total"].iloc[0], trials=trial)
            )
        mean = np.divide(total, trials, out=np.zeros_like(total), where=trials > 0)
        made = {"n0 0": trials, "mean0 0": mean, "cov0 0 0": mean * (1 - mean)}
    elif metric.kind == "mean" and metric.table == "arm_daily":
        mean = np.divide(total, n, out=np.zeros_like(total), where=n > 0)
        square = np.divide(days["squares"].to_numpy(float), n, out=np.zeros_like(total), where=n > 0)
        made = {"n0 0": n, "mean0 0": mean, "cov0 0 0": square - mean**2}
    else:
        made = {"n0 0": ones, "mean0 0": total, "cov0 0 0": 0 * ones}
        if metric.kind == "ratio":
            made |= {"mean0 1": below, "cov0 1 0": 0 * ones, "cov0 1 1": 0 * ones}
    starts = [number_of(period.start) for period in plan.allocation]
    known = np.isfinite(np.column_stack(list(made.values()))).all(axis=1)
    made["n0 0"] = np.where(known, made["n0 0"], 0.0)
    groups = days[["arm_index", "ready"]].assign(**made, units=np.where(known, made["n0 0"], 1.0))
    period = np.searchsorted(starts, groups["ready"], side="right") - 1
    return groups.assign(period_index=period), str(ibis.to_sql(query))


def arm_days(study: Study, plan: Plan, metric: Metric) -> ibis.Table:
    """Return arm_index, ready, total, n, squares and below (the denominator) of the days that are complete."""
    table, what = study.dataset[metric.table], metric.source.partition(":")[2]
    if metric.table == "arm_daily":
        rows, arm = table.filter(table.exp_id == plan.experiment, table.metric == what), "arm"
        squares = "sum_squares" if metric.kind == "mean" else None
        below = "denominator" if metric.denominator else None
        names = {"total": "sum", "n": "n", "squares": squares, "below": below}
    else:
        rows, arm = table, "creative_id"
        if metric.kind == "proportion" and not metric.denominator:
            raise BadParameters(
                f"{metric.source}: a share needs its denominator, such as ad_daily:impressions"
            )
        below = metric.denominator.partition(":")[2] if metric.denominator else None
        names = {"total": what, "n": None, "squares": None, "below": below}
    require_columns(rows, [name for name in names.values() if name], metric.table)
    if "is_complete" in rows.columns:
        rows = rows.filter(rows.is_complete.fill_null(True))
    arms = [(rows[arm] == name, ibis.literal(i, "int8")) for i, name in enumerate(plan.arms)]
    last = number_of(min(plan.end, study.as_of))
    rows = rows.mutate(arm_index=ibis.cases(*arms), ready=day_number(rows.date))
    rows = rows.filter(rows.arm_index.notnull(), rows.ready.between(number_of(plan.start), last))
    sums = {new: rows[old].cast("float64").sum() for new, old in names.items() if old}
    return rows.group_by("arm_index", "ready").agg(**sums)
