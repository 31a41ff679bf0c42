"""What the tests of exports share."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """Where files are written anew."""
    place = tmp_path / "workspace"
    place.mkdir()
    return place
