"""The members as they stand on a day: present, measured, scored and in a tier."""

from __future__ import annotations

import datetime as dt

import ibis
import pandas as pd

from helpers.data.source import Dataset, as_table
from helpers.errors import MissingTable
from helpers.methods.rfm.alive import BetaGeometricNBD
from helpers.methods.rfm.cells import histories, transactions
from helpers.methods.rfm.contest import Contest, predict_value
from helpers.methods.rfm.scores import score
from helpers.methods.rfm.tiers import TierScheme
from helpers.methods.rfm.values import Count, as_day, materialise, member_values


def what_counts(dataset: Dataset, count: str = "auto") -> Count:
    """Return what recency and frequency count; ``"auto"`` takes interactions where there are any, else orders.

    Raises
    ------
    MissingTable
        When there is neither a table of events nor one of orders.
    """
    if not {"events", "orders"} & set(dataset.names):
        raise MissingTable("table events or orders missing; RFM needs one of them")
    if count != "auto":
        return count  # type: ignore[return-value]
    return "interaction" if "events" in dataset else "order"


def present_members(population: ibis.Table | pd.DataFrame, *, as_of: dt.date | str) -> ibis.Table:
    """Return the members who had joined by the end of a day and had not left by then."""
    members = as_table(population)
    day = ibis.date(as_day(as_of))
    return members.filter(members.joined_day <= day, members.left_day.isnull() | (members.left_day > day))


def current_tiers(
    activity: ibis.Table | pd.DataFrame,
    population: ibis.Table | pd.DataFrame,
    scheme: TierScheme,
    *,
    as_of: dt.date | str,
    count: Count,
    window_days: int,
) -> ibis.Table:
    """Measure, score and place every member who is present on a day.

    Parameters
    ----------
    activity, population : ibis.Table or pandas.DataFrame
        As made by :func:`activity` and :func:`population`.
    scheme : TierScheme
        Tiers; its own window is used where it has one.
    as_of : date or str
        Last day that counts.
    count : {"interaction", "order", "all"}
        What recency and frequency count.
    window_days : int
        Window for schemes that have none of their own.

    Returns
    -------
    ibis.Table
        One row per present member: member_id, recency_days, frequency, active_days, monetary, the scores and
        the tier; stored in the engine, so that reading it twice does not compute it twice.
    """
    values = member_values(
        activity,
        as_of=as_of,
        window_days=scheme.window_days or window_days,
        count=count,
        population=present_members(population, as_of=as_of),
    )
    return materialise(scheme.assign(score(values, bins=scheme.bins).table))


def prospects(
    members: ibis.Table,
    purchases: ibis.Table | pd.DataFrame,
    held: Contest,
    model: BetaGeometricNBD,
    *,
    as_of: dt.date | str,
    report_tz: str,
    consent: ibis.Table | None = None,
) -> pd.DataFrame:
    """Put beside each present member what they brought, will bring, and how likely they are still alive.

    Parameters
    ----------
    members : ibis.Table
        Present members with their tier, as made by :func:`current_tiers`.
    purchases : ibis.Table or pandas.DataFrame
        Orders or activity, as given to the contest.
    held : Contest
        The contest whose winner predicts.
    model : BetaGeometricNBD
        Fitted on the same purchases as of the same day.
    as_of : date or str
        Last day that is known.
    report_tz : str
        Time zone of calendar days.
    consent : ibis.Table, optional
        The table of members; its column ``consent``, if it has one, is carried over, so that lists can leave
        out who did not agree to be contacted.

    Returns
    -------
    pandas.DataFrame
        One row per present member: member_id, tier, past_value (all history), expected_value (the next period; 0
        for members who never bought, NaN for all when the contest had too little data), p_alive (missing for members
        who never bought), ordered by member_id.
    """
    settings = held.settings
    rows = materialise(transactions(purchases, report_tz=report_tz, count=settings.counted))
    past = rows.group_by("member_id").agg(past_value=rows.value.sum()).to_pandas()
    expected = predict_value(purchases, held, as_of=as_of)[["member_id", "expected_value"]]
    lives = histories(rows, as_day(as_of), settings.unit_days).to_pandas()
    lives["p_alive"] = model.probability_alive(lives["x"], lives["t_x"], lives["T"])
    bought = past.merge(expected, "left").merge(lives[["member_id", "p_alive"]], "left")
    found = members.select("member_id", "tier").to_pandas().merge(bought, "left")
    never = found["past_value"].isna()
    found.loc[never, "past_value"] = 0.0
    found.loc[never & (held.winner is not None), "expected_value"] = 0.0
    if consent is not None and "consent" in consent.columns:
        found = found.merge(consent.select("member_id", "consent").to_pandas(), "left")
    return found.sort_values("member_id", ignore_index=True)
