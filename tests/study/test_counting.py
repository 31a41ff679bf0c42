"""What counts as activity is a choice: presets and names, in any case; what counts as nothing is named."""

from __future__ import annotations

import pandas as pd
import pytest
from typer.testing import CliRunner

from helpers.cli import app
from helpers.data import source
from helpers.errors import BadParameters, NothingCounts
from helpers.report import params
from helpers.study import Study
from helpers.study.study import counting

DAY = pd.Timestamp("2026-06-10T04:00Z")


def events(*names: str) -> pd.DataFrame:
    """One event of each name, of a member each, an hour apart."""
    n = len(names)
    ids = [f"{k}" for k in range(n)]
    hours = pd.to_timedelta(range(n), unit="h")
    return pd.DataFrame({"event_id": ids, "member_id": ids, "ts": DAY + hours, "event": list(names)})


def messages(*hours: int) -> pd.DataFrame:
    """A message of member 0 at each hour."""
    ids = [f"c{k}" for k in range(len(hours))]
    when = [DAY + pd.Timedelta(hours=k) for k in hours]
    return pd.DataFrame({"message_id": ids, "member_id": "0", "ts": when})


ORDERS = pd.DataFrame(
    {"order_id": ["o"], "member_id": ["0"], "paid_at": [DAY], "gross": [9.0], "currency": "CNY"}
)
LOG = events("Post", "COMMENT", "listen", "Listen", "view", "answr")


def counted(count: str, **tables: pd.DataFrame) -> list[str]:
    rows = Study.of(source.open(tables), "2026-06-30", count=count).counted.to_pandas()
    return sorted(rows["action"])


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        ("auto", ["comment", "post"]),
        ("interaction", ["comment", "post"]),
        ("Interaction, LISTEN", ["comment", "listen", "listen", "post"]),
        ("listen", ["listen", "listen"]),
        ("view, order", ["goods", "view"]),
        ("order", ["goods"]),
        ("all", ["comment", "goods", "post"]),
    ],
)
def test_presets_and_names_in_any_case(count: str, expected: list[str]) -> None:
    assert counted(count, events=LOG, orders=ORDERS) == expected


def test_auto_takes_orders_where_no_event_counts() -> None:
    assert counted("auto", events=events("view", "listen"), orders=ORDERS) == ["goods"]


def test_messages_count_once() -> None:
    assert counted("auto", messages=messages(0, 1)) == ["message", "message"]
    assert counted("auto", events=events("comment", "like"), messages=messages(0, 5)) == [
        "comment",
        "like",
        "message",
    ]
    assert counted("like", events=events("comment", "like"), messages=messages(0, 5)) == ["like"]


def test_a_name_that_is_nowhere_is_refused_with_the_nearest() -> None:
    with pytest.raises(
        BadParameters, match=r"count names 'lisen', which is no kind .*Did you mean \"listen\""
    ):
        counting(source.open({"events": LOG}), "lisen")


def test_kinds_that_count_as_nothing_are_named_with_what_to_do() -> None:
    found = Study.of(source.open({"events": LOG, "messages": messages(7)}), "2026-06-30").account
    kinds = found.kinds.set_index("action")
    assert kinds["counts"].to_dict() == {
        **dict.fromkeys(("post", "comment", "message"), "interaction"),
        **dict.fromkeys(("listen", "view", "answr"), "nothing"),
    }
    assert kinds.loc["listen", "rows"] == 2
    assert "listen (2 rows)" in found.unknown and "view" not in found.unknown
    assert found.unknown.endswith("To count them: count = interaction, listen, answr")
    assert found.unknown in found.sentence


def test_a_run_in_which_nothing_counts_is_not_run_and_says_what_there_is(tmp_path) -> None:
    events("rating", "listen").to_parquet(tmp_path / "events.parquet")
    with pytest.raises(
        NothingCounts, match=r"rating \(1 rows\).*count = interaction, listen, rating"
    ) as refused:
        Study.open(params.validate("02_retention", {"data": str(tmp_path)}))
    assert refused.value.kind == "nothing_counts"
    study = Study.open(
        params.validate("02_retention", {"data": str(tmp_path), "count": "rating", "k_min": 1})
    )
    assert study.counted.count().execute() == 1


def test_check_counts_kinds_and_says_which_count(tmp_path) -> None:
    LOG.to_parquet(tmp_path / "events.parquet")
    found = CliRunner().invoke(app, ["check", str(tmp_path)])
    assert found.exit_code == 0, found.output
    said = " ".join(found.output.split())
    assert "Kinds of action, and what they count as" in said
    assert "events listen 2 nothing" in said and "events post 1 interaction" in said
    assert "count = interaction, listen, answr" in said
    assert "## What counts as activity" in CliRunner().invoke(app, ["check", "--describe"]).output


def test_a_day_long_after_the_last_action_is_refused(tmp_path) -> None:
    events(*["like"] * 12).to_parquet(tmp_path / "events.parquet")
    late = {"data": str(tmp_path), "as_of": "2048-06-30"}
    with pytest.raises(BadParameters, match=r"8,056 days after the last counted action \(2026-06-10\)"):
        Study.open(params.validate("02_retention", late))
    assert Study.open(params.validate("02_retention", late | {"as_of": "2026-07-09"})).last_counted
