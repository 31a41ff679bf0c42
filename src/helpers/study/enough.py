"""The smallest samples: below them a method says "too little data" instead of a number.

One register for all methods, so that the same question is never answered with two limits.
"""

from __future__ import annotations

CLUSTERS = 30
"""Members (or other clusters) behind a clustered standard error; with fewer it is too small."""

RESAMPLED = 20
"""Members whose resamples may stand for all: no bootstrap of fewer covers as it claims."""

RESAMPLED_WITH_VALUE = 5
"""Members with value among them: with fewer the resamples hold the same few values over and over."""

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
