"""A mapping applied inside the engine: its sources become tables of the contract, and every row is accounted for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from helpers.data.exports.mapping import Mapping
from helpers.data.reading import Found


def mapped(con: Any, folder: Path, mapping: Mapping) -> tuple[Found, pd.DataFrame]:
    """Return the tables of a mapping, not yet checked against the contract, and the account of its rows.

    Parameters
    ----------
    con : Ibis connection to DuckDB
        With a ``workspace``, as `engine.connect` makes it.
    folder : Path
        Where the files of the mapping are.
    mapping : Mapping
        Without open questions.

    Returns
    -------
    found : Found
        Lazy tables, violations in words of the export, and notes: what was assumed, joined, read by a declared zone.
    account : pandas.DataFrame
        ``source, table, reason, rows``: the rows read of a source are the sum over the reasons of one table, of which
        ``mapped`` is one.

    Raises
    ------
    BadData
        When questions are open, files are missing, or a named column is in none of them.
    """
    raise NotImplementedError
