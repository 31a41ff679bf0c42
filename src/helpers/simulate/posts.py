"""The operator's posts: when each platform publishes what, and which of them an event meets."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa

from helpers.simulate.calendar import DAY, HOUR_WEIGHTS, TABLE_BITS, Window, quantile_table
from helpers.simulate.columns import digits
from helpers.simulate.members import choose
from helpers.simulate.parameters import PLATFORMS

# Posts are published from this many days before the window, so that its first events have something to meet.
LEAD_DAYS = 14

FORMAT_SHARES = (0.66, 0.20, 0.10, 0.04)
TOPIC_SHARES = (0.22, 0.20, 0.18, 0.12, 0.18, 0.10)

_ID_FLOOR = 7_100_000_000_000_000_000


@dataclass(frozen=True)
class Posts:
    """The operator's posts, platform by platform and in order of time within a platform.

    Attributes
    ----------
    platform, published, format, topic : numpy.ndarray
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
    format: np.ndarray
    topic: np.ndarray
    quality: np.ndarray
    offset: np.ndarray
    ready: np.ndarray
    recency: np.ndarray

    @cached_property
    def names(self) -> pa.Array:
        """Identifiers of the posts."""
        return digits(_ID_FLOOR + np.arange(len(self.platform)))

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
        format=choose(rng, FORMAT_SHARES, len(platform)),
        topic=choose(rng, TOPIC_SHARES, len(platform)),
        quality=np.exp(p.content_quality_sigma * rng.standard_normal(len(platform))),
        offset=offset,
        ready=np.maximum(np.ceil(elapsed - 1e-9).astype(np.int64), 1),
        recency=quantile_table(0.7**steps),
    )
