"""The product limit and its small-sample limits: closed forms, and measured coverage on planted survival."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from helpers.stats.estimate import wilson
from helpers.stats.survival.limits import product_limit, survival_limits

DAYS = 60
STAYING = {"none": None, "half": 0.5, "heavy": 0.2}
"""Share of members not yet censored on the day looked at; None: nobody is ever censored."""
GRID_N = (20, 50, 200, 2_000)
GRID_S = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95)
JITTER = 0.03
BATCH_ENTRIES = 400_000

Batch = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]


def communities(
    seed: int, n: int, survival: float, censoring: str, size: int, *, jitter: float = 0.0, late: bool = False
) -> Iterator[Batch]:
    """Yield batches of (at risk, exits) of shape (communities, DAYS) and the true survival after the last day.

    Times are exponential and cut to whole days, censoring is uniform. With `late`, half of the members come
    under observation on a uniform day of the first half, and only if they are still there.
    """
    rng = np.random.default_rng(seed)
    while size > 0:
        batch = min(size, max(1, BATCH_ENTRIES // n))
        size -= batch
        truth = np.clip(rng.uniform(survival - jitter, survival + jitter, (batch, 1)), 0.005, 0.995)
        shape = (batch, n)
        entry = np.where(rng.random(shape) < 0.5, rng.integers(0, DAYS // 2, shape), 0) if late else 0
        # A member seen from `entry` on is one who is still there then: the exponential forgets what was.
        exit_day = np.floor(rng.exponential(1, shape) / -np.log(truth) * DAYS) + entry
        last = np.full(shape, DAYS)
        if (staying := STAYING[censoring]) is not None:
            last = np.floor(rng.uniform(0, 1 / (1 - staying), shape) * DAYS) + entry
        end = np.minimum(np.minimum(exit_day, last), DAYS).astype(int)
        left = (exit_day <= last) & (exit_day < DAYS)
        yield *counts(end, left, np.broadcast_to(entry, shape).astype(int)), truth[:, 0]


def counts(
    end: NDArray[np.int64], left: NDArray[np.bool_], entry: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Count members at risk and exits per community (row) and day."""
    rows, width = len(end), DAYS + 1
    offset = np.arange(rows)[:, None] * width

    def table(codes: NDArray[np.int64]) -> NDArray[np.float64]:
        return np.bincount(codes, minlength=rows * width).reshape(rows, width).astype(float)

    gone, came = table((offset + end).ravel()), table((offset + entry).ravel())
    at_risk = came.cumsum(axis=1) - np.hstack([np.zeros((rows, 1)), gone.cumsum(axis=1)[:, :-1]])
    return at_risk[:, :DAYS], table((offset + end)[left])[:, :DAYS]


def misses(batches: Iterator[Batch]) -> tuple[float, float, float, int]:
    """Return the shares of truths below and above the interval, of communities without one, and how many had one.

    There is no interval when nobody is at risk on the last day, unless everybody has left.
    """
    below, above, given, total = 0, 0, 0, 0
    for at_risk, events, truth in batches:
        low, high = (limit[:, -1] for limit in survival_limits(at_risk, events))
        gone = (events >= at_risk) & (events > 0)
        there = (at_risk[:, -1] > 0) | gone.any(axis=1)
        below += int((truth < low - 1e-12)[there].sum())
        above += int((truth > high + 1e-12)[there].sum())
        given, total = given + int(there.sum()), total + len(truth)
    return below / given, above / given, 1 - given / total, given


@pytest.fixture(scope="module")
def censored() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """At risk and exits of 40 communities of 60 members with uniform censoring."""
    at_risk, events, _ = next(communities(3, 60, 0.4, "half", 40))
    return at_risk, events


@pytest.mark.parametrize("exits", [0, 1, 7, 19, 20])
def test_without_censoring_limits_are_those_of_a_share(exits: int) -> None:
    """One day, or the same exits spread over days."""
    for events in ([exits], [exits // 2, exits - exits // 2]):
        at_risk = 20 - np.concatenate([[0], np.cumsum(events)[:-1]])
        low, high = (limit[-1] for limit in survival_limits(at_risk, events))
        expected = wilson(20 - exits, 20)
        assert (low, high) == pytest.approx((float(expected[0]), float(expected[1])), abs=1e-9)


def test_limits_keep_order_and_level(censored: tuple[NDArray[np.float64], ...]) -> None:
    n, d = censored
    low, high = survival_limits(n, d)
    inner_low, inner_high = survival_limits(n, d, 0.8)
    survival = product_limit(n, d)
    np.testing.assert_allclose(survival, np.cumprod(1 - d / np.maximum(n, 1), axis=1))
    assert ((low >= 0) & (low <= survival + 1e-9) & (survival <= high + 1e-9) & (high <= 1)).all()
    assert (low <= inner_low + 1e-9).all() and (inner_high <= high + 1e-9).all()
    one = survival_limits(n[0], d[0])
    np.testing.assert_allclose(one[0], low[0])


def test_edges() -> None:
    low, high = survival_limits([3, 2, 1, 0], [0, 1, 1, 0])
    assert high[0] == 1 and low[0] > 0
    assert low[2] == 0 and low[3] == 0 and 0 < high[3] < 1 and high[3] == pytest.approx(high[2])
    assert np.isfinite([low, high]).all()


def test_many_members_lose_no_digits() -> None:
    """With 10 million at risk and one exit a day the variance is far below rounding of S squared."""
    at_risk, events = 10_000_000 - np.arange(50), np.ones(50)
    low, high = survival_limits(at_risk, events)
    expected = wilson(10_000_000 - 50, 10_000_000)
    assert 1 - low[-1] == pytest.approx(1 - float(expected[0]), rel=1e-6)
    assert 1 - high[-1] == pytest.approx(1 - float(expected[1]), rel=1e-6)


def exact_coverage(n: int, survival: NDArray[np.float64]) -> NDArray[np.float64]:
    """Coverage without censoring at exact values of S, where it is a sum over the binomial distribution."""
    stayed = np.arange(n + 1)
    low, high = survival_limits(np.full((n + 1, 1), n), (n - stayed)[:, None])
    covered = (low <= survival) & (survival <= high)  # a row per count of those who stayed
    return (stats.binom.pmf(stayed[:, None], n, survival) * covered).sum(axis=0)


EXACT_S = np.arange(5, 96) / 100


@pytest.mark.parametrize(
    ("n", "lowest", "highest", "too_low", "too_high"),
    [(20, 0.925, 0.978, 10, 14), (50, 0.931, 0.978, 0, 6), (200, 0.938, 0.967, 0, 0)],
)
def test_exact_coverage_is_as_the_documentation_states(
    n: int, lowest: float, highest: float, too_low: int, too_high: int
) -> None:
    """Of 91 values of S in hundredths; the averages over S +- .03 of the other tests hide this."""
    covered = exact_coverage(n, EXACT_S)
    assert (covered.min(), covered.max()) == pytest.approx((lowest, highest), abs=0.0006)
    assert ((covered < 0.93).sum(), (covered > 0.97).sum()) == (too_low, too_high)


def test_at_20_members_and_survival_95_no_interval_of_whole_counts_covers_95_per_cent() -> None:
    two, three = stats.binom.cdf([2, 3], 20, 0.05)
    assert two < 0.93 and three > 0.97
    assert exact_coverage(20, np.array([0.95])) == pytest.approx(two)
    assert 0.93 <= exact_coverage(20, np.linspace(0.92, 0.98, 61)).mean() <= 0.97


@pytest.mark.parametrize(
    ("n", "survival", "censoring"),
    [(20, 0.95, "half"), (20, 0.25, "half"), (50, 0.05, "half"), (50, 0.9, "none"), (200, 0.5, "heavy")],
)
def test_coverage(n: int, survival: float, censoring: str) -> None:
    below, above, _, given = misses(communities(17, n, survival, censoring, 2_000, jitter=JITTER))
    slack = 3 * np.sqrt(0.05 * 0.95 / given)
    assert 0.93 - slack <= 1 - below - above <= 0.97 + slack


@pytest.mark.slow
@pytest.mark.parametrize("censoring", STAYING)
@pytest.mark.parametrize("n", GRID_N)
def test_coverage_everywhere(n: int, censoring: str) -> None:
    """93 to 97 per cent near every S, up to Monte-Carlo error; heavy censoring was measured at up to .971."""
    for survival in GRID_S:
        size = 10_000 if n < 2_000 else 3_000
        below, above, _, given = misses(communities(19, n, survival, censoring, size, jitter=JITTER))
        slack = 3 * np.sqrt(0.05 * 0.95 / given)
        assert 0.93 - slack <= 1 - below - above <= 0.97 + slack, (survival, below, above)


@pytest.mark.slow
@pytest.mark.parametrize("n", [50, 200])
def test_coverage_with_late_entry(n: int) -> None:
    for survival in (0.25, 0.5, 0.75, 0.9):
        batches = communities(20, n, survival, "half", 5_000, jitter=JITTER, late=True)
        below, above, _, given = misses(batches)
        slack = 3 * np.sqrt(0.05 * 0.95 / given)
        assert 0.93 - slack <= 1 - below - above <= 0.97 + slack, (survival, below, above)


def thin(seed: int, n: int, survival: float, size: int) -> Iterator[Batch]:
    """Yield one batch in which four members are watched from day 0 and the others only from days 27 to 39 on."""
    rng = np.random.default_rng(seed)
    entry = rng.integers(27, 40, (size, n))
    entry[:, :4] = 0
    exit_day = np.floor(rng.exponential(1, (size, n)) / -np.log(survival) * DAYS).astype(int) + entry
    yield *counts(np.minimum(exit_day, DAYS), exit_day < DAYS, entry), np.full(size, survival)


@pytest.mark.parametrize("survival", [0.8, 0.94])
def test_days_that_few_have_seen_widen_the_interval(survival: float) -> None:
    """Members at risk on the day itself would say far too much: such limits covered .79 to .89."""
    below, above, _, given = misses(thin(21, 200, survival, 1_500))
    slack = 3 * np.sqrt(0.05 * 0.95 / given)
    assert 0.93 - slack <= 1 - below - above <= 0.97 + slack


def test_where_members_at_risk_only_fall_entry_changes_nothing() -> None:
    """One member who enters on the last day, when no wait is over, moves no limit before it."""
    at_risk, events = np.array([20.0, 18, 15, 14, 15]), np.array([1.0, 2, 1, 0, 0])
    before = [limit[:4] for limit in survival_limits(at_risk, events)]
    np.testing.assert_allclose(before, survival_limits(at_risk[:4], events[:4]), rtol=1e-12)
