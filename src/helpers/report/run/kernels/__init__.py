"""Kernels forked from one parent that has imported the heavy libraries once.

A small report spends seconds on imports around tenths of computing. So a batch starts one process, the *fork
server*, which imports everything a notebook may want and then forks: each run gets a kernel with its own environment,
working folder, session, random state and streams that pays no import. Where a fork is unsafe (macOS, Windows), or the
server is gone, kernels are started the ordinary way, with the same results.

Nothing outlives who asked for it. Whoever asks for a process holds a connection to the server for as long as the
process may live; when that connection ends, the server kills the process and every process of its group. What a
notebook starts in a session of its own (``start_new_session=True``) is the notebook's to end. The server ends when
the driver does, and the kernel (of Linux) ends the processes of a server that is killed.

`PLAYBOOK_KERNELS` set to ``fork`` or ``ordinary`` decides by force.
"""

from __future__ import annotations

import os
import sys
from typing import Literal, get_args

from helpers.errors import BadParameters
from helpers.sentences import say

VARIABLE = "PLAYBOOK_KERNELS"
Mode = Literal["fork", "ordinary"]


def mode(runs: int = 2) -> Mode:
    """Return how kernels are to be started on this system.

    That is what ``PLAYBOOK_KERNELS`` says, and where it says nothing ``fork`` on Linux alone: system libraries of
    macOS break in a forked process, and Windows has no fork. A single run is ``ordinary`` too, because a server
    imports more than one notebook does.

    Raises
    ------
    BadParameters
        When it says another word, or ``fork`` where the system cannot.
    """
    pays = sys.platform == "linux" and runs > 1
    word = os.environ.get(VARIABLE) or ("fork" if pays else "ordinary")
    if word not in get_args(Mode):
        raise BadParameters(
            say("{variable} == {word!r}, must be 'fork' or 'ordinary'", variable=VARIABLE, word=word)
        )
    if word == "fork" and not hasattr(os, "fork"):
        raise BadParameters(
            say("{variable} == 'fork', but this system cannot fork a process", variable=VARIABLE)
        )
    return "fork" if word == "fork" else "ordinary"
