"""The order of runs: what reads earlier reports, or says so by ``after``, comes behind what it waits for."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from graphlib import CycleError, TopologicalSorter

from helpers.checks import did_you_mean
from helpers.located_yaml import Reader
from helpers.report.plan.plan_jobs import Run
from helpers.sentences import say


def ordered(reader: Reader, runs: Sequence[Run]) -> list[Run]:
    """Return runs, each behind all that it waits for and else as they came; mistakes are with the reader.

    A run waits for those that its job names after ``after``, by series, method or notebook, and without being told
    for those of methods whose reports it reads.
    """
    named: dict[str, list[str]] = defaultdict(list)
    for run in runs:
        for name in {run.series, *run.names}:
            named[name].append(run.series)
    waits: dict[str, set[str]] = {}
    for run in runs:
        waits[run.series] = _read(run, named)
        for item in run.after:
            if item.value not in named:
                hint = did_you_mean(item.value, named)
                reader.say(
                    item.where,
                    say(
                        'after names "{value}", of which the plan makes no report.{hint}',
                        value=item.value,
                        hint=hint,
                    ),
                )
            waits[run.series] |= {*named.get(item.value, ())}
    sorter, place = TopologicalSorter(waits), {run.series: number for number, run in enumerate(runs)}
    try:
        order = _order(sorter, place)
    except CycleError as error:
        circle = error.args[1]
        told = next((run for run in runs if run.series in circle and run.after), runs[0])
        place_of = told.after[0].where if told.after else told.where
        reader.say(
            place_of,
            say(
                "runs wait for each other in a circle: {runs}",
                runs=f" {say('after')} ".join(reversed(circle)),
            ),
        )
        return list(runs)
    by_series = {run.series: run for run in runs}
    return [_waiting(by_series[series], waits[series]) for series in order]


def _read(run: Run, named: dict[str, list[str]]) -> set[str]:
    """Return the series that a run reads; of its own method it reads those of earlier days, for which none waits."""
    reads = set(run.checked.reads_reports if run.checked else ()) - set(run.names)
    return {series for method in reads for series in named.get(method, ())}


def _order(sorter: TopologicalSorter[str], place: dict[str, int]) -> list[str]:
    found: list[str] = []
    sorter.prepare()
    while sorter.is_active():
        ready = sorted(sorter.get_ready(), key=place.__getitem__)
        found += ready
        sorter.done(*ready)
    return found


def _waiting(run: Run, series: set[str]) -> Run:
    checked = run.checked and replace(run.checked, after=tuple(sorted(series)))
    return run._replace(checked=checked)
