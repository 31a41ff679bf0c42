"""For whom the effect differs: segments that the plan named before there were outcomes, and whether they differ at all.

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

from helpers.methods.ab_test.effects import contrast
from helpers.methods.ab_test.plan import Plan
from helpers.methods.ab_test.reading import Reading, direction_of
from helpers.methods.ab_test.readings import by_segment
from helpers.methods.ab_test.results import Guarded, units_of
from helpers.playbook.finding import Finding, finding
from helpers.sentences import number, say, with_bounds
from helpers.stats.estimate import Estimate, holm, normal_estimate
from helpers.study import Study
from helpers.tables import Table

FEWEST = 30
"""Units of an arm that a level needs to be told apart."""
COLUMNS = ("segment", "level", "n", "value", "error", "shrunk", "shrunk_error", "p")


@dataclass(frozen=True, repr=False)
class Segments(Guarded):
    """Effects on the primary metric by the levels of each segment.

    Attributes
    ----------
    reading : Reading
        The scorecard.
    rows : pandas.DataFrame
        segment, level, n, value (difference), error, shrunk, shrunk_error, p (that all levels of the segment have one
        effect; corrected by Holm).
    """

    reading: Reading = field(repr=False)
    rows: pd.DataFrame = field(repr=False)

    @property
    def differing(self) -> pd.DataFrame:
        """The levels of segments whose effects differ, the largest first."""
        return self.rows[self.rows["p"] < self.plan.alpha].sort_values("shrunk", ascending=False)

    def _told(self, row: pd.Series) -> Estimate:
        one = self.reading.of("primary")[0]
        size = float(row["shrunk"]), float(row["shrunk_error"]), int(row["n"]), one.unit
        return normal_estimate(*size, "shrunken difference", 1 - self.plan.alpha)

    @property
    def sentence(self) -> str:
        """For whom the effect differs; only where it does."""
        if self.rows.empty:
            return say(
                "The plan names no segment with enough units, so the effect is told for all of them together."
            )
        found, metric = self.differing, self.plan.primary.name
        if found.empty:
            text = "The effect on {metric} does not clearly differ by {segments} (p = {p}): it is told for all together."
            return say(text, metric=metric, segments=", ".join(self.rows["segment"].unique()),
                       p=number(self.rows["p"].min(), 2))  # fmt: skip
        most, least = found.iloc[0], found[found["segment"] == found.iloc[0]["segment"]].iloc[-1]
        text = "The effect on {metric} differs by {segment} (p = {p}): {most} in {high}, {least} in {low}."
        return say(text, metric=metric, segment=most["segment"], p=number(most["p"], 3), high=most["level"],
                   low=least["level"], most=with_bounds(self._told(most)), least=with_bounds(self._told(least)))  # fmt: skip

    def tables(self) -> Iterator[Table]:
        """Yield the effect by level, as measured and as it shrinks towards the mean of all."""
        if len(self.rows):
            caption = say(
                "Difference in {metric} by segment; n counts both arms", metric=self.plan.primary.name
            )
            shares = dict.fromkeys(
                ["value", "error", "shrunk", "shrunk_error"], self.reading.of("primary")[0].unit
            )
            members = "n" if self.plan.unit == "member" else ""
            yield Table("segments", self.rows, caption, shares, members=members, within=["segment"])

    def read(self) -> Iterator[Finding]:
        """Yield the level with the largest effect, where effects differ."""
        for _, row in self.differing.head(1).iterrows():
            words = {"metric": self.plan.primary.name, "level": row["level"]}
            yield finding(
                self._told(row), id="ab_test.segment", metric=say("Difference in {metric}, {level}", **words),
                scope=self.plan.experiment, sentence=self.sentence, change=True, n_of=units_of(self.plan),
                direction=direction_of(self.reading.of("primary")[0]), systems=("S012",),
                assumption=say("the segment was named before the first outcome"),
            )  # fmt: skip


def segments(study: Study, reading: Reading) -> Segments:
    """Return the effect on the primary metric of the first variant by the segments that the plan names."""
    plan, parts = reading.plan, []
    for name in plan.segments if not reading.reason else ():
        found = pd.DataFrame(_levels(study, plan, name), columns=COLUMNS[1:5])
        if len(found) > 1:
            parts.append(shrunk(found).assign(segment=name))
    rows = pd.concat(parts)[list(COLUMNS)].reset_index(drop=True) if parts else pd.DataFrame(columns=COLUMNS)
    first = rows.groupby("segment", sort=False)["p"].first()
    rows["p"] = rows["segment"].map(dict(zip(first.index, holm(first), strict=True))).astype(float)
    return Segments(study, plan, reading.reason, reading, rows)


def _levels(study: Study, plan: Plan, name: str) -> Iterator[tuple[str, int, float, float]]:
    """Yield level, units, difference and error of each level with enough units."""
    for level, cells in by_segment(study, plan, plan.primary, name).items():
        moments = cells.moments.merge(1)
        if moments.n.sum(axis=1)[:2].min() >= FEWEST:
            one = contrast(moments, plan.primary.kind, blocked=plan.design == "blocked")
            yield level, int(one.n.sum()), float(one.difference), float(one.error)


def shrunk(found: pd.DataFrame) -> pd.DataFrame:
    """Return levels with shrunk, shrunk_error, and p that they all have one effect.

    Parameters
    ----------
    found : pandas.DataFrame
        value, error; one row a level.
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
