"""Who orders next: the chance of an order in the coming days, for everybody present.

The rows are those of :mod:`helpers.stats.forecast.landmarks` that count orders: what breaks silence is an order, and
other actions, like pushes and views, are signals. An order is any row of orders, tips and memberships too. Members
without an order on record are among them. The contest is held forward in time as for silence, and only the form of
the model that earlier windows have corrected is used: before there is a window to judge it on, nothing is foretold.

A chance is not an effect: who will order anyway needs no benefit, and whether a benefit changes what somebody does
is for an experiment to tell.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from helpers.data import privacy
from helpers.methods.outlook.contest import (
    ALIKE,
    contest_sentence,
    provisional,
    rows_of,
    sample_sentence,
    saved,
    whole,
)
from helpers.playbook.finding import Finding, finding
from helpers.sentences import number, percent, say, with_interval
from helpers.stats.estimate import Estimate, estimate_of
from helpers.stats.forecast.calibration import by_group, tenths
from helpers.stats.forecast.judging import ORDERED, PRESENT, Contest, brier_gain, contest
from helpers.stats.forecast.landmarks import Landmarks
from helpers.stats.forecast.next_period import expected_number, levels, probabilities, share_of
from helpers.study import Study


@dataclass(frozen=True)
class Purchases:
    """Chances of an order in the next period.

    Attributes
    ----------
    study : Study
        Whose members they are.
    members : pandas.DataFrame
        One row per present member: member_id, ordered (whether there is an order on record), probability, tenth
        (10 = most likely); ordered by member_id. Probability and tenth are missing when there is too little data.
    expected : Estimate
        Expected number of members who order; n is how many are present.
    first_orders : Estimate
        Expected number of those who order among the members without an order on record; n is how many these are.
    contest : Contest
        The contest of the chances.
    rows : Landmarks
        The person-period rows behind it.
    """

    study: Study = field(repr=False)
    members: pd.DataFrame = field(repr=False)
    expected: Estimate
    first_orders: Estimate
    contest: Contest
    rows: Landmarks = field(repr=False)

    @property
    def sentence(self) -> str:
        """How many members are expected to order, how many of them without an order yet, and who predicts it."""
        values = {"h": self.rows.horizon_days, "day": self.rows.as_of, "w": self.contest.windows}
        if not self.expected.known:
            text = "Who orders in {h} days after {day}: too little data ({n} members present, {w} judged windows)."
            return say(text, n=number(self.expected.n), **values)
        text = (
            "Of {n} members present on {day}, about {value} ({low} to {high}) are expected to order in the next {h} "
            "days ({share}), by {winner}."
        )
        values |= {"share": percent(self.expected.value / self.expected.n), "winner": self.contest.winner}
        found = say(text, **values, **whole(self.expected))
        if self.first_orders.known:
            text = "Of the {n} among them without an order on record, about {value} ({low} to {high}) are."
            found += " " + say(text, **whole(self.first_orders))
        return f"{found}{provisional(self.contest)} {sample_sentence(self.rows)}".rstrip()

    @property
    def contest_sentence(self) -> str:
        """Which model is used, and how good it was."""
        return contest_sentence(self.contest)

    @property
    def judged(self) -> pd.DataFrame:
        """What came of the chances of closed windows, by tenth of the members of each window.

        Columns: tenth (10 = most likely), times (a member was judged), judged (members), predicted, ordered, low,
        high (shares; the interval is clustered by member). Tenths are cut within windows, so that a window of a high
        level is not taken for members of a high chance.
        """
        frame, model = self.contest.predictions, self.contest.winner
        if model is None or not len(frame):
            return pd.DataFrame(columns=["tenth", "times", "judged", "predicted", "ordered", "low", "high"])
        tenth = frame.groupby("landmark")[model].transform(tenths)
        found = self._rates(tenth)
        found.insert(2, "judged", frame.groupby(tenth)["member_id"].nunique().to_numpy())
        return found

    def _rates(self, group: ArrayLike) -> pd.DataFrame:
        """Return tenth (the group), times, predicted, ordered, low, high of groups of the judged rows."""
        frame = self.contest.predictions
        came, chance, member = (frame[name] for name in (ORDERED, str(self.contest.winner), "member_id"))
        found = by_group(group, came, chance, member, self.contest.confidence).drop(columns="difference")
        return found.rename(columns={"group": "tenth", "n": "times", "observed": "ordered"})

    @property
    def lift_sentence(self) -> str:
        """How much more often the tenth most likely to order did so, within closed windows."""
        table = self.judged
        if self.contest.too_few or table.empty:
            return say("The tenth most likely to order: too little data.")
        text = "In closed windows {top} of the tenth most likely to order did, and {base} of all; n: times judged."
        every, level = self._rates(np.ones(table["times"].sum())), self.contest.confidence
        rows = (table.iloc[-1], every.iloc[0])
        top, base = (estimate_of(row, row["times"], "clustered", level, value="ordered") for row in rows)
        return say(text, top=with_interval(top), base=with_interval(base))

    @property
    def by_tenth(self) -> pd.DataFrame:
        """Members by chance of an order, now and in the judged windows, those most likely first.

        tenth, members, expected (members who order), chance (mean, now); times, judged, predicted, ordered, low,
        high, as in :attr:`judged`. Tenths of too few members, now or among those judged, are kept back.
        """
        k_min = self.study.k_min
        known = self.members.dropna(subset=["probability"]).astype({"tenth": "int64"})
        now = known.groupby("tenth")["probability"].agg(members="size", expected="sum", chance="mean")
        then = self.judged.astype({"tenth": "int64"})
        found = now.reset_index().merge(then, "left", "tenth")
        found = found.sort_values("tenth", ascending=False, ignore_index=True)
        past = ["times", "predicted", "ordered", "low", "high"]
        found = privacy.suppress(found, "members", k_min, ["expected", "chance"])
        found = privacy.suppress(found, "judged", k_min, past)
        hidden = found["members"].isna() | found["judged"].isna()
        every = ["members", "expected", "chance", "judged", *past]
        found[every] = found[every].mask(hidden)
        return found

    def finding(self) -> Finding:
        """State the share of members expected to order next."""
        return finding(
            share_of(self.expected),
            id="outlook.orders_next",
            aliases=("retention.orders_next",),
            metric=say("members present who are expected to order in {h} days", h=self.rows.horizon_days),
            scope=say("{scope}, the {h} days after", scope=self.study.scope, h=self.rows.horizon_days),
            sentence=self.sentence,
            assumption=say(ALIKE),
            direction="up is good",
            systems=("S023",),
        )

    def gain_finding(self) -> Finding:
        """Judge whether the forecast of orders tells members apart, against one chance for all of a window."""
        gain = brier_gain(self.contest, same_level=True)
        text = "Forecasting who orders errs {share} less ({between}) than giving everybody the same chance, over {n} "
        text += "windows it had not seen. {more}"
        if not gain.known:
            text = "{more}"
        elif gain.low <= 0:
            text = "The forecast does not clearly tell who orders from who does not: over {n} windows it had not seen"
            text += " it saves {share} ({between}) of the error of one chance for all. {more}"
        metric = "how much less the forecast of orders errs than one chance for all (Brier score; n: windows)"
        return finding(
            gain,
            id="outlook.order_forecast_gain",
            aliases=("retention.order_forecast_gain",),
            metric=say(metric),
            scope=self.study.scope,
            sentence=say(text, **saved(gain), more=f"{self.lift_sentence} {self.contest_sentence}"),
            assumption=say("closed windows stand for the next"),
            direction="up is good",
            change=True,
            systems=("S023",),
        )


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
    p = probabilities(rows, held, now, PRESENT, study.seed)
    members = now[["member_id"]].assign(ordered=now["active_days_all"] > 0, probability=p)
    judged = len(members) > 0 and bool(np.isfinite(p).all())
    members["tenth"] = pd.array(tenths(p) if judged else [pd.NA] * len(members), dtype="Int64")
    ahead = levels(held, study.seed)
    return Purchases(
        study=study,
        members=members,
        expected=expected_number(p, ahead, **level),
        first_orders=expected_number(p[~members["ordered"].to_numpy(bool)], ahead, **level),
        contest=held,
        rows=rows,
    )
