"""Whether an accepted action did what it was accepted for: its check weeks against its fixed baseline.

What is compared is fixed when an action is accepted: the eight weeks before the week that led to it. That week is no
part of them: it is a low, or it would have led to nothing, and the weeks after a low are better by themselves.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple, cast

import numpy as np
import pandas as pd

from helpers.checks import did_you_mean
from helpers.errors import BadParameters
from helpers.playbook.earlier import EarlierReports
from helpers.playbook.finding import judge
from helpers.playbook.register import Decision, Entry, Register, decide
from helpers.sentences import say
from helpers.stats.before_after import before_after
from helpers.stats.estimate import Estimate, unknown
from helpers.study import enough

Outcome = Literal["verified", "refuted", "no clear change", "not measurable", "not due"]
WEEKS = 8  # of a baseline
REVIEW = "weekly_review"
TABLE = "weekly_metrics"
HISTORY = ("metric", "scope", "window_start", "current", "desirable_direction", "definition_id")
WEEK = dt.timedelta(days=7)


class Verified(NamedTuple):
    """What became of an accepted action.

    Attributes
    ----------
    entry : Entry
        The action.
    verdict : str
        *verified* or *refuted* when the whole interval lies on one side of zero; *not measurable* without the weeks
        or after a change of definition; *not due* before the check date.
    effect : Estimate
        Change of the check weeks against the baseline, less that of the control where there is one: relative (share)
        where all values are above zero, else in the unit of the metric.
    before, after : float
        Mean of the baseline, and of the check weeks; NaN when not known.
    reason : str
        Why there is no verdict; empty where there is one.
    shared : tuple of str
        Ids of other accepted actions on the same metric and scope in overlapping weeks: one effect, theirs together.
    """

    entry: Entry
    verdict: Outcome
    effect: Estimate
    before: float = math.nan
    after: float = math.nan
    reason: str = ""
    shared: tuple[str, ...] = ()

    @property
    def counted(self) -> bool:
        """Whether it stands for the effect when effects are counted: one of those that share it does."""
        return all(self.entry.id < other for other in self.shared)


def weekly_history(reports: EarlierReports, table: pd.DataFrame | None = None) -> pd.DataFrame:
    """Return weekly metrics and the findings of all series, a row a metric, scope and week.

    A finding is the metric ``series#finding``; its week is the last whole one of its report. The weekly metrics are
    those handed over, else those of the newest review.
    """
    newest = reports.newest(REVIEW)
    table = newest.table(TABLE) if table is None and newest else table
    rows = [
        (f"{series}#{one.id}", "", last_week(report.as_of), one.value, one.direction, one.definition)
        for series in reports.series
        for report in reports.versions(series)
        for one in report.findings
    ]
    findings = pd.DataFrame(rows, columns=list(HISTORY))
    return pd.concat([each for each in (table, findings) if each is not None and len(each)] or [findings])


def last_week(day: dt.date) -> dt.date:
    """Return the Monday of the last week that is over at the end of a day."""
    return day - dt.timedelta(days=(day.weekday() + 1) % 7 + 6)


def terms(
    entry: Entry, history: pd.DataFrame, day: dt.date, *, metric: str = "", scope: str = "", **other: Any
) -> dict[str, Any]:
    """Return what accepting an action on a day fixes: metric, scope, control, direction, check date and baseline.

    The baseline ends before the week that led to the action; the check weeks begin with the first Monday from `day`
    on, and are as many as the action takes to be judged.

    Parameters
    ----------
    entry : Entry
        The action.
    history : pandas.DataFrame
        As of :func:`weekly_history`.
    day : date
        On which it is accepted.
    metric, scope : str
        What will tell; by default what the entry names, and the only scope there is.
    **other :
        control (a scope), direction and weeks (of the check), where the defaults do not do.

    Raises
    ------
    BadParameters
        When there is no such metric or scope, or nobody says whether up is good.
    """
    metric = metric or entry.metric
    found = history[history["metric"] == metric]
    if found.empty:
        raise BadParameters(
            say(
                "metric == {metric!r}, has no weeks on record.{near}",
                metric=metric,
                near=did_you_mean(metric, set(history["metric"])),
            )
        )
    scopes = sorted(set(found["scope"]))
    control = other.get("control") or ""
    scope = scope or next((one for one in scopes if one.startswith("all") or len(scopes) == 1), "")
    for name, value in (("scope", scope), ("control", control or scope)):
        if value not in scopes:
            raise BadParameters(
                say(
                    "{name} == {value!r}, must be one of {scopes}.",
                    name=name,
                    value=value,
                    scopes=", ".join(map(repr, scopes)),
                )
            )
    last = found[found["scope"] == scope].sort_values("window_start").iloc[-1]
    direction = other.get("direction") or last["desirable_direction"]
    if direction == "neither":
        raise BadParameters(
            say(
                "direction == 'neither' of {metric!r}, must be 'up is good' or 'down is good'.", metric=metric
            )
        )
    values, trigger = weeks_of(history, metric, scope), last_week(entry.created)
    fixed = values[(values.index < trigger) & (values.index >= trigger - WEEKS * WEEK)].dropna()
    weeks = other.get("weeks") or math.ceil((entry.check_on - entry.created).days / 7)
    return {
        "metric": metric, "scope": scope, "control": control, "direction": direction,
        "definition": last["definition_id"],
        "check_on": first_monday(day) + weeks * WEEK - dt.timedelta(days=1),
        "baseline": [(week, float(value)) for week, value in fixed.items()],
    }  # fmt: skip


def decided(folder: Path, name: str, decision: Decision, who: str, why: str, **what: str) -> str:
    """Decide today on an action of the reports in a folder, and return what was written, in a line."""
    reports, day = EarlierReports(folder, dt.date.today()), dt.date.today()
    entry, fixed = Register.read(reports).find(name), {}
    if decision == "accepted":
        fixed = terms(entry, weekly_history(reports), day, **what)
    entry = decide(reports, entry.id, decision, who, why, **fixed)
    text = "{id}: {state}, check on {day} by {metric}" if fixed else "{id}: {state}"
    return say(text, id=entry.id, state=entry.state, day=entry.check_on, metric=entry.metric)


def first_monday(day: dt.date) -> dt.date:
    """Return the first Monday from a day on."""
    return day + dt.timedelta(days=-day.weekday() % 7)


def weeks_of(history: pd.DataFrame, metric: str, scope: str) -> pd.Series:
    """Return the values of a metric by Monday, without a gap; missing where not observed, unusual or incomplete."""
    rows = history[(history["metric"] == metric) & (history["scope"] == scope)]
    days = [pd.Timestamp(day).date() for day in rows["window_start"]]
    values = pd.Series(pd.to_numeric(rows["current"]).to_numpy(float), index=days)
    if "data_complete" in rows:
        values[(rows["data_complete"] == False).to_numpy()] = np.nan  # noqa: E712  missing is complete
    if "unusual" in rows:  # a flag, or what the calendar says of the week
        values[rows["unusual"].where(rows["unusual"].notna(), "").astype(bool).to_numpy()] = np.nan
    values = values[~values.index.duplicated(keep="last")].sort_index()
    if values.empty:
        return values
    weeks = (values.index[-1] - values.index[0]).days // 7 + 1
    return values.reindex([values.index[0] + number * WEEK for number in range(weeks)])


def verify(entry: Entry, history: pd.DataFrame, as_of: dt.date, confidence: float = 0.95) -> Verified:
    """Judge one accepted action by weekly values, as of :func:`weekly_history`."""
    nothing = unknown(0, "share", confidence)
    if as_of < entry.check_on:
        return Verified(entry, "not due", nothing, reason=say("its weeks end on {day}", day=entry.check_on))
    reason = _unmeasurable(entry, history)
    if reason:
        return Verified(entry, "not measurable", nothing, reason=reason)
    values, fixed = weeks_of(history, entry.metric, entry.scope), dict(entry.baseline)
    values.update(pd.Series(fixed))  # as it was when the action was accepted, whatever came in late
    start, at = first_monday(cast(dt.date, entry.accepted)), np.array(values.index)
    before, after = (
        np.array([week in fixed for week in at]),
        (at >= start) & (at + dt.timedelta(days=6) <= entry.check_on),
    )
    means = float(values[before].mean()), float(values[after].mean())
    series, relative = values.to_numpy(float), bool((values.dropna() > 0).all())
    if entry.control:
        control = weeks_of(history, entry.metric, entry.control).reindex(values.index).to_numpy(float)
        relative = relative and bool((control[np.isfinite(control)] > 0).all())
        series = np.log(series) - np.log(control) if relative else series - control
    elif relative:
        series = np.log(series)
    effect = before_after(series, before, after, confidence)
    if not effect.known:
        why = say("{n} weeks are too few to tell, or do not vary", n=effect.n)
        return Verified(entry, "not measurable", nothing, *means, reason=why)
    if relative:
        low, value, high = np.expm1([effect.low, effect.value, effect.high])
        effect = effect._replace(value=float(value), low=float(low), high=float(high), unit="share")
    verdict = {"better": "verified", "worse": "refuted"}.get(judge(effect.low, effect.high, entry.direction))
    trigger = values.get(last_week(entry.created), np.nan)
    up = 1 if entry.direction == "up is good" else -1
    if verdict == "refuted" and not entry.control and up * (means[1] - trigger) >= 0:
        # A low that lasts is not the doing of what was decided because of it.
        why = say("below the eight weeks before, but no worse than the week that led to it")
        return Verified(entry, "no clear change", effect, *means, reason=why)
    return Verified(entry, cast(Outcome, verdict or "no clear change"), effect, *means)


def _unmeasurable(entry: Entry, history: pd.DataFrame) -> str:
    """Return why an accepted action cannot be judged; empty when it can."""
    if not entry.accepted or len(entry.baseline) < enough.PERIODS:
        return say(
            "{n} of {all} weeks before were on record when it was accepted", n=len(entry.baseline), all=WEEKS
        )
    rows = history[(history["metric"] == entry.metric) & (history["scope"] == entry.scope)]
    if rows.empty:
        return say("{metric} is no longer on record", metric=entry.metric)
    if entry.definition != rows.sort_values("window_start").iloc[-1]["definition_id"]:
        return say("{metric} means something else now than when it was accepted", metric=entry.metric)
    return ""


def verify_all(
    entries: Iterable[Entry], history: pd.DataFrame, as_of: dt.date, confidence: float = 0.95
) -> tuple[Verified, ...]:
    """Judge all accepted actions; those on one metric in overlapping weeks share an effect, which is counted once."""
    entries = [one for one in entries if one.accepted]
    return tuple(
        verify(one, history, as_of, confidence)._replace(shared=tuple(_sharing(one, entries)))
        for one in entries
    )


def _sharing(entry: Entry, entries: Iterable[Entry]) -> Iterator[str]:
    for other in entries:
        same = (other.metric, other.scope) == (entry.metric, entry.scope) and other.id != entry.id
        starts = [first_monday(cast(dt.date, one.accepted)) for one in (entry, other)]
        if same and entry.metric and max(starts) <= min(entry.check_on, other.check_on):
            yield other.id
