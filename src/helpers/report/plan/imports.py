"""Which sources of this package a notebook's report is made of: found by reading them, without importing any.

A notebook's report depends on the notebook, on the modules of this package that its cells import, on what those
import in turn, and on what turns a run into a page. A module counts wherever it is imported: at the top, inside a
function, in a package's ``__init__``. Imports that are made for the type checker only do not count.

A data file of a package, such as ``tiers.yml``, counts with the package.

What lies beside a notebook counts too, see `modules_of`.
"""

from __future__ import annotations

import ast
import contextlib
import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from helpers.data.content_cache import ContentCache
from helpers.report.project import method_name

PACKAGE = "helpers"
FOLDER = Path(__file__).resolve().parents[2]
DATA_SUFFIXES = frozenset({".yml", ".yaml", ".json", ".j2", ".html", ".css", ".js", ".csv"})
PAGE = ("helpers.report.run.one_run", "helpers.report.page.report")
"""Where the making of a report begins: these and what they import count for every notebook."""
_APART = """
diff housekeeping page.index plan publish.catalog publish.store run.batch run.cluster run.kernels.client
run.kernels.server run.progress
"""
APART = frozenset(f"helpers.report.{name}" for name in _APART.split())
"""What decides whether and where a run is made, or writes beside its folder: no byte of a report comes from these."""


_TIMED = re.compile(r"^([ \t]*)%{1,2}time(?:it)?\b[ \t]*", re.MULTILINE)
_PYTHON_FILE = re.compile(r"(?<![\w./-])[\w./-]+\.py\b")
_FOR_IPYTHON = re.compile(r"^[ \t]*[%!?].*$", re.MULTILINE)


class Source(NamedTuple):
    """What one module says: modules and names it imports, and the texts in it that may name a data file."""

    imports: tuple[str, ...]
    texts: frozenset[str]


@dataclass
class Sources:
    """The sources of a package, each read once.

    Parameters
    ----------
    folder : Path
        Folder of the package.
    package : str
        Its name.
    cache : ContentCache
        Remembers what a content says, so that an unchanged module is not parsed again.
    """

    folder: Path = FOLDER
    package: str = PACKAGE
    cache: ContentCache = field(default_factory=ContentCache)

    def __post_init__(self) -> None:
        self._files = dict(_modules(self.folder, self.package))
        self._read: dict[str, Source] = {}
        self._digests: dict[Path, str] = {}
        self._data = _data_files(self.folder, self.package)

    @property
    def modules(self) -> tuple[str, ...]:
        """Names of all modules."""
        return tuple(self._files)

    def reached(self, names: Iterable[str], apart: frozenset[str] = frozenset()) -> set[str]:
        """Return the modules that imports of these names lead to, packages included, without those `apart`."""
        found: set[str] = set()
        todo = [module for name in names for module in self._resolved(name)]
        while todo:
            module = todo.pop()
            if module in found or any(module == name or module.startswith(f"{name}.") for name in apart):
                continue
            found.add(module)
            todo += [other for name in self._source(module).imports for other in self._resolved(name)]
        return found

    def digests(self, modules: Iterable[str]) -> dict[str, str]:
        """Return the SHA-256 of modules and of the data files that count with them, by name."""
        chosen = set(modules)
        found = {module: self.digest(self._files[module]) for module in chosen}
        found |= {
            name: self.digest(path) for name, (package, path) in self._data.items() if package in chosen
        }
        return dict(sorted(found.items()))

    def _resolved(self, name: str) -> Iterator[str]:
        """Yield the modules that an import of a dotted name runs; the last part may be no module."""
        parts = name.split(".")
        for end in range(1, len(parts) + 1):
            module = ".".join(parts[:end])
            if module in self._files:
                yield module

    def _package_of(self, module: str) -> str:
        return module if self._files[module].name == "__init__.py" else module.rpartition(".")[0]

    def _source(self, module: str) -> Source:
        if module not in self._read:
            self._read[module] = self.source(self._files[module], self._package_of(module))
        return self._read[module]

    def source(self, path: Path, package: str) -> Source:
        """Return what a file says; one that is no Python imports nothing, as whoever imports it will find."""
        known = self.cache.fact(
            f"source {_reader()} {package} {self.digest(path)}", lambda: _lists_of(path, package)
        )
        return Source(tuple(known[0]), frozenset(known[1]))

    def digest(self, path: Path) -> str:
        """Return the SHA-256 of a file."""
        if path not in self._digests:
            self._digests[path] = hashlib.sha256(path.read_bytes()).hexdigest()
        return self._digests[path]


def _lists_of(path: Path, package: str) -> list[list[str]]:
    try:
        said = read_source(path.read_text(encoding="utf-8"), package)
    except (SyntaxError, ValueError):
        said = Source((), frozenset())
    return [sorted(part) for part in said]


@lru_cache(maxsize=1)
def _reader() -> str:
    """Return the digest of this very file: what it once found in a source may be more or less than it finds now."""
    return hashlib.sha256(Path(__file__).read_bytes()).hexdigest()


def _modules(folder: Path, package: str) -> Iterator[tuple[str, Path]]:
    for path in sorted(folder.rglob("*.py")):
        parts = path.relative_to(folder).with_suffix("").parts
        inside = parts[:-1] if parts[-1] == "__init__" else parts
        yield ".".join((package, *inside)), path


def _data_files(folder: Path, package: str) -> dict[str, tuple[str, Path]]:
    """Return name, package and path of each data file; a folder without modules belongs to the one above."""
    found = {}
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if name != "__pycache__")
        home = Path(place)
        while home != folder and not (home / "__init__.py").is_file():
            home = home.parent
        dotted = ".".join((package, *home.relative_to(folder).parts))
        for name in sorted(names):
            path = Path(place, name)
            if path.suffix in DATA_SUFFIXES:
                found[f"{dotted}/{path.relative_to(home).as_posix()}"] = (dotted, path)
    return found


def read_source(text: str, package: str) -> Source:
    """Return what a source imports, wherever it does so, and its texts.

    Parameters
    ----------
    text : str
        Python source.
    package : str
        The package that relative imports start from.

    Raises
    ------
    SyntaxError
        When it is no Python.
    """
    imports: dict[str, None] = {}
    texts = set()
    for node in _run_time_nodes(ast.parse(text)):
        if isinstance(node, ast.Constant):
            if isinstance(node.value, str) and node.value.endswith(tuple(DATA_SUFFIXES)):
                texts.add(node.value)
        else:
            imports |= dict.fromkeys(_imported(node, package))
    return Source(tuple(imports), frozenset(texts))


def _run_time_nodes(tree: ast.AST) -> Iterator[ast.AST]:
    """Yield every node but those under ``if TYPE_CHECKING``."""
    todo = [tree]
    while todo:
        node = todo.pop()
        yield node
        if isinstance(node, ast.If) and _last_name(node.test) == "TYPE_CHECKING":
            todo += node.orelse
        else:
            todo += ast.iter_child_nodes(node)


def _last_name(node: ast.expr) -> str:
    """Return ``name`` of ``name`` and of ``anything.name``."""
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def _imported(node: ast.AST, package: str) -> Iterator[str]:
    """Yield the dotted names that a node imports; ``from a import b`` may mean a module ``a.b`` or a name in a."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        base = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
        home = ".".join([*base, *([node.module] if node.module else [])])
        yield from (f"{home}.{alias.name}" for alias in node.names)
    elif isinstance(node, ast.Call) and _last_name(node.func) in ("import_module", "__import__"):
        first = node.args[0] if node.args else None
        if isinstance(first, ast.Constant) and isinstance(first.value, str):
            yield first.value


def modules_of(notebook: Path, sources: Sources | None = None) -> dict[str, str]:
    """Return the SHA-256 of every source that a notebook's report depends on.

    Parameters
    ----------
    notebook : Path
        The notebook.
    sources : Sources, optional
        Shared by the notebooks of a batch.

    Returns
    -------
    dict of str to str
        By dotted name of a module, or ``package/file`` for a data file. Modules and packages beside the notebook
        count under their path from there, with what they import; so does every file there that they or a cell name,
        as in ``read_csv("prices.csv")`` or ``%run more.py``. When the cells cannot be read as Python, every module
        counts. Modules on ``PYTHONPATH`` are not looked for.
    """
    sources, folder = sources or Sources(), notebook.parent
    code = _code(notebook)
    try:
        cells = read_source(_FOR_IPYTHON.sub("", _TIMED.sub(r"\1", code)), "")
    except SyntaxError:
        cells = None
    said = [cells or Source((), frozenset())]
    files: dict[str, str] = {}
    todo = {folder / name for name in _PYTHON_FILE.findall(code)} | _beside(folder, said[0].imports)
    while todo:
        path = todo.pop()
        name = Path(os.path.relpath(path, folder)).as_posix()
        if name not in files and path.is_file():
            files[name] = sources.digest(path)
            said.append(sources.source(path, ".".join(Path(name).parts[:-1])))
            todo |= _beside(folder, said[-1].imports)
    for text in {text for each in said for text in each.texts}:  # kernels work in this folder
        with contextlib.suppress(OSError, ValueError):
            files[text] = sources.digest(folder / text)
    if cells is None:
        return sources.digests(sources.modules) | files
    imported = {name for each in said for name in each.imports}
    parameters = f"{sources.package}.methods.{method_name(notebook)}.parameters"
    return sources.digests(sources.reached({*imported, *PAGE, parameters}, APART)) | files


def _code(notebook: Path) -> str:
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    return "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")


def _beside(folder: Path, names: Iterable[str]) -> set[Path]:
    """Return the files in a folder that imports of dotted names may run."""
    found = set()
    for name in names:
        place = folder
        for part in name.split("."):
            place /= part
            found |= {place / "__init__.py", place.with_name(f"{part}.py")}
    return found


def changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Return the names of what differs between two runs."""
    return sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
