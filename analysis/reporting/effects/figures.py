"""Effects with their intervals under each choice: about the data, or of every kind."""

from __future__ import annotations

import textwrap

import pandas as pd
from plotnine import (
    aes,
    facet_wrap,
    geom_point,
    geom_segment,
    geom_vline,
    labs,
    scale_color_manual,
    scale_x_continuous,
    scale_y_discrete,
)

from analysis.reporting.choices.words import data_choices, variants
from analysis.reporting.figure import MUTED, ROWS, Figure, canvas, draw, labelled, with_minus
from analysis.reporting.results import Results
from analysis.reporting.wording import listed, signed

ROW_HEIGHT, MARGIN = 0.235, 0.75  # inches


def choices_figure(results: Results, outcome: str) -> Figure:
    """The difference-in-differences estimate of each model under every choice about the data."""
    chosen = [choice.id for choice in data_choices(results)]
    return _forest(results, outcome, results.protocol.model_ids, chosen, " about the data", wrap=28, row=0.34)


def variants_figure(results: Results, outcome: str) -> Figure:
    """The difference-in-differences estimate of each cohort under every specification that ran."""
    every = [choice.id for choice in results.protocol.specifications]
    return _forest(results, outcome, list(results.protocol.treated_cohorts), every, "", wrap=46, row=ROW_HEIGHT)


def _forest(
    results: Results, outcome: str, cohorts: list[str], chosen: list[str], about: str, wrap: int, row: float
) -> Figure:
    protocol = results.protocol
    tables = [variants(results, outcome, cohort).assign(cohort=cohort) for cohort in cohorts]
    found = pd.concat(tables, ignore_index=True)
    found = found[found.specification.isin(chosen)]
    choices = [textwrap.fill(text, wrap) for text in found.label]
    data = labelled(found.assign(choice=choices), protocol.cohort_labels)
    data["panel"] = data.label.cat.rename_categories(lambda label: textwrap.fill(label, 44 // len(cohorts)))
    order = list(dict.fromkeys(data.sort_values("specification", key=lambda ids: ids.map(chosen.index)).choice))
    plot = (
        canvas(data, aes("estimate", "choice", color="cohort"))
        + geom_vline(xintercept=0, color=MUTED, size=0.5)
        + geom_segment(aes(x="low", xend="high", yend="choice"), size=1)
        + geom_point(size=2.2)
        + facet_wrap("panel", nrow=1)
        + scale_color_manual(values=protocol.cohort_colours, guide=None)
        + scale_x_continuous(labels=with_minus)
        + scale_y_discrete(limits=order[::-1])
        + labs(x="Difference, %", y="")
        + ROWS
    )
    spans = [
        f"{label} from {signed(rows.estimate.min())} to {signed(rows.estimate.max())}"
        for label, rows in data.groupby("label", observed=True)
    ]
    return Figure(
        svg=draw(plot, MARGIN + row * len(order)),
        alt=f"Difference-in-differences under each choice{about}: {listed(spans)}.",
        caption=f"**Choices{about} move the estimates: {listed(spans)}.** Difference-in-differences over the programme under each "
        f"choice{about}, with {protocol.study.conf_level:.0%} randomisation intervals.",
        data=data[["label", "choice", "estimate", "low", "high", "p_value", "n_units", "n_treated"]].assign(
            choice=data.choice.str.replace("\n", " ")
        ),
    )
