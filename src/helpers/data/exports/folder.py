"""A folder with a mapping: which of its files are read through it, and which tables they become."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from helpers.checks import did_you_mean
from helpers.data.address import Address
from helpers.data.layout import Layout, layout
from helpers.errors import BadData
from helpers.sentences import say

if TYPE_CHECKING:
    from helpers.data.exports.mapping import Mapping, Source

IDENTITIES = "identities"


class Folder(NamedTuple):
    """The tables that lie in a folder as such, its mapping, and the files behind each table of the mapping."""

    layout: Layout
    mapping: Mapping | None
    parts: dict[str, list[Path]]


def look(place: Address) -> Folder:
    """Return what lies in a folder; without a mapping, its tables.

    Raises
    ------
    InvalidFile, BadParameters
        When the mapping is wrong, or not there.
    BadData
        When a file that it names is not there, or a table is there both ways.
    """
    assert place.path is not None
    if place.mapping is None:
        return Folder(layout(place.path), None, {})
    from helpers.data.exports.mapping import Mapping  # late: it loads the query engine

    mapping = Mapping.read(place.mapping)
    files = {source.name: files_of(place.path, source) for source in mapping.sources}
    taken = {place.mapping, *(path for each in files.values() for path in each)}
    plain = layout(place.path, taken)
    feeding: dict[str, list[Path]] = {}
    for source in mapping.sources:
        for name in dict.fromkeys(target.table for target in source.tables):
            feeding[name] = [*feeding.get(name, []), *files[source.name]]
    if twice := plain.files.keys() & feeding.keys():
        text = "{path}: {tables} lies there and is fed by {mapping}: keep one of them."
        tables = ", ".join(sorted(twice))
        raise BadData(say(text, path=place.path, tables=tables, mapping=place.mapping.name))
    if IDENTITIES in with_identities(mapping, feeding.keys() - {IDENTITIES}):
        known = feeding.get(IDENTITIES) or plain.files.get(IDENTITIES, [])
        feeding = {name: [*parts, *known] for name, parts in feeding.items()}
    return Folder(plain, mapping, feeding)


def files_of(folder: Path, source: Source) -> list[Path]:
    """Return the files of a source; a pattern that matches none is BadData."""
    found: dict[Path, None] = {}
    for pattern in source.files:
        there = sorted(path for path in folder.glob(pattern) if path.is_file())
        if not there:
            hint = did_you_mean(pattern, [path.name for path in folder.iterdir()])
            raise BadData(
                say(
                    "source {source}: there is no file {pattern} in {folder}.{hint}",
                    source=source.name,
                    pattern=pattern,
                    folder=folder,
                    hint=hint,
                )
            )
        found |= dict.fromkeys(there)
    return list(found)


def with_identities(mapping: Mapping, wanted: Collection[str]) -> set[str]:
    """Return the tables that are wanted, with the identities among which ids of one of them are looked up."""
    targets = (target for source in mapping.sources for target in source.tables if target.table in wanted)
    sought = any(value.identity for target in targets for value in target.columns.values())
    return {*wanted, IDENTITIES} if sought else set(wanted)
