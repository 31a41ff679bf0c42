"""Files of any shape as rows of text that the engine reads: what a file is, its content says, not its name."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class RawFile:
    """One grid of text: a file, a sheet of a workbook, or a member of an archive.

    Attributes
    ----------
    path : Path
        The file of the folder.
    part : str
        Sheet or member of the archive; empty for a plain file.
    query : str
        SQL of DuckDB that yields every row with every cell as text, as it is written: a SELECT without a semicolon,
        fit for ``FROM ({query})``. Empty cells are null; ids keep all of their digits.
    names : tuple of str
        Column names of `query`: NFKC, without blanks, BOM, quotes or backticks around them; a second column of one
        name is ``name_2``, one without a name ``unnamed_3`` by its position. Nested JSON is flat:
        ``author.id``, ``event_params.ga_session_id``; a list of records is the rows; other lists stay JSON text.
    notes : tuple of str
        What was not plain: encoding, lines above the header, cells of numbers that lost digits.
    """

    path: Path
    part: str
    query: str
    names: tuple[str, ...]
    notes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The file's name, with the sheet or member behind it: ``orders.zip/orders_1.csv``."""
        return f"{self.path.name}/{self.part}" if self.part else self.path.name


def open_file(path: Path, workspace: Path, expected: Collection[str] = ()) -> tuple[RawFile, ...]:
    """Return what a file holds, most often one grid.

    Parameters
    ----------
    path : Path
        Text with separators, ``.xlsx``, an HTML table, JSON, JSON lines, Parquet; or any of them packed as zip, gz, zst.
    workspace : Path
        Folder for what must be written anew: archives, workbooks, other encodings. A plain UTF-8 file stays in place.
    expected : collection of str
        Column names that the header row is known by, as in `names`; without them it is found by its form.

    Raises
    ------
    UnreadableFileError
        When the file is empty, damaged, in an unknown encoding, or of a kind that cannot be read.
    """
    raise NotImplementedError
