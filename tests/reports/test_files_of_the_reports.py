"""The reports as files: tags, texts, links, sizes, and what is downloaded from them."""

from __future__ import annotations

import html
import re

import pandas as pd
import pikepdf
import pytest
from built import BRIEFS, PAGES, Built, compact, visible
from paper import nodes as structure

from analysis.core.untrusted import slug
from analysis.reporting.sites import places_words as places
from analysis.reporting.sites.site_words import facts, finding_sentence

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("name", PAGES)
def test_the_pdf_is_tagged_and_has_a_title_a_language_and_bookmarks(built, name):
    title = visible(re.search(r"<title>(.*?)</title>", built.html(name), re.DOTALL)[1])
    with pikepdf.open(built.work.reports / f"{name}.pdf") as pdf:
        assert pdf.Root.MarkInfo.Marked and str(pdf.Root.Lang) == "en-GB" and pdf.Root.ViewerPreferences.DisplayDocTitle
        with pdf.open_metadata() as metadata:
            assert metadata["dc:title"] == title and metadata["pdfuaid:part"] == "1"
        with pdf.open_outline() as outline:
            assert [entry.title for entry in outline.root if entry.title]
        kinds = {str(node.get("/S")) for node in structure(pdf.Root.StructTreeRoot)}
    assert {"/H1", "/P"} <= kinds
    if "<table" in built.main(name):
        assert {"/Table", "/TH", "/TD"} <= kinds


@pytest.mark.parametrize("name", PAGES)
def test_every_figure_of_the_pdf_has_the_text_that_it_has_on_the_page(built, name):
    with pikepdf.open(built.work.reports / f"{name}.pdf") as pdf:
        nodes = [node for node in structure(pdf.Root.StructTreeRoot) if node.get("/S") == "/Figure"]
        texts = [compact(str(node.get("/Alt", ""))) for node in nodes]
    on_the_page = re.findall(r'<img[^>]*\balt="([^"]*)"', built.main(name), re.DOTALL)
    assert texts == [compact(html.unescape(text)) for text in on_the_page] and all(texts)


@pytest.mark.parametrize("name", PAGES)
def test_the_page_refers_to_nothing_outside_itself(built, name):
    text = built.html(name)
    assert re.search(r'<html[^>]*lang="en-GB"', text)
    assert not re.findall(
        r'<(?:img|script|link|iframe|source|object|embed|video)\b[^>]*(?:src|href|data)="(?!data:|#)[^"]*"', text
    )
    assert not re.findall(
        r"@import|url\((?!['\"]?(?:data:|#))", re.sub(r"<main\b.*?</main>", "", text, flags=re.DOTALL)
    )


@pytest.mark.parametrize("name", PAGES)
def test_every_link_leads_somewhere(built, name):
    text, folder = built.html(name), (built.work.reports / name).parent
    ids = re.findall(r'\bid="([^"]+)"', text)
    assert len(set(ids)) == len(ids)
    for target in set(re.findall(r'<a\b[^>]*\bhref="([^"]+)"', text)):
        if target.startswith("#"):
            assert target[1:] in ids, target
        elif not target.startswith("https://"):
            file, _, fragment = target.partition("#")
            assert (folder / file).is_file(), target
            if fragment:
                assert f'id="{fragment}"' in (folder / file).read_text(encoding="utf-8"), target


@pytest.mark.parametrize("name", PAGES)
def test_the_pdf_links_to_the_same_files_of_numbers(built, name):
    links = {
        str(note.get_object()["/A"]["/URI"])
        for page in built.pdf(name).pages
        for note in page.get("/Annots", [])
        if "/URI" in note.get_object().get("/A", {})
    }
    assert set(re.findall(r'href="([^"]+\.csv)"', built.html(name))) <= links


@pytest.mark.parametrize("name", PAGES)
def test_no_file_is_too_large(built, name):
    for suffix, most in (("html", 3e6), ("pdf", 2.5e6)):
        assert (built.work.reports / f"{name}.{suffix}").stat().st_size < most


def test_the_index_leads_to_every_file(built):
    work = built.work
    links = {target.partition("#")[0] for target in re.findall(r'href="([^"]+)"', built.main("index"))}
    linked = {(work.reports / target).resolve() for target in links if not target.startswith("https:")}
    kinds = ("html", "pdf", "csv", "svg")
    every = {file for kind in kinds for file in work.reports.rglob(f"*.{kind}")} | {work.estimates, work.panel}
    every |= {*work.results.glob("*.csv"), *(work.build / "data").glob("*.csv")}
    missing = {file.resolve() for file in every} - linked
    assert {file.name for file in missing} == {"index.html", "index.pdf"}


def test_the_contents_name_every_figure_and_table(built):
    table = pd.read_csv(built.work.reports / "contents.csv", keep_default_na=False)
    for name in [name for name in PAGES if name != "index"]:
        here = set(re.findall(r'<figure id="([^"]+)"', built.main(name)))
        assert set(table.identity[table.document == name]) == here
    assert set(table.document) == set(PAGES) - {"index"}
    assert (table.title.str.len() > 12).all() and not table.title.str.contains(r"\*").any()


def test_figures_hold_real_text_and_the_cohorts_have_their_colours(built):
    figures = {file.stem: file.read_text(encoding="utf-8") for file in built.work.reports.rglob("*.svg")}
    assert len(figures) > 40
    for name, svg in figures.items():
        assert svg.count("<text") > 5, f"{name}: letters drawn as shapes"
    colours = built.results.protocol.cohort_colours
    for name in (
        "growth",
        "rates",
        "event-study",
        "sites",
        "choices",
        "forest",
        "funnel",
        "placebo-places",
    ):  # whatever else they show
        for model in built.results.protocol.model_ids:
            assert colours[model].lower() in figures[name].lower(), f"{name}: {model} in another colour"


# Briefs


@pytest.mark.parametrize("name", BRIEFS)
def test_a_brief_tells_its_own_site(built, name):
    outcome = built.results.protocol.primary_outcomes[0].id
    site = next(site for site in places.sites(built.results, outcome).site if f"sites/{slug(site)}" == name)
    text = visible(built.main(name))
    assert f"<title>{html.escape(site, quote=False)}" in built.html(name)
    found = visible(finding_sentence(built.results, outcome, site).replace("**", ""))
    assert found in text and compact(found) in built.pdf_body(name)
    assert len(built.pdf_pages(name)) <= 2
    figures = re.findall(r'<figure id="([^"]+)"', built.main(name))
    made = facts(built.results, outcome, site).reason == ""
    assert figures == [f"fig-{slug(site)}"] + [f"tbl-{slug(site)}-growth", f"tbl-{slug(site)}"] * made
    for identity in figures:
        (link,) = set(re.findall(rf'href="(csv/{identity}\.csv)"', built.main(name)))
        assert len(pd.read_csv((built.work.reports / name).parent / link)) > 0


def test_every_site_has_a_brief(built: Built):
    every = places.sites(built.results, built.results.protocol.primary_outcomes[0].id).site
    assert sorted(f"sites/{slug(site)}" for site in every) == sorted(BRIEFS) and len(BRIEFS) == 23
    assert sorted(file.stem for file in (built.work.reports / "sites").glob("*.html")) == sorted(
        name.removeprefix("sites/") for name in BRIEFS
    )
