"""Pictures and findings say what the numbers say."""

from __future__ import annotations

import dataclasses
import datetime as dt

import numpy as np
import pytest

from helpers import simulate
from helpers.figures import Chart, NoChart
from helpers.methods import retention
from helpers.methods.retention.staying import MARKS
from helpers.sentences import with_interval
from helpers.stats.survival.durations import exit_durations
from helpers.study import Study

AS_OF = dt.date(2026, 4, 30)


@pytest.fixture(scope="module")
def study() -> Study:
    """A small community of ten months."""
    return Study.of(
        simulate.community(700, 304, seed=7, tables=("members", "events", "orders")).tables, AS_OF
    )


def test_the_trend_shows_cohorts_that_the_log_covers(study) -> None:
    kept = retention.day_n(study, days=(7,))
    chart = kept.figure()
    assert isinstance(chart, Chart)
    assert f"{100 * kept.total(7).value:.1f} %" in chart.title
    # Members who joined before the log have cohorts that it does not cover.
    assert kept.totals["unobserved"].iloc[0] > kept.cells["unobserved"].sum()
    assert chart.data["cohort"].tolist() == kept.table["cohort"].tolist()
    shown = chart.data["share"].notna()
    assert (shown == (chart.data["eligible"] >= 10)).all()
    many = retention.day_n(dataclasses.replace(study, k_min=1000), days=(7,))
    assert isinstance(many.figure(), NoChart)


def test_survival_names_its_segments_and_its_last_common_day(study) -> None:
    found = retention.staying(study, "source")
    chart = found.figure()
    assert isinstance(chart, Chart)
    assert chart.data["segment"].nunique() == 4
    assert "Largest 4 of 7 segments" in chart.note
    day = int(chart.data.loc[chart.data["day"] <= 365, "day"].max())
    share = found.everybody.still_here(day).value
    assert share != share or chart.title == f"After {day} days {100 * share:.1f} % of all are still here"
    assert set(chart.data["day"]) <= set(MARKS) and "marked days" in chart.note
    assert "抖音" in chart.svg()
    theirs, ours = found.to_lifelines()["抖音"], found.segments.summary.set_index("segment")["median"]
    assert theirs.median_survival_time_ == ours["抖音"]
    nobody = retention.staying(Study.of(study.dataset, "2020-01-01", history_from="2019-12-01"))
    assert isinstance(nobody.figure(), NoChart)
    told = next(found.findings())
    exits = exit_durations(study.population, as_of=AS_OF, observed_from=study.began).to_pandas()
    watched = exits["entry_day"] <= 90
    assert told.n == watched.sum() < found.everybody.n
    sizes = found.segments.summary.set_index("segment")["n"]
    few = sizes[sizes < sizes.median()]
    kept = dataclasses.replace(found, study=dataclasses.replace(study, k_min=int(few.max()) + 1)).figure()
    assert isinstance(kept, Chart) and not set(kept.data["segment"]) & set(few.index)


def test_lifecycle_adds_up_in_the_picture(study) -> None:
    found = retention.lifecycle(dataclasses.replace(study, k_min=1), period="month")
    chart = found.figure()
    assert isinstance(chart, Chart)
    parts = chart.data[["new", "returning", "resurrected"]].sum(axis=1)
    assert (parts == chart.data["active"]).all()
    finding = next(found.findings())
    recent = found.recent
    won = f"{100 * recent.value:.0f} for every 100 lost ({100 * recent.low:.0f} to {100 * recent.high:.0f})"
    assert chart.title.startswith(f"Members won over the last 8 months: {won}, ") and won in found.sentence
    assert finding.value == pytest.approx(recent.value - 1)
    assert finding.n == recent.n == 8
    expected = {True: "better", False: "no clear change"}[bool(recent.low > 1)]
    assert finding.verdict == ("worse" if recent.high < 1 else expected)


def test_returns_and_false_churn(study) -> None:
    returns = retention.returns(study)
    chart = returns.figure()
    assert isinstance(chart, Chart)
    assert returns.sentence in chart.alt
    finding = next(returns.findings())
    assert finding.value == pytest.approx(returns.share(30).value)
    assert returns.verdict in finding.sentence


def test_tiers_naive_and_fair(study) -> None:
    found = retention.compare_tiers(study)
    assert found.seeming.value > found.fair.value  # staying lets members reach the tier
    assert with_interval(found.fair) in found.sentence and with_interval(found.seeming) in found.sentence


def test_value_of_newcomers(study) -> None:
    found = retention.lifetime_value(study, days=400)
    chart = found.figure()
    assert isinstance(chart, Chart)
    assert set(chart.data["part"]) == {"observed", "borrowed", "extrapolated", "total"}
    styles = {line.get_linestyle() for line in chart.figure.axes[0].lines if len(line.get_xdata())}
    assert styles >= {"-", "--"}
    finding = next(found.findings())
    assert finding.value == pytest.approx(found.estimate().value)
    total = found.estimate()
    assert f"(CNY {total.low:.0f} to CNY {total.high:.0f})" in chart.title
    assert "leans low" in finding.provenance.assumption
    unknown = found.table.assign(value=np.nan, low=np.nan, high=np.nan)
    assert isinstance(dataclasses.replace(found, table=unknown).figure(), NoChart)


def test_the_readable_table_says_why_a_cell_is_blank(study) -> None:
    kept = retention.day_n(study, days=(1, 30))
    table = kept.table
    assert list(table.columns) == ["cohort", "D1", "D30"]
    first = table["cohort"].iloc[0]
    assert first >= "2025-06"
    assert "not over by" in table["D30"].iloc[-1] or "n = " in table["D30"].iloc[-1]
    many = retention.day_n(dataclasses.replace(study, k_min=1000), days=(1, 30))
    assert "fewer than 1000" in set(many.table["D1"]) and not many.table["D1"].str.contains("n = ").any()
