"""How the text of one CSV cell becomes a value of the contract, and how it is judged.

Each column type gives two SQL expressions: the value of the trimmed text, and a verdict on both that is missing
when there is nothing to say and otherwise the name of what is wrong with the text, a key of `ADVICE`, or of what
was understood only with care. Nothing is guessed: text that could mean two things is wrong.

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

from typing import NamedTuple

from helpers.data.clock import offsets
from helpers.data.schema import Column
from helpers.data.views import identifier, quoted

LOCAL = "local time without a zone"
# What to do about each way in which text cannot be read.
ADVICE = {
    "unreadable number": "Understood are 1234.5, 1,234, 1.2万, 3.4w, 2亿; missing is an empty cell, - or --.",
    "percentage": "Rates are never stored: store the numerator and the denominator as counts or amounts.",
    "unreadable time": "Write instants as 2025-01-05T08:00:00Z or with an offset, +08:00.",
    "number instead of a time": "Declare its unit: epoch={{'{where}': 's'}} (or 'ms', 'us'), "
    "or ?epoch={where}:s behind the folder.",
    "local time that does not exist": "The clock of {local_tz} jumped over it; local_tz is wrong or the export is.",
    LOCAL: "Declare the zone, local_tz='Asia/Shanghai', or ?local_tz=Asia/Shanghai behind the folder or address.",
    "unreadable day": "Write days as 2025-01-05.",
    "day with a time of day": "The column holds calendar days; a time of day must be in a timestamp column.",
    "unreadable boolean": "Understood are true, false, 1, 0, 是, 否.",
    "unreadable JSON": "Write a JSON object, or leave the cell empty.",
    "unreadable list": 'Write a JSON array such as ["a", "b"].',
    "line break in a name": "A quotation mark that is never closed makes one cell of several rows; close it.",
    "masked id": "Equal masks are not equal people. Map a column with whole ids; without one members are not known.",
    "share above 1": "Say per: 100 where 12.3 is meant as 12.3 %, per: 10000 where 1230 is.",
    "unknown word": "Say what it means under values, or others: keep.",
    "spreadsheet mark around an id": "A leading ' or = keeps a spreadsheet from rounding; export the id itself "
    "as text.",
}

# Verdicts that are no violations: they are counted to be spoken of.
ZONED, DECLARED, TWICE, PLAIN = "zoned", "zone declared", "hour that comes twice", "number"

MISSING = "('-', '--')"
UNSIGNED = r"(\d+|\d{1,3}(,\d{3})+)(\.\d+)?"
GROUPED_NUMBER = r"[+-]?\d{1,3}(,\d{3})+(\.\d+)?"
LARGE_UNIT_NUMBER = rf"{UNSIGNED}\s?[万wW亿]"
PERCENTAGE = rf"[+-]?{UNSIGNED}\s?[%％]"
DAY = r"\d{4}(-\d{1,2}-\d{1,2}|/\d{1,2}/\d{1,2}|年\d{1,2}月\d{1,2}日)"
TIME = r"\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?"
# Offsets that some clock on Earth has: from -12 to +14 hours.
OFFSET = r"(\+(0\d|1[0-4])|-(0\d|1[0-2]))(:?[0-5]\d)?"
ZONED_TIME = rf"{DAY}(T|\s+){TIME}\s?(Z|z|UTC|GMT|{OFFSET})"
LOCAL_TIME = rf"{DAY}((T|\s*){TIME})?"
MIDNIGHT = r"((T|\s+)0{1,2}:00(:00(\.0+)?)?)?"
PLAIN_LOCAL_TIME, ITS_SHAPE = r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d", "____-__-__ __:__:__"
PLAIN_TIME = rf"\d{{4}}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|{OFFSET})"

# Signs of money before and behind a number; seconds stand behind one, too.
MONEY_BEFORE, MONEY_BEHIND = r"[+-]?(R?[￥¥$€£₩₹₽]|[A-Z]{3})?\s?[+-]?", r"\s?([元円원€£₽秒]|kr|zł|[A-Z]{3})?"
# Microseconds in one unit of a number since 1970.
EPOCH_MICROSECONDS = {"s": 1_000_000, "ms": 1_000, "us": 1}


class Cell(NamedTuple):
    """SQL for the value of a column and for the verdict on its text."""

    value: str
    verdict: str = "NULL"


def cell(
    column: Column, local_tz: str | None = None, unit: str | None = None, *, signs: bool = False
) -> Cell:
    """Return how the text of a column is read.

    Parameters
    ----------
    column : Column
        Its declaration.
    local_tz : str, optional
        Declared zone of times without one.
    unit : str, optional
        Declared unit (``s``, ``ms``, ``us``) of numbers since 1970.
    signs : bool
        Whether signs of money may stand at a number; a mapping names the currency.
    """
    name, text = column.name, identifier(column.name)
    match column.type:
        case "integer" | "float":
            number = number_of(text, column.unit == "share", signs=signs)
            return Cell(number, _judged(name, "number", {"percentage": _matches(text, PERCENTAGE)}))
        case "timestamp":
            return _timestamp(name, local_tz, unit)
        case "date":
            timed = {"day with a time of day": _matches(text, rf"{DAY}(T|\s+){TIME}.*")}
            return Cell(_day(text), _judged(name, "day", timed))
        case "boolean":
            value = (
                f"CASE WHEN lower({text}) IN ('true', '1', '1.0', '是') THEN true "
                f"WHEN lower({text}) IN ('false', '0', '0.0', '否') THEN false END"
            )
            return Cell(value, _judged(name, "boolean"))
        case "json":
            return Cell(f"CASE WHEN json_valid({text}) THEN {text} END", _judged(name, "JSON"))
        case "list":
            items = f"""TRY(from_json({text}, '["VARCHAR"]'))"""
            return Cell(f"CASE WHEN json_valid({text}) THEN {items} END", _judged(name, "list"))
    # Ids keep every character; marks that a spreadsheet put around them are named.
    marked = f"starts_with({text}, '''') OR starts_with({text}, '=')"
    marks = f"WHEN {marked} THEN 'spreadsheet mark around an id' " if column.is_id else ""
    broken = f"CASE WHEN contains({text}, chr(10)) THEN 'line break in a name' {marks}END"
    return Cell(text, broken) if column.is_id or column.type == "category" else Cell(text)


def free(name: str) -> Cell:
    """Return the verdict on a column that the contract does not know: whether the text is a plain number.

    Leading zeros, long digit strings and exponents stay text, because they may be ids.
    """
    text = identifier(name)
    return Cell(text, _matches(text, r"-?(0|[1-9]\d{0,14})(\.\d+)?"))


def value_of(name: str) -> str:
    """Return the SQL name under which a verdict finds the value of a column."""
    return identifier(f"\x1fvalue of {name}")


def _matches(text: str, pattern: str) -> str:
    """Return SQL that is true when the whole text matches."""
    return f"regexp_full_match({text}, {quoted(pattern)})"


def _judged(name: str, kind: str, cases: dict[str, str] | None = None, understood: str = "NULL") -> str:
    """Return a verdict: `understood` where there is a value, none for missing, else the first case that holds."""
    text = identifier(name)
    branches = " ".join(f"WHEN {condition} THEN {quoted(rule)}" for rule, condition in (cases or {}).items())
    return (
        f"CASE WHEN {value_of(name)} IS NOT NULL THEN {understood} "
        f"WHEN {text} IS NULL OR {text} IN {MISSING} THEN NULL {branches} ELSE 'unreadable {kind}' END"
    )


def number_of(text: str, share: bool = False, *, signs: bool = False) -> str:
    """Return SQL for a number; plain ones take the engine's own parser, the patterns are tried on the rest only.

    The text stands in it as it is and nothing made of it stands there twice: the engine would make that of every row.
    """
    sign = MONEY_BEFORE if signs else "[+-]?"
    plain = f"CASE WHEN contains({text}, '_') THEN NULL ELSE TRY_CAST({text} AS DOUBLE) END"
    digits = f"TRY_CAST(regexp_replace({text}, '[^-+.0-9]', '', 'g') AS DECIMAL(24, 8))"
    factor = f"CASE WHEN contains({text}, '亿') THEN 100000000::DECIMAL(9, 0) ELSE 10000::DECIMAL(9, 0) END"
    percent = f"TRY_CAST(regexp_replace({text}, '[,\\s%％]', '', 'g') AS DOUBLE) / 100"
    branches = f"WHEN {_matches(text, PERCENTAGE)} THEN {percent} " if share else ""
    if signs:
        bare = f"TRY_CAST(regexp_replace({text}, '[^-+.0-9]', '', 'g') AS DOUBLE)"
        branches += f"WHEN {_matches(text, sign + UNSIGNED + MONEY_BEHIND)} THEN {bare} "
    return (
        f"coalesce({plain}, CASE WHEN {text} IN {MISSING} THEN NULL "
        f"WHEN {_matches(text, GROUPED_NUMBER)} THEN TRY_CAST(replace({text}, ',', '') AS DOUBLE) "
        f"WHEN {_matches(text, sign + LARGE_UNIT_NUMBER)} THEN CAST({digits} * {factor} AS DOUBLE) {branches}END)"
    )


def _normal_day(text: str) -> str:
    """Write a day with hyphens, as the engine reads it."""
    return f"trim(translate({text}, '/年月日', '--- '))"


def _day(text: str) -> str:
    written = _normal_day(f"regexp_extract({text}, {quoted('^' + DAY)})")
    return (
        f"CASE WHEN {_matches(text, DAY + MIDNIGHT)} THEN TRY_CAST({written} AS DATE) "
        f"WHEN {_matches(text, '[0-9]{8}')} THEN CAST(try_strptime({text}, '%Y%m%d') AS DATE) END"
    )


def _timestamp(name: str, local_tz: str | None, unit: str | None) -> Cell:
    """Read instants; a time without a zone needs a declared one, a number a declared unit.

    The plain form comes first: it needs one pattern and one cast, rarer forms are rewritten before.
    """
    text = identifier(name)
    normal, local = _normal_day(text), _matches(text, LOCAL_TIME)
    zoned = f"TRY_CAST(replace(replace(upper({normal}), ' +', '+'), ' -', '-') AS TIMESTAMPTZ)"
    wall = f"TRY_CAST({normal} AS TIMESTAMP)"
    branches = f"WHEN {_matches(text, PLAIN_TIME)} THEN TRY_CAST({text} AS TIMESTAMPTZ) "
    if local_tz is not None:
        plain = _from_wall(f"TRY_CAST({text} AS TIMESTAMP)", local_tz)
        branches = f"WHEN {_matches(text, PLAIN_LOCAL_TIME)} THEN {plain} {branches}"
    branches += f"WHEN {_matches(text, ZONED_TIME)} THEN {zoned} "
    cases = {
        LOCAL if local_tz is None else "local time that does not exist": f"{local} AND {wall} IS NOT NULL"
    }
    understood = quoted(ZONED)
    if local_tz is not None:
        branches += f"WHEN {local} THEN {_from_wall(wall, local_tz)} "
        twice = f"WHEN {_comes_twice(name, local_tz)} THEN '{TWICE}'" if len(offsets(local_tz)) > 1 else ""
        zoned_ = f"{text} NOT LIKE '{ITS_SHAPE}' AND NOT {local}"  # the shape is the quicker look
        understood = f"CASE WHEN {zoned_} THEN '{ZONED}' {twice} ELSE '{DECLARED}' END"
    if unit is None:
        cases["number instead of a time"] = _matches(text, r"\d{9,19}(\.\d+)?")
    else:
        number = f"TRY_CAST({text} AS DECIMAL(24, 6)) * {EPOCH_MICROSECONDS[unit]}"
        instant = f"TRY(CAST(make_timestamp(CAST({number} AS BIGINT)) AS TIMESTAMPTZ))"
        branches += f"WHEN {_matches(text, '-?[0-9]+([.][0-9]+)?')} THEN {instant} "
    return Cell(f"CASE {branches}END", _judged(name, "time", cases, understood))


def _from_wall(wall: str, local_tz: str) -> str:
    """Return the instant of a wall-clock time; none where the clock jumped over it."""
    if len(known := offsets(local_tz)) == 1:
        return f"make_timestamptz(epoch_us({wall}) - {known[0][1] * 1_000_000})"
    instant = f"timezone({quoted(local_tz)}, {wall})"
    return f"CASE WHEN timezone({quoted(local_tz)}, {instant}) = {wall} THEN {instant} END"


def _comes_twice(name: str, local_tz: str) -> str:
    """Return SQL that is true when the wall-clock time of an instant occurs an hour before or after it, too."""
    if len(offsets(local_tz)) == 1:
        return "false"
    value, zone = value_of(name), quoted(local_tz)
    return " OR ".join(
        f"timezone({zone}, {value} {sign} INTERVAL 1 HOUR) = timezone({zone}, {value})" for sign in "+-"
    )
