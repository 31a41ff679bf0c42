"""Lifetime value of a newcomer: the integral of survival times value, with discount.

Estimator (Lin, Feuer, Etzioni and Wax 1997, Biometrics 53:419-434, with days as intervals)::

    LTV(H) = sum over days d < H of  S(d) * m(d) * (1 + r) ** (-d / 365)

``S(d)`` is the probability to be a member still when day ``d`` begins (product limit over exits), ``m(d)`` the mean
value of a member at risk on that day, ``r`` the yearly discount rate. Both use everybody who was at risk on the day,
so newcomers of last week count for the first week and censoring does not bias the sum.

Until at least `AT_RISK` newcomers (members followed from joining on) are at risk the value is *observed*. On
later days most of those at risk joined before recording began, and are known only from that day of tenure on (late
entry): that part is *borrowed* from them, and right only if newcomers turn out like them. Days on which fewer than
`AT_RISK` members of any kind were at risk are extrapolated: exits and value per
member and day are held at their mean over the last `TAIL_DAYS` observed days. In most communities the hazard goes on
falling with tenure, so the extrapolated part leans low. The three parts are always shown apart.

Intervals are joint: buckets of members are resampled, survival and value of a bucket together. A percentile interval
of a skewed sum stands too low, so it is bias-corrected and accelerated (BCa), with the acceleration from the
jackknife over buckets. No resample knows the rare large value that a few buyers have not shown yet: with some
4 buyers among 200 members a 95 % interval covered .82, so below `WITH_VALUE` members with value there is none.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import pandas as pd

from helpers.figures import BLUE, Chart, NoChart, new_figure
from helpers.playbook.finding import Finding, finding
from helpers.playbook.result import Result
from helpers.sentences import interval, number, people, percent, quantity, say, with_interval
from helpers.stats.estimate import Estimate, estimate_of
from helpers.stats.forecast.value_days import newcomer_value, value_days
from helpers.study import Study, enough

STYLES = {"observed": "-", "borrowed": "--", "extrapolated": ":"}
REST = {
    "borrowed": "{share} (until day {seen}) is borrowed from members who joined before recording began.",
    "extrapolated": "{share} (after day {seen}) is extrapolated.",
}
METHOD = "joint bucket bootstrap, BCa"


@dataclass(frozen=True, repr=False)
class LifetimeValue(Result):
    """What a newcomer brings in its first days.

    Attributes
    ----------
    table : pandas.DataFrame
        One row per part: part ("observed" in newcomers, "borrowed" from members who joined before recording began,
        "extrapolated", "total"), days, value, low, high, n (members under observation on any of the days added up),
        with_value (of them, members who brought any).
    curve : pandas.DataFrame
        One row per day: day, survival, daily_value, cumulative_value, part; empty when there is too little data.
    horizon_days : int
        Days that are added up.
    discount_rate : float
        Share by which value loses worth in a year of waiting.
    """

    table: pd.DataFrame = field(repr=False)
    curve: pd.DataFrame = field(repr=False)
    horizon_days: int
    discount_rate: float

    def estimate(self, part: str = "total") -> Estimate:
        """Return one number of the table."""
        row = self.table[self.table["part"] == part].iloc[0]
        return estimate_of(
            row, int(row["n"]), METHOD, self.study.confidence, value="value", unit=self.study.unit
        )

    @property
    def sentence(self) -> str:
        """What a newcomer is worth, and how much of it was seen in newcomers, borrowed and extrapolated."""
        rows, total = self.table.set_index("part"), self.estimate()
        with_value = people(int(rows["with_value"].iloc[0]), self.study.k_min)
        if not total.known:
            text = (
                "Value of a newcomer in the first {horizon} days: too little data ({n} members followed, {k} of them "
                "with value)."
            )
            n = people(total.n, self.study.k_min)
            return say(text, horizon=number(self.horizon_days), n=n, k=with_value)
        days, share = rows["days"].cumsum(), (rows["value"] / total.value).map(percent)
        rest = [
            say(REST[part], share=share[part], seen=number(days["borrowed"]))
            for part in REST
            if rows["days"][part]
        ]
        said = say(
            "Value of a newcomer in the first {horizon} days, discounted: {total}, n being members followed, {k} of "
            "them with value. {observed} of it was observed in newcomers: on each of the first {days} days at least "
            "{least} were followed. {rest}",
            total=with_interval(total), observed=share["observed"], horizon=number(self.horizon_days),
            k=with_value, least=enough.AT_RISK, days=number(days["observed"]),
            rest=" ".join(rest),
        )  # fmt: skip
        if self.study.leaving_recorded:
            return said
        text = "Leaving is not recorded: everybody counts as staying, so that the value leans high."
        return f"{said} {say(text)}"

    def figure(self) -> Chart | NoChart:
        """Draw the value of a newcomer as it adds up: solid observed, dashed borrowed, dotted extrapolated."""
        total, rows = self.estimate(), self.curve
        if not total.known:
            return NoChart(say("What a newcomer is worth"), self.sentence, "lifetime_value")
        figure, ax = new_figure(7.2, 3.8)
        for part, style in STYLES.items():
            # Each part begins where the one before ended, so that the line has no gap.
            inside = rows["part"].eq(part)
            piece = rows[inside | inside.shift(-1, fill_value=False)] if inside.any() else rows[inside]
            ax.plot(piece["day"] + 1, piece["cumulative_value"], color=BLUE, linewidth=2, linestyle=style)
        ax.vlines(self.horizon_days, total.low, total.high, color=BLUE, linewidth=2)
        days = say("Days since joining (dashed: borrowed from earlier members; dotted: extrapolated)")
        ax.set(xlim=(0, self.horizon_days * 1.02), ylim=(0, None), xlabel=days)
        ax.set_ylabel(say("Value so far, {unit} a newcomer", unit=self.study.unit))
        ax.grid(axis="y")
        value, between = quantity(total.value, total.unit), interval(total.low, total.high, total.unit)
        text = "A newcomer brings {value} in {days} days ({between})"
        title = say(text, value=value, days=number(self.horizon_days), between=between)
        note = say("{drawn} Value in {unit}, {discount}.", drawn=self.study.drawn, unit=self.study.unit,
            discount=say("discounted by {share} a year", share=percent(self.discount_rate, 0)))  # fmt: skip
        kind = say("Rising curve of value by days since joining, interval at its end")
        return self.drawn("lifetime_value", kind, title, self.table, figure, note=note)

    def findings(self) -> Iterator[Finding]:
        """Yield what a newcomer is worth."""
        total = self.estimate()
        text, value = "a newcomer brings {value} in {days} days", quantity(total.value, total.unit)
        yield finding(
            total,
            id="retention.newcomer_value",
            metric=say("value of a newcomer in {days} days", days=self.horizon_days),
            scope=self.study.scope,
            sentence=self.sentence,
            assumption=say(
                "survival and value at a tenure stay as they were; what is extrapolated leans low"
            ),
            direction="up is good",
            systems=("S018",),
            headline=say(text, value=value, days=self.horizon_days),
            picture="lifetime_value",
        )


def lifetime_value(study: Study, *, days: int = 365, discount_rate: float = 0.1) -> LifetimeValue:
    """Add up survival times value of the first days of a newcomer.

    Parameters
    ----------
    study : Study
        The members and what they brought.
    days : int
        Days to add up; beyond the observed ones they are extrapolated.
    discount_rate : float
        Yearly discount rate.
    """
    cells = value_days(study.activity, study.population, as_of=study.as_of, began=study.began, days=days)
    table, curve = newcomer_value(
        cells, discount_rate=discount_rate, confidence=study.confidence, draws=study.draws, seed=study.seed
    )
    return LifetimeValue(study, table, curve, days, discount_rate)
