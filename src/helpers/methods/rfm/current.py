"""The members as they stand on a day: present, measured, scored and in a tier."""

from __future__ import annotations

import datetime as dt
from typing import NamedTuple

import ibis
import numpy as np
import pandas as pd

from helpers.methods.rfm.contest import Contest, predict_value
from helpers.methods.rfm.scores import score
from helpers.methods.rfm.tiers import TierScheme
from helpers.sentences import number, percent, say
from helpers.stats.btyd.alive import BetaGeometricNBD
from helpers.stats.btyd.cells import histories, transactions
from helpers.stats.estimate import Estimate
from helpers.study.activity import present_members
from helpers.study.frames import Count, as_day, materialise
from helpers.study.values import member_values


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
    as_of, report_tz
        Last day that is known, and the time zone of calendar days.
    consent : ibis.Table, optional
        The table of members; its column ``consent``, if it has one, is carried over, so that lists can leave
        out who did not agree to be contacted.

    Returns
    -------
    pandas.DataFrame
        One row per present member: member_id, tier, bought (whether they had bought by `as_of`), past_value
        (all history up to `as_of`), expected_value (the next period) with expected_low and expected_high, and
        p_alive; ordered by member_id. Members who never bought are expected to bring what such members brought
        in the hold-out, as far as the contest knows it; everything expected is NaN when the contest had too
        little data. p_alive is missing for members with fewer than two purchases, whom no model can judge.
    """
    settings, day = held.settings, as_day(as_of)
    rows = materialise(transactions(purchases, report_tz=report_tz, count=settings.counted))
    present = members.select("member_id", joined_day=ibis.date(day), left_day=ibis.null("date"))
    expected = predict_value(
        purchases, held, as_of=as_of, population=present if settings.present_only else None
    ).rename(columns={"low": "expected_low", "high": "expected_high"})
    columns = ["expected_value", "expected_low", "expected_high"]
    lives = histories(rows, day, settings.unit_days).to_pandas()
    judged = model.probability_alive(lives["x"], lives["t_x"], lives["T"])
    lives = lives.assign(p_alive=np.where(lives["x"] > 0, judged, np.nan), past_value=lives["value"])
    bought = lives[["member_id", "past_value", "p_alive"]].merge(expected[["member_id", *columns]], "left")
    found = members.select("member_id", "tier").to_pandas().merge(bought, "left")
    found["bought"] = found["past_value"].notna()
    found.loc[~found["bought"], "past_value"] = 0.0
    if held.winner is not None:
        worth = held.newcomers
        found.loc[~found["bought"], columns] = [worth.value, worth.low, worth.high]
    if consent is not None and "consent" in consent.columns:
        found = found.merge(consent.select("member_id", "consent").to_pandas(), "left")
    ordered = ["member_id", "tier", "bought", "past_value", *columns, "p_alive"]
    rest = [column for column in found if column not in ordered]
    return found[ordered + rest].sort_values("member_id", ignore_index=True)


class AliveShare(NamedTuple):
    """How many of the present members who bought are still active.

    Attributes
    ----------
    estimate : Estimate
        Share alive of the present members with a repeat; n is their number (in the fallback: of earlier
        members who transacted again).
    buyers_once : int
        Present members who bought once, whom the model cannot judge.
    joined_before_log : int
        Present buyers who joined before the first purchase that is known of anybody: earlier purchases of
        theirs may be missing.
    first_day : datetime.date or None
        Day of that first purchase; None when there is none.
    sentence : str
        All of this in words.
    """

    estimate: Estimate
    buyers_once: int
    joined_before_log: int
    first_day: dt.date | None
    sentence: str


def alive_share(
    model: BetaGeometricNBD,
    activity: ibis.Table | pd.DataFrame,
    population: ibis.Table | pd.DataFrame,
    *,
    as_of: dt.date | str,
    report_tz: str = "Asia/Shanghai",
    count: Count = "order",
    confidence: float | None = None,
) -> AliveShare:
    """Return the share still alive among present members, who alone can still be active.

    Parameters
    ----------
    model : BetaGeometricNBD
        Fitted on the same purchases as of the same day.
    activity : ibis.Table or pandas.DataFrame
        Activity or orders, as given to :func:`helpers.stats.btyd.cells.cells`.
    population : ibis.Table or pandas.DataFrame
        member_id, joined_day, left_day, as made by :func:`population`.
    as_of : date or str
        Last day that is known.
    report_tz, count
        As in :func:`helpers.stats.btyd.cells.transactions`.
    confidence : float, optional
        Level of the interval; that of the model when not given.
    """
    day = as_day(as_of)
    rows = materialise(transactions(activity, report_tz=report_tz, count=count))
    lives = histories(rows, day, model.unit_days_ or 7.0)
    here = present_members(population, as_of=day)
    here = here.select(member_id=here.member_id.cast("string"), joined_day=here.joined_day.cast("date"))
    buyers = lives.join(here, "member_id").select("x", "t_x", "T", "joined_day").to_pandas()
    buyers = buyers.sort_values(["x", "t_x", "T"])  # sums must not depend on the order of an engine
    first = rows.filter(rows.day <= ibis.date(day)).day.min().to_pandas()
    first_day = None if pd.isna(first) else pd.Timestamp(first).date()
    before = (
        0
        if first_day is None
        else int((pd.to_datetime(buyers["joined_day"]) < pd.Timestamp(first_day)).sum())
    )
    estimate = model.alive_among(buyers["x"], buyers["t_x"], buyers["T"], confidence=confidence)
    once = int((buyers["x"] == 0).sum())
    parts = [_alive_text(model, estimate, len(buyers), once)]
    if before:
        text = "Orders before {first_day} are not known; {n} buyers joined before it."
        parts.append(say(text, first_day=first_day, n=number(before)))
    return AliveShare(estimate, once, before, first_day, " ".join(parts))


def _alive_text(model: BetaGeometricNBD, estimate: Estimate, buyers: int, once: int) -> str:
    """Return the share in words: of whom, how sure, and who is not judged."""
    if not estimate.known:
        text = "Who is still active among {n} present members who bought: too little data. {why}"
        return say(text, n=number(buyers), why=model.message_)
    if model.repeat_shares_ is not None:
        return model.sentence
    text = (
        "Of {again} present members who came back, {count} ({share}, {low} to {high}) are probably still active. "
        "{once} present members bought once only; the model cannot judge whether they are still active."
    )
    shares = {
        name: percent(getattr(estimate, key))
        for name, key in zip(("share", "low", "high"), ("value", "low", "high"), strict=True)
    }
    count = number(round(estimate.value * estimate.n))
    return say(text, again=number(estimate.n), count=count, once=number(once), **shares)
