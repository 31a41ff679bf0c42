"""Nothing secret and nothing of one machine reaches a written byte.

Secrets are the passwords and tokens in the URLs a run is given and the values of environment variables whose name
says that they are secret. Each is looked for as it is, and as JSON, HTML, XML, CSV, URLs, base64 and hexadecimal
digits would write it, one inside another too (JSON printed in HTML kept in JSON), and where a table has cut it
short. What files hold beside text is looked at in `helpers.report.publish.redact_files`.
"""

from __future__ import annotations

import base64
import contextlib
import html
import json
import os
import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import parse_qsl, quote, quote_plus, unquote, urlsplit

from helpers.data import address
from helpers.data.address import PLACEHOLDER, SHORTEST

MASK = "***"
_SECRET_NAME = re.compile(
    r"(?i)secret|token|passw|passphrase|credential|salt|webhook|_pwd$|_key$"
    r"|(^|_)(api|access|private|secret|auth)_?key|(^|_)(pass|pat|auth|cookies?)$"
)
_PASSWORD_NAME = re.compile(r"(?i)passw|passphrase|(^|_)pass$|_pwd$")
_SECRET_QUERY = re.compile(r"(?i)passw|pwd|secret|token|key|sig|credential|azure\.sas|sas$")
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{0,30}://[^\s\"'<>]+")
_SHORTEST = 6  # shorter values of environment variables, such as "1" or "true", would mask ordinary text
_STILL_TELLING = 8  # characters of a secret that a table has cut short, "abcdefgh..."
_ADDRESS = re.compile(r"(?<= at )0x[0-9a-fA-F]{6,16}\b")
# From the beginning of a word, so that a megabyte without blanks is looked through once.
_KERNEL_FILE = re.compile(r"(?<![^\s\"'<>(])[^\s\"'<>(]*ipykernel_\d+[/\\]+\d+\.py")


def url_secrets(text: str) -> set[str]:
    """Return the passwords and tokens in the URLs and connection strings of a text.

    An address may name a variable of the environment, ``postgres://user:${PGPASSWORD}@host/db``. Its name is no
    secret; its value is one, whatever the variable is called, with the secrets of the URL that it may hold.
    """
    found = _named_secrets(text) | address.pairs(text)
    for url in _URL.findall(text):
        try:
            parts = urlsplit(url)
            password = parts.password
        except ValueError:  # not a URL after all, such as an unclosed bracket
            continue
        if password and not PLACEHOLDER.fullmatch(password):
            found |= {password, unquote(password)}
        for query in (parts.query, parts.fragment):
            pairs = [pair for pair in parse_qsl(query) if not PLACEHOLDER.fullmatch(pair[1])]
            found |= {v for name, v in pairs if v and (_SECRET_QUERY.search(name) or address.holds_secret(v))}
    return found


def _named_secrets(text: str) -> set[str]:
    """Return the values of the variables that an address names."""
    values = {os.environ.get(name, "") for name in address.names(text)} - {""}
    return values.union(*(url_secrets(value) for value in values if not address.names(value)))


def mask_urls(text: str) -> str:
    """Return the text with the secrets of its URLs masked, for messages and logs."""
    return Redactor(url_secrets(text)).text(text)


def environment_secrets(environment: Mapping[str, str] = os.environ) -> set[str]:
    """Return the values of the environment variables whose name says that they are secret, and what others hold."""
    found = set()
    for name, value in environment.items():
        shortest = SHORTEST if _PASSWORD_NAME.search(name) else _SHORTEST
        if _SECRET_NAME.search(name) and len(value) >= shortest:
            found.add(value)
        found |= url_secrets(value)
    return found


def _encodings(secret: str) -> set[str]:
    """Return the forms in which a text may carry a secret."""
    quoted = {quote(secret, safe=""), quote(secret), quote_plus(secret)}
    quoted |= {re.sub(r"%[0-9A-F]{2}", lambda match: match[0].lower(), form) for form in quoted}
    forms = {secret, repr(secret)[1:-1], secret.replace('"', '""')} | quoted
    forms |= _as_json(forms)
    forms |= {escaped for form in forms for escaped in _as_markup(form)}
    forms |= _as_json(forms)
    digits = secret.encode().hex()
    # In base64 also as a URL holds it, which is what is encoded when a whole URL is.
    return forms.union(
        {digits, digits.upper()}, *(_base64_forms(form.encode()) for form in {secret, *quoted})
    )


def _as_json(forms: Iterable[str]) -> set[str]:
    """Return the forms as JSON writes them, also as it does inside HTML, and as pandas writes it."""
    plain = {json.dumps(form, ensure_ascii=flag)[1:-1] for form in forms for flag in (True, False)}
    codes = {ord(sign): f"\\u{ord(sign):04x}" for sign in "<>&'"}
    return plain | {form.translate(codes) for form in plain} | {form.replace("/", r"\/") for form in plain}


def _as_markup(form: str) -> set[str]:
    """Return a form as HTML and XML write it: quotation marks as they are, by name or by number."""
    inner = html.escape(form, quote=False)
    marks = (("&quot;", "&#x27;"), ("&#34;", "&#39;"), ("&quot;", "&#39;"), ("&quot;", "'"), ('"', "'"))
    return {inner.replace('"', double).replace("'", single) for double, single in marks}


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


def _without_cut(text: str, secret: str) -> str:
    """Return the text without beginnings of a secret that end in an ellipsis."""
    head, tail = secret[:_STILL_TELLING], secret[_STILL_TELLING:]
    first, *pieces = text.split(head)
    for number, piece in enumerate(pieces):
        same = len(os.path.commonprefix([piece, tail]))  # noqa: RUF071  of any texts
        cut = piece.startswith(("...", "…"), same)
        pieces[number] = MASK + piece[same:] if cut else head + piece
    return "".join([first, *pieces])


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
        self.forms = sorted(forms, key=lambda form: (-len(form), form))
        self._long = sorted(secret for secret in secrets if len(secret) > _STILL_TELLING + 4)
        ordered = sorted((places or {}).items(), key=lambda item: -len(item[0]))
        self._places = [
            (re.compile(rf"(?<![\w.<]){re.escape(place)}(?![\w-])"), name) for place, name in ordered
        ]

    def text(self, text: str) -> str:
        """Return the text without secrets, machine paths and memory addresses."""
        text = self.secrets(text)
        for place, name in self._places:
            text = place.sub(name.replace("\\", r"\\"), text)
        return _ADDRESS.sub("0x…", _KERNEL_FILE.sub("[cell]", text))

    def secrets(self, text: str) -> str:
        """Return the text without secrets."""
        if found := [form for form in self.forms if form in text]:  # far faster than one large pattern
            secrets = re.compile("|".join(map(re.escape, found)))
            text = secrets.sub(lambda m: f":{MASK}@" if m[0][0] + m[0][-1] == ":@" else MASK, text)
        if "..." in text or "…" in text:
            for secret in self._long:
                text = _without_cut(text, secret)
        return text

    def value(self, value: Any) -> Any:
        """Return a JSON value with every text in it redacted, keys included."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {self.text(str(key)): self.value(item) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [self.value(item) for item in value]
        return value

    def json(self, text: str) -> str:
        """Return a JSON text redacted, as JSON: a number that happens to look like a secret stays a number."""
        masked = self.text(text)
        if masked != text:
            with contextlib.suppress(ValueError):
                whole = json.loads(text)
                try:
                    json.loads(masked)
                except ValueError:
                    return json.dumps(self.value(whole), ensure_ascii=False, indent=1) + "\n"
        return masked


def mask(text: str, *addresses: str) -> str:
    """Return a text for a terminal or a log without the secrets of the environment and of URLs in it.

    Parameters
    ----------
    text : str
        Such as the message of an error.
    *addresses : str
        What may name secrets besides, such as the arguments of a command.
    """
    found = environment_secrets() | url_secrets(text)
    return Redactor(found.union(*map(url_secrets, addresses))).secrets(text)
