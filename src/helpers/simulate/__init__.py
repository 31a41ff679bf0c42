"""A simulated community whose truth is known: for examples, for tests and for benchmarks.

`community` makes a small one in memory and `write` one of any size on disk. Both come from the same generator, so for
equal arguments they agree row by row.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import pyarrow as pa

from helpers.checks import check_scalar
from helpers.simulate.calendar import Window
from helpers.simulate.columns import to_pandas
from helpers.simulate.community import TABLES, Generator
from helpers.simulate.designs import write_designs
from helpers.simulate.parameters import SCENARIOS, Parameters
from helpers.simulate.readme import README, readme
from helpers.simulate.truth import collect
from helpers.simulate.world import World
from helpers.simulate.write import Progress, check_folder, table_writers, write_truth

__all__ = ["SCENARIOS", "TABLES", "Community", "Parameters", "community", "write"]

START = date(2025, 7, 1)


class Community(NamedTuple):
    """Tables of a simulated community by name, and its truth, as `helpers.simulate.truth` defines it."""

    tables: dict[str, pd.DataFrame]
    truth: dict[str, Any]


def _world(members: int, days: int, seed: int, start: date, parameters: Parameters | None) -> World:
    for name, value, least in (("members", members, 1), ("days", days, 1), ("seed", seed, 0)):
        check_scalar(value, name, type_=int, ge=least)
    return World(members, Window(start, days, parameters or Parameters()), seed)


def community(
    members: int,
    days: int,
    seed: int,
    start: date = START,
    tables: Collection[str] = TABLES,
    parameters: Parameters | None = None,
) -> Community:
    """Return a simulated community in memory.

    Parameters
    ----------
    members, days : int
        Members that are ever seen (staff and bots included) and observed local days (Asia/Shanghai).
    seed : int
        Equal seeds give equal communities.
    start : datetime.date
        First observed day. The tier chain moves by calendar month.
    tables : collection of str, optional
        Tables to make. Leaving some out saves time and does not change the others.
    parameters : Parameters, optional
        Other true parameters.

    Returns
    -------
    Community
        ``tables`` (plain strings, UTC timestamps in microseconds, ``datetime.date`` days) and ``truth``.

    Raises
    ------
    TypeError, ValueError
        When an argument is out of bounds or a table is unknown.
    """
    for name in tables:
        check_scalar(name, "tables", in_=TABLES)
    generator = Generator(_world(members, days, seed, start, parameters), tables)
    parts: dict[str, list[pa.Table]] = {name: [] for name in generator.tables}
    for _, made in generator.parts():
        for name, table in made.items():
            parts[name].append(table)
    frames = {name: to_pandas(pa.concat_tables(rows)) for name, rows in parts.items()}
    return Community(frames, collect(generator.account, generator.world))


def write(
    out: str | Path,
    members: int,
    days: int,
    seed: int,
    progress: Progress | None = None,
    scenario: str = "plain",
) -> Path:
    """Write a simulated community as Parquet, with ``truth.json`` and ``README.md``.

    Memory does not grow with the number of members: blocks of members are made, written and forgotten.

    Parameters
    ----------
    out : str or Path
        Folder to write to. Tables of an earlier simulation there are replaced, once all are written.
    members, days, seed
        As in `community`, with the same result.
    progress : callable, optional
        Called with (members done, members) as the work goes on.
    scenario : str
        Name of the true parameters, of `SCENARIOS`.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    BadParameters
        When the folder holds tables that no simulation wrote.
    """
    check_scalar(scenario, "scenario", in_=SCENARIOS)
    generator = Generator(_world(members, days, seed, START, SCENARIOS[scenario].parameters), TABLES)
    folder = Path(out)
    check_folder(folder, TABLES)
    with table_writers(folder, TABLES) as writers:
        for done, made in generator.parts():
            for name, table in made.items():
                writers[name].add(table)
            if progress is not None and done:
                progress(done, members)
    truth = collect(generator.account, generator.world)
    write_truth(folder, truth)
    write_designs(folder, generator.world)
    rows = {name: writer.rows for name, writer in writers.items()}
    (folder / README).write_text(readme(truth, rows, str(out), scenario), encoding="utf-8")
    return folder
