"""From results to findings: each number of the RFM notebook that somebody may act on."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import pandas as pd

from helpers.methods.rfm.concentration import PeriodComparison
from helpers.methods.rfm.contest import RFM_SCORE, Contest
from helpers.methods.rfm.history import TierHistory
from helpers.playbook.finding import Direction, Finding, finding
from helpers.sentences import say
from helpers.stats.estimate import Estimate

INDEPENDENT = "members act independently of each other"


class Meaning(NamedTuple):
    """What a number is, what must hold for it, the systems it carries, and how a change of it is judged."""

    metric: str
    assumption: str
    systems: tuple[str, ...]
    direction: Direction = "neither"
    change: bool = False


MEANINGS = {
    "rfm.silent_share": Meaning(
        "silent members",
        "a member without a recorded action was silent, not elsewhere",
        ("S005", "S027"),
        "down is good",
    ),
    "rfm.net_promotion_rate": Meaning(
        "net promotion rate", INDEPENDENT, ("S001", "S005"), "up is good", change=True
    ),
    "rfm.top_share": Meaning("value held by the top fifth", INDEPENDENT, ("S014",)),
    "rfm.carried_share": Meaning(
        "next period's value from the former top fifth", INDEPENDENT, ("S014", "S018")
    ),
    "rfm.tier_value_ratio": Meaning(
        "value ratio of top to bottom tier",
        "the next period stands for periods to come; a tier is a sign of value, not its cause",
        ("S006",),
    ),
    "rfm.effort_gap": Meaning(
        "share of effort minus share of value of the top fifth",
        "effort booked on a tier is spread evenly over its members",
        ("S014",),
    ),
    "rfm.model_gain": Meaning(
        f"lift of the best model over the {RFM_SCORE}",
        "the hold-out stands for the next period",
        ("S018", "S023"),
        "up is good",
        change=True,
    ),
    "rfm.segment_stability": Meaning(
        "stability of the least stable named segment",
        "k-means on scaled behaviour; a segment is a description, not a cause",
        ("S007",),
        "up is good",
    ),
}


class Told(Protocol):
    """A result in words."""

    @property
    def sentence(self) -> str:
        """What was found."""


def stated(id: str, estimate: Estimate, result: Told, scope: str) -> Finding:
    """Return a number of a result as the finding of this id.

    Parameters
    ----------
    id : str
        One of :data:`MEANINGS`.
    estimate : record
        The number with its interval.
    result : record
        What it belongs to; its sentence is that of the finding.
    scope : str
        Population and period.
    """
    meaning = MEANINGS[id]
    return finding(
        estimate,
        id=id,
        metric=say(meaning.metric),
        scope=scope,
        sentence=result.sentence,
        assumption=say(meaning.assumption),
        direction=meaning.direction,
        change=meaning.change,
        systems=meaning.systems,
    )


def populations(now: int, history: TierHistory, compared: PeriodComparison, held: Contest) -> pd.DataFrame:
    """Return which members each part of the study counts, and how many they are; `now` those of the last day."""
    last = history.periods[-1] if history.periods else ""
    whole = int(history.sizes.loc[history.sizes["period"] == last, "members"].sum())
    judged = int(held.table["n"].max()) if len(held.table) else 0
    rows = [
        ("now", "present on the last day", now, "scores, tiers now, concentration, lists"),
        ("whole period", "present all of {period}", whole, "pyramid, moves, forecast"),
        ("at the split", "present on {day}", compared.window.n, "value after the split"),
        ("contest", "present on {day} and had bought", judged, "forecasts of value"),
    ]
    told = [(say(name), say(who, period=last, day=held.split), n, say(use)) for name, who, n, use in rows]
    return pd.DataFrame(told, columns=["population", "who", "members", "used_for"])
