"""Exceptions of the engines as errors that name the file, the line and what to do."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
from ibis.common.exceptions import IbisError

from analysis.core.errors import DataError, EvaluationError, MachineError
from analysis.records.cells import line
from analysis.records.delimited import PLAIN, line_with_another_end, rows_of
from analysis.records.engines import for_one_file, numbered_on_duckdb, part_on_duckdb
from analysis.records.extract import Extract, Part
from analysis.records.private import note_problem
from analysis.records.typed import BLANKS, as_read, unreadable

LIBRARIES = ("duckdb", "_duckdb", "pyarrow", "ibis", "pyspark", "py4j", "sqlite3")
NO_MEMORY = ("out of memory", "outofmemory", "java heap space", "could not allocate", "failed to offload")
NO_ROOM = ("no space left", "disk quota", "could not write", "file too large", "disk is full")


@contextmanager
def engine_errors(extract: Extract, place: str, private: Path | None = None) -> Iterator[None]:
    """Whatever an engine raises within, wherever the query runs, comes out as an error of this package.

    What an engine says of it may be a row: it is written to ``private``, where that is given, and never shown.

    Raises
    ------
    DataError
        A file cannot be read; the message has the line where the engine knows it.
    MachineError
        Memory or room on the disk is exhausted, or the engine fails for another reason.
    """
    try:
        yield
    except EvaluationError:
        raise
    except Exception as problem:
        if not (_of_an_engine(problem, bool(extract.table)) or isinstance(problem, (MemoryError, OSError))):
            raise
        raise _translated(problem, extract, place, private) from problem


def place_of(extract: Extract) -> Path | str:
    """The one file of an extract, the folder of all, or its table."""
    return Path(os.path.commonpath(extract.files)) if extract.files else f"table {extract.table}"


def refused_cell(extract: Extract, column: str, text: str) -> tuple[Path | str, int | None, str]:
    """The first file in which a column holds what cannot be read, the row there, and the cell; ``text`` is such a cell of the whole extract."""
    connection = for_one_file()
    for single in extract.by_file():
        part = single.parts[0]
        example = unreadable([part_on_duckdb(connection, part, "one")], single).get(column)
        if example is not None:
            return part.files[0], _row_of(connection, part, column, example[0], extract.missing), example[0]
    return place_of(extract), None, text


def _row_of(connection: Any, part: Part, column: str, text: str, markers: Collection[str]) -> int | None:
    """The row as a spreadsheet shows it: of delimited text the line, of Parquet the row after that of the names; none where a folder's
    name has the value for all rows."""
    if column in part.in_folders:
        return None
    if part.layout:
        cells = ((at, row.get(part.names[column], "")) for at, row in rows_of(part.files[0], part.layout))
        return next((at for at, cell in cells if cell.strip(BLANKS) == text), None)
    rows = connection.table(numbered_on_duckdb(connection, part, column))
    row = rows.number.min(where=as_read(rows.value, markers) == text).to_pyarrow().as_py()
    return None if row is None else row + 2


def _of_an_engine(problem: Exception, database: bool) -> bool:
    if isinstance(problem, (duckdb.Error, pa.ArrowException, IbisError)):
        return True
    library = type(problem).__module__.partition(".")[0]
    return library in LIBRARIES or (database and library not in ("builtins", "analysis"))


def _translated(problem: Exception, extract: Extract, place: str, private: Path | None) -> EvaluationError:
    text = str(problem)
    if isinstance(problem, MemoryError) or any(words in text.lower() for words in NO_MEMORY):
        return MachineError(f"{place}: memory is exhausted. Earlier outputs are untouched. Use a machine with more.")
    no_room = isinstance(problem, OSError) and problem.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    if no_room or any(words in text.lower() for words in NO_ROOM):
        return MachineError(
            f"{place}: no room left on the disk for the work. Earlier outputs are untouched. Free some space and run again."
        )
    error = _of_a_file(problem, extract)
    if error:
        return error
    where = (
        note_problem(problem, private) if private else "Its message is not shown, since it may hold rows of patients"
    )
    return MachineError(
        f"{place}: the engine fails ({type(problem).__name__}). {where}. Earlier outputs are untouched."
    )


def _of_a_file(problem: Exception, extract: Extract) -> DataError | None:
    """The error of the file at fault: the one that the engine names, or else the first that cannot be read by itself."""
    named = _named_file(str(problem), extract)
    if named:
        return _about(named, str(problem), extract)
    for single in extract.by_file():
        try:
            _read_through(single)
        except (
            duckdb.ParserException,
            duckdb.BinderException,
            duckdb.CatalogException,
        ):  # of our own SQL, whatever the file
            return None
        except (duckdb.Error, pa.ArrowException) as its:
            return _about(single.files[0], str(its), extract)
    return None


def _named_file(text: str, extract: Extract) -> Path | None:
    if any(words in text for words in ("CSV Error", "Failed to read file", "GZIP", "CSV Parser")):
        paths = sorted(extract.files, key=lambda file: -len(str(file)))
        return next((file for file in paths if str(file) in text), None)
    return None


def _read_through(single: Extract) -> None:
    table = part_on_duckdb(for_one_file(), single.parts[0], "one")
    table.aggregate(**{column: table[column].cast("string").max() for column in table.columns}).to_pyarrow()


def _about(file: Path, text: str, extract: Extract) -> DataError:
    numbered = re.search(r"CSV Error on Line: (\d+)", text)
    cells = re.search(r"Expected Number of Columns: (\d+) Found: (\d+)", text)
    whole = "Copy or export the file anew."
    row = int(numbered[1]) if numbered else None
    if cells:
        many, few = int(cells[2]), int(cells[1])
        original = re.search(r"Original Line: ?(.*?)\nExpected Number", text, re.DOTALL)
        words = f", {line(original[1].strip())}" if original and many == 1 and original[1].strip() else ""
        return DataError(
            file, f"{many} cells{words}", f"{few} cells in every row, as in the header",
            "Correct the row; remove lines that are no rows.", row=row,
        )  # fmt: skip
    if "unterminated quote" in text:
        return DataError(
            file, "a quoted cell that does not end, or goes on after its quote", "quotes doubled inside a quoted cell", whole, row=row
        )  # fmt: skip
    if "Invalid unicode" in text:
        return DataError(file, "bytes that are not UTF-8", "CSV in UTF-8", "Save the file as UTF-8.", row=row)
    if "Maximum line size" in text:
        return DataError(file, "a line of over two million characters", "a row on each line", whole, row=row)
    if "CSV Parser state machine" in text:
        packed = any(file in part.files and part.layout and part.layout.compression != PLAIN for part in extract.parts)
        return DataError(
            file, "ends of lines of two kinds", "the same end for every line", "Write the file with one kind of line end.",
            row=None if packed else line_with_another_end(file),
        )  # fmt: skip
    return DataError(file, "content that cannot be read", "a whole file", whole, row=row)
