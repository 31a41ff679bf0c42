"""What each present member will bring in the next days: expected days of presence times value a day.

For member ``i`` on day ``L``::

    value_i(H) = rate_i * sum over d < H of S(tenure_i + d) / S(tenure_i)

The sum is the integral of survival from the member's tenure on (product limit over exits, constant hazard beyond
what was observed). ``rate_i`` is the value of a day of presence: a Poisson quasi-likelihood regression with log link
of the value of earlier closed windows on what was known when they began (McCullagh and Nelder 1989, chapter 9; only
the mean has to be right, not the distribution). Its score equations make predicted and realised value agree in sum.

The prediction is judged on a hold-out it has not seen, beside BG/NBD x Gamma-Gamma and the member's own past value.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field

import ibis
import numpy as np
import pandas as pd
from sklearn.linear_model import PoissonRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from helpers.checks import check_confidence, check_scalar
from helpers.methods.activity import present_members
from helpers.methods.frames import as_day, with_days
from helpers.methods.intervals import percentile_interval
from helpers.methods.retention.value_days import FloatArray, ValueDays, value_days
from helpers.methods.rfm.alive import BetaGeometricNBD
from helpers.methods.rfm.cells import Cells, histories
from helpers.methods.rfm.spend import GammaGamma
from helpers.playbook.sentences import number, percent, quantity, say

SURVIVAL = "survival x value"
MODEL = "BG/NBD x Gamma-Gamma"
PAST = "past value"
FEATURES = ("actions_30", "actions_90", "purchases_180", "value_180", "silent_days", "tenure_days")
LOOK_BACK_DAYS = 180
WINDOWS = 3
FEWEST_MEMBERS = 100
FEWEST_BUYERS = 20
VALUE_DECIMALS = 6
PENALTY = 1e-3  # keeps the fit finite when a feature is constant or separates; far below what data say


def member_features(
    activity: ibis.Table | pd.DataFrame, population: ibis.Table | pd.DataFrame, day: dt.date
) -> pd.DataFrame:
    """Return what is known of each member present at the end of a day; nothing after it is looked at.

    Returns
    -------
    pandas.DataFrame
        member_id; actions_30, actions_90, purchases_180 (counts), value_180 (sum of the last 180 days);
        silent_days since the last action (tenure when there was none); tenure_days. Ordered by member_id.
    """
    rows = with_days(activity, "day")
    rows = rows.filter(
        rows.day <= ibis.date(day), rows.day > ibis.date(day - dt.timedelta(days=LOOK_BACK_DAYS))
    )
    age = ibis.date(day).delta(rows.day, unit="day")
    bought = rows.kind == "order"
    found = rows.group_by("member_id").agg(
        actions_30=(age < 30).cast("int64").sum(),
        actions_90=(age < 90).cast("int64").sum(),
        purchases_180=bought.cast("int64").sum(),
        value_180=rows.value.sum().cast("float64").round(VALUE_DECIMALS),
        silent_days=age.min(),
    )
    people = present_members(with_days(population, "joined_day", "left_day"), as_of=day)
    people = people.select("member_id", tenure_days=ibis.date(day).delta(people.joined_day, unit="day"))
    frame = people.left_join(found, "member_id").drop("member_id_right").to_pandas()
    frame["silent_days"] = frame["silent_days"].fillna(frame["tenure_days"].clip(upper=LOOK_BACK_DAYS))
    frame = frame.fillna(dict.fromkeys(FEATURES, 0.0))
    frame[list(FEATURES)] = frame[list(FEATURES)].astype(float)
    return frame[["member_id", *FEATURES]].sort_values("member_id", ignore_index=True)


def value_between(activity: ibis.Table | pd.DataFrame, after: dt.date, until: dt.date) -> pd.Series:
    """Return the value of each member after one day and up to another, indexed by member_id."""
    rows = with_days(activity, "day")
    rows = rows.filter(rows.day > ibis.date(after), rows.day <= ibis.date(until))
    total = rows.value.sum().cast("float64").round(VALUE_DECIMALS)
    frame = rows.group_by("member_id").agg(value=total).to_pandas()
    return frame.set_index("member_id")["value"].sort_index()


@dataclass(frozen=True)
class Stays:
    """Expected days of presence ahead, by tenure.

    Attributes
    ----------
    survival : ndarray, shape (days + 1,)
        Product-limit probability to be there when day ``d`` of tenure begins.
    hazard : float
        Daily hazard beyond the observed days.
    """

    survival: FloatArray = field(repr=False)
    hazard: float

    @classmethod
    def of(cls, cells: ValueDays) -> Stays:
        """Estimate from cells counted from joining; where nobody was at risk nobody left."""
        at_risk, exits = cells.at_risk.sum(axis=(0, 1)), cells.exits.sum(axis=(0, 1))
        known = int(np.flatnonzero(at_risk)[-1]) + 1 if at_risk.any() else 0
        hazards = np.divide(exits, at_risk, out=np.zeros_like(exits), where=at_risk > 0)[:known]
        tail = slice(known // 2, known)
        exposure = at_risk[tail].sum()
        return cls(
            np.r_[1.0, np.cumprod(1 - hazards)], float(exits[tail].sum() / exposure) if exposure else 0.0
        )

    def days_ahead(self, tenure_days: FloatArray, horizon_days: int) -> FloatArray:
        """Return the expected days of presence within the horizon of members present at a tenure."""
        known = len(self.survival) - 1
        longest = int(max(tenure_days.max(initial=0), known)) + horizon_days + 1
        beyond = self.survival[-1] * (1 - self.hazard) ** np.arange(1, longest - known + 1)
        whole = np.concatenate([self.survival, beyond])
        running = np.concatenate([[0.0], np.cumsum(whole)])
        start = tenure_days.astype(int) + 1  # present at the end of day L: the next day is the first ahead
        alive = whole[np.minimum(start, longest)]
        ahead = running[np.minimum(start + horizon_days, longest)] - running[start]
        return np.divide(ahead, alive, out=np.zeros_like(ahead), where=alive > 0)


@dataclass(frozen=True)
class MemberValue:
    """Predicted value of each present member, and how predictions of this kind did on the hold-out.

    Attributes
    ----------
    members : pandas.DataFrame
        member_id, expected_value of the next `horizon_days`, expected_days of presence; ordered by member_id.
        Empty when there is too little data.
    table : pandas.DataFrame
        One row per model: model, n, predicted, realised (sums in the hold-out), ratio (realised to predicted),
        low, high, largest_gap (largest difference of decile shares, in points), gap_by_chance (what the largest gap
        stays below in 95 % of resamples of a right prediction).
    deciles : pandas.DataFrame
        One row per model and decile of predicted value, lowest first: model, decile, n, predicted_share,
        realised_share, low, high (of the realised share).
    split, as_of : date
        Day before the hold-out and its last day.
    horizon_days : int
        Length of the hold-out and of the prediction.
    unit : str
        Unit of the value.
    confidence : float
        Level of the intervals.
    reason : str
        Why there is no prediction, or empty.
    """

    members: pd.DataFrame = field(repr=False)
    table: pd.DataFrame = field(repr=False)
    deciles: pd.DataFrame = field(repr=False)
    split: dt.date
    as_of: dt.date
    horizon_days: int
    unit: str
    confidence: float
    reason: str = ""

    @property
    def sentence(self) -> str:
        """How well the predicted value agreed with what came."""
        rows = self.table.set_index("model") if len(self.table) else self.table
        if SURVIVAL not in rows.index or pd.isna(rows.loc[SURVIVAL, "low"]):
            return say("Value of each member ahead: too little data. {why}", why=self.reason)
        row = rows.loc[SURVIVAL]
        text = (
            "In the {days} days after {split}, {n} members brought {realised}, {ratio} of what survival x value had "
            "predicted ({low} to {high}); by decile the shares of value differed by at most {gap} points "
            "(by chance: up to {chance})."
        )
        values = {name: percent(float(row[name]), 0) for name in ("ratio", "low", "high")}
        said = say(
            text,
            days=number(self.horizon_days),
            split=str(self.split),
            n=number(int(row["n"])),
            realised=quantity(float(row["realised"]), self.unit),
            gap=number(float(row["largest_gap"]), 1),
            chance=number(float(row["gap_by_chance"]), 1),
            **values,
        )
        if MODEL in rows.index and pd.notna(rows.loc[MODEL, "ratio"]):
            other = rows.loc[MODEL]
            more = " {model}: {ratio} of its prediction, at most {gap} points."
            ratio, gap = percent(float(other["ratio"]), 0), number(float(other["largest_gap"]), 1)
            said += say(more, model=MODEL, ratio=ratio, gap=gap)
        return said


def member_value(
    activity: ibis.Table | pd.DataFrame,
    population: ibis.Table | pd.DataFrame,
    *,
    as_of: dt.date | str,
    horizon_days: int = 60,
    observed_from: dt.date | str | None = None,
    unit: str = "points",
    confidence: float = 0.95,
    draws: int = 500,
    seed: int = 0,
) -> MemberValue:
    """Predict the value of each present member and judge the same prediction on the last closed window.

    Parameters
    ----------
    activity, population
        As made by :mod:`helpers.methods.activity`.
    as_of : date or str
        Last day that is known.
    horizon_days : int
        Days ahead; the hold-out is the last `horizon_days` days up to `as_of`.
    observed_from : date or str, optional
        First day on which exits and value were recorded; by default the first day of activity.
    unit, confidence, draws, seed
        Unit of the value, level and bootstrap of the intervals.
    """
    check_confidence(confidence)
    check_scalar(horizon_days, "horizon_days", type_=int, ge=1)
    end = as_day(as_of)
    split = end - dt.timedelta(days=horizon_days)
    first = with_days(activity, "day").day.min().execute()
    begin = None if pd.isna(first) else pd.Timestamp(first).date()
    nothing = pd.DataFrame()
    if begin is None or begin > split - dt.timedelta(days=2 * horizon_days):
        why = say("It takes three times {days} days of history.", days=number(horizon_days))
        return MemberValue(nothing, nothing, nothing, split, end, horizon_days, unit, confidence, why)
    recorded = begin if observed_from is None else as_day(observed_from, "observed_from")
    predicted = _predict(activity, population, split, horizon_days, begin, recorded)
    if predicted is None:
        why = say("It takes {m} members, {b} of them with value.", m=FEWEST_MEMBERS, b=FEWEST_BUYERS)
        return MemberValue(nothing, nothing, nothing, split, end, horizon_days, unit, confidence, why)
    predicted = predicted.join(_rivals(activity, split, horizon_days, begin), on="member_id")
    predicted[[MODEL, PAST]] = predicted[[MODEL, PAST]].fillna(0.0)
    realised = value_between(activity, split, end).reindex(predicted["member_id"]).fillna(0.0).to_numpy(float)
    table, deciles = _judge(predicted, realised, confidence, draws, seed)
    ahead = _predict(activity, population, end, horizon_days, begin, recorded)
    columns = ["member_id", "expected_value", "expected_days"]
    members = nothing if ahead is None else ahead.rename(columns={SURVIVAL: "expected_value"})[columns]
    return MemberValue(members, table, deciles, split, end, horizon_days, unit, confidence)


def _predict(
    activity: ibis.Table | pd.DataFrame,
    population: ibis.Table | pd.DataFrame,
    day: dt.date,
    horizon_days: int,
    begin: dt.date,
    observed_from: dt.date,
) -> pd.DataFrame | None:
    """Return features and predicted value of the members present on a day, from windows closed by then."""
    people = with_days(population, "joined_day", "left_day")
    known = people.mutate(
        left_day=ibis.cases((people.left_day <= ibis.date(day), people.left_day), else_=ibis.null("date"))
    )
    cells = value_days(activity, known, as_of=day, observed_from=observed_from)
    stays, parts = Stays.of(cells), []
    for window in range(1, WINDOWS + 1):
        start = day - dt.timedelta(days=window * horizon_days)
        if start - dt.timedelta(days=horizon_days) < begin:
            break
        features = member_features(activity, population, start)
        brought = value_between(activity, start, start + dt.timedelta(days=horizon_days))
        features["value"] = brought.reindex(features["member_id"]).fillna(0.0).to_numpy(float)
        parts.append(features)
    seen = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=["value"])
    if len(seen) < FEWEST_MEMBERS or (seen["value"] > 0).sum() < FEWEST_BUYERS:
        return None
    exposure = stays.days_ahead(seen["tenure_days"].to_numpy(float), horizon_days)
    rate = make_pipeline(StandardScaler(), PoissonRegressor(alpha=PENALTY, max_iter=1000, tol=1e-8))
    # A refund can make a member's value negative; the mean of a Poisson law cannot be, so such sums count as 0.
    target = np.maximum(seen["value"].to_numpy(float), 0.0) / np.maximum(exposure, 1e-9)
    scale = float(np.average(target, weights=exposure)) or 1.0
    rate.fit(_design(seen), target / scale, poissonregressor__sample_weight=exposure)
    found = member_features(activity, population, day)
    days = stays.days_ahead(found["tenure_days"].to_numpy(float), horizon_days)
    expected = rate.predict(_design(found)) * scale * days
    return found.assign(expected_days=days, **{SURVIVAL: expected.round(VALUE_DECIMALS)})


def _design(features: pd.DataFrame) -> FloatArray:
    """Return the logarithms of the features: counts and money act by ratios."""
    return np.log1p(np.maximum(features[list(FEATURES)].to_numpy(float), 0.0))


def _rivals(
    activity: ibis.Table | pd.DataFrame, day: dt.date, horizon_days: int, begin: dt.date
) -> pd.DataFrame:
    """Return what BG/NBD x Gamma-Gamma and past value say of each buyer, indexed by member_id."""
    rows = with_days(activity, "day")
    bought = rows.filter(rows.kind == "order", rows.day <= ibis.date(day))
    days = bought.group_by("member_id", "day").agg(value=bought.value.sum())
    members = histories(days, day, 7.0).to_pandas().sort_values("member_id", ignore_index=True)
    keys = ["x", "t_x", "T"]
    cells = members.groupby(keys, as_index=False).size().rename(columns={"size": "members"})
    found = pd.DataFrame({MODEL: np.nan, PAST: 0.0}, index=members["member_id"])
    window = (day - begin).days + 1
    found[PAST] = members["value"].to_numpy(float) * horizon_days / window
    if len(members):
        alive = BetaGeometricNBD().fit(Cells(cells, day, 7.0, days))
        spend = GammaGamma().fit(members)
        times = alive.expected_transactions(horizon_days / 7.0, *(members[key] for key in keys))
        found[MODEL] = times * spend.expected_value(members["x"], members["mean_repeat_value"])
    return found


def _judge(
    predicted: pd.DataFrame, realised: FloatArray, confidence: float, draws: int, seed: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    rng = np.random.default_rng(seed)
    n, rows, parts = len(realised), [], []
    weights = rng.multinomial(n, np.full(n, 1 / n), draws).astype(float)
    for model in (SURVIVAL, MODEL, PAST):
        values = predicted[model].to_numpy(float)
        total = values.sum()
        ratio = realised.sum() / total if total else np.nan
        low, high = percentile_interval(
            (weights @ realised) / np.maximum(weights @ values, 1e-12), confidence
        )
        deciles, chance = _deciles(values, realised, weights, confidence)
        gap = 100 * float((deciles["realised_share"] - deciles["predicted_share"]).abs().max())
        rows.append((model, n, total, realised.sum(), ratio, low, high, gap, chance))
        parts.append(deciles.assign(model=model))
    columns = ["model", "n", "predicted", "realised", "ratio", "low", "high", "largest_gap", "gap_by_chance"]
    order = ["model", "decile", "n", "predicted_share", "realised_share", "low", "high"]
    return pd.DataFrame(rows, columns=columns), pd.concat(parts, ignore_index=True)[order]


def _deciles(
    values: FloatArray, realised: FloatArray, weights: FloatArray, confidence: float
) -> tuple[pd.DataFrame, float]:
    """Return predicted and realised shares by decile of predicted value (ties in order of the member), and chance.

    Chance is the 95th percentile of the largest difference between the shares of a resample and those that came.
    """
    decile = np.empty(len(values), dtype=int)
    decile[np.argsort(values, kind="stable")] = np.arange(len(values)) * 10 // len(values) + 1
    here = decile[:, None] == np.arange(1, 11)
    came = realised @ here / realised.sum() if realised.sum() else np.full(10, np.nan)
    said = values @ here / values.sum() if values.sum() else np.full(10, np.nan)
    drawn = (weights * realised) @ here / np.maximum(weights @ realised, 1e-12)[:, None]
    bounds = [percentile_interval(drawn[:, place], confidence) for place in range(10)]
    frame = pd.DataFrame(
        {
            "decile": np.arange(1, 11),
            "n": here.sum(axis=0),
            "predicted_share": said,
            "realised_share": came,
            "low": [low for low, _ in bounds],
            "high": [high for _, high in bounds],
        }
    )
    return frame, 100 * float(np.quantile(np.abs(drawn - came).max(axis=1), 0.95))
