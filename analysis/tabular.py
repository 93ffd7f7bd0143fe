"""Reading this project's own small CSV tables, with errors that name the place."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from analysis.errors import DataError
from analysis.rows import read_rows


def read_table(path: Path, columns: list[str]) -> pd.DataFrame:
    """Read a UTF-8 CSV as text, empty cells as empty strings; it must have ``columns`` (others are kept).

    Raises
    ------
    DataError
        The file is not there or is not such a table.
    MachineError
        It cannot be read.
    """
    header, lines = read_rows(path, f"a table with the columns {', '.join(columns)}")
    # Row n of the file has the index n - 2, so that a message about a row can name its line.
    table = pd.DataFrame(list(lines.values()), columns=header, index=[line - 2 for line in lines], dtype=str)
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
