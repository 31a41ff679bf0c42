"""A simulated community whose truth is known: for examples, for tests and for benchmarks.

`community` makes a small one in memory, `write` one of any size on disk, and `member_months` shows the hidden
states behind either. All three come from the same generator, so for equal arguments they agree row by row.
"""

from __future__ import annotations

from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa

from helpers.checks import check_scalar, did_you_mean
from helpers.simulate.behaviour import draw_behaviour
from helpers.simulate.calendar import DAY, Window
from helpers.simulate.columns import Columns, to_arrow, to_pandas
from helpers.simulate.community import BLOCK, TABLES, Generator
from helpers.simulate.members import draw_members
from helpers.simulate.parameters import TIERS, Parameters
from helpers.simulate.readme import README, readme
from helpers.simulate.truth import collect
from helpers.simulate.write import STAGING, Progress, Writers, check_folder, publish, write_truth

__all__ = ["TABLES", "Community", "Parameters", "community", "member_months", "write"]

START = date(2025, 7, 1)


class Community(NamedTuple):
    """Tables of a simulated community by name, and its truth (see ``definitions`` inside it)."""

    tables: dict[str, pd.DataFrame]
    truth: dict[str, Any]


def _generator(
    members: int,
    days: int,
    seed: int,
    start: date,
    tables: Collection[str] | None,
    parameters: Parameters | None,
) -> Generator:
    check_scalar(members, "members", type_=int, ge=1)
    check_scalar(days, "days", type_=int, ge=1)
    check_scalar(seed, "seed", type_=int, ge=0)
    for name in tables or ():
        if name not in TABLES:
            hint = did_you_mean(name, TABLES)
            raise ValueError(f"tables == {name!r}, must be among {', '.join(TABLES)}.{hint}")
    wanted = [name for name in TABLES if tables is None or name in tables]
    return Generator(members, Window(start, days, parameters or Parameters()), seed, wanted)


def community(
    members: int,
    days: int,
    seed: int,
    start: date = START,
    tables: Collection[str] | None = None,
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
        Tables to make, default all of `TABLES`. Leaving some out saves time and does not change the others.
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
    generator = _generator(members, days, seed, start, tables, parameters)
    parts: dict[str, list[pa.Table]] = {name: [] for name in generator.tables}
    made = [generator.opening()]
    made += [generator.block(number) for number in range(generator.blocks)]
    made.append(generator.closing())
    for columns in made:
        for name, table in columns.items():
            parts[name].append(to_arrow(table))
    frames = {name: to_pandas(pa.concat_tables(tables)) for name, tables in parts.items()}
    return Community(frames, _truth(generator))


def _truth(generator: Generator) -> dict[str, Any]:
    return collect(
        generator.account, generator.plans, generator.advertising, generator.seed, generator.members
    )


def write(
    out: str | Path,
    members: int,
    days: int,
    seed: int,
    start: date = START,
    block_members: int = 100_000,
    progress: Progress | None = None,
    tables: Collection[str] | None = None,
    parameters: Parameters | None = None,
) -> Path:
    """Write a simulated community as Parquet, with ``truth.json`` and ``README.md``.

    Memory does not grow with the number of members: blocks of members are made, written and forgotten.

    Parameters
    ----------
    out : str or Path
        Folder to write to. Tables of an earlier simulation there are replaced, once all are written.
    members, days, seed, start, tables, parameters
        As in `community`, with the same result.
    block_members : int
        Members per partition. A table with one partition is a file ``<name>.parquet``, else a folder
        ``<name>/part-00000.parquet``, …. Rows do not depend on it.
    progress : callable, optional
        Called with (members done, members) as the work goes on.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    BadParameters
        When the folder holds tables that no simulation wrote.
    """
    generator = _generator(members, days, seed, start, tables, parameters)
    check_scalar(block_members, "block_members", type_=int, ge=1)
    folder = Path(out)
    check_folder(folder, TABLES)
    with Writers(folder / STAGING, generator.tables) as writers:
        _write_blocks(generator, writers, max(block_members // BLOCK, 1), progress)
        writers.add(_arrow(generator.closing()))
    publish(folder / STAGING, folder, TABLES)
    write_truth(folder, _truth(generator))
    defaults = (start, tables, parameters) == (START, None, None)
    (folder / README).write_text(readme(folder, str(out), defaults), encoding="utf-8")
    return folder


def _write_blocks(
    generator: Generator, writers: Writers, blocks_per_part: int, progress: Progress | None
) -> None:
    """Write all blocks, while the next one is being made in a second thread."""

    def make(number: int) -> dict[str, pa.Table]:
        return _arrow(generator.block(number))

    writers.add(_arrow(generator.opening()))
    with ThreadPoolExecutor(1) as ahead:
        following = ahead.submit(make, 0)
        for number in range(generator.blocks):
            made = following.result()
            if number + 1 < generator.blocks:
                following = ahead.submit(make, number + 1)
            writers.add(made)
            if (number + 1) % blocks_per_part == 0:
                writers.end_part()
            if progress is not None:
                progress(min((number + 1) * BLOCK, generator.members), generator.members)


def _arrow(columns: dict[str, Columns]) -> dict[str, pa.Table]:
    return {name: to_arrow(table) for name, table in columns.items()}


def member_months(
    members: int, days: int, seed: int, start: date = START, parameters: Parameters | None = None
) -> pd.DataFrame:
    """Return the hidden state of each ordinary member in each calendar month of being a member.

    Returns
    -------
    pandas.DataFrame
        ``member_id``, ``month`` (``YYYY-MM``), ``tier`` (planted), ``present`` (throughout the month, which
        is wholly observed: there the tier by counted interactions equals the planted one),
        ``exit_probability`` (to leave in this month, for one who is present when it, or membership, begins)
        and ``pushes`` (planned for the month).
    """
    generator = _generator(members, days, seed, start, (), parameters)
    window, frames = generator.window, []
    for number in range(generator.blocks):
        count = min(BLOCK, members - number * BLOCK)
        block = draw_members(generator.stream("members", number), window, number * BLOCK, count, seed)
        behaviour = draw_behaviour(generator.stream("behaviour", number), window, block)
        first = np.array([month.first for month in window.months])[:, None]
        after = np.array([month.last + 1 for month in window.months])[:, None]
        whole = np.array([month.whole for month in window.months])[:, None]
        here = (behaviour.tiers >= 0) & (block.left >= first * DAY) & block.ordinary
        present = whole & (block.join_day <= first) & (block.left >= after * DAY)
        month, row = np.nonzero(here)
        frames.append(
            pd.DataFrame(
                {
                    "member_id": block.number[row].astype(str),
                    "month": np.array([month.label for month in window.months])[month],
                    "tier": np.array(TIERS)[behaviour.tiers[month, row]],
                    "present": present[month, row],
                    "exit_probability": behaviour.exit_probability[month, row],
                    "pushes": behaviour.pushes[month, row],
                }
            )
        )
    return pd.concat(frames, ignore_index=True)
