"""Which files of a folder are read, how text files are laid out, and what is said of a file that cannot be read."""

from __future__ import annotations

import gzip
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from extracts import counted, write_extract
from reading import EVERY_MONTH, as_csv, refusal, typed

from analysis.core.errors import DataError, MachineError, UsageError
from analysis.protocol.protocol import Protocol
from analysis.records.engines import open_engine
from analysis.records.extract import find_extract
from analysis.records.trouble import engine_errors
from analysis.stages.records import remarks

HALVES = EVERY_MONTH[:30], EVERY_MONTH[30:]
LONG = 25_000  # rows: more than an engine looks at to guess a dialect


def long_csv() -> str:
    row = as_csv(EVERY_MONTH[:1]).splitlines(keepends=True)[1]
    return as_csv(EVERY_MONTH) + row * LONG


# --- what lies in the folder ---------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["csv", "parquet"])
@pytest.mark.fault("hidden, lock and temporary files in an extract", "they are skipped")
def test_hidden_lock_and_temporary_files_are_skipped(kind: str, tmp_path: Path) -> None:
    folder = write_extract(EVERY_MONTH[:2], tmp_path / "in", f"part.{kind}")
    for name in (
        "._part.csv", "~$part.csv", ".~lock.part.csv#", "_SUCCESS", "_metadata", "_common_metadata", ".part.parquet.crc", "part.parquet.tmp",
        "part.csv~", "part.csv.part", ".DS_Store", "Thumbs.db", "desktop.ini", ".truth.json", "part.csv.crdownload", ".part.csv.swp",
    ):  # fmt: skip
        (folder / name).write_bytes(b"not data")
    (folder / ".git").mkdir()
    (folder / "_temporary/0").mkdir(parents=True)
    (folder / "_temporary/0/part.csv").write_text("half")
    source = find_extract(str(folder), {})
    assert [file.name for file in source.files] == [f"part.{kind}"] and not source.not_read
    assert len(typed(folder, tmp_path / "private")) == 2


def test_documents_are_named(tmp_path: Path) -> None:
    folder = write_extract(EVERY_MONTH[:2], tmp_path / "in")
    for name in ("README.md", "notes.txt", "truth.json", "dictionary.PDF", "README"):
        (folder / name).write_text("An extract, made on request, by the data service, in May.\n")
    said = remarks(find_extract(str(folder), {}))
    assert len(said) == 5 and all(
        any(name in line for line in said) for name in ("README.md", "notes.txt", "truth.json", "dictionary.PDF")
    )


@pytest.mark.parametrize("name", ["2016.zip", "2016.csv.zip", "2016.xlsx", "2016.sas7bdat", "2016.csv.bz2", "2016.parquet.zst", "2016", "2016.csv2", "2016.feather"])  # fmt: skip
@pytest.mark.fault(
    "a year of an extract as .zip or of another kind", "the run stops and names it: it is not counted without the year"
)
def test_a_file_that_may_hold_rows_is_not_passed_over(name: str, tmp_path: Path) -> None:
    folder = write_extract(EVERY_MONTH[:2], tmp_path / "in")
    (folder / name).write_bytes(b"PK\x03\x04 rows")
    problem = refusal(folder, tmp_path / "private")
    assert isinstance(problem, DataError) and Path(problem.file).name == name


@pytest.mark.cases(quick=0, push=10)
@pytest.mark.parametrize("name", ["A.CSV", "a.Csv", "a.csv.gz", "A.CSV.GZ", "a.txt", "a.TXT.gz", "a.tsv", "a.parquet", "A.PARQUET", "a.parq", "a.pq", "part-00000"])  # fmt: skip
def test_other_names_of_data_files_are_read(name: str, tmp_path: Path) -> None:
    kind = "parquet" if name.lower().endswith(("parquet", "parq", "pq", "00000")) else "csv"
    folder = write_extract(HALVES[0], tmp_path / "in", f"first.{kind}")
    write_extract(HALVES[1], tmp_path / "other", f"second.{kind}")
    content = (tmp_path / f"other/second.{kind}").read_bytes()
    (folder / name).write_bytes(gzip.compress(content) if name.lower().endswith("gz") else content)
    assert len(typed(folder, tmp_path / "private")) == 60


def test_the_same_file_packed_and_unpacked(tmp_path: Path) -> None:
    folder = write_extract(EVERY_MONTH[:2], tmp_path / "in", "a.csv")
    (folder / "a.csv.gz").write_bytes(gzip.compress((folder / "a.csv").read_bytes()))
    assert "a.csv" in str(refusal(folder, tmp_path / "private"))


@pytest.mark.cases(quick=0, push=6)
@pytest.mark.parametrize("name", ["year [1]", "year *", "wh?t", "{a,b}", "o'neill", 'say "so"', "a#b", "per%20cent", "FYEAR=1516", ".hidden", "_under", "ADMIMETH=11", "tab\there"])  # fmt: skip
@pytest.mark.parametrize("kind", ["csv", "parquet"])
@pytest.mark.fault(
    "an extract in folders named with brackets, quotes or a star, or below a hidden one", "it is read, and no other"
)
def test_names_of_folders_are_no_patterns(name: str, kind: str, tmp_path: Path) -> None:
    folder = write_extract(EVERY_MONTH[:2], tmp_path / name / "in" / name.lstrip("._"), f"part [2].{kind}")
    for decoy in ("year 1", "year x", "what", "a", "b"):
        write_extract(EVERY_MONTH, tmp_path / decoy / "in" / decoy, f"part 2.{kind}")
    read = typed(tmp_path / name / "in", tmp_path / "private")
    assert len(read) == 2 and set(read.ADMIMETH) == {"21"}
    assert len(typed(folder / f"part [2].{kind}", tmp_path / "private")) == 2


@pytest.mark.slow
def test_a_build_folder_with_brackets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The buckets of persons are read from there."""
    monkeypatch.setattr("analysis.records.engines.BUCKET_ROWS", 20)
    folder = write_extract(EVERY_MONTH, tmp_path / "in")
    assert counted(folder, tmp_path / "build [2] *" / "private").total == 60


def test_linked_folders_are_followed_once(tmp_path: Path) -> None:
    folder = write_extract(HALVES[0], tmp_path / "in", "first.parquet")
    write_extract(HALVES[1], tmp_path / "elsewhere", "second.parquet")
    (folder / "2016").symlink_to(tmp_path / "elsewhere")
    (folder / "round").symlink_to(folder)
    assert len(typed(folder, tmp_path / "private")) == 60


def test_a_delta_table_is_refused(tmp_path: Path) -> None:
    folder = write_extract(EVERY_MONTH, tmp_path / "in")
    (folder / "_delta_log").mkdir()
    assert "Delta" in str(refusal(folder, tmp_path / "private"))


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is forbidden to root")
def test_a_file_that_may_not_be_read(tmp_path: Path) -> None:
    folder = write_extract(EVERY_MONTH, tmp_path / "in")
    (folder / "part.parquet").chmod(0)
    assert isinstance(refusal(folder, tmp_path / "private"), MachineError)


def test_a_link_to_nowhere(tmp_path: Path) -> None:
    folder = write_extract(EVERY_MONTH, tmp_path / "in")
    (folder / "2016.parquet").symlink_to(tmp_path / "gone")
    problem = refusal(folder, tmp_path / "private")
    assert "2016.parquet" in str(problem)


# --- HES as it is delivered ----------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["csv", "parquet"])
@pytest.mark.fault(
    "names in lower case and ENCRYPTED_HESID in the files of earlier years, in upper case and TOKEN_PERSON_ID in later ones",
    "names are matched file by file",
)
def test_names_are_matched_file_by_file(kind: str, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    names = [
        {"TOKEN_PERSON_ID": "encrypted_hesid", "PROCODE3": "procode", "DIAG_01": "diag_4_01"},
        {"TOKEN_PERSON_ID": "Token_Person_ID"},
        {"TOKEN_PERSON_ID": "PSEUDO_HESID", "PROCODE3": "PROCODET", "DIAG_01": "DIAG_4_01"},
    ]
    for at, other in enumerate(names):
        write_extract(EVERY_MONTH[at * 20 : at * 20 + 20], folder, f"{at}.{kind}")
        read = (
            pd.read_csv(folder / f"{at}.csv", dtype=str) if kind == "csv" else pd.read_parquet(folder / f"{at}.parquet")
        )
        read = (
            read.rename(columns=other)
            .rename(columns=str.lower if at == 0 else str)
            .iloc[:, :: 1 if at else -1]
            .assign(**{f"more_{at}": "x"})
        )
        read.to_csv(folder / f"{at}.csv", index=False) if kind == "csv" else read.to_parquet(
            folder / f"{at}.parquet", index=False
        )
    read = typed(folder, tmp_path / "private")
    assert sorted(read.TOKEN_PERSON_ID) == sorted(row["TOKEN_PERSON_ID"] for row in EVERY_MONTH)
    assert set(read.PROCODE3) == {"RAA"} and set(read.DIAG_01) == {"J189"}
    said = remarks(find_extract(str(folder), {}))
    assert len(said) == 1 and all(name in said[0] for name in ("ENCRYPTED_HESID", "TOKEN_PERSON_ID", "PSEUDO_HESID"))


def test_three_characters_of_a_diagnosis_are_not_the_diagnosis(tmp_path: Path) -> None:
    folder = write_extract(EVERY_MONTH[:2], tmp_path / "in")
    table = pd.read_parquet(folder / "part.parquet").rename(columns={"DIAG_01": "DIAG_3_01"})
    table.to_parquet(folder / "part.parquet")
    problem = refusal(folder, tmp_path / "private")
    assert isinstance(problem, DataError) and problem.column == "DIAG_01" and "DIAG_3_01" not in problem.found


def test_a_column_that_is_there_twice(tmp_path: Path) -> None:
    text = as_csv(EVERY_MONTH[:2]).replace("STARTAGE", "admimeth")
    (tmp_path / "part.csv").write_text(text)
    problem = refusal(tmp_path / "part.csv", tmp_path / "private")
    assert isinstance(problem, DataError) and "twice" in problem.found


@pytest.mark.slow
def test_columns_that_are_not_read_may_be_there_twice_or_without_a_name(tmp_path: Path) -> None:
    text = as_csv(EVERY_MONTH[:2]).replace("STARTAGE", "EXTRA").replace("GPPRAC", "extra").replace("\n", ",\n")
    (tmp_path / "part.csv").write_text(text)
    assert len(typed(tmp_path / "part.csv", tmp_path / "private")) == 2


@pytest.mark.slow
@pytest.mark.parametrize(
    ("delimiter", "name"), [("|", "a.txt"), ("\t", "a.txt"), (";", "a.csv"), (",", "a.txt"), ("|", "a.csv")]
)
@pytest.mark.fault("HES as delivered: .txt with bars or tabs", "it is read")
def test_delimiters(delimiter: str, name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(as_csv(EVERY_MONTH, delimiter))
    assert typed(tmp_path / name, tmp_path / "private").CCG_RESPONSIBILITY.tolist() == ["00A"] * 60


def text_and_numbers(folder: Path) -> None:
    """One file has text where the other has numbers, dates or dictionaries."""
    for name, kind in (("second", "text"), ("third", "category")):
        table = pd.read_parquet(folder / "first.parquet")
        table["EPIKEY"] = [f"{name} {key}" for key in table.EPIKEY]
        if kind == "text":
            table = table.astype({"EPIORDER": str, "EPISTAT": str, "ADMIDATE": str, "STARTAGE": str})
        else:
            table = table.astype(dict.fromkeys(["ADMIMETH", "CLASSPAT", "PROCODE3", "TOKEN_PERSON_ID"], "category"))
        table.to_parquet(folder / f"{name}.parquet", index=False)
    table = pd.read_parquet(folder / "first.parquet").astype({"ADMIMETH": int, "EPIORDER": "int16", "CLASSPAT": int})
    table.assign(EPIKEY=range(1000, 1060)).to_parquet(folder / "fourth.parquet", index=False)


@pytest.mark.slow
@pytest.mark.fault("files of one extract that differ in types", "each is read by its own types")
def test_types_differ_file_by_file(tmp_path: Path, protocol: Protocol) -> None:
    folder = write_extract(EVERY_MONTH, tmp_path / "in", "first.parquet")
    text_and_numbers(folder)
    read = typed(folder, tmp_path / "private", protocol)
    assert len(read) == 240 and set(read.EPIORDER) == {1} and set(read.ADMIMETH) == {"21"}
    assert (read.ADMIDATE.value_counts() == 4).all() and read.EPIKEY.is_unique


# --- CSV: read, or one sentence with file and line --------------------------------------------------------------------------------------------


def last_cell(text: str) -> Callable[[str], str]:
    """The file with this in the last cell of its last row."""
    return lambda csv: csv.removesuffix("A81001\n") + text + "\n"


READ = {
    "a first quoted cell late in the file": last_cell('"A81001"'),
    "a delimiter in a quoted cell": last_cell('"A8,1001"'),
    "a line break in a quoted cell": last_cell('"A8\n1001"'),
    "a doubled quote": last_cell('"A8""1001"'),
    "a quote inside a cell": last_cell('A8"1001'),
    "every cell quoted": lambda csv: "".join(
        ",".join(f'"{cell}"' for cell in line.split(",")) + "\n" for line in csv.splitlines()
    ),
    "Windows ends of lines": lambda csv: csv.replace("\n", "\r\n"),
    "no end of the last line": lambda csv: csv.rstrip("\n"),
    "a byte order mark": lambda csv: "\ufeff" + csv,
    "a blank line at the end": lambda csv: csv + "\n\n",
    "a delimiter at every end": lambda csv: csv.replace("\n", ",\n"),
    "blanks around the names": lambda csv: csv.replace("EPIKEY,", " EPIKEY ,", 1).replace("GPPRAC\n", "GPPRAC \n", 1),
    "a name in two columns that are not read": lambda csv: csv.replace("\n", ",x,y\n").replace(",x,y\n", ",more,MORE\n", 1),
    "a NUL": last_cell("A81\x001"),
}  # fmt: skip


@pytest.mark.cases(quick=0, push=2)
@pytest.mark.parametrize("change", READ.values(), ids=READ)
@pytest.mark.fault(
    "a first quoted cell, or one with a line break, after 20,500 rows",
    "it is read: nothing of the dialect is guessed from a sample",
)
def test_text_files_that_are_read(change: Callable[[str], str], tmp_path: Path, protocol: Protocol) -> None:
    (tmp_path / "part.csv").write_text(change(long_csv()), encoding="utf-8", newline="")
    read = typed(tmp_path / "part.csv", tmp_path / "private", protocol)
    assert len(read) == 60 + LONG and set(read.CCG_RESPONSIBILITY) == {"00A"} and set(read.EPIORDER) == {1}


LAST = 60 + LONG + 1
REFUSED: dict[str, tuple[Callable[[str], str], int, str]] = {
    "a cell too many": (lambda csv: csv.removesuffix("\n") + ",7\n", LAST, "17 cells"),
    "a cell too few": (lambda csv: csv.removesuffix(",A81001\n") + "\n", LAST, "15 cells"),
    "rows affected": (lambda csv: csv + "\n(60 rows affected)\n", LAST + 2, "(60 rows affected)"),
    "a line of dashes": (lambda csv: csv.replace("\n", "\n" + ",".join(["------"] * 16) + "\n", 1), 2, "dashes"),
    "a quote that is not closed": (last_cell('"A81001'), LAST, "quote"),
    "text after a quote": (last_cell('"A8"1001'), LAST, "quote"),
    "two ends of lines": (lambda csv: csv + "x" * 3 + csv.splitlines()[1][1:] + "\r\n", LAST + 1, "two kinds"),
    "mostly Windows ends of lines": (lambda csv: csv.replace("\n", "\r\n") + csv.splitlines()[1] + "\n", LAST + 1, "two kinds"),
    "an end-of-file mark": (lambda csv: csv + "\x1a", LAST + 1, "1 cells"),
}  # fmt: skip


@pytest.mark.cases(quick=1)
@pytest.mark.parametrize(("change", "row", "found"), REFUSED.values(), ids=REFUSED)
@pytest.mark.fault(
    "a cell too many or too few, or (60 rows affected) at the end of a CSV",
    "one sentence with file and line, before anything is counted",
)
def test_text_files_that_are_refused(
    change: Callable[[str], str], row: int, found: str, tmp_path: Path, protocol: Protocol
) -> None:
    folder = write_extract(EVERY_MONTH, tmp_path / "in", "first.csv")
    (folder / "part.csv").write_text(change(long_csv()), encoding="utf-8", newline="")
    problem = refusal(folder, tmp_path / "private", protocol)
    assert isinstance(problem, DataError), problem
    assert (Path(problem.file).name, problem.row) == ("part.csv", row) and found in problem.found


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["latin-1", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
@pytest.mark.fault("a CSV in Latin-1 after its first 64 kB, or in UTF-16", "one sentence that names the file")
def test_other_encodings_are_refused(encoding: str, tmp_path: Path, protocol: Protocol) -> None:
    folder = write_extract(EVERY_MONTH, tmp_path / "in", "first.csv")
    (folder / "part.csv").write_bytes(long_csv().replace("A81001\n", "Mar\xeda\n").encode(encoding))
    late = long_csv().removesuffix("A81001\n") + "Mar\xeda\n"
    if encoding == "latin-1":
        (folder / "part.csv").write_bytes(late.encode(encoding))
    source, engine = find_extract_or_none(folder), open_engine("duckdb", tmp_path / "private")
    if source is None:
        return
    assert encoding == "latin-1"
    with pytest.raises(DataError, match="UTF-8") as caught, engine_errors(source, "here"):
        for table in engine.read(source):
            table.to_pyarrow()
    assert (Path(caught.value.file).name, caught.value.row) == ("part.csv", LAST)


def find_extract_or_none(folder: Path) -> object:
    try:
        return find_extract(str(folder), {}, ["GPPRAC"])
    except DataError as problem:
        assert Path(problem.file).name == "part.csv" and "UTF" in str(problem)
        return None


@pytest.mark.parametrize("cut", [0.5, 0.999])
@pytest.mark.fault("a gzip file that is cut short", "the run stops and names it")
def test_packed_files_that_are_cut_short(cut: float, tmp_path: Path, protocol: Protocol) -> None:
    folder = write_extract(EVERY_MONTH, tmp_path / "in", "first.csv")
    random = np.random.default_rng(1).integers(0, 10**9, LONG)
    header, row = as_csv(EVERY_MONTH[:1]).splitlines()
    content = gzip.compress("\n".join([header, *(f"{number}{row}" for number in random)]).encode())
    (folder / "part.csv.gz").write_bytes(content[: int(len(content) * cut)])
    problem = refusal(folder, tmp_path / "private", protocol)
    assert isinstance(problem, DataError) and Path(problem.file).name == "part.csv.gz"


@pytest.mark.slow
@pytest.mark.parametrize("codec", ["snappy", "zstd", "gzip", "none"])
@pytest.mark.fault("a Parquet file whose pages are damaged though its footer is sound", "the run stops and names it")
def test_damaged_pages(codec: str, tmp_path: Path) -> None:
    folder = write_extract(EVERY_MONTH, tmp_path / "in", "first.parquet")
    rows = pd.concat([pd.read_parquet(folder / "first.parquet")] * 200, ignore_index=True)
    rows["TOKEN_PERSON_ID"] = np.random.default_rng(1).integers(0, 10**15, len(rows)).astype(str)
    rows.to_parquet(folder / "part.parquet", index=False, compression=None if codec == "none" else codec)
    path = folder / "part.parquet"
    footer = pq.read_metadata(path).serialized_size + 8
    content = bytearray(path.read_bytes())
    body = len(content) - footer
    content[4:body] = b"\xff" * (body - 4)
    path.write_bytes(bytes(content))
    problem = refusal(folder, tmp_path / "private")
    assert isinstance(problem, DataError) and Path(problem.file).name == "part.parquet"


@pytest.mark.slow
@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize("kind", ["csv", "parquet"])
@pytest.mark.fault(
    "further columns, or another order of columns, in one year's file", "the columns that are needed are read by name"
)
def test_further_columns_in_one_file(kind: str, order: int, tmp_path: Path) -> None:
    folder = write_extract(HALVES[0], tmp_path / "in", f"b.{kind}")
    other = write_extract(HALVES[1], tmp_path / "other", f"a.{kind}") / f"a.{kind}"
    table = pd.read_csv(other, dtype=str) if kind == "csv" else pd.read_parquet(other)
    table = table.assign(ACPDISP="x", EPIDUR=2)[[*list(table.columns)[::order], "ACPDISP", "EPIDUR"][::order]]
    name = folder / ("a" if order == 1 else "c")
    table.to_csv(f"{name}.csv", index=False) if kind == "csv" else table.to_parquet(f"{name}.parquet", index=False)
    read = typed(folder, tmp_path / "private")
    assert len(read) == 60 and set(read.CCG_RESPONSIBILITY) == {"00A"} and set(read.PROCODE3) == {"RAA"}


# --- what the machine may do ---------------------------------------------------------------------------------------------------------------


def test_a_disk_without_room_and_too_little_memory_are_of_the_machine(tmp_path: Path) -> None:
    folder = write_extract(EVERY_MONTH, tmp_path / "in")
    source, engine = find_extract(str(folder), {}), open_engine("duckdb", tmp_path / "private")
    engine.connection.raw_sql("set memory_limit = '20MB'; set temp_directory = ''")
    with pytest.raises(MachineError, match="memory"), engine_errors(source, "here"):
        engine.connection.raw_sql(
            "select count(distinct hash(range::varchar || 'x')) from range(20_000_000)"
        ).fetchall()
    with pytest.raises(MachineError, match="no room"), engine_errors(source, "here"):
        engine.connection.raw_sql("copy (select * from range(1_000_000)) to '/dev/full' (format csv)")


def test_a_file_that_goes_away_while_it_is_read(tmp_path: Path) -> None:
    folder = write_extract(EVERY_MONTH, tmp_path / "in")
    source, engine = find_extract(str(folder), {}), open_engine("duckdb", tmp_path / "private")
    raw = engine.read(source)
    shutil.rmtree(folder)
    with pytest.raises((DataError, MachineError)) as caught, engine_errors(source, "here"):
        raw[0].to_pyarrow()
    assert "part.parquet" in str(caught.value)


def test_errors_of_our_own_are_let_through(tmp_path: Path) -> None:
    source = find_extract(str(write_extract(EVERY_MONTH, tmp_path / "in")), {})
    for own in (AssertionError("rows were lost"), KeyError("x"), UsageError("y")):
        with pytest.raises(type(own)), engine_errors(source, "here"):
            raise own


@pytest.mark.parametrize("where", ["first", "middle", "last"])
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.fault(
    "a quoted cell that never ends, in one of several small CSV files, of which the engine drops the rest",
    "the run stops and names the file and the row",
)
def test_a_quote_that_never_ends_loses_no_row(where: str, packed: bool, tmp_path: Path, protocol: Protocol) -> None:
    halves = [as_csv(EVERY_MONTH[:30]), as_csv(EVERY_MONTH[30:])]
    lines = halves[1].splitlines(keepends=True)
    at = {"first": 1, "middle": 15, "last": len(lines) - 1}[where]
    before, _, last = lines[at].rpartition(",")
    lines[at] = f'{before},"{last}'
    for name, text in zip(("a.csv", "b.csv"), (halves[0], "".join(lines)), strict=True):
        content = text.encode()
        (tmp_path / f"{name}{'.gz' if packed else ''}").write_bytes(gzip.compress(content) if packed else content)
    problem = refusal(tmp_path, tmp_path.parent / "private", protocol)
    assert isinstance(problem, DataError) and "quote" in problem.found and problem.row == at + 1
    assert Path(problem.file).name.startswith("b.csv")


@pytest.mark.slow
def test_a_quote_inside_a_cell_is_text(tmp_path: Path, protocol: Protocol) -> None:
    (tmp_path / "part.csv").write_text(as_csv(EVERY_MONTH).replace("J189", 'J1"89', 1))
    assert len(typed(tmp_path / "part.csv", tmp_path / "private", protocol)) == len(EVERY_MONTH)


@pytest.mark.parametrize("name", ["pipe.csv", "pipe.parquet", "pipe"])
def test_a_pipe_is_not_waited_for(name: str, tmp_path: Path) -> None:
    folder = write_extract(EVERY_MONTH[:2], tmp_path / "in", "part.csv")
    os.mkfifo(folder / name)
    problem = refusal(folder, tmp_path / "private")
    assert isinstance(problem, DataError) and problem.found == "a device or a pipe"
