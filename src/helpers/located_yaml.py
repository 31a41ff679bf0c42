"""YAML that people write, plans and mappings: every key and every value knows its line.

YAML reads some words as something else than they say. Nothing is taken for granted: ``yes`` and ``off`` are no truth
values, ``010`` and ``1:30`` are no numbers, no key may come twice, and nothing may be left empty.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from helpers.checks import LONGEST_TEXT, did_you_mean
from helpers.errors import BadParameters
from helpers.sentences import Verbatim, say, shortened

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
MOST_VALUES = 100_000
DEEPEST = 20
LONGEST_MISTAKE = 1_000
_TAG = "tag:yaml.org,2002:"
_NUMBER = re.compile(r"[-+]?(0|[1-9][0-9_]*)?(\.[0-9]*)?([eE][-+]?[0-9]+)?")


class Where(NamedTuple):
    """A place in a file, counted from 1; line 0 is the command line."""

    line: int
    column: int


COMMAND_LINE = Where(0, 0)


class Mistake(NamedTuple):
    """One thing to mend, and where."""

    where: Where
    text: str


class InvalidFile(BadParameters):
    """A file, or a command line, that cannot be used.

    Attributes
    ----------
    mistakes : tuple of Mistake
        All of them, in the order of the file.
    """

    def __init__(self, path: Path | None, mistakes: Collection[Mistake]) -> None:
        self.mistakes = tuple(sorted(set(mistakes)))
        lines = "".join(f"\n  {_place(path, m.where)}{m.text}" for m in self.mistakes)
        text = (
            "1 mistake, nothing was started:"
            if len(self.mistakes) == 1
            else "{n} mistakes, nothing was started:"
        )
        if path:
            text = "{path} cannot be used, 1 mistake, nothing was started:"
            if len(self.mistakes) > 1:
                text = "{path} cannot be used, {n} mistakes, nothing was started:"
        super().__init__(say(text, path=path, n=len(self.mistakes)) + lines)


def _place(path: Path | None, where: Where) -> str:
    if path is None:
        return ""
    return f"{say('command line')}: " if where == COMMAND_LINE else f"{path}:{where.line}:{where.column}: "


class Item(NamedTuple):
    """A value with its place."""

    value: Any
    where: Where


class Entry(NamedTuple):
    """A key and the node of its value."""

    where: Where
    node: yaml.Node


def where(node: yaml.Node | yaml.Event) -> Where:
    """Return where a node or an event begins."""
    assert node.start_mark
    return Where(node.start_mark.line + 1, node.start_mark.column + 1)


class Reader:
    """Reads the nodes of one file and collects every mistake on the way.

    Parameters
    ----------
    path : Path, optional
        The file; without one there is a command line to read.
    what : str
        What the file is, for messages.

    Attributes
    ----------
    mistakes : list of Mistake
        What has been found so far.

    Raises
    ------
    InvalidFile
        When the file is no YAML at all.
    BadParameters
        When there is no such file.
    """

    def __init__(self, path: Path | None = None, what: str = "plan") -> None:
        self.path, self.what = path, what
        self.mistakes: list[Mistake] = []
        self.root = self._compose(_text(path, what) if path else "{}")
        self._construct = yaml.SafeLoader("")

    def _compose(self, text: str) -> yaml.Node:
        try:
            if excess := _excess(text):
                raise InvalidFile(self.path, [excess])
            root = yaml.compose(text, Loader=_LOADER)
        except yaml.MarkedYAMLError as error:
            raise InvalidFile(self.path, [_mistake(error)]) from None
        except yaml.YAMLError as error:  # a character that YAML forbids
            raise InvalidFile(
                self.path, [Mistake(Where(1, 1), say("is no YAML: {error}", error=error))]
            ) from None
        if root is None:
            raise InvalidFile(
                self.path, [Mistake(Where(1, 1), say("the {what} is empty", what=say(self.what)))]
            )
        return root

    def say(self, place: Where, text: str) -> None:
        """Add a mistake."""
        self.mistakes.append(Mistake(place, shortened(text, LONGEST_MISTAKE)))

    def mapping(self, node: yaml.Node, known: Collection[str] | None, what: str) -> dict[str, Entry]:
        """Return the entries of a mapping; a repeated key, and one that is not `known`, is a mistake."""
        if not isinstance(node, yaml.MappingNode):
            self.say(where(node), say("{what} must be a mapping, one `name: value` on each line", what=what))
            return {}
        found: dict[str, Entry] = {}
        for key, value in node.value:
            name = key.value if isinstance(key, yaml.ScalarNode) else "?"
            if name in found:
                self.say(
                    where(key),
                    say(
                        '"{name}" is there twice, first in line {line}',
                        name=name,
                        line=found[name].where.line,
                    ),
                )
            elif known is not None and name not in known:
                hint, text = did_you_mean(name, known), 'unknown key "{name}" in {what}.{hint}'
                text += "" if hint else "\nKnown: {known}."
                self.say(where(key), say(text, name=name, what=what, hint=hint, known=", ".join(known)))
            else:
                found[name] = Entry(where(key), value)
        return found

    def items(self, node: yaml.Node, what: str) -> list[yaml.Node]:
        """Return the nodes of a list that is not empty."""
        if not isinstance(node, yaml.SequenceNode):
            self.say(where(node), say("{what} must be a list, such as [a, b]", what=what))
            return []
        if not node.value:
            self.say(where(node), say("{what} is an empty list, which makes no run", what=what))
        return list(node.value)

    def value(self, node: yaml.Node, what: str) -> Item | None:
        """Return the value of a node, or None after a mistake."""
        before = len(self.mistakes)
        for problem in self._problems(node, what, ()):
            self.mistakes.append(problem)
        if len(self.mistakes) > before:
            return None
        try:
            return Item(self._construct.construct_object(node, deep=True), where(node))
        except (yaml.YAMLError, ValueError, TypeError) as error:
            said = getattr(error, "problem", None) or str(error)
            self.say(where(node), say("{what} cannot be read: {said}", what=what, said=said))
            return None

    def get(self, entries: Mapping[str, Entry], name: str) -> Item | None:
        """Return the value under a key, or None when it is not there or after a mistake."""
        return self.value(entries[name].node, name) if name in entries else None

    def values(self, entries: Mapping[str, Entry]) -> dict[str, Item]:
        """Return the values of all keys, without those that are a mistake."""
        return {name: item for name in entries if (item := self.get(entries, name))}

    def _problems(self, node: yaml.Node, what: str, above: tuple[int, ...]) -> Iterator[Mistake]:
        if id(node) in above:
            yield Mistake(where(node), say("{what} holds itself", what=what))
        elif isinstance(node, yaml.ScalarNode):
            if problem := _scalar_problem(node, what):
                yield Mistake(where(node), problem)
        elif isinstance(node, yaml.MappingNode):
            for name, entry in self.mapping(node, None, what).items():
                yield from self._problems(entry.node, f"{what}[{name}]", (*above, id(node)))
        else:
            for position, part in enumerate(node.value):
                yield from self._problems(part, f"{what}[{position}]", (*above, id(node)))


def _text(path: Path, what: str) -> str:
    try:
        if path.exists() and not path.is_file():
            raise BadParameters(say("{what} {path} is no file", what=say(what), path=path))
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadParameters(
            say("{path} is no UTF-8 text: byte {start} cannot be read", path=path, start=error.start)
        ) from None
    except OSError as error:
        there = [other.name for other in path.parent.glob("*.y*ml")] if path.parent.is_dir() else []
        reason = f"{error.strerror}.{did_you_mean(path.name, there)}"
        raise BadParameters(
            say("{what} {path} cannot be read: {reason}", what=say(what), path=path, reason=reason)
        ) from None


def _mistake(error: yaml.MarkedYAMLError) -> Mistake:
    mark = error.problem_mark or error.context_mark
    place = Where(mark.line + 1, mark.column + 1) if mark else Where(1, 1)
    problem = " ".join(filter(None, (error.context, error.problem)))
    return Mistake(place, say("is no YAML: {error}", error=problem))


def _scalar_problem(node: yaml.ScalarNode, what: str) -> str:
    """Say what is wrong with a word that YAML reads as something else than it looks like."""
    kind, value, text = node.tag.removeprefix(_TAG), node.value, ""
    if kind == "null":
        text = "{what} has no value"
    elif kind == "bool" and value.lower() not in ("true", "false"):
        text = '{what} is {value}, which YAML takes for a truth value: write true or false, or "{value}" in quotes'
    elif (
        kind in ("int", "float")
        and not _NUMBER.fullmatch(value)
        and "inf" not in value
        and "nan" not in value.lower()
    ):
        text = (
            '{what} is {value}, which YAML takes for another number: write it plainly, or "{value}" in quotes'
        )
    elif kind == "timestamp" and len(value) != len("2026-06-30"):
        text = '{what} is {value}: write a day such as 2026-06-30, or "{value}" in quotes'
    return say(text, what=what, value=Verbatim(value)) if text else ""


def _excess(text: str) -> Mistake | None:
    """Return what in a text is small to write and large to read, such as aliases of aliases, before it is read."""
    named: dict[str | None, tuple[int, int]] = {}  # anchor: number of values and depth
    above: list[tuple[str | None, int, int]] = [(None, 0, 0)]
    for event in yaml.parse(text, Loader=_LOADER):
        count, depth, says = 1, 0, ""
        if isinstance(event, yaml.CollectionStartEvent):
            above.append((event.anchor, 1, 0))
            count = 0
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, count, depth = above.pop()
            named[anchor] = count, depth
        elif isinstance(event, yaml.AliasEvent):
            count, depth = named.get(event.anchor, (1, 0))
        elif not isinstance(event, yaml.ScalarEvent):
            continue
        elif len(event.value) > LONGEST_TEXT:
            says = say("holds more than {most:,} characters", most=LONGEST_TEXT)
        anchor, values, deepest = above[-1]
        above[-1] = anchor, values + count, max(deepest, depth + 1)
        if above[-1][1] > MOST_VALUES:
            says = say("makes more than {most:,} values, aliases written out", most=MOST_VALUES)
        if len(above) + above[-1][2] > DEEPEST + 2:
            says = say("is nested deeper than {most} levels", most=DEEPEST)
        if says:
            return Mistake(where(event), says)
    return None
