"""Canaries: no secret, in whatever form a notebook may write it, reaches a published byte or a terminal."""

from __future__ import annotations

import base64
import gzip
import html
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote, quote_plus

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from helpers import cli
from helpers.report.publish.manifest import read_manifest
from helpers.report.publish.redact_files import WITHHELD, redact_folder, write_parquet
from helpers.report.redact import Redactor, environment_secrets, mask
from helpers.report.run import batch
from tests.report.plans import plan

CANARIES = {
    "API_TOKEN": "tok-4\"5<up3r>&'5ecret",
    "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY" + 40 * "x",
    "SHOP_LOGIN": "sésame öpen/99",  # by its name no secret: the address of the data names it
    "STRIPE_KEY": "sk_live_canary_0001",
}
READ = """import base64, html, json, os, pathlib, subprocess, sys, urllib.parse, warnings
import pandas as pd
from helpers.figures import Chart, new_figure
from helpers.report import params, record
parameters = params.read("01_rfm", globals())
folder = pathlib.Path(os.environ["PLAYBOOK_RUN_FOLDER"])
canaries = [os.environ[name] for name in ("API_TOKEN", "AWS_SECRET_ACCESS_KEY", "SHOP_LOGIN", "STRIPE_KEY")]"""
PRINT = """for value in canaries:
    print(value, repr(value), json.dumps(value), json.dumps(json.dumps({"a": value})), html.escape(value))
    print(base64.b64encode(value.encode()).decode(), base64.urlsafe_b64encode(b"me:" + value.encode()).decode())
    print(urllib.parse.quote(value), urllib.parse.quote_plus(value), value.encode().hex(), file=sys.stderr)
    os.write(2, value.encode())
    subprocess.run(["printf", "%s", value], check=True)
    sys.__stderr__.write(value)
    warnings.warn("careful with " + value)
{"value": canaries, "shown": f"<b>{html.escape(canaries[0])}</b>"}"""
TABLE = """frame = pd.DataFrame({"who": canaries, "list": [[value, "x"] for value in canaries], "n": 1})
frame["kind"] = pd.Categorical(canaries)
record.table("leak", frame, "Those who " + canaries[0])
record.table("named", pd.DataFrame({"a": [1], canaries[1]: [2]}), "A column")
record.say(f"It is {canaries[3]}.")
frame"""
FIGURE = """figure, axes = new_figure()
axes.bar([0], [1])
axes.set_title(canaries[0] + canaries[3])
alt = "The bar is as high as one, and says what it must not say: " + canaries[0]
record.figure("leak", Chart("Leak " + canaries[1], alt, frame[["who", "n"]], figure))"""
FILES = """(folder / (canaries[3] + ".txt")).write_text(canaries[0])
(folder / "log").write_text("\\n".join(canaries))
(folder / canaries[3]).mkdir()
(folder / canaries[3] / "picture.png").write_bytes(b"\\x89PNG\\0\\xff" + canaries[3].encode())
frame.to_csv(folder / "leak.csv")
frame.to_parquet(folder / "own.parquet")
frame.to_json(folder / "own.json")"""
FAIL = """class Refused(Exception): pass
def connect(password):
    raise Refused(f"cannot connect with {password} to me:{password}@host")
if parameters.seed == 2: connect(canaries[0])
if parameters.seed == 3: raise Refused(" ".join(canaries))
if parameters.seed == 4: pd.DataFrame({canaries[1]: [1]})[canaries[3]]"""


def forms(secret: str) -> set[bytes]:
    """Forms of a secret, made without the code under test."""
    in_base64 = {base64.b64encode(secret.encode()), base64.urlsafe_b64encode(secret.encode())}
    texts = {
        secret,
        repr(secret)[1:-1],
        json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
        html.escape(secret),
        html.escape(secret, quote=False),
        quote(secret),
        quote(secret, safe=""),
        quote_plus(secret),
        secret.encode().hex(),
        secret[:12],  # also where a table cuts it short
    }
    return {text.encode() for text in texts} | {form[:-4] for form in in_base64}


def leaks(content: bytes) -> list[str]:
    return [name for name, value in CANARIES.items() if any(form in content for form in forms(value))]


def told(path: Path) -> bytes:
    """Return all that a file says, a table column by column."""
    content = path.read_bytes()
    if path.suffix == ".parquet":
        table = pq.read_table(path)
        content += (
            repr([table.schema.to_string(), table.to_pydict()]).encode() + str(table.to_pylist()).encode()
        )
    return content


@pytest.mark.usefixtures("forked")
def test_no_canary_is_published_or_printed(
    project: Path,
    build_notebook: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    build_notebook(READ, PRINT, TABLE, FIGURE, FILES, FAIL)
    data = (project / "tables").as_uri()
    runs = "".join(
        f"  - {{notebook: rfm, label: s{seed}, parameters: {{seed: {seed}}}}}\n" for seed in (1, 2, 3, 4)
    )
    scheme = "tier_scheme: https://me:${SHOP_LOGIN}@host/x.yml"
    (project / "plan.yml").write_text(f"data: tables\nparameters:\n  {scheme}\njobs:\n{runs}")
    command = ["playbook", "run", "--plan", str(project / "plan.yml")]
    command += ["--notebooks", str(project / "notebooks"), "--reports", str(project / "reports")]
    monkeypatch.setattr(sys, "argv", command)
    for name, value in CANARIES.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as stop:
        cli.main()
    said = "".join(capfd.readouterr())
    assert stop.value.code == 1, said
    assert leaks(said.encode()) == [], said
    assert data not in said
    reports = project / "reports"
    status = {seed: read_manifest(reports / f"rfm/s{seed}/v1") for seed in (1, 2, 3, 4)}
    assert [manifest.status for manifest in status.values()] == ["succeeded", "failed", "failed", "failed"]
    assert status[2].failure is not None and "cannot connect with ***" in status[2].failure.message
    found = {path.relative_to(reports): leaks(told(path)) for path in reports.rglob("*") if path.is_file()}
    assert len(found) > 40
    assert {str(path): names for path, names in found.items() if names} == {}
    assert leaks("\n".join(map(str, reports.rglob("*"))).encode()) == []
    folder = reports / "rfm/s1/v1"
    assert pq.read_table(folder / "tables/leak.parquet")["who"].to_pylist() == ["***"] * 4
    assert (folder / "masked/picture.png.withheld.txt").read_text() == WITHHELD
    assert (folder / "masked.txt").read_text() == "***"


def test_the_forms_looked_for_here_can_be_found() -> None:
    for name, value in CANARIES.items():
        assert leaks(f"x{html.escape(value)}y".encode()) == [name]
        assert leaks(base64.b64encode(value.encode())) == [name]


@pytest.mark.parametrize(
    "column",
    [
        pa.array(["a", "my hunter22", None]),
        pa.array(["a", "my hunter22", None], pa.large_string()),
        pa.array(["a", "my hunter22", None]).dictionary_encode(),
        pa.array([b"a", b"my hunter22", None]),
        pa.array([["a"], ["my hunter22", "b"], None]),
        pa.array([{"x": {"y": ["a"]}}, {"x": {"y": ["my hunter22"]}}, None]),
        pa.array([[("k", "a")], [("my hunter22", "b")], None], pa.map_(pa.string(), pa.string())),
    ],
    ids=["string", "large string", "dictionary", "binary", "list", "struct", "map"],
)
def test_tables_are_masked_in_every_kind_of_column(tmp_path: Path, column: pa.Array) -> None:
    table = pa.table({"n": [1, 2, 3], "x": column})
    for name in ("one", "two"):
        pq.write_table(table, tmp_path / f"{name}.parquet", compression="none")
        redact_folder(tmp_path, Redactor({"hunter22"}))
    new = pq.read_table(tmp_path / "one.parquet")
    assert new["n"].to_pylist() == [1, 2, 3] and new["x"].type == column.type
    assert str(new["x"].to_pylist()) == str(column.to_pylist()).replace("hunter22", "***")
    content = (tmp_path / "one.parquet").read_bytes()
    assert b"hunter22" not in content and content == (tmp_path / "two.parquet").read_bytes()


def test_names_and_notes_of_a_table_are_masked_and_other_tables_left_alone(tmp_path: Path) -> None:
    frame = pd.DataFrame({"hunter22": ["a"], "***": ["b"]}, index=pd.Index(["c"], name="hunter22 "))
    frame.to_parquet(tmp_path / "named.parquet")
    clean, path = (
        pa.table({"text": ["a", "b"] * 100, "at": pd.to_datetime(["2026-01-01"] * 200)}),
        tmp_path / "c.parquet",
    )
    write_parquet(clean, path)
    before = path.read_bytes(), path.stat().st_mtime_ns
    redact_folder(tmp_path, Redactor({"hunter22"}))
    named = pq.read_table(tmp_path / "named.parquet")
    assert len(set(named.column_names)) == 3 and b"hunter22" not in (tmp_path / "named.parquet").read_bytes()
    assert [column[0].as_py() for column in named.columns] == ["a", "b", "c"]
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before


def test_what_cannot_be_masked_is_held_back(tmp_path: Path) -> None:
    (tmp_path / "packed.gz").write_bytes(gzip.compress(b"\xff hunter22"))
    pd.DataFrame({"a": ["hunter22"]}).to_pickle(tmp_path / "frame.pickle")
    (tmp_path / "wide.txt").write_bytes("hunter22".encode("utf-16"))
    (tmp_path / "harmless.png").write_bytes(b"\x89PNG\0\xff")
    redact_folder(tmp_path, Redactor({"hunter22"}))
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "frame.pickle.withheld.txt",
        "harmless.png",
        "packed.gz.withheld.txt",
        "wide.txt.withheld.txt",
    ]


def test_links_are_not_followed_out_of_the_run(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "outside.txt").write_text("hunter22")
    (tmp_path / "run" / "link.txt").symlink_to(tmp_path / "outside.txt")
    (tmp_path / "run" / "broken").symlink_to(tmp_path / "nowhere")
    os.mkfifo(tmp_path / "run" / "pipe")
    redact_folder(tmp_path / "run", Redactor({"hunter22"}))
    assert (tmp_path / "outside.txt").read_text() == "hunter22"
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["link.txt"]
    assert not (tmp_path / "run/link.txt").is_symlink() and (tmp_path / "run/link.txt").read_text() == "***"


def test_a_secret_of_digits_breaks_no_json() -> None:
    text = json.dumps([{"value": 20260630, "sentence": "20260630 is it"}])
    assert json.loads(Redactor({"20260630"}).json(text)) == [{"value": 20260630, "sentence": "*** is it"}]
    assert Redactor({"hunter22"}).json('{"a": "hunter22"}') == '{"a": "***"}'


def test_beginnings_cut_short_are_masked_and_ordinary_text_is_not() -> None:
    redactor = Redactor({"abcdefghijklmnopqrstuvwxyz"})
    assert redactor.text("is abcdefghijkl... and abcdefghijklmno… here") == "is ***... and ***… here"
    assert redactor.text("abcdefghijkl and abcdefghXjkl...") == "abcdefghijkl and abcdefghXjkl..."


def test_messages_of_the_driver_are_masked(
    monkeypatch: pytest.MonkeyPatch, build_notebook: Callable[..., Path]
) -> None:
    monkeypatch.setenv("API_TOKEN", CANARIES["API_TOKEN"])
    monkeypatch.setenv("SHOP_LOGIN", "sesame-open")
    assert mask("a sesame-open z", "postgres://u:${SHOP_LOGIN}@h") == "a *** z"
    assert mask("postgres://u:hunter22@h: hunter22") == "postgres://u:***@h: ***"

    class Failing:
        def result(self) -> None:
            raise ValueError(f"no luck with {CANARIES['API_TOKEN']}")

    result = batch._result(plan(build_notebook("1")), Failing())  # type: ignore[arg-type]
    assert result.line == "rfm/all: not published: ValueError: no luck with ***"
    assert result.failure is not None and CANARIES["API_TOKEN"] not in result.failure.message


def test_keys_are_secrets_by_their_name() -> None:
    names = {
        "STRIPE_KEY": "sk_live_1234",
        "OPENAI_API_KEY": "sk-123456",
        "KEYBOARD": "us-intl-1",
        "MONKEY": "banana",
    }
    assert environment_secrets(names) == {"sk_live_1234", "sk-123456"}
