"""One report as one HTML file: complete in itself, read without the network and without a script.

Reading order is decisions, findings, contents, story, appendix. A run that did not succeed begins with what went
wrong. Nothing on the page depends on when or where it was made, unless the manifest brings its bookkeeping: the same
inputs give the same bytes. So a published page shows its run key and no version number. The version is the name of
the folder it lies in (``v3``), which the address bar shows; the index lists every version, and the appendix says so.
"""

from __future__ import annotations

import ast
import json
import re
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from nbformat import NotebookNode

from helpers.playbook.action import CONFIDENCE_ORDER, Action
from helpers.playbook.finding import Finding
from helpers.report.compact import compact
from helpers.report.page import wording
from helpers.report.page.markup import Heading, Outline, escape, plain
from helpers.report.page.story import (
    Failing,
    blocks,
    contact_lists,
    failing_cell,
    inline,
    parameter_defaults,
    parameter_meanings,
)
from helpers.report.page.wording import word
from helpers.report.publish.manifest import Manifest

TEMPLATES = Path(__file__).parent / "template"
OWN_IDS = frozenset(
    {"main", "banner", "decisions", "findings", "contents", "appendix", "parameters", "tables-read", "origin"}
    | {"repeat", "failed-cell", "data-changed"}
)
MESSAGES = frozenset({"bad_data", "bad_parameters", "missing_secret", "missing_table", "error"})
SHORT_HASH = 12
CODE_PARTS = {
    "notebook_sha256": "notebook_hash",
    "lock_sha256": "lock_hash",
}


class Entry(NamedTuple):
    """A line of the table of contents with the lines below it."""

    id: str
    text: str
    children: list[Entry]


class Banner(NamedTuple):
    """What a run that did not succeed says first.

    Attributes
    ----------
    heading, kind : str
        How the run ended, and what that means.
    message : str
        Message meant for a person; empty for an unexpected exception.
    lead : str
        Sentence before the failing cell.
    failing : Failing or None
        The failing cell; None where the message says all.
    kept : str
        What is left of the run.
    """

    heading: str
    kind: str
    message: str
    lead: str
    failing: Failing | None
    kept: str


def report_html(
    notebook: NotebookNode, manifest: Manifest, findings: Sequence[Finding], actions: Sequence[Action]
) -> str:
    """Return a report as one self-contained HTML page.

    Parameters
    ----------
    notebook : nbformat.NotebookNode
        The executed notebook, partial when the run failed.
    manifest : Manifest
        What was run and how it ended. With ``manifest.stable()`` the page is the same for the same inputs;
        with bookkeeping it names version and git commit too.
    findings, actions : sequence of Finding, sequence of Action
        What the notebook recorded. Actions are shown best first.

    Returns
    -------
    str
        HTML that stands alone and reads without eyes or mouse.
    """
    outline = Outline(ids=set(OWN_IDS))
    outline.ids |= {f"finding-{finding.id}" for finding in findings} | {
        f"action-{action.id}" for action in actions
    }
    parts: dict[str, Any] = {
        **_head(notebook, manifest),
        **_decided(notebook, manifest, actions),
        **_found(findings),
        "story": blocks(notebook, manifest, outline, findings),
        "parameters": _parameters(notebook, manifest),
        "tables": _tables(manifest),
        "origin": _origin(manifest),
        "command": command(manifest, parameter_defaults(notebook)),
    }
    parts["contents"] = _contents(outline.headings)  # the story has brought its headings by now
    return compact(environment().get_template("page.html.j2").render(manifest=manifest, css=style(), **parts))


def _head(notebook: NotebookNode, manifest: Manifest) -> dict[str, Any]:
    """Return what the title block shows, and the banner of a run that did not succeed."""
    title = inline(manifest.title or manifest.series)
    return {
        "to_index": "../" * (manifest.series.count("/") + 2),
        "title": title,
        "title_text": plain(title),
        "question": inline(manifest.question) if manifest.question else "",
        "facts": _facts(manifest),
        "status": wording.status_mark(manifest.status),
        "complete": manifest.status == "succeeded",
        "banner": _banner(notebook, manifest),
        "changed": _changed(manifest.data.changed),
    }


def _decided(notebook: NotebookNode, manifest: Manifest, actions: Sequence[Action]) -> dict[str, Any]:
    """Return the decisions in order, why they stand in it, and the contact list of each that has one."""
    unknown = sum(action.expected_value is None for action in actions)
    order = "order_value" if not unknown else "order_mixed" if unknown < len(actions) else "order_unknown"
    lists = contact_lists(notebook)
    return {
        "actions": sorted(actions, key=_rank),
        "actions_order": word(order),
        "value_unknown_why": word("value_unknown_why") if unknown < len(actions) else "",
        "contacts": {action.id: _contacts(action, lists) for action in actions},
        "check": lambda action: _check(action, manifest),
    }


def _contacts(action: Action, lists: Sequence[str]) -> str:
    """Return the contact list that an action is for: the list whose name its rule names as the opportunity."""
    name = _opportunities().get(action.id, "").rpartition(".")[2]
    return name if name in lists else ""


@cache
def _opportunities() -> Mapping[str, str]:
    """Return the opportunity of each rule that has one, such as ``rfm.recall`` of ``rfm.recall_silent``."""
    rules = yaml.safe_load(resources.files("helpers.playbook").joinpath("actions.yml").read_text("utf-8"))
    return {rule["id"]: rule["opportunity"] for rule in rules if rule.get("opportunity")}


def _found(findings: Sequence[Finding]) -> dict[str, Any]:
    """Return the findings with what they have in common, which is said once."""
    levels = {finding.confidence for finding in findings}
    scopes = Counter(finding.scope for finding in findings)
    return {
        "findings": findings,
        "findings_lead": _findings_lead(levels),
        "finding_names": {finding.id: finding.metric for finding in findings},
        "one_level": len(levels) == 1,
        "one_scope": len(scopes) == 1,
        "scope": next((scope for scope, times in scopes.most_common(1) if times > 1 or len(scopes) == 1), ""),
    }


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
    names = ("word", "quantity", "interval", "level", "verdict_mark", "status_mark")
    engine.globals.update({name: getattr(wording, name) for name in names})
    return engine


@cache
def style(*more: str) -> Markup:
    """Return the style sheet of every page, and more by name, without comments and indentation."""
    sheet = "".join((TEMPLATES / f"{name}.css").read_text("utf-8") for name in ("style", *more))
    sheet = re.sub(r"/\*.*?\*/", "", sheet, flags=re.DOTALL)
    sheet = re.sub(r"\s*([{};,>])\s*", r"\1", re.sub(r"\s+", " ", sheet))
    return Markup(re.sub(r":\s+(?=[^{}]*[;}])", ":", sheet).replace(";}", "}").strip())


def command(manifest: Manifest, defaults: Mapping[str, str] | None = None) -> str:
    """Return the command line that repeats the run; parameters that have their default need not be said."""
    defaults = defaults or {}
    parts = [f"playbook run notebooks/{shlex.quote(manifest.notebook)}.ipynb"]
    parts += [f"--data {shlex.quote(manifest.data.url)}"] if manifest.data.url else []
    parts += [f"--label {shlex.quote(manifest.label)}"] if manifest.label else []
    parts += [
        f"-p {shlex.quote(f'{name}={_plain_value(value)}')}"
        for name, value in sorted(manifest.parameters.items())
        if name != "data" and not (name in defaults and _same(defaults[name], value))
    ]
    return " \\\n  ".join(parts)


def _plain_value(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)


def _rank(action: Action) -> tuple[bool, float, int]:
    value = -action.expected_value if action.expected_value is not None else 0.0
    return action.expected_value is None, value, CONFIDENCE_ORDER.index(action.confidence_class)


def _facts(manifest: Manifest) -> list[tuple[str, str]]:
    facts = _period(manifest.parameters)
    if manifest.parameters.get("segment"):
        facts.append((word("segment"), str(manifest.parameters["segment"])))
    facts.append((word("data"), f"{manifest.data.url} ({_amount(manifest)})"))
    return facts


def _period(parameters: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return first and last day of the window or history, or the last day alone when neither is stated."""
    as_of, days, zone = (parameters.get(name) for name in ("as_of", "window_days", "report_tz"))
    first = wording.day(as_of, 1 - days) if isinstance(days, int) else None
    start, last = wording.day(parameters.get("history_from"), 0), wording.day(as_of, 0)
    if first is None and start is not None and last is not None:
        first, days = start, (last - start).days + 1
    if first is not None:
        zone = f", {zone}" if zone else ""
        return [(word("period"), word("days_to", first=first, last=as_of, days=days, zone=zone))]
    return [(word("as_of"), f"{as_of} ({zone})" if zone else str(as_of))] if as_of else []


def _amount(manifest: Manifest) -> str:
    rows = [table.rows for table in manifest.data.tables.values()]
    if not rows:
        return word("no_data")
    tables = word("one_table") if len(rows) == 1 else word("many_tables", number=len(rows))
    known = [count for count in rows if count is not None]
    return (
        word("tables_rows", tables=tables, rows=wording.rows(sum(known)))
        if len(known) == len(rows)
        else tables
    )


def _findings_lead(levels: set[float]) -> str:
    if len(levels) != 1:
        return word("findings_lead_mixed")
    return word("findings_lead", confidence=wording.level(levels.copy().pop()))


def _check(action: Action, manifest: Manifest) -> Markup:
    day = wording.day(manifest.parameters.get("as_of"), action.check_after_days)
    metric, days = escape(action.check_metric), action.check_after_days
    if day is None:
        return Markup(word("check_after", metric=metric, days=days))
    return Markup(word("check_on", metric=metric, days=days, date=f"<time>{day}</time>"))


def _banner(notebook: NotebookNode, manifest: Manifest) -> Banner | None:
    """Say how the run ended. A message meant for a person stands alone; an unexpected error shows its cell."""
    failure = manifest.failure
    if manifest.status == "succeeded":
        return None
    if failure is None:
        return Banner(word(f"banner_{manifest.status}"), "", "", "", None, _kept(notebook, manifest))
    told = failure.kind in MESSAGES
    unexpected = failure.kind == "exception"
    failing = None if told else failing_cell(notebook, manifest)
    return Banner(
        heading=word(f"banner_{manifest.status}"),
        kind=word(f"kind_{failure.kind}"),
        message="" if unexpected and failing else failure.message,
        lead=word("raised" if unexpected else "at_cell"),
        failing=failing,
        kept=_kept(notebook, manifest),
    )


def _changed(tables: Sequence[str]) -> str:
    """Say which tables changed under the run, so that its numbers may belong to no state of the data."""
    if not tables:
        return ""
    return word("changed_one" if len(tables) == 1 else "changed_many", names=wording.joined(tables))


def _kept(notebook: NotebookNode, manifest: Manifest) -> str:
    code = {
        index for index, cell in enumerate(notebook.cells) if cell.cell_type == "code" and cell.source.strip()
    }
    idle = sum(run.status == "not_run" and run.index in code for run in manifest.cells)
    return word("partial", number=idle, all=len(code)) if idle else word("partial_none")


def _contents(headings: Sequence[Heading]) -> list[Entry]:
    """Nest the headings of the story, two levels deep, between the page's own parts."""
    top = [Entry(name, word(name), []) for name in ("decisions", "findings")]
    for heading in headings:
        if heading.level == 2:
            top.append(Entry(heading.id, heading.text, []))
        elif heading.level == 3:
            top[-1].children.append(Entry(heading.id, heading.text, []))
    return [*top, Entry("appendix", word("appendix"), [])]


def _parameters(notebook: NotebookNode, manifest: Manifest) -> list[tuple[str, str, str]]:
    meanings, defaults = parameter_meanings(notebook), parameter_defaults(notebook)
    rows = []
    for name, value in sorted(manifest.parameters.items()):
        meaning = meanings.get(name, "")
        if name in defaults and not _same(defaults[name], value):
            meaning += word("default_differs", default=defaults[name])
        rows.append((name, _plain_value(value) or '""', meaning))
    return rows


def _same(source: str, value: Any) -> bool:
    """Tell whether a default, as Python source, is the value of the run as JSON holds it."""
    try:
        return bool(ast.literal_eval(source) == value)
    except ValueError:
        return False


def _tables(manifest: Manifest) -> list[tuple[str, str, str]]:
    return [
        (name, word("rows_unknown") if table.rows is None else f"{table.rows:,}", table.sha256[:SHORT_HASH])
        for name, table in sorted(manifest.data.tables.items())
    ]


def _origin(manifest: Manifest) -> list[tuple[str, str]]:
    run = manifest.bookkeeping
    rows = [
        (word("series"), manifest.series),
        (word("version_label"), str(run.version) if run else word("version_where")),
        (word("notebook"), manifest.notebook),
        (word("run_key"), manifest.run_key[:SHORT_HASH]),
        (word("seed"), word("no_seed") if manifest.seed is None else str(manifest.seed)),
        (word("python"), manifest.python),
    ]
    for name, value in manifest.code.model_dump().items():
        if isinstance(value, str):
            rows.append((word(CODE_PARTS.get(name, "code_part"), name=name), value[:SHORT_HASH]))
        elif value:
            rows.append((word("modules"), word("modules_listed", number=len(value))))
    if run and run.git_commit:
        commit = run.git_commit[:SHORT_HASH]
        rows.append((word("git"), word("dirty", commit=commit) if run.git_dirty else commit))
    return rows
