"""Collecting what was planted, so that every estimate can be compared with the number it should find."""

from __future__ import annotations

from typing import Any

import numpy as np

from helpers.simulate.advertising import Advertising, advertising_truth
from helpers.simulate.behaviour import (
    SURVIVAL_DAYS,
    Behaviour,
    expected_survival,
    stationary,
    whole_pairs,
)
from helpers.simulate.calendar import REPORT_TZ, Window
from helpers.simulate.columns import NEVER
from helpers.simulate.expected import expected_value
from helpers.simulate.experiments import Assignment, Plan
from helpers.simulate.members import INVITED, Members
from helpers.simulate.orders import expected_net
from helpers.simulate.parameters import CHANNELS, TIER_CEILING, TIER_FLOOR, TIERS, Parameters
from helpers.simulate.purchases import Purchases

DEFINITIONS = {
    "tiers.transitions": "P(tier in the next calendar month | tier in this one) without covariate effects; rows"
    " from, columns to, in the order of tiers.labels",
    "tiers.pairs[].expected": "sum over stayers of their own transition probabilities; row sums are the stayers",
    "tiers.pairs[].observed": "transitions of the stayers: ordinary members (neither staff nor bot) with joining"
    " day <= first day of the first month and leaving day > last day of the second month",
    "tiers.pairs[].at_risk": "ordinary members present throughout the first month, by tier of that month",
    "tiers.pairs[].expected_exits": "sum of their probabilities to leave in the second month",
    "tiers.expected_matrix": "expected summed over pairs, divided by its row sums: what pooled migration"
    " estimates",
    "return.log_odds": "log odds ratio of (next month not silent | silent now), by member covariate",
    "exit.log_hazard": "log hazard ratio of leaving; previous_tier is the tier of the calendar month before"
    " (potential is the reference and holds in the month of joining), pushes_previous_month is per push_sent"
    " of the calendar month before",
    "exit.daily_hazard": "baseline hazard per day of tenure in [break, next break)",
    "exit.expected_survival": "mean over members who joined inside the window at least t days before its end of"
    " exp(-cumulative hazard of the first t days), each with the member's own covariates and tier path",
    "orders.value_per_member_month": "expected net value (gross - discount - refund) of a member in a month of"
    " 30.4375 days of ordinary intensity: (orders_per_month[tier] + orders caused by touches) * expected net"
    " value of an order; multiply by calendar.month_intensity for a given month",
    "orders.value_ratio": "value_per_member_month of core over silent",
    "value.expected": "mean over members who joined inside the window at least t days before its end of the net"
    " value they are expected to bring in their first t days (the day of joining is the first): sum over days of"
    " the probability to be there still * expected orders of that day * expected net value of an order, each with"
    " the member's own covariates, tier path and experiments",
    "experiments[].conversion_*": "mean over all assigned units of P(at least one order from first_day to"
    " last_day), had the unit been in that arm; unexposed units are not affected; the difference is the"
    " intention-to-treat effect",
    "experiments[].orders_*": "the same for the expected number of orders",
    "channels[].incremental_per_touch": "orders caused per touch on average over all touches of the channel,"
    " those that merely precede an order included",
    "channels[].order_probability": "probability that a touch of the causing kind causes an order",
    "advertising[].expected_incremental_conversions": "sum over days of top * s^shape / (half_saturation^shape"
    " + s^shape), with s[t] = spend[t] + carry_over * s[t-1]; marginal_* is the long-run gain per CNY at"
    " recent_daily_spend",
    "referrals.k_factor": "expected accepted invitations per ordinary member: share of invited joiners * joiners"
    " inside the window / ordinary members",
    "calendar.month_intensity": "sum of the day multipliers of the month / 30.4375",
}


class Account:
    """Sums over blocks from which truth follows."""

    def __init__(self, window: Window) -> None:
        self.window = window
        self.parts: dict[str, Any] = {}
        self.roles: dict[str, list[str]] = {"staff": [], "bots": []}

    def add(
        self, members: Members, behaviour: Behaviour, purchases: Purchases, assignments: list[Assignment]
    ) -> None:
        """Add one block."""
        ordinary = members.ordinary
        joiners = ordinary & (members.joined >= 0)
        sums = {
            "observed": behaviour.observed,
            "expected": behaviour.expected,
            "at_risk": behaviour.at_risk,
            "expected_exits": behaviour.expected_exits,
            "survival": expected_survival(self.window, members, behaviour),
            "value": expected_value(self.window, members, behaviour, assignments),
            "channels": purchases.channels,
            "ordinary": ordinary.sum(),
            "joiners": joiners.sum(),
            "invited": (joiners & (members.source == INVITED) & (members.inviter >= 0)).sum(),
            "leavers": (members.left != NEVER).sum(),
            "caused": (purchases.orders.code >= 0).sum(),
            "orders": len(purchases.orders.code),
        }
        for number, effect in enumerate(purchases.effects):
            sums[f"experiment {number}"] = np.array(list(effect.values()))
            self.effect_names = list(effect)
        for name, value in sums.items():
            self.parts[name] = self.parts[name] + value if name in self.parts else value
        self.roles["staff"] += [str(number) for number in members.number[members.staff]]
        self.roles["bots"] += [str(number) for number in members.number[members.bot]]


def collect(
    account: Account, plans: tuple[Plan, ...], ads: Advertising, seed: int, members: int
) -> dict[str, Any]:
    """Return the whole truth as plain JSON values."""
    window, p = account.window, account.window.parameters
    return {
        "about": {
            "members": members,
            "days": window.days,
            "seed": seed,
            "start": window.start.isoformat(),
            "end": window.end.isoformat(),
            "report_tz": REPORT_TZ,
            "currency": "CNY",
        },
        "definitions": DEFINITIONS,
        "calendar": _calendar(window),
        "tiers": _tiers(account),
        "return": {"log_odds": p.return_log_odds},
        "exit": _exit(account),
        "orders": _orders(p, account),
        "value": {"expected": _means(account.parts["value"], "net_value")},
        "experiments": [_experiment(account, number, plan) for number, plan in enumerate(plans)],
        "channels": _channels(account),
        "advertising": advertising_truth(window, ads),
        "referrals": _referrals(account),
        "content": {
            "log_evening_effect": p.content_evening,
            "log_format_effect": list(p.content_format),
            "log_topic_effect": list(p.content_topic),
        },
        "roles": account.roles,
        "parameters": _plain(p.as_dict()),
    }


def _plain(value: Any) -> Any:
    """Return a copy of `value` that JSON can hold: arrays as lists, NaN as null."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray | list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, np.integer):
        return int(value)
    if isinstance(value, float | np.floating):
        return None if np.isnan(value) else float(value)
    return value


def _calendar(window: Window) -> dict[str, Any]:
    def dates(span: tuple[int, int]) -> list[str]:
        return [str(np.datetime64(window.start) + day) for day in span]

    return {
        "months": [{"month": m.label, "whole": m.whole} for m in window.months],
        "month_intensity": _plain(window.month_intensity),
        "promotions": [dates(span) for span in window.promotions],
        "holidays": [dates(span) for span in window.holidays],
        "incident": dates(window.incident),
    }


def _tiers(account: Account) -> dict[str, Any]:
    window, matrix = account.window, np.asarray(account.window.parameters.transitions)
    pairs = []
    for row, index in enumerate(whole_pairs(window)):
        pairs.append(
            {
                "from": window.months[index].label,
                "to": window.months[index + 1].label,
                **{
                    name: _plain(account.parts[name][row])
                    for name in ("observed", "expected", "at_risk", "expected_exits")
                },
            }
        )
    expected = account.parts["expected"].sum(axis=0)
    rows = expected.sum(axis=1, keepdims=True)
    return {
        "labels": list(TIERS),
        "monthly_interactions": [[low, high] for low, high in zip(TIER_FLOOR, TIER_CEILING, strict=True)],
        "transitions": _plain(matrix),
        "stationary": _plain(stationary(matrix)),
        "pairs": pairs,
        "expected_matrix": _plain(np.divide(expected, rows, out=np.full((4, 4), np.nan), where=rows > 0)),
    }


def _means(sums: np.ndarray, name: str) -> list[dict[str, Any]]:
    """Return means over members at each tenure; none where nobody has reached it."""
    return [
        {"tenure_days": int(day), "members": int(count), name: float(total / count) if count else None}
        for day, (count, total) in zip(SURVIVAL_DAYS, sums, strict=True)
    ]


def _exit(account: Account) -> dict[str, Any]:
    p = account.window.parameters
    return {
        "tenure_breaks_days": list(p.exit_tenure_breaks),
        "daily_hazard": list(p.exit_daily_hazard),
        "log_hazard": p.exit_log_hazard,
        "expected_survival": _means(account.parts["survival"], "survival"),
        "left_members": int(account.parts["leavers"]),
    }


def _orders(p: Parameters, account: Account) -> dict[str, Any]:
    net = expected_net(p)
    caused = sum(channel.touches_per_month * channel.order_probability for channel in p.channels)
    per_month = [rate * (1.0 + caused / p.orders_per_month[1]) for rate in p.orders_per_month]
    value = [orders * net["all"] for orders in per_month]
    return {
        "orders_per_member_month": per_month,
        "expected_net_value": net,
        "value_per_member_month": value,
        "value_ratio": value[-1] / value[0],
        "orders": int(account.parts["orders"]),
        "orders_caused_by_touches": int(account.parts["caused"]),
    }


def _experiment(account: Account, number: int, plan: Plan) -> dict[str, Any]:
    window, sums = (
        account.window,
        dict(zip(account.effect_names, account.parts[f"experiment {number}"], strict=True)),
    )
    units = sums["units"]
    means = {name: sums[name] / units if units else np.nan for name in account.effect_names[2:]}
    first = np.datetime64(window.start)
    row: dict[str, Any] = {
        "exp_id": plan.experiment.exp_id,
        "assigned_on": str(first + plan.day),
        "first_day": str(first + plan.first),
        "last_day": str(first + plan.last),
        "intensity_ratio": plan.experiment.intensity_ratio,
        "units": int(units),
        "exposed": int(sums["exposed"]),
        **means,
    }
    for name in ("conversion", "orders"):
        row[f"{name}_effect"] = means[f"{name}_treatment"] - means[f"{name}_control"]
    return _plain(row)


def _channels(account: Account) -> list[dict[str, Any]]:
    p, (touches, expected, caused, preceding) = account.window.parameters, account.parts["channels"]
    return [
        {
            "channel": name,
            "order_probability": channel.order_probability,
            "touches": int(touches[i]),
            "touches_preceding_orders": int(preceding[i]),
            "expected_incremental_orders": float(expected[i]),
            "incremental_orders": int(caused[i]),
            "incremental_per_touch": float(expected[i] / touches[i]) if touches[i] else None,
        }
        for i, (name, channel) in enumerate(zip(CHANNELS, p.channels, strict=True))
    ]


def _referrals(account: Account) -> dict[str, Any]:
    p, parts = account.window.parameters, account.parts
    share = p.source_shares[INVITED] / sum(p.source_shares)
    ordinary = int(parts["ordinary"])
    return {
        "acceptance": p.invite_acceptance,
        "k_factor": float(share * parts["joiners"] / ordinary) if ordinary else None,
        "accepted": int(parts["invited"]),
        "ordinary_members": ordinary,
    }
