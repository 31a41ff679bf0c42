"""Error rates, power and coverage of A/B tests on known truth; written to docs/proofs/ab_test.md."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from helpers.methods.ab_test.clusters import cluster_contrast
from helpers.methods.ab_test.effects import Contrast, contrast, effect, reached
from helpers.methods.ab_test.moments import Moments
from helpers.methods.ab_test.sequential import Boundaries, boundaries, stopped
from helpers.stats.estimate import Estimate
from tests.methods.ab_test.of_rows import of_rows

pytestmark = pytest.mark.slow
PAGE = Path(__file__).resolve().parents[3] / "docs" / "proofs" / "ab_test.md"
RUNS = 4_000
LOOKS = 20
Rng = np.random.Generator
Row = tuple[str, ...]

INTRODUCTION = f"""# What the statistics of an A/B test promise, and what they keep

{RUNS:,} simulated tests in each row, written by `tests/methods/ab_test/test_proofs.py` with fixed seeds. A share of
5 % in {RUNS:,} runs has a Monte-Carlo error of {100 * np.sqrt(0.05 * 0.95 / RUNS):.2f} points.
"""

PROSE = {
    1: """False alarms (two-sided, 5 % promised) without an effect, 5,000 units an arm, up to 20 looks. With
growing traffic alpha is spent by days. No cell may be above 6.2 %, which right methods exceed in one of a hundred
such grids.""",
    2: """A true effect of .06 standard deviations, at most 5,000 units an arm, 20 looks; 40,000 runs of the
process of z. The price is in points of power against a test that is read once at its end.""",
    3: """Five looks with O'Brien-Fleming bounds. How often 95 % intervals hold the true drift (the mean of z at the
planned end) at the look at which the test stopped, and how often the estimate is above it (50 % is right).""",
    4: """How often nominal 95 % intervals hold the truth, with an effect; units are those of an arm, or of both for a
ramp.""",
    5: """Clusters of 5 to 40 units whose levels are log-normal (σ .4); power is that against a lift of 50 %: few
clusters see only large effects. Switchbacks change at random every six hours, with autocorrelated hours, a cycle of
the day, one hour of carry-over that the burn-in leaves out, and a lift of 10 %; without burn-in the effect is told
too small by as
much as the last column says. Below six clusters nothing is said.""",
    6: """The effect on those whom the variant reached is .8 likes; those who can be reached are the more active.""",
}


@pytest.fixture(scope="module")
def sections() -> Iterator[dict[str, str]]:
    """Collect the tables, and write the page when all are there."""
    found: dict[str, str] = {}
    yield found
    if len(found) == len(PROSE):
        PAGE.write_text(INTRODUCTION + "".join(found[title] for title in sorted(found)), encoding="utf-8")


def section(number: int, title: str, header: Row, rows: list[Row]) -> dict[str, str]:
    lines = [header, tuple("---" for _ in header), *rows]
    table = "\n".join("| " + " | ".join(row) + " |" for row in lines)
    return {f"{number}": f"\n## {title}\n\n{PROSE[number]}\n\n{table}\n"}


def share(hits: np.ndarray) -> str:
    return f"{100 * np.mean(hits):.1f} %"


def most(level: float, cells: int, runs: int = RUNS) -> float:
    """Return the share that a right method exceeds in one of a hundred grids of so many cells."""
    return level + stats.norm.isf(0.01 / cells) * np.sqrt(level * (1 - level) / runs)


def moments_of(
    draw: Callable[[Rng, int], np.ndarray], names: tuple[str, ...], seed: int, parts: int = 1
) -> Moments:
    """Return moments with axes (arm, run, part), drawing (runs, parts, units, k) of an arm in chunks of runs."""
    rng = np.random.default_rng(seed)
    arms = []
    for arm in (0, 1):
        chunks = [of_rows(draw(rng, arm), names) for _ in range(RUNS // 400)]
        arms.append([np.concatenate([getattr(c, part) for c in chunks]) for part in ("n", "mean", "cross")])
    return Moments(names, *(np.stack(pair) for pair in zip(*arms, strict=True)))


def counted(n: int, shares: tuple[float, float], seed: int, parts: int = 1) -> Moments:
    """Return moments of events, axes (arm, run, part), for n units an arm and part."""
    rng = np.random.default_rng(seed)
    mean = np.stack([rng.binomial(n, p, (RUNS, parts)) / n for p in shares])
    return Moments(
        ("outcome",), np.full(mean.shape, float(n)), mean[..., None], (n * mean * (1 - mean))[..., None, None]
    )


def values(
    shape: tuple[int, ...], one: Callable[[Rng, tuple[int, ...], int], np.ndarray]
) -> Callable[[Rng, int], np.ndarray]:
    return lambda rng, arm: one(rng, (400, *shape), arm)


# --- peeking ---


def looked_at(seed: int) -> dict[str, Contrast]:
    """Return tests without an effect, 5,000 units an arm, at 20 looks; axes (run, look)."""
    size = (LOOKS, 250)

    def ratio(rng: Rng, shape: tuple[int, ...], arm: int) -> np.ndarray:
        views = rng.poisson(5, shape) + 1
        return np.stack([rng.binomial(views, 0.1), views], -1)

    def before(rng: Rng, shape: tuple[int, ...], arm: int) -> np.ndarray:
        taste = rng.gamma(2, 1, shape)
        return np.stack([rng.poisson(taste), rng.poisson(taste)], -1)

    draws = {
        "normal": (values(size, lambda rng, shape, arm: rng.normal(size=(*shape, 1))), ("outcome",), "mean"),
        "Poisson .1": (
            values(size, lambda rng, shape, arm: rng.poisson(0.1, (*shape, 1))),
            ("outcome",),
            "mean",
        ),
        "Pareto, capped": (
            values(size, lambda rng, shape, arm: pareto(rng, (*shape, 1))),
            ("outcome",),
            "mean",
        ),
        "ratio": (values(size, ratio), ("outcome", "denominator"), "ratio"),
        "with a covariate": (values(size, before), ("outcome", "before"), "mean"),
    }
    found = {}
    for place, (name, (draw, names, kind)) in enumerate(draws.items()):
        moments = moments_of(draw, names, seed + place).cumulate(2)
        found[name] = contrast(at_looks(moments), kind)
    shares = counted(250, (0.02, 0.02), seed + 9, LOOKS).cumulate(2)
    return found | {"share of 2 %": contrast(at_looks(shares), "proportion")}


def at_looks(moments: Moments) -> Moments:
    """Return moments with one stratum, behind the looks."""
    return Moments(
        moments.names, moments.n[..., None], moments.mean[..., None, :], moments.cross[..., None, :, :]
    )


def pareto(rng: Rng, shape: tuple[int, ...]) -> np.ndarray:
    return np.minimum(rng.pareto(1.5, shape) + 1, 0.001 ** (-1 / 1.5))


def first(z: np.ndarray, bounds: Boundaries) -> tuple[np.ndarray, np.ndarray]:
    """Return whether each run was stopped by a bound, and the look at which it ended."""
    stops = (z >= bounds.win) | (z <= -bounds.harm)
    return stops.any(1), np.where(stops.any(1), stops.argmax(1), z.shape[1] - 1)


def test_looking_twenty_times_costs_no_false_alarms(sections: dict[str, str]) -> None:
    t = np.arange(1, LOOKS + 1) / LOOKS
    uneven = np.array([0, 1, 4, 5, 10, 11, 12, 18, 19])
    growing, sevenths = np.array([0, 1, 3, 6, 10, 14, 19]), np.arange(1, 8) / 7
    plans = {
        "O'Brien-Fleming": (boundaries(t, 0.05, "obrien-fleming"), np.arange(LOOKS)),
        "nine uneven looks": (boundaries(t[uneven], 0.05, "obrien-fleming"), uneven),
        "ended at 60 %": (boundaries(t[:12], 0.05, "obrien-fleming", time=[*t[:11], 1]), np.arange(12)),
        "seven, traffic grows": (boundaries(t[growing], 0.05, "obrien-fleming", time=sevenths), growing),
        "Pocock": (boundaries(t, 0.05, "pocock"), np.arange(LOOKS)),
        "hybrid": (boundaries(t, 0.05, "obrien-fleming", hybrid=True), np.arange(LOOKS)),
        "always valid": (boundaries(t, 0.05, "always-valid"), np.arange(LOOKS)),
    }
    null = looked_at(seed=100)
    rows, shares = [], []
    for name, found in null.items():
        z = found.z
        alarms = [first(z[:, looks], bounds)[0] for bounds, looks in plans.values()]
        naive = (np.abs(z) >= 1.96).any(1)
        assert naive.mean() > 0.15
        shares += [each.mean() for each in alarms]
        rows.append((name, *map(share, alarms), share(naive)))
    assert max(shares) <= most(0.05, len(shares))
    sections.update(
        section(1, "Looking while the test runs", ("outcome", *plans, "naive p < .05 at each look"), rows)
    )


def test_looking_costs_little_power(sections: dict[str, str]) -> None:
    t = np.arange(1, LOOKS + 1) / LOOKS
    drift = 0.06 / np.sqrt(2 / 5_000)
    steps = np.random.default_rng(200).normal(drift / LOOKS, np.sqrt(1 / LOOKS), (10 * RUNS, LOOKS))
    z = steps.cumsum(axis=1) / np.sqrt(t)
    fixed = np.mean(z[:, -1] >= 1.96)
    rows = [("fixed, read once", share(z[:, -1] >= 1.96), "100 %", "–")]
    for name, kind in (
        ("O'Brien-Fleming", "obrien-fleming"),
        ("Pocock", "pocock"),
        ("always valid", "always-valid"),
    ):
        bounds = boundaries(t, 0.05, kind)
        _, at = first(z, bounds)
        won = z[np.arange(len(z)), at] >= bounds.win[at]
        rows.append((name, share(won), share(t[at]), f"{100 * (fixed - won.mean()):.1f}"))
        if kind == "obrien-fleming":
            assert fixed - won.mean() <= 0.025
            assert t[at].mean() <= 0.75
    sections.update(
        section(2, "What looking costs", ("method", "power", "units used on average", "price"), rows)
    )


def test_what_is_said_after_stopping(sections: dict[str, str]) -> None:
    t = np.arange(1, 6) / 5
    bounds, rows = boundaries(t, 0.05, "obrien-fleming"), []
    for drift in (0.0, 1.5, 3.0):
        steps = np.random.default_rng(300 + int(drift)).normal(drift / 5, np.sqrt(1 / 5), (RUNS, 5))
        z = steps.cumsum(axis=1) / np.sqrt(t)
        _, at = first(z, bounds)
        value, error = z[np.arange(RUNS), at] / np.sqrt(t[at]), 1 / np.sqrt(t[at])
        seen = (Estimate(v, np.nan, np.nan, 1, "", "", 0.95) for v in value)
        found = [stopped(bounds, *one).estimate for one in zip(at, seen, error, strict=True)]
        low, middle, high = np.array([[each.low, each.value, each.high] for each in found]).T
        stagewise = (low <= drift) & (drift <= high)
        assert stagewise.mean() == pytest.approx(0.95, abs=most(0.05, 3) - 0.05 + 0.001)
        assert np.mean(middle > drift) == pytest.approx(0.5, abs=4 * np.sqrt(0.25 / RUNS))
        repeated = np.abs(value - drift) <= bounds.win[at] * error
        assert repeated.mean() >= 0.95 - (most(0.05, 3) - 0.05)
        naive = np.abs(value - drift) <= 1.96 * error
        shown = (
            f"{np.mean(value):.2f}",
            share(value > drift),
            f"{np.median(middle):.2f}",
            share(middle > drift),
        )
        rows.append((f"{drift:g}", share(naive), share(repeated), share(stagewise), *shown))
    header = (
        "drift",
        "naive interval",
        "repeated",
        "stage-wise",
        "naive mean",
        "above",
        "median-unbiased: median",
        "above",
    )
    sections.update(section(3, "What is said after stopping", header, rows))


# --- coverage ---


def grid() -> Iterator[tuple[str, Contrast, str, float, float]]:
    """Yield name, contrasts (axis run), kind, true difference and true lift."""
    one, two = ("outcome",), ("outcome", "before")

    def plain(
        n: int,
        draw: Callable[[Rng, tuple[int, ...]], np.ndarray],
        lift: float,
        seed: int,
        n1: int | None = None,
    ) -> Contrast:
        sizes = (n, n1 or n)
        rows = lambda rng, arm: (draw(rng, (400, sizes[arm])) * (1 + lift * arm))[:, None, :, None]  # noqa: E731
        return contrast(moments_of(rows, one, seed), "mean")

    yield "normal, 50 an arm", plain(50, lambda rng, s: rng.normal(5, 2, s), 0.2, 1), "mean", 1.0, 0.2
    poisson = moments_of(
        values((1, 1_000), lambda rng, s, arm: rng.poisson(0.1 * (1 + 0.3 * arm), (*s, 1))), one, 2
    )
    yield "Poisson .1, 1,000", contrast(poisson, "mean"), "mean", 0.03, 0.3
    zeros = plain(500, lambda rng, s: rng.gamma(1, 20, s) * (rng.random(s) < 0.1), 0.3, 3)
    yield "nine in ten 0, 500", zeros, "mean", 0.6, 0.3
    level = 3 - 2 * 0.001 ** (1 / 3)  # mean of a Pareto of shape 1.5 that is capped at its 99.9 % quantile
    for n in (200, 1_000):
        yield f"Pareto, capped, {n:,}", plain(n, pareto, 0.2, 4 + n), "mean", 0.2 * level, 0.2
    yield (
        "exponential, 60 (Fieller)",
        plain(60, lambda rng, s: rng.exponential(1, s), 0.5, 6),
        "mean",
        0.5,
        0.5,
    )
    yield (
        "gamma, 200 against 1,800",
        plain(200, lambda rng, s: rng.gamma(2, 1, s), 0.1, 7, 1_800),
        "mean",
        0.2,
        0.1,
    )
    for n in (4_000, 20_000):
        yield (
            f"share of .5 %, {n:,}",
            contrast(counted(n, (0.005, 0.006), 8 + n), "proportion"),
            "proportion",
            0.001,
            0.2,
        )

    def ratio(rng: Rng, shape: tuple[int, ...], arm: int) -> np.ndarray:
        views = rng.poisson(5, shape) + 1.0
        return np.stack([0.5 * (1 + 0.1 * arm) * views + rng.normal(0, 0.3, shape), views], -1)

    def clicks(rng: Rng, shape: tuple[int, ...], arm: int) -> np.ndarray:
        views = rng.geometric(0.1, shape)
        return np.stack([rng.binomial(views, rng.beta(2, 18, shape) * (1 + 0.2 * arm)), views], -1)

    named = ("outcome", "denominator")
    yield "ratio, 200", contrast(moments_of(values((1, 200), ratio), named, 9), "ratio"), "ratio", 0.05, 0.1
    yield (
        "clicks by views, 500",
        contrast(moments_of(values((1, 500), clicks), named, 10), "ratio"),
        "ratio",
        0.02,
        0.2,
    )

    def slopes(rng: Rng, shape: tuple[int, ...], arm: int) -> np.ndarray:
        x = rng.normal(10, 3, shape)
        return np.stack([(x + rng.normal(0, 0.6, shape)) * (1 + 0.5 * arm), x], -1)

    def counts(rng: Rng, shape: tuple[int, ...], arm: int) -> np.ndarray:
        taste = rng.gamma(2, 1, shape)
        return np.stack([rng.poisson(taste * (1 + 0.2 * arm)), rng.poisson(taste)], -1)

    yield (
        "covariate, slopes differ, 500",
        contrast(moments_of(values((1, 500), slopes), two, 11), "mean"),
        "mean",
        5.0,
        0.5,
    )
    yield (
        "covariate, counts, 300",
        contrast(moments_of(values((1, 300), counts), two, 12), "mean"),
        "mean",
        0.4,
        0.2,
    )

    ramp = []
    for period, (sizes, base) in enumerate((((900, 100), 2.0), ((500, 500), 5.0))):
        rows = lambda rng, arm, n=sizes, m=base: rng.gamma(2, m * (1 + 0.1 * arm) / 2, (400, 1, n[arm], 1))  # noqa: E731
        ramp.append(moments_of(rows, one, 13 + period))
    both = Moments(
        one, *(np.concatenate([getattr(m, part) for m in ramp], axis=2) for part in ("n", "mean", "cross"))
    )
    yield "ramp from 90/10 to 50/50, 2,000", contrast(both, "mean"), "mean", 0.35, 0.1

    rng = np.random.default_rng(15)
    base = rng.gamma(4, 1, 40)
    rows = lambda rng, arm: rng.poisson(base[:, None, None] * (1 + 0.2 * arm), (400, 40, 5, 1))  # noqa: E731
    blocked = contrast(moments_of(rows, one, 16), "mean", blocked=True)
    yield "40 blocks of 5 and 5", blocked, "mean", 0.2 * base.mean(), 0.2


def test_fixed_intervals_cover(sections: dict[str, str]) -> None:
    rows, means = [], []
    for name, found, kind, difference, lift in grid():
        told = [effect(found.at(run), kind, 0.95, "") for run in range(RUNS)]
        shares = []
        for part, truth in (("difference", difference), ("relative", lift)):
            known = [getattr(each, part) for each in told if getattr(each, part).known]
            shares.append(np.mean([each.low <= truth <= each.high for each in known]))
            assert shares[-1] >= 0.935, name
        means += shares
        refused = sum(not each.relative.known for each in told)
        methods = {each.relative.method for each in told if each.relative.known}
        rows.append(
            (name, *(f"{100 * each:.1f} %" for each in shares), " or ".join(sorted(methods)), f"{refused}")
        )
    rows.append(
        ("mean of cells", f"{100 * np.mean(means[::2]):.1f} %", f"{100 * np.mean(means[1::2]):.1f} %", "", "")
    )
    assert 0.945 <= np.mean(means) <= 0.96
    header = ("outcome", "difference", "relative", "interval of the relative", "refused (few events)")
    sections.update(section(4, "Intervals of a test that is read once", header, rows))


# --- designs ---


def clustered(g: int, g1: int, icc_effect: float, lift: float, seed: int) -> Contrast:
    """Return tests of log-normal clusters of 5 to 40 units, axes (run,)."""
    rng = np.random.default_rng(seed)
    size = rng.integers(5, 41, (RUNS, g))
    order = rng.random((RUNS, g)).argsort(axis=1)
    treated = order < g1
    level = rng.lognormal(0, icc_effect, (RUNS, g)) * (1 + lift * treated)
    return cluster_contrast(rng.poisson(size * level), size, treated)


def switchback(periods: int, seed: int, burn_in: int) -> Contrast:
    """Return tests that switch every six hours, with autocorrelated hours and an hour of carry-over."""
    rng = np.random.default_rng(seed)
    hours = periods * 6
    noise = np.zeros((RUNS, hours))
    for hour in range(1, hours):
        noise[:, hour] = 0.7 * noise[:, hour - 1] + rng.normal(0, 0.15, RUNS)
    treated = (rng.random((RUNS, periods)).argsort(axis=1) < periods // 2).repeat(6, axis=1)
    before = np.concatenate([treated[:, :1], treated[:, :-1]], axis=1)
    of_day = 1 + 0.3 * np.sin(2 * np.pi * np.arange(hours) / 24)
    views = rng.poisson(50 * of_day, (RUNS, hours))
    likes = rng.poisson(views * np.exp(noise) * (0.2 + 0.02 * (treated & before)))
    kept = np.arange(6) >= burn_in
    totals = [part.reshape(RUNS, periods, 6)[..., kept].sum(axis=2) for part in (likes, views)]
    return cluster_contrast(*totals, treated[:, ::6])


def test_clusters_and_switchbacks(sections: dict[str, str]) -> None:
    rows, alarms = [], []
    for g, g1 in ((6, 3), (7, 3), (8, 4), (10, 5), (14, 7), (14, 4), (40, 20)):
        null, real = clustered(g, g1, 0.4, 0.0, 500 + g + g1), clustered(g, g1, 0.4, 0.5, 600 + g + g1)
        alarms.append(np.mean(null.p < 0.05))
        truth = 0.5 * np.exp(0.4**2 / 2)
        half = stats.t.isf(0.025, real.degrees) * real.error
        covered = np.abs(real.difference - truth) <= half
        assert covered.mean() >= 0.935, g
        told = share(null.p < 0.05), share(covered), share(real.p < 0.05)
        rows.append((f"{g - g1} and {g1} clusters", *told, "–"))
    for periods in (14, 28, 56):
        found = switchback(periods, 700 + periods, burn_in=1)
        truth = 0.02 * np.exp(0.15**2 / (1 - 0.7**2) / 2)
        covered = np.abs(found.difference - truth) <= stats.t.isf(0.025, found.degrees) * found.error
        assert covered.mean() >= 0.935, periods
        plain = switchback(periods, 700 + periods, burn_in=0)
        off = f"{100 * (1 - plain.difference.mean() / found.difference.mean()):.0f} %"
        rows.append((f"switchback, {periods} periods", "–", share(covered), share(found.p < 0.05), off))
    assert max(alarms) <= most(0.05, len(alarms))
    header = ("design", "false alarms", "coverage of 95 %", "power", "without burn-in")
    sections.update(section(5, "Clusters and periods", header, rows))


def test_effect_on_those_reached(sections: dict[str, str]) -> None:
    rows = []
    for n, share_reached, in_control in ((300, 0.9, 0.0), (300, 0.5, 0.1), (2_000, 0.2, 0.0)):

        def draw(
            rng: Rng, arm: int, n: int = n, chances: tuple[float, float] = (in_control, share_reached)
        ) -> np.ndarray:
            taste = rng.random((400, 1, n))
            got = taste < chances[arm]
            # Whoever can be reached is more active anyway: a comparison of those reached would be wrong.
            return np.stack([rng.poisson(1 + 2 * (taste < chances[1]) + 0.8 * got), got], -1).astype(float)

        moments = moments_of(draw, ("outcome", "delivered"), 800 + n + int(10 * share_reached))
        found = [reached(moments.at((slice(None), run)), 0.95, "") for run in range(RUNS)]
        covered = np.array([each.low <= 0.8 <= each.high for each in found if each.known])
        assert covered.mean() >= 0.935
        width = np.mean([each.high - each.low for each in found if each.known])
        rows.append(
            (
                f"{n:,}",
                f"{share_reached:.0%} and {in_control:.0%}".replace("%", " %"),
                share(covered),
                f"{width:.2f}",
                f"{RUNS - len(covered)}",
            )
        )
    header = (
        "units an arm",
        "reached, variant and control",
        "coverage of 95 %",
        "mean width",
        "delivery not clear",
    )
    sections.update(section(6, "Partial delivery", header, rows))
