"""What a forked process does first: it becomes the fresh process that its caller asked for."""

from __future__ import annotations

import contextlib
import locale
import os
import pickle
import random
import socket
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

set_by_imports: dict[str, str] = {}
"""Variables that libraries have set in the server as they were imported, and would set in any process."""


def become(environment: Mapping[str, str], folder: str) -> None:
    """Take on an environment and a working folder, and random states that nobody else has."""
    os.environ.clear()
    os.environ.update(set_by_imports | dict(environment))
    time.tzset()
    with contextlib.suppress(locale.Error):
        locale.setlocale(locale.LC_CTYPE, "")
    os.chdir(folder)
    random.seed()
    if numpy := sys.modules.get("numpy"):
        numpy.random.seed()


def kernel(channel: socket.socket, arguments: list[str], environment: Mapping[str, str], folder: str) -> int:
    """Be an IPython kernel with these arguments; a byte on the channel says that its sockets are open."""
    import ipykernel_launcher  # type: ignore[import-untyped]
    from ipykernel.kernelapp import IPKernelApp

    become(environment, folder)
    _hush()
    sys.argv = [str(ipykernel_launcher.__file__), *arguments]
    app = IPKernelApp.instance()
    app.initialize(arguments)
    with contextlib.suppress(OSError):
        channel.send(b"1")
    channel.close()
    app.start()
    return 0


def _hush() -> None:
    """Write to no terminal: a kernel copies there what a notebook prints, before anybody has masked its secrets."""
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (1, 2):
        os.dup2(nothing, stream)
    os.close(nothing)


def call(
    channel: socket.socket,
    environment: Mapping[str, str],
    folder: str,
    function: Callable[..., Any],
    arguments: tuple[Any, ...],
    options: dict[str, Any],
) -> int:
    """Call a function and send back what it returned or raised."""
    become(environment, folder)
    channel.sendall(outcome(function, arguments, options))
    channel.close()
    return 0


def outcome(function: Callable[..., Any], arguments: tuple[Any, ...], options: Mapping[str, Any]) -> bytes:
    """Call a function; return pickled whether it succeeded, and what it returned or raised."""
    try:
        return pickle.dumps((True, function(*arguments, **options)))
    except Exception as error:
        return pickle.dumps((False, error))
