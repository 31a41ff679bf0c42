"""Counting members by day: who comes back, who is new, back or dormant, and who returns from silence."""
