"""A study: the tables, the day, the filter and the level that every number of a notebook shares.

Whatever a method derives from them and another method needs too is computed here, once, and kept.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import Any

import ibis
import pandas as pd

from helpers.data import health, source
from helpers.data.contract import INTERACTIONS
from helpers.data.fingerprint import check_currency
from helpers.data.reading import FIRST_SEEN
from helpers.data.segment import parse
from helpers.data.source import Dataset
from helpers.errors import BadParameters, NothingCounts, TooFewMembers
from helpers.sentences import say
from helpers.study import rhythm
from helpers.study.account import ActivityAccount
from helpers.study.activity import SIDES, Log, check_kinds, currencies, require_actions
from helpers.study.days import day_number, number_of, one_day, purchase_days
from helpers.study.frames import COUNTS, Count, as_day, materialise, require_columns
from helpers.study.ledger import ledger
from helpers.study.parameters import CommonParameters
from helpers.study.people import first_seen, population, present_members

# What a study derives from its tables, and what may be handed to it instead.
DERIVED = ("activity", "population")
# Types of the columns of what is derived; frames bring instants at midnight for days, and nothing when empty.
TYPES = {
    **{"member_id": "string", "day": "date", "kind": "string", "action": "string", "value": "float64"},
    **{"joined_day": "date", "left_day": "date"},
}


@dataclass(frozen=True, kw_only=True, eq=False)
class Study:
    """Tables with all that the methods share; the first argument of every method.

    Attributes
    ----------
    dataset : Dataset
        The tables, already filtered by `segment`.
    as_of : date
        Last calendar day in `report_tz` that counts.
    report_tz : str
        Time zone in which a day begins and ends.
    segment : str
        The filter that was applied; empty for everybody.
    currency : str
        Currency of all money.
    confidence : float
        Level of every interval.
    seed : int
        Seed of every random draw.
    k_min : int
        Smallest number of members that may be shown.
    draws : int
        Resamples behind each bootstrap interval.
    count : {"interaction", "order", "all"}
        What counts as activity.
    interactions : tuple of str
        Kinds of events that are interactions, in lower case.
    value_weights : mapping of str to float, optional
        Weight of each kind of value; None counts money only.
    history_from : date, optional
        First day on which leaving and activity were recorded, where that is stated.
    needs_joining : bool
        Whether what is asked rests on when members joined.
    about_members : bool
        Whether what members did is the subject; if not, there may be no table of it.
    data : str
        Where the tables are, for what lies beside them; empty for tables at hand.
    reads_reports : tuple of str
        Methods whose earlier reports may be read, see :mod:`helpers.playbook.earlier`.
    language : {"en", "zh"}
        Language of the report.
    method : str
        The method whose notebook this is; empty for tables at hand.
    given : mapping
        Activity, its days, population and rhythm, where they do not come from the tables; see :meth:`of`.
    """

    dataset: Dataset
    as_of: dt.date
    report_tz: str = "Asia/Shanghai"
    segment: str = ""
    currency: str = "CNY"
    confidence: float = 0.95
    seed: int = 0
    k_min: int = 10
    draws: int = 500
    count: Count = "interaction"
    interactions: tuple[str, ...] = INTERACTIONS
    value_weights: Mapping[str, float] | None = None
    history_from: dt.date | None = None
    needs_joining: bool = False
    about_members: bool = True
    data: str = ""
    reads_reports: tuple[str, ...] = ()
    language: str = "en"
    method: str = ""
    given: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        """Check once what every method relies on."""
        object.__setattr__(self, "as_of", as_day(self.as_of))
        if self.history_from is not None:
            object.__setattr__(self, "history_from", as_day(self.history_from, "history_from"))
        if not 0 < self.confidence < 1:
            raise BadParameters(
                say("confidence == {confidence!r}, must be above 0 and below 1.", confidence=self.confidence)
            )
        if self.count not in COUNTS:
            raise BadParameters(
                say(
                    "count == {count!r}, must be one of {counts}.", count=self.count, counts=", ".join(COUNTS)
                )
            )

    @classmethod
    def open(cls, parameters: CommonParameters) -> Study:
        """Open the tables that a notebook's parameters name, filter them and take over what is shared.

        Raises
        ------
        MissingTable, BadData, BadParameters
            When a table that is needed is missing, breaks the contract, or a parameter does not fit the tables.
        NothingCounts
            When nothing on record counts as activity; the message says what there is.
        TooFewMembers
            When the population, or what the segment leaves of it, is smaller than ``k_min``.
        """
        found = source.open(parameters.data, report_tz=parameters.report_tz, tables=parameters.tables)
        check_currency({name: currencies(found, name) for name in found.tables}, parameters.currency)
        dataset = parse(parameters.segment).apply(found)
        shared = set(type(parameters).model_fields) & {field.name for field in fields(cls)}
        values = {name: getattr(parameters, name) for name in shared}
        # Parameters are plain texts and mappings, where empty means that nothing is asked for.
        values |= {name: values.get(name) or None for name in ("value_weights", "history_from")}
        values |= {
            name: getattr(parameters, name) for name in ("needs_joining", "about_members", "reads_reports")
        }
        values["method"] = (
            type(parameters).__module__.rpartition(".")[0].rpartition(".")[2]
        )  # helpers.methods.NAME.parameters
        values["draws"] = getattr(parameters, "bootstrap_draws", cls.draws)
        if not parameters.about_members:
            return cls(dataset=dataset, **values)
        study = cls(dataset=dataset, **values | counting(dataset, values.get("count", "auto")))
        if study.last_counted is None:
            text = "No action that counts is on record ({scope}). {account}"
            raise NothingCounts(say(text, scope=study.scope, account=study.account.sentence))
        if int(study.population.count().execute()) < study.k_min:
            text = "There are fewer than {k} members ({scope}), and of so few nothing may be said."
            raise TooFewMembers(say(text, k=study.k_min, scope=study.scope))
        study.require_recent(study.silence_days)
        return study

    @classmethod
    def of(cls, tables: Dataset | Mapping[str, Any], as_of: dt.date | str, **settings: Any) -> Study:
        """Make a study of tables at hand.

        Parameters
        ----------
        tables : Dataset or mapping of str to pandas.DataFrame or ibis.Table
            Tables of the contract by name; also ``activity`` (member_id, day, kind, and ts, action, value where they
            are needed) and ``population`` (member_id, joined_day, left_day and any further columns), which then
            stand for what would be derived from the others.
        as_of : date or str
            Last day that counts.
        **settings :
            Any other attribute.
        """
        given = {}
        if not isinstance(tables, Dataset):
            given = {name: tables[name] for name in DERIVED if name in tables}
            rest = {name: table for name, table in tables.items() if name not in DERIVED}
            frames = rest and all(isinstance(table, pd.DataFrame) for table in rest.values())
            tables = source.open(rest) if frames else Dataset({}).replace(**rest)
        if not given and set(SIDES) & tables.tables.keys():
            settings |= counting(tables, settings.get("count", "auto"))
        return cls(dataset=tables, as_of=as_day(as_of), given=given, **settings)

    def at(self, day: dt.date) -> Study:
        """Return the same study seen from another day.

        Its tables are the same and hold what came after that day too; methods look no further than ``as_of``.
        """
        shared = {name: getattr(self, name) for name in (DERIVED if self.dataset.tables else self.given)}
        return replace(self, as_of=day, given=shared | {"rhythm_days": self.rhythm_days})

    @cached_property
    def activity(self) -> ibis.Table:
        """What members did: member_id, ts, day, kind, action, value; see :mod:`helpers.study.activity`."""
        if "activity" in self.given:
            return _typed(self.given["activity"], "activity", ("member_id", "day"))
        return materialise(self.log.activity())

    @property
    def log(self) -> Log:
        """The tables of what members did, and what of it counts."""
        return Log(self.dataset, self.as_of, self.report_tz, self.value_weights, self.interactions)

    @cached_property
    def population(self) -> ibis.Table:
        """Who was a member by ``as_of``, without staff and bots.

        member_id, joined_day, left_day (missing while a member), and every further column of the members table.
        Without such a table everybody with activity, joined on the first day of it.
        """
        if "population" in self.given:
            return _typed(self.given["population"], "population", ("member_id", "joined_day", "left_day"))
        if "members" not in self.dataset:
            return materialise(first_seen(self.activity))
        return population(self.dataset, as_of=self.as_of, report_tz=self.report_tz)

    @cached_property
    def newcomers(self) -> Study:
        """The same study of those who joined since the log began, whom it shows from their first day on.

        Where first seen stands for joined, those of the first days may be older members: who is seen again after
        as many days as make a member silent cannot be told from who is new.
        """
        people, first = self.population, self.began or self.as_of
        if self.began and not self.joining_known and "population" not in self.given:
            first += dt.timedelta(days=self.silence_days)
        people = people.filter(people.joined_day >= ibis.date(first))
        kept = {"activity": self.activity, "rhythm_days": self.rhythm_days, "member_days": self.member_days}
        return replace(self, given=kept | {"population": materialise(people)}, history_from=self.began)

    @cached_property
    def present(self) -> ibis.Table:
        """The members who are there at the end of ``as_of``."""
        return present_members(self.population, as_of=self.as_of)

    @cached_property
    def leaving_recorded(self) -> bool:
        """Whether anybody is known to have left: if not, staying cannot be told from leaving that is not recorded."""
        return bool(self.population.left_day.notnull().any().execute())

    @cached_property
    def ledger(self) -> pd.DataFrame:
        """The table ``costs`` by day, kind and whether it is fixed: see :func:`helpers.study.ledger.ledger`."""
        return ledger(self.dataset, ibis.date(self.as_of))

    @property
    def of_members(self) -> Study | None:
        """The study of what members did, for a notebook with another subject; None where no table tells of it."""
        if "activity" in self.given:
            return self
        if not set(SIDES) & self.dataset.tables.keys():
            return None
        return self if self.about_members else replace(self, **counting(self.dataset, "auto"))

    @cached_property
    def counted(self) -> ibis.Table:
        """The rows of activity that count, of whomever and whenever."""
        if self.count != "all":
            require_columns(self.activity, ["kind"], "activity")
        if "kind" not in self.activity.columns:
            return self.activity
        return self.activity.filter(self.activity.kind.isin(COUNTS[self.count]))

    @cached_property
    def last_counted(self) -> dt.date | None:
        """Last day on which somebody did something that counts; None where nobody did."""
        return one_day(self.counted.day.max())

    def require_recent(self, days: int) -> None:
        """Refuse a study of which all that counts lies so long before the last day that everybody looks silent.

        Raises
        ------
        BadParameters
            When nothing that counts lies within the last `days`, although something does before.
        """
        last = self.last_counted
        if last is not None and (away := (self.as_of - last).days) >= days:
            text = (
                "as_of == {day} lies {away:,} days after the last counted action ({last}): after {days} days without "
                "one everybody would look silent. Use as_of={last}, or bring newer data."
            )
            raise BadParameters(say(text, day=self.as_of, away=away, last=last, days=days))

    @cached_property
    def member_days(self) -> ibis.Table:
        """The days on which members did something that counts: member_id, day, one row each."""
        if "member_days" in self.given:
            return self.given["member_days"]
        return materialise(self.counted.select("member_id", "day").distinct())

    @cached_property
    def rhythm_days(self) -> float | None:
        """How many days lie between two active days of the median member who came back; None if not observed."""
        if "rhythm_days" in self.given:
            return self.given["rhythm_days"]
        return rhythm.rhythm_days(self.member_days, self.population, self.as_of)

    @property
    def silence_days(self) -> int:
        """After how many days without an action that counts a member counts as silent."""
        return rhythm.silence_days(self.rhythm_days, self.count)

    @property
    def silence_sentence(self) -> str:
        """After how many days a member counts as silent, and why."""
        return rhythm.silence_sentence(self.rhythm_days, self.silence_days)

    @property
    def joining_known(self) -> bool:
        """Whether it is known when members joined, and not only when they were first seen."""
        return "members" in self.dataset and FIRST_SEEN not in self.dataset.members.columns

    @property
    def provisional(self) -> str:
        """Why every finding is provisional; empty when none is for a reason that the study knows."""
        if not self.needs_joining or self.joining_known:
            return ""
        return say(
            "Provisional: without a table of members, the day somebody was first seen stands for joining."
        )

    @property
    def buying(self) -> Count:
        """What counts as a purchase: orders, or without a table of orders what counts as activity."""
        return "order" if "orders" in self.dataset else self.count

    @cached_property
    def purchases(self) -> ibis.Table:
        """The days on which members bought, of whomever and whenever: member_id, day, value, one row each."""
        return materialise(purchase_days(self.activity, self.buying))

    @cached_property
    def spells(self) -> ibis.Table:
        """The spells between active days of the population, one row per active day until ``as_of``.

        A spell begins on an active day and ends with the next one (the member is back), with the day the member left,
        or is still open on the last day observed. Activity after the day somebody left does not count.

        member_id; at (day number of the active day); before (days since the active day before it, missing for the
        first); after (days until the next active day, missing for the last); last (day number of the last day
        observed: ``as_of`` or the day of leaving); left (bool: the member left on it).
        """
        end, people = ibis.date(self.as_of), self.population
        gone = (people.left_day <= end).fill_null(False)
        last = ibis.cases((gone, day_number(people.left_day)), else_=number_of(self.as_of))
        stays = people.select("member_id", last=last, left=gone)
        days = self.member_days.filter(self.member_days.day <= end)
        days = days.select("member_id", at=day_number(days.day)).inner_join(stays, "member_id")
        days = days.filter(days["at"] <= days["last"]).select("member_id", "at", "last", "left")
        order = ibis.window(group_by="member_id", order_by="at")
        before, after = (days["at"].lag(1).over(order), days["at"].lead(1).over(order))
        return materialise(days.mutate(before=days["at"] - before, after=after - days["at"]))

    @cached_property
    def began(self) -> dt.date | None:
        """First day that the log covers: as stated, else the day of the first row; None without activity."""
        if self.history_from or not ("activity" in self.given or set(SIDES) & self.dataset.tables.keys()):
            return self.history_from
        return one_day(self.activity.day.min())

    @cached_property
    def account(self) -> ActivityAccount:
        """What went into the activity and what did not."""
        return self.log.account(self.currency)

    @cached_property
    def health(self) -> health.Health:
        """How complete and how fresh the tables are."""
        return health.health(self.dataset, as_of=self.as_of, report_tz=self.report_tz)

    @cached_property
    def unit(self) -> str:
        """Unit of the value: a currency or ``"points"``; the currency for activity handed over."""
        if "activity" in self.given and not set(SIDES) & self.dataset.tables.keys():
            return self.currency
        return self.account.unit

    @cached_property
    def whom(self) -> str:
        """Whose numbers they are: of everybody, of the members of a segment, or of activity that was cut."""
        if not self.about_members:
            return self.segment or say("everything on record")
        members = self.dataset.tables.get("members")
        if self.segment and (members is None or set(parse(self.segment).columns) - set(members.columns)):
            return say("activity with {segment}, of all members who have any", segment=self.segment)
        return self.segment or say("all members")

    @property
    def scope(self) -> str:
        """Whom the numbers are about, and as of when."""
        return say("{who}, as of {day} ({tz})", who=self.whom, day=self.as_of, tz=self.report_tz)

    @property
    def drawn(self) -> str:
        """Whom a picture shows, and over which days."""
        who = self.whom if self.segment else say("All members")
        span = {"first": self.began, "last": self.as_of, "tz": self.report_tz}
        return say("{who}, {first} to {last} ({tz}).", who=who, **span)

    def __repr__(self) -> str:
        """Name the scope and the tables."""
        return f"Study({self.scope}; {', '.join(self.dataset.tables) or 'no tables'})"


def _typed(table: ibis.Table | pd.DataFrame, name: str, needed: tuple[str, ...]) -> ibis.Table:
    """Return activity or population that was handed over, its days as dates."""
    found = source.as_table(table)
    require_columns(found, needed, name)
    own = found.columns if name == "activity" else needed  # further columns of members may have any name
    return found.cast({column: TYPES[column] for column in own if column in TYPES})


def counting(dataset: Dataset, count: str) -> dict[str, Any]:
    """Return what counts as activity, as the settings `count` and `interactions` of a study.

    Parameters
    ----------
    dataset : Dataset
        With a table of what members did.
    count : str
        ``interaction``, ``order`` or ``all``; names of kinds of events; both, separated by commas; or ``auto``, which
        takes interactions where there are any, else orders. In any case of letters.

    Raises
    ------
    MissingTable, BadParameters
        When there is no such table, or a name is not that of a kind of action.
    """
    require_actions(dataset)
    words = [word for word in (part.strip().lower() for part in count.split(",")) if word]
    if words == ["auto"]:
        words = ["interaction" if _interactions(dataset) else "order"]
    named = tuple(word for word in words if word not in COUNTS)
    check_kinds("count", named, dataset)
    kinds = {kind for word in words for kind in COUNTS.get(word, ("interaction",))}
    by_default = INTERACTIONS if {"interaction", "all"} & set(words) or not named else ()
    return {
        "count": next((name for name, counted in COUNTS.items() if set(counted) == kinds), "interaction"),
        "interactions": (*by_default, *named),
    }


def _interactions(dataset: Dataset) -> bool:
    """Return whether anything counts as an interaction; without orders nothing else could."""
    if "orders" not in dataset or "messages" in dataset:
        return True
    events = dataset.tables.get("events")
    return events is not None and bool(
        events.filter(events.event.cast("string").lower().isin(INTERACTIONS)).limit(1).count().execute()
    )
