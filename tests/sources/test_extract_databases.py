"""A table of a database by its address: read, or one sentence, and nothing made."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import duckdb
import pandas as pd
import pytest
from extracts import write_extract
from reading import EVERY_MONTH, refusal, typed

from analysis.core.errors import DataError, MachineError, UsageError
from analysis.protocol.protocol import Protocol
from analysis.records.addresses import shown


@pytest.fixture
def hospital(tmp_path: Path) -> Path:
    """A DuckDB database with a table, a view, a table in a schema, and one of other columns."""
    folder = write_extract(EVERY_MONTH, tmp_path / "in")
    database = tmp_path / "hospital's [1].duckdb"
    with duckdb.connect(str(database)) as connection:
        connection.execute(f"create table episodes as select * from '{folder}/part.parquet'")
        connection.execute("create view seen as select * replace (ADMIMETH || ' ' as ADMIMETH) from episodes")
        connection.execute("create schema hes; create table hes.apc as select * from episodes")
        connection.execute("create table patients as select 1 as person")
        connection.execute("create table instants as select * replace (ADMIDATE::timestamp at time zone 'UTC' as ADMIDATE), null::int[] as more from episodes")  # fmt: skip
        connection.execute(
            "create table lost as select 1 as x; create view broken as select * from lost; drop table lost"
        )
    return database


@pytest.mark.slow
@pytest.mark.parametrize("table", ["episodes", "seen", "hes.apc", "instants"])
def test_tables_and_views(table: str, hospital: Path, tmp_path: Path, protocol: Protocol) -> None:
    before = hospital.read_bytes()
    read = typed(f"duckdb://{hospital}#{table}", tmp_path / "private", protocol)
    assert len(read) == 60 and set(read.ADMIMETH) == {"21"} and str(read.ADMIDATE.min()) == "2013-04-10"
    assert hospital.read_bytes() == before, "opened for reading alone"


@pytest.mark.slow
def test_sqlite(tmp_path: Path, protocol: Protocol) -> None:
    table = pd.read_parquet(write_extract(EVERY_MONTH, tmp_path / "in") / "part.parquet")
    dates = ["ADMIDATE", "DISDATE", "EPISTART", "EPIEND"]
    with sqlite3.connect(tmp_path / "h.sqlite") as connection:
        table.astype(dict.fromkeys(dates, str)).assign(ADMIMETH="21\t").to_sql("episodes", connection, index=False)
    read = typed(f"sqlite:///{tmp_path}/h.sqlite#episodes", tmp_path / "private", protocol)
    assert len(read) == 60 and set(read.ADMIMETH) == {"21"} and str(read.ADMIDATE.min()) == "2013-04-10"


@pytest.mark.cases(quick=2)
@pytest.mark.parametrize(
    "table", ["episode", "hes.episodes", "nowhere.x", "broken", "episodes; drop table episodes", ""]
)
@pytest.mark.fault("a table that the database does not have", "one sentence; nothing is made")
def test_a_table_that_is_not_there(table: str, hospital: Path, tmp_path: Path) -> None:
    problem = refusal(f"duckdb://{hospital}#{table}", tmp_path / "private")
    assert isinstance(problem, UsageError) and (table or "after a #") in str(problem)


def test_a_table_of_other_columns(hospital: Path, tmp_path: Path) -> None:
    problem = refusal(f"duckdb://{hospital}#patients", tmp_path / "private")
    assert isinstance(problem, DataError) and "EPIKEY" in problem.found and "patients" in str(problem)


@pytest.mark.parametrize("scheme", ["duckdb", "sqlite"])
@pytest.mark.fault("the address of a database file that is not there", "one sentence; no empty database is made")
def test_a_file_that_is_not_there(scheme: str, tmp_path: Path) -> None:
    for place in (tmp_path / "none.db", tmp_path / "nowhere/none.db", tmp_path):
        problem = refusal(f"{scheme}://{place}#episodes", tmp_path / "private")
        assert isinstance(problem, UsageError) and "no such file" in str(problem)
    assert not (tmp_path / "none.db").exists() and not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize("scheme", ["duckdb", "sqlite"])
@pytest.mark.parametrize(
    "content", [b"", b"a,b\n1,2\n", b"PAR1" * 10, b"SQLite format 3", b"SQLite format 3\x00" + b"x" * 100], ids=range(5)
)
def test_a_file_that_is_no_database(scheme: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / "x.db").write_bytes(content)
    problem = refusal(f"{scheme}://{tmp_path}/x.db#episodes", tmp_path / "private")
    assert "x.db" in str(problem) or "no table or view" in str(problem)
    assert (tmp_path / "x.db").read_bytes() == content


@pytest.mark.parametrize(
    ("url", "kind", "words"),
    [
        ("nonsense://ann:s3cret@host/db#episodes", UsageError, "nonsense"),
        ("mssql://ann:s3cret@host/db?driver=x&password=s3cret#dbo.episodes", MachineError, "ibis-framework[mssql]"),
        ("postgres://ann:s3cret@127.0.0.1:1/db#episodes", MachineError, "ibis-framework[postgres]"),
        ("snowflake://ann:s3cret@x/y#episodes", MachineError, "ibis-framework[snowflake]"),
        ("s3://bucket/folder#episodes", UsageError, "s3"),
    ],
)
@pytest.mark.fault(
    "a database whose driver is not installed, or of no known kind", "one sentence, without the password of the address"
)
def test_drivers_that_are_not_installed(url: str, kind: type, words: str, tmp_path: Path) -> None:
    problem = refusal(url, tmp_path / "private")
    assert isinstance(problem, kind) and words in str(problem) and "s3cret" not in str(problem)
    assert "s3cret" not in shown(url) and "ann" not in shown(url)


@pytest.mark.slow
def test_a_database_in_use(hospital: Path, tmp_path: Path) -> None:
    """By another process that writes."""
    import subprocess
    import sys

    code = f"import duckdb, time; c = duckdb.connect({str(hospital)!r}); print(1, flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as other:
        assert other.stdout and other.stdout.readline()
        problem = refusal(f"duckdb://{hospital}#episodes", tmp_path / "private")
        other.kill()
    assert isinstance(problem, MachineError) and "does not open" in str(problem)
