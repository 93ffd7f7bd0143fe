"""What an `.xlsx` workbook asks a parser to do: a ZIP archive of XML parts, of which some are sheets.

The parts are unpacked here, within limits, and each sheet's cells are located. The parser is then given an archive of exactly
these parts, so that it reads what was looked at, whatever else the file holds.
"""

from __future__ import annotations

import io
import re
import struct
import zipfile
import zlib
from xml.parsers import expat

from analysis.sources.limits import NotAWorkbook, check_cells, check_size, damaged, protected

SIGNATURE = b"PK\x03\x04"
ENCRYPTED = 0x1  # flag of an entry
ADDRESS = re.compile(r"([A-Za-z]+)([0-9]+)")
OTHERS = {  # a part that tells another kind of file
    "xl/workbook.bin": "a binary workbook (.xlsb)",
    "content.xml": "an OpenDocument file (.ods)",
    "word/document.xml": "a Word document",
}


def unpacked(data: bytes) -> bytes:
    """The workbook as an archive that is not compressed.

    Raises
    ------
    NotAWorkbook
        The archive is cut short, damaged, or holds no workbook; it unpacks to too many bytes, or its sheets have too many cells.
    """
    if not zipfile.is_zipfile(io.BytesIO(data)):
        raise NotAWorkbook(f"a file cut short: {len(data):,} bytes, its end is missing")
    try:
        parts = _parts(data)
    except (zipfile.BadZipFile, zlib.error, struct.error, NotImplementedError, EOFError, OSError, ValueError) as error:
        raise damaged(str(error) or type(error).__name__) from error
    other = next((what for part, what in OTHERS.items() if part in parts), None)
    if other or "xl/workbook.xml" not in parts:
        raise NotAWorkbook(
            other or "a ZIP archive that holds no workbook", "save the table as an Excel workbook (.xlsx)"
        )
    check_cells(_extent(name, part) for name, part in parts.items() if part.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"<")
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as out:
        for name, part in parts.items():
            out.writestr(name, part)
    return archive.getvalue()


def _parts(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        entries = archive.infolist()
        check_size(sum(entry.file_size for entry in entries))  # no more than this is unpacked
        if any(entry.flag_bits & ENCRYPTED for entry in entries):
            raise protected()
        parts = {entry.filename.replace("\\", "/"): archive.read(entry) for entry in entries}
    if len(parts) < len(entries):
        raise damaged("a part of it is there twice")
    return parts


def _extent(name: str, part: bytes) -> tuple[int, int]:
    """Rows and columns, counted from A1, of the cells that a part gives a value."""
    parser = expat.ParserCreate()
    cells = _Cells()
    parser.StartElementHandler, parser.EndElementHandler = cells.start, cells.end
    parser.StartDoctypeDeclHandler = cells.doctype
    try:
        parser.Parse(part, True)
    except (expat.ExpatError, ValueError) as error:
        raise damaged(f"{name}: {error}") from error
    return cells.rows, cells.columns


class _Cells:
    """Follows the elements of a sheet as the parser does: a cell without an address stands to the right of the one before."""

    def __init__(self) -> None:
        self.rows = self.columns = 0
        self._row = self._column = 0
        self._at: tuple[int, int] | None = None

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if self._at is not None:  # something inside a cell: the cell has a value
            self.rows, self.columns = max(self.rows, self._at[0] + 1), max(self.columns, self._at[1] + 1)
            return
        kind, address = name.rpartition(":")[2], attributes.get("r", "")
        if kind == "row" and address.isdecimal():
            self._row = int(address) - 1
        elif kind == "c":
            found = ADDRESS.fullmatch(address)
            self._column = _number(found[1]) if found else self._column
            self._at = (int(found[2]) - 1 if found else self._row, self._column)

    def end(self, name: str) -> None:
        kind = name.rpartition(":")[2]
        if kind == "c":
            self._at, self._column = None, self._column + 1
        elif kind == "row":
            self._row, self._column = self._row + 1, 0

    def doctype(self, *_: object) -> None:
        raise ValueError("a document type declaration, which no workbook has")


def _number(letters: str) -> int:
    """A → 0, Z → 25, AA → 26."""
    number = 0
    for letter in letters.upper():
        number = number * 26 + ord(letter) - ord("A") + 1
    return number - 1
