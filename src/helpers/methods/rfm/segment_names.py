"""Plain names for segments, from the two features that set a segment apart most."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from helpers.sentences import say

WORDS: dict[str, tuple[str, str, str]] = {
    "recency_days": ("recency", "away for a while", "seen lately"),
    "frequency": ("volume", "frequent", "infrequent"),
    "active_days": ("volume", "active on many days", "active on few days"),
    "sessions": ("volume", "many visits", "few visits"),
    "monetary": ("value", "high spend", "low spend"),
    "evening_share": ("hour", "evening", "daytime"),
    "tenure_days": ("tenure", "long-standing", "newly joined"),
}
"""Feature: theme, words when it is high, words when it is low. Two features of a theme say the same thing."""


def _words(feature: str, high: bool) -> str:
    if feature in WORDS:
        return say(WORDS[feature][1 if high else 2])
    action = feature.removeprefix("share_").replace("_", " ")
    return say("much {action}", action=action) if high else say("little {action}", action=action)


def _phrases(features: Sequence[str], deviations: NDArray[np.float64]) -> list[str]:
    """Return the words of the features by distance from all members, one per theme."""
    themes: set[str] = set()
    phrases = []
    for place in np.argsort(-np.abs(deviations), kind="stable"):
        theme = WORDS.get(features[place], (features[place],))[0]
        if theme not in themes:
            themes.add(theme)
            phrases.append(_words(features[place], bool(deviations[place] > 0)))
    return phrases


def segment_names(features: Sequence[str], deviations: Sequence[NDArray[np.float64]]) -> list[str]:
    """Return one name per segment, such as ``"frequent, low spend"``; names are different from each other.

    Parameters
    ----------
    features : sequence of str
        Names of the features.
    deviations : sequence of ndarray, shape (features,)
        Distance of each segment's mean from that of all members, in standard deviations.

    Notes
    -----
    A name has two features. Segments that would share a name get a third, and so on; when the words run out,
    a number tells them apart.
    """
    phrases = [_phrases(features, each) for each in deviations]
    names = [", ".join(each[:2]) for each in phrases]
    for length in range(3, len(features) + 1):
        names = [
            ", ".join(each[:length]) if names.count(name) > 1 else name
            for name, each in zip(names, phrases, strict=True)
        ]
    seen: dict[str, int] = {}
    unique = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        unique.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return unique
