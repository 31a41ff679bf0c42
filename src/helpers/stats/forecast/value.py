"""What each present member will bring in the next days: expected days of presence times value a day.

For member ``i`` on day ``L``::

    value_i(H) = rate_i * sum over d < H of S(tenure_i + d) / S(tenure_i)

The sum is the integral of survival from the member's tenure on (:mod:`helpers.stats.forecast.stays`). ``rate_i`` is
the value of a day of presence: a Poisson quasi-likelihood regression with log link of the value of earlier closed
windows on splines of what was known when they began (McCullagh and Nelder 1989, chapter 9; only the mean has to be
right, not the distribution). Its score equations make predicted and realised value agree in sum.

The same prediction is made again on earlier days, from what was known then, and judged by the windows after them
(:mod:`helpers.stats.forecast.value_judging`): the last one beside BG/NBD × Gamma-Gamma and the member's own past
value, all of them for how far the level of a window errs. All windows of one prediction look back equally far, as far
as the log goes behind the oldest: a window early in the log must not look poorer in past value than one of today.

Above `MOST_MEMBERS` a sample of members, drawn by a hash of their ids, is what regressions are fitted to and judged
on; days of presence rest on everybody, and everybody present on the last day gets a prediction.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field

import ibis
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.linear_model import PoissonRegressor
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import SplineTransformer, StandardScaler
from threadpoolctl import threadpool_limits

from helpers.data.dialect import rounded, stored
from helpers.data.source import of_sample, pulled
from helpers.stats.btyd.cells import histories
from helpers.stats.btyd.value_ahead import value_ahead
from helpers.stats.forecast.stays import Stays
from helpers.stats.forecast.value_judging import MODEL, PAST, SURVIVAL, RatioSpread, judge
from helpers.study import enough
from helpers.study.frames import materialise, with_days
from helpers.study.people import present_members

FloatArray = NDArray[np.float64]

FEATURES = ("actions_30", "actions_90", "purchases", "past_value", "silent_days", "tenure_days")
LOOK_BACK_DAYS = 180
WINDOWS = 3
MOST_SPLITS = 4
MOST_MEMBERS = 12_000
VALUE_DECIMALS = 6
# Bent logarithms, flat beyond what was seen: a straight line took too much from the best tenth and gave it to the
# one below (3.9 points of all value, pooled over twelve communities of different calendars; bent 1.9).
KNOTS = 4
PENALTY = 0.1  # shrinks the many coefficients of few buyers; a straight line needed none


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
    share : float
        Share of the members that fits and windows rest on.
    """

    split: dt.date
    horizon_days: int
    confidence: float
    members: pd.DataFrame = field(default_factory=pd.DataFrame, repr=False)
    table: pd.DataFrame = field(default_factory=pd.DataFrame, repr=False)
    deciles: pd.DataFrame = field(default_factory=pd.DataFrame, repr=False)
    windows: pd.DataFrame = field(default_factory=pd.DataFrame, repr=False)
    spread: RatioSpread | None = None
    share: float = 1.0


@threadpool_limits.wrap(limits=1)  # threads of so small a fit wait for each other most of the time
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
    compared: bool = True,
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
    compared : bool
        Whether to compare models on the last window, which fits others; without it there are no table and no deciles.
    """
    step = dt.timedelta(days=horizon_days)
    days = member_log(with_days(activity, "day"))
    first = days.day.min().execute()
    nothing = ValueForecast(as_of - step, horizon_days, confidence)
    if began is None or pd.isna(first):
        return nothing
    begin = max(pd.Timestamp(first).date(), began)
    if begin > as_of - 3 * step:
        return nothing
    # Stored once: a frame would otherwise be handed to the engine again for every window.
    people = stored(
        with_days(population, "joined_day", "left_day").select("member_id", "joined_day", "left_day")
    )
    share = min(MOST_MEMBERS / max(int(people.count().execute()), 1), 1.0)
    log = _Log(days, people, horizon_days, begin, began, share, seed)
    judged = {k: log.judged(as_of - k * step) for k in range(1, MOST_SPLITS + 1)}
    last, ahead = judged[1], log.predict(as_of, everybody=True)
    if last is None or ahead is None:
        return nothing
    table, deciles = pd.DataFrame(), pd.DataFrame()
    if compared:
        models = last.merge(_bought(log, as_of - step), "left", "member_id").assign(
            **{PAST: _past(last, log)}
        )
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
        share=share,
    )


@dataclass(frozen=True)
class _Log:
    """What was recorded, and predictions from what was known on a day; what a day needs is computed once."""

    days: ibis.Table
    population: ibis.Table
    horizon_days: int
    begin: dt.date
    recorded: dt.date
    share: float = 1.0
    seed: int = 0
    features: dict[tuple[dt.date, int, float], pd.DataFrame] = field(default_factory=dict)

    def sampled(self, table: ibis.Table) -> ibis.Table:
        """Return the rows of the members that fits rest on."""
        return of_sample(table, self.share, self.seed)

    def features_on(self, day: dt.date, look_back_days: int, share: float) -> pd.DataFrame:
        """Return the features of a day, of a share of the members."""
        key = day, look_back_days, share
        if key not in self.features:
            days, people = (of_sample(each, share, self.seed) for each in (self.days, self.population))
            self.features[key] = member_features(days, people, day, look_back_days, self.horizon_days)
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
        return None if found is None else found.assign(split=day, realised=found["brought"])

    def predict(self, day: dt.date, *, everybody: bool = False) -> pd.DataFrame | None:
        """Return features and predicted value of the members present on a day, from windows closed by then."""
        starts, look_back = self.windows(day)
        parts = [each for start in starts if len(each := self.features_on(start, look_back, self.share))]
        seen = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=["brought"])
        if len(seen) < enough.TO_FIT or (seen["brought"] > 0).sum() < enough.BUYERS_TO_FIT:
            return None
        stays = self._stays(day)
        exposure = stays.days_ahead(seen["tenure_days"].to_numpy(float), self.horizon_days)
        rate = _rate()
        # A refund can make a member's value negative; the mean of a Poisson law cannot be: such sums count as 0.
        target = np.maximum(seen["brought"].to_numpy(float), 0.0) / np.maximum(exposure, 1e-9)
        scale = float(np.average(target, weights=exposure)) or 1.0
        rate.fit(_design(seen), target / scale, poissonregressor__sample_weight=exposure)
        found = self.features_on(day, look_back, 1.0 if everybody else self.share)
        if found.empty:  # everybody had left by then
            return None
        days = stays.days_ahead(found["tenure_days"].to_numpy(float), self.horizon_days)
        expected = rate.predict(_design(found)) * scale * days
        return found.assign(expected_days=days, **{SURVIVAL: np.round(expected, VALUE_DECIMALS)})

    def _stays(self, day: dt.date) -> Stays:
        """Return the stays as they were known on a day: who left later was still there."""
        people, known = self.population, self.population.left_day <= ibis.date(day)
        people = people.mutate(left_day=ibis.cases((known, people.left_day), else_=ibis.null("date")))
        return Stays.of(people, as_of=day, began=self.recorded)


def member_log(activity: ibis.Table) -> ibis.Table:
    """Return one row per member and day: actions, orders, value and the value of orders; stored in the engine."""
    # An empty frame has no types to show.
    activity = activity.cast({"member_id": "string", "kind": "string", "value": "float64"})
    bought = activity.kind == "order"
    found = activity.group_by("member_id", "day").agg(
        actions=(activity.kind != "refund").sum(),
        orders=bought.sum(),
        value=activity.value.sum(),
        order_value=activity.value.sum(where=bought),
    )
    return materialise(found)


def member_features(
    days: ibis.Table,
    population: ibis.Table,
    day: dt.date,
    look_back_days: int = LOOK_BACK_DAYS,
    horizon_days: int = 0,
) -> pd.DataFrame:
    """Return what is known of each member present at the end of a day; no feature looks at anything after it.

    Returns
    -------
    pandas.DataFrame
        member_id; actions_30, actions_90, purchases (counts) and past_value (sum) of the last `look_back_days`;
        silent_days since the last action (tenure when there was none, at most `look_back_days`); tenure_days;
        brought, the value of the `horizon_days` after. Ordered by member_id.
    """
    begin, end = (day + dt.timedelta(days=shift) for shift in (-look_back_days, horizon_days))
    rows = days.filter(days.day > ibis.date(begin), days.day <= ibis.date(end))
    age = ibis.date(day).delta(rows.day, unit="day")
    known = age >= 0
    value = {
        name: rounded(rows.value.sum(where=when), VALUE_DECIMALS)
        for name, when in (("past_value", known), ("brought", ~known))
    }
    found = rows.group_by("member_id").agg(
        actions_30=rows.actions.sum(where=known & (age < 30)),
        actions_90=rows.actions.sum(where=known & (age < 90)),
        purchases=rows.orders.sum(where=known),
        silent_days=age.min(where=known & (rows.actions > 0)),
        **value,
    )
    people = present_members(population, as_of=day)
    people = people.select("member_id", tenure_days=ibis.date(day).delta(people.joined_day, unit="day"))
    both = people.left_join(found, "member_id").drop("member_id_right")
    silent = both.silent_days.fill_null(ibis.least(both.tenure_days, look_back_days))
    numbers = {
        name: both[name].cast("float64").fill_null(0.0) for name in both.columns if name != "member_id"
    }
    frame = pulled(both.mutate(**numbers | {"silent_days": silent.cast("float64")}))
    return frame[["member_id", *FEATURES, "brought"]].sort_values("member_id", ignore_index=True)


def _rate() -> Pipeline:
    """Return the unfitted regression of value a day."""
    bent = SplineTransformer(n_knots=KNOTS, degree=2, knots="quantile", extrapolation="constant")
    poisson = PoissonRegressor(alpha=PENALTY, solver="newton-cholesky", tol=1e-8)
    return make_pipeline(StandardScaler(), bent, StandardScaler(), poisson)


def _design(features: pd.DataFrame) -> FloatArray:
    """Return the logarithms of the features: counts and money act by ratios."""
    return np.log1p(np.maximum(features[list(FEATURES)].to_numpy(float), 0.0))


def _past(members: pd.DataFrame, log: _Log) -> FloatArray:
    """Return past value of members present on a split, over the days that each was there and recorded."""
    day = members["split"].iloc[0]
    rows = log.sampled(log.days.filter(log.days.day >= ibis.date(log.begin), log.days.day <= ibis.date(day)))
    total = rows.group_by("member_id").agg(value=rounded(rows.value.sum(), VALUE_DECIMALS))
    past = pulled(total).set_index("member_id")["value"].reindex(members["member_id"])
    observed = np.minimum((day - log.begin).days, members["tenure_days"].to_numpy(float)) + 1
    return past.fillna(0.0).to_numpy(float) / observed * log.horizon_days


def _bought(log: _Log, day: dt.date) -> pd.DataFrame:
    """Return what BG/NBD × Gamma-Gamma says of each member who had bought: member_id and its value."""
    bought = log.sampled(log.days.filter(log.days.orders > 0, log.days.day <= ibis.date(day)))
    days = bought.select("member_id", "day", value="order_value")
    members = histories(days, day).to_pandas().sort_values("member_id", ignore_index=True)
    worth, _ = value_ahead(members, days, day, log.horizon_days)
    return members[["member_id"]].assign(**{MODEL: worth})
