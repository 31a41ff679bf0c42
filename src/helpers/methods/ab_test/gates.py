"""What must hold before an effect is shown: each gate has a code, says what it found and how to mend it.

Limits: a test for faults may be wrong in one sound experiment of a thousand (`ALARM`, Bonferroni within a gate). The
mean of skewed outcomes is normal enough from 355 squared skewnesses on (Kohavi et al. 2014), a ratio when the error
of the control's denominator is at most a tenth of it. Clusters are worth as many units as the design effect
``1 + (m - 1) ICC`` leaves of them (Kish 1965), with the ICC of a one-way analysis of variance within the arms.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

import numpy as np
from scipy import stats

from helpers.methods.ab_test import units as of_units
from helpers.methods.ab_test.clusters import FEW, FEWEST, by_look
from helpers.methods.ab_test.effects import FEW_EVENTS, NOISY, Contrast, contrast
from helpers.methods.ab_test.plan import BEFORE, Metric, Plan, first_unit, table_of
from helpers.methods.ab_test.readings import Cells, moments_of, seen_looks, shape_of
from helpers.methods.ab_test.split import ALARM, split
from helpers.sentences import number, percent, say, shortened
from helpers.study import Study
from helpers.study.days import number_of

WARNED, REFUSED = 0.01, 0.05
"""Shares of units in several arms, or outside the dates, above which is warned and refused."""
APART = 0.005
"""Difference of recorded and planned probabilities that is no rounding."""
SKEWED = 355
EFFECTIVE = 20
"""Independent units that clusters must be worth."""
FORM = 20
"""Units with ids of one form whose absence from a table tells something."""


class Gate(NamedTuple):
    """One check.

    Attributes
    ----------
    code : str
        Such as ``split``.
    passed : bool
        Whether it holds.
    severity : {"refuse", "warn"}
        Whether no effect may be shown when it does not, or the effect is only provisional.
    value : float
        What was measured.
    sentence, remedy : str
        What was found, and what to do about it (empty when it holds).
    """

    code: str
    passed: bool
    severity: Literal["refuse", "warn"]
    value: float
    sentence: str
    remedy: str


def gates(study: Study, plan: Plan) -> tuple[Gate, ...]:
    """Return every gate in the order of reading; those of outcomes once a look has passed."""
    found = [_registered(study, plan)]
    told = [metric for metric in (plan.primary, *plan.guardrails)]
    if not all(metric.of_arms for metric in plan.metrics):
        found += _assignment(study, plan)
    found += _split(study, plan)
    if seen_looks(study, plan):
        for metric in told:
            found += _outcome(study, plan, metric)
        if not plan.primary.of_arms:
            found += _before(study, plan)
    return tuple(found)


def _gate(
    code: str, wrong: bool, value: float, said: str, remedy: str, *, warn: bool = False, **shown: Any
) -> Gate:
    """Return a gate; its sentence and remedy are templates, filled from `shown`."""
    shown |= {"value": number(float(value))}
    mend = say(remedy, **shown) if wrong else ""
    return Gate(code, not wrong, "warn" if warn else "refuse", float(value), say(said, **shown), mend)


def _registered(study: Study, plan: Plan) -> Gate:
    first, at = first_unit(study, plan), plan.registered_at
    late = first is not None and (at is None or at.astimezone(dt.UTC).replace(tzinfo=None) > first)
    said = "The design was written down at {at}; the first unit came at {first} (UTC)."
    if at is None or not plan.sha256:
        said = "The design was never written down with its hash; the first unit came at {first} (UTC)."
    remedy = "A design that is younger than the data may have been chosen to fit them: run the test again, planned."
    shown: dict[str, Any] = {
        "at": at.astimezone(dt.UTC).strftime("%Y-%m-%d %H:%M") if at else "–",
        "first": first or "–",
    }
    return _gate("registered", late or not plan.sha256, late, said, remedy, **shown)


def _assignment(study: Study, plan: Plan) -> Iterator[Gate]:
    """Check who was assigned, when, to which arm, with which probability, and under which kind of id."""
    rows = of_units.everyone(study, plan)
    kinds = rows.unit_type.nunique() if "unit_type" in rows.columns else rows.count() * 0
    outside = (rows.assigned_day < number_of(plan.start)) | (rows.assigned_day > number_of(plan.end))
    sums = {
        "rows": rows.count(),
        "unknown": rows.arm_index.isnull().sum(),
        "outside": outside.sum(),
        "kinds": kinds,
    }
    all_, unknown, out, kinds = (int(x) for x in rows.agg(**sums).fill_null(0).execute().iloc[0])
    size = max(all_, 1)
    remedy = "Name every arm in the design, or take units of other tests out of the table."
    said = "{n:,} of {all:,} units are in an arm that the design does not have."
    yield _gate("arms", unknown > 0, unknown / size, said, remedy, n=unknown, all=all_)
    several = int(of_units.in_several_arms(study, plan).count().execute())
    said = "{n:,} units stand in more than one arm ({share}); they left all of them."
    remedy = "Assign by an id that lasts, and log the first arm only."
    bad = several / size
    shown: dict[str, Any] = {"n": several, "share": percent(bad)}
    yield _gate("several_arms", bad > WARNED, bad, said, remedy, warn=bad <= REFUSED, **shown)
    said = "{n:,} units ({share}) were assigned before {start} or after {end}; they were left out."
    remedy = "Start the assignment with the test and end it with it, or plan the dates it has."
    shown = {"n": out, "share": percent(out / size), "start": plan.start, "end": plan.end}
    yield _gate("dates", out / size > WARNED, out / size, said, remedy, warn=out / size <= REFUSED, **shown)
    if "probability" in rows.columns:
        yield _schedule(plan, rows)
    yield from _ids(study, plan, kinds)


def _schedule(plan: Plan, rows: Any) -> Gate:
    """Check that units were assigned with the probabilities of the schedule of their day."""
    rows = rows.filter(rows.arm_index.notnull(), rows.probability.notnull())
    means = (
        rows.group_by("period_index", "arm_index", "assigned_day").agg(p=rows.probability.mean()).execute()
    )
    planned = np.array([period.shares for period in plan.allocation])
    away = (
        (means["p"] - planned[means["period_index"], means["arm_index"]]).abs() if len(means) else means["p"]
    )
    wrong = means[away > APART].sort_values("assigned_day")
    since = dt.date(1970, 1, 1) + dt.timedelta(days=int(wrong["assigned_day"].iloc[0])) if len(wrong) else ""
    said = (
        "The recorded probabilities of the arms differ from the schedule by up to {most}, first on {since}."
    )
    if wrong.empty:
        said = "The recorded probabilities of the arms are those of the schedule."
    remedy = "Write each change of the shares into the schedule of the design before it is made."
    most = float(away.max()) if len(away) else 0.0
    return _gate("schedule", len(wrong) > 0, most, said, remedy, most=percent(most), since=since)


def _ids(study: Study, plan: Plan, kinds: int) -> Iterator[Gate]:
    """Check that all units are of one kind, and that no form of their ids is unknown to the table of outcomes."""
    said, missed = "All units are of one kind.", 0
    if kinds > 1:
        said, missed = "{kinds} kinds of units stand in one experiment.", kinds
    elif plan.primary.table in ("events", "orders", "unit_outcomes") and plan.unit != of_units.SLOT:
        rows = of_units.valued(study, plan, [of_units.wanted(plan.primary)["outcome"]])
        outcome = rows[of_units.label(of_units.wanted(plan.primary)["outcome"])]
        seen = outcome.notnull() if plan.primary.table == "unit_outcomes" else outcome != 0
        rows = rows.select(digits=rows.unit_id.re_search("^[0-9]+$"), seen=seen.cast("int64"))
        forms = rows.group_by("digits").agg(n=rows.count(), seen=rows.seen.sum()).execute()
        share = forms["seen"].sum() / max(forms["n"].sum(), 1)
        lost = forms[(forms["n"] >= FORM) & (forms["seen"] == 0) & ((1 - share) ** forms["n"] < ALARM)]
        if len(forms) > 1 and len(lost):
            said, missed = "Of {n:,} units with ids of one form none is in {table}.", int(lost["n"].sum())
    remedy = "Write ids in one way in all tables, and let one experiment have one kind of unit."
    yield _gate("ids", missed > 0, missed, said, remedy, kinds=kinds, n=missed, table=plan.primary.table)


def _split(study: Study, plan: Plan) -> Iterator[Gate]:
    """Check the split as a whole, and in the segments of the plan."""
    found = split(study, plan)
    n = found.weeks.groupby("arm", sort=False)["n"].sum()
    told = ", ".join(f"{shortened(arm, 40)} {n.get(arm, 0):,}" for arm in plan.arms)
    said = "Units by arm: {told}; a split as planned would be so uneven with p {p}."
    if found.alarm:
        said = (
            "Units by arm: {told}; p {p}. The split is not as planned, most likely since the week of {since}."
        )
    if not len(found.weeks):
        said = "No table tells how many units each arm has, so the split cannot be checked."
    remedy = (
        "Look for what changed in that week: a filter, a redirect, a lost log. Mend it and restart the test."
    )
    shown: dict[str, Any] = {"told": told, "p": f"{found.p:.2g}", "since": found.since}
    yield _gate(
        "split",
        found.alarm or not len(found.weeks),
        found.p,
        said,
        remedy,
        warn=not len(found.weeks),
        **shown,
    )
    if len(found.segments):
        worst = found.segments.sort_values("p").iloc[0]
        said = "The least even split of a segment is that of {segment} {level}: p {p}."
        remedy = "In {segment} {level} the arms are not as planned: look for a cause there before reading the whole."
        shown = {
            "segment": worst["segment"],
            "level": shortened(worst["level"], 40),
            "p": f"{worst['p']:.2g}",
        }
        yield _gate("split_segment", bool(worst["alarm"]), worst["p"], said, remedy, **shown)


def _outcome(study: Study, plan: Plan, metric: Metric) -> Iterator[Gate]:
    """Check what was observed of one metric."""
    cells = _with_before(study, plan) if metric == plan.primary else moments_of(study, plan, metric)
    k, name = 2 if "denominator" in cells.moments.names else 1, shortened(metric.name, 60)
    whole = cells.moments.take(cells.moments.names[:k]).merge(1)
    arms = whole.merge(1)
    yield from _missing(plan, name, cells.missing)
    fewest = int(arms.n.min())
    said = "{metric}: the smallest arm has {n:,} units with an outcome."
    yield _gate("units", fewest < 2, fewest, said, "Wait until each arm has units.", metric=name, n=fewest)
    if fewest < 2:
        return
    if cells.clusters is not None:
        yield from _clusters(plan, cells)
    errors = [_contrast(plan, cells, k, arm).error for arm in range(1, len(plan.arms))]
    said = "{metric}: the outcome differs between units."
    if constant := bool(np.nanmax(errors) == 0) if np.isfinite(errors).any() else False:
        said = "{metric}: the outcome is constant in every arm, so that no error can be told."
    remedy = "Check the export: an outcome that never varies was filled in, or measured at the wrong place."
    yield _gate("constant", constant, max(np.nan_to_num(errors)), said, remedy, metric=name)
    counts = metric.kind == "proportion" or metric.source == "orders" or metric.table == "events"
    if counts and k == 1:
        events = arms.n * arms.mean[:, 0]
        rare = np.minimum(events, arms.n - events) if metric.kind == "proportion" else events
        said = "{metric}: the arm with the fewest has {n:,.0f} events."
        remedy = (
            "Wait: below {least} events in an arm no interval holds. If ids do not match, there are none."
        )
        yield _gate(
            "events",
            rare.min() < FEW_EVENTS,
            rare.min(),
            said,
            remedy,
            metric=name,
            n=rare.min(),
            least=FEW_EVENTS,
        )
    if metric.kind != "proportion" and not metric.of_arms:
        yield from _shape(study, plan, metric, name, arms)


def _missing(plan: Plan, name: str, missing: np.ndarray) -> Iterator[Gate]:
    lost, due = missing.T
    share = lost.sum() / max(due.sum(), 1)
    said = "{metric}: {n:,.0f} of {all:,.0f} outcomes that are due were not observed ({share})."
    remedy = "Find the outcomes, or say in the design what their absence means: zero, drop or bounds."
    shown: dict[str, Any] = {"metric": name, "n": lost.sum(), "all": due.sum(), "share": percent(share)}
    yield _gate("missing", lost.sum() > 0 and plan.missing == "refuse", share, said, remedy, **shown)
    p = 1.0
    if 0 < lost.sum() < due.sum() and due.min() > 0:
        p = float(stats.chi2_contingency(np.stack([lost, due - lost]), correction=False).pvalue)
    shares = ", ".join(
        f"{shortened(a, 40)} {percent(x / max(y, 1))}" for a, (x, y) in zip(plan.arms, missing, strict=True)
    )
    said = "{metric}: outcomes not observed by arm: {shares} (p {p})."
    remedy = "The change itself may decide who is observed: measure everybody, or read the bounds."
    yield _gate("missing_by_arm", p < ALARM, p, said, remedy, metric=name, shares=shares, p=f"{p:.2g}")


def _shape(study: Study, plan: Plan, metric: Metric, name: str, arms: Any) -> Iterator[Gate]:
    """Check skewness, and the denominator of a ratio."""
    shape = shape_of(study, plan, metric, float((arms.n * arms.mean[:, 0]).sum() / arms.n.sum()))
    needed = SKEWED * float(np.nan_to_num(shape["skew"]).max()) ** 2
    said = "{metric}: so skewed that an arm needs {value} units for a normal interval; the smallest has {n:,.0f}."
    remedy = "Cap the outcome in the design, or wait; until then the interval is provisional."
    fewest = arms.n.min()
    yield _gate("skew", fewest < needed, needed, said, remedy, warn=True, metric=name, n=fewest)
    if metric.kind == "ratio":
        mean, error = arms.mean[0, 1], np.sqrt(arms.variance()[0, 1] / arms.n[0])
        low = float(shape["low"].min())
        negative = low < 0 or arms.mean[:, 1].min() <= 0
        said = "{metric}: the error of the control's denominator is {share} of it, its smallest value {low}."
        remedy = (
            "Divide by something that is never negative."
            if negative
            else "Wait for more units, or divide by less."
        )
        noise = error / mean if mean > 0 else 1.0
        shown: dict[str, Any] = {"metric": name, "share": percent(noise), "low": number(low)}
        yield _gate("denominator", negative or noise > NOISY, noise, said, remedy, warn=not negative, **shown)


def _contrast(plan: Plan, cells: Cells, k: int | slice, arm: int) -> Contrast:
    """Return a contrast at the last look: of the outcome, or (for a slice) of one other value."""
    names = cells.moments.names
    chosen = names[:k] if isinstance(k, int) else names[k]
    if cells.clusters is not None:
        totals = cells.clusters.assign(outcome=cells.clusters[chosen[0]])
        return by_look(totals, len(cells.looks), chosen[1] if len(chosen) > 1 else "n", arm=arm).at(-1)
    return contrast(cells.moments.take(chosen).merge(1), "mean", arm=arm, blocked=plan.design == "blocked")


def _with_before(study: Study, plan: Plan) -> Cells:
    """Return the cells of the primary metric, where it is counted also before the assignment."""
    metric = plan.primary
    if metric.table in of_units.COUNTED and plan.unit != of_units.SLOT and BEFORE not in metric.covariates:
        metric = metric.model_copy(update={"covariates": (*metric.covariates, BEFORE)})
    return moments_of(study, plan, metric)


def _before(study: Study, plan: Plan) -> Iterator[Gate]:
    """Check that the arms were alike before, in what no assignment can have changed, and that it was before."""
    cells, k = _with_before(study, plan), 2 if plan.primary.denominator else 1
    names = cells.moments.names[k:]
    found = {
        name: min(
            float(np.nan_to_num(_contrast(plan, cells, slice(k + i, k + i + 1), arm).p, nan=1.0))
            for arm in range(1, len(plan.arms))
        )
        for i, name in enumerate(names)
    }
    if found:
        worst = min(found, key=lambda name: found[name])
        p = min(found[worst] * len(found) * (len(plan.arms) - 1), 1.0)
        said = (
            "Before the assignment the arms differ most in {name}: p {p} for as large a difference by chance."
        )
        remedy = "Arms that differ before the test were not drawn at random: look for the cause, and restart."
        yield _gate("before", p < ALARM, p, said, remedy, name=worst, p=f"{p:.2g}")
    late = _measured_late(study, plan)
    said = "{n:,} values of covariates were measured after their unit was assigned."
    remedy = "A covariate that the change can move hides part of the effect: take one from before."
    yield _gate("covariate", late > 0, late, said, remedy, n=late)


def _measured_late(study: Study, plan: Plan) -> int:
    """Count the covariates of the plan that were measured after the assignment of their unit."""
    found = 0
    for source in {c for metric in plan.metrics for c in metric.covariates if table_of(c) == "unit_outcomes"}:
        table = study.dataset["unit_outcomes"]
        if "measured_at" in table.columns:
            own = table.filter(table.exp_id == plan.experiment, table.metric == source.partition(":")[2])
            rows = of_units.assigned(study, plan).select("unit_id", "assigned_at").inner_join(own, "unit_id")
            found += int((rows.measured_at > rows.assigned_at).sum().fill_null(0).execute())
    return found


def _clusters(plan: Plan, cells: Cells) -> Iterator[Gate]:
    """Check how many clusters there are, that each is in one arm, and how many units they are worth."""
    assert cells.clusters is not None
    totals = cells.clusters.groupby(["arm", "cluster"], as_index=False)[["n", "outcome"]].sum()
    torn = int(totals["cluster"].duplicated().sum())
    count = totals.groupby("arm")["cluster"].count().reindex(range(len(plan.arms)), fill_value=0)
    g, n = len(totals), totals["n"].sum()
    arms = cells.moments.merge(1).merge(1)
    mean = arms.mean[totals["arm"], 0]
    between = float((totals["n"] * (totals["outcome"] / totals["n"] - mean) ** 2).sum())
    within = max(float(arms.cross[:, 0, 0].sum()) - between, 0.0)
    m = (n - (totals["n"] ** 2).sum() / n) / max(g - 1, 1)
    msb, msw = between / max(g - len(count), 1), within / max(n - g, 1)
    icc = max((msb - msw) / (msb + (m - 1) * msw), 0.0) if msb > 0 and m > 1 else 0.0
    effect = 1 + max(m - 1, 0) * icc
    few = g < FEWEST or count.min() < 2
    worth = n / effect
    said = "{g:,} clusters of {n:,.0f} units; design effect {effect}, so they are worth {value} independent units."
    remedy = "More units in the same clusters tell next to nothing: assign more and smaller clusters."
    if torn:
        said, remedy = (
            "{torn:,} clusters stand in more than one arm.",
            "Assign each cluster as a whole, to one arm.",
        )
    shown: dict[str, Any] = {"g": g, "n": n, "effect": number(effect), "torn": torn}
    wrong = few or torn > 0 or (m > 1 and worth < EFFECTIVE)
    yield _gate("clusters", bool(wrong), worth, said, remedy, **shown)
    said = "{g:,} clusters: {least} and fewer than {few} allow the t distribution only."
    yield _gate(
        "few_clusters",
        g < FEW,
        g,
        said,
        "Read it by its t interval; it is wide.",
        warn=True,
        g=g,
        least=FEWEST,
        few=FEW,
    )
