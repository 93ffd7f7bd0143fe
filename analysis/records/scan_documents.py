"""PDF, Parquet and workbooks → texts and tables, with their metadata and the files attached to them."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pypdf import PdfReader
from pypdf.generic import (
    ArrayObject,
    ByteStringObject,
    DictionaryObject,
    IndirectObject,
    StreamObject,
    TextStringObject,
)

from analysis.records.scan_pieces import Closed, Packed, Pieces, Table, Text, Unreadable

OF_WRITERS = (b"ARROW:schema", b"pandas")  # metadata that Arrow and pandas write: the columns and their types


def pdf_pieces(content: bytes) -> Pieces:
    """The text of every page, every string of every object – comments, fields, bookmarks, descriptions, metadata – and the attachments."""
    reader = PdfReader(io.BytesIO(content))
    if reader.is_encrypted:
        raise Unreadable("it is encrypted")
    for number, page in enumerate(reader.pages, 1):
        yield Text(f"page {number}", page.extract_text())
    strings: list[str] = []
    for number in sorted({*reader.xref_objStm, *(n for objects in reader.xref.values() for n in objects)}):
        value = reader.get_object(IndirectObject(number, 0, reader))
        strings += _strings(value)
        if not isinstance(value, StreamObject):
            continue
        if value.get("/Subtype") == "/Image":
            yield Closed(f"object {number}", "a picture of pixels")
        elif value.get("/Type") in ("/EmbeddedFile", "/Metadata"):
            yield Packed(f"attachment {number}" if value["/Type"] == "/EmbeddedFile" else "metadata", value.get_data())
    yield Text("objects", "\n".join(strings))
    yield Packed("what stands after the document", content.rpartition(b"%%EOF")[2])


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, TextStringObject):
        yield str(value)
    elif isinstance(value, ByteStringObject):
        yield bytes(value).decode("latin-1")
    elif isinstance(value, DictionaryObject):
        for name, inner in value.items():
            yield from _strings(inner)
            if isinstance(inner, TextStringObject):
                yield f"{name}: {inner}"
    elif isinstance(value, ArrayObject):
        for inner in value:
            yield from _strings(inner)


def parquet_pieces(content: bytes) -> Pieces:
    """The rows, the least and greatest values that are kept of them, and whatever is written beside them."""
    file = pq.ParquetFile(pa.BufferReader(content))
    schema, footer = file.schema_arrow, file.metadata
    yield Table("", _plain(file.read()))
    yield Text(
        "metadata",
        "\n".join(
            [str(footer.created_by), *_notes(schema.metadata), *(note for field in schema for note in _of_field(field))]
        ),
    )
    for key, value in (schema.metadata or {}).items():
        if key == b"pandas":
            yield Packed("metadata of pandas", json.dumps(json.loads(value).get("attributes") or {}).encode())
        elif key not in OF_WRITERS:
            yield Packed(f"metadata {key.decode('utf-8', 'replace')}", value)
    bounds: dict[str, list[Any]] = {}
    for group in range(footer.num_row_groups):
        for at in range(footer.num_columns):
            column = footer.row_group(group).column(at)
            if column.is_stats_set and column.statistics.has_min_max:
                bounds.setdefault(column.path_in_schema, []).extend([column.statistics.min, column.statistics.max])
    for name, values in bounds.items():
        yield Table("statistics", pd.DataFrame({name: values}))


def _plain(table: pa.Table) -> pd.DataFrame:
    """Columns of lists, structures and bytes as texts; rows numbered from 1."""
    columns = {}
    for at, field in enumerate(table.schema):
        values = table.column(at)
        if pa.types.is_nested(field.type):
            columns[at] = pd.Series(
                [None if value is None else json.dumps(value, default=str) for value in values.to_pylist()],
                dtype=object,
            )
        elif (
            pa.types.is_binary(field.type)
            or pa.types.is_large_binary(field.type)
            or pa.types.is_fixed_size_binary(field.type)
        ):
            columns[at] = pd.Series(
                [None if value is None else value.decode("utf-8", "replace") for value in values.to_pylist()],
                dtype=object,
            )
        else:
            columns[at] = values.to_pandas()
    frame = pd.DataFrame(columns)
    return frame.set_axis(table.schema.names, axis="columns").set_axis(range(1, len(frame) + 1), axis="index")


def _of_field(field: pa.Field) -> Iterator[str]:
    yield field.name
    yield from _notes(field.metadata)
    for at in range(field.type.num_fields):
        yield from _of_field(field.type.field(at))


def _notes(metadata: dict[bytes, bytes] | None) -> Iterator[str]:
    for key, value in (metadata or {}).items():
        if key not in OF_WRITERS:
            yield f"{key.decode('utf-8', 'replace')}: {value.decode('utf-8', 'replace')}"


def workbook_pieces(content: bytes) -> Pieces:
    """The sheets of a workbook, hidden ones too; the first row of each has the names of its columns."""
    for name, sheet in pd.read_excel(
        io.BytesIO(content), sheet_name=None, header=None, dtype=object, engine="calamine"
    ).items():
        if len(sheet):
            names = ["" if pd.isna(value) else str(value) for value in sheet.iloc[0]]
            rows = sheet.iloc[1:].set_axis(names, axis="columns")
            yield Table(f"sheet {name}", rows.set_axis(range(2, len(sheet) + 1), axis="index"))
