"""Parameters: every problem at once, values understood by type, cell and model proven equal."""

from __future__ import annotations

import ast
import datetime
import json
import logging
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import pytest
from papermill import inspect_notebook
from pydantic import ValidationError

from helpers.errors import BadParameters
from helpers.methods.rfm.parameters import RfmParameters
from helpers.report import params
from helpers.study.parameters import CommonParameters, parameter

NOTEBOOKS = sorted((Path(__file__).resolve().parents[2] / "notebooks").glob("*.ipynb"))
COMMON_CELL = """data: str = "data/sample"  # folder of tables
as_of: str = "2026-06-30"  # last day that counts
report_tz: str = "Asia/Shanghai"  # zone of the days
segment: str = ""  # filter
currency: str = "CNY"  # currency
seed: int = 20260630  # seed
confidence: float = 0.95  # level
language: str = "en"  # language
"""


class TinyParameters(CommonParameters):
    """The common parameters and one of its own."""

    weights: dict[str, float] = parameter({}, "Weights")


def test_texts_are_understood_by_type() -> None:
    got = params.validate(
        "01_rfm",
        {"as_of": "2026-02-28", "confidence": "0.9", "bins": "4", "value_weights": "{gift: 1, order: 0.5}"},
    )
    assert got.as_of == datetime.date(2026, 2, 28)
    assert (got.confidence, got.bins) == (0.9, 4)
    assert got.value_weights == {"gift": 1.0, "order": 0.5}


def test_json_is_understood_as_yaml_is() -> None:
    assert params.validate("rfm", {"value_weights": '{"gift": 2}'}).value_weights == {"gift": 2.0}


def test_every_problem_is_listed_at_once() -> None:
    wrong = {
        "segmnt": "x",
        "confidence": 95,
        "as_of": "30.06.2026",
        "report_tz": "Asia/Shangai",
        "bins": True,
        "seed": "1.5",
        "period": "yearly",
        "value_weights": "{gift: -1}",
        "data": "",
    }
    with pytest.raises(BadParameters) as caught:
        params.validate("notebooks/01_rfm.ipynb", wrong)
    message = str(caught.value)
    assert message.startswith("01_rfm: 9 parameters cannot be used")
    for part in (
        'unknown parameter "segmnt". Did you mean "segment"?',
        "confidence == 95, must be < 1.0 (number, > 0.5, < 1; default 0.95)",
        "as_of == '30.06.2026', must be an ISO date such as 2026-06-30",
        'must be a time zone such as Asia/Shanghai. Did you mean "Asia/Shanghai"?',
        "bins == True, must be a number, not a truth value",
        "seed == '1.5', must be a whole number",
        "period == 'yearly', must be one of",
        "value_weights[gift] == -1, must be >= 0",
        "data == '', must not be empty",
    ):
        assert part in message


@pytest.mark.parametrize(
    "value", ["latest", "20260630", "0", 0, 1782777600, "2026-02-30", None, "2026-06-30T00:00"]
)
def test_as_of_is_an_iso_date_and_nothing_else(value: object) -> None:
    with pytest.raises(BadParameters, match="as_of"):
        params.validate("01_rfm", {"as_of": value})


@pytest.mark.parametrize("value", ["nan", "inf", float("nan")])
def test_numbers_are_finite(value: object) -> None:
    with pytest.raises(BadParameters, match="confidence"):
        params.validate("01_rfm", {"confidence": value})


@pytest.mark.parametrize("zone", ["Mars/Base", "Asia", "../etc/passwd", "/etc/localtime", ""])
def test_a_time_zone_is_a_real_one(zone: str) -> None:
    with pytest.raises(BadParameters, match="report_tz"):
        params.validate("01_rfm", {"report_tz": zone})


@pytest.mark.parametrize("value", ["goods", "[goods]", "{goods: a}", "{1: 1}", "null", 3, "{goods: .inf}"])
def test_weights_that_are_no_mapping_are_named(value: object) -> None:
    with pytest.raises(BadParameters, match="value_weights"):
        params.validate("01_rfm", {"value_weights": value})


def test_a_message_shows_no_password() -> None:
    with pytest.raises(BadParameters) as caught:
        params.validate("01_rfm", {"postgres": 1, "currency": "postgres://u:hunter22@host/db"})
    assert "hunter22" not in str(caught.value)


def test_parameters_are_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        params.validate("01_rfm", {}).seed = 5  # type: ignore[misc]


def test_a_notebook_without_a_model_is_named() -> None:
    with pytest.raises(
        BadParameters, match=r"helpers\.methods\.rmf\.parameters is missing\. Did you mean \"rfm\"\?"
    ):
        params.validate("07_rmf", {})


def test_the_registry_does_not_take_its_own_modules_for_notebooks() -> None:
    with pytest.raises(BadParameters, match="no parameter model"):
        params.model_for("00_common")


def test_description_names_type_bounds_default_unit_and_meaning() -> None:
    rows = {row.name: row for row in params.describe("01_rfm")}
    assert set(rows) == set(RfmParameters.model_fields)
    assert all(row.type and row.meaning and row.default for row in rows.values())
    assert rows["window_days"].unit == "days"
    assert ">= 1" in rows["window_days"].bounds
    assert rows["period"].bounds == "week | month | quarter"


def disagreements(notebook: str | os.PathLike[str], model: type[CommonParameters]) -> list[str]:
    """Return every difference between a notebook's parameters cell, as papermill reads it, and its model.

    The cell must name the parameters of the model and no others, each on a line of its own with a type, the
    model's default, and a comment. Papermill skips a line with a second ``=``, so a comment must do without.
    """
    logging.getLogger("papermill").setLevel(logging.ERROR)
    found = inspect_notebook(os.fspath(notebook))
    problems = [
        f"{name}: in the cell, not in {model.__name__}" for name in found if name not in model.model_fields
    ]
    for name in model.model_fields:
        if name not in found:
            problems.append(f"{name}: in {model.__name__}, not in the cell (or its line has a second '=')")
        else:
            problems += [f"{name}: {problem}" for problem in _differences(model, name, found[name])]
    return problems


def _differences(model: type[CommonParameters], name: str, line: Mapping[str, str]) -> Iterator[str]:
    wanted = _cell_type(model.model_fields[name].annotation)
    if line["inferred_type_name"] != wanted:
        yield f"typed {line['inferred_type_name']} in the cell, must be {wanted}"
    if not line["help"]:
        yield "has no comment"
    try:
        value = getattr(model.model_validate({name: ast.literal_eval(line["default"])}), name)
    except (ValueError, SyntaxError, ValidationError) as error:
        yield f"default {line['default']} is not accepted by the model: {error}"
        return
    if value != model.model_fields[name].default:
        yield f"default {value!r} in the cell, {model.model_fields[name].default!r} in {model.__name__}"


def _cell_type(kind: Any) -> str:
    """Return the annotation that a plain notebook cell uses for a model's type."""
    if get_origin(kind) is Literal:
        return type(get_args(kind)[0]).__name__
    name = getattr(get_origin(kind) or kind, "__name__", str(kind))
    return "str" if name == "date" else name


def write_cell(folder: Path, source: str) -> Path:
    path = folder / "01_tiny.ipynb"
    cell = {"cell_type": "code", "metadata": {"tags": ["parameters"]}, "source": source, "outputs": []}
    kernel = {"name": "python3", "language": "python", "display_name": "Python 3"}
    cell |= {"execution_count": None, "id": "a"}
    path.write_text(
        json.dumps({"cells": [cell], "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5})
    )
    return path


def test_a_cell_that_agrees_has_no_disagreements(tmp_path: Path) -> None:
    path = write_cell(tmp_path, COMMON_CELL + "weights: dict = {}  # weights")
    assert disagreements(path, TinyParameters) == []
    assert params.cell_defaults(path)["seed"] == 20260630


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("", "weights: in TinyParameters, not in the cell"),
        ("weights: dict = {}", "weights: has no comment"),
        ("weights: str = {}  # w", "weights: typed str in the cell, must be dict"),
        ('weights: dict = {"a": 1}  # w', "weights: default {'a': 1.0} in the cell, {} in TinyParameters"),
        ('weights: dict = "{[}"  # w', "is not accepted by the model"),
        ("weights: dict = {}  # w\nwindow: int = 3  # w", "window: in the cell, not in TinyParameters"),
        ("weights: dict = {}  # such as a == 1", "second '='"),
    ],
)
def test_each_disagreement_is_found(tmp_path: Path, line: str, problem: str) -> None:
    found = disagreements(write_cell(tmp_path, COMMON_CELL + line), TinyParameters)
    assert any(problem in item for item in found), found


def test_a_cell_holds_plain_values_only(tmp_path: Path) -> None:
    with pytest.raises(BadParameters, match="must be a plain value"):
        params.cell_defaults(write_cell(tmp_path, "seed: int = make_seed()  # seed"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_notebook_agrees_with_its_model(path: Path) -> None:
    assert disagreements(path, params.model_for(path)) == []


def test_read_takes_the_notebooks_values(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "tables").mkdir()
    monkeypatch.chdir(tmp_path / "notebooks")
    got = params.read("01_rfm", {"data": "tables", "as_of": "2026-01-31", "seed": 5, "pandas": object()})
    assert (got.as_of, got.seed) == (datetime.date(2026, 1, 31), 5)
    assert got.data == "../tables", "relative to the project, shown without a path of this machine"


def test_read_finds_a_misspelt_injected_parameter() -> None:
    namespace = {"In": ["", "import os", '# Parameters\nsegmnt = "x"\nseed = 4\n'], "segmnt": "x", "seed": 4}
    with pytest.raises(BadParameters, match='Did you mean "segment"'):
        params.read("01_rfm", namespace)


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"segment": "a" * 100_000}, "must have at most 10,000 characters"),
        ({"value_weights": "- " * 4_000 + "1"}, "must be JSON or YAML"),
        ({"value_weights": f"{{a: &a [{'1, ' * 90}], b: *a}}"}, "no part that refers to another"),
        ({"report_tz": "A/" * 4_000}, "must be a time zone"),
        ({"as_of": "2" * 9_000}, "must be an ISO date"),
    ],
)
def test_a_huge_value_is_refused_and_not_repeated(values: dict[str, str], says: str) -> None:
    with pytest.raises(BadParameters, match=says) as caught:
        params.validate("01_rfm", values)
    assert "more characters)" in str(caught.value) and len(str(caught.value)) < 1_000
