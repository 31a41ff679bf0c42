"""Recency, frequency and monetary value: who the members are, how they move, who is worth what."""
