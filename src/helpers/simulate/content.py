"""Posts: the operator's own publishing plan, their daily figures, and posts of members."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from helpers.simulate.calendar import DAY, HOUR_WEIGHTS, TABLE_BITS, Window, quantile_table
from helpers.simulate.columns import Columns, Constant, Days, Digits, Instants, Words
from helpers.simulate.members import choose
from helpers.simulate.parameters import FORMATS, PLATFORMS, TOPICS

LEAD_DAYS = 14
"""Posts are published from this many days before the window, so that its first events have something to meet."""

DAILY_AGES = 7
LAYERS = ("base", "core", "value_add")
LAYER_SHARES = (0.60, 0.25, 0.15)
ORIGINS = ("PGC", "OGC", "UGC")
FORMAT_SHARES = (0.66, 0.20, 0.10, 0.04)
FORMAT_SECONDS = np.array([38.0, 0.0, 0.0, 3_600.0])
TOPIC_SHARES = (0.22, 0.20, 0.18, 0.12, 0.18, 0.10)
AGE_DECAY = np.array([1.0, 0.55, 0.30, 0.18, 0.12, 0.08, 0.06])
PLAYS_PER_MEMBER = 0.35

_ID_FLOOR = 7_100_000_000_000_000_000
_MEMBER_POST_FLOOR = 7_200_000_000_000_000_000
_ID_BLOCK_BITS = 32


@dataclass(frozen=True)
class Posts:
    """The operator's posts, platform by platform and in order of time within a platform.

    Attributes
    ----------
    platform, published, hour, format, topic : numpy.ndarray
        Codes, and time in seconds since the window's epoch.
    quality : numpy.ndarray
        Log-normal appeal of the post that no column shows.
    offset : numpy.ndarray
        Row of the first post of each platform.
    ready : numpy.ndarray
        Shape (platforms, days): number of posts of the platform published before each day.
    recency : numpy.ndarray
        How many posts back to look, 16 random bits to draw from.
    """

    platform: np.ndarray
    published: np.ndarray
    hour: np.ndarray
    format: np.ndarray
    topic: np.ndarray
    quality: np.ndarray
    offset: np.ndarray
    ready: np.ndarray
    recency: np.ndarray

    @property
    def words(self) -> pa.Array:
        """Identifiers of the posts."""
        return pa.array([str(_ID_FLOOR + row) for row in range(len(self.platform))], pa.string())

    def pick(self, rng: np.random.Generator, platform: np.ndarray, day: np.ndarray) -> np.ndarray:
        """Draw, for each event, a recent post of its platform that was published before its day."""
        bits = rng.integers(0, 1 << TABLE_BITS, len(platform), dtype=np.uint16)
        number = self.ready[platform, day] - 1 - self.recency[bits]
        return self.offset[platform] + np.maximum(number, 0)


def draw_posts(rng: np.random.Generator, window: Window) -> Posts:
    """Draw the operator's posts: each platform publishes at a steady rate."""
    p = window.parameters
    rates = np.asarray(p.posts_per_day)
    span = LEAD_DAYS + window.days
    counts = np.ceil(span * rates).astype(int)
    platform = np.repeat(np.arange(len(PLATFORMS)), counts)
    offset = np.cumsum(counts) - counts
    number = np.arange(len(platform)) - offset[platform]
    day = np.minimum((number / rates[platform]).astype(np.int64), span - 1) - LEAD_DAYS
    hours = np.where(np.arange(24) >= 7, HOUR_WEIGHTS, 0.0)
    hour = choose(rng, hours, len(platform)).astype(np.int64)
    seconds = np.sort(hour * 3_600 + rng.integers(0, 3_600, len(hour)))
    seconds = seconds[np.argsort(rng.random(len(hour)))]
    elapsed = (np.arange(window.days) + LEAD_DAYS)[None, :] * rates[:, None]
    steps = np.arange(40)
    return Posts(
        platform=platform,
        published=day * DAY + seconds,
        hour=seconds // 3_600,
        format=choose(rng, FORMAT_SHARES, len(platform)),
        topic=choose(rng, TOPIC_SHARES, len(platform)),
        quality=np.exp(p.content_quality_sigma * rng.standard_normal(len(platform))),
        offset=offset,
        ready=np.maximum(np.ceil(elapsed - 1e-9).astype(np.int64), 1),
        recency=quantile_table(0.7**steps),
    )


def content_columns(rng: np.random.Generator, window: Window, posts: Posts) -> Columns:
    """Return the operator's part of the ``content`` table."""
    rows = len(posts.platform)
    length = np.round(FORMAT_SECONDS[posts.format] * np.exp(0.4 * rng.standard_normal(rows)))
    is_ad = rng.random(rows) < 0.12
    cost = np.round(
        np.array([400.0, 90.0, 150.0, 900.0])[posts.format] * np.exp(0.3 * rng.standard_normal(rows)), 2
    )
    return {
        "content_id": Digits(_ID_FLOOR + np.arange(rows)),
        "platform": Words(posts.platform, PLATFORMS),
        "account_id": Words(posts.platform, [f"official_{platform}" for platform in PLATFORMS]),
        "published_at": Instants(posts.published, window.epoch),
        "format": Words(posts.format, FORMATS),
        "layer": Words(choose(rng, LAYER_SHARES, rows), LAYERS),
        "origin": Words(choose(rng, (0.85, 0.15), rows), ORIGINS),
        "creator_id": Digits(np.full(rows, -1)),
        "topic": Words(posts.topic, TOPICS),
        "length_s": np.where(length > 0, length, np.nan),
        "is_ad": is_ad,
        "prod_cost": cost,
        "currency": Constant("CNY"),
        "source": Constant("creator_centre"),
        "ingested_at": Instants((np.maximum(posts.published, 0) // DAY + 1) * DAY + 2 * 3_600, window.epoch),
    }


def member_post_numbers(block: int, rows: int) -> np.ndarray:
    """Return identifiers of the posts of members of one block."""
    return _MEMBER_POST_FLOOR + (block << _ID_BLOCK_BITS) + np.arange(rows)


def member_content_columns(
    rng: np.random.Generator,
    window: Window,
    numbers: np.ndarray,
    creators: np.ndarray,
    seconds: np.ndarray,
    platform: np.ndarray,
) -> Columns:
    """Return the part of the ``content`` table that members of one block wrote."""
    rows = len(numbers)
    return {
        "content_id": Digits(numbers),
        "platform": Words(platform, PLATFORMS),
        "account_id": Words(np.full(rows, -1), PLATFORMS),
        "published_at": Instants(seconds, window.epoch),
        "format": Words(choose(rng, (0.35, 0.55, 0.10), rows), FORMATS),
        "layer": Words(np.full(rows, -1), LAYERS),
        "origin": Words(np.full(rows, 2), ORIGINS),
        "creator_id": Digits(creators),
        "topic": Words(choose(rng, TOPIC_SHARES, rows), TOPICS),
        "length_s": np.full(rows, np.nan),
        "is_ad": np.zeros(rows, dtype=bool),
        "prod_cost": np.full(rows, np.nan),
        "currency": Constant("CNY"),
        "source": Constant("app_log"),
        "ingested_at": Instants((seconds // DAY + 1) * DAY + 2 * 3_600, window.epoch),
    }


def expected_plays(window: Window, posts: Posts, members: int) -> np.ndarray:
    """Return expected plays, (posts, ages): log-linear in hour, format, topic and appeal, times age decay.

    ``PLAYS_PER_MEMBER * members * platform share * exp(effects) * quality * AGE_DECAY[age]``, with the true
    effects of the evening hours 20-21, the formats and the topics from the parameters.
    """
    p = window.parameters
    evening = (posts.hour == 20) | (posts.hour == 21)
    effect = p.content_evening * evening
    effect = effect + np.asarray(p.content_format)[posts.format] + np.asarray(p.content_topic)[posts.topic]
    shares = np.asarray(p.platform_shares)[posts.platform] * len(PLATFORMS)
    level = PLAYS_PER_MEMBER * members * shares * np.exp(effect) * posts.quality
    return level[:, None] * AGE_DECAY


def content_daily_columns(rng: np.random.Generator, window: Window, posts: Posts, members: int) -> Columns:
    """Return ``content_daily``: the first days of each of the operator's posts, as far as they are observed."""
    published = posts.published // DAY
    post, age = np.meshgrid(np.arange(len(published)), np.arange(DAILY_AGES), indexing="ij")
    day = published[post] + age
    seen = (day >= 0) & (day < window.days)
    post, age, day = post[seen], age[seen], day[seen]
    plays = rng.poisson(expected_plays(window, posts, members)[seen] * window.day_factors[day])
    impressions = plays + rng.poisson(plays * 2.2)

    def part(share: float) -> np.ndarray:
        return rng.binomial(plays, share)

    bounces = part(0.18)
    play_5s = rng.binomial(plays - bounces, 0.65)
    return {
        "content_id": Words(post, posts.words),
        "date": Days(day, window.start),
        "age_h": (age + 1) * 24,
        "impressions": impressions,
        "plays": plays,
        "reach": rng.binomial(impressions, 0.82),
        "completes": rng.binomial(play_5s, 0.40),
        "play_5s": play_5s,
        "bounce_2s": bounces,
        "watch_seconds": np.round(plays * rng.gamma(6.0, 2.0, len(plays))),
        "likes": part(0.055),
        "comments": part(0.009),
        "shares": part(0.007),
        "saves": part(0.014),
        "follows": part(0.004),
        "profile_visits": part(0.012),
        "clicks": part(0.02),
        "is_complete": day < window.days - 1,
        "source": Constant("creator_centre"),
        "ingested_at": Instants((day + 1) * DAY + 2 * 3_600, window.epoch),
    }
