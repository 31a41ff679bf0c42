"""The baseline: level, trend, season, calendar, controls and organic drivers, integrated out of the likelihood.

Its coefficients have the prior N(0, s2 P^-1), scaled by the noise; then the outcome depends on media alone through
``M = I - Z (Z'Z + P)^-1 Z'`` (Lindley and Smith 1972), and level and trend, which have no prior, cost a degree of
freedom each. How strongly the other parts are held back is chosen by the marginal likelihood, in a grid.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from helpers.methods.budget.weekly import Weekly

Array = NDArray[np.float64]

HARMONICS = 2
YEAR = 365.25 / 7
KNOT_WEEKS = 26
# Prior precision of a column of variance one, in units of the noise: from hardly held back to hardly there.
GRID = {"season": (0.03, 0.3, 3.0, 100.0), "bends": (0.3, 3.0, 30.0, 1e4), "drivers": (0.03, 0.3, 3.0, 30.0)}


@dataclass(frozen=True, eq=False)
class Baseline:
    """Columns of the baseline.

    Attributes
    ----------
    columns : pandas.DataFrame
        One row a week; standardised, but for the level.
    part : pandas.Series
        Part of each column: flat, season, bends, drivers.
    precision : pandas.Series
        Prior precision of each column's coefficient, in units of the noise.
    """

    columns: pd.DataFrame
    part: pd.Series
    precision: pd.Series

    @property
    def degrees(self) -> int:
        """Columns without a prior."""
        return int((self.part == "flat").sum())

    @property
    def solver(self) -> Array:
        """``(Z'Z + P)^-1 Z'``: it turns what media leave of the outcome into coefficients."""
        z = self.columns.to_numpy()
        return np.linalg.solve(z.T @ z + np.diag(self.precision), z.T)

    @property
    def remainder(self) -> Array:
        """M of the module's text, shape (weeks, weeks)."""
        z = self.columns.to_numpy()
        return np.eye(len(z)) - z @ self.solver

    def held(self, strengths: dict[str, float]) -> Baseline:
        """Return the same columns with other precisions, by part."""
        precision = self.part.map({"flat": 1e-9} | strengths).astype(float)
        return Baseline(self.columns, self.part, precision)


def baseline(weekly: Weekly, harmonics: int = HARMONICS) -> Baseline:
    """Return the columns of the baseline of a frame."""
    weeks = np.arange(len(weekly.outcome))
    parts: dict[str, dict[str, Any]] = {"flat": {"level": np.ones(len(weeks)), "trend": weeks * 1.0}}
    angle = 2 * np.pi * weeks / YEAR
    ks, waves = range(1, harmonics + 1), {"sin": np.sin, "cos": np.cos}
    parts["season"] = {f"{name} {k}": wave(k * angle) for k in ks for name, wave in waves.items()}
    knots = range(KNOT_WEEKS, len(weeks) - KNOT_WEEKS // 2, KNOT_WEEKS)
    parts["bends"] = {f"bend_{k}": np.maximum(weeks - k, 0.0) for k in knots}
    driven = pd.concat([weekly.organic, weekly.controls, weekly.calendar], axis=1)
    parts["drivers"] = {str(name): driven[name].to_numpy(float) for name in driven if driven[name].std() > 0}
    columns = pd.DataFrame({name: column for part in parts.values() for name, column in part.items()})
    rest = columns.columns.difference(["level"], sort=False)
    columns[rest] = (columns[rest] - columns[rest].mean()) / columns[rest].std(ddof=0)
    # Bends count from what level and trend leave of them.
    bends = list(parts["bends"])
    flat = columns[["level", "trend"]].to_numpy()
    if bends:
        columns[bends] -= flat @ np.linalg.lstsq(flat, columns[bends].to_numpy(), rcond=None)[0]
        columns[bends] /= columns[bends].std(ddof=0)
    part = pd.Series([name for name, each in parts.items() for _ in each], columns.columns)
    free = Baseline(columns, part, pd.Series(0.0, columns.columns))
    return free.held({name: each[1] for name, each in GRID.items()})


def strongest(base: Baseline, outcome: pd.Series, media: Array, media_precision: float) -> Baseline:
    """Return the baseline with the precisions of greatest marginal likelihood, media at one curve a line beside it.

    Parameters
    ----------
    base : Baseline
        Its columns.
    outcome : pandas.Series
        Outcome by week.
    media : numpy.ndarray, shape (weeks, lines)
        Response of each line, of mean one.
    media_precision : float
        Prior precision of a line's coefficient in units of the noise.
    """
    there = [name for name in GRID if (base.part == name).any()]
    free = len(outcome) - base.degrees
    z, best = np.column_stack([base.columns.to_numpy(), media]), (-np.inf, base)
    y = outcome.to_numpy(float)
    gram, right, total = z.T @ z, z.T @ y, y @ y
    for chosen in product(*(GRID[name] for name in there)):
        one = base.held(dict(zip(there, chosen, strict=True)))
        prior = np.append(one.precision.to_numpy(), np.full(media.shape[1], media_precision))
        inner = gram + np.diag(prior)
        rest = total - right @ np.linalg.solve(inner, right)
        counted = np.append(one.part.to_numpy() != "flat", np.ones(media.shape[1], bool))
        score = -0.5 * (np.linalg.slogdet(inner)[1] - np.log(prior[counted]).sum() + free * np.log(rest))
        best = max(best, (score, one), key=lambda pair: pair[0])
    return best[1]
