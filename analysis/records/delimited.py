"""How a delimited text file is laid out: its delimiter, its columns and whether it is packed, from its first bytes."""

from __future__ import annotations

import csv
import gzip
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from analysis.errors import DataError, MachineError
from analysis.records.cells import form_of

DELIMITERS = (",", "|", "\t", ";")
FEWEST_CELLS = 8  # of a first line that is not a sentence
HEAD = 1 << 16
BLOCK = 1 << 24
GZIP_MAGIC = b"\x1f\x8b"
PLAIN, GZIP = "none", "gzip"


@dataclass(frozen=True)
class Layout:
    """``columns`` in order, each name once; ``compression`` as DuckDB names it. Quotes are double ones, doubled inside a cell."""

    columns: tuple[str, ...]
    delimiter: str
    compression: str


def layout_of(file: Path) -> Layout:
    """The layout of a file, which must be in UTF-8.

    Raises
    ------
    DataError
        It has no rows, is of another encoding, has one column, or is cut short.
    MachineError
        It cannot be read.
    """
    head, compression = _head(file)
    if head.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\x00" in head[:200]:
        raise DataError(file, "text in UTF-16, or binary data", "CSV in UTF-8", "Save the file as UTF-8.")
    try:
        text = head.decode("utf-8-sig", errors="strict" if len(head) < HEAD else "ignore")
    except UnicodeDecodeError as problem:
        raise DataError(
            file, "bytes that are not UTF-8", "CSV in UTF-8", "Save the file as UTF-8.",
            row=head[: problem.start].count(b"\n") + 1,
        ) from problem  # fmt: skip
    lines = text.splitlines()
    if len(lines) < 2:
        raise DataError(file, "no rows", "a header and rows", "Complete the extract, or remove the file.")
    delimiter = _delimiter(lines[0])
    names = _cells(lines[0], delimiter)
    if len(names) == 1:
        raise DataError(
            file, f"one column, {form_of(names[0])!r}", "columns delimited by commas, bars, tabs or semicolons", "Write the file anew.", row=1,
        )  # fmt: skip
    if not lines[1].strip("- " + delimiter) and "--" in lines[1]:
        raise DataError(
            file, "a line of dashes below the header", "rows of data", "Remove the line, or export without it.", row=2
        )
    return Layout(_each_once(names), delimiter, compression)


def looks_delimited(file: Path) -> bool:
    """Whether the first line has as many cells as a table, and no sentence, has."""
    line = _head(file)[0].decode("utf-8-sig", errors="replace").partition("\n")[0].replace("\x00", "")
    return len(_cells(line, _delimiter(line))) >= FEWEST_CELLS


def rows_of(file: Path, layout: Layout) -> Iterator[tuple[int, dict[str, str]]]:
    """The rows of a file with the line on which each ends; only to name a line in a message."""
    opened = gzip.open if layout.compression == GZIP else open
    with opened(file, "rt", encoding="utf-8-sig", errors="replace", newline="") as handle:
        reader = csv.reader(handle, delimiter=layout.delimiter)
        next(reader)
        for cells in reader:
            yield reader.line_num, dict(zip(layout.columns, cells, strict=False))


def open_quote(file: Path, layout: Layout) -> int | None:
    """The row of a quoted cell that never ends, which would take in every row after it; None where there is none.

    An engine that reads several files at once may drop such a cell without a word. Only a file with an odd number of quotes can have one, so
    that most are looked through quickly.
    """
    opened = gzip.open if layout.compression == GZIP else open
    try:
        with opened(file, "rb") as handle:
            quotes = sum(block.count(b'"') for block in iter(lambda: handle.read(BLOCK), b""))
    except (EOFError, zlib.error, gzip.BadGzipFile):  # for which the engine itself stops
        return None
    if quotes % 2 == 0:
        return None
    row = 1
    with opened(file, "rt", encoding="utf-8-sig", errors="replace", newline="") as text:
        reader = csv.reader(text, delimiter=layout.delimiter, strict=True)
        try:
            for _ in reader:
                row = reader.line_num + 1
        except csv.Error as problem:  # of another kind, for which the engine itself stops too
            return row if "unexpected end" in str(problem) else None
    return None


def line_with_another_end(file: Path) -> int | None:
    """The first line that does not end as the first one does; None where all do."""
    with open(file, "rb") as handle:
        windows = None
        for number, line in enumerate(handle, 1):
            ends = line.endswith(b"\r\n")
            windows = ends if windows is None else windows
            if ends != windows or b"\r" in line[:-2]:
                return number
    return None


def _head(file: Path) -> tuple[bytes, str]:
    try:
        with open(file, "rb") as handle:
            packed = handle.read(2) == GZIP_MAGIC
        if not packed:
            with open(file, "rb") as handle:
                return handle.read(HEAD), PLAIN
        with gzip.open(file, "rb") as unpacked:
            return unpacked.read(HEAD), GZIP
    except (EOFError, zlib.error, gzip.BadGzipFile) as problem:
        raise DataError(
            file, "a gzip file that is cut short or damaged", "a whole file", "Copy the extract anew."
        ) from problem
    except OSError as problem:
        raise MachineError(
            f"{file}: cannot be read ({problem.strerror}). Check the file and its permissions."
        ) from problem


def _delimiter(line: str) -> str:
    return max(DELIMITERS, key=lambda delimiter: len(_cells(line, delimiter)))


def _cells(line: str, delimiter: str) -> list[str]:
    return [cell.strip() for cell in next(csv.reader([line], delimiter=delimiter), [""])]


def _each_once(names: list[str]) -> tuple[str, ...]:
    """Names that an engine can tell apart: one that is empty, or there before in any case, gets its number."""
    known: set[str] = set()
    columns = []
    for number, name in enumerate(names, 1):
        column = name if name and name.upper() not in known else f"{name}#{number}"
        known.add(column.upper())
        columns.append(column)
    return tuple(columns)
