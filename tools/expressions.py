"""Keep what engines do differently behind one door, `helpers.data.dialect`; `main` returns 1 when something is not.

Found are ``.hash()`` (another function in each engine), ``.cache()`` (a temporary table that PostgreSQL plans
blindly), the cast of a condition to a number (PostgreSQL has none), and in modules that import Ibis ``.round()``
(halves go elsewhere; a frame is rounded by ``np.round``).
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent / "src" / "helpers"
DOORS = {ROOT / "data" / "dialect.py", ROOT / "data" / "postgres.py"}
INSTEAD = {
    "hash": "bucket or row_hash",
    "cache": "stored",
    "round": "rounded, or np.round",
    "cast": "ones or number",
}
CONDITIONS = {
    "isin",
    "notin",
    "isnull",
    "notnull",
    "isnan",
    "isinf",
    "between",
    "startswith",
    "endswith",
    "contains",
}


def _condition(node: ast.expr) -> bool:
    """Whether an expression is plainly a condition: what a name stands for is not known."""
    match node:
        case ast.Compare() | ast.UnaryOp(op=ast.Invert()) | ast.BinOp(op=ast.BitAnd() | ast.BitOr()):
            return True
        case ast.Call(func=ast.Attribute(attr=name)):
            return name in CONDITIONS
    return False


def found(source: str) -> Iterator[tuple[int, str]]:
    """Return (line, what stands there) for every call that belongs behind the door."""
    tree = ast.parse(source)
    named = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    named |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    plain = not any(name.partition(".")[0] == "ibis" for name in named)
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Attribute(value=base, attr=name)) if name in INSTEAD:
                other = isinstance(base, ast.Name) and base.id in ("np", "math")
                if not other and not (plain and name == "round") and (name != "cast" or _condition(base)):
                    yield node.lineno, f".{name}( of an engine; use {INSTEAD[name]} of helpers.data.dialect"


def main(root: Path = ROOT) -> int:
    """Print every place and return how many there are, at most 1."""
    lines = [
        f"{path.relative_to(root)}:{line}: {what}"
        for path in sorted(root.rglob("*.py"))
        if path not in DOORS
        for line, what in found(path.read_text("utf-8"))
    ]
    print("\n".join(lines) or "No engine is asked for what engines do differently.")
    return min(len(lines), 1)


if __name__ == "__main__":
    sys.exit(main())
