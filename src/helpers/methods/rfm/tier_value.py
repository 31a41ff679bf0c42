"""Value of a member by tier, and how many times the top tier is worth the bottom tier.

The mean of a tier gets a studentised member bootstrap interval, because value has many zeros and a heavy tail,
where the normal and the percentile interval are too short above. The ratio of two tiers is studentised on the
log scale, its standard error by the delta method: ``var(log R) = var(m1) / m1^2 + var(m0) / m0^2``.

Value measured in the window that also set the tier is circular when the tier uses money, and flattering in any
case: members are in the top tier partly because of a good month. The honest number is the period after.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import ibis
import numpy as np
import pandas as pd

from helpers.checks import check_scalar, did_you_mean
from helpers.errors import BadData, BadParameters
from helpers.playbook.thresholds import Comparison, Threshold, threshold
from helpers.sentences import interval, number, say, with_interval
from helpers.stats.estimate import Estimate, unknown
from helpers.stats.resample import (
    MeanValue,
    mean_value,
    studentised_interval,
    value_cells,
)

Measured = Literal["same window", "next period"]


@dataclass(frozen=True)
class TierValue:
    """Value by tier and the ratio of the top to the bottom tier.

    Attributes
    ----------
    table : pandas.DataFrame
        One row per tier from low to high: tier, n, members_with_value, total, share_of_value, mean, low, high,
        unit, measured, method.
    ratio : Estimate
        Mean value in the top tier divided by that in the bottom tier.
    top, bottom : str
        The two tiers.
    claim : Threshold
        The range the ratio is said to lie in.
    measured : str
        ``"next period"`` or ``"same window"``.
    circular : bool
        Whether the tier was set by the very value that is compared.
    unit : str
        Unit of the value.
    problem : str
        Why there is no ratio; empty otherwise.
    days : int or None
        Length of the period the value was measured in, when told.
    """

    table: pd.DataFrame
    ratio: Estimate
    top: str
    bottom: str
    claim: Threshold
    measured: Measured
    circular: bool
    unit: str
    problem: str
    days: int | None = None

    @property
    def verdict(self) -> Comparison:
        """Whether the whole interval of the ratio lies inside, above or below the claimed range."""
        return self.claim.compare(self.ratio.low, self.ratio.high) if self.ratio.known else "cannot tell"

    @property
    def sentence(self) -> str:
        """What the ratio says about the claim, in plain words."""
        low, high = self.claim.bounds
        places = {
            "inside": say("inside the claimed {low:g} to {high:g} times", low=low, high=high),
            "above": say("above the claimed {low:g} to {high:g} times", low=low, high=high),
            "below": say("below the claimed {low:g} to {high:g} times", low=low, high=high),
            "cannot tell": say(
                "too uncertain to place against the claimed {low:g} to {high:g}", low=low, high=high
            ),
        }
        period = self._period()
        if self.problem:
            text = say("{period}, the ratio is not known: {problem}.", period=period, problem=self.problem)
        else:
            text = say(
                "{period}, a member of {top} brings {first}, one of {bottom} {second}: {ratio}, {place}.",
                period=period,
                top=self.top,
                first=self._mean(self.top),
                bottom=self.bottom,
                second=self._mean(self.bottom),
                ratio=self._ratio(),
                place=places[self.verdict],
            )
            if self.days is not None:
                text += " " + say(
                    "The claim speaks of lifetime value; this is {days:,} days.", days=self.days
                )
        if self.circular:
            text += " " + say("The number is circular: this same value helped to set the tier.")
        elif self.measured == "same window":
            text += " " + say("The tier was set in the same window, which flatters the top tier.")
        return text

    def _period(self) -> str:
        if self.measured == "next period":
            known = self.days is not None
            return say("In the next {days:,} days", days=self.days) if known else say("In the next period")
        if self.days is None:
            return say("In the window itself")
        return say("In the window of {days:,} days itself", days=self.days)

    def _ratio(self) -> str:
        sizes = self.table.set_index("tier")["n"]
        return say(
            "{ratio} times as much ({interval}, n = {first:,} and {second:,})",
            ratio=number(self.ratio.value),
            interval=interval(self.ratio.low, self.ratio.high, self.ratio.unit),
            first=sizes[self.top],
            second=sizes[self.bottom],
        )

    def _mean(self, tier: str) -> str:
        row = self.table[self.table["tier"] == tier].iloc[0]
        mean, low, high = (float(row[column]) for column in ("mean", "low", "high"))
        return with_interval(Estimate(mean, low, high, int(row["n"]), self.unit, "", self.ratio.confidence))


def ratio_of_means(top: MeanValue, bottom: MeanValue, confidence: float) -> tuple[Estimate, str]:
    """Return the ratio of two independent means with its interval, or an unknown one and the reason.

    The interval is the studentised member bootstrap of the log ratio.
    """
    n = top.estimate.n + bottom.estimate.n
    for part, name in ((bottom, say("bottom")), (top, say("top"))):
        if part.estimate.n == 0:
            return unknown(0, "ratio", confidence), say("nobody is in the {name} tier", name=name)
        if part.with_value == 0:
            reason = say("ratio undefined because the {name} tier has no value", name=name)
            return unknown(n, "ratio", confidence), reason
        if not part.estimate.known:
            reason = say(
                "too little data, {m} members of the {name} tier have value", m=part.with_value, name=name
            )
            return unknown(n, "ratio", confidence), reason
        if part.mean <= 0:
            reason = say("ratio undefined because refunds exceed sales in the {name} tier", name=name)
            return unknown(n, "ratio", confidence), reason
    error = float(np.hypot(top.error / top.mean, bottom.error / bottom.mean))
    with np.errstate(divide="ignore", invalid="ignore"):
        draws = np.log(top.means) - np.log(bottom.means)
        errors = np.hypot(top.errors / top.means, bottom.errors / bottom.means)
    value = float(np.log(top.mean / bottom.mean))
    low, high, method = studentised_interval(value, error, draws, errors, confidence=confidence)
    ratio, low, high = (float(each) for each in np.exp([value, low, high]))
    return Estimate(ratio, low, high, n, "ratio", f"{method} of the log ratio", confidence), ""


def _check_order(found: Sequence[str], order: Sequence[str]) -> None:
    if len(order) < 2 or len(set(order)) != len(order):
        raise BadParameters(
            f"order == {list(order)!r}, must name at least two different tiers, lowest first."
        )
    strangers = [label for label in found if label not in order]
    if strangers:
        hint = did_you_mean(strangers[0], order)
        raise BadData(f"members: tier {strangers[0]!r} is not one of {', '.join(order)}.{hint}")


def tier_value(
    members: ibis.Table | pd.DataFrame,
    *,
    order: Sequence[str],
    measured: Measured,
    tier_uses_value: bool,
    value: str = "monetary",
    tier: str = "tier",
    top: str | None = None,
    bottom: str | None = None,
    claim: Threshold | None = None,
    unit: str = "CNY",
    confidence: float = 0.95,
    draws: int = 1000,
    seed: int = 0,
    days: int | None = None,
) -> TierValue:
    """Measure value a member by tier and the ratio of the top to the bottom tier.

    Parameters
    ----------
    members : ibis.Table or pandas.DataFrame
        One row per member with `tier` and `value`; a member without value holds 0.
    order : sequence of str
        Tiers from low to high.
    measured : {"same window", "next period"}
        Whether `value` comes from the window that set the tier or from the period after it.
    tier_uses_value : bool
        Whether the rules of the tier look at money; with ``"same window"`` the result is then circular.
    top, bottom : str, optional
        The tiers to compare; highest and lowest of `order` when not given.
    claim : Threshold, optional
        The claimed range; ``tiers.value_ratio`` when not given.
    unit, confidence, draws, seed :
        Unit of the value, level of the intervals, number of member resamples and their seed.
    days : int, optional
        Length of the period `value` was measured in, for the sentence.
    """
    if days is not None:
        check_scalar(days, "days", type_=int, ge=1)
    check_scalar(measured, "measured", in_=("same window", "next period"))
    cells = value_cells(members, value, by=tier)
    _check_order(list(dict.fromkeys(cells["group"])), order)
    top = check_scalar(top or order[-1], "top", in_=order)
    bottom = check_scalar(bottom or order[0], "bottom", in_=order)
    means = {
        label: mean_value(
            cells[cells["group"] == label], unit=unit, confidence=confidence, draws=draws, seed=each
        )
        for each, label in enumerate(order, start=1000 * seed)
    }
    ratio, problem = ratio_of_means(means[top], means[bottom], confidence)
    return TierValue(
        table=_table(means, unit, measured),
        ratio=ratio,
        top=top,
        bottom=bottom,
        claim=claim or threshold("tiers.value_ratio"),
        measured=measured,
        circular=tier_uses_value and measured == "same window",
        unit=unit,
        problem=problem,
        days=days,
    )


def _table(means: dict[str, MeanValue], unit: str, measured: str) -> pd.DataFrame:
    total = sum(part.total for part in means.values())
    return pd.DataFrame(
        {
            "tier": label,
            "n": part.estimate.n,
            "members_with_value": part.with_value,
            "total": part.total,
            "share_of_value": part.total / total if total > 0 else np.nan,
            "mean": part.mean,
            "low": part.estimate.low,
            "high": part.estimate.high,
            "unit": unit,
            "measured": measured,
            "method": part.estimate.method,
        }
        for label, part in means.items()
    )
