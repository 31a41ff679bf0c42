"""The report page: what it says, in which order, and that it depends on its input alone."""

from __future__ import annotations

import datetime as dt
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
from nbformat.v4 import new_code_cell, new_output

from helpers.playbook.action import CONFIDENCE_ORDER, Action
from helpers.playbook.finding import Finding
from helpers.report.page import wording
from helpers.report.page.report import BANNERS, CONFIDENCE, command, report_html
from helpers.report.publish.earlier import Earlier, earlier
from helpers.report.publish.manifest import Failure, Manifest
from tests.report import sample_pages
from tests.report.sample_pages import rendered, text_of
from tests.report.structure import parse, problems, weight


@pytest.fixture(scope="module")
def page() -> str:
    return rendered()


@pytest.fixture(scope="module")
def failed_page() -> str:
    return report_html(*sample_pages.failed(), [], [])


@pytest.fixture(scope="module")
def not_run_page() -> str:
    return report_html(*sample_pages.not_run(), [], [])


def test_pages_are_sound(page: str, failed_page: str, not_run_page: str) -> None:
    assert [problems(each) for each in (page, failed_page, not_run_page)] == [[], [], []]


def test_reading_order(page: str) -> None:
    names = ("main", "first", "decisions", "findings", "Data-and-its-health", "appendix")
    places = [page.index(f' id="{name}"') for name in names]
    assert places == sorted(places)
    assert page.index('class="verdict"') < page.index('id="first"') < page.index('class="tiles"')


def test_page_without_pictures_weighs_little(page: str) -> None:
    total, figures = weight(page)
    assert total - figures <= 60_000


def test_same_input_gives_the_same_bytes(page: str) -> None:
    assert rendered() == page


def test_bookkeeping_changes_no_byte(page: str) -> None:
    assert rendered(bookkeeping=sample_pages.bookkeeping()) == page


def test_title_and_question_are_shown_once(page: str) -> None:
    text = text_of(page)
    assert text.count(sample_pages.TITLE) == 1
    assert text.count(sample_pages.QUESTION) == 1
    assert "The answer rests on 90 days of 抖音 interactions" in text


def test_the_first_line_names_status_period_zone_segment_and_data(page: str) -> None:
    text = text_of(page)
    assert (
        "rfm/douyin ✓ complete 2026-04-02 to 2026-06-30 (90 days, Asia/Shanghai) · "
        'platform == "douyin" · data/sample (2 tables, 415,514 rows)'
    ) in text
    recorded = {"as_of": "2026-06-30", "history_from": "2025-07-01"}
    assert "2025-07-01 to 2026-06-30 (365 days) ·" in text_of(rendered(parameters=recorded))
    assert "as of 2026-06-30 (Asia/Shanghai)" in text_of(
        rendered(parameters={"as_of": "2026-06-30", "report_tz": "Asia/Shanghai"})
    )


def shown(found: list[Finding], done: list[Action], earlier: Earlier | None = None) -> str:
    """Return what a page says of findings and actions."""
    nb = sample_pages.notebook()
    page = report_html(nb, sample_pages.manifest(nb), found, done, earlier)
    assert problems(page) == []
    return text_of(page)


def test_the_verdict_leads_from_what_was_found_to_what_to_do() -> None:
    found, done = sample_pages.findings(), sample_pages.actions()
    assert "Value of the top fifth: 61.7 %; do this first: keep the top tier close (核心成员)." in shown(
        found, done
    )
    said = ["half of the members are silent", "more slid down than climbed", "nobody reads a third"]
    found = [one.model_copy(update={"headline": text}) for one, text in zip(found, said, strict=False)]
    state = "Half of the members are silent, and more slid down than climbed;"
    assert f"{state} do this first: keep the top tier close" in shown(found, done)
    assert f"{state} worth a test first: recall 412 silent" in shown(found, done[:2])
    assert f"{state} find out why members slide down" in shown(found, done[3:])
    costly = done[1].model_copy(update={"call": "leave"})
    assert f"{state} this costs more than it brings: recall 412 silent" in shown(found, [costly])
    assert f"{state} no rule asks for action now." in shown(found, [])


def test_a_number_is_compared_with_the_same_of_an_earlier_day() -> None:
    found = sample_pages.findings()
    values = {"rfm.top20_share": (0.7, 0.66, 0.74), "rfm.tier_value_ratio": (6.2, 4.7, 8.1)}
    moved = [
        one.model_copy(update=dict(zip(("value", "low", "high"), values[one.id], strict=True)))
        for one in found
        if one.id in values
    ]
    text = shown(found, [], Earlier(dt.date(2026, 5, 31), moved))
    tiles, rows = text.split("Each with its 95 % interval")
    for part in (tiles, rows):  # the same on the tile and in the row
        assert (
            "\N{MINUS SIGN}8.3 points (\N{MINUS SIGN}13.5 to \N{MINUS SIGN}3.1) since 2026-05-31: moved"
            in part
        )
        assert "since 2026-05-31: no clear change" in part and "not in the report of 2026-05-31" in part
    assert "A ring marks the number of 2026-05-31." in rows


def test_the_earlier_report_is_the_newest_good_one_that_asked_the_same(
    put_version: Callable[..., Path], build_manifest: Callable[..., Manifest], tmp_path: Path
) -> None:
    one = [sample_pages.findings()[0].model_dump(mode="json")]
    for number, (status, day, window) in enumerate(
        [
            ("succeeded", 30, 9),
            ("succeeded", 28, 9),
            ("failed", 29, 9),
            ("succeeded", 29, 7),
            ("succeeded", 30, 9),
        ],
        1,
    ):
        folder = put_version(tmp_path, "rfm/all", number, one, status=status)
        values = {"as_of": f"2026-06-{day}", "window_days": window}
        manifest = build_manifest("rfm/all", number, status).model_copy(update={"parameters": values})
        (folder / "manifest.json").write_text(manifest.to_json())
    found = earlier(tmp_path, manifest)
    assert found is not None and (found.day, len(found.findings)) == (dt.date(2026, 6, 28), 1)
    assert earlier(tmp_path, manifest.model_copy(update={"series": "rfm/new"})) is None


def test_findings_show_value_interval_n_and_verdict(page: str) -> None:
    text = text_of(page)
    assert "Value of the top fifth 61.7 % 58.4 % to 65.1 % 3,412 members • measured" in text
    assert "\N{MINUS SIGN}4.3 % \N{MINUS SIGN}6.1 % to \N{MINUS SIGN}2.5 % 2,870 members ▼ worse" in text
    assert "Each with its 95 % interval" in text and "There is no earlier report" in text
    for verdict in ("▲ better", "= no clear change", "too little data 17 members ? too little data"):
        assert verdict in text


def test_seven_findings_stand_and_the_others_fold() -> None:
    first = sample_pages.findings()[0]
    many = [first.model_copy(update={"id": f"x.{number}", "n_of": "buyers"}) for number in range(9)]
    nb = sample_pages.notebook()
    page = report_html(nb, sample_pages.manifest(nb), many, [])
    assert problems(page) == [] and "Further findings (2)" in page and "3,412 buyers" in page
    assert page.index('id="finding-x.6"') < page.index("Further findings") < page.index('id="finding-x.7"')


def test_findings_of_several_levels_name_their_level() -> None:
    first, *rest = sample_pages.findings()
    mixed = [first.model_copy(update={"confidence": 0.9}), *rest]
    assert "58.4 % to 65.1 % (90 %) 3,412 members" in shown(mixed, [])


def test_actions_are_ranked_and_complete(page: str) -> None:
    text = text_of(page)
    titles = [
        "decision 1 of 4 Keep the top tier close",
        "Recall 412 silent",
        "Find out why",
        "Remind, then ask",
    ]
    places = [text.index(title, text.index("decision 1")) for title in titles]
    assert places == sorted(places)
    assert "CNY 12,480 CNY 3,150 to CNY 24,900 Cost CNY 134 Owner community lead" in text
    assert "CNY \N{MINUS SIGN}620 to CNY 5,910 may lose money" in text and text.count("may lose money") == 1
    assert "Judged on 2026-07-30 by value a member, contact against hold-out." in text
    assert text.count("not known in money") == 2


def test_three_decisions_stand_in_full_and_the_others_have_a_line() -> None:
    one = sample_pages.actions()[1]
    many = [
        one.model_copy(update={"id": f"x.{number}", "expected_value": 100.0 - number}) for number in range(5)
    ]
    nb = sample_pages.notebook()
    root, _ = parse(report_html(nb, sample_pages.manifest(nb), [], many))
    cards = [node for node in root.find("section", "li") if node.get("id").startswith("action-")]
    full = [any("terms" in child.get("class") for child in card.find("dl")) for card in cards]
    assert full == [True, True, True, False, False]
    assert "What it assumes" not in cards[4].text and "test Recall" in cards[4].text


def test_what_a_value_assumes_unfolds() -> None:
    action = sample_pages.actions()[2].model_copy(update={"assumption": "Ten people, a tenth of whom come."})
    nb = sample_pages.notebook()
    root, _ = parse(report_html(nb, sample_pages.manifest(nb), [], [action]))
    fold = next(node for node in root.find("details") if "What it assumes" in node.text)
    assert "Ten people, a tenth of whom come." in fold.text and "randomised" in fold.text


def test_a_decision_links_to_the_contact_list_that_the_run_has() -> None:
    nb = sample_pages.notebook()
    said = "recall: 412 members, 41 of them held out. Files: lists/recall.csv and lists/recall.parquet."
    nb.cells[4].outputs = [sample_pages.shown(f'<p class="contact-list">{said}</p>')]
    page = rendered(nb)
    assert problems(page) == []
    assert '<a href="lists/recall.csv">Contact list recall</a>' in page
    assert (
        'Files: <a href="lists/recall.csv">lists/recall.csv</a> and <a href="lists/recall.parquet">' in page
    )
    assert page.count("Contact list") == 1  # the run has no list for rfm.protect_core


def test_contents_can_be_reached_from_the_top(page: str) -> None:
    assert page.index('class="tiles"') < page.index('class="toc"') < page.index(' id="decisions"')


def test_a_scope_that_most_findings_have_is_said_once() -> None:
    nb, found = sample_pages.notebook(), sample_pages.findings()
    found[1] = found[1].model_copy(update={"scope": "douyin, two months"})
    text = text_of(report_html(nb, sample_pages.manifest(nb), found, []))
    assert "Where no other scope is named: douyin, 90 days up to 2026-06-30." in text
    assert text.count("90 days up to 2026-06-30") == 1 and "Scope douyin, two months" in text


def test_action_links_to_the_findings_it_rests_on(page: str) -> None:
    assert '<a href="#finding-rfm.top20_share">Value of the top fifth</a>' in page
    assert "<code>rfm.silent_share</code>" in page


def test_every_confidence_class_has_words() -> None:
    assert set(CONFIDENCE) == set(CONFIDENCE_ORDER)


def test_nothing_to_decide_is_said() -> None:
    nb = sample_pages.notebook()
    text = text_of(report_html(nb, sample_pages.manifest(nb), [], []))
    assert "Nothing to decide" in text and "This report recorded no finding." in text


def test_recorded_lists_are_not_shown_twice(page: str) -> None:
    assert "AGAIN" not in page


def test_code_and_streams_are_folded_with_a_name(page: str) -> None:
    root, _ = parse(page)
    names = [node.text for node in root.find("summary")]
    for name in (
        "Code (1 line)",
        "Code: Draw the tier pyramid (2 lines)",
        "Printed output (1 line)",
    ):
        assert name in names
    assert "late days are shown grey" not in page
    assert all(
        any(p.tag == "details" for p in node.ancestors())
        for node in root.find("pre")
        if "plots.pyramid" in node.text
    )


def test_contents_lead_to_every_part(page: str) -> None:
    root, _ = parse(page)
    toc = next(node for node in root.find("nav") if "toc" in node.get("class"))
    assert [link.get("href") for link in toc.find("a")] == [
        "#decisions",
        "#findings",
        "#Data-and-its-health",
        "#How-members-spread-over-tiers",
        "#What-could-be-wrong",
        "#appendix",
    ]


def test_appendix_tells_how_to_repeat(page: str) -> None:
    text = text_of(page)
    assert "window_days 90 Frequency and money are counted over the window_days up to as_of" in text
    assert "events 412,090 cdcdcdcdcdcd" in text
    assert "Seed 20260630" in text and "pandas==2.3.3" in text
    assert "playbook run notebooks/01_rfm.ipynb" in text


def test_command_line_survives_a_shell() -> None:
    nb = sample_pages.notebook()
    words = shlex.split(command(sample_pages.manifest(nb), {}).replace("\\\n", " "))
    assert words[:7] == [
        "playbook",
        "run",
        "notebooks/01_rfm.ipynb",
        "--data",
        "data/sample",
        "--label",
        "douyin",
    ]
    assert 'segment=platform == "douyin"' in words
    assert "window_days=90" in words


def test_unexpected_error_shows_its_cell_first_and_folds_the_traceback(failed_page: str) -> None:
    text = text_of(failed_page)
    assert text.index("This run failed") < text.index("values['monetry']") < text.index("KeyError: 'monetry'")
    assert text.index("KeyError: 'monetry'") < text.index("Data and its health")
    assert "Show this page to the analyst" in text and "Judged" not in text
    assert "4 of 8 code cells did not run" in text
    name = (
        "Cell 7, under “How members spread over tiers”: values = rfm.member_values(activity, as_of=p.as_of)"
    )
    assert name in text
    root, _ = parse(failed_page)
    traceback = next(node for node in root.find("pre") if "Traceback (most recent call last)" in node.text)
    assert traceback.parent is not None and traceback.parent.tag == "details"
    assert "\x1b" not in failed_page and "Cell 7, line 2" in traceback.text, "no other number of the cell"


def test_cells_that_did_not_run_say_so(failed_page: str) -> None:
    root, _ = parse(failed_page)
    marked = [node.text for node in root.find("summary") if "not run" in node.text]
    assert len(marked) == 4
    assert all(name.endswith("○ not run") for name in marked)
    assert "Nothing to decide" not in failed_page


def test_message_for_a_person_stands_alone(not_run_page: str) -> None:
    text = text_of(not_run_page)
    assert "table orders missing: this report needs members, events and orders." in text
    assert "This is no failure" in text
    assert "○ the run ended here" in text and "this cell failed" not in text
    assert "Traceback" not in text and "traceback" not in text


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        ("timed_out", "timed_out"),
        ("kernel_died", "kernel_died"),
        ("failed", "system_exit"),
        ("kernel_died", "out_of_memory"),
        ("failed", "bad_data"),
        ("failed", "bad_parameters"),
        ("failed", "missing_secret"),
        ("failed", "error"),
    ],
)
def test_every_way_to_fail_has_a_banner(status: str, kind: str) -> None:
    nb, _ = sample_pages.failed()
    nb.cells[6].outputs = []
    failure = Failure(kind=kind, cell=7, error="Error", message="What happened, in a line.")
    page = report_html(nb, sample_pages.manifest(nb, status, failure), [], [])
    assert problems(page) == []
    text = text_of(page)
    assert BANNERS[status] in text and wording.FAILURES[kind] in text
    assert "What happened, in a line." in text


def test_failure_before_any_cell_is_shown() -> None:
    nb = sample_pages.notebook()
    for cell in nb.cells:
        cell.pop("outputs", None)
    failure = Failure(
        kind="kernel_died", cell=None, error="DeadKernelError", message="The kernel did not start."
    )
    page = report_html(nb, sample_pages.manifest(nb, "kernel_died", failure), [], [])
    assert problems(page) == []
    assert "8 of 8 code cells did not run" in text_of(page)


@pytest.mark.parametrize(
    "hostile",
    [
        "<script>alert(1)</script>",
        '"><img src=x onerror=alert(1)>',
        "</main></body>",
        "<!-- open",
        "]]>&lt;b&gt;",
    ],
)
def test_hostile_text_stays_text(hostile: str) -> None:
    nb = sample_pages.notebook()
    nb.cells.append(
        new_code_cell(f"# {hostile}\nshow()", outputs=[new_output("stream", name="stdout", text=hostile)])
    )
    findings = [
        f.model_copy(update={"sentence": hostile, "metric": hostile}) for f in sample_pages.findings()
    ]
    actions = [a.model_copy(update={"title": hostile, "why": hostile}) for a in sample_pages.actions()]
    manifest = sample_pages.manifest(nb, parameters={"segment": hostile, "as_of": hostile})
    page = report_html(nb, manifest, findings, actions)
    assert problems(page) == []
    assert hostile in text_of(page) or " ".join(hostile.split()) in text_of(page)


def test_link_to_the_index_fits_the_depth_of_the_folder(page: str) -> None:
    assert 'href="../../../index.html"' in page
    assert 'href="../../index.html"' in rendered(series="rfm")


def test_report_without_parameters_or_data_is_sound() -> None:
    nb = sample_pages.notebook()
    bare = sample_pages.manifest(nb, parameters={}, seed=None, title="", question="", packages={})
    page = report_html(
        nb, Manifest(**{**dict(bare), "data": {"url": "data/none", "tables": {}}}), [], sample_pages.actions()
    )
    assert problems(page) == []
    assert "Judged after 30 days by value a member, contact against hold-out." in text_of(page)


def test_appendix_names_a_default_that_was_changed(page: str) -> None:
    nb = sample_pages.notebook()
    values = sample_pages.manifest(nb).parameters | {"window_days": 30}
    text = text_of(rendered(parameters=values))
    assert "over the window_days up to as_of (default 90)" in text
    assert "(default" not in text_of(page)


def test_command_leaves_defaults_out(page: str) -> None:
    nb = sample_pages.notebook()
    values = sample_pages.manifest(nb).parameters | {"window_days": 30}
    assert "--label douyin </" not in page and "-p" not in text_of(page).split("How to repeat it")[1]
    assert text_of(rendered(parameters=values)).split("How to repeat it")[1].count("-p ") == 1


def test_parameters_stand_in_the_appendix_alone_unless_they_failed(page: str) -> None:
    assert "parameters and their defaults" not in page
    nb = sample_pages.notebook()
    failure = Failure(kind="bad_parameters", cell=2, error="BadParameters", message="bins == 0, must be > 1.")
    failed = report_html(nb, sample_pages.manifest(nb, "failed", failure), [], [])
    assert "Code: parameters and their defaults (8 lines)" in text_of(failed)


def test_version_is_where_the_page_lies(page: str) -> None:
    assert "Version the name of the folder this file lies in" in text_of(page)


def test_tables_that_changed_under_the_run_are_told_before_the_numbers(page: str) -> None:
    def told(*names: str) -> str:
        nb = sample_pages.notebook()
        data = sample_pages.manifest(nb).data.model_copy(update={"changed": list(names)})
        found = rendered(nb, data=data)
        assert problems(found) == [] and found == rendered(nb, data=data)
        return text_of(found)

    one = "Table events changed while this report ran: numbers may mix two states."
    text = told("events")
    assert text.index(sample_pages.TITLE) < text.index(one) < text.index("decision 1")
    assert "Tables events, members and <b>x changed while" in told("events", "members", "<b>x")
    assert "changed while this report ran" not in page and "data-changed" not in page


def test_the_notice_of_changed_data_stands_below_why_a_run_failed() -> None:
    nb, manifest = sample_pages.failed()
    data = manifest.data.model_copy(update={"changed": ["events"]})
    page = report_html(nb, manifest.model_copy(update={"data": data}), [], [])
    assert problems(page) == []
    text = text_of(page)
    assert text.index("This run failed") < text.index("Table events changed") < text.index("Data and its")
