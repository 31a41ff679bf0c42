"""What members will bring, in words: the forecast of :mod:`helpers.stats.forecast.value` and how it did before."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pandas as pd

from helpers.figures import Chart, NoChart
from helpers.methods.outlook import plots
from helpers.playbook.finding import Finding, finding
from helpers.playbook.result import Part, Result
from helpers.sentences import interval, number, percent, quantity, say, with_interval
from helpers.stats.estimate import Estimate, unknown
from helpers.stats.forecast.value import ValueForecast, forecast_value
from helpers.stats.forecast.value_judging import SURVIVAL
from helpers.study import Study, enough
from helpers.tables import Table


@dataclass(frozen=True, repr=False)
class MemberValue(ValueForecast, Result):
    """Predicted value of each present member, and how predictions of this kind did on windows they had not seen.

    The attributes are those of :class:`helpers.stats.forecast.value.ValueForecast`.
    """

    __repr__ = Result.__repr__

    @property
    def known(self) -> bool:
        """Whether there is a prediction, judged on at least one window."""
        return self.spread is not None and self.ahead is not None

    @property
    def smallest(self) -> int | None:
        """Members whose value is predicted."""
        return self.present or None

    @property
    def expected(self) -> Estimate:
        """What all present members are expected to bring, with the error of past windows."""
        if self.spread is None or not self.total > 0 or not self.spread.windows:
            return unknown(self.present, self.study.unit, self.confidence)
        low, high = self.spread.factors(self.total)
        how = (self.present, self.study.unit, "prediction with the error of past windows", self.confidence)
        return Estimate(self.total, self.total * low, self.total * high, *how)

    @property
    def sentence(self) -> str:
        """What members will bring."""
        if not self.expected.known:
            text = (
                "Value of each member ahead: too little data. It takes three times {days} days of history, "
                "{m} members and {b} of them with value."
            )
            return say(text, days=self.horizon_days, m=enough.TO_FIT, b=enough.BUYERS_TO_FIT)
        text = "The members of today will bring {value} in the {days} days after {day}."
        day = self.study.as_of.isoformat()
        return say(text, value=with_interval(self.expected), days=self.horizon_days, day=day)

    @property
    def judged_sentence(self) -> str:
        """How well predicted value agreed with what came in the last closed window."""
        row = self.table.set_index("model").loc[SURVIVAL]
        return say(
            "In the {days} days after {split}, {n} members brought {realised}, {ratio} ({low} to {high}) of the "
            "{predicted} foretold. By tenths of members, shares missed their prediction by at most {gap} points; "
            "chance alone makes up to {chance}.",
            days=number(self.horizon_days), split=self.split.isoformat(), n=number(int(row["n"])),
            realised=quantity(float(row["realised"]), self.study.unit),
            predicted=quantity(float(row["predicted"]), self.study.unit),
            gap=number(float(row["largest_gap"]), 1), chance=number(float(row["gap_by_chance"]), 1),
            **{name: percent(float(row[name]), 0) for name in ("ratio", "low", "high")},
        )  # fmt: skip

    @property
    def provisional_sentence(self) -> str:
        """Whether predictions are provisional; empty when they are not."""
        if self.spread is None or not self.spread.provisional:
            return ""
        if self.spread.windows < enough.VALUE_WINDOWS:
            text = "Provisional: {k} windows are needed to measure the error of the next, so a spread is assumed."
            return say(text, k=enough.VALUE_WINDOWS)
        value, low, high = (percent(each, 0) for each in self.spread.ratio)
        text = "Provisional: over {k} windows {value} ({low} to {high}) of what was foretold came."
        return say(text, k=self.spread.windows, value=value, low=low, high=high)

    def _picture(self) -> Chart | NoChart:
        """Return predicted and realised shares of value by tenth of the prediction."""
        rows, title, note = self.deciles, say("Did the predicted value come?"), self.sentence
        rows = rows[rows["model"] == SURVIVAL].dropna(subset=["low"]) if len(rows) else rows
        names = {"decile": "tenth", "predicted_share": "predicted", "realised_share": "came"}
        rows = rows.drop(columns="model", errors="ignore").rename(columns=names)
        if len(rows):
            ends = {
                name: percent(float(rows[name].iloc[-1]), 0) for name in ("predicted", "came", "low", "high")
            }
            title = say(
                "The top tenth was to bring {predicted} of all value, {came} ({low} to {high}) came", **ends
            )
            note = say("{drawn} Predicted on {split}.", drawn=self.study.drawn, split=self.split.isoformat())
        return plots.by_tenth(rows, "value_by_tenth", title, say("Share of all value"), note)

    def parts(self) -> Iterator[Part]:
        """Yield what members will bring, how such predictions did, and against what they were compared."""
        yield self.sentence
        yield self._picture()
        table = self.table.set_index("model") if len(self.table) else self.table
        if SURVIVAL in table.index and pd.notna(table.loc[SURVIVAL, "low"]):
            yield self.judged_sentence
            yield against_past(dict(table.loc[SURVIVAL]))
        if self.share < 1:
            text = "Fitted and judged on a random sample of {k} members, {share} of all."
            yield say(text, k=number(self.windows["member_id"].nunique()), share=percent(self.share, 0))
        if self.provisional_sentence:
            yield self.provisional_sentence
        if len(table):
            shares = dict.fromkeys(
                ["ratio", "low", "high", "top_tenth", "gain", "gain_low", "gain_high"], "share"
            )
            caption = say("Forecasts of value on the last closed window; gain: error less than past value's")
            columns = ["model", "n", "predicted", "realised", *shares]
            yield Table("value_forecasts", self.table[columns], caption, shares, members="n")

    def findings(self) -> Iterator[Finding]:
        """State what all present members are expected to bring."""
        value = quantity(self.expected.value, self.study.unit)
        yield finding(
            self.expected, id="outlook.value_next",
            metric=say("value that present members are expected to bring in {h} days", h=self.horizon_days),
            scope=say("{scope}, the {h} days after", scope=self.study.scope, h=self.horizon_days),
            sentence=self.sentence, assumption=say("the next window errs as past ones did"),
            direction="up is good", systems=("S026",),
            headline=say("members will bring {value} in {h} days", value=value, h=self.horizon_days),
            definition="next_value", picture="value_by_tenth",
        )  # fmt: skip


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
        study.activity, study.population, as_of=study.as_of, began=study.began, horizon_days=horizon_days,
        confidence=study.confidence, draws=study.draws, seed=study.seed,
    )  # fmt: skip
    return MemberValue(study, **vars(found))


def against_past(row: dict[str, Any]) -> str:
    """Say whether the forecast erred less than each member's own past value, by a row of its table."""
    text = "Against each one's own past value it errs {gain} less ({between}): the difference is not clear."
    if row["gain_low"] > 0:
        text = "It foresees value better than each one's own past does: it errs {gain} less ({between})."
    elif row["gain_high"] < 0:
        text = "Each one's own past foresees value better: the forecast errs {gain} less ({between})."
    between = interval(float(row["gain_low"]), float(row["gain_high"]), "share")
    return say(text, gain=percent(float(row["gain"])), between=between)
