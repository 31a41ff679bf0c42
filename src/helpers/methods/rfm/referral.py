"""What members bring by inviting others: referral value as a second M beside own spending.

The idea is the customer referral value of Kumar, Petersen and Leone (2007, Harvard Business Review 85(10); 2010,
Journal of Marketing 74(5)): what invitees spend is credited to the member who brought them. Two simplifications
are stated rather than hidden. `share` stands for the part of invitees who would not have come by themselves
(their "type one" referrals); at 1 the value is an upper bound. Only direct invitees count, not theirs in turn.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

import ibis
import numpy as np
import pandas as pd

from helpers.checks import check_scalar
from helpers.data.source import as_table, local_date
from helpers.sentences import percent, quantity, say, with_interval
from helpers.stats.estimate import Estimate, unknown
from helpers.stats.resample import Moments, observed, resamples, studentised_interval, value_cells
from helpers.study.enough import RESAMPLED_WITH_VALUE
from helpers.study.frames import materialise, require_columns, require_unique


@dataclass(frozen=True)
class ReferralValue:
    """Own value, referral value and their sum for every member.

    Attributes
    ----------
    table : ibis.Table
        Columns member_id, own_value, referral_value, total_value, invitees (accepted, over all time) and
        reward_cost (of invites accepted in the window; 0 without that column). One row per member of `values`.
    share_of_value : Estimate
        Referral value as a share of own and referral value together.
    inviters, invitees, buyers : int
        Members of `table` with an accepted invitee, the invitees they brought, and those of them who bought in
        the window. Invites of anybody else are in no number here.
    referral_total, own_total, reward_total : float
        Sums over `table`.
    self_invites, repeated_invites : int
        Accepted invites of these members left out because a member invited themselves, or someone else had been
        accepted first.
    credit_share : float
        Part of an invitee's value that is credited.
    unit : str
        Unit of the values.
    """

    table: ibis.Table
    share_of_value: Estimate
    inviters: int
    invitees: int
    buyers: int
    referral_total: float
    own_total: float
    reward_total: float
    self_invites: int
    repeated_invites: int
    credit_share: float
    unit: str

    @property
    def sentence(self) -> str:
        """What referrals are worth, in plain words."""
        if not self.invitees:
            return say(
                "No invite by these members was accepted up to this day, so there is no referral value."
            )
        text = say(
            "{inviters:,} members brought {invitees:,} others, of whom {buyers:,} bought in the window for {total} "
            "(credited at {share} of their orders), at {reward} of rewards.",
            inviters=self.inviters,
            invitees=self.invitees,
            buyers=self.buyers,
            total=quantity(self.referral_total, self.unit),
            share=percent(self.credit_share, 0),
            reward=quantity(self.reward_total, self.unit),
        )
        if self.share_of_value.known:
            share = with_interval(self.share_of_value)
            text += " " + say("That is {share} of own and referral value together.", share=share)
        else:
            text += " " + say("Too few members have referral value for an interval.")
        text += " " + say(
            "An invitee's order counts once as own value and once as referral credit, so credit at 100 % is an "
            "upper bound."
        )
        left_out = self.self_invites + self.repeated_invites
        if left_out:
            text += " " + say(
                "{n:,} accepted invites are left out: {own:,} of oneself, {again:,} of someone accepted before.",
                n=left_out,
                own=self.self_invites,
                again=self.repeated_invites,
            )
        return text


def _accepted(referrals: ibis.Table, as_of: dt.date, report_tz: str) -> ibis.Table:
    """Return accepted invites up to a day: invite, inviter, invitee, accepted_at, day, reward, place."""
    require_columns(referrals, ["invite_id", "inviter_id", "invitee_id", "accepted_at"], "referrals")
    reward = (
        referrals["reward_cost"].fill_null(0.0) if "reward_cost" in referrals.columns else ibis.literal(0.0)
    )
    table = referrals.select(
        invite=referrals["invite_id"],
        inviter=referrals["inviter_id"].cast("string"),
        invitee=referrals["invitee_id"].cast("string"),
        accepted_at=referrals["accepted_at"],
        day=local_date(referrals["accepted_at"], report_tz),
        reward=reward.cast("float64"),
    )
    table = table.filter(
        table.accepted_at.notnull(), table.invitee.notnull(), table.day <= ibis.literal(as_of)
    )
    # invites of oneself take no place, so that they cannot displace the member who really invited
    own = table.inviter == table.invitee
    order = ibis.window(group_by=[table.invitee, own], order_by=[table.accepted_at, table.invite])
    return table.mutate(own=own, place=ibis.row_number().over(order))


def referral_value(
    referrals: ibis.Table | pd.DataFrame,
    activity: ibis.Table | pd.DataFrame,
    values: ibis.Table | pd.DataFrame,
    *,
    as_of: dt.date,
    window_days: int,
    value: str = "monetary",
    credit_share: float = 1.0,
    report_tz: str = "Asia/Shanghai",
    unit: str = "CNY",
    **settings: Any,
) -> ReferralValue:
    """Credit the orders of invitees to the members who invited them.

    An invitee belongs to the first accepted invite (ties by invite id). Orders count from the acceptance on,
    inside the window (as_of - window_days, as_of]; their value is that of `activity`, so both kinds of M speak
    of the same money. Which invite came first is settled among all invites; what is then counted are the
    invites of the members of `values`, the same members that totals and sample size speak of.

    Parameters
    ----------
    referrals : ibis.Table or pandas.DataFrame
        Table of the data contract.
    activity : ibis.Table or pandas.DataFrame
        Columns member_id, ts, day, kind, value; rows of kind ``"order"`` are used.
    values : ibis.Table or pandas.DataFrame
        One row per member with member_id and `value`, own value in the same window.
    credit_share : float
        Part of an invitee's value to credit, between 0 and 1.
    **settings :
        confidence, draws and seed of the bootstrap.

    Raises ``BadData`` when a column is missing or a member has two rows in `values`.
    """
    check_scalar(credit_share, "credit_share", gt=0, le=1)
    check_scalar(window_days, "window_days", type_=int, ge=1)
    own, log = as_table(values), as_table(activity)
    require_columns(own, ["member_id", value], "values")
    require_columns(log, ["member_id", "ts", "day", "kind", "value"], "activity")
    require_unique(own, "member_id", "values")
    start = as_of - dt.timedelta(days=window_days)
    # whoever invited first keeps the invitee, in the table of values or not; only then the others are left out
    accepted = materialise(_accepted(as_table(referrals), as_of, report_tz))
    invites = materialise(accepted.semi_join(own, accepted.inviter == own["member_id"].cast("string")))
    counted = invites.filter(~invites.own, invites.place == 0)
    orders = log.filter(log.kind == "order", log.day > ibis.literal(start), log.day <= ibis.literal(as_of))
    bought = orders.inner_join(counted, orders.member_id == counted.invitee)
    bought = bought.filter(bought.ts >= bought.accepted_at)
    credit = bought.group_by("inviter").aggregate(credit=bought["value"].sum() * credit_share)
    in_window = (counted.day > ibis.literal(start)).ifelse(counted.reward, 0.0)
    brought = counted.group_by("inviter").aggregate(invitees=counted.count(), reward=in_window.sum())
    table = materialise(_member_table(own, value, credit, brought))
    sums = _sums(table)
    return ReferralValue(
        table=table,
        share_of_value=_share(table, **settings),
        buyers=int(bought.member_id.nunique().execute()),
        **_counts(invites),
        referral_total=sums["referral_value"],
        own_total=sums["own_value"],
        reward_total=sums["reward_cost"],
        credit_share=credit_share,
        unit=unit,
    )


def _counts(invites: ibis.Table) -> dict[str, int]:
    first = ~invites.own & (invites.place == 0)
    counts = invites.aggregate(
        inviters=invites.inviter.nunique(where=first),
        invitees=invites.count(where=first),
        self_invites=invites.count(where=invites.own),
        repeated_invites=invites.count(where=~invites.own & (invites.place > 0)),
    )
    return {name: int(count) for name, count in counts.execute().iloc[0].items()}


def _sums(table: ibis.Table) -> dict[str, float]:
    names = ("referral_value", "own_value", "reward_cost")
    sums = table.aggregate(**{name: table[name].sum().fill_null(0.0) for name in names})
    # engines sum in no fixed order: the last bits must not reach a published number
    return {name: round(float(total), 6) for name, total in sums.execute().iloc[0].items()}


def _member_table(own: ibis.Table, value: str, credit: ibis.Table, brought: ibis.Table) -> ibis.Table:
    member = own.select(member_id=own["member_id"], own_value=own[value].cast("float64"))
    joined = member.left_join(credit, member.member_id == credit.inviter).drop("inviter")
    joined = joined.left_join(brought, joined.member_id == brought.inviter)
    return joined.select(
        member_id=joined.member_id,
        own_value=joined.own_value,
        referral_value=joined.credit.fill_null(0.0),
        total_value=joined.own_value + joined.credit.fill_null(0.0),
        invitees=joined.invitees.fill_null(0),
        reward_cost=joined.reward.fill_null(0.0),
    )


def _share(table: ibis.Table, confidence: float = 0.95, draws: int = 1000, seed: int = 0) -> Estimate:
    """Return referral value over total value with its member bootstrap, a ratio of sums over members."""
    cells = value_cells(table, "referral_value", rank="total_value")
    n = int(cells["count"].sum())
    if n - int(cells["zero"].sum()) < RESAMPLED_WITH_VALUE:
        return unknown(n, "share", confidence)
    total = cells["rank"].drop_duplicates().to_numpy()  # one per rank group, in the order of the moments

    def ratio(groups: Moments) -> np.ndarray:
        with np.errstate(divide="ignore", invalid="ignore"):
            share = groups.total.sum(axis=1) / (groups.members @ total)
            step = share[:, None] * total
            spread = groups.squares - 2 * step * groups.total + step**2 * groups.members
            error = np.sqrt(np.maximum(spread.sum(axis=1), 0)) / np.abs(groups.members @ total)
        return np.array([share, error])

    (value,), (error,) = ratio(observed(cells))
    if not value > 0 or cells["rank"].sum() <= 0:
        return unknown(n, "share", confidence)
    resampled = np.concatenate([ratio(groups) for groups in resamples(cells, draws=draws, seed=seed)], axis=1)
    low, high, method = studentised_interval(value, error, *resampled, confidence=confidence)
    return Estimate(float(value), low, high, n, "share", method, confidence)
