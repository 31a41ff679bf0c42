"""What stands beside the reading: error rates on the test's own units, the Bayesian reading, covariates, delivery."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from helpers.figures import Chart
from helpers.methods.ab_test import bayes, clusters, plots, randomise, readings
from helpers.methods.ab_test.effects import NO_GAIN, Contrast, reached
from helpers.methods.ab_test.outcomes import Outcome
from helpers.methods.ab_test.reading import Beside, Reading
from helpers.methods.ab_test.results import Guarded, changed
from helpers.methods.ab_test.units import DELIVERED
from helpers.playbook.finding import Finding
from helpers.playbook.result import Part
from helpers.sentences import Verbatim, percent, say
from helpers.stats.estimate import Estimate
from helpers.study import Study
from helpers.tables import Table

MOST_UNITS = 50_000
"""Above so many a sample is assigned anew: it tells how often the method errs, but neither its power nor a p."""
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
    sample : int
        Units of the sample that was assigned anew; 0 when it was all of them.
    """

    proof: randomise.Proof | None
    promised: float
    anew: float | None = None
    sample: int = 0

    @property
    def sentence(self) -> str:
        """False alarms of the method, beside those of naive peeking."""
        assert self.proof is not None, "it is read"
        text = (
            "Without any effect this method would have called one in {ours} of {runs:,} draws of these very {units} "
            "(allowed up to this look: {promised}), and whoever stops at the first p below {alpha} in {naive}."
        )
        if self.sample:
            text = (
                "Without any effect this method would have called one in {ours} of {runs:,} draws of a random "
                "{sample:,} of these {units} (allowed up to this look: {promised}), and whoever stops at the first p "
                "below {alpha} in {naive}."
            )
        ours, naive = percent(self.proof.false_alarms.value), percent(self.proof.naive.value)
        words = {"promised": percent(self.promised), "ours": ours, "naive": naive}
        return self.said(text, runs=self.proof.naive.n, sample=self.sample, **words)

    def parts(self) -> Iterator[Part]:
        """Yield the error rates, and the p that needs no distribution."""
        yield from super().parts()
        if not self.reason and self.anew is not None:
            text = "Of {n:,} ways to assign them, {p} show as large a difference in {metric} as the recorded one."
            yield self.said(text, n=randomise.DRAWS, p=percent(self.anew))

    def figure(self) -> Chart:
        """Draw the false alarms up to each look."""
        assert self.proof is not None, "it is read"
        ours, naive = self.proof.by_look.T
        rows = pd.DataFrame({"look": np.arange(1, len(ours) + 1), "ours": ours, "naive": naive})
        text = (
            "With no effect, stopping at p below {alpha} cries wolf in {naive} of tests, this plan in {ours}"
        )
        title = self.said(text, naive=percent(naive[-1], 0), ours=percent(ours[-1], 0))
        text = "The {units} of the test assigned anew, without an effect."
        if self.sample:
            text = "A random {sample:,} of the {units} of the test assigned anew, without an effect."
        note = self.said(text, sample=self.sample)
        return plots.false_alarms(rows, title, self.plan.alpha, note)

    def tables(self) -> Iterator[Table]:
        """Yield the error rates with their Monte-Carlo errors."""
        told = {kind: words for kind, words in KINDS.items() if not (self.sample and kind == "power")}
        rows = [(say(words), *getattr(self.proof, kind)[:3]) for kind, words in told.items()]
        frame = pd.DataFrame(rows, columns=["what", "share", "low", "high"])
        shares = dict.fromkeys(frame.columns[1:], "share")
        text = "Error rates by assigning anew"
        if self.sample:
            text = "Error rates by assigning anew a random {sample:,} of the {units}"
        yield Table("proof", frame, self.said(text, sample=self.sample), shares)

    def read(self) -> Iterator[Finding]:
        """Yield the false alarms of the method."""
        if self.proof is not None:
            yield self.stated(self.proof.false_alarms, "false_alarms", self.sentence, n_of="draws")


def proof(study: Study, reading: Reading, runs: int) -> Proven:
    """Return error rates of the method on the units of control and first variant, assigned anew by the design.

    Of more than `MOST_UNITS` units a sample is, drawn by a hash of their ids.
    """
    plan = reading.plan
    arms_only = say("Sums of arms have no units that could be assigned anew.") if plan.primary.of_arms else ""
    if reason := reading.reason or arms_only:
        return Proven(study, plan, reason, None, np.nan)
    one = reading.of("primary")[0]
    drawn, anew, sample = _clusters(study, one, runs) if plan.clustered else _units(study, one, runs)
    proven = randomise.prove(drawn, one.bounds, plan.alpha, one.sign * plan.smallest_effect)
    return Proven(study, plan, "", proven, float(one.bounds.spent[-1]), anew, sample)


def _units(study: Study, one: Outcome, runs: int) -> tuple[Iterator[Contrast], float | None, int]:
    """Assign units anew: by the chance of their period, or shuffled within their block."""
    plan, names = one.plan, one.cells.moments.names
    share = min(MOST_UNITS / max(float(one.cells.moments.n.sum()), 1.0), 1.0)
    rows = readings.units(study, plan, one.metric, share)
    rows = rows[rows["arm"].isin([0, 1])]
    stratum, shares = rows["stratum"].to_numpy(int), np.array([each.shares[:2] for each in plan.allocation])
    by_period = (shares[:, 1] / shares.sum(axis=1))[one.cells.strata["period"].to_numpy(int)]
    chance = None if plan.design == "blocked" else by_period[stratum]
    mechanism = randomise.Mechanism(rows["arm"].to_numpy() == 1, pd.factorize(stratum)[0], chance)
    kind, looks = one.metric.kind, len(one.bounds.win)
    drawn = randomise.unit_runs(rows, names, kind, mechanism, looks, runs, study.seed)
    if share < 1:
        return drawn, None, len(rows)
    below = rows.get("denominator")
    return drawn, randomise.randomisation_p(rows["outcome"], mechanism, study.seed, denominator=below), 0


def _clusters(study: Study, one: Outcome, runs: int) -> tuple[Iterator[Contrast], float | None, int]:
    """Assign clusters anew, with what each has gathered by each look."""
    below = "denominator" if one.metric.kind == "ratio" else "n"
    treated, total, size, _ = clusters.gathered(one.cells.clusters, len(one.bounds.win), below)
    mechanism = randomise.Mechanism(treated, np.zeros(len(treated), int))
    drawn = randomise.cluster_runs(total, size, mechanism, runs, study.seed)
    return drawn, randomise.randomisation_p(total[-1], mechanism, study.seed, denominator=size[-1]), 0


@dataclass(frozen=True, repr=False)
class Beliefs(Beside):
    """The Bayesian reading of the primary metric, what covariates gain, and the effect on those who were reached.

    Attributes
    ----------
    delivered : Estimate or None
        Effect on those whom the first variant reached.
    """

    delivered: Estimate | None

    @property
    def rows(self) -> pd.DataFrame:
        """Of each variant: chance that it is better, or by the smallest effect, and expected loss of a mistake."""
        every = self.reading.of("primary")
        found = [each for each in every if np.isfinite(each.now.log_lift).all()]
        lifts, errors = np.array([each.now.log_lift for each in found]).reshape(-1, 2).T
        last = [each.contrasts.at(-1) for each in found]
        common = [float(one.covariance[0, 0] / one.levels[0] ** 2) for one in last if len(last) > 1]
        least = float(np.log1p(self.plan.smallest_effect))
        told = bayes.believe(every[0].sign * lifts, errors, least, shared=min(common, default=0.0))
        told.insert(0, "variant", [self.plan.arms[each.arm] for each in found])
        return told

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
        """Yield the chances with their tables, the effect on those reached, and the query."""
        yield from super().parts()
        if self.reason:
            return
        text = "Who was reached by {arm} is not on record, so nothing is said of them alone."
        if self.delivered is not None and self.delivered.known:
            text = "Among those whom {arm} reached it changed {metric} by {by}."
        yield self.said(text, by=changed(self.delivered) if self.delivered else "")
        query = " ".join(self.reading.outcomes[0].cells.sql.split())
        text = "No row of a unit leaves the engine for a reading. The query for {metric}: {query}"
        yield self.said(text, query=Verbatim(query))

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
        cells = readings.moments_of(study, plan, plan.primary.model_copy(update={"covariates": (DELIVERED,)}))
        unit = reading.of("primary")[0].unit
        delivered = reached(cells.moments.merge(1), 1 - plan.alpha, unit)
    return Beliefs(study, plan, reading.reason, reading, delivered)


def _chance(share: float) -> str:
    """Return a chance in words; nothing is certain."""
    if 0.001 <= share <= 0.999:
        return percent(share)
    return say("above 99.9 %") if share > 0.5 else say("below 0.1 %")


def _adjusted(one: Outcome) -> tuple[str, ...]:
    names = one.cells.moments.plain.names
    plain, now = one.at(-1, found=one.cells.contrasts(one.plan, one.metric.kind, names, one.arm)), one.now
    gain = 1 - (now.error / plain.error) ** 2
    said = say("{gain} of the variance", gain=percent(gain)) if gain >= NO_GAIN else say("no gain")
    return one.metric.name, one.plan.arms[one.arm], changed(plain.difference), changed(now.difference), said
