"""The units of an experiment and what happened to each, as lazy tables: no row of theirs leaves the engine here.

Windows
-------
An outcome counts from the moment of the assignment to the end of the ``outcome_days``-th day after it; then the unit
is ready. In ``unit_outcomes`` it is ready on the day of ``measured_at``, and where that is not stated on the same day
as any other: so a missing outcome is missed when it is due, and not before. A covariate counts what happened in as
many days before the day of the assignment (at least one).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Collection, Hashable, Sequence
from typing import Any
from weakref import WeakKeyDictionary

import ibis

from helpers.checks import did_you_mean
from helpers.data.clock import local_date, local_time, zone
from helpers.data.dialect import number, ones
from helpers.data.source import Dataset, pulled
from helpers.errors import BadParameters
from helpers.methods.ab_test.plan import BEFORE, Metric, Plan, table_of
from helpers.sentences import say
from helpers.study import Study
from helpers.study.activity import Log
from helpers.study.days import day_number
from helpers.study.frames import materialise, require_columns

# The covariate that says whether a unit met the change; for partial delivery, never for adjustment.
DELIVERED = "assignments:exposed_at"
# Tables in which nothing means none; elsewhere it means not observed.
COUNTED = ("events", "orders")

KEYS = ("block", "cluster", "level")
# A source, and ``after``, ``before`` or ``denominator``.
Wanted = tuple[str, str]
_kept: WeakKeyDictionary[Study, dict[Hashable, Any]] = WeakKeyDictionary()


def kept(study: Study, key: Hashable, make: Callable[[], Any]) -> Any:
    """Return what was made under this key for this study, made once."""
    own = _kept.setdefault(study, {})
    return own[key] if key in own else own.setdefault(key, make())


def everyone(study: Study, plan: Plan) -> ibis.Table:
    """Return all rows of assignments of an experiment up to the day of the study.

    The table's columns, and arm_index (missing for an arm that the plan does not have), assigned_day (date),
    period_index (of the allocation).
    """
    table = study.dataset["assignments"]
    needed = {"blocked": ["block"], "clustered": ["cluster"]}.get(plan.design, [])
    require_columns(table, needed, "assignments")
    over = midnight(study, study.as_of + dt.timedelta(days=1))
    rows = table.filter(table.exp_id == plan.experiment, table.assigned_at < over)
    day = local_date(rows.assigned_at, study.report_tz)
    later = [ones(day >= ibis.date(period.start)) for period in plan.allocation[1:]]
    index = sum(later, ibis.literal(0, "int8")).cast("int8")
    return rows.mutate(arm_index=place_of(rows.arm, plan), assigned_day=day, period_index=index)


def place_of(arm: ibis.Value, plan: Plan) -> ibis.Value:
    """Return the place of an arm in the plan; missing for an arm that it does not have."""
    return ibis.cases(*((arm == name, ibis.literal(i, "int8")) for i, name in enumerate(plan.arms)))


def midnight(study: Study, day: dt.date) -> ibis.Value:
    """Return when a day begins, in UTC: comparing instants is cheaper than making days of them."""
    begun = dt.datetime.combine(day, dt.time(), zone(study.report_tz)).astimezone(dt.UTC)
    return ibis.timestamp(f"{begun:%Y-%m-%d %H:%M:%S}")


def in_several_arms(study: Study, plan: Plan) -> tuple[ibis.Table, int]:
    """Return the units that stand in more than one arm (unit_id), and how many they are."""

    def find() -> tuple[ibis.Table, int]:
        rows = everyone(study, plan)
        arms = rows.group_by("unit_id").agg(first=rows.arm.min(), last=rows.arm.max())
        found = materialise(arms.filter(arms["first"] != arms["last"]).select("unit_id"))
        return found, int(found.count().execute())

    return kept(study, ("several", plan.experiment), find)


def assigned(study: Study, plan: Plan) -> ibis.Table:
    """Return the units that are read: in one arm, assigned within the dates of the plan, past the burn-in.

    Those of an arm that the plan does not have fall out with the groups, which costs less than looking at each.
    """
    rows = everyone(study, plan)
    begun, over = (midnight(study, day) for day in (plan.start, plan.end + dt.timedelta(days=1)))
    rows = rows.filter(rows.assigned_at >= begun, rows.assigned_at < over)
    several, many = in_several_arms(study, plan)
    rows = rows.anti_join(several, "unit_id") if many else rows
    if plan.clustered and "cluster" not in rows.columns:
        rows = rows.mutate(cluster=rows.unit_id)
    if plan.burn_in_hours:
        rows = rows.mutate(begun=rows.assigned_at.min().over(ibis.window(group_by="cluster")))
        burnt = ibis.interval(seconds=round(3_600 * plan.burn_in_hours))
        rows = rows.filter(rows.assigned_at >= rows.begun + burnt).drop("begun")
    return rows


def clusters(study: Study, plan: Plan) -> tuple[list[int], int]:
    """Return how many clusters are assigned to each arm, and how many of them stand in more than one."""

    def find() -> tuple[list[int], int]:
        rows = assigned(study, plan)
        arms = rows.group_by("cluster").agg(first=rows.arm_index.min(), last=rows.arm_index.max())
        torn = (arms["first"] < arms["last"]).sum()
        found = pulled(arms.group_by("first").agg(n=arms.count(), torn=torn)).set_index("first")
        return found["n"].reindex(range(len(plan.arms)), fill_value=0).tolist(), int(found["torn"].sum())

    return kept(study, ("clusters", plan.digest), find)


def with_segment(study: Study, rows: ibis.Table, segment: str) -> ibis.Table:
    """Return units with the level of a segment as text: a column of assignments, else of members or content.

    Raises
    ------
    BadParameters
        When no such column is known.
    """
    if segment in rows.columns:
        return rows.mutate(level=rows[segment].cast("string"))
    known = list(rows.columns)
    for name, key in (("members", "member_id"), ("content", "content_id")):
        columns = study.dataset[name].columns if name in study.dataset else ()
        if segment in columns:
            table = study.dataset[name]
            levels = table.select(of=table[key], level=table[segment].cast("string"))
            return rows.left_join(levels, rows.unit_id == levels.of).drop("of")
        known += columns
    raise BadParameters(
        say(
            "segments: no column {segment!r} of units is known.{near}",
            segment=segment,
            near=did_you_mean(segment, known),
        )
    )


def wanted(metric: Metric) -> dict[str, Wanted]:
    """Return what a metric needs of each unit, by the name of its moment."""
    found = {"outcome": (metric.source, "after")}
    if metric.denominator:
        own = metric.denominator == "denominator"
        found["denominator"] = (metric.source, "denominator") if own else (metric.denominator, "after")
    for name in metric.covariates:
        if name == BEFORE:
            found[name] = (metric.source, "before")
            if metric.denominator not in (None, "denominator"):
                found["denominator before"] = (str(metric.denominator), "before")
        else:
            found[name] = (name, "after" if table_of(name) in ("assignments", "unit_outcomes") else "before")
    return found


def label(each: Wanted) -> str:
    """Return the name of the column of something wanted."""
    return " ".join(each)


def valued(study: Study, plan: Plan, columns: Collection[Wanted], segment: str = "") -> ibis.Table:
    """Return the units with a column of numbers for each of `columns`, null where not observed.

    Also ``level`` of a segment, and ``ready``, a date: `outcome_days` after it the outcome is complete. When the
    first of `columns` is of ``unit_outcomes``, its ``measured_at`` decides.
    """
    rows = assigned(study, plan)
    rows = with_segment(study, rows, segment) if segment else rows
    own = {each: each[0].partition(":")[2] for each in columns if table_of(each[0]) == "assignments"}
    require_columns(rows, own.values(), "assignments")
    keys = ("unit_id", "arm_index", "assigned_at", "assigned_day", "period_index", *KEYS)
    values = {e: rows[name].notnull() if e[0] == DELIVERED else rows[name] for e, name in own.items()}
    named = {label(each): number(value) for each, value in values.items()}
    units = rows.select(*(key for key in keys if key in rows.columns), ready=rows.assigned_day, **named)
    rest = [each for each in columns if each not in own]
    for table in dict.fromkeys(table_of(source) for source, _ in rest):
        asked = [each for each in rest if table_of(each[0]) == table]
        if table == "unit_outcomes":
            units = _measured(study, plan, units, asked, dated=next(iter(columns))[0])
        else:
            units = _with_logged(study, plan, units, asked)
    return units


def _measured(study: Study, plan: Plan, units: ibis.Table, asked: Sequence[Wanted], dated: str) -> ibis.Table:
    """Return units with columns of ``unit_outcomes``; a column that is not there is refused."""
    table = study.dataset["unit_outcomes"]
    rows = table.filter(table.exp_id == plan.experiment)
    for source in dict.fromkeys(source for source, _ in asked):
        name = {"after": "value", "before": "pre_value", "denominator": "denominator"}
        own = {label(each): name[each[1]] for each in asked if each[0] == source}
        own |= {"measured": "measured_at"} if source == dated and "measured_at" in table.columns else {}
        require_columns(table, own.values(), "unit_outcomes")
        of_metric = rows.filter(rows.metric == source.partition(":")[2])
        part = of_metric.select(of="unit_id", **{new: of_metric[old] for new, old in own.items()})
        units = units.left_join(part, units.unit_id == part.of).drop("of")
        if "measured" in own:
            when = local_time(units.measured, study.report_tz) - ibis.interval(days=plan.outcome_days)
            units = units.mutate(ready=when.date().fill_null(units.ready)).drop("measured")
    return units


def _with_logged(study: Study, plan: Plan, units: ibis.Table, asked: Sequence[Wanted]) -> ibis.Table:
    """Return units with what a log (events, orders, content by day) holds of each within its windows."""
    table = table_of(asked[0][0])
    log = _log(study, table)
    own = units.select("assigned_at", unit="unit_id", assigned_day=day_number(units.assigned_day))
    rows = log.inner_join(own, log.of == own.unit)
    begun = rows.ts >= rows.assigned_at if "ts" in rows.columns else rows.day >= rows.assigned_day
    since = rows.day - rows.assigned_day
    before = since.between(-max(plan.outcome_days, 1), -1)
    windows = {"after": begun & (since <= plan.outcome_days), "before": before}
    sums = {label(each): _summed(rows, each[0], windows[each[1]]).cast("float64") for each in asked}
    part = rows.group_by("unit").agg(**sums)
    units = units.left_join(part, units.unit_id == part.unit).drop("unit")
    return units.fill_null(dict.fromkeys(sums, 0.0)) if table in COUNTED else units


def _log(study: Study, table: str) -> ibis.Table:
    """Return a log: of (whose), day (number), ts where it is known, what, and columns of numbers."""
    rows, zone = study.dataset[table], study.report_tz
    if table == "content_daily":
        return rows.rename(of="content_id").mutate(day=day_number(rows.date))
    if table == "events":
        days = day_number(local_date(rows.ts, zone))
        return rows.select("ts", of="member_id", day=days, what=rows.event.cast("string").lower())
    money = {name: study.dataset[name] for name in ("orders", "refunds") if name in study.dataset}
    rows = Log(Dataset(money), study.as_of, zone).activity()
    return rows.select("ts", "value", of="member_id", day=day_number(rows.day), what=rows.kind)


def _summed(rows: ibis.Table, source: str, window: Any) -> Any:
    """Return what a source counts of a log within a window."""
    table, what = table_of(source), source.partition(":")[2]
    if table == "content_daily":
        require_columns(rows, [what], table)
        return rows[what].sum(where=window)
    if source == "orders.value":
        return rows.value.sum(where=window & rows.what.isin(("order", "refund")))
    return rows.count(where=window & (rows.what == (what.lower() or "order")))
