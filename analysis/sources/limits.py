"""How much a workbook may ask of the program that reads it, and the refusal of one that asks for more, or is none.

A parser makes room for every cell between the first and the last, so that a file of one kilobyte can ask for more memory than
any machine has. The limits are many times what the largest published file needs.
"""

from __future__ import annotations

from collections.abc import Iterable

LARGEST = 50_000_000  # bytes of a workbook, packed and unpacked; the largest published has a million unpacked
MOST_CELLS = 1_000_000  # between the first and the last of all sheets together; the largest published has 130,000
FETCH_AGAIN = "fetch the file again from its publisher, or remove it so that the next run does"


class NotAWorkbook(Exception):
    """Says what the file is, what it should be, and what to do."""

    def __init__(self, found: str, to_do: str = FETCH_AGAIN, expected: str = "a whole workbook") -> None:
        super().__init__(found)
        self.found, self.to_do, self.expected = found, to_do, expected


def damaged(how: str) -> NotAWorkbook:
    return NotAWorkbook(f"a damaged workbook ({how})")


def protected() -> NotAWorkbook:
    return NotAWorkbook(
        "a workbook protected by a password",
        f"save a copy without the password, or {FETCH_AGAIN}",
        "an open workbook, as NHS England and ONS publish them",
    )


def check_size(size: int) -> None:
    """Raise NotAWorkbook if a file has, or unpacks to, more bytes than any published one."""
    if size > LARGEST:
        raise NotAWorkbook(f"a file of {size:,} bytes, where a published one has less than {LARGEST:,}")


def check_cells(extents: Iterable[tuple[int, int]]) -> None:
    """Raise NotAWorkbook if the sheets, of so many rows and columns each, have more cells together than any published workbook."""
    sheets = list(extents)
    if sum(rows * columns for rows, columns in sheets) > MOST_CELLS:
        rows, columns = max(sheets, key=lambda sheet: sheet[0] * sheet[1])
        raise NotAWorkbook(
            f"a sheet of {rows:,} rows and {columns:,} columns, more than {MOST_CELLS:,} cells",
            "look for a cell far below or to the right of the table and clear it, or " + FETCH_AGAIN,
        )
