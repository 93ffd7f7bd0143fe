"""The rows of a CSV file, as text, without any library: the manifest is read before anything else is loaded."""

from __future__ import annotations

import csv
from pathlib import Path

from analysis.core.errors import DataError, MachineError

CORRECT = "Correct or restore the file."


def read_rows(
    path: Path, expected: str = "a UTF-8 CSV table", action: str = CORRECT
) -> tuple[list[str], dict[int, list[str]]]:
    """The header, and each row's cells by the number of the line that it ends in. Empty lines are passed over.

    ``expected`` and ``action`` are for the message of a file that is no such table at all.

    Raises
    ------
    DataError
        There is no such file, or it is empty; it is not UTF-8 or not a CSV; a column comes twice, or a row has another number of
        cells than the header.
    MachineError
        The file cannot be read.
    """
    try:
        with open(path, encoding="utf-8-sig", newline="") as handle:
            reader = csv.reader(handle, strict=True)
            lines: dict[int, list[str]] = {}
            for cells in reader:
                if cells:
                    lines[reader.line_num] = cells
    except FileNotFoundError as problem:
        raise DataError(path, "no such file", expected, action) from problem
    except UnicodeDecodeError as problem:
        raise DataError(path, f"bytes that are no UTF-8 text ({problem.reason})", expected, action) from problem
    except csv.Error as problem:
        raise DataError(path, str(problem), expected, action, row=reader.line_num) from problem
    except OSError as problem:
        raise MachineError(f"{path}: cannot be read ({problem.strerror}). Check the file's permissions.") from problem
    if not lines:
        raise DataError(path, "an empty file", expected, action)
    first = min(lines)
    header = lines.pop(first)
    twice = [name for at, name in enumerate(header) if name in header[:at]]
    if twice:
        raise DataError(path, f"column {twice[0]!r} twice", "each column once", action, row=first, column=twice[0])
    for line, cells in lines.items():
        if len(cells) != len(header):
            raise DataError(path, f"{len(cells)} cells", f"{len(header)} cells, as in the header", action, row=line)
    return header, lines
