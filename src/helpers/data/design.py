"""Where the design of an experiment lies beside the tables, and the digest that freezes it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

FOLDER = "experiments"
"""Folder of the designs, inside the folder of the data; the design of ``cover`` is ``experiments/cover.yml``."""


def digest(design: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a design: of the canonical JSON of all its fields but ``sha256`` itself.

    Days and instants count as the text that ``str`` makes of them, which for a day is ISO 8601.
    """
    fields = {name: value for name, value in design.items() if name != "sha256"}
    text = json.dumps(fields, sort_keys=True, ensure_ascii=False, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()
