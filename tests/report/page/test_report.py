"""The report page: what it says, in which order, and that it depends on its input alone."""

from __future__ import annotations

import re
import shlex

import pytest
from nbformat.v4 import new_code_cell, new_output

from helpers.playbook.action import CONFIDENCE_ORDER
from helpers.report.page import wording
from helpers.report.page.report import BANNERS, CONFIDENCE, command, report_html
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
    places = [
        page.index(f' id="{name}"')
        for name in ("main", "decisions", "findings", "contents", "Data-and-its-health")
    ]
    assert [*places, page.index(' id="appendix"')] == sorted([*places, page.index(' id="appendix"')])


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


def test_title_block_names_period_zone_data_and_status(page: str) -> None:
    text = text_of(page)
    assert "Period 2026-04-02 to 2026-06-30 (90 days, Asia/Shanghai)" in text
    assert 'Segment platform == "douyin"' in text
    assert "Data data/sample (2 tables, 415,514 rows)" in text
    assert "Status ✓ succeeded" in text
    recorded = {"as_of": "2026-06-30", "history_from": "2025-07-01"}
    assert "Period 2025-07-01 to 2026-06-30 (365 days)" in text_of(rendered(parameters=recorded))
    assert "As of 2026-06-30 (Asia/Shanghai)" in text_of(
        rendered(parameters={"as_of": "2026-06-30", "report_tz": "Asia/Shanghai"})
    )


def test_findings_show_value_interval_n_and_verdict(page: str) -> None:
    text = text_of(page)
    assert "61.7 % (58.4 % to 65.1 %) · n = 3,412" in text
    assert "\N{MINUS SIGN}4.3 % (\N{MINUS SIGN}6.1 % to \N{MINUS SIGN}2.5 %) · n = 2,870" in text
    assert "95 % interval" in text
    for verdict in ("• measured", "▼ worse", "▲ better", "= no clear change", "? too little data"):
        assert verdict in text
    assert re.search(r"too few to value a referral\. n = 17\b", text)


def test_findings_of_several_levels_name_their_level() -> None:
    nb = sample_pages.notebook()
    first, *rest = sample_pages.findings()
    mixed = [first.model_copy(update={"confidence": 0.9}), *rest]
    text = text_of(report_html(nb, sample_pages.manifest(nb), mixed, []))
    assert "61.7 % (58.4 % to 65.1 %, 90 % interval)" in text


def test_actions_are_ranked_and_complete(page: str) -> None:
    text = text_of(page)
    titles = ["Keep the top tier close", "Recall 412 silent", "Find out why", "Remind, then ask"]
    places = [text.index(f"{rank}. {title}") for rank, title in enumerate(titles, 1)]
    assert places == sorted(places)
    assert "CNY 12,480 CNY 3,150 to CNY 24,900" in text
    assert "CNY \N{MINUS SIGN}620 to CNY 5,910 May lose money: the interval reaches below zero." in text
    assert text.count("May lose money") == 1
    assert "value a member, contact against hold-out, on 2026-07-30, 30 days after the last day" in text
    assert text.count("not known the data cannot say") == 2
    assert "Ranked by expected value; those whose value is not known stand last." in text


def decided(*names: str) -> str:
    """Return what a page says of some of the sample actions."""
    nb = sample_pages.notebook()
    chosen = [action for action in sample_pages.actions() if action.id in names]
    return text_of(report_html(nb, sample_pages.manifest(nb), sample_pages.findings(), chosen))


def test_the_order_of_decisions_is_what_it_is_said_to_be() -> None:
    unknown = decided("rfm.clean_silent", "rfm.stop_net_demotion")
    assert "No value can be stated for any of them, so the best evidence stands first." in unknown
    assert "anked by expected value" not in unknown and "the data cannot say" not in unknown
    assert unknown.index("1. Find out why") < unknown.index("2. Remind, then ask")  # correlation before rule
    assert "Ranked by expected value. Each names" in decided("rfm.protect_core", "rfm.recall_silent")


def test_a_decision_links_to_the_contact_list_that_the_run_has() -> None:
    nb = sample_pages.notebook()
    said = "recall: 412 members, 41 of them held out. Files: lists/recall.csv and lists/recall.parquet."
    nb.cells[4].outputs = [sample_pages.shown(f'<p class="contact-list">{said}</p>')]
    page = rendered(nb)
    assert problems(page) == []
    assert '<dt>Whom</dt><dd><a href="lists/recall.csv">contact list recall</a>' in page
    assert (
        'Files: <a href="lists/recall.csv">lists/recall.csv</a> and <a href="lists/recall.parquet">' in page
    )
    assert page.count("<dt>Whom") == 1  # the run has no list for rfm.protect_core
    assert "Whom" not in text_of(rendered())


def test_contents_can_be_reached_from_the_top(page: str) -> None:
    assert page.index('<a href="#contents">Contents</a>') < page.index(' id="decisions"')


def test_a_scope_that_most_findings_have_is_said_once() -> None:
    nb, found = sample_pages.notebook(), sample_pages.findings()
    found[1] = found[1].model_copy(update={"scope": "douyin, two months"})
    text = text_of(report_html(nb, sample_pages.manifest(nb), found, []))
    assert "Scope, unless a finding names another: douyin, 90 days up to 2026-06-30." in text
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
        "Warnings and messages (1 line)",
    ):
        assert name in names
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
        "#Movement-between-May-and-June",
        "#What-could-be-wrong",
        "#appendix",
    ]


def test_appendix_tells_how_to_repeat(page: str) -> None:
    text = text_of(page)
    assert "window_days 90 days up to as_of that count towards frequency and money" in text
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
    assert text.index("KeyError: 'monetry'") < text.index("Decisions")
    assert "4 of 8 code cells did not run" in text
    name = "Code cell 4, under “How members spread over tiers”: values = rfm.member_values(activity, as_of=p.as_of)"
    assert name in text
    root, _ = parse(failed_page)
    traceback = next(node for node in root.find("pre") if "Traceback (most recent call last)" in node.text)
    assert traceback.parent is not None and traceback.parent.tag == "details"
    assert "\x1b" not in failed_page


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
    failure = Failure(kind=kind, cell=6, error="Error", message="What happened, in a line.")
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
    assert "value a member, contact against hold-out, after 30 days" in text_of(page)


def test_appendix_names_a_default_that_was_changed(page: str) -> None:
    nb = sample_pages.notebook()
    values = sample_pages.manifest(nb).parameters | {"window_days": 30}
    text = text_of(rendered(parameters=values))
    assert "window_days 30 days up to as_of that count towards frequency and money (default 90)" in text
    assert "(default" not in text_of(page)


def test_command_leaves_defaults_out(page: str) -> None:
    nb = sample_pages.notebook()
    values = sample_pages.manifest(nb).parameters | {"window_days": 30}
    assert "--label douyin </" not in page and "-p" not in text_of(page).split("How to repeat it")[1]
    assert text_of(rendered(parameters=values)).split("How to repeat it")[1].count("-p ") == 1


def test_parameters_stand_in_the_appendix_alone_unless_they_failed(page: str) -> None:
    assert "parameters and their defaults" not in page
    nb = sample_pages.notebook()
    failure = Failure(kind="bad_parameters", cell=1, error="BadParameters", message="bins == 0, must be > 1.")
    failed = report_html(nb, sample_pages.manifest(nb, "failed", failure), [], [])
    assert "Code: parameters and their defaults (8 lines)" in text_of(failed)


def test_sentence_that_is_a_finding_is_stated_once() -> None:
    nb = sample_pages.notebook()
    stated = sample_pages.findings()[1].sentence
    nb.cells[4].outputs = [sample_pages.shown(f'<p class="sentence">{stated}</p>')]
    page = rendered(nb)
    assert text_of(page).count(stated) == 1
    assert 'Finding: <a href="#finding-rfm.net_promotion_rate">Net promotion rate</a>' in page
    assert problems(page) == []


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
    assert text.index(sample_pages.QUESTION) < text.index(one) < text.index("Decisions")
    assert "Tables events, members and <b>x changed while" in told("events", "members", "<b>x")
    assert "changed while this report ran" not in page and "data-changed" not in page


def test_the_notice_of_changed_data_stands_below_why_a_run_failed() -> None:
    nb, manifest = sample_pages.failed()
    data = manifest.data.model_copy(update={"changed": ["events"]})
    page = report_html(nb, manifest.model_copy(update={"data": data}), [], [])
    assert problems(page) == []
    text = text_of(page)
    assert text.index("This run failed") < text.index("Table events changed") < text.index("Decisions")
