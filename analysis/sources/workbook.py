"""Opening published workbooks, and refusing exactly those that are not what their name says.

NHS England's `.xls` files are compound files ("OLE"): sectors of 512 bytes and a table that says which sectors
are in use. Truncation is recognised from that table before the parser sees the file, because a parser
may well stop quietly, or crash, at the place where the bytes end.
"""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from pathlib import Path

from python_calamine import CalamineError, CalamineWorkbook, PasswordError

from analysis.errors import DataError
from analysis.outside import printable

Cell = int | float | str | bool | time | date | datetime | timedelta  # an empty cell is ""

SUFFIXES = (".xls", ".xlsx")
OLE_SIGNATURE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
ZIP_SIGNATURE = b"PK\x03\x04"
FREE_SECTOR = 0xFFFFFFFF
SECTOR_SHIFTS = (9, 12)  # sectors of 512 or 4,096 bytes; the format knows no other
FETCH_AGAIN = "fetch the file again from its publisher, or remove it so that the next run does"


@dataclass(frozen=True)
class Sheet:
    """One sheet. ``rows[i]`` is what a spreadsheet shows as row ``i + 1``, ``rows[i][0]`` its column A."""

    file: Path
    name: str
    rows: list[list[Cell]]

    def find_row(self, label: str, expected: str) -> int:
        """Index of the first row with a cell that reads ``label``.

        Raises
        ------
        DataError
            No row has it; ``expected`` says what the label would have marked.
        """
        for index, row in enumerate(self.rows):
            if any(isinstance(cell, str) and clean(cell) == label for cell in row):
                return index
        raise self.error(
            found=f"no cell that reads {label!r}",
            expected=expected,
            action="compare with another month; the file may be another publication, or its layout has changed",
        )

    def columns(self, header: int, labels: Sequence[str]) -> dict[str, int]:
        """Index of each label's column in the header row; of the first, where a label comes again further right.

        Raises
        ------
        DataError
            A label is not there.
        """
        found = [clean(str(cell)) for cell in self.rows[header]]
        columns = {label: found.index(label) for label in labels if label in found}
        missing = [label for label in labels if label not in columns]
        if missing:
            raise self.error(
                found=f"no such column; the headers are {', '.join(repr(label) for label in found if label)}",
                expected=f"columns headed {', '.join(map(repr, missing))}",
                action="compare with another edition; if the publisher renamed the column, change the reader",
                row=header,
                column=missing[0],
            )
        return columns

    def title_value(self, label: str, within: int = 20) -> Cell:
        """The cell to the right of ``label`` in the title block; empty if the label is not there."""
        for row in self.rows[:within]:
            for column, cell in enumerate(row[:-1]):
                if isinstance(cell, str) and clean(cell) == label:
                    return row[column + 1]
        return ""

    @staticmethod
    def letter(index: int) -> str:
        """0 → A, 25 → Z, 26 → AA."""
        letters = ""
        index += 1
        while index:
            index, rest = divmod(index - 1, 26)
            letters = chr(ord("A") + rest) + letters
        return letters

    def error(
        self, found: str, expected: str, action: str, row: int | None = None, column: int | str | None = None
    ) -> DataError:
        """A DataError at this sheet; ``row`` and an integer ``column`` are indices from 0."""
        return DataError(
            file=self.file,
            sheet=self.name,
            row=None if row is None else row + 1,
            column=self.letter(column) if isinstance(column, int) else column,
            found=found,
            expected=expected,
            action=action,
        )


@dataclass(frozen=True)
class Workbook:
    file: Path
    calamine: CalamineWorkbook

    @property
    def sheet_names(self) -> list[str]:
        return self.calamine.sheet_names

    def sheet(self, name: str) -> Sheet:
        """Read one sheet, its leading empty rows and columns kept, so that addresses are Excel's.

        Raises
        ------
        DataError
            There is no sheet of that name; the message lists those there are.
        """
        if name not in self.sheet_names:
            raise DataError(
                file=self.file,
                found=f"no such sheet; the sheets are {', '.join(map(repr, self.sheet_names))}",
                expected=f"a sheet named {name!r}",
                action="check that it is the right publication; if its publisher renamed the sheet, change its reader",
                sheet=name,
            )
        with _parsing(self.file):
            return Sheet(self.file, name, self.calamine.get_sheet_by_name(name).to_python(skip_empty_area=False))


def open_workbook(path: Path) -> Workbook:
    """Open an `.xls` or `.xlsx` workbook.

    Raises
    ------
    DataError
        The file is missing, empty, a web page, cut short, protected by a password, or not a workbook.
    """
    problem = _not_a_workbook(path)
    if problem:
        raise DataError(file=path, found=problem, expected="a whole Excel workbook", action=FETCH_AGAIN)
    with _parsing(path):
        return Workbook(path, CalamineWorkbook.from_path(path))


@contextmanager
def _parsing(path: Path) -> Iterator[None]:
    """The parser's errors as this project's."""
    try:
        yield
    except PasswordError as error:
        raise _protected(path) from error
    except CalamineError as error:
        raise _unreadable(path, str(error)) from error
    except BaseException as error:
        # A damaged file can make the parser's Rust code panic; that exception does not derive from Exception.
        if type(error).__name__ != "PanicException":
            raise
        raise _unreadable(path, str(error)) from error


def clean(text: str) -> str:
    """Trim, turn each run of white space into one blank, and drop what cannot be seen: headers carry trailing blanks and line breaks."""
    return printable(" ".join(text.split()))


def month_in(cell: Cell) -> date | None:
    """First day of the month that a title's Period names ("April 2017"); None if it names none."""
    if isinstance(cell, date):
        return date(cell.year, cell.month, 1)
    try:
        return datetime.strptime(clean(str(cell)), "%B %Y").date()
    except ValueError:
        return None


def day_in(cell: Cell) -> date | None:
    """The date in a title ("9th June 2017"); None for "-", an empty cell, or no real date ("1th September 2012")."""
    if isinstance(cell, datetime):
        return cell.date()
    if isinstance(cell, date):
        return cell
    day, _, rest = clean(str(cell)).partition(" ")
    number, ordinal = day[:-2], day[-2:]
    if not number.isdigit() or ordinal != _ordinal(int(number)):
        return None
    try:
        return datetime.strptime(f"{number} {rest}", "%d %B %Y").date()
    except ValueError:
        return None


def _ordinal(number: int) -> str:
    return "th" if 11 <= number % 100 <= 13 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")


def _not_a_workbook(path: Path) -> str | None:
    """What the file is instead of a workbook, or None."""
    if not path.is_file():
        return "no such file"
    data = path.read_bytes()
    start = data[:512].removeprefix(b"\xef\xbb\xbf").lstrip()
    short = None
    if not data:
        return "an empty file (0 bytes)"
    if data.startswith(OLE_SIGNATURE):
        if "EncryptedPackage".encode("utf-16-le") in data:
            raise _protected(path)
        if _damaged_header(data):
            return "a damaged workbook (its header describes what the file cannot hold)"
        missing = _ole_length(data) - len(data)
        short = f"at least {missing:,} more are missing" if missing > 0 else None
    elif data.startswith(ZIP_SIGNATURE):
        short = None if zipfile.is_zipfile(path) else "its end is missing"
    elif start.startswith(b"<"):
        return f"a web page or XML text that begins {start[:40].decode('latin-1')!r}"
    else:
        return f"a file that begins {data[:16]!r}, which no Excel workbook does"
    return f"a file cut short: {len(data):,} bytes, {short}" if short else None


def _damaged_header(data: bytes) -> bool:
    """Whether a compound file's header contradicts the format or the file's length; see [MS-CFB] 2.2.

    The parser takes the counts in it at their word and asks for as much memory, until the system ends the whole run.
    """
    if len(data) < 512:
        return False
    order, shift, mini_shift = struct.unpack_from("<HHH", data, 28)
    if (order, mini_shift) != (0xFFFE, 6) or shift not in SECTOR_SHIFTS:
        return True
    directory, table, mini_table, further_tables = (struct.unpack_from("<I", data, at)[0] for at in (40, 44, 64, 72))
    (cutoff,) = struct.unpack_from("<I", data, 56)
    return cutoff != 4096 or max(directory, table, mini_table, further_tables) > len(data) >> shift


def _ole_length(data: bytes) -> int:
    """Bytes that a compound file must have for every sector that it says is in use.

    Reads the sector table as far as the header lists it (files up to 6.8 MB); see [MS-CFB] 2.2 and 2.3.
    """
    if len(data) < 512:
        return 512
    (sector_shift,) = struct.unpack_from("<H", data, 30)
    (table_sectors,) = struct.unpack_from("<I", data, 44)
    sector = 1 << sector_shift
    per_table = sector // 4
    needed = 0
    for index, location in enumerate(struct.unpack_from(f"<{min(table_sectors, 109)}I", data, 76)):
        offset = (location + 1) * sector
        if offset + sector > len(data):
            return offset + sector
        table = struct.unpack_from(f"<{per_table}I", data, offset)
        used = [position for position, entry in enumerate(table) if entry != FREE_SECTOR]
        if used:
            needed = (index * per_table + used[-1] + 2) * sector
    return needed


def _protected(path: Path) -> DataError:
    return DataError(
        file=path,
        found="a workbook protected by a password",
        expected="an open workbook, as NHS England and ONS publish them",
        action="save a copy without the password, or " + FETCH_AGAIN,
    )


def _unreadable(path: Path, problem: str) -> DataError:
    return DataError(
        file=path,
        found=f"a damaged workbook ({clean(problem)})",
        expected="a whole Excel workbook",
        action=FETCH_AGAIN,
    )
