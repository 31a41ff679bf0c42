"""Words and colours: every phrase passes one door, and every colour can be read in every scheme."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from helpers import sentences
from helpers.report.page import wording
from helpers.report.page.report import TEMPLATES, style
from tests.report.sample_pages import rendered
from tests.report.structure import problems


@pytest.fixture
def chinese() -> Iterator[None]:
    sentences.use_language("zh", {"Further decisions": "决定", "too little data": "数据太少"})
    yield
    sentences.use_language("en")


@pytest.mark.usefixtures("chinese")
def test_second_language_is_a_catalogue() -> None:
    page = rendered()
    assert '<html lang="zh-Hans">' in page and ">决定<" in page and "数据太少" in page
    assert problems(page) == []


def test_every_word_of_a_template_passes_the_door() -> None:
    """What stands in a template outside its expressions is markup, never a word."""
    for path in TEMPLATES.glob("*.j2"):
        text = re.sub(r"\{[{%].*?[}%]\}|<style>.*?</style>", "", path.read_text("utf-8"), flags=re.DOTALL)
        words = re.findall(r"[^\W\d_]{2,}", re.sub(r"<[^>]*>|\bn = ", "", text))
        assert words == [], path.name


def test_unit_behind_a_number_is_said_once() -> None:
    assert wording.quantity(0.64, "index") == "0.64"
    assert wording.interval(0.08, 0.98, "index") == "0.08 to 0.98"
    assert wording.interval(-1200.0, 50.0, "CNY") == "CNY \N{MINUS SIGN}1,200 to CNY 50"
    assert wording.interval(0.1, 0.25, "share") == "10.0 % to 25.0 %"


# Contrast, from the style sheet's own colours (WCAG 2.2, relative luminance and contrast ratio)


def schemes() -> dict[str, dict[str, str]]:
    """Return the colours of each scheme: light, dark and print, each laid over the one before it."""
    sheet = (TEMPLATES / "style.css").read_text("utf-8")
    light, dark, paper = (
        dict(re.findall(r"--([a-z-]+):\s*(#[0-9a-f]{3,6})\b", block))
        for block in re.findall(r":root \{(.*?)\}", sheet, re.DOTALL)
    )
    return {"light": light, "dark": {**light, **dark}, "print": {**light, **paper}}


def luminance(colour: str) -> float:
    digits = colour[1:] if len(colour) == 7 else "".join(2 * digit for digit in colour[1:])
    parts = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


TEXT = [(ink, "paper") for ink in ("ink", "soft", "link", "good", "bad", "warn", "quiet", "comment")]
TEXT += [(ink, "raised") for ink in ("ink", "soft", "link", "comment")]
TEXT += [(tone, f"{tone}-tint") for tone in ("good", "bad", "warn", "quiet", "link")]
TEXT += [(ink, tint) for ink in ("ink", "soft", "link") for tint in ("bad-tint", "quiet-tint")]
LINES = [("edge", "paper"), ("link", "paper"), ("link", "raised"), ("bad", "paper"), ("quiet", "paper")]


def test_contrast_is_computed_right() -> None:
    assert contrast("#000", "#ffffff") == pytest.approx(21)
    assert contrast("#767676", "#ffffff") == pytest.approx(4.54, abs=0.005)


@pytest.mark.parametrize("scheme", ["light", "dark", "print"])
def test_text_and_lines_can_be_read(scheme: str) -> None:
    colours = schemes()[scheme]
    weak = {pair: contrast(colours[pair[0]], colours[pair[1]]) for pair in TEXT}
    assert {pair: ratio for pair, ratio in weak.items() if ratio < 4.5} == {}
    lines = {pair: contrast(colours[pair[0]], colours[pair[1]]) for pair in LINES}
    assert {pair: ratio for pair, ratio in lines.items() if ratio < 3} == {}


def test_style_uses_only_colours_that_are_checked() -> None:
    sheet = str(style())
    used, defined = set(re.findall(r"var\(--([a-z-]+)\)", sheet)), set(re.findall(r"--([a-z-]+):", sheet))
    assert used == defined
    outside = re.sub(r":root\s*\{.*?\}", "", sheet, flags=re.DOTALL)
    assert re.findall(r"#[0-9a-f]{3,6}\b", outside) == []
    assert {
        "PingFang SC",
        "Hiragino Sans GB",
        "Microsoft YaHei",
        "Noto Sans CJK SC",
        "Source Han Sans SC",
    } <= set(re.findall(r'"([^"]+)"', sheet))
