"""The notebooks publish the stored numbers; the sample is compared in `tests/end_to_end`, where a batch ran it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from helpers import locale, sentences
from tests import golden
from tests.golden import pulled

FIELD = re.compile(r"\{[^}]*\}")


@pytest.fixture(scope="module")
def below(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the communities lie."""
    return tmp_path_factory.mktemp("golden")


@pytest.mark.parametrize(
    ("name", "notebook"), [run for run in golden.RUNS if run[0] not in ("sample", *golden.IN_CHINESE)]
)
def test_the_numbers_are_the_stored_ones(name, notebook, below):
    golden.check(name, notebook, golden.run(name, notebook, below))


def test_a_ceiling_that_is_passed_and_one_that_says_nothing_are_told():
    counted = pulled.Pulled(queries=11, rows=40, largest=8, bytes=900)
    told = ["queries: 11 of 10", "rows: 40 of 100"]
    assert pulled.over(counted, pulled.Ceiling(10, 100, 10, 1000)) == told


@pytest.mark.parametrize(("name", "notebook"), [run for run in golden.RUNS if run[0] in golden.IN_CHINESE])
def test_in_chinese_the_numbers_are_the_same_and_all_is_said_in_chinese(name, notebook, below, monkeypatch):
    said_in_english: set[str] = set()

    class Watched(dict[str, str]):
        """A catalogue that notes which templates it lacks; ``word`` asks with a default, as it need not know."""

        def get(self, template, default=None):
            if default is None and template not in self and re.search(r"[^\W\d_]", FIELD.sub("", template)):
                said_in_english.add(template)
            return super().get(template, default)

    known = locale.catalogue
    monkeypatch.setattr(locale, "catalogue", lambda *named: Watched(known(*named)))
    try:
        with pulled.counted() as counter:
            values = golden.run(name, notebook, below, "zh")
        golden.check(name, notebook, values, words=False)
    finally:
        sentences.use_language("en")
    if name == "simulated":
        assert pulled.over(counter, pulled.CEILINGS[notebook]) == []
    assert not said_in_english, "\n".join(sorted(said_in_english))


COUNTS = (
    "members",
    "n",
    "at_risk",
    "size",
    "mature",
    "zero_members",
    "negative_members",
    "blocked",
    "silences",
)
"""Columns that count members; the held-out part of a list is drawn at random and stands in the list itself."""
OF_PEOPLE = 10


@pytest.mark.parametrize("path", sorted(golden.VALUES.glob("*.json")), ids=lambda path: path.stem)
def test_no_stored_table_tells_of_fewer_members_than_may_be_shown(path):
    for name, table in json.loads(path.read_text("utf-8")).get("tables", {}).items():
        for column in set(COUNTS) & set(table["columns"]):
            cells = table["columns"][column]
            few = [cell for cell in cells if isinstance(cell, int | float) and 0 < cell < OF_PEOPLE]
            assert isinstance(cells, dict) or not few, f"{name}.{column} tells of {few}"


def test_each_kind_of_difference_is_one_readable_line():
    old = {
        "findings": {"a.b": {"value": 1.0, "n": 3, "unit": "share"}},
        "tables": {"t": {"columns": {"x": [1, None]}}},
    }
    new = {"findings": {"a.b": {"value": 1.1, "n": 3}}, "tables": {"t": {"columns": {"x": [1 + 1e-12, 2]}}}}
    assert golden.differences(old, old) == []
    assert golden.differences(old, new) == [
        "findings/a.b/value: stored 1.0, now 1.1",
        "findings/a.b/unit: stored, now absent",
        "tables/t/columns/x/1: stored None, now 2",
    ]
    assert golden.differences({"x": [1, 2]}, {"x": [1], "y": 2}) == ["x: stored 2 rows, now 1", "y: new"]


def test_a_tolerance_holds_for_the_places_its_pattern_names(monkeypatch):
    monkeypatch.setitem(golden.TOLERANCES, "findings/a.*/low", 1e-3)
    old = {"findings": {"a.b": {"low": 1.0, "value": 1.0}}}
    new = {"findings": {"a.b": {"low": 1.0005, "value": 1.0005}}}
    assert golden.differences(old, new) == ["findings/a.b/value: stored 1.0, now 1.0005"]


def test_cells_are_kept_as_json_has_them():
    cells = [float("nan"), float("inf"), None, True, 1 / 3, "at risk", "7 of 12 members left (58.3 %)"]
    kept = [None, "inf", None, True, 0.333333333333, "at risk", "7 12 58.3"]
    assert [golden.plain(cell) for cell in cells] == kept
