"""What a run is before it starts: a notebook, its series, checked parameters, the tables it reads, its run key.

Everything that can be checked without a kernel is checked here, in two steps: `check` looks at the parameters
alone, `Desk.plan` at code and data. All plans of a batch are made at one `Desk`, which reads each file once.
"""

from __future__ import annotations

import ast
import contextlib
import hashlib
import re
import unicodedata
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from helpers import locale
from helpers.data import address, fingerprint
from helpers.data.content_cache import ContentCache
from helpers.data.exports import folder
from helpers.data.segment_syntax import check_columns, parse_syntax
from helpers.data.tables import TABLES
from helpers.data.violation import counted
from helpers.errors import BadParameters, PlaybookError
from helpers.report import project
from helpers.report.plan import provenance
from helpers.report.plan.imports import Sources, changed
from helpers.report.publish.manifest import Code, TableFingerprint
from helpers.report.redact import mask_urls
from helpers.sentences import say
from helpers.study.parameters import CommonParameters

LONGEST = 60
_EQUAL = re.compile(r"(\w+) == '([\w.-]+)'")
_WORDS = {"!=": "not", ">=": "from", "<=": "to", ">": "above", "<": "below"}
_SIGNS = re.compile("[!<>]=|[<>]")


@dataclass(frozen=True)
class Checked:
    """A run whose parameters are right; code and data have not been looked at.

    Attributes
    ----------
    notebook : Path
        The notebook.
    series : str
        Such as ``rfm/douyin``.
    values : dict
        Effective value of every parameter, as JSON.
    given : dict
        Those to be injected; the others stay as the notebook's cell has them.
    reads : tuple of str, optional
        Tables that the notebook may read; None for all.
    timeout : float, optional
        Seconds after which this run is stopped; None for no limit.
    files : tuple of str
        Further files that it reads in the folder of the data.
    reads_reports : tuple of str
        Methods whose earlier reports it reads.
    after : tuple of str
        Series of the same batch that are made before it.
    """

    notebook: Path
    series: str
    values: dict[str, Any]
    given: dict[str, Any]
    reads: tuple[str, ...] | None = None
    timeout: float | None = None
    files: tuple[str, ...] = ()
    reads_reports: tuple[str, ...] = ()
    after: tuple[str, ...] = ()

    @property
    def language(self) -> tuple[str, str]:
        """The language of the report, and the method whose catalogue it takes beside the shared ones."""
        return self.values.get("language", "en"), project.method_name(self.notebook)

    def spoken(self) -> AbstractContextManager[None]:
        """Say what is for a terminal in the language that the run was told, else in that of the terminal."""
        return locale.spoken(*self.language) if "language" in self.given else contextlib.nullcontext()

    @property
    def label(self) -> str:
        """The second half of the series, without what says that it is not in English."""
        language = self.language[0]
        label = self.series.partition("/")[2]
        return label if language == "en" else label.removesuffix(f".{language}")

    @property
    def place(self) -> str:
        """Where the data are: a URL, or an absolute path where there is one."""
        return project.locate_data(str(self.values["data"]), self.notebook.parent)


@dataclass(frozen=True, kw_only=True)
class Plan(Checked):
    """A run that has been checked and can start; code and data have been looked at.

    Attributes
    ----------
    tables : dict
        Fingerprint of each input table.
    code : Code
        Identity of the notebook, of every source its report depends on, and of the lock.
    run_key : str
        Equal for runs that give equal reports: over code, parameters, tables, packages, Python, the salt of
        pseudonyms and the series. A password in an address is no part of it.
    environment : dict
        What else is part of the run key, see `helpers.report.plan.provenance.environment`.
    earlier : dict
        Digest of each series of earlier reports that it may read, once it is about to start.
    copies : bool
        Whether the rows of its tables are copied first, because their role may not store.
    """

    tables: dict[str, TableFingerprint]
    code: Code
    run_key: str
    environment: dict[str, str] = field(default_factory=dict)
    earlier: dict[str, str] = field(default_factory=dict)
    copies: bool = False

    def notice(self) -> str:
        """Say what takes its time before the first number, where something does."""
        if not self.copies:
            return ""
        rows = {name: counted(table.rows or 0, "row") for name, table in self.tables.items()}
        shown = ", ".join(say("{rows} of {table}", rows=rows[name], table=name) for name in rows)
        text = "{series}: the role may not make temporary tables, so {shown} are copied first"
        return say(text, series=self.series, shown=shown)

    @property
    def mapping(self) -> str | None:
        """The mapping through which the tables came, word for word; none where they lie as such."""
        path = address.parse(self.place).mapping
        return path.read_text(encoding="utf-8-sig") if path else None

    def changed_tables(self) -> list[str]:
        """Return the tables whose files have changed since the plan was made.

        Nobody knows what a run has read of them. Files that have not changed are not read again; a database is not
        asked, which would count its rows. What is not there any more, or cannot be read, has changed.
        """
        now: dict[str, fingerprint.TableFingerprint] = {}
        with contextlib.suppress(PlaybookError):
            if address.parse(self.place).path is None:
                return []
            now = fingerprint.fingerprint(self.place, self.reads, cache=ContentCache.of_user())
        tables = {name: TableFingerprint(**table._asdict()) for name, table in now.items()}
        return changed(self.tables, tables)

    def lost_tables(self) -> list[str]:
        """Return the tables that were there when the plan was made and are there no more."""
        there: set[str] = set()
        with contextlib.suppress(PlaybookError):
            there = fingerprint.present(self.place, self.tables)
        return sorted(self.tables.keys() - there)


@dataclass
class Desk:
    """Where the plans of one batch are made: each file is read once, each module parsed once.

    Parameters
    ----------
    cache : ContentCache
        What is known of files from earlier batches; by default that of the user.
    """

    cache: ContentCache = field(default_factory=ContentCache.of_user)

    def __post_init__(self) -> None:
        self.sources = Sources(cache=self.cache)
        self._code: dict[Path, Code] = {}
        self._copied: dict[str, bool] = {}
        self._data: dict[tuple[str, tuple[str, ...] | None], dict[str, TableFingerprint]] = {}

    def plan(self, run: Checked) -> Plan:
        """Return the plan of a run, with the identity of its code and its data.

        Raises
        ------
        BadData
            When there is no data at the place named.
        BadParameters
            When the segment names a column that the tables do not have, or money is in another currency.
        """
        tables = self.tables(run)
        self._check_segment(run)
        money = fingerprint.currencies(run.place, run.reads, self.cache)
        fingerprint.check_currency(money, run.values["currency"])
        return replace(self.with_tables(run, tables), copies=self._copies(run.place))

    def _copies(self, place: str) -> bool:
        if place not in self._copied:
            from helpers.data import engine  # late: it loads the query engine

            self._copied[place] = engine.copies(address.parse(place))
        return self._copied[place]

    def with_tables(self, run: Checked, tables: dict[str, TableFingerprint]) -> Plan:
        """Return the plan of a run whose tables are known: code, environment and key as this process has them."""
        code = self.code(run)
        environment = provenance.environment(_no_tables(run.place))
        key = provenance.run_key(
            {
                "code": code.model_dump(mode="json"),
                "tables": {name: table.model_dump() for name, table in tables.items()},
                "environment": environment,
                "parameters": {name: without_secrets(value) for name, value in run.values.items()},
                "packages": provenance.packages(),
                "series": run.series,
            }
        )
        own = {each.name: getattr(run, each.name) for each in fields(Checked)}
        return Plan(**own, tables=tables, code=code, run_key=key, environment=environment)

    def _check_segment(self, run: Checked) -> None:
        """Look for the columns of a segment, those of a table that is not there among what it would have."""
        if names := parse_syntax(run.values["segment"])[1]:
            there = fingerprint.columns(run.place, run.reads, self.cache)
            absent = {name: TABLES[name].names for name in run.reads or TABLES if name not in there}
            check_columns(names, {**absent, **there})

    def code(self, run: Checked) -> Code:
        """Return the identity of a run's code and of the files that its parameters name."""
        if run.notebook not in self._code:
            root = project.find_root(run.notebook.parent)
            self._code[run.notebook] = provenance.code(run.notebook, root, self.sources)
        code = self._code[run.notebook]
        named = _named_files(run) | locale.digests(*run.language)
        return code.model_copy(update={"modules": code.modules | named}) if named else code

    def tables(self, run: Checked) -> dict[str, TableFingerprint]:
        """Return the fingerprints of the tables that a run may read."""
        where = (run.place, run.reads)
        if where not in self._data:
            found = fingerprint.fingerprint(run.place, run.reads, cache=self.cache)
            self._data[where] = {name: TableFingerprint(**table._asdict()) for name, table in found.items()}
        return self._data[where]


def portable(notebook: Path, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return parameters whose ``data``, typed in the working folder, is relative to the project."""
    given = dict(given)
    if isinstance(given.get("data"), str):
        given["data"] = project.portable_data(given["data"], project.find_root(notebook.parent))
    return given


def checked(
    notebook: Path,
    model: CommonParameters,
    given: Mapping[str, Any],
    label: str,
    timeout: float | None = None,
) -> Checked:
    """Return a run from its checked parameters.

    Raises
    ------
    BadParameters
        When the label holds neither letter nor digit, or ends as if it said a language.
    """
    values = model.model_dump(mode="json")
    language = "" if model.language == "en" else f".{model.language}"
    series = f"{project.method_name(notebook)}/{label_slug(label)}{language}"
    reads = None if model.tables is None else tuple(sorted(model.tables))
    injected = {name: values[name] for name in given}
    return Checked(notebook, series, values, injected, reads, timeout, model.files, model.reads_reports)


def label_slug(text: str) -> str:
    """Return the second half of a series from a label or a segment.

    A label is written in small letters, with hyphens for what a path cannot hold. Different segments get different
    names: ``platform == "douyin"`` is ``platform-douyin``, any other has words for signs and eight digits of its
    hash, so that ``age > 30`` and ``age < 30`` do not share their versions. Spaces and quotes make no difference.

    Raises
    ------
    BadParameters
        When there is neither letter nor digit, or it ends as if it said a language.
    """
    filters = bool(re.search("[=<>!'\"]", text))
    with contextlib.suppress(BadParameters):
        if (tree := parse_syntax(text)[2]) and not isinstance(tree, ast.Name):
            text, filters = ast.unparse(tree), True
    equal = _EQUAL.fullmatch(text)
    plain = equal.expand(r"\1-\2") if equal else text
    words = _SIGNS.sub(lambda sign: f" {_WORDS[sign[0]]} ", plain.lower())
    slug = re.sub(r"[^\w.-]+", "-", words).strip("-.")
    if not slug:
        raise BadParameters(say("label == {text!r}, must hold a letter or a digit", text=text))
    if slug.endswith(".zh"):
        raise BadParameters(
            say("label == {text!r}, must not end in .zh, which says the language of a series", text=text)
        )
    if len(slug) <= LONGEST and (slug == unicodedata.normalize("NFC", plain) or not filters):
        return slug
    return f"{slug[: LONGEST - 9].rstrip('-.')}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def _no_tables(data: str) -> tuple[str, ...]:
    """Return the names in a folder of data that are no table: a report on the health of the data lists them."""
    place = address.parse(data)
    return folder.look(place).layout.others if place.kind == "folder" else ()


def _named_files(run: Checked) -> dict[str, str]:
    """Return the digests of files that text parameters name, such as a tier scheme, and of those beside the data."""
    texts = [value for name, value in run.values.items() if name != "data" and isinstance(value, str)]
    paths = {text: run.notebook.parent / text for text in texts}
    if (folder := address.parse(run.place).beside) is not None:
        paths |= {name: folder / name for name in run.files}
    found = {}
    for name, path in paths.items():
        with contextlib.suppress(OSError, ValueError):  # most texts are no path at all
            if path.is_file():  # neither a pipe nor a device, which might never end
                found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def without_secrets(value: Any) -> Any:
    """Return the value of a parameter as a manifest and a run key have it."""
    return mask_urls(value) if isinstance(value, str) else value
