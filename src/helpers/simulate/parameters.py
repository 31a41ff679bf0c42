"""Every true parameter of a simulated community, as written to ``truth.json``, and communities by name."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import yaml

# Activity tiers, low to high, with 0, 1-10, 11-50 and 51 or more interactions in a calendar month.
TIERS = ("silent", "potential", "active", "core")

TIER_FLOOR = (0, 1, 11, 51)
TIER_CEILING = (0, 10, 50, 400)

PLATFORMS = ("douyin", "xiaohongshu", "wechat", "weibo", "bilibili", "discord")
CHANNELS = ("抖音", "小红书", "微信", "微博", "B站", "search")
SOURCES = (*CHANNELS, "邀请", "达人林小满")

FORMATS = ("video", "image", "article", "live")
TOPICS = ("新品", "教程", "福利", "直播预告", "用户故事", "热点")

# Events that make a tier. Each is an interaction of the data contract; ``follow`` is never emitted.
INTERACTION_EVENTS = ("like", "comment", "share", "save", "post", "checkin", "task_done")

PASSIVE_EVENTS = ("view", "click", "live_enter", "add_to_cart", "checkout", "unfollow")
OTHER_EVENTS = ("push_sent", "push_open", "pay", "join", "leave")


@dataclass(frozen=True)
class Experiment:
    """One experiment: its calendar window and the true multiplier of the order intensity under treatment.

    Attributes
    ----------
    exp_id : str
        Key of the experiment in ``assignments``.
    start_share : float
        Where the experiment starts, as a share of the observed days.
    outcome_days : int
        Length of the window, counted from the day of assignment, in which treatment acts.
    intensity_ratio : float
        Order intensity of treated and exposed members divided by what it would have been.
    """

    exp_id: str
    start_share: float
    outcome_days: int
    intensity_ratio: float


@dataclass(frozen=True)
class Invitation(Experiment):
    """The experiment that invites members to the live show, week by week; it changes no orders.

    Attributes
    ----------
    weeks : int
        Weeks in which members are taken in.
    home : str
        Platform of the show.
    chances : tuple of float
        Mean probability to come without an invitation: in the first weeks, and later at a better hour.
    ratios : tuple of float
        What an invitation multiplies it by: for members at home on the platform of the show, and for others.
    """

    weeks: int
    home: str
    chances: tuple[float, float]
    ratios: tuple[float, float]


@dataclass(frozen=True)
class Channel:
    """One channel: how often it touches a member, what a touch causes and what it costs.

    Attributes
    ----------
    touches_per_month : float
        Expected touches of a member of tier ``potential`` in a month of 30.4375 days.
    order_probability : float
        True probability that one touch causes an order that would not have happened otherwise.
    orders_preceded : float
        Share of orders that would have happened anyway and are preceded by a touch of this channel which
        causes nothing; last-touch rules credit such touches wrongly.
    cost : float
        Cost of a touch in CNY; NaN where the channel bills nothing per touch.
    follows : float
        Share of touches of other channels that a touch of this channel follows soon after, causing nothing.
    seen : float
        Share of touches that reach the table of touchpoints; 0 is a platform that shows none.
    held_out : float
        Share of members, drawn at random, who see nothing of the channel.
    lift_error : float
        Standard error of a lift test of the channel, in orders a touch; 0 where there was no test.
    """

    touches_per_month: float
    order_probability: float
    orders_preceded: float
    cost: float
    follows: float = 0.0
    seen: float = 1.0
    held_out: float = 0.0
    lift_error: float = 0.0


@dataclass(frozen=True)
class Campaign:
    """One advertising campaign: its spend pattern, carry-over, saturation and size of effect.

    Daily expected incremental conversions are ``top * s**shape / (half**shape + s**shape)`` with
    ``s[t] = spend[t] + carry_over * s[t - 1]``; spend, `half` and `top` are per 1,000 members.
    """

    campaign_id: str
    platform: str
    spend: float
    carry_over: float
    half: float
    shape: float
    top: float


@dataclass(frozen=True)
class Parameters:
    """True parameters of the simulated community; `SCENARIOS` has others, by name.

    Attributes
    ----------
    transitions : tuple of tuple
        Row ``i`` holds the probabilities of next calendar month's tier given tier ``i`` in this one, for a
        member without covariate effects.
    first_tier : tuple
        Distribution of the tier in the month of joining.
    return_log_odds : dict
        Log odds ratio of leaving the silent tier, by ``early_reply`` and by ``source=<value>``.
    exit_daily_hazard, exit_tenure_breaks : tuple
        Baseline hazard of leaving, per day of tenure, constant between the breaks (days since joining).
    exit_log_hazard : dict
        Log hazard ratios of leaving by ``early_reply``, ``source=<value>``, ``previous_tier=<value>`` (tier
        in the calendar month before; ``potential`` is the reference, and applies to the month of joining)
        and ``pushes_previous_month`` (per push sent in the calendar month before), and by ``month=<YYYY-MM>``.
    existing_share, existing_tenure_days : float, int
        Share of members who joined before the first day, and how many days before at most.
    pushes_per_month, push_open_probability : tuple, float
        A member is put at random into a low or a high push frequency each month.
    potential_decay, active_shape, core_pareto : float
        Shape of the number of interactions inside a tier: geometric, power law, Pareto up to the ceiling.
    passive_per_month, passive_mix, interaction_mix : tuple
        Passive events by tier, and the mixes of `PASSIVE_EVENTS` and `INTERACTION_EVENTS`.
    late_share, late_days : float, int
        Share of events that reach the warehouse 1 to `late_days` days late.
    orders_per_month : tuple
        Expected orders by tier in a month of 30.4375 days, before promotions, touches and experiments.
    order_rate_shape : float
        Shape of the Gamma-distributed taste (mean 1) that multiplies a member's order rate.
    goods_shape, goods_member_shape, goods_member_scale : float
        Gamma-Gamma law of goods: p, q and gamma in the usual notation. Memberships have two prices, tips are
        log-normal; discounts and refunds fall on goods.
    creator_share, creator_days, creator_joins : float, int, float
        A creator's campaign: where it starts as a share of the observed days, its days, and how many times as many
        members join on them; those who join because of it have the last of `SOURCES`.
    promo_peak, promo_days, holiday_rush, holiday_dip, incident_dip : float
        Multipliers of orders and passive activity on the last day and the other days of the promotion, in the two
        weeks before and in the Spring Festival week, and in the incident, which begins at `incident_share` of the
        window.
    experiments, invitation, channels, campaigns : tuple
        See `Experiment`, `Invitation`, `Channel` (in the order of `CHANNELS`) and `Campaign`.
    intent : float
        How far touches go to those who order anyway: 1 by tier and taste, 0 to everybody alike. What members are
        worth in expectation is told for 1.
    invite_acceptance : float
        Probability that an invitation is accepted.
    posts_per_day, content_* : tuple, float
        Publishing rate by platform, and log effects on plays of evening hours (20-21), formats and topics.
    organic_conversions, organic_claimed : float
        Conversions a day per 1,000 members without advertising, and the share each campaign claims of them.
    """

    transitions: tuple[tuple[float, ...], ...] = (
        (0.80, 0.17, 0.025, 0.005),
        (0.33, 0.52, 0.13, 0.02),
        (0.10, 0.28, 0.52, 0.10),
        (0.03, 0.08, 0.25, 0.64),
    )
    first_tier: tuple[float, ...] = (0.30, 0.45, 0.19, 0.06)
    return_log_odds: dict[str, float] = field(
        default_factory=lambda: {"early_reply": 0.50, "source=抖音": -0.25, "source=邀请": 0.30}
    )
    early_reply_share: float = 0.40
    source_shares: tuple[float, ...] = (0.28, 0.20, 0.16, 0.07, 0.07, 0.07, 0.15)
    creator_share: float = 0.20
    creator_days: int = 21
    creator_joins: float = 1.0
    existing_share: float = 0.40
    existing_tenure_days: int = 540

    exit_daily_hazard: tuple[float, ...] = (0.0060, 0.0030, 0.0016, 0.0009)
    exit_tenure_breaks: tuple[float, ...] = (0.0, 7.0, 30.0, 90.0)
    exit_log_hazard: dict[str, float] = field(
        default_factory=lambda: {
            "early_reply": -0.45,
            "source=抖音": 0.35,
            "source=邀请": -0.30,
            "previous_tier=silent": 0.60,
            "previous_tier=active": -0.50,
            "previous_tier=core": -1.00,
            "pushes_previous_month": 0.08,
        }
    )
    pushes_per_month: tuple[float, float] = (1.0, 4.0)
    push_open_probability: float = 0.18

    potential_decay: float = 0.80
    active_shape: float = 1.0
    core_pareto: float = 1.9
    passive_per_month: tuple[float, ...] = (0.7, 2.5, 9.0, 30.0)
    passive_mix: tuple[float, ...] = (0.74, 0.13, 0.06, 0.045, 0.02, 0.005)
    interaction_mix: tuple[float, ...] = (0.50, 0.20, 0.06, 0.09, 0.03, 0.08, 0.04)
    events_per_session: float = 4.0
    home_platform_share: float = 0.85
    platform_shares: tuple[float, ...] = (0.32, 0.24, 0.20, 0.08, 0.10, 0.06)

    staff_share: float = 0.002
    bot_share: float = 0.004
    bot_interactions: tuple[int, int] = (150, 400)
    staff_interactions: tuple[int, int] = (60, 160)
    late_share: float = 0.02
    late_days: int = 5

    orders_per_month: tuple[float, ...] = (0.08, 0.18, 0.33, 0.56)
    order_rate_shape: float = 0.8
    kind_shares: tuple[float, float, float] = (0.74, 0.08, 0.18)
    goods_shape: float = 4.0
    goods_member_shape: float = 3.5
    goods_member_scale: float = 80.0
    membership_prices: tuple[float, float] = (30.0, 298.0)
    membership_yearly_share: float = 0.25
    tip_median: float = 9.0
    tip_sigma: float = 1.1
    discount_share: float = 0.30
    discount_range: tuple[float, float] = (0.05, 0.30)
    refund_share: float = 0.06
    margin_range: tuple[float, float] = (0.25, 0.45)

    promo_peak: float = 4.0
    promo_days: float = 1.6
    holiday_rush: float = 1.0
    holiday_dip: float = 0.55
    incident_share: float = 0.69
    incident_days: int = 5
    incident_dip: float = 0.50

    experiments: tuple[Experiment, ...] = (
        Experiment("exp_first_order_coupon", 0.20, 21, 1.60),
        Experiment("exp_cover_style", 0.50, 21, 1.00),
        Experiment("exp_push_daily", 0.76, 21, 0.80),
    )
    invitation: Invitation = Invitation(
        "exp_live_invite", 0.70, 14, 1.0, 16, "douyin", (0.12, 0.24), (1.8, 1.1)
    )
    experiment_share: float = 0.80
    exposed_share: float = 0.90

    channels: tuple[Channel, ...] = (
        Channel(0.50, 0.030, 0.05, 0.60, lift_error=0.006),
        Channel(0.35, 0.040, 0.05, 0.80),
        Channel(0.40, 0.020, 0.04, float("nan")),
        Channel(0.15, 0.010, 0.02, 0.40),
        Channel(0.12, 0.025, 0.02, 0.70),
        Channel(0.05, 0.002, 0.30, 1.20, lift_error=0.008),
    )
    touch_delay_days: float = 2.0
    intent: float = 1.0

    invite_acceptance: float = 0.30
    invite_reward: float = 5.0

    posts_per_day: tuple[float, ...] = (1.0, 0.7, 0.4, 0.8, 0.3, 0.2)
    content_quality_sigma: float = 0.7
    content_evening: float = 0.14
    content_format: tuple[float, ...] = (0.0, -0.35, -0.60, 0.40)
    content_topic: tuple[float, ...] = (0.10, 0.20, 0.25, -0.15, 0.0, 0.45)

    campaigns: tuple[Campaign, ...] = (
        Campaign("dy_feed", "douyin", 120.0, 0.50, 300.0, 1.0, 4.0),
        Campaign("dy_live", "douyin", 60.0, 0.20, 90.0, 1.6, 2.2),
        Campaign("xhs_note", "xiaohongshu", 70.0, 0.60, 220.0, 1.0, 2.6),
        Campaign("wx_moments", "wechat", 50.0, 0.30, 120.0, 1.0, 1.2),
        Campaign("bili_pickup", "bilibili", 25.0, 0.70, 110.0, 1.3, 0.9),
    )
    value_per_conversion: float = 105.0
    organic_conversions: float = 6.0
    organic_claimed: float = 0.06
    creatives: int = 3
    cost_per_mille: float = 26.0
    click_rate: float = 0.018


PLAIN = "plain"


class Scenario(NamedTuple):
    """What is told of a community beside the facts that hold for all, and its true parameters."""

    story: str
    parameters: Parameters


SCENARIOS = {
    name: Scenario(each["story"], replace(Parameters(), **each["parameters"]))
    for name, each in yaml.safe_load(Path(__file__).with_name("scenarios.yml").read_text("utf-8")).items()
}
"""Scenarios by the name that the command knows, from ``scenarios.yml``."""
