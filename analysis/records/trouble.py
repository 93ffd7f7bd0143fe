"""Exceptions of the engines as errors that name the file, the line and what to do."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import ibis
import pyarrow as pa
from ibis.common.exceptions import IbisError

from analysis.errors import DataError, EvaluationError, MachineError
from analysis.records.delimited import PLAIN, line_with_another_end, rows_of
from analysis.records.engines import MEMORY, in_utc, part_on_duckdb
from analysis.records.extract import Extract
from analysis.records.typed import unreadable

LIBRARIES = ("duckdb", "_duckdb", "pyarrow", "ibis", "pyspark", "py4j", "sqlite3")
NO_MEMORY = ("out of memory", "outofmemory", "java heap space", "could not allocate", "failed to offload")
NO_ROOM = ("no space left", "disk quota", "could not write", "file too large", "disk is full")


@contextmanager
def engine_errors(extract: Extract, place: str) -> Iterator[None]:
    """Whatever an engine raises within, wherever the query runs, comes out as an error of this package.

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
        raise _translated(problem, extract, place) from problem


def place_of(extract: Extract, column: str = "", text: str = "") -> tuple[Path | str, int | None]:
    """The first file in which a column holds what cannot be read, with the line of ``text`` in delimited text; without a column, the one
    file or the folder of all."""
    if not extract.files:
        return f"table {extract.table}", None
    if not column:
        whole = Path(os.path.commonpath(extract.files))
        return whole, None
    connection = _on_duckdb()
    for single in extract.by_file():
        part = single.parts[0]
        example = unreadable([part_on_duckdb(connection, part, "one")], single).get(column)
        if example is None:
            continue
        rows = rows_of(part.files[0], part.layout) if part.layout else ()
        lines = (line for line, row in rows if row.get(part.names[column], "").strip() == example[0].strip())
        return part.files[0], next(lines, None)
    return place_of(extract)


def _of_an_engine(problem: Exception, database: bool) -> bool:
    if isinstance(problem, (duckdb.Error, pa.ArrowException, IbisError)):
        return True
    library = type(problem).__module__.partition(".")[0]
    return library in LIBRARIES or (database and library not in ("builtins", "analysis"))


def _translated(problem: Exception, extract: Extract, place: str) -> EvaluationError:
    text = str(problem)
    if isinstance(problem, MemoryError) or any(words in text.lower() for words in NO_MEMORY):
        return MachineError(f"{place}: memory is exhausted. Earlier outputs are untouched. Use a machine with more.")
    no_room = isinstance(problem, OSError) and problem.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    if no_room or any(words in text.lower() for words in NO_ROOM):
        return MachineError(
            f"{place}: no room left on the disk for the work. Earlier outputs are untouched. Free some space and run again."
        )
    return _of_a_file(problem, extract) or MachineError(f"{place}: the engine fails: {_first_line(text)}")


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


def _on_duckdb() -> Any:
    return in_utc(ibis.duckdb.connect(memory_limit=MEMORY, preserve_insertion_order=False))


def _read_through(single: Extract) -> None:
    table = part_on_duckdb(_on_duckdb(), single.parts[0], "one")
    table.aggregate(**{column: table[column].cast("string").max() for column in table.columns}).to_pyarrow()


def _about(file: Path, text: str, extract: Extract) -> DataError:
    line = re.search(r"CSV Error on Line: (\d+)", text)
    cells = re.search(r"Expected Number of Columns: (\d+) Found: (\d+)", text)
    whole = "Copy or export the file anew."
    row = int(line[1]) if line else None
    if cells:
        many, few = int(cells[2]), int(cells[1])
        original = re.search(r"Original Line: ?(.*?)\nExpected Number", text, re.DOTALL)
        # A row is of a patient, and is not shown; a single cell is most often a remark of the program that wrote the file.
        words = original[1].strip()[:80] if original and many == 1 else ""
        return DataError(
            file, f"{many} cells" + (f", {words!r}" if words else ""), f"{few} cells in every row, as in the header",
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
    return DataError(file, f"content that cannot be read ({_first_line(text)})", "a whole file", whole, row=row)


def _first_line(text: str) -> str:
    """What an engine gives as the reason: its first line, or of Java the last cause."""
    lines = text.strip().splitlines() or ["no reason is given"]
    causes = [line.partition(": ")[2] for line in lines if line.startswith("Caused by: ")]
    return causes[-1] if causes else lines[0]
