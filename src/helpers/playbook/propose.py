"""From findings to ranked actions, with expected values by simulation.

Expected value of contacting a group: ``works x size x value x margin x effect - size x cost`` where ``works``
is Bernoulli(probability), ``effect`` is triangular, ``value`` is a normal draw from its interval, cut at zero,
and ``margin`` turns sales into what is left of them. Its mean and equal-tailed interval are reported, so an
action that may well lose money says so. The interval is a prior predictive one: it says what the priors of
``rules.yml`` and the predicted value allow, and an experiment replaces it.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, model_validator

from helpers.playbook.action import CONFIDENCE_ORDER, Action, ConfidenceClass
from helpers.playbook.contact.lists import ContactList
from helpers.playbook.finding import Finding
from helpers.playbook.thresholds import entries, threshold
from helpers.sentences import quantity, say
from helpers.stats.estimate import half_width, percentile_interval
from helpers.study import Study

Condition = Literal["known", "better", "worse", "above", "below"]
DRAWS = 20_000


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
    """One entry of ``rules.yml``."""

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
    """Return the rules of the methods, of the files ``rules.yml``, whose id starts with `prefix`."""
    return tuple(Rule(**row) for row in entries("rules") if row["id"].startswith(prefix))


def propose(
    study: Study,
    findings: Iterable[Finding],
    lists: Iterable[ContactList] = (),
    *,
    prefix: str,
    margin: float = 1.0,
) -> Proposal:
    """Return the actions whose conditions hold, ranked, and the rules that stayed silent with the reason.

    Parameters
    ----------
    study : Study
        Its currency prices actions; each rule has a stream of its own under its seed, so adding one changes no other.
    findings : iterable of Finding
        What the notebook found.
    lists : iterable of ContactList
        Groups of members that actions may be aimed at. A list whose hold-out cannot show what contact was worth is
        none, because nobody would ever learn whether the action paid. A list whose value is not known is one, so that
        the rules can say why they are silent.
    prefix : str
        Which rules to consider, such as ``"rfm."``.
    margin : float
        Share of sales that is left after the cost of what was sold.
    """
    known, method = {f.id: f for f in findings}, prefix.split(".")[0]
    groups = {f"{method}.{each.name}": each for each in lists if not each.withheld and each.measurable}
    actions, silent = [], []
    for rule in rules(prefix):
        reason = _why_silent(rule, known, groups, study.currency)
        if reason:
            silent.append((rule.id, reason))
            continue
        action = _act(study, rule, groups.get(rule.opportunity or ""), margin)
        if action.expected_value is not None and action.expected_value <= 0:
            silent.append(
                (rule.id, say("expected to cost more than it brings: {worth}", worth=_worth(action)))
            )
        else:
            actions.append(action)
    return Proposal(sorted(actions, key=_rank), silent)


def _worth(action: Action) -> str:
    value, low, high = (
        quantity(x or 0.0, action.unit) for x in (action.expected_value, action.low, action.high)
    )
    return say("{value} ({low} to {high})", value=value, low=low, high=high)


def _why_silent(
    rule: Rule, findings: Mapping[str, Finding], groups: Mapping[str, ContactList], currency: str
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
        if group is None or group.contacted == 0:
            text = "no members to contact, or too few to measure what contact is worth ({group})"
            return say(text, group=rule.opportunity)
        if group.unit != currency:
            return say("value in {unit} has no price in {currency}", unit=group.unit, currency=currency)
        if not group.mean_value.known:
            return say("the value of a member is not known ({group})", group=rule.opportunity)
    return ""


def _act(study: Study, rule: Rule, group: ContactList | None, margin: float) -> Action:
    value, low, high = (None, None, None)
    fields: dict[str, object] = {}
    if group is not None:
        value, low, high = _expected_value(study, rule, group, margin)
        fields = {"size": group.contacted, "value": quantity(group.mean_value.value, group.unit)}
    if rule.threshold:
        limit = threshold(rule.threshold)
        fields["threshold"] = quantity(limit.bounds[1], "share" if limit.unit == "share" else "ratio")
    return Action(
        id=rule.id,
        title=say(rule.title, **fields),
        why=say(rule.why, **fields),
        finding_ids=tuple(rule.when),
        owner_role=rule.owner_role,
        expected_value=value,
        low=low,
        high=high,
        unit=study.currency,
        cost=round(rule.cost * group.contacted, 2) if group else 0.0,
        confidence_class=rule.confidence_class,
        check_metric=rule.check_metric,
        check_after_days=group.days if group else rule.check_after_days,
    )


def _expected_value(
    study: Study, rule: Rule, group: ContactList, margin: float
) -> tuple[float, float, float]:
    assert rule.effect is not None and rule.probability is not None
    # crc32 and not hash(): the stream of a rule must not depend on PYTHONHASHSEED
    rng = np.random.default_rng([study.seed, zlib.crc32(rule.id.encode())])
    worth = group.mean_value
    spread = (worth.high - worth.low) / (2 * half_width(1.0, worth.confidence))
    value = np.maximum(rng.normal(worth.value, spread, DRAWS), 0)
    effect = rng.triangular(rule.effect.low, rule.effect.mode, rule.effect.high, DRAWS)
    works = rng.random(DRAWS) < rule.probability
    draws = group.contacted * (works * value * margin * effect - rule.cost)
    mean, (low, high) = float(draws.mean()), percentile_interval(draws, study.confidence)
    # A rare large success can pull the mean out of the equal-tailed interval, which is then widened to it.
    return round(mean, 2), round(min(low, mean), 2), round(max(high, mean), 2)


def _rank(action: Action) -> tuple[bool, float, int, str]:
    value = -action.expected_value if action.expected_value is not None else 0.0
    return action.expected_value is None, value, CONFIDENCE_ORDER.index(action.confidence_class), action.id
