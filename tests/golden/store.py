"""Store anew what the notebooks publish today: ``python -m tests.golden.store [part of a name …]``.

Only for a change that is meant to change numbers; the commit says which and why. `git diff` shows them: one line
is one finding, action or column. Prints the CPU seconds of each run.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from pathlib import Path

from threadpoolctl import threadpool_limits

from tests import golden


def text(values: dict) -> str:
    """Return JSON with a line for each finding, action and column."""
    if "refused" in values:
        return _block({"refused": json.dumps(values["refused"])}) + "\n"
    parts = {name: _block(_lines(values[name])) for name in ("findings", "actions")}
    tables = {
        name: _block({"rows": str(table["rows"]), "columns": _block(_lines(table["columns"]))})
        for name, table in values["tables"].items()
    }
    return _block({**parts, "tables": _block(tables)}) + "\n"


def _lines(values: dict) -> dict[str, str]:
    return {name: json.dumps(value, ensure_ascii=False) for name, value in values.items()}


def _block(lines: dict[str, str]) -> str:
    inner = ",\n".join(f"{json.dumps(name, ensure_ascii=False)}: {line}" for name, line in lines.items())
    return f"{{\n{inner}\n}}"


def main(wanted: list[str]) -> None:
    """Run what is wanted (everything without names) and write it."""
    golden.VALUES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as below, threadpool_limits(1):  # one thread, as in the tests
        os.environ["PLAYBOOK_CACHE"] = str(Path(below) / "cache")
        os.environ["PLAYBOOK_REPORTS"] = str(Path(below) / "reports")  # none is there
        for name, notebook in golden.RUNS:
            case = f"{name}-{notebook}"
            if wanted and not any(part in case for part in wanted):
                continue
            begin = time.process_time()
            values = golden.run(name, notebook, Path(below))
            (golden.VALUES / f"{case}.json").write_text(text(values), "utf-8")
            print(f"{case}: {time.process_time() - begin:.1f} s", values.get("refused", ""))


if __name__ == "__main__":
    main(sys.argv[1:])
