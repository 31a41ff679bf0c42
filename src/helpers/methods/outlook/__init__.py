"""The next period: who falls silent, who orders, what members will bring, and whom to contact."""

from helpers.methods.outlook import plots
from helpers.methods.outlook.member_value import member_value
from helpers.methods.outlook.purchases import purchases
from helpers.methods.outlook.risk import risk
from helpers.methods.outlook.risk_lists import risk_lists
from helpers.methods.outlook.silence_cost import silence_cost
from helpers.playbook.contact.trial import evaluate_list

__all__ = ["evaluate_list", "member_value", "plots", "purchases", "risk", "risk_lists", "silence_cost"]


def __dir__() -> list[str]:
    """Offer the public names."""
    return __all__
