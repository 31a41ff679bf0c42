"""Every notebook's parameters cell agrees with its model, and every notebook keeps to the shape of the house."""

from pathlib import Path

import pytest

from helpers.report import params

NOTEBOOKS = sorted((Path(__file__).resolve().parents[2] / "notebooks").glob("*.ipynb"))


def test_there_are_notebooks():
    assert NOTEBOOKS


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_parameters_cell_agrees_with_the_model(notebook):
    assert params.disagreements(notebook, params.model_for(notebook)) == []
