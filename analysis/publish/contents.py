"""What the documents hold: each figure and table, its title, and the files that it can be had as. The index lists it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import pandas as pd
from nbformat import NotebookNode

from analysis.core.tabular import read_table
from analysis.core.untrusted import unguarded

COLUMNS = ["document", "identity", "title", "numbers", "picture"]
KEY = "float"  # of the metadata of an output


def contents(notebook: NotebookNode, document: str) -> list[dict[str, str]]:
    """One row a figure or table of an executed notebook; the files as seen from the folder of all reports."""
    folder = PurePosixPath(document).parent
    rows = []
    for found in _floats(notebook):
        files = {name: str(folder / found[name]) if found[name] else "" for name in ("numbers", "picture")}
        rows.append({"document": document, **found, **files})
    return rows


def merged(earlier: Path | None, rows: Sequence[dict[str, str]], made: Sequence[str]) -> pd.DataFrame:
    """The table of contents with new rows for the documents just ``made``, the others' as they were ``earlier``."""
    table = pd.DataFrame(rows, columns=COLUMNS, dtype=str)
    if earlier and earlier.is_file():
        kept = unguarded(read_table(earlier, COLUMNS))
        table = pd.concat([kept[~kept.document.isin(made)], table])
    return table.sort_values("document", kind="stable", ignore_index=True)


def _floats(notebook: NotebookNode) -> list[dict[str, Any]]:
    every = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    found = [output.get("metadata", {}).get("text/markdown", {}).get(KEY) for output in every]
    return [entry for entry in found if entry]
