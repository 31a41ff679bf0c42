"""Keep notebooks as sources: no outputs but the numbers nbval compares; with `--check`, fail on any other.

A notebook is stored without images, real execution counts and volatile metadata. A code cell whose first line is
``# NBVAL_CHECK_OUTPUT`` keeps its plain-text output, so that a change of a number shows up in a test.
"""

from __future__ import annotations

import hashlib
import re
import sys
from pathlib import Path

import nbformat

ROOT = Path(__file__).resolve().parent.parent
KEPT = "# NBVAL_CHECK_OUTPUT"
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}


def clean(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Return the notebook as it is stored."""
    notebook.metadata = nbformat.from_dict({"kernelspec": KERNEL, "language_info": {"name": "python"}})
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    for position, cell in enumerate(notebook.cells):
        cell.id = hashlib.sha256(f"{position}\n{cell.source}".encode()).hexdigest()[:12]
        tags = cell.metadata.get("tags")
        cell.metadata = nbformat.from_dict({"tags": sorted(tags)} if tags else {})
        cell.pop("attachments", None)
        if cell.cell_type == "code":
            cell.outputs = _kept(cell.outputs) if cell.source.startswith(KEPT) else []
            # nbval takes a cell that has outputs but no count for a broken one, so these say 1.
            cell.execution_count = 1 if cell.outputs else None
    return notebook


def _kept(outputs: list) -> list:
    kept = []
    for output in outputs:
        if output.output_type == "stream" and output.name == "stdout":
            kept.append(output)
        elif "text/plain" in output.get("data", {}):
            data = {"text/plain": output.data["text/plain"]}
            output = nbformat.v4.new_output(output.output_type, data=data)
            kept.append(output)
    return kept


def problems(path: Path) -> list[str]:
    """Return what is wrong with the stored form or the shape of one notebook."""
    text = path.read_text("utf-8")
    notebook = nbformat.reads(text, as_version=4)
    found = []
    if nbformat.writes(clean(nbformat.reads(text, as_version=4))) + "\n" != text:
        found.append("is not in its stored form; run: python tools/notebooks.py")
    titles = [c for c in notebook.cells if c.cell_type == "markdown" and re.search(r"^# ", c.source, re.M)]
    if len(titles) != 1 or notebook.cells[0] is not titles[0]:
        found.append(f"has {len(titles)} H1 titles, must have one, in its first cell")
    code = [c for c in notebook.cells if c.cell_type == "code"]
    if sum("parameters" in c.metadata.get("tags", []) for c in code) != 1:
        found.append("must have exactly one cell tagged parameters")
    if len(notebook.cells) > 40:
        found.append(f"has {len(notebook.cells)} cells, must have at most 40")
    for cell in code:
        if re.search(r"^\s*(def|class) ", cell.source, re.M):
            found.append(f"defines code in a cell: {cell.source.splitlines()[0]}")
    return found


def main(arguments: list[str]) -> int:
    """Clean or check every notebook; return the exit code."""
    failed = False
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        if "--check" in arguments:
            for problem in problems(path):
                failed = True
                print(f"{path.relative_to(ROOT)} {problem}")
        else:
            notebook = clean(nbformat.reads(path.read_text("utf-8"), as_version=4))
            path.write_text(nbformat.writes(notebook) + "\n", "utf-8")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
