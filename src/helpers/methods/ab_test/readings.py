"""What the engine tells of an experiment: exact moments by arm, look and stratum, and nobody's rows.

A unit belongs to the first look on or after the day on which its outcome is complete, so the increments of the looks
are independent and what is known at a look is their exact merge. What was read once answers for every metric that
needs less of it, without a table being touched again.

Variances and covariances are those of the engine (Welford's update on DuckDB), and groups merge by their distance
from a common mean (Chan, Golub and LeVeque 1983): values around 1e9 keep their digits (means of 20 M units a
thousand million standard deviations from 0 are off by a fifth of their error). Units whose outcome was not
observed are counted and then treated as the plan says; a missing covariate takes the mean of the others, which no
assignment can have changed. Outcomes above the cap count as the cap.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import ibis
import numpy as np
import pandas as pd

from helpers.data.dialect import bucket, number
from helpers.data.source import of_sample, pulled
from helpers.methods.ab_test import units as of_units
from helpers.methods.ab_test.arms import arm_groups
from helpers.methods.ab_test.clusters import by_look
from helpers.methods.ab_test.effects import Contrast, contrast
from helpers.methods.ab_test.moments import Moments
from helpers.methods.ab_test.plan import Metric, Plan
from helpers.study import Study
from helpers.study.days import EPOCH, number_of
from helpers.study.frames import NOT_STATED

# Columns whose groups are kept apart, where they are there.
GROUPS = ("arm_index", "period_index", "ready", "block", "cluster", "level")
MAIN = ("outcome", "denominator")
# Clusters or blocks by look that leave the engine; of more random groups of them do, so many groups.
MOST_TOTALS, RANDOM_GROUPS = 100_000, (200, 4_096)
PLACE = ["arm", "look", "stratum"]
# By metric and name of a value what stands where it is missing: in the control, and in a variant.
Fills = Mapping[tuple[Metric, str], tuple[float, float]]


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
    clusters : DataFrame
        Of a clustered or switchback design, else empty: arm, look, stratum (int), cluster, n, sum of each name.
    missing : ndarray
        Shape (arm, 2): units without an outcome among those whose outcome is due, and all of these.
    cap : float, optional
        Value at which outcomes are capped.
    query : ibis.Table
        What was asked of the engine.
    """

    moments: Moments
    looks: tuple[dt.date, ...]
    strata: pd.DataFrame
    clusters: pd.DataFrame
    missing: np.ndarray
    cap: float | None
    query: ibis.Table

    @property
    def sql(self) -> str:
        """The query as it reached the engine."""
        return str(ibis.to_sql(self.query))

    def contrasts(self, plan: Plan, kind: str, names: Sequence[str], arm: int = 1) -> Contrast:
        """Return a variant against the control at each look, in the values named; clusters have no covariates."""
        if self.clusters.empty:
            moments = self.moments.take(names).cumulate(1)
            return contrast(moments, kind, arm=arm, blocked=plan.design == "blocked")
        totals = self.clusters.assign(outcome=self.clusters[names[0]])
        return by_look(totals, len(self.looks), "denominator" if "denominator" in names else "n", arm=arm)


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
    for known in own:
        alike = asked == known.model_copy(update={"covariates": asked.covariates})
        if alike and set(asked.covariates) <= set(known.covariates):
            names = tuple(of_units.wanted(asked))
            parts = own[known].items()
            return {level: replace(each, moments=each.moments.take(names)) for level, each in parts}
    if metric.of_arms:
        own[asked] = {"": _of_arms(study, plan, metric)}
    else:
        # Outcomes of ``unit_outcomes`` have days of their own, so that none of them shares a query.
        every = [asked, *(_asked(each) for each in plan.metrics if not each.of_arms)]
        shared = [m for m in dict.fromkeys(every) if m.table != "unit_outcomes" and m not in own]
        own |= _read(study, plan, shared if asked in shared else [asked], segment)
    return own[asked]


def bounds_of(study: Study, plan: Plan, metric: Metric) -> tuple[Cells, Cells]:
    """Return the moments with missing outcomes at their worst and at their best for the variants.

    At their worst each missing outcome of the control is the largest that was observed and each of a variant the
    smallest; at their best the other way round (Horowitz and Manski 2000).
    """
    asked = _asked(metric)
    outcome = _shown(study, plan, [asked])[0]["0 0"]
    low, high = (float(each.execute()) for each in (outcome.min(), outcome.max()))
    fills: list[Fills] = [{(asked, "outcome"): fill} for fill in ((high, low), (low, high))]
    worst, best = (_read(study, plan, [asked], "", fill)[asked][""] for fill in fills)
    return worst, best


def shape_of(study: Study, plan: Plan, metric: Metric, mean: float) -> pd.DataFrame:
    """Return by arm the skewness of the outcome around `mean`, and the smallest denominator of a ratio (low)."""
    rows, _, [names], _ = _shown(study, plan, [_asked(metric)])
    away = rows["0 0"] - mean
    sums = {"square": (away**2).mean(), "cube": (away**3).mean()}
    sums |= {"low": rows["0 1"].min()} if "denominator" in names else {}
    found = pulled(rows.group_by("arm_index").agg(**sums))
    return found.assign(skew=found["cube"] / found["square"].where(found["square"] > 0) ** 1.5)


def units(study: Study, plan: Plan, metric: Metric, share: float = 1.0) -> pd.DataFrame:
    """Return one row per unit with a complete outcome: arm, look, stratum (int), cluster, a column of each name.

    A share below 1 is drawn by a hash of the units' ids.
    """
    rows, _, [names], _ = _shown(study, plan, [_asked(metric)])
    rows = of_sample(rows, share, study.seed, by="unit_id")
    frame, _ = _coded(plan, seen_looks(study, plan), pulled(rows.order_by("unit_id")))
    frame = frame.rename(columns={f"0 {j}": name for j, name in enumerate(names)})
    main = [name for name in MAIN if name in names]
    means = frame[list(names)].drop(columns=main).mean()
    frame = frame[PLACE + ["cluster"] * plan.clustered + list(names)]
    return frame.dropna(subset=main).fillna(means).reset_index(drop=True)


def seen_looks(study: Study, plan: Plan) -> tuple[dt.date, ...]:
    """Return the planned looks up to the day of the study."""
    return tuple(look for look in plan.looks if look <= study.as_of)


def _asked(metric: Metric) -> Metric:
    """Return a metric without what its moments do not depend on."""
    return metric.model_copy(update={"name": "-", "direction": "up", "margin": None})


def _shown(
    study: Study, plan: Plan, metrics: Sequence[Metric], segment: str = "", fills: Fills | None = None
) -> tuple[ibis.Table, list[str], list[tuple[str, ...]], list[float | None]]:
    """Return units whose outcome is due, a column ``i j`` for each value; their groups, names of values, and caps."""
    wanted = dict.fromkeys(each for metric in metrics for each in of_units.wanted(metric).values())
    rows, looks = of_units.valued(study, plan, list(wanted), segment), seen_looks(study, plan)
    due = looks[-1] - dt.timedelta(days=plan.outcome_days) if looks else EPOCH
    dated = metrics[0].table == "unit_outcomes"
    before = of_units.midnight(study, due + dt.timedelta(days=1))  # cheaper than the day of each
    rows = rows.filter(rows.ready <= ibis.date(due) if dated else rows.assigned_at < before)
    rows = _by_look(study, plan, rows) if looks and plan.design != "simple" else rows
    found = [_prepared(rows, plan, metric, fills) for metric in metrics]
    named = {f"{i} {j}": v for i, (values, _) in enumerate(found) for j, v in enumerate(values.values())}
    apart = {"block": plan.design == "blocked", "cluster": plan.clustered}
    keys = [name for name in GROUPS if name in rows.columns and apart.get(name, True)]
    names, caps = [tuple(values) for values, _ in found], [cap for _, cap in found]
    return rows.select("unit_id", *keys, **named), keys, names, caps


def _by_look(study: Study, plan: Plan, rows: ibis.Table) -> ibis.Table:
    """Return units that are due with few days and clusters apart, since of each block and cluster a row leaves.

    The day is the last on which a unit is ready for the same look. Very many are grouped, see `groups_of`.
    """
    days = [ibis.date(look - dt.timedelta(days=plan.outcome_days)) for look in seen_looks(study, plan)]
    rows = rows.mutate(ready=ibis.cases(*((rows.ready <= day, day) for day in days)))
    if not (groups := groups_of(study, plan)):
        return rows
    if not plan.clustered:
        return rows.mutate(block=bucket(rows.block, sum(groups)).cast("string"))
    count = ibis.cases(*((rows.arm_index == arm, n) for arm, n in enumerate(groups)))
    group = bucket(rows.cluster, count).cast("string")
    return rows.mutate(cluster=rows.arm_index.cast("string") + " " + group)


def groups_of(study: Study, plan: Plan) -> list[int]:
    """Return into how many groups the clusters of each arm, or all blocks, are drawn by a hash; none if into none.

    The groups are independent as their clusters are, so errors from their totals stay right (Wolter 2007,
    Introduction to Variance Estimation, chapter 2); and as many clusters are in one of each arm, so that assigning
    groups anew is like assigning clusters. Blocks of one group count as one, which each arm has its share of; what
    the small blocks would have told apart more is lost, so that errors are at most too large.
    """
    if plan.design == "simple":
        return []
    if plan.clustered:
        parts = of_units.clusters(study, plan)[0]
    else:
        blocks = of_units.assigned(study, plan).block.nunique()
        parts = [of_units.kept(study, ("blocks", plan.digest), blocks.execute)]
    every, (fewest, most) = sum(parts), RANDOM_GROUPS
    room = max(MOST_TOTALS // max(len(seen_looks(study, plan)), 1), fewest)
    return [max(round(n / every * min(room, most)), 2) for n in parts] if every > room else []


def _prepared(
    rows: ibis.Table, plan: Plan, metric: Metric, fills: Fills | None
) -> tuple[dict[str, Any], float | None]:
    """Return the values of a metric by name, as they are read, and the value of the cap."""
    wanted, cap = of_units.wanted(metric), None
    values = {name: rows[of_units.label(each)] for name, each in wanted.items()}
    if metric.kind == "proportion":
        values["outcome"] = number(values["outcome"] > 0)
    if metric.cap:
        cap = float(values["outcome"].quantile(metric.cap).execute())
        values["outcome"] = ibis.least(values["outcome"], ibis.literal(cap))
    main = [name for name in MAIN if name in values]
    zeros = {(metric, name): (0.0, 0.0) for name in main if plan.missing == "zero"}
    for (own, name), fill in {**(fills or {}), **zeros}.items():
        if own == metric:
            values[name] = values[name].fill_null(ibis.ifelse(rows.arm_index == 0, *fill))
    if fills is not None and len(values) > 1:
        there = values[main[0]].notnull() & values[main[-1]].notnull()
        values = {name: ibis.ifelse(there, value, ibis.null("float64")) for name, value in values.items()}
    return values, cap


def _read(
    study: Study, plan: Plan, metrics: Sequence[Metric], segment: str, fills: Fills | None = None
) -> dict[Metric, dict[str, Cells]]:
    """Read metrics in one query: per group the units, and of each metric size, means and covariances.

    When something turns out to be missing, metrics of several values are read again: only units whose outcome is
    known, with the mean of a covariate where it is not.
    """
    rows, keys, names, caps = _shown(study, plan, metrics, segment, fills)
    sums = {"units": rows.count()}
    for i, own in enumerate(names):
        values = [rows[f"{i} {j}"] for j in range(len(own))]
        for j, one in enumerate(values):
            sums |= {f"n{i} {j}": one.count(), f"mean{i} {j}": one.mean()}
            sums[f"cov{i} {j} {j}"] = one.var(how="pop")
            sums |= {f"cov{i} {j} {k}": one.cov(values[k], how="pop") for k in range(j)}
    query, looks = rows.group_by(keys).agg(**sums), seen_looks(study, plan)
    frame, strata = _coded(plan, looks, pulled(query))
    several = [(i, j) for i, own in enumerate(names) for j in range(len(own)) if len(own) > 1]
    if fills is None and any((frame[f"n{i} {j}"] < frame["units"]).any() for i, j in several):
        means = {(metrics[i], names[i][j]): (_mean(frame, f"{i} {j}"),) * 2 for i, j in several}
        return _read(study, plan, metrics, segment, {k: v for k, v in means.items() if k[1] not in MAIN})
    found: dict[Metric, dict[str, Cells]] = {metric: {} for metric in metrics}
    for level in sorted(frame["level"].unique()) or [""]:
        part = frame[frame["level"] == level]
        for i, metric in enumerate(metrics):
            shared = {"looks": looks, "strata": strata, "cap": caps[i], "query": query}
            found[metric][level] = _cells(plan, part, i, names[i], shared)
    return found


def _mean(frame: pd.DataFrame, place: str) -> float:
    """Return the mean of all groups."""
    n = frame[f"n{place}"]
    return float((frame[f"mean{place}"] * n).sum() / max(n.sum(), 1))


def _of_arms(study: Study, plan: Plan, metric: Metric) -> Cells:
    """Return the moments of a metric that is told as sums of arms."""
    looks, (groups, query) = seen_looks(study, plan), arm_groups(study, plan, metric)
    frame, strata = _coded(plan, looks, groups[groups["ready"] <= number_of(max(looks, default=EPOCH))])
    shared = {"looks": looks, "strata": strata, "cap": None, "query": query}
    return _cells(plan, frame, 0, MAIN[: 1 + (metric.kind == "ratio")], shared)


def _coded(plan: Plan, looks: Sequence[dt.date], frame: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return groups with the places of their arm, look and stratum; and the strata."""
    frame = frame.assign(**{name: "" for name in ("block", "level") if name not in frame})
    frame = frame.dropna(subset="arm_index").fillna({"block": "", "cluster": "", "level": NOT_STATED})
    frame = frame.rename(columns={"arm_index": "arm", "period_index": "period"}).astype({"arm": int})
    own = pd.MultiIndex.from_frame(frame[["period", "block"]])
    strata = own.unique().sort_values()
    ready = frame["ready"]
    if ready.dtype.kind == "M":
        ready = (ready - pd.Timestamp(EPOCH)).dt.days + plan.outcome_days
    look = np.searchsorted([number_of(look) for look in looks], ready)
    return frame.assign(look=look, stratum=strata.get_indexer(own)), strata.to_frame(index=False)


def _settled(n: np.ndarray, mean: np.ndarray, within: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return means and covariances on a grid of 2^-38 of the spread: several threads add up in no fixed order.

    Shapes (groups,), (groups, k) and (groups, k, k). Their last digits would differ from run to run otherwise.
    """
    variance = (n[:, None] * np.diagonal(within, axis1=1, axis2=2)).sum(0) / max(n.sum(), 1.0)
    scale = np.where(variance > 0, 2.0 ** np.floor(np.log2(np.where(variance > 0, variance, 1.0)) / 2), 1.0)
    grid = scale * 2.0**-38
    square = grid[:, None] * scale[None, :]
    return np.round(mean / grid) * grid, np.round(within / square) * square


def _cells(
    plan: Plan, frame: pd.DataFrame, place: int, names: tuple[str, ...], shared: dict[str, Any]
) -> Cells:
    """Return the moments of one metric from its groups, merged by their distance from a common mean."""
    k, size = len(names), (len(plan.arms), len(shared["looks"]), max(len(shared["strata"]), 1))
    n, where = frame[f"n{place} 0"].to_numpy(float), tuple(frame[name].to_numpy() for name in PLACE)
    mean = frame[[f"mean{place} {j}" for j in range(k)]].fillna(0.0).to_numpy(float)
    lower = [[f"cov{place} {max(i, j)} {min(i, j)}" for i in range(k)] for j in range(k)]
    within = np.stack([frame[row].fillna(0.0).to_numpy(float) for row in lower], axis=1)
    mean, within = _settled(n, mean, within)
    cross = n[:, None, None] * within
    total, means, crosses = np.zeros(size), np.zeros((*size, k)), np.zeros((*size, k, k))
    centre = mean[n > 0].mean(axis=0) if (n > 0).any() else np.zeros(k)
    np.add.at(total, where, n)
    np.add.at(means, where, n[:, None] * (mean - centre))
    means = np.where(total[..., None] > 0, centre + means / np.maximum(total, 1)[..., None], 0.0)
    apart = mean - means[where]
    np.add.at(crosses, where, cross + n[:, None, None] * apart[:, :, None] * apart[:, None, :])
    clusters = pd.DataFrame()
    if plan.clustered and "cluster" in frame:
        keys, sums = [*PLACE, "cluster"], dict(zip(names, (n[:, None] * mean).T, strict=True))
        clusters = frame[keys].assign(n=n, **sums).groupby(keys, as_index=False).sum()
    missing = np.zeros((size[0], 2))
    np.add.at(missing, where[0], np.column_stack([frame["units"] - n, frame["units"]]))
    moments = Moments(names, total, means, crosses)
    return Cells(moments=moments, clusters=clusters, missing=missing, **shared)
