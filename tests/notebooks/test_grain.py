"""Notebooks that one can change: small cells, nothing unpacked, one meaning a name, methods of few parameters."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import statistics
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import nbformat
import pandas as pd
import pytest

from helpers import methods
from helpers.errors import BadParameters
from helpers.methods import outlook, retention, rfm
from helpers.playbook.contact.trial import evaluate_list
from helpers.report.project import method_name
from tests.conftest import ROOT

READY = {path.stem: method_name(path) for path in sorted((ROOT / "notebooks").glob("*.ipynb"))}
"""Notebooks with their methods."""
PACKAGES = sorted(found.name for found in pkgutil.iter_modules(methods.__path__))


def cells(root: Path, name: str) -> list[str]:
    """Return the sources of the code cells, without the one of the parameters."""
    notebook = nbformat.read(root / "notebooks" / f"{name}.ipynb", as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert len(notebook.cells) <= 40
    return [cell.source for cell in code if "parameters" not in cell.metadata.get("tags", [])]


def bound(tree: ast.Module) -> list[str]:
    """Return the names that a cell binds, each once."""
    nodes = (node for statement in tree.body for node in ast.walk(statement))
    return sorted(
        {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    )


@pytest.mark.parametrize("name", READY)
def test_cells_hold_one_thought_each(root: Path, name: str) -> None:
    sources = cells(root, name)
    lines = sorted(sum(bool(line.strip()) for line in source.splitlines()) for source in sources)
    assert statistics.median(lines) <= 6
    assert lines[int(0.9 * (len(lines) - 1))] <= 10
    trees = [ast.parse(source) for source in sources]
    unpacked = [
        node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.keyword) and not node.arg
    ]
    assert not unpacked, f"** in line {unpacked[0].value.lineno}"
    twice = [one for one, count in Counter(one for tree in trees for one in bound(tree)).items() if count > 1]
    assert not twice


@pytest.mark.parametrize("name", PACKAGES)
def test_methods_have_few_parameters(name: str) -> None:
    package = importlib.import_module(f"helpers.methods.{name}")
    many = {
        one: len(inspect.signature(each).parameters)
        for one in package.__all__
        if inspect.isfunction(each := getattr(package, one)) and len(inspect.signature(each).parameters) > 6
    }
    assert not many


@pytest.mark.parametrize("name", READY.values())
def test_tab_completion_shows_the_public_names(name: str) -> None:
    package = importlib.import_module(f"helpers.methods.{name}")
    assert dir(package) == sorted(package.__all__)


@pytest.mark.parametrize("method", [rfm.score, retention.day_n, outlook.risk])
def test_a_frame_in_place_of_a_study_says_how_it_becomes_one(method: Callable[..., object]) -> None:
    with pytest.raises(BadParameters, match=rf"{method.__name__}\(Study\.of\(\{{'events': frame\}}, as_of="):
        method(pd.DataFrame({"member_id": ["a"]}))


def test_what_takes_a_list_and_no_study_takes_a_frame() -> None:
    assert rfm.evaluate_list is outlook.evaluate_list is evaluate_list
