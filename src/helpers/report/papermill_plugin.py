"""The engine ``playbook`` as papermill finds it: by the entry point ``papermill.engine``.

papermill loads its entry points while it is itself being imported, and the engine imports papermill. So the entry
point names this module, which imports neither, and the engine is imported when a notebook is run with it.
"""

from __future__ import annotations

from typing import Any


class PlaybookEngine:
    """Hands every call on to `helpers.report.run.engine.PlaybookEngine`."""

    @classmethod
    def execute_notebook(cls, *args: Any, **kwargs: Any) -> Any:
        """Run a notebook node in place and return it."""
        return cls._engine().execute_notebook(*args, **kwargs)

    @classmethod
    def nb_kernel_name(cls, nb: Any, name: str | None = None) -> str:
        """Return the name of the kernel for a notebook."""
        return str(cls._engine().nb_kernel_name(nb, name))

    @classmethod
    def nb_language(cls, nb: Any, language: str | None = None) -> str:
        """Return the language of a notebook."""
        return str(cls._engine().nb_language(nb, language))

    @staticmethod
    def _engine() -> Any:
        from helpers.report.run.engine import PlaybookEngine as Engine

        return Engine
