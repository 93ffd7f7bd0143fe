"""Figures and tables in a report: captioned, cross-referenced, described in words, with their numbers to download."""

from __future__ import annotations

import os
from pathlib import Path

from IPython.display import Markdown

from analysis.figures.theme import Figure
from analysis.files import write_table, write_text
from analysis.results import Results
from analysis.tables.table import Table

NUMBERS = "csv"  # folder of the downloads, beside the reports


def show_figure(results: Results, name: str, figure: Figure, folder: str = "") -> Markdown:
    """The figure as ``@fig-NAME``; its SVG and CSV will stand beside the reports, or beside those of a ``folder``."""
    picture = results.work.staged / folder / "figures" / f"{name}.svg"
    write_text(figure.svg, picture)
    write_table(figure.data, results.work.staged / folder / NUMBERS / f"fig-{name}.csv")
    alt = figure.alt.replace('"', "'")
    caption = f"{figure.caption} Source: {results.dataset_name}. {_link(f'fig-{name}')}"
    return Markdown(f'![{caption}]({_relative(picture)}){{#fig-{name} fig-alt="{alt}"}}')


def show_table(results: Results, name: str, table: Table, folder: str = "") -> Markdown:
    """The table as ``@tbl-NAME``, with its note; its CSV will stand beside the reports, or beside those of a ``folder``."""
    write_table(table.data, results.work.staged / folder / NUMBERS / f"tbl-{name}.csv")
    widths = f' tbl-colwidths="{list(table.widths)}"' if table.widths else ""
    note = f"{table.note} Source: {results.dataset_name}. {_link(f'tbl-{name}')}".strip()
    return Markdown(
        f"{table.markdown()}\n\n: {table.caption} {{#tbl-{name}{widths}}}\n\n::: {{.table-note}}\n{note}\n:::"
    )


def _link(name: str) -> str:
    return f"[Numbers as CSV]({NUMBERS}/{name}.csv)"


def _relative(path: Path) -> str:
    return os.path.relpath(path, Path.cwd())
