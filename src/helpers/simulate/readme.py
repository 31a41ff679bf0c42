"""The README of a simulated community: what it is, how to make it again, and what is in it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

README = "README.md"
ORIGIN = """Made, and made again at any time with the same bytes, by

```
playbook simulate {out} --members {members} --days {days} --seed {seed}
```
"""
ORIGIN_OTHER = (
    "Made by `helpers.simulate.write` with a start, tables or parameters of its own; see `truth.json`.\n"
)

INTRO = """# A simulated community

Nothing here is real: {members:,} members of an invented community, seen for {days} days from {start} to {end}
(Asia/Shanghai). It is small enough to read and large enough to try every notebook on, and its truth is known:
`truth.json` holds every number that a method should find again, with its definition.

{origin}

Tables are Parquet files. Identifiers are strings, `*_at` and `ts` are UTC instants in
microseconds, `date` is a calendar day in Asia/Shanghai, money is CNY. `playbook check --describe` explains the
columns; `early_reply` of `members` is an extra one: whether the first contribution was answered within a day.

## What is in it

- {existing:.0%} of the members joined up to {tenure} days before the first day, so the event log does not reach
  back to their beginning; the others joined while it ran. Some left (`left_at`); nobody comes back after leaving.
- Each member moves between the tiers silent, potential, active and core by calendar month, by a planted Markov
  chain: 0, 1-10, 11-50 or at least 51 interactions in the month. Counting interactions finds the planted tier
  again for everyone who was a member throughout the month.
- Returning from silence and leaving depend on where a member came from (`source`), on whether the first
  contribution was answered (`early_reply`), and leaving also on the tier of the month before, on the number of
  pushes of the month before and on tenure.
- `value` of an event is the amount paid for `pay` and empty for all others.
- Orders follow tier and taste (Gamma heterogeneity), amounts of goods are Gamma-Gamma. Some orders are caused by
  touchpoints; others are merely preceded by one, search above all, which last-touch rules get wrong.
- Three experiments (a coupon that works, a cover style that does nothing, a daily push that harms a little), with
  some units never exposed. Advertising has carry-over and saturation, and its platforms claim too much.
- A double-11 promotion, a Spring Festival dip, an incident, a daily and a weekly rhythm, heavy tails, staff and
  bots (flagged, and very active), events that reach the warehouse days late. `metric_daily` counts every account,
  as a dashboard would.
- `ad_daily`, `costs` and the metric `conversions` describe the brand's advertising; their conversions are not the
  orders of `orders`, which belong to members.

| table | rows |
|---|---:|
{rows}
"""


def readme(truth: Mapping[str, Any], rows: Mapping[str, int], out: str | None) -> str:
    """Return the README of a simulated community as Markdown.

    Parameters
    ----------
    truth : mapping
        Its truth.
    rows : mapping of str to int
        Rows of each table.
    out : str or None
        How the folder is called in the command that makes it again; None when no command does.
    """
    parameters, about = truth["parameters"], truth["about"]
    return INTRO.format(
        origin=ORIGIN.format(out=out, **about) if out else ORIGIN_OTHER,
        existing=parameters["existing_share"],
        tenure=parameters["existing_tenure_days"],
        rows="\n".join(f"| {name} | {count:,} |" for name, count in rows.items()),
        **about,
    )
