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
