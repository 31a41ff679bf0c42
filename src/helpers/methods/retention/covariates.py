"""Which characteristics of members may drive leaving, made comparable inside the engine.

Only what is known when somebody joins is looked at unless other columns are named: a column that is filled later
(a badge, a consent that leavers take back) is had by those who stay, and would look like the reason why they do.
Nothing can check that for a named column, so it comes with a caution.

A text column gives its levels, a flag itself, a number its quantile bins; what is missing is a level of its own.
Levels of fewer than `k_min` members are pooled, or the column is left out. Identifiers, times and columns in which
everybody is alike are left out, with the reason.

What members did in their first days is only fair to those who were still there when these days were over: with a
landmark (Anderson, Cain and Gelber 1983) everybody is looked at from that day on, so that nobody can fail to reply
because they had left. Whoever left before is not in that comparison, and how many is said.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import ibis
import pandas as pd

from helpers.checks import did_you_mean
from helpers.errors import BadParameters
from helpers.methods.retention.first_days import with_first_days
from helpers.sentences import number, say
from helpers.stats.cox.design import OTHER
from helpers.stats.survival.cells import cells
from helpers.stats.survival.durations import exit_durations, refuse_impossible
from helpers.study import Study
from helpers.study.days import day_number, number_of
from helpers.study.frames import NOT_STATED, materialise

INVITED = "invited"
KNOWN_AT_JOINING = ("source", "platform_home", "age_band", "gender", "region", INVITED)
"""Columns of members that are known when they join; ``invited`` is whether an inviter is on record."""
# Where a flag is as rare or as common as this in every source, it says what the source says.
SAME_AS_SOURCE = 0.02
# A text column with more levels than this is an identifier, or as good as one.
MOST_LEVELS = 200
# Levels that are kept; the others, and those with a smaller share of members, are pooled.
KEPT_LEVELS = 8
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
    notes : tuple of str
        Who and which columns could not be looked at, which levels were pooled and which numbers cut.
    """

    table: ibis.Table
    names: tuple[str, ...]
    notes: tuple[str, ...]

    def cells(self) -> pd.DataFrame:
        """Return counts of equal members: the candidates, entry_day, tenure_day, n, events."""
        return cells(self.table, self.names)


def candidates(study: Study, columns: Sequence[str] | None = None, *, landmark_day: int = 0) -> Candidates:
    """Return members with their candidates.

    Parameters
    ----------
    study : Study
        With members; events when there is a landmark. Who joined before the log began enters late.
    columns : sequence of str, optional
        Columns of members to look at, or ``invited``; by default those of `KNOWN_AT_JOINING` that are there. Any
        other is looked at with a caution.
    landmark_day : int
        With 7, what members did on their first 7 days (0 to 6) is added, and only those who joined on record and
        were still members on day 7 are looked at, from then on: :mod:`helpers.methods.retention.first_days`.

    Raises
    ------
    BadParameters
        When a column is unknown.
    BadData
        When a member left before joining.
    """
    study.dataset.require("members", *(["events"] if landmark_day else []))
    looked_at = known_at_joining(study) if columns is None else list(columns)
    at_hand = _at_hand(study)
    for name in looked_at:
        if name not in at_hand:
            hint = did_you_mean(name, at_hand)
            raise BadParameters(f"table members has no column {name!r}.{hint}")
    stays = _stays(study, looked_at)
    notes = [*_caution(looked_at), *_who(stays, study.began, landmark_day)]
    stays = stays.filter(stays.tenure_days >= stays.entry_day)
    if landmark_day:
        stays = stays.filter(~stays.older, stays.tenure_days >= landmark_day)
        stays = stays.mutate(entry_day=ibis.greatest(stays.entry_day, landmark_day))
        stays, early = with_first_days(study, stays, landmark_day)
        looked_at += early
    stays = materialise(stays)
    levels = _Levels(stays, int(stays.count().execute()), study.k_min)
    made: dict[str, ibis.Value] = {}
    for name in looked_at:
        value, note = levels.of(name)
        if value is None:
            note = say("{column} is not looked at: it {reason}.", column=name, reason=note)
        else:
            made[name] = value
        notes += [note] if note else []
    table = stays.select("member_id", "entry_day", "tenure_days", "exited", **made)
    return Candidates(materialise(table), tuple(made), tuple(notes))


def known_at_joining(study: Study) -> list[str]:
    """Return the columns of `KNOWN_AT_JOINING` that the tables have: what is looked at by default."""
    at_hand = _at_hand(study)
    return [name for name in KNOWN_AT_JOINING if name in at_hand]


def _at_hand(study: Study) -> list[str]:
    """Return the columns of members that may be asked for."""
    columns = list(study.dataset.members.columns)
    return [*columns, INVITED] if "inviter_id" in columns and INVITED not in columns else columns


def _caution(columns: Sequence[str]) -> list[str]:
    """Say which columns may hold what only came later."""
    later = [name for name in columns if name not in KNOWN_AT_JOINING]
    text = (
        "Caution: nothing says that {names} was known on the day of joining. What only those who stay can get, or "
        "those who leave take back, looks like a reason to stay without being one."
    )
    return [say(text, names=", ".join(later))] if later else []


def _stays(study: Study, columns: Sequence[str]) -> ibis.Table:
    """Return member_id, joined (day number), older (than the log), entry_day, tenure_days, exited, and columns."""
    made = INVITED in columns and INVITED not in study.dataset.members.columns
    stays = exit_durations(study.population, as_of=study.as_of)
    if made:
        stays = stays.mutate(**{INVITED: stays.inviter_id.notnull()})
    refuse_impossible(stays)
    joined = day_number(stays.joined_day)
    begin = ibis.literal(number_of(study.began), "int64") if study.began else joined
    return stays.select(
        "member_id",
        *columns,
        joined=joined,
        older=joined < begin,
        entry_day=ibis.greatest(begin - joined, 0),
        tenure_days=stays.tenure_days,
        exited=stays.exited,
    )


def _who(stays: ibis.Table, begin: dt.date | None, landmark: int) -> list[str]:
    """Say who cannot be looked at, and why."""
    gone = stays.tenure_days < stays.entry_day
    early = ~gone & ~stays.older & (stays.tenure_days < landmark)
    texts = {
        "{n} members left before the record begins ({day}) and are not looked at.": gone,
        "{n} members joined before the record begins, so their first days are unknown: not looked at.": (
            ~gone & stays.older & (landmark > 0)
        ),
        "{n} members were gone, or had not been members long enough, by day {landmark}: not compared.": early,
    }
    counts = {str(place): flag.cast("int64").sum().fill_null(0) for place, flag in enumerate(texts.values())}
    found = stays.aggregate(**counts).to_pandas().iloc[0]
    return [
        say(text, n=number(n), day=begin, landmark=landmark)
        for text, n in zip(texts, found, strict=True)
        if n
    ]


class _Levels:
    """Columns of members as levels that can be compared."""

    def __init__(self, stays: ibis.Table, members: int, k_min: int) -> None:
        self.stays, self.members, self.k_min = stays, members, k_min

    def of(self, name: str) -> tuple[ibis.Value | None, str]:
        """Return a column as levels or a flag and what was done to it, or nothing and why."""
        column = self.stays[name]
        if name == INVITED and "source" in self.stays.columns and self._follows_source():
            return None, say("says what source says")
        if column.type().is_boolean():
            return self._from_text(name, column.cast("string"), 0.0, KEPT_LEVELS)
        if column.type().is_numeric():
            return self._from_number(name)
        if column.type().is_string():
            return self._from_text(name, column, LEAST_SHARE * self.members, KEPT_LEVELS)
        return None, say("is no text, flag or number")

    def _follows_source(self) -> bool:
        """Return whether being invited is (nearly) certain or excluded in every source."""
        rows = self.stays.group_by(level=self.stays.source.fill_null(NOT_STATED))
        share = rows.agg(share=self.stays[INVITED].cast("float64").mean()).to_pandas()["share"]
        return bool(((share <= SAME_AS_SOURCE) | (share >= 1 - SAME_AS_SOURCE)).all())

    def _from_text(
        self, name: str, text: ibis.Value, least: float, most: int
    ) -> tuple[ibis.Value | None, str]:
        """Return a column of levels, where those of fewer than `least` members or beyond `most` are pooled."""
        value = text.fill_null(NOT_STATED)
        counts = self.stays.group_by(level=value).agg(n=self.stays.count())
        found = counts.order_by([counts.n.desc(), counts.level]).limit(MOST_LEVELS + 1).to_pandas()
        if len(found) < 2:
            return None, say("is the same for everybody")
        if len(found) > MOST_LEVELS:
            return None, say("has over {n} levels: an identifier", n=MOST_LEVELS)
        kept = self._kept(found, least, most)
        if not kept.any() or (len(found) == 2 and not kept.all()):
            return None, say("has no two levels of {k} members", k=self.k_min)
        if set(found["level"]) == {"true", "false"}:
            return self.stays[name], ""
        if kept.all():
            return value, ""
        pooled = found[~kept]
        levels = ", ".join(map(str, pooled["level"].head(5))) + (", …" if len(pooled) > 5 else "")
        note = "{name}: {k} rare levels ({n} members) are pooled as “{other}”: {levels}."
        values = {"k": len(pooled), "n": number(pooled["n"].sum()), "other": OTHER, "levels": levels}
        return value.isin(found.loc[kept, "level"].tolist()).ifelse(value, OTHER), say(
            note, name=name, **values
        )

    def _kept(self, found: pd.DataFrame, least: float, most: int) -> pd.Series:
        """Return which levels, the largest first, stay what they are.

        A pool that would itself be too small takes in the smallest levels that stay. A single rare level stays what
        it is when it has members enough: "other" would be but another name.
        """
        missing = found["level"] == NOT_STATED
        rare = ~missing & (found["n"] < least) | (found["n"] < self.k_min)
        named = found[~rare & ~missing]
        own = int((missing & ~rare).sum())
        if rare.any() or len(named) + own > most:
            named = named.head(most - 1 - own)
        stays = found["level"].isin(named["level"]) | (missing & ~rare)
        if (~stays).sum() == 1 and (found.loc[~stays, "n"] >= self.k_min).all():
            stays[:] = True
        while 0 < found.loc[~stays, "n"].sum() < self.k_min and stays.any():
            stays[found.index[stays][-1]] = False
        return stays

    def _from_number(self, name: str) -> tuple[ibis.Value | None, str]:
        """Return quantile bins of a number as levels."""
        column = self.stays[name].cast("float64")
        edges = self._quantiles(column)
        if math.isnan(edges[0]):
            return None, say("is the same for everybody")
        shown = [f"{edge:,.6g}" for edge in edges]
        labels = [say("below {edge}", edge=shown[0])]
        labels += [say("{a} to {b}", a=a, b=b) for a, b in pairwise(shown)]
        branches = [(column < edge, label) for edge, label in zip(edges, labels, strict=True)]
        last = say("{edge} or more", edge=shown[-1])
        cut = ibis.cases((column.isnull(), NOT_STATED), *branches, else_=last)
        value, note = self._from_text(name, cut, 0.0, BINS + 2)
        if value is None:
            return None, note
        return value, f"{say('{name} is cut at {edges}.', name=name, edges=', '.join(shown))} {note}".strip()

    def _quantiles(self, column: ibis.Value) -> list[float]:
        """Return the quantiles at which a number is cut.

        Where most share the smallest value, quantiles fall on it: then it is one bin and the rest another.
        """
        cuts = {f"q{k}": column.quantile(k / BINS) for k in range(1, BINS)}
        found = self.stays.aggregate(**cuts, least=column.min()).to_pandas().iloc[0]
        least = float(found.pop("least"))
        edges = sorted(set(found.astype(float)) - {least})
        return edges or [float(self.stays.aggregate(column.min(where=column > least)).to_pandas().iloc[0, 0])]
