"""Budget curves against known truth: the published recovery benchmark, worlds that break one assumption, plans.

    PLAYBOOK_REFERENCE_DATA=... python benchmarks/budget.py [recovery] [coverage] [worlds] [clean] [plans] [gains]

SRMSE is the root mean squared error of a line's weekly contributions over their true mean, averaged over lines and
regions. The benchmark (PyMC Labs, mmm-param-recovery, Apache-2.0) has two versions of it: of the posterior mean
(`evaluation.calculate_srmse`) and of each draw, then averaged (`bayesian_metrics.calculate_srmse_vectorized`); which
one the published figures are is not stated. They come from 4 x 2,000 draws on 32 cores, with a Hill curve of another
form (PyMC-Marketing 0.15.1) and knots every 26 weeks for a season that is a sine (Meridian 1.1.6): a vendor's own
benchmark. The columns c1_effect and c2_effect of the data are planted truth and are never read.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import _contenders
import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from helpers.methods.budget.allocate import allocate
from helpers.methods.budget.engine import Fit, fit, fit_regions
from helpers.methods.budget.gate import gate
from helpers.methods.budget.terms import WEEKS_OF_MONTH, Terms, responses_of
from helpers.methods.budget.trust import trust
from helpers.methods.budget.weekly import Weekly
from tests.planted_spend import World, clean, community, gains, start_up

DATA = Path(os.environ.get("PLAYBOOK_REFERENCE_DATA", "../shared/data")) / "budget"
PUBLISHED = {"small_business": (0.41, 0.70), "growing_business": (0.44, 0.70)}
"""SRMSE of PyMC-Marketing and Meridian as published for start-up and scale-up."""

KINDS = {"community": community, "start-up": start_up, "clean": clean}


def inside(found: Fit, truth: pd.Series, level: float = 0.9) -> pd.Series:
    """Return whether the interval of each line's total contribution holds its true one."""
    tails = ((1 - level) / 2, (1 + level) / 2)
    bounds = {line: np.quantile(found.contribution(line).sum(axis=1), tails) for line in truth.index}
    return pd.Series({line: low <= truth[line] <= high for line, (low, high) in bounds.items()})


def srmse(found: Fit, truth: pd.DataFrame) -> pd.DataFrame:
    """Return both versions of SRMSE by line, and the relative error of the total."""
    rows = {}
    for line, true in truth.items():
        drawn, true = found.contribution(line), true.to_numpy()
        of_mean = np.sqrt(((drawn.mean(axis=0) - true) ** 2).mean()) / abs(true.mean())
        of_draws = (np.sqrt(((drawn - true) ** 2).mean(axis=1)) / abs(true.mean())).mean()
        rows[line] = {
            "posterior mean": of_mean,
            "per draw": of_draws,
            "total": drawn.mean() / true.mean() - 1,
        }
    return pd.DataFrame(rows).T


def recovery() -> None:
    """Print the published benchmark: one region, then two regions that share curves."""
    for name, (pymc, meridian) in PUBLISHED.items():
        table = pd.read_csv(DATA / "param_recovery" / f"{name}.csv", parse_dates=["date"])
        true = pd.read_csv(DATA / "param_recovery" / f"{name}_true_contributions.csv", parse_dates=["date"])
        lines = [column for column in table if column.startswith("x")]
        frames, truths = [], []
        for region, rows in table.groupby("geo"):
            rows = rows.set_index("date")
            frames.append(Weekly(rows["y"], rows[lines], controls=rows[["c1", "c2"]]))
            mine = true[true["geo"] == region].set_index("date")
            truths.append(mine[[f"contribution_{line}" for line in lines]].set_axis(lines, axis=1))
        start = time.process_time()
        fits = fit_regions(frames, seed=0)
        seconds = time.process_time() - start
        errors = pd.concat([srmse(*pair) for pair in zip(fits, truths, strict=True)])
        cover = np.mean([inside(one, each.sum()).mean() for one, each in zip(fits, truths, strict=True)])
        _shown(errors.rename_axis("line").reset_index())
        mean = errors[["posterior mean", "per draw"]].mean()
        _contenders.note(
            f"{name}: published PyMC-Marketing {pymc}, Meridian {meridian} (version not stated); 90 % intervals hold "
            f"{cover:.2f}; R-hat {fits[0].rhat.max():.3f}; {seconds:.1f} CPU s"
        )
        for version, figure in mean.items():
            _contenders.claim(
                f"{name}, SRMSE ({version}), against PyMC-Marketing as published", figure, pymc, ".3f"
            )


def _shown(frame: pd.DataFrame) -> None:
    _contenders.table(frame.round(3).to_dict("records"))


def coverage(worlds: int = 100) -> None:
    """Print how often the intervals of re-seeded start-up-like worlds hold the truth."""
    held, errors, start = [], [], time.process_time()
    for seed in range(worlds):
        world = start_up(seed)
        found = fit(world.weekly, seed=seed)
        held.append([inside(found, world.contribution.sum(), level) for level in (0.9, 0.95)])
        errors.append(srmse(found, world.contribution))
    seconds = (time.process_time() - start) / worlds
    table = pd.concat([pd.DataFrame(pair, ["90 %", "95 %"]).T for pair in held]).astype(float)
    by_line = table.groupby(table.index).mean()
    by_line["SRMSE"] = pd.concat(errors)["posterior mean"].groupby(level=0).mean()
    _shown(by_line.rename_axis("line").reset_index())
    error = np.sqrt(0.9 * 0.1 / len(table))
    _contenders.note(f"{worlds} start-up worlds: {table['90 %'].mean():.3f} of 90 % (Monte-Carlo error {error:.3f}), "
          f"{table['95 %'].mean():.3f} of 95 % intervals hold; {seconds:.1f} CPU s a fit")  # fmt: skip


def worlds() -> None:
    """Print error, coverage and grade of worlds that each break one assumption (mmm-framework, Apache-2.0)."""
    for path in sorted((DATA / "worlds").glob("*.csv")):
        table, truth = pd.read_csv(path), json.loads(path.with_name(f"{path.stem}_truth.json").read_text())
        table.index = pd.date_range("2021-01-04", periods=len(table), freq="W-MON")
        drivers = table[[column for column in table if column.startswith("ctl_")]]
        frame = Weekly(table["y"], table[truth["channels"]], controls=drivers)
        graded(path.stem, frame, pd.Series(truth["true_contribution"]))


def graded(name: str, frame: Weekly, truth: pd.Series) -> tuple[str, bool]:
    """Print how a world comes out; return its grade, and whether every line's interval holds."""
    found = fit(frame, seed=0)
    grade = trust(found, gate(frame))
    held = inside(found, truth)
    error = pd.Series(
        {line: found.contribution(line).sum(axis=1).mean() / truth[line] - 1 for line in truth.index}
    )
    why = (
        ", ".join(dict.fromkeys(each.code for each in grade.checks if each.verdict != "ok"))
        or "nothing flagged"
    )
    _contenders.note(f"{name:20s} {grade.grade:6s} median error {error.abs().median():.2f}, 90 % intervals hold "
          f"{held.mean():.2f} ({why})")  # fmt: skip
    return grade.grade, bool(held.all())


def clean_worlds(count: int = 20) -> None:
    """Print how many re-seeded clean worlds are green, and what becomes of worlds with hidden demand."""
    grades = [graded(f"clean {seed}", *_world(seed, 0.0)) for seed in range(count)]
    _contenders.note(f"{sum(grade == 'green' for grade, _ in grades)} of {count} clean worlds are green")
    hidden = [graded(f"hidden demand {seed}", *_world(seed, 0.6)) for seed in range(6)]
    silent = sum(grade == "green" and not held for grade, held in hidden)
    _contenders.note(
        f"{silent} of {len(hidden)} worlds with hidden demand are green although an interval misses the truth"
    )


def _world(seed: int, demand: float) -> tuple[Weekly, pd.Series]:
    made = clean(seed, demand=demand)
    return made.weekly, made.contribution.sum()


def plan_quality(count: int = 8) -> None:
    """Print the share of the attainable gain that plans on fitted curves capture, at today's budget."""
    shares = []
    for seed in range(count):
        world = start_up(seed)
        today = world.weekly.spend.mean() * WEEKS_OF_MONTH
        lines = pd.DataFrame({"today": today, "low": 0.0, "high": np.minimum(30 * today, today.sum())})
        terms = Terms(float(today.sum()), lines)
        plan = allocate(responses_of(fit(world.weekly, seed=seed)), terms)
        best = allocate(world.responses, terms)
        brought = sum(
            float(world.responses[line].value(np.array([at]))[0])
            for line, at in plan.lines["proposed"].items()
        )
        shares.append((brought - best.outcome_today) / (best.outcome - best.outcome_today))
        _contenders.note(
            f"world {seed}: {shares[-1]:.3f} of the attainable gain; certified gap {plan.gap:.5f}"
        )
    _contenders.note(f"plans capture {np.mean(shares):.3f} of the attainable gain (least {min(shares):.3f})")


def expected_gains(count: int = 20) -> None:
    """Print what plans were expected to gain, by a report's rules, and what they gain on the true curves."""
    for name, make in KINDS.items():
        gains_of(name, make, range(1_000, 1_000 + count))


def gains_of(name: str, make: Callable[[int], World], seeds: range) -> None:
    """Print by plan how the expected gain compares with the true one, and that with what could be gained."""
    rows = []
    for seed in seeds:
        for plan, expected, true, best in gains(make(seed), seed):
            held = expected.low <= true <= expected.high
            rows.append((plan, expected.value, true, best, held, true < expected.low, expected.confidence))
    columns = ["plan", "expected", "true", "best", "held", "below", "level"]
    for plan, found in pd.DataFrame(rows, columns=columns).groupby("plan"):
        total = found[["expected", "true", "best"]].sum()
        ratio, caught = total["expected"] / total["true"], total["true"] / total["best"]
        below, level = found["below"].mean(), found["level"].iloc[0]
        _contenders.note(
            f"{name} {plan}: expected is {ratio:.2f} of the true gain, which is {caught:.2f} of the attainable; "
            f"{level:.0%} intervals hold {found['held'].mean():.2f}, true gain below in {below:.2f} "
            f"({len(found)} worlds)"
        )


if __name__ == "__main__":
    parts = {
        "recovery": recovery,
        "coverage": coverage,
        "worlds": worlds,
        "clean": clean_worlds,
        "plans": plan_quality,
        "gains": expected_gains,
    }
    for part in sys.argv[1:] or parts:
        if part in {"recovery", "worlds"} and not DATA.exists():
            _contenders.note(f"The reference data are not here, so {part} was not measured.")
        else:
            parts[part]()
    sys.exit(_contenders.concluded())
