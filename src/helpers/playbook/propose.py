"""From findings to ranked actions, with expected values by simulation.

Expected value of contacting a group: ``works x size x value x margin x effect - size x cost`` where ``works``
is Bernoulli(probability), ``effect`` is triangular, ``value`` is a normal draw from its interval, cut at zero,
and ``margin`` turns sales into what is left of them. Its mean and equal-tailed interval are reported, so an
action that may well lose money says so. The interval is a prior predictive one: it says what the priors of
``rules.yml`` and the predicted value allow, and an experiment replaces it.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Collection, Iterable, Mapping
from functools import cache
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, model_validator

from helpers.playbook.action import Action, Call, ConfidenceClass
from helpers.playbook.contact.lists import ContactList
from helpers.playbook.finding import Finding, judge
from helpers.playbook.thresholds import entries, threshold
from helpers.sentences import interval, percent, quantity, say, word
from helpers.stats.estimate import Estimate, half_width, percentile_interval
from helpers.study import Study
from helpers.study.frames import Count

Condition = Literal["known", "better", "worse", "above", "below"]
DRAWS = 20_000
UNMET: Mapping[Condition, str] = {
    "better": "{metric} is not clearly better: {value} ({interval})",
    "worse": "{metric} is not clearly worse: {value} ({interval})",
    "above": "{metric} is {value} ({interval}), not wholly above {limit}",
    "below": "{metric} is {value} ({interval}), not wholly below {limit}",
}
"""What is said of a rule that did not fire because of a finding."""
ASSUMED = (
    "{size:,} people to contact, {value} of sales each without it, {margin} of that margin: {base} to build on. "
    "Contact is taken to add {low} to {high} to it, most likely {mode}, and to work at all with a chance of "
    "{probability}: {gain} on average. At {each} a contact it costs {cost}, so {worth} is left "
    "({interval}): mean and {confidence} range of {draws:,} draws. What contact adds is a prior of our own, "
    "measured by nobody here yet; the members held out will tell."
)
UNPRICED = "No money is put on it: nothing measured here says how much it would change."


_FIELD = re.compile(r"\{\w+\}")  # of a title, which only a decision fills


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
    when: Mapping[str, Condition] = Field(
        default={}, description="Empty for a rule that a method's own decision makes hold"
    )
    counting: tuple[Count, ...] = Field(
        default=("interaction", "order", "all"), description="Where it makes sense"
    )
    threshold: str | None = None
    opportunity: str | None = None
    effect: Effect | None = None
    probability: float | None = Field(default=None, gt=0, le=1)
    prior_origin: str | None = None
    cost: float = Field(default=0, ge=0)
    owner_role: str
    confidence_class: ConfidenceClass
    call: Call = Field(default="do", description="What a rule without an opportunity proposes")
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


class Proposed(NamedTuple):
    """A rule that a method's own decision makes hold, such as the verdict on an experiment.

    Attributes
    ----------
    rule : str
        Id of the rule, whose words, owner, call and check stand in ``rules.yml``.
    finding_ids : tuple of str
        What it rests on.
    worth : Estimate, optional
        Its expected value in money; None where it has no price.
    fields : mapping
        What the words of the rule have in braces.
    suffix : str
        Tells several actions of one rule apart.
    cost : float
        What it costs, in the same money.
    assumption : str
        What the expected value rests on.
    days : int
        Days after which it is judged; 0 for those of the rule.
    """

    rule: str
    finding_ids: tuple[str, ...]
    worth: Estimate | None = None
    fields: Mapping[str, object] = {}
    suffix: str = ""
    cost: float = 0.0
    assumption: str = ""
    days: int = 0


class Proposal(NamedTuple):
    """What the rules came to.

    Attributes
    ----------
    actions : list of Action
        Best first, by :attr:`Action.rank`.
    silent : list of (str, str)
        Rules that did not fire, each with the reason.
    """

    actions: list[Action]
    silent: list[tuple[str, str]]

    @property
    def not_fired(self) -> pd.DataFrame:
        """The rules that did not fire as a table: rule, title, reason."""
        titles = {rule.id: _FIELD.sub("…", word(rule.title)) for rule in rules()}
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
    decided: Iterable[Proposed] = (),
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
    decided : iterable of Proposed
        Rules that hold by a decision of the method; their call is what the rule says, whatever they are worth.
    prefix : str
        Which rules to consider, such as ``"rfm."``.
    margin : float
        Share of sales that is left after the cost of what was sold.
    """
    known, method, decided = {f.id: f for f in findings}, prefix.split(".")[0], list(decided)
    groups = {f"{method}.{each.name}": each for each in lists if not each.withheld and each.measurable}
    by_decision = {each.rule for each in decided}
    actions, silent = [_acted(study, each, known) for each in decided], []
    for rule in rules(prefix):
        if rule.id in by_decision:
            continue
        reason = _why_silent(rule, known, groups, study)
        if reason:
            silent.append((rule.id, reason))
            continue
        actions.append(_act(study, rule, groups.get(rule.opportunity or ""), margin))
    return Proposal(sorted(actions, key=lambda action: action.rank), silent)


def _call(rule: Rule, value: float | None, low: float | None) -> Call:
    """Return whether to do, test or leave what a rule that fired proposes: the rule of calls.

    Where there is a price, it decides:

    - *leave* what is expected to cost more than it brings; it is told with its numbers, not passed over;
    - *do* what pays even at the low end of its interval, or whose effect an experiment or quasi-experiment measured;
    - *test* what pays on average, may lose money, and rests on priors (correlation, rule): contact the list, leave
      those who are held out alone, and count.

    Without a price the rule says which it is: *do* what costs attention alone and cannot harm (find out, remind, set
    a goal), *test* what only a comparison can answer, *leave* what the findings speak against.
    """
    if value is None or low is None:
        return rule.call
    if value <= 0:
        return "leave"
    return "do" if low >= 0 or rule.confidence_class in ("experiment", "quasi-experiment") else "test"


def _why_silent(
    rule: Rule, findings: Mapping[str, Finding], groups: Mapping[str, ContactList], study: Study
) -> str:
    if not rule.when:
        return say("what was decided does not ask for it")
    if study.count not in rule.counting:
        return say("it is for members who interact, and orders count here")
    for finding_id, condition in rule.when.items():
        finding = findings.get(finding_id)
        if finding is None:
            return say("what it rests on was not measured")
        if finding.value is None or finding.low is None or finding.high is None:
            return say("{metric}: too little data (n = {n:,})", metric=finding.metric, n=finding.n)
        held: str = finding.verdict
        if held == "provisional":  # what it rests on is provisional, the direction is what the interval says
            held = judge(finding.low, finding.high, finding.direction)
        if condition in ("above", "below"):
            held = threshold(rule.threshold or "").compare(finding.low, finding.high)
        if condition not in ("known", held):
            shown = quantity(finding.value, finding.unit), interval(finding.low, finding.high, finding.unit)
            words = {"metric": finding.metric, "value": shown[0], "interval": shown[1], "limit": _limit(rule)}
            return say(UNMET[condition], **words)
    if rule.opportunity:
        group = groups.get(rule.opportunity)
        if group is None or group.contacted == 0:
            return say("no members to contact, or too few to measure what contact is worth")
        if group.unit != study.currency:
            return say("value in {unit} has no price in {currency}", unit=group.unit, currency=study.currency)
        if not group.mean_value.known:
            return say("the value of a member is not known")
    return ""


def _limit(rule: Rule) -> str:
    """Return what a rule compares with, as a number in words; empty where it compares with nothing."""
    if not rule.threshold:
        return ""
    limit = threshold(rule.threshold)
    return quantity(limit.bounds[1], "share" if limit.unit == "share" else "ratio")


def _act(study: Study, rule: Rule, group: ContactList | None, margin: float) -> Action:
    value, low, high = (None, None, None)
    fields: dict[str, object] = {"threshold": _limit(rule)}
    assumption = say(UNPRICED)
    if group is not None:
        value, low, high = _expected_value(study, rule, group, margin)
        worth = quantity(group.mean_value.value, group.unit)
        fields |= {"size": group.contacted, "days": group.days, "value": worth}
        assumption = _assumed(study, rule, group, margin, (value, low, high))
    return Action(
        id=rule.id,
        title=say(rule.title, **fields),
        why=say(rule.why, **fields),
        finding_ids=tuple(rule.when),
        owner_role=say(rule.owner_role),
        expected_value=value,
        low=low,
        high=high,
        unit=study.currency,
        cost=round(rule.cost * group.contacted, 2) if group else 0.0,
        confidence_class=rule.confidence_class,
        call=_call(rule, value, low),
        assumption=assumption,
        check_metric=say(rule.check_metric),
        check_after_days=group.days if group else rule.check_after_days,
    )


def _acted(study: Study, proposed: Proposed, known: Collection[str]) -> Action:
    """Return the action of a rule that holds by a decision; what it rests on is among the findings that are known."""
    rule, worth = next(each for each in rules(proposed.rule) if each.id == proposed.rule), proposed.worth
    priced = worth is not None and worth.known
    numbers = [round(float(part), 2) for part in worth[:3]] if worth is not None and priced else [None] * 3
    return Action(
        id=".".join(filter(None, [rule.id, proposed.suffix])),
        title=say(rule.title, **proposed.fields),
        why=say(rule.why, **proposed.fields),
        finding_ids=tuple(each for each in proposed.finding_ids if each in known),
        owner_role=say(rule.owner_role),
        expected_value=numbers[0],
        low=numbers[1],
        high=numbers[2],
        unit=study.currency,
        cost=round(proposed.cost, 2),
        confidence_class=rule.confidence_class,
        call=rule.call,
        assumption=proposed.assumption or say(UNPRICED),
        check_metric=say(rule.check_metric),
        check_after_days=proposed.days or rule.check_after_days,
    )


def _assumed(
    study: Study, rule: Rule, group: ContactList, margin: float, worth: tuple[float, float, float]
) -> str:
    """Say what an expected value assumes and how it follows."""
    assert rule.effect is not None and rule.probability is not None
    cost = rule.cost * group.contacted
    money = {
        "value": group.mean_value.value,
        "base": group.contacted * group.mean_value.value * margin,
        "gain": worth[0] + cost,
        "each": rule.cost,
        "cost": cost,
        "worth": worth[0],
    }
    shares = {"margin": margin, "probability": rule.probability, "confidence": study.confidence}
    return say(
        ASSUMED,
        size=group.contacted,
        draws=DRAWS,
        interval=interval(*worth[1:], study.currency),
        **{name: quantity(amount, study.currency) for name, amount in money.items()},
        **{name: percent(share, 0) for name, share in {**shares, **dict(rule.effect)}.items()},
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
