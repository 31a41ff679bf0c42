"""The cache of file contents: unchanged files are not read, and nothing false is ever believed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from helpers.data import content_cache, source
from helpers.data.content_cache import ContentCache
from helpers.errors import BadData


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of tables whose files are a minute old."""
    place = tmp_path / "tables"
    place.mkdir()
    frame = pd.DataFrame(
        {"order_id": ["o1", "o2"], "member_id": "m", "paid_at": "2026-01-01T00:00:00Z", "gross": 1.0}
    )
    frame.to_parquet(place / "orders.parquet")
    (place / "costs.csv").write_text('date,amount,note\n2026-01-01,1,"two\nlines"\n2026-01-02,2,x\n')
    return place


@pytest.fixture
def long_ago(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let an hour have passed since every file was written."""
    later = time.time_ns() + 3600 * 10**9
    monkeypatch.setattr(content_cache.time, "time_ns", lambda: later)


def look(folder: Path, path: Path) -> tuple[dict[str, source.TableFingerprint], int]:
    cache = ContentCache(path)
    found = source.fingerprint(folder, cache=cache)
    cache.save()
    return found, cache.read


@pytest.mark.usefixtures("long_ago")
def test_unchanged_files_are_known(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "deep" / "cache.json"
    first, read = look(folder, path)
    assert read == 2 and {name: table.rows for name, table in first.items()} == {"costs": 2, "orders": 2}
    assert look(folder, path) == (first, 0)
    assert source.fingerprint(folder) == first, "the cache changes no answer"
    assert os.listdir(path.parent) == ["cache.json"]  # noqa: PTH208


@pytest.mark.usefixtures("long_ago")
def test_what_is_known_needs_no_engine(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "cache.json"
    first, _ = look(folder, path)
    code = f"""import sys
from pathlib import Path
from helpers.data.content_cache import ContentCache
from helpers.data.fingerprint import fingerprint
cache = ContentCache(Path({str(path)!r}))
rows = [table.rows for table in fingerprint({str(folder)!r}, cache=cache).values()]
print(rows, cache.read, [name for name in ("duckdb", "pyarrow", "ibis", "pandas", "numpy") if name in sys.modules])"""
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said == "[2, 2] 0 []\n" and len(first) == 2


@pytest.mark.usefixtures("long_ago")
@pytest.mark.parametrize("keep_time", [True, False])
def test_a_change_of_the_same_size_is_seen(folder: Path, tmp_path: Path, keep_time: bool) -> None:
    path, file = tmp_path / "cache.json", folder / "costs.csv"
    first, _ = look(folder, path)
    before = file.stat()
    file.write_text(file.read_text().replace("-02,2", "-02,3"))
    if keep_time:  # as cp --preserve and rsync --times do
        os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    second, read = look(folder, path)
    assert (
        read == 1 and second["costs"].sha256 != first["costs"].sha256 and second["orders"] == first["orders"]
    )


def test_a_file_that_has_just_changed_is_not_trusted(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "cache.json"
    assert look(folder, path)[1] == 2
    assert look(folder, path)[1] == 2, "it could change again without its times showing it"


def test_one_batch_reads_a_file_once_even_when_it_has_just_changed(folder: Path) -> None:
    cache = ContentCache()
    assert source.fingerprint(folder, cache=cache) == source.fingerprint(folder, cache=cache)
    assert cache.read == 2


@pytest.mark.usefixtures("long_ago")
@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"schema": 0}', '{"schema": 1}', '{"schema": 1, "files": 3, "facts": 4}']
)
def test_a_broken_cache_is_no_cache(folder: Path, tmp_path: Path, content: str) -> None:
    path = tmp_path / "cache.json"
    path.write_text(content)
    first, read = look(folder, path)
    assert read == 2 and look(folder, path) == (first, 0)


@pytest.mark.usefixtures("long_ago")
def test_two_batches_at_once_keep_what_both_learned(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "cache.json"
    one, two = ContentCache(path), ContentCache(path)
    one.digest(folder / "orders.parquet")
    two.digest(folder / "costs.csv")
    one.save()
    two.save()
    assert len(json.loads(path.read_text())["files"]) == 2


def test_a_cache_that_cannot_be_written_only_costs_time(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert look(folder, tmp_path / "file" / "cache.json")[1] == 2


@pytest.mark.usefixtures("long_ago")
def test_a_duckdb_file_that_has_not_changed_is_not_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import duckdb

    path = tmp_path / "shop.duckdb"
    with duckdb.connect(str(path)) as con:
        con.execute("CREATE TABLE orders AS SELECT 'o1' AS order_id, 'm' AS member_id, 1.0 AS gross")
    cache = ContentCache(tmp_path / "cache.json")
    first = source.fingerprint(path, cache=cache)
    cache.save()
    assert first["orders"].rows == 1
    with monkeypatch.context() as patch:
        patch.setattr("helpers.data.fingerprint._of_engine", lambda *_: pytest.fail("asked again"))
        assert source.fingerprint(path, cache=ContentCache(cache.path)) == first
    with duckdb.connect(str(path)) as con:
        con.execute("INSERT INTO orders VALUES ('o2', 'm', 2.0)")
    assert source.fingerprint(path, cache=ContentCache(cache.path))["orders"].rows == 2


def test_a_parquet_file_that_is_none_is_a_message(folder: Path) -> None:
    (folder / "orders.parquet").write_text("no")
    with pytest.raises(BadData, match=r"orders\.parquet cannot be read as Parquet"):
        source.fingerprint(folder)
