"""A/B tests: planned before the first outcome, safe to look at, and read into one decision."""
