"""What each present member will bring in the next days: expected days of presence times value a day.

For member ``i`` on day ``L``::

    value_i(H) = rate_i * sum over d < H of S(tenure_i + d) / S(tenure_i)

The sum is the integral of survival from the member's tenure on (product limit over exits, constant hazard beyond
what was observed). ``rate_i`` is the value of a day of presence: a Poisson quasi-likelihood regression with log link
of the value of earlier closed windows on splines of what was known when they began (McCullagh and Nelder 1989,
chapter 9; only the mean has to be right, not the distribution). Its score equations make predicted and realised value
agree in sum.

The same prediction is made again on earlier days, from what was known then, and judged by the windows after them: the
last one beside BG/NBD × Gamma-Gamma and the member's own past value, all of them for how far the level of a window
errs. All windows of one prediction look back equally far, as far as the log goes behind the oldest: a window early in
the log must not look poorer in past value than one of today.

Three questions of a window, three measures:

- level: realised over predicted sum, with a bootstrap interval over members;
- ranking: share of the realised value that lies in the tenth of members predicted highest (a constant gets a tenth;
  members tied at the border count in proportion);
- both at once: the mean Poisson deviance (McCullagh and Nelder 1989, chapter 2), smallest in expectation at the true
  means whatever the distribution is, so a constant cannot win it by being right in sum. Predictions below
  a twentieth of their mean count as that much: one sale after a prediction of nothing would cost infinitely.

The gain is the share of the deviance of past value that a model takes away, with a bootstrap interval from the same
resamples of members (paired). How far the level of a whole window errs is another matter: members of a window share
its luck, so it takes several windows (:class:`RatioSpread`).
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field

import ibis
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import special
from sklearn.linear_model import PoissonRegressor
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import SplineTransformer, StandardScaler

from helpers.stats.btyd.cells import histories
from helpers.stats.btyd.value_ahead import value_ahead
from helpers.stats.concentration import in_top
from helpers.stats.estimate import half_width, percentile_interval
from helpers.stats.forecast.value_days import ValueDays, value_days
from helpers.stats.resample import ratio_interval, unit_weights
from helpers.study import enough
from helpers.study.activity import present_members
from helpers.study.frames import with_days

FloatArray = NDArray[np.float64]

SURVIVAL = "stay-and-spend forecast"
MODEL = "BG/NBD × Gamma-Gamma model"
PAST = "past value"
FEATURES = ("actions_30", "actions_90", "purchases", "past_value", "silent_days", "tenure_days")
LOOK_BACK_DAYS = 180
WINDOWS = 3
MOST_SPLITS = 4
VALUE_DECIMALS = 6
# Bent logarithms, flat beyond what was seen: a straight line took too much from the best tenth and gave it to the
# one below (3.9 points of all value, pooled over twelve communities of different calendars; bent 1.9).
KNOTS = 4
PENALTY = 0.1  # shrinks the many coefficients of few buyers; a straight line needed none
FLOOR = 0.05  # smallest prediction that the deviance knows, as a share of the mean prediction
ASSUMED_SPREAD = 0.3
"""Spread of the log ratio of windows that is assumed before three of them could be judged: about 30 per cent."""
THIRDS = 3
POOLED_DAYS = 15  # thin days look this far to either side before they fall back on all days together
LARGEST_HAZARD = 1 - 1e-9  # a day on which everybody left says nothing about those who are past it
LEVEL = ["predicted", "realised", "ratio", "low", "high", "largest_gap", "gap_by_chance"]
GAIN = ["top_tenth", "top_low", "top_high", "deviance", "gain", "gain_low", "gain_high"]
TABLE = ["model", "n", *LEVEL, *GAIN]


# --- days ahead -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Stays:
    """Expected days of presence ahead, by tenure.

    Attributes
    ----------
    hazards : ndarray, shape (days,)
        Probability to leave on day ``d`` of tenure, of a member there when the day begins.
    beyond : float
        Daily hazard beyond the observed days.
    """

    hazards: FloatArray = field(repr=False)
    beyond: float

    @classmethod
    def of(cls, cells: ValueDays) -> Stays:
        """Estimate from cells counted from joining.

        A day with few members takes the exits per member and day of the days around it, or of all days when those
        are thin too: in a log that begins late a single newcomer may be all there is of the first days, and says
        nothing about members who are years past them.
        """
        at_risk, exits = cells.at_risk.sum(axis=0), cells.exits.sum(axis=0)
        known = int(np.flatnonzero(at_risk)[-1]) + 1 if at_risk.any() else 0
        at_risk, exits = at_risk[:known], exits[:known]
        tail = slice(known // 2, known)
        exposure = at_risk[tail].sum()
        return cls(_hazards(at_risk, exits), float(exits[tail].sum() / exposure) if exposure else 0.0)

    def days_ahead(self, tenure_days: FloatArray, horizon_days: int) -> FloatArray:
        """Return the expected days of presence within the horizon of members present at a tenure.

        Only the hazards after the tenure enter, as sums of logarithms: whatever happened on earlier days of tenure,
        and be it that all others left, does not matter to somebody who is still there.
        """
        start = tenure_days.astype(int) + 1  # present at the end of day L: the next day is the first ahead
        longest = int(max(start.max(initial=0), len(self.hazards))) + horizon_days
        hazards = np.full(longest, self.beyond)
        hazards[: len(self.hazards)] = self.hazards
        stay = np.concatenate([[0.0], np.cumsum(np.log1p(-np.minimum(hazards, LARGEST_HAZARD)))])
        tenures, of_member = np.unique(start, return_inverse=True)
        ahead = stay[tenures[:, None] + np.arange(horizon_days)] - stay[tenures][:, None]
        return np.exp(ahead).sum(axis=1)[of_member]


def _hazards(at_risk: FloatArray, exits: FloatArray) -> FloatArray:
    """Return the hazard of each day, thin days from their surroundings."""
    exposure, left = (np.concatenate([[0.0], np.cumsum(each)]) for each in (at_risk, exits))
    days = np.arange(len(at_risk))
    first, last = np.maximum(days - POOLED_DAYS, 0), np.minimum(days + POOLED_DAYS + 1, len(at_risk))
    around = (exposure[last] - exposure[first], left[last] - left[first])
    n, d = at_risk, exits
    for wider in (around, (exposure[-1], left[-1])):
        thin = n < enough.AT_RISK
        n, d = np.where(thin, wider[0], n), np.where(thin, wider[1], d)
    return np.divide(d, n, out=np.zeros(len(days)), where=n > 0)


# --- judging ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class RatioSpread:
    """How far the realised sum of a window lay from its prediction, over windows.

    Attributes
    ----------
    mean, deviation : float
        Mean and standard deviation of the log ratio of realised to predicted sums.
    windows : int
        Judged windows; with fewer than three the deviation is an assumption.
    dispersion : float
        Variance of a member's value as a multiple of its prediction (Pearson), in the unit of the value.
    confidence : float
        Level of the intervals.
    """

    mean: float
    deviation: float
    windows: int
    dispersion: float
    confidence: float

    @classmethod
    def of(cls, judged: pd.DataFrame, confidence: float) -> RatioSpread:
        """Measure from rows of split, predicted and realised, one for each member and window."""
        sums = judged.groupby("split")[["predicted", "realised"]].sum()
        sums = sums[(sums > 0).all(axis=1)]
        ratios, k = np.log((sums["realised"] / sums["predicted"]).to_numpy(float)), len(sums)
        seen = judged[judged["predicted"] > 0]
        pearson = (seen["realised"] - seen["predicted"]) ** 2 / seen["predicted"]
        return cls(
            mean=float(ratios.mean()) if k else np.nan,
            deviation=float(ratios.std(ddof=1)) if k >= enough.VALUE_WINDOWS else ASSUMED_SPREAD,
            windows=k,
            dispersion=float(pearson.mean()),
            confidence=confidence,
        )

    def _half(self, error: float) -> float:
        return float(half_width(error, self.confidence, max(self.windows, enough.VALUE_WINDOWS) - 1))

    @property
    def ratio(self) -> tuple[float, float, float]:
        """Typical ratio of realised to predicted, with its t interval over windows."""
        half = self._half(self.deviation / np.sqrt(max(self.windows, 1)))
        value, low, high = np.exp([self.mean, self.mean - half, self.mean + half])
        return float(value), float(low), float(high)

    @property
    def provisional(self) -> bool:
        """Whether predictions were off in one direction, or too few windows could be judged to tell."""
        _, low, high = self.ratio
        return not (self.windows >= enough.VALUE_WINDOWS and low <= 1 <= high)

    def factors(self, expected: FloatArray) -> tuple[float, float]:
        """Return the factors that turn the predicted sum of some members into the bounds of what will come.

        The next window errs as past ones did (Student's t, with the error of their mean), and what these members
        bring varies by chance, with variance `dispersion` times prediction.
        """
        total = float(np.sum(expected))
        chance = self.dispersion / total if total > 0 else 0.0
        half = self._half(np.sqrt(self.deviation**2 * (1 + 1 / max(self.windows, 1)) + chance))
        return float(np.exp(min(self.mean, 0.0) - half)), float(np.exp(max(self.mean, 0.0) + half))


def judge(
    predicted: pd.DataFrame, realised: FloatArray, confidence: float, draws: int, seed: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Compare models on one window.

    Parameters
    ----------
    predicted : pandas.DataFrame
        One row per member, one column per model; NaN where a model says nothing. Each model is judged, and
        compared with past value, on the members it speaks of.
    realised : ndarray
        What each member brought.
    confidence, draws, seed
        Level and bootstrap of the intervals.

    Returns
    -------
    tuple of pandas.DataFrame
        Table and deciles, as in :class:`ValueForecast`.
    """
    rows, parts = [], []
    for model in (SURVIVAL, MODEL, PAST):
        seen = predicted[model].notna().to_numpy()
        n, row = int(seen.sum()), {}
        if n >= enough.TO_JUDGE:
            here, past = (predicted.loc[seen, name].to_numpy(float) for name in (model, PAST))
            came = realised[seen]
            # The same seed for all: models that speak of the same members meet the same resamples.
            weights = unit_weights(n, draws, np.random.default_rng(seed))
            top, lost = in_top(here, 0.1) * came, poisson_deviance(past, came)
            saved = lost - poisson_deviance(here, came)
            row = {"predicted": here.sum(), "realised": came.sum(), "deviance": (lost - saved).mean()}
            for names, above, below in (
                (("ratio", "low", "high"), came, here),
                (("top_tenth", "top_low", "top_high"), top, came),
                (("gain", "gain_low", "gain_high"), saved, lost),
            ):
                row |= dict(zip(names, _ratio(above, below, weights, confidence), strict=True))
            frame, row["gap_by_chance"] = _deciles(here, came, weights, confidence)
            row["largest_gap"] = 100 * (frame["realised_share"] - frame["predicted_share"]).abs().max()
            parts.append(frame.assign(model=model))
        rows.append({"model": model, "n": n, **row})
    return pd.DataFrame(rows, columns=TABLE), pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def _ratio(
    above: FloatArray, below: FloatArray, weights: FloatArray, confidence: float
) -> tuple[float, float, float]:
    """Return the ratio of two sums over members with its bootstrap interval; NaN where nothing is below."""
    ratio = float(above.sum() / below.sum()) if below.sum() > 0 else np.nan
    return ratio, *ratio_interval(weights @ above, weights @ below, confidence)


def poisson_deviance(values: FloatArray, came: FloatArray) -> FloatArray:
    """Return each member's Poisson deviance; predictions are floored at a twentieth of their mean."""
    means = np.maximum(values, FLOOR * max(float(values.mean()), 1e-12))
    # A refund can make a sum negative; the deviance is defined from 0 on, as the fit is.
    seen = np.maximum(came, 0.0)
    return np.asarray(2 * (special.xlogy(seen, seen / means) - seen + means), float)


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
    drawn = (weights * realised) @ here / np.maximum(weights @ realised, 1e-12)[:, None]
    low, high = np.transpose([percentile_interval(share, confidence) for share in drawn.T])
    frame = pd.DataFrame({"decile": np.arange(1, 11), "n": here.sum(axis=0)})
    frame["predicted_share"] = values @ here / values.sum() if values.sum() else np.nan
    frame = frame.assign(realised_share=came, low=low, high=high)
    return frame, 100 * float(np.quantile(np.abs(drawn - came).max(axis=1), 0.95))


def thirds(values: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the third of each value, 1 to 3; equal values in order of their place."""
    place = np.empty(len(values), dtype=np.int64)
    place[np.argsort(values, kind="stable")] = np.arange(len(values))
    return place * THIRDS // max(len(values), 1) + 1


def compare_outcomes(rows: pd.DataFrame, confidence: float) -> pd.DataFrame:
    """Compare the value of members who stayed active with that of those who fell silent, by third.

    The interval of the difference of means is clustered by member (a member active in four windows is not four
    members): linearised variance of a difference of two ratios (Cochran 1977, 6.3) with Student's t.

    Parameters
    ----------
    rows : pandas.DataFrame
        One row per window and member: member_id, third (of predicted value, see :func:`thirds`), silent (bool) and
        realised.
    confidence : float
        Level of the interval.

    Returns
    -------
    pandas.DataFrame
        third, n (rows), silent (rows), active_value, silent_value (means), value (their difference), low, high.
    """
    found = []
    for third in range(1, THIRDS + 1):
        here = rows[rows["third"] == third]
        silent, value = here["silent"].to_numpy(bool), here["realised"].to_numpy(float)
        row = {"third": third, "n": len(here), "silent": silent.sum()}
        row |= dict.fromkeys(("active_value", "silent_value", "value", "low", "high"), np.nan)
        fewest = min(here.loc[flag, "member_id"].nunique() for flag in (silent, ~silent))
        if fewest >= enough.SILENT_IN_THIRD:
            stayed, fell = value[~silent].mean(), value[silent].mean()
            # Each row's share in the error of the difference, summed within members.
            part = np.where(silent, (fell - value) / silent.sum(), (value - stayed) / (~silent).sum())
            sums = pd.Series(part).groupby(here["member_id"].to_numpy()).sum().to_numpy()
            error = np.sqrt(len(sums) / (len(sums) - 1) * np.sum(sums**2))
            half = half_width(error, confidence, fewest - 1)
            row |= {"active_value": stayed, "silent_value": fell, "value": stayed - fell}
            row |= {"low": stayed - fell - half, "high": stayed - fell + half}
        found.append(row)
    return pd.DataFrame(found)


# --- the forecast ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ValueForecast:
    """Predicted value of each present member, and how predictions of this kind did on windows they had not seen.

    The expected value is unconditional: leaving, silence and coming back are inside.

    Attributes
    ----------
    split : date
        Day before the last closed window.
    horizon_days : int
        Length of a window and of the prediction.
    confidence : float
        Level of the intervals.
    members : pandas.DataFrame
        member_id, expected_value of the next `horizon_days`, expected_days of presence; ordered by member_id.
        Empty when there is too little data, as all below.
    table : pandas.DataFrame
        One row per model on the last closed window: model, n (members it speaks of: for BG/NBD × Gamma-Gamma those
        who had bought), predicted, realised (sums), ratio (realised to predicted), low, high, largest_gap (largest
        difference of decile shares, in points), gap_by_chance (what the largest gap stays below in 95 % of
        resamples of a right prediction), top_tenth (share of what came in the tenth predicted highest), top_low,
        top_high, deviance (mean Poisson deviance), gain (share of the deviance of past value taken away), gain_low,
        gain_high.
    deciles : pandas.DataFrame
        One row per model and decile of predicted value, lowest first: decile, n, predicted_share, realised_share,
        low, high (of the realised share), model.
    windows : pandas.DataFrame
        One row per judged window and member: split, member_id, predicted, realised. Every prediction was made from
        what was known on its split.
    spread : RatioSpread or None
        How far the sums of windows lay from their predictions.
    """

    split: dt.date
    horizon_days: int
    confidence: float
    members: pd.DataFrame = field(default_factory=pd.DataFrame, repr=False)
    table: pd.DataFrame = field(default_factory=pd.DataFrame, repr=False)
    deciles: pd.DataFrame = field(default_factory=pd.DataFrame, repr=False)
    windows: pd.DataFrame = field(default_factory=pd.DataFrame, repr=False)
    spread: RatioSpread | None = None


def forecast_value(
    activity: ibis.Table | pd.DataFrame,
    population: ibis.Table | pd.DataFrame,
    *,
    as_of: dt.date,
    began: dt.date | None,
    horizon_days: int = 60,
    confidence: float = 0.95,
    draws: int = 500,
    seed: int = 0,
) -> ValueForecast:
    """Predict the value of each present member, and judge such predictions on up to four closed windows.

    Parameters
    ----------
    activity, population
        As :class:`helpers.study.Study` holds them.
    as_of : date
        Last day that is known.
    began : date or None
        First day on which exits and value were recorded; None without activity.
    horizon_days : int
        Days ahead; the judged windows are the last ones of `horizon_days` days up to `as_of`.
    confidence, draws, seed
        Level and bootstrap of the intervals.
    """
    step = dt.timedelta(days=horizon_days)
    rows = with_days(activity, "day").select("member_id", "day", "kind", "value")
    first = rows.day.min().execute()
    nothing = ValueForecast(as_of - step, horizon_days, confidence)
    if began is None or pd.isna(first):
        return nothing
    begin = max(pd.Timestamp(first).date(), began)
    if begin > as_of - 3 * step:
        return nothing
    # Stored once: a frame would otherwise be handed to the engine again for every window.
    people = with_days(population, "joined_day", "left_day").select("member_id", "joined_day", "left_day")
    log = _Log(rows.cache(), people.cache(), horizon_days, begin, began)
    judged = {k: log.judged(as_of - k * step) for k in range(1, MOST_SPLITS + 1)}
    last, ahead = judged[1], log.predict(as_of)
    if last is None or ahead is None:
        return nothing
    models = last.merge(_bought(log, as_of - step), "left", "member_id").assign(**{PAST: _past(last, log)})
    table, deciles = judge(models, last["realised"].to_numpy(float), confidence, draws, seed)
    parts = [part.rename(columns={SURVIVAL: "predicted"}) for part in judged.values() if part is not None]
    windows = pd.concat(parts, ignore_index=True)[["split", "member_id", "predicted", "realised"]]
    windows = windows.sort_values(["split", "member_id"], ignore_index=True)
    return ValueForecast(
        split=as_of - step,
        horizon_days=horizon_days,
        confidence=confidence,
        members=ahead.rename(columns={SURVIVAL: "expected_value"})[
            ["member_id", "expected_value", "expected_days"]
        ],
        table=table,
        deciles=deciles,
        windows=windows,
        spread=RatioSpread.of(windows, confidence),
    )


@dataclass(frozen=True)
class _Log:
    """What was recorded, and predictions from what was known on a day; what a day needs is computed once."""

    activity: ibis.Table
    population: ibis.Table
    horizon_days: int
    begin: dt.date
    recorded: dt.date
    brought: dict[dt.date, pd.Series] = field(default_factory=dict)
    features: dict[tuple[dt.date, int], pd.DataFrame] = field(default_factory=dict)

    def value_after(self, day: dt.date, members: pd.Series) -> FloatArray:
        """Return the value of these members in the window after a day."""
        if day not in self.brought:
            self.brought[day] = value_between(self.activity, day, day + dt.timedelta(days=self.horizon_days))
        return self.brought[day].reindex(members).fillna(0.0).to_numpy(float)

    def features_on(self, day: dt.date, look_back_days: int) -> pd.DataFrame:
        """Return the features of a day."""
        key = day, look_back_days
        if key not in self.features:
            self.features[key] = member_features(self.activity, self.population, day, look_back_days)
        return self.features[key]

    def windows(self, day: dt.date) -> tuple[list[dt.date], int]:
        """Return the days on which windows closed by a day begin, newest first, and how far all may look back."""
        starts = [day - dt.timedelta(days=k * self.horizon_days) for k in range(1, WINDOWS + 1)]
        starts = [each for each in starts if each - dt.timedelta(days=self.horizon_days) >= self.begin]
        oldest = (starts[-1] - self.begin).days + 1 if starts else 0
        return starts, min(LOOK_BACK_DAYS, oldest)

    def judged(self, day: dt.date) -> pd.DataFrame | None:
        """Return the prediction of a past day beside what came; None when there was too little to predict from."""
        found = self.predict(day)
        return (
            None
            if found is None
            else found.assign(split=day, realised=self.value_after(day, found["member_id"]))
        )

    def predict(self, day: dt.date) -> pd.DataFrame | None:
        """Return features and predicted value of the members present on a day, from windows closed by then."""
        starts, look_back = self.windows(day)
        parts = [
            each.assign(value=self.value_after(start, each["member_id"]))
            for start in starts
            if len(each := self.features_on(start, look_back))
        ]
        seen = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=["value"])
        if len(seen) < enough.TO_FIT or (seen["value"] > 0).sum() < enough.BUYERS_TO_FIT:
            return None
        stays = self._stays(day)
        exposure = stays.days_ahead(seen["tenure_days"].to_numpy(float), self.horizon_days)
        rate = _rate()
        # A refund can make a member's value negative; the mean of a Poisson law cannot be: such sums count as 0.
        target = np.maximum(seen["value"].to_numpy(float), 0.0) / np.maximum(exposure, 1e-9)
        scale = float(np.average(target, weights=exposure)) or 1.0
        rate.fit(_design(seen), target / scale, poissonregressor__sample_weight=exposure)
        found = self.features_on(day, look_back)
        if found.empty:  # everybody had left by then
            return None
        days = stays.days_ahead(found["tenure_days"].to_numpy(float), self.horizon_days)
        expected = rate.predict(_design(found)) * scale * days
        return found.assign(expected_days=days, **{SURVIVAL: expected.round(VALUE_DECIMALS)})

    def _stays(self, day: dt.date) -> Stays:
        """Return the stays as they were known on a day: who left later was still there."""
        people, known = self.population, self.population.left_day <= ibis.date(day)
        people = people.mutate(left_day=ibis.cases((known, people.left_day), else_=ibis.null("date")))
        return Stays.of(value_days(self.activity, people, as_of=day, began=self.recorded))


def member_features(
    activity: ibis.Table, population: ibis.Table, day: dt.date, look_back_days: int = LOOK_BACK_DAYS
) -> pd.DataFrame:
    """Return what is known of each member present at the end of a day; nothing after it is looked at.

    Returns
    -------
    pandas.DataFrame
        member_id; actions_30, actions_90, purchases (counts) and past_value (sum) of the last `look_back_days`;
        silent_days since the last action (tenure when there was none, at most `look_back_days`); tenure_days.
        Ordered by member_id.
    """
    begin = day - dt.timedelta(days=look_back_days)
    rows = activity.filter(activity.day <= ibis.date(day), activity.day > ibis.date(begin))
    age = ibis.date(day).delta(rows.day, unit="day")
    found = rows.group_by("member_id").agg(
        actions_30=(age < 30).cast("int64").sum(),
        actions_90=(age < 90).cast("int64").sum(),
        purchases=(rows.kind == "order").cast("int64").sum(),
        past_value=rows.value.sum().cast("float64").round(VALUE_DECIMALS),
        silent_days=age.min(),
    )
    people = present_members(population, as_of=day)
    people = people.select("member_id", tenure_days=ibis.date(day).delta(people.joined_day, unit="day"))
    frame = people.left_join(found, "member_id").drop("member_id_right").to_pandas()
    frame["silent_days"] = frame["silent_days"].fillna(frame["tenure_days"].clip(upper=look_back_days))
    frame = frame.fillna(dict.fromkeys(FEATURES, 0.0)).astype(dict.fromkeys(FEATURES, float))
    return frame[["member_id", *FEATURES]].sort_values("member_id", ignore_index=True)


def value_between(activity: ibis.Table, after: dt.date, until: dt.date) -> pd.Series:
    """Return the value of each member after one day and up to another, indexed by member_id."""
    rows = activity.filter(activity.day > ibis.date(after), activity.day <= ibis.date(until))
    total = rows.value.sum().cast("float64").round(VALUE_DECIMALS)
    frame = rows.group_by("member_id").agg(value=total).to_pandas()
    return frame.set_index("member_id")["value"].sort_index()


def _rate() -> Pipeline:
    """Return the unfitted regression of value a day."""
    bent = SplineTransformer(n_knots=KNOTS, degree=2, knots="quantile", extrapolation="constant")
    poisson = PoissonRegressor(alpha=PENALTY, max_iter=1000, tol=1e-8)
    return make_pipeline(StandardScaler(), bent, StandardScaler(), poisson)


def _design(features: pd.DataFrame) -> FloatArray:
    """Return the logarithms of the features: counts and money act by ratios."""
    return np.log1p(np.maximum(features[list(FEATURES)].to_numpy(float), 0.0))


def _past(members: pd.DataFrame, log: _Log) -> FloatArray:
    """Return past value of members present on a split, over the days that each was there and recorded."""
    day = members["split"].iloc[0]
    total = value_between(log.activity, log.begin - dt.timedelta(days=1), day).reindex(members["member_id"])
    observed = np.minimum((day - log.begin).days, members["tenure_days"].to_numpy(float)) + 1
    return total.fillna(0.0).to_numpy(float) / observed * log.horizon_days


def _bought(log: _Log, day: dt.date) -> pd.DataFrame:
    """Return what BG/NBD × Gamma-Gamma says of each member who had bought: member_id and its value."""
    bought = log.activity.filter(log.activity.kind == "order", log.activity.day <= ibis.date(day))
    days = bought.group_by("member_id", "day").agg(value=bought.value.sum())
    members = histories(days, day).to_pandas().sort_values("member_id", ignore_index=True)
    worth, _ = value_ahead(members, days, day, log.horizon_days)
    return members[["member_id"]].assign(**{MODEL: worth})
