"""List the texts for readers that do not pass through `helpers.sentences.say`; `main` returns 1 when there is one.

A second language is a catalogue of whole templates, so that a text that is glued together or handed over bare could
never be translated. Looked at is every module that speaks to readers. Found are: f-strings and sums of texts with
words in them, and words given to what shows them (a table, a picture, an axis, a finding) without the door. Errors
speak to whoever called and are not looked at.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent / "src" / "helpers"
SPEAKING = (
    "methods/**/*.py",
    "playbook/**/*.py",
    "study/*.py",
    "figures.py",
    "data/health.py",
    "data/privacy.py",
)
SHOWN = frozenset({"Table", "Chart", "NoChart", "finding", "annotate", "text", "set_title", "set", "legend"})
"""Calls whose words reach a reader; so does every ``set_*label``."""
SILENT = frozenset(
    {
        *(
            "id",
            "name",
            "systems",
            "members",
            "hide",
            "within",
            "unit",
            "method",
            "n_of",
            "definition",
            "picture",
        ),
        *("direction", "aliases", "ha", "va", "loc", "textcoords"),
    }
)
"""Arguments that are no words."""
FOR_ERRORS = frozenset({"query", "did_you_mean", "require_columns", "require_unique", "_agreed", "_worth"})
"""Calls whose texts are for errors."""
_WORDS = re.compile(r"[^\W\d_]{2,}.* .*[^\W\d_]{2,}|[^\W\d_]{4,} ")


def outside(path: Path) -> Iterator[tuple[int, str]]:
    """Yield line and text of what a module says past the door."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    quiet = {id(inner) for node in ast.walk(tree) if _is_quiet(node) for inner in ast.walk(node)}
    for node in ast.walk(tree):
        if id(node) in quiet or not isinstance(node, ast.expr):
            continue
        if _glued(node):
            yield node.lineno, ast.unparse(node)
        elif isinstance(node, ast.Call) and _shows(node):
            named = [word.value for word in node.keywords if word.arg not in SILENT]
            yield from ((each.lineno, ast.unparse(each)) for each in (*node.args, *named) if _said(each))


def _glued(node: ast.AST) -> bool:
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return _said(node.left, node.right)
    return (
        isinstance(node, ast.JoinedStr)
        and not ast.unparse(node).lstrip("f'\"").startswith("<")
        and _said(node)
    )


def _is_quiet(node: ast.AST) -> bool:
    """Whether nothing inside is for readers: what is raised, what is only matched or shown to a programmer."""
    if isinstance(node, ast.Raise | ast.ExceptHandler):
        return True
    name = _called(node)
    return name in FOR_ERRORS or "Error" in name or name.startswith(("Bad", "Missing"))


def _called(node: ast.AST) -> str:
    function = node.func if isinstance(node, ast.Call) else None
    return str(getattr(function, "attr", getattr(function, "id", "")))


def _shows(node: ast.Call) -> bool:
    name = _called(node)
    return name in SHOWN or (name.startswith("set_") and name.endswith("label"))


def _said(*nodes: ast.AST) -> bool:
    """Whether a text, or a part of an f-string, has words in it."""
    parts = [part for node in nodes for part in (node.values if isinstance(node, ast.JoinedStr) else [node])]
    texts = (part.value for part in parts if isinstance(part, ast.Constant))
    return any(isinstance(text, str) and _WORDS.search(text) is not None for text in texts)


def main() -> int:
    """Print every text outside the door with its place."""
    files = sorted({path for pattern in SPEAKING for path in ROOT.glob(pattern)})
    found = [
        (path.relative_to(ROOT.parent.parent), line, text) for path in files for line, text in outside(path)
    ]
    for path, line, text in found:
        print(f"{path}:{line}: {text[:100]}")
    if found:
        print(f"{len(found)} texts do not pass through say().")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
