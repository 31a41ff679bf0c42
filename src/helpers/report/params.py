"""Parameters of the notebooks: one model each, found by the notebook's name, checked before any kernel starts.

``01_rfm.ipynb`` has its model in ``helpers.methods.rfm.parameters``; a new notebook brings its own module and needs
no edit elsewhere. The notebook's cell tagged ``parameters`` holds the same names as plain typed assignments, and its
next cell says ``parameters = params.read("01_rfm", globals())``.
"""

from __future__ import annotations

import ast
import importlib.util
import inspect
import json
import os
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, NamedTuple, get_args, get_origin

from pydantic import ValidationError
from pydantic.fields import FieldInfo

from helpers import locale
from helpers.checks import did_you_mean
from helpers.errors import BadParameters
from helpers.report.project import locate_data, method_name, notebook_name
from helpers.report.redact import mask_urls
from helpers.sentences import Verbatim, in_chinese, say, shortened, word
from helpers.study.parameters import CommonParameters

_PACKAGE = "helpers.methods"
_FOLDER = Path(__file__).resolve().parents[1] / "methods"
_WORDS = {"str": "text", "int": "whole number", "float": "number", "bool": "true or false"}
_WORDS |= {"date": "date", "dict": "mapping", "Literal": "choice"}
LONGEST_VALUE = 200
_MESSAGES = {
    **dict.fromkeys(("int_parsing", "int_from_float", "int_type"), "must be a whole number"),
    **dict.fromkeys(("float_parsing", "float_type"), "must be a number"),
    "finite_number": "must be finite",
    "string_type": "must be a text",
    "dict_type": "must be a mapping such as {{goods: 1.0}}",
    "bool_parsing": "must be true or false",
    "string_too_short": "must not be empty",
    "string_too_long": "must have at most {max_length:,} characters",
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
            say(
                "{notebook} has no parameter model: {name} is missing.{near}",
                notebook=notebook_name(notebook),
                name=name,
                near=did_you_mean(method, there),
            )
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
        raise BadParameters(
            say("{module} holds {n} parameter models, must be 1", module=module.__name__, n=len(models))
        )
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
    text = (
        "{notebook}: 1 parameter cannot be used"
        if len(problems) == 1
        else "{notebook}: {n} parameters cannot be used"
    )
    lines = "".join(f"\n  - {problem.text}" for problem in problems)
    raise BadParameters(say(text, notebook=notebook_name(notebook), n=len(problems)) + lines)


def unknown(name: str, known: Collection[str]) -> str:
    """Say that there is no parameter of a name, and which it may be, or which there are."""
    hint, text = did_you_mean(name, known), 'unknown parameter "{name}".{hint}'
    text += "" if hint else "\nKnown: {known}."
    return say(text, name=name, hint=hint, known=", ".join(known))


def _problem(model: type[CommonParameters], item: Any) -> Problem:
    name, *inner = map(str, item["loc"]) if item["loc"] else ("",)
    if item["type"] == "extra_forbidden":
        return Problem(name, unknown(name, model.model_fields))
    template = _MESSAGES.get(item["type"])
    about = item.get("ctx", {})
    if in_chinese() and "expected" in about:  # pydantic lists the choices in English
        about = {"expected": about["expected"].replace(" or ", ", ")}
    says = say(template, **about) if template else item["msg"]
    where = (name or "parameters") + "".join(f"[{key}]" for key in inner)
    value = Verbatim(shortened(mask_urls(repr(item["input"])), LONGEST_VALUE))
    text = say("{where} == {value}, {says}", where=where, value=value, says=Verbatim(says))
    if name in model.model_fields:
        told = _describe(name, model.model_fields[name])
        kind = ", ".join(filter(None, (told.type, told.bounds)))
        default = Verbatim(told.default)
        text = say(
            "{problem} ({kind}; default {default})", problem=Verbatim(text), kind=kind, default=default
        )
    return Problem(name, text)


def describe(notebook: str | os.PathLike[str]) -> list[Description]:
    """Return name, type, bounds, default, unit and meaning of each parameter of a notebook."""
    return [_describe(name, field) for name, field in model_for(notebook).model_fields.items()]


def _describe(name: str, field: FieldInfo) -> Description:
    kind, default = field.annotation, field.default
    said = word(_WORDS.get(getattr(get_origin(kind) or kind, "__name__", ""), str(kind)))
    shown = repr(default) if isinstance(default, (str, dict)) else str(default)
    extra = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
    unit, meaning = str(extra.get("unit") or ""), word(field.description or "")
    return Description(name, said, ", ".join(_bounds(field)), shown, unit, meaning)


def _bounds(field: FieldInfo) -> Iterator[str]:
    if get_origin(field.annotation) is Literal:
        yield " | ".join(map(str, get_args(field.annotation)))
    for bound in field.metadata:
        for attribute, sign in (("gt", ">"), ("ge", ">="), ("lt", "<"), ("le", "<=")):
            if (limit := getattr(bound, attribute, None)) is not None:
                yield f"{sign} {limit}"
        if pattern := getattr(bound, "pattern", None):
            yield say("like {pattern}", pattern=Verbatim(pattern))


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
        The notebook's own model. ``data`` is a URL, or a path that leads there from the working folder. From here
        on the notebook speaks its ``language``.
    """
    model = model_for(notebook)
    names = [name for name in model.model_fields if name in namespace]
    names += [name for name in _injected(namespace) if name not in model.model_fields]
    if namespace.get("language") in get_args(model.model_fields["language"].annotation):
        locale.use(namespace["language"], method_name(notebook))
    parameters = validate(notebook, {name: namespace.get(name) for name in names})
    place = locate_data(parameters.data)
    if place != parameters.data:  # found in the project: no absolute path of this machine may enter an output
        place = Path(os.path.relpath(place)).as_posix()
    return parameters.model_copy(update={"data": place})


def _injected(namespace: Mapping[str, Any]) -> list[str]:
    """Return the names assigned in the cells that papermill injected into the running notebook."""
    cells = [str(source) for source in namespace.get("In", ()) if str(source).startswith("# Parameters\n")]
    return [name for source in cells for name, _ in _assignments(source)]


def cell_defaults(notebook: str | os.PathLike[str]) -> dict[str, Any]:
    """Return the values assigned in a notebook's parameters cell; empty when it has none.

    Raises
    ------
    BadParameters
        When a value is not a literal: a default must be readable without running anything.
    """
    try:
        return defaults(json.loads(Path(notebook).read_text(encoding="utf-8"))["cells"])
    except ValueError as error:
        raise BadParameters(f"{Path(notebook).name}: {error}") from None


def defaults(cells: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the values assigned in the cell of parameters; ValueError when one is no literal."""
    values: dict[str, Any] = {}
    for cell in [cell for cell in cells if "parameters" in cell.get("metadata", {}).get("tags", [])][:1]:
        for name, value in _assignments("".join(cell["source"])):
            try:
                values[name] = ast.literal_eval(value)
            except ValueError:
                text = "{name} = {value} in the parameters cell must be a plain value"
                raise ValueError(say(text, name=name, value=ast.unparse(value))) from None
    return values


def _assignments(source: str) -> Iterator[tuple[str, ast.expr]]:
    for node in ast.parse(source).body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value:
            yield node.target.id, node.value
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            yield node.targets[0].id, node.value
