"""A simulated community whose truth is known: for examples, for tests and for benchmarks.

`community` makes a small one in memory, `write` one of any size on disk, and `member_months` shows the hidden
states behind either. All three come from the same generator, so for equal arguments they agree row by row.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa

from helpers.checks import check_scalar, did_you_mean
from helpers.simulate.calendar import DAY, Window
from helpers.simulate.columns import to_pandas
from helpers.simulate.community import TABLES, Generator
from helpers.simulate.parameters import TIERS, Parameters
from helpers.simulate.readme import README, readme
from helpers.simulate.scenarios import SCENARIOS
from helpers.simulate.truth import collect
from helpers.simulate.world import BLOCK, Block, World
from helpers.simulate.write import Progress, check_folder, table_writers, write_truth

__all__ = ["SCENARIOS", "TABLES", "Community", "Parameters", "community", "member_months", "write"]

START = date(2025, 7, 1)


class Community(NamedTuple):
    """Tables of a simulated community by name, and its truth, as `helpers.simulate.truth` defines it."""

    tables: dict[str, pd.DataFrame]
    truth: dict[str, Any]


def _world(members: int, days: int, seed: int, start: date, parameters: Parameters | None) -> World:
    check_scalar(members, "members", type_=int, ge=1)
    check_scalar(days, "days", type_=int, ge=1)
    check_scalar(seed, "seed", type_=int, ge=0)
    return World(members, Window(start, days, parameters or Parameters()), seed)


def _named(tables: Collection[str] | None) -> Collection[str]:
    for name in tables or ():
        if name not in TABLES:
            hint = did_you_mean(name, TABLES)
            raise ValueError(f"tables == {name!r}, must be among {', '.join(TABLES)}.{hint}")
    return TABLES if tables is None else tables


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
    generator = Generator(_world(members, days, seed, start, parameters), _named(tables))
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
    rows = {name: writer.rows for name, writer in writers.items()}
    (folder / README).write_text(readme(truth, rows, str(out), scenario), encoding="utf-8")
    return folder


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
    world = _world(members, days, seed, start, parameters)
    months = world.window.months
    labels, whole = np.array([month.label for month in months]), np.array([month.whole for month in months])
    begins, ends = world.window.firsts[:, None] * DAY, world.window.ends[:, None] * DAY
    frames = []
    for number in range(-(-members // BLOCK)):
        block = Block(world, number)
        people, behaviour = block.members, block.behaviour
        here = (behaviour.tiers >= 0) & (people.left >= begins) & people.ordinary
        present = whole[:, None] & (people.join_day * DAY <= begins) & (people.left >= ends)
        month, row = np.nonzero(here)
        frames.append(
            pd.DataFrame(
                {
                    "member_id": people.number[row].astype(str),
                    "month": labels[month],
                    "tier": np.array(TIERS)[behaviour.tiers[month, row]],
                    "present": present[month, row],
                    "exit_probability": behaviour.exit_probability[month, row],
                    "pushes": behaviour.pushes[month, row],
                }
            )
        )
    return pd.concat(frames, ignore_index=True)
