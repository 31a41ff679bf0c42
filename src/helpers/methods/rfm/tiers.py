"""One tier engine: a ladder of rules gives every member exactly one tier.

A :class:`TierScheme` is read from a preset, a YAML file or a mapping. Its rules are asked from the highest tier down,
the first that fits wins, so no member is in two tiers. That none is without one, and that every tier can be reached,
is checked when the scheme is read. Presets and the origin of their cuts stand in ``tiers.yml``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cache, cached_property, reduce
from importlib import resources
from itertools import product
from operator import and_, or_
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import ibis
import numpy as np
import pandas as pd
import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from helpers.checks import did_you_mean
from helpers.data.source import as_table
from helpers.errors import BadData, BadParameters
from helpers.methods.rfm.scores import COUNTED, SCORE_COLUMNS
from helpers.sentences import in_chinese, say
from helpers.study import Study
from helpers.study.frames import materialise, require_columns

MONTH = 30
"""Days up to which members are taken to act often enough for interactions a month."""


class Range(NamedTuple):
    """The half-open range ``low <= value < high``."""

    low: float = -math.inf
    high: float = math.inf

    def holds(self, column: Any) -> Any:
        """Return whether values of a column lie in the range; of the engine or of pandas, as the column is.

        Of a missing value an engine answers null, which a case takes for no.
        """
        # Whole bounds for whole numbers: an engine would convert every row to compare it with a fraction.
        low, high = (int(b) if float(b).is_integer() else b for b in (self.low, self.high))
        sides = [column >= low] * math.isfinite(low) + [column < high] * math.isfinite(high)
        return reduce(and_, sides) if sides else column.notnull()

    def __str__(self) -> str:
        """Return the range as a reader would write it."""
        text = f"in [{self.low:g}, {self.high:g})"
        if math.isinf(self.high):
            text = f">= {self.low:g}" if math.isfinite(self.low) else "any number"
        elif math.isinf(self.low):
            text = f"< {self.high:g}"
        return text


def _range(given: Any) -> Range:
    """Read ``[low, high]``."""
    numbers = isinstance(given, list | tuple) and [b is None or type(b) in (int, float) for b in given]
    if numbers != [True, True]:
        raise ValueError(f"{given!r} must be [low, high], numbers or null for no bound")
    low, high = (end if b is None else float(b) for b, end in zip(given, (-math.inf, math.inf), strict=True))
    if not low < high:
        raise ValueError(f"[{low:g}, {high:g}] holds nothing; low must be below high")
    return Range(low, high)


def _rules(when: Any) -> Any:
    return when if isinstance(when, list) else [when]


Rule = dict[str, Annotated[Range, BeforeValidator(_range)]]
"""A range for some columns; a member fits when all their values lie in them."""


class Column(NamedTuple):
    """The values that a column can take at all: ``minimum <= value < below``, or missing when `nullable`."""

    minimum: float = -math.inf
    below: float = math.inf
    integer: bool = False
    nullable: bool = False

    @property
    def everything(self) -> Range:
        """All possible numbers as one range."""
        return Range(self.minimum, self.below)


COLUMNS = {
    "recency_days": Column(minimum=0, integer=True, nullable=True),
    "frequency": Column(minimum=0, integer=True),
    "active_days": Column(minimum=0, integer=True),
    "monetary": Column(),
    "value_quantile": Column(minimum=0, below=1),
}


class Tier(BaseModel):
    """A tier with the rules of which one must fit."""

    model_config = ConfigDict(extra="forbid", frozen=True, coerce_numbers_to_str=True)
    id: str
    name: str = ""
    when: Annotated[list[Rule], BeforeValidator(_rules)]

    def fits(self, columns: Any) -> Any:
        """Return whether a rule fits, from what stands for each column's name; True when it always does."""
        rules = [[side.holds(columns[name]) for name, side in rule.items()] for rule in self.when]
        return True if [] in rules else reduce(or_, (reduce(and_, sides) for sides in rules))


class TierScheme(BaseModel):
    """Ordered tiers and the rules that give every member exactly one.

    Attributes
    ----------
    name, title : str
        Short name and what the scheme says.
    tiers : tuple of Tier
        From low to high.
    match : {"exact", "first"}
        Whether rules of different tiers must not overlap, or the highest that fits is meant to win.
    window_days : int or None
        Window the cuts are meant for.
    why : str
        Why it was chosen, where nobody named it.
    bins : int
        Highest score the rules expect.
    provenance : dict
        Where structure and cuts come from.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    name: str
    title: str = ""
    provenance: dict[str, str] = {}
    window_days: int | None = Field(None, ge=1)
    why: str = ""
    bins: int = Field(5, ge=2, le=100)
    match: Literal["exact", "first"] = "exact"
    tiers: Annotated[tuple[Tier, ...], Field(min_length=2)]

    @classmethod
    def load(cls, source: str | Path | Mapping[str, Any]) -> TierScheme:
        """Return a scheme from the name of a preset, the path of a YAML file or a mapping.

        Raises
        ------
        BadParameters
            When the scheme is unknown or malformed, when a member could fit no tier or (unless the first match is
            meant to win) two, or when a tier can never be reached; the message names an example.
        """
        definition = _definition(source)
        try:
            return cls.model_validate(definition)
        except ValidationError as error:
            first = error.errors()[0]
            place, text = ".".join(map(str, first["loc"])), first["msg"].removeprefix("Value error, ")
            if first["type"] == "extra_forbidden":
                keys = [key for model in (cls, Tier) for key in model.model_fields]
                text = f"unknown key.{did_you_mean(str(first['loc'][-1]), keys)}"
            where = f"{definition['name']}, {place}" if place else definition["name"]
            raise BadParameters(say("Tier scheme {where}: {text}", where=where, text=text)) from None

    @model_validator(mode="after")
    def _everybody_is_in_one_tier(self) -> TierScheme:
        """Raise unless every possible member is in one tier and each tier can be reached.

        No rule changes its answer between two neighbouring bounds, so one value from each stretch between them,
        combined over the columns, stands for all members there can be.
        """
        if len(set(self.labels)) < len(self.labels):
            raise ValueError(f"tier ids {', '.join(self.labels)} are not unique")
        members = list(product(*(self._values(column) for column in self.uses)))
        points = pd.DataFrame(members, columns=list(self.uses), dtype=float)
        fits = np.array([np.broadcast_to(tier.fits(points), len(points)) for tier in self.tiers])
        several = (fits.sum(axis=0) > 1) & (self.match == "exact")
        for wrong, text in ((several, "overlap"), (~fits.any(axis=0), "leave a gap")):
            if wrong.any():
                point = points[wrong].iloc[0]
                where = " and ".join(
                    f"{c} {'missing' if pd.isna(v) else f'= {v:g}'}" for c, v in point.items()
                )
                owners = " and ".join(
                    repr(self.labels[rank]) for rank in np.flatnonzero(fits[:, wrong][:, 0])
                )
                raise ValueError(f"the rules {owners and f'of {owners} '}{text} where {where}")
        highest = len(fits) - 1 - fits[::-1].argmax(axis=0)
        for rank in set(range(len(fits))) - set(highest):
            raise ValueError(f"no member can ever be {self.labels[rank]!r}; mend its rule")
        return self

    def _values(self, column: str) -> list[float]:
        """Return one value from each stretch between the bounds of a column, and missing if it can be."""
        domain = self.domains[column]
        given = {bound for _, name, side in self._sides() if name == column for bound in side[:2]}
        bounds = {bound for bound in given if domain.minimum < bound < domain.below}
        start = domain.minimum if math.isfinite(domain.minimum) else min([*bounds, domain.below]) - 1
        return [start, *sorted(bounds), *[math.nan] * domain.nullable]

    def _sides(self) -> list[tuple[str, str, Range]]:
        return [(t.id, column, side) for t in self.tiers for rule in t.when for column, side in rule.items()]

    @cached_property
    def domains(self) -> dict[str, Column]:
        """Possible values of the columns in the rules."""
        score = Column(minimum=1, below=self.bins + 1, integer=True)
        known = {**COLUMNS, **dict.fromkeys(SCORE_COLUMNS.values(), score)}
        for tier, column, side in self._sides():
            if column not in known:
                raise ValueError(
                    f"column {column!r} of tier {tier} is not one of {', '.join(known)}."
                    f"{did_you_mean(column, known)}"
                )
            if known[column].integer and not all(math.isinf(b) or b.is_integer() for b in side[:2]):
                raise ValueError(f"{column} {side} of tier {tier} needs whole-number bounds")
        return {column: known[column] for _, column, _ in self._sides()}

    @property
    def uses(self) -> tuple[str, ...]:
        """Columns that the rules look at, in alphabetical order."""
        return tuple(sorted(self.domains))

    @property
    def labels(self) -> tuple[str, ...]:
        """Tier ids from low to high, as written in the tier column."""
        return tuple(tier.id for tier in self.tiers)

    @property
    def names(self) -> list[str]:
        """Each tier's id with the name it goes by, when that says more."""
        names = [(tier.id, tier.name) for tier in self.tiers]
        both = "{name}" if in_chinese() else "{id} {name}"
        return [both.format(id=each, name=name) if name not in ("", each) else each for each, name in names]

    def rules_table(self) -> pd.DataFrame:
        """Return the rules in words: rank (1 lowest), tier, display_name, rule; the highest tier that fits wins."""
        rows = []
        for rank, tier in enumerate(self.tiers, start=1):
            rules = [" and ".join(f"{c} {side}" for c, side in rule.items()) for rule in tier.when]
            text = "; or ".join(rule or say("everyone else") for rule in rules)
            rows.append((rank, tier.id, tier.name or tier.id, text))
        return pd.DataFrame(rows, columns=["rank", "tier", "display_name", "rule"])

    def expression(self, columns: ibis.Table | Mapping[str, ibis.Value]) -> ibis.ir.StringValue:
        """Return the tier as one case expression, from what stands for each name in :attr:`uses`."""
        return ibis.cases(*((tier.fits(columns), tier.id) for tier in self.tiers[::-1]))

    def assign(self, table: ibis.Table | pd.DataFrame) -> ibis.Table:
        """Return the table with a column ``tier``; every row gets exactly one.

        Parameters
        ----------
        table : ibis.Table or pandas.DataFrame
            One row per member with the columns of the rules. ``value_quantile`` (share of members with a
            strictly lower ``monetary``) is added when the rules need it and it is not there.

        Raises
        ------
        BadData
            When a column is missing or holds a value that it cannot have, such as a negative count.
        """
        members = as_table(table)
        if "value_quantile" in set(self.uses) - set(members.columns) and "monetary" in members.columns:
            members = members.mutate(value_quantile=value_quantile(members.monetary))
        require_columns(members, self.uses, f"Members of tier scheme {self.name}")
        members = materialise(members)
        domains = self.domains.items()
        bad = {c: ~domain.everything.holds(members[c]).fill_null(domain.nullable) for c, domain in domains}
        counts = members.aggregate(**{c: members.count(where=wrong) for c, wrong in bad.items()}).to_pandas()
        for column in bad:
            if count := int(counts[column].iloc[0]):
                raise BadData(
                    say(
                        "Tier scheme {name}: column {column} of {count:,} members is not {everything}.",
                        name=self.name,
                        column=column,
                        count=count,
                        everything=self.domains[column].everything,
                    )
                )
        return members.mutate(tier=self.expression(members))


def tier_scheme(study: Study, source: str | Path | Mapping[str, Any] = "auto") -> TierScheme:
    """Return a scheme as :meth:`TierScheme.load` does; ``"auto"`` is what suits what counts and its rhythm."""
    if source != "auto":
        return TierScheme.load(source)
    days, what = study.silence_days, say(COUNTED[study.count])
    if study.count != "order" and days <= MONTH:
        text = "Tiers count {what} in {days} days, as {what} count here and members act often enough."
        return TierScheme.load("monthly_interactions").model_copy(
            update={"why": say(text, what=what, days=MONTH)}
        )
    text = "Tiers count {what} in {days} days, the days after which a member counts as silent here."
    title = say("Silent, potential, active and core members by {what} in {days} days", what=what, days=days)
    update = {"window_days": days, "title": title, "why": say(text, what=what, days=days)}
    return TierScheme.load("rhythm").model_copy(update=update)


def _definition(source: str | Path | Mapping[str, Any]) -> dict[str, Any]:
    """Return what a scheme is made of, with its name."""
    if isinstance(source, Mapping):
        return {"name": "custom", **source}
    path = Path(source)
    if path.suffix in {".yml", ".yaml"}:
        if not path.is_file():
            raise BadParameters(say("Tier scheme file {path} does not exist.", path=path))
        definition = yaml.safe_load(path.read_text(encoding="utf-8"))
        if not isinstance(definition, Mapping):
            raise BadParameters(
                say("Tier scheme file {path} must hold one mapping with the key tiers.", path=path)
            )
        return {"name": path.stem, **definition}
    known = presets()
    if source not in known:
        raise BadParameters(
            say(
                "Tier scheme {source!r} is not one of {known} nor the path of a .yml file.{near}",
                source=source,
                known=", ".join(known),
                near=did_you_mean(str(source), known),
            )
        )
    return {"name": source, **known[str(source)]}


@cache
def presets() -> dict[str, Any]:
    """Return the definitions of all presets by name."""
    text = (resources.files("helpers.methods.rfm") / "tiers.yml").read_text(encoding="utf-8")
    return yaml.safe_load(text)


def value_quantile(
    monetary: ibis.ir.NumericColumn, within: Sequence[ibis.Value] = ()
) -> ibis.ir.FloatingColumn:
    """Return the share of members whose value is strictly lower: equals get the same, 0 at the lowest.

    Parameters
    ----------
    monetary : ibis column
        Value, one row per member, or per member and group.
    within : sequence of ibis column
        Columns of the same table that split the rows into groups, such as periods.
    """
    groups = list(within)
    below = ibis.rank().over(group_by=groups, order_by=monetary)
    return below.cast("float64") / monetary.count().over(group_by=groups).cast("float64")
