"""Definitions of tier schemes: read from presets, YAML or a mapping, checked, made disjoint and proven.

A definition is a mapping with ``tiers`` (low to high, each with ``id``, ``name`` and a rule ``when``) and
optionally ``title``, ``provenance``, ``window_days``, ``bins``, ``match`` and ``columns``; ``tiers.yml``
explains the form and holds the presets.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from helpers.checks import did_you_mean
from helpers.errors import BadParameters
from helpers.methods.rfm.boxes import Box, Domain, Range, clip, first_match, prove_partition

COUNT = Domain(0, integer=True)
DOMAINS: dict[str, Domain] = {
    "recency_days": Domain(0, integer=True, nullable=True),
    "frequency": COUNT,
    "active_days": COUNT,
    "monetary": Domain(),
    "value_quantile": Domain(0, 1),
}
SCORES = ("r_score", "f_score", "m_score")
SCHEME_KEYS = ("name", "title", "provenance", "window_days", "bins", "match", "columns", "tiers")
TIER_KEYS = ("id", "name", "when")
COLUMN_KEYS = ("minimum", "below", "integer", "nullable")

Rules = list[tuple[str, list[Box]]]


@cache
def preset_definitions() -> dict[str, Any]:
    """Return the definitions of all presets by name."""
    text = (resources.files("helpers.methods.rfm") / "tiers.yml").read_text(encoding="utf-8")
    return yaml.safe_load(text)


def read_definition(source: str | Path | Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    """Return name and definition of a scheme."""
    if isinstance(source, Mapping):
        return str(source.get("name", "custom")), source
    path = Path(source)
    if path.suffix in {".yml", ".yaml"}:
        if not path.is_file():
            raise BadParameters(f"Tier scheme file {path} does not exist.")
        definition = yaml.safe_load(path.read_text(encoding="utf-8"))
        if not isinstance(definition, Mapping):
            raise BadParameters(f"Tier scheme file {path} must hold one mapping with the key tiers.")
        return str(definition.get("name", path.stem)), definition
    known = preset_definitions()
    if str(source) not in known:
        raise BadParameters(
            f"Tier scheme {source!r} is not one of {', '.join(known)} nor the path of a .yml file."
            f"{did_you_mean(str(source), known)}"
        )
    return str(source), known[str(source)]


def parse_rules(name: str, definition: Mapping[str, Any]) -> tuple[Rules, dict[str, Domain]]:
    """Return disjoint, complete rules (low to high) and the domains of the columns they look at.

    Raises
    ------
    BadParameters
        When the definition is malformed or its rules overlap or leave a gap.
    """
    check_keys(definition, SCHEME_KEYS, f"Tier scheme {name}")
    tiers = definition.get("tiers")
    if not isinstance(tiers, Sequence) or isinstance(tiers, str) or len(tiers) < 2:
        raise BadParameters(f"Tier scheme {name}: tiers must be a list of at least two tiers, low to high.")
    match = definition.get("match", "exact")
    if match not in ("exact", "first"):
        raise BadParameters(f"Tier scheme {name}: match == {match!r}, must be exact or first.")
    rules = [_tier(name, tier) for tier in tiers]
    labels = [label for label, _ in rules]
    if len(set(labels)) < len(labels):
        raise BadParameters(f"Tier scheme {name}: tier ids {', '.join(labels)} are not unique.")
    domains = _domains(name, definition.get("columns", {}), rules, int(definition.get("bins", 5)))
    if match == "first":
        rules = first_match(rules[::-1])[::-1]
    rules = [(label, clip(boxes, domains)) for label, boxes in rules]
    prove_partition(rules, domains, name)
    return rules, domains


def check_keys(mapping: Any, allowed: Sequence[str], where: str) -> None:
    """Raise BadParameters when `mapping` is none or has a key that is not allowed."""
    if not isinstance(mapping, Mapping):
        raise BadParameters(f"{where}: {mapping!r} must be a mapping with {', '.join(allowed)}.")
    for key in mapping:
        if key not in allowed:
            raise BadParameters(
                f"{where}: unknown key {key!r}, must be one of {', '.join(allowed)}."
                f"{did_you_mean(str(key), allowed)}"
            )


def _tier(scheme: str, tier: Any) -> tuple[str, list[Box]]:
    where = f"Tier scheme {scheme}"
    check_keys(tier, TIER_KEYS, where)
    if "id" not in tier or "when" not in tier:
        raise BadParameters(f"{where}: tier {dict(tier)!r} needs an id and a rule in when.")
    boxes = tier["when"] if isinstance(tier["when"], list) else [tier["when"]]
    where = f"{where}, tier {tier['id']}"
    return str(tier["id"]), [_box(where, box) for box in boxes]


def _box(where: str, box: Any) -> Box:
    if not isinstance(box, Mapping):
        raise BadParameters(f"{where}: rule {box!r} must map columns to ranges such as [1, 11].")
    return {str(column): _range(f"{where}, {column}", bounds) for column, bounds in box.items()}


def _range(where: str, bounds: Any) -> Range:
    """Return a range from ``[low, high]`` or from ``{range: [low, high], missing: true}``."""
    missing = False
    if isinstance(bounds, Mapping):
        check_keys(bounds, ("range", "missing"), where)
        missing = bool(bounds.get("missing", False))
        bounds = bounds.get("range", [0, 0] if missing else None)
    if not (isinstance(bounds, Sequence) and len(bounds) == 2 and not isinstance(bounds, str)):
        raise BadParameters(f"{where}: range {bounds!r} must be [low, high] with null for no bound.")
    for bound in bounds:
        if bound is not None and (isinstance(bound, bool) or not isinstance(bound, int | float)):
            raise BadParameters(f"{where}: bound {bound!r} must be a number or null.")
    low = -math.inf if bounds[0] is None else float(bounds[0])
    high = math.inf if bounds[1] is None else float(bounds[1])
    found = Range(low, high, missing)
    if math.isnan(low) or math.isnan(high) or found.empty:
        raise BadParameters(f"{where}: range [{low:g}, {high:g}) holds nothing; low must be below high.")
    return found


def _domains(
    name: str, given: Any, rules: Sequence[tuple[str, Sequence[Box]]], bins: int
) -> dict[str, Domain]:
    """Return the possible values of every column in the rules; whole-number columns need whole bounds."""
    known = {**DOMAINS, **{s: Domain(1, bins + 1, integer=True) for s in SCORES}}
    for column, limits in given.items():
        check_keys(limits, COLUMN_KEYS, f"Tier scheme {name}, columns, {column}")
        known[column] = Domain(
            float(limits.get("minimum", -math.inf)),
            float(limits.get("below", math.inf)),
            bool(limits.get("integer", False)),
            bool(limits.get("nullable", False)),
        )
    used: dict[str, Domain] = {}
    for label, boxes in rules:
        for column, side in ((c, s) for box in boxes for c, s in box.items()):
            if column not in known:
                raise BadParameters(
                    f"Tier scheme {name}, tier {label}: column {column!r} is not one of {', '.join(known)}; "
                    f"declare others under columns.{did_you_mean(column, known)}"
                )
            used[column] = known[column]
            bounds = [b for b in (side.low, side.high) if math.isfinite(b)]
            if used[column].integer and not all(b.is_integer() for b in bounds):
                raise BadParameters(
                    f"Tier scheme {name}, tier {label}: {column} {side} needs whole-number bounds."
                )
    return used
