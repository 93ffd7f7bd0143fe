"""Faults of a document that a renderer would pass over or could not place, found first: the report, the cell and the line.

Serves both renderers. Quarto prints an unresolved reference as text and calls that a success; pandoc knows no lines.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from nbformat import NotebookNode

from analysis.publish.notebook import INLINE_CODE, LINKED_IMAGE, ReportError, cell_options, map_prose

CALLOUTS = ("note", "tip", "important", "warning", "caution")
NUMBERED = "(?:fig|tbl|sec|eq)-"
ATTRIBUTES = r"\{(?:[^{}\"]|\"(?:[^\"\\]|\\.)*\")*\}"
IMAGE = re.compile(rf"{LINKED_IMAGE}({ATTRIBUTES})?")
DEFINED = re.compile(rf"\{{[^{{}}\n]*?#({NUMBERED}[\w-]+)")
CALLOUT = re.compile(r"\.callout-([\w-]+)")
REFERRED = re.compile(r"(?<![\w.\\])@(\w(?:[\w:.#$%&+?<>~/-]*\w)?)")
TARGET = re.compile(r"\]\([^()\s]*\)|<https?:[^<>]*>")  # of a link, where an @ refers to nothing
ALT = re.compile(r"(?:fig-)?alt=(?:\"(?:[^\"\\]|\\.)*[^\s\"][^\"]*\"|'[^']*[^\s'][^']*'|[^\s\"'}]+)")
BIB_KEY = re.compile(r"^\s*@\w+\{\s*([^,\s]+)\s*,", re.MULTILINE)


@dataclass(frozen=True)
class Passage:
    """Markdown of an executed notebook, and where it was written."""

    text: str
    cell: str
    line: Callable[[str], int]  # the line of the source on which some of the text stands


def check(notebook: NotebookNode, source_name: str | Path, bibliography: Path) -> None:
    """Refuse a document with a reference or citation that leads nowhere, an unknown callout, or an image without a text.

    Raises
    ------
    ReportError
        The first fault, with its cell and line.
    """
    passages = list(_passages(notebook))
    defined = {identity for passage in passages for identity in DEFINED.findall(passage.text)} | _labels(notebook)
    cited = set(BIB_KEY.findall(bibliography.read_text(encoding="utf-8")))
    for passage in passages:
        for token, found, action in _faults(passage.text, defined, cited):
            raise ReportError(source_name, passage.line(token), f"{passage.cell}: {found}", action)
    for cell in notebook.cells:
        if cell.cell_type == "code" and _pictures(cell) > _texts(cell):
            found = f"{_name(cell)}: a figure without a text for those who cannot see it"
            raise ReportError(source_name, cell.metadata["line"], found, "say fig-alt in the cell's options")


def _faults(text: str, defined: set[str], cited: set[str]) -> Iterator[tuple[str, str, str]]:
    """(the text at fault, what was found, what to do)."""
    for image in IMAGE.finditer(text):
        caption, link, attributes = image[1], image[2], image[3] or ""
        if not ALT.search(attributes) and ("#fig-" in attributes or not caption.strip()):
            yield link, f"an image {link} without a text for those who cannot see it", 'give it fig-alt="…"'
    for callout in CALLOUT.finditer(text):
        if callout[1] not in CALLOUTS:
            yield callout[0], f"a callout of no known kind, {callout[0]}", f"choose one of: {', '.join(CALLOUTS)}"
    for reference in REFERRED.finditer(TARGET.sub(" ", text)):
        identity = reference[1]
        if re.match(NUMBERED, identity):
            if identity not in defined:
                found = f"a reference to @{identity}, which this document does not define"
                yield reference[0], found, "correct the name, or define it"
        elif identity not in cited:
            found = f"a citation of @{identity}, which the bibliography does not hold"
            yield reference[0], found, "correct the key, or add the work to the bibliography"


def _passages(notebook: NotebookNode) -> Iterator[Passage]:
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            written = cell.metadata.get("written", cell.source)
            yield Passage(_prose(cell.source), _name(cell), _finder(written, cell.metadata["line"]))
        elif cell.cell_type == "code" and cell_options(cell.source).get("output", True):
            for output in cell.get("outputs", []):
                text = output.get("data", {}).get("text/markdown", "")
                yield Passage(_prose(text), _name(cell), _finder("", cell.metadata["line"]))


def _prose(markdown: str) -> str:
    """Markdown without code."""
    kept: list[str] = []

    def keep(text: str, _: int) -> str:
        kept.append(INLINE_CODE.sub(" ", text))
        return text

    map_prose(markdown, keep)
    return "\n".join(kept)


def _finder(written: str, first: int) -> Callable[[str], int]:
    """The line of some text; that of the cell where it came out of an expression."""

    def line(token: str) -> int:
        place = written.find(token)
        return first + (written.count("\n", 0, place) if place >= 0 else 0)

    return line


def _labels(notebook: NotebookNode) -> set[str]:
    """What the options of code cells define: figures, tables, and the parts of figures."""
    found: set[str] = set()
    for cell in notebook.cells:
        if cell.cell_type == "code":
            options = cell_options(cell.source)
            label, parts = str(options.get("label", "")), options.get("fig-subcap")
            parts = parts if isinstance(parts, list) else []
            found |= {label, *(f"{label}-{number + 1}" for number in range(len(parts)))}
    return found


def _pictures(cell: NotebookNode) -> int:
    """Images among a cell's outputs that only its options can describe."""
    if not cell_options(cell.source).get("include", True):
        return 0
    return sum(any(kind.startswith("image/") for kind in output.get("data", {})) for output in cell.get("outputs", []))


def _texts(cell: NotebookNode) -> int:
    alt = cell_options(cell.source).get("fig-alt", "")
    return sum(bool(str(text or "").strip()) for text in (alt if isinstance(alt, list) else [alt]))


def _name(cell: NotebookNode) -> str:
    label = cell_options(cell.source).get("label") if cell.cell_type == "code" else None
    return f"cell {label or cell.id}"
