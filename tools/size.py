"""Print the code lines of the package by room beside the budget; `main` returns 1 when a room is far over it.

A code line is a line that `tokenize` leaves without blank lines, comments and docstrings. YAML lines (neither blank
nor comment) and the docstrings' share of what Python files say are shown apart.
"""

from __future__ import annotations

import ast
import io
import sys
import tokenize
from collections import Counter, defaultdict
from collections.abc import Collection
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUDGETS = {
    "ground": 600,  # 170 of them located YAML, which plans and mappings share; 110 how Chinese writes numbers
    # 430 of them what engines do differently, PostgreSQL and Spark; 200 the fields of errors said in two languages
    "data": 3_100,
    "data/exports": 1_720,  # 70 of them chats of phones, days in archives, tar, what a file is called
    "simulate": 1_700,  # and PLANTED for each method
    "study": 1_000,  # 280 of them the weekly series; 30 the fields of errors said in two languages
    "stats": 3_400,
    # 260 of them what earlier reports say, 340 the register of actions and its verification, 350 what became of them
    # and of stated chances, what other reports propose and what late data changed
    "playbook": 2_000,  # earlier reports 500, register and verification 450, small answers that reviews share 100
    "methods/rfm": 2_000,
    "methods/retention": 1_850,
    "methods/outlook": 900,
    "methods/ab_test": 2_400,
    "methods/attribution": 1_645,  # 45 of them samples of paths and of rates: that they are enough, and said
    "methods/budget": 2_000,  # amounts that can be paid, packages, prices of bounds, and what a new fan costs
    "methods/weekly_review": 800,
    "report": 4_860,  # 150 of them the workers of a cluster, and threads as such
    "cli": 460,  # four commands of the register of actions; 15 lines the fields of what is said in two languages
}
METHOD = 1_200
"""A method not named above."""
PLANTED = 100
"""The planted truth of one method in the simulation."""
PACKAGE = (
    # 2,500 of them the weekly review in all rooms; 700 the fields of what is said in two languages
    # 460 what large communities need: results that are guarded, samples that are stated; 250 Spark
    # 280 runs on a cluster, and what a database does in the middle of one
    # 110 what bounds blocks, random groups of clusters, long records and lists that come back
    # 30 scores and days that do not cost more than the bare query at 100 M rows
    34_480
)
TESTS = 1.2
"""Lines of tests for one of source, at most."""
WARNING, FAILURE = 1.10, 1.15
GROUND = {"__init__", "errors", "checks", "sentences", "located_yaml", "tables", "figures"}
NOT_CODE = {
    *(tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE),
    *(tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER),
}


def count(source: str) -> tuple[int, int]:
    """Return the code lines and the docstring lines of Python source."""
    documented: set[int] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if ast.get_docstring(node, clean=False) is not None and isinstance(first, ast.Expr):
                documented.update(range(first.lineno, (first.end_lineno or first.lineno) + 1))
    said: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in NOT_CODE:
            said.update(range(token.start[0], token.end[0] + 1))
    return len(said - documented), len(documented)


def room(path: Path) -> str:
    """Return the room of a file, given by its path below the package."""
    folders = path.parts[:-1]
    if not folders:
        return "ground" if path.stem in GROUND else path.stem
    if folders[0] in GROUND:
        return "ground"
    if folders[0] == "methods":
        return "/".join(folders[:2]) if len(folders) > 1 else "elsewhere"
    return "data/exports" if folders[:2] == ("data", "exports") else folders[0]


def measure(package: Path) -> dict[str, Counter[str]]:
    """Return the lines of each room of a package: ``code``, ``docstrings`` and ``yaml``."""
    rooms: dict[str, Counter[str]] = defaultdict(Counter)
    for path in sorted(package.rglob("*")):
        if path.suffix == ".py":
            code, documented = count(path.read_text("utf-8"))
            rooms[room(path.relative_to(package))].update(code=code, docstrings=documented)
        elif path.suffix in {".yml", ".yaml"}:
            text = [line.strip() for line in path.read_text("utf-8").splitlines()]
            said = sum(bool(line) and not line.startswith("#") for line in text)
            rooms[room(path.relative_to(package))].update(yaml=said)
    return dict(rooms)


def budgets(rooms: Collection[str]) -> dict[str, int]:
    """Return the budget of each room that has one or exists; a room nobody planned has none: 0."""
    methods = {name for name in rooms if name.startswith("methods/")}
    allowed = BUDGETS | {name: METHOD for name in sorted(methods - set(BUDGETS))}
    allowed["simulate"] += PLANTED * len(methods)
    return allowed | {name: 0 for name in sorted(set(rooms) - set(allowed) - {"locale"})}


def main() -> int:
    """Print the table; return 1 when something is far over its budget."""
    rooms = measure(ROOT / "src" / "helpers")
    allowed = budgets(rooms)
    failed = []
    print(f"{'room':<24}{'code':>8}{'budget':>8}{'share':>8}{'YAML':>8}{'docstrings':>12}")
    for name in [*allowed, *(name for name in rooms if name not in allowed)]:
        lines, budget = rooms.get(name, Counter()), allowed.get(name)
        row = _row(name, lines, budget)
        if budget is None or lines["code"] <= budget * WARNING:
            print(row)
        elif lines["code"] <= budget * FAILURE:
            print(f"{row}  warning: over budget")
        else:
            print(f"{row}  too large")
            failed.append(name)
    total = sum(rooms.values(), Counter())
    print(_row("package", total, PACKAGE))
    tests = sum(lines["code"] for lines in measure(ROOT / "tests").values())
    print(f"tests: {tests:,} code lines, {tests / total['code']:.2f} x source; the limit is {TESTS}")
    failed += ["package"] if total["code"] > PACKAGE else []
    failed += ["tests"] if tests >= total["code"] * TESTS else []
    if failed:
        print(f"Too large: {', '.join(failed)}.")
    return int(bool(failed))


def _row(name: str, lines: Counter[str], budget: int | None) -> str:
    share = f"{lines['code'] / budget:.0%}" if budget else "–"
    documented = lines["docstrings"] / ((lines["code"] + lines["docstrings"]) or 1)
    allowed = "–" if budget is None else f"{budget:,}"
    return f"{name:<24}{lines['code']:>8,}{allowed:>8}{share:>8}{lines['yaml']:>8,}{documented:>12.0%}"


if __name__ == "__main__":
    sys.exit(main())
