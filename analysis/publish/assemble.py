"""An executed notebook written out as one Markdown text and its images, for pandoc.

Both formats are assembled from the same notebook; only which code a reader sees differs.
"""

from __future__ import annotations

import base64
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from nbformat import NotebookNode

from analysis.publish.notebook import LINKED_IMAGE, ReportError, cell_code, cell_options, map_prose
from analysis.publish.settings import Format

IMAGE = re.compile(LINKED_IMAGE)


def to_markdown(notebook: NotebookNode, form: Format, settings: dict[str, Any], images: ImageFolder) -> str:
    """The document's body for one format, as Markdown that pandoc and the filters understand."""
    parts = [part for cell in notebook.cells for part in cell_markdown(cell, form, settings, images)]
    return "\n\n".join(parts) + "\n"


def cell_markdown(cell: NotebookNode, form: Format, settings: dict[str, Any], images: ImageFolder) -> list[str]:
    """What one cell adds to the body: blocks of Markdown, none for front matter."""
    if cell.cell_type == "markdown":
        return [relink_images(cell.source, images.link)]
    blocks = list(_code_cell(cell, form, settings, images)) if cell.cell_type == "code" else []
    return [":::::: {.cell}", *blocks, "::::::"] if blocks else []  # so that lists of two cells stay two lists


class ImageFolder:
    """Collects a document's images in one folder, under names that do not depend on where they came from.

    ``base`` is the folder that the document's own image links start from.
    """

    def __init__(self, folder: Path, base: Path, source_name: str | Path) -> None:
        self._folder, self._base, self._source = folder, base, source_name
        self._count = 0

    def link(self, target: str) -> str:
        """Copy a linked image in, and return the link to the copy."""
        if target.startswith("data:"):
            kind, _, content = target.removeprefix("data:").partition(";base64,")
            return self.add(base64.b64decode(content), {"image/svg+xml": ".svg", "image/png": ".png"}[kind])
        path = local_file(target, self._base)
        if path is None:
            action = "save the figure before the link to it, with a path relative to the report"
            raise ReportError(self._source, None, f"an image {target} that is not on this machine", action)
        return self.add(path, path.suffix)

    def add(self, content: bytes | Path, suffix: str) -> str:
        self._count += 1
        name = f"image-{self._count}{suffix}"
        self._folder.mkdir(parents=True, exist_ok=True)
        if isinstance(content, Path):
            shutil.copyfile(content, self._folder / name)
        else:
            (self._folder / name).write_bytes(content)
        return f"{self._folder.name}/{name}"


def local_file(target: str, base: Path) -> Path | None:
    """The file that a link's target names, which may be percent-encoded, from a folder; None where there is none on this machine."""
    path = base / unquote(target)
    return None if target.startswith(("http:", "https:")) or not path.is_file() else path


def relink_images(markdown: str, link: Callable[[str], str]) -> str:
    """Markdown with another ``link`` for the target of each image."""
    return map_prose(markdown, lambda text, _: IMAGE.sub(lambda m: f"![{m[1]}]({link(m[2])})", text))


def _code_cell(cell: NotebookNode, form: Format, settings: dict[str, Any], images: ImageFolder) -> Iterator[str]:
    options = {**settings.get("execute", {}), **cell_options(cell.source)}
    if not options.get("include", True):
        return
    code = cell_code(cell.source)
    if options.get("echo", True) and code:
        fold = options.get("code-fold", settings.get("code-fold", False))
        fold_attribute = f' fold="{options.get("code-summary", "Code")}"' if fold and form == "html" else ""
        yield f"`````` {{.python{fold_attribute}}}\n{code}\n``````"
    shown = list(_outputs(cell, options, images)) if options.get("output", True) else []
    label = str(options.get("label", ""))
    if not shown:
        return
    if not label.startswith(("fig-", "tbl-")):
        yield from shown
        return
    caption = str(options.get("fig-cap" if label.startswith("fig-") else "tbl-cap", ""))
    attributes = "".join(f' {key}="{options[key]}"' for key in ("layout-ncol", "tbl-colwidths") if key in options)
    yield f"::::: {{#{label}{attributes}}}"
    yield from shown
    if caption:
        yield caption.strip()
    yield ":::::"


def _outputs(cell: NotebookNode, options: dict[str, Any], images: ImageFolder) -> Iterator[str]:
    pictures = sum("image/svg+xml" in o.get("data", {}) or "image/png" in o.get("data", {}) for o in cell.outputs)
    picture = 0
    for output in cell.outputs:
        data = output.get("data", {})
        if "text/markdown" in data:
            yield relink_images(data["text/markdown"].strip(), images.link)
        elif "image/svg+xml" in data or "image/png" in data:
            yield _picture(data, options, images, picture if pictures > 1 else None)
            picture += 1
        else:
            text = output.text if output.output_type == "stream" else data.get("text/plain", "")
            yield (
                relink_images(text, images.link) if options.get("output") == "asis" else f"``````\n{text.rstrip()}\n``````"
            )


def _picture(data: dict[str, str], options: dict[str, Any], images: ImageFolder, number: int | None) -> str:
    if "image/svg+xml" in data:
        link = images.add(data["image/svg+xml"].encode(), ".svg")
    else:
        link = images.add(base64.b64decode(data["image/png"]), ".png")
    alt, caption, identity = _one_of(options.get("fig-alt"), number or 0), "", ""
    if number is not None:
        caption = _one_of(options.get("fig-subcap") or [], number)
        identity = f"#{options['label']}-{number + 1} " if caption and "label" in options else ""
    quoted = alt.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ").strip()
    return f'![{caption}]({link}){{{identity}fig-alt="{quoted}"}}'


def _one_of(value: str | list[str] | None, number: int) -> str:
    """A cell's option for one of its pictures: the one of a list, empty where the list is too short, or the same for all."""
    if isinstance(value, list):
        value = value[number] if number < len(value) else ""
    return str(value or "")
