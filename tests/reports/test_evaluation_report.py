"""The reports as a reader gets them: built once from each data set there is, then read as text, as files, in a browser.

Results are estimated with few placebo draws, which changes no sentence's form and saves minutes.
"""

from __future__ import annotations

import html
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import pandas as pd
import pypdf
import pytest
from synthetic import protocol_with

from analysis.files import write_table
from analysis.narrative import growth, places, verdicts
from analysis.narrative.site import finding_sentence, slug
from analysis.protocol import load_protocol
from analysis.publish.build import build_reports
from analysis.results import Results, load_results
from analysis.stages import build_data
from analysis.verdict import verdict_table
from analysis.workspace import Workspace

pytestmark = pytest.mark.slow

REPOSITORY = Path(__file__).parents[2]
CHROMIUM = shutil.which("chromium")
AXE = importlib.util.find_spec("axe_playwright_python")
FLOATS = {
    "evaluation": [
        "fig-growth", "fig-rates", "fig-event-study", "fig-controlled-series", "fig-sites", "fig-choices", "tbl-sites", "tbl-ledger",
        "tbl-growth", "tbl-effects", "tbl-certainty", "tbl-outcomes", "tbl-its", "tbl-sources",
    ],
    "appendix": [
        "fig-variants", "fig-event-study-all", "fig-leave-one-out", "fig-placebo-starts", "fig-placebo-places",
        "fig-evaluability", "tbl-methods-mcp", "tbl-methods-pacs", "tbl-methods-mcp-pacs", "tbl-variants", "tbl-joint-tests",
        "fig-curve", "fig-relative", "fig-smoothness", "fig-synthetic", "fig-forest", "fig-funnel", "tbl-verdicts", "tbl-moves",
        "tbl-trends", "tbl-trends-first", "tbl-synthetic", "tbl-donors", "tbl-pool", "tbl-sites-mcp", "tbl-sites-pacs",
        "tbl-placebos", "tbl-controls", "tbl-group-time", "tbl-delayed", "tbl-errors", "tbl-power", "tbl-evaluability",
        "tbl-absent", "tbl-its-all", "fig-single-series", "fig-series-methods", "tbl-series-mcp", "tbl-series-pacs", "tbl-series-mcp-pacs",
        "tbl-series-rest", "tbl-series-errors", "fig-autocorrelation", "tbl-residuals", "tbl-series-starts", "tbl-series-choices",
        "tbl-series-sites", "tbl-series-outcomes", "tbl-series-power", "tbl-england",
    ],
    "data-quality": [
        "fig-masked", "tbl-masked", "tbl-runs-non-elective-admissions", "tbl-runs-elective-admissions", "tbl-runs-gp-referrals",
        "tbl-runs-first-outpatients", "tbl-thresholds", "tbl-shifts", "tbl-whole", "fig-national", "tbl-files",
    ],
    "reconciliation": ["tbl-compared", "tbl-apart"],
    "index": ["tbl-briefs"],
}  # fmt: skip
EVERY_FLOAT = [(page, identity) for page, identities in FLOATS.items() for identity in identities]
BRIEFS = [
    "sites/dudley-mcp",
    "sites/northumberland-accountable-care-organisation",
]  # of the 23, two for the slower tests
PAGES = [*FLOATS, *BRIEFS]
LONG = ["evaluation", "appendix"]
BLOCK = re.compile(r"<(p|li|td|th|figcaption|dt|dd|h[1-6])\b[^>]*>(.*?)</\1>", re.DOTALL)


def visible(markup: str) -> str:
    """The text of a piece of HTML, with single blanks."""
    markup = re.sub(r"<(script|style|annotation)\b.*?</\1>", " ", markup, flags=re.DOTALL)
    text = html.unescape(
        re.sub(r"<[^>]+>", "", re.sub(r"<(?:br|/p|/li|/td|/th|/div|/figcaption|/h\d)\b[^>]*>", " ", markup))
    )
    return re.sub(r"\s+", " ", text.replace("\u00a0", " ").replace("\u2060", "")).strip()


def compact(text: str) -> str:
    """Text without blanks and invisible marks: what a line break cannot change."""
    return re.sub(r"[\s\u00ad\u200b\u2060\ufeff]+", "", text)


@dataclass(frozen=True)
class Built:
    """A build folder with its reports."""

    work: Workspace

    @cached_property
    def results(self) -> Results:
        return load_results(self.work)

    def html(self, name: str = "evaluation") -> str:
        return (self.work.reports / f"{name}.html").read_text(encoding="utf-8")

    def main(self, name: str = "evaluation") -> str:
        return re.search(r"<main\b.*?</main>", self.html(name), re.DOTALL)[0]

    def section(self, identity: str) -> str:
        """From a section's heading to the next heading of the first level below the title."""
        return re.search(rf'<h2[^>]*id="{identity}".*?(?=<h2\b|</main>)', self.main(), re.DOTALL)[0]

    def floats(self, name: str) -> list[str]:
        """The page's figures and tables; those of what this data set or this edition does not hold are left out."""
        absent = set() if self.work.data == "mar" else {"tbl-delayed", "tbl-shifts"}
        absent |= set() if self.results.simulation is not None else {"tbl-errors", "tbl-power"}
        return [identity for identity in FLOATS[name] if identity not in absent]

    def figure(self, name: str, identity: str) -> str:
        """One figure or table with its caption, as markup; the test is passed over where the page rightly has none."""
        found = self.main(name).partition(f'<figure id="{identity}"')[2].partition("</figure>")[0]
        assert bool(found) == (identity in self.floats(name))
        if not found:
            pytest.skip("not of this data set or edition")
        return found

    def pdf(self, name: str = "evaluation") -> pypdf.PdfReader:
        return pypdf.PdfReader(self.work.reports / f"{name}.pdf")

    def pdf_pages(self, name: str = "evaluation") -> list[str]:
        """Each page's text without blanks, header and footer included."""
        return [compact(page.extract_text()) for page in self.pdf(name).pages]

    def pdf_body(self, name: str = "evaluation") -> str:
        """The whole text without blanks, and without what every page repeats."""
        title = compact(visible(re.search(r"<title>(.*?)</title>", self.html(name), re.DOTALL)[1]))
        head = compact(f"Data: {self.results.dataset_name}")
        foot = re.compile(r"Datato\w+·commit\w+?(\d+of\d+)")
        pages = [
            foot.sub("", page).replace(title, "", 1 if page.startswith(title) else 0).replace(head, "", 1)
            for page in self.pdf_pages(name)
        ]
        return "".join(pages)


@contextmanager
def environment(work: Workspace) -> Iterator[None]:
    """The choices that the reports' kernel reads, which stands in a process of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BUILD", str(work.build))
        patch.setenv("DATA", work.data)
        yield


def build(work: Workspace, folder: Path) -> Built:
    others = sum(s.draws == 999 for s in load_protocol().specifications)
    quick = protocol_with(
        folder,
        *[("\ndraws = 9999", "\ndraws = 199")] * 2,
        *[("\ndraws = 999", "\ndraws = 99")] * (others + 1),  # and the curve's
        ("event_study_draws = 499", "event_study_draws = 99"),
        ("variant_draws = 999", "variant_draws = 99"),
    )
    assert {s.draws for s in quick.specifications} == {199, 99} and quick.specification_curve.draws == 99
    build_data(work, say=lambda message: None)
    # In a process of its own: there the package comes before numpy, and holds its libraries to one thread a worker.
    program = (
        "import analysis.stages as s, contextlib as c, pathlib as p, sys, analysis.workspace as w\n"
        "work = w.Workspace(build=p.Path(sys.argv[1]), protocol_file=p.Path(sys.argv[2]))\n"
        "if __name__ == '__main__': s.build_results(work, lambda n: c.nullcontext(lambda: None), workers=int(sys.argv[3]))"
    )
    arguments = [str(work.build), str(folder / "protocol.toml"), str(os.cpu_count() or 1)]
    subprocess.run([sys.executable, "-c", program, *arguments], check=True, cwd=REPOSITORY)
    with environment(work):
        build_reports(work, [], say=lambda message: None)
    return Built(work)


@pytest.fixture(scope="session", params=["snapshot", "mar"])
def built(request, tmp_path_factory) -> Built:
    """Both reports: always from the embedded snapshot, and from the published files where they are."""
    mirror = request.getfixturevalue("published_folder") if request.param == "mar" else Path("/nonexistent")
    folder = tmp_path_factory.mktemp(request.param)
    work = Workspace(
        root=REPOSITORY, build=folder / "build", mirror_asked=mirror, data=request.param, renderer="embedded"
    )
    return build(work, folder)


# Figures and tables


@pytest.mark.parametrize("name", FLOATS)
def test_every_figure_and_table_is_there_and_numbered_in_order(built, name):
    found = re.findall(r'<figure id="([^"]+)"', built.main(name))
    assert sorted(found) == sorted(built.floats(name))
    for kind, word in (("fig", "Figure"), ("tbl", "Table")):
        captions = re.findall(rf'<figcaption id="{kind}-[^"]+">(.*?)</figcaption>', built.main(name), re.DOTALL)
        numbers = [re.match(rf"{word} (\d+): ", visible(caption))[1] for caption in captions]
        assert numbers == [str(n + 1) for n in range(len(captions))]


@pytest.mark.parametrize(("name", "identity"), EVERY_FLOAT)
def test_each_figure_and_table_is_referred_to_in_the_text(built, name, identity):
    outside = re.sub(r"<figure\b.*?</figure>", "", built.main(name), flags=re.DOTALL)
    assert (f'href="#{identity}"' in outside) == (identity in built.floats(name))


@pytest.mark.parametrize(("name", "identity"), EVERY_FLOAT)
def test_each_figure_and_table_has_a_caption_a_source_and_numbers_of_its_own(built, name, identity):
    figure = built.figure(name, identity)
    after = built.main(name).partition(f'<figure id="{identity}"')[2]
    caption = visible(re.search(r"<figcaption[^>]*>(.*?)</figcaption>", figure, re.DOTALL)[1])
    note = "" if identity.startswith("fig-") else re.search(r'<div class="table-note">(.*?)</div>', after, re.DOTALL)[1]
    assert len(caption) > 12
    told = figure + note
    assert f"Source: {built.results.dataset_name}." in visible(told)
    (link,) = re.findall(r'href="([^"]+\.csv)"', told)
    table = pd.read_csv(built.work.reports / link)
    assert len(table) > 0 and table.shape[1] > 2
    every = "".join(built.main(page) for page in FLOATS)
    assert every.count(f'href="{link}"') == 1, f"{identity} shares its file of numbers with another figure or table"


@pytest.mark.parametrize(("name", "identity"), [pair for pair in EVERY_FLOAT if pair[1].startswith("fig-")])
def test_each_figure_is_described_in_words_with_its_values(built, name, identity):
    figure = built.figure(name, identity)
    alt = html.unescape(re.search(r'<img[^>]*\balt="([^"]*)"', figure, re.DOTALL)[1])
    assert len(alt) > 60 and re.search(r"\d\.\d" if name in LONG else r"\d", alt)
    for model in built.results.protocol.model_ids if name in LONG else []:  # the others' figures know no cohorts
        assert model in alt


@pytest.mark.parametrize("name", FLOATS)
def test_each_table_has_header_cells_and_no_empty_column(built, name):
    tables = re.findall(r"<table\b.*?</table>", built.main(name), re.DOTALL)
    assert len(tables) == len([identity for identity in built.floats(name) if identity.startswith("tbl-")])
    for table in tables:
        headers = re.findall(r'<th\b[^>]*scope="col"[^>]*>(.*?)</th>', table, re.DOTALL)
        assert headers and all(visible(header) for header in headers)


def test_the_numbers_of_the_growth_figure_are_in_its_file(built):
    figure = built.figure("evaluation", "fig-growth")
    table = pd.read_csv(built.work.reports / re.search(r'href="([^"]+\.csv)"', figure)[1])
    rule = next(rule for rule in built.results.protocol.growth if rule.published)
    published = growth.published_growth(built.results, rule.published)
    assert set(published.values()) <= set(table.select_dtypes("number").to_numpy().ravel().round(6))


# Text


@pytest.mark.parametrize("name", PAGES)
def test_nothing_is_unresolved_or_not_a_number(built, name):
    for text in (
        visible(built.html(name)),
        re.sub(r"\s+", " ", "\n".join(p.extract_text() for p in built.pdf(name).pages)),
    ):
        assert not re.search(r"\?@|\?\?|\{python\}|@(?:fig|tbl|sec|eq)-|\{#|:::|\*\*", text)
        assert not re.search(r"(?<![\w.])[+−-]?(?:nan|NaN|NaT|None(?! of )|inf|infinity|<NA>)(?![\w])%?", text)


def test_each_page_names_the_data_set(built):
    for name in PAGES:
        assert f"Data: {built.results.dataset_name}" in visible(built.html(name))
        for page in built.pdf_pages(name):
            assert compact(f"Data: {built.results.dataset_name}") in page


@pytest.mark.parametrize(("name", "first"), [("evaluation", "sec-summary"), ("appendix", "sec-short")])
def test_the_snapshot_is_named_as_such_before_anything_else(built, name, first):
    text = built.html(name)
    callouts = [part.start() for part in re.finditer(r'class="[^"]*callout-important', text)]
    if built.work.data != "snapshot":
        assert not callouts and "snapshot" not in visible(text)
        return
    assert "snapshot" in built.pdf_pages(name)[0]
    assert len(callouts) == 1 and callouts[0] < text.index(f'id="{first}"')
    assert compact("Built on the embedded snapshot") in "".join(built.pdf_pages(name)[:2])
    assert "CCGs of neither model" not in visible(built.main(name)), "the snapshot's controls are areas, not CCGs"


def test_every_monthly_file_is_listed(built):
    names = [Path(file["file"]).name for file in built.results.provenance["files"] if file["file"].startswith("mar/")]
    earlier = pd.date_range(
        built.results.protocol.primary_outcomes[0].england_from, built.results.protocol.months[0], freq="MS"
    )[:-1]
    assert (len(names), len(built.results.protocol.months), len(earlier)) == (
        72,
        60,
        12,
    )  # England's series starts a year before the panel
    section, pdf = visible(built.section("sec-provenance")), "".join(built.pdf_pages())
    for name in names:
        assert name in section and compact(name) in pdf


def test_the_provenance_says_which_code_and_data(built):
    text = visible(built.section("sec-provenance"))
    for word in (
        "commit",
        "requirements.lock",
        "Seed",
        "Python",
        "Renderer",
        "SHA-256",
        "not an official statistic",
        "not endorsed by the NHS",
    ):
        assert word in text
    assert str(built.results.protocol.study.seed) in text


@pytest.mark.parametrize("name", FLOATS)
def test_the_page_and_the_pdf_have_the_same_headings(built, name):
    def titles(outline) -> list[str]:
        return [title for item in outline for title in (titles(item) if isinstance(item, list) else [item.title])]

    headings = [visible(text) for _, text in re.findall(r"<h([2-6])\b[^>]*>(.*?)</h\1>", built.main(name), re.DOTALL)]
    assert len(headings) > (10 if name in LONG else 2)
    bare = [re.sub(r"^[\d.]+ ", "", heading) for heading in headings]
    outline = [re.sub(r"^[\d.]+ ", "", title) for title in titles(built.pdf(name).outline)]
    assert [title for title in outline if title in bare] == bare
    body = built.pdf_body(name)
    for heading in headings:
        assert compact(heading) in body


@pytest.mark.parametrize("name", PAGES)
def test_the_page_and_the_pdf_have_the_same_sentences_and_numbers(built, name):
    """Every paragraph, caption, list item and cell of the page, in the PDF without its line breaks."""
    body = built.pdf_body(name)
    blocks = [
        visible(text) for _, text in BLOCK.findall(built.main(name)) if "<math" not in text and "<img" not in text
    ]
    blocks = [text for text in blocks if compact(text)]
    assert len(blocks) > (200 if name in LONG else 5)
    missing = [text for text in blocks if compact(text) not in body]
    assert missing == []


def test_the_summary_is_one_page_of_the_pdf(built):
    blocks = [compact(visible(text)) for _, text in BLOCK.findall(built.section("sec-summary")) if "<img" not in text]
    pages = [page for page in built.pdf_pages() if all(block in page for block in blocks)]
    assert len(blocks) >= 6 and len(pages) == 1
    assert compact("Background") not in pages[0]


def test_the_verdicts_are_those_of_the_estimates(built):
    outcome = built.results.protocol.primary_outcomes[0].id
    text = visible(built.section("sec-summary"))
    assert visible(verdicts.summary_answer(built.results)) in text
    for model in built.results.protocol.model_ids:
        assert visible(verdicts.verdict_sentence(built.results, outcome, model).replace("**", "")) in text


def test_changing_an_estimate_changes_the_printed_sentence(built, tmp_path):
    if built.work.data != "snapshot":
        pytest.skip("once is enough")
    outcome, model = built.results.protocol.primary_outcomes[0].id, built.results.protocol.model_ids[1]
    work = replace(built.work, build=tmp_path / "build")
    shutil.copytree(built.work.build, work.build)
    table = pd.read_parquet(work.estimates)
    effect = (
        (table.outcome == outcome)
        & (table.cohort == model)
        & (table.specification == "primary")
        & (table.design == "did")
    )
    table.loc[effect & (table.term == "att_percent"), ["estimate", "ci_low", "ci_high"]] = [7.7, 1.1, 14.4]
    table.loc[effect & table.term.isin(["att", "att_percent"]), "p_value"] = 0.004
    write_table(table, work.estimates)
    write_table(verdict_table(table, built.results.curve, built.results.protocol), work.table("verdicts"))
    with environment(work):
        build_reports(work, ["evaluation"], say=lambda message: None)
    before, after = visible(built.section("sec-summary")), visible(Built(work).section("sec-summary"))
    assert before != after
    assert "7.7% above" in after and "7.7% above" not in before
    assert f"{model}: inconclusive" in before and f"{model}: inconclusive" not in after
    assert compact("7.7% above") in Built(work).pdf_body()


# Files


@pytest.mark.parametrize("name", PAGES)
def test_the_pdf_is_tagged_and_has_a_title_and_a_language(built, name):
    pdf = built.pdf(name)
    root = pdf.trailer["/Root"]
    title = visible(re.search(r"<title>(.*?)</title>", built.html(name), re.DOTALL)[1])
    assert root["/MarkInfo"]["/Marked"] and "/StructTreeRoot" in root
    assert str(root["/Lang"]).lower() == "en-gb"
    assert pdf.metadata.title == title and root["/ViewerPreferences"]["/DisplayDocTitle"]
    assert b"pdfuaid" in root["/Metadata"].get_data()


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


@pytest.mark.parametrize("name", FLOATS)
def test_the_pdf_links_to_the_same_files_of_numbers(built, name):
    links = {
        str(note.get_object()["/A"]["/URI"])
        for page in built.pdf(name).pages
        for note in page.get("/Annots", [])
        if "/URI" in note.get_object().get("/A", {})
    }
    assert set(re.findall(r'href="([^"]+\.csv)"', built.html(name))) <= links


def test_every_site_has_a_brief_of_its_own(built):
    outcome = built.results.protocol.primary_outcomes[0].id
    every = places.sites(built.results, outcome).site
    assert len(every) == 23
    for site in every:
        name = f"sites/{slug(site)}"
        text = visible(built.main(name))
        assert f"<title>{html.escape(site, quote=False)}" in built.html(name)
        assert visible(finding_sentence(built.results, outcome, site).replace("**", "")) in text
        assert compact(visible(finding_sentence(built.results, outcome, site).replace("**", ""))) in built.pdf_body(
            name
        )
        for suffix, most in (("html", 3e6), ("pdf", 2e6)):
            assert (built.work.reports / f"{name}.{suffix}").stat().st_size < most


# In a browser


@pytest.mark.skipif(CHROMIUM is None or AXE is None, reason="needs Chromium and axe-playwright-python")
@pytest.mark.parametrize("name", PAGES)
def test_the_page_in_a_browser(built, name):
    """No request, no error, no sideways scrolling, and nothing that axe-core finds, on a desk and on a phone."""
    from playwright.sync_api import sync_playwright

    axe = Path(AXE.submodule_search_locations[0], "axe.min.js").read_text(encoding="utf-8")
    requests: list[str] = []
    problems: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_context(offline=True).new_page()
        page.on("request", lambda request: requests.append(request.url))
        page.on(
            "console", lambda message: problems.append(message.text) if message.type in ("error", "warning") else None
        )
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.add_init_script(axe)
        for width in (1280, 390, 320):  # 320 is 1280 at 400% zoom
            page.set_viewport_size({"width": width, "height": 900})
            page.goto((built.work.reports / f"{name}.html").as_uri())
            found = page.evaluate("async () => (await axe.run()).violations")
            assert [(width, v["id"], [n["html"] for n in v["nodes"]]) for v in found] == []
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            sizes = page.evaluate(
                "[...document.querySelectorAll('main img')].map(i => [i.naturalWidth, i.getBoundingClientRect().width])"
            )
            assert all(natural > 0 and shown > 0 for natural, shown in sizes)
        browser.close()
    assert problems == []
    assert [url for url in requests if not url.startswith(("file:", "data:"))] == []
