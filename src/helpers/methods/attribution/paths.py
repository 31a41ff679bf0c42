"""The way to an order: days until the first one, the commonest paths, and whether several channels help."""

from __future__ import annotations

from functools import partial

import numpy as np
import pandas as pd
from scipy import sparse

from helpers.data.source import local_date
from helpers.methods.attribution.heuristics import FloatArray, Sums
from helpers.methods.attribution.journeys import Histories, Journeys
from helpers.methods.attribution.uncertainty import resampled
from helpers.stats.estimate import Estimate, percentile_interval, unknown
from helpers.stats.survival.cells import cells
from helpers.stats.survival.curves import SurvivalCurves, survival
from helpers.study.days import day_number, number_of

LONGEST = 4
"""Channels of a path that is told; a longer one is told of nobody else."""
MOST_TOUCHES = 6
"""Journeys with more touches are compared with each other as if they had as many."""


def time_to_order(journeys: Journeys) -> SurvivalCurves:
    """Return the share without a conversion by days since joining, of members who joined since the log began.

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
        people = touched.select(
            "member_id", begin=day_number(local_date(touched.day, study.report_tz)), last=end
        )
    ends = journeys.ends
    first = ends.group_by("member_id").agg(first=day_number(local_date(ends.ts.min(), study.report_tz)))
    rows = people.left_join(first, "member_id").mutate(
        ordered=lambda r: (r.first <= r["last"]).fill_null(False)
    )
    until = rows.ordered.ifelse(rows.first, rows["last"]) - rows.begin
    durations = rows.select(tenure_days=until.clip(lower=0), exited=rows.ordered)
    return survival(cells(durations), confidence=study.confidence)


def common_paths(histories: Histories, most: int = 5) -> pd.DataFrame:
    """Return path, members, conversions, value of the commonest converting paths, repeats of a channel told once.

    ``members`` are those with such a path, who may have several. Longer paths than `LONGEST` are left out.
    """
    h = histories.collapsed("repeats")
    base = len(h.channels) + 1
    kept = h.converted & (h.length <= LONGEST)
    # A path as one number: channels are its digits.
    key = np.bincount(
        h.journey[kept], (h.code[kept] + 1) * base ** (h.place[kept] - 1), h.journey.max(initial=0) + 1
    )
    frame = pd.DataFrame({"key": key[h.journey], "history": h.history, "value": h.value})[kept & h.last]
    frame["members"] = h.members[frame["history"]]
    frame["value"] *= frame["members"]
    found = frame.groupby("key").agg(conversions=("members", "sum"), value=("value", "sum"))
    found["members"] = frame.drop_duplicates(["key", "history"]).groupby("key")["members"].sum()
    found = found.sort_values(["conversions", "value"], ascending=False).head(most).reset_index()
    names = [
        [h.channels[int(k) // base**i % base - 1] for i in range(LONGEST) if int(k) // base**i]
        for k in found["key"]
    ]
    return found.assign(path=[" → ".join(each) for each in names])[
        ["path", "members", "conversions", "value"]
    ]


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
    low, high = percentile_interval(resampled(h, {"": model}, study.draws, study.seed)[""], study.confidence)
    n = int(h.members[np.unique(h.history[kept])].sum())
    if not np.isfinite([value, low, high]).all():
        return unknown(n, "ratio", study.confidence)
    return Estimate(
        value,
        min(low, value),
        max(high, value),
        n,
        "ratio",
        "member bootstrap, standardised",
        study.confidence,
    )


def _rate_ratio(sums: FloatArray, size: int) -> FloatArray:
    """Return the ratio of standardised rates from journeys and conversions by touches and kind (one, several)."""
    journeys, converted = sums.reshape(2, size // 2, 2)
    both = (journeys > 0).all(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        one, several = journeys[both].sum(axis=1) @ (converted[both] / journeys[both])
        return np.array([several / one])
