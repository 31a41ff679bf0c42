"""How long members stay, what goes with leaving, and what a newcomer is worth over time.

One file a question, in the order a notebook walks through them:

- who comes back: :mod:`day_n`, :mod:`losses`, :mod:`lifecycle`, :mod:`presence`, :mod:`stickiness`,
  :mod:`returning`;
- how long members stay: :mod:`staying`, :mod:`reconcile` (which puts curves and tables side by side), :mod:`tiers`;
- what goes with leaving: :mod:`covariates` and :mod:`first_days`, :mod:`drivers`, :mod:`exposure`;
- what newcomers are worth: :mod:`lifetime_value`, :mod:`cohort_value`.
"""

from helpers.methods.retention.cohort_value import cohort_value
from helpers.methods.retention.covariates import known_at_joining
from helpers.methods.retention.day_n import day_n
from helpers.methods.retention.drivers import drivers
from helpers.methods.retention.exposure import exposure
from helpers.methods.retention.lifecycle import lifecycle
from helpers.methods.retention.lifetime_value import lifetime_value
from helpers.methods.retention.losses import losses
from helpers.methods.retention.presence import presence
from helpers.methods.retention.reconcile import reconcile
from helpers.methods.retention.returning import returns
from helpers.methods.retention.staying import exit_hazard, staying
from helpers.methods.retention.stickiness import stickiness
from helpers.methods.retention.tiers import compare_tiers
from helpers.playbook.result import asks

__all__ = [
    "cohort_value",
    "compare_tiers",
    "day_n",
    "drivers",
    "exit_hazard",
    "exposure",
    "known_at_joining",
    "lifecycle",
    "lifetime_value",
    "losses",
    "presence",
    "reconcile",
    "returns",
    "staying",
    "stickiness",
]


# Whoever hands over a frame in place of a study is told how the one becomes the other.
globals().update({name: asks(globals()[name]) for name in __all__})


def __dir__() -> list[str]:
    """Offer the public names."""
    return __all__
