"""Active members and active days against a walk through the days, and the coverage of DAU/MAU."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from helpers.methods.retention.presence import presence
from helpers.methods.retention.stickiness import stickiness
from helpers.study import Study
from helpers.tables import Table
from tests.methods.retention.logs import interactions, random_log

FIRST, AS_OF = dt.date(2026, 1, 1), dt.date(2026, 3, 31)

# Shrinking an example runs the engine hundreds of times.
PHASES = (Phase.explicit, Phase.reuse, Phase.generate)


def planted(seed: int, members: int = 25) -> tuple[pd.DataFrame, pd.DataFrame]:
    log, people = random_log(seed, FIRST, AS_OF, members=members, rates=(0.0, 0.03, 0.1, 0.6))
    return interactions(log), people


def study(
    log: pd.DataFrame, people: pd.DataFrame | None = None, as_of: dt.date = AS_OF, k_min: int = 10
) -> Study:
    frames = {"activity": log} if people is None else {"activity": log, "population": people}
    return Study.of(frames, as_of, history_from=FIRST, k_min=k_min)


def active_in(log: pd.DataFrame, people: pd.DataFrame, day: dt.date, length: int) -> set[str]:
    """Members with an active day in the window who had not left before the day."""
    left = dict(zip(people["member_id"], people["left_day"], strict=True))
    begin = day - dt.timedelta(days=length - 1)
    return {
        member
        for member, one in zip(log["member_id"], log["day"], strict=True)
        if begin <= one <= day and (left[member] is None or (day <= left[member] and one <= left[member]))
    }


@settings(max_examples=4, deadline=None, phases=PHASES, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 10_000))
def test_ratios_are_means_over_the_days_counted_by_hand(seed: int) -> None:
    log, people = planted(seed)
    found = stickiness(study(log, people))
    window = pd.date_range(AS_OF - dt.timedelta(days=27), AS_OF).date
    means = {
        name: np.mean([len(active_in(log, people, day, length)) for day in window])
        for name, length in (("dau", 1), ("mau", 30))
    }
    if means["mau"]:
        assert found.ratio.value == pytest.approx(means["dau"] / means["mau"])
    assert ("DAU/MAU" in found.sentence) == found.ratio.known


def test_the_interval_is_that_of_a_bootstrap_of_members() -> None:
    log, people = planted(4, members=150)
    found = stickiness(study(log, people)).ratio
    days = pd.date_range(AS_OF - dt.timedelta(days=27), AS_OF).date
    index = {member: k for k, member in enumerate(people["member_id"])}
    sums = np.zeros((len(index), 2))
    for day in days:
        for column, length in ((0, 1), (1, 30)):
            for member in active_in(log, people, day, length):
                sums[index[member], column] += 1
    weights = np.random.default_rng(1).multinomial(len(sums), np.full(len(sums), 1 / len(sums)), 2000)
    low, high = np.quantile(np.divide(*(weights @ sums).T), [0.025, 0.975])
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
        found = stickiness(study(log, as_of=FIRST + dt.timedelta(days=69))).ratio
        hits.append(found.low <= truth <= found.high)
    assert 0.92 <= np.mean(hits) <= 0.98


def test_a_log_that_is_too_short_has_no_monthly_members() -> None:
    found = stickiness(study(*planted(2), FIRST + dt.timedelta(days=40)))
    assert not found.ratio.known
    assert "Too little data" in found.sentence


def test_silent_members_are_the_dormant_and_those_never_active() -> None:
    log, people = planted(7, members=80)
    found = presence(study(log, people))
    here = people[[left is None or left > AS_OF for left in people["left_day"]]]["member_id"]
    days = log[log["member_id"].isin(here) & (log["day"] <= AS_OF)]
    ago = (AS_OF - days.groupby("member_id")["day"].max()).map(lambda gap: gap.days)
    counted = [(ago < 1).sum(), (ago < 7).sum(), (ago < 30).sum()]
    silent = len(here) - (ago < 30).sum()
    assert found.table["members"].tolist() == [*counted, silent, (ago >= 30).sum(), len(here) - len(ago)]
    assert found.table["share"].iloc[3] == pytest.approx(silent / len(here))
    assert f"{silent:,} were silent" in found.sentence
    nobody = presence(Study.of({"activity": log.iloc[:0]}, AS_OF))
    assert "Nobody is present" in nobody.sentence and nobody.table["share"].isna().all()


@pytest.mark.parametrize(
    ("active", "said", "told"), [(8, "all but fewer than 10", "–"), (40, "3,000", "98.7 %")]
)
def test_nearly_all_are_told_of_without_the_few_others(active: int, said: str, told: str) -> None:
    people = pd.DataFrame({"member_id": [f"m{k}" for k in range(3_000 + active)], "joined_day": FIRST})
    log = pd.DataFrame({"member_id": people["member_id"].head(active), "day": AS_OF, "kind": "interaction"})
    asked = study(log, people.assign(left_day=None))
    found = presence(asked)
    assert f"{said} were silent" in found.sentence and (f" {active} were active" in found.sentence) == (
        active > 9
    )
    table = next(part for part in found.told() if isinstance(part, Table)).frame.set_index("who")
    assert table.loc["silent", "members"] == said
    assert np.isnan(table.loc["silent", "share"]) == (told == "–")
    assert table.loc["active in 7 days", "members"] == ("40" if active > 9 else "fewer than 10")


@pytest.mark.parametrize("rows", [0, 1])
def test_too_little_data_is_said_and_never_raised(rows: int) -> None:
    log = pd.DataFrame({"member_id": ["a"] * rows, "day": [AS_OF] * rows, "kind": ["interaction"] * rows})
    found = stickiness(Study.of({"activity": log}, AS_OF))
    assert "Too little data" in found.sentence and not found.ratio.known
