"""What newcomers did in their first days, and whether somebody answered their first post, as far as tables can tell.

The first post is the first content a member created (content, column creator_id) on the days of tenure before the
landmark. It was answered when another member or staff, but no bot, liked it, reacted to it or commented on it (events
on its content_id), or published an answer to it (content, column parent_id), within 48 hours and before the landmark,
so that it is known when the landmark is over. Answers to mere comments cannot be told from these tables: a member
without a post counts as not answered, which the day of the first contribution, held constant beside it, takes out.
"""

from __future__ import annotations

import ibis

from helpers.data.source import local_date
from helpers.sentences import say
from helpers.study import Study
from helpers.study.days import day_number
from helpers.study.frames import materialise
from helpers.study.people import flag

CONTRIBUTIONS = ("comment", "reply", "post")
FIRST = "first_contribution"
ANSWERED = "early_reply"
ANSWERS = ("like", "reaction", "comment", "reply")
HOURS = 48


def with_first_days(study: Study, stays: ibis.Table, landmark: int) -> tuple[ibis.Table, list[str]]:
    """Return members with what they did on days 0 to ``landmark - 1`` of tenure, and the names of it.

    Nothing recorded is nothing done. A column of members that is called ``early_reply`` is not made again.
    """
    done = materialise(_done(study, stays, landmark))
    found = stays.left_join(done, "member_id").drop("member_id_right")
    names = [name for name in done.columns if name != "member_id"]
    if _can_tell(study) and ANSWERED not in stays.columns:
        answered = materialise(_first_post_answered(study, stays, landmark))
        found = found.left_join(answered, "member_id").drop("member_id_right")
        names.append(ANSWERED)
    first, last = found[FIRST], say("days 3–{last}", last=landmark - 1)
    day = ibis.cases((first.isnull(), "none"), (first == 0, "day 0"), (first <= 2, "days 1–2"), else_=last)
    flags = {name: found[name].fill_null(False) for name in names if name != FIRST}
    return found.mutate(**{FIRST: day}, **flags), names


def _done(study: Study, stays: ibis.Table, landmark: int) -> ibis.Table:
    """Return which kinds of things each member did, and the first day of a contribution."""
    events = study.dataset.events
    rows = events.mutate(event=events.event.cast("string").lower())
    rows = rows.filter(rows.event.isin(study.interactions)).select(
        key=rows.member_id.cast("string"),
        event=rows.event,
        at=day_number(local_date(rows.ts, study.report_tz)),
    )
    rows = rows.inner_join(stays.select("member_id", "joined"), rows.key == stays.member_id)
    rows = rows.filter(rows["at"] >= rows.joined, rows["at"] < rows.joined + landmark)
    present = sorted(rows.select("event").distinct().to_pandas()["event"])
    columns = {f"early_{name}": (rows.event == name).any() for name in present if name not in CONTRIBUTIONS}
    first = (rows["at"] - rows.joined).min(where=rows.event.isin(CONTRIBUTIONS))
    return rows.group_by("member_id").agg(**{FIRST: first}, **columns)


def _can_tell(study: Study) -> bool:
    """Return whether the tables have the columns that say whose post an action was about."""
    dataset = study.dataset
    return (
        {"members", "events", "content"} <= dataset.tables.keys()
        and {"member_id", "content_id"} <= set(dataset.events.columns)
        and {"content_id", "creator_id", "published_at"} <= set(dataset.content.columns)
    )


def _first_post_answered(study: Study, stays: ibis.Table, landmark: int) -> ibis.Table:
    """Return member_id, early_reply (true) of those whose first post before the landmark was answered."""
    made, tz = study.dataset.content, study.report_tz
    posts = made.select(
        post_id=made.content_id.cast("string"),
        creator=made.creator_id.cast("string"),
        posted=made.published_at,
    )
    posts = posts.inner_join(stays.select("member_id", "joined"), posts.creator == stays.member_id)
    day = day_number(local_date(posts.posted, tz))
    posts = posts.filter(day >= posts.joined, day < posts.joined + landmark)
    order = ibis.window(group_by="member_id", order_by=["posted", "post_id"])
    ranked = posts.mutate(place=ibis.row_number().over(order))
    # Computed first, so that the engine keeps these few in memory and lets the many answers pass by.
    first = materialise(ranked.filter(ranked.place == 0).select("member_id", "joined", "post_id", "posted"))
    rows = _answers(study)
    on = rows.inner_join(first, rows.content_id == first.post_id)
    within = (on.ts >= on.posted) & (on.ts <= on.posted + ibis.interval(hours=HOURS))
    known = day_number(local_date(on.ts, tz)) < on.joined + landmark
    found = on.filter(within & known & (on.who != on.member_id))
    return found.select("member_id").distinct().mutate(**{ANSWERED: ibis.literal(True)})


def _answers(study: Study) -> ibis.Table:
    """Return who, content_id, ts of everything that answers a post, without bots."""
    events, content = study.dataset.events, study.dataset.content
    rows = events.filter(events.event.cast("string").lower().isin(ANSWERS)).select(
        who=events.member_id.cast("string"), content_id=events.content_id.cast("string"), ts=events.ts
    )
    if "parent_id" in content.columns:
        more = content.filter(content.parent_id.notnull()).select(
            who=content.creator_id.cast("string"),
            content_id=content.parent_id.cast("string"),
            ts=content.published_at,
        )
        rows = rows.union(more)
    rows = rows.filter(rows.who.notnull(), rows.content_id.notnull())
    members = study.dataset.members
    bots = members.filter(flag(members, "is_bot"))
    return rows.anti_join(bots.select(who=bots.member_id.cast("string")), "who")
