"""A secret is named, never written: the address of data names a variable, its value reaches no written byte."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest

from helpers.data import address
from helpers.errors import BadData, BadParameters, MissingSecret
from helpers.report import redact
from helpers.report.run.kernels.client import ForkServer
from helpers.report.run.one_run import execute
from tests.report.plans import plan

PASSWORD = "p@ss/w:rd 7 wörtlich"
URL = "postgres://reader:${SHOP_LOGIN}@host/db?sslmode=require&apikey=${SHOP_KEY}"


@pytest.fixture
def shop(monkeypatch: pytest.MonkeyPatch) -> None:
    """Variables whose names do not say that they are secret."""
    monkeypatch.setenv("SHOP_LOGIN", PASSWORD)
    monkeypatch.setenv("SHOP_KEY", "k3y-of-the-shop")
    monkeypatch.setenv("SHOP", "postgres://reader:whole-password@host/db")


@pytest.mark.usefixtures("shop")
def test_an_address_is_filled_in_where_it_is_opened_and_shown_with_names() -> None:
    found = address.parse(URL)
    assert (
        found.url
        == f"postgres://reader:{quote(PASSWORD, safe='')}@host/db?sslmode=require&apikey=k3y-of-the-shop"
    )
    assert found.shown == URL and PASSWORD not in repr(found)
    whole = address.parse("${SHOP}")
    assert (whole.url, whole.shown) == ("postgres://reader:whole-password@host/db", "${SHOP}")
    assert address.redact("postgres://u:plain@h/${NAME}") == "postgres://u:***@h/${NAME}"


def test_every_variable_that_is_not_set_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SHOP_LOGIN", raising=False)
    monkeypatch.setenv("SHOP_KEY", "")
    with pytest.raises(
        MissingSecret, match="names SHOP_LOGIN, SHOP_KEY: the environment variables are not set"
    ):
        address.parse(URL)


def test_in_a_path_it_is_part_of_the_name(tmp_path: Path) -> None:
    (tmp_path / "${SHOP}").mkdir()
    assert address.parse(tmp_path / "${SHOP}").path == tmp_path / "${SHOP}"
    with pytest.raises(BadData, match="There is no DuckDB file"):
        address.parse("duckdb:///${SHOP}")


@pytest.mark.usefixtures("shop")
def test_values_are_masked_whatever_the_variables_are_called() -> None:
    secrets = redact.url_secrets(URL)
    assert secrets == {PASSWORD, "k3y-of-the-shop"}
    assert redact.url_secrets("${SHOP}") == {"postgres://reader:whole-password@host/db", "whole-password"}
    assert redact.mask_urls(URL) == URL, "names stay readable"


@pytest.mark.usefixtures("shop")
def test_the_value_reaches_no_written_byte(
    project: Path,
    build_notebook: Callable[..., Path],
    fork_server: ForkServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    leak = """from helpers.data import address
from helpers.report import params
import base64, os, urllib.parse, pathlib
found = address.parse(params.read("01_rfm", globals()).data)
print(found.url, os.environ["SHOP_LOGIN"])
print(base64.b64encode(found.url.encode()).decode(), urllib.parse.quote(os.environ["SHOP_LOGIN"]))
pathlib.Path(os.environ["PLAYBOOK_RUN_FOLDER"], "note.txt").write_text(found.url)
raise ValueError(f"cannot connect to {found.url}")"""
    path = build_notebook(leak)
    monkeypatch.setattr("helpers.report.plan.desk.fingerprint.fingerprint", lambda *_, **__: {})
    monkeypatch.setattr("helpers.data.engine.copies", lambda _: False)
    result = execute(plan(path, data=URL), project / "reports", server=fork_server)
    assert result.manifest.failure is not None and result.manifest.failure.error == "ValueError"
    assert result.manifest.parameters["data"] == URL and result.manifest.data.url == URL
    encoded = base64.b64encode(f"postgres://reader:{quote(PASSWORD, safe='')}".encode())
    forms = [
        PASSWORD.encode(),
        quote(PASSWORD).encode(),
        quote(PASSWORD, safe="").encode(),
        b"k3y-of-the-shop",
    ]
    written = [file for file in (project / "reports").rglob("*") if file.is_file()]
    assert len(written) > 5 and (result.folder / "note.txt") in written
    for file in written:
        content = file.read_bytes()
        assert not [form for form in (*forms, encoded[20:40]) if form in content], file.name
    assert "${SHOP_LOGIN}" in (result.folder / "report.html").read_text()


def test_a_secret_that_is_missing_in_the_kernel_is_told_apart(
    project: Path,
    build_notebook: Callable[..., Path],
    fork_server: ForkServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = build_notebook('from helpers.data import source\nsource.open("postgres://u:${SHOP_LOGIN}@h/db")')
    monkeypatch.delenv("SHOP_LOGIN", raising=False)
    result = execute(plan(path), project / "reports", server=fork_server)
    assert result.manifest.failure is not None and result.manifest.failure.kind == "missing_secret"
    assert "names SHOP_LOGIN" in result.manifest.failure.message


def test_what_is_no_address_stays_an_error() -> None:
    with pytest.raises(BadParameters):
        address.parse(3)
