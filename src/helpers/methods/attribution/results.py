"""The records that the notebook shows: what is seen, credit, increments, money, disagreement, and the way to an order."""

from __future__ import annotations
