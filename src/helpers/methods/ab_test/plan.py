"""The design of an experiment: written before there are outcomes, hashed, and read back unchanged."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import ibis
import numpy as np
import pandas as pd
import yaml
from pydantic import AfterValidator, AwareDatetime, BaseModel, Field, ValidationError, model_validator

from helpers.checks import did_you_mean
from helpers.data import address
from helpers.data.design import FOLDER, digest
from helpers.errors import BadData, BadParameters, MissingTable
from helpers.sentences import Verbatim, say
from helpers.study import Study
from helpers.study.days import number_of

# Tables that tell the outcomes of units.
OF_UNITS = ("orders", "events", "assignments", "unit_outcomes", "content_daily")
# Tables that tell sums of arms, without units.
OF_ARMS = ("arm_daily", "ad_daily")
# The covariate that is the metric itself, counted before the assignment.
BEFORE = "before"


@cache
def texts_of(file: str) -> dict[str, dict[str, str]]:
    """Return the rows of a file of texts beside this module, by their code and in their order."""
    text = (resources.files("helpers.methods.ab_test") / file).read_text("utf-8")
    return {row["code"]: row for row in yaml.safe_load(text)}


def table_of(source: str) -> str:
    """Return the table that a source names: of ``events:like`` the word ``events``."""
    return re.split(r"[:.]", source, maxsplit=1)[0]


def _source(source: str) -> str:
    """Refuse a source that names no table of outcomes, or does not say what of it."""
    if not re.fullmatch(rf"orders(\.value)?|({'|'.join((*OF_UNITS[1:], *OF_ARMS))}):.+", source):
        near = did_you_mean(table_of(source), (*OF_UNITS, *OF_ARMS))
        text = "must be orders, orders.value, or a table and what of it: events:like"
        raise ValueError(f"{source!r} {text}.{near}")
    return source


def _or_word(word: str) -> AfterValidator:
    return AfterValidator(lambda given: given if given == word else _source(given))


def _holds(model: Model, rules: Mapping[str, bool]) -> Model:
    if wrong := [text for text, right in rules.items() if not right]:
        raise ValueError("; ".join(wrong))
    return model


Model = TypeVar("Model", bound=BaseModel)
Name = Annotated[str, Field(min_length=1, max_length=1000)]
Source = Annotated[str, AfterValidator(_source)]
Denominator = Annotated[str, _or_word("denominator")]
Covariate = Annotated[str, _or_word(BEFORE)]


class Metric(BaseModel, frozen=True, extra="forbid", allow_inf_nan=False):
    """What is counted of each unit.

    Attributes
    ----------
    name : str
        What it is called.
    kind : {"mean", "proportion", "ratio"}
        Mean of a number a unit; share of units (of trials) with any; sum of one number by sum of another.
    source : str
        ``orders`` (how many), ``orders.value`` (net money), ``events:KIND``, ``assignments:COLUMN`` (a further column
        of the table of units), ``unit_outcomes:METRIC``, ``content_daily:COLUMN``, ``arm_daily:METRIC`` or
        ``ad_daily:COLUMN``.
    denominator : str, optional
        Source of what a ratio is divided by, of the same table or (of units) of another one; the word ``denominator``
        for that column of ``unit_outcomes`` and ``arm_daily``. For arms also the trials of a proportion.
    direction : {"up", "down"}
        Where better lies.
    margin : float, optional
        Of a guardrail: the relative loss that is still acceptable.
    cap : float, optional
        Quantile above which outcomes count as that quantile.
    covariates : tuple of str
        ``before`` (the same counted before the assignment), a source counted before it, ``unit_outcomes:METRIC``
        measured before it, or ``assignments:COLUMN``.
    """

    name: Name
    kind: Literal["mean", "proportion", "ratio"] = "mean"
    source: Source
    denominator: Denominator | None = None
    direction: Literal["up", "down"] = "up"
    margin: float | None = Field(None, gt=0, lt=1)
    cap: float | None = Field(None, gt=0.5, lt=1)
    covariates: tuple[Covariate, ...] = ()

    @property
    def table(self) -> str:
        """The table that tells it."""
        return table_of(self.source)

    @property
    def of_arms(self) -> bool:
        """Whether sums of arms tell it, without units."""
        return self.table in OF_ARMS

    @model_validator(mode="after")
    def _whole(self) -> Metric:
        below, more = self.denominator is not None, self.covariates or self.cap
        needs = (self.kind == "ratio") == below or (self.of_arms and below)
        column = self.denominator != "denominator" or self.table in ("unit_outcomes", "arm_daily")
        of_arms = (self.of_arms and more) or {table_of(each) for each in self.covariates} & {*OF_ARMS}
        rules = {
            "a ratio needs a denominator, and nothing else of units has one": needs,
            "denominator: only unit_outcomes and arm_daily have that column": column,
            "sums of arms have no covariates and no cap": not of_arms,
            "covariates: assignments have no before": self.table != "assignments"
            or BEFORE not in self.covariates,
            "cap is for means": self.cap is None or self.kind == "mean",
        }
        return _holds(self, rules)


class Period(BaseModel, frozen=True, extra="forbid", allow_inf_nan=False):
    """Shares of the arms from a day on."""

    start: dt.date
    shares: tuple[Annotated[float, Field(ge=0, le=1)], ...]


class Plan(BaseModel, frozen=True, extra="forbid", allow_inf_nan=False):
    """The design of an experiment.

    Attributes
    ----------
    experiment : str
        Its name, as ``exp_id`` of the tables and as the name of its file.
    unit : str
        What a unit is: member, post, group, slot of time.
    arms : tuple of str
        The first is the control. For ``ad_daily`` they are creative ids.
    factors : tuple of str
        What the variants change against the control, in words: one, else no difference says which it was.
    allocation : tuple of Period
        Shares of the arms, from the start on; each period is a stratum.
    design : {"simple", "blocked", "clustered", "switchback"}
        How units were assigned: each alone, in blocks, as whole clusters, or as slots of time.
    burn_in_hours : float
        Of a switchback: units assigned in the first hours of their slot (the cluster) do not count.
    outcome_days : int
        Days after the day of the assignment until the outcome of a unit is complete.
    primary, guardrails, secondary : Metric
        What decides, what must not be lost, and what is told besides.
    segments : tuple of str
        Columns of assignments (or, of members, of their table) for which effects are compared.
    looks : tuple of date
        When the test is read; ``daily``, ``weekly`` or a number are understood. The last one is the end.
    spending : str
        How alpha is spent over the looks.
    hybrid : bool
        Sequential for harm, fixed for a win.
    start, end : date
        First day of assignment, and last day of outcomes.
    minimum_days : int
        How long the test runs at least before it may be won.
    alpha, power : float
        Error rates; alpha is two-sided.
    smallest_effect : float
        Smallest relative effect on the primary metric that is worth having.
    lines : tuple of str
        Channels and paid lines that the variant meets and the control does not, and nobody outside of the test:
        attribution and budget learn from it what these brought.
    missing : {"refuse", "zero", "drop", "bounds"}
        What happens to units whose outcome was not observed.
    unit_value, units_a_month : float, optional
        Money that one unit of the primary metric is worth, and units that the change would meet in a month.
    version : int
        Raised by hand when the design is changed.
    registered_at : datetime
        When it was written down.
    sha256 : str
        Digest of everything else.
    """

    experiment: str = Field(pattern=r"^\w[\w.-]{0,119}$")
    unit: Name = "member"
    arms: tuple[Name, ...] = Field(min_length=2)
    factors: tuple[Name, ...] = ()
    allocation: tuple[Period, ...] = Field(min_length=1)
    design: Literal["simple", "blocked", "clustered", "switchback"] = "simple"
    burn_in_hours: float = Field(0, ge=0)
    outcome_days: int = Field(0, ge=0, le=400)
    primary: Metric
    guardrails: tuple[Metric, ...] = ()
    secondary: tuple[Metric, ...] = ()
    segments: tuple[Name, ...] = ()
    looks: tuple[dt.date, ...] = Field(min_length=1, max_length=400)
    spending: Literal["obrien-fleming", "pocock", "always-valid", "fixed"] = "obrien-fleming"
    hybrid: bool = False
    start: dt.date
    end: dt.date
    minimum_days: int = Field(7, ge=1)
    alpha: float = Field(0.05, gt=0, lt=0.5)
    power: float = Field(0.8, gt=0.5, lt=1)
    smallest_effect: float = Field(gt=0)
    lines: tuple[Name, ...] = ()
    missing: Literal["refuse", "zero", "drop", "bounds"] = "refuse"
    unit_value: float | None = None
    units_a_month: float | None = Field(None, gt=0)
    version: int = Field(1, ge=1)
    registered_at: AwareDatetime | None = None
    sha256: str = ""

    @model_validator(mode="before")
    @classmethod
    def _resolve_looks(cls, given: Any) -> Any:
        """Turn ``daily``, ``weekly`` or a number of looks into days; the types refuse what is none of these."""
        try:
            start, end = (dt.date.fromisoformat(str(given[name])) for name in ("start", "end"))
            days, looks = (end - start).days + 1, given.get("looks", "weekly")
            if isinstance(looks, str):
                step = {"daily": 1, "weekly": 7}[looks]
                taken = {*range(step, days, step), days}
            else:  # evenly from the first complete outcome on
                step = max(days - 1 - given.get("outcome_days", 0), 0) / looks
                taken = {days - round(step * left) for left in range(looks if looks <= days else 0)}
        except (KeyError, TypeError, ValueError, ZeroDivisionError):
            return given
        return {**given, "looks": [start + dt.timedelta(days=day - 1) for day in sorted(taken)]}

    @model_validator(mode="after")
    def _whole(self) -> Plan:
        names, starts = [each.name for each in self.metrics], [each.start for each in self.allocation]
        days, looks = (self.end - self.start).days + 1, list(self.looks)
        rules = {
            "arms: a name stands twice": len(set(self.arms)) == len(self.arms),
            "a name of a metric stands twice": len(set(names)) == len(names),
            "allocation: a share for each arm": {len(each.shares) for each in self.allocation}
            == {len(self.arms)},
            "allocation: shares must sum to 1": all(abs(sum(p.shares) - 1) < 1e-6 for p in self.allocation),
            "allocation: the first period must begin on start": starts[0] == self.start,
            "allocation: periods must follow one another": starts == sorted(set(starts)),
            "segments: sums of arms have none": not (self.segments and self.primary.of_arms),
            "end lies before start": days > 0,
            "looks must rise, from start on": looks == sorted({*looks, max(looks[0], self.start)}),
            "looks: the last one must be the end": looks[-1] == self.end,
            "outcome_days: no outcome is complete before the end": self.outcome_days < max(days, 1),
            "minimum_days: the end comes before": self.minimum_days <= max(days, 1),
            "lines: only the mean of single units in one variant tells what they brought": not self.lines
            or (len(self.arms), self.primary.kind, self.primary.of_arms, self.clustered)
            == (2, "mean", False, False),
            "lines: one is named like the test": self.experiment not in self.lines,
            "burn_in_hours: only a switchback has any": not self.burn_in_hours or self.design == "switchback",
            "spending: with a fixed level there is one look": self.spending != "fixed" or len(looks) == 1,
        }
        return _holds(self, rules)

    @property
    def digest(self) -> str:
        """SHA-256 over all fields but ``sha256``."""
        return digest(self.model_dump(mode="json"))

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """Primary, guardrails and secondary metrics, in this order."""
        return (self.primary, *self.guardrails, *self.secondary)

    @property
    def clustered(self) -> bool:
        """Whether whole clusters or slots were assigned."""
        return self.design in ("clustered", "switchback")


def period_of(plan: Plan, days: Any) -> Any:
    """Return the place of the period of the schedule in which each day (a number) lies."""
    starts = [number_of(period.start) for period in plan.allocation]
    return np.maximum(np.searchsorted(starts, days, side="right") - 1, 0)


def plan_of(fields: Mapping[str, Any], where: str = "plan") -> Plan:
    """Return the design that these fields make.

    Raises
    ------
    BadParameters
        With every mistake at once, each with the path of its field.
    """
    try:
        return Plan.model_validate(fields)
    except ValidationError as error:
        found = "".join(f"\n- {_problem(item)}" for item in error.errors())
        raise BadParameters(
            say("The design in {where} cannot be used:{found}", where=where, found=Verbatim(found))
        ) from None


def _problem(item: Mapping[str, Any]) -> str:
    """Say one mistake: where it is, what is wrong, and the word that was meant."""
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in item["loc"]).lstrip(".")
    text = str(item["msg"]).removeprefix("Value error, ")
    if item["type"] == "extra_forbidden":
        fields = [name for model in (Plan, Metric, Period) for name in model.model_fields]
        near = did_you_mean(str(item["loc"][-1]), fields)
        text = say("there is no such field.{near}", near=near)
    elif item["type"] == "literal_error":
        text += did_you_mean(str(item["input"]), re.findall("'([^']+)'", item["ctx"]["expected"]))
    return f"{path}: {text}" if path else text


def folder_of(study: Study) -> Path:
    """Return the folder of designs beside the tables of a study.

    Raises
    ------
    BadParameters
        When the tables are not in a folder or a file.
    """
    place = address.parse(study.data).beside if study.data else None
    if place is None:
        text = (
            "The design of an experiment lies beside its tables: name a folder, data=…, or the one beside "
            "a database, "
            "postgres://…?beside=folder"
        )
        raise BadParameters(say(text))
    return place / FOLDER


def read_plan(study: Study, name: str) -> Plan:
    """Return the design in ``experiments/NAME.yml`` of the data folder.

    Raises
    ------
    MissingTable
        When there is no design at all.
    BadParameters
        When there is none of this name, or it cannot be used.
    BadData
        When it was changed after it was written down.
    """
    folder = folder_of(study)
    path, there = folder / f"{name}.yml", sorted(each.stem for each in folder.glob("*.yml"))
    if not there:
        raise MissingTable(
            say(
                "no design: {folder}/{name}.yml is missing; write it with mode=plan", folder=FOLDER, name=name
            )
        )
    if name not in there:
        near = did_you_mean(name, there)
        raise BadParameters(
            say(
                "experiment == {name!r}, but designs are of {there}.{near}",
                name=name,
                there=", ".join(there),
                near=near,
            )
        )
    where = f"{FOLDER}/{path.name}"
    try:
        fields = yaml.safe_load(path.read_text("utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise BadParameters(
            say("{where} is no YAML: {error}", where=where, error=str(error).splitlines()[0])
        ) from None
    plan = plan_of(fields, where)
    if plan.experiment != name:
        raise BadParameters(
            say(
                "{where} is the design of {experiment!r}, must be that of {name!r}.",
                where=where,
                experiment=plan.experiment,
                name=name,
            )
        )
    if plan.sha256 != digest(fields):
        text = (
            "{where} was changed after it was written down: its sha256 is not its own. Bring back the "
            "registered file, or "
            "plan the test under a new name with mode=plan."
        )
        raise BadData(say(text, where=where))
    return plan


def write_plan(study: Study, plan: Plan) -> Path:
    """Write a design with its hash beside the tables of a study, and return the file; equal designs stay as they are.

    Raises
    ------
    BadParameters
        When `registered_at` is not stated, or another design is registered and units have been assigned since.
    """
    if plan.registered_at is None:
        raise BadParameters(say("registered_at is missing: say when the design is written down."))
    path = folder_of(study) / f"{plan.experiment}.yml"
    if path.exists():
        known = read_plan(study, plan.experiment)
        later = {name: getattr(plan, name) for name in ("registered_at", "version", "sha256")}
        if known.model_copy(update=later) == plan:
            return path
        if (first := first_unit(study, known)) is not None:
            text = (
                "{path} is registered, its first unit came on {first}. A design is not changed after "
                "that: plan a new "
                "test under a new name."
            )
            raise BadParameters(say(text, path=path.name, first=first.date()))
    path.parent.mkdir(exist_ok=True)
    fields = plan.model_dump(mode="json") | {"sha256": plan.digest}
    path.write_text(yaml.safe_dump(fields, sort_keys=False, allow_unicode=True, width=100), "utf-8")
    return path


def first_unit(study: Study, plan: Plan) -> dt.datetime | None:
    """Return when the first unit was assigned (UTC), or the first day of sums of arms; None without any."""
    data, found = study.dataset, []
    if "assignments" in data and not all(metric.of_arms for metric in plan.metrics):
        rows = data.assignments
        found.append(rows.filter(rows.exp_id == plan.experiment).assigned_at.min().execute())
    for table in {metric.table for metric in plan.metrics if metric.of_arms and metric.table in data}:
        rows = data[table]
        own = rows.exp_id == plan.experiment if table == "arm_daily" else rows.creative_id.isin(plan.arms)
        found.append(rows.filter(own, rows.date >= ibis.date(plan.start)).date.min().execute())
    return min((pd.Timestamp(each).to_pydatetime() for each in found if not pd.isna(each)), default=None)
