"""Published ids are keyed pseudonyms, and suppressed cells cannot be computed from what is left."""

from __future__ import annotations

import csv
import hashlib
import hmac
import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.data import privacy
from helpers.errors import BadData, BadParameters


@pytest.fixture(autouse=True)
def no_salt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PLAYBOOK_SALT", raising=False)


def test_pseudonyms_are_truncated_hmac() -> None:
    ids = pd.Series(["007", None, "抖音", "007"], index=[3, 1, 4, 2], name="member_id")
    result = privacy.pseudonymise(ids, salt="s")
    expected = "p_" + hmac.new(b"s", b"007", hashlib.sha256).hexdigest()[:16]
    assert result[3] == result[2] == expected == privacy.pseudonym("007", "s")
    assert pd.isna(result[1]) and result[4] != expected
    assert list(result.index) == [3, 1, 4, 2] and result.name == "member_id"


def test_the_salt_matters_and_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    ids = pd.Series(["1", "2"])
    public = privacy.pseudonymise(ids)
    assert "not set" in privacy.salt_sentence()
    monkeypatch.setenv("PLAYBOOK_SALT", "secret-salt")
    assert "under the secret salt" in privacy.salt_sentence() and "secret-salt" not in privacy.salt_sentence()
    secret = privacy.pseudonymise(ids)
    assert not set(public) & set(secret)
    assert list(secret) == list(privacy.pseudonymise(ids, salt="secret-salt"))
    assert not set(secret) & set(privacy.pseudonymise(ids, salt="other"))
    monkeypatch.setenv("PLAYBOOK_SALT", "")
    assert "not set" in privacy.salt_sentence()


def test_categorical_and_empty_ids() -> None:
    assert list(privacy.pseudonymise(pd.Series(pd.Categorical(["1", "1"])))) == [privacy.pseudonym("1")] * 2
    assert privacy.pseudonymise(pd.Series([], dtype=object)).empty


def test_a_collision_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(privacy, "HEX_DIGITS", 1)
    with pytest.raises(BadData, match="share a pseudonym"):
        privacy.pseudonymise(pd.Series([str(i) for i in range(40)]))


def test_lists_can_be_mapped_back_only_with_the_salt() -> None:
    published = pd.DataFrame({"member_id": privacy.pseudonymise(pd.Series(["2", "1"]), "s"), "value": [1, 2]})
    known = ["1", "2", "3", None, "1"]
    assert list(privacy.reveal(published, known, "s")["member_id"]) == ["2", "1"]
    with pytest.raises(BadData, match=r"2 of 2 pseudonyms match no id.*PLAYBOOK_SALT is set here"):
        privacy.reveal(published, known, "t")
    with pytest.raises(BadParameters, match="no column member_id; it has value"):
        privacy.reveal(published[["value"]], known, "s")


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\r\n\0")), min_size=1, max_size=5))
def test_no_cell_is_a_formula_and_every_text_comes_back(tmp_path_factory, texts: list[str]) -> None:
    texts += ["=cmd|' /C calc'!A0", "+86 138", "-1", "@SUM(A1)", "\t=1", "＝1", "'", "'=1", ""]
    path = tmp_path_factory.getbasetemp() / "list.csv"
    path.write_text(
        privacy.csv_text(pd.DataFrame({"text": texts, "value": -1.5})), encoding="utf-8", newline=""
    )
    with path.open(encoding="utf-8", newline="") as file:
        cells = [row["text"] for row in csv.DictReader(file)]
    assert not any(cell.startswith(("=", "+", "-", "@", "\t", "＝")) for cell in cells)
    assert privacy.read_list(path)["text"].tolist() == texts
    assert privacy.read_list(path)["value"].unique() == ["-1.5"], "a number stays one"


def test_small_cells_lose_their_measures() -> None:
    frame = pd.DataFrame(
        {
            "tier": list("abcde"),
            "members": [500, 9, 3, 0, 10],
            "value": [1.0, 2, 3, 4, 5],
            "orders": [9, 8, 7, 6, 5],
        }
    )
    shown = privacy.suppress(frame)
    assert shown["members"].isna().tolist() == [False, True, True, False, False]
    assert (
        shown["value"].isna().tolist() == shown["orders"].isna().tolist() == shown["members"].isna().tolist()
    )
    assert frame["members"].tolist() == [500, 9, 3, 0, 10]
    assert privacy.suppress(frame, measures=["value"])["orders"].tolist() == [9, 8, 7, 6, 5]
    assert privacy.suppress(frame, k_min=1)["members"].tolist() == [500, 9, 3, 0, 10]


def test_a_single_small_cell_takes_the_next_one_with_it() -> None:
    shown = privacy.suppress(pd.DataFrame({"members": [500, 3, 40, 60]}))
    assert shown["members"].isna().tolist() == [False, True, True, False]


def test_two_cells_whose_sum_gives_them_away_take_a_third() -> None:
    shown = privacy.suppress(pd.DataFrame({"members": [500, 1, 1, 60]}))
    assert shown["members"].isna().tolist() == [False, True, True, True]


def test_each_row_of_a_matrix_has_its_own_total() -> None:
    frame = pd.DataFrame({"from": list("aaabbb"), "to": list("xyz") * 2, "members": [3, 50, 70, 20, 30, 40]})
    shown = privacy.suppress(frame, within=["from"])
    assert shown["members"].isna().tolist() == [True, True, False, False, False, False]


def solutions(shown: pd.Series, total: int, k_min: int) -> list[set[int]]:
    """Return the values each suppressed cell can have, given the total and that one of them is small.

    The attacker knows the total, the rest of the table and the rule that a small cell is among the blank.
    """
    missing = int(shown.isna().sum())
    left = total - int(shown.fillna(0).sum())
    possible: list[set[int]] = [set() for _ in range(missing)]
    for parts in itertools.product(range(1, left + 1), repeat=missing - 1):
        last = left - sum(parts)
        if last >= 1 and min(*parts, last) < k_min:
            for position, value in enumerate((*parts, last)):
                possible[position].add(value)
    return possible


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 15), min_size=2, max_size=6))
def test_suppression_cannot_be_undone_by_subtraction(counts: list[int]) -> None:
    k_min = 4
    shown = privacy.suppress(pd.DataFrame({"members": counts}), k_min=k_min)["members"]
    small = [0 < count < k_min for count in counts]
    assert not (~shown.isna() & pd.Series(small)).any()
    assert shown.isna().any() == any(small)
    # A table whose non-empty cells are all blank, fewer than k_min in all, has nothing left to blank.
    if any(small) and int(shown.isna().sum()) in (2, 3) and sum(np.array(counts)[shown.isna()]) >= k_min:
        assert all(len(values) > 1 for values in solutions(shown, sum(counts), k_min))
    if any(small) and sum(count > 0 for count in counts) >= 2:
        assert shown.isna().sum() >= 2


def test_arguments_are_checked() -> None:
    with pytest.raises(BadParameters, match="count == 'members'"):
        privacy.suppress(pd.DataFrame({"n": [1]}))
    with pytest.raises(ValueError, match="k_min == 0"):
        privacy.suppress(pd.DataFrame({"members": [1]}), k_min=0)
