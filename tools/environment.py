"""Write `environment.yml`, the conda twin of `pyproject.toml`; with `--check`, fail when it is stale."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "environment.yml"


def environment(project: dict) -> str:
    """Return the text of `environment.yml` for a `[project]` table."""
    # pip installs all but Python, so that conda and venv users get the same builds of the same packages.
    requirements = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    lines = [
        "# Generated from pyproject.toml by tools/environment.py; edit that file instead.",
        "name: community-playbook",
        "channels:",
        "  - conda-forge",
        "dependencies:",
        f"  - python {project['requires-python'].replace(' ', '')}",
        "  - pip",
        "  - pip:",
        *(f'      - "{requirement}"' for requirement in requirements),
        "      - -e .",
    ]
    return "\n".join(lines) + "\n"


def main(arguments: list[str]) -> int:
    """Write or check the file; return the exit code."""
    text = environment(tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"])
    if "--check" not in arguments:
        TARGET.write_text(text, "utf-8")
        return 0
    if TARGET.exists() and TARGET.read_text("utf-8") == text:
        return 0
    print("environment.yml is stale; run: python tools/environment.py")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
