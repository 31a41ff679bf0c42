"""What the tests let a forked process do."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time


def exit_with(channel: socket.socket, code: int) -> int:
    return code


def die_of(channel: socket.socket, number: int) -> int:
    os.kill(os.getpid(), number)
    time.sleep(60)
    return 0


def raise_exit(channel: socket.socket) -> int:
    sys.exit("no")


def fail(channel: socket.socket) -> int:
    raise ValueError("as planned")


def sleep_with_a_child(channel: socket.socket) -> int:
    child = subprocess.Popen(["sleep", "60"])
    channel.send(json.dumps([os.getpid(), child.pid]).encode())
    time.sleep(60)
    return 0
