"""ONS mid-year population estimates of clinical commissioning groups (CCGs): mid-2015 by age, mid-2018 in all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pandera.pandas as pa

from analysis.core.errors import DataError
from analysis.sources.table import FETCH_AGAIN, check_once, check_sums, check_whole, counts, read_csv, text, validated
from analysis.sources.workbook import Cell, open_workbook

SHEET = "Mid-2015 Persons"
AGES = range(91)  # the last is "90 and over"
ENGLAND, CCG = "E92000001", "E38"  # ONS code of England; beginning of the code of a CCG

MID2015 = pa.DataFrameSchema(
    {
        "gss_code": pa.Column(str, pa.Check.str_matches(r"^E38\d{6}$")),
        "name": pa.Column(str),
        "age": pa.Column("int64", pa.Check.isin(AGES)),
        "persons": pa.Column("int64", pa.Check.ge(0)),
    },
    unique=["gss_code", "age"],
    strict=True,
    ordered=True,
)
MID2018 = pa.DataFrameSchema(
    {
        "gss_code": pa.Column(str, pa.Check.str_matches(r"^E38\d{6}$"), unique=True),
        "name": pa.Column(str),
        "persons": pa.Column("int64", pa.Check.gt(0)),
    },
    strict=True,
    ordered=True,
)


def read_mid2015(path: Path) -> pd.DataFrame:
    """Persons on 30 June 2015 by CCG (209, boundaries of April 2015) and year of age.

    Columns: gss_code, name, age (int64, 0 to 90, the last being 90 and over), persons (int64).

    Raises
    ------
    DataError
        Not a readable workbook; the sheet, header or a column missing; a count that is not a whole number; a CCG
        twice; the CCGs' sum is not England's total at some age, or a CCG's ages not its total.
    """
    sheet = open_workbook(path).sheet(SHEET)
    header = sheet.find_row("Area Codes", "the header row, with a cell 'Area Codes' above the areas' codes")
    codes, all_ages = sheet.columns(header, ["Area Codes", "All Ages"]).values()
    ages = [_age(cell) for cell in sheet.rows[header][all_ages + 1 :]]
    if ages != [str(age) for age in AGES]:
        raise sheet.error(
            f"ages {', '.join(ages)}", "ages 0 to 90, one a column", FETCH_AGAIN, row=header, column="All Ages"
        )
    columns = {"All Ages": all_ages} | {age: all_ages + 1 + position for position, age in enumerate(ages)}
    by_code = [(str(row[codes]), index) for index, row in enumerate(sheet.rows)]
    england = [index for code, index in by_code if code == ENGLAND]
    rows = [index for code, index in by_code if code.startswith(CCG)]
    if len(england) != 1 or not rows:
        raise sheet.error(
            f"{len(england)} rows of England and {len(rows)} of CCGs",
            f"one row {ENGLAND}, and rows {CCG}…",
            FETCH_AGAIN,
            column="Area Codes",
        )
    check_once(sheet, rows, codes, "CCG")
    totals = counts(sheet, england, columns, "persons")[0]
    persons = counts(sheet, rows, columns, "persons")
    check_whole(sheet, rows, persons, columns, "persons")
    check_sums(sheet, england[0], totals, persons, columns)
    apart = persons[:, 1:].sum(axis=1) != persons[:, 0]
    if apart.any():
        raise sheet.error(
            f"{persons[apart][0, 0]:,.0f} persons in all, {persons[apart][0, 1:].sum():,.0f} over the ages",
            "all ages to be the sum of the ages",
            FETCH_AGAIN,
            row=rows[int(apart.argmax())],
            column="All Ages",
        )
    table = pd.DataFrame(
        {
            "gss_code": pd.Series(text(sheet, rows, codes), dtype="str").repeat(len(AGES)),
            "name": pd.Series(text(sheet, rows, all_ages - 1), dtype="str").repeat(len(AGES)),
            "age": np.tile(np.array(AGES, dtype="int64"), len(rows)),
            "persons": persons[:, 1:].astype("int64").ravel(),
        }
    )
    return validated(table.reset_index(drop=True), MID2015, path, SHEET)


def read_mid2018(path: Path) -> pd.DataFrame:
    """Persons on 30 June 2018 by CCG (191, boundaries of April 2019): gss_code, name, persons (int64).

    The file has health boards of Wales and Scotland too, left out here, and no total of England.

    Raises
    ------
    DataError
        Not a CSV, a column missing, a number that cannot be read, or a CCG twice.
    """
    table = read_csv(path, {"Area Codes": "gss_code", "Area Names": "name", "All Ages": "persons"})
    table = table[table["gss_code"].str.startswith(CCG)]
    numbers = table["persons"].str.replace(",", "")
    wrong = ~numbers.str.fullmatch(r"\d+")
    if wrong.any():
        at = int(wrong.argmax())
        raise DataError(
            path,
            found=repr(table["persons"].iloc[at]),
            expected="a whole number of persons, such as 196,525",
            action=FETCH_AGAIN,
            row=int(table.index[at]) + 2,
            column="All Ages",
        )
    return validated(table.assign(persons=numbers.astype("int64")).reset_index(drop=True), MID2018, path)


def _age(cell: Cell) -> str:
    return str(int(cell)) if isinstance(cell, float) else str(cell).rstrip("+")
