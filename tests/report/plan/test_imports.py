"""Which sources a report depends on: found without importing, exactly those, wherever they are imported."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from helpers.data.content_cache import ContentCache
from helpers.report.plan import imports
from helpers.report.plan.imports import Sources, modules_of

FILES = {
    "__init__.py": "",
    "base.py": "",
    "late.py": "def f():\n    if True:\n        from tiny.hidden import value\n    return value",
    "hidden.py": "value = 1",
    "typed.py": "import typing\nif typing.TYPE_CHECKING:\n    from tiny import never\nelse:\n    import tiny.base",
    "never.py": "",
    "circle.py": "import tiny.ring",
    "ring.py": "import tiny.circle",
    "called.py": 'import importlib\nm = importlib.import_module("tiny.hidden")\nname = "tiny.never"',
    "part/__init__.py": "from .inside import thing as other",
    "part/inside.py": "from ..base import x\nfrom . import sibling\nthing = 1",
    "part/sibling.py": 'TEXT = "rules.yml"',
    "part/alone.py": "",
    "part/rules.yml": "a: 1",
    "part/shared.yml": "b: 1",
    "look/page.css": "p {}",
}


@pytest.fixture
def tiny(tmp_path: Path) -> Sources:
    """A package with every kind of import."""
    for name, text in FILES.items():
        path = tmp_path / "tiny" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return Sources(tmp_path / "tiny", "tiny")


@pytest.mark.parametrize(
    ("name", "reached"),
    [
        ("tiny.base", {"tiny", "tiny.base"}),
        ("tiny.late", {"tiny", "tiny.late", "tiny.hidden"}),
        ("tiny.typed.anything", {"tiny", "tiny.typed", "tiny.base"}),
        ("tiny.circle", {"tiny", "tiny.circle", "tiny.ring"}),
        ("tiny.called", {"tiny", "tiny.called", "tiny.hidden"}),
        (
            "tiny.part.alone",
            {"tiny", "tiny.part", "tiny.part.inside", "tiny.part.sibling", "tiny.part.alone", "tiny.base"},
        ),
        ("tiny.nothing", {"tiny"}),
        ("other.module", set()),
    ],
)
def test_imports_are_followed(tiny: Sources, name: str, reached: set[str]) -> None:
    assert tiny.reached([name]) == reached


def test_what_is_apart_is_not_followed(tiny: Sources) -> None:
    assert tiny.reached(["tiny.late"], frozenset({"tiny.hidden"})) == {"tiny", "tiny.late"}
    assert tiny.reached(["tiny.part.alone"], frozenset({"tiny.part"})) == {"tiny"}


def test_a_data_file_counts_with_its_package(tiny: Sources) -> None:
    def data(*modules: str) -> set[str]:
        return {name for name in tiny.digests(modules) if "/" in name}

    assert data("tiny") == {"tiny/look/page.css"}
    assert data("tiny", "tiny.part") == {"tiny/look/page.css", "tiny.part/rules.yml", "tiny.part/shared.yml"}
    assert data("tiny.base") == set()


def test_a_digest_follows_the_content(tiny: Sources) -> None:
    before = tiny.digests({"tiny.base", "tiny.hidden"})
    (tiny.folder / "hidden.py").write_text("value = 2")
    after = Sources(tiny.folder, "tiny").digests({"tiny.base", "tiny.hidden"})
    assert imports.changed(before, after) == ["tiny.hidden"]


def test_what_the_cache_knows_is_the_same_and_is_not_parsed_again(
    tiny: Sources, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "cache.json"
    cache = ContentCache(path)
    first = Sources(tiny.folder, "tiny", cache).reached(["tiny.part", "tiny.late"])
    cache.save()
    monkeypatch.setattr(imports, "read_source", lambda *_: pytest.fail("parsed again"))
    assert Sources(tiny.folder, "tiny", ContentCache(path)).reached(["tiny.part", "tiny.late"]) == first


def write_notebook(path: Path, *cells: str) -> Path:
    code = [{"cell_type": "code", "source": cell.splitlines(keepends=True)} for cell in cells]
    path.parent.mkdir(exist_ok=True)
    path.write_text(
        json.dumps({"cells": [{"cell_type": "markdown", "source": ["import helpers.cli"]}, *code]})
    )
    return path


@pytest.fixture(scope="module")
def cache() -> ContentCache:
    """What the contents of the package say, found out once: it is known by content, so it is right for every copy."""
    return ContentCache()


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the package that a test may change."""
    skipped = shutil.ignore_patterns("__pycache__")
    return Path(shutil.copytree(imports.FOLDER, tmp_path / "copy" / "helpers", ignore=skipped))


@pytest.mark.parametrize(
    ("changed", "again"),
    [
        ("methods/rfm/tiers.py", ["rfm"]),
        ("methods/rfm/tiers.yml", ["rfm"]),
        ("stats/estimate.py", ["rfm", "retention", "intervals", "rules"]),
        ("methods/rfm/rules.yml", ["rfm"]),
        ("methods/retention/rules.yml", ["retention"]),
        ("methods/retention/day_n.py", ["retention"]),
        ("methods/outlook/thresholds.yml", []),
        ("playbook/propose.py", ["rfm", "retention", "intervals", "rules"]),  # every notebook concludes
        ("errors.py", ["rfm", "retention", "intervals", "rules"]),
        ("report/page/report.py", ["rfm", "retention", "intervals", "rules"]),
        ("report/page/template/style.css", ["rfm", "retention", "intervals", "rules"]),
        ("report/page/template/index.html.j2", ["rfm", "retention", "intervals", "rules"]),  # of one package
        ("report/publish/catalog.py", []),
        ("report/plan/plan_file.py", []),
        ("report/diff/page.py", []),
        ("cli/runs.py", []),
        ("simulate/events.py", []),
    ],
)
def test_one_changed_source_changes_exactly_the_notebooks_that_use_it(
    copy: Path, tmp_path: Path, cache: ContentCache, changed: str, again: list[str]
) -> None:
    cells = {
        "rfm": "from helpers.methods import rfm",
        "retention": "from helpers.methods import retention",
        "intervals": "%matplotlib inline\nimport helpers.stats.estimate as i",
        "rules": "def late():\n    from helpers.playbook.propose import propose",
    }
    notebooks = {name: write_notebook(tmp_path / "n" / f"{name}.ipynb", cell) for name, cell in cells.items()}
    before = {name: modules_of(path, Sources(copy, cache=cache)) for name, path in notebooks.items()}
    (copy / changed).write_text((copy / changed).read_text() + "\n")
    sources = Sources(copy, cache=cache)
    after = {name: modules_of(path, sources) for name, path in notebooks.items()}
    assert [name for name in notebooks if before[name] != after[name]] == again


NOTEBOOKS = sorted((Path(__file__).parents[3] / "notebooks").glob("*.ipynb"))
LOAD = """import importlib, json, os, sys
import lifelines, matplotlib.pyplot, seaborn, sklearn.ensemble, statsmodels.api, ibis  # what all share
import ibis.backends.duckdb, IPython.display, pyarrow.parquet, pydantic, scipy.optimize, scipy.stats
for names in json.loads(sys.argv[1]):
    sys.stdout.flush()
    if os.fork():
        os.wait()
        continue
    for name in names:
        try:
            importlib.import_module(name)
        except ModuleNotFoundError:
            importlib.import_module(name.rpartition(".")[0])
    print(*sorted(name for name in sys.modules if name.partition(".")[0] == "helpers"), flush=True)
    os._exit(0)"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.parametrize(
    "notebooks", [NOTEBOOKS[:1], pytest.param(NOTEBOOKS[1:], marks=pytest.mark.slow)], ids=["first", "others"]
)
def test_nothing_that_is_really_imported_is_missed(notebooks: list[Path]) -> None:
    wanted = []
    for notebook in notebooks:
        said = imports.read_source(imports._code(notebook), "").imports
        ours = [name for name in said if name.startswith("helpers")]
        parameters = f"helpers.methods.{imports.method_name(notebook)}.parameters"
        wanted.append([*ours, "helpers.report.page.report", parameters])
    command = [sys.executable, "-c", LOAD, json.dumps(wanted)]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    for notebook, line in zip(notebooks, said, strict=True):
        loaded = set(line.split())
        assert len(loaded) > 50
        assert loaded <= set(modules_of(notebook)), notebook.name


def test_no_report_has_an_empty_list_of_sources(tmp_path: Path, cache: ContentCache) -> None:
    sources = Sources(cache=cache)
    assert {*imports.PAGE, *imports.APART} <= set(sources.modules), "a module has moved"
    for notebook in [*NOTEBOOKS, write_notebook(tmp_path / "n" / "07_new.ipynb", "")]:
        assert set(imports.PAGE) <= set(modules_of(notebook, sources)), notebook.name
    for notebook in NOTEBOOKS:
        own = f"helpers.methods.{imports.method_name(notebook)}"
        assert {own, f"{own}.parameters"} <= set(modules_of(notebook, sources))


def test_modules_beside_the_notebook_count(tmp_path: Path) -> None:
    path = write_notebook(tmp_path / "n" / "01_rfm.ipynb", "import mine")
    (path.parent / "mine.py").write_text("import yours")
    (path.parent / "yours.py").write_text("")
    assert {"mine.py", "yours.py"} <= set(modules_of(path))
    assert "helpers.cli" not in modules_of(path), "prose imports nothing"


def test_when_a_cell_is_no_python_every_module_counts(tmp_path: Path) -> None:
    path = write_notebook(tmp_path / "n" / "01_rfm.ipynb", "def broken(:")
    assert "helpers.simulate.events" in modules_of(path)


def test_what_a_module_beside_the_notebook_imports_counts(tmp_path: Path, cache: ContentCache) -> None:
    path = write_notebook(tmp_path / "n" / "01_rfm.ipynb", "import mytool")
    (path.parent / "mytool.py").write_text("import mypkg.inner\nfrom helpers.methods import rfm")
    (path.parent / "mypkg" / "deep").mkdir(parents=True)
    (path.parent / "mypkg" / "__init__.py").write_text("from .deep import low")
    (path.parent / "mypkg" / "inner.py").write_text("no python (")
    (path.parent / "mypkg" / "deep" / "low.py").write_text("import pandas\npandas.read_csv('prices.csv')")
    (path.parent / "mypkg" / "unused.py").write_text("")
    (path.parent / "prices.csv").write_text("a\n1\n")
    found = set(modules_of(path, Sources(cache=cache)))
    assert "helpers.methods.rfm.tiers" in found
    beside = {"mytool.py", "mypkg/__init__.py", "mypkg/inner.py", "mypkg/deep/low.py", "prices.csv"}
    assert {name for name in found if not name.startswith("helpers")} == beside


@pytest.mark.parametrize(
    ("cell", "counts"),
    [
        ("%run lib/extra.py", True),
        ("!python ./lib/extra.py", True),
        ("exec(open('lib/extra.py').read())", True),
        ("%matplotlib inline\n?print\n%time x = 1", False),
    ],
)
def test_a_python_file_that_a_cell_names_counts(
    tmp_path: Path, cache: ContentCache, cell: str, counts: bool
) -> None:
    path = write_notebook(tmp_path / "n" / "01_rfm.ipynb", cell)
    (path.parent / "lib").mkdir()
    (path.parent / "lib" / "extra.py").write_text("from helpers.methods import rfm\nimport other")
    (path.parent / "other.py").write_text("x = 1")
    found = set(modules_of(path, Sources(cache=cache)))
    assert ({"lib/extra.py", "other.py", "helpers.methods.rfm.tiers"} <= found) is counts
    assert "helpers.simulate.events" not in found, "the cells can be read, so not every module counts"


def test_a_timed_import_counts(tmp_path: Path, cache: ContentCache) -> None:
    path = write_notebook(tmp_path / "n" / "01_rfm.ipynb", "%time from helpers.methods import rfm")
    assert "helpers.methods.rfm.tiers" in modules_of(path, Sources(cache=cache))


def test_what_another_reader_has_found_is_not_trusted(
    tiny: Sources, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = ContentCache(tmp_path / "cache.json")
    with monkeypatch.context() as patched:
        patched.setattr(imports, "_reader", lambda: "an earlier one")
        patched.setattr(imports, "read_source", lambda *_: imports.Source((), frozenset()))
        assert Sources(tiny.folder, "tiny", cache).reached(["tiny.late"]) == {"tiny", "tiny.late"}
    found = Sources(tiny.folder, "tiny", cache).reached(["tiny.late"])
    assert found == {"tiny", "tiny.late", "tiny.hidden"}
