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
on; days of presence rest on everybody, and everybody present on the last day gets a prediction, which is computed
where the tables are: the regression is a sum of one piecewise polynomial for each feature.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import ibis
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import interpolate
from sklearn.linear_model import PoissonRegressor
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import SplineTransformer, StandardScaler
from threadpoolctl import threadpool_limits

from helpers.data.dialect import VALUE_DECIMALS, ones, rounded, stored
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
COUNTS = tuple(name for name in FEATURES if name != "past_value")
LOOK_BACK_DAYS = 180
WINDOWS = 3
MOST_SPLITS = 4
MOST_MEMBERS = 12_000
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
    ahead : ibis.Table or None
        Of each present member: member_id, expected_value of the next `horizon_days`, expected_days of presence.
        Stored in the engine. None when there is too little data, and empty all below.
    present : int
        Members in it.
    total : float
        Sum of their expected values.
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
    ahead: ibis.Table | None = field(default=None, repr=False)
    present: int = 0
    total: float = 0.0
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
    rows = with_days(activity, "day")
    first = rows.day.min().execute()
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
    log = _Log(rows, people, horizon_days, begin, began, share, seed)
    judged = {k: log.judged(as_of - k * step) for k in range(1, MOST_SPLITS + 1)}
    last, ahead = judged[1], log.ahead(as_of)
    if last is None or ahead is None:
        return nothing
    worth = ahead.aggregate(n=ahead.count(), total=rounded(ahead.expected_value.sum(), VALUE_DECIMALS))
    present, total = worth.to_pandas().iloc[0]
    if not present:  # everybody had left by then
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
        ahead=ahead,
        present=int(present),
        total=float(total),
        table=table,
        deciles=deciles,
        windows=windows,
        spread=RatioSpread.of(windows, confidence),
        share=share,
    )


class _Fit(NamedTuple):
    """What was learnt by a day: regression of value a day, its unit, stays, and how far features look back."""

    rate: Pipeline
    scale: float
    stays: Stays
    look_back_days: int


@dataclass(frozen=True)
class _Log:
    """What was recorded, and predictions from what was known on a day; what a day needs is computed once."""

    activity: ibis.Table
    population: ibis.Table
    horizon_days: int
    begin: dt.date
    recorded: dt.date
    share: float = 1.0
    seed: int = 0
    features: dict[tuple[dt.date, int], pd.DataFrame] = field(default_factory=dict)

    @property
    def sample(self) -> ibis.Table:
        """The members that fits rest on."""
        return of_sample(self.population, self.share, self.seed)

    @cached_property
    def days(self) -> ibis.Table:
        """What they did: one row per member and day; stored in the engine."""
        rows = self.activity
        rows = rows if self.share >= 1 else rows.semi_join(self.sample, "member_id")
        days = acts(rows)
        names = ("actions", "orders", "value", "order_value")
        return materialise(
            days.group_by("member_id", "day").agg(**{name: days[name].sum() for name in names})
        )

    def features_on(self, day: dt.date, look_back_days: int) -> pd.DataFrame:
        """Return the features of a day, of the members that fits rest on; ordered by member_id."""
        key = day, look_back_days
        if key not in self.features:
            found = member_features(self.days, self.sample, day, look_back_days, self.horizon_days)
            found = found.cast(dict.fromkeys(COUNTS, "int32"))  # half of the bytes
            self.features[key] = pulled(found).sort_values("member_id", ignore_index=True)
        return self.features[key]

    def windows(self, day: dt.date) -> tuple[list[dt.date], int]:
        """Return the days on which windows closed by a day begin, newest first, and how far all may look back."""
        starts = [day - dt.timedelta(days=k * self.horizon_days) for k in range(1, WINDOWS + 1)]
        starts = [each for each in starts if each - dt.timedelta(days=self.horizon_days) >= self.begin]
        oldest = (starts[-1] - self.begin).days + 1 if starts else 0
        return starts, min(LOOK_BACK_DAYS, oldest)

    def fit(self, day: dt.date) -> _Fit | None:
        """Learn from windows closed by a day; None when there was too little to learn from."""
        starts, look_back = self.windows(day)
        parts = [each for start in starts if len(each := self.features_on(start, look_back))]
        seen = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=["brought"])
        if len(seen) < enough.TO_FIT or (seen["brought"] > 0).sum() < enough.BUYERS_TO_FIT:
            return None
        stays = self._stays(day)
        exposure = stays.days_ahead(seen["tenure_days"].to_numpy(float), self.horizon_days)
        # A refund can make a member's value negative; the mean of a Poisson law cannot be: such sums count as 0.
        target = np.maximum(seen["brought"].to_numpy(float), 0.0) / np.maximum(exposure, 1e-9)
        scale = float(np.average(target, weights=exposure)) or 1.0
        rate = _rate().fit(_design(seen), target / scale, poissonregressor__sample_weight=exposure)
        return _Fit(rate, scale, stays, look_back)

    def judged(self, day: dt.date) -> pd.DataFrame | None:
        """Return features and predicted value of the sample on a past day beside what came; None as for `fit`."""
        fit = self.fit(day)
        found = self.features_on(day, fit.look_back_days) if fit else pd.DataFrame()
        if fit is None or found.empty:
            return None
        days = fit.stays.days_ahead(found["tenure_days"].to_numpy(float), self.horizon_days)
        expected = np.round(fit.rate.predict(_design(found)) * fit.scale * days, VALUE_DECIMALS)
        return found.assign(split=day, realised=found["brought"], **{SURVIVAL: expected})

    def ahead(self, day: dt.date) -> ibis.Table | None:
        """Return the predicted value of everybody present on a day, stored in the engine; None as for `fit`."""
        fit = self.fit(day)
        if fit is None:
            return None
        rows = self.days if self.share >= 1 else acts(self.activity)
        found = member_features(rows, self.population, day, fit.look_back_days)
        # Beyond the last one the hazard is one, so that all are as there.
        tenures = np.arange(len(fit.stays.hazards) + 1.0)
        days = {"tenure": tenures, "expected_days": fit.stays.days_ahead(tenures, self.horizon_days)}
        found = found.mutate(tenure=ibis.least(found.tenure_days, float(tenures[-1])))
        found = found.inner_join(ibis.memtable(pd.DataFrame(days)), "tenure")
        worth = log_rate(fit.rate, found).exp() * fit.scale * found.expected_days
        return stored(
            found.select("member_id", "expected_days", expected_value=rounded(worth, VALUE_DECIMALS))
        )

    def _stays(self, day: dt.date) -> Stays:
        """Return the stays as they were known on a day: who left later was still there."""
        people, known = self.population, self.population.left_day <= ibis.date(day)
        people = people.mutate(left_day=ibis.cases((known, people.left_day), else_=ibis.null("date")))
        return Stays.of(people, as_of=day, began=self.recorded)


def acts(activity: ibis.Table) -> ibis.Table:
    """Return rows of activity as member_id, day, and what each adds to actions, orders, value, value of orders."""
    # An empty frame has no types to show.
    rows = activity.cast({"member_id": "string", "kind": "string", "value": "float64"})
    bought = rows.kind == "order"
    return rows.select(
        "member_id",
        "day",
        "value",
        actions=ones(rows.kind != "refund"),
        orders=ones(bought),
        order_value=bought.ifelse(rows.value, 0.0),
    )


def member_features(
    days: ibis.Table,
    population: ibis.Table,
    day: dt.date,
    look_back_days: int = LOOK_BACK_DAYS,
    horizon_days: int = 0,
) -> ibis.Table:
    """Return what is known of each member present at the end of a day; no feature looks at anything after it.

    Returns
    -------
    ibis.Table
        member_id; actions_30, actions_90, purchases (counts) and past_value (sum) of the last `look_back_days`;
        silent_days since the last action (tenure when there was none, at most `look_back_days`); tenure_days;
        brought, the value of the `horizon_days` after.
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
    found = both.mutate(**numbers | {"silent_days": silent.cast("float64")})
    return found.select("member_id", *FEATURES, "brought")


def _rate() -> Pipeline:
    """Return the unfitted regression of value a day."""
    bent = SplineTransformer(n_knots=KNOTS, degree=2, knots="quantile", extrapolation="constant")
    poisson = PoissonRegressor(alpha=PENALTY, solver="newton-cholesky", tol=1e-8)
    return make_pipeline(StandardScaler(), bent, StandardScaler(), poisson)


def _design(features: pd.DataFrame) -> FloatArray:
    """Return the logarithms of the features: counts and money act by ratios."""
    return np.log1p(np.maximum(features[list(FEATURES)].to_numpy(float), 0.0))


def log_rate(rate: Pipeline, found: ibis.Table) -> ibis.Value:
    """Return what a fitted regression says, on the scale of its logarithm, as an expression of the features.

    Bent and standardised features enter it in sum, so it is a sum over features of one piecewise polynomial each.
    """
    first, bent, second, poisson = (step for _, step in rate.steps)
    weights = poisson.coef_ / second.scale_
    total: Any = ibis.literal(float(poisson.intercept_ - weights @ second.mean_), "float64")
    places = zip(FEATURES, first.mean_, first.scale_, bent.bsplines_, strict=True)
    for (name, mean, scale, basis), weight in zip(places, np.split(weights, len(FEATURES)), strict=True):
        curve = interpolate.PPoly.from_spline(interpolate.BSpline(basis.t, weight, basis.k))
        inside = range(basis.k, len(basis.t) - basis.k - 1)
        z = ((ibis.greatest(found[name], 0.0) + 1.0).ln() - float(mean)) / float(scale)
        z = ibis.greatest(ibis.least(z, float(curve.x[inside.stop])), float(curve.x[inside.start]))
        pieces = [_polynomial(curve.c[:, at], z - float(curve.x[at])) for at in inside]
        bounds = [z < float(curve.x[at + 1]) for at in inside]
        total = total + ibis.cases(*zip(bounds[:-1], pieces[:-1], strict=True), else_=pieces[-1])
    return total


def _polynomial(coefficients: FloatArray, x: Any) -> Any:
    """Return a polynomial, the highest power first, as an expression."""
    found: Any = ibis.literal(float(coefficients[0]), "float64")
    for each in coefficients[1:]:
        found = found * x + float(each)
    return found


def _past(members: pd.DataFrame, log: _Log) -> FloatArray:
    """Return past value of members present on a split, over the days that each was there and recorded."""
    day = members["split"].iloc[0]
    rows = log.days.filter(log.days.day >= ibis.date(log.begin), log.days.day <= ibis.date(day))
    total = rows.group_by("member_id").agg(value=rounded(rows.value.sum(), VALUE_DECIMALS))
    past = pulled(total).set_index("member_id")["value"].reindex(members["member_id"])
    observed = np.minimum((day - log.begin).days, members["tenure_days"].to_numpy(float)) + 1
    return past.fillna(0.0).to_numpy(float) / observed * log.horizon_days


def _bought(log: _Log, day: dt.date) -> pd.DataFrame:
    """Return what BG/NBD × Gamma-Gamma says of each member who had bought: member_id and its value."""
    bought = log.days.filter(log.days.orders > 0, log.days.day <= ibis.date(day))
    days = bought.select("member_id", "day", value="order_value")
    members = histories(days, day).to_pandas().sort_values("member_id", ignore_index=True)
    worth, _ = value_ahead(members, days, day, log.horizon_days)
    return members[["member_id"]].assign(**{MODEL: worth})
