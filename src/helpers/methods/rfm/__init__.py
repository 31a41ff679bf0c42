"""Recency, frequency and monetary value: who the members are, how they move, who is worth what.

In the order in which a notebook walks through them: :mod:`scores`; :mod:`tiers` (one engine, four presets in
``tiers.yml``) and their :mod:`history`; how members move between them (:mod:`moves`); :mod:`members` as they stand
today, and how their tiers depend on weights (:mod:`sensitivity`); :mod:`concentration` of value and of effort,
:mod:`tier_value` and referrals; the :mod:`contest` of forecasts; behavioural :mod:`segments` and their
:mod:`clustering`; and for the reader :mod:`plots` and :mod:`findings`.
"""

from helpers.methods.rfm import plots
from helpers.methods.rfm.concentration import compare_periods, concentration, effort_share, followed
from helpers.methods.rfm.contest import contest
from helpers.methods.rfm.findings import populations, stated
from helpers.methods.rfm.history import tier_history
from helpers.methods.rfm.members import (
    alive_share,
    blockers,
    current_tiers,
    prospects,
    purchase_models,
    silent_share,
)
from helpers.methods.rfm.moves import backtest, forecast, migration, time_to_top
from helpers.methods.rfm.scores import score
from helpers.methods.rfm.segments import segment_members
from helpers.methods.rfm.sensitivity import sensitivity
from helpers.methods.rfm.tier_value import referral_value, tier_value
from helpers.methods.rfm.tiers import TierScheme
from helpers.playbook.contact.lists import standard_lists
from helpers.playbook.contact.trial import evaluate_list
from helpers.study.values import member_values

__all__ = [
    "TierScheme",
    "alive_share",
    "backtest",
    "blockers",
    "compare_periods",
    "concentration",
    "contest",
    "current_tiers",
    "effort_share",
    "evaluate_list",
    "followed",
    "forecast",
    "member_values",
    "migration",
    "plots",
    "populations",
    "prospects",
    "purchase_models",
    "referral_value",
    "score",
    "segment_members",
    "sensitivity",
    "silent_share",
    "standard_lists",
    "stated",
    "tier_history",
    "tier_value",
    "time_to_top",
]
