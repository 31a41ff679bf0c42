"""The manifest of a run: what was run on what, how it ended, and the identity of every file it left.

A manifest has two halves. Everything outside `Manifest.bookkeeping` is a function of the notebook, the code, the
parameters, the data and the lock, so two runs of the same inputs agree in it to the byte, and only that half
may reach a page (`Manifest.stable`). Times, memory, version number and git commit live in `bookkeeping`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from helpers.playbook.action import Action
from helpers.playbook.finding import Finding

RunStatus = Literal["succeeded", "failed", "timed_out", "kernel_died", "not_run"]
CellStatus = Literal["completed", "failed", "timed_out", "kernel_died", "not_run"]
FailureKind = Literal[
    "exception",
    "kernel_died",
    "timed_out",
    "system_exit",
    "out_of_memory",
    "bad_data",
    "bad_parameters",
    "missing_secret",
    "missing_table",
    "too_few_members",
    "nothing_counts",
    "no_page",
    "error",
]


class Record(BaseModel):
    """A record as written to disk: unknown fields are errors, so that two versions never mix silently."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class CellRun(Record):
    """How one cell of the executed notebook ended; markdown cells are listed too, as completed."""

    number: int = Field(
        ge=1, description="Position in notebook.ipynb, counted from 1, as log and page say it"
    )
    id: str = Field(description="Cell id in notebook.ipynb")
    status: CellStatus


class Failure(Record):
    """Why a run did not succeed.

    `missing_table`, `too_few_members` and `nothing_counts` are reasons of a run that ended as not_run, `no_page` is
    that of a notebook that ran to its end and whose page could not be built.
    """

    kind: FailureKind
    cell: int | None = Field(description="Number of the cell, as above; None when no cell had started")
    error: str = Field(description="Class of the exception, such as 'ValueError'")
    message: str = Field(description="May be empty and may have several lines")

    @property
    def headline(self) -> str:
        """One line: the message, led by the class of the exception where nobody wrote it for a reader."""
        first, *rest = self.message.strip().split("\n")
        points = [line.removeprefix("- ") for line in rest if line.startswith("- ")]
        if first.endswith(":") and points:
            first = points[0] + (f" (and {len(points) - 1} more)" if len(points) > 1 else "")
        if self.kind != "exception":
            return first or self.error
        return f"{self.error}: {first}" if first else self.error


class TableFingerprint(Record):
    """Identity of one input table."""

    rows: int | None
    sha256: str


class Data(Record):
    """What the run read."""

    url: str = Field(description="As given, secrets redacted")
    tables: dict[str, TableFingerprint]
    mapping: str | None = Field(default=None, description="The mapping through which the tables came")
    changed: list[str] = Field(
        default_factory=list,
        description="Tables whose files changed while the report was made; a run that skips does not count it",
    )


class Code(Record):
    """Identity of the code by content, so that it holds without git."""

    notebook_sha256: str
    modules: dict[str, str] = Field(
        description="Each source that the report depends on -> sha256: modules, data files of packages as "
        "'helpers.methods.rfm/rules.yml', modules beside the notebook, and files that parameters name"
    )
    lock_sha256: str | None


class FileEntry(Record):
    """One published file other than the manifest."""

    bytes: int
    sha256: str


class Bookkeeping(Record):
    """What may differ between two runs of the same inputs."""

    version: int = Field(ge=1, description="N of the folder v<N>")
    started_at: str = Field(description="ISO 8601, UTC")
    finished_at: str = Field(description="ISO 8601, UTC")
    seconds: float
    cell_seconds: list[float | None] = Field(description="Aligned with Manifest.cells")
    peak_memory_bytes: int | None = Field(
        description="Peak resident memory of the kernel; None where unknown"
    )
    git_commit: str | None
    git_dirty: bool | None
    platform: str


class Manifest(Record):
    """Everything there is to know about a run."""

    schema_version: Literal[2] = 2
    series: str = Field(description="Such as 'rfm/douyin'")
    label: str
    notebook: str = Field(description="Name without suffix, such as '01_rfm'")
    title: str = Field(description="The notebook's first heading")
    question: str = Field(description="First paragraph under the first heading, or empty")
    status: RunStatus
    failure: Failure | None
    parameters: dict[str, Any] = Field(description="All effective values as JSON, secrets redacted")
    seed: int | None
    data: Data
    code: Code
    python: str
    packages: dict[str, str] = Field(description="Direct dependencies -> version")
    environment: dict[str, str] = Field(
        default_factory=dict,
        description="Short digests of what else is part of the run key, such as all installed packages",
    )
    earlier_reports: dict[str, str] = Field(
        default_factory=dict,
        description="Series of earlier reports that it could read -> digest of what these said",
    )
    run_key: str = Field(description="sha256 over all that determines the result")
    cells: list[CellRun]
    files: dict[str, FileEntry] = Field(description="Path inside the version folder -> identity")
    bookkeeping: Bookkeeping | None = None

    @model_validator(mode="before")
    @classmethod
    def _count_from_one(cls, values: Any) -> Any:
        """Read the manifest of an older version of the project, which counted cells from 0."""
        if not isinstance(values, dict) or values.get("schema_version") != 1:
            return values
        cells = [{"number": cell.pop("index") + 1, **cell} for cell in values["cells"]]
        failure = values["failure"]
        if failure and failure["cell"] is not None:
            failure["cell"] += 1
        return values | {"schema_version": 2, "cells": cells}

    @property
    def version(self) -> int | None:
        """Version number, or None in the half that a page may show."""
        return self.bookkeeping.version if self.bookkeeping else None

    def stable(self) -> Manifest:
        """Return the half that is the same for the same inputs: what a report page may show."""
        return self.model_copy(update={"bookkeeping": None, "files": {}})

    def to_json(self) -> str:
        """Return the text of manifest.json: sorted keys, one trailing newline."""
        return dump_json(self.model_dump(mode="json"))


def dump_json(value: Any) -> str:
    """Return JSON text that is the same for equal values: sorted keys, no NaN, UTF-8, trailing newline."""
    return json.dumps(value, sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def read_manifest(folder: Path) -> Manifest:
    """Read ``manifest.json`` of a version folder.

    Raises
    ------
    OSError
        When there is no such file.
    pydantic.ValidationError
        When the file is not a manifest of this schema.
    """
    return Manifest.model_validate_json((folder / "manifest.json").read_bytes())


def read_findings(folder: Path) -> list[Finding]:
    """Read the findings of a version folder; none when the run recorded none."""
    path = folder / "findings.json"
    return [Finding.model_validate(item) for item in json.loads(path.read_bytes())] if path.exists() else []


def read_actions(folder: Path) -> list[Action]:
    """Read the actions of a version folder; none when the run recorded none."""
    path = folder / "actions.json"
    return [Action.model_validate(item) for item in json.loads(path.read_bytes())] if path.exists() else []
