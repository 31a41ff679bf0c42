"""Can a forecast be trusted: what its contest came to, in words, a picture and tables."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from helpers.methods.outlook import plots
from helpers.playbook.finding import Finding, finding
from helpers.playbook.result import Part, Result
from helpers.sentences import interval, number, percent, say
from helpers.stats.estimate import Estimate
from helpers.stats.forecast.judging import ORDERED, RETURNED, SILENT, Contest, brier_gain
from helpers.stats.forecast.landmarks import (
    ACTIVE_DAYS,
    Landmarks,
    landmarks,
    standard_categories,
    standard_signals,
)
from helpers.stats.forecast.models import BASE_RATE
from helpers.study import Study, enough
from helpers.tables import Table

WHAT = {SILENT: "who falls silent", RETURNED: "who comes back", ORDERED: "who orders"}
"""What is predicted, by outcome."""
ALIKE = "the next period is like the closed ones, apart from a shift as large as theirs"
"""What must hold for an expected number of the next period."""
SCORES = [f"{name}{end}" for name in ("brier", "auc", "lift") for end in ("", "_low", "_high")] + [
    "decile_error"
]


@dataclass(frozen=True, repr=False)
class Trust(Result):
    """How the forecast of silence did on windows it had not seen.

    Attributes
    ----------
    contest : Contest
        The contest that chose it.
    tier_lift : pandas.DataFrame
        Lift at 10 % inside each tier of actions in the 30 days before a window; see
        :func:`helpers.stats.forecast.judging.lift_by_tier`.
    rows : Landmarks
        The person-period rows behind it.
    """

    contest: Contest
    tier_lift: pd.DataFrame = field(repr=False)
    rows: Landmarks = field(repr=False)

    @property
    def smallest(self) -> int | None:
        """Members judged, when there are any."""
        judged = self.contest.predictions
        return int(judged["member_id"].nunique()) if len(judged) else None

    @property
    def sentence(self) -> str:
        """How much better the forecast is than giving everybody the same chance."""
        gain = brier_gain(self.contest)
        if not gain.known:
            return contest_sentence(self.contest)
        text = (
            "Forecasting who falls silent errs {share} less ({between}) than giving everybody the same chance, over "
            "{n} windows of {h} days it had not seen."
        )
        return say(text, **saved(gain), h=self.contest.horizon_days)

    def parts(self) -> Iterator[Part]:
        """Yield what it saves, whether its chances come true, and the scores of all forecasts."""
        held = self.contest
        yield self.sentence
        text = "{drawn} Windows judged: {w}, of {h} days each. The dashed line: what was predicted came."
        note = say(text, drawn=self.study.drawn, w=held.windows, h=held.horizon_days)
        yield plots.calibration(held.deciles, say("Too little data to tell."), note)
        if self.sentence != contest_sentence(held):
            yield contest_sentence(held)
        if self.rows.sampled < self.rows.members:
            yield sample_sentence(self.rows)
        if len(held.table):
            caption = say("Forecasts of silence compared over closed windows; n: times a member was judged")
            yield Table(
                "forecasts", held.table[["model", "n", *SCORES]], caption, dict.fromkeys(SCORES, "score")
            )
        if len(self.tier_lift):
            caption = say(
                "Lift: how many times as often as its whole tier the tenth at highest risk fell silent"
            )
            yield Table("tier_lift", self.tier_lift, caption, {"silent": "share"}, members="members")

    def findings(self) -> Iterator[Finding]:
        """State how much better the forecast in use is than the bare share of silent members (Brier score)."""
        gain = brier_gain(self.contest)
        assumption = "closed windows stand for the next; the forecast was chosen on them, which flatters it"
        yield finding(
            gain, id="outlook.forecast_gain", aliases=("retention.forecast_gain",),
            metric=say("how much less the forecast of silence errs than the bare share"),
            scope=self.study.scope, sentence=self.sentence, assumption=say(assumption),
            direction="up is good", systems=("S023",),
            headline=say("the forecast of silence errs {share} less than one chance for all", **saved(gain)),
            n_of="windows", definition="forecast_gain", picture="calibration",
        )  # fmt: skip


def rows_of(study: Study, horizon_days: int, **asked: Any) -> Landmarks:
    """Return the person-period rows of a study with all that its tables tell of members beforehand."""
    signals = standard_signals(study.dataset, study.report_tz) | asked.pop("signals", {})
    return landmarks(
        study.activity, study.population, as_of=study.as_of, horizon_days=horizon_days, signals=signals,
        categories=standard_categories(study.dataset), seed=study.seed, **asked,
    )  # fmt: skip


def sample_sentence(rows: Landmarks) -> str:
    """On how many members the rows of closed windows rest."""
    text = "Counted on a random sample of {k} of {m} members."
    return say(text, k=number(rows.sampled), m=number(rows.members))


def present_sentence(rows: Landmarks) -> str:
    """On how many of the present members the forecast of today rests."""
    text = (
        "Told from a random sample of {k} of {m} members present: the intervals hold the error of the draw."
    )
    return say(text, k=number(len(rows.now)), m=number(int(rows.sizes["members"].sum())))


def contest_sentence(held: Contest) -> str:
    """Who won, by how much, and how well calibrated; or how many windows are missing."""
    what, size = say(WHAT[held.outcome]), {"w": held.windows, "h": held.horizon_days}
    if not held.windows:
        text = (
            "Forecasts of {what}: too little data. A window of {h} days must be judged before a chance is told, "
            "which takes about {d} days of log and {n} cases before it, {m} of them with and {m} without the outcome."
        )
        days = days_needed(held.horizon_days)
        return say(text, what=what, d=days, n=enough.TO_FIT, m=enough.OF_EACH_OUTCOME, **size)
    if held.too_few:
        text = (
            "Provisional: of the {k} windows of {h} days that it takes to know how far forecasts of {what} err, {w} "
            "could be judged. Among the forecasts “{model}” erred least in them, and the interval assumes a spread."
        )
        return say(text, what=what, model=held.winner, k=enough.WINDOWS_TO_JUDGE, **size)
    row = score(held.table, held.winner)
    return say(
        "To predict {what}, {winner} is used: {why}. Over {w} windows its AUC is {auc}, its Brier score {brier} "
        "against {base} for the bare share; it is off by {error} points in a tenth of members ({floor} by chance).",
        what=what, winner=held.winner, why=_why(held), auc=triple(row, "auc"), brier=triple(row, "brier", 4),
        base=number(float(score(held.table, BASE_RATE)["brier"]), 4),
        error=number(100 * row["decile_error"], 1), floor=number(100 * row["decile_error_if_perfect"], 1),
        **size,
    )  # fmt: skip


def days_needed(horizon_days: int) -> int:
    """Return about how many days of log it takes until a window can be judged."""
    return max(horizon_days, ACTIVE_DAYS) + (enough.WINDOWS_TO_LEARN + 1) * horizon_days


def _why(held: Contest) -> str:
    others = held.differences[held.differences["model"] != held.winner].sort_values("brier_difference")
    if others.empty:
        return say("it knows most of members, and is corrected by what came of earlier predictions")
    row = others.iloc[0]
    text = "its Brier score is clearly the lowest, {gap} ({low} to {high}) below that of {next}"
    if not row["clearly_worse"]:
        text = "none is clearly better, and its Brier score is {gap} ({low} to {high}) below that of {next}"
    values = {name: number(row[name], 4) for name in ("low", "high")}
    return say(text, next=row["model"], gap=number(row["brier_difference"], 4), **values)


def score(table: pd.DataFrame, model: str | None) -> dict[str, Any]:
    """Return a model's row of a table."""
    return dict(table.set_index("model").loc[model])


def triple(row: dict[str, Any], name: str, digits: int = 3) -> str:
    """Return ``'0.774 (0.760 to 0.788)'``."""
    values = [number(float(row[f"{name}{end}"]), digits) for end in ("", "_low", "_high")]
    return say("{value} ({low} to {high})", value=values[0], low=values[1], high=values[2])


def whole(found: Estimate) -> dict[str, str]:
    """Return n, value, low and high as whole numbers in words, and the share."""
    words = {name: number(getattr(found, name), 0) for name in ("n", "value", "low", "high")}
    return {**words, "share": percent(found.value / max(found.n, 1))}


def saved(gain: Estimate) -> dict[str, object]:
    """Return share, between and n of what a forecast saves, in words."""
    return {"share": percent(gain.value), "between": interval(gain.low, gain.high, "share"), "n": gain.n}
