"""A/B tests: planned before the first outcome, safe to look at, and read into one decision."""

from helpers.methods.ab_test.proof import beliefs, proof
from helpers.methods.ab_test.reading import guardrails, read
from helpers.methods.ab_test.results import check, design
from helpers.methods.ab_test.sample import sample
from helpers.methods.ab_test.segments import segments
from helpers.methods.ab_test.verdict import verdict
from helpers.playbook.result import asks

__all__ = ["beliefs", "check", "design", "guardrails", "proof", "read", "sample", "segments", "verdict"]


# Whoever hands over a frame in place of a study is told how the one becomes the other.
globals().update({name: asks(globals()[name]) for name in __all__})


def __dir__() -> list[str]:
    """Offer the public names."""
    return __all__
