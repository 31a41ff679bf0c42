"""Unique histories of members as flat arrays, on which every model of credit is a sum."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Histories:
    """Unique histories of members as flat arrays: one row per touch, journey after journey, member after member.

    Attributes
    ----------
    members : ndarray, shape (histories,)
        Members with this history: the same channels in the same journeys, with the same times and values where they
        convert.
    history, code : ndarray, shape (touches,)
        Number of the history and of the channel.
    last, converted : ndarray of bool, shape (touches,)
        Whether a touch is the last of its journey, and whether that converts.
    days : ndarray, shape (touches,)
        Days from touch to conversion; NaN in a journey that does not convert.
    value : ndarray, shape (touches,)
        Value of the conversion, on each touch of its journey; 0 without one.
    channels : tuple of str
        Names by code.
    """

    members: NDArray[np.int64]
    history: NDArray[np.int64]
    code: NDArray[np.int64]
    last: NDArray[np.bool_]
    converted: NDArray[np.bool_]
    days: NDArray[np.float64]
    value: NDArray[np.float64]
    channels: tuple[str, ...]

    @cached_property
    def journey(self) -> NDArray[np.int64]:
        """Number of the journey of each touch."""
        return np.cumsum(self.last) - self.last

    @cached_property
    def length(self) -> NDArray[np.int64]:
        """Touches of the journey that a touch is in."""
        return np.bincount(self.journey)[self.journey]

    @cached_property
    def place(self) -> NDArray[np.int64]:
        """Place of a touch in its journey, from 1."""
        touches = np.bincount(self.journey)
        return np.arange(1, len(self.code) + 1) - (np.cumsum(touches) - touches)[self.journey]

    @cached_property
    def fresh(self) -> NDArray[np.bool_]:
        """Whether a touch is the first of its channel in its journey."""
        first = np.zeros(len(self.code), bool)
        first[np.unique(self.journey * len(self.channels) + self.code, return_index=True)[1]] = True
        return first

    def collapsed(self, how: str) -> Histories:
        """Return the histories without the touches that a way to collapse them leaves out."""
        if how == "no" or not len(self.code):
            return self
        alike = np.r_[(self.code[1:] == self.code[:-1]) & ~self.last[:-1], False]
        kept = self.fresh if how == "distinct" else ~alike
        journey = self.journey[kept]
        rows = {name: getattr(self, name)[kept] for name in ("history", "code", "converted", "days", "value")}
        return replace(self, last=np.diff(journey, append=-1) != 0, **rows)


def flat_histories(table: pa.Table, names: tuple[str, ...]) -> Histories:
    """Return rows of lists as flat arrays, without an object per touch, and of the names those that occur."""
    lists = table["steps"].combine_chunks()
    sizes, steps = lists.value_lengths().to_numpy(zero_copy_only=False), lists.flatten()
    flat = {name: pc.struct_field(steps, name).to_numpy(zero_copy_only=False) for name in steps.type.names}
    last = flat["last"].astype(bool)
    present, code = np.unique(flat["code"].astype(np.int64), return_inverse=True)
    return Histories(
        members=table["members"].to_numpy().astype(np.int64),
        history=np.repeat(np.arange(len(sizes)), sizes.astype(np.int64)),
        code=code,
        last=last,
        converted=flat["converted"].astype(bool),
        days=flat["days"].astype(float),
        value=flat["value"][last][np.cumsum(last) - last],
        channels=tuple(names[each] for each in present),
    )
