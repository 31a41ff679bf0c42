"""Active members and active days against a walk through the days, and the coverage of DAU/MAU."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from scipy import stats

from helpers.errors import BadParameters
from helpers.methods.retention.stickiness import lness, stickiness
from helpers.stats.estimate import bootstrap

FIRST, AS_OF = dt.date(2026, 1, 1), dt.date(2026, 3, 31)

# Shrinking an example runs the engine hundreds of times.
PHASES = (Phase.explicit, Phase.reuse, Phase.generate)


def random_log(seed: int, members: int = 25) -> tuple[pd.DataFrame, pd.DataFrame]:
    rng = np.random.default_rng(seed)
    days = pd.date_range(FIRST, AS_OF + dt.timedelta(days=2)).date
    rows, people = [], []
    for number in range(members):
        rate = rng.choice([0.0, 0.03, 0.1, 0.6])
        rows += [(f"m{number}", day, "interaction") for day in days[rng.random(len(days)) < rate]]
        left = days[int(rng.integers(0, len(days)))] if rng.random() < 0.3 else None
        people.append((f"m{number}", FIRST, left))
    log = pd.DataFrame(rows, columns=["member_id", "day", "kind"])
    return log, pd.DataFrame(people, columns=["member_id", "joined_day", "left_day"])


def active_in(log: pd.DataFrame, people: pd.DataFrame, day: dt.date, length: int) -> set[str]:
    """Members with an active day in the window who had not left before the day."""
    left = dict(zip(people["member_id"], people["left_day"], strict=True))
    begin = day - dt.timedelta(days=length - 1)
    return {
        member
        for member, one in zip(log["member_id"], log["day"], strict=True)
        if begin <= one <= day and (left[member] is None or (day <= left[member] and one <= left[member]))
    }


@settings(max_examples=6, deadline=None, phases=PHASES, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 10_000), days=st.sampled_from([7, 28, 70]))
def test_every_day_is_counted_as_by_hand(seed: int, days: int) -> None:
    log, people = random_log(seed)
    found = stickiness(log, people, as_of=AS_OF, days=days, history_from=FIRST)
    assert len(found.daily) == days
    for row in found.daily.to_dict("records"):
        for name, length in (("dau", 1), ("wau", 7), ("mau", 30)):
            if row["day"] < FIRST + dt.timedelta(days=length - 1):
                assert pd.isna(row[name])
            else:
                assert row[name] == len(active_in(log, people, row["day"], length))


def test_the_ratio_is_mean_dau_over_mean_mau() -> None:
    log, people = random_log(2, members=80)
    found = stickiness(log, people, as_of=AS_OF)
    daily = found.daily.astype({"dau": float, "wau": float, "mau": float})
    for name, over, under in (
        ("dau/mau", "dau", "mau"),
        ("dau/wau", "dau", "wau"),
        ("wau/mau", "wau", "mau"),
    ):
        assert found.ratio(name).value == pytest.approx(daily[over].mean() / daily[under].mean())
    assert found.ratio().low < found.ratio().value < found.ratio().high
    assert "DAU/MAU" in found.sentence


def test_the_interval_is_that_of_a_bootstrap_of_members() -> None:
    log, people = random_log(4, members=150)
    found = stickiness(log, people, as_of=AS_OF).ratio()
    days = pd.date_range(AS_OF - dt.timedelta(days=27), AS_OF).date
    index = {member: k for k, member in enumerate(people["member_id"])}
    sums = np.zeros((len(index), 2))
    for day in days:
        for column, length in ((0, 1), (1, 30)):
            for member in active_in(log, people, day, length):
                sums[index[member], column] += 1
    draws = bootstrap(lambda rows: float(np.divide(*sums[rows].sum(axis=0))), len(sums), draws=2000, seed=1)
    low, high = np.quantile(draws, [0.025, 0.975])
    assert found.high - found.low == pytest.approx(high - low, rel=0.1)
    assert found.low == pytest.approx(low, abs=0.02)


@pytest.mark.slow
def test_dau_over_mau_covers() -> None:
    """Members with planted daily rates: the true ratio is E[rate] / E[1 - (1 - rate)^30]."""
    rates, weights = np.array([0.01, 0.1, 0.6]), np.array([0.5, 0.4, 0.1])
    truth = float((weights * rates).sum() / (weights * (1 - (1 - rates) ** 30)).sum())
    days, hits = np.datetime64(FIRST) + np.arange(70), []
    for seed in range(300):
        rng = np.random.default_rng([5, seed])
        rate = rng.choice(rates, 150, p=weights)
        who, when = np.nonzero(rng.random((150, 70)) < rate[:, None])
        log = pd.DataFrame({"member_id": who.astype(str), "day": days[when], "kind": "interaction"})
        found = stickiness(log, as_of=FIRST + dt.timedelta(days=69), history_from=FIRST).ratio()
        hits.append(found.low <= truth <= found.high)
    assert 0.92 <= np.mean(hits) <= 0.98


def test_a_log_that_is_too_short_has_no_monthly_members() -> None:
    log, people = random_log(2)
    found = stickiness(log, people, as_of=FIRST + dt.timedelta(days=13), days=7, history_from=FIRST)
    assert found.daily["mau"].isna().all()
    assert found.ratio("dau/wau").known
    assert not found.ratio().known
    assert "Too little data" in found.sentence


@pytest.mark.parametrize("days", [7, 28])
def test_active_days_are_counted_as_by_hand(days: int) -> None:
    log, people = random_log(3, members=60)
    log = pd.concat([log, log])
    found = lness(log, people, as_of=AS_OF, days=days)
    here = people[[left is None or left > AS_OF for left in people["left_day"]]]["member_id"]
    begin = AS_OF - dt.timedelta(days=days - 1)
    inside = log[(log["day"] >= begin) & (log["day"] <= AS_OF)].drop_duplicates()
    each = inside.groupby("member_id").size().reindex(here, fill_value=0)
    assert found.table["members"].tolist() == [int((each == k).sum()) for k in range(days + 1)]
    assert found.mean == pytest.approx(each[each > 0].mean())
    assert found.table["share"].sum() == pytest.approx(1)
    active = each[each > 0].to_numpy(float)
    low, high = stats.t.interval(0.95, len(active) - 1, active.mean(), stats.sem(active))
    assert found.mean_estimate[:4] == pytest.approx((active.mean(), low, high, len(active)))
    assert f"came on {active.mean():.1f} ({low:.1f} to {high:.1f}) days on average" in found.sentence
    often = (active > days / 2).mean()
    assert f"{100 * often:.1f} % (" in found.sentence and f"({len(active):,} members)" in found.sentence


@pytest.mark.parametrize("rows", [0, 1])
def test_too_little_data_is_said_and_never_raised(rows: int) -> None:
    log = pd.DataFrame({"member_id": ["a"] * rows, "day": [AS_OF] * rows, "kind": ["interaction"] * rows})
    found = stickiness(log, as_of=AS_OF)
    assert "Too little data" in found.sentence
    assert found.ratios["share"].isna().all()
    few = lness(log, as_of=AS_OF)
    assert ("Too little data" in few.sentence) == (rows == 0)
    assert few.table["members"].sum() == rows


def test_wrong_questions_are_refused() -> None:
    log, people = random_log(1, members=3)
    for wrong in ({"days": 0}, {"days": 30}, {"confidence": 0}, {"count": "x"}):
        with pytest.raises(BadParameters):
            stickiness(log, people, as_of=AS_OF, **wrong)  # type: ignore[arg-type]
    with pytest.raises(BadParameters):
        stickiness(log, people, as_of=AS_OF).ratio("mau/dau")
    with pytest.raises(BadParameters):
        lness(log, people, as_of=AS_OF, days=0)
