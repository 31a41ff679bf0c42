"""The calendar of a simulated community: months, days, promotions, holidays, an incident, and rhythms.

All times inside the simulator are whole seconds since local midnight (Asia/Shanghai, +08:00, no daylight
saving) of the first day, so that a day is ``seconds // 86400``.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property

import numpy as np

from helpers.data.calendar import SPRING_FESTIVAL
from helpers.simulate.parameters import Parameters

DAY = 86_400
REPORT_TZ = "Asia/Shanghai"
UTC_OFFSET = 8 * 3_600
MONTH_DAYS = 30.4375
TABLE_BITS = 16

RUSH_DAYS = 14
MORNING_WEIGHTS = (1.6, 0.9, 0.5, 0.3, 0.25, 0.4, 0.9, 1.8, 2.6, 2.8, 3.0, 3.3)
EVENING_WEIGHTS = (4.2, 3.8, 3.0, 2.8, 2.9, 3.2, 4.0, 5.2, 6.6, 7.2, 6.0, 3.4)
HOUR_WEIGHTS = np.array([*MORNING_WEIGHTS, *EVENING_WEIGHTS])
WEEKDAY_WEIGHTS = np.array([0.94, 0.93, 0.95, 0.97, 1.04, 1.12, 1.10])


def quantile_table(weights: np.ndarray | tuple[float, ...]) -> np.ndarray:
    """Return category codes in proportion to `weights`, to draw from with 16 random bits (int32)."""
    edges = np.cumsum(weights) / np.sum(weights)
    bounds = np.round(edges * (1 << TABLE_BITS)).astype(np.int64)
    return np.repeat(np.arange(len(edges), dtype=np.int32), np.diff(bounds, prepend=0))


@dataclass(frozen=True)
class Month:
    """One calendar month as far as it is observed: ``[first, last]`` are day numbers inside the window.

    `share` is the observed share of its days; a month is `whole` when all of its days are observed.
    """

    label: str
    first: int
    last: int
    share: float

    @property
    def whole(self) -> bool:
        """Whether every day of the calendar month is observed."""
        return self.share == 1.0


@dataclass(frozen=True)
class Window:
    """Observed days of a community, with what each day does to activity and to orders.

    Attributes
    ----------
    start : date
        First observed local day.
    days : int
        Number of observed local days.
    parameters : Parameters
        Strength of promotion, holiday and incident.
    """

    start: date
    days: int
    parameters: Parameters

    @property
    def end(self) -> date:
        """Last observed local day."""
        return self.start + timedelta(days=self.days - 1)

    @property
    def epoch(self) -> int:
        """UTC seconds since 1970 of local midnight of the first day."""
        return (self.start - date(1970, 1, 1)).days * DAY - UTC_OFFSET

    def day_of(self, day: date) -> int:
        """Return the number of a local day; negative before the window."""
        return (day - self.start).days

    @cached_property
    def months(self) -> tuple[Month, ...]:
        """Calendar months that overlap the window, in order."""
        months = []
        day = date(self.start.year, self.start.month, 1)
        while day <= self.end:
            after = date(day.year + day.month // 12, day.month % 12 + 1, 1)
            first, last = max(self.day_of(day), 0), min(self.day_of(after), self.days) - 1
            months.append(Month(f"{day:%Y-%m}", first, last, (last - first + 1) / (after - day).days))
            day = after
        return tuple(months)

    @cached_property
    def firsts(self) -> np.ndarray:
        """Day number of the first observed day of each month."""
        return np.array([month.first for month in self.months])

    @cached_property
    def ends(self) -> np.ndarray:
        """Day number of the day after the last observed one of each month."""
        return np.array([month.last + 1 for month in self.months])

    @cached_property
    def month_of_day(self) -> np.ndarray:
        """Month index of each observed day."""
        return np.repeat(np.arange(len(self.months)), self.ends - self.firsts)

    @property
    def whole_pairs(self) -> list[int]:
        """Index of the first month of each pair of consecutive wholly observed months."""
        months = self.months
        return [i for i in range(len(months) - 1) if months[i].whole and months[i + 1].whole]

    @property
    def incident(self) -> tuple[int, int]:
        """First and last day number of the incident (the last is before the first when there is none)."""
        first = int(self.days * self.parameters.incident_share)
        return first, min(first + self.parameters.incident_days, self.days) - 1

    @property
    def creators(self) -> tuple[tuple[int, int], ...]:
        """Day numbers (first, last) of the creator's campaign; empty where it brings nobody."""
        p, first = self.parameters, int(self.days * self.parameters.creator_share)
        return ((first, min(first + p.creator_days, self.days) - 1),) if p.creator_joins > 1.0 else ()

    @cached_property
    def promotions(self) -> tuple[tuple[int, int], ...]:
        """Day numbers (first, last) of each double-11 promotion that overlaps the window."""
        years = range(self.start.year, self.end.year + 1)
        spans = [(self.day_of(date(year, 11, 1)), self.day_of(date(year, 11, 11))) for year in years]
        return tuple(span for span in spans if span[1] >= 0 and span[0] < self.days)

    @cached_property
    def holidays(self) -> tuple[tuple[int, int], ...]:
        """Day numbers (first, last) of each Spring Festival week that overlaps the window."""
        days = [self.day_of(day) for day in SPRING_FESTIVAL]
        return tuple((day - 2, day + 6) for day in days if day + 6 >= 0 and day - 2 < self.days)

    @cached_property
    def day_factors(self) -> np.ndarray:
        """Multiplier of order intensity and passive activity of each day, from promotion, holiday, incident."""
        p = self.parameters
        factors = np.ones(self.days)
        for first, last in self.promotions:
            factors[max(first, 0) : last + 1] *= p.promo_days
            if last < self.days:
                factors[last] *= p.promo_peak / p.promo_days
        for first, last in self.holidays:
            factors[max(first - RUSH_DAYS, 0) : max(first, 0)] *= p.holiday_rush
            factors[max(first, 0) : last + 1] *= p.holiday_dip
        factors[self.incident[0] : self.incident[1] + 1] *= p.incident_dip
        return factors

    @cached_property
    def join_factors(self) -> np.ndarray:
        """Multiplier of the number of members who join on each day: its factor, times the creator's campaign."""
        factors = self.day_factors.copy()
        for first, last in self.creators:
            factors[first : last + 1] *= self.parameters.creator_joins
        return factors

    @cached_property
    def intensity(self) -> np.ndarray:
        """Multiplier of order intensity of each day: weekly rhythm times promotion, holiday and incident."""
        weekdays = (self.start.weekday() + np.arange(self.days)) % 7
        return self.day_factors * (WEEKDAY_WEIGHTS[weekdays] / WEEKDAY_WEIGHTS.mean())

    @cached_property
    def month_intensity(self) -> np.ndarray:
        """Sum of `intensity` over the observed days of each month, in months of 30.4375 days."""
        return np.bincount(self.month_of_day, self.intensity, len(self.months)) / MONTH_DAYS

    @cached_property
    def slots(self) -> np.ndarray:
        """Hour numbers (since the start) to draw times from: ``slots[month, 16 random bits]``, int32.

        A table of quantiles makes one gather of each draw from the rhythm of hours, weekdays and events.
        """
        hours = HOUR_WEIGHTS / HOUR_WEIGHTS.sum()
        weights = (self.intensity[:, None] * hours[None, :]).ravel()
        hours_of = ((month.first * 24, (month.last + 1) * 24) for month in self.months)
        return np.stack([quantile_table(weights[a:b]) + np.int32(a) for a, b in hours_of])

    def draw_times(self, rng: np.random.Generator, month: np.ndarray) -> np.ndarray:
        """Draw one time (seconds) for each month index given, following all rhythms."""
        bits = rng.integers(0, 1 << TABLE_BITS, size=len(month), dtype=np.uint16)
        seconds = rng.integers(0, 3_600, size=len(month), dtype=np.uint16)
        return self.slots[month, bits].astype(np.int64) * 3_600 + seconds
