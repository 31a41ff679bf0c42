"""Every term has one definition, a whole sentence, and every finding of the reports names a term that is there."""

from __future__ import annotations

from importlib import resources

import pytest

from helpers.playbook.glossary import define, terms


def test_definitions_are_sentences() -> None:
    assert all(text[0].isupper() and text.endswith(".") for text in terms().values())
    assert len(set(terms().values())) == len(terms())
    lines = resources.files("helpers.playbook").joinpath("glossary.yml").read_text("utf-8").splitlines()
    named = [line.partition(":")[0] for line in lines if line[:1].isalpha()]
    assert named == list(terms())  # YAML would keep the last of two


def test_an_unknown_term_is_named() -> None:
    with pytest.raises(ValueError, match="silnt"):
        define("silnt")
