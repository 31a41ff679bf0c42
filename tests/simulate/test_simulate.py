"""The simulated community: its tables keep their promises and its truth is really in them."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import statsmodels.api as sm
from pandas.testing import assert_frame_equal
from scipy import special, stats

from helpers import simulate
from helpers.data import source
from helpers.data.contract import INTERACTIONS
from helpers.errors import BadParameters
from helpers.simulate.advertising import marginal_response
from tests.hidden_months import member_months

TIERS = ("silent", "potential", "active", "core")
SAMPLE = {"members": 3000, "days": 365, "seed": 20250701, "scenario": "shop"}
MEDIUM = {"members": 2100, "days": 123, "seed": 11}
TZ = "Asia/Shanghai"


@pytest.fixture(scope="module")
def medium() -> simulate.Community:
    """Three blocks of members over four months."""
    return simulate.community(**MEDIUM)


@pytest.fixture(scope="module")
def large() -> simulate.Community:
    """Nine blocks of members, without events."""
    return simulate.community(
        9_000, 365, 5, tables=("members", "orders", "touchpoints", "assignments", "referrals")
    )


@pytest.fixture(scope="module")
def months() -> pd.DataFrame:
    """Hidden states of the large community."""
    return member_months(9_000, 365, 5)


def local_day(instants: pd.Series) -> pd.Series:
    return instants.dt.tz_convert(TZ).dt.date


def in_month(instants: pd.Series) -> pd.Series:
    months = instants.dt.tz_convert(TZ).dt.tz_localize(None).to_numpy().astype("datetime64[M]")
    found, codes = np.unique(months, return_inverse=True)
    return pd.Series(np.datetime_as_string(found)[codes], index=instants.index)


# --- the same again ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[tuple[int, int]]]:
    """The same three blocks on disk, and the progress that was told."""
    done: list[tuple[int, int]] = []
    out = tmp_path_factory.mktemp("written")
    return simulate.write(out, **MEDIUM, progress=lambda *at: done.append(at)), done


def test_a_written_community_is_the_one_in_memory(
    medium: simulate.Community, written: tuple[Path, list[tuple[int, int]]]
) -> None:
    folder, done = written
    assert done == [(1_000, 2_100), (2_000, 2_100), (2_100, 2_100)]
    assert list(medium.tables) == list(simulate.TABLES)
    for name, frame in medium.tables.items():
        table = pq.read_table(folder / f"{name}.parquet")
        assert_frame_equal(table.to_pandas(), frame, check_dtype=False)
    assert json.loads((folder / "truth.json").read_text(encoding="utf-8")) == medium.truth


def test_another_seed_gives_another_community(medium: simulate.Community) -> None:
    other = simulate.community(200, 62, 12, tables=("events",)).tables["events"]
    assert not other["ts"].head(50).equals(medium.tables["events"]["ts"].head(50))


def test_leaving_out_tables_changes_neither_the_others_nor_the_truth(medium: simulate.Community) -> None:
    part = simulate.community(**MEDIUM, tables=("members", "orders"))
    assert list(part.tables) == ["members", "orders"]
    assert_frame_equal(part.tables["members"], medium.tables["members"])
    assert_frame_equal(part.tables["orders"], medium.tables["orders"])
    assert part.truth == medium.truth


def test_equal_calls_write_equal_bytes(tmp_path: Path) -> None:
    folders = [simulate.write(tmp_path / name, 120, 40, 3) for name in ("a", "b")]
    files = sorted(path.relative_to(folders[0]) for path in folders[0].rglob("*.*"))
    designs = [name for name in files if name.parent.name == "experiments"]
    tables = [f"{name}.parquet" for name in simulate.TABLES]
    assert sorted(map(str, files)) == sorted([*tables, "README.md", "truth.json", *map(str, designs)])
    assert len(designs) == 4
    for name in files:
        first, second = ((folder / name).read_bytes() for folder in folders)
        if name.name == "README.md":
            first = first.replace(str(folders[0]).encode(), str(folders[1]).encode())
        assert first == second, name


# --- the contract -----------------------------------------------------------------------------------------


def test_written_tables_keep_the_contract(written: tuple[Path, list[tuple[int, int]]]) -> None:
    dataset = source.open(written[0])
    assert set(dataset.tables) == set(simulate.TABLES)
    assert dataset.events.count().execute() > 10_000


def test_times_are_utc_microseconds_and_ids_are_long_strings(medium: simulate.Community) -> None:
    for frame in medium.tables.values():
        for column in frame.columns:
            if column.endswith("_at") or column == "ts":
                assert str(frame[column].dtype) == "datetime64[us, UTC]"
    for table, column in (("members", "member_id"), ("orders", "order_id"), ("events", "event_id")):
        ids = medium.tables[table][column]
        assert ids.str.fullmatch(r"\d{17,19}").all()
        assert ids.is_unique


@pytest.mark.parametrize(("members", "days"), [(1, 1), (1, 400), (1_001, 31)])
def test_tiny_and_short_communities_keep_the_contract(members: int, days: int, tmp_path: Path) -> None:
    dataset = source.open(simulate.write(tmp_path, members, days, 4))
    assert set(dataset.tables) == set(simulate.TABLES)
    assert dataset.members.count().execute() == members


# --- membership -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("table", "column"), [("events", "ts"), ("orders", "paid_at"), ("touchpoints", "ts")]
)
def test_nothing_happens_before_joining_or_after_leaving(
    medium: simulate.Community, table: str, column: str
) -> None:
    frame = medium.tables[table].merge(medium.tables["members"][["member_id", "joined_at", "left_at"]])
    assert len(frame) == len(medium.tables[table])
    assert (frame[column] >= frame["joined_at"]).all()
    assert ((frame[column] <= frame["left_at"]) | frame["left_at"].isna()).all()
    days = local_day(frame[column])
    assert days.min() >= date(2025, 7, 1)
    assert days.max() == date(2025, 10, 31)


def test_joining_and_leaving_are_events_at_their_own_time(medium: simulate.Community) -> None:
    members, events = medium.tables["members"].set_index("member_id"), medium.tables["events"]
    for event, column in (("join", "joined_at"), ("leave", "left_at")):
        seen = events[events["event"] == event].set_index("member_id")["ts"]
        expected = members[column].dropna()
        expected = expected[local_day(expected) >= date(2025, 7, 1)]
        assert_frame_equal(
            seen.sort_index().to_frame("ts"), expected.sort_index().to_frame("ts"), check_names=False
        )


def test_staff_and_bots_are_flagged_few_and_very_active(medium: simulate.Community) -> None:
    members = medium.tables["members"]
    bots, staff = members[members["is_bot"]], members[members["is_staff"]]
    assert 1 <= len(bots) <= 0.02 * len(members)
    assert 1 <= len(staff) <= 0.02 * len(members)
    assert not (members["is_bot"] & members["is_staff"]).any()
    assert medium.truth["roles"] == {"staff": list(staff["member_id"]), "bots": list(bots["member_id"])}
    events = medium.tables["events"]["member_id"].value_counts()
    ordinary = members.loc[~(members["is_bot"] | members["is_staff"]), "member_id"]
    assert events[bots["member_id"]].min() > 10 * events.reindex(ordinary, fill_value=0).median()
    for table, column in (("assignments", "unit_id"), ("orders", "member_id"), ("touchpoints", "member_id")):
        assert medium.tables[table][column].isin(ordinary).all()


# --- tiers ------------------------------------------------------------------------------------------------


def measured_tiers(community: simulate.Community) -> pd.Series:
    """Tier by (member, month), from counting interactions; absent where there is none."""
    events = community.tables["events"]
    events = events[events["event"].isin(INTERACTIONS)]
    counts = events.groupby(["member_id", in_month(events["ts"]).rename("month")]).size()
    return pd.cut(counts, [0, 10, 50, np.inf], labels=TIERS[1:]).astype(str)


@pytest.mark.parametrize("start", [date(2025, 7, 1), date(2024, 1, 19)])
def test_counted_interactions_give_the_planted_tier_of_every_whole_month(start: date) -> None:
    arguments = {"members": 1_300, "days": 130, "seed": 21, "start": start}
    community = simulate.community(**arguments, tables=("members", "events"))
    hidden = member_months(**arguments)
    hidden = hidden[hidden["present"]].set_index(["member_id", "month"])
    measured = measured_tiers(community).reindex(hidden.index, fill_value="silent")
    assert len(hidden) > 1_000
    assert set(hidden["tier"]) == set(TIERS)
    assert (measured == hidden["tier"]).all()
    members = community.tables["members"].set_index("member_id")
    first = members["joined_at"].dt.tz_convert(TZ).dt.day == 1
    assert hidden.index.get_level_values("member_id").isin(members.index[first]).any()


def test_truth_counts_the_transitions_that_the_tables_show(medium: simulate.Community) -> None:
    members = medium.tables["members"]
    members = members[~(members["is_staff"] | members["is_bot"])]
    joined, left = (
        local_day(members["joined_at"]),
        local_day(members["left_at"].fillna(pd.Timestamp.max.tz_localize("UTC"))),
    )
    tiers = measured_tiers(medium)
    assert len(medium.truth["tiers"]["pairs"]) == 3
    for pair in medium.truth["tiers"]["pairs"]:
        first = pd.Period(pair["from"])
        stays = (joined <= first.start_time.date()) & (left > (first + 1).end_time.date())
        index = members.loc[stays, "member_id"]
        codes = [
            tiers.reindex(pd.MultiIndex.from_product([index, [month]]), fill_value="silent").to_numpy()
            for month in (pair["from"], pair["to"])
        ]
        table = pd.crosstab(*codes).reindex(index=TIERS, columns=TIERS, fill_value=0)
        assert table.to_numpy().tolist() == pair["observed"]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_transitions_agree_with_the_planted_matrix(seed: int) -> None:
    truth = simulate.community(2_000, 365, seed, tables=("members",)).truth["tiers"]
    observed = sum(np.array(pair["observed"]) for pair in truth["pairs"])
    expected = sum(np.array(pair["expected"]) for pair in truth["pairs"])
    np.testing.assert_allclose(expected.sum(axis=1), observed.sum(axis=1))
    base = np.array(truth["transitions"])
    np.testing.assert_allclose(expected[1:] / expected[1:].sum(axis=1, keepdims=True), base[1:])
    statistic = ((observed - expected) ** 2 / expected).sum()
    assert 0.001 < stats.chi2.sf(statistic, df=12) < 0.999
    wrong = expected.sum(axis=1, keepdims=True) * base[[0, 1, 3, 2]]
    assert stats.chi2.sf(((observed - wrong) ** 2 / wrong).sum(), df=12) < 1e-6


def test_expected_transitions_of_the_silent_follow_from_their_covariates(
    large: simulate.Community, months: pd.DataFrame
) -> None:
    members = large.tables["members"].set_index("member_id")
    effects = large.truth["return"]["log_odds"]
    base = special.logit(1 - large.truth["tiers"]["transitions"][0][0])
    odds = base + effects["early_reply"] * members["early_reply"]
    odds += members["source"].map(lambda name: effects.get(f"source={name}", 0.0))
    present = months[months["present"]].pivot(index="member_id", columns="month", values="tier")
    for pair in large.truth["tiers"]["pairs"]:
        here = present[[pair["from"], pair["to"]]].dropna()
        silent = here.index[here[pair["from"]] == "silent"]
        leaving_silence = special.expit(odds[silent]).sum()
        assert pair["expected"][0][0] == pytest.approx(len(silent) - leaving_silence)


def test_return_odds_ratios_are_recovered(large: simulate.Community, months: pd.DataFrame) -> None:
    members = large.tables["members"].set_index("member_id")
    present = months[months["present"]].sort_values(["member_id", "month"])
    following = present.groupby("member_id").shift(-1)
    rows = present[(present["tier"] == "silent") & following["tier"].notna()]
    design = members.loc[rows["member_id"], ["early_reply"]].astype(float).reset_index(drop=True)
    origin = members.loc[rows["member_id"], "source"].reset_index(drop=True)
    for name in ("抖音", "邀请"):
        design[f"source={name}"] = (origin == name).astype(float)
    returned = (following.loc[rows.index, "tier"] != "silent").to_numpy(dtype=float)
    fit = sm.Logit(returned, sm.add_constant(design)).fit(disp=0)
    truth = large.truth["return"]["log_odds"]
    assert fit.params["const"] == pytest.approx(special.logit(0.2), abs=4 * fit.bse["const"])
    for name, value in truth.items():
        assert fit.params[name] == pytest.approx(value, abs=4 * fit.bse[name])
        assert abs(fit.params[name]) > 3 * fit.bse[name]


# --- leaving ----------------------------------------------------------------------------------------------


def exit_pieces(members: pd.DataFrame, months: pd.DataFrame, breaks: list[float]) -> pd.DataFrame:
    """Split each member-month at the breaks of tenure: exposure in days, exit, and covariates."""
    frame = months.merge(members, on="member_id").sort_values(["member_id", "month"])
    before = frame.groupby("member_id")[["tier", "pushes"]].shift(1)
    frame["previous_tier"], frame["previous_pushes"] = (
        before["tier"].fillna("none"),
        before["pushes"].fillna(0),
    )
    month = frame["month"].astype("period[M]")
    begins = month.dt.start_time.dt.tz_localize(TZ)
    ends = (month + 1).dt.start_time.dt.tz_localize(TZ)
    day = pd.Timedelta(days=1)
    joined, left = frame["joined_at"], frame["left_at"]
    low = ((begins - joined) / day).clip(lower=0.0)
    high = (ends.where(left.isna() | (left >= ends), left) - joined) / day
    leaves = left.notna() & (left < ends)
    pieces = []
    for number, (lower, upper) in enumerate(zip(breaks, [*breaks[1:], np.inf], strict=True)):
        exposure = high.clip(upper=upper) - low.clip(lower=lower)
        exits = leaves & (high > lower) & (high <= upper)
        pieces.append(frame.assign(piece=number, exposure=exposure, exits=exits)[exposure > 0])
    return pd.concat(pieces)


def test_exit_hazard_and_its_covariates_are_recovered(
    large: simulate.Community, months: pd.DataFrame
) -> None:
    truth = large.truth["exit"]
    pieces = exit_pieces(large.tables["members"], months, truth["tenure_breaks_days"])
    design = {f"baseline {number}": pieces["piece"] == number for number in range(4)}
    design |= {"early_reply": pieces["early_reply"], "pushes_previous_month": pieces["previous_pushes"]}
    design |= {f"source={name}": pieces["source"] == name for name in ("抖音", "邀请")}
    design |= {
        f"previous_tier={tier}": pieces["previous_tier"] == tier for tier in ("silent", "active", "core")
    }
    x = pd.DataFrame({name: column.astype(float) for name, column in design.items()})
    totals = pieces[["exits", "exposure"]].groupby([x[name] for name in x]).sum()
    cells = totals.index.to_frame(index=False)
    offset = np.log(totals["exposure"].to_numpy())
    fit = sm.GLM(totals["exits"].to_numpy(), cells, family=sm.families.Poisson(), offset=offset).fit()
    expected = {f"baseline {i}": np.log(hazard) for i, hazard in enumerate(truth["daily_hazard"])}
    expected |= truth["log_hazard"]
    assert set(expected) == set(fit.params.index)
    for name, value in expected.items():
        assert fit.params[name] == pytest.approx(value, abs=4 * fit.bse[name]), name
    assert pieces["exits"].sum() == truth["left_members"]


def test_exit_probabilities_add_up_to_exits(large: simulate.Community, months: pd.DataFrame) -> None:
    left = large.tables["members"].set_index("member_id")["left_at"].dropna()
    probability = months["exit_probability"]
    deviation = len(left) - probability.sum()
    assert abs(deviation) < 4 * np.sqrt((probability * (1 - probability)).sum())
    leaves = in_month(left).reindex(months["member_id"]).to_numpy() == months["month"].to_numpy()
    risky = probability > probability.median()
    assert leaves[risky].mean() > 1.5 * leaves[~risky].mean()


def test_expected_value_is_what_newcomers_bring(large: simulate.Community) -> None:
    members, orders = large.tables["members"], large.tables["orders"]
    start, end = (date.fromisoformat(large.truth["about"][name]) for name in ("start", "end"))
    joined = local_day(members["joined_at"])
    new = ~members["is_staff"] & ~members["is_bot"] & (joined >= start)
    first = pd.Series(joined[new].to_numpy(), index=members["member_id"][new])
    rows = orders[orders["member_id"].isin(first.index)]
    age = (local_day(rows["paid_at"]).to_numpy() - first[rows["member_id"]].to_numpy()).astype(
        "timedelta64[D]"
    )
    net = rows["gross"] - rows["discount"] - rows["refund"]
    for row in large.truth["value"]["expected"]:
        mature = first.index[[(end - day).days + 1 >= row["tenure_days"] for day in first]]
        early = rows["member_id"].isin(mature) & (age.astype(int) < row["tenure_days"])
        value = net[early].groupby(rows["member_id"][early]).sum().reindex(mature, fill_value=0.0)
        assert len(mature) == row["members"]
        assert abs(value.mean() - row["net_value"]) < 4 * value.sem()


def test_expected_survival_is_what_kaplan_meier_estimates(large: simulate.Community) -> None:
    members = large.tables["members"]
    members = members[~(members["is_staff"] | members["is_bot"])]
    members = members[local_day(members["joined_at"]) >= date(2025, 7, 1)]
    end = pd.Timestamp("2026-07-01", tz=TZ)
    tenure = (members["left_at"].fillna(end) - members["joined_at"]) / pd.Timedelta(days=1)
    curve = sm.SurvfuncRight(tenure, members["left_at"].notna())
    for row in large.truth["exit"]["expected_survival"]:
        at = np.searchsorted(curve.surv_times, row["tenure_days"], side="right") - 1
        assert curve.surv_prob[at] == pytest.approx(row["survival"], abs=4 * curve.surv_prob_se[at])


# --- orders -----------------------------------------------------------------------------------------------


def test_value_by_tier_is_recovered() -> None:
    arguments = {"members": 8_000, "days": 365, "seed": 6, "parameters": simulate.Parameters(experiments=())}
    community = simulate.community(**arguments, tables=("members", "orders"))
    hidden = member_months(**arguments)
    hidden = hidden[hidden["present"]]
    orders = community.tables["orders"]
    net = orders["gross"] - orders["discount"] - orders["refund"]
    value = net.groupby([orders["member_id"], in_month(orders["paid_at"])]).sum()
    index = pd.MultiIndex.from_frame(hidden[["member_id", "month"]])
    hidden = hidden.assign(value=value.reindex(index, fill_value=0.0).to_numpy())
    months, truth = community.truth["calendar"]["months"], community.truth["orders"]
    intensity = dict(
        zip((m["month"] for m in months), community.truth["calendar"]["month_intensity"], strict=True)
    )
    hidden["expected"] = hidden["month"].map(intensity)
    for tier, expected in zip(TIERS, truth["value_per_member_month"], strict=True):
        rows = hidden[hidden["tier"] == tier]
        per_member = (
            rows.assign(gap=rows["value"] - expected * rows["expected"]).groupby("member_id")["gap"].sum()
        )
        assert abs(per_member.sum()) < 4 * np.sqrt((per_member**2).sum())
    assert truth["value_ratio"] == pytest.approx(0.56 / 0.08)


def test_amounts_follow_the_planted_laws(large: simulate.Community) -> None:
    orders, truth = large.tables["orders"], large.truth["orders"]["expected_net_value"]
    net = orders["gross"] - orders["discount"] - orders["refund"]
    for kind in ("goods", "membership", "tip"):
        rows = net[orders["kind"] == kind]
        by_member = (rows - truth[kind]).groupby(orders["member_id"]).sum()
        assert abs(by_member.sum()) < 4 * np.sqrt((by_member**2).sum())
    goods = orders[orders["kind"] == "goods"].groupby("member_id")["gross"]
    means, counts = goods.mean(), goods.size()
    assert stats.spearmanr(means, counts).statistic == pytest.approx(0.0, abs=4 / np.sqrt(len(means)))
    spend = net.groupby(orders["member_id"]).sum().sort_values(ascending=False)
    assert spend.head(len(spend) // 5).sum() > 0.45 * spend.sum()


def test_calendar_shapes_orders_as_the_truth_says(large: simulate.Community) -> None:
    daily = (
        local_day(large.tables["orders"]["paid_at"])
        .value_counts()
        .reindex([date(2025, 7, 1) + timedelta(days=i) for i in range(365)], fill_value=0)
    )

    def per_day(first: str, last: str) -> float:
        return daily[pd.to_datetime(first).date() : pd.to_datetime(last).date()].mean()

    usual = per_day("2025-10-04", "2025-10-31")
    (promotion,), (holiday,) = large.truth["calendar"]["promotions"], large.truth["calendar"]["holidays"]
    assert promotion == ["2025-11-01", "2025-11-11"]
    assert holiday == ["2026-02-15", "2026-02-23"]
    assert 2.4 < per_day("2025-11-11", "2025-11-11") / usual < 4.0
    assert 1.3 < per_day("2025-11-01", "2025-11-10") / usual < 1.9
    usual = per_day("2026-01-21", "2026-02-13")
    assert 0.4 < per_day(*holiday) / usual < 0.7
    assert 0.35 < per_day(*large.truth["calendar"]["incident"]) / usual < 0.65


# --- experiments, channels, advertising, invitations ------------------------------------------------------


def test_experiment_effects_are_in_the_orders() -> None:
    community = simulate.community(20_000, 365, 8, tables=("orders", "assignments"))
    orders, rows = community.tables["orders"], community.tables["assignments"]
    day = local_day(orders["paid_at"])
    verdicts = []
    for truth in community.truth["experiments"]:
        units = rows[rows["exp_id"] == truth["exp_id"]].set_index("unit_id")
        assert len(units) == truth["units"]
        assert units["exposed_at"].notna().sum() == truth["exposed"] < truth["units"]
        first, last = (date.fromisoformat(truth[name]) for name in ("first_day", "last_day"))
        counts = orders["member_id"][(day >= first) & (day <= last)].value_counts()
        units["converted"] = units.index.isin(counts.index).astype(float)
        units["before"] = units.index.isin(orders["member_id"][day < first])
        treated, control = (units[units["arm"] == arm]["converted"] for arm in ("treatment", "control"))
        for arm, mean in ((treated, truth["conversion_treatment"]), (control, truth["conversion_control"])):
            assert arm.mean() == pytest.approx(mean, abs=4 * np.sqrt(mean * (1 - mean) / len(arm)))
        error = np.sqrt(treated.var() / len(treated) + control.var() / len(control))
        effect = treated.mean() - control.mean()
        assert effect == pytest.approx(truth["conversion_effect"], abs=4 * error)
        assert stats.pearsonr(units["before"], units["converted"]).statistic > 0.1
        assert stats.binomtest(len(treated), len(units)).pvalue > 0.001
        verdicts.append(
            np.sign(truth["conversion_effect"]) if abs(truth["conversion_effect"]) > 2 * error else 0
        )
    assert verdicts == [1, 0, -1]


def test_switching_a_channel_off_loses_the_orders_it_caused(large: simulate.Community) -> None:
    parameters = simulate.Parameters()
    silenced = replace(parameters.channels[1], order_probability=0.0)
    channels = (parameters.channels[0], silenced, *parameters.channels[2:])
    without = simulate.community(
        9_000, 365, 5, tables=("members",), parameters=replace(parameters, channels=channels)
    )
    rows = large.truth["channels"]
    lost = large.truth["orders"]["orders"] - without.truth["orders"]["orders"]
    expected = rows[1]["expected_incremental_orders"]
    assert abs(lost - expected) < 5 * np.sqrt(2 * sum(row["expected_incremental_orders"] for row in rows))
    assert expected > 800
    touches = large.tables["touchpoints"]["channel"].value_counts()
    for row in rows:
        assert touches[row["channel"]] == row["touches"]
        assert abs(row["incremental_orders"] - row["expected_incremental_orders"]) < 4 * np.sqrt(
            row["expected_incremental_orders"] + 1
        )
    assert large.truth["orders"]["orders_caused_by_touches"] == sum(row["incremental_orders"] for row in rows)


def test_search_is_the_last_touch_of_many_orders_and_causes_few(large: simulate.Community) -> None:
    orders = large.tables["orders"].sort_values("paid_at")
    touches = large.tables["touchpoints"].sort_values("ts")
    last = pd.merge_asof(orders, touches, left_on="paid_at", right_on="ts", by="member_id")["channel"]
    truth = next(row for row in large.truth["channels"] if row["channel"] == "search")
    assert (last == "search").sum() > 20 * truth["incremental_orders"]


def test_advertising_follows_its_response_curves(medium: simulate.Community) -> None:
    ads, parameters = medium.tables["ad_daily"], simulate.Parameters()
    truth = {row["campaign_id"]: row for row in medium.truth["advertising"]}
    organic = 0.0
    for campaign in parameters.campaigns:
        row = truth[campaign.campaign_id]
        daily = ads[ads["campaign_id"] == campaign.campaign_id].groupby("date")["cost"].sum()
        stock = [
            sum(daily.iloc[t - lag] * campaign.carry_over**lag for lag in range(t + 1))
            for t in range(len(daily))
        ]
        hill = np.array(stock) ** row["shape"]
        gain = row["top"] * hill / (row["half_saturation"] ** row["shape"] + hill)
        assert gain.sum() == pytest.approx(row["expected_incremental_conversions"], rel=1e-4)
        assert abs(row["realised_incremental_conversions"] - gain.sum()) < 4 * np.sqrt(gain.sum())
        reported = ads.loc[ads["campaign_id"] == campaign.campaign_id, "conversions"].sum()
        organic += reported - row["realised_incremental_conversions"]
        assert reported > row["realised_incremental_conversions"]
    assert organic > 0
    costs = medium.tables["costs"]
    assert costs.loc[costs["kind"] == "ads", "amount"].sum() == pytest.approx(ads["cost"].sum(), abs=20)


def test_marginal_return_is_the_slope_of_the_long_run_response() -> None:
    size, step = 3.0, 1e-4
    for campaign in simulate.Parameters().campaigns:

        def long_run(spend: float, campaign: simulate.parameters.Campaign = campaign) -> float:
            stock = sum(spend * campaign.carry_over**lag for lag in range(400)) / size
            return size * campaign.top / (1.0 + (campaign.half / stock) ** campaign.shape)

        slope = (long_run(200.0 + step) - long_run(200.0 - step)) / (2 * step)
        assert marginal_response(200.0, campaign, size) == pytest.approx(slope, rel=1e-5)


def test_invitations_are_accepted_at_the_planted_rate_by_members_who_were_there(
    large: simulate.Community,
) -> None:
    invites, members = large.tables["referrals"], large.tables["members"].set_index("member_id")
    truth = large.truth["referrals"]
    accepted = invites["accepted_at"].notna()
    p = truth["acceptance"]
    error = np.sqrt(p * p * (1 - p) / accepted.sum())
    assert accepted.mean() == pytest.approx(p, abs=4 * error)
    assert accepted.sum() == truth["accepted"]
    expected = truth["k_factor"] * truth["ordinary_members"]
    assert truth["accepted"] == pytest.approx(expected, abs=4 * np.sqrt(expected) + 0.01 * expected)
    inviters = members.loc[invites["inviter_id"]]
    assert (invites["sent_at"].to_numpy() >= inviters["joined_at"].to_numpy()).all()
    gone = inviters["left_at"].notna().to_numpy()
    assert (invites["sent_at"].to_numpy()[gone] <= inviters["left_at"].to_numpy()[gone]).all()
    invitees = members.loc[invites.loc[accepted, "invitee_id"]]
    assert (invitees["inviter_id"].to_numpy() == invites.loc[accepted, "inviter_id"].to_numpy()).all()


# --- events and content -----------------------------------------------------------------------------------


def test_events_meet_posts_that_exist_and_payments_that_were_made(medium: simulate.Community) -> None:
    events, content = medium.tables["events"], medium.tables["content"].set_index("content_id")
    on_post = events[events["content_id"].notna()]
    posts = content.loc[on_post["content_id"]]
    assert (posts["published_at"].to_numpy() <= on_post["ts"].to_numpy()).all()
    assert (posts["platform"].to_numpy() == on_post["platform"].to_numpy()).all()
    written = events[events["event"] == "post"]
    assert (
        content.loc[written["content_id"], "creator_id"].to_numpy() == written["member_id"].to_numpy()
    ).all()
    orders, paid = medium.tables["orders"], events[events["event"] == "pay"]
    assert (events["value"].notna() == (events["event"] == "pay")).all()
    left = paid.sort_values(["member_id", "ts", "value"])[["member_id", "ts", "value"]]
    right = orders.assign(value=(orders["gross"] - orders["discount"]).round(2))
    right = right.sort_values(["member_id", "paid_at", "value"])[["member_id", "paid_at", "value"]]
    np.testing.assert_array_equal(left.to_numpy(), right.to_numpy())


def test_a_visit_is_one_member_on_one_platform_within_one_hour(medium: simulate.Community) -> None:
    visits = medium.tables["events"].groupby("session_id")
    assert (visits[["member_id", "platform"]].nunique() == 1).all(axis=None)
    assert (visits["ts"].max() - visits["ts"].min()).max() < pd.Timedelta(hours=1, minutes=1)


def test_events_have_daily_rhythm_heavy_tails_and_late_rows(medium: simulate.Community) -> None:
    events = medium.tables["events"]
    hours = events["ts"].dt.tz_convert(TZ).dt.hour.value_counts()
    assert hours[21] > 5 * hours[3]
    per_member = events["member_id"].value_counts()
    assert per_member.head(len(per_member) // 5).sum() > 0.5 * len(events)
    lag = (events["ingested_at"] - events["ts"]) / pd.Timedelta(days=1)
    assert lag.min() > 0
    share = (lag > 1.2).mean()
    assert share == pytest.approx(simulate.Parameters().late_share, abs=0.005)


def test_daily_metrics_are_sums_of_the_tables(medium: simulate.Community) -> None:
    metric = medium.tables["metric_daily"].set_index(["scope_id", "metric", "date"])["value"].sort_index()
    events, orders, members = (medium.tables[name] for name in ("events", "orders", "members"))
    net = orders["gross"] - orders["discount"] - orders["refund"]
    day = local_day(events["ts"])
    acts = ~events["event"].isin(["push_sent", "leave"])
    expected = {
        ("all", "orders"): local_day(orders["paid_at"]).value_counts(),
        ("all", "net_revenue"): net.groupby(local_day(orders["paid_at"])).sum(),
        ("all", "active_members"): events[acts].groupby(day)["member_id"].nunique(),
        ("all", "left_members"): local_day(members["left_at"].dropna()).value_counts(),
        ("wechat", "views"): day[
            (events["event"] == "view") & (events["platform"] == "wechat")
        ].value_counts(),
        ("weibo", "interactions"): day[
            events["event"].isin(INTERACTIONS) & (events["platform"] == "weibo")
        ].value_counts(),
    }
    for key, values in expected.items():
        series = metric[key]
        assert len(series) == MEDIUM["days"]
        np.testing.assert_allclose(series, values.reindex(series.index, fill_value=0), atol=0.006)
    assert metric["all", "members", date(2025, 10, 31)] == members["left_at"].isna().sum()


def test_posts_of_the_evening_are_played_more_as_planted() -> None:
    community = simulate.community(1_000, 365, 9, tables=("content", "content_daily"))
    daily, content = community.tables["content_daily"], community.tables["content"].set_index("content_id")
    days = daily.groupby("content_id").size()
    posts = content.loc[days.index[days == 7]]
    plays = daily.groupby("content_id")["plays"].sum().loc[posts.index]
    hour = posts["published_at"].dt.tz_convert(TZ).dt.hour
    design = pd.get_dummies(posts[["format", "topic", "platform"]]).drop(
        columns=["format_video", "topic_用户故事", "platform_douyin"]
    )
    design["evening"] = hour.isin([20, 21])
    kept = plays > 0
    fit = sm.OLS(np.log(plays[kept]), sm.add_constant(design[kept].astype(float))).fit()
    truth = community.truth["parameters"]
    assert fit.params["evening"] == pytest.approx(truth["content_evening"], abs=4 * fit.bse["evening"])
    assert fit.params["format_image"] == pytest.approx(
        truth["content_format"][1], abs=4 * fit.bse["format_image"]
    )
    assert fit.params["topic_热点"] == pytest.approx(truth["content_topic"][5], abs=4 * fit.bse["topic_热点"])


# --- the story of the shop --------------------------------------------------------------------------------


def test_the_sample_tells_its_story_and_its_truth_knows_it(sample: Path) -> None:
    members = pd.read_parquet(sample / "members.parquet").set_index("member_id")
    truth = json.loads((sample / "truth.json").read_text("utf-8"))
    calendar = truth["calendar"]
    first, last = map(date.fromisoformat, calendar["creators"][0])
    joined, creator = local_day(members["joined_at"]), members["source"] == "达人林小满"
    during = joined.between(first, last)
    assert not (creator & ~during).any()
    later = last + timedelta(days=90)
    usual = (joined > later).sum() / (date(2026, 6, 30) - later).days
    assert 5 < during.sum() / 21 / usual < 9
    assert 0.8 < creator.sum() / during.sum() < 0.92

    months = member_months(
        SAMPLE["members"], SAMPLE["days"], SAMPLE["seed"], parameters=simulate.SCENARIOS["shop"].parameters
    ).set_index("member_id")
    left = in_month(members["left_at"].dropna())
    for rows in (months["month"] == "2026-04", creator.loc[months.index].to_numpy(), months["month"] != ""):
        chance = months.loc[rows, "exit_probability"]
        gone = left.reindex(chance.index).to_numpy() == months.loc[rows, "month"].to_numpy()
        assert abs(gone.sum() - chance.sum()) < 4 * np.sqrt((chance * (1 - chance)).sum())
    exits = months["exit_probability"].groupby(months["month"]).mean()
    assert exits["2026-04"] > 2 * exits.drop("2026-04")["2026-02":].max()
    stays = [exits_of.mean() for _, exits_of in months["exit_probability"].groupby(creator.loc[months.index])]
    assert stays[1] > 1.6 * stays[0]

    orders = local_day(pd.read_parquet(sample / "orders.parquet", columns=["paid_at"])["paid_at"])
    (holiday,) = ([date.fromisoformat(day) for day in span] for span in calendar["holidays"])
    rush = orders.between(holiday[0] - timedelta(days=14), holiday[0] - timedelta(days=1)).sum() / 14
    usual, feast = (
        orders.between(date(2026, 1, 2), date(2026, 1, 31)).sum() / 30,
        orders.between(*holiday).sum() / 9,
    )
    assert feast < 0.45 * usual < 1.3 * usual < rush
    assert orders.between(*map(date.fromisoformat, calendar["incident"])).sum() / 7 < 0.5 * usual
    expected = truth["referrals"]["k_factor"] * truth["referrals"]["ordinary_members"]
    assert truth["referrals"]["accepted"] == pytest.approx(expected, abs=4 * np.sqrt(expected))


# --- size, errors, and the sample -------------------------------------------------------------------------


def test_rows_grow_in_proportion_to_members() -> None:
    small, big = (
        simulate.community(size, 62, 3, tables=("events", "orders")).tables for size in (1_000, 3_000)
    )
    for name in ("events", "orders"):
        assert len(big[name]) / len(small[name]) == pytest.approx(3.0, rel=0.1)


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(ValueError, match="members == 0, must be >= 1"):
        simulate.community(0, 30, 1)
    with pytest.raises(ValueError, match="tables == 'order', must be one of 'members'"):
        simulate.community(10, 30, 1, tables=("order",))


def test_a_folder_that_no_simulation_wrote_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "orders.parquet").write_text("precious")
    with pytest.raises(BadParameters, match=r"orders\.parquet"):
        simulate.write(tmp_path, 10, 30, 1)
    assert [path.name for path in tmp_path.iterdir()] == ["orders.parquet"]


def test_an_interrupted_simulation_leaves_the_former_one(tmp_path: Path) -> None:
    simulate.write(tmp_path, 50, 31, 1)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.*")}

    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        simulate.write(tmp_path, 60, 31, 2, progress=interrupt)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.*")} == before
    simulate.write(tmp_path, 60, 31, 2)
    assert len(pd.read_parquet(tmp_path / "members.parquet")) == 60


def test_the_sample_is_small_and_what_its_command_makes(sample: Path, tmp_path: Path) -> None:
    options = " ".join(f"--{name} {value}" for name, value in SAMPLE.items())
    assert f"playbook simulate data/sample {options}\n" in (sample / "README.md").read_text(encoding="utf-8")
    files = sorted(path.name for path in sample.iterdir())
    assert sum(path.stat().st_size for path in sample.rglob("*.*")) < 5_000_000
    made = simulate.write(tmp_path / "again", **SAMPLE)
    assert files == sorted(path.name for path in made.iterdir())
    for name in simulate.TABLES:
        table, kept = (pq.read_table(folder / f"{name}.parquet") for folder in (made, sample))
        assert table.schema.equals(kept.schema)
        for column in table.column_names:
            if pa.types.is_floating(table.schema.field(column).type):
                np.testing.assert_allclose(table[column].to_numpy(), kept[column].to_numpy(), rtol=1e-9)
            else:
                assert table[column].equals(kept[column]), (name, column)
    for design in (sample / "experiments").iterdir():
        assert design.read_bytes() == (made / "experiments" / design.name).read_bytes()
    text = (made / "README.md").read_text(encoding="utf-8").replace(str(tmp_path / "again"), "data/sample")
    assert text == (sample / "README.md").read_text(encoding="utf-8")
    truths = [json.loads((folder / "truth.json").read_text(encoding="utf-8")) for folder in (made, sample)]
    assert_close(*truths)


def assert_close(left: object, right: object) -> None:
    """Compare JSON values; numbers up to the last digits, which may differ between processors."""
    if isinstance(left, dict):
        assert isinstance(right, dict)
        assert left.keys() == right.keys()
        for key, value in left.items():
            assert_close(value, right[key])
    elif isinstance(left, list):
        assert isinstance(right, list)
        assert len(left) == len(right)
        for pair in zip(left, right, strict=True):
            assert_close(*pair)
    else:
        assert left == (pytest.approx(right, rel=1e-9) if isinstance(right, float) else right)


@pytest.mark.parametrize("theirs", ["orders.csv", "events.csv.gz"])
def test_a_folder_with_tables_of_somebody_else_is_left_as_it_is(theirs: str, tmp_path: Path) -> None:
    (tmp_path / theirs).write_text("order_id\n1\n", "utf-8")
    (tmp_path / "truth.json").write_text("{}", "utf-8")
    with pytest.raises(BadParameters, match=theirs):
        simulate.write(tmp_path, 20, 31, 1)
    assert (tmp_path / theirs).read_text("utf-8") == "order_id\n1\n"
