"""Who is here: the present members by how long ago they last did something that counts.

The one place where the names for silence meet: active members are all others than silent ones, and the silent are
the dormant (active before) and those who never did anything. Notebooks that speak of silent or active members speak
of these numbers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd

from helpers.playbook.result import Result
from helpers.sentences import percent, say
from helpers.stats.estimate import wilson
from helpers.study import Study
from helpers.study.days import number_of
from helpers.tables import Table

SILENT_DAYS = 30
"""Days without an action that counts after which a present member is silent."""
ACTIVE_DAYS = (1, 7, SILENT_DAYS)


@dataclass(frozen=True, repr=False)
class Presence(Result):
    """Present members by the time since their last active day.

    Attributes
    ----------
    table : pandas.DataFrame
        who ("active on the day", "active in 7 days", "active in 30 days", "silent", "dormant", "never active"),
        members, share (of the present), low, high (Wilson).
    """

    table: pd.DataFrame
    present: int

    def members(self, who: str) -> int:
        """Return how many members bear a name."""
        return int(self.table.loc[self.table["who"] == who, "members"].iloc[0])

    @property
    def sentence(self) -> str:
        """How many are active and how many silent."""
        if not self.present:
            return say("Nobody is present on {day}.", day=self.study.as_of)
        row = self.table[self.table["who"] == "silent"].iloc[0]
        text = (
            "Of {present:,} members present on {day}, {active:,} were active in the last {d} days and {silent:,} "
            "were silent ({share}; {low} to {high}): {dormant:,} dormant, who had been active before, and {never:,} "
            "who never were."
        )
        shares = {name: percent(row[name]) for name in ("share", "low", "high")}
        counts = {name: self.members(name) for name in ("silent", "dormant")}
        counts |= {"active": self.present - counts["silent"], "never": self.members("never active")}
        return say(text, present=self.present, day=self.study.as_of, d=SILENT_DAYS, **counts, **shares)

    @property
    def smallest(self) -> int:
        """The members present."""
        return self.present

    def tables(self) -> Iterator[Table]:
        """Yield the members under each name."""
        caption = say("The {n:,} present members under each name", n=self.present)
        shares = dict.fromkeys(("share", "low", "high"), "share")
        yield Table("presence", self.table, caption, shares, members="members")


def presence(study: Study) -> Presence:
    """Return the present members by the time since they last did something that counts."""
    last = study.spells.group_by("member_id").agg(last=lambda rows: rows["at"].max())
    each = study.present.select("member_id").left_join(last, "member_id")
    ago = number_of(study.as_of) - each.last
    sums = {f"active_{days}": (ago < days).sum() for days in ACTIVE_DAYS}
    sums = {name: days.fill_null(0) for name, days in sums.items()}
    found = each.aggregate(present=each.count(), ever=each.last.count(), **sums).to_pandas().iloc[0]
    active, present = int(found[f"active_{SILENT_DAYS}"]), int(found["present"])
    counts = {
        "active on the day": found["active_1"],
        **{say("active in {d} days", d=days): found[f"active_{days}"] for days in ACTIVE_DAYS[1:]},
        "silent": present - active,
        "dormant": found["ever"] - active,
        "never active": present - found["ever"],
    }
    table = pd.DataFrame({"who": list(counts), "members": list(counts.values())}).astype({"members": "int64"})
    low, high = wilson(table["members"], present, study.confidence)
    share = table["members"] / present if present else float("nan")
    return Presence(study, table.assign(share=share, low=low, high=high), present)
