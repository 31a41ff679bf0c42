"""The command ``playbook``.

Exit codes: 0 when all runs succeeded or were not run for want of a table, 1 when some run failed, 2 for bad usage,
invalid parameters or invalid data. Everything heavy is imported inside the command that needs it.
"""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from helpers.errors import BadParameters, PlaybookError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    import pandas as pd

    from helpers.report.plan import Plan
    from helpers.report.run import RunResult

app = typer.Typer(
    name="playbook",
    help="From the tables of a community to a report with decisions.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
Notebooks = Annotated[Path | None, typer.Option(help="Folder of notebooks; default: the project's.")]
Reports = Annotated[Path | None, typer.Option(help="Reports folder; default: the project's.")]


def main() -> None:
    """Run the command; what a user has to mend is a message on stderr and exit code 2."""
    try:
        app()
    except PlaybookError as error:
        typer.echo(f"{error}", err=True)
        sys.exit(2)


@app.command()
def run(
    notebook: Annotated[list[str] | None, typer.Argument(help="Paths or names; default: all.")] = None,
    data: Annotated[
        str | None, typer.Option(help="Folder of tables or URL; default: the notebook's.")
    ] = None,
    parameter: Annotated[
        list[str] | None,
        typer.Option("-p", "--parameter", metavar="NAME=VALUE", help="A parameter; may be repeated."),
    ] = None,
    label: Annotated[str | None, typer.Option(help="Second half of the series, as in rfm/LABEL.")] = None,
    reports: Reports = None,
    notebooks: Notebooks = None,
    timeout: Annotated[float | None, typer.Option(min=1, help="Seconds for each run.")] = None,
) -> None:
    """Run notebooks and publish their reports."""
    values = _values(parameter or [])
    plans = _plans(notebook or [], notebooks, data=data, parameters=values, label=label)
    results = _execute(plans, reports, timeout)
    bad = [result for result in results if result is None or result.status not in ("succeeded", "not_run")]
    typer.echo(f"{len(results)} run, {len(bad)} failed")
    your_input = {"bad_data", "bad_parameters"}
    kinds = {result.manifest.failure.kind for result in bad if result and result.manifest.failure}
    all_input = bool(bad) and None not in bad and kinds <= your_input
    raise typer.Exit(2 if all_input else 1 if bad else 0)


def _values(texts: list[str]) -> dict[str, str]:
    """Return the parameters of the command line, all mistakes in one error."""
    wrong = [text for text in texts if not text.partition("=")[1] or not text.partition("=")[0].strip()]
    if wrong:
        raise BadParameters(f"-p takes NAME=VALUE, got {', '.join(map(repr, wrong))}")
    pairs = [text.partition("=") for text in texts]
    return {name.strip(): value for name, _, value in pairs}


def _plans(names: list[str], folder: Path | None, **options: Any) -> list[Plan]:
    """Check all runs before the first starts; one error lists what is wrong with any of them."""
    from helpers.report import project
    from helpers.report.plan import plan

    folder = _folder(folder)
    plans, problems = [], []
    wanted: list[Any] = list(names) or project.notebooks(folder)
    if not wanted:
        raise BadParameters(f"there is no notebook in {folder}")
    for name in wanted:
        try:
            plans.append(plan(project.find_notebook(name, folder), **options))
        except PlaybookError as error:
            problems.append(str(error))
    if problems:
        raise BadParameters("\n".join(dict.fromkeys(problems)))
    return plans


def _folder(folder: Path | None) -> Path:
    from helpers.report import project

    root = project.find_root()
    return folder or (root / "notebooks" if root else Path("notebooks"))


def _execute(plans: list[Plan], reports: Path | None, timeout: float | None) -> list[RunResult | None]:
    """Run the plans one after another; None stands for a run that could not be published."""
    from helpers.report import catalog
    from helpers.report.publish import CannotPublish
    from helpers.report.run import default_reports, execute

    results: list[RunResult | None] = []
    target = reports or default_reports(plans[0].notebook)
    try:
        for plan in plans:
            try:
                result = execute(plan, reports=target, timeout=timeout, rebuild_catalog=False)
                results.append(result)
                typer.echo(result.line)
            except CannotPublish as error:
                results.append(None)
                typer.echo(f"{plan.series}: not published: {error}", err=True)
    finally:
        if any(results):  # also after Ctrl-C: what is published shall be found
            catalog.rebuild(target)
    return results


@app.command()
def check(
    url: Annotated[str, typer.Argument(help="Folder of tables or URL.")] = "data/sample",
    describe: Annotated[bool, typer.Option("--describe", help="Print the data contract instead.")] = False,
    report_tz: Annotated[str, typer.Option(help="Time zone of calendar days.")] = "Asia/Shanghai",
) -> None:
    """Check tables against the contract and print their health."""
    from helpers.data import contract

    if describe:
        typer.echo(contract.describe())
        return
    from helpers.data import health, source
    from helpers.report.project import locate_data

    typed_here = Path(url.partition("?")[0]).exists()
    dataset = source.open(url if typed_here else locate_data(url), report_tz=report_tz)
    state = health.health(dataset)
    typer.echo(f"{dataset.url}: no violation of the data contract")
    _frame("Health of the tables", state.frame)
    if len(state.unmatched):
        _frame("Ids without a partner", state.unmatched)
    for line in (state.sentence, *state.notes):
        typer.echo(line)


@app.command()
def params(
    notebook: Annotated[str, typer.Argument(help="Name or path.")], notebooks: Notebooks = None
) -> None:
    """Print the parameters of a notebook: names, types, bounds, defaults, meaning."""
    from helpers.report import params as models
    from helpers.report import project

    path = project.find_notebook(notebook, _folder(notebooks))
    rows = models.describe(path)
    _table(f"Parameters of {path.stem}", models.Description._fields, rows)


@app.command(name="list")
def list_(reports: Reports = None) -> None:
    """Print every series with its newest version."""
    from helpers.report import catalog, project

    found = catalog.build(reports or (project.find_root() or Path.cwd()) / "reports")
    rows = []
    for series in found.series:
        newest = series.versions[0]
        latest = f"v{series.latest}" if series.latest else "–"
        reason = newest.failure.headline if newest.failure else ""
        state = newest.status.replace("_", " ")
        rows.append((series.series, f"v{newest.version}", state, newest.finished_at[:19], latest, reason))
    _table("Series", ("series", "newest", "status", "finished (UTC)", "latest good", "reason"), rows)
    for path in found.unreadable:
        typer.echo(f"{path}: manifest cannot be read", err=True)


@app.command()
def simulate(
    out: Annotated[Path, typer.Argument(help="Folder to write to.")],
    members: Annotated[int, typer.Option(min=1)] = 3000,
    days: Annotated[int, typer.Option(min=1)] = 365,
    seed: Annotated[int, typer.Option(min=0)] = 1,
) -> None:
    """Write a simulated community whose truth is known."""
    from helpers.data.simulate import write

    with _progress("members") as advance:
        write(out, members, days, seed, progress=advance)
    typer.echo(f"{out}: {members:,} members, {days:,} days, seed {seed}")


def _frame(title: str, frame: pd.DataFrame) -> None:
    """Print a frame; shares as per cent, whole numbers with separators, what is unknown as a dash."""

    def text(column: str, value: Any) -> str:
        if value is None or value != value:
            return "–"
        if column.endswith("share"):
            return f"{value:.1%}"
        return f"{value:,.0f}" if isinstance(value, (int, float)) else str(value)

    columns = [str(column) for column in frame.columns]
    records = frame.astype(object).itertuples(index=False, name=None)
    _table(title, columns, ([text(*pair) for pair in zip(columns, row, strict=True)] for row in records))


def _table(title: str, columns: Iterable[str], rows: Iterable[Iterable[Any]]) -> None:
    """Print a table that fits a terminal, and is wide enough to be read in a log."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(width=None if sys.stdout.isatty() else 160, highlight=False)
    table = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left")
    for column in columns:
        table.add_column(column.replace("_", " "), overflow="fold")
    for row in rows:
        table.add_row(*(Text(str(cell)) for cell in row))
    console.print(table)


@contextlib.contextmanager
def _progress(unit: str) -> Iterator[Callable[[int, int], None]]:
    """Give a function of (done, total): a bar on a terminal, a line for each tenth in a log."""
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import Progress

        with Progress(console=Console(stderr=True)) as bar:
            task = bar.add_task(unit)
            yield lambda done, total: bar.update(task, completed=done, total=total)
        return
    printed = -1

    def line(done: int, total: int) -> None:
        nonlocal printed
        if (tenth := 10 * done // max(total, 1)) > printed:
            printed = tenth
            typer.echo(f"{done:,} of {total:,} {unit}", err=True)

    yield line


if __name__ == "__main__":
    main()
