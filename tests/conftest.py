"""Fixtures shared by all tests."""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
LONG = {"end_to_end", "golden", "notebooks", "report"}
"""Folders whose tests run whole notebooks and wait for processes."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest files, so that no worker is left alone with one of them at the end."""
    items.sort(key=lambda item: LONG.isdisjoint(item.path.relative_to(ROOT).parts))


@pytest.fixture(scope="session", autouse=True)
def _cache_of_the_tests(tmp_path_factory: pytest.TempPathFactory) -> None:
    """What is remembered of files belongs to the tests, not to the user who runs them."""
    os.environ["PLAYBOOK_CACHE"] = str(tmp_path_factory.mktemp("cache"))
    os.environ["PLAYBOOK_REPORTS"] = str(tmp_path_factory.mktemp("reports"))  # no test reads what lies around


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


_SECONDS: Counter[str] = Counter()
"""CPU seconds of this process and of the children it waited for, by room; the first process adds the workers'."""
_LOADING = "collecting and loading"


def _cpu() -> float:
    return sum(os.times()[:4])


def _room(path: Path) -> str:
    """Return the first folder below `tests`; below `methods` the method too."""
    folders = path.relative_to(ROOT).parts[1:-1]
    return "/".join(folders[: 2 if folders[:1] == ("methods",) else 1]) or "tests"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Take the CPU time of a test with its fixtures: what the first test of a room sets up counts for that room."""
    begin = _cpu()
    try:
        return (yield)
    finally:
        _SECONDS[_room(item.path)] += _cpu() - begin


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Hand the times of a worker over to the first process, whose children the workers are."""
    spreads = session.config.pluginmanager.hasplugin("dsession")
    _SECONDS[_LOADING] += sum(os.times()[:2]) if spreads else _cpu() - sum(_SECONDS.values())
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["cpu_seconds"] = dict(_SECONDS)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Add the times of a worker that ended."""
    _SECONDS.update(getattr(node, "workeroutput", {}).get("cpu_seconds", {}))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print CPU seconds by room, the dearest first."""
    terminalreporter.section(f"CPU seconds by room: {sum(_SECONDS.values()):,.0f}")
    for room, seconds in _SECONDS.most_common():
        terminalreporter.line(f"{seconds:8.1f}  {room}")
