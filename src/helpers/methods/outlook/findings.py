"""From results to findings: what the next period is expected to bring, and how far that can be trusted."""

from __future__ import annotations

from helpers.methods.outlook.purchases import Purchases
from helpers.methods.outlook.risk import Risk
from helpers.playbook.finding import Finding, finding
from helpers.sentences import interval, percent, say
from helpers.stats.estimate import Estimate
from helpers.stats.forecast.judging import brier_gain

ALIKE = "the next period is like the closed ones, apart from a shift as large as theirs"


def silent_next(found: Risk, scope: str, *, back: str) -> Finding:
    """State the share of active members expected to fall silent next; `back` says how many of the silent return."""
    return finding(
        found.silent_share,
        id="retention.silent_next",
        metric=say("active members expected to fall silent in {h} days", h=found.rows.horizon_days),
        scope=scope,
        sentence=found.sentence + " " + say("Silence is not leaving: {phrase}.", phrase=back),
        assumption=say(ALIKE),
        direction="down is good",
        systems=("S023", "S028"),
    )


def forecast_gain(found: Risk, scope: str) -> Finding:
    """State how much better the forecast in use is than the bare share of silent members (Brier score)."""
    gain = brier_gain(found.contest)
    text = (
        "Forecasting who falls silent errs {share} less ({between}) than taking the bare share of the silent for "
        "everybody, over {n} windows that the forecast ({model}) had not seen; the interval is by the spread between "
        "them."
    )
    if not gain.known:
        text = "{contest} What a forecast saves against the bare share: too little data."
    return finding(
        gain,
        id="retention.forecast_gain",
        metric=say(
            "how much less the forecast of silence errs than the bare share (Brier score; n: windows)"
        ),
        scope=scope,
        sentence=say(text, **_words(gain), model=found.contest.winner, contest=found.contest_sentence),
        assumption=say(
            "closed windows stand for the next; the forecast was chosen on them, which flatters it"
        ),
        direction="up is good",
        systems=("S023",),
    )


def orders_next(found: Purchases, scope: str) -> Finding:
    """State the share of members expected to order next."""
    return finding(
        found.share,
        id="retention.orders_next",
        metric=say("members present who are expected to order in {h} days", h=found.rows.horizon_days),
        scope=scope,
        sentence=found.sentence,
        assumption=say(ALIKE),
        direction="up is good",
        systems=("S023",),
    )


def order_forecast_gain(found: Purchases, scope: str) -> Finding:
    """Judge whether the forecast of orders tells members apart, against one chance for all of a window."""
    gain = brier_gain(found.contest, same_level=True)
    text = "Forecasting who orders errs {share} less ({between}) than giving everybody the same chance, over {n} "
    text += "windows it had not seen."
    if gain.known and gain.low <= 0:
        text = "The forecast does not clearly tell who orders from who does not: over {n} windows it had not seen it "
        text += "saves {share} ({between}) of the error of one chance for all."
    apart = say(text, **_words(gain)) if gain.known else ""
    return finding(
        gain,
        id="retention.order_forecast_gain",
        metric=say(
            "how much less the forecast of orders errs than one chance for all (Brier score; n: windows)"
        ),
        scope=scope,
        sentence=" ".join(filter(None, [apart, found.lift_sentence, found.contest_sentence])),
        assumption=say("closed windows stand for the next"),
        direction="up is good",
        change=True,
        systems=("S023",),
    )


def _words(gain: Estimate) -> dict[str, object]:
    return {"share": percent(gain.value), "between": interval(gain.low, gain.high, "share"), "n": gain.n}
