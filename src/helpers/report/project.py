"""Where things lie: the project, its notebooks, and data given by a relative path.

A relative path in the parameter ``data`` is relative to the project (the nearest folder upwards that holds
``notebooks``), so that it means the same in JupyterLab, in plain papermill and in a batch, whatever folder each
of them works in, and so that no path of one machine enters a report.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from helpers.checks import did_you_mean
from helpers.data.violation import RUN_FOLDER as RUN_FOLDER
from helpers.errors import BadParameters
from helpers.sentences import say


def find_root(start: Path | None = None) -> Path | None:
    """Return the nearest folder at or above `start` (default: the working folder) that holds ``notebooks``.

    Falls back on the checkout that this package was installed from, and is None when there is neither.
    """
    return _above(start or Path.cwd()) or borrowed(start)


def borrowed(start: Path | None = None) -> Path | None:
    """Return the checkout that `find_root` falls back on; None when there is a project at or above `start`."""
    checkout = Path(__file__).resolve().parents[3]
    there = _above(start or Path.cwd()) is None and (checkout / "notebooks").is_dir()
    return checkout if there else None


def _above(start: Path) -> Path | None:
    here = start.resolve()
    return next((folder for folder in (here, *here.parents) if (folder / "notebooks").is_dir()), None)


def notebook_name(notebook: str | os.PathLike[str]) -> str:
    """Return ``01_rfm`` for any path or name of that notebook."""
    return Path(os.fspath(notebook)).name.removesuffix(".ipynb")


def method_name(notebook: str | os.PathLike[str]) -> str:
    """Return the method that a notebook is named for: ``01_rfm.ipynb -> rfm``."""
    return re.sub(r"^\d+_", "", notebook_name(notebook))


def language_of(series: str) -> str:
    """Return the language that the name of a series says: ``rfm/all.zh -> 'zh'``."""
    return "zh" if series.endswith(".zh") else "en"


def notebooks(folder: Path) -> list[Path]:
    """Return the notebooks of a folder in their order."""
    return sorted(path for path in folder.glob("*.ipynb") if path.name[0] != "." and path.is_file())


def find_notebook(name: str | os.PathLike[str], folder: Path | None = None) -> Path:
    """Return the path of a notebook given as a path, ``01_rfm`` or ``rfm``.

    Raises
    ------
    BadParameters
        When there is none; the message names the nearest one there is.
    """
    path = Path(os.fspath(name))
    if path.suffix == ".ipynb" and path.is_file():
        return path.resolve()
    if path.parent != Path():  # a path, so its own folder is where a slip of the pen would be found
        folder, name = path.parent, path.name.removesuffix(".ipynb")
    elif folder is None:
        root = find_root()
        folder = root / "notebooks" if root else Path("notebooks")
    there = notebooks(folder)
    for candidate in there:
        if str(name).removesuffix(".ipynb") in (candidate.stem, method_name(candidate)):
            return candidate.resolve()
    hint = did_you_mean(str(name), [p.stem for p in there] + [method_name(p) for p in there])
    raise BadParameters(say('no notebook "{name}" in {folder}.{hint}', name=name, folder=folder, hint=hint))


def is_url(data: str) -> bool:
    """Tell a URL from a path."""
    return bool(re.match(r"[A-Za-z][A-Za-z0-9+.-]+://", data))


def locate_data(data: str, start: Path | None = None) -> str:
    """Return the place that the parameter ``data`` names, as a URL or as an absolute path where it exists.

    Parameters
    ----------
    data : str
        URL, absolute path, or path relative to the project or to `start`; reading options may follow a ``?``.
    start : Path, optional
        Folder to look from; the working folder by default.
    """
    path, mark, options = data.partition("?")
    if is_url(data) or Path(path).is_absolute():
        return data
    start = start or Path.cwd()
    for base in (find_root(start), start):
        if base and (base / path).exists():
            return str((base / path).resolve()) + mark + options
    return data


DUCKDB = "duckdb:///"


def portable_data(data: str, root: Path | None, start: Path | None = None) -> str:
    """Return ``data`` as typed in `start`, written relative to the project `root` where it lies inside it.

    What does not exist where it was typed is taken to be relative to the project already.
    """
    path, mark, options = data.partition("?")
    if path.startswith(DUCKDB) and ((start or Path.cwd()) / path.removeprefix(DUCKDB)).is_file():
        path = path.removeprefix(DUCKDB)  # a relative address, which must not depend on the kernel's folder
        data = path + mark + options
    typed = (start or Path.cwd()) / path
    if is_url(data) or not typed.exists():
        return data
    place = typed.resolve()
    if root and place.is_relative_to(root):
        place = place.relative_to(root)
    return place.as_posix() + mark + options
