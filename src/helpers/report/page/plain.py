"""Pages for when the template fails: what there is, and why it could not be shown as it should.

An error in the template must not lose a run that took an hour. These pages share no file with the others, so that
what broke them does not break these, and say as little as a reader needs: what is missing and where the rest lies.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment

from helpers.playbook.finding import Finding
from helpers.report.page.wording import state_mark
from helpers.report.publish.manifest import Manifest, RunStatus
from helpers.sentences import lang, say

_TEMPLATE = Path(__file__).parent / "template" / "plain.html.j2"


def reason(error: Exception) -> str:
    """Return why a page could not be built, in a line: class, message, and the file and line where it happened.

    The place is a bare file name, so that the same error gives the same text wherever the project lies.
    """
    first, _, _ = str(error).strip().partition("\n")
    frames = traceback.extract_tb(error.__traceback__)
    within = [frame for frame in frames if frame.filename.endswith(".j2")] or frames  # a template knows best
    place = f" ({Path(within[-1].filename).name}, line {within[-1].lineno})" if within else ""
    return f"{type(error).__name__}{f': {first}' if first else ''}{place}"


def plain_report(manifest: Manifest, findings: Sequence[Finding], files: Iterable[str]) -> str:
    """Return the page of a run whose report could not be built.

    Parameters
    ----------
    manifest : Manifest
        How the run ended; its failure says why there is no page.
    findings : sequence of Finding
        What the notebook recorded; their sentences are shown.
    files : iterable of str
        What else was published, as paths inside the version folder.
    """
    message = manifest.failure.message if manifest.failure else ""
    return _page(
        say("{title}: the page could not be built", title=manifest.title or manifest.series),
        paragraphs=[f"{manifest.series}: {state_mark(manifest.status).word}", *message.split("\n\n")],
        said=[finding.sentence for finding in findings],
        listed=say("What the run left"),
        links=[(name, name, "") for name in sorted({*files, "manifest.json"})],
        index="../" * (manifest.series.count("/") + 2) + "index.html",
    )


def plain_index(versions: Mapping[str, RunStatus], unreadable: Sequence[str], why: str) -> str:
    """Return the index of all reports when its own page could not be built.

    Parameters
    ----------
    versions : mapping of str to str
        Folder of each version, relative to the index, and how its run ended.
    unreadable : sequence of str
        Folders whose manifest cannot be read.
    why : str
        From `reason`.
    """
    ends = {path: state_mark(status).word for path, status in versions.items()}
    ends |= dict.fromkeys(unreadable, say("unreadable"))
    return _page(
        say("Reports"),
        paragraphs=[say("The page that lists the reports could not be built: {reason}.", reason=why)],
        listed=say("All reports"),
        links=[(f"{path}/report.html", path, f": {end}") for path, end in ends.items()],
        index="index.html",
    )


def _page(title: str, **parts: Any) -> str:
    template = Environment(autoescape=True, trim_blocks=True).from_string(_TEMPLATE.read_text("utf-8"))
    return template.render(say=say, lang=lang, title=title, **parts)
