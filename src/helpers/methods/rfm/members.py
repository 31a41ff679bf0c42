"""The members as they stand on a day: in a tier, kept below the next, and what they will bring.

What keeps a member below the next tier is recency, frequency or value: each member is compared with the rules of all
tiers above, each rule being a range per column. The rule that asks for changes in the fewest columns is the nearest,
of equally near ones that of the lowest tier; the columns in which the member is outside its range are what blocks,
and the distance to the range is the gap. It works for any scheme.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import ibis
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from helpers.data.source import as_table
from helpers.methods.rfm.contest import Contest, predict_value
from helpers.methods.rfm.scores import score_values
from helpers.methods.rfm.tiers import Range, Rule, TierScheme
from helpers.sentences import number, percent, say, with_interval
from helpers.stats.btyd.alive import BetaGeometricNBD
from helpers.stats.btyd.cells import cells, histories, spend_cells
from helpers.stats.btyd.spend import GammaGamma
from helpers.stats.estimate import Estimate, jeffreys, proportion
from helpers.study import Study, enough
from helpers.study.days import first_day
from helpers.study.frames import materialise
from helpers.study.values import check_recent, member_values

FloatArray = NDArray[np.float64]


def current_tiers(study: Study, scheme: TierScheme, window_days: int) -> ibis.Table:
    """Measure, score and place every member who is present on the last day.

    Parameters
    ----------
    study : Study
        Whom, as of when, and what counts.
    scheme : TierScheme
        Tiers; its own window is used where it has one.
    window_days : int
        Window for schemes that have none of their own.

    Returns
    -------
    ibis.Table
        One row per present member: member_id, recency_days, frequency, active_days, monetary, the scores and
        the tier; stored in the engine, so that reading it twice does not compute it twice.

    Raises
    ------
    BadParameters
        When the last action lies so far back that everybody would look silent.
    """
    window_days = scheme.window_days or window_days
    check_recent(study, window_days)
    values = member_values(study, window_days, population=study.present)
    return materialise(scheme.assign(score_values(values, scheme.bins).table))


class SilentShare(NamedTuple):
    """The share of present members without one counted action in their window."""

    estimate: Estimate
    days: int

    @property
    def sentence(self) -> str:
        """The share with its interval."""
        text = "{share} of present members did nothing that counts in the {days:,} days up to the day."
        return say(text, share=with_interval(self.estimate), days=self.days)


def silent_share(study: Study, members: ibis.Table, days: int) -> SilentShare:
    """Count the members with ``frequency`` 0, measured over so many days by :func:`current_tiers`."""
    silent, n = (
        int(count.execute()) for count in (members.count(where=members.frequency == 0), members.count())
    )
    return SilentShare(proportion(silent, n, study.confidence), days)


@dataclass(frozen=True)
class Blockers:
    """What keeps the members of each tier below the next one.

    Attributes
    ----------
    table : pandas.DataFrame
        from_tier, to_tier, column, members (in the tier), blocked, share, low, high (share of the tier's members
        who fall short in this column, Jeffreys interval), only, only_share (who fall short in nothing else),
        median_gap (unit of the column; of those blocked who have a value), direction (``more`` or ``less`` is
        needed).
    """

    table: pd.DataFrame = field(repr=False)

    @property
    def sentence(self) -> str:
        """The most common blocker of each tier; of a scheme of one column only how much of it is needed."""
        parts, columns = [], self.table["column"].unique()
        text = (
            "{from_tier}: {share} ({low} to {high}) of {members:,} members are kept below {to_tier} by {column} "
            "({only} by nothing else); the median of them needs {gap} {direction}."
        )
        if len(columns) == 1:
            parts = [say("The tiers look at {column} alone.", column=columns[0])]
            text = "{members:,} members in {from_tier} need a median of {gap} {direction} to rise."
        for _, rows in self.table.groupby("from_tier", sort=False):
            top: Any = rows.loc[rows["blocked"].idxmax()]
            if top.members < enough.GROUP or not top.blocked:
                parts.append(say("{from_tier}: too little data (n = {members:,}).", **top))
                continue
            shares = {name: percent(top[name]) for name in ("share", "low", "high")}
            told = {"only": percent(top.only_share), "gap": number(top.median_gap)}
            parts.append(say(text, **{**top, **told, **shares}))
        return " ".join(parts)


def blockers(study: Study, scheme: TierScheme, members: ibis.Table | pd.DataFrame) -> Blockers:
    """Return which column of the rules keeps the members of each tier below the next, and by how much.

    Parameters
    ----------
    study : Study
        Gives the level of the intervals.
    scheme : TierScheme
        The rules.
    members : ibis.Table or pandas.DataFrame
        Members with the columns of the rules and their tier, as made by :meth:`TierScheme.assign`.
    """
    frame = as_table(members).select("tier", *scheme.uses).to_pandas()
    numbers = {column: frame[column].to_numpy(float, na_value=np.nan) for column in scheme.uses}
    rows = []
    for rank, tier in enumerate(scheme.labels[:-1]):
        rules = [rule for higher in scheme.tiers[rank + 1 :] for rule in higher.when]
        columns = sorted({column for rule in rules for column in rule})
        here = (frame["tier"] == tier).to_numpy()
        gaps = _gaps({column: numbers[column][here] for column in columns}, rules, scheme)
        short = gaps != 0
        for column, gap, blocks in zip(columns, gaps, short, strict=True):
            known = gap[blocks & ~np.isnan(gap)]
            only = int((blocks & (short.sum(axis=0) == 1)).sum())
            median = float(np.median(np.abs(known))) if len(known) else np.nan
            direction = say("more") if (known > 0).sum() * 2 >= len(known) else say("less")
            pair = (tier, scheme.labels[rank + 1], column)
            rows.append((*pair, int(here.sum()), int(blocks.sum()), only, median, direction))
    names = ["from_tier", "to_tier", "column", "members", "blocked", "only", "median_gap", "direction"]
    table = pd.DataFrame(rows, columns=names)
    known_size = table["members"].where(table["members"] > 0)
    table["share"], table["only_share"] = table["blocked"] / known_size, table["only"] / known_size
    table["low"], table["high"] = jeffreys(table["blocked"], table["members"], study.confidence)
    return Blockers(table)


def _gaps(numbers: dict[str, FloatArray], rules: list[Rule], scheme: TierScheme) -> FloatArray:
    """Return what each column of each member needs to fit the member's nearest rule, shape (columns, members).

    0 where it fits, negative where something has to be taken off, NaN where there is no value to start from.
    """
    gaps = np.array(
        [
            [
                _gap(values, rule.get(column), scheme.domains[column].integer)
                for column, values in numbers.items()
            ]
            for rule in rules
        ]
    )
    nearest = (gaps != 0).sum(axis=1).argmin(axis=0)
    return np.take_along_axis(gaps, nearest[None, None, :], axis=0)[0]


def _gap(values: FloatArray, side: Range | None, integer: bool) -> FloatArray:
    if side is None:
        return np.zeros_like(values)
    if not side.numeric:
        return np.where(np.isnan(values), 0.0, np.nan)
    # The range is open above; the nearest whole number inside is one less than its end.
    top = side.high - 1 if integer else np.nextafter(side.high, -np.inf)
    outside = np.select([values < side.low, values >= side.high], [side.low - values, top - values], 0.0)
    return np.where(np.isnan(values), 0.0 if side.missing else np.nan, outside)


def prospects(study: Study, members: ibis.Table, held: Contest, model: BetaGeometricNBD) -> pd.DataFrame:
    """Put beside each present member what they brought, will bring, and how likely they are still alive.

    Parameters
    ----------
    study : Study
        Its table of members tells the consent, where it has such a column, so that lists can leave out who did not
        agree to be contacted.
    members : ibis.Table
        Present members with their tier, as made by :func:`current_tiers`.
    held : Contest
        The contest whose winner predicts.
    model : BetaGeometricNBD
        Fitted on the purchases of the study.

    Returns
    -------
    pandas.DataFrame
        One row per present member: member_id, tier, bought (whether they had bought by ``as_of``), past_value
        (all history), expected_value (the next period) with expected_low and expected_high, and
        p_alive; ordered by member_id. Members who never bought are expected to bring what such members brought
        in the hold-out, as far as the contest knows it; everything expected is NaN when the contest had too
        little data. p_alive is missing for members with fewer than two purchases, whom no model can judge.
    """
    expected = predict_value(study, held).rename(columns={"low": "expected_low", "high": "expected_high"})
    columns = ["expected_value", "expected_low", "expected_high"]
    lives = histories(study.purchases, study.as_of).to_pandas()
    judged = model.probability_alive(lives["x"], lives["t_x"], lives["T"])
    lives = lives.assign(p_alive=np.where(lives["x"] > 0, judged, np.nan), past_value=lives["value"])
    lives = lives[["member_id", "p_alive", "past_value"]]
    found = members.select("member_id", "tier").to_pandas().merge(lives, "left").merge(expected, "left")
    found = found.assign(bought=found["past_value"].notna(), past_value=found["past_value"].fillna(0.0))
    if held.winner is not None and held.newcomers.known:
        found.loc[~found["bought"], columns] = list(held.newcomers[:3])
    people = study.dataset.tables.get("members")
    if people is not None and "consent" in people.columns:
        found = found.merge(people.select("member_id", "consent").to_pandas(), "left")
    ordered = ["member_id", "tier", "bought", "past_value", *columns, "p_alive"]
    rest = [column for column in found if column not in ordered]
    return found[ordered + rest].sort_values("member_id", ignore_index=True)


class PurchaseModels(NamedTuple):
    """Both halves of the purchase model: how often and how long members buy, and for how much."""

    alive: BetaGeometricNBD
    spending: GammaGamma

    @property
    def table(self) -> pd.DataFrame:
        """One row per parameter: model, parameter, value, standard_error, low, high, n."""
        summaries = {"BG/NBD": self.alive.summary, "Gamma-Gamma": self.spending.summary}
        found = pd.concat(summaries, names=["model"])
        return found.drop(columns="log_standard_error").reset_index()


def purchase_models(study: Study) -> PurchaseModels:
    """Fit BG/NBD and Gamma-Gamma to all purchases up to ``as_of``."""
    alive = BetaGeometricNBD(confidence=study.confidence).fit(cells(study.purchases, study.as_of))
    spending = GammaGamma(confidence=study.confidence, unit=study.unit)
    return PurchaseModels(alive, spending.fit(spend_cells(histories(study.purchases, study.as_of))))


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


def alive_share(study: Study, model: BetaGeometricNBD) -> AliveShare:
    """Return the share still alive among present members, who alone can still be active.

    `model` is fitted on the purchases of the study, at whose level the interval is.
    """
    lives = histories(study.purchases, study.as_of)
    buyers = lives.join(study.present, "member_id").select("x", "t_x", "T", "joined_day").to_pandas()
    buyers = buyers.sort_values(["x", "t_x", "T"])  # sums must not depend on the order of an engine
    first = first_day(study.purchases.filter(study.purchases.day <= ibis.date(study.as_of)))
    before = 0 if first is None else int((pd.to_datetime(buyers["joined_day"]) < pd.Timestamp(first)).sum())
    estimate = model.alive_among(buyers["x"], buyers["t_x"], buyers["T"])
    once = int((buyers["x"] == 0).sum())
    parts = [_alive_text(model, estimate, len(buyers), once)]
    if before:
        text = "Orders before {first_day} are not known; {n} buyers joined before it."
        parts.append(say(text, first_day=first, n=number(before)))
    return AliveShare(estimate, once, before, first, " ".join(parts))


def _alive_text(model: BetaGeometricNBD, estimate: Estimate, buyers: int, once: int) -> str:
    """Return the share in words: of whom, how sure, and who is not judged."""
    if not estimate.known:
        text = "Who is still active among {n} present members who bought: too little data. {why}"
        return say(text, n=number(buyers), why=model.message_)
    shares = {name: percent(getattr(estimate, name)) for name in ("value", "low", "high")}
    if model.repeat_shares_ is not None:
        text = (
            "The model of who is still active could not be used. {why} Counted instead: {value} ({low} to {high}) of "
            "{n} earlier members transacted again within {days} days."
        )
        days = number(model.repeat_shares_.days)
        return say(text, why=model.message_, n=number(estimate.n), days=days, **shares)
    text = (
        "Of {again} present members who came back, {count} ({value}, {low} to {high}) are probably still active. "
        "{once} present members bought once only; the model cannot judge whether they are still active."
    )
    count = number(round(estimate.value * estimate.n))
    return say(text, again=number(estimate.n), count=count, once=number(once), **shares)
