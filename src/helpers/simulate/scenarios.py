"""Communities by name: parameters and a story, from ``scenarios.yml``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import yaml

from helpers.simulate.parameters import Parameters

PLAIN = "plain"


class Scenario(NamedTuple):
    """What is told of a community beside the facts that hold for all, and its true parameters."""

    story: str
    parameters: Parameters


def _read() -> dict[str, Scenario]:
    rows = yaml.safe_load(Path(__file__).with_suffix(".yml").read_text("utf-8"))
    return {
        name: Scenario(each["story"], replace(Parameters(), **each["parameters"]))
        for name, each in rows.items()
    }


# Scenarios by the name that the command knows.
SCENARIOS = _read()
