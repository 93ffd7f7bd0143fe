"""What a workbook is, its bytes say, not its name; and one that asks for more than any published file has is refused."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Callable
from datetime import date
from pathlib import Path
from xml.sax.saxutils import escape

import pytest
import xlwt
from mar_workbook import MarWorkbook
from openpyxl import Workbook as Xlsx
from openpyxl.styles import Font

from analysis.core.errors import DataError
from analysis.sources.limits import MOST_CELLS
from analysis.sources.mar import read_mar
from analysis.sources.workbook import open_workbook

APRIL = date(2017, 4, 1)
SHEET_PART = "xl/worksheets/sheet1.xml"


def as_xlsx(xls: Path, path: Path) -> Path:
    """The same cells in the other format."""
    book, copy = open_workbook(xls), Xlsx()
    copy.remove(copy.active)
    for name in book.sheet_names:
        sheet = copy.create_sheet(name)
        for row, cells in enumerate(book.sheet(name).rows, start=1):
            for column, cell in enumerate(cells, start=1):
                if cell != "":
                    sheet.cell(row, column, cell)
    copy.save(path.with_suffix(".made.xlsx"))
    return path.with_suffix(".made.xlsx").replace(path)


@pytest.mark.cases(quick=8)
@pytest.mark.fault(
    "a sound .xlsx named .xls, and an .xls named .xlsx; names without an ending, or in capitals",
    "each is read by its content, with the same numbers",
)
@pytest.mark.parametrize("name", ["MAR-Apr-17.xls", "MAR-Apr-17.XLS", "MAR-Apr-17", "MAR-Apr-17.xlsm", "MAR.2017.bak"])
@pytest.mark.parametrize("xlsx", [True, False])
def test_a_workbook_is_known_by_its_content(name: str, xlsx: bool, tmp_path: Path) -> None:
    known = MarWorkbook().write(tmp_path / "known.xls")
    path = as_xlsx(known, tmp_path / name) if xlsx else known.rename(tmp_path / name)
    mar = read_mar(path, APRIL)
    assert mar.organisations.non_elective_admissions.tolist() == [2400, 1600, 400]
    assert mar.england["gp_referrals"] == 9 * 550
    assert (mar.published, mar.notes[-1]) == (date(2017, 6, 9), "RTE")


ODS = (
    '<office:document-content xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0" '
    'xmlns:table="urn:oasis:names:tc:opendocument:xmlns:table:1.0" xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0">'
    "<office:body><office:spreadsheet>{}</office:spreadsheet></office:body></office:document-content>"
)
EMPTY = '<table:table-row table:number-rows-repeated="1048000"><table:table-cell table:number-columns-repeated="16384"/></table:table-row>'


def ods(path: Path, tables: str) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
        archive.writestr("META-INF/manifest.xml", "<manifest/>")
        archive.writestr("content.xml", ODS.format(tables))
    return path


def as_ods(xls: Path, path: Path) -> Path:
    book, tables = open_workbook(xls), ""
    for name in book.sheet_names:
        lines = [
            "".join(
                f'<table:table-cell office:value-type="float" office:value="{cell}"/>'
                if isinstance(cell, int | float)
                else f'<table:table-cell office:value-type="string"><text:p>{escape(str(cell))}</text:p></table:table-cell>'
                if cell
                else "<table:table-cell/>"
                for cell in row
            )
            for row in book.sheet(name).rows
        ]
        rows = "".join(f"<table:table-row>{line}</table:table-row>" for line in lines)
        tables += f'<table:table table:name="{name}">{rows}{EMPTY}</table:table>'
    return ods(path, tables)


@pytest.mark.parametrize("name", ["MAR-Apr-17.ods", "MAR-Apr-17.xls"])
def test_an_open_document_is_read(name: str, tmp_path: Path) -> None:
    mar = read_mar(as_ods(MarWorkbook().write(tmp_path / "known.xls"), tmp_path / name), APRIL)
    assert mar.organisations.non_elective_admissions.tolist() == [2400, 1600, 400]
    assert mar.published == date(2017, 6, 9)


def with_part(path: Path, change: Callable[[bytes], bytes], part: str = SHEET_PART) -> Path:
    """An .xlsx with one part changed."""
    buffer = io.BytesIO()
    Xlsx().save(buffer)
    with zipfile.ZipFile(buffer) as old, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, change(old.read(name)) if name == part else old.read(name))
        if part not in old.namelist():
            new.writestr(part, change(b""))
    return path


def rows(xml: str) -> Callable[[bytes], bytes]:
    def put(part: bytes) -> bytes:
        assert b"<sheetData/>" in part or b"<sheetData></sheetData>" in part or b"<sheetData />" in part
        head, _, tail = part.partition(b"<sheetData")
        return (
            head
            + b"<sheetData>"
            + xml.encode()
            + b"</sheetData>"
            + tail.partition(b">")[2].removeprefix(b"</sheetData>")
        )

    return put


def far(path: Path) -> Path:
    book = Xlsx()
    book.active["XFD1048576"] = 1
    book.save(path)
    return path


def many_sheets(path: Path) -> Path:
    book = Xlsx()
    for number in range(5):
        book.create_sheet(f"s{number}").cell(MOST_CELLS // 4 // 4, 4, 1)
    book.save(path)
    return path


def far_in_xls(path: Path) -> Path:
    book = xlwt.Workbook()
    book.add_sheet("Commissioner").write(65535, 255, 1)
    book.save(str(path))
    return path


def beyond_any_column(path: Path) -> Path:
    """A cell of an .xls at the last column that its two bytes can name; the format ends at column IV."""
    book = xlwt.Workbook()
    book.add_sheet("Commissioner").write(65535, 200, 4.5)
    book.save(str(path))
    cell = struct.pack("<HH", 65535, 200)
    assert path.read_bytes().count(cell) == 1
    path.write_bytes(path.read_bytes().replace(cell, struct.pack("<HH", 65535, 65535)))
    return path


MOONS = {
    "one cell at XFD1048576": (far, "1,048,576 rows and 16,384 columns"),
    "a cell without an address, in the last row": (
        lambda path: with_part(path, rows('<row r="1048576"><c><v>1</v></c><c r="XFD1048576"><f>1+1</f></c></row>')),
        "1,048,576 rows and 16,384 columns",
    ),
    "dimensions that say A1": (
        lambda path: with_part(path, rows('<row r="9"><c r="ABC900000" t="inlineStr"><is><t>x</t></is></c></row>')),
        "900,000 rows and 731 columns",
    ),
    "another prefix of the elements": (
        lambda path: with_part(
            path,
            lambda _: (
                b'<x:worksheet xmlns:x="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><x:sheetData>'
                b'<x:row><x:c r="XFD1048576"><x:v>1</x:v></x:c></x:row></x:sheetData></x:worksheet>'
            ),
        ),
        "1,048,576 rows and 16,384 columns",
    ),
    "five sheets that are large together": (many_sheets, "more than 1,000,000 cells"),
    "the last cell of an .xls": (far_in_xls, "65,536 rows and 256 columns"),
    "a column that no .xls has": (beyond_any_column, "65,536 rows and 65,536 columns"),
    "an .ods with a cell that stands for a million rows of it": (
        lambda path: ods(
            path,
            '<table:table table:name="a"><table:table-row/></table:table><table:table table:name="b"><table:table-row '
            'table:number-rows-repeated="1048576"><table:table-cell table:number-columns-repeated="16000"/><table:table-cell '
            'office:value-type="float" office:value="1" table:number-columns-repeated="384"/></table:table-row></table:table>',
        ),
        "1,048,576 rows and 16,384 columns",
    ),
    "a part that unpacks to a gigabyte": (
        lambda path: with_part(path, lambda _: bytes(1 << 26) * 16, "xl/sharedStrings.xml"),
        "a file of 1,07",
    ),
    "an entity that multiplies": (
        lambda path: with_part(
            path,
            lambda _: (
                b'<!DOCTYPE a [<!ENTITY b "bbbbbbbb"><!ENTITY c "&b;&b;&b;&b;&b;&b;">]><worksheet>&c;</worksheet>'
            ),
        ),
        "a document type declaration",
    ),
}


@pytest.mark.cases(quick=8, push=9)
@pytest.mark.fault(
    "a workbook of one kilobyte with a cell at XFD1048576, an archive that unpacks to a gigabyte",
    "refused by its dimensions before any memory is asked for",
)
@pytest.mark.parametrize("moon", MOONS)
def test_a_workbook_that_asks_for_more_than_there_is(moon: str, tmp_path: Path) -> None:
    make, found = MOONS[moon]
    path = make(tmp_path / "MAR-Apr-17.xls")
    with pytest.raises(DataError) as refusal:
        open_workbook(path)
    assert refusal.value.file == path and found in refusal.value.found and refusal.value.action


def test_a_size_that_is_not_the_true_one(tmp_path: Path) -> None:
    """The archive's own table says that a part is small; it unpacks to more."""
    path = with_part(tmp_path / "a.xlsx", lambda _: b"<a>" + b" " * 5_000_000 + b"</a>", "xl/theme/theme1.xml")
    size = struct.pack("<I", 5_000_007)
    assert path.read_bytes().count(size) == 2
    path.write_bytes(path.read_bytes().replace(size, struct.pack("<I", 7)))
    with pytest.raises(DataError, match="a damaged workbook"):
        open_workbook(path)


def test_a_sheet_in_a_part_that_is_not_looked_at(tmp_path: Path) -> None:
    """A workbook may keep a sheet under any name; one that is not XML by its name is not given to the parser."""
    far(tmp_path / "far.xlsx")
    path = tmp_path / "a.xlsx"
    with zipfile.ZipFile(tmp_path / "far.xlsx") as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            content = old.read(name).replace(b"worksheets/sheet1.xml", b"worksheets/sheet1.vml")
            new.writestr(name.replace("worksheets/sheet1.xml", "worksheets/sheet1.vml"), content)
        new.writestr("xl/drawing1.vml", "<xml><br></xml>")
    with pytest.raises(DataError, match="a damaged workbook"):
        open_workbook(path).sheet("Sheet")


def test_formats_far_away_are_no_cells(tmp_path: Path) -> None:
    book = Xlsx()
    book.active["B3"] = 5
    book.active["XFD1048576"].font = Font(bold=True)
    book.save(tmp_path / "a.xlsx")
    assert open_workbook(tmp_path / "a.xlsx").sheet("Sheet").rows == [["", ""], ["", ""], ["", 5.0]]


def long_xls(path: Path) -> bytearray:
    """An .xls whose cells take more than the short stream's 4,096 bytes; its sectors follow one another."""
    book = xlwt.Workbook()
    sheet = book.add_sheet("Commissioner")
    for row in range(2000):
        sheet.write(row, 0, f"row {row}")
    book.save(str(path))
    return bytearray(path.read_bytes())


def circle(data: bytearray) -> None:
    """The fifth sector is followed by the third."""
    (table,) = struct.unpack_from("<I", data, 76)
    struct.pack_into("<I", data, (table + 1) * 512 + 4 * 5, 3)


def wide_dimensions(data: bytearray) -> None:
    at = data.find(struct.pack("<HH", 0x0200, 14))
    struct.pack_into("<IIHH", data, at + 4, 0, 0xFFFFFFFF, 0, 256)


def rows_backwards(data: bytearray) -> None:
    at = data.find(struct.pack("<HH", 0x0200, 14))
    struct.pack_into("<IIHH", data, at + 4, 500, 10, 0, 5)


def an_archive_too(data: bytearray) -> None:
    buffer = io.BytesIO()
    Xlsx().save(buffer)
    data += buffer.getvalue()


@pytest.mark.parametrize("spoil", [circle, wide_dimensions, rows_backwards, an_archive_too])
def test_an_xls_that_would_lead_the_parser_astray(spoil: Callable[[bytearray], None], tmp_path: Path) -> None:
    path = tmp_path / "MAR-Apr-17.xls"
    data = long_xls(path)
    assert len(open_workbook(path).sheet("Commissioner").rows) == 2000
    spoil(data)
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"a damaged workbook \((its sectors|the dimensions|it holds a ZIP archive)"):
        open_workbook(path)


@pytest.mark.parametrize(
    ("part", "said"),
    [
        ("xl/workbook.bin", r"a binary workbook \(\.xlsb\)"),
        ("word/document.xml", "a Word document"),
        ("April.xls", "a ZIP archive that holds no workbook"),
    ],
)
def test_an_archive_of_another_kind(part: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "April.xls"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(part, "x")
    with pytest.raises(DataError, match=f"{said}[\\s\\S]*as an Excel workbook"):
        open_workbook(path)
