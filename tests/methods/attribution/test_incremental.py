"""What channels add: the equations by hand, and the precision-weighted correction by lift tests."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from helpers.methods.attribution.calibrate import calibrate, lift_tests
from helpers.methods.attribution.incremental import Increments, increments
from helpers.methods.attribution.journeys import Definition, journeys
from helpers.study import Study

AS_OF = pd.Timestamp("2026-03-31", tz="Asia/Shanghai")
DAYS = 40


def tables(seed: int = 3, members: int = 30) -> dict[str, pd.DataFrame]:
    """Members of forty days with touches of two channels and orders, at minutes of the day."""
    rng, begin = np.random.default_rng(seed), AS_OF.normalize() - pd.Timedelta(days=DAYS - 1)
    ids = np.array([f"m{n}" for n in range(members)])

    def at(count: int) -> pd.Series:
        minutes = rng.integers(0, DAYS * 1_440, count)
        return pd.Series(begin + pd.to_timedelta(minutes, unit="min"))

    touches, orders = 150, 90
    when = at(touches)
    when.iloc[0], when.iloc[1] = (
        begin,
        AS_OF.normalize() + pd.Timedelta(hours=12),
    )  # what is between is watched
    return {
        "members": pd.DataFrame({"member_id": ids, "joined_at": begin}),
        "touchpoints": pd.DataFrame({
            "touch_id": [f"t{n}" for n in range(touches)], "member_id": rng.choice(ids, touches), "ts": when,
            "channel": rng.choice(["抖音", "search"], touches),
        }),
        "orders": pd.DataFrame({
            "order_id": [f"o{n}" for n in range(orders)], "member_id": rng.choice(ids, orders), "paid_at": at(orders),
            "gross": 10.0, "currency": "CNY",
        }),
    }  # fmt: skip


def by_hand(frames: dict[str, pd.DataFrame], decay: float, channels: tuple[str, ...]) -> np.ndarray:
    """Solve the equations member by member and day by day."""
    ids = list(frames["members"]["member_id"])
    begin = AS_OF.normalize() - pd.Timedelta(days=DAYS - 1)
    x, y = np.zeros((len(ids), DAYS, len(channels))), np.zeros((len(ids), DAYS))
    for row in frames["touchpoints"].itertuples():
        day, rest = divmod((row.ts - begin) / pd.Timedelta(days=1), 1)
        for age in range(DAYS - int(day)):
            left = decay ** (age - rest)  # of the effect when that day begins
            dose = 1 - decay ** (1 - rest) if age == 0 else left * (1 - decay)
            x[ids.index(row.member_id), int(day) + age, channels.index(row.channel)] += (
                dose if age <= 30 else 0
            )
    for row in frames["orders"].itertuples():
        y[ids.index(row.member_id), int((row.paid_at - begin) / pd.Timedelta(days=1))] += 1
    season = y.sum(axis=0) / y.sum(axis=0).mean()
    own = np.einsum("mtc,t->mc", x, season) / season.sum()
    right = np.einsum("mtc,mt->c", x, y) - own.T @ y.sum(axis=1)
    left = np.einsum("mtc,mtd->cd", x, x) - own.T @ x.sum(axis=1)
    return np.asarray(np.linalg.solve(left, right) * x.sum(axis=(0, 1)))


def test_the_equations_are_those_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("helpers.methods.attribution.incremental.DECAYS", (0.7,))
    monkeypatch.setattr("helpers.methods.attribution.incremental.LEAST_DOSE", 1e-9)
    frames = tables()
    got = increments(journeys(Study.of(frames, AS_OF.date(), seed=1)))
    first = frames["touchpoints"]["ts"].min().normalize()
    assert first == AS_OF.normalize() - pd.Timedelta(days=DAYS - 1), "so that all days count"
    assert got.orders == pytest.approx(by_hand(frames, 0.7, got.channels), rel=1e-9)
    assert (got.total, got.members, got.days) == (90, 30, DAYS)
    share, error = 1 - got.orders.sum() / 90, np.sqrt(got.covariance.sum()) / 90
    assert got.baseline(0.95).value == pytest.approx(share)
    assert got.baseline(0.95).low == pytest.approx(max(share - 1.959964 * error, 0), abs=1e-6)


def test_rates_of_many_rest_on_a_sample_and_stand_for_all_touches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Members in four equal copies: a sample of about half of them adds about as much, and errs more."""
    frames = tables()
    copies = [
        {
            name: each.assign(**{c: each[c] + tail for c in each.columns if c.endswith("_id")})
            for name, each in frames.items()
        }
        for tail in ("", "x", "y", "z")
    ]
    frames = {name: pd.concat([each[name] for each in copies], ignore_index=True) for name in frames}
    found = journeys(Study.of(frames, AS_OF.date(), seed=1))
    whole = increments(found)
    monkeypatch.setattr("helpers.methods.attribution.incremental.DECAYS", (whole.decay,))
    monkeypatch.setattr("helpers.methods.attribution.incremental.ROWS_TO_FIT", whole.touches.sum() * 15)
    some = increments(found)
    assert whole.share == 1 and some.share == pytest.approx(0.5)
    assert (some.total, some.members, some.touches.tolist()) == (
        whole.total,
        whole.members,
        whole.touches.tolist(),
    )
    errors = np.sqrt(np.diag(some.covariance))
    assert (np.abs(some.orders - whole.orders) < 3 * errors).all()
    assert (errors > np.sqrt(np.diag(whole.covariance))).all()


def test_without_members_whoever_was_seen_is_at_risk_and_a_window_shortens_it() -> None:
    frames = tables()
    del frames["members"]
    study = Study.of(frames, AS_OF.date(), seed=1)
    assert increments(journeys(study)).members == 30
    short = increments(journeys(study, Definition(window_days=20)))
    late = frames["orders"]["paid_at"] >= AS_OF.normalize() - pd.Timedelta(days=19)
    assert (short.total, short.days) == (late.sum(), 20)


def made(orders: list[float], errors: list[float], touches: list[float]) -> Increments:
    names = tuple("abc"[: len(orders)])
    covariance = np.diag(np.square(errors))
    return Increments(
        names, np.array(orders), covariance, np.array(touches), 1_000, 500, 90, 0.6, pd.DataFrame()
    )


def test_a_test_that_agrees_is_averaged_by_precision() -> None:
    """A model of 100 ± 10 orders and a test of 110 ± 10 orders over 1,000 touches: 105 ± 7.07."""
    tests = pd.DataFrame({"channel": ["a"], "value": [0.110], "error": [0.010]})
    got = calibrate(made([100.0, 50.0], [10.0, 5.0], [1_000.0, 500.0]), tests)
    assert got.orders == pytest.approx([105.0, 50.0])
    assert np.sqrt(np.diag(got.covariance)) == pytest.approx([10 / np.sqrt(2), 5.0])


def test_a_test_that_disagrees_wins_and_moves_the_others_half_as_far() -> None:
    """The model is four times the truth of a: what it says of b falls too, and is far less certain."""
    tests = pd.DataFrame({"channel": ["a"], "value": [0.025], "error": [0.001]})
    before = made([100.0, 80.0], [5.0, 4.0], [1_000.0, 1_000.0])
    got = calibrate(before, tests)
    assert got.orders[0] == pytest.approx(25.0, abs=0.5)
    assert got.orders[1] == pytest.approx(80 * (1 - 0.75 / 2), rel=0.02)
    assert np.sqrt(got.covariance[1, 1]) > 30
    assert calibrate(before, tests.iloc[:0]) is before


def test_rows_of_evidence_that_measure_a_channel_count_and_old_ones_count_less() -> None:
    frames = tables()
    day = pd.Timestamp("2026-03-01")
    rows = pd.DataFrame({
        "evidence_id": list("12345678"), "estimand": ["lift"] * 6 + ["roi", "lift"],
        "line": ["抖音", "search", "抖音", "电台", "抖音", "抖音", "抖音", "抖音"],
        "start": day, "end": [day, AS_OF.tz_localize(None).normalize(), pd.Timestamp("2025-03-31"), day, day,
                              pd.Timestamp("2026-04-30"), day, day],
        "value": 0.5, "se": 0.2, "kind": ["experiment", "go_dark", *["experiment"] * 5, "belief"],
        "unit": ["orders a touch", "orders", "orders a touch", "orders", "CNY", *["orders"] * 3],
    })  # fmt: skip
    rows.loc[2, "start"] = rows.loc[2, "end"]
    study = Study.of({**frames, "evidence": rows}, AS_OF.date(), seed=1)
    got = lift_tests(journeys(study), ("search", "抖音")).set_index("channel")
    touches = frames["touchpoints"].query("channel == 'search'")["ts"]
    shown = (touches.dt.tz_localize(None) >= day).sum()
    assert got.loc["search", ["value", "error", "age_days"]].tolist() == [
        0.5 / shown,
        pytest.approx(0.2 / shown),
        0,
    ]
    recent, old = (got.loc["抖音"].sort_values("age_days").iloc[place] for place in (0, 1))
    assert len(got) == 3 and recent["age_days"] == 30 and old["age_days"] == 365
    assert old["error"] == pytest.approx(0.2 * np.sqrt(2))
