"""One run, checked as a command line would have it."""

from __future__ import annotations

import os
from typing import Any

from helpers.report.plan import plan_file
from helpers.report.plan.desk import Plan


def plan(notebook: str | os.PathLike[str], **options: Any) -> Plan:
    """Check one run without starting anything; options as in `plan_file.of_notebooks`."""
    (made,) = plan_file.of_notebooks([notebook], **options)
    return made
