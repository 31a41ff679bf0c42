"""A mapping over tables of a database: one query each, in words DuckDB and PostgreSQL share; nothing is copied.

Columns of a database have types, so no text is read as a number or a time here. What files have to be told besides
(formats, rows of one key, lifetime totals, wide metrics, identities) is refused: a view of the database says it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from functools import reduce
from typing import Any

import ibis
import ibis.expr.types as ir

from helpers.checks import did_you_mean
from helpers.data.cells import ADVICE, EPOCH_MICROSECONDS
from helpers.data.exports.apply import OUTCOMES, broken, column_of, conclude, refuse_questions, unexpected
from helpers.data.exports.expressions import Text, hashed
from helpers.data.exports.mapping import Mapping, Source, Target, Value
from helpers.data.reading import Found
from helpers.data.schema import Column
from helpers.data.views import identifier, quoted, varchar
from helpers.data.violation import Violation
from helpers.errors import BadData
from helpers.sentences import say

NOT_HERE = ("numbered", "hours_since", "exported", "in_name", "format", "identity", "assumed")


def add(con: Any, mapping: Mapping, wanted: Collection[str], found: Found) -> None:
    """Add the tables of a mapping to those found in a database, with the account of their rows.

    Raises
    ------
    BadData
        When questions are open, a table or column is not there, or the mapping says what only files can be told.
    """
    refuse_questions(mapping)
    account: list[tuple[str, str, str, int]] = []
    feeds: dict[str, list[ir.Table]] = {}
    for source in mapping.sources:
        for target in (target for target in source.tables if target.table in wanted):
            feed = _Feed(con, source, target, source.zone or mapping.zone)
            feeds.setdefault(target.table, []).append(feed.table())
            counts = feed.counts()
            account += [(source.name, target.table, *each) for each in counts.items()]
            found.violations += [*unexpected(target.table, source, counts), *feed.not_understood()]
    for name, tables in feeds.items():
        kinds = {column: kind for table in tables for column, kind in table.schema().items()}
        lacks = [{c: ibis.null(kind) for c, kind in kinds.items() if c not in t.columns} for t in tables]
        whole = [t.mutate(**n).select(*kinds) for t, n in zip(tables, lacks, strict=True)]
        found.tables[name] = reduce(ir.Table.union, whole)
    conclude(found, mapping, account)


class _Feed(Text):
    """One table of a database on its way into one of the contract; values in the types of the database."""

    def __init__(self, con: Any, source: Source, target: Target, zone: str) -> None:
        super().__init__(zone)
        self.con, self.source, self.target = con, source, target
        *above, name = source.table.split(".")
        try:
            self.kinds = con.table(name, database=".".join(above) or None).schema()
        except Exception as error:  # every driver has errors of its own
            named = source.table or say("(none named)")
            raise self._bad(say("the database has no table {table}", table=named)) from error
        if lacks := [f"{name}.{did_you_mean(name, self.kinds)}" for name in source.columns - set(self.kinds)]:
            raise self._bad(
                say("{table} has no column {names}", table=source.table, names=" ".join(sorted(lacks)))
            )
        if target.same_key or target.totals or target.metrics or target.first_seen:
            raise self._bad(say("same_key, totals, metrics and first_seen are for files: make a view"))
        self.cases = self.reasons(source, target)
        stays = " AND ".join(f"NOT ({condition})" for condition, _ in self.cases) or "true"
        self.place = ".".join(map(identifier, (*above, name)))
        self.rows = f"FROM {self.place} WHERE {stays}"

    def _bad(self, text: str) -> BadData:
        return BadData(f"{say('source {name}', name=self.source.name)}: {text}")

    def _query(self, query: str) -> ir.Table:
        """Return a query as a lazy table."""
        try:
            if self.con.name != "duckdb":
                return self.con.sql(query)
            name = f"mapped_{hashlib.sha256(query.encode()).hexdigest()[:16]}"
            self.con.con.execute(f"CREATE OR REPLACE TEMPORARY VIEW {name} AS {query}")
            return self.con.table(name)
        except Exception as error:  # every driver has errors of its own
            raise self._bad(str(error).splitlines()[0]) from None

    def table(self) -> ir.Table:
        """Return the rows that stay as a lazy table."""
        values = self.target.columns.items()
        columns = (f"{self.of(v, column_of(self.target, name))} AS {identifier(name)}" for name, v in values)
        return self._query(f"SELECT {', '.join(columns)} {self.rows}")

    def counts(self) -> dict[str, int]:
        """Return the rows of the source by reason."""
        said = " ".join(f"WHEN {condition} THEN {quoted(reason)}" for condition, reason in self.cases)
        reason = f"CASE {said} ELSE {quoted(OUTCOMES[0])} END" if said else quoted(OUTCOMES[0])
        query = f"SELECT reason, count(*) AS rows FROM (SELECT {reason} AS reason FROM {self.place}) AS t"
        frame = self._query(f"{query} GROUP BY reason ORDER BY reason").execute()
        return dict(zip(frame["reason"], frame["rows"].map(int), strict=True))

    def not_understood(self) -> list[Violation]:
        """Return the words that a translation does not know and the masks among ids, in the rows that stay."""
        said, table = [], self.target.table
        for name, value in self.target.columns.items():
            wrong = {}
            if value.values and value.column and not value.others:
                words = ", ".join(map(quoted, value.values))
                wrong["unknown word"] = f"{varchar(value.column)} NOT IN ({words})"
            if column_of(self.target, name).privacy == "P1" and value.columns:
                masked = [f"{varchar(column)} LIKE '%**%'" for column in sorted(value.columns)]
                wrong["masked id"] = " OR ".join(masked)
            for rule, holds in wrong.items():
                rows = self._query(f"SELECT count(*) AS n {self.rows} AND ({holds})").execute()["n"].iloc[0]
                said += broken(table, name, rule, int(rows), ADVICE[rule])
        return said

    def looked_at(self, name: str) -> str:
        return f"nullif(trim({varchar(name)}), '')"

    def of(self, value: Value, column: Column) -> str:
        if odd := [word for word in NOT_HERE if getattr(value, word)]:
            text = "{column}: {words} is for files: make a view"
            raise self._bad(say(text, column=column.name, words=", ".join(odd)))
        return super().of(value, column)

    def leaf(self, value: Value, column: Column) -> str:
        sql, kind = identifier(value.column), self.kinds[value.column]
        if column.type == "timestamp" and value.unit:
            return f"to_timestamp({sql} / {1_000_000 / EPOCH_MICROSECONDS[value.unit]})"
        if column.type == "timestamp" and kind.is_timestamp() and kind.timezone is None:
            if not (zone := value.zone or self.zone):
                raise self._bad(f"{value.column} has times without a zone: say zone")
            return f"timezone({quoted(zone)}, {sql})"
        if column.privacy == "P1" and value.hashed:
            return hashed(f"lower({varchar(value.column)})", postgres=self.con.name == "postgres")
        return varchar(value.column) if column.is_id or value.values else sql

    def constant(self, text: str, column: Column) -> str:
        return f"CAST({quoted(text)} AS {'DOUBLE PRECISION' if column.type in ('integer', 'float') else 'VARCHAR'})"

    def key(self, texts: list[str], numbered: bool, column: Column) -> str:
        return super().key([f"CAST({text} AS VARCHAR)" for text in texts], numbered, Column("key", "string"))

    def computed(self, value: Value, column: Column) -> str:
        return self.number(value, column)

    def plain_number(self, value: Value, column: Column) -> str:
        return self.of(value, column)

    def share(self, value: Value, per: str, column: Column) -> str:
        return f"({self.of(value, column)} / {per}.0)"
