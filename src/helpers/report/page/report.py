"""One report as one HTML file: complete in itself, read without the network and without a script.

Reading order is decisions, findings, contents, story, appendix. A run that did not succeed begins with what went
wrong. Nothing on the page depends on when or where it was made: the same inputs give the same bytes. So a page shows
its run key and no version number. The version is the name of the folder it lies in (``v3``), which the address bar
shows; the index lists every version, and the appendix says so.
"""

from __future__ import annotations

import ast
import datetime as dt
import json
import re
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from helpers.playbook.action import CONFIDENCE_ORDER, Action
from helpers.playbook.finding import Finding
from helpers.playbook.thresholds import entries
from helpers.report.page import story, wording
from helpers.report.page.markup import Heading, Outline, escape, plain
from helpers.report.publish.manifest import Manifest
from helpers.sentences import say

if TYPE_CHECKING:
    from nbformat import NotebookNode  # a tenth of a second, which a look at what is unchanged need not wait

TEMPLATES = Path(__file__).parent / "template"
OWN_IDS = frozenset({"main", "banner", "decisions", "findings", "contents", "appendix"})
OWN_IDS |= {"parameters", "tables-read", "origin", "repeat", "failed-cell", "data-changed"}
MESSAGES = frozenset({"bad_data", "bad_parameters", "missing_secret", "missing_table", "error"})
"""Kinds of failure whose message was written for a reader: it stands alone, without its cell."""
BANNERS = {
    "failed": "This run failed",
    "timed_out": "This run was stopped: it took too long",
    "kernel_died": "This run ended because its process died",
    "not_run": "Not run",
}
CONFIDENCE = {
    "experiment": "Experiment: a randomised comparison measured this effect.",
    "quasi-experiment": "Quasi-experiment: a comparison without randomisation, corrected for known bias.",
    "correlation": "Correlation: seen together in the data; the cause is not proven.",
    "rule": "Rule: rests on experience or a stated prior, not on a measured effect. Try it small first.",
}
DIRECTION = {"up is good": "up", "down is good": "down", "neither": "neither up nor down"}


def report_html(
    notebook: NotebookNode, manifest: Manifest, findings: Sequence[Finding], actions: Sequence[Action]
) -> str:
    """Return a report as one self-contained HTML page.

    Parameters
    ----------
    notebook : nbformat.NotebookNode
        The executed notebook, partial when the run failed.
    manifest : Manifest
        What was run and how it ended; its bookkeeping is not shown.
    findings, actions : sequence of Finding, sequence of Action
        What the notebook recorded. Actions are shown best first.

    Returns
    -------
    str
        HTML that stands alone and reads without eyes or mouse.
    """
    outline = Outline(ids=set(OWN_IDS))
    outline.ids |= {f"finding-{one.id}" for one in findings} | {f"action-{one.id}" for one in actions}
    known = story.parameters(notebook)
    parts: dict[str, Any] = {
        **_head(notebook, manifest),
        **_decided(notebook, actions),
        **_found(findings),
        "check": lambda action: _check(action, manifest),
        "story": story.blocks(notebook, manifest, outline, findings),
        "parameters": [_parameter(name, value, known) for name, value in sorted(manifest.parameters.items())],
        "command": command(manifest, known),
    }
    parts["contents"] = _contents(outline.headings)  # the story has brought its headings by now
    return environment().get_template("page.html.j2").render(manifest=manifest, css=style(), **parts)


@cache
def environment() -> Environment:
    """Return the template engine with the words and number formats every page uses."""
    engine = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    names = ("quantity", "interval", "level", "verdict_mark", "status_mark")
    engine.globals.update({name: getattr(wording, name) for name in names})
    engine.globals.update(say=say, confidence_words=CONFIDENCE, direction_words=DIRECTION)
    return engine


@cache
def style(*more: str) -> Markup:
    """Return the style sheet of every page, and more by name, without comments and indentation."""
    sheets = [(TEMPLATES / name).read_text("utf-8") for name in ("style.css", *more)]
    return Markup(re.sub(r"/\*.*?\*/|\n\s*", " ", "".join(sheets), flags=re.DOTALL))


# --- title, decisions, findings ------------------------------------------------------------------------------------


def _head(notebook: NotebookNode, manifest: Manifest) -> dict[str, Any]:
    """Return what the title block shows, and the banner of a run that did not succeed."""
    title = story.inline(manifest.title or manifest.series)
    return {
        "to_index": "../" * (manifest.series.count("/") + 2),
        "title": title,
        "title_text": plain(title),
        "question": story.inline(manifest.question),
        "facts": _facts(manifest),
        "status": wording.status_mark(manifest.status),
        "complete": manifest.status == "succeeded",
        "banner": _banner(notebook, manifest),
        "changed": wording.joined(manifest.data.changed),
    }


def _facts(manifest: Manifest) -> list[tuple[str, str]]:
    facts = _period(manifest.parameters)
    if segment := manifest.parameters.get("segment"):
        facts.append((say("Segment"), str(segment)))
    counts = [table.rows for table in manifest.data.tables.values()]
    amount = say("1 table") if len(counts) == 1 else say("{number} tables", number=len(counts))
    if counts and None not in counts:
        amount += f", {wording.rows(sum(filter(None, counts)))}"
    return [*facts, (say("Data"), f"{manifest.data.url} ({amount if counts else say('no table was read')})")]


def _period(parameters: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return first and last day of the window or history, or the last day alone when neither is stated."""
    last, days = _day(parameters.get("as_of")), parameters.get("window_days")
    first = _day(parameters.get("history_from"))
    if last and isinstance(days, int):
        first = last + dt.timedelta(days=1 - days)
    zone = parameters.get("report_tz")
    if first and last:
        number, zone = (last - first).days + 1, f", {zone}" if zone else ""
        text = say("{first} to {last} ({days:,} days{zone})", first=first, last=last, days=number, zone=zone)
        return [(say("Period"), text)]
    as_of = parameters.get("as_of")
    return [(say("As of"), f"{as_of} ({zone})" if zone else str(as_of))] if as_of else []


def _day(text: object) -> dt.date | None:
    """Return a parameter as a day, or None where it is none, as in a report that was not run for that reason."""
    try:
        return dt.date.fromisoformat(str(text)[:10])
    except ValueError:
        return None


def _banner(notebook: NotebookNode, manifest: Manifest) -> dict[str, Any] | None:
    """Say how the run ended. A message meant for a person stands alone; an unexpected error shows its cell."""
    failure = manifest.failure
    if failure is None:
        return None
    unexpected = failure.kind == "exception"
    failing = None if failure.kind in MESSAGES else story.failing_cell(notebook, manifest)
    return {
        "heading": say(BANNERS[manifest.status]),
        "kind": say(wording.FAILURES[failure.kind]),
        "message": "" if unexpected and failing else failure.message,
        "lead": say("Raised in this cell:") if unexpected else say("It ended in this cell:"),
        "failing": failing,
        "kept": _kept(notebook, manifest),
    }


def _kept(notebook: NotebookNode, manifest: Manifest) -> str:
    code = {i for i, cell in enumerate(notebook.cells) if cell.cell_type == "code" and cell.source.strip()}
    idle = sum(run.status == "not_run" and run.index in code for run in manifest.cells)
    if not idle:
        return say("What ran is kept below.")
    return say(
        "What ran before is kept below. {number} of {all} code cells did not run.", number=idle, all=len(code)
    )


def _decided(notebook: NotebookNode, actions: Sequence[Action]) -> dict[str, Any]:
    """Return the decisions in order, why they stand in it, and the contact list of each that has one."""
    unknown = sum(action.expected_value is None for action in actions)
    order = say("Ranked by expected value.")
    if unknown:
        order = say("Ranked by expected value; those whose value is not known stand last.")
    if unknown == len(actions):
        order = say("No value can be stated for any of them, so the best evidence stands first.")
    lists = story.contact_lists(notebook)
    contacts = {action.id: _opportunities().get(action.id, "").rpartition(".")[2] for action in actions}
    return {
        "actions": sorted(actions, key=rank),
        "actions_order": order,
        "some_value_known": unknown < len(actions),
        "contacts": {action: name for action, name in contacts.items() if name in lists},
    }


def rank(action: Action) -> tuple[bool, float, int]:
    """Return what decisions are sorted by: expected value, then evidence; those of unknown value come last."""
    value = -action.expected_value if action.expected_value is not None else 0.0
    return action.expected_value is None, value, CONFIDENCE_ORDER.index(action.confidence_class)


@cache
def _opportunities() -> Mapping[str, str]:
    """Return the opportunity of each rule that has one, such as ``rfm.recall`` of ``rfm.recall_silent``.

    An action is for the contact list that has the name of its opportunity.
    """
    return {rule["id"]: rule["opportunity"] for rule in entries("rules") if rule.get("opportunity")}


def _check(action: Action, manifest: Manifest) -> Markup:
    last, days = _day(manifest.parameters.get("as_of")), action.check_after_days
    metric = escape(action.check_metric)
    if last is None:
        return Markup(say("{metric}, after {days} days", metric=metric, days=days))
    date = f"<time>{last + dt.timedelta(days=days)}</time>"
    said = "{metric}, on {date}, {days} days after the last day reported"
    return Markup(say(said, metric=metric, days=days, date=date))


def _found(findings: Sequence[Finding]) -> dict[str, Any]:
    """Return the findings with what they have in common, which is said once."""
    levels = {finding.confidence for finding in findings}
    scopes = Counter(finding.scope for finding in findings)
    return {
        "findings": findings,
        "finding_names": {finding.id: finding.metric for finding in findings},
        "common_level": levels.pop() if len(levels) == 1 else None,
        "one_scope": len(scopes) == 1,
        "scope": next((scope for scope, times in scopes.most_common(1) if times > 1 or len(scopes) == 1), ""),
    }


# --- contents and appendix -----------------------------------------------------------------------------------------


def _contents(headings: Sequence[Heading]) -> list[tuple[str, str, list[Heading]]]:
    """Nest the headings of the story, two levels deep, between the page's own parts."""
    top: list[tuple[str, str, list[Heading]]]
    top = [("decisions", say("Decisions"), []), ("findings", say("Findings"), [])]
    for heading in headings:
        if heading.level == 2:
            top.append((heading.id, heading.text, []))
        elif heading.level == 3:
            top[-1][2].append(heading)
    return [*top, ("appendix", say("Appendix: how to check and repeat this"), [])]


def _parameter(name: str, value: Any, known: Mapping[str, story.Parameter]) -> tuple[str, str, str]:
    default, meaning = known.get(name, story.Parameter("", ""))
    if default and not _same(default, value):
        meaning += say(" (default {default})", default=default)
    return name, _plain_value(value) or '""', meaning


def _same(source: str, value: Any) -> bool:
    """Tell whether a default, as Python source, is the value of the run as JSON holds it."""
    try:
        return bool(ast.literal_eval(source) == value)
    except ValueError:
        return False


def _plain_value(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)


def command(manifest: Manifest, known: Mapping[str, story.Parameter]) -> str:
    """Return the command line that repeats the run; parameters that have their default need not be said."""
    parts = [f"playbook run notebooks/{shlex.quote(manifest.notebook)}.ipynb"]
    parts += [f"--data {shlex.quote(manifest.data.url)}"] if manifest.data.url else []
    parts += [f"--label {shlex.quote(manifest.label)}"] if manifest.label else []
    parts += [
        f"-p {shlex.quote(f'{name}={_plain_value(value)}')}"
        for name, value in sorted(manifest.parameters.items())
        if name != "data" and not (name in known and _same(known[name].default, value))
    ]
    return " \\\n  ".join(parts)
