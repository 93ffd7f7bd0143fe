"""Extracts spoilt in many ways: whatever is said of them, no patient's number, date or birthday is in it."""

from __future__ import annotations

import gzip
import sqlite3
from collections.abc import Callable
from pathlib import Path

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from extracts import UNITS, stay, write_extract
from reading import as_csv

from analysis.core.errors import EvaluationError
from analysis.protocol.protocol import Protocol
from analysis.records.addresses import shown
from analysis.records.engines import open_engine
from analysis.records.extract import find_extract
from analysis.records.private import kept_private
from analysis.records.shares import checked_counts
from analysis.records.trouble import engine_errors
from analysis.records.typed import read_episodes
from analysis.stages.records import check_content

NUMBER, BORN, CAME, LEFT, PRACTICE = "9434765919", "1950-07-13", "2014-09-17", "2014-09-23", "Y81777"
SECRETS = (
    NUMBER,
    BORN,
    CAME,
    LEFT,
    PRACTICE,
    "17/09/2014",
    "20140917",
    "17 Sep 2014",
    "KAVANAGH",
    "13/07/1950",
    "1925-07-13",
    "2014-09-01",
)
ROW = stay(CAME, LEFT, TOKEN_PERSON_ID=NUMBER, GPPRAC=PRACTICE, DIAG_01="F200")
ROWS = [
    stay(f"{day:%Y-%m-%d}", f"{day:%Y-%m}-12", TOKEN_PERSON_ID=f"person {day:%Y%m}") for day in pd.date_range("2013-04-01", "2018-03-01", freq="MS")
] + [ROW] * 30  # fmt: skip
CSV = as_csv(ROWS)
LINE = CSV.splitlines()[-1]
HEADER, BODY = CSV.partition("\n")[0], CSV.partition("\n")[2]


def with_cell(column: str, cell: str) -> str:
    return as_csv([*ROWS, {**ROW, column: cell}])


def with_cells(**cells: str) -> str:
    """In every row of the patient."""
    return as_csv(
        [{**row, **cells, "TOKEN_PERSON_ID": f"{NUMBER}-{at}"} if row is ROW else row for at, row in enumerate(ROWS)]
    )


TEXTS: dict[str, str | bytes] = {
    "a cell too many": CSV + LINE + ",x\n", "a cell too few": CSV + LINE.rpartition(",")[0] + "\n", "half a row": CSV + LINE[: len(LINE) // 2] + "\n",
    "a line of one cell": CSV + NUMBER + "\n", "a line with a name": CSV + "KAVANAGH\n", "a quote that is not closed": CSV + LINE.replace(NUMBER, '"' + NUMBER) + "\n",
    "text after a quote": CSV + LINE.replace(NUMBER, f'"{NUMBER}"x') + "\n", "two kinds of line ends": CSV + LINE + "\r\n",
    "Latin-1": CSV.encode() + LINE.encode() + b"\xed\n", "no header": BODY, "no header, one column": "\n".join([LINE.replace(",", "^")] * 3),
    "another delimiter": CSV.replace(",", "^"), "packed and cut short": gzip.compress(CSV.encode())[:-40], "a header of two lines": HEADER + "\n" + HEADER + "\n" + BODY,
    "a date as days first": with_cell("DISDATE", "17/09/2014"), "a date without hyphens": with_cell("ADMIDATE", "20140917"),
    "a month by name": with_cell("EPISTART", "17 Sep 2014"), "a day and more": with_cell("EPIEND", f"{CAME}x"), "an instant": with_cell("ADMIDATE", f"{CAME}T23:00:00Z"),
    "a time that does not exist": with_cell("ADMIDATE", f"{CAME} 24:00"), "day and month changed": with_cell("ADMIDATE", "2014-17-09"),
    "a number in a date": with_cell("DISDATE", NUMBER), "a birthday as status": with_cell("EPISTAT", BORN), "a number as status": with_cell("EPISTAT", NUMBER),
    "a name as order": with_cell("EPIORDER", "KAVANAGH"), "a birthday as age": with_cell("STARTAGE", "13/07/1950"),
    "a number as age": with_cell("STARTAGE", NUMBER), "a number as order": with_cell("EPIORDER", NUMBER),
    "a number as provider": with_cells(PROCODE3=NUMBER), "a number as diagnosis": with_cells(DIAG_01=NUMBER), "a number as method": with_cells(ADMIMETH=NUMBER),
    "a birthday as commissioner": with_cells(CCG_RESPONSIBILITY=BORN), "a practice as commissioner": with_cells(CCG_RESPONSIBILITY=NUMBER),
    "a birthday as admission": with_cells(ADMIDATE="1925-07-13"), "an early end": with_cells(EPIEND="2014-09-01"),
}  # fmt: skip
COLUMNS: dict[str, tuple[str, pa.DataType, object]] = {
    "text in a number": ("EPIORDER", pa.string(), NUMBER), "a large number": ("EPIORDER", pa.int64(), int(NUMBER)), "a fraction": ("EPISTAT", pa.float64(), 9434765919.5),
    "a date in text": ("DISDATE", pa.string(), "17/09/2014"), "a fraction of a person": ("TOKEN_PERSON_ID", pa.float64(), 9434765919.5),
    "bytes": ("TOKEN_PERSON_ID", pa.binary(), NUMBER.encode()), "a list": ("DISDATE", pa.list_(pa.string()), [CAME]),
    "a number as provider": ("PROCODE3", pa.int64(), int(NUMBER)), "text that is not UTF-8": ("TOKEN_PERSON_ID", pa.binary(), b"\xff" + NUMBER.encode()),
}  # fmt: skip


def attempt(place: str, private: Path, protocol: Protocol) -> str:
    """What is said of an extract by the code that counts it."""
    rules = protocol.records.__class__(by_age=True)
    try:
        with kept_private(private):
            source = find_extract(place, {}, ["STARTAGE", "GPPRAC"])
            engine = open_engine("duckdb", private, url=source.url)
            with engine_errors(source, shown(place), private):
                raw = engine.read(source)
                check_content(raw, source, protocol)
                checked_counts(
                    engine, read_episodes(raw, source), source, shown(place), rules, protocol.months, UNITS, {}
                )
    except EvaluationError as problem:
        return str(problem)
    return ""


def nothing_is_let_out(said: str, folder: Path, capture: pytest.CaptureFixture[str]) -> None:
    streams = capture.readouterr()
    outside = [
        file
        for file in folder.rglob("*")
        if file.is_file() and not {"in", "private"} & {*file.relative_to(folder).parts}
    ]
    texts = [said, streams.out, streams.err, *(file.read_text(errors="replace") for file in outside)]
    assert not [secret for secret in SECRETS for text in texts if secret in text], texts


@pytest.mark.cases(quick=7, push=8)
@pytest.mark.parametrize("kind", TEXTS)
@pytest.mark.fault(
    "rows, dates and numbers of patients in files that are cut, shifted, of another form or damaged",
    "the refusal names file, row and column, and no patient's number or date is in it or in any file outside the private folder",
)
def test_text(kind: str, tmp_path: Path, protocol: Protocol, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "in").mkdir()
    content = TEXTS[kind]
    (tmp_path / "in/part.csv").write_bytes(content.encode() if isinstance(content, str) else content)
    said = attempt(str(tmp_path / "in"), tmp_path / "private", protocol)
    assert said
    nothing_is_let_out(said, tmp_path, capfd)


@pytest.mark.cases(quick=2)
@pytest.mark.parametrize("kind", COLUMNS)
def test_parquet(kind: str, tmp_path: Path, protocol: Protocol, capfd: pytest.CaptureFixture[str]) -> None:
    folder = write_extract(ROWS, tmp_path / "in")
    column, type_, value = COLUMNS[kind]
    table = pq.read_table(folder / "part.parquet")
    cells = pa.array([value] * len(table), type_)
    pq.write_table(table.set_column(table.column_names.index(column), column, cells), folder / "part.parquet")
    said = attempt(str(folder), tmp_path / "private", protocol)
    assert said
    nothing_is_let_out(said, tmp_path, capfd)


def test_the_row_of_a_refused_cell_is_named(tmp_path: Path, protocol: Protocol) -> None:
    """Of Parquet too, as a spreadsheet would show it: the names are row 1."""
    folder = write_extract(ROWS, tmp_path / "in", "a.parquet")
    table = pq.read_table(folder / "a.parquet")
    texts = [str(day) for day in table["DISDATE"].to_pylist()]
    texts[70] = "\u00a017/09/2014 "
    pq.write_table(table.set_column(3, "DISDATE", pa.array(texts)), folder / "b.parquet")
    said = attempt(str(folder), tmp_path / "private", protocol)
    assert "b.parquet, row 72, column 'DISDATE'" in said and "'99/99/9999'" in said


def broken_view(connection: duckdb.DuckDBPyConnection) -> None:
    connection.execute(
        "create view episodes as select * replace (TOKEN_PERSON_ID::int::varchar as TOKEN_PERSON_ID) from kept"
    )


def dates_as_text(connection: duckdb.DuckDBPyConnection) -> None:
    connection.execute(
        "create view episodes as select * replace (strftime(ADMIDATE, '%d/%m/%Y') as ADMIDATE) from kept"
    )


def an_error_with_a_row(connection: duckdb.DuckDBPyConnection) -> None:
    connection.execute(
        "create view episodes as select * replace (error('DETAIL: Key (person)=(' || TOKEN_PERSON_ID || ')')::varchar as TOKEN_PERSON_ID) from kept"
    )


@pytest.mark.slow
@pytest.mark.parametrize("view", [broken_view, dates_as_text, an_error_with_a_row])
def test_a_database(
    view: Callable[[duckdb.DuckDBPyConnection], None], tmp_path: Path, protocol: Protocol, capfd: pytest.CaptureFixture[str]
) -> None:  # fmt: skip
    folder = write_extract([*ROWS, {**ROW, "TOKEN_PERSON_ID": NUMBER + "x"}], tmp_path / "in")
    with duckdb.connect(str(tmp_path / "in/h.db")) as connection:
        connection.execute(f"create table kept as select * from '{folder}/part.parquet'")
        view(connection)
    said = attempt(f"duckdb://{tmp_path}/in/h.db#episodes", tmp_path / "private", protocol)
    assert (said and shown(f"duckdb://{tmp_path}/in/h.db#episodes") in said) or "table episodes" in said
    nothing_is_let_out(said, tmp_path, capfd)


@pytest.mark.slow
def test_sqlite(tmp_path: Path, protocol: Protocol, capfd: pytest.CaptureFixture[str]) -> None:
    table = pd.read_parquet(write_extract(ROWS, tmp_path / "in") / "part.parquet").astype(str)
    for column, value in (("ADMIDATE", "17/09/2014"), ("EPIORDER", NUMBER), ("EPISTAT", "KAVANAGH")):
        with sqlite3.connect(tmp_path / "in/h.db") as connection:
            table.assign(**{column: value}).to_sql("episodes", connection, index=False, if_exists="replace")
        said = attempt(f"sqlite://{tmp_path}/in/h.db#episodes", tmp_path / "private", protocol)
        assert said
        nothing_is_let_out(said, tmp_path, capfd)


@pytest.mark.slow
def test_what_cannot_be_of_anybody_is_still_named(tmp_path: Path, protocol: Protocol) -> None:
    (tmp_path / "part.csv").write_text(with_cell("DISDATE", "2015-02-30"))
    said = attempt(str(tmp_path / "part.csv"), tmp_path / "private", protocol)
    assert (
        f"part.csv, row {len(ROWS) + 2}, column 'DISDATE'" in said and "'2015-02-30'" in said and "YYYY-MM-DD" in said
    )


@pytest.mark.slow
def test_the_engine_s_own_words_are_kept_for_the_analyst(tmp_path: Path, protocol: Protocol) -> None:
    folder = write_extract([*ROWS, {**ROW, "TOKEN_PERSON_ID": NUMBER + "x"}], tmp_path / "in")
    with duckdb.connect(str(tmp_path / "h.db")) as connection:
        connection.execute(f"create table kept as select * from '{folder}/part.parquet'")
        broken_view(connection)
    said = attempt(f"duckdb://{tmp_path}/h.db#episodes", tmp_path / "private", protocol)
    assert "ConversionException" in said and str(tmp_path / "private/problem.txt") in said
    assert "Could not convert string 'person 201" in (tmp_path / "private/problem.txt").read_text()
