"""NHS England's A&E time series: attendances and emergency admissions, England, by month, provider basis.

The publisher estimated November 2010 to May 2015 from weekly returns, so those counts are not whole numbers.
"""

from __future__ import annotations

from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pandera.pandas as pa

from analysis.sources.table import SUM_TOLERANCE, counts, validated
from analysis.sources.workbook import Sheet, clean, open_workbook

SHEET = "Activity"
MEASURES = {
    "Type 1 Departments - Major A&E": "attendances_type1",
    "Type 2 Departments - Single Specialty": "attendances_type2",
    "Type 3 Departments - Other A&E/Minor Injury Unit": "attendances_type3",
    "Total Attendances": "attendances_total",
    "Emergency Admissions via Type 1 A&E": "emergency_admissions_via_type1",
    "Emergency Admissions via Type 2 A&E": "emergency_admissions_via_type2",
    "Emergency Admissions via Type 3 and 4 A&E": "emergency_admissions_via_type3_and_4",
    "Total Emergency Admissions via A&E": "emergency_admissions_via_ae",
    "Other Emergency Admissions (i.e not via A&E)": "other_emergency_admissions",
    "Total Emergency Admissions": "emergency_admissions_total",
}
TOTALS = {
    "attendances_total": ["attendances_type1", "attendances_type2", "attendances_type3"],
    "emergency_admissions_via_ae": [
        "emergency_admissions_via_type1",
        "emergency_admissions_via_type2",
        "emergency_admissions_via_type3_and_4",
    ],
    "emergency_admissions_total": ["emergency_admissions_via_ae", "other_emergency_admissions"],
}

SCHEMA = pa.DataFrameSchema(
    {"month": pa.Column("datetime64[us]", unique=True), **{name: pa.Column(float) for name in MEASURES.values()}},
    strict=True,
    ordered=True,
)


def read_ae(path: Path) -> pd.DataFrame:
    """One row per month: month (datetime64[us], first day) and the counts of ``MEASURES`` (float, England, a month).

    Raises
    ------
    DataError
        Not a readable workbook; the sheet, header or a column missing; months not consecutive; a count that is not
        a number or negative; a total that is not the sum of its parts.
    """
    sheet = open_workbook(path).sheet(SHEET)
    header = sheet.find_row("Period", "the header row, with a cell 'Period' above the months")
    labels = [clean(str(cell)) for cell in sheet.rows[header]]
    columns = sheet.columns(header, ["Period", *MEASURES])
    period = columns.pop("Period")
    rows = [row for row in range(header + 1, len(sheet.rows)) if isinstance(sheet.rows[row][period], date)]
    _check_months(sheet, rows, period)
    values = counts(sheet, rows, columns, "attendances or admissions in the month")
    table = pd.DataFrame(values, columns=list(MEASURES.values()))
    for total, parts in TOTALS.items():
        apart = (table[total] - table[parts].sum(axis=1)).abs() > SUM_TOLERANCE
        if apart.any():
            at = int(apart.argmax())
            raise sheet.error(
                found=f"{table.at[at, total]:,.12g}, its parts sum to {table.loc[at, parts].sum():,.12g}",
                expected="a total equal to the sum of its parts",
                action="fetch the file again",
                row=rows[at],
                column=labels[columns[next(label for label, name in MEASURES.items() if name == total)]],
            )
    table.insert(0, "month", np.array([sheet.rows[row][period] for row in rows], dtype="datetime64[us]"))
    return validated(table, SCHEMA, path, SHEET)


def _check_months(sheet: Sheet, rows: list[int], period: int) -> None:
    months = [sheet.rows[row][period] for row in rows]
    if not months:
        raise sheet.error("no month below the header", "a date in each row", "fetch the file again", column="Period")
    expected = pd.date_range(months[0], periods=len(months), freq="MS").date
    for row, found, wanted in zip(rows, months, expected, strict=True):
        if found != wanted:
            raise sheet.error(
                f"{found:%B %Y}", f"{wanted:%B %Y}, the month after", "fetch the file again", row=row, column="Period"
            )
