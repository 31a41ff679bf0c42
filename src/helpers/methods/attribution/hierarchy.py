"""Credit below channels: platform, channel, account or creator, content. Each level adds up to the one above.

A model gives credit to channels. Within a channel it is shared by the linear rule over the touches of its
conversions: below channels there is too little to fit a chain to. What has too few conversions is one row `OTHERS` of
its parent, and so is what is about too few members.
"""

from __future__ import annotations

import ibis
import numpy as np
import pandas as pd

from helpers.data.dialect import md5
from helpers.methods.attribution.heuristics import FloatArray
from helpers.methods.attribution.journeys import DECIMALS, Journeys
from helpers.methods.attribution.uncertainty import Credit
from helpers.stats.resample import unit_weights
from helpers.study.frames import NOT_STATED

OTHERS = "others"
# Conversions, by the linear rule, of an account or content that is a row of its own.
CONVERSIONS_OF_A_LEAF = 10
LEVELS = ("platform", "channel", "account", "content")


def hierarchy(journeys: Journeys, credit: Credit, model: str = "markov") -> pd.DataFrame:
    """Return the credit of a model by platform, channel, account or creator, and content.

    Returns
    -------
    pandas.DataFrame
        model, level (``platform``, ``channel``, ``account``, ``content``, as far as touches name them), a column with
        the name for each of these levels (missing below the row's own), conversions, low, high, value, n (touches
        that led to conversions), members (at least so many had them). Intervals rest on the model's resamples and on
        those of members in 256 groups.
    """
    cells, study = _cells(journeys), journeys.study
    levels = [level for level in LEVELS if level in cells.columns]
    _merge_thin(cells, levels, study.k_min)
    # What a chain credits without a conversion of its own has no leaf to go to.
    bare = sorted(set(credit.channels) - set(cells["channel"]))
    empty = {"bucket": "", "conversions": 1.0, "value": 0.0, "n": 0, "members": 0}
    named = [dict.fromkeys(levels, NOT_STATED) | empty | {"channel": name} for name in bare]
    cells = pd.concat([cells, *(pd.DataFrame([row]) for row in named)], ignore_index=True)
    leaf, leaves = _numbered(cells, levels)
    bucket, buckets = _numbered(cells, ["bucket"])
    inside = np.zeros((len(buckets), len(leaves)))
    np.add.at(inside, (bucket, leaf), cells["conversions"])
    sums = cells.groupby(leaf)[["conversions", "value", "n"]].sum()
    # Which channel, in the order of the credit, a leaf is part of.
    channel = pd.Index(credit.channels).get_indexer(pd.Index(leaves["channel"]))
    own = credit.table[credit.table["model"] == model].set_index("node").loc[list(credit.channels)]
    share = _within(sums["conversions"].to_numpy(), channel)
    of_value = _within(sums["value"].to_numpy(), channel, share)
    drawn = unit_weights(len(buckets), study.draws, np.random.default_rng(study.seed)) @ inside
    drawn = _within(drawn, channel) * credit.draws[model][:, 0, channel]
    rows = leaves.assign(
        conversions=own["conversions"].to_numpy()[channel] * share,
        value=own["value"].to_numpy()[channel] * of_value, n=sums["n"].to_numpy(),
    )  # fmt: skip
    parts = []
    for keys in (levels[: depth + 1] for depth in range(len(levels))):
        found = _level(rows, drawn, keys, study.confidence)
        parts.append(found.merge(_members(cells, keys), on=keys))
    return pd.concat(parts, ignore_index=True).assign(model=model)


def _cells(journeys: Journeys) -> pd.DataFrame:
    """Return linear credit by leaf and group of members."""
    touches = journeys.touches
    named = {"channel": touches.channel}
    named |= {"platform": touches.platform} if "platform" in touches.columns else {}
    by = [touches[name] for name in ("account_id", "creator_id") if name in touches.columns]
    named |= {"account": ibis.coalesce(*by)} if by else {}
    named |= {"content": touches.content_id} if "content_id" in touches.columns else {}
    steps = journeys.steps.filter("converted")
    # A carried touch is a journey of its own, at the time of a conversion that may have others.
    same = ibis.window(group_by=["member_id", "paid", "carried"])
    part = ibis.ifelse(steps.carried, 1.0, 1.0 / steps.count().over(same))
    worth = ibis.ifelse(steps.carried, steps.value, steps.value.sum().over(same))
    steps = steps.select("touch_id", "member_id", part=part, worth=worth)
    named = {name: each.fill_null(NOT_STATED) for name, each in named.items()}
    leaves = touches.select(touch_id=touches.id, **named)
    rows = steps.inner_join(leaves, "touch_id").mutate(bucket=md5(steps.member_id).left(2))
    found = rows.group_by([*named, "bucket"]).agg(
        conversions=rows.part.sum(),
        value=(rows.part * rows.worth).sum(),
        n=rows.count(), members=rows.member_id.nunique(),
    )  # fmt: skip
    return np.round(found.to_pandas(), DECIMALS).sort_values([*named, "bucket"], ignore_index=True)


def _merge_thin(cells: pd.DataFrame, levels: list[str], k_min: int) -> None:
    """Name accounts and contents that are too thin, and what is below them, `OTHERS`."""
    for depth, level in enumerate(levels):
        if level in ("account", "content"):
            keys = levels[: depth + 1]
            few = cells[keys].merge(_members(cells, keys), on=keys, how="left")["members"] < k_min
            thin = cells.groupby(keys)["conversions"].transform("sum") < CONVERSIONS_OF_A_LEAF
            cells.loc[thin | few, levels[depth:]] = OTHERS


def _members(cells: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Return how many members at least are behind each node: of each group, those behind its largest part."""
    largest = cells.groupby([*keys, "bucket"], as_index=False)["members"].max()
    return largest.groupby(keys, as_index=False)["members"].sum()


def _numbered(frame: pd.DataFrame, keys: list[str]) -> tuple[np.ndarray, pd.DataFrame]:
    """Return the number of each row's keys, and the keys by number."""
    grouped = frame.groupby(keys)
    return grouped.ngroup().to_numpy(), grouped.size().reset_index()[keys]


def _within(amounts: FloatArray, channel: np.ndarray, otherwise: FloatArray | float = 0.0) -> FloatArray:
    """Return amounts of leaves, last axis, as shares of those of their channel, or other ones where it has none."""
    member = channel == np.arange(channel.max(initial=0) + 1)[:, None]
    total = (amounts @ member.T)[..., channel]
    return np.where(total != 0, amounts / np.where(total != 0, total, 1.0), otherwise)


def _level(rows: pd.DataFrame, drawn: FloatArray, keys: list[str], confidence: float) -> pd.DataFrame:
    """Return the rows of one level, with percentile intervals of the sums of their leaves' resamples."""
    number, names = _numbered(rows, keys)
    sums = rows.groupby(number)[["conversions", "value", "n"]].sum()
    draws = drawn @ (number[:, None] == np.arange(len(names))).astype(float)
    low, high = np.quantile(draws, [(1 - confidence) / 2, (1 + confidence) / 2], axis=0)
    found = pd.concat([names, sums], axis=1).assign(level=keys[-1])
    return found.assign(low=np.minimum(low, sums["conversions"]), high=np.maximum(high, sums["conversions"]))
