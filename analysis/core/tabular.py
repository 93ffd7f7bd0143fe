"""Reading this project's own small CSV tables, with errors that name the place."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from analysis.core.csv_rows import read_rows
from analysis.core.errors import DataError
from analysis.core.untrusted import printable


def read_table(path: Path, columns: list[str]) -> pd.DataFrame:
    """Read a UTF-8 CSV as text, empty cells as empty strings; it must have ``columns`` (others are kept).

    Raises
    ------
    DataError
        The file is not there or is not such a table, or a cell holds a line break or another character that cannot be seen.
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
    for name, column in table.items():
        hidden = [text for text in column if text and not text.isprintable() and printable(text) != text]
        if hidden:
            where = column.index[column == hidden[0]][0]
            raise DataError(
                path,
                repr(hidden[0]),
                "text on one line, without control characters, marks of direction or private-use characters",
                "Type the text anew.",
                row=int(where) + 2,
                column=str(name),
            )
    return table
