"""How long work waits, and how often content breaks the rules: from ``cases`` and ``reviews``.

What is still open has waited at least as long as it is open; leaving it out would make a growing queue look fast. So
the times are those of a product-limit curve (Kaplan and Meier 1958). How often content breaks the rules is known only
of items that were drawn at random: what a filter or a reader points out is worse than the rest. Its interval is the
exact one (Clopper and Pearson 1934), one-sided where none was found: then 998 items prove less than 0.3 % at 95 %.
"""

from __future__ import annotations

import datetime as dt
import math

import ibis
import numpy as np
import pandas as pd
from statsmodels.stats.proportion import proportion_confint

from helpers.playbook.answer import Answer, framed, missing
from helpers.playbook.thresholds import threshold
from helpers.sentences import number, percent, say, with_bounds
from helpers.stats.estimate import Estimate, estimate_of, proportion
from helpers.stats.survival.curves import survival
from helpers.study import Study

HOUR = 3600
LONGEST = 60 * 24
"""Hours after which a case is followed no further."""
PROVED = {
    "below": "that is below {limit}",
    "above": "that is above {limit}: tighten the review",
    "cannot tell": "whether that is below {limit} cannot be said: {needed:,} items without one would prove it",
}


def _until(study: Study, table: str, *times: str) -> tuple[ibis.Table, int]:
    """Return a table until the end of the last day of a study by its first time, and that instant.

    Times are in seconds since 1970; those that the table has not are missing.
    """
    end = pd.Timestamp(study.as_of + dt.timedelta(days=1), tz=study.report_tz).timestamp()
    rows = study.dataset.tables[table]
    seconds = {
        name: rows[name].epoch_seconds().cast("int64") if name in rows.columns else ibis.null("int64")
        for name in times
    }
    rows = rows.mutate(**seconds)
    return rows.filter(rows[times[0]] < int(end)), int(end)


def _counted(study: Study) -> pd.DataFrame:
    """Return cases by kind and hours until they were closed, or until now: n, events (closed), late and kept."""
    rows, end = _until(study, "cases", "opened_at", "closed_at", "due_at")
    closed = (rows.closed_at < end).ifelse(rows.closed_at, ibis.null("int64"))
    waited = (closed.fill_null(end) - rows.opened_at + HOUR - 1) // HOUR
    late = rows.due_at < end
    rows = rows.select(
        kind=rows.kind.cast("string"), tenure_day=ibis.least(waited, LONGEST), late=late,
        done=closed.notnull() & (waited <= LONGEST), kept=late & (closed <= rows.due_at),
    )  # fmt: skip
    sums = {"events": rows.done.sum(), "late": rows.late.sum(), "kept": rows.kept.sum()}
    found = rows.group_by("kind", "tenure_day").agg(n=rows.count(), **sums).to_pandas()
    return found.fillna(dict.fromkeys(sums, 0)).astype(dict.fromkeys(sums, "int64"))


def case_delays(study: Study) -> Answer:
    """Return how long cases wait until they are closed, by kind, as known at the end of the study's last day."""
    if absent := missing(study, "cases"):
        return absent
    counted = _counted(study)
    if counted.empty:
        return Answer(study, say("No case is on record."))
    cells = counted[["kind", "tenure_day", "n", "events"]]
    hours, found = int(threshold("workflow.review_hours").value), []
    for part in (cells.assign(kind=say("all")), cells):
        curves = survival(part, "kind", study.confidence)
        share, rows = 1 - curves.at(hours)[["survival", "high", "low"]], curves.summary
        rows[["in_time", "in_time_low", "in_time_high"]] = share.to_numpy()
        found.append(rows.assign(open=rows["n"] - rows["events"]))
    table = pd.concat(found, ignore_index=True).drop(columns=["events", "from_day", "last_day"])
    table = table.rename(columns={"segment": "kind", "median": "median_hours"})
    row = table.iloc[0]
    ends = {name: row[f"in_time{end}"] for name, end in (("share", ""), ("low", "_low"), ("high", "_high"))}
    in_time = estimate_of(pd.Series(ends), int(row["n"]), "Kaplan–Meier, score limits", study.confidence)
    text = "Less than half of {n:,} cases are done so far, {share} within {hours} hours; {open:,} are open."
    if np.isfinite(row["median_hours"]):
        text = (
            "Of {n:,} cases half are done within {median} hours ({low} to {high}), and {share} within {hours} hours; "
            "{open:,} are open, and count with the time they have waited."
        )
    words = {"n": int(row["n"]), "open": int(row["open"]), "hours": hours, "share": with_bounds(in_time)}
    days = {name.partition("_")[0]: number(row[name], 0) for name in ("median_hours", "low", "high")}
    said = say(text, **words, **days)
    if late := int(counted["late"].sum()):
        kept = proportion(int(counted["kept"].sum()), late, study.confidence)
        text = "{said} Of those due by now, {share} were done in time."
        said = say(text, said=said, share=with_bounds(kept))
    facts = {"metric": say("cases done within {h} hours", h=hours), "direction": "up is good", "n_of": "cases",
             "assumption": say("what is open is no slower by nature than what is closed"),
             "systems": ("S203", "S194")}  # fmt: skip
    units = dict.fromkeys(("in_time", "in_time_low", "in_time_high"), "share")
    framed(table, "case_delays", say("How long cases wait, in hours, by kind"), **units)
    return Answer(study, said, table, {"weekly_review.in_time": (in_time, facts)})


def violation_rate(study: Study) -> Answer:
    """Return how often items drawn at random break the rules, of all checked until the study's last day."""
    if absent := missing(study, "reviews"):
        return absent
    rows, limit = _until(study, "reviews", "ts")[0], threshold("moderation.violation_rate")
    drawn, level = rows.source.cast("string") == "random", study.confidence
    broke = drawn & (rows.human_verdict.cast("string").lower() == "violation")
    checked, n, bad = map(
        int, rows.agg(checked=rows.count(), n=drawn.sum(), bad=broke.sum()).to_pandas().fillna(0).loc[0]
    )
    if n == 0:
        text = "How often content breaks the rules is not known: none of {n:,} checked items was drawn at random."
        return Answer(study, say(text, n=checked))
    # One-sided where there is but one side: with none found, or all.
    low, high = proportion_confint(bad, n, (1 - level) * (2 if bad in (0, n) else 1), "beta")
    rate = Estimate(bad / n, float(low), float(high), n, "share", "Clopper–Pearson", level)
    needed = math.ceil(math.log(1 - level) / math.log1p(-limit.value))
    verdict = say(PROVED[limit.compare(rate.low, rate.high)], limit=percent(limit.value), needed=needed)
    text = "Of {n:,} items checked at random, {rate} broke the rules; {verdict}."
    facts = {"metric": say("content that breaks the rules"), "direction": "down is good", "n_of": "items",
             "assumption": say("items were drawn at random, and whoever checked them was right"),
             "systems": ("S164",)}  # fmt: skip
    said = say(text, n=n, rate=with_bounds(rate), verdict=verdict)
    return Answer(study, said, stated={"weekly_review.violation_rate": (rate, facts)})
