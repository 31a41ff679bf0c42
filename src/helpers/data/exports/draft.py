"""A mapping drafted from the files of a folder: what is sure, what is proposed, and what only their owner knows.

A known export brings its own mapping. Of any other the names of the columns are looked up and what they hold is
looked at; what neither says becomes a question, and nothing is read before it is answered.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator, Sequence
from collections.abc import Mapping as Map
from dataclasses import dataclass, field
from glob import escape
from itertools import chain, groupby
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from helpers.data.exports import guess
from helpers.data.exports.apply import mapped
from helpers.data.exports.files import RawFile, UnreadableFileError, open_file
from helpers.data.exports.guess import Column, flow
from helpers.data.exports.mapping import Mapping as Mapping
from helpers.data.exports.recognise import NAMED, alike, known, recognise
from helpers.data.reading import Found
from helpers.data.tables import TABLES
from helpers.errors import BadData

MAPPING = "mapping.yml"
IN_SHAPE = "a table in shape already, which needs no mapping"
HEAD = """# Which column of these exports is which column of the tables that reports are made of.
# A text that begins with ? is a question: write the answer in its place. Nothing is read before all are answered.
# A line may be deleted when the export does not have it. `playbook check` says what is open and what is wrong.
"""
QUESTION = r"'\?(?:[^']|'')*'"
# Files that are no exports.
HIDDEN = r"(^|[/\\])[._~]|\.(yml|md)$"
# Share of all names of two files that both have, from which on they are one export.
IN_COMMON = 0.6
# Members of a source who joined when they were first seen.
FIRST_SEEN = r"      members:\n        first_seen: true\n(        .*\n)*"
# A table of a source, unless nobody knows whom its rows belong to.
TABLE = r"^      {}:\n(?!(        .*\n)*?        member_id: '\?)"
# What stands for an open question in a preview, by where it is asked.
PASSED_OVER = (("UTC", "zone"), ("2020-01-01T00:00+00:00", "exported_at"), ("unanswered", "constant"))
NO_SAFE_KEY = (
    "{where} has no member who is surely one person: masks and nicknames are shared. What follows a member (tiers, "
    "retention, repeat orders) needs an export with their id, full phone or e-mail; sums of the shop do not."
)


@dataclass
class Draft:
    """A drafted mapping and what there is to say about it.

    Attributes
    ----------
    text : str
        The mapping as YAML.
    files : list of tuple of str
        Each file, and what it was taken for.
    tables : list of str
        Tables that it feeds once its questions are answered, without those of which nobody knows whose rows they are.
    unsafe : list of str
        Sources without a safe buyer, and what would be needed.
    """

    text: str = ""
    files: list[tuple[str, str]] = field(default_factory=list)
    tables: list[str] = field(default_factory=list)
    unsafe: list[str] = field(default_factory=list)


def draft(folder: Path, workspace: Path) -> Draft:
    """Draft the mapping of a folder.

    Raises
    ------
    BadData
        When the folder has a mapping, or no file that could be mapped; then the message says what is missing.
    """
    if not folder.is_dir():
        raise BadData(f"{folder} is no folder.")
    if (folder / MAPPING).exists():
        raise BadData(f"{folder / MAPPING} is there already: edit it, or move it away for a new draft.")
    found, sources = Draft(), list[str]()
    for raws in _groups(folder, workspace, found):
        header = [name for name in raws[0].names if all(name in raw.names for raw in raws)]
        try:
            taken = _taken(guess.look(raws, header), len(sources) + 1)
        except UnreadableFileError as error:
            found.files.append((raws[0].name, str(error)))
            continue
        found.files += [(raw.name, taken.title) for raw in raws]
        if taken.template:
            unused = [name for name in header if name not in {each.name for each in taken.called.values()}]
            said = ", ".join([*unused[:20], *(["…"] if len(unused) > 20 else [])])
            lines = [f"  {taken.name}:  # {taken.title}", *([f"    # not used: {said}"] if said else [])]
            lines += [f"    {line}" for line in _headed(folder, raws, taken)]
            text = "".join(f"{line}\n" for line in lines)
            if taken.unsafe or "member_id: '?" in text:
                found.unsafe.append(NO_SAFE_KEY.format(where=taken.name))
                text = re.sub(FIRST_SEEN, "", text)
            sources.append(text)
    if not sources:
        said = "; ".join(f"{name}: {what}" for name, what in found.files) or "it is empty"
        raise BadData(f"Nothing in {folder} could be mapped: {said}.")
    text = "".join(sources)
    if text.count("      members:\n") > 1:  # the notebooks join what several exports say of one member
        text = re.sub(FIRST_SEEN, "", text)
    found.tables = [name for name in TABLES if re.search(TABLE.format(name), text, re.MULTILINE)]
    view = "view: buyer  # orders hold what buyers paid\n" if "      orders:\n" in text else ""
    found.text = f"{HEAD}{view}sources:\n{text}"
    return found


class _Taken(NamedTuple):
    """What a form of files was taken for, the source of its mapping, and what stands in it for each name."""

    title: str
    name: str = ""
    template: str = ""
    called: Map[str, Column] = {}
    texts: Map[str, str] = {}
    optional: Sequence[str] | None = None
    unsafe: bool = False


def _taken(looked: dict[str, Column], number: int) -> _Taken:
    """Return what some files were taken for by their columns."""
    if match := recognise(list(looked)):
        known_as, names = match
        lacking = sorted(set(known_as.signature) - names.keys())
        near = f"close to {known_as.title}, but without {', '.join(lacking)}, so read every line"
        called, signs = {each: looked[column] for each, column in names.items()}, guess.signs(looked.values())
        texts = {each: flow(guess.number(column, *signs) or column.name) for each, column in called.items()}
        how = (known_as.name, known_as.source, called, texts, known_as.optional, known_as.unsafe)
        return _Taken(near if lacking else known_as.title, *how)
    table, called = guess.table(looked)
    if not called:
        return _Taken(table)
    title = f"not known; by its columns a table of {table}, so read every line"
    template = guess.words()["tables"][table]["source"]
    return _Taken(title, f"{table}_{number}", template, called, guess.texts(table, called, looked))


def runnable(tables: Sequence[str], notebooks: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield each notebook, and what it misses; nothing when it will run."""
    for notebook in notebooks:
        needs = [set(each.split()) - set(tables) for each in guess.words()["notebooks"].get(notebook[:2], ())]
        yield notebook, "" if set() in needs else " or ".join(" and ".join(sorted(each)) for each in needs)


def answered(text: str, line: int, answer: str) -> str:
    """Return the text of a mapping with the question in a line answered."""
    lines = text.splitlines(keepends=True)
    said = flow(yaml.load(answer, yaml.BaseLoader))
    lines[line - 1] = re.sub(QUESTION, lambda _: said, lines[line - 1], count=1)
    return "".join(lines)


def preview(con: Any, folder: Path, text: str) -> Found:
    """Return the tables of a mapping whose open questions are passed over: a zone is UTC, a constant a question mark.

    Raises
    ------
    InvalidFile, BadData
        When they cannot be passed over.
    """
    path = con.workspace / MAPPING
    path.write_text(text, "utf-8")
    lines = text.splitlines(keepends=True)
    for question in Mapping.read(path).questions:
        line = lines[question.line - 1]
        instead = next((said for said, sign in PASSED_OVER if sign in question.place), None)
        lines[question.line - 1] = re.sub(QUESTION, instead, line) if instead else ""
    path.write_text("".join(lines), "utf-8")
    return mapped(con, folder, Mapping.read(path))


def _groups(folder: Path, workspace: Path, found: Draft) -> list[list[RawFile]]:
    """Return the grids of a folder, those of one export together: of one known form, or with most names in common."""
    expected = {name for each in known() for name in (*each.names, *chain(*each.also.values()))}
    groups: list[tuple[str, list[RawFile]]] = []
    shown = [
        path for path in sorted(folder.rglob("*")) if not re.search(HIDDEN, str(path.relative_to(folder)))
    ]
    for path in filter(Path.is_file, shown):
        try:
            grids = open_file(path, workspace, expected)
        except UnreadableFileError as error:
            found.files.append((path.name, str(error)))
            continue
        table = path.relative_to(folder).parts[0].split(".")[0]
        for raw in grids:
            if table in TABLES and {each.name for each in TABLES[table].columns if each.required} <= set(
                raw.names
            ):
                found.files.append((raw.name, IN_SHAPE))
                continue
            match = recognise(raw.names)
            name = match[0].name if match else ""
            for known_as, raws in groups:
                if known_as == name and (name or _in_common(raw, raws[0])):
                    raws.append(raw)
                    break
            else:
                groups.append((name, [raw]))
    return [raws for _, raws in groups]


def _in_common(one: RawFile, other: RawFile) -> bool:
    names, others = set(map(alike, one.names)), set(map(alike, other.names))
    return len(names & others) >= IN_COMMON * len(names | others)


def _headed(folder: Path, raws: Sequence[RawFile], taken: _Taken) -> list[str]:
    """Return the lines of a source below its files, asking for the day of each export where that is needed."""
    names = {raw.path.relative_to(folder).as_posix(): raw.path for raw in raws}
    head = [f"files: {flow(list(map(escape, names)))}  # a star stands for any text, as in orders*.csv"]
    if parts := {raw.part for raw in raws if raw.part}:
        several = "*/*" if all("/" in part for part in parts) else "*"
        head.append(f"part: {flow(several if len(parts) > 1 else escape(parts.pop()))}")
    lines = list(_filled(taken))
    if asked := [line for line in lines if line.startswith("exported_at:")]:
        days = {name: dt.date.fromtimestamp(path.stat().st_mtime) for name, path in names.items()}
        told = asked[0][len("exported_at: '") : -1]
        said = {name: flow(f"{told} The file was last changed on {day}.") for name, day in days.items()}
        head += ["exported_at:", *(f"  {flow(name)}: {text}" for name, text in said.items())]
    return head + [line for line in lines if line not in asked]


def _filled(taken: _Taken) -> Iterator[str]:
    """Yield the lines of a source with what its columns are called; what is missing or unusable becomes a question.

    Of several lines of one word the first counts whose columns are all there. Without `optional` any may be missing.
    """
    called, texts, optional = taken.called, taken.texts, taken.optional
    table, waiting, code = "", list[str](), guess.currency(list(called.values()))
    local = [each.name for each in called.values() if each.is_local]
    for start, group in groupby(taken.template.splitlines(), lambda line: line.partition(":")[0]):
        word = start.strip()
        indent = start.removesuffix(word)
        options = [(line, [name for name in NAMED.findall(line) if name not in texts]) for line in group]
        line, missing = next((each for each in options if not each[1]), options[-1])
        table = word if len(indent) == 2 else table
        id_ = table in TABLES and word in TABLES[table] and TABLES[table][word].is_id
        there = [called[name] for name in NAMED.findall(line) if name in called] if id_ else []
        question = ""
        if missing and optional is not None and not set(missing) <= set(optional):
            question = f"? There is no column “{missing[0]}” here. Which one says this?"
        elif missing and (word, table, optional) == ("member_id", "orders", None):
            question = "? Which column says who bought: an id, a full phone or an e-mail?"
        elif lost := [each.name for each in there if each.kind == "lost"]:
            question = (
                f"? Numbers in “{lost[0]}” have lost digits in a spreadsheet. Which column has them all?"
            )
        elif weak := [each.name for each in there if word == "member_id" and guess.is_weak(each)]:
            question = f"? “{weak[0]}” is masked, or a name, and no safe key. Which column is one?"
        elif missing or (word == "zone" and "'?" in line and not local):
            continue
        elif word == "zone" and "'?" in line and all(re.search("(?i)utc|gmt", name) for name in local):
            line = "zone: UTC  # proposed: by the names of the columns"
        elif word == "currency" and "'?" in line and code:
            line = f"{indent}currency: {{constant: {code}}}  # proposed: by the sign of the amounts"
        line = f"{indent}{word}: {flow(question)}" if question else line
        line = NAMED.sub(lambda name: texts[name[1]], line)
        waiting = [each for each in waiting if len(each) - len(each.lstrip()) < len(indent)]
        if line.endswith(":"):
            waiting.append(line)
        else:
            yield from [*waiting, line]
            waiting = []
