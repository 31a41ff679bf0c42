"""For whom the effect differs: segments that the plan named before there were outcomes, if they differ at all.

Cochran's (1954) Q of the differences by level has a chi-square distribution with one degree fewer than there are
levels when the effect is the same everywhere. Only when that is refused is a difference told, and each level is told
as it shrinks towards the mean of all (DerSimonian and Laird 1986: the variance between levels from Q), so that the
largest of many is not taken for what it will be.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from scipy import stats

from helpers.methods.ab_test.plan import Plan
from helpers.methods.ab_test.reading import DIRECTIONS, Beside, Reading
from helpers.methods.ab_test.readings import by_segment
from helpers.methods.ab_test.results import changed
from helpers.playbook.finding import Finding
from helpers.sentences import number, say
from helpers.stats.estimate import Estimate, holm, normal_estimate
from helpers.study import Study
from helpers.tables import Table, heading

# Units of an arm that a level needs to be told apart.
FEWEST = 30
COLUMNS = ["segment", "level", "n", "value", "error", "shrunk", "shrunk_error", "p"]


@dataclass(frozen=True, repr=False)
class Segments(Beside):
    """Effects on the primary metric by the levels of each segment.

    Attributes
    ----------
    rows : pandas.DataFrame
        segment, level, n (both arms), value (difference), error, shrunk, shrunk_error, p (that all levels of the
        segment have one effect; corrected by Holm).
    """

    rows: pd.DataFrame = field(repr=False)

    @property
    def differing(self) -> pd.DataFrame:
        """The levels of the segment whose effects differ most clearly, the largest first; none where none differ."""
        found = self.rows[(self.rows["p"] < self.plan.alpha) & (self.rows["p"] == self.rows["p"].min())]
        return found.sort_values("shrunk", ascending=False)

    def _told(self, row: pd.Series) -> Estimate:
        size = float(row["shrunk"]), float(row["shrunk_error"]), int(row["n"]), self.reading.outcomes[0].unit
        return normal_estimate(*size, "shrunken difference", 1 - self.plan.alpha)

    @property
    def sentence(self) -> str:
        """For whom the effect differs; only where it does."""
        if self.rows.empty:
            return say("The plan names no segment with enough units: the effect is told for all together.")
        found, p = self.differing, number(self.rows["p"].min(), 3)
        if found.empty:
            text = "The effect on {metric} does not clearly differ by {names} (p = {p}): it is told for all together."
            return self.said(text, p=p, names=", ".join(map(heading, self.rows["segment"].unique())))
        text = "The effect on {metric} differs by {segment} (p = {p}): {most} in {top}, {least} in {bottom}."
        top, bottom = found.iloc[0], found.iloc[-1]
        words = {"segment": heading(top["segment"]), "top": top["level"], "bottom": bottom["level"], "p": p}
        return self.said(text, most=changed(self._told(top)), least=changed(self._told(bottom)), **words)

    def tables(self) -> Iterator[Table]:
        """Yield the effect by level, as measured and as it shrinks towards the mean of all."""
        if len(self.rows):
            units = dict.fromkeys(COLUMNS[3:7], self.reading.outcomes[0].unit)
            members = "n" if self.reading.smallest is not None else ""
            caption = self.said("Difference in {metric} by segment; n counts both arms")
            yield Table("segments", self.rows, caption, units, members=members, within=["segment"])

    def read(self) -> Iterator[Finding]:
        """Yield the level with the largest effect, where effects differ."""
        for _, row in self.differing.head(1).iterrows():
            about = {"named": row["level"], "direction": DIRECTIONS[self.plan.primary.direction]}
            yield self.stated(self._told(row), "segment", self.sentence, **about)


def segments(study: Study, reading: Reading) -> Segments:
    """Return the effect on the primary metric of the first variant by the segments that the plan names."""
    plan = reading.plan
    names = () if reading.reason or plan.primary.of_arms or plan.clustered else plan.segments
    frames = [pd.DataFrame(_levels(study, plan, name), columns=COLUMNS[:5]) for name in names]
    parts = [shrunk(each) for each in frames if len(each) > 1]
    corrected = holm([part["p"].iloc[0] for part in parts])
    parts = [part.assign(p=p) for part, p in zip(parts, corrected, strict=True)]
    rows = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=COLUMNS)
    return Segments(study, plan, reading.reason, reading, rows)


def _levels(study: Study, plan: Plan, name: str) -> Iterator[tuple[str, str, int, float, float]]:
    """Yield segment, level, units, difference and error of each level with enough units."""
    for level, cells in by_segment(study, plan, plan.primary, name).items():
        one = cells.contrasts(plan, plan.primary.kind, cells.moments.names).at(-1)
        if one.n.min() >= FEWEST and np.isfinite(one.error):
            yield name, level, int(one.n.sum()), float(one.difference), float(one.error)


def shrunk(found: pd.DataFrame) -> pd.DataFrame:
    """Return levels with shrunk, shrunk_error, and p that they all have one effect.

    Parameters
    ----------
    found : pandas.DataFrame
        value, error; one row a level, of two or more.
    """
    value, weight = found["value"].to_numpy(float), found["error"].to_numpy(float) ** -2.0
    mean, degrees = np.average(value, weights=weight), len(found) - 1
    q = float((weight * (value - mean) ** 2).sum())
    between = max(q - degrees, 0.0) / (weight.sum() - (weight**2).sum() / weight.sum())
    kept = between / (between + 1 / weight)  # share of its own departure from the mean that a level keeps
    centre = np.average(value, weights=1 / (between + 1 / weight))
    spread = np.sqrt(kept / weight + (1 - kept) ** 2 / (1 / (between + 1 / weight)).sum())
    p = float(stats.chi2.sf(q, degrees))
    return found.assign(shrunk=centre + kept * (value - centre), shrunk_error=spread, p=p)
