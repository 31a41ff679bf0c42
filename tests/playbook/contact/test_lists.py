"""Contact lists: stable arms, pseudonyms only, power against statsmodels, and the evaluation that follows."""

from __future__ import annotations

import dataclasses
import datetime as dt

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.proportion import confint_proportions_2indep, power_proportions_2indep

from helpers.data.privacy import pseudonymise
from helpers.errors import BadData
from helpers.playbook import standard_lists as standard
from helpers.playbook.contact import lists
from helpers.playbook.contact.lists import ContactList
from helpers.playbook.contact.trial import (
    assign_arms,
    detectable_difference,
    evaluate_list,
    power_of_difference,
    welch,
)
from helpers.playbook.propose import propose
from helpers.stats.estimate import difference_of_proportions
from helpers.stats.forecast.value import ValueForecast
from helpers.stats.forecast.value_judging import RatioSpread
from helpers.study import Study
from tests.playbook.test_finding import finding

DAY = dt.date(2026, 6, 30)
ORDER = ("silent", "potential", "active", "core")
AHEAD = ValueForecast(DAY, 30, 0.95, spread=RatioSpread(0.0, 0.1, 4, 1.0, 0.95))


def members(n: int, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "member_id": [f"user-{i}" for i in range(n)],
            "tier": rng.choice(ORDER, n),
            "expected_value": rng.gamma(0.7, 20, n).round(2),
            "bought": rng.random(n) < 0.6,
            "p_alive": rng.random(n),
        }
    )


def seen(day: dt.date = DAY, seed: int = 0) -> Study:
    nothing = pd.DataFrame({"member_id": [""]})
    return Study.of({"activity": nothing, "population": nothing}, day, seed=seed)


def contact_list(
    data: pd.DataFrame, *, name: str = "recall", study: Study | None = None, **more
) -> ContactList:
    return lists.contact_list(study or seen(), data, name=name, **more)


def standard_lists(data: pd.DataFrame, order: tuple[str, ...] = ORDER) -> standard.ListSet:
    return standard.standard_lists(seen(seed=1), data, order, 0.1, AHEAD)


# --- arms --------------------------------------------------------------------------------------------


@settings(max_examples=20, deadline=None)
@given(order=st.permutations(range(30)), kept=st.sets(st.integers(0, 29), min_size=1))
def test_an_arm_depends_on_the_member_alone(order: list[int], kept: set[int]):
    ids = pd.Series([f"m{i}" for i in range(30)])
    whole = dict(zip(ids, assign_arms(ids, day=DAY, seed=1, holdout_share=0.3), strict=True))
    some = ids.iloc[[i for i in order if i in kept]]
    arms = assign_arms(some, day=DAY, seed=1, holdout_share=0.3)
    assert [whole[i] for i in some] == arms.tolist()


def test_arms_are_random_and_independent_between_days():
    """20,000 members: the share is within 4 standard errors and two days or seeds share no pattern (phi near 0)."""
    ids = pd.Series([f"m{i}" for i in range(20_000)])
    keys = (DAY, 1), (DAY, 2), (dt.date(2026, 7, 30), 1)
    one, two, three = (assign_arms(ids, day=d, seed=k, holdout_share=0.1) == "hold-out" for d, k in keys)
    for held in (one, two, three):
        assert abs(held.mean() - 0.1) < 4 * np.sqrt(0.09 / 20_000)
    assert abs(np.corrcoef(one, two)[0, 1]) < 0.03
    assert abs(np.corrcoef(one, three)[0, 1]) < 0.03
    more = assign_arms(ids, day=DAY, seed=1, holdout_share=0.2) == "hold-out"
    assert (more | ~one).all()


def test_a_member_held_out_of_one_list_is_held_out_of_all_of_that_day():
    data = members(600)
    kept = {"study": seen(seed=5), "holdout_share": 0.3}
    first = contact_list(data, **kept).frame.set_index("member_id")["arm"]
    other = contact_list(data.iloc[200:], name="win_back", **kept).frame.set_index("member_id")["arm"]
    assert len(other) == 400 and (first.reindex(other.index) == other).all()
    later = contact_list(data, study=seen(dt.date(2026, 7, 30), 5), holdout_share=0.3).frame
    assert (later.set_index("member_id")["arm"].reindex(first.index) != first).mean() > 0.3


def test_published_values_are_no_fingerprint():
    """Rounded to hundredths, while the mean rests on what was predicted."""
    data = members(100).assign(expected_value=np.arange(100) / 997)
    found = contact_list(data, name="recall")
    assert (found.frame["expected_value"] * 100 % 1).round(6).isin((0.0, 1.0)).all()
    assert found.mean_value.value == pytest.approx(data["expected_value"].mean(), abs=1e-6)


# --- one list ----------------------------------------------------------------------------------------


def test_a_list_publishes_pseudonyms_only():
    data = members(500)
    found = contact_list(data, study=seen(seed=3))
    assert list(found.frame.columns) == ["member_id", "tier", "arm", "expected_value", "check_on"]
    assert found.frame["member_id"].str.fullmatch(r"p_[0-9a-f]{16}").all()
    assert not found.frame.astype(str).apply(lambda column: column.str.contains("user-")).any(axis=None)
    assert found.frame["expected_value"].is_monotonic_decreasing
    joined = data.assign(pseudonym=pseudonymise(data["member_id"])).merge(
        found.frame, left_on="pseudonym", right_on="member_id", suffixes=("", "_listed")
    )
    assert len(joined) == 500
    assert (joined["expected_value"] == joined["expected_value_listed"]).all()
    assert (joined["tier"] == joined["tier_listed"]).all()
    assert (found.size, found.contacted + found.held_out) == (500, 500)
    assert found.held_out == (found.frame["arm"] == "hold-out").sum()
    assert found.check_on == dt.date(2026, 7, 30) and "2026-07-30" in found.sentence
    assert found.mean_value.value == pytest.approx(data["expected_value"].mean())
    assert found.total_value.value == pytest.approx(data["expected_value"].sum())
    assert found.total_value.low == pytest.approx(500 * found.mean_value.low)


def test_another_salt_changes_names_and_not_arms(monkeypatch: pytest.MonkeyPatch):
    data = members(200)
    first = contact_list(data).frame
    monkeypatch.setenv("PLAYBOOK_SALT", "another")
    second = contact_list(data).frame
    assert not set(first["member_id"]) & set(second["member_id"])
    assert sorted(zip(first["expected_value"], first["arm"], strict=True)) == sorted(
        zip(second["expected_value"], second["arm"], strict=True)
    )


def test_the_order_of_rows_changes_nothing():
    data = members(200)
    again = contact_list(data.sample(frac=1, random_state=1), name="nurture")
    assert again.frame.equals(contact_list(data, name="nurture").frame)
    assert again.mean_value == contact_list(data, name="nurture").mean_value


@pytest.mark.parametrize("size", [0, 1, 9])
def test_a_small_list_is_withheld(size: int):
    found = contact_list(members(size), name="recall")
    assert found.withheld and found.frame.empty
    assert list(found.frame.columns) == ["member_id", "tier", "arm", "expected_value", "check_on"]
    assert found.sentence == "List recall: fewer than 10 members, not published."


def test_only_members_who_agreed_are_listed():
    data = members(60).assign(consent=[True] * 40 + [False] * 15 + [None] * 5)
    found = contact_list(data, name="recall")
    assert (found.size, found.without_consent) == (40, 20)
    assert set(found.frame["member_id"]) == set(pseudonymise(data["member_id"][:40]))
    assert "20 members who did not agree" in found.sentence
    few = contact_list(members(60).assign(consent=[True] * 55 + [False] * 5), name="recall")
    assert "fewer than 10 members who did not agree" in few.sentence


def test_bad_members_are_refused():
    data = members(30)
    with pytest.raises(BadData, match="one row per member_id is needed, but 1 have several"):
        contact_list(pd.concat([data, data.iloc[:1]]), name="recall")
    data.loc[3, "expected_value"] = np.nan
    with pytest.raises(BadData, match="expected_value missing or infinite in 1 rows"):
        contact_list(data, name="recall")


def test_the_error_of_the_prediction_is_in_the_interval():
    """Wide bounds set the interval, narrow ones leave that of the bootstrap; the value stays."""
    data = members(400)
    plain = contact_list(data, name="recall").mean_value
    value = data["expected_value"]
    wide = contact_list(data.assign(expected_low=value * 0.4, expected_high=value * 2), name="recall")
    assert wide.mean_value.value == plain.value
    bounds = [wide.mean_value.low, wide.mean_value.high]
    assert bounds == pytest.approx([0.4 * plain.value, 2 * plain.value])
    assert wide.total_value.high == pytest.approx(800 * plain.value)
    assert list(wide.frame.columns) == ["member_id", "tier", "arm", "expected_value", "check_on"]
    narrow = contact_list(data.assign(expected_low=value, expected_high=value), name="recall").mean_value
    assert (narrow.low, narrow.high) == (plain.low, plain.high)
    bad = data.assign(expected_low=value, expected_high=value.where(value.index != 3))
    with pytest.raises(BadData, match=r"missing in 1 of 400 rows"):
        contact_list(bad, name="recall")
    nothing = data.assign(expected_value=np.nan, expected_low=np.nan, expected_high=np.nan)
    assert not contact_list(nothing, name="recall").mean_value.known


# --- what the hold-out can show ----------------------------------------------------------------------


@pytest.mark.parametrize(("contacted", "held"), [(900, 100), (4500, 500), (300, 300), (90, 10)])
@pytest.mark.parametrize("baseline", [0.05, 0.3, 0.5])
def test_power_equals_statsmodels(contacted: int, held: int, baseline: float):
    for difference in (0.01, 0.05, 0.2):
        oracle = power_proportions_2indep(difference, baseline, contacted, ratio=held / contacted, alpha=0.05)
        found = power_of_difference(difference, baseline, contacted, held, 0.95)
        assert found == pytest.approx(oracle.power, abs=2e-3)
    detectable = detectable_difference(contacted, held, baseline)
    if np.isfinite(detectable):
        again = power_of_difference(detectable, baseline, contacted, held, 0.95)
        assert again == pytest.approx(0.8, abs=1e-6)


def test_detectable_difference_is_found_as_often_as_it_says():
    """Planted: 40,000 trials of the pooled z test at the detectable difference; 80 % within binomial noise."""
    rng = np.random.default_rng(4)
    step = detectable_difference(1800, 200, 0.2)
    x1, x0 = rng.binomial(1800, 0.2 + step, 40_000), rng.binomial(200, 0.2, 40_000)
    pooled = (x1 + x0) / 2000
    z = (x1 / 1800 - x0 / 200) / np.sqrt(pooled * (1 - pooled) * (1 / 1800 + 1 / 200))
    assert (np.abs(z) > stats.norm.ppf(0.975)).mean() == pytest.approx(0.8, abs=0.02)  # measured 0.797


def test_a_holdout_that_shows_nothing_says_so():
    assert np.isnan(detectable_difference(9, 1, 0.5))
    assert np.isnan(detectable_difference(50, 0, 0.5))
    few = contact_list(members(12), name="recall", holdout_share=0.01)
    assert not few.measurable and "too small to measure what contact is worth" in few.sentence


def test_an_action_needs_a_hold_out_of_ten_that_can_show_something():
    ten, none = (detectable_difference(200, *arm) for arm in ((10, 0.5), (10, 0.999999)))
    assert np.isfinite(ten) and np.isnan(none)  # near one there is no room for a rise to show
    each = dataclasses.replace(contact_list(members(60)), contacted=200, held_out=10, detectable=ten)
    assert each.measurable
    assert not dataclasses.replace(each, held_out=9).measurable
    assert not dataclasses.replace(each, detectable=none).measurable


def test_a_list_too_small_to_measure_is_published_and_starts_no_action():
    """A few buyers of the top tier: a tenth held out at random is fewer than ten, so only the larger lists stay."""
    data = members(800, seed=3)
    data = data[(data["tier"] != "core") | (data.index < 500)]
    found = standard_lists(data)
    small, large = found["protect"], found["recall"]
    assert not small.withheld and len(small.frame) and small.held_out < 10 <= large.held_out
    assert np.isfinite(small.detectable)
    assert "so no action rests on it" in small.sentence and "will show" not in small.sentence
    assert "fewer than 10 held out" in small.sentence
    fires = [finding(id="rfm.carried_share", verdict="stated"), finding(verdict="stated")]
    proposed = propose(seen(), fires, found.lists, prefix="rfm.protect")
    assert "too few to measure" in dict(proposed.silent)["rfm.protect_core"]
    silent = dict(propose(seen(), fires, found.lists, prefix="rfm.recall").silent)
    assert "too few to measure" not in silent.get("rfm.recall_silent", "")


# --- standard lists ----------------------------------------------------------------------------------


def test_standard_lists_equal_the_rules_row_by_row():
    data = members(3000, seed=5)
    data.loc[~data.bought, "p_alive"] = np.nan
    data.loc[data.index[data.bought][:7], "p_alive"] = np.nan
    found = standard_lists(data)

    def rule(row) -> str:
        if row.bought:
            if row.tier == "silent" or row.p_alive < 0.5:
                return "recall"
            return {"core": "protect", "active": "nurture"}.get(row.tier, "")
        return "" if row.tier == "silent" else "first_order"

    expected = pd.Series([rule(row) for row in data.itertuples()], index=pseudonymise(data["member_id"]))
    for each in found.lists:
        assert set(each.frame["member_id"]) == set(expected.index[expected == each.name]), each.name
    assert sum(each.size for each in found.lists) == (expected != "").sum()
    assert found.without_p_alive == 7 and "fewer than 10 members acted on one day only" in found.sentence
    assert found.overview["size"].tolist() == [each.size for each in found.lists]


def test_what_is_shown_of_all_lists_are_those_that_are_large_enough():
    found = standard_lists(members(3000, seed=5))
    salt, said, table, *shown = found.told()
    assert "pseudonyms" in salt and "no member is on two lists" in said and table.name == "lists"
    assert shown == list(found.lists)
    few = standard_lists(members(40, seed=5))
    assert 0 < len([each for each in few.lists if each.withheld]) == 4 - len(list(few.told())[3:])


def test_small_standard_lists_are_hidden_in_the_overview():
    data = members(300, seed=6)
    data.loc[data.tier == "core", "bought"] = False
    found = standard_lists(data)
    assert found["protect"].size == 0
    row = found.overview.set_index("list").loc["protect"]
    assert row[["size", "held_out", "mean_value", "detectable"]].isna().all()
    assert "protect 0," in found.sentence


def test_a_long_list_holds_those_of_highest_value_who_agreed_and_says_who_is_left_out(monkeypatch):
    data = members(3000, seed=5)
    data["consent"] = np.arange(len(data)) % 5 > 0
    whole = standard_lists(data)
    assert not any(whole.left_out.values()) and "not listed" not in whole.sentence
    monkeypatch.setattr(standard, "MOST_LISTED", 100)
    some = standard_lists(data)
    for name in standard.NAMES:
        rows, every = some[name].frame["expected_value"], whole[name].frame["expected_value"]
        least = min(100, len(every))
        assert len(rows) == least and rows.tolist() == every.iloc[:least].tolist()
        assert some.left_out[name] == whole[name].size - some[name].size
        assert some[name].without_consent == whole[name].without_consent > 0
    assert f"recall {some.left_out['recall']:,}" in some.sentence


@pytest.mark.parametrize(("agreed", "refused", "left"), [(50, 300, 0), (250, 100, 50)])
def test_who_did_not_agree_is_neither_cut_nor_uncounted(monkeypatch, agreed: int, refused: int, left: int):
    data = members(agreed + refused).assign(tier="core", bought=True, p_alive=0.9)
    data["consent"] = np.arange(len(data)) < agreed
    monkeypatch.setattr(standard, "MOST_LISTED", 200)
    found = standard_lists(data)
    assert (found["protect"].size, found.left_out["protect"]) == (agreed - left, left)
    assert found["protect"].without_consent == refused and ("not listed" in found.sentence) == (left > 0)


def test_two_tiers_have_no_tier_below_the_highest():
    data = members(400, seed=7).replace({"tier": {"potential": "silent", "active": "core"}})
    found = standard_lists(data, order=("silent", "core"))
    assert found["nurture"].size == 0
    assert found["protect"].size > 0


# --- evaluation --------------------------------------------------------------------------------------


def test_evaluation_of_shares_and_amounts():
    data = members(4000, seed=8)
    listed = contact_list(data, name="recall", holdout_share=0.3).frame
    rng = np.random.default_rng(9)
    arms = listed.set_index("member_id")["arm"].reindex(pseudonymise(data["member_id"])).to_numpy()
    contacted = arms == "contact"
    outcome = data[["member_id"]].assign(
        active=rng.random(4000) < np.where(contacted, 0.3, 0.2),
        spent=rng.gamma(0.5, 40, 4000) * np.where(contacted, 1.1, 1.0),
    )
    share = evaluate_list(listed, outcome, outcome="active", kind="share", name="recall")
    ones, zeros = outcome["active"][contacted], outcome["active"][~contacted]
    assert (share.contact, share.holdout) == (pytest.approx(ones.mean()), pytest.approx(zeros.mean()))
    low, high = confint_proportions_2indep(
        ones.sum(), len(ones), zeros.sum(), len(zeros), method="newcomb", compare="diff"
    )
    assert (share.difference.low, share.difference.high) == (pytest.approx(low), pytest.approx(high))
    assert share.verdict == "better" and "better" in share.sentence
    amount = evaluate_list(listed, outcome, outcome="spent", kind="amount", name="recall")
    oracle = stats.ttest_ind(outcome["spent"][contacted], outcome["spent"][~contacted], equal_var=False)
    bounds = oracle.confidence_interval(0.95)
    assert (amount.difference.low, amount.difference.high) == (
        pytest.approx(bounds.low),
        pytest.approx(bounds.high),
    )


def test_everyone_assigned_counts():
    listed = contact_list(members(100), name="recall", holdout_share=0.5).frame
    outcome = pd.DataFrame({"member_id": [f"user-{i}" for i in range(10)], "active": 1})
    found = evaluate_list(listed, outcome, outcome="active", kind="share", name="recall")
    assert found.contacted + found.held_out == 100
    assert found.contact * found.contacted + found.holdout * found.held_out == pytest.approx(10)


def test_differences_are_covered():
    """1,000 trials of 900 contacted and 100 held out, planted lifts of 5 CNY and of 3 points.

    Measured: Welch .932 on gamma amounts (skew 1.4), Newcombe .957.
    """
    rng = np.random.default_rng(10)
    hits = 0
    for _ in range(1000):
        difference = welch(rng.gamma(2, 10, 900) + 5, rng.gamma(2, 10, 100), unit="CNY", confidence=0.95)
        hits += difference.low <= 5 <= difference.high
    assert 0.92 <= hits / 1000 <= 0.97
    first, second = rng.binomial(900, 0.23, 1000), rng.binomial(100, 0.2, 1000)
    shares = [difference_of_proportions(x1, 900, x0, 100) for x1, x0 in zip(first, second, strict=True)]
    assert 0.93 <= np.mean([each.low <= 0.03 <= each.high for each in shares]) <= 0.98


def test_evaluation_of_bad_input():
    listed = contact_list(members(50), name="recall").frame
    outcome = pd.DataFrame({"member_id": [f"user-{i}" for i in range(50)], "active": 1})
    arguments = {"outcome": "active", "kind": "share", "name": "recall"}
    with pytest.raises(BadData, match="is the salt the same"):
        evaluate_list(listed, outcome.assign(member_id=outcome["member_id"] + "x"), **arguments)
    with pytest.raises(BadData, match="neither 0 nor 1"):
        evaluate_list(listed, outcome.assign(active=7), **arguments)
    with pytest.raises(BadData, match="arms are not"):
        evaluate_list(listed.assign(arm="treated"), outcome, **arguments)
    with pytest.raises(BadData, match="missing in 50 rows"):
        evaluate_list(listed, outcome.assign(active=np.nan), **arguments)
    with pytest.raises(BadData, match="listed twice"):
        evaluate_list(pd.concat([listed, listed]), outcome, **arguments)
    one_arm = listed[listed["arm"] == "contact"]
    assert evaluate_list(one_arm, outcome, **arguments).verdict == "too little data"
