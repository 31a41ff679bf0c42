"""On a large community no answer of an engine has a row a member: all that grows is aggregated, or is a sample."""

from __future__ import annotations

import pytest

from helpers.data import guard
from helpers.stats.forecast import value_days
from tests import golden
from tests.golden import pulled

MEMBERS = 15_000


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """A community of which the samples of these tests are a small part."""
    return golden.simulate(tmp_path_factory.mktemp("large") / "large", MEMBERS, seed=12)


@pytest.mark.slow
@pytest.mark.parametrize("notebook", [name for place, name in golden.RUNS if place == "sample"])
def test_no_answer_has_a_row_a_member(notebook, large, tmp_path, monkeypatch):
    monkeypatch.setattr(guard, "MOST_PULLED", MEMBERS - 2_000)
    monkeypatch.setattr(value_days, "BUCKETS", 20)  # by day of tenure, which alone are more cells than that
    with pulled.sampled(), pulled.counted() as found:
        published = golden.run("large", notebook, tmp_path, data=str(large))
    assert "refused" not in published
    assert found.bytes < 10e6, found
