"""Generated and stored files stay in their form, and the checks notice when they do not."""

import importlib.util
import tomllib

import nbformat
import pytest
import yaml
from traitlets.config import Config


def tool(root, name):
    spec = importlib.util.spec_from_file_location(name, root / "tools" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def notebooks(root):
    return tool(root, "notebooks")


def write(folder, cells):
    path = folder / "01_x.ipynb"
    path.write_text(nbformat.writes(nbformat.v4.new_notebook(cells=cells)) + "\n", "utf-8")
    return path


def good_cells():
    parameters = nbformat.v4.new_code_cell("n = 1  # number", metadata={"tags": ["parameters"]})
    return [nbformat.v4.new_markdown_cell("# Title"), parameters, nbformat.v4.new_code_cell("print(n)")]


def test_every_requirement_stands_in_the_conda_environment(root):
    project = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["project"]
    text = tool(root, "environment").environment(project)
    assert text == (root / "environment.yml").read_text("utf-8")
    *for_conda, last = yaml.safe_load(text)["dependencies"]
    stated = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    assert {each.replace(" ", "") for each in [*for_conda, *last["pip"]]} >= set(stated)
    # Extras and names that mean something else there are what conda cannot give.
    assert last["pip"] == [
        "ibis-framework[duckdb]>=12,<13",
        "tzdata>=2024.1",
        "psycopg[binary]>=3.2",
        "-e .",
    ]


def test_cleaning_drops_outputs_counts_and_metadata_but_keeps_compared_numbers(notebooks, tmp_path):
    cells = good_cells()
    picture = nbformat.v4.new_output("display_data", data={"image/png": "AAAA", "text/plain": "<Figure>"})
    number = nbformat.v4.new_output("execute_result", data={"text/plain": "42", "text/html": "<b>42</b>"})
    cells[2].update(outputs=[picture], execution_count=3)
    cells.append(nbformat.v4.new_code_cell("# NBVAL_CHECK_OUTPUT\n42", outputs=[number], metadata={"x": 1}))
    cleaned = notebooks.clean(nbformat.v4.new_notebook(cells=cells, metadata={"widgets": {}}))
    assert cleaned.cells[2].outputs == []
    assert cleaned.cells[2].execution_count is None
    assert cleaned.cells[3].outputs[0].data == {"text/plain": "42"}
    assert "widgets" not in cleaned.metadata


def test_a_cleaned_notebook_has_no_problems_and_cleaning_again_changes_nothing(notebooks, tmp_path):
    path = write(tmp_path, good_cells())
    cleaned = notebooks.clean(nbformat.read(path, as_version=4))
    path.write_text(nbformat.writes(cleaned) + "\n", "utf-8")
    assert notebooks.problems(path) == []


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda cells: cells.append(nbformat.v4.new_markdown_cell("# Second title")), "H1"),
        (lambda cells: cells.append(nbformat.v4.new_code_cell("def f():\n    pass")), "defines code"),
        (lambda cells: cells[1].metadata.pop("tags"), "tagged parameters"),
        (lambda cells: cells.extend(nbformat.v4.new_markdown_cell("x") for _ in range(40)), "at most 40"),
        (lambda cells: cells[2].update(execution_count=5), "stored form"),
    ],
)
def test_each_defect_of_a_notebook_is_named(notebooks, tmp_path, change, problem):
    cells = good_cells()
    change(cells)
    assert any(problem in found for found in notebooks.problems(write(tmp_path, cells)))


COUNTED = '''"""A module.

Two more lines.
"""

import os  # counts


def f(
    x,
):
    """One line."""
    # not this one
    text = """three

lines"""
    return x, text, os
'''


def test_code_lines_leave_out_blanks_comments_and_docstrings(root):
    # import, def of three lines, a text of three lines (its blank one too), return
    assert tool(root, "size").count(COUNTED) == (8, 5)


def test_lines_are_counted_by_room_and_yaml_apart(root, tmp_path):
    size = tool(root, "size")
    for name in ("errors.py", "data/contract.py", "data/exports/mapping.py", "methods/x/life.py", "odd/a.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("a = 1\n\n# b\n", "utf-8")
    (tmp_path / "data/exports/shop.yml").write_text("# c\na: 1\nb: 2\n", "utf-8")
    rooms = size.measure(tmp_path)
    assert {name: lines["code"] for name, lines in rooms.items()} == {
        **{"ground": 1, "data": 1, "data/exports": 1, "methods/x": 1, "odd": 1}
    }
    assert rooms["data/exports"]["yaml"] == 2
    allowed = size.budgets(rooms)
    assert allowed["methods/x"] == size.METHOD
    assert allowed["simulate"] == size.BUDGETS["simulate"] + size.PLANTED
    assert allowed["odd"] == 0


def test_running_a_notebook_in_the_lab_leaves_its_file_as_it_was(root, monkeypatch):
    path = root / "notebooks" / "01_rfm.ipynb"
    text = path.read_text("utf-8")
    settings = Config()
    code = compile((root / "tools" / "lab.py").read_text("utf-8"), "lab.py", "exec")
    monkeypatch.syspath_prepend(str(root / "tools"))
    exec(code, {"c": settings, "__file__": str(root / "tools" / "lab.py")})
    ran = nbformat.reads(text, as_version=4)
    for number, cell in enumerate(cell for cell in ran.cells if cell.cell_type == "code"):
        cell.execution_count, cell.metadata["collapsed"] = number, True
        cell.outputs = [nbformat.v4.new_output("stream", text="other data, other numbers")]
    model = {"type": "notebook", "content": ran}
    settings.ContentsManager.pre_save_hook(model=model, path="01_rfm.ipynb", contents_manager=None)
    assert nbformat.writes(model["content"]) + "\n" == text
    own = {"type": "notebook", "content": nbformat.v4.new_notebook(cells=ran.cells)}
    settings.ContentsManager.pre_save_hook(model=own, path="mine.ipynb", contents_manager=None)
    assert own["content"].cells[1].outputs  # a notebook of one's own is kept as it is


@pytest.mark.parametrize(
    "line",
    [
        "t.x.hash() % 5",
        "t.group_by('a').agg(n=t.count()).cache()",
        "t.x.sum().round(2)",
        "(t.x > 1).cast('int64')",
        "(~t.yes).cast('float64').mean()",
        "((t.x > 1) & t.yes).cast('int8')",
        "t.x.isin([1]).cast('int64')",
    ],
)
def test_what_engines_do_differently_is_found(root, line):
    found = tool(root, "expressions").found
    assert [n for n, _ in found(f"import ibis\n\n{line}\n")] == [3]
    assert [n for n, _ in found(f"from ibis import _\n\n{line}\n")] == [3]
    assert len(list(found(f"import pandas\n{line}\n"))) == (".round(" not in line), "a frame is rounded too"


def test_the_package_asks_no_engine_for_what_engines_do_differently(root):
    expressions = tool(root, "expressions")
    fine = "import ibis\nnp.round(t.x, 2)\nt.x.cast('int64')\n(t.a - t.b).cast('float64')\nrounded(t.x)\n"
    assert not list(expressions.found(fine))
    assert expressions.main() == 0


SPEAKS = """
from helpers.sentences import say
say("{n} members came back.")
say("Too few of them.\\nTheir share is {share}.")
"""
SAID = """
- {en: "Too few of them.", zh: 人数不足。}
- {en: "Their share is {share}.", zh: "占比为{part}。"}
- {en: "Nobody came.", zh: 没有人来。}
- {en: came, zh: 来的}
"""


def test_a_text_without_a_translation_is_told_with_the_lines_to_write(root, tmp_path, monkeypatch, capsys):
    texts = tool(root, "texts")
    monkeypatch.setattr(texts, "ROOT", tmp_path / "src" / "helpers")
    home = texts.ROOT / "methods" / "tides"
    for name, text in {"a.py": SPEAKS, "zh.yml": SAID, "truth.yml": "column: came"}.items():
        home.mkdir(parents=True, exist_ok=True)
        (home / name).write_text(text, "utf-8")
    (texts.ROOT / "playbook").mkdir()
    (texts.ROOT / "playbook" / "glossary.yml").write_text("", "utf-8")
    monkeypatch.setattr("sys.argv", ["texts.py"])
    assert texts.main() == 1
    assert capsys.readouterr().out.splitlines() == [
        "a.py:3: no translation; write into methods/tides/zh.yml:",
        "- en: '{n} members came back.'",
        "  zh: ''",
        "",
        "methods/tides/zh.yml: 'Their share is {share}.': its fields are ['share'], "
        "those of the translation ['part']",
        "methods/tides/zh.yml: 'Nobody came.': nothing says it",
        "0 texts past the door, 1 without a translation, 2 wrong entries.",
    ]
    monkeypatch.setattr("sys.argv", ["texts.py", "--draft"])
    texts.main()
    assert (home / "zh.yml").read_text("utf-8") == SAID + "- en: '{n} members came back.'\n  zh: ''\n"
