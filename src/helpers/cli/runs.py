"""The command ``run``: from a plan, or from notebooks and options, to published reports."""

from __future__ import annotations

import contextlib
import signal
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from helpers import locale
from helpers.cli import output
from helpers.cli.application import Notebooks, Reports, app, notebooks_folder, reports_folder
from helpers.errors import BadParameters
from helpers.sentences import say, word

if TYPE_CHECKING:
    from collections.abc import Iterator

    from helpers.report.plan.desk import Plan
    from helpers.report.run.result import RunResult

YOUR_INPUT = {"bad_data", "bad_parameters", "missing_secret"}
"""Kinds of failure that the user mends: exit code 2 rather than 1 when there are no others."""


class _Ended(KeyboardInterrupt):
    """The process is to end, for a reason other than Ctrl-C."""

    code = 143
    says = "ended on request"


class _TimeIsUp(_Ended):
    """The time of all runs is over."""

    code = 1
    says = "timed out: the time for all runs is over"


@app.command()
def run(
    notebook: Annotated[list[str] | None, typer.Argument(help="Paths or names; default: all.")] = None,
    plan: Annotated[Path | None, typer.Option(help="A plan, such as plans/weekly.yml.")] = None,
    data: Annotated[
        str | None, typer.Option(help="Folder of tables or URL; default: the plan's or the notebook's.")
    ] = None,
    parameter: Annotated[
        list[str] | None,
        typer.Option("-p", "--parameter", metavar="NAME=VALUE", help="A parameter; may be repeated."),
    ] = None,
    label: Annotated[str | None, typer.Option(help="Second half of the series, as in rfm/LABEL.")] = None,
    reports: Reports = None,
    notebooks: Notebooks = None,
    workers: Annotated[
        int | None, typer.Option(min=1, max=64, help="Runs at a time; default: the cores.")
    ] = None,
    cluster: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="A Dask scheduler whose workers make the runs.")
    ] = None,
    timeout: Annotated[float | None, typer.Option(min=1, help="Seconds for all runs together.")] = None,
    job_timeout: Annotated[float | None, typer.Option(min=1, help="Seconds for each run.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Run also what has not changed.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", "--check", help="Say what would run and why; start nothing.")
    ] = False,
) -> None:
    """Run notebooks or a plan and publish their reports; what has not changed is skipped."""
    from helpers.report import project
    from helpers.report.plan import plan_file

    folder, values = notebooks_folder(notebooks), _values(parameter or [])
    if values.get("language") in ("en", "zh"):
        locale.use(values["language"])
    shared: dict[str, Any] = {"data": data, "parameters": values, "job_timeout": job_timeout}
    if plan is None:
        names = notebook or project.notebooks(folder)
        if not names:
            raise BadParameters(say("there is no notebook in {folder}", folder=folder))
        plans = plan_file.of_notebooks(names, label=label, notebooks=folder, **shared)
    else:
        if notebook or label:
            text = "--plan names notebooks and labels itself: leave NOTEBOOK and --label out"
            raise BadParameters(say(text))
        read = plan_file.read(plan, notebooks=notebooks, **shared)
        plans, workers, timeout = read.plans, workers or read.workers, timeout or read.timeout
    target = reports_folder(reports, plans[0].notebook.parent)
    _say_whose(plans[0].notebook)
    if dry_run:
        _say_what_would_run(plans, target, force)
        return
    options = {"reports": target, "workers": workers, "cluster": cluster, "force": force}
    _finish(_execute(plans, timeout, options), target)


def _values(texts: list[str]) -> dict[str, str]:
    """Return the parameters of the command line, all mistakes in one error."""
    wrong = [text for text in texts if not text.partition("=")[1] or not text.partition("=")[0].strip()]
    if wrong:
        raise BadParameters(say("-p takes NAME=VALUE, got {wrong}", wrong=", ".join(map(repr, wrong))))
    pairs = [text.partition("=") for text in texts]
    return {name.strip(): value for name, _, value in pairs}


def _say_what_would_run(plans: list[Plan], reports: Path, force: bool) -> None:
    from helpers.report.plan.skip import Decision, decide

    rows: list[tuple[str, str, str, str]] = []
    for plan in plans:
        decision = decide(plan, reports)
        before = [row[0] for row in rows if row[2] == "run" and row[0] in plan.after]
        if decision.version is not None and before:
            decision = Decision(None, say("unless {series} says the same again", series=before[0]))
        skipped = decision.version is not None and not force
        reason = say("forced") if force and decision.version is not None else decision.reason
        rows.append((plan.series, plan.notebook.stem, "skip" if skipped else "run", reason))
    output.table(say("Runs"), ("series", "notebook", "what", "why"), [map(word, row) for row in rows])
    count = sum(row[2] == "run" for row in rows)
    text = "{n} planned, {count} would run, {rest} unchanged; nothing was started"
    typer.echo(say(text, n=len(rows), count=count, rest=len(rows) - count))


def _execute(plans: list[Plan], seconds: float | None, options: dict[str, Any]) -> list[RunResult]:
    """Run the plans; Ctrl-C, a request to end, and the timeout of all runs together stop them all."""
    from helpers.report.publish.store import CannotPublish
    from helpers.report.run import batch, progress

    try:
        with _until(seconds), progress.shown(len(plans)) as show:
            return batch.execute_all(plans, **options, progress=show)
    except CannotPublish as error:  # the runs have said their own; this is about what is made of all of them
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None
    except KeyboardInterrupt as stop:
        says = stop.says if isinstance(stop, _Ended) else "stopped"
        text = "{how}; what was published stands, and the next run does the rest"
        typer.echo(say(text, how=say(says)), err=True)
        raise typer.Exit(stop.code if isinstance(stop, _Ended) else 130) from None


@contextlib.contextmanager
def _until(seconds: float | None) -> Iterator[None]:
    """Let SIGTERM and the end of a time limit stop the work as Ctrl-C does."""

    def end(*_: Any) -> NoReturn:
        raise _Ended

    def time_is_up(*_: Any) -> NoReturn:
        raise _TimeIsUp

    before = {signal.SIGTERM: signal.signal(signal.SIGTERM, end)}
    timed = seconds is not None and hasattr(signal, "setitimer")
    if timed:
        before[signal.SIGALRM] = signal.signal(signal.SIGALRM, time_is_up)
        signal.setitimer(signal.ITIMER_REAL, float(seconds or 0))
    elif seconds is not None:
        text = "this system knows no timeout for all runs together; each run keeps its own"
        typer.echo(say(text), err=True)
    try:
        yield
    finally:
        if timed:
            signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in before.items():
            signal.signal(number, handler)


def _say_whose(notebook: Path) -> None:
    """Say which notebooks are run when they are those of the installed checkout, for want of a project here."""
    from helpers.report import project

    checkout = project.borrowed()
    if checkout and notebook.is_relative_to(checkout):
        text = "there is no project in {folder}: the notebooks are those of {checkout}"
        typer.echo(say(text, folder=Path.cwd(), checkout=checkout), err=True)


def _finish(results: list[RunResult], reports: Path | None = None) -> NoReturn:
    """Say how many runs there were, name those that failed, say where the reports are, and exit with the code."""
    bad = [result for result in results if not result.good]
    counts: Counter[str] = Counter(result.status for result in results)
    for result in bad:
        typer.echo(result.line)
    told = {name: counts[name] for name in ("succeeded", "skipped", "not_run")}
    text = "{succeeded} succeeded, {skipped} skipped, {not_run} not run, {failed} failed"
    typer.echo(say(text, **told, failed=len(bad)))
    if reports and (reports / "index.html").is_file():
        typer.echo(say("Open {page}", page=reports.resolve() / "index.html"))
    kinds = {result.failure.kind if result.failure else "error" for result in bad}
    raise typer.Exit(0 if not bad else 2 if kinds <= YOUR_INPUT else 1)
