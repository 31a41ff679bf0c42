"""From results to findings: each number of the retention notebook that somebody may act on."""

from __future__ import annotations

from helpers.methods.retention.cohort_value import CohortValue
from helpers.methods.retention.lifetime_value import LifetimeValue
from helpers.playbook.finding import Direction, Finding, finding
from helpers.sentences import say

UP: Direction = "up is good"
DOWN: Direction = "down is good"


def newcomer_value(found: LifetimeValue, scope: str) -> Finding:
    """State what a newcomer is worth."""
    assumption = say("survival and value at a tenure stay as they were")
    if found.table.set_index("part").loc["extrapolated", "days"]:
        assumption = say("survival and value at a tenure stay as they were; the extrapolated part leans low")
    return finding(
        found.estimate(),
        id="retention.newcomer_value",
        metric=say("value of a newcomer in {days} days", days=found.horizon_days),
        scope=scope,
        sentence=found.sentence,
        assumption=assumption,
        direction=UP,
        systems=("S018",),
    )


def cohort_growth(found: CohortValue, scope: str) -> Finding:
    """State the value of later cohorts over that of earlier ones at equal age."""
    return finding(
        found.growth,
        id="retention.cohort_growth",
        metric=say("value at {age} days, later over earlier cohorts", age=found.age_days),
        scope=scope,
        sentence=found.sentence,
        assumption=say("seasons are not taken out"),
        direction=UP,
        systems=("S019",),
    )
