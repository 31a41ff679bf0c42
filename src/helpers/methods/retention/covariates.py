"""Which characteristics of members may drive leaving, made comparable inside the engine.

A text column gives its levels (rare ones pooled), a flag itself, a number its quantile bins; what is missing is a
level of its own. Identifiers, times and columns in which everybody is alike are left out, with the reason.

What members did in their first days is only fair to those who were still there when these days were over: with a
landmark (Anderson, Cain and Gelber 1983) everybody is looked at from that day on, so that nobody can fail to reply
because they had left. Whoever left before is not in that comparison, and how many is said.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import ibis
import pandas as pd

from helpers.checks import did_you_mean
from helpers.data.contract import INTERACTIONS
from helpers.data.source import Dataset, local_date
from helpers.errors import BadData, BadParameters
from helpers.methods.frames import as_day, materialise
from helpers.methods.retention.days import EPOCH, checked, day_number, number_of
from helpers.methods.retention.design import MISSING, OTHER
from helpers.methods.retention.durations import EXAMPLES, exit_durations, impossible_stays, member_stays
from helpers.playbook.sentences import number, say

NOT_DRIVERS = (
    "member_id",
    "is_staff",
    "is_bot",
    "joined_at",
    "left_at",
    "ingested_at",
    "inviter_id",
    "group_id",
)
CONTRIBUTIONS = ("comment", "reply", "post")
# A text column with more levels than this is an identifier, or as good as one.
MOST_LEVELS = 200


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
    """

    table: ibis.Table
    names: tuple[str, ...]
    left_out: pd.DataFrame
    notes: tuple[str, ...]
    members: int
    landmark_day: int

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
        Columns of members to look at; by default all that may be drivers.
    carry : sequence of str
        Columns of members to keep as they are, for strata or clusters.
    landmark_day : int
        With 7, what members did on their first 7 days (0 to 6) is added, and only those who joined on record and
        were still members on day 7 are looked at, from then on.
    observed_from : date or str, optional
        First day on record, before which leaving was not seen; by default that of the first event, else none.
    max_levels : int
        Levels of a text column that are kept; the rest is pooled as "other".
    least_share : float
        Levels with a smaller share of members are pooled too.
    bins : int
        Quantile bins of a number.
    """
    dataset.require("members", *(["events"] if landmark_day else []))
    _check(dataset, [*(columns or ()), *carry], landmark_day, max_levels, least_share, bins)
    begin = _begin(dataset, report_tz, observed_from)
    looked_at = (
        [c for c in dataset.members.columns if c not in NOT_DRIVERS] if columns is None else list(columns)
    )
    stays = _stays(dataset, as_day(as_of), report_tz, [*dict.fromkeys([*looked_at, *carry])], begin)
    notes = list(_who(stays, begin, landmark_day))
    stays = _inside(stays, begin, landmark_day)
    extra: list[str] = []
    if landmark_day:
        stays, extra = _with_early(dataset, stays, report_tz, landmark_day)
    stays = materialise(stays)
    members = int(stays.count().execute())
    table, names, left_out, more = _make(stays, [*looked_at, *extra], members, max_levels, least_share, bins)
    kept = ["member_id", "entry_day", "tenure_day", "exited"]
    table = materialise(table.select(*dict.fromkeys([*kept, *carry, *names])))
    out = pd.DataFrame(left_out, columns=["column", "reason"])
    return Candidates(table, tuple(names), out, (*notes, *more), members, landmark_day)


def _check(
    dataset: Dataset,
    columns: Sequence[str],
    landmark_day: int,
    max_levels: int,
    least_share: float,
    bins: int,
) -> None:
    checked(landmark_day, "landmark_day", type_=int, ge=0)
    checked(max_levels, "max_levels", type_=int, ge=2)
    checked(bins, "bins", type_=int, ge=2)
    checked(least_share, "least_share", ge=0, lt=1)
    for name in columns:
        if name not in dataset.members.columns:
            hint = did_you_mean(name, dataset.members.columns)
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
    people = member_stays(dataset, as_of=end, columns=columns, report_tz=report_tz)
    stays = exit_durations(people, as_of=end)
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


def _make(
    stays: ibis.Table, columns: Sequence[str], members: int, max_levels: int, least_share: float, bins: int
) -> tuple[ibis.Table, list[str], list[tuple[str, str]], list[str]]:
    """Return the table with every usable column as levels or a flag, and what was done to the others."""
    names: list[str] = []
    left_out: list[tuple[str, str]] = []
    notes: list[str] = []
    made: dict[str, ibis.Value] = {}
    for name in columns:
        column = stays[name]
        if column.type().is_boolean():
            value, note = _from_levels(stays, name, column.cast("string"), members, max_levels, 0.0)
        elif column.type().is_numeric():
            value, note = _from_number(stays, name, bins)
        elif column.type().is_string():
            value, note = _from_levels(stays, name, column, members, max_levels, least_share)
        else:
            value, note = None, say("is no text, flag or number")
        if value is None:
            left_out.append((name, str(note)))
            continue
        made[name] = value
        names.append(name)
        notes += [note] if note else []
    return stays.mutate(**made), names, left_out, notes


def _from_levels(
    stays: ibis.Table, name: str, text: ibis.Value, members: int, max_levels: int, least_share: float
) -> tuple[ibis.Value | None, str | None]:
    """Return a column of levels, rare ones pooled; or nothing and why."""
    counts = stays.group_by(level=text.fill_null(MISSING)).agg(n=stays.count())
    found = counts.order_by([counts.n.desc(), counts.level]).limit(MOST_LEVELS + 1).to_pandas()
    if len(found) < 2:
        return None, say("is the same for everybody")
    if len(found) > MOST_LEVELS:
        return None, say("has over {n} levels: an identifier", n=MOST_LEVELS)
    if set(found["level"]) == {"true", "false"}:
        return stays[name], None
    missing = found["level"] == MISSING
    kept = found[~missing & (found["n"] >= least_share * members)]
    if len(kept) + missing.sum() > max_levels or len(kept) + missing.sum() < len(found):
        kept = kept.head(max_levels - 1 - int(missing.sum()))
    pooled = found[~missing & ~found["level"].isin(kept["level"])]
    value = text.fill_null(MISSING)
    if len(pooled) < 2:
        return value, None
    text_note = "{name}: {k} rare levels ({n} members) are pooled as “{other}”: {levels}."
    note = say(
        text_note, name=name, k=len(pooled), n=number(pooled["n"].sum()), other=OTHER,
        levels=", ".join(map(str, pooled["level"].head(5))) + (", …" if len(pooled) > 5 else ""),
    )  # fmt: skip
    return value.isin([*kept["level"], MISSING]).ifelse(value, OTHER), note


def _from_number(stays: ibis.Table, name: str, bins: int) -> tuple[ibis.Value | None, str | None]:
    """Return quantile bins of a number as levels; few distinct numbers are levels themselves."""
    column = stays[name].cast("float64")
    distinct = stays.select(v=column).distinct().limit(bins + 2).to_pandas()["v"].dropna()
    if len(distinct) < 2:
        return None, say("is the same for everybody")
    edges = sorted(distinct)[1:]
    if len(distinct) > bins:
        cuts = {f"q{k}": column.quantile(k / bins) for k in range(1, bins)}
        found = stays.aggregate(**cuts, least=column.min()).to_pandas().iloc[0]
        least = float(found.pop("least"))
        # Where most share the smallest value, quantiles fall on it: then it is one bin and the rest another.
        above = column.min(where=column > least)
        edges = sorted(set(found.astype(float)) - {least}) or [
            float(stays.aggregate(above).to_pandas().iloc[0, 0])
        ]
    labels = [say("below {edge}", edge=_edge(edges[0]))]
    labels += [say("{a} to {b}", a=_edge(a), b=_edge(b)) for a, b in pairwise(edges)]
    labels.append(say("{edge} or more", edge=_edge(edges[-1])))
    branches = [(column < edge, label) for edge, label in zip(edges, labels, strict=False)]
    value = ibis.cases((column.isnull(), MISSING), *branches, else_=labels[-1])
    return value, say("{name} is cut at {edges}.", name=name, edges=", ".join(map(_edge, edges)))


def _edge(value: float) -> str:
    return f"{value:,.6g}"
