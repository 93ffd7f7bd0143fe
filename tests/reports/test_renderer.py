"""The renderer on one rich document: a real kernel, real pandoc, real Typst, and a real browser where there is one."""

from __future__ import annotations

import base64
import hashlib
import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pandas as pd
import pypdf
import pytest
import yaml
from nbformat import NotebookNode

from analysis.core.errors import MachineError
from analysis.core.files import write_table
from analysis.publish import embedded, quarto, settings
from analysis.publish.check import BIB_KEY, check
from analysis.publish.contents import COLUMNS, merged
from analysis.publish.display import show_figure
from analysis.publish.notebook import ReportError, read_qmd
from analysis.publish.render import Document, execute, renderer_versions, write
from analysis.publish.session import Session
from analysis.publish.settings import bibliography

SAMPLE = Path(__file__).with_name("sample.qmd")
METADATA = {"dataset-name": "A test data set", "edition": "Data to March 2018", "date": "2026-11-22"}


@dataclass(frozen=True)
class Rendered:
    folder: Path
    notebook: NotebookNode
    html: str
    pdf: pypdf.PdfReader

    @property
    def pdf_text(self) -> str:
        return plain("\n".join(page.extract_text() for page in self.pdf.pages))

    @property
    def html_text(self) -> str:
        text = re.sub(r"<(script|style|annotation|details)\b.*?</\1>", " ", self.html, flags=re.DOTALL)
        return plain(re.sub(r"<[^>]+>", " ", text))


def plain(text: str) -> str:
    return re.sub(r"\s+", " ", text.replace("\u00a0", " ").replace("\u2060", ""))


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def session():
    with Session() as running:
        yield running


@pytest.fixture(scope="module")
def rendered(session, tmp_path_factory) -> Rendered:
    folder = tmp_path_factory.mktemp("report")
    source = Path(shutil.copy(SAMPLE, folder))
    notebook = session.execute(read_qmd(source), folder, source.name)
    details = {"base": folder, "source_name": source.name, "metadata": METADATA}
    embedded.render_html(notebook, folder / "sample.html", **details)
    embedded.render_pdf(notebook, folder / "sample.pdf", **details)
    html = (folder / "sample.html").read_text(encoding="utf-8")
    return Rendered(folder, notebook, html, pypdf.PdfReader(folder / "sample.pdf"))


def render_text(session: Session, folder: Path, text: str, **options) -> None:
    source = folder / "bad.qmd"
    source.write_text(text, encoding="utf-8")
    render(session, source, **options)


def render(session: Session, source: Path, renderer: str = "embedded") -> None:
    document = Document(source, source.with_suffix(".html"), source.with_suffix(".pdf"), METADATA)
    write(execute(document, session), document, renderer)


# The notebook


@pytest.mark.slow
def test_code_fences_inside_other_fences_are_text_not_cells(rendered):
    assert "shown, not run" in rendered.html
    assert sum(cell.cell_type == "code" for cell in rendered.notebook.cells) == 6


def test_inline_expressions_become_text_and_keep_their_results(rendered):
    assert "<strong>−1.7%</strong> (95% interval −4.2% to 0.9%)" in rendered.html
    assert "with 44 areas and the text a*b_c." in rendered.html_text
    assert "<code>`{python} not_run`</code>" in rendered.html
    results = [r for cell in rendered.notebook.cells for r in cell.metadata.get("user_expressions", [])]
    assert [r["expression"] for r in results] == ["verdict()", "n", '"a*b_c"']
    assert {r["result"]["status"] for r in results} == {"ok"}


def test_outputs_hold_nothing_that_changes_from_run_to_run(rendered):
    everything = str(rendered.notebook)
    assert " at 0x" not in everything and "iopub" not in everything
    for cell in rendered.notebook.cells:
        for output in cell.get("outputs", []):
            assert "text/html" not in output.get("data", {})


@pytest.mark.slow
def test_hidden_cells_leave_no_trace_and_folded_code_is_only_on_the_web(rendered):
    assert "hidden_name" not in rendered.html and "hidden_name" not in rendered.pdf_text
    assert re.search(r"<details[^>]*><summary>Code</summary>", rendered.html)
    assert "draw()" in rendered.html


@pytest.mark.slow
def test_each_report_starts_with_a_clean_namespace(session, tmp_path):
    for text in ("```{python}\nleft_over = 1\n```\n", "```{python}\nassert 'left_over' not in globals()\n```\n"):
        source = tmp_path / "clean.qmd"
        source.write_text(text)
        session.execute(read_qmd(source), tmp_path, source)


def test_the_kernel_can_import_the_project_and_is_pinned(session, tmp_path):
    source = tmp_path / "pinned.qmd"
    source.write_text(
        "```{python}\nimport os, analysis\n"
        "names = ('PYTHONHASHSEED', 'OMP_NUM_THREADS', 'MPLBACKEND')\n"
        "assert [os.environ[n] for n in names] == ['0', '1', 'agg'] and 'SOURCE_DATE_EPOCH' in os.environ\n```\n"
    )
    session.execute(read_qmd(source), tmp_path, source)


# Numbers and references


@pytest.mark.cases(quick=0, push=7)
@pytest.mark.parametrize(
    ("identity", "text"),
    [
        ("sec-data", "Section 2"), ("sec-verdict", "Section 1.1"), ("fig-cell", "Figure 1"), ("fig-made", "Figure 2"),
        ("tbl-cell", "Table 1"), ("fig-pair", "Figure 3"), ("fig-pair-a", "Figure 3 (a)"), ("fig-alone", "Figure 4"),
        ("tbl-written", "Table 2"), ("eq-model", "Equation 1"),
    ],
)  # fmt: skip
def test_references_are_numbered_alike_in_both_formats(rendered, identity, text):
    assert f'<a href="#{identity}">{text}</a>' in rendered.html.replace("\u00a0", " ")
    assert f'id="{identity}"' in rendered.html
    assert text in rendered.pdf_text


@pytest.mark.slow
def test_both_formats_have_the_same_headings_and_figures_in_the_text(rendered):
    headings = [plain(re.sub(r"<[^>]+>", "", h)) for h in re.findall(r"<h[2-6][^>]*>(.*?)</h", rendered.html, re.S)]
    assert headings == ["1 Background", "1.1 Verdict", "2 Data", "An aside without a number", "References"]
    body = rendered.pdf_text
    for heading in headings:
        assert heading in body
    # Without the bibliography, where the PDF breaks long addresses over lines.
    on_the_web, on_paper = (
        {number.strip(".,") for number in re.findall(r"\d[\d,.]*\d%?", text.rpartition("References")[0])}
        for text in (rendered.html_text, body)
    )
    assert len(on_the_web) > 20 and on_the_web <= on_paper


@pytest.mark.slow
def test_citations_footnotes_and_definitions_arrive(rendered):
    assert "Morciano et al. (2020)" in rendered.html_text.replace("( ", "(").replace(" )", ")")
    assert 'role="doc-endnotes"' in rendered.html and "Health Policy" in rendered.pdf_text
    assert re.search(r"<dt>MCP</dt>\s*<dd>", rendered.html)


@pytest.mark.slow
def test_blocks_for_one_format_go_to_that_format_only(rendered):
    assert "Only on the web" in rendered.html_text and "Only on the web" not in rendered.pdf_text
    assert "Only on paper" in rendered.pdf_text and "Only on paper" not in rendered.html_text
    assert 'class="pagebreak"' in rendered.html
    assert "An aside without a number" not in rendered.pdf.pages[-2].extract_text()


@pytest.mark.slow
def test_callouts_have_titles_and_are_notes(rendered):
    assert re.search(r'class="callout callout-important"[^>]*role="note"', rendered.html)
    assert "Embedded snapshot" in rendered.pdf_text and "Careful now" in rendered.html


# Accessibility and independence


def test_the_page_loads_nothing(rendered):
    loaded = re.findall(r'<(?:img|script|link|iframe|source|video)[^>]*(?:src|href)="(?!data:)([^"]*)"', rendered.html)
    assert loaded == []
    assert not re.search(r"url\((?!['\"]?data:)|@import", rendered.html)


def test_the_page_has_landmarks_language_and_described_parts(rendered):
    assert '<html lang="en-GB">' in rendered.html and '<main id="content"' in rendered.html
    assert 'href="#content"' in rendered.html
    assert rendered.html.count("<img") == len(re.findall(r'<img[^>]*alt="[^"]+"', rendered.html)) == 5
    assert 'alt="A line rising from 1 to 4, with &quot;quotes&quot;"' in rendered.html
    assert '<th scope="col"' in rendered.html and "<th>" not in rendered.html
    assert 'role="region" tabindex="0" aria-labelledby="tbl-cell-caption"' in rendered.html
    assert re.search(r'<td style="text-align: right;">\s*1,234.5', rendered.html)


def test_the_pdf_is_tagged_and_says_what_it_is(rendered):
    root = rendered.pdf.trailer["/Root"]
    assert root["/MarkInfo"]["/Marked"] and root["/Lang"] == "en-GB"
    assert rendered.pdf.metadata.title == "Did the vanguards slow emergency admissions?"
    assert b"<pdfuaid:part>1</pdfuaid:part>" in root["/Metadata"].get_data()
    kinds, texts = set(), set()
    pending = [root["/StructTreeRoot"]]
    while pending:
        node = pending.pop()
        if isinstance(node, pypdf.generic.DictionaryObject):
            kinds.add(str(node.get("/S")))
            texts.add(str(node.get("/Alt")))
            children = node.get("/K", [])
            pending += [c.get_object() for c in (children if isinstance(children, list) else [children])]
    assert {"/H1", "/H2", "/Table", "/TH", "/TD", "/Figure", "/Formula", "/Note"} <= kinds
    assert 'A line rising from 1 to 4, with "quotes"' in texts
    assert "the log of expected admissions is a sum of effects" in texts


@pytest.mark.slow
def test_every_page_names_the_data_set_and_its_number(rendered):
    for number, page in enumerate(rendered.pdf.pages, 1):
        text = page.extract_text()
        assert "Data: A test data set" in text and f"{number} of {len(rendered.pdf.pages)}" in text


def test_two_renders_are_equal_to_the_byte(session, rendered, tmp_path):
    source = Path(shutil.copy(SAMPLE, tmp_path))
    html, pdf = tmp_path / "sample.html", tmp_path / "sample.pdf"
    render(session, source)
    assert set(renderer_versions("embedded")) == {"pandoc", "typst"}
    assert digest(html) == digest(rendered.folder / "sample.html")
    assert digest(pdf) == digest(rendered.folder / "sample.pdf")


# Failures


@pytest.mark.cases(quick=10, push=17)
@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("# One {#sec-a}\n\n# Two {#sec-a}\n", ["bad.qmd, line 1", "a second sec-a"]),
        ("# One\n\n```{python}\nx = 1\n1 / 0\n```\n", ["bad.qmd, line 5", "ZeroDivisionError"]),
        ("# One\n\nA\nvalue `{python} missing`.\n", ["bad.qmd, line 4", "`missing`", "NameError"]),
        ("A value `{python} object()`.\n", ["bad.qmd, line 1", "readable"]),
        ("# One\n\nWords,\nsee @fig-nowhere.\n", ["bad.qmd, line 4", "cell-0", "@fig-nowhere", "define"]),
        (
            "A `{python} 1 + 1` and\n`{python} 'a'`:\n[@nobody1900].\n",
            ["bad.qmd, line 3", "cell-0", "@nobody1900", "bibliography"],
        ),
        (
            "A `{python} '@' + 'a'` is no citation, and neither is a@b.org; see @nobody1900.\n",
            ["line 1", "@nobody1900"],
        ),
        (
            "Text.\n\n```{python}\nfrom IPython.display import Markdown\nMarkdown('so @tbl-lost')\n```\n",
            ["bad.qmd, line 4", "cell-1", "@tbl-lost"],
        ),
        ("One.\n\n::: {.callout-danger}\nMind!\n:::\n", ["bad.qmd, line 3", "cell-0", ".callout-danger", "caution"]),
        ("One.\n\n![A caption](a.svg){#fig-x}\n", ["bad.qmd, line 3", "cell-0", "a.svg", "fig-alt"]),
        ('![](a.svg){fig-alt="  "}\n', ["bad.qmd, line 1", "a.svg", "fig-alt"]),
        (
            "```{python}\n#| label: fig-x\n#| fig-cap: A line\nimport matplotlib.pyplot as plt\nplt.figure()\n```\n",
            ["bad.qmd, line 2", "cell fig-x", "fig-alt"],
        ),
        (
            "```{python}\n#| label: fig-x\n#| fig-cap: A line\n#| fig-alt:\nimport matplotlib.pyplot as plt\nplt.figure()\n```\n",
            ["bad.qmd, line 2", "cell fig-x", "fig-alt"],
        ),
        ("![A caption](gone.svg){#fig-x fig-alt='x'}\n", ["bad.qmd, line 1", "cell-0", "gone.svg"]),
        ("One.\n\n::: callout-alarm\nMind!\n:::\n", ["bad.qmd, line 3", "callout-alarm"]),
        ("One\n[@{nobody}].\n", ["bad.qmd, line 2", "@nobody"]),
        (
            "One.\n\n```{python}\n#| output: asis\nprint('so @tbl-lost')\n```\n",
            ["bad.qmd, line 4", "cell-1", "@tbl-lost"],
        ),
        ("See @fig-ab.\n\nSee @fig-a.\n\n::: {#fig-ab}\nA\n\nB\n:::\n", ["bad.qmd, line 3", "@fig-a,"]),
        ("# One\n\n### Three\n", ["bad.qmd", "heading"]),
        ("# One\n\n```{python}\nx = 1\n", ["bad.qmd, line 3", "never ends"]),
        ("```{python}\n#| label: fig-x\n#| fig-cap: A: B\nx = 1\n```\n", ["bad.qmd, line 3", "quotation marks"]),
    ],
)
def test_an_error_names_the_report_and_leaves_the_earlier_files(session, tmp_path, text, words):
    for name in ("bad.html", "bad.pdf"):
        (tmp_path / name).write_text("earlier")
    with pytest.raises(ReportError) as caught:
        render_text(session, tmp_path, text)
    for word in words:
        assert word in str(caught.value)
    assert {p.name: p.read_text() for p in tmp_path.glob("bad.[hp]*")} == {"bad.html": "earlier", "bad.pdf": "earlier"}
    assert sorted(p.name for p in tmp_path.iterdir()) == ["bad.html", "bad.pdf", "bad.qmd"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "text",
    [
        "<!-- ask @nobody1900 -->\n\nText.\n",
        "The rate $x@y$ and `@fig-nowhere`.\n",
        '[A link](https://a.example/@b "by @nobody"), <https://a.example/@b>, a@b.org and \\@nobody.\n',
        "Text.\n\n    @fig-nowhere in indented code\n",
        '![A caption](a.svg){#fig-x fig-alt="what {braces} say, @all"}\n\nSee @fig-x.\n',
        "| A |\n|---|\n| 1 |\n\n: A caption {#tbl-x}\n\nSee @tbl-x.\n",
        "$$\nx = 1\n$$ {#eq-x}\n\nSee @eq-x.\n",
    ],
)
def test_what_is_no_fault_is_let_pass(session, tmp_path, text):
    """An @ in a comment, in mathematics, in code or in a link refers to nothing; braces in a text close no attributes."""
    (tmp_path / "a.svg").write_text('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>')
    (tmp_path / "good.qmd").write_text(text, encoding="utf-8")
    notebook = session.execute(read_qmd(tmp_path / "good.qmd"), tmp_path, tmp_path / "good.qmd")
    check(notebook, tmp_path / "good.qmd", bibliography())


def test_an_image_without_a_text_is_refused(session, tmp_path):
    (tmp_path / "a.svg").write_text('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>')
    with pytest.raises(ReportError, match=r"bad\.qmd, line 2[\s\S]*fig-alt"):
        render_text(session, tmp_path, "::: {#fig-x}\n![](a.svg)\n\nA caption\n:::\n")


# Quarto


def test_a_missing_quarto_says_what_to_do(session, tmp_path, monkeypatch):
    monkeypatch.setattr(quarto, "_found", lambda: None)
    with pytest.raises(MachineError, match="quarto-cli"):
        render_text(session, tmp_path, "Text.\n", renderer="quarto")


FAKE_QUARTO = """#!/bin/sh
echo "$*" >> calls
cp _quarto.yml report.ipynb calls "{seen}"; cp -r images reports analysis "{seen}"
printf '{page}' > report.html; printf pdf > report.pdf
"""


@pytest.mark.parametrize("page", ["<p>Figure 1</p>", "<p><strong>?@fig-lost</strong></p>"])
def test_quarto_is_given_the_executed_notebook_in_a_project_of_its_own(rendered, tmp_path, monkeypatch, page):
    seen, program = tmp_path / "seen", tmp_path / "quarto"
    seen.mkdir()
    program.write_text(FAKE_QUARTO.format(seen=seen, page=page))
    program.chmod(0o755)
    monkeypatch.setattr(quarto, "_found", lambda: (program, "1.10.0"))
    html, pdf = tmp_path / "out" / "a.html", tmp_path / "out" / "a.pdf"
    details = {"base": rendered.folder, "source_name": "sample.qmd", "metadata": METADATA}
    if "?@" in page:
        with pytest.raises(ReportError, match="@fig-lost"):
            quarto.render(rendered.notebook, html, pdf, **details)
        assert not html.exists() and not pdf.exists()
        return
    quarto.render(rendered.notebook, html, pdf, **details)
    assert html.read_text() == page and pdf.read_text() == "pdf"
    calls = (seen / "calls").read_text().splitlines()
    assert calls == ["render report.ipynb --no-execute"]
    staged = nbformat.read(seen / "report.ipynb", as_version=4)
    settings = yaml.safe_load(staged.cells[0].source.strip("-"))
    assert settings["date-iso"] == METADATA["date"] and settings["dataset-name"] == "A test data set"
    assert "plot.svg" not in str([c.source for c in staged.cells if c.cell_type == "markdown"])
    assert len(list((seen / "images").glob("*.svg"))) == 4
    formats = yaml.safe_load((seen / "_quarto.yml").read_text())["format"]
    for path in [entry["path"] for form in formats.values() for entry in [*form["filters"], {"path": form["template"]}]]:
        assert (seen / path).is_file()


@pytest.mark.skipif(quarto.find_quarto() is None, reason="no Quarto 1.9 or later on this machine")
def test_quarto_renders_the_same_notebook(session, tmp_path):
    source = Path(shutil.copy(SAMPLE, tmp_path))
    html, pdf = tmp_path / "sample.html", tmp_path / "sample.pdf"
    render(session, source, "quarto")
    assert "quarto" in renderer_versions("quarto")
    assert "Figure 2" in html.read_text(encoding="utf-8").replace("\u00a0", " ").replace("&nbsp;", " ")
    assert pypdf.PdfReader(pdf).trailer["/Root"]["/MarkInfo"]["/Marked"]


# Browser


@pytest.mark.slow
def test_a_browser_finds_nothing_to_fetch_and_nothing_to_fault(rendered, browser, axe):
    rules = "{runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']}"
    requests: list[str] = []
    context = browser.new_context(offline=True)
    page = context.new_page()
    page.on("request", lambda request: requests.append(request.url))
    page.add_init_script(axe)
    for width in (1280, 390, 320):  # 320 is 1280 at 400% zoom
        page.set_viewport_size({"width": width, "height": 900})
        page.goto((rendered.folder / "sample.html").as_uri())
        violations = page.evaluate(f"async () => (await axe.run({rules})).violations")
        assert [(width, v["id"], [n["html"] for n in v["nodes"]]) for v in violations] == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    context.close()
    assert [url for url in requests if not url.startswith(("file:", "data:"))] == []


def test_images_are_carried_in_the_page(rendered):
    carried = re.findall(r'src="data:image/svg\+xml;base64,([^"]+)"', rendered.html)
    assert len(carried) == 5 and all(b"<svg" in base64.b64decode(data) for data in carried)


@pytest.mark.cases(quick=2)
@pytest.mark.parametrize("name", ["o'neill", "*x* _y_", "a [1] (2)", "50%20#?", "$HOME {y} ~z~ `c`", "研究 – é"])
def test_a_folder_that_pandoc_would_read_as_markdown_or_as_an_address(name: str, tmp_path: Path, monkeypatch) -> None:
    """The project's own files, the images and the temporary folder, wherever the user keeps them."""
    project = tmp_path / name
    shutil.copytree(
        settings.PROJECT_FILE.parent / "reports",
        project / "reports",
        ignore=lambda _, names: {n for n in names if "." not in n},
    )
    shutil.copy(settings.PROJECT_FILE, project)
    settings.stage_project(project)
    (project / "tmp").mkdir()
    monkeypatch.setattr(settings, "PROJECT_FILE", project / "_quarto.yml")
    monkeypatch.setattr(tempfile, "tempdir", str(project / "tmp"))
    picture = project / "staged figures" / f"{name}.svg"
    picture.parent.mkdir()
    picture.write_text('<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"><title>seen</title></svg>')
    work = SimpleNamespace(work=SimpleNamespace(staged=project / "staged figures"), dataset_name="data")
    monkeypatch.chdir(project / "reports")
    key = next(iter(BIB_KEY.findall(bibliography().read_text(encoding="utf-8"))))
    figure = SimpleNamespace(
        svg=picture.read_text(), data=pd.DataFrame({"a": [1]}), alt="a picture", caption="A caption", source=""
    )
    shown = show_figure(work, "one", figure, name).data
    cells = ["---\ntitle: A title\n---", f"Words of another [@{key}].\n\n{shown}"]
    notebook = nbformat.v4.new_notebook(
        cells=[
            nbformat.v4.new_raw_cell(cells[0], metadata={"line": 1}),
            nbformat.v4.new_markdown_cell(cells[1], metadata={"line": 4}),
        ]
    )
    source = project / "reports/report.qmd"
    check(notebook, source, bibliography())
    target = project / "report.html"
    embedded.render_html(notebook, target, base=source.parent, source_name=source, metadata={})
    html = target.read_text(encoding="utf-8")
    assert "csl-entry" in html and "data:image/svg+xml" in html and "font-family" in html


def test_a_document_that_is_made_again_is_listed_once(tmp_path):
    before = merged(None, [dict(zip(COLUMNS, f"{document} fig-old Old a.csv a.svg".split(), strict=True)) for document in "ab"], ["a", "b"])
    write_table(before, tmp_path / "contents.csv")
    after = merged(tmp_path / "contents.csv", [dict(zip(COLUMNS, ["a", "fig-new", "New", "b.csv", "b.svg"], strict=True))], ["a"])
    assert after[["document", "identity"]].to_numpy().tolist() == [["a", "fig-new"], ["b", "fig-old"]]
