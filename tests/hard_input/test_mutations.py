"""Files are mutated at random; each either opens with every row accounted for or is refused in words.

More of them: ``PLAYBOOK_MUTATIONS=300 pytest tests/hard_input``.
"""

from __future__ import annotations

import csv
import datetime as dt
import gzip
import io
import os
import random
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from helpers.data import health, source
from helpers.data.contract import ContractError
from helpers.errors import BadData

COUNT = int(os.environ.get("PLAYBOOK_MUTATIONS", "40"))
NOW = dt.datetime(2026, 7, 1, tzinfo=dt.UTC)
ROWS = 24
WORDS = (
    "",
    "NULL",
    "nan",
    "-",
    "1e18",
    "7.0",
    "x\ny",
    '"',
    "'1",
    "+",
    "2026-01-01",
    "\x00",
    "1,5",
    "٣",
    "USD",
)
HEADS = (
    "gross",
    "Gross",
    "__padded",
    "",
    "order_id ",
    "value of gross",
    "filename",
    "\x1f",
    "member_id",
    "订单",
)


def orders() -> pd.DataFrame:
    """A small sound table."""
    when = pd.date_range("2026-01-01", periods=ROWS, freq="D", tz="UTC")
    frame = pd.DataFrame({"order_id": [f"o{i}" for i in range(ROWS)], "member_id": "m1", "paid_at": when})
    return frame.assign(gross=5.0, platform="抖音", currency="CNY")


def text() -> str:
    return str(orders().to_csv(index=False, date_format="%Y-%m-%dT%H:%M:%SZ"))


def put(folder: Path, content: bytes, name: str = "orders.csv") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def some_bytes(draw: random.Random, folder: Path) -> None:
    content = bytearray(text().encode())
    for _ in range(draw.randint(1, 3)):
        content[draw.randrange(len(content))] = draw.choice((0, 10, 13, 34, 44, 255, draw.randrange(256)))
    put(folder, bytes(content))


def a_cell(draw: random.Random, folder: Path) -> None:
    rows = [line.split(",") for line in text().splitlines()]
    for _ in range(draw.randint(1, 3)):
        rows[draw.randrange(1, len(rows))][draw.randrange(6)] = draw.choice(WORDS)
    put(folder, "\n".join(map(",".join, rows)).encode())


def a_header(draw: random.Random, folder: Path) -> None:
    head, _, rest = text().partition("\n")
    names = head.split(",")
    names[draw.randrange(6)] = draw.choice(HEADS)
    put(folder, f"{','.join(names)}\n{rest}".encode())


def an_encoding(draw: random.Random, folder: Path) -> None:
    content = text().encode(draw.choice(("utf-16", "utf-16-le", "utf-32", "gb18030", "utf-8-sig", "big5")))
    content = content[: len(content) - draw.choice((0, 0, 1, 3))]
    put(folder, content)


def line_ends(draw: random.Random, folder: Path) -> None:
    lines = text().splitlines()
    put(folder, "".join(line + draw.choice(("\n", "\r\n", "\r", "\n\n")) for line in lines).encode())


def packing(draw: random.Random, folder: Path) -> None:
    content = gzip.compress(text().encode())
    cut = draw.choice((0, 1, 9, len(content) // 2))
    put(folder, content[: len(content) - cut], draw.choice(("orders.csv.gz", "orders.CSV.GZ", "orders.csv")))


def a_name(draw: random.Random, folder: Path) -> None:
    endings = (".CSV", ".tsv", ".csv.zst", ".xlsx", "*.csv", "[1].csv", "?.csv", ".parquet", "")
    put(folder, text().encode(), f"orders/{draw.choice(('', '.', '_', 'a'))}part{draw.choice(endings)}")
    put(folder, text().replace("o", "p").encode(), "orders/other.csv") if draw.random() < 0.3 else None


def a_thing_that_is_no_file(draw: random.Random, folder: Path) -> None:
    put(folder, b"cost_id,date,kind,amount\n", "costs.csv")
    name = draw.choice(("orders.csv", "orders", "orders.parquet", "orders/a.csv"))
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    draw.choice((os.mkfifo, Path.mkdir, lambda p: p.symlink_to("nowhere"), lambda p: p.symlink_to(p)))(path)


def folders(draw: random.Random, folder: Path) -> None:
    head, *rows = text().splitlines()
    for i in range(3):
        inside = draw.choice(
            ("", "currency=CNY/", "currency=USD/", "platform=a%20b/", "paid_at=no/", "x=1/y=/")
        )
        part = "\n".join([head, *rows[i * 8 : i * 8 + 8]])
        put(folder, part.encode("gbk" if draw.random() < 0.3 else "utf-8"), f"orders/{inside}{i}.csv")


def parquet_bytes(draw: random.Random, folder: Path) -> None:
    file = io.BytesIO()
    orders().to_parquet(file)
    content = bytearray(file.getvalue())
    for _ in range(draw.randint(1, 40)):
        content[draw.randrange(len(content))] = draw.randrange(256)
    cut = draw.choice((len(content), len(content), len(content) // 2))
    put(folder, bytes(content[:cut]), "orders.parquet")


def parquet_parts(draw: random.Random, folder: Path) -> None:
    for i in range(3):
        part = orders().iloc[i * 8 : i * 8 + 8]
        change = draw.choice((
            {}, {"order_id": range(i * 8, i * 8 + 8)}, {"paid_at": part["paid_at"].dt.tz_localize(None)},
            {"gross": "5"}, {"gross": None}, {"Gross": 1.0}, {"order_id": None}, {"platform": 1},
        ))  # fmt: skip
        inside = draw.choice(("", "", "currency=CNY/", "platform=x/", "hour=no/"))
        path = put(folder, b"", f"orders/{inside}{i}.parquet")
        part.assign(**change).to_parquet(path)


MUTATIONS: tuple[Callable[[random.Random, Path], None], ...] = (
    *(some_bytes, some_bytes, a_cell, a_cell, a_header, an_encoding, line_ends, packing, a_name),
    *(a_thing_that_is_no_file, folders, parquet_bytes, parquet_parts),
)


def rows_in(folder: Path) -> int | None:
    """Count the rows of text files by another reader; None where the file itself says it or cannot be read."""
    total = 0
    for path in sorted(folder.rglob("*")):
        shown = not any(piece.startswith((".", "_")) for piece in path.relative_to(folder).parts)
        if shown and "orders" in path.relative_to(folder).as_posix() and path.is_file():
            content = path.read_bytes()
            if content[:4] == b"PAR1":
                return ROWS
            marked = content[:2] in (b"\xff\xfe", b"\xfe\xff")
            for name in ("utf-16",) if marked else ("utf-8-sig", "gb18030"):
                try:
                    unpacked = gzip.decompress(content) if path.suffix.lower() == ".gz" else content
                    lines = list(csv.reader(io.StringIO(unpacked.decode(name), newline=None), strict=True))
                    break
                except (UnicodeError, csv.Error):
                    continue
            else:
                return None
            total += sum(map(bool, lines)) - 1
    return total


def opened(folder: Path) -> tuple[int, int | None] | BadData:
    """Return the rows used and the rows that there are, or why the folder is refused."""
    try:
        dataset = source.open(folder, now=NOW)
        state = health.health(dataset)
        for table in dataset.tables.values():
            table.execute()
        planned = source.fingerprint(folder)
    except BadData as error:
        return error
    if "orders" not in dataset:
        return (0, 0) if any("orders" in name for name in dataset.unrecognised) else (0, None)
    used = int(state.frame.set_index("table")["rows"]["orders"])
    return used, rows_in(folder) if planned["orders"].rows == used else None


@pytest.mark.parametrize("seed", range(COUNT))
def test_every_row_is_used_or_named(seed: int, tmp_path: Path) -> None:
    MUTATIONS[seed % len(MUTATIONS)](random.Random(seed), tmp_path)
    found = opened(tmp_path)
    if isinstance(found, ContractError):
        for violation in found.violations:
            assert violation.table in str(found) and violation.rule and violation.advice
            assert 0 <= violation.count <= 2 * ROWS
    elif isinstance(found, BadData):
        assert str(tmp_path) in str(found) or "orders" in str(found)
    else:
        used, there = found
        assert used == there
