"""Known exports, told by the names of their columns, in whichever order and language these come.

Each is one file of ``known/``: the names that no other export has together, what the same column is called elsewhere,
where to click, what is missing, and the source of a mapping as `helpers.data.exports.mapping` reads it. A further
export needs such a file alone.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from importlib.resources import files

import yaml

from helpers.data.exports.files import clean

# Share of its names from which on an export is proposed though some are missing.
NEAR = 0.7
# A column in the source of an export.
NAMED = re.compile(r"<([^<>]+)>")
# A unit behind the name of a column: ``金额(元)``, ``Amount spent (USD)``.
UNIT = re.compile(r"\s*\(([A-Z]{3}|[元件次秒个])\)$")


@dataclass(frozen=True)
class Known:
    """A known export.

    Attributes
    ----------
    name : str
        Of its file.
    title, click, comes, missing, evidence : str
        For readers: what it is, where it is made, its rows, what it lacks, and how its form is known.
    signature : sequence of str
        Names that no other export has together.
    source : str
        A source of a mapping, as YAML, with the names of columns in brackets: ``paid_at: <Paid at>``; empty when
        no report needs anything of it.
    also : mapping of str to list of str
        What a column is called in other languages and versions.
    optional : sequence of str, or None
        Names that may be missing without a question; None where any may.
    exact : str
        Given when an export with further columns is another one.
    unsafe : str
        Given when it has no buyer that could be told from another.
    verified : str
        ``false`` when its form is general knowledge, seen neither in a parser nor in documentation.
    """

    name: str
    title: str
    source: str
    signature: Sequence[str] = ()
    click: str = ""
    comes: str = ""
    missing: str = ""
    evidence: str = ""
    also: Mapping[str, list[str]] = field(default_factory=dict)
    optional: Sequence[str] | None = ()
    exact: str = ""
    unsafe: str = ""
    verified: str = ""

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Every column that it is known by or mapped from."""
        return tuple(dict.fromkeys((*self.signature, *NAMED.findall(self.source))))

    def found(self, header: Collection[str]) -> dict[str, str]:
        """Return what its columns are called in a header, as far as they are there."""
        there = {alike(UNIT.sub("", clean(name))): name for name in header}
        there |= {alike(name): name for name in header}
        called = {name: map(alike, (name, *self.also.get(name, ()))) for name in self.names}
        hits = {name: [there[each] for each in words if each in there] for name, words in called.items()}
        return {name: each[0] for name, each in hits.items() if each}


@lru_cache(1 << 14)
def alike(name: str) -> str:
    """Return a column name as two of them are compared."""
    return clean(name).casefold()


@lru_cache
def known() -> tuple[Known, ...]:
    """Return every known export, by name."""
    places = sorted((files("helpers.data.exports") / "known").iterdir(), key=lambda each: each.name)
    texts = {each.name.removesuffix(".yml"): each.read_text("utf-8") for each in places}
    return tuple(Known(name, **yaml.load(text, yaml.BaseLoader)) for name, text in texts.items())


def recognise(header: Collection[str]) -> tuple[Known, dict[str, str]] | None:
    """Return the known export with most of its names in a header, and what these are called there.

    All names of its signature must be there, or most of all its names. None when there is no such export.
    """
    candidates = []
    for each in known():
        found = each.found(header)
        whole = set(each.signature) <= found.keys() and not (each.exact and len(header) > len(found))
        if whole or (each.source and not each.exact and len(found) >= NEAR * len(each.names)):
            candidates.append(((whole, len(found)), each, found))
    return max(candidates, key=lambda each: each[0])[1:] if candidates else None
