"""The weekly review: does the plan hold, what changed and is real, what to approve, what became of what was approved.

How the parts fit, from tables and earlier reports to a page
-------------------------------------------------------------
`metrics` counts what no other method publishes, by ISO week. `moves` judges the last whole week of each against its
own eight ordinary weeks before, all of them together, and says where a real change came from.
"""

from helpers.methods.weekly_review.goals import goals, track_record
from helpers.methods.weekly_review.metrics import weekly_metrics
from helpers.methods.weekly_review.moves import moved
from helpers.playbook.result import asks

__all__ = ["goals", "moved", "track_record", "weekly_metrics"]


# Whoever hands over a frame in place of a study is told how the one becomes the other.
globals().update({name: asks(globals()[name]) for name in __all__})


def __dir__() -> list[str]:
    """Offer the public names."""
    return __all__
