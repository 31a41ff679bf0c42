"""States of members by calendar period, as lazy expressions, and the counts that leave the engine.

Only operations that every engine has in the same meaning are used: joins, window functions and grouped
counts. Days are compared as whole numbers, because date differences are not the same everywhere.
"""

from __future__ import annotations

import datetime as dt

import ibis
import pandas as pd
import pyarrow as pa
from ibis import _

from helpers.errors import BadData
from helpers.methods.rfm.scores import REVERSED, SCORE_COLUMNS
from helpers.methods.rfm.tiers import TierScheme
from helpers.study.frames import COUNTS, Count
from helpers.study.values import VALUE_DECIMALS

JOINED = "(joined)"
LEFT = "(left)"
COUNTED = ("frequency", "monetary", "active_days")


def covered(log: ibis.Table) -> tuple[dt.date | None, dt.date | None]:
    """Return the first and the last day of a log, None when it is empty."""
    ends = log.aggregate(first=log.day.min(), last=log.day.max()).to_pandas().iloc[0]
    if pd.isna(ends["first"]):
        return None, None
    return pd.Timestamp(ends["first"]).date(), pd.Timestamp(ends["last"]).date()


def days_of_periods(used: pd.DataFrame, first: dt.date) -> ibis.Table:
    """Return a small table of (day, position, in_window): which days count for which period.

    A day counts towards the window of a period (frequency, monetary), or only towards how recent the last
    activity was: then it belongs to the period it lies in, or to the first one when it lies before all.
    """
    rows: list[tuple[dt.date, int, bool]] = []
    previous = first - dt.timedelta(days=1)
    bounds = zip(used["window_start"], used["end"], strict=True)
    for position, (window_start, end) in enumerate(bounds):
        begin = min(window_start, previous + dt.timedelta(days=1))
        rows += [(day, position, window_start <= day) for day in pd.date_range(begin, end).date]
        previous = end
    frame = pd.DataFrame(rows, columns=["day", "position", "in_window"])
    # Days as whole numbers: date arithmetic differs between engines, subtraction does not.
    number = [day.toordinal() for day in frame["day"]]
    return ibis.memtable(
        pa.table(
            {
                "day": pa.array(frame["day"], pa.date32()),
                "day_number": pa.array(number, pa.int64()),
                "position": pa.array(frame["position"], pa.int64()),
                "in_window": pa.array(frame["in_window"], pa.bool_()),
            }
        )
    )


def _used_table(used: pd.DataFrame) -> ibis.Table:
    return ibis.memtable(
        pa.table(
            {
                "position": pa.array(range(len(used)), pa.int64()),
                "start": pa.array(used["start"], pa.date32()),
                "end": pa.array(used["end"], pa.date32()),
                "end_number": pa.array([day.toordinal() for day in used["end"]], pa.int64()),
            }
        )
    )


def member_states(
    log: ibis.Table,
    members: ibis.Table,
    scheme: TierScheme,
    used: pd.DataFrame,
    days: ibis.Table,
    count: Count,
) -> ibis.Table:
    """Return member_id, position and state, for members who are there at the end of the period.

    A member's rows follow each other without a gap: (joined) at most once, then a tier in every whole period.
    """
    grid = members.select("member_id", "joined_day", "left_day").cross_join(_used_table(used))
    measured = _measured(log, days, count, "active_days" in scheme.uses)
    values = grid.left_join(measured, ["member_id", "position"]).drop("member_id_right", "position_right")
    so_far = ibis.window(group_by="member_id", order_by="position", preceding=None, following=0)
    numbers = {name: values[name].fill_null(0) for name in COUNTED if name in measured.columns}
    values = values.mutate(**numbers, recency_days=values.end_number - values.last_day.max().over(so_far))
    there = values.filter(
        values.joined_day <= values.end, values.left_day.isnull() | (values.left_day > values.end)
    )
    there = _relative(there.mutate(whole=there.joined_day < there.start), scheme)
    state = ibis.cases((there.whole, scheme.expression(there)), else_=JOINED)
    return there.mutate(state=state).select("member_id", "position", "state")


def _measured(log: ibis.Table, days: ibis.Table, count: Count, with_days: bool) -> ibis.Table:
    """Return frequency, monetary, last counted day and, if asked for, active days by member and period."""
    joined = log.inner_join(days, "day")
    counted = joined.kind.isin(COUNTS[count])
    hit = joined.in_window & counted
    joined = joined.mutate(
        hit=ibis.cases((hit, 1), else_=0),
        hit_day=ibis.cases((hit, joined.day_number), else_=ibis.null("int64")),
        counted_day=ibis.cases((counted, joined.day_number), else_=ibis.null("int64")),
        amount=ibis.cases((joined.in_window, joined.value.fill_null(0.0)), else_=0.0),
    )
    extra = {"active_days": _.hit_day.nunique()} if with_days else {}
    return joined.group_by("member_id", "position").aggregate(
        frequency=_.hit.sum().cast("int64"),
        monetary=_.amount.sum().cast("float64").round(VALUE_DECIMALS).cast("float64"),
        last_day=_.counted_day.max(),
        **extra,
    )


def _relative(members: ibis.Table, scheme: TierScheme) -> ibis.Table:
    """Add the columns of the scheme that compare a member with the others present in the same period."""
    known = {*COUNTED, "recency_days", "value_quantile", *SCORE_COLUMNS.values()}
    if strange := sorted(set(scheme.uses) - known):
        raise BadData(
            f"Tier scheme {scheme.name}: a history cannot tell {', '.join(strange)} of a past period."
        )
    peers = ibis.window(group_by=["position", "whole"])
    added: dict[str, ibis.Value] = {}
    if "value_quantile" in scheme.uses:
        below = members.monetary.rank().over(ibis.window(group_by=["position", "whole"], order_by="monetary"))
        added["value_quantile"] = below.cast("float64") / members.count().over(peers).cast("float64")
    for column, score in SCORE_COLUMNS.items():
        if score in scheme.uses:
            added[score] = _score(members, column, scheme.bins)
    return members.mutate(**added)


def _score(members: ibis.Table, column: str, bins: int) -> ibis.Value:
    """Return the tie-safe quantile score of :mod:`helpers.methods.rfm.scores`, within each period."""
    value = members[column]
    group = [members.position, members.whole, value.isnull()]
    below = value.rank().over(ibis.window(group_by=group, order_by=value))
    bin_number = (below * bins // members.count().over(ibis.window(group_by=group))).cast("int64") + 1
    score = bins + 1 - bin_number if column in REVERSED else bin_number
    return ibis.cases((value.isnull(), 1), else_=score)


def counted_moves(states: ibis.Table) -> ibis.Table:
    """Return counts of members by position, state and the two states after it (null when gone or over)."""
    order = ibis.window(group_by="member_id", order_by="position")
    after = {"second": states.state.lead(1).over(order), "third": states.state.lead(2).over(order)}
    keys = ["position", "state", "second", "third"]
    return states.mutate(**after).group_by(keys).aggregate(n=_.count())


def count_passages(states: ibis.Table, labels: tuple[str, ...], n: int) -> pd.DataFrame:
    """Return, by the first tier a member was seen in, the periods until the top tier or the end."""
    tiered = states.filter(states.state != JOINED)
    top = ibis.cases((tiered.state == labels[-1], tiered.position), else_=ibis.null("int64"))
    ends = tiered.mutate(top=top).group_by("member_id").aggregate(begin=_.position.min(), top=_.top.min())
    start = tiered.select("member_id", begin=tiered.position, from_tier=tiered.state)
    each = ends.inner_join(start, ["member_id", "begin"]).filter(_.from_tier != labels[-1])
    each = each.mutate(reached=_.top.notnull(), periods=_.top.fill_null(n - 1) - _.begin)
    counts = each.group_by("from_tier", "periods", "reached").aggregate(members=_.count()).to_pandas()
    counts["from_tier"] = pd.Categorical(counts["from_tier"], labels, ordered=True)
    counts = counts.sort_values(["from_tier", "periods", "reached"], ignore_index=True)
    return counts.astype({"from_tier": object})


def count_outside(members: ibis.Table, used: pd.DataFrame) -> pd.DataFrame:
    """Return why members of the population were present in no whole used period, with counts."""
    if used.empty:
        n = int(members.count().to_pyarrow().as_py())
        return pd.DataFrame({"reason": ["without a complete period"] * bool(n), "members": [n] * bool(n)})
    first, last = used.iloc[0], used.iloc[-1]
    grid = members.select("member_id", "joined_day", "left_day").cross_join(_used_table(used))
    stays = grid.left_day.isnull() | (grid.left_day > grid.end)
    present = ibis.cases(((grid.joined_day < grid.start) & stays, 1), else_=0)
    ever = grid.mutate(present=present).group_by("member_id", "joined_day", "left_day")
    never = ever.aggregate(present=_.present.max()).filter(_.present == 0)
    reason = ibis.cases(
        (never.joined_day.isnull(), "without a joining day"),
        (never.joined_day >= ibis.date(last["start"]), "joined too late"),
        (never.left_day <= ibis.date(first["end"]), "left too early"),
        else_="joined and left in between",
    )
    counts = never.group_by(reason=reason).aggregate(members=_.count()).to_pandas()
    return counts.sort_values("reason", ignore_index=True)
