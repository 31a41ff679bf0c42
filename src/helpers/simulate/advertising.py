"""Advertising: daily spend, carry-over and saturation, and what the platforms report about it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import numpy as np

from helpers.simulate.calendar import DAY, Window
from helpers.simulate.columns import Columns, constant, days, exported, words
from helpers.simulate.parameters import PLATFORMS, Campaign

FLIGHT_DAYS = 14
RECENT_DAYS = 28
INCOMPLETE_DAYS = 2
INCOMPLETE_SHARE = 0.8


@dataclass(frozen=True)
class Advertising:
    """Advertising of one community; arrays have the shape (campaigns, days).

    Attributes
    ----------
    spend : numpy.ndarray
        Spend in CNY.
    expected, incremental : numpy.ndarray
        Expected and realised conversions that would not have happened without the campaign.
    organic : numpy.ndarray
        Conversions that would have happened anyway, per day.
    size : float
        Members in thousands: the scale of spend and response.
    """

    spend: np.ndarray
    expected: np.ndarray
    incremental: np.ndarray
    organic: np.ndarray
    size: float


def carry(spend: np.ndarray, carry_over: float) -> np.ndarray:
    """Return geometric adstock: ``s[t] = spend[t] + carry_over * s[t - 1]``, from nothing before the window."""
    return np.array(list(accumulate(spend, lambda stock, amount: amount + carry_over * stock)))


def response(stock: np.ndarray, campaign: Campaign, size: float) -> np.ndarray:
    """Return expected incremental conversions of a day: the Hill curve of the adstock."""
    scaled = (stock / size) ** campaign.shape
    return size * campaign.top * scaled / (campaign.half**campaign.shape + scaled)


def marginal_response(spend: float, campaign: Campaign, size: float) -> float:
    """Return the long-run gain in daily conversions per CNY of daily spend, at a steady `spend` a day.

    At a steady spend the adstock is ``spend / (1 - carry_over)``; this is the derivative of the Hill curve
    there, times the derivative of the adstock.
    """
    stock = spend / (1.0 - campaign.carry_over) / size
    k, half = campaign.shape, campaign.half
    slope = campaign.top * k * half**k * stock ** (k - 1.0) / (half**k + stock**k) ** 2
    return float(slope / (1.0 - campaign.carry_over))


def draw_advertising(rng: np.random.Generator, window: Window, members: int) -> Advertising:
    """Draw spend (flights, weekly rhythm, noise, promotion) and conversions of every campaign."""
    p, size, days = window.parameters, members / 1_000.0, window.days
    spend, expected = [], []
    for campaign in p.campaigns:
        flights = rng.choice([0.25, 0.7, 1.0, 1.5, 2.2], -(-days // FLIGHT_DAYS))
        level = np.repeat(flights, FLIGHT_DAYS)[:days] * np.exp(0.25 * rng.standard_normal(days))
        amount = campaign.spend * size * level * np.where(window.day_factors > 1.0, 1.6, 1.0)
        spend.append(np.round(amount, 2))
        expected.append(response(carry(spend[-1], campaign.carry_over), campaign, size))
    organic = p.organic_conversions * size * window.intensity
    return Advertising(
        spend=np.array(spend),
        expected=np.array(expected),
        incremental=rng.poisson(np.array(expected)),
        organic=rng.poisson(organic),
        size=size,
    )


def ad_daily_columns(rng: np.random.Generator, window: Window, ads: Advertising) -> Columns:
    """Return ``ad_daily``. Platforms also claim some conversions that would have happened anyway.

    The last days are still incomplete: some conversions are not reported yet.
    """
    p = window.parameters
    names = [campaign.campaign_id for campaign in p.campaigns]
    campaign, creative, day = (part.ravel() for part in np.indices((len(names), p.creatives, window.days)))
    appeal = np.exp(0.25 * rng.standard_normal((len(names), p.creatives)))
    shares = rng.dirichlet(np.full(p.creatives, 8.0), (len(names), window.days))
    cost = np.round(ads.spend[campaign, day] * shares[campaign, day, creative], 2)
    price = p.cost_per_mille * np.exp(0.12 * rng.standard_normal(len(day)))
    impressions = np.floor(cost / price * 1_000).astype(np.int64)
    clicks = rng.binomial(impressions, np.minimum(p.click_rate * appeal[campaign, creative], 1.0))
    claimed = ads.incremental + rng.binomial(ads.organic, p.organic_claimed, ads.incremental.shape)
    split = rng.multinomial(claimed, shares)[campaign, day, creative]
    complete = day < window.days - INCOMPLETE_DAYS
    conversions = np.where(complete, split, rng.binomial(split, INCOMPLETE_SHARE))
    plays = rng.binomial(impressions, 0.55)
    value = p.value_per_conversion * np.exp(0.15 * rng.standard_normal(len(day)))
    platforms = np.array([PLATFORMS.index(part.platform) for part in p.campaigns])
    creatives = [f"{name}_c{number + 1}" for name in names for number in range(p.creatives)]
    return {
        "date": days(day, window),
        "platform": words(platforms[campaign], PLATFORMS),
        "campaign_id": words(campaign, names),
        "creative_id": words(campaign * p.creatives + creative, creatives),
        "cost": cost,
        "impressions": impressions,
        "reach": rng.binomial(impressions, 0.78),
        "clicks": clicks,
        "conversions": conversions,
        "revenue": np.round(conversions * value, 2),
        "video_plays": plays,
        "video_completes": rng.binomial(plays, 0.2),
        "currency": constant("CNY", len(day)),
        "is_complete": complete,
        **exported("ads_report", (day + 1) * DAY + 8 * 3_600, window),
    }


def advertising_truth(window: Window, ads: Advertising) -> Iterator[dict[str, Any]]:
    """Yield, per campaign, its true parameters, effect, and average and marginal return at recent spend."""
    value = window.parameters.value_per_conversion
    parts = zip(window.parameters.campaigns, ads.spend, ads.expected, ads.incremental, strict=True)
    for campaign, spend, expected, incremental in parts:
        recent, total, gain = float(spend[-RECENT_DAYS:].mean()), float(spend.sum()), float(expected.sum())
        marginal = marginal_response(recent, campaign, ads.size)
        yield {
            "campaign_id": campaign.campaign_id,
            "platform": campaign.platform,
            "carry_over": campaign.carry_over,
            "half_saturation": campaign.half * ads.size,
            "shape": campaign.shape,
            "top": campaign.top * ads.size,
            "spend": total,
            "expected_incremental_conversions": gain,
            "realised_incremental_conversions": int(incremental.sum()),
            "return_per_cost": gain * value / total if total else None,
            "recent_daily_spend": recent,
            "marginal_conversions_per_cost": marginal,
            "marginal_return_per_cost": marginal * value,
        }
