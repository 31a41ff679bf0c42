"""Hold the texts for readers to one door and to their catalogues; `main` returns 1 when something is amiss.

A second language is a catalogue of whole templates, so that a text that is glued together or handed over bare could
never be translated. Looked at is every module that speaks to readers. Found are: f-strings and sums of texts with
words in them, and words given to what shows them (a table, a picture, an axis, a finding) without the door
`helpers.sentences.say`. Errors may pass it by, since some speak to programmers alone; what of them passes through it
needs its translation like any other text.

Then every text (templates, texts kept as data, the prose of notebooks) is looked for in the Chinese catalogues, of
its method or the shared ones. Found are texts without a translation, with the lines to write; entries that nothing
says; and translations whose fields differ. ``--draft`` writes the missing entries into the catalogues, with nothing
said.
"""

from __future__ import annotations

import ast
import json
import re
import string
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import yaml

ROOT = Path(__file__).resolve().parent.parent / "src" / "helpers"
SPEAKING = (
    "methods/**/*.py",
    "playbook/**/*.py",
    "study/*.py",
    "figures.py",
    "data/health.py",
    "data/privacy.py",
)
ERRORS = ("checks.py", "cli/*.py", "data/**/*.py", "locale/*.py", "located_yaml.py")
"""Modules whose errors and lines are for users, and whose other texts are for engines."""
PAGES = ("report/**/*.py", "stats/**/*.py", "tables.py", "sentences.py", *SPEAKING, *ERRORS)
"""Modules whose templates are looked for in the catalogues."""
UNSAID = frozenset(
    {"quote", "guard", "origin", "prior_origin", "provenance", "key", "id", "code", "unit", "when"}
)
"""Keys of texts kept as data that no reader sees."""
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
_SENTENCE = re.compile(r"[^\W\d_]{2,}\S*\s(?:.*\s)?\S*[^\W\d_]{2,}", re.DOTALL)
_FIELD = re.compile(r"\{[^}]*\}")
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
    if isinstance(node, ast.Raise | ast.ExceptHandler | ast.Assert):
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


class Text(NamedTuple):
    """A text for readers: where it stands, and in which catalogue its translation belongs."""

    path: Path
    line: int
    en: str
    catalogue: Path


def texts() -> Iterator[Text]:
    """Yield every text that must have a translation."""
    for path in sorted({path for pattern in PAGES for path in ROOT.glob(pattern)}):
        yield from (Text(path, line, text, home(path)) for line, text in _templates(path))
    for path in sorted(ROOT.glob("report/page/template/*.j2")):
        for said in re.finditer(r"""say\(\s*(?:"([^"]*)"|'([^']*)')""", path.read_text("utf-8")):
            yield Text(path, 1, said[1] or said[2] or "", home(path))
    for path in sorted({*ROOT.glob("methods/*/*.yml"), ROOT / "playbook" / "glossary.yml"}):
        if path.stem not in ("zh", "truth"):
            yield from (
                Text(path, 1, text, home(path)) for text in _prose(yaml.safe_load(path.read_text("utf-8")))
            )
    for path in sorted(ROOT.parent.parent.glob("notebooks/[0-9]*.ipynb")):
        own = ROOT / "methods" / path.stem.partition("_")[2] / "zh.yml"
        cells = json.loads(path.read_text("utf-8"))["cells"]
        yield from (
            Text(path, 1, "".join(cell["source"]), own) for cell in cells if cell["cell_type"] == "markdown"
        )


def home(path: Path) -> Path:
    """Return the catalogue for the texts of a file: that of its method, or the shared one of its room."""
    parts = path.relative_to(ROOT).parts
    if parts[0] == "methods":
        return ROOT / "methods" / parts[1] / "zh.yml"
    return ROOT / "locale" / "zh" / f"{parts[0].removesuffix('.py')}.yml"


def _templates(path: Path) -> Iterator[tuple[int, str]]:
    """Yield what is handed to the door, and what reads like prose and may be handed to it from where it is kept."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    said = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and node.args and _called(node) in ("say", "words", "word")
        for inner in ast.walk(node.args[0])
    }
    quiet = {id(inner) for node in ast.walk(tree) if _is_quiet(node) for inner in ast.walk(node)} - said
    quiet |= {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.Subscript)
        or (isinstance(node, ast.Call) and _called(node) in ("Field", "getattr"))
        for inner in ast.walk(node)
    }
    quiet |= {
        id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)
    }  # docstrings and remarks
    quiet |= {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    named = _kept(
        tree, {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and id(node) in said}
    )
    pages = ("report/page/*.py", "report/diff/*.py", "stats/**/*.py", *SPEAKING)
    speaks = path.name != "figures.py" and any(path in ROOT.glob(pattern) for pattern in pages)
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in quiet:
            prose = (speaks or id(node) in named) and _SENTENCE.search(node.value) is not None
            markup = node.value.startswith("<") or "\\" in node.value
            if id(node) in said or (prose and not markup):
                parts = node.value.split("\n")  # templates of sentences that follow one another
                yield from (
                    (node.lineno, part) for part in parts if re.search(r"[^\W\d_]", _FIELD.sub("", part))
                )


def _kept(tree: ast.AST, names: set[str]) -> set[int]:
    """Return the nodes of what is kept under names and said later, also through a loop."""
    names = names | {"ADVICE"}  # said where the rows are counted
    loops = [node for node in ast.walk(tree) if isinstance(node, ast.For | ast.comprehension)]
    for loop in loops:
        if names & {each.id for each in ast.walk(loop.target) if isinstance(each, ast.Name)}:
            names |= {each.id for each in ast.walk(loop.iter) if isinstance(each, ast.Name)}
    kept: set[int] = set()
    for node in [*ast.walk(tree)][::-1]:  # constants stand above what they are taken for
        if isinstance(node, ast.Assign | ast.AugAssign | ast.AnnAssign) and node.value:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if names & {each.id for each in targets if isinstance(each, ast.Name)}:
                kept |= {id(each) for each in ast.walk(node.value)}
                names |= {
                    each.id
                    for each in ast.walk(node.value)
                    if isinstance(each, ast.Name) and each.id.isupper()
                }
    return kept


def _prose(value: object) -> Iterator[str]:
    """Yield the texts of YAML that read like prose."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key not in UNSAID:
                yield from _prose(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _prose(inner)
    elif isinstance(value, str) and _SENTENCE.search(value):
        yield value.strip()


@cache
def entries(path: Path) -> dict[str, str]:
    """Return a catalogue: English to Chinese."""
    pairs = (yaml.safe_load(path.read_text("utf-8")) or []) if path.is_file() else []
    return {str(pair["en"]).strip(): str(pair["zh"] or "").strip() for pair in pairs}


def fields(template: str) -> set[str]:
    """Return the names of the fields of a template."""
    return {name.partition(".")[0] for _, name, _, _ in string.Formatter().parse(template) if name}


def untranslated(found: list[Text]) -> Iterator[Text]:
    """Yield the texts without a translation, each once for a catalogue."""
    seen = set()
    for text in found:
        shared = (ROOT / "locale" / "zh").glob("*.yml")
        there = [entries(path).get(text.en.strip()) for path in (text.catalogue, *shared)]
        if not any(there) and (text.catalogue, text.en.strip()) not in seen:
            seen.add((text.catalogue, text.en.strip()))
            yield text


def wrong(found: list[Text]) -> Iterator[tuple[Path, str, str]]:
    """Yield catalogue, entry and reason of what no text says, and of what has other fields than its text."""
    said = {text.en.strip() for text in found} | _constants()
    for path in [*(ROOT / "locale" / "zh").glob("*.yml"), *ROOT.glob("methods/*/zh.yml")]:
        for en, zh in entries(path).items():
            unit = en.removeprefix("{number} ").removeprefix("column ").removesuffix(" {n}")
            if not {en, unit, f"{en.partition(' ')[0]} {{}}"} & said:
                yield path, en, "nothing says it"
            elif "\n" not in en and zh and fields(en) != fields(zh):
                yield (
                    path,
                    en,
                    f"its fields are {sorted(fields(en))}, those of the translation {sorted(fields(zh))}",
                )


@cache
def _constants() -> set[str]:
    """Return every text in the source, as it stands and as a heading."""
    found: set[str] = set()
    for path in ROOT.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found |= {node.value.strip(), node.value.replace("_", " ").strip()}
                if "_" in node.value and all(map(str.isidentifier, node.value.split())):  # names of columns
                    found |= {part.replace("_", " ") for part in node.value.split()}
            elif isinstance(node, ast.keyword | ast.arg) and node.arg:
                found.add(node.arg.replace("_", " "))
            elif isinstance(node, ast.JoinedStr) and isinstance(node.values[0], ast.Constant):
                found.add(re.sub("_$", " {}", str(node.values[0].value)))  # a table of each: f"topic_{name}"
    for path in ROOT.rglob("*.yml"):
        if path.stem != "zh" and path.parent.name != "zh":
            found |= set(_scalars(yaml.safe_load(path.read_text("utf-8"))))
    return found


def _scalars(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from (str(key), str(key).replace("_", " "), *_scalars(inner))
    elif isinstance(value, list):
        for inner in value:
            yield from _scalars(inner)
    else:
        yield str(value).strip()
        yield from re.findall("'([^']*)'", str(value))  # questions of a mapping that is kept as a text


def drafted(pairs: list[Text]) -> str:
    """Return the lines of a catalogue for texts, with nothing said yet."""
    rows = [{"en": text.en.strip(), "zh": ""} for text in pairs]
    return yaml.safe_dump(rows, allow_unicode=True, sort_keys=False, width=110)


def main() -> int:
    """Print every text outside the door, without a translation, or wrongly translated, with its place."""
    files = sorted({path for pattern in SPEAKING for path in ROOT.glob(pattern)})
    outer = [(path.relative_to(ROOT), line, text) for path in files for line, text in outside(path)]
    for path, line, text in outer:
        print(f"{path}:{line}: {text[:100]}: does not pass through say()")
    found = list(texts())
    missing, bad = list(untranslated(found)), list(wrong(found))
    if "--draft" in sys.argv:
        for path in sorted({text.catalogue for text in missing}):
            new = [
                text for text in missing if text.catalogue == path and text.en.strip() not in entries(path)
            ]
            path.parent.mkdir(exist_ok=True)
            with path.open("a", encoding="utf-8") as file:
                file.write(drafted(new) if new else "")
        return 0
    for one in missing:
        print(f"{one.path.name}:{one.line}: no translation; write into {one.catalogue.relative_to(ROOT)}:")
        print(drafted([one]))
    for path, en, reason in bad:
        print(f"{path.relative_to(ROOT)}: {en[:80]!r}: {reason}")
    print(
        f"{len(outer)} texts past the door, {len(missing)} without a translation, {len(bad)} wrong entries."
    )
    return int(bool(outer or missing or bad))


if __name__ == "__main__":
    sys.exit(main())
