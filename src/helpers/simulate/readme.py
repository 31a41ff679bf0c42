"""The README of a simulated community: what it is, how to make it again, and what is in it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from helpers.simulate import truth as truth_module
from helpers.simulate import world
from helpers.simulate.parameters import PLAIN, SCENARIOS

README = "README.md"
INTRO = Path(__file__).with_suffix(".md").read_text("utf-8")


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
