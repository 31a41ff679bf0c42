"""What other reports say, by topic, and which are missing, old or failed."""

from __future__ import annotations

import re
from collections.abc import Collection

import pandas as pd

from helpers.playbook.action import Action
from helpers.playbook.answer import Answer, framed, ranged
from helpers.playbook.earlier import EarlierReports
from helpers.playbook.finding import Finding
from helpers.sentences import say
from helpers.study import Study

TOPICS = {
    "money": ("Money spent and earned", ("budget", "attribution", "creators", "spillover")),
    "experiments": ("Experiments and tests", ("ab_test",)),
    "community": ("Members and community", ("rfm", "retention", "outlook", "community", "voice")),
    "content": ("Posts, funnels and alerts", ("content", "funnel", "alerts")),
}
"""Topic to its title and the methods whose reports it tells, the most important first."""
OF_EACH = 3
"""Findings of a report that a topic shows; the others are behind its link."""
STALE = 8
"""Days after which a report is not of this week."""


def topic(study: Study, reports: EarlierReports, name: str) -> Answer:
    """Return what the newest reports say of a topic: money, experiments, community or content.

    Told is the first sentence of the first; the table has the first known findings of each report.
    """
    title, methods = TOPICS[name]
    asked = [one for one in reports.latest() if one.method in methods]
    asked.sort(key=lambda one: (methods.index(one.method), one.label != "all", one.label))
    known = [(one, [each for each in one.findings if each.value is not None]) for one in asked]
    found = [(report, one) for report, each in known for one in each[:OF_EACH]]
    if not found:
        return Answer(study, say("{topic}: not run, there is no report of it.", topic=say(title)))
    rows = [
        (one.metric, ranged(one), one.verdict, one.n, report.series, str(report.as_of))
        for report, one in found
    ]
    table = pd.DataFrame(rows, columns=["number", "value", "verdict", "n", "report", "as_of"])
    table["verdict"] = table["verdict"].replace("stated", "measured").map(say)
    caption = say("{topic}: what the newest reports found first", topic=say(title))
    text = say("{topic}: {sentence}", topic=say(title), sentence=found[0][1].sentence)
    return Answer(study, text, framed(table, f"topic_{name}", caption))


def report_health(study: Study, reports: EarlierReports) -> Answer:
    """Return which reports there are, how old they are, and which failed or were never made."""
    rows, own = [], reports.own
    for one in (each for each in reports.latest() if each.method != own):
        state = "old" if (reports.as_of - one.as_of).days >= STALE else "of this week"
        rows.append((one.series, str(one.as_of), "", state))
    failed = [one for one in reports.troubles() if one.series.partition("/")[0] != own]
    rows += [(one.series, str(one.as_of), one.reason or one.status, "failed") for one in failed]
    there = {own, *(row[0].partition("/")[0] for row in rows)}
    rows += [(name, "", "", "missing") for name in study.reads_reports if name not in there]
    table = pd.DataFrame(rows, columns=["report", "as_of", "reason", "state"])
    names = {
        state: ", ".join(table.loc[table["state"] == state, "report"])
        for state in ("failed", "old", "missing")
    }
    words = {state: text or say("none") for state, text in names.items()}
    text = "{n} reports of this week; failed: {failed}; older: {old}; missing: {missing}."
    caption = say("Reports that the review may read, and the state of each")
    table["state"] = table["state"].map(say)
    count = len(rows) - int(table["state"].isin([say(state) for state in words]).sum())
    return Answer(study, say(text, n=count, **words), framed(table, "reports_read", caption))


def proposed_elsewhere(
    reports: EarlierReports, undecided: Collection[str]
) -> dict[str, tuple[Action, list[Finding]]]:
    """Return by id what other reports propose and nobody has decided, or say to leave alone, and what that rests on.

    Ids say of which label a report is, because each label of a method uses the same ones.
    """
    found = {}
    for report in reports.latest():
        end = "" if report.label == "all" else "." + re.sub("[^a-z0-9_.-]", "-", report.label.lower())
        for one in report.actions if report.method != reports.own else ():
            if one.call == "leave" or f"{report.series}/{one.id}" in undecided:
                rests = [each.model_copy(update={"id": f"{each.id}{end}", "headline": "", "picture": ""})
                         for each in report.findings if each.id in one.finding_ids]  # fmt: skip
                names = {"id": f"{one.id}{end}", "finding_ids": tuple(each.id for each in rests)}
                found[f"{one.id}{end}"] = (one.model_copy(update=names), rests)
    return found
