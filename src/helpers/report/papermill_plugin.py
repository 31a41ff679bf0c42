"""The engine ``playbook`` as papermill finds it: by the entry point ``papermill.engine``.

papermill loads its entry points while it is itself being imported, and the engine imports papermill. So the entry
point names this module, which imports neither, and the engine is imported when a notebook is run with it.
"""

from __future__ import annotations

from typing import Any


class _Late:
    """Has what `helpers.report.run.engine.PlaybookEngine` has."""

    def __getattr__(self, name: str) -> Any:
        from helpers.report.run.engine import PlaybookEngine as Engine

        return getattr(Engine, name)


PlaybookEngine = _Late()
