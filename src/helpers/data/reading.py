"""What is found at a place, and how its times are declared to be written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import ibis
import ibis.expr.types as ir
import pandas as pd

from helpers.checks import did_you_mean
from helpers.data.cells import ADVICE, EPOCH_MICROSECONDS, LOCAL
from helpers.data.clock import from_local, zone
from helpers.data.tables import TABLES
from helpers.data.violation import Violation
from helpers.errors import BadParameters
from helpers.sentences import say

OPTIONS = ("local_tz", "epoch", "mapping", "beside")
# Column of members who came through a mapping without a time of joining: true, and first seen stands for joined.
FIRST_SEEN = "joined_when_first_seen"


@dataclass
class Found:
    """Tables as they were found, with what there is to say about them; through a mapping, the account of its rows."""

    tables: dict[str, ir.Table]
    violations: list[Violation] = field(default_factory=list)
    unrecognised: tuple[str, ...] = ()
    notes: list[str] = field(default_factory=list)
    account: pd.DataFrame | None = None


@dataclass(frozen=True)
class Options:
    """How times are written where they do not say it themselves.

    Attributes
    ----------
    local_tz : str or None
        Zone of times without one.
    epoch : mapping of str to str
        From ``table.column`` to the unit of a number since 1970.
    """

    local_tz: str | None = None
    epoch: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, written: Mapping[str, str], local_tz: str | None, epoch: Mapping[str, str] | None) -> Options:
        """Join options of an address with arguments, which win, and check them."""
        for name in written:
            if name not in OPTIONS:
                hint = did_you_mean(name, OPTIONS)
                text = "{name} is no option of a folder; options are {known}.{hint}"
                raise BadParameters(say(text, name=name, known=", ".join(OPTIONS), hint=hint))
        pairs = [part.partition(":") for part in written.get("epoch", "").split(",") if part]
        units = {column: unit for column, _, unit in pairs} | dict(epoch or {})
        for column, unit in units.items():
            table, _, name = column.partition(".")
            if table not in TABLES or name not in TABLES[table] or TABLES[table][name].type != "timestamp":
                text = "epoch names {column!r}, must be a timestamp column such as 'events.ts'."
                raise BadParameters(say(text, column=column))
            if unit not in EPOCH_MICROSECONDS:
                raise BadParameters(
                    say(
                        "epoch[{column!r}] == {unit!r}, must be one of 's', 'ms', 'us'.",
                        column=column,
                        unit=unit,
                    )
                )
        place = local_tz or written.get("local_tz")
        return cls(zone(place, "local_tz").key if place else None, units)

    def zoned(self, found: Found) -> Found:
        """Read times of a database that have no zone as wall-clock times of the declared one; it must be declared."""
        for name, table in found.tables.items():
            kinds = table.schema().items()
            bare = [column for column, kind in kinds if kind.is_timestamp() and kind.timezone is None]
            if bare and self.local_tz:
                read = {column: from_local(table[column], self.local_tz) for column in bare}
                found.tables[name] = table.mutate(**read)
                found.notes.append(
                    say(
                        "{table}: {columns} read as local time of {zone}.",
                        table=name,
                        columns=", ".join(bare),
                        zone=self.local_tz,
                    )
                )
            for column in () if self.local_tz else bare:
                rows = int(table[column].count().execute())
                found.violations.append(Violation(name, column, LOCAL, rows, (), say(ADVICE[LOCAL])))
        return found

    def declared(self, found: Found) -> Found:
        """Read declared numbers since 1970 as instants, in tables that hold them as numbers."""
        for where, unit in self.epoch.items():
            name, _, column = where.partition(".")
            table = found.tables.get(name)
            if table is None or column not in table.columns or not table[column].type().is_numeric():
                continue
            microseconds = (table[column] * EPOCH_MICROSECONDS[unit]).cast("int64")
            instant = ibis.timestamp("1970-01-01T00:00:00") + microseconds.as_interval("us")
            found.tables[name] = table.mutate(**{column: instant.cast("timestamp('UTC')")})
            found.notes.append(say("{where}: read as {unit} since 1970.", where=where, unit=unit))
        return found
