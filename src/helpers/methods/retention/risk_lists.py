"""Whom to nurture and whom to win back: contact lists from risk and value, each with a hold-out.

Risk is not uplift: who is most likely to leave is not who is most likely to be moved by a message. Each list
therefore holds members out at random, and what contact was worth is the difference between its arms.

- nurture: active members whose risk of silence and whose value are both in the upper part; the expected value is what
  silence would cost: probability of silence times value of a period.
- win_back: dormant members of value; the expected value is the probability of return times value of a period.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import ibis
import numpy as np
import pandas as pd

from helpers.checks import check_scalar
from helpers.data.source import as_table
from helpers.errors import BadData
from helpers.methods.retention.landmarks import ACTIVE
from helpers.methods.retention.risk import Risk
from helpers.methods.rfm.lists import ContactList, contact_list
from helpers.playbook.propose import Opportunity
from helpers.playbook.sentences import number, percent, say

NURTURE, WIN_BACK = "nurture", "win_back"


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
    """

    nurture: ContactList
    win_back: ContactList
    risk_limit: float
    value_limit: float
    active: int
    dormant: int

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
        """Who is on the lists, what they are worth, and the caution."""
        if np.isfinite(self.risk_limit):
            text = (
                "Of {n} active members, nurture holds those with a risk of {risk} or more and a value of {value} or "
                "more a period."
            )
            values = {
                "n": number(self.active),
                "risk": percent(self.risk_limit),
                "value": number(self.value_limit),
            }
            first = say(text, **values)
        else:
            first = say("Nobody active could be judged: too little data for a nurture list.")
        return " ".join([first, *(each.sentence for each in self.lists), self.caution])


def risk_lists(
    found: Risk,
    *,
    unit: str = "CNY",
    values: pd.DataFrame | None = None,
    consent: ibis.Table | pd.DataFrame | None = None,
    top_risk: float = 0.3,
    top_value: float = 0.3,
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
    values : pandas.DataFrame, optional
        member_id and value (expected value of the next period while active). Default: the past value of a period
        that :class:`helpers.methods.retention.risk.Risk` holds.
    consent : table, optional
        member_id and consent; only members who agreed are listed.
    top_risk, top_value : float
        Shares of active members that count as high risk, and of the active with value that count as high value.
    most : int, optional
        Longest list; the members of highest expected value are kept.
    holdout_share, seed, salt, k_min, confidence
        As in :func:`helpers.methods.rfm.lists.contact_list`.

    Raises
    ------
    BadData
        When a column of `values` or `consent` is missing or a member has two rows.
    """
    for share, name in ((top_risk, "top_risk"), (top_value, "top_value")):
        check_scalar(share, name, type_=(int, float), gt=0, le=1)
    members = _with_values(found, values)
    members = members if consent is None else members.merge(_unique(consent, "consent"), "left", "member_id")
    awake, judged = members["state"] == ACTIVE, members["probability"].notna()
    active, dormant = members[awake & judged], members[~awake & judged]
    worth = active[active["value"] > 0]
    risk_limit = float(active["probability"].quantile(1 - top_risk)) if len(worth) else float("nan")
    value_limit = float(worth["value"].quantile(1 - top_value)) if len(worth) else float("nan")
    nurtured = worth[(worth["probability"] >= risk_limit) & (worth["value"] >= value_limit)]
    settings = {"holdout_share": holdout_share, "seed": seed, "salt": salt, "k_min": k_min}

    def made(name: str, rows: pd.DataFrame, baseline: float | None) -> ContactList:
        return contact_list(
            _longest(rows, most),
            name=name,
            baseline=baseline,
            as_of=found.as_of,
            check_after_days=found.horizon_days,
            unit=unit,
            confidence=confidence,
            **settings,  # type: ignore[arg-type]
        )

    back = dormant[dormant["value"] > 0]
    return RiskLists(
        nurture=made(NURTURE, nurtured, _baseline(1 - nurtured["probability"])),
        win_back=made(WIN_BACK, back, _baseline(back["probability"])),
        risk_limit=risk_limit,
        value_limit=value_limit,
        active=int(awake.sum()),
        dormant=int((~awake).sum()),
    )


def check_day(lists: RiskLists) -> dt.date | None:
    """Return the day on which the arms of the lists are to be compared."""
    return lists.nurture.check_on


def opportunities(lists: RiskLists, *, days: int) -> list[Opportunity]:
    """Return the groups that actions may be aimed at: the published lists without their hold-outs.

    Parameters
    ----------
    lists : RiskLists
        The contact lists.
    days : int
        Length of the period that the expected values are for.
    """
    found = []
    for each in lists.lists:
        if each.withheld:
            continue
        mean = each.mean_value
        key = f"retention.{each.name}"
        found.append(
            Opportunity(
                key, each.contacted, mean.value, mean.low, mean.high, mean.confidence, each.unit, days
            )
        )
    return found


def _with_values(found: Risk, values: pd.DataFrame | None) -> pd.DataFrame:
    """Put the value of a period and the expected value beside each member."""
    members = found.members.copy()
    if values is not None:
        members = members.drop(columns="value").merge(_unique(values, "value"), "left", "member_id")
        members["value"] = members["value"].astype(float).fillna(0.0)
    if "tier" not in members:
        members["tier"] = members["state"]
    members["tier"] = members["tier"].astype(object).where(members["tier"].notna(), say("no tier"))
    members["expected_value"] = (members["probability"] * members["value"]).round(6)
    return members


def _unique(table: ibis.Table | pd.DataFrame, column: str) -> pd.DataFrame:
    frame = as_table(table).to_pandas()
    absent = [name for name in ("member_id", column) if name not in frame]
    if absent:
        raise BadData(
            f"{column}: column {', '.join(absent)} missing; there is {', '.join(map(str, frame.columns))}."
        )
    repeated = frame["member_id"][frame["member_id"].duplicated()]
    if len(repeated):
        raise BadData(f"{column}: {len(repeated):,} members have two rows, such as {repeated.iloc[0]!r}.")
    return frame[["member_id", column]].assign(member_id=frame["member_id"].astype(str))


def _longest(rows: pd.DataFrame, most: int | None) -> pd.DataFrame:
    ordered = rows.sort_values(["expected_value", "member_id"], ascending=[False, True], ignore_index=True)
    columns = ["member_id", "tier", "expected_value", *(["consent"] if "consent" in rows else [])]
    return ordered[columns] if most is None else ordered[columns].head(most)


def _baseline(shares: pd.Series) -> float | None:
    """Return the share expected to act without contact, from the model; None when there is nobody."""
    return float(np.clip(shares.mean(), 0.01, 0.99)) if len(shares) else None
