"""Journeys: the touches that lead to a conversion, cut after it, counted in the engine; see :mod:`.steps`."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import ibis
import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from helpers.data.fingerprint import check_currency
from helpers.data.source import of_sample, pulled
from helpers.methods.attribution.histories import Histories, flat_histories
from helpers.methods.attribution.steps import (
    ORDERS,
    Definition,
    conversions_of,
    ends_of,
    names_of,
    span,
    steps_of,
    touches_of,
)
from helpers.sentences import say
from helpers.study import Study
from helpers.study.activity import currencies

__all__ = ["DECIMALS", "Definition", "Histories", "Journeys", "journeys"]

FloatArray = NDArray[np.float64]

DECIMALS = 9
# Members with touches whose paths are brought over, and their touches; of more a sample is, up to five times as many
# members where few convert.
MOST_MEMBERS, CONVERSIONS_TO_DRAW, MOST_TOUCHES = 20_000, 2_000, 2_000_000


@dataclass(frozen=True, eq=False)
class Journeys:
    """Journeys of all members, counted in the engine.

    Attributes
    ----------
    study, definition
        What was asked.
    names : tuple of str
        Channels of the table of touches, sorted; some may be in no journey.
    touches : ibis.Table
        One row per touch in reach, of unmatched ids too: member_id, ts, id, channel, matched, in_window (not only in
        the lookback of it), and platform, account_id, creator_id, content_id, cost, as far as they are there.
    every : ibis.Table
        One row per conversion until ``as_of``: member_id, ts, id, value, prior, earlier; see `ends` for those that
        count.
    """

    study: Study
    definition: Definition
    names: tuple[str, ...]
    touches: ibis.Table = field(repr=False)
    every: ibis.Table = field(repr=False)

    @cached_property
    def steps(self) -> ibis.Table:
        """One row per touch of a journey, nothing computed yet.

        member_id, ts, kind, id (of both, by which steps are in order), touch_id, channel, before (channel of the
        touch before; missing at the start), last, converted, carried (stands for a conversion once more), tied, open,
        paid (time of the conversion), days (until then), value (of the conversion, on the last touch).
        """
        return self._steps(self.touches, self.every)

    def _steps(self, touches: ibis.Table, every: ibis.Table) -> ibis.Table:
        return steps_of(touches.filter("matched"), every, self.definition, *self._span)

    @property
    def _span(self) -> tuple[dt.datetime, dt.datetime]:
        return span(self.study, self.definition.window_days)

    @cached_property
    def ends(self) -> ibis.Table:
        """One row per conversion that counts: member_id, ts, id, value."""
        return ends_of(self.every, self.definition, self._span[0]).select("member_id", "ts", "id", "value")

    @cached_property
    def cells(self) -> pd.DataFrame:
        """Steps by kind, all that order 1 and the accounts need; of all touches, whatever `collapse` says.

        before, channel, last, converted, carried (bool); n (steps), value (of conversions), tied (touches at one
        instant with another of the member), open (touches whose lookback ends after ``as_of``, not converted yet).
        """
        keys = ["before", "channel", "last", "converted", "carried"]
        found = self.steps.group_by(keys).agg(
            n=self.steps.count(),
            value=self.steps.value.sum(),
            **{name: self.steps.count(where=self.steps[name]) for name in ("tied", "open")},
        )
        # Engines sum in no fixed order: the last bits must not reach a published number.
        frame = found.to_pandas()
        frame["value"] = np.round(frame["value"], DECIMALS)
        return frame.sort_values(keys, ignore_index=True, na_position="first")

    @cached_property
    def channels(self) -> tuple[str, ...]:
        """Names of the channels in the journeys, sorted."""
        return tuple(sorted(self.cells["channel"].unique()))

    @cached_property
    def conversions(self) -> int:
        """Conversions, with and without a journey."""
        return int(self.ends.count().execute())

    @property
    def attributed(self) -> int:
        """Conversions with a journey."""
        return int(self.cells.loc[self.cells["last"] & self.cells["converted"], "n"].sum())

    @cached_property
    def touched(self) -> pd.DataFrame:
        """n (conversions of everybody that a channel touched, each once) and value (of them), by channel."""
        steps = self.steps.filter("converted")
        journey = ["member_id", "paid", "alone"]
        steps = steps.mutate(alone=ibis.ifelse(steps.carried, steps.id, ""))
        steps = steps.mutate(worth=steps.value.sum().over(ibis.window(group_by=journey)))
        each = steps.group_by([*journey, "channel"]).agg(worth=steps.worth.max())
        found = each.group_by("channel").agg(n=each.count(), value=each.worth.sum()).to_pandas()
        return np.round(found.set_index("channel"), DECIMALS).sort_index()

    @cached_property
    def share(self) -> float:
        """Share of the members that `histories` are of, drawn by a hash of their ids."""
        touches = self.touches.agg(n=self.touches.count(), members=self.touches.member_id.nunique())
        n, members = pulled(touches).iloc[0].clip(1)
        usual, enough = MOST_MEMBERS / members, CONVERSIONS_TO_DRAW / max(self.conversions, 1)
        return float(min(max(usual, min(enough, 5 * usual)), MOST_TOUCHES / n, 1.0))

    @property
    def sampled(self) -> str:
        """Of how many members paths are told, where those are a sample; empty where they are all."""
        text = (
            "Paths, and what follows from them, are those of a random sample of {n:,} members with touches."
        )
        return say(text, n=int(self.histories.members.sum())) if self.share < 1 else ""

    @cached_property
    def histories(self) -> Histories:
        """Unique histories of members, of a share of them."""
        both = (of_sample(table, self.share, self.study.seed) for table in (self.touches, self.every))
        return flat_histories(_unique(self._steps(*both), self.names), self.names).collapsed(
            self.definition.collapse
        )

    @cached_property
    def weight(self) -> FloatArray:
        """What a conversion of the histories, and its value, stand for, shape (2,): 1 where they are of everybody."""
        h, ends = self.histories, self.cells[self.cells["last"] & self.cells["converted"]]
        if self.share >= 1:
            return np.ones(2)
        paid = h.last & h.converted
        mine = h.members[h.history[paid]].astype(float)
        seen = np.array([mine.sum(), mine @ h.value[paid]])
        return np.divide([ends["n"].sum(), ends["value"].sum()], seen, out=np.ones(2), where=seen > 0)


def _unique(rows: ibis.Table, names: Sequence[str]) -> pa.Table:
    """Return unique histories of members, from steps, as lists."""
    numbers = [(rows.channel == name, n) for n, name in enumerate(names)]
    step = ibis.struct({
        "code": ibis.cases((rows.channel.isnull(), -1), *numbers),
        "last": rows["last"],
        "converted": rows.converted,
        # The time of a lone touch changes nothing, and members who differ in it alone are alike.
        "days": ibis.cases((rows.before.isnull() & rows["last"] & rows.converted, 0.0), else_=rows.days),
        "value": rows.value,
    })  # fmt: skip
    rows = rows.select("member_id", "ts", "kind", "id", step=step)
    # With what is missing: PostgreSQL takes a record for missing of which one part is.
    steps = rows.step.collect(order_by=["ts", "kind", "id"], include_null=True)
    members = rows.group_by("member_id").agg(steps=steps)
    unique = members.group_by("steps").agg(members=members.count(), first=members.member_id.min())
    return unique.order_by("first").drop("first").to_pyarrow()


def journeys(study: Study, definition: Definition | None = None) -> Journeys:
    """Return the journeys of the table ``touchpoints`` to the conversions of ``orders`` or ``events``.

    Parameters
    ----------
    study : Study
        With touchpoints, and orders or events.
    definition : Definition, optional
        What a journey is; by default to any order, with a lookback of 30 days.

    Raises
    ------
    MissingTable, BadData, BadParameters
        When a table or a column is missing, or the definition names what is not there.
    """
    how = definition or Definition()
    begin, end = span(study, how.window_days)
    if how.conversion in ORDERS:
        check_currency({"orders": currencies(study.dataset, "orders")}, study.currency)
    every = conversions_of(study, how.conversion, end)
    names = names_of(study, how.channels)
    touches = touches_of(study, names, begin - dt.timedelta(days=how.lookback_days), end)
    matched: ibis.Value = ibis.literal(True)
    if "members" in study.dataset:
        ids = ibis.union(study.dataset.members.select("member_id"), every.select("member_id")).distinct()
        touches = touches.left_join(ids.select(matched_id="member_id"), touches.member_id == ids.member_id)
        matched = touches.matched_id.notnull()
    touches = touches.mutate(matched=matched, in_window=touches.ts >= ibis.literal(begin))
    return Journeys(study, how, tuple(sorted(set(names.values()))), touches, every)
