"""Which score finds next period's value: past value, RFM score, or BG/NBD x Gamma-Gamma?

Members with a transaction up to the split are scored on what was known then, and judged by their net value in
the hold-out that follows. A more elaborate model wins only when the paired bootstrap interval of its lift
over the RFM score excludes 0; otherwise plain RFM is enough, and the sentence says so.
"""

from __future__ import annotations

import datetime as dt
import html
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import ibis
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from helpers.checks import check_confidence, check_scalar
from helpers.methods.intervals import percentile_interval
from helpers.methods.rfm.alive import BetaGeometricNBD
from helpers.methods.rfm.cells import KEYS, Cells, histories, observed_days, transactions
from helpers.methods.rfm.lift import bootstrap_lifts, lift
from helpers.methods.rfm.score_value import ScoreValue
from helpers.methods.rfm.scores import score
from helpers.methods.rfm.spend import GammaGamma
from helpers.methods.rfm.values import Count, as_day, materialise, member_values
from helpers.playbook.sentences import number, say
from helpers.tables import html_table

FloatArray = NDArray[np.float64]

PAST_VALUE, RFM_SCORE, MODEL = "past value", "RFM score", "BG/NBD x Gamma-Gamma"
# With fewer, the top decile has under 10 members or next to no value to find.
FEWEST_MEMBERS = 100
FEWEST_BUYERS = 20


class Settings(NamedTuple):
    """What a prediction must repeat to be comparable with the contest."""

    report_tz: str
    unit_days: float
    bins: int
    counted: Count
    confidence: float
    window_days: int
    holdout_days: int


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

    @property
    def sentence(self) -> str:
        """Which score to use, with the evidence."""
        members = int(self.table["n"].max())
        period = say("{days} days after {split}", days=number(self.settings.holdout_days), split=self.split)
        values = {
            "members": number(members),
            "buyers": number(self.buyers),
            "period": period,
            "why": self.reason,
        }
        if self.winner is None:
            text = (
                "Which score finds next period's value: too little data ({members} members, {buyers} of them "
            )
            return say(text + "with value in the {period}). {why}", **values).strip()
        values |= {"top": number(100 * self.top_share), "plain": _interval(self.table, RFM_SCORE, "lift")}
        if self.winner == RFM_SCORE:
            text = (
                "Plain RFM is enough: in the {period} the top {top} % of {members} members by RFM score brought "
                "{plain} times the value of the average member. {others} {why}"
            )
            return say(text, **values, others=self._others()).strip()
        text = (
            "{winner} beats plain RFM: in the {period} the top {top} % of {members} members by it brought "
            "{best} times the value of the average member, by RFM score {plain}; the difference is {gain}. {why}"
        )
        gain = _interval(self.differences, self.winner, "difference")
        best = _interval(self.table, self.winner, "lift")
        return say(text, **values, winner=self.winner, best=best, gain=gain).strip()

    def _others(self) -> str:
        parts = [
            say("{model} differs by {d}", model=model, d=_interval(self.differences, model, "difference"))
            for model in self.differences.dropna(subset=["low"])["model"]
        ]
        return say("No other score does better for certain: {list}.", list="; ".join(parts)) if parts else ""

    def _repr_html_(self) -> str:
        caption = say("Lift of the top {top} % by each score", top=number(100 * self.top_share))
        return f"{html_table(self.table, caption)}<p>{html.escape(self.sentence)}</p>"


def contest(
    orders: ibis.Table | pd.DataFrame,
    *,
    as_of: dt.date | str,
    holdout_days: int,
    report_tz: str = "Asia/Shanghai",
    unit_days: float = 7.0,
    bins: int = 5,
    count: Count = "order",
    top_share: float = 0.1,
    confidence: float = 0.95,
    draws: int = 1000,
    seed: int = 0,
) -> Contest:
    """Score members as of a split and compare the scores by the value of the hold-out after it.

    Parameters
    ----------
    orders, report_tz, count
        As in :func:`helpers.methods.rfm.cells.transactions`.
    as_of : date or str
        Last day of the hold-out.
    holdout_days : int
        Length of the hold-out; the split is the day before it.
    unit_days : float
        Unit of time of the BG/NBD model, in days.
    bins : int
        Scores per column of RFM; the score in the contest is their sum.
    top_share : float
        Share of members that is the top.
    confidence : float
        Level of all intervals.
    draws, seed : int
        Resamples of the bootstrap and the seed of its generator.
    """
    check_confidence(confidence)
    check_scalar(holdout_days, "holdout_days", type_=int, ge=1)
    end = as_day(as_of)
    split = end - dt.timedelta(days=holdout_days)
    rows = materialise(transactions(orders, report_tz=report_tz, count=count))
    window = observed_days(rows, split) + 1
    settings = Settings(report_tz, unit_days, bins, count, confidence, window, holdout_days)
    members = _features(rows, split, settings).merge(_value_between(rows, split, end), "left", "member_id")
    outcome = members["outcome"].fillna(0.0).to_numpy(float)
    buyers = int((outcome > 0).sum())
    scores, reason = _candidates(members, rows, split, settings, horizon_days=holdout_days)
    table, differences = _empty(list(scores), len(members))
    held = Contest(table, differences, None, reason, split, end, buyers, top_share, None, settings)
    if len(members) < FEWEST_MEMBERS or buyers < FEWEST_BUYERS or not outcome.sum() > 0:
        why = say("It takes {m} members and {b} buyers.", m=FEWEST_MEMBERS, b=FEWEST_BUYERS)
        return replace(held, reason=why)
    known = {name: s for name, s in scores.items() if np.isfinite(s).all()}
    lifts = bootstrap_lifts(known, outcome, top_share=top_share, draws=draws, seed=seed)
    table = pd.DataFrame([_row(n, s, outcome, lifts.get(n), settings, top_share) for n, s in scores.items()])
    differences = _differences(table, lifts, confidence)
    winner, by_score = _winner(table, differences), ScoreValue.of(scores[RFM_SCORE], outcome, confidence)
    return replace(held, table=table, differences=differences, winner=winner, score_value=by_score)


def _features(rows: ibis.Table, day: dt.date, settings: Settings) -> pd.DataFrame:
    """Return what was known of each member on a day: its history, value in the window, and RFM score."""
    actions = rows.filter(rows.day <= ibis.date(day)).mutate(kind=ibis.literal("order"))
    values = member_values(actions, as_of=day, window_days=settings.window_days, count="order")
    scored = score(values, bins=settings.bins).table
    scored = scored.select(
        "member_id", "monetary", rfm_score=scored.r_score + scored.f_score + scored.m_score
    )
    found = histories(rows, day, settings.unit_days).join(scored, "member_id").to_pandas()
    return found.sort_values("member_id", ignore_index=True)


def _value_between(rows: ibis.Table, after: dt.date, until: dt.date) -> pd.DataFrame:
    late = rows.filter((rows.day > ibis.date(after)) & (rows.day <= ibis.date(until)))
    return late.group_by("member_id").agg(outcome=late.value.sum()).to_pandas()


def _candidates(
    members: pd.DataFrame, rows: ibis.Table, day: dt.date, settings: Settings, *, horizon_days: int
) -> tuple[dict[str, FloatArray], str]:
    """Return the scores by name, and why a model is missing (NaN scores) if it is."""
    per_window = horizon_days / settings.window_days
    scores = {
        PAST_VALUE: members["monetary"].to_numpy(float) * per_window,
        RFM_SCORE: members["rfm_score"].to_numpy(float),
        MODEL: np.full(len(members), np.nan),
    }
    table = members.groupby(KEYS, as_index=False).size().rename(columns={"size": "members"})
    alive = BetaGeometricNBD(confidence=settings.confidence).fit(Cells(table, day, settings.unit_days, rows))
    spend = GammaGamma(confidence=settings.confidence).fit(members)
    if alive.source_ != "BG/NBD" or spend.source_ != "Gamma-Gamma":
        why = alive.message_ if alive.source_ != "BG/NBD" else spend.message_
        return scores, say("{model} did not run. {why}", model=MODEL, why=why)
    times = alive.expected_transactions(horizon_days / settings.unit_days, *(members[k] for k in KEYS))
    scores[MODEL] = times * spend.expected_value(members["x"], members["mean_repeat_value"])
    return scores, ""


def _row(
    name: str,
    values: FloatArray,
    outcome: FloatArray,
    lifts: FloatArray | None,
    settings: Settings,
    top_share: float,
) -> dict[str, object]:
    row: dict[str, object] = dict.fromkeys(_columns(), np.nan)
    row |= {"model": name, "n": values.size}
    if lifts is None:
        return row
    row["lift"] = lift(values, outcome, top_share)
    row["low"], row["high"] = percentile_interval(lifts, settings.confidence)
    z = float(stats.norm.ppf(0.5 + settings.confidence / 2))
    if np.ptp(values) > 0:
        rank = float(stats.spearmanr(values, outcome).statistic)
        # Bonett and Wright (2000): the variance of Fisher's z for ranks.
        half = z * np.sqrt((1 + rank**2 / 2) / (values.size - 3))
        ends = np.tanh(np.arctanh(np.clip(rank, -1 + 1e-12, 1 - 1e-12)) + np.array([-half, half]))
        row |= {"spearman": rank, "spearman_low": ends[0], "spearman_high": ends[1]}
    if name != RFM_SCORE and values.sum() > 0:
        ratio = values.sum() / outcome.sum()
        # Delta method for the logarithm of a ratio of two sums over the same members.
        spread = values / values.mean() - outcome / outcome.mean()
        half = z * spread.std() / np.sqrt(values.size)
        row |= {"predicted_total": values.sum(), "calibration": ratio}
        row |= {"calibration_low": ratio * np.exp(-half), "calibration_high": ratio * np.exp(half)}
    return row


def _columns() -> list[str]:
    spearman = ["spearman", "spearman_low", "spearman_high"]
    totals = ["predicted_total", "calibration", "calibration_low", "calibration_high"]
    return ["model", "lift", "low", "high", "n", *spearman, *totals]


def _empty(models: list[str], n: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the two frames of a contest that could not be held."""
    table = pd.DataFrame({"model": models}).reindex(columns=_columns()).assign(n=n)
    challengers = [m for m in models if m != RFM_SCORE]
    gaps = pd.DataFrame({"model": challengers, "against": RFM_SCORE, "difference": np.nan})
    return table, gaps.assign(low=np.nan, high=np.nan, n=n, wins=False)


def _differences(table: pd.DataFrame, lifts: dict[str, FloatArray], confidence: float) -> pd.DataFrame:
    """Return the lift of each challenger minus that of the RFM score, with its paired interval."""
    value, n = table.set_index("model")["lift"].astype(float), int(table["n"].max())
    found = []
    for name in (PAST_VALUE, MODEL):
        low, high = np.nan, np.nan
        if name in lifts:
            low, high = percentile_interval(lifts[name] - lifts[RFM_SCORE], confidence)
        found.append((name, RFM_SCORE, value[name] - value[RFM_SCORE], low, high, n, bool(low > 0)))
    return pd.DataFrame(found, columns=["model", "against", "difference", "low", "high", "n", "wins"])


def _winner(table: pd.DataFrame, differences: pd.DataFrame) -> str:
    """Return the challenger with the highest lift among those that beat the RFM score, else the RFM score."""
    winners = table[table["model"].isin(differences.loc[differences["wins"], "model"])]
    return RFM_SCORE if winners.empty else str(winners.loc[winners["lift"].idxmax(), "model"])


def _interval(frame: pd.DataFrame, model: str, column: str) -> str:
    row = frame[frame["model"] == model]
    value, low, high = (number(float(row[name].iloc[0]), 2) for name in (column, "low", "high"))
    return say("{value} ({low} to {high})", value=value, low=low, high=high)


def predict_value(
    orders: ibis.Table | pd.DataFrame,
    held: Contest,
    *,
    as_of: dt.date | str,
    horizon_days: int | None = None,
) -> pd.DataFrame:
    """Predict each member's value in the period after a day, with the winner of a contest.

    A prediction in money is divided by the calibration of the winner in the hold-out; an RFM score is worth
    the mean hold-out value of the members who had it.

    Parameters
    ----------
    orders : ibis.Table or pandas.DataFrame
        As given to :func:`contest`.
    held : Contest
        The contest whose winner predicts, with its settings.
    as_of : date or str
        Last day that is known.
    horizon_days : int, optional
        Length of the period; default: as long as the hold-out. RFM scores and past value are taken to grow in
        proportion to it.

    Returns
    -------
    pandas.DataFrame
        member_id, model, expected_value, low, high, horizon_days; ordered by member_id. The interval is that of
        the calibration or of the mean of the score: it bounds what a long list brings on average, not what
        one member will do. NaN where the contest had too little data.
    """
    days = held.settings.holdout_days if horizon_days is None else horizon_days
    check_scalar(days, "horizon_days", type_=int, ge=1)
    day, settings = as_day(as_of), held.settings
    rows = materialise(transactions(orders, report_tz=settings.report_tz, count=settings.counted))
    members = _features(rows, day, settings)
    found = members[["member_id"]].assign(model=held.winner, expected_value=np.nan, low=np.nan, high=np.nan)
    found["horizon_days"] = days
    if held.winner == RFM_SCORE and held.score_value is not None:
        expected = held.score_value.expected(members["rfm_score"]) * (days / settings.holdout_days)
        found[["expected_value", "low", "high"]] = expected
    elif held.winner is not None:
        scores, _ = _candidates(members, rows, day, settings, horizon_days=days)
        factors = held.table.set_index("model").loc[held.winner]
        ratios = factors[["calibration", "calibration_high", "calibration_low"]].to_numpy(float)
        found[["expected_value", "low", "high"]] = scores[held.winner][:, None] / ratios
    return found
