"""The weekly review: does the plan hold, what changed and is real, what to approve, what became of what was approved.

How the parts fit, from tables and earlier reports to a page
-------------------------------------------------------------
`metrics` counts what no other method publishes, by ISO week. `moves` judges the last whole week of each against its
own eight ordinary weeks before, all of them together, and says where a real change came from. `goals` says where the
pace leads, and how often such chances came true. `elsewhere` brings what other reports found, which are missing, and
what late data changed. `decisions` puts the leading numbers and at most three decisions on top, with what became of
those that were taken before.
"""

from helpers.methods.weekly_review.decisions import decisions, earlier_actions, headline, summary
from helpers.methods.weekly_review.elsewhere import report_health, restated, topic
from helpers.methods.weekly_review.goals import goals, track_record
from helpers.methods.weekly_review.metrics import weekly_metrics
from helpers.methods.weekly_review.moves import moved
from helpers.playbook.earlier import earlier_reports
from helpers.playbook.result import asks
from helpers.playbook.returned import returned_lists

__all__ = [
    "decisions",
    "earlier_actions",
    "earlier_reports",
    "goals",
    "headline",
    "moved",
    "report_health",
    "restated",
    "returned_lists",
    "summary",
    "topic",
    "track_record",
    "weekly_metrics",
]


# Whoever hands over a frame in place of a study is told how the one becomes the other.
globals().update({name: asks(globals()[name]) for name in __all__})


def __dir__() -> list[str]:
    """Offer the public names."""
    return __all__
