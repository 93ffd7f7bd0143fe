"""Rows in are the rows of the files, counted by Python's csv module and by Arrow: each file is read once, or one sentence names it."""

from __future__ import annotations

import csv
import gzip
import io
import os
import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from extracts import UNITS, write_extract
from reading import EVERY_MONTH, Row, as_csv, refusal, typed

from analysis.core.errors import DataError, EvaluationError
from analysis.protocol.protocol import Protocol
from analysis.protocol.schema import Records
from analysis.records.delimited import count_rows, layout_of
from analysis.records.engines import open_engine
from analysis.records.extract import find_extract
from analysis.records.shares import checked_counts
from analysis.records.typed import read_episodes
from analysis.stages.records import remarks

HALVES = EVERY_MONTH[:30], EVERY_MONTH[30:]
COLUMNS = ["TOKEN_PERSON_ID", "ADMIMETH", "CCG_RESPONSIBILITY"]
FOREIGN = [{**row, "TOKEN_PERSON_ID": "of a neighbour"} for row in EVERY_MONTH]


@dataclass(frozen=True)
class Read:
    """The files of which every row is to be read, and those that are named as not read."""

    files: Sequence[Path]
    named: Sequence[str] = ()


def rows_of(file: Path) -> list[tuple[str, ...]]:
    content = file.read_bytes()
    if content.startswith(b"PAR1"):
        # The schema is the file's own: a key of a folder is no column.
        return [tuple(row.values()) for row in pq.ParquetFile(file).read(COLUMNS).select(COLUMNS).to_pylist()]
    text = (gzip.decompress(content) if content.startswith(b"\x1f\x8b") else content).decode("utf-8-sig")
    header, *lines = csv.reader(io.StringIO(text, newline=""), delimiter="|" if "|" in text else ",")
    places = [header.index(column) for column in COLUMNS]
    return [tuple(line[place] for place in places) for line in lines if line]


def read(place: Path, private: Path, engine: str = "duckdb") -> Counter[tuple[str, ...]]:
    table = typed(place, private, engine=engine)
    return Counter(table[COLUMNS].itertuples(index=False, name=None))


def check(place: Path, private: Path, files: Sequence[Path], engine: str = "duckdb") -> None:
    expected = Counter(row for file in files for row in rows_of(file))
    assert read(place, private, engine) == expected
    assert find_extract(str(place), {}).rows == expected.total()


# --- text: the dialect is not guessed ---------------------------------------------------------------------------------------------------------


def quoted(text: str) -> str:
    lines = csv.reader(io.StringIO(text))
    out = io.StringIO()
    csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows(lines)
    return out.getvalue()


PLAIN, OTHER = (as_csv(half) for half in HALVES)
LATE = as_csv(EVERY_MONTH) + as_csv(EVERY_MONTH[:1]).splitlines(keepends=True)[1] * 22_000
TEXTS: dict[str, tuple[str | bytes, ...]] = {
    "quoted in the second file": (PLAIN, quoted(OTHER)),
    "quoted in the first file": (quoted(PLAIN), OTHER),
    "quoted in the smallest of three": (LATE, quoted(OTHER), PLAIN),
    "quoted in the last row alone": (PLAIN, OTHER.removesuffix("A81001\n") + '"A81,001"\n'),
    "quoted after 22,000 rows": (PLAIN, LATE + quoted(PLAIN).partition("\n")[2]),
    "a line break in a cell after 22,000 rows": (LATE + quoted(PLAIN).partition("\n")[2].replace("A81001", "A8\n10\r\n01"),),
    "a delimiter in a cell after 22,000 rows, beside a small file": (LATE + quoted(PLAIN).partition("\n")[2].replace("A81001", "A8,1001"), OTHER),
    "doubled quotes and an empty quoted cell": (PLAIN.replace("A81001", '"A""8"').replace("J189", '""'), OTHER),
    "single quotes, which quote nothing": (PLAIN.replace("A81001", "'A8'"), OTHER.replace("J189", "'J18")),
    "quotes inside cells, one to a file": (PLAIN.replace("A81001", 'A8"1', 1), OTHER.replace("J189", 'J"1"8"9')),
    "backslashes before quotes": (PLAIN.replace("A81001", '"A8\\"'), OTHER.replace("A81001", "A8\\")),
    "a header in quotes after a byte order mark": ("\ufeff" + quoted(PLAIN), "\ufeff" + OTHER),
    "a header with a line break": (PLAIN.replace("GPPRAC", '"GP\nPRAC"'), OTHER),
    "Windows ends of lines in one file": (PLAIN.replace("\n", "\r\n"), quoted(OTHER)),
    "old Macintosh ends of lines": (PLAIN.replace("\n", "\r"), OTHER),
    "blank lines between rows": (PLAIN.replace("\n", "\n\n"), OTHER.replace("\n", "\r\n\r\n") + "\r\n"),
    "no end of the last line": (PLAIN.rstrip("\n"), quoted(OTHER).rstrip("\n")),
    "a comment sign": (PLAIN.replace("\n1,", "\n#1,"), "#" + OTHER.replace("EPIKEY", "x", 1).replace("STARTAGE", "EPIKEY")),
    "bars in one file": (PLAIN, as_csv(HALVES[1], "|")),
    "gzip of several members": (gzip.compress(PLAIN.encode()) + gzip.compress(OTHER.partition("\n")[2].encode()), OTHER),
    "gzip of a member a line": (b"".join(gzip.compress(line.encode()) for line in PLAIN.splitlines(keepends=True)), quoted(OTHER)),
}  # fmt: skip


def write_texts(folder: Path, texts: Sequence[str | bytes]) -> list[Path]:
    folder.mkdir(exist_ok=True)
    files = [folder / f"{at}.csv{'' if isinstance(text, str) else '.gz'}" for at, text in enumerate(texts)]
    for file, text in zip(files, texts, strict=True):
        file.write_bytes(text.encode() if isinstance(text, str) else text)
    return files


@pytest.mark.cases(quick=0, push=6)
@pytest.mark.parametrize("texts", TEXTS.values(), ids=TEXTS)
@pytest.mark.fault("text quoted in one file and not in another, or quoted after 22,000 rows", "every row is read")
def test_no_dialect_is_guessed(texts: Sequence[str | bytes], tmp_path: Path) -> None:
    check(tmp_path / "in", tmp_path / "private", write_texts(tmp_path / "in", texts))


@pytest.mark.parametrize("block", [100, 1_000, 4_001])
def test_rows_are_counted_block_by_block(block: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether lines and quoted cells lie within a block, across two, or are longer than one."""
    monkeypatch.setattr("analysis.records.delimited.BLOCK", block)
    for texts in TEXTS.values():
        for file in write_texts(tmp_path / "in", texts):
            if file.stat().st_size < 100_000:
                assert count_rows(file, layout_of(file)) == len(rows_of(file))


def swallowing(text: str, first: int, last: int) -> str:
    """The text with a quote that begins a cell of one row and ends the same cell of a later one."""
    lines = text.splitlines()
    for at, quote in ((first, '"J189'), (last, 'J189"')):
        lines[at] = lines[at].replace("J189", quote)
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize(("first", "last"), [(1, 2), (3, 20), (28, 29)])
@pytest.mark.parametrize("long", [False, True])
@pytest.mark.fault(
    "two quotes that are text, by which a cell takes in the rows between",
    "the run stops and names the file and the row",
)
def test_a_quote_takes_in_no_rows(first: int, last: int, long: bool, tmp_path: Path) -> None:
    text = swallowing(PLAIN, first, last) + (LATE.partition("\n")[2] if long else "")
    write_texts(tmp_path / "in", (OTHER, text))
    problem = refusal(tmp_path / "in", tmp_path / "private")
    assert isinstance(problem, DataError) and "takes in" in problem.found
    assert (Path(problem.file).name, problem.row) == ("1.csv", first + 1)


@pytest.mark.slow
@pytest.mark.parametrize("change", ["more", "fewer"])
@pytest.mark.fault("an engine that reads other rows than the files hold", "the run stops and names the file")
def test_other_rows_than_those_of_the_files(change: str, tmp_path: Path, protocol: Protocol) -> None:
    """As the engine of one day sees a file that changed after its rows were counted."""
    write_texts(tmp_path / "in", (PLAIN, OTHER))
    source, engine = find_extract(str(tmp_path / "in"), {}), open_engine("duckdb", tmp_path / "private")
    lines = OTHER.splitlines(keepends=True)
    (tmp_path / "in/1.csv").write_text("".join([*lines, lines[-1]] if change == "more" else lines[:-1]))
    with pytest.raises(DataError) as caught:
        checked_counts(
            engine, read_episodes(engine.read(source), source), source, "here", Records(), protocol.months, UNITS, {}
        )
    assert Path(caught.value.file).name == "1.csv" and caught.value.found.startswith("30 rows")


# --- links, and names of files ----------------------------------------------------------------------------------------------------------------


def elsewhere(folder: Path, name: str, rows: Sequence[Row] = HALVES[1]) -> Path:
    return write_extract(rows, folder.parent / "elsewhere", name) / name


def link_to_a_file(folder: Path, first: Path) -> Read:
    other = elsewhere(folder, "b.parquet")
    (folder / "b.parquet").symlink_to(other)
    return Read([first, other])


def link_to_a_link_to_a_hidden_file(folder: Path, first: Path) -> Read:
    other = elsewhere(folder, ".b.parquet")
    (folder.parent / "between").symlink_to(other)
    (folder / "b.parquet").symlink_to(folder.parent / "between")
    return Read([first, other])


def link_to_a_folder(folder: Path, first: Path) -> Read:
    other = elsewhere(folder, "b.parquet")
    (folder / "FYEAR=1516").symlink_to(other.parent)
    return Read([first, other])


def link_to_a_hidden_folder(folder: Path, first: Path) -> Read:
    other = elsewhere(folder, "b.parquet")
    shutil.move(other.parent, folder / ".b")
    (folder / "b").symlink_to(".b")
    return Read([first, folder / ".b/b.parquet"])


def relative_link(folder: Path, first: Path) -> Read:
    other = elsewhere(folder, "b.parquet")
    (folder / "2016").symlink_to(Path("..") / "elsewhere")
    return Read([first, other])


def link_to_a_file_of_the_extract(folder: Path, first: Path) -> Read:
    (folder / "latest.parquet").symlink_to(first)
    return Read([first])


def two_links_to_a_file(folder: Path, first: Path) -> Read:
    other = elsewhere(folder, "b.parquet")
    for name in ("b.parquet", "c.parquet"):
        (folder / name).symlink_to(other)
    return Read([first, other])


def links_to_a_folder_and_one_of_its_folders(folder: Path, first: Path) -> Read:
    other = elsewhere(folder, "b.parquet")
    deep = write_extract(EVERY_MONTH[:3], other.parent / "deep", "c.parquet") / "c.parquet"
    (folder / "y").symlink_to(other.parent)
    (folder / "z").symlink_to(deep.parent)
    return Read([first, other, deep])


def link_round(folder: Path, first: Path) -> Read:
    (folder / "round").symlink_to(folder)
    return Read([first])


def link_above(folder: Path, first: Path) -> str:
    elsewhere(folder, "b.parquet", FOREIGN)
    (folder / "up").symlink_to("..")
    return "up"


def link_to_nowhere(folder: Path, first: Path) -> str:
    (folder / "b.parquet").symlink_to(folder / "gone")
    return "b.parquet"


def link_to_itself(folder: Path, first: Path) -> str:
    (folder / "2016").symlink_to(folder / "2016")
    return "2016"


def link_of_another_kind(folder: Path, first: Path) -> str:
    (folder / "b.parquet").symlink_to(elsewhere(folder, "b.csv"))
    return "b.parquet"


def csv_beside_parquet(folder: Path, first: Path) -> str:
    (folder / "b.csv").symlink_to(elsewhere(folder, "b.csv"))
    return "b.csv"


def not_utf8(folder: Path, first: Path) -> str:
    os.rename(elsewhere(folder, "b.parquet"), os.fsencode(folder) + b"/h\xe9.parquet")
    return r"h\xe9.parquet"


def named(name: str) -> Callable[[Path, Path], Read]:
    def write(folder: Path, first: Path) -> Read:
        return Read([first, shutil.copy(elsewhere(folder, "b.parquet"), folder / name)])

    return write


def text_named(name: str, follows: Callable[[Path, Path], Read | str]) -> Callable[[Path, Path], Read | str]:
    """A CSV file, packed where its name has a ``z``, beside another."""

    def write(folder: Path, first: Path) -> Read | str:
        first.unlink()
        content = OTHER.encode()
        (folder / name).write_bytes(gzip.compress(content) if "z" in name.lower() else content)
        return follows(*write_texts(folder, (PLAIN,)), folder / name)

    return write


def is_read(first: Path, other: Path) -> Read:
    return Read([first, other])


def is_refused(first: Path, other: Path) -> str:
    return other.name


def is_named(first: Path, other: Path) -> Read:
    return Read([first], [other.name])


Case = Callable[[Path, Path], Read | str]
LISTINGS: dict[str, Case] = {
    **{write.__name__: write for write in (
        link_to_a_file, link_to_a_link_to_a_hidden_file, link_to_a_hidden_folder, link_to_a_folder, relative_link, link_to_a_file_of_the_extract, two_links_to_a_file,
        links_to_a_folder_and_one_of_its_folders, link_round, link_above, link_to_nowhere, link_to_itself, link_of_another_kind,
        csv_beside_parquet, not_utf8,
    )},
    **{name: named(name) for name in ("b.PARQUET", "b.Parquet", "b.parq", "b.PQ", "b", "b.dat", "b.snappy.parquet", "b.parquet.1", "b.json", "b.md")},
    **{name: text_named(name, is_read) for name in ("b.CSV", "b.csv.gz", "b.CSV.GZ", "b.tsv", "b.Txt", "b.psv")},
    **{name: text_named(name, is_refused) for name in ("b", "b.dat", "b.gz", "b.csv.Z", "b.csv.gzip", "b.asc", "b.tab", "b.csv.1")},
    **{name: text_named(name, is_named) for name in ("b.log", "b.JSON", "b.csv.bak", "b.csv~", "_b.csv", ".b.csv", "b.csv.gz.tmp", "b.part")},
}  # fmt: skip


@pytest.mark.cases(quick=1, push=16)
@pytest.mark.parametrize("write", LISTINGS.values(), ids=LISTINGS)
@pytest.mark.fault(
    "a partition that is a link, or named .PARQUET, .parq or .csv.gz beside others",
    "it is read once, or the run names it",
)
def test_no_file_is_left_out_without_a_word(write: Case, tmp_path: Path) -> None:
    folder = write_extract(HALVES[0], tmp_path / "in", "a.parquet")
    follows = write(folder, folder / "a.parquet")
    if isinstance(follows, str):
        assert str(folder / follows) in str(refusal(folder, tmp_path / "private"))
        return
    check(folder, tmp_path / "private", follows.files)
    said = remarks(find_extract(str(folder), {}))
    assert len(said) == len(follows.named) and all(name in " ".join(said) for name in follows.named)


# --- names that are patterns to some program --------------------------------------------------------------------------------------------------

NAMES = [
    "h[ab]", "h[!a]", "h[^b]", "h[a-b]", "h[]a]", "part[0]", "h*", "h**", "h?", "{ha,hb}", "h{a}", "h\\a", "]", "[", "a]b[", "~", "~h", "$HOME",
    "%41", "h%61", "a,b", " h", "h ", "new\nline", "na\u0308me", "#1", "a;b", "it's", "(ha|hb)", "@(ha)", "-x", "C=1", "ADMIMETH=11",
]  # fmt: skip
NEIGHBOURS = ("ha", "hb", "h", "part0", "a", "b", "A", "name", "n\u00e4me", "1")


def among_neighbours(folder: Path, name: str, kind: str) -> Path:
    """A file of this name in a folder of this name, with others that the name might mean at both levels."""
    own = write_extract(EVERY_MONTH[:2], folder / name, f"{name}.{kind}") / f"{name}.{kind}"
    foreign = write_extract(FOREIGN, folder / "foreign", f"x.{kind}") / f"x.{kind}"
    for neighbour in NEIGHBOURS:
        (folder / neighbour).mkdir()
        for place in (folder / neighbour / f"{name}.{kind}", folder / neighbour / f"{neighbour}.{kind}"):
            place.write_bytes(foreign.read_bytes())
        (folder / "beside").mkdir(exist_ok=True)
        (folder / "beside" / f"{neighbour}.{kind}").write_bytes(foreign.read_bytes())
    return Path(shutil.copy(own, folder / "beside" / own.name))


@pytest.mark.cases(quick=0, push=3)
@pytest.mark.parametrize("kind", ["csv", "parquet"])
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.fault(
    "EXTRACT=…/h[ab] next to a folder ha, and other names that are patterns", "the extract of that name alone is read"
)
def test_no_name_is_a_pattern(name: str, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = among_neighbours(tmp_path / "in", name, kind)
    monkeypatch.chdir(tmp_path / "in")
    for place in (file, tmp_path / "in" / name, Path(name), Path(name) / file.name):
        check(place, tmp_path / "private", [file])


@pytest.mark.parametrize("name", ["h\\[a]", "\\*"])
def test_a_name_that_no_pattern_means(name: str, tmp_path: Path) -> None:
    folder = write_extract(EVERY_MONTH[:2], tmp_path / name)
    problem = refusal(folder, tmp_path / "private")
    assert isinstance(problem, DataError) and name in str(problem.file) and "backslash" in problem.found


# --- keys in the names of folders -------------------------------------------------------------------------------------------------------------


def without(folder: Path, kind: str, rows: Sequence[Row], *columns: str) -> None:
    """A part that lacks columns, as programs write them that keep the values in the names of folders."""
    path = write_extract(rows, folder, f"part.{kind}") / f"part.{kind}"
    if kind == "csv":
        pd.read_csv(path, dtype=str).drop(columns=[*columns]).to_csv(path, index=False)
    else:
        table = pq.ParquetFile(path).read()
        pq.write_table(table.drop_columns([*columns]), path)


@pytest.mark.cases(quick=0, push=6)
@pytest.mark.parametrize("kind", ["csv", "parquet"])
@pytest.mark.parametrize(
    "key", ["ADMIMETH=11", "admimeth=11", "year=2015/ADMIMETH=11", "CLASSPAT=2/CCG_RESPONSIBILITY=7A1", "EPISTAT=1"]
)
@pytest.mark.fault("a folder named ADMIMETH=11 whose files have the column too", "the file's own column is read")
def test_a_column_of_the_file_comes_before_the_folders(key: str, kind: str, tmp_path: Path) -> None:
    files = [
        write_extract(HALVES[at], tmp_path / "in" / place, f"a.{kind}") / f"a.{kind}"
        for at, place in enumerate((key, "other"))
    ]
    check(tmp_path / "in", tmp_path / "private", files)
    assert set(typed(tmp_path / "in", tmp_path / "private").EPISTAT) == {3}


def test_another_name_of_the_files_column_comes_before_the_folders(tmp_path: Path) -> None:
    path = write_extract(EVERY_MONTH, tmp_path / "in/PROCODE3=RZZ") / "part.parquet"
    table = pq.ParquetFile(path).read()
    pq.write_table(table.rename_columns([{"PROCODE3": "PROCODE"}.get(name, name) for name in table.column_names]), path)
    assert set(typed(tmp_path / "in", tmp_path / "private").PROCODE3) == {"RAA"}


def by_folder(folder: Path, kind: str) -> None:
    """Codes, dates and numbers that are in the names of folders alone; some encoded, one missing, keys in either case."""
    without(folder / "ADMIMETH=21/ccg_responsibility=00A", kind, HALVES[0], "ADMIMETH", "CCG_RESPONSIBILITY")
    without(folder / "ADMIMETH=2%41/ccg_responsibility=%30%30B", kind, HALVES[1], "ADMIMETH", "CCG_RESPONSIBILITY")
    without(folder / "ADMIMETH=__HIVE_DEFAULT_PARTITION__/x [1]", kind, EVERY_MONTH[:1], "ADMIMETH")
    without(folder / "EPIORDER=2/EPIEND=2015-07-12 00%3A00%3A00", kind, EVERY_MONTH[1:2], "EPIORDER", "EPIEND")


def check_by_folder(place: Path, private: Path, engine: str) -> None:
    table = typed(place, private, engine=engine)
    assert len(table) == 62
    assert Counter(table.ADMIMETH.fillna("none")) == {"21": 31, "2A": 30, "none": 1}
    assert Counter(table.CCG_RESPONSIBILITY) == {"00A": 32, "00B": 30}
    second = table[table.EPIORDER == 2]
    assert len(second) == 1 and str(second.EPIEND.iloc[0]) == "2015-07-12"


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["csv", "parquet"])
@pytest.mark.fault("a column that only the names of folders have, such as ADMIMETH=21", "it is read from there")
def test_a_column_of_the_folders_alone(kind: str, tmp_path: Path) -> None:
    by_folder(tmp_path / "in", kind)
    check_by_folder(tmp_path / "in", tmp_path / "private", "duckdb")


@pytest.mark.slow
def test_columns_of_the_folders_as_programs_write_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = pq.ParquetFile(write_extract(EVERY_MONTH, tmp_path / "whole") / "part.parquet").read()
    pq.write_to_dataset(table, str(tmp_path / "ADMIDATE"), partition_cols=["ADMIDATE", "CLASSPAT"])
    monkeypatch.chdir(tmp_path)
    together = typed("ADMIDATE", tmp_path / "private")
    assert len(find_extract("ADMIDATE", {}).parts) == 1 and len(find_extract("ADMIDATE", {}).files) == 60
    pd.testing.assert_frame_equal(together, typed("whole", tmp_path / "private"))


@pytest.mark.parametrize(
    ("place", "found"), [("ADMIMETH=21/ADMIMETH=22", "twice"), ("ADMIMETHOD=21", "no column ADMIMETH"), ("ADMIDATE=2015-02-30", "2015-02-30")]
)  # fmt: skip
def test_a_key_that_does_not_serve(place: str, found: str, tmp_path: Path, protocol: Protocol) -> None:
    without(tmp_path / "in" / place, "parquet", EVERY_MONTH, "ADMIDATE" if "DATE" in place else "ADMIMETH")
    problem = refusal(tmp_path / "in", tmp_path / "private", protocol)
    assert isinstance(problem, DataError) and found in problem.found and place.partition("=")[0] in str(problem.file)


# --- hidden and temporary files, and logs of tables -------------------------------------------------------------------------------------------

WITH_ROWS = [
    "_temporary/0/_temporary/attempt_1/part-0.parquet", "2016/_temporary/0/task/part-0.parquet", ".hidden/b.parquet", ".b.parquet", "_b.parquet",
    ".part-0.parquet.inprogress", "b.parquet.tmp", "b.parquet~", ".Trash/2016/b", "2015.bak/b.parquet", "__MACOSX/b.parquet", "_temporary/0/b.csv",
    ".~b.csv.gz", "~$b.csv", "_changes/b.txt",
]  # fmt: skip
WITHOUT_ROWS = [
    "_SUCCESS", "_started_1", "_committed_1", ".a.parquet.crc", "._a.parquet", ".~lock.a.csv#", "_metadata", "_common_metadata", ".DS_Store",
    "_temporary/0/empty", ".git/config", ".truth.json", "a.parquet.lock", ".broken.gz",
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", WITH_ROWS)
@pytest.mark.fault(
    "rows in _temporary, in hidden files or in half-written ones of Spark", "they are not counted, and named"
)
def test_what_is_hidden_is_not_counted_but_named(name: str, tmp_path: Path) -> None:
    folder = write_extract(HALVES[0], tmp_path / "in", "a.parquet")
    (folder / "2016").mkdir()
    again = [folder / "a.parquet", write_extract(HALVES[1], folder / "2016") / "part.parquet"]
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    text = any(kind in name for kind in (".csv", ".txt"))
    content = (
        as_csv(FOREIGN).encode() if text else (write_extract(FOREIGN, tmp_path / "x") / "part.parquet").read_bytes()
    )
    (folder / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    check(folder, tmp_path / "private", again)
    said = remarks(find_extract(str(folder), {}))
    hidden = next(part for part in Path(name).parts if part != "2016")
    assert len(said) == 1 and "hidden or temporary" in said[0] and said[0].endswith(hidden)


@pytest.mark.cases(quick=0, push=11)
@pytest.mark.parametrize("name", WITHOUT_ROWS)
def test_what_is_hidden_without_rows_is_not_named(name: str, tmp_path: Path) -> None:
    folder = write_extract(HALVES[0], tmp_path / "in", "a.parquet")
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    content = {
        "": b"",
        ".crc": b"crc\x00\x00",
        ".gz": b"\x1f\x8b broken",
        ".json": b'{"rows": 7}',
        ".csv#": b",me,here,01.01.2016 10:00,file:///x;",
    }
    (folder / name).write_bytes(content.get(Path(name).suffix, b""))
    if "metadata" in name:
        pq.write_metadata(pq.read_schema(folder / "a.parquet"), folder / name)
    check(folder, tmp_path / "private", [folder / "a.parquet"])
    assert not remarks(find_extract(str(folder), {}))


@pytest.mark.parametrize("content", [b"PAR1", b"PAR1 half of a file of Spark that was stopped", b""])
@pytest.mark.parametrize("name", ["part-1.snappy.parquet", "part-1.parquet.inprogress"])
def test_a_file_that_is_half_written(name: str, content: bytes, tmp_path: Path) -> None:
    folder = write_extract(HALVES[0], tmp_path / "in", "a.parquet")
    (folder / name).write_bytes(content)
    assert str(folder / name) in str(refusal(folder, tmp_path / "private"))


@pytest.mark.parametrize("log", ["_delta_log", ".hoodie", "_spark_metadata"])
@pytest.mark.parametrize("where", ["in", "in/2015", "."])
@pytest.mark.fault(
    "a table with a log, of which a folder or a partition is the extract",
    "the run stops: files stay whose rows were withdrawn",
)
def test_a_table_with_a_log_is_refused(log: str, where: str, tmp_path: Path) -> None:
    write_extract(EVERY_MONTH, tmp_path / "in/2015")
    (tmp_path / where / log).mkdir()
    problem = refusal(tmp_path / "in", tmp_path / "private")
    assert isinstance(problem, DataError) and log in problem.found and Path(problem.file) == (tmp_path / where)


# --- the other engine -------------------------------------------------------------------------------------------------------------------------


@pytest.mark.spark
def test_spark_reads_every_row(tmp_path: Path) -> None:
    """The same folders; what is refused before an engine reads them is not tried again."""
    private = tmp_path / "private"
    for at, texts in enumerate(TEXTS.values()):
        check(tmp_path / f"text {at}", private, write_texts(tmp_path / f"text {at}", texts), "spark")
    for name in ("h[ab]", "h*", "{ha,hb}", "h\\a", "h%61", "new\nline", "h\\[a]", "ADMIMETH=11"):
        file = among_neighbours(tmp_path / f"name {name!r}", name, "parquet")
        for place in (file, tmp_path / f"name {name!r}" / name):
            check(place, private, [file], "spark")
    for kind in ("csv", "parquet"):
        by_folder(tmp_path / kind, kind)
        check_by_folder(tmp_path / kind, private, "spark")


@pytest.mark.spark
@pytest.mark.parametrize(("name", "content"), [("a.csv", gzip.compress(PLAIN.encode())), ("a.csv.gz", PLAIN.encode())])
def test_spark_knows_packed_files_by_their_names(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    problem = refusal(tmp_path, tmp_path.parent / "private", engine="spark")
    assert isinstance(problem, DataError) and Path(problem.file).name == name
    assert len(typed(tmp_path, tmp_path.parent / "private")) == 30


@pytest.mark.spark
def test_spark_leaves_no_file_out_without_a_word(tmp_path: Path, protocol: Protocol) -> None:
    """Spark takes a file whose name begins with _ for one that is hidden, though it is the extract."""
    folder = write_extract(EVERY_MONTH, tmp_path / "in", "_part.csv")
    source, engine = find_extract(str(folder / "_part.csv"), {}), open_engine("spark", tmp_path / "private")
    with pytest.raises(EvaluationError) as caught:
        checked_counts(
            engine, read_episodes(engine.read(source), source), source, "here", Records(), protocol.months, UNITS, {}
        )
    assert "_part.csv" in str(caught.value) and "60 rows" in str(caught.value)


@pytest.mark.slow
def test_the_rows_of_a_large_file_are_those_of_its_footer(tmp_path: Path) -> None:
    """Row groups, of which one is empty."""
    table = pq.ParquetFile(write_extract(EVERY_MONTH, tmp_path / "in") / "part.parquet").read()
    with pq.ParquetWriter(tmp_path / "in/groups.parquet", table.schema) as writer:
        for part in (table, table.slice(0, 0), table.slice(7)):
            writer.write_table(part)
    assert pa.compute.count(table["EPIKEY"]).as_py() == 60
    check(tmp_path / "in", tmp_path / "private", sorted((tmp_path / "in").iterdir()))
