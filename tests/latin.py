"""What of a Chinese page is in Latin letters and no name: words of English that no catalogue has translated."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from helpers.data.tables import TABLES
from helpers.methods.ab_test.plan import Metric, Plan
from helpers.methods.weekly_review.parameters import WeeklyReviewParameters
from tests.report.structure import Node, parse

NAMES = frozenset(
    re.findall(
        r"\S+",
        """
        Aalen Johansen Kaplan Meier Cox Efron Holm Bonferroni Dirichlet Hennig Jaccard Shapley Welch Durbin Watson
        Gamma BG NBD BCa AUC R-hat Brier RFM DAU MAU CSV ISO UTC SHA YAML Python lifelines helpers
        CNY PLAYBOOK_SALT en interaction order listen engagement
        """,
    )
)
"""People after whom methods are called, abbreviations that Chinese reports write too, values of parameters."""
WORD = r"[A-Za-z][A-Za-z'’-]+"  # one letter is a sign, such as n, p or R
RUN = re.compile(rf"{WORD}(?: +{WORD})*")
CODE = re.compile(
    r"[\x21-\x7e]*(?:[A-Za-z\d][_/.:#@=<>\[\]\\{}][A-Za-z\d\[{<>=]|\d[A-Za-z]|[A-Za-z]\d)[\x21-\x7e]*"
    r"|SELECT .*|playbook [a-z]+|[\w]+ (?:in [\[(].*?[)\]]|[<>=]+ [\d.]+)"
)
"""Paths, addresses, names with a sign in them, digests, conditions of segments."""
VALUES = 200
"""Different texts of a column that are still names, such as platforms, and no ids."""
SILENT = frozenset({"code", "pre", "kbd", "samp", "script", "style"})


def texts(node: Node) -> Iterator[str]:
    """Yield every text of a page, folded ones and alternatives of pictures too, without code."""
    if node.tag in SILENT:
        return
    yield from (node.attributes[name] for name in ("alt", "title", "aria-label") if node.attributes.get(name))
    for part in node.content:
        if isinstance(part, str):
            yield part
        else:
            yield from texts(part)


def untranslated(page: str, names: frozenset[str]) -> dict[str, str]:
    """Return each run of Latin words that are neither names, units nor code, with a text in which it stands."""
    found: dict[str, str] = {}
    long = sorted((name for name in names if " " in name), key=len, reverse=True)
    for text in texts(parse(page)[0]):
        rest = text
        for name in long:
            rest = rest.replace(name, "，")
        for run in RUN.findall(CODE.sub("，", rest)):
            words = [word for word in re.split(r"[ -]+", run) if word not in names | NAMES]
            if words and run not in names | NAMES:
                found.setdefault(run, text.strip()[:120])
    return found


def names_of(folder: Path, manifest: Path) -> frozenset[str]:
    """Return what has a name of its own: tables and columns of the contract, parameters, and what the data hold."""
    found = {*TABLES, *(column.name for table in TABLES.values() for column in table.columns)}
    found |= {*Plan.model_fields, *Metric.model_fields, *WeeklyReviewParameters.reads_reports}
    found |= set(_scalars(json.loads(manifest.read_text("utf-8"))["parameters"]))
    for path in folder.rglob("*.parquet"):
        frame = pd.read_parquet(path)
        for column in frame.select_dtypes(["object", "string", "category"]):
            held = frame[column].dropna().astype(str).unique()
            found |= set(held) if len(held) <= VALUES else set()
    for path in folder.rglob("*.yml"):
        found |= set(_scalars(yaml.safe_load(path.read_text("utf-8"))))
    found |= {name.replace("_", " ") for name in found}
    return frozenset(found | {name[:1].upper() + name[1:] for name in found})


def _scalars(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from (str(key), *_scalars(inner))
    elif isinstance(value, list):
        for inner in value:
            yield from _scalars(inner)
    else:
        yield str(value)
