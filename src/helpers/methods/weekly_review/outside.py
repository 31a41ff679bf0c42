"""What a unit costs and how many people there are for it, and how others do: ``costs``, ``benchmarks``, competitors.

A figure from outside is told with who says so: how it was counted, and of whom, is not known here, so it ranks nobody
by itself.
"""

from __future__ import annotations

import datetime as dt

import ibis
import numpy as np
import pandas as pd

from helpers.methods.weekly_review.metrics import WeeklyMetrics
from helpers.playbook.answer import Answer, framed, missing
from helpers.playbook.thresholds import threshold
from helpers.sentences import quantity, say, with_bounds
from helpers.stats.estimate import Estimate, mean_of_periods
from helpers.study import Study

MONTHS, WEEKS = 6, 13
PLACED = ["metric", "scope", "period", "percentile", "value", "source"]
SAID = [
    *("number", "scope", "period", "own", "own_low", "own_high", "outside"),
    *("place", "low", "high", "source"),
]


def unit_costs(weekly: WeeklyMetrics) -> Answer:
    """Return what an active member costs a month, and how many members there are for a person.

    Cost is that of the last six whole months of the ledger, over the mean active members of the weeks that begin in a
    month. What a new fan, an order or an interaction costs is said by the budget.
    """
    study = weekly.study
    if absent := missing(study, "costs"):
        return absent
    last = (pd.Timestamp(study.as_of) + pd.Timedelta(days=1)).to_period("M") - 1
    ledger = study.ledger.groupby("month")[["amount", "fte"]].sum(min_count=1)
    ledger.index = pd.PeriodIndex(ledger.index, freq="M")
    spent = ledger["amount"].loc[last - MONTHS + 1 : last]
    series = weekly.series("weekly_active")["numerator"]
    each = series.groupby(pd.DatetimeIndex(series.index).to_period("M")).mean()
    one = mean_of_periods(spent / each.where(each > 0), study.currency, study.confidence)
    text = say("What an active member costs: too few months.")
    if one.known:
        text = say("An active member costs {cost} a month.", cost=with_bounds(one))
    facts = {"metric": say("cost of an active member a month"), "direction": "down is good", "n_of": "periods",
             "assumption": say("the ledger holds all cost of these months"), "systems": ("S077", "S078")}  # fmt: skip
    said = f"{text} {_staffing(study, ledger, last)}"
    return Answer(study, said, stated={"weekly_review.cost_per_active_member": (one, facts)})


def _staffing(study: Study, ledger: pd.DataFrame, last: pd.Period) -> str:
    """Say how many people there are for 10,000 members, beside the rule of thumb."""
    if ledger["fte"].isna().all():
        return say("People for 10,000 members: not run, column {name} missing.", name="costs.fte")
    members = int(study.present.count().execute()) if "members" in study.dataset else 0
    people = float(ledger["fte"].get(last, 0.0))
    if members < study.k_min or not people > 0:
        text = "People for 10,000 members: too few members, or nobody on record for the last whole month."
        return say(text)
    text = (
        "In the last whole month {people:.1f} people stood for {members:,} members: {each:,.0f} members a person, "
        "{rate:.2f} people for 10,000. A rule of thumb asks for {rule}; it is a rule, not a result."
    )
    words = {"people": people, "members": members, "rule": threshold("staffing.people_per_10k").value}
    return say(text, each=members / people, rate=people / members * 1e4, **words)


def benchmarks(weekly: WeeklyMetrics) -> Answer:
    """Return where own weekly numbers lie among figures from outside, with who states those.

    Where a source gives several percentiles of the same, the own mean of 13 weeks and its interval are placed among
    them by linear interpolation, at most at its outermost ones; a single figure is told beside the own number.
    """
    study, rows, said = weekly.study, [], []
    if absent := missing(study, "benchmarks"):
        return absent
    known = {each.id: each for each in weekly.known}
    table = study.dataset.benchmarks.to_pandas().reindex(columns=PLACED)
    for (metric, scope, period), figures in table[table["metric"].isin(list(known))].groupby(PLACED[:3]):
        facts, series = known[metric], weekly.series(metric).iloc[-WEEKS:]
        values = series["numerator"] / series["denominator"]
        one = mean_of_periods(values, weekly.unit(facts), study.confidence)
        if not one.known:
            continue
        given = figures.dropna(subset=["percentile"]).sort_values("value")
        low, place, high = (np.interp([one.low, one.value, one.high], given["value"], given["percentile"])
                            if len(given) > 1 else [np.nan] * 3)  # fmt: skip
        source, middle = ", ".join(sorted(set(figures["source"]))), float(figures["value"].median())
        rows.append((say(facts.title), scope, period, *one[:3], middle, place, low, high, source))
        text = "{name}: {own}, against {value} of {scope} in {period} ({source})"
        shown = Estimate(float(place), float(low), float(high), one.n, "share", one.method, one.confidence)
        if shown.known:
            text = "{name}: {own}, above {share} of {scope} in {period} ({source})"
        words = {"own": with_bounds(one), "share": with_bounds(shown), "value": quantity(middle, one.unit)}
        said.append(say(text, name=rows[-1][0], scope=scope, period=period, source=source, **words))
    if not said:
        return Answer(study, say("No figure from outside is about a number that is known here."))
    caption = say("Own numbers, mean of the last {n} weeks, among figures from outside", n=WEEKS)
    units = dict.fromkeys(("place", "low", "high"), "share")
    text = say("{which}. How others counted is not known here, so this ranks nobody.", which="; ".join(said))
    return Answer(study, text, framed(pd.DataFrame(rows, columns=SAID), "benchmarks", caption, **units))


def competitors(study: Study) -> Answer:
    """Return how much faster each competitor grows a week than what is our own, metric by metric.

    From ``metric_daily``: rows of the scope type ``competitor``, and of the same metric's ``brand`` or ``account``.
    The gap is the mean difference of weekly log changes over the last 13 whole weeks in which both were observed.
    """
    if absent := missing(study, "metric_daily"):
        return absent
    table = study.dataset.metric_daily
    table = table.filter(table.scope_type.cast("string").isin(["competitor", "brand", "account"]))
    theirs = table.scope_type.cast("string") == "competitor"
    rows = table.mutate(
        week=table.date.cast("date").truncate("W"), who=theirs.ifelse(table.scope_id.cast("string"), "")
    )
    last = ibis.date(study.as_of - dt.timedelta(days=6))
    rows = rows.filter(rows.value > 0, rows.week.cast("date") <= last)
    found = rows.group_by("metric", "who", "week").agg(value=rows.value.mean()).to_pandas()
    found["week"] = pd.to_datetime(found["week"])
    means = found.pivot(index="week", columns=["metric", "who"], values="value").asfreq("W-MON")
    growth = np.log(means).diff()
    gaps = {
        say("{metric} of {name}", metric=metric, name=name): mean_of_periods(
            np.expm1(growth[metric, name] - growth[metric, ""]).iloc[-WEEKS:], "share", study.confidence)
        for metric, name in growth.columns if name and (metric, "") in growth.columns
    }  # fmt: skip
    if not gaps:
        return Answer(study, say("Not run: no competitor in the table {name}.", name="metric_daily"))
    clear = [(name, one) for name, one in gaps.items() if one.known and one.low * one.high > 0]
    said = [say("{name} by {gap} a week", name=name, gap=with_bounds(one)) for name, one in clear]
    text = say("Nobody else clearly grows faster or slower than we do.")
    if said:
        text = say("Growth beside ours: {which}.", which="; ".join(said))
    names = ["who", "gap", "low", "high", "weeks"]
    rows = pd.DataFrame([(name, *one[:4]) for name, one in gaps.items()], columns=names)
    caption = say("Weekly growth of others less our own, over the last {n} weeks", n=WEEKS)
    return Answer(study, text, framed(rows, "competitors", caption, gap="share", low="share", high="share"))
