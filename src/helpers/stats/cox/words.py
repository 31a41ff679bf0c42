"""A hazard ratio in the words of somebody who runs a community."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from helpers.sentences import number, say

# What members did before the landmark, as covariates ``early_<event>``: the words that follow "members who".
EARLY: dict[str, str] = {
    "early_reply": "got an early reply",
    "early_like": "liked something early",
    "early_reaction": "reacted to something early",
    "early_share": "shared something early",
    "early_repost": "reposted something early",
    "early_save": "saved something early",
    "early_follow": "followed somebody early",
    "early_vote": "voted early",
    "early_checkin": "checked in early",
    "early_task_done": "did a task early",
}
# Covariates whose name alone would not read as English: the words that follow "members", or "one more".
PHRASES: dict[str, str] = {
    **{name: f"who {words}" for name, words in EARLY.items()},
    "invited": "whom a member invited",
    "pushes_before": "push in the period before",
    "ads_before": "ad shown in the period before",
}
# Names of columns that are not those a reader would use.
NAMES: dict[str, str] = {
    **EARLY,
    "platform_home": "home platform",
    "age_band": "age",
    "invited": "invited by a member",
    "pushes_before": "pushes in the period before",
    "ads_before": "ads in the period before",
}


# Levels that read better with another word than "with source =".
FROM = {"source": "from"}


def name_of(covariate: Any) -> str:
    """Return the name of a covariate for readers: ``platform_home=weibo -> 'home platform = weibo'``."""
    variable, equals, level = str(covariate).partition("=")
    name = say(NAMES.get(variable, variable.replace("_", " ")))
    return f"{name} = {level}" if equals else name


def label(row: Mapping[Any, Any]) -> str:
    """Return the short name of a row of a summary: ``source = search``, ``got an early reply``."""
    name = name_of(row["variable"])
    return f"{name} = {row['level']}" if row["kind"] == "level" else name


def joining_word(row: Mapping[Any, Any]) -> str:
    """Return the word between members and their level: ``from`` a source, else ``with``."""
    return FROM.get(str(row["variable"]), "with")


def who(row: Mapping[Any, Any]) -> str:
    """Return whom a row of a summary speaks of: ``members from search``."""
    name = name_of(row["variable"])
    if row["kind"] == "level" and row["variable"] in FROM and not str(row["level"]).startswith("("):
        return say("members {word} {level}", word=FROM[str(row["variable"])], level=row["level"])
    if row["kind"] == "level":
        return say("members with {name} = {level}", name=name, level=row["level"])
    if row["kind"] == "number":
        return say("one more {name}", name=PHRASES.get(str(row["variable"]), name))
    return say("members {phrase}", phrase=PHRASES.get(str(row["variable"]), say("with {name}", name=name)))


def hazard_sentence(row: Mapping[Any, Any]) -> str:
    """Return a row of :attr:`helpers.stats.cox.model.CoxModel.summary` as a sentence."""
    values = {"who": who(row), "n": number(row["n"]), "events": number(row["events"])}
    if not all(math.isfinite(row[name]) for name in ("hazard_ratio", "low", "high")):
        return _capital(say("{who}: too little data (n = {n}, {events} left).", **values))
    values |= {"ratio": times(row["hazard_ratio"]), "low": times(row["low"]), "high": times(row["high"])}
    clear = not row["low"] <= 1 <= row["high"]
    return _capital(
        say(_template(row["kind"], clear), **values, word=joining_word(row), reference=row["reference"])
    )


def _template(kind: str, clear: bool) -> str:
    if kind == "number":
        text = "{who}: leaving is {ratio} times as fast ({low} to {high}), all else equal"
    elif kind == "level":
        text = (
            "{who} leave {ratio} times as fast as those {word} {reference} ({low} to {high}), all else equal"
        )
    else:
        text = "{who} leave {ratio} times as fast as the others ({low} to {high}), all else equal"
    ending = "; association, not cause." if clear else ": no clear difference."
    return text + " (n = {n}, {events} left)" + ending


def times(ratio: float) -> str:
    """Return a ratio with two or three digits: ``0.64``, ``1.60``, ``12``; ``over 1,000`` where it says no more."""
    if ratio > 1000:
        return say("over {n}", n=number(1000))
    if ratio < 0.01:
        return say("under {n}", n=number(0.01)) if ratio < 0.001 else number(ratio, 3)
    return number(ratio, 2 if ratio < 10 else 0)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
