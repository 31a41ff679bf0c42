"""Touchpoints and invitations: contacts of members with channels, and of members with newcomers."""

from __future__ import annotations

import numpy as np

from helpers.simulate.calendar import DAY
from helpers.simulate.columns import NEVER, Columns, constant, digits, exported, instants, next_morning, words
from helpers.simulate.members import choose
from helpers.simulate.parameters import CHANNELS
from helpers.simulate.world import Block

INTERACTIONS = ("impression", "click", "visit")
INTERACTION_SHARES = (0.62, 0.30, 0.08)
CAMPAIGNS = ("always_on", "retarget", "launch")
CREATIVES = 4
INVITE_CHANNELS = ("微信", "抖音", "小红书")
SENT_DAYS = 3

_ID_FLOOR = 520_000_000_000_000_000
_INVITE_FLOOR = 630_000_000_000_000_000
_ID_BLOCK_BITS = 24


def touch_columns(block: Block) -> Columns:
    """Return the ``touchpoints`` table of one block, ordered by member and time."""
    rng, window, touches = block.stream("touchpoints"), block.window, block.purchases.touches
    seen = np.array([channel.seen for channel in window.parameters.channels])
    if (seen < 1).any():
        touches = touches.where(block.stream("unseen").random(len(touches.code)) < seen[touches.code])
    rows, costs = len(touches.member), np.array([channel.cost for channel in window.parameters.channels])
    creatives = [f"{channel}_{number + 1}" for channel in CHANNELS for number in range(CREATIVES)]
    return {
        "touch_id": digits(_ID_FLOOR + (block.number << _ID_BLOCK_BITS) + np.arange(rows)),
        "member_id": digits(block.members.number[touches.member]),
        "ts": instants(touches.seconds, window),
        "channel": words(touches.code, CHANNELS),
        "campaign": words(choose(rng, (0.6, 0.25, 0.15), rows), CAMPAIGNS),
        "creative_id": words(touches.code * CREATIVES + rng.integers(0, CREATIVES, rows), creatives),
        "interaction": words(choose(rng, INTERACTION_SHARES, rows), INTERACTIONS),
        "cost": costs[touches.code],
        "currency": constant("CNY", rows),
        **exported("tracking", next_morning(touches.seconds), window),
    }


def referral_columns(block: Block) -> Columns:
    """Return the ``referrals`` table of one block.

    Each invited member who joined inside the window is one accepted invitation. For each success the same
    inviter has a geometric number of failures, so that an invitation is accepted with the planted probability.
    """
    rng, window, members = block.stream("referrals"), block.window, block.members
    p = window.parameters
    invitee = np.flatnonzero((members.inviter >= 0) & (members.joined >= 0))
    inviter = members.inviter[invitee]
    floor = np.maximum(members.joined[inviter], 0)
    accepted = members.joined[invitee]
    gap = rng.integers(60, SENT_DAYS * DAY, len(invitee))
    sent = np.maximum(accepted - gap, np.minimum(floor, accepted))
    opened = sent + (rng.random(len(sent)) * (accepted - sent)).astype(np.int64)

    failures = rng.geometric(p.invite_acceptance, len(invitee)) - 1
    again = np.repeat(inviter, failures)
    low = np.maximum(members.joined[again], 0)
    high = np.minimum(members.left[again], window.days * DAY - 1)
    failed = low + (rng.random(len(again)) * (high - low)).astype(np.int64)
    looked = np.minimum(failed + rng.integers(60, DAY, len(again)), window.days * DAY - 1)
    looked = np.where(rng.random(len(again)) < 0.4, looked, NEVER)

    rows, lost = len(invitee) + len(again), np.full(len(again), NEVER)
    won = np.arange(rows) < len(invitee)
    return {
        "invite_id": digits(_INVITE_FLOOR + (block.number << _ID_BLOCK_BITS) + np.arange(rows)),
        "inviter_id": digits(members.number[np.r_[inviter, again]]),
        "invitee_id": digits(np.where(won, members.number[np.r_[invitee, again]], -1)),
        "sent_at": instants(np.r_[sent, failed], window),
        "opened_at": instants(np.r_[opened, looked], window),
        "accepted_at": instants(np.r_[accepted, lost], window),
        "channel": words(choose(rng, (0.6, 0.25, 0.15), rows), INVITE_CHANNELS),
        "reward_cost": np.where(won, p.invite_reward, 0.0),
        "currency": constant("CNY", rows),
        "campaign": constant("invite_friends", rows),
        **exported("app_log", np.full(rows, window.days * DAY + 2 * 3_600), window),
    }
