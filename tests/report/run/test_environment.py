"""The environment of a kernel: nothing that a user has set up for himself changes a report."""

from __future__ import annotations

import pytest

from helpers.report.run.kernels.environment import kernel_environment

SWITCHES = [
    "PYTHONWARNINGS",
    "PYTHONOPTIMIZE",
    "PYTHONSTARTUP",
    "PYTHONINSPECT",
    "PYTHONDEVMODE",
    "PYTHONIOENCODING",
    "PYTHONSAFEPATH",
    "MPLBACKEND_OTHER",
    "MATPLOTLIBDATA",
    "PANDAS_COPY_ON_WRITE",
    "PANDAS_FUTURE_INFER_STRING",
    "IBIS_DEFAULT_BACKEND",
    "DUCKDB_HOME",
    "SKLEARN_ASSUME_FINITE",
    "NPY_PROMOTION_STATE",
    "LANGUAGE",
    "SOURCE_DATE_EPOCH",
]
KEPT = ("PYTHONPATH", "MPLCONFIGDIR", "PGPASSWORD", "MY_PYTHON", "PLAYBOOK_SALT", "LANG")


def test_switches_of_python_and_of_libraries_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in SWITCHES:
        monkeypatch.setenv(name, "1")
    for name in KEPT:
        monkeypatch.setenv(name, "kept")
    monkeypatch.setenv("PYTHONHASHSEED", "7")
    found = kernel_environment("folder", "ipython")
    assert not set(SWITCHES) & set(found)
    assert {found[name] for name in KEPT} == {"kept"}
    assert (found["PYTHONHASHSEED"], found["TZ"], found["MPLBACKEND"]) == ("0", "UTC", "agg")
