"""Figures and tables in a report: captioned, cross-referenced, described in words, with their numbers to download."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from urllib.parse import quote

from IPython.display import Markdown

from analysis.core.files import write_table, write_text
from analysis.core.scratch import scratch_folder
from analysis.core.untrusted import references
from analysis.publish.contents import KEY
from analysis.reporting.figure import Figure
from analysis.reporting.results import Results
from analysis.reporting.table import Table

SORTABLE = Path(__file__).with_name("sortable.html")
END = "\n\n"  # of a block: Quarto joins what a cell shows with a single newline
NUMBERS = "csv"  # folder of the downloads, beside the reports


def show_figure(results: Results, name: str, figure: Figure, folder: str = "") -> Markdown:
    """The figure as ``@fig-NAME``; its SVG and CSV will stand beside the reports, or beside those of a ``folder``."""
    staged = _staged(results) / folder
    picture = staged / "figures" / f"{name}.svg"
    write_text(references(figure.svg), picture)
    write_table(figure.data, staged / NUMBERS / f"fig-{name}.csv")
    alt = figure.alt.replace('"', "'")
    caption = f"{figure.caption} Source: {figure.source or results.dataset_name}. {_link(f'fig-{name}')}"
    title = re.sub(r"\*\*(.*?)\*\*.*", r"\1", figure.caption, flags=re.DOTALL)
    return Markdown(
        f'![{caption}]({_relative(picture)}){{#fig-{name} fig-alt="{alt}"}}{END}',
        metadata=_entry(f"fig-{name}", title, f"figures/{name}.svg"),
    )


def show_table(results: Results, name: str, table: Table, folder: str = "") -> Markdown:
    """The table as ``@tbl-NAME``, with its note; its CSV will stand beside the reports, or beside those of a ``folder``."""
    write_table(table.data, _staged(results) / folder / NUMBERS / f"tbl-{name}.csv")
    widths = f' tbl-colwidths="{list(table.widths)}"' if table.widths else ""
    note = f"{table.note} Source: {table.source or results.dataset_name}. {_link(f'tbl-{name}')}".strip()
    return Markdown(
        f"{table.markdown()}\n\n: {table.caption} {{#tbl-{name}{widths}}}\n\n::: {{.table-note}}\n{note}\n:::{END}",
        metadata=_entry(f"tbl-{name}", table.caption),
    )


def sortable(*names: str) -> Markdown:
    """What lets a reader of the page sort and filter these tables; the PDF and a page without scripts have them as they are."""
    selector = ", ".join(f"#tbl-{name}" for name in names)
    script = SORTABLE.read_text(encoding="utf-8").replace("SELECTOR", json.dumps(selector))
    return Markdown(f"```{{=html}}\n{script}```\n")


def _staged(results: Results) -> Path:
    """Where the files stand until the reports are moved to their place; a draft by hand makes the folder as a run does."""
    staged = results.work.staged
    return staged if staged.exists() else scratch_folder(staged)


def _entry(identity: str, title: str, picture: str = "") -> dict[str, dict[str, str]]:
    """For the index of all figures and tables; files as seen from the document."""
    return {KEY: {"identity": identity, "title": title, "numbers": f"{NUMBERS}/{identity}.csv", "picture": picture}}


def _link(name: str) -> str:
    return f"[Numbers as CSV]({NUMBERS}/{name}.csv)"


def _relative(path: Path) -> str:
    """The path as a link's target: what Markdown would take for the end of the link is escaped."""
    return quote(os.path.relpath(path, Path.cwd()))
