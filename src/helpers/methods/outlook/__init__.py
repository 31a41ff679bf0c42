"""The next period: who falls silent, who orders, what members will bring, and whom to contact."""

from helpers.methods.outlook import findings, plots
from helpers.methods.outlook.purchases import purchases
from helpers.methods.outlook.risk import risk
from helpers.methods.outlook.risk_lists import opportunities, risk_lists
from helpers.methods.outlook.silence_cost import silence_cost
from helpers.methods.outlook.tiers import tiers_at_landmarks
from helpers.stats.forecast.backtest import backtest
from helpers.stats.forecast.landmarks import landmarks, standard_covariates, standard_signals
from helpers.stats.forecast.member_value import member_value

__all__ = [
    "backtest",
    "findings",
    "landmarks",
    "member_value",
    "opportunities",
    "plots",
    "purchases",
    "risk",
    "risk_lists",
    "silence_cost",
    "standard_covariates",
    "standard_signals",
    "tiers_at_landmarks",
]
