"""What does not fit into memory is written to the private folder, whichever engine reads the extract."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pytest
from extracts import write_extract
from reading import EVERY_MONTH

import analysis
from analysis.records.engines import for_one_file, open_engine

ROWS = 400_000
SPILLING = {
    "duckdb": "set threads = 1; set memory_limit = '60MB'; "
    f"create temp table more as select range as k, repeat(md5(range::varchar), 8) as h from range({ROWS})",
    "sqlite": f"create temp table more as with recursive r(x) as (select 1 union all select x + 1 from r where x < {ROWS}) "
    "select x, hex(randomblob(20)) as h from r",
}


@contextmanager
def written() -> Iterator[set[str]]:
    """The files that this process has open at one time or another, those included that have no name any more."""
    seen: set[str] = set()
    done = threading.Event()

    def watch() -> None:
        while not done.is_set():
            for descriptor in os.listdir("/proc/self/fd"):
                try:
                    seen.add(os.readlink(f"/proc/self/fd/{descriptor}"))
                except OSError:
                    continue
            done.wait(0.001)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield seen
    finally:
        done.set()
        thread.join()


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory and the folder for temporary files."""
    folder = tmp_path / "elsewhere"
    (folder / "tmp").mkdir(parents=True)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("TMPDIR", str(folder / "tmp"))
    monkeypatch.setenv("SQLITE_TMPDIR", str(folder / "tmp"))
    return folder


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="open files are not listed here")
@pytest.mark.parametrize("kind", ["files", "duckdb", "sqlite"])
@pytest.mark.fault(
    "an extract in a database that does not fit into memory",
    "rows are written to the private folder alone, not to the working directory or that for temporary files",
)
def test_rows_that_do_not_fit_into_memory_stay_private(kind: str, elsewhere: Path, tmp_path: Path) -> None:
    database, private = tmp_path / "h.db", tmp_path / "build/pri'vate"
    if kind == "duckdb":
        duckdb.connect(str(database)).execute("create table episodes as select 1 as x").close()
    if kind == "sqlite":
        import sqlite3

        sqlite3.connect(database).execute("create table episodes (x)")
    before = set(database.parent.iterdir())
    engine = open_engine("duckdb", private, url="" if kind == "files" else f"{kind}://{database}")
    with written() as seen:
        for statement in SPILLING["sqlite" if kind == "sqlite" else "duckdb"].split("; "):
            engine.connection.raw_sql(statement)
    temporary = {file for file in seen if "etilqs" in file or "duckdb_temp" in file}
    assert temporary and all(file.startswith(f"{private}/spill/") for file in temporary), temporary
    assert [path.name for path in elsewhere.rglob("*")] == ["tmp"]
    assert set(database.parent.iterdir()) - before == {tmp_path / "build"}


def test_a_file_that_is_looked_at_by_itself_is_not_spilled(elsewhere: Path, tmp_path: Path) -> None:
    connection = for_one_file()
    for statement in SPILLING["duckdb"].split("; ")[:-1]:
        connection.raw_sql(statement)
    with pytest.raises(duckdb.OutOfMemoryException):
        connection.raw_sql(SPILLING["duckdb"].split("; ")[-1])
    assert [path.name for path in elsewhere.rglob("*")] == ["tmp"]


SHUFFLE = """
import sys
from pathlib import Path
import pandas as pd
from analysis.records.engines import open_engine

session = open_engine("spark", Path(sys.argv[1]), "local[1]").connection._session
assert session.createDataFrame(pd.read_parquet(sys.argv[2])[["EPIKEY"]]).repartition(3).count() == 60
print(*(path.name for path in Path(sys.argv[1], "spark").iterdir()))
"""


@pytest.mark.spark
def test_spark_spills_where_it_should(elsewhere: Path, tmp_path: Path) -> None:
    """In a process of its own: Spark chooses its folders once, when its Java program starts."""
    folder = write_extract(EVERY_MONTH, tmp_path / "in")
    run = subprocess.run(
        [sys.executable, "-c", SHUFFLE, tmp_path / "private", folder / "part.parquet"],
        env={**os.environ, "SPARK_LOCAL_DIRS": str(elsewhere / "tmp"), "PYTHONPATH": str(Path(analysis.__file__).parents[1])},
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert run.stdout.strip(), "there is nothing in the folder"
    assert not [path for path in elsewhere.rglob("*") if "blockmgr" in path.name or "spark-" in path.name]
