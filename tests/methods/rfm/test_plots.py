"""Pictures say what the numbers say."""

import numpy as np
import pandas as pd
import pytest

from helpers.methods.rfm import plots

TIERS = ["silent", "potential", "core"]
LABELS = {"silent": "silent 沉默", "potential": "potential 潜力", "core": "core 核心"}
TRANSITIONS = pd.DataFrame(
    [("silent", "silent", 50), ("silent", "core", 3), ("potential", "silent", 7), ("potential", "core", 2)]
    + [
        ("potential", "potential", 20),
        ("core", "silent", 1),
        ("core", "core", 9),
        ("silent", "potential", 5),
    ],
    columns=["from_tier", "to_tier", "n"],
)


def matrix():
    grid = pd.MultiIndex.from_product([TIERS, TIERS], names=["from_tier", "to_tier"]).to_frame(index=False)
    rows = grid.merge(TRANSITIONS, how="left").fillna({"n": 0}).astype({"n": int})
    rows["at_risk"] = rows.groupby("from_tier")["n"].transform("sum")
    rows["share"] = rows["n"] / rows["at_risk"]
    return rows.assign(low=rows["share"] * 0.9, high=np.minimum(rows["share"] * 1.1, 1))


def test_each_move_is_counted_at_every_boundary_it_crosses():
    crossings = plots.boundary_crossings(TRANSITIONS, TIERS)
    assert crossings["up"].tolist() == [3 + 5, 3 + 2]
    assert crossings["down"].tolist() == [7 + 1, 1]


def test_the_pyramid_states_the_top_tier_in_words_and_draws_chinese_labels():
    sizes = pd.DataFrame(
        {"tier": TIERS, "members": [58, 29, 10], "share": [0.598, 0.299, 0.103], "low": 0.05, "high": 0.7}
    )
    chart = plots.tier_pyramid(sizes, TRANSITIONS, TIERS, LABELS, "June")
    assert chart.title == "10.3 % of members stand in the top tier"
    assert "10 members" in chart.alt
    assert "core 核心: 10 (10.3 %)" in chart.svg()
    assert len(chart.axes[0].patches) == len(TIERS)


def test_the_migration_map_writes_every_share_with_its_interval():
    chart = plots.migration_map(matrix(), TIERS, LABELS, "May to June")
    svg = chart.svg()
    assert chart.title == "90.0 % of the top tier stay there for another period"
    assert svg.count("%</text>") == len(TIERS) ** 2
    assert "81.0 – 99.0" in svg


def test_a_suppressed_cell_of_the_map_shows_no_number():
    cells = pd.DataFrame({"r_score": [1, 1, 2, 2], "f_score": [1, 2, 1, 2], "members": [40, 30, None, 30]})
    chart = plots.recency_frequency_map(cells, 2, "90 days")
    assert ">–</text>" in chart.svg()
    assert "100 members" in chart.alt


def test_the_lorenz_curve_states_the_top_fifth():
    x = np.linspace(0, 1, 101)
    curve = pd.DataFrame({"members_share": x, "value_share": x**3})
    chart = plots.lorenz_curve(curve, 1 - 0.8**3, 0.45, 0.52, "90 days")
    assert chart.title == "The top fifth of members bring 48.8 % of the value"
    assert chart.data["value_share"].iloc[[0, -1]].tolist() == [0, 1]


@pytest.mark.parametrize("verdict", ["Plain RFM is enough.", "The model wins."])
def test_the_contest_shows_every_model_and_the_verdict(verdict):
    lifts = pd.DataFrame(
        {"model": ["past value", "RFM"], "lift": [4.9, 5.1], "low": [4.6, 4.8], "high": [5.2, 5.4]}
    )
    chart = plots.value_contest(lifts.assign(n=1000), verdict, "hold-out")
    assert verdict in chart.alt
    assert {"past value", "RFM"} <= {label.get_text() for label in chart.axes[0].get_yticklabels()}
