"""The result of a value contest, and what it says in words."""

from __future__ import annotations

import datetime as dt
import html
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import pandas as pd

from helpers.methods.rfm.score_value import ScoreValue
from helpers.sentences import number, percent, say
from helpers.stats.estimate import Estimate
from helpers.study.frames import Count
from helpers.tables import html_table

PAST_VALUE, RFM_SCORE, MODEL = "past value", "RFM score", "BG/NBD x Gamma-Gamma"
# The smallest gain worth a second model to run and explain, as a share of the lift of the RFM score. A working
# convention: with a tenth less lift, nine contacts do what ten did.
SMALLEST_GAIN = 0.10
VALUE_UNIT = "value per member"
COUNTED = {"order": "orders", "interaction": "interactions", "all": "actions"}


class Settings(NamedTuple):
    """What a prediction must repeat to be comparable with the contest."""

    report_tz: str
    unit_days: float
    bins: int
    counted: Count
    confidence: float
    window_days: int
    holdout_days: int
    present_only: bool = False


@dataclass(frozen=True)
class Contest:
    """Result of a value contest.

    Attributes
    ----------
    table : pandas.DataFrame
        One row per score: model, lift, low, high (bootstrap), n (members), spearman, spearman_low,
        spearman_high (rank correlation with hold-out value), predicted_total, calibration (predicted over
        actual total), calibration_low, calibration_high. NaN: too little data, or, for totals, a score that
        is no amount of money.
    differences : pandas.DataFrame
        One row per challenger: model, against ("RFM score"), difference (of lifts), low, high, n, wins.
        The intervals hold together at the level of the settings (Bonferroni over the challengers).
    winner : str or None
        The score to use; None when there is too little data.
    reason : str
        Why there is too little data, or which candidate could not run; empty otherwise.
    split, as_of : datetime.date
        Last day of the calibration and of the hold-out.
    buyers : int
        Members with value in the hold-out.
    top_share : float
        Share of members that is the top.
    score_value : ScoreValue or None
        Mean hold-out value by RFM score.
    settings : Settings
        How members were scored.
    newcomers : Estimate
        Mean hold-out value of the members present at the split who had not bought by then (bootstrap over
        members); not known without a population, or for too few of them.
    newcomer_share : float
        Their share of the hold-out value of all members present at the split; NaN when not known.
    """

    table: pd.DataFrame
    differences: pd.DataFrame
    winner: str | None
    reason: str
    split: dt.date
    as_of: dt.date
    buyers: int
    top_share: float
    score_value: ScoreValue | None = field(repr=False)
    settings: Settings
    newcomers: Estimate
    newcomer_share: float = np.nan

    @property
    def enough(self) -> bool:
        """Whether no challenger, even at its upper bound, gains `SMALLEST_GAIN` of the lift of the RFM score.

        False also while a challenger could not be compared.
        """
        if self.winner != RFM_SCORE:
            return False
        own = float(self.table.loc[self.table["model"] == RFM_SCORE, "lift"].iloc[0])
        return bool((self.differences["high"] < SMALLEST_GAIN * own).all())

    @property
    def sentence(self) -> str:
        """Which score to use, with the evidence."""
        values = {
            "members": self._members(),
            "buyers": number(self.buyers),
            "period": say(
                "{days} days after {split}", days=number(self.settings.holdout_days), split=self.split
            ),
            "why": self.reason,
        }
        if self.winner is None:
            text = "Which score finds next period's value: too little data ({members}, {buyers} of them "
            return say(text + "with value in the {period}). {why}", **values).strip()
        values |= {"top": number(100 * self.top_share), "plain": _interval(self.table, RFM_SCORE, "lift")}
        values |= {"scored": self._scored(), "unseen": self._unseen()}
        if self.winner == RFM_SCORE:
            text = (
                "{verdict} In the {period} the top {top} % of {members}, ranked by {scored}, brought {plain} "
                "times the value of the average member. {others} {unseen} {why}"
            )
            found = say(text, **values, verdict=self._verdict(), others=self._others())
        else:
            text = (
                "{winner} beats plain RFM: in the {period} the top {top} % of {members}, ranked by it, brought "
                "{best} times the value of the average member, by {scored} {plain}; the difference is {gain}. "
                "{unseen} {why}"
            )
            gain = _interval(self.differences, self.winner, "difference")
            best = _interval(self.table, self.winner, "lift")
            found = say(text, **values, winner=self.winner, best=best, gain=gain)
        return " ".join(found.split())

    def _members(self) -> str:
        text = "{n} members who had bought by {split}"
        if self.settings.present_only:
            text = "{n} members who were present on {split} and had bought by then"
        return say(text, n=number(int(self.table["n"].max())), split=self.split)

    def _scored(self) -> str:
        what = say(COUNTED[self.settings.counted])
        return say("RFM of {what} over {days} days", what=what, days=number(self.settings.window_days))

    def _verdict(self) -> str:
        bound = self.differences["high"].max()
        if self.enough:
            own = float(self.table.loc[self.table["model"] == RFM_SCORE, "lift"].iloc[0])
            text = "Plain RFM is enough: no other score gains {least} or more ({share} of its lift)."
            return say(text, least=number(SMALLEST_GAIN * own, 2), share=percent(SMALLEST_GAIN, 0))
        if not bound > 0:
            return say("No score is shown to be better than plain RFM, so the simplest is kept.")
        text = (
            "No score is shown to be better than plain RFM; a gain of up to {bound} cannot be excluded, so the "
            "simplest is kept."
        )
        return say(text, bound=number(float(bound), 2))

    def _others(self) -> str:
        parts = [
            say("{model} differs by {d}", model=model, d=_interval(self.differences, model, "difference"))
            for model in self.differences.dropna(subset=["low"])["model"]
        ]
        return say("Compared with it, {list}.", list="; ".join(parts)) if parts else ""

    def _unseen(self) -> str:
        if not np.isfinite(self.newcomer_share):
            return ""
        text = (
            "{share} of the value that present members brought in the period came from members without an earlier "
            "order, whom no score sees."
        )
        return say(text, share=percent(self.newcomer_share))

    def _repr_html_(self) -> str:
        caption = say("Lift of the top {top} % by each score", top=number(100 * self.top_share))
        return f"{html_table(self.table, caption)}<p>{html.escape(self.sentence)}</p>"


def _interval(frame: pd.DataFrame, model: str, column: str) -> str:
    row = frame[frame["model"] == model]
    value, low, high = (number(float(row[name].iloc[0]), 2) for name in (column, "low", "high"))
    return say("{value} ({low} to {high})", value=value, low=low, high=high)
