"""Write `environment.yml`, the conda twin of `pyproject.toml`; with `--check`, fail when it is stale."""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OTHERWISE_NAMED = {"tzdata"}
"""Python packages whose name stands for something else on conda-forge (there `tzdata` is the database alone).

Conda knows no extras either, so that a requirement with one is left to pip.
"""


def environment(project: dict) -> str:
    """Return the text of `environment.yml` for a `[project]` table."""
    requirements = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    for_pip = [each for each in requirements if "[" in each or re.split("[<>=]", each)[0] in OTHERWISE_NAMED]
    for_conda = [re.sub("(?=[<>=])", " ", each, count=1) for each in requirements if each not in for_pip]
    lines = [
        "# Generated from pyproject.toml by tools/environment.py; edit that file instead.",
        "name: community-playbook",
        "channels:",
        "  - conda-forge",
        "dependencies:",
        f"  - python {project['requires-python'].replace(' ', '')}",
        *(f"  - {each}" for each in for_conda),
        "  - pip",
        "  - pip:",
        *(f'      - "{each}"' for each in for_pip),
        "      - -e .",
    ]
    return "\n".join(lines) + "\n"


def written(target: Path, text: str, arguments: list[str]) -> int:
    """Write a generated file, or with ``--check`` compare it; return the exit code."""
    if "--check" not in arguments:
        target.write_text(text, "utf-8")
    elif not target.exists() or target.read_text("utf-8") != text:
        print(f"{target.relative_to(ROOT)} is stale; run: python tools/{target.stem}.py")
        return 1
    return 0


if __name__ == "__main__":
    made = environment(tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"])
    sys.exit(written(ROOT / "environment.yml", made, sys.argv[1:]))
