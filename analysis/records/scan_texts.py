"""JSON, delimited text and any other text → texts and tables."""

from __future__ import annotations

import csv
import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import pandas as pd

from analysis.records.scan_pieces import Pieces, Table, Text

DELIMITED = (".csv", ".tsv", ".psv", ".tab")
DELIMITERS = ",;\t|"
ALIKE = 0.8  # of the lines, as many have the same number of cells in a table
ALIGNED, BLANKS = "", re.compile(r"\s{2,}|\t")
TRIED = 200  # lines of a delimited file, from which its delimiter shows


def json_pieces(text: str) -> Pieces:
    """Every text, name and number of JSON, and as tables its objects that have the same names; or of one JSON a line."""
    try:
        values = [json.loads(text)]
    except ValueError:
        try:
            values = [json.loads(line) for line in text.splitlines() if line.strip()]
        except ValueError:
            yield from plain_pieces(text, "")
            return
    strings: list[str] = []
    objects: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for value in values:
        _collect(value, (), strings, objects)
    yield Text("text", "\n".join(strings))
    for names, rows in objects.items():
        place = f"objects with {', '.join(names[:3])}{', …' if len(names) > 3 else ''}"
        yield Table(place, pd.DataFrame(rows, columns=list(names), index=range(1, len(rows) + 1)))


def _collect(
    value: Any, names: tuple[str, ...], strings: list[str], objects: dict[tuple[str, ...], list[dict[str, Any]]]
) -> None:
    """``names``: those under which the value is; a number is an object with each of them too."""
    if isinstance(value, dict):
        strings.extend(map(str, value))
        if value:
            flat = {name: None if isinstance(inner, dict | list) else inner for name, inner in value.items()}
            objects.setdefault(tuple(value), []).append(flat)
        for name, inner in value.items():
            _collect(inner, (*names, name), strings, objects)
    elif isinstance(value, list):
        if (
            value
            and all(isinstance(row, list) for row in value)
            and value[0]
            and all(isinstance(cell, str) for cell in value[0])
        ):
            for row in value[1:]:  # a table as rows of cells under a row of names
                objects.setdefault(tuple(value[0]), []).append(dict(zip(value[0], row, strict=False)))
        for inner in value:
            _collect(inner, names, strings, objects)
    elif value is not None and not isinstance(value, bool):
        strings.append(str(value))
        if isinstance(value, int | float):
            for name in dict.fromkeys(names):
                objects.setdefault((name,), []).append({name: value})


def plain_pieces(text: str, suffix: str) -> Pieces:
    """A table, if the lines are one, and the text as it is."""
    table = _table(text, suffix)
    if table is not None:
        yield Table("", table)
    if table is None or suffix not in DELIMITED:
        yield Text("text", text)


def _table(text: str, suffix: str) -> pd.DataFrame | None:
    """The lines as a table: delimited, or aligned with blanks; None where they are no table."""
    named = suffix in DELIMITED
    beginning = "\n".join(text.split("\n", TRIED)[:TRIED]) if named else text
    delimiters = [delimiter for delimiter in DELIMITERS if delimiter in beginning]
    lines_of = {delimiter: list(_delimited(beginning, delimiter)) for delimiter in delimiters} | {
        ALIGNED: list(_aligned(beginning))
    }
    best = max(lines_of, key=lambda delimiter: _evenness(lines_of[delimiter]))
    even, _ = _evenness(lines_of[best])
    if not named and (len(lines_of[best]) < 2 or even < ALIKE):
        return None
    lines = list(_delimited(text, best if even else ",")) if named and best != ALIGNED else lines_of[best]
    usual = Counter(len(cells) for _, cells in lines).most_common(1)[0][0]
    at = next(at for at, (_, cells) in enumerate(lines) if len(cells) in (usual, usual - 1))
    width = max(len(cells) for _, cells in lines)
    header = [""] * (usual - len(lines[at][1])) + lines[at][1]  # of an index, which has no name
    names = [name.strip() for name in header] + [""] * (width - len(header))
    rows = [*lines[:at], *lines[at + 1 :]]
    cells = [row + [""] * (width - len(row)) for _, row in rows]
    return pd.DataFrame(cells, columns=names, index=[number for number, _ in rows])


def _delimited(text: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """The number of each line, and its cells."""
    csv.field_size_limit(2**31 - 1)
    reader = csv.reader(text.splitlines(keepends=True), delimiter=delimiter)
    for cells in reader:
        if cells:
            yield reader.line_num, cells


def _aligned(text: str) -> Iterator[tuple[int, list[str]]]:
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            yield number, BLANKS.split(line.strip())


def _evenness(lines: Sequence[tuple[int, list[str]]]) -> tuple[float, int]:
    """The share of lines that have the most usual number of cells, if that is two or more, and that number."""
    if not lines:
        return 0.0, 0
    width, times = Counter(len(cells) for _, cells in lines).most_common(1)[0]
    return (times / len(lines), width) if width > 1 else (0.0, 0)
