"""From results to findings: each number of the retention notebook that somebody may act on."""

from __future__ import annotations

from helpers.methods.retention.churn_threshold import SilenceThreshold
from helpers.methods.retention.cohort_value import CohortValue
from helpers.methods.retention.day_n import Retention
from helpers.methods.retention.drivers import Drivers
from helpers.methods.retention.episodes import activity_levels
from helpers.methods.retention.exposure import Exposure
from helpers.methods.retention.landmark import LandmarkComparison
from helpers.methods.retention.lifecycle import Lifecycle
from helpers.methods.retention.lifetime_value import LifetimeValue
from helpers.methods.retention.silence import ReturnCurves
from helpers.playbook.finding import Direction, Finding, finding
from helpers.sentences import say, with_interval
from helpers.stats.cox.words import who
from helpers.stats.estimate import Estimate, unknown
from helpers.stats.survival.curves import SurvivalCurves

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


def stay(found: SurvivalCurves, scope: str, *, day: int = 90) -> Finding:
    """State the share still here on a day of tenure (Kaplan-Meier); n are those watched on any day until then."""
    row = found.at(day).iloc[0] if found.n else None
    estimate = found.still_here(day)
    n, at_risk = estimate.n, 0 if row is None else int(row["at_risk"])
    text = "{share} of members are still here at the end of day {day}; n are those watched on some day until then"
    text += ", {at_risk:,} of them on the day itself. {more}"
    if not estimate.known:
        text = "How many members are still here at the end of day {day}: {share}. {more}"
    if row is not None and row["n"] > n:
        text += " {late:,} members came under observation only after day {day} and say nothing about it."
    return finding(
        estimate,
        id="retention.stay",
        metric=say("still here on day {day}", day=day),
        scope=scope,
        sentence=say(
            text,
            share=with_interval(estimate),
            day=day,
            at_risk=at_risk,
            more=found.sentence,
            late=0 if row is None else int(row["n"]) - n,
        ),
        assumption=say("who joined later leaves like who joined before at the same tenure"),
        direction=UP,
        systems=("S025",),
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


def strongest_driver(found: Drivers, scope: str) -> Finding:
    """State the hazard ratio of the characteristic with the clearest evidence, its members and their exits.

    The interval holds for all compared at once, so that picking the clearest does not make it too narrow.
    """
    model, named = found.model, found.named
    estimate, text = unknown(int(model.n_), "ratio", model.confidence), found.sentence
    if len(named):
        row = named.iloc[0]
        names = ("hazard_ratio", "simultaneous_low", "simultaneous_high")
        method = say("Cox model (Efron), Bonferroni over {k}", k=found.tested)
        value, low, high = (float(row[name]) for name in names)
        estimate = Estimate(value, low, high, int(row["n"]), "ratio", method, model.confidence)
        text = found.driver_sentences[0]
    return finding(
        estimate,
        id="retention.strongest_driver",
        metric=say("hazard ratio of leaving: {who}", who=who(named.iloc[0].to_dict()) if len(named) else "–"),
        scope=scope,
        sentence=text,
        assumption=say("association: what goes with leaving need not cause it"),
        systems=("S029", "S030"),
    )


def push_effect(found: Exposure, scope: str) -> Finding:
    """Judge whether more pushes go with leaving faster."""
    doses = [dose for dose in found.doses if dose.exposure == "pushes_before"]
    estimate, text = unknown(int(found.model.n_), "share", found.model.confidence), found.sentence
    if doses:
        text, ratio = doses[0].sentence, doses[0].per_unit
        if ratio.known:
            numbers = (ratio.value - 1, ratio.low - 1, ratio.high - 1)
            estimate = Estimate(*numbers, ratio.n, "share", ratio.method, ratio.confidence)
    return finding(
        estimate,
        id="retention.push_effect",
        metric=say("how much faster members leave for each push a month"),
        scope=scope,
        sentence=text,
        assumption=say(
            "pushes of the period before; own activity of that period held constant in {k} levels only, beside who "
            "had just joined; not an experiment",
            k=len(activity_levels(doses[0].period)) if doses else 0,
        ),
        direction=DOWN,
        change=True,
        systems=("S021", "S112"),
    )


def tier_gap(found: LandmarkComparison, scope: str) -> Finding:
    """State how much longer the upper tier stays, compared without immortal time: a gap and not a change."""
    known = found.landmark_difference.table.dropna(subset=["difference", "low"])
    estimate = unknown(int(found.landmarked.n), "days", found.landmarked.confidence)
    if len(known):
        estimate = found.landmark_difference.estimate(str(known["segment"].iloc[0]))
    return finding(
        estimate,
        id="retention.tier_gap",
        metric=say("days that members of the upper tier on day {day} stay longer", day=found.day),
        scope=scope,
        sentence=found.sentence,
        assumption=say("a tier is a sign of staying, not its cause"),
        direction=UP,
        systems=("S004",),
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
