"""Budget: what each paid line brings, where more stops paying, and an allocation that can be signed.

How the parts fit, from tables to a decision
--------------------------------------------
`weekly` brings spend, costs, outcome, organic drivers and the calendar to one frame of weeks; `gate` asks whether
that frame can answer the question, and says in words why not. `engine.fit` draws, for each line, a response curve out
of a dictionary (`curves`) together with its coefficient, the baseline (`baseline`) integrated out; what tests and
beliefs state enters as rows (`evidence`), and `results` says what each row changed. `elasticity` stands in where data
are too thin for curves. `answers` turns the draws into estimates; `trust` refits with something changed and grades;
`allocate` turns mean responses into a plan with a certified gap, and `scenarios` compares plans. A red grade
allocates nothing.
"""

from helpers.methods.budget.decisions import planned
from helpers.methods.budget.house import house, spent
from helpers.methods.budget.results import fitted, tested, weeks
from helpers.methods.budget.returns import lines
from helpers.methods.budget.terms import Wanted
from helpers.playbook.result import asks

__all__ = ["Wanted", "fitted", "house", "lines", "planned", "spent", "tested", "weeks"]


# Whoever hands over a frame in place of a study is told how the one becomes the other.
globals().update({name: asks(globals()[name]) for name in __all__})


def __dir__() -> list[str]:
    """Offer the public names."""
    return __all__
