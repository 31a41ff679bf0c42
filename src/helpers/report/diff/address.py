"""Which two versions are compared: ``rfm/douyin@v3``, ``rfm/douyin`` for the latest good one, or nothing at all."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from helpers.checks import did_you_mean
from helpers.errors import BadParameters
from helpers.playbook.action import Action
from helpers.playbook.finding import Finding
from helpers.report.publish import store
from helpers.report.publish.manifest import Manifest, read_actions, read_findings, read_manifest
from helpers.sentences import say

_ADDRESS = re.compile(r"(?P<series>[^@/]+(?:/[^@/]+)?)(?:[@/]v(?P<number>[1-9][0-9]*))?/?")


class Version(NamedTuple):
    """One published version with what the comparison needs of it.

    Attributes
    ----------
    series, number : str, int
        ``rfm/douyin`` and 3.
    folder : Path
        The folder of the version.
    manifest, findings, actions : Manifest, list of Finding, list of Action
        As they were published, secrets redacted.
    """

    series: str
    number: int
    folder: Path
    manifest: Manifest
    findings: list[Finding]
    actions: list[Action]

    @property
    def name(self) -> str:
        """The address, ``rfm/douyin@v3``."""
        return f"{self.series}@v{self.number}"

    @property
    def succeeded(self) -> bool:
        """Whether the run came to its end."""
        return self.manifest.status == "succeeded"


def resolve(reports: Path, first: str | None = None, second: str | None = None) -> tuple[Version, Version]:
    """Return the two versions to compare, the earlier reading first.

    Parameters
    ----------
    reports : Path
        The reports folder.
    first, second : str, optional
        Addresses. Two are compared as given. One alone is compared with the version before it, if possible one
        that succeeded. Without any, the only series there is gives its latest good version.

    Raises
    ------
    BadParameters
        When an address names nothing; the message lists what there is and names the nearest.
    """
    if second is not None and first is not None:
        before, after = find(reports, first), find(reports, second)
    else:
        after = find(reports, first or _only(reports))
        before = (after[0], _previous(reports, *after))
    if before == after:
        raise BadParameters(
            say(
                "{first} and {second} are both {after}@v{after2}: name two versions",
                first=first,
                second=second,
                after=after[0],
                after2=after[1],
            )
        )
    return _read(reports, *before), _read(reports, *after)


def find(reports: Path, address: str, *, newest: bool = False) -> tuple[str, int]:
    """Return series and number of the version that an address names.

    A series alone means its latest version that succeeded, or with `newest`, or where none did, the last one.

    Raises
    ------
    BadParameters
        When there is no such version; the message lists what there is and names the nearest.
    """
    published = _by_series(reports)
    match = _ADDRESS.fullmatch(address)
    series = match["series"] if match else address
    if match is None or series not in published:
        hint = did_you_mean(series, published)
        raise BadParameters(
            say(
                'no series "{series}" in {reports}.{hint} There are: {listed}',
                series=series,
                reports=reports,
                hint=hint,
                listed=_listed(published),
            )
        )
    numbers = published[series]
    if match["number"] is None:
        return series, numbers[-1] if newest else store.latest(reports, series) or numbers[-1]
    if (number := int(match["number"])) not in numbers:
        known = [f"v{each}" for each in numbers]
        hint = did_you_mean(f"v{number}", known)
        raise BadParameters(
            say(
                "{series} has no version v{number}.{hint} There are: {listed}",
                series=series,
                number=number,
                hint=hint,
                listed=_listed(known),
            )
        )
    return series, number


def _by_series(reports: Path) -> dict[str, list[int]]:
    """Return the version numbers of every series, smallest first."""
    found: dict[str, list[int]] = {}
    for path in store.published(reports):
        series, _, version = path.rpartition("/")
        found.setdefault(series, []).append(int(version[1:]))
    if not found:
        raise BadParameters(
            say("no report is published in {reports}; run one first with: playbook run", reports=reports)
        )
    return found


def _only(reports: Path) -> str:
    published = _by_series(reports)
    if len(published) > 1:
        raise BadParameters(say("there are several series; name one of: {listed}", listed=_listed(published)))
    return next(iter(published))


def _previous(reports: Path, series: str, number: int) -> int:
    """Return the nearest earlier version that succeeded, or the nearest one at all."""
    earlier = [known for known in reversed(_by_series(reports)[series]) if known < number]
    if not earlier:
        raise BadParameters(
            say(
                "{series}@v{number} is the first version of its series: there is none before it",
                series=series,
                number=number,
            )
        )
    good = (known for known in earlier if _read(reports, series, known).succeeded)
    return next(good, earlier[0])


def _read(reports: Path, series: str, number: int) -> Version:
    folder = reports / series / f"v{number}"
    try:
        manifest = read_manifest(folder)
        return Version(series, number, folder, manifest, read_findings(folder), read_actions(folder))
    except (OSError, ValueError) as error:
        raise BadParameters(
            say(
                "{series}@v{number} was written by another release or is damaged; run it again, or name "
                "another version",
                series=series,
                number=number,
            )
        ) from error


def _listed(names: Iterable[str], limit: int = 12) -> str:
    known = list(names)
    rest, shown = len(known) - limit, ", ".join(known[:limit])
    return say("{names} and {rest} more", names=shown, rest=rest) if rest > 0 else shown
