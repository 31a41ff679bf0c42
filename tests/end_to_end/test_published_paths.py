"""The published paths of a peer as canonical tables, through `playbook run`: its figures come out of the report."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import yaml
from typer.testing import CliRunner

from helpers.cli import app
from helpers.methods.attribution.grouped_paths import expanded


@pytest.mark.slow
def test_the_credit_of_published_paths(reference_data: Path, tmp_path: Path) -> None:
    """Rules as ChannelAttribution has them; the chain is the closed form of the chosen order."""
    own = reference_data / "attribution"
    names = {"total_conversions": "conversions", "total_conversion_value": "value", "total_null": "nulls"}
    paths = pd.read_csv(own / "channelattribution_Data.csv", sep=";").rename(columns=names)
    for name, table in expanded(paths).items():
        table.to_parquet(tmp_path / f"{name}.parquet", index=False)
    asked = {"as_of": "2026-06-30", "bootstrap_draws": 100, "lookback_days": 365, "k_min": 1}
    job = {"notebook": "attribution", "label": "paths", "data": str(tmp_path), "parameters": asked}
    (tmp_path / "plan.yml").write_text(yaml.safe_dump({"jobs": [job]}), "utf-8")
    done = CliRunner().invoke(
        app, ["run", "--plan", str(tmp_path / "plan.yml"), "--reports", str(tmp_path / "reports")]
    )
    assert done.exit_code == 0, done.output
    table = pd.read_parquet(tmp_path / "reports/attribution/paths/v1/tables/credit.parquet")
    credit = table.pivot(index="channel", columns="model", values="conversions")
    rules = pd.read_csv(own / "reference/ca_2.2.5_heuristics.csv", index_col="channel_name")
    for model, column in (
        ("First click", "first_touch"),
        ("Last click", "last_touch"),
        ("Equal parts", "linear_touch"),
    ):
        assert credit[model].to_dict() == pytest.approx(rules[f"{column}_conversions"].to_dict(), rel=1e-9)
    exact = pd.read_csv(own / "reference/exact_closed_form_markov_orders1-4.csv")
    third = exact[(exact["mode"] == "nulls") & (exact["order"] == 3)].set_index("channel_name")[
        "total_conversions"
    ]
    assert credit["Markov chain"].to_dict() == pytest.approx(third.to_dict(), rel=1e-9)
