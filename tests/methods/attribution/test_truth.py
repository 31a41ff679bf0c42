"""Planted truth: how far each model lies from what channels caused, and whether intervals cover."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from helpers.methods.attribution.calibrate import calibrate, lift_tests
from helpers.methods.attribution.gates import bounds, gates
from helpers.methods.attribution.incremental import Increments, increments
from helpers.methods.attribution.truth import published
from helpers.methods.attribution.uncertainty import MODELS, credit
from helpers.simulate import Community
from tests.conftest import ROOT
from tests.methods.attribution.planted import SEARCH, caused, found, parameters, planted

PROOF = ROOT / "docs/proofs/attribution.md"
RUNS, ADDED, CORRECTED, LEVEL, SIZE, BLOCKS = 300, 100, 40, 0.90, 1_000, 60
"""Communities; those of them of which it is judged what channels added, and what they did once calibrated; level of
the intervals; members of each; and of how many communities the population value is the mean."""


def total_variation(credit: pd.Series, truth: pd.Series) -> float:
    """Return half the sum of absolute differences of shares, 0 (equal) to 1, both by channel.

    Credit below zero counts as none; a channel that one side does not have has none there.
    """
    both = pd.concat([credit, truth], axis=1).fillna(0.0).clip(lower=0.0).to_numpy(float)
    return float(np.abs(np.subtract(*(both / both.sum(axis=0)).T)).sum() / 2)


def by_model(credit: pd.DataFrame, truth: pd.Series) -> pd.DataFrame:
    """Return how far each model lies from the truth, the nearest first.

    Parameters
    ----------
    credit : pandas.DataFrame
        model, node, conversions; one row per model and channel.
    truth : pandas.Series
        Orders that each channel caused, by channel.

    Returns
    -------
    pandas.DataFrame
        model, total_variation, ratio (all credit over all that was caused), worst (the channel with the most undue
        share).
    """
    rows = []
    for model, part in credit.groupby("model", sort=False):
        given = part.set_index("node")["conversions"].reindex(truth.index).fillna(0.0)
        undue = given.clip(lower=0.0) / given.clip(lower=0.0).sum() - truth / truth.sum()
        rows.append((model, total_variation(given, truth), given.sum() / truth.sum(), undue.idxmax()))
    found = pd.DataFrame(rows, columns=["model", "total_variation", "ratio", "worst"])
    return found.sort_values("total_variation", ignore_index=True)


def as_credit(model: str, got: Increments) -> pd.DataFrame:
    return pd.DataFrame({"model": model, "node": got.channels, "conversions": got.orders})


def judged(made: Community) -> tuple[pd.DataFrame, Increments, Increments]:
    """Return how far each model lies from the truth, and the increments before and after calibration."""
    journeys = found(made)
    model = increments(journeys)
    corrected = calibrate(model, lift_tests(journeys, model.channels))
    parts = [as_credit("added", model), as_credit("corrected", corrected)]
    table = by_model(pd.concat([credit(journeys, order=1).table, *parts]), caused(made))
    return table.set_index("model"), model, corrected


def test_total_variation_is_half_the_sum_of_differences_of_shares() -> None:
    credit, truth = pd.Series({"a": 3.0, "b": 1.0, "c": -5.0}), pd.Series({"a": 10.0, "c": 10.0})
    assert total_variation(credit, truth) == pytest.approx(0.5 * (0.25 + 0.25 + 0.5))
    assert total_variation(2 * truth, truth) == 0


@pytest.mark.slow
def test_without_confounding_increments_find_what_channels_caused_and_rules_do_not() -> None:
    table, model, _ = judged(planted(12_000, 180, 3, confounded=False))
    assert table["total_variation"]["added"] <= 0.05
    assert table["total_variation"]["last"] > 0.1 and table["total_variation"]["markov"] > 0.1
    assert model.decay == 0.6  # an effect waits two days on average, and exp(-1/2) of it is left a day later
    assert 0.9 < table["ratio"]["added"] < 1.1
    assert set(table.drop(["added", "corrected"])["worst"]) == {"search"}


@pytest.mark.slow
def test_under_confounding_two_lift_tests_bring_the_increments_near_the_truth() -> None:
    table, model, corrected = judged(planted(6_000, 180, 3, confounded=True))
    far = table["total_variation"]
    assert far["added"] > 0.3 and far["corrected"] < 0.6 * far["added"] and far["corrected"] < far["last"]
    assert corrected.baseline(0.9).value > model.baseline(0.9).value


@pytest.mark.slow
def test_a_platform_that_shows_no_touches_has_no_credit_and_does_not_change_the_others() -> None:
    shown = parameters(confounded=False)
    channels = (replace(shown.channels[0], seen=0.0), *shown.channels[1:])
    whole, walled = (
        increments(found(planted(6_000, 120, 4, False, channels=each))) for each in (shown.channels, channels)
    )
    assert "抖音" in whole.channels and "抖音" not in walled.channels
    kept = [whole.channels.index(name) for name in walled.channels]
    error = np.sqrt(np.diag(whole.covariance))[kept]
    others = np.array([name != "search" for name in walled.channels])
    assert (np.abs(walled.orders - whole.orders[kept]) < 1.5 * error)[others].all()
    # What is hidden is taken by what follows it.
    search = walled.channels.index("search")
    assert walled.orders[search] > whole.orders[whole.channels.index("search")] + 3 * error[search]
    assert walled.baseline(0.9).value > whole.baseline(0.9).value


@pytest.mark.slow
def test_a_held_out_arm_measures_what_a_channel_adds() -> None:
    """The lift test that anybody can make: orders a member with the channel less those without it."""
    confounded = parameters(confounded=True)
    channels = (replace(confounded.channels[0], held_out=0.5), *confounded.channels[1:])
    made = planted(12_000, 120, 5, True, channels=channels)
    assigned = made.tables["assignments"]
    arms = assigned[assigned["exp_id"] == "holdout_0"].set_index("unit_id")["arm"]
    touches = made.tables["touchpoints"].query("channel == '抖音'")["member_id"]
    assert set(touches.map(arms)) == {"treatment"}
    orders = made.tables["orders"]["member_id"].value_counts().reindex(arms.index, fill_value=0)
    means, errors = orders.groupby(arms).mean(), orders.groupby(arms).sem()
    lift = (means["treatment"] - means["control"]) * (arms == "treatment").sum()
    error = float(np.hypot(*errors)) * (arms == "treatment").sum()
    assert abs(lift - caused(made)["抖音"]) < 2.5 * error and error < caused(made)["抖音"] / 2


def without(made: Community, share: float, seed: int) -> Community:
    """Return a community in which some touches carry an id that belongs to nobody."""
    touches = made.tables["touchpoints"].copy()
    lost = np.random.default_rng(seed).random(len(touches)) < share
    touches.loc[lost, "member_id"] = [f"device-{n}" for n in range(lost.sum())]
    return made._replace(tables=made.tables | {"touchpoints": touches})


def test_bounds_hold_the_credit_that_full_matching_would_give() -> None:
    for seed in (0, 1):
        made = planted(1_200, 90, seed, confounded=True)
        journeys = found(without(made, 0.4, seed))
        whole, part = (credit(each, ("last", "linear")).table for each in (found(made), journeys))
        for model in ("last", "linear"):
            truth, seen = (t[t["model"] == model].set_index("node")["conversions"] for t in (whole, part))
            held = bounds(gates(journeys), seen).set_index("node")
            assert (held["low"] <= truth).all() and (truth <= held["high"]).all()


# --- the long proof ------------------------------------------------------------------------------------------------


def hits(table: pd.DataFrame, truth: pd.DataFrame) -> pd.Series:
    """Return by model the share of channels whose interval holds the population value."""
    both = table.set_index(["model", "node"]).join(truth)
    return ((both["low"] <= both["true"]) & (both["true"] <= both["high"])).groupby("model").mean()


def held(got: Increments, truth: pd.Series) -> pd.Series:
    """Return by channel whether the interval holds the orders caused."""
    bounds = pd.DataFrame(
        [got.of(name, LEVEL)[1:3] for name in got.channels], index=got.channels, columns=["low", "high"]
    )
    truth = truth.reindex(bounds.index)
    return (bounds["low"] <= truth) & (truth <= bounds["high"])


def population() -> pd.DataFrame:
    """Return the credit that each model gives a mean community of `SIZE` members, from `BLOCKS` times as many."""
    many = credit(found(planted(SIZE * BLOCKS, 120, 90_000, confounded=False), draws=20), order=1).table
    return (many.set_index(["model", "node"])[["conversions"]] / BLOCKS).rename(
        columns={"conversions": "true"}
    )


def covered() -> Iterator[tuple[str, pd.Series]]:
    """Yield what was covered in each community."""
    truth = population()
    for seed in range(RUNS):
        made = planted(SIZE, 120, seed, confounded=False)
        journeys = found(made, confidence=LEVEL)
        yield "credit", hits(credit(journeys, order=1).table, truth)
        if seed < ADDED:
            yield "added", held(increments(journeys), caused(made))
        if seed >= CORRECTED:
            continue
        made = planted(SIZE, 120, seed, confounded=True)
        journeys = found(made, confidence=LEVEL)
        model = increments(journeys)
        yield "confounded", held(model, caused(made))
        yield "corrected", held(calibrate(model, lift_tests(journeys, model.channels)), caused(made))


@pytest.mark.slow
def test_coverage_and_distances_are_published() -> None:
    """Half an hour; what it measures goes to docs/proofs/attribution.md."""
    rows: dict[str, list[pd.Series]] = {}
    for name, got in covered():
        rows.setdefault(name, []).append(got)
    cover = {name: pd.DataFrame(each).mean() for name, each in rows.items()}
    worlds = {
        name: judged(planted(24_000, 180, 7, confounded=name == "confounded"))[0]
        for name in ("alike", "confounded")
    }
    far = pd.DataFrame({name: table["total_variation"] for name, table in worlds.items()}).loc[
        [*MODELS, "added", "corrected"]
    ]
    lines = ["coverage", *(f"{name}\n{each.round(3).to_string()}" for name, each in cover.items())]
    print("\n".join([*lines, f"mean {cover['credit'].mean():.3f}", far.round(3).to_string()]))
    assert 0.85 <= cover["credit"].mean() <= 0.95
    assert 0.85 <= cover["added"].mean() <= 0.95
    assert cover["corrected"][["抖音", "search"]].mean() >= 0.85
    assert far["alike"]["added"] <= 0.05
    stored = published().set_index("model")
    assert (stored["alike"] - far["alike"]).abs().max() < 0.02
    assert SEARCH and PROOF.is_file()
