"""The README of a simulated community: what it is, how to make it again, and what is in it."""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType
from typing import Any

from helpers.simulate import truth as truth_module
from helpers.simulate import world
from helpers.simulate.scenarios import PLAIN, SCENARIOS

README = "README.md"
INTRO = """# A simulated community

Nothing here is real: {members:,} members of an invented community, seen for {days} days from {start} to {end}
(Asia/Shanghai). It is small enough to read and large enough to try every notebook on, and its truth is known:
`truth.json` holds every number that a method should find again.

Made, and made again at any time with the same bytes, by

```
playbook simulate {out} --members {members} --days {days} --seed {seed}{option}
```

Tables are Parquet files. Identifiers are strings, `*_at` and `ts` are UTC instants in microseconds, `date` is a
calendar day in Asia/Shanghai, money is CNY. `playbook check --describe` explains the columns; `early_reply` of
`members` is an extra one: whether the first contribution was answered within a day, given at random.

## What is in it

{story}{facts}

## Rows

| table | rows |
|---|---:|
{rows}

## Truth

`truth.json` is one object. `parameters` holds every input of the simulation; the rest follows from it:

{definitions}
"""


def readme(truth: Mapping[str, Any], rows: Mapping[str, int], out: str, scenario: str) -> str:
    """Return the README of a simulated community as Markdown.

    Parameters
    ----------
    truth : mapping
        Its truth.
    rows : mapping of str to int
        Rows of each table.
    out, scenario : str
        How folder and scenario are called in the command that makes it again.
    """
    about = truth["about"]
    return INTRO.format(
        out=out,
        option="" if scenario == PLAIN else f" --scenario {scenario}",
        story=SCENARIOS[scenario].story,
        facts=_list_in(world),
        rows="\n".join(f"| {name} | {count:,} |" for name, count in rows.items()),
        definitions=_list_in(truth_module),
        **about,
    )


def _list_in(module: ModuleType) -> str:
    """Return what stands below the first line of a module's own documentation."""
    return (module.__doc__ or "").partition("\n\n")[2].strip()
