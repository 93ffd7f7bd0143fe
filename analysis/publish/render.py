"""One report from its source to both of its files."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

import nbformat
from nbformat import NotebookNode

from analysis.core.files import atomic_path
from analysis.publish import embedded, quarto
from analysis.publish.assemble import local_file
from analysis.publish.check import check
from analysis.publish.notebook import read_qmd, with_parameters
from analysis.publish.session import Session
from analysis.publish.settings import bibliography

Renderer = Literal["auto", "quarto", "embedded"]


@dataclass(frozen=True)
class Document:
    """A report to be made: its source and parameters, where its two files go, and what is printed on it.

    ``metadata``: ``dataset-name``, ``edition`` and ``date`` (ISO). Cells run in the source's folder, and image links start from there.
    """

    source: Path
    html: Path
    pdf: Path
    metadata: dict[str, Any]
    parameters: dict[str, str] = field(default_factory=dict)

    @property
    def notebook(self) -> Path:
        """The executed notebook, for whoever renders it again."""
        return self.html.with_suffix(".ipynb")


def execute(document: Document, session: Session) -> NotebookNode:
    """Run a document's cells with its parameters, and check what came out of them.

    Raises
    ------
    ReportError
        A cell failed, or the document refers to what is not there; it names the file, the cell and the line.
    MachineError
        The kernel died.
    """
    notebook = with_parameters(read_qmd(document.source), document.parameters, document.source)
    executed = session.execute(notebook, _base(document), document.source)
    check(executed, document.source, bibliography())
    return executed


def write(notebook: NotebookNode, document: Document, renderer: Renderer) -> None:
    """Write an executed notebook as HTML and as PDF, and itself beside them; earlier files stay whole unless all succeed.

    Raises
    ------
    ReportError
        The source or what it computes cannot become a document.
    MachineError
        Quarto was asked for and is not there, or a program could not run.
    """
    details: dict[str, Any] = {"base": _base(document), "source_name": document.source, "metadata": document.metadata}

    def link(target: str) -> str:
        """An image as seen from the documents; one that is part of the notebook stays so."""
        path = local_file(target, _base(document))
        return quote(os.path.relpath(path, document.html.parent)) if path else target

    with (
        atomic_path(document.html) as html,
        atomic_path(document.pdf) as pdf,
        atomic_path(document.notebook) as executed,
    ):
        nbformat.write(quarto.as_document(notebook, document.metadata, link), executed)
        if choose(renderer) == "quarto":
            quarto.render(notebook, html, pdf, **details)
        else:
            embedded.render_html(notebook, html, **details)
            embedded.render_pdf(notebook, pdf, **details)


def choose(renderer: Renderer) -> Literal["quarto", "embedded"]:
    """Resolve ``auto``: Quarto where it answers, the embedded renderer elsewhere.

    Raises
    ------
    MachineError
        Quarto was asked for and is not there.
    """
    if renderer == "quarto":
        quarto.require_quarto()
    if renderer == "auto":
        return "quarto" if quarto.find_quarto() else "embedded"
    return renderer


def renderer_versions(renderer: Renderer) -> dict[str, str]:
    """Names and versions of the programs that a renderer is made of, for the provenance block."""
    return quarto.versions() if choose(renderer) == "quarto" else embedded.versions()


def _base(document: Document) -> Path:
    return document.source.resolve().parent
