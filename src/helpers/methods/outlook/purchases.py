"""Who orders next: the chance of an order in the coming days, for everybody present.

The rows are those of :mod:`helpers.stats.forecast.landmarks` that count orders: what breaks silence is an order, and
other actions, like pushes and views, are signals. An order is any row of orders, tips and memberships too. Members
without an order on record are among them. The contest is held forward in time as for silence, and only the form of
the model that earlier windows have corrected is used: before there is a window to judge it on, nothing is foretold.

A chance is not an effect: who will order anyway needs no benefit, and whether a benefit changes what somebody does
is for an experiment to tell.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from helpers.figures import Chart, NoChart
from helpers.methods.outlook import plots
from helpers.methods.outlook.contest import (
    ALIKE,
    contest_sentence,
    days_needed,
    present_sentence,
    rows_of,
    saved,
    whole,
)
from helpers.playbook.finding import Finding, finding
from helpers.playbook.result import Part, Result
from helpers.sentences import number, percent, say
from helpers.stats.estimate import Estimate
from helpers.stats.forecast.calibration import by_group, tenths
from helpers.stats.forecast.judging import ORDERED, PRESENT, Contest, brier_gain, contest
from helpers.stats.forecast.landmarks import Landmarks
from helpers.stats.forecast.next_period import chances, expected_number, levels, share_of
from helpers.study import Study
from helpers.tables import Table


@dataclass(frozen=True, repr=False)
class Purchases(Result):
    """Chances of an order in the next period.

    Attributes
    ----------
    members : pandas.DataFrame
        One row per present member, or per member of a sample: member_id, ordered (whether there is an order on
        record), probability, tenth (10 = most likely); ordered by member_id. Probability and tenth are missing when
        there is too little data.
    expected : Estimate
        Expected number of members who order; n is how many are present.
    first_orders : Estimate
        Expected number of those who order among the members without an order on record; n is how many these are.
    contest : Contest
        The contest of the chances.
    rows : Landmarks
        The person-period rows behind it.
    """

    members: pd.DataFrame = field(repr=False)
    expected: Estimate
    first_orders: Estimate
    contest: Contest
    rows: Landmarks = field(repr=False)

    @property
    def smallest(self) -> int:
        """Members present."""
        return self.expected.n

    @property
    def _words(self) -> dict[str, Any]:
        return {"h": self.rows.horizon_days, "day": self.rows.as_of, "w": self.contest.windows}

    @property
    def sentence(self) -> str:
        """How many members are expected to order."""
        if not self.members["ordered"].any():
            return say("Who orders next: no order is on record, so there is nothing to foretell it by.")
        if not self.expected.known:
            text = (
                "Who orders in the {h} days after {day}: too little data. Of {n} members present no chance is told "
                "before one window could be judged, which takes about {d} days of log."
            )
            return say(text, n=number(self.expected.n), d=days_needed(self.rows.horizon_days), **self._words)
        text = "Of {n} members present on {day}, about {value} ({low} to {high}) will order in {h} days: {share}."
        return say(text, **self._words, **whole(self.expected))

    @property
    def gain_sentence(self) -> str:
        """Whether the forecast tells members apart."""
        gain = brier_gain(self.contest, same_level=True)
        if not gain.known:
            return contest_sentence(self.contest) if self.members["ordered"].any() else self.sentence
        text = (
            "Forecasting who orders errs {share} less ({between}) than giving everybody the same chance, over {n} "
            "windows it had not seen."
        )
        if gain.low <= 0:
            text = (
                "The forecast does not clearly tell who orders from who does not: over {n} windows it had not seen, "
                "it saves {share} ({between}) of the error of one chance for all."
            )
        return say(text, **saved(gain))

    @property
    def judged(self) -> pd.DataFrame:
        """What came of the chances of closed windows, by tenth of the members of each window.

        Columns: tenth (10 = most likely), times (a member was judged), n (members), predicted, came, low, high
        (shares; the interval is clustered by member). Tenths are cut within windows, so that a window of a high
        level is not taken for members of a high chance.
        """
        frame, model = self.contest.predictions, self.contest.winner
        if model is None or not len(frame):
            return pd.DataFrame(columns=["tenth", "times", "n", "predicted", "came", "low", "high"])
        tenth = frame.groupby("landmark")[model].transform(tenths)
        ordered, chance, member = (frame[name] for name in (ORDERED, model, "member_id"))
        found = by_group(tenth, ordered, chance, member, self.contest.confidence).drop(columns="difference")
        found = found.rename(columns={"group": "tenth", "n": "times", "observed": "came"})
        found.insert(2, "n", frame.groupby(tenth)["member_id"].nunique().to_numpy())
        return found

    @property
    def by_tenth(self) -> pd.DataFrame:
        """Members by chance of an order now: tenth, members, expected (who order), chance; the most likely first.

        In a large community they are those of the sample, each of whom stands for as many.
        """
        known = self.members.dropna(subset=["probability"]).astype({"tenth": "int64"})
        now = known.groupby("tenth")["probability"].agg(members="size", expected="sum", chance="mean")
        each = self.expected.n / max(len(self.members), 1)
        now["members"], now["expected"] = (
            (now["members"] * each).round().astype("int64"),
            now["expected"] * each,
        )
        return now.reset_index().sort_values("tenth", ascending=False, ignore_index=True)

    def _picture(self) -> Chart | NoChart:
        """Return what came of earlier chances, by tenth."""
        rows, title = self.judged, say("Who orders?")
        note = self.gain_sentence
        if len(rows):
            top, low = (percent(float(rows["came"].iloc[place]), 0) for place in (-1, 0))
            title = say(
                "Of the tenth most likely to order {top} did, of the least likely {low}", top=top, low=low
            )
            note = say(
                "{drawn} Windows judged: {w}, of {h} days each.", drawn=self.study.drawn, **self._words
            )
        return plots.by_tenth(rows, "orders_by_tenth", title, say("Share who ordered"), note)

    def parts(self) -> Iterator[Part]:
        """Yield how many will order, how well chances of this kind told members apart, and the tenths of now."""
        yield self.sentence
        yield self._picture()
        if not self.expected.known:
            return
        if not self.rows.whole:
            yield present_sentence(self.rows)
        yield self.gain_sentence
        if self.first_orders.known and self.first_orders.n >= self.study.k_min:
            text = "Of the {n} without an order on record, about {value} ({low} to {high}) will."
            yield say(text, **whole(self.first_orders))
        if self.gain_sentence != contest_sentence(self.contest):
            yield contest_sentence(self.contest)
        caption = say(
            "Members by chance of an order (goods, tips, memberships) in the next {h} days", **self._words
        )
        hide = ["expected", "chance"]
        yield Table("orders_next", self.by_tenth, caption, {"chance": "share"}, members="members", hide=hide)

    def findings(self) -> Iterator[Finding]:
        """State the share expected to order, and whether the forecast tells members apart."""
        yield finding(
            share_of(self.expected), id="outlook.orders_next", aliases=("retention.orders_next",),
            metric=say("members present who are expected to order in {h} days", **self._words),
            scope=say("{scope}, the {h} days after", scope=self.study.scope, **self._words),
            sentence=self.sentence, assumption=say(ALIKE), direction="up is good", systems=("S023",),
            headline=say("{share} of the members will order", **whole(self.expected)),
            picture="orders_by_tenth",
        )  # fmt: skip
        gain = brier_gain(self.contest, same_level=True)
        headline = "the forecast does not clearly tell who orders"
        if gain.known and gain.low > 0:
            headline = "the forecast tells who orders from who does not"
        yield finding(
            gain, id="outlook.order_forecast_gain", aliases=("retention.order_forecast_gain",),
            metric=say("how much less the forecast of orders errs than one chance for all"),
            scope=self.study.scope, sentence=self.gain_sentence,
            assumption=say("closed windows stand for the next"), direction="up is good", change=True,
            systems=("S023",), headline=say(headline), n_of="windows", definition="forecast_gain",
            picture="orders_by_tenth",
        )  # fmt: skip


def purchases(study: Study, *, horizon_days: int = 30) -> Purchases:
    """Return the chance of an order in the next period for everybody present.

    Parameters
    ----------
    study : Study
        The members and what they did. Rows of both kinds of activity are signals too, named interactions and orders.
    horizon_days : int
        Length of the next period, and the look-back within which an order is of late.
    """
    acts = study.activity
    own = {f"{kind}s": acts.filter(acts.kind == kind) for kind in ("interaction", "order")}
    rows = rows_of(study, horizon_days, active_days=horizon_days, count="order", signals=own)
    level: dict[str, Any] = {"confidence": study.confidence, "seed": study.seed}
    held = contest(rows, PRESENT, **level)
    now = rows.now.sort_values("member_id", ignore_index=True)
    p = chances(rows, held, PRESENT, study.seed)(now)
    members = now[["member_id"]].assign(ordered=now["active_days_all"] > 0, probability=p)
    judged = len(members) > 0 and bool(np.isfinite(p).all())
    members["tenth"] = pd.array(tenths(p) if judged else [pd.NA] * len(members), dtype="Int64")
    ahead, never = levels(held, study.seed), ~members["ordered"].to_numpy(bool)
    sizes = rows.sizes["members"]
    return Purchases(
        study=study, members=members, expected=expected_number(p, ahead, **level, members=int(sizes.sum())),
        first_orders=expected_number(
            p[never], ahead, **level, members=int(sizes[~rows.sizes["ever"].astype(bool)].sum())
        ), contest=held, rows=rows,
    )  # fmt: skip
