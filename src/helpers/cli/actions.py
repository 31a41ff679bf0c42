"""Commands about the register of actions: ``actions list``, ``accept``, ``reject``, ``close``."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any

import typer

from helpers.cli import output
from helpers.cli.application import Reports, app, reports_folder
from helpers.sentences import say

actions = typer.Typer(
    help="Decide on what reports propose; the weekly review looks after it.", no_args_is_help=True
)
app.add_typer(actions, name="actions")
Name = Annotated[
    str, typer.Argument(metavar="ACTION", help="Its id in the list, or what follows the last slash.")
]
Who = Annotated[str, typer.Option(help="Role that decides.")]
Why = Annotated[str, typer.Option(help="Reason, in a sentence.")]


@actions.command(name="list")
def list_(reports: Reports = None) -> None:
    """Print every action with its state, the newest first."""
    from helpers.playbook.earlier import EarlierReports
    from helpers.playbook.register import Register

    entries = Register.read(EarlierReports(reports_folder(reports), dt.date.today())).entries
    names = ("id", "state", "call", "owner", "title", "check_on", "why")
    output.table(say("Actions"), names, ([str(getattr(one, name)) for name in names] for one in entries))


@actions.command()
def accept(
    action: Name,
    who: Who,
    metric: Annotated[
        str, typer.Option(help="Weekly metric that will tell; default: its first finding.")
    ] = "",
    scope: Annotated[str, typer.Option(help="Whose weeks.")] = "",
    control: Annotated[str, typer.Option(help="Scope that the action does not touch.")] = "",
    why: Why = "",
    reports: Reports = None,
) -> None:
    """Accept an action: its baseline, metric and check date are fixed now."""
    _decide(reports, action, "accepted", who, why, metric=metric, scope=scope, control=control)


@actions.command()
def reject(action: Name, who: Who, why: Why, reports: Reports = None) -> None:
    """Reject an action, with the reason."""
    _decide(reports, action, "rejected", who, why)


@actions.command()
def close(action: Name, who: Who, why: Why = "", reports: Reports = None) -> None:
    """Close an action that was accepted: it is done, or given up."""
    _decide(reports, action, "closed", who, why)


def _decide(reports: Reports, action: str, decision: Any, who: str, why: str, **what: str) -> None:
    from helpers.playbook import verify

    typer.echo(verify.decided(reports_folder(reports), action, decision, who, why, **what))
