"""What an `.xlsx` or `.ods` workbook asks a parser to do: a ZIP archive of XML parts, of which some hold the cells.

The parts are unpacked here, within limits, and each sheet's cells are located. The parser is then given an archive of the XML
parts alone, so that it reads what was looked at, whatever else the file holds.
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
CELLS = {"table:table-cell", "table:covered-table-cell"}
VALUES = {"office:value-type", "office:value", "table:formula"}
ADDRESS = re.compile(r"([A-Za-z]+)([0-9]+)")
WORKBOOKS = {"xl/workbook.xml", "content.xml"}  # the part that a workbook has, in Excel's format and in OpenDocument's
OTHERS = {"xl/workbook.bin": "a binary workbook (.xlsb)", "word/document.xml": "a Word document"}


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
    names = {name.lower() for name in parts}
    other = next((what for part, what in OTHERS.items() if part in names), None)
    if other or not WORKBOOKS & names:
        raise NotAWorkbook(
            other or "a ZIP archive that holds no workbook", "save the table as an Excel workbook (.xlsx)"
        )
    texts = {name: part for name, part in parts.items() if name.lower().endswith((".xml", ".rels"))}
    check_cells(extent for name, part in texts.items() for extent in _extents(name, part))
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as out:
        for name, part in texts.items():
            out.writestr(name, part)
        if "mimetype" in parts:
            out.writestr("mimetype", parts["mimetype"])
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


def _extents(name: str, part: bytes) -> list[tuple[int, int]]:
    """Rows and columns, counted from A1, of the cells to which a part gives a value, for each sheet in it."""
    parser = expat.ParserCreate()
    cells = _Cells()
    parser.StartElementHandler, parser.EndElementHandler = cells.start, cells.end
    parser.StartDoctypeDeclHandler = cells.doctype
    try:
        parser.Parse(part, True)
    except (expat.ExpatError, ValueError) as error:
        raise damaged(f"{name}: {error}") from error
    return cells.sheets


class _Cells:
    """Follows the elements as the parser does: a cell without an address stands to the right of the one before.

    In OpenDocument a row or a cell may stand for several, and a part holds several sheets.
    """

    def __init__(self) -> None:
        self.sheets = [(0, 0)]
        self._row = self._column = 0  # where the next cell stands if it does not say
        self._height = self._width = 1
        self._at: int | None = None  # the row of the cell that is open

    def start(self, name: str, attributes: dict[str, str]) -> None:
        kind = name.rpartition(":")[2]
        if self._at is not None:  # something inside a cell: the cell has a value
            self._count(self._at)
        elif name == "table:table":
            self.sheets.append((0, 0))
            self._row = self._column = 0
        elif name == "table:table-row":
            self._height = int(attributes.get("table:number-rows-repeated", 1))
        elif name in CELLS:
            self._width = int(attributes.get("table:number-columns-repeated", 1))
            self._at = self._row
            if VALUES & attributes.keys():
                self._count(self._at)
        elif kind == "row" and "r" in attributes:
            self._row = int(attributes["r"]) - 1
        elif kind == "c":
            self._at = self._row
            if found := ADDRESS.fullmatch(attributes.get("r", "")):
                self._at, self._column = int(found[2]) - 1, _number(found[1])

    def end(self, name: str) -> None:
        kind = name.rpartition(":")[2]
        if kind == "c" or name in CELLS:
            self._at, self._column = None, self._column + self._width
        elif kind == "row" or name == "table:table-row":
            self._row, self._column = self._row + self._height, 0

    def _count(self, row: int) -> None:
        rows, columns = self.sheets[-1]
        self.sheets[-1] = max(rows, row + self._height), max(columns, self._column + self._width)

    def doctype(self, *_: object) -> None:
        raise ValueError("a document type declaration, which no workbook has")


def _number(letters: str) -> int:
    """A → 0, Z → 25, AA → 26."""
    number = 0
    for letter in letters.upper():
        number = number * 26 + ord(letter) - ord("A") + 1
    return number - 1
