"""What every method returns: a record that says, draws and tabulates what it found.

What is about fewer than `k_min` members is kept back here, once, for the screen, the files and the report alike: a
result of too few as a whole, and in larger ones the rows of its tables and its pictures.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import wraps
from inspect import signature
from typing import Any, ParamSpec, TypeVar

import ibis
import pandas as pd
from matplotlib.figure import Figure

from helpers.data import privacy
from helpers.errors import BadParameters
from helpers.figures import Chart, NoChart
from helpers.playbook.contact.lists import ContactList
from helpers.playbook.finding import Finding
from helpers.playbook.propose import Proposed
from helpers.sentences import say
from helpers.study import Study
from helpers.tables import LAB_STYLE, Table, html_table

P = ParamSpec("P")
R = TypeVar("R")
Part = str | Chart | NoChart | Table | ContactList
HEAD = 5


@dataclass(frozen=True, repr=False)
class Result:
    """Base of the record that a method returns.

    Attributes
    ----------
    study : Study
        What was asked, and the smallest number of members that may be shown.
    """

    study: Study = field(repr=False)

    @property
    def sentence(self) -> str:
        """What was found, as it is said aloud."""
        raise NotImplementedError

    @property
    def smallest(self) -> int | None:
        """Members in the smallest group that sentences and findings speak of; None when they speak of none."""
        return None

    def parts(self) -> Iterator[Part]:
        """Yield what a reader gets, in reading order: sentences, pictures, tables, contact lists."""
        yield self.sentence
        if (picture := self.figure()) is not None:
            yield picture
        yield from self.tables()

    def figure(self) -> Chart | NoChart | None:
        """Draw what was found, where that helps."""
        return None

    def drawn(
        self, name: str, kind: str, title: str, data: pd.DataFrame, figure: Figure, **more: Any
    ) -> Chart:
        """Return a picture; its text alternative says what it is, what it shows and what that means."""
        alt = say("{kind}. {title}. {sentence}", kind=kind, title=title, sentence=self.sentence)
        return Chart(title, alt, data, figure, name=name, **more)

    def tables(self) -> Iterator[Table]:
        """Yield the numbers behind it."""
        yield from ()

    def findings(self) -> Iterator[Finding]:
        """Yield the numbers that a report stands behind."""
        yield from ()

    def proposals(self) -> Iterator[Proposed]:
        """Yield the rules that hold by what was decided here, with what each is worth."""
        yield from ()

    @property
    def withheld(self) -> bool:
        """Whether all of it is about too few members to be shown."""
        return self.smallest is not None and 0 < self.smallest < self.study.k_min

    @property
    def whom(self) -> str:
        """Whose numbers they are, in words."""
        return self.study.whom

    def told(self) -> Iterator[Part]:
        """Yield the parts as they may leave: without what is about fewer than `k_min` members."""
        if self.withheld:
            yield few(self.study.k_min)
            return
        for part in self.parts():
            yield _kept_back(part, self.study.k_min)

    def found(self) -> Iterator[Finding]:
        """Yield the findings as they may leave."""
        k_min = self.study.k_min
        for one in self.findings():
            people = one.n_of not in IMPERSONAL
            if self.withheld or (people and 0 < one.n < k_min):
                yield too_few(one, k_min)
            elif self.study.provisional and one.value is not None:
                sentence = f"{one.sentence} {self.study.provisional}"
                yield one.model_copy(update={"verdict": "provisional", "sentence": sentence})
            else:
                yield one

    def _repr_html_(self) -> str:
        parts = list(self.told())
        said = "".join(f"<p>{html.escape(part)}</p>" for part in parts if isinstance(part, str))
        tables = [part for part in parts if isinstance(part, Table)]
        head = [html_table(each.frame, each.caption, units=each.units, limit=HEAD) for each in tables[:1]]
        return said + "".join([LAB_STYLE, *head] if head else [])

    def __repr__(self) -> str:
        """Say what was found."""
        return next((part for part in self.told() if isinstance(part, str)), type(self).__name__)


IMPERSONAL = frozenset(
    {
        "windows",
        "periods",
        "days",
        "weeks",
        "posts",
        "slots",
        "groups",
        "impressions",
        "clicks",
        "checks",
        "draws",
    }
)
"""What the `n` of a finding may count without telling of people."""


def few(k_min: int) -> str:
    """Say that something is about too few members."""
    return say("About fewer than {k} members, so it is not shown.", k=k_min)


def kept_back(k_min: int) -> str:
    """Say why numbers are missing in a table."""
    return say("Kept back: fewer than {k} members, or a row that would give those away.", k=k_min)


def asks(method: Callable[P, R]) -> Callable[P, R]:
    """Make a method that takes a study say how tables at hand become one, when they are handed over in its place."""
    if next(iter(signature(method).parameters)) != "study":
        return method

    @wraps(method)
    def asked(*arguments: P.args, **named: P.kwargs) -> R:
        given = arguments[0] if arguments else named.get("study")
        if isinstance(given, pd.DataFrame | ibis.Table | Mapping):
            kind = type(given).__name__
            raise BadParameters(
                say(
                    "study == {kind}, must be a study of tables: {method}(Study.of({{'events': frame}}, "
                    "as_of='2026-06-30'), …), with Study from helpers.",
                    kind=kind,
                    method=method.__name__,
                )
            )
        return method(*arguments, **named)

    return asked


def too_few(finding: Finding, k_min: int) -> Finding:
    """Return a finding that tells no number."""
    sentence = say(
        "{metric}: about fewer than {k} members, so it is not shown.", metric=finding.metric, k=k_min
    )
    hidden: dict[str, Any] = {"value": None, "low": None, "high": None, "n": 0, "verdict": "too little data"}
    hidden |= {"headline": "", "trail": ()}
    return Finding(**{**finding.model_dump(), **hidden, "sentence": sentence})


def _kept_back(part: Part, k_min: int) -> Part:
    """Return a part without what is about too few: rows of a table lose their numbers, a picture is not drawn."""
    if isinstance(part, Table) and part.members:
        hide = list(part.hide) if part.hide is not None else None
        shown = privacy.suppress(part.frame, part.members, k_min, hide, within=part.within)
        if not (shown[part.members].isna() & part.frame[part.members].notna()).any():
            return part
        return replace(part, frame=shown, note=" ".join(filter(None, [part.note, kept_back(k_min)])))
    if isinstance(part, Chart) and part.members:
        sizes = pd.to_numeric(part.data[part.members], errors="coerce")
        if sizes.between(1, k_min - 1).any():
            return NoChart(part.title, few(k_min), name=part.name)
    return part
