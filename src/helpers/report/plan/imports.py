"""Which sources of this package a notebook's report is made of: found by reading them, without importing any.

A notebook's report depends on the notebook, on the modules of this package that its cells import, on what those
import in turn, and on what turns a run into a page. A module counts wherever it is imported: at the top, inside a
function, in a package's ``__init__``. Imports that are made for the type checker only do not count.

A data file of a package, such as ``tiers.yml``, counts with the modules in or below that package that name it; one
that no module names counts with the package.

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
APART = frozenset(
    f"helpers.report.{name}"
    for name in (
        *(
            "catalog",
            "diff",
            "housekeeping",
            "page.index",
            "plan",
            "publish.store",
            "run.batch",
            "run.progress",
        ),
        *("run.kernels.client", "run.kernels.server"),
    )
)
"""What decides whether and where a run is made, or writes beside its folder: no byte of a report comes from these."""


_HARMLESS = frozenset({"matplotlib", "config", "precision", "autosave", "reset"})
"""Commands of IPython that run no code from another file."""
_TIMED = re.compile(r"^(\s*)%{1,2}time(?:it)?\b\s*")
_ELSEWHERE = re.compile(r"\.py\b|\bsys\.path\b|\brunpy\b|\bexec\(")


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
        found = {module: self._digest(self._files[module]) for module in chosen}
        for name, (package, path) in self._data.items():
            inside = [module for module in self._files if f"{module}.".startswith(f"{package}.")]
            naming = {module for module in inside if self._names(module, path.name)}
            if chosen & naming or (package in chosen and not naming):
                found[name] = self._digest(path)
        return dict(sorted(found.items()))

    def _resolved(self, name: str) -> Iterator[str]:
        """Yield the modules that an import of a dotted name runs; the last part may be no module."""
        parts = name.split(".")
        for end in range(1, len(parts) + 1):
            module = ".".join(parts[:end])
            if module in self._files:
                yield module

    def _names(self, module: str, file: str) -> bool:
        return any(text == file or text.endswith(f"/{file}") for text in self._source(module).texts)

    def _package_of(self, module: str) -> str:
        return module if self._files[module].name == "__init__.py" else module.rpartition(".")[0]

    def _source(self, module: str) -> Source:
        if module not in self._read:
            self._read[module] = self.source(self._files[module], self._package_of(module))
        return self._read[module]

    def source(self, path: Path, package: str) -> Source:
        """Return what a file says; one that is no Python imports nothing, as whoever imports it will find."""
        known = self.cache.fact(
            f"source {_reader()} {package} {self._digest(path)}", lambda: _lists_of(path, package)
        )
        return Source(tuple(known[0]), frozenset(known[1]))

    def _digest(self, path: Path) -> str:
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


class Cells(NamedTuple):
    """What the cells of a notebook say of code outside it.

    Attributes
    ----------
    imports : frozenset of str
        Dotted names that the cells import.
    texts : frozenset of str
        Texts that may name a data file.
    python : bool
        Whether every cell could be read as Python.
    closed : bool
        Whether imports are all that can run code from another file.
    """

    imports: frozenset[str]
    texts: frozenset[str]
    python: bool
    closed: bool


def notebook_cells(notebook: Path) -> Cells:
    """Read the cells of a notebook; lines for IPython alone, such as ``%matplotlib inline``, are left out."""
    imports: set[str] = set()
    texts: set[str] = set()
    python = closed = True
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    for cell in (cell for cell in cells if cell["cell_type"] == "code"):
        lines = [_TIMED.sub(r"\1", line) for line in "".join(cell["source"]).splitlines()]
        commands = [line.strip() for line in lines if line.lstrip().startswith(("%", "!", "?"))]
        plain = "\n".join("" if line.strip() in commands else line for line in lines)
        closed &= all(map(_runs_no_file, commands)) and not _ELSEWHERE.search(plain)
        try:
            said = read_source(plain, "")
        except SyntaxError:
            python = False
            continue
        imports |= set(said.imports)
        texts |= said.texts
    return Cells(frozenset(imports), frozenset(texts), python, closed and python)


def _runs_no_file(command: str) -> bool:
    name = re.match(r"%{1,2}(\w*)", command)
    return command.startswith("?") or (name is not None and name[1] in _HARMLESS)


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
        By dotted name of a module, or ``package/file`` for a data file; sorted. Modules and packages beside the
        notebook count under their path from there, with the modules that they import and the files that they
        name. When a cell holds ``%run``, ``!`` or the like, or cannot be read as Python, every Python file below
        the notebook's folder counts; in the latter case every module does too. Modules on ``PYTHONPATH`` are not
        looked for.
    """
    sources = sources or Sources()
    cells = notebook_cells(notebook)
    beside = _beside(notebook.parent, cells, sources)
    if not cells.python:
        return sources.digests(sources.modules) | beside.files
    ours = {name for name in beside.imports if name.partition(".")[0] == sources.package}
    parameters = f"{sources.package}.methods.{method_name(notebook)}.parameters"
    reached = sources.reached({*ours, *PAGE, parameters}, APART)
    return sources.digests(reached) | beside.files


class Beside(NamedTuple):
    """What lies beside a notebook: digests by path from there, and every name that is imported there or in cells."""

    files: dict[str, str]
    imports: set[str]


def _beside(folder: Path, cells: Cells, sources: Sources) -> Beside:
    """Return the modules in the notebook's own folder, which a kernel can import too, and what they lead to."""
    files: dict[str, str] = {}
    names, texts = set(cells.imports), set(cells.texts)
    todo = [found for name in cells.imports for found in _there(folder, name)]
    if not cells.closed:
        todo += [(path, _package_in(folder, path)) for path in _python_files(folder)]
    while todo:
        path, package = todo.pop()
        name = path.relative_to(folder).as_posix()
        if name not in files:
            files[name] = hashlib.sha256(path.read_bytes()).hexdigest()
            said = sources.source(path, package)
            todo += [found for other in said.imports for found in _there(folder, other)]
            names |= set(said.imports)
            texts |= said.texts
    for text in texts:  # such as read_csv("prices.csv"): kernels work in this folder
        with contextlib.suppress(OSError, ValueError):
            files[text] = hashlib.sha256((folder / text).read_bytes()).hexdigest()
    return Beside(dict(sorted(files.items())), names)


def _there(folder: Path, name: str) -> Iterator[tuple[Path, str]]:
    """Yield the files that an import of a dotted name runs in a folder, each with its package."""
    parts = [part for part in name.split(".") if part.isidentifier()]
    for end in range(1, len(parts) + 1):
        place = folder.joinpath(*parts[:end])
        for path in (place / "__init__.py", place.with_name(f"{place.name}.py")):
            if path.is_file():
                yield path, _package_in(folder, path)
                break


def _package_in(folder: Path, path: Path) -> str:
    return ".".join(path.parent.relative_to(folder).parts)


def _python_files(folder: Path) -> Iterator[Path]:
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name != "__pycache__")
        yield from (Path(place, name) for name in sorted(names) if name.endswith(".py"))


def changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Return the names of what differs between two runs."""
    return sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
