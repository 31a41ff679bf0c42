"""Many exports in one folder: none is taken for another, and of two that overlap the later counts."""

import re
import shutil

import pytest
from typer.testing import CliRunner

from helpers.cli import app
from helpers.data import source
from helpers.data.exports.draft import MAPPING, answered, draft
from helpers.data.exports.mapping import Mapping
from helpers.data.exports.recognise import known
from tests.data.exports.test_known import COUNTED, WITH, title_of

HEAD = "Campaign report\n{days}\nCampaign,Campaign ID,Day,Currency code,Cost,Impr.,Clicks,Conversions,Conv. value\n"
ROW = "Brand,20123456789,2026-07-{day:02},EUR,10.00,100,{day},{conversions},5.00\n"


def test_all_samples_in_one_folder_are_one_mapping_and_none_is_taken_for_another(root, tmp_path, workspace):
    place = shutil.copytree(root / "tests/data/exports/samples", tmp_path / "exports")
    drafted = draft(place, workspace)
    (place / MAPPING).write_text(drafted.text, "utf-8")
    mapping = Mapping.read(place / MAPPING)
    titles = {each.name: title_of(each) for each in known()}
    found = {}
    for one in mapping.sources:
        (sample,) = {file.partition("/")[0] for file in one.files}
        found.setdefault(sample, set()).add(re.sub(r"_\d$", "", one.name))
    assert found.keys() == COUNTED.keys()
    for sample, there in found.items():
        name = sample.removesuffix("_zh")
        assert there & titles.keys() == {name, *(beside for beside, host in WITH.items() if host == sample)}
    told = {title for _, title in drafted.files if not title.startswith("not known")}
    assert told == set(titles.values())


@pytest.fixture
def reports(tmp_path):
    """Two reports of ads that share a day, on which a conversion came in later."""
    place = tmp_path / "exports"
    place.mkdir()
    rows = {"first.csv": ((1, 1), (2, 1.5)), "second.csv": ((2, 2.5), (3, 4))}
    for name, days in rows.items():
        text = "".join(ROW.format(day=day, conversions=conversions) for day, conversions in days)
        total = "Total: Account,, --,EUR,20.00,200,3,9,10.00\n"
        (place / name).write_text(HEAD.format(days=name) + text + total)
    return place


def test_of_two_that_overlap_the_later_counts_and_how_many_is_said(reports, workspace):
    drafted = draft(reports, workspace)
    path = reports / MAPPING
    text = drafted.text
    path.write_text(text)
    asked = Mapping.read(path).questions
    assert [each.place.rpartition(".exported_at.")[2] for each in asked] == ["first.csv", "second.csv"]
    for question, day in zip(asked, ("2026-07-03", "2026-07-04"), strict=True):
        text = answered(text, question.line, day)
    path.write_text(text)
    dataset = source.open(str(reports))
    days = dataset.ad_daily.execute().set_index("date").conversions
    assert [*days.sort_index()] == [1, 2.5, 4]
    shown = CliRunner().invoke(app, ["check", str(reports)]).output
    assert "replaced by a later export: 1" in " ".join(shown.split())


def test_days_are_asked_for_only_where_files_differ(reports, workspace):
    first = (reports / "first.csv").read_text()
    (reports / "second.csv").write_text(
        first.replace("2026-07-01", "2026-07-05").replace("2026-07-02", "2026-07-06")
    )
    assert "exported_at" not in draft(reports, workspace).text
    (reports / "second.csv").write_text(first)
    assert "exported_at" not in draft(reports, workspace).text


def test_the_name_of_a_file_tells_when_it_was_exported(root, tmp_path, workspace):
    place = shutil.copytree(root / "tests/data/exports/samples/douyin_orders", tmp_path / "exports")
    (first,) = place.iterdir()
    later = place / first.name.replace("1782900000", "1782986400")
    # A day later one of the orders has a higher amount.
    later.write_text(first.read_text("utf-8").replace(",95.00,", ",85.00,"), "utf-8")
    drafted = draft(place, workspace)
    (place / MAPPING).write_text(drafted.text, "utf-8")
    assert "exported_at: {file_name: '%s'}" in drafted.text and not Mapping.read(place / MAPPING).questions
    account = source.open(str(place)).account.set_index("reason").rows
    assert (
        account["replaced by a later export"] == account["mapped"] + account["joined to the row of its key"]
    )
    for path in (first, later):
        path.rename(place / f"orders {path.name[5:10]}.csv")
    (place / MAPPING).unlink()
    assert draft(place, workspace).text.count("? When was it exported") == 2
