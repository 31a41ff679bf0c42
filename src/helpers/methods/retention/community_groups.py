"""Groups of a community: how long they live, and where each stands; or that there are none."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import ibis
import pandas as pd

from helpers.data.source import Dataset
from helpers.methods.retention.group_life import GroupLife, group_life
from helpers.methods.retention.group_states import GroupStates, group_states
from helpers.sentences import say
from helpers.study.durations import member_stays
from helpers.study.frames import materialise

GROUP = "group_id"


@dataclass(frozen=True)
class CommunityGroups:
    """Lives and states of the groups of a community.

    Attributes
    ----------
    life : GroupLife
        How long groups live.
    states : GroupStates
        Where each group stands on the last day.
    """

    life: GroupLife
    states: GroupStates

    @property
    def found(self) -> bool:
        """Whether anybody is in a group on record."""
        return not self.states.groups.empty

    @property
    def sentences(self) -> list[str]:
        """Life and states of groups, or that there is no group."""
        if not self.found:
            return [
                say(
                    "No member is in a group on record (members, column group_id): nothing is said of groups."
                )
            ]
        return [self.life.sentence, self.states.sentence]


def community_groups(
    dataset: Dataset,
    activity: ibis.Table | pd.DataFrame,
    *,
    as_of: dt.date | str,
    report_tz: str = "Asia/Shanghai",
    observed_from: dt.date | str | None = None,
    confidence: float = 0.95,
) -> CommunityGroups:
    """Return lives and states of the groups named in the column group_id of members, if there is one.

    Parameters
    ----------
    dataset : Dataset
        With the table members; staff and bots are left out.
    activity : ibis.Table or pandas.DataFrame
        What members did, as :func:`helpers.study.activity.activity` makes it.
    as_of : date or str
        Last complete day.
    report_tz : str
        Time zone of calendar days.
    observed_from : date or str, optional
        First day on record, before which no week is compared.
    confidence : float
        Level of the intervals.
    """
    named = GROUP in dataset["members"].columns
    stays = member_stays(dataset, as_of=as_of, columns=[GROUP] if named else [], report_tz=report_tz)
    members = materialise(stays if named else stays.mutate(**{GROUP: ibis.null("string")}))
    life = group_life(activity, members, as_of=as_of, group=GROUP, confidence=confidence)
    states = group_states(
        activity, members, life, group=GROUP, observed_from=observed_from, confidence=confidence
    )
    return CommunityGroups(life, states)
