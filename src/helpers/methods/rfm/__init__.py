"""Recency, frequency and monetary value: who the members are, how they move, who is worth what.

Rooms, in the order a study walks through them:

- members: :mod:`activity` (what counts), :mod:`values` (R, F, M), :mod:`scores`, :mod:`current` (who is here now);
- tiers: :mod:`tiers` (one engine, four presets in ``tiers.yml``),
  :mod:`blockers`, :mod:`sensitivity`;
- movement: :mod:`periods`, :mod:`states`, :mod:`moves`;
- value: :mod:`value_cells`, :mod:`inequality`, :mod:`concentration`, :mod:`effort`, :mod:`tier_value`,
  :mod:`referral`;
- what comes next: :mod:`cells` (compressed histories), :mod:`alive` (BG/NBD, with :mod:`bg_nbd`,
  :mod:`maximum_likelihood` and the fallback :mod:`repeat_shares`), :mod:`spend` (Gamma-Gamma), :mod:`contest`
  (with :mod:`lift`, :mod:`score_value`, :mod:`contest_result`);
- behaviour and action: :mod:`features`, :mod:`clustering`, :mod:`segment_names`, :mod:`segments`, :mod:`lists`,
  :mod:`list_trial`;
- for the reader: :mod:`plots`, :mod:`findings`.
"""

from helpers.methods.rfm import plots
from helpers.methods.rfm.blockers import blockers
from helpers.methods.rfm.concentration import compare_periods, concentration, effort_share, followed
from helpers.methods.rfm.contest import contest, predict_value
from helpers.methods.rfm.current import alive_share, current_tiers, prospects, purchase_models
from helpers.methods.rfm.findings import populations, silent_share, stated
from helpers.methods.rfm.history import tier_history
from helpers.methods.rfm.moves import backtest, forecast, migration, time_to_top
from helpers.methods.rfm.scores import score
from helpers.methods.rfm.segments import segment_members
from helpers.methods.rfm.sensitivity import sensitivity
from helpers.methods.rfm.tier_value import referral_value, tier_value
from helpers.methods.rfm.tiers import TierScheme
from helpers.playbook.contact.lists import contact_list, standard_lists
from helpers.playbook.contact.trial import evaluate_list
from helpers.study.activity import (
    activity,
    check_weights,
    population,
    present_members,
)
from helpers.study.frames import materialise
from helpers.study.values import member_values

__all__ = [
    "TierScheme",
    "activity",
    "alive_share",
    "backtest",
    "blockers",
    "check_weights",
    "compare_periods",
    "concentration",
    "contact_list",
    "contest",
    "current_tiers",
    "effort_share",
    "evaluate_list",
    "followed",
    "forecast",
    "materialise",
    "member_values",
    "migration",
    "plots",
    "population",
    "populations",
    "predict_value",
    "present_members",
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
