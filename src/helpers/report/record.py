"""What a notebook records: tables, pictures, findings, actions and contact lists.

Every call shows its subject in the notebook. In a batch, where ``PLAYBOOK_RUN_FOLDER`` names the folder of the run,
it also writes it there: the same frame gives the same bytes. A name stands for one thing in a run, so recording it
twice is an error there; in JupyterLab, where a cell is run again and again, nothing is written and the last counts.
"""

from __future__ import annotations

import html
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import pyarrow as pa
from IPython.display import display

from helpers.checks import did_you_mean
from helpers.data import privacy
from helpers.figures import Chart, NoChart
from helpers.playbook.action import Action
from helpers.playbook.contact.lists import ContactList
from helpers.playbook.finding import Finding
from helpers.playbook.propose import propose
from helpers.playbook.result import Part, Result
from helpers.report.project import RUN_FOLDER
from helpers.report.publish.manifest import dump_json
from helpers.report.publish.redact_files import write_parquet
from helpers.sentences import interval, quantity
from helpers.sentences import say as words
from helpers.study import Study
from helpers.tables import LAB_STYLE, Table, html_table

ROWS_SHOWN = 20
TEXT_ROWS = 10
SUMMARY = 500
"""Characters of a summary, which a chat shows without a fold."""
_NAME = re.compile(r"[a-z0-9][a-z0-9_]*")
_PSEUDONYM = re.compile(r"p_[0-9a-f]{16}")
_known_findings: set[str] = set()


class Shown(NamedTuple):
    """An output with an accessible HTML form and a short, stable text form."""

    html: str
    text: str

    def _repr_html_(self) -> str:
        return self.html

    def __repr__(self) -> str:
        return self.text


def table(
    name: str,
    frame: Any,
    caption: str,
    *,
    units: Mapping[str, str] | None = None,
    note: str | None = None,
) -> None:
    """Show a table and keep all of it as ``tables/<name>.parquet`` and ``tables/<name>.csv``.

    Parameters
    ----------
    name : str
        Lower-case name, unique in the run.
    frame : pandas.DataFrame, pandas.Series or ibis.Table
        One row per unit, the first column naming the row; a named index becomes the first columns.
    caption : str
        What the table shows, with its denominator.
    units : mapping, optional
        Column to unit: ``"share"`` prints as per cent, a currency code as money, anything else as a number.
    note : str, optional
        A line under the table, such as the source or what a mark means.

    Raises
    ------
    ValueError
        When the name is taken or not a name, or a member id in the table is not a pseudonym.
    """
    rows = _frame(frame)
    _check_name(name)
    _check_pseudonyms(f"table {name}", rows)
    _write_both("tables", name, rows)
    shown = html_table(rows, caption, units=units, limit=ROWS_SHOWN)
    notes = [note] if note else []
    if len(rows) > ROWS_SHOWN:
        text = "First {shown} of {all:,d} rows, all in {file}."
        notes.insert(0, words(text, shown=ROWS_SHOWN, all=len(rows), file=f"tables/{name}.csv"))
    shown += "".join(f'<p class="note">{html.escape(line)}</p>' for line in notes)
    shown = f'<figure class="table">{shown}</figure>' if notes else shown
    display(Shown(shown if os.environ.get(RUN_FOLDER) else LAB_STYLE + shown, _plain_table(name, rows)))


def figure(name: str, chart: Chart | NoChart) -> None:
    """Show a picture and keep it as ``figures/<name>.svg``, with its numbers in ``figures/<name>.parquet``.

    Parameters
    ----------
    name : str
        Lower-case name, unique in the run.
    chart : helpers.figures.Chart or helpers.figures.NoChart
        The picture with its title, text alternative and data; or why there is none, which is shown in its place.
    """
    _check_name(name)
    if isinstance(chart, NoChart):
        display(Shown(chart._repr_html_(), repr(chart)))
        return
    rows = _frame(chart.data)
    _check_pseudonyms(f"figure {name}", rows)
    _write_parquet("figures", name, rows)
    drawing = chart.svg()  # half the time of a page of pictures, so once
    _write("figures", f"{name}.svg", drawing)
    display(Shown(chart._repr_html_(drawing), f"Figure {name}: {chart.alt}"))


def findings(items: Iterable[Finding]) -> None:
    """Show the findings of a notebook and keep them as ``findings.json``, in their order.

    Raises
    ------
    ValueError
        When two findings share an id.
    """
    found = list(items)
    _check_unique("finding", [finding.id for finding in found])
    _write("", "findings.json", dump_json([finding.model_dump(mode="json") for finding in found]))
    _known_findings.clear()
    _known_findings.update(finding.id for finding in found)
    lines = [(f"finding {finding.verdict.replace(' ', '-')}", finding.sentence) for finding in found]
    text = "\n".join(f"[{finding.verdict}] {finding.sentence}" for finding in found)
    display(Shown(_list("findings", lines, "No findings."), text or "No findings."))


def actions(items: Iterable[Action]) -> None:
    """Show the proposed actions and keep them as ``actions.json``, in their order.

    Raises
    ------
    ValueError
        When two actions share an id, or one rests on a finding that was not recorded before.
    """
    proposed = list(items)
    _check_unique("action", [action.id for action in proposed])
    for action in proposed:
        for missing in sorted(set(action.finding_ids) - _known_findings):
            hint = did_you_mean(missing, _known_findings)
            raise ValueError(f"action {action.id} rests on finding {missing!r}, which is not recorded.{hint}")
    _write("", "actions.json", dump_json([action.model_dump(mode="json") for action in proposed]))
    lines = [(f"action {action.confidence_class}", _action_line(action)) for action in proposed]
    text = "\n".join(line for _, line in lines)
    display(Shown(_list("actions", lines, "No actions."), text or "No actions."))


def contact_list(name: str, frame: Any, caption: str) -> None:
    """Announce a contact list and keep it as ``lists/<name>.parquet`` and ``lists/<name>.csv``.

    The members themselves are not shown in the notebook.

    Parameters
    ----------
    name : str
        Lower-case name, unique in the run.
    frame : pandas.DataFrame or ibis.Table
        One row per member, with pseudonyms in ``member_id``.
    caption : str
        Whom the list holds and what for.

    Raises
    ------
    ValueError
        When there is no ``member_id``, it repeats, or it holds anything but pseudonyms.
    """
    rows = _frame(frame)
    _check_name(name)
    if "member_id" not in rows:
        raise ValueError(f"contact list {name} has no column member_id; it has {', '.join(map(str, rows))}")
    _check_pseudonyms(f"contact list {name}", rows)
    _check_unique(f"contact list {name}: member", rows["member_id"].tolist())
    _write_both("lists", name, rows)
    text = words(
        "{caption}: {n:,} members. Files: {table} and {parquet}.\nWho they are: {command}",
        caption=caption, n=len(rows), table=f"lists/{name}.csv", parquet=f"lists/{name}.parquet",
        command=f"playbook reveal lists/{name}.csv --data …",
    )  # fmt: skip
    display(Shown(f'<p class="contact-list">{html.escape(text)}</p>', text))


def say(sentence: str) -> None:
    """Show a sentence, such as the ``.sentence`` of a result, as a paragraph of the report."""
    display(Shown(f'<p class="sentence">{html.escape(sentence)}</p>', sentence))


def summary(text: str) -> None:
    """Show a report in a few lines for a chat, and keep them as ``summary.txt``.

    Raises
    ------
    ValueError
        When it is longer than :data:`SUMMARY` characters, or names a member.
    """
    if len(text) > SUMMARY:
        raise ValueError(f"a summary of {len(text)} characters, must have at most {SUMMARY}.")
    if _PSEUDONYM.search(text):
        raise ValueError("a summary must not name a member.")
    _write("", "summary.txt", text.rstrip() + "\n")
    display(Shown(f'<pre class="summary">{html.escape(text)}</pre>', text))


def show(*results: Result | Study) -> None:
    """Show what results found: sentences, pictures, tables and contact lists, without what is about too few members.

    The one door through which numbers leave a notebook; in a batch all of it is kept in the folder of the run too.

    Parameters
    ----------
    *results : Result or Study
        What a method returned; a study shows which tables it holds and how healthy they are.
    """
    for result in results:
        for part in _of_study(result) if isinstance(result, Study) else result.told():
            if isinstance(part, str):
                say(part)
            elif isinstance(part, Table):
                table(part.name, part.frame, part.caption, units=part.units, note=part.note or None)
            elif isinstance(part, ContactList):
                contact_list(part.name, part.frame, part.caption)
            else:
                figure(part.name, part)


def _of_study(study: Study) -> Iterator[Part]:
    """Yield which tables a study holds and how healthy they are."""
    if study.about_members:
        yield from filter(None, (study.account.sentence, study.provisional, study.silence_sentence))
    yield from (study.health.sentence, *study.health.notes)
    caption = words("Health of the tables, {scope}", scope=study.scope)
    shares = {"missing_share": "share", "late_share": "share"}
    yield Table("data_health", study.health.frame, caption, shares)
    if (account := study.dataset.account) is not None:
        yield Table("row_account", account, words("Where the rows of the exports went"))


def conclude(study: Study, *results: Result, rules: str, margin: float = 1.0) -> list[Finding]:
    """Record the findings of results and the actions that follow from them, ranked by expected value.

    Parameters
    ----------
    study : Study
        Whose members they are about.
    *results : Result
        The most important first: the report begins with it.
    rules : str
        The method whose rules are asked, such as ``"rfm"``. A result with ``approve`` has decided already which
        are told.
    margin : float
        Share of sales that is left after the cost of what was sold.

    Returns
    -------
    list of Finding
        What was recorded.
    """
    found = [finding for result in results for finding in result.found()]
    lists = [each for result in results for each in getattr(result, "lists", ())]
    findings(found)
    decided = [proposed for result in results for proposed in result.proposals()]
    proposal = propose(study, found, lists, decided, prefix=f"{rules}.", margin=margin)
    given = [list(result.approve) for result in results if hasattr(result, "approve")]
    actions(given[0] if given else proposal.actions)
    silent = proposal.not_fired.drop(columns="rule")
    table("rules_silent", silent, words("Rules that proposed nothing, and why"))
    return found


def _frame(frame: Any) -> pd.DataFrame:
    """Return a frame whose index says nothing, with columns that Parquet knows."""
    rows = frame
    if not (isinstance(rows.index, pd.RangeIndex) and rows.index.name is None):
        keeps_nothing = rows.index.nlevels == 1 and rows.index.name is None
        rows = rows.reset_index(drop=keeps_nothing and pd.api.types.is_integer_dtype(rows.index))
    _check_unique("column", [str(column) for column in rows.columns])
    rows = rows.rename(columns=str)
    spans = [column for column in rows if isinstance(rows[column].dtype, pd.PeriodDtype | pd.IntervalDtype)]
    return rows.astype(dict.fromkeys(spans, "str"))


def _write_both(folder: str, name: str, rows: pd.DataFrame) -> None:
    """Write rows for programs and for spreadsheets, which read Chinese text after a byte order mark."""
    _write_parquet(folder, name, rows)
    _write(folder, f"{name}.csv", "\ufeff" + privacy.csv_text(rows))


def _write_parquet(folder: str, name: str, rows: pd.DataFrame) -> None:
    """Write rows so that equal frames give equal bytes."""
    path = _target(folder, f"{name}.parquet")
    if path is None:
        return
    try:
        arrow = pa.Table.from_pandas(rows, preserve_index=False)
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise ValueError(f"{folder}/{name}: {'; '.join(map(str, error.args))}") from None
    part = _part(path)
    write_parquet(arrow, part)
    part.replace(path)


def _write(folder: str, name: str, text: str) -> None:
    path = _target(folder, name)
    if path is not None:
        part = _part(path)
        part.write_text(text, encoding="utf-8", newline="\n")
        part.replace(path)


def _part(path: Path) -> Path:
    """Make the hidden file that is written first: a killed kernel leaves no half file. Lists are private."""
    part = path.with_name(f".{path.name}")
    part.touch(0o600 if path.parent.name == "lists" else 0o666)
    return part


def _target(folder: str, name: str) -> Path | None:
    """Return where to write, or None outside a batch."""
    home = os.environ.get(RUN_FOLDER)
    if not home:
        return None
    path = Path(home) / folder / name
    if path.exists():
        raise ValueError(
            f"{path.relative_to(home).as_posix()} is already recorded in this run; names are unique"
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise ValueError(f"name == {name!r}, must be lower-case letters, digits and underscores.")


def _check_unique(what: str, names: list[str]) -> None:
    repeated = [name for name, count in Counter(names).items() if count > 1]
    if repeated:
        raise ValueError(f"{what} {repeated[0]!r} is there more than once ({len(repeated)} such)")


def _check_pseudonyms(what: str, rows: pd.DataFrame) -> None:
    """Refuse member ids as the platform knows them: what is published carries pseudonyms."""
    for column in rows:
        if not str(column).endswith("member_id"):
            continue
        plain = [value for value in rows[column].dropna() if not _PSEUDONYM.fullmatch(str(value))]
        if plain:
            raise ValueError(
                f"{what}: {len(plain):,} of {len(rows):,} values of {column} are not pseudonyms; "
                "pass them through helpers.data.privacy.pseudonymise"
            )


def _plain_table(name: str, rows: pd.DataFrame) -> str:
    head = rows.head(TEXT_ROWS).to_string(index=False, float_format=lambda value: f"{value:.4g}", na_rep="–")
    return f"Table {name}: {len(rows):,} rows\n{head}"


def _list(kind: str, lines: list[tuple[str, str]], empty: str) -> str:
    if not lines:
        return f'<p class="{kind}">{empty}</p>'
    items = "".join(f'<li class="{html.escape(style)}">{html.escape(text)}</li>' for style, text in lines)
    return f'<ol class="{kind}">{items}</ol>'


def _action_line(action: Action) -> str:
    worth = "value not known"
    if action.expected_value is not None and action.low is not None and action.high is not None:
        between = interval(action.low, action.high, action.unit)
        worth = f"{quantity(action.expected_value, action.unit)} ({between})"
    check = f"check {action.check_metric} after {action.check_after_days} days"
    return f"{action.title} – {worth}; {action.owner_role}; {check}"
