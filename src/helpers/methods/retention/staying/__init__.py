"""How long members stay: durations to cells to curves, compared between segments, tiers and groups."""
