"""The environment of a kernel: this process's own, without what would make results differ."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Mapping
from pathlib import Path

from helpers.report import project

ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
_KEPT = frozenset({"PYTHONPATH", "PYTHONHOME", "PYTHONNOUSERSITE", "MPLCONFIGDIR"})
"""Where code and caches are; the value of PYTHONPATH is part of the run key."""

_SWITCHES = (
    "PYTHON",
    "MPL",
    "MATPLOTLIB",
    "PANDAS",
    "NUMPY",
    "NPY_",
    "SCIPY_",
    "SKLEARN",
    "IBIS",
    "DUCKDB",
    "ARROW_",
)
"""Beginnings of the names of variables that switch something in Python or in a library: a report has none of them."""

_ALSO = frozenset({"LANGUAGE", "SOURCE_DATE_EPOCH", "IPYTHON"})
_FIXED_AT_START = ("PYTHON", "MPL", "MATPLOTLIB", "LC_", "LANG", "LD_", "OMP_", "OPENBLAS_", "MKL_", "ARROW_")


def kernel_environment(folder: str | os.PathLike[str], ipython: str) -> dict[str, str]:
    """Return the environment of a kernel.

    Parameters
    ----------
    folder : path
        The folder of the run; what the notebook records is written there.
    ipython : str
        Folder for the files of IPython.
    """
    matplotlib = importlib.util.find_spec("matplotlib")
    style = {}
    if matplotlib and matplotlib.origin:
        style = {"MATPLOTLIBRC": str(Path(matplotlib.origin).parent / "mpl-data" / "matplotlibrc")}
    fixed = {
        project.RUN_FOLDER: os.fspath(folder),
        "IPYTHONDIR": ipython,
        "MPLBACKEND": "agg",  # pictures are shown by record.figure, once
        "PYTHONHASHSEED": "0",
        "PYTHONUTF8": "1",
        "TZ": "UTC",
        "LC_ALL": "C.UTF-8",
        "COLUMNS": "100",
    }
    return {**without_switches(os.environ), **fixed, **ONE_THREAD, **style}


def without_switches(environment: Mapping[str, str]) -> dict[str, str]:
    """Return an environment without the variables by which a user sets up Python and its libraries for himself."""
    return {
        name: value
        for name, value in environment.items()
        if name in _KEPT or not (name in _ALSO or name.startswith(_SWITCHES))
    }


def needs_own_start(environment: Mapping[str, str], server: Mapping[str, str]) -> list[str]:
    """Return the variables that matter only as a process starts or a library loads, and are not the server's.

    A process that needs another value for one of them cannot be forked from that server.
    """
    names = {name for name in (*environment, *server) if name.startswith(_FIXED_AT_START)}
    return sorted(name for name in names if environment.get(name) != server.get(name))
