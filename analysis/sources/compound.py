"""What an `.xls` workbook asks a parser to do: a compound file ("OLE") of sectors, one of whose streams holds the cells.

A parser believes the file: it follows a chain of sectors that leads round in a circle, and makes room for as many cells as lie
between the first and the last. Both are looked at here before the parser sees the bytes. See [MS-CFB] 2.2 to 2.6 and [MS-XLS] 2.4.
"""

from __future__ import annotations

import struct

import numpy as np

from analysis.sources.limits import NotAWorkbook, check_cells, damaged, protected

SIGNATURE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
HEADER = 512
SECTOR_SHIFTS = (9, 12)  # sectors of 512 or 4,096 bytes; the format knows no other
TABLES = 109  # sectors of the sector table that the header lists: files up to 6.8 MB; the largest published has 594 kB
FREE_SECTOR, LAST_SECTOR = 0xFFFFFFFF, 0xFFFFFFFA  # a sector in use has a number below the second
MINI_SECTOR, MINI_STREAM = 64, 4096  # a stream shorter than the second is kept in sectors of the first
ENTRY = 128  # bytes of an entry of the directory
ENCRYPTED = "EncryptedPackage".encode("utf-16-le")  # the name of the stream that a protected .xlsx is kept in
ARCHIVE_END = b"PK\x05\x06"  # the parser would look for an .xlsx workbook where it finds no other
WORKBOOKS = ("Workbook", "Book", "WORKBOOK", "BOOK")  # the stream of cells, by the version of Excel

# Records of the stream of cells
BOF, EOF, SHEET, DIMENSIONS, PASSWORD, SEVERAL = 0x0809, 0x000A, 0x0085, 0x0200, 0x002F, 0x00BD
CELLS = frozenset({0x0203, 0x0204, 0x00D6, 0x0205, 0x027E, 0x00FD, 0x0006, SEVERAL})
ROWS, COLUMNS = 65536, 256  # of a sheet in this format


def check(data: bytes) -> None:
    """Raise NotAWorkbook unless the file is a whole workbook whose cells the parser can hold.

    It is not where it is cut short; where sectors or records lead nowhere, or round in a circle; where it opens with a password;
    where its sheets have too many cells.
    """
    if len(data) < HEADER:
        raise _cut_short(data, HEADER)
    if ENCRYPTED in data:
        raise protected()
    _check_header(data)
    if _length(data) > len(data):
        raise _cut_short(data, _length(data))
    if ARCHIVE_END in data:
        raise damaged("it holds a ZIP archive as well")
    check_cells(extent for stream in _workbooks(data) for extent in _extents(stream))


def _cut_short(data: bytes, needed: int) -> NotAWorkbook:
    missing = needed - len(data)
    return NotAWorkbook(f"a file cut short: {len(data):,} bytes, at least {missing:,} more are missing")


def _check_header(data: bytes) -> None:
    """Compare the header with the format and the file's length.

    The parser takes the counts in it at their word and asks for as much memory, until the system ends the whole run.
    """
    order, shift, mini_shift = struct.unpack_from("<HHH", data, 28)
    directory, table, mini_table, further_tables = (struct.unpack_from("<I", data, at)[0] for at in (40, 44, 64, 72))
    (cutoff,) = struct.unpack_from("<I", data, 56)
    sound = (order, mini_shift, cutoff) == (0xFFFE, 6, MINI_STREAM) and shift in SECTOR_SHIFTS
    if not sound or max(directory, table, mini_table, further_tables) > len(data) >> shift:
        raise damaged("its header describes what the file cannot hold")


def _length(data: bytes) -> int:
    """Bytes that the file must have for every sector that it says is in use."""
    (sector_shift,) = struct.unpack_from("<H", data, 30)
    (table_sectors,) = struct.unpack_from("<I", data, 44)
    sector = 1 << sector_shift
    per_table = sector // 4
    needed = 0
    for index, location in enumerate(struct.unpack_from(f"<{min(table_sectors, TABLES)}I", data, 76)):
        offset = (location + 1) * sector
        if offset + sector > len(data):
            return offset + sector
        table = struct.unpack_from(f"<{per_table}I", data, offset)
        used = [position for position, entry in enumerate(table) if entry != FREE_SECTOR]
        if used:
            needed = (index * per_table + used[-1] + 2) * sector
    return needed


def _workbooks(data: bytes) -> list[bytes]:
    """The stream of cells; two of them where an older version of Excel was to read the file as well."""
    (shift,) = struct.unpack_from("<H", data, 30)
    (directory,) = struct.unpack_from("<I", data, 48)
    mini_table, _, further = struct.unpack_from("<III", data, 60)
    if further < LAST_SECTOR:
        raise damaged(f"its table of sectors has more than {TABLES} parts")
    sector = 1 << shift
    body = data[sector:]  # the header takes the first sector's place
    listed = [number for number in struct.unpack_from(f"<{TABLES}I", data, 76) if number < LAST_SECTOR]
    table = np.frombuffer(b"".join(_sector(body, number, sector) for number in listed), "<u4")
    entries = _chain(body, table, directory, sector)
    streams: dict[str, tuple[int, int]] = {}
    for at in range(0, len(entries) - ENTRY + 1, ENTRY):
        name = entries[at : at + 64].decode("utf-16-le", "replace").partition("\0")[0]
        streams.setdefault(name, struct.unpack_from("<II", entries, at + 116))
    found = [streams[name] for name in WORKBOOKS if name in streams]
    if not found:
        raise NotAWorkbook("an Office file that holds no workbook")
    root, root_size = struct.unpack_from("<II", entries, 116)
    small = _chain(body, table, root, sector)[:root_size]
    small_table = np.frombuffer(_chain(body, table, mini_table, sector), "<u4")
    return [
        _chain(body, table, start, sector)[:size]
        if size >= MINI_STREAM
        else _chain(small, small_table, start, MINI_SECTOR)[:size]
        for start, size in found
    ]


def _chain(body: bytes, table: np.ndarray, number: int, size: int) -> bytes:
    """The sectors from ``number`` on, in the order that the table gives."""
    parts: dict[int, bytes] = {}
    while number < LAST_SECTOR:
        if number >= len(table) or number in parts:
            raise damaged("its sectors lead nowhere, or round in a circle")
        parts[number] = _sector(body, number, size)
        number = int(table[number])
    return b"".join(parts.values())


def _sector(body: bytes, number: int, size: int) -> bytes:
    start = number * size
    if start >= len(body):
        raise damaged(f"its sector {number} lies beyond its end")
    return body[start : start + size].ljust(size, b"\0")


def _extents(stream: bytes) -> list[tuple[int, int]]:
    """Rows and columns of each sheet of a stream of cells."""
    extents, records = [], 0
    for start in _sheets(stream):
        rows, columns, end = _extent(stream, start)
        records += end - start
        if records > len(stream):
            raise damaged("two of its sheets lie in the same place")
        extents.append((rows, columns))
    return extents


def _sheets(stream: bytes) -> list[int]:
    """Where each sheet begins, as the first records of the stream say."""
    found, at = [], 0
    while at + 4 <= len(stream):
        kind, size = struct.unpack_from("<HH", stream, at)
        if kind == EOF:
            break
        if kind == PASSWORD and stream[at + 4 : at + 4 + min(size, 2)].strip(b"\0"):
            raise protected()
        if kind == SHEET and size >= 4:
            found.append(struct.unpack_from("<I", stream, at + 4)[0])
        at += 4 + size
    return found


def _extent(stream: bytes, at: int) -> tuple[int, int, int]:
    """Rows and columns, counted from A1, of the cells of the sheet that begins at ``at``, and where its records end."""
    last_row = last_column = -1
    depth, unpack, end = 0, struct.Struct("<HHHH").unpack_from, len(stream) - 8
    while at <= end:
        kind, size, row, column = unpack(stream, at)
        if kind in CELLS:
            if kind == SEVERAL and 6 <= size <= end - at + 4:
                (column,) = struct.unpack_from("<H", stream, at + 2 + size)
            if row > last_row:
                last_row = row
            if column > last_column:
                last_column = column
        elif kind == DIMENSIONS:
            _check_dimensions(stream[at + 4 : at + 4 + size])
        elif kind == BOF:
            depth += 1
        elif kind == EOF:
            depth -= 1
            if depth <= 0:
                break
        at += 4 + size
    return last_row + 1, last_column + 1, at


def _check_dimensions(record: bytes) -> None:
    """The parser makes room for as many cells as this record says, whatever there are."""
    forms = {14: "<IIHH", 10: "<HHHH"}
    if len(record) in forms:  # the parser refuses it otherwise
        first_row, last_row, _, last_column = struct.unpack_from(forms[len(record)], record)
        if 0 < last_row < first_row or last_row * last_column > ROWS * COLUMNS:
            raise damaged(f"the dimensions of a sheet are {last_row:,} rows and {last_column:,} columns")
