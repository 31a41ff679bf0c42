"""What members will bring, in words: the forecast of :mod:`helpers.stats.forecast.value` and how it did before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from helpers.sentences import number, percent, quantity, say
from helpers.stats.forecast.value import ValueForecast, forecast_value
from helpers.stats.forecast.value_judging import MODEL, PAST, SURVIVAL, RatioSpread
from helpers.study import Study, enough


@dataclass(frozen=True)
class MemberValue(ValueForecast):
    """Predicted value of each present member, and how predictions of this kind did on windows they had not seen.

    Attributes
    ----------
    unit : str
        Unit of the value; the others as in :class:`helpers.stats.forecast.value.ValueForecast`.
    """

    unit: str = "points"

    @property
    def known(self) -> bool:
        """Whether there is a prediction, judged on at least one window."""
        return self.spread is not None

    @property
    def sentence(self) -> str:
        """All of :attr:`sentences`."""
        return " ".join(self.sentences)

    @property
    def sentences(self) -> list[str]:
        """How well predicted value agreed with what came, over windows, and against each member's past value."""
        rows = self.table.set_index("model") if len(self.table) else self.table
        if SURVIVAL not in rows.index or pd.isna(rows.loc[SURVIVAL, "low"]) or self.spread is None:
            text = (
                "Value of each member ahead: too little data. It takes three times {days} days of history, "
            )
            text += "{m} members and {b} of them with value."
            return [say(text, days=self.horizon_days, m=enough.TO_FIT, b=enough.BUYERS_TO_FIT)]
        row, past = (rows.loc[[model]].iloc[0] for model in (SURVIVAL, PAST))
        said = say(
            "In the {days} days after {split}, {n} members brought {realised}. The {model} (expected days here times "
            "value a day) had said {predicted}, so {ratio} of it came ({low} to {high}). The tenth of members it put "
            "on top brought {top_tenth} of all value ({top_low} to {top_high}), the tenth of most past value "
            "{past_tenth} ({past_low} to {past_high}). By tenths of members, shares missed their prediction by at "
            "most {gap} points; chance alone makes up to {chance}.",
            days=number(self.horizon_days),
            split=str(self.split),
            n=number(int(row["n"])),
            model=SURVIVAL,
            realised=quantity(float(row["realised"]), self.unit),
            predicted=quantity(float(row["predicted"]), self.unit),
            gap=number(float(row["largest_gap"]), 1),
            chance=number(float(row["gap_by_chance"]), 1),
            **_shares(row.to_dict(), ("ratio", "low", "high", "top_tenth", "top_low", "top_high")),
            **{f"past_{end}": percent(float(past[f"top_{end}"]), 0) for end in ("tenth", "low", "high")},
        )
        against = (against_past(rows.loc[model].to_dict(), model) for model in (SURVIVAL, MODEL))
        parts = [*against, spread_sentence(self.spread), self.sample_sentence]
        return [said, " ".join(filter(None, parts))]

    @property
    def sample_sentence(self) -> str:
        """On how many members fits and windows rest, when not on all; else nothing."""
        if self.share >= 1:
            return ""
        text = "Fitted and judged on a random sample of {k} members, {share} of all."
        return say(text, k=number(self.windows["member_id"].nunique()), share=percent(self.share, 0))


def member_value(study: Study, *, horizon_days: int = 60) -> MemberValue:
    """Predict the value of each present member, and judge such predictions on up to four closed windows.

    Parameters
    ----------
    study : Study
        The members and what they brought.
    horizon_days : int
        Days ahead; the judged windows are the last ones of `horizon_days` days up to ``as_of``.
    """
    found = forecast_value(
        study.activity,
        study.population,
        as_of=study.as_of,
        began=study.began,
        horizon_days=horizon_days,
        confidence=study.confidence,
        draws=study.draws,
        seed=study.seed,
    )
    return MemberValue(**vars(found), unit=study.unit)


def _shares(row: Mapping[Any, Any], names: tuple[str, ...]) -> dict[str, str]:
    return {name: percent(float(row[name]), 0) for name in names}


def against_past(row: Mapping[Any, Any], model: str) -> str:
    """Say whether a model erred less than each member's own past value; empty where it could not be judged.

    Parameters
    ----------
    row : mapping
        A row of the table of the forecast: n, gain, gain_low, gain_high, ratio, low, high.
    model : str
        Its model.
    """
    if pd.isna(row["gain_low"]):
        return ""
    verdict = say("the difference is not clear")
    if row["gain_low"] > 0:
        verdict = say("the {model} wins", model=model)
    elif row["gain_high"] < 0:
        verdict = say("past value wins")
    text = (
        "Compared on {n} members with each one's own past value, the {model} erred {gain} (from {gain_low} to "
        "{gain_high}, Poisson deviance): {verdict}."
    )
    gains = {name: _less(float(row[name])) for name in ("gain", "gain_low", "gain_high")}
    said = say(text, n=number(int(row["n"])), model=model, verdict=verdict, **gains)
    if model == MODEL:
        text = "It speaks of buyers only; {ratio} of what it said came ({low} to {high})."
        said += " " + say(text, **_shares(row, ("ratio", "low", "high")))
    return said


def _less(gain: float) -> str:
    """Return a share of the error taken away in words: ``0.14 -> '14.0 % less'``, ``-0.04 -> '4.0 % more'``."""
    size = percent(abs(gain))
    return say("{size} less", size=size) if gain >= 0 else say("{size} more", size=size)


def spread_sentence(spread: RatioSpread) -> str:
    """Say the typical ratio over windows, and whether predictions are provisional."""
    if not spread.windows:
        return say("No window of value could be judged.")
    value, low, high = (percent(each, 0) for each in spread.ratio)
    text = "Over {k} such windows, {value} of what the {model} said came ({low} to {high}, by the spread between "
    text += "windows)."
    said = say(text, k=spread.windows, model=SURVIVAL, value=value, low=low, high=high)
    if spread.windows < enough.VALUE_WINDOWS:
        said += " " + say(
            "Provisional: {k} windows are needed, so a spread is assumed.", k=enough.VALUE_WINDOWS
        )
    elif spread.provisional:
        said += " " + say("Provisional: predictions were off in one direction.")
    return said
