"""The weekly review: does the plan hold, what changed and is real, what to approve, what became of what was approved.

How the parts fit, from tables and earlier reports to a page
-------------------------------------------------------------
`metrics` counts what no other method publishes, by ISO week. `moves` judges the last whole week of each against its
own eight ordinary weeks before, all of them together, and says where a real change came from. `goals` says where the
pace leads. `elsewhere` says what late data changed. Which other reports there are, what they found, and whether
stated chances came true is said by `helpers.playbook`, and so is how long cases wait and how often content breaks the
rules. `drivers` and `outside` answer small questions, each in a line where its table is missing. `decisions` puts the
leading numbers and at most three decisions on top, with what became of those that were taken before.
"""

from helpers.methods.weekly_review.decisions import decisions, earlier_actions, headline, summary
from helpers.methods.weekly_review.elsewhere import restated
from helpers.methods.weekly_review.goals import gaps, goals
from helpers.methods.weekly_review.metrics import weekly_metrics
from helpers.methods.weekly_review.moves import moved
from helpers.methods.weekly_review.outside import benchmarks, competitors, unit_costs
from helpers.playbook.earlier import earlier_reports
from helpers.playbook.reports_told import report_health, topic
from helpers.playbook.result import asks
from helpers.playbook.returned import returned_lists
from helpers.playbook.track_record import track_record
from helpers.playbook.workflow import case_delays, violation_rate

__all__ = [
    "benchmarks", "case_delays", "competitors", "decisions", "earlier_actions", "earlier_reports", "gaps",
    "goals", "headline", "moved", "report_health", "restated", "returned_lists", "summary", "topic",
    "track_record", "unit_costs", "violation_rate", "weekly_metrics",
]  # fmt: skip


# Whoever hands over a frame in place of a study is told how the one becomes the other.
globals().update({name: asks(globals()[name]) for name in __all__})


def __dir__() -> list[str]:
    """Offer the public names."""
    return __all__
