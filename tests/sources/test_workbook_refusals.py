"""Files that are not the workbook their name promises."""

from __future__ import annotations

import struct
from datetime import date
from pathlib import Path

import pytest
import xlwt
from mar_workbook import MarWorkbook
from openpyxl import Workbook as Xlsx
from xlwt.CompoundDoc import XlsDoc

from analysis.core.errors import DataError
from analysis.sources.mar import read_mar
from analysis.sources.workbook import Sheet, day_in, month_in, open_workbook

ERROR_PAGE = b"\n<!DOCTYPE html>\n<html><head><title>Page not found - NHS England</title></head><body>404</body></html>"
APRIL = date(2017, 4, 1)


def refusal(path: Path) -> DataError:
    with pytest.raises(DataError) as raised:
        read_mar(path, APRIL)
    assert raised.value.file == path
    assert raised.value.action
    return raised.value


def with_password(path: Path) -> Path:
    """The BIFF stream of a workbook with the FILEPASS record that every protected one has after its first record."""
    book = xlwt.Workbook()
    book.add_sheet("Commissioner").write(0, 0, "secret")
    stream = book.get_biff_data()
    first = 4 + struct.unpack_from("<H", stream, 2)[0]
    filepass = struct.pack("<HHHHH", 0x002F, 54, 1, 1, 1) + bytes(range(48))  # RC4: salt, verifier, its hash
    XlsDoc().save(str(path), stream[:first] + filepass + stream[first:])
    return path


def encrypted_package(path: Path) -> Path:
    """What Excel writes for a protected .xlsx: a compound file whose stream is called EncryptedPackage."""
    XlsDoc().save(str(path), bytes(8192))
    name = "EncryptedPackage".encode("utf-16-le")
    data = bytearray(path.read_bytes())
    entry = data.find("Workbook".encode("utf-16-le"))
    data[entry : entry + len(name)] = name
    struct.pack_into("<H", data, entry + 64, len(name) + 2)
    path.write_bytes(data)
    return path


def test_a_web_page_saved_as_xls(tmp_path: Path) -> None:
    path = tmp_path / "MAR-Apr-17.xls"
    path.write_bytes(ERROR_PAGE)
    error = refusal(path)
    assert "web page" in error.found and "<!DOCTYPE html>" in error.found
    assert "fetch the file again" in error.action


def test_an_empty_file_and_no_file(tmp_path: Path) -> None:
    path = tmp_path / "MAR-Apr-17.xls"
    assert refusal(path).found == "no such file"
    path.touch()
    assert "empty file" in refusal(path).found


def test_another_kind_of_file(tmp_path: Path) -> None:
    path = tmp_path / "MAR-Apr-17.xls"
    path.write_bytes(b"%PDF-1.7 a report")
    assert "%PDF-1.7" in refusal(path).found


@pytest.mark.parametrize("protect", [with_password, encrypted_package])
def test_a_protected_workbook(protect, tmp_path: Path) -> None:
    error = refusal(protect(tmp_path / "MAR-Apr-17.xls"))
    assert "password" in error.found
    assert "without the password" in error.action


def test_a_file_cut_short_anywhere(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    whole = MarWorkbook().write(tmp_path / "whole.xls")
    assert read_mar(whole, APRIL)
    data = whole.read_bytes()
    path = tmp_path / "MAR-Apr-17.xls"
    for length in (*range(8, len(data), 512), len(data) - 1):
        path.write_bytes(data[:length])
        assert "cut short" in refusal(path).found, f"{length} of {len(data)} bytes"
    # The parser was never asked: where it meets the end of the bytes it prints a crash report.
    assert "panicked" not in capfd.readouterr().err


def test_an_xlsx_cut_short(tmp_path: Path) -> None:
    path = tmp_path / "summary.xlsx"
    Xlsx().save(path)
    assert open_workbook(path).sheet_names == ["Sheet"]
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DataError, match="cut short"):
        open_workbook(path)


def test_damage_inside_a_file_of_the_right_length(tmp_path: Path) -> None:
    path = MarWorkbook().write(tmp_path / "MAR-Apr-17.xls")
    data = bytearray(path.read_bytes())
    data[512:4096] = b"\xff" * (4096 - 512)
    path.write_bytes(data)
    assert "damaged" in refusal(path).found


def test_addresses_are_those_a_spreadsheet_shows(tmp_path: Path) -> None:
    path = tmp_path / "book.xls"
    book = xlwt.Workbook()
    book.add_sheet("Data").write(4, 27, "Org  Code ")
    book.save(str(path))
    sheet = open_workbook(path).sheet("Data")
    row = sheet.find_row("Org Code", "a header")
    error = sheet.error("x", "y", "z", row=row, column=27)
    assert (error.row, error.column) == (5, "AB")
    assert [Sheet.letter(index) for index in (0, 25, 26, 701, 702)] == ["A", "Z", "AA", "ZZ", "AAA"]


@pytest.mark.parametrize(
    ("cell", "day"),
    [
        ("9th June 2017", date(2017, 6, 9)),
        ("11th July 2014", date(2014, 7, 11)),
        ("1st March 2013", date(2013, 3, 1)),
        ("1th September 2012", None),
        ("31st June 2013", None),
        ("-", None),
        ("", None),
    ],
)
def test_dates_in_a_title_block(cell: str, day: date | None) -> None:
    assert day_in(cell) == day


def test_the_month_in_a_title_block() -> None:
    assert month_in(" April  2017") == APRIL
    assert month_in("2017-18") is None
