"""What is wrong with a patient-level extract is said before long work begins, with file and column."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from extracts import USUAL, stay, write_extract

from analysis.core.errors import DataError, EvaluationError, UsageError
from analysis.core.workspace import Workspace
from analysis.protocol.protocol import Protocol
from analysis.records.engines import open_engine
from analysis.records.extract import find_extract
from analysis.stages.records import build_records, check_content

ROWS = [stay("2014-05-10", "2014-05-12"), stay("2014-06-10", None, TOKEN_PERSON_ID="b")]


def refusal(folder: Path, names: dict[str, str] | None = None) -> EvaluationError:
    with pytest.raises(EvaluationError) as caught:
        find_extract(str(folder), names or {})
    return caught.value


@pytest.mark.parametrize("kind", ["part.parquet", "part.csv"])
def test_a_missing_column_is_named_with_the_nearest(kind: str, tmp_path: Path) -> None:
    folder = write_extract(ROWS, tmp_path / "in", kind)
    table = pd.read_parquet(folder / kind) if kind.endswith("parquet") else pd.read_csv(folder / kind)
    table = table.rename(columns={"ADMIMETH": "ADMIMETHOD"})
    table.to_parquet(folder / kind) if kind.endswith("parquet") else table.to_csv(folder / kind, index=False)
    problem = refusal(folder)
    assert isinstance(problem, DataError) and problem.column == "ADMIMETH" and "ADMIMETHOD" in problem.found
    assert kind in str(problem) and "[records.columns]" in problem.action
    assert find_extract(str(folder), {"ADMIMETH": "admimethod"}).parts[0].names["ADMIMETH"] == "ADMIMETHOD"


def as_number(folder: Path) -> str:
    table = pd.read_parquet(folder / "part.parquet").assign(ADMIDATE=[20140510, 20140610])
    table.to_parquet(folder / "part.parquet")
    return "ADMIDATE as a whole number"


def cut_short(folder: Path) -> str:
    path = folder / "part.parquet"
    path.write_bytes(path.read_bytes()[:-100])
    return "cut short"


def no_rows(folder: Path) -> str:
    pd.read_parquet(folder / "part.parquet").iloc[:0].to_parquet(folder / "other.parquet")
    return "no rows"


def an_empty_folder(folder: Path) -> str:
    (folder / "FYEAR=1516").mkdir()
    return "an empty folder"


def other_columns(folder: Path) -> str:
    pd.read_parquet(folder / "part.parquet").drop(columns="DIAG_01").to_parquet(folder / "zz.parquet")
    return "no column DIAG_01"


@pytest.mark.parametrize("spoil", [as_number, cut_short, no_rows, an_empty_folder, other_columns])
def test_a_spoilt_parquet_file(spoil: Callable[[Path], str], tmp_path: Path) -> None:
    folder = write_extract(ROWS, tmp_path / "in")
    found = spoil(folder)
    problem = refusal(folder)
    assert isinstance(problem, DataError) and found in problem.found, problem


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (":".join(USUAL).encode() + b"\n1:2\n", "one column"),
        (",".join(USUAL).encode() + b"\nMar\xeda,2\n", "UTF-8"),
        (",".join(USUAL).encode() + b"\n", "no rows"),
        (b"", "no rows"),
    ],
    ids=["delimiter", "encoding", "header alone", "nothing"],
)
def test_a_spoilt_csv_file(content: bytes, found: str, tmp_path: Path) -> None:
    (tmp_path / "part.csv").write_bytes(content)
    problem = refusal(tmp_path)
    assert isinstance(problem, DataError) and found in problem.found, problem


def test_what_is_no_extract(tmp_path: Path) -> None:
    assert isinstance(refusal(tmp_path / "nowhere"), UsageError)
    write_extract(ROWS, tmp_path / "both", "part.csv")
    assert "Parquet or CSV" in str(refusal(write_extract(ROWS, tmp_path / "both")))
    with pytest.raises(UsageError, match="after a #"):
        find_extract("duckdb:///x.db", {})


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "column", "found"),
    [({"ADMIDATE": "10/06/2014"}, "ADMIDATE", "99/99/9999"), ({"EPIORDER": "first"}, "EPIORDER", "AAAAA")],
)
def test_mixed_forms_are_named(
    change: dict[str, str], column: str, found: str, tmp_path: Path, protocol: Protocol
) -> None:
    folder = write_extract([*ROWS, {**stay("2014-06-10", None), **change}], tmp_path / "in", "part.csv")
    source, engine = find_extract(str(folder), {}), open_engine("duckdb", tmp_path / "private")
    with pytest.raises(DataError) as caught:
        check_content(engine.read(source), source, protocol)
    assert caught.value.column == column and found in caught.value.found


def test_an_extract_that_does_not_cover_the_window(tmp_path: Path, protocol: Protocol) -> None:
    folder = write_extract(ROWS, tmp_path / "in")
    source, engine = find_extract(str(folder), {}), open_engine("duckdb", tmp_path / "private")
    with pytest.raises(DataError, match="no admission in April 2013"):
        check_content(engine.read(source), source, protocol)


@pytest.mark.slow
@pytest.mark.fault("years of two figures read as of the first century", "a refusal that names the dates, beside the month that is without one")
def test_dates_of_another_century_are_told_of(tmp_path: Path, protocol: Protocol) -> None:
    folder = write_extract([*ROWS, stay("0016-04-10", "0016-04-12")], tmp_path / "in", "part.csv")
    source, engine = find_extract(str(folder), {}), open_engine("duckdb", tmp_path / "private")
    with pytest.raises(DataError) as caught:
        check_content(engine.read(source), source, protocol)
    assert "before 1930-01-01, most often of the year 0016" in caught.value.found and caught.value.action.startswith("Correct the dates")


@pytest.mark.fault("an extract that lies in the build folder", "a refusal: `make clean` would remove it")
def test_an_extract_in_the_build_folder(tmp_path: Path) -> None:
    work = Workspace(build=tmp_path / "build")
    work.panel.parent.mkdir(parents=True)
    work.panel.touch()
    with pytest.raises(UsageError, match="make clean"):
        build_records(work, str(write_extract(ROWS, work.private / "hes")), "duckdb", "local", print)


def test_an_engine_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="ENGINE=sas"):
        open_engine("sas", tmp_path)
