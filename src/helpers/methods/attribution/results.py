"""The records that the notebook shows."""

from __future__ import annotations
