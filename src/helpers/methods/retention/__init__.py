"""How long members stay, what goes with leaving, who is about to fall silent, and what a member is worth over time.

Rooms, in the order a study walks through them; each may use the ones before it:

- shared: :mod:`days` (which days count), :mod:`clustered` (intervals that know days or members belong together),
  :mod:`several_tests`;
- :mod:`staying`: durations to cells to curves (with exact intervals), compared between segments and tiers; when
  members leave fastest; lives and states of groups;
- :mod:`counting`: Day-N tables, losses, lifecycle, daily states with their what-if, stickiness, return from silence,
  and :mod:`counting.reconcile`, which puts curves and tables side by side;
- :mod:`leaving`: Cox models on cells, whether effects last, accelerated lives, exposure; :mod:`leaving.drivers`
  tells the story;
- :mod:`value`: lifetime value of a joiner, expected value of a member, cost of a silence;
- :mod:`forecasting`: person-period models of silence, return and orders, judged forward in time, and the lists that
  follow;
- for the reader: :mod:`plots`, :mod:`findings`.
"""

from helpers.methods.account import account
from helpers.methods.activity import activity, check_recent, what_counts
from helpers.methods.frames import materialise
from helpers.methods.retention import findings, plots
from helpers.methods.retention.counting.churn_threshold import silence_threshold
from helpers.methods.retention.counting.lifecycle import lifecycle
from helpers.methods.retention.counting.losses import losses
from helpers.methods.retention.counting.reconcile import reconcile
from helpers.methods.retention.counting.silence import return_curves
from helpers.methods.retention.counting.states import daily_states
from helpers.methods.retention.counting.stickiness import lness, stickiness
from helpers.methods.retention.counting.tables import retention
from helpers.methods.retention.counting.whatif import what_if
from helpers.methods.retention.days import first_day
from helpers.methods.retention.forecasting.backtest import backtest
from helpers.methods.retention.forecasting.landmarks import landmarks, standard_covariates, standard_signals
from helpers.methods.retention.forecasting.purchases import purchases
from helpers.methods.retention.forecasting.risk import risk
from helpers.methods.retention.forecasting.risk_lists import opportunities, risk_lists
from helpers.methods.retention.forecasting.tier_lift import tiers_at_landmarks
from helpers.methods.retention.leaving.covariates import known_at_joining
from helpers.methods.retention.leaving.drivers import drivers
from helpers.methods.retention.leaving.exposure import exposure
from helpers.methods.retention.staying.cells import cells
from helpers.methods.retention.staying.community_groups import community_groups
from helpers.methods.retention.staying.compare import logrank, restricted_mean_difference
from helpers.methods.retention.staying.curves import survival
from helpers.methods.retention.staying.durations import exit_durations, member_stays, silence_durations
from helpers.methods.retention.staying.exit_hazard import exit_hazard
from helpers.methods.retention.staying.group_life import group_life
from helpers.methods.retention.staying.group_states import group_states
from helpers.methods.retention.staying.landmark import compare_tiers, tiers_reached
from helpers.methods.retention.staying.reached import add_reached_day
from helpers.methods.retention.value.cohort_value import cohort_value
from helpers.methods.retention.value.lifetime_value import lifetime_value
from helpers.methods.retention.value.member_value import member_value
from helpers.methods.retention.value.silence_cost import silence_cost
from helpers.methods.retention.value.value_days import value_days
from helpers.methods.rfm.list_trial import evaluate_list

__all__ = [
    "account",
    "activity",
    "add_reached_day",
    "backtest",
    "cells",
    "check_recent",
    "cohort_value",
    "community_groups",
    "compare_tiers",
    "daily_states",
    "drivers",
    "evaluate_list",
    "exit_durations",
    "exit_hazard",
    "exposure",
    "findings",
    "first_day",
    "group_life",
    "group_states",
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
    "purchases",
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
