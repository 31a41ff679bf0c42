"""CSV files as typed tables: every cell is read as text, judged and typed in one pass.

Parsing text costs more than most questions that are asked of it, so the pass writes the typed columns and
the verdicts to a Parquet file that lives as long as the connection; tables are lazy views on it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import duckdb

from helpers.data import cells, csv_files, views
from helpers.data.cells import ADVICE, Cell
from helpers.data.csv_files import CsvFile
from helpers.data.reading import Found, Options
from helpers.data.schema import Table, is_withheld
from helpers.data.views import create, duplicates, few, folder_keys, identifier, keyed, listed, quoted
from helpers.data.violation import EXAMPLES, ContractError, Violation, counted
from helpers.sentences import say

# Characters around a cell that carry no meaning; exports put a tab behind ids on purpose.
BLANKS = " \t\r\n\u3000\u00a0\ufeff"

# Names of columns that this module adds cannot be printed, which names in a file must be.
PADDED = "\x1fpadded"

# Rows by the verdict on them.
Counts = dict[str, int]


def add(con: Any, spec: Table, parts: Sequence[Path], root: Path, options: Options, found: Found) -> None:
    """Add the table of some CSV files to `found`, with its violations and notes."""
    try:
        files = [csv_files.prepare(part, spec, root, con.workspace, found.notes) for part in parts]
    except csv_files.UnreadableFileError as error:
        found.violations.append(Violation(spec.name, "(file)", "unreadable file", 0, (), str(error)))
        return
    if broken := _broken_headers(spec, files):
        found.violations += broken
        return
    try:
        names, against = _text_view(con, spec, files, folder_keys(parts, root), found.notes)
        found.violations += against
        units = {name: options.epoch.get(f"{spec.name}.{name}") for name in names}
        read = {name: cell_of(spec, name, options.local_tz, units[name]) for name in names}
        typed = write(con, spec, read)
    except duckdb.Error as error:
        found.violations.append(_malformed(con, spec, files, error))
        return
    columns = judged(con, spec, names, typed, dict.fromkeys(names, options.local_tz), found)
    found.tables[spec.name] = create(con, spec, f"(SELECT {columns} FROM {typed})", found.notes)


def judged(
    con: Any,
    spec: Table,
    names: Sequence[str],
    typed: str,
    zones: Mapping[str, str | None],
    found: Found,
    kept: str = "true",
) -> str:
    """Add what the verdicts on typed text say to `found`, and return the SQL that selects its values.

    Parameters
    ----------
    typed : str
        Reader of values and verdicts, as `write` returns it.
    zones : mapping of str to str or None
        By column the declared zone of times without one.
    kept : str
        SQL of the rows that count.
    """
    counts, padded = _count_verdicts(con, spec, names, typed, kept)
    found.violations += _violations(con, spec, counts, zones, kept)
    found.notes += _notes(spec, counts, padded, zones)
    return ", ".join(f"{_value(spec, name, counts[name])} AS {identifier(name)}" for name in names)


def text_view(spec: Table) -> str:
    """Return the name of the view that holds the trimmed text of a table and which of its rows were padded."""
    return _view("text", spec)


def _view(kind: str, spec: Table) -> str:
    return identifier(f"{kind}_{spec.name}")


def _verdict(name: str) -> str:
    return identifier(f"\x1fverdict on {name}")


def shape(con: Any, spec: Table, parts: Sequence[Path], root: Path) -> list[Any]:
    """Return the number of rows of some CSV files by their currency, empty where there is none, and their columns.

    Raises
    ------
    UnreadableFileError, ContractError
        When a file or one of its rows cannot be read.
    """
    files = [csv_files.prepare(part, spec, root, con.workspace, []) for part in parts]
    if broken := _broken_headers(spec, files):
        raise ContractError(broken)
    names = [*(name for file in files for name in file.names), *folder_keys(parts, root)]
    try:
        found: Counter[str] = Counter()
        for reader, header in _readers(files):
            code = f"coalesce({_trimmed('currency')}, '')" if "currency" in header else "''"
            query = f"SELECT {code}, count(*) FROM {reader}) GROUP BY 1"
            found.update(dict(con.con.execute(query).fetchall()))
        return [dict(found), list(dict.fromkeys(names))]
    except duckdb.Error as error:
        raise ContractError([_malformed(con, spec, files, error)]) from None


def _broken_headers(spec: Table, files: Sequence[CsvFile]) -> list[Violation]:
    """Return names that occur twice, and second rows that are a header too."""
    violations = []
    for file in files:
        place = file.path.name
        violations += duplicates(spec, file.names, place)
        if odd := [ascii(name)[1:-1] for name in file.names if not name.isprintable()]:
            advice = say(
                "{place} has names of columns that cannot be printed: write them in plain letters.",
                place=place,
            )
            violations.append(Violation(spec.name, ", ".join(odd), "unreadable column name", 0, (), advice))
        cells_ = dict(zip(file.names, file.first_row, strict=False))
        measured = [c.name for c in spec.columns if c.required and c.type not in ("string", "category")]
        words = {name: cells_[name] for name in measured if cells_.get(name)}
        if words and all(_is_word(word) for word in words.values()):
            advice = say("The second row of {place} is a second header; remove it.", place=place)
            where = ", ".join(words)
            violations.append(Violation(spec.name, where, "two-row header", 1, (words,), advice))
    return violations


def _is_word(text: str) -> bool:
    return text not in ("-", "--") and not any(character.isdigit() for character in text)


def _readers(files: Sequence[CsvFile]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield readers, without the last parenthesis, with their columns; files with equal headers share one."""
    how = "auto_detect = false, header = true, quote = '\"', escape = '\"'"

    def shape(file: CsvFile) -> tuple[tuple[str, ...], str, int, str]:
        packed = "gzip" if csv_files.is_packed(file.path) else "none"
        return file.names, file.delimiter, file.skipped_lines, packed

    for (header, delimiter, skipped, packed), group in groupby(sorted(files, key=shape), shape):
        columns = ", ".join(f"{quoted(name)}: 'VARCHAR'" for name in header)
        how_these = f"skip = {skipped}, delim = {quoted(delimiter)}, compression = '{packed}'"
        paths = listed(file.path for file in group)
        yield f"read_csv({paths}, {how}, {how_these}, columns = {{{columns}}}", header


def _text_view(
    con: Any, spec: Table, files: Sequence[CsvFile], keys: Sequence[str], notes: list[str]
) -> tuple[list[str], list[Violation]]:
    """Create the view of trimmed text; return its columns and the rows that contradict the names of folders."""
    relations, against = [], []
    for reader, header in _readers(files):
        relation, said = keyed(con, spec, reader, header, keys, typed=False)
        relations.append(f"SELECT * FROM {relation}")
        against += said
    union = " UNION ALL BY NAME ".join(relations)
    names = few(spec, [row[0] for row in con.con.execute(f"DESCRIBE {union}").fetchall()], notes)
    trimmed = [f"nullif({_trimmed(views.varchar(name))}, '') AS {identifier(name)}" for name in names]
    ids = [views.varchar(name) for name in names if name in spec and spec[name].is_id]
    padded = " OR ".join(_is_padded(name) for name in ids) or "false"
    query = f"SELECT {', '.join(trimmed)}, {padded} AS {identifier(PADDED)} FROM ({union})"
    con.con.execute(f"CREATE TEMPORARY VIEW {_view('text', spec)} AS {query}")
    return names, against


def _is_padded(text: str) -> str:
    """Return SQL that is true for text that begins or ends with a blank; planned in a time linear in columns."""
    return f"regexp_matches({text}, {quoted(f'^[{BLANKS}]|[{BLANKS}]$')})"


def _trimmed(text: str) -> str:
    """Return SQL for trimmed text; the engine's trim is slow, so that it runs on padded text only."""
    return f"CASE WHEN {_is_padded(text)} THEN trim({text}, {quoted(BLANKS)}) ELSE {text} END"


def write(con: Any, spec: Table, read: dict[str, Cell], label: str = "") -> str:
    """Write the value of each text and the verdict on both to a Parquet file, and return its reader.

    The text is that of `text_view`; what it holds besides what the cells are made of comes along.
    """
    values = ", ".join(f"{cell.value} AS {cells.value_of(name)}" for name, cell in read.items())
    verdicts = ", ".join(f"{cell.verdict} AS {_verdict(name)}" for name, cell in read.items())
    view, target = _view("judged", spec), quoted(str(con.workspace / f"{label or spec.name}.parquet"))
    query = f"SELECT *, {verdicts} FROM (SELECT *, {values} FROM {_view('text', spec)})"
    con.con.execute(f"CREATE OR REPLACE TEMPORARY VIEW {view} AS {query}")
    beside = (cell.value for cell in read.values() if cell.value.startswith('"\x1f'))
    texts = ", ".join((*map(identifier, read), *beside))
    con.con.execute(f"COPY (SELECT * EXCLUDE ({texts}) FROM {view}) TO {target} (FORMAT parquet)")
    return f"read_parquet({target})"


def cell_of(spec: Table, name: str, local_tz: str | None, unit: str | None, *, signs: bool = False) -> Cell:
    """Return how a column is read; for a column that the contract does not know, whether it is numbers."""
    if is_withheld(spec, name):
        # Free text and contact data are not even written to the loader's own temporary file.
        return Cell("CAST(NULL AS VARCHAR)")
    if name in spec:
        return cells.cell(spec[name], local_tz, unit, signs=signs)
    return Cell(identifier(name)) if name.endswith("_id") else cells.free(name)


def _count_verdicts(
    con: Any, spec: Table, names: Sequence[str], typed: str, kept: str
) -> tuple[dict[str, Counts], int]:
    """Count every verdict of every column, and the padded rows, in one scan.

    Of a column outside the contract one mark is enough: histograms of many columns take more than linear memory.
    """
    plain = f"THEN MAP {{{{'{cells.PLAIN}': 1}}}} END"
    known, other = "histogram(CAST({} AS VARCHAR))", f"CASE WHEN bool_and(CAST({{}} AS BOOLEAN)) {plain}"
    counts = ", ".join((known if name in spec else other).format(_verdict(name)) for name in names)
    padded = f"count(*) FILTER ({identifier(PADDED)})"
    *found, rows = con.con.execute(f"SELECT {counts}, {padded} FROM {typed} WHERE {kept}").fetchone()
    return {name: each or {} for name, each in zip(names, found, strict=True)}, rows


def _malformed(con: Any, spec: Table, files: Sequence[CsvFile], error: duckdb.Error) -> Violation:
    """Count the rows that the CSV reader could not follow, in a second pass that sets them aside."""
    query = """SELECT file_path, line, min(error_message) FROM reject_errors JOIN reject_scans
        USING (scan_id, file_id) GROUP BY ALL ORDER BY ALL"""
    paths = {str(file.path): file.path.name for file in files}
    try:
        for reader, _ in _readers(files):
            con.con.execute(f"SELECT count(*) FROM {reader}, store_rejects = true)").fetchall()
        rows = [row for row in con.con.execute(query).fetchall() if row[0] in paths]
    except duckdb.Error:
        rows = []
    shown = [{"file": paths[path], "line": line, "problem": said} for path, line, said in rows[:EXAMPLES]]
    said = "" if rows else f"{str(error).splitlines()[0]} "
    mend = "Mend the lines in the file: each row has as many cells as there are names of columns."
    advice = f"{said}{say(mend)}"
    return Violation(spec.name, "(row)", "malformed row", len(rows), tuple(shown), advice)


def _violations(
    con: Any, spec: Table, counts: dict[str, Counts], zones: Mapping[str, str | None], kept: str
) -> Iterator[Violation]:
    """Turn verdicts into violations, with examples fetched for those that occur."""
    for name, verdicts in counts.items():
        for rule in filter(verdicts.__contains__, ADVICE):
            count, zoned = verdicts[rule], verdicts.get(cells.ZONED, 0)
            advice = say(ADVICE[rule], where=f"{spec.name}.{name}", local_tz=zones[name])
            said, shown = rule, [rule] * EXAMPLES
            if rule == cells.LOCAL and zoned:
                said, shown[-1] = "mixed times with and without a zone", cells.ZONED
                advice = say(
                    "{rows} with an offset and {count:,} without. {advice}",
                    rows=counted(zoned, "row"),
                    count=count,
                    advice=advice,
                )
            rows = _examples(con, spec, name, list(counts), shown, kept)
            yield Violation(spec.name, name, said, count, rows, advice)


def _examples(
    con: Any, spec: Table, name: str, names: Sequence[str], verdicts: Sequence[str], kept: str
) -> tuple[dict[str, Any], ...]:
    """Return one row for each verdict asked for: its key and its text."""
    shown = list(dict.fromkeys([*(key for key in spec.key if key in names), name]))
    columns = ", ".join(identifier(column) for column in shown)
    rows: list[dict[str, Any]] = []
    for verdict in dict.fromkeys(verdicts):
        where = f"{kept} AND {_verdict(name)} = {quoted(verdict)} LIMIT {verdicts.count(verdict)}"
        found = con.con.execute(f"SELECT {columns} FROM {_view('judged', spec)} WHERE {where}").fetchall()
        rows += [dict(zip(shown, row, strict=True)) for row in found]
    return tuple(rows)


def _notes(
    spec: Table, counts: dict[str, Counts], padded: int, zones: Mapping[str, str | None]
) -> Iterator[str]:
    """Say what was understood only because somebody declared it, and what was set aside."""
    for name, verdicts in counts.items():
        where, twice = f"{spec.name}.{name}", verdicts.get(cells.TWICE, 0)
        if local := verdicts.get(cells.DECLARED, 0) + twice:
            yield say(
                "{where}: {times} without a zone read as {zone}.",
                where=where,
                times=counted(local, "time"),
                zone=zones[name],
            )
        if twice:
            yield say(
                "{where}: {twice:,} of them in the hour that comes twice when summer time ends.",
                where=where,
                twice=twice,
            )
        if _is_number(spec, name, verdicts):
            yield say("{where}: not in the contract, read as a number.", where=where)
    if padded:
        yield say(
            "{table}: {rows} with blanks or tabs around an id, read without.",
            table=spec.name,
            rows=counted(padded, "row"),
        )


def _is_number(spec: Table, name: str, verdicts: Counts) -> bool:
    """Whether a column outside the contract holds plain numbers only."""
    return name not in spec and verdicts.keys() == {cells.PLAIN}


def _value(spec: Table, name: str, verdicts: Counts) -> str:
    value = cells.value_of(name)
    return f"TRY_CAST({value} AS DOUBLE)" if _is_number(spec, name, verdicts) else value
