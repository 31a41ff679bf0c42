"""Which characteristics of members may drive leaving, made comparable inside the engine.

Only what is known when somebody joins is looked at unless other columns are named: a column that is filled later
(a badge, a consent that leavers take back) is had by those who stay, and would look like the reason why they do.
Nothing can check that for a named column, so it comes with a caution.

How columns become levels is told in :mod:`helpers.methods.retention.covariate_levels`; what cannot be used is left
out, with the reason.

What members did in their first days is only fair to those who were still there when these days were over: with a
landmark (Anderson, Cain and Gelber 1983) everybody is looked at from that day on, so that nobody can fail to reply
because they had left. Whoever left before is not in that comparison, and how many is said.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

import ibis
import pandas as pd

from helpers.checks import did_you_mean
from helpers.data.contract import INTERACTIONS
from helpers.data.source import Dataset, local_date
from helpers.errors import BadData, BadParameters
from helpers.methods.retention.covariate_levels import INVITED, LevelRules, make_levels
from helpers.methods.retention.first_support import ANSWERED, can_tell, first_post_answered
from helpers.sentences import number, say
from helpers.study.days import EPOCH, checked, day_number, number_of
from helpers.study.durations import (
    EXAMPLES,
    exit_durations,
    impossible_stays,
    member_stays,
)
from helpers.study.frames import as_day, materialise

KNOWN_AT_JOINING = ("source", "platform_home", "age_band", "gender", "region", INVITED)
"""Columns of members that are known when they join; ``invited`` is whether an inviter is on record."""
CONTRIBUTIONS = ("comment", "reply", "post")


@dataclass(frozen=True)
class Candidates:
    """Members with what may drive their leaving.

    Attributes
    ----------
    table : ibis.Table
        member_id, entry_day, tenure_day, exited (bool), and one column per candidate.
    names : tuple of str
        The candidates.
    left_out : pandas.DataFrame
        column, reason.
    notes : tuple of str
        Which levels were pooled, which numbers binned, who could not be looked at.
    members : int
        Members in the table.
    landmark_day : int
        Tenure day from which members are looked at (0: from joining).
    k_min : int
        Fewest members of a level.
    """

    table: ibis.Table
    names: tuple[str, ...]
    left_out: pd.DataFrame
    notes: tuple[str, ...]
    members: int
    landmark_day: int
    k_min: int = 10

    def cells(self, by: Sequence[str] | None = None, *, keys: Sequence[str] = ()) -> pd.DataFrame:
        """Return counts of equal members: the candidates, keys, entry_day, tenure_day, n, events."""
        wanted = [*dict.fromkeys([*(self.names if by is None else by), *keys]), "entry_day", "tenure_day"]
        found = self.table.group_by(wanted).agg(
            n=self.table.count(), events=self.table.exited.cast("int64").sum()
        )
        return found.to_pandas().sort_values(wanted, na_position="last", ignore_index=True)


def candidates(
    dataset: Dataset,
    *,
    as_of: dt.date | str,
    report_tz: str = "Asia/Shanghai",
    columns: Sequence[str] | None = None,
    carry: Sequence[str] = (),
    landmark_day: int = 0,
    observed_from: dt.date | str | None = None,
    max_levels: int = 8,
    least_share: float = 0.01,
    bins: int = 4,
    k_min: int = 10,
) -> Candidates:
    """Return members with their candidates.

    Parameters
    ----------
    dataset : Dataset
        With members; events when there is a landmark.
    as_of : date or str
        Last day observed.
    report_tz : str
        Time zone of calendar days.
    columns : sequence of str, optional
        Columns of members to look at, or ``invited``; by default those of `KNOWN_AT_JOINING` that are there. Any
        other is looked at with a caution.
    carry : sequence of str
        Columns of members to keep as they are, for strata or clusters.
    landmark_day : int
        With 7, what members did on their first 7 days (0 to 6) is added, and only those who joined on record and
        were still members on day 7 are looked at, from then on. Where the tables can tell (:mod:`.first_support`),
        ``early_reply`` is whether their first post was answered.
    observed_from : date or str, optional
        First day on record, before which leaving was not seen; by default that of the first event, else none.
    max_levels : int
        Levels of a text column that are kept; the rest is pooled as "other".
    least_share : float
        Levels with a smaller share of members are pooled too.
    bins : int
        Quantile bins of a number.
    k_min : int
        Levels of fewer members are pooled; a flag that fewer have, or fewer lack, is left out.

    Raises
    ------
    BadParameters
        When a column is unknown or a number out of range.
    BadData
        When a member left before joining.
    """
    dataset.require("members", *(["events"] if landmark_day else []))
    rules = LevelRules(0, max_levels, least_share, bins, k_min)
    _check(dataset, [*(columns or ()), *carry], landmark_day, rules)
    begin = _begin(dataset, report_tz, observed_from)
    looked_at = known_at_joining(dataset) if columns is None else list(columns)
    stays = _stays(dataset, as_day(as_of), report_tz, [*dict.fromkeys([*looked_at, *carry])], begin)
    notes = [*_caution(looked_at), *_who(stays, begin, landmark_day)]
    stays = _inside(stays, begin, landmark_day)
    extra: list[str] = []
    if landmark_day:
        stays, extra = _with_early(dataset, stays, report_tz, landmark_day)
    stays = materialise(stays)
    rules = rules._replace(members=int(stays.count().execute()))
    table, names, left_out, more = make_levels(stays, [*looked_at, *extra], rules)
    kept = ["member_id", "entry_day", "tenure_day", "exited"]
    table = materialise(table.select(*dict.fromkeys([*kept, *carry, *names])))
    out = pd.DataFrame(left_out, columns=["column", "reason"])
    return Candidates(table, tuple(names), out, (*notes, *more), rules.members, landmark_day, k_min)


def known_at_joining(dataset: Dataset) -> list[str]:
    """Return the columns of `KNOWN_AT_JOINING` that the dataset has: what is looked at by default."""
    at_hand = _at_hand(dataset)
    return [name for name in KNOWN_AT_JOINING if name in at_hand]


def _at_hand(dataset: Dataset) -> list[str]:
    """Return the columns of members that may be asked for."""
    columns = list(dataset.members.columns)
    return [*columns, INVITED] if "inviter_id" in columns and INVITED not in columns else columns


def _caution(columns: Sequence[str]) -> list[str]:
    """Say which columns may hold what only came later."""
    later = [name for name in columns if name not in KNOWN_AT_JOINING]
    text = (
        "Caution: nothing says that {names} was known on the day of joining. What only those who stay can get, or "
        "those who leave take back, looks like a reason to stay without being one."
    )
    return [say(text, names=", ".join(later))] if later else []


def _check(dataset: Dataset, columns: Sequence[str], landmark_day: int, rules: LevelRules) -> None:
    checked(landmark_day, "landmark_day", type_=int, ge=0)
    checked(rules.max_levels, "max_levels", type_=int, ge=2)
    checked(rules.bins, "bins", type_=int, ge=2)
    checked(rules.least_share, "least_share", ge=0, lt=1)
    checked(rules.k_min, "k_min", type_=int, ge=1)
    at_hand = _at_hand(dataset)
    for name in columns:
        if name not in at_hand:
            hint = did_you_mean(name, at_hand)
            raise BadParameters(f"table members has no column {name!r}.{hint}")


def _begin(dataset: Dataset, report_tz: str, observed_from: dt.date | str | None) -> dt.date:
    """Return the first day on record."""
    if observed_from is not None:
        return as_day(observed_from, "observed_from")
    if "events" not in dataset:
        return EPOCH - dt.timedelta(days=100_000)
    found = local_date(dataset.events.ts, report_tz).min().execute()
    return EPOCH if pd.isna(found) else pd.Timestamp(found).date()


def _stays(
    dataset: Dataset, end: dt.date, report_tz: str, columns: Sequence[str], begin: dt.date
) -> ibis.Table:
    """Return member_id, joined (day number), entry_day, tenure_day, exited, and columns of members."""
    made = INVITED in columns and INVITED not in dataset.members.columns
    read = ["inviter_id" if made and name == INVITED else name for name in columns]
    people = member_stays(dataset, as_of=end, columns=[*dict.fromkeys(read)], report_tz=report_tz)
    stays = exit_durations(people, as_of=end)
    if made:
        stays = stays.mutate(**{INVITED: stays.inviter_id.notnull()})
    joined = day_number(stays.joined_day)
    impossible = stays.filter((stays.tenure_days < 0) | stays.tenure_days.isnull())
    if count := int(impossible.count().execute()):
        raise BadData(impossible_stays(count, impossible.order_by("member_id").limit(EXAMPLES).to_pandas()))
    return stays.select(
        "member_id",
        *columns,
        joined=joined,
        entry_day=ibis.greatest(ibis.literal(number_of(begin), "int64") - joined, 0),
        tenure_day=stays.tenure_days,
        exited=stays.exited,
    )


def _who(stays: ibis.Table, begin: dt.date, landmark: int) -> list[str]:
    """Say who cannot be looked at, and why."""
    before = stays.tenure_day < stays.entry_day
    older = ~before & (stays.joined < number_of(begin))
    early = ~before & ~older & (stays.tenure_day < landmark)
    flags = {"gone": before, "older": older, "early": early}
    counts = stays.aggregate(**{name: flag.cast("int64").sum().fill_null(0) for name, flag in flags.items()})
    found = counts.to_pandas().iloc[0]
    notes = []
    if found["gone"]:
        text = "{n} members left before the record begins ({day}) and are not looked at."
        notes.append(say(text, n=number(found["gone"]), day=begin))
    if landmark and found["older"]:
        text = "{n} members joined before the record begins, so their first days are unknown: not looked at."
        notes.append(say(text, n=number(found["older"])))
    if landmark and found["early"]:
        text = "{n} members were gone, or had not been members long enough, by day {day}: not in this comparison."
        notes.append(say(text, n=number(found["early"]), day=landmark))
    return notes


def _inside(stays: ibis.Table, begin: dt.date, landmark: int) -> ibis.Table:
    stays = stays.filter(stays.tenure_day >= stays.entry_day)
    if landmark:
        stays = stays.filter(stays.joined >= number_of(begin), stays.tenure_day >= landmark)
        stays = stays.mutate(entry_day=ibis.greatest(stays.entry_day, landmark))
    return stays


def _early(dataset: Dataset, stays: ibis.Table, report_tz: str, landmark: int) -> ibis.Table:
    """Return what each member did before the landmark: counts by event, and the first day of a contribution."""
    events = dataset.events.filter(dataset.events.event.isin(list(INTERACTIONS)))
    rows = events.select(
        key=events.member_id.cast("string"),
        event=events.event,
        at=day_number(local_date(events.ts, report_tz)),
    )
    rows = rows.inner_join(stays.select("member_id", "joined"), rows.key == stays.member_id)
    rows = rows.filter(rows["at"] >= rows.joined, rows["at"] < rows.joined + landmark)
    rows = rows.mutate(after=rows["at"] - rows.joined)
    present = sorted(rows.select("event").distinct().to_pandas()["event"])
    columns = {f"early_{name}": (rows.event == name).any() for name in present if name not in CONTRIBUTIONS}
    return rows.group_by("member_id").agg(
        first_contribution=rows["after"].min(where=rows.event.isin(CONTRIBUTIONS)), **columns
    )


def _with_early(
    dataset: Dataset, stays: ibis.Table, report_tz: str, landmark: int
) -> tuple[ibis.Table, list[str]]:
    """Return the members with what they did before the landmark, and the names of it."""
    early = _early(dataset, stays, report_tz, landmark)
    extra = [name for name in early.columns if name != "member_id"]
    joined = stays.left_join(early, "member_id").drop("member_id_right")
    # A column of that name in members is what was asked for, and not made again.
    if can_tell(dataset) and ANSWERED not in stays.columns:
        answered = first_post_answered(dataset, stays, report_tz, landmark)
        joined = joined.left_join(answered, "member_id").drop("member_id_right")
        extra.append(ANSWERED)
    return _early_levels(joined, extra, landmark), extra


def _early_levels(stays: ibis.Table, extra: Sequence[str], landmark: int) -> ibis.Table:
    """Turn what was counted into flags and levels; nothing recorded is nothing done."""
    first = stays.first_contribution
    levels = ibis.cases(
        (first.isnull(), "none"),
        (first == 0, "day 0"),
        (first <= 2, "days 1–2"),
        else_=f"days 3–{landmark - 1}",
    )
    flags = {name: stays[name].fill_null(False) for name in extra if name != "first_contribution"}
    return stays.mutate(first_contribution=levels, **flags)
