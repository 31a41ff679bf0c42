"""Tables for people."""

import pandas as pd
import pytest

from helpers.tables import html_table

FRAME = pd.DataFrame(
    {"tier": ["core", "<b>"], "members": [1234, 5], "share": [0.5372, None], "value": [1e6, 2.5]}
)


def test_a_table_has_caption_scopes_units_and_escaped_text():
    text = html_table(FRAME, "Tiers of 1,239 members", units={"share": "share", "value": "CNY"})
    assert "<caption>Tiers of 1,239 members</caption>" in text
    assert text.count('scope="col"') == 4
    assert '<th scope="row">&lt;b&gt;</th>' in text
    assert ">1,234<" in text
    assert ">53.7 %<" in text
    assert ">–<" in text
    assert ">CNY 1,000,000<" in text


def test_a_long_table_says_what_it_leaves_out():
    text = html_table(pd.DataFrame({"n": range(100)}), "Numbers", limit=10)
    assert "First 10 of 100 rows." in text
    assert text.count("<tr>") == 11


def test_a_table_without_caption_is_an_error():
    with pytest.raises(ValueError, match="caption"):
        html_table(FRAME, " ")
