"""Spoilt inputs for every reader: a good one of each, and ways to spoil it."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

import xlwt
from hypothesis import strategies as st
from sources.mar_workbook import MarWorkbook

from analysis.core.tabular import read_table
from analysis.panel.cohorts import read_cohorts
from analysis.protocol.protocol import load_protocol
from analysis.sources import ae, dtoc
from analysis.sources.ae import read_ae
from analysis.sources.dtoc import read_dtoc
from analysis.sources.manifest import read_manifest
from analysis.sources.mar import read_mar
from analysis.sources.ons import AGES, read_mid2015, read_mid2018
from analysis.sources.workbook import open_workbook

Grid = list[list[Any]]
MONTH = date(2017, 4, 1)
LONGEST = 32_000  # characters that a cell of an Excel workbook takes

# What people and programs put into cells, and what no reader may stumble over.
CELLS = st.one_of(
    st.sampled_from(
        ["", "-", "England", "Code", "Org Code", "Period:", "01H", "#REF!", "=1+1", "n/a", "*", "1,234", " 7 "]
    ),
    st.sampled_from([-1, 0, 1, 0.5, 1e300, -1e300, 10**9, True]),
    st.dates(date(1901, 1, 1), date(2200, 1, 1)),
    st.datetimes(datetime(1901, 1, 1), datetime(2200, 1, 1)),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    st.integers(100, LONGEST).map(lambda size: "x" * size),
)


@dataclass(frozen=True)
class Reader:
    """``read`` a file of this ``suffix``; ``good`` are the bytes of one that reads cleanly; ``sheets`` its cells, if a workbook."""

    read: Callable[[Path], object]
    good: bytes
    suffix: str
    sheets: dict[str, Grid] | None = None


def readers(repository: Path, folder: Path) -> dict[str, Reader]:
    """Every reader of the project's inputs, by name."""
    known = {"01H", "01K", "X24"}
    cohorts = (repository / "data_raw/vanguard_ccgs.csv").read_bytes()
    codes = set(read_table(repository / "data_raw/vanguard_ccgs.csv", ["ccg_code"]).ccg_code)
    models = ["MCP", "PACS"]
    manifest = b"\n".join((repository / "data_raw/manifest.csv").read_bytes().splitlines()[:8]) + b"\n"
    ons2018 = 'Area Codes,Area Names,All Ages\nE38000001,NHS ONE,"196,525"\nE38000002,NHS TWO,1000\nW1,Wales,5\n'
    return {
        "mar": _workbook(lambda path: read_mar(path, MONTH, known), _mar(folder)),
        "dtoc": _workbook(lambda path: read_dtoc(path, MONTH), _dtoc()),
        "ae": _workbook(read_ae, _ae()),
        "ons": _workbook(read_mid2015, _ons()),
        "ons of 2018": Reader(read_mid2018, ons2018.encode(), ".csv"),
        "cohorts": Reader(lambda path: read_cohorts(path, known | codes, models), cohorts, ".csv"),
        "protocol": Reader(load_protocol, (repository / "analysis/protocol.toml").read_bytes(), ".toml"),
        "manifest": Reader(read_manifest, manifest, ".csv"),
    }


@st.composite
def spoilt_sheets(draw: st.DrawFn, sheets: dict[str, Grid]) -> dict[str, Grid]:
    """The sheets with cells overwritten, rows and columns lost, doubled, moved or cut, sheets renamed or lost."""
    spoilt = {name: [list(row) for row in grid] for name, grid in sheets.items()}
    for _ in range(draw(st.integers(1, 4))):
        name = draw(st.sampled_from(sorted(spoilt)))
        grid = spoilt[name]
        at = draw(st.integers(0, max(len(grid) - 1, 0)))
        what = draw(
            st.sampled_from(
                ["cell", "cell", "cell", "cell", "drop", "double", "cut", "move", "column", "rename", "clear"]
            )
        )
        if what == "rename":
            new = draw(st.sampled_from(["Sheet1", name.upper(), "x"]))
            spoilt = {other: rows for other, rows in spoilt.items() if other.lower() != new.lower()} | {new: grid}
        elif what == "clear":
            spoilt[name] = []
        elif not grid:
            continue
        elif what == "cell":
            row = grid[at]
            row += [""] * max(0, 3 - len(row))
            row[draw(st.integers(0, len(row) - 1))] = draw(CELLS)
        elif what == "drop":
            del grid[at]
        elif what == "double":
            grid.insert(at, list(grid[at]))
        elif what == "cut":
            del grid[at:]
        elif what == "move":
            grid.insert(draw(st.integers(0, len(grid) - 1)), grid.pop(at))
        else:
            column = draw(st.integers(0, max(map(len, grid))))
            for row in grid:
                del row[column : column + 1]
    return spoilt


@st.composite
def spoilt_bytes(draw: st.DrawFn, good: bytes) -> bytes:
    """The file with bytes overwritten, put in, lost, doubled, or cut off."""
    content = bytearray(good)
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, max(len(content) - 1, 0)))
        size = draw(st.integers(1, 64))
        what = draw(st.sampled_from(["write", "write", "write", "insert", "delete", "double", "cut", "header"]))
        new = draw(
            st.one_of(
                st.binary(min_size=1, max_size=8),
                st.sampled_from([b"\0", b"\xff" * 8, b'"', b"\n", b",", "−é".encode()]),
            )
        )
        if what == "write":
            content[at : at + len(new)] = new
        elif what == "insert":
            content[at:at] = new
        elif what == "delete":
            del content[at : at + size]
        elif what == "double":
            content[at:at] = content[at : at + size]
        elif what == "cut":
            del content[at:]
        else:  # where a workbook keeps its table of contents
            start = at % 512
            content[start : start + len(new)] = new
    return bytes(content)


def write(sheets: dict[str, Grid]) -> bytes:
    """An `.xls` workbook."""
    book = xlwt.Workbook()
    dates = {date: xlwt.easyxf(num_format_str="MMM-YY"), datetime: xlwt.easyxf(num_format_str="YYYY-MM-DD HH:MM")}
    for name, grid in (sheets or {"empty": []}).items():
        sheet = book.add_sheet(name, cell_overwrite_ok=True)
        for number, row in enumerate(grid):
            for position, cell in enumerate(row):
                if cell != "":
                    sheet.write(number, position, cell, dates.get(type(cell), xlwt.Style.default_style))
    buffer = io.BytesIO()
    book.save(buffer)
    return buffer.getvalue()


def _workbook(read: Callable[[Path], object], sheets: dict[str, Grid]) -> Reader:
    return Reader(read, write(sheets), ".xls", sheets)


def _mar(folder: Path) -> dict[str, Grid]:
    workbook = open_workbook(MarWorkbook().write(folder / "good.xls"))
    return {name: workbook.sheet(name).rows for name in ("Commissioner", "Notes")}


def _dtoc() -> dict[str, Grid]:
    def sheet(parts: dict[str, str], lines: list[list[float]]) -> Grid:
        title: Grid = [[""], ["", "Period:", "April 2017"], [""]]
        header = ["", "Region", "ONS Geography", "Code", "Name", *parts]
        total = ["", "", "", "-", "England", *map(sum, zip(*lines, strict=True))]
        areas = [["", "North", "E10000001", "716", "One"], ["", "North", "E10000002", "00KB", "Two"]]
        return [*title, header, total, *(area + line for area, line in zip(areas, lines, strict=True))]

    return {
        "LA - by type of care": sheet(dtoc.TYPE_OF_CARE, [[3.0, 4.0, 7.0], [1.0, 1.0, 2.0]]),
        "LA - by responsible org": sheet(dtoc.RESPONSIBLE, [[3.0, 3.0, 1.0, 7.0], [2.0, 0.0, 0.0, 2.0]]),
    }


def _ae() -> dict[str, Grid]:
    counts = [5.0, 3.0, 2.0, 10.0, 2.0, 1.0, 1.0, 4.0, 3.0, 7.0]
    assert len(counts) == len(ae.MEASURES)
    months = [date(2017, month, 1) for month in range(1, 6)]
    return {ae.SHEET: [["Title"], ["", "Period", *ae.MEASURES], *(["", month, *counts] for month in months)]}


def _ons() -> dict[str, Grid]:
    lines = [[float(size * len(AGES)), *[float(size)] * len(AGES)] for size in (30, 20, 10)]
    names = [["E92000001", "ENGLAND"], ["E38000001", "ONE"], ["E38000002", "TWO"]]
    header = ["Area Codes", "Area Names", "All Ages", *map(float, AGES)]
    return {"Mid-2015 Persons": [["Title"], header, *(name + line for name, line in zip(names, lines, strict=True))]}
