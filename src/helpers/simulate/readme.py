"""The README of a simulated community: what it is, how to make it again, its columns and its truth."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from helpers.data.schema import Column, describe_column, describe_table
from helpers.data.tables import TABLES
from helpers.simulate.truth import DEFINITIONS

README = "README.md"
ORIGIN = """Made, and made again at any time with the same bytes, by

```
playbook simulate {out} --members {members} --days {days} --seed {seed}
```
"""
ORIGIN_OTHER = (
    "Made by `helpers.simulate.write` with a start, tables or parameters of its own; see `truth.json`.\n"
)
EXTRA = {
    ("members", "early_reply"): Column(
        "early_reply",
        "boolean",
        meaning="First contribution was answered within a day; given at random (extra column)",
    )
}

INTRO = """# A simulated community

Nothing here is real: {members:,} members of an invented community, seen for {days} days from {start} to {end}
(Asia/Shanghai). It is small enough to read and large enough to try every notebook on, and its truth is known:
`truth.json` holds every number that a method should find again.

{origin}

Tables are Parquet files, or folders of Parquet parts. Identifiers are strings, `*_at` and `ts` are UTC instants in
microseconds, `date` is a calendar day in Asia/Shanghai, money is CNY.

## What is in it

- {existing:.0%} of the members joined up to {tenure} days before the first day, so the event log does not reach
  back to their beginning; the others joined while it ran. Some left (`left_at`); nobody comes back after leaving.
- Each member moves between the tiers silent, potential, active and core by calendar month, by a planted Markov
  chain: 0, 1-10, 11-50 or at least 51 interactions in the month. Counting interactions finds the planted tier
  again for everyone who was a member throughout the month.
- Returning from silence and leaving depend on where a member came from (`source`), on whether the first
  contribution was answered (`early_reply`), and leaving also on the tier of the month before, on the number of
  pushes of the month before and on tenure.
- `value` of an event is the amount paid for `pay` and empty for all others.
- Orders follow tier and taste (Gamma heterogeneity), amounts of goods are Gamma-Gamma. Some orders are caused by
  touchpoints; others are merely preceded by one, search above all, which last-touch rules get wrong.
- Three experiments (a coupon that works, a cover style that does nothing, a daily push that harms a little), with
  some units never exposed. Advertising has carry-over and saturation, and its platforms claim too much.
- A double-11 promotion, a Spring Festival dip, an incident, a daily and a weekly rhythm, heavy tails, staff and
  bots (flagged, and very active), events that reach the warehouse days late. `metric_daily` counts every account,
  as a dashboard would.
- `ad_daily`, `costs` and the metric `conversions` describe the brand's advertising; their conversions are not the
  orders of `orders`, which belong to members.

## Rows

{rows}

## Truth

`truth.json` is one object. `parameters` holds every input of the simulation; the rest follows from it:

{definitions}

"""


def readme(folder: Path, truth: dict[str, Any], out: str, defaults: bool) -> str:
    """Return the README of a simulated community as Markdown.

    Parameters
    ----------
    folder : Path
        A folder with the tables of a simulated community.
    truth : dict
        Its truth.
    out : str
        How the folder is called in the command that makes it again.
    defaults : bool
        Whether size and seed are all that differs from the defaults, so that the command suffices.

    Returns
    -------
    str
        Introduction, rows, definitions of ``truth.json``, and the contract's columns of each table.
    """
    files = {name: paths for name in TABLES if (paths := _files(folder, name))}
    counts = [
        f"| {name} | {sum(pq.read_metadata(path).num_rows for path in paths):,} |"
        for name, paths in files.items()
    ]
    about, parameters = truth["about"], truth["parameters"]
    origin = ORIGIN.format(out=out, **about) if defaults else ORIGIN_OTHER
    intro = INTRO.format(
        origin=origin,
        existing=parameters["existing_share"],
        tenure=parameters["existing_tenure_days"],
        rows="\n".join(["| table | rows |", "|---|---:|", *counts]),
        definitions="\n".join(f"- `{key}`: {meaning}." for key, meaning in DEFINITIONS.items()),
        **about,
    )
    return intro + "\n".join(_section(name, paths[0]) for name, paths in files.items())


def _files(folder: Path, name: str) -> list[Path]:
    """Return the file of a table, or its parts."""
    single = folder / f"{name}.parquet"
    return [single] if single.exists() else sorted((folder / name).glob("part-*.parquet"))


def _section(name: str, path: Path) -> str:
    """Return the contract's description of a table, reduced to the columns that are there."""
    present = pq.read_schema(path).names
    rows = {describe_column(column): column.name for column in TABLES[name].columns}
    lines = [
        line for line in describe_table(TABLES[name]).split("\n") if rows.get(line, present[0]) in present
    ]
    last = max(index for index, line in enumerate(lines) if line.startswith("| `"))
    lines[last + 1 : last + 1] = [
        describe_column(column)
        for (table, extra), column in EXTRA.items()
        if table == name and extra in present
    ]
    return "\n".join(lines)
