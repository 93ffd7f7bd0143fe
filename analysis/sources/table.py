"""What published tables have in common: a row of totals, one row per area, columns of counts.

The checks here give the cell at fault in the terms of the spreadsheet; ``columns`` maps a column's header to its index.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pandera.pandas as pa
from pandera.errors import SchemaErrors

from analysis.core.csv_rows import read_rows
from analysis.core.errors import DataError
from analysis.core.untrusted import printable
from analysis.sources.workbook import Sheet, clean

FETCH_AGAIN = "fetch the file again; if it is published so, ask the publisher and leave the file out"
# Published totals equal the sums to the last digit; the margin is for floating point only.
SUM_TOLERANCE = 0.01


def counts(
    sheet: Sheet,
    rows: Sequence[int],
    columns: Mapping[str, int],
    of: str,
    largest: float = np.inf,
    dash_is_zero: bool = False,
) -> np.ndarray:
    """Counts, float, shape (rows, columns).

    ``of`` says in words what is counted. ``dash_is_zero``: the publisher prints "-" for none.

    Raises
    ------
    DataError
        A cell is empty or text, negative, or above ``largest``.
    """
    cells = list(columns.values())
    table = [[sheet.rows[row][cell] for cell in cells] for row in rows]
    for row, line in zip(rows, table, strict=True):
        # One set of types per row, and a look at each cell only where it has something else than numbers.
        if {*map(type, line)} <= {float, int}:
            continue
        for position, value in enumerate(line):
            if dash_is_zero and value == "-":
                line[position] = 0.0
            elif type(value) not in (float, int):
                found = "an empty cell, or an error such as #REF!" if value == "" else f"{value!r}, which is not a number"
                raise _bad_count(sheet, row, columns, position, found, of)
    values = np.array(table, dtype=float).reshape(len(rows), len(cells))
    for wrong, what in ((~(values >= 0), "below zero"), (values > largest, f"above {largest:,.0f}")):
        if wrong.any():
            line_at, position = (int(index) for index in np.argwhere(wrong)[0])
            found = f"{values[line_at, position]:,.12g}, {what}"
            raise _bad_count(sheet, rows[line_at], columns, position, found, of)
    return values


def check_whole(
    sheet: Sheet,
    rows: Sequence[int],
    values: np.ndarray,
    columns: Mapping[str, int],
    of: str,
    known: Collection[tuple[int, str]] = (),
) -> None:
    """Check that the counts of ``counts`` are whole numbers, but for the ``known`` cells, each by its row and header.

    Raises
    ------
    DataError
        One has a fraction.
    """
    headers = list(columns)
    for at, position in np.argwhere(values % 1 != 0):
        if (rows[at], headers[position]) not in known:
            found = f"{values[at, position]:,.12g}, which is no whole number"
            raise _bad_count(sheet, rows[at], columns, int(position), found, of, "a whole number")


def check_sums(sheet: Sheet, total_row: int, totals: np.ndarray, parts: np.ndarray, columns: Mapping[str, int]) -> None:
    """Check that each published total, shape (columns,), is the sum of its parts, shape (rows, columns).

    Raises
    ------
    DataError
        One is not; the message gives both and the difference.
    """
    sums = parts.sum(axis=0)
    apart = np.abs(totals - sums) > SUM_TOLERANCE
    if apart.any():
        at = int(apart.argmax())
        raise sheet.error(
            found=f"England {totals[at]:,.12g}, the sum of the rows {sums[at]:,.12g} "
            f"(difference {sums[at] - totals[at]:+,.12g})",
            expected="England's row to equal the sum of the rows below it, as it does in every published file",
            action="a count or a row was changed or lost: fetch the file again",
            row=total_row,
            column=list(columns)[at],
        )


def check_once(sheet: Sheet, rows: Sequence[int], column: int, what: str) -> None:
    """Check that the codes in ``column`` are all different; ``what`` they are codes of.

    Raises
    ------
    DataError
        One comes twice; the message names both rows.
    """
    first: dict[str, int] = {}
    for row in rows:
        code = clean(str(sheet.rows[row][column]))
        if code in first:
            raise sheet.error(
                found=f"{what} {code} again, already in row {first[code] + 1}",
                expected=f"one row per {what}",
                action="find out which row is right; fetch the file again",
                row=row,
                column=column,
            )
        first[code] = row


def text(sheet: Sheet, rows: Sequence[int], column: int) -> list[str]:
    """The cells of one column as text, white space normalised."""
    return [clean(str(sheet.rows[row][column])) for row in rows]


def read_csv(path: Path, columns: Mapping[str, str]) -> pd.DataFrame:
    """Read some columns of a CSV file as text, renamed: ``columns`` maps each header to its name here.

    Raises
    ------
    DataError
        The file is missing, not a CSV in UTF-8, or lacks a column.
    """
    header, lines = read_rows(path, "a CSV file in UTF-8", FETCH_AGAIN)
    table = pd.DataFrame(list(lines.values()), columns=[clean(name) for name in header], dtype=str)
    missing = [header for header in columns if header not in table.columns]
    if missing:
        raise DataError(
            path,
            f"no such column; the columns are {', '.join(map(repr, table.columns))}",
            f"columns headed {', '.join(map(repr, missing))}",
            FETCH_AGAIN,
            row=1,
            column=missing[0],
        )
    return table[list(columns)].rename(columns=dict(columns)).apply(_trimmed)


def _trimmed(column: pd.Series) -> pd.Series:
    return column.map({text: printable(text.strip()) for text in column.unique()})


def validated(
    table: pd.DataFrame, schema: pa.DataFrameSchema, file: str | Path, sheet: str | None = None
) -> pd.DataFrame:
    """Return ``table`` if it fits ``schema``.

    Raises
    ------
    DataError
        It does not; the message gives the first failure.
    """
    try:
        return schema.validate(table, lazy=True)
    except SchemaErrors as error:
        failure = error.failure_cases.iloc[0]
        raise DataError(
            file,
            found=f"{failure['failure_case']!r} in record {failure['index']} (1 of {len(error.failure_cases)})",
            expected=f"{failure['check']}",
            action=FETCH_AGAIN,
            sheet=sheet,
            column=str(failure["column"]),
        ) from error


def _bad_count(
    sheet: Sheet, row: int, columns: Mapping[str, int], position: int, found: str, of: str, wanted: str = "a number"
) -> DataError:
    header, index = list(columns.items())[position]
    return sheet.error(
        found=f"{found} (column {sheet.letter(index)})",
        expected=f"{wanted} of {of}, zero or more",
        action=FETCH_AGAIN,
        row=row,
        column=header,
    )
