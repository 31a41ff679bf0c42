"""Both halves of the purchase model, how many of those who bought are still active by it, and how far it errs.

Counts a long time ahead are judged on a hold-out of the same length, a year or half of the history if that is less.
BG/NBD and the repeat shares of similar members each foretell it from what was known before, and the one with the
smaller mean squared error a member, which in expectation is smallest at the true means, foretells what comes.

Above `MOST_FITTED` buyers a sample of so many, drawn by a hash of their ids, is fitted and judged, and the page says
so.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass, field

import ibis
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from helpers.data.dialect import stored
from helpers.data.source import of_sample, pulled
from helpers.methods.rfm.scores import COUNTED
from helpers.playbook.result import Part, Result
from helpers.sentences import number, people, percent, say, with_bounds
from helpers.stats.btyd.alive import BetaGeometricNBD
from helpers.stats.btyd.cells import KEYS, Cells, cells, histories, observed_days, spend_cells
from helpers.stats.btyd.repeat_shares import RepeatShares
from helpers.stats.btyd.spend import GammaGamma
from helpers.stats.estimate import Estimate
from helpers.study import Study
from helpers.study.enough import JUDGED_MEMBERS
from helpers.tables import Table

MODEL, SHARES = "BG/NBD", "repeat shares"
YEAR = 365
MOST_FITTED = 200_000


@dataclass(frozen=True, repr=False)
class PurchaseModels(Result):
    """How often, how long and for how much members buy.

    Attributes
    ----------
    alive : BetaGeometricNBD
        How often and how long.
    spending : GammaGamma
        For how much.
    still_active : Estimate
        Share still active of the present members with a repeat, who alone can be; n is their number (in the
        fallback: of earlier members who transacted again).
    once : int
        Present members who bought once, whom the model cannot judge.
    days : int
        Days ahead for which purchases are counted, and length of the hold-out.
    ahead : float
        Purchases expected of the present members in those days by the better model; NaN when none was judged.
    held_out : pandas.DataFrame
        One row per model, the better first: model, n (members), expected, actual (purchases in all), error (root of
        the mean squared error a member); none where too few could be judged.
    sample, buyers : int
        Buyers looked at, where those are a sample, else 0; and all of them.
    """

    alive: BetaGeometricNBD
    spending: GammaGamma
    still_active: Estimate
    once: int
    days: int
    ahead: float
    held_out: pd.DataFrame = field(repr=False)
    sample: int = 0
    buyers: int = 0

    @property
    def smallest(self) -> int | None:
        """Members of whom the share still active is told."""
        return self.still_active.n if self.still_active.known else None

    @property
    def sentence(self) -> str:
        """How many are still active: of whom, how sure, and who is not judged."""
        share, k_min = self.still_active, self.study.k_min
        text = "Who of the present members is still active: too little data. {why}"
        if share.known:
            text = (
                "Of {n} present members with {what} on more than one day, {share} are probably still active. {once} "
                "have them on a single day, whom the model cannot judge."
            )
            if self.alive.repeat_shares_ is not None:
                text = (
                    "The model of who is still active could not be used. {why} Counted instead: {share} of {n} "
                    "earlier members had {what} again within {days} days."
                )
        why = self.alive.message_
        if self.alive.repeaters_ < k_min:
            why = say("Fewer than {k} members came back.", k=k_min)
        days = self.alive.repeat_shares_.days if self.alive.repeat_shares_ is not None else 0
        n, once = people(share.n, k_min), people(self.once, k_min)
        what = say(COUNTED[self.study.buying])
        said = say(text, why=why, n=n, once=once, what=what, days=days, share=with_bounds(share))
        if self.sample:
            text = "Of {buyers:,} members with {what} a random {n:,} are looked at. {said}"
            return say(text, buyers=self.buyers, what=what, n=self.sample, said=said)
        return said

    @property
    def ahead_sentence(self) -> str:
        """What is expected a long time ahead, and how such a forecast did in the hold-out."""
        model, n, expected, actual, error = self.held_out.iloc[0]
        text = (
            "In the next {days} days {ahead} days with {what} are expected, of all present members together, by "
            "{model}, which erred least on the last {days} days: there it expected {expected} and {actual} came "
            "({share}), among {n:,} members; the error a member was {error}."
        )
        what, share = say(COUNTED[self.study.buying]), percent(actual / expected, 0)
        return say(
            text, days=self.days, what=what, ahead=number(self.ahead, 0), model=model, n=n, share=share,
            expected=number(expected, 0), actual=number(actual, 0), error=number(error, 2),
        )  # fmt: skip

    @property
    def table(self) -> pd.DataFrame:
        """One row per parameter: model, parameter, value, standard_error, low, high, n."""
        summaries = {"BG/NBD": self.alive.summary, "Gamma-Gamma": self.spending.summary}
        return pd.concat(summaries, names=["model"]).reset_index()

    def parts(self) -> Iterator[Part]:
        """Yield who is active, what they will do and spend, how models did, and the parameters."""
        yield self.sentence
        if len(self.held_out):
            yield self.ahead_sentence
            caption = say("Forecasts of purchases on the last {days} days", days=self.days)
            yield Table("purchases_held_out", self.held_out, caption, members="n")
        if self.spending.members_ >= self.study.k_min:
            yield self.spending.sentence
        caption = say("Fitted purchase models: BG/NBD (weeks) and Gamma-Gamma")
        yield Table("purchase_models", self.table, caption)


def purchase_models(study: Study) -> PurchaseModels:
    """Fit BG/NBD and Gamma-Gamma to all purchases up to ``as_of``, and judge counts a year ahead."""
    rows = study.purchases
    buyers = int(rows.filter(rows.day <= ibis.date(study.as_of)).member_id.nunique().execute())
    share = min(MOST_FITTED / max(buyers, 1), 1.0)
    rows = stored(of_sample(rows, share, study.seed)) if share < 1 else rows
    known = cells(rows, study.as_of)
    model = BetaGeometricNBD(confidence=study.confidence).fit(known)
    spending = GammaGamma(confidence=study.confidence, unit=study.unit)
    lives = histories(rows, study.as_of)
    present = _each(lives.semi_join(study.present, "member_id"), KEYS)
    days, once = min(YEAR, observed_days(rows, study.as_of) // 2), int((present["x"] == 0).sum())
    held_out, ahead = _held_out(study, rows, days), np.nan
    if len(held_out):
        expected = _expected(model, known, present, days)[held_out["model"].iloc[0]]
        ahead = float(expected.sum()) / share
    return PurchaseModels(
        study, model, spending.fit(spend_cells(lives)), model.alive_among(*(present[key] for key in KEYS)),
        once, days, ahead, held_out, model.members_ if share < 1 else 0, buyers,
    )  # fmt: skip


def _held_out(study: Study, rows: ibis.Table, days: int) -> pd.DataFrame:
    """Return how each model did on the last days, made from what was known before; see :class:`PurchaseModels`."""
    split = study.as_of - dt.timedelta(days=days)
    late = rows.filter(rows.day > ibis.date(split), rows.day <= ibis.date(study.as_of))
    here = histories(rows, split).semi_join(study.at(split).present, "member_id")
    here = here.left_join(late.group_by("member_id").agg(came=late.count()), "member_id")
    members = _each(here.mutate(came=here.came.fill_null(0)), [*KEYS, "came"])
    table, came = [], members["came"].to_numpy(float)
    if len(members) >= JUDGED_MEMBERS and days:
        known = cells(rows, split)
        for name, expected in _expected(BetaGeometricNBD().fit(known), known, members, days).items():
            error = np.sqrt(np.mean((expected - came) ** 2))
            table.append((name, len(came), expected.sum(), came.sum(), error))
    columns = ["model", "n", "expected", "actual", "error"]
    return pd.DataFrame(table, columns=columns).sort_values("error", ignore_index=True)


def _each(lives: ibis.Table, keys: list[str]) -> pd.DataFrame:
    """Return a row for each member, by way of how many are alike; ordered, as sums must not depend on an engine."""
    alike = pulled(lives.group_by(keys).agg(members=lives.count())).sort_values(keys, ignore_index=True)
    return alike.loc[alike.index.repeat(alike.pop("members"))]


def _expected(
    model: BetaGeometricNBD, known: Cells, members: pd.DataFrame, days: int
) -> dict[str, NDArray[np.float64]]:
    """Return the purchases of each member in the next days by each model that can tell."""
    history = [members[key] for key in KEYS]
    shares = model.repeat_shares_ or RepeatShares(known, model.confidence)
    found = {SHARES: shares.transactions(days / known.unit_days, *history)}
    if model.source_ == MODEL:
        found[MODEL] = model.expected_transactions(days / known.unit_days, *history)
    return {name: expected for name, expected in found.items() if np.isfinite(expected).all()}
