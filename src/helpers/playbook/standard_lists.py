"""The standard contact lists: whom to protect, to nurture, to recall and to win for a first order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import ibis
import numpy as np
import pandas as pd

from helpers.data.privacy import salt_sentence
from helpers.data.source import as_table, pulled
from helpers.playbook.contact.lists import ContactList, contact_list, with_bounds
from helpers.playbook.contact.trial import POWER
from helpers.playbook.result import Part, Result
from helpers.sentences import people, percent, say
from helpers.stats.forecast.value import ValueForecast
from helpers.study import Study
from helpers.study.frames import materialise, require_columns
from helpers.tables import Table

MOST_LISTED = 20_000
NAMES = ("protect", "nurture", "recall", "first_order")
ALIVE = 0.5  # probability from which a member counts as alive


@dataclass(frozen=True, repr=False)
class ListSet(Result):
    """The standard lists; no member is on two of them.

    Attributes
    ----------
    lists : tuple of ContactList
        protect, nurture, recall and first_order, in this order.
    without_p_alive : int
        Members who bought but have no probability of being alive, such as those who bought once; their tier
        alone decides.
    left_out : dict of str to int
        Members who belong on a list, agreed to be contacted, and are not on it, because it has `MOST_LISTED` of
        higher expected value.
    """

    lists: tuple[ContactList, ...]
    without_p_alive: int
    left_out: dict[str, int]

    def __getitem__(self, name: str) -> ContactList:
        """Return a list by its name."""
        return {each.name: each for each in self.lists}[name]

    @property
    def overview(self) -> pd.DataFrame:
        """One row per list: list, size, contacted, held_out, mean_value, low, high, total_value, detectable,
        baseline, check_on; the numbers of a withheld list are missing."""
        rows = [
            {
                "list": each.name,
                **{name: getattr(each, name) for name in ("size", "contacted", "held_out")},
                "mean_value": each.mean_value.value,
                **{bound: getattr(each.mean_value, bound) for bound in ("low", "high")},
                "total_value": each.total_value.value,
                **{name: getattr(each, name) for name in ("detectable", "baseline", "check_on")},
            }
            for each in self.lists
        ]
        frame = pd.DataFrame(rows).astype(dict.fromkeys(["size", "contacted", "held_out"], "Int64"))
        hidden = np.array([each.withheld for each in self.lists])
        numbers = [column for column in frame if column not in ("list", "baseline", "check_on")]
        frame.loc[hidden, numbers] = pd.NA
        return frame

    @property
    def sentence(self) -> str:
        """Sizes of all lists, and whose hold-out can show nothing."""
        k_min, shown = self.study.k_min, [each for each in self.lists if not each.withheld]
        sizes = [
            say("{name} {size}", name=each.name, size=people(each.size, k_min) if each.size else 0)
            for each in self.lists
        ]
        said = [say("Members to reach: {sizes}; no member is on two lists.", sizes=", ".join(sizes))]
        if weak := [each.name for each in shown if not each.measurable]:
            text = (
                "Too few are held out of {names} to measure what contact is worth, so no action rests on it."
            )
            said.append(say(text, names=", ".join(weak)))
        if self.without_p_alive:
            text = "{n} members acted on one day only, so nobody knows whether they come back; their tier decides."
            if self.study.buying == "order":
                text = "{n} members bought once, so nobody knows whether they come back; their tier decides."
            said.append(say(text, n=people(self.without_p_alive, k_min)))
        if left := [say("{name} {n:,}", name=name, n=n) for name, n in self.left_out.items() if n]:
            text = (
                "A list holds at most {most:,} members, those of highest expected value; not listed: {left}."
            )
            said.append(say(text, most=MOST_LISTED, left=", ".join(left)))
        return " ".join(said)

    def parts(self) -> Iterator[Part]:
        """Yield how ids are hidden, the sizes, the table and the lists that are large enough."""
        yield salt_sentence()
        yield self.sentence
        caption = say("Contact lists, {scope}, value in {unit}", scope=self.study.scope, unit=self.study.unit)
        text = (
            "Detectable is the smallest difference between the shares of both arms that shows with {power} power, if "
            "the share of the baseline act without contact."
        )
        units = {"detectable": "share", "baseline": "share"}
        yield Table("lists", self.overview, caption, units, say(text, power=percent(POWER, 0)))
        yield from (each for each in self.lists if not each.withheld)


def standard_lists(
    study: Study,
    members: ibis.Table | pd.DataFrame,
    order: Sequence[str],
    holdout_share: float,
    forecast: ValueForecast,
) -> ListSet:
    """Make the standard lists from tier, probability of being alive and expected value.

    * recall: bought and is now in the lowest tier or probably gone (P(alive) below one half);
    * protect: bought, probably alive, in the highest tier;
    * nurture: bought, probably alive, in the tier below the highest;
    * first_order: never bought, and above the lowest tier.

    A member without a probability of being alive counts as alive. Of more than `MOST_LISTED` members of one kind
    those of highest expected value are listed, among those who agreed to be contacted.

    Parameters
    ----------
    study, holdout_share
        As in :func:`~helpers.playbook.contact.lists.contact_list`.
    members : ibis.Table or pandas.DataFrame
        As there, with bought (whether there is an order on record, even one that was refunded) and p_alive, which
        may be missing for members whom no purchase model can judge.
    order : sequence of str
        Tiers from low to high, at least two.
    forecast : ValueForecast
        What the expected values come from, over how many days, and how far such forecasts erred.
    """
    require_columns(members, ["tier", "bought", "p_alive"], "members")
    table = as_table(members)
    bought, lowest = table.bought.cast("boolean"), table.tier == order[0]
    rules = {
        "recall": bought & (lowest | (table.p_alive < ALIVE).fill_null(False)),
        "protect": bought & (table.tier == order[-1]),
        "first_order": ~bought & ~lowest,
        "nurture": bought & (table.tier == order[-2]) & (len(order) > 2),
    }
    table = materialise(table.mutate(listed=ibis.cases(*((holds, name) for name, holds in rules.items()))))
    yes = ibis.literal(True)
    agreed = table.consent.cast("boolean").fill_null(False) if "consent" in table.columns else yes
    first = [ibis.desc(agreed), ibis.desc("expected_value"), "member_id"]
    sizes = pulled(table.group_by("listed").agg(n=table.count(), agreed=table.count(where=agreed)))
    sizes = sizes.set_index("listed")
    lists, left = [], {}
    for name in NAMES:
        rows = pulled(table.filter(table.listed == name).order_by(first).limit(MOST_LISTED))
        n, may = (int(sizes[column].get(name, 0)) for column in ("n", "agreed"))
        left[name] = max(may - MOST_LISTED, 0)
        rows = with_bounds(rows, forecast.spread)
        days = forecast.horizon_days
        made = contact_list(study, rows, name=name, holdout_share=holdout_share, days=days)
        lists.append(replace(made, without_consent=n - may))  # of all, not of those pulled
    alone = table.count(where=table.bought.cast("boolean") & table.p_alive.isnull())
    return ListSet(study, tuple(lists), int(alone.execute()), left)
