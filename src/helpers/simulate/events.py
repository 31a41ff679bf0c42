"""Events of one block: sessions, interactions, passive events, pushes, purchases, joining and leaving."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pyarrow as pa

from helpers.simulate.calendar import DAY, TABLE_BITS, quantile_table
from helpers.simulate.columns import NEVER, Columns, digits, exported, instants, stable_order, words
from helpers.simulate.members import Members, choose, fit_presence
from helpers.simulate.parameters import INTERACTION_EVENTS, OTHER_EVENTS, PASSIVE_EVENTS, PLATFORMS
from helpers.simulate.world import Block

EVENTS = INTERACTION_EVENTS + PASSIVE_EVENTS + OTHER_EVENTS
WITH_CONTENT = np.isin(EVENTS, ("view", "click", "like", "comment", "share", "save"))
CODE = {event: code for code, event in enumerate(EVENTS)}
SESSION_SECONDS = 1_200
INGEST_HOUR = 2

_ID_FLOOR = 7_300_000_000_000_000_000
_MEMBER_POST_FLOOR = 7_200_000_000_000_000_000
_SESSION_FLOOR = 5_100_000_000_000_000_000
_ID_BLOCK_BITS = 32


class Events(NamedTuple):
    """Events of one block.

    Attributes
    ----------
    member, seconds, code : numpy.ndarray
        Row of the member in the block, time in seconds since the window's beginning, and what happened.
    session, platform, value : numpy.ndarray
        Session (-1 outside of visits), platform, and value (NaN where there is none).
    """

    member: np.ndarray
    seconds: np.ndarray
    code: np.ndarray
    session: np.ndarray
    platform: np.ndarray
    value: np.ndarray


def member_post_numbers(block: int, rows: int) -> np.ndarray:
    """Return identifiers of the posts of members of one block."""
    return _MEMBER_POST_FLOOR + (block << _ID_BLOCK_BITS) + np.arange(rows)


def draw_events(block: Block, paid: np.ndarray) -> Events:
    """Draw all events of one block and sort them by time and member; `paid` is the amount of each order."""
    rng = block.stream("events")
    parts = (_visits(rng, block), _pushes(rng, block), _purchases(rng, block, paid), _milestones(block))
    joined = [np.concatenate(columns) for columns in zip(*parts, strict=True)]
    order = stable_order(joined[1] * len(block.members) + joined[0])
    return Events(*(column[order] for column in joined))


def _bare(member: np.ndarray, seconds: np.ndarray, code: np.ndarray, members: Members) -> Events:
    """Return events outside of visits, on the home platform and without a value."""
    platform = members.platform[member]
    return Events(member, seconds, code, np.full(len(member), -1), platform, np.full(len(member), np.nan))


def _visits(rng: np.random.Generator, block: Block) -> Events:
    """Draw visits and spread interactions and passive events over them, month by month.

    Promotions, holidays and incidents move visits in time and change how much is looked at; they never
    change the number of interactions in a month, which makes the tier.
    """
    window, members, behaviour = block.window, block.members, block.behaviour
    p, months = window.parameters, len(window.months)
    rate = np.r_[np.asarray(p.passive_per_month), 0.0][behaviour.tiers] * window.month_intensity[:, None]
    interactions = behaviour.interactions.T.ravel()
    total = interactions + rng.poisson(rate.T).ravel()
    visits = np.ceil(total / p.events_per_session).astype(np.int64)
    visit_cell = np.repeat(np.arange(len(total)), visits)
    visit_time = window.draw_times(rng, visit_cell % months)
    home = members.platform[visit_cell // months]
    away = choose(rng, p.platform_shares, len(home))
    visit_platform = np.where(rng.random(len(home)) < p.home_platform_share, home, away)

    cell = np.repeat(np.arange(len(total)), total)
    position = np.arange(len(cell)) - np.repeat(np.cumsum(total) - total, total)
    acts = (position < interactions[cell]).astype(np.int8)
    within = (rng.random(len(cell), dtype=np.float32) * visits[cell]).astype(np.int64)
    session = (np.cumsum(visits) - visits)[cell] + np.minimum(within, visits[cell] - 1)
    start = visit_time[session]
    seconds = start + rng.integers(0, SESSION_SECONDS, len(cell), dtype=np.uint16)
    seconds = np.minimum(seconds, start - start % DAY + DAY - 1)
    passive = quantile_table(p.passive_mix) + len(INTERACTION_EVENTS)
    mixes = np.stack([passive, quantile_table(p.interaction_mix)]).astype(np.int8)
    code = mixes[acts, rng.integers(0, 1 << TABLE_BITS, len(cell), dtype=np.uint16)]
    member = cell // months
    seconds, keep = fit_presence(members, member, seconds)
    rank = np.empty(len(visit_time), dtype=np.int64)
    rank[stable_order(visit_time)] = np.arange(len(visit_time))
    nothing = np.full(len(cell), np.nan)
    columns = (member, seconds, code, rank[session], visit_platform[session], nothing)
    return Events(*(column[keep] for column in columns))


def _pushes(rng: np.random.Generator, block: Block) -> Events:
    """Place each month's pushes on days of the stay, and open some of them."""
    window, members = block.window, block.members
    counts = block.behaviour.pushes.T.ravel()
    cell = np.repeat(np.arange(len(counts)), counts)
    member, month = cell // len(window.months), cell % len(window.months)
    first = np.maximum(window.firsts[month], members.join_day[member])
    day = first + (rng.random(len(cell)) * (window.ends[month] - first)).astype(np.int64)
    sent, keep = fit_presence(members, member, day * DAY + rng.integers(11 * 3_600, 20 * 3_600, len(cell)))
    member, sent = member[keep], sent[keep]
    opened = np.minimum(sent + rng.integers(20, 3 * 3_600, len(sent)), sent - sent % DAY + DAY - 1)
    read = rng.random(len(sent)) < window.parameters.push_open_probability
    read &= opened <= members.left[member]
    code = _codes(push_sent=len(sent), push_open=read.sum())
    return _bare(np.r_[member, member[read]], np.r_[sent, opened[read]], code, members)


def _codes(**counts: int) -> np.ndarray:
    """Return the code of each event, as often as it is to be there."""
    return np.repeat(np.array([CODE[name] for name in counts], dtype=np.int8), list(counts.values()))


def _purchases(rng: np.random.Generator, block: Block, paid: np.ndarray) -> Events:
    """Precede each payment by a cart and a checkout, minutes before but never before joining."""
    orders, rows = block.purchases.orders, len(paid)
    floor = np.maximum(block.members.joined, 0)[orders.member]
    checkout = np.maximum(orders.seconds - rng.integers(15, 180, rows), floor)
    cart = np.maximum(checkout - rng.integers(20, 600, rows), floor)
    code = _codes(add_to_cart=rows, checkout=rows, pay=rows)
    bare = _bare(np.tile(orders.member, 3), np.r_[cart, checkout, orders.seconds], code, block.members)
    bare.value[2 * rows :] = paid
    return bare


def _milestones(block: Block) -> Events:
    """Joining and leaving, as far as they are observed."""
    members = block.members
    joined, left = np.flatnonzero(members.joined >= 0), np.flatnonzero(members.left != NEVER)
    code = _codes(join=len(joined), leave=len(left))
    return _bare(np.r_[joined, left], np.r_[members.joined[joined], members.left[left]], code, members)


def event_columns(block: Block, events: Events) -> Columns:
    """Return the ``events`` table of one block; a small share reaches the warehouse days late."""
    rng, window, posts = block.stream("delivery"), block.window, block.world.posts
    p, rows = window.parameters, len(events.member)
    days = events.seconds // DAY + 1
    late = np.flatnonzero(rng.random(rows, dtype=np.float32) < p.late_share)
    days[late] += rng.integers(1, p.late_days + 1, len(late))
    content = np.full(rows, -1)
    seen = np.flatnonzero(WITH_CONTENT[events.code])
    content[seen] = posts.pick(rng, events.platform[seen], events.seconds[seen] // DAY)
    written = np.flatnonzero(events.code == CODE["post"])
    content[written] = len(posts.platform) + np.arange(len(written))
    own = digits(member_post_numbers(block.number, len(written)))
    ids = block.number << _ID_BLOCK_BITS
    sessions = digits(_SESSION_FLOOR + ids + np.arange(events.session.max() + 1))
    return {
        "event_id": digits(_ID_FLOOR + ids + np.arange(rows)),
        "member_id": words(events.member, digits(block.members.number)),
        "ts": instants(events.seconds, window),
        "event": words(events.code, EVENTS),
        "platform": words(events.platform, PLATFORMS),
        "content_id": words(content, pa.concat_arrays([posts.names, own])),
        "session_id": words(events.session, sessions),
        "value": events.value,
        **exported("app_log", days * DAY + INGEST_HOUR * 3_600, window),
    }
