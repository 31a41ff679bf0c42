"""Reports made by ``playbook``'s batch against a plain loop of ``papermill`` and ``jupyter nbconvert``, as ratios.

The plain side runs and renders one notebook after the other, each in fresh processes with an ordinary kernel, as a
shell loop would. Our side is ``playbook run --plan``: it validates, runs, renders and publishes all of them, in a
fresh process that starts its own fork server. Both sides run the same notebook with the same parameters on the same
machine, in turn. A plain report costs the same whether it is the third or the twentieth, so a few of them give the
median that is multiplied; ours are all run, because the warm-up weighs on few reports and hardly on many.

The notebook is a light report of the full stack: tables, a picture, survival curve, clustering, regression and
findings. ``--notebook 01_rfm`` takes the project's RFM notebook instead, where computing outweighs everything else.

Run: ``python benchmarks/batch.py`` (``--plain 2 --reports 5`` for a quick look). Target: 20 reports of the light
notebook in at most 1/8 of the plain wall time on two cores.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import _contenders

TARGET = 1 / 8
ROOT = Path(__file__).resolve().parent.parent

PLAN = """
jobs:
  - notebook: rfm
    label: "{number}-{{seed}}"
    matrix:
      seed: {seeds}
"""
CELLS = (
    "# How orders come about\n\nWho buys, how soon, and what goes with it?",
    'data: str = "data/sample"  # folder of tables\nseed: int = 1  # seed of the sample of members',
    """import lifelines
import numpy as np
import pandas as pd
import seaborn as sns
import statsmodels.formula.api as smf
from helpers.data import source
from helpers.figures import STYLE, Chart, new_figure
from helpers.report import params, record
from matplotlib import rc_context
from sklearn.cluster import KMeans
parameters = params.read("01_rfm", globals())""",
    """dataset = source.open(parameters.data, tables=["members", "orders"])
members, orders = dataset.members.to_pandas(), dataset.orders.to_pandas()
drawn = np.random.default_rng(parameters.seed).choice(len(members), len(members) // 2, replace=False)
members = members.iloc[np.sort(drawn)]
orders = orders[orders["member_id"].isin(members["member_id"])]""",
    """each = orders.groupby("member_id").agg(orders=("order_id", "size"), gross=("gross", "sum"),
                                        first=("paid_at", "min")).reset_index()
people = members.merge(each, on="member_id", how="left").sort_values("member_id", ignore_index=True)
record.table("by_platform", people.groupby("platform_home").agg(members=("member_id", "size"),
             orders=("orders", "sum")).reset_index(), "Members and orders by home platform")""",
    """bars = people.groupby("platform_home")["orders"].mean().round(3).reset_index()
with rc_context(STYLE):
    figure, axes = new_figure()
    sns.barplot(bars, x="platform_home", y="orders", ax=axes, color="#0072b2")
record.figure("orders", Chart("Orders per buyer by home platform",
              f"Buyers of {bars.iloc[0, 0]} place {bars.iloc[0, 1]:.1f} orders on average.", bars, figure))""",
    """end = orders["paid_at"].max()
days = ((people["first"].fillna(end) - people["joined_at"]).dt.total_seconds() / 86400).clip(lower=0.01)
curve = lifelines.KaplanMeierFitter().fit(days, people["first"].notna())
share = curve.survival_function_.iloc[::50].round(4).reset_index()
record.table("waiting", share, "Share of members without an order, by days since they joined")""",
    """scaled = np.log1p(people[["orders", "gross"]].fillna(0.0))
groups = KMeans(4, n_init=10, random_state=parameters.seed).fit(scaled)
sizes = pd.Series(groups.labels_).value_counts().sort_index().rename_axis("group").reset_index(name="members")
record.table("groups", sizes, "Members by group of orders and value")""",
    """people["bought"] = people["orders"].notna().astype(int)
fit = smf.logit("bought ~ C(platform_home) + early_reply", people.astype({"early_reply": int})).fit(disp=0)
odds = np.exp(fit.params).round(4).rename_axis("term").reset_index(name="odds_ratio")
record.table("odds", odds, "Odds ratios of having bought")""",
    "record.say(f\"{people['bought'].sum():,} of {len(people):,} members have bought.\")",
)


def main() -> int:
    """Read the arguments, measure and print."""
    options = _options()
    plain: list[float] = []
    ours: dict[int, list[float]] = {number: [] for number in options.reports}
    warm_ups: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        project = _project(Path(folder), options.notebook)
        for _ in range(options.rounds):
            for number in sorted(ours):
                for _again in range(max(options.plain // len(ours), 1)):
                    plain.append(_plain(project, len(plain) + 1))
                seconds, warm_up = _ours(project, number, options.workers)
                ours[number].append(seconds)
                warm_ups.append(warm_up)
            shutil.rmtree(project / "reports", ignore_errors=True)
    _conclude(plain, ours, warm_ups, options.workers)
    return _contenders.concluded()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--notebook", default="light", help="'light' or a notebook of the project")
    parser.add_argument(
        "--reports", type=int, nargs="+", default=[5, 20], help="numbers of reports in a batch"
    )
    parser.add_argument("--plain", type=int, default=4, help="plain reports in a round")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2)
    return parser.parse_args()


def _project(folder: Path, notebook: str) -> Path:
    """Make a project with the sample data and the notebook, which has the RFM parameters' names."""
    import nbformat
    from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

    (folder / "notebooks").mkdir()
    (folder / "data").mkdir()
    shutil.copytree(ROOT / "data" / "sample", folder / "data" / "sample")
    target = folder / "notebooks" / "01_rfm.ipynb"
    if notebook != "light":
        from helpers.report.project import find_notebook

        shutil.copy(find_notebook(notebook, ROOT / "notebooks"), target)
        return folder
    title, parameters, *code = CELLS
    tagged = new_code_cell(parameters, metadata={"tags": ["parameters"]}, id="parameters")
    cells = [new_markdown_cell(title, id="title"), tagged]
    cells += [new_code_cell(source, id=f"code-{number}") for number, source in enumerate(code)]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(new_notebook(cells=cells, metadata={"kernelspec": kernel}), target)
    return folder


def _plain(project: Path, seed: int) -> float:
    """Run and render one report as a shell loop does."""
    out = project / "plain.ipynb"
    notebook = project / "notebooks" / "01_rfm.ipynb"
    papermill = ["papermill", str(notebook), str(out), "-p", "seed", str(seed), "--no-progress-bar"]
    convert = ["nbconvert", "--to", "html", str(out)]
    started = time.perf_counter()
    for command in (papermill, convert):
        _check([sys.executable, "-m", *command], project)
    return time.perf_counter() - started


def _ours(project: Path, number: int, workers: int) -> tuple[float, float]:
    """Run a plan from the command line; return its seconds and those before the first run began."""
    plan = project / f"{number}.yml"
    plan.write_text(PLAN.format(number=number, seeds=list(range(1, number + 1))))
    command = [sys.executable, "-m", "helpers.cli", "run", "--force", "--plan", str(plan)]
    command += ["--reports", str(project / "reports"), "--workers", str(workers)]
    warm_up, said = None, ""
    started = time.perf_counter()
    with subprocess.Popen(
        command, cwd=project, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            said += line
            if warm_up is None and line.endswith(": start\n"):
                warm_up = time.perf_counter() - started
    seconds = time.perf_counter() - started
    if process.returncode or warm_up is None or said.count(": succeeded in ") != number:
        raise SystemExit(f"{' '.join(command)} failed:\n{said}")
    return seconds, warm_up


def _check(command: list[str], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stdout}\n{done.stderr}")


def _conclude(plain: list[float], ours: dict[int, list[float]], warm_ups: list[float], workers: int) -> None:
    """Print medians and ratios; the target is for batches of 20 and more."""
    each = statistics.median(plain)
    _contenders.note(f"{workers} workers, of which the warm-up takes {statistics.median(warm_ups):.2f} s")
    whole = {number: statistics.median(seconds) for number, seconds in ours.items()}
    _contenders.table(
        {
            "reports": number,
            "papermill and nbconvert s": f"{each * number:.1f}",
            "ours s": f"{seconds:.1f}",
            "ours / plain": f"{seconds / (each * number):.3f}",
        }
        for number, seconds in whole.items()
    )
    for number in [number for number in ours if number >= 20]:
        ratio = whole[number] / (each * number)
        _contenders.claim(f"{number} reports, ours / papermill and nbconvert, wall", ratio, TARGET, ".3f")


if __name__ == "__main__":
    sys.exit(main())
