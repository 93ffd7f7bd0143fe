"""What a reader of the PDF sees, which its text does not tell: nothing printed over another, off the page, or torn apart."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import typst
from built import PAGES, Built
from paper import Page, pages, rows_by_page

needs_poppler = pytest.mark.skipif(shutil.which("pdftotext") is None, reason="needs poppler-utils")
pytestmark = needs_poppler
LEAST_FILLED = 2 / 3
FEWEST_ROWS = 3
ROWS = "..range(90).map(i => ([row #i], [#i])).flatten()"


@pytest.mark.slow
@pytest.mark.parametrize("name", PAGES)
def test_every_page_can_be_read(built: Built, name: str) -> None:
    pdf = built.work.reports / f"{name}.pdf"
    printed = pages(pdf)
    assert [(number, page.overlaps()) for number, page in enumerate(printed, 1) if page.overlaps()] == []
    assert [(number, page.outside()) for number, page in enumerate(printed, 1) if page.outside()] == []
    # The contents end on a page of their own, and the document where it ends.
    inner = printed[1 if '<nav class="contents"' in built.html(name) else 0 : -1]
    assert [round(page.filled(), 2) for page in inner if page.filled() < LEAST_FILLED] == []
    assert [rows for rows in rows_by_page(pdf) if len(rows) > 1 and min(rows.values()) < FEWEST_ROWS] == []


def printed(folder: Path, body: str) -> tuple[Path, list[Page]]:
    source, target = folder / "a.typ", folder / "a.pdf"
    source.write_text('#set document(title: [A])\n#set page(paper: "a4", margin: 2.4cm)\n#set text(lang: "en")\n' + body)
    target.write_bytes(typst.compile(source, pdf_standards=["ua-1"]))
    return target, pages(target)


def test_a_table_that_does_not_break_is_found(tmp_path: Path) -> None:
    table = f"#table(columns: 2, table.header([A], [B]), {ROWS})"
    _, figure = printed(tmp_path, f"#figure(kind: table, supplement: none, caption: [A], {table[1:]})")
    assert any(page.outside() or page.overlaps() for page in figure)
    _, whole = printed(tmp_path, table)
    assert not any(page.outside() or page.overlaps() for page in whole)


def test_columns_over_each_other_are_found(tmp_path: Path) -> None:
    _, (page,) = printed(tmp_path, "#table(columns: (1cm, 1cm), [internationalisation], [standardisation])")
    assert page.overlaps() == [("internationalisation", "standardisation")]


def test_a_page_that_is_left_half_empty_is_found(tmp_path: Path) -> None:
    _, (first, last) = printed(tmp_path, "#lorem(200)\n#block(breakable: false, height: 18cm)[A]")
    assert first.filled() < LEAST_FILLED and last.filled() < LEAST_FILLED
    _, (full,) = printed(tmp_path, "#lorem(550)")
    assert full.filled() > LEAST_FILLED


def test_rows_left_alone_are_found(tmp_path: Path) -> None:
    pdf, _ = printed(tmp_path, f"#v(22.6cm)\n#table(columns: 2, table.header([A], [B]), {ROWS})")
    (rows,) = rows_by_page(pdf)
    assert sum(rows.values()) == 90 and rows[1] < FEWEST_ROWS
