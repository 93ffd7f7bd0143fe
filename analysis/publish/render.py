"""One report from its source to both of its files."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from analysis.files import atomic_path
from analysis.publish import embedded, quarto
from analysis.publish.notebook import read_qmd, with_parameters
from analysis.publish.session import Session

Renderer = Literal["auto", "quarto", "embedded"]


@dataclass(frozen=True)
class RenderResult:
    """Which renderer made a report, with which versions, and how long execution and rendering took together."""

    renderer: Literal["quarto", "embedded"]
    versions: dict[str, str]
    seconds: float


def render_report(
    source: Path,
    html_target: Path,
    pdf_target: Path,
    *,
    session: Session,
    renderer: Renderer = "auto",
    metadata: dict[str, Any],
    parameters: dict[str, str] | None = None,
) -> RenderResult:
    """Run a .qmd once, with other ``parameters`` if it has any, and write it as HTML and as PDF; earlier files stay whole unless both succeed.

    ``metadata`` is printed on the document: ``dataset-name``, ``edition`` and ``date`` (ISO). Cells run in the source's
    folder, and image links start from there.

    Raises
    ------
    ReportError
        The source or what it computes cannot become a document; it names the file and, where known, the line.
    MachineError
        Quarto was asked for and is not there, or a program could not run.
    """
    started = time.monotonic()
    chosen = choose(renderer)
    base = source.resolve().parent
    notebook = session.execute(with_parameters(read_qmd(source), parameters or {}, source), base, source)
    details: dict[str, Any] = {"base": base, "source_name": source, "metadata": metadata}
    with atomic_path(html_target) as html, atomic_path(pdf_target) as pdf:
        if chosen == "quarto":
            quarto.render(notebook, html, pdf, **details)
        else:
            embedded.render_html(notebook, html, **details)
            embedded.render_pdf(notebook, pdf, **details)
    return RenderResult(chosen, renderer_versions(chosen), time.monotonic() - started)


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
