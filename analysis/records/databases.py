"""A table of a database by its address: opened for reading, and nothing made where there is none."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import ibis
import ibis.expr.types as ir
from ibis.common.exceptions import IbisError
from ibis.util import backend_entry_points

from analysis.core.errors import DataError, EvaluationError, MachineError, UsageError
from analysis.records.addresses import SCHEME, shown, without_secrets

# How the files of a database begin, by the scheme of the address: bytes, and where they stand.
MAGIC = {"duckdb": (b"DUCK", 8), "sqlite": (b"SQLite format 3\x00", 0)}


def open_database(url: str, options: dict[str, Any]) -> Any:
    """A connection to the database at a URL; ``options`` are DuckDB's.

    Raises
    ------
    UsageError
        There is no such kind of database, or no such file.
    DataError
        The file is no such database.
    MachineError
        The driver is not installed, or the database does not answer.
    """
    scheme = url.partition("://")[0]
    if scheme not in {entry.name for entry in backend_entry_points()} | {"postgresql"}:
        kind = f" of the kind {scheme!r}" if SCHEME.fullmatch(scheme) else " of that kind"
        raise UsageError(
            f"EXTRACT={shown(url)}: there is no database{kind}; duckdb, sqlite, postgres and mssql are some that there are."
        )
    try:
        if scheme not in MAGIC:
            return ibis.connect(url)
        file = _file_of(url, *MAGIC[scheme])
        if scheme == "sqlite":
            return _spilling_to(options["temp_directory"], ibis.sqlite.connect(file))
        connection = ibis.duckdb.connect(file, read_only=True, **options)
        connection.raw_sql("set timezone = 'UTC'")
        return connection
    except (ImportError, ModuleNotFoundError) as problem:
        raise MachineError(
            f"EXTRACT={shown(url)}: the driver is not installed: install the package ibis-framework[{scheme}]."
        ) from problem
    except EvaluationError:
        raise
    except Exception as problem:  # each driver has exceptions of its own
        raise MachineError(f"EXTRACT={shown(url)}: the database does not open: {_reason(problem, url)}") from problem


def _spilling_to(folder: str, connection: Any) -> Any:
    """A connection to SQLite whose temporary files are in a folder; in memory, where SQLite was built without that choice."""
    Path(folder).mkdir(exist_ok=True, mode=0o700)
    quoted = folder.replace("'", "''")
    connection.con.execute(f"pragma temp_store_directory = '{quoted}'")
    if connection.con.execute("pragma temp_store_directory").fetchall() != [(folder,)]:
        connection.con.execute("pragma temp_store = memory")
    return connection


def open_table(connection: Any, name: str) -> ir.Table:
    """A table or view, with its schema before a dot where it is not in the usual one.

    Raises
    ------
    UsageError
        There is none of the name, or it cannot be opened.
    """
    schema, _, table = name.rpartition(".")
    for arguments in [(name,), (table, schema)] if schema else [(name,)]:
        try:
            opened = (
                connection.table(arguments[0], database=arguments[1]) if len(arguments) > 1 else connection.table(name)
            )
            unknown = [column for column, kind in opened.schema().items() if kind.is_unknown()]
            return opened.drop(*unknown)
        except Exception as problem:  # each driver has exceptions of its own
            why = problem
    known = isinstance(why, IbisError)
    raise UsageError(
        f"EXTRACT=…#{name}: the database has no table or view {name!r}"
        + ("." if known else f" that opens ({type(why).__name__}).")
    ) from why


def _file_of(url: str, magic: bytes, offset: int) -> Path:
    parts = urlsplit(url)
    named = parts.netloc + parts.path
    file = next((path for path in (Path(named), Path(unquote(named))) if named and path.is_file()), None)
    if file is None:
        raise UsageError(f"EXTRACT={shown(url)}: there is no such file; nothing was made.")
    try:
        with open(file, "rb") as handle:
            beginning = handle.read(offset + len(magic))
    except OSError as problem:
        raise MachineError(
            f"{file}: cannot be read ({problem.strerror}). Check the file and its permissions."
        ) from problem
    if beginning[offset:] != magic:
        raise DataError(file, "no database of this kind", f"a {parts.scheme} database", "Name the database's own file.")
    return file


def _reason(problem: BaseException, url: str) -> str:
    """What a driver gives as the reason, without the secrets of the address."""
    line = (str(problem).strip().splitlines() or [type(problem).__name__])[0]
    return without_secrets(line, url)
