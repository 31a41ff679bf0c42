"""Every word that the report pages say of themselves, in one place.

Words pass through :func:`helpers.sentences.say`, so a second language is a catalogue and no template
changes. Numbers are written by the same functions that write the sentences of findings.
"""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from helpers import sentences
from helpers.sentences import say

WORDS: Mapping[str, str] = {
    "language": "en",
    "skip": "Skip to the report",
    "skip_index": "Skip to the list of reports",
    "all_reports": "All reports",
    "where": "Where this report belongs",
    "version": "version {number}",
    "and": "{first} and {last}",
    "run": "run {key}",
    "as_of": "As of",
    "period": "Period",
    "days_to": "{first} to {last} ({days:,} days{zone})",
    "data": "Data",
    "segment": "Segment",
    "status": "Status",
    "no_data": "no table was read",
    "one_table": "1 table",
    "many_tables": "{number} tables",
    "tables_rows": "{tables}, {rows}",
    "one_row": "1 row",
    "many_rows": "{number:,} rows",
    "rows_unknown": "rows not counted",
    "decisions": "Decisions",
    "decisions_lead": "{order} Each names the findings it rests on and the check that will judge it.",
    "order_value": "Ranked by expected value.",
    "order_mixed": "Ranked by expected value; those whose value is not known stand last.",
    "order_unknown": "No value can be stated for any of them, so the best evidence stands first.",
    "no_decisions": "Nothing to decide: no rule fired on these findings.",
    "not_reached": "The run ended before this part.",
    "findings": "Findings",
    "findings_lead": (
        "Each number with its {confidence} interval and its sample size n. Better and worse are judged by what "
        "is good for this metric, not by its sign."
    ),
    "findings_lead_mixed": (
        "Each number with its interval and its sample size n. Better and worse are judged by what is good for "
        "this metric, not by its sign."
    ),
    "no_findings": "This report recorded no finding.",
    "expected_value": "Expected value",
    "value_unknown": "not known",
    "value_unknown_why": "the data cannot say",
    "may_lose": "May lose money: the interval reaches below zero.",
    "cost": "Cost",
    "no_cost": "not counted",
    "confidence": "Confidence",
    "owner": "Owner",
    "check": "Check",
    "check_on": "{metric}, on {date}, {days} days after the last day reported",
    "check_after": "{metric}, after {days} days",
    "evidence": "Rests on",
    "contacts": "Whom",
    "contacts_link": "contact list {name}",
    "class_experiment": "Experiment: a randomised comparison measured this effect.",
    "class_quasi-experiment": "Quasi-experiment: a comparison without randomisation, corrected for known bias.",
    "class_correlation": "Correlation: seen together in the data; the cause is not proven.",
    "class_rule": "Rule: rests on experience or a stated prior, not on a measured effect. Try it small first.",
    "too_little": "too little data",
    "level": "{confidence} interval",
    "basis": "Basis",
    "scope": "Scope",
    "scope_common": "Scope, unless a finding names another",
    "method": "Method",
    "assumption": "Assumption",
    "good": "Good is",
    "direction_up is good": "up",
    "direction_down is good": "down",
    "direction_neither": "neither up nor down",
    "identifier": "Id",
    "contents": "Contents",
    "story": "The report in full",
    "finding_above": "Finding: {link}",
    "code": "Code",
    "parameters_default": "parameters and their defaults",
    "parameters_given": "parameters of this run",
    "lines": "{number:,} lines",
    "line": "1 line",
    "not_run": "not run",
    "printed": "Printed output",
    "messages": "Warnings and messages",
    "output": "Output as text",
    "traceback": "Full traceback",
    "failed_here": "this cell failed",
    "ended_here": "the run ended here",
    "see_top": "The error is shown at the top of the report.",
    "left_out": "An interactive output was left out: this page runs no script.",
    "table_under": "Table under “{heading}”",
    "another": "{name} ({number})",
    "table": "Table",
    "picture": "Picture",
    "sideways": "scrolls sideways",
    "picture_of": "Picture: {name}",
    "undescribed": "Picture under “{heading}”. Its author gave it no description; read the text around it.",
    "undescribed_first": "Picture before the first heading. Its author gave it no description.",
    "undescribed_note": "No description was given for this picture.",
    "appendix": "Appendix: how to check and repeat this",
    "parameters": "Parameters",
    "parameter": "Parameter",
    "value": "Value",
    "meaning": "Meaning",
    "default_differs": " (default {default})",
    "tables_caption": "Tables read from {url}, each with the fingerprint of its content",
    "table_name": "Table",
    "row_count": "Rows",
    "fingerprint": "Fingerprint (SHA-256)",
    "origin": "Code and environment",
    "origin_caption": "What made this report",
    "item": "Item",
    "series": "Series",
    "notebook": "Notebook",
    "run_key": "Run key",
    "seed": "Seed",
    "no_seed": "none",
    "python": "Python",
    "git": "Git commit",
    "dirty": "{commit}, with uncommitted changes",
    "notebook_hash": "Notebook source",
    "lock_hash": "Lock file",
    "code_part": "Code ({name})",
    "version_label": "Version",
    "version_where": "the name of the folder this file lies in; the index lists every version",
    "modules": "Modules of helpers",
    "modules_listed": "{number}, each with its fingerprint in manifest.json",
    "packages": "Package versions ({number})",
    "repeat": "How to repeat it",
    "repeat_lead": "The same inputs give the same report, to the byte. From the project folder:",
    "footer": "One file, complete in itself: it loads nothing and needs no script.",
    "banner_failed": "This run failed",
    "banner_timed_out": "This run was stopped: it took too long",
    "banner_kernel_died": "This run ended because its process died",
    "banner_not_run": "Not run",
    "changed_heading": "The data changed during this run",
    "changed_one": "Table {names} changed while this report ran: numbers may mix two states.",
    "changed_many": "Tables {names} changed while this report ran: numbers may mix two states.",
    "changed_again": "The next run makes the report again.",
    "partial": "What ran before is kept below. {number} of {all} code cells did not run.",
    "partial_none": "What ran is kept below.",
    "cell": "Code cell {number}: {name}",
    "cell_under": "Code cell {number}, under “{heading}”: {name}",
    "go_to_cell": "Go to the cell in the report",
    "at_cell": "It ended in this cell:",
    "raised": "Raised in this cell:",
    "kind_bad_data": "The data break the contract. Mend the tables and run again.",
    "kind_bad_parameters": "A parameter is wrong. Nothing was computed.",
    "kind_missing_secret": "A secret that this run needs is not set.",
    "kind_missing_table": (
        "A table that this report needs is not there. This is no failure: add the table and run again."
    ),
    "kind_error": "The run stopped with a message.",
    "kind_no_page": "The notebook ran, but its page could not be built.",
    "kind_exception": "An unexpected error stopped the run.",
    "kind_timed_out": "A cell ran longer than the time allowed and was stopped.",
    "kind_kernel_died": "The process that ran the notebook died in the middle of a cell.",
    "kind_system_exit": "The notebook ended its own process.",
    "kind_out_of_memory": "The process ran out of memory.",
    "no_page": "The page of this report could not be built: {reason}.",
    "no_page_either": "Besides, the page of this report could not be built: {reason}.",
    "plain_title": "{title}: the page could not be built",
    "plain_findings": "What the run found",
    "plain_files": "What the run left",
    "plain_index_why": "The page that lists the reports could not be built: {reason}.",
    "index_title": "Reports",
    "index_lead": "{series} with {versions}.",
    "one_series": "1 series",
    "many_series": "{number:,} series",
    "one_version": "1 version",
    "many_versions": "{number:,} versions",
    "index_empty": "No report has been published yet.",
    "attention": "Needs attention",
    "attention_none": "Nothing failed, and no series is behind another.",
    "old_data": "old data",
    "old_data_name": "Data end {as_of}",
    "old_data_why": "The newest day of any report is {as_of}, {days:,} days before the newest run, {run}.",
    "no_longer": "Version {number} ran; since then something is missing.",
    "all_series": "All series",
    "filter": "Show only series that mention",
    "filter_state": "with status",
    "any_state": "any",
    "filter_keys": "Arrow keys move from series to series.",
    "newest_run": "Newest run {time} UTC",
    "days_ago": "{number} days ago",
    "newest_is": "The newest version, {number}:",
    "what_changed": "what changed since version {number}",
    "spark": "{metric} over {number} versions: from {first} to {last}",
    "filter_count": "{number} shown",
    "behind": "behind",
    "behind_why": "As of {as_of}, {days} days before the newest day of any report, {newest}.",
    "kept": "Version {number} is the last that succeeded.",
    "never_good": "No version has succeeded yet.",
    "unreadable": "unreadable",
    "unreadable_why": "The manifest of this version cannot be read.",
    "about_version": "Version {number}",
    "about_as_of": "as of {as_of}",
    "about_run": "run {time} UTC",
    "findings_of": "The findings below are of version {number}, the last that succeeded.",
    "earlier": "Earlier versions ({number})",
    "of_series": "of {series}",
}

STATUS_SYMBOL = {"succeeded": "✓", "failed": "✕", "timed_out": "✕", "kernel_died": "✕", "not_run": "○"}
STATUS_WORD = {
    "succeeded": "succeeded",
    "failed": "failed",
    "timed_out": "timed out",
    "kernel_died": "process died",
    "not_run": "not run",
}
VERDICT_SYMBOL = {
    "better": "▲",
    "worse": "▼",
    "no clear change": "=",
    "too little data": "?",
    "provisional": "~",
    "stated": "•",
}
VERDICT_WORD = {"stated": "measured"}  # a level without a judgement: what the record calls stated


class Mark(NamedTuple):
    """A state as word and symbol; colour only repeats it.

    Attributes
    ----------
    word, symbol : str
        What is read and what is seen.
    tone : str
        Class name for the style sheet.
    """

    word: str
    symbol: str
    tone: str


def word(key: str, /, **values: Any) -> str:
    """Return one of the page's own phrases in the chosen language."""
    return say(WORDS[key], **values)


def joined(parts: Sequence[str]) -> str:
    """Return parts as a list in a sentence: ``a, b and c``."""
    return word("and", first=", ".join(parts[:-1]), last=parts[-1]) if len(parts) > 1 else "".join(parts)


def status_mark(status: str) -> Mark:
    """Return how a run's status is shown."""
    tone = {"succeeded": "good", "not_run": "quiet"}.get(status, "bad")
    return Mark(say(STATUS_WORD[status]), STATUS_SYMBOL[status], tone)


def verdict_mark(verdict: str) -> Mark:
    """Return how a finding's verdict is shown."""
    tone = {"better": "good", "worse": "bad", "too little data": "warn", "provisional": "warn"}.get(
        verdict, "quiet"
    )
    return Mark(say(VERDICT_WORD.get(verdict, verdict)), VERDICT_SYMBOL[verdict], tone)


def rows(number: int) -> str:
    """Return a number of rows: ``1 row``, ``1,204 rows``."""
    return word("one_row") if number == 1 else word("many_rows", number=number)


def quantity(value: float | None, unit: str) -> str:
    """Return a value in its unit, with a minus sign; ``'too little data'`` when it is not known."""
    if value is None or not math.isfinite(value):
        return word("too_little")
    return _minus(sentences.quantity(value, unit))


def interval(low: float | None, high: float | None, unit: str) -> str:
    """Return an interval as words, ``'low to high'``, after a value in full: a unit behind is not said again."""
    if low is None or high is None:
        return ""
    repeats = unit == "share" or (len(unit) == 3 and unit.isupper())
    return _minus(sentences.interval(low, high, unit if repeats else ""))


def level(confidence: float) -> str:
    """Return a confidence level: ``0.95 -> '95 %'``."""
    return f"{100 * confidence:g} %"


def day(as_of: object, days: int) -> dt.date | None:
    """Return the day that lies `days` after a report's last day, or None when that is no date."""
    try:
        return dt.date.fromisoformat(str(as_of)[:10]) + dt.timedelta(days=days)
    except ValueError:
        return None


def _minus(text: str) -> str:
    return re.sub(r"(?<!\w)-(?=\d)", "\N{MINUS SIGN}", text)
