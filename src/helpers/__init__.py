"""Helpers of the community playbook: data, methods, playbook and report.

Data walks one way: ``source -> contract -> method -> finding -> action -> report``. A notebook begins with
``from helpers import Study, conclude, params, show``, which are loaded when they are asked for, so that
``playbook --help`` stays fast.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from helpers.report import params
    from helpers.report.record import conclude, show, summary
    from helpers.study import Study

__all__ = ["Study", "conclude", "params", "show", "summary"]


def __getattr__(name: str) -> Any:
    """Return a name of a notebook's first line."""
    if name == "Study":
        from helpers.study import Study

        return Study
    if name == "params":
        from helpers.report import params

        return params
    if name in ("conclude", "show", "summary"):
        from helpers.report import record

        return getattr(record, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """Offer the names of a notebook's first line."""
    return __all__
