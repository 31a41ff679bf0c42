"""Which score finds next period's value: past value, RFM score, or BG/NBD x Gamma-Gamma?

Members with a transaction up to the split are scored on what was known then, and judged by their net value in
the hold-out that follows. With a population only members who were present at the split take part: whoever had
left by then brings nothing for a known reason, and a score that finds such members shows no skill.

A challenger wins only when the paired bootstrap interval of its lift over the RFM score excludes 0. Otherwise
the RFM score is kept, and it is enough when no challenger can be better by a gain worth having. The two
intervals are Bonferroni-adjusted, so that they hold together at the stated level.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import ibis
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from helpers.checks import check_confidence, check_scalar
from helpers.data.source import as_table
from helpers.errors import BadParameters
from helpers.methods.rfm.contest_result import MODEL, PAST_VALUE, RFM_SCORE, VALUE_UNIT, Contest, Settings
from helpers.methods.rfm.score_value import (
    ScoreValue,
    calibration,
    newcomers,
    rank_correlation,
)
from helpers.methods.rfm.scores import score
from helpers.sentences import say
from helpers.stats.btyd.alive import BetaGeometricNBD
from helpers.stats.btyd.cells import KEYS, Cells, histories, observed_days, transactions
from helpers.stats.btyd.spend import GammaGamma
from helpers.stats.concentration import lift, paired_lifts
from helpers.stats.estimate import percentile_interval, unknown
from helpers.study.frames import Count, as_day, materialise
from helpers.study.values import VALUE_DECIMALS, member_values

__all__ = ["MODEL", "PAST_VALUE", "RFM_SCORE", "Contest", "Settings", "contest", "predict_value"]

FloatArray = NDArray[np.float64]

# With fewer, the top decile has under 10 members or next to no value to find.
FEWEST_MEMBERS = 100
FEWEST_BUYERS = 20
CHALLENGERS = (PAST_VALUE, MODEL)


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
    population: ibis.Table | pd.DataFrame | None = None,
) -> Contest:
    """Score members as of a split and compare the scores by the value of the hold-out after it.

    Parameters
    ----------
    orders, report_tz, count
        As in :func:`helpers.stats.btyd.cells.transactions`.
    as_of
        Last day of the hold-out.
    holdout_days, unit_days
        Days of the hold-out (the split is the day before it) and in the unit of time of the BG/NBD model.
    bins, top_share
        Scores per column of RFM, whose sum is the score, and the share of members that is the top.
    confidence, draws, seed
        Level of all intervals (the two differences hold together at it: Bonferroni), and their bootstrap.
    population
        As made by :func:`population`. When given, only members present at the split are scored and judged.
    """
    check_confidence(confidence)
    check_scalar(holdout_days, "holdout_days", type_=int, ge=1)
    end = as_day(as_of)
    split = end - dt.timedelta(days=holdout_days)
    rows = materialise(transactions(orders, report_tz=report_tz, count=count))
    late, present = _value_between(rows, split, end), _present(population, split)
    rows = _of_members(rows, present)
    window = observed_days(rows, split) + 1
    only = present is not None
    settings = Settings(report_tz, unit_days, bins, count, confidence, window, holdout_days, only)
    members = _features(rows, split, settings).merge(late, "left", "member_id")
    outcome = members["outcome"].fillna(0.0).to_numpy(float)
    buyers = int((outcome > 0).sum())
    scores, reason = _candidates(members, rows, split, settings, horizon_days=holdout_days)
    table, differences = _empty(list(scores), len(members))
    nobody = unknown(0, VALUE_UNIT, confidence)
    held = Contest(
        table, differences, None, reason, split, end, buyers, top_share, None, settings, newcomers=nobody
    )
    if present is not None:
        held = _with_newcomers(held, members, late, present, draws, seed)
    if len(members) < FEWEST_MEMBERS or buyers < FEWEST_BUYERS or not outcome.sum() > 0:
        text = "It takes {m} members and {b} buyers."
        return replace(held, reason=say(text, m=FEWEST_MEMBERS, b=FEWEST_BUYERS))
    known = {name: s for name, s in scores.items() if np.isfinite(s).all()}
    lifts = paired_lifts(known, outcome, top=top_share, draws=draws, seed=seed)
    table = pd.DataFrame([_row(n, s, outcome, lifts.get(n), settings, top_share) for n, s in scores.items()])
    differences = _differences(table, lifts, confidence)
    winner, by_score = _winner(table, differences), ScoreValue.of(scores[RFM_SCORE], outcome, confidence)
    return replace(held, table=table, differences=differences, winner=winner, score_value=by_score)


def _with_newcomers(
    held: Contest, members: pd.DataFrame, late: pd.DataFrame, present: ibis.Table, draws: int, seed: int
) -> Contest:
    """Add what the present members without a purchase before the split brought after it."""
    ids = present.to_pandas()["member_id"].sort_values(ignore_index=True)  # resamples follow the order
    known = ids[ids.isin(members["member_id"])]
    value = late.set_index("member_id")["outcome"].astype(float)
    unseen = np.asarray(value[value.index.isin(ids) & ~value.index.isin(known)], np.float64)
    total = float(value[value.index.isin(ids)].sum())
    worth = newcomers(
        unseen,
        len(ids) - len(known),
        unit=VALUE_UNIT,
        confidence=held.settings.confidence,
        draws=draws,
        seed=seed,
    )
    return replace(held, newcomers=worth, newcomer_share=unseen.sum() / total if total > 0 else np.nan)


def _present(population: ibis.Table | pd.DataFrame | None, day: dt.date) -> ibis.Table | None:
    """Return the ids of the members who had joined by the end of a day and had not left by then."""
    if population is None:
        return None
    found = as_table(population)
    left = found.left_day.cast("date")
    here = (found.joined_day.cast("date") <= ibis.date(day)) & (left.isnull() | (left > ibis.date(day)))
    return materialise(found.filter(here).select(member_id=found.member_id.cast("string")).distinct())


def _of_members(rows: ibis.Table, present: ibis.Table | None) -> ibis.Table:
    return rows if present is None else materialise(rows.semi_join(present, "member_id"))


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
    # Rounding makes the sums independent of the order in which an engine adds them up.
    total = late.value.sum().cast("float64").round(VALUE_DECIMALS).cast("float64")
    return late.group_by("member_id").agg(outcome=total).to_pandas()


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
    row |= rank_correlation(values, outcome, settings.confidence)
    if name != RFM_SCORE:
        row |= calibration(values, outcome, settings.confidence)
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


def _winner(table: pd.DataFrame, differences: pd.DataFrame) -> str:
    """Return the challenger with the highest lift among those that beat the RFM score, else the RFM score."""
    winners = table[table["model"].isin(differences.loc[differences["wins"], "model"])]
    return RFM_SCORE if winners.empty else str(winners.loc[winners["lift"].idxmax(), "model"])


def predict_value(
    orders: ibis.Table | pd.DataFrame,
    held: Contest,
    *,
    as_of: dt.date | str,
    horizon_days: int | None = None,
    population: ibis.Table | pd.DataFrame | None = None,
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
    population : ibis.Table or pandas.DataFrame, optional
        As given to :func:`contest`, and needed when it was: members present on `as_of` are predicted.

    Returns
    -------
    pandas.DataFrame
        member_id, model, expected_value, low, high, horizon_days; ordered by member_id. The interval is that of
        the calibration or of the mean of the score: it bounds what a long list brings on average, not what
        one member will do. NaN where the contest had too little data.

    Raises
    ------
    BadParameters
        When the contest was held among present members and `population` is missing.
    """
    if held.settings.present_only and population is None:
        raise BadParameters("population missing; the contest was held among present members only.")
    days = held.settings.holdout_days if horizon_days is None else horizon_days
    check_scalar(days, "horizon_days", type_=int, ge=1)
    day, settings = as_day(as_of), held.settings
    rows = materialise(transactions(orders, report_tz=settings.report_tz, count=settings.counted))
    rows = _of_members(rows, _present(population, day))
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
