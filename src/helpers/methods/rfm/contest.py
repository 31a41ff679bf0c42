"""Which score finds next period's value: past value, RFM score, or BG/NBD x Gamma-Gamma?

Members who were present at the split and had bought by then are scored on what was known then, and judged by their
net value in the hold-out that follows. Whoever had left by then brings nothing for a known reason, and a score that
finds such members shows no skill.

A challenger wins only when the paired bootstrap interval of its lift over the RFM score excludes 0. Otherwise
the RFM score is kept, and it is enough when no challenger can be better by a gain worth having. The two
intervals are Bonferroni-adjusted, so that they hold together at the stated level.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import ibis
import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.isotonic import IsotonicRegression

from helpers.figures import Chart, NoChart
from helpers.methods.rfm import plots
from helpers.playbook.finding import Finding, finding
from helpers.playbook.result import Result, people
from helpers.sentences import number, percent, say
from helpers.stats.btyd.cells import histories, observed_days
from helpers.stats.btyd.value_ahead import value_ahead
from helpers.stats.concentration import lift, paired_lifts
from helpers.stats.estimate import Estimate, half_width, percentile_interval, unknown
from helpers.study import Study
from helpers.study.enough import JUDGED_BUYERS, JUDGED_MEMBERS, RESAMPLED, RESAMPLED_WITH_VALUE
from helpers.study.frames import materialise
from helpers.study.values import VALUE_DECIMALS

FloatArray = NDArray[np.float64]

PAST_VALUE, RFM_SCORE, MODEL = "past value", "RFM score", "BG/NBD x Gamma-Gamma"
CHALLENGERS = (PAST_VALUE, MODEL)
# The smallest gain worth a second model to run and explain, as a share of the lift of the RFM score. A working
# convention: with a tenth less lift, nine contacts do what ten did.
SMALLEST_GAIN = 0.10
TOP = 0.1
BINS = 5
VALUE_UNIT = "value per member"
COUNTED = {"order": "orders", "interaction": "interactions", "all": "actions"}
COLUMNS = ["model", "lift", "low", "high", "n", "calibration", "calibration_low", "calibration_high"]


@dataclass(frozen=True, repr=False)
class Contest(Result):
    """Result of a value contest.

    Attributes
    ----------
    table : pandas.DataFrame
        One row per score: model, lift, low, high (bootstrap), n (members), calibration (predicted over
        actual total), calibration_low, calibration_high. NaN: too little data, or, for totals, a score that
        is no amount of money.
    differences : pandas.DataFrame
        One row per challenger: model, against ("RFM score"), difference (of lifts), low, high, n, wins.
        The intervals hold together at the study's level (Bonferroni over the challengers).
    winner : str or None
        The score to use; None when there is too little data.
    reason : str
        Why there is too little data, or which candidate could not run; empty otherwise.
    split : datetime.date
        Last day of the calibration.
    buyers : int
        Members with value in the hold-out.
    window_days, holdout_days : int
        Days before and after the split.
    newcomers : Estimate
        Mean hold-out value of the members present at the split who had not bought by then (bootstrap over
        members); not known for too few of them.
    newcomer_share : float
        Their share of the hold-out value of all members present at the split; NaN when there is none.
    score_value : pandas.DataFrame or None
        Mean hold-out value by RFM score, see :func:`value_by_score`.
    """

    table: pd.DataFrame
    differences: pd.DataFrame
    winner: str | None
    reason: str
    split: dt.date
    buyers: int
    window_days: int
    holdout_days: int
    newcomers: Estimate
    newcomer_share: float
    score_value: pd.DataFrame | None = field(default=None, repr=False)

    @property
    def enough(self) -> bool:
        """Whether no challenger, even at its upper bound, gains `SMALLEST_GAIN` of the lift of the RFM score.

        False also while a challenger could not be compared.
        """
        if self.winner != RFM_SCORE:
            return False
        return bool((self.differences["high"] < SMALLEST_GAIN * self._plain).all())

    @property
    def n(self) -> int:
        """Members whose value was forecast."""
        return int(self.table["n"].max()) if len(self.table) else 0

    @property
    def smallest(self) -> int | None:
        """Members of the top part, when scores were judged by it."""
        return round(self.n * TOP) if self.winner else None

    @property
    def gain(self) -> Estimate:
        """How much lift the best challenger that could run gains over the RFM score."""
        known = self.differences.dropna(subset=["low"]).sort_values("difference")
        if known.empty:
            return unknown(self.n, "ratio", self.study.confidence)
        value, low, high = known[["difference", "low", "high"]].iloc[-1].astype(float)
        method = "paired member bootstrap, Bonferroni over the challengers"
        return Estimate(value, low, high, self.n, "ratio", method, self.study.confidence)

    @property
    def _plain(self) -> float:
        return float(self.table.loc[self.table["model"] == RFM_SCORE, "lift"].iloc[0])

    @property
    def sentence(self) -> str:
        """Which score to use, with the evidence."""
        k_min = self.study.k_min
        values = {"members": people(self.n, k_min), "buyers": people(self.buyers, k_min), "split": self.split}
        values |= {"days": self.holdout_days, "reason": self.reason}
        if self.winner is None:
            text = (
                "Which score finds next period's value: too little data ({members} members had bought by {split}, "
                "{buyers} of them brought value in the {days} days after). {reason}"
            )
            return say(text, **values)
        told = self.differences.dropna(subset=["low"])
        others = [f"{model} {_interval(told, model, 'difference')}" for model in told["model"]]
        text = (
            "{verdict} Of {members} members who had bought by {split}, the top {top} by RFM of {what} brought "
            "{plain} times the average in the {days} days after; what others add: {others}. {share} of all value "
            "came from members without an earlier order. {reason}"
        )
        return say(
            text, **values, verdict=self._verdict(), top=percent(TOP, 0), what=say(COUNTED[self.study.buying]),
            plain=_interval(self.table, RFM_SCORE, "lift"), others="; ".join(others),
            share=percent(self.newcomer_share),
        ).strip()  # fmt: skip

    def _verdict(self) -> str:
        text = "No score is shown to beat plain RFM, which is kept; gains above {bound} are excluded."
        if self.winner != RFM_SCORE:
            text = "{winner} beats plain RFM."
        elif self.enough:
            text = "Plain RFM is enough: no other score gains {least} or more ({share} of its lift)."
        bound, least = (number(x, 2) for x in (self.differences["high"].max(), SMALLEST_GAIN * self._plain))
        return say(text, winner=self.winner, bound=bound, least=least, share=percent(SMALLEST_GAIN, 0))

    def findings(self) -> Iterator[Finding]:
        """Yield the gain of the best challenger."""
        text = "no forecast is shown to beat plain RFM"
        if self.winner not in (RFM_SCORE, None):
            text = "{winner} finds value better than plain RFM"
        scope = say("{whom} who had bought by {split}", whom=self.whom, split=self.split)
        yield finding(
            self.gain, id="rfm.model_gain", metric=say("lift of the best forecast over plain RFM"), scope=scope,
            sentence=self.sentence, assumption=say("the hold-out stands for the next period"),
            direction="up is good", change=True, systems=("S018", "S023"),
            headline=say(text, winner=self.winner), definition="lift", picture="value_contest",
        )  # fmt: skip

    def figure(self) -> Chart | NoChart:
        """Draw the lift of each forecast of next-period value, with intervals."""
        rows = self.table.dropna(subset=["lift", "low"]).sort_values("lift", ignore_index=True)
        if rows.empty:
            return NoChart(say("Forecasts of value"), self.sentence, "value_contest")
        top, lift = percent(TOP, 0), rows.loc[rows["model"] == self.winner, "lift"].item()
        label = say("Value of the top {top} in the hold-out, as a multiple of the average member", top=top)
        figure = plots.intervals(rows["model"].tolist(), rows.rename(columns={"lift": "value"}), label, 1.0)
        text = "Ranked by {model}, the score to use, the top {top} bring {lift} times the average"
        title = say(text, model=self.winner, top=top, lift=number(lift))
        kind = say("Lift of each forecast with its interval")
        return self.drawn("value_contest", kind, title, rows[["model", "lift", "low", "high", "n"]], figure)


def _interval(frame: pd.DataFrame, model: str, column: str) -> str:
    row = frame[frame["model"] == model]
    value, low, high = (number(float(row[name].iloc[0]), 2) for name in (column, "low", "high"))
    return say("{value} ({low} to {high})", value=value, low=low, high=high)


def contest(study: Study, holdout_days: int) -> Contest:
    """Score members as of a split and compare the scores by the value of the hold-out after it.

    Parameters
    ----------
    study : Study
        With orders, or activity whose counted rows stand for purchases.
    holdout_days : int
        Days up to ``as_of`` that are kept back; the split is the day before them.
    """
    split = study.as_of - dt.timedelta(days=holdout_days)
    here = materialise(study.at(split).present.select("member_id"))
    rows = materialise(study.purchases.semi_join(here, "member_id"))
    window = observed_days(rows, split) + 1
    members = _known(rows, split, window)
    late = _value_between(rows, split, study.as_of)
    outcome = late.reindex(members["member_id"]).fillna(0.0).to_numpy(float)
    scores, reason = _scores(members, rows, split, window, holdout_days)
    worth, share = _newcomers(study, here, members, late)
    held = Contest(
        study, table=pd.DataFrame({"model": list(scores)}).reindex(columns=COLUMNS).assign(n=len(members)),
        differences=pd.DataFrame({"model": CHALLENGERS, "against": RFM_SCORE, "n": len(members), "wins": False}),
        winner=None, reason=reason, split=split, buyers=int((outcome > 0).sum()), window_days=window,
        holdout_days=holdout_days, newcomers=worth, newcomer_share=share,
    )  # fmt: skip
    if len(members) < JUDGED_MEMBERS or held.buyers < JUDGED_BUYERS or not outcome.sum() > 0:
        text = "It takes {m} members and {b} buyers."
        gaps = held.differences.assign(difference=np.nan, low=np.nan, high=np.nan)
        return replace(held, differences=gaps, reason=say(text, m=JUDGED_MEMBERS, b=JUDGED_BUYERS))
    known = {name: score for name, score in scores.items() if np.isfinite(score).all()}
    lifts = paired_lifts(known, outcome, top=TOP, draws=study.draws, seed=study.seed)
    table = pd.DataFrame(
        [_row(name, score, outcome, lifts.get(name), study.confidence) for name, score in scores.items()]
    ).reindex(columns=COLUMNS)
    differences = _differences(table, lifts, study.confidence)
    beaten = table[table["model"].isin(differences.loc[differences["wins"], "model"])]
    winner = RFM_SCORE if beaten.empty else str(beaten.loc[beaten["lift"].idxmax(), "model"])
    by_score = value_by_score(scores[RFM_SCORE], outcome, study.confidence)
    return replace(held, table=table, differences=differences, winner=winner, score_value=by_score)


def _known(rows: ibis.Table, day: dt.date, window: int) -> pd.DataFrame:
    """Return what was known of each buyer on a day: its history, value in the window, and RFM score."""
    inside = rows.filter(rows.day <= ibis.date(day), rows.day > ibis.date(day - dt.timedelta(days=window)))
    # Rounding makes the sums independent of the order in which an engine adds them up.
    monetary = inside.value.sum().cast("float64").round(VALUE_DECIMALS).cast("float64")
    sums = inside.group_by("member_id").agg(frequency=inside.count(), monetary=monetary)
    found = histories(rows, day).left_join(sums, "member_id").drop("member_id_right").to_pandas()
    found = found.fillna({"frequency": 0, "monetary": 0.0}).sort_values("member_id", ignore_index=True)
    scores = [_quantile_score(found[name]) for name in ("frequency", "monetary")]
    return found.assign(rfm_score=BINS + 1 - _quantile_score(found["recency_days"]) + sum(scores))


def _quantile_score(values: pd.Series) -> pd.Series:
    """Return scores from 1 to `BINS` by the share of members below; equals score alike."""
    return (values.rank(method="min") - 1) * BINS // max(len(values), 1) + 1


def _value_between(rows: ibis.Table, after: dt.date, until: dt.date) -> pd.Series:
    late = rows.filter((rows.day > ibis.date(after)) & (rows.day <= ibis.date(until)))
    total = late.value.sum().cast("float64").round(VALUE_DECIMALS).cast("float64")
    found = late.group_by("member_id").agg(value=total).to_pandas()
    return found.set_index("member_id")["value"].astype(float)


def _scores(
    members: pd.DataFrame, rows: ibis.Table, day: dt.date, window: int, horizon_days: int
) -> tuple[dict[str, FloatArray], str]:
    """Return the scores by name, and why a model is missing (NaN scores) if it is."""
    scores = {
        PAST_VALUE: members["monetary"].to_numpy(float) * (horizon_days / window),
        RFM_SCORE: members["rfm_score"].to_numpy(float),
        MODEL: np.full(len(members), np.nan),
    }
    value, why = value_ahead(members, rows, day, horizon_days)
    if why:
        return scores, say("{model} did not run. {why}", model=MODEL, why=why)
    return scores | {MODEL: value}, ""


def _newcomers(
    study: Study, here: ibis.Table, members: pd.DataFrame, late: pd.Series
) -> tuple[Estimate, float]:
    """Return what the present members without a purchase before the split brought after it: mean and share."""
    n = int(here.count().execute()) - len(members)
    values = np.sort(late[~late.index.isin(members["member_id"])].to_numpy(float))
    total = float(late.sum())
    share = float(values.sum()) / total if total > 0 else np.nan
    if n < RESAMPLED or (values > 0).sum() < RESAMPLED_WITH_VALUE:
        return unknown(n, VALUE_UNIT, study.confidence), share
    # A resample of all of them draws those without value as one, which is exact.
    rng = np.random.default_rng(study.seed)
    sizes = rng.binomial(n, values.size / n, study.draws)
    means = np.array([values[rng.integers(0, values.size, size)].sum() / n for size in sizes])
    low, high = percentile_interval(means, study.confidence)
    mean = float(values.sum()) / n
    return Estimate(mean, low, high, n, VALUE_UNIT, "member bootstrap", study.confidence), share


def _row(
    name: str, score: FloatArray, outcome: FloatArray, lifts: FloatArray | None, confidence: float
) -> dict[str, object]:
    """Return the lift of a score, and of an amount of money how far its total was off.

    The interval of the ratio of totals is that of the delta method for the logarithm of a ratio of two sums over the
    same members.
    """
    row: dict[str, object] = {"model": name, "n": score.size}
    if lifts is None:
        return row
    low, high = percentile_interval(lifts, confidence)
    row |= {"lift": lift(score, outcome, TOP), "low": low, "high": high}
    if name == RFM_SCORE or not score.sum() > 0:
        return row
    ratio = float(score.sum() / outcome.sum())
    spread = score / score.mean() - outcome / outcome.mean()
    factor = float(np.exp(half_width(spread.std() / np.sqrt(score.size), confidence)))
    return row | dict(zip(COLUMNS[-3:], (ratio, ratio / factor, ratio * factor), strict=True))


def _differences(table: pd.DataFrame, lifts: dict[str, FloatArray], confidence: float) -> pd.DataFrame:
    """Return the lift of each challenger minus that of the RFM score, with its paired interval.

    Each interval is at level 1 - (1 - confidence) / 2 (Bonferroni), whether or not both challengers ran.
    """
    each = 1 - (1 - confidence) / len(CHALLENGERS)
    value, n = table.set_index("model")["lift"].astype(float), int(table["n"].max())
    found = []
    for name in CHALLENGERS:
        low, high = np.nan, np.nan
        if name in lifts:
            low, high = percentile_interval(lifts[name] - lifts[RFM_SCORE], each)
        found.append((name, RFM_SCORE, value[name] - value[RFM_SCORE], low, high, n, bool(low > 0)))
    return pd.DataFrame(found, columns=["model", "against", "difference", "low", "high", "n", "wins"])


def value_by_score(score: ArrayLike, outcome: ArrayLike, confidence: float) -> pd.DataFrame:
    """Average outcomes by score: score, n, mean (observed), expected, low, high.

    Isotonic regression (Barlow et al. 1972) keeps the order: `expected` is pooled with its neighbours where that was
    broken. The interval is the normal one of the pooled mean, not below 0 when no outcome is.
    """
    values = pd.DataFrame({"score": np.asarray(score, float), "outcome": np.asarray(outcome, float)})
    by_score = values.groupby("score")["outcome"]
    table = by_score.agg(n="size", mean="mean", squares=lambda v: float((v**2).sum())).reset_index()
    fitted = IsotonicRegression().fit_transform(table["score"], table["mean"], sample_weight=table["n"])
    block = np.concatenate([[0], np.cumsum(np.diff(fitted) > 0)])
    pooled = table.groupby(block)[["n", "squares"]].transform("sum")
    variance = np.maximum(pooled["squares"] / pooled["n"] - fitted**2, 0.0)
    half = half_width(np.sqrt(variance / pooled["n"]), confidence)
    floor = 0.0 if (values["outcome"] >= 0).all() else -np.inf
    table = table.drop(columns="squares").assign(expected=fitted, high=fitted + half)
    return table.assign(low=np.maximum(fitted - half, floor))


def predict_value(study: Study, held: Contest) -> pd.DataFrame:
    """Predict the value of each present buyer in a period as long as the hold-out, with the winner of a contest.

    A prediction in money is divided by the calibration of the winner in the hold-out; an RFM score is worth
    the mean hold-out value of the members who had it, and a score never seen that of the next lower one.

    Parameters
    ----------
    study : Study
        Seen from the last day that is known.
    held : Contest
        The contest whose winner predicts.

    Returns
    -------
    pandas.DataFrame
        member_id, model, expected_value, low, high; ordered by member_id. The interval is that of
        the calibration or of the mean of the score: it bounds what a long list brings on average, not what
        one member will do. NaN where the contest had too little data.
    """
    rows = materialise(study.purchases.semi_join(study.present, "member_id"))
    members = _known(rows, study.as_of, held.window_days)
    columns = ["expected_value", "low", "high"]
    found = members[["member_id"]].assign(model=held.winner, **dict.fromkeys(columns, np.nan))
    if held.winner == RFM_SCORE and held.score_value is not None:
        known = held.score_value["score"].to_numpy()
        at = np.searchsorted(known, members["rfm_score"].to_numpy(float), side="right") - 1
        found[columns] = held.score_value[["expected", "low", "high"]].to_numpy()[np.maximum(at, 0)]
    elif held.winner is not None:
        # A model that won stays in use where a part of it cannot be fitted today: it falls back on a simpler one.
        score = members["monetary"].to_numpy(float) * (held.holdout_days / held.window_days)
        if held.winner == MODEL:
            score, _ = value_ahead(members, rows, study.as_of, held.holdout_days)
        factors = held.table.set_index("model").loc[held.winner]
        ratios = factors[["calibration", "calibration_high", "calibration_low"]].to_numpy(float)
        found[columns] = score[:, None] / ratios
    return found
