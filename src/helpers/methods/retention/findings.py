"""From results to findings: each number of the retention notebook that somebody may act on."""

from __future__ import annotations

import numpy as np
from scipy import stats

from helpers.methods.intervals import Estimate, unknown
from helpers.methods.retention.backtest import BASE_RATE, Backtest
from helpers.methods.retention.churn_threshold import SilenceThreshold
from helpers.methods.retention.cohort_value import CohortValue
from helpers.methods.retention.curves import SurvivalCurves
from helpers.methods.retention.drivers import Drivers
from helpers.methods.retention.exposure import Exposure
from helpers.methods.retention.landmark import LandmarkComparison
from helpers.methods.retention.lifecycle import Lifecycle
from helpers.methods.retention.lifetime_value import LifetimeValue
from helpers.methods.retention.risk import Risk, expected_share
from helpers.methods.retention.silence import ReturnCurves
from helpers.methods.retention.tables import Retention
from helpers.playbook.finding import Direction, Finding, finding
from helpers.playbook.sentences import say, with_interval

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
    """State the share still here on a day of tenure (Kaplan-Meier)."""
    row = found.at(day).iloc[0] if found.n else None
    estimate = unknown(found.n, "share", found.confidence)
    if row is not None and np.isfinite([row["survival"], row["low"], row["high"]]).all():
        method = f"Kaplan–Meier, {found.method} limits"
        numbers = (float(row["survival"]), float(row["low"]), float(row["high"]))
        estimate = Estimate(*numbers, found.n, "share", method, found.confidence)
    text = "{share} of members are still here at the end of day {day}. {more}"
    return finding(
        estimate,
        id="retention.stay",
        metric=say("still here on day {day}", day=day),
        scope=scope,
        sentence=say(text, share=with_interval(estimate), day=day, more=found.sentence),
        assumption=say("who joined later leaves like who joined before at the same tenure"),
        direction=UP,
        systems=("S025",),
    )


def quick_ratio(found: Lifecycle, scope: str) -> Finding:
    """Judge whether more members were won than lost in the last complete period."""
    row = found.last
    estimate = unknown(0, "share", found.confidence)
    if row is not None and np.isfinite([row["quick_ratio"], row["low"], row["high"]]).all():
        value, low, high = (float(row[name]) - 1 for name in ("quick_ratio", "low", "high"))
        n = int(row["new"] + row["resurrected"] + row["dormant"])
        estimate = Estimate(value, low, high, n, "share", "log ratio of counts", found.confidence)
    return finding(
        estimate,
        id="retention.quick_ratio",
        metric=say("members won over members lost, minus one"),
        scope=scope,
        sentence=found.sentence,
        assumption=say("the last complete {period} is an ordinary one", period=found.period),
        direction=UP,
        change=True,
        systems=("S020",),
    )


def false_churn(found: ReturnCurves, chosen: SilenceThreshold, scope: str, *, days: int = 30) -> Finding:
    """State how many members called churned after some silent days come back."""
    return finding(
        found.share(days, found.horizons[-1]),
        id="retention.false_churn",
        metric=say("come back after {days} silent days", days=days),
        scope=scope,
        sentence=f"{found.sentence} {chosen.sentence}",
        assumption=say("members who fall silent now come back like those before"),
        systems=("S026", "S027"),
    )


def strongest_driver(found: Drivers, scope: str) -> Finding:
    """State the hazard ratio of the characteristic that goes with leaving most clearly."""
    model, named = found.model, found.named
    estimate, text = unknown(int(model.n_), "ratio", model.confidence), found.sentence
    if len(named):
        row = named.iloc[0]
        numbers = (float(row["hazard_ratio"]), float(row["low"]), float(row["high"]))
        estimate = Estimate(*numbers, int(model.n_), "ratio", "Cox model (Efron), Holm", model.confidence)
        text = next((s for s in found.sentences[1:] if s), text)
    return finding(
        estimate,
        id="retention.strongest_driver",
        metric=say("hazard ratio of leaving: {name}", name=named["covariate"].iloc[0] if len(named) else "–"),
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
        assumption=say("pushes of the period before, own activity held constant; not an experiment"),
        direction=DOWN,
        change=True,
        systems=("S021", "S112"),
    )


def tier_gap(found: LandmarkComparison, scope: str) -> Finding:
    """Judge whether the upper tier stays longer, compared without immortal time."""
    known = found.landmark_difference.table.dropna(subset=["difference", "low"])
    estimate = unknown(int(found.landmarked.n), "days", found.landmarked.confidence)
    if len(known):
        estimate = found.landmark_difference.estimate(str(known["segment"].iloc[0]))
    return finding(
        estimate,
        id="retention.tier_gap",
        metric=say("days stayed more by members of the upper tier on day {day}", day=found.day),
        scope=scope,
        sentence=found.sentence,
        assumption=say("a tier is a sign of staying, not its cause"),
        direction=UP,
        change=True,
        systems=("S004",),
    )


def silent_next(found: Risk, scope: str) -> Finding:
    """State the share of active members expected to fall silent next."""
    return finding(
        expected_share(found),
        id="retention.silent_next",
        metric=say("active members expected to fall silent in {h} days", h=found.horizon_days),
        scope=scope,
        sentence=f"{found.sentence} {found.calibration_sentence}",
        assumption=say("the next period is like the closed ones, apart from a shift as large as theirs"),
        direction=DOWN,
        systems=("S023", "S028"),
    )


def forecast_gain(found: Backtest, scope: str) -> Finding:
    """Judge whether the forecast in use beats the bare share of silent members (Brier score)."""
    gain = brier_gain(found)
    return finding(
        gain,
        id="retention.forecast_gain",
        metric=say("Brier score saved against the bare share"),
        scope=scope,
        sentence=found.sentence,
        assumption=say("closed windows stand for the next"),
        direction=UP,
        change=True,
        systems=("S023",),
    )


def brier_gain(found: Backtest) -> Estimate:
    """Return how much lower the Brier score of the winner is than that of the bare share, by window."""
    frame = found.predictions
    if found.winner is None or found.too_few or found.winner == BASE_RATE:
        return unknown(len(frame), "Brier score", found.confidence)
    silent = frame["silent"].astype(float)
    saved = (frame[BASE_RATE].astype(float) - silent) ** 2 - (frame[found.winner].astype(float) - silent) ** 2
    by_member = saved.groupby(frame["member_id"]).agg(["sum", "size"])
    value = float(saved.mean())
    # Members are the independent units: the variance of a ratio of sums over members.
    spread = by_member["sum"] - value * by_member["size"]
    error = float(np.sqrt((spread**2).sum()) / by_member["size"].sum())
    z = float(stats.norm.ppf(0.5 + found.confidence / 2))
    method = "clustered by member"
    return Estimate(
        value, value - z * error, value + z * error, len(frame), "Brier score", method, found.confidence
    )


def newcomer_value(found: LifetimeValue, scope: str) -> Finding:
    """State what a newcomer is worth."""
    return finding(
        found.estimate(str(found.table["segment"].iloc[0])),
        id="retention.newcomer_value",
        metric=say("value of a newcomer in {days} days", days=found.horizon_days),
        scope=scope,
        sentence=found.sentence,
        assumption=say("survival and value at a tenure stay as they were; the extrapolated part leans low"),
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
