"""What stands beside the reading: error rates on the test's own units, the Bayesian reading, covariates, delivery."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from helpers.figures import Chart
from helpers.methods.ab_test import plots
from helpers.methods.ab_test.bayes import believe
from helpers.methods.ab_test.effects import NO_GAIN, Contrast, reached
from helpers.methods.ab_test.outcomes import Outcome
from helpers.methods.ab_test.randomise import (
    DRAWS,
    Mechanism,
    Proof,
    cluster_runs,
    prove,
    randomisation_p,
    unit_runs,
)
from helpers.methods.ab_test.reading import Reading
from helpers.methods.ab_test.readings import moments_of, units
from helpers.methods.ab_test.results import Guarded, changed
from helpers.methods.ab_test.units import DELIVERED
from helpers.playbook.finding import Finding
from helpers.playbook.result import Part
from helpers.sentences import percent, say
from helpers.stats.estimate import Estimate
from helpers.study import Study
from helpers.tables import Table

KINDS = {
    "false_alarms": "false alarms of this method",
    "naive": "false alarms of whoever ignores the looks",
    "power": "found, when the smallest effect worth having is there",
    "covered": "intervals that hold the truth",
}


@dataclass(frozen=True, repr=False)
class Proven(Guarded):
    """An A/A on the units of this test: how often the method would have called an effect where there is none.

    Attributes
    ----------
    proof : Proof or None
        Error rates; None when the test is not read.
    promised : float
        False alarms that the plan allows up to the newest look.
    anew : float or None
        How often a difference as large as the recorded one came up, without an effect, at this look.
    """

    proof: Proof | None
    promised: float
    anew: float | None = None

    @property
    def sentence(self) -> str:
        """False alarms of the method, beside those of naive peeking."""
        assert self.proof is not None, "it is read"
        text = (
            "Without any effect this method would have called one in {ours} of {runs:,} draws of these very {units} "
            "(allowed up to this look: {promised}), and whoever stops at the first p below {alpha} in {naive}."
        )
        ours, naive = percent(self.proof.false_alarms.value), percent(self.proof.naive.value)
        words = {"runs": self.proof.naive.n, "promised": percent(self.promised), "ours": ours, "naive": naive}
        return self.said(text, **words)

    def parts(self) -> Iterator[Part]:
        """Yield the error rates, and the p that needs no distribution."""
        yield from super().parts()
        if not self.reason and self.anew is not None:
            text = "Of {n:,} ways to assign them, {p} show as large a difference in {metric} as the recorded one."
            yield self.said(text, n=DRAWS, p=percent(self.anew))

    def figure(self) -> Chart:
        """Draw the false alarms up to each look."""
        assert self.proof is not None, "it is read"
        ours, naive = self.proof.by_look.T
        rows = pd.DataFrame({"look": np.arange(1, len(ours) + 1), "ours": ours, "naive": naive})
        title = say("Without an effect, who ignores the looks is fooled in {naive}, this method in {ours}",
                    naive=percent(naive[-1], 0), ours=percent(ours[-1], 0))  # fmt: skip
        note = self.said("The {units} of the test assigned anew, without an effect.")
        return plots.false_alarms(rows, title, self.plan.alpha, note)

    def tables(self) -> Iterator[Table]:
        """Yield the error rates with their Monte-Carlo errors."""
        rows = [(say(words), *getattr(self.proof, kind)[:3]) for kind, words in KINDS.items()]
        frame = pd.DataFrame(rows, columns=["what", "share", "low", "high"])
        shares = dict.fromkeys(frame.columns[1:], "share")
        yield Table("proof", frame, say("Error rates by assigning anew"), shares)

    def read(self) -> Iterator[Finding]:
        """Yield the false alarms of the method."""
        if self.proof is not None:
            yield self.stated(
                self.proof.false_alarms, "false_alarms", say("False alarms of this method"), self.sentence,
                n_of="draws", assumption=say("the recorded design was kept"),
            )  # fmt: skip


def proof(study: Study, reading: Reading, runs: int) -> Proven:
    """Return error rates of the method on the units of control and first variant, assigned anew by the design."""
    plan = reading.plan
    reason = reading.reason
    if plan.primary.of_arms:
        reason = reason or say("Sums of arms have no units that could be assigned anew.")
    if reason:
        return Proven(study, plan, reason, None, np.nan)
    one, rows = reading.of("primary")[0], units(study, plan, plan.primary)
    rows = rows[rows["arm"].isin([0, 1])]
    drawn, anew = (_clusters if plan.clustered else _units)(one, rows, runs, study.seed)
    lift = one.sign * plan.smallest_effect
    spent = float(one.bounds.spent[-1])
    promised = spent if np.isfinite(spent) else plan.alpha
    return Proven(study, plan, "", prove(drawn, one.bounds, plan.alpha, lift), promised, anew)


def _units(one: Outcome, rows: pd.DataFrame, runs: int, seed: int) -> tuple[Iterator[Contrast], float]:
    """Assign units anew: by the chance of their period, or shuffled within their block."""
    plan, treated, stratum = one.plan, rows["arm"].to_numpy() == 1, rows["stratum"].to_numpy(int)
    shares = np.array([period.shares[:2] for period in plan.allocation])
    chance = (shares[:, 1] / shares.sum(axis=1))[one.cells.strata["period"].to_numpy(int)][stratum]
    mechanism = Mechanism(treated, block=stratum) if plan.design == "blocked" else Mechanism(treated, chance)
    names = tuple(rows.columns.drop(["arm", "look", "stratum"]))
    drawn = unit_runs(rows, names, plan.primary.kind, mechanism, len(one.bounds.win), runs, seed)
    return drawn, randomisation_p(rows["outcome"], mechanism, seed, denominator=rows.get("denominator"))


def _clusters(one: Outcome, rows: pd.DataFrame, runs: int, seed: int) -> tuple[Iterator[Contrast], float]:
    """Assign clusters anew, with what each has gathered by each look."""
    below, every = "denominator" if one.metric.kind == "ratio" else "n", range(len(one.bounds.win))
    total, size = (
        rows.assign(n=1.0).pivot_table(name, "look", "cluster", "sum").reindex(every).fillna(0.0).cumsum()
        for name in ("outcome", below)
    )
    mechanism = Mechanism(rows.groupby("cluster")["arm"].first().to_numpy() == 1)
    drawn = cluster_runs(total, size, mechanism, runs, seed)
    return drawn, randomisation_p(total.iloc[-1], mechanism, seed, denominator=size.iloc[-1])


@dataclass(frozen=True, repr=False)
class Beliefs(Guarded):
    """The Bayesian reading of the primary metric, what covariates gain, and the effect on those who were reached.

    Attributes
    ----------
    reading : Reading
        The scorecard.
    delivered : Estimate or None
        Effect on those whom the first variant reached.
    """

    reading: Reading = field(repr=False)
    delivered: Estimate | None

    @property
    def rows(self) -> pd.DataFrame:
        """Of each variant: chance that it is better, or by the smallest effect, and expected loss of a mistake."""
        least = float(np.log1p(self.plan.smallest_effect))
        found = [each for each in self.reading.of("primary") if np.isfinite(each.now.log_lift).all()]
        columns = ["variant", "chance", "chance_worth_having", "chance_best", "expected_loss"]
        if not found:
            return pd.DataFrame(columns=columns)
        lifts, errors = np.array([each.now.log_lift for each in found]).T
        last = [each.contrasts.at(-1) for each in found]
        shared = min(float(one.covariance[0, 0] / one.levels[0] ** 2) for one in last) * (len(last) > 1)
        told = believe(found[0].sign * lifts, errors, found[0].confidence, shared=shared)
        names = [self.plan.arms[each.arm] for each in found]
        parts = names, told.chance, told.above(least), told.best[1:], told.loss
        return pd.DataFrame(dict(zip(columns, parts, strict=True)))

    @property
    def sentence(self) -> str:
        """How probable it is that each variant is better, without a prior."""
        text = "The chance that {arm} is better is {chance}; by at least {smallest}, {above}."
        told = [
            self.said(text, arm=arm, chance=_chance(chance), above=_chance(above))
            for arm, chance, above, *_ in self.rows.itertuples(index=False)
        ]
        return " ".join(told) or say("A relative effect is not defined here, so nothing is said of chances.")

    def parts(self) -> Iterator[Part]:
        """Yield the chances, the effect on those reached, the query, and the tables."""
        if self.reason:
            yield self.reason
            return
        yield self.sentence
        text = "Who was reached by {arm} is not on record, so nothing is said of them alone."
        if self.delivered is not None and self.delivered.known:
            text = "Among those whom {arm} reached it changed {metric} by {by}."
        yield self.said(text, by=changed(self.delivered) if self.delivered else "")
        query = " ".join(self.reading.outcomes[0].cells.sql.split())
        text = "No row of a unit leaves the engine for a reading. The query for {metric}: {query}"
        yield self.said(text, query=query)
        yield from self.tables()

    def tables(self) -> Iterator[Table]:
        """Yield the beliefs, and each metric with and without covariates."""
        shares = dict.fromkeys(self.rows.columns[1:], "share")
        yield Table("beliefs", self.rows, say("Bayesian reading, without a prior"), shares)
        adjusted = [_adjusted(each) for each in self.reading.outcomes if each.metric.covariates]
        if adjusted:
            columns = ["metric", "variant", "plain", "adjusted", "gain"]
            yield Table(
                "covariates", pd.DataFrame(adjusted, columns=columns), say("With and without covariates")
            )


def beliefs(study: Study, reading: Reading) -> Beliefs:
    """Return the Bayesian reading, what covariates gain, and the effect on those reached."""
    plan, delivered = reading.plan, None
    whole = plan.primary.of_arms or plan.clustered or plan.primary.kind == "ratio"
    if not (reading.reason or whole) and "exposed_at" in study.dataset["assignments"].columns:
        cells = moments_of(study, plan, plan.primary.model_copy(update={"covariates": (DELIVERED,)}))
        unit = reading.of("primary")[0].unit
        delivered = reached(cells.moments.merge(1), 1 - plan.alpha, unit)
    return Beliefs(study, plan, reading.reason, reading, delivered)


def _chance(share: float) -> str:
    """Return a chance in words; nothing is certain."""
    if 0.001 <= share <= 0.999:
        return percent(share)
    return say("above 99.9 %") if share > 0.5 else say("below 0.1 %")


def _adjusted(one: Outcome) -> tuple[str, ...]:
    plain, now = one.at(-1, found=one.plain), one.now
    gain = 1 - (now.error / plain.error) ** 2
    said = say("{gain} of the variance", gain=percent(gain)) if gain >= NO_GAIN else say("no gain")
    differences = changed(plain.difference), changed(now.difference)
    return one.metric.name, one.plan.arms[one.arm], *differences, said
