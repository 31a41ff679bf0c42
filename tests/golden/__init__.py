"""The numbers the notebooks publish for seven communities, stored and compared with what the code says today.

Notebooks run cell by cell in this process and are judged by what they leave in the run folder, so that nothing here
knows a module or a function of the package: it may be rewritten freely while its numbers stay. What is stored:
of each finding its value, bounds, n, verdict and unit; of each action its money; of each published table all cells,
or sums by column where it is large. Of a text of more than three words only the numbers count: wording may change.
"""

from __future__ import annotations

import contextlib
import io
import json
import math
import os
import re
import subprocess
import sys
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any
from unittest import mock

import nbformat
import pandas as pd

from tests.golden import hard

ROOT = Path(__file__).resolve().parent.parent.parent
VALUES = Path(__file__).parent / "values"
TOLERANCE = 1e-9
"""Relative and absolute, so that another processor agrees."""
TOLERANCES: dict[str, float] = {
    "tables/purchase_models/columns/*": 1e-4,  # an optimiser stops where the likelihood is flat enough
    "tables/value_forecasts/columns/*": 1e-6,  # regression and purchase model alike, on processors of other kinds
    "findings/outlook.value_next/*": 1e-6,
}
"""Pattern of a place to a wider tolerance, with the reason beside it; the last that fits counts.

Places read like ``findings/retention.day_n/low`` and ``tables/forecast/columns/expected/3``. A value that an
optimiser fits may need 1e-4, a bound from resampling whatever its Monte Carlo error is.
"""
CELLS = 2_000
"""Tables with more cells are kept as sums by column."""
SHOWN = 60
"""Differences that a failed test lists."""
FINDING = ("value", "low", "high", "n", "unit", "verdict")
ACTION = ("expected_value", "low", "high", "cost", "unit")

TABLES: dict[str, tuple[str, ...]] = {
    "orders": ("orders",),
    "events": ("events",),
    "members_orders": ("members", "orders"),
    "members_events": ("members", "events"),
}
"""Communities that are some tables of a small simulated one."""
RUNS = [
    ("sample", "01_rfm"),
    ("sample", "02_retention"),
    ("sample", "14_outlook"),
    ("sample", "03_ab_test"),
    ("sample", "04_attribution"),
    ("sample", "05_budget"),
    ("sample", "13_weekly_review"),
    ("simulated", "01_rfm"),
    ("simulated", "02_retention"),
    ("simulated", "14_outlook"),
    ("simulated", "03_ab_test"),
    ("simulated", "04_attribution"),
    ("simulated", "05_budget"),
    ("simulated", "13_weekly_review"),
    ("orders", "01_rfm"),
    ("orders", "02_retention"),
    ("orders", "14_outlook"),
    ("orders", "13_weekly_review"),
    ("members_orders", "02_retention"),
    ("members_orders", "14_outlook"),
    ("events", "01_rfm"),
    ("events", "02_retention"),
    ("events", "14_outlook"),
    ("members_events", "02_retention"),
    ("members_events", "14_outlook"),
    ("hard", "01_rfm"),
    ("hard", "02_retention"),
    ("hard", "14_outlook"),
    ("hard", "03_ab_test"),
    ("hard", "13_weekly_review"),
]


def simulate(folder: Path, members: int, seed: int) -> Path:
    """Simulate a year through the command, which stays where it is when modules move."""
    command = [sys.executable, "-m", "helpers.cli", "simulate", str(folder)]
    arguments = ["--members", str(members), "--days", "365", "--seed", str(seed)]
    subprocess.run([*command, *arguments], check=True, capture_output=True)
    return folder


def community(name: str, below: Path) -> Path:
    """Return the folder of a community, made in the folder `below` unless it is there."""
    if name == "sample":
        return ROOT / "data" / "sample"
    folder = below / name
    if folder.is_dir():
        return folder
    if name == "simulated":
        return simulate(folder, 3_000, seed=7)
    if name == "small":
        return simulate(folder, 900, seed=8)
    if name == "hard":
        tables = hard.community()
    else:
        small = community("small", below)
        tables = {table: pd.read_parquet(small / f"{table}.parquet") for table in TABLES[name]}
    folder.mkdir()
    for table, rows in tables.items():
        rows.to_parquet(folder / f"{table}.parquet")
    return folder


IN_CHINESE = ("simulated", "hard")
"""Communities whose reports are made in Chinese: their numbers must be the stored ones, and every word translated."""


def run(name: str, notebook: str, below: Path, language: str = "en", data: str = "") -> dict[str, Any]:
    """Run a notebook on a community, wherever it lies, and return what it published, or the class of its refusal."""
    parameters: dict[str, Any] = {"data": data or str(community(name, below)), "language": language}
    if name != "sample":
        parameters["bootstrap_draws"] = 100
    folder = below / f"{name}-{notebook}"
    cells = nbformat.read(ROOT / "notebooks" / f"{notebook}.ipynb", as_version=4).cells
    namespace: dict[str, Any] = {"__name__": "__main__"}
    with (
        mock.patch.dict(os.environ, PLAYBOOK_RUN_FOLDER=str(folder)),
        contextlib.chdir(ROOT),
        contextlib.redirect_stdout(io.StringIO()),
    ):
        try:
            for number, cell in enumerate(cell for cell in cells if cell.cell_type == "code"):
                exec(compile(cell.source, f"{notebook}, code cell {number + 1}", "exec"), namespace)
                if "parameters" in cell.metadata.get("tags", []):
                    namespace.update(parameters)
        except Exception as refusal:
            if type(refusal).__module__.partition(".")[0] != "helpers":
                raise
            return {"refused": type(refusal).__name__}
    return published(folder)


def published(folder: Path) -> dict[str, Any]:
    """Return the numbers in the folder of a run, staged or published."""
    kept: dict[str, Any] = {}
    for name, fields in (("findings", FINDING), ("actions", ACTION)):
        rows = json.loads((folder / f"{name}.json").read_text("utf-8"))
        kept[name] = {row["id"]: {field: plain(row[field]) for field in fields} for row in rows}
    files = sorted((folder / "tables").glob("*.parquet"))
    kept["tables"] = {path.stem: _table(pd.read_parquet(path)) for path in files}
    return kept


def _table(frame: pd.DataFrame) -> dict[str, Any]:
    small = frame.size <= CELLS
    columns = {
        str(name): [plain(cell) for cell in column] if small else _sums(column)
        for name, column in frame.items()
    }
    return {"rows": len(frame), "columns": columns}


def _sums(column: pd.Series) -> dict[str, Any]:
    if not pd.api.types.is_numeric_dtype(column):
        return {"count": int(column.count()), "different": int(column.nunique())}
    numbers = column.dropna().astype(float)
    found = {"count": len(numbers), "sum": numbers.sum(), "squares": (numbers**2).sum()}
    return {key: plain(value) for key, value in {**found, "min": numbers.min(), "max": numbers.max()}.items()}


def plain(cell: Any) -> Any:
    """Return a cell as JSON has it: 12 significant digits, none for nothing, of a long text its numbers."""
    if hasattr(cell, "tolist"):  # a number of NumPy
        cell = cell.tolist()
    if isinstance(cell, float):
        if math.isnan(cell):
            return None
        return str(cell) if math.isinf(cell) else float(f"{cell:.12g}")
    if cell is None or cell is pd.NA or cell is pd.NaT:
        return None
    if isinstance(cell, bool | int):
        return cell
    text = str(cell)
    return text if len(text.split()) <= 3 else " ".join(re.findall(r"[-−]?\d[\d.,]*\d|[-−]?\d", text))


def stored(name: str, notebook: str) -> dict[str, Any]:
    """Return what is stored of a notebook on a community."""
    return json.loads((VALUES / f"{name}-{notebook}.json").read_text("utf-8"))


def check(name: str, notebook: str, new: dict[str, Any], *, words: bool = True) -> None:
    """Fail with a line for each difference from what is stored, in its words too or in its numbers alone."""
    old = stored(name, notebook)
    lines = differences(old, new) if words else differences(numbers(old), numbers(new))
    shown = "\n".join(lines[:SHOWN]) + (f"\nand {len(lines) - SHOWN} more" if len(lines) > SHOWN else "")
    assert not lines, f"{notebook} on {name}, {len(lines)} differences:\n{shown}"


def numbers(found: Any) -> Any:
    """Return what was published without its texts."""
    if isinstance(found, dict):
        return {
            key: numbers(value) for key, value in found.items() if key not in ("verdict", "unit", "different")
        }
    if isinstance(found, list):
        return [numbers(value) for value in found]
    return None if isinstance(found, str) else found


def differences(old: Any, new: Any, place: str = "") -> list[str]:
    """Return a line for each place at which the stored and the new values differ."""
    if isinstance(old, dict) and isinstance(new, dict):
        lines = []
        for key in {**old, **new}:
            inner = f"{place}/{key}" if place else key
            if key in old and key in new:
                lines += differences(old[key], new[key], inner)
            else:
                lines.append(f"{inner}: {'stored, now absent' if key in old else 'new'}")
        return lines
    if isinstance(old, list) and isinstance(new, list):
        if len(old) != len(new):
            return [f"{place}: stored {len(old)} rows, now {len(new)}"]
        pairs = enumerate(zip(old, new, strict=True))
        return [line for row, pair in pairs for line in differences(*pair, f"{place}/{row}")]
    return [] if _same(old, new, place) else [f"{place}: stored {old!r}, now {new!r}"]


def _same(was: Any, now: Any, place: str) -> bool:
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in (was, now))
    if not numbers:
        return was == now
    wider = [tolerance for pattern, tolerance in TOLERANCES.items() if fnmatchcase(place, pattern)]
    tolerance = wider[-1] if wider else TOLERANCE
    return math.isclose(was, now, rel_tol=tolerance, abs_tol=tolerance)
