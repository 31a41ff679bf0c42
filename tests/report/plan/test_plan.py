"""Plans: the run key changes with whatever changes the report, and with nothing else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import pandas as pd
import pytest

from helpers.data.content_cache import ContentCache
from helpers.data.tables import TABLES
from helpers.errors import BadParameters
from helpers.methods.rfm.parameters import RfmParameters
from helpers.report import params
from helpers.report.plan.desk import Desk, Plan, label_slug
from helpers.study.parameters import CommonParameters
from tests.report.plans import plan

BuildNotebook = Callable[..., Path]


@pytest.fixture
def notebook(build_notebook: BuildNotebook) -> Path:
    return build_notebook("from helpers.methods import intervals")


def key(notebook: Path, label: str = "x", **parameters: object) -> str:
    return plan(notebook, parameters=parameters, label=label).run_key


def test_equal_inputs_give_equal_keys(notebook: Path) -> None:
    assert key(notebook) == key(notebook) == key(notebook, seed="3")


@pytest.mark.parametrize("change", [{"seed": 4}, {"bins": 4}, {"as_of": "2026-06-29"}, {"label": "y"}])
def test_each_parameter_and_the_series_count(notebook: Path, change: dict[str, object]) -> None:
    assert key(notebook, **change) != key(notebook)


def test_a_report_stands_beside_the_same_one_in_another_language(notebook: Path) -> None:
    english, chinese = (plan(notebook, parameters={"language": code}, label="x") for code in ("en", "zh"))
    assert (english.series, chinese.series) == ("rfm/x", "rfm/x.zh") and english.run_key != chinese.run_key
    assert english.run_key == key(notebook), "English said or left out is the same run"


@pytest.mark.parametrize("label", ["all.zh", "ALL.ZH"])
def test_a_label_does_not_say_the_language_of_a_series(notebook: Path, label: str) -> None:
    with pytest.raises(BadParameters, match=r"must not end in \.zh"):
        key(notebook, label=label)


def test_different_segments_have_different_readable_names() -> None:
    names = {
        'platform == "douyin"': "platform-douyin",
        'platform != "douyin"': "platform-not-douyin-",
        "age > 30": "age-above-30-",
        "age < 30": "age-below-30-",
        "age >= 30": "age-from-30-",
        "age <= 30": "age-to-30-",
        'a in ["x", "y"]': "a-in-x-y-",
        'a not in ["x", "y"]': "a-not-in-x-y-",
        'a == "x" and b == "y"': "a-x-and-b-y-",
        'a == "x" or b == "y"': "a-x-or-b-y-",
        'a == "5"': "a-5",
        "a == 5": "a-5-",
        'a == "X"': "a-x-",
        'a == "x y"': "a-x-y-",
        "active": "active",
        "not active": "not-active-",
        'region == "广东"': "region-广东",
        " or ".join(f"a == {number}" for number in range(30)): "a-0-or-a-1-or-",
        " or ".join(f"a == {number}" for number in range(31)): "a-0-or-a-1-or-",
    }
    made = [label_slug(text) for text in names]
    assert len(set(map(str.casefold, made))) == len(names)
    for name, wanted in zip(made, names.values(), strict=True):
        assert (name.startswith(wanted) if wanted.endswith("-") else name == wanted) and len(name) <= 60
    assert label_slug("platform=='douyin'") == "platform-douyin" and label_slug("age<30") == label_slug(
        "age < 30"
    )
    assert label_slug("Douyin friends") == "douyin-friends"


def test_only_tables_that_the_notebook_may_read_count(project: Path, notebook: Path) -> None:
    before = key(notebook)
    pd.DataFrame({"date": ["2026-01-01"], "campaign_id": "c", "spend": 1.0}).to_parquet(
        project / "tables" / "ad_daily.parquet"
    )
    assert "ad_daily" not in (RfmParameters.tables or ())
    assert key(notebook) == before
    pd.DataFrame({"member_id": ["m1"]}).to_parquet(project / "tables" / "members.parquet")
    assert key(notebook) != before


def test_a_model_that_names_no_tables_reads_all(
    project: Path, notebook: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RfmParameters, "tables", None)
    before = key(notebook)
    pd.DataFrame({"date": ["2026-01-01"]}).to_parquet(project / "tables" / "ad_daily.parquet")
    assert key(notebook) != before


def test_a_name_that_is_no_table_counts_because_the_report_lists_it(project: Path, notebook: Path) -> None:
    before = key(notebook)
    (project / "tables" / "notes.xlsx").write_text("")
    assert key(notebook) != before


def test_notebook_lock_and_salt_count(
    project: Path, notebook: Path, build_notebook: BuildNotebook, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = [key(notebook)]
    build_notebook("from helpers.methods import intervals", "1")
    keys.append(key(notebook))
    (project / "requirements.lock").write_text("pandas==0")
    keys.append(key(notebook))
    monkeypatch.setenv("PLAYBOOK_SALT", "another")
    keys.append(key(notebook))
    assert len(set(keys)) == 4


def test_a_file_that_a_parameter_names_counts(project: Path, notebook: Path) -> None:
    scheme = project / "notebooks" / "mine.yml"
    scheme.write_text("a: 1")
    before = plan(notebook, parameters={"tier_scheme": "mine.yml"})
    assert "mine.yml" in before.code.modules
    scheme.write_text("a: 2")
    assert plan(notebook, parameters={"tier_scheme": "mine.yml"}).run_key != before.run_key


def test_a_file_that_is_read_beside_the_tables_counts(project: Path, notebook: Path, monkeypatch) -> None:
    monkeypatch.setattr(RfmParameters, "files", property(lambda _: ("experiments/cover.yml",)))
    without = key(notebook)
    design = project / "tables" / "experiments" / "cover.yml"
    design.parent.mkdir()
    design.write_text("a: 1")
    before = key(notebook)
    design.write_text("a: 2")
    assert len({without, before, key(notebook)}) == 3


def test_runs_of_one_desk_read_each_file_once(notebook: Path) -> None:
    desk = Desk(ContentCache())
    plans = [plan(notebook, parameters={"seed": seed}, label=str(seed), desk=desk) for seed in range(5)]
    assert desk.cache.read == 1 and len({made.run_key for made in plans}) == 5
    assert all(made.tables["orders"].rows == 3 for made in plans)


def database(notebook: Path, monkeypatch: pytest.MonkeyPatch, data: str) -> Plan:
    """Plan on a database that is not there."""
    monkeypatch.setattr("helpers.report.plan.desk.fingerprint.fingerprint", lambda *_, **__: {})
    monkeypatch.setattr("helpers.data.engine.copies", lambda _: False)
    return plan(notebook, data=data)


def test_a_password_counts_neither_as_text_nor_by_its_name(
    notebook: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys, url = set(), "postgres://u:{}@h/db"
    for password in ("hunter22", "changed1"):
        keys.add(database(notebook, monkeypatch, url.format(password)).run_key)
    assert len(keys) == 1
    for password in ("hunter22", "changed1"):
        monkeypatch.setenv("SHOP_PW", password)
        made = database(notebook, monkeypatch, url.format("${SHOP_PW}"))
        keys.add(made.run_key)
        assert made.given == {"data": "postgres://u:${SHOP_PW}@h/db"}, "the kernel is told the name only"
    assert len(keys) == 2


def test_a_missing_secret_is_told_before_anything_starts(
    notebook: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SHOP_PW", raising=False)
    with pytest.raises(BadParameters, match=r"names SHOP_PW: the environment variable is not set"):
        plan(notebook, data="postgres://u:${SHOP_PW}@h/db")
    with pytest.raises(BadParameters, match="SHOP_PW") as together:
        plan(notebook, data="postgres://u:${SHOP_PW}@h/db", parameters={"bins": 99})
    assert "bins == 99" in str(together.value)


def test_there_must_be_data(notebook: Path) -> None:
    with pytest.raises(BadParameters, match="nowhere does not exist"):
        plan(notebook, data="nowhere")


def test_every_notebook_opens_the_tables_it_names_and_no_others(root: Path) -> None:
    for path in sorted((root / "notebooks").glob("*.ipynb")):
        text = path.read_text()
        assert "Study.open(parameters)" in text and "source.open(" not in text, path.name
        tables = params.model_for(path).tables
        assert tables is not None and set(tables) <= set(TABLES), path.name


def test_the_contract_names_the_notebooks_that_read_a_table(root: Path) -> None:
    reads = {path.name[:2]: params.model_for(path).tables for path in (root / "notebooks").glob("*.ipynb")}
    for name, table in TABLES.items():
        assert table.notebooks.split() == sorted(
            n for n, tables in reads.items() if name in (tables or ())
        ), name


def test_tables_are_no_parameter() -> None:
    class Tiny(CommonParameters):
        """Reads one table."""

        tables: ClassVar[tuple[str, ...] | None] = ("orders",)

    assert "tables" not in Tiny.model_fields and Tiny().tables == ("orders",)
