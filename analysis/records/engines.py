"""Where expressions run: DuckDB on one machine, Spark on many, or a database that Ibis reaches."""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ibis
import ibis.expr.types as ir

from analysis.errors import MachineError, UsageError
from analysis.records.extract import Extract

DUCKDB, SPARK = "duckdb", "spark"
BUCKET_ROWS = 4_000_000  # that a window over persons may hold at once on one machine
MEMORY = "2GB"


@ibis.udf.scalar.builtin(name="hash", signature=(("string",), "uint64"))
def _hash(text):  # type: ignore[no-untyped-def]
    """DuckDB's own; that of Ibis makes each hash a signed number by way of a string of bits, which takes time."""


@dataclass(frozen=True)
class Engine:
    """``connection`` to what runs; ``private``: the folder that rows may be written to, and that nothing leaves uncontrolled."""

    name: str
    connection: Any
    private: Path

    def read(self, extract: Extract) -> ir.Table:
        """The extract as one table, every column as it comes."""
        if extract.table:
            return self.connection.table(extract.table)
        files = [str(file) for file in extract.files]
        if self.name == SPARK:  # Ibis hands Spark one path; it takes many
            reader = self.connection._session.read
            rows = reader.parquet(*files) if extract.kind == ".parquet" else reader.csv(files, header=True)
            rows.createOrReplaceTempView("extract")
            return self.connection.table("extract")
        if extract.kind == ".parquet":
            return self.connection.read_parquet(files, table_name="extract")
        return self.connection.read_csv(files, table_name="extract", all_varchar=True, delim=",", header=True)

    def by_person(self, episodes: ir.Table, rows: int) -> Iterator[ir.Table]:
        """The same rows in tables that each hold whole persons.

        On one machine they are written, by a 64-bit hash of the person that also stands in for the token, to the private folder, so that
        memory does not grow with the extract. Two of 50 million persons share a hash with a probability below 1 in 10,000.
        """
        buckets = math.ceil(rows / BUCKET_ROWS)
        if self.name != DUCKDB:
            yield episodes
            return
        person = _hash(episodes.person)
        if buckets <= 1:
            yield episodes.mutate(person=person)
            return
        store = self.private / "store"
        shutil.rmtree(store, ignore_errors=True)
        try:
            self.connection.to_parquet(
                episodes.mutate(person=person, bucket=person % buckets), store, partition_by="bucket",
            )  # fmt: skip
            for folder in sorted(store.iterdir()):
                yield self.connection.read_parquet(str(folder / "*.parquet"), hive_partitioning=False)
                shutil.rmtree(folder)
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
    private.mkdir(parents=True, exist_ok=True, mode=0o700)
    if url:
        return Engine("database", ibis.connect(url), private)
    if name == DUCKDB:
        options: dict[str, Any] = {
            "memory_limit": MEMORY,
            "temp_directory": str(private / "spill"),
            "preserve_insertion_order": False,
        }
        if threads:
            options["threads"] = threads
        return Engine(DUCKDB, ibis.duckdb.connect(**options), private)
    if name == SPARK:
        return Engine(SPARK, ibis.pyspark.connect(_spark_session(private, master)), private)
    raise UsageError(f"ENGINE={name}: it must be one of {DUCKDB}, {SPARK}.")


def _spark_session(private: Path, master: str) -> Any:
    try:
        from pyspark.sql import SparkSession
    except ImportError as problem:
        raise MachineError("ENGINE=spark needs the package pyspark: install the extra `spark`.") from problem
    if shutil.which("java") is None:
        raise MachineError(
            "ENGINE=spark needs Java 17 or later, and there is no `java` here. Install it, or use ENGINE=duckdb."
        )
    settings = {
        "spark.ui.enabled": "false", "spark.ui.showConsoleProgress": "false", "spark.sql.session.timeZone": "UTC", "spark.local.dir": str(private / "spark"),
        "spark.sql.shuffle.partitions": "16", "spark.driver.memory": "3g", "spark.sql.warehouse.dir": str(private / "warehouse"),
        "spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1", "spark.log.level": "ERROR",
    }  # fmt: skip
    builder = SparkSession.builder.master(master).appName("vanguard-evaluation")
    for key, value in settings.items():
        if master.startswith("local") or key.startswith(("spark.ui", "spark.sql.session", "spark.log")):
            builder = builder.config(key, value)
    return builder.getOrCreate()
