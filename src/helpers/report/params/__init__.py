"""Parameters of the notebooks: one model each, found by the notebook's name, checked before any kernel starts.

``01_rfm.ipynb`` has its model in ``helpers.methods.rfm.parameters``; a new notebook brings its own module and needs
no edit elsewhere. The notebook's cell tagged ``parameters`` holds the same names as plain typed assignments, and its
next cell says ``parameters = params.read("01_rfm", globals())``.
"""

from __future__ import annotations

from helpers.report.params.cell import cell_defaults, disagreements
from helpers.report.params.registry import Description, Problem, check, describe, model_for, read, validate
from helpers.study.parameters import CommonParameters, parameter

__all__ = [
    "CommonParameters",
    "Description",
    "Problem",
    "cell_defaults",
    "check",
    "describe",
    "disagreements",
    "model_for",
    "parameter",
    "read",
    "validate",
]
