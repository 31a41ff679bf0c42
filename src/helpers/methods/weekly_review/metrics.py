"""The review's own numbers by ISO week, as a reader gets them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from helpers.playbook.finding import Point
from helpers.playbook.glossary import define
from helpers.playbook.result import Part, Result
from helpers.sentences import say
from helpers.study import Study
from helpers.study.weekly import BY_ID, METRICS, WeeklySeries
from helpers.tables import Table


class WeeklyMetrics(WeeklySeries, Result):
    """The series, with what they say."""

    def trail(self, metric: str, weeks: int) -> tuple[Point, ...]:
        """Return the last weeks of a number, for a small line with the entries of the calendar."""
        series = self.series(metric).tail(weeks)
        values = series["numerator"] / series["denominator"].replace(0, np.nan)
        values = values.mask(self.few(metric).reindex(series.index, fill_value=False))
        return tuple(Point(week=week.date(), value=None if np.isnan(one) else one, note=self.unusual.get(week, ""))
                     for week, one in zip(pd.DatetimeIndex(values.index), values.tolist(), strict=True))  # fmt: skip

    @property
    def table(self) -> pd.DataFrame:
        """The series as they are published; what later weeks are compared with, and actions judged by."""
        told, each = self.frame, [BY_ID[one] for one in self.frame["metric"]]
        few = told["members"].between(1, self.study.k_min - 1)
        return pd.DataFrame(
            {
                "section": [one.section for one in each], "metric": told["metric"], "scope": told["scope"],
                "unit": list(map(self.unit, each)),
                "window_start": told["week"].dt.date,
                "window_end": (told["week"] + pd.Timedelta(days=6)).dt.date,
                "current": (told["numerator"] / told["denominator"].replace(0, np.nan)).mask(few),
                "n": told["members"].mask(few), "desirable_direction": [one.direction for one in each],
                "definition_id": told["metric"], "data_complete": told["complete"],
                "unusual": told["week"].map(self.unusual).fillna(""),
            }
        )  # fmt: skip

    @property
    def sentence(self) -> str:
        """How many weeks there are of what."""
        if self.frame.empty:
            text = "No weekly number of its own: no log, no orders and no reports of advertising or posts."
            return say(text)
        weeks = self.frame.groupby("metric")["week"].nunique()
        text = (
            "{n} numbers are counted week by week, over up to {weeks} whole weeks, until the week of {week}."
        )
        return say(text, n=len(weeks), weeks=weeks.max(), week=self.week.date())

    def parts(self) -> Iterator[Part]:
        """Yield what there is, what is missing, and all of it."""
        yield self.sentence
        if missing := [say(metric.title) for metric in METRICS if metric not in self.known]:
            yield say("Not observed here: {names}.", names=", ".join(missing))
        yield Table(
            "weekly_metrics", self.table, say("Every number by week (Monday), of everybody and by platform")
        )
        meanings = [(say(one.title), define(one.id), say(one.owner)) for one in self.known]
        yield Table("weekly_definitions", pd.DataFrame(meanings, columns=["number", "meaning", "owner"]),
                    say("What the numbers mean, and who answers for them"))  # fmt: skip


def weekly_metrics(study: Study) -> WeeklyMetrics:
    """Return the weekly series of whatever tables there are.

    Parameters
    ----------
    study : Study
        With any of ``events``, ``messages``, ``orders``, ``members``, ``ad_daily`` and ``content_daily``.
    """
    return WeeklyMetrics.of(study)
