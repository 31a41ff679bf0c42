"""Contact lists with a hold-out, so that what contacting them was worth can be measured in the next period.

A list is published with pseudonyms only, split in arms that :mod:`helpers.playbook.contact.trial` assigns and
compares.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import ibis
import numpy as np
import pandas as pd

from helpers.checks import check_scalar
from helpers.data.privacy import pseudonymise
from helpers.data.source import as_table
from helpers.errors import BadData, BadParameters
from helpers.playbook.contact.trial import (
    HOLDOUT,
    ListEvaluation,
    assign_arms,
    detectable_difference,
    evaluate_list,
    measurable,
)
from helpers.sentences import percent, quantity, say, with_interval
from helpers.stats.estimate import Estimate, unknown
from helpers.stats.resample import mean_value, value_cells
from helpers.study.frames import materialise, require_columns, require_unique

__all__ = ["ContactList", "ListEvaluation", "ListSet", "contact_list", "evaluate_list", "standard_lists"]

BOUNDS = ("expected_low", "expected_high")
WORST_BASELINE = 0.5  # the share at which a difference of shares is hardest to see


@dataclass(frozen=True)
class ContactList:
    """A list of members to contact, and the members held out from it.

    Attributes
    ----------
    name : str
        Name of the list.
    frame : pandas.DataFrame
        What may be published, highest expected value first: member_id (a pseudonym), tier, arm ("contact" or
        "hold-out"), expected_value. Empty when the list is withheld.
    size, contacted, held_out : int
        Members on the list and in each arm.
    mean_value, total_value : Estimate
        Expected value a member and of the whole list. With bounds of the predictions the interval holds their
        error (see :func:`contact_list`), without them that of the mean over members alone.
    detectable : float
        Smallest difference of shares between the arms that is found with probability `power`; NaN when none is.
    baseline, power : float
        Share of the hold-out assumed to act, and the probability asked for.
    check_on : date or None
        Day on which to compare the arms.
    unit : str
        Unit of the value.
    k_min : int
        Smallest size of a published list.
    without_consent : int
        Members left out because they did not agree to be contacted.
    """

    name: str
    frame: pd.DataFrame
    size: int
    contacted: int
    held_out: int
    mean_value: Estimate
    total_value: Estimate
    detectable: float
    baseline: float
    power: float
    check_on: dt.date | None
    unit: str
    k_min: int
    without_consent: int

    @property
    def withheld(self) -> bool:
        """Whether the list is too small to be published."""
        return self.size < self.k_min

    @property
    def measurable(self) -> bool:
        """Whether the hold-out is large enough to show what contact was worth."""
        return measurable(self.held_out, self.detectable)

    @property
    def sentence(self) -> str:
        """Size, worth and what the hold-out can show, in plain words."""
        if self.withheld:
            return say("List {name}: fewer than {k} members, not published.", name=self.name, k=self.k_min)
        text = say(
            "List {name}: {size:,} members, {contacted:,} to contact and {held:,} held out. A member is expected to "
            "bring {mean} in the next period, all of them {total}.",
            name=self.name,
            size=self.size,
            contacted=self.contacted,
            held=self.held_out,
            mean=with_interval(self.mean_value),
            total=quantity(self.total_value.value, self.unit)
            if self.total_value.known
            else say("an unknown sum"),
        )
        text += " " + self.power_sentence
        if self.without_consent:
            text += " " + say(
                "{n:,} members who did not agree to be contacted are left out.", n=self.without_consent
            )
        return text

    @property
    def power_sentence(self) -> str:
        """What the hold-out can show, and when to look."""
        if not self.measurable:
            return say(
                "The hold-out is too small to measure what contact is worth, so no action rests on it."
            )
        text = say(
            "If {base} act without contact, a difference of {step} percentage points or more will show "
            "({power} power).",
            base=percent(self.baseline, 0),
            step=f"{100 * self.detectable:.1f}",
            power=percent(self.power, 0),
        )
        return (
            text
            if self.check_on is None
            else text + " " + say("Check on {day}.", day=self.check_on.isoformat())
        )


@dataclass(frozen=True)
class ListSet:
    """The standard lists; no member is on two of them.

    Attributes
    ----------
    lists : tuple of ContactList
        protect, nurture, recall and first_order, in this order.
    unlisted : int
        Members on none of them.
    without_p_alive : int
        Members who bought but have no probability of being alive, such as those who bought once; their tier
        alone decides.
    """

    lists: tuple[ContactList, ...]
    unlisted: int
    without_p_alive: int

    def __getitem__(self, name: str) -> ContactList:
        """Return a list by its name."""
        return {each.name: each for each in self.lists}[name]

    @property
    def overview(self) -> pd.DataFrame:
        """One row per list: list, size, contacted, held_out, mean_value, low, high, total_value, unit, detectable,
        baseline, check_on; the numbers of a withheld list are missing."""
        rows = [
            {
                "list": each.name,
                **{name: getattr(each, name) for name in ("size", "contacted", "held_out")},
                "mean_value": each.mean_value.value,
                **{bound: getattr(each.mean_value, bound) for bound in ("low", "high")},
                "total_value": each.total_value.value,
                **{name: getattr(each, name) for name in ("unit", "detectable", "baseline", "check_on")},
            }
            for each in self.lists
        ]
        frame = pd.DataFrame(rows).astype(dict.fromkeys(["size", "contacted", "held_out"], "Int64"))
        hidden = np.array([each.withheld for each in self.lists])
        numbers = [column for column in frame if column not in ("list", "unit", "baseline", "check_on")]
        frame.loc[hidden, numbers] = pd.NA
        return frame

    @property
    def sentence(self) -> str:
        """Sizes of all lists, then each published list in its own words: worth and what its hold-out can show."""
        parts = [
            say("{name} fewer than {k}", name=each.name, k=each.k_min)
            if each.withheld
            else say("{name} {size:,}", name=each.name, size=each.size)
            for each in self.lists
        ]
        text = say("Members to reach: {parts}; no member is on two lists.", parts=", ".join(parts))
        if self.without_p_alive:
            text += " " + say(
                "{n:,} members who bought have no probability of being alive (such as one-time buyers); their tier "
                "alone decides.",
                n=self.without_p_alive,
            )
        return " ".join([text, *(each.sentence for each in self.lists if not each.withheld)])


def _published(frame: pd.DataFrame, arm: pd.Series, salt: str | None) -> pd.DataFrame:
    listed = pd.DataFrame(
        {
            "member_id": pseudonymise(frame["member_id"], salt),
            "tier": frame["tier"],
            "arm": arm,
            # More digits would be a fingerprint by which a pseudonym can be found again elsewhere.
            "expected_value": frame["expected_value"].astype(float).round(2),
        }
    )
    return listed.sort_values(["expected_value", "member_id"], ascending=[False, True], ignore_index=True)


def contact_list(
    members: ibis.Table | pd.DataFrame,
    *,
    name: str,
    expected_value: str = "expected_value",
    tier: str = "tier",
    holdout_share: float = 0.1,
    seed: int = 0,
    salt: str | None = None,
    k_min: int = 10,
    baseline: float | None = None,
    power: float = 0.8,
    as_of: dt.date | None = None,
    check_after_days: int = 30,
    unit: str = "CNY",
    confidence: float = 0.95,
) -> ContactList:
    """Make a contact list of all members of a table, with a random hold-out.

    Parameters
    ----------
    members : ibis.Table or pandas.DataFrame
        One row per member with member_id, `tier` and `expected_value` (of the next period, in `unit`). With a
        column consent only members who agreed to be contacted are listed. With columns expected_low and
        expected_high (bounds of each prediction) the interval of the mean is at least the average low to the
        average high and at least the bootstrap: conservative, as if all predictions erred together.
    name, seed, holdout_share :
        `as_of` and the seed decide who is held out, each with probability `holdout_share` and not by the name: a
        member held out of one list is held out of all lists of that day.
    salt, k_min :
        Salt of the pseudonyms, and smallest size of a list that is published.
    baseline : float, optional
        Share expected to act without contact; 0.5, the hardest case, when not given.

    Raises ``BadData`` when a column is missing, some (not all) values are, or a member has two rows.
    """
    check_scalar(name, "name", type_=str)
    check_scalar(k_min, "k_min", type_=int, ge=1)
    table, refused = _agreed(materialise(as_table(members)), tier, expected_value, f"list {name}")
    frame = table.execute().sort_values("member_id", ignore_index=True)
    arm = assign_arms(frame["member_id"], day=as_of, seed=seed, holdout_share=holdout_share)
    size, held_out = len(frame), int((arm == HOLDOUT).sum())
    base, contacted = WORST_BASELINE if baseline is None else baseline, size - held_out
    mean, total = _worth(frame, f"list {name}", unit, confidence, seed)
    published = _published(frame, arm, salt)
    return ContactList(
        name=name,
        frame=published if size >= k_min else published.iloc[:0],
        size=size,
        contacted=contacted,
        held_out=held_out,
        mean_value=mean,
        total_value=total,
        detectable=detectable_difference(contacted, held_out, base, confidence=confidence, power=power),
        baseline=base,
        power=power,
        check_on=None if as_of is None else as_of + dt.timedelta(days=check_after_days),
        unit=unit,
        k_min=k_min,
        without_consent=refused,
    )


def _agreed(table: ibis.Table, tier: str, expected_value: str, name: str) -> tuple[ibis.Table, int]:
    """Return the members who may be contacted, and how many may not."""
    require_columns(table, ["member_id", tier, expected_value], name)
    require_unique(table, "member_id", name)
    agreed = table
    if "consent" in table.columns:
        agreed = table.filter(table.consent.cast("boolean").fill_null(False))
    refused = int(table.count().execute() - agreed.count().execute())
    chosen = agreed.select(
        member_id=agreed["member_id"].cast("string"),
        tier=agreed[tier].cast("string"),
        expected_value=agreed[expected_value],
        **{bound: agreed[bound].cast("float64") for bound in BOUNDS if bound in agreed.columns},
    )
    return chosen, refused


def _worth(
    frame: pd.DataFrame, name: str, unit: str, confidence: float, seed: int
) -> tuple[Estimate, Estimate]:
    """Return mean and total; unknown for an empty list, and where nobody's value could be predicted."""
    if frame["expected_value"].isna().all():
        return unknown(len(frame), unit, confidence), unknown(len(frame), unit, confidence)
    cells = value_cells(frame, "expected_value")
    mean = mean_value(cells, unit=unit, confidence=confidence, draws=1000, seed=seed).estimate
    if set(BOUNDS) <= set(frame.columns):
        absent = int(frame[list(BOUNDS)].isna().any(axis=1).sum())
        if absent:
            raise BadData(f"{name}: {' or '.join(BOUNDS)} missing in {absent} of {len(frame)} rows.")
        low, high = (float(frame[bound].mean()) for bound in BOUNDS)
        low, high = np.fmin(mean.low, low), np.fmax(mean.high, high)
        mean = mean._replace(low=float(low), high=float(high), method="prediction bounds, at least bootstrap")
    bounds = {bound: getattr(mean, bound) * mean.n for bound in ("value", "low", "high")}
    return mean, mean._replace(**bounds)


def standard_lists(
    members: ibis.Table | pd.DataFrame,
    *,
    order: Sequence[str],
    expected_value: str = "expected_value",
    past_value: str = "past_value",
    p_alive: str = "p_alive",
    tier: str = "tier",
    alive: float = 0.5,
    baselines: Mapping[str, float] | None = None,
    **settings: Any,
) -> ListSet:
    """Make the standard lists from tier, probability of being alive and expected value.

    * recall: bought and is now in the lowest tier or probably gone (P(alive) below `alive`);
    * protect: bought, probably alive, in the highest tier;
    * nurture: bought, probably alive, in the tier below the highest;
    * first_order: never bought, and above the lowest tier.

    A member without a probability of being alive counts as alive.

    Parameters
    ----------
    members : ibis.Table or pandas.DataFrame
        One row per member with member_id and the named columns; `p_alive` may be missing (null) for members
        whom no purchase model can judge. `past_value` is over all history. A column bought (boolean) says who has
        an order, even one that was refunded; without it, who has `past_value` above 0.
    order : sequence of str
        Tiers from low to high.
    alive : float
        Probability from which a member counts as alive.
    baselines : mapping of str to float, optional
        Share expected to act without contact, by list.
    **settings :
        Further arguments of :func:`contact_list`.
    """
    check_scalar(alive, "alive", type_=(int, float), gt=0, lt=1)
    if len(order) < 2:
        raise BadParameters(f"order == {list(order)!r}, must name at least two tiers, lowest first.")
    table = materialise(as_table(members))
    require_columns(table, ["member_id", tier, expected_value, past_value, p_alive], "members")
    bought = _bought(table, past_value)
    placed = table.mutate(list_name=_standard_rules(table, bought, order, tier, table[p_alive] < alive))
    lists = tuple(
        contact_list(
            placed.filter(placed.list_name == name),
            name=name,
            expected_value=expected_value,
            tier=tier,
            baseline=(baselines or {}).get(name),
            **settings,
        )
        for name in ("protect", "nurture", "recall", "first_order")
    )
    unlisted = placed.filter(placed.list_name == "").count().execute()
    unjudged = table.filter(bought, table[p_alive].isnull()).count().execute()
    return ListSet(lists, int(unlisted), int(unjudged))


def _bought(table: ibis.Table, past_value: str) -> ibis.Value:
    """Return who has bought; by past value when there is no column that says it."""
    if "bought" not in table.columns:
        return table[past_value] > 0
    absent = int(table.filter(table.bought.isnull()).count().execute())
    if absent:
        raise BadData(f"members.bought: missing in {absent} rows; it must be true or false.")
    return table.bought.cast("boolean")


def _standard_rules(
    table: ibis.Table, bought: ibis.Value, order: Sequence[str], tier: str, gone: ibis.Value
) -> ibis.Value:
    lowest, highest = table[tier] == order[0], table[tier] == order[-1]
    rules = [
        (bought & (lowest | gone.fill_null(False)), "recall"),
        (bought & highest, "protect"),
        (~bought & ~lowest, "first_order"),
    ]
    if len(order) > 2:
        rules.append((bought & (table[tier] == order[-2]), "nurture"))
    return ibis.cases(*rules, else_="")
