"""Notebooks and manifests to render: built by hand, so no kernel is needed."""

from __future__ import annotations

from functools import cache
from typing import Any

import pandas as pd
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from helpers.figures import Chart, new_figure
from helpers.report.page.report import report_html
from helpers.report.publish.manifest import (
    Bookkeeping,
    CellRun,
    Code,
    Data,
    Failure,
    Manifest,
    TableFingerprint,
)
from helpers.tables import html_table
from tests.report.sample_records import QUESTION, TITLE, actions, findings
from tests.report.structure import parse

SEGMENTS = ("新人（潜水）", "活跃成员", "核心成员", "关键意见消费者 KOC", "流失预警")

PARAMETERS_CELL = """data: str = "data/sample"           # folder or URL of the tables
as_of: str = "2026-06-30"           # last day that counts, in report_tz
report_tz: str = "Asia/Shanghai"    # calendar of days, weeks and months
window_days: int = 90               # days up to as_of that count towards frequency and money
segment: str = 'platform == "douyin"'  # filter of members
currency: str = "CNY"               # currency of all money
confidence: float = 0.95            # level of every interval
seed: int = 20260630                # seed of everything drawn at random"""

TRACEBACK = [
    "\x1b[0;31m---------------------------------------------------------------------------\x1b[0m",
    "\x1b[0;31mKeyError\x1b[0m                                  Traceback (most recent call last)",
    "Cell \x1b[0;32mIn[7], line 2\x1b[0m\n      1 values = rfm.member_values(activity)\n----> 2 values['monetry']",
    "\x1b[0;31mKeyError\x1b[0m: 'monetry'",
]


@cache
def chart_html(title: str, kind: str) -> str:
    """Return a chart as a notebook shows it; drawn once, because drawing is slow."""
    return chart(title, kind)._repr_html_()


def chart(title: str, kind: str) -> Chart:
    """Return a small chart with Chinese labels."""
    members = [1_204, 1_530, 268, 84, 326]
    data = pd.DataFrame({"tier": SEGMENTS, "members": members, "share": [m / sum(members) for m in members]})
    figure, axes = new_figure(7.2, 3.6)
    if kind == "bar":
        axes.barh(data["tier"], data["members"])
        axes.set_xlabel("members")
    else:
        axes.plot(range(5), sorted(members), marker="o")
        axes.set_xticks(range(5), SEGMENTS)
        axes.set_ylabel("members")
    alt = f"{title}: active members are the largest tier with 1,530 of 3,412; KOC the smallest with 84."
    return Chart(
        title=title, alt=alt, data=data, figure=figure, note="n = 3,412 members; staff and bots left out."
    )


def wide_table() -> str:
    """Return a table wider than a phone, as the recording function shows it."""
    months = [f"2026-{month:02d}" for month in range(1, 13)]
    frame = pd.DataFrame(
        {"tier": SEGMENTS, **{m: [1_000 + 37 * i + len(m) for i in range(5)] for m in months}}
    )
    return f'<figure class="table">{html_table(frame, "Members in each tier by month, 5 tiers, n = 3,412")}</figure>'


def shown(html: str, text: str = "shown") -> NotebookNode:
    """Return a display output with its plain text, which names a picture."""
    return new_output("display_data", data={"text/html": html, "text/plain": text})


def notebook() -> NotebookNode:
    """Return a notebook as it comes out of a successful run."""
    error = new_output("stream", name="stderr", text="UserWarning: 3 late days are shown grey\n")
    cells = [
        new_markdown_cell(
            f"# {TITLE}\n\n{QUESTION}\n\nThe answer rests on 90 days of 抖音 interactions and orders."
        ),
        new_code_cell(PARAMETERS_CELL, metadata={"tags": ["parameters"]}),
        new_markdown_cell(
            "## Data and its health\n\nStaff and bots are left out and counted: **12 of 3,424**."
        ),
        new_code_cell(
            "# Open the tables and look at their health\ndataset = source.open(p.data)",
            outputs=[new_output("stream", name="stdout", text="opened data/sample\n"), error],
        ),
        new_code_cell(
            "dataset.health().head()",
            outputs=[
                new_output(
                    "execute_result",
                    data={
                        "text/html": pd.DataFrame(
                            {"rows": [3_424, 412_090]}, index=["members", "events"]
                        ).to_html(),
                        "text/plain": "rows",
                    },
                    execution_count=4,
                )
            ],
        ),
        new_markdown_cell(
            "## How members spread over tiers\n\nTiers are disjoint and complete (Wang 2019, "
            "[details](https://doi.org/10.1000/182)).\n\n| tier | rule |\n|:--|:--|\n| 核心 | 51+ |\n| 活跃 | 11–50 |"
        ),
        new_code_cell(
            "# Draw the tier pyramid\nplots.pyramid(tiers)",
            outputs=[shown(chart_html("Most members are active", "bar"), "Figure pyramid: bars")],
        ),
        new_markdown_cell("### Movement between May and June\n\n> A step down counts as much as a step up."),
        new_code_cell("record.table('migration', migration)", outputs=[shown(wide_table())]),
        new_code_cell(
            "# Draw growth of each tier\nplots.growth(tiers)",
            outputs=[shown(chart_html("Core grows slowly", "line"), "Figure growth: a line")],
        ),
        new_markdown_cell(
            "## What could be wrong\n\n1. Late data of the last three days.\n2. Bots that behave like members.\n\n"
            "```python\nrate = moved / eligible\n```"
        ),
        new_code_cell(
            "record.findings(found)", outputs=[shown('<ol class="findings"><li>FINDINGS AGAIN</li></ol>')]
        ),
        new_code_cell("record.actions(proposed)", outputs=[shown('<p class="actions">ACTIONS AGAIN</p>')]),
    ]
    for index, cell in enumerate(cells):
        cell.id = f"cell-{index}"
    return new_notebook(cells=cells)


def manifest(
    nb: NotebookNode, status: str = "succeeded", failure: Failure | None = None, **changes: Any
) -> Manifest:
    """Return the manifest that fits a notebook; cells after a failing one did not run."""
    last = len(nb.cells) + 1 if failure is None else failure.cell or 0
    cells = [
        CellRun(
            number=i,
            id=cell.id,
            status="completed"
            if cell.cell_type == "markdown" or i < last
            else "failed"
            if i == last
            else "not_run",
        )
        for i, cell in enumerate(nb.cells, 1)
    ]
    tables = {
        "members": TableFingerprint(rows=3_424, sha256="ab" * 32),
        "events": TableFingerprint(rows=412_090, sha256="cd" * 32),
    }
    values = {
        "series": "rfm/douyin",
        "label": "douyin",
        "notebook": "01_rfm",
        "title": TITLE,
        "question": QUESTION,
        "status": status,
        "failure": failure,
        "seed": 20260630,
        "parameters": {
            "as_of": "2026-06-30",
            "report_tz": "Asia/Shanghai",
            "window_days": 90,
            "currency": "CNY",
            "segment": 'platform == "douyin"',
            "confidence": 0.95,
            "seed": 20260630,
            "data": "data/sample",
        },
        "data": Data(url="data/sample", tables=tables),
        "code": Code(
            notebook_sha256="12" * 32, modules={"helpers.methods.rfm": "34" * 32}, lock_sha256="56" * 32
        ),
        "python": "3.11.7",
        "packages": {"pandas": "2.3.3", "numpy": "2.4.0", "ibis-framework": "12.0.0"},
        "run_key": "9f" * 32,
        "cells": cells,
        "files": {},
    }
    return Manifest(**{**values, **changes})


def bookkeeping() -> Bookkeeping:
    """Return the half of a manifest that a page may show only when asked to."""
    return Bookkeeping(
        version=3,
        started_at="2026-07-01T01:02:03Z",
        finished_at="2026-07-01T01:02:45Z",
        seconds=42.0,
        cell_seconds=[],
        peak_memory_bytes=None,
        git_commit="0123456789abcdef",
        git_dirty=True,
        platform="Linux",
    )


def failed() -> tuple[NotebookNode, Manifest]:
    """Return a run that an unexpected exception ended in its seventh cell."""
    nb = notebook()
    nb.cells[6].source = "values = rfm.member_values(activity, as_of=p.as_of)\nvalues['monetry']"
    nb.cells[6].execution_count = 7
    nb.cells[6].outputs = [new_output("error", ename="KeyError", evalue="'monetry'", traceback=TRACEBACK)]
    for cell in nb.cells[7:]:
        cell.pop("outputs", None)
        if cell.cell_type == "code":
            cell.outputs = []
    return nb, manifest(
        nb, "failed", Failure(kind="exception", cell=7, error="KeyError", message="'monetry'")
    )


def not_run() -> tuple[NotebookNode, Manifest]:
    """Return a run that ended because a table is missing."""
    nb = notebook()
    traceback = ["MissingTable: table orders missing"]
    nb.cells[3].outputs = [
        new_output("error", ename="MissingTable", evalue="table orders missing", traceback=traceback)
    ]
    for cell in nb.cells[4:]:
        if cell.cell_type == "code":
            cell.outputs = []
    message = "table orders missing: this report needs members, events and orders."
    return nb, manifest(
        nb, "not_run", Failure(kind="missing_table", cell=4, error="MissingTable", message=message)
    )


def rendered(nb: NotebookNode | None = None, **changes: Any) -> str:
    """Return the page of a successful run."""
    nb = nb or notebook()
    return report_html(nb, manifest(nb, **changes), findings(), actions())


def text_of(page: str) -> str:
    """Return what a reader sees, head and style left out."""
    root, _ = parse(page)
    return root.find("body")[0].text
