"""The index's list of every figure and table of the reports, with their files."""

from __future__ import annotations

import pandas as pd

from analysis.reporting.table import Table


def contents_table(contents: pd.DataFrame) -> Table:
    """Each figure and table of the reports with links to where it stands and to its files; those of the sites stand in their own table."""
    found = contents[~contents.document.str.contains("/")]
    rows = [
        [
            row.document.replace("-", " ").capitalize(),
            "Figure" if row.picture else "Table",
            f"[{row.title.removesuffix('.')}]({row.document}.html#{row.identity})",
            f"[CSV]({row.numbers})" + (f", [SVG]({row.picture})" if row.picture else ""),
        ]
        for row in found.itertuples()
    ]
    return Table(
        cells=pd.DataFrame(rows, columns=["Report", "Kind", "Title", "Files"]),
        numeric=(),
        caption="Every figure and table of the reports, and its numbers",
        data=found,
        widths=(15, 9, 62, 14),
    )
