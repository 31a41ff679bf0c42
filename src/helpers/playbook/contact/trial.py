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

from helpers.checks import check_confidence, check_scalar
from helpers.data.privacy import pseudonymise
from helpers.data.source import as_table
from helpers.errors import BadData
from helpers.sentences import quantity, say, with_interval
from helpers.stats.estimate import Estimate, difference_of_proportions, unknown
from helpers.study.frames import require_columns, require_unique

CONTACT, HOLDOUT = "contact", "hold-out"
FEWEST_HELD_OUT = 10  # below, the normal limits that the power rests on are too rough to plan by


def assign_arms(ids: pd.Series, *, day: dt.date | None, seed: int, holdout_share: float) -> pd.Series:
    """Return "contact" or "hold-out" for every id, the same for the same id, day and seed on every list.

    The first 64 bits of HMAC-SHA256 of the id under the day and the seed, read as a number from 0 to 1, fall below
    `holdout_share` or not. Raising the share therefore only adds members to the hold-out.
    """
    check_scalar(holdout_share, "holdout_share", type_=(int, float), gt=0, lt=1)
    key = f"{'' if day is None else day.isoformat()}\x1f{seed}".encode()
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
    limit = stats.norm.ppf(0.5 + confidence / 2) * under_null
    if spread == 0:
        return float(abs(difference) > limit)
    return float(
        stats.norm.cdf((difference - limit) / spread) + stats.norm.cdf((-difference - limit) / spread)
    )


def detectable_difference(
    contacted: int, held_out: int, baseline: float, *, confidence: float = 0.95, power: float = 0.8
) -> float:
    """Return the smallest rise of a share above `baseline` that is found with probability `power`.

    NaN when an arm is empty or even a rise to 100 % would be missed too often.
    """
    check_confidence(confidence)
    check_scalar(power, "power", type_=float, gt=1 - confidence, lt=1)
    check_scalar(baseline, "baseline", type_=(int, float), gt=0, lt=1)
    if not (contacted and held_out):
        return np.nan

    def shortfall(difference: float) -> float:
        return power_of_difference(difference, baseline, contacted, held_out, confidence) - power

    if shortfall(1 - baseline) < 0:
        return np.nan
    return float(optimize.brentq(shortfall, 1e-12, 1 - baseline, xtol=1e-10))


def measurable(held_out: int, detectable: float) -> bool:
    """Return whether a hold-out is large enough to show what contact was worth; no action rests on one that is not.

    Parameters
    ----------
    held_out : int
        Members held out.
    detectable : float
        From `detectable_difference`.
    """
    return held_out >= FEWEST_HELD_OUT and bool(np.isfinite(detectable))


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
    without_outcome : int
        Listed members without an outcome; they count as 0.
    """

    name: str
    contact: float
    holdout: float
    contacted: int
    held_out: int
    difference: Estimate
    without_outcome: int

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
        if not self.difference.known:
            return say(
                "List {name}: too little data to compare {n1:,} contacted with {n0:,} held-out members.",
                name=self.name,
                n1=self.contacted,
                n0=self.held_out,
            )
        return say(
            "List {name}: {first} among {n1:,} contacted and {second} among {n0:,} held-out members, a difference of "
            "{difference}: {verdict}.",
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
    freedom = parts.sum() ** 2 / sum(p**2 / (len(x) - 1) for p, x in zip(parts, (first, second), strict=True))
    step = float(stats.t.ppf(0.5 + confidence / 2, freedom)) * error
    delta = float(first.mean() - second.mean())
    return Estimate(delta, delta - step, delta + step, n, unit, "Welch", confidence)


def evaluate_list(
    listed: pd.DataFrame,
    outcomes: ibis.Table | pd.DataFrame,
    *,
    outcome: str,
    kind: Literal["share", "amount"],
    name: str,
    member: str = "member_id",
    salt: str | None = None,
    unit: str = "CNY",
    confidence: float = 0.95,
) -> ListEvaluation:
    """Compare the arms of a published list by an outcome of the next period.

    Everyone assigned counts, reached or not (intention to treat); a listed member without an outcome counts as 0.

    Parameters
    ----------
    listed : pandas.DataFrame
        The published frame: member_id (pseudonyms) and arm.
    outcomes : ibis.Table or pandas.DataFrame
        One row per member with the plain id in `member` and the number or flag in `outcome`.
    kind : {"share", "amount"}
        Whether the outcome is 0 or 1, or an amount in `unit`.
    salt : str, optional
        Salt of the pseudonyms in `listed`.

    Raises
    ------
    BadData
        When a column is missing, an arm or an outcome is not understood, a member has two rows, or no pseudonym of
        the list is among the outcomes (usually another salt).
    """
    check_confidence(confidence)
    check_scalar(kind, "kind", in_=("share", "amount"))
    value = _outcome(as_table(outcomes), outcome, member, name, salt)
    _check_listed(listed, value, name)
    found = listed["member_id"].isin(value.index)
    result = listed["member_id"].map(value).fillna(0.0).to_numpy(float)
    if kind == "share" and not np.isin(result, (0, 1)).all():
        odd = result[~np.isin(result, (0, 1))]
        raise BadData(
            f"list {name}: {len(odd):,} values of {outcome} are neither 0 nor 1, such as {odd[0]:g}."
        )
    first, second = (result[(listed["arm"] == arm).to_numpy()] for arm in (CONTACT, HOLDOUT))
    if kind == "share":
        counts = int(first.sum()), len(first), int(second.sum()), len(second)
        difference = difference_of_proportions(*counts, confidence)
    else:
        difference = welch(first, second, unit=unit, confidence=confidence)
    return ListEvaluation(
        name=name,
        contact=float(first.mean()) if len(first) else np.nan,
        holdout=float(second.mean()) if len(second) else np.nan,
        contacted=len(first),
        held_out=len(second),
        difference=difference,
        without_outcome=int((~found).sum()),
    )


def _check_listed(listed: pd.DataFrame, value: pd.Series, name: str) -> None:
    missing = [column for column in ("member_id", "arm") if column not in listed]
    if missing:
        raise BadData(
            f"list {name}: column {', '.join(missing)} missing; there are {', '.join(listed.columns)}."
        )
    strange = listed.loc[~listed["arm"].isin((CONTACT, HOLDOUT)), "arm"]
    if len(strange):
        raise BadData(
            f"list {name}: {len(strange):,} arms are neither {CONTACT!r} nor {HOLDOUT!r}, "
            f"such as {strange.iloc[0]!r}."
        )
    repeated = listed["member_id"].duplicated()
    if repeated.any():
        example = listed.loc[repeated, "member_id"].iloc[0]
        raise BadData(f"list {name}: {int(repeated.sum()):,} members are listed twice, such as {example!r}.")
    if len(listed) and not listed["member_id"].isin(value.index).any():
        raise BadData(
            f"list {name}: none of {len(listed):,} pseudonyms is among the outcomes; is the salt the same?"
        )


def _outcome(table: ibis.Table, outcome: str, member: str, name: str, salt: str | None) -> pd.Series:
    require_columns(table, [member, outcome], f"outcomes of list {name}")
    require_unique(table, member, f"outcomes of list {name}")
    frame = table.select(
        member_id=table[member].cast("string"), value=table[outcome].cast("float64")
    ).execute()
    if frame["value"].isna().any():
        count, example = (
            int(frame["value"].isna().sum()),
            frame.loc[frame["value"].isna(), "member_id"].iloc[0],
        )
        raise BadData(
            f"outcomes of list {name}: {outcome} missing in {count:,} rows, for example {example!r}."
        )
    return frame.set_index(pseudonymise(frame["member_id"], salt))["value"]
