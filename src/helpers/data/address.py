"""Addresses of data: what kind of place a URL names, and the same URL without its secrets."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from helpers.errors import BadData, BadParameters, MissingSecret
from helpers.sentences import say

# A variable of the environment in an address: ``postgres://user:${PGPASSWORD}@host/db``.
PLACEHOLDER = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")

PASSWORD = re.compile(r"(?<=://)([^/@:]*:)(.*)(@)")
_SECRETS = r"(?:pass|pwd|secret|token|key|sig|credential|azure\.sas)"
SECRET_QUERY = re.compile(rf"(?i)([?&][^=&]*{_SECRETS}[^=&]*=)([^&]*)()")
# A secret inside a value of a query, such as a JDBC address or an option of Java, once it is decoded.
_SECRET_VALUE = re.compile(rf"(?i){_SECRETS}[\w.-]*\s*=\s*\S|//[^/@\s]*:[^/@\s]+@")
_QUERY_VALUE = re.compile(r"(?<=[?&])([^=&?]*=)([^&]*)")
# As in ``Driver=x;Server=y;Uid=me;Pwd=secret`` or ``host=h user=u password='a secret'``.
PAIR = re.compile(
    r"(?i)(?<![a-z])(?:password|passwd|pwd|pass|passphrase|secret|token|(?:account|access|api|shared)_?(?:access)?_?key"
    r"|sharedaccess(?:key|signature)|client_?secret)(?:[\"']\s*:|\s*=(?!=))\s*"
    r"(?:\"([^\"]{1,500})\"|'([^']{1,500})'|\{([^}]{1,500})\}|([^\s;,&\"'{][^\s;,&]*))"
)

# As in ``user:password@host/db``.
WITHOUT_SCHEME = re.compile(r"(?<![\w.+/:-])[\w.+-]+:(?!/)([^\s@]{4,200})@[\w.-]")

# Characters of a password from which on it can be looked for in a text.
SHORTEST = 4

HIDDEN = "***"

# The mapping that a folder is read with unless another is named.
MAPPING = "mapping.yml"
# What the address of a database says to us and not to its driver.
_OWN = re.compile(r"(?<=[?&])(mapping|local_tz|epoch|beside)=([^&]*)&?")


@dataclass(frozen=True)
class Address:
    """A place where tables are.

    Attributes
    ----------
    kind : str
        ``folder``, ``duckdb`` (a file), ``database`` (any other Ibis URL) or ``memory``.
    shown : str
        The address without secrets, fit for messages and reports.
    path : Path, optional
        Of a folder, also one that Spark reads, or a DuckDB file.
    frames : mapping
        Of a place in memory.
    url : str
        Of a database, with the secrets it names filled in, so it is not part of the repr.
    options : dict
        Reading options given with a folder or a file.
    """

    kind: Literal["folder", "duckdb", "database", "memory"]
    shown: str
    path: Path | None = None
    frames: Mapping[str, Any] = field(default_factory=dict, repr=False)
    url: str = field(default="", repr=False)
    options: Mapping[str, str] = field(default_factory=dict)

    @property
    def in_files(self) -> bool:
        """Whether its tables are the files of a folder, of which much is known without an engine."""
        return self.path is not None and self.kind != "duckdb"

    @property
    def mapping(self) -> Path | None:
        """The mapping to read the tables through: the one named, beside them; else a folder's ``mapping.yml``."""
        if "mapping" in self.options:
            return self._named("mapping")
        usual = self.path / MAPPING if self.kind == "folder" and self.path else None
        return usual if usual and usual.is_file() else None

    @property
    def beside(self) -> Path | None:
        """The folder of what lies beside the tables, such as designs of experiments; a database names it."""
        if self.path:
            return self.path.parent if self.kind == "duckdb" else self.path
        return self._named("beside") if "beside" in self.options else None

    def _named(self, option: str) -> Path:
        """Return a path that an option names; of a database it lies in the working folder, or one above it."""
        named = Path(self.options[option]).expanduser()
        bases = [self.beside] if self.path and self.beside else [Path.cwd(), *Path.cwd().parents]
        found = [base / named for base in bases]
        return next(filter(Path.exists, found), found[0])


def names(data: str) -> tuple[str, ...]:
    """Return the variables of the environment that an address names, in their order, each once.

    Only the URL of a database names any, or a variable that is the whole address: in the path of a folder or a
    file ``${…}`` is part of the name.
    """
    named = _is_database(data) or PLACEHOLDER.fullmatch(data)
    return tuple(dict.fromkeys(PLACEHOLDER.findall(data))) if named else ()


def _is_database(text: str) -> bool:
    return "://" in text and not text.startswith(("duckdb://", "file://"))


def check_secrets(data: Any) -> None:
    """Refuse an address that names a variable which is not set, or is empty.

    Raises
    ------
    MissingSecret
        With the name of every such variable.
    """
    missing = [name for name in names(data) if not os.environ.get(name)] if isinstance(data, str) else []
    if missing:
        text = "data == {place!r} names {missing}: the environment variable is not set."
        if len(missing) > 1:
            text = "data == {place!r} names {missing}: the environment variables are not set."
        raise MissingSecret(say(text, place=redact(data), missing=", ".join(missing)))


def _resolved(text: str) -> str:
    """Return an address with its variables filled in.

    A variable that is the whole address is taken as it is. Inside a URL its value is quoted, so that a
    password may hold an @ or a slash.
    """
    if PLACEHOLDER.fullmatch(text):
        return os.environ[text[2:-1]]
    return PLACEHOLDER.sub(lambda match: quote(os.environ[match[1]], safe=""), text)


def redact(url: str) -> str:
    """Return a URL without its user's password and without secret-looking query values.

    The name of a variable is no secret and stays.
    """

    def hidden(match: re.Match[str]) -> str:
        return match[0] if PLACEHOLDER.fullmatch(match[2]) else f"{match[1]}{HIDDEN}{match[3]}"

    url = SECRET_QUERY.sub(hidden, PASSWORD.sub(hidden, url))
    url = _QUERY_VALUE.sub(lambda found: found[1] + (HIDDEN if holds_secret(found[2]) else found[2]), url)
    for secret in pairs(url):
        url = url.replace(secret, HIDDEN)
    return url


def holds_secret(value: str) -> bool:
    """Return whether a value of a query, as it is or percent-encoded, names a password or key with what it is."""
    return bool(_SECRET_VALUE.search(unquote(value)))


def pairs(text: str) -> set[str]:
    """Return the passwords and keys that a connection string names, which is no URL."""
    found = {match[match.lastindex or 0] for each in (PAIR, WITHOUT_SCHEME) for match in each.finditer(text)}
    return {secret for secret in found if len(secret) >= SHORTEST and not PLACEHOLDER.fullmatch(secret)}


def parse(data: Any) -> Address:
    """Return what kind of place `data` names.

    Raises
    ------
    BadData
        When a folder or a file does not exist.
    BadParameters
        When `data` is no address at all.
    MissingSecret
        When it names a variable of the environment that is not set.
    """
    if isinstance(data, Mapping):
        return Address("memory", "memory", frames=data)
    if not isinstance(data, str | os.PathLike) or not str(data):
        raise BadParameters(
            say("data == {data!r}, must be a folder, a URL or a mapping of frames.", data=data)
        )
    text = os.fspath(data)
    check_secrets(text)
    place = _resolved(text) if names(text) else text
    if _is_database(place):
        own = {name: unquote(value) for name, value in _OWN.findall(place)}
        url = _OWN.sub("", place).rstrip("?&") if own else place
        return Address("database", redact(text), _spark_folder(url), url=url, options=own)
    try:
        return _local(place)
    except OSError as error:  # too long a name, or a folder above it that cannot be entered
        raise BadData(
            say(
                "data == {place!r} cannot be opened: {strerror}.",
                place=redact(text)[:100],
                strerror=error.strerror,
            )
        ) from None


def _spark_folder(url: str) -> Path | None:
    """Return the folder whose Parquet an address of Spark names, by its absolute path; None when it names none."""
    folder = Path(unquote(urlsplit(url).path))
    if not url.startswith("pyspark://") or not folder.name:
        return None
    if not folder.is_dir():
        raise BadData(
            say("{path} does not exist.\nName a folder with orders.parquet or the like.", path=folder)
        )
    return folder


def _local(text: str) -> Address:
    """Return a folder or a DuckDB file, with the options behind its question mark."""
    body, mark, query = text.partition("?")
    options = dict(parse_qsl(query, keep_blank_values=True))
    if mark and Path(text).exists():
        body, options = text, {}
    if body.startswith("duckdb://"):
        path = Path(unquote(body.removeprefix("duckdb://"))).expanduser()
        # An Ibis URL writes an absolute path with four slashes and a relative one with three.
        if str(path).startswith("//") or (not path.exists() and Path(str(path).lstrip("/")).exists()):
            path = Path(str(path)[1:])
        if not path.is_file():
            raise BadData(say("There is no DuckDB file {place}.", place=redact(str(path))))
        return Address("duckdb", f"duckdb://{path}", path=path, options=options)
    if body.startswith("file://"):
        body = unquote(urlsplit(body).path)
    folder = Path(body).expanduser()
    if folder.is_file() and folder.suffix in (".duckdb", ".ddb"):
        return Address("duckdb", f"duckdb://{folder}", path=folder, options=options)
    if not folder.is_dir():
        what = "{path} is a file, not a folder of tables." if folder.exists() else "{path} does not exist."
        advice = "Name a folder with orders.parquet, events.csv or the like."
        if pairs(text):
            advice = "A database is named by a URL, such as postgres://user:${{PGPASSWORD}}@host/database."
        raise BadData(say(f"{what}\n{advice}", path=redact(str(folder))))
    return Address("folder", str(folder), path=folder, options=options)
