"""Paths that come already grouped, as other tools export them, expanded to the tables of the contract."""

from __future__ import annotations

import pandas as pd


def expanded(paths: pd.DataFrame, separator: str = ">") -> dict[str, pd.DataFrame]:
    """Return ``touchpoints`` and ``orders`` of grouped paths, each journey a member of its own.

    Parameters
    ----------
    paths : pandas.DataFrame
        path (channels between separators), conversions, value (of all conversions of the row), nulls (journeys that
        did not convert).
    separator : str
        Between two channels.

    Raises
    ------
    BadData
        For empty or missing paths or channels, fractional or negative counts, value without a conversion.
    """
    raise NotImplementedError
