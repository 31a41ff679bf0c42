"""From results to findings: each number of the retention notebook that somebody may act on."""

from __future__ import annotations

from helpers.methods.outlook.purchases import Purchases
from helpers.methods.outlook.risk import Risk
from helpers.methods.retention.churn_threshold import SilenceThreshold
from helpers.methods.retention.cohort_value import CohortValue
from helpers.methods.retention.community_groups import CommunityGroups
from helpers.methods.retention.day_n import Retention
from helpers.methods.retention.drivers import Drivers
from helpers.methods.retention.episodes import activity_levels
from helpers.methods.retention.exposure import Exposure
from helpers.methods.retention.group_life import TYPICAL_LIFE_DAYS
from helpers.methods.retention.landmark import LandmarkComparison
from helpers.methods.retention.lifecycle import Lifecycle
from helpers.methods.retention.lifetime_value import LifetimeValue
from helpers.methods.retention.silence import ReturnCurves
from helpers.playbook.finding import Direction, Finding, finding
from helpers.sentences import interval, percent, say, with_interval
from helpers.stats.cox.words import who
from helpers.stats.estimate import Estimate, unknown
from helpers.stats.forecast.backtest import Backtest
from helpers.stats.forecast.gain import brier_gain
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


def group_life(found: CommunityGroups, scope: str) -> Finding:
    """State the share of groups that live longer than half a year (Kaplan-Meier, late entry)."""
    return finding(
        found.life.alive_half_a_year,
        id="retention.group_life",
        metric=say("groups that live at least {days} days", days=TYPICAL_LIFE_DAYS),
        scope=scope,
        sentence=found.sentences[0],
        assumption=say("groups founded now live like those before"),
        direction=UP,
        systems=("S031",),
    )


def silent_groups(found: CommunityGroups, scope: str) -> Finding:
    """State the share of groups with members that are silent or folded."""
    return finding(
        found.states.silent_share,
        id="retention.silent_groups",
        metric=say("groups that are silent, falling silent or folded, of those with members"),
        scope=scope,
        sentence=found.sentences[-1],
        assumption=say("a group that is quiet here is quiet; each trend is judged by itself"),
        direction=DOWN,
        systems=("S031",),
    )


def silent_next(found: Risk, scope: str, *, returns: ReturnCurves | None = None, days: int = 30) -> Finding:
    """State the share of active members expected to fall silent next, and how many of the silent come back."""
    text = found.sentence
    if returns is not None:
        text += " " + say("Silence is not leaving: {phrase}.", phrase=returns.false_churn_phrase(days))
    return finding(
        found.silent_share,
        id="retention.silent_next",
        metric=say("active members expected to fall silent in {h} days", h=found.horizon_days),
        scope=scope,
        sentence=text,
        assumption=say("the next period is like the closed ones, apart from a shift as large as theirs"),
        direction=DOWN,
        systems=("S023", "S028"),
    )


def forecast_gain(found: Backtest, scope: str) -> Finding:
    """State how much better the forecast in use is than the bare share of silent members (Brier score)."""
    gain = brier_gain(found)
    return finding(
        gain,
        id="retention.forecast_gain",
        metric=say(
            "how much less the forecast of silence errs than the bare share (Brier score; n: windows)"
        ),
        scope=scope,
        sentence=_gain_sentence(found, gain),
        assumption=say(
            "closed windows stand for the next; the forecast was chosen on them, which flatters it"
        ),
        direction=UP,
        systems=("S023",),
    )


def _gain_sentence(found: Backtest, gain: Estimate) -> str:
    """Say what the forecast saves against the bare share, on how many windows."""
    if not gain.known:
        return say(
            "{contest} What a forecast saves against the bare share: too little data.", contest=found.sentence
        )
    return say(
        "Forecasting who falls silent errs {share} less ({between}) than taking the bare share of the silent for "
        "everybody, over {n} windows that the forecast ({model}) had not seen; the interval is by the spread between "
        "them.",
        share=percent(gain.value), between=interval(gain.low, gain.high, "share"), n=gain.n, model=found.winner,
    )  # fmt: skip


def orders_next(found: Purchases, scope: str) -> Finding:
    """State the share of members expected to order next."""
    return finding(
        found.share,
        id="retention.orders_next",
        metric=say("members present who are expected to order in {h} days", h=found.horizon_days),
        scope=scope,
        sentence=found.sentence,
        assumption=say("the next period is like the closed ones, apart from a shift as large as theirs"),
        direction=UP,
        systems=("S023",),
    )


def order_forecast_gain(found: Purchases, scope: str) -> Finding:
    """Judge whether the forecast of orders tells members apart, against one chance for all of a window."""
    gain = brier_gain(found.contest, same_level=True)
    return finding(
        gain,
        id="retention.order_forecast_gain",
        metric=say(
            "how much less the forecast of orders errs than one chance for all (Brier score; n: windows)"
        ),
        scope=scope,
        sentence=" ".join(filter(None, [_apart(gain), found.lift_sentence, found.contest.sentence])),
        assumption=say("closed windows stand for the next"),
        direction=UP,
        change=True,
        systems=("S023",),
    )


def _apart(gain: Estimate) -> str:
    """Say whether a forecast of orders tells members apart; nothing when that is not known."""
    if not gain.known:
        return ""
    text = "Forecasting who orders errs {share} less ({between}) than giving everybody the same chance, over {n} "
    text += "windows it had not seen."
    if gain.low <= 0:
        text = "The forecast does not clearly tell who orders from who does not: over {n} windows it had not seen it "
        text += "saves {share} ({between}) of the error of one chance for all."
    return say(text, share=percent(gain.value), between=interval(gain.low, gain.high, "share"), n=gain.n)


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
