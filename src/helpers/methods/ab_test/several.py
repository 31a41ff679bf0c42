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

FloatArray = NDArray[np.float64]


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
    raise NotImplementedError


def mostly(p: ArrayLike, alpha: float) -> Family:
    """Return the correction of Benjamini and Hochberg: of what is claimed, a share of `alpha` is false on average."""
    raise NotImplementedError
