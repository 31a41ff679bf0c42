"""Findings, actions and a catalogue to render."""

from __future__ import annotations

from typing import Any

from helpers.playbook.action import Action
from helpers.playbook.finding import Finding, Provenance
from helpers.report.publish.catalog import Catalog, CatalogSeries, CatalogVersion
from helpers.report.publish.manifest import Failure

TITLE = "Who the members are, how they move, and who is worth what"
QUESTION = (
    "Which members bring the value, who is on the way up or down, and whom should we write to this month?"
)
SAMPLE = {
    "confidence": 0.95,
    "scope": "douyin, 90 days up to 2026-06-30",
    "provenance": Provenance(method="Jeffreys interval of counts", assumption="Members are independent"),
}


def findings() -> list[Finding]:
    """Return five findings: every verdict but provisional."""
    rows: list[tuple[Any, ...]] = [
        ("rfm.top20_share", "Value of the top fifth", 0.617, 0.584, 0.651, 3_412, "share",
         "neither", "stated",
         "The top fifth of members bring 61.7 % of the value (58.4 % to 65.1 %), below the claimed 80 %."),
        ("rfm.net_promotion_rate", "Net promotion rate", -0.043, -0.061, -0.025, 2_870, "share",
         "up is good", "worse",
         "More slid down than climbed: 4.3 points net between May and June (n = 2,870)."),
        ("rfm.tier_value_ratio", "Value of a core member over a potential one", 6.4, 4.9, 8.3, 3_412, "ratio",
         "up is good", "better", "A core member brings 6.4 times what a potential one brings in a period."),
        ("rfm.segment_stability", "Stability of behavioural segments", 0.41, 0.33, 0.52, 3_412, "ratio",
         "up is good", "no clear change",
         "The segments 关键意见消费者 and 活跃成员 do not come back, so none has a name."),
        ("rfm.referral_value", "Referral value by tier", None, None, None, 17, "CNY", "up is good", "too little data",
         "Only 17 members have referred somebody; that is too few to value a referral."),
    ]  # fmt: skip
    names = ("id", "metric", "value", "low", "high", "n", "unit", "direction", "verdict", "sentence")
    return [Finding(**dict(zip(names, row, strict=True)), **SAMPLE) for row in rows]


def actions() -> list[Action]:
    """Return four actions, deliberately not in order of expected value."""
    rows: list[tuple[Any, ...]] = [
        ("rfm.clean_silent", "Remind, then ask, then tidy up silent accounts", "The silent share is above the "
         "line with its whole interval. Remove nobody on a single rule.", ("rfm.silent_share",),
         "community operations", None, None, None, 0, "rule", "silent share"),
        ("rfm.recall_silent", "Recall 412 silent members who were worth something", "Each is expected to bring CNY "
         "38 in the next period. Call them back with a reason of their own, and leave the hold-out alone.",
         ("rfm.top20_share",), "customer relations", 1_840, -620, 5_910, 41.2, "rule",
         "share active again, contact against hold-out"),
        ("rfm.protect_core", "Keep the top tier close (核心成员)", "268 members of the top tier are expected to "
         "bring CNY 412 each in the next period. Give them content and live access before anyone else.",
         ("rfm.tier_value_ratio", "rfm.top20_share"), "community lead", 12_480, 3_150, 24_900, 134, "experiment",
         "value a member, contact against hold-out"),
        ("rfm.stop_net_demotion", "Find out why members slide down before spending on growth", "More members moved "
         "down than up between the last two periods, and the interval excludes zero.", ("rfm.net_promotion_rate",),
         "community lead", None, None, None, 0, "correlation", "net promotion rate"),
    ]  # fmt: skip
    names = ("id", "title", "why", "finding_ids", "owner_role", "expected_value", "low", "high", "cost",
             "confidence_class", "check_metric")  # fmt: skip
    calls = ("do", "test", "do", "do")
    return [
        Action(**dict(zip(names, row, strict=True)), call=call, check_after_days=30)
        for row, call in zip(rows, calls, strict=True)
    ]


def version(
    series: str, number: int, status: str = "succeeded", as_of: str = "2026-06-30", found: int = 5
) -> CatalogVersion:
    """Return a version as the catalogue lists it."""
    failure = (
        Failure(kind="exception", cell=6, error="KeyError", message="'monetry'")
        if status == "failed"
        else None
    )
    return CatalogVersion(
        version=number,
        path=f"{series}/v{number}",
        status=status,
        failure=failure,
        finished_at="2026-07-01T01:02:45.000+00:00",
        as_of=as_of,
        headlines=findings()[:found] if status == "succeeded" else [],
        decision=actions()[2] if status == "succeeded" else None,
        decisions=4,
    )


def catalog(copies: int = 0) -> Catalog:
    """Return a catalogue with a failed series, a series behind, one that was not run, and `copies` plain ones."""

    def series(name: str, versions: list[CatalogVersion]) -> CatalogSeries:
        good = [entry.version for entry in versions if entry.status == "succeeded"]
        return CatalogSeries(
            series=name,
            notebook="01_rfm",
            label=name.partition("/")[2],
            title=TITLE,
            question=QUESTION,
            latest=max(good, default=None),
            versions=versions,
        )

    entries = [
        series("rfm/all", [version("rfm/all", n) for n in range(12, 0, -1)]),
        series(
            "rfm/douyin",
            [version("rfm/douyin", 4, "failed"), version("rfm/douyin", 3), version("rfm/douyin", 2)],
        ),
        series("rfm/小红书", [version("rfm/小红书", 1, as_of="2026-05-31", found=2)]),
        series("retention/all", [version("retention/all", 1, "not_run")]),
    ]
    entries += [
        series(f"rfm/copy-{c}", [version(f"rfm/copy-{c}", n, found=3) for n in range(20, 0, -1)])
        for c in range(copies)
    ]
    return Catalog(series=entries, unreadable=["rfm/broken/v1"])
