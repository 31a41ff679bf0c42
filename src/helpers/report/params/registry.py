"""From a notebook's name to its model, and from values to a checked record or a full list of problems."""

from __future__ import annotations

import ast
import importlib.util
import inspect
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, NamedTuple, get_args, get_origin

from pydantic import ValidationError
from pydantic.fields import FieldInfo

from helpers.checks import did_you_mean
from helpers.errors import BadParameters
from helpers.report.project import locate_data, method_name, notebook_name
from helpers.report.redact import mask_urls
from helpers.study.parameters import CommonParameters

_PACKAGE = "helpers.methods"
_FOLDER = Path(__file__).resolve().parents[2] / "methods"
_WORDS = {"str": "text", "int": "whole number", "float": "number", "date": "date", "bool": "true or false"}
_MESSAGES = {
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "int_type": "must be a whole number",
    "float_parsing": "must be a number",
    "float_type": "must be a number",
    "finite_number": "must be finite",
    "string_type": "must be a text",
    "dict_type": "must be a mapping such as {order: 1.0}",
    "bool_parsing": "must be true or false",
    "string_too_short": "must not be empty",
    "string_pattern_mismatch": "must look like {pattern}",
    "greater_than": "must be > {gt}",
    "greater_than_equal": "must be >= {ge}",
    "less_than": "must be < {lt}",
    "less_than_equal": "must be <= {le}",
    "literal_error": "must be one of {expected}",
    "value_error": "{error}",
}


class Description(NamedTuple):
    """One parameter, as text for people."""

    name: str
    type: str
    bounds: str
    default: str
    unit: str
    meaning: str


def model_for(notebook: str | os.PathLike[str]) -> type[CommonParameters]:
    """Return the parameter model of a notebook given by path or name.

    Raises
    ------
    BadParameters
        When there is no module of that name; the message says which one is looked for.
    """
    method = method_name(notebook)
    name, path = f"{_PACKAGE}.{method}.parameters", _FOLDER / method / "parameters.py"
    if not path.is_file():
        there = [file.parent.name for file in sorted(_FOLDER.glob("*/parameters.py"))]
        raise BadParameters(
            f"{notebook_name(notebook)} has no parameter model: {name} is missing.{did_you_mean(method, there)}"
        )
    module = sys.modules.get(name) or _load(name, path)
    models = [
        value
        for value in vars(module).values()
        if inspect.isclass(value)
        and issubclass(value, CommonParameters)
        and value.__module__ == module.__name__
    ]
    if len(models) != 1:
        raise BadParameters(f"{module.__name__} holds {len(models)} parameter models, must be 1")
    return models[0]


def _load(name: str, path: Path) -> ModuleType:
    """Import a module without the package around it, whose statistics take a second to load."""
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:  # not for a file that is there
        raise ImportError(name)
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Problem(NamedTuple):
    """What is wrong with one parameter.

    Attributes
    ----------
    name : str
        The parameter; empty when the problem is with all of them together.
    text : str
        The value, what would have been right, and the default. Secrets of URLs are masked.
    """

    name: str
    text: str


def check(
    notebook: str | os.PathLike[str], values: Mapping[str, Any]
) -> tuple[CommonParameters | None, list[Problem]]:
    """Return the checked parameters of a notebook, or None and every problem with them.

    Raises
    ------
    BadParameters
        When the notebook has no parameter model.
    """
    model = model_for(notebook)
    try:
        return model.model_validate(dict(values)), []
    except ValidationError as error:
        return None, [_problem(model, item) for item in error.errors()]


def validate(notebook: str | os.PathLike[str], values: Mapping[str, Any]) -> CommonParameters:
    """Return the checked parameters of a notebook; what `values` does not name takes its default.

    Parameters
    ----------
    notebook : str or path
        Name or path of the notebook.
    values : mapping
        Name to value; texts are understood by the parameter's type.

    Raises
    ------
    BadParameters
        One error that lists every problem with the value, what would have been right, and the default.
    """
    parameters, problems = check(notebook, values)
    if parameters is not None:
        return parameters
    count = f"{len(problems)} parameters" if len(problems) > 1 else "1 parameter"
    lines = "".join(f"\n  - {problem.text}" for problem in problems)
    raise BadParameters(f"{notebook_name(notebook)}: {count} cannot be used{lines}")


def _problem(model: type[CommonParameters], item: Any) -> Problem:
    name = str(item["loc"][0]) if item["loc"] else ""
    return Problem(name, _says(model, item))


def _says(model: type[CommonParameters], item: Any) -> str:
    name, *inner = map(str, item["loc"]) if item["loc"] else ("parameters",)
    if item["type"] == "extra_forbidden":
        hint = did_you_mean(name, model.model_fields) or f" Known: {', '.join(model.model_fields)}."
        return f'unknown parameter "{name}".{hint}'
    template = _MESSAGES.get(item["type"])
    says = template.format(**item.get("ctx", {})) if template else item["msg"]
    where = name + "".join(f"[{key}]" for key in inner)
    got = f"{where} == {mask_urls(repr(item['input']))}, {says}"
    if name not in model.model_fields:
        return got
    about = _describe(name, model.model_fields[name])
    bounds = f", {about.bounds}" if about.bounds else ""
    return f"{got} ({about.type}{bounds}; default {about.default})"


def describe(notebook: str | os.PathLike[str]) -> list[Description]:
    """Return name, type, bounds, default, unit and meaning of each parameter of a notebook."""
    return [_describe(name, field) for name, field in model_for(notebook).model_fields.items()]


def _describe(name: str, field: FieldInfo) -> Description:
    kind = field.annotation
    extra = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
    word = "choice" if get_origin(kind) is Literal else _WORDS.get(getattr(kind, "__name__", ""), str(kind))
    if get_origin(kind) is dict:
        word = "mapping"
    default = field.default
    shown = repr(default) if isinstance(default, (str, dict)) else str(default)
    unit = extra.get("unit")
    return Description(
        name, word, ", ".join(_bounds(field)), shown, str(unit) if unit else "", field.description or ""
    )


def _bounds(field: FieldInfo) -> Iterator[str]:
    if get_origin(field.annotation) is Literal:
        yield " | ".join(map(str, get_args(field.annotation)))
    for bound in field.metadata:
        for attribute, sign in (("gt", ">"), ("ge", ">="), ("lt", "<"), ("le", "<=")):
            if (limit := getattr(bound, attribute, None)) is not None:
                yield f"{sign} {limit}"
        if pattern := getattr(bound, "pattern", None):
            yield f"like {pattern}"


def read(notebook: str, namespace: Mapping[str, Any]) -> CommonParameters:
    """Return the checked parameters that a running notebook has assigned.

    Parameters
    ----------
    notebook : str
        Name of the notebook, such as ``"01_rfm"``.
    namespace : mapping
        The notebook's ``globals()``. Names that papermill injected and the model does not know are errors:
        papermill itself would let a misspelt name pass and run with the default.

    Returns
    -------
    CommonParameters
        The notebook's own model. ``data`` is a URL, or a path that leads there from the working folder.
    """
    model = model_for(notebook)
    names = [name for name in model.model_fields if name in namespace]
    names += [name for name in _injected(namespace) if name not in model.model_fields]
    parameters = validate(notebook, {name: namespace.get(name) for name in names})
    place = locate_data(parameters.data)
    if place != parameters.data:  # found in the project: no absolute path of this machine may enter an output
        place = Path(os.path.relpath(place)).as_posix()
    return parameters.model_copy(update={"data": place})


def _injected(namespace: Mapping[str, Any]) -> list[str]:
    """Return the names assigned in the cells that papermill injected into the running notebook."""
    names = []
    for source in namespace.get("In", ()):
        if str(source).startswith("# Parameters\n"):
            targets = [node.targets for node in ast.parse(source).body if isinstance(node, ast.Assign)]
            names += [target.id for group in targets for target in group if isinstance(target, ast.Name)]
    return names
