"""Models of credit: published figures of public data, fixtures that are checked by hand, and cases from the field."""

from __future__ import annotations

from fractions import Fraction
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from helpers.errors import BadData, BadParameters
from helpers.methods.attribution.grouped_paths import expanded
from helpers.methods.attribution.heuristics import position_weights, rules
from helpers.methods.attribution.histories import Histories
from helpers.methods.attribution.journeys import Journeys, journeys
from helpers.methods.attribution.markov import choose_order, effects, first_order, markov
from helpers.methods.attribution.shapley import shapley
from tests.methods.attribution.tables import grouped, orders, study, told, touchpoints, written

EXACT = 1e-12
WORTH = 74_802.97158721086


@cache
def public(folder: Path) -> Journeys:
    """Return the public paths, through canonical tables."""
    frame = pd.read_csv(folder / "attribution" / "channelattribution_Data.csv", sep=";")
    frame.columns = pd.Index(["path", "conversions", "value", "nulls"])
    found = journeys(study(**expanded(frame)))
    vars(found)["share"] = (
        1.0  # the published figures are of everybody, and a report takes a sample of so many
    )
    return found


def reference(
    folder: Path, name: str, channels: tuple[str, ...], key: str = "channel", **cell
) -> pd.DataFrame:
    """Return stored figures in the order of the channels."""
    frame = pd.read_csv(folder / "attribution" / "reference" / name)
    for column, value in cell.items():
        frame = frame[frame[column] == value]
    return frame.set_index(key).loc[list(channels)]


def near(found, expected) -> None:
    """Compare to the precision of the stored figures."""
    np.testing.assert_allclose(np.asarray(found, float), np.asarray(expected, float), rtol=EXACT, atol=EXACT)


def test_rules_and_shapley_values_are_the_published_ones(reference_data):
    h = public(reference_data).histories
    stored = reference(reference_data, "ca_2.2.5_heuristics.csv", h.channels, "channel_name")
    found = rules(h)
    for rule in ("first", "last", "linear"):
        credit = found[rule].of(h.members)
        near(credit, stored[[f"{rule}_touch_conversions", f"{rule}_touch_value"]].T)
        near(credit.sum(axis=1), [19_785, WORTH])
    stored = reference(reference_data, "shapley_variants_exact.csv", h.channels)
    near(shapley(h).of(h.members), stored[["simplified", "simplified_value"]].T)


@pytest.mark.parametrize("order", [1, 2, 3])
def test_removal_effects_are_the_published_ones(reference_data, order):
    h = public(reference_data).histories
    name = "exact_closed_form_markov_orders1-4.csv"
    stored = reference(reference_data, name, h.channels, "channel_name", mode="nulls", order=order)
    found = effects(h, order)
    near(found.conversion, stored["p_conv"].iloc[0])
    near(found[1:], stored[["removal_effect", "removal_effect_value"]].T)
    totals = np.array([[19_785], [WORTH]])
    near(
        markov(h, order).of(h.members) / totals,
        stored[["total_conversions", "total_conversion_value"]].T / totals,
    )
    if order < 3:
        cell = {"order": order, "strategy": "redirect_to_null"}
        other = reference(reference_data, "do_attribution_0.0.2_markov.csv", h.channels, **cell)
        near(found.conversions, other["removal_effect"])
    if order == 1:
        other = reference(reference_data, "mam_2.1.1_markov_removal_effect.csv", h.channels)
        near(found.conversions, other["removal_effect"])


def test_the_engine_counts_the_published_transitions_and_their_effects(reference_data):
    found = public(reference_data)
    stored = pd.read_csv(
        reference_data / "attribution/reference/ca_2.2.5_transition_matrix_order1_noloops.csv"
    )
    cells = found.cells.assign(before=found.cells["before"].fillna("(start)"))
    moves = cells[cells["before"] != cells["channel"]].groupby(["before", "channel"])["n"].sum()
    ends = cells[cells["last"]].assign(to=lambda c: np.where(c["converted"], "(conversion)", "(null)"))
    counts = pd.concat([moves, ends.groupby(["channel", "to"])["n"].sum()])
    shares = counts / counts.groupby(level=0).transform("sum")
    keys = pd.MultiIndex.from_frame(stored[["channel_from", "channel_to"]])
    assert set(keys) == set(shares.index)
    near(shares.loc[keys], stored["transition_probability"])

    h = found.histories
    removal, credit = first_order(found.cells, found.channels)
    near(removal[1:], effects(h)[1:])
    near(credit[0], markov(h).of(h.members)[0])
    assert removal.conversions.sum() == pytest.approx(2.066986, abs=1e-6)
    near(credit.sum(axis=1), [19_785, WORTH])
    smallest = credit[:, found.channels.index("mi")]
    np.testing.assert_allclose(smallest, [1.7224245563, 5.4445088593], atol=1e-10)
    # A second run is the same to the last byte.
    again = journeys(found.study)
    assert first_order(again.cells, again.channels)[1].tobytes() == credit.tobytes()


def by_name(h: Histories, numbers: np.ndarray) -> dict[str, float]:
    return dict(zip(h.channels, numbers.tolist(), strict=True))


CHINESE = (
    ("抖音 > 小红书 > 微信", 3, 5, 300.0),
    ("微博 > B站", 1, 4, 50.0),
    ("小红书", 2, 3, 80.0),
)


@pytest.mark.parametrize(
    ("paths", "order", "conversion", "removal", "worth"),
    [
        ((("g", 2, 1, 40.0), ("m", 1, 0, 10.0), ("g > m", 1, 0, 50.0)), 1, "4/5", "3/4 1/2", "7/10 3/5"),
        ((("g", 2, 1, 40.0), ("m", 1, 0, 10.0), ("g > m", 1, 0, 50.0)), 2, "4/5", "3/4 1/2", "9/10 3/5"),
        ((("A>B>A>B>B>A", 1, 0, 1.0), ("A>B>B>A>A", 1, 0, 1.0), ("A>A", 1, 0, 1.0)), 1, "1", "1 1/2", "1 1/2"),
        ((("A>B>A>B>B>A", 1, 0, 1.0), ("A>B>B>A>A", 1, 0, 1.0), ("A>A", 1, 0, 1.0)), 2, "1", "1 2/3", "1 2/3"),
        (CHINESE, 1, "1/3", "1/6 5/6 1/2 1/6 20/39", ".116279 .883721 .697674 .116279 .543828"),
        (CHINESE, 2, "1/3", "1/6 5/6 1/2 1/6 1/2", ".116279 .883721 .697674 .116279 .697674"),
        # Without a matrix that cannot be inverted, and never below zero.
        ((("A", 1_000, 5, 0.0), ("A>B>A", 0, 1, 0.0), ("A>C", 0, 1, 0.0)), 1, None, "1 .000992 0", None),
        # With the same value of each conversion both effects are the same.
        ((("A>B", 3, 1, 3.0), ("A", 2, 4, 2.0), ("B", 0, 6, 0.0)), 1, None, ".64 .6", ".64 .6"),
        # One channel alone, and one that is in every path, lose everything.
        ((("抖音", 3, 2, 9.0),), 1, "3/5", "1", "1"),
        ((("抖音>微信", 3, 2, 9.0), ("抖音", 0, 2, 0.0)), 3, "3/7", "1 1", "1 1"),
    ],
)  # fmt: skip
def test_removal_effects_that_are_checked_by_hand(paths, order, conversion, removal, worth):
    h = written(*paths)
    found = effects(h, order)

    def exactly(text: str) -> list[float]:
        return [float(Fraction(each)) for each in text.split()]

    rounded = 1e-6 if "." in removal + (worth or "") else EXACT
    if conversion:
        assert found.conversion == pytest.approx(float(Fraction(conversion)), abs=EXACT)
    np.testing.assert_allclose(found.conversions, exactly(removal), atol=rounded)
    if worth:
        np.testing.assert_allclose(found.value, exactly(worth), atol=rounded)
    else:
        assert np.isnan(found.value).all()  # nothing was earned
        assert not markov(h, order).of(h.members)[1].any()


def test_credit_of_the_fixture_is_its_part_of_the_effects():
    h = written(("A>B>A>B>B>A", 1, 0, 1.0), ("A>B>B>A>A", 1, 0, 1.0), ("A>A", 1, 0, 1.0))
    near(markov(h).of(h.members)[0], [2, 1])


def test_channels_that_lead_to_each_other_without_end_are_refused():
    cells = pd.DataFrame({
        "before": [None, "抖音", "微信", None], "channel": ["抖音", "微信", "抖音", "B站"], "n": [1, 2, 2, 3],
        "last": [False, False, False, True], "converted": [False, False, False, True], "value": 0.0,
    })  # fmt: skip
    with pytest.raises(BadData, match="抖音, 微信 lead to each other"):
        first_order(cells, ("B站", "抖音", "微信"))


def test_without_a_conversion_or_a_touch_there_is_no_effect():
    h = written(("抖音>微信", 0, 5, 0.0))
    assert np.isnan(effects(h).conversions).all()
    assert not markov(h).of(h.members).any()
    nothing = told(touchpoints(), orders()).histories
    assert nothing.channels == () and markov(nothing).of(nothing.members).shape == (2, 0)
    with pytest.raises(BadParameters, match="order == 4"):
        effects(h, 4)


def credited(
    rule: str, *rows: tuple[str, int, int, float], half_life_days: float = 7.0, **days
) -> dict[str, float]:
    """Return conversions by channel."""
    h = written(*rows, **days)
    return by_name(h, rules(h, half_life_days)[rule].of(h.members)[0])


def test_rules_on_one_journey_each():
    expected = {
        "first": {"抖音": 1}, "last": {"direct": 1}, "last_non_direct": {"小红书": 1},
        "linear": {"抖音": 0.4, "微信": 0.2, "小红书": 0.2, "direct": 0.2},
        "position": {"抖音": 0.4 + 0.2 / 3, "微信": 0.2 / 3, "小红书": 0.2 / 3, "direct": 0.4},
        "influenced": {"抖音": 1, "微信": 1, "小红书": 1, "direct": 1},
    }  # fmt: skip
    h = written(("抖音 > 微信 > 抖音 > 小红书 > direct", 1, 3, 100.0))
    found = {name: model.of(h.members) for name, model in rules(h).items()}
    for rule, shares in expected.items():
        near(found[rule][0], [shares.get(name, 0.0) for name in h.channels])
        near(found[rule][1], 100 * found[rule][0])
    near(shapley(h).of(h.members)[0], [0.25] * 4)


def test_last_non_direct_is_the_last_where_all_are_direct():
    found = credited("last_non_direct", ("search > direct", 1, 0, 1.0), ("(direct) > direct", 1, 0, 1.0))
    assert found == {"(direct)": 0.0, "direct": 1.0, "search": 1.0}


def test_decay_is_measured_in_time_to_the_order():
    touches = touchpoints(("m", 0, "A"), ("m", 0.1, "B"), ("m", 10, "C"))
    h = told(touches, orders(("m", 10, 1.0))).histories
    found = by_name(h, rules(h)["decay"].of(h.members)[0])
    assert found == pytest.approx({"A": 0.2127, "B": 0.2148, "C": 0.5725}, abs=5e-5)
    for later in (0.0, 7.0, 3_000.0):
        days = {"A > B > C": [later + 2, later + 1, later]}
        found = credited("decay", ("A > B > C", 1, 0, 1.0), half_life_days=1.0, days=days)
        assert found == pytest.approx({"A": 1 / 7, "B": 2 / 7, "C": 4 / 7}, abs=EXACT)
    with pytest.raises(ValueError, match="half_life_days"):
        credited("decay", ("A", 1, 0, 1.0), half_life_days=0.0)


def test_a_channel_in_three_of_four_touches_is_one_row():
    assert credited("linear", ("A > A > B > A", 1, 0, 1.0)) == {"A": 0.75, "B": 0.25}


@pytest.mark.parametrize("length", range(1, 6))
def test_position_by_length(length):
    place, of = np.arange(1, length + 1), np.full(length, length)
    last = position_weights(place, of, (0.0, 0.0, 1.0))
    near(last / last.sum(), place == length)
    usual = position_weights(place, of)
    near((usual / usual.sum())[[0, -1]], {1: [1, 1], 2: [0.5, 0.5]}.get(length, [0.4, 0.4]))


def test_the_same_channels_of_two_journeys_are_split_equally():
    h = written(("A>B>A>C", 1, 0, 9.0))
    near(shapley(h).of(h.members), [[1 / 3] * 3, [3.0] * 3])


def test_grouped_paths_credit_only_what_converted():
    found = grouped(("A > B", 150, 0, 300.0), ("C > D", 0, 430, 0.0))
    h = found.histories
    near(rules(h)["linear"].of(h.members), [[75, 75, 0, 0], [150, 150, 0, 0]])
    assert (found.conversions, found.attributed, int(h.members.sum())) == (150, 150, 580)


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (("C > D", 0, 430, 600.0), "value without a conversion.*C > D"),
        (("", 1, 0, 1.0), "1 rows have an empty path"),
        ((None, 1, 0, 1.0), "1 rows have an empty path"),
        (("A > > B", 1, 0, 1.0), "an empty path or channel"),
        (("A", 1.5, 2, 1.0), "no whole number"),
        (("A", -1, 2, 1.0), "no whole number"),
        (("A", 1, 2, float("nan")), "missing or infinite"),
    ],
)
def test_grouped_paths_that_say_nothing_are_refused(row, words):
    with pytest.raises(BadData, match=words):
        expanded(pd.DataFrame([("A", 1, 0, 1.0), row], columns=["path", "conversions", "nulls", "value"]))


def test_the_order_is_chosen_on_members_left_out():
    rng = np.random.default_rng(4)
    # Without memory beyond the last touch, and where only the touch before the last tells what comes.
    plain, deep = [], []
    for _ in range(600):
        path = rng.choice(list("ABC"), rng.integers(1, 7))
        plain.append((" > ".join(path), *((1, 0) if rng.random() < 0.3 else (0, 1)), 0.0))
        first = rng.choice(["A", "B"])
        deep.append((f"{first} > C", *((1, 0) if (rng.random() < 0.9) == (first == "A") else (0, 1)), 0.0))
    assert choose_order(written(*plain))[0] == 1
    order, table = choose_order(written(*deep))
    assert order == 2
    assert table["loss"].argmin() == 1
