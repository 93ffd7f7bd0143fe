"""An extract as it comes – Parquet or CSV, in one file or many, or a table of a database – and its columns, found file by file."""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import pyarrow as pa
import pyarrow.parquet as pq

from analysis.core.errors import DataError, UsageError
from analysis.records.addresses import is_address, shown
from analysis.records.delimited import Layout, count_rows, layout_of
from analysis.records.listing import PARQUET, list_files

DATE, WHOLE, TEXT, EMPTY, FRACTION = "a date", "a whole number", "text", "nothing", "a number with a fraction"

# Columns of HES Admitted Patient Care (HES data dictionary: Admitted Patient Care) that are read, and what each holds.
COLUMNS = {
    "EPIKEY": TEXT, "TOKEN_PERSON_ID": TEXT, "ADMIDATE": DATE, "DISDATE": DATE, "EPISTART": DATE, "EPIEND": DATE, "EPIORDER": WHOLE,
    "EPISTAT": WHOLE, "ADMIMETH": TEXT, "ADMISORC": TEXT, "CLASSPAT": TEXT, "PROCODE3": TEXT, "CCG_RESPONSIBILITY": TEXT,
    "STARTAGE": WHOLE, "DIAG_01": TEXT, "GPPRAC": TEXT,
}  # fmt: skip
IF_ASKED = ("STARTAGE", "GPPRAC")  # for counts by age or practice alone
# Names that HES had or has for the same, the first that is there being taken. DIAG_3_01 is not the same: it lacks the fourth character.
OTHER_NAMES = {
    "TOKEN_PERSON_ID": ("ENCRYPTED_HESID", "PSEUDO_HESID", "HESID"), "PROCODE3": ("PROCODE", "PROCODE5", "PROCODET"), "DIAG_01": ("DIAG_4_01",),
}  # fmt: skip
OTHER_THINGS = ("DIAG_3_01", "CCG_RESPONSIBILITY_ORIGIN", "STARTAGE_CALC")  # that a misspelt name is not taken for
KIND_OF_DECIMAL = {True: WHOLE, False: FRACTION}
UTC = "UTC"
NO_VALUE = "__HIVE_DEFAULT_PARTITION__"  # in the name of a folder


@dataclass(frozen=True)
class Part:
    """Files that are read alike, with the ``rows`` of each: ``names``: HES column → theirs, or the key in the names of their folders
    (ADMIMETH=21) for the columns ``in_folders``; ``zones``: HES column of instants → the time zone of its dates; ``types`` of the columns, of
    Parquet alone; ``layout``, of text alone."""

    files: tuple[Path, ...]
    rows: Mapping[Path, int]
    names: Mapping[str, str]
    in_folders: frozenset[str]
    zones: Mapping[str, str]
    types: tuple[str, ...] = ()
    layout: Layout | None = None


@dataclass(frozen=True)
class Extract:
    """``parts`` of files, or a ``table`` of the database at ``url`` whose columns are found once it is open.

    ``missing``: further markers of a missing value; ``codes``: all values of columns that need no trimming; ``not_read``:
    documents among the files; ``skipped``: hidden and temporary ones that hold rows.
    """

    parts: tuple[Part, ...] = ()
    url: str = ""
    table: str = ""
    column_map: Mapping[str, str] = field(default_factory=dict)
    asked: Collection[str] = ()
    missing: tuple[str, ...] = ()
    codes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    not_read: tuple[Path, ...] = ()
    skipped: tuple[Path, ...] = ()

    @property
    def files(self) -> tuple[Path, ...]:
        return tuple(sorted(file for part in self.parts for file in part.files))

    @property
    def is_parquet(self) -> bool:
        return bool(self.parts) and not any(part.layout for part in self.parts)

    @property
    def rows(self) -> int:
        """Rows of the files, as footers and lines tell them."""
        return sum(part.rows[file] for part in self.parts for file in part.files)

    def by_file(self) -> Iterator[Extract]:
        """One extract for each file, in order."""
        for file in self.files:
            part = next(part for part in self.parts if file in part.files)
            yield replace(self, parts=(replace(part, files=(file,)),))

    def column(self, name: str) -> str:
        """What the extract calls a HES column: its first files, where they differ."""
        return self.parts[0].names.get(name, name) if self.parts else name

    def persons(self) -> dict[str, int]:
        """The columns that hold the person → in how many files."""
        counts: Counter[str] = Counter()
        for part in self.parts:
            counts[part.names["TOKEN_PERSON_ID"].upper()] += len(part.files)
        return dict(counts)


def find_extract(
    place: str, column_map: Mapping[str, str], asked: Collection[str] = (), missing: Sequence[str] = ()
) -> Extract:
    """The files of an extract and their columns, or a database's table (``URL#table``).

    Every file's header or footer is read, and the rows of text are counted. ``asked``: which of ``IF_ASKED`` must be there; ``missing``: further markers of
    a missing value.

    Raises
    ------
    UsageError
        There is nothing of the kind.
    DataError
        A file is cut short, has no rows, is not UTF-8, or is neither data nor a document; a column is missing, there twice or of another type.
    """
    settings = Extract(column_map=column_map, asked=tuple(asked), missing=tuple(missing))
    if is_address(place):
        url, _, table = place.rpartition("#")
        if not (url and table):
            raise UsageError("EXTRACT: name the table after a #, as in duckdb:///folder/file.db#episodes.")
        return replace(settings, url=url, table=table)
    if shown(place) != place:
        raise UsageError(
            "EXTRACT: there is no such file or folder, and the value is not shown, since it seems to hold a password. "
            "An address of a database is URL#table, as in postgres://user@host/database#episodes."
        )
    listing = list_files(Path(place).absolute())  # some libraries take ~ at the beginning for a home folder
    parts: dict[tuple[object, ...], Part] = {}
    for file in listing.files:
        part = _parquet_part(file, settings) if listing.kind == PARQUET else _text_part(file, settings)
        key = (part.layout, part.types, part.in_folders, *part.names.items(), *part.zones.items())
        if key in parts:
            part = replace(part, files=(*parts[key].files, file), rows={**parts[key].rows, **part.rows})
        parts[key] = part
    return replace(settings, parts=tuple(parts.values()), not_read=listing.documents, skipped=listing.skipped)


def column_names(
    file: Path | str, held: Sequence[str], column_map: Mapping[str, str], asked: Collection[str] = (), keys: Sequence[str] = ()
) -> dict[str, str]:  # fmt: skip
    """HES column → its name in the extract: as the protocol's map says, else the name itself or another that HES has for it, in any case.

    ``keys`` of the folders are looked at for columns that are not ``held`` under any name.

    Raises
    ------
    DataError
        A column is not there, and the message names the nearest; or it is there twice.
    """
    upper, in_folders = _by_name(held), _by_name(keys)
    found = {}
    for column in [name for name in COLUMNS if name in asked or name not in IF_ASKED]:
        wanted = [column_map[column]] if column in column_map else [column, *OTHER_NAMES.get(column, ())]
        there = [names[name.upper()] for names in (upper, in_folders) for name in wanted if name.upper() in names]
        if not there:
            near = difflib.get_close_matches(wanted[0].upper(), set(upper) - {*OTHER_THINGS}, 1, 0.6)
            meant = f" Is {upper[near[0]][0]} it?" if near else ""
            raise DataError(
                file, f"no column {wanted[0]}.{meant}", f"a column {' or '.join(wanted)} ({COLUMNS[column]})",
                f'Rename it, or say {column} = "its name" in [records.columns] of the protocol.', column=wanted[0],
            )  # fmt: skip
        if len(there[0]) > 1:
            raise DataError(
                file, f"column {there[0][0]} twice", "each column once", "Write the file with one of them.", column=there[0][0]
            )  # fmt: skip
        found[column] = there[0][0]
    return found


def _by_name(names: Sequence[str]) -> dict[str, list[str]]:
    upper: dict[str, list[str]] = {}
    for name in names:
        upper.setdefault(name.strip().partition("#")[0].upper(), []).append(name)
    return upper


def _folder_keys(file: Path) -> list[str]:
    """Keys that Hive, Spark and others write into the names of folders, as in ADMIMETH=21."""
    return [folder.partition("=")[0] for folder in file.parent.parts if folder.partition("=")[0] != folder]


def type_of(kind: pa.DataType) -> str:
    """What a column of a type holds, in the words of ``COLUMNS``, or the type's own name."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if pa.types.is_date(kind) or pa.types.is_timestamp(kind):
        return DATE
    if pa.types.is_integer(kind):
        return WHOLE
    if pa.types.is_decimal(kind):
        return KIND_OF_DECIMAL[kind.scale == 0]
    if pa.types.is_floating(kind):
        return FRACTION
    if pa.types.is_null(kind):
        return EMPTY
    text = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
    return TEXT if any(is_text(kind) for is_text in text) else str(kind)


def check_types(file: Path | str, schema: pa.Schema, names: Mapping[str, str]) -> None:
    """Text may hold anything, and is read as what it should be; whole numbers, which some programs write with a fraction of zero, may be
    codes. A number is no date.

    Raises
    ------
    DataError
        A column is of another type.
    """
    for column, name in names.items():
        wanted, kind = COLUMNS[column], type_of(schema.field(name).type)
        if kind not in (wanted, TEXT, EMPTY) and (wanted == DATE or kind not in (WHOLE, FRACTION)):
            raise DataError(file, f"{name} as {kind}", wanted, "Write the column as such.", column=name)


def _parquet_part(file: Path, settings: Extract) -> Part:
    try:
        footer = pq.read_metadata(file)
        schema = footer.schema.to_arrow_schema()
    except (pa.ArrowException, OSError, ValueError) as problem:
        raise DataError(
            file, "a file that is cut short, or no Parquet file", "a whole Parquet file", "Copy the extract anew."
        ) from problem
    if footer.num_rows == 0:
        raise DataError(file, "no rows", "a partition with rows", "Complete the extract, or remove the file.")
    names = column_names(file, schema.names, settings.column_map, settings.asked, _folder_keys(file))
    own = {column: name for column, name in names.items() if name in schema.names}
    check_types(file, schema, own)
    stored = {footer.schema.column(at).path: footer.schema.column(at).physical_type for at in range(len(footer.schema))}
    zones = {column: _zone(file, name, schema.field(name).type, stored.get(name)) for column, name in own.items()}
    types = [schema.field(name).type for name in own.values()]
    plain = tuple(str(kind.value_type if pa.types.is_dictionary(kind) else kind) for kind in types)
    in_folders = frozenset(names.keys() - own.keys())
    return Part((file,), {file: footer.num_rows}, names, in_folders, {column: zone for column, zone in zones.items() if zone}, plain)


def _zone(file: Path, name: str, kind: pa.DataType, stored: str | None) -> str:
    """The time zone of a column of instants; empty for any other."""
    if not pa.types.is_timestamp(kind):
        return ""
    zone = kind.tz or (UTC if stored == "INT96" else "")  # the old form of an instant has no zone of its own
    if zone and zone[0] not in "+-":
        try:
            ZoneInfo(zone)
        except (ZoneInfoNotFoundError, ValueError, OSError) as problem:
            raise DataError(
                file, f"instants in the time zone {zone!r}", "a zone such as Europe/London", "Write the column as dates.", column=name
            ) from problem  # fmt: skip
    return zone


def _text_part(file: Path, settings: Extract) -> Part:
    layout = layout_of(file)
    names = column_names(file, layout.columns, settings.column_map, settings.asked, _folder_keys(file))
    in_folders = frozenset(column for column, name in names.items() if name not in layout.columns)
    return Part((file,), {file: count_rows(file, layout)}, names, in_folders, {}, layout=layout)


def key_pattern(key: str) -> str:
    """Of the value of a key in a path, to RE2 and Java."""
    return f"/{re.escape(key)}=([^/]*)/"
