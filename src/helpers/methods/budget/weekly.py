"""The weekly frame: spend by line, outcome, organic drivers, calendar and fixed cost, week by week."""

from __future__ import annotations

from dataclasses import dataclass, field

import pandas as pd

from helpers.study import Study


@dataclass(frozen=True, eq=False)
class Weekly:
    """Spend and outcome by week, without a gap; every frame has one row a week.

    Attributes
    ----------
    outcome : pandas.Series
        Outcome of each week; the index is the Monday on which the week begins.
    spend : pandas.DataFrame
        Money of each paid line that gets a curve, one column a line.
    organic, controls, calendar : pandas.DataFrame
        Drivers that cost nothing here (posts, live hours, mentions); what else moves the outcome; the share of days of
        the week that an entry of the calendar, or a lump of spend, covers. Maybe no columns.
    fixed : pandas.Series
        Money a week of each cost without a curve: content, tools, lines that hardly vary.
    lines : pandas.DataFrame
        One row per paid line, index the line: platform, kind ("curve", "fixed", "event", "idle"), spend, price_jump
        (largest change of the cost per impression from one quarter to the next, as a ratio; NaN without impressions).
    currency, unit : str
        Currency of money, and unit of the outcome: the same currency where that is money.
    """

    outcome: pd.Series
    spend: pd.DataFrame
    currency: str = "CNY"
    unit: str = "CNY"
    organic: pd.DataFrame = field(default_factory=pd.DataFrame)
    controls: pd.DataFrame = field(default_factory=pd.DataFrame)
    calendar: pd.DataFrame = field(default_factory=pd.DataFrame)
    fixed: pd.Series = field(default_factory=lambda: pd.Series(dtype=float))
    lines: pd.DataFrame = field(default_factory=pd.DataFrame)


def weekly(study: Study, outcome: str = "margin", by: str = "campaign_id") -> Weekly:
    """Return the weekly frame of a study.

    Parameters
    ----------
    study : Study
        With ``ad_daily``; ``costs``, ``orders``, ``metric_daily``, ``content`` and ``annotations`` as far as they are
        there.
    outcome : str
        ``"margin"``, ``"revenue"`` or ``"orders"`` of the table of orders, else a metric of ``metric_daily``.
    by : {"campaign_id", "platform"}
        What a line is.

    Raises
    ------
    MissingTable, BadData, BadParameters
        When a table is missing, money is negative or in two currencies, a week is missing, or there is no such outcome.
    """
    raise NotImplementedError
