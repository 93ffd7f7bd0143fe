"""One look for every figure: no meaning by colour alone, text that stays text, ids that do not change from run to run."""

from __future__ import annotations

import io
import textwrap
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import pandas as pd
from plotnine import (
    aes,
    as_labeller,
    element_blank,
    element_line,
    element_text,
    facet_wrap,
    ggplot,
    theme,
    theme_minimal,
)

from analysis.reporting.wording import headed

INK, MUTED, GRID = "#222222", "#555555", "#dddddd"
START: dict[str, Any] = {
    "linetype": "dotted",
    "color": MUTED,
    "size": 0.6,
}  # how every figure marks the programme's start

WIDTH = 6.6  # inches, the text width of the PDF
STRIP_LETTERS = 63  # of panels' titles that fit beside one another


@dataclass(frozen=True)
class Figure:
    """A drawn plot: its SVG, what it shows in words (``alt``), its caption, the numbers behind it, and their source where it is not the data set alone."""

    svg: str
    alt: str
    caption: str
    data: pd.DataFrame
    source: str = ""


def draw(plot: ggplot, height: float) -> str:
    """SVG text of a plot, ``WIDTH`` × ``height`` inches, the same bytes on every run."""
    options: dict[Any, Any] = {
        "svg.fonttype": "none",
        "svg.hashsalt": "vanguard-evaluation",
        "font.family": "sans-serif",
        "font.sans-serif": ["DejaVu Sans", "Helvetica", "Arial", "sans-serif"],
    }
    with mpl.rc_context(options), io.StringIO() as text, warnings.catch_warnings():
        # Names carry what could be markup as private-use characters until the picture is written.
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        figure = (_with_wrapped_strips(plot) + theme(figure_size=(WIDTH, height))).draw()
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
        mpl.pyplot.close(figure)
        return text.getvalue()


def _with_wrapped_strips(plot: ggplot) -> ggplot:
    """The plot with the titles of panels beside one another broken into lines that fit above their panels."""
    names = plot.facet.vars if isinstance(plot.facet, facet_wrap) else getattr(plot.facet, "cols", [])
    data = plot.data
    assert isinstance(data, pd.DataFrame)
    across = getattr(plot.facet, "ncol", None) or (data[names[0]].nunique() if names else 0)
    if across:
        width = STRIP_LETTERS // across
        plot.facet.labeller = as_labeller(
            lambda title: "\n".join(textwrap.fill(line, width) for line in str(title).split("\n"))
        )
    return plot


def canvas(data: pd.DataFrame, mapping: aes) -> ggplot:
    """An empty plot in the house style, values on the vertical axis; add ``ROWS`` for values on the horizontal one."""
    return ggplot(data, mapping) + _look()


ROWS = theme(panel_grid_major_x=element_line(color=GRID, size=0.4), panel_grid_major_y=element_blank())


def _look() -> theme:
    return theme_minimal(base_size=9, base_family="sans-serif") + theme(
        text=element_text(color=INK),
        axis_text=element_text(color=INK),
        axis_title=element_text(color=INK, size=9),
        panel_grid_minor=element_blank(),
        panel_grid_major_x=element_blank(),
        panel_grid_major_y=element_line(color=GRID, size=0.4),
        strip_text=element_text(weight="bold", color=INK, ha="left", size=9.5),
        panel_spacing=0.04,
        legend_position="top",
        legend_title=element_blank(),
        legend_justification="left",
        plot_background=element_blank(),
        panel_background=element_blank(),
    )


def with_minus(values: Sequence[Any]) -> list[str]:
    """Axis labels with a true minus sign."""
    return [f"{value:g}".replace("-", "\N{MINUS SIGN}") for value in values]


def labelled(data: pd.DataFrame, labels: dict[str, str]) -> pd.DataFrame:
    """The rows with ``label``, their cohort's label, in the order of ``labels``: what panels are made by."""
    order = [headed(label) for cohort, label in labels.items() if cohort in set(data.cohort)]
    names = data.cohort.map(lambda cohort: headed(labels[cohort]))
    return data.assign(label=pd.Categorical(names, order))
