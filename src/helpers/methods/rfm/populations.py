"""Which members each part of the study counts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd

from helpers.methods.rfm.concentration import PeriodComparison
from helpers.methods.rfm.contest import Contest
from helpers.methods.rfm.members import CurrentTiers
from helpers.playbook.result import Result
from helpers.sentences import say
from helpers.study import Study
from helpers.tables import Table


@dataclass(frozen=True, repr=False)
class Populations(Result):
    """Who is counted where.

    Attributes
    ----------
    table : pandas.DataFrame
        population, who, members, used_for.
    """

    table: pd.DataFrame

    @property
    def sentence(self) -> str:
        """That the parts differ in whom they count."""
        return say("The parts of this report count different members; the table says whom, and why.")

    def tables(self) -> Iterator[Table]:
        """Yield who is counted where."""
        caption = say("Which members each part counts")
        yield Table("populations", self.table, caption, members="members", hide=[])


def populations(
    study: Study, members: CurrentTiers, compared: PeriodComparison, held: Contest
) -> Populations:
    """Return which members each part counts, and how many they are."""
    history = members.history
    last, whole = (
        (history.periods[-1], "present all of {period}") if history.periods else ("", "no whole period yet")
    )
    rows = [
        ("now", "present on the last day", members.silent.n, "scores, tiers now, concentration, lists"),
        ("whole period", whole, history.members, "moves, forecast"),
        ("at the split", "present on {day}", compared.window.n, "value after the split"),
        ("contest", "present on {day}, or a sample of many", held.n, "forecasts of value"),
    ]
    told = [(say(name), say(who, day=held.split, period=last), n, say(use)) for name, who, n, use in rows]
    return Populations(study, pd.DataFrame(told, columns=["population", "who", "members", "used_for"]))
