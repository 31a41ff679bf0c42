"""What is fixed at acceptance, the verdicts, and their error rates on planted truth."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import signal

from helpers import errors
from helpers.playbook import verify as module
from helpers.playbook.earlier import EarlierReports
from helpers.playbook.register import Entry, Register
from helpers.playbook.verify import Verified, terms, verify, verify_all, weekly_history

MONDAY = dt.date(2024, 1, 1)
WEEK = dt.timedelta(days=7)
UP = "up is good"


def monday(week: int) -> dt.date:
    return MONDAY + week * WEEK


def table(
    values: np.ndarray, metric: str = "active_members", scope: str = "all members", **more: object
) -> pd.DataFrame:
    """Weekly metrics as the review publishes them."""
    weeks = [monday(number) for number in range(len(values))]
    same = {"metric": metric, "scope": scope, "desirable_direction": UP, "definition_id": "active member"}
    return pd.DataFrame({"window_start": weeks, "current": values} | same | more)


def accepted(history: pd.DataFrame, trigger: int, name: str = "a", **other: str) -> Entry:
    """An action that a week led to; accepted on the Monday after the next week, judged by four weeks."""
    day, created = monday(trigger + 2), monday(trigger + 1) - dt.timedelta(days=1)
    entry = Entry(
        id=f"rfm/all/{name}@{created}",
        title="Act",
        created=created,
        check_on=created + 4 * WEEK,
        metric="active_members",
    )
    fixed = terms(entry, history[history["window_start"] < day], day, **other)
    return Entry.model_validate(
        entry.model_dump() | fixed | {"state": "accepted", "accepted": day, "decided": day}
    )


def judged(values: np.ndarray, trigger: int) -> Verified:
    history = table(values)
    entry = accepted(history, trigger)
    return verify(entry, history[history["window_start"] <= entry.check_on], entry.check_on)


def quiet(rng: np.random.Generator, weeks: int, near: float = 0.4, spread: float = 0.06) -> np.ndarray:
    """Weeks of counts of days: days of the week differ, weeks resemble their neighbours, Poisson noise besides."""
    noise = rng.normal(size=weeks + 50) * spread * np.sqrt(1 - near**2)
    level = np.exp(signal.lfilter([1], [1, -near], noise)[50:])
    days = np.array([1.0, 0.9, 0.9, 0.95, 1.1, 1.4, 1.3])
    return rng.poisson(150 * level[:, None] * days).sum(axis=1).astype(float)


def test_the_baseline_is_the_eight_weeks_before_the_week_that_led_to_it() -> None:
    values = np.arange(100.0, 140)
    entry = accepted(table(values), 30)
    assert entry.baseline == tuple((monday(week), values[week]) for week in range(22, 30))
    assert entry.check_on == monday(36) - dt.timedelta(days=1)  # weeks 32 to 35
    assert (entry.metric, entry.scope, entry.direction) == ("active_members", "all members", UP)
    assert entry.definition == "active member"


def test_a_report_in_the_middle_of_a_week_was_led_to_by_the_last_whole_one() -> None:
    days = [monday(5) + dt.timedelta(days=n) for n in (-1, 0, 3, 6)]
    assert [module.last_week(day) for day in days] == [monday(4), monday(4), monday(4), monday(5)]
    assert [module.first_monday(day) for day in days] == [monday(5), monday(5), monday(6), monday(6)]


@pytest.mark.parametrize(
    ("factor", "verdict"), [(1.3, "verified"), (0.7, "refuted"), (1.0, "no clear change")]
)
def test_verdicts_follow_the_interval(factor: float, verdict: str) -> None:
    values = quiet(np.random.default_rng(6), 66)
    values[60:] *= factor
    found = judged(values, 58)
    assert found.verdict == verdict and found.effect.unit == "share"
    assert found.effect.low < factor - 1 < found.effect.high
    assert found.before == pytest.approx(values[50:58].mean()) and found.after == pytest.approx(
        values[60:64].mean()
    )


def test_a_low_that_lasts_is_not_the_doing_of_what_was_decided_because_of_it() -> None:
    values = quiet(np.random.default_rng(6), 66)
    values[58:] *= 0.7  # from the week that led to it on
    values[58] *= 0.9
    found = judged(values, 58)
    assert found.verdict == "no clear change" and "no worse than the week" in found.reason
    assert found.effect.high < 0


def test_a_control_takes_off_what_happened_to_everybody() -> None:
    rng = np.random.default_rng(7)
    values, control = quiet(rng, 66), quiet(rng, 66)
    values[60:] *= 1.3
    control[60:] *= 1.3
    history = pd.concat([table(values), table(control, scope="north")])
    alone, against = accepted(history, 58), accepted(history, 58, control="north")
    found = verify_all([alone, against], history, alone.check_on)
    assert [one.verdict for one in found] == ["verified", "no clear change"]
    assert abs(found[1].effect.value) < 0.1 < found[0].effect.low


def test_what_came_in_late_does_not_move_the_baseline() -> None:
    values = quiet(np.random.default_rng(8), 66)
    entry, late = accepted(table(values), 58), values.copy()
    late[50:58] *= 2
    assert verify(entry, table(late), entry.check_on).before == pytest.approx(values[50:58].mean())


def test_what_cannot_be_judged_says_why() -> None:
    values = quiet(np.random.default_rng(9), 66)
    history, holiday = table(values), table(values, unusual=np.arange(66) >= 60)
    entry = accepted(history, 58)
    assert verify(entry, history, entry.check_on - dt.timedelta(days=1)).verdict == "not due"
    cases = [
        (entry, history.assign(definition_id="logged in"), "means something else"),
        (entry, history.assign(metric="orders"), "no longer on record"),
        (entry, holiday, "too few"),
        (entry, history[history["window_start"] < monday(60)], "too few"),
        (accepted(history, 3), history, "3 of 8 weeks"),
    ]
    for one, weeks, reason in cases:
        found = verify(one, weeks, dt.date(2026, 1, 1))
        assert found.verdict == "not measurable" and reason in found.reason and not found.effect.known


def test_actions_on_one_metric_in_the_same_weeks_share_an_effect_that_counts_once() -> None:
    history = pd.concat([table(quiet(np.random.default_rng(9), 66)), table(np.ones(66), metric="orders")])
    entries = [accepted(history, 50, "a"), accepted(history, 52, "b"), accepted(history, 58, "c")]
    found = verify_all([*entries, accepted(history, 52, "d", metric="orders")], history, monday(66))
    assert [len(one.shared) for one in found] == [1, 1, 0, 0]
    assert found[0].shared == (entries[1].id,)
    assert [one.counted for one in found] == [True, False, True, True]


def test_accepting_asks_for_what_is_on_record() -> None:
    history = pd.concat([table(np.arange(60.0)), table(np.arange(60.0), scope="north")])
    with pytest.raises(errors.BadParameters, match=r"no weeks on record\. Did you mean \"active_members\""):
        accepted(history, 50, metric="active_member")
    with pytest.raises(
        errors.BadParameters, match="control == 'south', must be one of 'all members', 'north'"
    ):
        accepted(history, 50, control="south")
    with pytest.raises(errors.BadParameters, match="must be 'up is good' or 'down is good'"):
        accepted(history.assign(desirable_direction="neither"), 50)


def publish(folder: Path, day: dt.date, values: np.ndarray) -> None:
    """A retention report that proposes something, and the review with its weeks, both of a day."""
    for version, series in ((f"v{day:%Y%m%d}", "retention/all"), (f"v{day:%Y%m%d}", "weekly_review/all")):
        home = folder / series / version
        (home / "tables").mkdir(parents=True)
        manifest = {"status": "succeeded", "failure": None, "parameters": {"as_of": str(day)}, "files": {}}
        (home / "manifest.json").write_text(json.dumps(manifest))
        action = {
            "id": "retention.remind", "title": "Remind", "why": "Low.", "finding_ids": ["retention.x"],
            "owner_role": "lead", "expected_value": None, "low": None, "high": None, "cost": 0,
            "confidence_class": "rule", "check_metric": "active members", "check_after_days": 28,
        }  # fmt: skip
        if series.startswith("weekly"):
            table(values).to_parquet(home / "tables/weekly_metrics.parquet")
        else:
            (home / "actions.json").write_text(json.dumps([action]))


def test_four_weeks_after_it_was_accepted_it_is_verified(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two runs through files: a low week leads to a proposal, it is accepted, and four weeks later it has worked."""
    today = dt.date.today()
    first = module.first_monday(today)
    monkeypatch.setattr(f"{__name__}.MONDAY", first - 61 * WEEK)
    values = quiet(np.random.default_rng(10), 65)
    values[59] *= 0.8
    values[61:] *= 1.25
    publish(tmp_path, first - WEEK - dt.timedelta(days=1), values[:60])
    reports = EarlierReports(tmp_path, today)
    done = module.decided(
        tmp_path, "retention.remind", "accepted", "lead", "worth a try", metric="active_members"
    )
    assert done.endswith(f"accepted, check on {first + 4 * WEEK - dt.timedelta(days=1)} by active_members")
    (entry,) = Register.read(EarlierReports(tmp_path, today)).of("accepted")
    assert [value for _, value in entry.baseline] == list(values[51:59])
    assert verify_all([entry], weekly_history(reports), today)[0].verdict == "not due"
    end = first + 4 * WEEK - dt.timedelta(days=1)
    publish(tmp_path, end, values)
    later = EarlierReports(tmp_path, end)
    (found,) = verify_all(Register.read(later).of("accepted"), weekly_history(later), end)
    assert found.verdict == "verified" and found.effect.low < 0.25 < found.effect.high


def test_a_finding_may_tell_where_no_weekly_metric_does(tmp_path: Path) -> None:
    (tmp_path / "rfm/all/v1").mkdir(parents=True)
    manifest = {"status": "succeeded", "failure": None, "parameters": {"as_of": "2026-06-30"}, "files": {}}
    (tmp_path / "rfm/all/v1/manifest.json").write_text(json.dumps(manifest))
    found = {
        "id": "rfm.value", "metric": "Value", "scope": "all", "value": 5.0, "low": 4.0, "high": 6.0, "n": 40,
        "confidence": 0.95, "unit": "CNY", "direction": UP, "verdict": "stated", "sentence": "So.",
        "provenance": {"method": "m", "assumption": "a"},
    }  # fmt: skip
    (tmp_path / "rfm/all/v1/findings.json").write_text(json.dumps([found]))
    history = weekly_history(EarlierReports(tmp_path, dt.date(2026, 7, 7)))
    assert history.iloc[0].tolist()[:4] == ["rfm/all#rfm.value", "", dt.date(2026, 6, 22), 5.0]


# --- error rates ---


def lows(values: np.ndarray, first: int = 60) -> Iterator[int]:
    """Weeks below the lowest tenth of the year before them, six weeks apart at least."""
    last = 0
    for week in range(first, len(values) - 8):
        if values[week] < np.quantile(values[week - 52 : week], 0.1) and week - last >= 6:
            last = week
            yield week


def lows_by_eight(values: np.ndarray, first: int = 60) -> Iterator[int]:
    """Weeks a tenth below the eight weeks before them."""
    for week in range(first, len(values) - 8, 6):
        if values[week] < 0.9 * values[week - 8 : week].mean():
            yield week


def window(values: np.ndarray, week: int) -> tuple[np.ndarray, int]:
    """What is on record around a week: a year before it and what follows."""
    return values[week - 58 : week + 8], 58


@pytest.mark.slow
@pytest.mark.parametrize("near", [0.2, 0.4, 0.6])
@pytest.mark.parametrize("led", [lows, lows_by_eight])
def test_useless_actions_that_a_low_led_to_are_not_verified(near: float, led) -> None:
    """Ten times 2,000 quiet weeks."""
    rng = np.random.default_rng(11)
    found = []
    for _ in range(10):
        values = quiet(rng, 2000, near)
        found += [judged(*window(values, week)).verdict for week in led(values)]
    rates = {verdict: found.count(verdict) / len(found) for verdict in ("verified", "refuted")}
    print(f"near {near}, {led.__name__}: {len(found)} actions, {rates}")
    assert len(found) > 150 and rates["verified"] <= 0.025


def planted_size(near: float, rng: np.random.Generator) -> float:
    """Log effect that the plain comparison of four with eight weeks, its noise known, finds in nine of ten cases."""
    values = np.log(quiet(rng, 20_000, near))
    at = np.arange(60, 19_900, 3)
    contrasts = [values[week + 2 : week + 6].mean() - values[week - 8 : week].mean() for week in at]
    return (1.959964 + 1.281552) * float(np.std(contrasts))


@pytest.mark.slow
@pytest.mark.parametrize("near", [0.2, 0.4, 0.6])
def test_effects_of_ninety_per_cent_power_are_verified(near: float) -> None:
    """Three times 200 of them, at weeks of any kind; those that a low led to are told besides."""
    rng = np.random.default_rng(12)
    size = planted_size(near, rng)
    found = {"any week": [], "a low": []}
    while min(map(len, found.values())) < 600:
        values = quiet(rng, 400, near)
        for kind, weeks in (("any week", range(60, 390, 30)), ("a low", lows(values))):
            for week in weeks:
                part, trigger = window(values.copy(), week)
                part[trigger + 2 :] *= np.exp(size)
                found[kind].append(judged(part, trigger).verdict == "verified")
    rates = {kind: np.mean(verdicts[:600]) for kind, verdicts in found.items()}
    print(f"near {near}: {np.expm1(size):.1%}, {rates}")
    assert rates["any week"] >= 0.8
