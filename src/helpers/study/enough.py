"""The smallest samples: below them a method says "too little data" instead of a number.

One register for all methods, so that the same question is never answered with two limits.
"""

from __future__ import annotations

# Members whose resamples may stand for all: no bootstrap of fewer covers as it claims.
RESAMPLED = 20

# Members with value among them: with fewer the resamples hold the same few values over and over.
RESAMPLED_WITH_VALUE = 5

# Silences still watched on a day of a return curve: a share of fewer may be anything.
SILENCES = 10

# Members who came back, whose median gap tells how often members act.
CAME_BACK = 20

# Complete periods whose spread tells a direction from chance.
PERIODS = 4

# Members behind a survival curve: with one, or none, there is none.
MEMBERS_OF_A_CURVE = 2

# Members behind a restricted mean: the coverage of its interval was measured from here on.
MEMBERS_OF_A_MEAN = 5

# Members watched in a part of tenure that is compared: what is said of fewer is said of somebody.
MEMBERS_OF_A_PART = 10

# Exits behind a dose, an effect of exposure and the test whether effects last.
EXITS_OF_AN_EFFECT = 20

# Exits behind a concordance over folds: every fifth of the members needs some of its own.
EXITS_OF_A_CONCORDANCE = 50

# Exits that carry one parameter of a Cox model (Peduzzi et al. 1995).
EXITS_PER_PARAMETER = 10

# Members with a repeat purchase behind a purchase model: fewer cannot determine its parameters.
REPEATERS = 20

# Members whose value is forecast before a contest of forecasts: with fewer the top tenth has under ten.
JUDGED_MEMBERS = 100

# Of them, members who brought value: with fewer there is next to nothing to find.
JUDGED_BUYERS = 20

# Past periods that were forecast before anything is said of how well: two may be luck.
BACKTESTS = 3

# --- forecasts of the next period ---
# Rows on which a forecast is fitted, and members behind a forecast of value.
TO_FIT = 100
# Rows with the outcome, and as many without it, behind a fit; rows with it behind the lift of a tier.
OF_EACH_OUTCOME = 10
# Rows with value behind a forecast of value.
BUYERS_TO_FIT = 20
# Rows behind the share of an outcome in the top tenth.
TO_RANK = 30
# Members on whom a forecast of value is judged.
TO_JUDGE = 20
# Closed windows a model is fitted on before it predicts one.
WINDOWS_TO_LEARN = 2
# Judged windows of a contest of forecasts.
WINDOWS_TO_JUDGE = 6
# Judged windows behind the spread between predicted and realised value.
VALUE_WINDOWS = 3
# Rows with a value of a category that make it a feature of its own.
IN_CATEGORY = 20
# Members who stayed active, and as many who fell silent, in a third whose cost of silence is told.
SILENT_IN_THIRD = 20

# --- value over time ---
# Members at risk on a day of tenure whose exits and value are taken as they are.
AT_RISK = 30
# Members followed behind the value of a newcomer.
FOLLOWED = 50
# Members with value behind an interval of mean value; with fewer the rare large value has not been seen yet.
WITH_VALUE = 30
# Days of tenure observed before the value of later ones is extrapolated.
DAYS_OBSERVED = 14
# Joiners behind the value of a cohort.
JOINERS = 30

# --- contact lists ---
# Members held out of a list that is to be measured: the normal limits of its power are too rough below.
HELD_OUT = 10

# Members of a sample whose chances stand for those of all: of 50 the interval covered as little as .90.
SAMPLED = 100

# Members of a group of whom it is told what most of them are like or need.
GROUP = 20

# Active members, whom behaviour may divide into groups: with fewer every cloud looks divided.
GROUPED = 100

# --- weeks ---
# Past errors of a series behind the interval of a weekly change.
ERRORS = 6
