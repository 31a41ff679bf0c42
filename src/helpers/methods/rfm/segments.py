"""Behavioural segments that carry a name only when they come back in resamples.

Only members who were there for the whole window and did something in it have behaviour to compare; those who joined
since and the silent are counted and form no segment. Up to eight features a member are computed in the engine. They
are log1p-scaled unless they are shares, centred by the median, divided by the interquartile range and cut at 3 robust
deviations; k-means takes the number of clusters of highest silhouette. A segment gets a name when the clusters are
clearer than those of clouds without groups, its mean Jaccard similarity over resamples reaches threshold
``segments.stability`` and so does that of `LEAST_REACHED` of the resamples, since a good mean may hide resamples in
which the segment is lost. The guards are in :mod:`helpers.methods.rfm.clustering`.

Time is bounded whatever the number of members: above `FIT_LIMIT` active members a sample of so many, drawn by a hash
of their ids, is grouped, and the page says so; silhouettes and resamples use fewer.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import ibis
import numpy as np
import pandas as pd
from ibis import _
from sklearn.metrics import pairwise_distances_argmin

from helpers.data.dialect import VALUE_DECIMALS, rounded
from helpers.data.source import local_time, of_sample
from helpers.figures import Chart, NoChart
from helpers.methods.rfm import plots
from helpers.methods.rfm.clustering import Clustering, FloatArray, cluster
from helpers.playbook.finding import Finding, finding
from helpers.playbook.result import Result
from helpers.playbook.thresholds import threshold
from helpers.sentences import people, percent, say
from helpers.stats.estimate import Estimate, percentile_interval, unknown
from helpers.study import Study, enough
from helpers.study.frames import require_columns
from helpers.tables import Table

FIT_LIMIT = 10_000
LEAST_REACHED = 0.8
STABILITY_METHOD = "clusterwise Jaccard over resamples (Hennig 2007)"
CUT = 3.0
MOST_FEATURES = 8
ACTIONS = ("interaction", "order")
EVENING = 18
WORDS: dict[str, tuple[str, str, str]] = {
    "recency_days": ("recency", "away for a while", "seen lately"),
    "frequency": ("volume", "frequent", "infrequent"),
    "active_days": ("volume", "active on many days", "active on few days"),
    "monetary": ("value", "high spend", "low spend"),
    "evening_share": ("hour", "evening", "daytime"),
    "tenure_days": ("tenure", "long-standing", "newly joined"),
}
"""Feature: theme, words when it is high, words when it is low. Two features of a theme say the same thing."""
PROFILE = ["segment", "n", "share", "jaccard", "low", "high", "reached", "named"]


@dataclass(frozen=True, repr=False)
class Segments(Result):
    """Behavioural segments with their stability.

    Attributes
    ----------
    n, silent, new : int
        Members grouped, those without an action in the window, and those who joined during it.
    window_days : int
        Days whose behaviour is looked at.
    active : int
        Members who could be grouped: `n` of them were, and more where those are a sample.
    problem : str
        Why there are no segments; empty otherwise.
    table : pandas.DataFrame
        member_id and segment (name) of every member grouped.
    profile : pandas.DataFrame
        One row per segment, largest first: segment, n, share, jaccard, low, high (of the Jaccard similarity
        over resamples), reached (share of resamples whose Jaccard similarity is at least that of a stable
        segment), named.
    """

    n: int
    silent: int
    new: int
    window_days: int
    active: int = 0
    problem: str = ""
    table: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=["member_id", "segment"]))
    profile: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=PROFILE))

    @property
    def stability(self) -> Estimate:
        """Mean Jaccard similarity of the least stable named segment, with its range over resamples.

        Unknown when no segment is named.
        """
        named, confidence = self.profile[self.profile["named"].astype(bool)], self.study.confidence
        if named.empty:
            return unknown(self.n, "index", confidence)
        mean, low, high = named.sort_values("jaccard")[["jaccard", "low", "high"]].iloc[0].astype(float)
        # one lost resample of many can pull the mean below the range of the rest
        low, high = min(low, mean), max(high, mean)
        return Estimate(mean, low, high, self.n, "index", STABILITY_METHOD, confidence)

    @property
    def smallest(self) -> int:
        """Members grouped."""
        return self.n

    @property
    def sentence(self) -> str:
        """Which segments there are and whether they can be relied upon, in plain words."""
        if self.problem:
            return say("There are no behavioural segments: {problem}.", problem=self.problem)
        named = self.profile[self.profile["named"] & (self.profile["n"] >= self.study.k_min)]
        told = [
            say("“{name}” ({share})", name=row["segment"], share=percent(row["share"]))
            for row in named.to_dict("records")
        ]
        text = "{n:,} active members fall into {k} groups of like behaviour;"
        if self.active > self.n:
            text = "A random sample of {n:,} of {active:,} active members falls into {k} groups of like behaviour;"
        if told:
            text += "\nclearer than in a cloud without groups and back in {least} of the resamples: {names}."
        else:
            text += "\nnone is named, as it is no clearer than in a cloud without groups or seldom back in resamples."
        least, names = percent(LEAST_REACHED, 0), ", ".join(told)
        return say(text, n=self.n, active=self.active, k=len(self.profile), least=least, names=names)

    def tables(self) -> Iterator[Table]:
        """Yield the profile."""
        caption = say("Groups of like behaviour, {scope}", scope=self.study.scope)
        text = "Not grouped are {silent} silent members, and {new} who joined during the {days} days."
        if self.active > self.n:
            text = (
                "Of {active:,} active members {n:,} were drawn at random and grouped; the rest were not drawn. Not "
                "grouped are also {silent} silent members, and {new} who joined during the {days} days."
            )
        silent, new = (people(n, self.study.k_min) for n in (self.silent, self.new))
        note = say(text, silent=silent, new=new, days=self.window_days, active=self.active, n=self.n)
        units = {"share": "share", "reached": "share"}
        yield Table("segments", self.profile, caption, units, note, "n")

    def findings(self) -> Iterator[Finding]:
        """Yield the stability of the least stable named segment."""
        yield finding(
            self.stability, id="rfm.segment_stability", metric=say("stability of the least stable named segment"),
            scope=say("{scope}, {days} days", scope=self.study.scope, days=self.window_days),
            sentence=self.sentence, direction="up is good", systems=("S007",),
            assumption=say("k-means on scaled behaviour; a segment is a description, not a cause"),
            headline=say("{n} groups of like behaviour come back", n=int(self.profile["named"].sum())),
            definition="stability", picture="segments",
        )  # fmt: skip

    def figure(self) -> Chart | NoChart:
        """Draw how well each segment is found again in resamples."""
        rows = self.profile[["segment", "n", "jaccard", "low", "high"]].iloc[::-1].reset_index(drop=True)
        if rows.empty:
            return NoChart(say("Groups of like behaviour"), self.sentence, "segments")
        limit, named = threshold("segments.stability").value, int(self.profile["named"].sum())
        title = say("{named} of {k} groups come back often enough for a name", named=named, k=len(rows))
        label = say("Likeness with its match in resamples; named from {limit} on", limit=limit)
        values = rows.rename(columns={"jaccard": "value"})
        figure = plots.intervals(rows["segment"].tolist(), values, label, float(limit))
        kind = say("Likeness of each group with its match in resamples, with its range")
        return self.drawn("segments", kind, title, rows, figure, members="n")


def segment_members(study: Study, window_days: int) -> Segments:
    """Group the members who were there and active in a window by behaviour, and test whether the groups are real.

    With fewer than `enough.GROUPED` active members, or fewer than two features that vary, `problem` says so.
    """
    rows = _in_window(study, window_days)
    active = int(rows.member_id.nunique(where=rows.hit).execute())
    frame = behavioural_features(study, window_days, min(FIT_LIMIT / max(active, 1), 1.0))
    since = study.present.joined_day > ibis.date(study.as_of - dt.timedelta(days=window_days))
    everyone, new = study.present.aggregate(all=_.count(), new=since.sum()).execute().iloc[0]
    found = grouped(study, frame, int(everyone - new) - active, int(new), window_days)
    return replace(found, active=active)


def _in_window(study: Study, window_days: int) -> ibis.Table:
    """Return what the members did in a window who were there for all of it; `hit` tells actions from other value."""
    require_columns(study.activity, ["ts", "kind", "action", "value"], "activity")
    start = study.as_of - dt.timedelta(days=window_days)
    people = study.present.filter(_.joined_day <= ibis.date(start))
    rows = study.activity.filter(_.day > start, _.day <= study.as_of)
    return rows.semi_join(people, "member_id").mutate(hit=_.kind.isin(ACTIONS))


def behavioural_features(study: Study, window_days: int, share: float = 1.0) -> pd.DataFrame:
    """Compute the behavioural features of the members who were there for a whole window and did something in it.

    Parameters
    ----------
    study, window_days
        As of :func:`segment_members`.
    share : float
        Share of the members, drawn by a hash of their ids.

    Returns
    -------
    pandas.DataFrame
        member_id, by which rows are ordered, and one column per feature, all float64: recency_days (days since the
        last action), frequency (actions), active_days (days), monetary (unit of the value), evening_share (of the
        actions), tenure_days (days since joining) and share_<action> (of the actions) for the most common actions,
        until there are eight.
    """
    last, rows = study.as_of, _in_window(study, window_days)
    common = rows.filter(rows.hit).group_by("action").aggregate(n=_.count())
    actions = common.order_by([common.n.desc(), common.action]).limit(MOST_FEATURES - 6).execute()["action"]
    rows = of_sample(rows, share, study.seed)
    shares = {f"share_{action}": (rows.action == action).mean(where=rows.hit) for action in actions}
    rows = rows.mutate(evening=local_time(rows.ts, study.report_tz).hour() >= EVENING)
    found = rows.group_by("member_id").aggregate(
        last_day=rows.day.max(where=rows.hit), frequency=rows.count(where=rows.hit),
        active_days=rows.day.nunique(where=rows.hit), monetary=rounded(rows["value"].sum(), VALUE_DECIMALS),
        evening_share=rows.evening.mean(where=rows.hit), **shares,
    )  # fmt: skip
    found = found.filter(found.frequency > 0).inner_join(study.present, "member_id")
    measured = {
        "recency_days": ibis.date(last).delta(found.last_day, unit="day"),
        **{name: found[name] for name in ("frequency", "active_days", "monetary", "evening_share")},
        "tenure_days": ibis.date(last).delta(found.joined_day, unit="day"),
    }
    measured |= {name: found[name] for name in shares}
    numbers = {name: column.cast("float64") for name, column in measured.items()}
    return found.select("member_id", **numbers).to_pandas().sort_values("member_id", ignore_index=True)


def grouped(study: Study, frame: pd.DataFrame, silent: int, new: int, window_days: int) -> Segments:
    """Group members by their features, as made by :func:`behavioural_features`."""
    nothing = Segments(study, len(frame), silent, new, window_days)
    if len(frame) < enough.GROUPED:
        text = "too little data, {n} active members of at least {least} needed"
        return replace(nothing, problem=say(text, n=people(len(frame), study.k_min), least=enough.GROUPED))
    features = scaled(frame.drop(columns="member_id"))
    points = features.to_numpy()
    if features.shape[1] < 2 or len(np.unique(points, axis=0)) < 4:
        return replace(nothing, problem=say("too few features vary between members"))
    found = cluster(points, study.seed)
    profile = _profile(found, points, features.columns.tolist(), study.confidence)
    labels = pairwise_distances_argmin(points, found.centres)
    sizes = np.bincount(labels, minlength=len(profile))
    table = frame[["member_id"]].assign(segment=profile["segment"].to_numpy()[labels])
    profile = profile.assign(n=sizes, share=sizes / sizes.sum())[PROFILE]
    return replace(nothing, table=table, profile=profile)


def scaled(features: pd.DataFrame) -> pd.DataFrame:
    """Return those features that differ between members, scaled."""
    columns = {}
    for name in map(str, features):
        plain = features[name].to_numpy(float)
        if "share" not in name.split("_"):
            plain = np.sign(plain) * np.log1p(np.abs(plain))
        low, centre, high = np.quantile(plain, [0.25, 0.5, 0.75])
        # most members have no spend: the range between quartiles is 0 there and the deviation is not
        spread = (high - low) / 1.349 if high - low > 1e-9 else float(plain.std())
        if spread > 1e-9:
            columns[name] = np.clip((plain - centre) / spread, -CUT, CUT)
    return pd.DataFrame(columns)


def _profile(found: Clustering, points: FloatArray, features: list[str], confidence: float) -> pd.DataFrame:
    """Return how sure each segment is and its name: stable ones of a real structure get one."""
    limit = threshold("segments.stability").value
    bounds = np.array([percentile_interval(column, confidence) for column in found.jaccard.T])
    profile = pd.DataFrame(bounds, columns=["low", "high"]).assign(jaccard=np.nanmean(found.jaccard, axis=0))
    # A resample that drew no member of a segment did not find it again.
    profile["reached"] = np.mean(found.jaccard >= limit, axis=0)
    stable = (profile["jaccard"] >= limit) & (profile["reached"] >= LEAST_REACHED)
    profile["named"] = stable & found.structured
    means = [points[found.labels == place].mean(axis=0) for place in range(len(profile))]
    names = segment_names(features, [(own - points.mean(axis=0)) / points.std(axis=0) for own in means])
    unnamed = [say("segment {i} (not named)", i=place + 1) for place in range(len(profile))]
    profile["segment"] = np.where(profile["named"], names, unnamed)
    return profile


def segment_names(features: Sequence[str], deviations: Sequence[FloatArray]) -> list[str]:
    """Return one name per segment, such as ``"frequent, low spend"``; names are different from each other.

    Parameters
    ----------
    features : sequence of str
        Names of the features.
    deviations : sequence of ndarray, shape (features,)
        Distance of each segment's mean from that of all members, in standard deviations.

    Notes
    -----
    A name has two features; a number tells segments apart that would share one.
    """
    names = [say("{names}", names=", ".join(_phrases(features, each)[:2])) for each in deviations]
    return [name if names.count(name) == 1 else f"{name} ({i})" for i, name in enumerate(names, start=1)]


def _phrases(features: Sequence[str], deviations: FloatArray) -> list[str]:
    """Return the words of the features by distance from all members, one per theme."""
    phrases: dict[str, str] = {}
    for place in np.argsort(-np.abs(deviations), kind="stable"):
        feature = features[place]
        action = feature.removeprefix("share_").replace("_", " ")
        theme, high, low = WORDS.get(feature, (feature, "much {action}", "little {action}"))
        phrases.setdefault(theme, say(high if deviations[place] > 0 else low, action=action))
    return list(phrases.values())
