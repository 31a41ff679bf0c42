"""Where each group stands in its life: incubating, growing, active, silent or folded, by trends that are sure.

Rules, the first that holds; a trend compares the last of the recent weeks with the first (:mod:`.trends`) and counts
only when its whole interval does:

- folded: no member is left, or nobody was active for `folded_days`;
- incubating: founded within the recent weeks, and not silent again (such a group has no weeks to compare yet);
- silent: fewer than `minimum_active` members active within the days of :mod:`.group_life`, or falling silent: posters
  surely more than halved, or surely fewer posters, surely fewer members and surely more exits;
- growing: surely more members or surely more posters, and none of the three surely worse;
- active: posters surely neither halved nor doubled;
- not clear: anything else. Few members or jumping counts end here, and not in a state by chance.

Members are judged by joins against exits of the recent weeks (exact binomial), posters by the members who posted,
commented or replied each week (all active members where none of these is on record), exits by those a week out of
the members present when it began. Weeks end on `as_of` and lie inside the record.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field

import ibis
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from helpers.data import privacy
from helpers.data.source import as_table
from helpers.methods.retention.group_life import MINIMUM_GROUPS, GroupLife
from helpers.methods.retention.trends import FEWEST_WEEKS, Trends, weekly_trends
from helpers.sentences import say
from helpers.stats.estimate import Estimate, proportion, unknown
from helpers.study.days import checked, checked_confidence, day_number, number_of
from helpers.study.frames import as_day, require_columns

STATES = ("incubating", "growing", "active", "silent", "folded", "not clear")
POSTS = ("post", "comment", "reply")
K_MIN = 10
HALVED, DOUBLED = 0.5, 2.0

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class GroupStates:
    """States of groups on a day.

    Attributes
    ----------
    groups : pandas.DataFrame
        One row per group: group, state, members (present), active (within the days of the life), idle_days (since
        somebody was active), joins, exits (in the recent weeks), posters_change, posters_low, posters_high,
        exits_change, exits_low, exits_high (last recent week over the first; missing with too little data).
    weeks : int
        Recent weeks compared.
    acts : str
        Whose weekly number is the trend of posters: ``"posters"`` or ``"active members"``.
    confidence : float
        Level of each interval; groups are judged one by one.
    """

    groups: pd.DataFrame = field(repr=False)
    weeks: int
    acts: str
    confidence: float

    def by_state(self, k_min: int = 10) -> pd.DataFrame:
        """Return state, groups, members (present) of each state; those of fewer than `k_min` members kept back."""
        found = self.groups.groupby("state").agg(groups=("group", "size"), members=("members", "sum"))
        found = found.reindex(list(STATES), fill_value=0).rename_axis("state").reset_index()
        return privacy.suppress(found, "members", k_min)

    @property
    def silent_share(self) -> Estimate:
        """Share of groups with members that are silent or folded; missing with fewer than ten such groups."""
        there = self.groups[self.groups["members"] > 0]
        if len(there) < MINIMUM_GROUPS:
            return unknown(len(there), "share", self.confidence)
        return proportion(int(there["state"].isin(["silent", "folded"]).sum()), len(there), self.confidence)

    @property
    def sentence(self) -> str:
        """How many groups are in each state, and how sure that is."""
        if self.groups.empty:
            return say("No member is in a group on record, so there are no states of groups.")
        shown = self.by_state(K_MIN).set_index("state")["groups"].dropna()
        parts = ", ".join(f"{int(count):,} {say(str(state))}" for state, count in shown.items())
        text = say("Of {n:,} groups, {parts}", n=len(self.groups), parts=parts or "–")
        if len(shown) < len(STATES):
            text += " " + say("(states of fewer than {k} members are kept back)", k=K_MIN)
        text += ". " + say(
            "Not clear: the trends of members, {acts} and exits over {weeks} weeks leave it open; a trend counts "
            "only when its whole {level:.0f} % interval does, each group by itself.",
            acts=say(self.acts), weeks=self.weeks, level=100 * self.confidence,
        )  # fmt: skip
        if self.silent_share.known:
            return text
        return text + " " + say("Too few groups for a share of silent ones.")


def group_states(
    activity: ibis.Table | pd.DataFrame,
    members: ibis.Table | pd.DataFrame,
    life: GroupLife,
    *,
    group: str = "group_id",
    observed_from: dt.date | str | None = None,
    weeks: int = 12,
    folded_days: int = 91,
    confidence: float = 0.95,
) -> GroupStates:
    """Return the state of every group on the last day of `life`.

    Parameters
    ----------
    activity : ibis.Table or pandas.DataFrame
        member_id, day, and action where posts are told from other actions.
    members : ibis.Table or pandas.DataFrame
        member_id, joined_day, left_day (missing while a member) and the column `group`, such as
        :func:`helpers.study.durations.member_stays` with ``columns=["group_id"]``.
    life : GroupLife
        Lives of the same groups: what active means, and the last day.
    group : str
        Column that names the group.
    observed_from : date or str, optional
        First day on record; weeks before are not compared.
    weeks : int
        Recent weeks to compare; with fewer than 6 on record no trend is known.
    folded_days : int
        Days without anybody active that fold a group.
    confidence : float
        Level of the intervals.

    Raises
    ------
    BadData
        When a column is missing.
    """
    checked(weeks, "weeks", type_=int, ge=FEWEST_WEEKS)
    checked(folded_days, "folded_days", type_=int, ge=life.window_days)
    level, last = checked_confidence(confidence), number_of(life.as_of)
    if observed_from is not None:
        weeks = min(weeks, max(last + 1 - number_of(as_day(observed_from, "observed_from")), 0) // 7)
    people = _people(members, group, last)
    acts = _acts(activity, last).inner_join(people.select("member_id", "group"), "member_id")
    found = _standing(people, acts, life, last)
    series, posting = _weekly(people, acts, found["group"], last, weeks)
    trends = {
        "posters": weekly_trends(series["posters"], confidence=level),
        "exits": weekly_trends(series["exits"], series["present"], confidence=level),
    }
    found = found.assign(joins=series["joins"].sum(axis=1), exits=series["exits"].sum(axis=1))
    for name, trend in trends.items():
        found = found.assign(
            **{f"{name}_change": trend.change, f"{name}_low": trend.low, f"{name}_high": trend.high}
        )
    grows, shrinks = _growth(found["joins"].to_numpy(), found["exits"].to_numpy(), level)
    state = _states(found, trends, grows, shrinks, life.minimum_active, weeks, folded_days)
    found.insert(1, "state", state)
    return GroupStates(
        found.drop(columns=["age_days", "came_alive"]),
        weeks,
        "posters" if posting else "active members",
        level,
    )


def _people(members: ibis.Table | pd.DataFrame, group: str, last: int) -> ibis.Table:
    """Return member_id, group, joined, left (day numbers, left missing while a member) of members in groups."""
    table = as_table(members)
    needed = ("member_id", "joined_day", "left_day", group)
    require_columns(table, needed, "members")
    left = day_number(table.left_day.cast("date"))
    found = table.filter(table[group].notnull()).select(
        member_id=table.member_id.cast("string"), group=table[group].cast("string"),
        joined=day_number(table.joined_day.cast("date")), left=ibis.cases((left <= last, left)),
    )  # fmt: skip
    return found.filter(found.joined <= last)


def _acts(activity: ibis.Table | pd.DataFrame, last: int) -> ibis.Table:
    """Return member_id, at (day number) and posting (a flag) of what was done by the last day."""
    table = as_table(activity)
    require_columns(table, ("member_id", "day"), "activity")
    posting = table.action.isin(POSTS) if "action" in table.columns else ibis.literal(False)
    found = table.select(
        member_id=table.member_id.cast("string"), at=day_number(table.day.cast("date")), posting=posting
    )
    return found.filter(found["at"] <= last)


def _standing(people: ibis.Table, acts: ibis.Table, life: GroupLife, last: int) -> pd.DataFrame:
    """Return group, members, active, idle_days, age_days, came_alive of every group, in order."""
    recent = acts.filter(acts["at"] > last - life.window_days)
    active = recent.group_by("group").agg(active=recent.member_id.nunique())
    ever = acts.group_by("group").agg(latest=acts["at"].max())
    there = people.group_by("group").agg(members=people["left"].isnull().sum(), founded=people.joined.min())
    found = there.to_pandas()
    for more in (active, ever):
        found = found.merge(more.to_pandas(), on="group", how="left")
    found = found.sort_values("group", ignore_index=True)
    latest = found["latest"].fillna(found["founded"])
    return pd.DataFrame(
        {
            "group": found["group"],
            "members": found["members"].fillna(0).astype("int64"),
            "active": found["active"].fillna(0).astype("int64"),
            "idle_days": (last - latest).astype("int64"),
            "age_days": (last - found["founded"]).astype("int64"),
            "came_alive": found["group"].isin(life.groups["group"]),
        }
    )


def _weekly(
    people: ibis.Table, acts: ibis.Table, groups: pd.Series, last: int, weeks: int
) -> tuple[dict[str, NDArray[np.int64]], bool]:
    """Return counts of groups by week, and whether posts are told from other acts: else posters are all who act.

    The counts are joins, exits, present (when the week begins) and posters.
    """
    begin = last + 1 - 7 * weeks

    def table(rows: ibis.Table, day: str, number: ibis.Value) -> NDArray[np.int64]:
        inside = rows.filter(rows[day] >= begin)
        keyed = inside.mutate(week=((inside[day] - begin) / 7).floor().cast("int64"))
        found = keyed.group_by(["group", "week"]).agg(n=number(keyed)).to_pandas()
        made = np.zeros((len(groups), weeks), "int64")
        place = pd.Index(groups).get_indexer(found["group"])
        made[place, found["week"].to_numpy("int64")] = found["n"].to_numpy("int64")
        return made

    joins = table(people, "joined", lambda rows: rows.count())
    exits = table(people.filter(people["left"].notnull()), "left", lambda rows: rows.count())
    before = people.filter(people.joined < begin, people["left"].isnull() | (people["left"] >= begin))
    there = before.group_by("group").agg(n=before.count()).to_pandas().set_index("group")["n"]
    start = there.reindex(groups).fillna(0).to_numpy("int64")[:, None]
    present = start + np.cumsum(joins - exits, axis=1) - (joins - exits)
    posters = table(acts.filter(acts.posting), "at", lambda rows: rows.member_id.nunique())
    posting = bool(posters.any())
    posters = posters if posting else table(acts, "at", lambda rows: rows.member_id.nunique())
    return {"joins": joins, "exits": exits, "present": present, "posters": posters}, posting


def _growth(
    joins: FloatArray, exits: FloatArray, level: float
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return whether members surely grew and surely shrank: Clopper–Pearson limits of joins among joins and exits."""
    tail = (1 - level) / 2
    grows = stats.binom.sf(joins - 1, joins + exits, 0.5) < tail
    return grows, stats.binom.cdf(joins, joins + exits, 0.5) < tail


def _states(
    found: pd.DataFrame,
    trends: Mapping[str, Trends],
    grows: NDArray[np.bool_],
    shrinks: NDArray[np.bool_],
    minimum_active: int,
    weeks: int,
    folded_days: int,
) -> NDArray[np.object_]:
    """Return the state of each group by the rules above."""
    posters, exits = trends["posters"], trends["exits"]
    fewer, more, bleeding = posters.high < 1, posters.low > 1, exits.low > 1
    quiet = (found["active"] < minimum_active).to_numpy()
    young = (found["age_days"] < 7 * weeks).to_numpy() & ~(quiet & found["came_alive"].to_numpy())
    rules = {
        "folded": ((found["members"] == 0) | (found["idle_days"] >= folded_days)).to_numpy(),
        "incubating": young,
        "silent": quiet | (posters.high < HALVED) | (fewer & shrinks & bleeding),
        "growing": (grows | more) & ~(shrinks | fewer | bleeding),
        "active": (posters.low > HALVED) & (posters.high < DOUBLED),
    }
    return np.select(list(rules.values()), list(rules), default=STATES[-1]).astype(object)
