"""How long members stay, what goes with leaving, who is about to fall silent, and what a member is worth over time.

Rooms, in the order a study walks through them:

- days: :mod:`days`, :mod:`starts`, :mod:`definitions`, :mod:`clustered` (small shared parts);
- coming back: :mod:`tables` (Day-N retention), :mod:`losses`, :mod:`reconcile`, :mod:`lifecycle`, :mod:`states`,
  :mod:`whatif`, :mod:`stickiness`;
- staying: :mod:`durations` to :mod:`cells` to :mod:`curves` (with :mod:`bpcp`), :mod:`compare`, :mod:`group_life`;
- silence: :mod:`silence` (who comes back), :mod:`churn_threshold`;
- what goes with leaving: :mod:`covariates`, :mod:`cox` (with :mod:`design`, :mod:`risk_sets`, :mod:`cox_fit`,
  :mod:`cox_residuals`, :mod:`cox_words`), :mod:`proportional`, :mod:`aft`, :mod:`episodes` and :mod:`exposure`,
  :mod:`drivers`; :mod:`landmark` and :mod:`reached` (tiers without immortal time);
- what comes next: :mod:`landmarks`, :mod:`hazard`, :mod:`predictors`, :mod:`backtest`, :mod:`calibration`,
  :mod:`risk`, :mod:`risk_lists`;
- value over time: :mod:`value_days`, :mod:`lifetime_value`, :mod:`member_value` (with :mod:`stays`,
  :mod:`value_contest`), :mod:`silence_cost`, :mod:`cohort_value`;
- for the reader: :mod:`plots`, :mod:`findings`.
"""

from helpers.methods.account import account
from helpers.methods.activity import activity, check_recent, what_counts
from helpers.methods.frames import materialise
from helpers.methods.retention import findings, plots
from helpers.methods.retention.backtest import backtest
from helpers.methods.retention.cells import cells
from helpers.methods.retention.churn_threshold import silence_threshold
from helpers.methods.retention.cohort_value import cohort_value
from helpers.methods.retention.compare import logrank, restricted_mean_difference
from helpers.methods.retention.covariates import known_at_joining
from helpers.methods.retention.curves import survival
from helpers.methods.retention.days import first_day
from helpers.methods.retention.drivers import drivers
from helpers.methods.retention.durations import exit_durations, member_stays, silence_durations
from helpers.methods.retention.exposure import exposure
from helpers.methods.retention.group_life import group_life
from helpers.methods.retention.landmark import compare_tiers, tiers_reached
from helpers.methods.retention.landmarks import landmarks, standard_covariates, standard_signals
from helpers.methods.retention.lifecycle import lifecycle
from helpers.methods.retention.lifetime_value import lifetime_value
from helpers.methods.retention.losses import losses
from helpers.methods.retention.member_value import member_value
from helpers.methods.retention.reached import add_reached_day
from helpers.methods.retention.reconcile import reconcile
from helpers.methods.retention.risk import risk
from helpers.methods.retention.risk_lists import opportunities, risk_lists
from helpers.methods.retention.silence import return_curves
from helpers.methods.retention.silence_cost import silence_cost
from helpers.methods.retention.states import daily_states
from helpers.methods.retention.stickiness import lness, stickiness
from helpers.methods.retention.tables import retention
from helpers.methods.retention.tier_lift import tiers_at_landmarks
from helpers.methods.retention.value_days import value_days
from helpers.methods.retention.whatif import what_if

__all__ = [
    "account",
    "activity",
    "add_reached_day",
    "backtest",
    "cells",
    "check_recent",
    "cohort_value",
    "compare_tiers",
    "daily_states",
    "drivers",
    "exit_durations",
    "exposure",
    "findings",
    "first_day",
    "group_life",
    "known_at_joining",
    "landmarks",
    "lifecycle",
    "lifetime_value",
    "lness",
    "logrank",
    "losses",
    "materialise",
    "member_stays",
    "member_value",
    "opportunities",
    "plots",
    "reconcile",
    "restricted_mean_difference",
    "retention",
    "return_curves",
    "risk",
    "risk_lists",
    "silence_cost",
    "silence_durations",
    "silence_threshold",
    "standard_covariates",
    "standard_signals",
    "stickiness",
    "survival",
    "tiers_at_landmarks",
    "tiers_reached",
    "value_days",
    "what_counts",
    "what_if",
]
