"""How often members come back, and after how many days without an action a member counts as silent."""

from __future__ import annotations

import datetime as dt

import ibis

from helpers.sentences import number, say
from helpers.study import enough
from helpers.study.frames import Count

# Who acts at random every g days on average lets 3 g days pass once in twenty times: exp(-3) is .05.
MULTIPLE = 3
# Numbers of days that an operator says; 30 is what "monthly active" means everywhere, and the least.
SPOKEN = (30, 60, 90, 120, 180, 365)
# Days taken where too few members came back: the quarter that shops plan in, and 30 where people interact.
NOT_OBSERVED = {"order": 90}


def rhythm_days(member_days: ibis.Table, people: ibis.Table, as_of: dt.date) -> float | None:
    """Return the days between two active days of the median member among those who came back.

    Parameters
    ----------
    member_days : ibis.Table
        member_id, day: one row per member and day with a counted action.
    people : ibis.Table
        The members to look at: member_id.
    as_of : date
        Last day that counts.

    Returns
    -------
    float or None
        The median, over members with two or more active days, of their mean gap in days. None where fewer than
        `enough.CAME_BACK` members came back.
    """
    days = member_days.filter(member_days.day <= ibis.date(as_of)).semi_join(people, "member_id")
    each = days.group_by("member_id").agg(first=days.day.min(), last=days.day.max(), active=days.count())
    each = each.filter(each.active > 1)
    gap = each.last.delta(each.first, unit="day").cast("float64") / (each.active - 1)
    found = each.aggregate(members=each.count(), gap=gap.median()).to_pandas().iloc[0]
    return float(found["gap"]) if found["members"] >= enough.CAME_BACK else None


def silence_days(rhythm: float | None, count: Count) -> int:
    """Return `MULTIPLE` times the rhythm, as the nearest number of days in `SPOKEN`."""
    if rhythm is None:
        return NOT_OBSERVED.get(count, SPOKEN[0])
    return min(SPOKEN, key=lambda days: abs(days - MULTIPLE * rhythm))


def silence_sentence(rhythm: float | None, days: int) -> str:
    """Say after how many days a member counts as silent, and why."""
    if rhythm is None:
        text = (
            "A member counts as silent after {days} days without an action that counts; too few came back to know "
            "how often members act."
        )
        return say(text, days=days)
    text = (
        "A member counts as silent after {days} days without an action that counts: those who come back act every "
        "{rhythm} days (median member), and at that pace {multiple} times as long passes only once in twenty."
    )
    return say(text, days=days, rhythm=number(rhythm), multiple=MULTIPLE)
