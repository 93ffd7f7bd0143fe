"""The renderer that needs no program of its own: pandoc and the Typst compiler, both from Python wheels.

It exists for machines where Quarto cannot be installed; it covers the part of Quarto's language that the reports use,
and numbers and words everything as Quarto does.
"""

from __future__ import annotations

import json
import os
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pypandoc
import typst
from nbformat import NotebookNode

from analysis.core.files import atomic_path, temporary_folder
from analysis.core.untrusted import references
from analysis.publish.assemble import ImageFolder, to_markdown
from analysis.publish.notebook import ReportError
from analysis.publish.pandoc import READER, pandoc
from analysis.publish.settings import Format, document_settings, printed_metadata, stage_project


def render_html(
    notebook: NotebookNode, target: Path, *, base: Path, source_name: str | Path, metadata: dict[str, Any]
) -> None:
    """Write an executed notebook as one HTML file that loads nothing else.

    ``base`` is the folder that its image links start from; ``metadata`` may hold ``dataset-name``, ``edition``
    and ``date`` (ISO), which the page prints.

    Raises
    ------
    ReportError
        The text refers to something that it does not define, an image is missing or has no alt text.
    """
    with temporary_folder("report-") as stage:
        html = _pandoc(notebook, "html", stage, base, source_name, metadata)
    with atomic_path(target) as path:
        path.write_text(html, encoding="utf-8")


def render_pdf(
    notebook: NotebookNode, target: Path, *, base: Path, source_name: str | Path, metadata: dict[str, Any]
) -> None:
    """Write an executed notebook as a tagged PDF/UA-1; arguments and errors as for :func:`render_html`."""
    with temporary_folder("report-") as stage:
        document = stage / "document.typ"
        document.write_text(_pandoc(notebook, "typst", stage, base, source_name, metadata), encoding="utf-8")
        try:
            pdf = typst.compile(
                document,
                root=stage,
                font_paths=[dejavu()],
                ignore_system_fonts=True,
                pdf_standards=["ua-1"],
                timestamp=int(os.environ.get("SOURCE_DATE_EPOCH", "0")),
            )
        except typst.TypstError as problem:
            found = f"Typst refused it: {problem.message}" + "".join(f"\n            {h}" for h in problem.hints)
            action = "correct the source (PDF/UA-1 wants a text for every image, and no skipped heading level)"
            raise ReportError(source_name, None, found, action) from problem
        except RuntimeError as problem:
            raise ReportError(source_name, None, f"Typst refused it: {problem}", "correct the source") from problem
    with atomic_path(target) as path:
        path.write_bytes(pdf)


def versions() -> dict[str, str]:
    """The versions of the programs that do the work."""
    return {"pandoc": str(pypandoc.get_pandoc_version()), "typst": version("typst")}


def _pandoc(
    notebook: NotebookNode, form: Format, stage: Path, base: Path, source_name: str | Path, metadata: dict[str, Any]
) -> str:
    settings = {**document_settings(notebook, form), **metadata}
    source = stage / "document.md"
    text = to_markdown(notebook, form, settings, ImageFolder(stage / "images", base, source_name))
    source.write_text(references(text), "utf-8")
    described = stage / "metadata.json"
    described.write_text(references(json.dumps(printed_metadata(settings), ensure_ascii=False)), "utf-8")
    stage_project(stage)
    return pandoc(
        "document.md",
        f"--from={READER}",
        f"--to={form}",
        "--standalone",
        "--wrap=none",
        "--fail-if-warnings",
        "--mathml",
        "--syntax-highlighting=none",
        f"--template={settings['template']}",
        "--metadata-file=metadata.json",
        f"--bibliography={settings['bibliography']}",
        "--metadata=link-citations",
        *(f"--lua-filter={entry['path']}" for entry in settings["filters"]),
        *(["--toc", f"--toc-depth={settings['toc-depth']}"] if settings.get("toc") else []),
        *(["--embed-resources", f"--css={settings['css']}"] if form == "html" else []),
        source_name=source_name,
        folder=stage,
    )


def dejavu() -> Path:
    """Matplotlib's fonts: the text of its SVG figures asks for DejaVu Sans, which Typst does not carry."""
    import matplotlib

    return Path(matplotlib.get_data_path()) / "fonts" / "ttf"
