"""Text from outside is data: whatever names, notes and the protocol say is shown as it is, and does nothing, in every format."""

from __future__ import annotations

import html
import itertools
import json
import random
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pypdf
import pytest
from acceptance.scratch_project import ON_SNAPSHOT, Project
from built import compact
from hostile import AT, FORMULA, HTML, MARKDOWN, PAYLOADS, PLUS, SITES, cells, plant
from synthetic import protocol_with, smaller

from analysis.core.errors import DataError, StudyError
from analysis.core.files import write_table
from analysis.core.untrusted import FORMULA as BEGINS
from analysis.core.untrusted import NUMBER, cited, mark, outside, plain, printable, references, slug, unguarded
from analysis.panel.cohorts import read_cohorts
from analysis.protocol.protocol import load_protocol
from analysis.publish.display import show_figure
from analysis.publish.pandoc import pandoc
from analysis.reporting.figure import Figure

PRIVATE = re.compile("[\ue000-\uf8ff]")
PIECES = [
    *"\\`*_{}[]()<>~^$@|\"#&!+-.:;%=/", "a", "1", "x y", "é", "(a)", "--", "...", ":::", "```", "~~~", "lt;", "#60;", "http://e.org",
    "{=html}", "{{<", "[^1]", "Table:", "(@)",
]  # fmt: skip
# Where a report may put a text: Markdown around it, {} in its place.
PLACES = [
    "{}", "{} is a site.", "At {}, {}.", "**{}: a fall.** It fell.", "# {}", "- {}", "Term\n:   {}", "| A | B |\n|---|---|\n| {} | 1 |",
    "| A |\n|---|\n| 1 |\n\n: {} {{#tbl-x}}", "![**{}** Source: {}.](x.svg){{#fig-x fig-alt=\"{}\"}}", "[{}](x.html)",
    "::: {{.callout-note}}\n{}\n:::",
]  # fmt: skip


# The marks


def hostile_texts(number: int) -> list[str]:
    generator = random.Random(1)
    made = ["".join(generator.choices([*PIECES, " "], k=generator.randint(1, 9))) for _ in range(number)]
    return [text for text in map(printable, [*PAYLOADS, *SITES.values(), *made]) if text]


def structure(tree: object) -> object:
    """Pandoc's tree with each run of plain text as one string, quotes and dashes as typed."""
    if isinstance(tree, dict):
        return {key: structure(value) for key, value in tree.items()}
    if not isinstance(tree, list):
        return tree
    found: list[object] = []
    for node in flat(tree):
        text = (
            {"Str": str, "Space": lambda _: " ", "SoftBreak": lambda _: " "}.get(node.get("t"))
            if isinstance(node, dict)
            else None
        )  # type: ignore[call-overload]
        if text is None:
            found.append(structure(node))
        elif found and isinstance(found[-1], str):
            found[-1] += text(node.get("c"))
        else:
            found.append(text(node.get("c")))
    return found


def flat(nodes: list) -> Iterator:
    """Straight single quotes become curly ones, whatever they stand around: that is typography."""
    for node in nodes:
        if isinstance(node, dict) and node.get("t") == "Quoted":
            yield {"t": "Str", "c": "’"}
            yield from flat(node["c"][1])
            yield {"t": "Str", "c": "’"}
        else:
            yield node


def parsed(markdowns: list[str]) -> list[object]:
    """What pandoc makes of each text by itself."""
    mark = "``` {=next}\n\n```"
    tree = json.loads(
        pandoc("--from=markdown", "--to=json", source_name="test", text=f"\n\n{mark}\n\n".join(markdowns))
    )
    found: list[list[object]] = [[]]
    for block in tree["blocks"]:
        if block["t"] == "RawBlock" and block["c"][0] == "next":
            found.append([])
        else:
            found[-1].append(block)
    assert len(found) == len(markdowns), "a text has opened what swallows the next"
    return [structure(blocks) for blocks in found]


@pytest.mark.cases(quick=0, push=7)
@pytest.mark.parametrize("place", PLACES)
def test_no_text_is_markup_anywhere(place):
    """Each comes out as an ordinary word does, but for the word."""
    texts = hostile_texts(600)
    word = "Xyzzy"
    (ordinary,) = parsed([place.replace("{}", word).replace("{{", "{").replace("}}", "}")])
    template = place.replace("{{", "{").replace("}}", "}")
    for text, found in zip(
        texts, parsed([references(template.replace("{}", mark(text))) for text in texts]), strict=True
    ):
        shown = json.dumps(found, ensure_ascii=False)
        wanted = json.dumps(ordinary, ensure_ascii=False).replace(word, json.dumps(text, ensure_ascii=False)[1:-1])
        # Wide cells make pandoc guess at widths, which the filters do not use.
        shown = re.sub(r'\{"t": "ColWidth", "c": [\d.e-]+\}', '{"t": "ColWidthDefault"}', shown)
        if template.startswith("# "):  # a heading's identity follows its words
            shown, wanted = (re.sub(r'\["[^"]*", \[\], \[\]\]', "", each) for each in (shown, wanted))
        assert shown.replace("’", "'") == wanted.replace("’", "'"), text


def test_a_mark_is_undone_and_ordinary_names_have_none(repository):
    for text in hostile_texts(2000):
        assert plain(mark(text)) == text and not PRIVATE.search(references(mark(text)))
    cohorts = pd.read_csv(repository / "data_raw/vanguard_ccgs.csv", keep_default_na=False)
    names = [name for name in [*cohorts.vanguard, *cohorts.ccg_name] if " - " not in name]
    assert [name for name in names if mark(name) != name] == []
    protocol = load_protocol()
    report = {name: re.sub(r" \[@\w+\]", "", text) for name, text in protocol.report if isinstance(text, str)}
    assert outside(report) == report, "the reports' words are as they were, but for what they cite"
    rest = protocol.model_copy(update={"report": None})
    assert outside(rest) == rest


def test_a_known_work_is_cited_and_nothing_else_is_read_as_a_mark():
    text = "They found it [@nao2018], **not** [@nobody], @nao2018 or [@nao2018; @nao2017]."
    assert cited(mark(text), ["nao2018", "nao2017"]).count("[@nao2018]") == 1
    assert plain(cited(mark(text), ["nao2018"])) == text
    assert "[@nobody]" not in cited(mark(text), ["nao2018"])


def test_every_work_that_the_protocols_cite_is_known(repository):
    works = set(
        re.findall(r"^@\w+\{([^,\s]+),", (repository / "reports/references.bib").read_text("utf-8"), re.MULTILINE)
    )
    for file in ("analysis/protocol.toml", "data_raw/ehch/protocol.toml"):
        keys = re.findall(r"\[@(\w+)\]", (repository / file).read_text(encoding="utf-8"))
        assert keys and set(keys) <= works


def test_what_cannot_be_seen_does_not_reach_a_report():
    assert mark("A\u202eB\x00C\ue041D\u2028E\tF") == "ABCD E F"


def test_a_picture_holds_a_name_and_no_mark(told, world):
    """What could be markup is carried as private-use characters until the SVG is written."""
    results = told(world)
    show_figure(results, "named", Figure(f"<svg><text>{mark('a<b>')}</text></svg>", "Alt", "Caption", pd.DataFrame({"x": [1]})))
    picture = (results.work.staged / "figures/named.svg").read_text(encoding="utf-8")
    assert not PRIVATE.search(picture) and "a&#60;b&#62;" in picture


# CSV


def test_a_cell_is_no_formula_and_comes_back_as_it_was(tmp_path):
    texts = [*PAYLOADS, "'=1", "''-x", "＝1+1", "-1.5", "+2", "-1e-5", "-", "'quoted'", "é", "NHS X CCG"]
    table = pd.DataFrame({"text": texts, "number": [-1.5] * len(texts)})
    write_table(table, tmp_path / "table.csv")
    found = pd.read_csv(tmp_path / "table.csv", dtype={"text": str}, keep_default_na=False)
    assert [text for text in found.text if is_formula(text)] == []
    assert list(unguarded(found).text) == texts and list(found.number) == list(table.number)
    assert set(texts) - set(found.text) == {FORMULA, PLUS, AT, "-1+cmd|' /C calc'!A0", "'=1", "''-x", "＝1+1", "-"}
    write_table(outside(table), tmp_path / "marked.csv")
    assert (tmp_path / "marked.csv").read_bytes() == (tmp_path / "table.csv").read_bytes()


def is_formula(text: str) -> bool:
    return not text.startswith("'") and bool(BEGINS.match(text)) and not NUMBER.fullmatch(text) and text != "-inf"


# Names and words that are refused


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        ("Salford Together", "…!?", "…!?"),
        ("Salford Together", "/../", "/../"),
        ("Salford Together", "wirral (PARTNERS)", "called as those of 'Wirral Partners'"),
        ("Salford Together", "Wirral Partners Growth", "called as those of 'Wirral Partners'"),
        ("Salford Together", "Salford" * 30, "SalfordSalford"),
    ],
)
def test_a_site_that_gives_its_files_no_name_of_their_own(old, new, found, repository, protocol, tmp_path):
    text = (repository / "data_raw/vanguard_ccgs.csv").read_text(encoding="utf-8")
    lines = text.splitlines(keepends=True)
    first = next(i for i, line in enumerate(lines) if line.startswith("Wirral"))
    moved = [line for line in lines if not line.startswith(old)] + [
        line.replace(old, new) for line in lines if line.startswith(old)
    ]
    assert lines[first] in moved
    path = tmp_path / "vanguard_ccgs.csv"
    path.write_text("".join(moved), encoding="utf-8")
    codes = set(pd.read_csv(path).ccg_code)
    with pytest.raises(StudyError, match=re.escape(found)) as refused:
        read_cohorts(path, codes, protocol.model_ids)
    assert refused.value.row == len(lines) and refused.value.column == "vanguard"


@pytest.mark.parametrize("hidden", ["\x07", "\u202e", "\u200b", "\ue041", "\n"])
def test_a_table_with_what_cannot_be_seen_is_refused(hidden, repository, protocol, tmp_path):
    text = (repository / "data_raw/vanguard_ccgs.csv").read_text(encoding="utf-8")
    path = tmp_path / "vanguard_ccgs.csv"
    path.write_text(text.replace("Wirral Partners", f'"Wirral {hidden}Partners"'), encoding="utf-8")
    with pytest.raises(DataError, match="without control characters") as refused:
        read_cohorts(path, set(), protocol.model_ids)
    assert refused.value.column == "vanguard"
    assert hidden not in refused.value.found, "the message shows it as an escape"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('label = "MCP"', 'label = "M\\u202eCP"'),
        ('label = "MCP"', 'label = "M\\nCP"'),
        ('id = "MCP"', 'id = "../MCP"'),
        ('id = "primary"\n', 'id = "pri}mary"\n'),
        ('colour = "#0072B2"', 'colour = "red\\"/><script>"'),
    ],
)
def test_a_protocol_with_such_words_is_refused(old, new, tmp_path):
    with pytest.raises(StudyError):
        protocol_with(tmp_path, (old, new))


# A whole build


@dataclass
class Page(HTMLParser):
    """A page as a browser takes it apart: its elements, its text, what its pictures show."""

    elements: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    text: list[str] = field(default_factory=list)
    scripts: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()
        self._inside: list[str] = []

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.elements.append((tag, {key: value or "" for key, value in attrs}))
        if tag in ("script", "style"):
            self._inside.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if self._inside[-1:] == [tag]:
            self._inside.pop()

    def handle_data(self, data: str) -> None:
        (self.scripts if "script" in self._inside else self.text).append(data)

    @classmethod
    def of(cls, path: Path) -> Page:
        page = cls()
        page.feed(path.read_text(encoding="utf-8"))
        return page

    @property
    def words(self) -> str:
        return typed("".join(self.text))


def typed(text: str) -> str:
    """Without blanks; quotes and, since Typst sets one, the ellipsis as they are typed."""
    return compact(text).translate(str.maketrans({"’": "'", "‘": "'", "“": '"', "”": '"', "…": "..."}))


@dataclass(frozen=True)
class Hostile:
    project: Project
    planted: list[str]

    @property
    def build(self) -> Path:
        return self.project.root / "build"

    def files(self, suffix: str) -> list[Path]:
        found = sorted(self.build.rglob(f"*.{suffix}"))
        assert found
        return found


@pytest.fixture(scope="module")
def hostile(repository, tmp_path_factory) -> Hostile:
    """The reports of a study in which every text is hostile."""
    project = Project.copy(repository, Path("/nonexistent"), tmp_path_factory.mktemp("hostile"))
    planted = plant(project)
    rules = project.root / "analysis/protocol.toml"
    rules.write_text(smaller(rules.read_text(encoding="utf-8")), encoding="utf-8")
    for stage in ("data", "results", "reports"):
        process = project.start(stage, **ON_SNAPSHOT)
        _, errors = process.communicate(timeout=900)
        assert process.returncode == 0 and "Warning" not in errors, errors
    return Hostile(project, planted)


@pytest.mark.nightly
def test_pages_hold_every_text_as_it_is_and_no_element_of_it(hostile):
    pages = {path: Page.of(path) for path in hostile.files("html")}
    for path, page in pages.items():
        assert not [s for s in page.scripts if "hostile" in s], path
        for tag, attributes in page.elements:
            assert not [name for name in attributes if name.startswith("on")], (path, tag, attributes)
            assert not {"iframe", "object", "embed", "base", "form"} & {tag}
            link = attributes.get("href", attributes.get("src", ""))
            assert not re.match(r"https?://example|x$|javascript", link), (path, tag, link)
            assert tag != "img" or link.startswith("data:"), (path, link)
    words = "".join(page.words for page in pages.values())
    index = pages[hostile.build / "reports/index.html"]
    brief = hostile.build / "reports/sites"
    for site in SITES.values():
        assert typed(site) in index.words and typed(site) in pages[brief / f"{slug(site)}.html"].words
    assert [payload for payload in PAYLOADS if typed(payload) not in words] == []
    protocol = load_protocol(hostile.project.root / "analysis/protocol.toml")
    for text in (
        protocol.report.snapshot,
        protocol.models[0].label,
        protocol.outcomes[0].label,
        protocol.deviations[0].why,
    ):
        assert typed(text).lower() in words.lower()
    title = re.search(r"<title>(.*?)</title>", (brief / f"{slug(FORMULA)}.html").read_text(encoding="utf-8"))
    assert html.unescape(title[1]) == FORMULA


@pytest.mark.nightly
def test_pdfs_hold_every_text_as_it_is_and_link_to_no_address_of_it(hostile):
    for path in hostile.files("pdf"):
        document = pypdf.PdfReader(path)
        words = typed("".join(page.extract_text() for page in document.pages))
        assert not PRIVATE.search(words) and not PRIVATE.search(str(document.metadata)), path
        for page in document.pages:
            links = [note.get_object().get("/A", {}).get("/URI", "") for note in page.get("/Annots", [])]
            assert not [link for link in links if "example.org" in link], path
    index = pypdf.PdfReader(hostile.build / "reports/index.pdf")
    listed = typed("".join(page.extract_text() for page in index.pages))
    for site in SITES.values():
        assert typed(site) in listed
        document = pypdf.PdfReader(hostile.build / f"reports/sites/{slug(site)}.pdf")
        assert typed(document.metadata.title) == typed(site)
        assert typed(site) in typed("".join(page.extract_text() for page in document.pages))


@pytest.mark.nightly
def test_pictures_are_xml_and_hold_the_names(hostile):
    words = ""
    for path in hostile.files("svg"):
        root = ET.fromstring(path.read_bytes())
        tags = {element.tag.rpartition("}")[2] for element in root.iter()}
        assert not tags & {"script", "a", "foreignObject", "image"}, path
        assert not [k for element in root.iter() for k in element.attrib if k.startswith("on")]
        words += typed("".join(root.itertext()))
    forest = typed("".join(ET.parse(hostile.build / "reports/figures/forest.svg").getroot().itertext()))
    assert typed(FORMULA) in forest and typed(MARKDOWN)[:30] in forest and typed(HTML)[:30] in words


@pytest.mark.nightly
def test_no_cell_of_a_csv_is_a_formula_and_each_holds_the_name(hostile):
    held: set[str] = set()
    for path in hostile.files("csv"):
        found = set(cells(path))
        assert [text for text in found if is_formula(text)] == [], path
        held |= found
    assert {HTML + " in Salford", MARKDOWN, f"'{FORMULA}", f"'{PLUS}", f"'{AT}"} <= held
    names = set(pd.read_parquet(hostile.build / "results/estimates.parquet").cohort)
    assert set(SITES.values()) <= names, "a contract between stages has names as they are"


@pytest.mark.nightly
def test_nothing_written_shows_what_the_marks_are(hostile):
    for path in itertools.chain.from_iterable(hostile.files(kind) for kind in ("html", "svg", "csv", "txt", "json")):
        assert not PRIVATE.search(path.read_text(encoding="utf-8")), path
    headline = (hostile.build / "reports/headline.txt").read_text(encoding="utf-8")
    protocol = load_protocol(hostile.project.root / "analysis/protocol.toml")
    assert all(model.label in headline for model in protocol.models)
    assert len(headline.splitlines()) == len(protocol.models) + 1 and "&#" not in headline.replace("&lt;", "")


@pytest.mark.nightly
def test_nothing_happens_in_a_browser(hostile, browser):
    requests: list[str] = []
    context = browser.new_context(offline=True)
    page = context.new_page()
    page.on("request", lambda request: requests.append(request.url))
    for path in hostile.files("html"):
        page.goto(path.as_uri())
        assert page.evaluate("window.hostile") is None, path
        assert page.evaluate(
            "document.querySelectorAll('img').length == [...document.images].filter(i => i.naturalWidth).length"
        )
    page.goto((hostile.build / "reports/index.html").as_uri())
    page.get_by_label("Show rows of").first.fill("<script>window.hostile=1</script>")
    assert page.locator("#tbl-briefs tbody tr:visible").count() == 1
    for button in page.locator("#tbl-briefs button").all():
        button.click()
    assert page.evaluate("window.hostile") is None
    context.close()
    assert [url for url in requests if not url.startswith(("file:", "data:"))] == []
