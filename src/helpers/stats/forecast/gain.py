"""How much a forecast saves against the bare share, judged window by window."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import stats

from helpers.stats.estimate import Estimate, unknown
from helpers.stats.forecast.backtest import BASE_RATE, Backtest


def brier_gain(found: Backtest, *, same_level: bool = False) -> Estimate:
    """Return the share of the bare share's Brier score that the winner saves; n is the number of windows.

    The bare share is that of all earlier windows. A forecast can beat it by following the level alone, when a
    community grows, without telling one member from another. With `same_level` it is the mean of the winner's own
    predictions in the window, and what is saved is owed to telling members apart.

    A window moves all its members together, so windows and not members are the independent units: mean saving over
    windows by mean score of the bare share, with a t interval of the residuals of this ratio over windows. The
    winner was chosen on the same windows: the number leans high by what the choice gained.
    """
    frame = found.predictions
    if found.winner is None or found.too_few or found.winner == BASE_RATE:
        return unknown(found.windows, "share", found.confidence)
    came = frame[found.outcome].astype(float)
    winner = frame[found.winner].astype(float)
    share = (
        winner.groupby(frame["landmark"]).transform("mean") if same_level else frame[BASE_RATE].astype(float)
    )
    bare = (share - came) ** 2
    used = (winner - came) ** 2
    means = pd.DataFrame({"saved": bare - used, "bare": bare}).groupby(frame["landmark"]).mean()
    count, value = len(means), float(means["saved"].mean() / means["bare"].mean())
    error = float(
        (means["saved"] - value * means["bare"]).std(ddof=1) / np.sqrt(count) / means["bare"].mean()
    )
    half = float(stats.t.ppf(0.5 + found.confidence / 2, count - 1)) * error
    return Estimate(
        value, value - half, value + half, count, "share", "t interval over windows", found.confidence
    )
