"""What earlier reports said: published findings, actions and tables, as a notebook may rest on them.

A notebook says by ``reads_reports`` of its parameters which methods it reads, and sees these and no others, none of
a day after its own, and of its own method none of its own day. So the digests of what it may see are all that its
run key needs (`EarlierReports.digests`).
"""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import itertools
import json
import os
import re
from collections.abc import Collection
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from helpers.playbook.action import Action
from helpers.playbook.finding import Finding

if TYPE_CHECKING:  # a plan is made without pandas
    import pandas as pd

    from helpers.study import Study

REPORTS = "PLAYBOOK_REPORTS"
"""Names the reports folder in the environment of a kernel."""

_VERSION = re.compile(r"v([1-9][0-9]*)")
_Record = TypeVar("_Record", Finding, Action)
_CHINESE = ".zh"
_READ = ("findings.json", "actions.json", "tables/", "lists/")


@dataclass(frozen=True, eq=False)
class EarlierReport:
    """One published version.

    Attributes
    ----------
    folder : Path
        Where it lies.
    manifest : dict
        Its manifest as it is on disk, of whatever release.
    as_of : date
        The day it is about.
    """

    folder: Path
    manifest: dict[str, Any] = field(repr=False)
    as_of: dt.date

    @property
    def series(self) -> str:
        """Such as ``retention/all``, or ``retention/all.zh``."""
        return "/".join(self.folder.parts[-3:-1])

    @property
    def method(self) -> str:
        """Such as ``retention``."""
        return self.folder.parent.parent.name

    @property
    def label(self) -> str:
        """Such as ``all``, in whatever language."""
        return self.folder.parent.name.removesuffix(_CHINESE)

    @property
    def version(self) -> int:
        """Number of the version."""
        return int(self.folder.name[1:])

    @property
    def status(self) -> str:
        """How it ended, such as ``succeeded``."""
        return str(self.manifest["status"])

    @property
    def parameters(self) -> dict[str, Any]:
        """Effective value of every parameter, as JSON."""
        return dict(self.manifest["parameters"])

    @property
    def asked(self) -> dict[str, Any]:
        """The parameters but for the place of the data, which may move."""
        return {name: value for name, value in self.parameters.items() if name != "data"}

    @cached_property
    def findings(self) -> tuple[Finding, ...]:
        """What it found, in its order."""
        return self._records("findings.json", Finding)

    @cached_property
    def actions(self) -> tuple[Action, ...]:
        """What it proposed, the best first."""
        return self._records("actions.json", Action)

    def table(self, name: str) -> pd.DataFrame | None:
        """Return a table that it published, or None."""
        import pandas as pd

        path = self.folder / "tables" / f"{name}.parquet"
        return pd.read_parquet(path) if path.is_file() else None

    @cached_property
    def digest(self) -> str:
        """Short digest of what can be read of it; its number and its page do not count."""
        files = {
            name: entry["sha256"] for name, entry in self.manifest["files"].items() if name.startswith(_READ)
        }
        said = [self.series, self.status, self.manifest["failure"], self.parameters, files]
        return _digest(said)

    def _records(self, name: str, model: type[_Record]) -> tuple[_Record, ...]:
        """Read records as far as this release knows them; what another release had besides is left out."""
        path, known = self.folder / name, set(model.model_fields)
        found = []
        for each in json.loads(path.read_bytes()) if path.is_file() else ():
            with contextlib.suppress(ValueError):
                found.append(model.model_validate({key: each[key] for key in each.keys() & known}))
        return tuple(found)


class Trouble(NamedTuple):
    """A series whose newest attempt brought no report: how it ended, on which day, and why."""

    series: str
    status: str
    as_of: dt.date
    reason: str


class EarlierReports:
    """The versions that a notebook may read.

    Parameters
    ----------
    folder : Path
        The reports folder; need not exist.
    as_of : date
        The last day of which something is seen.
    methods : collection of str, optional
        Methods that are seen; None for all.
    own : str
        The method that reads: of its own reports it sees those of days before `as_of`.
    language : {"en", "zh"}
        Of a series in two languages that in this one is seen.
    """

    def __init__(
        self,
        folder: Path,
        as_of: dt.date,
        methods: Collection[str] | None = None,
        own: str = "",
        language: str = "en",
    ) -> None:
        self.folder, self.as_of, self.methods, self.own = folder, as_of, methods, own
        self.ending = "" if language == "en" else f".{language}"

    @cached_property
    def _attempts(self) -> dict[str, list[EarlierReport]]:
        """Every version that may be seen, by series, in the order of their numbers; of equal ones the first."""
        found: dict[str, list[EarlierReport]] = {}
        named = {"*"} if self.methods is None else {*self.methods}
        paths = (self.folder.glob(f"{name}/*/v*/manifest.json") for name in named)
        for path in sorted(itertools.chain.from_iterable(paths), key=_place):
            with contextlib.suppress(OSError, ValueError, KeyError, TypeError):  # damaged, or not ours
                manifest = json.loads(path.read_bytes())
                day = dt.date.fromisoformat(manifest["parameters"]["as_of"])
                one = EarlierReport(path.parent, manifest, day)
                if day < self.as_of or (day == self.as_of and one.method != self.own):
                    known = found.setdefault(one.series, [])
                    known += [one] if not known or known[-1].digest != one.digest else []
        spoken = {name: name.removesuffix(_CHINESE) + self.ending for name in found}
        return {name: found[name] for name in found if spoken[name] == name or spoken[name] not in found}

    def _succeeded(self, series: str) -> list[EarlierReport]:
        return [one for one in self._attempts.get(series, ()) if one.status == "succeeded"]

    @property
    def series(self) -> tuple[str, ...]:
        """Every series of which something may be seen, in the order of the alphabet."""
        return tuple(self._attempts)

    def versions(self, series: str) -> tuple[EarlierReport, ...]:
        """Return what a series said, one version for each day, the oldest day first."""
        days = {one.as_of: one for one in self._succeeded(series)}
        return tuple(days[day] for day in sorted(days))

    def latest(self) -> tuple[EarlierReport, ...]:
        """Return the newest version of each series that succeeded."""
        return tuple(self.versions(name)[-1] for name in self.series if self.versions(name))

    def newest(self, method: str) -> EarlierReport | None:
        """Return the newest version of a method: of ``all``, else of whatever is there."""
        found = [one for one in self.latest() if one.method == method]
        return max(found, key=lambda one: (one.label == "all", one.as_of), default=None)

    def troubles(self) -> tuple[Trouble, ...]:
        """Return the series whose newest attempt brought no report, and why."""
        last = [found[-1] for found in self._attempts.values() if found[-1].status != "succeeded"]
        reasons = [str((one.manifest["failure"] or {}).get("message", "")).strip() for one in last]
        return tuple(
            Trouble(one.series, one.status, one.as_of, reason.partition("\n")[0])
            for one, reason in zip(last, reasons, strict=True)
        )

    def restated(self, series: str) -> tuple[tuple[EarlierReport, EarlierReport], ...]:
        """Return what was said of a day, and what the next version said of it, where the findings differ.

        Only versions count that were asked the same, so that the difference is one of data or code.
        """
        last: dict[dt.date, EarlierReport] = {}
        pairs = []
        for one in self._succeeded(series):
            before = last.get(one.as_of)
            if before and before.asked == one.asked and before.findings != one.findings:
                pairs.append((before, one))
            last[one.as_of] = one
        return tuple(pairs)

    def digests(self) -> dict[str, str]:
        """Return for each series one digest of all that may be seen of it."""
        return {name: _digest([one.digest for one in found]) for name, found in self._attempts.items()}


def earlier_reports(study: Study) -> EarlierReports:
    """Return the earlier reports that a study may read.

    They lie where a batch publishes, else in the folder ``reports`` of the project at or above the working folder.
    """
    here = Path.cwd()
    root = next((each for each in (here, *here.parents) if (each / "notebooks").is_dir()), here)
    folder = Path(os.environ.get(REPORTS) or root / "reports")
    return EarlierReports(folder, study.as_of, study.reads_reports, study.method, study.language)


def _place(manifest: Path) -> tuple[str, str, int]:
    """Return what versions are sorted by."""
    match = _VERSION.fullmatch(manifest.parts[-2])
    return manifest.parts[-4], manifest.parts[-3], int(match[1]) if match else 0


def _digest(said: Any) -> str:
    return hashlib.sha256(json.dumps(said, sort_keys=True, default=str).encode()).hexdigest()[:16]
