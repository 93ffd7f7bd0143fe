"""The settings of a document, which both renderers read: those of ``_quarto.yml``, of its format, and its own."""

from __future__ import annotations

import json
import shutil
from datetime import date
from pathlib import Path
from typing import Any, Literal

import yaml
from nbformat import NotebookNode

from analysis.publish.notebook import front_matter

Format = Literal["html", "typst"]

PROJECT_FILE = Path(__file__).resolve().parents[2] / "_quarto.yml"
TYPST_STRINGS = {"authors": "author", "keywords": "keywords"}  # a template's name, the setting's
PRINTED = ("title", "subtitle", "abstract", "lang", "keywords", "toc-depth", "numbered", "dataset-name", "edition")


def project_settings() -> dict[str, Any]:
    """What ``_quarto.yml`` says."""
    return dict(yaml.safe_load(PROJECT_FILE.read_text(encoding="utf-8")))


def document_settings(notebook: NotebookNode, form: Format) -> dict[str, Any]:
    """Settings in force for one format: the project's, the format's, then the document's own."""
    project, own = project_settings(), front_matter(notebook)
    settings: dict[str, Any] = {}
    for layer in (project, project["format"].get(form), own, (own.get("format") or {}).get(form)):
        for key, value in (layer or {}).items() if isinstance(layer, dict) else ():
            inner = settings.get(key)
            settings[key] = {**inner, **value} if isinstance(inner, dict) and isinstance(value, dict) else value
    return {key: value for key, value in settings.items() if key not in ("project", "format")}


def bibliography() -> Path:
    """The works that the documents cite."""
    return PROJECT_FILE.parent / str(project_settings()["bibliography"])


def stage_project(folder: Path) -> dict[str, Any]:
    """Copy the templates, style sheet, filters and bibliography of ``_quarto.yml`` into a folder, at the same relative paths, and return its settings.

    Both renderers run in such a folder, because pandoc reads some characters in a path as Markdown and some paths as web addresses.
    """
    project = project_settings()
    formats = project["format"].values()
    names = [project["bibliography"], *(form[key] for form in formats for key in ("template", "css") if key in form)]
    for name in dict.fromkeys([*names, *(entry["path"] for form in formats for entry in form["filters"])]):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(PROJECT_FILE.parent / name, folder / name)
    return project


def printed_metadata(settings: dict[str, Any]) -> dict[str, Any]:
    """What the templates print: of these settings, and the date in words and the authors and keywords as Typst has them."""
    known = {key: settings[key] for key in PRINTED if key in settings}
    day = settings.get("date")
    day = day if day is None or isinstance(day, date) else date.fromisoformat(str(day))
    typst = {
        f"{key}-typst": _typst_strings(settings[name]) for key, name in TYPST_STRINGS.items() if settings.get(name)
    }
    return {
        **known,
        **typst,
        "author": _as_list(settings.get("author")),
        **({"date": f"{day.day} {day:%B %Y}", "date-iso": day.isoformat()} if day else {}),
    }


def _as_list(value: str | list[str] | None) -> list[str]:
    return [value] if isinstance(value, str) else value or []


def _typst_strings(value: str | list[str] | None) -> str:
    """A Typst array of strings, as Markdown that only Typst sees; a JSON string is one of Typst's too."""
    strings = "".join(json.dumps(item, ensure_ascii=False) + ", " for item in _as_list(value))
    return f"```({strings})```{{=typst}}"
