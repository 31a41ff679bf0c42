"""How long members stay, what goes with leaving, who is about to fall silent, and what a member is worth over time.

Rooms, in the order a study walks through them; each may use the ones before it:

- shared: :mod:`days` (which days count), :mod:`clustered` (intervals that know days or members belong together),
  :mod:`several_tests`;
- :mod:`staying`: durations to cells to curves (with exact intervals), compared between segments and tiers; when
  members leave fastest;
- :mod:`counting`: Day-N tables, losses, lifecycle, daily states with their what-if, stickiness, return from silence,
  and :mod:`counting.reconcile`, which puts curves and tables side by side;
- :mod:`leaving`: Cox models on cells, whether effects last, exposure; :mod:`leaving.drivers`
  tells the story;
- :mod:`value`: lifetime value of a joiner, expected value of a member, cost of a silence;
- :mod:`forecasting`: person-period models of silence, return and orders, judged forward in time, and the lists that
  follow;
- for the reader: :mod:`plots`.
"""

from helpers.methods.retention import plots
from helpers.methods.retention.cohort_value import cohort_value
from helpers.methods.retention.covariates import known_at_joining
from helpers.methods.retention.day_n import day_n, losses
from helpers.methods.retention.drivers import drivers
from helpers.methods.retention.exposure import exposure
from helpers.methods.retention.lifecycle import lifecycle
from helpers.methods.retention.lifetime_value import lifetime_value
from helpers.methods.retention.reconcile import reconcile
from helpers.methods.retention.returning import returns
from helpers.methods.retention.states import daily_states, what_if
from helpers.methods.retention.staying import exit_hazard, staying
from helpers.methods.retention.stickiness import lness, stickiness
from helpers.methods.retention.tiers import compare_tiers
from helpers.playbook.contact.trial import evaluate_list
from helpers.stats.survival.cells import cells
from helpers.stats.survival.compare import logrank, restricted_mean_difference
from helpers.stats.survival.curves import survival, to_lifelines
from helpers.study.durations import exit_durations, silence_durations
from helpers.study.frames import materialise

__all__ = [
    "cells",
    "cohort_value",
    "compare_tiers",
    "daily_states",
    "day_n",
    "drivers",
    "evaluate_list",
    "exit_durations",
    "exit_hazard",
    "exposure",
    "known_at_joining",
    "lifecycle",
    "lifetime_value",
    "lness",
    "logrank",
    "losses",
    "materialise",
    "plots",
    "reconcile",
    "restricted_mean_difference",
    "returns",
    "silence_durations",
    "staying",
    "stickiness",
    "survival",
    "to_lifelines",
    "what_if",
]
