"""Writes a Monthly Activity Return as NHS England lays it out, so that a test can spoil one thing in it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import xlwt

from analysis.sources.mar import MEASURES

HEADER_ROW, ENGLAND_ROW, FIRST_ROW = 14, 15, 17  # as a spreadsheet counts them
FIRST_MEASURE = 7  # column H; column A is blank
NON_ELECTIVE = "Total Non-elective G&A Admissions (FFCEs)"


def measures(size: float) -> list[object]:
    return [size * (position + 1) for position in range(len(MEASURES))]


@dataclass
class MarWorkbook:
    """A small return: three commissioners. Rows are [year, period, region code, region name, code, name, 14 counts]."""

    period: str = "April 2017"
    sheet: str = "Commissioner"
    header: list[str] = field(
        default_factory=lambda: [
            *("Year", "Period", "Region Code", "Region Name", "Org Code", "Org Name"),
            # Some real headers end in a blank.
            *(f"{label} " if "specialties" in label else label for label in MEASURES),
        ]
    )
    rows: list[list[object]] = field(
        default_factory=lambda: [
            ["2017-18", "April", "Y54", "NORTH OF ENGLAND", "01H", "NHS NORTH CUMBRIA CCG", *measures(300)],
            ["2017-18", "April", "Y54", "NORTH OF ENGLAND", "01K", "NHS MORECAMBE BAY CCG", *measures(200)],
            ["2017-18", "April", "-", "NHS ENGLAND", "X24", "NHS ENGLAND", *measures(50)],
        ]
    )
    england: list[object] = field(default_factory=lambda: measures(550))
    total: str = "England"
    notes: list[str] = field(default_factory=lambda: ["The following organisation did not submit:", "RTE"])

    def column(self, label: str) -> int:
        """Position of a header in ``header`` and in each row."""
        return [header.strip() for header in self.header].index(label)

    def write(self, path: Path) -> Path:
        book = xlwt.Workbook()
        sheet = book.add_sheet(self.sheet)
        title = {
            2: ("Title:", "Monthly Hospital Activity"),
            3: ("Summary:", "Monthly activity data relating to elective and non-elective inpatient admissions"),
            5: ("Period:", self.period),
            6: ("Source:", "Monthly Activity Return, NHS England, collected via SDCS"),
            7: ("Basis:", "Commissioner"),
            8: ("Published:", "9th June 2017"),
            9: ("Revised:", "13th June 2019"),
            10: ("Status:", "Public"),
            11: ("Contact:", "england.nhsdata@nhs.net"),
            13: ("Commissioner Level Data",),
        }
        england = [" 2017-18", "April", "", "", "", self.total, *self.england]
        lines = title | {HEADER_ROW: self.header, ENGLAND_ROW: england}
        lines |= {FIRST_ROW + position: row for position, row in enumerate(self.rows)}
        for number, cells in lines.items():
            for position, cell in enumerate(cells, start=1):
                if cell != "":
                    sheet.write(number - 1, position, cell)
        book.add_sheet("Region").write(1, 1, "Region Level Data")
        notes = book.add_sheet("Notes")
        for number, line in enumerate(["Notes", "", *self.notes], start=1):
            notes.write(number, 1, line)
        book.save(str(path))
        return path
