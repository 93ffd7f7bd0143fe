"""An extract as it comes – Parquet or CSV, in one file or many, or a table of a database – checked before long work begins."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from analysis.errors import DataError, UsageError

DATE, WHOLE, TEXT, EMPTY = "a date", "a whole number", "text", "nothing"

# Columns of HES Admitted Patient Care (HES data dictionary: Admitted Patient Care) that are read, and what each holds.
COLUMNS = {
    "EPIKEY": TEXT, "TOKEN_PERSON_ID": TEXT, "ADMIDATE": DATE, "DISDATE": DATE, "EPISTART": DATE, "EPIEND": DATE, "EPIORDER": WHOLE,
    "EPISTAT": WHOLE, "ADMIMETH": TEXT, "ADMISORC": TEXT, "CLASSPAT": TEXT, "PROCODE3": TEXT, "CCG_RESPONSIBILITY": TEXT,
    "STARTAGE": WHOLE, "DIAG_01": TEXT, "GPPRAC": TEXT,
}  # fmt: skip
IF_ASKED = ("STARTAGE", "GPPRAC")  # for counts by age or practice alone
OTHER_NAMES = {"TOKEN_PERSON_ID": ("ENCRYPTED_HESID", "HESID"), "PROCODE3": ("PROCODE",)}
SUFFIXES = (".parquet", ".csv")


@dataclass(frozen=True)
class Extract:
    """``files`` of one ``kind`` (``.parquet`` or ``.csv``), or a ``table`` of the database at ``url``; ``names``: HES column → the extract's."""

    files: tuple[Path, ...]
    kind: str
    names: Mapping[str, str]
    url: str = ""
    table: str = ""


def find_extract(place: str, column_map: Mapping[str, str], asked: Collection[str] = ()) -> Extract:
    """The files of an extract, their columns found, or a database's table (``URL#table``).

    Every file's header or footer is read, and nothing more. ``asked``: which of ``IF_ASKED`` must be there.

    Raises
    ------
    UsageError
        There is nothing of the kind.
    DataError
        A file is cut short, has no rows, or is not UTF-8; a column is missing or of another type; two files differ.
    """
    if "://" in place:
        url, _, table = place.partition("#")
        if not table:
            raise UsageError(f"EXTRACT={place}: name the table after a #, as in duckdb:///folder/file.db#episodes.")
        return Extract((), "database", {}, url, table)
    path = Path(place)
    if not path.exists():
        raise UsageError(f"EXTRACT={place}: there is no such file or folder.")
    files = sorted(file for file in path.rglob("*") if file.suffix in SUFFIXES) if path.is_dir() else [path]
    kinds = sorted({file.suffix for file in files})
    if len(kinds) != 1 or kinds[0] not in SUFFIXES:
        what = " and ".join(kinds) or "no such file"
        raise UsageError(f"EXTRACT={place}: it must hold Parquet or CSV files of one kind; found {what}.")
    for folder in [path, *path.rglob("*")] if path.is_dir() else []:
        if folder.is_dir() and not any(folder.iterdir()):
            raise DataError(
                folder, "an empty folder", "a partition with files", "Complete the extract, or remove the folder."
            )
    read = _parquet_columns if kinds[0] == ".parquet" else _csv_columns
    first = read(files[0])
    names = column_names(files[0], list(first), column_map, asked)
    _check_types(files[0], first, names)
    for file in files[1:]:
        held = read(file)
        for column, name in names.items():
            if name not in held:
                raise DataError(
                    file,
                    f"no column {name}",
                    f"the columns of {files[0].name}",
                    "Write every file of the extract alike.",
                    column=name,
                )
            if held[name] != first[name] and EMPTY not in (held[name], first[name]):
                raise DataError(
                    file, f"{name} as {held[name]}", f"{first[name]}, as in {files[0].name}", "Write every file of the extract alike.",
                    column=column,
                )  # fmt: skip
    return Extract(tuple(files), kinds[0], names)


def with_columns(
    source: Extract, held: Sequence[str], column_map: Mapping[str, str], asked: Collection[str]
) -> Extract:
    """An extract that is a table of a database, its columns found among those it holds.

    Raises
    ------
    DataError
        As ``column_names``.
    """
    return replace(source, names=column_names(f"table {source.table}", held, column_map, asked))


def column_names(
    file: Path | str, held: Sequence[str], column_map: Mapping[str, str], asked: Collection[str] = ()
) -> dict[str, str]:
    """HES column → its name in the extract: as the protocol's map says, else the name itself or another that HES has for it, in any case.

    Raises
    ------
    DataError
        A column is not there; the message names the nearest.
    """
    upper = {name.upper(): name for name in held}
    found = {}
    for column in [name for name in COLUMNS if name in asked or name not in IF_ASKED]:
        wanted = [column_map[column]] if column in column_map else [column, *OTHER_NAMES.get(column, ())]
        there = [upper[name.upper()] for name in wanted if name.upper() in upper]
        if not there:
            near = difflib.get_close_matches(wanted[0].upper(), upper, 1, 0.6)
            meant = f" Is {upper[near[0]]} it?" if near else ""
            raise DataError(
                file, f"no column {wanted[0]}.{meant}", f"a column {wanted[0]} ({COLUMNS[column]})",
                f'Rename it, or say {column} = "its name" in [records.columns] of the protocol.', column=wanted[0],
            )  # fmt: skip
        found[column] = there[0]
    return found


def _parquet_columns(file: Path) -> dict[str, str]:
    try:
        footer = pq.read_metadata(file)
    except (pa.ArrowInvalid, OSError) as problem:
        raise DataError(
            file, "a file that is cut short, or no Parquet file", "a whole Parquet file", "Copy the extract anew."
        ) from problem
    if footer.num_rows == 0:
        raise DataError(file, "no rows", "a partition with rows", "Complete the extract, or remove the file.")
    return {field.name: _type_of(field.type) for field in footer.schema.to_arrow_schema()}


def _type_of(kind: pa.DataType) -> str:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if pa.types.is_date(kind) or pa.types.is_timestamp(kind):
        return DATE
    if pa.types.is_integer(kind):
        return WHOLE
    if pa.types.is_null(kind):
        return EMPTY
    return TEXT if pa.types.is_string(kind) or pa.types.is_large_string(kind) else str(kind)


def _csv_columns(file: Path) -> dict[str, str]:
    with open(file, "rb") as handle:
        head = handle.read(1 << 16)
    try:
        text = head.decode("utf-8-sig", errors="strict" if len(head) < 1 << 16 else "ignore")
    except UnicodeDecodeError as problem:
        raise DataError(
            file, f"bytes that are not UTF-8 ({problem})", "CSV in UTF-8", "Save the file as UTF-8."
        ) from problem
    lines = text.splitlines()
    if len(lines) < 2:
        raise DataError(file, "no rows", "a header and rows", "Complete the extract, or remove the file.")
    names = [name.strip('"') for name in lines[0].split(",")]
    if len(names) == 1:
        sign = next((sign for sign in ";\t|" if sign in lines[0]), None)
        what = f"columns parted by {sign!r}" if sign else f"one column, {names[0]!r}"
        raise DataError(file, what, "columns parted by commas", "Write the file with commas.", row=1)
    return dict.fromkeys(names, TEXT)


def _check_types(file: Path, held: Mapping[str, str], names: Mapping[str, str]) -> None:
    """Text may hold anything, and is read as what it should be; a number is no date."""
    for column, name in names.items():
        wanted, kind = COLUMNS[column], held[name]
        if kind not in (wanted, TEXT, EMPTY) and not (wanted == TEXT and kind == WHOLE):
            raise DataError(file, f"{name} as {kind}", wanted, "Write the column as such.", column=name)
