"""NHS England's Monthly Activity Return (MAR), commissioner basis: one workbook a month.

Sheet `Commissioner`: a title block, a header row, England's row, a blank row, one row per commissioner, at times
footnotes. Before April 2013 commissioners are primary care trusts, from then on clinical commissioning groups and `X24`
(NHS England's direct commissioning). The columns `Year` and `Period` of the rows are typed by hand and often wrong;
the month is the title block's.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pandera.pandas as pa

from analysis.core.errors import DataError
from analysis.sources.table import check_once, check_sums, check_whole, counts, text, validated
from analysis.sources.workbook import Sheet, clean, day_in, month_in, open_workbook

# Header of each measure, blanks normalised → its name here. FFCE is a first finished consultant episode.
MEASURES = {
    "Elective G&A Ordinary Admissions (FFCEs)": "elective_ordinary_admissions",
    "Elective G&A Daycase Admissions (FFCEs)": "elective_daycase_admissions",
    "Elective G&A Total Admissions (FFCEs)": "elective_admissions",
    "Elective G&A Planned Ordinary Admissions (FFCEs)": "elective_planned_ordinary_admissions",
    "Elective G&A Planned Daycase Admissions (FFCEs)": "elective_planned_daycase_admissions",
    "Elective G&A Planned Total Admissions (FFCEs)": "elective_planned_admissions",
    "Elective G&A Admissions (FFCEs) -NHS Treatment Centres (TCs)": "elective_treatment_centre_admissions",
    "Total Non-elective G&A Admissions (FFCEs)": "non_elective_admissions",
    "GP Referrals Made (All specialties)": "gp_referrals",
    "GP Referrals Seen (All specialties)": "gp_referrals_seen",
    "GP Referrals Made (G&A)": "gp_referrals_general_acute",
    "GP Referrals Seen (G&A)": "gp_referrals_seen_general_acute",
    "Other Referrals Made (G&A)": "other_referrals_general_acute",
    "All 1st Outpatient Attendances (G&A)": "first_outpatients",
}
# The one count that was published with a fraction, as England's total has it too: MAR_Comm-Web-file-Nov12_Rev-July13.xls, cell O100.
FRACTION = (date(2012, 11, 1), "5PT", "Total Non-elective G&A Admissions (FFCEs)", 4459.1)
OF = "admissions, referrals or attendances in the month"

SHEET = "Commissioner"
FIRST_CCG_MONTH = date(2013, 4, 1)
CCG_CODE = re.compile(r"\d\d[A-Z]|X24")
PCT_CODE = re.compile(r"[A-Z0-9]{3}|YDD82")  # YDD82 is the National Commissioning Group
LARGEST_COUNT = 1_000_000  # a month's count of one organisation; the largest published is 160,935

_REGION_HEADER = re.compile(r"(?:SHA|Area Team|Region) (Code|Name)")
_TEXT_COLUMNS = ("org_code", "org_name", "region_code", "region_name")

# Ranges are not repeated here: they are checked on the cells, where the message can give the address.
ORGANISATIONS = pa.DataFrameSchema(
    {
        "month": pa.Column("datetime64[us]"),
        "org_code": pa.Column(str),
        **{name: pa.Column(str) for name in _TEXT_COLUMNS[1:]},
        **{name: pa.Column(float) for name in MEASURES.values()},
    },
    unique=["month", "org_code"],
    strict=True,
    ordered=True,
)


@dataclass(frozen=True)
class MarFile:
    """One month's return.

    ``organisations`` has one row per commissioner, in the file's order: month (datetime64[us], first day), org_code,
    org_name, region_code, region_name, and the fourteen measures of ``MEASURES`` (float, counts in the month).
    ``england`` maps each measure to England's published total. ``notes`` are the lines of the Notes sheet and the
    footnotes. ``published`` and ``revised`` are None where the file prints no real date.
    """

    month: date
    organisations: pd.DataFrame
    england: Mapping[str, float]
    published: date | None
    revised: date | None
    notes: tuple[str, ...]


def read_all_mar(paths: Mapping[date, Path], known_codes: Collection[str] | None = None) -> list[MarFile]:
    """Read every month's file, in order of month. Raises what ``read_mar`` raises, for the earliest month at fault."""
    returns = [_read(paths[month], month, known_codes) for month in sorted(paths)]
    # One check of the schema for all months: it takes longer than reading a file. Reading 72 files takes half a second,
    # less than it takes to start a second process, so they are read one after the other.
    if returns:
        validated(pd.concat([mar.organisations for mar in returns]), ORGANISATIONS, "mar")
    return returns


def read_mar(path: Path, month: date, known_codes: Collection[str] | None = None) -> MarFile:
    """Read and check one month's workbook.

    ``month`` is the first day of the month that the file is pinned as. ``known_codes`` are the commissioner codes that
    may appear, X24 included; they are not checked before April 2013, when commissioners were primary care trusts.

    Raises
    ------
    DataError
        Not a readable workbook; another month; a sheet, the header, or a measure column missing, renamed or extra; a
        count that is text, negative, absurd or no whole number; England's row missing or not the sum; an organisation twice,
        without a code, or with a code of impossible shape or unknown. The message gives the cell.
    """
    mar = _read(path, month, known_codes)
    validated(mar.organisations, ORGANISATIONS, path, SHEET)
    return mar


def check_organisations(mar: MarFile, expected: Collection[str], file: str | Path) -> None:
    """Check that the month has exactly the ``expected`` organisation codes; ``file`` is named in the message.

    Raises
    ------
    DataError
        Some are missing or unexpected; the message lists them.
    """
    found = set(mar.organisations["org_code"])
    absent, extra = sorted(set(expected) - found), sorted(found - set(expected))
    if absent or extra:
        raise DataError(
            file,
            f"{len(found)} organisations; missing: {', '.join(absent) or 'none'}; extra: {', '.join(extra) or 'none'}",
            f"the {len(set(expected))} commissioners of {mar.month:%B %Y}",
            "check the table of CCG changes in data_raw against the file",
            sheet=SHEET,
            column="Org Code",
        )


def _read(path: Path, month: date, known_codes: Collection[str] | None) -> MarFile:
    """The return before its schema is checked."""
    workbook = open_workbook(path)
    sheet = workbook.sheet(SHEET)
    header = sheet.find_row("Org Code", "the header row, with a cell 'Org Code' above the commissioners' codes")
    _check_month(sheet, month)
    columns, measures = _columns(sheet, header)
    england, rows, footnotes = _split_rows(sheet, header, columns, measures)
    _check_codes(sheet, rows, columns["org_code"], month, known_codes)
    check_once(sheet, rows, columns["org_code"], "organisation")
    totals = counts(sheet, [england], measures, OF)[0]
    values = counts(sheet, rows, measures, OF, largest=LARGEST_COUNT)
    of, organisation, measure, count = FRACTION
    known = [row for row in rows if month == of and clean(str(sheet.rows[row][columns["org_code"]])) == organisation]
    known = [row for row in known if sheet.rows[row][measures[measure]] == count]
    fractions = {(row, measure) for row in (england, *known) if known}  # England's total includes it
    check_whole(sheet, [*rows, england], np.vstack([values, totals]), measures, OF, fractions)
    _check_not_above_england(sheet, rows, values, totals, measures)
    check_sums(sheet, england, totals, values, measures)

    names = pd.DataFrame({name: text(sheet, rows, columns[name]) for name in _TEXT_COLUMNS}, dtype="str")
    organisations = pd.concat([names, pd.DataFrame(values, columns=list(MEASURES.values()))], axis=1)
    organisations.insert(0, "month", np.datetime64(month, "us"))
    return MarFile(
        month=month,
        organisations=organisations,
        england=dict(zip(MEASURES.values(), totals.tolist(), strict=True)),
        published=day_in(sheet.title_value("Published:")),
        revised=day_in(sheet.title_value("Revised:")),
        notes=_notes(workbook.sheet("Notes") if "Notes" in workbook.sheet_names else None, footnotes),
    )


def _check_month(sheet: Sheet, month: date) -> None:
    period = sheet.title_value("Period:")
    if month_in(period) != month:
        raise sheet.error(
            found=f"Period: {period!r} in the title block",
            expected=f"{month:%B %Y}, the month that the manifest gives this file",
            action="put the right month's file in its place, or correct the manifest's period",
            row=next((i for i, row in enumerate(sheet.rows[:20]) if "Period:" in row), None),
            column="Period:",
        )


def _columns(sheet: Sheet, header: int) -> tuple[dict[str, int], dict[str, int]]:
    """Column indices of the text columns, by their names here, and of the measures, by their headers."""
    columns: dict[str, int] = {}
    measures: dict[str, int] = {}
    unknown: dict[str, int] = {}
    for index, cell in enumerate(sheet.rows[header]):
        label = clean(str(cell))
        region = _REGION_HEADER.fullmatch(label)
        name = f"region_{region[1].lower()}" if region else {"Org Code": "org_code", "Org Name": "org_name"}.get(label)
        if label in MEASURES and label not in measures:
            measures[label] = index
        elif name and name not in columns:
            columns[name] = index
        elif label not in ("", "Year", "Period"):
            unknown[label] = index

    missing = [name for name in _TEXT_COLUMNS if name not in columns] + [x for x in MEASURES if x not in measures]
    if unknown:
        label, index = next(iter(unknown.items()))
        raise sheet.error(
            found=f"a column headed {label!r} (column {sheet.letter(index)})",
            expected=f"the missing {', '.join(map(repr, missing))}" if missing else "no further column",
            action="look at the file; if the publisher renamed or added a measure, change MEASURES in "
            "analysis/sources/mar.py",
            row=header,
            column=label,
        )
    if missing:
        raise sheet.error(
            found="no such column",
            expected=f"columns headed {', '.join(map(repr, missing))}, as in every published month",
            action="fetch the file again; if the publisher dropped the measure, this month cannot be used",
            row=header,
            column=missing[0],
        )
    return columns, {label: measures[label] for label in MEASURES}


def _split_rows(
    sheet: Sheet, header: int, columns: dict[str, int], measures: dict[str, int]
) -> tuple[int, list[int], list[str]]:
    """England's row, the organisations' rows, and the text of the footnotes below them."""
    code, name = columns["org_code"], columns["org_name"]
    england: int | None = None
    organisations: list[int] = []
    footnotes: list[str] = []
    for index in range(header + 1, len(sheet.rows)):
        row = sheet.rows[index]
        if clean(str(row[code])):
            organisations.append(index)
        elif england is None and clean(str(row[name])) == "England":
            england = index
        elif any(row[cell] != "" for cell in measures.values()):
            raise sheet.error(
                found=f"counts without an organisation code, named {row[name]!r}",
                expected="a commissioner's code in every row of counts but England's",
                action="fetch the file again; a row may have been typed over",
                row=index,
                column="Org Code",
            )
        else:
            footnotes += [clean(cell) for cell in row if isinstance(cell, str) and clean(cell)]
    if england is None or not organisations:
        raise sheet.error(
            found="no row named 'England'" if england is None else "no organisation below England's row",
            expected="England's total below the header, then one row per commissioner",
            action="fetch the file again; it may have been cut or edited",
            row=header + 1,
            column="Org Name",
        )
    return england, organisations, footnotes


def _check_codes(sheet: Sheet, rows: list[int], column: int, month: date, known: Collection[str] | None) -> None:
    by_ccg = month >= FIRST_CCG_MONTH
    shape, shape_in_words = (
        (CCG_CODE, "a CCG code such as 01K, or X24") if by_ccg else (PCT_CODE, "a PCT code such as 5PT")
    )
    for row, code in zip(rows, text(sheet, rows, column), strict=True):
        if not shape.fullmatch(code):
            raise sheet.error(
                found=f"organisation code {code!r}",
                expected=shape_in_words,
                action="correct the code, or fetch the file again",
                row=row,
                column="Org Code",
            )
        if by_ccg and known is not None and code not in known:
            raise sheet.error(
                found=f"unknown organisation code {code}",
                expected="the code of a CCG that the study knows, or X24",
                action="correct the code, or add the CCG and its predecessors to the table of CCG changes in data_raw",
                row=row,
                column="Org Code",
            )


def _check_not_above_england(
    sheet: Sheet, rows: list[int], values: np.ndarray, totals: np.ndarray, measures: dict[str, int]
) -> None:
    above = np.argwhere(values > totals)
    if len(above):
        line, measure = (int(index) for index in above[0])
        raise sheet.error(
            found=f"{values[line, measure]:,.12g}, more than England's {totals[measure]:,.12g}",
            expected="no organisation above England's total",
            action="fetch the file again; a count may have been typed over",
            row=rows[line],
            column=list(measures)[measure],
        )


def _notes(sheet: Sheet | None, footnotes: list[str]) -> tuple[str, ...]:
    """Lines of the Notes sheet without its headings, then the footnotes that it does not have."""
    lines = [" ".join(clean(str(cell)) for cell in row if cell != "") for row in (sheet.rows if sheet else [])]
    headings = ("", "Notes", "Note", "Code Name", "NA NA")
    return tuple(line for line in dict.fromkeys([*lines, *footnotes]) if line.rstrip(": ") not in headings)
