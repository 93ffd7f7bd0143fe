"""NHS England's delayed transfers of care, local authority basis: delayed days, one workbook a month.

Two sheets of the same 154 rows are read: by type of care and by responsible organisation. What varies over the years:
the capitals of the first sheet's name; a column `SHA` (to March 2013), then `Region`; the ONS code's column is absent
to March 2013, then empty and without a header, then `ONS Geography` (from July 2015); from April 2017 a second block of
columns under the same headers gives the days divided by the days of the month ("DTOC Beds"), which is not read.
Where an authority has no delays the parts are printed as "-" and the total as 0.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pandera.pandas as pa

from analysis.sources.table import check_once, check_sums, check_whole, counts, text, validated
from analysis.sources.workbook import Sheet, Workbook, month_in, open_workbook

TYPE_OF_CARE = {
    "Acute": "delayed_days_acute",
    "Non-Acute": "delayed_days_non_acute",
    "Total": "delayed_days_total",
}
RESPONSIBLE = {
    "NHS": "delayed_days_nhs",
    "Social Care": "delayed_days_social_care",
    "Both": "delayed_days_both",
    "Total": "delayed_days_total",
}
# Three digits, or 00KB for an authority created in 2009; 9900, 9901 and 9902 are residents of Wales, Scotland, abroad.
AUTHORITY_CODE = re.compile(r"\d{3}|00[A-Z]{2}|990[012]")
ONS_CODE = re.compile(r"E\d{8}")
OF = "delayed days in the month"
SHEET = "LA - by type of care"
DAYS = [*TYPE_OF_CARE.values(), *list(RESPONSIBLE.values())[:3]]

SCHEMA = pa.DataFrameSchema(
    {
        "month": pa.Column("datetime64[us]"),
        "local_authority_code": pa.Column(str),
        "ons_code": pa.Column(str, nullable=True),
        "name": pa.Column(str),
        **{name: pa.Column(float) for name in DAYS},
    },
    unique=["month", "local_authority_code"],
    strict=True,
    ordered=True,
)


def read_all_dtoc(paths: Mapping[date, Path]) -> pd.DataFrame:
    """Every month's file, in order of month, with the columns of ``read_dtoc``; raises what it raises."""
    months = sorted(paths)
    # One check of the schema for all months: it takes longer than reading a file.
    return validated(pd.concat([_read(paths[month], month) for month in months], ignore_index=True), SCHEMA, "dtoc")


def read_dtoc(path: Path, month: date) -> pd.DataFrame:
    """One row per local authority with social services duties, and three for patients who live outside England.

    Columns: month (datetime64[us], first day), local_authority_code (social services code: 716, 00KB; 9900, 9901,
    9902 for Wales, Scotland and abroad), ons_code (null before July 2015 and outside England), name, and
    delayed days in the month (float): delayed_days_acute, _non_acute, _total, _nhs, _social_care, _both.

    Raises
    ------
    DataError
        Not a readable workbook; another month; a sheet, header or column missing; a count that is not a
        number, negative or not whole; England's row or a row's total not the sum; an authority twice; the two sheets
        disagree.
    """
    return validated(_read(path, month), SCHEMA, path)


def _read(path: Path, month: date) -> pd.DataFrame:
    """The table of ``read_dtoc`` before its schema is checked."""
    workbook = open_workbook(path)
    care, names, care_rows = _read_sheet(workbook, SHEET, TYPE_OF_CARE, month)
    responsible, _, _ = _read_sheet(workbook, "LA - by responsible org", RESPONSIBLE, month)
    sheet = _sheet(workbook, SHEET)
    one_only = care.index.symmetric_difference(responsible.index)
    if len(one_only):
        raise sheet.error(
            found=f"authority {one_only[0]} in one of the sheets by type of care and by responsible organisation",
            expected="the same authorities in both",
            action="fetch the file again",
            column="Code",
        )
    aligned = responsible.loc[care.index]
    apart = aligned["delayed_days_total"] != care["delayed_days_total"]
    if apart.any():
        at = int(apart.argmax())
        raise sheet.error(
            found=f"{care['delayed_days_total'].iloc[at]:,.12g} days in all for authority {care.index[at]}, "
            f"{aligned['delayed_days_total'].iloc[at]:,.12g} in the sheet by responsible organisation",
            expected="the same totals in both sheets",
            action="fetch the file again",
            row=care_rows[at],
            column="Total",
        )
    table = names.join(care).join(aligned.drop(columns="delayed_days_total")).reset_index()
    table.insert(0, "month", np.datetime64(month, "us"))
    return table


def _read_sheet(
    workbook: Workbook, name: str, measures: Mapping[str, str], month: date
) -> tuple[pd.DataFrame, pd.DataFrame, list[int]]:
    """Days and names by authority code, and the rows they stand in."""
    sheet = _sheet(workbook, name)
    header = sheet.find_row("Code", "the header row, with a cell 'Code' above the authorities' codes")
    period = sheet.title_value("Period:")
    if month_in(period) != month:
        raise sheet.error(
            found=f"Period: {period!r} in the title block",
            expected=f"{month:%B %Y}, the month that the manifest gives this file",
            action="put the right month's file in its place, or correct the manifest's period",
            column="Period:",
        )
    columns = sheet.columns(header, ["Code", "Name", *measures])
    code, label = columns.pop("Code"), columns.pop("Name")
    england, rows = _split_rows(sheet, header, code, label)
    totals = counts(sheet, [england], columns, OF)[0]
    values = counts(sheet, rows, columns, OF, dash_is_zero=True)
    check_whole(sheet, rows, values, columns, OF)
    check_sums(sheet, england, totals, values, columns)
    _check_totals(sheet, rows, values)
    codes = pd.Index(text(sheet, rows, code), name="local_authority_code", dtype="str")
    # The ONS code stands between the region and the authority's code, where the file has that column.
    ons = [value if ONS_CODE.fullmatch(value) else None for value in text(sheet, rows, code - 1)]
    names = pd.DataFrame({"ons_code": ons, "name": text(sheet, rows, label)}, index=codes, dtype="str")
    return pd.DataFrame(values, index=codes, columns=list(measures.values())), names, rows


def _sheet(workbook: Workbook, name: str) -> Sheet:
    """The sheet of that name in whatever capitals."""
    return workbook.sheet(next((found for found in workbook.sheet_names if found.lower() == name.lower()), name))


def _split_rows(sheet: Sheet, header: int, code: int, label: int) -> tuple[int, list[int]]:
    """England's row and the authorities' rows."""
    filled = [row for row in range(header + 1, len(sheet.rows)) if sheet.rows[row][code] != ""]
    if not filled or sheet.rows[filled[0]][label] != "England":
        raise sheet.error(
            "no row named 'England' first", "England's total below the header", "fetch the file again", row=header + 1
        )
    england, rows = filled[0], filled[1:]
    for row, found in zip(rows, text(sheet, rows, code), strict=True):
        if not AUTHORITY_CODE.fullmatch(found):
            raise sheet.error(
                f"authority code {found!r}", "a social services code such as 716", "correct it", row=row, column="Code"
            )
    check_once(sheet, rows, code, "authority")
    return england, rows


def _check_totals(sheet: Sheet, rows: list[int], values: np.ndarray) -> None:
    apart = values[:, :-1].sum(axis=1) != values[:, -1]
    if apart.any():
        at = int(apart.argmax())
        raise sheet.error(
            found=f"total {values[at, -1]:,.12g}, its parts sum to {values[at, :-1].sum():,.12g}",
            expected="a total equal to the sum of its parts",
            action="fetch the file again",
            row=rows[at],
            column="Total",
        )
