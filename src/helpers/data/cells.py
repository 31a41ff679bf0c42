"""How the text of one CSV cell becomes a value of the contract, and how it is judged.

Each column type gives two SQL expressions: the value of the trimmed text, and a verdict on both that is 0
when the text is understood or missing and otherwise the number of what is wrong with it. Nothing is guessed:
text that could mean two things has a verdict.

Understood are
- numbers: ``1234.5``, ``-3``, ``1e5``, ``1,234``, ``1.2万``, ``3.4w`` (both times 10,000), ``2亿`` (times
  100,000,000); ``12.3%`` only in a column whose unit is share; missing is an empty cell, ``-`` or ``--``;
- instants: ISO 8601 with ``Z`` or an offset, also with ``/``; without an offset only if a zone is
  declared, then also ``2025年1月5日 08:00``; numbers since 1970 only if their unit is declared;
- days: ``2025-01-05``, ``2025/1/5``, ``2025年1月5日``, ``20250105``;
- booleans: ``true``, ``false``, ``1``, ``0``, ``是``, ``否``;
- JSON objects, and lists as JSON arrays.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from helpers.data.clock import offsets
from helpers.data.schema import Column
from helpers.data.views import identifier, quoted

UNREADABLE, LOCAL, NUMBER, GAP, AMBIGUOUS, PERCENT, TIME_OF_DAY, GUARD, ZONED, PLAIN, OTHER = range(1, 12)
"""Verdicts. Those without words are no violations: they are counted to be spoken of."""

MISSING = "('-', '--')"
UNSIGNED = r"(\d+|\d{1,3}(,\d{3})+)(\.\d+)?"
GROUPED_NUMBER = r"[+-]?\d{1,3}(,\d{3})+(\.\d+)?"
LARGE_UNIT_NUMBER = rf"[+-]?{UNSIGNED}\s?[万wW亿]"
PERCENTAGE = rf"[+-]?{UNSIGNED}\s?[%％]"
DAY = r"\d{4}(-\d{1,2}-\d{1,2}|/\d{1,2}/\d{1,2}|年\d{1,2}月\d{1,2}日)"
TIME = r"\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?"
ZONED_TIME = rf"{DAY}(T|\s+){TIME}\s?(Z|z|UTC|GMT|[+-]\d{{2}}(:?\d{{2}})?)"
LOCAL_TIME = rf"{DAY}((T|\s*){TIME})?"
MIDNIGHT = r"((T|\s+)0{1,2}:00(:00(\.0+)?)?)?"
PLAIN_TIME = r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d(:?\d\d)?)"
MANY_DIGITS = r"\d{9,19}(\.\d+)?"
EIGHT_DIGITS = r"\d{8}"
PLAIN_NUMBER = r"-?(0|[1-9]\d{0,14})(\.\d+)?"
SIGNED = r"-?\d+(\.\d+)?"

EPOCH_MICROSECONDS = {"s": 1_000_000, "ms": 1_000, "us": 1}
"""Microseconds in one unit of a number since 1970."""


@dataclass(frozen=True)
class Cell:
    """SQL for the value of a column and for the verdict on its text, with words for each verdict."""

    value: str
    verdict: str = "0"
    words: dict[int, tuple[str, str]] = field(default_factory=dict)
    counted: tuple[int, ...] = ()

    @property
    def codes(self) -> tuple[int, ...]:
        """Verdicts to count: those that are violations and those that are only spoken of."""
        return tuple(dict.fromkeys([*self.words, *self.counted]))


def cell(column: Column, table: str, local_tz: str | None = None, unit: str | None = None) -> Cell:
    """Return how the text of a column is read.

    Parameters
    ----------
    column : Column
        Its declaration.
    table : str
        Name of its table, for the words.
    local_tz : str, optional
        Declared zone of times without one.
    unit : str, optional
        Declared unit (``s``, ``ms``, ``us``) of numbers since 1970.
    """
    name = column.name
    if column.type in ("integer", "float"):
        return _number(name, column.unit == "share")
    if column.type == "timestamp":
        return _timestamp(name, f"{table}.{name}", local_tz, unit)
    readers = {"date": _date, "boolean": _boolean, "json": _json, "list": _list}
    if column.type in readers:
        return readers[column.type](name)
    return _identifier(name) if column.is_id else Cell(identifier(name))


def value_of(name: str) -> str:
    """Return the SQL name under which a verdict finds the value of a column."""
    return identifier(f"value of {name}")


def matches(text: str, pattern: str) -> str:
    """Return SQL that is true when the whole text matches."""
    return f"regexp_full_match({text}, {quoted(pattern)})"


def _judged(name: str, *cases: tuple[str, int], understood: int | str = 0) -> str:
    """Return a verdict: `understood` where there is a value, 0 for missing, else the first case."""
    text = identifier(name)
    branches = " ".join(f"WHEN {condition} THEN {code}" for condition, code in cases)
    return (
        f"CASE WHEN {value_of(name)} IS NOT NULL THEN {understood} "
        f"WHEN {text} IS NULL OR {text} IN {MISSING} THEN 0 {branches} ELSE {UNREADABLE} END"
    )


def _number(name: str, share: bool) -> Cell:
    """Plain numbers take the engine's own parser; the patterns are tried on the rest only."""
    text = identifier(name)
    plain = f"CASE WHEN contains({text}, '_') THEN NULL ELSE TRY_CAST({text} AS DOUBLE) END"
    digits = f"TRY_CAST(regexp_replace({text}, '[,\\s万wW亿]', '', 'g') AS DECIMAL(24, 8))"
    factor = f"CASE WHEN contains({text}, '亿') THEN 100000000::DECIMAL(9, 0) ELSE 10000::DECIMAL(9, 0) END"
    percent = ""
    if share:
        number = f"TRY_CAST(regexp_replace({text}, '[,\\s%％]', '', 'g') AS DOUBLE)"
        percent = f"WHEN {matches(text, PERCENTAGE)} THEN {number} / 100 "
    value = (
        f"coalesce({plain}, CASE WHEN {text} IN {MISSING} THEN NULL "
        f"WHEN {matches(text, GROUPED_NUMBER)} THEN TRY_CAST(replace({text}, ',', '') AS DOUBLE) "
        f"WHEN {matches(text, LARGE_UNIT_NUMBER)} THEN CAST({digits} * {factor} AS DOUBLE) {percent}END)"
    )
    words = {
        UNREADABLE: (
            "unreadable number",
            "Understood are 1234.5, 1,234, 1.2万, 3.4w, 2亿; missing is an empty cell, - or --.",
        ),
        PERCENT: (
            "percentage",
            "Rates are never stored: store the numerator and the denominator as counts or amounts.",
        ),
    }
    return Cell(value, _judged(name, (matches(text, PERCENTAGE), PERCENT)), words)


def _normal_day(text: str) -> str:
    """Write a day with hyphens, as the engine reads it."""
    for old, new in (("/", "-"), ("年", "-"), ("月", "-"), ("日", " ")):
        text = f"replace({text}, {quoted(old)}, {quoted(new)})"
    return text


def _timestamp(name: str, where: str, local_tz: str | None, unit: str | None) -> Cell:
    """Read instants; a time without a zone needs a declared one, a number a declared unit.

    The plain form comes first: it needs one pattern and one cast, rarer forms are rewritten before.
    """
    text = identifier(name)
    normal = f"trim({_normal_day(text)})"
    zoned = f"TRY_CAST(replace(replace(upper({normal}), ' +', '+'), ' -', '-') AS TIMESTAMPTZ)"
    wall = f"TRY_CAST({normal} AS TIMESTAMP)"
    is_local = f"{matches(text, LOCAL_TIME)} AND {wall} IS NOT NULL"
    branches = [
        f"WHEN {matches(text, PLAIN_TIME)} THEN TRY_CAST({text} AS TIMESTAMPTZ)",
        f"WHEN {matches(text, ZONED_TIME)} THEN {zoned}",
    ]
    cases = [(is_local, LOCAL if local_tz is None else GAP)]
    if local_tz is not None:
        branches.append(f"WHEN {matches(text, LOCAL_TIME)} THEN {_from_wall(wall, local_tz)}")
    if unit is None:
        cases.append((matches(text, MANY_DIGITS), NUMBER))
    else:
        number = f"TRY_CAST({text} AS DECIMAL(24, 6)) * {EPOCH_MICROSECONDS[unit]}"
        instant = f"CAST(make_timestamp(CAST({number} AS BIGINT)) AS TIMESTAMPTZ)"
        branches.append(f"WHEN {matches(text, SIGNED)} THEN {instant}")
    verdict = _judged(name, *cases, understood=_understood(name, local_tz))
    words = _time_words(where, local_tz)
    return Cell(f"CASE {' '.join(branches)} END", verdict, words, (ZONED, LOCAL, AMBIGUOUS))


def _from_wall(wall: str, local_tz: str) -> str:
    """Return the instant of a wall-clock time; none where the clock jumped over it."""
    instant = f"timezone({quoted(local_tz)}, {wall})"
    if len(offsets(local_tz)) == 1:
        return instant
    return f"CASE WHEN timezone({quoted(local_tz)}, {instant}) = {wall} THEN {instant} END"


def _understood(name: str, local_tz: str | None) -> int | str:
    """Tell understood times apart: with an offset, without one, and without one in a repeated hour."""
    if local_tz is None:
        return ZONED
    value, place = value_of(name), quoted(local_tz)
    twice = ""
    if len(offsets(local_tz)) > 1:
        again = " OR ".join(
            f"timezone({place}, {value} {sign} INTERVAL 1 HOUR) = timezone({place}, {value})" for sign in "+-"
        )
        twice = f"WHEN {again} THEN {AMBIGUOUS} "
    text = identifier(name)
    return f"CASE WHEN NOT {matches(text, LOCAL_TIME)} THEN {ZONED} {twice}ELSE {LOCAL} END"


def _time_words(where: str, local_tz: str | None) -> dict[int, tuple[str, str]]:
    words = {
        UNREADABLE: ("unreadable time", "Write instants as 2025-01-05T08:00:00Z or with an offset, +08:00."),
        NUMBER: (
            "number instead of a time",
            f"Declare its unit: epoch={{'{where}': 's'}} (or 'ms', 'us'), "
            f"or ?epoch={where}:s behind the folder.",
        ),
        GAP: (
            "local time that does not exist",
            f"The clock of {local_tz} jumped over it; local_tz is wrong or the export is.",
        ),
    }
    if local_tz is None:
        words[LOCAL] = (
            "local time without a zone",
            "Declare the zone, local_tz='Asia/Shanghai', or ?local_tz=Asia/Shanghai behind the folder.",
        )
    return words


def _date(name: str) -> Cell:
    text = identifier(name)
    day = f"regexp_extract({text}, {quoted('^' + DAY)})"
    value = (
        f"CASE WHEN {matches(text, DAY + MIDNIGHT)} THEN TRY_CAST(trim({_normal_day(day)}) AS DATE) "
        f"WHEN {matches(text, EIGHT_DIGITS)} THEN CAST(try_strptime({text}, '%Y%m%d') AS DATE) END"
    )
    timed = rf"{DAY}(T|\s+){TIME}.*"
    words = {
        UNREADABLE: ("unreadable day", "Write days as 2025-01-05."),
        TIME_OF_DAY: (
            "day with a time of day",
            "The column holds calendar days; a time of day must be in a timestamp column.",
        ),
    }
    return Cell(value, _judged(name, (matches(text, timed), TIME_OF_DAY)), words)


def _boolean(name: str) -> Cell:
    text = identifier(name)
    value = (
        f"CASE WHEN lower({text}) IN ('true', '1', '1.0', '是') THEN true "
        f"WHEN lower({text}) IN ('false', '0', '0.0', '否') THEN false END"
    )
    words = {UNREADABLE: ("unreadable boolean", "Understood are true, false, 1, 0, 是, 否.")}
    return Cell(value, _judged(name), words)


def _json(name: str) -> Cell:
    text = identifier(name)
    words = {UNREADABLE: ("unreadable JSON", "Write a JSON object, or leave the cell empty.")}
    value = f"CASE WHEN json_valid({text}) THEN {text} END"
    return Cell(value, _judged(name), words)


def _list(name: str) -> Cell:
    text = identifier(name)
    words = {UNREADABLE: ("unreadable list", 'Write a JSON array such as ["a", "b"].')}
    value = f"""CASE WHEN json_valid({text}) THEN TRY(from_json({text}, '["VARCHAR"]')) END"""
    return Cell(value, _judged(name), words)


def _identifier(name: str) -> Cell:
    """Ids keep every character; marks that a spreadsheet put around them are named."""
    text = identifier(name)
    guarded = f"starts_with({text}, '''') OR starts_with({text}, '=')"
    words = {
        GUARD: (
            "spreadsheet mark around an id",
            "A leading ' or = keeps a spreadsheet from rounding; export the id itself as text.",
        )
    }
    return Cell(text, f"CASE WHEN {guarded} THEN {GUARD} ELSE 0 END", words)


def free(name: str) -> Cell:
    """Return the verdicts on a column that the contract does not know: plain numbers, or anything else.

    Leading zeros, long digit strings and exponents stay text, because they may be ids.
    """
    text = identifier(name)
    plain = f"WHEN {matches(text, PLAIN_NUMBER)} THEN {PLAIN}"
    return Cell(text, f"CASE WHEN {text} IS NULL THEN 0 {plain} ELSE {OTHER} END", counted=(PLAIN, OTHER))
