"""Reading this project's own small CSV tables, with errors that name the place."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from analysis.errors import DataError


def read_table(path: Path, columns: list[str]) -> pd.DataFrame:
    """Read a UTF-8 CSV as text, empty cells as empty strings; it must have ``columns`` (others are kept).

    Raises
    ------
    DataError
        The file is not there, is empty or is not such a table.
    """
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except FileNotFoundError as problem:
        raise DataError(
            path, "no such file", f"a table with the columns {', '.join(columns)}", "Restore the file."
        ) from problem
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as problem:
        raise DataError(path, str(problem).strip(), "a UTF-8 CSV table", "Correct or restore the file.") from problem
    missing = [column for column in columns if column not in table.columns]
    if missing:
        raise DataError(
            path,
            f"columns {', '.join(table.columns)}",
            f"a column {missing[0]!r}",
            "Add or rename the column.",
            row=1,
            column=missing[0],
        )
    return table
