"""Whether the system has killed a process because memory ran out, where it counts that: Linux, control groups v2."""

from __future__ import annotations

import contextlib
from pathlib import Path

GROUPS = Path("/sys/fs/cgroup")
MEMBERSHIP = Path("/proc/self/cgroup")


def kills() -> int | None:
    """Return how many processes of this process's own control group were killed for want of memory; None if unknown.

    What is counted is the field ``oom_kill`` of ``memory.events``, groups below included.
    """
    with contextlib.suppress(OSError, ValueError, StopIteration):
        lines = MEMBERSHIP.read_text(encoding="utf-8").splitlines()
        group = next(line.removeprefix("0::") for line in lines if line.startswith("0::"))
        events = (GROUPS / group.strip("/") / "memory.events").read_text(encoding="utf-8").splitlines()
        return next(int(line.split()[1]) for line in events if line.startswith("oom_kill "))
    return None


def kills_since(before: int | None) -> bool:
    """Whether there were more kills than before; False where nobody counts."""
    now = kills()
    return before is not None and now is not None and now > before
