"""Pictures of credit: channels by model, return on spend against its goal, time to order, and common paths."""

from __future__ import annotations
