"""From findings to ranked actions, with expected values by simulation.

Expected value of contacting a group: ``works x size x value x margin x effect - size x cost`` where ``works``
is Bernoulli(probability), ``effect`` is triangular, ``value`` is a normal draw from its interval, cut at zero,
and ``margin`` turns sales into what is left of them. Its mean and equal-tailed interval are reported, so an
action that may well lose money says so. The interval is a prior predictive one: it says what the priors of
``actions.yml`` and the predicted value allow, and an experiment replaces it.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd
import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator
from scipy import stats

from helpers.checks import check_confidence, check_scalar
from helpers.playbook.action import CONFIDENCE_ORDER, Action, ConfidenceClass
from helpers.playbook.finding import Finding
from helpers.playbook.thresholds import threshold
from helpers.sentences import quantity, say

Condition = Literal["known", "better", "worse", "above", "below"]
DRAWS = 20_000


class Opportunity(NamedTuple):
    """A group of members an action may be aimed at.

    Attributes
    ----------
    key : str
        Name used by the rules, such as ``"rfm.recall"``.
    size : int
        Members who would be contacted; the hold-out is not among them.
    value, low, high : float
        Expected value of the next period for each member, with its interval.
    confidence : float
        Confidence level of that interval.
    unit : str
        Currency of the value; a mix of values has none, and then no action can be priced.
    days : int
        Length of the next period; the action is checked when it is over.
    """

    key: str
    size: int
    value: float
    low: float
    high: float
    confidence: float
    unit: str
    days: int = 0


class Effect(BaseModel):
    """Triangular prior of a relative change."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    low: float
    mode: float
    high: float

    @model_validator(mode="after")
    def _ordered(self) -> Effect:
        if not self.low <= self.mode <= self.high or self.low == self.high:
            raise ValueError(
                f"effect {self.low}, {self.mode}, {self.high} must be ordered and not all equal."
            )
        return self


class Rule(BaseModel):
    """One entry of ``actions.yml``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    title: str
    why: str
    systems: tuple[str, ...]
    when: Mapping[str, Condition] = Field(min_length=1)
    threshold: str | None = None
    opportunity: str | None = None
    effect: Effect | None = None
    probability: float | None = Field(default=None, gt=0, le=1)
    prior_origin: str | None = None
    cost: float = Field(default=0, ge=0)
    owner_role: str
    confidence_class: ConfidenceClass
    check_metric: str
    check_after_days: int

    @model_validator(mode="after")
    def _complete(self) -> Rule:
        if self.threshold is not None:
            if threshold(self.threshold).origin == "seed" and self.confidence_class != "rule":
                raise ValueError(f"rule {self.id} compares with a seed threshold, so its class must be rule.")
        elif {"above", "below"} & set(self.when.values()):
            raise ValueError(f"rule {self.id} compares with a threshold but names none.")
        if self.opportunity and (self.effect is None or self.probability is None or not self.prior_origin):
            raise ValueError(f"rule {self.id} has an opportunity but no effect, probability or prior_origin.")
        return self


class Proposal(NamedTuple):
    """What the rules came to.

    Attributes
    ----------
    actions : list of Action
        Best first: by expected value, then by confidence class; actions without a value come last.
    silent : list of (str, str)
        Rules that did not fire, each with the reason.
    """

    actions: list[Action]
    silent: list[tuple[str, str]]

    @property
    def not_fired(self) -> pd.DataFrame:
        """The rules that did not fire as a table: rule, title, reason."""
        titles = {rule.id: rule.title for rule in rules()}
        rows = [(rule, titles[rule], reason) for rule, reason in self.silent]
        return pd.DataFrame(rows, columns=["rule", "title", "reason"])


@cache
def rules(prefix: str = "") -> tuple[Rule, ...]:
    """Return the rules of ``actions.yml`` whose id starts with `prefix`."""
    text = resources.files("helpers.playbook").joinpath("actions.yml").read_text("utf-8")
    every = [Rule(**row) for row in yaml.safe_load(text)]
    return tuple(rule for rule in every if rule.id.startswith(prefix))


def propose(
    findings: Sequence[Finding],
    opportunities: Iterable[Opportunity] = (),
    *,
    prefix: str,
    currency: str,
    margin: float = 1.0,
    confidence: float = 0.95,
    seed: int = 0,
) -> Proposal:
    """Return the actions whose conditions hold, ranked, and the rules that stayed silent with the reason.

    Parameters
    ----------
    findings : sequence of Finding
        What the notebook found.
    opportunities : iterable of Opportunity
        Groups of members that actions may be aimed at.
    prefix : str
        Which rules to consider, such as ``"rfm."``.
    currency : str
        Currency of expected values.
    margin : float
        Share of sales that is left after the cost of what was sold.
    confidence : float
        Level of the interval of the expected value.
    seed : int
        Seed of the simulation; each rule has a stream of its own, so adding one changes no other.
    """
    check_confidence(confidence)
    check_scalar(margin, "margin", gt=0, le=1)
    known, groups = {f.id: f for f in findings}, {o.key: o for o in opportunities}
    actions, silent = [], []
    for rule in rules(prefix):
        reason = _why_silent(rule, known, groups, currency)
        if reason:
            silent.append((rule.id, reason))
            continue
        action = _act(rule, groups.get(rule.opportunity or ""), currency, margin, confidence, seed)
        if action.expected_value is not None and action.expected_value <= 0:
            silent.append((rule.id, _why_not_worth_it(action)))
        else:
            actions.append(action)
    return Proposal(sorted(actions, key=_rank), silent)


def _why_silent(
    rule: Rule, findings: Mapping[str, Finding], groups: Mapping[str, Opportunity], currency: str
) -> str:
    for finding_id, condition in rule.when.items():
        finding = findings.get(finding_id)
        if finding is None:
            return say("{finding} was not measured", finding=finding_id)
        if finding.verdict == "too little data":
            return say("{finding}: too little data (n = {n:,})", finding=finding_id, n=finding.n)
        if condition in ("better", "worse") and finding.verdict != condition:
            return say("{finding} is: {verdict}", finding=finding_id, verdict=finding.verdict)
        if condition in ("above", "below"):
            place = threshold(rule.threshold or "").compare(finding.low, finding.high)
            if place != condition:
                return say(
                    "{finding} against {key}: {place}", finding=finding_id, key=rule.threshold, place=place
                )
    if rule.opportunity:
        group = groups.get(rule.opportunity)
        if group is None or group.size == 0:
            return say(
                "no members to contact, or too few to measure what contact is worth ({group})",
                group=rule.opportunity,
            )
        if group.unit != currency:
            return say("value in {unit} has no price in {currency}", unit=group.unit, currency=currency)
        if not math.isfinite(group.value):
            return say("the value of a member is not known ({group})", group=rule.opportunity)
    return ""


def _why_not_worth_it(action: Action) -> str:
    return say(
        "expected to cost more than it brings: {value} ({low} to {high})",
        value=quantity(action.expected_value or 0.0, action.unit),
        low=quantity(action.low or 0.0, action.unit),
        high=quantity(action.high or 0.0, action.unit),
    )


def _act(
    rule: Rule, group: Opportunity | None, currency: str, margin: float, confidence: float, seed: int
) -> Action:
    value, low, high = (None, None, None)
    fields: dict[str, object] = {}
    if group is not None:
        value, low, high = _expected_value(rule, group, margin, confidence, seed)
        fields = {"size": group.size, "value": quantity(group.value, group.unit)}
    if rule.threshold:
        fields["threshold"] = _threshold_text(rule.threshold)
    return Action(
        id=rule.id,
        title=say(rule.title, **fields),
        why=say(rule.why, **fields),
        finding_ids=tuple(rule.when),
        owner_role=rule.owner_role,
        expected_value=value,
        low=low,
        high=high,
        unit=currency,
        cost=round(rule.cost * group.size, 2) if group else 0.0,
        confidence_class=rule.confidence_class,
        check_metric=rule.check_metric,
        check_after_days=group.days if group is not None and group.days else rule.check_after_days,
    )


def _threshold_text(key: str) -> str:
    limit = threshold(key)
    return quantity(limit.bounds[1], "share" if limit.unit == "share" else "ratio")


def _expected_value(
    rule: Rule, group: Opportunity, margin: float, confidence: float, seed: int
) -> tuple[float, float, float]:
    assert rule.effect is not None and rule.probability is not None
    # crc32 and not hash(): the stream of a rule must not depend on PYTHONHASHSEED
    rng = np.random.default_rng([seed, zlib.crc32(rule.id.encode())])
    spread = (group.high - group.low) / (2 * stats.norm.ppf(0.5 + group.confidence / 2))
    value = np.maximum(rng.normal(group.value, spread, DRAWS), 0)
    effect = rng.triangular(rule.effect.low, rule.effect.mode, rule.effect.high, DRAWS)
    works = rng.random(DRAWS) < rule.probability
    draws = group.size * (works * value * margin * effect - rule.cost)
    tail = (1 - confidence) / 2
    mean = float(draws.mean())
    # A rare large success can pull the mean out of the equal-tailed interval, which is then widened to it.
    low, high = (float(bound) for bound in np.quantile(draws, [tail, 1 - tail]))
    return round(mean, 2), round(min(low, mean), 2), round(max(high, mean), 2)


def _rank(action: Action) -> tuple[bool, float, int, str]:
    value = -action.expected_value if action.expected_value is not None else 0.0
    return action.expected_value is None, value, CONFIDENCE_ORDER.index(action.confidence_class), action.id
