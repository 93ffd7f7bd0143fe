"""How a delimited text file is laid out: its delimiter, its columns and whether it is packed, from its first bytes."""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

import numpy as np

from analysis.core.errors import DataError, MachineError
from analysis.records.cells import form_of

DELIMITERS = (",", "|", "\t", ";")
FEWEST_CELLS = 8  # of a first line that is not a sentence
HEAD = 1 << 16
BLOCK = 1 << 22  # bytes, more than a line that DuckDB reads may have
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
        raise _without_rows(file)
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


def count_rows(file: Path, layout: Layout) -> int:
    """Rows below the header, blank lines aside, counted without an engine.

    An engine may drop rows after a quoted cell that never ends, and a quote that is not meant to begin a cell takes in the rows up to the next one.
    The file is read cell by cell only where a line ends within quotes or without a line feed, so that most are counted quickly.

    Raises
    ------
    DataError
        A quoted cell never ends or takes in whole rows, or a gzip file is damaged.
    """
    with _opened(file, layout.compression) as handle:
        lines = _count_lines(handle)
    rows = (_count_by_cells(file, layout) if lines is None else lines) - 1
    if rows < 1:
        raise _without_rows(file)
    return rows


def _count_lines(handle: IO[bytes]) -> int | None:
    """Lines that are not blank; None where one ends within quotes, or without a line feed."""
    lines = 0
    rest = b""
    while block := handle.read(BLOCK):
        cut = block.rfind(b"\n") + 1
        counted = _count_whole_lines(rest + block[:cut]) if cut else None
        if counted is None:
            return None
        lines, rest = lines + counted, block[cut:]
    counted = _count_whole_lines(rest + b"\n")
    return None if counted is None else lines + counted


def _count_whole_lines(text: bytes) -> int | None:
    """The same of text that begins and ends with a line."""
    data = np.frombuffer(text, np.uint8)
    ends = np.flatnonzero(data == ord("\n"))
    after_return = data[ends - 1] == ord("\r")
    if np.count_nonzero(data == ord("\r")) != np.count_nonzero(after_return):
        return None
    if b'"' in text:
        quotes = (data == ord('"')).view(np.uint8)
        if (np.add.reduceat(quotes, np.append(0, ends[:-1] + 1), dtype=np.uint8) % 2).any():
            return None
    return int(np.count_nonzero(np.diff(ends, prepend=-1) - 1 > after_return))


def _count_by_cells(file: Path, layout: Layout) -> int:
    lines = before = 0
    with (
        _opened(file, layout.compression) as handle,
        io.TextIOWrapper(handle, "utf-8-sig", errors="replace", newline="") as text,
    ):
        reader = csv.reader(text, delimiter=layout.delimiter, strict=True)
        try:
            for cells in reader:
                lines += bool(cells)
                several = reader.line_num > before + 1
                if several and any(_takes_in_a_row(cell, layout) for cell in cells):
                    raise _quote(file, "a quoted cell that takes in the rows after it", before + 1)
                before = reader.line_num
        except csv.Error as problem:
            goes_on = "expected after" in str(problem)  # else the file or all room for a cell comes to its end
            found = "a quoted cell that goes on after its quote" if goes_on else "a quoted cell that does not end"
            raise _quote(file, found, before + 1) from problem
    return lines


def _takes_in_a_row(cell: str, layout: Layout) -> bool:
    return ("\n" in cell or "\r" in cell) and cell.count(layout.delimiter) >= len(layout.columns) - 1


def _quote(file: Path, found: str, row: int) -> DataError:
    return DataError(
        file,
        found,
        "a quote at both ends of a cell, or at neither",
        "Correct the row, or write the file anew.",
        row=row,
    )


def _without_rows(file: Path) -> DataError:
    return DataError(file, "no rows", "a header and rows", "Complete the extract, or remove the file.")


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
    with _opened(file, PLAIN) as handle:
        compression = GZIP if handle.read(2) == GZIP_MAGIC else PLAIN
    with _opened(file, compression) as handle:
        return handle.read(HEAD), compression


@contextmanager
def _opened(file: Path, compression: str) -> Iterator[IO[bytes]]:
    try:
        with gzip.open(file, "rb") if compression == GZIP else open(file, "rb") as handle:
            yield cast(IO[bytes], handle)
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
