"""What was planted, so that every estimate can be compared with the number it should find.

- `tiers.transitions`: P(tier in the next calendar month | tier in this one) without covariate effects; rows from,
  columns to, in the order of tiers.labels.
- `tiers.pairs[].expected`: sum over stayers of their own transition probabilities; row sums are the stayers.
- `tiers.pairs[].observed`: transitions of the stayers: ordinary members (neither staff nor bot) with joining day
  <= first day of the first month and leaving day > last day of the second month.
- `tiers.pairs[].at_risk`: ordinary members present throughout the first month, by tier of that month.
- `tiers.pairs[].expected_exits`: sum of their probabilities to leave in the second month.
- `tiers.expected_matrix`: expected summed over pairs, divided by its row sums: what pooled migration estimates.
- `return.log_odds`: log odds ratio of (next month not silent | silent now), by member covariate.
- `exit.log_hazard`: log hazard ratio of leaving; previous_tier is the tier of the calendar month before (potential
  is the reference and holds in the month of joining), pushes_previous_month is per push_sent of the calendar month
  before, month=<YYYY-MM> holds in that month.
- `exit.daily_hazard`: baseline hazard per day of tenure in [break, next break).
- `exit.expected_survival`: mean over members who joined inside the window at least t days before its end of
  exp(-cumulative hazard of the first t days), each with the member's own covariates and tier path.
- `orders.value_per_member_month`: expected net value (gross - discount - refund) of a member in a month of 30.4375
  days of ordinary intensity: (orders_per_month[tier] + orders caused by touches) * expected net value of an order;
  multiply by calendar.month_intensity for a given month.
- `orders.value_ratio`: value_per_member_month of core over silent.
- `value.expected`: mean over members who joined inside the window at least t days before its end of the net value
  they are expected to bring in their first t days (the day of joining is the first): sum over days of the
  probability to be there still * expected orders of that day * expected net value of an order, each with the
  member's own covariates, tier path and experiments.
- `experiments[].conversion_*`: mean over all assigned units of P(at least one order from first_day to last_day),
  had the unit been in that arm; unexposed units are not affected; the difference is the intention-to-treat effect.
- `experiments[].orders_*`: the same for the expected number of orders.
- `invitation.came`: of the members taken in by the last day, the share expected to come to the live show within 14
  days, without and with an invitation, by whether they are at home on the platform of the show; who stays does not
  depend on it.
- `channels[].incremental_per_touch`: orders caused per touch on average over all touches of the channel, those
  that merely precede an order included.
- `channels[].order_probability`: probability that a touch of the causing kind causes an order.
- `advertising[].expected_incremental_conversions`: sum over days of top * s^shape / (half_saturation^shape +
  s^shape), with s[t] = spend[t] + carry_over * s[t-1]; marginal_* is the long-run gain per CNY at
  recent_daily_spend.
- `referrals.k_factor`: expected accepted invitations per ordinary member: share of invited joiners * joiners
  inside the window whom no creator brought / ordinary members.
- `calendar.month_intensity`: sum of the day multipliers of the month / 30.4375.
- `calendar.creators`: first and last day of each creator's campaign, on which `creator_joins` times as many
  members join.
"""

from __future__ import annotations

from dataclasses import asdict
from datetime import timedelta
from typing import Any

import numpy as np
import pandas as pd

from helpers.simulate.advertising import advertising_truth
from helpers.simulate.behaviour import SURVIVAL_DAYS, expected_survival, stationary
from helpers.simulate.calendar import REPORT_TZ, Window
from helpers.simulate.columns import NEVER
from helpers.simulate.expected import expected_value
from helpers.simulate.experiments import Plan
from helpers.simulate.members import CREATOR, INVITED
from helpers.simulate.orders import expected_net
from helpers.simulate.parameters import CHANNELS, TIER_CEILING, TIER_FLOOR, TIERS, Channel, Parameters
from helpers.simulate.waves import days_of
from helpers.simulate.world import Block, World

PAIRS = ("observed", "expected", "at_risk", "expected_exits")


class Account:
    """Sums over blocks from which truth follows."""

    def __init__(self) -> None:
        self.sums: dict[str, Any] = {}
        self.roles: dict[str, list[str]] = {"staff": [], "bots": []}

    def add(self, block: Block) -> None:
        """Add one block."""
        members, behaviour, purchases = block.members, block.behaviour, block.purchases
        joiners = members.ordinary & (members.joined >= 0)
        sums = {
            **behaviour.pairs,
            "survival": expected_survival(members, behaviour),
            "value": expected_value(block),
            "channels": purchases.channels,
            "effects": pd.DataFrame(purchases.effects),
            "invitation": block.waves.expected,
            "ordinary": members.ordinary.sum(),
            "joiners": joiners.sum(),
            "by_creator": (joiners & (members.source == CREATOR)).sum(),
            "invited": (joiners & (members.source == INVITED) & (members.inviter >= 0)).sum(),
            "leavers": (members.left != NEVER).sum(),
            "caused": (purchases.orders.code >= 0).sum(),
            "orders": len(purchases.orders.code),
        }
        self.sums = {name: self.sums[name] + value for name, value in sums.items()} if self.sums else sums
        self.roles["staff"] += members.number[members.staff].astype(str).tolist()
        self.roles["bots"] += members.number[members.bot].astype(str).tolist()

    def channels(self, p: Parameters) -> list[dict[str, Any]]:
        """Return what each channel did."""
        return [_channel(*each) for each in zip(CHANNELS, p.channels, self.sums["channels"].T, strict=True)]


def collect(account: Account, world: World) -> dict[str, Any]:
    """Return the whole truth as plain JSON values."""
    window, sums = world.window, account.sums
    p = window.parameters
    net = expected_net(p)
    caused = sum(channel.touches_per_month * channel.order_probability for channel in p.channels)
    orders = [rate * (1.0 + caused / p.orders_per_month[1]) for rate in p.orders_per_month]
    value = [rate * net["all"] for rate in orders]
    invited = p.source_shares[INVITED] / sum(p.source_shares) * (sums["joiners"] - sums["by_creator"])
    truth = {
        "about": {
            "members": world.members,
            "days": window.days,
            "seed": world.seed,
            "start": window.start.isoformat(),
            "end": window.end.isoformat(),
            "report_tz": REPORT_TZ,
            "currency": "CNY",
        },
        "calendar": {
            "months": [{"month": month.label, "whole": month.whole} for month in window.months],
            "month_intensity": window.month_intensity,
            "promotions": [_dates(window, *span) for span in window.promotions],
            "holidays": [_dates(window, *span) for span in window.holidays],
            "incident": _dates(window, *window.incident),
            "creators": [_dates(window, *span) for span in window.creators],
        },
        "tiers": _tiers(window, sums),
        "return": {"log_odds": p.return_log_odds},
        "exit": {
            "tenure_breaks_days": p.exit_tenure_breaks,
            "daily_hazard": p.exit_daily_hazard,
            "log_hazard": p.exit_log_hazard,
            "expected_survival": _means(sums["survival"], "survival"),
            "left_members": sums["leavers"],
        },
        "orders": {
            "orders_per_member_month": orders,
            "expected_net_value": net,
            "value_per_member_month": value,
            "value_ratio": value[-1] / value[0],
            "orders": sums["orders"],
            "orders_caused_by_touches": sums["caused"],
        },
        "value": {"expected": _means(sums["value"], "net_value")},
        "experiments": [
            _experiment(window, plan, row)
            for plan, row in zip(world.plans, sums["effects"].to_dict("records"), strict=True)
        ],
        "invitation": _invitation(world, sums["invitation"]),
        "channels": account.channels(p),
        "advertising": list(advertising_truth(window, world.advertising)),
        "referrals": {
            "acceptance": p.invite_acceptance,
            "k_factor": float(invited / sums["ordinary"]) if sums["ordinary"] else None,
            "accepted": sums["invited"],
            "ordinary_members": sums["ordinary"],
        },
        "roles": account.roles,
        "parameters": asdict(p),
    }
    return _plain(truth)


def _plain(value: Any) -> Any:
    """Return a copy of `value` that JSON can hold: arrays as lists, NaN as null."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray | list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and np.isnan(value) else value


def _dates(window: Window, *days: int) -> list[str]:
    return [str(window.start + timedelta(days=day)) for day in days]


def _tiers(window: Window, sums: dict[str, Any]) -> dict[str, Any]:
    matrix, expected = np.asarray(window.parameters.transitions), sums["expected"].sum(axis=0)
    rows = expected.sum(axis=1, keepdims=True)
    return {
        "labels": TIERS,
        "monthly_interactions": list(zip(TIER_FLOOR, TIER_CEILING, strict=True)),
        "transitions": matrix,
        "stationary": stationary(matrix),
        "pairs": [
            {
                "from": window.months[index].label,
                "to": window.months[index + 1].label,
                **{name: sums[name][row] for name in PAIRS},
            }
            for row, index in enumerate(window.whole_pairs)
        ],
        "expected_matrix": np.divide(expected, rows, out=np.full((4, 4), np.nan), where=rows > 0),
    }


def _means(sums: np.ndarray, name: str) -> list[dict[str, Any]]:
    """Return means over members at each tenure; none where nobody has reached it."""
    return [
        {"tenure_days": day, "members": int(count), name: total / count if count else None}
        for day, (count, total) in zip(SURVIVAL_DAYS, sums, strict=True)
    ]


def _experiment(window: Window, plan: Plan, sums: dict[Any, float]) -> dict[str, Any]:
    units, exposed = int(sums.pop("units")), int(sums.pop("exposed"))
    means = {name: total / units if units else np.nan for name, total in sums.items()}
    assigned, first, last = _dates(window, plan.day, plan.first, plan.last)
    return {
        "exp_id": plan.experiment.exp_id,
        "assigned_on": assigned,
        "first_day": first,
        "last_day": last,
        "intensity_ratio": plan.experiment.intensity_ratio,
        "units": units,
        "exposed": exposed,
        **means,
        "conversion_effect": means["conversion_treatment"] - means["conversion_control"],
        "orders_effect": means["orders_treatment"] - means["orders_control"],
    }


def _invitation(world: World, sums: np.ndarray) -> dict[str, Any]:
    rows = dict(zip(("at_home", "elsewhere", "all"), [*sums, sums.sum(axis=0)], strict=True))
    shares = {
        name: [part / units if units else None for part in came] for name, (units, *came) in rows.items()
    }
    first, last = _dates(world.window, *days_of(world.window))
    about = {"exp_id": world.window.parameters.invitation.exp_id, "first_day": first, "last_day": last}
    return about | {"units": int(sums[:, 0].sum()), "came": shares}


def _channel(name: str, channel: Channel, sums: np.ndarray) -> dict[str, Any]:
    touches, expected, caused, preceding = map(float, sums)
    return {
        "channel": name,
        "order_probability": channel.order_probability,
        "touches": int(touches),
        "touches_preceding_orders": int(preceding),
        "expected_incremental_orders": expected,
        "incremental_orders": int(caused),
        "incremental_per_touch": expected / touches if touches else None,
    }
