"""Many comparisons at once: corrected p with intervals that agree with what they claim together.

Arms of the primary metric: Holm's (1979) p with Bonferroni intervals, which hold together (Holm's own step-down
levels do not: they cover 90 to 93 %). The two may disagree, Holm finding more. Secondary metrics: Benjamini and
Hochberg (1995) with the intervals of Benjamini and Yekutieli (2005), whose level is ``1 - alpha R / m`` for the R
selected of m.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from statsmodels.stats.multitest import multipletests

from helpers.stats.estimate import FloatArray, holm


class Family(NamedTuple):
    """Comparisons that are corrected for each other.

    Attributes
    ----------
    p : ndarray, shape (comparisons,)
        Corrected; NaN stays so and does not count.
    found : ndarray of bool, shape (comparisons,)
        Whether an effect is claimed.
    confidence : float
        Level at which the intervals of the family are to be made.
    """

    p: FloatArray
    found: NDArray[np.bool_]
    confidence: float


def together(p: ArrayLike, alpha: float) -> Family:
    """Return Holm's correction with the level of Bonferroni intervals: no false claim at all, but in `alpha`."""
    corrected = holm(p)
    return Family(corrected, corrected <= alpha, 1 - alpha / max(1, int(np.isfinite(corrected).sum())))


def mostly(p: ArrayLike, alpha: float) -> Family:
    """Return the correction of Benjamini and Hochberg: of what is claimed, a share of `alpha` is false on average.

    The level is that of the intervals of what is claimed; with nothing claimed, of the first that would be.
    """
    corrected = np.array(p, float)
    known = np.isfinite(corrected)
    if known.any():
        corrected[known] = multipletests(corrected[known], method="fdr_bh")[1]
    found = corrected <= alpha
    return Family(corrected, found, 1 - alpha * max(1, int(found.sum())) / max(1, int(known.sum())))
