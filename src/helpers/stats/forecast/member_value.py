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
errs (:mod:`helpers.stats.forecast.value_contest`). All windows of one prediction look back equally far, as far as
the log goes behind the oldest: a window early in the log must not look poorer in past value than one of today.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field

import ibis
import numpy as np
import pandas as pd
from sklearn.linear_model import PoissonRegressor
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import SplineTransformer, StandardScaler

from helpers.checks import check_confidence, check_scalar
from helpers.sentences import number, percent, quantity, say
from helpers.stats.btyd.alive import BetaGeometricNBD
from helpers.stats.btyd.cells import Cells, histories
from helpers.stats.btyd.spend import GammaGamma
from helpers.stats.forecast.stays import Stays
from helpers.stats.forecast.value_contest import (
    MODEL,
    PAST,
    SURVIVAL,
    RatioSpread,
    against_past,
    judge,
    top_tenth,
)
from helpers.study.activity import present_members
from helpers.study.frames import as_day, with_days
from helpers.study.value_days import FloatArray, value_days

FEATURES = ("actions_30", "actions_90", "purchases", "past_value", "silent_days", "tenure_days")
LOOK_BACK_DAYS = 180
WINDOWS = 3
MOST_SPLITS = 4
FEWEST_MEMBERS = 100
FEWEST_BUYERS = 20
VALUE_DECIMALS = 6
# Bent logarithms, flat beyond what was seen: a straight line took too much from the best tenth and gave it to the
# one below (3.9 points of all value, pooled over twelve communities of different calendars; bent 1.9).
KNOTS = 4
PENALTY = 0.1  # shrinks the many coefficients of few buyers; a straight line needed none


def member_features(
    activity: ibis.Table | pd.DataFrame,
    population: ibis.Table | pd.DataFrame,
    day: dt.date,
    look_back_days: int = LOOK_BACK_DAYS,
) -> pd.DataFrame:
    """Return what is known of each member present at the end of a day; nothing after it is looked at.

    Returns
    -------
    pandas.DataFrame
        member_id; actions_30, actions_90, purchases (counts) and past_value (sum) of the last `look_back_days`;
        silent_days since the last action (tenure when there was none, at most `look_back_days`); tenure_days.
        Ordered by member_id.
    """
    rows = with_days(activity, "day")
    rows = rows.filter(
        rows.day <= ibis.date(day), rows.day > ibis.date(day - dt.timedelta(days=look_back_days))
    )
    age = ibis.date(day).delta(rows.day, unit="day")
    bought = rows.kind == "order"
    found = rows.group_by("member_id").agg(
        actions_30=(age < 30).cast("int64").sum(),
        actions_90=(age < 90).cast("int64").sum(),
        purchases=bought.cast("int64").sum(),
        past_value=rows.value.sum().cast("float64").round(VALUE_DECIMALS),
        silent_days=age.min(),
    )
    people = present_members(with_days(population, "joined_day", "left_day"), as_of=day)
    people = people.select("member_id", tenure_days=ibis.date(day).delta(people.joined_day, unit="day"))
    frame = people.left_join(found, "member_id").drop("member_id_right").to_pandas()
    frame["silent_days"] = frame["silent_days"].fillna(frame["tenure_days"].clip(upper=look_back_days))
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
class MemberValue:
    """Predicted value of each present member, and how predictions of this kind did on windows they had not seen.

    The expected value is unconditional: leaving, silence and coming back are inside.

    Attributes
    ----------
    members : pandas.DataFrame
        member_id, expected_value of the next `horizon_days`, expected_days of presence; ordered by member_id.
        Empty when there is too little data.
    table : pandas.DataFrame
        One row per model on the last closed window: model, n (members it speaks of: for BG/NBD × Gamma-Gamma those
        who had bought), predicted, realised (sums), ratio (realised to predicted), low, high, largest_gap (largest
        difference of decile shares, in points), gap_by_chance (what the largest gap stays below in 95 % of
        resamples of a right prediction), top_tenth (share of what came in the tenth predicted highest), top_low,
        top_high, deviance (mean Poisson deviance), gain (share of the deviance of past value taken away), gain_low,
        gain_high.
    deciles : pandas.DataFrame
        One row per model and decile of predicted value, lowest first: model, decile, n, predicted_share,
        realised_share, low, high (of the realised share).
    windows : pandas.DataFrame
        One row per judged window and member: split, member_id, predicted, realised. Every prediction was made from
        what was known on its split.
    spread : RatioSpread or None
        How far the sums of windows lay from their predictions.
    split, as_of : date
        Day before the last closed window and its last day.
    horizon_days : int
        Length of a window and of the prediction.
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
    windows: pd.DataFrame = field(repr=False)
    spread: RatioSpread | None
    split: dt.date
    as_of: dt.date
    horizon_days: int
    unit: str
    confidence: float
    reason: str = ""

    @property
    def known(self) -> bool:
        """Whether there is a prediction and at least one judged window."""
        return bool(len(self.members)) and self.spread is not None

    @property
    def splits(self) -> pd.DataFrame:
        """One row per judged window: split, n, predicted, realised, ratio, top_tenth; oldest first."""
        rows = []
        for split, group in self.windows.groupby("split") if len(self.windows) else ():
            said, came = (group[name].to_numpy(float) for name in ("predicted", "realised"))
            top = float((top_tenth(said) * came).sum() / came.sum()) if came.sum() > 0 else np.nan
            ratio = float(came.sum() / said.sum()) if said.sum() > 0 else np.nan
            rows.append((split, len(group), float(said.sum()), float(came.sum()), ratio, top))
        return pd.DataFrame(rows, columns=["split", "n", "predicted", "realised", "ratio", "top_tenth"])

    @property
    def sentence(self) -> str:
        """All of :attr:`sentences`."""
        return " ".join(self.sentences)

    @property
    def sentences(self) -> list[str]:
        """How well predicted value agreed with what came, over windows, and against each member's past value."""
        rows = self.table.set_index("model") if len(self.table) else self.table
        if SURVIVAL not in rows.index or pd.isna(rows.loc[SURVIVAL, "low"]) or self.spread is None:
            return [say("Value of each member ahead: too little data. {why}", why=self.reason)]
        row, past = rows.loc[SURVIVAL], rows.loc[PAST]
        shares = {
            name: percent(float(row[name]), 0) for name in ("ratio", "low", "high", "top_low", "top_high")
        }
        said = say(
            "In the {days} days after {split}, {n} members brought {realised}. The {model} (expected days here times "
            "value a day) had said {predicted}, so {ratio} of it came ({low} to {high}). The tenth of members it put "
            "on top brought {top} of all value ({top_low} to {top_high}), the tenth of most past value {past} "
            "({past_low} to {past_high}). By tenths of members, shares missed their prediction by at most {gap} "
            "points; chance alone makes up to {chance}.",
            days=number(self.horizon_days),
            split=str(self.split),
            n=number(int(row["n"])),
            model=SURVIVAL,
            **{name: quantity(float(row[name]), self.unit) for name in ("realised", "predicted")},
            gap=number(float(row["largest_gap"]), 1),
            chance=number(float(row["gap_by_chance"]), 1),
            top=percent(float(row["top_tenth"]), 0),
            past=percent(float(past["top_tenth"]), 0),
            **{f"past_{end}": percent(float(past[f"top_{end}"]), 0) for end in ("low", "high")},
            **shares,
        )
        against = [against_past(rows.loc[model].to_dict(), model) for model in (SURVIVAL, MODEL)]
        return [said, " ".join([*filter(None, against), self.spread.sentence])]


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
    """Predict the value of each present member, and judge such predictions on up to four closed windows.

    Parameters
    ----------
    activity, population
        As made by :mod:`helpers.study.activity`.
    as_of : date or str
        Last day that is known.
    horizon_days : int
        Days ahead; the judged windows are the last ones of `horizon_days` days up to `as_of`.
    observed_from : date or str, optional
        First day on which exits and value were recorded; by default the first day of activity.
    unit, confidence, draws, seed
        Unit of the value, level and bootstrap of the intervals.
    """
    check_confidence(confidence)
    check_scalar(horizon_days, "horizon_days", type_=int, ge=1)
    end, step = as_day(as_of), dt.timedelta(days=horizon_days)
    first = with_days(activity, "day").day.min().execute()
    nothing = pd.DataFrame()

    def too_little(why: str) -> MemberValue:
        return MemberValue(
            nothing, nothing, nothing, nothing, None, end - step, end, horizon_days, unit, confidence, why
        )

    begin = None if pd.isna(first) else pd.Timestamp(first).date()
    recorded = begin if observed_from is None else as_day(observed_from, "observed_from")
    if begin is None or recorded is None or max(begin, recorded) > end - 3 * step:
        return too_little(say("It takes three times {days} days of history.", days=number(horizon_days)))
    # Stored once: a frame would otherwise be handed to the engine again for every window.
    activity = with_days(activity, "day").select("member_id", "day", "kind", "value").cache()
    population = (
        with_days(population, "joined_day", "left_day").select("member_id", "joined_day", "left_day").cache()
    )
    log = _Log(activity, population, horizon_days, max(begin, recorded), recorded)
    judged = {k: log.judged(end - k * step) for k in range(1, MOST_SPLITS + 1)}
    last = judged[1]
    if last is None:
        return too_little(
            say("It takes {m} members, {b} of them with value.", m=FEWEST_MEMBERS, b=FEWEST_BUYERS)
        )
    models = last.join(_past(last, log), on="member_id").join(
        _bought(activity, end - step, horizon_days), on="member_id"
    )
    models[PAST] = models[PAST].fillna(0.0)
    table, deciles = judge(models, last["realised"].to_numpy(float), confidence, draws, seed)
    parts = [part.rename(columns={SURVIVAL: "predicted"}) for part in judged.values() if part is not None]
    windows = pd.concat(parts, ignore_index=True)[["split", "member_id", "predicted", "realised"]]
    windows = windows.sort_values(["split", "member_id"], ignore_index=True)
    ahead = log.predict(end)
    columns = ["member_id", "expected_value", "expected_days"]
    members = nothing if ahead is None else ahead.rename(columns={SURVIVAL: "expected_value"})[columns]
    spread = RatioSpread.of(windows, confidence)
    return MemberValue(
        members, table, deciles, windows, spread, end - step, end, horizon_days, unit, confidence
    )


@dataclass(frozen=True)
class _Log:
    """What was recorded, and predictions from what was known on a day; features are computed once."""

    activity: ibis.Table | pd.DataFrame
    population: ibis.Table | pd.DataFrame
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
        if found is None:
            return None
        came = self.value_after(day, found["member_id"])
        return found.assign(split=day, realised=came)

    def predict(self, day: dt.date) -> pd.DataFrame | None:
        """Return features and predicted value of the members present on a day, from windows closed by then."""
        starts, look_back = self.windows(day)
        parts = [
            each.assign(value=self.value_after(start, each["member_id"]))
            for start in starts
            if len(each := self.features_on(start, look_back))
        ]
        seen = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=["value"])
        if len(seen) < FEWEST_MEMBERS or (seen["value"] > 0).sum() < FEWEST_BUYERS:
            return None
        stays = self._stays(day)
        exposure = stays.days_ahead(seen["tenure_days"].to_numpy(float), self.horizon_days)
        rate = _rate()
        # A refund can make a member's value negative; the mean of a Poisson law cannot be: such sums count as 0.
        target = np.maximum(seen["value"].to_numpy(float), 0.0) / np.maximum(exposure, 1e-9)
        scale = float(np.average(target, weights=exposure)) or 1.0
        rate.fit(_design(seen), target / scale, poissonregressor__sample_weight=exposure)
        found = self.features_on(day, look_back)
        days = stays.days_ahead(found["tenure_days"].to_numpy(float), self.horizon_days)
        expected = rate.predict(_design(found)) * scale * days
        return found.assign(expected_days=days, **{SURVIVAL: expected.round(VALUE_DECIMALS)})

    def _stays(self, day: dt.date) -> Stays:
        """Return the stays as they were known on a day: who left later was still there."""
        people = with_days(self.population, "joined_day", "left_day")
        known = people.mutate(
            left_day=ibis.cases((people.left_day <= ibis.date(day), people.left_day), else_=ibis.null("date"))
        )
        return Stays.of(value_days(self.activity, known, as_of=day, observed_from=self.recorded))


def _rate() -> Pipeline:
    """Return the unfitted regression of value a day."""
    bent = SplineTransformer(n_knots=KNOTS, degree=2, knots="quantile", extrapolation="constant")
    return make_pipeline(
        StandardScaler(), bent, StandardScaler(), PoissonRegressor(alpha=PENALTY, max_iter=1000, tol=1e-8)
    )


def _design(features: pd.DataFrame) -> FloatArray:
    """Return the logarithms of the features: counts and money act by ratios."""
    return np.log1p(np.maximum(features[list(FEATURES)].to_numpy(float), 0.0))


def _past(members: pd.DataFrame, log: _Log) -> pd.DataFrame:
    """Return past value of members present on a split, over the days that each was there and recorded."""
    day = members["split"].iloc[0]
    total = value_between(log.activity, log.begin - dt.timedelta(days=1), day).reindex(members["member_id"])
    observed = np.minimum((day - log.begin).days, members["tenure_days"].to_numpy(float)) + 1
    rate = total.fillna(0.0).to_numpy(float) / observed
    return pd.DataFrame({PAST: rate * log.horizon_days}, index=pd.Index(members["member_id"]))


def _bought(activity: ibis.Table | pd.DataFrame, day: dt.date, horizon_days: int) -> pd.DataFrame:
    """Return what BG/NBD × Gamma-Gamma says of each member who had bought, indexed by member_id."""
    rows = with_days(activity, "day")
    bought = rows.filter(rows.kind == "order", rows.day <= ibis.date(day))
    days = bought.group_by("member_id", "day").agg(value=bought.value.sum())
    members = histories(days, day, 7.0).to_pandas().sort_values("member_id", ignore_index=True)
    found = pd.DataFrame({MODEL: np.full(len(members), np.nan)}, index=pd.Index(members["member_id"]))
    if len(members):
        keys = ["x", "t_x", "T"]
        cells = members.groupby(keys, as_index=False).size().rename(columns={"size": "members"})
        alive = BetaGeometricNBD().fit(Cells(cells, day, 7.0, days))
        spend = GammaGamma().fit(members)
        times = alive.expected_transactions(horizon_days / 7.0, *(members[key] for key in keys))
        found[MODEL] = times * spend.expected_value(members["x"], members["mean_repeat_value"])
    return found
