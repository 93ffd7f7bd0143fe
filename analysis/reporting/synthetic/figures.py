"""Observed rates of the cohorts beside their synthetic counterfactuals."""

from __future__ import annotations

import textwrap

import pandas as pd
from plotnine import (
    aes,
    element_text,
    facet_grid,
    geom_line,
    geom_vline,
    labs,
    scale_color_manual,
    scale_linetype_manual,
    scale_x_datetime,
    theme,
)

from analysis.estimation.regression.estimates import PLACEBO
from analysis.reporting.figure import START, Figure, canvas, draw, labelled
from analysis.reporting.results import Results
from analysis.reporting.synthetic.counterfactuals_words import DAYS, DESIGNS, PER, synthetic_paths
from analysis.reporting.wording import headed, listed, signed, span

OBSERVED, SYNTHETIC = "observed", "synthetic counterfactual"


def synthetic_figure(results: Results, outcome: str) -> Figure:
    """Rates per 1,000 people per 30 days, a column for each cohort and a row for each design; the counterfactual is dashed."""
    protocol = results.protocol
    data = labelled(synthetic_paths(results, outcome), protocol.cohort_labels)
    names = [textwrap.fill(headed(name), 24) for name in DESIGNS.values()]
    data["name"] = pd.Categorical(data.design.map(dict(zip(DESIGNS, names, strict=True))), names)
    lines = pd.concat(
        [data.assign(rate=data.observed, line=OBSERVED), data.assign(rate=data.synthetic, line=SYNTHETIC)]
    )
    plot = (
        canvas(lines, aes("month", "rate", color="cohort", linetype="line"))
        + geom_vline(xintercept=protocol.study.programme_start, **START)
        + geom_line(size=0.7)
        + facet_grid("name", "label")
        + scale_color_manual(values=protocol.cohort_colours, guide=None)
        + scale_linetype_manual(values={OBSERVED: "solid", SYNTHETIC: "dashed"}, breaks=[OBSERVED, SYNTHETIC])
        + scale_x_datetime(date_breaks="1 year", date_labels="%Y")
        + theme(strip_text_y=element_text(size=8, weight="normal"))
        + labs(x="", y=f"Per {PER:,} people per {DAYS} days")
    )
    said, clear = [], []
    for cohort in protocol.treated_cohorts:
        label = protocol.cohort_labels[cohort]
        for design, name in DESIGNS.items():
            found = results.find(design, outcome, cohort, "att", PLACEBO)
            if found:
                said.append(f"{headed(label)} {signed(found.value)} ({span(found)}) by {name}")
                clear += [f"{label} ({name})"] if found.excludes_zero else []
    title = (
        f"After the start the paths part by more than placebos' do for {listed(clear)}."
        if clear
        else "After the start the paths part no further than placebos' do."
    )
    return Figure(
        svg=draw(plot, 4.2),
        alt=f"Observed and synthetic rates by month. {title} Effects over the programme: {listed(said)}.",
        caption=f"**{title}** Monthly rate of each cohort, solid, and of its synthetic counterfactual, dashed; the dotted line is the programme's start. With "
        "synthetic difference-in-differences the counterfactual is moved to the level of the weighted months before.",
        data=data[["label", "design", "month", "observed", "synthetic"]],
    )
