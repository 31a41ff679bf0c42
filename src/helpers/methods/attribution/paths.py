"""The way to an order: days until the first one, the commonest paths, and whether several channels help."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import pandas as pd
from scipy import sparse

from helpers.data.source import local_date
from helpers.methods.attribution import plots
from helpers.methods.attribution.heuristics import FloatArray, Sums
from helpers.methods.attribution.journeys import Histories, Journeys
from helpers.methods.attribution.results import Seen
from helpers.methods.attribution.uncertainty import resampled
from helpers.playbook.finding import Finding, finding
from helpers.playbook.result import Part, Result
from helpers.sentences import number, percent, say, with_interval
from helpers.stats.estimate import Estimate, drawn_estimate, unknown
from helpers.stats.survival.cells import cells
from helpers.stats.survival.curves import SurvivalCurves, survival
from helpers.study import Study
from helpers.study.days import day_number, number_of

# Channels of a path that is told; a longer one is told of nobody else.
LONGEST = 4
# Commonest paths that are told.
COMMON = 5
# Journeys with more touches are compared with each other as if they had as many.
MOST_TOUCHES = 6
# Days within which an order of a newcomer is told.
DAYS = 30


def time_to_order(journeys: Journeys) -> SurvivalCurves:
    """Return the share without an order by days since joining, of members who joined since the log began.

    Without a table of members the days are counted from the first touch. Who has not ordered yet, or left, is
    censored.
    """
    study, end = journeys.study, number_of(journeys.study.as_of)
    if "members" in study.dataset:
        people = study.newcomers.population
        last = day_number(people.left_day).fill_null(end)
        people = people.select("member_id", begin=day_number(people.joined_day), last=last)
    else:
        touched = journeys.steps.group_by("member_id").agg(day=journeys.steps.ts.min())
        begin = day_number(local_date(touched.day, study.report_tz))
        people = touched.select("member_id", begin=begin, last=end)
    bought = study.purchases
    first = bought.group_by("member_id").agg(first=day_number(bought.day.min()))
    rows = people.left_join(first, "member_id")
    rows = rows.mutate(ordered=(rows.first <= rows["last"]).fill_null(False))
    until = rows.ordered.ifelse(rows.first, rows["last"]) - rows.begin
    durations = rows.select(tenure_days=until.clip(lower=0), exited=rows.ordered)
    return survival(cells(durations), confidence=study.confidence)


def common_paths(histories: Histories) -> pd.DataFrame:
    """Return path, members, conversions, value of the `COMMON` commonest converting paths, repeats told once.

    ``members`` are those with such a path, who may have several. Longer paths than `LONGEST` are left out.
    """
    h = histories.collapsed("repeats")
    base = len(h.channels) + 1
    kept = h.converted & (h.length <= LONGEST)
    # A path as one number: channels are its digits.
    digits = (h.code[kept] + 1) * base ** (h.place[kept] - 1)
    keys = np.bincount(h.journey[kept], digits, h.journey.max(initial=0) + 1)
    rows = {"key": keys[h.journey], "history": h.history, "journey": h.journey, "value": h.value}
    frame = pd.DataFrame(rows)[kept & h.last].assign(conversions=lambda t: h.members[t["history"]])
    frame["value"] *= frame["conversions"]
    own = frame.drop_duplicates(["key", "history"]).groupby("key")["conversions"].sum().rename("members")
    sums = {"conversions": "sum", "value": "sum", "journey": "first"}
    found = frame.groupby("key").agg(sums)
    found = found.join(own).sort_values(["conversions", "value"], ascending=False).head(COMMON)
    names = [[h.channels[code] for code in h.code[h.journey == journey]] for journey in found["journey"]]
    found.insert(0, "path", [" → ".join(each) for each in names])
    return found[["path", "members", "conversions", "value"]].reset_index(drop=True)


def several_channels(journeys: Journeys) -> Estimate:
    """Return how many times as often journeys over several channels convert as those of one, with as many touches.

    Rates are standardised to the touches (2 to `MOST_TOUCHES`) of all journeys; members are resampled.
    """
    h, study = journeys.histories, journeys.study
    mixed = np.bincount(h.journey[h.fresh], minlength=h.journey.max(initial=0) + 1)[h.journey] > 1
    kept = h.last & (h.length > 1)
    stratum = np.minimum(h.length, MOST_TOUCHES)[kept] - 2
    place = 2 * stratum + mixed[kept]
    size = 2 * (MOST_TOUCHES - 1)
    row, column = np.tile(h.history[kept], 2), np.r_[place, place + size]
    amount = np.r_[np.ones(len(place)), h.converted[kept]]
    sums = sparse.coo_array((amount, (row, column)), shape=(len(h.members), 2 * size)).tocsr()
    model = Sums(sums, partial(_rate_ratio, size=size))
    value = float(model.of(h.members)[0])
    drawn, n = (
        resampled(h, {"": model}, study.draws, study.seed)[""],
        int(h.members[np.unique(h.history[kept])].sum()),
    )
    named = ("ratio", "member bootstrap, standardised", study.confidence)
    found = drawn_estimate(value, drawn, n, *named)
    return found if np.isfinite(found[:3]).all() else unknown(n, "ratio", study.confidence)


def _rate_ratio(sums: FloatArray, size: int) -> FloatArray:
    """Return the ratio of standardised rates from journeys and conversions by touches and kind (one, several)."""
    journeys, converted = sums.reshape(2, size // 2, 2)
    both = (journeys > 0).all(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        one, several = journeys[both].sum(axis=1) @ (converted[both] / journeys[both])
        return np.array([several / one])


@dataclass(frozen=True, repr=False)
class Paths(Result):
    """The way to an order.

    Attributes
    ----------
    seen : Seen
        The journeys.
    curve : SurvivalCurves
        Share of newcomers who have not ordered yet, by day.
    common : pandas.DataFrame
        The commonest paths; see :func:`common_paths`.
    several : Estimate
        How many times as often journeys over several channels convert.
    """

    seen: Seen
    curve: SurvivalCurves = field(repr=False)
    common: pd.DataFrame = field(repr=False)
    several: Estimate

    @property
    def ordered(self) -> Estimate:
        """Share of newcomers who ordered within `DAYS` days."""
        left = self.curve.still_here(DAYS)
        return left._replace(value=1 - left.value, low=1 - left.high, high=1 - left.low)

    @property
    def sentence(self) -> str:
        """How soon newcomers order, and after how many touches."""
        h = self.seen.journeys.histories
        ends = h.last & h.converted
        lengths = np.repeat(h.length[ends], h.members[h.history[ends]])
        half, most = np.quantile(lengths, [0.5, 0.9]) if len(lengths) else (np.nan, np.nan)
        text = (
            "Of newcomers, {share} have ordered within {d} days of joining, those yet to order counted in. "
            "Half of the orders with a touch took at most {half} touches, nine in ten at most {most}."
        )
        if not len(lengths):
            text = "Of newcomers, {share} have ordered within {d} days of joining, those yet to order counted in."
        counts = {"half": number(half, 0), "most": number(most, 0), "d": DAYS}
        return say(text, share=with_interval(self.ordered), **counts)

    @property
    def several_sentence(self) -> str:
        """Whether journeys over several channels convert more often."""
        text = "With as many touches, journeys over several channels convert {ratio} times as often as those of one."
        if not self.several.known:
            text = "Whether journeys over several channels convert more often: too little data."
        return say(text, ratio=with_interval(self.several))

    def parts(self) -> Iterator[Part]:
        """Yield how soon newcomers order, the commonest paths, and whether several channels help."""
        yield self.sentence
        yield from filter(None, [self.seen.journeys.sampled])
        curve = self.curve.table.dropna()
        rows = pd.DataFrame({"day": curve["day"], "ordered": 1 - curve["survival"]})
        rows = rows.assign(low=1 - curve["high"], high=1 - curve["low"])[curve["day"] <= 3 * DAYS]
        told = {"share": percent(self.ordered.value, 0), "d": DAYS}
        if len(rows):
            title, kind = say("{share} of newcomers have ordered after {d} days", **told), say("Curve, band")
            units = dict.fromkeys(["ordered", "low", "high"], "share")
            drawing = plots.days_to_order(rows)
            yield self.drawn("days_to_order", kind, title, rows.reset_index(drop=True), drawing, units=units)
        if len(self.common):
            title, kind = say("The commonest ways to an order"), say("Bars of orders by path")
            note = say("Repeats are told once; paths of more than {n} channels are left out.", n=LONGEST)
            named = {"members": "members", "note": note, "units": {"value": self.study.currency}}
            yield self.drawn("common_paths", kind, title, self.common, plots.paths(self.common), **named)
        yield self.several_sentence

    def findings(self) -> Iterator[Finding]:
        """State how soon newcomers order, and whether several channels help."""
        yield finding(
            self.ordered, id="attribution.time_to_order", metric=say("Newcomers who ordered within {d} days", d=DAYS),
            scope=self.study.scope, sentence=self.sentence, direction="up is good", systems=("S041",),
            assumption=say("who leaves, or has not ordered yet, would order like those who are watched longer"),
            definition="time_to_order", picture="days_to_order",
        )  # fmt: skip
        yield finding(
            self.several, id="attribution.several_channels", metric=say("Conversion of several channels against one"),
            scope=self.study.scope, sentence=self.several_sentence, direction="up is good", systems=("S066",),
            assumption=say("who meets several channels differs by nothing but that and the number of touches"),
            definition="several_channels",
        )  # fmt: skip


def paths(study: Study, seen: Seen) -> Paths:
    """Return the way to an order.

    Parameters
    ----------
    study : Study
        Its level and resamples.
    seen : Seen
        The journeys.
    """
    found = seen.journeys
    common = common_paths(found.histories)
    common = common[common["members"] >= study.k_min].reset_index(drop=True)
    return Paths(study, seen, time_to_order(found), common, several_channels(found))
