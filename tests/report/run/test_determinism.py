"""The same inputs give the same bytes: elsewhere, forked or not, alone or beside others."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from helpers.report.plan import plan_file
from helpers.report.publish.manifest import read_manifest
from helpers.report.run import batch

RECORD = """from helpers.report import params, record
parameters = params.read("01_rfm", globals())
import datetime, locale, os, pathlib, random, warnings
import numpy as np
import pandas as pd
from helpers.figures import Chart, new_figure
from helpers.playbook.action import Action
from helpers.playbook.finding import Finding, Provenance
tiers = list({"core", "active", "silent", "potential"})
draw = np.random.default_rng(parameters.seed)
frame = pd.DataFrame({"tier": tiers, "day": pd.Timestamp("2026-01-01"), "share": draw.random(4)})
record.table("tiers", frame, "Tiers in the order of a set")
figure, axes = new_figure()
axes.bar(frame["tier"], frame["share"], label="核心")
axes.legend()
alt = "The share of each tier, drawn at random, in the order of a set of texts."
record.figure("tiers", Chart("Tiers", alt, frame, figure))
record.contact_list("core", pd.DataFrame({"member_id": ["p_0123456789abcdef"]}), "Core members")
numbers = dict(value=float(frame["share"].mean()), low=0.1, high=0.9, confidence=0.95, n=9, unit="share")
found = Finding(id="x", metric="X", scope="all", direction="neither", verdict="stated", sentence="X is one.",
                provenance=Provenance(method="count", assumption="none"), **numbers)
record.findings([found])
unknown = dict(expected_value=None, low=None, high=None, cost=0)
record.actions([Action(id="a", title="Do it", why="X", finding_ids=("x",), owner_role="lead", **unknown,
                       confidence_class="rule", check_metric="X", check_after_days=7)])"""
NOISE = """print(object(), hash("a"), tiers, datetime.datetime.now().astimezone().tzname(), os.getcwd())
print(locale.getlocale(), f"{1234.5:n}", pathlib.Path("~").name, pd.Timestamp("2026-02-01").strftime("%a %B"))
print(pd.Series(["ß", "z", "ä"]).sort_values().tolist(), __name__, os.environ["PLAYBOOK_RUN_FOLDER"])
warnings.warn("careful")
import matplotlib
print(matplotlib.rcParams["lines.linewidth"])
frame"""
HERE = {"TZ": "Asia/Shanghai", "PYTHONHASHSEED": "1", "LC_ALL": "C", "COLUMNS": "40", "OMP_NUM_THREADS": "2"}
THERE = {
    "TZ": "America/Lima",
    "PYTHONHASHSEED": "77",
    "LC_ALL": "C.UTF-8",
    "LANG": "de_DE.UTF-8",
    "COLUMNS": "200",
    "PYTHONWARNINGS": "ignore",
    "PYTHONOPTIMIZE": "1",
    "PANDAS_FUTURE_INFER_STRING": "1",
}
DRIVER = Path(__file__).with_name("chaos_driver.py")


def start(
    plan: Path,
    notebooks: Path,
    home: Path,
    workers: int,
    kernels: str,
    environment: dict[str, str],
    *,
    light: bool,
) -> subprocess.Popen[str]:
    """Run a plan in a process whose home and working folder are one of its own; reports lie there too."""
    home.mkdir(exist_ok=True)
    program = [str(DRIVER)] if light else ["-m", "helpers.cli"]
    command = [sys.executable, *program, "run", "--plan", str(plan), "--notebooks", str(notebooks)]
    command += ["--reports", str(home / "reports"), "--workers", str(workers)]
    own = {
        "HOME": str(home),
        "XDG_CONFIG_HOME": str(home / ".config"),
        "PLAYBOOK_KERNELS": kernels,
        "PLAYBOOK_CACHE": str(home / "cache"),
    }
    return subprocess.Popen(
        command,
        cwd=home,
        env={**os.environ, **environment, **own},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def published(home: Path) -> dict[str, bytes]:
    """Return every file of every version, and in place of a manifest the half of it that must not differ."""
    found = {}
    for path in sorted((home / "reports").glob("*/*/v1/**/*")):
        if path.is_file():
            content = path.read_bytes()
            if path.name == "manifest.json":
                manifest = read_manifest(path.parent)
                content = manifest.model_copy(update={"bookkeeping": None}).to_json().encode()
            found[path.relative_to(home / "reports").as_posix()] = content
    return found


def check_same(homes: list[Path]) -> dict[str, bytes]:
    versions = [published(home) for home in homes]
    for (home, one), (other_home, other) in itertools.pairwise(zip(homes, versions, strict=True)):
        assert set(one) == set(other)
        differ = [name for name in one if one[name] != other[name]]
        assert differ == [], f"{home.name} and {other_home.name} differ"
    return versions[0]


@pytest.mark.usefixtures("forked")
def test_where_and_how_a_run_happens_changes_no_byte(
    project: Path, build_notebook: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two runs beside each other, of forked kernels and in this process, and one of them alone in another."""
    notebooks = build_notebook(RECORD, NOISE).parent
    plans = {}
    for name, seeds in (("beside another", (1, 2)), ("alone", (2,))):
        jobs = (f"  - {{notebook: rfm, label: s{seed}, parameters: {{seed: {seed}}}}}\n" for seed in seeds)
        plans[name] = project / f"{name}.yml"
        plans[name].write_text("data: tables\njobs:\n" + "".join(jobs))
    style = tmp_path / "alone" / ".config" / "matplotlib" / "matplotlibrc"
    style.parent.mkdir(parents=True)
    style.write_text("lines.linewidth: 5")
    process = start(plans["alone"], notebooks, tmp_path / "alone", 1, "ordinary", THERE, light=True)
    with monkeypatch.context() as patched:
        for name, value in HERE.items():
            patched.setenv(name, value)
        read = plan_file.read(plans["beside another"], notebooks=notebooks)
        done = batch.execute_all(read.plans, reports=tmp_path / "beside another" / "reports", workers=2)
    assert [result.status for result in done] == ["succeeded"] * 2, done
    said = process.communicate()[0]
    assert process.returncode == 0, said
    found, alone = (published(tmp_path / name) for name in plans)
    assert alone == {name: content for name, content in found.items() if name.startswith("rfm/s2/")}
    kinds = {
        "report.html",
        "notebook.ipynb",
        "findings.json",
        "actions.json",
        "manifest.json",
        "lists/core.csv",
    }
    kinds |= {
        "tables/tiers.csv",
        "tables/tiers.parquet",
        "figures/tiers.svg",
        "figures/tiers.parquet",
        "lists/core.parquet",
    }
    assert set(found) == {f"rfm/s{seed}/v1/{kind}" for seed in (1, 2) for kind in kinds}
    assert str(tmp_path).encode() not in b"".join(found.values())
    assert found["rfm/s1/v1/findings.json"] != found["rfm/s2/v1/findings.json"], "the seed does change bytes"


@pytest.mark.slow
def test_the_notebooks_give_the_same_bytes_everywhere(root: Path, sample: Path, tmp_path: Path) -> None:
    names = [
        name for name in ("rfm", "retention", "outlook") if list((root / "notebooks").glob(f"*_{name}.ipynb"))
    ]
    plan = tmp_path / "plan.yml"
    plan.write_text(f"data: {sample}\njobs:\n" + "".join(f"  - notebook: {name}\n" for name in names))
    ways = {
        "two workers": (2, "fork", HERE),
        "one worker": (1, "fork", THERE),
        "ordinary": (1, "ordinary", THERE),
    }
    for name, options in ways.items():
        process = start(plan, root / "notebooks", tmp_path / name, *options, light=False)
        said = process.communicate()[0]
        assert process.returncode == 0, said
    found = check_same([tmp_path / name for name in ways])
    assert len(found) > 20 * len(names)
