"""What rules of thumb say: how all cost is spread, how much core platforms have, and what a rule for it costs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from helpers.errors import BadParameters
from helpers.methods.budget.allocate import allocate
from helpers.methods.budget.results import Told
from helpers.methods.budget.returns import Lines
from helpers.methods.budget.terms import WEEKS_OF_MONTH, Share, Terms, responses_of
from helpers.methods.budget.weekly import entries
from helpers.playbook.finding import Finding
from helpers.playbook.result import Part
from helpers.playbook.thresholds import threshold
from helpers.sentences import percent, say, with_bounds
from helpers.stats.estimate import Estimate, normal_estimate, unknown
from helpers.study import Study
from helpers.tables import Table

# The rule of thumb for all cost.
TEMPLATE = {"content": 0.40, "ads": 0.35, "tools": 0.25}
# A core share of 55 to 60 %.
CORE_WIDTH = 0.05
CORE = (
    "Core platforms had {share} of advertising; a rule asks for {low} to {high}. By the mean curves, keeping to it "
    "costs {price} of margin a month, and one point of share more or less would bring {point}."
)
ADS = "Advertising takes {share} of all cost; the rule of thumb gives it {rule}. It is a rule, not a result."


def costs(study: Study) -> pd.DataFrame:
    """Return money by month (rows) and kind of the table ``costs``; no rows where there is none."""
    rows = entries(study).groupby(["month", "kind"])["amount"].sum()
    table = rows.unstack(fill_value=0)
    return table.assign(ads=table.get("ads", 0.0)).astype(float)


def shocks(study: Study) -> tuple[float, ...]:
    """Return by how much each month's cost other than advertising was above the median month."""
    other = costs(study).drop(columns="ads").sum(axis=1)
    return tuple(np.maximum(other - other.median(), 0.0))


def mean_share(part: pd.Series, whole: pd.Series, confidence: float) -> Estimate:
    """Return the mean over periods of the share that a part has in the whole."""
    each = (part / whole)[whole > 0]
    if len(each) < 2:
        return unknown(len(each), "share", confidence)
    error, n, named = float(each.std()) / np.sqrt(len(each)), len(each), "Student's t over periods"
    mean = float(each.mean())
    return normal_estimate(mean, error, n, "share", named, confidence, degrees=n - 1, bounds=(0, 1))


@dataclass(frozen=True, repr=False)
class House(Told):
    """What rules of thumb say.

    Attributes
    ----------
    months : pandas.DataFrame
        Money by month (rows) and kind of cost.
    core : Estimate
        Share of core platforms in advertising.
    price, point : float
        Margin of a month that a rule for it costs by the mean curves, and what one point of share would bring; NaN
        when no plan keeps it, or none is proposed.
    """

    months: pd.DataFrame = field(repr=False)
    core: Estimate
    price: float = np.nan
    point: float = np.nan

    @property
    def ads(self) -> Estimate:
        """Share of advertising in all cost."""
        return mean_share(self.months["ads"], self.months.sum(axis=1), self.study.confidence)

    @property
    def sentence(self) -> str:
        """What part of all cost advertising takes."""
        text = ADS if self.ads.known else "How cost is spread: there are too few months of it on record."
        return say(text, share=with_bounds(self.ads), rule=percent(threshold("budget.ads_share").value, 0))

    @property
    def core_sentence(self) -> str:
        """What part core platforms have, and what the rule costs."""
        low, text = threshold("budget.core_share").value, "Core platforms had {share} of advertising."
        text = CORE if np.isfinite(self.price) else text if self.core.known else "No platform is called core."
        rule = {"low": percent(low, 0), "high": percent(low + CORE_WIDTH, 0)}
        price, point = self.cash(self.price), self.cash(self.point)
        return say(text, share=with_bounds(self.core), price=price, point=point, **rule)

    def parts(self) -> Iterator[Part]:
        """Yield both rules, and cost by kind."""
        yield self.sentence
        yield self.core_sentence
        total, ledger = self.months.sum().sort_values(ascending=False), entries(self.study)
        fixed = ledger["amount"].where(ledger["fixed"].fillna(False).astype(bool), 0.0)
        rows = pd.DataFrame({"amount_a_month": total / len(self.months), "share": total / total.sum()})
        rows = rows.assign(
            rule_of_thumb=pd.Series(TEMPLATE), of_that_fixed=fixed.groupby(ledger["kind"]).sum() / total
        )
        units = dict.fromkeys(map(str, rows), "share") | {"amount_a_month": self.study.currency}
        caption = say("Cost by kind over {n} months", n=len(self.months))
        yield Table("costs", rows.rename_axis("kind").reset_index(), caption, units)

    def findings(self) -> Iterator[Finding]:
        """State the share of core platforms in advertising, and of advertising in all cost."""
        metric = say("Share of advertising on core platforms")
        named = ("core_share", metric, self.core_sentence, "core_share", "S074")
        yield self.state(self.core, *named, assumption=say("weeks to come are like those on record"))
        metric, more = (
            say("Share of advertising in all cost"),
            {"assumption": say("the ledger of costs is complete")},
        )
        systems = ("S073", "S076", "S082")
        yield self.state(
            self.ads, "ads_share", metric, self.sentence, "cost_share", *systems, n_of="periods", **more
        )


def house(study: Study, lines: Lines, platforms: Sequence[str] = ()) -> House:
    """Return what rules of thumb say, and what a rule for core platforms costs.

    Parameters
    ----------
    study : Study
        With ``costs``, where cost by kind is asked for.
    lines : Lines
        What each line brings.
    platforms : sequence of str
        Core platforms.
    """
    found, frame = lines.fitted.usable, lines.fitted.weeks.weekly
    inside = tuple(str(line) for line in frame.spend if frame.lines.at[line, "platform"] in platforms)
    core = mean_share(frame.spend[[*inside]].sum(axis=1), frame.spend.sum(axis=1), study.confidence)
    core = core if inside else unknown(len(frame.outcome), "share", study.confidence)
    told = House(study, costs(study), core)
    if found is None or not inside:
        return told
    today = WEEKS_OF_MONTH * lines.table["spend"].map(lambda one: one.value)
    rows = pd.DataFrame({"today": today, "low": 0.0, "high": WEEKS_OF_MONTH * frame.spend.max()})
    low, value = threshold("budget.core_share").value, lines.turnover * lines.margin
    rules: tuple[tuple[Share, ...], ...] = ((), (Share("core", inside, low, low + CORE_WIDTH),))
    terms = [Terms(float(today.sum()), rows, rule, value=value, currency=study.currency) for rule in rules]
    try:
        free, kept = (allocate(responses_of(found), each) for each in terms)
    except BadParameters:  # no plan of today's money keeps the rule
        return told
    point = dict(kept.prices.to_numpy()).get("share: core", 0.0)
    return replace(told, price=max(free.objective - kept.objective, 0.0), point=max(point, 0.0))
