"""The next period: who falls silent, who orders, what members will bring, and whom to contact."""

from helpers.methods.outlook.member_value import member_value
from helpers.methods.outlook.purchases import purchases
from helpers.methods.outlook.risk import risk
from helpers.methods.outlook.risk_lists import risk_lists
from helpers.methods.outlook.silence_cost import silence_cost
from helpers.playbook.contact.trial import evaluate_list
from helpers.playbook.result import asks

__all__ = ["evaluate_list", "member_value", "purchases", "risk", "risk_lists", "silence_cost"]


# Whoever hands over a frame in place of a study is told how the one becomes the other.
globals().update({name: asks(globals()[name]) for name in __all__})


def __dir__() -> list[str]:
    """Offer the public names."""
    return __all__
