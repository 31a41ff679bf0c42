"""The day of tenure on which a member had done something so many times: the simplest tier that is reached late."""

from __future__ import annotations

import ibis
import pandas as pd

from helpers.data.source import as_table
from helpers.study.days import checked
from helpers.study.frames import COUNTS, Count, with_days


def add_reached_day(
    durations: ibis.Table | pd.DataFrame,
    activity: ibis.Table | pd.DataFrame,
    *,
    actions: int = 10,
    count: Count = "interaction",
) -> ibis.Table:
    """Add the tenure day of the n-th counted action, missing for members who never had so many.

    Parameters
    ----------
    durations : ibis.Table or pandas.DataFrame
        member_id, joined_day, as made by :func:`helpers.study.durations.exit_durations`.
    activity : ibis.Table or pandas.DataFrame
        member_id, ts, day, kind.
    actions : int
        The n.
    count : {"interaction", "order", "all"}
        Which actions count.

    Returns
    -------
    ibis.Table
        The durations with reached_day (int).
    """
    checked(actions, "actions", type_=int, ge=1)
    table, rows = as_table(durations), with_days(activity, "day")
    rows = rows.filter(rows.kind.isin(COUNTS[count]))
    place = ibis.row_number().over(ibis.window(group_by="member_id", order_by=["ts", "day"]))
    numbered = rows.select("member_id", "day", place=place)
    nth = numbered.filter(numbered["place"] == actions - 1).select("member_id", nth_day="day")
    found = table.left_join(nth, "member_id").drop("member_id_right")
    reached = found.nth_day.delta(found.joined_day, unit="day")
    # An action before joining counts on the day of joining; "greatest" would make a day of what never came.
    return found.mutate(reached_day=ibis.cases((reached < 0, 0), else_=reached).cast("int64")).drop("nth_day")
