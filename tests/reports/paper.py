"""A PDF as it looks: where each word stands, how far down each page goes, and how the rows of a table fall on pages."""

from __future__ import annotations

import html
import re
import subprocess
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pikepdf

PAGE = re.compile(r'<page width="([\d.]+)" height="([\d.]+)">(.*?)</page>', re.DOTALL)
WORD = re.compile(r'<word xMin="([-\d.]+)" yMin="([-\d.]+)" xMax="([-\d.]+)" yMax="([-\d.]+)">(.*?)</word>')
HEAD, FOOT = 68.0, 62.0  # points of a page above and below its text: the margins of template.typ
TOUCH = 1.0  # points that the boxes of two neighbours may share: boxes are rounded, letters lean
LINE = 0.5  # of the lower word's height: two words that share more stand on the same line


@dataclass(frozen=True)
class Word:
    left: float
    top: float
    right: float
    bottom: float
    text: str

    def covers(self, other: Word) -> bool:
        """Whether the two are printed over each other."""
        beside = min(self.right, other.right) - max(self.left, other.left)
        under = min(self.bottom, other.bottom) - max(self.top, other.top)
        return beside > TOUCH and under > LINE * min(self.bottom - self.top, other.bottom - other.top)


@dataclass(frozen=True)
class Page:
    width: float
    height: float
    words: list[Word]

    def overlaps(self) -> list[tuple[str, str]]:
        """Pairs of words that are printed over each other."""
        words, found = sorted(self.words, key=lambda word: word.top), []
        for place, word in enumerate(words):
            for other in words[place + 1 :]:
                if other.top >= word.bottom:
                    break
                if word.covers(other):
                    found.append((word.text, other.text))
        return found

    def outside(self) -> list[str]:
        """Words that do not lie wholly on the page."""
        return [w.text for w in self.words if w.left < 0 or w.top < 0 or w.right > self.width or w.bottom > self.height]

    def filled(self) -> float:
        """How far down the text goes, as a share of the room for it."""
        lowest = max((word.bottom for word in self.words if word.bottom <= self.height - FOOT), default=HEAD)
        return (lowest - HEAD) / (self.height - HEAD - FOOT)


def pages(pdf: Path) -> list[Page]:
    """The pages as poppler's ``pdftotext -bbox`` reads them; distances in points."""
    text = subprocess.run(["pdftotext", "-bbox", pdf, "-"], capture_output=True, text=True, check=True).stdout
    return [
        Page(
            float(width),
            float(height),
            [Word(*map(float, numbers), html.unescape(word)) for *numbers, word in WORD.findall(body)],
        )
        for width, height, body in PAGE.findall(text)
    ]


def rows_by_page(pdf: Path) -> list[dict[int, int]]:
    """For each table, page → how many rows of its body begin there, from the tags of the PDF."""
    with pikepdf.open(pdf) as opened:
        numbers = {page.objgen: number for number, page in enumerate(opened.pages, 1)}
        tables = [node for node in nodes(opened.Root.StructTreeRoot) if node.get("/S") == "/Table"]
        return [dict(Counter(numbers[place.objgen] for place in _places_of_rows(table))) for table in tables]


def nodes(node: pikepdf.Object) -> Iterator[pikepdf.Object]:
    """Every element of a PDF's structure tree."""
    if isinstance(node, pikepdf.Dictionary):
        yield node
        for child in _children(node):
            yield from nodes(child)


def _places_of_rows(table: pikepdf.Object) -> Iterator[pikepdf.Object]:
    for row in nodes(table):
        if row.get("/S") == "/TR" and any(cell.get("/S") == "/TD" for cell in nodes(row)):
            place = _place(row)
            if place is not None:
                yield place


def _place(node: pikepdf.Object, page: pikepdf.Object | None = None) -> pikepdf.Object | None:
    """The page of the first piece of content below a node."""
    page = node.get("/Pg", page)
    for child in _children(node):
        if not isinstance(child, pikepdf.Dictionary) or child.get("/Type") == "/MCR":
            return child.get("/Pg", page) if isinstance(child, pikepdf.Dictionary) else page
        found = _place(child, page)
        if found is not None:
            return found
    return None


def _children(node: pikepdf.Object) -> list[pikepdf.Object]:
    children = node.get("/K", [])
    return list(children) if isinstance(children, pikepdf.Array) else [children]
