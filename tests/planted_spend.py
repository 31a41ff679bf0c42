"""Weekly worlds with planted response curves, for the tests and the benchmark of budgets."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pandas as pd

from helpers.methods import budget
from helpers.methods.budget.allocate import allocate
from helpers.methods.budget.engine import fit
from helpers.methods.budget.gate import gate
from helpers.methods.budget.results import Fitted, Weeks
from helpers.methods.budget.terms import WEEKS_OF_MONTH, Response, Wanted
from helpers.methods.budget.trust import Trust
from helpers.methods.budget.weekly import Weekly
from helpers.simulate.advertising import draw_advertising, response
from helpers.simulate.calendar import Window
from helpers.simulate.parameters import SCENARIOS, Campaign
from helpers.stats.estimate import Estimate
from helpers.study import Study


class World(NamedTuple):
    """A frame and what is true of it: contribution by week and line, outcome of a month at a steady spend."""

    weekly: Weekly
    contribution: pd.DataFrame
    responses: dict[str, Response] | None = None


def geometric(spend: np.ndarray, decay: float, lags: int, normal: bool) -> np.ndarray:
    """Return spend with carry-over over so many weeks; its weights sum to one when `normal`."""
    weights = decay ** np.arange(lags)
    return np.convolve(spend, weights / (weights.sum() if normal else 1.0))[: len(spend)]


def walk(rng: np.random.Generator, weeks: int, base: float, spread: float) -> np.ndarray:
    """Return spend like campaigns: it remembers two weeks, and stops at nothing."""
    spend = np.abs(rng.normal(0, base * spread, weeks))
    for week in range(2, weeks):
        spend[week] = max(0.0, 0.6 * spend[week - 1] + 0.3 * spend[week - 2] + rng.normal(0, base * spread))
    return spend


def flights(
    rng: np.random.Generator, weeks: int, chance: float, longest: int, base: float, spread: float
) -> np.ndarray:
    """Return spend that is on for up to `longest` weeks and then off."""
    spend, week = np.zeros(weeks), 0
    while week < weeks:
        length = int(rng.integers(max(1, longest // 2), longest + 1)) if rng.random() < chance else 0
        spend[week : week + length] = base
        week += length + 1
    return np.where(spend > 0, np.maximum(spend + rng.normal(0, base * spread, weeks), 0), 0.0)


START_UP = {"search": (1.5, 0.0, 1.0, 1.0), "social": (1.2, 0.2, 1.5, 0.8), "local": (0.9, 0.4, 1.0, 1.5),
            "mail": (1.2, 0.3, 2.0, 0.5)}  # fmt: skip
"""Size, decay, shape and half of the benchmark's lines."""


def start_up(seed: int, weeks: int = 104) -> World:
    """Return a small business: search, social in season, local flights, rare mails; Hill curves of a week's stock.

    The shapes of spend, the sizes of effects and the noise (a tenth of the baseline) are those of the benchmark's
    small business; its parameters vary by a fifth with the seed.
    """
    rng, t = np.random.default_rng(seed), np.arange(weeks)
    season = np.maximum(np.cos(0.5 + 4 * np.pi * t / 52.18), 0)
    spend = {
        "search": walk(rng, weeks, 100, 0.8) * (1 + 0.004 * t),
        "social": walk(rng, weeks, 500, 0.3) * 0.4 * season,
        "local": flights(rng, weeks, 0.3, 4, 500, 0.6),
        "mail": flights(rng, weeks, 0.2, 1, 100, 0.5),
    }
    truth, steady = {}, {}
    for name, (size, decay, slope, half) in START_UP.items():
        decay, slope, half = (it * rng.uniform(0.8, 1.2) for it in (decay, slope, half))
        top, largest = 5_000 * size * rng.uniform(0.8, 1.2), spend[name].max()
        power = geometric(spend[name] / largest, decay, 8, normal=False) ** slope
        truth[name] = top * power / (half**slope + power)
        steady[name] = hill(top, half * largest / (decay ** np.arange(8)).sum(), slope)
    base = (
        5_000
        * rng.uniform(0.9, 1.1)
        * (1 + 0.2 * np.sin(2 * np.pi * t / 52.0))
        * (1 + rng.normal(0, 0.1, weeks))
    )
    events = pd.DataFrame(
        {"event": flights(rng, weeks, 0.04, 5, 100, 0.5), "sale": flights(rng, weeks, 0.1, 4, 50, 0.5)}
    )
    outcome = base + 0.5 * events["event"] + 0.5 * events["sale"] + sum(truth.values())
    return framed(spend, outcome, truth, events)._replace(responses=steady)


def hill(top: float, half: float, slope: float) -> Response:
    """Return the outcome of a month of a Hill curve, by monthly spend."""
    half, top = half * WEEKS_OF_MONTH, top * WEEKS_OF_MONTH

    def share(spend: np.ndarray) -> np.ndarray:
        return 1 / (1 + (half / np.maximum(spend, 1e-9)) ** slope)

    return Response(
        lambda spend: top * share(spend) * (spend > 0),
        lambda spend: top * slope * share(spend) * (1 - share(spend)) / np.maximum(spend, 1e-9),
    )


LINES = {"tv": (100, 9, 0.6, 1.6, 150), "search": (60, 7, 0.2, 1.8, 100), "social": (50, 11, 0.4, 1.7, 90),
         "display": (40, 13, 0.5, 1.5, 65)}  # fmt: skip
"""Spend, weeks of a flight, decay, rate of 1 - exp, top."""


def clean(seed: int, weeks: int = 156, demand: float = 0.0) -> World:
    """Return pulsed spend of four lines with 1 - exp curves, trend, season and price: nothing is hidden.

    `demand` is how much of a hidden wave both spend and outcome follow.
    """
    rng, t = np.random.default_rng(seed), np.arange(weeks)
    hidden = np.zeros(weeks)
    for week in range(1, weeks):
        hidden[week] = 0.7 * hidden[week - 1] + rng.normal(0, 0.25)
    spend, truth = {}, {}
    for name, (base, period, decay, rate, top) in LINES.items():
        burst = np.maximum(np.sin(2 * np.pi * t / period + rng.uniform(0, 2 * np.pi)), 0)
        level = (0.08 + 1.6 * burst) * rng.lognormal(0, 0.25, weeks) * np.exp(demand * hidden)
        spend[name] = np.maximum(base * level, 0.5)
        truth[name] = top * -np.expm1(
            -rate * geometric(spend[name] / spend[name].max(), decay, 8, normal=True)
        )
    price = 12 + 0.5 * np.cos(2 * np.pi * t / 52) - 0.8 * (rng.random(weeks) < 0.15)
    base = 300 + 60 * t / weeks + 35 * np.sin(2 * np.pi * t / 52) + 22 * np.cos(2 * np.pi * t / 52)
    outcome = (
        base
        - 28 * (price - price.mean())
        + 90 * demand * hidden
        + sum(truth.values())
        + rng.normal(0, 22, weeks)
    )
    steady = {name: exponential(LINES[name][4], LINES[name][3] / spend[name].max()) for name in LINES}
    return framed(spend, outcome, truth, pd.DataFrame({"price": price}))._replace(responses=steady)


def exponential(top: float, rate: float) -> Response:
    """Return the outcome of a month of a 1 - exp curve, by monthly spend."""
    rate, top = rate / WEEKS_OF_MONTH, top * WEEKS_OF_MONTH
    return Response(
        lambda spend: top * -np.expm1(-rate * spend), lambda spend: top * rate * np.exp(-rate * spend)
    )


def community(seed: int) -> World:
    """Return the advertising of a shop of the simulator, parameters of its campaigns varied; one year or two.

    Spend rises when promotions and the rush ahead of a holiday raise what would be sold anyway.
    """
    rng, weeks = np.random.default_rng(seed), 52 * (1 + (seed + 1) % 2)
    shop = SCENARIOS["shop"].parameters
    varied = tuple(_varied(rng, campaign) for campaign in shop.campaigns)
    start = dt.date(2026, 6, 28) - dt.timedelta(days=7 * weeks - 1)
    window = Window(start, 7 * weeks, replace(shop, campaigns=varied))
    ads, names = draw_advertising(rng, window, 3_000), [campaign.campaign_id for campaign in varied]

    def week(days: np.ndarray) -> np.ndarray:
        return days.reshape(*days.shape[:-1], weeks, 7).sum(axis=-1).T

    spans = {
        "promo": window.promotions, "last day": [(last, last) for _, last in window.promotions],
        "holiday": window.holidays, "ahead": [(first - 14, first - 1) for first, _ in window.holidays],
        "incident": [window.incident],
    }  # fmt: skip
    day = np.arange(7 * weeks)
    covered = {name: sum((day >= a) & (day <= b) for a, b in each) for name, each in spans.items()}
    calendar = pd.DataFrame({name: week(1.0 * days) / 7 for name, days in covered.items() if days.any()})
    spend, truth = (dict(zip(names, week(it).T, strict=True)) for it in (ads.spend, ads.expected))
    outcome = week(ads.organic + ads.incremental.sum(axis=0))
    steady = {campaign.campaign_id: _daily(campaign, ads.size) for campaign in varied}
    return framed(spend, outcome, truth, calendar)._replace(responses=steady)


def _varied(rng: np.random.Generator, campaign: Campaign) -> Campaign:
    sizes = {name: getattr(campaign, name) * rng.lognormal(0, 0.3) for name in ("spend", "half", "top")}
    decay, shape = (it * rng.uniform(0.8, 1.2) for it in (campaign.carry_over, campaign.shape))
    return replace(campaign, carry_over=min(decay, 0.85), shape=shape, **sizes)


def _daily(campaign: Campaign, size: float) -> Response:
    days = 7 * WEEKS_OF_MONTH

    def value(spend: np.ndarray) -> np.ndarray:
        return days * response(np.asarray(spend, float) / days / (1 - campaign.carry_over), campaign, size)

    return Response(value, lambda spend: (value(spend + 1.0) - value(np.maximum(spend - 1.0, 0.0))) / 2)


def gains(world: World, seed: int) -> Iterator[tuple[str, Estimate, float, float]]:
    """Yield of both plans that a report proposes: name, expected gain, the plan's true one, and the best plan's.

    One of the outcome is worth what makes advertising bring one and a half times its cost; the next money is a fifth
    of today's.
    """
    frame, spend = world.weekly, world.weekly.spend
    parts = {"platform": "douyin", "impressions": 1.0, "kind": "curve", "price_jump": 1.0}
    frame = replace(frame, lines=pd.DataFrame(parts | {"spend": spend.sum()}, spend.columns))
    days = pd.DataFrame(
        {"date": spend.index.date, "platform": "douyin", "campaign_id": "a", "creative_id": "a"}
    )
    here = Study.of(
        {"ad_daily": days.assign(cost=1.0, currency="CNY")}, spend.index[-1].date(), about_members=False
    )
    weeks = Weeks(here, frame, gate(frame), "conversions")
    fitted = Fitted(here, weeks, fit(frame, seed=seed), Trust("amber", ()), pd.DataFrame())
    worth = 1.5 * spend.to_numpy().sum() / world.contribution.to_numpy().sum()
    amount = 0.2 * WEEKS_OF_MONTH * spend.iloc[-4:].mean().sum()
    wanted = Wanted(amount, reserve_share=0.0, payable=0.0)
    done = budget.planned(here, budget.lines(here, fitted, worth), wanted)

    def true_gain(lines: pd.DataFrame) -> float:
        change = [
            world.responses[line].value(lines.loc[line, ["today", "proposed"]].to_numpy(float))
            for line in lines.index
        ]
        return float(worth * np.diff(change).sum() - (lines["proposed"] - lines["today"]).sum())

    for name, plan in (("next", done.more), ("moved", done.moved)):
        best = allocate(world.responses, plan.terms)
        yield name, done.gain(plan), true_gain(plan.lines), true_gain(best.lines)


def framed(
    spend: dict[str, np.ndarray], outcome: np.ndarray, truth: dict[str, np.ndarray], controls: pd.DataFrame
) -> World:
    """Return the world as a frame of Mondays."""
    mondays = pd.date_range("2023-01-02", periods=len(outcome), freq="W-MON")
    frame = Weekly(
        outcome=pd.Series(np.asarray(outcome, float), mondays), spend=pd.DataFrame(spend, mondays),
        controls=controls.set_axis(mondays),
    )  # fmt: skip
    return World(frame, pd.DataFrame(truth, mondays))
