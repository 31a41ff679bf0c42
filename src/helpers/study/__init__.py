"""What every method starts from: common parameters, the study, activity, days and stays of members."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from helpers.study.study import Study

__all__ = ["Study"]


def __getattr__(name: str) -> Any:
    """Import the study when it is asked for: parameters are checked without pandas and the engine."""
    if name == "Study":
        from helpers.study.study import Study

        return Study
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
