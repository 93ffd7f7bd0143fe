"""What a cell showed, reduced to what both renderers print the same way on every run."""

from __future__ import annotations

import logging
import re

from nbformat import NotebookNode

MEMORY_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")
RICH = ("text/markdown", "text/html", "image/svg+xml", "image/png", "text/latex")


def tidy(notebook: NotebookNode) -> NotebookNode:
    """Keep one printable form of each output, in place, and nothing that changes from run to run.

    Plain text goes where a richer form exists (it may hold memory addresses). An HTML output is rewritten as Markdown
    holding an HTML block: as HTML, Quarto would load scripts for it from the network. What a cell wrote to standard
    error goes to this package's log, not into the report.
    """
    for number, cell in enumerate(notebook.cells):
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            cell.outputs = [kept for output in cell.outputs if (kept := _tidy_output(output, number))]
    return notebook


def _tidy_output(output: NotebookNode, number: int) -> NotebookNode | None:
    if output.output_type == "stream":
        if output.name == "stdout":
            return output
        logging.getLogger(__name__).warning("cell %d: %s", number, output.text.strip())
        return None
    data = output.data
    if not any(kind in data for kind in RICH):
        text = data.get("text/plain", "")
        return output if text and not MEMORY_ADDRESS.search(text) and not text.startswith("<") else None
    data.pop("text/plain", None)
    if "image/svg+xml" in data:
        data.pop("image/png", None)
    html = data.pop("text/html", None)
    if html is not None and "text/markdown" not in data:
        data["text/markdown"] = f"```{{=html}}\n{html.strip()}\n```\n"
    return output
