"""What may be said at all: enough data for models, and what of touches and members is not seen.

Platforms share no id of a person, so a journey holds only what was matched to a member. Bounds say how far credit can
be off for that reason: at one end unmatched people buy nothing, at the other they buy like matched ones of their
channel. They are no intervals: chance is not in them.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from helpers.methods.attribution.journeys import Journeys
from helpers.methods.attribution.steps import UNKNOWN

CONVERSIONS_OF_A_MODEL = 200
# Google's advice for data-driven credit: below these, rules alone.
TOUCHES_OF_A_MODEL = 2_000


class Gates(NamedTuple):
    """What is seen.

    Attributes
    ----------
    conversions, unattributed, carried : int
        Conversions; those without a journey; those for which the touch of the one before stands.
    touches, tied, open, untagged : int
        Touches in journeys; those at one instant with another of the member; those that still may convert, as their
        lookback ends after the last day; those without a channel's name.
    match : pandas.DataFrame
        One row per platform and channel: platform (where that is on record), channel, touches, matched, share; NaN
        where there is no table of members, so that nobody can tell.
    share : float
        Share of members whose paths the models are fitted on.
    """

    conversions: int
    unattributed: int
    carried: int
    touches: int
    tied: int
    open: int
    untagged: int
    match: pd.DataFrame
    share: float

    @property
    def drawn(self) -> tuple[int, int]:
        """Conversions and touches that are expected among the members whose paths are drawn."""
        return round(self.conversions * self.share), round(self.touches * self.share)

    @property
    def enough(self) -> bool:
        """Whether Markov chains, Shapley values and increments may be shown, or rules alone."""
        return self.drawn[0] >= CONVERSIONS_OF_A_MODEL and self.drawn[1] >= TOUCHES_OF_A_MODEL

    def by(self, column: str) -> pd.DataFrame:
        """Return touches, matched and share by ``platform`` or ``channel``."""
        found = self.match.groupby(column, as_index=False)[["touches", "matched"]].sum(min_count=1)
        return found.assign(share=found["matched"] / found["touches"])


def gates(journeys: Journeys) -> Gates:
    """Return what is seen of the journeys and what is not."""
    cells, rows = journeys.cells, journeys.touches
    rows = rows.filter("in_window")
    keys = [name for name in ("platform", "channel") if name in rows.columns]
    match = rows.group_by(keys).agg(touches=rows.count(), matched=rows.count(where=rows.matched)).to_pandas()
    if "members" not in journeys.study.dataset:
        match["matched"] = np.nan
    match = match.assign(share=match["matched"] / match["touches"]).sort_values(keys, ignore_index=True)
    seen = cells[~cells["carried"]]
    return Gates(
        conversions=journeys.conversions,
        unattributed=journeys.conversions - journeys.attributed,
        carried=int(cells.loc[cells["carried"], "n"].sum()),
        touches=int(seen["n"].sum()),
        tied=int(seen["tied"].sum()),
        open=int(seen["open"].sum()),
        untagged=int(seen.loc[seen["channel"] == UNKNOWN, "n"].sum()),
        match=match,
        share=journeys.share,
    )


def bounds(seen: Gates, credit: pd.Series) -> pd.DataFrame:
    """Return node, conversions, low, high: how far credit can move when what is not matched is seen.

    With x the credit and m the share of touches that are matched, a channel has least when all others have x / m, and
    most when it alone has x / m and all conversions without a journey are its own. NaN where matching is not known.

    Parameters
    ----------
    seen : Gates
        With the matches, and the conversions without a journey.
    credit : pandas.Series
        Credited conversions of one model that shares them out, by channel.
    """
    match = seen.by("channel").set_index("channel")["share"].reindex(credit.index)
    x, full = credit.to_numpy(float), credit.to_numpy(float) / match.to_numpy(float)
    with np.errstate(invalid="ignore", divide="ignore"):
        low = x.sum() * x / (x + full.sum() - full)
        high = x.sum() * full / (full + x.sum() - x) + seen.unattributed
    table = {"node": credit.index, "conversions": x, "low": low, "high": np.minimum(high, seen.conversions)}
    return pd.DataFrame(table)
