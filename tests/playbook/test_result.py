"""What a record may tell: nothing about fewer than `k_min` members, in words, tables, pictures or findings."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import pandas as pd
import pytest

from helpers import Study
from helpers.figures import Chart, NoChart, new_figure
from helpers.playbook.finding import Finding, finding
from helpers.playbook.result import Part, Result
from helpers.stats.estimate import Estimate
from helpers.tables import Table

SIZES = pd.DataFrame(
    {"tier": ["core", "active", "silent", "new"], "n": [4, 12, 30, 40], "share": [0.05, 0.14, 0.35, 0.46]}
)


@dataclass(frozen=True, repr=False)
class Sizes(Result):
    """A result with one of each part."""

    n: int = 86

    @property
    def sentence(self) -> str:
        return f"{self.n} members stand in four tiers."

    @property
    def smallest(self) -> int:
        return self.n

    def parts(self) -> Iterator[Part]:
        yield self.sentence
        picture, _ = new_figure()
        yield Chart(
            "Few are core",
            "A picture of sizes that is described in words.",
            SIZES,
            picture,
            members="n",
            name="sizes",
        )
        yield Table("sizes", SIZES, "Members by tier", members="n")

    def findings(self) -> Iterator[Finding]:
        estimate = Estimate(0.35, 0.2, 0.5, n=self.n, unit="share", confidence=0.95, method="counted")
        yield finding(
            estimate, id="x.share", metric="silent", scope="all", sentence=self.sentence, assumption="none"
        )


@pytest.fixture(scope="module")
def study() -> Study:
    activity = pd.DataFrame(
        {"member_id": ["a"], "day": pd.to_datetime(["2026-01-01"]), "kind": ["interaction"]}
    )
    return Study.of({"activity": activity}, as_of="2026-01-02")


def test_small_rows_and_the_picture_that_shows_them_are_kept_back(study: Study) -> None:
    said, picture, table = Sizes(study).told()
    assert said == "86 members stand in four tiers."
    assert isinstance(picture, NoChart) and picture.name == "sizes"
    assert isinstance(table, Table)
    # The second smallest goes too: the first would follow from the total.
    assert table.frame["n"].isna().tolist() == [True, True, False, False]
    assert table.frame["share"].isna().tolist() == [True, True, False, False]
    assert "fewer than 10" in table.note


def test_a_result_about_too_few_tells_nothing(study: Study) -> None:
    few = Sizes(study, 7)
    assert list(few.told()) == ["About fewer than 10 members, so it is not shown."]
    (hidden,) = few.found()
    assert (hidden.verdict, hidden.value, hidden.n) == ("too little data", None, 0)
    assert "7" not in hidden.sentence + few._repr_html_() + repr(few)


def test_where_first_seen_stands_for_joining_each_finding_is_provisional_and_says_so(study: Study) -> None:
    (found,) = Sizes(replace(study, needs_joining=True)).found()
    assert (found.verdict, found.value) == ("provisional", 0.35)
    assert found.sentence.endswith("the day somebody was first seen stands for joining.")


def test_what_is_about_enough_members_is_told_whole(study: Study) -> None:
    (found,) = Sizes(study).found()
    assert (found.value, found.n) == (0.35, 86)
    assert (
        "four tiers" in Sizes(study)._repr_html_() and repr(Sizes(study)) == "86 members stand in four tiers."
    )
