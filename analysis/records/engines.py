"""Where expressions run: DuckDB on one machine, Spark on many, or a database that Ibis reaches."""

from __future__ import annotations

import math
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ibis
import ibis.expr.types as ir

from analysis.core.errors import DataError, UsageError
from analysis.records.databases import open_database, open_table
from analysis.records.delimited import Layout
from analysis.records.extract import NO_VALUE, Extract, Part, check_types, column_names, key_pattern
from analysis.records.private import private_folder
from analysis.records.spark import part_on_spark, spark_session

DUCKDB, SPARK = "duckdb", "spark"
BUCKET_ROWS = 4_000_000  # that a window over persons may hold at once on one machine
MEMORY = "2GB"
SPILL = "spill"  # the folder in the private one for what does not fit into memory
FILE = "the file of the row"  # a name that no column of a file has


@ibis.udf.scalar.builtin(name="hash", signature=(("string",), "uint64"))
def _hash(text):  # type: ignore[no-untyped-def]
    """DuckDB's own; that of Ibis makes each hash a signed number by way of a string of bits, which takes time."""


@dataclass(frozen=True)
class Engine:
    """``connection`` to what runs; ``private``: the folder that rows may be written to, and that nothing leaves uncontrolled."""

    name: str
    connection: Any
    private: Path

    def read(self, extract: Extract) -> tuple[ir.Table, ...]:
        """The columns that are read of each part of an extract, under their HES names; an instant as the clock of its zone shows it.

        Raises
        ------
        UsageError
            The database has no such table.
        DataError
            The table lacks a column, or has one of another type.
        """
        if extract.table:
            table = open_table(self.connection, extract.table)
            names = column_names(f"table {extract.table}", table.columns, extract.column_map, extract.asked)
            check_types(f"table {extract.table}", table.schema().to_pyarrow(), names)
            return (table.select(**{column: _clock(table[name]) for column, name in names.items()}),)
        read = part_on_spark if self.name == SPARK else part_on_duckdb
        return tuple(read(self.connection, part, f"extract_{number}") for number, part in enumerate(extract.parts))

    def key_of(self, person: ir.StringValue) -> ir.Value:
        """What stands in for the person in the tables of ``by_person``."""
        return _hash(person) if self.name == DUCKDB else person

    def by_person(
        self, episodes: ir.Table, rows: int, spells_of: Callable[[ir.Table], ir.Table]
    ) -> Iterator[ir.Table]:
        """``spells_of`` the same rows in tables that each hold whole persons; each result is there until the next is asked for.

        On one machine the rows are held in memory while their spells are made or, where they are many, written, by a 64-bit hash of the person that
        also stands in for the token, to the private folder, so that memory does not grow with the extract. Two of 50 million persons share a hash
        with a probability below 1 in 10,000.
        """
        if self.name != DUCKDB:
            with spells_of(episodes).cache() as spells:
                yield spells
            return
        person, buckets = self.key_of(episodes.person), math.ceil(rows / BUCKET_ROWS)
        if buckets <= 1:
            with episodes.mutate(person=person).cache() as table:
                spells = spells_of(table).cache()
            with spells:
                yield spells
            return
        store = self.private / "store"
        shutil.rmtree(store, ignore_errors=True)
        try:
            self.connection.to_parquet(
                episodes.mutate(person=person, bucket=person % buckets), store, partition_by="bucket",
            )  # fmt: skip
            for folder in sorted(store.iterdir()):
                files = [_exactly(file) for file in folder.iterdir()]
                with spells_of(self.connection.read_parquet(files, hive_partitioning=False)).cache() as spells:
                    shutil.rmtree(folder)
                    yield spells
        finally:
            shutil.rmtree(store, ignore_errors=True)


def open_engine(
    name: str, private: Path, master: str = "local[*]", threads: int | None = None, url: str = ""
) -> Engine:
    """An engine whose rows stay in ``private``.

    Raises
    ------
    UsageError
        There is no such engine.
    MachineError
        It is not installed, or does not start.
    """
    options = on_duckdb(private_folder(private))
    if threads:
        options["threads"] = threads
    if url:
        return Engine("database", open_database(url, options), private)
    if name == DUCKDB:
        return Engine(DUCKDB, in_utc(ibis.duckdb.connect(**options)), private)
    if name == SPARK:
        session = spark_session(private, master)  # which says what is not installed, before Ibis looks for it
        return Engine(SPARK, ibis.pyspark.connect(session), private)
    raise UsageError(f"ENGINE={name}: it must be one of {DUCKDB}, {SPARK}.")


def on_duckdb(private: Path) -> dict[str, Any]:
    """DuckDB's settings, by which rows that do not fit into memory stay in ``private``."""
    return {"memory_limit": MEMORY, "temp_directory": str(private / SPILL), "preserve_insertion_order": False}


def for_one_file() -> Any:
    """A connection to look at one file at a time; of what it reads, nothing is written to a disk."""
    return in_utc(ibis.duckdb.connect(memory_limit=MEMORY, preserve_insertion_order=False, temp_directory=""))


def in_utc(connection: Any) -> Any:
    """So that no time zone of the machine comes between an instant and its date."""
    connection.raw_sql("set timezone = 'UTC'")
    return connection


def _clock(value: ir.Value) -> ir.Value:
    """An instant as a clock in UTC shows it; a database keeps no zone of a column."""
    kind = value.type()
    return value.cast("timestamp") if kind.is_timestamp() and kind.timezone else value


def part_on_duckdb(connection: Any, part: Part, view: str) -> ir.Table:
    columns = ", ".join(
        f"{_of_folder_in_sql(name) if column in part.in_folders else _clock_in_sql(name, part.zones.get(column))} as {column}"
        for column, name in part.names.items()
    )
    files = ", ".join(_text(_exactly(file)) for file in part.files)
    options = "hive_partitioning=false" + (f", filename={_text(FILE)}" if part.in_folders else "")
    reader = (
        f"read_csv([{files}], {_options(part.layout)}, {options})"
        if part.layout
        else f"read_parquet([{files}], {options})"
    )
    connection.raw_sql(f"create or replace temp view {view} as select {columns} from {reader}")
    return connection.table(view)


def numbered_on_duckdb(connection: Any, part: Part, column: str) -> str:
    """The name of a view [number, value] of a column of the one Parquet file of a part, its rows numbered from 0."""
    value = _clock_in_sql(part.names[column], part.zones.get(column))
    rows = f"read_parquet({_text(_exactly(part.files[0]))}, hive_partitioning=false, file_row_number=true)"
    connection.raw_sql(
        f"create or replace temp view numbered as select file_row_number as number, {value} as value from {rows}"
    )
    return "numbered"


def _exactly(file: Path) -> str:
    """A path as DuckDB's pattern of this file alone.

    Raises
    ------
    DataError
        There is no such pattern.
    """
    path = str(file)
    pattern = re.sub(r"([\[*?])", r"[\1]", path)
    if pattern != path and "\\" in path:
        raise DataError(
            path, "a name with a backslash and one of * ? [", "a name with either", "Rename the file or folder."
        )
    return pattern


def _options(layout: Layout) -> str:
    """All that DuckDB would else guess from the first rows."""
    columns = ", ".join(f"{_text(column)}: 'varchar'" for column in layout.columns)
    return (
        f"auto_detect=false, header=true, delim={_text(layout.delimiter)}, quote='\"', escape='\"', compression='{layout.compression}', "
        f"columns={{{columns}}}"
    )


def _clock_in_sql(name: str, zone: str | None) -> str:
    column = '"' + name.replace('"', '""') + '"'
    if not zone:
        return column
    if zone[0] in "+-":
        return (
            f"cast(timezone('UTC', cast({column} as timestamptz)) as timestamp) + interval '{_minutes(zone)} minutes'"
        )
    return f"cast(timezone({_text(zone)}, cast({column} as timestamptz)) as timestamp)"


def _of_folder_in_sql(key: str) -> str:
    value = f'url_decode(regexp_extract("{FILE}", {_text(key_pattern(key))}, 1))'
    return f"nullif({value}, '{NO_VALUE}')"


def _minutes(zone: str) -> int:
    """East of Greenwich, of a zone written as +01:00."""
    hours, minutes = zone[1:3], zone[-2:] if len(zone) > 3 else "0"
    return (-1 if zone[0] == "-" else 1) * (60 * int(hours) + int(minutes))


def _text(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
