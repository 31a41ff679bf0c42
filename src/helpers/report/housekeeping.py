"""Pruning: old versions go, the newest and the latest good one of each series stay.

A version is given a hidden name first and removed then, so that a reader sees it whole or not at all, whatever is
killed. What a killed process left behind is removed by the next pruning.
"""

from __future__ import annotations

import os
import re
import shutil
import uuid
from pathlib import Path
from typing import NamedTuple

from helpers.report.page import index
from helpers.report.publish import store
from helpers.report.publish.catalog import DIFFS

TRASH = ".trash-"
_PAGE = re.compile(r"(?:(?P<other>.+)-)?v(?P<before>\d+)-v(?P<after>\d+)\.html")


class Pruned(NamedTuple):
    """A version that goes, or would go.

    Attributes
    ----------
    path : str
        Such as ``rfm/douyin/v3``.
    size : int
        Bytes of its files.
    """

    path: str
    size: int


def prune(reports: Path, keep: int, *, dry_run: bool = False) -> list[Pruned]:
    """Remove the oldest versions of each series.

    Parameters
    ----------
    reports : Path
        The reports folder.
    keep : int
        Number of versions to keep of each series, at least 1. The latest good version stays in any case.
    dry_run : bool
        Say what would go, and remove nothing.

    Returns
    -------
    list of Pruned
        What went, by series and number. Comparison pages that speak of it go with it.

    Raises
    ------
    CannotPublish
        When the file system refuses; every version is still there whole, or gone.
    """
    going = [
        Pruned(f"{series}/v{number}", _size(reports / series / f"v{number}"))
        for series in dict.fromkeys(path.rpartition("/")[0] for path in store.published(reports))
        for number in outdated(reports, series, keep)
    ]
    if dry_run:
        return going
    mark = uuid.uuid4().hex[:12]
    try:
        for series in sorted({version.path.rpartition("/")[0] for version in going}):
            store.point_latest(reports, series)  # may be behind after a kill, at a version that goes now
        for number, version in enumerate(going):
            (reports / version.path).rename(reports / f"{TRASH}{mark}-{number}")
    except OSError as error:
        raise store.CannotPublish(f"{error.filename} cannot be removed: {error.strerror}") from error
    finally:
        store.clean(reports)  # what a pruning that was killed was about to put in place of another file
        _sweep(reports)
    return going


def _sweep(reports: Path) -> None:
    """Remove what has been pruned, also by a process that was killed, and bring the catalogue up to date.

    Space is set free first, because the disk may be full; the empty folders stay until the catalogue is right,
    so that whoever is killed before leaves a sign that it is not.
    """
    trash = list(reports.glob(f"{TRASH}*"))
    for part in (part for folder in trash for part in folder.iterdir()):
        if part.is_dir():
            shutil.rmtree(part, ignore_errors=True)
        else:
            part.unlink(missing_ok=True)
    if not trash:
        return
    try:
        _forget_pages(reports)
        index.rebuild(reports)
    except OSError as error:
        raise store.CannotPublish(
            f"the versions are removed, but the catalogue cannot be written: {error.strerror}"
        ) from error
    for folder in trash:
        shutil.rmtree(folder, ignore_errors=True)


def outdated(reports: Path, series: str, keep: int) -> list[int]:
    """Return the versions of a series that are neither among the newest nor the latest good one."""
    numbers = store.numbers(reports, series)
    staying = {*numbers[-max(keep, 1) :], store.latest(reports, series)}
    return [number for number in numbers if number not in staying]


def _size(folder: Path) -> int:
    return sum(Path(place, name).stat().st_size for place, _, names in os.walk(folder) for name in names)


def _forget_pages(reports: Path) -> None:
    """Remove comparison pages of versions that are gone; they can be made again as long as both are there."""
    for folder in reports.glob(f"[!.]*/[!.]*/{DIFFS}"):  # hidden folders come and go with other processes
        store.clean(folder)
        for page in folder.glob("*.html"):
            if match := _PAGE.fullmatch(page.name):  # else it is none of ours
                home = folder.parent
                other = reports / match["other"].replace(".", "/", 1) if match["other"] else home
                if not ((other / f"v{match['before']}").is_dir() and (home / f"v{match['after']}").is_dir()):
                    page.unlink(missing_ok=True)
