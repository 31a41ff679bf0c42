"""Why two versions can differ: what changed in data, parameters, code and environment, and the class of cause."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

from helpers.report.page.wording import amount, joined, rows
from helpers.report.publish.manifest import Manifest, TableFingerprint
from helpers.sentences import say

Cause = Literal["data", "parameters", "code", "environment"]
CHANGED: Mapping[Cause, str] = {
    "data": "the data changed ({what})",
    "parameters": "the parameters changed ({what})",
    "code": "the code changed ({what})",
    "environment": "the environment changed ({what})",
}
QUESTION = frozenset({"as_of", "segment"})
"""Parameters that ask the same of another day or group, so that a difference may be chance.

Others, such as the length of a window, choose other rows of the tables too; but they ask something else, and a
difference between two questions is no change of the community, whatever its interval.
"""
_EQUALS = re.compile(r"""\s*(\w+)\s*==\s*(?:"([^"]*)"|'([^']*)')\s*""")
SHORT_HASH = 12
NAMED = 3


class Change(NamedTuple):
    """One thing that the results depend on and that is not the same on both sides.

    Attributes
    ----------
    cause : str
        The class of cause it belongs to.
    name : str
        A table, a parameter, a source or a package.
    before, after : str or None
        Its state; None where it was not there.
    phrase : str
        What happened, in a few words: ``orders +812 rows``.
    """

    cause: Cause
    name: str
    before: str | None
    after: str | None
    phrase: str


@dataclass(frozen=True)
class Causes:
    """Everything recorded that differs between two versions and could make their numbers differ.

    Attributes
    ----------
    changes : list of Change
        Tables, the largest change first, then parameters, code and environment by name. The address of the data is
        no cause, only its content is.
    disjoint : bool
        Whether no member can belong to both versions, as far as that is recorded.
    """

    changes: list[Change]
    disjoint: bool = False

    def of(self, cause: Cause) -> list[Change]:
        """Return the changes of one class."""
        return [change for change in self.changes if change.cause == cause]

    @property
    def classes(self) -> list[Cause]:
        """The classes of cause that apply; none when the versions have the same inputs.

        A parameter that only one side knows comes with the code that added or dropped it.
        """
        found = [name for name in CHANGED if self.of(name)]
        own = [change for change in self.of("parameters") if None not in (change.before, change.after)]
        return [name for name in found if name != "parameters" or own or "code" not in found]

    @property
    def resampled(self) -> bool:
        """Whether the same was asked of other data, another day or another group, so that chance plays its part."""
        return bool(self.of("data")) or any(change.name in QUESTION for change in self.of("parameters"))

    @property
    def only_seed(self) -> bool:
        """Whether nothing but the seed of the random numbers changed."""
        return [(change.cause, change.name) for change in self.changes] == [("parameters", "seed")]

    @property
    def words(self) -> str:
        """The classes of cause as a list in a sentence: ``data and code``."""
        return joined([say(name) for name in self.classes])

    @property
    def title(self) -> str:
        """The class of cause in a word or two: ``data``, ``several: data and code``, ``none: identical inputs``."""
        if len(self.classes) > 1:
            return say("several: {causes}", causes=self.words)
        return self.words or say("none: identical inputs")

    @property
    def sentence(self) -> str:
        """What changed, with the largest changes named."""
        if not self.classes:
            return say("data, parameters, code and environment are identical")
        return joined([say(CHANGED[name], what=self._few(name)) for name in self.classes])

    def _few(self, cause: Cause) -> str:
        phrases = [change.phrase for change in self.of(cause)]
        more = [say("{number} more", number=len(phrases) - NAMED)] if len(phrases) > NAMED else []
        return ", ".join(phrases[:NAMED] + more)


def causes(before: Manifest, after: Manifest) -> Causes:
    """Compare what two manifests say of their inputs."""
    return Causes(
        [
            *_tables(before.data.tables, after.data.tables),
            *_changes("parameters", _parameters(before), _parameters(after)),
            *_changes("code", _sources(before), _sources(after)),
            *_changes("environment", _environment(before), _environment(after)),
        ],
        _disjoint(before, after),
    )


def _tables(old: Mapping[str, TableFingerprint], new: Mapping[str, TableFingerprint]) -> list[Change]:
    """Return the tables whose content differs, by rows gained relative to their size; those on one side first."""
    found = []
    for name in sorted(old.keys() | new.keys()):
        before, after = old.get(name), new.get(name)
        if before is None or after is None:
            template = "{name} added" if before is None else "{name} removed"
            size, phrase = float("inf"), say(template, name=name)
        elif before.sha256 == after.sha256:
            continue
        else:
            gained = 0 if before.rows is None or after.rows is None else after.rows - before.rows
            size = abs(gained) / max(before.rows or 1, 1)
            phrase = f"{name} {amount(gained, 'rows')}" if gained else say("{name}: other content", name=name)
        found.append((size, Change("data", name, _told(before), _told(after), phrase)))
    return [change for _, change in sorted(found, key=lambda one: -one[0])]


def _told(table: TableFingerprint | None) -> str | None:
    """Return size and short content hash of a table."""
    if table is None:
        return None
    count = say("rows not counted") if table.rows is None else rows(table.rows)
    return f"{count} ({table.sha256[:SHORT_HASH]})"


def _changes(cause: Cause, before: Mapping[str, str], after: Mapping[str, str]) -> list[Change]:
    names = sorted(before.keys() | after.keys())
    pairs = [(name, before.get(name), after.get(name)) for name in names]
    return [Change(cause, *pair, _phrase(cause, *pair)) for pair in pairs if pair[1] != pair[2]]


def _phrase(cause: Cause, name: str, before: str | None, after: str | None) -> str:
    """Return a change in a few words: ``as_of 2026-05-31 → 2026-06-30``; of a source its name says enough."""
    if cause == "code":
        return name
    if before is None or after is None:
        return say("{name} new" if before is None else "{name} gone", name=name)
    return f"{name} {before or '“”'} → {after or '“”'}"


def _parameters(manifest: Manifest) -> dict[str, str]:
    return {
        name: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)
        for name, value in manifest.parameters.items()
        if name != "data"
    }


def _sources(manifest: Manifest) -> dict[str, str]:
    """Return the hash of the notebook and of each module of the package that it imports."""
    parts = {f"{manifest.notebook}.ipynb": manifest.code.notebook_sha256, **manifest.code.modules}
    return {name: digest[:SHORT_HASH] for name, digest in parts.items()}


def _environment(manifest: Manifest) -> dict[str, str]:
    lock = {"requirements.lock": manifest.code.lock_sha256[:SHORT_HASH]} if manifest.code.lock_sha256 else {}
    return {"python": manifest.python, **manifest.packages, **lock}


def _disjoint(before: Manifest, after: Manifest) -> bool:
    """Tell whether no member can be on both sides: one table of members, and one of its columns another value.

    Anything else, such as two exports, two days, or a segment that is not ``column == "value"``, may share members.
    """
    one, other = (_EQUALS.fullmatch(str(side.parameters.get("segment") or "")) for side in (before, after))
    members = [side.data.tables.get("members") for side in (before, after)]
    if not one or not other or members[0] is None or members[0] != members[1]:
        return False
    return one[1] == other[1] and (one[2] or one[3]) != (other[2] or other[3])
