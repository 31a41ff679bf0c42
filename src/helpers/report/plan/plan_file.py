"""Plans: files that say which notebooks are run, on which data, with which parameters.

::

    data: data/sample
    parameters:                    # for every notebook that has them
      as_of: 2026-06-30
    workers: 2
    timeout: 3600                  # seconds for the whole plan
    job_timeout: 900               # seconds for each run
    jobs:
      - notebook: rfm
      - notebook: rfm
        label: "{platform}"
        parameters:
          segment: platform == "{platform}"
        matrix:
          platform: [douyin, xiaohongshu]

A job is one notebook, or a list of them, with parameters, data and a ``job_timeout`` of its own where it names them.
It waits for what it names by ``after`` (a notebook, a method or a series of the plan, or a list of them), and without
being told for the methods whose reports it reads; one that failed is waited for like one that succeeded.
Its ``matrix`` makes a run of every combination (a mapping of lists) or of each line (a list of mappings). A name in
the matrix is a parameter, or else a word that is put for ``{name}`` into label and text parameters of the job.

The whole plan is checked before anything starts, and every mistake is told with its line. Values have the types that
YAML gives them: a number in quotes is a text, which is a mistake where a number is asked for. A day may be written
with or without quotes.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from helpers import locale
from helpers.checks import did_you_mean
from helpers.errors import PlaybookError
from helpers.located_yaml import COMMAND_LINE, Entry, InvalidFile, Item, Reader, Where, where
from helpers.report import params
from helpers.report.plan import plan_jobs
from helpers.report.plan.desk import Desk, Plan
from helpers.report.plan.order import ordered
from helpers.report.plan.plan_jobs import MOST_RUNS, Job, Run, Shared
from helpers.sentences import say

PLAN_KEYS = ("data", "parameters", "workers", "timeout", "job_timeout", "jobs")
MOST_WORKERS = 64
"""More than that many processes, each with a kernel, is taken for a slip of the pen."""


@dataclass(frozen=True)
class PlanFile:
    """A plan that has been checked and can start.

    Attributes
    ----------
    path : Path
        The file.
    plans : list of Plan
        The runs in the order of the file, but each behind those that it waits for.
    workers : int, optional
        Number of runs at a time.
    timeout : float, optional
        Seconds after which the whole plan is stopped. The limit of a run is in its `Plan`.
    """

    path: Path
    plans: list[Plan]
    workers: int | None
    timeout: float | None


def read(
    path: str | os.PathLike[str],
    *,
    data: str | None = None,
    parameters: Mapping[str, Any] | None = None,
    notebooks: Path | None = None,
    job_timeout: float | None = None,
    desk: Desk | None = None,
) -> PlanFile:
    """Read and check a plan; nothing is started.

    Parameters
    ----------
    path : path
        The file.
    data : str, optional
        Folder of tables or URL, instead of the data that the plan's jobs share.
    parameters : mapping, optional
        Values by name, instead of those that the plan's jobs share; texts are understood by the parameter's
        type. What a job names itself stays.
    notebooks : Path, optional
        Folder of notebooks; by default that of the project.
    job_timeout : float, optional
        Seconds for each run, instead of the plan's; what a job names itself stays.
    desk : Desk, optional
        Where the plans are made.

    Raises
    ------
    InvalidFile
        With every mistake and its line.
    BadParameters
        When the file cannot be read.
    """
    file = Path(path)
    reader = Reader(file)
    top = reader.mapping(reader.root, PLAN_KEYS, say("the plan"))
    given = dict(parameters or {}) | ({} if data is None else {"data": data})
    own, limit = plan_jobs.parameters(reader, top), plan_jobs.seconds(reader, top, "job_timeout")
    shared = Shared(
        own | {name: Item(value, COMMAND_LINE) for name, value in given.items()},
        job_timeout or limit,
        notebooks,
    )
    with _spoken(shared):
        workers, timeout = _workers(reader, top), plan_jobs.seconds(reader, top, "timeout")
        runs = _runs(reader, top, shared)
        return PlanFile(file, _plans(reader, runs, desk or Desk()), workers, timeout)


def of_notebooks(
    names: Sequence[str | os.PathLike[str]],
    *,
    data: str | None = None,
    parameters: Mapping[str, Any] | None = None,
    label: str | None = None,
    notebooks: Path | None = None,
    job_timeout: float | None = None,
    desk: Desk | None = None,
) -> list[Plan]:
    """Check the runs of a command line, one for each notebook; nothing is started.

    Parameters
    ----------
    names : sequence of str or path
        Paths or names of notebooks: ``notebooks/01_rfm.ipynb``, ``01_rfm`` or ``rfm``.
    label : str, optional
        Second half of the series; by default made of the segment, or ``all``.
    data, parameters, notebooks, job_timeout, desk
        As in `read`; a parameter is for every notebook that has it.

    Raises
    ------
    InvalidFile
        With everything that is wrong.
    """
    reader = Reader()
    given = dict(parameters or {}) | ({} if data is None else {"data": data})
    items = {name: Item(value, COMMAND_LINE) for name, value in given.items()}
    shared = Shared(items, job_timeout, notebooks)
    paths = plan_jobs.found(reader, [Item(name, COMMAND_LINE) for name in names], shared)
    named = None if label is None else Item(label, COMMAND_LINE)
    job = Job(COMMAND_LINE, paths, named, {}, {}, [{}], None)
    runs = _expanded(reader, [job], shared, complete=len(paths) == len(names))
    return _plans(reader, runs, desk or Desk())


def _spoken(shared: Shared) -> AbstractContextManager[None]:
    """Say what is wrong with a plan in the language that its jobs share, else in that of the terminal."""
    language = shared.parameters.get("language")
    return locale.spoken("zh") if language and language.value == "zh" else nullcontext()


def _plans(reader: Reader, runs: list[Run], desk: Desk) -> list[Plan]:
    """Look at code and data of the runs; what is wrong with data that could be found is told together."""
    if reader.mistakes:
        raise InvalidFile(reader.path, reader.mistakes)
    plans = []
    for run in runs:
        assert run.checked is not None  # else there is a mistake
        try:
            plans.append(desk.plan(run.checked))
        except PlaybookError as error:
            reader.say(run.segment if str(error).startswith("segment") else run.where, str(error))
    desk.cache.save()
    if reader.mistakes:
        raise InvalidFile(reader.path, reader.mistakes)
    return plans


def _workers(reader: Reader, top: Mapping[str, Entry]) -> int | None:
    item = reader.get(top, "workers")
    if item and (type(item.value) is not int or not 1 <= item.value <= MOST_WORKERS):
        reader.say(
            item.where,
            say(
                "workers == {value!r}, must be a whole number from 1 to {most_workers}",
                value=item.value,
                most_workers=MOST_WORKERS,
            ),
        )
    return item.value if item else None


def _runs(reader: Reader, top: Mapping[str, Entry], shared: Shared) -> list[Run]:
    """Return every run of the plan; mistakes are with the reader."""
    if "jobs" not in top:
        reader.say(where(reader.root), say("the plan has no jobs: add a list `jobs`, each with a `notebook`"))
        return []
    jobs, count = [], 0
    for node in reader.items(top["jobs"].node, "jobs"):
        jobs.append(plan_jobs.job(reader, node, shared))
        count += len(jobs[-1].notebooks) * len(jobs[-1].combinations)
        if count > MOST_RUNS:  # no more of them are made, because they would be too many to be kept
            reader.say(jobs[-1].where, say("the jobs make more than {most_runs:,} runs", most_runs=MOST_RUNS))
            return []
    return _expanded(reader, jobs, shared, complete=all(job.notebooks for job in jobs))


def _expanded(reader: Reader, jobs: Sequence[Job], shared: Shared, *, complete: bool) -> list[Run]:
    """Return the runs of jobs, after a look at all of them together."""
    runs = [run for job in jobs for run in plan_jobs.Expansion(reader, job, shared).runs()]
    _unused(reader, shared, complete=complete)
    _twice(reader, runs)
    return ordered(reader, runs)


def _unused(reader: Reader, shared: Shared, *, complete: bool) -> None:
    """Tell of shared parameters that no notebook has; one that is not found may have them, so they must be near."""
    known = {name for model in shared.models.values() for name in model.model_fields}
    for name, item in shared.parameters.items():
        if known and name not in known:
            if did_you_mean(name, known) or complete:
                reader.say(
                    item.where,
                    params.unknown(name, sorted(known)),
                )
        elif name in known and name not in shared.used and item.where == COMMAND_LINE:
            reader.say(
                item.where, say('"{name}" has no effect: every job of the plan names its own', name=name)
            )


def _twice(reader: Reader, runs: list[Run]) -> None:
    """Tell of series that more than one run would publish in."""
    places: dict[str, list[Where]] = {}
    for run in runs:
        places.setdefault(run.series, []).append(run.where)
    for series, found in places.items():
        if len(found) > 1:
            lines = ", ".join(str(line) for line in sorted({place.line for place in found}))
            text = (
                "series {series} would be made {n} times (line {lines}): give each a label of its own, such as "
                'label: "{{segment}}"'
            )
            if reader.path is None:
                text = (
                    "series {series} would be made {n} times: name a notebook once, or run each with a "
                    "--label of its own"
                )
            reader.say(found[-1], say(text, series=series, n=len(found), lines=lines))
