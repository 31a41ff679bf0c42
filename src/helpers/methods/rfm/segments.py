"""Behavioural segments that carry a name only when they come back in resamples.

Features are log1p-scaled unless they are shares, centred by the median, divided by the interquartile range and
cut at 3 robust deviations; k-means takes the number of clusters of highest silhouette. A segment gets a name when
the clusters are clearer than those of clouds without groups, its mean Jaccard similarity over resamples reaches
threshold ``segments.stability`` and so does that of `LEAST_REACHED` of the resamples, since a good mean may hide
resamples in which the segment is lost. Below `UNSTABLE` it is no cluster at all. The guards are in
:mod:`helpers.methods.rfm.clustering`.

Time is bounded whatever the number of members: k-means fits at most `FIT_LIMIT` members (every n-th by id),
silhouettes and resamples use fewer. All members are then assigned to the nearest centre inside the engine.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import ibis
import numpy as np
import pandas as pd

from helpers.checks import check_confidence, check_scalar
from helpers.methods.rfm.clustering import Clustering, FloatArray, Labels, cluster
from helpers.methods.rfm.features import Features
from helpers.methods.rfm.segment_names import segment_names
from helpers.playbook.thresholds import threshold
from helpers.sentences import number, percent, say, with_interval
from helpers.stats.estimate import Estimate, percentile_interval, unknown

MINIMUM_MEMBERS = 100
FIT_LIMIT = 10_000
UNSTABLE = 0.6
LEAST_REACHED = 0.8
STABILITY_METHOD = "clusterwise Jaccard over resamples (Hennig 2007)"
CUT = 3.0


class Scaling(NamedTuple):
    """How one feature is scaled: ``clip((f(x) - centre) / spread, -3, 3)``, f a signed log1p or nothing."""

    feature: str
    log: bool
    centre: float
    spread: float


@dataclass(frozen=True)
class Segments:
    """Behavioural segments with their stability.

    Attributes
    ----------
    table : ibis.Table or None
        member_id and segment (name) for every active member; None with too little data.
    profile : pandas.DataFrame
        One row per segment, largest first: segment, n, share, jaccard, low, high (of the Jaccard similarity
        over resamples), reached (share of resamples whose Jaccard similarity is at least that of a stable
        segment), status by the mean (stable, doubtful or unstable), named.
    centres : pandas.DataFrame
        One row per segment and feature: segment, feature, mean (of the fitted members, in the feature's unit),
        overall (the same of all), deviations (from all, in standard deviations of the scaled feature).
    selection : pandas.DataFrame
        One row per number of clusters tried: clusters, silhouette, chosen.
    agreement : Estimate
        Adjusted Rand index between the segments and those of a resample: mean and range over resamples.
    silhouette, null_silhouette : float
        Of the chosen clusters, and the highest of the clouds without groups.
    members, silent, fitted : int
        Active members, members without an action in the window, and members used to fit.
    unused : tuple of str
        Features that are the same for everybody.
    problem : str
        Why there are no segments; empty otherwise.
    """

    table: ibis.Table | None
    profile: pd.DataFrame
    centres: pd.DataFrame
    selection: pd.DataFrame
    agreement: Estimate
    silhouette: float
    null_silhouette: float
    members: int
    silent: int
    fitted: int
    unused: tuple[str, ...]
    problem: str

    @property
    def structured(self) -> bool:
        """Whether the members fall into clusters more clearly than a cloud without any."""
        return bool(self.silhouette > self.null_silhouette)

    @property
    def stability(self) -> Estimate:
        """Mean Jaccard similarity of the least stable named segment, with its range over resamples.

        Unknown when no segment is named.
        """
        named = self.profile[self.profile.named.astype(bool)]
        if not self.structured or named.empty:
            return unknown(self.members, "index", self.agreement.confidence)
        mean, low, high = (float(named.sort_values("jaccard")[c].iloc[0]) for c in ("jaccard", "low", "high"))
        # one lost resample of many can pull the mean below the range of the rest
        low, high = min(low, mean), max(high, mean)
        return Estimate(mean, low, high, self.members, "index", STABILITY_METHOD, self.agreement.confidence)

    @property
    def sentence(self) -> str:
        """Which segments there are and whether they can be relied upon, in plain words."""
        if self.problem:
            return say("There are no behavioural segments: {problem}.", problem=self.problem)
        named = self.profile[self.profile.named]
        text = say(
            "{n:,} active members fall into {k} behavioural groups ({silent:,} silent members have no behaviour to "
            "group). Groups of resampled members agree with them by an adjusted Rand index of {ari}.",
            n=self.members,
            k=len(self.profile),
            silent=self.silent,
            ari=with_interval(self.agreement._replace(unit="")),
        )
        if not self.structured:
            text += " " + say(
                "They are no clearer than those of a cloud without groups, so none is named and there is no "
                "stability to state."
            )
        elif named.empty:
            text += " " + say(
                "None comes back in {least} of the resamples, so none is named and there is no stability to state.",
                least=percent(LEAST_REACHED, 0),
            )
        else:
            parts = ", ".join(
                f"“{name}” ({percent(share)})" for name, share in zip(named.segment, named.share, strict=True)
            )
            text += " " + say("Stable: {parts}.", parts=parts)
            held = self.stability
            text += " " + say(
                "The least stable of them agrees with its match in resamples by a Jaccard similarity of {mean} on "
                "average ({low} to {high} over resamples).",
                mean=number(held.value),
                low=number(held.low),
                high=number(held.high),
            )
            if len(named) < len(self.profile):
                text += " " + say("{n} unstable, not named.", n=len(self.profile) - len(named))
        return text


def _plain(values: FloatArray, log: bool) -> FloatArray:
    return np.sign(values) * np.log1p(np.abs(values)) if log else values


def scalings(frame: pd.DataFrame, names: tuple[str, ...]) -> list[Scaling]:
    """Return how to scale each feature that is not the same for everybody."""
    found = []
    for name in names:
        log = "share" not in name.split("_")
        value = _plain(frame[name].to_numpy(float), log)
        low, centre, high = np.quantile(value, [0.25, 0.5, 0.75])
        # most members have no spend: the range between quartiles is 0 there and the deviation is not
        spread = (high - low) / 1.349 if high - low > 1e-9 else float(value.std())
        if spread > 1e-9:
            found.append(Scaling(name, log, float(centre), float(spread)))
    return found


def _scaled(frame: pd.DataFrame, rules: list[Scaling]) -> FloatArray:
    columns = [(_plain(frame[r.feature].to_numpy(float), r.log) - r.centre) / r.spread for r in rules]
    return np.clip(np.column_stack(columns), -CUT, CUT)


def _sample(table: ibis.Table, names: tuple[str, ...], members: int) -> pd.DataFrame:
    """Fetch every n-th member by id, so that neither engine nor row order changes who is fitted."""
    step = -(-members // FIT_LIMIT)
    columns = table.select("member_id", *names)
    if step > 1:
        columns = columns.mutate(place=ibis.row_number().over(ibis.window(order_by=columns.member_id)))
        columns = columns.filter(columns.place % step == 0)
    return columns.execute().sort_values("member_id", ignore_index=True)


def _assign(table: ibis.Table, rules: list[Scaling], centres: FloatArray, names: list[str]) -> ibis.Table:
    """Return member_id and segment of the nearest centre, as one expression of the engine."""

    def scaled(rule: Scaling) -> ibis.Value:
        value = table[rule.feature]
        plain = value.sign() * (value.abs() + 1).ln() if rule.log else value
        return ((plain - rule.centre) / rule.spread).clip(-CUT, CUT)

    points = table.select("member_id", **{f"x{i}": scaled(rule) for i, rule in enumerate(rules)})
    distances = {
        f"d{k}": sum((points[f"x{i}"] - float(c)) ** 2 for i, c in enumerate(centre))
        for k, centre in enumerate(centres)
    }
    far = points.select("member_id", **distances)
    nearest = ibis.least(*(far[f"d{k}"] for k in range(len(centres))))
    cases = [(far[f"d{k}"] == nearest, name) for k, name in enumerate(names)]
    return far.select("member_id", segment=ibis.cases(*cases, else_=names[-1]))


def _nothing(problem: str, features: Features, confidence: float, unused: tuple[str, ...] = ()) -> Segments:
    frames = (
        ["segment", "n", "share", "jaccard", "low", "high", "reached", "status", "named"],
        ["segment", "feature", "mean", "overall", "deviations"],
        ["clusters", "silhouette", "chosen"],
    )
    profile, centres, selection = (pd.DataFrame(columns=columns) for columns in frames)
    agreement = unknown(features.members, "index", confidence)
    nan = float("nan")
    counts = (features.members, features.silent, 0)
    return Segments(None, profile, centres, selection, agreement, nan, nan, *counts, unused, problem)


def segment_members(
    features: Features,
    *,
    maximum: int = 6,
    resamples: int = 50,
    confidence: float = 0.95,
    seed: int = 0,
) -> Segments:
    """Group active members by behaviour and test whether the groups are real.

    Parameters
    ----------
    features : Features
        As returned by :func:`helpers.methods.rfm.features.behavioural_features`.
    maximum : int
        Largest number of segments to try; the smallest is 2.
    resamples : int
        Bootstrap resamples for the stability.
    confidence : float
        Width of the reported ranges over resamples.
    seed : int
        Seed of starts, clouds and resamples.

    Returns
    -------
    Segments
        With `problem` set when there are fewer than 100 active members or fewer than two features vary.
    """
    check_confidence(confidence)
    check_scalar(maximum, "maximum", type_=int, ge=2, le=12)
    check_scalar(resamples, "resamples", type_=int, ge=20)
    if features.members < MINIMUM_MEMBERS:
        reason = say("too little data, {n:,} active members of at least 100 needed", n=features.members)
        return _nothing(reason, features, confidence)
    frame = _sample(features.table, features.names, features.members)
    rules = scalings(frame, features.names)
    unused = tuple(name for name in features.names if name not in {r.feature for r in rules})
    points = _scaled(frame, rules) if len(rules) > 1 else np.empty((0, 0))
    if len(rules) < 2 or len(np.unique(points, axis=0)) < 4:
        return _nothing(say("too few features vary between members"), features, confidence, unused)
    found = cluster(points, maximum=maximum, resamples=resamples, seed=seed)
    names, status, named = _names(found, points, rules)
    table = _assign(features.table, rules, found.centres, names)
    low, high = percentile_interval(found.rand, confidence)
    mean = float(found.rand.mean())
    return Segments(
        table=table,
        profile=_profile(table, names, found.jaccard, confidence).assign(status=status, named=named),
        centres=_centres(frame, points, found.labels, rules, names),
        selection=found.selection,
        agreement=Estimate(mean, low, high, features.members, "index", "range over resamples", confidence),
        silhouette=found.silhouette,
        null_silhouette=found.null_silhouette,
        members=features.members,
        silent=features.silent,
        fitted=len(frame),
        unused=unused,
        problem="",
    )


def _deviations(points: FloatArray, labels: Labels, place: int) -> FloatArray:
    return (points[labels == place].mean(axis=0) - points.mean(axis=0)) / points.std(axis=0)


def _names(
    found: Clustering, points: FloatArray, rules: list[Scaling]
) -> tuple[list[str], list[str], list[bool]]:
    """Return label, status and whether named of every segment: stable ones of a real structure get a name."""
    means = np.nanmean(found.jaccard, axis=0)
    limit = threshold("segments.stability").value
    status = ["stable" if m >= limit else "doubtful" if m >= UNSTABLE else "unstable" for m in means]
    deviations = [_deviations(points, found.labels, place) for place in range(len(means))]
    wording = segment_names([r.feature for r in rules], deviations)
    structured = found.silhouette > found.null_silhouette
    often = _reached(found.jaccard) >= LEAST_REACHED
    named = [structured and state == "stable" and bool(o) for state, o in zip(status, often, strict=True)]
    names = [
        name if known else say("segment {i} (not named)", i=i + 1)
        for i, (name, known) in enumerate(zip(wording, named, strict=True))
    ]
    return names, status, named


def _reached(jaccard: FloatArray) -> FloatArray:
    """Return the share of resamples, per segment, whose similarity reaches that of a stable one.

    A resample that drew no member of a segment did not find it again.
    """
    return np.mean(jaccard >= threshold("segments.stability").value, axis=0)


def _profile(table: ibis.Table, names: list[str], jaccard: FloatArray, confidence: float) -> pd.DataFrame:
    sizes = table.group_by("segment").aggregate(n=table.count()).execute().set_index("segment")["n"]
    sizes = sizes.reindex(names, fill_value=0).astype(int)
    bounds = [percentile_interval(column, confidence) for column in jaccard.T]
    return pd.DataFrame(
        {
            "segment": names,
            "n": sizes.to_numpy(),
            "share": sizes.to_numpy() / sizes.sum(),
            "jaccard": np.nanmean(jaccard, axis=0),
            "low": [low for low, _ in bounds],
            "high": [high for _, high in bounds],
            "reached": _reached(jaccard),
        }
    )


def _centres(
    frame: pd.DataFrame, points: FloatArray, labels: Labels, rules: list[Scaling], names: list[str]
) -> pd.DataFrame:
    rows = []
    for place, name in enumerate(names):
        deviations = _deviations(points, labels, place)
        for rule, deviation in zip(rules, deviations, strict=True):
            value = frame[rule.feature]
            mean, overall = value[labels == place].mean(), value.mean()
            rows.append((name, rule.feature, mean, overall, deviation))
    return pd.DataFrame(rows, columns=["segment", "feature", "mean", "overall", "deviations"])
