"""Every word that the comparison page says of itself, and how a change is written."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from helpers.report.page import wording
from helpers.report.page.wording import Mark
from helpers.sentences import say

WORDS: Mapping[str, str] = {
    "skip_diff": "Skip to the comparison",
    "title": "{after} against {before}",
    "where_diff": "Where this comparison belongs",
    "comparison": "{before} to {after}",
    "before": "Before",
    "after": "After",
    "difference": "Difference",
    "cause": "Cause",
    "lead": "{after} against {before}: {summary}",
    "lead_two_series": "{after} against {before}, two different series: {summary}",
    "summary": "{changed}. {moved}",
    "cause_data": "data",
    "cause_parameters": "parameters",
    "cause_code": "code",
    "cause_environment": "environment",
    "cause_several": "several: {causes}",
    "cause_none": "none: identical inputs",
    "and_more": "{number} more",
    "changed_data": "the data changed ({what})",
    "changed_parameters": "the parameters changed ({what})",
    "changed_code": "the code changed ({what})",
    "changed_environment": "the environment changed ({what})",
    "changed_nothing": "data, parameters, code and environment are identical",
    "table_rows": "{name} {rows}",
    "table_content": "{name}: other content",
    "table_added": "{name} added",
    "table_removed": "{name} removed",
    "from_to": "{name} {before} → {after}",
    "only_after": "{name} new",
    "only_before": "{name} gone",
    "moved": "{number} of {all} findings moved further than chance explains: {which}.",
    "moved_one": "1 of {all} findings moved further than chance explains: {which}.",
    "moved_none": "No move among {all} findings is proved by this test.",
    "rest_unchanged": "{number} did not change.",
    "rest_small": "{number} certainly changed by less than a tenth.",
    "rest_noise": "{number} within noise.",
    "rest_unclear": (
        "{number} cannot be told from chance by this test, which is no proof that nothing moved: versions may share "
        "members, and then the test is too careful."
    ),
    "altered": "{number} of {all} findings changed, brought about by the {cause} on the same tables: {which}.",
    "altered_one": "1 of {all} findings changed, brought about by the {cause} on the same tables: {which}.",
    "altered_seed": "{number} of {all} findings changed by the draw of random numbers alone: {which}.",
    "altered_none": "No finding changed.",
    "unexplained": (
        "Yet {number} of {all} findings differ: something that is not recorded changed, so this run cannot be "
        "repeated: {which}."
    ),
    "nothing_to_judge": "No finding can be compared.",
    "cannot": "{number} cannot be compared.",
    "came": "{number} appeared.",
    "went": "{number} disappeared.",
    "rose": "{metric} rose from {before} to {after}",
    "fell": "{metric} fell from {before} to {after}",
    "side_by_side": "{metric}: {before} before, {after} after",
    "stayed": "{metric} stayed at {after}",
    "stayed_otherwise": "{metric} stayed at {after}, with another interval",
    "rest": "{number} more below",
    "not_succeeded": "{name} did not succeed ({status}), so this compares only what it left.",
    "side_failed": "Not a complete comparison",
    "what_changed": "What changed",
    "cause_lead": "Cause: {title}.",
    "not_changed": "Unchanged: {names}.",
    "parameters_caption": "Parameters that differ",
    "tables_changed_caption": "Input tables that differ ({same} are the same)",
    "code_caption": "Sources that differ, each with the fingerprint of its content",
    "environment_caption": "Interpreter, packages and lock file that differ",
    "address_changed": "The data were read from {before} before and from {after} after.",
    "commits": "To read the change of the code: {command}",
    "item": "Item",
    "table_name": "Table",
    "rows_before": "Rows before",
    "rows_after": "Rows after",
    "gained": "Difference",
    "content_before": "Content before",
    "content_after": "Content after",
    "not_there": "not there",
    "empty": "empty",
    "findings_lead_diff": (
        "Largest change first, in standard errors. Intervals are {confidence} intervals. A signal is a difference "
        "that chance would hardly bring about, allowing for {number} looked at together."
    ),
    "lead_unclear": (
        "“Cannot tell” is no all-clear: the test takes the versions for separate samples, but they may share "
        "members, and then a smaller move than it can see may be real."
    ),
    "findings_lead_caused": (
        "Both versions read the same tables, so {cause} brought about every difference here. Whether the community "
        "moved cannot be read from it."
    ),
    "findings_lead_none": "Neither version recorded a finding.",
    "findings_lead_plain": "None of the findings is on both sides with a value that can be compared.",
    "confounded": (
        "The {causes} changed too, so a signal may come from there and not from the community: run the new "
        "version on the old data to tell them apart."
    ),
    "signal": "signal",
    "signal_good": "signal, for the better",
    "signal_bad": "signal, for the worse",
    "small": "less than a tenth",
    "unclear": "cannot tell",
    "noise": "within noise",
    "unchanged": "unchanged",
    "caused": "caused by {cause}",
    "seed": "simulation noise",
    "odd": "not repeatable",
    "appeared": "new",
    "disappeared": "gone",
    "not_comparable": "not comparable",
    "too_little": "too little data",
    "verdict_was": "The report called it {before} before and {after} after.",
    "why_metric": "The metric is another: {before} before, {after} after.",
    "why_unit": "The unit is another: {before} before, {after} after.",
    "why_scope": "The scope is another: {before} before, {after} after.",
    "why_length": "The period has another length: {before} before, {after} after.",
    "why_unfinished": "The run of {name} did not come to its end.",
    "why_new": "There is no such finding in {before}.",
    "why_gone": "There is no such finding in {after}.",
    "why_too_little": "There is too little data in {name}.",
    "numbers": "Before: {before} · after: {after}",
    "no_value": "no value",
    "errors": "{errors} standard errors",
    "p_value": "p = {p}, {adjusted} after Holm",
    "tipping_text": "Would be a signal",
    "tipping": (
        "if members that are on both sides tie the two numbers together with a correlation above {correlation}; "
        "what the versions record does not say how large it is"
    ),
    "tipping_never": "at no correlation between the two numbers",
    "p_text": "Chance of a difference this large",
    "limits_on": "Limits taken as symmetric",
    "on_identity": "as they are",
    "on_log": "on the log scale",
    "on_logit": "on the logit scale",
    "on_arcsine": "on the arcsine scale",
    "scope_before": "Scope before",
    "scope_after": "Scope after",
    "said_before": "Said before",
    "said_after": "Says after",
    "basis_diff": "Scope, sentences and test",
    "findings_unclear": "Findings (“cannot tell” is no proof that nothing moved: versions may share members)",
    "overview_title": "{number} of {all} findings moved further than chance explains",
    "overview_title_one": "1 of {all} findings moved further than chance explains",
    "overview_none": "This test proves no move",
    "overview_alt": (
        "Differences of {all} findings with {confidence} intervals, each in its own standard errors. {largest}"
    ),
    "overview_largest": "The largest: {sentence}, {errors} standard errors ({verdict}).",
    "overview_note": (
        "Difference after minus before, divided by its standard error, with its {confidence} interval. Filled: "
        "signal. Hollow: {hollow}. Numbers in their own units are in the list."
    ),
    "hollow_unclear": "cannot tell, or less than a tenth; true intervals are narrower where members are shared",
    "hollow_noise": "within noise, or less than a tenth",
    "overview_axis": "difference in standard errors",
    "standard_errors": "standard errors",
    "verdict": "verdict",
    "finding": "finding",
    "actions": "Decisions",
    "actions_same": "The same decisions, in the same order, at the same expected value.",
    "actions_none": "Neither version proposes a decision.",
    "actions_caption": "Decisions added, removed or of another rank or expected value ({same} are the same)",
    "action": "Decision",
    "state": "State",
    "rank_before": "Rank before",
    "rank_after": "Rank after",
    "expected_before": "Expected value before",
    "expected_after": "Expected value after",
    "added": "added",
    "removed": "removed",
    "changed": "changed",
    "unknown_value": "not known",
    "figures": "Pictures",
    "figures_lead": "Redrawn from their numbers, both versions on one scale; the largest change first.",
    "figures_none": "No picture changed.",
    "figures_same": "Unchanged: {names}.",
    "figures_only": "Only in {version}: {names}.",
    "figures_skipped": "{name} is not redrawn: {why}.",
    "no_keys": "its rows have no names of their own by which they could be matched",
    "no_numbers": "it has no number that could be compared",
    "too_heavy": "this page would become too heavy; open the two reports beside each other",
    "unreadable_numbers": "its numbers cannot be read",
    "cell_rose": "{row}: {measure} rose from {before} to {after}",
    "cell_fell": "{row}: {measure} fell from {before} to {after}",
    "cell_side_by_side": "{row}: {measure} {before} before, {after} after",
    "other_meaning": (
        "The {causes} changed, so rows of one name, such as a score or a tier, may hold other members by another "
        "rule: the numbers stand side by side and tell no move."
    ),
    "cell_known": "{row}: {measure} is {after}, and was not known",
    "cell_unknown": "{row}: {measure} is not known any more, and was {before}",
    "redrawn_alt": (
        "{name}, {before} against {after}: {moved} of {all} numbers differ. The largest change is {largest}."
    ),
    "rows_alone": "{name}: only the rows differ",
    "rows_left": "The {shown} rows with the largest change; left out: {left}.",
    "groups_left": "The {shown} lines with the largest change; left out: {left}.",
    "only_rows": "{number} rows are only in {version}.",
    "only_row": "1 row is only in {version}.",
    "measures_left": "Not drawn: {names}.",
    "intervals_drawn": "Thin lines are the intervals of the reports.",
    "bands_drawn": "Shaded bands are the intervals of the reports.",
    "measure": "measure",
    "change": "change",
    "points": "points",
    "tables": "Tables",
    "tables_lead": "Rows are matched by their first columns.",
    "tables_caption_diff": "Recorded tables that differ",
    "tables_same_all": "All recorded tables are the same.",
    "tables_none": "Neither version recorded a table.",
    "rows": "Rows",
    "rows_changed": "Rows that differ",
    "columns": "Columns",
    "largest": "Largest change",
    "row_counts": "{before} → {after}",
    "row_changes": "{number:,} changed",
    "row_added": "{number:,} new",
    "row_removed": "{number:,} gone",
    "columns_same": "same",
    "columns_added": "+ {names}",
    "columns_removed": "− {names}",
    "cell_change": "{row}, {column}: {before} → {after}",
    "only_table": "only in {version}",
    "judged": "How this was judged",
    "judged_interval": (
        "Each difference has the interval of Zou and Donner (2008), made from the limits of the two findings as if "
        "their samples were independent: after − before ∓ √(a² + b²), where a and b are the distances from the "
        "estimates to their limits. Versions of one community mostly hold the same members, and weekly versions "
        "of a long window most of the same days; with correlation ρ the true interval is √(a² + b² − 2ρab), narrower "
        "(Zou 2007). So a signal stands, and what is less than a tenth is so; “cannot tell” says that this test "
        "proves nothing either way. The fold under a finding names the ρ from which on it would be a signal; ρ "
        "itself is not recorded, and the share of days in common does not bound it."
    ),
    "judged_small": (
        "“Less than a tenth” means that the interval of the difference lies within a tenth of the value before, "
        "above and below (two one-sided tests, Schuirmann 1987)."
    ),
    "judged_disjoint": (
        "Both versions read one table of members, and their segments name other values of one column: no member is "
        "on both sides. So the interval of Zou and Donner (2008) for independent samples fits, and a difference "
        "that is no signal is within noise."
    ),
    "judged_several": (
        "{number} findings are looked at together. By Holm's (1979) method the chance that even one of the signals "
        "is false stays below {level} when nothing has changed; an interval of a single difference may exclude "
        "zero without being a signal."
    ),
    "judged_scale": (
        "Limits of other levels are had by stretching the published ones on the scale (as they are, log, "
        "logit or arcsine) where they are the most symmetric; the fold under each finding says which."
    ),
    "judged_exact": (
        "The same tables were read on both sides, so no test is made: what was changed brought every difference "
        "about. It may do so by choosing other rows, as a window or a period does; that is no move of the community."
    ),
    "judged_seed": (
        "Only the seed changed: what differs is the noise of the simulation, and more draws would make it smaller."
    ),
    "judged_seed_too": "The seed changed as well, so a part of a difference may be the noise of the simulation.",
    "judged_selection": (
        "The tables are the same, but as_of or segment chose other rows of them, so chance plays its part."
    ),
    "judged_never": (
        "Findings are matched by their identifier. When metric, unit or scope differ they are never subtracted; a "
        "scope may differ by its date alone."
    ),
    "repeat_diff": "To make this page again: {command}",
}

SYMBOLS = {
    "signal": ("●", "warn"),
    "small": ("≈", "quiet"),
    "unclear": ("?", "quiet"),
    "noise": ("○", "quiet"),
    "unchanged": ("=", "quiet"),
    "caused": ("◆", "warn"),
    "seed": ("~", "quiet"),
    "odd": ("!", "bad"),
    "appeared": ("+", "quiet"),
    "disappeared": ("−", "quiet"),
    "not_comparable": ("≠", "quiet"),
    "too_little": ("–", "warn"),
}


def word(key: str, /, **values: Any) -> str:
    """Return a phrase of this page, or one that it shares with the reports."""
    return say(WORDS[key], **values) if key in WORDS else wording.word(key, **values)


def mark(outcome: str, cause: str, tone: str = "") -> Mark:
    """Return how the outcome of a finding is shown; a tone of its own says good or bad."""
    symbol, usual = SYMBOLS[outcome]
    return Mark(word(f"{outcome}_{tone}" if tone else outcome, cause=cause), symbol, tone or usual)


def amount(value: float, unit: str) -> str:
    """Return a change in its unit with its sign: ``+4.6 points`` for a share, ``+812 rows``, ``−CNY 12``."""
    if not math.isfinite(value):
        return wording.quantity(value, unit)
    sign = "+" if value > 0 else "−" if value < 0 else "±"
    if unit != "share":
        return sign + _one(wording.quantity(abs(value), unit))
    return f"{sign}{_points(value)} {word('points')}"


def _one(text: str) -> str:
    """Return an amount with its unit in the singular where it is one: ``1 row``."""
    return text[:-1] if re.fullmatch(r"1 [a-z]+s", text) else text


def amounts(low: float, high: float, unit: str) -> str:
    """Return the interval of a change: ``+1.5 to +7.7``, with the unit where it is written in front."""
    if unit == "share":
        low_text, high_text = (_signed(x) + _points(x) for x in (low, high))
    else:
        shown = unit if len(unit) == 3 and unit.isupper() else ""
        low_text, high_text = amount(low, shown), amount(high, shown)
    return f"{low_text} to {high_text}"


def _signed(value: float) -> str:
    return "+" if value > 0 else "−" if value < 0 else "±"


def _points(share: float) -> str:
    size = abs(100 * share)
    return f"{size:.1f}" if size >= 0.1 or not size else f"{size:.2g}"
