"""The parameters that every notebook shares, and what a parameter is."""

from __future__ import annotations

import datetime
import re
import zoneinfo
from typing import Annotated, Any, ClassVar, Literal, get_origin

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from helpers.checks import LONGEST_TEXT, did_you_mean
from helpers.data.segment_syntax import parse_syntax, refuse_personal
from helpers.errors import BadParameters
from helpers.sentences import say

_ISO_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


def parameter(default: Any, meaning: str, *, unit: str | None = None, **bounds: Any) -> Any:
    """Declare a parameter: its default, what it means, its unit, and pydantic bounds such as ``ge=0``."""
    return Field(default, description=meaning, json_schema_extra={"unit": unit}, **bounds)


class CommonParameters(BaseModel):
    """Base of every notebook's parameters; a frozen record that knows no others than its own.

    Texts are understood by the type of the parameter, because the command line and plain papermill hand over
    texts: dates as ``2026-06-30`` and nothing else, mappings and lists as JSON or YAML. A truth value is never
    taken for a number, nor a number for a text.

    ``as_of`` is always a date: a word such as "latest" would make the same parameters mean another day tomorrow.
    A schedule passes the day it means, as in ``-p as_of=$(date -d yesterday +%F)``.
    """

    # Every table that the notebook may read, which it says to ``source.open``; None for all of them.
    #
    # A run depends on the content of these tables and no others.
    tables: ClassVar[tuple[str, ...] | None] = None
    # Whether the notebook rests on when members joined, so that without a table of members it is provisional.
    needs_joining: ClassVar[bool] = False
    # Whether what members did is its subject; an experiment or a budget may have no log of them.
    about_members: ClassVar[bool] = True
    # Methods whose earlier reports it reads; of its own method those of earlier days.
    reads_reports: ClassVar[tuple[str, ...]] = ()

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        allow_inf_nan=False,
        validate_default=True,
        str_max_length=LONGEST_TEXT,
    )

    data: str = parameter("data/sample", "Folder of tables, relative to the project, or a URL", min_length=1)
    as_of: datetime.date = parameter(datetime.date(2026, 6, 30), "Last day that counts, in report_tz")
    report_tz: str = parameter("Asia/Shanghai", "Time zone in which a day begins and ends")
    segment: str = parameter(
        "", "Filter on members, such as platform_home in ['douyin']; empty for everybody"
    )
    currency: str = parameter("CNY", "Currency of all money", pattern=r"^[A-Z]{3}$")
    seed: int = parameter(20260630, "Seed of every random draw", ge=0, le=2**32 - 1)
    confidence: float = parameter(0.95, "Confidence level of every interval", gt=0.5, lt=1)
    language: Literal["en", "zh"] = parameter("en", "Language of the report: en or zh (Chinese)")

    @property
    def files(self) -> tuple[str, ...]:
        """Further files in the folder of the data that are read, such as the design of an experiment."""
        return ()

    @field_validator("*", mode="before")
    @classmethod
    def _understand_text(cls, value: Any, info: ValidationInfo) -> Any:
        kind = cls.model_fields[str(info.field_name)].annotation
        if isinstance(value, bool) and kind in (int, float):
            raise ValueError("must be a number, not a truth value")
        if kind is datetime.date:
            return _date(value)
        if isinstance(value, str) and get_origin(kind) in (dict, list, tuple):
            return _structure(value)
        return value

    @field_validator("segment")
    @classmethod
    def _filter_parses(cls, value: str) -> str:
        if value.strip():
            try:
                refuse_personal(parse_syntax(value)[1])
            except BadParameters as error:
                raise ValueError(str(error).removeprefix(f"segment == {value.strip()!r}: ")) from None
        return value

    @field_validator("report_tz")
    @classmethod
    def _zone_exists(cls, value: str) -> str:
        try:
            zoneinfo.ZoneInfo(value)
        except (ValueError, OSError, zoneinfo.ZoneInfoNotFoundError):
            near = did_you_mean(value, zoneinfo.available_timezones())
            raise ValueError(say("must be a time zone such as Asia/Shanghai.{near}", near=near)) from None
        return value


Count = Annotated[str, Field(min_length=1)]
Weight = Annotated[float, Field(ge=0)]
DayOrNothing = Annotated[str, AfterValidator(lambda text: text and str(_date(text)))]

# Parameters of more than one notebook. They are no base class, because each notebook has them in an order of its own.


def count() -> Any:
    """Declare what counts as activity."""
    meaning = (
        "What counts as activity: interaction, order, all, or kinds such as interaction, listen; auto takes "
        "interactions where there are any, else orders"
    )
    return parameter("auto", meaning)


def history_from() -> Any:
    """Declare since when leaving and activity are on record."""
    return parameter("", "First day on which leaving and activity were recorded; empty: the first event")


def value_weights() -> Any:
    """Declare what the value of a member is made of."""
    return parameter(
        {},
        "Weight of each kind of order or event in the value, such as {goods: 1, share: 0.5}; empty: order money",
    )


def margin() -> Any:
    """Declare what is left of sales."""
    meaning = "Share of sales left after the cost of what was sold; turns sales into value"
    return parameter(0.3, meaning, unit="share", gt=0, le=1)


def list_holdout_share() -> Any:
    """Declare how many of a contact list are left alone."""
    meaning = "Share of each contact list left alone, to measure the action by"
    return parameter(0.1, meaning, unit="share", ge=0, le=0.5)


def k_min() -> Any:
    """Declare the smallest cell that is shown."""
    return parameter(10, "Cells with fewer members are not shown", unit="members", ge=1, le=1000)


def bootstrap_draws(default: int) -> Any:
    """Declare the number of resamples; each notebook has a default that its time allows."""
    return parameter(default, "Resamples behind each bootstrap interval", unit="draws", ge=100, le=20000)


def _date(value: Any) -> datetime.date:
    if isinstance(value, datetime.date) and not isinstance(value, datetime.datetime):
        return value
    if isinstance(value, str) and _ISO_DATE.fullmatch(value.strip()):
        try:
            return datetime.date.fromisoformat(value.strip())
        except ValueError as error:
            raise ValueError(f"must be a day of the calendar: {error}") from None
    raise ValueError("must be an ISO date such as 2026-06-30")


def _structure(text: str) -> Any:
    """Read a mapping or list from JSON or YAML; the empty text is left to the type check."""
    try:
        if len(text) > LONGEST_TEXT or any(isinstance(each, yaml.AliasToken) for each in yaml.scan(text)):
            raise ValueError(
                f"must have at most {LONGEST_TEXT:,} characters, and no part that refers to another"
            )
        return yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError):
        raise ValueError(
            "must be JSON or YAML, such as {goods: 1, share: 0.5}, a space after each colon"
        ) from None
