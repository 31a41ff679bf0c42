"""Values of a mapping as SQL: the text of each column of the contract, as the cells of a file are read."""

from __future__ import annotations

import hashlib

from helpers.data import cells, privacy
from helpers.data.exports.mapping import Condition, Source, Target, Test, Value
from helpers.data.schema import Column
from helpers.data.views import identifier, quoted

# Columns that every row of a source has beside its own; names that cannot be printed are in no file.
EXPORTED, DAY, FILE, ROW = "\x1fexported", "\x1fday", "\x1ffile", "\x1frow"

# The format of numbers with a decimal comma, and what they look like, with a sign of money before or behind.
DECIMAL_COMMA = "1.234,56"
WITH_COMMA = r"[-+]?[^-+0-9,.]{0,4}[-+]?(\d{1,3}([. ]\d{3})+|\d+)(,\d+)?[^-+0-9,.]{0,4}"

# What stands in front of a text that cannot be what its column needs, and the verdict on it.
MASKED, UNKNOWN, NO_SHARE = "masked: ", "unknown word: ", "no share: "
VERDICTS = {MASKED: "masked id", UNKNOWN: "unknown word", NO_SHARE: "share above 1"}
# What is computed, and the column of the number beside the text of its broken part.
COMPUTED, NUMBER = ("sum", "product", "least", "rate"), "\x1fnumber of "


# Why a row is left out for reasons that are not the mapping's own words.
OTHER, UNEXPECTED = "a row of another table", "not expected"


def holds(condition: Condition, *, typed: bool = False) -> str:
    """Return SQL that is true or false for each row; columns of a database that have types are looked at as text."""
    return " AND ".join(_holds(test, typed) for test in condition) or "true"


def reasons(source: Source, target: Target, *, typed: bool = False) -> list[tuple[str, str]]:
    """Return SQL of when a row is left out, each condition with its reason; the first that holds counts."""
    cases = [(holds(tests, typed=typed), reason) for reason, tests in source.leave_out.items()]
    cases += [(f"NOT ({holds(source.expect, typed=typed)})", UNEXPECTED)] if source.expect else []
    cases += [(f"NOT ({holds(target.only, typed=typed)})", OTHER)] if target.only else []
    return cases + [(holds(tests, typed=typed), reason) for reason, tests in target.leave_out.items()]


def _holds(test: Test, typed: bool) -> str:
    column, texts = identifier(test.column), ", ".join(map(quoted, test.texts))
    column = f"nullif(trim(CAST({column} AS VARCHAR)), '')" if typed else column
    match test.relation:
        case "empty":
            return f"{column} IS NULL"
        case "given":
            return f"{column} IS NOT NULL"
        case "in":
            return f"coalesce({column} IN ({texts}), false)"
    return f"coalesce({column} NOT IN ({texts}), true)"


def text_of(value: Value, column: Column, zone: str) -> str:
    """Return SQL for the text of a column, from the trimmed text of the export's columns."""
    if value.column and value.zone and column.type == "date":
        day = f"strftime(timezone({quoted(value.zone)}, {_instant(value, zone)}), '%Y-%m-%d')"
        text = f"coalesce({day}, {identifier(value.column)})"
    elif value.column:
        text = _leaf(value, column)
    elif value.constant:
        text = quoted(value.constant)
    elif value.first:
        text = f"coalesce({', '.join(text_of(part, column, zone) for part in value.first)})"
    elif value.key:
        text = _key([text_of(part, column, zone) for part in value.key], value.numbered)
    elif value.exported:
        text = identifier(DAY if column.type == "date" else EXPORTED)
    elif value.hours_since:
        since = _instant(value.hours_since, zone)
        hours = f"(epoch(CAST({identifier(EXPORTED)} AS TIMESTAMPTZ)) - epoch({since})) / 3600"
        text = f"CAST(CAST(floor({hours}) AS BIGINT) AS VARCHAR)"
    else:
        number, broken = computed(value, column, zone)
        text = f"coalesce(CAST({number} AS VARCHAR), {broken})"
    if value.format == DECIMAL_COMMA:
        plain = f"replace(regexp_replace({text}, '[^-+0-9,]', '', 'g'), ',', '.')"
        text = f"CASE WHEN regexp_full_match({text}, {quoted(WITH_COMMA)}) THEN {plain} ELSE {text} END"
    elif value.format:
        text = f"coalesce({_formatted(text, value.format, column.type == 'date')}, {text})"
    if value.values:
        words = " ".join(f"WHEN {quoted(word)} THEN {quoted(said)}" for word, said in value.values.items())
        text = f"CASE {text} {words} ELSE {'' if value.others else quoted(UNKNOWN) + ' || '}{text} END"
    if value.empty:
        text = f"coalesce({text}, {quoted(value.empty)})"
    return f"CASE WHEN {holds(value.when)} THEN {text} END" if value.when else text


def _leaf(value: Value, column: Column) -> str:
    """Return the text of a column of the export; ids of people are whole or named, and contact data hashed."""
    text = identifier(value.column)
    if column.privacy != "P1":
        return text
    kept = hashed(f"lower({text})") if value.hashed else text
    return f"CASE WHEN contains({text}, '**') THEN {quoted(MASKED)} || {text} ELSE {kept} END"


def hashed(text: str, *, postgres: bool = False) -> str:
    """Return SQL for `privacy.pseudonym` of a text: HMAC-SHA256 written out (RFC 2104)."""
    key = privacy.key()
    key = (hashlib.sha256(key).digest() if len(key) > 64 else key).ljust(64, b"\0")
    inner, outer = (bytes(byte ^ pad for byte in key).hex() for pad in (0x36, 0x5C))
    digest = f"sha256(unhex('{outer}') || unhex(sha256(unhex('{inner}') || encode({text}))))"
    if postgres:
        digest = f"sha256(decode('{inner}', 'hex') || convert_to({text}, 'UTF8'))"
        digest = f"encode(sha256(decode('{outer}', 'hex') || {digest}), 'hex')"
    return f"'{privacy.PREFIX}' || left({digest}, {privacy.HEX_DIGITS})"


def _key(texts: list[str], numbered: bool) -> str:
    """Return one id from several texts; missing where all of them are."""
    joined = " || chr(31) || ".join(f"coalesce({text}, '')" for text in texts)
    key = f"CASE WHEN coalesce({', '.join(texts)}) IS NOT NULL THEN md5({joined}) END"
    order = f"(PARTITION BY {identifier(FILE)}, {', '.join(texts)} ORDER BY {identifier(ROW)})"
    return f"{key} || '-' || row_number() OVER {order}" if numbered else key


def set_by_mapping(value: Value, column: Column, zone: str) -> str:
    """Return SQL that is true where what a value says is assumed; empty when it never is."""
    cases, before = [], "true"
    for part in value.parts:
        if sql := set_by_mapping(part, column, zone):
            cases.append(f"({before} AND {sql})")
        if value.first:
            before += f" AND {text_of(part, column, zone)} IS NULL"
    if value.least:
        first, *others = (_number(part, column, zone) for part in value.least)
        cases.append(f"{first} > least({', '.join(others)})")
    if value.assumed:
        cases.append(f"{text_of(value, column, zone)} IS NOT NULL")
    return " OR ".join(cases)


def _instant(value: Value, zone: str) -> str:
    """Return the instant of a column of the export."""
    return cells.cell(Column(value.column, "timestamp"), value.zone or zone or None, value.unit or None).value


def _number(value: Value, column: Column, zone: str) -> str:
    match value.kind:
        case "sum":
            terms = [_number(part, column, zone) for part in value.sum]
            return (
                f"({' - '.join([' + '.join(terms), *(_number(part, column, zone) for part in value.minus)])})"
            )
        case "least":
            numbers = [_number(part, column, zone) for part in value.least]
            missing = " OR ".join(f"{number} IS NULL" for number in numbers)
            return f"CASE WHEN NOT ({missing}) THEN least({', '.join(numbers)}) END"
        case "product":
            return f"({' * '.join(_number(part, column, zone) for part in value.product)})"
        case "rate":
            assert value.rate and value.of
            share, text = (
                cells.number_of(text_of(value.rate, column, zone), True),
                text_of(value.rate, column, zone),
            )
            share = f"({share} / CASE WHEN regexp_matches({text}, '[%％]') THEN 1 ELSE {value.per} END)"
            count = f"round({share} * {_number(value.of, column, zone)})"
            return f"CASE WHEN {share} BETWEEN 0 AND 1 THEN {count} END"
    return cells.number_of(text_of(value, column, zone), signs=True)


def computed(value: Value, column: Column, zone: str) -> tuple[str, str]:
    """Return SQL for a computed number, and for the text of the first of its parts that is none."""
    number = _number(value, column, zone)
    if value.kind == "rate":
        number = f"CAST({number} AS BIGINT)"
    broken = []
    for part in value.parts:
        text = text_of(part, column, zone)
        wrong = f"{_number(part, column, zone) if part is not value.rate else number} IS NULL"
        said = f"{quoted(NO_SHARE)} || {text}" if part is value.rate else text
        broken.append(f"CASE WHEN {wrong} AND {text} NOT IN {cells.MISSING} THEN {said} END")
    when = holds(value.when)
    return f"CASE WHEN {when} THEN {number} END", f"CASE WHEN {when} THEN coalesce({', '.join(broken)}) END"


def _formatted(text: str, written: str, day: bool) -> str:
    """Return a time of a declared format as the cells of a file are read."""
    parsed = f"try_strptime({text}, {quoted(written)})"
    if "%z" in written:
        return f"strftime(timezone('UTC', {parsed}), '%Y-%m-%dT%H:%M:%S.%f') || 'Z'"
    return f"strftime({parsed}, '{'%Y-%m-%d' if day else '%Y-%m-%d %H:%M:%S.%f'}')"


def marked(verdict: str, name: str, mark: str) -> str:
    """Return the verdict on a column whose texts may have what is wrong with them in front."""
    wrong = f"starts_with({identifier(name)}, {quoted(mark)})"
    return f"CASE WHEN {wrong} THEN {quoted(VERDICTS[mark])} ELSE {verdict} END"
