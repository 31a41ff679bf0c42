"""The command ``playbook`` with a fork server that imports only what the small notebooks of the tests need."""

from __future__ import annotations

import functools
import os

from helpers.cli import main
from helpers.report.run import batch
from helpers.report.run.kernels import client

LIGHT = """
pandas pandas.io.formats.string pyarrow.parquet matplotlib.pyplot matplotlib.backends.backend_agg
matplotlib.backends.backend_svg ipykernel.kernelapp ipykernel.ipkernel ipykernel.zmqshell ipykernel.debugger
ipykernel_launcher IPython.core.completerlib sqlite3 helpers.methods.rfm.parameters helpers.figures
helpers.report.params helpers.report.record
"""

if __name__ == "__main__":
    modules = os.environ.pop("PLAYBOOK_TEST_LIGHT", LIGHT).split()
    batch.ForkServer = functools.partial(client.ForkServer, modules=modules)  # type: ignore[misc]
    main()
