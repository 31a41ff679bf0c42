"""A mapping drafted from the files of a folder: what is sure, what is proposed, and what only their owner knows.

A known export brings its own mapping. Of any other the names of the columns are looked up and what they hold is
looked at; what neither says becomes a question, and nothing is read before it is answered.
"""

from __future__ import annotations

import datetime as dt
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from glob import escape
from itertools import chain, groupby
from pathlib import Path
from typing import Any

import yaml

from helpers.data.exports import guess
from helpers.data.exports.apply import mapped
from helpers.data.exports.files import RawFile, UnreadableFileError, open_file
from helpers.data.exports.guess import Column, flow, says, words
from helpers.data.exports.mapping import Mapping as Mapping
from helpers.data.exports.overlap import differ
from helpers.data.exports.recognise import NAMED, Known, alike, known, recognise
from helpers.data.reading import Found
from helpers.data.tables import TABLES
from helpers.errors import BadData
from helpers.sentences import say

MAPPING = "mapping.yml"
QUESTION = r"'\?(?:[^']|'')*'"
# Files that are no exports.
HIDDEN = r"(^|[/\\])([.~]|_(?!chat\.))|\.(yml|md)$"
# Share of all names of two files that both have, from which on they are one export.
IN_COMMON = 0.6
# Members of a source who joined when they were first seen.
FIRST_SEEN = r"      members:\n        first_seen: true\n(        .*\n)*"
# A table of a source, unless nobody knows whom its rows belong to.
TABLE = r"^      {}:\n(?!(        .*\n)*?        member_id: '\?)"
# What stands for an open question in a preview, by where it is asked.
PASSED_OVER = {"zone": "UTC", "exported_at": "2020-01-01T00:00+00:00", "constant": "unanswered"}


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
        raise BadData(say("{folder} is no folder.", folder=folder))
    if (folder / MAPPING).exists():
        raise BadData(
            say(
                "{folder} is there already: edit it, or move it away for a new draft.",
                folder=folder / MAPPING,
            )
        )
    found, sources = Draft(), list[str]()
    groups = _groups(folder, workspace, found)
    several = Counter(path for raws in groups for path in {raw.path for raw in raws})
    for raws in groups:
        names = dict.fromkeys(chain(*(raw.names for raw in raws)))
        header = [name for name in names if all(name in raw.names or raw.sparse for raw in raws)]
        try:
            export, called, texts = _taken(guess.look(raws, header), len(sources) + 1)
        except UnreadableFileError as error:
            found.files += [(raw.name, str(error)) for raw in raws]
            continue
        found.files += [(raw.name, export.title) for raw in raws]
        if not export.source:
            continue
        lines = list(_filled(export, called, texts))
        if differ(raws, "".join(f"    {line}\n" for line in lines), workspace):
            lines = [each for each in lines if not each.startswith("exported_at:")]
            lines.insert(0, f"exported_at: {flow(says('later'))}")
        lines = _headed(folder, raws, lines, any(several[raw.path] > 1 for raw in raws))
        if unused := [name for name in header if name not in {each.name for each in called.values()}]:
            shown = [*unused[:20], *(["…"] if len(unused) > 20 else [])]
            lines.insert(0, f"# not used: {', '.join(shown)}")
        text = "".join(f"    {line}\n" for line in lines)
        if export.unsafe or "member_id: '?" in text:
            found.unsafe.append(says("no_safe_key", export.name))
            text = re.sub(FIRST_SEEN, "", text)
        again = sum(bool(re.match(rf"  {export.name}(_\d)?:", each)) for each in sources)
        name = f"{export.name}_{again + 1}" if again else export.name
        sources.append(f"  {name}:  # {export.title}\n{text}")
    if not sources:
        said = "; ".join(f"{name}: {what}" for name, what in found.files) or say("it is empty")
        raise BadData(
            say("Nothing in {folder} could be mapped: {said}.", folder=folder, said=said.rstrip("."))
        )
    text = "".join(sources)
    if text.count("      members:\n") > 1:  # the notebooks join what several exports say of one member
        text = re.sub(FIRST_SEEN, "", text)
    found.tables = [name for name in TABLES if re.search(TABLE.format(name), text, re.MULTILINE)]
    view = "view: buyer  # orders hold what buyers paid\n" if "      orders:\n" in text else ""
    found.text = f"{says('head')}{view}sources:\n{text}"
    return found


def _taken(looked: dict[str, Column], number: int) -> tuple[Known, dict[str, Column], dict[str, str]]:
    """Return what some files were taken for, their columns, and what stands in its source for each name."""
    match = recognise(list(looked))
    if not match:
        return guess.taken(looked, number)
    export, names = match
    if lacking := sorted(set(export.signature) - names.keys()):
        export = replace(export, title=says("near", export.title, ", ".join(lacking)))
    elif export.verified == "false":
        export = replace(export, title=says("unverified", export.title))
    called = {name: looked[column] for name, column in names.items()}
    return export, called, {name: flow(each.value()) for name, each in called.items()}


def runnable(tables: Sequence[str], notebooks: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield each notebook that reads exports, and what it misses; nothing when it will run.

    One that would run, but is not there yet, is told, too.
    """
    for name in dict.fromkeys((*notebooks, *words()["notebooks"])):
        needs = [set(each.split()) - set(tables) for each in words()["notebooks"].get(name, ())]
        if name in notebooks and needs:
            least = [
                each
                for i, each in enumerate(needs)
                if not any(other < each for other in needs) and each not in needs[:i]
            ]
            yield name, f" {say('or')} ".join(f" {say('and')} ".join(sorted(each)) for each in least)
        elif set() in needs:
            yield name, says("to_come")


def answered(text: str, line: int, answer: str) -> str:
    """Return the text of a mapping with the question in a line answered; without an answer the line says nothing."""
    lines = text.splitlines(keepends=True)
    try:
        said = flow(yaml.load(answer, yaml.BaseLoader))
    except yaml.YAMLError:  # such as %d/%m/%Y
        said = flow(answer)
    lines[line - 1] = re.sub(QUESTION, lambda _: said, lines[line - 1], count=1) if answer else "\n"
    return "".join(lines)


def preview(con: Any, folder: Path, text: str) -> Found:
    """Return the tables of a mapping whose open questions are passed over: a zone is UTC, a constant says so.

    Raises
    ------
    InvalidFile, BadData
        When they cannot be passed over.
    """
    path = con.workspace / MAPPING
    path.write_text(text, "utf-8")
    for question in Mapping.read(path).questions:
        instead = (said for sign, said in PASSED_OVER.items() if sign in question.place)
        text = answered(text, question.line, next(instead, ""))
    path.write_text(text, "utf-8")
    return mapped(con, folder, Mapping.read(path))


def _groups(folder: Path, workspace: Path, found: Draft) -> list[list[RawFile]]:
    """Return the grids of a folder, those of one export together: of one known form, or with most names in common."""
    expected = {name for each in known() for name in (*each.names, *chain(*each.also.values()))}
    groups: list[tuple[tuple[str, dict[str, str]], list[RawFile]]] = []
    for path in sorted(filter(Path.is_file, folder.rglob("*"))):
        place = path.relative_to(folder)
        if re.search(HIDDEN, str(place)):
            continue
        try:
            grids = open_file(path, workspace, expected)
        except UnreadableFileError as error:
            found.files.append((path.name, str(error)))
            continue
        table = TABLES.get(place.parts[0].split(".")[0])
        for raw in grids:
            if table and {each.name for each in table.columns if each.required} <= set(raw.names):
                found.files.append((raw.name, says("in_shape")))
                continue
            export, called = recognise(raw.names) or (None, {})
            kind = (export.name if export else "", called)
            like = [
                raws
                for other, raws in groups
                if _is_like(kind, other) and (export or _in_common(raw, raws[0]))
            ]
            if like:
                like[0].append(raw)
            else:
                groups.append((kind, [raw]))
    return [raws for _, raws in groups]


def _is_like(one: tuple[str, dict[str, str]], other: tuple[str, dict[str, str]]) -> bool:
    """Whether two files are of one known form, or of none, and call what both have by the same names."""
    return one[0] == other[0] and all(other[1].get(name, said) == said for name, said in one[1].items())


def _in_common(one: RawFile, other: RawFile) -> bool:
    names, others = set(map(alike, one.names)), set(map(alike, other.names))
    return len(names & others) >= IN_COMMON * len(names | others)


def _headed(folder: Path, raws: Sequence[RawFile], lines: list[str], some: bool) -> list[str]:
    """Return the lines of a source with its files, asking for the day of each export where that is needed.

    With `some`, other parts of its files belong to other exports, and its own are named.
    """
    names = {raw.path.relative_to(folder).as_posix(): raw.path for raw in raws}
    head = [f"files: {flow(list(map(escape, names)))}  # a star stands for any text, as in orders*.csv"]
    if parts := sorted({escape(raw.part) for raw in raws if raw.part}):
        head.append(f"part: {flow(parts[0] if len(parts) == 1 else parts if some else '*')}")
    if asked := [line for line in lines if line.startswith("exported_at: '?")]:
        told, head = asked[0].removeprefix("exported_at: '").rstrip("'"), [*head, "exported_at:"]
        for name, path in names.items():
            day = dt.date.fromtimestamp(path.stat().st_mtime)
            head.append(f"  {flow(name)}: {flow(f'{told} The file was last changed on {day}.')}")
    return head + [line for line in lines if line not in asked]


def _filled(export: Known, called: dict[str, Column], texts: dict[str, str]) -> Iterator[str]:
    """Yield the lines of a source with what its columns are called; what is missing or unusable becomes a question.

    Of several lines of one word the first counts whose columns are all there.
    """
    table, waiting, code = "", list[str](), guess.currency(list(called.values()))
    local = [each.name for each in called.values() if each.is_local]
    for start, group in groupby(export.source.splitlines(), lambda line: line.partition(":")[0]):
        word = start.strip()
        indent = start.removesuffix(word)
        options = [(line, [name for name in NAMED.findall(line) if name not in texts]) for line in group]
        line, missing = next((each for each in options if not each[1]), options[-1])
        table = word if len(indent) == 2 else table
        there = [called[name] for name in NAMED.findall(line) if name in called]
        if question := _question(export, table, word, missing, there):
            line = f"{indent}{word}: {flow(question)}"
        elif missing or (word == "zone" and "'?" in line and not local):
            continue
        elif word == "zone" and "'?" in line and all(re.search("(?i)utc|gmt", name) for name in local):
            line = "zone: UTC  # proposed: by the names of the columns"
        elif word == "currency" and "'?" in line and code:
            line = f"{indent}currency: {{constant: {code}}}  # proposed: by the sign of the amounts"
        line = _put(line, called, texts)
        waiting = [each for each in waiting if len(each) - len(each.lstrip()) < len(indent)]
        if line.endswith(":"):
            waiting.append(line)
        else:
            yield from [*waiting, line]
            waiting = []


def _put(line: str, called: dict[str, Column], texts: dict[str, str]) -> str:
    """Return a line with what its columns are called, and how cells are written where they are read as values."""

    def said(match: re.Match[str]) -> str:
        text, before = texts[match[1]], line[: match.start()]
        if match[1] not in called or not text.startswith("{column: "):
            return text
        is_key = called[match[1]].is_time and before.endswith(("[", ", "))
        if line[match.end() :].startswith(":") or is_key or "format: " in line:
            return flow(called[match[1]].name)
        return text[1:-1].removeprefix("column: ") if before.endswith("column: ") else text

    return NAMED.sub(said, line)


def _question(export: Known, table: str, word: str, missing: Sequence[str], there: Sequence[Column]) -> str:
    """Return what must be asked of one line of a source: of columns that are missing, or are no ids."""
    if missing and export.optional is not None and not set(missing) <= set(export.optional):
        return says("missing", missing[0])
    if missing and (word, table, export.optional) == ("member_id", "orders", None):
        return says("buyer")
    is_id = table in TABLES and word in TABLES[table] and TABLES[table][word].is_id
    for each in there if is_id else ():
        if each.kind == "lost" or (word == "member_id" and guess.is_weak(each)):
            return says("lost" if each.kind == "lost" else "weak", each.name)
    return ""
