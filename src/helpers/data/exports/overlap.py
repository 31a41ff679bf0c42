"""Files of one export that say different things of one key, so that it matters which of them is the later."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import duckdb

from helpers.data.exports.apply import exported, trimmed
from helpers.data.exports.expressions import Text
from helpers.data.exports.files import RawFile
from helpers.data.exports.mapping import Mapping, Source, Target, Value
from helpers.data.tables import TABLES
from helpers.data.views import identifier


def differ(raws: Sequence[RawFile], drafted: str, workspace: Path) -> bool:
    """Whether rows with one key stand in several files and are not the same there.

    Parameters
    ----------
    raws : sequence of RawFile
        Grids of one export.
    drafted : str
        The words of its source in a mapping; what is asked in it counts as nothing.
    workspace : Path
        Folder for the mapping that is read.
    """
    paths = list(dict.fromkeys(raw.path for raw in raws))
    if len(paths) == 1:
        return False
    place = workspace / "overlap.yml"
    place.write_text(f"view: buyer\nsources:\n  one:\n    files: ['*']\n{drafted}", "utf-8")
    (source,) = Mapping.read(place).sources
    names = sorted(source.columns & set(raws[0].names))
    if not names or all(exported(source, path.name, "") for path in paths):
        return False
    texts = ", ".join(f"{trimmed(identifier(name))} AS {identifier(name)}" for name in names)
    rows = " UNION ALL ".join(
        f"SELECT {paths.index(raw.path)} AS n, {texts} FROM ({raw.query})" for raw in raws
    )
    queries = filter(None, (_query(source, target, names, rows) for target in source.tables))
    with duckdb.connect() as con:
        return any(con.execute(query).fetchall() for query in queries)


def _query(source: Source, target: Target, names: Sequence[str], rows: str) -> str:
    """Return SQL that yields a row when files differ; nothing where the first that is seen counts anyway."""
    values = [target.columns.get(name, Value()) for name in TABLES[target.table].key]
    keys = sorted(set(names) & {column for value in values for column in value.columns})
    if not keys or target.same_key == "first" or target.first_seen or target.totals:
        return ""
    reasons = [sql for sql, _ in Text("").reasons(source, target)]
    there = " AND ".join(
        [*(f"{identifier(key)} IS NOT NULL" for key in keys), *(f"NOT ({sql})" for sql in reasons)]
    )
    key, every = (", ".join(map(identifier, each)) for each in (keys, names))
    said = f"CAST(list_sort(list(DISTINCT row({every}))) AS VARCHAR)"
    each = f"SELECT {key}, n, {said} AS said FROM ({rows}) WHERE {there} GROUP BY {key}, n"
    return f"SELECT 1 FROM ({each}) GROUP BY {key} HAVING count(DISTINCT said) > 1 LIMIT 1"
