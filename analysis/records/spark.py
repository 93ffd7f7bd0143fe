"""Reads the files of an extract with Spark, which is an extra: nothing of it is imported before it is asked for."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from typing import Any

import ibis.expr.types as ir

from analysis.core.errors import DataError, MachineError
from analysis.records.delimited import GZIP
from analysis.records.extract import NO_VALUE, Part, key_pattern


def part_on_spark(connection: Any, part: Part, view: str) -> ir.Table:
    from pyspark.sql import functions, types

    # Spark takes these characters for patterns:
    files = [re.sub(r"([][{}*?\\])", r"\\\1", str(file)) for file in part.files]
    reader = connection._session.read
    if part.layout:
        packed = part.layout.compression == GZIP
        for file in part.files:
            if packed != file.name.lower().endswith(".gz"):  # by which Spark knows
                raise DataError(
                    file, "gzip under another name" if packed else "a name in .gz, and plain text", "packed files alone in .gz", "Rename the file."
                )  # fmt: skip
        stored = {name: f"c{at}" for at, name in enumerate(part.layout.columns)}
        schema = types.StructType([types.StructField(name, types.StringType()) for name in stored.values()])
        rows = reader.csv(
            files,
            schema=schema,
            header=True,
            enforceSchema=True,
            sep=part.layout.delimiter,
            quote='"',
            escape='"',
            mode="FAILFAST",
            multiLine=True,
        )
    else:
        stored = {name: name for name in part.names.values()}
        rows = reader.parquet(*files)
    columns = []
    for column, name in part.names.items():
        if column in part.in_folders:
            columns.append(_of_folder_on_spark(name).alias(column))
            continue
        value = rows["`" + stored[name].replace("`", "``") + "`"]
        zone = part.zones.get(column)
        columns.append((functions.from_utc_timestamp(value, zone) if zone else value).alias(column))
    rows.select(*columns).createOrReplaceTempView(view)
    return connection.table(view)


def _of_folder_on_spark(key: str) -> Any:
    from pyspark.sql import functions

    def decoded(text: Any) -> Any:
        return functions.url_decode(functions.replace(text, functions.lit("+"), functions.lit("%2B")))

    path = decoded(functions.col("_metadata.file_path"))  # as an address, in which the name itself may be encoded
    value = decoded(functions.regexp_extract(path, key_pattern(key), 1))
    return functions.nullif(value, functions.lit(NO_VALUE))


def spark_session(private: Path, master: str) -> Any:
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
        "spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1", "spark.log.level": "OFF",  # which shows rows; what fails is raised
        "spark.sql.csv.parser.columnPruning.enabled": "false",  # else a row with too many or too few cells is not noticed
    }  # fmt: skip
    # Spark prefers these variables to its settings; on a cluster they are of this machine alone, where results come together.
    os.environ["SPARK_LOCAL_DIRS"] = settings["spark.local.dir"]
    os.environ.pop("SPARK_EXECUTOR_DIRS", None)
    builder = SparkSession.builder.master(master).appName("vanguard-evaluation")
    for key, value in settings.items():
        if master.startswith("local") or key.startswith(
            ("spark.ui", "spark.sql.session", "spark.sql.csv", "spark.log")
        ):
            builder = builder.config(key, value)
    return builder.getOrCreate()
