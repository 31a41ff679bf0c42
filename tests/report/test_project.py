"""Where data lie, written so that it does not depend on the folder a kernel runs in."""

import duckdb
import pytest

from helpers.report.project import portable_data


@pytest.fixture
def project(tmp_path):
    (tmp_path / "tables").mkdir()
    duckdb.connect(str(tmp_path / "shop.duckdb")).close()
    return tmp_path


@pytest.mark.parametrize(
    ("typed", "portable"),
    [
        ("tables", "tables"),
        ("duckdb:///shop.duckdb", "shop.duckdb"),
        ("duckdb:///missing.duckdb", "duckdb:///missing.duckdb"),
        ("postgres://user:secret@host/base", "postgres://user:secret@host/base"),
    ],
)
def test_an_address_inside_the_project_becomes_relative_to_it(project, typed, portable):
    assert portable_data(typed, project, project) == portable
