"""The story of what drives leaving: planted drivers are named, noise is not, and few exits carry few covariates."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from helpers import simulate
from helpers.figures import Chart
from helpers.methods.retention.drivers import drivers
from helpers.stats.estimate import holm
from helpers.study import Study

AS_OF = "2026-04-15"
COLUMNS = ["flag", *(f"noise_{number}" for number in range(6))]


def members(n: int, seed: int, effect: float = 0.0, late_effect: float | None = None) -> pd.DataFrame:
    """Return members whose column `flag` has an effect (another one after 30 days) and six others have none."""
    rng = np.random.default_rng(seed)
    flag = rng.random(n) < 0.5
    first, later = (
        0.01 * np.exp(effect * flag),
        0.01 * np.exp((effect if late_effect is None else late_effect) * flag),
    )
    clock = rng.exponential(size=n)
    stay = np.where(clock < 30 * first, clock / first, 30 + (clock - 30 * first) / later)
    joined = pd.Timestamp("2025-10-01 04:00", tz="UTC") + pd.to_timedelta(rng.integers(0, 190, n), unit="D")
    frame = pd.DataFrame({"member_id": [f"m{k:05}" for k in range(n)], "joined_at": joined})
    left = frame["joined_at"] + pd.to_timedelta(np.floor(stay), unit="D")
    frame["left_at"] = left.where(left <= pd.Timestamp("2026-04-15 04:00", tz="UTC"), pd.NaT)
    frame["flag"] = flag
    for number in range(6):
        frame[f"noise_{number}"] = rng.choice(["a", "b", "c"], n)
    return frame


def story(frame: pd.DataFrame, *columns: str, **settings):
    return drivers(Study.of({"members": frame}, AS_OF, **settings), columns or COLUMNS)


def test_a_planted_driver_is_named_with_its_interval_and_noise_is_not() -> None:
    found = story(members(3000, 1, 0.5))
    assert found.named["covariate"].tolist() == ["flag"]
    row = found.named.iloc[0]
    assert row["clear"]
    assert 1 < row["simultaneous_low"] < row["low"] < np.exp(0.5) < row["high"] < row["simultaneous_high"]
    assert found.by_tenure.empty
    assert found.sentence.startswith("1 of 13 characteristics go with leaving")
    assert found.sentences[1].startswith("Members with “flag” leave 1.")
    assert found.sentences[2].startswith("No effect was seen to change with tenure")


def test_an_effect_that_does_not_last_is_shown_by_tenure() -> None:
    found = story(members(4000, 2, 1.0, -0.2), "flag", "noise_0")
    assert found.unsteady == ["flag"]
    parts = found.by_tenure.set_index("tenure")
    assert parts.loc["days 7–29", "low"] < np.e < parts.loc["days 7–29", "high"]
    assert parts.loc["days 30–89", "low"] < np.exp(-0.2) < parts.loc["days 30–89", "high"]
    assert any("): “flag”. One hazard ratio" in text for text in found.sentences)


def test_drivers_come_by_evidence_and_not_by_size() -> None:
    """A rare level has the larger ratio and the common one the smaller interval."""
    frame = members(6000, 6, 0.5)
    rng = np.random.default_rng(6)
    left = frame["left_at"].notna().to_numpy()
    rare = np.where(left, rng.random(len(frame)) < 0.004, rng.random(len(frame)) < 0.03)
    found = story(frame.assign(rare=rare), "rare", "flag")
    named = found.named.set_index("covariate")
    assert named.index.tolist() == ["flag", "rare"]
    assert abs(named.loc["rare", "log_hazard_ratio"]) > abs(named.loc["flag", "log_hazard_ratio"])
    made = next(found.findings())
    flagged = frame["flag"].sum()
    assert made.n == flagged == named.loc["flag", "n"]
    assert (made.low, made.high) == pytest.approx(
        tuple(named.loc["flag", ["simultaneous_low", "simultaneous_high"]])
    )
    assert f"(n = {flagged:,}, {left[frame['flag']].sum():,} left)" in made.sentence


def test_the_picture_puts_drivers_first_by_evidence_and_speaks_in_words() -> None:
    frame = members(6000, 6, 0.5)
    rng = np.random.default_rng(1)
    left = frame["left_at"].notna().to_numpy()
    invited = np.where(left, rng.random(len(frame)) < 0.1, rng.random(len(frame)) < 0.4)
    frame["source"] = np.where(invited, "邀请", "抖音")
    found = story(frame, "source", "flag", "noise_0")
    chart = found.figure()
    assert (
        isinstance(chart, Chart)
        and chart.title == "Members with “source = 邀请” leave slower than those with “抖音”"
    )
    assert chart.data["characteristic"].tolist()[:2] == ["source = 邀请", "flag"]
    rows = found.table.set_index("covariate")
    assert chart.data["low"].iloc[0] == rows.loc["source=邀请", "simultaneous_low"]
    svg = chart.svg()
    assert "source = 邀请" in svg and "source=邀请" not in svg


def test_intervals_hold_together_at_the_level_asked_for() -> None:
    """Bonferroni by another road: the ordinary interval of a model at level 1 - alpha / m."""
    frame = members(1500, 8, 0.3)
    found = story(frame, confidence=0.9)
    single = story(frame, confidence=1 - 0.1 / found.tested)
    assert found.tested == 13
    for name in ("low", "high"):
        np.testing.assert_allclose(found.table[f"simultaneous_{name}"], single.table[name], rtol=1e-10)
    shut = (found.table["simultaneous_low"] > 1) | (found.table["simultaneous_high"] < 1)
    assert (shut == found.table["clear"]).all()
    assert "intervals hold for all 13 at once (90 % together, Bonferroni)" in found.sentence


def test_noise_tells_nobody_apart_whom_the_model_has_not_seen() -> None:
    frame = members(900, 9)
    rng = np.random.default_rng(9)
    noise = {f"noise_{number}": rng.choice(list("abcd"), len(frame)) for number in range(10)}
    found = story(frame.assign(**noise), *noise)
    told = found.concordance
    assert abs(told.value - 0.5) < 0.03 and told.low < 0.5 < told.high and told.n == len(frame)
    text = f"in {100 * told.value:.0f} of 100 cases ({100 * told.low:.0f} to {100 * told.high:.0f}; "
    assert text in found.sentence


def test_what_tells_members_apart_does_so_for_those_not_seen() -> None:
    found = story(members(3000, 10, 1.0), "flag")
    assert found.concordance.value > 0.58 and found.concordance.low > 0.5
    again = story(members(3000, 10, 1.0), "flag")
    assert again.concordance == found.concordance


def test_few_exits_carry_few_covariates_in_the_order_asked_for() -> None:
    frame = members(120, 3, 0.5)
    exits = int(frame["left_at"].notna().sum())
    order = ["noise_2", "flag", "noise_0", "noise_1", "noise_3", "noise_4", "noise_5"]
    found = story(frame, *order)
    parameters = len(found.table)
    assert parameters <= exits // 10 < 13
    kept = list(dict.fromkeys(found.table["variable"]))
    assert kept == [name for name in order if name in kept] and kept[0] == "noise_2"
    dropped = ", ".join(name.replace("_", " ") for name in order if name not in kept)
    assert found.notes[-1].startswith(f"{exits} exits carry no more than {exits // 10} parameters")
    assert found.notes[-1].endswith(f"not looked at: {dropped}.")


def test_without_a_bound_the_direction_is_told_and_no_ratio() -> None:
    """Nobody leaves with the flag, or everybody who leaves has it."""
    frame = members(900, 4)
    left = frame["left_at"].notna()
    for flag, said in ((~left, "none of these"), (left | (frame.index % 2 == 0), "too large to state")):
        found = story(frame.assign(flag=flag), "flag")
        made = next(found.findings())
        assert made.value is None and said in made.sentence and "times as fast" not in made.sentence
        assert not isinstance(found.figure(), Chart)


@pytest.mark.parametrize("n", [1, 5])
def test_few_members_are_too_little_data(n: int) -> None:
    nobody = pd.Series(pd.NaT, index=range(40), dtype="datetime64[ns, UTC]")
    found = story(members(40, 5).assign(left_at=nobody).head(n))
    assert found.tested == 0 and "too little data" in found.sentence
    assert found.named.empty


def test_holm_is_the_step_down_correction() -> None:
    np.testing.assert_allclose(holm([0.01, 0.04, 0.03, np.nan]), [0.03, 0.06, 0.06, np.nan])
    np.testing.assert_allclose(holm([0.9, 0.8]), [1.0, 1.0])
    assert holm([]).size == 0


def test_early_behaviour_has_no_effect_where_none_was_planted_and_the_early_reply_has_its_own() -> None:
    made = simulate.community(3000, 365, 11, tables=("members", "events"))
    found = drivers(Study.of(made.tables, made.truth["about"]["end"]), ["early_reply"], landmark_day=7)
    assert found.model.days_.day.min() >= 7
    table = found.table.set_index("covariate")
    planted = np.exp(made.truth["exit"]["log_hazard"]["early_reply"])
    assert table.loc["early_reply", "low"] < planted < table.loc["early_reply", "high"]
    assert "from day 7 of tenure on" in found.sentence
    assert any(name.startswith("first_contribution=") for name in table.index)


@pytest.mark.slow
def test_noise_is_named_a_driver_in_few_communities() -> None:
    """With 13 terms without any effect, a driver is named in at most 5 % of communities."""
    worlds = 150
    named = [len(story(members(600, 1000 + world)).named) > 0 for world in range(worlds)]
    assert np.mean(named) < 0.05 + 3 * np.sqrt(0.05 * 0.95 / worlds)


@pytest.mark.slow
def test_the_interval_of_the_driver_picked_covers_its_planted_value() -> None:
    """Whichever of some 24 characteristics has the clearest evidence, its interval holds what was planted."""
    hits = []
    for world in range(60):
        made = simulate.community(1500, 365, 3000 + world, tables=("members",))
        about, planted = made.truth["about"], made.truth["exit"]["log_hazard"]
        found = drivers(Study.of(made.tables, about["end"], history_from=about["start"]))
        for row in found.named.head(1).to_dict("records"):
            against = planted.get(f"{row['variable']}={row['reference']}", 0.0)
            truth = np.exp(planted.get(row["covariate"], 0.0) - against)
            hits.append(row["simultaneous_low"] <= truth <= row["simultaneous_high"])
    assert len(hits) >= 30
    assert np.mean(hits) >= 0.93
