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
from collections.abc import Iterator
from dataclasses import dataclass

import ibis
import numpy as np
import pandas as pd

from helpers.data.dialect import VALUE_DECIMALS, rounded
from helpers.data.source import local_date
from helpers.figures import Chart, NoChart
from helpers.methods.rfm import plots
from helpers.methods.rfm.concentration import Followed
from helpers.methods.rfm.scores import Scores
from helpers.playbook.finding import Finding, finding
from helpers.playbook.result import Result
from helpers.playbook.thresholds import Comparison, Threshold, threshold
from helpers.sentences import interval, number, people, quantity, say, with_interval
from helpers.stats.estimate import Estimate
from helpers.stats.resample import mean_value, ratio_of_means, share_of_rank, value_cells
from helpers.study import Study
from helpers.study.frames import materialise
from helpers.tables import Table


@dataclass(frozen=True, repr=False)
class TierValue(Result):
    """Value by tier in the period after the one that set the tier, and the ratio of the top to the bottom tier.

    Attributes
    ----------
    followed : Followed
        The members.
    table : pandas.DataFrame
        One row per tier from low to high: tier, n, members_with_value, total, share_of_value, mean, low, high.
    ratio : Estimate
        Mean value in the top tier divided by that in the bottom tier.
    claim : Threshold
        The range the ratio is said to lie in.
    """

    followed: Followed
    table: pd.DataFrame
    ratio: Estimate
    claim: Threshold

    @property
    def smallest(self) -> int | None:
        """Members of the smaller of the two tiers, when they are compared."""
        return min(self.table["n"].tolist()[:: len(self.table) - 1]) if self.ratio.known else None

    @property
    def verdict(self) -> Comparison:
        """Whether the whole interval of the ratio lies inside, above or below the claimed range."""
        return self.claim.compare(self.ratio.low, self.ratio.high) if self.ratio.known else "cannot tell"

    @property
    def sentence(self) -> str:
        """What the ratio says about the claim, in plain words."""
        bottom, *_, top = self.table.to_dict("records")
        unit = self.study.unit
        text = (
            "In the next {days:,} days too few members of {top} or {bottom} bring value to compare the two."
        )
        if self.ratio.known:
            text = (
                "In the next {days:,} days a member of {top} brings {most}, one of {bottom} {least}: {ratio} times "
                "as much ({bounds}). Against the claimed {low:g} to {high:g} times of a lifetime: {verdict}."
            )
        low, high = self.claim.bounds
        return say(
            text, days=self.followed.days, top=top["tier"], bottom=bottom["tier"], low=low, high=high,
            most=quantity(top["mean"], unit), least=quantity(bottom["mean"], unit), verdict=say(self.verdict),
            ratio=number(self.ratio.value), bounds=interval(self.ratio.low, self.ratio.high, "ratio"),
        )  # fmt: skip

    def tables(self) -> Iterator[Table]:
        """Yield the value by tier."""
        text = "{unit} a member by tier, in the {days} days after {split}"
        caption = say(text, unit=self.study.unit, days=self.followed.days, split=self.followed.split)
        note = say("Studentised member bootstrap.")
        yield Table("tier_value", self.table, caption, {"share_of_value": "share"}, note, members="n")

    def findings(self) -> Iterator[Finding]:
        """Yield the ratio."""
        text = "a {top} member is not shown to be worth more than a {bottom} one"
        if self.ratio.low > 1:
            text = "a {top} member is worth {ratio} times a {bottom} one"
        elif self.ratio.high < 1:
            text = "a {top} member is worth less than a {bottom} one"
        ends = {"bottom": self.table["tier"].iloc[0], "top": self.table["tier"].iloc[-1]}
        yield finding(
            self.ratio, id="rfm.tier_value_ratio", metric=say("member value, {top} ÷ {bottom}", **ends),
            scope=self.followed.scope, sentence=self.sentence, systems=("S006",),
            assumption=say("the next period stands for periods to come; a tier is a sign of value, not its cause"),
            headline=say(text, ratio=number(self.ratio.value, 1), **ends), definition="member_value",
            picture="tier_value",
        )  # fmt: skip

    def figure(self) -> Chart | NoChart:
        """Draw the value a member of each tier brings, with its interval."""
        rows = self.table[["tier", "n", "mean", "low", "high"]].dropna().reset_index(drop=True)
        if rows.empty or not self.ratio.known:
            return NoChart(say("Value a member by tier"), self.sentence, "tier_value")
        bottom, *_, top = rows.to_dict("records")
        unit, days, text = (
            self.study.unit,
            self.followed.days,
            "A {top} member brings {most}, a {bottom} one {least}",
        )
        most, least = (quantity(row["mean"], unit) for row in (top, bottom))
        title = say(text, top=top["tier"], most=most, bottom=bottom["tier"], least=least)
        label, kind = (
            say("{unit} a member in {days} days", unit=unit, days=days),
            say("Value a member by tier"),
        )
        figure = plots.intervals(rows["tier"].tolist(), rows.rename(columns={"mean": "value"}), label)
        return self.drawn("tier_value", kind, title, rows, figure, members="n")


def tier_value(study: Study, followed: Followed) -> TierValue:
    """Measure value a member by tier in the next period, and the ratio of the top to the bottom tier."""
    cells, order = value_cells(followed.table, "after", by="tier"), followed.labels
    means = {}
    for seed, label in enumerate(order, start=1000 * study.seed):
        own, unit = cells[cells["group"] == label], study.unit
        means[label] = mean_value(own, unit=unit, confidence=study.confidence, draws=study.draws, seed=seed)
    total = sum(part.total for part in means.values())
    whole = total if total > 0 else np.nan
    rows = [
        (label, m.estimate.n, m.with_value, m.total, m.total / whole, m.mean, *m.estimate[1:3])
        for label, m in means.items()
    ]
    columns = ["tier", "n", "members_with_value", "total", "share_of_value", "mean", "low", "high"]
    table = pd.DataFrame(rows, columns=columns)
    ratio = ratio_of_means(means[order[-1]], means[order[0]], study.confidence)
    return TierValue(study, followed, table, ratio, threshold("tiers.value_ratio"))


# --- referrals ---------------------------------------------------------------------------------------


@dataclass(frozen=True, repr=False)
class ReferralValue(Result):
    """What members brought by inviting others, beside what they spent themselves.

    Attributes
    ----------
    share_of_value : Estimate or None
        Referral value as a share of own and referral value together; None without a table of referrals.
    total, reward : float
        Value that invitees brought in the window, and what the invites accepted in it cost.
    inviters, invitees, buyers : int
        Scored members with an accepted invitee, the invitees they brought, and those of them who bought in
        the window. Invites of anybody else are in no number here.
    self_invites, repeated_invites : int
        Accepted invites of these members left out because a member invited themselves, or someone else had been
        accepted first.
    """

    share_of_value: Estimate | None = None
    total: float = 0.0
    reward: float = 0.0
    inviters: int = 0
    invitees: int = 0
    buyers: int = 0
    self_invites: int = 0
    repeated_invites: int = 0

    @property
    def smallest(self) -> int:
        """Invitees who bought."""
        return self.buyers

    @property
    def sentence(self) -> str:
        """What referrals are worth, in plain words."""
        if self.share_of_value is None or not self.invitees:
            return say("Referral value was not measured: no accepted invite is on record.")
        k_min, unit = self.study.k_min, self.study.unit
        text = (
            "{inviters} members brought {invitees} others, of whom {buyers} bought in the window for {total}, at "
            "{reward} of rewards: {share} of all value. An invitee may have come anyway, so this is an upper bound."
        )
        if self.self_invites or self.repeated_invites:
            text += "\nLeft out are {own} invites of oneself and {again} of someone accepted before."
        return say(
            text, inviters=people(self.inviters, k_min), invitees=people(self.invitees, k_min), buyers=self.buyers,
            share=with_interval(self.share_of_value), total=quantity(self.total, unit),
            reward=quantity(self.reward, unit), own=people(self.self_invites, k_min),
            again=people(self.repeated_invites, k_min),
        )  # fmt: skip


def referral_value(study: Study, scores: Scores) -> ReferralValue:
    """Credit the orders of invitees to the scored members who invited them.

    An invitee belongs to the first accepted invite (ties by invite id). Orders count from the acceptance on,
    inside the window of the scores; their value is that of the activity, so both kinds of M speak of the same
    money. Which invite came first is settled among all invites; what is then counted are the invites of the scored
    members, the same that totals and sample size speak of.
    """
    tables = study.dataset.tables
    if "referrals" not in tables or not {"invitee_id", "accepted_at"} <= set(tables["referrals"].columns):
        return ReferralValue(study)
    own, log, end = scores.table, study.activity, ibis.literal(study.as_of)
    start = ibis.literal(study.as_of - dt.timedelta(days=scores.window_days))
    # whoever invited first keeps the invitee, in the table of values or not; only then the others are left out
    accepted = materialise(_accepted(study))
    invites = materialise(accepted.semi_join(own, accepted.inviter == own["member_id"].cast("string")))
    counted = invites.filter(~invites.own, invites.place == 0)
    orders = log.filter(log.kind == "order", log.day > start, log.day <= end)
    bought = orders.inner_join(counted, orders.member_id == counted.invitee)
    bought = bought.filter(bought.ts >= bought.accepted_at)
    # engines sum in no fixed order: the last bits must not reach a published number
    credit = bought.group_by("inviter").aggregate(brought=rounded(bought["value"].sum(), VALUE_DECIMALS))
    table = own.select(member_id=own["member_id"].cast("string"), own=own["monetary"].cast("float64"))
    table = table.left_join(credit, table.member_id == credit.inviter).fill_null({"brought": 0.0})
    cells = value_cells(table.mutate(both=table.own + table.brought), "brought", rank="both")
    first, again = ~invites.own & (invites.place == 0), ~invites.own & (invites.place > 0)
    counts = invites.aggregate(
        inviters=invites.inviter.nunique(where=first), invitees=invites.count(where=first),
        self_invites=invites.count(where=invites.own), repeated_invites=invites.count(where=again),
    )  # fmt: skip
    found = {name: int(count) for name, count in counts.execute().iloc[0].items()}
    reward = float(counted.reward.sum(where=counted.day > start).fill_null(0.0).execute())
    total, buyers = float((cells["mean"] * cells["count"]).sum()), int(bought.member_id.nunique().execute())
    share = share_of_rank(cells, study.confidence, study.draws, study.seed)
    return ReferralValue(study, share, total, reward, buyers=buyers, **found)


def _accepted(study: Study) -> ibis.Table:
    """Return accepted invites up to a day: invite, inviter, invitee, accepted_at, day, reward, own, place."""
    referrals = study.dataset.referrals
    reward = ibis.literal(0.0)
    if "reward_cost" in referrals.columns:
        reward = referrals["reward_cost"].fill_null(0.0).cast("float64")
    table = referrals.select(
        "accepted_at", invite=referrals["invite_id"], inviter=referrals["inviter_id"].cast("string"),
        invitee=referrals["invitee_id"].cast("string"), reward=reward,
        day=local_date(referrals["accepted_at"], study.report_tz),
    )  # fmt: skip
    table = table.drop_null(["accepted_at", "invitee"]).filter(ibis._.day <= ibis.literal(study.as_of))
    # invites of oneself take no place, so that they cannot displace the member who really invited
    own = table.inviter == table.invitee
    order = ibis.window(group_by=[table.invitee, own], order_by=[table.accepted_at, table.invite])
    return table.mutate(own=own, place=ibis.row_number().over(order))
