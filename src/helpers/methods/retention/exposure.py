"""Do pushes and ads drive members away? Exposure of the month before, as a covariate that changes with time.

An episode is a member in a calendar month: from the first to the last tenure day in it, with whether the member left
on that last day. What may drive leaving (pushes, ads, own activity) is counted in the month before and never in the
same one: otherwise a member who is about to leave, and therefore does less and is sent less, would make pushes look
good. All of it is counted in the engine. The first whole month on record is looked back at only, except for those who
join in it. Of a large community a sample of members is looked at, drawn by a hash of their ids, which is said.

A Cox model on episodes: one effect per push more, and one per dose, from which the fatigue point is read, the least
dose at which members leave clearly faster than those at the lowest, with no smaller rate at any higher dose.

Who is sent more pushes is rarely left to chance. Own activity of the month before is held constant; what is not
recorded is not. Only an experiment on the frequency settles it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import ibis
import numpy as np
import pandas as pd

from helpers.data.source import local_date
from helpers.methods.retention.covariates import of_most
from helpers.playbook.finding import Finding, finding
from helpers.playbook.result import Part, Result
from helpers.sentences import interval, number, say
from helpers.stats.cox.doses import dose_effects, harmful_from
from helpers.stats.cox.model import CoxModel
from helpers.stats.estimate import Estimate, estimate_of, unknown
from helpers.stats.survival.cells import cells
from helpers.study import Study, enough
from helpers.study.days import EPOCH, day_number, number_of
from helpers.study.frames import materialise, require_columns

WHAT = {"pushes_before": "push", "ads_before": "ad shown"}
# Counts of pushes and ads above it are taken as it, so that the number of patterns stays small.
MOST = 30
# Name of each dose by its smallest number in a month.
DOSES = {0: "0", 1: "1–2", 3: "3–5", 6: "6+"}
# Name of each level of own activity in the month before, by the number of counted actions that it lies below.
ACTIVITY = {1: "0", 11: "1–10", 51: "11–50"}
VERY_ACTIVE, JUST_JOINED, JOINED_BEFORE = "51+", "joined in this month", "joined in the month before"
CONTROL = "activity_before"
LEVELS = (*ACTIVITY.values(), VERY_ACTIVE)
NEVER = 10_000_000
# Months of members that the model is fitted to: of a long record so many fewer members.
MOST_MONTHS = 200_000


def episodes(study: Study, columns: Sequence[str] = (), people: ibis.Table | None = None) -> ibis.Table:
    """Cut the stays of people (default: the population) at the calendar; add what was counted in the month before.

    Returns
    -------
    ibis.Table
        One row per member and month: member_id, entry_day, tenure_days (first and last day of tenure in the month),
        exited (bool), pushes_before, ads_before (counts in the month before), activity_before (level), `columns`.
    """
    counts, calendar = materialise(_counts(study)), _calendar(study)
    people, end = study.population if people is None else people, number_of(study.as_of)
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
    met = met.mutate(**{name: met[name].fill_null(0) for name in (*WHAT, "actions")})
    levels = ((met.actions < edge, level) for edge, level in ACTIVITY.items())
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
    """Return what each member met and did in each month: member_id, month, pushes, ads and counted actions."""
    dataset, tz = study.dataset, study.report_tz
    rows = study.counted.select("member_id", "day", what=ibis.literal("actions"))
    if "events" in dataset:
        sent = dataset.events.filter(dataset.events.event == "push_sent")
        pushes = sent.select(member_id=sent.member_id.cast("string"), day=local_date(sent.ts, tz))
        rows = rows.union(pushes.mutate(what=ibis.literal("pushes_before")))
    if "touchpoints" in dataset:
        seen = dataset.touchpoints
        if "interaction" in seen.columns:
            seen = seen.filter(seen.interaction.isnull() | (seen.interaction == "impression"))
        ads = seen.select(member_id=seen.member_id.cast("string"), day=local_date(seen.ts, tz))
        rows = rows.union(ads.mutate(what=ibis.literal("ads_before")))
    rows = rows.filter(rows.day <= ibis.date(study.as_of), rows.member_id.notnull())
    month = rows.day.year().cast("int64") * 12 + rows.day.month().cast("int64") - 1
    rows = rows.mutate(month=month)
    sums = {name: (rows.what == name).sum() for name in (*WHAT, "actions")}
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
        if not effect.known:
            text = "What each {what} more in a month does to leaving: too little data ({n} member-months)."
            return say(text, what=WHAT[self.exposure], n=number(effect.n))
        fatigue = say("none, since no dose is clearly worse than fewer")
        if self.fatigue_from is not None:
            row = self.table[self.table["first"] == self.fatigue_from].iloc[0]
            ratio, low, high = (number(row[name]) for name in ("hazard_ratio", "low", "high"))
            text = "from {dose} a month on members leave {ratio} ({low} to {high}) times as fast as at {reference}"
            ends = {"ratio": ratio, "low": low, "high": high}
            fatigue = say(text, dose=row["dose"], reference=row["reference"], **ends)
        text = (
            "With each {what} more in a month, members leave {ratio} times as fast in the next ({between}; {n} "
            "member-months, {events} left); association, not cause. Fatigue point: {fatigue}."
        )
        return say(
            text, what=WHAT[self.exposure], n=number(effect.n), events=number(self.events), fatigue=fatigue,
            ratio=number(effect.value), between=interval(effect.low, effect.high, "ratio"),
        )  # fmt: skip


@dataclass(frozen=True, repr=False)
class Exposure(Result):
    """The effects of all exposures on record.

    Attributes
    ----------
    months : int
        Member-months looked at.
    doses : tuple of Dose
        One per exposure.
    sampled : str
        Says when members are a sample.
    """

    months: int
    doses: tuple[Dose, ...]
    sampled: str = ""

    @property
    def sentences(self) -> list[str]:
        """What each exposure does, how coarsely own activity is held constant, then what is not on record."""
        text = (
            "Own activity of the month before is held constant in {k} levels only ({levels} actions), so that "
            "those sent more may still be others within a level; this is no experiment."
        )
        told = {dose.exposure: dose.sentence for dose in self.doses}
        caveat = [say(text, k=len(LEVELS), levels=", ".join(LEVELS))] if told else []
        missing = "There is no {what} on record."
        said = [told.get(name) or say(missing, what=what) for name, what in WHAT.items()]
        return [*said, *caveat, *filter(None, [self.sampled])]

    def parts(self) -> Iterator[Part]:
        """Yield the sentences."""
        yield from self.sentences

    def findings(self) -> Iterator[Finding]:
        """Yield whether more pushes go with leaving faster."""
        pushes = {dose.exposure: dose.per_unit for dose in self.doses}
        nothing = unknown(self.months, "share", self.study.confidence)
        ratio = pushes.get("pushes_before", nothing)
        yield finding(
            ratio._replace(value=ratio.value - 1, low=ratio.low - 1, high=ratio.high - 1, unit="share"),
            id="retention.push_effect",
            metric=say("how much faster members leave for each push a month"),
            scope=self.study.scope,
            sentence=self.sentences[0],
            assumption=say("own activity held constant in {k} levels only; not an experiment", k=len(LEVELS)),
            direction="down is good",
            change=True,
            systems=("S021", "S112"),
            n_of="member-months",
            definition="hazard_ratio",
        )


def exposure(study: Study) -> Exposure:
    """Estimate what pushes and ads of the month before do to leaving.

    Parameters
    ----------
    study : Study
        With events (push_sent); touchpoints for ads. Its confidence is also one minus the corrected p-value below
        which a dose is clearly worse.
    """
    months = max(len(_calendar(study)), 1)
    people, sampled = of_most(study.population, study.seed, MOST_MONTHS // months)
    return replace(effects(study, episodes(study, people=people)), sampled=sampled)


def effects(study: Study, months: ibis.Table, columns: Sequence[str] = ()) -> Exposure:
    """Estimate the effects of exposures from episodes, with `columns` and own activity held constant."""
    found = cells(months, [*columns, CONTROL, *WHAT])
    met = [name for name in WHAT if found[name].any()]
    model = CoxModel([*columns, CONTROL, *met], confidence=study.confidence).fit(found)
    return Exposure(study, model.n_, tuple(_dose(found, model, name, study.k_min) for name in met))


def _dose(found: pd.DataFrame, model: CoxModel, name: str, k_min: int) -> Dose:
    """Return the effect per unit from the model, and by dose from one with this exposure cut."""
    summary = model.summary
    row = summary[summary["covariate"] == name].iloc[0]
    per_unit = unknown(model.n_, "ratio", model.confidence)
    if model.events_ >= enough.EXITS_OF_AN_EFFECT and not row["penalised"]:
        method = "Cox model on episodes"
        per_unit = estimate_of(row, model.n_, method, model.confidence, value="hazard_ratio", unit="ratio")
    table = dose_effects(found, model, name, DOSES)
    numbers = list(table.columns[3:])
    table[numbers] = table[numbers].where(table["n"] >= k_min)
    return Dose(name, per_unit, model.events_, table, harmful_from(table, DOSES, 1 - model.confidence))
