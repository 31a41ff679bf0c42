"""Other languages than English: catalogues of whole templates, shared ones here and those of a method in its folder.

A catalogue is a YAML list of pairs, ``en`` as it stands in the source and ``zh`` as it is said. What a report says is
taken from the shared files and from its own method's, so that a changed word in one method makes only that method's
reports again.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from contextlib import AbstractContextManager
from functools import cache
from pathlib import Path

from helpers import sentences

PACKAGE = Path(__file__).resolve().parents[1]


def files(language: str, method: str = "") -> list[Path]:
    """Return the files of a catalogue: the shared ones, and those of a method, or of every method without one."""
    if language == "en":
        return []
    shared = sorted((PACKAGE / "locale" / language).glob("*.yml"))
    return shared + sorted(PACKAGE.glob(f"methods/{method or '*'}/{language}.yml"))


@cache
def catalogue(language: str, method: str = "") -> Mapping[str, str]:
    """Return English template to translated template."""
    import yaml  # late: a command in English reads none

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    loaded = (yaml.load(path.read_text("utf-8"), loader) or [] for path in files(language, method))
    said = [pair for pairs in loaded for pair in pairs if pair[language]]
    return {pair["en"].strip(): pair[language].strip() for pair in said}


def digests(language: str, method: str) -> dict[str, str]:
    """Return the SHA-256 of each file of a catalogue by its name below the package."""
    read = ((path.relative_to(PACKAGE).as_posix(), path.read_bytes()) for path in files(language, method))
    return {name: hashlib.sha256(content).hexdigest() for name, content in read}


def use(language: str, method: str = "") -> None:
    """Say everything in a language from now on, as the kernel of a report does."""
    sentences.use_language(language, catalogue(language, method))


def of_terminal() -> str:
    """Return the language of the terminal, as its environment names it: Chinese, or else English."""
    named = filter(None, map(os.environ.get, ("LC_ALL", "LC_MESSAGES", "LANG")))
    return "zh" if next(named, "").lower().startswith("zh") else "en"


def spoken(language: str, method: str = "") -> AbstractContextManager[None]:
    """Say what is said in this context, and in no other thread, in a language."""
    return sentences.spoken(language, catalogue(language, method))
