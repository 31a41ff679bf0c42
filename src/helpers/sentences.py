"""The one door through which sentences reach a reader.

A sentence is a template in plain English with named fields. :func:`say` looks the template up in the
catalogue of the chosen language and falls back to the template itself, as gettext does, so a second language
is a catalogue and no method changes. The formatting helpers keep digits, signs and units uniform.
"""

from __future__ import annotations

import datetime as dt
import math
import re
import string
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple


class Language(NamedTuple):
    """A language by its code, and its catalogue: English template to translated template."""

    code: str
    catalogue: Mapping[str, str]


ENGLISH = Language("en", {})
SYMBOLS = {"CNY": "￥", "JPY": "円", "USD": "美元", "EUR": "欧元", "HKD": "港元", "GBP": "英镑"}
"""How Chinese writes money: the yuan in front, other currencies behind."""
# Shares that have a name when they are said aloud.
SPOKEN = {1 / 4: "a quarter", 1 / 3: "a third", 1 / 2: "half", 2 / 3: "two thirds", 3 / 4: "three quarters"}
_AFTER_STOP = re.compile(r"(?<=[。，、；：！？）”]) +(?=[^\s<])")
_RANGE = re.compile(r"(?<=[（；])(￥?[\d,.]+[%万亿]*)至(?=￥?[\d,.]+[%万亿]*[；）])")
_HAN = re.compile(r"[\u4e00-\u9fff]")
_ISO_DAY = re.compile(r"\d{4}-\d\d-\d\d(?:[ T](\d\d:\d\d)(?::\d\d)?)?")
_ISO_SPAN = re.compile(r"([12]\d{3})-(?:Q(?P<quarter>[1-4])|W(?P<week>[0-5]\d)|(?P<month>0[1-9]|1[0-2]))")
_process = ENGLISH
_here: ContextVar[Language | None] = ContextVar("language", default=None)


def use_language(language: str, translations: Mapping[str, str] | None = None) -> None:
    """Choose the language of all later sentences, with its catalogue: English template to translated template."""
    global _process
    if language != "en" and translations is None:
        raise ValueError(f"language == {language!r}, must come with its catalogue.")
    _process = Language(language, translations or {})


@contextmanager
def spoken(language: str, translations: Mapping[str, str]) -> Iterator[None]:
    """Say what is said in this context in a language; other threads go on in theirs."""
    before = _here.set(Language(language, translations))
    try:
        yield
    finally:
        _here.reset(before)


def _language() -> Language:
    return _here.get() or _process


def in_chinese() -> bool:
    """Return whether sentences are said in Chinese now."""
    return _language().code == "zh"


def lang() -> str:
    """Return the tag of the language for a page: Chinese is in simplified characters."""
    return "zh-Hans" if in_chinese() else _language().code


class _Chinese(string.Formatter):
    """Fields as Chinese writes them: days as 2026年6月30日, whole numbers from ten thousand as 1.2万, lists with 、.

    The format ``,d`` keeps a number exact, as in brackets.
    """

    def convert_field(self, value: Any, conversion: Any) -> Any:
        """Return what stands in quotes (``!r``), or as it is written (``!s``), which no catalogue translates."""
        value = super().convert_field(value, conversion)
        return Verbatim(value) if conversion else value

    def format_field(self, value: Any, format_spec: str) -> str:
        if isinstance(value, Verbatim):
            return str(value)
        found, is_day = _ISO_DAY.fullmatch(str(value)), isinstance(value, dt.date)
        if not format_spec and (found or is_day):
            day = dt.date.fromisoformat(str(value)[:10])
            return f"{day.year}年{day.month}月{day.day}日{(found and not is_day and found[1]) or ''}"
        if not format_spec and (span := _ISO_SPAN.fullmatch(str(value))):
            return _span(int(span[1]), **{name: int(n) for name, n in span.groupdict().items() if n})
        if format_spec in (",", ",d"):
            return (format_spec == "," and _in_myriads(value)) or f"{value:,}"
        if isinstance(value, str):  # a word that code gives, such as the name of a model, or a list of them
            value = word(value).replace(", ", "、").replace("; ", "；")
        return str(super().format_field(value, format_spec))


_CHINESE = _Chinese()


def _span(year: int, *, quarter: int = 0, week: int = 0, month: int = 0) -> str:
    """Return a month, a quarter or an ISO week as Chinese writes it; a week with its days."""
    if not week:
        return f"{year}年{month}月" if month else f"{year}年第{quarter}季度"
    first = dt.date.fromisocalendar(year, 1, 1) + dt.timedelta(weeks=week - 1)
    last = first + dt.timedelta(days=6)
    until = f"{last.day}日" if last.month == first.month else f"{last.month}月{last.day}日"
    return f"{year}年第{week}周（{first.month}月{first.day}日至{until}）"


def _in_myriads(value: float) -> str:
    """Return a number from ten thousand in units of 万 or 亿, to three digits; empty below."""
    size, word = (1e8, "亿") if abs(value) >= 1e8 else (1e4, "万")
    if abs(value) < 1e4:
        return ""
    part = value / size
    shown = f"{part:.{0 if abs(part) >= 100 else 1 if abs(part) >= 10 else 2}f}"
    return (shown.rstrip("0").rstrip(".") if "." in shown else shown) + word


def say(template: str, /, **values: Any) -> str:
    """Return the sentence for a template, in the chosen language, with its fields filled in.

    Templates of sentences that follow one another are divided by line breaks.
    """
    code, catalogue = _language()
    if "\n" in template:
        return closed_up(" ".join(say(part, **values) for part in template.split("\n")))
    translated = catalogue.get(template) or template
    if code != "zh":
        return translated.format(**values)
    return _RANGE.sub(
        r"\1–", _CHINESE.format(translated, **values)
    )  # in brackets, where no bound is negative


class Verbatim(str):
    """A text that is said as it stands, such as a query."""

    __slots__ = ()


def closed_up(text: str) -> str:
    """Return a text of sentences that were put one behind the other; Chinese leaves no space between them."""
    return _AFTER_STOP.sub("", text) if in_chinese() else text


def length(text: str) -> int:
    """Return how many words a text has; of Chinese, 1.8 characters read like a word."""
    return len(text.split()) + round(len(_HAN.findall(text)) / 1.8)


def width(text: str) -> int:
    """Return how many characters a text has; one of Chinese says as much as two letters."""
    return len(text) + len(_HAN.findall(text))


def word(text: str) -> str:
    """Return a word that code gives, such as the heading of a column, in the chosen language."""
    return _language().catalogue.get(text, text)


def shortened(text: str, most: int) -> str:
    """Return a text that may be too long to be read, cut to its first `most` characters with a note."""
    rest = len(text) - most
    return say("{text}… ({rest:,} more characters)", text=text[:most], rest=rest) if rest > 0 else text


def percent(share: float, digits: int = 1) -> str:
    """Return a share as per cent: ``0.537 -> '53.7 %'``; two digits below one; ``'–'`` when not known."""
    if not math.isfinite(share):
        return "–"
    small = 0 < abs(share) < 0.01 and digits > 0
    shown = _signed(f"{100 * share:.2g}" if small else f"{100 * share:.{digits}f}")
    return f"{shown}%" if in_chinese() else f"{shown} %"


def roughly(share: float) -> str:
    """Return a share as one says it aloud: ``0.47 -> 'half'``, ``0.068 -> '7 %'``."""
    near = min(SPOKEN, key=lambda part: abs(part - share))
    if abs(near - share) <= 0.03:
        return say(SPOKEN[near])
    return percent(share, 0 if 0.01 <= share <= 0.99 else 1)


def number(value: float, digits: int | None = None) -> str:
    """Return a number with thousands separators and as many digits as help: about three significant."""
    if not math.isfinite(value):
        return "–"
    if digits is None:
        magnitude = abs(value)
        digits = 0 if magnitude >= 100 or float(value).is_integer() else 1 if magnitude >= 10 else 2
    return _signed(f"{value:,.{digits}f}")


def _signed(text: str) -> str:
    """Write a minus as a minus and not as a hyphen, and nothing below nothing."""
    return text.removeprefix("-") if not text.strip("-0.,") else text.replace("-", "−")


def money(value: float, currency: str, *, exact: bool = False) -> str:
    """Return an amount of money with its currency: ``'CNY 1,234'``; in Chinese ``'￥1,234'`` and ``'￥1.23万'``."""
    if not math.isfinite(value):
        return "–"
    if not in_chinese():
        return f"{currency} {number(value)}"
    sign, size = "−" if value < 0 else "", abs(value)
    shown = (not exact and _in_myriads(size)) or number(size)
    symbol = SYMBOLS.get(currency, f" {currency}")
    return f"{sign}{symbol}{shown}" if currency == "CNY" else f"{sign}{shown}{symbol}"


def quantity(value: float, unit: str, *, exact: bool = False) -> str:
    """Return a value in its unit: shares as per cent, currencies in front, other units behind.

    In Chinese, money from ten thousand is said in units of 万, unless it has to be `exact`, as in a table.
    """
    if unit == "share":
        return percent(value)
    if len(unit) == 3 and unit.isupper():
        return money(value, unit, exact=exact)
    if unit in {"ratio", "index", ""}:
        return number(value)
    return amount_of(value, unit)


def amount_of(value: float, what: str) -> str:
    """Return how many or how much of something: ``2,985 members``; Chinese has a measure word of each."""
    return say(f"{{number}} {what}", number=number(value)) if math.isfinite(value) else "–"


def people(n: int, k_min: int) -> str:
    """Return a number of members in words: ``"1,204"``, or ``"fewer than 10"`` when it is told of too few."""
    return say("fewer than {k}", k=k_min) if 0 < n < k_min else f"{n:,}"


def part_of(n: int, whole: int, k_min: int) -> str:
    """Return how many of a whole: neither these nor the others are told of when they are too few."""
    return say("all but fewer than {k}", k=k_min) if 0 < whole - n < k_min <= n else people(n, k_min)


def interval(low: float, high: float, unit: str) -> str:
    """Return an interval in words: ``'51.0 % to 56.3 %'``; ``'too little data'`` when it is not known.

    In Chinese a measure word stands once, behind the value, and not at each end.
    """
    if not (math.isfinite(low) and math.isfinite(high)):
        return say("too little data")
    if in_chinese() and unit != "share" and not unit.isupper():
        unit = ""
    bounds = quantity(low, unit), quantity(high, unit)
    if in_chinese() and low >= 0:  # beside a minus, the dash would be read as one
        return "–".join(bounds)
    return say("{low} to {high}", low=bounds[0], high=bounds[1])


def with_bounds(estimate: Any) -> str:
    """Return ``'53.7 % (51.0 % to 56.3 %)'``, where how many it is of is told beside it."""
    value, low, high, unit = estimate.value, estimate.low, estimate.high, estimate.unit
    return say("{value} ({bounds})", value=quantity(value, unit), bounds=interval(low, high, unit))


def with_interval(estimate: Any) -> str:
    """Return ``'53.7 % (51.0 % to 56.3 %, n = 1,411)'`` for any record with value, low, high, n and unit."""
    if not math.isfinite(estimate.value):
        return say("too little data (n = {n:,})", n=estimate.n)
    value = quantity(estimate.value, estimate.unit)
    bounds = interval(estimate.low, estimate.high, estimate.unit)
    return say("{value} ({interval}, n = {n:,})", value=value, interval=bounds, n=estimate.n)
