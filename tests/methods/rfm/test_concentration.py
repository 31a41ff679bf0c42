"""Concentration against direct formulas on rows, published figures and planted truth; the convention of effort."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.data.source import as_table
from helpers.errors import BadData
from helpers.methods.rfm.concentration import (
    Followed,
    _concentration,
    compare_periods,
    concentration,
    effort_share,
    followed,
)
from helpers.methods.rfm.scores import Scores
from helpers.methods.rfm.tiers import TierScheme
from helpers.stats.resample import value_cells
from helpers.study import Study

AS_OF = "2026-05-04"


def asked(**tables: pd.DataFrame) -> Study:
    """A study that gives level, seed and unit, with few resamples."""
    nothing = pd.DataFrame(
        {"member_id": ["m"], "day": [pd.Timestamp("2026-01-01")], "kind": "order", "value": 0.0}
    )
    return Study.of({"activity": nothing, **tables}, AS_OF, draws=50)


STUDY = asked()


def scored(values: pd.DataFrame) -> Scores:
    """Members whose value is known."""
    return Scores(STUDY, as_table(values), {}, len(values), 5, 90)


def followed_up(members: pd.DataFrame, days: int = 60) -> Followed:
    """Members of whom both periods are known."""
    split = STUDY.as_of - dt.timedelta(days=days)
    return Followed(STUDY, as_table(members), ("potential", "core"), split, days)


def frame(values, **columns) -> pd.DataFrame:
    ids = [f"m{i:06d}" for i in range(len(values))]
    return pd.DataFrame({"member_id": ids, "frequency": 0, "monetary": np.asarray(values, float), **columns})


def gini_by_pairs(values) -> float:
    x = np.asarray(values, float)
    return np.abs(x[:, None] - x[None, :]).sum() / (2 * len(x) ** 2 * x.mean())


def top_share_by_rows(rank, value, top: float = 0.2) -> float:
    """Average over members tied in rank, then cut the sorted rows, taking a fraction of the last one."""
    tied = pd.DataFrame({"rank": rank, "value": value}).sort_values("rank", ascending=False)
    spread = tied.groupby("rank")["value"].transform("mean").to_numpy()
    wanted = top * len(spread)
    whole = int(wanted)
    part = (wanted - whole) * spread[whole] if whole < len(spread) else 0.0
    return float((spread[:whole].sum() + part) / spread.sum())


# --- against direct formulas -------------------------------------------------------------------------


def test_gini_and_top_share_equal_the_formulas_on_rows():
    rng = np.random.default_rng(1)
    for n in (21, 47, 203):  # 20 % of these is no whole number of members
        values = rng.integers(0, 12, n).astype(float)
        found = concentration(STUDY, scored(frame(values)))
        assert found.gini.value == pytest.approx(gini_by_pairs(values), abs=1e-12)
        assert found.top_share.value == pytest.approx(top_share_by_rows(values, values), abs=1e-12)
        assert (found.n, found.zero_members) == (n, int((values == 0).sum()))


def test_lorenz_curve_equals_cumulated_rows_and_the_gini_area():
    rng = np.random.default_rng(2)
    values = rng.lognormal(3, 1, 1000)
    found = concentration(STUDY, scored(frame(values)))
    rows = np.r_[0, np.cumsum(np.sort(values))] / values.sum()
    at = found.lorenz.members_share.to_numpy()
    np.testing.assert_allclose(
        found.lorenz.value_share, np.interp(at, np.linspace(0, 1, 1001), rows), atol=1e-9
    )
    assert len(found.lorenz) <= 200
    assert 1 - 2 * np.trapezoid(rows, dx=1 / 1000) == pytest.approx(found.gini.value, abs=1e-8)


def test_members_ranked_in_the_window_and_measured_later_with_ties():
    rng = np.random.default_rng(3)
    then, after = rng.integers(0, 6, 333), rng.integers(0, 9, 333)
    found = compare_periods(
        STUDY, followed_up(frame(after, then=then.astype(float), after=after.astype(float)))
    )
    assert found.carried.top_share.value == pytest.approx(top_share_by_rows(then, after), abs=1e-12)
    assert found.window.top_share.value == pytest.approx(top_share_by_rows(then, then), abs=1e-12)
    assert found.holdout.gini.value == pytest.approx(gini_by_pairs(after), abs=1e-12)
    assert not found.carried.gini.known and len(found.table) == 3


def test_the_order_of_rows_changes_nothing():
    rng = np.random.default_rng(4)
    data = frame(rng.integers(0, 50, 400))
    shuffled = data.sample(frac=1, random_state=0)
    one, other = (concentration(STUDY, scored(rows)) for rows in (data, shuffled))
    assert (one.top_share, one.gini) == (other.top_share, other.gini)


def test_grouping_by_significant_digits_changes_little():
    """Above the limit cells hold unequal members; value and interval must stay those of the exact cells."""
    rng = np.random.default_rng(5)
    now = rng.lognormal(3, 1.2, 6000) * (rng.random(6000) < 0.7)
    later = now * rng.lognormal(0, 0.8, 6000) * (rng.random(6000) < 0.5)
    data = frame(later, now=now)
    study = Study(dataset=STUDY.dataset, as_of=STUDY.as_of, draws=1000, seed=1, given=STUDY.given)
    exact = _concentration(study, value_cells(data, "monetary", rank="now"), own_rank=False)
    cells = value_cells(data, "monetary", rank="now", limit=100)
    grouped = _concentration(study, cells, own_rank=False)
    assert len(cells) < 4000 and cells["count"].sum() == 6000
    assert cells["deviation"].max() > 0
    assert grouped.zero_members == exact.zero_members == int((later == 0).sum())
    assert grouped.total == pytest.approx(exact.total)
    assert grouped.top_share.value == pytest.approx(exact.top_share.value, abs=5e-4)
    width = exact.top_share.high - exact.top_share.low
    assert grouped.top_share.high - grouped.top_share.low == pytest.approx(width, rel=0.15)


# --- published figures -------------------------------------------------------------------------------


def test_bitcoin_otc_top_fifth_of_raters(reference_data: Path):
    edges = pd.read_csv(reference_data / "retention" / "soc-sign-bitcoinotc.csv")
    raters = edges.groupby("FROM_NODE").size().astype(float)
    found = concentration(STUDY, scored(frame(raters)))
    assert found.n == 4814
    assert found.total == 35592
    # published as 75.74 %, which counts 962 whole members; 20 % of 4,814 are 962.8 members
    assert round(np.sort(raters)[::-1][:962].sum() / 35592, 4) == 0.7574
    assert found.top_share.value == pytest.approx(top_share_by_rows(raters, raters), abs=1e-12)
    assert round(found.top_share.value, 4) == 0.7575
    assert found.top_share.low < 0.7574 < found.top_share.high


def test_cdnow_window_and_holdout(reference_data: Path):
    path = reference_data / "rfm" / "CDNOW_master.txt"
    names = ["member_id", "date", "items", "monetary"]
    text = {"member_id": str, "date": str}
    orders = pd.read_csv(path, sep=r"\s+", skiprows=1, names=names, dtype=text)
    spent = orders.groupby(["member_id", orders.date <= "19970930"])["monetary"].sum().unstack(fill_value=0.0)
    data = pd.DataFrame({"then": spent[True], "after": spent[False]}).reset_index()
    found = compare_periods(STUDY, followed_up(data))
    assert found.window.n == found.holdout.n == 23570
    assert found.window.top_share.value == pytest.approx(0.629, abs=5e-4)
    assert found.holdout.top_share.value == pytest.approx(0.939, abs=5e-4)
    direct = top_share_by_rows(data.then, data.after)
    assert found.carried.top_share.value == pytest.approx(direct, abs=1e-9)
    assert round(direct, 3) == 0.661
    assert "bring 66.1 % (" in found.sentence and "the number to plan with" in found.sentence
    (stated,) = found.found()
    assert stated.headline == "the former top fifth bring two thirds of the next value"


# --- coverage on planted truth -----------------------------------------------------------------------


def _cells(rank, measure) -> pd.DataFrame:
    pairs = pd.DataFrame({"rank": rank, "mean": measure}).groupby(["rank", "mean"]).size().rename("count")
    cells = pairs.reset_index().sort_values(["rank", "mean"], ascending=False, ignore_index=True)
    zero = cells["count"].where(cells["mean"] == 0, 0)
    return cells.assign(deviation=0.0, zero=zero, negative=0)


DRAWERS = {
    "lognormal(0, 1)": lambda rng, n: rng.lognormal(0, 1, n),
    "lognormal(0, 1.5)": lambda rng, n: rng.lognormal(0, 1.5, n),
    "gamma(0.5)": lambda rng, n: rng.gamma(0.5, 1, n),
    "60 % zeros, lognormal(0, 1)": lambda rng, n: rng.lognormal(0, 1, n) * (rng.random(n) < 0.4),
    "negative binomial counts": lambda rng, n: rng.poisson(rng.gamma(0.3, 5, n)).astype(float),
}


def _later(rng, now):
    return now * rng.lognormal(0, 0.8, len(now)) * (rng.random(len(now)) < 0.5)


def _coverage(name: str, n: int, repeats: int) -> np.ndarray:
    """Return the share of 95 % intervals that cover the truth: own top share, Gini, carried top share."""
    rng = np.random.default_rng(11)
    now = DRAWERS[name](rng, 1_000_000)
    later = _later(rng, now)
    ordered = np.sort(now)
    gini = 2 * (np.arange(1, 1_000_001) * ordered).sum() / (1e6 * ordered.sum()) - 1 - 1e-6
    own = top_share_by_rows(now, now)
    truth = (own, gini, top_share_by_rows(now, later))
    hits = np.zeros(3)
    for seed in range(repeats):
        study = Study(dataset=STUDY.dataset, as_of=STUDY.as_of, draws=400, seed=seed, given=STUDY.given)
        now = DRAWERS[name](rng, n)
        same = _concentration(study, _cells(now, now))
        next_ = _concentration(study, _cells(now, _later(rng, now)), own_rank=False)
        for place, estimate in enumerate((same.top_share, same.gini, next_.top_share)):
            hits[place] += estimate.low <= truth[place] <= estimate.high
    return hits / repeats


def test_intervals_cover_quick():
    """80 communities of 200 members with 60 % zeros."""
    coverage = _coverage("60 % zeros, lognormal(0, 1)", 200, 80)
    assert (coverage > 0.87).all(), coverage


@pytest.mark.slow
@pytest.mark.parametrize("name", DRAWERS)
def test_intervals_cover(name: str):
    """Measured with 400 communities (top share, Gini, carried share):

    n = 100: lognormal 1 .910 .910 .915, lognormal 1.5 .908 .885 .915, gamma .950 .948 .920,
    zeros .968 .928 .930, counts .953 .955 .960.
    n = 500: lognormal 1 .945 .933 .928, lognormal 1.5 .915 .915 .905, gamma .938 .930 .923,
    zeros .953 .943 .948, counts .945 .928 .943.
    The percentile bootstrap covers the Gini index of lognormal 1.5 at n = 100 only .713 of the time.
    """
    coverage = _coverage(name, 500, 400)
    floor = 0.88 if name == "lognormal(0, 1.5)" else 0.90
    assert (coverage > floor).all() and (coverage < 0.985).all(), coverage


# --- properties --------------------------------------------------------------------------------------

values_of_members = st.lists(st.integers(0, 500), min_size=20, max_size=80).filter(
    lambda v: np.count_nonzero(v) >= 5
)


@settings(max_examples=25, deadline=None)
@given(values=values_of_members, factor=st.sampled_from([0.25, 3.0, 1000.0]))
def test_shape_of_every_concentration(values: list[int], factor: float):
    found = concentration(STUDY, scored(frame(values)))
    again = concentration(STUDY, scored(frame(np.array(values) * factor)))
    assert again.gini.value == pytest.approx(found.gini.value, abs=1e-9)
    assert again.top_share.value == pytest.approx(found.top_share.value, abs=1e-9)
    assert 0.2 - 1e-12 <= found.top_share.value <= 1 + 1e-12
    assert -1e-12 <= found.gini.value <= 1
    for estimate in (found.top_share, found.gini):
        assert estimate.low <= estimate.value <= estimate.high
    ordinates = found.lorenz.value_share.to_numpy()
    assert ordinates[0] == 0 and ordinates[-1] == pytest.approx(1)
    assert (np.diff(ordinates) >= -1e-12).all()
    assert (np.diff(ordinates, 2) >= -1e-9).all()


# --- hard input --------------------------------------------------------------------------------------


def test_equal_members_share_equally():
    found = concentration(STUDY, scored(frame(np.full(50, 7.0))))
    assert found.gini.value == pytest.approx(0)
    assert found.top_share.value == pytest.approx(0.2)
    assert found.top_share.high - found.top_share.low < 1e-9


def test_refunds_are_counted_and_named():
    values = np.r_[np.full(30, 10.0), -5.0, -3.0, 0.0]
    found = concentration(STUDY, scored(frame(values)))
    assert (found.negative_members, found.zero_members) == (2, 1)
    assert found.gini.value == pytest.approx(gini_by_pairs(values))
    assert found.lorenz.value_share.min() < 0
    assert "Refunds above sales, of fewer than 10 members, count as they are" in found.sentence
    assert "Refunds" not in concentration(STUDY, scored(frame(np.abs(values)))).sentence


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (np.zeros(40), "40 members with 0 interactions in all"),
        (np.r_[np.full(20, 1.0), np.full(20, -2.0)], "nothing left after refunds"),
        (np.r_[np.full(20, 2.0), np.full(20, -2.0)], "nothing left after refunds"),
        (np.r_[np.full(50, 0.0), np.full(4, 2.0)], "54 members with CNY 8 in all"),
        ([5.0], "too little data"),
        ([], "too little data"),
    ],
)
def test_what_cannot_be_shared_out_is_said(values, words: str):
    found = concentration(STUDY, scored(frame(values)))
    assert not found.top_share.known and not found.gini.known
    assert found.lorenz.empty
    assert words in found.sentence


def test_without_any_value_activity_is_shared_out():
    rng = np.random.default_rng(8)
    often = rng.poisson(rng.gamma(0.5, 10, 200))
    found = concentration(STUDY, scored(frame(np.zeros(200)).assign(frequency=often)))
    assert found.top_share.value == pytest.approx(top_share_by_rows(often, often), abs=1e-12)
    assert found.sentence.startswith(
        "No value is on record, so activity is shared out: the top 20 % of 200 members"
    )
    assert f"of {often.sum():,} interactions in the window" in found.sentence
    (stated,) = found.found()
    assert (stated.definition, stated.metric) == ("top_activity", "activity of the top fifth")
    assert "do" in found.figure().title and "Members, least active first" in found.figure().svg()
    assert not concentration(STUDY, scored(frame(often + 0.0).assign(frequency=1))).activity


def test_missing_values_are_refused_with_their_number():
    data = frame([1.0] * 30)
    data.loc[[3, 4], "monetary"] = np.nan
    with pytest.raises(BadData, match=r"monetary missing or infinite in 2 rows"):
        concentration(STUDY, scored(data))


# --- followed, and effort ----------------------------------------------------------------------------


def test_members_are_followed_from_one_period_into_the_next():
    """Thirty days each: up to the 4th of April and up to the 4th of May."""
    rows = [
        ("a", "2026-03-05", 1.0),  # the day before the first period
        ("a", "2026-03-06", 2.0),
        ("a", "2026-04-04", 4.0),
        ("a", "2026-04-05", 8.0),
        ("b", "2026-05-04", 16.0),
        ("b", "2026-05-05", 32.0),  # after the last day
        ("stranger", "2026-04-01", 64.0),
    ]
    log = pd.DataFrame(rows, columns=["member_id", "day", "value"]).assign(kind="order")
    people = pd.DataFrame(
        {"member_id": ["a", "b", "c"], "joined_day": pd.Timestamp("2026-01-01"), "left_day": pd.NaT}
    )
    log = log.assign(day=pd.to_datetime(log["day"]))
    study = Study.of({"activity": log, "population": people}, AS_OF, count="order")
    found = followed(study, TierScheme.load("monthly_interactions"), 30, 30)
    rows = found.table.to_pandas().set_index("member_id").sort_index()
    assert rows[["then", "after"]].to_numpy().tolist() == [[6.0, 8.0], [0.0, 16.0], [0.0, 0.0]]
    assert rows["tier"].tolist() == ["potential", "silent", "silent"]
    assert (str(found.split), found.scope[:35]) == ("2026-04-04", "all members present on 2026-04-04, ")


def members(n: int = 100) -> pd.DataFrame:
    """A fifth of the members is core and had nearly all the value; now all bring the same."""
    core = np.arange(n) < n // 5
    tier = np.where(core, "core", "potential")
    return frame(np.ones(n), tier=tier, then=np.where(core, 100.0 + np.arange(n), 1.0), after=1.0)


def costs(*rows) -> pd.DataFrame:
    found = pd.DataFrame(rows, columns=["project", "kind", "amount", "date"])
    ids = [f"c{i}" for i in range(len(found))]
    return found.assign(date=pd.to_datetime(found.date).dt.date, currency="CNY", cost_id=ids)


DAY, LATER = "2026-03-05", "2026-05-01"


def test_costs_reach_tiers_by_project():
    """Sixty days of effort, up to the 5th of March."""
    ledger = costs(
        ("core", "people", 300.0, DAY),
        ("tier:potential", "content", 700.0, DAY),
        ("spring", "ads", 50.0, DAY),
        (None, "tools", 25.0, DAY),
        ("core", "people", 9999.0, LATER),
        ("core", "people", 8888.0, "2026-01-04"),
    )
    found = effort_share(asked(costs=ledger), followed_up(members()))
    assert found.effort_share.value == pytest.approx(0.3) and found.value_share.value == pytest.approx(0.2)
    assert (found.attributed, found.unattributed) == (1000.0, 75.0)
    assert found.gap.value == pytest.approx(found.effort_share.value - found.value_share.value)
    assert found.gap.low <= found.gap.value <= found.gap.high
    assert found.sentence.startswith("The top 20 % of members, ranked before 2026-03-05, received 30.0 % (")
    assert "CNY 1,000 of effort could be attributed, CNY 75 could not" in found.sentence
    (stated,) = found.found()
    assert stated.headline == "the top fifth receive more effort than they bring value"


@pytest.mark.parametrize("ledger", [{}, {"costs": costs(("spring", "ads", 50.0, DAY))}])
def test_without_attributable_effort_the_data_do_not_tell(ledger):
    found = effort_share(asked(**ledger), followed_up(members()))
    assert found.value_share.known and not found.effort_share.known and not found.gap.known
    assert found.sentence.startswith("Nothing tells who received the effort")
