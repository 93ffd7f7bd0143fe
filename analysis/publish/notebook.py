"""A .qmd source read into a notebook, and what both need to know about Markdown fences and cell options."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
import yaml
from nbformat import NotebookNode

from analysis.core.errors import EvaluationError

FENCE = re.compile(r"^[ \t]*(`{3,}|~{3,})(.*)$")
CELL_FENCE = re.compile(r"^```+\s*\{python(?:[ ,][^}]*)?\}\s*$")
INLINE_CODE = re.compile(r"(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)", re.DOTALL)
LINKED_IMAGE = r"!\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)\s]+)\)"  # its caption, which may hold links, and its file
NUMBERED = "(?:fig|tbl|sec|eq)-"  # how the identities begin that Quarto numbers
OPTION = "#| "


@dataclass
class ReportError(EvaluationError):
    """A report's source or one of its results cannot become a document: which file, which line, what to do."""

    file: str | Path
    line: int | None
    found: str
    action: str

    def __str__(self) -> str:
        place = f"{self.file}" + (f", line {self.line}" if self.line else "")
        return f"{place}\n  found:    {self.found}\n  to do:    {self.action}"


def read_qmd(path: Path) -> NotebookNode:
    """Read a Quarto document into the notebook that Quarto would make of it.

    Front matter becomes a raw cell, ```` ```{python} ```` blocks become code cells with their ``#|`` options, and the
    rest stays Markdown. Each cell keeps its first source line in ``metadata["line"]``, and its id is its position.

    Raises
    ------
    ReportError
        A fence or the front matter is never closed, or its options are not YAML.
    """
    lines = path.read_text(encoding="utf-8").splitlines()
    cells: list[NotebookNode] = []
    for kind, first, text in _split(lines, path):
        if text.strip():
            cell = {"raw": nbformat.v4.new_raw_cell, "code": nbformat.v4.new_code_cell}.get(
                kind, nbformat.v4.new_markdown_cell
            )(text, metadata={"line": first}, id=f"cell-{len(cells)}")
            _check_options(cell, path)
            cells.append(cell)
    kernel = {"name": "python3", "language": "python", "display_name": "Python 3"}
    return nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})


def with_parameters(notebook: NotebookNode, parameters: dict[str, str], path: Path) -> NotebookNode:
    """The notebook with other values for what its cell tagged ``parameters`` sets, as Quarto's ``-P`` has it.

    Raises
    ------
    ReportError
        No cell is tagged so.
    """
    for cell in notebook.cells if parameters else []:
        if cell.cell_type == "code" and "parameters" in cell_options(cell.source).get("tags", []):
            cell.source += "".join(f"\n{name} = {value!r}" for name, value in parameters.items())
            break
    else:
        if parameters:
            action = "give the cell that sets the parameters the option tags: [parameters]"
            raise ReportError(path, None, "no cell for parameters", action)
    return notebook


def front_matter(notebook: NotebookNode) -> dict[str, Any]:
    """The document's own settings, from its first raw cell; empty when it has none."""
    for cell in notebook.cells[:1]:
        if cell.cell_type == "raw":
            return yaml.safe_load(cell.source.strip().removeprefix("---").removesuffix("---")) or {}
    return {}


def cell_options(source: str) -> dict[str, Any]:
    """The ``#|`` options at the top of a code cell."""
    return yaml.safe_load("\n".join(line[len(OPTION) :] for line in _option_lines(source))) or {}


def cell_code(source: str) -> str:
    """A code cell's source without its options, as a reader should see it."""
    return "\n".join(source.splitlines()[len(_option_lines(source)) :]).strip("\n")


def map_prose(markdown: str, change: Callable[[str, int], str]) -> str:
    """Apply ``change(text, first_line)`` to the parts of Markdown outside fenced code; lines count from 0."""
    parts: list[tuple[bool, int, list[str]]] = []
    fence = ""
    for number, line in enumerate(markdown.split("\n")):
        prose = not fence
        match = FENCE.match(line)
        if match and not fence:
            fence, prose = match[1], False
        elif match and _closes(match, fence):
            fence = ""
        if not parts or parts[-1][0] != prose:
            parts.append((prose, number, []))
        parts[-1][2].append(line)
    return "\n".join(change("\n".join(text), first) if prose else "\n".join(text) for prose, first, text in parts)


def _split(lines: list[str], path: Path) -> Iterator[tuple[str, int, str]]:
    """Yield (kind, first line counted from 1, text) for the front matter, code cells and Markdown between them."""
    start = 0
    if lines and lines[0].strip() == "---":
        end = next((i for i, line in enumerate(lines[1:], 1) if line.strip() in ("---", "...")), None)
        if end is None:
            raise ReportError(path, 1, "front matter that never ends", "close it with a line ---")
        yield "raw", 1, "\n".join(["---", *lines[1:end], "---"])
        start = end + 1
    fence, opened, code = "", start, False
    for number, line in enumerate(lines[start:], start):
        match = FENCE.match(line)
        if not match:
            continue
        if not fence:
            fence, code = match[1], bool(CELL_FENCE.match(line))
            if code:
                yield "markdown", start + 1, "\n".join(lines[start:number])
                start = number + 1
            opened = number
        elif _closes(match, fence):
            if code:
                yield "code", start + 1, "\n".join(lines[start:number])
                start = number + 1
            fence = ""
    if fence:
        raise ReportError(path, opened + 1, "a code block that never ends", f"close it with a line {fence}")
    yield "markdown", start + 1, "\n".join(lines[start:])


def _check_options(cell: NotebookNode, path: Path) -> None:
    try:
        if cell.cell_type == "code":
            cell_options(cell.source)
        elif cell.cell_type == "raw":
            yaml.safe_load(cell.source.strip("-"))
    except yaml.YAMLError as problem:
        mark = getattr(problem, "problem_mark", None)
        line = cell.metadata["line"] + (mark.line if mark else 0)
        action = "put quotation marks around values that hold a colon or a #"
        raise ReportError(
            path, line, f"options that are not YAML ({getattr(problem, 'problem', problem)})", action
        ) from None


def _closes(match: re.Match[str], fence: str) -> bool:
    return match[1].startswith(fence) and not match[2].strip()


def _option_lines(source: str) -> list[str]:
    lines = source.splitlines()
    return lines[: next((i for i, line in enumerate(lines) if not line.startswith("#|")), len(lines))]
