"""The manifest pins every official file that the project reads, by SHA-256.

The manifest's dates are those the files print. One is put right: the July 2012 return prints "1th September 2012",
taken as Friday the 14th, since every other return of that year came out on a Friday in the middle of the month.
"""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import date
from pathlib import Path
from urllib.parse import urlsplit

from analysis.core.csv_rows import read_rows
from analysis.core.errors import DataError, MachineError, StudyError
from analysis.core.files import sha256

COLUMNS = (
    "source", "period", "file", "url", "sha256", "bytes", "publisher", "title", "published", "revised", "licence",
)  # fmt: skip
SUPERSEDED = (
    "superseded"  # a further column, which a manifest may lack: the day on which a later issue of the file was pinned
)
THIS_MACHINE = frozenset({"127.0.0.1", "::1", "localhost"})
MONTHLY_SOURCES = frozenset({"mar", "dtoc"})
LONGEST_NAME = 200  # bytes: systems take 255, and a file that is being written has a longer name for a while
UNSEEN = frozenset(
    {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
)  # control characters, marks of direction, bytes that are no text


@dataclass(frozen=True)
class Pin:
    """One official file. ``file`` is its path below a data folder; ``month`` is None for files that are not monthly."""

    source: str
    month: date | None
    file: str
    url: str
    sha256: str
    bytes: int
    publisher: str
    title: str
    published: date | None
    revised: date | None
    licence: str
    superseded: date | None = None


def read_manifest(path: Path, superseded_too: bool = False) -> list[Pin]:
    """Read and check the manifest, in its own order: the files in force, or those that a later issue superseded as well.

    Raises
    ------
    DataError
        The file or a column is missing; a period, hash, size, date or file path is malformed; a file is listed twice;
        a monthly source has a month twice that is in force. The message names the row.
    """
    header, lines = read_rows(path, "the manifest of the official files", "restore it from the repository")
    missing = [column for column in COLUMNS if column not in header]
    if missing:
        raise DataError(path, f"no column {', '.join(missing)}", ", ".join(COLUMNS), "restore the header", row=1)
    pins = _pins(path, header, lines)
    return [pin for pin in pins if superseded_too or pin.superseded is None]


def _pins(path: Path, header: list[str], lines: Mapping[int, list[str]]) -> list[Pin]:
    """Every row of a manifest; ``path`` is for messages."""
    pins = [_pin(path, line, dict(zip(header, cells, strict=True))) for line, cells in lines.items()]
    _refuse_twice(path, "file", [pin.file for pin in pins])
    in_force = [pin.month is not None and pin.superseded is None for pin in pins]
    months = [f"{pin.source} {pin.month:%Y-%m}" if there else None for pin, there in zip(pins, in_force, strict=True)]
    _refuse_twice(path, "period", months)
    return pins


def manifest_text(pins: Iterable[Pin]) -> str:
    """The manifest as it is written, which ``read_manifest`` reads back."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*COLUMNS, SUPERSEDED])
    for pin in pins:
        cells = {field.name: getattr(pin, field.name) for field in fields(pin)}
        cells["period"] = f"{pin.month:%Y-%m}" if pin.month else ""
        writer.writerow(["" if cells[name] is None else cells[name] for name in (*COLUMNS, SUPERSEDED)])
    return text.getvalue()


def readable_text(pins: Sequence[Pin], path: Path) -> str:
    """The manifest as it is written to ``path``, once it is certain that ``read_manifest`` reads the same rows back.

    Raises
    ------
    DataError
        As ``read_manifest``.
    """
    text = manifest_text(pins)
    header, *lines = csv.reader(io.StringIO(text, newline=""))
    rows = {number: cells for number, cells in enumerate(lines, start=2) if len(cells) == len(header)}
    if _pins(path, header, rows) != list(pins):
        raise DataError(path, "rows that would be read back as others", "the rows that were written", "report this")
    return text


def name_problem(name: str) -> str | None:
    """Why a text cannot be the name of a file below a data folder on any system, as a clause; None if it can.

    It stays in its folder: no separator, no root, no drive, no step up. It can be read where it is printed, and is short enough.
    """
    if not name or name in (".", ".."):
        return "is no name of a file"
    if set(name) & set("/\\:"):
        return "has a separator of folders or of a drive (/, \\ or :)"
    if any(unicodedata.category(letter) in UNSEEN for letter in name):
        return "has a line break or another character that cannot be seen"
    if name != name.strip() or name.endswith("."):
        return "begins or ends with a blank, or ends with a full stop"
    if len(name.encode()) > LONGEST_NAME:
        return f"has more than {LONGEST_NAME} bytes"
    return None


def required_months(
    pins: Iterable[Pin], source: str, start: date, end: date, window_from: str | Path = "the protocol"
) -> dict[date, Pin]:
    """The pin of each month of ``source`` from ``start`` to ``end``, both first days and both included.

    ``window_from`` is the file that gives the window, for the message.

    Raises
    ------
    StudyError
        Months of the window have no pin; the message names them.
    """
    by_month = {pin.month: pin for pin in pins if pin.source == source and pin.month}
    required = _months(start, end)
    absent = [f"{month:%B %Y}" for month in required if month not in by_month]
    if absent:
        raise StudyError(
            file="data_raw/manifest.csv",
            found=f"no {source} file for {', '.join(absent)}",
            expected=f"one for every month of the study window, {start:%B %Y} to {end:%B %Y}",
            action=f"add the file with its SHA-256 to the manifest, or change the window in {window_from}",
            column="period",
        )
    return {month: by_month[month] for month in required}


def pins_of(pins: Iterable[Pin], source: str) -> list[Pin]:
    """Every pin of one source, in the manifest's order."""
    return [pin for pin in pins if pin.source == source]


def locate(pin: Pin, folders: Sequence[Path | None]) -> Path | None:
    """The file in the first folder that has it; a folder that is None or does not exist has nothing."""
    for folder in folders:
        if folder is not None and (folder / pin.file).is_file():
            return folder / pin.file
    return None


def verify(path: Path, pin: Pin) -> Path:
    """Return ``path`` if its SHA-256 is the pinned one.

    Raises
    ------
    DataError
        It is not: another file, a re-issue, or a damaged copy.
    MachineError
        It cannot be read.
    """
    try:
        found = sha256(path)
    except OSError as error:
        raise MachineError(f"{path}: cannot be read ({error.strerror}). Check the file's permissions.") from error
    if found != pin.sha256:
        raise DataError(
            file=path,
            found=f"SHA-256 {found} ({path.stat().st_size:,} bytes)",
            expected=f"SHA-256 {pin.sha256} ({pin.bytes:,} bytes), as data_raw/manifest.csv pins {pin.file}",
            action="put the pinned file back or remove this one; if the publisher re-issued it and you want the "
            "re-issue, put it beside the pinned one under another name and run `make refresh`, which pins both",
        )
    return path


def permitted(url: str) -> bool:
    """Whether an address may be asked: over https, or on this machine."""
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        return False
    return bool(host) and (parts.scheme == "https" or (parts.scheme == "http" and host in THIS_MACHINE))


def _months(start: date, end: date) -> list[date]:
    first, last = start.year * 12 + start.month - 1, end.year * 12 + end.month - 1
    return [date(month // 12, month % 12 + 1, 1) for month in range(first, last + 1)]


def _pin(path: Path, number: int, row: dict[str, str]) -> Pin:
    def refuse(column: str, expected: str) -> DataError:
        return DataError(path, repr(row[column]), expected, "correct the manifest", row=number, column=column)

    def day(column: str) -> date | None:
        try:
            return date.fromisoformat(row[column]) if row.get(column) else None
        except ValueError as error:
            raise refuse(column, "a date as YYYY-MM-DD, or nothing") from error

    monthly = row["source"] in MONTHLY_SOURCES
    if (monthly or row["period"]) and not re.fullmatch(r"20\d\d-(0[1-9]|1[0-2])", row["period"]):
        raise refuse("period", "a month as YYYY-MM")
    if not re.fullmatch(r"[0-9a-f]{64}", row["sha256"]):
        raise refuse("sha256", "64 hexadecimal digits in lower case")
    if not re.fullmatch(r"[0-9]{1,15}", row["bytes"]):
        raise refuse("bytes", "the file's size in bytes")
    if any(map(name_problem, row["file"].split("/"))):
        raise refuse("file", "a path inside a data folder, such as mar/NAME.xls")
    if row["url"] and not permitted(row["url"]):
        raise refuse("url", "an address that begins with https://, or nothing")
    return Pin(
        source=row["source"],
        month=date.fromisoformat(f"{row['period']}-01") if row["period"] else None,
        file=row["file"],
        url=row["url"],
        sha256=row["sha256"],
        bytes=int(row["bytes"]),
        publisher=row["publisher"],
        title=row["title"],
        published=day("published"),
        revised=day("revised"),
        licence=row["licence"],
        superseded=day(SUPERSEDED),
    )


def _refuse_twice(path: Path, column: str, values: list[str | None]) -> None:
    first: dict[str, int] = {}
    for number, value in enumerate(values, start=2):
        if value is not None and value in first:
            raise DataError(
                path,
                f"{value} again, already in row {first[value]}",
                "each file, and each month of a monthly source, once",
                "remove the row that is not wanted",
                row=number,
                column=column,
            )
        if value is not None:
            first[value] = number
