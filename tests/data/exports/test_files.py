"""Files of any shape become rows of text: what they are is told by their content."""

import gzip
import io
import json
import tarfile
import zipfile

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from helpers.data.exports.files import UnreadableFileError, clean, open_file

ID = "6912345678901234567"


def read(path, workspace, expected=()):
    """Return the names and rows of the only grid of a file."""
    (raw,) = open_file(path, workspace, expected)
    return raw.names, duckdb.sql(raw.query).fetchall()


@pytest.fixture
def at(tmp_path):
    """Write bytes, or text in an encoding, to a file of a name that need not fit."""

    def write(name, content, encoding="utf-8"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode(encoding))
        return path

    return write


TEXT = f'店铺订单导出,,\n导出时间：2026-07-01 10:00,,\n\n订单号,金额（元）,备注\n{ID},￥1,\n0042,,"a, ""b""\nc"\n'
NAMES, ROWS = ("订单号", "金额(元)", "备注"), [(ID, "￥1", None), ("0042", None, 'a, "b"\nc')]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "gb18030"])
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_text_in_every_encoding_below_a_banner(at, workspace, encoding, ending):
    path = at("orders.xls", TEXT.replace("\n", ending), encoding)
    names, rows = read(path, workspace)
    assert (names, [tuple(each and each.replace("\r\n", "\n") for each in row) for row in rows]) == (
        NAMES,
        ROWS,
    )


def test_a_plain_file_stays_where_it_is(at, workspace):
    (raw,) = open_file(at("a.csv", "a,b\n1,2\n"), workspace)
    assert "a.csv" in raw.query and not list(workspace.iterdir()) and raw.name == "a.csv"


@pytest.mark.parametrize(
    ("text", "names", "rows"),
    [
        ("sep=;\nuser;time\n1;x\n", ("user", "time"), [("1", "x")]),
        ("user\ttime\n1\t2,5\n2\t3,5\n", ("user", "time"), [("1", "2,5"), ("2", "3,5")]),
        ("a,a,,A\n1,2,3,4\n", ("a", "a_2", "unnamed_3", "A_3"), [("1", "2", "3", "4")]),
        ("`id,`when \n`1,x\ntotal,2\n", ("id", "when"), [("`1", "x"), ("total", "2")]),
        # Rows without groups are shorter; rows may end with a comma that the names have not.
        ("id,name,groups\n1,x\n2,y,z\n", ("id", "name", "groups"), [("1", "x", None), ("2", "y", "z")]),
        ("id,name\n1,x,\n2,y,\n", ("id", "name", "unnamed_3"), [("1", "x", None), ("2", "y", None)]),
        ("all,all,all\nuser,when,what\n1,2,3\n", ("user", "when", "what"), [("1", "2", "3")]),
        (
            "<table><tr><th colspan=2>Members</th></tr><tr><td>id</td><td>joined<br></td></tr>"
            "<tr><td>1</td><td>5 &lt; 6</td></tr></table>",
            ("id", "joined"),
            [("1", "5 < 6")],
        ),
    ],
)
def test_shapes_of_text(at, workspace, text, names, rows):
    assert read(at("export.txt", text), workspace) == (names, rows)


def test_known_names_win_over_the_form_of_a_row(at, workspace):
    text = "Kind,Who,When,Where\nuser,2026,time,\nA,B,C,D\n"
    assert read(at("a.csv", text), workspace)[0] == ("Kind", "Who", "When", "Where")
    assert read(at("a.csv", text), workspace, {"user", "time"})[0] == ("user", "2026", "time", "unnamed_4")


def packed(content, kind):
    if kind == "gz":
        return gzip.compress(content)
    if kind == "zst":
        sink = pa.BufferOutputStream()
        with pa.CompressedOutputStream(sink, "zstd") as stream:
            stream.write(content)
        return sink.getvalue().to_pybytes()
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("__MACOSX/._orders.csv", b"\0")
        archive.writestr("export/orders.csv", content)
    return out.getvalue()


@pytest.mark.parametrize("kind", ["gz", "zst", "zip"])
def test_packed_files_under_any_name(at, workspace, kind):
    path = at("orders.csv", packed(packed(TEXT.encode("gb18030"), "gz"), kind))
    assert read(path, workspace) == (NAMES, ROWS)
    assert open_file(path, workspace)[0].part == ("export/orders.csv" if kind == "zip" else "")


def workbook(sheets, styles="<xf numFmtId='0'/><xf numFmtId='170'/>"):
    """Return a workbook of sheets of XML cells, as an exporting shop writes it."""
    main = "xmlns='http://schemas.openxmlformats.org/spreadsheetml/2006/main'"
    office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    listed = "".join(f"<sheet name='{name}' sheetId='{n}' r:id='r{n}'/>" for n, name in enumerate(sheets))
    targets = "".join(f"<Relationship Id='r{n}' Target='worksheets/s{n}.xml'/>" for n in range(len(sheets)))
    formats = "<numFmts><numFmt numFmtId='170' formatCode='yyyy\\-mm\\-dd'/></numFmts>"
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(
            "xl/workbook.xml", f"<workbook {main} xmlns:r='{office}'><sheets>{listed}</sheets></workbook>"
        )
        archive.writestr("xl/_rels/workbook.xml.rels", f"<Relationships>{targets}</Relationships>")
        archive.writestr(
            "xl/styles.xml", f"<styleSheet {main}>{formats}<cellXfs>{styles}</cellXfs></styleSheet>"
        )
        archive.writestr(
            "xl/sharedStrings.xml",
            f"<sst {main}><si><t>id</t></si><si><r><t>wh</t></r><r><t>en</t></r></si></sst>",
        )
        for number, rows in enumerate(sheets.values()):
            body = "".join(f"<row>{row}</row>" for row in rows)
            archive.writestr(
                f"xl/worksheets/s{number}.xml", f"<worksheet {main}><sheetData>{body}</sheetData></worksheet>"
            )
    return out.getvalue()


def test_a_workbook_keeps_ids_and_days_and_shows_lost_digits(at, workspace):
    header = (
        "<c r='A1' t='s'><v>0</v></c><c r='C1' t='s'><v>1</v></c><c t='inlineStr'><is><t>paid</t></is></c>"
    )
    row = f"<c r='A2' t='inlineStr'><is><t>{ID}</t></is></c><c r='C2' s='1'><v>46204.75</v></c>"
    row += "<c><v>0.10000000000000001</v></c>"
    lost = (
        "<c r='A3'><v>6.9123456789012E+18</v></c><c r='C3' s='1'><v>46204</v></c><c r='D3' t='b'><v>1</v></c>"
    )
    path = at("a.csv", workbook({"one": [header, row, lost], "empty": []}))
    names, rows = read(path, workspace)
    assert names == ("id", "unnamed_2", "when", "paid")
    assert rows == [
        (ID, None, "2026-07-01 18:00:00", "0.1"),
        ("6.9123456789012E+18", None, "2026-07-01", "true"),
    ]


RECORDS = [
    {
        "id": int(ID),
        "author": {"id": "1", "bot": False},
        "items": [{"total": "1.50"}, {"total": 2}],
        "tags": ["a"],
    },
    {
        "id": 2,
        "params": [{"key": "n", "value": {"int_value": ID}}, {"key": "s", "value": {"string_value": "x"}}],
    },
]
FLAT = {
    "id": [ID, "2"],
    "author.id": ["1", None],
    "author.bot": ["false", None],
    "items.total": ["3.5", None],
}
FLAT |= {"tags": ['["a"]', None], "params.n": [None, ID], "params.s": [None, "x"]}


@pytest.mark.parametrize(
    ("text", "around"),
    [
        (json.dumps(RECORDS), {}),
        ("\n".join(map(json.dumps, RECORDS)), {}),
        (json.dumps({"name": "G", "list": {"messages": RECORDS}}), {"top.name": ["G", "G"]}),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_json_is_laid_out(at, workspace, text, around, encoding):
    names, rows = read(at("a.txt", text, encoding), workspace)
    assert dict(zip(names, map(list, zip(*rows, strict=True)), strict=True)) == around | FLAT


def test_parquet_plain_and_nested(tmp_path, workspace):
    frame = pa.table({"id": [int(ID)], "when": pa.array([0], pa.timestamp("us")), "empty": [""]})
    pq.write_table(frame, tmp_path / "a.csv")
    assert read(tmp_path / "a.csv", workspace) == (
        ("id", "when", "empty"),
        [(ID, "1970-01-01 00:00:00", None)],
    )
    pq.write_table(pa.Table.from_pylist([{"id": int(ID), "geo": {"country": "CN"}}]), tmp_path / "b")
    assert read(tmp_path / "b", workspace) == (("id", "geo.country"), [(ID, "CN")])


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty"),
        (b"1,2\n3,4\n", "no row of column names"),
        (b"\xd0\xcf\x11\xe0" + b"\0" * 600, "old Excel workbook"),
        (b"PK\x03\x04 broken", "cannot be read"),
        (b"\x1f\x8bbroken", "cannot be read"),
        (b'{"a": [1, ', "cannot be read"),
        ("注文番号,金額\n1,2\n".encode("shift-jis"), "encoding"),
    ],
)
def test_what_cannot_be_read_is_named(at, workspace, content, said):
    with pytest.raises(UnreadableFileError, match=f"(?i)orders.csv.*{said}|{said}.*orders.csv"):
        open_file(at("orders.csv", content), workspace)


def test_a_large_file_is_left_in_place(at, workspace, monkeypatch):
    monkeypatch.setattr("helpers.data.exports.files.SMALL", 10)
    (raw,) = open_file(at("a.csv", "user,time\n" + "1,2\n" * 9), workspace)
    assert "null_padding" not in raw.query and len(duckdb.sql(raw.query).fetchall()) == 9


def test_names_are_compared_in_one_form():
    assert clean("\ufeff 金额（元）\t") == "金额(元)" and clean('="Name  of\nit"') == "Name of it"


def test_a_chat_of_a_phone_is_rows_of_who_said_what_when(at, workspace):
    chat = (
        "[9/25/26, 2:22:10\u202fPM] Ann: two: \nlines\n\u200e[9/25/26, 2:23:00\u202fPM] +49 1: \u200eimage omitted\n"
        "[9/26/26, 9:00:00\u202fAM] Ann named it “a: b”\n"
    )
    names, rows = read(at("chat.txt", chat), workspace)
    assert names == ("chat.time", "chat.sender", "chat.text")
    assert rows == [
        ("9/25/26, 2:22:10 PM", "Ann", "two: \nlines"),
        ("9/25/26, 2:23:00 PM", "+49 1", "image omitted"),
        ("9/26/26, 9:00:00 AM", None, "Ann named it “a: b”"),
    ]


def test_days_of_channels_are_one_grid_and_pictures_none(at, workspace):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("a/2026-06-01.json", '[{"ts": "1.000100", "user": "U1"}]')
        archive.writestr("b/2026-06-01.json", '[{"ts": "2", "user": "U1", "kind": "x"}, {"ts": "3"}]')
        archive.writestr("b/2026-06-02.json", "[]")
        archive.writestr("a/cat.png", b"\x89PNG")
        archive.writestr("_chat.txt", "[25/09/2026, 14:22:10] Ann: hi")
        archive.writestr("__MACOSX/._chat.txt", "?")
    raw, chat = open_file(at("all.zip", packed.getvalue()), workspace)
    names, rows = raw.names, duckdb.sql(raw.query).fetchall()
    assert chat.part == "_chat.txt" and duckdb.sql(chat.query).fetchall() == [
        ("25/09/2026, 14:22:10", "Ann", "hi")
    ]
    assert names == ("top.folder", "ts", "user", "kind")
    assert sorted(rows) == [("a", "1.000100", "U1", None), ("b", "2", "U1", "x"), ("b", "3", None, None)]


def test_a_tar_is_unpacked(at, workspace):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, text in {"me/a.csv": b"id,name\n1,x\n", "me/face.jpg": b"\xff\xd8\xff"}.items():
            member = tarfile.TarInfo(name)
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text))
    (raw,) = open_file(at("all", packed.getvalue()), workspace)
    assert raw.part == "me/a.csv" and duckdb.sql(raw.query).fetchall() == [("1", "x")]
