"""What a contest of forecasts came to, in words."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from helpers.sentences import interval, number, percent, say
from helpers.stats.estimate import Estimate
from helpers.stats.forecast.judging import ORDERED, RETURNED, SILENT, Contest
from helpers.stats.forecast.landmarks import Landmarks, landmarks, standard_categories, standard_signals
from helpers.stats.forecast.models import BASE_RATE
from helpers.study import Study, enough

WHAT = {SILENT: "who falls silent", RETURNED: "who comes back", ORDERED: "who orders"}
"""What is predicted, by outcome."""
ALIKE = "the next period is like the closed ones, apart from a shift as large as theirs"
"""What must hold for an expected number of the next period."""


def rows_of(study: Study, horizon_days: int, **asked: Any) -> Landmarks:
    """Return the person-period rows of a study with all that its tables tell of members beforehand."""
    signals = standard_signals(study.dataset, study.report_tz) | asked.pop("signals", {})
    return landmarks(
        study.activity,
        study.population,
        as_of=study.as_of,
        horizon_days=horizon_days,
        signals=signals,
        categories=standard_categories(study.dataset),
        seed=study.seed,
        **asked,
    )


def sample_sentence(rows: Landmarks) -> str:
    """On how many members the rows of closed windows rest, when not on all; else nothing."""
    if rows.sampled >= rows.members:
        return ""
    text = "Counted on a random sample of {k} of {m} members."
    return say(text, k=number(rows.sampled), m=number(rows.members))


def contest_sentence(held: Contest) -> str:
    """Who won, by how much, and how well calibrated; or how many windows are missing."""
    what, size = say(WHAT[held.outcome]), {"w": held.windows, "h": held.horizon_days}
    if held.too_few:
        text = (
            "Models of {what}: too little data to compare them ({w} judged windows of {h} days; {k} needed)."
        )
        found = say(text, what=what, k=enough.WINDOWS_TO_JUDGE, **size)
        return f"{found} {say('Until then {model} is used.', model=held.winner)}" if held.winner else found
    row = score(held.table, held.winner)
    return say(
        "Over {w} windows of {h} days, {winner} is used to predict {what} ({why}): AUC {auc}, Brier score {brier} "
        "against {base} for the bare share, predictions off by {error} points in a tenth of members on average "
        "({floor} would be chance).",
        what=what,
        winner=held.winner,
        why=_why(held),
        auc=triple(row, "auc"),
        brier=triple(row, "brier", 4),
        base=number(float(held.table.set_index("model")["brier"].get(BASE_RATE, np.nan)), 4),
        error=number(100 * row["decile_error"], 1),
        floor=number(100 * row["decile_error_if_perfect"], 1),
        **size,
    )


def _why(held: Contest) -> str:
    if held.outcome != SILENT:
        return say("the one that is corrected by what came of earlier predictions")
    if held.winner == held.best:
        return say("the lowest Brier score, and every simpler model is clearly worse")
    row = score(held.differences, held.winner)
    text = (
        "the simplest that is not clearly worse: the Brier score of {best} is lower by {gap} ({low} to {high}, "
        "as windows and members vary), no clear difference"
    )
    values = {name: number(row[name], 4) for name in ("low", "high")}
    return say(text, best=held.best, gap=number(row["brier_difference"], 4), **values)


def provisional(held: Contest) -> str:
    """Say that too few windows were judged to measure the error of the next; nothing when there were enough."""
    if not held.too_few:
        return ""
    text = "Provisional: {w} windows could be judged, {k} are needed, so the interval assumes a spread."
    return " " + say(text, w=held.windows, k=enough.WINDOWS_TO_JUDGE)


def score(table: pd.DataFrame, model: str | None) -> dict[str, Any]:
    """Return a model's row of a table."""
    return dict(table.set_index("model").loc[model])


def triple(row: dict[str, Any], name: str, digits: int = 3) -> str:
    """Return ``'0.774 (0.760 to 0.788)'``."""
    values = [number(float(row[f"{name}{end}"]), digits) for end in ("", "_low", "_high")]
    return say("{value} ({low} to {high})", value=values[0], low=values[1], high=values[2])


def whole(found: Estimate) -> dict[str, str]:
    """Return n, value, low and high as whole numbers in words."""
    return {name: number(round(getattr(found, name))) for name in ("n", "value", "low", "high")}


def saved(gain: Estimate) -> dict[str, object]:
    """Return share, between and n of what a forecast saves, in words."""
    return {"share": percent(gain.value), "between": interval(gain.low, gain.high, "share"), "n": gain.n}
