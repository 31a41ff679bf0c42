"""The trial behind a contact list: who is held out, what the hold-out can show, and what it did show.

The arm of a member depends on the member's id, the day of the list and the seed alone (a keyed hash), so it is the
same in every run, whatever the order of the rows and whoever else is on the list. It does not depend on the list: a
member held out of one list is held out of all lists of that day, or the contact that one list spares it would reach
it through another and blur both comparisons. On another day others are held out.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
from dataclasses import dataclass
from typing import Literal

import ibis
import numpy as np
import pandas as pd
from scipy import optimize, stats

from helpers.checks import check_scalar
from helpers.data.dialect import number
from helpers.data.privacy import pseudonymise
from helpers.data.source import as_table
from helpers.errors import BadData
from helpers.sentences import quantity, say, with_interval
from helpers.stats.estimate import Estimate, difference_of_proportions, half_width, normal_estimate, unknown
from helpers.study.frames import require_columns, require_unique

CONTACT, HOLDOUT = "contact", "hold-out"
POWER = 0.8


def assign_arms(ids: pd.Series, *, day: dt.date, seed: int, holdout_share: float) -> pd.Series:
    """Return "contact" or "hold-out" for every id, the same for the same id, day and seed on every list.

    The first 64 bits of HMAC-SHA256 of the id under the day and the seed, read as a number from 0 to 1, fall below
    `holdout_share` or not. Raising the share therefore only adds members to the hold-out.
    """
    key = f"{day.isoformat()}\x1f{seed}".encode()
    limit = int(holdout_share * 2**64)
    digests = (hmac.digest(key, str(i).encode(), hashlib.sha256) for i in ids)
    held = [int.from_bytes(digest[:8], "big") < limit for digest in digests]
    return pd.Series(np.where(held, HOLDOUT, CONTACT), index=ids.index, name="arm", dtype="object")


def power_of_difference(
    difference: float, baseline: float, contacted: int, held_out: int, confidence: float
) -> float:
    """Return the power of the two-sided test of two proportions, pooled variance under no difference.

    Fleiss, Levin and Paik (2003), Statistical Methods for Rates and Proportions, section 4.2, without continuity
    correction: ``Phi((d - z s0) / s1) + Phi((-d - z s0) / s1)``.
    """
    share = baseline + difference
    pooled = (contacted * share + held_out * baseline) / (contacted + held_out)
    under_null = np.sqrt(pooled * (1 - pooled) * (1 / contacted + 1 / held_out))
    spread = np.sqrt(share * (1 - share) / contacted + baseline * (1 - baseline) / held_out)
    limit = half_width(under_null, confidence)
    if spread == 0:
        return float(abs(difference) > limit)
    return float(
        stats.norm.cdf((difference - limit) / spread) + stats.norm.cdf((-difference - limit) / spread)
    )


def detectable_difference(contacted: int, held_out: int, baseline: float, confidence: float = 0.95) -> float:
    """Return the smallest rise of a share above `baseline` that is found with probability `POWER`.

    NaN when an arm is empty or even a rise to 100 % would be missed too often.
    """
    if not (contacted and held_out):
        return np.nan

    def shortfall(difference: float) -> float:
        return power_of_difference(difference, baseline, contacted, held_out, confidence) - POWER

    if shortfall(1 - baseline) < 0:
        return np.nan
    return float(optimize.brentq(shortfall, 1e-12, 1 - baseline, xtol=1e-10))


@dataclass(frozen=True)
class ListEvaluation:
    """What contacting a list was worth, by comparison with its hold-out.

    Attributes
    ----------
    name : str
        Name of the list.
    contact, holdout : float
        Mean outcome in each arm.
    contacted, held_out : int
        Members in each arm, whether they were reached or not.
    difference : Estimate
        Contact minus hold-out, with Newcombe's interval for shares and Welch's for amounts.
    """

    name: str
    contact: float
    holdout: float
    contacted: int
    held_out: int
    difference: Estimate

    @property
    def verdict(self) -> str:
        """Whether contact was better, worse, or made no clear change."""
        if not self.difference.known:
            return "too little data"
        if self.difference.low > 0:
            return "better"
        return "worse" if self.difference.high < 0 else "no clear change"

    @property
    def sentence(self) -> str:
        """The difference between the arms, in plain words."""
        text = (
            "List {name}: {first} among {n1:,} contacted and {second} among {n0:,} held-out members, a difference of "
            "{difference}: {verdict}."
        )
        if not self.difference.known:
            text = "List {name}: too little data to compare {n1:,} contacted with {n0:,} held-out members."
        return say(
            text,
            name=self.name,
            first=quantity(self.contact, self.difference.unit),
            n1=self.contacted,
            second=quantity(self.holdout, self.difference.unit),
            n0=self.held_out,
            difference=with_interval(self.difference),
            verdict=say(self.verdict),
        )


def welch(first: np.ndarray, second: np.ndarray, *, unit: str, confidence: float) -> Estimate:
    """Return the difference of means with Welch's interval; unknown with fewer than two values in an arm."""
    n = len(first) + len(second)
    if min(len(first), len(second)) < 2:
        return unknown(n, unit, confidence)
    parts = np.array([np.var(x, ddof=1) / len(x) for x in (first, second)])
    error = float(np.sqrt(parts.sum()))
    if error == 0:
        return unknown(n, unit, confidence, "no variation in either arm")
    degrees = parts.sum() ** 2 / sum(p**2 / (len(x) - 1) for p, x in zip(parts, (first, second), strict=True))
    value = float(first.mean() - second.mean())
    return normal_estimate(value, error, n, unit, "Welch", confidence, degrees=float(degrees))


def evaluate_list(
    listed: pd.DataFrame,
    outcomes: ibis.Table | pd.DataFrame,
    *,
    outcome: str,
    kind: Literal["share", "amount"],
    name: str,
    unit: str = "CNY",
) -> ListEvaluation:
    """Compare the arms of a published list by an outcome of the next period, with a 95 % interval.

    Everyone assigned counts, reached or not (intention to treat); a listed member without an outcome counts as 0.

    Parameters
    ----------
    listed : pandas.DataFrame
        The published frame: member_id (pseudonyms) and arm.
    outcomes : ibis.Table or pandas.DataFrame
        One row per member with the plain id in member_id and the number or flag in `outcome`.
    outcome : str
        Name of that column.
    kind : {"share", "amount"}
        Whether the outcome is 0 or 1, or an amount in `unit`.
    name : str
        Name of the list.
    unit : str
        Unit of an amount.

    Raises
    ------
    BadData
        When a column is missing, an arm or an outcome is not understood, a member has two rows, or no pseudonym of
        the list is among the outcomes (usually another salt).
    """
    check_scalar(kind, "kind", in_=("share", "amount"))
    value = _outcome(as_table(outcomes), outcome, name)
    _check_listed(listed, value, name)
    result = listed["member_id"].map(value).fillna(0.0)
    odd = result[~result.isin((0, 1))]
    if kind == "share" and len(odd):
        raise BadData(
            say(
                "list {name}: {n:,} values of {outcome} are neither 0 nor 1, such as {example:g}.",
                name=name,
                n=len(odd),
                outcome=outcome,
                example=odd.iloc[0],
            )
        )
    first, second = (result[listed["arm"] == arm].to_numpy(float) for arm in (CONTACT, HOLDOUT))
    difference = welch(first, second, unit=unit, confidence=0.95)
    if kind == "share":
        difference = difference_of_proportions(
            int(first.sum()), len(first), int(second.sum()), len(second), 0.95
        )
    contact, holdout = (float(arm.mean()) if len(arm) else np.nan for arm in (first, second))
    return ListEvaluation(name, contact, holdout, len(first), len(second), difference)


def _check_listed(listed: pd.DataFrame, value: pd.Series, name: str) -> None:
    require_columns(listed, ("member_id", "arm"), f"list {name}")
    strange = listed.loc[~listed["arm"].isin((CONTACT, HOLDOUT)), "arm"]
    if len(strange):
        raise BadData(
            say(
                "list {name}: {n:,} arms are not {contact!r} or {holdout!r}, such as {example!r}.",
                name=name,
                n=len(strange),
                contact=CONTACT,
                holdout=HOLDOUT,
                example=strange.iloc[0],
            )
        )
    repeated = listed.loc[listed["member_id"].duplicated(), "member_id"]
    if len(repeated):
        raise BadData(
            say(
                "list {name}: {n:,} members are listed twice, such as {example!r}.",
                name=name,
                n=len(repeated),
                example=repeated.iloc[0],
            )
        )
    if len(listed) and not listed["member_id"].isin(value.index).any():
        raise BadData(
            say(
                "list {name}: none of {n:,} pseudonyms is among the outcomes; is the salt the same?",
                name=name,
                n=len(listed),
            )
        )


def _outcome(table: ibis.Table, outcome: str, name: str) -> pd.Series:
    require_columns(table, ["member_id", outcome], f"outcomes of list {name}")
    require_unique(table, "member_id", f"outcomes of list {name}")
    values = table.select(member_id=table.member_id.cast("string"), value=number(table[outcome]))
    frame = values.to_pandas()
    absent = frame.loc[frame["value"].isna(), "member_id"]
    if len(absent):
        raise BadData(
            say(
                "outcomes of list {name}: {outcome} missing in {n:,} rows, for example {example!r}.",
                name=name,
                outcome=outcome,
                n=len(absent),
                example=absent.iloc[0],
            )
        )
    return frame.set_index(pseudonymise(frame["member_id"]))["value"]
