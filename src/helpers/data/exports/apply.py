"""A mapping applied inside the engine: its sources become tables of the contract, and every row is accounted for."""

from __future__ import annotations

import datetime as dt
import re
from collections import Counter
from collections.abc import Collection
from collections.abc import Mapping as Map
from contextlib import suppress
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd

from helpers.checks import did_you_mean
from helpers.data import cells, csv_tables
from helpers.data.cells import Cell
from helpers.data.clock import zone as zone_of
from helpers.data.csv_tables import BLANKS, PADDED
from helpers.data.exports import expressions
from helpers.data.exports.expressions import AT_EXPORT, COMPUTED, DAY, EXPORTED, FILE, NUMBER, PLACE, ROW
from helpers.data.exports.files import RawFile, open_file
from helpers.data.exports.folder import IDENTITIES, files_of, with_identities
from helpers.data.exports.mapping import Mapping, Source, Target, Value, needs_export
from helpers.data.reading import FIRST_SEEN, Found
from helpers.data.schema import Column
from helpers.data.tables import TABLES
from helpers.data.views import create, identifier, quoted
from helpers.data.violation import Violation, counted
from helpers.errors import BadData
from helpers.sentences import say

REASON = "\x1freason"
KEPT = f"{identifier(REASON)} IS NULL"
OUTCOMES = ("mapped", "replaced by a later export", "repeated", "joined to the row of its key")
# What exports write for nothing, beside what the cells of any file do.
NOTHING = ("", "—", "——", "/", "null", "NULL")
MAPPED, REPLACED, REPEATED, JOINED = range(len(OUTCOMES))

VIEWS = {
    "buyer": "orders: amounts are what buyers paid, without what platforms added.",
    "merchant": "orders: amounts are what the shop is owed before fees, with what platforms added.",
}


def mapped(
    con: Any, folder: Path, mapping: Mapping, wanted: Collection[str] = (*TABLES,), found: Found | None = None
) -> Found:
    """Return the tables of a mapping, not yet checked against the contract, and the account of its rows.

    Parameters
    ----------
    con : Ibis connection to DuckDB
        With a ``workspace``, as `engine.connect` makes it.
    folder : Path
        Where the files of the mapping are.
    mapping : Mapping
    wanted : collection of str
        Only these tables.
    found : Found, optional
        The tables that lie in the folder as such.

    Returns
    -------
    Found
        Lazy tables, violations in words of the export, and notes: what was assumed, joined, read by a declared zone.
        Its account is a frame ``source, table, reason, rows``: the rows read of a source are the sum over the reasons
        of one table, of which ``mapped`` is one.

    Raises
    ------
    BadData
        When questions are open, files are missing, or a named column is in none of them.
    """
    refuse_questions(mapping)
    found = found or Found({})
    wanted = with_identities(mapping, wanted)
    account: list[tuple[str, str, str, int]] = []
    feeds: dict[str, list[str]] = {}
    for place, source in enumerate(mapping.sources):
        targets = [target for target in source.tables if target.table in wanted]
        if targets:
            raw = _Raw(con, folder, place, source, mapping.zone, found)
            query = raw.query(len(targets) > 1)
        for number, target in enumerate(targets):
            feed = _Feed(con, raw, target, f"source-{place}-{number}", found)
            if relation := feed.relation(query):
                feeds.setdefault(target.table, []).append(relation)
            account += [(source.name, target.table, feed.reasons[n], rows) for n, rows in feed.counts.items()]
    for name in sorted(feeds, key=lambda name: name != IDENTITIES):
        union = " UNION ALL BY NAME ".join(f"SELECT * FROM {relation}" for relation in feeds[name])
        if name == "members" and (len(feeds[name]) > 1 or IDENTITIES in with_identities(mapping, [name])):
            union = _once(mapping, union)
        found.tables[name] = create(con, TABLES[name], f"({union})", found.notes)
    conclude(found, mapping, account)
    return found


def conclude(found: Found, mapping: Mapping, account: list[tuple[str, str, str, int]]) -> None:
    """Put the account of the rows, and whose money the orders hold, into what was found."""
    found.account = pd.DataFrame(account, columns=["source", "table", "reason", "rows"])
    found.notes += [say(VIEWS[mapping.view])] if "orders" in found.tables and mapping.view else []


def _once(mapping: Mapping, members: str) -> str:
    """Return once whoever was seen in several sources or under several ids, where no joining is known."""
    if not all(t.first_seen for source in mapping.sources for t in source.tables if t.table == "members"):
        return members
    others = "arg_min(COLUMNS(* EXCLUDE (member_id, joined_at)), joined_at)"
    return f"SELECT member_id, min(joined_at) AS joined_at, {others} FROM ({members}) GROUP BY member_id"


def originals(con: Any, folder: Path, mapping: Mapping) -> dict[str, str]:
    """Return what the keyed hashes of a mapping stand for, for who may see it: from an id to what the export says."""
    known: dict[str, str] = {}
    for number, source in enumerate(mapping.sources):
        values = [value for target in source.tables for value in target.columns.values()]
        if columns := {name for value in values for name in value.hashed}:
            query = _Raw(con, folder, number, source, mapping.zone, Found({})).query(False)
            for text in map(identifier, sorted(columns)):
                pairs = f"SELECT {expressions.hashed(f'lower({text})')} AS h, min({text}) FROM ({query}) GROUP BY h"
                known |= {each: said for each, said in con.con.execute(pairs).fetchall() if each}
    return known


def refuse_questions(mapping: Mapping) -> None:
    """Refuse a mapping that asks; BadData lists the questions."""
    if mapping.questions:
        lines = (f"\n  {mapping.path}:{each.line}: {each.place}: {each.text}" for each in mapping.questions)
        count = counted(len(mapping.questions), "open question")
        says = "{path} has {count}; write the answers in place of them:"
        raise BadData(say(says, path=mapping.path.name, count=count) + "".join(lines))


def column_of(target: Target, name: str) -> Column:
    """Return the declaration of a column that a mapping feeds; outside the contract it is a text."""
    spec = TABLES[target.table]
    return spec[name] if name in spec else Column(name, "string")


def unexpected(table: str, source: Source, counts: Map[str, int]) -> list[Violation]:
    """Return a violation for the rows that hold what the mapping does not expect."""
    where = ", ".join(test.column for test in source.expect)
    advice = say("Name what it means, under expect or leave_out of source {source}.", source=source.name)
    return broken(table, where, "unknown word", counts.get(expressions.UNEXPECTED, 0), advice)


def broken(table: str, column: str, rule: str, rows: int, advice: str) -> list[Violation]:
    """Return the violation of some rows; nothing when there are none."""
    return [Violation(table, column, rule, rows, (), advice)] if rows else []


def _kept(con: Any, query: str, name: str) -> str:
    """Write the rows of a query to a file of the workspace and return SQL that reads them."""
    target = quoted(str(con.workspace / f"{name}.parquet"))
    con.con.execute(f"COPY ({query}) TO {target} (FORMAT parquet)")
    return f"SELECT * FROM read_parquet({target})"


class _Raw:
    """The rows of one source as trimmed text."""

    def __init__(self, con: Any, folder: Path, number: int, source: Source, zone: str, found: Found) -> None:
        self.con, self.number, self.source, self.zone = con, number, source, source.zone or zone
        self.folder = folder
        self.files: list[RawFile] = []
        for path in files_of(folder, source):
            grids = open_file(path, con.workspace, source.columns)
            self.files += [
                grid for grid in grids if any(fnmatch(grid.part, part) for part in source.part or "*")
            ]
        lacks = [
            say(
                "{file} has no column {name}.{hint}",
                file=file.name,
                name=name,
                hint=did_you_mean(name, file.names),
            )
            for file in self.files
            for name in sorted(source.columns - set(file.names))
            if not (file.sparse and any(name in other.names for other in self.files))
        ]
        if lacks or not self.files:
            raise BadData(
                " ".join(
                    [
                        f"{say('source {name}', name=source.name)}:",
                        *(lacks or [say("no part of its files fits")]),
                    ]
                )
            )
        found.notes += [note for file in self.files for note in file.notes]

    def query(self, several: bool) -> str:
        """Return SQL of the trimmed rows; text that several tables are made of is read once."""
        names = sorted(self.source.columns)
        texts = [f"{trimmed(identifier(name))} AS {identifier(name)}" for name in names]
        parts = []
        for number, file in enumerate(self.files):
            below = file.path.relative_to(self.folder).as_posix()
            moment = exported(self.source, below, self.zone)
            own = f"{number} AS {identifier(FILE)}, nullif({quoted(moment)}, '') AS {identifier(EXPORTED)}, "
            own += f"nullif({quoted(moment[:10])}, '') AS {identifier(DAY)}, "
            place = "/".join(filter(None, (below, file.part)))
            own += f"{quoted(place)} AS {identifier(PLACE)}"
            parts.append(f"SELECT {', '.join([*texts, own])} FROM ({file.columns(names)})")
        query = " UNION ALL ".join(parts)
        if any(map(_is_ordered, self.source.tables)):
            query = f"SELECT *, row_number() OVER () AS {identifier(ROW)} FROM ({query})"
        return _kept(self.con, query, f"source-{self.number}") if several else query


def _is_ordered(target: Target) -> bool:
    return bool(target.same_key) or any(value.numbered for value in target.columns.values())


def trimmed(text: str) -> str:
    """Return SQL for text without blanks and without the marks that keep a spreadsheet from rounding it."""
    bare = f"regexp_replace(trim({text}, {quoted(BLANKS)}), '^=\"(.*)\"$', '\\1')"
    bare = f"trim(regexp_replace({bare}, '^[''`]', ''), {quoted(BLANKS)})"
    odd = f"regexp_matches({text}, {quoted(f'^[{BLANKS}=`' + chr(39) + f']|[{BLANKS}]$')})"
    said = f"CASE WHEN {odd} THEN {bare} ELSE {text} END"
    return f"CASE WHEN {said} NOT IN ({', '.join(map(quoted, NOTHING))}) THEN {said} END"


def exported(source: Source, file: str, zone: str) -> str:
    """Return when a file was exported, a day or an instant as ISO 8601 has it; empty when nobody needs to know."""
    forms = (file, file.rpartition("/")[2])
    said = (text for name, text in source.exported_at.items() if name in forms or fnmatch(forms[1], name))
    text = next(said, "")
    if written := source.exported_at.get("file_name"):
        text = _in_name(written, forms[1], zone)
    hours = any(value.hours_since for target in source.tables for value in target.columns.values())
    if (not text and any(map(needs_export, source.tables))) or (hours and len(text) == len("2026-07-01")):
        says = "source {source}: exported_at does not say when {file} was exported."
        if text:
            says = "source {source}: exported_at does not say at which hour {file} was exported."
        raise BadData(say(says, source=source.name, file=file))
    return text


def _in_name(written: str, file: str, zone: str) -> str:
    """Return the time in the name of a file, a day where its form has no hours; ``%s`` is the seconds since 1970."""
    pattern = re.escape(written).replace("%Y", r"\d{4}").replace("%s", r"1\d{9}")
    if not (match := re.search(re.sub("%[A-Za-z]", r"\\d{2}", pattern), file)):
        return ""
    if "%s" in written:
        return dt.datetime.fromtimestamp(int(re.findall(r"1\d{9}", match[0])[0]), dt.UTC).isoformat()
    with suppress(ValueError):  # digits that are no time
        moment = dt.datetime.strptime(match[0], written).replace(tzinfo=zone_of(zone or "UTC"))
        return moment.isoformat() if "%H" in written else str(moment.date())
    return ""


class _Feed:
    """One source on its way into one table."""

    def __init__(self, con: Any, raw: _Raw, target: Target, label: str, found: Found) -> None:
        self.con, self.raw, self.target, self.label = con, raw, target, label
        self.found, self.spec = found, TABLES[target.table]
        self.counts: Counter[int] = Counter()
        self.reasons, self.text = list(OUTCOMES), expressions.Text(raw.zone)
        self.zones: dict[str, str | None] = {}
        # Which columns of the rows are needed beside the table's own.
        grouped = bool(target.same_key or target.first_seen or target.totals)
        settled = (FILE, EXPORTED) if grouped or len(raw.files) > 1 else ()
        self.beside = (*settled, *([ROW] if _is_ordered(target) else []))

    def relation(self, query: str) -> str:
        """Return the rows of the table with values of the contract's types; empty when they cannot be read."""
        try:
            names = self._text(query)
            typed = csv_tables.write(self.con, self.spec, self._cells(names), self.label)
            columns = csv_tables.judged(self.con, self.spec, names, typed, self.zones, self.found, KEPT)
        except duckdb.Error as error:
            said = str(error).splitlines()[0]
            self.found.violations.append(Violation(self.spec.name, "(row)", "malformed row", 0, (), said))
            return ""
        return self._settled(columns, typed)

    def _text(self, query: str) -> list[str]:
        """Create the view of the text of each column, with the reason for which a row is left out."""
        texts: dict[str, str] = {}
        beside = [*map(identifier, self.beside), f"false AS {identifier(PADDED)}", self._reason()]
        for name, value in self.target.columns.items():
            column = column_of(self.target, name)
            self.zones[name] = value.zone or self.raw.zone or None
            if self._computed(name):
                number, texts[name] = self.text.computed_and_broken(value, column)
                beside.append(f"{number} AS {identifier(NUMBER + name)}")
            else:
                texts[name] = "NULL" if column.privacy == "P3" else self.text.of(value, column)
            if sql := self.text.assumed(value, column):
                texts[f"{name}_assumed"] = f"CASE WHEN {sql} THEN 'true' END"
        wide = [f"CAST({text} AS VARCHAR) AS {identifier(name)}" for name, text in texts.items()]
        names = list(texts)
        if metrics := ", ".join(map(self._metric, self.target.metrics)):
            beside.append(f"unnest([{metrics}], recursive := true)")
            names += ["metric", "value", "numerator", "denominator"]
        query = f"SELECT {', '.join([*wide, *beside])} FROM ({query})"
        self.zones = dict.fromkeys(names) | self.zones
        self.con.con.execute(f"CREATE OR REPLACE TEMPORARY VIEW {csv_tables.text_view(self.spec)} AS {query}")
        return names

    def _computed(self, name: str) -> bool:
        """Whether a number is computed beside its text, rather than written as text and read again."""
        value = self.target.columns.get(name, Value())
        plain = not value.empty and not value.values and self._is_number(name)
        return plain and any(getattr(value, kind) for kind in COMPUTED)

    def _is_number(self, name: str) -> bool:
        return name in self.spec and self.spec[name].type in ("integer", "float")

    def _metric(self, name: str) -> str:
        """Return one cell of a row of metrics: its name, value, and the two numbers of a rate."""
        value, *whole = (self.text.of(each, self.spec["value"]) for each in self.target.metrics[name])
        said = {"metric": quoted(name), "value": value}
        said |= dict.fromkeys(("numerator", "denominator"), "CAST(NULL AS VARCHAR)")
        for denominator in whole:
            top, bottom = (cells.number_of(text, signs=True) for text in (value, denominator))
            said |= {"value": f"CAST({top} / nullif({bottom}, 0) AS VARCHAR)"}
            said |= {"numerator": value, "denominator": denominator}
        return "{" + ", ".join(f"{quoted(key)}: {text}" for key, text in said.items()) + "}"

    def _reason(self) -> str:
        """Return SQL for the number of the first reason for which a row is left out, missing when it stays."""
        cases = self.text.reasons(self.raw.source, self.target)
        self.reasons += [reason for _, reason in cases]
        said = " ".join(f"WHEN {holds} THEN {n}" for n, (holds, _) in enumerate(cases, start=len(OUTCOMES)))
        return f"CAST({f'CASE {said} END' if cases else 'NULL'} AS UTINYINT) AS {identifier(REASON)}"

    def _cells(self, names: list[str]) -> dict[str, Cell]:
        """Return how the text of each column is read."""
        read = {}
        for name in names:
            value, column = self.target.columns.get(name, Value()), column_of(self.target, name)
            cell = csv_tables.cell_of(self.spec, name, self.zones[name], value.unit or None, signs=True)
            if self._computed(name):
                wrong = f"CASE WHEN {identifier(name)} IS NOT NULL THEN 'unreadable number' END"
                cell = Cell(identifier(NUMBER + name), wrong)
            elif value.constant and name in self.spec:
                cell = Cell(cell.value)
            read[name] = Cell(cell.value, expressions.verdict(cell.verdict, name, value, column))
        return read

    def _settled(self, columns: str, typed: str) -> str:
        """Return the rows that stay, one for each key, and account for the others."""
        one = f"metric = {quoted(next(iter(self.target.metrics)))}" if self.target.metrics else "true"
        self.counts = self._counts(f"SELECT {columns}, {identifier(REASON)} FROM {typed}", one)
        said = {self.reasons[n]: rows for n, rows in self.counts.items()}
        self.found.violations += unexpected(self.spec.name, self.raw.source, said)
        others = ", ".join(map(identifier, self.beside))
        rows = f"SELECT {', '.join(filter(None, (columns, others)))} FROM {typed} WHERE {KEPT}"
        if EXPORTED in self.beside:
            rows, settled = self._one_of_each_key(rows, one)
            self.counts = self.counts - Counter({MAPPED: sum(settled.values())}) + settled
        given = " WHERE value IS NOT NULL" if self.target.metrics else ""
        if given and (empty := self._number(f"SELECT count(*) - count(value) FROM ({rows})")):
            words = "{table}: cells without a value, which are no rows: {n:,}."
            self.found.notes.append(say(words, table=self.spec.name, n=empty))
        without = f" EXCLUDE ({others})" if others else ""
        relation = f"(SELECT *{without} FROM ({rows}){given})"
        for name, value in self.target.columns.items():
            if f"{name}_assumed" in self.zones:
                rows = self._number(f"SELECT count({identifier(f'{name}_assumed')}) FROM {relation}")
                words = "{column}: assumed or capped as the mapping says in rows: {n:,}."
                self.found.notes.append(say(words, column=f"{self.spec.name}.{name}", n=rows))
            if value.identity:
                relation = self._identified(relation, identifier(name), quoted(value.identity))
        return relation

    def _identified(self, relation: str, name: str, platform: str) -> str:
        """Return rows in which an id on a platform is that of the member, where the identities say so."""
        known = f"(SELECT platform_user_id, member_id FROM {IDENTITIES} WHERE platform = {platform}) AS i"
        joined = f"{relation} AS t LEFT JOIN {known} ON i.platform_user_id = t.{name}"
        return f"(SELECT t.* REPLACE (coalesce(i.member_id, t.{name}) AS {name}) FROM {joined})"

    def _number(self, query: str) -> Any:
        """Return the only value of a query."""
        return self.con.con.execute(query).fetchall()[0][0]

    def _counts(self, query: str, where: str = "true") -> Counter[int]:
        """Count the rows of a query by reason."""
        count = f"SELECT coalesce({identifier(REASON)}, {MAPPED}) AS r, count(*) FROM ({query}) WHERE {where}"
        return Counter(dict(self.con.con.execute(f"{count} GROUP BY r ORDER BY r").fetchall()))

    def _one_of_each_key(self, rows: str, one: str) -> tuple[str, Counter[int]]:
        """Return one row for each key, from the latest export that has it, and how many rows were set aside."""
        described = self.con.con.execute(f"DESCRIBE {rows}").fetchall()
        names = [name for name, *_ in described if name not in (FILE, EXPORTED, ROW)]
        keys = [name for name in (*self.spec.key, *self.spec.refined_by) if name in names]
        key, every = (", ".join(map(identifier, each)) for each in (keys, names))
        latest = f"{AT_EXPORT} DESC NULLS LAST"
        again = f"row_number() OVER (PARTITION BY {every})"
        age = f"dense_rank() OVER (PARTITION BY {key} ORDER BY {latest})"
        if self.target.first_seen:
            again = age = "1"
        elif self.target.same_key == "first":
            again = f"row_number() OVER (PARTITION BY {key} ORDER BY {latest}, {identifier(ROW)})"
        elif self.target.same_key == "sum":
            again = "1"
            self.found.violations += self._undated(rows, key)
        judged = f"CASE WHEN r > 1 THEN {REPLACED} WHEN n > 1 THEN {REPEATED} END AS {identifier(REASON)}"
        judged = f"SELECT * EXCLUDE (r, n), {judged} FROM (SELECT *, {again} AS n, {age} AS r FROM ({rows}))"
        judged = _kept(self.con, judged, f"{self.label}-judged")
        counts = self._counts(judged, one)
        rows = f"SELECT * EXCLUDE ({identifier(REASON)}) FROM ({judged}) WHERE {KEPT}"
        settled = f"{self.label}-settled"
        if self.target.totals:
            return _kept(self.con, self._differences(rows, names, keys), settled), counts
        if self.target.same_key != "sum" and not self.target.first_seen:
            return rows, counts
        grouped = _kept(self.con, self._grouped(rows, names, keys), settled)
        joined = counts[MAPPED] - self._number(f"SELECT count(*) FROM ({grouped}) WHERE {one}")
        return grouped, counts + Counter({JOINED: joined}) - Counter({MAPPED: joined})

    def _undated(self, rows: str, key: str) -> list[Violation]:
        """Return a violation for keys in several files of which none is the later: they would count twice."""
        files = f"min({identifier(FILE)}) <> max({identifier(FILE)})"
        twice = f"SELECT count(*) FROM (SELECT 1 FROM ({rows}) GROUP BY {key}, {identifier(EXPORTED)} HAVING {files})"
        advice = say(
            "They are in several files of source {source}: say exported_at, and the later wins.",
            source=self.raw.source.name,
        )
        return broken(self.spec.name, key.replace('"', ""), "duplicate key", self._number(twice), advice)

    def _grouped(self, rows: str, names: list[str], keys: list[str]) -> str:
        """Return one row for each key: numbers are added, of the rest the first that is given holds."""
        order = "joined_at" if self.target.first_seen else ROW
        made = []
        for name in (name for name in names if name not in keys):
            text = identifier(name)
            summed = self._is_number(name) and self.spec[name].unit != "share"
            value = f"arg_min({text}, {identifier(order)})"
            if self.target.first_seen and name == "joined_at":
                value = f"min({text})"
            elif summed and self.target.same_key == "sum":
                total = f"CAST(sum({text}) AS {'BIGINT' if self.spec[name].type == 'integer' else 'DOUBLE'})"
                value = f"CASE WHEN count({text}) = count(*) THEN {total} END"
            made.append(f"{value} AS {text}")
        made += [f"true AS {identifier(FIRST_SEEN)}"] if self.target.first_seen else []
        others = [f"NULL AS {identifier(name)}" for name in self.beside]
        key = ", ".join(map(identifier, keys))
        return f"SELECT {', '.join([key, *made, *others])} FROM ({rows}) GROUP BY {key}"

    def _differences(self, rows: str, names: list[str], keys: list[str]) -> str:
        """Return what was added to lifetime totals since the export before; a total that fell says nothing."""
        own = [name for name in self.spec.key if self.spec[name].type == "string"]
        order = f"(PARTITION BY {', '.join(map(identifier, own))} ORDER BY {AT_EXPORT})"
        made, fell = [], []
        for name in (name for name in names if self._is_number(name) and name not in keys):
            text = identifier(name)
            grown = f"{text} - lag({text}) OVER {order}"
            if self.spec[name].minimum == 0:
                fell.append(f"CAST(coalesce({grown} < 0, false) AS INTEGER)")
                grown = f"CASE WHEN {grown} >= 0 THEN {grown} END"
            made.append(f"CASE WHEN row_number() OVER {order} = 1 THEN {text} ELSE {grown} END AS {text}")
        query = f"SELECT sum(f) FROM (SELECT {' + '.join(fell or ['0'])} AS f FROM ({rows}))"
        if count := self._number(query):
            words = "{table}: totals that were lower than in the export before, and so say nothing: {n:,}."
            self.found.notes.append(say(words, table=self.spec.name, n=count))
        return f"SELECT * REPLACE ({', '.join(made)}) FROM ({rows})" if made else rows
