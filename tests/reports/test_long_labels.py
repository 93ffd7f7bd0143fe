"""A model's label of 33 letters, and a word of 58: panels' titles stay above their panels, and the PDF may break the word."""

from __future__ import annotations

import re

import pandas as pd
import pypandoc
import pytest
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextPath
from plotnine import aes, facet_wrap, geom_point

from analysis.publish.settings import PROJECT_FILE
from analysis.reporting.figure import WIDTH, canvas, draw
from analysis.reporting.sites.figures import LONGEST, _short

WORD = "Llanfairpwllgwyngyllgogerychwyrndrobwllllantysiliogogogoch"
LABELS = ["Multispecialty community provider", "Primaryandacutecaresystemvanguard", "Both of them, the one and the other, together"]
POINTS_AN_INCH = 72
TYPST = PROJECT_FILE.parent / "analysis" / "publish" / "typst.lua"


@pytest.mark.cases(quick=1)
@pytest.mark.fault(
    "a model's label of 33 letters, a word of 58 letters in a site's name",
    "both are broken into lines: in figures, in tables and in titles, on the page",
)
@pytest.mark.parametrize("panels", [1, 2, 3])
def test_titles_of_panels_stay_above_their_panels(panels: int) -> None:
    data = pd.DataFrame({"x": 1, "y": 1, "label": LABELS[:panels]})
    picture = draw(canvas(data, aes("x", "y")) + geom_point() + facet_wrap("label", nrow=1), 2.5)
    lines = [text for text in re.findall(r"<text[^>]*>([^<]+)</text>", picture) if re.search("[a-z]{2}", text)]
    assert "".join(lines).replace(" ", "") == "".join(sorted(LABELS[:panels])).replace(" ", "")
    bold = FontProperties(family="DejaVu Sans", weight="bold", size=9.5)
    widest = max(TextPath((0, 0), line, prop=bold).get_extents().width for line in lines)
    assert widest < WIDTH * POINTS_AN_INCH / panels


def test_a_site_of_one_long_word_keeps_its_name_where_it_fits_and_its_beginning_where_not() -> None:
    assert _short(WORD) == WORD
    long = f"{WORD} {WORD}"
    assert _short(long).startswith(WORD) and _short(long).endswith(" …") and len(_short(long)) <= LONGEST


@pytest.mark.parametrize("text", [WORD, f"# {WORD}", f"| a |\n|---|\n| {WORD} |"])
def test_a_word_that_is_wider_than_a_column_may_break_in_the_pdf(text: str) -> None:
    written = pypandoc.convert_text(text, "typst", "markdown", extra_args=[f"--lua-filter={TYPST}"])
    parts = re.search(r"Llanf[^\s\]\[]*", written)[0].split("\u00ad")
    assert "".join(parts) == WORD and max(map(len, parts)) < 10


def test_words_of_usual_length_are_left_as_they_are() -> None:
    text = "Randomisation, difference-in-differences, non\u00a0elective\u00a0admissions\u00a0of\u00a0places"
    written = pypandoc.convert_text(text, "typst", "markdown", extra_args=[f"--lua-filter={TYPST}"])
    assert "\u00ad" not in written


def test_a_figure_is_the_same_bytes_each_time() -> None:
    """Ids of what its SVG clips and repeats do not change from run to run."""
    data = pd.DataFrame({"x": [0, 1, 2], "y": [0, 1, 4], "group": ["a", "b", "a"]})
    first, again = (draw(canvas(data, aes("x", "y")) + geom_point() + facet_wrap("group"), 2) for _ in range(2))
    assert "clip" in first and first == again
