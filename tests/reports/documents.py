"""A report's cells and inline expressions run in this process: its text, without a kernel and without rendering, in seconds."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import IPython.display
import nbformat
import pandas as pd
import pytest

import analysis.reporting.results
from analysis.core.files import write_table
from analysis.core.workspace import Workspace
from analysis.publish.check import check
from analysis.publish.notebook import INLINE_CODE, cell_options, map_prose, read_qmd, with_parameters
from analysis.publish.session import EXPRESSION
from analysis.publish.settings import bibliography
from analysis.reporting.results import Results, load_results

REPORTS = Path(__file__).parents[2] / "reports"
NO_NUMBER = re.compile(
    r"\b(?:nan|NaN|inf)\b|\bNone\b(?! (?:of|can)\b)"
)  # what a sentence must not hold in the place of a number


def text_of(results: Results, name: str, **parameters: str) -> str:
    """The Markdown of a report with everything filled in, checked as every report is before it is rendered."""
    source = REPORTS / f"{name}.qmd"
    notebook = with_parameters(read_qmd(source), parameters, source)
    names: dict[str, Any] = {}
    shown: list[Any] = []
    before = os.getcwd()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(analysis.reporting.results, "load_results", lambda: results)
        patch.setattr(IPython.display, "display", lambda *objects: shown.extend(objects))
        os.chdir(source.parent)
        try:
            for cell in notebook.cells:
                if cell.cell_type == "code" and cell_options(cell.source).get("eval", True):
                    shown.clear()
                    exec(compile(cell.source, f"{source.name}, line {cell.metadata['line']}", "exec"), names)
                    cell.outputs = [
                        nbformat.v4.new_output("display_data", {"text/markdown": each.data}) for each in shown
                    ]
                elif cell.cell_type == "markdown":
                    cell.metadata["written"] = cell.source
                    cell.source = map_prose(
                        cell.source, lambda text, _: INLINE_CODE.sub(lambda c: _value(c, names), text)
                    )
            check(notebook, source, bibliography())
        finally:
            os.chdir(before)
    outputs = {cell.id: [o.data["text/markdown"] for o in cell.get("outputs", [])] for cell in notebook.cells}
    return "\n\n".join(
        "\n\n".join(outputs[cell.id]) if cell.cell_type == "code" else cell.source for cell in notebook.cells
    )


def _value(code: re.Match[str], names: dict[str, Any]) -> str:
    expression = EXPRESSION.fullmatch(code[2]) if len(code[1]) == 1 else None
    if not expression:
        return code[0]
    value = eval(expression[1].strip(), names)
    return str(getattr(value, "data", value))


def every_text(work: Workspace) -> dict[str, str]:
    """Report → its text, of all reports and of each site's brief; each must hold no broken number."""
    texts = {}
    results = load_results(work)
    for name in ("evaluation", "appendix", "data-quality", "reconciliation", "refresh"):
        texts[name] = text_of(load_results(work), name)
    for site in results.sites.site.unique():
        texts[site] = text_of(load_results(work), "sites/brief", site=site)
    row = {"document": "evaluation", "identity": "tbl-a", "title": "A", "numbers": "csv/a.csv", "picture": ""}
    write_table(pd.DataFrame([row]), work.staged_contents)
    texts["index"] = text_of(load_results(work), "index").partition("```{=html}")[0]
    for name, text in texts.items():
        broken = NO_NUMBER.search(text)
        assert not broken, f"{name}: …{text[max(0, broken.start() - 150) : broken.end() + 80]}…"
    return texts
