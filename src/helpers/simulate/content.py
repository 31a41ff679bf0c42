"""The ``content`` table of the operator and of members, and the daily figures of the operator's posts."""

from __future__ import annotations

import numpy as np

from helpers.simulate.calendar import DAY
from helpers.simulate.columns import Columns, constant, days, digits, exported, instants, next_morning, words
from helpers.simulate.events import CODE, Events, member_post_numbers
from helpers.simulate.members import choose
from helpers.simulate.parameters import FORMATS, PLATFORMS, TOPICS
from helpers.simulate.posts import TOPIC_SHARES
from helpers.simulate.world import Block, World

DAILY_AGES = 7
LAYERS = ("base", "core", "value_add")
LAYER_SHARES = (0.60, 0.25, 0.15)
ORIGINS = ("PGC", "OGC", "UGC")
FORMAT_SECONDS = np.array([38.0, 0.0, 0.0, 3_600.0])
FORMAT_COST = np.array([400.0, 90.0, 150.0, 900.0])
AGE_DECAY = np.array([1.0, 0.55, 0.30, 0.18, 0.12, 0.08, 0.06])
PLAYS_PER_MEMBER = 0.35


def content_columns(world: World) -> Columns:
    """Return the operator's part of the ``content`` table."""
    rng, window, posts = world.stream("content"), world.window, world.posts
    rows = len(posts.platform)
    length = np.round(FORMAT_SECONDS[posts.format] * np.exp(0.4 * rng.standard_normal(rows)))
    is_ad = rng.random(rows) < 0.12
    cost = np.round(FORMAT_COST[posts.format] * np.exp(0.3 * rng.standard_normal(rows)), 2)
    return {
        "content_id": posts.names,
        "platform": words(posts.platform, PLATFORMS),
        "account_id": words(posts.platform, [f"official_{platform}" for platform in PLATFORMS]),
        "published_at": instants(posts.published, window),
        "format": words(posts.format, FORMATS),
        "layer": words(choose(rng, LAYER_SHARES, rows), LAYERS),
        "origin": words(choose(rng, (0.85, 0.15), rows), ORIGINS),
        "creator_id": digits(np.full(rows, -1)),
        "topic": words(posts.topic, TOPICS),
        "length_s": np.where(length > 0, length, np.nan),
        "is_ad": is_ad,
        "prod_cost": cost,
        "currency": constant("CNY", rows),
        **exported("creator_centre", next_morning(np.maximum(posts.published, 0)), window),
    }


def member_content_columns(block: Block, events: Events) -> Columns:
    """Return the part of the ``content`` table that members of one block wrote."""
    rng, window = block.stream("member content"), block.window
    written = events.code == CODE["post"]
    seconds, rows = events.seconds[written], int(written.sum())
    return {
        "content_id": digits(member_post_numbers(block.number, rows)),
        "platform": words(events.platform[written], PLATFORMS),
        "account_id": words(np.full(rows, -1), PLATFORMS),
        "published_at": instants(seconds, window),
        "format": words(choose(rng, (0.35, 0.55, 0.10), rows), FORMATS),
        "layer": words(np.full(rows, -1), LAYERS),
        "origin": words(np.full(rows, 2), ORIGINS),
        "creator_id": digits(block.members.number[events.member[written]]),
        "topic": words(choose(rng, TOPIC_SHARES, rows), TOPICS),
        "length_s": np.full(rows, np.nan),
        "is_ad": np.zeros(rows, dtype=bool),
        "prod_cost": np.full(rows, np.nan),
        "currency": constant("CNY", rows),
        **exported("app_log", next_morning(seconds), window),
    }


def expected_plays(world: World) -> np.ndarray:
    """Return expected plays, (posts, ages): log-linear in hour, format, topic and appeal, times age decay.

    ``PLAYS_PER_MEMBER * members * platform share * exp(effects) * quality * AGE_DECAY[age]``, with the true
    effects of the evening hours 20-21, the formats and the topics from the parameters.
    """
    p, posts = world.window.parameters, world.posts
    evening = np.isin(posts.published % DAY // 3_600, (20, 21))
    effect = p.content_evening * evening
    effect = effect + np.asarray(p.content_format)[posts.format] + np.asarray(p.content_topic)[posts.topic]
    shares = np.asarray(p.platform_shares)[posts.platform] * len(PLATFORMS)
    level = PLAYS_PER_MEMBER * world.members * shares * np.exp(effect) * posts.quality
    return level[:, None] * AGE_DECAY


def content_daily_columns(world: World) -> Columns:
    """Return ``content_daily``: the first days of each of the operator's posts, as far as they are observed."""
    rng, window, posts = world.stream("content_daily"), world.window, world.posts
    published = posts.published // DAY
    post, age = np.meshgrid(np.arange(len(published)), np.arange(DAILY_AGES), indexing="ij")
    day = published[post] + age
    seen = (day >= 0) & (day < window.days)
    post, age, day = post[seen], age[seen], day[seen]
    plays = rng.poisson(expected_plays(world)[seen] * window.day_factors[day])
    impressions = plays + rng.poisson(plays * 2.2)

    def part(share: float) -> np.ndarray:
        return rng.binomial(plays, share)

    bounces = part(0.18)
    play_5s = rng.binomial(plays - bounces, 0.65)
    return {
        "content_id": words(post, posts.names),
        "date": days(day, window),
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
        **exported("creator_centre", (day + 1) * DAY + 2 * 3_600, window),
    }
