"""Redaction: no secret in any form, no path of this machine, and nothing else changed."""

from __future__ import annotations

import base64
import html
import importlib
import inspect
import json
import pkgutil
import re
from pathlib import Path
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any
from urllib.parse import quote, quote_plus

import pytest

import helpers.report
from helpers.data import address
from helpers.report import redact
from helpers.report.publish.redact_files import redact_folder

SECRET = 'p@ss/w"ord&<é>+42'


@pytest.mark.parametrize(
    "form",
    [
        SECRET,
        json.dumps(SECRET),
        json.dumps(SECRET, ensure_ascii=False),
        html.escape(SECRET),
        json.dumps(html.escape(SECRET)),
        repr(SECRET),
        quote(SECRET),
        quote(SECRET, safe=""),
        quote(SECRET, safe="")
        .replace("%C3%A9", "%c3%a9")
        .replace("%40", "%40")
        .lower()
        .replace("p%40", "p%40"),
        quote_plus(SECRET),
        base64.b64encode(SECRET.encode()).decode(),
        base64.urlsafe_b64encode(SECRET.encode()).decode(),
        base64.b64encode(f"user:{SECRET}".encode()).decode(),
        base64.b64encode(f"u:{SECRET}@host/database".encode()).decode(),
        base64.b64encode(f"us:{SECRET}".encode()).decode(),
    ],
)
def test_every_form_of_a_secret_is_masked(form: str) -> None:
    text = redact.Redactor({SECRET}).text(f"before {form} after")
    assert redact.MASK in text and form not in text
    assert text.startswith("before ") and text.endswith(" after")


def test_url_passwords_and_tokens_are_secrets() -> None:
    url = "postgres://me:hunter2@db/x?sslmode=require&access_token=abc123def&sig=zz99"
    assert redact.url_secrets(url) == {"hunter2", "abc123def", "zz99"}
    assert redact.url_secrets("postgres://me:a%40b@db/x") == {"a%40b", "a@b"}
    assert redact.url_secrets("folder/of/tables and http://[broken") == set()
    inside = {"-Dx.trustStorePassword=hunter22": "a", "jdbc:mysql://db/x?user=me&password=hunter33": "b"}
    for value, name in inside.items():
        spark = f"pyspark:///shop?spark.{name}={quote(value, safe='')}&spark.sql.shuffle.partitions=2"
        shown = f"pyspark:///shop?spark.{name}=***&spark.sql.shuffle.partitions=2"
        assert redact.mask_urls(spark) == address.redact(spark) == shown
    sas = "pyspark:///shop?spark.hadoop.fs.azure.sas.box.shop=hunter44"
    assert redact.mask_urls(sas) == address.redact(sas) == sas.replace("hunter44", "***")
    assert address.redact("pyspark:///shop?spark.x=a%3Db") == "pyspark:///shop?spark.x=a%3Db"
    assert redact.mask_urls(url) == "postgres://me:***@db/x?sslmode=require&access_token=***&sig=***"


def test_environment_secrets_go_by_name() -> None:
    environment = {
        "PGPASSWORD": "correcthorse",
        "GITHUB_TOKEN": "ghp_12345678",
        "PLAYBOOK_SALT": "pepper-and-salt",
        "AWS_SECRET_ACCESS_KEY": "AKIA1234567890",
        "DATABASE_URL": "mysql://u:s3cr3t@h/d",
        "PWD": "/home/me/project",
        "HOME": "/home/me",
        "MY_TOKEN": "true",
        "KEYBOARD": "us-international",
    }
    found = redact.environment_secrets(environment)
    assert found == {"correcthorse", "ghp_12345678", "pepper-and-salt", "AKIA1234567890", "s3cr3t"}


def test_a_short_password_masks_its_url_only() -> None:
    text = redact.Redactor({"a"}).text("a cat, mysql://u:a@host")
    assert text == "a cat, mysql://u:***@host"


def test_machine_paths_addresses_and_kernel_files_go() -> None:
    redactor = redact.Redactor(set(), {"/home/me/project": "[project]", "/home/me/project/.venv": "[python]"})
    text = "/home/me/project/notebooks /home/me/project/.venv/bin /home/me/project2 <object at 0x7f31aa02>"
    assert redactor.text(text) == "[project]/notebooks [python]/bin /home/me/project2 <object at 0x…>"
    assert redactor.text("/tmp/ipykernel_4023/1382.py:1: UserWarning") == "[cell]:1: UserWarning"


def test_a_folder_is_redacted_and_the_rest_left_alone(tmp_path: Path) -> None:
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists" / "a.csv").write_bytes(b"\xef\xbb\xbfid\nhunter22\n\xff\n")
    (tmp_path / "t.parquet").write_bytes(b"hunter22")
    (tmp_path / "x.json").write_text('{"a": 1}')
    before = (tmp_path / "x.json").stat().st_mtime_ns
    redact_folder(tmp_path, redact.Redactor({"hunter22"}))
    assert (tmp_path / "lists" / "a.csv").read_bytes() == b"\xef\xbb\xbfid\n***\n\xff\n"
    assert (tmp_path / "t.parquet").read_bytes() == b"***", "a text, whatever its name says"
    assert (tmp_path / "x.json").stat().st_mtime_ns == before


def test_values_are_redacted_inside_structures() -> None:
    value = {"url": "x://u:hunter22@h", "list": [1, "hunter22", None], "hunter22": True}
    assert redact.Redactor({"hunter22"}).value(value) == {
        "url": "x://u:***@h",
        "list": [1, "***", None],
        "***": True,
    }


@pytest.mark.parametrize(
    "name",
    [
        "DB_PASS",
        "PASS",
        "GITHUB_PAT",
        "PAT",
        "SHOP_AUTH",
        "SESSION_COOKIE",
        "SLACK_WEBHOOK_URL",
        "PGPASSWORD",
    ],
)
def test_a_name_says_that_a_value_is_secret(name: str) -> None:
    assert redact.environment_secrets({name: "abc123"}) == {"abc123"}


@pytest.mark.parametrize(
    "name",
    [
        "PATH",
        "PATTERN",
        "AUTHOR",
        "COMPASS",
        "COMPASS_DIR",
        "SSH_AUTH_SOCK",
        "XAUTHORITY",
        "BYPASSED",
        "PWD",
        "COOKIECUTTER_HOME",
        "OLDPWD",
    ],
)
def test_a_name_that_only_sounds_alike_says_nothing(name: str) -> None:
    assert redact.environment_secrets({name: "abc123"}) == set()


def test_short_passwords_are_masked_and_short_tokens_are_not() -> None:
    environment = {"PGPASSWORD": "abcde", "DB_PASS": "wxyz", "MY_TOKEN": "true", "OTHER_PASSWORD": "abc"}
    assert redact.environment_secrets(environment) == {"abcde", "wxyz"}


@pytest.mark.parametrize(
    ("value", "secrets"),
    [
        ("Driver={ODBC};Server=db;Uid=me;Pwd=hunter22;Encrypt=yes", {"hunter22"}),
        ("Driver={ODBC};Uid=me;PWD={p;w 1};", {"p;w 1"}),
        ("host=db user=me password=hunter22 dbname=x", {"hunter22"}),
        ("host=db password='hunter 22' port=1", {"hunter 22"}),
        ("AccountName=me;AccountKey=abc+/12==;EndpointSuffix=x", {"abc+/12=="}),
        ("password == other", set()),
        ("compass=north;bypass=true", set()),
        ("password=${PGPASSWORD}", set()),
    ],
)
def test_connection_strings_name_their_secrets(value: str, secrets: set[str]) -> None:
    assert redact.environment_secrets({"CONNECTION_STRING": value, "ODBC_DSN": value}) == secrets


def test_a_home_is_a_place_and_a_tag_is_none() -> None:
    redactor = redact.Redactor(set(), {"/home/ana": "[home]", "/home/ana/project": "[project]"})
    assert (
        redactor.text("/home/ana/project/a /home/ana/.cache <home></home>")
        == "[project]/a [home]/.cache <home></home>"
    )


def test_a_secret_that_was_cut_short_is_masked() -> None:
    redactor = redact.Redactor({"abcdefghijklmnop"})
    assert (
        redactor.text("x abcdefghijk... abcdefgh… abcdefghX... abcdefgh")
        == "x ***... ***… abcdefghX... abcdefgh"
    )
    assert redactor.text("abcdefghabcdefghij...") == "abcdefgh***..."


def weaknesses(pattern: str) -> list[str]:
    """Return why a search for a pattern may take time beyond that of reading the text once.

    A repetition without end at its beginning is begun at each character, unless what stands before it says where;
    one within another can share the same characters in many ways.
    """
    found, (look_behind, repeats) = (
        [],
        ((parser.ASSERT, parser.ASSERT_NOT), (parser.MAX_REPEAT, parser.MIN_REPEAT)),
    )

    def endless(item: Any) -> bool:
        return item[0] in repeats and item[1][1] is parser.MAXREPEAT

    def walk(items: Any, *, begins: bool, inside: bool) -> None:
        for code, value in items:
            if endless((code, value)):
                found.extend(["a repetition begins it"] * begins + ["a repetition in a repetition"] * inside)
            for part in value if isinstance(value, (list, tuple)) else ():
                for inner in part if isinstance(part, list) else [part]:
                    if isinstance(inner, parser.SubPattern):
                        walk(inner, begins=begins, inside=inside or endless((code, value)))
            begins = begins and code in look_behind and value[0] > 0

    walk(parser.parse(pattern), begins=True, inside=False)
    return found


def test_no_pattern_of_the_reports_looks_at_a_text_twice() -> None:
    patterns = {}
    for found in pkgutil.walk_packages(helpers.report.__path__, "helpers.report."):
        module = importlib.import_module(found.name)
        for name, value in vars(module).items():  # a match begins at one place, a search at every one
            if isinstance(value, re.Pattern) and re.search(
                rf"{name}\.(?!full|match)", inspect.getsource(module)
            ):
                patterns[f"{found.name}.{name}"] = value.pattern
    assert len(patterns) > 15
    assert {name: why for name, pattern in patterns.items() if (why := weaknesses(pattern))} == {}
    assert weaknesses(r".*\r(?=[^\n])") == ["a repetition begins it"], "takes minutes for 48 kB of one line"
    assert weaknesses(r"a(b+)+c") == ["a repetition in a repetition"]
    assert weaknesses(r"(?<!\S)\S*x\d+") == []
