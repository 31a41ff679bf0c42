"""Why two versions can differ: what changed in data, parameters, code and environment, and the class of cause."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from helpers.report.diff.words import amount, word
from helpers.report.page.wording import joined
from helpers.report.publish.manifest import Manifest, TableFingerprint

Cause = Literal["data", "parameters", "code", "environment"]
QUESTION = frozenset({"as_of", "segment"})
"""Parameters that ask the same of another day or group, so that a difference may be chance.

Others, such as the length of a window, choose other rows of the tables too; but they ask something else, and a
difference between two questions is no change of the community, whatever its interval.
"""
_SHOWS = ("helpers.report", "helpers.cli")  # code that computes nothing that a report states
_EQUALS = re.compile(r"""\s*(\w+)\s*==\s*(?:"([^"]*)"|'([^']*)')\s*""")
SHORT_HASH = 12
NAMED = 3


class Change(NamedTuple):
    """One thing with its state before and after; None where it was not there."""

    name: str
    before: str | None
    after: str | None


class TableChange(NamedTuple):
    """An input table whose content changed.

    Attributes
    ----------
    name : str
        The table.
    before, after : TableFingerprint or None
        Rows and hash; None where the table was not there.
    """

    name: str
    before: TableFingerprint | None
    after: TableFingerprint | None

    @property
    def gained(self) -> int | None:
        """Rows gained; None when one of the counts is not known."""
        rows = [0 if side is None else side.rows for side in (self.before, self.after)]
        return None if rows[0] is None or rows[1] is None else rows[1] - rows[0]

    @property
    def phrase(self) -> str:
        """What happened to the table, such as ``orders +812 rows``."""
        if self.before is None or self.after is None:
            return word("table_added" if self.before is None else "table_removed", name=self.name)
        if not self.gained:
            return word("table_content", name=self.name)
        return word("table_rows", name=self.name, rows=amount(self.gained, "rows"))


@dataclass(frozen=True)
class Causes:
    """Everything recorded that differs between two versions and could make their numbers differ.

    Attributes
    ----------
    tables : list of TableChange
        Input tables by name; the address of the data is no cause, only its content is.
    tables_same : int
        Input tables with the same content on both sides.
    parameters, code, environment : list of Change
        By name. A parameter that only one side knows comes with the code that added or dropped it.
    address : Change or None
        Where the data lie, when that changed.
    disjoint : bool
        Whether no member can belong to both versions, as far as that is recorded.
    """

    tables: list[TableChange]
    tables_same: int
    parameters: list[Change]
    code: list[Change]
    environment: list[Change]
    address: Change | None
    disjoint: bool = False

    @property
    def classes(self) -> list[Cause]:
        """The classes of cause that apply; none when the versions have the same inputs."""
        own = [c for c in self.parameters if not self.code or (c.before is not None and c.after is not None)]
        found: dict[Cause, Any] = {
            "data": self.tables,
            "parameters": own,
            "code": self.code,
            "environment": self.environment,
        }
        return [name for name, changes in found.items() if changes]

    @property
    def resampled(self) -> bool:
        """Whether the same was asked of other data, another day or another group, so that chance plays its part."""
        return bool(self.tables) or any(change.name in QUESTION for change in self.parameters)

    @property
    def redefined(self) -> list[Cause]:
        """The causes by which a score, a tier or a period of one name may mean other things on the two sides."""
        own = {change.name for change in self.parameters} - QUESTION - {"seed"}
        code = [change for change in self.code if not change.name.startswith(_SHOWS)]
        found: list[tuple[Cause, Any]] = [("parameters", own), ("code", code)]
        return [name for name, changes in found if changes]

    @property
    def only_seed(self) -> bool:
        """Whether nothing but the seed of the random numbers changed."""
        return self.classes == ["parameters"] and {change.name for change in self.parameters} == {"seed"}

    @property
    def title(self) -> str:
        """The class of cause in a word or two: ``data``, ``several: data and code``, ``none: identical inputs``."""
        names = [word(f"cause_{name}") for name in self.classes]
        if len(names) > 1:
            return word("cause_several", causes=joined(names))
        return names[0] if names else word("cause_none")

    @property
    def sentence(self) -> str:
        """What changed, with the largest changes named."""
        listed = {
            "data": [change.phrase for change in _largest(self.tables)],
            "parameters": [phrase(change) for change in self.parameters],
            "code": [change.name for change in self.code],
            "environment": [phrase(change) for change in self.environment],
        }
        parts = [word(f"changed_{name}", what=_few(listed[name])) for name in self.classes]
        return joined(parts) if parts else word("changed_nothing")


def causes(before: Manifest, after: Manifest) -> Causes:
    """Compare what two manifests say of their inputs."""
    old, new = before.data.tables, after.data.tables
    names = sorted(old.keys() | new.keys())
    tables = [TableChange(n, old.get(n), new.get(n)) for n in names if _content(old, n) != _content(new, n)]
    parameters = _changes(_shown(before.parameters), _shown(after.parameters))
    address = Change("data", before.data.url, after.data.url) if before.data.url != after.data.url else None
    return Causes(
        tables=tables,
        tables_same=len(names) - len(tables),
        parameters=[change for change in parameters if change.name != "data"],
        code=_changes(_sources(before), _sources(after)),
        environment=_changes(_environment(before), _environment(after)),
        address=address,
        disjoint=disjoint(before, after),
    )


def disjoint(before: Manifest, after: Manifest) -> bool:
    """Tell whether no member can be on both sides: one table of members, and one of its columns another value.

    Anything else, such as two exports, two days, or a segment that is not ``column == "value"``, may share members.
    """
    one, other = (_EQUALS.fullmatch(str(side.parameters.get("segment") or "")) for side in (before, after))
    members = [side.data.tables.get("members") for side in (before, after)]
    if not one or not other or members[0] is None or members[0] != members[1]:
        return False
    return one[1] == other[1] and (one[2] or one[3]) != (other[2] or other[3])


def phrase(change: Change) -> str:
    """Return a change in a few words: ``as_of 2026-05-31 → 2026-06-30``."""
    if change.before is None or change.after is None:
        return word("only_after" if change.before is None else "only_before", name=change.name)
    return word("from_to", name=change.name, before=change.before or "“”", after=change.after or "“”")


def _content(tables: Mapping[str, TableFingerprint], name: str) -> str | None:
    return tables[name].sha256 if name in tables else None


def _changes(before: Mapping[str, str], after: Mapping[str, str]) -> list[Change]:
    names = sorted(before.keys() | after.keys())
    pairs = [Change(name, before.get(name), after.get(name)) for name in names]
    return [change for change in pairs if change.before != change.after]


def _shown(parameters: Mapping[str, Any]) -> dict[str, str]:
    return {
        name: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)
        for name, value in parameters.items()
    }


def _sources(manifest: Manifest) -> dict[str, str]:
    """Return the hash of the notebook and of each module of the package that it imports."""
    parts = {f"{manifest.notebook}.ipynb": manifest.code.notebook_sha256, **manifest.code.modules}
    return {name: digest[:SHORT_HASH] for name, digest in parts.items()}


def _environment(manifest: Manifest) -> dict[str, str]:
    lock = {"requirements.lock": manifest.code.lock_sha256[:SHORT_HASH]} if manifest.code.lock_sha256 else {}
    return {"python": manifest.python, **manifest.packages, **lock}


def _largest(tables: list[TableChange]) -> list[TableChange]:
    return sorted(tables, key=lambda change: (-_relative(change), change.name))


def _relative(change: TableChange) -> float:
    """Return the gain relative to the size; a table that came or went is the largest change there is."""
    if change.before is None or change.after is None:
        return float("inf")
    return abs(change.gained or 0) / max(change.before.rows or 1, 1)


def _few(parts: list[str]) -> str:
    more = [word("and_more", number=len(parts) - NAMED)] if len(parts) > NAMED else []
    return ", ".join(parts[:NAMED] + more)
