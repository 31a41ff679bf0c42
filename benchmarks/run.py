"""Run every benchmark and write ``RESULTS.md``, section by section; and of its main claims the table of the READMEs.

    python benchmarks/run.py [NAME ...] [--data FOLDER ...]

Without names those of `RUNS`, which is what ``make bench`` does; names may also be of `LARGE`, which take long and
much disk. A section stands until its benchmark runs again. ``--data`` measures whole reports on communities that lie
somewhere. The exit code is 1 when a claim does not hold.

``--check`` runs nothing: it is 1 when the READMEs do not say what RESULTS.md says.
"""

from __future__ import annotations

import argparse
import datetime as dt
import importlib.metadata
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import _contenders

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "RESULTS.md"
RUNS = {
    "rfm": ["rfm.py"],
    "rfm_alive": ["rfm_alive.py"],
    "retention": ["retention.py"],
    "retention from members": ["retention.py", "--start", "members"],
    "retention_cox": ["retention_cox.py"],
    "ab_test": ["ab_test.py"],
    "attribution": ["attribution.py"],
    "budget": ["budget.py", "recovery", "clean", "plans"],
    "mapping": ["mapping.py"],
    "batch": ["batch.py"],
    "skip": ["skip.py"],
    "growth": ["growth.py"],
    "paint": ["paint.py"],
}
HUNDRED, SAME = "100000000", ["--rounds", "1", "--memory", "4GB", "--most-mb", "8000"]
LARGE = {
    "rfm 100 M": ["rfm.py", "--events", HUNDRED, "--only", "ours", "sql", *SAME],
    "retention 100 M": [
        "retention.py",
        "--members",
        HUNDRED,
        "--only",
        "ours",
        "bare",
        "--start",
        "members",
        *SAME,
    ],
    # The first run of one round would also wait for the file just made to reach the disk.
    "ab_test 100 M": ["ab_test.py", "--units", HUNDRED, "--only", "ours", "sql", *SAME, "--rounds", "3"],
    "attribution 100 M": ["attribution.py", "--journeys", "20000000", "--only", "ours", "sql", *SAME],
}
GIVEN = "growth of given communities"
PACKAGES = ("duckdb", "ibis-framework", "pandas", "numpy", "scipy", "scikit-learn", "lifelines", "lifetimes")
PEERS = ("papermill", "nbconvert", "tea-tasting", "do-attribution")
HEAD = """# Results of the benchmarks

Written by `benchmarks/run.py`; `make bench` measures all but the 100 M runs and given communities anew. Each claim is
a ratio to a named peer or to the bare engine, measured in one run; the load average tells how busy the machine was
besides, and on a busy one CPU tells more than wall.
"""
MARK = re.compile(r"(?<=<!-- benchmarks -->\n).*(?=<!-- /benchmarks -->)", re.DOTALL)
SQL = "ours / hand-written SQL, CPU"
MAIN = (
    ("rfm 100 M", SQL, "RFM of 100 M events / hand-written SQL", "一亿条事件的RFM／手写SQL"),
    (
        "retention 100 M",
        "ours / bare grouped query, CPU",
        "Survival of 100 M members / a bare query",
        "一亿成员的生存曲线／裸查询",
    ),
    (
        "ab_test 100 M",
        SQL,
        "Moments of 100 M units, and who stands in several arms / hand-written SQL",
        "一亿实验单元的矩，并查同时在几组的单元／手写SQL",
    ),
    (
        "ab_test 100 M",
        "ours / hand-written SQL, moments alone, wall",
        "Of these the moments alone (wall)",
        "其中只算矩（墙钟）",
    ),
    (
        "attribution 100 M",
        "ours / order 1, hand-written SQL, CPU",
        "Transitions of 100 M touches / hand-written SQL",
        "一亿次触点的转移／手写SQL",
    ),
    ("rfm", "ours / pandas groupby + qcut, CPU", "RFM of 10 M events / pandas", "一千万条事件的RFM／pandas"),
    (
        "retention",
        "ours / lifelines on rows, CPU",
        "Survival of 10 M members / lifelines",
        "一千万成员的生存曲线／lifelines",
    ),
    (
        "retention_cox",
        "ours / lifelines, batch_mode=True, CPU",
        "Cox model of 1 M members / lifelines",
        "一百万成员的Cox模型／lifelines",
    ),
    ("mapping", "ours / contract shape, CPU", "Reading through a mapping / without", "经映射读取／直接读取"),
    (
        "batch",
        "20 reports, ours / papermill and nbconvert, wall",
        "20 reports / papermill and nbconvert (wall)",
        "20份报告／papermill加nbconvert（墙钟）",
    ),
    (
        "skip",
        "50 unchanged reports, wall",
        "Seeing that 50 reports are unchanged (wall)",
        "看出50份报告没有变化（墙钟）",
    ),
    (
        GIVEN,
        "14_outlook, most that leaves the engine",
        "What leaves the engine for a report on 105 M events (14, the most of all)",
        "1.05亿条事件的报告从引擎取出的数据（报告14，最多的一份）",
    ),
)
"""Of the claims those in the READMEs: section, claim, what it is in English and in Chinese."""
READMES = {
    "README.md": (2, ("CPU time of ours / of the peer", "measured", "at most", "")),
    "README.zh.md": (3, ("我们的CPU时间／对手的CPU时间", "测得", "上限", "")),
}


def machine() -> str:
    """Return cores, memory and versions, and what is not here."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    found = {name: _version(name) for name in (*PACKAGES, *PEERS)}
    there = [f"{name} {version}" for name, version in found.items() if version]
    absent = [name for name, version in found.items() if not version]
    told = f"{os.cpu_count()} cores, {memory:.0f} GB; Python {platform.python_version()}, {', '.join(there)}"
    return told + (f"; not here: {', '.join(absent)}" if absent else "")


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def commit() -> str:
    """Return which state of the project is measured."""
    command = ["git", "describe", "--always", "--dirty", "--exclude", "*"]
    done = subprocess.run(command, cwd=HERE, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


def measured(name: str, command: list[str], state: str) -> str:
    """Run a script and return its section."""
    begun, load = time.perf_counter(), os.getloadavg()[0]
    with tempfile.NamedTemporaryFile("r", suffix=".jsonl", encoding="utf-8") as file:
        environment = os.environ | {_contenders.RECORD: file.name}
        done = subprocess.run([sys.executable, HERE / command[0], *command[1:]], env=environment, check=False)
        said = [json.loads(line) for line in file]
    failed = done.returncode and all(each.get("held", True) for each in said)
    said += [{"note": f"**It failed with exit code {done.returncode}.**"}] if failed else []
    shown = " ".join(part for part in command if "/" not in part)
    now, took = dt.datetime.now(dt.UTC), time.perf_counter() - begun
    about = (
        f"`{shown}`, {now:%Y-%m-%d %H:%M} UTC, commit {state}, {took:.0f} s, "
        f"load average {load:.1f} at the start and {os.getloadavg()[0]:.1f} at the end; {machine()}."
    )
    return f"## {name}\n\n{about}\n\n" + "\n\n".join(_blocks(said)) + "\n"


def _blocks(said: list[dict[str, Any]]) -> list[str]:
    """Return what a script said as notes, tables (those with the same columns as one) and claims."""
    tables: dict[tuple[str, ...], list[dict[str, str]]] = {}
    for row in (row for each in said for row in each.get("table", ())):
        tables.setdefault(tuple(row), []).append(row)
    claims = [
        {
            "claim": each["claim"],
            "measured": each["measured"],
            "at most": each["bar"],
            "": _verdict(each["held"]),
        }
        for each in said
        if "claim" in each
    ]
    notes = dict.fromkeys(each["note"] for each in said if "note" in each)
    found = ["\n".join(f"- {note}" for note in notes)] if notes else []
    return found + [_markdown(rows) for rows in (*tables.values(), claims) if rows]


def _verdict(held: bool) -> str:
    return "held" if held else "**not held**"


def _markdown(rows: list[dict[str, str]]) -> str:
    lines = [list(rows[0]), ["---", *["---:"] * (len(rows[0]) - 1)], *(list(row.values()) for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def sections() -> dict[str, str]:
    """Return the sections of RESULTS.md by name."""
    text = RESULTS.read_text("utf-8") if RESULTS.exists() else ""
    return {part.split("\n")[0]: f"## {part}" for part in text.split("\n## ")[1:]}


def summary(name: str) -> str:
    """Return a README with the table of what RESULTS.md says."""
    place, head = READMES[name]
    found, rows = sections(), []
    for each in MAIN:
        row = re.search(rf"\| {re.escape(each[1])} \| (.*) \| (.*) \| (.*) \|", found.get(each[0], ""))
        if not row:
            continue
        measured, bar, verdict = row.groups()
        if place == 3:
            verdict = {"held": "达到", "**not held**": "**未达到**"}[verdict]
        rows.append(dict(zip(head, (each[place], measured, bar, verdict), strict=True)))
    text = (HERE.parent / name).read_text("utf-8")
    return MARK.sub(lambda _: _markdown(rows) + "\n" if rows else "", text)


def main() -> int:
    """Read the arguments, measure and write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join([*RUNS, *LARGE])}")
    parser.add_argument("--data", nargs="+", help="folders of communities, the smallest first")
    parser.add_argument("--check", action="store_true", help="only whether the READMEs agree with RESULTS.md")
    options = parser.parse_args()
    if options.check:
        stale = [name for name in READMES if summary(name) != (HERE.parent / name).read_text("utf-8")]
        print(
            "\n".join(f"{name} does not say what RESULTS.md says: run benchmarks/run.py." for name in stale)
        )
        return int(bool(stale))
    known = RUNS | LARGE | {GIVEN: ["growth.py", "--data", *map(os.path.abspath, options.data or ())]}
    if unknown := [name for name in options.names if name not in known]:
        parser.error(f"There is no {', '.join(unknown)}; there are {', '.join([*RUNS, *LARGE])}.")
    names, state = options.names or ([GIVEN] if options.data else list(RUNS)), commit()
    for name in names:
        print(f"\n== {name}", flush=True)
        found = sections() | {name: measured(name, known[name], state)}
        ordered = (found[each].strip() + "\n" for each in known if each in found)
        RESULTS.write_text("\n".join((HEAD, *ordered)), "utf-8")
        for readme in READMES:
            (HERE.parent / readme).write_text(summary(readme), "utf-8")
    return int(any("**" in sections()[name] for name in names))


if __name__ == "__main__":
    sys.exit(main())
