"""Events of one block: sessions, interactions, passive events, pushes, purchases, joining and leaving."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from helpers.simulate.behaviour import Behaviour
from helpers.simulate.calendar import DAY, TABLE_BITS, Window, quantile_table
from helpers.simulate.columns import (
    NEVER,
    Columns,
    Constant,
    Digits,
    Instants,
    Words,
    digits_array,
    stable_order,
)
from helpers.simulate.content import Posts, member_post_numbers
from helpers.simulate.members import Members, choose
from helpers.simulate.parameters import INTERACTION_EVENTS, OTHER_EVENTS, PASSIVE_EVENTS, PLATFORMS
from helpers.simulate.presence import fit_presence
from helpers.simulate.purchases import Points

EVENTS = INTERACTION_EVENTS + PASSIVE_EVENTS + OTHER_EVENTS
WITH_CONTENT = np.isin(EVENTS, ("view", "click", "like", "comment", "share", "save"))
CODE = {event: code for code, event in enumerate(EVENTS)}
SESSION_SECONDS = 1_200
INGEST_HOUR = 2

_ID_FLOOR = 7_300_000_000_000_000_000
_SESSION_FLOOR = 5_100_000_000_000_000_000
_ID_BLOCK_BITS = 32


Part = tuple[np.ndarray, ...]
"""Row of the member, time, event code, session (-1 outside of visits), platform, value (NaN when none)."""


@dataclass
class Events:
    """Events of one block in the order of time; see `Part` for the columns."""

    member: np.ndarray
    seconds: np.ndarray
    code: np.ndarray
    session: np.ndarray
    platform: np.ndarray
    value: np.ndarray


def mix_tables(window: Window) -> np.ndarray:
    """Return event codes to draw from: row 0 passive events, row 1 interactions, 16 random bits each."""
    p = window.parameters
    passive = quantile_table(p.passive_mix) + len(INTERACTION_EVENTS)
    return np.stack([passive, quantile_table(p.interaction_mix)]).astype(np.int8)


def draw_events(
    rng: np.random.Generator,
    window: Window,
    members: Members,
    behaviour: Behaviour,
    orders: Points,
    paid: np.ndarray,
    mixes: np.ndarray,
) -> Events:
    """Draw all events of one block and sort them by time and member; `paid` is the amount of each order."""
    parts = (
        _visits(rng, window, members, behaviour, mixes),
        _pushes(rng, window, members, behaviour),
        _purchases(rng, members, orders, paid),
        _milestones(members),
    )
    joined = [np.concatenate(columns) for columns in zip(*parts, strict=True)]
    order = stable_order(joined[1] * len(members) + joined[0])
    return Events(*(column[order] for column in joined))


def _bare(member: np.ndarray, seconds: np.ndarray, code: np.ndarray, members: Members) -> Part:
    """Return events outside of visits, on the home platform and without a value."""
    platform = members.platform[member]
    return member, seconds, code, np.full(len(member), -1), platform, np.full(len(member), np.nan)


def _visits(
    rng: np.random.Generator, window: Window, members: Members, behaviour: Behaviour, mixes: np.ndarray
) -> Part:
    """Draw visits and spread interactions and passive events over them, month by month.

    Promotions, holidays and incidents move visits in time and change how much is looked at; they never
    change the number of interactions in a month, which makes the tier.
    """
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
    code = mixes[acts, rng.integers(0, 1 << TABLE_BITS, len(cell), dtype=np.uint16)]
    member = cell // months
    seconds, keep = fit_presence(members, member, seconds)
    rank = np.empty(len(visit_time), dtype=np.int64)
    rank[stable_order(visit_time)] = np.arange(len(visit_time))
    nothing = np.full(len(cell), np.nan)
    columns = (member, seconds, code, rank[session], visit_platform[session], nothing)
    return tuple(column[keep] for column in columns)


def _pushes(rng: np.random.Generator, window: Window, members: Members, behaviour: Behaviour) -> Part:
    """Place each month's pushes on days of the stay, and open some of them."""
    counts = behaviour.pushes.T.ravel()
    cell = np.repeat(np.arange(len(counts)), counts)
    member, month = cell // len(window.months), cell % len(window.months)
    first = np.maximum(np.array([m.first for m in window.months])[month], members.join_day[member])
    days = np.array([m.last + 1 for m in window.months])[month] - first
    day = first + (rng.random(len(cell)) * days).astype(np.int64)
    sent, keep = fit_presence(members, member, day * DAY + rng.integers(11 * 3_600, 20 * 3_600, len(cell)))
    member, sent = member[keep], sent[keep]
    opened = np.minimum(sent + rng.integers(20, 3 * 3_600, len(sent)), sent - sent % DAY + DAY - 1)
    read = (rng.random(len(sent)) < window.parameters.push_open_probability) & (
        opened <= members.left[member]
    )
    code = np.repeat(np.array([CODE["push_sent"], CODE["push_open"]], dtype=np.int8), [len(sent), read.sum()])
    return _bare(np.r_[member, member[read]], np.r_[sent, opened[read]], code, members)


def _purchases(rng: np.random.Generator, members: Members, orders: Points, paid: np.ndarray) -> Part:
    """Precede each payment by a cart and a checkout, minutes before but never before joining."""
    floor = np.maximum(members.joined, 0)[orders.member]
    checkout = np.maximum(orders.seconds - rng.integers(15, 180, len(floor)), floor)
    cart = np.maximum(checkout - rng.integers(20, 600, len(floor)), floor)
    names = ("add_to_cart", "checkout", "pay")
    code = np.repeat(np.array([CODE[name] for name in names], dtype=np.int8), len(floor))
    bare = _bare(np.tile(orders.member, 3), np.r_[cart, checkout, orders.seconds], code, members)
    bare[-1][2 * len(floor) :] = paid
    return bare


def _milestones(members: Members) -> Part:
    """Joining and leaving, as far as they are observed."""
    joined, left = np.flatnonzero(members.joined >= 0), np.flatnonzero(members.left != NEVER)
    code = np.repeat(np.array([CODE["join"], CODE["leave"]], dtype=np.int8), [len(joined), len(left)])
    return _bare(np.r_[joined, left], np.r_[members.joined[joined], members.left[left]], code, members)


def event_columns(
    rng: np.random.Generator, window: Window, members: Members, events: Events, posts: Posts, block: int
) -> Columns:
    """Return the ``events`` table of one block; a small share reaches the warehouse days late."""
    p, rows = window.parameters, len(events.member)
    days = events.seconds // DAY + 1
    late = np.flatnonzero(rng.random(rows, dtype=np.float32) < p.late_share)
    days[late] += rng.integers(1, p.late_days + 1, len(late))
    content = np.full(rows, -1)
    seen = np.flatnonzero(WITH_CONTENT[events.code])
    content[seen] = posts.pick(rng, events.platform[seen], events.seconds[seen] // DAY)
    written = np.flatnonzero(events.code == CODE["post"])
    content[written] = len(posts.platform) + np.arange(len(written))
    own = digits_array(member_post_numbers(block, len(written)))
    sessions = digits_array(_SESSION_FLOOR + (block << _ID_BLOCK_BITS) + np.arange(events.session.max() + 1))
    return {
        "event_id": Digits(_ID_FLOOR + (block << _ID_BLOCK_BITS) + np.arange(rows)),
        "member_id": Words(events.member, digits_array(members.number)),
        "ts": Instants(events.seconds, window.epoch),
        "event": Words(events.code, EVENTS),
        "platform": Words(events.platform, PLATFORMS),
        "content_id": Words(content, pa.concat_arrays([posts.words, own])),
        "session_id": Words(events.session, sessions),
        "value": events.value,
        "source": Constant("app_log"),
        "ingested_at": Instants(days * DAY + INGEST_HOUR * 3_600, window.epoch),
    }
