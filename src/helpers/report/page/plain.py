"""Pages for when the template fails: what there is, and why it could not be shown as it should.

An error in the template must not lose a run that took an hour. These pages use no template, so that what broke the
other page does not break them, and say as little as a reader needs: what is missing and where the rest lies.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from urllib.parse import quote

from helpers.playbook.finding import Finding
from helpers.report.page.wording import status_mark, word
from helpers.report.publish.manifest import Manifest, RunStatus

_PAGE = """<!doctype html>
<html lang="{language}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<style>body{{font:1rem/1.6 sans-serif;max-width:44rem;margin:2rem auto;padding:0 1rem;overflow-wrap:anywhere}}</style>
</head>
<body>
<a href="#main">{skip}</a>
<header><nav aria-label="{where}"><a href="{index}">{all_reports}</a></nav></header>
<main id="main" tabindex="-1">
<h1>{title}</h1>
{body}
</main>
</body>
</html>
"""


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
    failure = manifest.failure
    message = failure.message if failure else ""
    parts = [
        _paragraph(f"{manifest.series}: {status_mark(manifest.status).word}"),
        *map(_paragraph, filter(None, message.split("\n\n"))),
        _listed(word("plain_findings"), [escape(finding.sentence) for finding in findings]),
        _listed(word("plain_files"), [_link(name, name) for name in sorted({*files, "manifest.json"})]),
    ]
    index = "../" * (manifest.series.count("/") + 2) + "index.html"
    return _page(word("plain_title", title=manifest.title or manifest.series), parts, index)


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
    ends = {path: status_mark(status).word for path, status in versions.items()}
    ends |= dict.fromkeys(unreadable, word("unreadable"))
    links = [f"{_link(f'{path}/report.html', path)}: {escape(end)}" for path, end in ends.items()]
    parts = [_paragraph(word("plain_index_why", reason=why)), _listed(word("all_reports"), links)]
    return _page(word("index_title"), parts, "index.html")


def _page(title: str, parts: Iterable[str], index: str) -> str:
    words = {name: escape(word(name)) for name in ("language", "skip", "where", "all_reports")}
    return _PAGE.format(title=escape(title), body="\n".join(filter(None, parts)), index=index, **words)


def _paragraph(text: str) -> str:
    return "<p>" + escape(text).replace("\n", "<br>") + "</p>"


def _listed(name: str, items: Sequence[str]) -> str:
    """Return a list under its name; `items` are HTML. Nothing for none."""
    lines = "\n".join(f"<li>{item}</li>" for item in items)
    return f"<h2>{escape(name)}</h2>\n<ul>\n{lines}\n</ul>" if items else ""


def _link(path: str, text: str) -> str:
    return f'<a href="{escape(quote(path))}">{escape(text)}</a>'
