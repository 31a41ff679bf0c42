"""Fixtures shared by all tests."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from helpers.study import Study

# The workers of a test run have the cores already: threads of the linear algebra would only wait for each other.
# It is read when NumPy is loaded, so it stands before everything that loads it; a kernel gets it too.
for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")

# Tests started in the background of a shell script inherit that Ctrl-C is ignored, and so do all processes they
# start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = Path(__file__).resolve().parent.parent
LONG = {"end_to_end", "notebooks", "report"}
"""Folders whose tests run whole notebooks and wait for processes."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest files, so that no worker is left alone with one of them at the end."""
    items.sort(key=lambda item: LONG.isdisjoint(item.path.relative_to(ROOT).parts))


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


@pytest.fixture(scope="session")
def study_of() -> Callable[..., Study]:
    """Make a study of frames: ``study_of({"activity": frame, "population": frame}, "2026-06-30", seed=1)``."""
    from helpers.study import Study

    return Study.of
