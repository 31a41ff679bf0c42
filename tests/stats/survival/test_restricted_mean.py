"""Restricted means with few exits: measured coverage on planted stays, and hand-computed late entry."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from helpers.stats.survival.cells import DayCounts
from helpers.stats.survival.compare import mean_difference
from helpers.stats.survival.curves import survival
from helpers.stats.survival.restricted_mean import (
    FEW_EXITS,
    drawn_means,
    restricted_means,
)
from helpers.study import enough

HORIZON = 90
HALF = 0.5
"""Share of members not yet censored at the horizon, where members are censored at all."""


def truth(stay: float) -> float:
    """Planted restricted mean when the share `stay` is still there at the horizon and the hazard is constant."""
    return float((stay ** (np.arange(1, HORIZON + 1) / HORIZON)).sum())


def communities(
    rng: np.random.Generator, size: int, n: int, stay: float, censored: bool = False, late: str = ""
) -> DayCounts:
    """Return `size` communities of n members as segments, with exponential stays in whole days.

    Censoring is uniform. `late`: "half" of the members enter on a uniform day of the first half, or all but four
    enter only on days 40 to 59 ("thin"); those who enter are those still there.
    """
    shape = (size, n)
    entry = np.zeros(shape, dtype="int64")
    if late == "half":
        entry = np.where(rng.random(shape) < 0.5, rng.integers(0, HORIZON // 2, shape), 0)
    elif late == "thin":
        entry[:, 4:] = rng.integers(40, 60, (size, n - 4))
    exit_day = (rng.exponential(1, shape) / -np.log(stay) * HORIZON).astype("int64") + entry
    last = np.full(shape, HORIZON)
    if censored:
        last = (rng.uniform(0, 1 / (1 - HALF), shape) * HORIZON).astype("int64") + entry
    end = np.minimum(np.minimum(exit_day, last), HORIZON)
    left = (exit_day <= last) & (exit_day < HORIZON)
    rows = np.arange(size)[:, None] * (HORIZON + 1)

    def by_day(codes: NDArray[np.int64]) -> NDArray[np.float64]:
        return np.bincount(codes, minlength=size * (HORIZON + 1)).reshape(size, -1).astype(float)

    gone, came = by_day((rows + end).ravel()), by_day((rows + entry).ravel())
    events = by_day((rows + end)[left])[:, :HORIZON]
    at_risk = (came.cumsum(axis=1) - np.hstack([np.zeros((size, 1)), gone.cumsum(axis=1)[:, :-1]]))[
        :, :HORIZON
    ]
    names = [str(i) for i in range(size)]
    return DayCounts(names, at_risk, events, gone[:, :HORIZON] - events, np.full(size, float(n)))


def misses(counts: DayCounts, stay: float) -> tuple[float, float, int]:
    """Return how often the truth lies below and above the interval, and how many intervals there are."""
    found = restricted_means(counts, HORIZON)
    low, high = (limit[np.isfinite(found.mean)] for limit in found.limits(0.95))
    mean = truth(stay)
    return float((mean < low - 1e-9).mean()), float((mean > high + 1e-9).mean()), low.size


def assert_covers(counts: DayCounts, n: int, stay: float, late: str = "") -> None:
    """Between 93 and 97 per cent, up to Monte-Carlo error; above it only where hardly anybody leaves."""
    below, above, given = misses(counts, stay)
    slack = 3 * np.sqrt(0.05 * 0.95 / given)
    covered = 1 - below - above
    assert covered >= 0.93 - slack, (n, stay, below, above)
    if n * (1 - stay) > 2.5 and late != "thin":  # four members on the first days: the interval is too wide
        assert covered <= 0.97 + slack, (n, stay, below, above)
    else:
        # Early exits alone can put the interval too low; without an exit it ends at the horizon.
        assert above <= 0.05 + slack, (n, stay, below, above)


@pytest.mark.parametrize(
    ("n", "stay", "censored", "late"),
    [(12, 0.8, False, ""), (20, 0.8, True, ""), (20, 0.94, False, ""), (50, 0.8, False, "thin")],
)  # fmt: skip
def test_coverage_with_few_exits(n: int, stay: float, censored: bool, late: str) -> None:
    assert_covers(communities(np.random.default_rng(3), 300, n, stay, censored, late), n, stay, late)


@pytest.mark.slow
@pytest.mark.parametrize(("censored", "late"), [(False, ""), (True, ""), (False, "half"), (False, "thin")])
@pytest.mark.parametrize("n", [5, 12, 20, 50, 200])
def test_coverage_everywhere(n: int, censored: bool, late: str) -> None:
    for stay in (0.5, 0.8, 0.94, 0.99):
        assert_covers(communities(np.random.default_rng(4), 1_000, n, stay, censored, late), n, stay, late)


def rejections(many: int, few: int, stay: float, size: int, censored: bool = False) -> tuple[float, float]:
    """Return how often members of the small of two equal segments seem to stay longer, and shorter."""
    rng = np.random.default_rng(5)
    large, small = (communities(rng, size, n, stay, censored) for n in (many, few))
    longer = shorter = 0
    for row in range(size):
        both = DayCounts(
            small.labels[:2],
            *(
                np.stack([getattr(part, name)[row] for part in (large, small)])
                for name in ("at_risk", "events", "censored", "members")
            ),
        )
        low, high = restricted_means(both, HORIZON).difference_limits(1, 0, 0.95)
        longer, shorter = longer + (low > 0), shorter + (high < 0)
    return longer / size, shorter / size


def test_a_small_segment_differs_from_an_equal_one_in_one_of_twenty() -> None:
    """With the normal interval it was one half, nearly always "stays longer"."""
    longer, shorter = rejections(400, 12, 0.94, 150)
    slack = 3 * np.sqrt(0.025 * 0.975 / 150)
    assert longer <= 0.025 + slack and shorter <= 0.035 + slack


@pytest.mark.slow
@pytest.mark.parametrize("censored", [False, True])
@pytest.mark.parametrize(("many", "few"), [(400, 12), (200, 16), (60, 60)])
def test_equal_segments_differ_in_one_of_twenty_everywhere(many: int, few: int, censored: bool) -> None:
    for stay in (0.5, 0.8, 0.94, 0.99):
        longer, shorter = rejections(many, few, stay, 800, censored)
        slack = 3 * np.sqrt(0.05 * 0.95 / 800)
        assert longer + shorter <= 0.07 + slack, (stay, longer, shorter)
        if few * (1 - stay) > 2.5:
            assert longer + shorter >= 0.03 - slack, (stay, longer, shorter)


def test_where_the_interval_changes_both_agree() -> None:
    counts = communities(np.random.default_rng(6), 30, 260, 0.65)
    found = restricted_means(counts, HORIZON)
    exits = counts.events.sum(axis=1)
    assert [drawn is not None for drawn in found.draws] == (exits < FEW_EXITS).tolist()
    near = np.flatnonzero(abs(exits - FEW_EXITS) < 12)
    assert len(near) > 15
    for row in near:
        drawn = np.quantile(drawn_means(counts.at_risk[row], counts.events[row], HORIZON), [0.025, 0.975])
        normal = found.mean[row] + 1.96 * found.error[row] * np.array([-1, 1])
        assert drawn == pytest.approx(normal, abs=0.15 * np.ptp(normal))


def test_without_an_exit_the_lower_limit_is_that_of_a_beta() -> None:
    """20 members, no exit in 50 days: the draws fall to V^(1/20), linearly over the days."""
    drawn = drawn_means(np.full(50, 20.0), np.zeros(50), 50)
    low = 0.025 ** (1 / 20)  # Clopper and Pearson's limit of 20 of 20, one-sided 2.5 per cent
    assert np.quantile(drawn, 0.025) == pytest.approx(50 - (1 - low) * 51 / 2, abs=0.4)


def cells_of(rows: pd.DataFrame) -> pd.DataFrame:
    """Cells without an engine."""
    keys = [name for name in ("plan", "entry_day", "tenure_days") if name in rows.columns]
    grouped = rows.groupby(keys)["exited"].agg(n="size", events="sum").reset_index()
    return grouped.rename(columns={"tenure_days": "tenure_day"})


def arms(**sizes: int) -> pd.DataFrame:
    """Cells of plans whose members are all still there after 30 days."""
    rows = [(plan, 30, False) for plan, size in sizes.items() for _ in range(size)]
    return cells_of(pd.DataFrame(rows, columns=["plan", "tenure_days", "exited"]))


def test_no_exit_is_no_certainty() -> None:
    row = survival(arms(a=30)).restricted_mean(30).iloc[0]
    assert row["mean"] == row["high"] == 30 and 27 < row["low"] < 29
    found = mean_difference(arms(a=30, b=12), "plan", "b", "a", horizon=30)
    assert found.value == 0 and found.low < -1 < 0 < found.high
    few = survival(arms(a=enough.MEMBERS_OF_A_MEAN - 1)).restricted_mean(30).iloc[0]
    assert few[["mean", "low", "high"]].isna().all()


def test_neither_order_nor_other_segments_matter() -> None:
    rng = np.random.default_rng(8)
    rows = pd.DataFrame({"plan": rng.choice(list("abc"), 90), "tenure_days": rng.geometric(0.03, 90)})
    rows["exited"] = rows["tenure_days"] < 30
    rows["tenure_days"] = rows["tenure_days"].clip(upper=30)
    table = survival(cells_of(rows), "plan").restricted_mean(30).set_index("segment")
    other = rows.assign(plan=rows["plan"].map({"a": "z", "b": "y", "c": "x"}))
    turned = survival(cells_of(other), "plan").restricted_mean(30).set_index("segment")
    for plan, name in zip("abc", "zyx", strict=True):
        assert table.loc[plan].tolist() == turned.loc[name].tolist()
        alone = survival(cells_of(rows[rows["plan"] == plan]), "plan").restricted_mean(30).iloc[0]
        assert alone[["mean", "low", "high"]].tolist() == table.loc[plan, ["mean", "low", "high"]].tolist()
    one = mean_difference(cells_of(rows), "plan", "b", "a", horizon=30)
    back = mean_difference(cells_of(rows), "plan", "a", "b", horizon=30)
    assert (one.value, one.low, one.high) == pytest.approx((-back.value, -back.high, -back.low))


def test_unseen_first_days_give_no_unconditional_number() -> None:
    """All joined before the log: nobody seen before day 200, then 10 at risk, 6 of whom leave on day 210."""
    rows = pd.DataFrame({"tenure_days": [210] * 6 + [230] * 4, "exited": [True] * 6 + [False] * 4})
    rows["entry_day"] = 200
    curves = survival(cells_of(rows))
    assert np.isnan(curves.summary["median"].iloc[0])
    assert curves.restricted_mean(220)["mean"].isna().all()
    assert curves.restricted_mean(100)["mean"].isna().all()
    assert curves.at([90, 200, 220])["survival"].isna().all()
    table = curves.table.set_index("day")
    assert (table["from_day"] == 200).all() and table.loc[220, "survival"] == pytest.approx(0.4)


def test_one_segment_of_two_is_unseen_at_first() -> None:
    rng = np.random.default_rng(9)
    seen = pd.DataFrame({"plan": "new", "entry_day": 0, "tenure_days": rng.integers(1, 40, 60)})
    old = pd.DataFrame({"plan": "old", "entry_day": 300, "tenure_days": rng.integers(301, 340, 60)})
    curves = survival(cells_of(pd.concat([seen, old]).assign(exited=True)), "plan")
    means = curves.restricted_mean()
    assert curves.summary["from_day"].tolist() == [0, 300] and means["horizon"].nunique() == 1
    assert curves.summary["median"].isna().tolist() == means["mean"].isna().tolist() == [False, True]
    rows = cells_of(pd.concat([seen, old]).assign(exited=True))
    assert not mean_difference(rows, "plan", "new", "old", horizon=30).known


def test_after_a_day_nobody_has_seen_there_is_no_curve() -> None:
    """Ten newcomers watched for 5 days, two of whom leave on day 2; ten others seen from day 100 on."""
    rows = pd.DataFrame({"tenure_days": [2, 2, *[5] * 8, *[120] * 10], "entry_day": [0] * 10 + [100] * 10})
    rows["exited"] = [True] * 2 + [False] * 8 + [True] * 10
    curves = survival(cells_of(rows))
    found = curves.at([2, 5, 100, 120])["survival"].tolist()
    assert found[:2] == pytest.approx([0.8, 0.8]) and np.isnan(found[2:]).all()
    assert np.isnan(curves.summary["median"].iloc[0])
    assert curves.restricted_mean(6)["mean"].iloc[0] == pytest.approx(2 + 4 * 0.8)
    assert curves.restricted_mean(7)["mean"].isna().all()
