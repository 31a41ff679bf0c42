"""k-means with the two guards that stand before a segment's name: structure and stability.

* structure: the silhouette must exceed that of every one of `NULL_DRAWS` clouds with the same distribution of each
  feature and the same correlations but no groups (the idea of SigClust, Liu et al. 2008, with a Gaussian copula for
  its Gaussian). k-means cuts any long cloud in two stable halves, and one feature of two humps makes no segment;
* stability: the mean Jaccard similarity of a cluster with its best match over bootstrap resamples (clusterboot,
  Hennig 2007).
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import silhouette_score
from threadpoolctl import threadpool_limits

FloatArray = NDArray[np.float64]
Labels = NDArray[np.int_]

MOST_CLUSTERS = 6
SILHOUETTE_LIMIT = 1_000
RESAMPLE_LIMIT = 2_000
RESAMPLES = 50
STARTS = 5
NULL_DRAWS = 19  # a cloud passes by chance once in 20


class Clustering(NamedTuple):
    """A k-means fit, largest cluster first, with its two guards.

    `jaccard` holds the similarity of each resample and cluster.
    """

    labels: Labels
    centres: FloatArray
    silhouette: float
    null_silhouette: float
    jaccard: FloatArray

    @property
    def structured(self) -> bool:
        """Whether the members fall into clusters more clearly than a cloud without any."""
        return self.silhouette > self.null_silhouette


def cluster(points: FloatArray, seed: int) -> Clustering:
    """Fit, choose and test clusters of scaled points, shape (members, features)."""
    # Sums of several threads differ in the last bits, and so might a label. Fewer different points than clusters are
    # a poor fit, which its silhouette shows.
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        rows = _thin(points, SILHOUETTE_LIMIT, np.random.default_rng(seed))
        most = min(MOST_CLUSTERS, len(np.unique(points, axis=0)) - 1)
        fits = [_k_means(points, k, seed, STARTS) for k in range(2, most + 1)]
        scores = [_silhouette(points[rows], fit.labels_[rows]) for fit in fits]
        fit = fits[int(np.argmax(scores))]
        order = np.argsort(-np.bincount(fit.labels_, minlength=fit.n_clusters), kind="stable")
        labels = np.argsort(order)[fit.labels_]
        null = [
            max(_silhouette(cloud, _k_means(cloud, k, seed, 2).labels_) for k in range(2, most + 1))
            for cloud in clouds(points, size=min(len(points), SILHOUETTE_LIMIT), seed=seed)
        ]
        few = _thin(points, RESAMPLE_LIMIT, np.random.default_rng([seed, 3]))
        jaccard = stability(points[few], labels[few], fit.n_clusters, seed)
    return Clustering(labels, fit.cluster_centers_[order], max(scores), max(null), jaccard)


def _k_means(points: FloatArray, clusters: int, seed: int, starts: int) -> KMeans:
    return KMeans(n_clusters=clusters, n_init=starts, random_state=seed).fit(points)


def _thin(points: FloatArray, limit: int, rng: np.random.Generator) -> NDArray[np.int_]:
    if len(points) <= limit:
        return np.arange(len(points))
    return np.sort(rng.choice(len(points), limit, replace=False))


def _silhouette(points: FloatArray, labels: Labels) -> float:
    few = np.unique(labels).size
    return float(silhouette_score(points, labels)) if 1 < few < len(points) else -1.0


def clouds(points: FloatArray, *, size: int, seed: int) -> Iterator[FloatArray]:
    """Yield samples without groups: the features' own distributions and correlations, and nothing else.

    A Gaussian copula (NORTA, Cario and Nelson 1997). Ties weaken correlation on the way from the normals to the
    features, so the correlation of the normals is raised in three steps until that of the features is met.
    """
    rng = np.random.default_rng([seed, 1])
    ordered, target = np.sort(points, axis=0), np.atleast_2d(np.corrcoef(points, rowvar=False))
    normal = target.copy()
    for _ in range(3):
        with np.errstate(divide="ignore", invalid="ignore"):
            reached = np.corrcoef(_mapped(ordered, normal, 10_000, rng), rowvar=False)
        # a feature that differs for hardly anybody may be the same in the whole draw: nothing to correct there
        reached = np.where(np.isfinite(reached), reached, target)
        values, vectors = np.linalg.eigh(
            np.clip(normal + target - reached, -0.99, 0.99) + 0.01 * np.eye(len(target))
        )
        normal = (vectors * np.maximum(values, 1e-6)) @ vectors.T
        scale = np.sqrt(np.diag(normal))
        normal = normal / np.outer(scale, scale)
    for _ in range(NULL_DRAWS):
        yield _mapped(ordered, normal, size, rng)


def _mapped(ordered: FloatArray, correlation: FloatArray, size: int, rng: np.random.Generator) -> FloatArray:
    """Draw normals of a correlation and map each to the empirical quantiles of its feature."""
    normal = rng.multivariate_normal(
        np.zeros(len(correlation)), correlation, size, method="eigh", check_valid="ignore"
    )
    place = np.minimum((stats.norm.cdf(normal) * len(ordered)).astype(int), len(ordered) - 1)
    return np.take_along_axis(ordered, place, axis=0)


def stability(points: FloatArray, labels: Labels, clusters: int, seed: int) -> FloatArray:
    """Return Jaccard similarities, shape (resamples, clusters).

    Each bootstrap resample is clustered afresh. The similarity of a cluster is that with its best match among the
    points drawn.
    """
    rng = np.random.default_rng([seed, 2])
    jaccard = np.full((RESAMPLES, clusters), np.nan)
    for draw in range(RESAMPLES):
        rows = rng.integers(0, len(points), len(points))
        fit = _k_means(points[rows], clusters, seed + draw, 3)
        drawn, first = np.unique(rows, return_index=True)
        both = np.zeros((clusters, clusters))
        np.add.at(both, (labels[drawn], fit.labels_[first]), 1)
        old, new = both.sum(axis=1, keepdims=True), both.sum(axis=0, keepdims=True)
        with np.errstate(invalid="ignore"):
            jaccard[draw] = (both / (old + new - both)).max(axis=1)
    return jaccard
