"""What became of a run, alone or in a batch."""

from __future__ import annotations

from concurrent.futures import CancelledError
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast, get_args

from helpers.errors import PlaybookError
from helpers.report.publish.manifest import Failure, FailureKind, Manifest, RunStatus
from helpers.report.redact import mask
from helpers.sentences import say

if TYPE_CHECKING:
    from helpers.report.plan.desk import Plan

ResultStatus = RunStatus | Literal["skipped", "not_published"]


@dataclass(frozen=True)
class RunResult:
    """What became of a run.

    Attributes
    ----------
    series : str
        Such as ``rfm/douyin``.
    status : str
        Status of the run; ``skipped`` when a published version stands; ``not_published`` when the reports folder
        refused.
    version : int or None
        The version published, or the one that stands.
    line : str
        One plain line for a terminal or a log.
    failure : Failure or None
        Why it did not succeed.
    manifest, folder : Manifest and Path, or None
        What the run has published, and where.
    """

    series: str
    status: ResultStatus
    version: int | None
    line: str
    failure: Failure | None = None
    manifest: Manifest | None = None
    folder: Path | None = None

    @property
    def good(self) -> bool:
        """Whether nobody need look: succeeded, skipped, or not run for want of a table."""
        return self.status in ("succeeded", "skipped", "not_run")


def unpublished(plan: Plan, error: Exception, worker: str = "") -> RunResult:
    """Return what a run has come to that an error kept from being published; no secret is in what it says.

    Parameters
    ----------
    plan : Plan
        The run.
    error : Exception
        What happened.
    worker : str
        Address of the worker of a cluster on which it happened.
    """
    reason = mask(_reason(error), *map(str, plan.values.values()))
    if worker:
        reason = say("worker {worker}: {reason}", worker=worker, reason=reason)
    kind = getattr(error, "kind", "error")
    kind = cast(FailureKind, kind if kind in get_args(FailureKind) else "error")
    failure = Failure(kind=kind, cell=None, error=type(error).__name__, message=reason)
    line = say("{series}: not published: {reason}", series=plan.series, reason=reason)
    return RunResult(plan.series, "not_published", None, line, failure)


def _reason(error: Any) -> str:
    if isinstance(error, PlaybookError):
        return str(error)
    if isinstance(error, CancelledError):
        return say("the connection to the scheduler of the cluster was lost")
    if type(error).__name__ == "KilledWorker":  # of Dask, which is an extra
        text = "each worker that made it died, {n} in all, as they do when memory runs out; the last was {worker}"
        return say(text, n=error.allowed_failures + 1, worker=error.last_worker.address)
    return f"{type(error).__name__}: {error}"
