"""Commands about tables and parameters: ``check``, ``map``, ``reveal``, ``params``, ``simulate``."""

from __future__ import annotations

import datetime as dt
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from helpers.cli import output
from helpers.cli.application import Notebooks, app, notebooks_folder
from helpers.sentences import Verbatim, closed_up, say


@app.command()
def check(
    url: Annotated[str, typer.Argument(help="Folder of tables or URL.")] = "data/sample",
    describe: Annotated[bool, typer.Option("--describe", help="Print the data contract instead.")] = False,
    report_tz: Annotated[str, typer.Option(help="Time zone of calendar days.")] = "Asia/Shanghai",
    mapping: Annotated[str, typer.Option(help="Mapping in the folder, other than its mapping.yml.")] = "",
) -> None:
    """Check tables, or exports and their mapping, against the contract and print their health."""
    from helpers.data import contract

    if describe:
        typer.echo(contract.describe())
        return
    from helpers.data import health, source
    from helpers.report.project import locate_data
    from helpers.study import Study
    from helpers.study.activity import SIDES

    url += f"{'&' if '?' in url else '?'}mapping={mapping}" if mapping else ""
    typed_here = Path(url.partition("?")[0]).exists()
    dataset = source.open(url if typed_here else locate_data(url), report_tz=report_tz)
    state = health.health(dataset)
    typer.echo(say("{url}: no violation of the data contract", url=Verbatim(dataset.url)))
    if dataset.account is not None:
        output.frame(say("Where the rows of the exports went"), dataset.account)
    output.frame(say("Health of the tables"), state.frame)
    if len(state.unmatched):
        output.frame(say("Ids without a partner"), state.unmatched)
    lines = [state.sentence, *state.notes]
    if set(SIDES) & dataset.tables.keys():
        found = Study.of(dataset, dt.date.max, report_tz=report_tz, count="all").account
        output.frame(say("Kinds of action, and what they count as"), found.kinds)
        lines.append(found.unknown)
    for line in filter(None, lines):
        typer.echo(closed_up(line))


@app.command("map")
def map_(
    folder: Annotated[Path, typer.Argument(help="Folder of exports as they were downloaded.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask; leave questions in the file.")] = False,
    notebooks: Notebooks = None,
) -> None:
    """Draft the mapping of a folder of exports: what they are, what is sure, and what only you know."""
    from helpers.data import engine
    from helpers.data.exports import draft
    from helpers.errors import PlaybookError
    from helpers.report import project

    target, con = folder / draft.MAPPING, engine.connect()
    drafted = draft.draft(folder, con.workspace)
    output.table(say("What the files are"), ("file", "taken for"), drafted.files)
    target.write_text(drafted.text, "utf-8")
    for question in draft.Mapping.read(target).questions if sys.stdin.isatty() and not yes else ():
        if answer := typer.prompt(question.text[1:].strip(), default="", show_default=False):
            text = draft.answered(target.read_text("utf-8"), question.line, answer)
            target.write_text(text, "utf-8")
    try:
        for name, table in draft.preview(con, folder, target.read_text("utf-8")).tables.items():
            rows = table.limit(5).execute()  # as they are: what is shown is not rounded
            title = say("{table}: its first rows", table=name)
            output.frame(title, rows.where(rows.isna(), rows.astype(str)))
    except PlaybookError as error:
        why = str(error).splitlines()[-1].rpartition(": ")[2]
        typer.echo(say("No rows can be shown yet: {why}", why=why))
    there = [path.stem for path in project.notebooks(notebooks_folder(notebooks))]
    runs = [
        (name, say("no: without {lack}", lack=lack) if lack else say("yes"))
        for name, lack in draft.runnable(drafted.tables, there)
    ]
    output.table(say("Which notebooks run, once every question is answered"), ("notebook", "runs"), runs)
    asked = [f"{target}:{each.line}: {each.text}" for each in draft.Mapping.read(target).questions]
    for line in (*drafted.unsafe, *asked, say("Then: playbook check {folder}", folder=folder)):
        typer.echo(line)


@app.command()
def reveal(
    path: Annotated[Path, typer.Argument(metavar="LIST", help="Such as reports/…/v3/lists/recall.csv.")],
    data: Annotated[str, typer.Option(help="The tables that the list was made with: folder or URL.")],
    out: Annotated[Path | None, typer.Option(help="File to write, .csv or .parquet; default: print.")] = None,
) -> None:
    """Put the ids of members in place of the pseudonyms of a contact list, for who may see them."""
    from helpers.data import address, engine, guard, privacy, source
    from helpers.data.contract import TABLES
    from helpers.data.exports import apply
    from helpers.data.exports.mapping import Mapping
    from helpers.report.project import locate_data

    frame = privacy.read_list(path)
    named = [name for name, table in TABLES.items() if privacy.MEMBER in table]
    dataset = source.open(locate_data(data), check=False, tables=named)
    keys = [table[privacy.MEMBER] for table in dataset.tables.values() if privacy.MEMBER in table.columns]
    with guard.room_for(guard.MOST_IDS):  # a pseudonym tells nothing of its id
        ids = {each for key in keys for each in key.as_table().distinct().execute().iloc[:, 0]}
    found = privacy.reveal(frame, ids)
    place = address.parse(locate_data(data))
    if place.kind == "folder" and place.path and place.mapping:  # ids that its mapping made of contact data
        known = apply.originals(engine.connect(), place.path, Mapping.read(place.mapping))
        found[privacy.MEMBER] = found[privacy.MEMBER].map(lambda each: known.get(each, each))
    if out is None:
        typer.echo(privacy.csv_text(found), nl=False)
        return
    out.unlink(missing_ok=True)
    out.touch(0o600)  # before anything is in it
    if out.suffix == ".parquet":
        found.to_parquet(out, index=False)
    else:
        out.write_text("\ufeff" + privacy.csv_text(found), encoding="utf-8", newline="\n")
    typer.echo(say("{out}: {n:,} members", out=out, n=len(found)), err=True)


@app.command()
def params(
    notebook: Annotated[str, typer.Argument(help="Name or path.")], notebooks: Notebooks = None
) -> None:
    """Print the parameters of a notebook: names, types, bounds, defaults, meaning."""
    from helpers.report import params as models
    from helpers.report import project

    path = project.find_notebook(notebook, notebooks_folder(notebooks))
    title = say("Parameters of {notebook}", notebook=path.stem)
    output.table(title, models.Description._fields, models.describe(path))


@app.command()
def simulate(
    out: Annotated[Path, typer.Argument(help="Folder to write to.")],
    members: Annotated[int, typer.Option(min=1)] = 3000,
    days: Annotated[int, typer.Option(min=1)] = 365,
    seed: Annotated[int, typer.Option(min=0)] = 1,
    scenario: Annotated[Literal["plain", "shop"], typer.Option(help="Which community.")] = "plain",
) -> None:
    """Write a simulated community whose truth is known."""
    from helpers.simulate import write

    with output.progress("members") as advance:
        write(out, members, days, seed, progress=advance, scenario=scenario)
    typer.echo(f"{out}: {members:,} members, {days:,} days, seed {seed}")
