"""Which channel deserves the credit for an order, what it added, and what that says about money."""

from helpers.methods.attribution.decisions import compared, returns
from helpers.methods.attribution.paths import paths
from helpers.methods.attribution.results import added, credited, seen
from helpers.playbook.result import asks

__all__ = ["added", "compared", "credited", "paths", "returns", "seen"]


# Whoever hands over a frame in place of a study is told how the one becomes the other.
globals().update({name: asks(globals()[name]) for name in __all__})


def __dir__() -> list[str]:
    """Offer the public names."""
    return __all__
