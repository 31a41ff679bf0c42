"""Behavioural segments: planted blobs come back with names, a cloud without groups gets none."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import adjusted_rand_score, jaccard_score

from helpers.errors import BadData
from helpers.methods.rfm import clustering, segments
from helpers.methods.rfm.clustering import clouds, stability
from helpers.methods.rfm.segments import behavioural_features, segment_members, segment_names
from helpers.stats.estimate import percentile_interval
from helpers.study import Study
from tests.planted_chains import asked


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer clusters are tried and fewer resamples drawn than in a report."""
    monkeypatch.setattr(clustering, "MOST_CLUSTERS", 4)
    monkeypatch.setattr(clustering, "RESAMPLES", 20)


def group(frame: pd.DataFrame, silent: int = 0, seed: int = 0) -> segments.Segments:
    """Group members by ready-made features; columns named share are not logged."""
    ids = [f"m{i:06d}" for i in range(len(frame))]
    return segments.grouped(asked(seed=seed), frame.astype(float).assign(member_id=ids), silent, 0, 90)


def blobs(n: int, seed: int) -> tuple[pd.DataFrame, np.ndarray]:
    """Three kinds of members: daytime commenters, frequent evening spenders, quiet mixed ones."""
    rng = np.random.default_rng(seed)
    kind = rng.integers(0, 3, n)
    centre = np.array([[3.0, 0.2, 0.8, 0.2], [5.5, 0.8, 0.1, 4.0], [1.0, 0.5, 0.3, 0.2]])[kind]
    spread = rng.normal(size=(n, 4)) * [0.3, 0.06, 0.06, 0.1]
    values = centre + spread
    frame = pd.DataFrame(
        {
            "frequency": np.exp(values[:, 0]),
            "evening_share": np.clip(values[:, 1], 0, 1),
            "share_comment": np.clip(values[:, 2], 0, 1),
            "monetary": np.expm1(np.clip(values[:, 3], 0, None)),
        }
    )
    return frame, kind


def cloud(n: int, correlation: float, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    covariance = np.full((4, 4), correlation) + np.eye(4) * (1 - correlation)
    points = rng.multivariate_normal(np.zeros(4), covariance, n)
    return pd.DataFrame(points, columns=[f"share_{name}" for name in "abcd"])


def test_planted_groups_come_back_with_names():
    frame, kind = blobs(1500, seed=1)
    found = group(frame, silent=40)
    table = found.table
    assert len(found.profile) == 3
    assert adjusted_rand_score(kind, table["segment"]) > 0.97  # measured 1.00
    assert found.profile["named"].all() and found.profile["jaccard"].min() > 0.95
    assert found.profile["n"].sum() == found.n == 1500
    assert found.profile["n"].is_monotonic_decreasing
    assert found.profile["n"].tolist() == table["segment"].value_counts()[found.profile["segment"]].tolist()
    assert any({"high spend", "frequent"} & set(name.split(", ")) for name in found.profile["segment"])
    assert found.profile["segment"].is_unique
    assert "Not grouped are 40 silent members" in next(found.tables()).note and "“" in found.sentence
    assert (found.profile["reached"] == 1).all()
    least = found.profile["jaccard"].min()
    assert found.stability.value == least and found.stability.low <= least <= found.stability.high


def test_a_segment_lost_in_a_quarter_of_the_resamples_has_no_name(monkeypatch):
    """A good mean is not enough: the first segment is lost in 10 of 40 resamples, the second in 6."""
    jaccard = np.ones((20, 3))
    jaccard[:5, 0], jaccard[:, 1], jaccard[:3, 1] = 0.6, 0.9, [0.5, np.nan, 0.7]
    jaccard = np.vstack([jaccard, jaccard])
    fit = segments.cluster
    monkeypatch.setattr(segments, "cluster", lambda *a, **k: fit(*a, **k)._replace(jaccard=jaccard))
    frame, _ = blobs(600, seed=2)
    found = group(frame)
    assert found.profile["reached"].tolist() == [0.75, 0.85, 1.0]
    assert found.profile["named"].tolist() == [False, True, True]
    mean = (17 * 0.9 + 0.5 + 0.7) / 19
    (held,) = found.found()
    assert held.value == pytest.approx(mean) and (held.n, held.unit) == (600, "index")
    drawn = np.repeat([0.5, 0.7, 0.9], [2, 2, 34])
    assert (held.low, held.high) == pytest.approx(percentile_interval(drawn))
    assert held.provenance.method == "clusterwise Jaccard over resamples (Hennig 2007)"
    assert held.sentence.count("“") == 2 and held.headline == "2 groups of like behaviour come back"
    assert found.figure().title == "2 of 3 groups come back often enough for a name"


def test_without_a_named_segment_there_is_no_stability(monkeypatch):
    fit = segments.cluster
    lost = np.tile([1.0, 1.0, 1.0, 0.5], 5)[:, None] * np.ones(3)
    monkeypatch.setattr(segments, "cluster", lambda *a, **k: fit(*a, **k)._replace(jaccard=lost))
    frame, _ = blobs(600, seed=2)
    found = group(frame)
    (held,) = found.found()
    assert not found.profile["named"].any()
    assert (held.verdict, held.value, held.n) == ("too little data", None, 600)
    assert "none is named" in held.sentence


def uniform(n: int, seed: int) -> pd.DataFrame:
    return pd.DataFrame(np.random.default_rng(seed).random((n, 3)), columns=["share_a", "share_b", "share_c"])


def skewed(n: int, seed: int) -> pd.DataFrame:
    """Counts, spend with many zeros and days, correlated through one cloud."""
    covariance = np.full((4, 4), 0.4) + 0.6 * np.eye(4)
    z = np.random.default_rng(seed).multivariate_normal(np.zeros(4), covariance, n)
    return pd.DataFrame(
        {
            "frequency": np.exp(1 + z[:, 0]).round(),
            "monetary": np.where(z[:, 1] > 0.5, np.exp(3 + z[:, 1]), 0),
            "recency_days": np.exp(2 - z[:, 2]).round(),
            "evening_share": 1 / (1 + np.exp(-z[:, 3])),
        }
    )


CLOUDS = {
    "Gaussian": lambda n, seed: cloud(n, 0.0, seed),
    "Gaussian, correlation 0.8": lambda n, seed: cloud(n, 0.8, seed),
    "uniform": uniform,
    "skewed, zeros, correlated": skewed,
}


@pytest.mark.parametrize("name", CLOUDS)
def test_a_single_cloud_gets_no_names(name: str):
    """Correlated: two stable halves (Jaccard 0.96) that no silhouette sets apart from a cloud's."""
    found = group(CLOUDS[name](500, 4))
    assert not found.profile["named"].any()
    assert found.profile["segment"].str.contains("not named").all()
    assert "none is named" in found.sentence
    (held,) = found.found()
    assert (held.verdict, held.value, held.n) == ("too little data", None, 500)


@pytest.mark.slow
@pytest.mark.parametrize("name", CLOUDS)
def test_clouds_are_seldom_named(name: str):
    """Measured over 40 clouds of 500 members each: 0, 0, 1 and 0 got a name; 1 in 20 is the level."""
    named = [group(CLOUDS[name](500, seed), seed=seed).profile["named"].any() for seed in range(40)]
    assert np.mean(named) <= 0.15


def test_clouds_keep_distributions_and_correlations():
    rng = np.random.default_rng(11)
    z = rng.multivariate_normal([0, 0], [[1, 0.6], [0.6, 1]], 3000)
    points = np.column_stack([np.maximum(z[:, 0], 0.4), np.exp(z[:, 1])])
    drawn = np.vstack(list(clouds(points, size=3000, seed=1)))
    assert np.corrcoef(drawn, rowvar=False)[0, 1] == pytest.approx(
        np.corrcoef(points, rowvar=False)[0, 1], abs=0.03
    )
    assert (drawn[:, 0] == 0.4).mean() == pytest.approx((points[:, 0] == 0.4).mean(), abs=0.02)
    np.testing.assert_allclose(np.quantile(drawn, 0.9, axis=0), np.quantile(points, 0.9, axis=0), rtol=0.05)


def test_jaccard_equals_that_of_scikit_learn(monkeypatch):
    """One resample by hand: same generator, same fit, similarities by an independent implementation."""
    from sklearn.cluster import KMeans

    monkeypatch.setattr(clustering, "RESAMPLES", 1)
    rng = np.random.default_rng(5)
    points = np.vstack([rng.normal(size=(60, 2)), rng.normal(size=(60, 2)) + 2.5])
    labels = np.repeat([0, 1], 60)
    jaccard = stability(points, labels, 2, seed=9)
    rows = np.random.default_rng([9, 2]).integers(0, 120, 120)
    fit = KMeans(n_clusters=2, n_init=3, random_state=9).fit(points[rows])
    drawn = np.unique(rows)
    new = fit.predict(points)
    for cluster in (0, 1):
        pairs = [jaccard_score(labels[drawn] == cluster, new[drawn] == other) for other in (0, 1)]
        assert jaccard[0, cluster] == pytest.approx(max(pairs))


@pytest.mark.parametrize("size", [0, 1, 99])
def test_few_members_are_too_little_data(size: int):
    frame, _ = blobs(100, seed=7)
    found = group(frame.iloc[:size])
    assert found.table.empty and found.profile.empty
    (held,) = segments.Segments.findings(found)
    assert not found.stability.known and held.n == size
    few = "fewer than 10" if 0 < size < 10 else str(size)
    assert f"too little data, {few} active members" in found.sentence


def test_features_that_do_not_vary():
    frame, _ = blobs(200, seed=8)
    assert list(segments.scaled(frame.assign(evening_share=0.5))) == [
        "frequency",
        "share_comment",
        "monetary",
    ]
    assert "too few features vary" in group(frame * 0 + 1).sentence


@pytest.mark.filterwarnings("error")
def test_hardly_any_different_members():
    """Two flags and a feature in which one member differs: no warning, no crash, no name."""
    rng = np.random.default_rng(12)
    flags = pd.DataFrame(rng.integers(0, 2, (300, 2)), columns=["share_a", "share_b"])
    found = group(flags.assign(monetary=np.r_[900.0, np.zeros(299)]))
    assert not found.problem and not found.profile["named"].any()


def test_names_are_plain_and_different():
    names = ["frequency", "active_days", "monetary", "share_live_chat"]
    first, second = np.array([2.0, 1.9, -1.0, 0.1]), np.array([2.0, 1.9, -1.0, -0.5])
    assert segment_names(names, [first]) == ["frequent, low spend"]  # active days say the same as frequency
    assert segment_names(names, [first, second]) == ["frequent, low spend (1)", "frequent, low spend (2)"]
    assert segment_names(names[::-1], [-second[::-1]]) == ["infrequent, high spend"]


# --- features ----------------------------------------------------------------------------------------

AS_OF = dt.date(2026, 6, 30)


def activity(*rows) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["member_id", "ts", "kind", "action", "value"])
    ts = pd.to_datetime(frame["ts"], format="ISO8601")
    return frame.assign(ts=ts, day=(ts + pd.Timedelta(hours=8)).dt.date)


PEOPLE = pd.DataFrame(
    {"member_id": ["a", "b", "c"], "joined_day": [dt.date(2026, 1, 1)] * 3, "left_day": [None] * 3}
)
ROWS = activity(
    ("a", "2026-06-29T12:00", "interaction", "like", 0.0),  # 20:00 in Shanghai
    ("a", "2026-06-29T16:30", "interaction", "comment", 0.0),  # 00:30 of the 30th
    ("a", "2026-06-28T01:00", "order", "goods", 25.0),
    ("a", "2026-06-27T01:00", "weighted", "view", 2.0),  # value, but no action
    ("a", "2026-05-01T01:00", "interaction", "like", 9.0),  # before the window
    ("b", "2026-06-27T01:00", "weighted", "view", 2.0),
    ("c", "2026-06-10T10:30", "interaction", "like", 0.0),
    ("stranger", "2026-06-10T10:30", "interaction", "like", 0.0),
)


def test_features_by_hand():
    study = Study.of({"activity": ROWS, "population": PEOPLE}, AS_OF)
    found = behavioural_features(study, 30)
    assert found["member_id"].tolist() == ["a", "c"] and len(found.columns) == 1 + 8
    expected = {
        "recency_days": 0,
        "frequency": 3,
        "active_days": 3,
        "monetary": 27,
        "evening_share": 1 / 3,
        "tenure_days": 180,
        "share_like": 1 / 3,
        "share_comment": 1 / 3,
    }
    assert found.iloc[0][list(expected)].to_dict() == pytest.approx(expected)
    few = segment_members(study, 30)
    assert few.silent == 1 and "too little data, fewer than 10 active members" in few.sentence


def test_who_joined_during_the_window_is_counted_and_not_grouped():
    """Their counts are of fewer days: together they would be a group of their own."""
    people = PEOPLE.assign(joined_day=[dt.date(2026, 1, 1), dt.date(2026, 5, 31), dt.date(2026, 6, 9)])
    study = Study.of({"activity": ROWS, "population": people}, AS_OF)
    assert behavioural_features(study, 30)["member_id"].tolist() == ["a"]
    found = segment_members(study, 30)
    assert (found.n, found.silent, found.new) == (1, 1, 1)


def test_of_many_members_a_sample_is_grouped_and_the_page_says_so(monkeypatch):
    monkeypatch.setattr(segments, "FIT_LIMIT", 200)
    days = pd.date_range("2026-06-05", periods=24)
    rows = [
        (f"m{i:03d}", f"{day:%Y-%m-%d}T{6 if i % 2 else 12:02d}:00", "interaction", "like", 0.0)
        for i in range(600)
        for day in days[: 2 + i % 3 if i % 2 else 20 + i % 3]
    ]
    ids = [f"m{i:03d}" for i in range(600)]
    people = pd.DataFrame({"member_id": ids, "joined_day": dt.date(2026, 1, 1), "left_day": None})
    found = segment_members(Study.of({"activity": activity(*rows), "population": people}, AS_OF), 30)
    assert 150 < found.n < 250 and found.active == 600 and found.silent == 0
    assert found.profile["n"].sum() == len(found.table) == found.n == found.stability.n
    assert f"A random sample of {found.n} of 600 active members falls into" in found.sentence
    assert f"Of 600 active members {found.n} were drawn at random" in next(found.tables()).note


def test_missing_columns_are_named():
    study = Study.of({"activity": ROWS.drop(columns="action"), "population": PEOPLE}, AS_OF)
    with pytest.raises(BadData, match="activity: column action missing"):
        behavioural_features(study, 30)
