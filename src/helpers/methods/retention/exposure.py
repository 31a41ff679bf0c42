"""Do pushes and ads drive members away? Exposure of the month before, as a covariate that changes with time.

An episode is a member in a calendar month: from the first to the last tenure day in it, with whether the member left
on that last day. What may drive leaving (pushes, ads, own activity) is counted in the month before and never in the
same one: otherwise a member who is about to leave, and therefore does less and is sent less, would make pushes look
good. All of it is counted in the engine. The first whole month on record is looked back at only, except for those who
join in it.

A Cox model on episodes: one effect per push more, and one per dose, from which the fatigue point is read, the least
dose at which members leave clearly faster than those at the lowest, with no smaller rate at any higher dose.

Who is sent more pushes is rarely left to chance. Own activity of the month before is held constant; what is not
recorded is not. Only an experiment on the frequency settles it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import ibis
import numpy as np
import pandas as pd

from helpers.data.contract import INTERACTIONS
from helpers.data.source import local_date
from helpers.methods.retention.drivers import times
from helpers.playbook.finding import Finding, finding
from helpers.sentences import number, percent, say
from helpers.stats.cox.model import CoxModel
from helpers.stats.estimate import Estimate, holm, unknown
from helpers.stats.survival.cells import cells
from helpers.study import Study, enough
from helpers.study.days import EPOCH, day_number, number_of
from helpers.study.frames import materialise, require_columns

WHAT = {"pushes_before": "push", "ads_before": "ad shown"}
# Counts of pushes and ads above it are taken as it, so that the number of patterns stays small.
MOST = 30
# Name of each dose by its smallest number in a month.
DOSES = {0: "0", 1: "1–2", 3: "3–5", 6: "6+"}
# Name of each level of own activity in the month before, by the number of interactions that it lies below.
ACTIVITY = {1: "0", 11: "1–10", 51: "11–50"}
VERY_ACTIVE, JUST_JOINED, JOINED_BEFORE = "51+", "joined in this month", "joined in the month before"
CONTROL = "activity_before"
LEVELS = (*ACTIVITY.values(), VERY_ACTIVE)
NEVER = 10_000_000
COLUMNS = ("dose", "reference", "hazard_ratio", "low", "high", "p", "p_holm", "n", "events")


def episodes(study: Study, columns: Sequence[str] = ()) -> ibis.Table:
    """Cut the stays of members at the calendar, and add what was counted in the month before.

    Returns
    -------
    ibis.Table
        One row per member and month: member_id, entry_day, tenure_days (first and last day of tenure in the month),
        exited (bool), pushes_before, ads_before (counts in the month before), activity_before (level), `columns`.
    """
    study.dataset.require("members", "events")
    counts, calendar = materialise(_counts(study)), _calendar(study)
    people, end = study.population, number_of(study.as_of)
    require_columns(people, columns, "members")
    stays = people.select(
        *columns,
        member_id=people.member_id.cast("string"),
        joined=day_number(people.joined_day),
        until=day_number(people.left_day).fill_null(end),
        gone=people.left_day.notnull(),
    )
    months = ibis.memtable(calendar, schema=dict.fromkeys(calendar.columns, "int64"))
    here = stays.inner_join(months, [stays.joined <= months["last"], stays.until >= months["first"]])
    # Nothing is known of the month before the first, except of those who were no members in it.
    here = here.filter((here.before < NEVER) | (here.joined >= here["first"]))
    past = counts.mutate(month=counts.month + 1).rename(counted="month", counted_id="member_id")
    met = here.left_join(past, [here.member_id == past.counted_id, here.month == past.counted])
    met = met.mutate(**{name: met[name].fill_null(0) for name in (*WHAT, "interactions")})
    levels = ((met.interactions < edge, level) for edge, level in ACTIVITY.items())
    just, before = met.joined >= met["first"], met.joined > met.before
    table = met.select(
        "member_id",
        *columns,
        *WHAT,
        entry_day=ibis.greatest(met.joined, met["first"]) - met.joined,
        tenure_days=ibis.least(met.until, met["last"]) - met.joined,
        exited=met.gone & (met.until <= met["last"]),
        activity_before=ibis.cases((just, JUST_JOINED), (before, JOINED_BEFORE), *levels, else_=VERY_ACTIVE),
    )
    return materialise(table)


def _calendar(study: Study) -> pd.DataFrame:
    """Return the whole months on record and the last one up to `as_of`, days as numbers.

    month (since year 0), first, last, before (first day of the month before, `NEVER` where that is not on record).
    """
    begin = study.began or study.as_of
    months = pd.period_range(begin, study.as_of, freq="M")
    months = months[months.start_time >= pd.Timestamp(begin)]
    first = (months.start_time - pd.Timestamp(EPOCH)).days
    last = np.minimum((months.end_time - pd.Timestamp(EPOCH)).days, number_of(study.as_of))
    number = months.year * 12 + months.month - 1
    before = np.append(NEVER, first[:-1])[: len(first)]
    return pd.DataFrame({"month": number, "first": first, "last": last, "before": before}).astype("int64")


def _counts(study: Study) -> ibis.Table:
    """Return what each member met and did in each month: member_id, month, pushes, ads and interactions."""
    dataset, tz = study.dataset, study.report_tz
    events = dataset.events.filter(dataset.events.event.isin([*INTERACTIONS, "push_sent"]))
    pushed = events.event == "push_sent"
    what = pushed.ifelse("pushes_before", "interactions")
    rows = events.select(member_id=events.member_id.cast("string"), day=local_date(events.ts, tz), what=what)
    if "touchpoints" in dataset:
        seen = dataset.touchpoints
        if "interaction" in seen.columns:
            seen = seen.filter(seen.interaction.isnull() | (seen.interaction == "impression"))
        ads = seen.select(member_id=seen.member_id.cast("string"), day=local_date(seen.ts, tz))
        rows = rows.union(ads.mutate(what=ibis.literal("ads_before")))
    rows = rows.filter(rows.day <= ibis.date(study.as_of), rows.member_id.notnull())
    month = rows.day.year().cast("int64") * 12 + rows.day.month().cast("int64") - 1
    rows = rows.mutate(month=month)
    sums = {name: (rows.what == name).cast("int64").sum() for name in (*WHAT, "interactions")}
    found = rows.group_by(["member_id", "month"]).agg(**sums)
    return found.mutate(**{name: ibis.least(found[name], MOST) for name in WHAT})


@dataclass(frozen=True)
class Dose:
    """The effect of one kind of exposure.

    Attributes
    ----------
    exposure : str
        ``pushes_before`` or ``ads_before``.
    per_unit : Estimate
        Hazard ratio of one more in the month before; n is the number of episodes.
    events : int
        Exits it rests on.
    table : pandas.DataFrame
        first, dose (``3–5``), reference, hazard_ratio, low, high, p, p_holm, n (episodes), events; empty numbers
        where a dose was met in fewer than k_min episodes.
    fatigue_from : int or None
        Smallest number in a month from which members leave clearly faster; None when there is none.
    """

    exposure: str
    per_unit: Estimate
    events: int
    table: pd.DataFrame
    fatigue_from: int | None

    @property
    def sentence(self) -> str:
        """What one more does, and from where on it is too much."""
        effect = self.per_unit
        values = {"what": WHAT[self.exposure], "n": number(effect.n), "events": number(self.events)}
        if not effect.known:
            text = "Whether one more {what} a month drives members away: too little data"
            return say(text + " ({n} member-months, {events} left).", **values)
        text = "No clear effect of one {what} more in a month on leaving in the next"
        if effect.low > 1:
            text = "Each {what} more in a month goes with leaving {change} faster in the next"
        elif effect.high < 1:
            text = "Each {what} more in a month goes with leaving {change} slower in the next"
        text += " (hazard ratio {ratio}, {low} to {high}; {n} member-months, {events} left); association, not cause. "
        values |= {"ratio": times(effect.value), "low": times(effect.low), "high": times(effect.high)}
        if self.fatigue_from is None:
            text += "There is no dose from which on members leave clearly faster."
        else:
            text += "Fatigue point: from {dose} a month on members leave {faster} times as fast as at {reference}."
            row = self.table[self.table["first"] == self.fatigue_from].iloc[0]
            faster = f"{times(row['hazard_ratio'])} ({times(row['low'])} to {times(row['high'])})"
            values |= {"dose": row["dose"], "reference": row["reference"], "faster": faster}
        return say(text, **values, change=percent(abs(effect.value - 1), 0))


@dataclass(frozen=True)
class Exposure:
    """The effects of all exposures on record.

    Attributes
    ----------
    model : CoxModel
        With one effect per unit of each exposure, and own activity held constant.
    doses : tuple of Dose
        One per exposure.
    scope : str
        Whom the numbers are about.
    """

    model: CoxModel
    doses: tuple[Dose, ...]
    scope: str

    @property
    def sentences(self) -> list[str]:
        """What each exposure does, how coarsely own activity is held constant, then what is not on record."""
        told = [dose.sentence for dose in self.doses]
        if any(dose.per_unit.known for dose in self.doses):
            text = (
                "Own activity of the month before is held constant in {k} levels only ({levels} interactions), so "
                "that those sent more may still be others within a level; this is no experiment."
            )
            told.append(say(text, k=len(LEVELS), levels=", ".join(LEVELS)))
        met = {dose.exposure for dose in self.doses}
        missing = [what for name, what in WHAT.items() if name not in met]
        return [*told, *(say("There is no {what} on record.", what=what) for what in missing)]

    def finding(self) -> Finding:
        """Judge whether more pushes go with leaving faster."""
        pushes = [dose for dose in self.doses if dose.exposure == "pushes_before"]
        estimate, text = unknown(int(self.model.n_), "share", self.model.confidence), " ".join(self.sentences)
        if pushes:
            text, ratio = pushes[0].sentence, pushes[0].per_unit
            if ratio.known:
                gain = {name: getattr(ratio, name) - 1 for name in ("value", "low", "high")}
                estimate = ratio._replace(**gain, unit="share")
        return finding(
            estimate,
            id="retention.push_effect",
            metric=say("how much faster members leave for each push a month"),
            scope=self.scope,
            sentence=text,
            assumption=say(
                "pushes of the month before; own activity of that month held constant in {k} levels only, beside who "
                "had just joined; not an experiment",
                k=len(LEVELS),
            ),
            direction="down is good",
            change=True,
            systems=("S021", "S112"),
        )


def exposure(study: Study, columns: Sequence[str] = ()) -> Exposure:
    """Estimate what pushes and ads of the month before do to leaving.

    Parameters
    ----------
    study : Study
        With members and events (push_sent); touchpoints for ads. Its confidence is also one minus the corrected
        p-value below which a dose is clearly worse.
    columns : sequence of str
        Columns of members that are held constant, besides own activity in the month before.

    Raises
    ------
    MissingTable
        When members or events are missing.
    """
    return effects(study, episodes(study, columns), columns)


def effects(study: Study, months: ibis.Table, columns: Sequence[str] = ()) -> Exposure:
    """Estimate the effects from episodes that are already there; see :func:`exposure`."""
    found = cells(months, [*columns, CONTROL, *WHAT])
    met = [name for name in WHAT if found[name].any()]
    model = CoxModel([*columns, CONTROL, *met], confidence=study.confidence).fit(found)
    return Exposure(model, tuple(_dose(found, model, name, study.k_min) for name in met), study.scope)


def _dose(found: pd.DataFrame, model: CoxModel, name: str, k_min: int) -> Dose:
    """Return the effect per unit from the model, and by dose from one with this exposure cut."""
    row = model.summary.set_index("covariate").loc[name]
    per_unit = unknown(model.n_, "ratio", model.confidence)
    if model.events_ >= enough.EXITS_OF_AN_EFFECT and np.isfinite(row["low"]) and not row["penalised"]:
        value, low, high = (float(row[column]) for column in ("hazard_ratio", "low", "high"))
        per_unit = Estimate(value, low, high, model.n_, "ratio", "Cox model on episodes", model.confidence)
    dose = pd.cut(found[name], [*DOSES, np.inf], right=False, labels=list(DOSES.values()))
    exits = found["events"].groupby(dose, observed=False).sum()
    known = exits.index[exits >= enough.EXITS_OF_AN_EFFECT].tolist()
    if len(known) < 2:
        return Dose(name, per_unit, model.events_, pd.DataFrame(columns=["first", *COLUMNS]), None)
    covariates = [*(column for column in model.covariates if column != name), "dose"]
    fitted = CoxModel(covariates, reference={"dose": known[0]}, confidence=model.confidence)
    table = fitted.fit(found.assign(dose=dose.astype(str))).summary
    table = table[table["variable"] == "dose"].drop(columns="variable")
    first = table["level"].map({text: edge for edge, text in DOSES.items()})
    table = table.assign(first=first, dose=table["level"], p_holm=holm(table["p"].where(~table["penalised"])))
    table = table.sort_values("first", ignore_index=True)[["first", *COLUMNS]]
    table[list(COLUMNS[2:])] = table[list(COLUMNS[2:])].where(table["n"] >= k_min)
    lowest = next(edge for edge, text in DOSES.items() if text == known[0])
    higher = table[table["first"] > lowest]
    return Dose(name, per_unit, model.events_, table, _fatigue_point(higher, 1 - model.confidence))


def _fatigue_point(higher: pd.DataFrame, level: float) -> int | None:
    """Return the smallest of the higher doses that is clearly worse, with every one above no better than it."""
    higher = higher.dropna(subset=["hazard_ratio"])
    worse = (higher["hazard_ratio"] > 1)[::-1].cummin()[::-1] & (higher["p_holm"] < level)
    return int(higher.loc[worse, "first"].min()) if worse.any() else None
