"""The environment of a kernel: this process's own, without what would make results differ."""

from __future__ import annotations

import importlib.util
import os
import re
from pathlib import Path

from helpers.report import project

_KEPT = frozenset({"PYTHONPATH", "PYTHONHOME", "PYTHONNOUSERSITE", "MPLCONFIGDIR"})
"""Where code and caches are; the value of PYTHONPATH is part of the run key."""

_SWITCH = re.compile(
    "PYTHON|MPL|MATPLOTLIB|PANDAS|NUMPY|NPY_|SCIPY_|SKLEARN|IBIS|DUCKDB|ARROW_|IPYTHON|LANGUAGE|SOURCE_DATE_EPOCH"
)
"""Beginnings of the names of variables that switch something in Python or in a library: a report has none of them."""


def kernel_environment(folder: str | os.PathLike[str], ipython: str | os.PathLike[str]) -> dict[str, str]:
    """Return the environment of a kernel.

    Parameters
    ----------
    folder : path
        The folder of the run; what the notebook records is written there.
    ipython : path
        Folder for the files of IPython.
    """
    matplotlib = importlib.util.find_spec("matplotlib")
    assert matplotlib and matplotlib.origin
    own = {name: value for name, value in os.environ.items() if name in _KEPT or not _SWITCH.match(name)}
    return own | {
        project.RUN_FOLDER: os.fspath(folder),
        "IPYTHONDIR": os.fspath(ipython),
        "MPLBACKEND": "agg",  # pictures are shown by record.figure, once
        "MATPLOTLIBRC": str(Path(matplotlib.origin).parent / "mpl-data" / "matplotlibrc"),
        "PYTHONHASHSEED": "0",
        "PYTHONUTF8": "1",
        "TZ": "UTC",
        "LC_ALL": "C.UTF-8",
        "COLUMNS": "100",
        **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"),
    }
