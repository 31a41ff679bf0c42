"""Recency, frequency and monetary value: who the members are, how they move, who is worth what.

In the order in which a notebook walks through them: :mod:`scores`; :mod:`tiers` (one engine, four presets in
``tiers.yml``) and their :mod:`history`; :mod:`members` as they stand today, how they move between tiers
(:mod:`moves`, :mod:`time_to_top`), and how tiers depend on weights (:mod:`sensitivity`); :mod:`concentration` of
value and of effort, :mod:`tier_value` and referrals; :mod:`purchase_models` and the :mod:`contest` of forecasts;
behavioural :mod:`segments` and their :mod:`clustering`.
"""

from helpers.methods.rfm.concentration import compare_periods, concentration, effort_share, followed
from helpers.methods.rfm.contest import contest, value_forecast
from helpers.methods.rfm.history import tier_history
from helpers.methods.rfm.members import blockers, current_tiers, prospects
from helpers.methods.rfm.moves import forecast, migration
from helpers.methods.rfm.purchase_models import purchase_models
from helpers.methods.rfm.scores import score
from helpers.methods.rfm.segments import segment_members
from helpers.methods.rfm.sensitivity import sensitivity
from helpers.methods.rfm.tier_value import referral_value, tier_value
from helpers.methods.rfm.tiers import TierScheme, tier_scheme
from helpers.methods.rfm.time_to_top import time_to_top
from helpers.playbook.contact.trial import evaluate_list
from helpers.playbook.result import asks
from helpers.playbook.standard_lists import standard_lists
from helpers.study.values import member_values

__all__ = [
    "TierScheme", "blockers", "compare_periods", "concentration", "contest", "current_tiers", "effort_share",
    "evaluate_list", "followed", "forecast", "member_values", "migration", "prospects", "purchase_models",
    "referral_value", "score", "segment_members", "sensitivity", "standard_lists", "tier_history", "tier_scheme",
    "tier_value", "time_to_top", "value_forecast",
]  # fmt: skip


# Whoever hands over a frame in place of a study is told how the one becomes the other.
globals().update({name: asks(globals()[name]) for name in __all__ if name.islower()})


def __dir__() -> list[str]:
    """Offer what a notebook calls, and no module behind it."""
    return __all__
