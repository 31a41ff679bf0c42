"""The designs of the experiments, as files: what was registered before the first outcome."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import yaml

from helpers.data.design import FOLDER, digest
from helpers.simulate.calendar import REPORT_TZ
from helpers.simulate.waves import RAMP_WEEKS, SHARES, days_of
from helpers.simulate.world import World

FIELDS = yaml.safe_load(Path(__file__).with_suffix(".yml").read_text("utf-8"))
GAINS = {True: 0.02, False: 0.2}
"""Share of the value of a conversion that is left of a visitor of the live show, and of an order."""


def designs(world: World) -> Iterator[dict[str, Any]]:
    """Yield the design of each experiment: fields as in the file, with the digest."""
    p, window = world.window.parameters, world.window
    first, last = days_of(window)
    ramp = [(first, SHARES[0]), (first + 7 * RAMP_WEEKS, SHARES[1])]
    fortnights = [*range(first + 28, last, 14), last]
    held = [(plan.experiment, [(plan.day, 0.5)], [plan.last]) for plan in world.plans]
    for test, periods, looks in [*held, (p.invitation, ramp, fortnights)]:
        start, end = _day(world, periods[0][0]), _day(world, looks[-1])
        worth = p.value_per_conversion * GAINS[test is p.invitation]
        fields = (
            FIELDS["common"]
            | FIELDS[test.exp_id]
            | {
                "experiment": test.exp_id,
                "allocation": [
                    {"start": _day(world, day), "shares": [1 - share, share]} for day, share in periods
                ],
                "outcome_days": test.outcome_days,
                "looks": [_day(world, day) for day in looks],
                "start": start,
                "end": end,
                "unit_value": round(worth, 2),
                "units_a_month": float(world.members // 4),
                "registered_at": datetime.combine(start, time(7), ZoneInfo(REPORT_TZ)),
            }
        )
        yield fields | {"sha256": digest(fields)}


def _day(world: World, number: int) -> date:
    return world.window.start + timedelta(days=number)


def write_designs(out: Path, world: World) -> None:
    """Write ``experiments/NAME.yml`` of each experiment."""
    (out / FOLDER).mkdir(exist_ok=True)
    for fields in designs(world):
        text = yaml.safe_dump(fields, allow_unicode=True, sort_keys=False, width=110)
        (out / FOLDER / f"{fields['experiment']}.yml").write_text(text, encoding="utf-8")
