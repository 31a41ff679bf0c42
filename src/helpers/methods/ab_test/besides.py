"""What stands beside the reading: how many units it takes, covariates, the Bayesian reading, and the proof of the method."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import ibis
import numpy as np
import pandas as pd

from helpers.figures import Chart, NoChart
from helpers.methods.ab_test import plots, power
from helpers.methods.ab_test.bayes import believe
from helpers.methods.ab_test.effects import NO_GAIN, Contrast
from helpers.methods.ab_test.moments import Moments
from helpers.methods.ab_test.outcomes import Outcome, foreseen
from helpers.methods.ab_test.plan import Period, Plan
from helpers.methods.ab_test.randomise import Mechanism, Proof, cluster_runs, prove, unit_runs
from helpers.methods.ab_test.reading import Reading
from helpers.methods.ab_test.readings import moments_of, units
from helpers.methods.ab_test.results import Design, Guarded, Trust, units_of
from helpers.methods.ab_test.sequential import boundaries
from helpers.playbook.finding import Finding, finding
from helpers.playbook.result import Part, Result
from helpers.playbook.thresholds import threshold
from helpers.sentences import percent, say, with_bounds
from helpers.stats.estimate import Estimate
from helpers.study import Study
from helpers.tables import Table

PAST_DAYS = 56
"""Days of traffic that the days needed are counted from."""


@dataclass(frozen=True, repr=False)
class Sample(Result):
    """How many units the test takes, and what it can find with those it has.

    Attributes
    ----------
    plan : Plan
        The design.
    base : Baseline or None
        Level and variance of the primary metric without the change, and what looks cost; None when not on record.
    units, final : int
        Units with a complete outcome, and as many as are expected at the end, in two arms together.
    traffic : pandas.Series
        Units that came by the end of each day of the past, where the test is only planned.
    """

    plan: Plan = field(repr=False)
    base: power.Baseline | None
    units: int
    final: int
    traffic: pd.Series = field(repr=False)

    @property
    def needed(self) -> int:
        """Units in both arms that find the smallest effect worth having with the power of the plan."""
        assert self.base is not None, "it is known"
        return power.needed(self.base, self.plan.smallest_effect, self._alpha, self.plan.power)

    @property
    def _alpha(self) -> float:
        return self.plan.alpha / (len(self.plan.arms) - 1)

    def finds(self, units: float) -> float:
        """Return the smallest lift that so many units find."""
        assert self.base is not None, "it is known"
        return float(power.detectable(self.base, units, self._alpha, self.plan.power))

    @property
    def sentence(self) -> str:
        """Units and days that are needed, and what those of the test can find."""
        plan = self.plan
        if self.base is None:
            return say(
                "How many units it takes cannot be told: {metric} is not on record yet.",
                metric=plan.primary.name,
            )
        text = "A gain of {smallest} in {metric} takes {needed:,} {units} in both arms to be found in {power} of such tests. "
        rest = "With the {final:,} that are expected by {end}, the smallest gain found so often is {lift}."
        words = {
            "smallest": percent(plan.smallest_effect, 0),
            "metric": plan.primary.name,
            "needed": self.needed,
        }
        words |= {"units": say(units_of(plan)), "power": percent(plan.power, 0), "end": plan.end}
        if not self.final:
            reached = self.traffic[self.traffic >= self.needed]
            days = (
                str(int(reached.index[0]) + plan.outcome_days)
                if len(reached)
                else say("more than {d}", d=PAST_DAYS)
            )
            rest = "Counting from the {units} of the last {past} days, that is {days} days, the days of outcome included."
            words |= {"days": days, "past": PAST_DAYS}
        return say(text + rest, final=self.final, lift=percent(self.finds(max(self.final, 2)), 0), **words)

    def parts(self) -> Iterator[Part]:
        """Yield what it takes, and why a fixed number of exposures is no plan."""
        yield self.sentence
        if self.base is not None:
            rule = int(threshold("ab_test.exposures").value)
            text = (
                "The rule of {rule:,} {units} an arm would find a gain of {lift} here, and nothing smaller."
            )
            yield say(text, rule=rule, units=say(units_of(self.plan)), lift=percent(self.finds(2 * rule), 0))
            yield self.figure()

    def figure(self) -> Chart:
        """Draw the smallest lift found against the units."""
        assert self.base is not None, "it is known"
        marks = {
            say("needed"): self.needed,
            say("rule of thumb"): 2 * int(threshold("ab_test.exposures").value),
        }
        marks |= {say("at the end"): self.final} if self.final else {}
        grid = np.geomspace(min(marks.values()) / 4, max(marks.values()) * 2, 40).round()
        rows = pd.DataFrame({"units": grid, "lift": [self.finds(each) for each in grid]})
        title = say("{needed:,} {units} find a gain of {smallest}", needed=self.needed, units=say(units_of(self.plan)),
                    smallest=percent(self.plan.smallest_effect, 0))  # fmt: skip
        note = say("{metric}; power {power}, alpha {alpha}, looks counted.", metric=self.plan.primary.name,
                   power=percent(self.plan.power, 0), alpha=percent(self.plan.alpha, 0))  # fmt: skip
        return plots.detectable(rows, title, self.plan.smallest_effect, marks, note)

    def findings(self) -> Iterator[Finding]:
        """Yield what the test can find at its end."""
        if self.base is not None and self.final:
            lift = self.finds(self.final)
            size = Estimate(lift, lift, lift, self.units, "share", "normal power", 1 - self.plan.alpha)
            yield finding(
                size, id="ab_test.detectable", metric=say("Smallest gain that the test finds"), scope=self.plan.experiment,
                sentence=self.sentence, assumption=say("units keep coming as they did"), systems=("S057",),
                n_of=units_of(self.plan), definition="detectable",
            )  # fmt: skip


def sample(study: Study, planned: Design, trust: Trust) -> Sample:
    """Return how many units the test takes: from the past when it is planned, from its control when it is read."""
    plan, nothing = planned.plan, pd.Series(dtype=float)
    if planned.planning:
        past = _past(study, plan)
        base = None if past is None else _baseline(plan, past, plan.looks)
        return Sample(study, plan, base, 0, 0, _traffic(study))
    if trust.reason:
        return Sample(study, plan, None, 0, 0, nothing)
    cells = moments_of(study, plan, plan.primary)
    moments = cells.moments.merge(2).cumulate(1)
    pair = np.swapaxes(moments.n[:2], 0, 1)
    expected = foreseen(plan, pair, cells.looks)
    base = _baseline(plan, moments.at((0, -1)), plan.looks)
    return Sample(study, plan, base, int(pair[-1].sum()), int(expected.sum()), nothing)


def _baseline(plan: Plan, moments: Moments, looks: Sequence[dt.date]) -> power.Baseline | None:
    """Return level and variance of one unit; a ratio as it is linearised (delta method)."""
    if moments.n < 2 or moments.mean[0] <= 0:
        return None
    mean, spread = float(moments.mean[0]), moments.cross / (moments.n - 1)
    variance = float(spread[0, 0])
    if plan.primary.kind == "ratio":
        below, mean = float(moments.mean[1]), mean / float(moments.mean[1])
        variance = float(spread[0, 0] - 2 * mean * spread[0, 1] + mean**2 * spread[1, 1]) / below**2
    steps = np.linspace(0, 1, len(looks) + 1)[1:]
    alpha = plan.alpha / (len(plan.arms) - 1)
    bounds = boundaries(steps, alpha, plan.spending, final=True, hybrid=plan.hybrid)
    cost = power.inflation_of_looks(bounds, alpha, plan.power)
    share = plan.allocation[-1].shares
    return power.Baseline(plan.primary.kind, mean, variance, share[1] / (share[0] + share[1]), cost)


def _past(study: Study, plan: Plan) -> Moments | None:
    """Return the primary metric of today's members over the last days of outcome, as if nobody had been treated."""
    day = study.as_of - dt.timedelta(days=plan.outcome_days)
    if plan.unit != "member" or plan.primary.table not in ("orders", "events"):
        return None
    begun = ibis.timestamp(pd.Timestamp(day, tz=study.report_tz).tz_convert("UTC"))
    people = study.present.select(unit_id="member_id").mutate(
        exp_id=ibis.literal(plan.experiment), unit_type=ibis.literal("member"), arm=ibis.literal(plan.arms[0]),
        assigned_at=begun, exposed_at=ibis.null("timestamp('UTC')"),
    )  # fmt: skip
    whole = Period(start=day, shares=plan.allocation[0].shares)
    then = {
        "start": day,
        "end": study.as_of,
        "looks": (study.as_of,),
        "allocation": (whole,),
        "design": "simple",
    }
    trial = replace(study, dataset=study.dataset.replace(assignments=people))
    return moments_of(trial, plan.model_copy(update=then), plan.primary).moments.merge(2).merge(1).at(0)


def _traffic(study: Study) -> pd.Series:
    """Return how many different members had been active by the end of each of the last days, by day from 1."""
    days = study.member_days
    days = days.filter(
        days.day > ibis.date(study.as_of - dt.timedelta(days=PAST_DAYS)), days.day <= ibis.date(study.as_of)
    )
    first = days.group_by("member_id").agg(day=days.day.min())
    counts = first.group_by("day").agg(n=first.count()).execute().set_index("day")["n"]
    every = pd.date_range(end=pd.Timestamp(study.as_of), periods=PAST_DAYS)
    counts.index = pd.to_datetime(counts.index)
    return counts.reindex(every, fill_value=0).cumsum().reset_index(drop=True).rename(lambda place: place + 1)


@dataclass(frozen=True, repr=False)
class Beliefs(Guarded):
    """The Bayesian reading of the primary metric, and what covariates gain; for those who ask."""

    reading: Reading = field(repr=False)

    @property
    def rows(self) -> pd.DataFrame:
        """variant, chance (that it is better), loss (expected, when shipped and worse), above (the smallest effect)."""
        found = [each for each in self.reading.of("primary") if np.isfinite(each.now.log_lift).all()]
        names = [self.plan.arms[each.arm] for each in found]
        lifts, errors = np.array([each.now.log_lift for each in found]).reshape(-1, 2).T
        sign = 1 if self.plan.primary.direction == "up" else -1
        told = believe(sign * lifts, errors, 1 - self.plan.alpha)
        above = told.above(float(np.log1p(self.plan.smallest_effect)))
        return pd.DataFrame({"variant": names, "chance": told.chance, "loss": told.loss, "above": above})

    @property
    def sentence(self) -> str:
        """How probable it is that each variant is better, without a prior."""
        text = "The chance that {variant} is better is {chance}, that it is better by at least {smallest} {above}."
        rows = self.rows
        if rows.empty:
            return say("A relative effect is not defined here, so there is no Bayesian reading.")
        words = (
            dict(
                zip(
                    ("variant", "chance", "above"),
                    (row.variant, percent(row.chance), percent(row.above)),
                    strict=True,
                )
            )
            for row in rows.itertuples()
        )
        return " ".join(say(text, smallest=percent(self.plan.smallest_effect, 0), **each) for each in words)

    def tables(self) -> Iterator[Table]:
        """Yield the beliefs, and each metric with and without covariates."""
        shares = dict.fromkeys(("chance", "loss", "above"), "share")
        yield Table("beliefs", self.rows, say("Bayesian reading, without a prior"), shares)
        rows = [_adjusted(each) for each in self.reading.outcomes if each.metric.covariates]
        columns = ["metric", "variant", "plain", "adjusted", "gain"]
        if rows:
            yield Table(
                "covariates", pd.DataFrame(rows, columns=columns), say("The same with and without covariates")
            )


def _adjusted(one: Outcome) -> tuple[str, ...]:
    plain, now = one.at(-1, found=one.plain), one.now
    gain = 1 - (now.error / plain.error) ** 2
    said = say("{gain} of the variance", gain=percent(gain)) if gain >= NO_GAIN else say("no gain")
    return (
        one.metric.name,
        one.plan.arms[one.arm],
        with_bounds(plain.difference),
        with_bounds(now.difference),
        said,
    )


@dataclass(frozen=True, repr=False)
class Proven(Guarded):
    """An A/A on the rows of this test: how often the method would have called an effect where there is none."""

    proof: Proof | None

    @property
    def sentence(self) -> str:
        """False alarms of the method, beside those of naive peeking."""
        assert self.proof is not None, "it is read"
        text = (
            "With no effect at all this method would have called one in {ours} of {runs:,} re-draws of these very "
            "{units} (promised: {alpha}); whoever stops at the first naive p below {alpha} in {naive}."
        )
        shares = {"ours": percent(self.proof.false_alarms.value), "naive": percent(self.proof.naive.value)}
        return say(
            text,
            runs=self.proof.false_alarms.n,
            units=say(units_of(self.plan)),
            alpha=percent(self.plan.alpha, 0),
            **shares,
        )

    def figure(self) -> Chart | NoChart | None:
        """Draw the false alarms up to each look."""
        assert self.proof is not None, "it is read"
        ours, naive = self.proof.by_look.T
        rows = pd.DataFrame({"look": np.arange(1, len(ours) + 1), "ours": ours, "naive": naive})
        note = say(
            "{runs:,} times assigned anew as the design assigns, without an effect.", runs=self.proof.false_alarms.n
        )
        return plots.false_alarms(rows, self.sentence, self.plan.alpha, note)

    def tables(self) -> Iterator[Table]:
        """Yield the error rates with their Monte-Carlo errors."""
        assert self.proof is not None, "it is read"
        kinds = {"false alarms, ours": "false_alarms", "false alarms, naive": "naive"}
        kinds |= {"power at the smallest effect worth having": "power", "coverage of the interval": "covered"}
        rows = [(name, *getattr(self.proof, kind)[:3]) for name, kind in kinds.items()]
        frame = pd.DataFrame(rows, columns=["what", "share", "low", "high"])
        yield Table(
            "proof", frame, say("Error rates by re-randomisation"), dict.fromkeys(frame.columns[1:], "share")
        )


def beliefs(study: Study, reading: Reading) -> Beliefs:
    """Return the Bayesian reading, and what covariates gain."""
    return Beliefs(study, reading.plan, reading.reason, reading)


def proof(study: Study, reading: Reading, runs: int) -> Proven:
    """Return error rates of the method on the units of the first variant and the control, assigned anew by the design."""
    plan = reading.plan
    if reading.reason or plan.primary.of_arms:
        return Proven(
            study,
            plan,
            reading.reason or say("Sums of arms have no units that could be assigned anew."),
            None,
        )
    one, rows = reading.of("primary")[0], units(study, plan, plan.primary)
    rows = rows[rows["arm"].isin([0, 1])]
    drawn = (
        _clusters(plan, rows, runs, study.seed)
        if plan.clustered
        else _units(plan, one, rows, runs, study.seed)
    )
    sign = 1 if plan.primary.direction == "up" else -1
    return Proven(study, plan, "", prove(drawn, one.bounds, plan.alpha, sign * plan.smallest_effect))


def _units(plan: Plan, one: Outcome, rows: pd.DataFrame, runs: int, seed: int) -> Iterator[Contrast]:
    """Assign units anew, by the chance of their period or shuffled within their block."""
    treated, stratum = rows["arm"].to_numpy() == 1, rows["stratum"].to_numpy(int)
    shares = np.array([period.shares[:2] for period in plan.allocation])
    chance = (shares[:, 1] / shares.sum(axis=1))[one.cells.strata["period"].to_numpy(int)]
    blocked = plan.design == "blocked"
    mechanism = Mechanism(treated, None if blocked else chance[stratum], stratum if blocked else None)
    names = tuple(rows.columns.drop(["arm", "look", "stratum"]))
    return unit_runs(rows, names, plan.primary.kind, mechanism, runs, seed)


def _clusters(plan: Plan, rows: pd.DataFrame, runs: int, seed: int) -> Iterator[Contrast]:
    """Assign clusters anew, with what each has gathered by each look."""
    below = "denominator" if plan.primary.kind == "ratio" else "n"
    outcome, size = (
        rows.assign(n=1.0).pivot_table(name, "look", "cluster", "sum", fill_value=0).cumsum()
        for name in ("outcome", below)
    )
    treated = rows.groupby("cluster")["arm"].first().to_numpy() == 1
    return cluster_runs(outcome, size, Mechanism(treated), runs, seed)
