"""The reports read as text: every figure, table, sentence and number, on the page and in the PDF."""

from __future__ import annotations

import html
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from built import BLOCK, BRIEFS, EVERY_FLOAT, FLOATS, KINDS, LONG, PAGES, Built, compact, environment, visible

from analysis.core.files import write_table
from analysis.estimation.verdict import verdict_table
from analysis.publish.build import build_reports
from analysis.reporting.data import records_words as records
from analysis.reporting.growth import words as growth
from analysis.reporting.verdicts import words as verdicts

pytestmark = pytest.mark.slow

# Figures and tables

# The others are counted from the data set, alone or beside other publications.
OF_OTHER_SOURCES = {
    "tbl-sites",
    "tbl-sources",
    "tbl-files",
    "tbl-apart",
    "tbl-deviations",
    "tbl-guidelines",
    "tbl-delayed",
}


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
    source = re.search(r"Source: (.+?)\.? ?Numbers as CSV", visible(told))[1]
    assert (built.results.dataset_name in source) == (identity not in OF_OTHER_SOURCES), source
    (link,) = re.findall(r'href="([^"]+\.csv)">Numbers as CSV', told)
    table = pd.read_csv(built.work.reports / link)
    assert len(table) > 0 and table.shape[1] > 2
    every = "".join(built.main(page) for page in {*FLOATS} - {"index"} | {name})  # the index lists the files of all
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
        visible(re.sub(r'<details class="code-fold">.*?</details>', "", built.html(name), flags=re.DOTALL)),
        re.sub(r"\s+", " ", "\n".join(built.pdf_texts(name))),
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


@pytest.mark.parametrize("name", PAGES)
def test_a_blank_follows_every_comma_of_a_sentence(built, name):
    """Sentences are put together from pieces, at whose seams one may be lost."""
    text = visible(re.sub(r"<pre\b.*?</pre>", "", built.main(name), flags=re.DOTALL))
    assert re.findall(r".{20}[a-z][,;:][a-z].{20}", text) == []


@pytest.mark.parametrize("name", PAGES)
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
    blocks = [
        visible(text) for _, text in BLOCK.findall(built.main(name)) if "<math" not in text and "<img" not in text
    ]
    blocks = [text for text in blocks if compact(text)]
    assert len(blocks) > (200 if name in LONG else 5)
    missing = [text for text in blocks if not built.is_printed(compact(text), name)]
    assert missing == []


def test_the_summary_is_one_page_of_the_pdf(built):
    blocks = [compact(visible(text)) for _, text in BLOCK.findall(built.section("sec-summary")) if "<img" not in text]
    pages = [page for page in built.pdf_pages() if all(block in page for block in blocks)]
    assert len(blocks) >= 6 and len(pages) == 1
    assert compact("Background") not in pages[0]


def test_the_verdicts_are_those_of_the_estimates(built):
    outcome = built.results.protocol.primary_outcomes[0].id
    text = visible(built.section("sec-summary")).replace("’", "'")
    assert visible(verdicts.summary_answer(built.results)) in text
    for model in built.results.protocol.model_ids:
        assert visible(verdicts.verdict_sentence(built.results, outcome, model).replace("**", "")) in text


@pytest.mark.parametrize("built", KINDS[:1], indirect=True)
def test_changing_an_estimate_changes_the_printed_sentence(built, tmp_path):
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


@pytest.mark.parametrize("name", [*LONG, "data-quality", "reconciliation", BRIEFS[0]])
def test_each_report_says_once_that_no_records_were_counted(built, name):
    assert visible(built.main(name)).count(visible(records.NONE)) == 1
