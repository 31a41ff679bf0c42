"""What must hold before an effect is shown; ``gates.yml`` says what each check found and how to mend it.

Limits: a test for faults may be wrong in one sound experiment of a thousand (`ALARM`, Bonferroni within a gate). The
mean of skewed outcomes is normal enough from 355 squared skewnesses on (Kohavi et al. 2014), a ratio when the error
of the control's denominator is at most a tenth of it. Clusters are worth as many units as the design effect
``1 + (m - 1) ICC`` leaves of them (Kish 1965), with the ICC of a one-way analysis of variance within the arms.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any, NamedTuple

import ibis
import numpy as np
import pandas as pd
from scipy import stats

from helpers.data.dialect import ones
from helpers.data.source import pulled
from helpers.methods.ab_test import readings, units
from helpers.methods.ab_test.clusters import FEW, FEWEST
from helpers.methods.ab_test.effects import FEW_EVENTS, NOISY
from helpers.methods.ab_test.plan import BEFORE, Metric, Plan, first_unit, table_of, texts_of
from helpers.methods.ab_test.split import ALARM, split
from helpers.sentences import number, percent, say, shortened
from helpers.study import Study
from helpers.study.frames import materialise

# Shares of units in several arms, or outside the dates, above which is warned and refused.
WARNED, REFUSED = 0.01, 0.05
# Difference of recorded and planned chances that is no rounding.
APART = 0.005
SKEWED = 355
# Independent units that clusters must be worth.
EFFECTIVE = 20
# Share of blocks of another size from which on blocks have no usual size.
FEW_ODD = 0.2
# Units with ids of one form whose absence from a table tells something.
FORM = 20


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
    severity: str
    value: float
    sentence: str
    remedy: str


def gates(study: Study, plan: Plan) -> tuple[Gate, ...]:
    """Return every gate in the order of reading; those of outcomes once a look has passed."""
    found = [_registered(study, plan)]
    by_units = not all(metric.of_arms for metric in plan.metrics)
    found += _assignment(study, plan) if by_units else ()
    found += _split(study, plan)
    if readings.seen_looks(study, plan):
        found += [gate for each in (plan.primary, *plan.guardrails) for gate in _outcome(study, plan, each)]
        found += () if plan.primary.of_arms else _before(study, plan)
    return tuple(found)


def _gate(code: str, wrong: Any, value: Any, warn: Any = False, **shown: Any) -> Gate:
    """Return a gate, its templates filled from `shown` and the value."""
    text, shown = texts_of("gates.yml")[code], shown | {"value": number(float(value))}
    severity = "warn" if warn or "severity" in text else "refuse"
    mend = say(text["remedy"], **shown) if wrong else ""
    return Gate(code, not wrong, severity, float(value), say(text["found"], **shown), mend)


def _registered(study: Study, plan: Plan) -> Gate:
    first, at = first_unit(study, plan), plan.registered_at and plan.registered_at.astimezone(dt.UTC)
    late = at is None or not plan.sha256 or (first is not None and at.replace(tzinfo=None) > first)
    return _gate("registered", late, late, at=at.replace(tzinfo=None) if at else "–", first=first or "–")


def _assignment(study: Study, plan: Plan) -> Iterator[Gate]:
    """Check who was assigned, when, to which arm, with which chance, and under which kind of id."""
    rows = units.everyone(study, plan)
    sums = {
        "all": rows.count(),
        "unknown": rows.arm_index.isnull().sum(),
        "outside": (~rows.assigned_day.between(ibis.date(plan.start), ibis.date(plan.end))).sum(),
        "kinds": rows.unit_type.nunique() if "unit_type" in rows.columns else rows.exp_id.nunique(),
    }
    n, unknown, outside, kinds = rows.agg(**sums).fill_null(0).execute().iloc[0].astype(int)
    yield _gate("arms", unknown > 0, unknown, n=unknown, all=n)
    yield _gate("kinds", kinds > 1, kinds)
    for code, count in (("several_arms", units.in_several_arms(study, plan)[1]), ("dates", outside)):
        share = count / max(n, 1)
        shown = {"n": count, "share": percent(share), "start": plan.start, "end": plan.end}
        yield _gate(code, share > WARNED, share, share <= REFUSED, **shown)
    if "probability" in rows.columns:
        yield _schedule(plan, rows)
    if plan.primary.table in ("events", "orders", "unit_outcomes"):
        yield _ids(study, plan)
    if plan.design == "blocked" and n:
        yield _blocks(plan, rows)


def _schedule(plan: Plan, rows: ibis.Table) -> Gate:
    """Check that units were assigned with the chances of the schedule of their day."""
    rows = rows.filter(rows.arm_index.notnull(), rows.probability.notnull())
    keys = ("period_index", "arm_index", "assigned_day")
    means = rows.group_by(keys).agg(p=rows.probability.mean()).execute()
    planned = np.array([period.shares for period in plan.allocation])
    away = (means["p"] - planned[means["period_index"], means["arm_index"].astype(int)]).abs()
    since = min(pd.to_datetime(means["assigned_day"][away > APART]).dt.date, default="–")
    most = float(away.max()) if len(away) else 0.0
    return _gate("schedule", most > APART, most, most=percent(most), since=since)


def _ids(study: Study, plan: Plan) -> Gate:
    """Check that no form of ids (digits only, or not) is unknown to the table of outcomes."""
    wanted = units.wanted(plan.primary)["outcome"]
    rows = units.valued(study, plan, [wanted])
    outcome = rows[units.label(wanted)]
    seen = outcome.notnull() if plan.primary.table == "unit_outcomes" else outcome != 0
    rows = rows.select(digits=rows.unit_id.re_search("^[0-9]+$"), seen=ones(seen))
    forms = rows.group_by("digits").agg(n=rows.count(), seen=rows.seen.sum()).execute()
    chance = (1 - forms["seen"].sum() / max(forms["n"].sum(), 1)) ** forms["n"]
    lost = int(forms["n"][(forms["seen"] == 0) & (forms["n"] >= FORM) & (chance < ALARM)].sum())
    return _gate("ids", lost > 0, lost, n=lost, table=plan.primary.table)


def _blocks(plan: Plan, rows: ibis.Table) -> Gate:
    """Check that blocks of one size have that size, and in each arm what the schedule gives a block of it.

    The newest block may not be full yet. Blocks whose sizes differ by nature, such as groups, are not checked.
    """
    rows = rows.filter(rows.arm_index.notnull(), rows.block.notnull())
    of_arms = {f"arm {arm}": rows.count(where=rows.arm_index == arm) for arm in range(len(plan.arms))}
    sums = {"n": rows.count(), "last": rows.assigned_at.max(), **of_arms}
    blocks = materialise(rows.group_by("block", "period_index").agg(**sums))
    sizes = pulled(blocks.group_by("n").agg(blocks=blocks.count()))
    if sizes.empty:  # no unit has an arm of the plan and a block, which other gates tell
        return _gate("blocks", False, 0, n=0, all=0, names="–")
    usual = int(sizes["n"][sizes["blocks"] == sizes["blocks"].max()].max())
    newest = pulled(blocks.order_by(ibis.desc("last"), "block").limit(1))["block"].iloc[0]
    all_, odd = sizes["blocks"].sum(), sizes["blocks"][sizes["n"] != usual].sum()
    wrong = blocks.n != usual
    for arm, column in enumerate(of_arms):
        shares = ibis.cases(
            *((blocks.period_index == i, p.shares[arm]) for i, p in enumerate(plan.allocation))
        )
        wrong |= (blocks[column] - shares * blocks.n).abs() >= 1
    found = blocks.filter(wrong, blocks.block != newest, ibis.literal(bool(odd < FEW_ODD * all_)))
    n, first = int(found.count().execute()), pulled(found.order_by("block", "period_index").limit(5))
    names = ", ".join(first["block"])
    return _gate("blocks", n > 0, n, n=n, all=all_, names=names or "–")


def _split(study: Study, plan: Plan) -> Iterator[Gate]:
    """Check the split as a whole, and in the segments of the plan."""
    found = split(study, plan)
    if found.weeks.empty:
        yield _gate("no_split", True, 0)
        return
    n = found.weeks.groupby("arm", sort=False)["n"].sum()
    told = ", ".join(f"{shortened(arm, 40)} {n[arm]:,}" for arm in plan.arms)
    yield _gate("split", found.alarm, found.p, told=told, p=f"{found.p:.2g}", since=found.since or "–")
    if len(found.segments):
        worst = found.segments.sort_values("p").iloc[0]
        shown = {"segment": worst["segment"], "level": shortened(worst["level"], 40)}
        yield _gate("split_segment", worst["alarm"], worst["p"], p=f"{worst['p']:.2g}", **shown)


def _outcome(study: Study, plan: Plan, metric: Metric) -> Iterator[Gate]:
    """Check what was observed of one metric."""
    cells = _with_before(study, plan) if metric == plan.primary else readings.moments_of(study, plan, metric)
    arms, name = cells.moments.plain.merge(1).merge(1), shortened(metric.name, 60)
    fewest = int(arms.n.min())
    yield from _missing(plan, name, cells.missing)
    yield _gate("units", fewest < 2, fewest, metric=name, n=fewest)
    if fewest < 2:
        return
    if len(cells.clusters):
        assigned, torn = units.clusters(study, plan)
        yield _gate("torn_clusters", torn > 0, torn)
        grouped = sum(assigned) if readings.groups_of(study, plan) else 0
        yield _clusters(cells.clusters, arms.cross[:, 0, 0].sum(), grouped)
    found = [cells.contrasts(plan, "mean", arms.names, arm).at(-1) for arm in range(1, len(plan.arms))]
    constant = any(np.isnan(each.error) and not each.lacking for each in found)
    yield _gate("constant", constant, np.nan_to_num([each.error for each in found]).max(), metric=name)
    if metric.kind == "proportion" or (metric.kind == "mean" and metric.table in units.COUNTED):
        events = arms.n * arms.mean[:, 0]
        rare = np.minimum(events, arms.n - events if metric.kind == "proportion" else events).min()
        yield _gate("events", rare < FEW_EVENTS, rare, metric=name, n=rare, least=FEW_EVENTS)
    if metric.kind != "proportion" and not metric.of_arms:
        shape = readings.shape_of(study, plan, metric, float((arms.n @ arms.mean[:, 0]) / arms.n.sum()))
        needed = SKEWED * float(np.nan_to_num(shape["skew"]).max()) ** 2
        yield _gate("skew", fewest < needed, needed, metric=name, n=fewest)
        if metric.kind == "ratio":
            noise = float(np.sqrt(arms.cross[0, 1, 1] / (arms.n[0] - 1) / arms.n[0]) / arms.mean[0, 1])
            low = shape["low"].min()
            negative = low < 0 or not 0 <= noise < np.inf
            shown = {"metric": name, "share": percent(noise), "low": number(low)}
            yield _gate("denominator", negative or noise > NOISY, noise, not negative, **shown)


def _missing(plan: Plan, name: str, missing: np.ndarray) -> Iterator[Gate]:
    """Check how many outcomes were not observed, in all and by arm."""
    lost, due = missing.T
    share, apart = lost.sum() / max(due.sum(), 1), 0 < lost.sum() < due.sum() and due.min() > 0
    shown = {"metric": name, "n": lost.sum(), "all": due.sum(), "share": percent(share)}
    yield _gate("missing", lost.sum() > 0 and plan.missing == "refuse", share, **shown)
    p = float(stats.chi2_contingency([lost, due - lost], correction=False).pvalue) if apart else 1.0
    by_arm = zip(plan.arms, lost / np.maximum(due, 1), strict=True)
    shares = ", ".join(f"{shortened(arm, 40)} {percent(share)}" for arm, share in by_arm)
    yield _gate("missing_by_arm", p < ALARM, p, metric=name, shares=shares, p=f"{p:.2g}")


def _clusters(clusters: pd.DataFrame, spread: float, grouped: int) -> Gate:
    """Check how many units the clusters, or groups of so many, are worth; `spread` is of units within arms."""
    totals = clusters.groupby(["arm", "cluster"], as_index=False)[["n", "outcome"]].sum().query("n > 0")
    g, n, sizes = len(totals), totals["n"].sum(), totals.groupby("arm")["n"]
    level = totals.groupby("arm")["outcome"].transform("sum") / sizes.transform("sum")
    between = float((totals["n"] * (totals["outcome"] / totals["n"] - level) ** 2).sum())
    m = (n - (totals["n"] ** 2).sum() / n) / max(g - 1, 1)
    msb, msw = between / max(g - len(sizes), 1), max(spread - between, 0.0) / max(n - g, 1)
    icc = max((msb - msw) / (msb + (m - 1) * msw), 0.0) if msb > 0 and m > 1 else 0.0
    effect = 1 + max(m - 1, 0) * icc
    too_few = g < FEWEST or sizes.count().min() < 2 or (m > 1 and n / effect < EFFECTIVE)
    shown = {"g": grouped or g, "n": n, "effect": number(effect)}
    return _gate("clusters", too_few or g < FEW, n / effect, not too_few, **shown)


def _with_before(study: Study, plan: Plan) -> readings.Cells:
    """Return the cells of the primary metric, where it is counted with what it was before the assignment."""
    metric = plan.primary
    if metric.table in units.COUNTED and BEFORE not in metric.covariates:
        metric = metric.model_copy(update={"covariates": (*metric.covariates, BEFORE)})
    return readings.moments_of(study, plan, metric)


def _before(study: Study, plan: Plan) -> Iterator[Gate]:
    """Check that the arms were alike before, in what no assignment can have changed, and that it was before."""
    cells = _with_before(study, plan)
    names, arms = cells.moments.names[len(cells.moments.plain.names) :], range(1, len(plan.arms))
    every = ((float(cells.contrasts(plan, "mean", [of], arm).p[-1]), of) for of in names for arm in arms)
    if found := [each for each in every if each[0] == each[0]]:
        least, worst = min(found)
        p, told = min(least * len(found), 1.0), plan.primary.name if worst == BEFORE else worst
        yield _gate("before", p < ALARM, p, name=shortened(told, 60), p=f"{p:.2g}")
    sources = {c for metric in plan.metrics for c in metric.covariates if table_of(c) == "unit_outcomes"}
    table, late = study.dataset["unit_outcomes"] if sources else None, 0
    if table is not None and "measured_at" in table.columns:
        own = table.filter(
            table.exp_id == plan.experiment, table.metric.isin([c.partition(":")[2] for c in sources])
        )
        own = own.inner_join(units.assigned(study, plan).select("unit_id", "assigned_at"), "unit_id")
        late = int(own.filter(own.measured_at > own.assigned_at).count().execute())
    yield _gate("covariate", late > 0, late, n=late)
