"""Whether somebody answered a newcomer's first post, as far as the tables can tell.

The first post is the first content a member created (content, column creator_id) on the days of tenure before the
landmark. It was answered when another member or staff, but no bot, liked it, reacted to it or commented on it (events
on its content_id), or published an answer to it (content, column parent_id), within 48 hours and before the landmark,
so that it is known when the landmark is over. Answers to mere comments cannot be told from these tables: a member
without a post counts as not answered, which the day of the first contribution, held constant beside it, takes out.
"""

from __future__ import annotations

import ibis

from helpers.data.source import Dataset, local_date
from helpers.study.days import day_number

ANSWERED = "early_reply"
ANSWERS = ("like", "reaction", "comment", "reply")
HOURS = 48


def can_tell(dataset: Dataset) -> bool:
    """Return whether the tables have the columns that say whose post an action was about."""
    return (
        {"events", "content"} <= set(dataset.names)
        and {"member_id", "content_id"} <= set(dataset.events.columns)
        and {"content_id", "creator_id", "published_at"} <= set(dataset.content.columns)
    )


def first_post_answered(dataset: Dataset, stays: ibis.Table, report_tz: str, landmark: int) -> ibis.Table:
    """Return members whose first post before the landmark was answered.

    Parameters
    ----------
    dataset : Dataset
        For which :func:`can_tell` holds.
    stays : ibis.Table
        member_id, joined (day number).
    report_tz : str
        Time zone of calendar days.
    landmark : int
        Tenure day on which everything must be known: what happened on days 0 to ``landmark - 1`` counts.

    Returns
    -------
    ibis.Table
        member_id, early_reply (true); members without an answer are not in it.
    """
    first = _first_posts(dataset, stays, report_tz, landmark)
    rows = _answers(dataset)
    on = rows.inner_join(first, rows.content_id == first.post_id)
    within = (on.ts >= on.posted) & (on.ts <= on.posted + ibis.interval(hours=HOURS))
    known = day_number(local_date(on.ts, report_tz)) < on.joined + landmark
    found = on.filter(within & known & (on.who != on.member_id))
    return found.select("member_id").distinct().mutate(**{ANSWERED: ibis.literal(True)})


def _first_posts(dataset: Dataset, stays: ibis.Table, report_tz: str, landmark: int) -> ibis.Table:
    """Return member_id, joined, post_id, posted of the first post that each member made before the landmark."""
    made = dataset.content
    posts = made.select(
        post_id=made.content_id.cast("string"),
        creator=made.creator_id.cast("string"),
        posted=made.published_at,
    )
    posts = posts.inner_join(stays.select("member_id", "joined"), posts.creator == stays.member_id)
    day = day_number(local_date(posts.posted, report_tz))
    posts = posts.filter(day >= posts.joined, day < posts.joined + landmark)
    order = ibis.window(group_by="member_id", order_by=["posted", "post_id"])
    ranked = posts.mutate(place=ibis.row_number().over(order))
    return ranked.filter(ranked.place == 0).select("member_id", "joined", "post_id", "posted")


def _answers(dataset: Dataset) -> ibis.Table:
    """Return who, content_id, ts of everything that answers a post, without bots."""
    events, content = dataset.events, dataset.content
    rows = events.filter(events.event.isin(ANSWERS)).select(
        who=events.member_id.cast("string"), content_id=events.content_id.cast("string"), ts=events.ts
    )
    if "parent_id" in content.columns:
        more = content.filter(content.parent_id.notnull())
        rows = rows.union(
            more.select(
                who=more.creator_id.cast("string"),
                content_id=more.parent_id.cast("string"),
                ts=more.published_at,
            )
        )
    rows = rows.filter(rows.who.notnull(), rows.content_id.notnull())
    if "is_bot" not in dataset.members.columns:
        return rows
    bots = dataset.members.filter(dataset.members.is_bot.fill_null(False))
    return rows.anti_join(bots.select(who=bots.member_id.cast("string")), "who")
