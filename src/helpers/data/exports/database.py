"""A mapping over tables of a database: one query each, in words DuckDB and PostgreSQL share; nothing is copied.

Columns of a database have types, so no text is read as a number or a time here. What files have to be told besides
(formats, rows of one key, lifetime totals, wide metrics, identities) is refused: a view of the database says it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from typing import Any

import ibis
import ibis.expr.types as ir
import pandas as pd

from helpers.checks import did_you_mean
from helpers.data.cells import ADVICE, EPOCH_MICROSECONDS
from helpers.data.exports.apply import ACCOUNT, OUTCOMES, refuse_questions, unexpected
from helpers.data.exports.expressions import hashed, holds, reasons
from helpers.data.exports.mapping import Mapping, Source, Target, Value
from helpers.data.reading import Found
from helpers.data.schema import Column
from helpers.data.tables import TABLES
from helpers.data.views import identifier, quoted
from helpers.data.violation import Violation
from helpers.errors import BadData

NOT_HERE = ("numbered", "hours_since", "exported", "format", "identity", "assumed")


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
        for target in source.tables:
            if target.table in wanted:
                feed = _Feed(con, source, target, source.zone or mapping.zone)
                feeds.setdefault(target.table, []).append(feed.table())
                counts = feed.counts()
                account += [(source.name, target.table, *each) for each in counts.items()]
                found.violations += unexpected(target.table, source, counts)
                found.violations += feed.not_understood()
    for name, tables in feeds.items():
        kinds = {column: kind for table in tables for column, kind in table.schema().items()}
        alike = (
            table.mutate(**{c: ibis.null(k) for c, k in kinds.items() if c not in table.columns}).select(
                *kinds
            )
            for table in tables
        )
        found.tables[name] = ibis.union(*alike) if len(tables) > 1 else tables[0]
    found.account = pd.DataFrame(account, columns=list(ACCOUNT))


class _Feed:
    """One table of a database on its way into one of the contract."""

    def __init__(self, con: Any, source: Source, target: Target, zone: str) -> None:
        self.con, self.source, self.target, self.zone = con, source, target, zone
        *above, name = source.table.split(".")
        try:
            self.kinds = con.table(name, database=".".join(above) or None).schema()
        except Exception as error:  # every driver has errors of its own
            raise self._bad(f"the database has no table {source.table or '(none named)'}") from error
        self.place = ".".join(map(identifier, (*above, name)))
        if lacks := [f"{name}.{did_you_mean(name, self.kinds)}" for name in source.columns - set(self.kinds)]:
            raise self._bad(f"{source.table} has no column {' '.join(sorted(lacks))}")
        if target.same_key or target.totals or target.metrics or target.first_seen:
            raise self._bad("same_key, totals, metrics and first_seen are for files: make a view")
        self.cases = reasons(source, target, typed=True)
        self.stays = " AND ".join(f"NOT ({condition})" for condition, _ in self.cases) or "true"

    def _bad(self, text: str) -> BadData:
        return BadData(f"source {self.source.name}: {text}")

    def table(self) -> ir.Table:
        """Return the rows that stay as a lazy table."""
        columns = []
        for name, value in self.target.columns.items():
            spec = TABLES[self.target.table]
            column = spec[name] if name in spec else Column(name, "string")
            columns.append(f"{self._sql(value, column)} AS {identifier(name)}")
        return self._query(f"SELECT {', '.join(columns)} FROM {self.place} WHERE {self.stays}")

    def counts(self) -> dict[str, int]:
        """Return the rows of the source by reason."""
        said = " ".join(f"WHEN {condition} THEN {quoted(reason)}" for condition, reason in self.cases)
        reason = f"CASE {said} ELSE {quoted(OUTCOMES[0])} END" if said else quoted(OUTCOMES[0])
        query = f"SELECT reason, count(*) AS rows FROM (SELECT {reason} AS reason FROM {self.place}) AS t"
        frame = self._query(f"{query} GROUP BY reason ORDER BY reason").execute()
        return dict(zip(frame["reason"], frame["rows"].map(int), strict=True))

    def not_understood(self) -> list[Violation]:
        """Return the words that a translation does not know and the masks among ids, in the rows that stay."""
        found, spec = [], TABLES[self.target.table]
        for name, value in self.target.columns.items():
            if value.values and value.column and not value.others:
                words = ", ".join(map(quoted, value.values))
                found += self._counted(name, "unknown word", f"{_varchar(value.column)} NOT IN ({words})")
            if name in spec and spec[name].privacy == "P1":
                masked = " OR ".join(f"{_varchar(column)} LIKE '%**%'" for column in sorted(value.columns))
                found += self._counted(name, "masked id", masked or "false")
        return found

    def _counted(self, name: str, rule: str, broken: str) -> list[Violation]:
        query = f"SELECT count(*) AS n FROM {self.place} WHERE {self.stays} AND ({broken})"
        rows = int(self._query(query).execute()["n"].iloc[0])
        return [Violation(self.target.table, name, rule, rows, (), ADVICE[rule])] if rows else []

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

    def _sql(self, value: Value, column: Column) -> str:
        """Return SQL for a value, in the types of the database."""
        if odd := [word for word in NOT_HERE if getattr(value, word)]:
            raise self._bad(f"{column.name}: {', '.join(odd)} is for files: make a view")
        parts = [self._sql(part, column) for part in value.parts]
        match value.kind:
            case "column":
                sql = self._column(value, column)
            case "constant":
                is_number = column.type in ("integer", "float")
                sql = f"CAST({quoted(value.constant)} AS {'DOUBLE PRECISION' if is_number else 'VARCHAR'})"
            case "sum":
                split = len(value.sum)
                sql = f"({' - '.join([' + '.join(parts[:split]), *parts[split:]])})"
            case "product":
                sql = f"({' * '.join(parts)})"
            case "rate":
                share, whole = parts
                sql = f"round({share} / {value.per}.0 * {whole})"
            case "least":
                missing = " OR ".join(f"{part} IS NULL" for part in parts)
                sql = f"CASE WHEN NOT ({missing}) THEN least({', '.join(parts)}) END"
            case "first":
                sql = f"coalesce({', '.join(parts)})"
            case _:
                texts = " || chr(31) || ".join(f"coalesce(CAST({part} AS VARCHAR), '')" for part in parts)
                sql = f"md5({texts})"
        if value.values:
            words = " ".join(
                f"WHEN {quoted(word)} THEN {quoted(said)}" for word, said in value.values.items()
            )
            sql = f"CASE CAST({sql} AS VARCHAR) {words} ELSE CAST({sql} AS VARCHAR) END"
        if value.empty:
            sql = f"coalesce({sql}, {self._sql(Value(constant=value.empty), column)})"
        return f"CASE WHEN {holds(value.when, typed=True)} THEN {sql} END" if value.when else sql

    def _column(self, value: Value, column: Column) -> str:
        sql, kind = identifier(value.column), self.kinds[value.column]
        if column.type == "timestamp" and value.unit:
            return f"to_timestamp({sql} / {1_000_000 / EPOCH_MICROSECONDS[value.unit]})"
        if column.type == "timestamp" and kind.is_timestamp() and kind.timezone is None:
            if not (zone := value.zone or self.zone):
                raise self._bad(f"{value.column} has times without a zone: say zone")
            return f"timezone({quoted(zone)}, {sql})"
        if column.privacy == "P3":
            return "CAST(NULL AS VARCHAR)"
        if not column.is_id:
            return sql
        text = f"CAST({sql} AS VARCHAR)"
        if column.privacy == "P1" and value.hashed:
            return hashed(f"lower({text})", postgres=self.con.name == "postgres")
        return text


def _varchar(column: str) -> str:
    return f"CAST({identifier(column)} AS VARCHAR)"
