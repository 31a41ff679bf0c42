"""What a member of each tier is worth in the next period, and what members bring by inviting others.

Means, their ratio and the share of referral value get studentised member bootstrap intervals
(:mod:`helpers.stats.resample`), because value has many zeros and a heavy tail, where the normal and the percentile
interval are too short above.

Value is that of the period after the one that set the tier: in the window itself members are in the top tier partly
because of a good month, and where tiers look at money the comparison would be circular.

Referral value is the customer referral value of Kumar, Petersen and Leone (2007, Harvard Business Review 85(10);
2010, Journal of Marketing 74(5)): what invitees spend is credited to the member who brought them. Two
simplifications are stated rather than hidden: invitees who would have come by themselves count too, so the value is
an upper bound, and only direct invitees count, not theirs in turn.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

import ibis
import numpy as np
import pandas as pd

from helpers.data.source import as_table, local_date
from helpers.playbook.thresholds import Comparison, Threshold, threshold
from helpers.sentences import interval, number, quantity, say, with_interval
from helpers.stats.estimate import Estimate
from helpers.stats.resample import mean_value, ratio_of_means, share_of_rank, value_cells
from helpers.study import Study
from helpers.study.frames import materialise
from helpers.study.values import VALUE_DECIMALS


@dataclass(frozen=True)
class TierValue:
    """Value by tier in the period after the one that set the tier, and the ratio of the top to the bottom tier.

    Attributes
    ----------
    table : pandas.DataFrame
        One row per tier from low to high: tier, n, members_with_value, total, share_of_value, mean, low, high.
    ratio : Estimate
        Mean value in the top tier divided by that in the bottom tier.
    claim : Threshold
        The range the ratio is said to lie in.
    unit : str
        Unit of the value.
    days : int
        Length of the period the value was measured in.
    """

    table: pd.DataFrame
    ratio: Estimate
    claim: Threshold
    unit: str
    days: int

    @property
    def verdict(self) -> Comparison:
        """Whether the whole interval of the ratio lies inside, above or below the claimed range."""
        return self.claim.compare(self.ratio.low, self.ratio.high) if self.ratio.known else "cannot tell"

    @property
    def sentence(self) -> str:
        """What the ratio says about the claim, in plain words."""
        bottom, top = self.table.iloc[0], self.table.iloc[-1]
        if not self.ratio.known:
            text = (
                "In the next {days:,} days, the ratio is not known: too few members with value, or no value above "
                "refunds ({m_top:,} of {n_top:,} members of {top} have value, {m_bottom:,} of {n_bottom:,} of "
                "{bottom})."
            )
            return say(
                text, days=self.days, top=top["tier"], m_top=top["members_with_value"], n_top=top["n"],
                bottom=bottom["tier"], m_bottom=bottom["members_with_value"], n_bottom=bottom["n"],
            )  # fmt: skip
        low, high = self.claim.bounds
        return say(
            "In the next {days:,} days, a member of {top} brings {most}, one of {bottom} {least}: {ratio} times as "
            "much ({bounds}, n = {n_top:,} and {n_bottom:,}); against the claimed {low:g} to {high:g} times: "
            "{verdict}. The claim speaks of lifetime value; this is {days:,} days.",
            days=self.days, top=top["tier"], most=self._mean(top), bottom=bottom["tier"], least=self._mean(bottom),
            ratio=number(self.ratio.value), bounds=interval(self.ratio.low, self.ratio.high, self.ratio.unit),
            n_top=top["n"], n_bottom=bottom["n"], low=low, high=high, verdict=say(self.verdict),
        )  # fmt: skip

    def _mean(self, row: pd.Series) -> str:
        mean, low, high = (float(row[name]) for name in ("mean", "low", "high"))
        return with_interval(Estimate(mean, low, high, int(row["n"]), self.unit, "", self.ratio.confidence))


def tier_value(
    study: Study, members: ibis.Table | pd.DataFrame, order: Sequence[str], days: int
) -> TierValue:
    """Measure value a member by tier in the next period, and the ratio of the top to the bottom tier.

    Parameters
    ----------
    study : Study
        Gives unit, level, resamples and seed.
    members : ibis.Table or pandas.DataFrame
        As made by :func:`helpers.methods.rfm.concentration.followed` with the same `days`.
    order : sequence of str
        Tiers from low to high.
    days : int
        Length of the period.
    """
    cells, confidence = value_cells(members, "after", by="tier"), study.confidence
    means = {
        label: mean_value(
            cells[cells["group"] == label],
            unit=study.unit,
            confidence=confidence,
            draws=study.draws,
            seed=seed,
        )
        for seed, label in enumerate(order, start=1000 * study.seed)
    }
    total = sum(part.total for part in means.values())
    whole = total if total > 0 else np.nan
    rows = [
        (label, m.estimate.n, m.with_value, m.total, m.total / whole, m.mean, *m.estimate[1:3])
        for label, m in means.items()
    ]
    columns = ["tier", "n", "members_with_value", "total", "share_of_value", "mean", "low", "high"]
    table = pd.DataFrame(rows, columns=columns)
    ratio = ratio_of_means(means[order[-1]], means[order[0]], confidence)
    return TierValue(table, ratio, threshold("tiers.value_ratio"), study.unit, days)


# --- referrals ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ReferralValue:
    """What members brought by inviting others, beside what they spent themselves.

    Attributes
    ----------
    table : pandas.DataFrame
        One row per member: member_id, own_value, referral_value, total_value, invitees (accepted, over all time) and
        reward_cost (of invites accepted in the window); ordered by member_id.
    share_of_value : Estimate
        Referral value as a share of own and referral value together.
    inviters, invitees, buyers : int
        Members of `table` with an accepted invitee, the invitees they brought, and those of them who bought in
        the window. Invites of anybody else are in no number here.
    self_invites, repeated_invites : int
        Accepted invites of these members left out because a member invited themselves, or someone else had been
        accepted first.
    unit : str
        Unit of the values.
    """

    table: pd.DataFrame
    share_of_value: Estimate
    inviters: int
    invitees: int
    buyers: int
    self_invites: int
    repeated_invites: int
    unit: str

    @property
    def sentence(self) -> str:
        """What referrals are worth, in plain words."""
        sums = self.table[["referral_value", "reward_cost"]].sum()
        text = (
            "{inviters:,} members brought {invitees:,} others, of whom {buyers:,} bought in the window for {total}, "
            "at {reward} of rewards. Referral value as a share of own and referral value together: {share}. An "
            "invitee's order counts once as own value and once as referral credit, so the credit is an upper bound."
        )
        if self.self_invites or self.repeated_invites:
            text += (
                " Left out are {own:,} accepted invites of oneself and {again:,} of someone accepted before."
            )
        return say(
            text, inviters=self.inviters, invitees=self.invitees, buyers=self.buyers,
            share=with_interval(self.share_of_value), total=quantity(sums["referral_value"], self.unit),
            reward=quantity(sums["reward_cost"], self.unit), own=self.self_invites, again=self.repeated_invites,
        )  # fmt: skip


def referral_value(study: Study, values: ibis.Table | pd.DataFrame, window_days: int) -> ReferralValue:
    """Credit the orders of invitees to the members who invited them.

    An invitee belongs to the first accepted invite (ties by invite id). Orders count from the acceptance on,
    inside the window (as_of - window_days, as_of]; their value is that of the activity, so both kinds of M speak
    of the same money. Which invite came first is settled among all invites; what is then counted are the
    invites of the members of `values`, the same members that totals and sample size speak of.

    Parameters
    ----------
    study : Study
        With a table of referrals.
    values : ibis.Table or pandas.DataFrame
        One row per member with member_id and monetary, own value in the same window.
    window_days : int
        Length of the window.
    """
    own, log, end = as_table(values), study.activity, ibis.literal(study.as_of)
    start = ibis.literal(study.as_of - dt.timedelta(days=window_days))
    # whoever invited first keeps the invitee, in the table of values or not; only then the others are left out
    accepted = materialise(_accepted(study))
    invites = materialise(accepted.semi_join(own, accepted.inviter == own["member_id"].cast("string")))
    counted = invites.filter(~invites.own, invites.place == 0)
    orders = log.filter(log.kind == "order", log.day > start, log.day <= end)
    bought = orders.inner_join(counted, orders.member_id == counted.invitee)
    bought = bought.filter(bought.ts >= bought.accepted_at)
    credit = bought.group_by("inviter").aggregate(referral_value=bought["value"].sum())
    reward = (counted.day > start).ifelse(counted.reward, 0.0).sum()
    brought = counted.group_by("inviter").aggregate(invitees=counted.count(), reward_cost=reward)
    table = own.select(member_id=own["member_id"].cast("string"), own_value=own["monetary"].cast("float64"))
    for part in (credit, brought):
        table = table.left_join(part, table.member_id == part.inviter).drop("inviter")
    table = table.mutate(
        **{name: table[name].fill_null(0) for name in ("referral_value", "invitees", "reward_cost")}
    )
    frame = table.to_pandas().sort_values("member_id", ignore_index=True)
    # engines sum in no fixed order: the last bits must not reach a published number
    frame["referral_value"] = frame["referral_value"].round(VALUE_DECIMALS)
    frame = frame.assign(total_value=frame["own_value"] + frame["referral_value"])
    cells = value_cells(frame, "referral_value", rank="total_value")
    first = ~invites.own & (invites.place == 0)
    counts = invites.aggregate(
        inviters=invites.inviter.nunique(where=first),
        invitees=invites.count(where=first),
        self_invites=invites.count(where=invites.own),
        repeated_invites=invites.count(where=~invites.own & (invites.place > 0)),
    )
    return ReferralValue(
        table=frame,
        share_of_value=share_of_rank(cells, study.confidence, study.draws, study.seed),
        buyers=int(bought.member_id.nunique().execute()),
        unit=study.unit,
        **{name: int(count) for name, count in counts.execute().iloc[0].items()},
    )


def _accepted(study: Study) -> ibis.Table:
    """Return accepted invites up to a day: invite, inviter, invitee, accepted_at, day, reward, own, place."""
    referrals = study.dataset.referrals
    rewarded = "reward_cost" in referrals.columns
    table = referrals.select(
        invite=referrals["invite_id"],
        inviter=referrals["inviter_id"].cast("string"),
        invitee=referrals["invitee_id"].cast("string"),
        accepted_at=referrals["accepted_at"],
        day=local_date(referrals["accepted_at"], study.report_tz),
        reward=referrals["reward_cost"].fill_null(0.0).cast("float64") if rewarded else ibis.literal(0.0),
    )
    table = table.filter(
        table.accepted_at.notnull(), table.invitee.notnull(), table.day <= ibis.literal(study.as_of)
    )
    # invites of oneself take no place, so that they cannot displace the member who really invited
    own = table.inviter == table.invitee
    order = ibis.window(group_by=[table.invitee, own], order_by=[table.accepted_at, table.invite])
    return table.mutate(own=own, place=ibis.row_number().over(order))
