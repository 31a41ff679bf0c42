"""What the terms of the reports mean: one definition for all notebooks, kept as data in ``glossary.yml``."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

import yaml

from helpers.checks import check_scalar
from helpers.sentences import say


@cache
def terms() -> dict[str, str]:
    """Return every term with its definition."""
    text = files("helpers.playbook").joinpath("glossary.yml").read_text(encoding="utf-8")
    return {str(term): str(definition).strip() for term, definition in yaml.safe_load(text).items()}


def define(term: str) -> str:
    """Return the definition of a term, in the language of the reader.

    Raises
    ------
    ValueError
        When the glossary does not hold it.
    """
    return say(terms()[check_scalar(term, "term", in_=sorted(terms()))])
