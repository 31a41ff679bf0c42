"""Pictures carry words and numbers, keep text as text, and give the same bytes each time."""

import re
import xml.etree.ElementTree as ET

import pandas as pd
import pytest

from helpers import figures

ALT = "小红书 has two members for each member of 抖音, so it leads by a factor of two."
DATA = pd.DataFrame({"channel": ["抖音", "小红书"], "members": [1, 2]})


def chart(title="小红书 leads", alt=ALT, data=DATA):
    figure, ax = figures.new_figure()
    ax.bar(data["channel"], data["members"])
    ax.plot([0, 1], [0, 1], marker="o")
    return figures.Chart(title, alt, data, figure)


@pytest.mark.parametrize(
    "changes", [{"alt": "A chart."}, {"alt": ""}, {"title": " "}, {"data": DATA.head(0)}]
)
def test_a_picture_without_words_or_numbers_is_an_error(changes):
    with pytest.raises(ValueError, match="must"):
        chart(**changes)


def test_the_drawing_is_valid_described_and_keeps_chinese_as_text():
    svg = chart().svg()
    root = ET.fromstring(svg)
    assert root.attrib["role"] == "img"
    described = {element.attrib["id"]: element.text for element in root if "id" in element.attrib}
    assert [described[name] for name in root.attrib["aria-labelledby"].split()] == ["小红书 leads", ALT]
    assert "抖音</text>" in svg
    assert "Noto Sans CJK SC" in svg


def test_ids_are_unique_across_pictures_and_every_reference_resolves():
    page = chart().svg() + chart(title="Another").svg()
    ids = re.findall(r'\bid="([^"]*)"', page)
    assert len(ids) == len(set(ids))
    references = re.findall(r'href="#([^"]*)"', page) + re.findall(r"url\(#([^)]*)\)", page)
    assert references
    assert set(references) <= set(ids)


def test_the_same_picture_has_the_same_bytes():
    assert chart().svg() == chart().svg()


def test_the_numbers_stand_under_the_picture():
    html = chart()._repr_html_()
    assert "<caption>" in html
    assert '<th scope="row">抖音</th>' in html
