"""Which characteristics of members may drive leaving, made comparable inside the engine.

Only what is known when somebody joins is looked at unless other columns are named: a column that is filled later
(a badge, a consent that leavers take back) is had by those who stay, and would look like the reason why they do.
Nothing can check that for a named column.

A text column gives its levels, a flag itself, a number its quantile bins; what is missing is a level of its own.
Levels of fewer than `k_min` members are pooled, or the column is left out. Identifiers, times and columns in which
everybody is alike are left out.

What members did in their first days is only fair to those who were still there when these days were over: with a
landmark (Anderson, Cain and Gelber 1983) everybody is looked at from that day on, so that nobody can fail to reply
because they had left. Whoever left before is not in that comparison, and how many is said.

Of more than `MOST_MEMBERS` members a sample is looked at, drawn by a hash of their ids, which is said too.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import ibis
import pandas as pd

from helpers.checks import checked
from helpers.data.source import of_sample
from helpers.methods.retention.first_days import with_first_days
from helpers.sentences import number, say, word
from helpers.stats.cox.design import OTHER
from helpers.stats.survival.cells import cells
from helpers.stats.survival.durations import exit_durations, refuse_impossible
from helpers.study import Study
from helpers.study.days import day_number
from helpers.study.frames import NOT_STATED, materialise

INVITED = "invited"
KNOWN_AT_JOINING = ("source", "platform_home", "age_band", "gender", "region", INVITED)
"""Columns of members that are known when they join; ``invited`` is whether an inviter is on record."""
# Where a flag is as rare or as common as this in every source, it says what the source says.
SAME_AS_SOURCE = 0.02
# A column with more levels than this is an identifier, or as good as one.
MOST_LEVELS = 200
# Levels that are kept, the pool among them; those with a smaller share of members are pooled.
KEPT_LEVELS = 8
MOST_MEMBERS = 10_000
"""Members that a model of leaving is fitted to, at most."""
LEAST_SHARE = 0.01
BINS = 4


@dataclass(frozen=True)
class Candidates:
    """Members with what may drive their leaving.

    Attributes
    ----------
    table : ibis.Table
        member_id, entry_day, tenure_days, exited (bool), and one column per candidate.
    names : tuple of str
        The candidates.
    note : str
        Who is not compared, and which columns are not looked at.
    landmark_day : int
        Tenure day from which members are looked at.
    """

    table: ibis.Table
    names: tuple[str, ...]
    note: str
    landmark_day: int

    def cells(self) -> pd.DataFrame:
        """Return counts of equal members: the candidates, entry_day, tenure_day, n, events."""
        return cells(self.table, self.names)


def candidates(study: Study, columns: Sequence[str] | None = None, *, landmark_day: int = 0) -> Candidates:
    """Return members with their candidates.

    Parameters
    ----------
    study : Study
        Who joined before the log began enters late.
    columns : sequence of str, optional
        Columns of members to look at, or ``invited``; by default those of `KNOWN_AT_JOINING` that are there.
    landmark_day : int
        With 7, what members did on their first 7 days (0 to 6) is added, and only those who joined on record and
        were still members on day 7 are looked at, from then on: :mod:`helpers.methods.retention.first_days`. Without
        a table of events there are no such days, and no landmark.

    Raises
    ------
    BadParameters
        When a column is unknown.
    BadData
        When a member left before joining.
    """
    landmark_day = landmark_day if "events" in study.dataset else 0
    looked_at = list(dict.fromkeys(known_at_joining(study) if columns is None else columns))
    for name in looked_at:
        checked(name, "column of members", in_=_at_hand(study))
    stays = _stays(study, looked_at)
    early: list[str] = []
    if landmark_day:
        # Who entered late has first days that nobody has seen.
        stays = stays.filter(stays.entry_day == 0, stays.tenure_days >= landmark_day)
    members = int(stays.count().execute())
    stays, sampled = of_most(stays, study.seed)
    if landmark_day:
        stays, early = with_first_days(study, stays.mutate(entry_day=landmark_day), landmark_day)
        looked_at += early
    stays, looked_through = materialise(stays), min(members, MOST_MEMBERS)
    values = {name: _levels(stays, name, looked_through, study.k_min) for name in looked_at}
    made = {name: value for name, value in values.items() if value is not None}
    everybody, left_out = (
        int(study.population.count().execute()),
        [name for name in values if name not in made],
    )
    text = "All {n} members can be compared."
    if members < everybody:
        text = (
            "{n} of {all} members can be compared: the others left before the record begins ({began}), joined too "
            "late, were no members on day {day} of tenure or have early days that are not on record."
        )
    note = say(text, n=number(members), all=number(everybody), began=study.began, day=landmark_day)
    if left_out:
        text = (
            "Not looked at, because members are nearly all alike or all different in it, or it says what source "
            "says: {names}."
        )
        note += " " + say(text, names=", ".join(word(name) for name in left_out))
    if later := [name for name in made if name not in (*KNOWN_AT_JOINING, *early)]:
        text = "Misleading where it was filled in only after joining: {names}."
        note = f"{say(text, names=', '.join(word(name) for name in later))} {note}"
    table = stays.select("member_id", "entry_day", "tenure_days", "exited", **made)
    return Candidates(materialise(table), tuple(made), f"{note} {sampled}".strip(), landmark_day)


def of_most(people: ibis.Table, seed: int, most: float = math.inf) -> tuple[ibis.Table, str]:
    """Return the members that a model is fitted to, at most `MOST_MEMBERS`, and a sentence when they are a sample."""
    most = min(most, MOST_MEMBERS)
    members = int(people.count().execute())
    text = "About {most} of {n} members, drawn by a hash of their ids, stand for all of them in this model."
    said = say(text, most=number(most), n=number(members)) if members > most else ""
    return of_sample(people, most / max(members, 1), seed), said


def known_at_joining(study: Study) -> list[str]:
    """Return the columns of `KNOWN_AT_JOINING` that the tables have: what is looked at by default."""
    return [name for name in KNOWN_AT_JOINING if name in _at_hand(study)]


def _at_hand(study: Study) -> list[str]:
    """Return the columns of members that may be asked for."""
    columns = list(study.population.columns)
    return [*columns, INVITED] if "inviter_id" in columns and INVITED not in columns else columns


def _stays(study: Study, columns: Sequence[str]) -> ibis.Table:
    """Return member_id, joined (day number), entry_day, tenure_days, exited, and columns."""
    # Without a log, leaving was always seen.
    began = study.began or dt.date.min
    stays = exit_durations(study.population, as_of=study.as_of, observed_from=began)
    if INVITED in columns and INVITED not in stays.columns:
        stays = stays.mutate(**{INVITED: stays.inviter_id.notnull()})
    refuse_impossible(stays)
    joined = day_number(stays.joined_day)
    return stays.select("member_id", "entry_day", "tenure_days", "exited", *columns, joined=joined)


def _levels(stays: ibis.Table, name: str, members: int, k_min: int) -> ibis.Value | None:
    """Return a column as a flag or as levels of which rare ones are pooled; nothing when it cannot be compared."""
    column, kind = stays[name], stays[name].type()
    if name == INVITED and "source" in stays.columns and _follows_source(stays):
        return None
    if kind.is_boolean() or kind.is_string():
        value = column.cast("string")
    elif kind.is_numeric():
        value = _bins(stays, column.cast("float64"))
    else:
        return None
    value = value.fill_null(NOT_STATED)
    counts = stays.group_by(level=value).agg(n=stays.count())
    found = counts.order_by([counts.n.desc(), counts.level]).limit(MOST_LEVELS + 1).to_pandas()
    kept = _kept(found, LEAST_SHARE * members, k_min)
    if not 2 <= len(found) <= MOST_LEVELS or not kept.any() or (len(found) == 2 and not kept.all()):
        return None
    if set(found["level"]) == {"true", "false"}:
        return column
    return value.isin(found.loc[kept, "level"].tolist()).ifelse(value, OTHER)


def _follows_source(stays: ibis.Table) -> bool:
    """Return whether being invited is (nearly) certain or excluded in every source."""
    rows = stays.group_by(level=stays.source.fill_null(NOT_STATED))
    share = rows.agg(share=stays[INVITED].mean()).to_pandas()["share"]
    return bool(((share <= SAME_AS_SOURCE) | (share >= 1 - SAME_AS_SOURCE)).all())


def _kept(found: pd.DataFrame, least: float, k_min: int) -> pd.Series:
    """Return which levels, the largest first, stay what they are.

    A pool that would itself be too small takes in the smallest levels that stay. A single rare level stays what it
    is when it has members enough: "other" would be but another name.
    """
    n, missing = found["n"], found["level"] == NOT_STATED
    stays = (n >= k_min) & (missing | (n >= least))
    if not stays.all() or len(found) > KEPT_LEVELS:
        room = KEPT_LEVELS - 1 - int((stays & missing).sum())
        stays &= missing | (stays & ~missing).cumsum().le(room)
    if (~stays).sum() == 1 and n[~stays].min() >= k_min:
        stays[:] = True
    while 0 < n[~stays].sum() < k_min and stays.any():
        stays[found.index[stays][-1]] = False
    return stays


def _bins(stays: ibis.Table, column: ibis.Value) -> ibis.Value:
    """Return the names of quantile bins of a number; no names where everybody is alike."""
    cuts = {f"q{k}": column.quantile(k / BINS) for k in range(1, BINS)}
    found = stays.aggregate(**cuts, least=column.min()).to_pandas().iloc[0].astype(float)
    edges = sorted(set(found) - {found["least"]})
    if not edges:
        # Most share the smallest value, so that all quantiles fall on it: it is one bin and the rest another.
        above = column.min(where=column > found["least"])
        edges = stays.aggregate(edge=above).to_pandas()["edge"].dropna().astype(float).tolist()
    if not edges:
        return ibis.null("string")
    shown = [f"{edge:,.6g}" for edge in edges]
    names = [say("below {edge}", edge=shown[0]), *(say("{a} to {b}", a=a, b=b) for a, b in pairwise(shown))]
    below = ((column < edge, name) for edge, name in zip(edges, names, strict=True))
    return ibis.cases((column.isnull(), NOT_STATED), *below, else_=say("{edge} or more", edge=shown[-1]))
