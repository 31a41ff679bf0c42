"""Every notebook on every length of history, with and without what is optional, and of any number of members.

Nothing is raised but the refusals of the project, in words; no sentence that a reader gets holds a number that is
none, a blank, a field that was not filled, or a number of people that may not be told. By default some of the
cases are run; the slow tests run every length from 0 to 400 days and every pair of what may be missing.
"""

from __future__ import annotations

import contextlib
import io
import json
import re
from collections.abc import Iterable, Iterator
from itertools import combinations, product
from pathlib import Path

import nbformat
import pandas as pd
import pytest

from helpers.errors import MissingTable, NothingCounts, PlaybookError, TooFewMembers
from helpers.playbook.result import IMPERSONAL
from tests.hard_input.histories import OPTIONAL, TABLES, community, write_design

NOTEBOOKS = (
    "01_rfm",
    "02_retention",
    "14_outlook",
    "03_ab_test",
    "04_attribution",
    "05_budget",
    "13_weekly_review",
)
TEST = "03_ab_test"
"""It is about an experiment, not about what members did."""
JOURNEYS = "04_attribution"
"""It needs touchpoints and orders."""
BUDGET = "05_budget"
"""It needs advertising, which these communities have none of: it is not run, whatever else there is."""
REVIEW = "13_weekly_review"
"""It comes out whatever is missing, and says so."""
NEEDED = {TEST: {"events", "orders"}, JOURNEYS: {"touchpoints", "orders"}}
"""Tables without which a notebook is not run: the design of the experiment counts likes and buyers."""
EDGES = (0, 1, 2, 6, 13, 29, 30, 31, 59, 60, 61, 89, 90, 121, 180, 364, 365, 400)
SIZES = (0, 1, 3, 9, 10, 11)
COLUMNS = tuple(f"{table}.{column}" for table, columns in OPTIONAL.items() for column in columns)
PAIRS = tuple(combinations((*TABLES, *COLUMNS), 2))
NOT_RUN = (MissingTable, NothingCounts, TooFewMembers)
K_MIN = 10
PEOPLE = "members|buyers|people|newcomers|joiners|customers|accounts"
WRONG = {
    "a number that is none": re.compile(r"\b(nan|NaN|inf|None|NaT)\b|<NA>"),
    "a blank": re.compile(r"\ball of\s*[.,;:]|\(\s*\)|\s[.,;](?:\s|$)|  \S"),
    "a field that was not filled": re.compile(r"[{}]"),
    "few people": re.compile(rf"(?<![\d.,–-])(?<!than )(?<!least )\b[1-9] (?:\w+ )?(?:{PEOPLE})\b"),
}


def some(cases: Iterable[tuple], every: int) -> list:
    """Mark all but every so many cases as slow, the same each time."""
    marked = list(cases)
    return [
        case if place % every == len(marked) % 3 else pytest.param(*case, marks=pytest.mark.slow)
        for place, case in enumerate(marked)
    ]


def run(notebook: str, folder: Path, root: Path, **parameters: object) -> str:
    """Run the cells of a notebook in this process; return what it printed."""
    cells = nbformat.read(root / "notebooks" / f"{notebook}.ipynb", as_version=4).cells
    namespace: dict[str, object] = {"__name__": "__main__"}
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        for cell in (cell for cell in cells if cell.cell_type == "code"):
            exec(compile(cell.source, f"{notebook}: {cell.source[:40]}", "exec"), namespace)
            if "parameters" in cell.metadata.get("tags", []):
                namespace.update(data=str(folder), bootstrap_draws=100, **parameters)
    return printed.getvalue()


@pytest.fixture
def check(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Run a notebook on a community and look at every sentence it says."""
    monkeypatch.chdir(root)
    monkeypatch.setenv("PLAYBOOK_RUN_FOLDER", str(tmp_path / "run"))

    def look(notebook: str, tables: dict[str, pd.DataFrame], **parameters: object) -> type | None:
        data = tmp_path / "data"
        data.mkdir()
        for name, frame in tables.items():
            frame.to_parquet(data / f"{name}.parquet")
        write_design(data, tables)
        try:
            printed = run(notebook, data, root, **parameters)
        except NOT_RUN as refusal:
            sound(str(refusal), str(refusal))
            return next(kind for kind in NOT_RUN if isinstance(refusal, kind))
        for sentence in sentences(printed, tmp_path / "run"):
            sound(sentence, sentence)
        return None

    return look


def sentences(printed: str, folder: Path) -> Iterator[str]:
    """Yield what a reader is told: paragraphs, and the words of findings and actions."""
    yield from (line for line in printed.splitlines() if line.rstrip().endswith((".", "!", "?")))
    for name in ("findings", "actions"):
        for record in json.loads((folder / f"{name}.json").read_text("utf-8")):
            yield from (text for text in record.values() if isinstance(text, str) and " " in text)
            few = record.get("n_of") not in IMPERSONAL and 0 < record.get("n", 0) < K_MIN
            assert not few, f"{record['id']} tells of {record['n']}"


def sound(sentence: str, where: str) -> None:
    """Fail with the sentence that holds something wrong."""
    for what, pattern in WRONG.items():
        assert not pattern.search(sentence), f"{what}: {where}"


@pytest.mark.parametrize(
    ("days", "notebook"),
    [
        pytest.param(days, notebook, marks=() if (i + j) % 3 == 0 else pytest.mark.slow)
        for i, days in enumerate(EDGES)
        for j, notebook in enumerate(NOTEBOOKS)
    ],
)
def test_every_notebook_runs_on_every_length_of_history(days: int, notebook: str, check) -> None:
    refused = check(notebook, community(days, seed=days))
    if notebook == BUDGET:
        assert refused is MissingTable
        return
    assert refused is (NothingCounts if days == 0 and notebook not in (TEST, REVIEW) else None)


@pytest.mark.slow
@pytest.mark.parametrize("days", [days for days in range(401) if days not in EDGES])
def test_the_lengths_between(days: int, check, tmp_path: Path) -> None:
    check(NOTEBOOKS[days % len(NOTEBOOKS)], community(days, seed=days))


@pytest.mark.parametrize(("left_out", "notebook"), some(product(PAIRS, NOTEBOOKS), 140))
def test_what_is_optional_may_be_missing(left_out: tuple[str, str], notebook: str, check) -> None:
    refused = check(notebook, community(150, without=left_out))
    missing = notebook == BUDGET or NEEDED.get(notebook, set()) & set(left_out)
    assert refused is (MissingTable if missing else None)


@pytest.mark.parametrize(("alone", "notebook"), some(product(("events", "orders", "messages"), NOTEBOOKS), 4))
def test_one_table_of_actions_is_enough(alone: str, notebook: str, check) -> None:
    tables = community(150)
    assert check(notebook, {alone: tables[alone]}) is (
        MissingTable if notebook in (TEST, JOURNEYS, BUDGET) else None
    )


@pytest.mark.parametrize(("people", "notebook"), list(product(SIZES, NOTEBOOKS)))
def test_of_few_members_nothing_is_told(people: int, notebook: str, check) -> None:
    tables = community(150, people)
    refused = check(notebook, tables)
    here = people - int(tables["members"]["is_bot"].sum())
    if notebook == BUDGET:
        assert refused is MissingTable
        return
    assert refused in (
        (NothingCounts, TooFewMembers) if here < K_MIN and notebook not in (TEST, REVIEW) else (None,)
    )


def test_the_patterns_find_what_is_wrong_and_nothing_else() -> None:
    wrong = [
        "a share of nan.",
        "All members, None to 2014.",
        "present all of .",
        "takes inf days.",
        "{n} members.",
        "Of 3 members.",
    ]
    for sentence in wrong:
        with pytest.raises(AssertionError):
            sound(sentence, sentence)
    for sentence in [
        "fewer than 10 members.",
        "Of 1,203 members 12.3 members.",
        "day 3, members.",
        "n = 7–9 members",
    ]:
        sound(sentence, sentence)
    assert issubclass(NothingCounts, PlaybookError)
