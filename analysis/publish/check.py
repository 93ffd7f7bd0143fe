"""Faults of a document that a renderer would pass over or could not place, found first: the report, the cell and the line.

Serves both renderers. Quarto prints an unresolved reference as text and calls that a success; pandoc knows no lines. The document
is read as pandoc reads it, with a mark before each cell, so that what is a reference, an image or a callout is pandoc's to say.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nbformat import NotebookNode

from analysis.publish.assemble import ImageFolder, cell_markdown, local_file
from analysis.publish.notebook import NUMBERED, ReportError, cell_options
from analysis.publish.pandoc import READER, pandoc
from analysis.publish.settings import PROJECT_FILE, document_settings

CALLOUTS = ("note", "tip", "important", "warning", "caution")
CALLOUT = "callout-"
MARK = "cell"  # of the raw blocks that say which cell follows
PLOT = "plot.of-this-cell"  # the link of an image that a cell shows
ATTRIBUTES_AT = {"Header": 1, "Div": 0, "Span": 0, "Image": 0, "Link": 0, "Code": 0, "CodeBlock": 0, "Table": 0}
CAPTION_IDENTITY = re.compile(rf"\{{[^{{}}]*#({NUMBERED}[\w-]+)")
BIB_KEY = re.compile(r"^\s*@\w+\{\s*([^,\s]+)\s*,", re.MULTILINE)


@dataclass(frozen=True)
class Element:
    """An element of the document as pandoc parses it, with the place among the notebook's cells that it came from."""

    kind: str
    content: Any
    cell: int

    @property
    def attributes(self) -> tuple[str, list[str], dict[str, str]]:
        """Identity, classes, and the rest by key."""
        identity, classes, pairs = self.content[ATTRIBUTES_AT[self.kind]]
        return identity, classes, dict(pairs)


@dataclass(frozen=True)
class Fault:
    """``token``: the text at fault, which the source may hold."""

    element: Element
    token: str
    found: str
    action: str


def check(notebook: NotebookNode, source_name: str | Path, bibliography: Path) -> None:
    """Refuse a document with a reference or citation that leads nowhere, a number given twice, an unknown callout, or an image that has no
    text or is not there.

    Raises
    ------
    ReportError
        The first fault, with its cell and line.
    """
    elements = list(_elements(notebook, source_name))
    cited = set(BIB_KEY.findall(bibliography.read_text(encoding="utf-8")))
    for fault in _faults(elements, cited, Path(source_name).resolve().parent):
        cell = notebook.cells[fault.element.cell]
        raise ReportError(source_name, _line(cell, fault.token), f"{_name(cell)}: {fault.found}", fault.action)


class _Untouched(ImageFolder):
    """Leaves links as they are written: the check copies nothing."""

    def __init__(self) -> None:
        pass

    def link(self, target: str) -> str:
        return target

    def add(self, content: bytes | Path, suffix: str) -> str:
        return PLOT


def _elements(notebook: NotebookNode, source_name: str | Path) -> Iterator[Element]:
    """Every element of the document, in order, those inside others after them."""
    settings = document_settings(notebook, "html")
    parts: list[str] = []
    for number, cell in enumerate(notebook.cells):
        written = cell_markdown(cell, "html", settings, _Untouched())
        parts += [f"```{{={MARK}}}\n{number}\n```", *written] if written else []
    # An image alone in its paragraph stays an image: Quarto numbers by its identity, which pandoc would hand to a figure around it.
    reader = f"--from={READER}-implicit_figures"
    shape = f"--lua-filter={PROJECT_FILE.parent / settings['filters'][0]['path']}"  # attributes of equations are attributes
    parsed = json.loads(pandoc(reader, "--to=json", shape, source_name=source_name, text="\n\n".join(parts)))
    place = 0
    for node in _nodes(parsed["blocks"]):
        kind: str = node["t"]
        content: Any = node.get("c")
        if kind == "RawBlock" and content[0] == MARK:
            place = int(content[1])
        else:
            yield Element(kind, content, place)


def _nodes(tree: Any) -> Iterator[dict[str, Any]]:
    if isinstance(tree, dict):
        if "t" in tree:
            yield tree
        tree = list(tree.values())
    if isinstance(tree, list):
        for branch in tree:
            yield from _nodes(branch)


def _faults(elements: list[Element], cited: set[str], base: Path) -> Iterator[Fault]:
    defined = Counter(identity for element in elements for identity in _identities(element))
    for element in elements:
        for identity in _identities(element):
            if defined[identity] > 1 and re.match(NUMBERED, identity):
                yield Fault(element, f"#{identity}", f"a second {identity}", "give each its own name")
        if element.kind == "Cite":
            yield from _references(element, set(defined), cited)
        elif element.kind == "Image":
            yield from _image(element, base)
        elif element.kind == "Div":
            for name in element.attributes[1]:
                if name.startswith(CALLOUT) and name.removeprefix(CALLOUT) not in CALLOUTS:
                    action = f"choose one of: {', '.join(CALLOUTS)}"
                    yield Fault(element, name, f"a callout of no known kind, .{name}", action)


def _identities(element: Element) -> list[str]:
    """What an element defines; Quarto takes a table's also from the end of its caption."""
    if element.kind not in ATTRIBUTES_AT:
        return []
    found = [element.attributes[0]] if element.attributes[0] else []
    if element.kind == "Table":
        caption = "".join(
            str(node.get("c", " ")) for node in _nodes(element.content[1]) if node["t"] in ("Str", "Space")
        )
        found += CAPTION_IDENTITY.findall(caption)
    return found


def _references(element: Element, defined: set[str], cited: set[str]) -> Iterator[Fault]:
    for identity in (citation["citationId"] for citation in element.content[0]):
        if re.match(NUMBERED, identity):
            if identity not in defined:
                found = f"a reference to @{identity}, which this document does not define"
                yield Fault(element, identity, found, "correct the name, or define it")
        elif identity not in cited:
            found = f"a citation of @{identity}, which the bibliography does not hold"
            yield Fault(element, identity, found, "correct the key, or add the work to the bibliography")


def _image(element: Element, base: Path) -> Iterator[Fault]:
    (identity, _, pairs), caption, (link, _) = element.attributes, element.content[1], element.content[2]
    text = pairs.get("fig-alt", pairs.get("alt", "")).strip()
    if not text and (identity.startswith("fig-") or not caption):
        own = link == PLOT
        name, where = (
            ("a figure", "say fig-alt in the cell's options") if own else (f"an image {link}", 'give it fig-alt="…"')
        )
        yield Fault(element, link, f"{name} without a text for those who cannot see it", where)
    if link != PLOT and not link.startswith("data:") and local_file(link, base) is None:
        action = "save the figure before the link to it, with a path relative to the report"
        yield Fault(element, link, f"an image {link} that is not on this machine", action)


def _line(cell: NotebookNode, token: str) -> int:
    """The line on which a token stands by itself in the cell's source; that of the cell where it came out of code."""
    first = int(cell.metadata["line"])
    if cell.cell_type != "markdown":
        return first
    written = cell.metadata.get("written", cell.source)
    place = re.search(rf"(?<![\w-]){re.escape(token)}(?![\w-])", written)
    return first + (written.count("\n", 0, place.start()) if place else 0)


def _name(cell: NotebookNode) -> str:
    label = cell_options(cell.source).get("label") if cell.cell_type == "code" else None
    return f"cell {label or cell.id}"
