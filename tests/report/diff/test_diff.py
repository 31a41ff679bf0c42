"""Two versions compared: addresses, causes, findings, decisions, the page and the command."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from typer.testing import CliRunner

from helpers.cli import app
from helpers.errors import BadParameters
from helpers.playbook.action import Action
from helpers.playbook.finding import Finding, Provenance
from helpers.report import diff
from helpers.report.diff.causes import Causes, causes
from helpers.report.publish import catalog, store
from helpers.report.publish.manifest import Data, Manifest, TableFingerprint, dump_json, read_manifest
from helpers.report.publish.store import CannotPublish
from tests.report.structure import problems

DAY = "2026-06-30"
ORDERS = {"orders": TableFingerprint(rows=100, sha256="a" * 64)}
MORE = {"orders": TableFingerprint(rows=912, sha256="b" * 64)}


def finding(id: str = "x.share", value: float | None = 0.4, half: float = 0.02, **changes: Any) -> Finding:
    known = value is not None
    values: dict[str, Any] = {
        "id": id,
        "metric": f"metric {id}",
        "scope": f"all members, as of {DAY}",
        "value": value,
        "low": value - half if known else None,
        "high": value + half if known else None,
        "confidence": 0.95,
        "n": 900,
        "unit": "share",
        "direction": "up is good",
        "verdict": "stated" if known else "too little data",
        "sentence": f"{id} is {value}.",
        "provenance": Provenance(method="Wilson score", assumption="none"),
    }
    return Finding(**values | changes)


def action(id: str, value: float | None, **changes: Any) -> Action:
    values = {"title": f"Do {id}", "why": "x", "finding_ids": ("x.share",), "owner_role": "lead", "cost": 0}
    rest = {"confidence_class": "rule", "check_metric": "x", "check_after_days": 7}
    span = {"expected_value": value, "low": value and value - 1, "high": value and value + 1}
    return Action(**{"id": id, **values, **rest, **span, **changes})


@pytest.fixture
def put(build_manifest: Callable[..., Manifest], tmp_path: Path) -> Callable[..., Path]:
    """Publish a version by hand: findings, actions, frames, and whatever differs in the manifest."""

    def write(
        number: int,
        findings: list[Finding] | None = None,
        *,
        series: str = "rfm/all",
        tables: dict[str, TableFingerprint] = ORDERS,
        status: str = "succeeded",
        actions: list[Action] | None = None,
        frames: dict[str, pd.DataFrame] | None = None,
        **changes: Any,
    ) -> Path:
        manifest = build_manifest(series, number, status=status)
        manifest = manifest.model_copy(update={"data": Data(url="tables", tables=tables), **changes})
        folder = tmp_path / "reports" / series / f"v{number}"
        folder.mkdir(parents=True)
        (folder / "manifest.json").write_text(manifest.to_json())
        (folder / "findings.json").write_text(dump_json([f.model_dump(mode="json") for f in findings or []]))
        (folder / "actions.json").write_text(dump_json([a.model_dump(mode="json") for a in actions or []]))
        for name, frame in (frames or {}).items():
            (folder / name).parent.mkdir(exist_ok=True)
            frame.to_parquet(folder / f"{name}.parquet", index=False)
        return tmp_path / "reports"

    return write


def compared(reports: Path, *addresses: str) -> diff.Comparison:
    return diff.compare(*diff.resolve(reports, *addresses))


# --- addresses ------------------------------------------------------------------------------------------------------


def test_the_default_is_the_latest_good_version_against_the_good_one_before(put: Any) -> None:
    put(1), put(2), put(3, status="failed"), put(4)
    reports = put(5, status="failed")
    names = lambda *addresses: tuple(side.name for side in diff.resolve(reports, *addresses))  # noqa: E731
    assert names() == ("rfm/all@v2", "rfm/all@v4")
    assert names("rfm/all") == names()
    assert names("rfm/all@v2") == ("rfm/all@v1", "rfm/all@v2")
    assert names("rfm/all@v5") == ("rfm/all@v4", "rfm/all@v5")
    assert names("rfm/all@v3", "rfm/all") == ("rfm/all@v3", "rfm/all@v4")
    assert names("rfm/all/v4", "rfm/all@v1") == ("rfm/all@v4", "rfm/all@v1")


def test_a_wrong_address_is_told_with_what_there_is(put: Any, tmp_path: Path) -> None:
    with pytest.raises(BadParameters, match="no report is published"):
        diff.resolve(tmp_path / "nowhere")
    reports = put(1)
    with pytest.raises(BadParameters, match="first version of its series"):
        diff.resolve(reports)
    put(2), put(1, series="rfm/douyin")
    for addresses, message in (
        ((), "several series; name one of: rfm/all, rfm/douyin"),
        (("rfm/duoyin",), 'Did you mean "rfm/douyin"? There are: rfm/all, rfm/douyin'),
        (("rfm/all@v3", "rfm/all@v1"), "no version v3"),
        (("rfm/all@2", "rfm/all@v1"), 'no series "rfm/all@2"'),
        (("rfm/all", "rfm/all@v2"), "both rfm/all@v2"),
    ):
        with pytest.raises(BadParameters, match=re.escape(message)):
            diff.resolve(reports, *addresses)


def test_a_damaged_manifest_is_told(put: Any) -> None:
    put(1)
    reports = put(2)
    (reports / "rfm/all/v1/manifest.json").write_text("{}")
    with pytest.raises(BadParameters, match="rfm/all@v1 was written by another release or is damaged"):
        diff.resolve(reports)


# --- causes ---------------------------------------------------------------------------------------------------------


def test_the_cause_class_of_single_causes(put: Any) -> None:
    first = read_manifest(put(1, packages={"pandas": "2.3"}) / "rfm/all/v1")

    def changed(**changes: Any) -> Causes:
        return causes(first, first.model_copy(update=changes))

    same = changed()
    assert (same.classes, same.title) == ([], "none: identical inputs")
    seed = {**first.parameters, "seed": 4}
    seeded = causes(
        first.model_copy(update={"parameters": {**seed, "seed": 3}}),
        first.model_copy(update={"parameters": seed}),
    )
    assert (seeded.classes, seeded.only_seed, seeded.resampled) == (["parameters"], True, False)
    data = changed(data=Data(url="tables", tables=MORE))
    assert (data.classes, data.resampled) == (["data"], True)
    assert data.sentence == "the data changed (orders +812 rows)"
    other = first.code.model_copy(update={"notebook_sha256": "5" * 64})
    code = changed(code=other)
    assert code.classes == ["code"]
    assert [change.name for change in code.of("code")] == ["01_rfm.ipynb"]
    environment = changed(packages={"pandas": "9.9"})
    assert environment.classes == ["environment"]
    assert "pandas 2.3 → 9.9" in environment.sentence
    # A parameter that only one side knows comes with the code that added it.
    assert changed(code=other, parameters=seed).classes == ["code"]
    assert changed(parameters=seed).classes == ["parameters"]
    several = changed(
        data=Data(url="tables", tables=MORE), parameters={"as_of": "2026-07-31"}, code=other, packages={}
    )
    assert several.title == "several: data, parameters, code and environment"


def test_a_changed_module_and_lock_are_named(put: Any) -> None:
    reports = put(1)
    manifest = read_manifest(reports / "rfm/all/v1")
    changed = {"helpers": "1" * 64, "helpers.methods.rfm.tiers": "3" * 64}
    code = manifest.code.model_copy(update={"modules": changed, "lock_sha256": "4" * 64})
    found = causes(manifest, manifest.model_copy(update={"code": code}))
    assert [change.name for change in found.of("code")] == ["helpers.methods.rfm.tiers"]
    assert [change.name for change in found.of("environment")] == ["requirements.lock"]


def test_data_that_only_moved_house_are_no_cause_and_tables_come_and_go(put: Any) -> None:
    put(1), put(2, data=Data(url="elsewhere", tables=ORDERS), parameters={"as_of": DAY, "data": "elsewhere"})
    reports = put(3, tables={"members": TableFingerprint(rows=None, sha256="c" * 64)})
    moved = compared(reports, "rfm/all@v1", "rfm/all@v2")
    assert moved.causes.changes == []
    assert "were read from tables before and from elsewhere after" in diff.write(moved).read_text("utf-8")
    assert compared(reports, "rfm/all@v1", "rfm/all@v3").causes.sentence == (
        "the data changed (members added, orders removed)"
    )


# --- findings -------------------------------------------------------------------------------------------------------


def outcomes(comparison: diff.Comparison) -> dict[str, str]:
    return {change.id: change.outcome for change in comparison.findings}


def test_findings_are_judged_against_chance_and_ranked(put: Any) -> None:
    put(1, [finding("small", 0.4), finding("large", 0.4), finding("still", 0.1)])
    reports = put(2, [finding("small", 0.41), finding("large", 0.5), finding("still", 0.1)], tables=MORE)
    comparison = compared(reports)
    assert list(outcomes(comparison).items()) == [
        ("large", "signal"),
        ("small", "small"),
        ("still", "unchanged"),
    ]
    assert comparison.sentence == (
        "v2 against v1: the data changed (orders +812 rows). 1 of 3 findings moved further than chance explains: "
        "metric large rose from 40.0 % to 50.0 %. 1 did not change. 1 certainly changed by less than a tenth."
    )
    large = comparison.findings[0]
    assert large.mark("data") == ("signal, for the better", "●", "good")
    assert large.change == "+10.0 points (+7.2 to +12.8)"


def test_several_findings_are_harder_to_prove_than_one(put: Any) -> None:
    """A difference of 2.3 standard errors is a signal alone, and none among eight."""
    step = 2.3 * 0.02 / 1.959964 * 2**0.5
    others = [finding(f"other{i}") for i in range(7)]
    put(1, [finding("one"), *others]), put(2, [finding("one", 0.4 + step)], tables=MORE)
    reports = put(3, [finding("one", 0.4 + step), *others], tables=MORE)
    assert outcomes(compared(reports, "rfm/all@v1", "rfm/all@v2"))["one"] == "signal"
    assert outcomes(compared(reports, "rfm/all@v1", "rfm/all@v3"))["one"] == "unclear"


def test_a_small_move_of_versions_that_may_share_members_is_never_called_noise(put: Any) -> None:
    """The caveat stands in the summary, at the verdict and on the terminal, not only at the end."""
    put(1, [finding("one"), finding("two", 0.2)])
    reports = put(2, [finding("one", 0.43), finding("two", 0.18)], tables=MORE)
    comparison = compared(reports)
    assert outcomes(comparison) == {"one": "unclear", "two": "unclear"}
    assert f"{comparison.headline} {comparison.rest}" == (
        "No move among 2 findings is proved by this test. 2 cannot be told from chance by this test, which is no "
        "proof that nothing moved: versions may share members, and then the test is too careful."
    )
    page = diff.write(comparison).read_text("utf-8")
    assert problems(page) == []
    assert "noise" not in page.split(' id="judged"')[0] and page.count("</span> cannot tell<") == 4
    assert "“Cannot tell” is no all-clear" in page.split(' id="findings"')[1].split("<ol")[0]
    shown = CliRunner().invoke(app, ["diff", "--reports", str(reports)]).output
    assert "no proof that nothing moved" in " ".join(shown.split()) and shown.count("cannot tell ") >= 2


def test_noise_is_said_only_where_no_member_is_on_both_sides(put: Any) -> None:
    members = {"members": TableFingerprint(rows=10, sha256="a" * 64)}
    other = {"members": TableFingerprint(rows=10, sha256="b" * 64)}
    segments = {
        "douyin": 'platform == "douyin"',
        "weibo": "platform == 'weibo'",
        "some": 'platform in ["weibo"]',
    }
    for number, (segment, tables) in enumerate(
        [("douyin", members), ("weibo", members), ("some", members), ("weibo", other)], 1
    ):
        own = finding(value=0.4 + 0.02 * (number > 1))
        chosen = {"as_of": DAY, "segment": segments[segment]}
        reports = put(number, [own], tables=tables, parameters=chosen)
    found = [
        outcomes(compared(reports, "rfm/all@v1", f"rfm/all@v{number}"))["x.share"] for number in (2, 3, 4)
    ]
    assert found == ["noise", "unclear", "unclear"]
    apart = compared(reports, "rfm/all@v1", "rfm/all@v2")
    assert (
        f"{apart.headline} {apart.rest}" == "No move among 1 findings is proved by this test. 1 within noise."
    )
    assert "no member is on both sides" in diff.write(apart).read_text("utf-8")


@pytest.mark.parametrize(
    "name", ["window_days", "period", "report_tz", "count", "history_from", "horizon_days"]
)
def test_a_parameter_that_may_choose_rows_is_never_said_to_read_the_same_rows(put: Any, name: str) -> None:
    put(1, [finding()], parameters={"as_of": DAY, name: "1"})
    comparison = compared(put(2, [finding(value=0.5)], parameters={"as_of": DAY, name: "2"}))
    page = diff.write(comparison).read_text("utf-8")
    assert "same rows" not in page and "read the same tables, so the parameters brought about every" in page
    assert (
        "metric x.share: 40.0 % before, 50.0 % after" in comparison.headline
        and "rose" not in comparison.headline
    )


def test_one_row_is_one_row(put: Any) -> None:
    more = {"orders": TableFingerprint(rows=101, sha256="b" * 64)}
    assert compared(put(1) and put(2, tables=more)).causes.sentence == "the data changed (orders +1 row)"


def test_with_the_same_tables_a_difference_has_a_cause_and_is_no_noise(put: Any) -> None:
    put(1, [finding()]), put(2, [finding(value=0.401)], parameters={"as_of": DAY, "window_days": 30})
    put(3, [finding(value=0.402)], parameters={"as_of": DAY, "seed": 4})
    put(4, [finding(value=0.402)], parameters={"as_of": DAY, "seed": 5})
    reports = put(5, [finding(value=0.403)], parameters={"as_of": DAY, "seed": 5})
    for pair, outcome, said in (
        ((1, 2), "caused", "1 of 1 findings changed, brought about by the parameters on the same tables"),
        ((4, 5), "odd", "something that is not recorded changed"),
        ((3, 4), "unchanged", "No finding changed."),
    ):
        comparison = compared(reports, *(f"rfm/all@v{number}" for number in pair))
        assert outcomes(comparison) == {"x.share": outcome}
        assert said in comparison.sentence
        assert all(change.p is None for change in comparison.findings)


def test_a_changed_seed_alone_gives_simulation_noise(put: Any) -> None:
    put(1, [finding()], parameters={"as_of": DAY, "seed": 4})
    reports = put(2, [finding(value=0.5)], parameters={"as_of": DAY, "seed": 5})
    assert outcomes(compared(reports)) == {"x.share": "seed"}


def test_another_day_is_another_sample_of_the_same_quantity(put: Any) -> None:
    put(1, [finding()])
    later = finding(value=0.5, scope="all members, as of 2026-07-31")
    reports = put(2, [later], parameters={"as_of": "2026-07-31"})
    comparison = compared(reports)
    assert comparison.causes.classes == ["parameters"]
    assert outcomes(comparison) == {"x.share": "signal"}


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"unit": "CNY"}, "The unit is another"),
        ({"metric": "something else"}, "The metric is another"),
        ({"scope": f"buyers, as of {DAY}"}, "The scope is another"),
        ({"scope": f"all members, as of {DAY}, 60 days"}, "The scope is another"),
    ],
)
def test_what_is_not_comparable_is_never_subtracted(put: Any, changes: dict[str, str], why: str) -> None:
    put(1, [finding()])
    [change] = compared(put(2, [finding(value=0.9, **changes)], tables=MORE)).findings
    assert (change.outcome, change.difference) == ("not_comparable", None)
    assert change.why.startswith(why)


def test_periods_of_another_length_are_not_comparable(put: Any) -> None:
    put(1, [finding(scope="all, 2026-05-01 to 2026-05-31")])
    put(2, [finding(scope="all, 2026-06-01 to 2026-06-30")], tables=MORE)
    reports = put(3, [finding(scope="all, 2026-04-01 to 2026-06-30")], tables=MORE)
    assert outcomes(compared(reports, "rfm/all@v1", "rfm/all@v2")) == {"x.share": "unchanged"}
    assert outcomes(compared(reports, "rfm/all@v2", "rfm/all@v3")) == {"x.share": "not_comparable"}


def test_findings_come_go_lack_data_and_change_their_verdict(put: Any) -> None:
    put(1, [finding("gone"), finding("lacking", None), finding("turned", verdict="better")])
    new = [finding("new"), finding("lacking", 0.2), finding("turned", 0.38, verdict="no clear change")]
    comparison = compared(put(2, new, tables=MORE))
    expected = {"new": "appeared", "gone": "disappeared", "lacking": "too_little", "turned": "unclear"}
    assert outcomes(comparison) == expected
    assert [change.id for change in comparison.findings if change.verdict_changed] == ["turned", "lacking"]
    assert comparison.sentence.endswith("1 appeared. 1 disappeared.")


def test_a_finding_under_a_new_name_is_found_by_its_former_one(put: Any) -> None:
    put(1, [finding("old.silent", metric="silent")], series="old/all", tables=MORE)
    renamed = finding("new.silent", 0.6, metric="silent", aliases=("old.silent",))
    reports = put(2, [renamed], series="new/all")
    there, back = ("old/all@v1", "new/all@v2"), ("new/all@v2", "old/all@v1")
    for way in (there, back):
        assert outcomes(compared(reports, *way)) == {"new.silent": "signal"}


def test_a_failed_side_is_said_and_proves_no_finding_gone(put: Any) -> None:
    put(1, [finding("kept"), finding("lost")])
    reports = put(2, [finding("kept", 0.41)], status="failed", tables=MORE)
    comparison = compared(reports, "rfm/all@v2")
    assert outcomes(comparison) == {"kept": "small", "lost": "not_comparable"}
    page = diff.write(comparison).read_text("utf-8")
    assert problems(page) == []
    assert "rfm/all@v2 did not succeed (failed)" in page and "no luck" in page


def test_two_series_are_two_groups(put: Any) -> None:
    groups = {name: f'platform == "{name}"' for name in ("douyin", "weibo")}
    for name, value in (("douyin", 0.4), ("weibo", 0.6)):
        own = finding(value=value, scope=f"{groups[name]}, as of {DAY}")
        reports = put(1, [own], series=f"rfm/{name}", parameters={"as_of": DAY, "segment": groups[name]})
    comparison = compared(reports, "rfm/douyin", "rfm/weibo@v1")
    assert outcomes(comparison) == {"x.share": "signal"}
    assert comparison.sentence.startswith("rfm/weibo v1 against rfm/douyin v1, two different series:")
    path = diff.write(comparison)
    assert path == reports / "rfm/weibo/diffs/rfm.douyin-v1-v1.html"
    page = path.read_text("utf-8")
    assert problems(page) == []
    assert "../../douyin/v1/report.html" in page and "../../../index.html" in page


def test_actions_added_removed_and_moved(put: Any) -> None:
    put(1, actions=[action("a", 10), action("b", 5), action("c", None), action("d", 3)])
    reports = put(2, actions=[action("b", 20), action("a", 10), action("e", None), action("d", 3)])
    comparison = compared(reports)
    states = {
        change.title: (change.state, change.rank_before, change.rank_after) for change in comparison.actions
    }
    assert states == {
        "Do b": ("changed", 2, 1),
        "Do a": ("changed", 1, 2),
        "Do e": ("added", None, 4),
        "Do c": ("removed", 4, None),
    }


# --- page and command -----------------------------------------------------------------------------------------------


def test_the_page_is_the_same_each_time_and_no_version_to_the_catalogue(put: Any) -> None:
    put(1, [finding("a"), finding("b", 0.2)])
    reports = put(2, [finding("a", 0.6), finding("b", 0.21)], tables=MORE)
    before = store.published(reports)
    path = diff.write(compared(reports))
    page = path.read_bytes()
    assert path == reports / "rfm/all/diffs/v1-v2.html"
    assert problems(page.decode()) == []
    path.unlink()
    assert diff.write(compared(reports)).read_bytes() == page
    assert store.published(reports) == before
    assert not catalog.build(reports).unreadable
    assert [file.name for file in path.parent.iterdir()] == ["v1-v2.html"]


def test_identical_versions_make_a_page_too(put: Any) -> None:
    put(1, [finding()])
    comparison = compared(put(2, [finding()]))
    assert comparison.sentence == (
        "v2 against v1: data, parameters, code and environment are identical. No finding changed."
    )
    assert problems(diff.write(comparison).read_text("utf-8")) == []


def test_a_reports_folder_that_cannot_be_written_is_told(put: Any) -> None:
    put(1)
    reports = put(2)
    (reports / "rfm/all/diffs").write_text("in the way")
    with pytest.raises(CannotPublish, match="cannot be written"):
        diff.write(compared(reports))


def test_the_command_prints_tables_and_where_the_page_lies(put: Any) -> None:
    put(1, [finding()], actions=[action("a", 1)])
    reports = put(2, [finding(value=0.6)], tables=MORE)
    done = CliRunner().invoke(app, ["diff", "--reports", str(reports)])
    assert done.exit_code == 0, done.output
    assert "metric x.share" in done.output and "+20.0 points (+17.2 to +22.8)" in done.output
    assert "orders" in done.output and "removed" in done.output
    assert (reports / "rfm/all/diffs/v1-v2.html").is_file()
    assert isinstance(
        CliRunner().invoke(app, ["diff", "rfm/al", "--reports", str(reports)]).exception, BadParameters
    )


def test_a_picture_that_differs_is_folded_with_both_drawings_and_one_too_heavy_is_linked(
    put: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiers = pd.DataFrame({"tier": ["core", "silent"], "share": [0.1, 0.9]})
    other = tiers.assign(share=[0.2, 0.8])
    put(1, frames={"figures/tiers": tiers, "tables/same": tiers, "figures/same": tiers})
    reports = put(
        2, frames={"figures/tiers": other, "tables/same": tiers, "figures/same": tiers}, tables=MORE
    )
    for name, titles in (("tiers", "ab"), ("same", "aa")):
        for number, title in enumerate(titles, 1):
            name_of = f'<title id="t">Members of each tier, drawn in state {title}, n = 9</title>'
            svg = f'<svg role="img" aria-labelledby="t">{name_of}</svg>'
            (reports / f"rfm/all/v{number}/figures/{name}.svg").write_text(svg)
    comparison = compared(reports)
    page = diff.write(comparison).read_text("utf-8")
    assert problems(page) == []
    fold = page.split("<details><summary>Tiers</summary>")[1].split("</details>")[0]
    assert fold.count("<svg") == page.count("<svg") == 2
    assert '<a href="../v1/figures/tiers.svg">v1' in fold and "state b" in fold
    assert (
        "Unchanged: same." in page.split(' id="figures"')[1]
        and "Unchanged: same." in page.split(' id="tables"')[1]
    )
    monkeypatch.setattr("helpers.report.diff.page.MOST_BYTES", 100)
    light = diff.write(comparison).read_text("utf-8")
    assert "<svg" not in light and '<a href="../v2/figures/tiers.svg">v2' in light
