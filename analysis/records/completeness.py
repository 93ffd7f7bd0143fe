"""Stops a run in which an engine reads fewer or more rows than the files hold."""

from __future__ import annotations

from analysis.core.errors import DataError
from analysis.records.engines import Engine
from analysis.records.extract import Extract


def check_rows(engine: Engine, source: Extract, place: str, rows: int) -> None:
    """Compare the ``rows`` that the engine read with those of the files, which footers and lines tell without it; a database has no files.

    Raises
    ------
    DataError
        The numbers differ. The message names the first file whose rows were not all read.
    """
    if not source.files or rows == source.rows:
        return
    file, read, there = place, rows, source.rows
    for single in source.by_file():
        of_one = int(engine.read(single)[0].count().to_pyarrow().as_py())
        if of_one != single.rows:
            file, read, there = str(single.files[0]), of_one, single.rows
            break
    raise DataError(
        file, f"{there:,} rows, of which {engine.name} reads {read:,}", "as many rows read as there are",
        "Write the text anew, quoted alike in every cell, or as Parquet; rename a file whose name begins with _ or a dot. Nothing was written.",
    )  # fmt: skip
