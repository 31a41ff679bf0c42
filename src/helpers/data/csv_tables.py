"""CSV files as typed tables: every cell is read as text, judged and typed in one pass.

Parsing text costs more than most questions that are asked of it, so the pass writes the typed columns and
the verdicts to a Parquet file that lives as long as the connection; tables are lazy views on it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import duckdb

from helpers.data import cells, csv_files
from helpers.data.cells import ADVICE, Cell
from helpers.data.csv_files import CsvFile
from helpers.data.normal import is_withheld
from helpers.data.reading import Found, Options
from helpers.data.schema import Table
from helpers.data.views import create, identifier, partitions, quoted
from helpers.data.violation import EXAMPLES, Violation, counted

BLANKS = " \t\r\n\u3000\u00a0\ufeff"
"""Characters around a cell that carry no meaning; exports put a tab behind ids on purpose."""

PADDED = "__padded"

Counts = dict[str, int]
"""Rows by the verdict on them."""


def add(con: Any, spec: Table, parts: Sequence[Path], root: Path, options: Options, found: Found) -> None:
    """Add the table of some CSV files to `found`, with its violations and notes."""
    try:
        files, notes = _prepared(con, spec, parts)
    except (csv_files.UnreadableFileError, EOFError, OSError) as error:
        found.violations.append(Violation(spec.name, "(file)", "unreadable file", 0, (), str(error)))
        return
    found.notes += notes
    broken = _broken_headers(spec, files)
    if broken:
        found.violations += broken
        return
    names = _text_view(con, spec, files, partitions(spec, parts, root))
    read = {name: _cell(spec, name, options) for name in names}
    try:
        typed = _write(con, spec, read)
    except duckdb.Error as error:
        found.violations.append(malformed(spec, error))
        return
    counts, padded = _count_verdicts(con, names, typed)
    found.violations += _violations(con, spec, counts, options)
    found.notes += _notes(spec, counts, padded, options)
    columns = ", ".join(f"{_value(spec, name, counts[name])} AS {identifier(name)}" for name in names)
    found.tables[spec.name] = create(con, spec, f"(SELECT {columns} FROM {typed})")


def _view(kind: str, spec: Table) -> str:
    return identifier(f"{kind}_{spec.name}")


def _verdict(name: str) -> str:
    return identifier(f"verdict on {name}")


def count(con: Any, spec: Table, parts: Sequence[Path], root: Path) -> int:
    """Return the number of rows of some CSV files."""
    files, _ = _prepared(con, spec, parts)
    _text_view(con, spec, files, partitions(spec, parts, root))
    return int(con.con.execute(f"SELECT count(*) FROM {_view('text', spec)}").fetchone()[0])


def _prepared(con: Any, spec: Table, parts: Sequence[Path]) -> tuple[list[CsvFile], tuple[str, ...]]:
    """Make files readable, and note what was not plain about them."""
    files, notes = [], []
    for part in parts:
        path, encoding = csv_files.as_utf8(part, con.workspace)
        file = csv_files.inspect(path, spec)
        if encoding in ("gb18030", "utf-16"):
            notes.append(f"{part.name}: read as {encoding.upper()}.")
        if file.skipped_lines:
            lines = counted(file.skipped_lines, "line")
            notes.append(f"{part.name}: {lines} above the column names left out.")
        files.append(file)
    return files, tuple(notes)


def _broken_headers(spec: Table, files: Sequence[CsvFile]) -> list[Violation]:
    """Return names that occur twice, and second rows that are a header too."""
    violations = []
    for file in files:
        for name in sorted({name for name in file.names if file.names.count(name) > 1}):
            advice = f"{file.path.name} has the column {file.names.count(name)} times; rename or remove one."
            violations.append(Violation(spec.name, name, "duplicate column", 0, (), advice))
        cells_ = dict(zip(file.names, file.first_row, strict=False))
        measured = [c.name for c in spec.columns if c.required and c.type not in ("string", "category")]
        words = {name: cells_[name] for name in measured if cells_.get(name)}
        if words and all(_is_word(word) for word in words.values()):
            advice = f"The second row of {file.path.name} is a second header; remove it."
            where = ", ".join(words)
            violations.append(Violation(spec.name, where, "two-row header", 1, (words,), advice))
    return violations


def _is_word(text: str) -> bool:
    return text not in ("-", "--") and not any(character.isdigit() for character in text)


def _text_view(con: Any, spec: Table, files: Sequence[CsvFile], hive: str) -> list[str]:
    """Create the view of trimmed text and return its columns; files with equal headers share a reader."""

    def shape(file: CsvFile) -> tuple[tuple[str, ...], str, int]:
        return file.names, file.delimiter, file.skipped_lines

    readers = []
    for (header, delimiter, skipped), group in groupby(sorted(files, key=shape), shape):
        listed = ", ".join(quoted(str(file.path)) for file in group)
        columns = ", ".join(f"{quoted(name)}: 'VARCHAR'" for name in header)
        readers.append(
            f"SELECT * FROM read_csv([{listed}], auto_detect = false, header = true, skip = {skipped}, "
            f"delim = {quoted(delimiter)}, quote = '\"', escape = '\"', columns = {{{columns}}}, {hive})"
        )
    union = " UNION ALL BY NAME ".join(readers)
    names = [row[0] for row in con.con.execute(f"DESCRIBE {union}").fetchall()]
    trimmed = [f"nullif({_trimmed(_varchar(name))}, '') AS {identifier(name)}" for name in names]
    ids = [_varchar(name) for name in names if name in spec and spec[name].is_id]
    padded = " OR ".join(_is_padded(name) for name in ids) or "false"
    con.con.execute(
        f"CREATE TEMPORARY VIEW {_view('text', spec)} AS "
        f"SELECT {', '.join(trimmed)}, {padded} AS {identifier(PADDED)} FROM ({union})"
    )
    return names


def _is_padded(text: str) -> str:
    """Return SQL that is true for text that begins or ends with a blank."""
    listed = ", ".join(str(ord(blank)) for blank in BLANKS)
    return f"(unicode({text}) IN ({listed}) OR unicode({text}[-1]) IN ({listed}))"


def _trimmed(text: str) -> str:
    """Return SQL for trimmed text; the engine's trim is slow, so that it runs on padded text only."""
    return f"CASE WHEN {_is_padded(text)} THEN trim({text}, {quoted(BLANKS)}) ELSE {text} END"


def _write(con: Any, spec: Table, read: dict[str, Cell]) -> str:
    """Write the value of each text and the verdict on both to a Parquet file, and return its reader."""
    values = ", ".join(f"{cell.value} AS {cells.value_of(name)}" for name, cell in read.items())
    verdicts = ", ".join(f"{cell.verdict} AS {_verdict(name)}" for name, cell in read.items())
    judged, target = _view("judged", spec), quoted(str(con.workspace / f"{spec.name}.parquet"))
    con.con.execute(
        f"CREATE TEMPORARY VIEW {judged} AS "
        f"SELECT *, {verdicts} FROM (SELECT *, {values} FROM {_view('text', spec)})"
    )
    texts = ", ".join(identifier(name) for name in read)
    con.con.execute(f"COPY (SELECT * EXCLUDE ({texts}) FROM {judged}) TO {target} (FORMAT parquet)")
    return f"read_parquet({target})"


def _varchar(name: str) -> str:
    return f"CAST({identifier(name)} AS VARCHAR)"


def _cell(spec: Table, name: str, options: Options) -> Cell:
    """Return how a column is read; for a column that the contract does not know, whether it is numbers."""
    if is_withheld(spec, name):
        # Free text and contact data are not even written to the loader's own temporary file.
        return Cell("CAST(NULL AS VARCHAR)")
    if name in spec:
        return cells.cell(spec[name], options.local_tz, options.epoch.get(f"{spec.name}.{name}"))
    return Cell(identifier(name)) if name.endswith("_id") else cells.free(name)


def _count_verdicts(con: Any, names: Sequence[str], typed: str) -> tuple[dict[str, Counts], int]:
    """Count every verdict of every column, and the padded rows, in one scan."""
    counts = ", ".join(f"histogram(CAST({_verdict(name)} AS VARCHAR))" for name in names)
    padded = f"count(*) FILTER ({identifier(PADDED)})"
    *found, rows = con.con.execute(f"SELECT {counts}, {padded} FROM {typed}").fetchone()
    return {name: each or {} for name, each in zip(names, found, strict=True)}, rows


def malformed(spec: Table, error: duckdb.Error) -> Violation:
    """Say which line the CSV reader could not follow."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    said = " ".join(line for line in lines[:4] if not line.startswith("LINE"))
    return Violation(spec.name, "(row)", "malformed row", 1, (), f"{said} Mend the line in the file.")


def _violations(con: Any, spec: Table, counts: dict[str, Counts], options: Options) -> Iterator[Violation]:
    """Turn verdicts into violations, with examples fetched for those that occur."""
    for name, verdicts in counts.items():
        for rule in filter(verdicts.__contains__, ADVICE):
            count, zoned = verdicts[rule], verdicts.get(cells.ZONED, 0)
            advice = ADVICE[rule].format(where=f"{spec.name}.{name}", local_tz=options.local_tz)
            said, shown = rule, [rule] * EXAMPLES
            if rule == cells.LOCAL and zoned:
                said, shown[-1] = "mixed times with and without a zone", cells.ZONED
                advice = f"{counted(zoned, 'row')} with an offset and {count:,} without. {advice}"
            rows = _examples(con, spec, name, list(counts), shown)
            yield Violation(spec.name, name, said, count, rows, advice)


def _examples(
    con: Any, spec: Table, name: str, names: Sequence[str], verdicts: Sequence[str]
) -> tuple[dict[str, Any], ...]:
    """Return one row for each verdict asked for: its key and its text."""
    shown = list(dict.fromkeys([*(key for key in spec.key if key in names), name]))
    columns = ", ".join(identifier(column) for column in shown)
    rows: list[dict[str, Any]] = []
    for verdict in dict.fromkeys(verdicts):
        where = f"{_verdict(name)} = {quoted(verdict)} LIMIT {verdicts.count(verdict)}"
        found = con.con.execute(f"SELECT {columns} FROM {_view('judged', spec)} WHERE {where}").fetchall()
        rows += [dict(zip(shown, row, strict=True)) for row in found]
    return tuple(rows)


def _notes(spec: Table, counts: dict[str, Counts], padded: int, options: Options) -> Iterator[str]:
    """Say what was understood only because somebody declared it, and what was set aside."""
    for name, verdicts in counts.items():
        twice = verdicts.get(cells.TWICE, 0)
        local = verdicts.get(cells.DECLARED, 0) + twice
        if local:
            yield f"{spec.name}.{name}: {counted(local, 'time')} without a zone read as {options.local_tz}."
        if twice:
            yield (
                f"{spec.name}.{name}: {twice:,} of them in the hour that comes twice when summer time ends."
            )
        if _is_number(spec, name, verdicts):
            yield f"{spec.name}.{name}: not in the contract, read as a number."
    if padded:
        yield f"{spec.name}: {counted(padded, 'row')} with blanks or tabs around an id, read without."


def _is_number(spec: Table, name: str, verdicts: Counts) -> bool:
    """Whether a column outside the contract holds plain numbers only."""
    return name not in spec and verdicts.keys() == {cells.PLAIN}


def _value(spec: Table, name: str, verdicts: Counts) -> str:
    value = cells.value_of(name)
    return f"TRY_CAST({value} AS DOUBLE)" if _is_number(spec, name, verdicts) else value
