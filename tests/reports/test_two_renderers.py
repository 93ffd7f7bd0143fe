"""Quarto and the embedded renderer make the same pages of the same executed notebooks. Runs where Quarto is installed."""

from __future__ import annotations

import re
from difflib import SequenceMatcher
from pathlib import Path

import pypdf
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
PROGRAM = re.compile(r"(embedded|quarto) \([^)]*\)")


def page(file: Path) -> str:
    text = PROGRAM.sub("PROGRAM", file.read_text(encoding="utf-8"))
    return re.sub(r"\s+", " ", EMPTY_ELEMENT.sub(">", text)).replace("> <", "><").strip()


def words(file: Path) -> list[str]:
    text = " ".join(part.extract_text() for part in pypdf.PdfReader(file).pages)
    return PROGRAM.sub("PROGRAM", re.sub(r"\s+", " ", text)).split(" ")


@pytest.mark.parametrize("name", PAGES)
def test_the_pages_are_the_same(built: Built, embedded: Built, name: str) -> None:
    assert page(built.work.reports / f"{name}.html") == page(embedded.work.reports / f"{name}.html")


@pytest.mark.parametrize("name", PAGES)
def test_the_words_on_paper_are_the_same(built: Built, embedded: Built, name: str) -> None:
    """But for where a line breaks, which versions of the Typst compiler may choose in another way."""
    theirs, ours = words(built.work.reports / f"{name}.pdf"), words(embedded.work.reports / f"{name}.pdf")
    matcher = SequenceMatcher(None, ours, theirs, autojunk=False)
    different = [
        ("".join(ours[a:b]), "".join(theirs[c:d])) for kind, a, b, c, d in matcher.get_opcodes() if kind != "equal"
    ]
    assert [(a, b) for a, b in different if a != b] == []
    assert matcher.ratio() >= 0.99
