"""Whom to nurture and whom to win back: contact lists from risk and value, each with a hold-out.

Risk is not uplift: who is most likely to leave is not who is most likely to be moved by a message. Each list
therefore holds members out at random, and what contact was worth is the difference between its arms.

- nurture: active members whose risk of silence and whose value are both in the upper part; the expected value is the
  probability of silence times what silence costs (:mod:`helpers.methods.outlook.silence_cost`), and none where no
  cost can be seen.
- win_back: dormant members in the upper part of expected value, which is unconditional: the chance that somebody
  comes back unasked is inside already.

The bounds of the values hold how far past windows lay from their predictions.

In a community of which only a sample was predicted, the limits are those of the sample. Each list is then chosen
among the `MOST_LISTED` members of highest expected value who stand above the limit, or among the sample where no
value could be predicted; how many are left out is said.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from helpers.data import privacy
from helpers.data.source import as_table, pulled
from helpers.methods.outlook.member_value import MemberValue
from helpers.methods.outlook.risk import Risk
from helpers.methods.outlook.silence_cost import SilenceCost, thirds
from helpers.playbook.contact.lists import ContactList, contact_list, with_bounds
from helpers.playbook.result import Part, Result
from helpers.playbook.thresholds import threshold
from helpers.sentences import people, percent, quantity, say, with_interval
from helpers.stats.forecast.landmarks import ACTIVE, DORMANT
from helpers.study import Study
from helpers.study.frames import materialise

NURTURE, WIN_BACK = "nurture", "win_back"
MOST_LISTED = 5_000
"""Members that a list is chosen among, where it cannot be everybody."""
PLATEAU = 0.01
"""Probability by which the upper part of risk must stand above the median to be told apart."""


@dataclass(frozen=True, repr=False)
class RiskLists(Result):
    """The two lists; no member is on both.

    Attributes
    ----------
    nurture, win_back : ContactList
        The lists with their hold-outs.
    risk_limit, value_limit : float
        Probability of silence and value of a period from which an active member is on the nurture list; NaN when
        nobody could be judged.
    active : int
        Active members the nurture list was chosen from.
    plateau : bool
        Whether the upper part of risk cannot be told from the middle.
    provisional : bool
        Whether the forecast of value erred in one direction or could not be judged often enough.
    left_out : mapping of str to int
        By list, members whom it could not be chosen among; with a forecast of value those above its limit.
    """

    nurture: ContactList
    win_back: ContactList
    risk_limit: float
    value_limit: float
    active: int
    plateau: bool
    provisional: bool
    left_out: Mapping[str, int] = field(default_factory=dict)

    @property
    def lists(self) -> tuple[ContactList, ContactList]:
        """Both lists."""
        return self.nurture, self.win_back

    @property
    def sentence(self) -> str:
        """Who is on the lists."""
        if not np.isfinite(self.risk_limit):
            return say("Nobody active could be judged: too little data for a nurture list.")
        return say(
            "“Nurture” lists active members with a risk of silence from {risk} and a value from {value} on; "
            "“win back” lists silent members worth it.",
            risk=percent(self.risk_limit),
            value=quantity(self.value_limit, self.nurture.unit),
        )

    def parts(self) -> Iterator[Part]:
        """Yield who is on the lists, each list with what it is worth, and why a list is not yet a success."""
        yield self.sentence
        for each in self.lists:
            yield _said(each)
            if left := self.left_out.get(each.name):
                text = (
                    "{name} is cut: {left} more members were not looked at, because of lower value, or not in the "
                    "sample where no value is foretold."
                )
                yield say(text, name=each.caption, left=people(left, each.k_min))
            if not each.withheld:
                yield each
        if self.plateau:
            yield say(
                "The upper part of risk lies less than a point above the middle, so value alone chooses."
            )
        if self.provisional:
            yield say("The values are provisional: see how the forecast of value did.")
        yield say(
            "Risk is not uplift: the members most likely to fall silent need not be those whom contact moves. Judge "
            "each list by its hold-out, as outlook.evaluate_list does."
        )
        yield privacy.salt_sentence()


def _said(each: ContactList) -> str:
    """Return size and worth of a list, each in the words that its expected value means."""
    if each.withheld:
        return each.sentence
    nurture, known = each.name == NURTURE, each.mean_value.known
    text = "{name}: {contacted:,} to contact, {held} held out. What its members will bring is not known."
    if known and nurture:
        text = (
            "{name}: {contacted:,} to contact, {held} held out. Silence is expected to take {mean} from each."
        )
    elif known:
        text = "{name}: {contacted:,} to contact, {held} held out. Each brings {mean}, contacted or not."
    elif nurture:
        text = (
            "{name}: {contacted:,} to contact, {held} held out. Silence costs no sales that can be seen here."
        )
    counts = {"contacted": each.contacted, "held": people(each.held_out, each.k_min)}
    said = say(text, name=each.caption, mean=with_interval(each.mean_value), **counts)
    return " ".join(filter(None, [said, each.power_sentence, each.consent_sentence]))


def risk_lists(
    study: Study, risk: Risk, values: MemberValue, cost: SilenceCost, *, holdout_share: float = 0.1
) -> RiskLists:
    """Return the nurture list and the win-back list of today.

    Parameters
    ----------
    study : Study
        Where its members table says who agreed to be contacted, only they are listed.
    risk : Risk
        Probabilities of the next period.
    values : MemberValue
        Expected value of each member in a period as long as that of `risk`. Where it is not known members are chosen
        by their past value, and the lists have no value in money.
    cost : SilenceCost
        What silence costs; where it is not known the nurture list has no value in money.
    holdout_share : float
        Share of each list that is left alone.
    """
    members = _with_values(risk.members, values)
    top_risk, top_value = (threshold(f"lists.top_{name}").value for name in ("risk", "value"))
    awake, judged = members["state"] == ACTIVE, members["probability"].notna()
    active, dormant = members[awake & judged], members[~awake & judged]
    risk_limit, value_limit = _limit(active["probability"], top_risk), _limit(active["value"], top_value)
    active = active.assign(third=thirds(active["value"].to_numpy(float)))
    high, more = _above(active, ACTIVE, value_limit, risk, values)
    high = high[high["probability"] >= risk_limit]
    if "third" not in high:
        # Members who were looked up are not all in the sample, whose thirds begin at these.
        third = active.groupby("third")["value"].min()
        high = high.assign(third=np.searchsorted(third, high["value"], side="right"))
    nurtured = _at_stake(high, cost)
    back, others = _above(dormant, DORMANT, _limit(dormant["value"], top_value), risk, values)
    back = with_bounds(back.assign(expected_value=back["value"]), values.spread)
    settings: dict[str, Any] = {"holdout_share": holdout_share, "days": risk.rows.horizon_days}
    stay, come = _baseline(1 - nurtured["probability"]), _baseline(back["probability"])
    nurtured, back = (_with_consent(study, each) for each in (nurtured, back))
    return RiskLists(
        study=study, nurture=contact_list(study, nurtured, name=NURTURE, baseline=stay, **settings),
        win_back=contact_list(study, back, name=WIN_BACK, baseline=come, **settings), risk_limit=risk_limit,
        value_limit=value_limit, active=risk.expected_silent.n,
        plateau=bool(len(active)) and risk_limit - float(active["probability"].median()) <= PLATEAU,
        provisional=values.spread is not None and values.spread.provisional,
        left_out={NURTURE: more, WIN_BACK: others},
    )  # fmt: skip


def _limit(values: pd.Series, top: float) -> float:
    """Return from where on a value belongs to the top share; NaN when there is nobody."""
    return float(values.quantile(1 - top)) if len(values) else float("nan")


def _with_values(members: pd.DataFrame, values: MemberValue) -> pd.DataFrame:
    """Put the value of a period beside each member: the expected one, or without a forecast the past one."""
    members = members.assign(tier=members["state"])
    if values.known and values.ahead is not None:
        ahead = values.ahead.semi_join(as_table(members[["member_id"]]), "member_id")
        worth = pulled(ahead.select("member_id", "expected_value")).set_index("member_id")["expected_value"]
        members["value"] = members["member_id"].map(worth).fillna(0.0).astype(float)
    return members


def _above(
    judged: pd.DataFrame, state: str, limit: float, risk: Risk, values: MemberValue
) -> tuple[pd.DataFrame, int]:
    """Return members of a state whose value is positive and reaches a limit, with their probability.

    Those among `judged` where these are everybody, or no value was predicted; else the `MOST_LISTED` of highest
    value. Also how many more there are.
    """
    if risk.rows.whole or not values.known or values.ahead is None or not len(judged):
        sizes = None if risk.rows.whole else risk.rows.sizes
        more = 0 if sizes is None else int(sizes.loc[sizes["state"] == state, "members"].sum()) - len(judged)
        return judged[(judged["value"] >= limit) & (judged["value"] > 0)], more
    present = risk.rows.present
    ahead = present.filter(present.state == state).inner_join(values.ahead, "member_id")
    ahead = ahead.filter(ahead.expected_value >= limit, ahead.expected_value > 0)
    first = materialise(ahead.order_by([ahead.expected_value.desc(), "member_id"]).limit(MOST_LISTED))
    rows = risk.rows.today(first)
    rows = _with_values(rows[["member_id", "state"]].assign(probability=risk.chance_of[state](rows)), values)
    return rows, int(ahead.count().execute()) - len(rows)


def _with_consent(study: Study, rows: pd.DataFrame) -> pd.DataFrame:
    """Put beside each member whether it agreed to be contacted, where the members table says so."""
    if rows.empty or "consent" not in study.population.columns:
        return rows
    agreed = study.population.semi_join(as_table(rows[["member_id"]]), "member_id")
    return rows.merge(agreed.select("member_id", "consent").to_pandas(), "left", "member_id")


def _at_stake(rows: pd.DataFrame, cost: SilenceCost) -> pd.DataFrame:
    """Return the nurture list: risk times the cost of silence in the member's third, none if that may be 0."""
    costs = {third: cost.of(third) for third in rows["third"].unique()}
    seen = all(each.known for each in costs.values())
    for column, bound in (("expected_value", "value"), ("expected_low", "low"), ("expected_high", "high")):
        of_third = rows["third"].map({third: getattr(each, bound) for third, each in costs.items()})
        rows = rows.assign(**{column: rows["probability"] * of_third.astype(float) if seen else np.nan})
    if len(rows) and rows["expected_low"].mean() <= 0:
        rows = rows.assign(expected_value=np.nan, expected_low=np.nan, expected_high=np.nan)
    return rows


def _baseline(shares: pd.Series) -> float | None:
    """Return the share expected to act without contact, from the model; None when there is nobody."""
    return float(np.clip(shares.mean(), 0.01, 0.99)) if len(shares) else None
