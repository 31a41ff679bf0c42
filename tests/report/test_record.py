"""Recording: what is shown, what is written, and that the same frame gives the same bytes."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from helpers.playbook.action import Action
from helpers.playbook.finding import Finding, Provenance
from helpers.report import record
from helpers.report.project import RUN_FOLDER
from helpers.tables import LAB_STYLE

FRAME = pd.DataFrame({"tier": ["core", "active <b>"], "members": [1200, 3], "share": [0.5, np.nan]})
PSEUDONYM = "p_0123456789abcdef"


class FakeChart:
    """A picture by hand."""

    title = "Members by tier"
    alt = "Half of the 1,203 members are core members, the rest is active."
    data = FRAME

    def svg(self) -> str:
        return "<svg></svg>"

    def _repr_html_(self, svg: str = "") -> str:
        return "<figure><svg></svg></figure>"


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[record.Shown]:
    """What was displayed."""
    outputs: list[record.Shown] = []
    monkeypatch.setattr(record, "display", outputs.append)
    monkeypatch.delenv(RUN_FOLDER, raising=False)
    return outputs


@pytest.fixture
def batch(shown: list, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A run folder."""
    monkeypatch.setenv(RUN_FOLDER, str(tmp_path))
    return tmp_path


def finding(name: str = "rfm.share") -> Finding:
    return Finding(
        id=name,
        metric="Share",
        scope="all",
        value=0.5,
        low=0.4,
        high=0.6,
        confidence=0.95,
        n=100,
        unit="share",
        direction="up is good",
        verdict="better",
        sentence="Half of them <stay>.",
        provenance=Provenance(method="Wilson", assumption="independent members"),
    )


def action(*rests_on: str) -> Action:
    return Action(
        id="court_core",
        title="Court the core",
        why="They stay",
        finding_ids=rests_on,
        owner_role="community lead",
        expected_value=1000.0,
        low=500.0,
        high=1500.0,
        cost=10.0,
        confidence_class="rule",
        check_metric="share",
        check_after_days=30,
    )


def test_a_table_is_accessible_html_and_short_text(shown: list[record.Shown]) -> None:
    record.table(
        "tiers", FRAME, "Members by tier, n = 1,203", units={"share": "share"}, note="A note & more."
    )
    html, text = shown[0]._repr_html_(), repr(shown[0])
    assert html.startswith(
        f'{LAB_STYLE}<figure class="table"><table class="n2 n3"><caption>Members by tier, n = 1,203</caption>'
    )
    assert '<th scope="col">tier</th>' in html and '<th scope="row">core</th>' in html
    assert "active &lt;b&gt;" in html and "1,200" in html and "50.0 %" in html and "–</td>" in html
    assert "A note &amp; more." in html
    assert text.startswith("Table tiers: 2 rows\n") and "1200" in text


def test_a_long_table_says_what_it_leaves_out_and_keeps_all(shown: list[record.Shown], batch: Path) -> None:
    record.table("long", pd.DataFrame({"day": range(134)}), "Days")
    assert "First 20 of 134 rows, all in tables/long.csv." in shown[0].html
    assert shown[0].html.count("<tr>") == 21
    assert len(pq.read_table(batch / "tables/long.parquet")) == 134
    assert len(repr(shown[0]).splitlines()) == 12


def test_parquet_holds_the_frame_in_microseconds_without_pandas_metadata(shown: list, batch: Path) -> None:
    frame = pd.DataFrame({"ts": pd.to_datetime(["2026-01-01T00:00:00.123456789"]), "n": [1]})
    frame["month"] = pd.PeriodIndex(["2026-01"], freq="M")
    record.table("t", frame, "Times")
    written = pq.read_table(batch / "tables/t.parquet")
    assert str(written.schema.field("ts").type) == "timestamp[us]"
    assert written.column("month").to_pylist() == ["2026-01"]
    assert b"pandas" not in (written.schema.metadata or {})


def test_equal_frames_give_equal_bytes(shown: list, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    hashes = set()
    for number, frame in enumerate((FRAME, FRAME.copy(), FRAME.set_axis([7, 9]), FRAME.iloc[[0, 1]])):
        folder = tmp_path / str(number)
        monkeypatch.setenv(RUN_FOLDER, str(folder))
        record.table("t", frame, "Same")
        hashes.add(hashlib.sha256((folder / "tables/t.parquet").read_bytes()).hexdigest())
    assert len(hashes) == 1


def test_a_named_index_becomes_the_first_column(shown: list, batch: Path) -> None:
    record.table("t", FRAME.set_index("tier"), "By tier")
    record.table("s", FRAME.set_index("tier")["members"], "A series")
    assert pq.read_table(batch / "tables/t.parquet").column_names == ["tier", "members", "share"]
    assert pq.read_table(batch / "tables/s.parquet").column_names == ["tier", "members"]


def test_a_name_is_used_once_in_a_batch_and_freely_in_jupyter(
    shown: list[record.Shown], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for _ in range(2):
        record.table("t", FRAME, "Interactive")
    assert len(shown) == 2 and list(tmp_path.iterdir()) == []
    monkeypatch.setenv(RUN_FOLDER, str(tmp_path))
    record.table("t", FRAME, "Batch")
    with pytest.raises(ValueError, match=r"tables/t\.parquet is already recorded"):
        record.table("t", FRAME, "Batch")


@pytest.mark.parametrize("name", ["Tiers", "a/b", "../x", "", "a b", "_x"])
def test_names_are_plain(shown: list, name: str) -> None:
    with pytest.raises(ValueError, match="must be lower-case"):
        record.table(name, FRAME, "x")


def test_a_column_of_mixed_types_is_named(shown: list, batch: Path) -> None:
    with pytest.raises(ValueError, match="column mixed"):
        record.table("t", pd.DataFrame({"mixed": [1, "a"]}), "x")
    assert not (batch / "tables/t.parquet").exists()


def test_a_figure_is_drawing_data_and_alternative(shown: list[record.Shown], batch: Path) -> None:
    record.figure("tiers", FakeChart())
    assert (batch / "figures/tiers.svg").read_text() == "<svg></svg>"
    assert len(pq.read_table(batch / "figures/tiers.parquet")) == 2
    assert repr(shown[0]) == f"Figure tiers: {FakeChart.alt}"
    assert shown[0].html.startswith("<figure>")


def test_findings_and_actions_are_json_in_order(shown: list[record.Shown], batch: Path) -> None:
    record.findings([finding("b"), finding("a")])
    record.actions([action("a")])
    written = json.loads((batch / "findings.json").read_text())
    assert [item["id"] for item in written] == ["b", "a"]
    assert list(written[0]) == sorted(written[0])
    assert [Finding.model_validate(item) for item in written] == [finding("b"), finding("a")]
    assert json.loads((batch / "actions.json").read_text())[0]["finding_ids"] == ["a"]
    assert "Half of them &lt;stay&gt;." in shown[0].html and 'class="finding better"' in shown[0].html
    assert repr(shown[0]).splitlines()[0] == "[better] Half of them <stay>."
    assert "CNY 1,000 (CNY 500 to CNY 1,500)" in repr(shown[1])


def test_an_action_rests_on_recorded_findings(shown: list) -> None:
    record.findings([finding("rfm.share")])
    with pytest.raises(
        ValueError, match=r"'rfm\.shares', which is not recorded\. Did you mean \"rfm\.share\""
    ):
        record.actions([action("rfm.shares")])


def test_ids_are_unique(shown: list) -> None:
    with pytest.raises(ValueError, match="finding 'x' is there more than once"):
        record.findings([finding("x"), finding("x")])


def test_no_findings_say_so(shown: list[record.Shown], batch: Path) -> None:
    record.findings([])
    assert repr(shown[0]) == "No findings." and (batch / "findings.json").read_text() == "[]\n"


def test_a_contact_list_is_announced_and_kept(shown: list[record.Shown], batch: Path) -> None:
    frame = pd.DataFrame({"member_id": [PSEUDONYM], "tier": ["核心"], "value": [0.1 + 0.2]})
    record.contact_list("core", frame, "Core members to thank")
    assert (batch / "lists/core.csv").read_text(
        "utf-8-sig"
    ) == f"member_id,tier,value\n{PSEUDONYM},核心,0.3\n"
    assert pq.read_table(batch / "lists/core.parquet").num_rows == 1
    text = repr(shown[0])
    assert text.startswith("Core members to thank: 1 members. Files: lists/core.csv")
    assert text.endswith("playbook reveal lists/core.csv --data …")
    assert {path.stat().st_mode & 0o777 for path in batch.glob("lists/*")} == {0o600}
    assert PSEUDONYM not in shown[0].html


@pytest.mark.parametrize("column", ["member_id", "referrer_member_id"])
def test_plain_member_ids_are_refused(shown: list, batch: Path, column: str) -> None:
    frame = pd.DataFrame({"member_id": [PSEUDONYM, "p_fedcba9876543210"], column: [PSEUDONYM, "13800138000"]})
    for call in (record.contact_list, record.table):
        with pytest.raises(ValueError, match=f"1 of 2 values of {column} are not pseudonyms") as caught:
            call("people", frame.iloc[:, -1:] if call is record.table else frame, "People")
        assert "13800138000" not in str(caught.value)
    assert list(batch.rglob("*.*")) == []


def test_a_contact_list_names_each_member_once(shown: list) -> None:
    with pytest.raises(ValueError, match="more than once"):
        record.contact_list("core", pd.DataFrame({"member_id": [PSEUDONYM] * 2}), "x")
    with pytest.raises(ValueError, match="has no column member_id; it has tier"):
        record.contact_list("core", FRAME[["tier"]], "x")


def test_a_sentence_is_a_paragraph(shown: list[record.Shown]) -> None:
    record.say("R < F")
    assert shown == [record.Shown('<p class="sentence">R &lt; F</p>', "R < F")]


def test_a_table_is_kept_for_spreadsheets_too(shown: list, batch: Path) -> None:
    record.table("named", pd.DataFrame({"name": ["=1+1", "核心"], "n": [1, 2]}), "Names")
    path = batch / "tables/named.csv"
    assert path.read_text("utf-8-sig") == "name,n\n'=1+1,1\n核心,2\n", "no text is taken for a formula"
    assert path.read_bytes().startswith(b"\xef\xbb\xbf"), "a spreadsheet reads Chinese text"


def test_a_summary_is_short_and_names_no_member(batch: Path) -> None:
    record.summary("Week of 2026-06-22\nreports/index.html")
    assert (batch / "summary.txt").read_text("utf-8") == "Week of 2026-06-22\nreports/index.html\n"
    with pytest.raises(ValueError, match="at most 500"):
        record.summary("x" * 501)
    with pytest.raises(ValueError, match="must not name a member"):
        record.summary("ask p_0123456789abcdef")
