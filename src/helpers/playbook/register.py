"""The register of actions: what was proposed, decided and checked, in a file beside the reports that only grows.

``actions.jsonl`` holds one event a line. What reports propose needs none: it is read from their ``actions.json`` and
expires when its check date passes. The first decision writes a snapshot of it, so that reports may be pruned.
"""

from __future__ import annotations

import datetime as dt
import fcntl
import hashlib
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from helpers.checks import did_you_mean
from helpers.errors import BadData, BadParameters
from helpers.playbook.finding import Direction
from helpers.sentences import say

if TYPE_CHECKING:
    import pandas as pd

    from helpers.playbook.earlier import EarlierReports

FILE = "actions.jsonl"
State = Literal["proposed", "accepted", "rejected", "expired", "closed"]
Decision = Literal["accepted", "rejected", "closed"]
FROM: dict[Decision, tuple[State, ...]] = {
    "accepted": ("proposed",),
    "rejected": ("proposed",),
    "closed": ("accepted",),
}
"""The states that a decision may be about."""
PERSONAL = re.compile(r"\S+@\S+|\d{6}|://|\b(?=\w*\d)(?=\w*[A-Za-z])\w{16,}")
"""Addresses, numbers of people and keys, none of which anybody needs to say who decides or why."""


class Entry(BaseModel):
    """An action and what became of it; `metric` and all that follows is fixed when it is accepted.

    Attributes
    ----------
    id : str
        Series, action and the day it was proposed: ``retention/all/retention.cap_pushes@2026-06-30``.
    created : date
        Day of the report that proposed it.
    decided : date or None
        Day of the last decision, with `who` and `why`.
    check_on : date
        Last day of the weeks that are compared with the baseline.
    metric : str
        Weekly metric that will tell, or ``series#finding``.
    control : str
        Scope of the same metric that the action does not touch; empty for none.
    baseline : tuple of (date, float)
        Mondays and values of the eight weeks before the week that led to the action.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(min_length=1)
    title: str
    created: dt.date
    check_on: dt.date
    state: State = "proposed"
    owner: str = ""
    expected_value: float | None = None
    low: float | None = None
    high: float | None = None
    unit: str = ""
    confidence_class: str = "rule"
    call: str = "do"
    decided: dt.date | None = None
    who: str = Field(default="", max_length=80)
    why: str = Field(default="", max_length=500)
    due: dt.date | None = None
    metric: str = ""
    scope: str = ""
    control: str = ""
    direction: Direction = "neither"
    definition: str = ""
    accepted: dt.date | None = None
    baseline: tuple[tuple[dt.date, float], ...] = ()

    @property
    def action(self) -> str:
        """Series and action without the day."""
        return self.id.partition("@")[0]


class Register(NamedTuple):
    """All actions known on a day, and the digest of the events behind them for the key of a run that reads them."""

    entries: tuple[Entry, ...]
    digest: str

    @classmethod
    def read(cls, reports: EarlierReports, actions_table: pd.DataFrame | None = None) -> Register:
        """Return the register as it stood at the end of the day of `reports`, newest first.

        Rows of the table ``actions`` of the data override what the file says of the same id.

        Raises
        ------
        BadData
            When a line of the file, or a row of the table, cannot be read; the message names it.
        """
        decided, digest = _replay(reports.folder / FILE, reports.as_of)
        found = decided | {one.id: one for one in proposed(reports, decided)}
        if actions_table is not None:
            found |= {one.id: one for one in _overridden(found, actions_table)}
        entries = sorted(found.values(), key=lambda one: (one.created, one.id), reverse=True)
        return cls(tuple(_expired(one, reports.as_of) for one in entries), digest)

    def of(self, *states: State) -> tuple[Entry, ...]:
        """Return the entries in one of these states."""
        return tuple(entry for entry in self.entries if entry.state in states)

    def find(self, name: str) -> Entry:
        """Return the entry of an id, or the newest of an action named without its day or its series."""
        for one in self.entries:
            if name in (one.id, one.action, one.action.rpartition("/")[2]):
                return one
        near = did_you_mean(name, [one.id for one in self.entries])
        raise BadParameters(say("action == {name!r}, is not in the register.{near}", name=name, near=near))


def decide(
    reports: EarlierReports, name: str, decision: Decision, who: str, why: str = "", **fixed: Any
) -> Entry:
    """Write a decision into the register, with what it fixes; two who write at once do so one after the other.

    Raises
    ------
    BadParameters
        When there is no such action, it is in another state, or the words name a person or a key.
    BadData
        When the file is damaged; nothing is added to it then.
    """
    for label, text in (("who", who), ("why", why)):
        if PERSONAL.search(text):
            raise BadParameters(
                say(
                    "{label} == {text!r}, must name a role or a reason: no number, address or key "
                    "(120,000 for 120000).",
                    label=label,
                    text=text,
                )
            )
    reports.folder.mkdir(parents=True, exist_ok=True)
    with (reports.folder / FILE).open("a+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # until it is closed
        entry = Register.read(reports).find(name)
        if entry.state not in FROM[decision]:
            raise BadParameters(
                say(
                    "action == {id!r} is {state} since {day}, must be {states}.",
                    id=entry.id,
                    state=entry.state,
                    day=entry.decided or entry.check_on,
                    states=" or ".join(FROM[decision]),
                )
            )
        now = dt.datetime.now().astimezone()
        common = {"id": entry.id, "at": now.isoformat(timespec="seconds"), "who": who}
        lines: list[dict[str, Any]] = [{"event": decision, **common, "why": why, **fixed}]
        if entry.decided is None:
            shot = entry.model_dump(mode="json", exclude_defaults=True, exclude={"id", "state"})
            lines.insert(0, {"event": "proposed", **common, **shot})
        changed = _after(entry, lines[-1])
        text = "".join(json.dumps(line, ensure_ascii=False, default=str) + "\n" for line in lines)
        file.seek(0)
        whole = file.read()
        file.write(b"\n" * bool(whole and not whole.endswith(b"\n")) + text.encode())
        file.flush()
        os.fsync(file.fileno())
    return changed


def _replay(path: Path, as_of: dt.date) -> tuple[dict[str, Entry], str]:
    """Return the entries by id after the events up to a day, and the digest of those events."""
    found: dict[str, Entry] = {}
    digest = hashlib.sha256()
    for number, line in enumerate(path.read_bytes().splitlines() if path.is_file() else (), 1):
        try:
            event = json.loads(line)
            if dt.datetime.fromisoformat(event["at"]).date() > as_of:
                continue
            found[event["id"]] = _after(found.get(event["id"]), event)
        except (ValueError, KeyError, TypeError) as error:
            what = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
            raise BadData(
                say(
                    "{path}, line {number}: cannot be read ({what}). Mend or remove that line; nothing is "
                    "written to the register until then.",
                    path=path.name,
                    number=number,
                    what=what,
                )
            ) from None
        digest.update(line)
    return found, digest.hexdigest()[:16]


def digest(reports: Path, as_of: dt.date) -> str:
    """Return the digest of the events up to a day; of a damaged file that of all of it, so that mending it counts."""
    try:
        return _replay(reports / FILE, as_of)[1]
    except BadData:
        return hashlib.sha256((reports / FILE).read_bytes()).hexdigest()[:16]


def _after(entry: Entry | None, event: dict[str, Any]) -> Entry:
    """Return an entry after an event, whose further fields override those of the entry."""
    known = entry.model_dump(mode="json") if entry else {}
    named = {key: value for key, value in event.items() if key not in ("event", "at")}
    if event["event"] == "proposed":
        return Entry.model_validate(known | named | {"who": ""})
    day = dt.datetime.fromisoformat(event["at"]).date()
    days = {"decided": day} | ({"accepted": day} if event["event"] == "accepted" else {})
    return Entry.model_validate(known | named | days | {"state": event["event"]})


def proposed(reports: EarlierReports, decided: dict[str, Entry]) -> Iterator[Entry]:
    """Yield what reports propose: the newest of each action, unless one like it is being done or was just refused."""
    standing = {
        one.action
        for one in decided.values()
        if one.state == "accepted" or (one.state == "rejected" and one.check_on >= reports.as_of)
    }
    for series in reports.series:
        # The review tells actions of other reports again, under their names; what is to be left alone needs nobody.
        own = f"{series.partition('/')[0]}."
        newest = {
            action.id: (one.as_of, action)
            for one in reports.versions(series)
            for action in one.actions
            if action.id.startswith(own) and action.call != "leave"
        }
        for name, (day, action) in newest.items():
            entry = Entry(
                id=f"{series}/{name}@{day}",
                title=action.title,
                created=day,
                check_on=day + dt.timedelta(days=action.check_after_days),
                owner=action.owner_role,
                **{key: getattr(action, key) for key in SNAPSHOT},
                metric=f"{series}#{action.finding_ids[0]}",
            )
            if entry.action not in standing and entry.id not in decided:
                yield entry


SNAPSHOT = ("expected_value", "low", "high", "unit", "confidence_class", "call")


def _overridden(found: dict[str, Entry], table: pd.DataFrame) -> Iterator[Entry]:
    """Yield the entries of the table of actions, over what is known of them."""
    names = {"action_id": "id", "status": "state", "ev_low": "low", "ev_high": "high", "due": "due"}
    names |= {name: name for name in ("created", "owner", "expected_value", "metric", "check_on")}
    for row in table.to_dict("records"):
        said = {
            new: row[old]
            for old, new in names.items()
            if old in row and row[old] is not None and row[old] == row[old]
        }
        said["state"] = str(said.get("state", "proposed")).lower()
        known = found.get(said["id"])
        base = known.model_dump() if known else {"title": row.get("source_finding") or said["id"]}
        if said["state"] not in get_args(State):
            raise BadData(
                say(
                    'actions: status == "{state}" of {id}, must be one of {states}.',
                    state=said["state"], id=said["id"], states=", ".join(get_args(State)),
                )
            )  # fmt: skip
        if said["state"] in ("accepted", "closed") and not base.get("accepted"):
            base["accepted"] = base["decided"] = said["created"]
        base.setdefault("check_on", said["created"] + dt.timedelta(days=28))
        yield Entry.model_validate(base | said)


def _expired(entry: Entry, as_of: dt.date) -> Entry:
    late = entry.state == "proposed" and entry.check_on < as_of
    return entry.model_copy(update={"state": "expired"}) if late else entry
