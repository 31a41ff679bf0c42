"""Which contact lists an action may be aimed at: the same rule for the lists of every method."""

from __future__ import annotations

from collections.abc import Iterable

from helpers.playbook.contact.lists import ContactList
from helpers.playbook.propose import Opportunity


def opportunities(lists: Iterable[ContactList], *, method: str, days: int) -> list[Opportunity]:
    """Return the groups that actions may be aimed at: published, measurable lists without their hold-outs.

    A list whose hold-out cannot show what contact was worth is none, because nobody would ever learn whether the
    action paid. A list whose value is not known stays in, so that the rules can say why they are silent.

    Parameters
    ----------
    lists : iterable of ContactList
        The contact lists.
    method : str
        First half of the key of each group, such as ``"rfm"`` of ``"rfm.recall"``.
    days : int
        Length of the period that the expected values are for.
    """
    return [
        Opportunity(
            key=f"{method}.{each.name}",
            size=each.contacted,
            value=each.mean_value.value,
            low=each.mean_value.low,
            high=each.mean_value.high,
            confidence=each.mean_value.confidence,
            unit=each.unit,
            days=days,
        )
        for each in lists
        if not each.withheld and each.measurable
    ]
