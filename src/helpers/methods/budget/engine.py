"""The engine: response curves and coefficients drawn jointly, the baseline integrated out.

Each line has a dictionary of curves. Given everything else, the curve k and the coefficient beta >= 0 of a line are
drawn together from their exact conditional: with m and v the mean and variance that a normal coefficient would have,

    log p(k) = m^2 / (2 v) + log(v) / 2 + log Phi(m / sqrt v) + log mass(k),    beta | k ~ N(m, v) above 0,

so chains jump between curves freely. All chains move at once. Dictionaries are then put anew around what was drawn,
until the contributions stand still. The coefficient is the mean weekly contribution; its prior is half normal.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import log_ndtr, ndtr, ndtri

from helpers.methods.budget.baseline import HARMONICS, Baseline, baseline, strongest
from helpers.methods.budget.curves import Curves, first_dictionary, refined
from helpers.methods.budget.evidence import Evidence
from helpers.methods.budget.weekly import Weekly

Array = NDArray[np.float64]

CHAINS, DRAWS, WARM_UP = 8, 250, 100
SIZE = 320
"""Curves in a line's dictionary."""
ROUNDS = 4
STILL = 0.1
"""Dictionaries stand when no line's mean contribution moves by more than this share of its standard deviation."""
SHARE = 0.2
"""Prior scale of a line's contribution, as a share of the outcome."""


@dataclass(frozen=True, eq=False)
class Fit:
    """Posterior draws of every line's curve and coefficient.

    Attributes
    ----------
    weekly : Weekly
        What was fitted.
    curves : mapping of str to Curves
        By line: the curve of each draw, coefficient included.
    base : Baseline
        Columns of the baseline and how they were held back.
    noise : numpy.ndarray
        Standard deviation of a week's noise, by draw.
    rhat, ess : pandas.Series
        Split R-hat and effective draws of each line's contribution, and of the noise.
    evidence : tuple of Evidence
        Rows that entered.
    moved : float
        By how much the last change of the dictionaries moved a contribution, in standard deviations at most.
    """

    weekly: Weekly
    curves: dict[str, Curves]
    base: Baseline
    noise: Array
    rhat: pd.Series
    ess: pd.Series
    evidence: tuple[Evidence, ...] = ()
    moved: float = 0.0

    def contribution(self, line: str) -> Array:
        """Return the contribution of a line by draw and week, shape (draws, weeks)."""
        return self.curves[line].weekly(self.weekly.spend[line].to_numpy(float)).T

    def response(self, line: str, spend: Array) -> Array:
        """Return the outcome a week at steady weekly spends, shape (draws, spends)."""
        return self.curves[line].steady(spend).T

    def marginal(self, line: str, spend: Array) -> Array:
        """Return the gain of outcome for one more unit of money at steady weekly spends, shape (draws, spends)."""
        return self.curves[line].marginal(spend).T

    @property
    def media(self) -> Array:
        """Mean contribution of all lines together, by week."""
        return sum(
            (self.contribution(line).mean(axis=0) for line in self.curves), np.zeros(len(self.weekly.outcome))
        )

    @property
    def baseline(self) -> Array:
        """Mean baseline by week: what media leave, smoothed by the columns of the baseline."""
        left = self.weekly.outcome.to_numpy(float) - self.media
        return self.base.columns.to_numpy() @ (self.base.solver @ left)

    @property
    def residual(self) -> Array:
        """What neither media nor the baseline explain, by week."""
        return self.weekly.outcome.to_numpy(float) - self.media - self.baseline


class System(NamedTuple):
    """All that the sampler needs: weeks are gone.

    Attributes
    ----------
    gram, right : numpy.ndarray
        F'MF and F'My over the curves of all lines, one after the other.
    total : float
        y'My.
    weeks : int
        Weeks less the degrees of freedom of the baseline.
    first : tuple of int
        Where each line's curves begin, and the end.
    log_mass : numpy.ndarray
        Prior mass of each curve.
    precision : float
        Prior precision of a coefficient.
    row_gram, row_right : numpy.ndarray
        What statements add to the precision, and to precision times mean, of each curve's coefficient.
    """

    gram: Array
    right: Array
    total: float
    weeks: int
    first: tuple[int, ...]
    log_mass: Array
    precision: float
    row_gram: Array
    row_right: Array


class Draws(NamedTuple):
    """Draws by chain: curve (index within the line) and coefficient, shape (chains, draws, lines); noise variance."""

    curve: NDArray[np.int64]
    coefficient: Array
    variance: Array


def sample(system: System, rng: np.random.Generator, chains: int, draws: int, warm_up: int) -> Draws:
    """Return draws from the joint posterior of curves, coefficients and noise."""
    lines, each = len(system.first) - 1, np.arange(chains)
    spans = [slice(*pair) for pair in zip(system.first, system.first[1:], strict=False)]
    diagonal = np.diagonal(system.gram)
    curve = np.column_stack([rng.integers(span.start, span.stop, chains) for span in spans])
    beta = np.zeros((chains, lines))
    variance = np.full(chains, system.total / system.weeks)
    pull = np.zeros((chains, len(diagonal)))
    kept = Draws(
        np.empty((chains, draws, lines), int), np.empty((chains, draws, lines)), np.empty((chains, draws))
    )
    for step in range(-warm_up, draws):
        for line, span in enumerate(spans):
            old = system.gram[curve[:, line]] * beta[:, line, None]
            at_line = (system.right[span] - pull[:, span] + old[:, span]) / variance[
                :, None
            ] + system.row_right[span]
            precise = diagonal[span] / variance[:, None] + system.row_gram[span] + system.precision
            score = at_line / np.sqrt(precise)
            log = 0.5 * score**2 - 0.5 * np.log(precise) + log_ndtr(score) + system.log_mass[span]
            mass = np.cumsum(np.exp(log - log.max(axis=1, keepdims=True)), axis=1)
            chosen = (mass < rng.random((chains, 1)) * mass[:, -1:]).sum(axis=1)
            at, sd = at_line[each, chosen] / precise[each, chosen], precise[each, chosen] ** -0.5
            beta[:, line] = between(at, sd, 0.0, np.inf, rng.random(chains))
            curve[:, line] = span.start + chosen
            pull += system.gram[curve[:, line]] * beta[:, line, None] - old
        order = rng.permutation(lines)
        mixed = (curve[:, order], beta[:, order])
        exchange(system, *mixed, pull, variance, rng.random((chains, lines)))
        beta[:, order] = mixed[1]
        inner = (beta * (pull[each[:, None], curve] - 2 * system.right[curve])).sum(axis=1)
        left = np.maximum(system.total + inner, 1e-12 * system.total)
        variance = 0.5 * left / rng.standard_gamma(system.weeks / 2, chains)
        if step >= 0:
            kept.curve[:, step], kept.coefficient[:, step] = curve - np.array(system.first[:-1]), beta
            kept.variance[:, step] = variance
    return kept


def between(mean: Array, sd: Array, low: Array | float, high: Array | float, uniform: Array) -> Array:
    """Return normal draws between two bounds by inversion, in the tail that floating point resolves better."""
    a, b = (low - mean) / sd, (high - mean) / sd
    flip = np.where(a + b > 0, -1.0, 1.0)
    below, above = ndtr(np.minimum(flip * a, flip * b)), ndtr(np.maximum(flip * a, flip * b))
    draw = mean + flip * sd * ndtri(below + uniform * (above - below))
    return np.clip(draw, low, high)


def exchange(
    system: System, curve: NDArray[np.int64], beta: Array, pull: Array, variance: Array, draw: Array
) -> None:
    """Let the first line of each pair gain what the second loses, from the exact conditional.

    Pairs are neighbours; where lines move together, one at a time they would creep. Changes `beta` and `pull`.
    """
    gram = system.gram
    for c in range(0, beta.shape[1] - 1, 2):
        k, m, b, d = curve[:, c], curve[:, c + 1], beta[:, c], beta[:, c + 1]
        each = np.arange(len(k))
        precise = (gram[k, k] + gram[m, m] - 2 * gram[k, m]) / variance + 2 * system.precision
        precise += system.row_gram[k] + system.row_gram[m]
        slope = (system.right[k] - pull[each, k] - system.right[m] + pull[each, m]) / variance
        slope += system.row_right[k] - system.row_gram[k] * b - system.row_right[m] + system.row_gram[m] * d
        slope -= system.precision * (b - d)
        gain = between(slope / precise, precise**-0.5, -b, d, draw[:, c])
        beta[:, c] += gain
        beta[:, c + 1] -= gain
        pull += gain[:, None] * (gram[k] - gram[m])


def split_rhat(draws: Array) -> float:
    """Return split R-hat of draws by chain, shape (chains, draws); Gelman et al. (2013), section 11.4."""
    halves = np.concatenate(np.array_split(draws[:, : draws.shape[1] // 2 * 2], 2, axis=1))
    n, within = halves.shape[1], halves.var(axis=1, ddof=1).mean()
    return float(np.sqrt((n - 1) / n + halves.mean(axis=1).var(ddof=1) / within)) if within > 0 else 1.0


def effective(draws: Array) -> float:
    """Return how many independent draws these are worth: Geyer's initial positive sequence over all chains."""
    chains, n = draws.shape
    centred = draws - draws.mean(axis=1, keepdims=True)
    power = np.abs(np.fft.rfft(centred, 2 * n, axis=1)) ** 2
    covariance = np.fft.irfft(power, axis=1)[:, :n].mean(axis=0) / n
    spread = covariance[0] + draws.mean(axis=1).var(ddof=1)
    if not spread:
        return float(chains * n)
    rho = 1 - (covariance[0] - covariance) / spread
    pairs = rho[: n // 2 * 2].reshape(-1, 2).sum(axis=1)
    stop = int(np.argmax(pairs < 0)) if (pairs < 0).any() else len(pairs)
    return float(min(chains * n / max(2 * pairs[:stop].sum() - 1, 1e-9), chains * n))


def fit(weekly: Weekly, evidence: Sequence[Evidence] = (), seed: int = 0, harmonics: int = HARMONICS) -> Fit:
    """Return the posterior draws of all curves; the same for the same seed, whatever the order of lines.

    Parameters
    ----------
    weekly : Weekly
        Frame with at least one line that has a curve.
    evidence : sequence of Evidence
        Statements about its lines.
    seed : int
        Seed of all draws.
    harmonics : int
        Waves of the season; 0 for none.
    """
    return fit_regions([weekly], evidence, seed, harmonics)[0]


def fit_regions(
    frames: Sequence[Weekly], evidence: Sequence[Evidence] = (), seed: int = 0, harmonics: int = HARMONICS
) -> list[Fit]:
    """Return a fit for each region; regions share curves, relative to each one's largest spend, and coefficients.

    Statements, as far as there are any, are about the first region. Baselines differ freely.
    """
    names = sorted(map(str, frames[0].spend))
    lines, level = np.arange(len(names)), float(np.mean([frame.outcome.mean() for frame in frames]))
    bases, rng = [baseline(frame, harmonics) for frame in frames], np.random.default_rng(seed)
    books = [first_dictionary(SIZE, seed + n) for n, _ in enumerate(names)]
    media: list[Array] = []
    moved, before = np.inf, np.full(len(names), np.inf)
    for turn in range(ROUNDS):
        scales = [[scale_of(frame.spend[line]) for line in names] for frame in frames]
        curves = [[book.curves(scale) for book, scale in zip(books, each, strict=True)] for each in scales]
        columns, mean = responses(frames, names, curves)
        media = media or [each.mean(axis=2) for each in columns]
        bases = [
            strongest(base, frame.outcome, each, 0.25 * frame.outcome.var() / (SHARE * level) ** 2)
            for base, frame, each in zip(bases, frames, media, strict=True)
        ]
        rows = evidence_rows(evidence, names, curves[0], mean, frames[0].spend)
        system = assemble(frames, bases, columns, np.concatenate([book.log_mass for book in books]), rows)
        drawn = sample(system, rng, CHAINS, DRAWS, WARM_UP)
        size, which = drawn.coefficient.reshape(-1, len(names)), drawn.curve.reshape(-1, len(names))
        moved = float((np.abs(size.mean(axis=0) - before) / size.std(axis=0)).max())
        if moved < STILL or turn == ROUNDS - 1:
            break
        before = size.mean(axis=0)
        media = [each[:, lines, which].mean(axis=1) for each in columns]
        books = [refined(book, which[:, n], SIZE, seed + 100 * turn + n) for n, book in enumerate(books)]
    chains = [*np.moveaxis(drawn.coefficient, -1, 0), drawn.variance]
    rhat, ess = (pd.Series([of(one) for one in chains], [*names, "noise"]) for of in (split_rhat, effective))
    top = size / mean[lines, which]
    chosen = [
        [replace(each[n][which[:, n]], coefficient=top[:, n]) for n in range(len(names))] for each in curves
    ]
    of_all = (np.sqrt(drawn.variance.ravel()), rhat, ess, tuple(evidence), moved)
    regions = zip(frames, chosen, bases, strict=True)
    return [Fit(frame, dict(zip(names, each, strict=True)), base, *of_all) for frame, each, base in regions]


def responses(
    frames: Sequence[Weekly], names: Sequence[str], curves: Sequence[Sequence[Curves]]
) -> tuple[list[Array], Array]:
    """Return by region the responses, of mean one over all regions, (weeks, lines, curves), and the means before."""
    plain = [
        np.stack(
            [one.weekly(frame.spend[line].to_numpy(float)) for one, line in zip(each, names, strict=True)],
            axis=1,
        )
        for frame, each in zip(frames, curves, strict=True)
    ]
    mean = np.maximum(np.concatenate(plain).mean(axis=0), 1e-12)
    return [each / mean for each in plain], mean


def scale_of(spend: pd.Series) -> float:
    """Return the weekly spend that counts as 1: the largest but for spikes."""
    return float(np.quantile(spend, 0.995)) or 1.0


def assemble(
    frames: Sequence[Weekly],
    bases: Sequence[Baseline],
    columns: Sequence[Array],
    log_mass: Array,
    rows: tuple[Array, Array],
) -> System:
    """Return the system of the sampler: baselines integrated out, weeks of all regions summed."""
    gram, right = np.zeros((len(log_mass), len(log_mass))), np.zeros(len(log_mass))
    total, weeks, level = 0.0, 0, np.mean([frame.outcome.mean() for frame in frames])
    for frame, base, each in zip(frames, bases, columns, strict=True):
        y, f = frame.outcome.to_numpy(float), each.reshape(len(each), -1)
        left = base.remainder @ f
        gram += f.T @ left
        right += left.T @ y
        total += float(y @ base.remainder @ y)
        weeks += len(y) - base.degrees
    first = tuple(range(0, len(log_mass) + 1, columns[0].shape[2]))
    return System(gram, right, total, weeks, first, log_mass, float(SHARE * level) ** -2, *rows)


def evidence_rows(
    evidence: Sequence[Evidence],
    names: Sequence[str],
    curves: Sequence[Curves],
    mean: Array,
    spend: pd.DataFrame,
) -> tuple[Array, Array]:
    """Return what all statements add to the precision of each curve's coefficient, and to precision times mean."""
    gram, right = np.zeros_like(mean), np.zeros_like(mean)
    for each in evidence:
        n = names.index(each.line)
        effect = each.of(curves[n], spend[each.line].to_numpy(float)) / mean[n]
        gram[n] += effect**2 / each.se**2
        right[n] += effect * each.value / each.se**2
    return gram.ravel(), right.ravel()
