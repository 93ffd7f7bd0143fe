"""No report types a result: numbers in prose come from expressions, and the code names no cohort."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
import yaml

SOURCES = sorted((Path(__file__).parents[2] / "reports").glob("*.qmd"))
MODULES = sorted((Path(__file__).parents[2] / "analysis").rglob("*.py"))
SENTENCE_MODULES = [path for path in MODULES if path.parent.parent.name == "reporting" and path.name != "__init__.py"]

# What is left of a source when everything that is not a sentence is taken away.
NOT_PROSE = [
    r"\A---\n.*?\n---\n",  # front matter
    r"^(`{3,}|~{3,}).*?^\1[ \t]*$",  # code cells and fenced code
    r"\$\$.*?\$\$",  # equations
    r"`\{python\}[^`]*`",  # inline expressions
    r"`[^`\n]+`",  # inline code
    r"\$[^$\n]+\$",  # inline mathematics
    r"\{[#.][^{}]*\}",  # ids, classes and attributes
    r"\{\{<.*?>\}\}",  # shortcodes
    r"<!--.*?-->",
    r"-?@[\w:.#$%&+?<>~/-]*\w",  # cross-references and citations
    r"\]\([^()\s]*\)",  # targets of links
]
YEAR = r"(?<![\d.,%])(?:19|20)\d\d(?:/\d\d)?(?![\d%]|[.,]\d)"
TYPED = {
    "a percentage": r"\d\s*(?:%|per ?cent\b|percentage points?\b)",
    "a decimal number": r"\d[.,]\d",
    "a p-value": r"\bp\s*[=<>≤≥]",
    "a number with a sign": r"[+\N{MINUS SIGN}±]\s*\d",
    "a number": r"\d",
}


def prose(source: str) -> str:
    for pattern in NOT_PROSE:
        source = re.sub(pattern, " ", source, flags=re.DOTALL | re.MULTILINE)
    return source


def typed_results(text: str) -> list[str]:
    """A line for each number in the text that is not a year: what it looks like, and the words around it."""
    text = re.sub(YEAR, "", text)
    found, seen = [], set()
    for kind, pattern in TYPED.items():
        for hit in re.finditer(pattern, text):
            if not seen & set(range(*hit.span())):
                seen |= set(range(*hit.span()))
                around = " ".join(text[max(0, hit.start() - 40) : hit.end() + 30].split())
                found.append(f"{kind}: … {around} …")
    return found


def test_there_are_sources_to_scan():
    assert (
        {"appendix", "evaluation", "index"} <= {source.stem for source in SOURCES}
        and len(MODULES) > 30
        and len(SENTENCE_MODULES) > 8
    )


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.name)
def test_a_report_types_no_number_but_years(source):
    assert not typed_results(prose(source.read_text(encoding="utf-8")))


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.name)
def test_titles_subtitles_and_captions_type_no_number(source):
    text = source.read_text(encoding="utf-8")
    front = yaml.safe_load(text.split("---\n")[1])
    for key in ("title", "subtitle", "abstract", "description"):
        assert not typed_results(str(front.get(key, "")))
    for caption in re.findall(r"^#\|\s*(?:fig|tbl)-(?:cap|alt|subcap):(.*)$", text, re.MULTILINE):
        assert not typed_results(caption)


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.name)
def test_no_finding_is_typed_as_a_word(source):
    """Words that say how an estimate came out belong to ``effects.py``."""
    text = prose(source.read_text(encoding="utf-8"))
    findings = r"\b(?:(?:not )?(?:statistically )?significant(?:ly)?|inconclusive|(?:the )?(?:data|results|estimates) (?:show|support|suggest|confirm))\b"
    assert not re.findall(findings, text, re.IGNORECASE)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Admissions fell by 2.3% in the sites.", "a percentage"), ("a difference of 0.4 per head", "a decimal number"),
        ("(p = 0.04)", "a decimal number"), ("with p < .05", "a p-value"), ("fell by −3 there", "a number with a sign"),
        ("in 23 sites", "a number"), ("in 2015, 12 sites", "a number"), ("2,015 people", "a decimal number"), ("about 2015%", "a percentage"),
    ],
)  # fmt: skip
def test_the_scan_finds_a_typed_result(text, found):
    assert any(line.startswith(found) for line in typed_results(prose(text)))


@pytest.mark.parametrize(
    "text",
    [
        "In 2015, and again in 2017/18, it began.", "as `{python} say(f'{x:.1f}')` shows", "$y_{12}$ and\n$$\nx = 2.5\n$$ {#eq-a alt=\"2.5\"}\n",
        "see @tbl-2 and [@nao2018; @smith2020a]", "```{python}\nx = 2.5\n```\n", "[numbers](a/b2.csv) {#sec-2 .unnumbered}",
    ],
)  # fmt: skip
def test_the_scan_passes_what_is_no_result(text):
    assert not typed_results(prose(text))


# The code that writes sentences


def sentences_of(path: Path) -> list[str]:
    """String constants of a module that are not docstrings; an f-string in one piece, with a blank for each value."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.FunctionDef | ast.ClassDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    parts, inside = [], set()
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            inside |= {id(part) for part in ast.walk(node)} - {id(node)}
            text = "".join(part.value if isinstance(part, ast.Constant) else " " for part in node.values)
            parts.append((id(node), text))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            parts.append((id(node), node.value))
    return [text for identity, text in parts if identity not in docstrings and identity not in inside]


# "0.0%" is what rounds to nothing; the ends of p-values printed as such; "95%" is replaced by the protocol's level; a unit; a formula.
FORMATS = r"(?i)\b0\.0%|p < 0\.001|p > 0\.99|\b95%|per 1,000\b|G − 1"


@pytest.mark.cases(quick=26)
@pytest.mark.parametrize("path", SENTENCE_MODULES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_code_that_writes_sentences_types_no_result(path):
    typed = {name: TYPED[name] for name in ("a percentage", "a decimal number", "a number with a sign")}
    for text in sentences_of(path):
        if " " in text.strip():
            left = re.sub(FORMATS, "", text)
            assert not [kind for kind, pattern in typed.items() if re.search(pattern, re.sub(r"v\d\.\d", "", left))], (
                text
            )


@pytest.mark.cases(quick=97)
@pytest.mark.parametrize("path", MODULES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_no_module_names_a_model(path, protocol):
    """Cohorts come from the protocol and the cohort table: another programme needs no change of code."""
    text = path.read_text(encoding="utf-8")
    for model in protocol.models:
        for name in (model.id, model.name):
            assert not re.search(rf"\b{re.escape(name)}s?\b", text, re.IGNORECASE), name
