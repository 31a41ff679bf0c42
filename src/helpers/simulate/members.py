"""Members of one block: who they are, when they joined and where they came from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from helpers.simulate.calendar import DAY, HOUR_WEIGHTS, Window
from helpers.simulate.columns import NEVER, Columns, digits, instants, words
from helpers.simulate.parameters import PLATFORMS, SOURCES

REGIONS = ("广东", "浙江", "江苏", "上海", "北京", "四川", "山东", "河南", "湖北", "其他")
# What is drawn of a member that nothing else depends on: values and their shares.
PROFILE = {
    "age_band": (("18-24", "25-34", "35-44", "45-54", "55+"), (0.34, 0.36, 0.18, 0.08, 0.04)),
    "gender": (("female", "male", "unknown"), (0.55, 0.37, 0.08)),
    "region": (REGIONS, (0.16, 0.11, 0.11, 0.09, 0.09, 0.08, 0.07, 0.06, 0.05, 0.18)),
}

GROUP_SIZE = 200
CONSENT_SHARE = 0.93
INVITED = SOURCES.index("邀请")
CREATOR = len(SOURCES) - 1
CANDIDATES = 8

_ID_FLOOR = 6_000_000_000_000_000_000
_ID_MASK = np.uint64((1 << 57) - 1)
_ID_FACTOR = np.uint64(0x9E3779B97F4A7C15 & ((1 << 57) - 1) | 1)


@dataclass
class Members:
    """Arrays of one block, sorted by time of joining; all times in seconds since the window's epoch.

    `left` is `NEVER` and `inviter` is -1 until behaviour has been drawn.
    """

    window: Window
    first: int
    number: np.ndarray
    joined: np.ndarray
    left: np.ndarray
    source: np.ndarray
    inviter: np.ndarray
    platform: np.ndarray
    profile: dict[str, np.ndarray]
    early_reply: np.ndarray
    consent: np.ndarray
    staff: np.ndarray
    bot: np.ndarray

    def __len__(self) -> int:
        return len(self.number)

    @property
    def ordinary(self) -> np.ndarray:
        """Whether each member is neither staff nor bot."""
        return ~(self.staff | self.bot)

    @property
    def join_day(self) -> np.ndarray:
        """Local day number of joining; negative before the window."""
        return self.joined // DAY


def choose(rng: np.random.Generator, shares: tuple[float, ...] | np.ndarray, size: int) -> np.ndarray:
    """Draw category codes with the given shares (they are normalised)."""
    edges = np.cumsum(shares)
    return np.searchsorted(edges[:-1] / edges[-1], rng.random(size), side="right").astype(np.int8)


def member_numbers(first: int, count: int, seed: int) -> np.ndarray:
    """Return 19-digit identifiers: a one-to-one scrambling of the running number."""
    running = np.arange(first, first + count, dtype=np.uint64)
    offset = np.uint64(np.random.SeedSequence(seed).generate_state(1, np.uint64)[0])
    scrambled = (running * _ID_FACTOR + offset) & _ID_MASK
    return scrambled.astype(np.int64) + _ID_FLOOR


def draw_members(rng: np.random.Generator, window: Window, first: int, count: int, seed: int) -> Members:
    """Draw one block of members.

    The first member of a community is a staff account and the second, where there are 100 or more in the
    block, is a bot, so that every community holds both.
    """
    p = window.parameters
    existing = rng.random(count) < p.existing_share
    day_edges = np.cumsum(window.join_factors)
    new_day = np.searchsorted(day_edges, rng.random(count) * day_edges[-1])
    old_day = -1 - rng.integers(0, p.existing_tenure_days, count)
    hour = choose(rng, HOUR_WEIGHTS, count).astype(np.int64)
    second = hour * 3_600 + rng.integers(0, 3_600, count)
    joined = np.sort(np.where(existing, old_day, new_day) * DAY + second)
    source = choose(rng, p.source_shares, count)
    source[0] = 0
    role = rng.random(count)
    staff = role < p.staff_share
    bot = ~staff & (role < p.staff_share + p.bot_share)
    if first == 0:
        staff[0], bot[0] = True, False
        if count >= 100:
            staff[1], bot[1] = False, True
    source[(staff | bot) & (source == INVITED)] = 0
    for begin, end in window.creators:
        excess = (rng.random(count) < 1.0 - 1.0 / p.creator_joins) & ~(staff | bot)
        source[excess & (joined >= begin * DAY) & (joined < (end + 1) * DAY)] = CREATOR
    return Members(
        window=window,
        first=first,
        number=member_numbers(first, count, seed),
        joined=joined,
        left=np.full(count, NEVER),
        source=source,
        inviter=np.full(count, -1),
        platform=choose(rng, p.platform_shares, count),
        profile={name: choose(rng, shares, count) for name, (_, shares) in PROFILE.items()},
        early_reply=rng.random(count) < p.early_reply_share,
        consent=rng.random(count) < CONSENT_SHARE,
        staff=staff,
        bot=bot,
    )


def draw_inviters(rng: np.random.Generator, members: Members) -> None:
    """Give each invited member an inviter of the same block who was present at the time of joining.

    An invited member for whom no such member turns up in a few draws keeps an unknown inviter.
    """
    invited = np.flatnonzero(members.source == INVITED)
    draws = (rng.random((CANDIDATES, len(invited))) * invited).astype(np.int64)
    present = (members.left[draws] > members.joined[invited]) & members.ordinary[draws]
    best = present.argmax(axis=0)
    columns = np.arange(len(invited))
    found = present[best, columns]
    members.inviter[invited[found]] = draws[best, columns][found]


def member_columns(members: Members) -> Columns:
    """Return the ``members`` table of one block."""
    window = members.window
    inviter = np.where(members.inviter >= 0, members.number[members.inviter], -1)
    groups = (members.first + np.arange(len(members))) // GROUP_SIZE
    names = [f"g{number + 10_001}" for number in range(groups[0], groups[-1] + 1)]
    return {
        "member_id": digits(members.number),
        "joined_at": instants(members.joined, window),
        "left_at": instants(members.left, window),
        "source": words(members.source, SOURCES),
        "inviter_id": digits(inviter),
        "platform_home": words(members.platform, PLATFORMS),
        "group_id": words(groups - groups[0], names),
        **{name: words(members.profile[name], values) for name, (values, _) in PROFILE.items()},
        "early_reply": members.early_reply,
        "is_staff": members.staff,
        "is_bot": members.bot,
        "consent": members.consent,
        "ingested_at": instants(np.full(len(members), window.days * DAY + 2 * 3_600), window),
    }


def fit_presence(members: Members, member: np.ndarray, seconds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Fit drawn times to each member's stay.

    Times on the day of joining are squeezed into what is left of that day, so that a member who joins on the
    first day of a month counts as present throughout it; times on earlier days or after leaving are dropped.

    Parameters
    ----------
    members : Members
        The block.
    member : numpy.ndarray
        Row in the block of each time.
    seconds : numpy.ndarray
        Times in seconds since the window's epoch.

    Returns
    -------
    seconds, keep : numpy.ndarray
        The fitted times, same length, and whether each is kept.
    """
    joined, left = members.joined[member], members.left[member]
    midnight = joined - joined % DAY
    same_day = np.flatnonzero((seconds >= midnight) & (seconds < midnight + DAY))
    fitted = seconds.copy()
    into_day, from_ = seconds[same_day] - midnight[same_day], joined[same_day]
    remaining = midnight[same_day] + DAY - from_
    fitted[same_day] = from_ + into_day * remaining // DAY
    return fitted, (fitted >= joined) & (fitted <= left)
