"""Two reviews: what is accepted after the first is judged, counted and shown in the second."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from helpers.methods import weekly_review as review
from helpers.playbook import register, verify
from helpers.playbook.earlier import EarlierReports
from helpers.study import Study
from helpers.tables import Table
from tests.methods.weekly_review.test_review import put, shop

TODAY = dt.date(2026, 5, 26)
START = verify.first_monday(TODAY)
"""The first week of an action that is accepted today."""


class Now(dt.datetime):
    """The instant of the decision."""

    @classmethod
    def now(cls, tz: dt.tzinfo | None = None) -> dt.datetime:
        return dt.datetime.combine(TODAY, dt.time(9), tz)


class Today(dt.date):
    """The day of the decision."""

    @classmethod
    def today(cls) -> dt.date:
        return TODAY


@pytest.fixture
def made() -> np.ndarray:
    """Orders of 65 weeks: the last whole one is low, and the four weeks from `START` on bring 40 % more."""
    made = np.random.default_rng(4).poisson(100, 65)
    made[59] = 70
    made[61:] = made[61:] * 1.4
    return made


@pytest.fixture
def look(made: np.ndarray, study_of: Callable[..., Study], tmp_path: Path) -> Callable[..., Any]:
    """Make the review of a day from so many weeks, publish its numbers, return its actions and decisions."""

    def look(weeks: int, day: dt.date) -> tuple[Any, Any]:
        orders = shop(made[:weeks], pd.Timestamp(START - 61 * verify.WEEK))
        here = study_of({"orders": orders}, str(day), about_members=False, method="weekly_review")
        weekly = review.weekly_metrics(here)
        reports = EarlierReports(tmp_path, day, None, "weekly_review")
        actions = review.earlier_actions(review.moved(weekly, reports), reports)
        put(tmp_path, "weekly_review/all", str(day), [], {"weekly_metrics": weekly.table})
        return actions, review.decisions(here, reports, actions, ())

    return look


def test_an_accepted_action_is_verified_four_weeks_later_and_shown(
    look: Callable[..., Any], tmp_path: Path, made: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    proposed, end = START - verify.WEEK - dt.timedelta(days=1), START + 4 * verify.WEEK - dt.timedelta(days=1)
    put(tmp_path, "retention/all", str(proposed), [], {})
    action = {
        "id": "retention.remind", "title": "Remind", "why": "A low.", "finding_ids": ["retention.x"], "cost": 0,
        "owner_role": "lead", "expected_value": 500.0, "low": -50.0, "high": 900.0, "confidence_class": "rule",
        "check_metric": "orders", "check_after_days": 28,
    }  # fmt: skip
    (tmp_path / "retention/all/v1/actions.json").write_text(json.dumps([action]))
    actions, _ = look(60, proposed)
    assert actions.verified == () and "none was accepted" in actions.sentence

    with monkeypatch.context() as on_the_day:
        clock = SimpleNamespace(datetime=Now, date=Today, timedelta=dt.timedelta)
        for module in (register, verify):
            on_the_day.setattr(module, "dt", clock)
        verify.decided(tmp_path, "retention.remind", "accepted", "lead", "worth a try", metric="orders")

    waiting, _ = look(61, START - dt.timedelta(days=1))
    assert waiting.verified[0].verdict == "not due"
    (entry,) = waiting.register.of("accepted")
    assert [value for _, value in entry.baseline] == made[51:59].tolist() and entry.check_on == end

    actions, decided = look(65, end)
    (found,) = actions.verified
    assert found.verdict == "verified" and found.effect.low < 0.4 < found.effect.high
    said = [part for part in actions.parts() if isinstance(part, str)]
    assert "The day of 1 has come; 1 did what was expected." in said[0]
    assert said[1].startswith(f"“Remind”: verified, {found.effect.value:.1%}".replace("%", " %"))
    (table,) = (part for part in actions.parts() if isinstance(part, Table))
    assert (table.frame["verdict"][0], table.frame["state"][0]) == ("verified", "accepted")
    assert "Remind" not in decided.sentence
