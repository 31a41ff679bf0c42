"""What a mapping costs: an export of 5 million orders read through one, against the same rows in contract shape.

Each contender is a fresh process that opens its folder and counts rows. The export has other names, times of Shanghai
without a zone, a sum, words to translate and one row in twenty to leave out; in contract shape are the same 5 million
rows, with their times in UTC. Beside them stands DuckDB's bare ``read_csv`` of the export into a table of its own
types. Nothing is known of the files from earlier runs. Target: at most 1.15 times the CPU seconds of contract shape.
"""

from __future__ import annotations

import os
import sys
import tempfile
from argparse import Namespace
from functools import partial
from typing import Any

import _contenders

CONTENDERS = {"ours": "mapped", "contract": "contract shape", "read_csv": "bare read_csv"}
TARGETS = {"contract": {"cpu_s": 1.15}, "read_csv": {}}
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
MADE = """
    SELECT 'N' || (10000000000 + i) AS number, 'm' || hash(i) % 400000 AS buyer,
    TIMESTAMP '2025-07-01 00:00:00' + INTERVAL (i * 6) SECOND AS paid, (hash(i + 1) % 90000) / 100.0 AS net,
    (hash(i + 2) % 2000) / 100.0 AS off, 1 + hash(i + 3) % 3 AS shop, hash(i + 4) % 20 AS state
    FROM range({rows}) AS t(i)
"""
EXPORT = """
    SELECT number AS "Number", buyer AS "Buyer", strftime(paid, '%Y-%m-%d %H:%M:%S') AS "Paid",
    net AS "Net", off AS "Off", shop AS "Shop", CASE state WHEN 0 THEN 'open' ELSE 'paid' END AS "State"
"""
CONTRACT = """
    SELECT number AS order_id, buyer AS member_id,
    strftime(paid - INTERVAL 8 HOUR, '%Y-%m-%dT%H:%M:%SZ') AS paid_at, net + off AS gross, off AS discount,
    CASE shop WHEN 1 THEN 'douyin' WHEN 2 THEN 'weixin' ELSE 'weibo' END AS platform, 'CNY' AS currency
"""


def generate(options: Namespace) -> None:
    """Write the export with its mapping, and the same rows in contract shape."""
    for query, path in ((EXPORT, "ours/export.csv"), (CONTRACT, "contract/orders.csv")):
        file = options.folder / path
        file.parent.mkdir(exist_ok=True)
        _contenders.generate(f"COPY ({query} FROM ({MADE.format(rows=options.rows)})) TO '{file}' (HEADER)")
    (options.folder / "ours" / "mapping.yml").write_text(MAPPING)


def run(options: Namespace, contender: str) -> Any:
    """Return a function that opens a folder and counts rows."""
    import duckdb

    from helpers.data import source

    os.environ["PLAYBOOK_CACHE"] = tempfile.mkdtemp(dir=options.folder)

    def work() -> int:
        if contender == "read_csv":
            file = options.folder / "ours" / "export.csv"
            connection = _contenders.limited(duckdb.connect(), options)
            connection.execute(f"CREATE TABLE export AS SELECT * FROM read_csv('{file}')")
            return int(connection.execute("SELECT count(*) FROM export").fetchall()[0][0])
        return int(source.open(options.folder / contender).orders.count().execute())

    return work


def main() -> int:
    """Read the arguments, measure and print."""
    parser = _contenders.parser(__doc__, CONTENDERS)
    parser.add_argument("--rows", type=int, default=5_000_000, help="orders in the files")
    options = parser.parse_args()
    runs = {name: partial(run, options, name) for name in CONTENDERS}
    found = _contenders.compete(options, runs, lambda: generate(options))
    counted = {name: {"rows": f"{runs[0]['result']:,}"} for name, runs in found.items()}
    median = _contenders.show(found, CONTENDERS, counted)
    _contenders.compare(options, median, CONTENDERS, TARGETS)
    return _contenders.concluded()


if __name__ == "__main__":
    sys.exit(main())
