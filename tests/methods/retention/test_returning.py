"""Return curves against lifelines, a count by hand, planted return probabilities and planted coverage."""

from __future__ import annotations

import datetime as dt
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from lifelines import KaplanMeierFitter
from numpy.typing import NDArray

from helpers.methods.retention.returning import THRESHOLDS, Returns, returns, silences
from helpers.simulate import community
from helpers.stats.estimate import Estimate, effective_size, estimate_of, wilson
from helpers.stats.incidence import incidence_shares
from helpers.study import Study

FIRST = dt.date(2026, 1, 1)
RATES, WEIGHTS = np.array([0.02, 0.10]), np.array([0.7, 0.3])


def bernoulli_log(rng: np.random.Generator, members: int, length: int) -> pd.DataFrame:
    """Every member is active on each day with their own probability: silence ends by a known hazard."""
    rate = rng.choice(RATES, members, p=WEIGHTS)
    who, when = np.nonzero(rng.random((members, length)) < rate[:, None])
    days = np.datetime64(FIRST) + when
    return pd.DataFrame({"member_id": who.astype(str), "day": days, "kind": "interaction"})


def study_of(log: pd.DataFrame, people: pd.DataFrame | None, as_of: dt.date, **settings) -> Study:
    frames = {"activity": log} if people is None else {"activity": log, "population": people}
    return Study.of(frames, as_of, **settings)


def ask(log: pd.DataFrame, people: pd.DataFrame | None, as_of: dt.date, **settings) -> Returns:
    return returns(study_of(log, people, as_of, **settings))


class Shares:
    """Shares after any thresholds and horizons, of the silences that the method counts."""

    def __init__(self, study: Study, thresholds: tuple[int, ...], horizons: tuple[int, ...]) -> None:
        _rows, self.spells = found = silences(study)
        each = {days: incidence_shares(*found, thresholds, days, study.confidence)[0] for days in horizons}
        self.shares = pd.concat([shares.assign(horizon=days) for days, shares in each.items()])

    def share(self, threshold: int, horizon: int) -> Estimate:
        row = self.shares.set_index(["threshold", "horizon"]).loc[(threshold, horizon)]
        return estimate_of(row, row["declarations"], "", 0.95)


def planted_share(threshold: int, horizon: int) -> float:
    """The probability to return within the horizon, over declarations: lively members make more of them."""
    declared = WEIGHTS * RATES * (1 - RATES) ** threshold
    return float((declared * (1 - (1 - RATES) ** horizon)).sum() / declared.sum())


def end_of(length: int) -> dt.date:
    return FIRST + dt.timedelta(days=length - 1)


def population(log: pd.DataFrame, rng: np.random.Generator, share: float) -> pd.DataFrame:
    members = sorted(log["member_id"].unique())
    left = [FIRST + dt.timedelta(days=int(d)) for d in rng.integers(1, 200, len(members))]
    gone = rng.random(len(members)) < share
    return pd.DataFrame(
        {
            "member_id": members,
            "joined_day": FIRST,
            "left_day": [day if g else None for day, g in zip(left, gone, strict=True)],
        }
    )


def spells_by_hand(
    log: pd.DataFrame, people: pd.DataFrame | None, as_of: dt.date
) -> list[tuple[str, int, str]]:
    found = []
    left_days = {} if people is None else dict(zip(people["member_id"], people["left_day"], strict=True))
    for member, rows in log.groupby("member_id"):
        left = left_days.get(member)
        end = min(as_of, left) if left else as_of
        days = sorted({day for day in pd.to_datetime(rows["day"]).dt.date if day <= end})
        found += [(member, (b - a).days, "returned") for a, b in pairwise(days)]
        if days:
            found.append((member, (end - days[-1]).days, "left" if left and left <= as_of else "open"))
    return found


def aalen_johansen(
    found: list[tuple[str, int, str]], threshold: int, horizon: int, weights: dict[str, float] | None = None
) -> float:
    """Return F(horizon) step by step over days, every spell weighted with its member's weight."""
    spells = [(m, t - threshold, e) for m, t, e in found if t > threshold or (t == threshold and e == "open")]
    weigh = {m: 1.0 for m, _t, _e in spells} if weights is None else weights
    share, silent = 0.0, 1.0
    for day in range(1, horizon + 1):
        at_risk = sum(weigh[m] for m, t, _e in spells if t >= day)
        if at_risk <= 0:
            break
        back = sum(weigh[m] for m, t, e in spells if t == day and e == "returned") / at_risk
        gone = sum(weigh[m] for m, t, e in spells if t == day and e == "left") / at_risk
        share, silent = share + silent * back, silent * (1 - back - gone)
    return share


def test_the_curve_is_one_minus_kaplan_meier_of_lifelines() -> None:
    log = bernoulli_log(np.random.default_rng(1), 80, 200)
    curves = Shares(study_of(log, None, end_of(200)), (14,), (20, 60))
    found = [
        (t - 14, e)
        for _m, t, e in spells_by_hand(log, None, end_of(200))
        if t > 14 or (t == 14 and e == "open")
    ]
    fitted = KaplanMeierFitter().fit([t for t, _e in found], [e == "returned" for _t, e in found])
    for horizon in (20, 60):
        expected = 1 - fitted.survival_function_at_times(horizon).iloc[0]
        assert curves.share(14, horizon).value == pytest.approx(expected, abs=1e-10)
        assert curves.share(14, horizon).n == len(found)


def test_leaving_competes_and_equals_a_count_by_hand() -> None:
    rng = np.random.default_rng(2)
    log = bernoulli_log(rng, 60, 200)
    people = population(log, rng, 0.5)
    curves = Shares(study_of(log, people, end_of(200)), (7, 30), (30,))
    found = spells_by_hand(log, people, end_of(200))
    for threshold in (7, 30):
        expected = aalen_johansen(found, threshold, 30)
        assert curves.share(threshold, 30).value == pytest.approx(expected, abs=1e-10)
    counted = pd.Series([(t, e) for _m, t, e in found]).value_counts()
    cells = curves.spells.set_index(["time", "end"])["n"]
    assert {key: n for key, n in counted.items()} == cells.to_dict()


def test_the_variance_is_the_jackknife_over_members() -> None:
    """The derivative of F by the weight of a member, taken numerically, is the member's influence."""
    rng = np.random.default_rng(3)
    log = bernoulli_log(rng, 25, 150)
    people = population(log, rng, 0.4)
    found = spells_by_hand(log, people, end_of(150))
    members = sorted({m for m, t, e in found if t > 10 or (t == 10 and e == "open")})
    base, step, slopes = aalen_johansen(found, 10, 25), 1e-6, []
    for member in members:
        weights = {m: 1.0 + step * (m == member) for m in members}
        slopes.append((aalen_johansen(found, 10, 25, weights) - base) / step)
    variance = len(members) / (len(members) - 1) * float(np.square(slopes).sum())
    curves = Shares(study_of(log, people, end_of(150)), (10,), (25,))

    size = effective_size(base, variance, len(members) - 1)
    low, high = wilson(base * size, size)
    estimate = curves.share(10, 25)
    assert (estimate.low, estimate.high) == pytest.approx((float(low), float(high)), abs=1e-5)


def test_the_planted_return_probability_is_found() -> None:
    log = bernoulli_log(np.random.default_rng(4), 3000, 365)
    asked = study_of(log, None, end_of(365), confidence=0.999)
    curves = Shares(asked, THRESHOLDS, (30, 90))
    for threshold in THRESHOLDS:
        for horizon in (30, 90):
            estimate = curves.share(threshold, horizon)
            assert estimate.low < planted_share(threshold, horizon) < estimate.high
    assert curves.share(7, 90).high - curves.share(7, 90).low < 0.05


def test_who_is_called_churned_today_stands_beside_who_comes_back() -> None:
    rng = np.random.default_rng(6)
    log = bernoulli_log(rng, 300, 365)
    people = population(log, rng, 0.2)
    found = ask(log, people, end_of(365))
    here = people[people["left_day"].isna()]["member_id"]
    last = pd.to_datetime(log[log["member_id"].isin(here)].groupby("member_id")["day"].max())
    silence = (pd.Timestamp(end_of(365)) - last).dt.days
    now = [found.silent_now(days) for days in THRESHOLDS]
    assert [silent for silent, _part in now] == [int((silence >= d).sum()) for d in THRESHOLDS]
    assert {part.n for _silent, part in now} == {len(silence)}
    words, (silent, part) = found.table.set_index("days_silent").loc[30], found.silent_now(30)
    share = found.share(30)
    assert words["silent_now"].startswith(f"{silent:,}: {100 * part.value:.1f} % (")
    assert words["came_back"].startswith(f"{100 * share.value:.1f} % (")
    assert words["came_back"].endswith(f"n = {share.n:,})")


def test_the_phrase_and_small_counts() -> None:
    log = bernoulli_log(np.random.default_rng(6), 300, 365)
    plain, kept = (ask(log, None, end_of(365), k_min=k) for k in (1, 50))
    days = plain.study.silence_days
    share = plain.share(days)
    expected = f"Back within 90 days, of members silent for {days} days: {100 * share.value:.1f} % ("
    assert plain.sentence.startswith(
        expected + f"{100 * share.low:.1f} % to {100 * share.high:.1f} %, n = {share.n:,})"
    )
    now = [plain.silent_now(days) for days in THRESHOLDS]
    few, nearly = ([0 < n < 50 for n in sizes] for sizes in zip(*((n, p.n - n) for n, p in now), strict=True))
    assert any(few) or any(nearly)
    assert (kept.table["silent_now"] == "fewer than 50").tolist() == few
    assert (kept.table["silent_now"] == "all but fewer than 50").tolist() == nearly
    assert "too little data" in ask(log.iloc[:1], None, log["day"].iloc[0].date()).sentence


def returns_with(shares: list[tuple[int, float, float, float]], allowed: float = 0.1) -> Returns:
    table = pd.DataFrame(shares, columns=["threshold", "share", "low", "high"])
    table = table.assign(horizon=90, declarations=500, members=400, returned=1)
    empty = pd.DataFrame(columns=["time", "end", "n"])
    return Returns(Study.of({"activity": empty}, FIRST), table, empty, empty, allowed)


def test_the_shortest_silence_within_what_is_allowed_is_chosen() -> None:
    shares = [(14, 0.30, 0.2, 0.4), (30, 0.09, 0.06, 0.12), (60, 0.05, 0.02, 0.09)]
    strict, lenient = returns_with(shares), returns_with(shares, 0.12)
    assert (strict.churned_after, lenient.churned_after) == (60, 30)
    assert "After 60 silent days" in strict.verdict
    assert "5.0 % (2.0 % to 9.0 %, n = 500)" in strict.verdict


def test_where_no_silence_qualifies_states_are_recommended() -> None:
    found = returns_with([(14, 0.30, 0.2, 0.4), (30, 0.25, 0.2, 0.3)])
    assert found.churned_after is None
    assert "25.0 % (20.0 % to 30.0 %, n = 500)" in found.verdict
    assert "active or dormant" in found.verdict


def returns_after(gaps: list[int], last: int, members: int = 40) -> pd.DataFrame:
    """Every member is active, and back after each of the gaps in turn; the last day active is `last`."""
    days = last - np.concatenate([[0], np.cumsum(gaps[::-1])])
    rows = [(f"m{member}", FIRST + dt.timedelta(days=int(day))) for member in range(members) for day in days]
    return pd.DataFrame(rows, columns=["member_id", "day"]).assign(kind="interaction")


def test_a_curve_that_has_levelled_is_carried_forward() -> None:
    """2,664 silences of 9 to 19 days, all but the last of one member over: nobody is watched for 30 more days."""
    gaps = [9 + k % 11 for k in range(65)]
    log = returns_after(gaps, 940)
    silent = log[log["member_id"] == "m0"].assign(member_id="quiet")
    silent = silent[silent["day"] <= FIRST + dt.timedelta(days=921)]
    log, as_of = pd.concat([log, silent]), FIRST + dt.timedelta(days=940)
    row = Shares(study_of(log, None, as_of), (7,), (12, 30)).shares.iloc[1]
    assert row["declarations"] == 40 * 65 + len(silent)
    assert row["returned"] == row["declarations"] - 1
    assert 0.997 < row["low"] <= row["share"] <= row["high"] <= 1 and row["share"] > 0.999
    found = ask(log, None, as_of)
    assert "is sure to mean churn" in found.verdict and found.churned_after is None


def test_what_is_still_silent_when_a_curve_levels_may_all_come_back() -> None:
    """By hand: 1,000 silences, 994 back on their 8th day, 6 members lost from view after 9 days."""
    back = returns_after([8, 8], 500, members=497)
    lost = returns_after([], 0, members=6).assign(member_id=lambda t: "x" + t["member_id"])
    lost["day"] = FIRST + dt.timedelta(days=491)
    as_of = FIRST + dt.timedelta(days=500)
    row = Shares(study_of(pd.concat([back, lost]), None, as_of), (7,), (30,)).shares.iloc[0]
    assert (row["declarations"], row["returned"], row["share"]) == (1000, 994, 0.994)
    assert row["low"] < 0.994 and row["high"] == 1
    lost = pd.concat([lost, lost.assign(member_id=lost["member_id"] + "y")])
    row = Shares(study_of(pd.concat([back, lost]), None, as_of), (7,), (30,)).shares.iloc[0]
    assert np.isnan(row["share"]) and np.isnan(row["low"])


def test_where_nobody_was_lost_from_view_few_at_risk_are_enough() -> None:
    """Twelve silences that end one by one, all seen: the share is a plain one of twelve members."""
    rows = [(f"m{k}", FIRST + dt.timedelta(days=day)) for k in range(12) for day in (0, 9 + k)]
    log = pd.DataFrame(rows, columns=["member_id", "day"]).assign(kind="interaction")
    people = pd.DataFrame({"member_id": [f"m{k}" for k in range(12)], "joined_day": FIRST})
    gone = FIRST + dt.timedelta(days=8)
    people["left_day"] = [gone if k < 3 else FIRST + dt.timedelta(days=9 + k) for k in range(12)]
    log = log[~log["member_id"].isin(["m0", "m1", "m2"]) | (log["day"] == FIRST)]
    curves = Shares(study_of(log, people, FIRST + dt.timedelta(days=90)), (7,), (30,))

    estimate = curves.share(7, 30)
    assert (estimate.value, estimate.n) == (0.75, 12)
    low, high = wilson(9, 12)
    # A little wider than Wilson's: Student's t with 11 degrees of freedom.
    assert low - 0.05 < estimate.low < low and high < estimate.high < high + 0.05


def test_two_declarations_are_no_verdict() -> None:
    log = returns_after([70], 100, members=2)
    curves = Shares(study_of(log, None, FIRST + dt.timedelta(days=100)), (30, 60), (30,))
    assert curves.shares["share"].isna().all()
    assert "too little data" in ask(log, None, FIRST + dt.timedelta(days=100)).verdict
    half = returns_with([(30, 1.0, np.nan, np.nan), (60, 1.0, np.nan, np.nan)])
    assert "too little data" in half.verdict


def test_an_interval_around_what_is_allowed_settles_nothing() -> None:
    found = returns_with([(30, 0.12, 0.05, 0.25)])
    assert found.churned_after is None and "is sure to mean churn" in found.verdict
    assert "at most 10 % was allowed" in found.verdict


@pytest.mark.parametrize("rows", [0, 1, 5])
def test_too_little_data_is_said_and_never_raised(rows: int) -> None:
    days = [FIRST + dt.timedelta(days=3 * k) for k in range(rows)]
    log = pd.DataFrame({"member_id": ["a"] * rows, "day": days, "kind": ["interaction"] * rows})
    found = ask(log, None, end_of(14))
    assert "too little data" in found.sentence and "too little data" in found.verdict
    assert found.shares["share"].isna().all()
    assert found.churned_after is None
    assert found.silent_now(7)[1].n == min(rows, 1)


def test_the_order_of_rows_does_not_matter() -> None:
    log = bernoulli_log(np.random.default_rng(7), 60, 200)
    one, two = (ask(frame, None, end_of(200)) for frame in (log, log.sample(frac=1, random_state=1)))
    pd.testing.assert_frame_equal(one.shares, two.shares, check_exact=True)


def test_a_simulated_community_returns_as_its_tables_say() -> None:
    made = community(members=250, days=270, seed=3, tables=["members", "events"])
    as_of = dt.date(2025, 7, 1) + dt.timedelta(days=269)
    study = Study.of(made.tables, as_of)
    curves = Shares(study, (30,), (60,))
    raw, who = study.activity.to_pandas(), study.population.to_pandas()
    raw = raw[raw["kind"] == "interaction"]
    who["left_day"] = [None if pd.isna(day) else pd.Timestamp(day).date() for day in who["left_day"]]
    expected = aalen_johansen(spells_by_hand(raw, who, as_of), 30, 60)
    assert curves.share(30, 60).value == pytest.approx(expected, abs=1e-10)


def coverage(sims: int, members: int, length: int, cells: list[tuple[int, int]]) -> NDArray[np.float64]:
    hits = np.zeros(len(cells))
    for seed in range(sims):
        log = bernoulli_log(np.random.default_rng([91, seed]), members, length)
        curves = Shares(study_of(log, None, end_of(length)), (14, 30), (14, 30))
        for k, (threshold, horizon) in enumerate(cells):
            estimate = curves.share(threshold, horizon)
            hits[k] += estimate.low <= planted_share(threshold, horizon) <= estimate.high
    return hits / sims


@pytest.mark.slow
def test_intervals_cover_the_planted_return_share() -> None:
    cells = [(14, 14), (14, 30), (30, 14), (30, 30)]
    found = coverage(400, 100, 240, cells)
    assert 0.93 <= found.mean() <= 0.97
    assert found.min() > 0.915
