"""How jupyter_client gets a forked kernel: a provisioner, and a client that does not wait longer than it must."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from queue import Empty
from typing import Any

from jupyter_client.asynchronous import AsyncKernelClient
from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from jupyter_client.provisioning import LocalProvisioner
from traitlets import default

from helpers.report.run.kernels import child
from helpers.report.run.kernels.client import Address

_STARTS_WITHIN = 60.0  # seconds


class ThisInterpreter(KernelSpecManager):
    """Finds one kernel: that of the running interpreter, whatever kernels a user has installed."""

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        """Return the specification of an ipykernel of this interpreter."""
        command = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        return KernelSpec(argv=command, language="python", display_name="Python 3")


class ForkedProvisioner(LocalProvisioner):
    """Gives a kernel forked by a fork server in place of one started from a command line."""

    server: Address
    started: asyncio.Future[int | None]

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> Any:
        """Fork a kernel and return once its sockets are open, or it is dead."""
        arguments = cmd[cmd.index("ipykernel_launcher") + 1 :]
        process = self.server.fork(child.kernel, arguments, kwargs["env"], str(kwargs["cwd"]))
        self.process, self.pid, self.pgid = process, process.pid, None
        process.channel.setblocking(False)
        with contextlib.suppress(OSError, asyncio.TimeoutError):
            loop = asyncio.get_running_loop()
            await asyncio.wait_for(loop.sock_recv(process.channel, 1), _STARTS_WITHIN)
        return self.connection_info


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
