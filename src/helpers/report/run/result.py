"""What became of a run, alone or in a batch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from helpers.report.publish.manifest import Failure, Manifest, RunStatus

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
