"""Write `docs/exports.md` from the known exports of the package; with `--check`, fail when it is stale."""

from __future__ import annotations

import re
import sys

from environment import ROOT, written

from helpers.data.exports import mapping
from helpers.data.exports.draft import runnable
from helpers.data.exports.recognise import Known, known
from helpers.data.tables import TABLES

HEAD = """# Your own data: exports that are known

<!-- Generated from src/helpers/data/exports/known by tools/exports.py; edit those files instead. -->

Put the files into a folder as they were downloaded and run `playbook map FOLDER`. It looks at what is in them, not
at their names: text with commas, semicolons or tabs in UTF-8, UTF-16 or GBK, `.xlsx`, tables of HTML, JSON,
Parquet, chats as phones write them, and any of them as zip, tar, gz or zst; banners above the column names do not
matter. It writes `mapping.yml`, which says which column becomes which, and where it does not know it asks.
`playbook check FOLDER` then says where every row went, and `playbook run --data FOLDER` makes the reports.

An export that is not listed is drafted from the names of its columns, in ten languages, and from what they hold: read
every line of it. An export in another language or with its columns in another order is the same export. What a
mapping can say stands at the end.

E-mail addresses and phones become pseudonyms when they are read; names, addresses and texts are not read. Masked
phones (`138****0001`) and nicknames are nobody's key: equal masks are not equal people.
"""


def section(export: Known, notebooks: list[str]) -> str:
    """Return what a reader must know of one export."""
    tables = [name for name in TABLES if re.search(rf"^  {name}:$", export.source, re.MULTILINE)]
    fed = [name for name, lack in runnable(tables, notebooks) if not lack]
    names = ", ".join(f"`{name}`" for name in export.signature)
    lines = [
        f"## {export.title}",
        f"- Where to click: {export.click}",
        f"- What comes: {export.comes}",
        f"- What is missing: {export.missing}",
        f"- Becomes: {', '.join(tables) or 'nothing'}. Feeds: {', '.join(fed) or 'no notebook alone'}.",
        f"- Known by: {names}. Its form is known from {export.evidence}.",
    ]
    return "\n".join([lines[0], "", *lines[1:]])


def document() -> str:
    """Return the text of `docs/exports.md`."""
    notebooks = sorted(path.stem for path in (ROOT / "notebooks").glob("[0-9]*.ipynb"))
    words = f"## The words of a mapping\n\n```text\n{(mapping.__doc__ or '').strip()}\n```"
    return "\n".join([HEAD, "\n\n".join([*(section(export, notebooks) for export in known()), words]), ""])


if __name__ == "__main__":
    sys.exit(written(ROOT / "docs" / "exports.md", document(), sys.argv[1:]))
