"""Nothing secret and nothing of one machine reaches a written byte.

Secrets are the passwords and tokens in the URLs a run is given and the values of environment variables whose name
says that they are secret. Each is looked for as it is, and as JSON, HTML, URLs and base64 would write it.
"""

from __future__ import annotations

import base64
import html
import json
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, quote_plus, unquote, urlsplit

MASK = "***"
TEXT_SUFFIXES = frozenset({".ipynb", ".html", ".json", ".csv", ".svg", ".txt", ".md"})
_SECRET_NAME = re.compile(
    r"(?i)secret|token|passw|passphrase|credential|salt|_pwd$|(^|_)(api|access|private|secret|auth)_?key"
)
_SECRET_QUERY = re.compile(r"(?i)passw|pwd|secret|token|key|sig|credential|sas$")
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s\"'<>]+")
_SHORTEST = 6  # shorter values of environment variables, such as "1" or "true", would mask ordinary text
_ADDRESS = re.compile(r"(?<= at )0x[0-9a-fA-F]{6,16}\b")
_KERNEL_FILE = re.compile(r"[^\s\"'<>(]*ipykernel_\d+[/\\]+\d+\.py")


def url_secrets(text: str) -> set[str]:
    """Return the passwords and tokens in the URLs of a text."""
    found: set[str] = set()
    for url in _URL.findall(text):
        try:
            parts = urlsplit(url)
            password = parts.password
        except ValueError:  # not a URL after all, such as an unclosed bracket
            continue
        if password:
            found |= {password, unquote(password)}
        for query in (parts.query, parts.fragment):
            found |= {value for name, value in parse_qsl(query) if _SECRET_QUERY.search(name) and value}
    return found


def mask_urls(text: str) -> str:
    """Return the text with the secrets of its URLs masked, for messages and logs."""
    return Redactor(url_secrets(text)).text(text)


def environment_secrets(environment: Mapping[str, str] | None = None) -> set[str]:
    """Return the values of the environment variables whose name says that they are secret."""
    environment = os.environ if environment is None else environment
    named = {name: value for name, value in environment.items() if _SECRET_NAME.search(name)}
    found = {value for value in named.values() if len(value) >= _SHORTEST}
    for value in environment.values():
        found |= url_secrets(value)
    return found


def _encodings(secret: str) -> set[str]:
    """Return the forms in which a text may carry a secret."""
    quoted = {quote(secret, safe=""), quote(secret), quote_plus(secret)}
    forms = {secret, html.escape(secret), html.escape(secret, quote=False), repr(secret)[1:-1]} | quoted
    forms |= {re.sub(r"%[0-9A-F]{2}", lambda match: match[0].lower(), form) for form in quoted}
    forms |= {json.dumps(form, ensure_ascii=flag)[1:-1] for form in set(forms) for flag in (True, False)}
    return forms | _base64_forms(secret.encode())


def _base64_forms(secret: bytes) -> set[str]:
    """Return the characters that a secret determines in base64, wherever it starts in the encoded bytes.

    A base64 character holds six bits, so at its edges a secret shares characters with its neighbours; only
    those in between are certain. Runs of fewer than 6 characters would mask ordinary text.
    """
    forms = set()
    for offset in range(3):
        encoded = base64.b64encode(b"\0" * offset + secret).decode().rstrip("=")
        first = -(-offset * 8 // 6)
        last = (offset + len(secret)) * 8 // 6
        certain = encoded[first:last]
        if len(certain) >= 6:
            forms |= {certain, certain.replace("+", "-").replace("/", "_")}
    return forms


class Redactor:
    """Takes secrets, machine paths and memory addresses out of texts.

    Parameters
    ----------
    secrets : iterable of str
        Values to mask.
    places : mapping, optional
        Path of this machine to what a reader is shown instead.
    """

    def __init__(self, secrets: Iterable[str], places: Mapping[str, str] | None = None) -> None:
        secrets = {secret for secret in secrets if secret}
        short = {secret for secret in secrets if len(secret) < 4}
        forms = {form for secret in secrets - short for form in _encodings(secret)}
        # A password of one to three characters is masked where a URL holds it and nowhere else.
        forms |= {f":{form}@" for secret in short for form in (secret, quote(secret, safe=""))}
        longest_first = sorted(forms, key=lambda form: (-len(form), form))
        self._secrets = re.compile("|".join(map(re.escape, longest_first))) if forms else None
        ordered = sorted((places or {}).items(), key=lambda item: -len(item[0]))
        self._places = [
            (re.compile(rf"(?<![\w.]){re.escape(place)}(?![\w-])"), name) for place, name in ordered
        ]

    def text(self, text: str) -> str:
        """Return the text without secrets, machine paths and memory addresses."""
        if self._secrets:
            text = self._secrets.sub(lambda m: f":{MASK}@" if m[0][0] + m[0][-1] == ":@" else MASK, text)
        for place, name in self._places:
            text = place.sub(name.replace("\\", r"\\"), text)
        return _ADDRESS.sub("0x…", _KERNEL_FILE.sub("[cell]", text))

    def value(self, value: Any) -> Any:
        """Return a JSON value with every text in it redacted, keys included."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {self.text(str(key)): self.value(item) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [self.value(item) for item in value]
        return value

    def folder(self, folder: Path) -> None:
        """Redact every text file below a folder in place; files without a finding are not touched."""
        for path in sorted(folder.rglob("*")):
            if path.suffix in TEXT_SUFFIXES and path.is_file():
                before = path.read_bytes()
                after = self.text(before.decode("utf-8", "surrogateescape")).encode(
                    "utf-8", "surrogateescape"
                )
                if after != before:
                    path.write_bytes(after)
