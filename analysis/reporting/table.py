"""A table as a reader sees it: text cells, alignment, caption, note, and the numbers behind it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pandas as pd

from analysis.reporting.results import Estimate, Results
from analysis.reporting.wording import NO_BREAK, p_text, signed, span

NONE = "–"  # what could not be made


@dataclass(frozen=True)
class Table:
    """``cells`` are text with headers that carry units; ``numeric`` names the columns to align right; ``data`` goes to CSV.

    ``source``: of the numbers, where it is not the data set alone. ``widths``: shares of the page's width, in percent, of a table whose columns would crowd one another; else they fit the cells.
    """

    cells: pd.DataFrame
    numeric: tuple[str, ...]
    caption: str
    data: pd.DataFrame
    note: str = ""
    source: str = ""
    widths: tuple[int, ...] = ()

    def markdown(self) -> str:
        """Pipe table without its caption; a column's share of the width is that of its widest cell, or of its header in two lines."""
        headers = list(self.cells.columns)
        widths = [max(3, min(40, max([_two_lines(name), *map(len, self.cells[name])]))) for name in headers]
        rules = [
            "-" * (width - 1) + (":" if name in self.numeric else "-")
            for name, width in zip(headers, widths, strict=True)
        ]
        rows = [[cell.replace("|", "\\|") for cell in row] for row in self.cells.itertuples(index=False)]
        return "\n".join(f"| {' | '.join(row)} |" for row in [headers, rules, *rows])


def _two_lines(text: str) -> int:
    """Characters of a line that holds half of the text, or its longest word; headers are bold, and so a little wider."""
    return max(len(text) // 2, *[len(word) for word in text.split(" ")]) + 1


def number(value: float, digits: int = 1) -> str:
    """A change in percent without its sign for percent, which the column's header has."""
    if math.isnan(value):
        return NONE
    return signed(value, digits).removesuffix("%")


def bounds(estimate: Estimate | None, digits: int = 1) -> str:
    return NONE if estimate is None or math.isnan(estimate.low) else span(estimate, digits).replace("%", "")


def p_value(estimate: Estimate | None) -> str:
    return NONE if estimate is None else p_number(estimate.p_value)


def values(estimate: Estimate | None) -> tuple[float, float, float, float]:
    """Value, ends and p-value for the CSV; NaN where there is no estimate."""
    return (math.nan,) * 4 if estimate is None else (estimate.value, estimate.low, estimate.high, estimate.p_value)


def p_number(value: float) -> str:
    """0.66, < 0.001: a p-value without the letter, which the column's header has."""
    if math.isnan(value):
        return NONE
    return p_text(value).removeprefix("p").removeprefix(f"{NO_BREAK}=").strip()


def unbroken(text: str) -> str:
    """An interval that breaks over a line before its parenthesis only."""
    value, mark, rest = text.partition(" (")
    return value + mark + rest.replace(" ", NO_BREAK)


def with_bounds(estimate: Estimate | None, digits: int = 1) -> str:
    """−1.2 (−7.2 to +5.3)."""
    return (
        NONE
        if estimate is None or math.isnan(estimate.value)
        else f"{number(estimate.value, digits)} ({bounds(estimate, digits)})"
    )


def fall_text(fall: float) -> str:
    """A detectable change; none where there is no estimate, or where no change of any size could have been found."""
    return f"{fall:.1f}" if math.isfinite(fall) else NONE


def periods(results: Results) -> dict[str, str]:
    """Term → period: the whole programme and, where the protocol asks for them, each of its years."""
    years = results.protocol.programme_years if results.protocol.specifications[0].years else []
    return {"att": "Whole programme"} | {f"att_{year.id}": year.label for year in years}
