"""Opening published workbooks, known by their content: a name may say `.xls` where the file is an `.xlsx`.

What a parser cannot be trusted with is refused before it sees the bytes: it may stop quietly, or crash, where a file was cut short,
and takes the file's word for how much memory it needs.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from pathlib import Path

from python_calamine import CalamineError, CalamineWorkbook, PasswordError

from analysis.core.errors import DataError
from analysis.core.untrusted import printable
from analysis.sources import compound, package
from analysis.sources.limits import NotAWorkbook, check_size, damaged, protected

Cell = int | float | str | bool | time | date | datetime | timedelta  # an empty cell is ""

WORKBOOK_NAMES = (".xls", ".xlsx", ".xlsm", ".ods")  # how the name of a workbook ends


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
        with _refusing(self.file):
            return Sheet(self.file, name, self.calamine.get_sheet_by_name(name).to_python(skip_empty_area=False))


def open_workbook(path: Path) -> Workbook:
    """Open an `.xls`, `.xlsx` or `.ods` workbook, whatever its name ends in.

    Raises
    ------
    DataError
        The file is missing, empty, a web page, cut short, protected by a password, not a workbook, or far larger than any published.
    """
    with _refusing(path):
        return Workbook(path, CalamineWorkbook.from_filelike(io.BytesIO(_checked(path))))


def is_workbook(path: Path) -> bool:
    """Whether a file begins as a workbook does."""
    with open(path, "rb") as handle:
        return handle.read(8).startswith((compound.SIGNATURE, package.SIGNATURE))


@contextmanager
def _refusing(path: Path) -> Iterator[None]:
    """The parser's errors, and what was refused before it, as this project's."""
    try:
        yield
    except NotAWorkbook as problem:
        raise _refusal(path, problem) from problem
    except PasswordError as error:
        raise _refusal(path, protected()) from error
    except CalamineError as error:
        raise _refusal(path, damaged(clean(str(error)))) from error
    except BaseException as error:
        # A damaged file can make the parser's Rust code panic; that exception does not derive from Exception.
        if type(error).__name__ != "PanicException":
            raise
        raise _refusal(path, damaged(clean(str(error)))) from error


def _refusal(path: Path, problem: NotAWorkbook) -> DataError:
    return DataError(path, problem.found, problem.expected, problem.to_do)


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


def _checked(path: Path) -> bytes:
    """The bytes of a workbook that the parser can be trusted with; raises NotAWorkbook where it cannot."""
    if not path.is_file():
        raise NotAWorkbook("no such file")
    check_size(path.stat().st_size)
    data = path.read_bytes()
    start = data[:512].removeprefix(b"\xef\xbb\xbf").lstrip()
    if data.startswith(compound.SIGNATURE):
        compound.check(data)
        return data
    if data.startswith(package.SIGNATURE):
        return package.unpacked(data)
    if not data:
        raise NotAWorkbook("an empty file (0 bytes)")
    if start.startswith(b"<"):
        raise NotAWorkbook(f"a web page or XML text that begins {start[:40].decode('latin-1')!r}")
    begins = "in another way" if path.is_symlink() else f"{data[:16]!r}"  # a link may lead to what the message should not show
    raise NotAWorkbook(f"a file that begins {begins}, which no workbook does")
