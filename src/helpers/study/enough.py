"""The smallest samples: below them a method says "too little data" instead of a number.

One register for all methods, so that the same question is never answered with two limits.
"""

from __future__ import annotations

RESAMPLED = 20
"""Members whose resamples may stand for all: no bootstrap of fewer covers as it claims."""

RESAMPLED_WITH_VALUE = 5
"""Members with value among them: with fewer the resamples hold the same few values over and over."""

SILENCES = 10
"""Silences still watched on a day of a return curve: a share of fewer may be anything."""

MEMBERS_NEXT = 10
"""Members who were in a daily state, on whose days to come rests what more of them would be worth."""

CAME_BACK = 20
"""Members who came back, whose median gap tells how often members act."""

PERIODS = 4
"""Complete periods whose spread tells a direction from chance."""

MEMBERS_OF_A_CURVE = 2
"""Members behind a survival curve: with one, or none, there is none."""

MEMBERS_OF_A_MEAN = 5
"""Members behind a restricted mean: the coverage of its interval was measured from here on."""

MEMBERS_OF_A_PART = 10
"""Members watched in a part of tenure that is compared: what is said of fewer is said of somebody."""

EXITS_OF_AN_EFFECT = 20
"""Exits behind a dose, an effect of exposure and the test whether effects last."""

EXITS_OF_A_CONCORDANCE = 50
"""Exits behind a concordance over folds: every fifth of the members needs some of its own."""

EXITS_PER_PARAMETER = 10
"""Exits that carry one parameter of a Cox model (Peduzzi et al. 1995)."""

REPEATERS = 20
"""Members with a repeat purchase behind a purchase model: fewer cannot determine its parameters."""

JUDGED_MEMBERS = 100
"""Members whose value is forecast before a contest of forecasts: with fewer the top tenth has under ten."""

JUDGED_BUYERS = 20
"""Of them, members who brought value: with fewer there is next to nothing to find."""

BACKTESTS = 3
"""Past periods that were forecast before anything is said of how well: two may be luck."""

# --- forecasts of the next period ---
TO_FIT = 100
"""Rows on which a forecast is fitted, and members behind a forecast of value."""
OF_EACH_OUTCOME = 10
"""Rows with the outcome, and as many without it, behind a fit; rows with it behind the lift of a tier."""
BUYERS_TO_FIT = 20
"""Rows with value behind a forecast of value."""
TO_RANK = 30
"""Rows behind the share of an outcome in the top tenth."""
TO_JUDGE = 20
"""Members on whom a forecast of value is judged."""
WINDOWS_TO_LEARN = 2
"""Closed windows a model is fitted on before it predicts one."""
WINDOWS_TO_JUDGE = 6
"""Judged windows of a contest of forecasts."""
VALUE_WINDOWS = 3
"""Judged windows behind the spread between predicted and realised value."""
IN_CATEGORY = 20
"""Rows with a value of a category that make it a feature of its own."""
SILENT_IN_THIRD = 20
"""Members who stayed active, and as many who fell silent, in a third whose cost of silence is told."""

# --- value over time ---
AT_RISK = 30
"""Members at risk on a day of tenure whose exits and value are taken as they are."""
FOLLOWED = 50
"""Members followed behind the value of a newcomer."""
WITH_VALUE = 30
"""Members with value behind an interval of mean value; with fewer the rare large value has not been seen yet."""
DAYS_OBSERVED = 14
"""Days of tenure observed before the value of later ones is extrapolated."""
JOINERS = 30
"""Joiners behind the value of a cohort."""

# --- contact lists ---
HELD_OUT = 10
"""Members held out of a list that is to be measured: the normal limits of its power are too rough below."""

GROUP = 20
"""Members of a group of whom it is told what most of them are like or need."""

GROUPED = 100
"""Active members, whom behaviour may divide into groups: with fewer every cloud looks divided."""
