"""The gate: can this data answer the question? Each check has a code, and says in words what it found.

Asked before any fit: enough weeks, also for each parameter; an outcome that is there and moves; lines that vary, and
not all together; cost per impression without jumps; spend that was not set by the outcome, season or calendar.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from statsmodels.regression.linear_model import OLS

from helpers.methods.budget.baseline import baseline
from helpers.methods.budget.weekly import Weekly
from helpers.sentences import number, percent, say
from helpers.stats.estimate import Estimate, normal_estimate, unknown

Verdict = Literal["ok", "flag", "refuse"]
Answer = Literal["curves", "elasticity", "nothing"]

# Below the first nothing is said, below the second no curve is fitted, below the third a flag.
WEEKS = (20, 40, 104)
# Weeks a parameter: below the first a flag, below the second no curves.
PER_PARAMETER = (4.0, 1.5)
# Parameters of a line: size, carry-over and saturation.
OF_A_LINE = 3
# Correlation of two lines that nobody can tell apart; variance inflation that is flagged.
TWINS, INFLATION = 0.999, 10.0
PRICE_JUMP = 1.5
# Largest spend of a week over what 19 of 20 of the line's weeks stay below.
SPIKE = 2.5
# Share of a line's variation that season and calendar explain; t of last week's outcome in this week's spend.
SET_BY_SEASON, SET_BY_SALES = 0.6, 3.0
# Prior standard deviation of the elasticity: spend rarely moves a whole outcome by more than half its own change.
SPREAD = 0.3
# Weeks beyond the columns without which nothing is said.
FREE = 8


class Check(NamedTuple):
    """One check of a frame or of a fit.

    Attributes
    ----------
    code : str
        What was checked, such as ``"weeks"``; stable, for tests and translations.
    line : str
        Line it is about; empty when about all.
    value, limit : float
        What was found, and where the verdict turns.
    verdict : {"ok", "flag", "refuse"}
        Whether it may be ignored, must be said, or forbids the answer.
    sentence : str
        The same in words.
    """

    code: str
    line: str
    value: float
    limit: float
    verdict: Verdict
    sentence: str


@dataclass(frozen=True)
class Gate:
    """What the data can answer.

    Attributes
    ----------
    checks : tuple of Check
        All of them, also those that passed.
    answer : {"curves", "elasticity", "nothing"}
        Curves with an allocation; an elasticity of all spend only; or nothing.
    """

    checks: tuple[Check, ...]
    answer: Answer

    @property
    def refusals(self) -> tuple[Check, ...]:
        """The checks that forbid an answer."""
        return tuple(check for check in self.checks if check.verdict == "refuse")


def check(
    code: str, line: str, value: float, limit: float, verdict: Verdict, text: str, **more: Any
) -> Check:
    """Return a check with its sentence; the text may name line, value, limit and more."""
    named = {"line": line, "value": number(value), "limit": number(limit)} | more
    return Check(code, line, float(value), float(limit), verdict, say(text, **named))


def judged(
    code: str, line: str, value: float, flag: float, refuse: float, bad: str, good: str, **more: Any
) -> Check:
    """Return a check of a value that is bad when large, or when small where `refuse` is below `flag`."""
    sign = 1 if refuse >= flag else -1
    over = [sign * value > sign * limit for limit in (flag, refuse)]
    verdict: Verdict = "refuse" if over[1] else "flag" if over[0] else "ok"
    limit = refuse if verdict == "refuse" else flag
    return check(code, line, value, limit, verdict, good if verdict == "ok" else bad, **more)


def gate(weekly: Weekly) -> Gate:
    """Return whether the data can answer."""
    sound = tuple(_sound(weekly))
    if any(each.verdict == "refuse" for each in sound):
        return Gate(sound, "nothing")
    # Few weeks are explained by any season, so what drives spend is asked only where curves may follow.
    asked = (_enough, _apart, _lines, _demand)[: 4 if len(weekly.outcome) >= WEEKS[1] else 3]
    checks = (*sound, *(each for part in asked for each in part(weekly)))
    refused = any(each.verdict == "refuse" for each in checks)
    answer: Answer = "elasticity" if refused else "curves"
    return Gate(checks, "nothing" if len(weekly.outcome) < WEEKS[0] else answer)


def _sound(weekly: Weekly) -> Iterator[Check]:
    """Refuse what is no spend and no outcome."""
    y, spend = weekly.outcome, weekly.spend
    for line, column in spend.items():
        if wrong := int((column < 0).sum() + column.isna().sum()):
            text = "{line}: weeks in which spend is below nothing, or missing: {value}. Correct the report first."
            yield check("spend", str(line), wrong, 0, "refuse", text)
        elif not column.any():
            text = "{line} spent nothing in these weeks: leave it out."
            yield check("idle", str(line), 0, 0, "refuse", text)
    if spend.empty:
        text = "No line has spend that varies from week to week, so nothing tells what spend does."
        yield check("lines", "", 0, 1, "refuse", text)
    if unknown := int(y.isna().sum()):
        yield check("outcome", "", unknown, 0, "refuse", "Weeks in which the outcome is missing: {value}.")
    elif y.std() == 0 or y.mean() <= 0:
        text = "The outcome is nothing, or the same in every week: there is no effect to find."
        yield check("outcome", "", float(y.mean()), 0, "refuse", text)
    elif none := int((y == 0).sum()):
        text = "Weeks in which the outcome is 0: {value}. Is that so, or was it not recorded?"
        yield check("zero_weeks", "", none, 0, "flag", text)


def _enough(weekly: Weekly) -> Iterator[Check]:
    """Ask for weeks, in all and for each parameter."""
    weeks, (_, least, low) = len(weekly.outcome), WEEKS
    text = "There are {value} weeks. With fewer than {limit}, a season cannot be told from a single year."
    if weeks < least:
        text = "There are {value} weeks; response curves need {limit} at least."
    yield judged("weeks", "", weeks, low, least, text, "There are {value} weeks.")
    n = baseline(weekly).columns.shape[1] + OF_A_LINE * weekly.spend.shape[1]
    text = good = "There are {value} weeks for each of {n} unknowns."
    if weeks / n < PER_PARAMETER[0]:
        text = "There are {value} weeks for each of {n} unknowns; {limit} are needed."
    yield judged("parameters", "", weeks / n, *PER_PARAMETER, text, good, n=n)


def _apart(weekly: Weekly) -> Iterator[Check]:
    """Ask whether lines move apart."""
    spend = weekly.spend
    if spend.shape[1] < 2:
        return
    alike = spend.corr().abs().to_numpy()
    np.fill_diagonal(alike, 0.0)
    a, b = divmod(int(alike.argmax()), len(alike))
    if alike[a, b] > TWINS:
        text = "{line} and {other} rise and fall together, so nobody can tell them apart: count them as one line."
        other = str(spend.columns[b])
        yield check("twins", str(spend.columns[a]), alike[a, b], TWINS, "refuse", text, other=other)
        return
    inflation = np.diag(np.linalg.inv(spend.corr().to_numpy()))
    at = int(inflation.argmax())
    bad = (
        "{line} hardly moves apart from the other lines ({value}, where 1 is apart and {limit} is together)."
    )
    good = "Each line has ups and downs of its own ({value}; 1: wholly its own, {limit}: all together)."
    yield judged("inflation", str(spend.columns[at]), inflation[at], INFLATION, np.inf, bad, good)


def _lines(weekly: Weekly) -> Iterator[Check]:
    """Name lines without a curve, jumps of price, spikes, and lines that were running before the first week."""
    said = {
        "idle": "{line} spent nothing in these weeks.",
        "fixed": "{line} hardly varies: it counts as fixed cost, and no curve can be told.",
        "event": "{line} spent in few weeks only: they count as events, and a test would tell more than a curve.",
    }
    for line, row in weekly.lines.iterrows():
        if row["kind"] in said:
            yield check(str(row["kind"]), str(line), row["spend"], 0, "ok", said[row["kind"]])
        if row["price_jump"] > PRICE_JUMP:
            text = "{line}: the cost of an impression changed {value}-fold within a quarter. Is it a price or a unit?"
            yield check("price", str(line), row["price_jump"], PRICE_JUMP, "flag", text)
    for line, column in weekly.spend.items():
        if (spike := column.max() / column[column > 0].quantile(0.95)) > SPIKE:
            text = "{line}: the largest week is {value} times what 19 of 20 stay below. Is it a mistake?"
            yield check("spike", str(line), spike, SPIKE, "flag", text)
    if running := [str(line) for line in weekly.spend if weekly.spend[line].iloc[0] > 0]:
        text = "{lines} ran before the first week; what that brought is not known, so returns leave the start out."
        yield check("burn_in", "", len(running), 0, "ok", text, lines=", ".join(running))


def _demand(weekly: Weekly) -> Iterator[Check]:
    """Ask whether spend was set by the season, the calendar, or what was sold the week before."""
    base = baseline(weekly)
    wave = base.columns.loc[:, base.part != "bends"].to_numpy()
    before = weekly.outcome.shift(1).to_numpy(float)
    for line, column in weekly.spend.items():
        # Few weeks are explained by anything: the share is the one adjusted for the columns.
        explained = float(OLS(column.to_numpy(float), wave).fit().rsquared_adj)
        if explained > SET_BY_SEASON:
            text = "{line} follows season, calendar or demand ({share} of its ups and downs), which hides its effect."
            share = percent(explained, 0)
            yield check("season", str(line), explained, SET_BY_SEASON, "flag", text, share=share)
        known = np.column_stack([wave, column.shift(1), column.shift(2), before])[2:]
        t = float(OLS(column.to_numpy(float)[2:], known).fit().tvalues[-1])
        if t > SET_BY_SALES:
            text = "{line} is raised after good weeks (t = {value}): part of what it seems to bring comes anyway."
            yield check("demand", str(line), t, SET_BY_SALES, "flag", text)


def elasticity(weekly: Weekly, confidence: float = 0.9) -> Estimate:
    """Return by how many per cent the outcome rises when all spend rises by one per cent.

    ``log outcome = level + trend + elasticity * log spend``: the elasticity has a normal prior around 0, which is the
    ridge; weeks without outcome or spend are left out. Trend only, because few weeks tell no season.
    """
    spend, y = weekly.spend.sum(axis=1).to_numpy(float), weekly.outcome.to_numpy(float)
    kept = (spend > 0) & (y > 0)
    n = int(kept.sum())
    week = np.flatnonzero(kept).astype(float)
    if n < 3 + FREE:
        return unknown(n, "ratio", confidence)
    columns = np.column_stack([np.ones(n), week, np.log(spend[kept])])
    if np.linalg.matrix_rank(columns) < 3:
        return unknown(n, "ratio", confidence)
    plain = OLS(np.log(y[kept]), columns).fit()
    known = plain.bse[-1] ** -2
    precision = known + SPREAD**-2
    value, error = plain.params[-1] * known / precision, precision**-0.5
    return normal_estimate(value, error, n, "ratio", "ridge of logarithms", confidence, degrees=n - 3)
