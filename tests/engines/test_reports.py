"""The notebooks publish from PostgreSQL and Spark the numbers that are stored of files in DuckDB."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from helpers.stats.resample import MAXIMUM_CELLS
from tests import golden
from tests.engines import server as servers
from tests.engines.conftest import spark_url
from tests.golden import pulled

pytestmark = pytest.mark.engines

NOTEBOOKS = [
    "01_rfm",
    "02_retention",
    "03_ab_test",
    "04_attribution",
    "05_budget",
    "13_weekly_review",
    "14_outlook",
]
HARD = [notebook for name, notebook in golden.RUNS if name == "hard"]
QUICK = ("01_rfm", "03_ab_test")
"""Those that Spark runs in `make test-all`; the others take it minutes."""
BUYERS = MAXIMUM_CELLS + 4_000


@pytest.fixture
def postgres_sample(sample_url) -> str:
    """The sample community in PostgreSQL, its files beside it."""
    return f"{sample_url}?beside={golden.ROOT / 'data' / 'sample'}"


@pytest.fixture
def spark_sample() -> str:
    """The sample community for Spark."""
    return spark_url(golden.ROOT / "data" / "sample")


@pytest.mark.parametrize("notebook", NOTEBOOKS)
def test_the_sample_gives_the_same_numbers(notebook, postgres_sample, tmp_path):
    golden.check("sample", notebook, golden.run("sample", notebook, tmp_path, data=postgres_sample))


@pytest.mark.parametrize(
    "notebook", [each if each in QUICK else pytest.param(each, marks=pytest.mark.slow) for each in NOTEBOOKS]
)
def test_the_sample_gives_spark_the_same_numbers(notebook, spark_sample, tmp_path):
    golden.check("sample", notebook, golden.run("sample", notebook, tmp_path, data=spark_sample))


@pytest.mark.parametrize("notebook", HARD)
def test_a_hard_community_in_a_database_of_chinese_order_does_too(notebook, hard_url, tmp_path):
    golden.check(
        "hard", notebook, golden.run("hard", notebook, tmp_path, data=f"{hard_url}?beside={tmp_path}")
    )


@pytest.mark.slow
@pytest.mark.parametrize("notebook", HARD)
def test_a_hard_community_gives_spark_the_same_numbers(notebook, tmp_path):
    url = spark_url(golden.community("hard", tmp_path))
    golden.check("hard", notebook, golden.run("hard", notebook, tmp_path, data=url))


@pytest.fixture(scope="module")
def many(tmp_path_factory) -> Path:
    """Buyers of whom more paid different sums than are kept apart, so that values are grouped by their digits."""
    rng, folder = np.random.default_rng(4), tmp_path_factory.mktemp("many")
    orders = 2 * BUYERS
    who = rng.permutation(np.repeat(np.arange(BUYERS), 2))
    days = rng.integers(0, 300, orders)
    paid = pd.Timestamp("2026-06-30 12:00", tz="UTC") - pd.to_timedelta(
        days * 1440 + rng.integers(0, 600), "m"
    )
    halves, others = rng.integers(200, 20_000, orders) / 2, rng.gamma(1.5, 90, orders).round(2)
    frame = pd.DataFrame({
        "order_id": [f"o{n}" for n in range(orders)],
        "member_id": [f"m{n}" for n in who],
        "paid_at": pd.Series(paid).astype("datetime64[us, UTC]"),
        # Halves at the third digit, which engines round differently, and sums that are no binary fractions.
        "gross": np.where(rng.random(orders) < 0.5, halves, others),
        "currency": "CNY",
    })  # fmt: skip
    frame.to_parquet(folder / "orders.parquet", index=False)
    return folder


@pytest.mark.parametrize("engine", ["postgres", pytest.param("spark", marks=pytest.mark.slow)])
def test_more_values_than_are_kept_apart_give_the_same_bytes(engine, many, request, tmp_path):
    sums = pq.read_table(many / "orders.parquet").group_by("member_id").aggregate([("gross", "sum")])
    assert len(set(sums["gross_sum"].to_numpy().round(6))) > MAXIMUM_CELLS
    if engine == "spark":
        url = spark_url(many)
    else:
        url = request.getfixturevalue("server").database("many", servers.files(many))
    places = {"files": str(many), engine: url}
    found = [golden.run("many", "01_rfm", tmp_path / name, data=place) for name, place in places.items()]
    assert golden.differences(*found) == []
    files = [sorted((tmp_path / name / "many-01_rfm").rglob("*.parquet")) for name in places]
    assert [path.name for path in files[0]] == [path.name for path in files[1]]
    for one, other in zip(*files, strict=True):
        pd.testing.assert_frame_equal(pd.read_parquet(one), pd.read_parquet(other), rtol=0, atol=0)


@pytest.mark.parametrize("notebook", ["01_rfm", "04_attribution", "14_outlook"])
@pytest.mark.parametrize("engine", ["postgres", pytest.param("spark", marks=pytest.mark.slow)])
def test_samples_of_large_communities_are_the_same_members(engine, notebook, request, tmp_path):
    places = ("", request.getfixturevalue(f"{engine}_sample"))
    with pulled.sampled():
        found = [golden.run("sample", notebook, tmp_path / str(n), data=p) for n, p in enumerate(places)]
    assert golden.differences(golden.stored("sample", notebook), found[0]), "samples are drawn"
    assert golden.differences(*found) == []
