"""One kernel: how it is started, forked or not, how its client waits for it no longer than it must, how it ended."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from pathlib import Path
from queue import Empty
from typing import Any

from jupyter_client.asynchronous import AsyncKernelClient
from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from jupyter_client.provisioning import LocalProvisioner
from traitlets import default

from helpers.report.run.kernels import server
from helpers.report.run.kernels.client import ForkServer, ServerGone
from helpers.sentences import say

_STARTS_WITHIN = 60.0  # seconds
GROUPS = Path("/sys/fs/cgroup")
MEMBERSHIP = Path("/proc/self/cgroup")


class ThisInterpreter(KernelSpecManager):
    """Finds one kernel: that of the running interpreter, whatever kernels a user has installed."""

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        """Return the specification of an ipykernel of this interpreter."""
        command = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        return KernelSpec(argv=command, language="python", display_name="Python 3")


class Provisioner(LocalProvisioner):
    """Gives a kernel forked by a fork server where there is one, else one started from its command line."""

    server: ForkServer | None = None

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> Any:
        """Start a kernel."""
        if self.server:
            with contextlib.suppress(ServerGone):
                return await self._fork(self.server, cmd, **kwargs)
        return await super().launch_kernel(cmd, **kwargs)

    async def _fork(self, server_: ForkServer, cmd: list[str], **kwargs: Any) -> Any:
        """Fork a kernel and return once its sockets are open, or it is dead."""
        arguments = cmd[cmd.index("ipykernel_launcher") + 1 :]
        process = server_.fork(server.kernel, arguments, kwargs["env"], str(kwargs["cwd"]))
        self.process, self.pid, self.pgid = process, process.pid, None
        process.channel.setblocking(False)
        with contextlib.suppress(OSError, asyncio.TimeoutError):
            loop = asyncio.get_running_loop()
            await asyncio.wait_for(loop.sock_recv(process.channel, 1), _STARTS_WITHIN)
        return self.connection_info

    def kill_now(self) -> None:
        """End the kernel and what it has started, from another thread than the one that runs it."""
        with contextlib.suppress(OSError):
            if self.pgid:
                os.killpg(self.pgid, signal.SIGKILL)
            elif self.process:
                self.process.send_signal(getattr(signal, "SIGKILL", signal.SIGTERM))


class PromptManager(AsyncKernelManager):
    """Sees the end of a kernel within milliseconds rather than at the next tenth of a second."""

    @default("client_factory")
    def _client(self) -> type[AsyncKernelClient]:
        return PromptClient

    async def _async_wait(self, pollinterval: float = 0.1) -> None:
        await super()._async_wait(pollinterval=min(pollinterval, 0.005))


class PromptClient(AsyncKernelClient):
    """Is ready as soon as kernel and output channel have answered.

    The client of jupyter_client then waits for a fifth of a second in which no message comes, so that none of the
    greeting is taken for an output; nbclient looks at the request that a message belongs to, and needs no such pause.
    """

    async def wait_for_ready(self, timeout: float | None = None) -> None:
        """Wait until the kernel answers.

        Raises
        ------
        RuntimeError
            When it dies before, or does not answer in time.
        """
        deadline = time.monotonic() + (timeout or float("inf"))
        while time.monotonic() < deadline:
            self.kernel_info()
            with contextlib.suppress(Empty):
                reply = await self.shell_channel.get_msg(timeout=1)
                if reply["msg_type"] == "kernel_info_reply":
                    await self.iopub_channel.get_msg(timeout=0.2)
                    self._handle_kernel_info_reply(reply)
                    return
            if not await self.is_alive():
                raise RuntimeError("the kernel died before it was ready")
        raise RuntimeError(f"the kernel was not ready within {timeout:g} seconds")


def last_words(code: int | None) -> str:
    """Say how the process of a kernel ended, from its exit code or minus a signal."""
    if code is None:
        return say("the kernel died")
    if code >= 0:
        return say("the kernel's process exited with code {code}", code=code)
    name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
    text = "the kernel was killed by {name}"
    if name == "SIGKILL":
        text = "the kernel was killed by {name}, as the system does when memory runs out"
    return say(text, name=name)


def peak_memory(pid: int | None) -> int | None:
    """Return the peak of resident memory in bytes, where Linux tells; a forked process starts at what it shares."""
    with contextlib.suppress(OSError):
        return _number(Path(f"/proc/{pid}/status"), "VmHWM:", 1024)
    return None


def kills() -> int | None:
    """Return how many processes of this process's own control group were killed for want of memory; None if unknown.

    What is counted is the field ``oom_kill`` of ``memory.events`` of control groups v2, groups below included.
    """
    with contextlib.suppress(OSError, StopIteration):
        lines = MEMBERSHIP.read_text(encoding="utf-8").splitlines()
        group = next(line.removeprefix("0::") for line in lines if line.startswith("0::"))
        return _number(GROUPS / group.strip("/") / "memory.events", "oom_kill")
    return None


def _number(path: Path, name: str, unit: int = 1) -> int | None:
    """Return the number that a line of a file of the kernel of Linux gives for a name."""
    words = (line.split() for line in path.read_text(encoding="utf-8").splitlines())
    return next((int(each[1]) * unit for each in words if each and each[0] == name), None)
