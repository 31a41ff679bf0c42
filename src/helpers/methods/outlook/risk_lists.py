"""Whom to nurture and whom to win back: contact lists from risk and value, each with a hold-out.

Risk is not uplift: who is most likely to leave is not who is most likely to be moved by a message. Each list
therefore holds members out at random, and what contact was worth is the difference between its arms.

- nurture: active members whose risk of silence and whose value are both in the upper part; the expected value is the
  probability of silence times what silence costs (:mod:`helpers.methods.outlook.silence_cost`), and none where no
  cost can be seen.
- win_back: dormant members in the upper part of expected value, which is unconditional: the chance that somebody
  comes back unasked is inside already.

The bounds of the values hold how far past windows lay from their predictions.
"""

from __future__ import annotations

from dataclasses import dataclass

import ibis
import numpy as np
import pandas as pd

from helpers.checks import check_scalar
from helpers.data.source import as_table
from helpers.errors import BadData, BadParameters
from helpers.methods.outlook.risk import Risk
from helpers.methods.outlook.silence_cost import SilenceCost, thirds
from helpers.playbook.contact import opportunities as list_actions
from helpers.playbook.contact.lists import ContactList, contact_list
from helpers.playbook.propose import Opportunity
from helpers.playbook.thresholds import threshold
from helpers.sentences import number, percent, quantity, say, with_interval
from helpers.stats.forecast.landmarks import ACTIVE
from helpers.stats.forecast.member_value import MemberValue
from helpers.study.frames import require_columns

NURTURE, WIN_BACK = "nurture", "win_back"
PLATEAU = 0.01
"""Probability by which the upper part of risk must stand above the median to be told apart."""


@dataclass(frozen=True)
class RiskLists:
    """The two lists; no member is on both.

    Attributes
    ----------
    nurture, win_back : ContactList
        The lists with their hold-outs.
    risk_limit, value_limit : float
        Probability of silence and value of a period from which an active member is on the nurture list; NaN when
        nobody could be judged.
    active, dormant : int
        Present members the lists were chosen from.
    plateau : bool
        Whether the upper part of risk cannot be told from the middle.
    provisional : bool
        Whether the forecast of value erred in one direction or could not be judged often enough.
    """

    nurture: ContactList
    win_back: ContactList
    risk_limit: float
    value_limit: float
    active: int
    dormant: int
    plateau: bool = False
    provisional: bool = False

    @property
    def lists(self) -> tuple[ContactList, ContactList]:
        """Both lists."""
        return self.nurture, self.win_back

    @property
    def caution(self) -> str:
        """Why a list is not yet a success."""
        return say(
            "Risk is not uplift: the members most likely to fall silent need not be those whom contact moves, and "
            "some come back on their own. Judge each list by its hold-out; notebook 03 (A/B tests) does it."
        )

    @property
    def sentence(self) -> str:
        """All of :attr:`sentences`."""
        return " ".join(self.sentences)

    @property
    def sentences(self) -> list[str]:
        """Who is on the lists, what each list is worth, and the caution."""
        if np.isfinite(self.risk_limit):
            text = (
                "Of {n} active members, the list “nurture” holds those with a risk of silence of {risk} or more and "
                "an expected value of {value} or more in the next period; “win back” holds dormant members."
            )
            values = {
                "n": number(self.active),
                "risk": percent(self.risk_limit),
                "value": quantity(self.value_limit, self.nurture.unit),
            }
            first = say(text, **values)
        else:
            first = say("Nobody active could be judged: too little data for a nurture list.")
        if self.plateau:
            first += " " + say(
                "The upper part of risk cannot be told from the middle (less than a point), so value alone chooses."
            )
        parts = [first, *(_said(each) for each in self.lists), self.caution]
        if self.provisional:
            parts.insert(-1, say("The values are provisional: see how the forecast of value did."))
        return parts


def list_name(each: ContactList) -> str:
    """Return the name of a list for readers: ``win_back -> 'win back'``."""
    return say(each.name.replace("_", " "))


def _said(each: ContactList) -> str:
    """Return size and worth of a list, each in the words that its expected value means."""
    if each.withheld:
        return each.sentence
    text = "List “{name}”: {size} members, {contacted} to contact and {held} held out."
    counts = {"size": each.size, "contacted": each.contacted, "held": each.held_out}
    parts = [say(text, name=list_name(each), **{name: number(value) for name, value in counts.items()})]
    mean, total = with_interval(each.mean_value), quantity(each.total_value.value, each.unit)
    if each.mean_value.known and each.name == NURTURE:
        worth = "By risk and cost, silence takes {mean} a member in the next period, {total} in all."
        parts.append(say(worth, mean=mean, total=total))
    elif each.mean_value.known:
        worth = "A member is expected to bring {mean} in the next period with or without a message, {total} in all."
        parts.append(say(worth, mean=mean, total=total))
    elif each.name == NURTURE:
        parts.append(say("Silence costs no sales that can be seen here, so the list has no value in money."))
    else:
        parts.append(say("What its members will bring is not known."))
    parts.append(each.power_sentence)
    if each.without_consent:
        parts.append(
            say("{n:,} members who did not agree to be contacted are left out.", n=each.without_consent)
        )
    return " ".join(parts)


def risk_lists(
    found: Risk,
    *,
    unit: str = "CNY",
    values: MemberValue | None = None,
    silence: SilenceCost | None = None,
    consent: ibis.Table | pd.DataFrame | None = None,
    top_risk: float | None = None,
    top_value: float | None = None,
    most: int | None = None,
    holdout_share: float = 0.1,
    seed: int = 0,
    salt: str | None = None,
    k_min: int = 10,
    confidence: float = 0.95,
) -> RiskLists:
    """Return the nurture list and the win-back list of today.

    Parameters
    ----------
    found : Risk
        Probabilities of the next period.
    unit : str
        Unit of the value.
    values : MemberValue, optional
        Expected value of each member in a period as long as that of `found`. Without it members are chosen by their
        past value, and the lists have no value in money.
    silence : SilenceCost, optional
        What silence costs; without it the nurture list has no value in money.
    consent : table, optional
        member_id and consent; only members who agreed are listed.
    top_risk : float, optional
        Share of active members that counts as high risk; by default the threshold ``lists.top_risk``.
    top_value : float, optional
        Share of active, and of dormant members that counts as high value; by default ``lists.top_value``.
    most : int, optional
        Longest list; the members of highest expected value are kept.
    holdout_share, seed, salt, k_min, confidence
        As in :func:`helpers.playbook.contact.lists.contact_list`.

    Raises
    ------
    BadData
        When a column of `consent` is missing or a member has two rows.
    BadParameters
        When `values` or `silence` is about a period of another length.
    """
    top_risk = float(threshold("lists.top_risk").value) if top_risk is None else top_risk
    top_value = float(threshold("lists.top_value").value) if top_value is None else top_value
    for share, name in ((top_risk, "top_risk"), (top_value, "top_value")):
        check_scalar(share, name, type_=(int, float), gt=0, le=1)
    for days, name in ((values, "values"), (silence, "silence")):
        if days is not None and days.horizon_days != found.horizon_days:
            raise BadParameters(
                f"{name}.horizon_days == {days.horizon_days}, must be that of the risk ({found.horizon_days})."
            )
    members = _with_values(found, values)
    members = members if consent is None else members.merge(_unique(consent, "consent"), "left", "member_id")
    awake, judged = members["state"] == ACTIVE, members["probability"].notna()
    active, dormant = members[awake & judged], members[~awake & judged]
    risk_limit, value_limit = _limit(active["probability"], top_risk), _limit(active["value"], top_value)
    active = active.assign(third=thirds(active["value"].to_numpy(float)))
    nurtured = active[
        (active["probability"] >= risk_limit) & (active["value"] >= value_limit) & (active["value"] > 0)
    ]
    back = dormant[(dormant["value"] >= _limit(dormant["value"], top_value)) & (dormant["value"] > 0)]
    settings = {"holdout_share": holdout_share, "seed": seed, "salt": salt, "k_min": k_min}

    def made(name: str, rows: pd.DataFrame, baseline: float | None) -> ContactList:
        return contact_list(
            rows,
            name=name,
            baseline=baseline,
            as_of=found.as_of,
            check_after_days=found.horizon_days,
            unit=unit,
            confidence=confidence,
            **settings,  # type: ignore[arg-type]
        )

    return RiskLists(
        nurture=made(NURTURE, _at_stake(nurtured, silence, most), _baseline(1 - nurtured["probability"])),
        win_back=made(WIN_BACK, _ahead(back, values, most), _baseline(back["probability"])),
        risk_limit=risk_limit,
        value_limit=value_limit,
        active=int(awake.sum()),
        dormant=int((~awake).sum()),
        plateau=bool(len(active)) and risk_limit - float(active["probability"].median()) <= PLATEAU,
        provisional=values is not None and values.spread is not None and values.spread.provisional,
    )


def _limit(values: pd.Series, top: float) -> float:
    """Return from where on a value belongs to the top share; NaN when there is nobody."""
    return float(values.quantile(1 - top)) if len(values) else float("nan")


def opportunities(lists: RiskLists, *, days: int) -> list[Opportunity]:
    """Return the groups that actions may be aimed at, see :mod:`helpers.playbook.contact.opportunities`."""
    return list_actions.opportunities(lists.lists, method="retention", days=days)


def _with_values(found: Risk, values: MemberValue | None) -> pd.DataFrame:
    """Put the value of a period beside each member: the expected one, or without a forecast the past one."""
    members = found.members.copy()
    if values is not None and values.known:
        ahead = values.members.rename(columns={"expected_value": "value"})[["member_id", "value"]]
        members = members.drop(columns="value").merge(ahead, "left", "member_id")
        members["value"] = members["value"].astype(float).fillna(0.0)
    if "tier" not in members:
        members["tier"] = members["state"]
    members["tier"] = members["tier"].astype(object).where(members["tier"].notna(), say("no tier"))
    return members.sort_values("member_id", ignore_index=True)


def _at_stake(rows: pd.DataFrame, silence: SilenceCost | None, most: int | None) -> pd.DataFrame:
    """Return the nurture list: risk times the cost of silence in the member's third, none if that may be 0."""
    rows = _longest(rows.assign(order=rows["probability"] * rows["value"]), most)
    costs = {third: silence.of(third) for third in rows["third"].unique()} if silence is not None else {}
    seen = silence is not None and all(each.known for each in costs.values())
    for column, bound in (("expected_value", "value"), ("expected_low", "low"), ("expected_high", "high")):
        cost = rows["third"].map({third: getattr(each, bound) for third, each in costs.items()})
        rows[column] = rows["probability"] * cost.astype(float) if seen else np.nan
    if seen and len(rows) and rows["expected_low"].mean() <= 0:
        rows[["expected_value", "expected_low", "expected_high"]] = np.nan
    return rows[_columns(rows)]


def _ahead(rows: pd.DataFrame, values: MemberValue | None, most: int | None) -> pd.DataFrame:
    """Return the win-back list: expected value as it is, with the error of past windows."""
    rows = _longest(rows.assign(order=rows["value"]), most)
    known = values is not None and values.known and values.spread is not None
    factors = values.spread.factors(rows["value"].to_numpy(float)) if known else (np.nan, np.nan)  # type: ignore[union-attr]
    rows["expected_value"] = rows["value"] if known else np.nan
    rows["expected_low"], rows["expected_high"] = (rows["expected_value"] * factor for factor in factors)
    return rows[_columns(rows)]


def _columns(rows: pd.DataFrame) -> list[str]:
    consent = ["consent"] if "consent" in rows else []
    return ["member_id", "tier", "expected_value", "expected_low", "expected_high", *consent]


def _unique(table: ibis.Table | pd.DataFrame, column: str) -> pd.DataFrame:
    frame = as_table(table).to_pandas()
    require_columns(frame, ("member_id", column), column)
    repeated = frame["member_id"][frame["member_id"].duplicated()]
    if len(repeated):
        raise BadData(f"{column}: {len(repeated):,} members have two rows, such as {repeated.iloc[0]!r}.")
    return frame[["member_id", column]].assign(member_id=frame["member_id"].astype(str))


def _longest(rows: pd.DataFrame, most: int | None) -> pd.DataFrame:
    """Return those first in order; only they would be contacted, so the others must not be on the list."""
    ordered = rows.sort_values(["order", "member_id"], ascending=[False, True], ignore_index=True)
    return ordered if most is None else ordered.head(most).copy()


def _baseline(shares: pd.Series) -> float | None:
    """Return the share expected to act without contact, from the model; None when there is nobody."""
    return float(np.clip(shares.mean(), 0.01, 0.99)) if len(shares) else None
