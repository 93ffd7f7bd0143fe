"""A table as a reader sees it: text cells, alignment, caption, note, and the numbers behind it."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd


@dataclass(frozen=True)
class Table:
    """``cells`` are text with headers that carry units; ``numeric`` names the columns to align right; ``data`` goes to CSV."""

    cells: pd.DataFrame
    numeric: tuple[str, ...]
    caption: str
    data: pd.DataFrame
    note: str = ""

    def markdown(self) -> str:
        """Pipe table without its caption; a column's share of the width is that of its widest cell."""
        headers = list(self.cells.columns)
        widths = [max(3, min(40, *[max(len(name), self.cells[name].str.len().max())])) for name in headers]
        rules = [
            "-" * (width - 1) + (":" if name in self.numeric else "-")
            for name, width in zip(headers, widths, strict=True)
        ]
        rows = [[cell.replace("|", "\\|") for cell in row] for row in self.cells.itertuples(index=False)]
        return "\n".join(f"| {' | '.join(row)} |" for row in [headers, rules, *rows])
