"""From results to findings: each number of the RFM notebook that somebody may act on."""

from __future__ import annotations

import ibis
import pandas as pd

from helpers.methods.rfm.concentration import Concentration, EffortShare, PeriodComparison
from helpers.methods.rfm.contest import RFM_SCORE, Contest
from helpers.methods.rfm.history import TierHistory
from helpers.methods.rfm.moves import Migration
from helpers.methods.rfm.segments import Segments
from helpers.methods.rfm.tier_value import TierValue
from helpers.playbook.finding import Finding, finding
from helpers.sentences import say, with_interval
from helpers.stats.estimate import Estimate, proportion, unknown

INDEPENDENT = "members act independently of each other"


def silent_share(
    members: ibis.Table, scope: str, *, confidence: float = 0.95, days: int | None = None
) -> Finding:
    """State the share of present members without one counted action in their window.

    Parameters
    ----------
    members : ibis.Table
        One row per present member with ``frequency``.
    scope : str
        Population and window.
    confidence : float
        Level of the interval.
    days : int, optional
        Length of the window, for the sentence.
    """
    counts = members.aggregate(
        n=members.count(), silent=(members.frequency == 0).sum().fill_null(0)
    ).to_pandas()
    n, silent = (int(counts[name].iloc[0]) for name in ("n", "silent"))
    share = proportion(silent, n, confidence)
    text, values = "{share} of present members did nothing that counts.", {"share": with_interval(share)}
    if days is not None:
        text = "{share} of present members did nothing that counts in the {days} days up to the day."
        values["days"] = f"{days:,}"
    return finding(
        share,
        id="rfm.silent_share",
        metric=say("silent members"),
        scope=scope,
        sentence=say(text, **values),
        assumption=say("a member without a recorded action was silent, not elsewhere"),
        direction="down is good",
        systems=("S005", "S027"),
    )


def net_promotion(moved: Migration, scope: str) -> Finding:
    """Judge whether more members moved up than down between the last two periods."""
    return finding(
        moved.net,
        id="rfm.net_promotion_rate",
        metric=say("net promotion rate"),
        scope=scope,
        sentence=moved.sentence,
        assumption=INDEPENDENT,
        direction="up is good",
        change=True,
        systems=("S001", "S005"),
    )


def top_share(found: Concentration, scope: str) -> Finding:
    """State the share of value that the top members hold."""
    return finding(
        found.top_share,
        id="rfm.top_share",
        metric=say("value held by the top fifth"),
        scope=scope,
        sentence=found.sentence,
        assumption=INDEPENDENT,
        systems=("S014",),
    )


def carried_share(compared: PeriodComparison, scope: str) -> Finding:
    """State how much of the next period's value last period's top members brought."""
    return finding(
        compared.carried.top_share,
        id="rfm.carried_share",
        metric=say("next period's value from the former top fifth"),
        scope=scope,
        sentence=compared.sentence,
        assumption=INDEPENDENT,
        systems=("S014", "S018"),
    )


def tier_value_ratio(valued: TierValue, scope: str) -> Finding:
    """State how many times as much a member of the top tier brings as one of the bottom tier."""
    return finding(
        valued.ratio,
        id="rfm.tier_value_ratio",
        metric=say("value ratio of top to bottom tier"),
        scope=scope,
        sentence=valued.sentence,
        assumption=say(
            "the next period stands for periods to come; a tier is a sign of value, not its cause"
        ),
        systems=("S006",),
    )


def effort_gap(shared: EffortShare, scope: str) -> Finding:
    """State how the effort the top members receive compares with the value they bring."""
    return finding(
        shared.gap,
        id="rfm.effort_gap",
        metric=say("share of effort minus share of value of the top fifth"),
        scope=scope,
        sentence=shared.sentence,
        assumption=say("effort booked on a tier is spread evenly over its members"),
        systems=("S014",),
    )


def contest_gain(held: Contest, scope: str) -> Finding:
    """Judge whether a model finds next period's value better than the plain RFM score."""
    rows = held.differences
    n = int(held.table["n"].max()) if len(held.table) else 0
    gain = unknown(n, "ratio", held.confidence)
    # a challenger that could not run has no difference; sorted last it would hide one that is known
    rows = rows.dropna(subset=["low"])
    if len(rows):
        columns = ["difference", "low", "high"]
        value, low, high = rows.sort_values("difference")[columns].iloc[-1].astype(float)
        gain = Estimate(
            value,
            low,
            high,
            n,
            "ratio",
            "paired member bootstrap, Bonferroni over the challengers",
            held.confidence,
        )
    return finding(
        gain,
        id="rfm.model_gain",
        metric=say("lift of the best model over the {score}", score=RFM_SCORE),
        scope=scope,
        sentence=held.sentence,
        assumption=say("the hold-out stands for the next period"),
        direction="up is good",
        change=True,
        systems=("S018", "S023"),
    )


def segment_stability(found: Segments, scope: str) -> Finding:
    """State how well the least stable named segment comes back in resamples; unknown when none is named."""
    return finding(
        found.stability,
        id="rfm.segment_stability",
        metric=say("stability of the least stable named segment"),
        scope=scope,
        sentence=found.sentence,
        assumption=say("k-means on scaled behaviour; a segment is a description, not a cause"),
        direction="up is good",
        systems=("S007",),
    )


def populations(now: int, history: TierHistory, compared: PeriodComparison, held: Contest) -> pd.DataFrame:
    """Return which members each part of the study counts, and how many they are.

    Parameters
    ----------
    now : int
        Members present on the last day.
    history : TierHistory
        Tiers over complete periods.
    compared : PeriodComparison
        Value before and after the split.
    held : Contest
        The contest of forecasts.
    """
    last = history.periods[-1] if history.periods else ""
    whole = int(history.sizes.loc[history.sizes["period"] == last, "members"].sum())
    judged = int(held.table["n"].max()) if len(held.table) else 0
    rows = [
        (say("now"), say("present on the last day"), now, say("scores, tiers now, concentration, lists")),
        (
            say("whole period"),
            say("present all of {period}", period=last),
            whole,
            say("pyramid, moves, forecast"),
        ),
        (
            say("at the split"),
            say("present on {day}", day=held.split),
            compared.window.n,
            say("value after the split"),
        ),
        (
            say("contest"),
            say("present on {day} and had bought", day=held.split),
            judged,
            say("forecasts of value"),
        ),
    ]
    return pd.DataFrame(rows, columns=["population", "who", "members", "used_for"])
