"""Published experiments as canonical tables with a design each; see SOURCES.md of the reference data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from helpers.methods.ab_test.plan import Plan, plan_of
from helpers.study import Study

BROKEN = ["block0077", "block0085", "block0097"]


def frozen(start: str, end: str, as_of: str | None = None, **fields: Any) -> Plan:
    """Return a design that was written down the day before its start, with equal arms unless stated."""
    arms = fields.get("arms", ["control", "treatment"])
    first = {"start": start, "shares": [1 / len(arms)] * len(arms)}
    given = {"experiment": "x", "arms": arms, "allocation": [first], "looks": 1, "spending": "fixed"}
    given |= {"start": start, "end": end, "smallest_effect": 0.05, "minimum_days": 1}
    given["registered_at"] = (pd.Timestamp(start) - pd.Timedelta(days=1)).strftime("%Y-%m-%dT00:00:00+00:00")
    plan = plan_of(given | fields)
    return plan.model_copy(update={"sha256": plan.digest})


def study_of(plan: Plan, as_of: str | None = None, **tables: pd.DataFrame) -> Study:
    """Return a study of these tables, all of the experiment ``x``, seen from the end of the design."""
    own = ("assignments", "unit_outcomes", "arm_daily")
    named = {name: frame.assign(exp_id="x") if name in own else frame for name, frame in tables.items()}
    return Study.of(named, as_of or str(plan.end))


def catlab(folder: Path, *, all_units: bool = False, **fields: Any) -> tuple[Study, Plan]:
    """Welcoming newcomers (CAT Lab): comments within two weeks, in blocks of ten.

    The authors kept the first ten units of block0001, no broken block, and the first 130 blocks that were left.
    """
    rows = pd.read_csv(folder / "ab" / "catlab_rfeminism_2018_2020.csv", index_col=0)
    rows["assigned_at"] = pd.to_datetime(rows["assignment_datetime"], utc=True)
    if not all_units:
        surplus = (rows["block_id"] == "block0001") & (rows["assigned_at"] > "2018-07-19T16:00Z")
        rows = rows[~surplus & ~rows["block_id"].isin(BROKEN)]
        begun = rows.groupby("block_id")["assigned_at"].min().sort_values()
        rows = rows[rows["block_id"].isin(begun.index[:130])]
    sent = (rows["message_status"] == "sent") & (rows["treatment"] == 1)
    units = pd.DataFrame(
        {
            "unit_id": "u" + rows.index.astype(str),
            "arm": rows["treatment"].map({0: "control", 1: "treatment"}),
            "assigned_at": rows["assigned_at"],
            "exposed_at": rows["assigned_at"].where(sent),
            "block": rows["block_id"],
            "comments": rows["comments_2_weeks"].astype(float),
        }
    )
    metric = {"name": "comments", "source": "assignments:comments"}
    about = {"design": "blocked", "outcome_days": 14, "primary": metric}
    plan = frozen("2018-07-19", "2020-07-31", **(about | fields))
    return study_of(plan, assignments=units), plan


def soc412(folder: Path, **fields: Any) -> tuple[Study, Plan]:
    """Questions in posts (SOC412): comments a post, 14 experimenters as blocks, 29 outcomes missing."""
    rows = pd.read_csv(folder / "ab" / "soc412_social_media_question_2019.csv")
    units = pd.DataFrame({"unit_id": "p" + rows.index.astype(str), "arm": rows["condition"]})
    units["assigned_at"] = pd.Timestamp("2019-02-22", tz="UTC")
    units["block"] = rows["experimenter"]
    outcomes = units[["unit_id"]].assign(metric="comments", value=rows["comments"])
    about = {"design": "blocked", "missing": "drop", "unit": "post"}
    about["primary"] = {"name": "comments", "source": "unit_outcomes:comments"}
    plan = frozen("2019-02-22", "2019-03-31", **(about | fields))
    return study_of(plan, assignments=units, unit_outcomes=outcomes), plan


def hillstrom(folder: Path) -> tuple[Study, Plan]:
    """E-mails to 64,000 customers (Hillstrom), three arms."""
    rows = pd.read_csv(folder / "ab" / "hillstrom.csv")
    arms = ["No E-Mail", "Mens E-Mail", "Womens E-Mail"]
    units = rows.drop(columns="segment").assign(unit_id="c" + rows.index.astype(str), arm=rows["segment"])
    units["assigned_at"] = pd.Timestamp("2008-03-20", tz="UTC")
    spend = {"name": "spend", "source": "assignments:spend", "covariates": ["assignments:history"]}
    visit = {"name": "visit", "source": "assignments:visit", "kind": "proportion"}
    conversion = {"name": "conversion", "source": "assignments:conversion", "kind": "proportion"}
    about = {"outcome_days": 14, "primary": visit, "secondary": [spend, conversion], "segments": ["channel"]}
    plan = frozen("2008-03-20", "2008-04-10", arms=arms, **about)
    return study_of(plan, assignments=units), plan


def udacity(folder: Path) -> tuple[Study, Plan]:
    """A question before enrolling (Udacity): sums of two arms by day, with outcomes on 23 of 37 days."""
    parts = []
    for arm, file in (("control", "control"), ("treatment", "experiment")):
        rows = pd.read_csv(folder / "ab" / f"udacity_freetrial_{file}.csv", encoding="utf-8-sig")
        days = pd.to_datetime(rows["Date"] + " 2014", format="%a, %b %d %Y").dt.date
        told = {
            "pageview": ("Pageviews", "Clicks"),
            "gross": ("Clicks", "Enrollments"),
            "net": ("Clicks", "Payments"),
        }
        for metric, (n, total) in told.items():
            part = pd.DataFrame(
                {"arm": arm, "date": days, "metric": metric, "n": rows[n], "sum": rows[total]}
            )
            parts.append(part.dropna().astype({"n": int, "sum": float}))
    gross = {"name": "gross", "source": "arm_daily:gross", "kind": "proportion", "direction": "down"}
    net = {"name": "net", "source": "arm_daily:net", "kind": "proportion", "margin": 0.075}
    plan = frozen("2014-10-11", "2014-11-16", unit="pageview", primary=gross, guardrails=[net])
    return study_of(plan, arm_daily=pd.concat(parts, ignore_index=True)), plan
