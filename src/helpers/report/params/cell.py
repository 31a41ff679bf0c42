"""The notebook's cell tagged ``parameters``: reading it, and proving that it agrees with the model."""

from __future__ import annotations

import ast
import json
import logging
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic import ValidationError

from helpers.errors import BadParameters
from helpers.study.parameters import CommonParameters


def cell_defaults(notebook: str | os.PathLike[str]) -> dict[str, Any]:
    """Return the values assigned in a notebook's parameters cell; empty when it has none.

    Raises
    ------
    BadParameters
        When a value is not a literal: a default must be readable without running anything.
    """
    cells = json.loads(Path(notebook).read_text(encoding="utf-8"))["cells"]
    tagged = [cell for cell in cells if "parameters" in cell.get("metadata", {}).get("tags", [])]
    values: dict[str, Any] = {}
    for cell in tagged[:1]:
        source = cell["source"] if isinstance(cell["source"], str) else "".join(cell["source"])
        for name, value in _assignments(source):
            try:
                values[name] = ast.literal_eval(value)
            except ValueError:
                raise BadParameters(
                    f"{Path(notebook).name}: {name} = {ast.unparse(value)} in the parameters cell must be a "
                    "plain value"
                ) from None
    return values


def _assignments(source: str) -> Iterator[tuple[str, ast.expr]]:
    for node in ast.parse(source).body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value:
            yield node.target.id, node.value
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            yield node.targets[0].id, node.value


def disagreements(notebook: str | os.PathLike[str], model: type[CommonParameters]) -> list[str]:
    """Return every difference between a notebook's parameters cell, as papermill reads it, and its model.

    The cell must name the parameters of the model and no others, each on a line of its own with a type, the
    model's default, and a comment. Papermill skips a line with a second ``=``, so a comment must do without.
    """
    from papermill import inspect_notebook

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
