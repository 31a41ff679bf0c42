"""Values of a mapping as SQL: the text of each column of the contract, as the cells of a file are read."""

from __future__ import annotations

import hashlib

from helpers.data import cells, privacy
from helpers.data.exports.mapping import Condition, Source, Target, Test, Value
from helpers.data.schema import Column
from helpers.data.views import identifier, quoted

# Columns that every row of a source has beside its own; names that cannot be printed are in no file.
EXPORTED, DAY, FILE, ROW, PLACE = "\x1fexported", "\x1fday", "\x1ffile", "\x1frow", "\x1fplace"
AT_EXPORT = f"CAST({identifier(EXPORTED)} AS TIMESTAMPTZ)"

# The format of numbers with a decimal comma, and what they look like, with a sign of money before or behind.
DECIMAL_COMMA = "1.234,56"
WITH_COMMA = r"[-+]?[^-+0-9,.]{0,4}[-+]?(\d{1,3}([. ]\d{3})+|\d+)(,\d+)?[^-+0-9,.]{0,4}"

# What stands in front of a text that cannot be what its column needs, and the verdict on it.
UNKNOWN, NO_SHARE = "unknown word: ", "no share: "
# Why a row is left out for reasons that are not the mapping's own words.
OTHER, UNEXPECTED = "a row of another table", "not expected"
# What is computed, and the column of the number beside the text of its broken part.
COMPUTED, NUMBER = ("sum", "product", "least", "rate"), "\x1fnumber of "


class Text:
    """Values as text, from the trimmed text of the export's columns.

    Parameters
    ----------
    zone : str
        Of times without one; may be empty.
    """

    def __init__(self, zone: str) -> None:
        self.zone = zone

    def looked_at(self, name: str) -> str:
        """Return what a condition on a column looks at."""
        return identifier(name)

    def holds(self, condition: Condition) -> str:
        """Return SQL that is true or false for each row."""
        return " AND ".join(map(self._holds, condition)) or "true"

    def _holds(self, test: Test) -> str:
        column, texts = self.looked_at(test.column), ", ".join(map(quoted, test.texts))
        holds = {
            "empty": f"{column} IS NULL",
            "given": f"{column} IS NOT NULL",
            "in": f"coalesce({column} IN ({texts}), false)",
            "not in": f"coalesce({column} NOT IN ({texts}), true)",
        }
        return holds[test.relation]

    def reasons(self, source: Source, target: Target) -> list[tuple[str, str]]:
        """Return when a row is left out, each condition with its reason; the first that holds counts."""
        cases = [(self.holds(tests), reason) for reason, tests in source.leave_out.items()]
        cases += [(f"NOT ({self.holds(source.expect)})", UNEXPECTED)] if source.expect else []
        cases += [(f"NOT ({self.holds(target.only)})", OTHER)] if target.only else []
        return cases + [(self.holds(tests), reason) for reason, tests in target.leave_out.items()]

    def of(self, value: Value, column: Column) -> str:
        """Return SQL for a value of a column of the contract."""
        match value.kind:
            case "column":
                sql = self.leaf(value, column)
            case "constant":
                sql = self.constant(value.constant, column)
            case "first":
                sql = f"coalesce({', '.join(self.of(part, column) for part in value.first)})"
            case "key":
                sql = self.key([self.of(part, column) for part in value.key], value.numbered, column)
            case "exported" | "hours_since":
                sql = self.at_export(value, column)
            case "in_name":
                sql = f"nullif(regexp_extract({identifier(PLACE)}, {quoted(value.in_name)}, 1), '')"
            case _:
                sql = self.computed(value, column)
        sql = self.formatted(sql, value, column) if value.format else sql
        if value.values:
            words = " ".join(f"WHEN {quoted(word)} THEN {quoted(to)}" for word, to in value.values.items())
            sql = f"CASE {sql} {words} ELSE {'' if value.others else quoted(UNKNOWN) + ' || '}{sql} END"
        sql = f"coalesce({sql}, {self.constant(value.empty, column)})" if value.empty else sql
        return f"CASE WHEN {self.holds(value.when)} THEN {sql} END" if value.when else sql

    def leaf(self, value: Value, column: Column) -> str:
        """Return a column of the export; ids of people are whole or named, and contact data hashed."""
        text = identifier(value.column)
        if column.privacy == "P1":
            kept = hashed(f"lower({text})")
            return f"CASE WHEN contains({text}, '**') THEN {text} ELSE {kept} END" if value.hashed else text
        if column.type == "date" and value.zone:
            return f"coalesce(strftime(timezone({quoted(value.zone)}, {self._instant(value)}), '%Y-%m-%d'), {text})"
        return text

    def constant(self, text: str, column: Column) -> str:
        """Return a text that is the same in every row."""
        return quoted(text)

    def key(self, texts: list[str], numbered: bool, column: Column) -> str:
        """Return one id from several texts; missing where all of them are, and masked where one of a person is."""
        joined = " || chr(31) || ".join(f"coalesce({text}, '')" for text in texts)
        mask = f"WHEN contains({joined}, '**') THEN '**'" if column.privacy == "P1" else ""
        key = f"CASE {mask} WHEN coalesce({', '.join(texts)}) IS NOT NULL THEN md5({joined}) END"
        order = f"(PARTITION BY {identifier(FILE)}, {', '.join(texts)} ORDER BY {identifier(ROW)})"
        return f"{key} || '-' || row_number() OVER {order}" if numbered else key

    def at_export(self, value: Value, column: Column) -> str:
        """Return when a row was exported, or the whole hours until then."""
        if not value.hours_since:
            return identifier(DAY if column.type == "date" else EXPORTED)
        seconds = f"epoch({AT_EXPORT}) - epoch({self._instant(value.hours_since)})"
        return f"CAST(CAST(floor(({seconds}) / 3600) AS BIGINT) AS VARCHAR)"

    def _instant(self, value: Value) -> str:
        zone = value.zone or self.zone or None
        if value.format:
            parsed = _parsed(identifier(value.column), value)
            return parsed if "%z" in value.format else f"timezone({quoted(zone or 'UTC')}, {parsed})"
        return cells.cell(Column(value.column, "timestamp"), zone, value.unit or None).value

    def computed(self, value: Value, column: Column) -> str:
        """Return the text of a computed number, or of what keeps it from being one."""
        number, broken = self.computed_and_broken(value, column)
        return f"coalesce(CAST({number} AS VARCHAR), {broken})"

    def computed_and_broken(self, value: Value, column: Column) -> tuple[str, str]:
        """Return a computed number, and the text of the first of its parts that is none."""
        number, broken = self.number(value, column), []
        for part in value.parts:
            text = self.of(part, column)
            wrong = f"{number if part is value.rate else self.number(part, column)} IS NULL"
            said = f"{quoted(NO_SHARE)} || {text}" if part is value.rate else text
            broken.append(f"CASE WHEN {wrong} AND {text} NOT IN {cells.MISSING} THEN {said} END")
        when, text = f"CASE WHEN {self.holds(value.when)} THEN", f"coalesce({', '.join(broken)})"
        return f"{when} {number} END", f"{when} {text} END"

    def number(self, value: Value, column: Column) -> str:
        """Return a value as a number; missing where one of its parts is."""
        if value.kind not in COMPUTED:
            return self.plain_number(value, column)
        if value.rate and value.of:
            share = self.share(value.rate, value.per, column)
            count = f"CAST(round({share} * {self.number(value.of, column)}) AS BIGINT)"
            return f"CASE WHEN {share} BETWEEN 0 AND 1 THEN {count} END"
        parts = [self.number(part, column) for part in value.parts]
        if value.least:
            missing = " OR ".join(f"{part} IS NULL" for part in parts)
            return f"CASE WHEN NOT ({missing}) THEN least({', '.join(parts)}) END"
        if value.product:
            return f"({' * '.join(parts)})"
        added = len(value.sum)
        return f"({' - '.join([' + '.join(parts[:added]), *parts[added:]])})"

    def plain_number(self, value: Value, column: Column) -> str:
        """Return the number that a text says."""
        return cells.number_of(self.of(value, column), signs=True)

    def share(self, value: Value, per: str, column: Column) -> str:
        """Return a share between 0 and 1; a sign of per cent wins."""
        text = self.of(value, column)
        scale = f"CASE WHEN regexp_matches({text}, '[%％]') THEN 1 ELSE {per} END"
        return f"({cells.number_of(text, True)} / {scale})"

    def formatted(self, text: str, value: Value, column: Column) -> str:
        """Return a time or a number of a declared format as the cells of a file are read."""
        if value.format == DECIMAL_COMMA:
            plain = f"replace(regexp_replace({text}, '[^-+0-9,]', '', 'g'), ',', '.')"
            return f"CASE WHEN regexp_full_match({text}, {quoted(WITH_COMMA)}) THEN {plain} ELSE {text} END"
        parsed = _parsed(text, value)
        said = f"strftime({parsed}, '{'%Y-%m-%d' if column.type == 'date' else '%Y-%m-%d %H:%M:%S.%f'}')"
        if "%z" in value.format:
            said = f"strftime(timezone('UTC', {parsed}), '%Y-%m-%dT%H:%M:%S.%f') || 'Z'"
        return f"coalesce({said}, {text})"

    def assumed(self, value: Value, column: Column) -> str:
        """Return SQL that is true where what a value says is assumed, or capped; empty when it never is."""
        cases, before = [], "true"
        for part in value.parts:
            if sql := self.assumed(part, column):
                cases.append(f"({before} AND {sql})")
            before += f" AND {self.of(part, column)} IS NULL" if value.first else ""
        if value.least:
            first, *others = (self.number(part, column) for part in value.least)
            cases.append(f"{first} > least({', '.join(others)})")
        return " OR ".join(cases + [f"{self.of(value, column)} IS NOT NULL"] * value.assumed)


def _parsed(text: str, value: Value) -> str:
    """Return SQL for a time of a declared format; a day without a year is the last that was there at the export."""
    if not value.lacks_year:
        return f"try_strptime({text}, {quoted(value.format)})"
    day, form = f"CAST({identifier(DAY)} AS DATE)", quoted(f"{value.format} %Y")
    this, before = (f"try_strptime({text} || ' ' || (year({day}) - {back}), {form})" for back in (0, 1))
    return f"CASE WHEN CAST({this} AS DATE) <= {day} THEN {this} ELSE {before} END"


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


def verdict(usual: str, name: str, value: Value, column: Column) -> str:
    """Return the verdict on the text of a column, in front of which may stand what is wrong with it."""
    text = identifier(name)
    signs = ((value.rate, NO_SHARE, "share above 1"), (value.values, UNKNOWN, "unknown word"))
    for sign, rule in [(sign, rule) for there, sign, rule in signs if there]:
        usual = f"CASE WHEN starts_with({text}, {quoted(sign)}) THEN '{rule}' ELSE {usual} END"
    masked = f"CASE WHEN contains({text}, '**') THEN 'masked id' ELSE {usual} END"
    return masked if column.privacy == "P1" else usual
