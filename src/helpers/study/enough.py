"""The smallest samples: below them a method says "too little data" instead of a number.

One register for all methods, so that the same question is never answered with two limits.
"""

from __future__ import annotations

CLUSTERS = 30
"""Members (or other clusters) behind a clustered standard error; with fewer it is too small."""
