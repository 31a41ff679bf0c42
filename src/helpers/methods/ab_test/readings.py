"""What the engine tells of an experiment: exact moments by arm, look and stratum, and nobody's rows.

A unit belongs to the first look on or after the day on which its outcome is complete, so the increments of the looks
are independent and what is known at a look is their exact merge. What was read once answers for every metric that
needs less of it, without a table being touched again.

Variances and covariances are those of the engine (Welford's update on DuckDB), and groups merge by their distance
from a common mean (Chan, Golub and LeVeque 1983): values around 1e9 keep their digits. Units whose outcome was not
observed are counted and then treated as the plan says; a missing covariate takes the mean of the others, which no
assignment can have changed. Outcomes above the cap count as the cap.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import ibis
import numpy as np
import pandas as pd

from helpers.data.source import pulled
from helpers.methods.ab_test import units as of_units
from helpers.methods.ab_test.arms import arm_groups
from helpers.methods.ab_test.moments import Moments
from helpers.methods.ab_test.plan import Metric, Plan
from helpers.study import Study
from helpers.study.days import number_of
from helpers.study.frames import NOT_STATED

GROUPS = ("arm_index", "period_index", "ready", "block", "cluster", "level")


@dataclass(frozen=True)
class Cells:
    """Moments of one metric.

    Attributes
    ----------
    moments : Moments
        Axes (arm, look, stratum): units whose outcome became complete since the look before. Names are ``outcome``,
        of a ratio ``denominator``, then the covariates.
    looks : tuple of date
        The planned looks up to the day of the study.
    strata : DataFrame
        period (int, of the allocation) and block (text), in the order of the last axis.
    clusters : DataFrame, optional
        Of a clustered or switchback design: arm, look, stratum (int), cluster, n, and the sum of each name.
    missing : ndarray
        Shape (arm, 2): units without an outcome among those whose outcome is due, and all of these.
    cap : float, optional
        Value at which outcomes are capped.
    sql : str
        The query.
    """

    moments: Moments
    looks: tuple[dt.date, ...]
    strata: pd.DataFrame
    clusters: pd.DataFrame | None
    missing: np.ndarray
    cap: float | None
    sql: str


def moments_of(study: Study, plan: Plan, metric: Metric) -> Cells:
    """Return the moments of one metric; one query serves all metrics of the plan that can be read together.

    Raises
    ------
    MissingTable, BadData, BadParameters
        When a table, a column, or what of it is not there.
    """
    return by_segment(study, plan, metric, "")[""]


def by_segment(study: Study, plan: Plan, metric: Metric, segment: str) -> dict[str, Cells]:
    """Return the moments of one metric by the level of a segment (a column of assignments, members or content)."""
    own: dict[Metric, dict[str, Cells]] = of_units.kept(study, ("moments", plan.digest, segment), dict)
    asked = _asked(metric)
    if asked not in own:
        fuller = next((known for known in own if _holds(known, asked)), None)
        if fuller is not None:
            names = tuple(of_units.wanted(asked))
            own[asked] = {k: replace(c, moments=c.moments.take(names)) for k, c in own[fuller].items()}
        elif metric.of_arms:
            own[asked] = {"": _of_arms(study, plan, asked)}
        else:
            together = [each for each in map(_asked, plan.metrics) if each not in own and each != asked]
            together = [each for each in together if _read_with(asked, each)]
            own |= _read(study, plan, [asked, *together], segment)
    return own[asked]


def bounds_of(study: Study, plan: Plan, metric: Metric) -> tuple[Cells, Cells]:
    """Return the moments with missing outcomes at their worst and at their best for the variants.

    At their worst each missing outcome of the control is the largest that was observed and each of a variant the
    smallest; at their best the other way round (Horowitz and Manski 2000).
    """
    rows = _due(study, plan, of_units.valued(study, plan, list(of_units.wanted(metric).values())))
    outcome = _columns(rows, metric)["outcome"]
    low, high = (float(each) for each in rows.agg(low=outcome.min(), high=outcome.max()).execute().iloc[0])
    asked, fills = _asked(metric), ((high, low), (low, high))
    worst, best = (_read(study, plan, [asked], "", fill)[asked][""] for fill in fills)
    return worst, best


def shape_of(study: Study, plan: Plan, metric: Metric, mean: float) -> pd.DataFrame:
    """Return by arm the skewness of the outcome around `mean`, and the smallest denominator (1 without one)."""
    asked = _asked(metric)
    rows = _due(study, plan, of_units.valued(study, plan, list(of_units.wanted(asked).values())))
    columns, _ = _prepared(rows, plan, asked, None)
    away, below = columns["outcome"] - mean, columns.get("denominator", ibis.literal(1.0))
    shown = rows.select("arm_index", square=away**2, cube=away**3, below=below)
    sums = shown.group_by("arm_index").agg(
        **{name: shown[name].mean() for name in ("square", "cube")}, low=shown.below.min()
    )
    found = pulled(sums).set_index("arm_index").reindex(range(len(plan.arms)))
    return found.assign(skew=found["cube"] / found["square"].where(found["square"] > 0) ** 1.5)[
        ["skew", "low"]
    ]


def units(study: Study, plan: Plan, metric: Metric) -> pd.DataFrame:
    """Return one row per unit with a complete outcome: arm, look, stratum (int), cluster, a column of each name."""
    asked, looks = _asked(metric), seen_looks(study, plan)
    rows = _due(study, plan, of_units.valued(study, plan, list(of_units.wanted(asked).values())))
    columns, _ = _prepared(rows, plan, asked, None)
    named = {f"value{i}": value for i, value in enumerate(columns.values())}
    shown = rows.select("unit_id", *_keys(plan, rows), **named).order_by("unit_id")
    frame, _ = _coded(pulled(shown), looks)
    frame = frame.rename(columns={f"value{i}": name for i, name in enumerate(columns)})
    cluster = ["cluster"] if plan.clustered else []
    return frame.dropna(subset=["outcome"])[["arm", "look", "stratum", *cluster, *columns]].reset_index(
        drop=True
    )


def seen_looks(study: Study, plan: Plan) -> tuple[dt.date, ...]:
    """Return the planned looks up to the day of the study."""
    return tuple(look for look in plan.looks if look <= study.as_of)


def _asked(metric: Metric) -> Metric:
    """Return a metric without what its moments do not depend on."""
    return metric.model_copy(update={"name": "-", "direction": "up", "margin": None})


def _holds(known: Metric, asked: Metric) -> bool:
    """Whether the moments of one metric are among those of another: the same with fewer covariates."""
    alike = known == asked.model_copy(update={"covariates": known.covariates})
    return alike and set(asked.covariates) <= set(known.covariates)


def _read_with(one: Metric, other: Metric) -> bool:
    """Whether two metrics share a query: outcomes of ``unit_outcomes`` have days of their own."""
    return not other.of_arms and "unit_outcomes" not in (one.table, other.table)


def _due(study: Study, plan: Plan, rows: ibis.Table) -> ibis.Table:
    """Return the units whose outcome is due at a look up to the day of the study."""
    looks = seen_looks(study, plan)
    return rows.filter(rows.ready <= (number_of(looks[-1]) if looks else -1))


def _keys(plan: Plan, rows: ibis.Table) -> list[str]:
    """Return the columns whose groups are kept apart."""
    apart = {"block": plan.design == "blocked", "cluster": plan.clustered}
    return [name for name in GROUPS if name in rows.columns and apart.get(name, True)]


def _columns(rows: ibis.Table, metric: Metric) -> dict[str, Any]:
    """Return the values of a metric by name, as they are in the tables."""
    found = {name: rows[of_units.label(each)] for name, each in of_units.wanted(metric).items()}
    if metric.kind == "proportion":
        found["outcome"] = (found["outcome"] > 0).cast("float64")
    return found


def _prepared(
    rows: ibis.Table, plan: Plan, metric: Metric, fill: tuple[float, float] | None
) -> tuple[dict[str, Any], float | None]:
    """Return the values of a metric by name, as they are read, and the value of the cap."""
    values, cap = _columns(rows, metric), None
    if metric.cap:
        cap = float(rows.agg(cap=values["outcome"].quantile(metric.cap)).execute()["cap"][0])
        values["outcome"] = ibis.least(values["outcome"], ibis.literal(cap))
    if fill is not None:
        values["outcome"] = values["outcome"].fill_null(ibis.ifelse(rows.arm_index == 0, *fill))
    main = [name for name in ("outcome", "denominator") if name in values]
    if plan.missing == "zero":
        values |= {name: values[name].fill_null(0.0) for name in main}
    open_ended = {name for name, each in of_units.wanted(metric).items() if _may_be_null(each[0])}
    if filled := [name for name in values if name in open_ended and name not in main]:
        means = rows.agg(**{f"mean{i}": values[name].mean() for i, name in enumerate(filled)}).execute()
        for i, name in enumerate(filled):
            values[name] = values[name].fill_null(float(np.nan_to_num(means[f"mean{i}"][0])))
    if open_ended & set(main):
        there = values[main[0]].notnull() & values[main[-1]].notnull()
        values = {name: ibis.ifelse(there, value, ibis.null("float64")) for name, value in values.items()}
    return values, cap


def _may_be_null(source: str) -> bool:
    return source != of_units.DELIVERED and of_units.table_of(source) not in of_units.COUNTED


def _read(
    study: Study,
    plan: Plan,
    metrics: Sequence[Metric],
    segment: str,
    fill: tuple[float, float] | None = None,
) -> dict[Metric, dict[str, Cells]]:
    """Read metrics in one query: per group the units, and of each metric size, means and covariances."""
    wanted = dict.fromkeys(each for metric in metrics for each in of_units.wanted(metric).values())
    rows = _due(study, plan, of_units.valued(study, plan, list(wanted), segment))
    found = [_prepared(rows, plan, metric, fill) for metric in metrics]
    named = {f"m{i} {j}": v for i, (values, _) in enumerate(found) for j, v in enumerate(values.values())}
    keys, looks = _keys(plan, rows), seen_looks(study, plan)
    shown = rows.select(*keys, **named)
    sums = {"units": shown.count()}
    for i, (values, _) in enumerate(found):
        columns = [shown[f"m{i} {j}"] for j in range(len(values))]
        sums[f"n{i}"] = columns[0].count()
        for j, one in enumerate(columns):
            sums[f"mean{i} {j}"] = one.mean()
            sums |= {f"cov{i} {j} {k}": _covariance(one, columns[k], j == k) for k in range(j + 1)}
    query = shown.group_by(keys).agg(**sums)
    frame, strata = _coded(pulled(query), looks)
    sql = str(ibis.to_sql(query, dialect=None))
    levels = sorted(frame["level"].dropna().unique()) or [""]
    made: dict[Metric, dict[str, Cells]] = {}
    for i, (metric, (values, cap)) in enumerate(zip(metrics, found, strict=True)):
        parts = {level: frame[frame["level"] == level] for level in levels}
        made[metric] = {
            level: _cells(part, i, tuple(values), (plan, looks, strata), cap, sql)
            for level, part in parts.items()
        }
    return made


def _of_arms(study: Study, plan: Plan, metric: Metric) -> Cells:
    """Return the moments of a metric that is told as sums of arms."""
    looks = seen_looks(study, plan)
    groups, sql = arm_groups(study, plan, metric)
    groups = groups[groups["ready"] <= (number_of(looks[-1]) if looks else -1)]
    frame, strata = _coded(groups, looks)
    names = ("outcome", "denominator") if metric.kind == "ratio" else ("outcome",)
    return _cells(frame, 0, names, (plan, looks, strata), None, sql)


def _covariance(one: Any, other: Any, same: bool) -> Any:
    return one.var(how="pop") if same else one.cov(other, how="pop")


def _coded(frame: pd.DataFrame, looks: Sequence[dt.date]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return groups with the places of their arm, look and stratum, sorted; and the strata."""
    frame = frame.assign(**{name: "" for name in ("block", "level") if name not in frame})
    frame = frame.fillna({"block": "", "cluster": "", "level": NOT_STATED})
    strata = frame[["period_index", "block"]].drop_duplicates().sort_values(["period_index", "block"])
    strata = strata.reset_index(drop=True)
    places = pd.MultiIndex.from_frame(strata)
    return frame.assign(
        arm=frame["arm_index"].astype(int),
        look=np.searchsorted([number_of(look) for look in looks], frame["ready"]),
        stratum=places.get_indexer(pd.MultiIndex.from_frame(frame[["period_index", "block"]])),
    ), strata.rename(columns={"period_index": "period"})


def _cells(
    frame: pd.DataFrame,
    place: int,
    names: tuple[str, ...],
    shape: tuple[Plan, tuple[dt.date, ...], pd.DataFrame],
    cap: float | None,
    sql: str,
) -> Cells:
    """Return the moments of one metric from its groups."""
    plan, looks, strata = shape
    k, size = len(names), (len(plan.arms), len(looks), max(len(strata), 1))
    n = frame[f"n{place}"].to_numpy(float)
    mean = frame[[f"mean{place} {j}" for j in range(k)]].to_numpy(float)
    cross = np.empty((len(frame), k, k))
    for j in range(k):
        for i in range(j + 1):
            cross[:, j, i] = cross[:, i, j] = n * frame[f"cov{place} {j} {i}"].to_numpy(float)
    mean[n == 0], cross[n == 0] = 0.0, 0.0
    where = tuple(frame[name].to_numpy() for name in ("arm", "look", "stratum"))
    clusters = None
    if plan.clustered and "cluster" in frame:
        keys = ["arm", "look", "stratum", "cluster"]
        sums = pd.DataFrame(n[:, None] * mean, columns=list(names), index=frame.index)
        clusters = pd.concat([frame[keys].assign(n=n), sums], axis=1).groupby(keys, as_index=False).sum()
    missing = np.zeros((size[0], 2))
    np.add.at(missing, where[0], np.column_stack([frame["units"] - n, frame["units"]]))
    return Cells(_merged(names, size, where, n, mean, cross), looks, strata, clusters, missing, cap, sql)


def _merged(
    names: tuple[str, ...],
    size: tuple[int, ...],
    where: tuple[np.ndarray, ...],
    n: np.ndarray,
    mean: np.ndarray,
    cross: np.ndarray,
) -> Moments:
    """Return groups merged into the cells of an array, by their distance from a common mean."""
    k = len(names)
    total, means, crosses = np.zeros(size), np.zeros((*size, k)), np.zeros((*size, k, k))
    centre = mean[n > 0].mean(axis=0) if (n > 0).any() else np.zeros(k)
    np.add.at(total, where, n)
    np.add.at(means, where, n[:, None] * (mean - centre))
    means = centre + means / np.maximum(total, 1)[..., None]
    means[total == 0] = 0.0
    apart = mean - means[where]
    np.add.at(crosses, where, cross + n[:, None, None] * apart[:, :, None] * apart[:, None, :])
    return Moments(names, total, means, crosses)
