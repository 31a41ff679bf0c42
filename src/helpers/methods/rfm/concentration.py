"""How concentrated value is: Lorenz curve, Gini index and the share of the top 20 % of members.

The statistics and their standard errors are in :mod:`helpers.stats.concentration`; intervals come from the
studentised member bootstrap. With refunds above sales a member holds a negative value: it counts as it is, is
named, and lets the Gini index pass 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import ibis
import numpy as np
import pandas as pd

from helpers.checks import check_confidence, check_scalar
from helpers.data.source import as_table
from helpers.sentences import percent, quantity, say, with_interval
from helpers.stats.concentration import GRID, gini_with_error, lorenz_ordinates, top_share_with_error
from helpers.stats.estimate import Estimate, unknown
from helpers.stats.resample import (
    FloatArray,
    Moments,
    observed,
    resamples,
    studentised_interval,
    value_cells,
)
from helpers.study.enough import RESAMPLED, RESAMPLED_WITH_VALUE
from helpers.study.frames import materialise, require_columns, require_unique


@dataclass(frozen=True)
class Concentration:
    """How a measured value is shared among members ranked by the same or another value.

    Attributes
    ----------
    top_share : Estimate
        Share of all value that the top members hold.
    gini : Estimate
        Gini index; unknown when members are ranked by another value than the measured one.
    lorenz : pandas.DataFrame
        Columns label, members_share (members from the lowest rank up), value_share, low, high, n; 101 rows,
        none when the value cannot be shared out. The band is pointwise.
    label : str
        Which period the value was measured in, such as ``"in the window"``.
    top : float
        Share of members called the top, 0.2 unless asked otherwise.
    n : int
        Number of members, those without value included.
    total : float
        Sum of the value.
    unit : str
        Unit of the value.
    zero_members, negative_members : int
        Members whose value is 0, and below 0.
    negative_total : float
        Sum of the values below 0.
    problem : str
        Why nothing could be computed; empty otherwise.
    """

    top_share: Estimate
    gini: Estimate
    lorenz: pd.DataFrame
    label: str
    top: float
    n: int
    total: float
    unit: str
    zero_members: int
    negative_members: int
    negative_total: float
    problem: str

    @property
    def table(self) -> pd.DataFrame:
        """One row per statistic: label, statistic, value, low, high, n, zero_members, negative_members."""
        names = {f"share of the top {percent(self.top, 0)}": self.top_share, "Gini index": self.gini}
        return pd.DataFrame(
            {
                "label": self.label,
                "statistic": statistic,
                "value": estimate.value,
                "low": estimate.low,
                "high": estimate.high,
                "n": self.n,
                "zero_members": self.zero_members,
                "negative_members": self.negative_members,
            }
            for statistic, estimate in names.items()
        )

    @property
    def sentence(self) -> str:
        """What the numbers say, in plain words."""
        label = self.label[:1].upper() + self.label[1:]
        if self.problem:
            return say("{label}, concentration cannot be told: {problem}.", label=label, problem=self.problem)
        text = say(
            "{label}, the top {top} of {n:,} members hold {share} of {total}.",
            label=label,
            top=percent(self.top, 0),
            n=self.n,
            share=with_interval(self.top_share),
            total=quantity(self.total, self.unit),
        )
        if self.gini.known:
            text += " " + say("The Gini index is {gini}.", gini=with_interval(self.gini._replace(unit="")))
        if self.zero_members:
            share = percent(self.zero_members / self.n)
            text += " " + say("{share} of the members have no value.", share=share)
        if self.negative_members:
            text += " " + say(
                "{n:,} members have a negative value, refunds above sales of {total} in all; they count as they are.",
                n=self.negative_members,
                total=quantity(-self.negative_total, self.unit),
            )
        return text


@dataclass(frozen=True)
class PeriodComparison:
    """Concentration in the window and in the hold-out that follows it, side by side.

    Attributes
    ----------
    window, holdout : Concentration
        Each period's value, members ranked by that same period's value.
    carried : Concentration
        Hold-out value of members ranked by their value in the window.
    later_members : int
        Members of the hold-out table that are not in the window's; they are left out of all three.
    later_total : float
        Their hold-out value.
    """

    window: Concentration
    holdout: Concentration
    carried: Concentration
    later_members: int
    later_total: float

    @property
    def parts(self) -> tuple[Concentration, Concentration, Concentration]:
        """The three concentrations in reading order."""
        return self.window, self.holdout, self.carried

    @property
    def table(self) -> pd.DataFrame:
        """The rows of :attr:`Concentration.table` of all three, without the Gini index that is not defined."""
        frame = pd.concat([part.table for part in self.parts], ignore_index=True)
        undefined = (frame.label == self.carried.label) & (frame.statistic == "Gini index")
        return frame[~undefined].reset_index(drop=True)

    @property
    def lorenz(self) -> pd.DataFrame:
        """The curves of all three."""
        return pd.concat([part.lorenz for part in self.parts if not part.problem] or [self.window.lorenz])

    @property
    def sentence(self) -> str:
        """Whether last period's top members still carry the value, in plain words."""
        problems = [part.sentence for part in self.parts if part.problem]
        if problems:
            return problems[0]
        text = say(
            "Last period's top {top} of members held {then} of the value then, and the top {top} of the period after "
            "hold {own} of its value. Both are inflated by ranking and counting on the same period; {carried} is the "
            "number to plan with: the share of the period after that last period's top {top} hold. {zero} of members "
            "have no value in it.",
            top=percent(self.carried.top, 0),
            then=with_interval(self.window.top_share),
            carried=with_interval(self.carried.top_share),
            own=with_interval(self.holdout.top_share),
            zero=percent(self.holdout.zero_members / self.holdout.n),
        )
        if self.later_members:
            text += " " + say(
                "{n:,} members who came later bring {total} and are left out.",
                n=self.later_members,
                total=quantity(self.later_total, self.window.unit),
            )
        return text


def _estimates(
    cells: pd.DataFrame, *, top: float, bounded: bool, confidence: float, draws: int, seed: int
) -> tuple[Estimate, Estimate, FloatArray, FloatArray]:
    """Return top share, Gini index, the curve and its draws of shape (draws, 101)."""
    n = int(cells["count"].sum())
    parts: dict[str, list[FloatArray]] = {"top": [], "gini": [], "curve": []}
    with np.errstate(divide="ignore", invalid="ignore"):
        for groups in resamples(cells, draws=draws, seed=seed):
            usable = groups.total.sum(axis=1) > 0
            groups = Moments(*(part[usable] for part in groups))
            parts["top"].append(np.array(top_share_with_error(groups, top)))
            parts["gini"].append(np.array(gini_with_error(groups)))
            parts["curve"].append(lorenz_ordinates(groups))
    data = observed(cells)
    estimates = []
    for name, (value, error) in (("top", top_share_with_error(data, top)), ("gini", gini_with_error(data))):
        low, high, method = studentised_interval(
            float(value[0]),
            float(error[0]),
            *np.concatenate(parts[name], axis=1),
            confidence=confidence,
            bounds=(0, 1) if bounded else (-np.inf, np.inf),
        )
        unit = "share" if name == "top" else "index"
        estimates.append(Estimate(float(value[0]), low, high, n, unit, method, confidence))
    return estimates[0], estimates[1], lorenz_ordinates(data)[0], np.concatenate(parts["curve"])


def _curve_frame(curve: FloatArray, draws: FloatArray, label: str, n: int, confidence: float) -> pd.DataFrame:
    low, high = np.quantile(draws, [(1 - confidence) / 2, (1 + confidence) / 2], axis=0)
    return pd.DataFrame(
        {"label": label, "members_share": GRID, "value_share": curve, "low": low, "high": high, "n": n}
    )


def _problem(n: int, with_value: int, total: float, negative: int) -> str:
    if n < RESAMPLED:
        return say("too little data, {n} members of at least {least} needed", n=n, least=RESAMPLED)
    if not with_value:
        return say("none of the {n:,} members has any value", n=n)
    if total <= 0 and negative:
        return say("refunds take up all the value of {n:,} members, so there are no shares of it", n=n)
    if with_value < RESAMPLED_WITH_VALUE:
        return say("too little data, only {few} of {n:,} members have value", few=with_value, n=n)
    return ""


def of_cells(
    cells: pd.DataFrame,
    *,
    label: str,
    top: float,
    unit: str,
    confidence: float,
    draws: int,
    seed: int,
    own_rank: bool = True,
) -> Concentration:
    """Return the concentration of compressed values (see :func:`concentration` for the parameters)."""
    check_scalar(top, "top", gt=0, lt=1)
    check_confidence(confidence)
    value, count = cells["mean"].to_numpy(), cells["count"].to_numpy()
    n, total, negative = int(count.sum()), float((value * count).sum()), int(cells["negative"].sum())
    problem = _problem(n, n - int(cells["zero"].sum()), total, negative)
    top_share, gini = unknown(n, "share", confidence), unknown(n, "index", confidence)
    lorenz = _curve_frame(GRID, GRID[None, :], label, n, confidence).iloc[:0]
    if not problem:
        top_share, gini, curve, curves = _estimates(
            cells, top=top, bounded=not negative, confidence=confidence, draws=draws, seed=seed
        )
        lorenz = _curve_frame(curve, curves, label, n, confidence)
    return Concentration(
        top_share=top_share,
        gini=gini if own_rank else unknown(n, "index", confidence, "not defined under another ranking"),
        lorenz=lorenz,
        label=label,
        top=top,
        n=n,
        total=total,
        unit=unit,
        zero_members=int(cells["zero"].sum()),
        negative_members=negative,
        negative_total=float(cells["negative_total"].sum()),
        problem=problem,
    )


def concentration(
    values: ibis.Table | pd.DataFrame,
    *,
    value: str = "monetary",
    rank: str | None = None,
    top: float = 0.2,
    unit: str = "CNY",
    label: str = "in the window",
    confidence: float = 0.95,
    draws: int = 1000,
    seed: int = 0,
) -> Concentration:
    """Measure how concentrated a value is among members.

    Parameters
    ----------
    values : ibis.Table or pandas.DataFrame
        One row per member, members without value included (0, not null).
    value : str
        Column with the measured value.
    rank : str, optional
        Column by which members are ranked; the value itself when not given.
    top : float
        Share of members called the top.
    unit, label : str
        Unit of the value and the period it was measured in, for sentences and tables.
    confidence, draws, seed :
        Level of the intervals, number of member resamples and their seed.

    Returns
    -------
    Concentration

    Raises
    ------
    BadData
        When a column is missing or holds null values.
    """
    cells = value_cells(values, value, rank=rank)
    own = rank is None or rank == value
    return of_cells(
        cells, label=label, top=top, unit=unit, confidence=confidence, draws=draws, seed=seed, own_rank=own
    )


def compare_periods(
    window: ibis.Table | pd.DataFrame,
    holdout: ibis.Table | pd.DataFrame,
    *,
    value: str = "monetary",
    member: str = "member_id",
    top: float = 0.2,
    unit: str = "CNY",
    confidence: float = 0.95,
    draws: int = 1000,
    seed: int = 0,
) -> PeriodComparison:
    """Compare concentration in a window with the hold-out that follows, for the members of the window.

    Parameters
    ----------
    window, holdout : ibis.Table or pandas.DataFrame
        One row per member with `member` and `value`. A member of the window who is not in the hold-out table
        has no value there. Other parameters as in :func:`concentration`.

    Returns
    -------
    PeriodComparison
    """
    first, second = materialise(as_table(window)), materialise(as_table(holdout))
    require_columns(first, [member, value], "window values")
    require_columns(second, [member, value], "hold-out values")
    require_unique(first, member, "window values")
    require_unique(second, member, "hold-out values")
    first = first.select(member=first[member], now=first[value].cast("float64"))
    second = second.select(member=second[member], later=second[value].cast("float64"))
    both = first.left_join(second.mutate(present=True), "member")
    # absent from the hold-out means no value there; a null that is present stays null and is refused
    both = both.mutate(later=both.present.isnull().ifelse(0.0, both.later))
    both = materialise(both)
    newcomers = second.anti_join(first, "member")
    later = newcomers.aggregate(n=newcomers.count(), total=newcomers.later.sum()).execute().iloc[0]
    settings: dict[str, Any] = {
        "top": top,
        "unit": unit,
        "confidence": confidence,
        "draws": draws,
        "seed": seed,
    }
    carried = "in the hold-out, members ranked in the window"
    return PeriodComparison(
        window=concentration(both, value="now", label="in the window", **settings),
        holdout=concentration(both, value="later", label="in the hold-out", **settings),
        carried=concentration(both, value="later", rank="now", label=carried, **settings),
        later_members=int(later.n),
        later_total=float(later.total) if later.n else 0.0,
    )
