"""What a mapping costs: an export of 5 million orders read through one, against the same rows in contract shape.

Each contender is a fresh process that opens its folder and counts rows; CPU seconds of that part alone,
median of three, in turn. The export has other names, times of Shanghai without a zone, a sum, words to translate and
one row in twenty to leave out; in contract shape are the same 5 million rows, with their times in UTC. Beside them
stands DuckDB's bare ``read_csv`` of the export into a table of its own types. The exit code is 1 when the ratio to
contract shape is above the target.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import duckdb

from helpers.data import source

ROWS, REPEATS, TARGET = 5_000_000, 3, 1.15
MAPPING = """
view: buyer
zone: Asia/Shanghai
sources:
  shop:
    files: [export.csv]
    leave_out: {not paid: {State: [open, void]}}
    expect: {State: [paid, refunded]}
    tables:
      orders:
        order_id: Number
        member_id: Buyer
        paid_at: Paid
        gross: {sum: [Net, Off]}
        discount: Off
        platform: {column: Shop, values: {"1": douyin, "2": weixin, "3": weibo}}
        currency: {constant: CNY}
"""
MADE = f"""
    SELECT 'N' || (10000000000 + i) AS number, 'm' || hash(i) % 400000 AS buyer,
    TIMESTAMP '2025-07-01 00:00:00' + INTERVAL (i * 6) SECOND AS paid, (hash(i + 1) % 90000) / 100.0 AS net,
    (hash(i + 2) % 2000) / 100.0 AS off, 1 + hash(i + 3) % 3 AS shop, hash(i + 4) % 20 AS state
    FROM range({ROWS}) AS t(i)
"""


def build(folder: Path) -> None:
    """Write the export with its mapping, and the same rows in contract shape."""
    (folder / "mapped").mkdir()
    (folder / "contract").mkdir()
    (folder / "mapped" / "mapping.yml").write_text(MAPPING)
    export = f"""SELECT number AS "Number", buyer AS "Buyer", strftime(paid, '%Y-%m-%d %H:%M:%S') AS "Paid",
        net AS "Net", off AS "Off", shop AS "Shop", CASE state WHEN 0 THEN 'open' ELSE 'paid' END AS "State"
        FROM ({MADE})"""
    plain = f"""SELECT number AS order_id, buyer AS member_id,
        strftime(paid - INTERVAL 8 HOUR, '%Y-%m-%dT%H:%M:%SZ') AS paid_at, net + off AS gross, off AS discount,
        CASE shop WHEN 1 THEN 'douyin' WHEN 2 THEN 'weixin' ELSE 'weibo' END AS platform, 'CNY' AS currency
        FROM ({MADE})"""
    for query, path in ((export, "mapped/export.csv"), (plain, "contract/orders.csv")):
        duckdb.sql(f"COPY ({query}) TO '{folder / path}' (HEADER)")


def run(contender: str, folder: Path) -> tuple[float, float, int]:
    """Return CPU seconds, wall seconds and rows of one contender."""
    cpu, wall = time.process_time(), time.perf_counter()
    if contender == "read_csv":
        con = duckdb.connect()
        con.execute(f"CREATE TABLE export AS SELECT * FROM read_csv('{folder}/mapped/export.csv')")
        (rows,) = con.execute("SELECT count(*) FROM export").fetchone() or (0,)
    else:
        dataset = source.open(folder / contender)
        rows = int(dataset.orders.count().execute())
    return time.process_time() - cpu, time.perf_counter() - wall, rows


def main() -> int:
    if len(sys.argv) > 1:
        print(json.dumps(run(sys.argv[1], Path(sys.argv[2]))))
        return 0
    found: dict[str, list[list[float]]] = {"contract": [], "mapped": [], "read_csv": []}
    with tempfile.TemporaryDirectory() as name:
        build(Path(name))
        for _ in range(REPEATS):
            for contender, runs in found.items():
                command = [sys.executable, __file__, contender, name]
                runs.append(json.loads(subprocess.run(command, capture_output=True, check=True).stdout))
    cpu = {contender: statistics.median(run[0] for run in runs) for contender, runs in found.items()}
    for contender, runs in found.items():
        wall = statistics.median(run[1] for run in runs)
        print(f"{contender:9} {cpu[contender]:6.2f} s CPU, {wall:6.2f} s wall, {int(runs[0][2]):,} rows")
    ratio = cpu["mapped"] / cpu["contract"]
    print(
        f"mapped to contract shape {ratio:.2f} (target {TARGET}), to read_csv {cpu['mapped'] / cpu['read_csv']:.2f}"
    )
    return int(ratio > TARGET)


if __name__ == "__main__":
    sys.exit(main())
