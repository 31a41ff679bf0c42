"""Many tests at once: Holm's (1979) step-down correction, which holds whatever the tests have in common."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def holm(p: ArrayLike) -> NDArray[np.float64]:
    """Return p-values corrected for their number; what is not known stays so and does not count."""
    values = np.asarray(p, float)
    found = np.full(values.shape, np.nan)
    known = np.flatnonzero(np.isfinite(values))
    order = known[np.argsort(values[known], kind="stable")]
    factor = np.arange(order.size, 0, -1)
    found[order] = np.minimum(np.maximum.accumulate(values[order] * factor), 1.0)
    return found
