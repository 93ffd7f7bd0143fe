"""Quarto and the embedded renderer make the same pages of the same executed notebooks. Runs where Quarto is installed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from built import PAGES, Built

from analysis.publish import quarto

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(quarto.find_quarto() is None, reason="no Quarto 1.9 or later on this machine"),
    pytest.mark.parametrize("built", ["quarto"], indirect=True),
]
# What may differ: how an empty element is closed, blank lines between elements, and the names of the renderer and its versions.
EMPTY_ELEMENT = re.compile(r"\s*/?>")
PROGRAM = re.compile(r"(embedded|quarto) ?\([^)]*\)")


def page(file: Path) -> str:
    text = PROGRAM.sub("PROGRAM", file.read_text(encoding="utf-8"))
    return re.sub(r"\s+", " ", EMPTY_ELEMENT.sub(">", text)).replace("> <", "><").strip()


@pytest.mark.parametrize("name", PAGES)
def test_the_pages_are_the_same(built: Built, embedded: Built, name: str) -> None:
    assert page(built.work.reports / f"{name}.html") == page(embedded.work.reports / f"{name}.html")


@pytest.mark.parametrize("name", PAGES)
def test_the_words_on_paper_are_the_same(built: Built, embedded: Built, name: str) -> None:
    """But for where a line or a page ends, which versions of the Typst compiler may choose in another way."""
    theirs, ours = (PROGRAM.sub("PROGRAM", document.pdf_body(name)) for document in (built, embedded))
    assert theirs == ours
