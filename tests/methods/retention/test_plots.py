"""Pictures and findings say what the numbers say."""

from __future__ import annotations

import datetime as dt
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from helpers.data import simulate, source
from helpers.figures import Chart, NoChart
from helpers.methods import retention
from helpers.methods.retention import findings, plots

AS_OF = dt.date(2026, 4, 30)


@pytest.fixture(scope="module")
def study() -> SimpleNamespace:
    """A small community of ten months."""
    made = simulate.community(700, 304, seed=7, tables=("members", "events", "orders"))
    dataset, when = source.open(made.tables), {"as_of": AS_OF}
    activity = retention.materialise(retention.activity(dataset, **when))
    people = retention.materialise(retention.member_stays(dataset, columns=["source"], **when))
    return SimpleNamespace(
        dataset=dataset, activity=activity, people=people, began=retention.first_day(activity, None)
    )


def test_the_trend_shows_cohorts_and_keeps_small_ones_back(study) -> None:
    kept = retention.retention(study.activity, study.people, as_of=AS_OF, days=(7,), history_from=study.began)
    chart = plots.retention_trend(kept, "note", k_min=10)
    assert isinstance(chart, Chart)
    total = kept.total("D7")
    assert f"{100 * total.value:.1f} %" in chart.title
    rows = kept.trend("D7").reset_index(drop=True)
    shown = chart.data["share"].notna().to_numpy()
    np.testing.assert_allclose(chart.data["share"][shown].astype(float), rows["share"][shown])
    assert not shown[(rows["eligible"] < 10).to_numpy()].any()
    assert shown.sum() >= (rows["eligible"] >= 10).sum() - 1  # a second cohort hides the first in the total
    many = plots.retention_trend(kept, "note", k_min=1000)
    assert isinstance(many, NoChart)
    finding = findings.day_n(kept, "everybody")
    assert (finding.value, finding.low, finding.high, finding.n) == pytest.approx(total[:4])


def test_survival_names_its_segments_and_its_last_common_day(study) -> None:
    exits = retention.exit_durations(study.people, as_of=AS_OF, observed_from=study.began)
    found = retention.survival(retention.cells(exits, "source"), "source")
    chart = plots.survival_curves(found, "note")
    assert isinstance(chart, Chart)
    assert chart.data["segment"].nunique() == 4
    assert "Largest 4 of 7 segments" in chart.note
    day = int(chart.data.loc[chart.data["day"] <= 365, "day"].max())
    lowest = chart.data[chart.data["day"] == day]["survival"].min()
    assert f"After {day} days between {100 * lowest:.0f} %" in chart.title
    assert "抖音" in chart.svg()
    nobody = retention.survival(retention.cells(exits.filter(exits.tenure_days < 0)))
    assert isinstance(plots.survival_curves(nobody, "note"), NoChart)
    overall = retention.survival(retention.cells(exits))
    stay = findings.stay(overall, "all", day=90)
    frame = exits.to_pandas()
    watched, there = (
        (frame["entry_day"] <= 90).sum(),
        (frame["entry_day"] <= 90) & (frame["tenure_days"] >= 90),
    )
    assert stay.n == watched < overall.n
    assert f"{there.sum():,} of them on the day itself" in stay.sentence
    assert f"{overall.n - watched:,} members came under observation only after day 90" in stay.sentence
    few = found.summary.loc[found.summary["n"] < found.summary["n"].median(), "segment"]
    largest = int(found.summary.loc[found.summary["segment"].isin(few), "n"].max())
    kept = plots.survival_curves(found, "note", k_min=largest + 1)
    assert isinstance(kept, Chart) and not set(kept.data["segment"]) & set(few)


def test_lifecycle_adds_up_in_the_picture(study) -> None:
    found = retention.lifecycle(study.activity, study.people, as_of=AS_OF, period="month")
    chart = plots.lifecycle_flow(found, "note")
    assert isinstance(chart, Chart)
    parts = chart.data[["new", "returning", "resurrected"]].sum(axis=1)
    assert (parts == chart.data["active"]).all()
    finding = findings.quick_ratio(found, "all")
    recent = found.recent
    assert finding.value == pytest.approx(recent.value - 1)
    assert finding.n == recent.n == 8
    expected = {True: "better", False: "no clear change"}[bool(recent.low > 1)]
    assert finding.verdict == ("worse" if recent.high < 1 else expected)


def test_returns_and_false_churn(study) -> None:
    returns = retention.return_curves(study.activity, study.people, as_of=AS_OF)
    chart = plots.return_curves(returns, "note")
    assert isinstance(chart, Chart)
    first = returns.share(7, 90)
    assert f"{100 * first.value:.1f} %" in chart.alt
    chosen = retention.silence_threshold(returns, allowed=0.1)
    finding = findings.false_churn(returns, chosen, "all")
    assert finding.value == pytest.approx(returns.share(30, 90).value)
    assert chosen.sentence in finding.sentence


def test_tiers_naive_and_fair(study) -> None:
    newcomers = study.people.filter(study.people.joined_day >= study.began)
    stays = retention.exit_durations(newcomers, as_of=AS_OF)
    reached = retention.add_reached_day(stays, study.activity, actions=10)
    found = retention.compare_tiers(retention.tiers_reached(reached, day=30), day=30)
    chart = plots.tier_comparison(found, "note")
    assert isinstance(chart, Chart)
    naive, fair = (
        float(found.table.loc[found.table["comparison"] == name, "difference"].iloc[0])
        for name in ("naive", "landmarked")
    )
    assert naive > fair  # staying lets members reach the tier
    gap = findings.tier_gap(found, "all")
    assert gap.value == pytest.approx(fair)
    assert gap.verdict == "stated"  # a difference between groups is no change for the better


def test_value_of_newcomers(study) -> None:
    cells = retention.value_days(study.activity, study.people, as_of=AS_OF, observed_from=study.began)
    found = retention.lifetime_value(cells, horizon_days=400, unit="CNY", draws=100)
    chart = plots.lifetime_curve(found, "note")
    assert isinstance(chart, Chart)
    assert set(chart.data["part"]) == {"observed", "borrowed", "extrapolated", "total"}
    styles = {line.get_linestyle() for line in chart.figure.axes[0].lines if len(line.get_xdata())}
    assert styles >= {"-", "--"}
    finding = findings.newcomer_value(found, "all")
    assert finding.value == pytest.approx(found.estimate().value)
    assert isinstance(plots.lifetime_curve(found, "note", segments=["nobody"]), NoChart)


def contest(winner: str | None, predictions: pd.DataFrame, windows: int) -> SimpleNamespace:
    return SimpleNamespace(
        winner=winner,
        predictions=predictions,
        windows=windows,
        too_few=windows < 6,
        confidence=0.95,
        sentence="Judged.",
        table=pd.DataFrame({"model": ["base rate", "logit"]}),
    )


def test_the_gain_of_a_forecast_is_paired_and_judged_over_windows() -> None:
    from helpers.methods.retention.forecasting.backtest import BASE_RATE

    rng, n = np.random.default_rng(1), 900
    p = rng.beta(1, 2, n)
    landmark = np.tile(np.arange(3), n // 3) * 2 + np.arange(n) // 450
    frame = pd.DataFrame(
        {
            "member_id": np.repeat([f"m{i}" for i in range(n // 3)], 3),
            "landmark": landmark,
            "silent": (rng.random(n) < p).astype(int),
            BASE_RATE: 1 / 3,
            "logit": p,
        }
    )
    found = findings.brier_gain(contest("logit", frame, 6))
    bare = ((1 / 3 - frame["silent"]) ** 2).groupby(landmark).mean()
    used = ((p - frame["silent"]) ** 2).groupby(landmark).mean()
    assert found.value == pytest.approx(1 - used.mean() / bare.mean())
    assert (found.n, found.unit) == (6, "share")
    # Oracle: leave one window out (jackknife of the ratio).
    out = [1 - used.drop(k).mean() / bare.drop(k).mean() for k in bare.index]
    error = np.sqrt(5 / 6 * ((np.array(out) - np.mean(out)) ** 2).sum())
    assert (found.high - found.low) / 2 == pytest.approx(stats.t.ppf(0.975, 5) * error, rel=0.1)
    finding = findings.forecast_gain(contest("logit", frame, 6), "all")
    assert finding.verdict == "stated" and "6 windows" in finding.sentence
    assert f"{100 * found.value:.1f} %" in finding.sentence
    assert "chosen on them" in finding.provenance.assumption
    # A window that moves everybody widens the interval, however many members there are.
    shaken = frame.assign(logit=np.where(landmark == 0, 1 - p, p))
    wide = findings.brier_gain(contest("logit", shaken, 6))
    assert wide.high - wide.low > 3 * (found.high - found.low)
    assert not findings.brier_gain(contest("logit", frame, 5)).known
    assert not findings.brier_gain(contest(BASE_RATE, frame, 6)).known


def test_the_readable_table_says_why_a_cell_is_blank(study) -> None:
    kept = retention.retention(
        study.activity, study.people, as_of=AS_OF, days=(1, 30), history_from=study.began
    )
    table = kept.readable(k_min=10)
    assert list(table.columns) == ["cohort", "D1", "D30"]
    first = table["cohort"].iloc[0]
    assert first >= "2025-06"
    cells = kept.cells.set_index([kept.cells["cohort"].dt.strftime("%Y-%m"), "window"])
    back = set(kept.kept_back(10)["cohort"].dt.strftime("%Y-%m"))
    for cohort, text in zip(table["cohort"], table["D1"], strict=True):
        cell = cells.loc[(cohort, "D1")]
        blank = {0: cell["reason"], **dict.fromkeys(range(1, 10), "fewer than 10")}.get(
            cell["eligible"], "kept back"
        )
        assert not cell["eligible"] or ("n = " in text) == (cohort not in back)
        assert text == blank or f"n = {int(cell['eligible'])})" in text
    assert "not over by" in table["D30"].iloc[-1] or "n = " in table["D30"].iloc[-1]
    assert set(kept.readable(k_min=1000)["D1"][1:]) == {"fewer than 1000"}
