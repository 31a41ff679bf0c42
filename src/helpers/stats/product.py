"""A product of rates: what each factor has to do with a change, and whether the past ever did as much.

A product splits exactly: with x_k the factors of V, weekly logarithms add up, and the part of factor k in the change
of V from V0 to V1 (geometric means of the weeks) is L ln(x_k1 / x_k0) with L = (V1 - V0) / ln(V1 / V0), the
logarithmic mean (Ang 2005, Energy Policy 33: LMDI-I): the parts sum to V1 - V0 without a remainder.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from helpers.stats.before_after import before_after
from helpers.stats.estimate import Estimate, jeffreys, unknown
from helpers.stats.weeks import BASE
from helpers.study import enough

NOW = 4
"""Last weeks that are held against the :data:`BASE` before them."""


def factors(logs: pd.DataFrame, goal: float, confidence: float) -> tuple[Estimate, pd.DataFrame]:
    """Return the relative change of a product, and what each factor has to do with it.

    Parameters
    ----------
    logs : pandas.DataFrame
        Logarithm of each factor by week, without a gap; missing in weeks that are no like others.
    goal : float
        What a week is to bring; NaN for none.
    confidence : float
        Level of the intervals.

    Returns
    -------
    Estimate, pandas.DataFrame
        The change; and by factor before, now (geometric means), change, low, high (relative), part (of the change of
        the product, in its unit; they sum to it), needed (what the factor would have to be alone for the goal) and
        reached (share of all weeks in which it was). The change is unknown with too few weeks.
    """
    at = np.arange(len(logs)) - len(logs) + NOW
    new, old = at >= 0, (at >= -BASE) & (at < 0)

    def moved(values: pd.Series) -> Estimate:
        found = before_after(values.to_numpy(float), old, new, confidence, drift=False)
        value, low, high = (float(part) for part in np.expm1(found[:3]))
        return found._replace(value=value, low=low, high=high, unit="share")

    total = moved(logs.sum(axis=1, skipna=False))
    if not total.known:
        return total, pd.DataFrame()
    rows = pd.DataFrame({"before": np.exp(logs[old].mean()), "now": np.exp(logs[new].mean())})
    rows[["change", "low", "high"]] = [moved(logs[name])[:3] for name in logs]
    before, now = rows[["before", "now"]].to_numpy(float).prod(axis=0)
    mean = (now - before) / np.log(now / before) if now != before else now
    rows["part"] = mean * np.log1p(rows["change"])
    rows["needed"] = rows["now"] * goal / now
    rows["reached"] = (np.exp(logs.dropna()) >= rows["needed"]).mean()
    return total, rows if np.isfinite(goal) else rows.drop(columns=["needed", "reached"])


def done_before(
    values: pd.Series, needed: float, weeks: int, confidence: float
) -> tuple[float, Estimate, float]:
    """Return what a goal asks of the next weeks against the pace, how often the past did that, and its most.

    Parameters
    ----------
    values : pandas.Series
        A number by week.
    needed : float
        What the weeks ahead have to bring on average.
    weeks : int
        How many are ahead.
    confidence : float
        Level of the interval of the share of past spans; their number is that of spans that do not overlap.
    """
    pace = values.rolling(BASE, min_periods=enough.PERIODS).mean()
    past = (values.rolling(weeks).mean() / pace.shift(weeks) - 1).dropna().to_numpy(float)
    asked, spans = float(needed / pace.iloc[-1] - 1) if len(pace) else np.nan, len(past) // weeks
    if spans < enough.BACKTESTS or not np.isfinite(asked):
        return asked, unknown(spans, "share", confidence), np.nan
    share = float(np.mean(past >= asked if asked >= 0 else past <= asked))
    low, high = jeffreys(share * spans, spans, confidence)
    found = Estimate(share, float(low), float(high), spans, "share", "Jeffreys, spans apart", confidence)
    return asked, found, float(past.max() if asked >= 0 else past.min())
