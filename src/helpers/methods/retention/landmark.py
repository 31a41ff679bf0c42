"""Tiers compared by how long members stay: naively, and from a landmark day on.

The naive comparison counts a member from the day of joining in the tier they had in the end. Whoever reached a
high tier had to stay long enough to reach it: the days before are immortal time, and they make any tier that takes
time look as if it kept members, even when it does nothing (Anderson, Cain and Gelber 1983). The landmark
comparison takes the members who are still there at the end of tenure day `day`, by the tier they have *then*, and
compares how long they stay from there on. It answers a narrower question, and is fair. Neither says that lifting a
member into a tier would make them stay: that takes an experiment.
"""

from __future__ import annotations

from dataclasses import dataclass

import ibis
import pandas as pd

from helpers.data.source import as_table
from helpers.errors import BadData
from helpers.sentences import say, with_interval
from helpers.stats.survival.cells import cells
from helpers.stats.survival.compare import (
    LogRank,
    MeanDifference,
    logrank,
    restricted_mean_difference,
)
from helpers.stats.survival.curves import SurvivalCurves, survival
from helpers.stats.survival.restricted_mean import common_horizon
from helpers.study.days import checked, checked_confidence

REACHED, NOT_REACHED = "reached", "not reached"
FINAL, AT_LANDMARK = "final_tier", "landmark_tier"


@dataclass(frozen=True)
class LandmarkComparison:
    """The naive comparison of tiers beside the landmarked one.

    Attributes
    ----------
    naive, landmarked : SurvivalCurves
        Curves by final tier from the start, and by the tier on the landmark day among those still there, on the
        same scale of tenure days: up to the landmark everybody of the second is there by choice.
    naive_test, landmark_test : LogRank
        Do the tiers differ.
    naive_difference, landmark_difference : MeanDifference
        Days stayed of the first `horizon`, against the same reference tier.
    table : pandas.DataFrame
        comparison ("naive", "landmarked"), segment, reference, n, reference_n, difference, low, high,
        chi_square, p_value (of the test of all tiers).
    day : int
        Landmark: end of this tenure day.
    gone : int
        Members who had left by then, or were watched no longer; they are not in the landmarked comparison.
    """

    naive: SurvivalCurves
    landmarked: SurvivalCurves
    naive_test: LogRank
    landmark_test: LogRank
    naive_difference: MeanDifference
    landmark_difference: MeanDifference
    table: pd.DataFrame
    day: int
    gone: int

    @property
    def bias(self) -> pd.DataFrame:
        """Naive minus landmarked difference in days, per tier: segment, reference, naive, landmarked, bias."""
        keys = ["segment", "reference"]
        # An empty table knows no types, and text does not merge with numbers.
        naive, fair = (
            d.table[[*keys, "difference"]].astype(
                {"segment": object, "reference": object, "difference": float}
            )
            for d in (self.naive_difference, self.landmark_difference)
        )
        both = naive.rename(columns={"difference": "naive"}).merge(
            fair.rename(columns={"difference": "landmarked"}), on=keys, how="left"
        )
        return both.assign(bias=both["naive"] - both["landmarked"])

    @property
    def sentence(self) -> str:
        """Both differences, and which to believe."""
        known = self.bias.dropna(subset=["naive", "landmarked"])
        if known.empty:
            return say(
                "Too little data to compare tiers from day {day} on (n = {n:,}).",
                day=self.day, n=self.landmarked.n,
            )  # fmt: skip
        tier = known["segment"].iloc[int(known["naive"].abs().to_numpy().argmax())]
        naive, fair = self.naive_difference.estimate(tier), self.landmark_difference.estimate(tier)
        verdict = (
            say("no clear difference remains") if fair.low <= 0 <= fair.high else say("a difference remains")
        )
        way = say("longer") if naive.value >= 0 else say("shorter")
        return say(
            "Counted by the tier they had in the end, members in the tier “{tier}” seem to stay {way} than those in "
            "“{reference}”: by {naive} of the first {horizon:,} days; but it takes staying to get there. Compared by "
            "the tier on day {day} among those still there, the difference is {fair}: {verdict}.",
            tier=tier, naive=with_interval(naive), way=way, horizon=self.naive_difference.horizon,
            reference=self.naive_difference.reference, day=self.day, fair=with_interval(fair), verdict=verdict,
        )  # fmt: skip


def tiers_reached(
    durations: ibis.Table | pd.DataFrame, *, day: int, reached: str = "reached_day"
) -> ibis.Table:
    """Add the tier in the end and on the landmark day from the tenure day on which a tier was reached.

    Parameters
    ----------
    durations : ibis.Table or pandas.DataFrame
        Durations with a column `reached`: the tenure day on which the member first had the tier, missing for
        those who never did.
    day : int
        Landmark day.
    reached : str
        Name of that column.

    Returns
    -------
    ibis.Table
        The durations with final_tier and landmark_tier, each "reached" or "not reached".
    """
    table = as_table(durations)
    if reached not in table.columns:
        raise BadData(f"durations: column {reached} missing; there is {', '.join(table.columns)}.")
    when = table[reached].cast("float64")
    # A pandas frame writes "never" as NaN, which engines order above every number.
    when = when.isnan().ifelse(ibis.null("float64"), when)
    return table.mutate(
        final_tier=(when <= table.tenure_days).fill_null(False).ifelse(REACHED, NOT_REACHED),
        landmark_tier=(when <= checked(day, "day", type_=int, ge=0))
        .fill_null(False)
        .ifelse(REACHED, NOT_REACHED),
    )


def compare_tiers(
    durations: ibis.Table | pd.DataFrame,
    *,
    day: int,
    final: str = FINAL,
    at_landmark: str = AT_LANDMARK,
    reference: str | None = None,
    horizon: int | None = None,
    confidence: float = 0.95,
) -> LandmarkComparison:
    """Compare tiers by how long members stay, naively and from the landmark day on.

    Parameters
    ----------
    durations : ibis.Table or pandas.DataFrame
        tenure_days, exited, the tier in the end (`final`) and the tier on the landmark day (`at_landmark`; what
        it says of members gone by then does not count).
    day : int
        Landmark: end of this tenure day.
    final, at_landmark : str
        Names of the columns.
    reference : str, optional
        Tier to compare with; default the one with most members on the landmark day.
    horizon : int, optional
        Days of the restricted means, above `day`; default: the most for which all tiers were watched.
    confidence : float
        Level of the intervals.
    """
    checked(day, "day", type_=int, ge=0)
    level, table = checked_confidence(confidence), as_table(durations)
    everybody = cells(table, final).rename(columns={final: "tier"})
    there = cells(table.filter(table.tenure_days > day), at_landmark).rename(columns={at_landmark: "tier"})
    naive, fair = survival(everybody, "tier", level), survival(there, "tier", level)
    if horizon is None:
        horizon = max(day + 1, min(common_horizon(naive.counts), common_horizon(fair.counts)))
    checked(horizon, "horizon", type_=int, gt=day)
    shared = [tier for tier in fair.counts.labels if tier in naive.counts.labels]
    if reference is None and shared:
        sizes = fair.summary.set_index("segment")["n"]
        reference = max(shared, key=lambda tier: int(sizes[tier]))
    naive_test, fair_test = (logrank(frame, "tier", confidence=level) for frame in (everybody, there))
    naive_days, fair_days = (
        restricted_mean_difference(frame, "tier", reference=reference, horizon=horizon, confidence=level)
        for frame in (everybody, there)
    )
    keep = ["segment", "reference", "n", "reference_n", "difference", "low", "high"]
    parts = [
        mean.table[keep].assign(comparison=name, chi_square=test.chi_square, p_value=test.p_value)
        for name, mean, test in (("naive", naive_days, naive_test), ("landmarked", fair_days, fair_test))
    ]
    result = pd.concat(parts, ignore_index=True)[["comparison", *keep, "chi_square", "p_value"]]
    return LandmarkComparison(
        naive, fair, naive_test, fair_test, naive_days, fair_days, result, day, naive.n - fair.n
    )
