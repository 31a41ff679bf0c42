"""From results to findings: each number of the retention notebook that somebody may act on."""

from __future__ import annotations

from helpers.methods.retention.churn_threshold import SilenceThreshold
from helpers.methods.retention.cohort_value import CohortValue
from helpers.methods.retention.day_n import Retention
from helpers.methods.retention.lifecycle import Lifecycle
from helpers.methods.retention.lifetime_value import LifetimeValue
from helpers.methods.retention.silence import ReturnCurves
from helpers.playbook.finding import Direction, Finding, finding
from helpers.sentences import say
from helpers.stats.estimate import Estimate, unknown

UP: Direction = "up is good"
DOWN: Direction = "down is good"
RECORDED = "what is not recorded did not happen"


def day_n(found: Retention, scope: str) -> Finding:
    """State retention on the last day asked for."""
    window = found.windows[-1]
    return finding(
        found.total(window.label),
        id="retention.day_n",
        metric=say("joiners active {phrase}", phrase=window.phrase),
        scope=scope,
        sentence=found.sentence,
        assumption=RECORDED,
        direction=UP,
        systems=("S024",),
    )


def quick_ratio(found: Lifecycle, scope: str) -> Finding:
    """Judge whether more members were won than lost over the last complete periods, by their spread."""
    recent = found.recent
    estimate = unknown(recent.n, "share", found.confidence)
    if recent.known:
        numbers = (recent.value - 1, recent.low - 1, recent.high - 1)
        estimate = Estimate(*numbers, recent.n, "share", recent.method, found.confidence)
    return finding(
        estimate,
        id="retention.quick_ratio",
        metric=say("members won over members lost, minus one (n: complete {period}s)", period=found.period),
        scope=scope,
        sentence=found.sentence,
        assumption=say(
            "the last complete {period}s stand for the next, with no rhythm longer than they are",
            period=found.period,
        ),
        direction=UP,
        change=True,
        systems=("S020",),
    )


def false_churn(found: ReturnCurves, chosen: SilenceThreshold, scope: str, *, days: int = 30) -> Finding:
    """State how many members called churned after some silent days come back."""
    phrase = found.false_churn_phrase(days)
    return finding(
        found.share(days, found.horizons[-1]),
        id="retention.false_churn",
        metric=say("come back after {days} silent days (n: silences)", days=days),
        scope=scope,
        sentence=f"{phrase[:1].upper()}{phrase[1:]}. {chosen.sentence}",
        assumption=say("members who fall silent now come back like those before"),
        systems=("S026", "S027"),
    )


def newcomer_value(found: LifetimeValue, scope: str) -> Finding:
    """State what a newcomer is worth."""
    first = str(found.table["segment"].iloc[0])
    rows = found.table[(found.table["segment"] == first) & (found.table["part"] == "extrapolated")]
    assumption = say("survival and value at a tenure stay as they were")
    if (rows["days"] > 0).any():
        assumption = say("survival and value at a tenure stay as they were; the extrapolated part leans low")
    return finding(
        found.estimate(first),
        id="retention.newcomer_value",
        metric=say("value of a newcomer in {days} days", days=found.horizon_days),
        scope=scope,
        sentence=found.sentence,
        assumption=assumption,
        direction=UP,
        systems=("S018",),
    )


def cohort_growth(found: CohortValue, scope: str) -> Finding:
    """State the value of later cohorts over that of earlier ones at equal age."""
    return finding(
        found.growth,
        id="retention.cohort_growth",
        metric=say("value at {age} days, later over earlier cohorts", age=found.age_days),
        scope=scope,
        sentence=found.sentence,
        assumption=say("seasons are not taken out"),
        direction=UP,
        systems=("S019",),
    )
