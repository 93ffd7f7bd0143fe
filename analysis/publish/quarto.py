"""The reports by Quarto, on machines that have it: the executed notebook rendered without running it again."""

from __future__ import annotations

import copy
import functools
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import yaml
from nbformat import NotebookNode

from analysis.core.errors import MachineError
from analysis.core.files import atomic_path, temporary_folder
from analysis.core.untrusted import references
from analysis.publish.assemble import ImageFolder, relink_images
from analysis.publish.embedded import dejavu
from analysis.publish.notebook import NUMBERED, ReportError, front_matter
from analysis.publish.pandoc import UTF8
from analysis.publish.settings import printed_metadata, stage_project

OLDEST = (1, 9)  # the first with `pdf-standard` for Typst and a text for equations
UNRESOLVED = re.compile(rf"\?@({NUMBERED}[\w-]+)")


def find_quarto() -> Path | None:
    """The Quarto program, on the path or beside this Python, if it answers and is recent enough; else None."""
    found = _found()
    return found[0] if found else None


def require_quarto() -> Path:
    """As :func:`find_quarto`, but its absence is a MachineError that says what to do."""
    program = find_quarto()
    if program is None:
        wanted = ".".join(map(str, OLDEST))
        raise MachineError(
            f"Quarto {wanted} or later was asked for, and none answers on this machine. "
            f"Install it (for example: pip install 'quarto-cli>={wanted}'), or render with the embedded renderer."
        )
    return program


def versions() -> dict[str, str]:
    """Quarto's version; a MachineError where there is none."""
    require_quarto()
    found = _found()
    return {"quarto": found[1]} if found else {}


def render(
    notebook: NotebookNode,
    html_target: Path,
    pdf_target: Path,
    *,
    base: Path,
    source_name: str | Path,
    metadata: dict[str, Any],
) -> None:
    """Render an executed notebook to both formats with Quarto.

    It is staged in a project folder of its own: beside its .qmd Quarto would ignore the project's settings.

    Raises
    ------
    MachineError
        There is no usable Quarto, or it hung.
    ReportError
        Quarto refused the document, or a cross-reference in it leads nowhere (Quarto itself calls that a success).
    """
    program = require_quarto()
    with temporary_folder("report-quarto-") as stage:
        _stage(notebook, stage, base, source_name, metadata)
        _run(program, stage, source_name)
        html, pdf = stage / "report.html", stage / "report.pdf"
        if missing := sorted(set(UNRESOLVED.findall(html.read_text(encoding="utf-8")))):
            found = f"references that lead nowhere: {', '.join('@' + identity for identity in missing)}"
            raise ReportError(source_name, None, found, "correct the source")
        with atomic_path(html_target) as html_path, atomic_path(pdf_target) as pdf_path:
            shutil.copyfile(html, html_path)
            shutil.copyfile(pdf, pdf_path)


def as_document(notebook: NotebookNode, metadata: dict[str, Any], link: Callable[[str], str]) -> NotebookNode:
    """An executed notebook as Quarto renders it: what the templates print in its front matter, another ``link`` for each image.

    Each output ends its own block, since Quarto joins the outputs of a cell with a single newline.
    """
    document = copy.deepcopy(notebook)
    for cell in document.cells:
        for name in ("user_expressions", "written"):  # filled in
            cell.metadata.pop(name, None)
        if cell.cell_type == "markdown":
            cell.source = references(relink_images(cell.source, link))
        for output in cell.get("outputs", []):
            if "text/markdown" in output.get("data", {}):
                output.data["text/markdown"] = references(relink_images(output.data["text/markdown"], link)).strip("\n") + "\n\n"
    if document.cells[0].cell_type != "raw":
        document.cells.insert(0, nbformat.v4.new_raw_cell("", id="front-matter"))
    settings = front_matter(notebook) | metadata
    printed = json.loads(references(json.dumps(printed_metadata(settings), ensure_ascii=False)))
    document.cells[0].source = f"---\n{yaml.safe_dump(settings | printed, allow_unicode=True)}---"
    return document


@functools.cache
def _found() -> tuple[Path, str] | None:
    for place in (shutil.which("quarto"), Path(sys.executable).with_name("quarto")):
        if place is None or not Path(place).is_file():
            continue
        try:
            # The package index's quarto-cli fetches its program on first use, which may hang behind a firewall.
            done = subprocess.run([place, "--version"], capture_output=True, text=True, timeout=20)
        except (OSError, subprocess.TimeoutExpired):
            continue
        version = re.match(r"(\d+)\.(\d+)", done.stdout.strip())
        if done.returncode == 0 and version and (int(version[1]), int(version[2])) >= OLDEST:
            return Path(place), done.stdout.strip()
    return None


def _stage(notebook: NotebookNode, stage: Path, base: Path, source_name: str | Path, metadata: dict[str, Any]) -> None:
    project = stage_project(stage)
    project["project"] = {"type": "default"}
    project["format"]["typst"]["font-paths"] = [str(dejavu())]
    (stage / "_quarto.yml").write_text(yaml.safe_dump(project), encoding="utf-8")

    images = ImageFolder(stage / "images", base, source_name)
    nbformat.write(as_document(notebook, metadata, images.link), stage / "report.ipynb")


def _run(program: Path, stage: Path, source_name: str | Path) -> None:
    """Render to every format of the project: a start of the program takes as long as a document."""
    command = [str(program), "render", "report.ipynb", "--no-execute"]
    try:
        done = subprocess.run(
            command, cwd=stage, capture_output=True, encoding="utf-8", timeout=600, env=os.environ | UTF8
        )
    except (OSError, subprocess.TimeoutExpired) as problem:
        raise MachineError(f"{source_name}: Quarto did not finish: {problem}") from problem
    if done.returncode:
        tail = "\n            ".join(done.stderr.strip().splitlines()[-8:])
        raise ReportError(source_name, None, f"Quarto refused it\n            {tail}", "correct the source")
