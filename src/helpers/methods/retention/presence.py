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
from helpers.sentences import part_of, percent, say
from helpers.stats.estimate import wilson
from helpers.study import Study
from helpers.study.days import number_of
from helpers.tables import Table


@dataclass(frozen=True, repr=False)
class Presence(Result):
    """Present members by the time since their last active day.

    Attributes
    ----------
    table : pandas.DataFrame
        who ("active on the day", "active in 7 days", "active in 30 days" or how many make a member silent here,
        "silent", "dormant", "never active"), members, share (of the present), low, high (Wilson).
    present : int
        Members present.
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
        row, k_min = self.table[self.table["who"] == "silent"].iloc[0], self.study.k_min
        silent = self.members("silent")
        told = {name: part_of(self.members(name), silent, k_min) for name in ("dormant", "never active")}
        text = (
            "Of {present:,} members present on {day}, {active:,} were active in the last {d} days and {silent} were "
            "silent ({share}; {low} to {high}): {dormant} dormant, who had been active before, and {never} who never "
            "were."
        )
        active = self.present - silent
        if min(active or k_min, silent) < k_min:
            text = "Of {present:,} members present on {day}, {silent} were silent, that is not active in {d} days."
        shares = {name: percent(row[name]) for name in ("share", "low", "high")}
        days = {"day": self.study.as_of, "d": self.study.silence_days}
        return say(
            text, present=self.present, active=active, silent=part_of(silent, self.present, k_min),
            dormant=told["dormant"], never=told["never active"], **days, **shares,
        )  # fmt: skip

    @property
    def smallest(self) -> int:
        """The members present."""
        return self.present

    def tables(self) -> Iterator[Table]:
        """Yield the members under each name."""
        caption = say("The {n:,} present members under each name", n=self.present)
        shares, k_min = dict.fromkeys(("share", "low", "high"), "share"), self.study.k_min
        # The names overlap, so that a number gives away no other but that of those who do not bear it.
        told = [part_of(n, self.present, k_min) for n in self.table["members"]]
        whole = self.table["members"].map("{:,}".format) == told
        shown = self.table.assign(members=told)
        shown[list(shares)] = shown[list(shares)].where(whole)
        yield Table("presence", shown, caption, shares)


def presence(study: Study) -> Presence:
    """Return the present members by the time since they last did something that counts."""
    last = study.spells.group_by("member_id").agg(last=lambda rows: rows["at"].max())
    each = study.present.select("member_id").left_join(last, "member_id")
    ago = number_of(study.as_of) - each.last
    _one, *longer = windows = sorted({1, 7, study.silence_days})
    sums = {f"active_{days}": (ago < days).sum() for days in windows}
    sums = {name: days.fill_null(0) for name, days in sums.items()}
    found = each.aggregate(present=each.count(), ever=each.last.count(), **sums).to_pandas().iloc[0]
    active, present = int(found[f"active_{study.silence_days}"]), int(found["present"])
    counts = {
        "active on the day": found["active_1"],
        **{say("active in {d} days", d=days): found[f"active_{days}"] for days in longer},
        "silent": present - active,
        "dormant": found["ever"] - active,
        "never active": present - found["ever"],
    }
    table = pd.DataFrame({"who": list(counts), "members": list(counts.values())}).astype({"members": "int64"})
    low, high = wilson(table["members"], present, study.confidence)
    share = table["members"] / present if present else float("nan")
    return Presence(study, table.assign(share=share, low=low, high=high), present)
