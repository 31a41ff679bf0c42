"""How long members stayed, one row per member: leaving is one event, going silent is another.

Convention of days
------------------
Tenure day 0 is the calendar day of joining; a member who leaves d days later leaves on tenure day d, and one who
joins and leaves on the same day on tenure day 0. `as_of` is the last *complete* day: whoever is still a member
at its end was watched on tenure days 0 to ``as_of - joined_day`` and stays censored on the last of them. S(d)
is thus the share that is still there at the end of tenure day d, and S(0) is below 1 when some leave at once.
On a day with both, exits come before censoring, as in lifelines and R, so that a censored member is at risk on
the day of censoring. A tenure of ``as_of + 1 - joined_day`` would put members at risk on a day nobody has seen.

Late entry: with `observed_from`, members who had joined before are at risk from tenure day
``observed_from - joined_day`` on, that day included (``entry_day``), and those who left before are not in the
table at all, because such data show only the ones that stayed long enough to be seen.

Going silent
------------
A silent spell is `silence_days` whole days in a row without a counted action. The time to the first one is
``first silent day - joined_day``: joining counts as an action, so it is at least 1. A spell that begins on day b
is known only when day ``b + silence_days - 1`` is over. The last day on which a beginning can be seen is hence
``as_of - silence_days + 1``; everybody who has not gone silent by then is censored on it (on the day of leaving
when that is earlier). Censoring at the last action instead would make silence look rarer than it is.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

import ibis
import pandas as pd

from helpers.data.source import as_table
from helpers.errors import BadData
from helpers.sentences import say
from helpers.study.days import day_number, number_of
from helpers.study.frames import as_day, require_columns, with_days


def exit_durations(
    population: ibis.Table | pd.DataFrame,
    *,
    as_of: dt.date | str,
    observed_from: dt.date | str | None = None,
) -> ibis.Table:
    """Return how long every member stayed, and whether they left.

    Parameters
    ----------
    population : ibis.Table or pandas.DataFrame
        member_id, joined_day, left_day (missing while a member) and any further columns.
    as_of : date or str
        Last complete day. Who joins later is left out; who leaves later is still here.
    observed_from : date or str, optional
        First day on which leaving would have been seen; default: leaving was always seen.

    Returns
    -------
    ibis.Table
        member_id; tenure_days (int); exited (bool); entry_day (int, only with `observed_from`); joined_day,
        left_day; the further columns of the population. Lazy: a leave before a join gives a negative tenure, which
        :func:`helpers.stats.survival.cells.cells` refuses while counting.

    Raises
    ------
    BadData
        When a column is missing.
    """
    require_columns(population, ("member_id", "joined_day", "left_day"), "population")
    table = with_days(population, "joined_day", "left_day")
    end = as_day(as_of)
    # Each expression once: engines repeat what stands in a filter, and in the branches of a case, for every row.
    table = table.filter(table.joined_day.fill_null(end) <= ibis.date(end))
    left = table.left_day.fill_null(end + dt.timedelta(days=1))
    tenure = ibis.least(left, ibis.date(end)).delta(table.joined_day, unit="day")
    more: dict[str, Any] = {"tenure_days": tenure.cast("int64"), "exited": left <= ibis.date(end)}
    if observed_from is None:
        return table.mutate(**more)
    entry = number_of(as_day(observed_from, "observed_from")) - day_number(table.joined_day)
    table = table.mutate(**more, entry_day=ibis.greatest(entry, 0).cast("int64"))
    # A negative tenure is kept, so that the count of cells can refuse it.
    return table.filter((table.entry_day <= table.tenure_days) | (table.tenure_days < 0))


def silence_durations(
    member_days: ibis.Table | pd.DataFrame,
    population: ibis.Table | pd.DataFrame,
    *,
    as_of: dt.date | str,
    silence_days: int = 30,
) -> ibis.Table:
    """Return the time from joining to the beginning of the first silent spell; leaving censors it.

    Parameters
    ----------
    member_days : ibis.Table or pandas.DataFrame
        member_id, day: the days on which a member did something that counts; repeated rows do no harm.
    population, as_of
        As in :func:`exit_durations`.
    silence_days : int
        Days without an action that make a spell silent.

    Returns
    -------
    ibis.Table
        The columns of :func:`exit_durations`, where exited says that a silent spell began on tenure day
        tenure_days. Members who joined fewer than `silence_days` days before `as_of` are censored on day 0.
    """
    stays = exit_durations(population, as_of=as_of)
    begun = _first_silent_day(as_table(member_days), stays, number_of(as_day(as_of)), silence_days)
    found = stays.left_join(begun, "member_id").drop("member_id_right")
    joined = day_number(found.joined_day)
    horizon = number_of(as_day(as_of)) - silence_days + 1
    watched = ibis.least(joined + found.tenure_days, horizon) - joined
    silent = found.begin.notnull()
    tenure = ibis.cases((silent, found.begin - joined), else_=ibis.greatest(watched, 0))
    # A stay that cannot be (left before joined) keeps its negative number for the count of cells.
    tenure = ibis.cases((found.tenure_days < 0, found.tenure_days), else_=tenure).cast("int64")
    return found.mutate(tenure_days=tenure, exited=silent).drop("begin")


def _first_silent_day(days: ibis.Table, stays: ibis.Table, end: int, silence_days: int) -> ibis.Table:
    """Return member_id and begin, the number of the first day of the first silent spell."""
    stay = stays.select(
        "member_id", joined=day_number(stays.joined_day), last=day_number(stays.joined_day) + stays.tenure_days,
        exited=stays.exited,
    )  # fmt: skip
    acts = days.select(member_id=days.member_id.cast("string"), at=day_number(days.day.cast("date")))
    acts = acts.inner_join(stay.select("member_id", "joined", "last"), "member_id")
    acts = acts.filter((acts["at"] > acts["joined"]) & (acts["at"] <= acts["last"]))
    marks = acts.select("member_id", "at").distinct().union(stay.select("member_id", at=stay["joined"]))
    marks = marks.inner_join(stay.select("member_id", "last", "exited"), "member_id")
    following = marks["at"].lead(1).over(ibis.window(group_by="member_id", order_by="at"))
    # Leaving is no silence: of the last spell count the days before the day of leaving, or up to the last day.
    final = ibis.cases((marks["exited"], marks["last"]), else_=end + 1)
    gaps = marks.mutate(quiet=ibis.coalesce(following, final) - marks["at"] - 1)
    silent = gaps.filter(gaps.quiet >= silence_days)
    return silent.group_by("member_id").agg(begin=silent["at"].min() + 1)


def refuse_impossible(stays: ibis.Table) -> None:
    """Raise BadData when a member has no day of joining, or left before it; a report does not say who."""
    wrong = stays.filter((stays.tenure_days < 0) | stays.tenure_days.isnull())
    if count := int(wrong.count().execute()):
        text = (
            "members, columns joined_at, left_at: {count:,} members without a day of joining, or with a "
            "leave before it. "
            "Mend the export."
        )
        if count == 1:
            text = (
                "members, columns joined_at, left_at: 1 member without a day of joining, or with a leave "
                "before it. Mend "
                "the export."
            )
        raise BadData(say(text, count=count))
