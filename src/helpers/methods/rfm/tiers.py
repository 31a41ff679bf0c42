"""One tier engine: ordered labels, rules proven to give every member exactly one of them.

A :class:`TierScheme` is loaded from a preset, a YAML file or a mapping, is proven disjoint and complete
over all values its columns can take (see :mod:`helpers.methods.rfm.boxes`), and compiles to one case
expression inside the engine. Presets and the origin of their cuts stand in ``tiers.yml``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from pathlib import Path
from typing import Any

import ibis
import pandas as pd

from helpers.data.source import as_table
from helpers.errors import BadData
from helpers.methods.rfm.boxes import Box, Domain, describe
from helpers.methods.rfm.tier_rules import parse_rules, preset_definitions, read_definition
from helpers.sentences import percent, say
from helpers.stats.estimate import wilson
from helpers.study.frames import materialise


@dataclass(frozen=True)
class TierScheme:
    """Ordered tiers and the rules that give every member exactly one.

    Attributes
    ----------
    name, title : str
        Short name and what the scheme says.
    labels : tuple of str
        Tier ids from low to high, as written in the tier column.
    display_names : dict of str to str
        Name to show for each id.
    rules : tuple of (label, boxes)
        Disjoint and complete; a member is in a tier when one of its boxes fits.
    domains : dict of str to Domain
        Possible values of the columns in the rules.
    window_days : int or None
        Window the cuts are meant for.
    bins : int
        Highest score the rules expect.
    provenance : dict
        Where structure and cuts come from.
    """

    name: str
    title: str
    labels: tuple[str, ...]
    display_names: dict[str, str]
    rules: tuple[tuple[str, tuple[Box, ...]], ...] = field(repr=False)
    domains: dict[str, Domain] = field(repr=False)
    window_days: int | None = None
    bins: int = 5
    provenance: dict[str, str] = field(default_factory=dict)

    @classmethod
    def load(cls, source: str | Path | Mapping[str, Any]) -> TierScheme:
        """Return a scheme from the name of a preset, the path of a YAML file or a mapping, proven sound.

        Raises
        ------
        BadParameters
            When the scheme is unknown or malformed, or when its rules overlap or leave a gap; the message
            names the region and an example.
        """
        name, definition = read_definition(source)
        rules, domains = parse_rules(name, definition)
        return cls(
            name=name,
            title=str(definition.get("title", name)),
            labels=tuple(label for label, _ in rules),
            display_names={str(t["id"]): str(t.get("name", t["id"])) for t in definition["tiers"]},
            rules=tuple((label, tuple(boxes)) for label, boxes in rules),
            domains=domains,
            window_days=definition.get("window_days"),
            bins=int(definition.get("bins", 5)),
            provenance=dict(definition.get("provenance", {})),
        )

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns that the rules look at, in alphabetical order."""
        return tuple(sorted(self.domains))

    @property
    def uses_value(self) -> bool:
        """Whether a member's tier can depend on the weighted value."""
        return bool({"monetary", "m_score", "value_quantile"} & set(self.columns))

    def rank(self, label: str) -> int:
        """Return the position of a label, 0 for the lowest."""
        return self.labels.index(label)

    def rules_table(self) -> pd.DataFrame:
        """Return the rules in words: rank (1 lowest), tier, display_name, rule."""
        rows = [
            (i, label, self.display_names[label], "; or ".join(describe(box) for box in boxes))
            for i, (label, boxes) in enumerate(self.rules, start=1)
        ]
        return pd.DataFrame(rows, columns=["rank", "tier", "display_name", "rule"])

    def expression(self, columns: ibis.Table | Mapping[str, ibis.Value]) -> ibis.ir.StringValue:
        """Return the tier as one case expression.

        Parameters
        ----------
        columns : ibis.Table or mapping of str to ibis value
            What stands for each name in :attr:`columns`.
        """

        def fits(box: Box) -> ibis.ir.BooleanValue:
            sides = [side.expression(columns[c]) for c, side in box.items()]
            return reduce(lambda a, b: a & b, sides, ibis.literal(True))

        branches = [(reduce(lambda a, b: a | b, map(fits, boxes)), label) for label, boxes in self.rules]
        return ibis.cases(*branches)

    def assign(
        self, table: ibis.Table | pd.DataFrame, column: str = "tier", *, within: Sequence[str] = ()
    ) -> ibis.Table:
        """Return the table with a tier column; every row gets exactly one tier.

        Parameters
        ----------
        table : ibis.Table or pandas.DataFrame
            One row per member with the columns of the rules. ``value_quantile`` (share of members with a
            strictly lower ``monetary``) is added when the rules need it and it is not there.
        column : str
            Name of the new column.
        within : sequence of str
            Columns that split the rows into groups whose value is compared inside the group only, such as a
            period when a member has one row per period. Matters to ``value_quantile`` alone.

        Raises
        ------
        BadData
            When a column is missing or holds a value that it cannot have, such as a negative count.
        """
        members = as_table(table)
        if "value_quantile" in self.columns and {"value_quantile", "monetary"} & set(members.columns) == {
            "monetary"
        }:
            members = members.mutate(value_quantile=value_quantile(members.monetary, within))
        absent = [c for c in (*self.columns, *within) if c not in members.columns]
        if absent:
            raise BadData(
                f"Tier scheme {self.name} needs column {', '.join(absent)}; "
                f"there is {', '.join(members.columns)}."
            )
        members = materialise(members)
        self._check_domains(members)
        return members.mutate(**{column: self.expression(members)})

    def _check_domains(self, members: ibis.Table) -> None:
        """Raise when a value lies outside what the proof assumed."""
        if not self.columns:
            return
        bad = {c: ~self.domains[c].everything.expression(members[c]).fill_null(False) for c in self.columns}
        counts = members.aggregate(**{c: members.count(where=wrong) for c, wrong in bad.items()}).to_pandas()
        for column, count in counts.iloc[0].items():
            if count:
                example = members.filter(bad[str(column)]).limit(1).to_pandas().iloc[0].to_dict()
                raise BadData(
                    f"Tier scheme {self.name}: column {column} of {int(count):,} members is not "
                    f"{self.domains[str(column)].everything}, for example {example}."
                )


@dataclass(frozen=True)
class TierSizes:
    """How many members are in each tier.

    Attributes
    ----------
    table : pandas.DataFrame
        One row per tier, low to high (also empty ones): rank, tier, display_name, members, n, share, low,
        high (Wilson score bounds of the share), frequency_mean, monetary_mean, monetary_total, monetary_share
        for those of these columns that the members have.
    n : int
        Members in all tiers.
    confidence : float
        Confidence level of the bounds.
    """

    table: pd.DataFrame
    n: int
    confidence: float

    @property
    def sentence(self) -> str:
        """Size of the top and the bottom tier with interval and denominator."""
        if self.n == 0:
            return say("There are no members to put into tiers: too little data.")
        ends = [_size_text(self.table.iloc[i]) for i in (-1, 0)]
        text = "Of {n:,} members, {top} and {bottom}; every member is in exactly one tier."
        return say(text, n=self.n, top=ends[0], bottom=ends[1])


def sizes(
    assigned: ibis.Table | pd.DataFrame,
    scheme: TierScheme,
    *,
    values: Sequence[str] = ("frequency", "monetary"),
    confidence: float = 0.95,
    column: str = "tier",
) -> TierSizes:
    """Count members and their values per tier.

    Parameters
    ----------
    assigned : ibis.Table or pandas.DataFrame
        Result of :meth:`TierScheme.assign`.
    scheme : TierScheme
        Gives order and display names.
    values : sequence of str
        Numeric columns to total per tier; those that the table lacks are left out.
    confidence : float
        Level of the Wilson score bounds of the shares.
    column : str
        Name of the tier column.

    Raises
    ------
    BadData
        When a row has no tier of this scheme.
    """
    members = as_table(assigned)
    kept = [v for v in values if v in members.columns]
    totals = {f"{v}_total": members[v].sum() for v in kept}
    found = members.group_by(column).agg(members=members.count(), **totals).to_pandas()
    strange = found[~found[column].isin(scheme.labels)]
    if len(strange):
        raise BadData(
            f"Tier column {column}: {int(strange['members'].sum()):,} members have no tier of scheme "
            f"{scheme.name}, for example {strange[column].iloc[0]!r}."
        )
    frame = found.set_index(column).reindex(list(scheme.labels)).fillna(0).rename_axis("tier").reset_index()
    return _size_table(frame, scheme, kept, confidence)


def value_quantile(monetary: ibis.ir.NumericColumn, within: Sequence[str] = ()) -> ibis.ir.FloatingColumn:
    """Return the share of members whose value is strictly lower: equals get the same, 0 at the lowest.

    Parameters
    ----------
    monetary : ibis column
        Value, one row per member, or per member and group.
    within : sequence of str
        Columns of the same table that split the rows into groups.
    """
    groups = list(within)
    below = ibis.rank().over(group_by=groups, order_by=monetary)
    return below.cast("float64") / monetary.count().over(group_by=groups).cast("float64")


def presets() -> dict[str, str]:
    """Return names and titles of the presets."""
    return {name: definition["title"] for name, definition in preset_definitions().items()}


def _size_table(
    frame: pd.DataFrame, scheme: TierScheme, values: Sequence[str], confidence: float
) -> TierSizes:
    frame["members"] = frame["members"].astype("int64")
    n = int(frame["members"].sum())
    frame.insert(0, "rank", range(1, len(frame) + 1))
    frame.insert(2, "display_name", [scheme.display_names[label] for label in scheme.labels])
    frame["n"] = n
    frame["share"] = frame["members"] / n if n else math.nan
    frame["low"], frame["high"] = wilson(frame["members"], frame["n"], confidence)
    for value in values:
        total = frame.pop(f"{value}_total").astype("float64")
        frame[f"{value}_total"] = total
        frame[f"{value}_mean"] = total / frame["members"].where(frame["members"] > 0)
        frame[f"{value}_share"] = total / total.sum() if total.sum() else math.nan
    return TierSizes(frame, n, confidence)


def _size_text(row: pd.Series) -> str:
    shown = row["tier"] if row["tier"] == row["display_name"] else f"{row['tier']} ({row['display_name']})"
    share, low, high = (percent(row[c]) for c in ("share", "low", "high"))
    text = "{members:,} ({share}, {low} to {high}) are {tier}"
    return say(text, members=row["members"], share=share, low=low, high=high, tier=shown)
