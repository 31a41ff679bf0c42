"""Fixtures shared by all tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session", autouse=True)
def _cache_of_the_tests(tmp_path_factory: pytest.TempPathFactory) -> None:
    """What is remembered of files belongs to the tests, not to the user who runs them."""
    os.environ["PLAYBOOK_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository."""
    return ROOT


@pytest.fixture(scope="session")
def sample(root: Path) -> Path:
    """The sample community."""
    return root / "data" / "sample"


@pytest.fixture(scope="session")
def reference_data() -> Path:
    """Public data with published figures; not part of the project, so tests on it skip where it is absent."""
    folder = Path(os.environ.get("PLAYBOOK_REFERENCE_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip("reference data absent: set PLAYBOOK_REFERENCE_DATA to the folder that holds SOURCES.md")
    return folder
