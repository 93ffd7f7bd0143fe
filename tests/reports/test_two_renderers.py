"""Quarto and the embedded renderer make the same document of the same executed notebook. Runs where Quarto is installed."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from pathlib import Path

import pypdf
import pytest
from built import BLOCK, BRIEFS, REPOSITORY, compact, environment, visible

from analysis.publish import quarto
from analysis.publish.render import Document, execute, write
from analysis.publish.session import Session

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(quarto.find_quarto() is None, reason="no Quarto 1.9 or later on this machine"),
    pytest.mark.parametrize("built", ["snapshot"], indirect=True),
]

METADATA = {"dataset-name": "A test data set", "edition": "Data to March 2018", "date": "2026-11-22"}
REPORTS = REPOSITORY / "reports"
ENDINGS = {"References", "Footnotes"}  # Quarto keeps them in an appendix of its own making
SOURCES = {
    "sample": Path(__file__).with_name("sample.qmd"),
    **{
        name: REPORTS / f"{name}.qmd"
        for name in ("evaluation", "appendix", "data-quality", "reconciliation", "refresh", "index")
    },
    "brief": REPORTS / "sites" / "brief.qmd",
}


@pytest.fixture(params=SOURCES)
def both(request, built, tmp_path) -> tuple[Document, Document]:
    """The same notebook, executed once, by the embedded renderer and by Quarto."""
    source = SOURCES[request.param]
    if request.param == "sample":  # it writes an image beside itself
        source = Path(shutil.copy(source, tmp_path))
    parameters = {}
    if request.param == "brief":
        name = BRIEFS[0].removeprefix("sites/")
        site = next(s for s in built.results.sites.site if re.sub(r"[^a-z0-9]+", "-", s.lower()).strip("-") == name)
        parameters = {"site": site}
    ours = Document(source, tmp_path / "ours.html", tmp_path / "ours.pdf", METADATA, parameters)
    theirs = replace(ours, html=tmp_path / "quarto.html", pdf=tmp_path / "quarto.pdf")
    with environment(built.work), Session() as session:
        notebook = execute(ours, session)
    write(notebook, ours, "embedded")
    write(notebook, theirs, "quarto")
    return ours, theirs


def main(document: Document) -> str:
    return re.search(r"<main\b.*?</main>", document.html.read_text(encoding="utf-8"), re.DOTALL)[0]


def headings(document: Document) -> list[str]:
    found = re.findall(r"<h([1-6])\b([^>]*)>(.*?)</h\1>", main(document), re.DOTALL)
    texts = [visible(text) for _, attributes, text in found if "title" not in re.sub(r'id="[^"]*"', "", attributes)]
    return [text for text in texts if text not in ENDINGS]


def captions(document: Document) -> list[str]:
    found = re.findall(r"<figcaption\b[^>]*>(.*?)</figcaption>", main(document), re.DOTALL)
    return [visible(text) for text in found if re.match(r"(?:Figure|Table) \d", visible(text))]


def test_the_two_have_the_same_headings_numbers_captions_and_text(both):
    ours, theirs = both
    assert headings(ours) == headings(theirs)
    assert captions(ours) == captions(theirs)
    text = compact(visible(theirs.html.read_text(encoding="utf-8")))
    blocks = [visible(text) for _, text in BLOCK.findall(main(ours)) if "<math" not in text and "<img" not in text]
    missing = [block for block in blocks if block not in ENDINGS and compact(block) not in text]
    assert len(blocks) > 5 and missing == []


def test_the_two_pdfs_number_the_same_figures_and_tables(both):
    numbers = [
        set(
            re.findall(
                r"(?:Figure|Table)\d+:", compact("".join(page.extract_text() for page in pypdf.PdfReader(d.pdf).pages))
            )
        )
        for d in both
    ]
    assert numbers[0] == numbers[1]
    roots = [pypdf.PdfReader(document.pdf).trailer["/Root"] for document in both]
    assert all(root["/MarkInfo"]["/Marked"] and str(root["/Lang"]).lower().startswith("en") for root in roots)
